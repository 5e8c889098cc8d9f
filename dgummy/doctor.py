"""`inv doctor`: look at this machine and at every host, all at once, each for a bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dgummy import agents, diagnosis, diagnosis_here, fanout, gate, remote, selfcheck, vitals
from dgummy.diagnosis import Measured, Patient
from dgummy.diagnosis_here import Trouble
from dgummy.errors import DgummyError
from dgummy.findings import HERE, Checkup, Report, Work
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host
from dgummy.selfcheck import Scene
from dgummy.transport.base import Answer, CountsSessions, Limits, Reached
from dgummy.transport.framing import Fact, Frame

if TYPE_CHECKING:
    from dgummy.chooser import Wish
    from dgummy.cluster import Cluster
    from dgummy.transport.sshconfig import SSHTarget

HOST_S = 20.0
"""So long a host that let us in may take over its check-up; the time to connect comes before."""

Resolve = Callable[[str], "SSHTarget"]
PREPARE_S = 15.0
"""So long the state folder may take over what it keeps of ssh's configuration; what ssh takes comes on top."""
_LEFT_BEHIND_S = 5.0
_DAY_S = 86_400.0


@dataclass
class _Clock:
    """When a host said what time it is, by our clocks, and when it was asked."""

    wall: Callable[[], float]
    asked_at: float = field(default_factory=time.monotonic)
    heard_at: float | None = None
    heard_s: float = 0.0

    def __call__(self, frame: Frame) -> None:
        """Note when the time came; it is the first fact."""
        if self.heard_at is None and isinstance(frame, Fact) and frame.name == "clock":
            self.heard_at, self.heard_s = time.monotonic(), self.wall()

    def skew(self, clock_s: int | None) -> tuple[float | None, float]:
        """Its clock minus ours, and how far off that may be: half of the way there and back, and of a second."""
        if clock_s is None or self.heard_at is None:
            return None, 0.0
        half_s = (self.heard_at - self.asked_at) / 2
        return clock_s + 0.5 - (self.heard_s - half_s), half_s + 0.5


