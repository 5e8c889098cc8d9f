"""What people see of a group of runs: lines with their host before them, a live line each, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dgummy.events import (
    AttemptEnded,
    Event,
    GroupEnded,
    GroupStarted,
    HostChosen,
    Notice,
    Output,
    RunEnded,
    RunStarted,
    SyncFinished,
    SyncStarted,
    WorkHome,
)
from dgummy.model import SyncResult
from dgummy.render import collecting, grouptext, tables
from dgummy.render.console import Console
from dgummy.render.lines import RunLines
from dgummy.render.text import clean, one_line
from dgummy.units import format_count

if TYPE_CHECKING:
    from dgummy.render.live import LiveRows, Row

_COLOURS = ("36", "33", "35", "32", "34", "31", "96", "93", "95", "92", "94", "91")


class GroupScreen:
    """A listener. `quiet` shows no output of the runs: it is gathered, or goes into a document."""

    def __init__(self, console: Console, *, quiet: bool = False, live: bool = True) -> None:
        self._console = console
        self._quiet = quiet
        self._wants_live = live and console.can_redraw
        self._labels: Mapping[str, str] = {}
        self._colours: dict[str, str] = {}
        self._lines = RunLines()
        self._told: set[str] = set()
        self._failed: set[str] = set()
        self._rows: dict[str, Row] = {}
        self._live: LiveRows | None = None

    def __call__(self, event: Event) -> None:
        """Listen."""
        hear = _HEARD.get(type(event))
        if hear is not None:
            hear(self, event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.close()
            self._live = None

    # -- what is heard -----------------------------------------------------------------------------------------

    def _group_started(self, event: GroupStarted) -> None:
        self._labels = event.labels
        self._colours = {label: _COLOURS[i % len(_COLOURS)] for i, label in enumerate(event.labels.values())}
        self._note(f"[group {event.group_id}: {format_count(len(event.labels), 'run')}]", "dim")
        if self._wants_live:
            from dgummy.render.live import LiveRows, Row

            self._rows = {run_id: Row(label) for run_id, label in event.labels.items()}
            self._live = LiveRows(self._console, self._rows)

    def _host_chosen(self, event: HostChosen) -> None:
        label = self._labels.get(event.run_id, "")
        if label and label != event.host:
            warns = tables.is_a_warning(event.why)
            self._note(f"→ {one_line(label, 60)} → {event.host}", "warning" if warns else "bold")
            self._note(f"  {one_line(' · '.join(event.why), 500)}", "warning" if warns else "dim")
        self._row(event.run_id, "chosen", event.host)

    def _sync_started(self, event: SyncStarted) -> None:
        for line in tables.sending(event.top_level, event.excluded):
            self._once(line, "dim")
        for run_id, label in self._labels.items():
            if label == event.host:
                self._row(run_id, "syncing", event.host)

    def _sync_finished(self, event: SyncFinished) -> None:
        result = event.result
        self._note(_synced(result), "good" if result.ok else "trouble")
        if result.failure is not None:
            self._failed.add(result.host)

    def _run_started(self, event: RunStarted) -> None:
        self._row(event.run_id, "running", event.host)

    def _output(self, event: Output) -> None:
        row = self._rows.get(event.run_id)
        for line in self._lines.feed(event):
            self._line(event, line)
        last = self._lines.last(event)
        if row is not None and last:
            row.last_line = last.decode("utf-8", "replace")

    def _run_ended(self, event: RunEnded) -> None:
        result = event.result
        for stream, rest in self._lines.end(result.run_id):
            self._line(Output(result.run_id, result.host, stream, rest), rest + b"\n")
        self._row(result.run_id, result.state.value.replace("_", " "), result.host, over=True)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        if event.attempt.outcome in tables.NOT_TAKEN and event.attempt.host not in self._failed:
            self._once(tables.attempt(event.attempt), "caution")

    def _group_ended(self, event: GroupEnded) -> None:
        self.close()
        self._console.note("")
        for line in grouptext.closing(event.result).splitlines():
            self._console.note(line, "" if not line.startswith("✗") else "error")
        for line, style in collecting.of_group(event.result):
            self._console.note(line, style)
        for text in dict.fromkeys(member.result.remedy for member in event.result.members if member.result.remedy):
            self._once(f"  {one_line(text, 500)}")
        if advice := grouptext.left_to_do(event.result):
            self._console.note(advice)

    def _work_home(self, event: WorkHome) -> None:
        for line, style in collecting.lines(event.home):
            self._note(line, style)

    def _notice(self, event: Notice) -> None:
        where = f"{event.host}: " if event.host else ""
        self._once(f"{where}{one_line(event.text, 500)}", "" if event.level == "info" else event.level)

    # -- how it is shown ---------------------------------------------------------------------------------------

    def _line(self, event: Output, line: bytes) -> None:
        if self._quiet:
            return
        label = self._labels.get(event.run_id, event.host)
        on_terminal = self._console.out_is_terminal if event.stream == "out" else self._console.err_is_terminal
        if not on_terminal:
            self._console.write(event.stream, f"{label}: ".encode() + line)
            return
        # As a terminal leaves a line that was drawn over and over.
        text = clean(line.decode("utf-8", "replace").rstrip("\r\n").rpartition("\r")[2])
        if self._live is not None:
            self._live.line(f"{label}: ", self._colours.get(label, ""), text)
            return
        prefix = f"{label}: "
        if self._console.out_colour and label in self._colours:
            prefix = f"\x1b[{self._colours[label]}m{prefix}\x1b[0m"
        self._console.write(event.stream, f"{prefix}{text}\n".encode())

    def _row(self, run_id: str, state: str, host: str, *, over: bool = False) -> None:
        row = self._rows.get(run_id)
        if row is not None:
            row.state, row.since, row.host, row.over = state, time.monotonic(), host, over

    def _once(self, text: str, style: str = "") -> None:
        if text not in self._told:
            self._told.add(text)
            self._note(text, style)

    def _note(self, text: str, style: str = "") -> None:
        if self._live is not None:
            self._live.note(text, style)
        else:
            self._console.note(text, style)


def _synced(result: SyncResult) -> str:
    """`✓ node-1 synced`: of many hosts a short line each."""
    return f"✓ {result.host} synced" if result.ok else tables.synced(result)


_HEARD: dict[type, Callable[[GroupScreen, Any], None]] = {
    GroupStarted: GroupScreen._group_started,
    HostChosen: GroupScreen._host_chosen,
    SyncStarted: GroupScreen._sync_started,
    SyncFinished: GroupScreen._sync_finished,
    RunStarted: GroupScreen._run_started,
    Output: GroupScreen._output,
    AttemptEnded: GroupScreen._attempt_ended,
    RunEnded: GroupScreen._run_ended,
    GroupEnded: GroupScreen._group_ended,
    Notice: GroupScreen._notice,
    WorkHome: GroupScreen._work_home,
}
