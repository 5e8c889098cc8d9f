"""The page of `inv watch --html`: what the dashboard shows and a timeline of the day, in one file. Pure.

It names nothing outside itself and has no scripts: its policy forbids both to whatever slips through, and allows the
one style sheet by its hash alone. All that hosts say is cleaned and escaped (`render.markup`).
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from datetime import datetime

from dgummy.render.markup import attribute, clock, facts, folded, money, text, zone
from dgummy.render.pagehosts import anchor, panels, trouble
from dgummy.render.pagestyle import STYLE
from dgummy.render.pagetimeline import timeline as timeline_of
from dgummy.units import format_count, format_duration
from dgummy.views import ClusterView, TimelineEntry

_TROUBLES_AT_ONCE = 6


def page(
    view: ClusterView,
    timeline: Sequence[TimelineEntry],
    *,
    day_start: datetime,
    refresh_s: float,
    title: str = "dgummy",
) -> str:
    """The whole document. A browser loads it anew every `refresh_s` seconds; never if that is 0.

    `day_start` is where the timeline begins, `view.at` where it ends.
    """
    runs = timeline_of([host.host for host in view.hosts], timeline, day_start, view.at)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n{_head(view, refresh_s, title)}<body>\n'
        f"{_header(view, title)}\n<main>\n{panels(view)}\n"
        f'<section class="timeline" aria-label="Timeline"><h2>Runs today</h2>\n{runs}\n</section>\n'
        f"</main>\n{_footer(view, refresh_s)}\n</body>\n</html>\n"
    )


def _head(view: ClusterView, refresh_s: float, title: str) -> str:
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    refresh = f'<meta http-equiv="refresh" content="{math.ceil(refresh_s)}">\n' if refresh_s > 0 else ""
    totals = view.totals
    return (
        '<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n{refresh}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{attribute(title)}: {totals.active:,} active, {totals.hosts:,} of {_hosts(view)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n"
    )


def _header(view: ClusterView, title: str) -> str:
    totals = view.totals
    at = f"{clock(view.at, view.at, seconds=True)}</b> on {view.at.astimezone():%Y-%m-%d}"
    glance = [
        f"<b>{totals.hosts:,}</b> of {_hosts(view)} answer",
        f"<b>{totals.active:,}</b> active",
        f"<b>{totals.runs:,}</b> {'command' if totals.runs == 1 else 'commands'}",
        f"today <b>{_cost(view)}</b>",
    ]
    return (
        f'<header><h1>{text(title)}</h1><p class="when">as of <b>{at} ({zone(view.at)})</p>'
        f'<p class="glance">{" ".join(f"<span>{one}</span>" for one in glance)}</p>{_troubles(view)}</header>'
    )


def _troubles(view: ClusterView) -> str:
    """The hosts whose figures are not what they are now, each with a link to its panel."""
    found = [
        f'<a href="#{anchor(index)}">{text(host.host, 80)}</a> {wrong}'
        for index, host in enumerate(view.hosts)
        if (wrong := trouble(view, host))
    ]
    return f'<div class="troubles">{folded(found, "host in trouble", _TROUBLES_AT_ONCE)}</div>' if found else ""


def _footer(view: ClusterView, refresh_s: float) -> str:
    totals = view.totals
    refresh = f"loaded anew every {format_duration(refresh_s)}" if refresh_s > 0 else ""
    return (
        f"<footer><p>Total: <b>{format_count(totals.specialists, 'specialist')}</b>, <b>{totals.active:,}</b> active,"
        f" <b>{format_count(totals.runs, 'command')}</b>, <b>{totals.hosts:,}</b> of {_hosts(view)} answer</p>"
        f"<p>Total today: <b>{_cost(view)}</b></p>{facts([refresh])}</footer>"
    )


def _hosts(view: ClusterView) -> str:
    return format_count(len(view.hosts), "host")


def _cost(view: ClusterView) -> str:
    """Of all hosts. What those cost by now that do not answer is not known."""
    known = all(host.reachable and host.cost_today_usd is not None for host in view.hosts)
    return money(view.totals.cost_today_usd, complete=view.totals.cost_complete and known)
