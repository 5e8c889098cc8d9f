"""Known hosts as ssh reads them: parse the files, judge a key, write a line. Pure.

The format is sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". How a key is judged follows OpenSSH's hostfile.c: a key that
is listed is known; a listed key of the same type that differs makes it changed; keys of other types alone make it
neither. Certificate authorities cannot be used here, so their lines never match.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

DEFAULT_PORT = 22

_NO_NAME = frozenset("|*?!")
_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")


@dataclass(frozen=True, slots=True)
class Entry:
    """One usable line of a known_hosts file. `marker` is "", "revoked" or "cert-authority"."""

    line: int
    marker: str
    hosts: str
    key_type: str
    key_blob: bytes


@dataclass(frozen=True, slots=True)
class KnownHostsFile:
    """A known_hosts file: where it is and what of it could be read."""

    path: str
    entries: tuple[Entry, ...]
    _by_name: dict[str, list[Entry]] = field(init=False, repr=False, compare=False, default_factory=dict)
    _others: list[Entry] = field(init=False, repr=False, compare=False, default_factory=list)

    def __post_init__(self) -> None:
        for entry in self.entries:
            if _NO_NAME & set(entry.hosts):
                self._others.append(entry)
            else:
                for name in entry.hosts.lower().split(","):
                    self._by_name.setdefault(name, []).append(entry)

    def matching(self, names: Sequence[str]) -> list[Entry]:
        """The entries for one of these names, in order. Quick where thousands are listed, unless by pattern or hash."""
        found = {entry.line: entry for name in names for entry in self._by_name.get(name, ())}
        found |= {entry.line: entry for entry in self._others if _is_for(entry, names)}
        return [found[line] for line in sorted(found)]


@dataclass(frozen=True, slots=True)
class Known:
    """The key is listed for the host."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """No key of this type is listed. `other_types` are the types that are."""

    other_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changed:
    """Another key of the same type is listed."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Revoked:
    """The key is marked @revoked."""

    file: str
    line: int


Verdict: TypeAlias = Known | Unknown | Changed | Revoked


@dataclass(frozen=True, slots=True)
class HostKeyQuestion:
    """What a user is asked about a host that is not known. `fingerprint` is as ssh prints it (`SHA256:…`)."""

    host: str
    key_type: str
    fingerprint: str


def host_names(hostname: str, port: int, alias: str | None = None) -> tuple[str, ...]:
    """The names to look a host up by: the first decides; a key listed under any other is known all the same.

    `[host]:port` for a port other than 22, then the bare name, as ssh does. An alias (HostKeyAlias) stands alone.
    """
    if alias:
        return (alias.lower(),)
    name = hostname.lower()
    return (name,) if port == DEFAULT_PORT else (f"[{name}]:{port}", name)


def parse(path: str, content: bytes) -> KnownHostsFile:
    """Read a known_hosts file. Comments, and lines that make no sense, are passed over as ssh does."""
    entries = (_parse_line(number, line) for number, line in enumerate(content.split(b"\n"), 1))
    return KnownHostsFile(path, tuple(entry for entry in entries if entry is not None))


def _parse_line(number: int, raw: bytes) -> Entry | None:
    words = raw.decode("utf-8", "surrogateescape").split(None, 4)
    if not words or words[0].startswith("#"):
        return None
    marker = ""
    if words[0].startswith("@"):
        marker = words.pop(0)[1:]
        if marker not in ("revoked", "cert-authority"):
            return None
    if len(words) < 3:
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    if blob_type(blob) != words[1]:
        return None
    return Entry(number, marker, words[0], words[1], blob)


def blob_type(blob: bytes) -> str:
    """The key type that a public key blob (RFC 4253, 6.6) begins with, "" if it is not one."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii", "replace") if 0 < length <= len(blob) - 4 else ""


def matches(hosts: str, name: str) -> bool:
    """Whether the hosts field of a line covers `name`: hashed, or a comma list with wildcards and negation."""
    if hosts.startswith("|"):
        return _matches_hash(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        if pattern.startswith("!"):
            if _glob(pattern[1:]).fullmatch(name):
                return False
        elif _glob(pattern).fullmatch(name):
            found = True
    return found


def _matches_hash(hosts: str, name: str) -> bool:
    salt, expected = _hash_parts(hosts)
    return hmac.compare_digest(_hash(name, salt), expected)


@cache
def _hash_parts(hosts: str) -> tuple[bytes, bytes]:
    """Salt and hash of a hashed name, empty if it is none: no name has an empty hash."""
    parts = hosts.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return b"", b""
    try:
        return base64.b64decode(parts[2], validate=True), base64.b64decode(parts[3], validate=True)
    except (binascii.Error, ValueError):
        return b"", b""


def _hash(name: str, salt: bytes) -> bytes:
    return hmac.digest(salt, name.encode("utf-8", "surrogateescape"), hashlib.sha1)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    # Only * and ? are special to ssh; brackets are not.
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def verdict(files: Iterable[KnownHostsFile], names: Sequence[str], key_type: str, key_blob: bytes) -> Verdict:
    """Judge the key that a host showed. `names` as from `host_names`; `key_type` is the blob's own ("ssh-rsa")."""
    known: Known | None = None
    changed: Changed | None = None
    others: dict[str, None] = {}
    for file in files:
        for entry in file.matching(names):
            if entry.marker == "cert-authority":
                continue
            if entry.key_blob == key_blob:
                if entry.marker == "revoked":
                    return Revoked(file.path, entry.line)
                known = known or Known(file.path, entry.line)
            elif entry.marker or not _is_for(entry, names[:1]):
                continue
            elif entry.key_type == key_type:
                changed = changed or Changed(file.path, entry.line)
            else:
                others[entry.key_type] = None
    return known or changed or Unknown(tuple(others))


def _is_for(entry: Entry, names: Sequence[str]) -> bool:
    return any(matches(entry.hosts, name) for name in names)


def ordered_algorithms(
    files: Iterable[KnownHostsFile], names: Sequence[str], offered: Sequence[str]
) -> tuple[str, ...]:
    """`offered` signature algorithms with those first whose key type is listed for the host.

    Without this a host known by its RSA key alone would show its Ed25519 key and look unknown.
    """
    listed = {entry.key_type for file in files for entry in file.matching(names) if not entry.marker}
    algorithms = {
        algorithm for key_type in listed for algorithm in (_RSA_ALGORITHMS if key_type == "ssh-rsa" else (key_type,))
    }
    return tuple(sorted(offered, key=lambda algorithm: algorithm not in algorithms))


def fingerprint(key_blob: bytes) -> str:
    """The fingerprint as ssh prints it: `SHA256:` and unpadded base64."""
    digest = base64.b64encode(hashlib.sha256(key_blob).digest())
    return "SHA256:" + digest.decode().rstrip("=")


def format_line(name: str, key_type: str, key_blob: bytes, *, salt: bytes | None = None) -> bytes:
    """A line to append to a known_hosts file; hashed with the 20-byte `salt` if one is given."""
    hosts = name
    if salt is not None:
        hosts = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(_hash(name, salt)).decode()}"
    return f"{hosts} {key_type} {base64.b64encode(key_blob).decode()}\n".encode("utf-8", "surrogateescape")
