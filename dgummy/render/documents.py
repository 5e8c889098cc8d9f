"""The JSON documents. Their fields are a contract (`dgummy/schemas`): add, never rename. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dgummy.model import Sample
from dgummy.render.collecting import homecoming
from dgummy.render.text import clean, without_state

if TYPE_CHECKING:
    from pathlib import Path

    from dgummy.cancelling import Cancelled
    from dgummy.chooser import Pick
    from dgummy.cluster import Plan
    from dgummy.discovery import Proposal
    from dgummy.errors import DgummyError
    from dgummy.grouprecords import GroupResult, Member
    from dgummy.history import Seen
    from dgummy.lab import Lab, NodeStatus
    from dgummy.model import Failure, Memory, RunResult, RunState, SyncResult
    from dgummy.observe import Observation, StatusObservation
    from dgummy.orders import Order
    from dgummy.placement import Choice, Verdict
    from dgummy.tails import Tails
    from dgummy.upkeep import Pruned, Rebuilt

SCHEMA_VERSION = 1


def dump(document: dict[str, Any]) -> str:
    """One document as text: UTF-8, no escapes that a terminal would act on."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **_safe(document)}, ensure_ascii=False, indent=2)


def line(document: dict[str, Any]) -> str:
    """One document as one line of text."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **_safe(document)}, ensure_ascii=False)


def load(observation: Observation, choice: Choice) -> dict[str, Any]:
    """`inv load --json`."""
    verdicts = {verdict.host: verdict for verdict in choice.verdicts}
    hosts = []
    for report in observation.reports:
        sample, verdict = report.sample or Sample(), verdicts.get(report.host)
        hosts.append(
            {
                "host": report.host,
                "reachable": report.reachable,
                "reason": str(report.failure) if report.failure else None,
                "cpu_pct": _round(sample.cpu_pct, 1),
                "mem_pct": _round(sample.mem_pct, 1),
                "io_pct": _round(sample.io_pct, 1),
                "load1": _round(sample.load1, 2),
                "cores": _round(sample.cores, 2),
                "score": _round(verdict.score if verdict else None, 4),
                "active_runs": len(sample.active_runs) if report.reachable and sample.knows_runs else None,
                "measured_at": _time(report.measured_at),
            }
        )
    return {
        "source": observation.source,
        "measured_at": _time(observation.measured_at),
        "best": choice.host,
        "hosts": hosts,
    }


def status(observation: StatusObservation, backend: str) -> dict[str, Any]:
    """`inv status --json`."""
    return {
        "source": observation.source,
        "backend": backend,
        "measured_at": _time(observation.measured_at),
        "hosts": [
            {
                "host": status.host,
                "online": status.online,
                "address": status.address or None,
                "reason": str(status.failure) if status.failure else None,
                "remedy": status.failure.remedy if status.failure else None,
                "latency_ms": _round(status.latency_ms, 1),
            }
            for status in observation.statuses
        ],
    }


def pick(picked: Pick) -> dict[str, Any]:
    """`inv pick --json`; cpu and mem are per cent, load is the one-minute load average."""
    choice = picked.choice
    sample = choice.sample or Sample()
    return {
        "host": choice.host,
        "score": _round(choice.score, 4),
        "cpu": _round(sample.cpu_pct, 1),
        "mem": _round(sample.mem_pct, 1),
        "load": _round(sample.load1, 2),
        "io": _round(sample.io_pct, 1),
        "type": picked.task_type.name,
        "method": choice.method.value,
        "source": picked.observation.source,
        "measured_at": _time(picked.observation.measured_at),
        "why": list(picked.why),
        "candidates": [_candidate(verdict) for verdict in choice.verdicts],
        **({"specialist": _memory(choice.memory)} if choice.memory else {}),
    }


def sync(results: list[SyncResult], *, dry: bool) -> dict[str, Any]:
    """`inv sync --json`. With `dry` the figures say what would be sent."""
    return {"dry": dry, "results": [synced(result) for result in results]}


def plan(planned: Plan, command: str) -> dict[str, Any]:
    """`inv run --dry --json`: what `pick` says, the command, and what would be sent."""
    return {
        **pick(planned.pick),
        "dry": True,
        "command": command,
        "sync": None if planned.sync is None else synced(planned.sync),
    }


def synced(result: SyncResult) -> dict[str, Any]:
    """One host's part of `sync`."""
    return {
        "host": result.host,
        "ok": result.ok,
        "reason": str(result.failure) if result.failure else None,
        "remedy": result.failure.remedy if result.failure else None,
        "remote_dir": result.remote_dir,
        "files": result.files,
        "bytes": result.bytes,
        "deleted": result.deleted,
        "total_files": result.total_files,
        "total_bytes": result.total_bytes,
        "excluded": list(result.excluded),
        "duration_s": _round(result.duration_s, 3),
    }


