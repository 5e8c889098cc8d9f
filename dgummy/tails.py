"""The last of what runs print, for documents and summaries."""

from __future__ import annotations

from collections import deque

from dgummy.events import Event, Output

TAIL_BYTES = 65536
_STREAMS = ("out", "err")


class Tails:
    """A listener that keeps the last 64 KiB of each run's stdout and stderr."""

    def __init__(self) -> None:
        self._tails: dict[tuple[str, str], _Tail] = {}

    def __call__(self, event: Event) -> None:
        """Listen."""
        if isinstance(event, Output) and event.stream in _STREAMS:
            self._tails.setdefault((event.run_id, event.stream), _Tail()).add(event.data)

    def text(self, run_id: str) -> dict[str, str]:
        """Give the tails of a run, decoded: `{"out", "err"}`."""
        return {stream: self._tails.get((run_id, stream), _Tail()).text() for stream in _STREAMS}


class _Tail:
    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._bytes = 0

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._bytes += len(data)
        while self._bytes - len(self._chunks[0]) >= TAIL_BYTES:
            self._bytes -= len(self._chunks.popleft())

    def text(self) -> str:
        return b"".join(self._chunks)[-TAIL_BYTES:].decode("utf-8", "replace")
