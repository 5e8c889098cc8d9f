"""Come back to one run that was started before: read what it printed, or follow it to its end."""

from __future__ import annotations

import time
from collections.abc import Collection

from msgspec.structs import replace

from dgummy import fanout, reconcile
from dgummy.cancelling import Canceller
from dgummy.errors import DgummyError, ExitCode, NoHostError, TryAgainError
from dgummy.events import Event, Notice, Output, RunEnded, RunStarted
from dgummy.fanout import Call
from dgummy.history import History, Seen, result_of
from dgummy.interrupt import cancelling, end_run, timed_out
from dgummy.ledger_rows import NEVER_BEGAN, RunRow
from dgummy.model import Failure, FailureKind, Host, RunResult, RunState
from dgummy.reconcile import Report
from dgummy.runs import Ending, Supervision
from dgummy.runscript import RunSpec, read_script
from dgummy.stop import Stop
from dgummy.transport.base import Deadline, Limits
from dgummy.transport.framing import Data, Frame

STREAMS = ("out", "err")

_POLL_S = 0.3
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.5, 8.0


def attach(history: History, row: RunRow) -> RunResult:
    """Follow a run as if it had been started just now: Ctrl-C ends it, a second one leaves it to itself."""
    return _rejoin(history, row, STREAMS, cancels=True)


def watch(history: History, row: RunRow, streams: Collection[str] = STREAMS) -> RunResult:
    """Follow a run, or one of its streams alone (on stdout); Ctrl-C stops watching and leaves it to itself."""
    return _rejoin(history, row, streams, cancels=False)


def _rejoin(history: History, row: RunRow, streams: Collection[str], *, cancels: bool) -> RunResult:
    stop = Stop()
    rejoin = Rejoin(history, streams, stop, cancels=cancels)
    result = fanout.interruptible(lambda: rejoin.follow(row), stop)
    history.access.emit(RunEnded(result))
    return result


def read(history: History, row: RunRow, streams: Collection[str] = STREAMS) -> RunRow:
    """Show what a run has printed by now; one stream alone comes on stdout. The run as it stands.

    NoHostError for a run that never began, or whose host does not answer; TryAgainError for one that did not begin yet,
    or that its host does not remember.
    """
    (seen,) = history.refresh([row], tell=False)
    reader = Reader(history, seen.row, streams)
    if not seen.row.host or seen.row.state in NEVER_BEGAN:
        raise never_began(seen.row)
    if reader.read().standing == "absent":
        raise forgotten(seen.row)
    return seen.row


def never_began(row: RunRow) -> DgummyError:
    """Why there is nothing to see of a run that no host has begun."""
    if not row.state.is_final:
        return TryAgainError(f"run {row.run_id} has not begun yet", f"inv wait {row.run_id} waits for its end")
    state = row.state.value.replace("_", " ")
    why = f": {row.reason}" if row.reason else ""
    return NoHostError(f"run {row.run_id} never began ({state}{why})", "it has no output")


def forgotten(row: RunRow) -> DgummyError:
    """What to say of a run whose folder is gone from its host."""
    if not row.state.is_final:
        return TryAgainError(f"{row.host} does not know run {row.run_id} yet", "try again in a moment")
    return TryAgainError(
        f"{row.host} does not remember run {row.run_id}: its folder there was removed, and its output with it",
        f"the ledger has it as {row.state.value.replace('_', ' ')}",
    )


def unreachable(row: RunRow, failure: Failure) -> DgummyError:
    """What to say where the host of a run does not answer."""
    text = f"{row.host}: {failure}; nothing can be said of run {row.run_id}"
    return NoHostError(text, failure.remedy or "try again once it answers", code=failure.kind.exit_code)


def stopped(row: RunRow) -> DgummyError:
    """What to say where the watching was stopped, and not the run."""
    where = f" on {row.host}" if row.host else ""
    text = f"stopped watching; run {row.run_id} goes on{where}"
    return DgummyError(text, f"inv attach {row.run_id} comes back to it", code=ExitCode.INTERRUPTED)


class Reader:
    """Reads what a run has printed, in one go; goes on where it stopped after a lost connection."""

    def __init__(self, history: History, row: RunRow, streams: Collection[str]) -> None:
        self._access = history.access
        self._row = row
        self._streams = streams
        self._offsets = {stream: 0 for stream in STREAMS if stream in streams}
        self._report: Report | None = None

    def read(self) -> Report:
        """Pass on all there is, and say how the run stands. DgummyError if its host does not answer (any more)."""
        access, row = self._access, self._row
        host = access.host(row.host)
        if isinstance(host, Failure):
            raise unreachable(row, host)
        deadline: Deadline | None = None
        backoff_s = _FIRST_BACKOFF_S
        while True:
            before = sum(self._offsets.values())
            script = read_script(row.run_id, self._offsets.get("out"), self._offsets.get("err"), host.probe_root)
            answer = access.ask(host, script, Limits(None, access.settings.timeouts.silence_s), self._hear)
            if not isinstance(answer, Failure):
                report = reconcile.read_reports(answer.facts).get(row.run_id)
                return report or Report(row.run_id, "absent")
            if before < sum(self._offsets.values()):
                deadline, backoff_s = None, _FIRST_BACKOFF_S
            deadline = deadline or Deadline(access.settings.timeouts.reconnect_s)
            # What was never reached is said at once; what broke in between is tried again.
            if deadline.passed or (not any(self._offsets.values()) and answer.kind is not FailureKind.LOST):
                raise unreachable(row, answer)
            time.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)

    def _hear(self, frame: Frame) -> None:
        if isinstance(frame, Data) and frame.stream in self._offsets:
            self._offsets[frame.stream] += len(frame.data)
            shown_on = _shown_on(frame.stream, self._streams)
            self._access.emit(Output(self._row.run_id, self._row.host, shown_on, frame.data))


