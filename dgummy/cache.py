"""Short-lived figures on disk: load reports and host status, shared by every dgummy of one user.

The documented place is a world-writable folder, so a file there is believed only if it is a regular file,
ours, not writable by others, with no second name, not too large and of our schema. It is opened without
following links and without blocking, and replaced atomically. Where the place is taken by another user's file
or by a link, a private file of the same name below `private_dir` does its job. Nothing here prints: what the
user should know comes back as notices. A cache that cannot be read or written is never an error.

One file holds up to eight entries, each under the key of the hosts and settings that it was made for. Two
processes that write at the same moment may lose one of their entries (it is measured again), never the file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from errno import ELOOP, EMLINK
from pathlib import Path
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec.structs import replace

from dgummy.model import HostReport, HostStatus
from dgummy.textfiles import make_folder, replace_bytes

SCHEMA_VERSION = 1
MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_KEYS = 8
FUTURE_TOLERANCE_S = 2.0
"""How far ahead of our clock an entry may be dated and still be believed."""

_T = TypeVar("_T")
_R = TypeVar("_R", bound="HostReport | HostStatus")


class Cached(msgspec.Struct, Generic[_T], frozen=True):
    """A believed entry: its decoded value, when it was written and how long ago, and the file that had it."""

    value: _T
    created_at: datetime
    age_s: float
    path: Path


class Lookup(msgspec.Struct, Generic[_T], frozen=True):
    """What `read` found: an entry or None, and one line for each thing the user should be warned of."""

    cached: Cached[_T] | None
    notices: tuple[str, ...] = ()


class _Entry(msgspec.Struct, frozen=True):
    key: str
    created_at: Annotated[datetime, msgspec.Meta(tz=True)]
    payload: msgspec.Raw


class _File(msgspec.Struct, frozen=True):
    schema_version: int
    entries: list[_Entry]


class _Rejected(Exception):  # noqa: N818 - never leaves this module
    """A file that is not believed. `in_the_way` means that we may not replace it either."""

    def __init__(self, reason: str, *, in_the_way: bool = False) -> None:
        super().__init__(reason)
        self.in_the_way = in_the_way


def make_key(parts: Iterable[str]) -> str:
    """Name the hosts and settings that an entry is made for, in 32 hex digits. Order and every part count."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%s," % (len(raw), raw))
    return digest.hexdigest()


def read(
    path: Path, *, private_dir: Path, key: str, ttl_s: float, now: datetime, decode: Callable[[bytes], _T]
) -> Lookup[_T]:
    """Look for the entry of `key` that is at most `ttl_s` seconds old, at `path` and in its private stand-in.

    `decode` turns the stored JSON into a value and raises ValueError for what it does not understand. The
    newer entry wins. Never raises for what a file holds.
    """
    best: Cached[_T] | None = None
    notices: list[str] = []
    for candidate in dict.fromkeys((path, private_dir / path.name)):
        try:
            cached = _find(candidate, key, ttl_s, now, decode)
        except _Rejected as rejected:
            notices.append(_notice(candidate, rejected, private_dir / path.name))
            continue
        if cached is not None and (best is None or cached.created_at > best.created_at):
            best = cached
    return Lookup(best, tuple(notices))


def write(path: Path, *, private_dir: Path, key: str, payload: bytes, now: datetime) -> tuple[str, ...]:
    """Store `payload` (one JSON document) under `key`, at `path` or, where that cannot be, in `private_dir`.

    Entries of other keys stay, up to eight altogether, newest first to stay. Returns notices; none means that
    all went well.
    """
    entry = _Entry(key, now.astimezone(timezone.utc), msgspec.Raw(payload))
    private = private_dir / path.name
    try:
        _check_replaceable(path)
        _store(path, entry, now)
    except (_Rejected, OSError) as error:
        notice = _notice(path, error, private)
    else:
        return ()
    try:
        _make_private(private_dir)
        _store(private, entry, now)
    except (_Rejected, OSError) as error:
        return (notice, f"nothing was cached: {private}: {_reason(error)}")
    return (notice,)


def encode_reports(reports: Iterable[HostReport]) -> bytes:
    """Load reports as a JSON list, times in UTC. A report that would not come back as it was is left out."""
    return _encode(reports, HostReport)


def decode_reports(payload: bytes) -> tuple[HostReport, ...]:
    """Load reports from JSON; ValueError if it is anything else."""
    return _aware(msgspec.json.decode(payload, type=tuple[HostReport, ...]))


def encode_statuses(statuses: Iterable[HostStatus]) -> bytes:
    """Host states as a JSON list, times in UTC. One that would not come back as it was is left out."""
    return _encode(statuses, HostStatus)


def decode_statuses(payload: bytes) -> tuple[HostStatus, ...]:
    """Host states from JSON; ValueError if it is anything else."""
    return _aware(msgspec.json.decode(payload, type=tuple[HostStatus, ...]))


