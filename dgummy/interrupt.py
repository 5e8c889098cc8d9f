"""Ctrl-C while a run goes on: the first ends it on its host, the second leaves it to itself."""

from __future__ import annotations

from dataclasses import replace

from dgummy.errors import ExitCode
from dgummy.fanout import Call
from dgummy.model import Failure, RunState
from dgummy.runs import Ending, Supervision
from dgummy.settings import Timeouts
from dgummy.stop import DEADLINE, Stop
from dgummy.transport.base import Answer, Deadline
from dgummy.units import format_duration

_AGAIN_S = 1.0


def cancelling(host: str, timeouts: Timeouts, *, by_clock: bool = False) -> str:
    """What to tell whoever pressed Ctrl-C, or set a deadline."""
    if by_clock:
        return f"{DEADLINE}: ending it on {host} (KILL after {format_duration(timeouts.kill_s)})"
    return f"cancelling on {host} (KILL after {format_duration(timeouts.kill_s)}); Ctrl-C again to stop watching"


def end_run(
    supervision: Supervision, call: Call[Ending], stop: Stop, *, host: str, run_id: str, timeouts: Timeouts
) -> Ending:
    """End a run that `call` follows, and hear it out; asked to leave, leave it to itself."""
    patience = Deadline(timeouts.kill_s + timeouts.script_s)
    reply = _cancel(supervision, call, stop, patience)
    if reply is None:
        return call.result() if call.wait(0) else _leave(supervision, run_id, host)
    if isinstance(reply, Failure):
        supervision.detach()
        text = f"could not cancel on {host}: {reply}; run {run_id} may go on there"
        return Ending(RunState.LOST, reason=text, remedy=f"end it once {host} answers: inv cancel {run_id}")
    ended = reply.has("exit") or reply.has("void")
    if stop.wait_for(call, timeouts.script_s if ended or reply.has("lost") else 0):
        return call.result()
    if stop.left:
        return _leave(supervision, run_id, host)
    supervision.detach()
    if reply.has("void"):
        return Ending(RunState.CANCELLED, 130, "cancelled before it started", work=0)
    if ended:
        return Ending(RunState.CANCELLED, 130, "cancelled; its process group was ended")
    text = f"it was told to end and has not; run {run_id} may go on on {host}"
    return Ending(RunState.LOST, reason=text, remedy=f"look there, and end it: inv cancel {run_id}")


def _cancel(supervision: Supervision, call: Call[Ending], stop: Stop, patience: Deadline) -> Answer | Failure | None:
    """What the host said to it. Nobody is there at a deadline to try again, so that is done here.

    None: the run has come to its end by itself meanwhile, or it is to be left.
    """
    while True:
        cancel = Call(supervision.cancel, "cancel")
        if not stop.wait_for(cancel):
            return None
        reply = cancel.result()
        if not (isinstance(reply, Failure) and stop.timed_out) or patience.passed:
            return reply
        if stop.wait_for(call, _AGAIN_S):
            return None
        if stop.left:
            return reply


def timed_out(ending: Ending) -> Ending:
    """How a run ended that was stopped, or not begun, because its deadline passed."""
    if ending.state is RunState.CANCELLED:
        reason = ending.reason.replace("cancelled", DEADLINE, 1)
        return replace(ending, state=RunState.TIMED_OUT, exit_code=ExitCode.TIMED_OUT, reason=reason)
    if ending.state is RunState.LOST:
        return replace(ending, exit_code=ExitCode.TIMED_OUT, reason=f"{DEADLINE}: {ending.reason}")
    return ending


def _leave(supervision: Supervision, run_id: str, host: str) -> Ending:
    """Nobody knows yet how it ends, or whether its host heard of it: looking at it later says so."""
    supervision.detach()
    reason = f"left on {host} before the end was seen"
    remedy = f"inv wait {run_id} says how it ended; inv cancel {run_id} ends it"
    return Ending(RunState.LOST, ExitCode.INTERRUPTED, reason, remedy)
