"""One piece of work, from wish to result: choose, sync, run, and go on to the next host where that is safe.

A run goes to another host only if the last one provably never started it. What failed is kept as an attempt, with its
reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from dgummy import agents, outcomes, remote
from dgummy.agents import Evidence
from dgummy.chooser import Chooser, Pick
from dgummy.events import AttemptEnded, HostChosen, Listener, Notice, RunEnded
from dgummy.fanout import Job
from dgummy.journal import Journal
from dgummy.model import (
    LOCAL_HOST,
    Attempt,
    Failure,
    FailureKind,
    Host,
    RunResult,
    RunState,
    Sample,
    SyncResult,
)
from dgummy.orders import Order, Site
from dgummy.placement import meets, parse_requirement
from dgummy.project import Project
from dgummy.runs import Ending, Supervision
from dgummy.runscript import RunSpec
from dgummy.settings import Settings
from dgummy.transport.base import Limits, Transport
from dgummy.units import format_duration
from dgummy.workspaces import Synced, WorkspaceSync

_R = TypeVar("_R")
_BUSY_POLL_S = 2.0


@dataclass
class _Course:
    """What happened so far in one dispatch."""

    run_id: str
    began: float
    started_at: datetime
    task_type: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


class Dispatcher:
    """Carries out orders. One order at a time; it is called from the main thread, where Ctrl-C arrives."""

    def __init__(
        self,
        settings: Settings,
        chooser: Chooser,
        journal: Journal,
        transport: Transport,
        control: Transport,
        local: Transport,
        project: Callable[[], Project],
        syncer: Callable[[], WorkspaceSync],
        remote_dir: Callable[[Host], str],
        look_here: Callable[[], Sample | None],
        *,
        owner: str,
        emit: Listener,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._chooser = chooser
        self._journal = journal
        self._transport = transport
        self._control = control
        self._local = local
        self._project = project
        self._syncer = syncer
        self._remote_dir = remote_dir
        self._look_here = look_here
        self._owner = owner
        self._emit = emit
        self._now = now

    def run(self, order: Order, *, here: str = "") -> RunResult:
        """Carry out one order to its end. `here` is why it is to run on this machine, "" to choose a host."""
        kind, _ = self._chooser.task_type(order.wish)
        project = self._project()
        if order.sync and not here:
            self._syncer()  # a project that must not be sent is refused before anything else happens
        run_id = self._journal.open_run(order.kind, order.shown, kind.name, str(project.root))
        course = _Course(run_id, time.monotonic(), self._now(), kind.name)
        try:
            result = self._run_here(order, course, here) if here else self._run_somewhere(order, course)
        except KeyboardInterrupt:
            result = self._result(course, "", Ending(RunState.CANCELLED, 130, "interrupted before it started"))
        except BaseException as error:
            gone = isinstance(error, BrokenPipeError)
            why = "cancelled: whoever read its output is gone" if gone else str(error)
            self._journal.update(
                run_id, state=RunState.CANCELLED if gone else RunState.SKIPPED, reason=why, ended_at=self._now()
            )
            raise
        self._journal.close_run(result)
        self._emit(RunEnded(result))
        return result

    # -- choosing, and what to do when nobody can take it ------------------------------------------------------

    def _run_somewhere(self, order: Order, course: _Course) -> RunResult:
        waiting_since: float | None = None
        while True:
            pick = self._pick(order, course, refresh=waiting_since is not None)
            if pick.choice.host is not None:
                result = self._attempt(order, course, pick)
                if result is not None:
                    return result
                continue
            patience_s = self._settings.timeouts.workspace_s
            if not pick.choice.is_worth_waiting:
                return self._nobody(order, course, pick)
            if waiting_since is None:
                waiting_since = time.monotonic()
                self._emit(Notice(f"waiting: {outcomes.waiting_for(pick.choice)}", "warning"))
            elif time.monotonic() - waiting_since > patience_s:
                reason = f"waited {format_duration(patience_s)}: {outcomes.waiting_for(pick.choice)}"
                failure = Failure(FailureKind.BUSY, reason, "try again later, or use --no-sync for what needs no sync")
                return self._result(course, "", _never(failure))
            time.sleep(_BUSY_POLL_S)
            course.busy.clear()

    def _pick(self, order: Order, course: _Course, *, refresh: bool) -> Pick:
        return self._chooser.pick(
            order.wish,
            excluded=course.failed,
            busy=course.busy,
            refresh=refresh,
            workspace=self._remote_dir if order.sync else None,
            run_id=course.run_id,
        )

    def _nobody(self, order: Order, course: _Course, pick: Pick) -> RunResult:
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
        if order.wish.hosts or not stands_in:
            return self._result(course, "", _never(failure))
        lacking = self._lacking_here(order, course)
        if lacking:
            self._emit(Notice(f"not run here either: this machine lacks {lacking}", "warning"))
            return self._result(course, "", _never(failure))
        return self._run_here(order, course, f"no host could take it ({failure})", fallback=LOCAL_HOST)

    def _lacking_here(self, order: Order, course: _Course) -> str:
        """What this machine lacks for the order, "" if nothing."""
        kind = self._chooser.task_types[course.task_type]
        wanted = [parse_requirement(text) for text in (*order.wish.requires, *kind.requires)]
        if not wanted:
            return ""
        sample = self._look_here()
        here = Host(LOCAL_HOST)
        return ", ".join(str(term) for term in wanted if not meets(here, sample, term))

    # -- one host ----------------------------------------------------------------------------------------------

    def _attempt(self, order: Order, course: _Course, pick: Pick) -> RunResult | None:
        """Try the chosen host. None: it provably did not start the run, choose another."""
        host = next(host for host in self._chooser.hosts(order.wish) if host.name == pick.choice.host)
        self._emit(HostChosen(course.run_id, host.name, pick.why))
        attempt_began = self._now()
        self._journal.update(course.run_id, host=host.name, state=RunState.SYNCING)
        site = Site(host, self._transport, self._remote_dir(host), machine=self._machine(pick))
        if order.sync:
            synced = self._sync(host, course)
            if synced.workspace is None:
                failure = synced.result.failure or Failure(FailureKind.SYNC)
                if failure.kind is FailureKind.CANCELLED:
                    return self._result(course, host.name, Ending(RunState.CANCELLED, 130, "cancelled during the sync"))
                self._give_up_on(course, host, failure, attempt_began)
                return None
            site = replace(site, directory=synced.workspace.directory, workspace=synced.workspace, sync=synced.result)
        ending = self._supervise(order, course, site)
        if ending.not_started is not None:
            if site.workspace is not None:
                self._syncer().release(site.workspace)
            self._give_up_on(course, host, ending.not_started, attempt_began)
            return None
        ending, evidence = self._prove(order, course, site, ending)
        attempt = Attempt(host.name, ending.state, ending.reason)
        self._end_attempt(course, attempt, attempt_began, site.sync)
        return self._result(course, host.name, ending, sync=site.sync, evidence=evidence)

    def _machine(self, pick: Pick) -> str:
        """Which machine was chosen. Our own ssh leads to the one that was probed; `d` reads its own settings."""
        sample = pick.choice.sample
        return sample.boot_id if sample is not None and self._transport is not self._control else ""

    def _sync(self, host: Host, course: _Course) -> Synced:
        syncer = self._syncer()
        job = Job(lambda: syncer.to(host, course.run_id), "sync")
        try:
            job.wait()
        except KeyboardInterrupt:
            syncer.cancelled.set()
            job.wait(self._settings.timeouts.connect_s)
            if not job.wait(0):
                raise
        return job.result()

    def _supervise(self, order: Order, course: _Course, site: Site) -> Ending:
        spec = RunSpec(
            run_id=course.run_id,
            command=order.command,
            directory=site.directory,
            subdir=self._project().subdir,
            workspace=site.workspace.directory if site.workspace else "",
            owner=self._owner,
            timeout_s=order.timeout_s,
            kill_s=self._settings.timeouts.kill_s,
            gap_s=self._settings.agent.start_gap_s if order.mode else None,
            path_dirs=site.host.path_dirs,
            machine=site.machine,
            env=order.env,
            probe_root=site.host.probe_root,
        )
        supervision = Supervision(site.transport, site.host, spec, self._settings.timeouts, self._emit)
        self._journal.update(
            course.run_id,
            state=RunState.RUNNING,
            host=site.host.name,
            remote_dir=site.directory,
            started_at=self._now(),
        )
        job = Job(supervision.follow, "follow")
        try:
            job.wait()
            return job.result()
        except KeyboardInterrupt:
            return self._interrupted(supervision, job, course.run_id, site.host)
        except BrokenPipeError:
            # Whoever read our output is gone (`| head`): end the run, as ssh would have.
            supervision.cancel()
            raise

    def _interrupted(self, supervision: Supervision, job: Job[Ending], run_id: str, host: Host) -> Ending:
        """Ctrl-C: end the run on its host and hear it out; a second one leaves it to itself."""
        kill_s = self._settings.timeouts.kill_s
        self._emit(
            Notice(
                f"cancelling on {host.name} (KILL after {format_duration(kill_s)}); Ctrl-C again to stop watching",
                "warning",
            )
        )
        try:
            cancel = Job(supervision.cancel, "cancel")
            cancel.wait()
            reply = cancel.result()
            if isinstance(reply, Failure):
                supervision.detach()
                text = f"could not cancel on {host.name}: {reply}; run {run_id} may go on there"
                return Ending(RunState.LOST, reason=text, remedy=reply.remedy)
            ended = reply.has("exit") or reply.has("void")
            job.wait(self._settings.timeouts.script_s if ended or reply.has("lost") else 0)
        except KeyboardInterrupt:
            supervision.detach()
            return Ending(RunState.CANCELLED, 130, f"left on {host.name} before the end was seen; run id {run_id}")
        if job.wait(0):
            return job.result()
        supervision.detach()
        if ended:
            return Ending(RunState.CANCELLED, 130, "cancelled; its process group was ended")
        text = f"it was told to end and has not; run {run_id} may go on on {host.name}"
        return Ending(RunState.LOST, reason=text, remedy="look there, and end it by hand")

    def _prove(self, order: Order, course: _Course, site: Site, ending: Ending) -> tuple[Ending, Evidence | None]:
        """An agent's exit code alone proves nothing: look at what it left."""
        if not order.mode or ending.state not in (RunState.OK, RunState.FAILED):
            return ending, None
        script = remote.compose(
            ("workspace", "agent"),
            "agent_evidence",
            agents.evidence_args(course.run_id, site.directory, order.mode, order.text),
            variables={"DG_ROOT": site.host.probe_root},
        )
        limits = Limits(total_s=self._settings.timeouts.script_s)
        control = self._local if site.host.name == LOCAL_HOST else self._control
        answer = control.run_script(site.host, script, limits)
        if isinstance(answer, Failure):
            unknown = f"it ended with exit code {ending.exit_code}, but what it left could not be looked at: {answer}"
            return replace(ending, state=RunState.LOST, reason=unknown, remedy=answer.remedy), None
        evidence = agents.evidence_from([(fact.name, fact.value) for fact in answer.facts])
        if ending.state is RunState.OK or evidence.verify_code is not None:
            judged = agents.judge(evidence, order.verify)
            ending = replace(ending, state=judged.state, reason=judged.reason, remedy=judged.remedy)
        return ending, evidence

    def _run_here(self, order: Order, course: _Course, why: str, fallback: str | None = None) -> RunResult:
        self._emit(HostChosen(course.run_id, LOCAL_HOST, (why,)))
        began = self._now()
        site = Site(Host(LOCAL_HOST, path_dirs=self._settings.path), self._local, str(self._project().root))
        ending = self._supervise(order, course, site)
        ending, evidence = self._prove(order, course, site, ending)
        self._end_attempt(course, Attempt(LOCAL_HOST, ending.state, ending.reason), began, None)
        return self._result(course, LOCAL_HOST, ending, evidence=evidence, fallback=fallback)

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _give_up_on(self, course: _Course, host: Host, failure: Failure, began: datetime) -> None:
        if failure.kind is FailureKind.BUSY:
            course.busy[host.name] = failure.detail
        else:
            course.failed[host.name] = str(failure)
            course.failures.append(failure)
        attempt = Attempt(host.name, outcomes.outcome_of(failure), str(failure))
        if failure.kind is FailureKind.BUSY and attempt in course.attempts:
            self._journal.unplace(course.run_id)  # told once; while we wait, it may be so for hours
        else:
            self._end_attempt(course, attempt, began, None)

    def _end_attempt(self, course: _Course, attempt: Attempt, began: datetime, sync: SyncResult | None) -> None:
        course.attempts.append(attempt)
        self._journal.attempt(course.run_id, attempt, began, sync.bytes if sync else None)
        self._emit(AttemptEnded(course.run_id, attempt))

    def _result(
        self,
        course: _Course,
        host: str,
        ending: Ending,
        *,
        sync: SyncResult | None = None,
        evidence: Evidence | None = None,
        fallback: str | None = None,
    ) -> RunResult:
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
            cost_usd=agents.cost_usd(evidence),
            report=evidence.report,
            changed=evidence.changed,
            removed=evidence.removed,
        )


def _never(failure: Failure) -> Ending:
    return Ending(outcomes.outcome_of(failure), reason=str(failure), remedy=failure.remedy, not_started=failure)
