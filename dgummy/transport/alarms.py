"""Calls that are due later, watched over by one thread. A thread for each costs more than what it guards."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Alarm:
    """A call that is due at some time, unless it is cancelled before."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Call it off. One that is being made just now is not stopped."""
        self.call = None


class Alarms:
    """Makes calls when they are due, each in a thread of its own: it may block."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._watched = False

    def after(self, delay_s: float, call: Callable[[], None]) -> Alarm:
        """Have `call` made so much later."""
        alarm = Alarm(call)
        at_s = time.monotonic() + delay_s
        with self._changed:
            heapq.heappush(self._due, (at_s, next(self._numbers), alarm))
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, name="alarms", daemon=True).start()
            elif self._due[0][2] is alarm:
                self._changed.notify()
        return alarm

    def _watch(self) -> None:
        while True:
            call = self._next().call
            if call is not None:
                threading.Thread(target=call, name="alarm", daemon=True).start()

    def _next(self) -> Alarm:
        """Wait for the next one that is due."""
        with self._changed:
            while True:
                left_s = self._due[0][0] - time.monotonic() if self._due else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(left_s)


ALARMS = Alarms()
"""The alarms of this process."""
