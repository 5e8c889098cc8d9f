"""Looks for the homes of specialists while hosts are measured: one bounded round trip to each, all at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from dgummy import fanout, homes
from dgummy.errors import DgummyError
from dgummy.fanout import Call
from dgummy.homes import Home
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host, Memory
from dgummy.project import Project, turns_specialists_on
from dgummy.routing import specialist_for
from dgummy.views import HostView, Specialist

if TYPE_CHECKING:
    from dgummy.chooser import Wish
    from dgummy.cluster import Cluster

PATIENCE_S = 1.5
"""How much longer than the first answer the others are waited for."""

Told: TypeAlias = "Sequence[Specialist] | Failure"
"""What one host says of the specialists on it."""


class HomeLook:
    """A look at where specialists live. It begins at once; whoever asks for a home waits for it.

    `ask` asks one host, `folder_of` says where the project is there. Once one host has answered, the others are waited
    for no longer than `patience_s`: what they know counts as unknown.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        ask: Callable[[Host], Told],
        folder_of: Callable[[Host], str],
        *,
        jobs: int,
        patience_s: float,
    ) -> None:
        self._hosts = hosts
        self._ask = ask
        self._folder_of = folder_of
        self._jobs = jobs
        self._patience_s = patience_s
        self._call = Call(self._ask_all, "homes")

    def home(self, text: str, home_dirs: Mapping[str, str], *, unknown: frozenset[str] = frozenset()) -> Home:
        """Where the specialist lives that gummy takes for a text. `home_dirs` are the home folders that are known.

        `unknown` are hosts that were not asked.
        """
        told, folders = self._call.result()
        found = homes.find_home(specialist_for(text), told, folders, home_dirs)
        return Home(found.specialist, found.host, found.sessions, found.unknown | unknown)

    def finder(self, text: str) -> Callable[[Mapping[str, str]], Home]:
        """`home` for a text, for whoever knows the home folders later."""
        return lambda home_dirs: self.home(text, home_dirs)

    def _ask_all(self) -> tuple[dict[str, Told], dict[str, str]]:
        late = Failure(FailureKind.TIMED_OUT, "answers much later than the others; not waited for")
        told: dict[str, Told] = {host.name: late for host in self._hosts}
        folders: dict[str, str] = {}
        looks = fanout.while_patient(
            self._hosts,
            self._look,
            jobs=self._jobs,
            patience_s=self._patience_s,
            answered=lambda look: not isinstance(look[0], Failure),
        )
        for host, (answer, folder) in looks:
            told[host.name], folders[host.name] = answer, folder
        return told, folders

    def _look(self, host: Host) -> tuple[Told, str]:
        try:
            return self._ask(host), self._folder_of(host)
        except DgummyError as error:  # whoever goes there says what is wrong with it
            return Failure(FailureKind.CONFIG, error.message, error.remedy), ""


def look_for_homes(cluster: Cluster, wishes: Sequence[Wish]) -> HomeLook | None:
    """Begin to look where the specialists live that some tasks may be given to.

    None if there is nothing to choose from, or the project does not turn specialists on. All hosts that such a task
    would be placed on by itself are asked, whatever hosts are wished for.
    """
    if cluster.here or not wishes or not turns_specialists_on(cluster.project):
        return None
    hosts: dict[str, Host] = {}
    for wish in wishes:
        for asked in (replace(wish, hosts=(), exclude=()), wish):
            with contextlib.suppress(DgummyError):  # what is wrong with a wish is said when a host is chosen
                hosts |= {host.name: host for host in cluster.hosts_for(asked)}
    cluster.connect()
    looker = cluster.looker()
    return HomeLook(
        list(hosts.values()),
        lambda host: _told(looker.look(host)),
        lambda host: str(cluster.project.root) if host.name == LOCAL_HOST else cluster.remote_dir(host),
        jobs=cluster.settings.jobs,
        patience_s=PATIENCE_S,
    )


def fresh_memory(project: Project, text: str) -> Memory | None:
    """What it means for a task that it works in a copy of the project; None if that does without specialists."""
    if not turns_specialists_on(project):
        return None
    name = specialist_for(text)
    return Memory(name, None, f"fresh memory: what {name} remembers of the project is not in an isolated copy")


def _told(view: HostView) -> Told:
    return view.specialists if view.failure is None else view.failure


class BatchHomes:
    """The homes of the tasks of a batch, by their keys. Loads are scores, None where a host has no figures."""

    def __init__(self, by_key: Mapping[str, Home], margin: float) -> None:
        self._by_key = by_key
        self._margin = margin

    def __contains__(self, key: str) -> bool:
        """Whether a task has a specialist that may have a home."""
        return key in self._by_key

    def wanted(self, key: str, loads: Mapping[str, float | None]) -> frozenset[str]:
        """The host that a task goes to before all others, if that has a free slot: its home, or none.

        `loads` are those of the hosts that may take the task and answer.
        """
        home = self._by_key.get(key)
        if home is None or home.host is None or home.host not in loads:
            return frozenset()
        own = loads[home.host]
        return frozenset({home.host}) if own is None or own <= _least(loads) + self._margin else frozenset()

    def memory(self, key: str, chosen: str, loads: Mapping[str, float | None]) -> Memory | None:
        """What it means for a task that it goes to `chosen`; None if it has no specialist."""
        home = self._by_key.get(key)
        if home is None:
            return None
        own = loads.get(home.host or "")
        if home.host not in loads:
            why_not = "which cannot take it"
        elif own is not None and not self.wanted(key, loads):
            why_not = f"which is too busy ({own:.2f} against {_least(loads):.2f})"
        else:
            why_not = "which has no room for it now"
        return homes.memory(home, (), chosen, why_not)


def _least(loads: Mapping[str, float | None]) -> float:
    return min((load for load in loads.values() if load is not None), default=float("inf"))
