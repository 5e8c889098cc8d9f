"""Notices of a command that nobody watches, kept back until it is known how it ends.

One that ends well has nothing to tell but its warnings; of any other everything is shown, in order.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

MAX_LINES = 1000
MAX_LINE_CHARS = 2000
WORTH_TELLING = ("warning", "error")
"""The styles of lines that are told whatever comes. `caution` and `trouble` look the same, and are told if it fails."""


class Holding:
    """The lines of one process. Thread-safe. The oldest go when there are too many."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._lines: deque[tuple[str, str]] = deque(maxlen=MAX_LINES)
        self._dropped = 0
        self._write: Callable[[str, str], None] | None = None

    def begin(self, write: Callable[[str, str], None]) -> None:
        """Keep lines back from now on. `write` shows a line in its style."""
        with self._lock:
            self._write = self._write or write

    def keeps(self, text: str, style: str) -> bool:
        """Whether a line was kept back: its writer leaves it alone then."""
        with self._lock:
            if self._write is None:
                return False
            self._dropped += len(self._lines) == MAX_LINES
            self._lines.append((text[:MAX_LINE_CHARS], style))
            return True

    def end(self, *, well: bool) -> None:
        """Keep nothing back any more, and show what there is: of a command that ended well, only its warnings."""
        with self._lock:
            write, self._write = self._write, None
            lines, self._lines = [*self._lines], deque(maxlen=MAX_LINES)
            dropped, self._dropped = self._dropped, 0
        if write is None:
            return
        if dropped and not well:
            write(f"… {dropped:,} earlier lines are left out", "")
        told = False
        for text, style in lines:
            told = style in WORTH_TELLING or (told and text.startswith("  "))  # a remedy goes with what it is for
            if told or not well:
                write(text, style)


HOLDING = Holding()
"""What this process keeps back."""
