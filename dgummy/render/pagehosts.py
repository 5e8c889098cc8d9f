"""The panels of the page, one for each host: its load, its specialists, its agents' tasks, what runs on it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from dgummy.model import Sample
from dgummy.render.markup import (
    attribute,
    clock,
    clock_of_epoch,
    clock_of_text,
    duration,
    facts,
    folded,
    money,
    sign,
    text,
)
from dgummy.render.signs import SIGNS
from dgummy.render.text import one_line
from dgummy.units import format_bytes, format_count
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, Specialist, SpecialistState

HOSTS_IN_FULL = 12
"""With more hosts than these, those where nothing is at work come last, in small panels; all lists are shorter."""
_KEEP_OF_FEW, _KEEP_OF_MANY, _KEEP_OF_QUIET = 8, 3, 0
_PANELS_AT_ONCE = 24
_BUSY_PCT, _FULL_PCT = 60.0, 85.0
_SESSION_CHARACTERS = 8

_STATES = {
    state: (SIGNS[state], state.value, style)
    for state, style in {
        SpecialistState.ACTIVE: "busy",
        SpecialistState.DORMANT: "muted",
        SpecialistState.NEW: "good",
        SpecialistState.STOPPED: "warn",
        SpecialistState.FAILED: "bad",
        SpecialistState.UNREADABLE: "bad",
    }.items()
}
_TASK_STATES = {**_STATES, SpecialistState.DORMANT: ("✓", "done", "good")}


def panels(view: ClusterView) -> str:
    """All hosts, in the view's order; of many hosts those first where there is something to see."""
    if not view.hosts:
        return '<p class="empty">There are no hosts to show.</p>'
    numbered = list(enumerate(view.hosts))
    if len(numbered) <= HOSTS_IN_FULL:
        return _group([_panel(view, host, anchor(index), _KEEP_OF_FEW) for index, host in numbered])
    quiet = [index for index, host in numbered if not (host.active or host.runs or trouble(view, host))]
    loud = [_panel(view, host, anchor(index), _KEEP_OF_MANY) for index, host in numbered if index not in quiet]
    calm = [_panel(view, view.hosts[index], anchor(index), _KEEP_OF_QUIET) for index in quiet]
    heading = f"<h2>Nothing is at work on {format_count(len(calm), 'host')}</h2>" if calm else ""
    return _group(loud) + heading + _group(calm, " quiet")


def _group(shown: Sequence[str], kind: str = "") -> str:
    """Panels beside each other; very many are folded away under their count."""
    if not shown:
        return ""
    first, rest = shown[:_PANELS_AT_ONCE], shown[_PANELS_AT_ONCE:]
    group = f'<div class="hosts{kind}">{"".join(first)}</div>'
    if not rest:
        return group
    count = format_count(len(rest), "more host")
    return f'{group}<details><summary>and {count}</summary><div class="hosts{kind}">{"".join(rest)}</div></details>'


def anchor(index: int) -> str:
    """The id of the panel of the host at that place of the view. Names of hosts are not for ids."""
    return f"host-{index + 1}"


def trouble(view: ClusterView, host: HostView) -> str:
    """What is wrong with what is shown of a host, as a state; "" if nothing is."""
    if host.failure is not None:
        return sign("✗", f"no answer: {text(str(host.failure), 300)}", "bad")
    if host.taken_at is None:
        return sign("…", "not asked yet" if host.asked_at is None else "waiting for its first answer", "warn")
    if view.is_stale(host):
        return sign("⚠&#xFE0E;", "stale: a new answer is overdue", "warn")
    return ""


def _panel(view: ClusterView, host: HostView, name: str, keep: int) -> str:
    wrong = trouble(view, host)
    heading = f'<h2>{text(host.host, 80)} <span class="age">{_age(view, host)}</span></h2>'
    parts = [
        heading,
        _trouble(view, host, wrong),
        _load(host.sample, brief=not keep),
        _lists(view, host, keep),
        _notices(host),
        _cost(host),
    ]
    stale = " stale" if wrong else ""
    label = attribute(host.host, 80)
    return f'<section class="host{stale}" id="{name}" aria-label="{label}">{"".join(parts)}</section>'


def _age(view: ClusterView, host: HostView) -> str:
    age_s = host.age_s(view.at)
    return "" if age_s is None else f"{duration(age_s)} old"


def _trouble(view: ClusterView, host: HostView, wrong: str) -> str:
    if not wrong:
        return ""
    parts = []
    if host.failure is not None and host.failure.remedy:
        parts.append(f"→ {text(host.failure.remedy, 300)}")
    if host.taken_at is not None:
        parts.append(f"Below is what it was at {clock(host.taken_at, view.at, seconds=True)}.")
    elif host.failure is not None:
        parts.append("It has not answered so far.")
    return f'<p class="trouble">{wrong}</p>{facts(parts)}'


