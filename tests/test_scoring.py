"""The score of one host, by hand-made sums."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.model import ActiveRun, Sample, Weights
from dgummy.scoring import (
    Pending,
    choice_weights,
    lag_jobs,
    load_per_core,
    pending,
    pressure,
    projection,
    score,
)

GB = 10**9


def sample(
    cpu: float | None = None,
    mem: float | None = None,
    load1: float | None = None,
    cores: float | None = 4,
    iowait: float | None = None,
    psi_io: float | None = None,
) -> Sample:
    return Sample(
        cpu_pct=cpu,
        mem_total_bytes=None if mem is None else 100 * GB,
        mem_available_bytes=None if mem is None else round((100 - mem) * GB),
        load1=load1,
        cores=cores,
        iowait_pct=iowait,
        psi_io_pct=psi_io,
    )


SCORES = [
    ("the documented example", sample(15, 45, 0.8), Weights(), 0.4 * 0.15 + 0.3 * 0.45 + 0.3 * 0.2),
    ("idle", sample(0, 0, 0), Weights(), 0),
    ("all full", sample(100, 100, 4), Weights(), 1),
    ("load is capped at one per core", sample(0, 0, 40), Weights(), 0.3),
    ("cpu is capped", sample(250, 0, 0), Weights(), 0.4),
    ("below zero counts as zero", sample(-5, 0, 0), Weights(), 0),
    ("weights are normalised", sample(15, 45, 0.8), Weights(4, 3, 3), 0.255),
    ("no cpu", sample(None, 45, 0.8), Weights(), (0.3 * 0.45 + 0.3 * 0.2) / 0.6),
    ("load alone", sample(None, None, 1), Weights(), 0.25),
    ("nothing", sample(), Weights(), None),
    ("nothing that has a weight", sample(15, 45, 0.8), Weights(0, 0, 0, 1), None),
    ("no weights", sample(15, 45, 0.8), Weights(0, 0, 0, 0), None),
    ("io wait", sample(20, 10, 0, iowait=50), Weights(0.1, 0.1, 0.1, 0.7), 0.02 + 0.01 + 0.35),
    ("io pressure wins over io wait", sample(0, 0, 0, iowait=50, psi_io=10), Weights(0, 0, 0, 1), 0.1),
    ("io without a weight does not count", sample(0, 0, 0, iowait=50), Weights(), 0),
    ("not a number is not known", sample(math.nan, 45, math.inf), Weights(), 0.45),
    ("cores not known: one", sample(load1=0.5, cores=None), Weights(), 0.5),
    ("no cores: one", sample(load1=0.5, cores=0), Weights(), 0.5),
    ("part of a core", sample(load1=0.25, cores=0.5), Weights(), 0.5),
]


@pytest.mark.parametrize(("figures", "weights", "wanted"), [case[1:] for case in SCORES], ids=[c[0] for c in SCORES])
def test_score(figures: Sample, weights: Weights, wanted: float | None) -> None:
    assert score(figures, weights) == (wanted if wanted is None else pytest.approx(wanted))


def test_extra_jobs_count_by_cores() -> None:
    weights = Weights()
    assert score(sample(20, 0, 1, 4), weights, extra_jobs=1) == pytest.approx(0.4 * 0.45 + 0.3 * 0.5)
    assert score(sample(20, 0, 1, 4), weights, lagging_jobs=1) == pytest.approx(0.4 * 0.2 + 0.3 * 0.5)
    assert score(sample(20, 0, 1, 4), weights, extra_jobs=100) == pytest.approx(0.7)


def test_more_room_is_more_cores_not_more_per_cent() -> None:
    large, small = sample(50, 40, 8, cores=16), sample(40, 40, 0.8, cores=2)
    weights = Weights()
    assert (score(large, weights) or 0) > (score(small, weights) or 0)
    for measure in (score, projection, pressure):
        assert (measure(large, weights, extra_jobs=1) or 9) < (measure(small, weights, extra_jobs=1) or 0)


def test_what_is_capped_when() -> None:
    busy, weights = sample(100, 0, 12, 4), Weights()
    assert score(busy, weights, extra_jobs=2) == pytest.approx(0.7)
    assert projection(busy, weights) == pytest.approx(0.7)
    assert projection(busy, weights, extra_jobs=2) == pytest.approx(0.7 * 1.5)
    assert pressure(busy, weights) == pytest.approx(0.4 + 0.3 * 3)
    assert pressure(busy, weights, extra_jobs=2) == pytest.approx(0.4 * 1.5 + 0.3 * 3.5)


def test_lag_of_the_load_average() -> None:
    assert lag_jobs([]) == 0
    assert lag_jobs([0]) == 1
    assert lag_jobs([60, 120]) == pytest.approx(math.exp(-1) + math.exp(-2))
    assert lag_jobs([-50]) == 1
    assert lag_jobs([1e9]) == 0


def test_runs_that_no_figure_shows_yet() -> None:
    young, old = ActiveRun("a", 1.9), ActiveRun("b", 60)
    syncing = ActiveRun("c", 500, started=False)
    assert pending(()) == Pending(0, 0)
    assert pending((young,)) == Pending(1, 0)
    assert pending((old,)) == Pending(0, lag_jobs([60]))
    assert pending((syncing,)) == Pending(1, 0)
    assert pending((young, old, syncing), unseen_jobs=3) == Pending(5, lag_jobs([60]))


def test_load_per_core() -> None:
    assert load_per_core(sample(load1=6, cores=4)) == 1.5
    assert load_per_core(sample()) is None


@pytest.mark.parametrize(
    ("weights", "wanted"),
    [
        (Weights(), Weights()),
        (Weights(0.1, 0.1, 0.1, 0.7), Weights(0.1, 0.1, 0.1, 0.7)),
        (Weights(0, 0, 0, 1), Weights(0, 0, 0.25, 1)),
        (Weights(0, 4, 0, 0), Weights(0, 4, 1, 0)),
        (Weights(0.1, 0, 0, 1), Weights(0.1, 0, 0.15, 1)),
    ],
)
def test_choice_weights_feel_jobs(weights: Weights, wanted: Weights) -> None:
    got = choice_weights(weights)
    assert (got.cpu, got.memory, got.io) == (wanted.cpu, wanted.memory, wanted.io)
    assert got.load_average == pytest.approx(wanted.load_average)


FIGURE = st.one_of(st.none(), st.floats(0, 300))


@given(FIGURE, st.one_of(st.none(), st.floats(0, 100)), FIGURE, st.floats(0.1, 256), st.floats(0, 50))
def test_scores_are_fractions_and_jobs_never_help(
    cpu: float | None, mem: float | None, load1: float | None, cores: float, jobs: float
) -> None:
    figures, weights = sample(cpu, mem, load1, cores), Weights()
    plain = score(figures, weights)
    loaded = score(figures, weights, extra_jobs=jobs)
    if plain is None or loaded is None:
        assert cpu is mem is load1 is plain is loaded is None
        return
    assert 0 <= plain <= loaded <= 1 + 1e-9
    assert projection(figures, weights) == pytest.approx(plain)
    assert loaded - 1e-9 <= (projection(figures, weights, extra_jobs=jobs) or 0)
    assert (projection(figures, weights, extra_jobs=jobs) or 0) - 1e-9 <= (
        pressure(figures, weights, extra_jobs=jobs) or 0
    )
