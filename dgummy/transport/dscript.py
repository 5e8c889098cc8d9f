"""One script carried by `d run`.

`d` mixes what it says with what a command prints, and the released one ends every failure with status 1. So what became
of the script is read from its frames; and whether it can have run at all from whether `d` took it from us, and from the
status that ssh gave it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import shlex
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from typing import Any

from invoke.context import Context

from dgummy.dtext import Told, split_run
from dgummy.model import Failure, FailureKind
from dgummy.transport.base import Answer, Deadline, FrameSink, Limits, Script
from dgummy.transport.dcall import environment
from dgummy.transport.framing import MAX_NOISE_BYTES, Fact, Frame
from dgummy.transport.local import LocalScript
from dgummy.transport.rsync_text import classify
from dgummy.transport.runner import ENDED_LINGER_S
from dgummy.units import format_duration

D_FAILED = FailureKind.SHELL
UNREACHED = FailureKind.NO_ROUTE
REMEDY = "see what it says by hand, or go past it with --backend ssh"

SSH_KINDS = frozenset(
    {
        FailureKind.DNS,
        FailureKind.REFUSED,
        FailureKind.NO_ROUTE,
        FailureKind.TIMED_OUT,
        FailureKind.HOST_KEY,
        FailureKind.AUTHENTICATION,
    }
)
"""What can only happen before ssh has a session."""

_POLL_S = 0.25
_TAKING_S = 1.0
_OF_SSH = re.compile(r"ssh: |(?:\S+: )?Permission denied \(|Host key verification failed|@ +WARNING: REMOTE HOST")


class NotStartedError(Exception):
    """The program could not be started."""


class DScript(LocalScript):
    """A script on the stdin of `d run`, which hands it to the host.

    We keep the reading end of that pipe too: what is still in it when all is over was never taken, and a script whose
    last byte was not taken ran nowhere (`dgummy.remote`).
    """

    def __init__(self, context: Context, argv: Sequence[str], host: str, *, is_released: bool, reach_s: float) -> None:
        super().__init__(context)
        self._is_released = is_released
        self._argv = list(argv)
        self._host = host
        self._reach_s = reach_s
        self._reach = Deadline(reach_s)
        self._begun = self._taken = self._group_ended = False
        self._written = threading.Event()
        self._intake = -1

    def run_script(self, script: Script, limits: Limits, sink: FrameSink | None) -> Answer | Failure:
        """As `ScriptRunner`, with the limits counted from the script's first word."""

        def heard(frame: Frame) -> None:
            if not self._begun and isinstance(frame, Fact) and frame.name == "begin":
                self._begun = True
                self._total = Deadline(limits.total_s)
            if sink is not None:
                sink(frame)

        reply = super().run_script(script, limits, heard)
        if isinstance(reply, Answer):
            return reply
        return self._lost() if self._begun else self._not_begun()

    def start(self, command: str, shell: str, env: dict[str, Any]) -> None:  # noqa: ARG002 - Invoke's signature
        """Start `d`."""
        self._reach = Deadline(self._reach_s)
        self._intake, feed = os.pipe()
        try:
            self.process = subprocess.Popen(
                self._argv,
                stdin=self._intake,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment(),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(feed)
            self._close_intake()
            what = error.strerror if isinstance(error, OSError) else str(error)
            raise NotStartedError(f"{self._argv[0]} does not start: {what}") from error
        self.process.stdin = io.FileIO(feed, "wb")
        self._wake, self._waker = os.pipe()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    def close_proc_stdin(self) -> None:
        """Everything is written."""
        self._written.set()
        super().close_proc_stdin()

    def wait(self) -> None:
        """Wait for the end; then see what was taken. Closing the intake frees a writer that nobody reads from."""
        super().wait()
        self._end_group()
        self._taken = self._was_taken()
        self._close_intake()

    def await_exit(self, timeout_s: float | None) -> bool:
        """Wait for `d`. If a signal ended it, its ssh goes too."""
        ended = super().await_exit(timeout_s)
        if ended and self.process.returncode < 0:
            self._end_group()
        return ended

    def _end_group(self) -> None:
        # Once, and soon after the end: numbers are given out in turn, so this one is not another's yet.
        if not self._group_ended:
            self._group_ended = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def _was_taken(self) -> bool:
        """Whether all of the script was taken; asked when nobody is left to take more."""
        waiting = bytearray(4)
        fcntl.ioctl(self._intake, termios.FIONREAD, waiting)
        # With an empty pipe the writer is not held up: it is about to say that it is done, or to write more.
        return not any(waiting) and self._written.wait(_TAKING_S)

    def stop(self) -> None:
        """Close what was opened."""
        super().stop()
        self._close_intake()

    def _close_intake(self) -> None:
        if self._intake >= 0:
            os.close(self._intake)
            self._intake = -1

    # Limits.

    def _next_limit_s(self) -> float | None:
        return min(_POLL_S, super()._next_limit_s() or _POLL_S)

    def _passed(self) -> bool:
        if self._ended:
            # What the script left running there holds the connection open.
            if self._in_sink or time.monotonic() - self._last_heard < ENDED_LINGER_S:
                return False
            self.kill()
            return True
        if self._begun:
            return super()._passed()
        if not self._reach.passed:
            return False
        self._expired = f"timed out: not on {self._host} within {format_duration(self._reach_s)}"
        self.kill()
        return True

    # What became of it.

    def _told(self) -> Told:
        return split_run(self._reader.noise, self._stderr.decode("utf-8", "replace"))

    def _noise(self) -> str:
        told = self._told()
        parts = [told.out.strip(), told.err.strip()]
        if told.error and told.exit_status is None:
            parts.append(told.error)
        return "\n".join(part for part in parts if part)[-MAX_NOISE_BYTES:]

    def _lost(self) -> Failure:
        why = self._expired or "the script was cut off on the host"
        return Failure(FailureKind.LOST, why if self._expired else f"{why} ({self._how()})")

    def _not_begun(self) -> Failure:
        """Why nothing was heard of the script: LOST unless it certainly ran nowhere."""
        told = self._told()
        if self._taken and not self._ended_in_good_order(told):
            return self._before_session(told, strict=True) or Failure(
                FailureKind.LOST, self._expired or f"nothing heard of the script ({self._how()})"
            )
        if self._expired:
            said = f" ({told.reason})" if told.reason else ""
            return Failure(FailureKind.TIMED_OUT, self._expired.removeprefix("timed out: ") + said, REMEDY)
        if told.error == "no reachable hosts found":
            return Failure(UNREACHED, f"d does not reach {self._host}", f"try: ssh {shlex.quote(self._host)} true")
        detail = told.reason or f"{self._how()} without running sh"
        return self._before_session(told, strict=False) or Failure(D_FAILED, detail, REMEDY)

    def _ended_in_good_order(self, told: Told) -> bool:
        """Whether ssh has told us the status of a command that has ended, so that we heard all it said.

        255 is ssh's own. The released one always ends with 1 and prints the status; the other may pass it on.
        """
        status = self.exit_status()
        if self._expired or status is None:
            return False
        if status and told.exit_status is not None:
            status = told.exit_status
        elif status and (self._is_released or told.error):
            return False
        return status != 255

    def _before_session(self, told: Told, *, strict: bool) -> Failure | None:
        """The reason that ssh gave for not getting through. `strict`: in words that are ssh's own beyond doubt."""
        if told.exit_status not in (None, 255):
            return None
        lines = [line for line in told.err.splitlines() if not strict or _OF_SSH.match(line)]
        failure = classify(255, "\n".join(lines), self._host)
        return failure if failure.kind in SSH_KINDS else None

    def _how(self) -> str:
        code = self.process.returncode
        how = f"d was killed by signal {-code}" if code is not None and code < 0 else f"d ended with status {code}"
        told = self._told()
        return f"{how}: {told.reason}" if told.reason else how
