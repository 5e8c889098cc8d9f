"""The timeline of the page: today's runs of each host as bars from the day's start to now. Pure.

Where a bar is, is in attributes of inline SVG, in percent of the width: the page's policy allows no style attributes.
What a bar shows by colour it shows by its sign or its outline too, and the list below the bars says it in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from dgummy.render.markup import attribute, clock, duration, folded, sign, text
from dgummy.units import format_count
from dgummy.views import TimelineEntry

LEAST_PCT = 0.4
"""How wide a bar is at least: one of no length is still seen, on a phone too."""
MOST_LANES = 6
"""How many bars are put below each other for one host. What does not fit is drawn over others."""
MOST_DRAWN = 400
"""How many runs of one host are drawn and listed: the newest."""
_HOSTS_AT_ONCE = 20
_MOST_STEPS = 5
_STEPS_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440)
_LABELLED_PCT = 3.0
_EDGE_PCT = 2.0
_NO_TICK_AFTER_PCT = 84.0
_LANE_EM, _BAR_EM, _BASE_EM = 1.7, 1.4, 1.02

_STATES = {
    "pending": ("…", "warn"),
    "syncing": ("⇅", "busy"),
    "running": ("►", "busy"),
    "ok": ("✓", "good"),
    "failed": ("✗", "bad"),
    "timed_out": ("✗", "bad"),
    "sync_failed": ("✗", "bad"),
    "unreachable": ("✗", "bad"),
    "refused": ("✗", "bad"),
    "cancelled": ("■", "warn"),
    "lost": ("?", "warn"),
    "skipped": ("–", "muted"),
}
_UNKNOWN = ("◇", "muted")


class Span(msgspec.Struct, frozen=True):
    """Where a bar begins and how wide it is, in percent of the day so far; `cut` began before the day."""

    left_pct: float
    width_pct: float
    cut: bool = False

    @property
    def right_pct(self) -> float:
        """Where it ends."""
        return self.left_pct + self.width_pct


def place(entry: TimelineEntry, day_start: datetime, now: datetime) -> Span | None:
    """The bar of a run, all of it between 0 and 100; None if it was over before the day began."""
    ended_at = now if entry.ended_at is None else entry.ended_at
    if ended_at < day_start:
        return None
    begin, end = (_percent(moment, day_start, now) for moment in (entry.started_at, ended_at))
    width_pct = max(LEAST_PCT, end - begin)
    return Span(min(begin, 100.0 - width_pct), width_pct, cut=entry.started_at < day_start)


def _percent(moment: datetime, day_start: datetime, now: datetime) -> float:
    whole_s = max(1.0, (now - day_start).total_seconds())
    return min(100.0, max(0.0, 100.0 * (moment - day_start).total_seconds() / whole_s))


def lanes(spans: Sequence[Span]) -> list[int]:
    """A lane for each bar (they come by their begin), so that none hides another as long as there is room."""
    free_from: list[float] = []
    given: list[int] = []
    for span in spans:
        fits = next((lane for lane, end in enumerate(free_from) if end <= span.left_pct), None)
        if fits is None and len(free_from) < MOST_LANES:
            fits = len(free_from)
            free_from.append(0.0)
        if fits is None:
            fits = len(given) % MOST_LANES
        free_from[fits] = max(free_from[fits], span.right_pct)
        given.append(fits)
    return given


def timeline(hosts: Iterable[str], entries: Sequence[TimelineEntry], day_start: datetime, now: datetime) -> str:
    """All of it: a row for each host that had a run, those of the view first; how many hosts had none."""
    of_host: dict[str, list[tuple[TimelineEntry, Span]]] = {host: [] for host in hosts}
    for entry in sorted(entries, key=lambda one: one.started_at):
        span = place(entry, day_start, now)
        if span is not None:
            of_host.setdefault(entry.host, []).append((entry, span))
    rows = [_row(host, found, day_start, now) for host, found in of_host.items() if found]
    if not rows:
        return '<p class="empty">No runs today.</p>'
    axis = f'<div class="axis row"><span></span>{_axis(day_start, now)}</div>'
    idle = len(of_host) - len(rows)
    quiet = f'<p class="empty">No runs today: {format_count(idle, "host")}</p>' if idle else ""
    return f"{_legend(of_host.values())}{axis}{_rows(rows)}{axis}{quiet}"


def _rows(rows: Sequence[str]) -> str:
    shown, rest = rows[:_HOSTS_AT_ONCE], rows[_HOSTS_AT_ONCE:]
    if not rest:
        return "".join(shown)
    count = format_count(len(rest), "more host")
    return f"{''.join(shown)}<details><summary>and {count}</summary>{''.join(rest)}</details>"


def _legend(found_on: Iterable[Sequence[tuple[TimelineEntry, Span]]]) -> str:
    found = Counter(entry.state for found in found_on for entry, _ in found)
    return f'<p class="legend">{_counted(found)}</p>'


def _counted(found: Mapping[str, int]) -> str:
    """`✓ 10 ok ✗ 1 failed`: the known states in their order, what is unknown after them."""
    order = [*(state for state in _STATES if state in found), *sorted(set(found) - set(_STATES))]
    return " ".join(_state(state, f"{found[state]:,} ") for state in order)


def _state(state: str, before: str = "") -> str:
    mark, style = _STATES.get(state, _UNKNOWN)
    return sign(mark, before + _word(state), style)


def _word(state: str) -> str:
    return attribute(state.replace("_", " "), 24) or "unknown"


# -- one host ---------------------------------------------------------------------------------------------------------


def _row(host: str, found: Sequence[tuple[TimelineEntry, Span]], day_start: datetime, now: datetime) -> str:
    kept = found[-MOST_DRAWN:]
    name = text(host, 80) if host else "no host took it"
    summary = _counted(Counter(entry.state for entry, _ in found))
    listed = [_listed(entry, now) for entry, _ in reversed(kept)]
    left_out = len(found) - len(kept)
    more = f'<p class="empty">and {format_count(left_out, "earlier run")}, not shown here</p>' if left_out else ""
    return (
        f'<div class="row"><h3>{name}</h3>{_bars(kept, day_start, now)}'
        f"<details><summary>{format_count(len(found), 'run')}: {summary}</summary>"
        f"{folded(listed, 'run', len(listed))}{more}</details></div>"
    )


def _bars(found: Sequence[tuple[TimelineEntry, Span]], day_start: datetime, now: datetime) -> str:
    given = lanes([span for _, span in found])
    bars = [
        (entry.state == "ok", _bar(entry, span, lane, now)) for (entry, span), lane in zip(found, given, strict=True)
    ]
    # What ended well is drawn first: where bars lie over each other, the others stay seen.
    drawn = "".join(bar for _, bar in sorted(bars, key=lambda one: not one[0]))
    grid = "".join(
        f'<line class="grid" x1="{at:.2f}%" x2="{at:.2f}%" y1="0" y2="100%"/>' for at, _ in ticks(day_start, now)
    )
    height = _LANE_EM * (max(given) + 1)
    return f'<svg class="lanes" height="{height:.1f}em" aria-hidden="true">{grid}{drawn}</svg>'


def _bar(entry: TimelineEntry, span: Span, lane: int, now: datetime) -> str:
    mark, style = _STATES.get(entry.state, _UNKNOWN)
    top = _LANE_EM * lane + (_LANE_EM - _BAR_EM) / 2
    going = " going" if entry.ended_at is None else ""
    x, width = f"{span.left_pct:.2f}%", f"{span.width_pct:.2f}%"
    label = ""
    if span.width_pct >= _LABELLED_PCT:
        inside = f"{'← ' if span.cut else ''}{mark} {attribute(entry.label or entry.run_id, 60)}"
        label = (
            f'<svg x="{x}" y="{top:.2f}em" width="{width}" height="{_BAR_EM}em">'
            f'<text x="5" y="{_BASE_EM}em">{inside}</text></svg>'
        )
    elif entry.state != "ok":
        middle = span.left_pct + span.width_pct / 2
        anchor = "start" if middle < _EDGE_PCT else "end" if middle > 100 - _EDGE_PCT else "middle"
        label = f'<text class="mark" x="{middle:.2f}%" y="{top + _BASE_EM:.2f}em" text-anchor="{anchor}">{mark}</text>'
    return (
        f'<g class="run {style}{going}"><title>{_told(entry, now)}</title>'
        f'<rect x="{x}" y="{top:.2f}em" width="{width}" height="{_BAR_EM}em" rx="3"/>{label}</g>'
    )


def _told(entry: TimelineEntry, now: datetime) -> str:
    """One run in words, for whoever points at its bar."""
    return f"{_word(entry.state)}: {attribute(entry.label or entry.run_id, 120)}, {_when(entry, now)}{_whose(entry)}"


def _when(entry: TimelineEntry, now: datetime) -> str:
    ended_at = entry.ended_at or now
    until = "now" if entry.ended_at is None else clock(ended_at, now)
    took = duration((ended_at - entry.started_at).total_seconds())
    return f"{clock(entry.started_at, now)}–{until}, {took}"


def _listed(entry: TimelineEntry, now: datetime) -> str:
    label = f"<code>{text(entry.label, 120)}</code>" if entry.label else ""
    return (
        f"{_state(entry.state)} {_when(entry, now)} {label} <small>{attribute(entry.run_id, 60)}{_whose(entry)}</small>"
    )


# -- the axis ---------------------------------------------------------------------------------------------------------


def _whose(entry: TimelineEntry) -> str:
    return f" · {attribute(entry.owner, 60)}" if entry.owner else ""


def ticks(day_start: datetime, now: datetime) -> list[tuple[float, datetime]]:
    """Whole steps since the day began, at most five, each with its place in percent."""
    whole_min = max(0.0, (now - day_start).total_seconds() / 60)
    step = next((minutes for minutes in _STEPS_MINUTES if whole_min / minutes <= _MOST_STEPS), _STEPS_MINUTES[-1])
    moments = [day_start + timedelta(minutes=step * number) for number in range(int(whole_min / step) + 1)]
    return [(_percent(moment, day_start, now), moment) for moment in moments[: _MOST_STEPS + 1]]


def _axis(day_start: datetime, now: datetime) -> str:
    shown = [(at, clock(moment, moment)) for at, moment in ticks(day_start, now) if at <= _NO_TICK_AFTER_PCT]
    marks = [
        f'<text x="{at:.2f}%" y="1em" text-anchor="{"middle" if at > 0 else "start"}">{told}</text>'
        for at, told in shown
    ]
    marks.append('<text x="100%" y="1em" text-anchor="end">now</text>')
    return f'<svg class="times" height="1.4em" aria-hidden="true">{"".join(marks)}</svg>'
