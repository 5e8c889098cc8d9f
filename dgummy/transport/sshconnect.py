"""Open one ssh connection: socket, host key, login, all within one deadline, every failure typed."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fabric
import paramiko
from paramiko.packet import Packetizer

from dgummy.model import Failure, FailureKind
from dgummy.transport.alarms import ALARMS, Alarm
from dgummy.transport.auth import Login
from dgummy.transport.base import Deadline, Reached
from dgummy.transport.knownhosts import HostKeyRefusedError, KnownHosts
from dgummy.transport.plaintext import last_line, printable
from dgummy.transport.sockets import ConnectError, ProxyProcess
from dgummy.units import format_duration

if TYPE_CHECKING:
    from dgummy.transport.sshconfig import SSHTarget

LOG_CHANNEL = "dgummy.paramiko"

_CHECK_S = 2.0
_WINDOW_BYTES = 256 * 1024
"""What a session may have sent that we have not read. Paramiko's 2 MiB for each of many hosts would be a lot."""

STAGES = ("its ssh banner", "the key exchange", "the host key", "authentication")
_BANNER, _KEX, _HOST_KEY, _AUTH = STAGES


def quiet_paramiko() -> None:
    """Keep what paramiko logs, tracebacks among it, off the terminal. Whoever wants it adds a handler."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    ours = logging.getLogger(LOG_CHANNEL)
    ours.addHandler(logging.NullHandler())
    ours.propagate = False
    if ours.level == logging.NOTSET:
        ours.setLevel(logging.CRITICAL + 1)


class Watchdog:
    """Calls `bite` when the deadline passes, unless the block has been left. The deadline may be moved and held."""

    def __init__(self, deadline: Deadline, bite: Callable[[], None]) -> None:
        self.deadline = deadline
        self.expired = False
        self._bite = bite
        self._lock = threading.Lock()
        self._alarm: Alarm | None = None
        self._holds = 0
        self._over = False

    def __enter__(self) -> Watchdog:
        with self._lock:
            self._arm()
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._lock:
            self._over = True
            self._arm()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The time spent in here does not count."""
        began = time.monotonic()
        self._change(1, 0.0)
        try:
            yield
        finally:
            self._change(-1, time.monotonic() - began)

    def allow(self, seconds: float) -> None:
        """From now on there are at least so many seconds left."""
        left = self.deadline.remaining_s()
        if left is not None and left < seconds:
            self._change(0, seconds - left)

    def _change(self, hold: int, seconds: float) -> None:
        with self._lock:
            self._holds += hold
            self.deadline.extend(seconds)
            self._arm()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        left = None if self._over or self._holds else self.deadline.remaining_s()
        self._alarm = None if left is None else ALARMS.after(left, self._look)

    def _look(self) -> None:
        with self._lock:
            if self._over or self._holds or not self.deadline.passed:
                return  # it was moved at the last moment; then another alarm is set
            self.expired = True
        self._bite()


@dataclass(slots=True)
class Surroundings:
    """What every connection attempt shares. `ssh_flags` are for advice in messages, each after a blank."""

    known_hosts: KnownHosts
    browser_s: float
    interactive: bool
    on_notice: Callable[[str, str], None]
    ssh_flags: str = ""


@dataclass(slots=True)
class Open:
    """An open, authenticated connection, and what it goes through."""

    connection: Any
    reached: Reached
    proxy: ProxyProcess | None = None

    @property
    def alive(self) -> bool:
        """Whether it can still be used, as far as we know."""
        return bool(self.connection.is_connected)

    @property
    def transport(self) -> paramiko.Transport:
        """Paramiko's side of it."""
        transport: paramiko.Transport = self.connection.transport
        return transport

    def close(self) -> None:
        """Hang up."""
        self.connection.client.close()
        if self.proxy is not None:
            self.proxy.close()


