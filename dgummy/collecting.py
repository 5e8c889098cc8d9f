"""Bring home what runs changed on their hosts: as a branch of the project, else as files in a folder.

The order of steps is what makes it safe to be cut off anywhere: everything is read and made here first, then the branch
appears, then the ledger says so, and only then the host is told that what is there may be overwritten.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from dgummy import asked, fanout, gitbranch
from dgummy.asked import Asked
from dgummy.errors import DgummyError, ExitCode, UsageError
from dgummy.events import Notice, WorkHome
from dgummy.harvest import Harvester
from dgummy.history import History
from dgummy.ledger_rows import NEVER_BEGAN, RunRow, RunUpdate
from dgummy.luggage import Luggage, Porter
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host, RunResult, RunState
from dgummy.runfolder import RunFolder
from dgummy.textfiles import make_folder
from dgummy.unpacking import unpack
from dgummy.work import Base, Homecoming, WorkState, decode_base

_AGAIN = frozenset({FailureKind.LOST, FailureKind.DROPPED})
_SETTLED = {
    WorkState.NONE: "there was nothing to bring home",
    WorkState.COLLECTED: "it is collected already",
    WorkState.DISCARDED: "what it changed was given up",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of collecting one run: what was brought home, or why nothing was."""

    row: RunRow
    home: Homecoming | None = None
    failure: Failure | None = None

    @property
    def exit_code(self) -> ExitCode:
        """What a command about this run ends with: 1 if a part of the work is on its host still."""
        if self.failure is not None:
            return self.failure.kind.exit_code
        waits = self.home is not None and self.home.work is WorkState.UNCOLLECTED
        return ExitCode.SOME_FAILED if waits else ExitCode.OK


