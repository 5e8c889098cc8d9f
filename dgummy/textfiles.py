"""Text files that others read while we write them."""

from __future__ import annotations

import os
import tempfile
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
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(text.encode("utf-8", "replace"))
                file.flush()
                temporary.chmod(mode)
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", "look at its folder's owner and the disk"
        ) from error


def _why(path: Path) -> str:
    return "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