class Rejoin:
    """Follows one run that was started before."""

    def __init__(self, history: History, streams: Collection[str], stop: Stop, *, cancels: bool) -> None:
        self._history = history
        self._access = history.access
        self._streams = streams
        self._stop = stop
        self._cancels = cancels

    def follow(self, row: RunRow) -> RunResult:
        """Show what it printed, and all that it prints until it is over; how it ended.

        DgummyError if its host does not answer or does not remember it.
        """
        found = self._await_begin(row)
        if found is None:
            return self._give_up(row)
        row, host = found
        spec = RunSpec(row.run_id, row.command, probe_root=host.probe_root)
        supervision = Supervision(
            self._access.transport(host), host, spec, self._access.settings.timeouts, self._listen
        )
        self._access.emit(RunStarted(row.run_id, row.host, row.command))
        call = Call(supervision.attach, "follow")
        if not self._stop.cancelled and self._stop.wait_for(call):
            return self._over(row, call.result())
        if not self._cancels:
            supervision.detach()
            raise stopped(row)
        timeouts = self._access.settings.timeouts
        by_clock = self._stop.timed_out
        self._access.emit(Notice(cancelling(row.host, timeouts, by_clock=by_clock), "warning"))
        ending = end_run(supervision, call, self._stop, host=row.host, run_id=row.run_id, timeouts=timeouts)
        return self._over(row, timed_out(ending) if by_clock else ending)

    def _await_begin(self, row: RunRow) -> tuple[RunRow, Host] | None:
        """The run once its host knows it, and that host. None if the watching is over before."""
        told = False
        while not self._stop.cancelled:
            (seen,) = self._history.refresh([self._history.again(row)], tell=False)
            row = seen.row
            if row.state in NEVER_BEGAN or (row.state.is_final and not row.host):
                raise never_began(row)
            host = self._access.host(row.host) if row.host else None
            if isinstance(host, Failure):
                raise unreachable(row, host)
            report = self._history.report(row) if host is not None else None
            if isinstance(report, Failure):
                raise unreachable(row, report)
            if report is not None and report.standing != "absent" and host is not None:
                return row, host
            if row.state.is_final:
                raise forgotten(row)
            if not told:
                told = True
                self._access.emit(Notice(f"run {row.run_id} has not begun yet; waiting for it", "info"))
            self._stop.nap(_POLL_S)
        return None

    def _over(self, row: RunRow, ending: Ending) -> RunResult:
        """How it ended, by what the ledger has of it now; by what was heard where that is not known there yet."""
        if ending.not_started is not None and ending.not_started.kind is not FailureKind.CANCELLED:
            raise unreachable(row, ending.not_started)
        if not self._stop.left:
            (seen,) = self._history.refresh([self._history.again(row)], tell=False)
            row = seen.row
            if seen.is_over and not (self._stop.timed_out and row.state is RunState.CANCELLED):
                return replace(result_of(seen), remedy=ending.remedy)
        return replace(
            result_of(Seen(row)),
            state=ending.state,
            exit_code=ending.exit_code,
            reason=ending.reason,
            remedy=ending.remedy,
            duration_s=ending.duration_s,
        )

    def _give_up(self, row: RunRow) -> RunResult:
        """It did not begin before Ctrl-C."""
        if not self._cancels:
            raise stopped(row)
        done = Canceller(self._history, [row]).cancel(row)
        if done.code:
            raise DgummyError(f"run {row.run_id}: {done.text}", done.remedy, code=ExitCode(done.code))
        result = result_of(Seen(done.row))
        late = self._stop.timed_out and done.row.state is RunState.CANCELLED
        return replace(result, state=RunState.TIMED_OUT, exit_code=ExitCode.TIMED_OUT) if late else result

    def _listen(self, event: Event) -> None:
        if not isinstance(event, Output):
            self._access.emit(event)
        elif event.stream in self._streams:
            self._access.emit(replace(event, stream=_shown_on(event.stream, self._streams)))


def _shown_on(stream: str, streams: Collection[str]) -> str:
    """One stream alone is the result, whichever it is."""
    return stream if len(streams) > 1 else "out"
