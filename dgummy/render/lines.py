"""What many runs print at once, cut into lines."""

from __future__ import annotations

from dgummy.events import Output

_LONGEST_LINE_BYTES = 65536


class RunLines:
    """The lines of many runs, each stream of each run for itself."""

    def __init__(self) -> None:
        self._splitters: dict[tuple[str, str], LineSplitter] = {}

    def feed(self, event: Output) -> list[bytes]:
        """Take what a run printed, give the lines of that stream that are whole."""
        return self._splitters.setdefault((event.run_id, event.stream), LineSplitter()).feed(event.data)

    def last(self, event: Output) -> bytes:
        """Give the newest line of a stream that was fed, whole or not."""
        return self._splitters[event.run_id, event.stream].last

    def end(self, run_id: str) -> list[tuple[str, bytes]]:
        """Forget a run that has ended; gives each stream that had no newline at its end, with what came after it."""
        keys = [key for key in self._splitters if key[0] == run_id]
        rests = [(stream, self._splitters.pop((run_id, stream)).rest()) for _, stream in keys]
        return [(stream, rest) for stream, rest in rests if rest]


class LineSplitter:
    """Cuts what one run prints into lines, each with its newline; one that is very long is cut up."""

    def __init__(self) -> None:
        self._rest = b""
        self.last = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came, give the lines that are whole."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        whole = [line + b"\n" for line in lines]
        while len(self._rest) > _LONGEST_LINE_BYTES:
            whole.append(self._rest[:_LONGEST_LINE_BYTES] + b"\n")
            self._rest = self._rest[_LONGEST_LINE_BYTES:]
        self.last = self._rest or (lines[-1] if lines else self.last)
        return whole

    def rest(self) -> bytes:
        """Give what came after the last newline."""
        return self._rest
