"""How each candidate for a piece of work stands: what keeps it from the work, or how much room it has. Pure.

The order of hosts is that of `scoring.projection`: the documented score, plus the job to be placed, plus
what is on its way there (runs that are too young to show, placements that the probe does not show yet).
Hosts within `TOLERANCE` of the best are tied, since the figures are no better than that. Among the tied,
saturated hosts are told apart by uncapped pressure, then the one with the fewest runs per core wins, then
chance. "Tied" always means "with the best", never "with the next one", so the order does not depend on who
is compared with whom first.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum

import msgspec
from msgspec.structs import replace

from dgummy import scoring
from dgummy.findings import Work
from dgummy.gate import Unfit
from dgummy.model import Host, HostReport, Placement, Requirement, Sample, Weights
from dgummy.requirement import meets, shortfall

TOLERANCE = 0.02
"""Projected scores closer than this to the best are as good as the best."""
CLAIM_LAG = timedelta(seconds=2)
"""A run placed so shortly before a probe may have been claimed on the host only after it."""


class Obstacle(str, Enum):
    """Why a host cannot take the work at all. Only a workspace in use is worth waiting for."""

    EXCLUDED = "excluded"
    UNREACHABLE = "unreachable"
    REQUIREMENT = "lacking something"
    NO_SYNC = "where no project can be brought"
    BUSY = "workspace in use"


class Candidate(msgspec.Struct, frozen=True):
    """A host that was offered and what is known of its load; no report means that nobody could measure it."""

    host: Host
    report: HostReport | None = None


class Standing(msgspec.Struct, frozen=True):
    """How a candidate stands before anybody chooses.

    `score` is today's documented score, `current` adds what is on its way, `projected` the job to be placed
    as well (`scoring.projection`; it may pass 1); all None without load figures. `pressure` is `projected`
    without caps. `unseen` counts placements that the figures do not show. `hindrance` is one line about the
    obstacle.
    """

    candidate: Candidate
    sample: Sample | None = None
    score: float | None = None
    current: float | None = None
    projected: float | None = None
    pressure: float = 0.0
    unseen: int = 0
    obstacle: Obstacle | None = None
    hindrance: str = ""

    @property
    def name(self) -> str:
        """The host's name."""
        return self.candidate.host.name

    @property
    def active_runs(self) -> int:
        """How many runs the probe saw alive there."""
        return 0 if self.sample is None else len(self.sample.active_runs)

    @property
    def runs_per_core(self) -> float:
        """Runs there or on their way, by cores."""
        return 0.0 if self.sample is None else (self.active_runs + self.unseen) / scoring.cores_of(self.sample)


def standings(
    candidates: Iterable[Candidate],
    *,
    weights: Weights,
    placements: Iterable[Placement] = (),
    exclude: Collection[str] | Mapping[str, str] = frozenset(),
    requirements: Sequence[Requirement] = (),
    unfit: Mapping[str, Unfit] | None = None,
    workspace_in_use: Mapping[str, str] | None = None,
) -> list[Standing]:
    """Judge every candidate, in their order; a host that is named twice counts once.

    Arguments as for `placement.choose`.
    """
    placed: defaultdict[str, list[Placement]] = defaultdict(list)
    for placement in placements:
        placed[placement.host].append(placement)
    order_by = scoring.choice_weights(weights)
    in_use = workspace_in_use or {}
    unique: dict[str, Candidate] = {}
    for candidate in candidates:
        unique.setdefault(candidate.host.name, candidate)
    judged = []
    for name, candidate in unique.items():
        obstacle, hindrance = _obstacle(candidate, exclude, requirements, unfit or {}, in_use)
        standing = _measured(candidate, weights, order_by, placed.get(name, ()))
        judged.append(replace(standing, obstacle=obstacle, hindrance=hindrance) if obstacle else standing)
    return judged


