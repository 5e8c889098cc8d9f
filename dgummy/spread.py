"""Different work spread over hosts: each slot that is free gets the job that should have it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from dgummy import scoring
from dgummy.attempts import Means
from dgummy.batch import Batch
from dgummy.chooser import Chooser, Pick
from dgummy.dispatch import Dispatcher
from dgummy.events import HostChosen, Notice
from dgummy.everywhere import BUSY_POLL_S
from dgummy.groups import Piece
from dgummy.jobs import Job, Placed, longest_first
from dgummy.lodging import BatchHomes
from dgummy.model import Failure, FailureKind, Host, RunResult, Sample
from dgummy.observe import Observation
from dgummy.outlook import Outlook
from dgummy.units import format_duration


class Hosts:
    """The hosts of a batch: what is known of each, and which of them are out of it or in use."""

    def __init__(
        self, hosts: Sequence[Host], batch: Batch, speed: Callable[[str], float], *, one_each: bool, ttl_s: float
    ) -> None:
        self.by_name = {host.name: host for host in hosts}
        self.samples: dict[str, Sample | None] = {}
        self._batch = batch
        self._speed = speed
        self._one_each = one_each
        self._ttl_s = ttl_s
        self._out: set[str] = set()
        self._busy_until_s: dict[str, float] = {}
        self._observed_s = -ttl_s

    def is_stale(self, now_s: float) -> bool:
        """Whether it is time to look at the hosts anew."""
        return now_s - self._observed_s >= self._ttl_s

    def learn(self, observation: Observation, now_s: float) -> None:
        """Take in what a look at the hosts showed; those that did not answer get nothing until they do."""
        self._observed_s = now_s
        for report in observation.reports:
            host = self.by_name[report.host]
            sample = report.sample
            self.samples[host.name] = sample
            outlook = Outlook(host.name, sample, now_s, self._speed(host.name), self._slots(host, sample), _cores(host))
            self._batch.observe(outlook, now_s)
            if host.name not in self._out:
                (self._batch.open if sample is not None else self._batch.close)(host.name)

    def drop(self, name: str) -> None:
        """A host failed: it gets nothing more of this batch."""
        self._out.add(name)
        self._batch.close(name)

    def hold(self, name: str, now_s: float) -> None:
        """A host is in use by somebody else: look again in a while."""
        self._busy_until_s[name] = now_s + BUSY_POLL_S
        self._batch.close(name)

    def release(self, now_s: float) -> None:
        """Use hosts again that were held for long enough."""
        for name in [name for name, until_s in self._busy_until_s.items() if until_s <= now_s]:
            del self._busy_until_s[name]
            if name not in self._out:
                self._batch.open(name)

    def pause_s(self, now_s: float) -> float | None:
        """How long until a held host may be used again."""
        return max(0.0, min(self._busy_until_s.values()) - now_s) if self._busy_until_s else None

    def can_serve(self, job: Job) -> bool:
        """Whether a host that may take the job is not out, and answered when it was last looked at."""
        return any(
            name not in self._out and self.samples.get(name) is not None
            for name in (self.by_name if job.hosts is None else job.hosts)
        )

    def _slots(self, host: Host, sample: Sample | None) -> int | None:
        if self._one_each:
            return 1
        if host.slots is not None:
            return host.slots
        return max(1, int(_cores(host) or (scoring.cores_of(sample) if sample is not None else 1)))


def _cores(host: Host) -> float | None:
    try:
        return float(host.declared["cores"])
    except (KeyError, ValueError):
        return None


class Spread:
    """A `Source` that places each piece when a host has room for it.

    `jobs` maps run ids to what the batch knows of them, `preferred` to the hosts that they had better go to. `homes`
    knows where the specialists of tasks live: those come before.
    """

    def __init__(
        self,
        pieces: Sequence[Piece],
        batch: Batch,
        hosts: Hosts,
        jobs: Mapping[str, Job],
        preferred: Mapping[str, tuple[str, ...]],
        *,
        homes: BatchHomes,
        chooser: Chooser,
        dispatcher: Dispatcher,
        means: Means,
    ) -> None:
        self._homes = homes
        self._batch = batch
        self._hosts = hosts
        self._jobs = dict(jobs)
        self._preferred = preferred
        self._pieces = {piece.course.run_id: piece for piece in pieces}
        self._queue = longest_first(jobs.values())
        self._chooser = chooser
        self._dispatcher = dispatcher
        self._journal = means.journal
        self._settings = means.settings
        self._emit = means.emit
        self._waiting_since: dict[str, float] = {}
        self._here = threading.Lock()

    def next(self, now_s: float) -> Piece | None:
        """Give the piece that should start next, placed; or one that no host is left for."""
        if not self._queue:
            return None
        if self._hosts.is_stale(now_s):
            self._hosts.learn(self._chooser.observe(list(self._hosts.by_name.values())), now_s)
        self._hosts.release(now_s)
        for job in self._queue:
            if not self._hosts.can_serve(job):
                return self._hopeless(job)
        placed = self._take(now_s)
        return self._start(placed) if isinstance(placed, Placed) else None

    def back(self, piece: Piece, now_s: float) -> Callable[[], RunResult] | None:
        """Put a piece back into the queue. A host that is in use is left alone for a while, another one for good."""
        run_id, host = piece.course.run_id, piece.host
        if host is None:
            return None
        self._batch.ended(run_id, now_s, ran=False)
        if host.name in piece.course.failed:
            self._hosts.drop(host.name)
        else:
            reason = piece.course.busy.pop(host.name, "")
            since_s = self._waiting_since.setdefault(run_id, now_s)
            patience_s = self._settings.timeouts.workspace_s
            if now_s - since_s > patience_s:
                text = f"waited {format_duration(patience_s)}: {host.name}: {reason}"
                failure = Failure(FailureKind.BUSY, text, "try again later, or use --no-sync for what needs no sync")
                return lambda: self._dispatcher.gave_up(piece.course, failure)
            self._emit(Notice(f"waiting: {host.name}: {reason}", "caution"))
            self._hosts.hold(host.name, now_s)
        self._queue.insert(0, self._jobs[run_id])
        return None

    def ended(self, piece: Piece, now_s: float) -> None:
        """Its host has room again."""
        if self._batch.host_of(piece.course.run_id) is not None:
            self._batch.ended(piece.course.run_id, now_s)

    def pause_s(self, now_s: float) -> float | None:
        """Until a host that is in use is looked at again."""
        return self._hosts.pause_s(now_s) if self._queue else None

    def unstarted(self) -> list[Piece]:
        """Those still in the queue."""
        return [self._pieces[job.key] for job in self._queue]

    def _take(self, now_s: float) -> object:
        """Place a job: one that has a preference where that host has room, else the one that should start first."""
        for job in self._queue:
            for wanted in (self._home(job), self._with_room(job)):
                placed = self._batch.place(_only(job, wanted), now_s) if wanted else None
                if placed is not None:
                    return placed
        return self._batch.take(self._queue, now_s)

    def _home(self, job: Job) -> frozenset[str]:
        """The host where a task's specialist lives, if the task should go there before all others."""
        return self._homes.wanted(job.key, self._loads(job)) if job.key in self._homes else frozenset()

    def _with_room(self, job: Job) -> frozenset[str]:
        """The hosts that a job prefers and may have, while they are not overloaded."""
        preferred = self._preferred.get(job.key)
        if not preferred:
            return frozenset()
        loads, limit = self._loads(job), self._settings.overload_threshold
        fit = {name for name, load in loads.items() if load is None or load < limit}
        return frozenset(preferred) & fit

    def _loads(self, job: Job) -> dict[str, float | None]:
        """The scores of the hosts that may take a job and answer, with what this batch has on them."""
        weights = job.kind.weights or self._chooser.default_weights
        ours = Counter(self._batch.host_of(run_id) for run_id in self._pieces)
        return {
            name: scoring.score(sample, weights, extra_jobs=ours[name])
            for name, sample in self._hosts.samples.items()
            if sample is not None and (job.hosts is None or name in job.hosts)
        }

    def samples_of(self, name: str) -> Sample | None:
        """What the last look at a host showed."""
        return self._hosts.samples.get(name)

    def _start(self, placed: Placed) -> Piece:
        job = self._jobs[placed.job.key]
        self._queue.remove(job)
        piece = self._pieces[job.key]
        piece.host = self._hosts.by_name[placed.host]
        piece.sample = self.samples_of(placed.host)
        self._journal.note_placement(job.key, placed.host)
        expected = () if placed.completion_s is not None else ("expected completion: no history yet",)
        if job.key in self._homes:
            piece.course.memory = self._homes.memory(job.key, placed.host, self._loads(job))
        memory = piece.course.memory
        is_told = memory is not None and (memory.home is not None or piece.order.isolate)
        told = (memory.reason,) if memory is not None and is_told else ()
        self._emit(HostChosen(job.key, placed.host, (*placed.why, *told, *expected)))
        return piece

    def _hopeless(self, job: Job) -> Piece:
        """No host is left for a job: this machine stands in, one job at a time, or it is told why not."""
        self._queue.remove(job)
        piece = self._pieces[job.key]
        pick = self._pick_for(piece)

        def stand_in() -> RunResult:
            with self._here:
                return self._dispatcher.nobody(piece.order, piece.course, pick)

        piece.host, piece.last_resort = None, stand_in
        return piece

    def _pick_for(self, piece: Piece) -> Pick:
        hosts = self._chooser.hosts(piece.order.wish)
        return self._chooser.judged(piece.order.wish, self._chooser.observe(hosts))


def _only(job: Job, hosts: frozenset[str]) -> Job:
    return Job(job.key, job.expected_s, job.kind, hosts)
