"""Logging in: `none`, agents, key files, certificates, banners. Real sshd and ssh-agent; nothing ever prompts."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from dgummy.fanout import Call
from dgummy.model import Failure, FailureKind, Host
from dgummy.remote import compose
from dgummy.transport.base import Answer, Reached
from dgummy.transport.keyfiles import KeyFile, read_key_file
from dgummy.transport.ssh import SSHTransport
from dgummy.transport.sshconfig import SSHTarget
from paramiko_server import ParamikoServer, Rules
from sshd import Sshd, keygen, make_key, needs_sshd, public, running

NODE = Host("node")
Start = Callable[..., Sshd]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(lambda name: tmp_path_factory.mktemp(name)) as start:
        yield start()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with running(lambda name: tmp_path / name) as starter:
        yield starter


@pytest.fixture
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The socket of a fresh ssh-agent."""
    path = tmp_path_factory.mktemp("a") / "s"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 5
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)
    yield path
    process.terminate()
    process.wait()


def add(agent: Path, *keys: Path) -> None:
    subprocess.run(
        ["ssh-add", "-q", *map(str, keys)],
        check=True, capture_output=True, env=os.environ | {"SSH_AUTH_SOCK": str(agent)},
    )  # fmt: skip


def log_in(target: SSHTarget, **options: object) -> Reached | Failure:
    settings: dict[str, object] = {
        "connect_s": 5.0,
        "browser_s": 5.0,
        "interactive": False,
        "ask": None,
        "on_notice": lambda *_: None,
    }
    ssh = SSHTransport(lambda _: target, **(settings | options))  # type: ignore[arg-type]
    try:
        return ssh.connect(NODE)
    finally:
        ssh.close()


def refused(outcome: Reached | Failure) -> Failure:
    assert isinstance(outcome, Failure), outcome
    assert outcome.kind is FailureKind.AUTHENTICATION, outcome
    assert outcome.remedy and "\n" not in outcome.detail
    return outcome


def reached(outcome: Reached | Failure) -> None:
    assert isinstance(outcome, Reached), outcome


# Key files.


@needs_sshd
@pytest.mark.parametrize(
    ("kind", "options"), [("ed25519", ()), ("ecdsa", ()), ("rsa", ()), ("rsa", ("-m", "PEM")), ("ecdsa", ("-m", "PEM"))]
)
def test_a_key_file(kind: str, options: tuple[str, ...], start: Start, tmp_path: Path) -> None:
    server = start()
    key = make_key(tmp_path / "id", *options, kind=kind)
    server.authorized_keys.write_text(public(key) + "\n")
    reached(log_in(server.target(identity_files=(str(tmp_path / "none"), str(key)))))


@needs_sshd
def test_the_right_key_comes_last(server: Sshd, tmp_path: Path) -> None:
    garbage, public_only = tmp_path / "garbage", tmp_path / "public"
    garbage.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    public_only.write_text(public(server.client_key))
    wrong = make_key(tmp_path / "wrong")
    files = (tmp_path / "none", tmp_path, garbage, public_only, wrong, server.client_key)
    reached(log_in(server.target(identity_files=tuple(map(str, files)))))


