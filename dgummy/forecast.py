"""What earlier runs tell about the next ones: how long a piece of work takes, and how fast hosts are. Pure.

A duration is taken as the product of what the work takes on an ordinary host and of how slow the host is. Both are
found by median polish of the logarithms (J. W. Tukey, Exploratory Data Analysis, 1977, ch. 11), so that a few runs
that hung, or broke off early, change nothing. A host's speed rests on work that ran on other hosts too; with n such
runs its logarithm is multiplied by n/(n+3), since runs of the same work on the same host differ, too.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from types import MappingProxyType

SLOWEST, FASTEST = 0.2, 5.0
"""The range of speeds that are believed."""
DOUBT_RUNS = 3.0
"""With so many runs a host is taken to be half as far from ordinary (in logarithms) as they say."""

_ROUNDS = 10
_Cells = dict[tuple[str, str], list[float]]


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that ended by itself, ok or failed; what was cancelled, timed out or lost tells no duration.

    `work` names what was done: the same text for the same work, such as the command, or the label in its suite.
    """

    work: str
    host: str
    duration_s: float
    task_type: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Expected durations on a host of speed 1, by work and by kind of work in s, and speeds of hosts (1 = ordinary)."""

    by_work: Mapping[str, float] = field(default_factory=dict)
    by_task_type: Mapping[str, float] = field(default_factory=dict)
    speeds: Mapping[str, float] = field(default_factory=dict)

    def expected_s(self, work: str, task_type: str = "") -> float | None:
        """How long a piece of work takes with a core of speed 1 to itself; None without history."""
        known = self.by_work.get(work)
        return self.by_task_type.get(task_type) if known is None else known

    def speed(self, host: str) -> float:
        """How fast a host is; 1 if nothing is known."""
        return self.speeds.get(host, 1.0)


def forecast(runs: Iterable[PastRun]) -> Forecast:
    """Learn from earlier runs. A duration that is no positive number tells nothing."""
    usable = [run for run in runs if 0 < run.duration_s < math.inf]
    cells: _Cells = defaultdict(list)
    for run in usable:
        cells[run.work, run.host].append(math.log(run.duration_s))
    speeds = _speeds(cells)
    works: defaultdict[str, list[float]] = defaultdict(list)
    kinds: defaultdict[str, list[float]] = defaultdict(list)
    for run in usable:
        seconds = run.duration_s * speeds.get(run.host, 1.0)
        works[run.work].append(seconds)
        if run.task_type:
            kinds[run.task_type].append(seconds)
    return Forecast(_medians(works), _medians(kinds), MappingProxyType(speeds))


def _speeds(cells: _Cells) -> dict[str, float]:
    """Find the speeds of hosts that share work with others, the median of them being 1."""
    spread: defaultdict[str, list[str]] = defaultdict(list)
    for work, host in cells:
        spread[work].append(host)
    shared = {work: hosts for work, hosts in spread.items() if len(hosts) > 1}
    done: defaultdict[str, list[str]] = defaultdict(list)
    for work, hosts in shared.items():
        for host in hosts:
            done[host].append(work)
    if not done:
        return {}
    cell = {(work, host): median(cells[work, host]) for work, hosts in shared.items() for host in hosts}
    pace = dict.fromkeys(done, 0.0)
    for _ in range(_ROUNDS):
        usual = {work: median(cell[work, host] - pace[host] for host in hosts) for work, hosts in shared.items()}
        pace = {host: median(cell[work, host] - usual[work] for work in works) for host, works in done.items()}
        middle = median(pace.values())
        pace = {host: value - middle for host, value in pace.items()}
    speeds = {}
    for host, works in done.items():
        count = sum(len(cells[work, host]) for work in works)
        log_speed = -pace[host] * count / (count + DOUBT_RUNS)
        speeds[host] = math.exp(min(math.log(FASTEST), max(math.log(SLOWEST), log_speed)))
    return speeds


def _medians(durations_s: Mapping[str, list[float]]) -> Mapping[str, float]:
    return MappingProxyType({name: median(values) for name, values in durations_s.items()})
