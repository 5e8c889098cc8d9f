"""One script over a session of an ssh connection, carried by one thread: ours. Paramiko's fills the buffers.

Import it late, like `ssh`.
"""

from __future__ import annotations

import shlex
import threading
import time
from typing import Any

import fabric.runners
import paramiko
from invoke.util import ExceptionHandlingThread

from dgummy.model import Failure, FailureKind
from dgummy.transport.alarms import ALARMS
from dgummy.transport.base import Deadline
from dgummy.transport.runner import ENDED_LINGER_S, LINGER_S, READ_BYTES, ScriptRunner
from dgummy.transport.sshconnect import Open

START_S = 15.0
"""How long a server that has let us in may take to open a session, or to start a shell in it."""

_SENT_AT_ONCE_BYTES = 64 * 1024
_CLOSE_S = 0.1


class _Wake(threading.Event):
    """Set whenever there is something to look at. Paramiko clears it once one stream is empty; the other may not be."""

    def clear(self) -> None:
        """Not this way."""

    def rearm(self) -> None:
        """Clear it."""
        super().clear()


class _Exited(threading.Event):
    """Paramiko's event for the exit status, which wakes us as well."""

    def __init__(self, wake: _Wake) -> None:
        super().__init__()
        self._wake = wake

    def set(self) -> None:
        """The exit status is there."""
        super().set()
        self._wake.set()


class RemoteScript(ScriptRunner, fabric.runners.Remote):  # type: ignore[misc]
    """`ScriptRunner` over a session that is open already."""

    def __init__(self, opened: Open, channel: paramiko.Channel) -> None:
        super().__init__(context=opened.connection)
        self._opened = opened
        self._wake = _Wake()
        self.channel = channel
        channel.status_event = _Exited(self._wake)

    def start(self, command: str, shell: str, env: dict[str, Any], timeout: float | None = None) -> None:  # noqa: ARG002
        """Ask for the shell. Paramiko waits for the reply without end, so an alarm closes the session."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.channel.close()

        alarm = ALARMS.after(START_S, give_up)
        try:
            self.channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.channel.close()
            if late.is_set() or not self._opened.alive:
                raise ConnectionDeadError(self._opened) from error
            raise CommandRefusedError(self._opened) from error
        finally:
            alarm.cancel()

    def create_io_threads(self) -> tuple[dict[Any, ExceptionHandlingThread], list[str], list[str]]:
        """A thread for stdin if that may have to wait for the other side; anything else is done in `wait`."""
        if len(self._script.text) <= _SENT_AT_ONCE_BYTES:
            return {}, [], []
        kwargs = {"input_": None, "output": None}
        return {self.handle_stdin: ExceptionHandlingThread(target=self.handle_stdin, kwargs=kwargs)}, [], []

    def wait(self) -> None:
        """Send the script, and read what comes to its end. Whatever goes wrong here ends the script."""
        self.channel.in_buffer.set_event(self._wake)
        self.channel.in_stderr_buffer.set_event(self._wake)
        try:
            if not self.threads:
                self.handle_stdin(None, None)
            while not self._is_over():
                self._wake.wait(self._patience_s())
            self._await_close()
        except BaseException:
            self.kill()
            raise

    def _is_over(self) -> bool:
        """Take what has come; whether no more will, or no more is waited for."""
        self._wake.rearm()
        channel = self.channel
        complete = channel.eof_received or channel.closed
        exited = self.await_exit(0)
        while channel.recv_ready():
            self._take_out(channel.recv(READ_BYTES))
        while channel.recv_stderr_ready():
            self._take_err(channel.recv_stderr(READ_BYTES))
        if (complete and exited) or self._passed():
            return True
        if exited and self._linger_left_s() == 0:
            self.abandon()
            return True
        return False

    def _patience_s(self) -> float | None:
        limit_s = self._next_limit_s()
        if not self.await_exit(0):
            return limit_s
        left_s = self._linger_left_s()
        return left_s if limit_s is None else min(left_s, limit_s)

    def _linger_left_s(self) -> float:
        linger_s = ENDED_LINGER_S if self._ended else LINGER_S
        return max(0.0, self._last_heard + linger_s - time.monotonic())

    def _await_close(self) -> None:
        """Let the other side close the session, as it does at once. For us that would take a thread, see `abandon`."""
        soon = Deadline(_CLOSE_S)
        while not self.channel.closed and not soon.passed:
            self._wake.wait(soon.remaining_s())
            self._wake.rearm()

    def send_some(self, data: bytes) -> int:
        """Send what the window takes."""
        try:
            return self.channel.send(data)
        except paramiko.SSHException as error:
            raise EOFError(str(error)) from error

    def await_exit(self, timeout_s: float | None) -> bool:
        """Wait for the exit status, or for the end of the connection."""
        return self.channel.status_event.wait(timeout_s)

    def exit_status(self) -> int | None:
        """The exit status; None if the connection broke or a signal ended the script."""
        status = self.channel.exit_status
        return None if status < 0 else status

    def abandon(self) -> None:
        """Close the session, in a thread: what is sent for that may not get through."""
        closer = threading.Thread(target=self._close_quietly, name="close session", daemon=True)
        closer.start()
        closer.join(1.0)

    def _close_quietly(self) -> None:
        try:
            self.channel.close()
        except (paramiko.SSHException, OSError, EOFError):
            return

    def kill(self) -> None:
        """The same: ssh has no kill. What a host must end, a script there ends."""
        self.abandon()

    def stop(self) -> None:
        """Close the session if that is still to be done. Fabric's own would reset a SIGWINCH handler."""
        if not self.channel.closed:
            self.abandon()


class NotStartedError(Exception):
    """No byte of the script was sent."""

    failure: Failure


class ConnectionDeadError(NotStartedError):
    """The connection broke before there was a session."""

    def __init__(self, opened: Open) -> None:
        where = opened.reached.ssh_name
        self.failure = Failure(
            FailureKind.DROPPED, f"{where} closed the connection before a session was open", "try again"
        )


class SessionRefusedError(NotStartedError):
    """The server opens no further session on this connection."""

    def __init__(self, opened: Open) -> None:
        where = opened.reached.ssh_name
        self.failure = Failure(
            FailureKind.DROPPED, f"sshd on {where} opens no further session", "look at MaxSessions there"
        )


class CommandRefusedError(NotStartedError):
    """The server has opened a session and starts nothing in it."""

    def __init__(self, opened: Open) -> None:
        where = opened.reached.ssh_name
        self.failure = Failure(
            FailureKind.SHELL, f"sshd on {where} starts no command", f"see what `ssh {shlex.quote(where)} true` says"
        )


def open_session(opened: Open) -> paramiko.Channel:
    """A session on an open connection. NotStartedError if there is none."""
    try:
        return opened.transport.open_session(timeout=START_S)
    except (paramiko.SSHException, OSError, EOFError) as error:
        if opened.alive and "Timeout" not in str(error):
            raise SessionRefusedError(opened) from error
        raise ConnectionDeadError(opened) from error