class Doctor:
    """Looks at the hosts of one cluster. `resolve` says how ssh would reach a name."""

    def __init__(self, cluster: Cluster, resolve: Resolve) -> None:
        self._cluster = cluster
        self._resolve = resolve
        self._settings = cluster.settings
        self._access = cluster.history.access

    def look(self, wish: Wish, scene: Callable[[Mapping[str, Sequence[SSHTarget]]], Scene]) -> Report:
        """Look at this machine and at the hosts of a wish (all that were offered, if it names none).

        `scene` says what of this machine is to be looked at, given how its hosts are reached.
        """
        hosts = self.hosts(wish)
        ssh = selfcheck.ask_ssh()
        known = None if not ssh or isinstance(ssh, Trouble) else self._how_to_reach(hosts)
        targets = known or {}
        here = fanout.Call(lambda: selfcheck.look(replace(scene(targets), ssh=ssh)), HERE)
        patience_s = self._settings.timeouts.connect_s + HOST_S + _LEFT_BEHIND_S
        looked_at = [host for host in hosts if known is not None or host.name == LOCAL_HOST]
        found = {one.place: one for one in self._look_at_all(looked_at, targets, patience_s)}
        self._remember(found.values())
        facts = here.result()
        if known is None and not facts.silent and ssh and not isinstance(ssh, Trouble):
            facts = replace(facts, silent={"ssh": f"ssh -G {hosts[0].ssh_names()[0]}"})
        ways = {name: [way.hostname.lower().rstrip(".") for way in several] for name, several in targets.items()}
        told = [diagnosis_here.with_tailnet(one, ways.get(one.place, ()), facts.tailnet) for one in found.values()]
        unseen = [Checkup(host.name) for host in hosts if host.name not in found]
        return Report((diagnosis_here.examine(facts), *told, *unseen))

    def _how_to_reach(self, hosts: Sequence[Host]) -> dict[str, Sequence[SSHTarget]] | None:
        """How ssh would reach each host; None where that does not come to an end, and none can be looked at."""

        def prepare() -> dict[str, Sequence[SSHTarget]]:
            self._cluster.connect()
            return self._targets(hosts)

        call = fanout.Call(prepare)
        return call.result() if call.wait(PREPARE_S + len(hosts)) else None

    def _remember(self, found: Iterable[Checkup]) -> None:
        """Keep the verdicts, unless the folder for them does not answer."""
        now = self._access.now()
        fresh = [gate.verdict(one.place, one.findings, now) for one in found if Work.ANY not in one.unfit_for]
        call = fanout.Call(lambda: self._cluster.verdicts.remember(fresh, now))
        if call.wait(_LEFT_BEHIND_S):
            call.result()

    def hosts(self, wish: Wish) -> tuple[Host, ...]:
        """The hosts that are to be looked at; this machine where work is done here."""
        cluster = self._cluster
        if not wish.hosts and wish.group is None and not wish.exclude and not cluster.is_here(wish):
            return tuple(cluster.inventory.hosts.values())
        return cluster.hosts_for(wish)

    def _look_at_all(
        self, hosts: Sequence[Host], targets: Mapping[str, Sequence[SSHTarget]], patience_s: float
    ) -> list[Checkup]:
        """In the order of the hosts; one that takes longer than all its time-outs allow is left behind."""
        end = time.monotonic() + patience_s * (1 + len(hosts) // self._settings.jobs)
        seen = fanout.each(
            hosts,
            lambda host: self._look_at(host, targets.get(host.name, ())),
            jobs=self._settings.jobs,
            patience_s=lambda: max(0.0, end - time.monotonic()),
        )
        found = {host.name: checkup for host, checkup in seen}
        late = Failure(FailureKind.TIMED_OUT, "its check-up did not end", "try again; see what `ssh -v` to it says")
        return [
            found.get(host.name) or diagnosis.unreachable(self.patient(host), "", late, address="?") for host in hosts
        ]

    def _targets(self, hosts: Sequence[Host]) -> dict[str, Sequence[SSHTarget]]:
        """How ssh would reach each host, by all its names; what it cannot tell is left out."""
        return {host.name: self._ways(host) for host in hosts if host.name != LOCAL_HOST}

    def _ways(self, host: Host) -> list[SSHTarget]:
        ways = []
        for name in host.ssh_names():
            try:
                ways.append(self._resolve(name))
            except DgummyError:  # noqa: PERF203 - said by the host's own check-up
                continue
        return ways

    def patient(self, host: Host, ssh_name: str = "") -> Patient:
        """What is asked of a host, and how it is reached by hand."""
        here, config = host.name == LOCAL_HOST, self._cluster.around.ssh_config
        ssh = ["ssh", *(["-F", str(config)] if config else []), ssh_name or host.ssh_names()[0]]
        agent = self._settings.agent
        return Patient(
            host.name, () if here else tuple(ssh), agent.tool, agent.install, gate.is_at_home(host), synced=not here
        )

    def _look_at(self, host: Host, ways: Sequence[SSHTarget]) -> Checkup:
        transport = self._access.transport(host)
        reached = transport.connect(host)
        if isinstance(reached, Failure):
            return diagnosis.unreachable(self.patient(host), "; ".join(map(_shown, ways)), reached)
        asked = "; ".join(_shown(way) for way in ways if way.name == reached.ssh_name) or reached.ssh_name
        return self._examine(host, asked, reached)

    def _examine(self, host: Host, asked: str, reached: Reached) -> Checkup:
        patient = self.patient(host, reached.ssh_name)
        transport = self._access.transport(host)
        days = max(0, int(self._settings.workspace.expire_s // _DAY_S))
        script = remote.compose(
            ["doctor"],
            "doctor",
            [patient.cli, str(days), str(diagnosis.OLD_RUNS_DAYS), *patient.programs],
            variables={
                "DG_PATH_DIRS": ":".join(host.path_dirs),
                "DG_LOGIN_VARIABLES": " ".join(agents.LOGIN_VARIABLES),
            },
        )
        clock = _Clock(lambda: self._access.now().timestamp())
        answer = transport.run_script(host, script, Limits(total_s=HOST_S), clock)
        address = reached.address or "this machine"
        if isinstance(answer, Failure):
            return diagnosis.unreachable(patient, asked, answer, address)
        try:
            told = vitals.read(answer.facts)
        except ValueError as error:
            cut = Failure(FailureKind.SHELL, f"its answer makes no sense: {error}", patient.there("sh -c true"))
            return diagnosis.unreachable(patient, asked, cut, address)
        skew_s, error_s = clock.skew(told.clock_s) if host.name != LOCAL_HOST else (None, 0.0)
        sessions = None
        if isinstance(transport, CountsSessions):
            sessions = transport.count_sessions(host, diagnosis.SESSIONS_WANTED)
        measured = Measured(skew_s, error_s, answer.stdout_noise, sessions)
        return diagnosis.examine(patient, asked, address, told, measured)

    def call(self, name: str, function: str, words: Sequence[str]) -> Answer | Failure:
        """Call a function of remote/doctor.sh on a host."""
        host = self._access.host(name)
        if isinstance(host, Failure):
            return host
        return self._access.ask(host, remote.compose(["doctor"], function, words))


def without_settings(scene: Scene) -> Report:
    """Look at this machine alone, where the settings cannot be read."""
    return Report((diagnosis_here.examine(selfcheck.look(scene)),))


def _shown(way: SSHTarget) -> str:
    """What ssh made of a name, in the words of its configuration."""
    jump = f" through {way.proxy_jump}" if way.proxy_jump else " through a ProxyCommand" if way.proxy_command else ""
    return f"{way.name} is {way.user}@{way.hostname} port {way.port}{jump}"
