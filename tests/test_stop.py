"""Stopping work in other threads: heard at once, by whoever waits, and told apart from the end of the work."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from dgummy import unattended
from dgummy.fanout import Call, Crew, interruptible
from dgummy.stop import HOST_GRACE_S, DeadlinePassed, Stop
from labs import REPO


def test_a_host_ends_a_run_by_itself_soon_after_the_deadline() -> None:
    """Whoever set it may be gone by then. A limit of the run's own holds if it is less."""
    stop = Stop()
    assert (stop.host_limit_s(None), stop.host_limit_s(7.0)) == (None, 7.0)
    stop.bound.set(500)
    with unattended.deadline(100):
        limit_s = stop.host_limit_s(None)
        assert limit_s is not None and 100 < limit_s <= 100 + HOST_GRACE_S
        assert stop.host_limit_s(7.0) == 7.0
        assert stop.host_limit_s(7000) == pytest.approx(limit_s, abs=5)
    limit_s = stop.host_limit_s(None)
    assert limit_s is not None and 490 < limit_s <= 500 + HOST_GRACE_S


def test_waiting_ends_with_the_call() -> None:
    stop, gate = Stop(), threading.Event()
    call = Call(gate.wait)
    assert stop.wait_for(call, 0.05) is False
    gate.set()
    assert stop.wait_for(call, 5) is True
    assert stop.wait_for(call) is True  # and at once for what is done


@pytest.mark.parametrize("ask", ["cancel", "leave"])
def test_waiting_ends_when_something_is_asked_for(ask: str) -> None:
    stop, gate = Stop(), threading.Event()
    call = Call(gate.wait)
    threading.Timer(0.1, getattr(stop, ask)).start()
    began = time.monotonic()
    assert stop.wait_for(call, 10) is False
    assert time.monotonic() - began < 5
    gate.set()


def test_what_was_asked_for_before_is_not_heard_again() -> None:
    """The first Ctrl-C cancels; the wait for the end of that is broken off by the second one only."""
    stop, gate = Stop(), threading.Event()
    stop.cancel()
    call = Call(gate.wait)
    assert stop.wait_for(call, 0.05) is False
    threading.Timer(0.1, gate.set).start()
    assert stop.wait_for(call, 10) is True


def test_the_first_reason_stays() -> None:
    stop = Stop()
    stop.cancel("the deadline passed")
    stop.cancel()
    assert (stop.cancelled, stop.left, stop.reason) == (True, False, "the deadline passed")


def test_a_nap_ends_when_the_work_is_cancelled() -> None:
    stop = Stop()
    threading.Timer(0.1, stop.cancel).start()
    began = time.monotonic()
    stop.nap(10)
    assert time.monotonic() - began < 5


def test_ctrl_c_cancels_then_leaves_then_gets_through() -> None:
    """Events stand in for the signal: what `wait` raises in the main thread."""
    stop, asked = Stop(), list[tuple[bool, bool]]()

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout == 0:
                return super().wait(0)
            asked.append((stop.cancelled, stop.left))
            raise KeyboardInterrupt

    original = Call.__init__

    def patched(self: Call[None], *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        self._done = Impatient()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Call, "__init__", patched)
        with pytest.raises(KeyboardInterrupt):
            interruptible(threading.Event().wait, stop)
    assert asked == [(False, False), (True, False), (True, True)]


def test_what_comes_before_anybody_waits_cancels_what_had_begun() -> None:
    stop, began = Stop(), threading.Event()
    original = Call.__init__

    def interrupted(self: Call[None], *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Call, "__init__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            interruptible(began.set, stop)
    assert stop.cancelled


def test_a_deadline_is_a_ctrl_c_with_another_reason() -> None:
    stop = Stop()
    with unattended.deadline(0.2) as alarm:
        heard = interruptible(lambda: stop._cancelled.wait(20), stop)
    assert (heard, alarm.passed, stop.timed_out, stop.reason) == (True, 1, True, "the deadline passed")
    with pytest.raises(DeadlinePassed), unattended.deadline(0.05):
        time.sleep(20)
    with unattended.deadline(0.05):
        pass
    time.sleep(0.1)  # it passes no more


def test_a_deadline_that_nobody_heeds_gets_through_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unattended, "_LAST_WORDS_S", 0.1)
    stop, began = Stop(), time.monotonic()
    with unattended.deadline(0.1) as alarm:
        alarm.grace_s = 0.1
        with pytest.raises(DeadlinePassed):
            interruptible(threading.Event().wait, stop)
    assert (stop.timed_out, stop.left, alarm.passed) == (True, True, 3)
    assert time.monotonic() - began < 10


def test_a_crew_hears_each_end_once() -> None:
    crew: Crew[int, int] = Crew()
    for number in range(5):
        crew.start(number, lambda number=number: number * number)  # type: ignore[misc]
    assert len(crew) == 5
    ends = [crew.next_end(5) for _ in range(5)]
    assert sorted(end for end in ends if end) == [(n, n * n) for n in range(5)]
    assert len(crew) == 0 and crew.next_end(0.01) is None


def test_what_one_of_a_crew_raises_is_raised_by_hearing_it() -> None:
    crew: Crew[str, float] = Crew()
    crew.start("a", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        crew.next_end(5)
    assert len(crew) == 0


LINGERS = """
import atexit, sys, threading, time
from dgummy.boundary import run_bounded
atexit.register(time.sleep, 30)  # as paramiko waits for its connections
threading.Thread(target=time.sleep, args=(30,), daemon=sys.argv[1] == "atexit").start()
def work():
    sys.stdout.write("what was said")
    raise KeyboardInterrupt
code = run_bounded(work, as_json=False)
sys.stderr.write("ready\\n")
sys.stderr.flush()
sys.exit(code)
"""


@pytest.mark.parametrize("what", ["atexit", "thread"])
def test_ctrl_c_while_the_program_ends_leaves_at_once_and_quietly(what: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", LINGERS, what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPO
    )
    assert process.stderr is not None
    said = [process.stderr.readline() for _ in range(2)]
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"what was said", b"")
    assert said == ["✗ interrupted\n".encode(), b"ready\n"]