# -- load -------------------------------------------------------------------------------------------------------------


def _load(sample: Sample | None, *, brief: bool) -> str:
    if sample is None:
        return ""
    rows = [_bar("CPU", sample.cpu_pct), _bar("Memory", sample.mem_pct), _bar("I/O", sample.io_pct)]
    bars = f'<div class="bars">{"".join(rows)}</div>'
    if brief:
        return bars
    cores = "" if sample.cores is None else format_count(int(sample.cores), "core")
    load = "" if sample.load1 is None else f"load {sample.load1:.2f}"
    disk = "" if sample.disk_free_bytes is None else f"{format_bytes(sample.disk_free_bytes)} free on disk"
    return bars + facts([load, cores, disk])


def _bar(label: str, pct: float | None) -> str:
    if pct is None:
        return f'<span>{label}</span><svg class="bar unknown" aria-hidden="true"></svg><b>?</b>'
    inside = min(100.0, max(0.0, pct))
    level = "full" if inside >= _FULL_PCT else "high" if inside >= _BUSY_PCT else "calm"
    return (
        f'<span>{label}</span><svg class="bar {level}" aria-hidden="true">'
        f'<rect width="{inside:.1f}%" height="100%"/></svg><b>{inside:.0f}%</b>'
    )


# -- what is on it ----------------------------------------------------------------------------------------------------


def _lists(view: ClusterView, host: HostView, keep: int) -> str:
    offset_s = (host.sample.clock_offset_s if host.sample else None) or 0.0
    lists = [
        ("command", "Running", [_run(one) for one in host.runs]),
        ("specialist", "Specialists", [_specialist(one, view) for one in host.specialists]),
        ("agent task", "Agent tasks", [_task(one, view, offset_s) for one in host.tasks]),
    ]
    shown = [_named(heading, items, noun, keep) for noun, heading, items in lists if items]
    if not shown and host.taken_at is not None:
        return '<p class="empty">Nothing runs here, and no specialist lives here.</p>'
    return "".join(shown)


def _named(heading: str, items: Sequence[str], noun: str, keep: int) -> str:
    return (f"<h3>{heading}</h3>" if keep else "") + folded(items, noun, keep)


def _specialist(one: Specialist, view: ClusterView) -> str:
    mark, word, style = _STATES[one.status]
    home = text(one.project, 120) if one.project else attribute(one.scope, 40)
    if one.status is SpecialistState.UNREADABLE:
        reason = sign(mark, f"{word}: {text(one.reason or 'no reason given')}", style)
        return _item("", f"{text(one.name or 'no name', 80)} {reason}", "", facts([home]))
    details = [
        home,
        "sessions ?" if one.sessions is None else format_count(one.sessions, "session"),
        _session(one.session_id),
        f"last active {clock_of_text(one.last_active, view.at)}" if one.last_active else "never active",
    ]
    said = _said(one.reason)
    return _item(sign(mark, word, style), text(one.name, 80), money(one.cost_usd), facts(details) + said)


def _task(one: AgentTask, view: ClusterView, offset_s: float) -> str:
    mark, word, style = _TASK_STATES[one.status]
    began = f"started {clock_of_epoch(one.started_at_s - offset_s, view.at)}"
    details = facts([attribute(one.mode, 20), began, _session(one.session_id)])
    return _item(sign(mark, word, style), text(one.task_id, 80), money(one.cost_usd), details + _said(one.last_line))


def _run(one: RunningCommand) -> str:
    state = sign("►", "running", "busy") if one.started else sign("…", "preparing", "warn")
    details = [attribute(one.run_id, 60) if one.command else "", text(one.workspace, 120) if one.workspace else ""]
    details.append(f"by {text(one.owner, 60)}" if one.owner else "")
    command = f"<code>{text(one.command or one.run_id)}</code>"
    return _item(state, command, duration(one.age_s), facts(details) + _said(one.last_line))


def _item(state: str, name: str, figure: str, more: str) -> str:
    shown = f'<span class="figure">{figure}</span> ' if figure else ""
    return f'<div class="item"><p class="head">{state} <b>{name}</b></p>{shown}{more}</div>'


def _session(session_id: str | None) -> str:
    if not session_id:
        return "no session"
    short = one_line(session_id, 1000)[:_SESSION_CHARACTERS]
    return f"session {text(short)}"


def _said(line: str) -> str:
    return f'<p class="said">{text(line, 240)}</p>' if line.strip() else ""


def _notices(host: HostView) -> str:
    return "".join(f'<p class="notice">! {text(notice, 300)}</p>' for notice in host.notices)


def _cost(host: HostView) -> str:
    if host.taken_at is None:
        return ""
    cost = money(host.cost_today_usd, complete=host.cost_complete)
    return f'<p class="cost">today <b>{cost}</b></p>'
