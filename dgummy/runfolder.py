"""What a run left that is not in git, in a folder of ours: `runs/RUN-ID/HOST/` below the state folder.

Names come from a host. Nothing is ever written outside the folder, through a link, or over something that is there.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dgummy.errors import TryAgainError
from dgummy.syncplan import is_safe_name
from dgummy.textfiles import make_folder
from dgummy.work import Brought, Kind

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP)
_MAX_COPIES = 1000


class RunFolder:
    """One folder. It is made when something is put into it."""

    def __init__(self, state_dir: Path, run_id: str, part: str) -> None:
        self.path = state_dir / "runs" / run_id / part.replace("/", "_")

    def put(self, one: Brought) -> Path:
        """Put a file or a link there, under its own name; the path that it has now.

        Where that name holds the same already, it stays; where it holds something else, a number is added.
        TryAgainError if it cannot be written, ValueError for a name that leads out.
        """
        if not is_safe_name(one.path):
            raise ValueError(f"{one.path!r} leads out of the folder")
        *folders, name = one.path.split(b"/")
        try:
            make_folder(self.path)
            place, at = os.fsencode(self.path), os.open(self.path, _FOLDER)
            try:
                for wanted in folders:
                    folder, inner = _enter(at, wanted)
                    os.close(at)
                    place, at = place + b"/" + folder, inner
                return Path(os.fsdecode(place + b"/" + _write(at, name, one)))
            finally:
                os.close(at)
        except OSError as error:
            raise TryAgainError(
                f"{self.path} cannot be written: {error.strerror}",
                "make room there, or set state_dir to another folder",
            ) from error

    def files(self) -> list[Path]:
        """What is in there, without what is in folders below."""
        return sorted(path for path in self.path.iterdir() if path.is_file()) if self.path.is_dir() else []


def _names(name: bytes) -> Iterator[bytes]:
    """A name, then with numbers; one that the file system takes where it refuses bytes that are no UTF-8."""
    yield name
    plain = name.decode("utf-8", "replace").encode()[:200]
    stem, dot, suffix = plain.rpartition(b".")
    stem, suffix = (stem, dot + suffix) if stem else (plain, b"")
    yield from (stem + f".{number}".encode() + suffix for number in range(2, _MAX_COPIES))


def _enter(at: int, folder: bytes) -> tuple[bytes, int]:
    """Open a folder within one, made if need be; a name with a number where that is a file or a link."""
    for name in _names(folder):
        try:
            os.mkdir(name, 0o700, dir_fd=at)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno != errno.EILSEQ:
                raise
            continue
        try:
            return name, os.open(name, _FOLDER, dir_fd=at)
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _write(at: int, wanted: bytes, one: Brought) -> bytes:
    """Write it under the first name that is free, or holds the same; gives back that name."""
    for name in _names(wanted):
        try:
            _make(at, name, one)
        except FileExistsError:
            if not _is_same(at, name, one):
                continue
        except OSError as error:
            if error.errno != errno.EILSEQ:
                raise
            continue
        return name
    raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))


def _make(at: int, name: bytes, one: Brought) -> None:
    if one.kind is Kind.LINK:
        os.symlink(Path(one.content).read_bytes(), name, dir_fd=at)
        return
    mode = 0o700 if one.kind is Kind.PROGRAM else 0o600
    with open(os.open(name, _NEW, mode, dir_fd=at), "wb") as target, open(one.content, "rb") as source:
        try:
            shutil.copyfileobj(source, target, 1024 * 1024)
        except OSError:
            os.unlink(name, dir_fd=at)  # half of it would look like all of it
            raise


def _is_same(at: int, name: bytes, one: Brought) -> bool:
    found = os.stat(name, dir_fd=at, follow_symlinks=False)
    if one.kind is Kind.LINK:
        return stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=at) == Path(one.content).read_bytes()
    if not stat.S_ISREG(found.st_mode) or found.st_size != Path(one.content).stat().st_size:
        return False
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
    with open(descriptor, "rb") as there, open(one.content, "rb") as here:
        return all(mine == theirs for mine, theirs in zip(_blocks(here), _blocks(there), strict=True))


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(1024 * 1024):
        yield block
