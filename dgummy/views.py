"""What a watcher knows of the hosts: records of what runs where, since when, at what cost. Pure.

A `HostView` is what one look at one host gave, with the time of that look: a host that stops answering keeps its last
view and says so in `failure`. A `ClusterView` is all of them at one moment. Money is US dollars; None is "not known",
never 0. Texts in here come from hosts as they are: whoever shows them makes them safe first (`render.text`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum

import msgspec

from dgummy.model import Failure, Sample

STALE_AFTER_LOOKS = 3
"""A view older than so many refresh intervals is shown as stale, whether or not its host has failed to answer yet."""


class SpecialistState(str, Enum):
    """What a specialist does. `stopped` claims to be active with nothing alive; `unreadable` has unusable files."""

    ACTIVE = "active"
    DORMANT = "dormant"
    NEW = "new"
    STOPPED = "stopped"
    FAILED = "failed"
    UNREADABLE = "unreadable"


class Specialist(msgspec.Struct, frozen=True):
    """One specialist. `sessions` is what gummy calls turns; `project` is its folder there, "" for a global one.

    cost_usd: what it cost today, None if that is not known. reason: why it is unreadable, or has failed.
    """

    name: str
    scope: str
    project: str = ""
    status: SpecialistState = SpecialistState.UNREADABLE
    sessions: int | None = None
    session_id: str | None = None
    last_active: str | None = None
    cost_usd: float | None = None
    reason: str = ""


class AgentTask(msgspec.Struct, frozen=True):
    """A task of an agent without a memory, by its log: of today, or still running.

    status: active, stopped (no result, and nothing written for a while), failed or dormant (ended well). started_at_s
    is epoch seconds by the host's clock.
    """

    task_id: str
    mode: str
    status: SpecialistState
    started_at_s: float
    session_id: str | None = None
    cost_usd: float | None = None
    last_line: str = ""


class RunningCommand(msgspec.Struct, frozen=True):
    """A run of ours that is alive on a host, whoever started it; `last_line` is the last that it printed."""

    run_id: str
    age_s: float
    command: str = ""
    workspace: str = ""
    owner: str = ""
    started: bool = True
    last_line: str = ""


class HostView(msgspec.Struct, frozen=True):
    """What the last look at a host that was answered gave, at `taken_at`; None if it never answered.

    `failure` is why the newest look was not answered, None if it was. `cost_today_usd` is all that agents cost there
    today as far as it is known, `cost_complete` whether that is all. `asked_at` is when the newest look began.
    """

    host: str
    taken_at: datetime | None = None
    failure: Failure | None = None
    sample: Sample | None = None
    specialists: tuple[Specialist, ...] = ()
    tasks: tuple[AgentTask, ...] = ()
    runs: tuple[RunningCommand, ...] = ()
    cost_today_usd: float | None = None
    cost_complete: bool = True
    notices: tuple[str, ...] = ()
    asked_at: datetime | None = None

    @property
    def reachable(self) -> bool:
        """Whether it answered the newest look."""
        return self.failure is None and self.taken_at is not None

    def age_s(self, now: datetime) -> float | None:
        """How old its figures are."""
        return None if self.taken_at is None else max(0.0, (now - self.taken_at).total_seconds())

    @property
    def active(self) -> int:
        """How many specialists, and tasks of agents without a memory, are at work."""
        states = [*(one.status for one in self.specialists), *(one.status for one in self.tasks)]
        return states.count(SpecialistState.ACTIVE)


class TimelineEntry(msgspec.Struct, frozen=True):
    """A run of today: what ran where, for whom, from when to when (None: still), and its state (of `RunState`)."""

    run_id: str
    host: str
    label: str
    state: str
    started_at: datetime
    ended_at: datetime | None = None
    owner: str = ""


class Totals(msgspec.Struct, frozen=True):
    """Sums over the hosts of a view. `hosts` counts those that answer."""

    specialists: int
    active: int
    hosts: int
    runs: int
    cost_today_usd: float | None
    cost_complete: bool


class ClusterView(msgspec.Struct, frozen=True):
    """All hosts as they are known at `at`, in the inventory's order. `interval_s` is the time between two looks."""

    at: datetime
    hosts: tuple[HostView, ...]
    interval_s: float = 2.0

    @property
    def totals(self) -> Totals:
        """The sums at the foot."""
        cost, complete = total_cost(one.cost_today_usd if one.taken_at else None for one in self.hosts)
        return Totals(
            specialists=sum(len(one.specialists) for one in self.hosts),
            active=sum(one.active for one in self.hosts),
            hosts=sum(one.reachable for one in self.hosts),
            runs=sum(len(one.runs) for one in self.hosts),
            cost_today_usd=cost,
            cost_complete=complete and all(one.cost_complete for one in self.hosts),
        )

    def is_stale(self, view: HostView) -> bool:
        """Whether what is shown of a host is not what it is now: it did not answer, or takes long to."""
        age_s = view.age_s(self.at)
        return view.failure is not None or (age_s is not None and age_s > STALE_AFTER_LOOKS * max(self.interval_s, 1.0))


