"""Apply the user's rules on host keys: read known_hosts, refuse, ask or add. The judging is `hostkeys`, pure."""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy.model import Failure, FailureKind
from dgummy.textfiles import read_ordinary
from dgummy.transport import hostkeys
from dgummy.transport.hostkeys import Changed, HostKeyQuestion, Known, KnownHostsFile, Revoked, Unknown

if TYPE_CHECKING:
    from dgummy.transport.sshconfig import SSHTarget

_SALT_BYTES = 20
_Stamp = tuple[int, int, int]


class HostKeyRefusedError(Exception):
    """A host key was refused; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class KnownHosts:
    """Checks host keys as ssh would, for several threads. `ask` is called for one host at a time, never in batch mode.

    Stricter than ssh in two ways: a changed key refuses even with StrictHostKeyChecking=no, and `accept-new` does not
    take a new type of key from a host that is known by others (we ask the host for the known types first, so one that
    does not show them is suspicious).
    """

    def __init__(self, ask: Callable[[HostKeyQuestion], bool] | None, ssh_flags: str = "") -> None:
        self._ask = ask
        self._ssh = f"ssh{ssh_flags}"
        self._asking = threading.Lock()
        self._writing = threading.Lock()
        self._read: dict[str, tuple[_Stamp, KnownHostsFile]] = {}

    def ordered_algorithms(self, target: SSHTarget, offered: Sequence[str]) -> tuple[str, ...]:
        """`offered`, the types known for the host first."""
        return hostkeys.ordered_algorithms(self._files(target), _names(target), offered)

    def check(self, target: SSHTarget, key_type: str, key_blob: bytes) -> None:
        """Return if the key may be trusted, after adding it if the rules say so. HostKeyRefusedError otherwise."""
        if self._judge(target, key_type, key_blob):
            return
        if target.strict in ("no", "off", "accept-new"):
            self._add(target, key_type, key_blob)
        elif target.strict == "ask" and self._ask is not None and not target.batch_mode:
            self._put_question(target, key_type, key_blob)
        else:
            raise HostKeyRefusedError(self._unknown(target, key_type, key_blob))

    def _judge(self, target: SSHTarget, key_type: str, key_blob: bytes) -> bool:
        """True for a known key, False for an unknown one, HostKeyRefusedError for what no rule allows."""
        found = hostkeys.verdict(self._files(target), _names(target), key_type, key_blob)
        if isinstance(found, (Changed, Revoked)):
            raise HostKeyRefusedError(_refused(target, found, key_type, key_blob))
        if isinstance(found, Unknown) and found.other_types and target.strict == "accept-new":
            raise HostKeyRefusedError(self._other_type(target, found, key_type, key_blob))
        return isinstance(found, Known)

    def _put_question(self, target: SSHTarget, key_type: str, key_blob: bytes) -> None:
        assert self._ask is not None  # noqa: S101 - asked for by the caller
        question = HostKeyQuestion(_names(target)[0], key_type, hostkeys.fingerprint(key_blob))
        with self._asking:
            # Another connection to the same host may have been answered while we waited.
            if self._judge(target, key_type, key_blob):
                return
            if not self._ask(question):
                raise HostKeyRefusedError(self._unknown(target, key_type, key_blob))
            self._add(target, key_type, key_blob)

    def _files(self, target: SSHTarget) -> list[KnownHostsFile]:
        return [self._file(path) for path in (*target.user_known_hosts, *target.global_known_hosts)]

    def _file(self, path: str) -> KnownHostsFile:
        try:
            status = Path(path).stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            cached = self._read.get(path)
            if cached is None or cached[0] != stamp:
                cached = self._read[path] = (stamp, hostkeys.parse(path, read_ordinary(Path(path))))
        except OSError:
            return KnownHostsFile(path, ())
        return cached[1]

    def _add(self, target: SSHTarget, key_type: str, key_blob: bytes) -> None:
        """Append to the user's first file. As with ssh, one that cannot be written does not stop the connection."""
        if not target.user_known_hosts:
            return
        path = Path(target.user_known_hosts[0])
        salt = os.urandom(_SALT_BYTES) if target.hash_known_hosts else None
        line = hostkeys.format_line(_names(target)[0], key_type, key_blob, salt=salt)
        with self._writing, contextlib.suppress(OSError):
            if isinstance(hostkeys.verdict(self._files(target), _names(target), key_type, key_blob), Known):
                return
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with open(fd, "r+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                cut_line = end > 0 and os.pread(fd, 1, end - 1) != b"\n"
                file.write(b"\n" + line if cut_line else line)

    def _unknown(self, target: SSHTarget, key_type: str, key_blob: bytes) -> Failure:
        detail = f"not known: {_shown(target, key_type, key_blob)}"
        return Failure(FailureKind.HOST_KEY, detail, self._by_hand(target))

    def _other_type(self, target: SSHTarget, found: Unknown, key_type: str, key_blob: bytes) -> Failure:
        shown = _shown(target, key_type, key_blob)
        detail = f"{shown}, but is known by {', '.join(found.other_types)} only"
        return Failure(FailureKind.HOST_KEY, detail, self._by_hand(target))

    def _by_hand(self, target: SSHTarget) -> str:
        return f"compare the fingerprint, then connect once by hand: {self._ssh} {shlex.quote(target.name)}"


def _names(target: SSHTarget) -> tuple[str, ...]:
    return hostkeys.host_names(target.hostname, target.port, target.host_key_alias)


def _shown(target: SSHTarget, key_type: str, key_blob: bytes) -> str:
    return f"{_names(target)[0]} showed {key_type} {hostkeys.fingerprint(key_blob)}"


def _refused(target: SSHTarget, found: Changed | Revoked, key_type: str, key_blob: bytes) -> Failure:
    where = f"{found.file}:{found.line}"
    shown = _shown(target, key_type, key_blob)
    if isinstance(found, Revoked):
        detail = f"revoked at {where}: {shown}"
        return Failure(FailureKind.HOST_KEY, detail, "do not trust this host; ask whoever revoked its key")
    name = shlex.quote(_names(target)[0])
    return Failure(
        FailureKind.HOST_KEY,
        f"changed from {where}: {shown}",
        f"if the new fingerprint is right: ssh-keygen -R {name} -f {shlex.quote(found.file)}",
    )
