"""Caches of our own that cannot be read, and folders of our own that others may write to: looked at, and mended.

Only names that we write, in folders that we make, are ours; what a setting names is the user's. On the way from a
folder that is taken as it is (`below`) to the thing itself no link is followed, and all of it has to belong to us.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

IN_STATE = ("d-load-cache.json", "d-status-cache.json", "d.json", "doctor.json", "ssh.json")
"""The names of caches in the state folder's `cache`."""
IN_MEMO = ("d-groups.json", "settings.json")
"""The names of caches in the folder of `dgummy.memo`."""

_MAX_BYTES = 16_000_000  # as `transport.sshconfig_files` has it; those of `dgummy.cache` are smaller
_ENVELOPE = b'{"schema_version":'
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_TO_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Condition:
    """How a cache is: `trouble` is "" for one that is well. `foreign`: it is not ours; `expendable`: it surely is."""

    trouble: str = ""
    foreign: bool = False
    expendable: bool = False


class _NotOurs(Exception):  # noqa: N818 - never leaves this module
    """Something on the way is not ours, or a link."""


def look(path: Path) -> Condition | None:
    """How a cache is, None if there is none that can be seen. Links in its place are not followed."""
    try:
        descriptor = os.open(path, _FILE)
    except OSError as error:
        return _unopened(path, error)
    try:
        return _condition(descriptor)
    finally:
        os.close(descriptor)


def _unopened(path: Path, error: OSError) -> Condition | None:
    """How a cache is that cannot be opened. In a folder that is closed to us none can be seen."""
    try:
        info = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return Condition("it is no ordinary file", foreign=True)
    return Condition(f"it cannot be read: {error.strerror}", foreign=info.st_uid != os.geteuid())


def is_ours(path: Path, below: Path) -> bool:
    """Whether a folder is there, and it and all on the way to it from `below` are ours and no links."""
    try:
        with _folder(path, below):
            return True
    except (OSError, _NotOurs):
        return False


def remove(path: Path, below: Path) -> str:
    """Remove a cache of ours that cannot be read. Gives why that was not done, "" if it was."""
    if path.name not in {*IN_STATE, *IN_MEMO}:
        return "it is no cache of ours"
    try:
        with _folder(path.parent, below) as folder:
            descriptor = os.open(path.name, _FILE, dir_fd=folder)
            try:
                if not _condition(descriptor).expendable:
                    return "it is not what it was"
                there = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
                if not os.path.samestat(there, os.fstat(descriptor)):
                    return "it is not what it was"
                os.unlink(path.name, dir_fd=folder)
            finally:
                os.close(descriptor)
    except _NotOurs as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def make_private(path: Path, below: Path) -> str:
    """Take from others the right to write to a folder of ours; the rest of its mode stays. Gives why not, or ""."""
    try:
        with _folder(path, below) as folder:
            os.fchmod(folder, stat.S_IMODE(os.fstat(folder).st_mode) & ~_OPEN_TO_OTHERS)
    except _NotOurs as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return ""


@contextmanager
def _folder(path: Path, below: Path) -> Iterator[int]:
    """Open a folder, step by step from `below`. _NotOurs for a link, or what belongs to somebody else."""
    steps = path.relative_to(below).parts if path.is_relative_to(below) else ()
    if not steps or ".." in steps:
        raise _NotOurs("it is no folder that dgummy makes")
    folder = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in steps:
            above, folder = folder, _step(folder, step)
            os.close(above)
        yield folder
    finally:
        os.close(folder)


def _step(folder: int, name: str) -> int:
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        raise _NotOurs(f"{name} is a link")
    if info.st_uid != os.geteuid():
        raise _NotOurs(f"{name} belongs to another user")
    below = os.open(name, _FOLDER, dir_fd=folder)
    if not os.path.samestat(info, os.fstat(below)):
        os.close(below)
        raise _NotOurs("it is not what it was")
    return below


def _condition(descriptor: int) -> Condition:
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        return Condition("it is no ordinary file", foreign=True)
    if info.st_uid != os.geteuid():
        return Condition("it belongs to another user", foreign=True)
    if info.st_nlink > 1:
        return Condition("it has a second name (a hard link)", foreign=True)
    if info.st_size > _MAX_BYTES:
        return Condition("it is larger than a cache ever is", foreign=True)
    content = os.pread(descriptor, _MAX_BYTES, 0)
    # Cut off in the middle of the envelope, even before its first byte.
    expendable = content.startswith(_ENVELOPE) or _ENVELOPE.startswith(content)
    if info.st_mode & _OPEN_TO_OTHERS:
        return Condition("others may write to it", expendable=expendable)
    return Condition() if _is_json(content) else Condition("it is no JSON", expendable=expendable)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
