"""A host behind a cable that is pulled: sshd in a network namespace of its own.

Links cut, packets dropped, for a while or for good. Needs root and network namespaces.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import labs
from dgummy import lab as dlab
from dgummy.events import Event, Notice, Output
from dgummy.fanout import Call
from dgummy.model import Failure, FailureKind, Host, RunState
from dgummy.runs import Supervision
from dgummy.runscript import RunSpec
from dgummy.settings import Timeouts
from dgummy.transport.base import Reached
from dgummy.transport.ssh import SSHTransport
from dgummy.transport.sshconfig import resolve
from labs import NodeLab, fresh_id, plain, until
from sshd import make_key, public

LIMIT_S = "300"
QUICK = Timeouts(connect_s=2, script_s=8, silence_s=6, reconnect_s=30, kill_s=2)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def why_not() -> str:
    """Why these tests cannot run here, "" if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root for network namespaces"
    if shutil.which("ip") is None:
        return "needs ip (iproute2)"
    if labs.SSHD is None:
        return "there is no sshd on this machine"
    name = f"dgt{os.getpid()}"
    try:
        subprocess.run(["unshare", "-n", "nsenter", "--version"], check=True, capture_output=True)
        ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b")
        ip("link", "del", f"{name}a")
    except FileNotFoundError:
        return "needs unshare and nsenter (util-linux)"
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    return ""


@pytest.fixture(scope="module", autouse=True)
def _needs_namespaces() -> None:
    reason = why_not()
    if reason:
        pytest.skip(reason)


pytestmark = [pytest.mark.netns, pytest.mark.slow]


@dataclass
class Far:
    """A host at the other end of a cable.

    Its network namespace has no name: it goes, cable and all, with the last process in it, and these have a time limit.
    So nothing stays for long, even if the tests are killed.
    """

    folder: Path
    name: str = field(default_factory=lambda: f"dg{os.getpid() % 100000}{random.randrange(10)}")
    holder: subprocess.Popen[bytes] | None = None
    sshd: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        subnet = f"10.{random.randrange(200, 250)}.{random.randrange(256)}"
        self.here, self.address = f"{subnet}.1", f"{subnet}.2"
        self.home = self.folder / "home"
        (self.home / "bin").mkdir(parents=True)
        (self.home / ".profile").write_text(f"PATH={self.home}/bin:$PATH\n")
        self.host_key, self.key = make_key(self.folder / "host"), make_key(self.folder / "client")
        (self.folder / "authorized").write_text(public(self.key) + "\n")
        (self.folder / "known").write_text(f"{self.address} {public(self.host_key)}\n")
        self.ssh_config = self.folder / "ssh_config"
        self.ssh_config.write_text(
            f"Host far\n HostName {self.address}\n User {getpass.getuser()}\n IdentityFile {self.key}\n"
            f" IdentitiesOnly yes\n IdentityAgent none\n UserKnownHostsFile {self.folder / 'known'}\n"
            " GlobalKnownHostsFile /dev/null\n StrictHostKeyChecking yes\n BatchMode yes\n"
        )

    def up(self) -> None:
        self.holder = holder = subprocess.Popen(["unshare", "-n", "sleep", LIMIT_S])
        until(lambda: self._namespace(holder.pid) not in ("", self._namespace(os.getpid())))
        ip("link", "add", f"{self.name}a", "type", "veth", "peer", "name", f"{self.name}b")
        ip("link", "set", f"{self.name}b", "netns", str(holder.pid))
        ip("addr", "add", f"{self.here}/24", "dev", f"{self.name}a")
        ip("link", "set", f"{self.name}a", "up")
        self.inside("ip", "addr", "add", f"{self.address}/24", "dev", f"{self.name}b")
        self.inside("ip", "link", "set", f"{self.name}b", "up")
        self.inside("ip", "link", "set", "lo", "up")
        self.start_sshd()

    @staticmethod
    def _namespace(pid: int) -> str:
        try:
            return str(Path(f"/proc/{pid}/ns/net").readlink())
        except OSError:
            return ""

    def _enter(self, *words: str) -> list[str]:
        assert self.holder is not None
        return ["nsenter", "-t", str(self.holder.pid), "-n", *words]

    def inside(self, *words: str) -> None:
        subprocess.run(self._enter(*words), check=True, capture_output=True)

    def start_sshd(self) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(
            f"ListenAddress {self.address}\nHostKey {self.host_key}\nAuthorizedKeysFile {self.folder / 'authorized'}\n"
            f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\n"
            f"SetEnv HOME={self.home}\nClientAliveInterval 0\n"
        )
        assert labs.SSHD is not None
        words = self._enter("timeout", LIMIT_S, labs.SSHD, "-D", "-f", str(config), "-E", str(self.folder / "log"))
        self.sshd = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        until(
            lambda: "Server listening" in ((self.folder / "log").read_text() if (self.folder / "log").exists() else "")
        )

    def pids(self) -> list[int]:
        """Everything that runs in the namespace."""
        assert self.holder is not None
        here = self._namespace(self.holder.pid)
        everything = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [pid for pid in everything if here and self._namespace(pid) == here]

    def down(self) -> None:
        if self.holder is None:
            return
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in (self.sshd, self.holder):
            if process is not None:
                process.wait()
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("link", "del", f"{self.name}a")

    # -- the cable -----------------------------------------------------------------------------------------------

    def pull(self) -> None:
        """Pull the cable at the far end."""
        self.inside("ip", "link", "set", f"{self.name}b", "down")

    def plug(self) -> None:
        self.inside("ip", "link", "set", f"{self.name}b", "up")

    def swallow(self) -> None:
        """What we send is dropped without a word, as by a firewall; the cable is in."""
        ip("neigh", "replace", self.address, "lladdr", "02:00:00:00:00:99", "dev", f"{self.name}a", "nud", "permanent")

    def let_through(self) -> None:
        ip("neigh", "del", self.address, "dev", f"{self.name}a")


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Far]:
    host = Far(tmp_path / "far")
    try:
        host.up()
        yield host
    finally:
        host.down()


