"""Record what is sent before a run, once for all hosts that get it, while it is on its way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dgummy import snapshot
from dgummy.errors import DgummyError
from dgummy.events import Listener, Notice
from dgummy.fanout import Call
from dgummy.project import Project
from dgummy.syncplan import Listing
from dgummy.work import Base


class Baseline:
    """Begins at once; whoever asks for `base` waits for it.

    What cannot be recorded keeps nobody from running: its work comes home as files then, and a notice says why.
    """

    def __init__(
        self, project: Project, listing: Callable[[], Listing], state_dir: Path, now_ns: int, emit: Listener
    ) -> None:
        self._project = project
        self._listing = listing
        self._store = snapshot.store_of(state_dir, project.root)
        self._now_ns = now_ns
        self._emit = emit
        self._call = Call(self._record, "record")

    @property
    def base(self) -> Base:
        """What is sent."""
        return self._call.result()

    def _record(self) -> Base:
        try:
            return snapshot.record(self._project, self._listing(), self._store, self._now_ns)
        except DgummyError as error:
            text = f"what was sent could not be recorded: {error.message}; its work will come home as files"
            self._emit(Notice(f"{text} ({error.remedy})", "warning"))
            return Base(sent_at_ns=self._now_ns)
