"""One host of the dashboard: its figures, specialists, agents' tasks and commands, in a box. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dgummy.render.cells import Line, Span, cut, cut_line, fill, fill_line, legible, line_width
from dgummy.render.signs import ASCII_SIGNS, SIGNS
from dgummy.units import format_count, format_duration
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, Specialist, SpecialistState

T = TypeVar("T")


@dataclass(frozen=True)
class Glyphs:
    """The signs of a picture. `box` is ┌ ┐ └ ┘ ─ │, `double` the same."""

    box: str
    double: str
    full: str
    empty: str
    unknown: str
    dot: str
    mark: str
    at_least: str
    below: str
    runs: str
    up: str
    down: str
    states: Mapping[SpecialistState, str]


UNICODE = Glyphs(
    box="┌┐└┘─│", double="╔╗╚╝═║", full="█", empty="░", unknown="·", dot="·", mark="…", at_least="≥", below="└",
    runs="▶", up="✓", down="✗",
    states=SIGNS,
)  # fmt: skip
ASCII = Glyphs(
    box="++++-|", double="++++=|", full="#", empty=".", unknown="-", dot="|", mark="...", at_least=">=", below="`",
    runs=">", up="+", down="x",
    states=ASCII_SIGNS,
)  # fmt: skip

_STATE_STYLES = {
    "active": "good",
    "dormant": "dim",
    "new": "",
    "stopped": "warning",
    "failed": "bad",
    "unreadable": "warning",
}
_BUSY_PCT, _FULL_PCT = 60.0, 85.0
_LEAST_NAME = 14
_LONGEST_BAR = 24
_SHORT_ID = 8
_LOAD_CELLS = len("load 10.25 on 16 cores")
_MOST_NOTICES = 2
# Name and width of what stands behind a row's name; where there is little room, the first to go is the last here.
_COLUMNS = (("cost", 12), ("state", 8), ("count", 13), ("ident", 8), ("when", 9))


@dataclass(frozen=True)
class Pen:
    """How a panel is drawn: over `room` cells inside its box, at most `fold` rows of each list (None: all)."""

    view: ClusterView
    room: int
    glyphs: Glyphs = UNICODE
    fold: int | None = None
    selected: str = ""

    def text(self, foreign: str, limit: int = 300) -> str:
        """What a host says, made safe."""
        return legible(foreign, ascii_only=self.glyphs is ASCII, limit=limit)


@dataclass(frozen=True)
class Panel:
    """A host's box: its title, its lines without the frame, and in which of these each run stands."""

    title: list[Span]
    right: list[Span]
    lines: list[list[Span]]
    runs: dict[str, int] = field(default_factory=dict)

    def boxed(self, room: int, height: int, glyphs: Glyphs) -> list[list[Span]]:
        """Draw it `room` + 4 cells wide, and `height` lines high."""
        down, across = glyphs.box[5], glyphs.box[4]
        blank: list[Span] = []
        inner = [*self.lines, *[blank] * (height - 2 - len(self.lines))]
        rows = [
            [Span(down), *(line if _is_marked(line) else [Span(" "), *line]), Span(" " + down)]
            for line in (_filled(line, room, glyphs) for line in inner)
        ]
        return [self._top(room, glyphs), *rows, [Span(glyphs.box[2] + across * (room + 2) + glyphs.box[3])]]

    def _top(self, room: int, glyphs: Glyphs) -> list[Span]:
        across = glyphs.box[4]
        title = cut_line(self.title, room - 2, glyphs.mark)
        right = self.right if line_width(title) + line_width(self.right) + 5 <= room else []
        tail = [Span(" "), *right, Span(f" {across}")] if right else [Span(" ")]
        rule = across * (room + 2 - 2 - line_width(title) - line_width(tail))
        head = [Span(f"{glyphs.box[0]}{across} "), *title, Span(" ")]
        if right:
            return [*head, Span(rule[:-1]), *tail, Span(glyphs.box[1])]
        return [*head, Span(rule + glyphs.box[1])]


