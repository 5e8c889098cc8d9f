"""Wait until runs that were started before are over."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from dgummy.events import RunEnded
from dgummy.fanout import Call
from dgummy.history import History, Seen, result_of
from dgummy.ledger_rows import RunRow
from dgummy.model import FailureKind
from dgummy.transport.base import Deadline
from dgummy.units import format_duration

_FIRST_POLL_S, _LONGEST_POLL_S, _POLL_SHARE = 0.2, 2.0, 0.05


def wait(history: History, rows: Sequence[RunRow], timeout_s: float | None = None) -> tuple[list[Seen], bool]:
    """Wait until runs are over, and say of each when it is. True if time was up before that.

    A run whose host stays silent for longer than `timeouts.reconnect_s` is given up: it stays as last known.
    """
    waiting = Waiting(history, rows, Deadline(timeout_s))
    return waiting.until_over(), waiting.timed_out


class Waiting:
    """Asks again and again, less often the longer it takes."""

    def __init__(self, history: History, rows: Sequence[RunRow], deadline: Deadline) -> None:
        self._history = history
        self._seen = {row.run_id: Seen(row) for row in rows}
        self._left = {row.run_id for row in rows}
        self._deadline = deadline
        self._silent_since: dict[str, float] = {}
        self._patience_s = history.access.settings.timeouts.reconnect_s
        self.timed_out = False

    def until_over(self) -> list[Seen]:
        """Every run as it is at the end."""
        began = time.monotonic()
        while self._left:
            call = Call(self._look, "wait")
            self.timed_out = not call.wait(self._deadline.remaining_s())
            if self.timed_out:
                break
            self._hear(call.result())
            if self._left:
                pause_s = min(_LONGEST_POLL_S, max(_FIRST_POLL_S, _POLL_SHARE * (time.monotonic() - began)))
                left_s = self._deadline.remaining_s()
                time.sleep(pause_s if left_s is None else min(pause_s, left_s))
        return list(self._seen.values())

    def _look(self) -> list[Seen]:
        rows = [self._history.again(self._seen[run_id].row) for run_id in self._seen if run_id in self._left]
        return self._history.refresh(rows, tell=False)

    def _hear(self, found: Iterable[Seen]) -> None:
        now = time.monotonic()
        for seen in found:
            self._seen[seen.row.run_id] = seen
            if seen.failure is None:
                self._silent_since.pop(seen.row.host, None)
            elif seen.row.host not in self._silent_since:
                self._silent_since[seen.row.host] = now
                what = f"asking again for {format_duration(self._patience_s)}"
                self._history.tell_silent(seen.row.host, seen.failure, what)
            if seen.is_over or self._is_given_up(seen, now):
                self._left.discard(seen.row.run_id)
                self._history.access.emit(RunEnded(result_of(seen)))

    def _is_given_up(self, seen: Seen, now: float) -> bool:
        if seen.failure is None:
            return False
        return seen.failure.kind is FailureKind.CONFIG or now - self._silent_since[seen.row.host] > self._patience_s
