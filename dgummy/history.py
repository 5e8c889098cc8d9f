"""Runs that were started before, by whomever: find them, and bring what the ledger says of them up to date.

A row that is not final is checked with its host whenever it is looked at (`reconcile` decides what the answer means). A
host that does not answer leaves its rows as they are.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec

from dgummy import agents, asked, fanout, reconcile
from dgummy.agents import Evidence
from dgummy.errors import ExitCode, UsageError
from dgummy.events import Listener, Notice
from dgummy.journal import Journal
from dgummy.ledger_rows import RunRow, RunUpdate
from dgummy.liveness import process_began_at, process_words
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host, RunResult, RunState
from dgummy.proof import Claim, prove
from dgummy.reconcile import CallOff, Client, Decision, Report, Verdict
from dgummy.runs import Ending
from dgummy.runscript import call_off_script, reports_script
from dgummy.settings import Settings
from dgummy.transport.base import Answer, FrameSink, Limits, Reached, Script, Transport

NOT_FINAL = tuple(state for state in RunState if not state.is_final)
UNSETTLED = (*NOT_FINAL, RunState.LOST)
"""What may turn out to be something else once its host is asked."""

_PID_SLACK_S = 2.0
_TAKES_OVER = "resume"
"""The command that makes a process the client of runs that were written down before it began."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the ledger has it now. `failure` is why its host could not be asked, None if what it says is true."""

    row: RunRow
    failure: Failure | None = None

    @property
    def is_over(self) -> bool:
        """Whether it is known that nothing more will happen to it."""
        return self.row.state.is_final and self.failure is None