def _is_marked(line: Line) -> bool:
    return bool(line) and line[0].style == "selected"


def _filled(line: Line, room: int, glyphs: Glyphs) -> list[Span]:
    """Fill a line; a marked one begins a cell earlier, where others have a blank."""
    return fill_line(line, room + 1 if _is_marked(line) else room, glyphs.mark)


def panel(host: HostView, pen: Pen) -> Panel:
    """Draw a host."""
    lines = [*_trouble(host, pen), *_figures(host, pen)]
    lines += [line for one in _kept(host.specialists, pen) for line in _specialist(one, pen)]
    lines += _more(host.specialists, pen, "specialist")
    lines += [line for one in _kept(host.tasks, pen) for line in _task(one, host, pen)]
    lines += _more(host.tasks, pen, "task")
    runs = {}
    for one in _shown_runs(host.runs, pen):
        runs[one.run_id] = len(lines)
        lines += _command(one, pen)
    lines += _more(host.runs, pen, "command")
    dot = f" {pen.glyphs.dot} "
    title = [Span(pen.text(host.host, 80), "bold"), Span(dot), _state(host, pen)]
    right = [part for part in (cost_today(host, pen.glyphs), _age(host, pen.view.at)) if part]
    return Panel(title, [Span(dot.join(right), "dim")] if right else [], lines, runs)


def _kept(items: Sequence[T], pen: Pen) -> Sequence[T]:
    """Those that are not folded away. A single one stays: to count it would take as much room."""
    return items if pen.fold is None or len(items) <= pen.fold + 1 else items[: pen.fold]


def _shown_runs(runs: Sequence[RunningCommand], pen: Pen) -> Sequence[RunningCommand]:
    """The same, and the selected one always."""
    shown = _kept(runs, pen)
    chosen = [one for one in runs[len(shown) :] if one.run_id == pen.selected]
    return [*shown[:-1], *chosen] if chosen else shown


def _more(items: Sequence[T], pen: Pen, noun: str) -> list[list[Span]]:
    hidden = len(items) - len(_kept(items, pen))
    return [[Span(f"   + {format_count(hidden, f'more {noun}')}", "dim")]] if hidden else []


# -- the host itself ------------------------------------------------------------------------------------------------


def _state(host: HostView, pen: Pen) -> Span:
    if host.taken_at is None:
        return Span(f"{pen.glyphs.down} no answer", "bad") if host.failure else Span("asking", "dim")
    if pen.view.is_stale(host):
        return Span("! stale", "warning")
    return Span(f"{pen.glyphs.up} up", "good")


def _age(host: HostView, now: datetime) -> str:
    age_s = host.age_s(now)
    return "" if age_s is None else f"{_short(age_s)} ago"


def _short(seconds: float) -> str:
    """A duration without fractions of a second, so that a picture changes once a second at most."""
    return format_duration(seconds) if seconds >= 9.5 else f"{round(max(0.0, seconds))} s"


def _trouble(host: HostView, pen: Pen) -> list[list[Span]]:
    """Why its figures are not new, what to do about it, and what it has to say."""
    lines: list[list[Span]] = []
    if host.failure is not None:
        lines.append([Span(f"{pen.glyphs.down} {pen.text(str(host.failure))}", "bad")])
        if host.failure.remedy:
            lines.append([Span(f"  {pen.text(host.failure.remedy)}", "dim")])
    elif pen.view.is_stale(host):
        lines.append([Span("! the newest look is not answered yet; these are the last figures", "warning")])
    lines += [[Span(f"! {pen.text(one)}", "warning")] for one in host.notices[:_MOST_NOTICES]]
    hidden = len(host.notices) - _MOST_NOTICES
    return [*lines, [Span(f"  + {hidden} more notices", "dim")]] if hidden > 0 else lines


