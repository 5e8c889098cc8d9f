"""An ssh server of few words, for what OpenSSH's sshd cannot be made to do: `none`, banners, refusals."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from dgummy.transport.sshconfig import SSHTarget
from sshd import LOOPBACK, make_key, public


class Rules(paramiko.ServerInterface):
    """Who may come in, and how. Lets everybody run `sh -s`."""

    def __init__(self, *, banner: str = "", wait_s: float = 0.0, let_in: bool = True) -> None:
        self.banner = banner
        self.wait_s = wait_s
        self.let_in = let_in

    def get_banner(self) -> tuple[str | None, str | None]:
        return (self.banner, "en") if self.banner else (None, None)

    def check_auth_none(self, username: str) -> int:
        time.sleep(self.wait_s)  # as Tailscale does until its page was visited
        return AUTH_SUCCESSFUL if self.let_in else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_serve, args=(channel, command), daemon=True).start()
        return True


def _serve(channel: paramiko.Channel, command: bytes) -> None:
    script = b"".join(iter(lambda: channel.recv(65536), b""))
    done = subprocess.run(["sh", "-c", command], input=script, capture_output=True, check=False)
    channel.sendall(done.stdout)
    channel.send_exit_status(done.returncode)
    channel.close()


class ParamikoServer:
    """Serves until closed; `service_requests` counts what each client asked for."""

    def __init__(self, folder: Path, rules: Callable[[], Rules]) -> None:
        self._key = make_key(folder / "host_key")
        self._rules = rules
        self.known_hosts = folder / "known_hosts"
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = int(self._listener.getsockname()[1])
        self.known_hosts.write_text(f"[{LOOPBACK}]:{self.port} {public(self._key)}\n")
        self._transports: list[paramiko.Transport] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                transport = paramiko.Transport(connection)
                transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(self._key)))
                self._transports.append(transport)
                transport.start_server(threading.Event(), self._rules())

    def target(self, name: str) -> SSHTarget:
        return SSHTarget(
            name=name,
            hostname=LOOPBACK,
            user="somebody",
            port=self.port,
            identity_agent="none",
            user_known_hosts=(str(self.known_hosts),),
            strict="yes",
        )

    def close(self) -> None:
        self._listener.close()
        for transport in self._transports:
            transport.close()
