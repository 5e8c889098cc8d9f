"""The use cases: look at hosts, choose one, sync to some, run on one. What tasks and the Python API call.

What only some of them need is imported there: `inv load` from its cache should take no longer than `inv --list`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy.agents import SPECIALISTS_MODE
from dgummy.backends import NO_HOSTS, Backend, Carriers
from dgummy.chooser import Chooser, Pick, Wish
from dgummy.errors import ConfigError, NoHostError, UsageError
from dgummy.events import Listener, Notice
from dgummy.inventory import Inventory
from dgummy.journal import Journal
from dgummy.model import LOCAL_HOST, Failure, Host, RunResult, Sample, SyncResult, TaskType
from dgummy.observe import Observation, StatusObservation
from dgummy.placement import Choice
from dgummy.settings import Settings
from dgummy.wiring import Surroundings, Wiring

if TYPE_CHECKING:
    from dgummy.attempts import Means
    from dgummy.baseline import Baseline
    from dgummy.collecting import Collector
    from dgummy.dpush import DPush
    from dgummy.groupcases import Groups
    from dgummy.history import History
    from dgummy.intake import RunOptions
    from dgummy.lodging import HomeLook
    from dgummy.orders import Order
    from dgummy.project import Project
    from dgummy.syncplan import Listing
    from dgummy.transport.base import Transport
    from dgummy.verdicts import Verdicts
    from dgummy.views import ClusterView, Specialist
    from dgummy.watching import Looker, Watch
    from dgummy.workspaces import WorkspaceSync


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: where it would go, and what would be sent there (None: nothing)."""

    pick: Pick
    sync: SyncResult | None