@dataclass(frozen=True, slots=True)
class Query:
    """Which runs are to be listed. `states`: none means any; `group` may be the beginning of an id, or `last`."""

    states: tuple[RunState, ...] = ()
    since: datetime | None = None
    group: str | None = None
    hosts: tuple[str, ...] = ()
    limit: int | None = 30


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to look back. `control` carries scripts to hosts, `local` is this machine."""

    settings: Settings
    hosts: Mapping[str, Host]
    journal: Journal
    control: Callable[[], Transport]
    local: Callable[[], Transport]
    owner: str
    emit: Listener
    now: Callable[[], datetime]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def host(self, name: str) -> Host | Failure:
        """The host of that name."""
        if name == LOCAL_HOST:
            return Host(LOCAL_HOST, path_dirs=self.settings.path)
        found = self.hosts.get(name)
        remedy = f"offer {name} again: put it into a group of yours"
        return found or Failure(FailureKind.CONFIG, "it is in no group any more", remedy)

    def transport(self, host: Host) -> Transport:
        """What carries scripts to that host."""
        with self._lock:  # it is made when it is first asked for
            return self.local() if host.name == LOCAL_HOST else self.control()

    def reach(self, rows: Iterable[RunRow]) -> None:
        """Begin to connect to the hosts of some runs, while whoever asks them next is not ready yet."""
        for name in {row.host for row in rows if row.host}:
            host = self.host(name)
            if isinstance(host, Host):
                fanout.Call(partial(self._connect, host), "reach")

    def _connect(self, host: Host) -> Reached | Failure:
        return self.transport(host).connect(host)

    def ask(
        self, host: Host, script: Script, limits: Limits | None = None, sink: FrameSink | None = None
    ) -> Answer | Failure:
        """Run a short script there."""
        limits = limits or Limits(total_s=self.settings.timeouts.script_s)
        return self.transport(host).run_script(host, script, limits, sink)


class History:
    """The runs in the ledger. Thread-safe."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._journal = access.journal
        self._script_s = access.settings.timeouts.script_s

    # -- finding -----------------------------------------------------------------------------------------------

    def select(self, query: Query) -> list[Seen]:
        """The runs that are asked for, newest first, brought up to date."""
        ledger = self._journal.ledger()
        group_id = None if query.group is None else ledger.find_group(query.group)

        def rows(states: Collection[RunState], limit: int | None) -> tuple[RunRow, ...]:
            return ledger.runs(limit=limit, since=query.since, states=states, group_id=group_id, hosts=query.hosts)

        if not query.states:
            return self.refresh(rows((), query.limit))
        checked = {seen.row.run_id: seen for seen in self.refresh(rows(UNSETTLED, None))}
        return [checked.get(row.run_id, Seen(row)) for row in rows(query.states, query.limit)]

    def find(self, words: Sequence[str]) -> list[RunRow]:
        """The runs that are meant: each word is the beginning of a run's id or of a group's, or `last`.

        UsageError if one of them fits none, or several.
        """
        ledger = self._journal.ledger()
        if not words:
            raise UsageError("there is no run id", "inv runs lists them; `last` is the newest one")
        found: dict[str, RunRow] = {}
        for word in words:
            rows = ledger.runs(group_id=ledger.find_group(word))[::-1] if word[:1] == "g" else (ledger.find(word),)
            found |= {row.run_id: row for row in rows}
        return list(found.values())

    def again(self, row: RunRow) -> RunRow:
        """The row as it is in the ledger by now."""
        return self._journal.ledger().find(row.run_id)

    def seen_again(self, seen: Seen) -> Seen:
        """The same with its row as it is in the ledger by now."""
        return replace(seen, row=self.again(seen.row))

    def adopt(self, rows: Iterable[RunRow]) -> list[RunRow]:
        """Take over runs that wait to be begun; gives back those that no other process took over first."""
        ledger, pid = self._journal.ledger(), os.getpid()
        return [row for row in rows if ledger.adopt(row, pid)]

    # -- bringing up to date -----------------------------------------------------------------------------------

    def refresh(self, rows: Iterable[RunRow], *, tell: bool = True) -> list[Seen]:
        """Bring rows up to date with what their hosts know, hosts in parallel; `tell` who is silent."""
        seen = {row.run_id: Seen(row) for row in rows}
        by_host: dict[str, list[RunRow]] = {}
        for row in [one.row for one in seen.values()]:
            if not self._wants_a_look(row):
                continue
            if row.host:
                by_host.setdefault(row.host, []).append(row)
            elif self.client_of(row) is Client.GONE:
                seen[row.run_id] = self._settle(row, None, reconcile.client_gone())
        for (name, _), found in fanout.each(list(by_host.items()), self._look, jobs=self.access.settings.jobs):
            seen |= {one.row.run_id: one for one in found}
            failure = next((one.failure for one in found if one.failure is not None), None)
            if failure is not None and tell:
                self.tell_silent(name, failure, "its runs are shown as they were last known")
        return list(seen.values())

    def tell_silent(self, name: str, failure: Failure, what: str) -> None:
        """Say that a host does not answer, and what that means."""
        remedy = f" ({failure.remedy})" if failure.remedy else ""
        self.access.emit(Notice(f"{failure}{remedy}; {what}", "warning", name))

    def report(self, row: RunRow) -> Report | Failure:
        """How its host says that a run stands, also one that is final."""
        host = self.access.host(row.host)
        if isinstance(host, Failure):
            return host
        answer = self.access.ask(host, reports_script([row.run_id], host.probe_root))
        if isinstance(answer, Failure):
            return answer
        return reconcile.read_reports(answer.facts).get(row.run_id) or _no_answer(answer)

    def client_of(self, row: RunRow) -> Client:
        """Whether the process that looks after a run is still there.

        One that began later than the run has only its number, unless it is a client that took over what another left.
        """
        if row.client_pid is None:
            return Client.GONE
        if row.owner != self.access.owner:
            return Client.UNKNOWN
        began_at = process_began_at(row.client_pid, self.access.now())
        if began_at is None:
            return Client.GONE
        if began_at <= row.created_at + timedelta(seconds=_PID_SLACK_S):
            return Client.ALIVE
        took_over = any(word.rpartition(".")[2] == _TAKES_OVER for word in process_words(row.client_pid))
        return Client.ALIVE if took_over else Client.GONE

    def _wants_a_look(self, row: RunRow) -> bool:
        if row.state is RunState.LOST:
            return bool(row.host) and isinstance(self.access.host(row.host), Host)
        if row.state in (RunState.PENDING, RunState.SYNCING):
            return self.client_of(row) is not Client.ALIVE
        return not row.state.is_final

    def _look(self, asked_of: tuple[str, list[RunRow]]) -> list[Seen]:
        """Ask one host about all of its runs in question."""
        name, rows = asked_of
        host = self.access.host(name)
        if isinstance(host, Failure):
            return [Seen(row, host) for row in rows]
        answer = self.access.ask(host, reports_script([row.run_id for row in rows], host.probe_root))
        if isinstance(answer, Failure):
            return [Seen(row, answer) for row in rows]
        reports = reconcile.read_reports(answer.facts)
        unheard = _no_answer(answer)
        return [
            self._judge(row, host, reports[row.run_id]) if row.run_id in reports else Seen(row, unheard) for row in rows
        ]

    def _judge(self, row: RunRow, host: Host, report: Report) -> Seen:
        decision = self._decide(row, report)
        if isinstance(decision, CallOff):
            answer = self.access.ask(host, call_off_script([row.run_id], decision.why, host.probe_root))
            if isinstance(answer, Failure):
                return Seen(row, answer)
            second = reconcile.read_reports(answer.facts).get(row.run_id)
            decision = self._decide(row, second) if second is not None else None
        if not isinstance(decision, Verdict):
            return Seen(row)
        return self._settle(row, host, decision, report)

    def _decide(self, row: RunRow, report: Report) -> Decision:
        now = self.access.now()
        age_s = (now - (row.started_at or row.created_at)).total_seconds()
        return reconcile.decide(row.state, report, self.client_of(row), age_s, now)

    def _settle(self, row: RunRow, host: Host | None, verdict: Verdict, report: Report | None = None) -> Seen:
        """Write down what is true of a run, an agent's after looking at what it left."""
        evidence: Evidence | None = None
        if host is not None and row.kind == "task":
            verdict, evidence, failure = self.prove(row, host, verdict)
            if failure is not None:
                return Seen(row, failure)
        changes = _changes(row, verdict, self.access.now())
        if report is not None and verdict.state.is_final:
            changes["work"] = reconcile.work_of(row.work, report)
        cost_usd = agents.cost_usd(evidence) if evidence is not None else None
        if cost_usd is None and host is not None and row.kind == "task" and verdict.state.is_final:
            cost_usd = self._cost_usd(row, host)
        if cost_usd is not None:  # else what it told while it ran stays
            changes["cost_usd"] = cost_usd
        if all(getattr(row, name) == value for name, value in changes.items()):
            return Seen(row)
        if not self._journal.ledger().settle(row.run_id, row.state, **changes):
            return Seen(self.again(row))
        return Seen(replace(row, **changes))

    def prove(self, row: RunRow, host: Host, verdict: Verdict) -> tuple[Verdict, Evidence | None, Failure | None]:
        """Judge an agent's run that ended by what it left; a failure if that could not be looked at."""
        request = asked.decode(row.request)
        if request is None or verdict.state not in (RunState.OK, RunState.FAILED):
            return verdict, None, None
        claim = Claim(row.run_id, row.remote_dir, request.mode, row.command, request.verify)
        ending, evidence = prove(
            self.access.transport(host),
            host,
            claim,
            Ending(verdict.state, verdict.exit_code, verdict.reason),
            script_s=self._script_s,
        )
        if ending.state is RunState.LOST:
            return verdict, None, Failure(FailureKind.LOST, ending.reason, ending.remedy)
        return replace(verdict, state=ending.state, reason=ending.reason), evidence, None

    def _cost_usd(self, row: RunRow, host: Host) -> float | None:
        """What an agent's run cost by its tokens, where it does not say it itself."""
        request = asked.decode(row.request)
        if request is None:
            return None
        from dgummy import spending  # late: only agents' runs have a cost

        claim = Claim(row.run_id, row.remote_dir, request.mode, row.command)
        return spending.cost_there(self.access.transport(host), host, claim, request.subdir, self.access.settings)


