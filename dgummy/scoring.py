"""How loaded a host is, as one number. Pure.

The documented score is the weighted mean of four figures, each a fraction of the whole machine and capped
at 1: CPU in use, memory in use, one-minute load average per core, I/O contention. Lower is better. A figure
that is not known is left out and the other weights are renormalised; without any figure there is no score.

Figures are late. What is known to be on its way is added in jobs, one job being one busy core:

- a job that no figure shows yet adds 1/cores to CPU and to load (`extra_jobs`);
- a run of age a seconds is in the CPU figure, which is of this instant, but only 1-exp(-a/60) of it is in
  the one-minute load average, which the kernel damps exponentially over 60 s. The rest, exp(-a/60), is
  added to load (`lagging_jobs`);
- a run that was claimed less than two seconds before the probe, or has not started its command, is in no
  figure: it is an extra job.

A host whose cores are not known counts as having one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from dgummy.model import ActiveRun, Sample, Weights

LOAD_AVERAGE_S = 60.0
"""Time constant of the one-minute load average."""
FRESH_RUN_S = 2.0
"""A run younger than this is in no figure of the probe that saw it."""
LEAST_JOB_SHARE = 0.2
"""The least share that CPU and load together have in a choice; see `choice_weights`."""

_NO_LIMIT = math.inf


class Pending(msgspec.Struct, frozen=True):
    """What the figures do not show yet: jobs to add to CPU and load, and jobs to add to load alone."""

    extra_jobs: float = 0.0
    lagging_jobs: float = 0.0


def score(sample: Sample, weights: Weights, *, extra_jobs: float = 0.0, lagging_jobs: float = 0.0) -> float | None:
    """Give the documented score, 0..1, lower is better; None if no figure with a weight is known.

    `extra_jobs` busy cores are added to CPU and load, `lagging_jobs` to load alone, before the figures are
    capped.
    """
    return _mean(sample, weights, Pending(extra_jobs, lagging_jobs), _NO_LIMIT, 1.0)


def projection(sample: Sample, weights: Weights, *, extra_jobs: float = 0.0, lagging_jobs: float = 0.0) -> float | None:
    """Give the score with jobs added after the measured figures are capped, so that it may pass 1.

    This is what hosts are ordered by: it is the documented score of a host that nothing was sent to, and
    every job that is sent makes it worse, also on a host that is saturated.
    """
    return _mean(sample, weights, Pending(extra_jobs, lagging_jobs), 1.0, _NO_LIMIT)


def pressure(sample: Sample, weights: Weights, *, extra_jobs: float = 0.0, lagging_jobs: float = 0.0) -> float | None:
    """Give the score without any cap: it tells hosts apart whose load averages are all over one per core."""
    return _mean(sample, weights, Pending(extra_jobs, lagging_jobs), _NO_LIMIT, _NO_LIMIT)


def cores_of(sample: Sample) -> float:
    """Count the cores to share work by: 1 where the host could not tell."""
    cores = sample.cores
    return cores if cores is not None and 0 < cores < _NO_LIMIT else 1.0


def load_per_core(sample: Sample) -> float | None:
    """Give the one-minute load average divided by cores, uncapped; None if not known."""
    return None if sample.load1 is None else sample.load1 / cores_of(sample)


def lag_jobs(ages_s: Iterable[float]) -> float:
    """Count what the one-minute load average lacks of runs of these ages: the sum of exp(-age/60)."""
    return sum(math.exp(-max(0.0, age_s) / LOAD_AVERAGE_S) for age_s in ages_s)


def pending(active_runs: Iterable[ActiveRun], unseen_jobs: float = 0.0) -> Pending:
    """Sum up what a probe's figures lack: of the runs it found, and `unseen_jobs` it found no trace of."""
    in_figures: list[float] = []
    extra_jobs = unseen_jobs
    for run in active_runs:
        if run.started and run.age_s >= FRESH_RUN_S:
            in_figures.append(run.age_s)
        else:
            extra_jobs += 1
    return Pending(extra_jobs, lag_jobs(in_figures))


def choice_weights(weights: Weights) -> Weights:
    """Give the weights to choose by: these, with load raised until CPU and load have a fifth of the whole.

    By memory or I/O alone a host would not get any worse from what is sent to it, and a burst would all go
    to one.
    """
    felt, unfelt = weights.cpu + weights.load_average, weights.memory + weights.io
    least = unfelt * LEAST_JOB_SHARE / (1 - LEAST_JOB_SHARE)
    # Shares that are meant to be exactly a fifth may miss it by a rounding error.
    if felt >= least - 1e-9:
        return weights
    return replace(weights, load_average=weights.load_average + least - felt)


def _mean(sample: Sample, weights: Weights, jobs: Pending, cap_measured: float, cap_total: float) -> float | None:
    """Take the weighted mean of the known figures, each capped as measured and again with jobs added."""
    cores = cores_of(sample)
    cpu_jobs = jobs.extra_jobs / cores
    load_jobs = cpu_jobs + jobs.lagging_jobs / cores
    mem_pct, io_pct = sample.mem_pct, sample.io_pct
    total = known = 0.0
    for weight, value, added in (
        (weights.cpu, None if sample.cpu_pct is None else sample.cpu_pct / 100, cpu_jobs),
        (weights.memory, None if mem_pct is None else mem_pct / 100, 0.0),
        (weights.load_average, None if sample.load1 is None else sample.load1 / cores, load_jobs),
        (weights.io, None if io_pct is None else io_pct / 100, 0.0),
    ):
        # A figure that is not a finite number tells nothing.
        if value is None or weight <= 0 or not -_NO_LIMIT < value < _NO_LIMIT:
            continue
        total += weight * min(cap_total, min(cap_measured, max(0.0, value)) + added)
        known += weight
    return total / known if known else None
