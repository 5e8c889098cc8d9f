"""A private sshd on a free loopback port, with keys, home and log of its own. Real OpenSSH, nothing of the user's."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dgummy.transport.sshconfig import SSHTarget

LOOPBACK = "127.0.0.1"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine")


def make_key(path: Path, *options: str, kind: str = "ed25519", passphrase: str = "") -> Path:
    """A key pair by ssh-keygen; the private half's path."""
    keygen("-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path), *options)
    return path


def keygen(*args: str) -> str:
    """Run ssh-keygen; what it printed."""
    done = subprocess.run(["ssh-keygen", "-q", *args], check=True, capture_output=True, text=True)
    return done.stdout


def public(key: Path) -> str:
    """The line of a key's .pub file: type and base64."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass
class Sshd:
    """One server. `options` are lines for its configuration; change them before `start`."""

    folder: Path
    options: list[str] = field(default_factory=list)
    host_key_kinds: tuple[str, ...] = ("ed25519",)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host_keys = [make_key(self.folder / f"host_{kind}", kind=kind) for kind in self.host_key_kinds]
        self.client_key = make_key(self.folder / "client")
        self.authorized_keys = self.folder / "authorized_keys"
        self.authorized_keys.write_text(public(self.client_key) + "\n")
        self.known_hosts = self.folder / "known_hosts"
        self.log = self.folder / "log"
        self.home = self.folder / "home"
        self.home.mkdir()

    def start(self) -> Sshd:
        """Start it and wait until it answers."""
        assert SSHD is not None
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for _ in range(5):  # a free port may be taken before sshd gets it
            self.port = free_port()
            config = self.folder / "sshd_config"
            config.write_text("\n".join(self._config()) + "\n")
            self.process = subprocess.Popen(
                [SSHD, "-D", "-f", str(config), "-E", str(self.log)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            if self._answers():
                self.known_hosts.write_text(self.known_hosts_text())
                return self
            self.stop()
        raise RuntimeError(f"sshd does not start: {self.log.read_text()}")

    def _config(self) -> list[str]:
        return [
            *self.options,  # the first value counts
            f"Port {self.port}",
            f"ListenAddress {LOOPBACK}",
            *(f"HostKey {key}" for key in self.host_keys),
            f"AuthorizedKeysFile {self.authorized_keys}",
            f"PidFile {self.folder / 'pid'}",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "LogLevel VERBOSE",
            "PermitRootLogin yes",
            "PermitUserEnvironment no",
            "UseDNS no",
            f"SetEnv HOME={self.home}",  # what the login shell reads is ours
        ]

    def _answers(self) -> bool:
        assert self.process is not None
        until = time.monotonic() + 5
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, self.port), 1) as probe:
                probe.settimeout(1)
                return probe.recv(4) == b"SSH-"
            time.sleep(0.01)
        return False

    def known_hosts_text(self, name: str | None = None) -> str:
        host = name or f"[{LOOPBACK}]:{self.port}"
        return "".join(f"{host} {public(key)}\n" for key in self.host_keys)

    def target(self, name: str = "node", **changes: object) -> SSHTarget:
        """How ssh would reach it."""
        target = SSHTarget(
            name=name,
            hostname=LOOPBACK,
            user=getpass.getuser(),
            port=self.port,
            identity_files=(str(self.client_key),),
            identity_agent="none",
            user_known_hosts=(str(self.known_hosts),),
            strict="yes",
        )
        return replace(target, **changes)  # type: ignore[arg-type]

    def connections(self) -> list[int]:
        """The processes that serve connections."""
        assert self.process is not None
        done = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in done.stdout.split()]

    def cut_connections(self) -> None:
        """Kill whatever serves a connection, as a crash would."""
        for pid in self.connections():
            subprocess.run(["pkill", "-KILL", "-P", str(pid)], check=False)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.process is None:
            return
        self.cut_connections()
        self.process.terminate()
        self.process.wait(5)
        self.process = None


@contextlib.contextmanager
def running(make: Callable[[str], Path]) -> Iterator[Callable[..., Sshd]]:
    """A function that starts servers, each in a folder of its own; they stop at the end of the block."""
    servers: list[Sshd] = []

    def start(*options: str, host_key_kinds: tuple[str, ...] = ("ed25519",)) -> Sshd:
        server = Sshd(make(f"sshd{len(servers)}"), list(options), host_key_kinds)
        servers.append(server)
        return server.start()

    try:
        yield start
    finally:
        for server in servers:
            server.stop()