def merge(old: Iterable[_R], new: Iterable[_R], *, ttl_s: float, now: datetime) -> tuple[_R, ...]:
    """Keep the newest record of each host, without those older than `ttl_s` seconds or dated in the future.

    Hosts keep the order in which they first appear. Pure. `merge(records, (), …)` keeps what is fresh.
    """
    newest: dict[str, _R] = {}
    for record in (*old, *new):
        age_s = (now - record.measured_at).total_seconds()
        if not -FUTURE_TOLERANCE_S <= age_s <= ttl_s:
            continue
        known = newest.get(record.host)
        if known is None or record.measured_at >= known.measured_at:
            newest[record.host] = record
    return tuple(newest.values())


def _encode(records: Iterable[_R], kind: type[_R]) -> bytes:
    documents: list[bytes] = []
    for record in records:
        # A host can name things in bytes that are no UTF-8, or report a NaN. It is then probed again.
        with suppress(ValueError):
            in_utc = replace(record, measured_at=record.measured_at.astimezone(timezone.utc))
            document = msgspec.json.encode(in_utc)
            if msgspec.json.decode(document, type=kind) == record:
                documents.append(document)
    return b"[" + b",".join(documents) + b"]"


def _aware(records: tuple[_R, ...]) -> tuple[_R, ...]:
    if any(record.measured_at.tzinfo is None for record in records):
        raise ValueError("a time without a time zone")
    return records


def _notice(path: Path, error: Exception, private: Path) -> str:
    if path == private or (isinstance(error, _Rejected) and not error.in_the_way):
        return f"ignored the cache {path}: {error}; it will be replaced"
    return f"ignored the cache {path}: {_reason(error)}; using {private} instead"


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _find(path: Path, key: str, ttl_s: float, now: datetime, decode: Callable[[bytes], _T]) -> Cached[_T] | None:
    entry = next((entry for entry in _entries(path) if entry.key == key), None)
    if entry is None:
        return None
    age_s = (now - entry.created_at).total_seconds()
    if age_s < -FUTURE_TOLERANCE_S:
        raise _Rejected(f"dated {-age_s:.0f} s in the future")
    if age_s > ttl_s:
        return None
    try:
        value = decode(bytes(entry.payload))
    except ValueError as error:
        raise _Rejected("does not hold what it should") from error
    return Cached(value, entry.created_at, max(0.0, age_s), path)


def _entries(path: Path) -> list[_Entry]:
    """Read what a believed file holds; nothing if there is no file. _Rejected if it is not believed."""
    try:
        content = _read_checked(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno in (ELOOP, EMLINK):
            raise _Rejected("a symbolic link", in_the_way=True) from error
        raise _Rejected(f"cannot be read: {_reason(error)}", in_the_way=True) from error
    try:
        document = msgspec.json.decode(content, type=_File)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Rejected("damaged") from error
    if document.schema_version != SCHEMA_VERSION:
        raise _Rejected("written by another version of dgummy")
    return document.entries


def _read_checked(path: Path) -> bytes:
    # O_NONBLOCK: a fifo planted here must not hang us.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags)
    try:
        info = os.fstat(descriptor)
        _check_place(info)
        if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise _Rejected("others may write to it")
        content = bytearray()
        while len(content) <= MAX_FILE_BYTES and (chunk := os.read(descriptor, MAX_FILE_BYTES + 1 - len(content))):
            content += chunk
    finally:
        os.close(descriptor)
    if len(content) > MAX_FILE_BYTES:
        raise _Rejected("too large")
    return bytes(content)


def _check_place(info: os.stat_result) -> None:
    """_Rejected unless it is a plain file of ours that we may replace."""
    if stat.S_ISLNK(info.st_mode):
        raise _Rejected("a symbolic link", in_the_way=True)
    if not stat.S_ISREG(info.st_mode):
        raise _Rejected("not a regular file", in_the_way=True)
    if info.st_uid != os.geteuid():
        raise _Rejected("belongs to another user", in_the_way=True)
    # No name at all is well: another process replaced the file while we had it open.
    if info.st_nlink > 1:
        raise _Rejected("has a second name (hard link)", in_the_way=True)


def _check_replaceable(path: Path) -> None:
    with suppress(FileNotFoundError):
        _check_place(path.lstat())


def _make_private(folder: Path) -> None:
    make_folder(folder)
    info = folder.stat()
    if info.st_uid != os.geteuid():
        raise _Rejected("its folder belongs to another user", in_the_way=True)
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise _Rejected("others may write to its folder", in_the_way=True)


def _store(path: Path, entry: _Entry, now: datetime) -> None:
    try:
        others = [other for other in _entries(path) if other.key != entry.key]
    except _Rejected:
        others = []
    latest = now + timedelta(seconds=FUTURE_TOLERANCE_S)
    others = sorted((other for other in others if other.created_at <= latest), key=lambda other: other.created_at)
    entries = [*others[-(MAX_KEYS - 1) :], entry]
    content = msgspec.json.encode(_File(SCHEMA_VERSION, entries))
    while len(content) > MAX_FILE_BYTES:
        del entries[0]
        if not entries:
            raise _Rejected("more than fits into a cache", in_the_way=True)
        content = msgspec.json.encode(_File(SCHEMA_VERSION, entries))
    make_folder(path.parent)
    replace_bytes(path, content, mode=0o600)
