"""Hosts over ssh, by Fabric and paramiko: the transport where the `d` command is not.

Only this module, `sshconnect` and `auth` import them. Import it late: they cost 90 ms.
"""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko

from dgummy.errors import DgummyError
from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.base import Answer, Deadline, FrameSink, Limits, Reached, Script
from dgummy.transport.hostkeys import HostKeyQuestion
from dgummy.transport.knownhosts import KnownHosts
from dgummy.transport.plaintext import printable
from dgummy.transport.pool import Link, Pool, Shared
from dgummy.transport.sockets import ConnectError, ProxyProcess, open_tcp
from dgummy.transport.sshconfig import SSHTarget, expand_proxy_command
from dgummy.transport.sshconnect import Attempt, Open, Surroundings, quiet_paramiko
from dgummy.transport.sshscript import (
    CommandRefusedError,
    ConnectionDeadError,
    RemoteScript,
    SessionRefusedError,
    open_session,
)

_MAX_HOPS = 8
_REFUSAL_PAUSE_S = 0.1
_MAX_REFUSALS = 20
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:\[\]]+)(?::(?P<port>\d+))?/?")
_FINAL_KINDS = (FailureKind.HOST_KEY, FailureKind.AUTHENTICATION, FailureKind.CANCELLED)


class SSHTransport:
    """Scripts over ssh. Connections are opened when first needed, shared by all threads, opened again if they break.

    resolve: how to reach an ssh name, as `ssh -G` tells it (`sshconfig.resolve`). connect_s: name lookup, TCP, key
    exchange and login together, over all paths of a host. browser_s: how long to wait instead once the server has asked
    to visit a page, if `interactive`. ask: puts a question about an unknown host key to the user, None to refuse.
    on_notice(host, text): something the user should see at once. ssh_config_path: for advice in messages.
    """

    name = "ssh"

    def __init__(
        self,
        resolve: Callable[[str], SSHTarget],
        *,
        connect_s: float,
        browser_s: float,
        interactive: bool,
        ask: Callable[[HostKeyQuestion], bool] | None,
        on_notice: Callable[[str, str], None],
        ssh_config_path: Path | None = None,
    ) -> None:
        quiet_paramiko()
        self._resolve = resolve
        self._connect_s = connect_s
        ssh_flags = "" if ssh_config_path is None else f" -F {shlex.quote(str(ssh_config_path))}"
        self._around = Surroundings(
            known_hosts=KnownHosts(ask, ssh_flags),
            browser_s=browser_s,
            interactive=interactive,
            on_notice=on_notice,
            ssh_flags=ssh_flags,
        )
        self._lock = threading.Lock()
        self._pools: dict[str, Pool[Open]] = {}
        self._jumps: dict[tuple[str, ...], Shared[Open]] = {}
        self._answered: dict[str, str] = {}
        self._closed = False

    def connect(self, host: Host) -> Reached | Failure:
        """Reach the host, or say why not (see `Transport.connect`).

        The paths of a host are tried in order, each with its share of the time, until one answers. A host that answers
        and then refuses us, by its key or ours, is not asked again by another path.
        """
        opened = self._open(self._pool(host).first, host)
        return opened if isinstance(opened, Failure) else opened.reached

    def connection(self, host: Host) -> Any | Failure:
        """Fabric's connection to the host, open, for those who want it themselves."""
        opened = self._open(self._pool(host).first, host)
        return opened if isinstance(opened, Failure) else opened.connection

    def run_script(
        self,
        host: Host,
        script: Script,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sink: FrameSink | None = None,
    ) -> Answer | Failure:
        """Run a script to its end (see `Transport.run_script`). Its time counts from when it is handed over."""
        pool = self._pool(host)
        deadline = Deadline(limits.total_s)
        retries, refusals = 1, 0
        while True:
            link = pool.take(deadline)
            if link is None:
                return Failure(FailureKind.DROPPED, f"{host.name}: every session is in use", "try again later")
            try:
                opened = self._open(link, host)
                if isinstance(opened, Failure):
                    return opened
                return RemoteScript(opened, open_session(opened)).run_script(script, limits, sink)
            except ConnectionDeadError as error:
                link.close()
                retries -= 1
                if retries < 0:
                    return error.failure
            except SessionRefusedError as error:
                if not pool.refuse(link):
                    refusals += 1
                if refusals > _MAX_REFUSALS or deadline.passed:
                    return error.failure
                time.sleep(_REFUSAL_PAUSE_S)
            except CommandRefusedError as error:
                return error.failure
            finally:
                pool.give_back(link)

    def count_sessions(self, host: Host, wanted: int) -> int | None:
        """How many sessions one connection to the host carries at once (see `CountsSessions`). Nothing runs in them."""
        opened = self._open(self._pool(host).first, host)
        if isinstance(opened, Failure):
            return None
        sessions: list[paramiko.Channel] = []
        try:
            while len(sessions) < wanted:
                sessions.append(open_session(opened))
        except SessionRefusedError:
            return len(sessions)
        except ConnectionDeadError:
            return None
        finally:
            for session in sessions:
                session.close()
        return wanted

    def close(self) -> None:
        """Close every connection. Scripts that still run end with a failure."""
        with self._lock:
            self._closed = True
            shared: list[Pool[Open] | Shared[Open]] = [*self._pools.values(), *self._jumps.values()]
        for connection in shared:
            connection.close()

    def _pool(self, host: Host) -> Pool[Open]:
        with self._lock:
            return self._pools.setdefault(host.name, Pool())

    def _open(self, link: Link[Open], host: Host) -> Open | Failure:
        return link.get(lambda: self._unless_closed(lambda: self._try_paths(host)))

    def _unless_closed(self, open_it: Callable[[], Open | Failure]) -> Open | Failure:
        opened = Failure(FailureKind.CANCELLED, "closed") if self._closed else open_it()
        if self._closed and isinstance(opened, Open):
            opened.close()
            return Failure(FailureKind.CANCELLED, "closed")
        return opened

    def _try_paths(self, host: Host) -> Open | Failure:
        overall = Deadline(self._connect_s)
        failures: dict[str, Failure] = {}
        paths = sorted(host.ssh_names(), key=lambda name: name != self._answered.get(host.name))
        for index, name in enumerate(paths):
            share_s = (overall.remaining_s() or 0.0) / (len(paths) - index)
            try:
                opened = self._open_path(host.name, name, Deadline(share_s), overall)
            except ConnectError as error:
                failures[name] = error.failure
                if error.failure.kind in _FINAL_KINDS:
                    break
            else:
                self._answered[host.name] = name
                return opened
        return _summed_up(failures)

    def _open_path(self, host: str, name: str, deadline: Deadline, overall: Deadline) -> Open:
        began = time.monotonic()
        target = self._target(name)
        sock, address, proxy = self._dial(host, target, deadline, self._route(target))
        opened = Attempt(host, target, deadline, overall, self._around).open(sock, address, proxy)
        opened.reached = Reached(name, address, 1000 * (time.monotonic() - began))
        return opened

    def _target(self, name: str) -> SSHTarget:
        try:
            return self._resolve(name)
        except DgummyError as error:
            raise ConnectError(Failure(FailureKind.CONFIG, error.message, error.remedy)) from error

    def _dial(
        self, host: str, target: SSHTarget, deadline: Deadline, hops: tuple[str, ...]
    ) -> tuple[Any, str, ProxyProcess | None]:
        """A byte stream to the target through `hops`, with its address."""
        if hops:
            jump = self._jump(host, hops, deadline)
            return _forward(jump, hops[-1], target, deadline), target.hostname, None
        command = _proxy_command(target)
        if command:
            proxy = ProxyProcess(command)
            return proxy.sock, target.hostname, proxy
        sock = open_tcp(target.hostname, target.port, deadline)
        return sock, str(sock.getpeername()[0]), None

    def _route(self, target: SSHTarget) -> tuple[str, ...]:
        """All jump hosts on the way, the nearest to us first: the target's, before them the first one's own."""
        hops = self._own_hops(target)
        while hops and (before := self._own_hops(self._hop_target(hops[0]))):
            hops = (*before, *hops)
            if len(hops) > _MAX_HOPS:
                detail = f"the jump hosts of {target.name} lead in a circle: {', '.join(hops[:3])}…"
                raise ConnectError(Failure(FailureKind.PROXY, detail, "correct ProxyJump in ssh_config"))
        return hops

    def _own_hops(self, target: SSHTarget) -> tuple[str, ...]:
        if not target.proxy_jump:
            return ()
        hops = tuple(hop.strip() for hop in target.proxy_jump.split(","))
        last = self._hop_target(hops[-1])
        # `Host *` with a ProxyJump makes the jump host its own jump host.
        itself = (last.hostname, last.port) == (target.hostname, target.port)
        return () if itself else hops

    def _hop_target(self, hop: str) -> SSHTarget:
        match = _HOP.fullmatch(hop)
        if match is None:
            detail = f"{hop!r} is no jump host"
            raise ConnectError(Failure(FailureKind.PROXY, detail, "correct ProxyJump in ssh_config"))
        target = self._target(match["host"].strip("[]"))
        user, port = match["user"] or target.user, int(match["port"] or target.port)
        return replace(target, user=user, port=port)

    def _jump(self, host: str, hops: tuple[str, ...], deadline: Deadline) -> Open:
        """The connection to the last of `hops`, through those before it."""

        def open_it() -> Open | Failure:
            try:
                target = self._hop_target(hops[-1])
                sock, address, proxy = self._dial(host, target, deadline, hops[:-1])
                return Attempt(host, target, deadline, deadline, self._around).open(sock, address, proxy)
            except ConnectError as error:
                return error.failure

        with self._lock:
            shared = self._jumps.setdefault(hops, Shared())
        jump = shared.get(lambda: self._unless_closed(open_it))
        if isinstance(jump, Failure):
            kind = jump.kind if jump.kind in _FINAL_KINDS else FailureKind.PROXY
            raise ConnectError(Failure(kind, f"jump host {hops[-1]}: {jump}", jump.remedy))
        return jump


