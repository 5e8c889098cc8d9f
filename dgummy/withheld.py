"""Know again by its content what was sent although git ignores it (`sync_extra`), under whatever name it is now.

By git's own id of the content as it is, so that commits can be searched as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path

MIN_BYTES = 8
"""Less than this, blanks not counted, tells nothing: an empty file is like any other, and so is `{}`."""

_CHUNK_BYTES = 1 << 20


def ids_of(root: Path, names: Iterable[bytes], object_format: str) -> tuple[str, ...]:
    """Return the ids of these files' contents; none for links, for what cannot be read, and for what tells nothing.

    names: relative to `root`. object_format: sha1 or sha256, as the repository has it.
    """
    places = (os.path.join(os.fsencode(root), name) for name in names)  # noqa: PTH118 - bytes
    return tuple(sorted({ident for place in places if (ident := _id(place, object_format))}))


def holds_any(path: str, ids: Collection[str]) -> bool:
    """Whether the file at `path` holds what one of the ids stands for."""
    formats = {"sha256" if len(ident) == 64 else "sha1" for ident in ids}
    return any(_id(os.fsencode(path), each) in ids for each in formats)


def _id(place: bytes, object_format: str) -> str:
    """Return git's id of a regular file's content, "" if there is none worth knowing."""
    if os.path.islink(place) or not os.path.isfile(place):  # noqa: PTH113, PTH114 - bytes
        return ""
    try:
        with open(place, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            chunk = file.read(_CHUNK_BYTES)
            if len(b"".join(chunk.split())) < MIN_BYTES and size == len(chunk):
                return ""
            digest = hashlib.new(object_format, b"blob %d\0" % size, usedforsecurity=False)
            while chunk:
                digest.update(chunk)
                chunk = file.read(_CHUNK_BYTES)
    except OSError:
        return ""
    return digest.hexdigest()