def run(result: RunResult, tails: dict[str, str] | None = None) -> dict[str, Any]:
    """`inv run --json` and `inv task --json`."""
    sent = result.sync
    return {
        "run_id": result.run_id,
        "host": result.host or None,
        "state": result.state.value,
        "exit_code": result.exit_code,
        "reason": result.reason or None,
        "remedy": result.remedy or None,
        "attempts": [
            {
                "host": attempt.host,
                "outcome": attempt.outcome.value,
                "reason": without_state(attempt.reason, attempt.outcome.value) or None,
            }
            for attempt in result.attempts
        ],
        "sync": {"files": sent.files, "bytes": sent.bytes, "duration_s": _round(sent.duration_s, 3)} if sent else None,
        "started_at": _time(result.started_at),
        "duration_s": _round(result.duration_s, 3),
        "fallback": result.fallback,
        "type": result.task_type,
        "cost_usd": result.cost_usd,
        "work": result.work.value or None,
        "branch": result.home.branch or None if result.home else None,
        "collected": homecoming(result.home) if result.home else None,
        "report": result.report or None,
        "changed": list(result.changed),
        "removed": list(result.removed),
        "specialist": _memory(result.memory),
        "stdout_tail": (tails or {}).get("out", ""),
        "stderr_tail": (tails or {}).get("err", ""),
    }


def _memory(found: Memory | None) -> dict[str, Any] | None:
    return None if found is None else {"name": found.specialist, "home": found.home, "reason": found.reason}


def group(result: GroupResult, tails: Callable[[str], dict[str, str]]) -> dict[str, Any]:
    """`inv fanout --json` and `inv distribute --json`. `tails` gives the last of what a run printed."""
    return {
        "group_id": result.group_id,
        "results": [member(one, tails(one.result.run_id)) for one in result.members],
        "ok": result.ok,
        "failed": result.failed,
        "stopped": result.stopped or None,
        "wall_s": _round(result.wall_s, 3),
        "sequential_s": _round(result.sequential_s, 3),
    }


def left(group_id: str, orders: Sequence[Order], run_ids: Sequence[str]) -> dict[str, Any]:
    """`inv distribute --detach --json`: as `group`, of runs that are only written down."""
    started = {"host": None, "state": "pending", "exit_code": None, "duration_s": 0.0, "summary": None}
    results = [
        {"label": order.label, "command": order.shown, "run_id": run_id, **started}
        for order, run_id in zip(orders, run_ids, strict=True)
    ]
    counts = {"ok": 0, "failed": 0, "wall_s": 0.0, "sequential_s": 0.0}
    return {"group_id": group_id, "results": results, **counts}


def nothing_to_do() -> dict[str, Any]:
    """`inv retry --json` and `inv resume --json` where nothing was left to be run: as `group`, without one."""
    return {"group_id": None, "results": [], "ok": 0, "failed": 0, "wall_s": 0.0, "sequential_s": 0.0}


def picks(found: Sequence[tuple[Order, Pick]]) -> dict[str, Any]:
    """`inv distribute --dry --json`: for each piece of work what `pick` says, as if it were alone."""
    return {
        "dry": True,
        "results": [{"label": order.label, "command": order.shown, **pick(picked)} for order, picked in found],
    }


def member(one: Member, tails: dict[str, str]) -> dict[str, Any]:
    """One run of a group: what `run` says of it, with its label and its test runner's own summary."""
    return {"label": one.label, "command": one.command, "summary": one.summary or None, **run(one.result, tails)}


def runs(found: Sequence[Seen]) -> dict[str, Any]:
    """`inv runs --json` and `inv wait --json`."""
    return {"runs": [_seen(one) for one in found]}


def _seen(seen: Seen) -> dict[str, Any]:
    row = seen.row
    return {
        "run_id": row.run_id,
        "group_id": row.group_id or None,
        "kind": row.kind,
        "label": clean(row.label) or None,
        "command": row.command,
        "host": row.host or None,
        "state": row.state.value,
        "stale": seen.failure is not None,
        "exit_code": row.exit_code,
        "reason": str(seen.failure) if seen.failure else row.reason or None,
        "created_at": _time(row.created_at),
        "started_at": _time(row.started_at) if row.started_at else None,
        "ended_at": _time(row.ended_at) if row.ended_at else None,
        "duration_s": _round(row.duration_s, 3),
        "cost_usd": row.cost_usd,
        "branch": row.branch or None,
        "work": "uncollected" if row.state.is_final and row.is_uncollected else row.work.value or None,
    }