class Collector:
    """Collects runs. Thread-safe: several at once."""

    def __init__(self, history: History, state_dir: Path) -> None:
        self._history = history
        self._access = history.access
        self._state_dir = state_dir
        self._harvester = Harvester(self._access, self._access.settings.timeouts)

    # -- what users ask for ------------------------------------------------------------------------------------

    def collect_all(self, rows: Sequence[RunRow], fetch: Sequence[str] = ()) -> list[Outcome]:
        """Collect several runs, hosts in parallel; in their order."""
        return self._each(rows, lambda row: self.collect(row, fetch))

    def discard_all(self, rows: Sequence[RunRow]) -> list[Outcome]:
        """Give up what runs changed."""
        return self._each(rows, self._discard)

    def clear_the_way(self, run_id: str) -> Failure | None:
        """Collect a run whose work is in the way of another; why it still is, None if it is not."""
        try:
            row = self._access.journal.ledger().find(run_id)
        except UsageError:
            text = f"run {run_id} was not started from here: its work cannot be brought home here"
            return Failure(FailureKind.UNCOLLECTED, text, "collect it where it was started, or: inv runs.rebuild")
        (outcome,) = self.collect_all([row])
        if outcome.home is None:
            return outcome.failure
        self._access.emit(WorkHome(outcome.home))
        if outcome.home.work is not WorkState.UNCOLLECTED:
            return None
        text = f"not all of the work of run {run_id} could be brought home"
        return Failure(FailureKind.UNCOLLECTED, text, f"see inv collect {run_id}; --discard gives up the rest")

    def collect(self, row: RunRow, fetch: Sequence[str] = ()) -> Outcome:
        """Bring home what one run changed, and the files that `fetch` names (patterns relative to the project).

        May be done again at any time: what is here already stays as it is.
        """
        try:
            home = self._collect(row, fetch)
        except DgummyError as error:
            home = Failure(FailureKind.UNCOLLECTED, error.message, error.remedy)
        if isinstance(home, Homecoming):
            return Outcome(row, home)
        known = _SETTLED.get(row.work) if not fetch else None
        base = decode_base(row.base) or Base()
        if known is None or (row.branch and not gitbranch.is_there(Path(row.project), base, row.branch)):
            return Outcome(row, failure=home)
        where = f", as branch {row.branch}" if row.branch else ""
        return Outcome(row, replace(self._blank(row), notices=(known + where,)))

    def complete_all(self, results: Sequence[RunResult]) -> list[RunResult]:
        """`completed` for several runs, hosts in parallel; in their order."""
        return fanout.in_order(results, self.completed, jobs=self._access.settings.jobs)

    def completed(self, result: RunResult) -> RunResult:
        """A run that somebody came back to, collected if it was to be and nobody did: its client had left."""
        row = self._access.journal.ledger().find(result.run_id)
        request = asked.decode(row.request)
        result = msgspec.structs.replace(result, work=row.work)
        if request is None or request.collect != "auto" or not row.is_uncollected:
            return result
        if not row.state.is_final or result.state is RunState.LOST:
            return result
        return self.finish(result, row, request.fetch)

    def finish(self, result: RunResult, row: RunRow, fetch: Sequence[str]) -> RunResult:
        """A run that has just ended, with its work brought home; if that cannot be done now, a notice says why."""
        outcome = self.collect(row, fetch)
        left_behind = bool(outcome.exit_code)
        if outcome.home is not None:
            return msgspec.structs.replace(result, work=outcome.home.work, home=outcome.home, left_behind=left_behind)
        why = outcome.failure.detail if outcome.failure is not None else ""
        self._access.emit(Notice(f"not collected: {why}", "warning", row.host))
        return msgspec.structs.replace(result, left_behind=left_behind)

    def reports(self, row: RunRow) -> list[Path]:
        """The files that an agent wrote about its work, brought here if need be. DgummyError if there are none."""
        folder = RunFolder(self._state_dir, row.run_id, "report")
        found = folder.files()
        if found:
            return found
        request = asked.decode(row.request)
        if request is None or not request.mode:
            raise UsageError(f"run {row.run_id} was no agent's task", "agents write reports: inv task")
        host = self._host(row)
        if isinstance(host, Failure):
            raise DgummyError(str(host), host.remedy, code=host.kind.exit_code)
        with self._scratch() as scratch:
            brought = self._porter(host, row, request, Path(scratch)).reports()
            if isinstance(brought, Failure):
                raise DgummyError(str(brought), brought.remedy, code=brought.kind.exit_code)
            found = [folder.put(one) for one in brought]
        if not found:
            text = f"the agent of run {row.run_id} left no report on {host.name}"
            raise UsageError(text, f"see what it printed: inv logs {row.run_id}")
        return found

    # -- one run -----------------------------------------------------------------------------------------------

    def _collect(self, row: RunRow, fetch: Sequence[str]) -> Homecoming | Failure:
        if not row.state.is_final:
            return Failure(FailureKind.BUSY, f"run {row.run_id} is not over", f"wait for it: inv wait {row.run_id}")
        nothing = _why_nothing(row)
        if nothing:
            return self._noted(replace(self._blank(row), work=WorkState.NONE, notices=(nothing,)))
        host = self._host(row)
        if isinstance(host, Failure):
            return host
        request = asked.decode(row.request) or Asked()
        with self._scratch() as scratch:
            luggage = self._fetch(host, row, request, fetch, Path(scratch))
            if isinstance(luggage, Failure):
                return luggage
            home = unpack(row, luggage, self._state_dir, self._access.owner)
        if home.work is not WorkState.UNCOLLECTED:
            failure = self._harvester.settle(host, row.run_id, row.remote_dir, head=luggage.head)
            if failure is not None:
                text = f"{host.name} could not be told that it is collected ({failure}): collect it again later"
                home = replace(home, work=WorkState.UNCOLLECTED, notices=(*home.notices, text))
        return self._noted(home)

    def _fetch(self, host: Host, row: RunRow, request: Asked, fetch: Sequence[str], scratch: Path) -> Luggage | Failure:
        """Bring everything into `scratch`; once more if the connection broke."""
        luggage: Luggage | Failure = Failure(FailureKind.LOST)
        for attempt in ("first", "second"):
            folder = scratch / attempt
            folder.mkdir()
            luggage = self._porter(host, row, request, folder).carry(fetch)
            if not (isinstance(luggage, Failure) and luggage.kind in _AGAIN):
                break
        return luggage

    def _discard(self, row: RunRow) -> Outcome:
        if not row.state.is_final:
            failure = Failure(
                FailureKind.BUSY, f"run {row.run_id} is not over", f"end it first: inv cancel {row.run_id}"
            )
            return Outcome(row, failure=failure)
        host = self._host(row)
        if isinstance(host, Failure):
            return Outcome(row, failure=host)
        if not _why_nothing(row):
            failed = self._harvester.settle(host, row.run_id, row.remote_dir, discarded=True)
            if failed is not None:
                return Outcome(row, failure=failed)
        return Outcome(row, self._noted(replace(self._blank(row), work=WorkState.DISCARDED)))

    # -- parts -------------------------------------------------------------------------------------------------

    def _each(self, rows: Sequence[RunRow], one: Callable[[RunRow], Outcome]) -> list[Outcome]:
        """Bring the rows up to date, and do it for each of them."""
        seen = [found.row for found in self._history.refresh(rows, tell=False)]
        return fanout.in_order(seen, one, jobs=self._access.settings.jobs)

    def _host(self, row: RunRow) -> Host | Failure:
        return self._access.host(row.host or LOCAL_HOST)

    def _porter(self, host: Host, row: RunRow, request: Asked, folder: Path) -> Porter:
        return Porter(self._harvester, self._access.settings, self._state_dir, host, row, request, folder)

    def _scratch(self) -> tempfile.TemporaryDirectory[str]:
        make_folder(self._state_dir)
        return tempfile.TemporaryDirectory(prefix=".incoming-", dir=self._state_dir)

    def _blank(self, row: RunRow) -> Homecoming:
        return Homecoming(row.run_id, row.host, row.project, row.work)

    def _noted(self, home: Homecoming) -> Homecoming:
        changes = RunUpdate(work=home.work)
        if home.branch:
            changes["branch"] = home.branch
        self._access.journal.update(home.run_id, **changes)
        return home


def _why_nothing(row: RunRow) -> str:
    """Why a run can have left nothing to bring home, "" if it can."""
    if row.state in NEVER_BEGAN or not row.host:
        return "no host had started it"
    if row.host == LOCAL_HOST:
        return "it ran on this machine, in the project itself"
    return ""
