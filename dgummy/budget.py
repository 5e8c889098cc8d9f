"""Spend caps: whether another agent task may start, and what becomes of one that costs too much. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dgummy.costs import format_usd
from dgummy.model import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class Caps:
    """What agents may cost, in US dollars: one task, all of a day, all of a project. None is no cap.

    `stops`: a task over its own cap is ended, instead of only warned about.
    """

    per_task_usd: float | None = None
    per_day_usd: float | None = None
    per_project_usd: float | None = None
    stops: bool = False

    @property
    def are_set(self) -> bool:
        """Whether there is any."""
        return (self.per_task_usd, self.per_day_usd, self.per_project_usd) != (None, None, None)


@dataclass(frozen=True, slots=True)
class Spent:
    """What is known to have been spent, in US dollars: today, and on the project so far."""

    today_usd: float = 0.0
    project_usd: float = 0.0


class Verdict(str, Enum):
    """What is done about a running task."""

    GO_ON = "go on"
    WARN = "warn"
    END = "end"


def refusal(caps: Caps, spent: Spent) -> Failure | None:
    """Why no new agent task may start now; None if one may."""
    if caps.per_day_usd is not None and spent.today_usd >= caps.per_day_usd:
        figures = f"{format_usd(spent.today_usd)} of {format_usd(caps.per_day_usd)}"
        remedy = "raise budget.per_day_usd, or wait until tomorrow"
        return Failure(FailureKind.BUDGET, f"today's agent tasks have cost {figures}", remedy)
    if caps.per_project_usd is not None and spent.project_usd >= caps.per_project_usd:
        figures = f"{format_usd(spent.project_usd)} of {format_usd(caps.per_project_usd)}"
        return Failure(
            FailureKind.BUDGET, f"this project's agent tasks have cost {figures}", "raise budget.per_project_usd"
        )
    return None


def verdict(caps: Caps, cost_usd: float | None) -> Verdict:
    """Judge a running task by what it is known to have cost so far."""
    if caps.per_task_usd is None or cost_usd is None or cost_usd <= caps.per_task_usd:
        return Verdict.GO_ON
    return Verdict.END if caps.stops else Verdict.WARN


def over_its_cap(caps: Caps, cost_usd: float | None) -> str:
    """Say what a task has cost, and what it may."""
    return f"it has cost {format_usd(cost_usd)} of {format_usd(caps.per_task_usd)} (budget.per_task_usd)"