def _figures(host: HostView, pen: Pen) -> list[list[Span]]:
    """Bars of CPU, memory and I/O; on a line of their own each where there is no room for three."""
    sample = host.sample
    if sample is None:
        return []
    figures = (("CPU", sample.cpu_pct), ("MEM", sample.mem_pct), ("I/O", sample.io_pct))
    load = "load ?" if sample.load1 is None else f"load {sample.load1:.2f}"
    load += "" if sample.cores is None else f" on {sample.cores:g} cores"
    faded = pen.view.is_stale(host)
    # A figure is its name, a bar and "100%", with blanks between; three blanks stand between two figures.
    bar = (pen.room - 3 * 9 - 2 * 3) // 3
    if bar < 3:
        bars = [_bar(name, pct, max(3, pen.room - 9), pen.glyphs, faded) for name, pct in figures]
        return [*bars, [Span(load, "dim")]]
    with_load = (pen.room - 3 * 9 - 3 * 3 - _LOAD_CELLS) // 3
    bar = min(with_load if with_load >= 8 else bar, _LONGEST_BAR)
    line = [span for name, pct in figures for span in (*_bar(name, pct, bar, pen.glyphs, faded), Span("   "))]
    return [[*line, Span(load, "dim")] if with_load >= 8 else line[:-1]]


def _bar(name: str, pct: float | None, cells: int, glyphs: Glyphs, faded: bool) -> list[Span]:
    if pct is None:
        return [Span(f"{name} "), Span(glyphs.unknown * cells, "dim"), Span("    ?")]
    pct = min(100.0, max(0.0, pct))
    full = round(pct * cells / 100)
    style = "dim" if faded else "bad" if pct >= _FULL_PCT else "warning" if pct >= _BUSY_PCT else "good"
    return [
        Span(f"{name} "),
        Span(glyphs.full * full, style),
        Span(glyphs.empty * (cells - full), "dim"),
        Span(f" {pct:3.0f}%"),
    ]


# -- its rows -------------------------------------------------------------------------------------------------------


def _row(sign: Span, name: list[Span], cells: dict[str, Span], pen: Pen, only: str = "cost") -> list[Span]:
    """A sign, a name over all the room there is, and columns behind it, as many as leave the name enough.

    Where that is one column alone, it shows the cell named `only`.
    """
    columns = list(_COLUMNS)
    while columns and pen.room - 3 - sum(2 + size for _, size in columns) < _LEAST_NAME:
        columns.pop()
    room = pen.room - 3 - sum(2 + size for _, size in columns)
    line = [Span(fill(sign.text, 3, ""), sign.style), *fill_line(name, max(0, room), pen.glyphs.mark)]
    sizes = dict(columns)
    if len(sizes) == 1:
        cells = {**cells, "cost": cells.get(only, Span(""))}
    for column in ("state", "count", "when", "ident", "cost"):
        if column in sizes:
            cell = cells.get(column, Span(""))
            line += [Span("  "), Span(fill(cell.text, sizes[column], pen.glyphs.mark), cell.style)]
    return line


def _below(text: str, pen: Pen) -> list[list[Span]]:
    """A line of its own about the row above, dim."""
    said = pen.text(text)
    return [[Span(f"   {pen.glyphs.below} {said}", "dim")]] if said else []


def _sign(state: SpecialistState, pen: Pen) -> Span:
    return Span(pen.glyphs.states[state], _STATE_STYLES[state.value])


def _specialist(one: Specialist, pen: Pen) -> list[list[Span]]:
    folder = one.project.rstrip("/").rpartition("/")[2]
    name = [Span(pen.text(one.name, 80) or "(no name)", "bold" if one.status is SpecialistState.ACTIVE else "")]
    if folder:
        name.append(Span(f" {pen.glyphs.dot} {pen.text(folder, 80)}", "dim"))
    if one.status is SpecialistState.UNREADABLE:
        line = [
            _sign(one.status, pen),
            Span("  "),
            *name,
            Span(f"  unreadable{': ' if one.reason else ''}{pen.text(one.reason)}", "warning"),
        ]
        return [line]
    cells = {
        "state": Span(one.status.value, _STATE_STYLES[one.status.value]),
        "count": Span(f"Sessions: {'?' if one.sessions is None else one.sessions}"),
        "ident": Span(_short_id(one.session_id, pen), "dim"),
        "when": Span(_since(one.last_active, pen.view.at), "dim"),
        "cost": cost(one.cost_usd),
    }
    row = _row(_sign(one.status, pen), name, cells, pen)
    return [row, *(_below(one.reason, pen) if one.status is SpecialistState.FAILED else [])]


