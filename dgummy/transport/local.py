"""Run scripts on this machine: the same scripts, in a `sh` of our own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.context import Context
from invoke.runners import Local

from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.base import Answer, FrameSink, Limits, Reached, Script
from dgummy.transport.runner import ScriptRunner


class LocalTransport:
    """Runs scripts here, as the user who runs us, starting in the home folder as an ssh session does."""

    name = "local"

    def __init__(self) -> None:
        # Lazy: Invoke's own files and INVOKE_RUN_* have no say in how our scripts run.
        self._context = Context(Config(lazy=True))

    def connect(self, host: Host) -> Reached | Failure:
        """Here is always reachable."""
        return Reached(ssh_name=host.name, address="", latency_ms=0.0)

    def run_script(
        self,
        host: Host,  # noqa: ARG002 - the protocol's signature
        script: Script,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sink: FrameSink | None = None,
    ) -> Answer | Failure:
        """Run a script to its end (see `Transport.run_script`)."""
        try:
            return LocalScript(self._context).run_script(script, limits, sink)
        except ShellMissingError as error:
            return Failure(FailureKind.SHELL, str(error), "put a POSIX sh on the PATH")

    def close(self) -> None:
        """Nothing stays open."""


class ShellMissingError(Exception):
    """There is no `sh` to start."""


class LocalScript(ScriptRunner, Local):
    """`ScriptRunner` over a child process in a session of its own: Ctrl-C at our terminal does not reach it."""

    process: subprocess.Popen[bytes]

    def start(self, command: str, shell: str, env: dict[str, Any]) -> None:  # noqa: ARG002 - Invoke's signature
        """Start `sh -s` with our own environment."""
        try:
            self.process = subprocess.Popen(
                ["sh", "-s"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=_home(),
                start_new_session=True,
            )
        except OSError as error:
            raise ShellMissingError(f"sh could not be started: {error.strerror}") from error
        # What is read from `wake` when everybody is to let go: closing a pipe does not wake its reader.
        self._wake, self._waker = os.pipe()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            os.set_blocking(_fd(pipe), False)

    def read_proc_stdout(self, num_bytes: int) -> bytes | None:
        """Wait for output and read some; nothing at its end."""
        return self._read(_fd(self.process.stdout), num_bytes)

    def read_proc_stderr(self, num_bytes: int) -> bytes | None:
        """The same for stderr."""
        return self._read(_fd(self.process.stderr), num_bytes)

    def _read(self, fd: int, num_bytes: int) -> bytes:
        return os.read(fd, num_bytes) if self._ready(fd, select.POLLIN) else b""

    def send_some(self, data: bytes) -> int:
        """Write what the pipe takes."""
        fd = _fd(self.process.stdin)
        return os.write(fd, data) if self._ready(fd, select.POLLOUT) else 0

    def _ready(self, fd: int, event: int) -> bool:
        poll = select.poll()
        poll.register(fd, event)
        poll.register(self._wake, select.POLLIN)
        return all(ready != self._wake for ready, _ in poll.poll())

    def await_exit(self, timeout_s: float | None) -> bool:
        """Wait for the child."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def exit_status(self) -> int | None:
        """The child's exit status; None if a signal ended it."""
        status = self.process.returncode
        return None if status is None or status < 0 else status

    def abandon(self) -> None:
        """Wake whoever reads or writes."""
        os.write(self._waker, b"x")

    def kill(self) -> None:
        """Kill everything in the script's process group."""
        # Not once it was waited for: the number may be another group's by now.
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.abandon()

    def stop(self) -> None:
        """Close what was opened."""
        super().stop()
        if not hasattr(self, "_wake"):
            return
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        os.close(self._wake)
        os.close(self._waker)


def _fd(pipe: Any) -> int:
    return int(pipe.fileno())


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry for us in the password file
        return Path("/")
    return home if home.is_dir() else Path("/")
