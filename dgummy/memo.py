"""What reading settings led to, kept on disk for the next command, which then needs neither YAML nor checks.

A result is found again only by everything that it was made from: the contents of its files, every value that went in,
and the code that made it. Only good results are kept, so a mistake is read, and reported, anew each time. The files are
in a private folder and believed as `dgummy.cache` believes them. Nothing here is an error or said to anybody: what
cannot be kept or found is made again.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from dgummy import __version__, cache

MADE_BY = (
    "costs.py",
    "errors.py",
    "hostset.py",
    "inventory.py",
    "layers.py",
    "model.py",
    "requirement.py",
    "settings.py",
    "settings_check.py",
    "settings_reader.py",
    "units.py",
    "wording.py",
    "work.py",
    "yamltext.py",
)
"""The modules that results come from: in a checkout they change without the version."""

_MAX_FILE_BYTES = 1_000_000
_MAX_VALUES = 10_000
_PLAIN = (str, bytes, int, float, bool, type(None))
_T = TypeVar("_T")


def folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the private folder, which need not exist. A relative XDG_CACHE_HOME is ignored, as its spec says."""
    base = environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if base.startswith("/") else home / ".cache"
    return root / "distributed-gummy"


class Memo:
    """Results in a folder (see `folder`), the last few of each name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str, make: Callable[[], _T], *, kind: Any, files: Sequence[Path], values: Any) -> _T:
        """Give what `make` gives, from memory if it was called for the same contents of `files` and the same `values`.

        `kind` is the type of the result, something that msgspec turns into JSON and back. What `make` raises comes
        through, and nothing is kept.
        """
        key = _key(files, values)
        if key is None:
            return make()
        path = self._folder / f"{name}.json"
        found: _T | None = self._find(path, key, kind)
        if found is not None:
            return found
        made = make()
        if _key(files, values) == key:  # nobody wrote to the files meanwhile
            self._keep(path, key, made, kind)
        return made

    def _find(self, path: Path, key: str, kind: Any) -> Any:
        def decode(payload: bytes) -> Any:
            return msgspec.json.decode(payload, type=kind)

        now = datetime.now(timezone.utc)
        cached = cache.read(path, private_dir=self._folder, key=key, ttl_s=math.inf, now=now, decode=decode).cached
        return None if cached is None else cached.value

    def _keep(self, path: Path, key: str, made: Any, kind: Any) -> None:
        # Text can hold what is no UTF-8, and a number be none: such a result would not come back as it was.
        with suppress(ValueError, OSError):
            payload = msgspec.json.encode(made)
            if msgspec.json.decode(payload, type=kind) == made and _is_private(self._folder):
                now = datetime.now(timezone.utc)
                cache.write(path, private_dir=self._folder, key=key, payload=payload, now=now)


def fingerprint(value: Any) -> str | None:
    """Write nested plain values so that different ones read differently; None for other things, or for too many."""
    parts: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        kind = type(item)
        if kind is dict:
            waiting += [part for pair in item.items() for part in pair]
        elif kind in (list, tuple):
            waiting += item
        elif kind not in _PLAIN or (kind is int and item.bit_length() > 64):
            return None
        parts.append(f"{kind.__name__} {len(item)}" if kind in (dict, list, tuple) else repr(item))
        if len(parts) + len(waiting) > _MAX_VALUES:
            return None
    return "\n".join(parts)


def _key(files: Sequence[Path], values: Any) -> str | None:
    """Name everything that a result is made from, None if that cannot be told."""
    here = Path(__file__).parent
    try:
        code = [(info.st_mtime_ns, info.st_size) for info in ((here / name).stat() for name in MADE_BY)]
        contents = [(str(path), _content(path)) for path in files]
    except (OSError, ValueError):
        return None
    text = fingerprint([__version__, str(here), code, contents, values])
    return None if text is None else cache.make_key([text])


def _content(path: Path) -> bytes | None:
    """Read a file, None if there is none. OSError for what is no ordinary file, or too large for settings."""
    try:
        # Not blocking: a named pipe in the file's place must not hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("not an ordinary file")
    with open(descriptor, "rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise OSError("too large")
    return content


def _is_private(folder: Path) -> bool:
    """Whether the folder is ours alone, or can be made so.

    Not below another user's folder: with sudo that would be the home of whoever called it, who could then never write
    there.
    """
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    info = nearest.stat()
    return info.st_uid == os.geteuid() and (nearest != folder or not info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
