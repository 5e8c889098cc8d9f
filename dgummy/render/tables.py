"""Tables and sentences for people. Pure: records in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dgummy.gate import DOUBTFUL
from dgummy.model import Attempt, FailureKind, HostReport, RunResult, RunState, SyncResult
from dgummy.render.text import one_line, without_state
from dgummy.units import format_bytes, format_count, format_duration, format_pct

if TYPE_CHECKING:
    from pathlib import Path

    from dgummy.chooser import Pick
    from dgummy.cluster import Plan
    from dgummy.lab import NodeStatus
    from dgummy.observe import Observation, StatusObservation
    from dgummy.orders import Order
    from dgummy.placement import Choice

_LOAD_HEADERS = ("HOST", "CPU", "MEM", "I/O", "LOAD", "CORES", "RUNS", "SCORE", "")


def load(observation: Observation, choice: Choice, now: datetime, width: int | None = None) -> str:
    """The table of `inv load`. Where it is wider than `width` columns, reasons are cut short."""
    scores = {verdict.host: verdict.score for verdict in choice.verdicts}
    rows = [_load_row(report, scores.get(report.host), choice.host) for report in observation.reports]
    shown = _columns(rows, _LOAD_HEADERS)
    if width is not None and max(map(len, shown.splitlines())) > width:
        brief = {report.host: report.failure.kind.value for report in observation.reports if report.failure}
        shown = _columns([(*row[:-1], brief.get(row[0], row[-1])) for row in rows], _LOAD_HEADERS)
    return f"{shown}\n{_age(observation.source, observation.measured_at, now)}"


def _load_row(report: HostReport, score: float | None, best: str | None) -> tuple[str, ...]:
    sample = report.sample
    if sample is None:
        return (report.host, "-", "-", "-", "-", "-", "-", "-", one_line(str(report.failure)))
    return (
        report.host,
        format_pct(sample.cpu_pct),
        format_pct(sample.mem_pct),
        format_pct(sample.io_pct),
        "?" if sample.load1 is None else f"{sample.load1:.2f}",
        "?" if sample.cores is None else f"{sample.cores:g}",
        str(len(sample.active_runs)) if sample.knows_runs else "?",
        "?" if score is None else f"{score:.2f}",
        "← best" if report.host == best else "",
    )


def status(observation: StatusObservation, backend: str, now: datetime) -> str:
    """The table of `inv status`, and below it what is wrong with the hosts that do not answer."""
    rows, troubles = [], []
    for found in observation.statuses:
        latency = "" if found.latency_ms is None else f"{found.latency_ms:.0f} ms"
        sign = "✓ online" if found.online else "✗ offline"
        failure = found.failure
        rows.append((found.host, sign, found.address, latency, failure.kind.value if failure else ""))
        if failure is not None and failure.detail:
            troubles.append(f"✗ {found.host}: {one_line(str(failure), 1000)}")
        if failure is not None and failure.remedy:
            troubles.append(f"  {one_line(failure.remedy, 1000)}")
    shown = table(rows, ("HOST", "STATUS", "ADDRESS", "LATENCY", ""))
    age = _age(observation.source, observation.measured_at, now)
    return "\n".join([shown, *troubles, f"{age}; backend: {backend}"])


def pick(picked: Pick) -> str:
    """The answer of `inv pick`: the host, why, and a reason for every candidate."""
    choice = picked.choice
    head, rest = headline(choice.host or "", picked.why)
    lines = [head, *(f"  {reason}" for reason in rest), ""]
    rows = [
        (_sign(verdict.chosen, verdict.eligible), verdict.host, one_line(verdict.reason)) for verdict in choice.verdicts
    ]
    return "\n".join(lines) + table(rows)


def picks(found: Sequence[tuple[Order, Pick]]) -> str:
    """What `inv distribute --dry` shows: where each piece of work would go, were it alone."""
    rows = [
        (one_line(order.label, 60), f"→ {picked.choice.host or 'nowhere'}", one_line(" · ".join(picked.why), 200))
        for order, picked in found
    ]
    return table(rows)


def headline(host: str, why: Sequence[str]) -> tuple[str, list[str]]:
    """Say `→ node-1 has the most room …`: the host with the first reason, and the other reasons. No host: ""."""
    first, *rest = [one_line(reason) for reason in why] or [""]
    if not host:
        return f"✗ {first}", rest
    return (f"→ {first}" if first.startswith(f"{host} ") else f"→ {host}: {first}"), rest


def _sign(chosen: bool, eligible: bool) -> str:
    return "→" if chosen else "·" if eligible else "✗"


def synced(result: SyncResult) -> str:
    """The closing line of one sync, in the spirit of the design document."""
    if not result.ok:
        return f"✗ {result.host}: {one_line(str(result.failure))}"
    took = format_duration(result.duration_s)
    if result.files or result.deleted:
        text = f"✓ Synced {format_count(result.files, 'file')} ({format_bytes(result.bytes)}) in {took}"
    else:
        text = f"✓ Up to date: {format_count(result.total_files, 'file')}, checked in {took}"
    if result.deleted:
        text += f", deleted {result.deleted:,}"
    return f"{text} → {result.host}:{one_line(result.remote_dir)}"


def would_sync(result: SyncResult) -> str:
    """What a sync would do."""
    failure = result.failure
    if failure is not None and failure.kind is FailureKind.UNFIT:
        return f"✗ {result.host}: passed over: {one_line(failure.detail)}"
    if not result.ok:
        return f"✗ {result.host}: {one_line(str(failure))}"
    if not result.remote_dir:
        return f"{result.host}: would be sent no project"
    lines = [
        f"{result.host}: would send {format_count(result.files, 'file')} ({format_bytes(result.bytes)}) of"
        f" {result.total_files:,} ({format_bytes(result.total_bytes)}) and delete {result.deleted:,}"
        f" in {one_line(result.remote_dir)}"
    ]
    return "\n".join([*lines, *(f"  {line}" for line in sending(result.top_level, result.excluded))])


def plan(planned: Plan, command: str) -> str:
    """What `inv run --dry` shows."""
    lines = [pick(planned.pick), ""]
    if planned.sync is not None:
        lines.append(would_sync(planned.sync))
    lines.append(f"would run: {one_line(command)}")
    return "\n".join(lines)


def sending(top_level: Sequence[str], excluded: Sequence[str]) -> list[str]:
    """The `Sending:` and `Excluding:` lines."""
    lines = []
    if top_level:
        lines.append("Sending: " + one_line(" ".join(top_level)))
    if excluded:
        lines.append("Excluding: " + one_line(" ".join(excluded)))
    return lines


NOT_TAKEN = (RunState.UNREACHABLE, RunState.SYNC_FAILED, RunState.REFUSED, RunState.SKIPPED)
"""How a try ended at a host that did not take the run."""

_ENDINGS = {
    RunState.RUNNING: ("→", ""),
    RunState.OK: ("✓", "good"),
    RunState.FAILED: ("✗", "error"),
    RunState.TIMED_OUT: ("✗", "error"),
    RunState.CANCELLED: ("■", "warning"),
    RunState.LOST: ("?", "error"),
}


def ended(result: RunResult) -> tuple[str, str]:
    """The last line about a run, and its style."""
    sign, style = _ENDINGS.get(result.state, ("✗", "error"))
    text = f"{sign} {result.state.value.replace('_', ' ')}"
    reason = without_state(result.reason, result.state.value)
    if result.host:
        text += f" on {result.host} in {format_duration(result.duration_s)}"
    elif len(result.attempts) == 1:
        text += f": {result.attempts[0].host}"
        reason = reason.removeprefix(f"{result.attempts[0].host}: ")
    elif result.attempts:
        text, reason = f"{sign} no host could take it", ""
    if reason:
        text += f": {one_line(reason, 500)}"
    if result.cost_usd is not None:
        text += f" · ${result.cost_usd:.4f}"
    return f"{text} · run {result.run_id}", style


def is_a_warning(why: Sequence[str]) -> bool:
    """Whether a choice of a host is one that the user should hear of, however it ends."""
    return any(reason.startswith(("fresh memory", "no host could take it", DOUBTFUL)) for reason in why)


def attempt(tried: Attempt) -> str:
    """One line about a host that did not take a run."""
    reason = without_state(tried.reason, tried.outcome.value)
    return f"✗ {tried.host}: {tried.outcome.value.replace('_', ' ')}" + (f": {one_line(reason, 500)}" if reason else "")


def changes(result: RunResult, shown: int = 20) -> list[str]:
    """What an agent's run changed in the project on its host."""
    if not result.changed and not result.removed:
        return []
    names = [f"  M {one_line(name)}" for name in result.changed] + [f"  D {one_line(name)}" for name in result.removed]
    lines = [f"Changed on {result.host}:", *names[:shown]]
    if len(names) > shown:
        lines.append(f"  and {len(names) - shown} more")
    return lines


