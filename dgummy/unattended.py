"""What a command takes that nobody watches: one deadline for everything, a lock, and silence while all goes well."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dgummy import fanout
from dgummy.jobrun import JOB
from dgummy.render.holding import HOLDING
from dgummy.stop import PROCESS, DeadlinePassed, now_s
from dgummy.transport import alarms

_LAST_WORDS_S = 10.0
_UNHEARD_S = 0.3
_ASLEEP_S = 30.0
_SAYING_S = 2.0


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


def hear_the_end(say: Callable[[str], None], ends: Callable[[int], bool] = lambda _number: False) -> None:
    """Have this process end in order once it is told to, by SIGTERM or SIGHUP: `ends` sees to that, or gives False.

    Then what was kept back is shown, `say` tells what becomes of the rest, and the signal takes its course. A job's
    command ends what it runs as well, as by Ctrl-C: nobody would come back to it. SIGHUP stays ignored where it is
    (nohup). SIGINT, which shells have what they start by `&` ignore, is heard where no terminal could send it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    ending = _Ending(say, ends)
    for number in (signal.SIGTERM, signal.SIGHUP):
        before = signal.getsignal(number)
        if before is signal.SIG_DFL or (before is signal.SIG_IGN and number is signal.SIGTERM):
            signal.signal(number, ending)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and not _has_terminal():
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Ending:
    """Hears that the process is to end."""

    def __init__(self, say: Callable[[str], None], ends: Callable[[int], bool]) -> None:
        self._say = say
        self._ends = ends
        self._told = False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        told, self._told = self._told, True
        if self._ends(number):
            return
        if JOB in os.environ:
            if not told:  # once, by however many: a second Ctrl-C would leave the run
                raise KeyboardInterrupt
            return
        # In another thread: this one may hold, at this very moment, what it takes to write.
        fanout.Call(lambda: self._last_words(number), "last-words").wait(_SAYING_S)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _last_words(self, number: int) -> None:
        HOLDING.end(well=False)
        name = signal.Signals(number).name
        self._say(f"told to end ({name}); what is at work on hosts goes on there: inv runs")


def _has_terminal() -> bool:
    """Whether a terminal is there that Ctrl-C could be pressed at, wherever our input comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
