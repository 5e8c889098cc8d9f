"""Reaching hosts over ssh: every way it can fail, host keys, jump hosts, several paths, shared connections."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from dgummy.model import Failure, FailureKind, Host
from dgummy.remote import compose
from dgummy.transport.base import Answer, Limits, Reached, Script
from dgummy.transport.framing import Frame
from dgummy.transport.hostkeys import HostKeyQuestion
from dgummy.transport.ssh import SSHTransport
from dgummy.transport.sshconfig import SSHTarget, resolve
from sshd import LOOPBACK, Sshd, free_port, keygen, make_key, needs_sshd, running

pytestmark = needs_sshd

NODE = Host("node")
Make = Callable[..., SSHTransport]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(lambda name: tmp_path_factory.mktemp(name)) as start:
        yield start()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    with running(lambda name: tmp_path / name) as starter:
        yield starter


@pytest.fixture
def transport() -> Iterator[Make]:
    made = []

    def make(*targets: SSHTarget, **options: object) -> SSHTransport:
        by_name = {target.name: target for target in targets}
        settings: dict[str, object] = {
            "connect_s": 5.0,
            "browser_s": 5.0,
            "interactive": False,
            "ask": None,
            "on_notice": lambda *_: None,
        }
        made.append(SSHTransport(by_name.__getitem__, **(settings | options)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


@contextlib.contextmanager
def mute_listener(greeting: bytes = b"", *, close: bool = False) -> Iterator[int]:
    """A port that takes connections and says no more than `greeting`."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        held = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.sendall(greeting)
                    held.append(connection)
                    if close:
                        connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


def shell(body: str) -> Script:
    return compose([], "eval", [body])


def failure(outcome: object) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


# Reasons.


def test_reached(server: Sshd, transport: Make) -> None:
    reached = transport(server.target()).connect(NODE)
    assert isinstance(reached, Reached)
    assert (reached.ssh_name, reached.address) == ("node", LOOPBACK)
    assert 0 < reached.latency_ms < 5000


@pytest.mark.parametrize(
    ("greeting", "waiting_for"),
    [(b"", "ssh banner"), (b"SSH-2.0-mute\r\n", "key exchange"), (b"line\r\n" * 3, "banner")],
)
def test_a_host_that_never_speaks_costs_the_connect_time(
    greeting: bytes, waiting_for: str, server: Sshd, transport: Make
) -> None:
    with mute_listener(greeting) as port:
        began = time.monotonic()
        found = failure(transport(server.target(port=port), connect_s=0.8).connect(NODE))
        took_s = time.monotonic() - began
    assert found.kind is FailureKind.TIMED_OUT
    assert waiting_for in found.detail
    told = re.search(r"after (\d+\.\d) s", found.detail)
    assert told and 0.8 <= float(told[1]) <= took_s + 0.1
    assert took_s < 5  # far below what paramiko itself would wait


def test_many_who_want_a_hung_host_wait_once(server: Sshd, transport: Make) -> None:
    with mute_listener() as port:
        ssh = transport(server.target(port=port), connect_s=0.8)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda _: failure(ssh.connect(NODE)), range(8)))
        assert time.monotonic() - began < 5  # one after the other it would be 6.4 s
    assert {one.kind for one in found} == {FailureKind.TIMED_OUT}


def test_refused(server: Sshd, transport: Make) -> None:
    found = failure(transport(server.target(port=free_port())).connect(NODE))
    assert found.kind is FailureKind.REFUSED and found.remedy


def test_no_such_name(server: Sshd, transport: Make) -> None:
    found = failure(transport(server.target(hostname="nope.invalid")).connect(NODE))
    assert found.kind is FailureKind.DNS and "nope.invalid" in found.detail


@pytest.mark.parametrize("name", ["a" * 300, "a..b", "-x", "\udc80", "a\0b"])
def test_names_that_make_no_sense(name: str, server: Sshd, transport: Make) -> None:
    found = failure(transport(server.target(hostname=name)).connect(NODE))
    assert found.kind is FailureKind.DNS


