"""Running a job, as cron calls for it: one at a time, everything it says in its log, and how it went written down."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from dgummy import locks
from dgummy.errors import ConfigError, DgummyError
from dgummy.jobrecord import JobFiles, LastRun, added
from dgummy.transport.plaintext import printable
from dgummy.units import format_duration

JOB = "DGUMMY_JOB"
"""The variable that tells a command of ours which job it is of."""
LOCK = "DGUMMY_LOCK"
"""The variable that tells it under which lock it is."""
ASIDE = "DGUMMY_STDERR_ASIDE"
"""The variable that names the file descriptor for what its stderr, which is the log, does not take."""
_NOTICES = "INVOKE_DGUMMY_NOTICES"
_MAX_WHY_CHARS = 300
_COMPLAINT = re.compile(r"^(?:✗ (\S.*)|(\d+ of \d+ not ok .*))$", re.MULTILINE)
_STDERR = 2


class JobRun:
    """One time that a job runs."""

    def __init__(self, name: str, files: JobFiles, words: Sequence[str], *, now: Callable[[], datetime]) -> None:
        self._name = name
        self._files = files
        self._words = list(words)
        self._now = now
        self._child: subprocess.Popen[bytes] | None = None
        self._lock, self._lock_name = -1, ""
        self._began = now()
        self._told, self._starts = 0, False

    def run(self, program: str, lock_folder: Path, lock: str, free: Callable[[], None]) -> tuple[int, str]:
        """Run it to its end, unless it is under way; its exit code, and a line on why that is not 0.

        `free` raises what else is in the way, asked while we hold the lock. TryAgainError if another holds it. Either
        is written down too.
        """
        command = locks.shown_command(["dgummy", *self._words])
        try:
            with locks.held(lock_folder, lock, command, self._began, job=self._name) as descriptor:
                self._lock, self._lock_name = descriptor, lock
                self._files.rotate()
                free()
                return self._logged(program, command)
        except DgummyError as error:
            self.not_run(error)
            raise

    def told_to_end(self, number: int) -> bool:
        """Hand on that it is to end (SIGTERM, SIGHUP): it ends what runs on its host, and then itself.

        False if it does not run: then it is written down that it never will.
        """
        self._told = self._told or number
        if self._child is not None:
            self._hand_on(signal.SIGTERM)
        elif not self._starts:
            self._keep(128 + number, _told(number))
        return self._starts

    def not_run(self, error: DgummyError) -> None:
        """Write down that it could not begin."""
        self._say(f"not run: {error.message}")
        self._keep(int(error.code), error.message)

    def _logged(self, program: str, command: str) -> tuple[int, str]:
        self._keep(None, "")
        before = self._files.size()
        with ExitStack() as kept:
            try:
                self._write(f"begins: {command}")
                log = kept.enter_context(self._files.opened())
            except OSError as error:  # a full disk, or its folder gone: what it says goes to whoever called
                log = _STDERR
                with suppress(OSError):
                    os.write(log, f"{self._files.log}: {error.strerror}\n".encode("utf-8", "replace"))
            code = self._to_its_end(program, log)
            why = _why(added(log, before)) if code and log != _STDERR else ""
        if self._told and code:
            code, why = 128 + self._told, _told(self._told)
        took = format_duration((self._now() - self._began).total_seconds())
        try:
            self._write(f"ended with exit code {code} after {took}")
        except OSError as error:
            why = why or f"not all of it is in its log: {error.strerror}"
        self._keep(code, why)
        return code, why

    def _to_its_end(self, program: str, descriptor: int) -> int:
        self._child = child = self._start(program, descriptor)
        if self._told:  # while it was being started
            self._hand_on(signal.SIGTERM)
        while True:
            try:
                code = child.wait()
                return code if code >= 0 else 128 - code
            except KeyboardInterrupt:  # noqa: PERF203 - the child ends what runs on its host, and then itself
                self._hand_on(signal.SIGINT)

    def _start(self, program: str, descriptor: int) -> subprocess.Popen[bytes]:
        self._starts = True
        aside = os.dup(_STDERR)
        own = {JOB: self._name, LOCK: self._lock_name, ASIDE: str(aside)}
        try:
            return subprocess.Popen(
                [program, *self._words],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env={_NOTICES: "always", **os.environ, **own},
                start_new_session=True,  # Ctrl-C and the like come through us, each once
                pass_fds=(self._lock, aside),  # killed, we leave the lock to the child
            )
        except OSError as error:
            what = f"{program} cannot be started: {error.strerror}"
            raise ConfigError(what, "install it anew: pip install distributed-gummy") from error
        finally:
            os.close(aside)

    def _hand_on(self, number: signal.Signals) -> None:
        if self._child is not None:
            with suppress(OSError):
                self._child.send_signal(number)

    def _say(self, text: str) -> None:
        with suppress(OSError):
            self._write(text)

    def _write(self, text: str) -> None:
        stamp = self._now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        with self._files.opened() as log:
            os.write(log, f"── {stamp} {self._name} {printable(text)}\n".encode("utf-8", "replace"))

    def _keep(self, code: int | None, why: str) -> None:
        ended = None if code is None else self._now()
        with suppress(OSError):
            self._files.keep(last=LastRun(self._began, ended, code, printable(why)[:_MAX_WHY_CHARS], os.getpid()))


def summary(name: str, code: int, why: str, log: Path) -> tuple[str, str]:
    """What is said of a job that failed, to whoever reads cron's mail: what happened, and where to look."""
    text = f"✗ {name}: exit code {code}" + (f": {why}" if why else "")
    return text, f"  what it said is in {shlex.quote(str(log))}; inv cron.list"


def _told(number: int) -> str:
    return f"told to end ({signal.Signals(number).name})"


def _why(said: bytes) -> str:
    """The last complaint of ours in what was said, about one run or about a group."""
    complaints = _COMPLAINT.findall(said.decode("utf-8", "replace"))
    return (complaints[-1][0] or complaints[-1][1]).strip() if complaints else ""