class ViewFilter(msgspec.Struct, frozen=True):
    """What is shown of a view: only what is active, only a project (a folder or its name), only what holds `text`."""

    active: bool = False
    project: str = ""
    text: str = ""

    def __call__(self, view: ClusterView) -> ClusterView:
        """Leave out what is not wanted; hosts and their figures stay."""
        if not (self.active or self.project or self.text):
            return view
        return msgspec.structs.replace(view, hosts=tuple(map(self._host, view.hosts)))

    def _host(self, view: HostView) -> HostView:
        whole_host = bool(self.text) and self.text.lower() in view.host.lower()
        text = "" if whole_host else self.text.lower()
        return msgspec.structs.replace(
            view,
            specialists=tuple(
                one
                for one in view.specialists
                if self._state(one.status)
                and self._project(one.project)
                and text in f"{one.name} {one.project}".lower()
            ),
            tasks=tuple(
                one
                for one in view.tasks
                if self._state(one.status) and not self.project and text in f"{one.task_id} {one.last_line}".lower()
            ),
            runs=tuple(
                one
                for one in view.runs
                if self._project(one.workspace) and text in f"{one.run_id} {one.command}".lower()
            ),
        )

    def _state(self, status: SpecialistState) -> bool:
        return not self.active or status is SpecialistState.ACTIVE

    def _project(self, folder: str) -> bool:
        wanted = self.project.rstrip("/")
        return not wanted or folder.rstrip("/") == wanted or folder.rstrip("/").rpartition("/")[2] == wanted


_STATE_ORDER = tuple(SpecialistState)

SORTS: dict[str, Callable[[HostView], object]] = {
    "name": lambda view: view.host,
    "active": lambda view: (-view.active, view.host),
    "cost": lambda view: (-(view.cost_today_usd or 0.0), view.host),
    "load": lambda view: (-((view.sample.cpu_pct if view.sample else None) or 0.0), view.host),
}
"""By what the hosts of a view can be ordered; "" keeps the inventory's order."""


def ordered(view: ClusterView, sort: str = "") -> ClusterView:
    """The hosts in another order, and on each what is active first."""
    hosts: Sequence[HostView] = view.hosts
    if sort:
        hosts = sorted(hosts, key=SORTS[sort])  # type: ignore[arg-type]  # tuples and strings, one kind per key
    return msgspec.structs.replace(view, hosts=tuple(map(_busy_first, hosts)))


def _busy_first(view: HostView) -> HostView:
    return msgspec.structs.replace(
        view,
        specialists=tuple(sorted(view.specialists, key=lambda one: (_STATE_ORDER.index(one.status), one.name))),
        tasks=tuple(sorted(view.tasks, key=lambda one: (_STATE_ORDER.index(one.status), -one.started_at_s))),
    )


def total_cost(costs: Iterable[float | None]) -> tuple[float | None, bool]:
    """The sum of what is known (None if nothing is, or just what cost nothing), and whether that is all."""
    every = list(costs)
    known = [cost for cost in every if cost is not None]
    complete = len(known) == len(every)
    return (sum(known) if complete or any(known) else None), complete