def test_dropped_before_the_banner(server: Sshd, transport: Make) -> None:
    with mute_listener(close=True) as port:
        found = failure(transport(server.target(port=port)).connect(NODE))
    assert found.kind is FailureKind.DROPPED and "banner" in found.detail


def test_max_startups(start: Callable[..., Sshd], transport: Make) -> None:
    server = start("MaxStartups 1", "LoginGraceTime 20")
    until = time.monotonic() + 5
    while time.monotonic() < until:  # the connection that waited for the start may still be counted
        with socket.create_connection((LOOPBACK, server.port)) as holder:
            if holder.recv(4) == b"SSH-":
                found = failure(transport(server.target()).connect(NODE))
                break
    assert found.kind is FailureKind.DROPPED


def test_not_ssh_at_all(server: Sshd, transport: Make) -> None:
    with mute_listener(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x\r\n" * 200) as port:
        found = failure(transport(server.target(port=port)).connect(NODE))
    assert found.kind is FailureKind.DROPPED and "no ssh server" in found.detail


def test_garbage_in_the_key_exchange(server: Sshd, transport: Make) -> None:
    with mute_listener(b"SSH-2.0-x\r\n" + bytes(range(256)) * 8, close=True) as port:
        found = failure(transport(server.target(port=port)).connect(NODE))
    assert found.kind is FailureKind.DROPPED and "key exchange" in found.detail


def test_a_configuration_that_ssh_refuses(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host node\n  Port nonsense\n")
    ssh = SSHTransport(
        lambda name: resolve(name, config_path=config),
        connect_s=5, browser_s=5, interactive=False, ask=None, on_notice=lambda *_: None,
    )  # fmt: skip
    assert failure(ssh.connect(NODE)).kind is FailureKind.CONFIG


# Host keys.


@pytest.mark.parametrize("strict", ["yes", "no", "off", "ask", "accept-new"])
def test_a_changed_key_always_refuses(strict: str, server: Sshd, transport: Make, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    known_hosts = tmp_path / "known hosts"
    line = Path(f"{other}.pub").read_text()
    before = f"# first\n[{LOOPBACK}]:{server.port} {line}"
    known_hosts.write_text(before)
    target = server.target(strict=strict, user_known_hosts=(str(known_hosts),))
    ssh = transport(target, ask=lambda _: True)
    found = failure(ssh.connect(NODE))
    assert found.kind is FailureKind.HOST_KEY and found.kind.exit_code == 77
    assert f"{known_hosts}:2" in found.detail
    assert known_hosts.read_text() == before
    # The remedy does what it says.
    assert found.remedy.partition(": ")[2].startswith("ssh-keygen -R")
    subprocess.run(found.remedy.partition(": ")[2], shell=True, check=True, capture_output=True)
    if strict != "yes":
        assert isinstance(ssh.connect(NODE), Reached)


def test_unknown_key_with_strict_yes(server: Sshd, transport: Make, tmp_path: Path) -> None:
    found = failure(transport(server.target(user_known_hosts=(str(tmp_path / "none"),))).connect(NODE))
    shown = keygen("-l", "-f", f"{server.host_keys[0]}.pub").split()[1]
    assert found.kind is FailureKind.HOST_KEY and shown in found.detail and "ssh node" in found.remedy


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("strict", ["accept-new", "no", "off"])
def test_new_keys_are_added(strict: str, hashed: bool, server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "new" / "known_hosts"
    target = server.target(strict=strict, user_known_hosts=(str(known_hosts),), hash_known_hosts=hashed)
    assert isinstance(transport(target).connect(NODE), Reached)
    assert known_hosts.stat().st_mode & 0o777 == 0o600
    assert known_hosts.parent.stat().st_mode & 0o777 == 0o700
    assert known_hosts.read_text().startswith("|1|") == hashed
    assert keygen("-F", f"[{LOOPBACK}]:{server.port}", "-f", str(known_hosts))
    # and from then on it is known
    assert isinstance(transport(replace(target, strict="yes")).connect(NODE), Reached)


def test_a_key_is_added_once_and_after_a_cut_line(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text("# no newline at the end")
    target = server.target(strict="accept-new", user_known_hosts=(str(known_hosts),))
    ssh = transport(*(replace(target, name=f"n{number}") for number in range(6)))
    with ThreadPoolExecutor(6) as threads:
        outcomes = list(threads.map(lambda number: ssh.connect(Host(f"n{number}")), range(6)))
    assert all(isinstance(outcome, Reached) for outcome in outcomes)
    assert len(known_hosts.read_text().splitlines()) == 2


def test_hashed_known_hosts(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts_text())
    keygen("-H", "-f", str(known_hosts))
    assert isinstance(transport(server.target(user_known_hosts=(str(known_hosts),))).connect(NODE), Reached)


def test_the_global_file_counts_too(server: Sshd, transport: Make, tmp_path: Path) -> None:
    target = server.target(user_known_hosts=(str(tmp_path / "none"),), global_known_hosts=(str(server.known_hosts),))
    assert isinstance(transport(target).connect(NODE), Reached)


def test_host_key_alias(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts_text("the-alias"))
    target = server.target(user_known_hosts=(str(known_hosts),))
    assert failure(transport(target).connect(NODE)).kind is FailureKind.HOST_KEY
    assert isinstance(transport(replace(target, host_key_alias="the-alias")).connect(NODE), Reached)


@pytest.mark.parametrize("known", [0, 1, 2])
def test_a_host_known_by_one_type_is_asked_for_that_type(
    known: int, start: Callable[..., Sshd], transport: Make, tmp_path: Path
) -> None:
    server = start(host_key_kinds=("ed25519", "ecdsa", "rsa"))
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts_text().splitlines()[known] + "\n")
    assert isinstance(transport(server.target(user_known_hosts=(str(known_hosts),))).connect(NODE), Reached)


def test_accept_new_takes_no_other_type_from_a_known_host(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    other = make_key(tmp_path / "other", kind="ecdsa")
    known_hosts.write_text(f"[{LOOPBACK}]:{server.port} {Path(f'{other}.pub').read_text()}")
    target = server.target(strict="accept-new", user_known_hosts=(str(known_hosts),))
    found = failure(transport(target).connect(NODE))
    assert found.kind is FailureKind.HOST_KEY and "ecdsa-sha2-nistp256" in found.detail


def test_revoked(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(server.known_hosts_text() + server.known_hosts_text("@revoked *"))
    found = failure(transport(server.target(strict="no", user_known_hosts=(str(known_hosts),))).connect(NODE))
    assert found.kind is FailureKind.HOST_KEY and f"{known_hosts}:2" in found.detail


def test_ask_takes_its_time_and_asks_once(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    target = server.target(strict="ask", user_known_hosts=(str(known_hosts),))
    questions = []

    def ask(question: HostKeyQuestion) -> bool:
        questions.append(question)
        time.sleep(1.5)  # longer than connect_s
        return True

    ssh = transport(target, replace(target, name="same"), ask=ask, connect_s=1.0)
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(ssh.connect, [NODE, Host("same")]))
    assert all(isinstance(outcome, Reached) for outcome in outcomes), outcomes
    shown = keygen("-l", "-f", f"{server.host_keys[0]}.pub").split()[1]
    assert questions == [HostKeyQuestion(f"[{LOOPBACK}]:{server.port}", "ssh-ed25519", shown)]


def test_ask_refuses_without_a_terminal_or_with_a_no(server: Sshd, transport: Make, tmp_path: Path) -> None:
    target = server.target(strict="ask", user_known_hosts=(str(tmp_path / "known_hosts"),))
    for ask in (None, lambda _: False):
        assert failure(transport(target, ask=ask).connect(NODE)).kind is FailureKind.HOST_KEY
    assert not (tmp_path / "known_hosts").exists()


# Paths, jump hosts, proxies.


def test_the_first_path_that_answers(server: Sshd, transport: Make) -> None:
    host = Host("node", paths=("lan", "ts"))
    with mute_listener() as port:
        ssh = transport(server.target("lan", port=port), server.target("ts"), connect_s=3.0)
        began = time.monotonic()
        reached = ssh.connect(host)
        assert isinstance(reached, Reached) and reached.ssh_name == "ts"
        assert time.monotonic() - began < 2.8
        server.cut_connections()
        began = time.monotonic()
        until = time.monotonic() + 3
        while isinstance(ssh.run_script(host, shell("fact x")), Failure) and time.monotonic() < until:
            pass
        assert time.monotonic() - began < 1.4, "the path that answered was not remembered"


def test_all_paths_dead(server: Sshd, transport: Make) -> None:
    host = Host("node", paths=("lan", "ts"))
    ssh = transport(server.target("lan", hostname="nope.invalid"), server.target("ts", port=free_port()))
    found = failure(ssh.connect(host))
    assert "lan: name not found" in found.detail and "ts: connection refused" in found.detail


def test_a_changed_key_is_not_passed_by(server: Sshd, transport: Make, tmp_path: Path) -> None:
    known_hosts = tmp_path / "known_hosts"
    other = make_key(tmp_path / "other")
    known_hosts.write_text(f"[{LOOPBACK}]:{server.port} {Path(f'{other}.pub').read_text()}")
    ssh = transport(server.target("lan", user_known_hosts=(str(known_hosts),)), server.target("ts"))
    assert failure(ssh.connect(Host("node", paths=("lan", "ts")))).kind is FailureKind.HOST_KEY


def test_jump_hosts(start: Callable[..., Sshd], transport: Make) -> None:
    first, second, last = start(), start(), start()
    chain = f"someone@a:{first.port},b"
    ssh = transport(
        first.target("a", user="nobody-by-that-name", port=1),
        second.target("b"),
        last.target("node", proxy_jump=chain),
        last.target("other", proxy_jump=chain),
    )
    found = failure(ssh.connect(NODE))
    assert found.kind is FailureKind.AUTHENTICATION and "someone@a" in found.detail
    ssh = transport(
        first.target("a", port=1),
        second.target("b"),
        last.target("node", proxy_jump=f"a:{first.port},b"),
        last.target("other", proxy_jump=f"a:{first.port},b"),
    )
    answer = ssh.run_script(NODE, shell("fact x"))
    assert isinstance(answer, Answer) and answer.has("x")
    assert isinstance(ssh.connect(Host("other")), Reached)
    assert len(first.connections()) == 1, "the jump host's connection is not shared"
    assert "direct-tcpip" in second.log.read_text() or second.connections()


def test_a_jump_host_is_checked_like_any_other(server: Sshd, transport: Make, tmp_path: Path) -> None:
    jump = server.target("jump", user_known_hosts=(str(tmp_path / "none"),))
    found = failure(transport(jump, server.target(proxy_jump="jump", port=1)).connect(NODE))
    assert found.kind is FailureKind.HOST_KEY and "jump host jump" in found.detail


def test_jump_host_failures(server: Sshd, transport: Make) -> None:
    dead = server.target("dead", port=free_port())
    found = failure(transport(dead, server.target(proxy_jump="dead", hostname="x")).connect(NODE))
    assert found.kind is FailureKind.PROXY and "jump host dead: connection refused" in found.detail
    far = server.target(proxy_jump="jump", port=free_port())
    found = failure(transport(server.target("jump"), far).connect(NODE))
    assert found.kind is FailureKind.PROXY and "cannot reach" in found.detail


def test_jump_hosts_in_a_circle_and_a_host_that_jumps_through_itself(server: Sshd, transport: Make) -> None:
    a, b = server.target("a", proxy_jump="b", port=1), server.target("b", proxy_jump="a", port=2)
    found = failure(transport(a, b, server.target(proxy_jump="a", port=3)).connect(NODE))
    assert found.kind is FailureKind.PROXY and "circle" in found.detail
    assert isinstance(transport(server.target(proxy_jump="node")).connect(NODE), Reached)


def test_proxy_command(server: Sshd, transport: Make) -> None:
    relay = (
        f"{sys.executable} -c 'import os,socket,sys,threading as t\n"
        "s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
        "def up():\n"
        "  while d:=os.read(0,65536): s.sendall(d)\n"
        "t.Thread(target=up,daemon=True).start()\n"
        "while d:=s.recv(65536): os.write(1,d)' %h %p"
    )
    ssh = transport(server.target(proxy_command=relay))
    answer = ssh.run_script(NODE, shell("fact x"))
    assert isinstance(answer, Answer) and answer.has("x")
    ssh.close()
    until = time.monotonic() + 3
    while time.monotonic() < until and _children():
        time.sleep(0.02)
    assert not _children(), "the proxy command was left behind"


def _children() -> list[str]:
    done = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "socket,sys,threading"], capture_output=True, text=True, check=False
    )
    return done.stdout.split()


def test_a_proxy_command_that_fails(server: Sshd, transport: Make) -> None:
    found = failure(transport(server.target(proxy_command="sh -c 'echo no way >&2; exit 1'")).connect(NODE))
    assert found.kind is FailureKind.PROXY and "no way" in found.detail
    found = failure(transport(server.target(proxy_command="sleep 60"), connect_s=0.6).connect(NODE))
    assert found.kind is FailureKind.TIMED_OUT


def test_through_ssh_config_with_include(server: Sshd, tmp_path: Path) -> None:
    included = tmp_path / "more"
    included.write_text(
        f"Host node\n  HostName {LOOPBACK}\n  Port {server.port}\n  IdentityFile {server.client_key}\n"
        f"  UserKnownHostsFile {server.known_hosts}\n  StrictHostKeyChecking yes\n  IdentityAgent none\n"
    )
    config = tmp_path / "config"
    config.write_text(f"Include {included}\n")
    ssh = SSHTransport(
        lambda name: resolve(name, config_path=config),
        connect_s=5, browser_s=5, interactive=False, ask=None, on_notice=lambda *_: None,
    )  # fmt: skip
    answer = ssh.run_script(NODE, shell("fact x"))
    assert isinstance(answer, Answer) and answer.has("x")
    ssh.close()


# Sharing, and connections that break.


def test_one_connection_for_all_threads(start: Callable[..., Sshd], transport: Make) -> None:
    server = start()
    ssh = transport(server.target())
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: ssh.run_script(NODE, shell("sleep 0.1; fact x")), range(6)))
    assert all(isinstance(answer, Answer) for answer in answers)
    assert server.log.read_text().count("Accepted publickey") == 1


@pytest.mark.parametrize("sessions", [1, 2])
def test_few_sessions_per_connection(sessions: int, start: Callable[..., Sshd], transport: Make) -> None:
    server = start(f"MaxSessions {sessions}")
    ssh = transport(server.target())
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: ssh.run_script(NODE, shell("sleep 0.4; fact x")), range(6)))
    assert all(isinstance(answer, Answer) and answer.has("x") for answer in answers), answers