@pytest.fixture
def transport(far: Far) -> Iterator[SSHTransport]:
    made = SSHTransport(
        lambda name: resolve(name, config_path=far.ssh_config),
        connect_s=QUICK.connect_s,
        browser_s=2,
        interactive=False,
        ask=None,
        on_notice=lambda host, text: None,
        ssh_config_path=far.ssh_config,
    )
    yield made
    made.close()


HOST = Host("far")
NUMBERS = "echo ran >>count; i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.03; done; exit 9"
WHOLE = b"".join(b"line %d\n" % i for i in range(1, 201))


def supervise(
    transport: SSHTransport, heard: list[Event], command: str = NUMBERS, timeouts: Timeouts = QUICK
) -> Supervision:
    return Supervision(transport, HOST, RunSpec(fresh_id(), command), timeouts, heard.append)


def out(heard: list[Event]) -> bytes:
    return b"".join(event.data for event in heard if isinstance(event, Output))


def notices(heard: list[Event]) -> str:
    return "\n".join(event.text for event in heard if isinstance(event, Notice))


@pytest.mark.parametrize(("cut", "mend"), [("pull", "plug"), ("swallow", "let_through")])
@pytest.mark.parametrize("seconds", [1.0, 9.0])
def test_a_line_that_fails_for_a_while_loses_nothing(
    far: Far, transport: SSHTransport, cut: str, mend: str, seconds: float
) -> None:
    """Short: TCP itself makes up for it. Longer than silence_s: a new connection goes on where the old one stopped."""
    heard: list[Event] = []
    call = Call(supervise(transport, heard).follow)
    until(lambda: b"line 30\n" in out(heard))
    getattr(far, cut)()
    time.sleep(seconds)
    getattr(far, mend)()
    assert call.wait(40)
    assert (call.result().state, call.result().exit_code) == (RunState.FAILED, 9)
    assert out(heard) == WHOLE
    assert (far.home / "count").read_text() == "ran\n"
    assert ("trying to get back" in notices(heard)) is (seconds > QUICK.silence_s)


