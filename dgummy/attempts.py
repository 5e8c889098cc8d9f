"""One try at one host: bring the project there, run the command, hear how it ended, and prove it.

What stops the work comes through a `Stop`, so that many of these can be under way at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from dgummy import agents, asked, outcomes
from dgummy.agents import Evidence
from dgummy.chooser import Wish
from dgummy.events import AttemptEnded, Listener, Notice
from dgummy.fanout import Call
from dgummy.interrupt import cancelling, end_run, timed_out
from dgummy.journal import AttemptFigures, Journal
from dgummy.lodging import HomeLook
from dgummy.model import LOCAL_HOST, Attempt, Failure, FailureKind, Host, RunResult, RunState, Sample, SyncResult
from dgummy.orders import Course, Order, Site
from dgummy.project import Project
from dgummy.proof import Claim, prove
from dgummy.runs import Ending, Supervision
from dgummy.runscript import RunSpec
from dgummy.settings import Settings
from dgummy.spending import Meter, Purse, reading_of
from dgummy.stop import Stop
from dgummy.syncing import after_collecting
from dgummy.transport.base import Transport
from dgummy.work import WorkState, encode_base
from dgummy.workspaces import Synced, WorkspaceSync

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dgummy.baseline import Baseline
    from dgummy.collecting import Collector
    from dgummy.ledger_rows import RunRow


@dataclass(frozen=True, slots=True)
class Means:
    """What it takes to carry out orders. `runner` carries runs, `control` short scripts, `local` is this machine.

    `homes` begins to look where the specialists of tasks live; None where that does not matter. `baseline` begins to
    record what is sent, `collector` brings home what runs change.
    """

    settings: Settings
    journal: Journal
    runner: Transport
    control: Transport
    local: Transport
    project: Callable[[], Project]
    syncer: Callable[[], WorkspaceSync]
    remote_dir: Callable[[Host], str]
    owner: str
    emit: Listener
    now: Callable[[], datetime]
    homes: Callable[[Sequence[Wish]], HomeLook | None]
    baseline: Callable[[], Baseline]
    collector: Callable[[], Collector]


class Attempter:
    """Tries hosts. Thread-safe: several orders at once, each with a course of its own."""

    def __init__(self, means: Means, stop: Stop) -> None:
        self._means = means
        self._settings = means.settings
        self._journal = means.journal
        self._emit = means.emit
        self._now = means.now
        self._stop = stop
        self.purse = Purse(means.settings, means.journal, means.project, means.now)

    def try_at(self, order: Order, course: Course, host: Host, sample: Sample | None = None) -> RunResult | None:
        """Try a host, chosen for what `sample` says of it. None: it provably did not start the run, try another."""
        means, began = self._means, self._now()
        refused = self.refused(order, course)
        if refused is not None:
            return refused
        self._journal.update(course.run_id, host=host.name, state=RunState.SYNCING)
        machine = sample.boot_id if sample is not None and means.runner is not means.control else ""
        site = Site(host, means.runner, means.remote_dir(host), means.control, machine=machine)
        if order.sync:
            baseline = means.baseline()
            synced = self._sync(order, course, host)
            if synced.workspace is None:
                failure = synced.result.failure or Failure(FailureKind.SYNC)
                if failure.kind is FailureKind.CANCELLED:
                    return self.result(course, host.name, self.called_off("cancelled during the sync"))
                self._give_up_on(course, host, failure, began)
                return None
            directory = synced.workspace.directory
            site = replace(
                site, directory=directory, workspace=synced.workspace, sync=synced.result, base=baseline.base
            )
        meter = self._meter(order, course, site)
        ending = self._supervise(order, course, site, meter)
        if ending.not_started is not None:
            if site.workspace is not None:
                means.syncer().release(site.workspace)
            self._give_up_on(course, host, ending.not_started, began)
            return None
        return self._conclude(order, course, site, ending, began, meter)

    def run_here(self, order: Order, course: Course, fallback: str | None = None) -> RunResult:
        """Run it on this machine, in the project itself."""
        refused = self.refused(order, course)
        if refused is not None:
            return refused
        means, began = self._means, self._now()
        host = Host(LOCAL_HOST, path_dirs=self._settings.path)
        site = Site(host, means.local, str(means.project().root), means.local)
        meter = self._meter(order, course, site)
        return self._conclude(order, course, site, self._supervise(order, course, site, meter), began, meter, fallback)

    def refused(self, order: Order, course: Course) -> RunResult | None:
        """The result of an agent task that may not start any more, for what others have cost meanwhile."""
        failure = self.purse.refusal() if order.mode else None
        if failure is None:
            return None
        reason = f"not started: {failure.detail}"
        ending = Ending(outcomes.outcome_of(failure), reason=reason, remedy=failure.remedy, not_started=failure)
        return self.result(course, "", ending)

    def result(
        self,
        course: Course,
        host: str,
        ending: Ending,
        *,
        sync: SyncResult | None = None,
        evidence: Evidence | None = None,
        cost_usd: float | None = None,
        fallback: str | None = None,
    ) -> RunResult:
        """How the order ended, as a record."""
        evidence = evidence or Evidence()
        return RunResult(
            run_id=course.run_id,
            host=host,
            state=ending.state,
            exit_code=ending.exit_code,
            attempts=tuple(course.attempts),
            started_at=course.started_at,
            duration_s=ending.duration_s or time.monotonic() - course.began,
            sync=sync,
            fallback=fallback,
            reason=ending.reason,
            remedy=ending.remedy,
            failure=ending.not_started,
            task_type=course.task_type,
            cost_usd=cost_usd,
            report=evidence.report,
            changed=evidence.changed,
            removed=evidence.removed,
            memory=course.memory if host else None,
        )

    # -- the steps ---------------------------------------------------------------------------------------------

    def _sync(self, order: Order, course: Course, host: Host) -> Synced:
        syncer = self._means.syncer()
        collector = self._means.collector() if order.collect_first else None
        with self._stop.heard_by(syncer.cancelled):
            if self._stop.cancelled:
                syncer.cancelled.set()
            call = Call(lambda: after_collecting(syncer, host, course.run_id, collector, isolate=order.isolate), "sync")
            if not self._stop.wait_for(call) and not call.wait(self._settings.timeouts.connect_s):
                gone = Failure(FailureKind.CANCELLED, "left while it was under way")
                return Synced(SyncResult(host.name, ok=False, failure=gone))
        return call.result()

    def _meter(self, order: Order, course: Course, site: Site) -> Meter | None:
        """What looks after the cost of an agent; None for a command."""
        if not order.mode:
            return None
        claim = Claim(course.run_id, site.directory, order.mode, order.text)
        reading = reading_of(site.control, site.host, claim, self._means.project().subdir, self._settings)
        caps = self.purse.caps
        if order.detach and caps.per_task_usd is not None:
            text = "nobody watches what it costs: budget.per_task_usd is not kept with --detach"
            self._emit(Notice(text, "warning", site.host.name))
        return Meter(reading, caps, course.run_id, site.host.name, journal=self._journal, emit=self._emit)

    def _supervise(self, order: Order, course: Course, site: Site, meter: Meter | None) -> Ending:
        if self._stop.cancelled:
            called_off = Failure(FailureKind.CANCELLED, f"{self._stop.reason} before it started")
            return Ending(RunState.CANCELLED, 130, called_off.detail, not_started=called_off)
        spec = RunSpec(
            run_id=course.run_id,
            command=order.command,
            directory=site.directory,
            subdir=self._means.project().subdir,
            workspace=site.workspace.directory if site.workspace else "",
            owner=self._means.owner,
            timeout_s=self._stop.host_limit_s(order.timeout_s),
            kill_s=self._settings.timeouts.kill_s,
            gap_s=self._settings.agent.start_gap_s if order.mode else None,
            path_dirs=site.host.path_dirs,
            machine=site.machine,
            env=order.env,
            probe_root=site.host.probe_root,
            meta=order.meta(self._means.project(), site.directory, course.task_type, site.base),
            collect=bool(order.mode) or order.collect != "off",
        )
        emit = meter.listening if meter is not None else self._emit
        supervision = Supervision(site.transport, site.host, spec, self._settings.timeouts, emit)
        self._journal.update(
            course.run_id,
            state=RunState.RUNNING,
            host=site.host.name,
            remote_dir=site.directory,
            started_at=self._now(),
            base=encode_base(site.base) if site.base is not None else "",
        )
        if meter is None or order.detach:
            return self._hear_out(order, course, site, supervision)
        with meter.watching(supervision):
            return meter.judged(self._hear_out(order, course, site, supervision))

    def _hear_out(self, order: Order, course: Course, site: Site, supervision: Supervision) -> Ending:
        call = Call(supervision.launch if order.detach else supervision.follow, "follow")
        try:
            if not self._stop.wait_for(call):
                return self._end(supervision, call, order, course.run_id, site.host)
            return call.result()
        except BrokenPipeError:
            # Whoever read our output is gone (`| head`): end the run, as ssh would have.
            supervision.cancel()
            raise

    def _end(self, supervision: Supervision, call: Call[Ending], order: Order, run_id: str, host: Host) -> Ending:
        """End the run on its host and hear it out; asked to leave, leave it to itself."""
        timeouts = self._settings.timeouts
        by_clock = self._stop.timed_out
        if not order.group_id:  # who stops a group has said so, once
            self._emit(Notice(cancelling(host.name, timeouts, by_clock=by_clock), "warning"))
        ending = end_run(supervision, call, self._stop, host=host.name, run_id=run_id, timeouts=timeouts)
        return timed_out(ending) if by_clock else ending

    def called_off(self, reason: str) -> Ending:
        """How an order ends that was stopped before its command ran."""
        ending = Ending(RunState.CANCELLED, 130, reason)
        return timed_out(ending) if self._stop.timed_out else ending

    def _conclude(
        self,
        order: Order,
        course: Course,
        site: Site,
        ending: Ending,
        began: datetime,
        meter: Meter | None,
        fallback: str | None = None,
    ) -> RunResult:
        host = site.host
        claim = Claim(course.run_id, site.directory, order.mode, order.text, order.verify)
        ending, evidence = prove(site.control, host, claim, ending, script_s=self._settings.timeouts.script_s)
        cost_usd = agents.cost_usd(evidence) if evidence else None
        if meter is not None and ending.state.is_final:
            cost_usd = meter.final_usd(ending, cost_usd)
        if ending.state.is_final:
            attempt = Attempt(host.name, ending.state, ending.reason)
            sent_bytes = site.sync.bytes if site.sync else None
            self._end_attempt(
                course, attempt, began, sent_bytes=sent_bytes, exit_code=ending.exit_code, cost_usd=cost_usd
            )
        result = self.result(
            course, host.name, ending, sync=site.sync, evidence=evidence, cost_usd=cost_usd, fallback=fallback
        )
        return self._bring_home(order, site, ending, result)

    def _bring_home(self, order: Order, site: Site, ending: Ending, result: RunResult) -> RunResult:
        """Collect what a run changed, if that is wanted; else, or if it cannot be done now, say that it is there."""
        if not ending.state.is_final or ending.state is RunState.LOST or site.workspace is None:
            here = site.host.name == LOCAL_HOST and ending.state.is_final
            return msgspec.structs.replace(result, work=WorkState.NONE) if here else result
        work = WorkState.NONE if ending.work == 0 else WorkState.UNCOLLECTED
        result = msgspec.structs.replace(result, work=work)
        wanted = order.collect == "auto" and (work is WorkState.UNCOLLECTED or bool(order.mode))
        if self._stop.cancelled or not (wanted or order.fetch):
            return result
        row = self._row(order, site, result)
        call = Call(lambda: self._means.collector().finish(result, row, order.fetch), "collect")
        if self._stop.wait_for(call) or not self._stop.timed_out:
            return call.result()
        self._emit(Notice(f"not collected: {self._stop.reason}", "warning", site.host.name))
        return result

    def _row(self, order: Order, site: Site, result: RunResult) -> RunRow:
        """The run as the ledger will have it; it may have no room for it."""
        from dgummy.ledger_rows import RunRow  # late: it brings SQLite

        project = self._means.project()
        return RunRow(
            run_id=result.run_id,
            kind=order.kind,
            command=order.shown,
            created_at=result.started_at,
            state=result.state,
            project=str(project.root),
            remote_dir=site.directory,
            host=site.host.name,
            exit_code=result.exit_code,
            duration_s=result.duration_s,
            cost_usd=result.cost_usd,
            request=asked.encode(order.asked(project.subdir)),
            base=encode_base(site.base) if site.base is not None else "",
            work=result.work,
        )

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _give_up_on(self, course: Course, host: Host, failure: Failure, began: datetime) -> None:
        if failure.kind is FailureKind.BUSY:
            course.busy[host.name] = failure.detail
        else:
            course.failed[host.name] = str(failure)
            course.failures.append(failure)
        attempt = Attempt(host.name, outcomes.outcome_of(failure), str(failure))
        if failure.kind is FailureKind.BUSY and attempt in course.attempts:
            self._journal.unplace(course.run_id)  # told once; while we wait, it may be so for hours
        else:
            self._end_attempt(course, attempt, began)

    def _end_attempt(
        self, course: Course, attempt: Attempt, began: datetime, **figures: Unpack[AttemptFigures]
    ) -> None:
        course.attempts.append(attempt)
        self._journal.attempt(course.run_id, attempt, began, **figures)
        self._emit(AttemptEnded(course.run_id, attempt))
