"""What earlier runs tell about the next ones: cases as data, and worlds whose truth is known."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.forecast import FASTEST, SLOWEST, Forecast, PastRun, forecast

DATA = Path(__file__).parent / "data" / "forecast" / "cases.json"
CASES: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_forecast(case: dict[str, Any]) -> None:
    known = forecast(PastRun(*run) for run in case["runs"])
    for work, task_type, expected_s in case["expected"]:
        assert known.expected_s(work, task_type) == (
            None if expected_s is None else pytest.approx(expected_s, rel=1e-4)
        ), work
    for host, speed in case["speeds"].items():
        assert known.speed(host) == pytest.approx(speed, abs=1e-3), host


def test_durations_that_are_no_numbers_tell_nothing() -> None:
    assert forecast([PastRun("w", "a", math.nan, "testing"), PastRun("w", "a", math.inf)]) == Forecast()


def test_speeds_and_durations_are_found_in_a_noisy_history() -> None:
    rng = random.Random(1)
    speeds = {"slow": 0.7, "usual": 1.0, "fast": 1.5}
    works = {f"work {number}": rng.lognormvariate(5, 1) for number in range(20)}
    runs = [
        PastRun(work, host, took_s * rng.lognormvariate(0, 0.2) * (20 if rng.random() < 0.05 else 1) / speeds[host])
        for _ in range(3)
        for work, took_s in works.items()
        for host in speeds
    ]
    known = forecast(runs)
    for host, speed in speeds.items():
        assert known.speed(host) == pytest.approx(speed, rel=0.08)
    for work, took_s in works.items():
        assert known.expected_s(work) == pytest.approx(took_s, rel=0.3)


def test_hosts_that_share_no_work_are_compared_through_a_third() -> None:
    pairs = [("a", "b"), ("b", "c")]
    took_s = {"a": 50, "b": 100, "c": 200}
    runs = [
        PastRun(f"{pair} {number}", host, took_s[host] * (1 + number))
        for pair in pairs
        for number in range(40)
        for host in pair
    ]
    known = forecast(runs)
    assert known.speed("a") / known.speed("c") == pytest.approx(4, rel=0.15)


def test_durations_that_are_worlds_apart_are_no_reason_to_fail() -> None:
    known = forecast([PastRun("w", "a", 1e-300)] * 9 + [PastRun("w", "b", 1e300)] * 9)
    assert (known.speed("a"), known.speed("b")) == pytest.approx((FASTEST, SLOWEST))


@given(
    st.lists(
        st.builds(
            PastRun,
            st.sampled_from("uvw"),
            st.sampled_from("abcd"),
            st.floats(allow_nan=True, allow_infinity=True),
            st.sampled_from(("", "testing")),
        ),
        max_size=30,
    )
)
def test_whatever_the_history_figures_are_sane(runs: list[PastRun]) -> None:
    known = forecast(runs)
    for host in "abcd":
        assert 0.999 * SLOWEST <= known.speed(host) <= 1.001 * FASTEST
    for work in "uvw":
        expected_s = known.expected_s(work, "testing")
        assert expected_s is None or expected_s > 0
    assert known == forecast(runs)


@given(st.floats(0.01, 100), st.integers(1, 5))
def test_faster_on_every_host_changes_durations_but_no_speed(factor: float, count: int) -> None:
    history = [("a", 10.0), ("b", 20.0), ("c", 35.0)] * count
    before = forecast(PastRun("w", host, took_s) for host, took_s in history)
    after = forecast(PastRun("w", host, took_s * factor) for host, took_s in history)
    for host in "abc":
        assert after.speed(host) == pytest.approx(before.speed(host))
    assert after.by_work["w"] == pytest.approx(before.by_work["w"] * factor)
