"""Watching hosts: each on its own clock, what is known never lost, one that hangs in nobody's way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

import msgspec
import pytest

from dgummy.model import Failure, FailureKind, Host
from dgummy.settings import Settings
from dgummy.transport.base import Answer, Limits, Script
from dgummy.transport.framing import Fact
from dgummy.views import HostView
from dgummy.watching import Eyes, Looker, Watch, once

HOSTS = [Host("a"), Host("b")]


def now() -> datetime:
    return datetime.now(timezone.utc)


def seen(host: Host) -> HostView:
    return HostView(host.name, taken_at=now(), asked_at=now())


def until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_host_that_hangs_holds_up_nobody() -> None:
    begin, let_go = threading.Event(), threading.Event()
    looks: list[str] = []

    def look(host: Host) -> HostView:
        looks.append(host.name)
        (let_go if host.name == "b" else begin).wait(20)
        return seen(host)

    with Watch(HOSTS, look, interval_s=0.02, now=now) as watch:
        first = watch.snapshot()  # at once, with nothing known
        assert [one.host for one in first.hosts] == ["a", "b"] and first.totals.hosts == 0
        begin.set()
        until(lambda: looks.count("a") >= 5)
        assert looks.count("b") == 1 and not watch.wait_for_all(0)
        assert [one.reachable for one in watch.snapshot().hosts] == [True, False]
        let_go.set()
        assert watch.wait_for_all(10)


def test_nothing_is_looked_at_once_it_is_closed() -> None:
    looks: list[str] = []
    with Watch(HOSTS, lambda host: looks.append(host.name) or seen(host), interval_s=0.01, now=now) as watch:  # type: ignore[func-returns-value]
        assert watch.wait_for_all(10)
    time.sleep(0.7)
    before = len(looks)
    time.sleep(0.3)
    assert len(looks) == before


def test_a_host_that_fails_is_asked_less_and_less_often() -> None:
    looks: dict[str, int] = {"a": 0, "b": 0}

    def look(host: Host) -> HostView:
        looks[host.name] += 1
        failure = Failure(FailureKind.REFUSED) if host.name == "b" else None
        return msgspec.structs.replace(seen(host), failure=failure)

    with Watch(HOSTS, look, interval_s=0.02, now=now):
        until(lambda: looks["a"] > 40)
    assert looks["b"] < looks["a"] / 3


def test_a_bug_in_the_background_is_raised() -> None:
    def look(_host: Host) -> HostView:
        raise ZeroDivisionError

    with Watch(HOSTS, look, interval_s=0.02, now=now) as watch, pytest.raises(ZeroDivisionError):
        until(lambda: watch.snapshot() is None)


class Carrier:
    """Stands in for what carries scripts: answers, or fails, as it is told."""

    name = "test"

    def __init__(self) -> None:
        self.answer: Answer | Failure = good()
        self.scripts: list[Script] = []

    def run_script(
        self, _host: Host, script: Script, _limits: Limits | None = None, _sink: object = None
    ) -> Answer | Failure:
        self.scripts.append(script)
        return self.answer


def good() -> Answer:
    line = "-rw-r--r-- 1 0 0 9 2026-11-24 10:00:00 +0000 /h/w/.gummy/specialists/one/meta.yaml"
    names = [("uname", "Linux x"), ("home", "/h"), ("specialist", line), ("meta", "status: new"), ("probe-end", "ok")]
    return Answer(0, tuple(Fact(*one) for one in names))


def looker(carrier: Carrier, clock: Callable[[], datetime] = now) -> Looker:
    return Looker(Eyes(Settings(), lambda _host: carrier, lambda _host: ["~/w"], clock))  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("trouble", [Failure(FailureKind.LOST, "gone"), Answer(0, ())])
def test_a_host_that_stops_answering_keeps_its_last_view(trouble: Answer | Failure) -> None:
    carrier = Carrier()
    eyes = looker(carrier)
    first = eyes.look(HOSTS[0])
    assert first.reachable and [one.name for one in first.specialists] == ["one"]
    carrier.answer = trouble
    second = eyes.look(HOSTS[0])
    assert not second.reachable and second.failure is not None
    assert (second.specialists, second.taken_at) == (first.specialists, first.taken_at)
    carrier.answer = good()
    assert eyes.look(HOSTS[0]).reachable


def test_what_was_told_is_known_in_the_next_script_and_forgotten_at_midnight() -> None:
    times = [datetime(2026, 11, 24, 12, tzinfo=timezone.utc)] * 4 + [
        datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    ] * 2
    carrier = Carrier()
    eyes = looker(carrier, iter(times).__next__)
    for _ in range(3):
        eyes.look(HOSTS[0])
    assert [b"specialists/one/meta.yaml" in script.text for script in carrier.scripts] == [False, True, False]


def test_once_is_in_the_order_asked_for() -> None:
    def look(host: Host) -> HostView:
        time.sleep(0.1 if host.name == "a" else 0)
        return seen(host)

    assert [one.host for one in once(HOSTS, look, jobs=2, now=now).hosts] == ["a", "b"]