class Cluster:
    """Some hosts, and what can be done with them. Make one with `dgummy.app.App`."""

    def __init__(
        self,
        settings: Settings,
        inventory: Inventory,
        *,
        carriers: Carriers,
        around: Surroundings,
        emit: Listener,
    ) -> None:
        self.settings = settings
        self.inventory = inventory
        self._carriers = carriers
        self.around = around
        self._emit = emit
        self.force = False
        self.journal = Journal(around.state_dir / "runs.db", owner=around.owner, emit=emit, now=around.now)
        self._parts = Wiring(settings, inventory, carriers, around, self.journal, emit)

    @property
    def here(self) -> str:
        """Why everything runs on this machine, "" if there are hosts to choose from."""
        backend = self.backend
        if backend.name != LOCAL_HOST:
            return ""
        return backend.why if backend.why == NO_HOSTS else "the backend is set to local"

    @property
    def backend(self) -> Backend:
        """What carries the work."""
        return self._carriers.backend

    @property
    def task_types(self) -> Mapping[str, TaskType]:
        """The kinds of work that are known, built in and configured."""
        return self._parts.chooser.task_types

    # -- looking -----------------------------------------------------------------------------------------------

    def load(self, wish: Wish, *, refresh: bool = False) -> tuple[Observation, Choice]:
        """The load of the hosts, and the choice that follows from it for work of no special kind."""
        if self.is_here(wish):
            observation = self._parts.local_observer.load([Host(LOCAL_HOST)], refresh=refresh)
            return observation, self._parts.chooser.judge([Host(LOCAL_HOST)], observation, wish)
        hosts = self._parts.chooser.hosts(wish)
        observation = self._parts.observer.load(hosts, refresh=refresh, detail=False)
        return observation, self._parts.chooser.judge(hosts, observation, wish)

    def status(self, wish: Wish, *, refresh: bool = False) -> StatusObservation:
        """Whether each host answers."""
        if self.is_here(wish):
            return self._parts.local_observer.status([Host(LOCAL_HOST)], refresh=True)
        return self._parts.observer.status(self._parts.chooser.hosts(wish), refresh=refresh)

    def pick(self, wish: Wish, *, refresh: bool = False, look: HomeLook | None = None) -> Pick:
        """Which host should handle this, and why. Nothing is reserved. `look`: for the home of a task's specialist."""
        if self.is_here(wish):
            return self._parts.local_chooser.pick(replace(wish, hosts=(LOCAL_HOST,)), refresh=refresh)
        return self._parts.chooser.pick(wish, refresh=refresh, home=look.finder(wish.text) if look else None)

    def homes(self, wishes: Sequence[Wish]) -> HomeLook | None:
        """Begin to look where the specialists of tasks live; None if the project does without them (`lodging`)."""
        from dgummy.lodging import look_for_homes

        return look_for_homes(self, wishes)

    def view(self, wish: Wish) -> ClusterView:
        """What runs where, with whom and at what cost: one look at every host."""
        from dgummy import watching

        return watching.once(self._watched(wish), self.looker().look, jobs=self.settings.jobs, now=self.around.now)

    def watch(self, wish: Wish, interval_s: float | None = None) -> Watch:
        """Look at the hosts again and again, for as long as it is open (it is a context manager)."""
        from dgummy.watching import Watch

        every_s = self.settings.watch.interval_s if interval_s is None else interval_s
        return Watch(self._watched(wish), self.looker().look, interval_s=every_s, now=self.around.now)

    def specialists(self, wish: Wish) -> dict[str, tuple[Specialist, ...] | Failure]:
        """The specialists on each host: global ones, and those of projects."""
        found = self.view(wish).hosts
        return {one.host: one.specialists if one.failure is None else one.failure for one in found}

    def _watched(self, wish: Wish) -> tuple[Host, ...]:
        return (Host(LOCAL_HOST),) if self.is_here(wish) else tuple(self._parts.chooser.hosts(wish))

    def looker(self) -> Looker:
        """What looks at hosts, and remembers what it read on each."""
        from dgummy import timeline
        from dgummy.watching import Eyes, Looker

        visited = timeline.folders(self.journal.ledger().runs(limit=timeline.MAX_RUNS))

        def projects(host: Host) -> list[str]:
            current = str(self.project.root) if host.name == LOCAL_HOST else self._remote_dir_if_any(host)
            return [current, *visited.get(host.name, ())]

        def carrier(host: Host) -> Transport:
            return self._parts.local if host.name == LOCAL_HOST else self._parts.control

        return Looker(Eyes(self.settings, carrier, projects, self.around.now))

    # -- bringing and running ----------------------------------------------------------------------------------

    def sync(
        self, wish: Wish, *, path: Path | None = None, dry: bool = False, force: bool = False, collect: bool = False
    ) -> list[SyncResult]:
        """Bring the project to every host the wish names, in parallel; results in their order.

        `path`: the project that this folder is in, instead of the current one; it must not be outside without `force`.
        `collect`: bring home first what earlier runs left in the way.
        """
        from dgummy import fanout, syncing

        self.force = force
        if path is not None:
            self._move_to(path)
        if self.is_here(wish):
            raise NoHostError("there is no host to sync to", self.here or "the project is here already")
        hosts = self._parts.chooser.hosts(wish)
        self.check_project()
        listing = fanout.Call(lambda: self.project_listing, "listing")  # while the hosts are reached
        syncer = self.syncer(listing.result)
        if dry:
            return syncing.would_send(syncer, hosts, jobs=self.settings.jobs)
        collector = self.collector if collect else None
        return syncing.send(syncer, hosts, collector, self.around.now(), jobs=self.settings.jobs)

    def plan(self, wish: Wish, options: RunOptions, *, mode: str = "") -> Plan:
        """Say where a run would go and what would be sent; nothing is done. `mode` is set for an agent's task."""
        from dgummy import intake

        self.force = options.force
        intake.refuse_a_copy(options, here=self.is_here(wish))
        look = self.homes([wish]) if mode == SPECIALISTS_MODE and not options.isolate else None
        wish = intake.fit_for(wish, self.settings, agent=bool(mode), sync=options.sync, environ=options.env)
        picked = self.pick(wish, look=look)
        host = self.inventory.hosts.get(picked.choice.host or "")
        if not options.sync or host is None or self.is_here(wish):
            return Plan(picked, None)
        return Plan(picked, self.syncer().would_send(host, isolate=options.isolate))

    def run(self, command: str, wish: Wish, options: RunOptions) -> RunResult:
        """Run a shell command on the best host."""
        from dgummy import intake

        return self._dispatch(intake.command_order(command, wish, options, self.settings), options)

    def task(self, text: str, mode: str, wish: Wish, options: RunOptions) -> RunResult:
        """Give an agent a task on the best host that has the agent."""
        from dgummy import intake

        return self._dispatch(intake.task_order(text, mode, wish, options, self.settings), options)

    def check(self, wish: Wish) -> None:
        """Refuse a wish with a name in it that is wrong, before anything is begun for it."""
        self.hosts_for(wish)
        self._parts.chooser.task_type(wish)

    def hosts_for(self, wish: Wish) -> tuple[Host, ...]:
        """The hosts of a wish, this machine where it is to be here. NoHostError if there are none."""
        here = self.is_here(wish)
        hosts = (Host(LOCAL_HOST, path_dirs=self.settings.path),) if here else self._parts.chooser.hosts(wish)
        if not hosts:
            raise NoHostError("there is no host to run it on", "name some with --host, or leave out --exclude")
        return hosts

    def change_to(self, project: Path) -> None:
        """Be in the project that earlier runs were about. UsageError if it is gone."""
        if not project.is_dir():
            raise UsageError(f"the project {project} is not there any more", "start the work anew from where it is now")
        self.project = self.around.find_project(project)

    def connect(self) -> None:
        """Make what carries scripts, once, before many threads want it."""
        _ = self._parts.control, self._parts.local

    def close(self) -> None:
        """Close connections and files."""
        self.journal.close()
        self._parts.close()

    @cached_property
    def groups(self) -> Groups:
        """What can be done with several runs at once."""
        from dgummy.groupcases import Groups

        return Groups(self)

    @property
    def chooser(self) -> Chooser:
        """What picks a host."""
        return self._parts.chooser

    @property
    def local_chooser(self) -> Chooser:
        """What picks this machine, or says what it lacks."""
        return self._parts.local_chooser

    @property
    def verdicts(self) -> Verdicts:
        """What `inv doctor` found on hosts lately."""
        return self._parts.verdicts

    # -- parts, made when first needed -------------------------------------------------------------------------

    @cached_property
    def history(self) -> History:
        """The runs that were started before."""
        from dgummy.history import Access, History

        around, hosts = self.around, self.inventory.hosts
        control, local = (lambda: self._parts.control), (lambda: self._parts.local)
        return History(Access(self.settings, hosts, self.journal, control, local, around.owner, self._emit, around.now))

    @cached_property
    def collector(self) -> Collector:
        """What brings home the work of runs."""
        from dgummy.collecting import Collector

        return Collector(self.history, self.around.state_dir)

    @cached_property
    def project(self) -> Project:
        """The project that the current folder is in."""
        return self.around.find_project(self.around.cwd)

    def check_project(self) -> None:
        """Refuse what hardly anybody means to send, the home folder say. UsageError."""
        from dgummy.project import check_root

        check_root(self.project.root, self.around.home, force=self.force)

    @cached_property
    def project_listing(self) -> Listing:
        """The set of files that is sent."""
        from dgummy.project import listing

        self.check_project()
        found = listing(self.project, self.settings.sync_exclude, self.settings.sync_extra)
        for text in found.notices:
            self._emit(Notice(text, "warning"))
        return found

    def remote_dir(self, host: Host) -> str:
        """Where the project goes on a host: absolute, or `~/…`."""
        from dgummy.project import remote_dir_for

        return remote_dir_for(self.project.root, self.around.home, host.remote_dir)

    def _remote_dir_if_any(self, host: Host) -> str:
        """Like `remote_dir`; the home folder there, where the current folder can be no project."""
        try:
            return self.remote_dir(host)
        except ConfigError:
            return "~"

    def syncer(self, listing: Callable[[], Listing] | None = None) -> WorkspaceSync:
        """Something that syncs this project. Without `listing`, which gives `project_listing`, that is made now."""
        from dgummy.workspaces import WorkspaceSync

        if listing is None:
            _ = self.project_listing
        return WorkspaceSync(
            self._parts.control,
            self.project.root,
            listing or (lambda: self.project_listing),
            remote_dir=self.remote_dir,
            owner=self.around.owner,
            timeouts=self.settings.timeouts,
            ssh_config=self.around.ssh_config,
            emit=self._emit,
            by_d=self._by_d(),
            expire_s=self.settings.workspace.expire_s,
        )

    def _by_d(self) -> DPush | None:
        if self._parts.d is None:
            return None
        from dgummy.dpush import DPush

        home, strict = self.around.home, self._carriers.strict
        return DPush(self._parts.d, self.project.root, home, strict=strict, emit=self._emit)

    def _move_to(self, path: Path) -> None:
        from dgummy.project import check_root

        folder = self.around.cwd / path.expanduser()
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "name a project's folder")
        check_root(folder, self.around.home, force=self.force, project=self.project.root)
        self.project = self.around.find_project(folder)

    def is_here(self, wish: Wish) -> bool:
        """Whether what is wished for is to be done on this machine."""
        return wish.hosts == (LOCAL_HOST,) or (not wish.hosts and wish.group is None and bool(self.here))

    def look_here(self) -> Sample | None:
        """The load figures of this machine."""
        return self._parts.local_observer.measure(Host(LOCAL_HOST)).sample

    def _dispatch(self, order: Order, options: RunOptions) -> RunResult:
        from dgummy import fanout, intake
        from dgummy.dispatch import Dispatcher
        from dgummy.stop import Stop

        self.force = options.force
        here = ""
        intake.refuse_a_copy(order, here=self.is_here(order.wish))
        if self.is_here(order.wish):
            here = "as asked" if order.wish.hosts else self.here
            self._parts.local_chooser.check_fit(order.wish)
        chooser = self._parts.local_chooser if here else self._parts.chooser
        stop = Stop()
        dispatcher = Dispatcher(self.means(sync=order.sync, here=bool(here)), chooser, self.look_here, stop=stop)
        return fanout.interruptible(lambda: dispatcher.run(order, here=here), stop)

    def means(self, *, sync: bool, here: bool = False) -> Means:
        """What it takes to carry out orders, with a sync or without, on hosts or here."""
        from dgummy.attempts import Means
        from dgummy.fanout import made_once

        return Means(
            self.settings,
            self.journal,
            runner=self._parts.local if here else self._parts.runner,
            control=self._parts.local if here else self._parts.control,
            local=self._parts.local,
            project=lambda: self.project,
            syncer=made_once(self.syncer),
            remote_dir=self.remote_dir if sync else self._remote_dir_if_any,
            owner=self.around.owner,
            emit=self._emit,
            now=self.around.now,
            homes=self.homes,
            baseline=made_once(self._baseline),
            collector=lambda: self.collector,
        )

    def _baseline(self) -> Baseline:
        from dgummy.baseline import Baseline

        now_ns = int(self.around.now().timestamp() * 1e9)
        return Baseline(self.project, lambda: self.project_listing, self.around.state_dir, now_ns, self._emit)