class Attempt:
    """One try to open a connection over a socket that is there already. Use once.

    The server must answer within `deadline`; one that does has until `overall` to let us in.
    """

    def __init__(
        self, host: str, target: SSHTarget, deadline: Deadline, overall: Deadline, around: Surroundings
    ) -> None:
        self._host = host
        self._overall = overall
        self._began = time.monotonic()
        self._target = target
        self._around = around
        self._login = Login(target, self._banner)
        self._transport: paramiko.Transport | None = None
        self._watchdog = Watchdog(deadline, self._abort)
        self._stage = _BANNER

    def open(self, sock: Any, address: str, proxy: ProxyProcess | None = None) -> Open:
        """Handshake, host key, login. ConnectError otherwise, with everything closed."""
        target = self._target
        connection = fabric.Connection(
            target.hostname,
            user=target.user,
            port=target.port,
            # Its own: one that is shared is not safe between threads. Without files and variables: ssh_config is not
            # parsed per host, fabric.yaml has no say in our scripts.
            config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
            connect_kwargs={
                "sock": sock,
                "transport_factory": self._make_transport,
                "auth_strategy": self._login,
            },
        )
        connection.client.set_missing_host_key_policy(_Policy(self._check_host_key))
        opened = None
        try:
            with self._watchdog:
                connection.open()
            opened = Open(connection, self._reached(address), proxy)
        except Exception as error:  # a hostile server can make paramiko raise anything
            raise ConnectError(self._failure(error, proxy)) from error
        finally:
            if opened is None:
                connection.client.close()
                sock.close()
                if proxy is not None:
                    proxy.close()
        return opened

    def _reached(self, address: str) -> Reached:
        return Reached(self._target.name, address, 1000 * (time.monotonic() - self._began))

    def _make_transport(self, sock: socket.socket, **options: Any) -> paramiko.Transport:
        transport = _Transport(sock, packetizer_class=_Packetizer, default_window_size=_WINDOW_BYTES, **options)
        self._transport = transport
        transport.set_log_channel(LOG_CHANNEL)
        # The watchdog keeps the time; paramiko's own limits would only get in its way.
        transport.banner_timeout = 86_400
        transport.auth_timeout = None  # type: ignore[assignment]
        # Only to notice what it is told by flags: that keys are to be renewed, say. Paramiko's own 0.1 s, with a
        # hundred connections open, is a thousand wake-ups a second.
        sock.settimeout(_CHECK_S)
        security = transport.get_security_options()
        # As strong as the others, and paramiko need not check a MAC besides, byte by byte.
        security.ciphers = sorted(security.ciphers, key=lambda name: "gcm" not in name)
        security.key_types = self._around.known_hosts.ordered_algorithms(self._target, security.key_types)
        return transport

    def _abort(self) -> None:
        if self._transport is not None:
            self._note_stage()
            self._transport.close()

    def _note_stage(self) -> None:
        # Stages after the key exchange are noted where they begin.
        transport = self._transport
        if transport is not None and self._stage == _BANNER and transport.remote_version:
            self._stage = _KEX

    def _check_host_key(self, key: paramiko.PKey) -> None:
        self._stage = _HOST_KEY
        with self._watchdog.held():
            self._around.known_hosts.check(self._target, key.get_name(), key.asbytes())
        self._stage = _AUTH
        self._watchdog.allow(self._overall.remaining_s() or 0.0)

    def _banner(self, text: str, url: str) -> None:
        """Show a banner that asks to visit a page; runs in paramiko's thread, which it must not break."""
        if not url:
            return
        if self._around.interactive:
            self._watchdog.allow(self._around.browser_s)
        with contextlib.suppress(Exception):
            self._around.on_notice(self._host, text)

    def _failure(self, error: Exception, proxy: ProxyProcess | None) -> Failure:
        self._note_stage()
        if isinstance(error, HostKeyRefusedError):
            return error.failure
        report, target = self._login.report, self._target
        if self._stage == _AUTH and (not self._watchdog.expired or report.url):
            return report.failure(target, self._around.ssh_flags)
        where = f"{target.hostname} port {target.port}"
        if self._watchdog.expired:
            waited = format_duration(time.monotonic() - self._began)
            return Failure(
                FailureKind.TIMED_OUT,
                f"{where}: still waiting for {self._stage} after {waited}",
                "check the host's load and network, or raise timeouts.connect_s",
            )
        said = last_line(proxy.last_words()) if proxy is not None else ""
        if proxy is not None and self._stage == _BANNER:
            detail = f"the ProxyCommand for {target.hostname} ended{': ' + said if said else ''}"
            return Failure(FailureKind.PROXY, detail, "run the ProxyCommand by hand and see")
        return self._dropped(error, where)

    def _dropped(self, error: Exception, where: str) -> Failure:
        if self._stage == _BANNER:
            if "Indecipherable" in str(error) or "Incompatible" in str(error):
                return Failure(FailureKind.DROPPED, f"{where} is no ssh server", "check the port")
            return Failure(
                FailureKind.DROPPED,
                f"{where} closed the connection before its ssh banner",
                "try again; if it stays so, look at MaxStartups and the firewall there",
            )
        return Failure(
            FailureKind.DROPPED,
            f"{where} broke off at {self._stage}: {printable(str(error)) or type(error).__name__}",
            f"see what `ssh{self._around.ssh_flags} -v {self._target.name}` says",
        )


class _Transport(paramiko.Transport):
    """Passes over what sshd says for debugging. Paramiko would make a line of it, letter by letter, for no log."""

    def _parse_debug(self, m: paramiko.Message) -> None:
        pass


class _Packetizer(Packetizer):
    """Acknowledges at once, and has no handshake timer.

    sshd turns Nagle's algorithm off only once a session is open. Until then it holds its answer back while what it sent
    before is unacknowledged, and Linux takes 40 ms to acknowledge what needs no reply of ours.
    """

    def __init__(self, sock: Any) -> None:
        super().__init__(sock)
        self._sock = sock
        is_tcp = getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6)
        self._tcp: socket.socket | None = sock if is_tcp and hasattr(socket, "TCP_QUICKACK") else None

    def read_message(self) -> tuple[int, paramiko.Message]:
        """Read a message, acknowledge it."""
        message = super().read_message()
        if self._tcp is not None:
            with contextlib.suppress(OSError):
                self._tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return message

    def close(self) -> None:
        """Close the socket, and wake whoever waits for it."""
        if isinstance(self._sock, socket.socket):
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        super().close()

    def start_handshake(self, timeout: float) -> None:
        """No timer of paramiko's: a thread that would keep a process from ending. The watchdog keeps the time."""


class _Policy(paramiko.MissingHostKeyPolicy):
    """Paramiko knows no host keys here, so it asks about each."""

    def __init__(self, check: Callable[[paramiko.PKey], None]) -> None:
        self._check = check

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        """Raise HostKeyRefusedError unless the key is as it should be."""
        self._check(key)