def _age(source: str, measured_at: datetime, now: datetime) -> str:
    age_s = max(0.0, (now - measured_at).total_seconds())
    return f"measured {format_duration(age_s)} ago" + (
        " (cached; --refresh measures anew)" if source == "cache" else f" over {source}"
    )


def settings(rows: Sequence[tuple[str, object, str]], *, origin: bool) -> str:
    """The table of `inv config.show`, without what was not said about each host."""
    told = [row for row in rows if not (row[0].startswith("hosts.") and row[2] == "default")]
    shown = [(key, _value(value), where) if origin else (key, _value(value)) for key, value, where in told]
    headers = ("KEY", "VALUE", "FROM") if origin else ("KEY", "VALUE")
    return table(shown, headers)


def files(found: Sequence[tuple[Path, str]]) -> str:
    """The list of `inv config.path`."""
    return table(
        [(one_line(str(path)), purpose + ("" if path.exists() else " (not there)")) for path, purpose in found]
    )


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return one_line(", ".join(str(item) for item in value) or "(none)")
    return "(not set)" if value is None else one_line(str(value) or '""')


def lab(nodes: Sequence[NodeStatus]) -> str:
    """The table of `inv lab.status`."""
    signs = {"up": "✓ up", "hung": "… hung", "down": "✗ down"}
    rows = [(node.name, signs[node.state.value], f"127.0.0.1:{node.port}", str(node.active_runs)) for node in nodes]
    return table(rows, ("NODE", "STATE", "ADDRESS", "RUNS"))


def _columns(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Make what `table` does where nothing but the last column holds wide characters.

    To import tabulate would make `inv load` from its cache a tenth slower.
    """
    widths = [max([len(header) + 2, *map(len, cells)]) for header, *cells in zip(headers, *rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in (headers, *rows))
    return "\n".join(line.rstrip() for line in lines)


def table(rows: Iterable[Sequence[str]], headers: Sequence[str] = ()) -> str:
    """Make aligned columns. Tabulate is imported here: what shows no table, `inv run` for one, does without it."""
    from tabulate import tabulate

    return tabulate(rows, headers, tablefmt="plain", disable_numparse=True)