def _task(one: AgentTask, host: HostView, pen: Pen) -> list[list[Span]]:
    active = one.status is SpecialistState.ACTIVE
    name = [Span(pen.text(one.task_id, 80), "bold" if active else "")]
    if one.mode:
        name.append(Span(f" {pen.glyphs.dot} {pen.text(one.mode, 20)}", "dim"))
    age_s = _host_now(host, pen.view.at) - one.started_at_s
    cells = {
        "state": Span(_ended(one.status), _STATE_STYLES[one.status.value]),
        "count": Span(_short(age_s) if active else ""),
        "ident": Span(_short_id(one.session_id, pen), "dim"),
        "when": Span("" if active else _ago(age_s), "dim"),
        "cost": cost(one.cost_usd),
    }
    row = _row(_sign(one.status, pen), name, cells, pen)
    return [row, *(_below(one.last_line, pen) if one.status is not SpecialistState.DORMANT else [])]


def _ended(status: SpecialistState) -> str:
    return "done" if status is SpecialistState.DORMANT else status.value


def _command(one: RunningCommand, pen: Pen) -> list[list[Span]]:
    chosen = one.run_id == pen.selected
    glyphs = pen.glyphs
    cells = {
        "state": Span("running" if one.started else "starting", "good" if one.started else "warning"),
        "count": Span(_short(one.age_s)),
        "ident": Span(_short_id(one.run_id.rpartition("-")[2], pen), "dim"),
        "cost": Span(pen.text(one.owner, 80), "dim"),
    }
    name = [Span(pen.text(one.command) or pen.text(one.run_id, 80), "bold")]
    row = _row(Span(glyphs.runs, "good" if one.started else "warning"), name, cells, pen, only="count")
    if chosen:
        row = [Span(">" + "".join(span.text for span in row), "selected")]
    return [row, *_below(one.last_line, pen)]


# -- figures --------------------------------------------------------------------------------------------------------


def _host_now(host: HostView, now: datetime) -> float:
    """What the host's clock shows, in epoch seconds."""
    offset_s = host.sample.clock_offset_s if host.sample else None
    return now.timestamp() + (offset_s or 0.0)


def _since(text: str | None, now: datetime) -> str:
    """How long ago a time that a host wrote down was; "" if it is none."""
    try:
        moment = datetime.fromisoformat((text or "").strip().replace("Z", "+00:00"))
        return _ago((now - moment).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return ""


def _ago(seconds: float) -> str:
    """`42 s ago`, `3 m ago`, `5 h ago`, `2 d ago`: at most eight cells for ten thousand days."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def _short_id(ident: str | None, pen: Pen) -> str:
    return cut(pen.text(ident or "", 80), _SHORT_ID, "")


def money(usd: float, glyphs: Glyphs, *, complete: bool = True) -> str:
    """`$0.02`, `≥$0.02` where that is not all. What is below a cent says so, for $0.00 would be wrong."""
    text = "<$0.01" if 0 < usd < 0.005 else f"${usd:,.2f}"
    return text if complete else glyphs.at_least + text


def cost(usd: float | None) -> Span:
    """`Cost: $0.02`, or `cost ?`."""
    return Span("cost ?", "dim") if usd is None else Span(f"Cost: {money(usd, UNICODE)}")


def cost_today(host: HostView, glyphs: Glyphs) -> str:
    """What a host's title says of its agents' cost; nothing before it has answered."""
    if host.taken_at is None:
        return ""
    if host.cost_today_usd is None:
        return "cost ? today"
    if not host.cost_today_usd and host.cost_complete and not (host.specialists or host.tasks):
        return ""
    return f"{money(host.cost_today_usd, glyphs, complete=host.cost_complete)} today"
