"""One run on one host: start it at most once, follow it, come back to it after a lost connection, end it.

What makes this safe is on the host (`remote/lib.sh`): the run's folder claims it, the folder `launch` in it decides
whether its command ever starts. Here is only the conversation.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dgummy import outcomes
from dgummy.events import Listener, Notice, Output, RunStarted
from dgummy.model import Failure, FailureKind, Host, RunState
from dgummy.refusals import uncollected
from dgummy.runscript import (
    RunSpec,
    cancel_script,
    follow_script,
    start_script,
    void_script,
)
from dgummy.settings import Timeouts
from dgummy.transport.base import Answer, Deadline, Limits, Script, Transport, failed
from dgummy.transport.framing import Data, Fact, Frame
from dgummy.units import format_duration

_FIRST_BACKOFF_S = 0.5
_LONGEST_BACKOFF_S = 15.0
_ELSEWHERE = {"no-dir": "the home folder", "no-subdir": "the project's folder"}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run on one host ended. `not_started` is set when it provably never began: another host may have it.

    work: how many files it changed in its workspace (see `runscript.RunSpec.collect`), None if that is not known.
    """

    state: RunState
    exit_code: int | None = None
    reason: str = ""
    remedy: str = ""
    duration_s: float = 0.0
    not_started: Failure | None = None
    work: int | None = None


