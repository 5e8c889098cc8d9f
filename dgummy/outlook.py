"""What a probe of a host means for work that is to share the host: jobs of others, and how much they slow it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from dgummy.model import Sample, Weights
from dgummy.scoring import FRESH_RUN_S, cores_of, lag_jobs

CRITERION_SHARE = 0.5
"""A figure with this share of the weights is what a kind of work is placed by (as in `routing.criterion_for`)."""
NEARLY_FULL = 0.8
"""Below this share in use, I/O and memory slow nothing that is not placed by them."""
FULLEST = 0.95
"""More than this share in use counts as this."""
SATURATED_PCT = 95.0
"""From here on the CPU figure cannot tell how many jobs there are; the load average can."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """A host as a place for work, as its last probe has it; no sample means that nobody could measure it.

    `measured_s` is when, by the clock that the batch is told the time of. `speed` is relative to an ordinary host.
    `slots` is how many jobs of ours it takes at once (1 where they need the same workspace), None for any number.
    `cores` wins over what was probed. ValueError for a speed that is no positive number.
    """

    host: str
    sample: Sample | None = None
    measured_s: float = 0.0
    speed: float = 1.0
    slots: int | None = None
    cores: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.speed < math.inf:
            raise ValueError(f"{self.host}: {self.speed} is no speed")

    @property
    def core_count(self) -> float:
        """The cores to share; 1 where nobody could tell."""
        return cores_of(Sample(cores=self.cores) if self.cores is not None or self.sample is None else self.sample)


def others_jobs(sample: Sample, cores: float, own: Collection[str], own_load: float) -> float:
    """Count the jobs of others that want a core, by one probe.

    That is the CPU in use, less a core for each run of ours (ids in `own`) that the figure shows. Where the CPU is
    saturated it is at least what the one-minute load average has beyond ours (`own_load`, damped like it), with what
    that lacks of others' runs. Runs of others that no figure shows yet are added.
    """
    ours, hidden, ages_s = 0, 0, []
    for run in sample.active_runs:
        shows = run.started and run.age_s >= FRESH_RUN_S
        if run.run_id in own:
            ours += shows
        elif shows:
            ages_s.append(run.age_s)
        else:
            hidden += 1
    cpu_pct, load = _finite(sample.cpu_pct), _finite(sample.load1)
    waiting = float(len(ages_s)) if load is None else max(0.0, load - own_load + lag_jobs(ages_s))
    if cpu_pct is None:
        return waiting + hidden
    busy = max(0.0, min(cpu_pct, 100.0) / 100 * cores - ours)
    return (max(busy, waiting) if cpu_pct >= SATURATED_PCT else busy) + hidden


def stretch(weights: Weights, sample: Sample | None, io_queued: float = 0.0) -> float:
    """How many times longer than by CPU alone a job takes on a host because of I/O and memory there; at least 1.

    A figure's share of the weights is taken as the share of the job's time that the figure slows. A device in use to
    ρ has ρ/(1-ρ) others to share it with (M/M/1 under processor sharing); `io_queued` are jobs of ours, as shares,
    that the figure does not show. A figure that is not what this kind of work is placed by counts only where it is
    nearly full.
    """
    total = weights.cpu + weights.memory + weights.load_average + weights.io
    if total <= 0:
        return 1.0
    io_pct, mem_pct = (None, None) if sample is None else (sample.io_pct, sample.mem_pct)
    return 1 + _delay(weights.io / total, io_pct, io_queued) + _delay(weights.memory / total, mem_pct, 0.0)


def io_share(weights: Weights) -> float:
    """The share of a job's time that I/O takes, if its kind is placed by I/O; else 0."""
    total = weights.cpu + weights.memory + weights.load_average + weights.io
    return weights.io / total if weights.io >= total * CRITERION_SHARE > 0 else 0.0


def _delay(share: float, used_pct: float | None, queued: float) -> float:
    """What is added to a job's time, by that time, for a figure of this share; unknown is half where it decides."""
    known_pct = _finite(used_pct)
    if share >= CRITERION_SHARE:
        used = min(FULLEST, 0.5 if known_pct is None else known_pct / 100)
        return share * (used / (1 - used) + queued)
    if known_pct is None or known_pct <= 100 * NEARLY_FULL:
        return 0.0
    used = min(FULLEST, (known_pct / 100 - NEARLY_FULL) / (1 - NEARLY_FULL))
    return share * used / (1 - used)


def _finite(value: float | None) -> float | None:
    return max(0.0, value) if value is not None and math.isfinite(value) else None
