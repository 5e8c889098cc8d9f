"""What `inv watch` and `inv specialists` print with --json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dgummy.render.text import clean
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, Specialist


def view(found: ClusterView) -> dict[str, Any]:
    """All hosts at one moment. Costs are US dollars today; null is "not known"."""
    totals = found.totals
    return {
        "at": found.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "hosts": [_host(found, one) for one in found.hosts],
        "totals": {
            "specialists": totals.specialists,
            "active": totals.active,
            "hosts": totals.hosts,
            "runs": totals.runs,
            "cost_today_usd": _usd(totals.cost_today_usd),
            "cost_complete": totals.cost_complete,
        },
    }


def specialists(found: Sequence[Specialist]) -> list[dict[str, Any]]:
    """The specialists of one host."""
    return [
        {
            "name": clean(one.name),
            "scope": one.scope,
            "project": clean(one.project) or None,
            "status": one.status.value,
            "sessions": one.sessions,
            "session_id": one.session_id,
            "last_active": _text(one.last_active),
            "cost_usd": _usd(one.cost_usd),
            "reason": clean(one.reason),
        }
        for one in found
    ]


def _host(found: ClusterView, one: HostView) -> dict[str, Any]:
    sample = one.sample
    age_s = one.age_s(found.at)
    return {
        "host": one.host,
        "reachable": one.reachable,
        "reason": clean(str(one.failure)) if one.failure else "",
        "stale": found.is_stale(one),
        "age_s": None if age_s is None else round(age_s, 1),
        "cpu_pct": _one_digit(sample.cpu_pct if sample else None),
        "mem_pct": _one_digit(sample.mem_pct if sample else None),
        "io_pct": _one_digit(sample.io_pct if sample else None),
        "load1": sample.load1 if sample else None,
        "specialists": specialists(one.specialists),
        "tasks": [_task(task) for task in one.tasks],
        "runs": [_run(run) for run in one.runs],
        "cost_today_usd": _usd(one.cost_today_usd),
        "cost_complete": one.cost_complete,
        "notices": [clean(text) for text in one.notices],
    }


def _task(one: AgentTask) -> dict[str, Any]:
    return {
        "task_id": one.task_id,
        "mode": one.mode,
        "status": one.status.value,
        "started_at_s": one.started_at_s,
        "session_id": _text(one.session_id),
        "cost_usd": _usd(one.cost_usd),
        "last_line": clean(one.last_line),
    }


def _run(one: RunningCommand) -> dict[str, Any]:
    return {
        "run_id": one.run_id,
        "command": clean(one.command),
        "age_s": round(one.age_s, 1),
        "started": one.started,
        "owner": clean(one.owner),
        "workspace": _text(one.workspace),
        "last_line": clean(one.last_line),
    }


def _text(value: str | None) -> str | None:
    return clean(value) if value else None


def _usd(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _one_digit(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