def logs(run_id: str, host: str, state: RunState, tails: Tails, streams: Collection[str]) -> dict[str, Any]:
    """`inv logs --json`: the last of what a run printed, null for a stream that was not asked for."""
    texts = tails.text(run_id)
    return {
        "run_id": run_id,
        "host": host or None,
        "state": state.value,
        "stdout": texts["out"] if "out" in streams else None,
        "stderr": texts["err"] if "err" in streams else None,
        "truncated": tails.is_cut(run_id),
    }


def cancelled(outcomes: Sequence[Cancelled]) -> dict[str, Any]:
    """`inv cancel --json`."""
    return {
        "results": [
            {
                "run_id": one.row.run_id,
                "host": one.row.host or None,
                "state": one.row.state.value,
                "ok": not one.code,
                "reason": one.text,
                "remedy": one.remedy or None,
                "exit_code": int(one.code),
            }
            for one in outcomes
        ]
    }


def pruned(done: Pruned) -> dict[str, Any]:
    """`inv runs.prune --json`. With `dry` the figures say what would be removed."""
    return {
        "dry": done.dry,
        "runs": done.rows,
        "hosts": [{"host": host, "folders": count} for host, count in done.folders.items()],
        "kept": [{"reason": reason, "runs": count} for reason, count in done.kept.items()],
        "uncollected": list(done.uncollected),
        "silent": silent(done.silent),
    }


def rebuilt(done: Rebuilt) -> dict[str, Any]:
    """`inv runs.rebuild --json`."""
    hosts = [{"host": host, "added": count, "known": done.known[host]} for host, count in done.added.items()]
    return {"hosts": hosts, "silent": silent(done.silent)}


def silent(failures: Mapping[str, Failure]) -> list[dict[str, Any]]:
    """The hosts that did not answer."""
    return [
        {"host": host, "reason": str(failure), "remedy": failure.remedy or None} for host, failure in failures.items()
    ]


def settings(rows: list[tuple[str, Any, str]]) -> dict[str, Any]:
    """`inv config.show --json`: dotted key, value, origin."""
    return {"settings": [{"key": key, "value": value, "origin": origin} for key, value, origin in rows]}


def files(found: Sequence[tuple[Path, str]]) -> dict[str, Any]:
    """`inv config.path --json`."""
    return {"files": [{"path": str(path), "exists": path.exists(), "purpose": purpose} for path, purpose in found]}


def proposal(found: Proposal, text: str, path: str, *, written: bool) -> dict[str, Any]:
    """`inv config.init --json`."""
    return {
        "path": path,
        "written": written,
        "hosts": [
            {"host": host.name, "sources": list(host.sources), "reason": host.reason, "paths": list(host.paths)}
            for host in found.hosts
        ],
        "groups": {name: list(members) for name, members in found.groups.items()},
        "left_out": [{"host": host.name, "reason": host.reason} for host in found.left_out],
        "config": text,
    }


def lab(found: Lab | None, nodes: list[NodeStatus]) -> dict[str, Any]:
    """`inv lab.up --json` and `inv lab.status --json`."""
    return {
        "directory": str(found.directory) if found else None,
        "export": found.export_line() if found else None,
        "config": str(found.config_path) if found else None,
        "nodes": [
            {
                "host": node.name,
                "port": node.port,
                "state": node.state.value,
                "expected_up": node.expected_up,
                "active_runs": node.active_runs,
            }
            for node in nodes
        ],
    }


def error(problem: DgummyError) -> dict[str, Any]:
    """What `--json` prints when a command is refused."""
    return {"error": {"message": problem.message, "remedy": problem.remedy or None, "exit_code": int(problem.code)}}


def _candidate(verdict: Verdict) -> dict[str, Any]:
    return {
        "host": verdict.host,
        "chosen": verdict.chosen,
        "eligible": verdict.eligible,
        "score": _round(verdict.score, 4),
        "projected": _round(verdict.projected, 4),
        "active_runs": verdict.active_runs,
        "reason": verdict.reason,
    }


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _time(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _safe(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_safe(item) for item in value]
    return value
