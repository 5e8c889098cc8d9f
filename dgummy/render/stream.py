"""A JSON line on stdout for everything that happens in a group of runs: `inv fanout --stream`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dgummy.events import (
    Event,
    GroupEnded,
    GroupStarted,
    HostChosen,
    Notice,
    Output,
    RunEnded,
    RunStarted,
    SyncFinished,
)
from dgummy.render import documents
from dgummy.render.console import Console
from dgummy.render.lines import RunLines
from dgummy.render.text import one_line
from dgummy.tails import Tails


class StreamScreen:
    """A listener. Each line is an object with `schema_version` and `event`; the last one holds the whole document."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tails = Tails()
        self._labels: Mapping[str, str] = {}
        self._lines = RunLines()

    def __call__(self, event: Event) -> None:
        """Listen."""
        self._tails(event)
        if isinstance(event, GroupStarted):
            self._labels = event.labels
            runs = [{"label": label, "run_id": run_id} for run_id, label in event.labels.items()]
            self._write("group_started", group_id=event.group_id, runs=runs)
        elif isinstance(event, Output):
            for line in self._lines.feed(event):
                self._line(event.run_id, event.stream, line)
        elif isinstance(event, HostChosen):
            self._write("host_chosen", **self._of(event.run_id), host=event.host, why=list(event.why))
        elif isinstance(event, RunStarted):
            self._write("run_started", **self._of(event.run_id), host=event.host)
        elif isinstance(event, SyncFinished):
            self._write("sync_finished", **documents.synced(event.result))
        elif isinstance(event, RunEnded):
            self._run_ended(event)
        elif isinstance(event, GroupEnded):
            self._write("group_ended", **documents.group(event.result, self._tails.text))
        elif isinstance(event, Notice):
            text = one_line(f"{event.host}: {event.text}" if event.host else event.text, 500)
            self._console.note(text, "" if event.level == "info" else event.level)

    def close(self) -> None:
        """Nothing is drawn that would have to go."""

    def _run_ended(self, event: RunEnded) -> None:
        run_id = event.result.run_id
        for stream, rest in self._lines.end(run_id):
            self._line(run_id, stream, rest)
        document = documents.run(event.result)
        kept = ("host", "state", "exit_code", "reason", "duration_s", "work", "branch")
        self._write("run_ended", **self._of(run_id), **{name: document[name] for name in kept})

    def _line(self, run_id: str, stream: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace").removesuffix("\n")
        self._write("output", **self._of(run_id), stream={"out": "stdout", "err": "stderr"}[stream], text=text)

    def _of(self, run_id: str) -> dict[str, Any]:
        return {"label": self._labels.get(run_id), "run_id": run_id}

    def _write(self, event: str, **fields: Any) -> None:
        self._console.result(documents.line({"event": event, **fields}))