def best_of(pool: Sequence[Standing], rng: random.Random) -> tuple[Standing, frozenset[str]]:
    """Find the best of some standings with load figures, and the names of all that were as good."""
    tied = _least(pool, lambda standing: standing.projected or 0.0, TOLERANCE)
    tied = _least(tied, lambda standing: standing.pressure, TOLERANCE)
    tied = _least(tied, lambda standing: standing.runs_per_core, 1e-9)
    return (tied[0] if len(tied) == 1 else rng.choice(tied)), frozenset(standing.name for standing in tied)


def _least(pool: Sequence[Standing], figure: Callable[[Standing], float], tolerance: float) -> Sequence[Standing]:
    """Keep those whose figure is within a tolerance of the least."""
    if len(pool) == 1:
        return pool
    limit = min(map(figure, pool)) + tolerance
    return [standing for standing in pool if figure(standing) <= limit]


def _obstacle(
    candidate: Candidate,
    exclude: Collection[str] | Mapping[str, str],
    requirements: Sequence[Requirement],
    unfit: Mapping[str, Unfit],
    in_use: Mapping[str, str],
) -> tuple[Obstacle | None, str]:
    """Tell what keeps a host from taking the work, with one line about it."""
    host, report = candidate.host, candidate.report
    if host.name in exclude:
        why = exclude[host.name] if isinstance(exclude, Mapping) else ""
        return Obstacle.EXCLUDED, _one_line(f"excluded: {why}" if why else "excluded")
    if report is not None and not report.reachable:
        return Obstacle.UNREACHABLE, _one_line(f"unreachable: {report.failure or 'no answer'}")
    if requirements:
        sample = report.sample if report is not None else None
        lacks = [shortfall(host, sample, need) for need in requirements if not meets(host, sample, need)]
        if lacks:
            return Obstacle.REQUIREMENT, _one_line(f"lacks {', '.join(lacks)}")
    if host.name in unfit:
        obstacle = Obstacle.NO_SYNC if unfit[host.name].work is Work.SYNC else Obstacle.REQUIREMENT
        return obstacle, _one_line(unfit[host.name].reason)
    if host.name in in_use:
        return Obstacle.BUSY, _one_line(f"workspace in use by {in_use[host.name] or 'another run'}")
    return None, ""


def _measured(candidate: Candidate, weights: Weights, order_by: Weights, placements: Sequence[Placement]) -> Standing:
    """Score a candidate, with and without what is on its way and the job to be placed."""
    report = candidate.report
    if report is None or report.sample is None:
        return Standing(candidate)
    sample = _with_declared_cores(candidate.host, report.sample)
    unseen = 0
    if placements:
        seen = {run.run_id for run in sample.active_runs}
        since = report.measured_at - CLAIM_LAG
        unseen = len({place.run_id for place in placements if place.at >= since} - seen)
    score = scoring.score(sample, weights)
    if score is None:
        return Standing(candidate, sample, unseen=unseen)
    current, lag = score, 0.0
    extra = float(unseen)
    if unseen or sample.active_runs:
        pending = scoring.pending(sample.active_runs, unseen)
        extra, lag = pending.extra_jobs, pending.lagging_jobs
        current = scoring.projection(sample, weights, extra_jobs=extra, lagging_jobs=lag) or 0.0
    projected = scoring.projection(sample, order_by, extra_jobs=extra + 1, lagging_jobs=lag)
    pressure = projected
    if (scoring.load_per_core(sample) or 0.0) > 1 or (sample.cpu_pct or 0.0) > 100:
        pressure = scoring.pressure(sample, order_by, extra_jobs=extra + 1, lagging_jobs=lag)
    return Standing(candidate, sample, score, current, projected, pressure or 0.0, unseen)


def _with_declared_cores(host: Host, sample: Sample) -> Sample:
    """Put the cores that the configuration states in place of what was probed."""
    try:
        cores = float(host.declared["cores"]) if host.declared else None
    except (KeyError, ValueError):
        return sample
    return sample if cores is None else replace(sample, cores=cores)


def _one_line(text: str) -> str:
    """Make text from elsewhere one line without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
