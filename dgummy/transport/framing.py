r"""The framing of everything a script sends back. Pure.

A script prints, amid whatever noise its login shell makes, lines that begin with a marker fresh for that script:

    MARK name value…\\n            a fact
    MARK <stream> LENGTH\\n        followed by exactly LENGTH raw bytes: data of that stream ("out", "err", "file")

Anything outside is noise: kept bounded, for error messages only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

DATA_PREFIX = "<"
MAX_LINE_BYTES = 256 * 1024
MAX_NOISE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Fact:
    """One marked line. `value` is decoded as UTF-8; bytes that are not become surrogate escapes."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Data:
    """Raw bytes of a stream. A frame may be handed on in several pieces."""

    stream: str
    data: bytes


Frame: TypeAlias = Fact | Data


class FrameReader:
    """Feed it bytes as they come; it gives back the frames that are complete (data in pieces)."""

    def __init__(self, marker: str) -> None:
        self._marker = marker.encode() + b" "
        self._buffer = b""
        self._stream = ""
        self._left = 0
        self._noise = b""

    @property
    def noise(self) -> str:
        """The tail of what came outside frames."""
        return (self._noise + self._buffer)[-MAX_NOISE_BYTES:].decode("utf-8", "replace").strip()

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take bytes, return frames."""
        frames: list[Frame] = []
        rest = self._buffer + chunk if self._buffer else chunk
        self._buffer = b""
        at = 0
        while at < len(rest):
            if self._left:
                piece = rest[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                frames.append(Data(self._stream, piece))
                continue
            start = rest.find(self._marker, at)
            if start < 0:
                # The marker may have been cut in two.
                cut = max(at, len(rest) - len(self._marker) + 1)
                self._add_noise(rest[at:cut])
                self._buffer = rest[cut:]
                break
            self._add_noise(rest[at:start])
            end = rest.find(b"\n", start)
            if end < 0:
                self._buffer = rest[start : start + MAX_LINE_BYTES]
                break
            frame = self._header(rest[start + len(self._marker) : end])
            if frame is not None:
                frames.append(frame)
            at = end + 1
        return frames

    def _header(self, line: bytes) -> Fact | None:
        name, _, value = line.decode("utf-8", "surrogateescape").partition(" ")
        if name.startswith(DATA_PREFIX):
            if value.isascii() and value.isdigit():
                self._stream, self._left = name.strip("<>"), int(value)
            return None
        return Fact(name, value)

    def _add_noise(self, noise: bytes) -> None:
        if noise.strip():
            self._noise = (self._noise + noise)[-MAX_NOISE_BYTES:]
