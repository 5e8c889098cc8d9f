"""Why a host does not give a workspace, read from what its scripts say."""

from __future__ import annotations

from dgummy.model import Failure, FailureKind
from dgummy.transport.base import Answer, failed
from dgummy.units import format_count


def refusal(answer: Answer) -> Failure:
    """The failure in a script's `failed KIND DETAIL`, `busy RUN OWNER` or `uncollected RUN COUNT OWNER` fact."""
    if answer.has("uncollected"):
        return uncollected(answer.first("uncollected"))
    if answer.has("busy"):
        run_id, _, owner = answer.first("busy").partition(" ")
        whose = f"run {run_id}" + (f" of {owner}" if owner else "")
        return Failure(FailureKind.BUSY, f"{whose} has it", "wait for it, or let the run go to another host")
    return failed(answer.first("failed") or answer.noise or f"status {answer.exit_status}")


def uncollected(value: str) -> Failure:
    """The failure in the value of an `uncollected RUN COUNT OWNER` fact."""
    run_id, count, owner = [*value.split(" ", 2), "", ""][:3]
    left = format_count(int(count), "changed file") if count.isdigit() else "changed files"
    detail = f"run {run_id}{f' of {owner}' if owner else ''} left {left} there that are not collected"
    remedy = f"collect them first: inv collect {run_id}, or add --collect-first"
    return Failure(FailureKind.UNCOLLECTED, detail, remedy, run_id)
