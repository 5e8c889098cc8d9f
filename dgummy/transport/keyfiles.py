"""What can be told of ssh's key files without unlocking them: public halves, locks, certificates.

Formats: OpenSSH's PROTOCOL.key and PROTOCOL.certkeys, RFC 4716's PEM frame. Reads files, nothing else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dgummy.textfiles import read_ordinary

MAX_KEY_FILE_BYTES = 1_000_000
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_CERT_SUFFIX = "-cert-v01@openssh.com"


@dataclass(frozen=True, slots=True)
class KeyFile:
    """An identity file. `public_blob` is the public key in wire format, None where only unlocking would tell."""

    path: str
    public_blob: bytes | None
    encrypted: bool = False
    public_only: bool = False


@dataclass(frozen=True, slots=True)
class Certificate:
    """An OpenSSH certificate as it goes over the wire."""

    path: str
    key_type: str
    blob: bytes

    def certifies(self, public_blob: bytes) -> bool:
        """Whether it was made for this public key."""
        # certificate: type, nonce, then the key's own fields; key: type, fields
        _, rest = take_string(self.blob)
        _, rest = take_string(rest)
        key_type, fields = take_string(public_blob)
        return self.key_type == key_type.decode("ascii", "replace") + _CERT_SUFFIX and rest.startswith(fields)


def read_key_file(path: str) -> KeyFile | None:
    """Look at an identity file; None if it is not there or not readable."""
    content = _read(path)
    public = _public_line(_read(f"{path}.pub") or b"")
    if content is None:
        return KeyFile(path, public[1], public_only=True) if public else None
    own = _public_line(content)
    if own is not None:
        return KeyFile(path, own[1], public_only=True)
    openssh = _openssh_header(content)
    if openssh is not None:
        cipher, blob = openssh
        return KeyFile(path, blob, encrypted=cipher != b"none")
    return KeyFile(path, public[1] if public else None, encrypted=b"ENCRYPTED" in content)


def certificates(paths: Iterable[str]) -> list[Certificate]:
    """The certificates among these files; files that are missing or hold none are passed over."""
    found = []
    for path in paths:
        line = _public_line(_read(path) or b"")
        if line is not None and line[0].endswith(_CERT_SUFFIX):
            found.append(Certificate(path, *line))
    return found


def take_string(data: bytes) -> tuple[bytes, bytes]:
    """Split off an SSH string (RFC 4251, 5): its bytes, and the rest."""
    end = 4 + int.from_bytes(data[:4], "big")
    return data[4:end], data[end:]


def _read(path: str) -> bytes | None:
    try:
        return read_ordinary(Path(path).expanduser(), MAX_KEY_FILE_BYTES)
    except (OSError, ValueError):
        return None


def _public_line(content: bytes) -> tuple[str, bytes] | None:
    words = content.split(None, 2)
    if len(words) < 2:
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    key_type, _ = take_string(blob)
    return (words[0].decode("ascii", "replace"), blob) if key_type == words[0] else None


def _openssh_header(content: bytes) -> tuple[bytes, bytes] | None:
    """Cipher and public key of a private key file in OpenSSH's own format."""
    _, begin, rest = content.partition(b"-----BEGIN OPENSSH PRIVATE KEY-----")
    if not begin:
        return None
    try:
        data = base64.b64decode(b"".join(rest.partition(b"-----END")[0].split()))
    except (binascii.Error, ValueError):
        return None
    if not data.startswith(_OPENSSH_MAGIC):
        return None
    cipher, data = take_string(data[len(_OPENSSH_MAGIC) :])
    _, data = take_string(data)  # the name of the key derivation
    _, data = take_string(data)  # and its options
    blob, _ = take_string(data[4:])  # after the number of keys
    return cipher, blob