def test_more_than_a_connection_holds(start: Callable[..., Sshd], transport: Make) -> None:
    server = start()
    ssh = transport(server.target())
    with ThreadPoolExecutor(14) as threads:
        answers = list(threads.map(lambda _: ssh.run_script(NODE, shell("sleep 0.5; fact x")), range(14)))
    assert all(isinstance(answer, Answer) for answer in answers), answers
    assert server.log.read_text().count("Accepted publickey") == 2


def test_no_sessions_at_all(start: Callable[..., Sshd], transport: Make) -> None:
    server = start("MaxSessions 0")
    ssh = transport(server.target())
    found = failure(ssh.run_script(NODE, shell("fact x"), Limits(total_s=0.5)))
    assert found.kind is FailureKind.DROPPED and "MaxSessions" in found.remedy


def test_killed_in_the_middle_is_lost(start: Callable[..., Sshd], transport: Make) -> None:
    server = start()
    ssh = transport(server.target())

    def cut(frame: Frame) -> None:
        threading.Thread(target=server.cut_connections).start()

    began = time.monotonic()
    found = failure(ssh.run_script(NODE, shell("sleep 30"), Limits(total_s=None), cut))
    assert found.kind is FailureKind.LOST
    assert time.monotonic() - began < 5
    # and a new connection is made for the next
    answer = ssh.run_script(NODE, shell("fact x"))
    assert isinstance(answer, Answer)


