"""Watch hosts: look at each again and again over connections that stay open, and keep what each said last.

A host that is slow or gone holds up nobody: each is looked at when its own time has come, and whoever wants the picture
gets what is known at that moment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from dgummy import fanout, remote
from dgummy.looking import HostMemory, day_start
from dgummy.model import Failure, FailureKind, Host
from dgummy.settings import Settings
from dgummy.transport.base import Answer, Limits, Script, Transport
from dgummy.views import ClusterView, HostView

LOOK_INTERVAL_S = 0.2
"""Between the two looks at the CPU counters."""

MAX_AT_ONCE = 64
_LONGEST_PAUSE_S = 30.0
_LOOK_FILES = ("probe", "workspace", "look")


@dataclass(frozen=True, slots=True)
class Eyes:
    """What it takes to look at hosts: what carries the script to each, and which projects are known to be there."""

    settings: Settings
    transport: Callable[[Host], Transport]
    projects: Callable[[Host], Sequence[str]]
    now: Callable[[], datetime]


class Looker:
    """Looks at hosts; what was read on a host is not read again. One look at a host at a time."""

    def __init__(self, eyes: Eyes) -> None:
        self._eyes = eyes
        self._memories: dict[str, HostMemory] = {}
        self._views: dict[str, HostView] = {}

    def look(self, host: Host) -> HostView:
        """Look once. A host that does not answer keeps its last view, with the failure in it."""
        asked_at = self._eyes.now()
        memory = self._memory(host, asked_at)
        answer = self._eyes.transport(host).run_script(
            host, self._script(host, memory), Limits(total_s=self._eyes.settings.timeouts.probe_s)
        )
        view = self._taken(host, memory, answer, asked_at)
        if isinstance(view, Failure):
            before = self._views.get(host.name, HostView(host.name))
            view = msgspec.structs.replace(before, failure=view, asked_at=asked_at)
        self._views[host.name] = view
        return view

    def _taken(
        self, host: Host, memory: HostMemory, answer: Answer | Failure, asked_at: datetime
    ) -> HostView | Failure:
        if isinstance(answer, Failure):
            return answer
        try:
            return memory.take(host.name, answer.facts, asked_at=asked_at, taken_at=self._eyes.now())
        except ValueError as error:
            return Failure(FailureKind.SHELL, f"its answer makes no sense: {error}")

    def _memory(self, host: Host, now: datetime) -> HostMemory:
        """What is known of a host; forgotten at midnight, when "today" is another day."""
        today = day_start(now.astimezone())
        memory = self._memories.get(host.name)
        if memory is None or memory.since != today:
            memory = self._memories[host.name] = HostMemory(today, self._eyes.settings.pricing.prices)
        return memory

    def _script(self, host: Host, memory: HostMemory) -> Script:
        watch = self._eyes.settings.watch
        args = [str(LOOK_INTERVAL_S), str(watch.max_specialists), *self._eyes.projects(host), "--", *watch.roots]
        return remote.compose(_LOOK_FILES, "look", args, variables={"DG_ROOT": host.probe_root, **memory.variables()})


class Watch:
    """Looks at hosts until it is closed. `snapshot` never waits."""

    def __init__(
        self,
        hosts: Sequence[Host],
        look: Callable[[Host], HostView],
        *,
        interval_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._look = look
        self.interval_s = interval_s
        self._now = now
        self._views: Mapping[str, HostView] = {}
        self._over = threading.Event()
        self._seen_all = threading.Event()
        self._call: fanout.Call[None] | None = None

    def __enter__(self) -> Watch:
        self._call = fanout.Call(self._go_on, "watch")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()

    def snapshot(self) -> ClusterView:
        """All that is known at this moment. A bug of ours in the background is raised here."""
        if self._call is not None and self._call.wait(0):
            self._call.result()
        views = self._views
        known = tuple(views.get(name, HostView(name)) for name in self._hosts)
        return ClusterView(self._now(), known, self.interval_s)

    def wait_for_all(self, timeout_s: float) -> bool:
        """Wait until every host has answered, or failed to, once; whether that is so."""
        return self._seen_all.wait(timeout_s)

    def _go_on(self) -> None:
        crew: fanout.Crew[str, HostView] = fanout.Crew()
        due = dict.fromkeys(self._hosts, 0.0)
        failures = dict.fromkeys(self._hosts, 0)
        while not self._over.is_set():
            now_s = time.monotonic()
            for name in [name for name, at_s in due.items() if at_s <= now_s][: MAX_AT_ONCE - len(crew)]:
                del due[name]
                crew.start(name, lambda host=self._hosts[name]: self._look(host))  # type: ignore[misc]
            ended = crew.next_end(self._pause_s(due))
            if ended is None:
                continue
            name, view = ended
            failures[name] = failures[name] + 1 if view.failure is not None else 0
            due[name] = time.monotonic() + min(self.interval_s * 2 ** min(failures[name], 8), self._longest_s())
            self._views = {**self._views, name: view}
            if len(self._views) == len(self._hosts):
                self._seen_all.set()

    def _pause_s(self, due: Mapping[str, float]) -> float:
        """How long nothing is due, at most a moment: it may be closed meanwhile."""
        return min(0.5, max(0.01, min(due.values(), default=1e9) - time.monotonic()))

    def _longest_s(self) -> float:
        return max(self.interval_s, _LONGEST_PAUSE_S)


def once(
    hosts: Sequence[Host], look: Callable[[Host], HostView], *, jobs: int, now: Callable[[], datetime]
) -> ClusterView:
    """Look at every host once, in parallel."""
    found = fanout.in_order(hosts, look, jobs=max(jobs, min(len(hosts), MAX_AT_ONCE)))
    return ClusterView(now(), tuple(found))
