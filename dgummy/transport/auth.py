"""Log in to an ssh server without ever asking: `none`, agent keys, identity files, certificates.

`none` comes first: it tells what the server accepts, and Tailscale SSH lets one in by it. The order of keys is ssh's:
keys of the agent that are configured, other keys of the agent, identity files; each with its certificates first.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import shlex
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from paramiko import AuthenticationException, BadAuthenticationType, PKey, SSHException, Transport
from paramiko.agent import AgentKey, AgentSSH
from paramiko.auth_handler import AuthHandler
from paramiko.auth_strategy import AuthSource, AuthStrategy
from paramiko.message import Message
from paramiko.pkey import PublicBlob, UnknownKeyType

from dgummy.model import Failure, FailureKind
from dgummy.transport.keyfiles import Certificate, KeyFile, certificates, read_key_file
from dgummy.transport.plaintext import printable
from dgummy.transport.sshconfig import SSHTarget, agent_socket

AGENT_TIMEOUT_S = 10.0
"""A key that wants to be touched or confirmed gets so long."""

_URL = re.compile(r"https?://[^\s'\"<>]+")
_LOAD_ERRORS = (SSHException, UnknownKeyType, OSError, ValueError, TypeError, NotImplementedError)
_MAX_BANNER_CHARS = 4000


@dataclass(slots=True)
class AuthReport:
    """What happened so far, for the message if nothing helps."""

    tried: list[str] = field(default_factory=list)
    accepts: tuple[str, ...] = ()
    encrypted: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    second_factor: bool = False
    cut_off: bool = False
    url: str = ""

    def failure(self, target: SSHTarget, ssh_flags: str = "") -> Failure:
        """The failure this amounts to."""
        said = [f"{target.user}@{target.hostname} refused {', '.join(self.tried) or 'to let us in'}"]
        if self.second_factor:
            said.append(f"a key was right, but the server also wants {', '.join(self.accepts)}")
        elif self.accepts:
            said.append(f"the server accepts {', '.join(self.accepts)}")
        if self.encrypted:
            said.append(f"locked by a passphrase: {', '.join(self.encrypted)}")
        if self.unreadable:
            said.append(f"not usable: {', '.join(self.unreadable)}")
        if self.cut_off:
            said.append("the server ended the conversation (too many keys? set IdentitiesOnly)")
        return Failure(FailureKind.AUTHENTICATION, "; ".join(said), self._remedy(target, ssh_flags))

    def _remedy(self, target: SSHTarget, ssh_flags: str) -> str:
        if self.url:
            return f"visit {self.url} and try again"
        if self.encrypted:
            return f"ssh-add {self.encrypted[0]}"
        if self.second_factor:
            return "dgummy never asks: let a key alone suffice for this user, or use an agent key that is exempt"
        # By the name that ssh's files know: they have its port, and what it goes through.
        return f"put your key there: ssh-copy-id{ssh_flags} {shlex.quote(target.name)}"


class Login(AuthStrategy):
    """One login to one server. `on_banner` is called, from paramiko's thread, with every banner as it comes."""

    def __init__(self, target: SSHTarget, on_banner: Callable[[str, str], None]) -> None:
        super().__init__(ssh_config=None)  # type: ignore[arg-type] # never read: `ssh -G` has told
        self.target = target
        self.report = AuthReport()
        self._on_banner = on_banner

    def get_sources(self) -> Iterator[AuthSource]:
        """None of paramiko's: `authenticate` goes its own way, to learn why each key was refused."""
        return iter(())

    def authenticate(self, transport: Transport) -> None:  # type: ignore[override]
        """Try everything in turn. AuthenticationException if nothing helps; `report` then says why."""
        session = AuthSession(transport, self._banner)
        if self._none(session) or ("publickey" in self._methods() and self._keys(session)):
            return
        raise AuthenticationException("nothing helped")

    def _methods(self) -> tuple[str, ...]:
        allowed = self.report.accepts or ("publickey",)
        preferred = self.target.preferred_authentications
        return tuple(method for method in allowed if not preferred or method in preferred)

    def _none(self, session: AuthSession) -> bool:
        try:
            remaining = session.none(self.target.user)
        except BadAuthenticationType as error:
            self.report.accepts = tuple(error.allowed_types)
            return False
        except AuthenticationException:
            self._give_up_if_dead(session)
            return False
        self.report.accepts = tuple(remaining)
        return not remaining

    def _keys(self, session: AuthSession) -> bool:
        with contextlib.closing(SocketAgent(agent_socket(self.target, os.environ))) as agent:
            for label, key in self._offers(agent):
                self.report.tried.append(label)
                try:
                    remaining = session.publickey(self.target.user, key)
                except BadAuthenticationType as error:
                    self.report.accepts = tuple(error.allowed_types)
                    return False
                except (SSHException, OSError, EOFError):
                    # Refused, or the agent would not sign. Go on, unless the server has hung up.
                    self._give_up_if_dead(session)
                    continue
                if not remaining:
                    return True
                self.report.accepts = tuple(remaining)
                self.report.second_factor = "publickey" not in remaining
                if self.report.second_factor:
                    return False
        return False

    def _give_up_if_dead(self, session: AuthSession) -> None:
        if not session.transport.is_active():
            self.report.cut_off = True
            raise AuthenticationException("the server closed the connection")

    def _banner(self, text: str) -> None:
        shown = "\n".join(filter(None, (printable(line) for line in text[:_MAX_BANNER_CHARS].splitlines())))
        match = _URL.search(shown)
        url = match.group() if match else ""
        self.report.url = self.report.url or url
        self._on_banner(shown, url)

    def _offers(self, agent: SocketAgent) -> Iterator[tuple[str, PKey]]:
        """The keys to offer, in order, each loaded only when its turn comes."""
        files = [file for path in self.target.identity_files if (file := read_key_file(path)) is not None]
        certs = certificates(self.target.certificate_files)
        held = {key.blob: key for key in agent.get_keys()}
        wanted = [file.public_blob for file in files if file.public_blob]
        ordered = [blob for known in wanted for blob in held if blob == known or _certifies(held[blob], known)]
        if not self.target.identities_only:
            ordered += held
        for blob in dict.fromkeys(ordered):
            yield from _with_certificates(_agent_label(held[blob]), held[blob], blob, certs)
        for file in files:
            if file.public_blob not in held:
                yield from self._from_file(file, certs)

    def _from_file(self, file: KeyFile, certs: list[Certificate]) -> Iterator[tuple[str, PKey]]:
        if file.public_only:
            return
        if file.encrypted:
            self.report.encrypted.append(file.path)
            return
        try:
            key = _load(file.path)
        except _LOAD_ERRORS as error:
            self.report.unreadable.append(f"{file.path} ({printable(str(error)) or type(error).__name__})")
            return
        own = certificates([f"{file.path}-cert.pub"])
        yield from _with_certificates(file.path, key, key.asbytes(), own + certs)