def test_a_line_that_flaps(far: Far, transport: SSHTransport) -> None:
    heard: list[Event] = []
    call = Call(supervise(transport, heard).follow)
    until(lambda: b"line 10\n" in out(heard))
    for _ in range(4):
        far.pull()
        time.sleep(0.7)
        far.plug()
        time.sleep(0.4)
    assert call.wait(40)
    assert call.result().exit_code == 9 and out(heard) == WHOLE


@pytest.mark.parametrize("cut", ["pull", "swallow"])
def test_a_line_that_is_cut_for_good_is_lost(far: Far, transport: SSHTransport, cut: str) -> None:
    heard: list[Event] = []
    timeouts = Timeouts(connect_s=1, script_s=5, silence_s=5.5, reconnect_s=2, kill_s=2)
    call = Call(supervise(transport, heard, timeouts=timeouts).follow)
    until(lambda: b"line 10\n" in out(heard))
    getattr(far, cut)()
    began = time.monotonic()
    assert call.wait(30)
    ending = call.result()
    assert ending.state is RunState.LOST and ending.not_started is None
    assert 4 < time.monotonic() - began < 40
    until(lambda: (far.home / ".local/state/dgummy/runs").exists())
    (run,) = (far.home / ".local/state/dgummy/runs").iterdir()
    until(lambda: (run / "exit").exists(), 20)  # the host has gone on by itself
    assert (run / "exit").read_text().startswith("9 exited")
    assert (run / "out").read_bytes() == WHOLE


@pytest.mark.parametrize("cut", ["pull", "swallow"])
def test_a_host_that_cannot_be_reached_costs_connect_s(far: Far, transport: SSHTransport, cut: str) -> None:
    getattr(far, cut)()
    began = time.monotonic()
    reached = transport.connect(HOST)
    assert isinstance(reached, Failure) and reached.kind in (FailureKind.TIMED_OUT, FailureKind.NO_ROUTE)
    assert time.monotonic() - began < QUICK.connect_s + 1
    ending = supervise(transport, []).follow()
    assert ending.not_started is not None
    assert not (far.home / "count").exists()


def test_a_line_that_is_cut_just_as_a_run_starts(far: Far, transport: SSHTransport) -> None:
    """Cut at a random moment of the start, mended later: exactly once in the end, whatever was under way."""
    assert isinstance(transport.connect(HOST), Reached)
    chance = random.Random(11)
    command = "echo ran >>count; exit 3"
    for number in range(4):
        heard: list[Event] = []
        call = Call(supervise(transport, heard, command).follow)
        time.sleep(chance.uniform(0, 0.12))
        far.pull()
        time.sleep(QUICK.silence_s + 1 if number == 0 else 1)
        far.plug()
        assert call.wait(40)
        assert call.result().exit_code == 3, call.result()
        assert (far.home / "count").read_text() == "ran\n" * (number + 1)


def test_cancel_over_a_line_that_comes_back(far: Far, transport: SSHTransport) -> None:
    heard: list[Event] = []
    supervision = supervise(transport, heard, "echo x; sleep 60")
    call = Call(supervision.follow)
    until(lambda: out(heard) == b"x\n")
    far.pull()
    cancel = Call(supervision.cancel)
    time.sleep(1)
    far.plug()
    assert cancel.wait(20) and not isinstance(cancel.result(), Failure)
    assert call.wait(20) and call.result().state is RunState.CANCELLED


# -- whole commands --------------------------------------------------------------------------------------------


