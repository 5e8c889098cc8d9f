"""The use cases: look at hosts, choose one, sync to some, run on one. What tasks and the Python API call.

What only some of them need is imported there: `inv load` from its cache should take no longer than `inv --list`.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy.backends import NO_HOSTS, Backend, Carriers
from dgummy.chooser import Pick, Wish
from dgummy.errors import ConfigError, NoHostError, UsageError
from dgummy.events import Listener, Notice
from dgummy.inventory import Inventory
from dgummy.journal import Journal
from dgummy.model import LOCAL_HOST, Failure, Host, RunResult, Sample, SyncResult
from dgummy.observe import Observation, StatusObservation
from dgummy.placement import Choice
from dgummy.settings import Settings
from dgummy.wiring import Surroundings, Wiring

if TYPE_CHECKING:
    from dgummy.attempts import Means
    from dgummy.dpush import DPush
    from dgummy.history import History
    from dgummy.orders import Order
    from dgummy.project import Project
    from dgummy.specialists import Specialist
    from dgummy.syncplan import Listing
    from dgummy.workspaces import WorkspaceSync

_MAX_SPECIALISTS = 500
_TASK_EXAMPLE = 'for example: inv task "optimize database queries"'


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a command or a task is to be run, beside where (see `Wish`)."""

    sync: bool = True
    timeout_s: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    verify: str | None = None
    force: bool = False
    detach: bool = False


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
        self._local = carriers.local
        self._around = around
        self._emit = emit
        self._force = False
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

    # -- looking -----------------------------------------------------------------------------------------------

    def load(self, wish: Wish, *, refresh: bool = False) -> tuple[Observation, Choice]:
        """The load of the hosts, and the choice that follows from it for work of no special kind."""
        if self._is_here(wish):
            observation = self._parts.local_observer.load([Host(LOCAL_HOST)], refresh=refresh)
            return observation, self._parts.chooser.judge([Host(LOCAL_HOST)], observation, wish)
        hosts = self._parts.chooser.hosts(wish)
        observation = self._parts.observer.load(hosts, refresh=refresh, detail=False)
        return observation, self._parts.chooser.judge(hosts, observation, wish)

    def status(self, wish: Wish, *, refresh: bool = False) -> StatusObservation:
        """Whether each host answers."""
        if self._is_here(wish):
            return self._parts.local_observer.status([Host(LOCAL_HOST)], refresh=True)
        return self._parts.observer.status(self._parts.chooser.hosts(wish), refresh=refresh)

    def pick(self, wish: Wish, *, refresh: bool = False) -> Pick:
        """Which host should handle this, and why. Nothing is reserved."""
        if self._is_here(wish):
            return self._parts.local_chooser.pick(replace(wish, hosts=(LOCAL_HOST,)), refresh=refresh)
        return self._parts.chooser.pick(wish, refresh=refresh)

    def specialists(self, wish: Wish) -> dict[str, tuple[Specialist, ...] | Failure]:
        """The specialists on each host: global ones, and those of the current project there."""
        from dgummy import fanout, remote, specialists
        from dgummy.transport.base import Limits

        hosts = (Host(LOCAL_HOST),) if self._is_here(wish) else self._parts.chooser.hosts(wish)

        def look(host: Host) -> tuple[Specialist, ...] | Failure:
            here = host.name == LOCAL_HOST
            folder = str(self.project.root) if here else self.remote_dir(host)
            script = remote.compose(("workspace", "specialists"), "list_specialists", [str(_MAX_SPECIALISTS), folder])
            answer = (self._local if here else self._parts.control).run_script(
                host, script, Limits(total_s=self.settings.timeouts.probe_s)
            )
            return answer if isinstance(answer, Failure) else specialists.parse(answer.facts)

        found = fanout.in_order(hosts, look, jobs=self.settings.jobs)
        return {host.name: seen for host, seen in zip(hosts, found, strict=True)}

    # -- bringing and running ----------------------------------------------------------------------------------

    def sync(self, wish: Wish, *, path: Path | None = None, dry: bool = False, force: bool = False) -> list[SyncResult]:
        """Bring the project to every host the wish names, in parallel; results in their order.

        `path`: the project that this folder is in, instead of the current one; it must not be outside without `force`.
        """
        from dgummy import fanout
        from dgummy.ledger_rows import new_run_id

        self._force = force
        if path is not None:
            self._move_to(path)
        if self._is_here(wish):
            raise NoHostError("there is no host to sync to", self.here or "the project is here already")
        hosts = self._parts.chooser.hosts(wish)
        syncer = self.syncer()
        token = new_run_id(self._around.now())

        def to(host: Host) -> SyncResult:
            if dry:
                return syncer.would_send(host)
            synced = syncer.to(host, token)
            if synced.workspace is not None:
                syncer.release(synced.workspace)
            return synced.result

        try:
            return fanout.in_order(hosts, to, jobs=self.settings.jobs)
        except KeyboardInterrupt:
            syncer.cancelled.set()
            time.sleep(0.5)  # let rsync be ended and the workspaces given back
            raise

    def plan(self, wish: Wish, options: RunOptions) -> Plan:
        """Say where a run would go and what would be sent; nothing is done."""
        self._force = options.force
        picked = self.pick(wish)
        host = self.inventory.hosts.get(picked.choice.host or "")
        if not options.sync or host is None or self._is_here(wish):
            return Plan(picked, None)
        return Plan(picked, self.syncer().would_send(host))

    def run(self, command: str, wish: Wish, options: RunOptions) -> RunResult:
        """Run a shell command on the best host."""
        return self._dispatch(self.command_order(command, wish, options), options)

    def task(self, text: str, mode: str, wish: Wish, options: RunOptions) -> RunResult:
        """Give an agent a task on the best host that has the agent."""
        return self._dispatch(self.task_order(text, mode, wish, options), options)

    def command_order(self, command: str, wish: Wish, options: RunOptions) -> Order:
        """A shell command as an order. UsageError for one that no shell can take."""
        from dgummy.orders import Order

        self._check(command, options)
        return Order(
            kind="run",
            command=f" {command}" if command.startswith("-") else command,  # a shell would take it for its own option
            shown=command,
            wish=replace(wish, text=wish.text or command),
            sync=options.sync,
            timeout_s=options.timeout_s,
            env=options.env,
            fallback=self.settings.fallback,
            detach=options.detach,
        )

    def task_order(self, text: str, mode: str, wish: Wish, options: RunOptions) -> Order:
        """A task for an agent as an order, for hosts that have the agent. UsageError for no task."""
        from dgummy import agents
        from dgummy.orders import Order

        if mode not in agents.MODES:
            raise UsageError(f"there is no mode {mode}", f"use one of {', '.join(agents.MODES)}")
        if not text.strip():
            raise UsageError("there is no task", _TASK_EXAMPLE)
        command = agents.command_line(self.settings.agent.command, mode, text, options.verify)
        self._check(command, options)
        return Order(
            kind="task",
            command=command,
            shown=text,
            wish=replace(wish, text=text, requires=(*wish.requires, self.settings.agent.tool)),
            sync=options.sync,
            timeout_s=options.timeout_s,
            env=options.env,
            mode=mode,
            text=text,
            verify=options.verify,
            fallback=self.settings.fallback,
            detach=options.detach,
        )

    def close(self) -> None:
        """Close connections and files."""
        self.journal.close()
        self._parts.close()
        self._local.close()

    # -- parts, made when first needed -------------------------------------------------------------------------

    @cached_property
    def history(self) -> History:
        """The runs that were started before."""
        from dgummy.history import Access, History

        around, hosts = self._around, self.inventory.hosts
        control, local = (lambda: self._parts.control), self._local
        return History(Access(self.settings, hosts, self.journal, control, local, around.owner, self._emit, around.now))

    @cached_property
    def project(self) -> Project:
        """The project that the current folder is in."""
        return self._around.find_project(self._around.cwd)

    @cached_property
    def project_listing(self) -> Listing:
        """The set of files that is sent."""
        from dgummy.project import check_root, listing

        check_root(self.project.root, self._around.home, force=self._force)
        found = listing(self.project, self.settings.sync_exclude, self.settings.sync_extra)
        for text in found.notices:
            self._emit(Notice(text, "warning"))
        return found

    def remote_dir(self, host: Host) -> str:
        """Where the project goes on a host: absolute, or `~/…`."""
        from dgummy.project import remote_dir_for

        return remote_dir_for(self.project.root, self._around.home, host.remote_dir)

    def _remote_dir_if_any(self, host: Host) -> str:
        """Like `remote_dir`; the home folder there, where the current folder can be no project."""
        try:
            return self.remote_dir(host)
        except ConfigError:
            return "~"

    def syncer(self) -> WorkspaceSync:
        """Something that syncs this project."""
        from dgummy.workspaces import WorkspaceSync

        return WorkspaceSync(
            self._parts.control,
            self.project.root,
            self.project_listing,
            remote_dir=self.remote_dir,
            owner=self._around.owner,
            timeouts=self.settings.timeouts,
            ssh_config=self._around.ssh_config,
            emit=self._emit,
            by_d=self._by_d(),
        )

    def _by_d(self) -> DPush | None:
        if self._parts.d is None:
            return None
        from dgummy.dpush import DPush

        home, strict = self._around.home, self._carriers.strict
        return DPush(self._parts.d, self.project.root, home, strict=strict, emit=self._emit)

    def _move_to(self, path: Path) -> None:
        from dgummy.project import check_root

        folder = self._around.cwd / path.expanduser()
        if not folder.is_dir():
            raise UsageError(f"there is no folder {folder}", "name a project's folder")
        check_root(folder, self._around.home, force=self._force, project=self.project.root)
        self.project = self._around.find_project(folder)

    def _is_here(self, wish: Wish) -> bool:
        return wish.hosts == (LOCAL_HOST,) or (not wish.hosts and wish.group is None and bool(self.here))

    def _look_here(self) -> Sample | None:
        return self._parts.local_observer.measure(Host(LOCAL_HOST)).sample

    def _dispatch(self, order: Order, options: RunOptions) -> RunResult:
        from dgummy import fanout
        from dgummy.dispatch import Dispatcher
        from dgummy.stop import Stop

        self._force = options.force
        here = ""
        if self._is_here(order.wish):
            here = "as asked" if order.wish.hosts else self.here
            self._check_fit(order.wish)
        chooser = self._parts.local_chooser if here else self._parts.chooser
        stop = Stop()
        dispatcher = Dispatcher(self._means(sync=order.sync, here=bool(here)), chooser, self._look_here, stop=stop)
        return fanout.interruptible(lambda: dispatcher.run(order, here=here), stop)

    def _means(self, *, sync: bool, here: bool = False) -> Means:
        from dgummy.attempts import Means

        made: list[WorkspaceSync] = []
        lock = threading.Lock()

        def the_syncer() -> WorkspaceSync:
            with lock:
                if not made:
                    made.append(self.syncer())
                return made[0]

        return Means(
            self.settings,
            self.journal,
            runner=self._local if here else self._parts.runner,
            control=self._local if here else self._parts.control,
            local=self._local,
            project=lambda: self.project,
            syncer=the_syncer,
            remote_dir=self.remote_dir if sync else self._remote_dir_if_any,
            owner=self._around.owner,
            emit=self._emit,
            now=self._around.now,
        )

    def _check_fit(self, wish: Wish) -> None:
        """NoHostError if this machine lacks what is required."""
        chooser = self._parts.local_chooser
        if not wish.requires and not chooser.task_type(wish)[0].requires:
            return
        choice = chooser.pick(replace(wish, hosts=(LOCAL_HOST,), group=None, exclude=())).choice
        if choice.host is None:
            reason = choice.verdicts[0].reason
            agent = self.settings.agent
            lacks_agent = f"lacks {agent.tool}" in reason
            remedy = f"install {agent.tool}: {agent.install}" if lacks_agent else "ask for less, or offer other hosts"
            raise NoHostError(f"this machine {reason}", remedy)

    def _check(self, command: str, options: RunOptions) -> None:
        from dgummy.runscript import MAX_COMMAND_BYTES, is_env_name

        if not command.strip():
            raise UsageError("there is no command", 'for example: inv run "make test"')
        if "\0" in command:
            raise UsageError("the command holds a NUL byte, which no shell can take", "leave it out")
        size = len(command.encode("utf-8", "surrogateescape"))
        if size > MAX_COMMAND_BYTES:
            raise UsageError(
                f"the command is {size:,} bytes long; a shell takes at most {MAX_COMMAND_BYTES:,}",
                "put it into a file of the project and run that",
            )
        for name, value in options.env.items():
            if not is_env_name(name):
                raise UsageError(f"--env {name}: no variable can have that name", "use letters, digits and _")
            if "\0" in value:
                raise UsageError(f"--env {name}: the value holds a NUL byte", "leave it out")
