"""Composition: from Invoke's configuration, flags and the environment to a cluster with listeners."""

from __future__ import annotations

import getpass
import os
import platform
import random
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy import layers
from dgummy.errors import ConfigError
from dgummy.events import Listener, Notice
from dgummy.fanout import Bus

if TYPE_CHECKING:
    import invoke.config

    from dgummy.backends import Carriers
    from dgummy.cluster import Cluster
    from dgummy.inventory import Inventory
    from dgummy.memo import Memo
    from dgummy.project import Project
    from dgummy.render.console import Console
    from dgummy.settings import Settings
    from dgummy.transport.base import Transport
    from dgummy.transport.dcmd import DCommand
    from dgummy.transport.dfind import Found, NotFound
    from dgummy.transport.hostkeys import HostKeyQuestion
    from dgummy.transport.ssh import SSHTransport
    from dgummy.transport.sshconfig import SSHTarget


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)


class App:
    """Everything one command needs, made when first asked for. A context manager: it closes what it opened.

    `asks` is whether the user may be asked, at a terminal, about a host that is new or a page to visit.
    """

    def __init__(
        self,
        config: invoke.config.Config | None = None,
        flags: Mapping[str, Any] | None = None,
        *,
        console: Console | None = None,
        listener: Listener | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._config = config
        self._flags = dict(flags or {})
        self.console = console
        self._cwd = cwd
        self.bus = Bus(*([listener] if listener else []))
        self.home = Path.home()
        self.asks = True

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_exc: object) -> None:
        if "cluster" in self.__dict__:
            self.cluster.close()

    @cached_property
    def merged(self) -> layers.Merged:
        """The settings, and where each came from."""
        found = layers.load(self._config, self._flags, os.environ, self.home, self._memo)
        for text in found.warnings:
            self.bus(Notice(text, "warning"))
        return found

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.merged.settings

    @cached_property
    def inventory(self) -> Inventory:
        """The hosts that were offered."""
        from dgummy import inventory

        return inventory.build(self.settings, inventory.d_config_path(self.home), self._memo)

    @cached_property
    def _memo(self) -> Memo:
        from dgummy import memo

        return memo.Memo(memo.folder(os.environ, self.home))

    @property
    def state_dir(self) -> Path:
        """Where the ledger and private caches are."""
        return layers.expand_path(self.settings.state_dir, self.home)

    @cached_property
    def ssh_config(self) -> Path | None:
        """The ssh configuration that the settings name, None for ssh's own."""
        if not self.settings.ssh_config:
            return None
        path = layers.expand_path(self.settings.ssh_config, self.home)
        if not path.is_file():
            raise ConfigError(
                f"ssh_config: there is no file {path}",
                "correct the setting ssh_config, or remove it to use ssh's own files",
            )
        return path

    @cached_property
    def cluster(self) -> Cluster:
        """The use cases."""
        from dgummy.cluster import Cluster
        from dgummy.wiring import Surroundings

        def find_project(folder: Path) -> Project:
            from dgummy import project

            return project.find(folder, self.home, os.environ if folder == cwd else {})

        cwd = self._cwd or current_folder()
        around = Surroundings(
            cwd=cwd,
            home=self.home,
            state_dir=self.state_dir,
            owner=f"{_user()}@{platform.node().split('.')[0] or 'localhost'}",
            find_project=find_project,
            ssh_config=self.ssh_config,
            ssh_hosts=self._ssh_hosts,
            now=utc_now,
            rng=random.Random(),  # noqa: S311 - breaks ties, guards nothing
        )
        return Cluster(
            self.settings,
            self.inventory,
            carriers=self._carriers(),
            around=around,
            emit=self.bus,
        )

    def _carriers(self) -> Carriers:
        from dgummy import backends

        def local() -> Transport:
            from dgummy.transport.local import LocalTransport

            return LocalTransport()

        chosen = backends.choose(self.settings.backend, bool(self.inventory.hosts), self.find_d)
        found, asked = chosen.found, self.settings.backend == "d"
        if found is None:
            return backends.Carriers(chosen, local, self.ssh_transport)

        def d() -> DCommand:
            from dgummy.transport.dcmd import DCommand

            limits = self.settings.timeouts
            return DCommand(found, timeout_s=self.settings.d.timeout_s, idle_s=limits.sync_idle_s)

        return backends.Carriers(chosen, local, self.ssh_transport, d, strict=asked)

    def find_d(self) -> Found | NotFound:
        """The `d` command of this machine, or why there is none that can be used."""
        from dgummy.transport.dfind import find

        cache_path = self.state_dir / "cache" / "d.json"
        return find(self.settings.d.command, path=os.environ.get("PATH", ""), cache_path=cache_path)

    def _ssh_hosts(self) -> list[str]:
        from dgummy.transport.sshconfig import config_hosts

        return config_hosts(self.ssh_config)

    @cached_property
    def resolver(self) -> Resolver:
        """How ssh would reach a name."""
        return Resolver(self.inventory, self.ssh_config, self.state_dir / "cache" / "ssh.json")

    def ssh_transport(self) -> SSHTransport:
        """A transport of its own over ssh, to be closed by whoever asked for it."""
        from dgummy.transport.ssh import SSHTransport

        interactive = self.asks and self.console is not None and self.console.interactive
        return SSHTransport(
            self.resolver,
            connect_s=self.settings.timeouts.connect_s,
            browser_s=self.settings.timeouts.browser_s,
            interactive=interactive,
            ask=self._ask_about_host_key if interactive else None,
            on_notice=lambda host, text: self.bus(Notice(text, "warning", host)),
            ssh_config_path=self.ssh_config,
        )

    def key_files(self, hosts: Iterable[str]) -> list[str]:
        """The files of keys that log in to hosts without an agent and without a passphrase, as ssh's config has it."""
        from dgummy.transport.keyfiles import read_key_file

        resolve = Resolver(self.inventory, self.ssh_config, self.state_dir / "cache" / "ssh.json")
        found: dict[str, None] = {}
        for host in hosts:
            with suppress(ConfigError):
                for path in resolve(self.inventory.hosts[host].ssh_names()[0]).identity_files:
                    key = read_key_file(path)
                    if key is not None and not (key.encrypted or key.public_only):
                        found[key.path] = None
        return list(found)

    def _ask_about_host_key(self, question: HostKeyQuestion) -> bool:
        """Ask, at a terminal, whether the user knows this key."""
        from dgummy.render.text import one_line

        assert self.console is not None  # noqa: S101 - asked only where there is one
        self.console.note(f"The key of {one_line(question.host)} is not known.")
        self.console.note(f"{one_line(question.key_type)} key fingerprint is {one_line(question.fingerprint)}.")
        self.console.write("err", b"Trust it and remember it (yes/no)? ")
        return sys.stdin.readline().strip().lower() in ("yes", "y")


