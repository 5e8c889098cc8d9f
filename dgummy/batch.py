"""Which host takes the next job of a batch: the one where it costs the least time. Pure.

A batch knows its hosts by their last probes (`dgummy.outlook`), its own jobs there by itself, how long they take from
earlier runs (`dgummy.forecast`), and so when a job would complete on each host (`dgummy.sharing`). What it costs are
the seconds until it completes, those by which other jobs there complete later, and those by which the whole batch ends
later, once for each job of the batch that is under way: the mean completion and the end of the batch count alike. Hosts
within `TOLERANCE` of the least are as good; of those the one with the fewest jobs per core takes it, then chance
decides. Work with a criterion of its own (database: the lowest CPU) goes, of the hosts within `LEEWAY`, to the one that
is best by that, as a single choice would (`scoring.projection`). A job without history is taken to be as long as jobs
have been on average.

Of up to `EVERY` hosts all are looked at. Of more, a short list: those where a short job costs least, kept sorted with
O(log hosts) comparisons for each change; and of the fastest hosts the more, the longer the job is.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

from dgummy.jobs import Job, Offer, Placed, Wait, longest_first
from dgummy.model import Weights
from dgummy.outlook import Outlook, io_share, others_jobs, stretch
from dgummy.scoring import FRESH_RUN_S, choice_weights, projection
from dgummy.sharing import Quote, SharedHost

__all__ = ["Batch", "Job", "Offer", "Outlook", "Placed", "Wait", "longest_first"]

TOLERANCE = 0.02
"""Forecasts are no better than that, so hosts this close to the best are as good."""
LEEWAY = 0.15
"""So much later a job may complete for the sake of the criterion of its kind."""
PATIENCE = 0.9
"""A job waits for a host only if it completes there within this share of the time that it takes on a free one."""
USUAL_S = 300.0
"""How long a job is taken to be before anything is known of any."""
EVERY = 32
"""Of up to so many hosts all are looked at; of more, only those on two lists."""

_SHORT_LIST = 3
_LONG_LIST = 64
_LONG_LIST_OF_USUAL_JOB = 2
_SHORTEST_S, _LONGEST_S = 1e-3, 1e9
_COST = itemgetter(0)


class _Host(SharedHost):
    """A host of a batch: what is known of it, and how much longer each kind of work takes there."""

    __slots__ = ("chance", "closed", "index", "io_queued", "outlook", "stretches")

    def __init__(self, index: int, outlook: Outlook, now_s: float) -> None:
        super().__init__(now_s)
        self.index = index
        self.outlook = outlook
        self.closed = False
        self.chance = 0.0
        self.io_queued = 0.0
        self.stretches: dict[_Kind, float] = {}

    @property
    def has_slot(self) -> bool:
        slots = self.outlook.slots
        return not self.closed and (slots is None or len(self.jobs) < slots)

    def stretch(self, kind: _Kind) -> float:
        known = self.stretches.get(kind)
        if known is None:
            known = self.stretches[kind] = stretch(kind.weights, self.outlook.sample, self.io_queued)
        return known


class _Kind:
    """Work with the same weights, and the hosts in the order in which a short job of it costs little."""

    __slots__ = ("criterion", "entries", "io_share", "order", "weights")

    def __init__(self, weights: Weights, *, has_criterion: bool) -> None:
        self.weights = weights
        self.criterion = choice_weights(weights) if has_criterion else None
        self.io_share = io_share(weights)
        self.order: list[tuple[float, float, float, int]] = []
        self.entries: dict[int, tuple[float, float, float, int]] = {}

    def rank(self, host: _Host) -> None:
        old = self.entries.pop(host.index, None)
        if old is not None:
            del self.order[bisect_left(self.order, old)]
        if host.has_slot:
            entry = (host.slope * host.stretch(self), host.crowd, host.chance, host.index)
            self.entries[host.index] = entry
            insort(self.order, entry)


class _Running(NamedTuple):
    """A job of ours that is on a host."""

    host: _Host
    placed_s: float
    stretch: float
    io_share: float


class _Rated(NamedTuple):
    """A host that could take a job now."""

    cost_s: float
    host: _Host
    quote: Quote
    stretch: float


class Batch:
    """The hosts of a batch and its jobs there. Times are s of one clock, whichever; they never go back.

    `weights` are those of kinds of work that have none of their own. `rng` decides between hosts that are as good.
    """

    def __init__(
        self, outlooks: Iterable[Outlook], now_s: float, *, rng: random.Random, weights: Weights | None = None
    ) -> None:
        self._rng = rng
        self._weights = weights or Weights()
        self._hosts: list[_Host] = []
        self._by_name: dict[str, _Host] = {}
        self._fastest: list[_Host] = []
        self._running: dict[str, _Running] = {}
        self._kinds: dict[Weights, _Kind] = {}
        self._end_at_s = now_s
        self._total_s, self._count = USUAL_S, 1
        for outlook in outlooks:
            self.observe(outlook, now_s)

    @property
    def usual_s(self) -> float:
        """How long a job is taken to be of which nothing is known: the mean of those that are known."""
        return self._total_s / self._count

    def host_of(self, key: str) -> str | None:
        """Where a job is now."""
        running = self._running.get(key)
        return None if running is None else running.host.outlook.host

    def observe(self, outlook: Outlook, now_s: float) -> None:
        """Learn of a host, or what a fresh probe says of it."""
        host = self._by_name.get(outlook.host)
        if host is None:
            host = _Host(len(self._hosts), outlook, now_s)
            self._by_name[outlook.host] = host
            self._hosts.append(host)
            self._fastest = []
        elif outlook.speed != host.speed:
            self._fastest = []
        host.advance(now_s)
        host.outlook = outlook
        cores, sample = outlook.core_count, outlook.sample
        others = 0.0 if sample is None else others_jobs(sample, cores, host.jobs, host.own_load)
        host.describe(cores, outlook.speed, others)
        unseen_since_s = outlook.measured_s - FRESH_RUN_S
        running = (self._running[key] for key in host.jobs)
        host.stretches.clear()
        host.io_queued = sum(job.io_share for job in running if job.placed_s > unseen_since_s)
        self._changed(host)

    def close(self, name: str) -> None:
        """Put nothing more on a host, until it is opened. KeyError if there is none of this name."""
        self._by_name[name].closed = True
        self._changed(self._by_name[name])

    def open(self, name: str) -> None:
        """Use a host again that was closed. KeyError if there is none of this name."""
        self._by_name[name].closed = False
        self._changed(self._by_name[name])

    def place(self, job: Job, now_s: float) -> Placed | None:
        """Put a job on the host with a free slot where it costs least; None if none that may take it has one.

        ValueError if the job is on a host already.
        """
        rated = self._rate(job, now_s)
        return self._put(job, rated, now_s) if rated else None

    def take(self, queue: Iterable[Job], now_s: float) -> Placed | Wait | None:
        """Put the first job of a queue (`longest_first`) on a host that had better start now than wait.

        A job of known length waits where a host whose slots are in use would complete it clearly sooner all the same;
        the next ones then reckon with its being there. Gives a Wait, for the first job that waits, if none had better
        start; None if none can. Takes O(jobs that wait · hosts).
        """
        if not any(host.has_slot for host in self._hosts):
            return None
        waits: Wait | None = None
        promised: dict[int, list[float]] = {}
        for job in queue:
            rated = self._rate(job, now_s)
            if not rated:
                continue
            wait = self._wait(job, rated, promised, now_s)
            if wait is None:
                return self._put(job, rated, now_s)
            waits = waits or wait
        return waits

    def ended(self, key: str, now_s: float, *, ran: bool = True) -> None:
        """A job is no longer on its host. `ran` is False if it did not run to its end there. KeyError if unknown."""
        running = self._running.pop(key)
        host = running.host
        host.advance(now_s)
        known = host.jobs[key].known
        work_s = host.remove(key) / running.stretch
        if ran and not known:
            self._learn(work_s)
        if running.io_share and running.placed_s > host.outlook.measured_s - FRESH_RUN_S:
            host.io_queued = max(0.0, host.io_queued - running.io_share)
            host.stretches.clear()
        self._changed(host)

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _rate(self, job: Job, now_s: float) -> list[_Rated]:
        """Say what a job would cost on the hosts that are worth a look, the best first and the next best second."""
        kind = self._kind(job)
        work_s = self._work_s(job)
        jobs = len(self._running) + 1
        rated: list[_Rated] = []
        for host in self._candidates(job, kind, work_s):
            host.advance(now_s)
            stretched = host.stretches.get(kind) or host.stretch(kind)
            quote = host.quote(work_s * stretched)
            later_s = now_s + quote.through_s - self._end_at_s
            cost_s = quote.total_s + later_s * jobs if later_s > 0 else quote.total_s
            rated.append(_Rated(cost_s, host, quote, stretched))
        if len(rated) > 1:
            rated.sort(key=_COST)
            criterion = kind.criterion
            limit_s = rated[0][0] * (1 + (TOLERANCE if criterion is None else LEEWAY))
            if rated[1][0] <= limit_s:
                tied = [one for one in rated if one[0] <= limit_s]
                if criterion is None:
                    tied.sort(key=lambda one: (one.host.crowd, one.host.chance))
                else:
                    tied.sort(key=lambda one: (self._by_criterion(one.host, criterion), one.host.chance))
                rated[: len(tied)] = tied
        return rated

    def _by_criterion(self, host: _Host, criterion: Weights) -> float:
        """The score by which a kind of work chooses, with our jobs that the figures do not show; 1 if unknown."""
        outlook = host.outlook
        unseen_since_s = outlook.measured_s - FRESH_RUN_S
        unseen = sum(self._running[key].placed_s > unseen_since_s for key in host.jobs)
        score = None if outlook.sample is None else projection(outlook.sample, criterion, extra_jobs=unseen)
        return 1.0 if score is None else score

    def _candidates(self, job: Job, kind: _Kind, work_s: float) -> Iterable[_Host]:
        """Hosts with a free slot that may be the best for a job."""
        if job.hosts is not None:
            named = (self._by_name.get(name) for name in sorted(job.hosts))
            return [host for host in named if host is not None and host.has_slot]
        if len(self._hosts) <= EVERY:
            return [host for host in self._hosts if host.has_slot]
        short_list = [self._hosts[entry[-1]] for entry in kind.order[:_SHORT_LIST]]
        long_list = self._by_speed()[: min(_LONG_LIST, round(_LONG_LIST_OF_USUAL_JOB * work_s / self.usual_s))]
        return dict.fromkeys([*short_list, *(host for host in long_list if host.has_slot)])

    def _by_speed(self) -> list[_Host]:
        if not self._fastest:
            self._fastest = sorted(self._hosts, key=lambda host: -host.speed)
        return self._fastest

    def _wait(self, job: Job, rated: Sequence[_Rated], promised: dict[int, list[float]], now_s: float) -> Wait | None:
        """Find the host that a job had better wait for, if there is one, and promise it the slot."""
        if job.expected_s is None:
            return None
        here = rated[0]
        best: tuple[float, float, _Host] | None = None
        sooner_s = PATIENCE * here.quote.completion_s
        for host in self._by_speed():
            if job.expected_s / host.speed >= sooner_s:
                break
            is_eligible = job.hosts is None or host.outlook.host in job.hosts
            if host.closed or host.has_slot or not host.jobs or not is_eligible:
                continue
            start_s, completion_s = self._when_free(host, job, promised.get(host.index, ()), now_s)
            if completion_s < sooner_s:
                sooner_s, best = completion_s, (start_s, completion_s, host)
        if best is None:
            return None
        start_s, completion_s, host = best
        promised.setdefault(host.index, []).append(completion_s)
        return Wait(job, host.outlook.host, start_s, completion_s, _offer(job, here))

    def _when_free(self, host: _Host, job: Job, promised: Sequence[float], now_s: float) -> tuple[float, float]:
        """When a host whose slots are in use would start a job, and complete it; after others that wait for it."""
        slots = host.outlook.slots or 1
        host.advance(now_s)
        ends_s = sorted([*host.ends_s(), *promised])
        start_s = ends_s[len(ends_s) - slots]
        work_s = self._work_s(job) * host.stretch(self._kind(job))
        return start_s, start_s + work_s / host.pace(slots)

    # -- what becomes of it -------------------------------------------------------------------------------------------

    def _put(self, job: Job, rated: Sequence[_Rated], now_s: float) -> Placed:
        """Put a job on the first of some rated hosts."""
        if job.key in self._running:
            raise ValueError(f"{job.key} is on a host already")
        best = rated[0]
        host, kind = best.host, self._kind(job)
        placed = Placed(job, _offer(job, best), _offer(job, rated[1]) if len(rated) > 1 else None)
        host.add(job.key, self._work_s(job) * best.stretch, known=job.expected_s is not None)
        self._running[job.key] = _Running(host, now_s, best.stretch, kind.io_share)
        self._end_at_s = max(self._end_at_s, now_s + best.quote.through_s)
        if kind.io_share:
            host.io_queued += kind.io_share
            host.stretches.clear()
        if job.expected_s is not None:
            self._learn(job.expected_s)
        self._changed(host)
        return placed

    def _changed(self, host: _Host) -> None:
        """Put a host where it belongs now."""
        host.chance = self._rng.random()
        for kind in self._kinds.values():
            kind.rank(host)

    def _kind(self, job: Job) -> _Kind:
        weights = job.kind.weights or self._weights
        kind = self._kinds.get(weights)
        if kind is None:
            kind = self._kinds[weights] = _Kind(weights, has_criterion=weights != self._weights)
            for host in self._hosts:
                kind.rank(host)
        return kind

    def _work_s(self, job: Job) -> float:
        return self.usual_s if job.expected_s is None else min(_LONGEST_S, max(_SHORTEST_S, job.expected_s))

    def _learn(self, work_s: float) -> None:
        self._total_s += work_s
        self._count += 1


def _offer(job: Job, rated: _Rated) -> Offer:
    """Tell what a host means for a job that is not there yet."""
    host, quote = rated.host, rated.quote
    count = len(host.jobs)
    return Offer(
        host=host.outlook.host,
        completion_s=None if job.expected_s is None else quote.completion_s,
        delay_s=max(0.0, quote.total_s - quote.completion_s),
        pace=host.pace(count + 1),
        stretch=rated.stretch,
        cores=host.cores,
        speed=host.speed,
        ours=count,
        others=host.others,
    )