class Supervision:
    """The conversation with one host about one run. `follow` blocks; the other methods are for other threads."""

    def __init__(
        self,
        transport: Transport,
        host: Host,
        spec: RunSpec,
        timeouts: Timeouts,
        emit: Listener,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._host = host
        self._spec = spec
        self._timeouts = timeouts
        self._emit = emit
        self._clock = clock
        self._began = clock()
        self._claimed = False
        self._doubtful = False  # a start of ours was lost on its way: it may be under way, or done, unheard
        self._refusal: Failure | None = None
        self._announced = False
        self._launch_only = False
        self._beats = 0
        self._ran = False
        self._offsets = {"out": 0, "err": 0}
        self._ending: Ending | None = None
        self._work: int | None = None
        self._detached = threading.Event()
        self.cancelling = threading.Event()

    @property
    def offsets(self) -> dict[str, int]:
        """Bytes of `out` and `err` that were read so far."""
        return dict(self._offsets)

    def follow(self) -> Ending:
        """Start the run (or attach to it, if it is there already) and follow it to its end."""
        return self._pursue(start_script(self._spec))

    def launch(self) -> Ending:
        """Start the run and leave it to itself; its state is RUNNING unless it could not be started."""
        self._launch_only = True
        return self._pursue(start_script(self._spec, follow=False))

    def attach(self, out_offset: int = 0, err_offset: int = 0) -> Ending:
        """Follow a run that was started before, from these byte offsets on."""
        self._claimed = self._announced = True
        self._offsets = {"out": out_offset, "err": err_offset}
        return self._pursue(self._resume_script())

    def _pursue(self, script: Script) -> Ending:
        """Have the conversation that the script begins, and come back to it for as long as that makes sense."""
        ending = self._converse(script)
        deadline: Deadline | None = None
        backoff_s = _FIRST_BACKOFF_S
        while ending is None:
            if self._launch_only and self._claimed:
                return Ending(RunState.RUNNING, reason=f"left to run on {self._host.name}")
            if self._detached.is_set():
                return self._left_behind("left to run on")
            deadline = deadline or Deadline(self._timeouts.reconnect_s, clock=self._clock)
            if deadline.passed:
                return self._left_behind(
                    f"connection lost, and not back within {format_duration(self._timeouts.reconnect_s)}"
                )
            self._detached.wait(backoff_s)
            backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
            self._beats = 0
            ending = self._converse(self._resume_script(), again=True)
            if self._beats:
                deadline, backoff_s = None, _FIRST_BACKOFF_S
        return replace(ending, duration_s=self._clock() - self._began, work=self._work)

    def cancel(self) -> Answer | Failure:
        """End the run on its host: the whole process group. `follow` then returns by itself."""
        self.cancelling.set()
        limits = Limits(total_s=self._timeouts.kill_s + self._timeouts.script_s)
        script = cancel_script(self._spec.run_id, self._timeouts.kill_s, self._spec.probe_root)
        return self._transport.run_script(self._host, script, limits)

    def detach(self) -> None:
        """Stop following at the next lost connection; the run goes on."""
        self._detached.set()

    def _resume_script(self) -> Script:
        if not self._claimed:
            return start_script(self._spec, follow=not self._launch_only)  # safe: the run's folder lets it happen once
        out, err = self._offsets["out"], self._offsets["err"]
        return follow_script(self._spec.run_id, out, err, self._spec.probe_root)

    def _converse(self, script: Script, *, again: bool = False) -> Ending | None:
        """One attempt to hear the run out. None: the connection is gone, try again."""
        limits = Limits(total_s=None, idle_s=self._timeouts.silence_s)
        self._refusal = None
        reply = self._transport.run_script(self._host, script, limits, self._hear)
        if self._ending is not None:
            return self._ending
        if isinstance(reply, Failure):
            if reply.kind is not FailureKind.LOST and not again:
                return _never_began(reply)
            self._doubtful = True
            self._emit(Notice(f"{reply}; trying to get back to run {self._spec.run_id}", "warning", self._host.name))
            return None
        if self._claimed:
            return None  # whoever followed for us died; the run itself did not
        return self._settle(reply)

    def _settle(self, reply: Answer) -> Ending | None:
        """The script ended without saying what became of the run: make sure that it is not started, if we can.

        A refusal proves that this script started nothing. It proves nothing about one that was lost before, least of
        all on another machine.
        """
        refusal = self._refusal
        if refusal is not None:
            if not self._doubtful:
                return _never_began(refusal)
            if refusal.kind is FailureKind.WRONG_MACHINE:
                return None
        answer = self._transport.run_script(
            self._host, void_script(self._spec.run_id), Limits(total_s=self._timeouts.script_s)
        )
        if isinstance(answer, Answer) and answer.has("started"):
            self._claimed = True
        elif isinstance(answer, Answer) and (answer.has("void") or (answer.has("failed") and not self._doubtful)):
            return _never_began(refusal or Failure(FailureKind.SHELL, reply.noise or "the start script gave up"))
        return None

    def _hear(self, frame: Frame) -> None:
        if isinstance(frame, Data):
            self._beats += 1
            self._ran = True
            self._announce()
            self._offsets[frame.stream] = self._offsets.get(frame.stream, 0) + len(frame.data)
            self._emit(Output(self._spec.run_id, self._host.name, frame.stream, frame.data))
        else:
            self._hear_fact(frame)

    def _hear_fact(self, fact: Fact) -> None:
        if fact.name in ("running", "beat"):
            self._beats += 1
            self._ran = self._ran or fact.name == "running"
        if fact.name in ("run", "running"):
            self._claimed = True
            self._announce()
        elif fact.name == "failed":
            self._refusal = failed(fact.value)
        elif fact.name == "uncollected":
            self._refusal = uncollected(fact.value)
        elif fact.name == "work":
            self._work = int(fact.value) if fact.value.isdigit() else None
        elif fact.name in _ELSEWHERE:
            text = f"{fact.value} is not there; the command runs in {_ELSEWHERE[fact.name]}"
            self._emit(Notice(text, "warning", self._host.name))
        else:
            self._ending = self._ending_in(fact) or self._ending

    def _ending_in(self, fact: Fact) -> Ending | None:
        if fact.name == "exit":
            return _read_exit(fact.value)
        if fact.name == "lost":
            return _lost(fact.value)
        if fact.name == "absent":
            return _lost("its folder was removed on the host")
        if fact.name == "void":
            return self._voided(fact.value)
        return None

    def _voided(self, why: str) -> Ending:
        if self._ran:
            return _lost("its folder was removed on the host")
        if self.cancelling.is_set() or why == "cancelled":
            self._work = 0
            return Ending(RunState.CANCELLED, 130, "cancelled before it started")
        return _never_began(Failure(FailureKind.CANCELLED, "the run was called off before it started"))

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            self._emit(RunStarted(self._spec.run_id, self._host.name, self._spec.command))

    def _left_behind(self, why: str) -> Ending:
        return Ending(
            RunState.LOST,
            reason=f"{why}; the run may still go on on {self._host.name}",
            remedy=f"look there before you run it again: run id {self._spec.run_id}",
            duration_s=self._clock() - self._began,
        )


def _lost(why: str) -> Ending:
    remedy = "what it had done by then is unknown; run it again if that is safe"
    return Ending(RunState.LOST, reason=why, remedy=remedy)


def _never_began(failure: Failure) -> Ending:
    return Ending(RunState.UNREACHABLE, reason=str(failure), remedy=failure.remedy, not_started=failure)


def _read_exit(value: str) -> Ending:
    """`CODE REASON CLAIMED ENDED`, as remote/follow.sh writes it."""
    code_text, reason, *_ = [*value.split(), "", ""]
    return Ending(*outcomes.how_it_ended(int(code_text) if code_text.isdigit() else 255, reason))
