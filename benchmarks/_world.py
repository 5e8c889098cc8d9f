"""A simulated world of hosts and jobs, event by event, and what a policy of placing sees of it.

What the world is like is told in `placement_sim`.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import math
import random
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dgummy.forecast import PastRun
from dgummy.model import ActiveRun, Sample
from dgummy.scoring import LOAD_AVERAGE_S

CORES = (2, 4, 6, 8, 12, 16)
SPEEDS = (0.7, 1.5)
MEAN_WORK_S = 300.0
REPEAT_SIGMA = 0.2
SHARING_COST = 0.1
OTHERS_SHARE = 0.05
OTHERS_LAST_S = 600.0
MEMORY_PCT = (20.0, 70.0)
MEMORY_BYTES = 10**10
CACHE_S = 30.0


@dataclass(frozen=True)
class Case:
    """So many jobs within so many seconds on so many hosts. `wanted` is the limit for ours, by the bound."""

    hosts: int
    jobs: int
    window_s: float
    sigma: float = 1.0
    wanted: float | None = None

    def __str__(self) -> str:
        return f"{self.jobs:,} jobs on {self.hosts:,} hosts within {self.window_s:.0f} s, sigma {self.sigma:g}"


@dataclass(frozen=True)
class Arrival:
    """A job that arrives. `work_s` is the truth: what it takes with a core of speed 1 to itself."""

    at_s: float
    key: str
    work_s: float


class Machine:
    """A simulated host: truth. Jobs of ours leave when the service that each has had reaches their end."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.name = f"node-{number}"
        self.cores = rng.choice(CORES)
        self.speed = rng.uniform(*SPEEDS)
        self.mem_pct = rng.uniform(*MEMORY_PCT)
        self.others = _poisson(OTHERS_SHARE * self.cores, rng)
        self.load1 = float(self.others)
        self.at_s = self.served = 0.0
        self.ends: list[tuple[float, str]] = []
        self.began_s: dict[str, float] = {}
        self.version = 0

    @property
    def pace(self) -> float:
        """How fast each job progresses."""
        return self.speed * min(1.0, self.cores / max(1, len(self.ends) + self.others))

    def advance(self, now_s: float) -> None:
        """Let time pass in which nobody comes or goes."""
        passed_s, self.at_s = now_s - self.at_s, now_s
        if self.ends:
            self.served += passed_s * self.pace
        there = len(self.ends) + self.others
        self.load1 = there + (self.load1 - there) * math.exp(-passed_s / LOAD_AVERAGE_S)

    def add(self, key: str, work_s: float) -> None:
        """A job begins, now."""
        heapq.heappush(self.ends, (self.served + work_s, key))
        self.began_s[key] = self.at_s

    def next_end_s(self) -> float:
        """When the next job of ours ends if nobody comes or goes."""
        return self.at_s + (self.ends[0][0] - self.served) / self.pace if self.ends else math.inf

    def pop(self) -> str:
        """The job that is next ends, now."""
        self.served, key = heapq.heappop(self.ends)
        del self.began_s[key]
        return key

    def sample(self) -> Sample:
        """What a probe would say, now."""
        return Sample(
            cpu_pct=100 * min(1.0, (len(self.ends) + self.others) / self.cores),
            mem_total_bytes=MEMORY_BYTES,
            mem_available_bytes=round(MEMORY_BYTES * (1 - self.mem_pct / 100)),
            load1=self.load1,
            cores=self.cores,
            active_runs=tuple(ActiveRun(key, self.at_s - began_s) for key, began_s in self.began_s.items()),
        )

    def completions_s(self, work_s: float | None = None) -> list[float]:
        """In how many s each job of ours ends, step by step, with a new one of that work or without."""
        left = sorted([end - self.served for end, _ in self.ends] + ([] if work_s is None else [work_s]))
        found, passed_s, served = [], 0.0, 0.0
        for number, service in enumerate(left):
            there = len(left) - number + self.others
            passed_s += (service - served) * max(1.0, there / self.cores) / self.speed
            served = service
            found.append(passed_s)
        return found


