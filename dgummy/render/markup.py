"""Pieces of HTML that all parts of the page are made of. Pure, but for the local time zone.

Everything here that takes text from hosts gives it back cleaned, on one line and escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from datetime import datetime, timezone

from dgummy.render.text import one_line
from dgummy.units import format_count, format_duration

UNKNOWN_COST = "cost ?"


def text(value: str, width: int = 200) -> str:
    """Foreign text as content: `bdi` keeps what is written from right to left from moving its neighbours."""
    return f"<bdi>{attribute(value, width)}</bdi>"


def attribute(value: str, width: int = 200) -> str:
    """Foreign text between the quotes of an attribute, or where no element may stand."""
    return html.escape(one_line(value, width), quote=True)


def sign(mark: str, word: str, style: str) -> str:
    """A state: its sign, its word (both are HTML already) and its colour's class."""
    return f'<span class="state {style}"><span aria-hidden="true">{mark}</span> {word}</span>'


def facts(parts: Sequence[str]) -> str:
    """Small print: what is not empty, in one row that breaks between its parts. Parts are HTML."""
    shown = [f"<span>{part}</span>" for part in parts if part]
    return f'<p class="facts">{" ".join(shown)}</p>' if shown else ""


def folded(items: Sequence[str], noun: str, keep: int) -> str:
    """A list (items are HTML), of which all after the first `keep` are folded away under their count."""
    if not items:
        return ""
    if len(items) <= keep + 1:  # a fold takes as much room as the one that it hides
        keep = len(items) if keep else 0
    shown, rest = items[:keep], items[keep:]
    listed = _list(shown) if shown else ""
    if rest:
        count = f"and {format_count(len(rest), f'more {noun}')}" if shown else format_count(len(rest), noun)
        listed += f"<details><summary>{count}</summary>{_list(rest)}</details>"
    return listed


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def money(cost_usd: float | None, *, complete: bool = True) -> str:
    """`$0.08`, `$0.0012`, `≥ $0.08` where that is not all; what is not known is `cost ?`, never $0.00."""
    if cost_usd is None or not math.isfinite(cost_usd):
        return UNKNOWN_COST
    digits = 4 if 0 < cost_usd < 0.01 else 2
    shown = f"${cost_usd:,.{digits}f}"
    if float(f"{cost_usd:.{digits}f}") == 0 and not (cost_usd == 0 and complete):
        return "&lt;$0.0001" if complete else UNKNOWN_COST
    return shown if complete else f"≥ {shown}"


def duration(seconds: float) -> str:
    """A time span that a host told."""
    return format_duration(max(0.0, seconds)) if math.isfinite(seconds) else "?"


def clock(moment: datetime, now: datetime, *, seconds: bool = False) -> str:
    """Local time of day, with the date if that is not today's."""
    local, today = moment.astimezone(), now.astimezone().date()
    return local.strftime(("" if local.date() == today else "%Y-%m-%d ") + ("%H:%M:%S" if seconds else "%H:%M"))


def clock_of_epoch(epoch_s: float, now: datetime) -> str:
    """The same for seconds since 1970; `?` for what is no moment at all."""
    try:
        return clock(datetime.fromtimestamp(epoch_s, timezone.utc), now)
    except (ValueError, OverflowError, OSError):
        return "?"


def clock_of_text(value: str, now: datetime) -> str:
    """The same for a moment that a file names; as it stands there, escaped, if it is none."""
    try:
        moment = datetime.fromisoformat(value.strip().upper().replace("Z", "+00:00"))
        return clock(moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc), now)
    except (ValueError, OverflowError):
        return text(value, 30)


def zone(moment: datetime) -> str:
    """The local zone then, by name and by its distance from UTC: `CET, UTC+01:00`."""
    local = moment.astimezone()
    name, offset = local.tzname() or "", local.strftime("%z")
    distance = f"UTC{offset[:3]}:{offset[3:5]}"
    if name == "UTC":
        return name
    return f"{attribute(name)}, {distance}" if name[:1].isalpha() else distance
