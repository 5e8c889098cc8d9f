"""The picture of `inv watch` and `inv specialists`: a panel for each host, totals at the foot. Pure.

`frame` gives its lines, each at most `width` terminal cells wide. Without a height all is shown; with one, exactly so
many lines: long lists are folded with a count, and what is still too long is seen through a window that scrolls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgummy.render.cells import Line, Span, cut_line, fill_line, legible, line_width, paint
from dgummy.render.panels import ASCII, UNICODE, Glyphs, Panel, Pen, money, panel
from dgummy.units import format_count
from dgummy.views import ClusterView, ViewFilter, ordered

_LEAST_PANEL = 70
_NARROWEST = 12
_HIGH_ENOUGH_FOR_A_BOX = 30
_FOLDS = (12, 8, 6, 4, 3)
_TITLE = "DISTRIBUTED SPECIALIST DASHBOARD"

HELP = (
    ("q, Ctrl-C", "quit"),
    ("p", "pause, and go on"),
    ("s", "sort hosts: as listed, by name, active, cost, load"),
    ("f, /", "filter by a text; Enter keeps it, Esc clears it"),
    ("Up, Down, k, j", "select a running command, or scroll"),
    ("PgUp, PgDn, Space", "scroll by a page; Home and End to the ends"),
    ("Enter", "follow the selected command's log"),
    ("x", "unfold long lists, and fold them again"),
    ("?", "this help; any key closes it"),
)


@dataclass(frozen=True)
class Look:
    """How a view is drawn, and what of it.

    width, height: in cells and lines; no height draws all there is. ascii_only: plain ASCII, foreign text too.
    sort: a key of `views.SORTS`, or "". filter_text: only what holds it is drawn; the totals stay those of all.
    typing: the filter is being typed. scroll: the first line of the window. selected: the id of a run to be marked;
    reveal: the window moves to where it is. unfold: lists are not folded. help: the keys instead of the hosts.
    message: a sentence for the last line.
    """

    width: int
    height: int | None = None
    ascii_only: bool = False
    colour: bool = False
    sort: str = ""
    paused: bool = False
    filter_text: str = ""
    typing: bool = False
    scroll: int = 0
    selected: str = ""
    reveal: bool = False
    unfold: bool = False
    help: bool = False
    message: str = ""

    @property
    def glyphs(self) -> Glyphs:
        """The signs to draw with."""
        return ASCII if self.ascii_only else UNICODE


@dataclass(frozen=True)
class Picture:
    """A frame: its lines, where its window was put in the end, how far it could go, and how many lines it shows."""

    lines: list[str]
    scroll: int = 0
    last_scroll: int = 0
    page: int = 0


def frame(view: ClusterView, look: Look) -> list[str]:
    """The lines of a picture."""
    return draw(view, look).lines


def draw(view: ClusterView, look: Look) -> Picture:
    """Draw a picture, and say where its window was put."""
    head, foot = _head(view, look), _foot(view, look)
    shown = shown_view(view, look)
    hidden = len(view.hosts) - len(shown.hosts)
    if look.height is None:
        body, _ = _body(shown, look, None, hidden)
        return Picture(_painted([*head, *body, *foot], look))
    if look.height < len(head) + len(foot) + 3:
        head = []
    foot = foot[: look.height]
    page = max(0, look.height - len(head) - len(foot))
    body, runs = (_help(), {}) if look.help else _folded(shown, look, page, hidden)
    last = max(0, len(body) - page)
    scroll = min(max(0, 0 if look.help else look.scroll), last)
    if look.reveal and look.selected in runs:
        at = runs[look.selected]
        scroll = min(max(scroll, at + 2 - page), last, at - 1)  # with the line below it, and the one above
    window = body[scroll : scroll + page]
    window += [[]] * (page - len(window))
    if last:
        foot[-1] = _with_position(foot[-1], scroll, page, len(body), look)
    return Picture(_painted([*head, *window, *foot], look), scroll, last, page)


def shown_view(view: ClusterView, look: Look) -> ClusterView:
    """What of a view is drawn, in the order of the picture. A host with nothing that the filter wants is left out."""
    found = ViewFilter(text=look.filter_text)(view)
    if look.filter_text:
        wanted = look.filter_text.lower()
        kept = (one for one in found.hosts if one.specialists or one.tasks or one.runs or wanted in one.host.lower())
        found = ClusterView(found.at, tuple(kept), found.interval_s)
    return ordered(found, look.sort)


def run_ids(view: ClusterView, look: Look) -> list[str]:
    """The runs that can be selected, in the order of the picture."""
    return [run.run_id for host in shown_view(view, look).hosts for run in host.runs]


def _painted(lines: Sequence[Line], look: Look) -> list[str]:
    mark = look.glyphs.mark
    return [paint(cut_line(line, look.width, mark), colour=look.colour).rstrip(" ") for line in lines]


# -- the panels -----------------------------------------------------------------------------------------------------


def _folded(view: ClusterView, look: Look, page: int, hidden: int) -> tuple[list[list[Span]], dict[str, int]]:
    """The panels with lists folded as little as lets all of them be seen at once, or as much as is sensible."""
    whole = _body(view, look, None, hidden)
    if look.unfold or len(whole[0]) <= page:
        return whole
    least = _body(view, look, _FOLDS[-1], hidden)
    if len(least[0]) > page:
        return least
    drawn = (_body(view, look, fold, hidden) for fold in _FOLDS)
    return next((one for one in drawn if len(one[0]) <= page), least)


def _body(view: ClusterView, look: Look, fold: int | None, hidden: int) -> tuple[list[list[Span]], dict[str, int]]:
    """All panels, as many side by side as fit; and in which line each run stands."""
    across = max(1, min((look.width + 1) // (_LEAST_PANEL + 1), len(view.hosts)))
    room = max(_NARROWEST, (look.width - (across - 1)) // across) - 4
    pen = Pen(view, room, look.glyphs, fold, look.selected)
    lines: list[list[Span]] = []
    runs: dict[str, int] = {}
    panels = [panel(host, pen) for host in view.hosts]
    for first in range(0, len(panels), across):
        row = panels[first : first + across]
        runs.update({run_id: len(lines) + 1 + at for one in row for run_id, at in one.runs.items()})
        lines += _side_by_side(row, room, look.glyphs)
    if hidden:
        lines.append([Span(f"+ {format_count(hidden, 'host')} without a match", "dim")])
    elif not view.hosts:
        lines.append([Span("no hosts", "dim")])
    return lines, runs


def _side_by_side(row: Sequence[Panel], room: int, glyphs: Glyphs) -> list[list[Span]]:
    height = max(len(one.lines) for one in row) + 2
    boxes = [one.boxed(room, height, glyphs) for one in row]
    lines = []
    for parts in zip(*boxes, strict=True):
        line = list(parts[0])
        for part in parts[1:]:
            line += [Span(" "), *part]
        lines.append(line)
    return lines


def _help() -> list[list[Span]]:
    return [[], *([Span(f"  {keys:<20}", "bold"), Span(what)] for keys, what in HELP)]


# -- what stands around them ----------------------------------------------------------------------------------------


def _head(view: ClusterView, look: Look) -> list[list[Span]]:
    """The title, in a box where there is room, with the time and what is out of the ordinary."""
    glyphs = look.glyphs
    said = [view.at.astimezone().strftime("%H:%M:%S")]
    said += [f"sorted by {look.sort}"] if look.sort else []
    said += [f"filter: {_typed(look)}"] if look.filter_text and not look.typing else []
    about = f" {glyphs.dot} ".join(said)
    paused = [Span("PAUSED", "warning"), Span(f" {glyphs.dot} ")] if look.paused else []
    right = [*paused, Span(about, "dim")]
    boxed = look.width >= _LEAST_PANEL and (look.height is None or look.height >= _HIGH_ENOUGH_FOR_A_BOX)
    room = look.width - 4 if boxed else look.width
    if len(_TITLE) + 2 + line_width(right) > room and not boxed:
        line = cut_line([Span("DASHBOARD", "title"), Span("  "), *right], room, glyphs.mark)
        return [line]
    title = fill_line([Span(_TITLE, "title")], max(len(_TITLE) + 2, room - line_width(right)))
    line = fill_line([*title, *right], room, glyphs.mark)
    if not boxed:
        return [line]
    box = glyphs.double
    rule = box[4] * (look.width - 2)
    return [
        [Span(box[0] + rule + box[1])],
        [Span(f"{box[5]} "), *line, Span(f" {box[5]}")],
        [Span(box[2] + rule + box[3])],
    ]


def _foot(view: ClusterView, look: Look) -> list[list[Span]]:
    """The totals; below them, on a screen, the keys or what is being typed."""
    lines = [[Span(_total(view, look.glyphs), "bold")], [Span(_total_cost(view, look.glyphs), "bold")]]
    if look.height is None:
        return lines
    if look.typing:
        return [
            *lines,
            [Span("filter: "), Span(_typed(look), "bold"), Span("_"), Span("   Enter keeps, Esc clears", "dim")],
        ]
    if look.message:
        return [*lines, [Span(look.message, "warning")]]
    keys = "q quit  p pause  s sort  f filter  Enter log  ? help"
    return [*lines, [Span(keys.replace("p pause", "p go on") if look.paused else keys, "dim")]]


def _typed(look: Look) -> str:
    return legible(look.filter_text, ascii_only=look.ascii_only)


def _with_position(line: list[Span], scroll: int, page: int, size: int, look: Look) -> list[Span]:
    """Say at the end of a line what part of the whole the window shows."""
    position = f"{scroll + 1}-{min(size, scroll + page)} of {size}"
    room = look.width - len(position) - 2
    return [*fill_line(line, room, look.glyphs.mark), Span("  "), Span(position, "dim")] if room > 0 else line


def _total(view: ClusterView, glyphs: Glyphs) -> str:
    totals = view.totals
    text = f"Total: {format_count(totals.active, 'active specialist')} across {format_count(totals.hosts, 'host')}"
    silent = sum(one.failure is not None for one in view.hosts)
    asked = len(view.hosts) - totals.hosts - silent
    others = [f"{silent} not answering"] if silent else []
    others += [f"{asked} being asked"] if asked else []
    return text + "".join(f" {glyphs.dot} {one}" for one in others)


def _total_cost(view: ClusterView, glyphs: Glyphs) -> str:
    """What is known of today's cost. It is not all while a host's is unknown or its figures are old."""
    totals = view.totals
    running = f" {glyphs.dot} {format_count(totals.runs, 'command')} running" if totals.runs else ""
    if totals.cost_today_usd is None:
        return f"Total cost today: cost ?{running}"
    known = all(one.cost_today_usd is not None and not view.is_stale(one) for one in view.hosts)
    return f"Total cost today: {money(totals.cost_today_usd, glyphs, complete=totals.cost_complete and known)}{running}"