@pytest.fixture
def both(far: Far, own_lab: NodeLab) -> NodeLab:
    """A client that knows two hosts: `far`, which is the better one, and node-2 of a lab."""
    folder = own_lab.lab.directory
    root = own_lab.lab.node("node-1").root  # far shows the figures of node-1
    dlab.set_figures(own_lab.lab, "node-1", dlab.Figures(cpu_pct=2, iowait_pct=1, mem_pct=5, load1=0.05, cores=8))
    dlab.set_figures(own_lab.lab, "node-2", dlab.Figures(cpu_pct=80, iowait_pct=9, mem_pct=70, load1=3, cores=4))
    joined = folder / "both_ssh_config"
    joined.write_text(far.ssh_config.read_text() + own_lab.lab.ssh_config_path.read_text())
    config = folder / "both.yaml"
    config.write_text(
        "backend: ssh\ngroups: {dev: [far, node-2]}\n"
        f"ssh_config: {joined}\nstate_dir: {folder}/state\n"
        f"hosts:\n  far: {{probe_root: {root}}}\n  node-2: {{probe_root: {own_lab.lab.node('node-2').root}}}\n"
        f"cache: {{load_path: {folder}/l.json, status_path: {folder}/s.json}}\n"
        "timeouts: {connect_s: 2, probe_s: 4, script_s: 6, silence_s: 6, reconnect_s: 3, kill_s: 1, sync_idle_s: 2}\n"
    )
    own_lab.env["DGUMMY_CONFIG"] = str(config)
    return own_lab


def test_a_host_that_is_cut_off_before_the_run_is_replaced(far: Far, both: NodeLab, tmp_path: Path) -> None:
    project, count = both.project(), tmp_path / "count"
    assert both.json("load", cwd=project)["best"] == "far"
    far.pull()
    document = both.json("run", f"echo ran >>{count}", cwd=project)
    assert (document["state"], document["host"], document["process_exit_code"]) == ("ok", "node-2", 0), document
    assert [(one["host"], one["outcome"]) for one in document["attempts"]] == [("far", "unreachable"), ("node-2", "ok")]
    assert count.read_text() == "ran\n"


def test_a_host_that_is_cut_off_while_it_runs_is_not_replaced(far: Far, both: NodeLab, tmp_path: Path) -> None:
    project, count = both.project(), tmp_path / "count"
    client = both.start("run", "--json", f"echo ran >>{count}; sleep 40", cwd=project)
    until(count.exists)
    far.pull()
    stdout, stderr = client.communicate(timeout=60)
    assert client.returncode == 75, plain(stderr)
    assert b'"lost"' in stdout and count.read_text() == "ran\n"
    assert both.ledger()[0].state is RunState.LOST


def test_a_host_that_is_cut_off_during_the_sync_is_replaced_and_usable_later(
    far: Far, both: NodeLab, tmp_path: Path
) -> None:
    project, count = both.project(), tmp_path / "count"
    slow = far.home / "bin/rsync"
    slow.write_text('#!/bin/sh\ntouch "$HOME/syncing"\nsleep 2\nexec /usr/bin/rsync "$@"\n')
    slow.chmod(0o755)
    client = both.start("run", "--json", f"echo ran >>{count}", cwd=project)
    until(lambda: (far.home / "syncing").exists())
    far.pull()
    stdout, stderr = client.communicate(timeout=60)
    assert client.returncode == 0, plain(stderr)
    assert b'"host": "node-2"' in stdout and count.read_text() == "ran\n"
    # The workspace there is locked by a run that will never be: its lease runs out, and then it is free again.
    far.plug()
    slow.unlink()
    (since,) = (far.home / ".local/state/dgummy/workspaces").glob("*/lock/since")
    since.write_text(f"{int(since.read_text()) - 500}\n")
    document = both.json("run", "--host", "far", "cat queries.sql | wc -l", cwd=project)
    assert (document["state"], document["host"]) == ("ok", "far"), document
