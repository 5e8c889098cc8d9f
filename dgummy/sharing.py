"""How long a job takes on a host that it shares with others: processor sharing, in closed form. Pure.

n jobs on c cores of speed s each progress at s·min(1, c/n), whoever they belong to: what a fair scheduler does with
jobs of one thread. Let x be the service (seconds at speed 1) that every job gets from now on, and N(x) how many of the
jobs we know of still run then. Beside B jobs of others, whose end nobody knows, a new job of work w completes after

    ∫₀ʷ max(1, (N(x)+B+1)/c) dx / s

and what it adds to the completion times of all jobs, its own and others' with them, is, with n = N(x)+B,

    ∫₀ʷ (n+1)·max(1, (n+1)/c) - n·max(1, n/c) dx / s.

The clock of a host is its service: a job that enters at v and takes w leaves at v+w, whatever comes and goes
meanwhile. With the jobs sorted by where they leave, each integral takes O(log n).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from itertools import accumulate
from typing import NamedTuple

from dgummy.scoring import LOAD_AVERAGE_S

OVERDUE_SHARE = 0.3
"""A job that takes longer than expected is expected to take this share of what it has had once more."""


class Quote(NamedTuple):
    """What a new job would mean on a host, in s.

    Until it completes; what it adds to the completion times of all jobs there, its own included; until the last job of
    ours there completes.
    """

    completion_s: float
    total_s: float
    through_s: float


class Service(NamedTuple):
    """The part of a host's service that a job gets: where it enters and leaves, and whether its length is known."""

    enters: float
    leaves: float
    known: bool


class SharedHost:
    """The jobs of ours on one host, beside `others`, which is a number of jobs. Times are in s, by any clock."""

    __slots__ = (
        "_leaves",
        "_load",
        "_load_at_s",
        "_pace",
        "_room",
        "_sums",
        "_through_at_s",
        "at_s",
        "cores",
        "jobs",
        "others",
        "served",
        "speed",
    )

    def __init__(self, now_s: float) -> None:
        self.at_s = self._load_at_s = now_s
        self.served = self._load = 0.0
        self.jobs: dict[str, Service] = {}
        self._leaves: list[float] = []
        self.describe(1.0, 1.0, 0.0)

    def describe(self, cores: float, speed: float, others: float) -> None:
        """Set what the host is and what others use of it, from the time on that it was advanced to."""
        self.cores, self.speed, self.others = cores, speed, others
        self._room = math.floor(cores - others + 1e-9)
        self._reckon()

    @property
    def own_load(self) -> float:
        """What our jobs add to the one-minute load average by now."""
        count = len(self.jobs)
        return count + (self._load - count) * math.exp((self._load_at_s - self.at_s) / LOAD_AVERAGE_S)

    @property
    def crowd(self) -> float:
        """Jobs per core, a new one included."""
        return (len(self.jobs) + self.others + 1) / self.cores

    @property
    def slope(self) -> float:
        """What each second of a new job's work adds to the completion times of all, at first."""
        count = len(self.jobs)
        if count < self._room:
            return 1 / self.speed
        there = count + self.others
        if count == self._room:
            return ((there + 1) ** 2 / self.cores - there) / self.speed
        return (2 * there + 1) / self.cores / self.speed

    def pace(self, count: int) -> float:
        """How fast each of so many jobs of ours progresses beside the others'."""
        there = count + self.others
        return self.speed * self.cores / there if there > self.cores else self.speed

    def advance(self, now_s: float) -> None:
        """Let time pass. Whoever should have left by now is expected to take a little longer."""
        passed_s = now_s - self.at_s
        if passed_s <= 0:
            return
        self.at_s = now_s
        if self._leaves:
            self.served += passed_s * self._pace
            if self._leaves[0] <= self.served:
                self._expect_more()

    def add(self, key: str, work_s: float, *, known: bool = True) -> None:
        """Put a job of this work there, now. `known` says whether the work is more than a guess."""
        self._load, self._load_at_s = self.own_load, self.at_s
        leaves = self.served + work_s
        self.jobs[key] = Service(self.served, leaves, known)
        insort(self._leaves, leaves)
        self._reckon()

    def remove(self, key: str) -> float:
        """Take a job away, now; gives the work that it got, in s at speed 1."""
        self._load, self._load_at_s = self.own_load, self.at_s
        job = self.jobs.pop(key)
        del self._leaves[bisect_left(self._leaves, job.leaves)]
        self._reckon()
        return self.served - job.enters

    def quote(self, work_s: float) -> Quote:
        """What a new job of this work would mean from now on."""
        others, cores, speed = self.others, self.cores, self.speed
        left_s = self._through_at_s - self.at_s
        if len(self._leaves) < self._room:
            alone_s = work_s / speed
            return Quote(alone_s, alone_s, max(alone_s, left_s))
        shared_s = self._until(self._room - 1, work_s)  # more jobs than cores with it
        crowded_s = self._until(self._room, work_s)  # more jobs than cores already without it
        alone_s = work_s - shared_s
        completion = alone_s + (self._served_to_all(shared_s) + (others + 1) * shared_s) / cores
        total = alone_s
        if crowded_s:
            total += (2 * self._served_to_all(crowded_s) + (2 * others + 1) * crowded_s) / cores
        delay = crowded_s / cores
        if shared_s > crowded_s:
            there = self._room + others
            total += (shared_s - crowded_s) * ((there + 1) ** 2 / cores - there)
            delay += (shared_s - crowded_s) * ((there + 1) / cores - 1)
        return Quote(completion / speed, total / speed, max(completion, left_s * speed + delay) / speed)

    def ends_s(self) -> list[float]:
        """In how many s each job of ours is expected to end, soonest first; infinite from one of unknown length on."""
        found: list[float] = []
        passed_s, served, count = 0.0, self.served, len(self.jobs)
        for job in sorted(self.jobs.values(), key=lambda job: job.leaves):
            passed_s += (job.leaves - served) / self.pace(count) if job.known else math.inf
            found.append(passed_s)
            served, count = job.leaves, count - 1
        return found

    def _until(self, count: int, work_s: float) -> float:
        """The service after which no more than `count` jobs of ours are left, at most `work_s`."""
        must_leave = len(self._leaves) - count
        if must_leave <= 0:
            return 0.0
        return work_s if count < 0 else min(work_s, self._leaves[must_leave - 1] - self.served)

    def _served_to_all(self, service_s: float) -> float:
        """What all jobs of ours together get until each has got `service_s` or has left."""
        left = bisect_right(self._leaves, self.served + service_s)
        return self._sums[left] - left * self.served + (len(self._leaves) - left) * service_s

    def _expect_more(self) -> None:
        """Put off the ends of those that are overdue."""
        for key, job in self.jobs.items():
            if job.leaves <= self.served:
                more = max(OVERDUE_SHARE * (self.served - job.enters), 1e-3)
                self.jobs[key] = job._replace(leaves=self.served + more)
        self._leaves = sorted(job.leaves for job in self.jobs.values())
        self._reckon()

    def _reckon(self) -> None:
        """Work out what depends on who is there."""
        leaves = self._leaves
        self._pace = self.pace(len(leaves))
        self._sums = [0.0, *accumulate(leaves)]
        self._through_at_s = self.at_s
        if leaves:
            last = leaves[-1] - self.served
            crowded_s = self._until(self._room, last)
            shared = (self._served_to_all(crowded_s) + self.others * crowded_s) / self.cores if crowded_s else 0.0
            self._through_at_s += (shared + last - crowded_s) / self.speed
