"""Telling work in other threads to stop: first to cancel what runs, then to leave it to itself.

Ctrl-C arrives in the main thread alone. The main thread tells a `Stop`; whoever waits for something waits through it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgummy.fanout import Call


INTERRUPTED = "interrupted"
"""The reason of a stop that the user asked for."""
DEADLINE = "the deadline passed"
"""The reason of a stop that a clock asked for."""
HOST_GRACE_S = 10.0
"""How much later than we would a host ends by itself what we can end no more: we are gone, or out of its reach."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_s() -> float:
    """Seconds by a clock that goes on while this machine sleeps."""
    return time.clock_gettime(_CLOCK)


class DeadlinePassed(KeyboardInterrupt):
    """Ctrl-C, pressed by a clock: it goes the same ways, and ends in another exit code."""


class Bound:
    """When work is to be over, by `now_s`; `at_s` None: it has all the time that it takes."""

    def __init__(self) -> None:
        self.at_s: float | None = None

    def set(self, after_s: float | None) -> None:
        """Let it be so much later; None: never."""
        self.at_s = None if after_s is None else now_s() + after_s

    def left_s(self) -> float | None:
        """How long that is from now, never negative."""
        return None if self.at_s is None else max(0.0, self.at_s - now_s())


PROCESS = Bound()
"""When all that this process does is to be over."""


class Stop:
    """What was asked of the work in hand. Asked from any thread, heard in every other."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._left = threading.Event()
        self._lock = threading.Lock()
        self._listening: list[threading.Event] = []
        self.reason = ""
        self.bound = Bound()

    @property
    def cancelled(self) -> bool:
        """Whether nothing new is to start, and what runs is to be ended."""
        return self._cancelled.is_set()

    @property
    def left(self) -> bool:
        """Whether what cannot be ended at once is to be left to itself."""
        return self._left.is_set()

    @property
    def timed_out(self) -> bool:
        """Whether it was a clock that cancelled it."""
        return self.cancelled and self.reason == DEADLINE

    def cancel(self, reason: str = INTERRUPTED) -> None:
        """Start nothing new and end what runs. `reason` is told of what never started; the first one stays."""
        if not self.cancelled:
            self.reason = reason
        self._tell(self._cancelled)

    def host_limit_s(self, own_s: float | None) -> float | None:
        """How long a host is to let a run go on whose own limit is `own_s`: we may not be there at the deadline."""
        bounds = [left_s + HOST_GRACE_S for one in (self.bound, PROCESS) if (left_s := one.left_s()) is not None]
        return min((*bounds, *(() if own_s is None else (own_s,))), default=None)

    def leave(self) -> None:
        """Wait for nothing any more; what runs goes on by itself."""
        self._tell(self._left)

    def _tell(self, event: threading.Event) -> None:
        with self._lock:
            event.set()
            for waiting in self._listening:
                waiting.set()

    @contextmanager
    def heard_by(self, event: threading.Event) -> Iterator[None]:
        """In here, `event` is set whenever something is asked for."""
        with self._lock:
            self._listening.append(event)
        try:
            yield
        finally:
            with self._lock:
                self._listening.remove(event)

    def nap(self, seconds: float) -> None:
        """Sleep, but not once the work was cancelled."""
        self._cancelled.wait(seconds)

    def wait_for(self, call: Call[Any], timeout_s: float | None = None) -> bool:
        """Wait until the call is done (True), or something is asked for that was not yet, or time is up (False)."""
        known = (self.cancelled, self.left)
        wake = threading.Event()
        with self.heard_by(wake):
            call.wakes(wake)
            if (self.cancelled, self.left) == known:
                wake.wait(timeout_s)
        return call.wait(0)
