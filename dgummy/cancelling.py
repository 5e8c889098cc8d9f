"""End runs that were started before, whoever started them: the whole process group on the host, seen to be gone.

A run that is on no host yet is in the hands of its client alone. That client is interrupted, as by Ctrl-C, if all that
it still has to do is to be cancelled.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from dgummy import fanout
from dgummy.errors import ExitCode
from dgummy.history import NOT_FINAL, History
from dgummy.ledger_rows import RunRow
from dgummy.model import Failure, RunState
from dgummy.reconcile import Client
from dgummy.runscript import cancel_script
from dgummy.transport.base import Deadline, Limits

_MOST_HOSTS = 5
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of cancelling one run: nothing of it is at work any more if `code` is 0. `text` says how that is."""

    row: RunRow
    text: str
    remedy: str = ""
    code: int = ExitCode.OK


def cancel(history: History, rows: Sequence[RunRow]) -> list[Cancelled]:
    """Cancel runs, in parallel; what came of each, in their order."""
    canceller = Canceller(history, rows)
    return fanout.in_order(rows, canceller.cancel, jobs=history.access.settings.jobs)


class Canceller:
    """Cancels some runs."""

    def __init__(self, history: History, rows: Sequence[RunRow]) -> None:
        self._history = history
        self._access = history.access
        self._doomed = {row.run_id for row in rows}
        self._interrupted: set[int] = set()
        self._lock = threading.Lock()

    def cancel(self, row: RunRow) -> Cancelled:
        """End one run, wherever its client takes it meanwhile."""
        for _ in range(_MOST_HOSTS):
            row = self._history.again(row)
            if row.state.is_final and row.state is not RunState.LOST:
                return _over_already(row)
            done = self._end(row) if row.host else None
            done = done or self._see_client_off(row)
            if done is not None:
                return done
        return Cancelled(row, "its client goes on to ever another host", "end its client", ExitCode.TRY_AGAIN)

    def _end(self, row: RunRow) -> Cancelled | None:
        """End it on its host. None: it had not begun there, and will not any more."""
        host = self._access.host(row.host)
        if isinstance(host, Failure):
            return _unheard(row, host)
        timeouts = self._access.settings.timeouts
        script = cancel_script(row.run_id, timeouts.kill_s, host.probe_root)
        answer = self._access.ask(host, script, Limits(total_s=timeouts.kill_s + timeouts.script_s))
        if isinstance(answer, Failure):
            return _unheard(row, answer)
        if answer.has("void"):
            return None
        (seen,) = self._history.refresh([self._history.again(row)], tell=False)
        if answer.first("exit").split()[1:2] == ["cancelled"]:
            return Cancelled(seen.row, "cancelled; its process group was ended")
        if answer.has("exit"):
            return _over_already(seen.row)
        report = self._history.report(row)
        if not isinstance(report, Failure) and report.is_over:
            return Cancelled(seen.row, f"nothing of it was at work any more: {report.why or report.standing}")
        text = "it was told to end, and something of it may still be at work"
        return Cancelled(seen.row, text, f"look on {row.host}, and end it by hand", ExitCode.TRY_AGAIN)

    def _see_client_off(self, row: RunRow) -> Cancelled | None:
        """It has not begun: see to it that its client gives it up. None: it took it to another host."""
        alive = self._history.client_of(row) is Client.ALIVE
        who = f"its client (process {row.client_pid} of {row.owner})"
        if alive and row.client_pid is not None and self._has_nothing_else(row):
            self._interrupt(row.client_pid)
        elif alive and not row.host:
            remedy = f"press Ctrl-C there, or cancel all of {row.group_id or 'its runs'} at once"
            return Cancelled(row, f"it is on no host yet, and {who} has other work", remedy, ExitCode.TRY_AGAIN)
        timeouts = self._access.settings.timeouts
        deadline = Deadline(timeouts.kill_s + timeouts.script_s)
        while not deadline.passed:
            (seen,) = self._history.refresh([self._history.again(row)], tell=False)
            if seen.row.state is RunState.CANCELLED:
                return Cancelled(seen.row, "cancelled before it began; it will not begin any more")
            if seen.row.state.is_final:
                return _over_already(seen.row)
            if seen.row.host != row.host:
                return None
            time.sleep(_POLL_S)
        return Cancelled(row, f"it was called off, and {who} has not given it up yet", "end it", ExitCode.TRY_AGAIN)

    def _interrupt(self, pid: int) -> None:
        """As by Ctrl-C, which must come once: a second one means to leave runs to themselves."""
        with self._lock, suppress(ProcessLookupError):
            if pid not in self._interrupted:
                self._interrupted.add(pid)
                os.kill(pid, signal.SIGINT)

    def _has_nothing_else(self, row: RunRow) -> bool:
        """Whether all that the client of a run still has to do is to be cancelled."""
        others = self._access.journal.ledger().runs(states=NOT_FINAL)
        same = [other for other in others if (other.client_pid, other.owner) == (row.client_pid, row.owner)]
        return all(other.run_id in self._doomed for other in same)


def _over_already(row: RunRow) -> Cancelled:
    reason = f": {row.reason}" if row.reason else ""
    return Cancelled(row, f"it was over already ({row.state.value.replace('_', ' ')}{reason})")


def _unheard(row: RunRow, failure: Failure) -> Cancelled:
    text = f"{row.host} does not answer, so it may go on there: {failure}"
    return Cancelled(row, text, failure.remedy or "cancel it again once the host answers", failure.kind.exit_code)
