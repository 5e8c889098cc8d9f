"""The parts of a cluster, made when first needed: carriers, observers, choosers. What is not used is not imported."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dgummy.backends import Carriers
from dgummy.chooser import Chooser
from dgummy.events import Listener, Notice
from dgummy.inventory import Inventory
from dgummy.journal import Journal
from dgummy.model import LOCAL_HOST, FailureKind, Host
from dgummy.observe import Observer
from dgummy.settings import Settings

if TYPE_CHECKING:
    from dgummy.project import Project
    from dgummy.transport.base import Transport
    from dgummy.transport.dcmd import DCommand
    from dgummy.verdicts import Verdicts


class Surroundings(msgspec.Struct, frozen=True):
    """What the outside world gives: everything that would otherwise be read from globals."""

    cwd: Path
    home: Path
    state_dir: Path
    owner: str
    find_project: Callable[[Path], Project]
    ssh_config: Path | None
    ssh_hosts: Callable[[], list[str]]
    now: Callable[[], datetime]
    rng: random.Random


class Wiring:
    """Puts the parts together for one cluster."""

    def __init__(
        self,
        settings: Settings,
        inventory: Inventory,
        carriers: Carriers,
        around: Surroundings,
        journal: Journal,
        emit: Listener,
    ) -> None:
        self._settings = settings
        self._inventory = inventory
        self._carriers = carriers
        self._around = around
        self._journal = journal
        self._emit = emit

    def close(self) -> None:
        """Close what was opened."""
        for name in ("runner", "control", "local"):
            if name in self.__dict__:
                getattr(self, name).close()

    @cached_property
    def local(self) -> Transport:
        """For scripts on this machine."""
        return self._carriers.local()

    @cached_property
    def _ssh(self) -> Transport:
        return self._carriers.ssh()

    @cached_property
    def d(self) -> DCommand | None:
        """The `d` command, where it is the backend."""
        return self._carriers.d() if self._carriers.d is not None else None

    @cached_property
    def control(self) -> Transport:
        """For short scripts: ssh, which is quicker at them; `d` where ssh does not get through."""
        if self.d is None:
            return self._ssh
        from dgummy.transport.dcmd import DTransport
        from dgummy.transport.relay import Relay

        # Where the OpenSSH client, which d uses, knows a way in that Fabric does not.
        kinds = frozenset({FailureKind.AUTHENTICATION, FailureKind.PROXY})
        return Relay(self._ssh, DTransport(self.d), self._say_of, on=kinds)

    @cached_property
    def runner(self) -> Transport:
        """For runs: `d` where it is the backend."""
        if self.d is None:
            return self.control
        from dgummy.transport.dcmd import DTransport
        from dgummy.transport.relay import Relay

        by_d = DTransport(self.d)
        return by_d if self._carriers.strict else Relay(by_d, self._ssh, self._say_of)

    def _say_of(self, host: str, text: str) -> None:
        self._emit(Notice(text, "warning", host))

    @cached_property
    def _key_parts(self) -> list[str]:
        """What tells one set of hosts from another."""
        parts = [str(self._around.ssh_config or ""), self._settings.agent.tool]
        hosts = self._inventory.hosts.values()
        return [*parts, *(repr((host.name, host.paths, host.probe_root, host.path_dirs)) for host in hosts)]

    @cached_property
    def verdicts(self) -> Verdicts:
        """What `inv doctor` found."""
        from dgummy.verdicts import Verdicts

        return Verdicts(self._around.state_dir, self._key_parts)

    @cached_property
    def observer(self) -> Observer:
        """What measures the hosts."""
        parts = self._key_parts
        by_ssh = self._new_observer(lambda: self.control, "ssh", parts)
        if self.d is None:
            return by_ssh
        from dgummy.observe_d import DObserver

        around = self._around
        return DObserver(
            self.d,
            by_ssh,
            self._inventory,
            self._settings,
            strict=self._carriers.strict,
            key_parts=parts,
            state_dir=around.state_dir,
            emit=self._emit,
            now=around.now,
        )

    @cached_property
    def local_observer(self) -> Observer:
        """What measures this machine."""
        return self._new_observer(lambda: self.local, LOCAL_HOST, [self._settings.agent.tool])

    def _new_observer(self, transport: Callable[[], Transport], name: str, parts: Sequence[str]) -> Observer:
        around = self._around
        return Observer(
            transport,
            self._settings,
            name=name,
            key_parts=[name, *parts],
            state_dir=around.state_dir,
            emit=self._emit,
            now=around.now,
        )

    @cached_property
    def chooser(self) -> Chooser:
        """What picks a host."""
        return self._new_chooser(self._inventory, self.observer)

    @cached_property
    def local_chooser(self) -> Chooser:
        """What picks this machine, or says what it lacks."""
        alone = Inventory({LOCAL_HOST: (LOCAL_HOST,)}, {LOCAL_HOST: Host(LOCAL_HOST)}, "local", LOCAL_HOST)
        return self._new_chooser(alone, self.local_observer)

    def _new_chooser(self, inventory: Inventory, observer: Observer) -> Chooser:
        around = self._around
        return Chooser(
            self._settings,
            inventory,
            observer,
            self._journal,
            now=around.now,
            rng=around.rng,
            ssh_hosts=around.ssh_hosts,
            verdicts=lambda: self.verdicts.known(around.now()),
        )
