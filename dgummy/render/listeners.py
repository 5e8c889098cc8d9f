"""Who listens to the engine for people: lines on stderr, output as it comes, a progress line on a terminal."""

from __future__ import annotations

from dgummy.events import (
    AttemptEnded,
    Event,
    HostChosen,
    Notice,
    Output,
    RunEnded,
    RunStarted,
    SyncFinished,
    SyncProgress,
    SyncStarted,
    WorkHome,
)
from dgummy.model import Attempt, RunState, SyncResult
from dgummy.render import collecting, tables
from dgummy.render.console import Console
from dgummy.render.text import one_line
from dgummy.units import format_bytes
from dgummy.work import Homecoming, WorkState


class Screen:
    """Shows what happens. With `json`, a run's own output goes to stderr: stdout is for the document.

    output: whether that is shown at all.
    """

    def __init__(self, console: Console, *, json: bool = False, verbose: bool = True, output: bool = True) -> None:
        self._console = console
        self._json = json
        self._verbose = verbose
        self._shows_output = output
        self._progress = ProgressLine(console)
        self._mid_line = False
        self._told: set[str] = set()
        self._failed: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Listen."""
        if isinstance(event, Output):
            if self._shows_output:
                self._output(event)
            return
        if isinstance(event, SyncProgress):
            self._progress.show(event)
            return
        self._progress.clear()
        self._end_line()
        if isinstance(event, Notice):
            self._notice(event)
        elif isinstance(event, RunEnded):
            self._ended(event)
        elif isinstance(event, WorkHome):
            self._home(event.home)
        elif self._verbose:
            self._say(event)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._progress.clear()

    def _say(self, event: Event) -> None:
        note = self._console.note
        if isinstance(event, HostChosen):
            head, rest = tables.headline(event.host, [why for why in event.why if not why.startswith("type general")])
            warns = tables.is_a_warning(event.why)
            note(head, "warning" if warns else "bold")
            if rest:
                note(f"  {' · '.join(rest)}", "warning" if warns else "dim")
        elif isinstance(event, SyncStarted):
            note(f"[Syncing to {event.host}…]", "dim")
            for line in tables.sending(event.top_level, event.excluded):
                self._once(line, "dim")
        elif isinstance(event, SyncFinished):
            self._synced(event.result)
        elif isinstance(event, RunStarted):
            note(f"[{event.host}] run {event.run_id}: {one_line(event.command, 100)}", "dim")
        elif isinstance(event, AttemptEnded):
            self._tried(event.attempt)

    def _once(self, text: str, style: str) -> None:
        """A line that several hosts, or several looks at the same thing, would only repeat."""
        if text not in self._told:
            self._told.add(text)
            self._console.note(text, style)

    def _synced(self, result: SyncResult) -> None:
        self._console.note(tables.synced(result), "good" if result.ok else "trouble")
        if result.failure is not None:
            self._failed.add(result.host)
            if result.failure.remedy:
                self._once(f"  {one_line(result.failure.remedy, 500)}", "")

    def _tried(self, attempt: Attempt) -> None:
        """A host that did not take the run; how it ended where it ran is said by the last line."""
        if attempt.outcome in tables.NOT_TAKEN and attempt.host not in self._failed:
            self._failed.add(attempt.host)
            self._console.note(tables.attempt(attempt), "caution")

    def _notice(self, notice: Notice) -> None:
        where = f"{notice.host}: " if notice.host else ""
        self._once(f"{where}{one_line(notice.text, 500)}", "" if notice.level == "info" else notice.level)

    def _ended(self, event: RunEnded) -> None:
        result = event.result
        if result.fallback or (not result.host and len(result.attempts) > 1):
            for attempt in result.attempts:
                self._tried(attempt)
        for line in tables.changes(result) if result.home is None else ():
            self._console.note(line)
        if result.report and not (result.home and result.home.reports):
            self._console.note(f"Report on {result.host}: {one_line(result.report)}")
        text, style = tables.ended(result)
        self._console.note(text, "warning" if result.fallback else style)
        if result.remedy and result.state is not RunState.OK:
            self._once(f"  {one_line(result.remedy, 500)}", "")
        if result.home is not None:
            self._home(result.home)
        elif result.work is WorkState.UNCOLLECTED:
            # Told whatever comes: the next run that wants the folder there is refused for it.
            self._console.note(f"  what it changed is on {result.host}: inv collect {result.run_id}", "warning")

    def _home(self, home: Homecoming) -> None:
        for text, style in collecting.lines(home):
            self._console.note(text, style)

    def _output(self, event: Output) -> None:
        self._progress.clear()
        stream = "err" if self._json else event.stream
        self._console.write(stream, event.data)
        if stream == "err" or (self._console.out_is_terminal and self._console.err_is_terminal):
            self._mid_line = not event.data.endswith((b"\n", b"\r"))

    def _end_line(self) -> None:
        """A notice begins on a line of its own, where a person would see both."""
        if self._mid_line:
            self._console.note("")
        self._mid_line = False


class ProgressLine:
    """One line that is drawn over and over, on a terminal only."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._sent: dict[str, SyncProgress] = {}
        self._shown = False

    def show(self, event: SyncProgress) -> None:
        """Draw how far each sync is."""
        self._sent[event.host] = event
        if not self._console.can_redraw:
            return
        parts = [f"{sync.host} {sync.pct:.0f}% {format_bytes(sync.bytes)}" for sync in self._sent.values()]
        self._console.write("err", f"\r\x1b[K  {' · '.join(parts)[:150]}".encode())
        self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        self._sent.clear()
        if self._shown:
            self._console.write("err", b"\r\x1b[K")
            self._shown = False
