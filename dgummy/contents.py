"""The contents of many files in one stream, taken apart into numbered files as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from dgummy import changes
from dgummy.changes import Entry
from dgummy.transport.framing import Data, Frame
from dgummy.work import Changed

NAMES_PER_CALL = 2000
NAME_BYTES_PER_CALL = 100_000
BYTES_PER_CALL = 64 * 1024 * 1024


class TooMuchError(Exception):
    """A host sent more than was asked for."""


@dataclass
class Contents:
    """Takes the streams stats and file apart: as many bytes into each path as its stats say. A context manager."""

    wanted: Sequence[Changed]
    paths: Sequence[Path]
    differs: bool = False
    _stats: bytearray = field(default_factory=bytearray)
    _entries: list[Entry | None] | None = None
    _at: int = -1
    _left: int = 0
    _file: BinaryIO | None = None

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_: object) -> None:
        self._advance()
        self._close()

    def __call__(self, frame: Frame) -> None:
        """Take a frame; TooMuchError ends the call."""
        if not isinstance(frame, Data):
            return
        if frame.stream == "stats" and self._entries is None:
            self._stats += frame.data
            if len(self._stats) > 200 * (len(self.wanted) + 1):
                raise TooMuchError
        elif frame.stream == "file":
            self._advance()
            self._take(frame.data)
        else:
            raise TooMuchError

    @property
    def whole(self) -> bool:
        """Whether all of them came."""
        return not self.differs and self._at == len(self.wanted) and not self._left

    def _take(self, data: bytes) -> None:
        while data and not self.differs:
            if self._file is None:
                raise TooMuchError
            piece, data = data[: self._left], data[self._left :]
            self._file.write(piece)
            self._left -= len(piece)
            self._advance()

    def _advance(self) -> None:
        """Go on to the next file that is to hold anything, and make the empty ones on the way."""
        if self._entries is None:
            self._begin()
        while not self.differs and not self._left and self._at < len(self.wanted):
            self._close()
            self._at += 1
            if self._at < len(self.wanted):
                entry = (self._entries or [])[self._at]
                self._left = entry.size_bytes if entry is not None else 0
                self._file = self.paths[self._at].open("wb")

    def _begin(self) -> None:
        self._entries = changes.decode_stats(bytes(self._stats))
        self.differs = len(self._entries) != len(self.wanted) or any(
            entry is None or not _is_as_listed(one, entry)
            for one, entry in zip(self.wanted, self._entries, strict=False)
        )

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_as_listed(one: Changed, entry: Entry) -> bool:
    """Whether it is still what it was when it was listed: one that grew is no longer within the limits."""
    return changes.kind_of(entry.mode) is one.kind and one.size_bytes in (None, entry.size_bytes)


def batches(wanted: Sequence[Changed]) -> Iterator[list[Changed]]:
    """As much as goes into one call."""
    batch: list[Changed] = []
    names = size = 0
    for one in wanted:
        names += len(one.path) + 3
        size += one.size_bytes or 0
        if batch and (len(batch) >= NAMES_PER_CALL or names > NAME_BYTES_PER_CALL or size > BYTES_PER_CALL):
            yield batch
            batch, names, size = [], len(one.path) + 3, one.size_bytes or 0
        batch.append(one)
    if batch:
        yield batch
