"""The only place with threads: bounded, in order where asked, and never waited for longer than said."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from dgummy.events import Notice
from dgummy.fanout import Bus, Call, each, in_order
from labs import REPO


def test_results_come_with_their_items() -> None:
    assert sorted(each(range(20), lambda n: n * n, jobs=4)) == [(n, n * n) for n in range(20)]
    assert list(each([], lambda n: n, jobs=4)) == []


def test_in_order_keeps_the_order_and_equal_items_apart() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.05 if n == 0 else 0)
        return n

    assert in_order([0, 1, 2, 1, 0], slow_first, jobs=5) == [0, 1, 2, 1, 0]


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_than_jobs_at_once(jobs: int) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    list(each(range(12), work, jobs=jobs))
    assert most == jobs


def test_results_come_as_they_are_ready() -> None:
    naps = [0.3, 0.0, 0.1]

    def work(nap_s: float) -> bool:
        time.sleep(nap_s)
        return True

    order = [nap for nap, _ in each(naps, work, jobs=3)]
    assert order == [0.0, 0.1, 0.3]


def test_what_work_raises_is_raised_here_and_nothing_more_starts() -> None:
    started: list[int] = []

    def work(n: int) -> int:
        started.append(n)
        if n == 1:
            raise LookupError("a bug")
        time.sleep(0.05)
        return n

    with pytest.raises(LookupError, match="a bug"):
        list(each(range(50), work, jobs=2))
    seen = len(started)
    time.sleep(0.2)
    assert seen <= len(started) < 10


def finishes(call: str, within_s: float) -> str:
    """Run it in a Python of its own, so that a hang fails the test instead of hanging it."""
    program = f"import time, threading\nfrom dgummy.fanout import *\n{call}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, timeout=within_s + 5, check=True
    )
    return done.stdout


def test_stop_ends_the_loop_with_what_was_begun() -> None:
    """Once `stop` is set nothing starts, and nobody waits for what never will."""
    out = finishes(
        "stop, begun = threading.Event(), time.monotonic()\n"
        "got = []\n"
        "for n, _ in each(range(10), lambda n: time.sleep(0.1), jobs=2, stop=stop):\n"
        "    got.append(n)\n"
        "    if len(got) == 2: stop.set()\n"
        "print(2 <= len(got) <= 4, time.monotonic() - begun < 2)\n",
        5,
    )
    assert out.split() == ["True", "True"]


def test_stop_set_before_it_begins() -> None:
    out = finishes("stop = threading.Event(); stop.set()\nprint(list(each(range(3), str, jobs=2, stop=stop)))\n", 5)
    assert out.strip() == "[]"


def test_patience_leaves_behind_what_hangs() -> None:
    began = time.monotonic()
    got = [n for n, _ in each([0.0, 5.0], time.sleep, jobs=2, patience_s=lambda: 0.3)]
    assert got == [0.0] and time.monotonic() - began < 2


def test_closing_the_generator_starts_nothing_more() -> None:
    started: list[int] = []

    def work(n: int) -> None:
        started.append(n)
        time.sleep(0.05)

    for _ in each(range(50), work, jobs=1):
        break
    time.sleep(0.3)
    assert len(started) <= 3


def test_a_thread_that_hangs_does_not_keep_the_program() -> None:
    out = finishes(
        "Call(lambda: time.sleep(60))\nlist(each([60], time.sleep, jobs=1, patience_s=lambda: 0.1))\nprint('ok')", 5
    )
    assert out.strip() == "ok"


def test_a_job_gives_its_value_or_raises() -> None:
    assert Call(lambda: 42).result() == 42
    slow = Call(lambda: time.sleep(0.3))
    assert not slow.wait(0.01) and slow.wait(5)

    def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Call(fail).result()


def test_the_bus_hands_on_one_at_a_time_and_survives_listeners() -> None:
    inside, together, heard = 0, 0, []

    def careful(event: object) -> None:
        nonlocal inside, together
        inside += 1
        together = max(together, inside)
        time.sleep(0.001)
        heard.append(event)
        inside -= 1

    def broken(_: object) -> None:
        raise ValueError("a listener's bug")

    bus = Bus(broken, careful)

    def emit() -> None:
        for _ in range(20):
            bus(Notice("x"))

    threads = [threading.Thread(target=emit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(heard) == 80 and together == 1 and len(bus.errors) == 80


def test_a_broken_pipe_gets_through_the_bus() -> None:
    def broken(_: object) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Bus(broken)(Notice("x"))
