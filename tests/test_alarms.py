"""Calls that are due later."""

from __future__ import annotations

import threading
import time

from dgummy.transport.alarms import Alarms

WAIT_S = 30.0


def test_calls_are_made_in_the_order_that_they_are_due_whatever_the_order_they_were_set_in() -> None:
    alarms, made, done = Alarms(), list[str](), threading.Event()
    began_s = time.monotonic()
    alarms.after(0.6, done.set)
    alarms.after(0.3, lambda: made.append("second"))
    alarms.after(0.05, lambda: made.append("first"))  # the one that is waited for is not the first any more
    assert done.wait(WAIT_S)
    assert made == ["first", "second"]
    assert time.monotonic() - began_s >= 0.6


def test_one_that_was_cancelled_is_not_made() -> None:
    alarms, made, done = Alarms(), list[str](), threading.Event()
    alarms.after(0.05, lambda: made.append("cancelled")).cancel()
    alarms.after(0.1, lambda: made.append("kept"))
    alarms.after(0.3, done.set)
    assert done.wait(WAIT_S)
    assert made == ["kept"]


def test_a_call_that_blocks_holds_up_no_other() -> None:
    alarms, let_go, done = Alarms(), threading.Event(), threading.Event()

    def block() -> None:
        let_go.wait(WAIT_S)

    alarms.after(0.0, block)
    alarms.after(0.05, done.set)
    assert done.wait(WAIT_S / 2)
    let_go.set()


def test_hundreds_cost_one_thread() -> None:
    alarms = Alarms()
    before = threading.active_count()
    for _ in range(500):
        alarms.after(3600.0, lambda: None).cancel()
    assert threading.active_count() <= before + 1