@dataclass
class World:
    """Hosts, jobs to come, and the earlier runs of the same jobs."""

    case: Case
    seed: int
    earlier_runs: int = 10
    machines: list[Machine] = field(default_factory=list)
    jobs: list[Arrival] = field(default_factory=list)
    runs: list[PastRun] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        self.machines = [Machine(number, rng) for number in range(self.case.hosts)]
        base_sigma = math.sqrt(self.case.sigma**2 - REPEAT_SIGMA**2)
        mu = math.log(MEAN_WORK_S) - self.case.sigma**2 / 2
        arrivals = sorted(rng.uniform(0, self.case.window_s) for _ in range(self.case.jobs))
        past = random.Random(self.seed + 1)
        for number, arrival_s in enumerate(arrivals):
            usual_s = rng.lognormvariate(mu, base_sigma)
            self.jobs.append(Arrival(arrival_s, f"job-{number}", usual_s * rng.lognormvariate(0, REPEAT_SIGMA)))
            for _ in range(self.earlier_runs):
                machine = past.choice(self.machines)
                took_s = usual_s * past.lognormvariate(0, REPEAT_SIGMA) / machine.speed
                took_s *= 1 + past.expovariate(1 / SHARING_COST)
                self.runs.append(PastRun(f"job-{number}", machine.name, took_s))

    @property
    def bound_s(self) -> float:
        """No placing can be through before."""
        return max(self.by_work_s, max(job.work_s for job in self.jobs) / max(host.speed for host in self.machines))

    @property
    def by_work_s(self) -> float:
        """Total work by total speed."""
        return sum(job.work_s for job in self.jobs) / sum(host.cores * host.speed for host in self.machines)


class Policy:
    """Places jobs. `now_s` never goes back; `rng` is its own."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.machines = world.machines
        self.names = {machine.name: machine for machine in world.machines}
        self.rng = rng
        self.samples: dict[str, Sample] = {}
        self.measured_s = -math.inf

    def figures(self, now_s: float) -> None:
        """Probe the hosts if the last figures are too old."""
        if now_s - self.measured_s >= CACHE_S:
            self.measured_s = now_s
            for machine in self.machines:
                machine.advance(now_s)
                self.samples[machine.name] = machine.sample()
            self.probed(now_s)

    def probed(self, now_s: float) -> None:
        """There are fresh figures."""

    def place(self, arrival: Arrival) -> Machine:
        """Say where a job goes. Only an oracle looks at its work."""
        raise NotImplementedError

    def ended(self, key: str, now_s: float) -> None:
        """A job of ours ended."""


Event = tuple[float, int, str, Machine, int]


class Simulation:
    """One world under one policy, event by event."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world = world
        self.policy = policy
        self.rng = random.Random(world.seed + 2)
        self.order = itertools.count()
        self.events: list[Event] = []
        for machine in world.machines:
            self.later("come", machine)
            for _ in range(machine.others):
                self.later("go", machine)

    def later(self, what: str, machine: Machine) -> None:
        """Somebody else's next job will come to a machine, or go."""
        mean_s = OTHERS_LAST_S if what == "go" else OTHERS_LAST_S / (OTHERS_SHARE * machine.cores)
        at_s = machine.at_s + self.rng.expovariate(1 / mean_s)
        heapq.heappush(self.events, (at_s, next(self.order), what, machine, 0))

    def expect(self, machine: Machine) -> None:
        """Somebody came or went: the next end of ours is another one."""
        machine.version += 1
        if machine.ends:
            heapq.heappush(self.events, (machine.next_end_s(), next(self.order), "end", machine, machine.version))

    def happen(self, event: Event) -> str | None:
        """Let an event happen; gives the job of ours that ended."""
        now_s, _, what, machine, version = event
        if what == "end" and version != machine.version:
            return None
        machine.advance(now_s)
        key = None
        if what == "end":
            key = machine.pop()
            self.policy.ended(key, now_s)
        else:
            machine.others += 1 if what == "come" else -1
        if what == "come":
            self.later("come", machine)
            self.later("go", machine)
        self.expect(machine)
        return key

    def run(self) -> tuple[float, float]:
        """Run to the end. Gives the makespan and the mean time from arrival to end, in s."""
        arrived_s = {job.key: job.at_s for job in self.world.jobs}
        ended_s: dict[str, float] = {}
        coming = collections.deque(self.world.jobs)
        while len(ended_s) < len(arrived_s):
            if coming and coming[0].at_s <= self.events[0][0]:
                arrival = coming.popleft()
                machine = self.policy.place(arrival)
                machine.advance(arrival.at_s)
                machine.add(arrival.key, arrival.work_s)
                self.expect(machine)
                continue
            event = heapq.heappop(self.events)
            ended = self.happen(event)
            if ended is not None:
                ended_s[ended] = event[0]
        return max(ended_s.values()), statistics.fmean(ended_s[key] - arrived_s[key] for key in ended_s)


def _poisson(mean: float, rng: random.Random) -> int:
    """Count events of a Poisson process (D. E. Knuth, The Art of Computer Programming 2, 3.4.1)."""
    count, product = 0, rng.random()
    while product > math.exp(-mean):
        count += 1
        product *= rng.random()
    return count
