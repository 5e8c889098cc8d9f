"""Files that others read while we write them, folders for us alone, and what is no file although it has a name."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from errno import EINVAL
from pathlib import Path

from dgummy.errors import ConfigError, UsageError


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; whoever reads it sees the old text or the new one.

    The mode of a file that is there is kept, a new one gets what the umask gives. UsageError for a folder that is not
    there, ConfigError if it cannot be written.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path} cannot be a file: {_why(path)}", "name a file in a folder that exists")
    target = path.resolve()
    try:
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        replace_bytes(target, text.encode("utf-8", "replace"), mode=mode)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", "look at its folder's owner and the disk"
        ) from error


def replace_bytes(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file whole or not at all, with this mode. OSError if it cannot be; then the old one is as it was."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        try:
            os.fchmod(descriptor, mode)  # whatever the umask is
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def make_folder(folder: Path) -> None:
    """Make a folder for us alone, unless it is there, and so what is missing above it. OSError if it cannot be."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def read_ordinary(path: Path, most: int = -1) -> bytes:
    """Read an ordinary file, up to so many bytes. OSError for any other: a named pipe would keep us waiting."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "not an ordinary file", str(path))
    with open(descriptor, "rb") as file:
        return file.read(most)


def _why(path: Path) -> str:
    return "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
