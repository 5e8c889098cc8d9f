"""A live line for each run of a group, drawn below what is printed, on a terminal only."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from dgummy.render.console import Console
from dgummy.render.text import one_line
from dgummy.units import format_duration

_PER_SECOND = 5
_SPARE_LINES = 4


@dataclass
class Row:
    """What is known of one run. `since` is when its state began, by the monotonic clock."""

    label: str
    state: str = "waiting"
    since: float = field(default_factory=time.monotonic)
    host: str = ""
    last_line: str = ""
    over: bool = False


class LiveRows:
    """The rows of those under way, and a line of counts. Drawn on stderr; close it to leave the terminal as it was."""

    def __init__(self, console: Console, rows: dict[str, Row]) -> None:
        self._rows = rows
        self._console = console
        self._rich = RichConsole(file=_Stderr(console), force_terminal=True, no_color=not console.err_colour)  # type: ignore[arg-type]
        self._live = Live(
            self,
            console=self._rich,
            refresh_per_second=_PER_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def note(self, text: str, style: str = "") -> None:
        """Print a line above the rows."""
        self._rich.print(Text.from_ansi(self._console.styled(text, style)), soft_wrap=True)

    def line(self, prefix: str, colour: str, text: str) -> None:
        """Print a line of a run's output above the rows; `colour` is an SGR code for what stands before it."""
        before = Text.from_ansi(f"\x1b[{colour}m{prefix}\x1b[0m") if colour else Text(prefix)
        self._rich.print(before + Text(text), soft_wrap=True)

    def close(self) -> None:
        """Take the rows away."""
        self._live.stop()

    def __rich__(self) -> Text:
        now = time.monotonic()
        width, height = self._rich.size
        under_way = [row for row in list(self._rows.values()) if not row.over and row.state != "waiting"]
        shown = under_way[: max(1, height - _SPARE_LINES)]
        widest = max((len(row.label) for row in shown), default=0)
        lines = [_line(row, now, widest)[: width - 1] for row in shown]
        if len(under_way) > len(shown):
            lines.append(f"  and {len(under_way) - len(shown)} more")
        counts = Counter(row.state for row in list(self._rows.values()))
        lines.append(" · ".join(f"{number} {state}" for state, number in counts.items())[: width - 1])
        return Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")


def _line(row: Row, now: float, widest: int) -> str:
    where = f" on {row.host}" if row.host and row.host != row.label else ""
    state = f"{row.state}{where} {format_duration(now - row.since)}"
    return f"  {row.label:<{widest}}  {state}  {one_line(row.last_line, 200)}"


class _Stderr:
    """A text stream for rich over our console's stderr."""

    encoding = "utf-8"

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> int:
        self._console.write("err", text.encode("utf-8", "replace"))
        return len(text)

    def flush(self) -> None:
        """Every write is flushed already."""

    def isatty(self) -> bool:
        return True
