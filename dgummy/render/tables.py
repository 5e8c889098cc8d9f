"""Tables and sentences for people. Pure: records in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tabulate import tabulate

from dgummy.chooser import Pick
from dgummy.cluster import Plan
from dgummy.lab import NodeStatus
from dgummy.model import HostReport, RunResult, RunState, SyncResult
from dgummy.observe import Observation, StatusObservation
from dgummy.placement import Choice
from dgummy.render.text import one_line
from dgummy.units import format_bytes, format_count, format_duration, format_pct

_LOAD_HEADERS = ("HOST", "CPU", "MEM", "I/O", "LOAD", "CORES", "RUNS", "SCORE", "")


def load(observation: Observation, choice: Choice, now: datetime) -> str:
    """The table of `inv load`."""
    scores = {verdict.host: verdict.score for verdict in choice.verdicts}
    rows = [_load_row(report, scores.get(report.host), choice.host) for report in observation.reports]
    table = tabulate(rows, _LOAD_HEADERS, tablefmt="plain", disable_numparse=True)
    return f"{table}\n{_age(observation.source, observation.measured_at, now)}"


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
        str(len(sample.active_runs)),
        "?" if score is None else f"{score:.2f}",
        "← best" if report.host == best else "",
    )


def status(observation: StatusObservation, backend: str, now: datetime) -> str:
    """The table of `inv status`."""
    rows = []
    for found in observation.statuses:
        latency = "" if found.latency_ms is None else f"{found.latency_ms:.0f} ms"
        reason = "" if found.failure is None else one_line(str(found.failure))
        sign = "✓ online" if found.online else "✗ offline"
        rows.append((found.host, sign, found.address, latency, reason))
    table = tabulate(rows, ("HOST", "STATUS", "ADDRESS", "LATENCY", ""), tablefmt="plain", disable_numparse=True)
    age = _age(observation.source, observation.measured_at, now)
    return f"{table}\n{age}; backend: {backend}"


def pick(picked: Pick) -> str:
    """The answer of `inv pick`: the host, why, and a reason for every candidate."""
    choice = picked.choice
    head = f"→ {choice.host}" if choice.host else "no host can take it"
    if choice.score is not None:
        head += f" (score {choice.score:.2f})"
    lines = [head, *(f"  {one_line(reason)}" for reason in picked.why), ""]
    rows = [
        (_sign(verdict.chosen, verdict.eligible), verdict.host, one_line(verdict.reason)) for verdict in choice.verdicts
    ]
    return "\n".join(lines) + tabulate(rows, tablefmt="plain", disable_numparse=True)


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
        text = f"✓ Nothing to send: {format_count(result.total_files, 'file')} up to date, checked in {took}"
    if result.deleted:
        text += f", deleted {result.deleted:,}"
    return f"{text} → {result.host}:{one_line(result.remote_dir)}"


def would_sync(result: SyncResult) -> str:
    """What a sync would do."""
    if not result.ok:
        return f"✗ {result.host}: {one_line(str(result.failure))}"
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


_ENDINGS = {
    RunState.OK: ("✓", "good"),
    RunState.FAILED: ("✗", "error"),
    RunState.TIMED_OUT: ("✗", "error"),
    RunState.CANCELLED: ("■", "warning"),
    RunState.LOST: ("?", "error"),
}


def ended(result: RunResult) -> tuple[str, str]:
    """The last line about a run, and its style."""
    sign, style = _ENDINGS.get(result.state, ("✗", "error"))
    where = f" on {result.host}" if result.host else ""
    text = f"{sign} {result.state.value.replace('_', ' ')}{where} in {format_duration(result.duration_s)}"
    if result.reason:
        text += f": {one_line(result.reason)}"
    if result.cost_usd is not None:
        text += f" · ${result.cost_usd:.4f}"
    return f"{text} · run {result.run_id}", style


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
    """The table of `inv config.show`."""
    shown = [(key, _value(value), where) if origin else (key, _value(value)) for key, value, where in rows]
    headers = ("KEY", "VALUE", "FROM") if origin else ("KEY", "VALUE")
    return tabulate(shown, headers, tablefmt="plain", disable_numparse=True)


def _value(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return one_line(", ".join(str(item) for item in value) or "(none)")
    return "(not set)" if value is None else one_line(str(value) or '""')


def lab(nodes: Sequence[NodeStatus]) -> str:
    """The table of `inv lab.status`."""
    signs = {"up": "✓ up", "hung": "… hung", "down": "✗ down"}
    rows = [(node.name, signs[node.state.value], f"127.0.0.1:{node.port}", str(node.active_runs)) for node in nodes]
    return tabulate(rows, ("NODE", "STATE", "ADDRESS", "RUNS"), tablefmt="plain", disable_numparse=True)
