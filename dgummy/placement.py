"""Which host takes a piece of work, and why. Pure: time and chance come in as arguments.

How hosts are ordered is told in `dgummy.standing`, what a host can be asked for in `dgummy.requirement`.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from dgummy import homes
from dgummy.explain import Method, Pick, Preference, reasons, verdict_reason
from dgummy.gate import Unfit
from dgummy.homes import Home
from dgummy.model import HostReport, Memory, Placement, Requirement, Sample, Weights
from dgummy.requirement import meets, parse_requirement, what_it_has
from dgummy.standing import Candidate, Obstacle, Standing, best_of, standings

__all__ = [
    "Candidate",
    "Choice",
    "Method",
    "Obstacle",
    "Standing",
    "Verdict",
    "best_of",
    "choose",
    "meets",
    "parse_requirement",
    "standings",
    "what_it_has",
]


class Verdict(msgspec.Struct, frozen=True):
    """What was decided about one host, and the one line that says why. Scores as in `Standing`."""

    host: str
    chosen: bool
    eligible: bool
    score: float | None
    projected: float | None
    reason: str
    active_runs: int = 0
    obstacle: Obstacle | None = None


class Choice(msgspec.Struct, frozen=True):
    """The host that was picked (None if no host can take the work), and why.

    `verdicts` holds one per candidate, in their order. `why` holds plain sentences, most important first.
    `report` is what was known of the chosen host, `memory` what the task's specialist remembers there.
    """

    host: str | None
    verdicts: tuple[Verdict, ...]
    why: tuple[str, ...]
    method: Method
    report: HostReport | None = None
    memory: Memory | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the chosen host."""
        return next((verdict for verdict in self.verdicts if verdict.chosen), None)

    @property
    def score(self) -> float | None:
        """The documented score of the chosen host."""
        verdict = self.verdict
        return None if verdict is None else verdict.score

    @property
    def sample(self) -> Sample | None:
        """The load figures of the chosen host."""
        return None if self.report is None else self.report.sample

    @property
    def eligible(self) -> tuple[str, ...]:
        """The hosts that could take the work, in the order of the candidates."""
        return tuple(verdict.host for verdict in self.verdicts if verdict.eligible)

    @property
    def is_worth_waiting(self) -> bool:
        """Whether no host can take the work now, but one could once its workspace is free."""
        return self.host is None and any(verdict.obstacle is Obstacle.BUSY for verdict in self.verdicts)


def choose(
    candidates: Iterable[Candidate],
    *,
    weights: Weights,
    now: datetime,
    rng: random.Random,
    placements: Iterable[Placement] = (),
    exclude: Collection[str] | Mapping[str, str] = frozenset(),
    requirements: Sequence[Requirement] = (),
    unfit: Mapping[str, Unfit] | None = None,
    preferences: Collection[str] = (),
    overload_threshold: float = 0.85,
    workspace_in_use: Mapping[str, str] | None = None,
    round_robin_after: str | None = None,
    task_type: str = "",
    home: Home | None = None,
    home_margin: float = 0.25,
) -> Choice:
    """Pick the host for one job and say why.

    `weights` are the criterion of the kind of work, `task_type` its name for the explanation. `placements`
    are runs of ours that are not known to be over; they count from `standing.CLAIM_LAG` before a host's
    probe. `exclude` may map a host to the reason. `unfit` maps hosts that cannot take work of this kind to the
    reason, `workspace_in_use` a host to who has the workspace there. `preferences` come first while their score,
    with what is on its way, is below `overload_threshold`. Where no host has load figures, the next one after
    `round_robin_after` in the order of the candidates is taken. Before all that the task goes to the `home` of
    its specialist, unless that is worse than the best host by more than `home_margin`.
    """
    judged = standings(
        candidates,
        weights=weights,
        placements=placements,
        exclude=exclude,
        requirements=requirements,
        unfit=unfit,
        workspace_in_use=workspace_in_use,
    )
    preference = Preference(frozenset(preferences), overload_threshold, task_type)
    resident = homes.resident(home, judged, home_margin)
    pick = Pick(resident, Method.HOME) if resident else _pick(judged, preference, rng, round_robin_after)
    verdicts = tuple(
        Verdict(
            host=standing.name,
            chosen=standing is pick.chosen,
            eligible=standing.obstacle is None,
            score=standing.score,
            projected=standing.projected,
            reason=verdict_reason(standing, pick, preference, weights),
            active_runs=standing.active_runs,
            obstacle=standing.obstacle,
        )
        for standing in judged
    )
    why = reasons(judged, pick, preference, weights, now)
    if pick.chosen is None:
        return Choice(None, verdicts, why, pick.method)
    memory = None if home is None else homes.memory(home, judged, pick.chosen.name)
    if memory is not None and memory.home is not None:
        first = () if pick.method is Method.HOME else why[:1]
        why = (*first, memory.reason, *why[1:])
    return Choice(pick.chosen.name, verdicts, why, pick.method, pick.chosen.candidate.report, memory)


def _pick(judged: Sequence[Standing], preference: Preference, rng: random.Random, after: str | None) -> Pick:
    """Pick preferred hosts with room first, then the most room, then the next in turn."""
    eligible = [standing for standing in judged if standing.obstacle is None]
    if not eligible:
        return Pick(None, Method.NONE)
    scored = [standing for standing in eligible if standing.score is not None]
    wanted = [standing for standing in scored or eligible if standing.name in preference.hosts]
    wanted = [standing for standing in wanted if not preference.overloads(standing)]
    if not scored:
        return _next_in_turn(judged, wanted or eligible, after, preferred=bool(wanted))
    chosen, tied = best_of(wanted or scored, rng)
    method = Method.PREFERENCE if wanted else Method.SCORE
    return Pick(chosen, method, tied - {chosen.name}, preferred=bool(wanted))


def _next_in_turn(judged: Sequence[Standing], pool: Sequence[Standing], after: str | None, *, preferred: bool) -> Pick:
    """Take the first of the pool that comes after a host in the list, going round."""
    names = [standing.name for standing in judged]
    start = names.index(after) + 1 if after in names else 0
    turn = {name: (position - start) % len(names) for position, name in enumerate(names)}
    chosen = min(pool, key=lambda standing: turn[standing.name])
    return Pick(chosen, Method.ROUND_ROBIN, preferred=preferred, after=(after or "") if start else "")
