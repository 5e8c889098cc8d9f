"""Which hosts are passed over for a kind of work, whatever their load: they lack what all of that kind needs. Pure.

What a probe saw decides, and it saw it just now. What only `inv doctor` can tell (a noisy shell, an agent that is not
logged in) it leaves as a verdict, which counts for VERDICT_S.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import msgspec

from dgummy.agents import companions
from dgummy.findings import Finding, Work
from dgummy.model import LOCAL_HOST, Host, Requirement, Sample
from dgummy.requirement import meets
from dgummy.units import format_bytes, format_duration

VERDICT_S = 3600.0
"""So long a verdict of `inv doctor` is believed."""

DISK_RESERVE_BYTES = 100_000_000
"""What has to be free in the home folder of a host for a project to be brought there; `disk=…` declares otherwise."""

LOOKS_AGAIN = "looks again"
"""In a reason: what `inv doctor` found a while ago, which is mended by another look if it is not so any more."""

DOUBTFUL = "named, and taken at your word"
"""Begins the reason of a choice that `inv doctor` speaks against."""

LOGIN = "agent-login"
"""The check that speaks against nobody whose task brings a login along."""

LASTING = frozenset({"shell-noise", LOGIN, "agent-start"})
"""The checks of `inv doctor` that no probe makes."""


class Verdict(msgspec.Struct, frozen=True):
    """What `inv doctor` found on a host at a time: the work that it stops, each with one line, and the check."""

    host: str
    measured_at: datetime
    stops: tuple[tuple[Work, str, str], ...] = ()


def verdict(host: str, findings: Iterable[Finding], now: datetime) -> Verdict:
    """What of a check-up is to be remembered."""
    stops = [(work, one.what, one.check) for one in findings if one.check in LASTING for work in one.stops]
    return Verdict(host, now, tuple(stops))


class Unfit(msgspec.Struct, frozen=True):
    """Why a host is passed over, one line; `work` is the kind of work that it cannot take."""

    work: Work
    reason: str


def hindrance(
    host: Host,
    sample: Sample | None,
    needs: Collection[Work],
    *,
    tool: str,
    verdict: Verdict | None,
    now: datetime,
    brings_login: bool = False,
) -> Unfit | None:
    """Why a host cannot take work of these kinds; None if nothing is known against it.

    `tool` is the agent's program; `brings_login`: what logs it in comes with the task. What was not measured is held
    against nobody. This machine has the project already.
    """
    needs = set(needs) - ({Work.SYNC} if host.name == LOCAL_HOST else set())
    if sample is not None and sample.knows_runs:
        lacks = _no_agent(host, sample, tool) if Work.AGENT in needs else ""
        if lacks:
            return Unfit(Work.AGENT, lacks)
        lacks = _no_sync(host, sample) if Work.SYNC in needs else ""
        if lacks:
            return Unfit(Work.SYNC, f"{lacks} (inv doctor --host {host.name})")
    return _remembered(needs, verdict, now, {LOGIN} if brings_login else ())


def _no_sync(host: Host, sample: Sample) -> str:
    if not meets(host, sample, Requirement("rsync")):
        return "no project can be brought there: rsync is not installed; install it there"
    enough = Requirement("disk", ">=", str(DISK_RESERVE_BYTES))
    if sample.disk_free_bytes is None or not is_at_home(host) or meets(host, sample, enough):
        return ""
    free, wanted = format_bytes(sample.disk_free_bytes), format_bytes(DISK_RESERVE_BYTES)
    return f"its disk is full: {free} free, and a project wants {wanted}"


def is_at_home(host: Host) -> bool:
    """Whether projects go below the home folder there, whose disk is the one that is measured."""
    return host.remote_dir is None or host.remote_dir.startswith("~")


def _no_agent(host: Host, sample: Sample, tool: str) -> str:
    lacks = [name for name in companions(tool) if not meets(host, sample, Requirement(name))]
    has_tool = meets(host, sample, Requirement(tool))  # without, that is what is said
    return f"lacks {', '.join(lacks)}, which {tool} starts" if lacks and has_tool else ""


def _remembered(
    needs: Collection[Work], verdict: Verdict | None, now: datetime, lifted: Collection[str]
) -> Unfit | None:
    age_s = (now - verdict.measured_at).total_seconds() if verdict is not None else -1.0
    if verdict is None or not 0 <= age_s <= VERDICT_S:
        return None
    stops = (one for one in verdict.stops if one[0] in needs and one[2] not in lifted)
    found = next(stops, None)
    if found is None:
        return None
    look = f"inv doctor, {format_duration(age_s)} ago; inv doctor --host {verdict.host} {LOOKS_AGAIN}"
    return Unfit(found[0], f"{found[1]} ({look})")


def hindrances(
    hosts: Iterable[Host],
    samples: Mapping[str, Sample | None],
    needs: Collection[Work],
    verdicts: Mapping[str, Verdict],
    *,
    tool: str,
    now: datetime,
    brings_login: bool = False,
) -> dict[str, Unfit]:
    """Why hosts cannot take work of these kinds, by name; those that can are not in it."""
    if not needs:
        return {}
    reasons = {
        host.name: hindrance(
            host,
            samples.get(host.name),
            needs,
            tool=tool,
            verdict=verdicts.get(host.name),
            now=now,
            brings_login=brings_login,
        )
        for host in hosts
    }
    return {name: reason for name, reason in reasons.items() if reason is not None}
