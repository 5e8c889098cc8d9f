"""Several runs that belong together: started within a bound, stopped by rule, and each one's end heard.

What is started next, and where, is a `Source`'s to say. Here is only the loop around it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dgummy.attempts import Attempter
from dgummy.dispatch import Dispatcher
from dgummy.fanout import Crew
from dgummy.model import LOCAL_HOST, Failure, Host, RunResult, RunState, Sample
from dgummy.orders import Course, Order
from dgummy.runs import Ending
from dgummy.stop import DEADLINE, Stop
from dgummy.stoprules import StopRule, Verdict
from dgummy.transport.base import Deadline

_LAST_WORDS_S = 30.0


@dataclass(eq=False)
class Piece:
    """One run of a group. `host` is where it is to be tried now, `sample` what it was chosen for.

    `last_resort` is set where there is no host to try: what gives it its result all the same.
    """

    order: Order
    course: Course
    host: Host | None = None
    sample: Sample | None = None
    last_resort: Callable[[], RunResult] | None = None

    def __str__(self) -> str:
        return self.order.label or self.course.run_id


class Source(Protocol):
    """Says what is started next. Called from one thread; `now_s` is the monotonic clock."""

    def next(self, now_s: float) -> Piece | None:
        """Give a piece to be tried now, at its host or by its last resort; None if there is none for now."""
        ...

    def back(self, piece: Piece, now_s: float) -> Callable[[], RunResult] | None:
        """Take back a piece that its host did not start. None: it will be offered again; else what gives its result."""
        ...

    def ended(self, piece: Piece, now_s: float) -> None:
        """Hear that a piece has its result."""
        ...

    def pause_s(self, now_s: float) -> float | None:
        """How long until `next` should be asked again although nothing ended; None if that would make no difference."""
        ...

    def unstarted(self) -> list[Piece]:
        """Give the pieces that were not offered yet."""
        ...


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a group: a result for each run id, and why not everything was done ("" if it was)."""

    results: dict[str, RunResult]
    stopped: str = ""
    timed_out: bool = False


class GroupRunner:
    """Runs one group to its end."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        stop: Stop,
        *,
        rule: StopRule,
        jobs: int,
        deadline_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher = dispatcher
        self._stop = stop
        self._rule = rule
        self._jobs = jobs
        self._deadline = Deadline(deadline_s, clock=clock)
        stop.bound.set(deadline_s)
        self._clock = clock
        self._crew: Crew[Piece, RunResult | None] = Crew()
        self._results: dict[str, RunResult] = {}
        self._held = ""
        self._cannot_afford: Failure | None = None

    def run(self, source: Source, total: int) -> Ran:
        """Carry out what the source offers, `total` runs in all."""
        try:
            self._loop(source, total)
        except BaseException:
            # A bug, or nobody reads our output any more: what runs is ended all the same.
            self._stop.cancel()
            self._hear_out()
            raise
        stopped = self._stop.reason or self._held
        for piece in source.unstarted():
            failure = self._cannot_afford
            remedy = failure.remedy if failure else ""
            ending = Ending(RunState.SKIPPED, reason=f"not started: {stopped}", remedy=remedy, not_started=failure)
            self._finish(piece, lambda piece=piece, ending=ending: self._attempter.result(piece.course, "", ending))  # type: ignore[misc]
        return Ran(self._results, stopped, self._stop.timed_out)

    @property
    def _attempter(self) -> Attempter:
        return self._dispatcher.attempter

    def _loop(self, source: Source, total: int) -> None:
        while True:
            if self._deadline.passed and not self._stop.cancelled:
                self._stop.cancel(DEADLINE)
            pause_s = None
            if not self._stop.cancelled and not self._held:
                self._start_what_may(source)
                pause_s = source.pause_s(self._clock())
            if not self._crew and pause_s is None:
                return
            waits = [wait for wait in (pause_s, self._deadline.remaining_s()) if wait is not None]
            if self._stop.cancelled:
                waits = []
            end = self._crew.next_end(min(waits, default=None))
            if end is not None:
                self._hear(source, *end)
                self._judge(total)

    def _start_what_may(self, source: Source) -> None:
        while len(self._crew) < self._jobs:
            if not self._can_afford_more(source):
                return
            piece = source.next(self._clock())
            if piece is None:
                return
            self._crew.start(piece, lambda piece=piece: self._try(piece))  # type: ignore[misc]

    def _can_afford_more(self, source: Source) -> bool:
        """Whether there is money for the next; asked where all that is left are tasks for agents.

        Where some are not, each task for an agent is asked for when it is tried.
        """
        left = source.unstarted()
        if left and all(piece.order.mode for piece in left):
            self._cannot_afford = self._attempter.purse.refusal()
        if self._cannot_afford is None:
            return True
        self._held = self._cannot_afford.detail
        return False

    def _try(self, piece: Piece) -> RunResult | None:
        if piece.last_resort is not None:
            return piece.last_resort()
        assert piece.host is not None  # noqa: S101 - a source gives what it offers a host
        if piece.host.name == LOCAL_HOST:
            return self._attempter.run_here(piece.order, piece.course)
        return self._attempter.try_at(piece.order, piece.course, piece.host, piece.sample)

    def _hear(self, source: Source, piece: Piece, result: RunResult | None) -> None:
        if result is not None:
            self._finish(piece, lambda: result)
            source.ended(piece, self._clock())
            return
        last_resort = source.back(piece, self._clock())
        if last_resort is not None:
            self._crew.start(piece, last_resort)

    def _finish(self, piece: Piece, work: Callable[[], RunResult]) -> None:
        self._results[piece.course.run_id] = self._dispatcher.finish(piece.course, work)

    def _judge(self, total: int) -> None:
        if self._stop.cancelled or self._held:
            return
        failed = sum(result.state not in (RunState.OK, RunState.RUNNING) for result in self._results.values())
        verdict = self._rule.verdict(failed, total)
        if verdict is Verdict.CANCEL:
            self._stop.cancel(self._rule.why(failed))
        elif verdict is Verdict.HOLD:
            self._held = self._rule.why(failed)

    def _hear_out(self) -> None:
        end = Deadline(_LAST_WORDS_S, clock=self._clock)
        while self._crew and not end.passed:
            try:
                self._crew.next_end(end.remaining_s())
            except BaseException:  # noqa: BLE001, S112, PERF203 - the first one is what is raised
                continue