def test_a_connection_that_died_in_between_is_replaced(start: Callable[..., Sshd], transport: Make) -> None:
    server = start()
    ssh = transport(server.target())
    for _ in range(3):
        assert isinstance(ssh.run_script(NODE, shell("fact x")), Answer)
        server.cut_connections()


def test_a_server_that_is_gone_says_so(start: Callable[..., Sshd], transport: Make) -> None:
    server = start()
    ssh = transport(server.target())
    assert isinstance(ssh.connect(NODE), Reached)
    server.stop()
    found = failure(ssh.run_script(NODE, shell("fact x")))
    assert found.kind is FailureKind.REFUSED


def test_close_ends_what_runs_and_refuses_what_comes(server: Sshd, transport: Make) -> None:
    ssh = transport(server.target())
    threading.Timer(0.5, ssh.close).start()
    began = time.monotonic()
    found = failure(ssh.run_script(NODE, shell("fact x; sleep 30"), Limits(total_s=None)))
    assert found.kind is FailureKind.LOST
    assert time.monotonic() - began < 5
    assert failure(ssh.connect(NODE)).kind is FailureKind.CANCELLED


def test_a_hung_host_does_not_keep_the_process_alive(server: Sshd, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    with mute_listener(b"SSH-2.0-mute\r\n") as port:
        program.write_text(
            "import threading, time\n"
            "from dgummy.model import Host\n"
            "from dgummy.transport.ssh import SSHTransport\n"
            "from dgummy.transport.sshconfig import SSHTarget\n"
            f"target = SSHTarget('node', {LOOPBACK!r}, 'x', {port})\n"
            "ssh = SSHTransport(lambda _: target, connect_s=60, browser_s=60, interactive=False, ask=None,\n"
            "                   on_notice=print)\n"
            "threading.Thread(target=ssh.connect, args=(Host('node'),), daemon=True).start()\n"
            "time.sleep(0.5)\n"
        )
        began = time.monotonic()
        root = Path(__file__).parent.parent
        done = subprocess.run(
            [sys.executable, str(program)], capture_output=True, timeout=20, check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip
        assert time.monotonic() - began < 10
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_nothing_of_paramikos_log_reaches_the_terminal(server: Sshd, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    with mute_listener(b"SSH-2.0-x\r\n" + b"\xff" * 5000, close=True) as port:
        program.write_text(
            "from dgummy.model import Host\n"
            "from dgummy.transport.ssh import SSHTransport\n"
            "from dgummy.transport.sshconfig import SSHTarget\n"
            f"target = SSHTarget('node', {LOOPBACK!r}, 'x', {port})\n"
            "ssh = SSHTransport(lambda _: target, connect_s=5, browser_s=5, interactive=False, ask=None,\n"
            "                   on_notice=print)\n"
            "print(ssh.connect(Host('node')).kind.name)\n"
        )
        root = Path(__file__).parent.parent
        done = subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, timeout=20, check=False,
            env=os.environ | {"PYTHONPATH": str(root)},
        )  # fmt: skip
    assert (done.stdout, done.stderr) == ("DROPPED\n", "")
