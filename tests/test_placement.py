"""The choice of a host: cases as data, and how a burst of choices spreads."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgummy.model import (
    ActiveRun,
    Failure,
    FailureKind,
    Host,
    HostReport,
    Placement,
    Requirement,
    Sample,
    Weights,
)
from dgummy.placement import (
    Candidate,
    Choice,
    Method,
    Obstacle,
    best_of,
    choose,
    meets,
    parse_requirement,
    standings,
    what_it_has,
)
from dgummy.requirement import parse_size, shortfall
from dgummy.standing import TOLERANCE

DATA = Path(__file__).parent / "data" / "placement"
MEASURED = datetime(2026, 11, 23, 16, 45, 0, tzinfo=timezone.utc)
NOW = MEASURED + timedelta(seconds=10)
CASES: list[dict[str, Any]] = json.loads((DATA / "choices.json").read_text(encoding="utf-8"))


def host_sample(figures: dict[str, Any]) -> Sample:
    """Figures in short (`mem` in per cent) as a sample."""
    total = figures.get("mem_total", 10**10) if "mem" in figures else None
    return Sample(
        cpu_pct=figures.get("cpu"),
        psi_io_pct=figures.get("io"),
        mem_total_bytes=total,
        mem_available_bytes=None if total is None else round(total * (100 - figures["mem"]) / 100),
        load1=figures.get("load1"),
        cores=figures.get("cores"),
        os=figures.get("os", ""),
        arch=figures.get("arch", ""),
        disk_free_bytes=figures.get("disk"),
        tools=frozenset(figures.get("tools", ())),
        active_runs=tuple(
            ActiveRun(run[0], run[1], started=run[2] if len(run) > 2 else True) for run in figures.get("runs", ())
        ),
    )


def candidate(name: str, figures: dict[str, Any] | None) -> Candidate:
    if figures is None:
        return Candidate(Host(name))
    if "failure" in figures:
        kind, detail = figures["failure"]
        return Candidate(Host(name), HostReport(name, MEASURED, failure=Failure(FailureKind[kind], detail)))
    host = Host(name, declared=figures.get("declared", {}))
    return Candidate(host, HostReport(name, MEASURED, host_sample(figures)))


def decide(hosts: dict[str, Any], seed: int = 1, **options: Any) -> Choice:
    options.setdefault("weights", Weights())
    return choose(
        [candidate(name, figures) for name, figures in hosts.items()],
        now=NOW,
        rng=random.Random(seed),
        **options,
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_choice(case: dict[str, Any]) -> None:
    choice = decide(
        case["hosts"],
        weights=Weights(**case["weights"]) if "weights" in case else Weights(),
        placements=[
            Placement(run, host, MEASURED + timedelta(seconds=after_s))
            for run, host, after_s in case.get("placements", ())
        ],
        exclude=case.get("exclude", ()),
        requirements=[parse_requirement(text) for text in case.get("require", ())],
        preferences=case.get("prefer", ()),
        workspace_in_use=case.get("in_use"),
        round_robin_after=case.get("after"),
        task_type=case.get("type", ""),
    )
    told = {verdict.host: verdict.reason for verdict in choice.verdicts}
    assert choice.host == case["chosen"], told
    assert choice.method == case.get("method", choice.method)
    assert {name: told[name] for name in case.get("reasons", {})} == case.get("reasons", {})
    assert list(choice.why) == case.get("why", list(choice.why))
    assert choice.is_worth_waiting == case.get("worth_waiting", False)
    check_verdicts(choice, list(case["hosts"]))


def check_verdicts(choice: Choice, names: list[str]) -> None:
    """Hold what is true of every choice against one."""
    assert [verdict.host for verdict in choice.verdicts] == names
    assert [verdict.host for verdict in choice.verdicts if verdict.chosen] == ([choice.host] if choice.host else [])
    for verdict in choice.verdicts:
        assert verdict.reason and "\n" not in verdict.reason and verdict.reason.isprintable()
        assert verdict.eligible is (verdict.obstacle is None)
        assert verdict.eligible or not verdict.chosen
    assert choice.why
    assert (choice.host is None) is (choice.method is Method.NONE) is (not choice.eligible)


def test_what_a_choice_gives_at_hand() -> None:
    choice = decide({"a": {"cpu": 50, "mem": 20, "load1": 2, "cores": 4, "runs": [["r", 1]]}, "b": {"cpu": 100}})
    assert choice.host == "a"
    assert choice.score == pytest.approx(0.4 * 0.5 + 0.3 * 0.2 + 0.3 * 0.5)
    assert choice.sample is not None and choice.sample.cpu_pct == 50
    assert choice.report is not None and choice.report.host == "a"
    assert choice.verdict is not None and choice.verdict.active_runs == 1
    assert choice.verdict.projected == pytest.approx(0.41 + 0.7 * 2 / 4)
    assert choice.eligible == ("a", "b")
    nobody = decide({})
    assert (nobody.host, nobody.score, nobody.sample, nobody.report, nobody.verdict) == (None,) * 5


def test_only_a_workspace_in_use_is_worth_waiting_for() -> None:
    down = {"failure": ["TIMED_OUT", ""]}
    assert decide({"a": {"cpu": 1}, "b": down}, workspace_in_use={"a": "r1"}).is_worth_waiting
    assert not decide({"a": {"cpu": 1}, "b": down}, exclude={"a"}, workspace_in_use={"a": "r1"}).is_worth_waiting
    assert not decide({"a": {"cpu": 1}, "b": {"cpu": 1}}, workspace_in_use={"a": "r1"}).is_worth_waiting
    verdicts = decide({"a": {"cpu": 1}, "b": down}, workspace_in_use={"a": "r1"}).verdicts
    assert [verdict.obstacle for verdict in verdicts] == [Obstacle.BUSY, Obstacle.UNREACHABLE]


def test_a_host_named_twice_counts_once() -> None:
    twice = [candidate("a", {"cpu": 10}), candidate("b", {"cpu": 20}), candidate("a", {"cpu": 90})]
    choice = choose(twice, weights=Weights(), now=NOW, rng=random.Random(1))
    check_verdicts(choice, ["a", "b"])
    assert choice.host == "a" and choice.score == pytest.approx(0.1)


def burst(hosts: dict[str, Any], count: int, seed: int, **options: Any) -> Counter[str]:
    """Choose for one job after the other from the same old figures, each told of those before."""
    placements: list[Placement] = []
    for number in range(count):
        choice = decide(hosts, seed + number, placements=placements, **options)
        assert choice.host is not None
        placements.append(Placement(f"run-{number}", choice.host, NOW + timedelta(milliseconds=number)))
    return Counter(placement.host for placement in placements)


EQUAL = {
    "idle": {"cpu": 5, "mem": 30, "load1": 0.2, "cores": 4},
    "saturated": {"cpu": 100, "mem": 90, "load1": 12, "cores": 4},
    "one core": {"cpu": 5, "mem": 30, "load1": 0.2, "cores": 1},
    "so many cores that a job is less than the tolerance": {"cpu": 5, "mem": 30, "load1": 0.2, "cores": 128},
    "cores not known": {"cpu": 5, "mem": 30, "load1": 0.2},
    "memory alone": {"mem": 30},
}


@pytest.mark.parametrize("figures", EQUAL.values(), ids=EQUAL)
@pytest.mark.parametrize("weights", [Weights(), Weights(0, 0, 0, 1), Weights(0, 1, 0, 0)])
def test_a_burst_over_equal_hosts_is_spread_equally(figures: dict[str, Any], weights: Weights) -> None:
    hosts = {f"node-{number}": {**figures, "io": 10} for number in range(4)}
    counts = burst(hosts, 20, seed=7, weights=weights)
    assert sorted(counts.values()) == [5, 5, 5, 5]


def test_a_burst_is_spread_by_cores() -> None:
    counts = burst(
        {
            "large": {"cpu": 0, "mem": 20, "load1": 0, "cores": 8},
            "small": {"cpu": 0, "mem": 20, "load1": 0, "cores": 2},
        },
        20,
        seed=3,
    )
    assert counts["large"] == pytest.approx(16, abs=1)


def test_a_burst_by_io_alone_does_not_all_go_to_one() -> None:
    hosts = {f"n{pct}": {"cpu": 5, "mem": 30, "load1": 0.2, "cores": 4, "io": pct} for pct in (1, 5, 9)}
    counts = burst(hosts, 12, seed=3, weights=Weights(0, 0, 0, 1))
    assert min(counts[name] for name in hosts) >= 2


def test_a_preferred_host_does_not_take_a_whole_burst() -> None:
    hosts = {name: {"cpu": 5, "mem": 30, "load1": 0.2, "cores": 4} for name in ("a", "b", "c")}
    counts = burst(hosts, 12, seed=3, preferences=["b"])
    assert 3 <= counts["b"] <= 6 and counts["a"] >= 3 and counts["c"] >= 3


def test_hosts_saturated_unequally_still_share() -> None:
    hosts = {
        "a": {"cpu": 100, "mem": 20, "load1": 20, "cores": 4},
        "b": {"cpu": 100, "mem": 30, "load1": 8, "cores": 4},
    }
    counts = burst(hosts, 20, seed=5)
    assert counts["a"] >= 5 and counts["b"] >= 5


def test_ties_are_broken_evenly_not_by_list_order() -> None:
    hosts = {name: {"cpu": 10, "mem": 30, "load1": 0.4, "cores": 4} for name in "abcd"}
    counts = Counter(decide(hosts, seed).host for seed in range(400))
    # Chi-square with 3 degrees of freedom passes 16.3 once in a thousand; the seeds are fixed.
    assert sum((counts[name] - 100) ** 2 / 100 for name in hosts) < 16.3


def test_figures_within_the_tolerance_are_ties_and_others_are_not() -> None:
    hosts = {"a": {"cpu": 10.0, "cores": 4}, "b": {"cpu": 11.5, "cores": 4}, "c": {"cpu": 13.0, "cores": 4}}
    chosen = Counter(decide(hosts, seed).host for seed in range(100))
    # c is as good as b and b as a, but c is not as good as a, the best.
    assert set(chosen) == {"a", "b"}
    choice = decide(hosts, 1)
    other = "b" if choice.host == "a" else "a"
    told = {verdict.host: verdict.reason for verdict in choice.verdicts}
    assert told[other].endswith(f"as good as {choice.host}, chance decided")
    assert told["c"].endswith(f"{choice.host} has more room")
    assert f"as good as {other}; chance decided" in choice.why


FIGURES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "cpu": st.floats(0, 100),
            "mem": st.integers(0, 100),
            "load1": st.floats(0, 100),
            "cores": st.sampled_from([1, 2, 4, 16]),
            "io": st.floats(0, 100),
            "runs": st.lists(st.tuples(st.sampled_from("xyz"), st.floats(0, 200), st.booleans()), max_size=3),
        },
    ),
    st.just({"failure": ["NO_ROUTE", "x\x1b[2J"]}),
)


@settings(max_examples=150)
@given(
    st.dictionaries(st.sampled_from("abcdef"), FIGURES),
    st.sets(st.sampled_from("abcdef"), max_size=2),
    st.sets(st.sampled_from("abcdef"), max_size=3),
    st.dictionaries(st.sampled_from("abcdef"), st.just("somebody"), max_size=2),
    st.lists(st.tuples(st.sampled_from("xyzuvw"), st.sampled_from("abcdefg")), max_size=6),
    st.integers(0, 5),
)
def test_whatever_comes_in_a_choice_holds(
    hosts: dict[str, Any],
    excluded: set[str],
    preferred: set[str],
    in_use: dict[str, str],
    placed: list[tuple[str, str]],
    seed: int,
) -> None:
    options: dict[str, Any] = {
        "exclude": excluded,
        "preferences": preferred,
        "workspace_in_use": in_use,
        "placements": [Placement(run, host, MEASURED) for run, host in placed],
    }
    choice = decide(hosts, seed, **options)
    check_verdicts(choice, list(hosts))
    assert choice == decide(hosts, seed, **options)
    if choice.method is Method.SCORE:
        known = [v.projected for v in choice.verdicts if v.eligible and v.projected is not None]
        assert choice.verdict is not None and choice.verdict.projected is not None
        assert choice.verdict.projected <= min(known) + TOLERANCE
    backwards = decide(dict(reversed(hosts.items())), seed, **options)
    assert {v.host: (v.eligible, v.projected) for v in backwards.verdicts} == {
        v.host: (v.eligible, v.projected) for v in choice.verdicts
    }


def test_standings_are_open_to_choose_from_otherwise() -> None:
    candidates = [
        candidate("a", {"cpu": 90}),
        candidate("b", {"cpu": 10}),
        candidate("c", {"failure": ["DNS", ""]}),
    ]
    judged = standings(candidates, weights=Weights())
    assert [standing.name for standing in judged] == ["a", "b", "c"]
    best, tied = best_of([standing for standing in judged if standing.obstacle is None], random.Random(1))
    assert best.name == "b" and tied == {"b"}


def test_a_thousand_hosts_are_chosen_from_in_no_time() -> None:
    rng = random.Random(5)
    candidates = [
        candidate(
            f"node-{number}",
            {
                "cpu": rng.uniform(0, 100),
                "mem": 30,
                "load1": rng.uniform(0, 8),
                "cores": 4,
                "runs": [["r", 9]],
            },
        )
        for number in range(1000)
    ]
    times = []
    for _ in range(5):
        start = time.perf_counter()
        choose(candidates, weights=Weights(), now=NOW, rng=rng)
        times.append(time.perf_counter() - start)
    # About 15 ms on an ordinary machine; the bound is for busy ones, and catches what is quadratic.
    assert min(times) < 0.15


PARSED = [
    ("docker", Requirement("docker")),
    (" g++ ", Requirement("g++")),
    ("python3.11", Requirement("python3.11")),
    ("os=darwin", Requirement("os", "=", "darwin")),
    ("OS = macOS", Requirement("os", "=", "macOS")),
    ("macos", Requirement("os", "=", "darwin")),
    ("linux", Requirement("os", "=", "linux")),
    ("arch!=arm64", Requirement("arch", "!=", "arm64")),
    ("cores>=8", Requirement("cores", ">=", "8")),
    ("cpus < 8", Requirement("cores", "<", "8")),
    ("memory>=16GB", Requirement("mem", ">=", "16GB")),
    ("disk>500 MB", Requirement("disk", ">", "500 MB")),
    ("gpu==a100", Requirement("gpu", "=", "a100")),
    ("zone=eu west", Requirement("zone", "=", "eu west")),
]


@pytest.mark.parametrize(("text", "wanted"), PARSED)
def test_parse_requirement(text: str, wanted: Requirement) -> None:
    assert parse_requirement(text) == wanted
    assert parse_requirement(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a requirement"),
        ("-v", "not a requirement"),
        ("=8", "not a requirement"),
        ("two words", "not a requirement"),
        ("a;b", "not a requirement"),
        ("a\x1b[0m", "not a requirement"),
        ("x" * 300, "not a requirement"),
        ("cores", "how much; write cores>=8"),
        ("mem", "how much; write mem>=8GB"),
        ("os", "which"),
        ("cores>=", "no value"),
        ("cores>=many", "not a number"),
        ("mem>=16 apples", "not a number"),
        ("gpu>=big", "not a number"),
        ("os>=linux", "only be compared with"),
    ],
)
def test_parse_requirement_refuses(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        parse_requirement(text)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


PROBED = host_sample(
    {
        "cores": 8,
        "mem": 50,
        "mem_total": 16_500_000_000,
        "disk": 40 * 10**9,
        "os": "Linux",
        "arch": "aarch64",
        "tools": ["docker", "git"],
    }
)
DECLARED = {"gpu": "A100", "docker": "false", "os": "darwin", "cores": "2", "cuda": "12.4", "big": "true"}

MET = [
    ("docker", {}, True),
    ("podman", {}, False),
    ("Docker", {}, False),
    ("docker=true", {}, True),
    ("os=linux", {}, True),
    ("os=LINUX", {}, True),
    ("os=darwin", {}, False),
    ("os!=darwin", {}, True),
    ("arch=arm64", {}, True),
    ("arch=aarch64", {}, True),
    ("arch=amd64", {}, False),
    ("cores>=8", {}, True),
    ("cores>8", {}, False),
    ("cores=8", {}, True),
    ("cores!=8", {}, False),
    ("cores<=8", {}, True),
    ("cores<8.5", {}, True),
    ("mem>=16GB", {}, True),
    ("mem>=16GiB", {}, False),
    ("mem>=16500M", {}, True),
    ("disk>=40G", {}, True),
    ("disk>=41gb", {}, False),
    ("gpu", {}, False),
    ("gpu!=a100", {}, False),
    ("docker", DECLARED, False),
    ("big", DECLARED, True),
    ("gpu", DECLARED, True),
    ("gpu=a100", DECLARED, True),
    ("gpu!=a100", DECLARED, False),
    ("gpu=h100", DECLARED, False),
    ("gpu>=5", DECLARED, False),
    ("cuda>=12.1", DECLARED, True),
    ("cuda>=13", DECLARED, False),
    ("macos", DECLARED, True),
    ("cores>=8", DECLARED, False),
    ("git", DECLARED, True),
]


@pytest.mark.parametrize(("text", "declared", "wanted"), MET)
def test_meets(text: str, declared: dict[str, str], wanted: bool) -> None:
    assert meets(Host("h", declared=declared), PROBED, parse_requirement(text)) is wanted


def test_without_a_probe_only_what_is_declared_is_there() -> None:
    host = Host("h", declared=DECLARED)
    assert meets(host, None, parse_requirement("gpu=a100"))
    assert not meets(host, None, parse_requirement("git"))
    assert not meets(host, Sample(), parse_requirement("arch=arm64"))
    assert not meets(host, None, parse_requirement("arch!=arm64"))
    assert what_it_has(host, None, "cores") == "2"
    assert what_it_has(Host("h"), PROBED, "mem") == "16500000000"
    assert shortfall(host, None, parse_requirement("git")) == "git (not known)"
    assert shortfall(host, PROBED, parse_requirement("docker")) == "docker"
    assert shortfall(host, PROBED, parse_requirement("gpu=h100")) == "gpu=h100 (it has A100)"
    assert shortfall(Host("h"), PROBED, parse_requirement("disk>=1TB")) == "disk>=1TB (it has 40 GB)"
    assert shortfall(Host("h", declared={"mem": "lots"}), None, parse_requirement("mem>=1G")) == "mem>=1G (it has lots)"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8", 8),
        ("1.5k", 1500),
        ("16GB", 16e9),
        ("16 gib", 16 * 2**30),
        ("512MiB", 2**29),
        ("0B", 0),
        ("2T", 2e12),
    ],
)
def test_parse_size(text: str, size: float) -> None:
    assert parse_size(text) == size
