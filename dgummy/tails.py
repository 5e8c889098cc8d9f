"""The last of what runs print, for documents and summaries."""

from __future__ import annotations

from collections import deque

from dgummy.events import Event, Output

TAIL_BYTES = 65536
LOG_BYTES = 4 * 1024 * 1024
"""How much of each stream a document holds that is about nothing else."""

_STREAMS = ("out", "err")


class Tails:
    """A listener that keeps the last `limit_bytes` of each run's stdout and stderr."""

    def __init__(self, limit_bytes: int = TAIL_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._tails: dict[tuple[str, str], _Tail] = {}

    def __call__(self, event: Event) -> None:
        """Listen."""
        if isinstance(event, Output) and event.stream in _STREAMS:
            self._of(event.run_id, event.stream).add(event.data)

    def text(self, run_id: str) -> dict[str, str]:
        """Give the tails of a run, decoded: `{"out", "err"}`."""
        return {stream: self._of(run_id, stream).text() for stream in _STREAMS}

    def is_cut(self, run_id: str) -> bool:
        """Whether one of them is not all that the run printed there."""
        return any(self._of(run_id, stream).is_cut for stream in _STREAMS)

    def _of(self, run_id: str, stream: str) -> _Tail:
        return self._tails.setdefault((run_id, stream), _Tail(self._limit_bytes))


class _Tail:
    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._dropped = False

    @property
    def is_cut(self) -> bool:
        return self._dropped or self._bytes > self._limit_bytes

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._bytes += len(data)
        while self._bytes - len(self._chunks[0]) >= self._limit_bytes:
            self._bytes -= len(self._chunks.popleft())
            self._dropped = True

    def text(self) -> str:
        return b"".join(self._chunks)[-self._limit_bytes :].decode("utf-8", "replace")
