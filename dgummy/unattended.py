"""What a command takes that nobody watches: one deadline for everything, a lock, and silence while all goes well."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from dgummy.render.holding import HOLDING
from dgummy.stop import PROCESS, DeadlinePassed, now_s
from dgummy.transport import alarms

if TYPE_CHECKING:
    from dgummy.render.console import Console

_LAST_WORDS_S = 10.0
_UNHEARD_S = 0.3
_ASLEEP_S = 30.0


class Alarm:
    """A deadline that passes like Ctrl-C: first what runs is ended, then it is left to itself, then all is left.

    `grace_s` is how long a host gets to end what runs there. The clock is a thread that gives a signal to the main
    thread itself, again if it was not heard: what the system gives to any thread does not wake one that waits.
    """

    def __init__(self, grace_s: float = 40.0) -> None:
        self.grace_s = grace_s
        self.passed = 0
        self._next: alarms.Alarm | None = None
        self._off = False

    def set(self, after_s: float) -> None:
        """Let it pass so much later."""
        self._wait(now_s() + after_s, self.passed)

    def off(self) -> None:
        """Let it pass no more."""
        self._off = True
        if self._next is not None:
            self._next.cancel()

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Be heard in the main thread."""
        if self._off:
            return
        self.passed += 1
        self.set(self.grace_s if self.passed == 1 else _LAST_WORDS_S)
        raise DeadlinePassed

    def _wait(self, at_s: float, heard: int) -> None:
        """Look every now and then how late it is: what waits stands still while the machine sleeps."""
        left_s = at_s - now_s()
        if self._off or self.passed != heard:
            return
        due = left_s <= _ASLEEP_S
        self._next = alarms.ALARMS.after(
            max(0.0, left_s) if due else _ASLEEP_S, lambda: self._strike(heard) if due else self._wait(at_s, heard)
        )

    def _strike(self, heard: int) -> None:
        if self._off or self.passed != heard:
            return
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        self._next = alarms.ALARMS.after(_UNHEARD_S, lambda: self._strike(heard))


@contextmanager
def deadline(after_s: float | None) -> Iterator[Alarm]:
    """Have everything in here end once so many seconds have passed, counted from now; None: never."""
    alarm = Alarm()
    if after_s is None or threading.current_thread() is not threading.main_thread():
        yield alarm
        return
    before = signal.signal(signal.SIGALRM, alarm)
    PROCESS.set(after_s)
    alarm.set(after_s)
    try:
        yield alarm
    finally:
        alarm.off()
        PROCESS.set(None)
        if before is not signal.SIG_DFL:  # which would end the process, should the clock strike at this very moment
            signal.signal(signal.SIGALRM, before)


def nobody_watches() -> bool:
    """Whether none of stdin, stdout and stderr is a terminal."""
    return not any(_is_terminal(stream) for stream in (sys.stdin, sys.stdout, sys.stderr))


def be_quiet(console: Console) -> None:
    """Keep notices back until it is known how the command ends; one that is told to end (SIGTERM) shows them first."""
    HOLDING.begin(console.write_line)
    hear_the_end()


def hear_the_end() -> None:
    """Have SIGTERM heard, unless somebody else cares for it already."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _told_to_end)


LAST_WORDS: list[Callable[[], None]] = []
"""What is done, beside showing notices, by a command that is told to end."""


def _told_to_end(number: int, _frame: FrameType | None) -> None:
    HOLDING.end(well=False)
    for say in LAST_WORDS:
        say()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _is_terminal(stream: object) -> bool:
    try:
        return bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