def _load(path: str) -> PKey:
    """The key in a file, a copy to itself: logins in other threads give theirs other certificates."""
    status = Path(path).stat()
    return copy.copy(_load_once(path, (status.st_mtime_ns, status.st_size, status.st_ino)))


@lru_cache(maxsize=32)
def _load_once(path: str, stamp: tuple[int, ...]) -> PKey:  # noqa: ARG001 - a changed file is another one
    return PKey.from_path(path)


def _with_certificates(label: str, key: PKey, blob: bytes, certs: list[Certificate]) -> Iterator[tuple[str, PKey]]:
    for cert in certs:
        if cert.certifies(blob):
            key.public_blob = PublicBlob(cert.key_type, cert.blob)
            yield f"certificate {cert.path}", key
    # A certificate that the agent holds by itself goes out under its own type.
    name = key.get_name()
    key.public_blob = PublicBlob(name, blob) if "-cert-v" in name else None
    yield label, key


def _certifies(key: AgentKey, public_blob: bytes) -> bool:
    return Certificate("", key.get_name(), key.blob).certifies(public_blob)


def _agent_label(key: AgentKey) -> str:
    return f"agent key {printable(key.comment) or key.get_name()}"


class AuthSession(AuthHandler):
    """Paramiko's login dialogue, kept over several tries, with banners passed on as they come.

    Paramiko starts a new one, with a new service request, for every try. Servers written in Go (Tailscale SSH among
    them) hang up at the second request. Signing also moves from paramiko's reader thread to ours, so that an agent
    which refuses one key does not end the connection.
    """

    def __init__(self, transport: Transport, on_banner: Callable[[str], None]) -> None:
        super().__init__(transport)
        self._on_banner = on_banner
        self._accepted = False
        transport.auth_handler = self

    def none(self, user: str) -> list[str]:
        """Try `none`; what the server still wants, empty when it has let us in."""
        return self._try(lambda event: self.auth_none(user, event))

    def publickey(self, user: str, key: PKey) -> list[str]:
        """Try a key; what the server still wants, empty when it has let us in."""
        return self._try(lambda event: self.auth_publickey(user, key, event))

    def _try(self, send: Callable[[Any], None]) -> list[str]:
        event = threading.Event()
        send(event)
        return list(self.wait_for_response(event))

    def _request_auth(self) -> None:
        if not self._accepted:
            super()._request_auth()  # type: ignore[misc]
            return
        answer = Message()
        answer.add_string("ssh-userauth")
        answer.rewind()
        self._parse_service_accept(answer)

    def _parse_service_accept(self, m: Message) -> None:
        self._accepted = True
        super()._parse_service_accept(m)  # type: ignore[misc]

    def _parse_userauth_banner(self, m: Message) -> None:
        self._on_banner(m.get_string().decode("utf-8", "replace"))


class SocketAgent(AgentSSH):
    """The keys of the agent at a socket; none if there is no agent, or it does not answer."""

    def __init__(self, path: str | None) -> None:
        super().__init__()
        if path is None:
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(AGENT_TIMEOUT_S)
        try:
            connection.connect(path)
            self._connect(connection)  # type: ignore[attr-defined]
        except (OSError, SSHException, ValueError):
            connection.close()
            self._conn = None

    def close(self) -> None:
        """Hang up."""
        self._close()  # type: ignore[attr-defined]
