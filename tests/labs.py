"""A lab for tests: real sshd nodes on loopback, a home folder of the client's own, and `inv` pointed at both.

Fixtures are in `conftest.py`. Nothing of the user's own ~/.ssh, settings or caches is read or written.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

import warm
from dgummy import lab as dlab
from dgummy import layers
from dgummy.backends import Backend, Carriers
from dgummy.cluster import Cluster
from dgummy.events import Event
from dgummy.inventory import build as build_inventory
from dgummy.lab import Lab
from dgummy.lab.processes import run_processes, table
from dgummy.ledger import Ledger
from dgummy.ledger_rows import RunRow, new_run_id
from dgummy.model import Host
from dgummy.project import find as find_project
from dgummy.settings import Settings, Timeouts
from dgummy.transport.base import Transport
from dgummy.transport.local import LocalTransport
from dgummy.transport.ssh import SSHTransport
from dgummy.transport.sshconfig import resolve
from dgummy.wiring import Surroundings

REPO = Path(__file__).parents[1]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine")

PROGRAMS = {
    "dgummy": "from dgummy.cli import main; main()",
    "inv": "from invoke.main import program; program.run()",
}


@dataclass
class NodeLab:
    """A lab and a client of it. `env` is the whole environment for a subprocess; `home` is the client's."""

    lab: Lab
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        passed = {name: os.environ[name] for name in warm.PASSED_ON if name in os.environ}
        self.env = {
            **passed,
            "HOME": str(self.home),
            "DGUMMY_CONFIG": str(self.lab.config_path),
            "PYTHONPATH": str(REPO),
            "PYTHONDONTWRITEBYTECODE": "1",
            "INVOKE_DGUMMY_NOTICES": "always",  # as where there is a terminal
            **self.env,
        }

    # -- where things are --------------------------------------------------------------------------------------

    def home_of(self, node: str) -> Path:
        return self.lab.node(node).home

    def run_dir(self, node: str, run_id: str) -> Path:
        """What a node remembers of a run."""
        return self.home_of(node) / ".local/state/dgummy/runs" / run_id

    def remote_dir(self, node: str, project: Path) -> Path:
        """Where a project below the client's home goes on a node."""
        return self.home_of(node) / project.relative_to(self.home)

    def host(self, node: str) -> Host:
        return Host(node, probe_root=str(self.lab.node(node).root))

    def ledger(self) -> list[RunRow]:
        """All runs that are recorded, newest first."""
        with contextlib.closing(Ledger.open(self.lab.directory / "state" / "runs.db")) as ledger:
            return list(ledger.runs())

    # -- doing things ------------------------------------------------------------------------------------------

    def project(self, name: str = "", *, specialists: bool = True) -> Path:
        """A new sample project below the client's home."""
        name = name or f"project-{new_run_id(datetime.now(timezone.utc))}"
        return dlab.make_sample_project(self.home / name, specialists=specialists)

    def command(self, *words: str, program: str = "dgummy") -> list[str]:
        """The command line of `dgummy WORDS` or `inv WORDS`, with this Python."""
        return [sys.executable, "-c", f"import sys; sys.argv[0] = {program!r}; {PROGRAMS[program]}", *words]

    def run(
        self,
        *words: str,
        cwd: Path | None = None,
        program: str = "dgummy",
        env: Mapping[str, str] | None = None,
        given: bytes = b"",
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        """`dgummy WORDS…` (or `inv`) to its end."""
        environ = {**self.env, **(env or {})}
        if warm.fits(environ) and not given:
            known = warm.Program(program, "", PROGRAMS[program])
            return warm.run(known, words, cwd=cwd or self.home, env=environ, timeout_s=timeout_s)
        return subprocess.run(
            self.command(*words, program=program),
            cwd=cwd or self.home,
            env=environ,
            input=given,
            capture_output=True,
            timeout=timeout_s,
        )

    def json(self, *words: str, **kwargs: Any) -> dict[str, Any]:
        """The same with --json, parsed."""
        done = self.run(*words, "--json", **kwargs)
        try:
            document = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"{words}: no JSON\n{done.stdout!r}\n{done.stderr.decode()}") from None
        assert isinstance(document, dict)
        return document | {"process_exit_code": done.returncode, "stderr": done.stderr.decode()}

    def start(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """`dgummy WORDS…` in the background; kill it, or wait for it."""
        return subprocess.Popen(
            self.command(*words),
            cwd=cwd or self.home,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def transport(self, *, connect_s: float = 5.0) -> SSHTransport:
        """Fabric over ssh to the nodes. Close it."""
        return SSHTransport(
            lambda name: resolve(name, config_path=self.lab.ssh_config_path),
            connect_s=connect_s,
            browser_s=connect_s,
            interactive=False,
            ask=None,
            on_notice=lambda host, text: None,
            ssh_config_path=self.lab.ssh_config_path,
        )

    @contextlib.contextmanager
    def cluster(
        self,
        project: Path,
        heard: list[Event] | None = None,
        *,
        transport: Callable[[Transport], Transport] | None = None,
        timeouts: Timeouts | None = None,
        **settings: Any,
    ) -> Iterator[Cluster]:
        """The use cases on this lab, in this process; `transport` may wrap the real one."""
        chosen = self.settings(timeouts=timeouts or Timeouts(), **settings)
        real = self.transport(connect_s=chosen.timeouts.connect_s)
        around = Surroundings(
            cwd=project,
            home=self.home,
            state_dir=self.lab.directory / "state",
            owner="tester@here",
            find_project=lambda cwd: find_project(cwd, self.home, {}),
            ssh_config=self.lab.ssh_config_path,
            ssh_hosts=list,
            now=lambda: datetime.now(timezone.utc),
            rng=random.Random(1),
        )
        cluster = Cluster(
            chosen,
            build_inventory(chosen, self.home / "no-such-file"),
            carriers=Carriers(Backend("ssh", "as set"), LocalTransport, lambda: transport(real) if transport else real),
            around=around,
            emit=(heard if heard is not None else []).append,
        )
        try:
            yield cluster
        finally:
            cluster.close()
            real.close()

    def settings(self, **changes: Any) -> Settings:
        """The lab's settings, with some replaced."""
        loaded = layers.load(None, {}, {"DGUMMY_CONFIG": str(self.lab.config_path)}, self.home).settings
        return msgspec.structs.replace(loaded, **changes)

    # -- breaking things ---------------------------------------------------------------------------------------

    def cut_connections(self, node: str) -> int:
        """Kill the sshd processes that serve connections to a node, as a crash would; the node stays up."""
        family = session_sshds(self.lab, node)
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        return len(family)

    def active_runs(self, node: str) -> dict[str, tuple[int, ...]]:
        """Runs alive on a node, with the pids of supervisor and command."""
        return run_processes(table(), self.home_of(node))


def session_sshds(lab: Lab, node: str) -> list[int]:
    """The sshds below a node's listener."""
    listener = int((lab.node(node).directory / "sshd.pid").read_text())
    known = table()
    found, waiting = [], [listener]
    while waiting:
        parent = waiting.pop()
        children = [one.pid for one in known.values() if one.ppid == parent and one.is_sshd]
        found += children
        waiting += children
    return found


@contextlib.contextmanager
def node_lab(folder: Path, nodes: int = 2, **options: Any) -> Iterator[NodeLab]:
    """A lab in `folder`, taken down at the end."""
    made = dlab.up(folder / "lab", nodes, **{"down_nodes": 0, "without_gummy": frozenset(), **options})
    try:
        for node in made.nodes:
            dlab.set_gummy(made, node.name, step_s=0)
        yield NodeLab(made, folder / "home")
    finally:
        dlab.down(made)


def until(condition: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """Wait for something true and give it back; fails the test if it does not come."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {timeout_s} s in vain {what}")
        time.sleep(0.02)


def fresh_id() -> str:
    return new_run_id(datetime.now(timezone.utc))


def plain(text: bytes) -> str:
    """Text without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode())
