"""Push a project with the `d` command's own sync, where that sends exactly the set that is to be sent.

It takes no exclude options: it sends everything in a folder but a fixed list, ignored files with secrets included. So
it is used only if its set and ours are the same, to the same place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from dgummy import dtext
from dgummy.events import Listener, Notice
from dgummy.model import Failure, FailureKind, Host
from dgummy.syncplan import SyncPlan
from dgummy.transport.base import Pushed
from dgummy.transport.dcmd import DCommand


class DPush:
    """Pushes one project. With `strict` a failed push is the sync's failure; else rsync is used, with a notice."""

    def __init__(self, command: DCommand, source: Path, home: Path, *, strict: bool, emit: Listener) -> None:
        self._command = command
        self._source = source
        self._home = home
        self._strict = strict
        self._emit = emit
        self._reason: str | None = None
        self._lock = threading.Lock()

    def push(
        self,
        host: Host,
        remote_dir: str,
        plan: SyncPlan,
        *,
        on_tick: Callable[[], None],
        cancelled: threading.Event,
    ) -> Pushed | Failure | None:
        """Push, or give back None (and say why, in one line) if rsync is to do it."""
        why_not = self._why_not(remote_dir, plan)
        if why_not:
            self._emit(Notice(f"rsync instead of d's sync: {why_not}", host=host.name))
            return None
        pushed = self._command.sync(self._source, host.ssh_names()[0], on_tick=on_tick, cancelled=cancelled)
        if isinstance(pushed, Failure) and not self._strict and pushed.kind is not FailureKind.CANCELLED:
            self._emit(Notice(f"{pushed}; using rsync instead of d's sync", "warning", host.name))
            return None
        return pushed

    def _why_not(self, remote_dir: str, plan: SyncPlan) -> str:
        there = dtext.remote_dir(str(self._source), str(self._home))
        if there != remote_dir:
            return f"it would send to {there or 'a place of its own'}, not to {remote_dir}"
        with self._lock:
            if self._reason is None:
                self._reason = difference(self._source, frozenset(plan.files))
            return self._reason


def difference(source: Path, wanted: frozenset[bytes]) -> str:
    """One line on how the set that `d` would send of `source` differs from `wanted`; "" if it does not."""
    rest = set(wanted)
    for name in its_set(source):
        if name not in wanted:
            return f"it would also send {_shown(name)}"
        rest.discard(name)
    return f"it would leave out {_shown(min(rest))}" if rest else ""


def its_set(source: Path) -> Iterator[bytes]:
    """Every file that `d`'s sync would send, relative to `source`."""
    folders = [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.fsencode(source) + b"/" + folder) as entries:
            for entry in entries:
                if any(fnmatchcase(os.fsdecode(entry.name), pattern) for pattern in dtext.SYNC_EXCLUDE):
                    continue
                name = folder + b"/" + entry.name if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    yield name


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "replace")
