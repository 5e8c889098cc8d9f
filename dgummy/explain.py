"""Why a host was picked or passed over, in plain words with figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import Enum

import msgspec

from dgummy import scoring
from dgummy.model import Sample, Weights
from dgummy.standing import TOLERANCE, Standing
from dgummy.units import format_count, format_duration

_MAX_NAMES = 5


class Method(str, Enum):
    """How a host was picked."""

    SCORE = "score"
    PREFERENCE = "preference"
    ROUND_ROBIN = "round robin"
    HOME = "home"
    NONE = "none"


class Preference(msgspec.Struct, frozen=True):
    """The preferred hosts, how loaded they may be, and the kind of work they are preferred for."""

    hosts: frozenset[str]
    threshold: float
    task_type: str

    @property
    def text(self) -> str:
        """`preferred for database`."""
        return f"preferred for {self.task_type}" if self.task_type else "preferred"

    def overloads(self, standing: Standing) -> bool:
        """Whether this is a preferred host that is too loaded to be preferred."""
        return standing.name in self.hosts and standing.current is not None and standing.current >= self.threshold


class Pick(msgspec.Struct, frozen=True):
    """The chosen standing, how it was found, those that were as good, and whose turn it was before."""

    chosen: Standing | None
    method: Method
    tied: frozenset[str] = frozenset()
    preferred: bool = False
    after: str = ""


def figures(standing: Standing, weights: Weights) -> str:
    """Tell what is known of a host: `CPU 12%, memory 35%, load 0.18 per core (4 cores), 1 run active`."""
    sample = standing.sample
    if sample is None:
        return "no load figures"
    parts = [text for text in (_cpu(sample), _memory(sample), _load(sample)) if text]
    if weights.io > 0 and (io := _io(sample)):
        parts.append(io)
    if standing.active_runs:
        parts.append(f"{format_count(standing.active_runs, 'run')} active")
    if standing.unseen:
        parts.append(f"{standing.unseen} on the way")
    return ", ".join(parts) or "no load figures"


def verdict_reason(standing: Standing, pick: Pick, preference: Preference, weights: Weights) -> str:
    """Say in one line what became of one host."""
    if standing.hindrance or pick.chosen is None:
        return standing.hindrance
    if standing is pick.chosen:
        return _chosen(standing, pick, preference, weights)
    against = _against(standing, pick, pick.chosen, preference)
    if standing.score is None:
        return f"no load figures: {against}"
    key_figure = _key_figure(standing, weights)
    comparison = _surprise(standing, pick.chosen)
    return f"score {standing.score:.2f}{key_figure}{comparison}: {against}"


def reasons(
    judged: Sequence[Standing], pick: Pick, preference: Preference, weights: Weights, now: datetime
) -> tuple[str, ...]:
    """Say why the choice is what it is, most important first."""
    chosen = pick.chosen
    if chosen is None:
        return (_nobody(judged),)
    lines = [_headline(judged, pick, preference, chosen)]
    if chosen.score is not None:
        lines.append(figures(chosen, weights))
    if pick.tied:
        lines.append(f"as good as {_names(sorted(pick.tied))}; chance decided")
    overloaded = [standing.name for standing in judged if preference.overloads(standing)]
    if overloaded:
        lines.append(f"{_names(overloaded)}: {preference.text}, but overloaded")
    if chosen.sample is not None and chosen.candidate.report is not None:
        age_s = max(0.0, (now - chosen.candidate.report.measured_at).total_seconds())
        lines.append(f"measured {format_duration(age_s)} ago")
    return tuple(lines)


def _chosen(standing: Standing, pick: Pick, preference: Preference, weights: Weights) -> str:
    """Say why the chosen host was chosen."""
    preferred = f"{preference.text}; " if pick.preferred else ""
    if standing.score is None and pick.method is Method.HOME:
        return "no load figures: the task's specialist lives here"
    if standing.score is None:
        turn = f"next in turn after {pick.after}" if pick.after else "first in turn"
        return f"{preferred}no load figures: {turn}"
    line = f"{preferred}score {standing.score:.2f}: {figures(standing, weights)}"
    return f"{line}; {preference.text}, but overloaded" if preference.overloads(standing) else line


def _against(standing: Standing, pick: Pick, chosen: Standing, preference: Preference) -> str:
    """Say what speaks against a host that could have taken the work."""
    if pick.preferred and standing.name not in preference.hosts:
        return f"{chosen.name} is {preference.text}"
    if pick.method is Method.ROUND_ROBIN:
        return f"it is the turn of {chosen.name}"
    if pick.method is Method.HOME:
        return f"the task's specialist lives on {chosen.name}"
    if standing.score is None:
        return f"{chosen.name} has some"
    if standing.name in pick.tied:
        return f"as good as {chosen.name}, chance decided"
    room = f"{chosen.name} has more room"
    if preference.overloads(standing):
        return f"{preference.text}, but overloaded (over {preference.threshold:g}); {room}"
    return room


def _surprise(standing: Standing, chosen: Standing) -> str:
    """Say what explains that a host lost although its score today is no worse."""
    if standing.score is None or chosen.score is None or standing.sample is None:
        return ""
    if standing.projected is None or chosen.projected is None:
        return ""
    if standing.score > chosen.score or standing.projected <= chosen.projected + TOLERANCE:
        return ""
    on_the_way = f", {standing.unseen} on the way" if standing.unseen else ""
    return (
        f", {_cores(scoring.cores_of(standing.sample))}{on_the_way}"
        f" ({standing.projected:.2f} with this job, there {chosen.projected:.2f})"
    )


def _headline(judged: Sequence[Standing], pick: Pick, preference: Preference, chosen: Standing) -> str:
    """Write the first sentence of the reasons."""
    if pick.method is Method.HOME:
        return f"{chosen.name} is where the task's specialist lives"
    if pick.method is Method.ROUND_ROBIN:
        return f"no host has load figures: {chosen.name} is next in turn"
    able = sum(standing.obstacle is None for standing in judged)
    if able == 1:
        only = " the only host" if len(judged) == 1 else f" the only one of {len(judged)} hosts that can take it"
        return f"{chosen.name} is{only}: score {chosen.score:.2f}"
    if pick.preferred:
        return f"{chosen.name} is {preference.text}: score {chosen.score:.2f}"
    return f"{chosen.name} has the most room of {able} hosts: score {chosen.score:.2f}"


def _nobody(judged: Sequence[Standing]) -> str:
    """Say why nobody can take the work: `none of 3 hosts can take it: 2 unreachable, 1 excluded`."""
    if not judged:
        return "no host was offered"
    if len(judged) == 1:
        return f"{judged[0].name} cannot take it: {judged[0].hindrance}"
    counts = Counter(standing.obstacle.value for standing in judged if standing.obstacle is not None)
    told = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    return f"none of {len(judged)} hosts can take it: {told}"


def _names(names: Sequence[str]) -> str:
    """List some names, and how many more there are."""
    if len(names) <= _MAX_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:_MAX_NAMES])} and {len(names) - _MAX_NAMES} more"


def _key_figure(standing: Standing, weights: Weights) -> str:
    """Show the known figure that counts most, as `, CPU 65%`."""
    sample = standing.sample
    if sample is None:
        return ""
    shares = (
        (weights.cpu, _cpu),
        (weights.memory, _memory),
        (weights.load_average, _load),
        (weights.io, _io),
    )
    for share, tell in sorted(shares, key=lambda pair: -pair[0]):
        if share > 0 and (text := tell(sample)):
            return f", {text}"
    return ""


def _cpu(sample: Sample) -> str:
    return "" if sample.cpu_pct is None else f"CPU {sample.cpu_pct:.0f}%"


def _memory(sample: Sample) -> str:
    mem_pct = sample.mem_pct
    return "" if mem_pct is None else f"memory {mem_pct:.0f}%"


def _io(sample: Sample) -> str:
    io_pct = sample.io_pct
    return "" if io_pct is None else f"I/O {io_pct:.0f}%"


def _load(sample: Sample) -> str:
    per_core = scoring.load_per_core(sample)
    if per_core is None:
        return ""
    cores = "cores not known" if sample.cores is None else _cores(sample.cores)
    return f"load {per_core:.2f} per core ({cores})"


def _cores(cores: float) -> str:
    return f"{cores:g} core" if cores == 1 else f"{cores:g} cores"