@needs_sshd
def test_what_was_tried_is_told(server: Sshd, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("no key")
    wrong = make_key(tmp_path / "wrong")
    found = refused(log_in(server.target(identity_files=(str(wrong), str(garbage)))))
    assert str(wrong) in found.detail and str(garbage) in found.detail
    assert "accepts publickey" in found.detail
    assert found.remedy.endswith(": ssh-copy-id node")
    found = refused(log_in(server.target(identity_files=()), ssh_config_path=Path("/my own/config")))
    assert "accepts publickey" in found.detail
    assert found.remedy.endswith(": ssh-copy-id -F '/my own/config' node")


@needs_sshd
@pytest.mark.parametrize("options", [(), ("-m", "PEM")])
def test_a_locked_key_is_named_not_asked_for(options: tuple[str, ...], server: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "locked", *options, kind="rsa", passphrase="secret")
    found = refused(log_in(server.target(identity_files=(str(key),))))
    assert "passphrase" in found.detail and found.remedy == f"ssh-add {key}"


@needs_sshd
def test_too_many_keys_for_the_server(start: Start, tmp_path: Path) -> None:
    server = start("MaxAuthTries 2")
    wrong = [make_key(tmp_path / f"wrong{number}") for number in range(5)]
    began = time.monotonic()
    found = refused(log_in(server.target(identity_files=tuple(map(str, wrong)))))
    assert "ended the conversation" in found.detail and "IdentitiesOnly" in found.detail
    assert time.monotonic() - began < 3


@needs_sshd
def test_a_second_factor_is_told(start: Start) -> None:
    server = start(
        "AuthenticationMethods publickey,keyboard-interactive", "KbdInteractiveAuthentication yes", "UsePAM yes"
    )
    found = refused(log_in(server.target()))
    assert "keyboard-interactive" in found.detail


@needs_sshd
def test_two_keys_that_are_both_wanted(start: Start, tmp_path: Path) -> None:
    server = start("AuthenticationMethods publickey,publickey")
    second = make_key(tmp_path / "second")
    server.authorized_keys.write_text(public(server.client_key) + "\n" + public(second) + "\n")
    reached(log_in(server.target(identity_files=(str(server.client_key), str(second)))))


@needs_sshd
def test_preferred_authentications_without_publickey(server: Sshd) -> None:
    refused(log_in(server.target(preferred_authentications=("password",))))
    reached(log_in(server.target(preferred_authentications=("password", "publickey"))))


@needs_sshd
def test_an_unknown_user(server: Sshd) -> None:
    found = refused(log_in(server.target(user="nobody-by-that-name")))
    assert "nobody-by-that-name@" in found.detail


def test_what_key_files_tell_without_their_passphrase(tmp_path: Path) -> None:
    key = make_key(tmp_path / "id", passphrase="secret")
    blob = paramiko.Ed25519Key.from_private_key_file(str(key), "secret").asbytes()
    (tmp_path / "id.pub").rename(tmp_path / "other.pub")
    assert read_key_file(str(key)) == KeyFile(str(key), blob, encrypted=True)
    assert read_key_file(str(tmp_path / "other.pub")) == KeyFile(str(tmp_path / "other.pub"), blob, public_only=True)
    assert read_key_file(str(tmp_path / "other")) == KeyFile(str(tmp_path / "other"), blob, public_only=True)
    assert read_key_file(str(tmp_path / "none")) is None


@needs_sshd
def test_a_named_pipe_in_the_place_of_a_file_is_passed_over(server: Sshd, tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    target = server.target(identity_files=(pipe, *server.target().identity_files), certificate_files=(pipe,))
    job = Call(lambda: log_in(replace(target, global_known_hosts=(pipe,))))
    assert job.wait(20)
    reached(job.result())


# Agents.


@needs_sshd
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_an_agent_key(kind: str, start: Start, agent: Path, tmp_path: Path) -> None:
    server = start()
    key = make_key(tmp_path / "id", kind=kind)
    server.authorized_keys.write_text(public(key) + "\n")
    add(agent, key)
    reached(log_in(server.target(identity_files=(), identity_agent=str(agent))))


@needs_sshd
def test_which_agent(server: Sshd, agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(agent, server.client_key)
    target = server.target(identity_files=())
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    monkeypatch.setenv("OTHER_SOCK", str(agent))
    reached(log_in(replace(target, identity_agent=None)))
    reached(log_in(replace(target, identity_agent="$OTHER_SOCK")))
    refused(log_in(replace(target, identity_agent="none")))
    monkeypatch.delenv("SSH_AUTH_SOCK")
    refused(log_in(replace(target, identity_agent=None)))


@needs_sshd
def test_a_locked_key_in_the_agent(start: Start, agent: Path, tmp_path: Path) -> None:
    server = start()
    key = make_key(tmp_path / "id")
    add(agent, key)
    server.authorized_keys.write_text(public(key) + "\n")
    keygen("-p", "-P", "", "-N", "secret", "-f", str(key))
    reached(log_in(server.target(identity_files=(str(key),), identity_agent=str(agent), identities_only=True)))


@needs_sshd
def test_identities_only(start: Start, agent: Path, tmp_path: Path) -> None:
    server = start("MaxAuthTries 2")
    others = [make_key(tmp_path / f"other{number}") for number in range(4)]
    add(agent, *others, server.client_key)
    target = server.target(identity_agent=str(agent))
    # The configured key goes first, so the others do no harm
    reached(log_in(target))
    refused(log_in(replace(target, identity_files=())))
    only = replace(target, identities_only=True)
    reached(log_in(only))
    refused(log_in(replace(only, identity_files=(str(others[0]),))))
    # A public key is enough to say which of the agent's is meant.
    shutil.copy(f"{server.client_key}.pub", tmp_path / "mine.pub")
    reached(log_in(replace(only, identity_files=(str(tmp_path / "mine.pub"),))))
    reached(log_in(replace(only, identity_files=(str(tmp_path / "mine"),))))


@needs_sshd
@pytest.mark.parametrize("behaviour", ["absent", "dead", "rude"])
def test_an_agent_that_does_not_work_is_no_agent(behaviour: str, server: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        if behaviour != "absent":
            listener.bind(str(path))
        if behaviour == "rude":
            listener.listen()

            def answer() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"\0\0\0\1\5")

            threading.Thread(target=answer, daemon=True).start()
        reached(log_in(server.target(identity_agent=str(path))))


@needs_sshd
def test_an_agent_that_refuses_to_sign_does_not_end_it(server: Sshd, agent: Path, tmp_path: Path) -> None:
    # ssh-add -c asks for confirmation; with no program to ask, the agent refuses.
    other = make_key(tmp_path / "confirmed")
    subprocess.run(
        ["ssh-add", "-q", "-c", str(other)],
        check=True, capture_output=True, env=os.environ | {"SSH_AUTH_SOCK": str(agent)},
    )  # fmt: skip
    reached(log_in(server.target(identity_agent=str(agent), identity_files=(str(other), str(server.client_key)))))


# Certificates.


@pytest.fixture
def certified(start: Start, tmp_path: Path) -> Callable[[str], tuple[Sshd, Path]]:
    """A server that takes certificates only, and a certified key of a kind."""

    def make(kind: str) -> tuple[Sshd, Path]:
        authority, key = make_key(tmp_path / "ca"), make_key(tmp_path / "id", kind=kind)
        server = start(f"TrustedUserCAKeys {authority}.pub")
        server.authorized_keys.write_text("")
        keygen("-s", str(authority), "-I", "me", "-n", server.target().user, f"{key}.pub")
        return server, key

    return make


@needs_sshd
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_certificates(kind: str, certified: Callable[[str], tuple[Sshd, Path]], agent: Path, tmp_path: Path) -> None:
    server, key = certified(kind)
    certificate = tmp_path / "id-cert.pub"
    target = server.target(identity_files=(str(key),))
    reached(log_in(target))

    elsewhere = tmp_path / "elsewhere.pub"
    certificate.rename(elsewhere)
    refused(log_in(target))
    reached(log_in(replace(target, certificate_files=(str(elsewhere),))))

    add(agent, key)
    from_agent = replace(target, identity_files=(), identity_agent=str(agent))
    refused(log_in(from_agent))
    reached(log_in(replace(from_agent, certificate_files=(str(elsewhere),))))

    elsewhere.rename(certificate)
    add(agent, key)  # takes the certificate along
    reached(log_in(from_agent))
    reached(log_in(replace(from_agent, identities_only=True, identity_files=(f"{key}.pub",))))


@needs_sshd
def test_a_plain_key_is_still_tried_when_its_certificate_is_refused(start: Start, tmp_path: Path) -> None:
    server, authority = start(), make_key(tmp_path / "ca")
    keygen("-s", str(authority), "-I", "me", "-n", "x", f"{server.client_key}.pub")
    reached(log_in(server.target()))


# `none`, and banners.


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Callable[..., ParamikoServer]]:
    servers = []

    def serve(**rules: object) -> ParamikoServer:
        servers.append(ParamikoServer(tmp_path, lambda: Rules(**rules)))  # type: ignore[arg-type]
        return servers[-1]

    yield serve
    for server in servers:
        server.close()


def test_none_lets_us_in(peer: Callable[..., ParamikoServer]) -> None:
    server = peer()
    ssh = SSHTransport(server.target, connect_s=5, browser_s=5, interactive=False, ask=None, on_notice=lambda *_: None)
    answer = ssh.run_script(NODE, compose([], "eval", ["fact x; (exit 3)"]))
    assert isinstance(answer, Answer) and answer.has("x") and answer.exit_status == 3
    ssh.close()


def test_only_passwords_are_taken(peer: Callable[..., ParamikoServer]) -> None:
    found = refused(log_in(peer(let_in=False).target("node")))
    assert "accepts password" in found.detail


BANNER = "# To log in, \x1b[31mvisit:\n#   https://login.example.org/a/1b2c?x=1\n"


def test_a_url_is_shown_at_once_and_waited_for(peer: Callable[..., ParamikoServer]) -> None:
    server = peer(banner=BANNER, wait_s=1.5)
    notices: list[tuple[float, str, str]] = []
    began = time.monotonic()
    outcome = log_in(
        server.target("node"),
        connect_s=0.8,
        browser_s=5.0,
        interactive=True,
        on_notice=lambda host, text: notices.append((time.monotonic() - began, host, text)),
    )
    assert isinstance(outcome, Reached), outcome
    assert time.monotonic() - began > 1.4
    ((at, host, text),) = notices
    assert at < 0.8 and host == "node"
    assert "https://login.example.org/a/1b2c?x=1" in text and "\x1b" not in text


def test_a_url_nobody_can_visit(peer: Callable[..., ParamikoServer]) -> None:
    server = peer(banner=BANNER, wait_s=5)
    began = time.monotonic()
    found = refused(log_in(server.target("node"), connect_s=0.8, interactive=False))
    assert time.monotonic() - began < 2
    assert "https://login.example.org/a/1b2c?x=1" in found.remedy


def test_the_wait_for_a_browser_ends_too(peer: Callable[..., ParamikoServer]) -> None:
    server = peer(banner=BANNER, wait_s=5)
    began = time.monotonic()
    found = refused(log_in(server.target("node"), connect_s=0.5, browser_s=1.0, interactive=True))
    assert 0.9 < time.monotonic() - began < 2.5
    assert "https://login.example.org" in found.remedy


def test_a_login_that_hangs_without_a_word(peer: Callable[..., ParamikoServer]) -> None:
    outcome = log_in(peer(wait_s=5).target("node"), connect_s=0.8, interactive=True)
    assert isinstance(outcome, Failure) and outcome.kind is FailureKind.TIMED_OUT
    assert "authentication" in outcome.detail


@needs_sshd
@pytest.mark.parametrize(("text", "shown"), [("Be good.\n", 0), ("Rules: http://rules.example.org/\n", 1)])
def test_sshd_banners(text: str, shown: int, start: Start, tmp_path: Path) -> None:
    (tmp_path / "banner").write_text(text)
    server = start(f"Banner {tmp_path}/banner")
    notices: list[str] = []
    reached(log_in(server.target(), on_notice=lambda _, text: notices.append(text)))
    assert len(notices) == shown


def test_a_listener_that_fails_does_not_break_the_login(peer: Callable[..., ParamikoServer]) -> None:
    def fail(host: str, text: str) -> None:
        raise ZeroDivisionError

    reached(log_in(peer(banner=BANNER).target("node"), on_notice=fail))


@needs_sshd
def test_one_service_request_for_all_tries(start: Start, tmp_path: Path) -> None:
    # Servers written in Go hang up at a second SSH_MSG_SERVICE_REQUEST (5); USERAUTH_REQUEST is 50.
    server = start("LogLevel DEBUG3")
    wrong = [str(make_key(tmp_path / f"wrong{number}")) for number in range(3)]
    reached(log_in(server.target(identity_files=(*wrong, str(server.client_key)))))
    received = re.findall(r"receive packet: type (\d+)", server.log.read_text())
    assert received.count("50") == 5
    assert received.count("5") == 1
