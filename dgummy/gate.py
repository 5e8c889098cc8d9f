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

DISK_RESERVE_BYTES = 200_000_000
"""What has to be free in the home folder of a host for a project to be brought there."""

LASTING = frozenset({"shell-noise", "agent-login", "agent-start"})
"""The checks of `inv doctor` that no probe makes."""


class Verdict(msgspec.Struct, frozen=True):
    """What `inv doctor` found on a host at a time: the work that it stops, each with one line."""

    host: str
    measured_at: datetime
    stops: tuple[tuple[Work, str], ...] = ()


def verdict(host: str, findings: Iterable[Finding], now: datetime) -> Verdict:
    """What of a check-up is to be remembered."""
    stops = [(work, one.what) for one in findings if one.check in LASTING for work in one.stops]
    return Verdict(host, now, tuple(stops))


def hindrance(
    host: Host,
    sample: Sample | None,
    needs: Collection[Work],
    *,
    tool: str,
    verdict: Verdict | None,
    now: datetime,
) -> str:
    """Why a host cannot take work of these kinds, one line; "" if nothing is known against it.

    `tool` is the agent's program. What was not measured is held against nobody.
    """
    measured = sample if sample is not None and sample.knows_runs else None
    if host.name == LOCAL_HOST:  # where the project is already
        needs = set(needs) - {Work.SYNC}
    if Work.SYNC in needs and measured is not None:
        if not meets(host, measured, Requirement("rsync")):
            return "lacks rsync, which brings the project there"
        free = measured.disk_free_bytes
        if free is not None and free < DISK_RESERVE_BYTES and host.remote_dir is None:
            return (
                f"its disk is full: {format_bytes(free)} free, and a project wants {format_bytes(DISK_RESERVE_BYTES)}"
            )
    if Work.AGENT in needs and measured is not None and meets(host, measured, Requirement(tool)):
        lacks = [name for name in companions(tool) if not meets(host, measured, Requirement(name))]
        if lacks:
            return f"lacks {', '.join(lacks)}, which {tool} starts"
    return _remembered(needs, verdict, now)


def _remembered(needs: Collection[Work], verdict: Verdict | None, now: datetime) -> str:
    if verdict is None:
        return ""
    age_s = (now - verdict.measured_at).total_seconds()
    if not 0 <= age_s <= VERDICT_S:
        return ""
    found = next((what for work, what in verdict.stops if work in needs or work is Work.ANY), "")
    return f"{found} (inv doctor, {format_duration(age_s)} ago)" if found else ""


def hindrances(
    hosts: Iterable[Host],
    samples: Mapping[str, Sample | None],
    needs: Collection[Work],
    verdicts: Mapping[str, Verdict],
    *,
    tool: str,
    now: datetime,
) -> dict[str, str]:
    """Why hosts cannot take work of these kinds, by name; those that can are not in it."""
    if not needs:
        return {}
    reasons = {
        host.name: hindrance(host, samples.get(host.name), needs, tool=tool, verdict=verdicts.get(host.name), now=now)
        for host in hosts
    }
    return {name: reason for name, reason in reasons.items() if reason}
