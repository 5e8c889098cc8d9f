"""The jobs of a batch, what hosts mean for them, and what was decided, with its reasons. Records, no decisions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from dgummy.model import TaskType
from dgummy.routing import GENERAL, TASK_TYPES
from dgummy.units import format_count, format_duration


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work to be placed.

    `key` is the id of its run, by which probes know it. `expected_s` is how long it takes with an ordinary core to
    itself, None without history. `hosts` are those that may take it, None for all.
    """

    key: str
    expected_s: float | None = None
    kind: TaskType = TASK_TYPES[GENERAL]
    hosts: frozenset[str] | None = None


class Offer(NamedTuple):
    """What one host would mean for a job.

    `completion_s` is in how many s it completes, None without history; `delay_s` what other jobs there lose by it, all
    together; `pace` how fast it starts, an ordinary core being 1; `stretch` how many times longer I/O and memory make
    it; `ours` and `others` count the jobs there before it.
    """

    host: str
    completion_s: float | None
    delay_s: float
    pace: float
    stretch: float
    cores: float
    speed: float
    ours: int
    others: float

    @property
    def effect(self) -> str:
        """`completes in 2 m 10 s, costs other jobs 40 s`; without history how fast it runs instead."""
        if self.completion_s is None:
            return f"runs it at {self.pace / self.stretch:.2f} of an ordinary core"
        told = f"completes it in {format_duration(self.completion_s)}"
        return f"{told}, costs other jobs {format_duration(self.delay_s)}" if self.delay_s >= 0.5 else told

    @property
    def place(self) -> str:
        """`8 cores of speed 1.20, with 3 jobs of ours and 0.5 of others`."""
        cores = f"{self.cores:g} {'core' if self.cores == 1 else 'cores'} of speed {self.speed:.2f}"
        return f"{cores}, with {format_count(self.ours, 'job')} of ours and {self.others:.1f} of others"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a job was put. `next_best` is the best other host that was looked at."""

    job: Job
    offer: Offer
    next_best: Offer | None = None

    @property
    def host(self) -> str:
        """The host's name."""
        return self.offer.host

    @property
    def completion_s(self) -> float | None:
        """In how many s the job is expected to complete; None without history."""
        return self.offer.completion_s

    @property
    def why(self) -> tuple[str, ...]:
        """The reasons, one line each, most important first."""
        lines = [f"{self.host} {self.offer.effect}", self.offer.place]
        if self.offer.stretch >= 1.05:
            lines.append(f"I/O and memory there make it {self.offer.stretch:.1f} times as long")
        if self.next_best is None:
            lines.append("no other host has room for it")
        else:
            lines.append(f"next best: {self.next_best.host} {self.next_best.effect}")
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class Wait:
    """A job that had better wait: `host` has a slot in `start_s` and completes it in `completion_s`, before `here`."""

    job: Job
    host: str
    start_s: float
    completion_s: float
    here: Offer

    @property
    def why(self) -> tuple[str, ...]:
        """The reason."""
        there = f"{self.host} is free in {format_duration(self.start_s)}"
        return (
            f"{there} and completes it in {format_duration(self.completion_s)}; {self.here.host} {self.here.effect}",
        )


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """Order jobs by length, longest first; those without history count as the mean of the others, in their order."""
    jobs = list(jobs)
    known = [job.expected_s for job in jobs if job.expected_s is not None]
    usual_s = fmean(known) if known else 0.0
    return sorted(jobs, key=lambda job: -(usual_s if job.expected_s is None else job.expected_s))
