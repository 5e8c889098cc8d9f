"""Look at hosts: who is up, how loaded. In parallel, bounded, cached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from dgummy import cache, fanout
from dgummy.events import Listener, Notice
from dgummy.model import Failure, FailureKind, Host, HostReport, HostStatus

if TYPE_CHECKING:
    from dgummy.settings import Settings
    from dgummy.transport.base import Answer, Reached, Transport

PROBE_INTERVAL_S = 0.2
"""Between the two looks at the CPU counters."""

_Record = TypeVar("_Record", HostReport, HostStatus)


class Observation(msgspec.Struct, frozen=True):
    """Reports in the order asked for. `source` is "cache" if nothing was measured anew; `measured_at` is the oldest."""

    reports: tuple[HostReport, ...]
    source: str
    measured_at: datetime

    def of(self, host: str) -> HostReport | None:
        """The report of one host."""
        return next((report for report in self.reports if report.host == host), None)


class StatusObservation(msgspec.Struct, frozen=True):
    """Like `Observation`, for whether hosts answer."""

    statuses: tuple[HostStatus, ...]
    source: str
    measured_at: datetime


class Observer:
    """Measures hosts through one transport, and remembers for as long as the settings say.

    `transport` is made when something has to be measured; `name` is what results show as their source. `key_parts` name
    everything that the figures depend on besides the host's name (see `dgummy.cache`).
    """

    def __init__(
        self,
        transport: Callable[[], Transport],
        settings: Settings,
        *,
        name: str,
        key_parts: Iterable[str],
        state_dir: Path,
        emit: Listener,
        now: Callable[[], datetime],
    ) -> None:
        self._transport = transport
        self._name = name
        self._settings = settings
        self._key = cache.make_key(key_parts)
        self._private_dir = state_dir / "cache"
        self._emit = emit
        self._now = now

    def load(
        self,
        hosts: Sequence[Host],
        *,
        refresh: bool = False,
        patience_s: float | None = None,
        detail: bool = True,  # noqa: ARG002 - our own probe tells everything in one go
    ) -> Observation:
        """The load of each host. With `patience_s`, hosts that answer much later than the first are not waited for.

        `detail` is asked for where more than figures is needed: tools, active runs.
        """
        settings = self._settings.cache
        path = Path(settings.load_path).expanduser()
        known = () if refresh else self._read(path, settings.load_ttl_s, cache.decode_reports)
        reports = {report.host: report for report in known}
        missing = [host for host in hosts if host.name not in reports]
        if missing:
            self._transport()  # made once, before many threads want it
            fresh = self._measure_all(missing, patience_s)
            reports |= fresh
            kept = [report for report in fresh.values() if not _left_behind(report)]
            merged = cache.merge(known, kept, ttl_s=settings.load_ttl_s, now=self._now())
            self._write(path, cache.encode_reports(merged))
        ordered = tuple(reports[host.name] for host in hosts)
        source = self._name if missing else "cache"
        return Observation(ordered, source, _oldest(ordered, self._now()))

    def status(self, hosts: Sequence[Host], *, refresh: bool = False) -> StatusObservation:
        """Whether each host answers."""
        settings = self._settings.cache
        path = Path(settings.status_path).expanduser()
        known = () if refresh else self._read(path, settings.status_ttl_s, cache.decode_statuses)
        statuses = {status.host: status for status in known}
        missing = [host for host in hosts if host.name not in statuses]
        if missing:
            self._transport()
            found = self._reach_all(missing)
            statuses |= {status.host: status for status in found}
            merged = cache.merge(known, found, ttl_s=settings.status_ttl_s, now=self._now())
            self._write(path, cache.encode_statuses(merged))
        ordered = tuple(statuses[host.name] for host in hosts)
        source = self._name if missing else "cache"
        return StatusObservation(ordered, source, _oldest(ordered, self._now()))

    def measure(self, host: Host) -> HostReport:
        """Probe one host now."""
        from dgummy import probe, remote
        from dgummy.transport.base import Limits

        reached = self._transport().connect(host)
        if isinstance(reached, Failure):
            return HostReport(host.name, self._now(), failure=reached)
        script = remote.compose(
            ["probe"],
            "probe",
            [str(PROBE_INTERVAL_S), *probe.TOOLS, *self._agent_tool()],
            variables={"DG_ROOT": host.probe_root, "DG_PATH_DIRS": ":".join(host.path_dirs)},
        )
        reply = self._transport().run_script(host, script, Limits(total_s=self._settings.timeouts.probe_s))
        return self._report(host, reached, reply)

    def _report(self, host: Host, reached: Reached, reply: Answer | Failure) -> HostReport:
        from dgummy import probe

        measured_at = self._now()
        common = {"address": reached.address, "latency_ms": reached.latency_ms}
        if isinstance(reply, Failure):
            return HostReport(host.name, measured_at, failure=reply, **common)  # type: ignore[arg-type]
        try:
            sample = probe.parse(reply.facts, received_at_s=measured_at.timestamp())
        except ValueError as error:
            failure = Failure(FailureKind.SHELL, f"the probe's answer makes no sense: {error}")
            return HostReport(host.name, measured_at, failure=failure, **common)  # type: ignore[arg-type]
        return HostReport(host.name, measured_at, sample=sample, **common)  # type: ignore[arg-type]

    def _agent_tool(self) -> list[str]:
        from dgummy import probe

        tool = self._settings.agent.tool
        return [] if tool in probe.TOOLS else [tool]

    def _measure_all(self, hosts: Sequence[Host], patience_s: float | None) -> dict[str, HostReport]:
        measured = fanout.while_patient(
            hosts,
            self.measure,
            jobs=self._settings.jobs,
            patience_s=patience_s,
            answered=lambda report: report.reachable,
        )
        reports = {host.name: report for host, report in measured}
        for host in hosts:
            if host.name not in reports:
                late = Failure(FailureKind.TIMED_OUT, "answers much later than the others; not waited for")
                reports[host.name] = HostReport(host.name, self._now(), failure=late)
        return reports

    def _reach_all(self, hosts: Sequence[Host]) -> list[HostStatus]:
        return fanout.in_order(hosts, self._reach, jobs=self._settings.jobs)

    def _reach(self, host: Host) -> HostStatus:
        reached = self._transport().connect(host)
        if isinstance(reached, Failure):
            return HostStatus(host.name, self._now(), online=False, failure=reached)
        return HostStatus(host.name, self._now(), online=True, address=reached.address, latency_ms=reached.latency_ms)

    def _read(self, path: Path, ttl_s: float, decode: Callable[[bytes], tuple[_Record, ...]]) -> tuple[_Record, ...]:
        now = self._now()
        lookup = cache.read(path, private_dir=self._private_dir, key=self._key, ttl_s=ttl_s, now=now, decode=decode)
        for text in lookup.notices:
            self._emit(Notice(text, "warning"))
        if lookup.cached is None:
            return ()
        oldest = now - timedelta(seconds=ttl_s)
        return tuple(record for record in lookup.cached.value if record.measured_at >= oldest)

    def _write(self, path: Path, payload: bytes) -> None:
        notices = cache.write(path, private_dir=self._private_dir, key=self._key, payload=payload, now=self._now())
        for text in notices:
            self._emit(Notice(text, "warning"))


def _left_behind(report: HostReport) -> bool:
    return report.failure is not None and "not waited for" in report.failure.detail


def _oldest(records: Sequence[HostReport] | Sequence[HostStatus], now: datetime) -> datetime:
    return min((record.measured_at for record in records), default=now)
