"""One piece of work, from wish to result: choose a host, try it, and go on to the next one where that is safe.

A run goes to another host only if the last one provably never started it. What failed is kept as an attempt, with its
reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dgummy import homes, outcomes
from dgummy.agents import SPECIALISTS_MODE, companions
from dgummy.attempts import Attempter, Means
from dgummy.chooser import Chooser, Pick
from dgummy.events import AttemptEnded, HostChosen, Notice, RunEnded
from dgummy.fanout import Call
from dgummy.lodging import fresh_memory
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host, Memory, RunResult, RunState, Sample
from dgummy.orders import Course, Order
from dgummy.placement import meets, parse_requirement
from dgummy.runs import Ending
from dgummy.stop import Stop
from dgummy.units import format_duration

_BUSY_POLL_S = 2.0


class Dispatcher:
    """Carries out orders. Thread-safe: it may carry out several at once."""

    def __init__(
        self, means: Means, chooser: Chooser, look_here: Callable[[], Sample | None], *, stop: Stop | None = None
    ) -> None:
        self._means = means
        self._settings = means.settings
        self._journal = means.journal
        self._chooser = chooser
        self._look_here = look_here
        self._emit = means.emit
        self._now = means.now
        self._stop = stop or Stop()
        self.attempter = Attempter(means, self._stop)

    def run(self, order: Order, *, here: str = "") -> RunResult:
        """Carry out one order to its end. `here` is why it is to run on this machine, "" to choose a host."""
        self.attempter.purse.check([order])
        if order.sync and not here:
            self._means.syncer()  # a project that must not be sent is refused before anything else happens
        (course,) = self.begin([order])
        return self.finish(course, lambda: self._run(order, course, here))

    def begin(self, orders: Sequence[Order]) -> list[Course]:
        """Write orders down, before anything is done for them."""
        return self._courses(orders, self._journal.open_runs(orders, self._kinds(orders), self._means.project()))

    def take_over(self, orders: Sequence[Order], run_ids: Sequence[str]) -> list[Course]:
        """Go on with orders that another client wrote down and did not begin, and that are ours in the ledger now."""
        return self._courses(orders, run_ids)

    def _kinds(self, orders: Sequence[Order]) -> list[str]:
        return [self._chooser.task_type(order.wish)[0].name for order in orders]

    def _courses(self, orders: Sequence[Order], run_ids: Sequence[str]) -> list[Course]:
        began, now = time.monotonic(), self._now()
        return [Course(run_id, began, now, kind) for run_id, kind in zip(run_ids, self._kinds(orders), strict=True)]

    def finish(self, course: Course, work: Callable[[], RunResult]) -> RunResult:
        """Do what gives an order its result, and write down how that ended, whatever happens."""
        try:
            result = work()
        except BaseException as error:
            # Whoever read its output is gone: it was told to end, and the next look at it says whether it did.
            gone = isinstance(error, BrokenPipeError)
            why = "told to end: whoever read its output was gone" if gone else str(error)
            state = RunState.LOST if gone else RunState.SKIPPED
            self._journal.update(course.run_id, state=state, reason=why, ended_at=self._now())
            raise
        self._journal.close_run(result)
        self._emit(RunEnded(result))
        return result

    def _run(self, order: Order, course: Course, here: str) -> RunResult:
        return self._run_here(order, course, here) if here else self._run_somewhere(order, course)

    def _run_here(self, order: Order, course: Course, why: str, fallback: str | None = None) -> RunResult:
        course.memory = self._memory_here(order, course, fallback)
        reasons = [course.memory.reason] if course.memory is not None and course.memory.home else []
        self._emit(HostChosen(course.run_id, LOCAL_HOST, (why, *reasons)))
        return self.attempter.run_here(order, course, fallback)

    def _memory_here(self, order: Order, course: Course, fallback: str | None) -> Memory | None:
        """What the task's specialist remembers on this machine."""
        if order.mode != SPECIALISTS_MODE:
            return None
        if fallback:  # this machine was not asked when the hosts were
            unknown, why_not = frozenset({LOCAL_HOST}), "which could not take it"
        else:
            course.look, unknown, why_not = self._means.homes([order.wish]), frozenset(), ""
        if course.look is None:
            return None
        return homes.memory(course.look.home(order.text, {}, unknown=unknown), (), LOCAL_HOST, why_not)

    # -- choosing, and what to do when nobody can take it ------------------------------------------------------

    def _run_somewhere(self, order: Order, course: Course) -> RunResult:
        waiting_since: float | None = None
        fresh: Memory | None = None
        if order.mode == SPECIALISTS_MODE and order.isolate:
            fresh = fresh_memory(self._means.project(), order.text)
        elif order.mode == SPECIALISTS_MODE:
            course.look = self._means.homes([order.wish])
        while True:
            pick = self._pick(order, course, refresh=waiting_since is not None)
            if pick is None or self._stop.cancelled:
                return self.not_started(course)
            if pick.choice.host is not None:
                course.memory = fresh or pick.choice.memory
                why = (*pick.why, fresh.reason) if fresh else pick.why
                self._emit(HostChosen(course.run_id, pick.choice.host, why))
                host = next(host for host in self._chooser.hosts(order.wish) if host.name == pick.choice.host)
                result = self.attempter.try_at(order, course, host, pick.choice.sample)
                if result is not None:
                    return result
                continue
            patience_s = self._settings.timeouts.workspace_s
            if not pick.choice.is_worth_waiting:
                return self.nobody(order, course, pick)
            if waiting_since is None:
                waiting_since = time.monotonic()
                self._emit(Notice(f"waiting: {outcomes.waiting_for(pick.choice)}", "caution"))
            elif time.monotonic() - waiting_since > patience_s:
                reason = f"waited {format_duration(patience_s)}: {outcomes.waiting_for(pick.choice)}"
                failure = Failure(FailureKind.BUSY, reason, "try again later, or use --no-sync for what needs no sync")
                return self.gave_up(course, failure)
            self._stop.nap(_BUSY_POLL_S)
            course.busy.clear()

    def not_started(self, course: Course) -> RunResult:
        """The result of an order that was called off before a host had started it."""
        ending = self.attempter.called_off(f"{self._stop.reason} before it started")
        return self.attempter.result(course, "", ending)

    def gave_up(self, course: Course, failure: Failure) -> RunResult:
        """The result of an order that no host took, and whose failure decides."""
        return self.attempter.result(course, "", _never(failure))

    def _pick(self, order: Order, course: Course, *, refresh: bool) -> Pick | None:
        """Choose a host. None if the work was called off meanwhile."""
        look = course.look
        call = Call(
            lambda: self._chooser.pick(
                order.wish,
                excluded=course.failed,
                busy=course.busy,
                refresh=refresh,
                workspace=self._means.remote_dir if order.needs_the_workspace else None,
                run_id=course.run_id,
                home=look.finder(order.text) if look else None,
            ),
            "choose",
        )
        return call.result() if self._stop.wait_for(call) else None

    def nobody(self, order: Order, course: Course, pick: Pick) -> RunResult:
        """No host can take it: run here if that is what the user would want, else say why."""
        probes = {report.host: report.failure for report in pick.observation.reports}
        for verdict in pick.choice.verdicts:
            if verdict.host not in course.failed:
                attempt = outcomes.passed_over(verdict, probes.get(verdict.host))
                course.attempts.append(attempt)
                self._emit(AttemptEnded(course.run_id, attempt))
        seen = [failure for failure in probes.values() if failure is not None]
        agent = self._settings.agent
        failure = outcomes.decisive([*course.failures, *seen], pick.choice.verdicts, agent.tool, agent.install)
        stands_in = outcomes.might_have_run(course.attempts) and order.fallback == LOCAL_HOST
        # A host that was reached would take it as soon as what is there is collected.
        in_the_way = any(failed.kind is FailureKind.UNCOLLECTED for failed in course.failures)
        if order.wish.hosts or in_the_way or not stands_in:
            return self.gave_up(course, failure)
        lacking = self._lacking_here(order, course)
        if lacking:
            self._emit(Notice(f"not run here either: this machine lacks {lacking}", "warning"))
            return self.gave_up(course, failure)
        return self._run_here(order, course, f"no host could take it ({failure})", fallback=LOCAL_HOST)

    def _lacking_here(self, order: Order, course: Course) -> str:
        """What this machine lacks for the order, "" if nothing."""
        kind = self._chooser.task_types[course.task_type]
        starts = companions(self._settings.agent.tool) if order.mode else ()
        wanted = [parse_requirement(text) for text in (*order.wish.requires, *kind.requires, *starts)]
        if not wanted:
            return ""
        sample = self._look_here()
        here = Host(LOCAL_HOST)
        return ", ".join(str(term) for term in wanted if not meets(here, sample, term))


def _never(failure: Failure) -> Ending:
    return Ending(outcomes.outcome_of(failure), reason=str(failure), remedy=failure.remedy, not_started=failure)