def result_of(seen: Seen) -> RunResult:
    """A run as a record of how it ended. One whose host is silent may have, or may not: it is lost to us."""
    row, failure = seen.row, seen.failure
    result = RunResult(
        run_id=row.run_id,
        host=row.host,
        state=row.state,
        exit_code=row.exit_code,
        attempts=(),
        started_at=row.started_at or row.created_at,
        duration_s=row.duration_s or 0.0,
        fallback=row.fallback,
        reason=row.reason,
        task_type=row.task_type,
        cost_usd=row.cost_usd,
    )
    if failure is None:
        return result
    return msgspec.structs.replace(
        result,
        state=RunState.LOST,
        exit_code=None,
        reason=f"{row.state.value} when last known, and {row.host} does not answer: {failure}",
        remedy=failure.remedy or "ask again once it answers",
    )


def exit_code(results: Sequence[RunResult]) -> int:
    """What a command that waited for runs ends with: of one its own code, of several 0 if all were ok, else 1."""
    if len(results) == 1:
        return results[0].process_exit_code
    all_ok = all(result.state is RunState.OK and not result.left_behind for result in results)
    return ExitCode.OK if all_ok else ExitCode.SOME_FAILED


def _changes(row: RunRow, verdict: Verdict, now: datetime) -> RunUpdate:
    """What is to be written: times that the ledger has already are as good as the host's."""
    changes = RunUpdate(state=verdict.state, exit_code=verdict.exit_code, reason=verdict.reason)
    if row.started_at is None and verdict.started_at is not None:
        changes["started_at"] = verdict.started_at
    if not verdict.state.is_final:
        changes["ended_at"] = changes["duration_s"] = None
    elif not row.state.is_final or verdict.state is not RunState.LOST:
        changes["ended_at"] = verdict.ended_at or row.ended_at or now
        changes["duration_s"] = verdict.duration_s
    return changes


def _no_answer(answer: Answer) -> Failure:
    return Failure(FailureKind.SHELL, answer.noise.splitlines()[-1] if answer.noise else "it said nothing of it")
