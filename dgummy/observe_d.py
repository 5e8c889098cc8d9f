"""Look at hosts through the `d` command: its figures, and by ssh what it does not give."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from dgummy import dtext, fanout
from dgummy.dhelp import Dialect
from dgummy.errors import NoHostError
from dgummy.events import Listener, Notice
from dgummy.fanout import Call
from dgummy.inventory import Inventory
from dgummy.model import Failure, FailureKind, Host, HostReport, HostStatus, Sample
from dgummy.observe import Observation, Observer, StatusObservation
from dgummy.settings import Settings
from dgummy.textfiles import make_folder
from dgummy.transport.dcmd import DCommand, DTransport

SLOW_FACTOR = 3.0
"""A `d` that takes so much longer than our own probes is worth a word."""


class _GaveUpError(Exception):
    """`d` failed, and ssh is to be used instead."""


class DObserver(Observer):
    """Asks `d` for load and status. `ssh` measures what it does not tell (runs, tools, I/O), and stands in for it.

    With `strict` (the backend is set to d) a `d` that fails refuses the command; else ssh is used, with a notice.
    """

    def __init__(
        self,
        command: DCommand,
        ssh: Observer,
        inventory: Inventory,
        settings: Settings,
        *,
        strict: bool,
        key_parts: Iterable[str],
        state_dir: Path,
        emit: Listener,
        now: Callable[[], datetime],
    ) -> None:
        carrier = DTransport(command)
        super().__init__(
            lambda: carrier,
            settings,
            name=carrier.name,
            key_parts=[*key_parts, carrier.name, command.found.path],
            state_dir=state_dir,
            emit=emit,
            now=now,
        )
        self._command = command
        self._ssh = ssh
        self._inventory = inventory
        self._strict = strict
        self._gave_up = False
        self._asked_s: float | None = None
        self._told_slow = state_dir / "cache" / "told-that-d-is-slow"

    def load(
        self,
        hosts: Sequence[Host],
        *,
        refresh: bool = False,
        patience_s: float | None = None,
        detail: bool = True,
    ) -> Observation:
        """The load as `d` sees it. `detail`: with runs, tools and I/O, by ssh; a choice needs them."""
        if self._gave_up or not hosts:
            return self._ssh.load(hosts, refresh=refresh, patience_s=patience_s)
        figures = Call(lambda: super(DObserver, self).load(hosts, refresh=refresh), "d-load")
        began = time.monotonic()
        probed = self._ssh.load(hosts, refresh=refresh, patience_s=patience_s) if detail else None
        probed_s = time.monotonic() - began
        try:
            found = figures.result()
        except _GaveUpError:
            return probed or self._ssh.load(hosts, refresh=refresh, patience_s=patience_s)
        if probed is None:
            return found
        self._compare(probed_s, probed)
        self._emit(Notice("load from d; active runs, tools and I/O wait, which it does not give, by ssh"))
        reports = tuple(_both(by_d, by_ssh) for by_d, by_ssh in zip(found.reports, probed.reports, strict=True))
        cached = found.source == probed.source == "cache"
        return Observation(reports, "cache" if cached else "d", min(found.measured_at, probed.measured_at))

    def status(self, hosts: Sequence[Host], *, refresh: bool = False) -> StatusObservation:
        """Whether each host answers, as `d` sees it."""
        if not self._gave_up:
            try:
                return super().status(hosts, refresh=refresh)
            except _GaveUpError:
                pass
        return self._ssh.status(hosts, refresh=refresh)

    def measure(self, host: Host) -> HostReport:
        """Probe one host now, by ssh."""
        return self._ssh.measure(host)

    def _measure_all(self, hosts: Sequence[Host], patience_s: float | None) -> dict[str, HostReport]:  # noqa: ARG002
        began = time.monotonic()
        rows = self._ask(hosts)
        self._asked_s = time.monotonic() - began
        if isinstance(rows, Failure):
            raise self._give_up(rows)
        by_name = {row.host: row for row in rows}
        return {host.name: self._as_report(host, by_name) for host in hosts}

    def _ask(self, hosts: Sequence[Host]) -> tuple[dtext.DLoad, ...] | Failure:
        """One call for a group of its own, where that is what was asked for; else a call per host."""
        names = {name for host in hosts for name in host.ssh_names()[:1]}
        if self._inventory.source == "d":
            for group, members in self._inventory.groups.items():
                if names <= set(members):
                    return self._command.load(group)
        if self._command.found.dialect is not Dialect.RELEASED:
            return self._command.load(hosts=sorted(names))
        # It takes one host at a time, and looks at several one after the other: ask for each, all at once.
        rows: list[dtext.DLoad] = []
        for answer in fanout.in_order(
            sorted(names), lambda name: self._command.load(hosts=[name]), jobs=self._settings.jobs
        ):
            if isinstance(answer, Failure):
                return answer
            rows += answer
        return tuple(rows)

    def _as_report(self, host: Host, rows: dict[str, dtext.DLoad]) -> HostReport:
        row = rows.get(host.ssh_names()[0])
        if row is None or not row.reachable:
            why = "d does not list it" if row is None else "d got no answer from it"
            return HostReport(host.name, self._now(), failure=Failure(FailureKind.NO_ROUTE, why, "inv status"))
        return HostReport(host.name, self._now(), sample=dtext.to_sample(row))

    def _reach_all(self, hosts: Sequence[Host]) -> list[HostStatus]:
        rows = self._command.status()
        if isinstance(rows, Failure):
            raise self._give_up(rows)
        by_name = {row.host: row for row in rows}
        unlisted = [host for host in hosts if host.ssh_names()[0] not in by_name]
        by_ssh = {status.host: status for status in self._ssh.status(unlisted).statuses} if unlisted else {}
        return [by_ssh.get(host.name) or self._as_status(host, by_name) for host in hosts]

    def _as_status(self, host: Host, rows: dict[str, dtext.DStatus]) -> HostStatus:
        row = rows[host.ssh_names()[0]]
        failure = None if row.online else Failure(FailureKind.NO_ROUTE, "d calls it offline", "ssh to it by hand")
        return HostStatus(host.name, self._now(), online=row.online, address=row.address, failure=failure)

    def _give_up(self, failure: Failure) -> Exception:
        if self._strict:
            return NoHostError(f"{failure}", failure.remedy or "use --backend ssh")
        if not self._gave_up:
            self._gave_up = True
            self._emit(Notice(f"{failure}; using ssh instead (backend: ssh makes that lasting)", "warning"))
        return _GaveUpError()

    def _compare(self, probed_s: float, probed: Observation) -> None:
        """Say once that `d` is slow, with the setting that changes it."""
        if self._asked_s is None or probed.source == "cache" or self._asked_s <= SLOW_FACTOR * probed_s:
            return
        if self._told_slow.exists():
            return
        try:
            make_folder(self._told_slow.parent)
            self._told_slow.touch(exist_ok=True)
        except OSError:
            return
        text = f"d took {self._asked_s:.1f} s where our own probes took {probed_s:.1f} s; backend: ssh goes without it"
        self._emit(Notice(text, "warning"))


def _both(by_d: HostReport, by_ssh: HostReport) -> HostReport:
    """The figures of `d` where it has them, everything else by ssh. A host that one of them reaches is reachable."""
    if by_d.sample is None or by_ssh.sample is None:
        return by_ssh if by_d.sample is None else by_d
    told = by_d.sample
    merged = replace(
        by_ssh.sample,
        load1=_first(told.load1, by_ssh.sample.load1),
        cores=_first(told.cores, by_ssh.sample.cores),
        cpu_pct=_first(told.cpu_pct, by_ssh.sample.cpu_pct),
    )
    if told.mem_total_bytes is not None:
        merged = _with_memory(merged, told)
    return replace(by_ssh, sample=merged, measured_at=min(by_d.measured_at, by_ssh.measured_at))


def _with_memory(sample: Sample, told: Sample) -> Sample:
    """`d` gives memory as a share: apply it to the bytes that the probe saw, which requirements are about."""
    total = sample.mem_total_bytes or told.mem_total_bytes or 0
    share = told.mem_pct or 0.0
    return replace(sample, mem_total_bytes=total, mem_available_bytes=round(total * (1 - share / 100)))


def _first(told: float | None, probed: float | None) -> float | None:
    return probed if told is None else told