class Resolver:
    """How ssh would reach a name; the first question asks about all hosts at once, which is much faster."""

    def __init__(self, inventory: Inventory, ssh_config: Path | None, cache_path: Path) -> None:
        self._names = [name for host in inventory.hosts.values() for name in host.ssh_names()]
        self._ssh_config = ssh_config
        self._cache_path = cache_path
        self._lock = threading.Lock()
        self._known: dict[str, SSHTarget | Exception] = {}

    def __call__(self, name: str) -> SSHTarget:
        """Resolve one ssh name. SSHConfigError if ssh cannot tell."""
        from dgummy.transport.sshconfig import resolve_many

        with self._lock:
            if name not in self._known:
                ask = self._names if name in self._names else [name]
                self._known |= resolve_many(ask, config_path=self._ssh_config, cache_path=self._cache_path)
            answer = self._known[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


def invoke_config(cwd: Path) -> invoke.config.Config:
    """What `inv` would read in a folder: the system's file, the user's, the project's."""
    from dgummy.invokefiles import InvokeConfig

    config = InvokeConfig()
    config.find_project(cwd)
    return config


def current_folder() -> Path:
    """The folder we are in, as the user typed it where that is still true; ConfigError if it is gone."""
    try:
        actual = Path.cwd()
    except OSError as error:
        raise ConfigError("the current folder does not exist any more", "change to a folder that does") from error
    return actual


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
