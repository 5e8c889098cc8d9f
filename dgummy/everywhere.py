"""The same work on every host: one run each, in order, a host that is in use when it is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from dgummy.dispatch import Dispatcher
from dgummy.groups import Piece
from dgummy.model import Failure, FailureKind, RunResult
from dgummy.units import format_duration

BUSY_POLL_S = 2.0
"""How often a workspace that is in use is looked at."""


class Everywhere:
    """A `Source` of pieces that have their hosts already."""

    def __init__(self, pieces: Iterable[Piece], dispatcher: Dispatcher, *, patience_s: float) -> None:
        self._todo = deque(pieces)
        self._waiting: dict[Piece, float] = {}
        self._waiting_since: dict[Piece, float] = {}
        self._dispatcher = dispatcher
        self._patience_s = patience_s

    def next(self, now_s: float) -> Piece | None:
        """Give the next one; those whose host was in use come again after a while."""
        if self._todo:
            return self._todo.popleft()
        due = next((piece for piece, at_s in self._waiting.items() if at_s <= now_s), None)
        if due is not None:
            del self._waiting[due]
            due.course.busy.clear()
        return due

    def back(self, piece: Piece, now_s: float) -> Callable[[], RunResult] | None:
        """A host that is in use is waited for; anything else is the end of it: no other host will do."""
        host = piece.host.name if piece.host is not None else ""
        since_s = self._waiting_since.setdefault(piece, now_s)
        if host in piece.course.failed:
            failure = piece.course.failures[-1]
        elif now_s - since_s < self._patience_s:
            self._waiting[piece] = now_s + BUSY_POLL_S
            return None
        else:
            reason = f"waited {format_duration(self._patience_s)}: {piece.course.busy.get(host, '')}"
            remedy = "try again later, or use --no-sync for what needs no sync"
            failure = Failure(FailureKind.BUSY, reason, remedy)
        return lambda: self._dispatcher.gave_up(piece.course, failure)

    def ended(self, piece: Piece, now_s: float) -> None:
        """Nothing follows from it."""

    def pause_s(self, now_s: float) -> float | None:
        """Until the next one in use is looked at again."""
        return max(0.0, min(self._waiting.values()) - now_s) if self._waiting else None

    def unstarted(self) -> list[Piece]:
        """Those not offered yet, and those that still wait."""
        return [*self._todo, *self._waiting]
