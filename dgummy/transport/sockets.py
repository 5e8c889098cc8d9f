"""Get a byte stream to an ssh server within a deadline: name lookup, TCP, or a ProxyCommand.

Failures are raised as `ConnectError`, which carries the typed failure.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import threading
from typing import Any

from dgummy.model import Failure, FailureKind
from dgummy.transport.base import Deadline
from dgummy.transport.plaintext import printable

# A peer that vanished is noticed within about 20 seconds, idle or not.
KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_COUNT = 2
UNACKNOWLEDGED_MS = 20_000

_STDERR_TAIL_BYTES = 2048


class ConnectError(Exception):
    """A host could not be reached; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def open_tcp(hostname: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers, trying each family in turn within the time left."""
    addresses = look_up(hostname, port, deadline)
    failure = Failure(FailureKind.DNS, f"{hostname} has no address")
    for index, (family, address) in enumerate(addresses):
        left_s = deadline.remaining_s()
        share_s = None if left_s is None else left_s / (len(addresses) - index)
        if share_s == 0:
            failure = _timed_out(hostname, port)
            break
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(share_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = _worse(failure, _tcp_failure(error, hostname, port))
        else:
            _tune(sock)
            return sock
    raise ConnectError(failure)


def look_up(hostname: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """Addresses of a name as (family, sockaddr). The system's resolver knows no time-out, so a thread waits for it."""
    with contextlib.suppress(socket.gaierror, ValueError):
        return _addresses(hostname, port, socket.AI_NUMERICHOST)
    found: list[tuple[int, Any]] = []
    errors: list[Exception] = []

    def resolve() -> None:
        try:
            found.extend(_addresses(hostname, port, 0))
        except (OSError, ValueError) as error:
            errors.append(error)

    thread = threading.Thread(target=resolve, name=f"resolve {hostname}", daemon=True)
    thread.start()
    thread.join(deadline.remaining_s())
    if thread.is_alive():
        raise ConnectError(Failure(FailureKind.DNS, f"looking up {hostname} takes too long", "check the name server"))
    if errors or not found:
        reason = getattr(errors[0], "strerror", None) if errors else None
        detail = f"{printable(hostname)}: {reason or 'no such name'}"
        raise ConnectError(
            Failure(FailureKind.DNS, detail, f"check the name, or give {hostname} a HostName in ssh_config")
        )
    return found


def _addresses(hostname: str, port: int, flags: int) -> list[tuple[int, Any]]:
    infos = socket.getaddrinfo(hostname, port, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, flags)
    return [(family, address) for family, _, _, _, address in infos]


def _tune(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
        ("TCP_KEEPALIVE", KEEPALIVE_IDLE_S),  # macOS's name for the same
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
    ):
        if hasattr(socket, option):
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _tcp_failure(error: OSError, hostname: str, port: int) -> Failure:
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return _timed_out(hostname, port)
    where = f"{hostname} port {port}"
    if error.errno == errno.ECONNREFUSED:
        return Failure(FailureKind.REFUSED, where, "start sshd there, or check the port")
    detail = f"{where}: {error.strerror or error}"
    return Failure(FailureKind.NO_ROUTE, detail, "check the network, VPN or Tailscale")


def _timed_out(hostname: str, port: int) -> Failure:
    return Failure(
        FailureKind.TIMED_OUT,
        f"no answer from {hostname} port {port} (TCP)",
        "check that it is up and reachable",
    )


def _worse(first: Failure, second: Failure) -> Failure:
    """Of two addresses' failures the one that tells more: an address family we have no route for tells little."""
    if second.kind is FailureKind.NO_ROUTE and first.kind is not FailureKind.DNS:
        return first
    return second


class ProxyProcess:
    """A ProxyCommand: its stdin and stdout are one end of a socket pair, `sock` is the other.

    Not `paramiko.ProxyCommand`: that one spins when the command ends, and never reads its stderr.
    """

    def __init__(self, command: str) -> None:
        self.sock, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        self._stderr = b""
        self._reader = threading.Thread(target=self._read, name="proxy command", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was asked for as a pipe
        with self._process.stderr as stream:
            while chunk := os.read(stream.fileno(), 4096):
                self._stderr = (self._stderr + chunk)[-_STDERR_TAIL_BYTES:]
        self._process.wait()

    def last_words(self) -> str:
        """What it said on stderr, if it has ended."""
        self._reader.join(0.2)
        return self._stderr.decode("utf-8", "replace")

    def close(self) -> None:
        """End it. Its own thread reaps it."""
        self.sock.close()
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