def _proxy_command(target: SSHTarget) -> str | None:
    try:
        return expand_proxy_command(target)
    except DgummyError as error:
        raise ConnectError(Failure(FailureKind.CONFIG, error.message, error.remedy)) from error


def _forward(jump: Open, hop: str, target: SSHTarget, deadline: Deadline) -> paramiko.Channel:
    """A channel from a jump host to the target."""
    where = f"{target.hostname} port {target.port}"
    try:
        return jump.transport.open_channel(
            "direct-tcpip",
            (target.hostname, target.port),
            ("127.0.0.1", 0),
            timeout=deadline.remaining_s(),
        )
    except paramiko.ChannelException as error:
        detail = f"jump host {hop} cannot reach {where}: {printable(error.text)}"
        raise ConnectError(Failure(FailureKind.PROXY, detail, f"check that {hop} can reach it")) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        kind = FailureKind.TIMED_OUT if "Timeout" in str(error) else FailureKind.PROXY
        detail = f"no answer from {where} through jump host {hop}"
        raise ConnectError(Failure(kind, detail, "check that it is up and reachable from there")) from error


def _summed_up(failures: dict[str, Failure]) -> Failure:
    """One failure for all paths of a host: the last, with the others in its detail."""
    last = list(failures.values())[-1]
    if len(failures) == 1:
        return last
    if last.kind in _FINAL_KINDS:
        return last
    return Failure(last.kind, "; ".join(f"{name}: {failure}" for name, failure in failures.items()), last.remedy)
