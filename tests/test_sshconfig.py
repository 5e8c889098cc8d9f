"""What ssh says about hosts, read from the real ssh; and the cache of it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import time
from pathlib import Path

import pytest

from dgummy.errors import ExitCode
from dgummy.transport import sshconfig
from dgummy.transport.sshconfig import (
    SSHConfigError,
    SSHTarget,
    agent_socket,
    config_hosts,
    expand_proxy_command,
    parse,
    resolve,
    resolve_many,
)
from dgummy.transport.sshconfig_files import fingerprint, read_tree

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="no OpenSSH client on this machine")

HOME = pwd.getpwuid(os.getuid()).pw_dir

CONFIG = """
Include {folder}/parts/*.conf
Host late
  HostName 10.0.0.9
Match host 10.0.0.2
  Port 2222
  ProxyCommand nc -X 5 %h %p # %r %n 100%%
  IdentityFile none
  UserKnownHostsFile none
  IdentityAgent SSH_AUTH_SOCK
  StrictHostKeyChecking yes
Host *
  User bob
  HashKnownHosts yes
"""
PART = """
Host node-1 node-1-alt
  HostName 10.0.0.1
  Port 2201
  IdentityFile ~/.ssh/id_a
  IdentityFile "%d/my keys/id_%n_%r_%p_%%"
  CertificateFile ~/id_a-cert.pub
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile /a/known "/b b/known" ~/known
  GlobalKnownHostsFile /etc/known
  ProxyJump me@jump:22,second
  StrictHostKeyChecking accept-new
  ForwardAgent yes
  HostKeyAlias alias
  ConnectTimeout 7
  PreferredAuthentications publickey,password
  HostKeyAlgorithms ssh-ed25519
  CheckHostIP yes
  BatchMode yes
Host node-2
  HostName 10.0.0.2
Host loose
  StrictHostKeyChecking off
Host web-* !web-9 *.example.com
  Port 99
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "a.conf").write_text(PART)
    path = tmp_path / "config"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_everything_ssh_says_about_a_host(config: Path) -> None:
    assert resolve("node-1", config_path=config) == SSHTarget(
        name="node-1",
        hostname="10.0.0.1",
        user="bob",
        port=2201,
        identity_files=(f"{HOME}/.ssh/id_a", f"{HOME}/my keys/id_node-1_bob_2201_%"),
        certificate_files=(f"{HOME}/id_a-cert.pub",),
        identities_only=True,
        identity_agent="none",
        proxy_jump="me@jump:22,second",
        proxy_command=None,
        user_known_hosts=("/a/known", "/b b/known", f"{HOME}/known"),
        global_known_hosts=("/etc/known",),
        strict="accept-new",
        host_key_alias="alias",
        hash_known_hosts=True,
        connect_timeout=7,
        preferred_authentications=("publickey", "password"),
        host_key_algorithms=("ssh-ed25519",),
        check_host_ip=True,
        batch_mode=True,
        forward_agent=True,
        address_family="any",
    )


def test_match_and_none(config: Path) -> None:
    target = resolve("node-2", config_path=config)
    assert (target.hostname, target.port, target.strict) == ("10.0.0.2", 2222, "yes")
    assert target.proxy_command == "nc -X 5 %h %p # %r %n 100%%"
    assert target.identity_files == () and target.user_known_hosts == ()
    assert target.identity_agent is None and target.proxy_jump is None and target.host_key_alias is None


def test_a_host_that_no_file_knows_has_the_defaults(config: Path) -> None:
    target = resolve("nowhere.example", config_path=config)
    assert (target.hostname, target.port, target.strict) == ("nowhere.example", 22, "ask")
    assert f"{HOME}/.ssh/id_ed25519" in target.identity_files
    assert target.user_known_hosts == (f"{HOME}/.ssh/known_hosts", f"{HOME}/.ssh/known_hosts2")
    assert target.connect_timeout is None and not target.forward_agent and target.host_key_algorithms


@pytest.mark.parametrize(("written", "strict"), [("off", "no"), ("no", "no"), ("yes", "yes"), ("ask", "ask")])
def test_host_key_checking(written: str, strict: str, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"StrictHostKeyChecking {written}\n")
    assert resolve("x", config_path=path).strict == strict


def test_variables_in_file_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text("IdentityFile ${KEY_FOLDER}/id\n")
    cache = tmp_path / "cache.json"
    for folder in ("/one", "/two"):
        monkeypatch.setenv("KEY_FOLDER", folder)
        assert resolve("x", config_path=path, cache_path=cache).identity_files == (f"{folder}/id",)


def test_a_bad_config_is_told_in_sshs_own_words(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("User a\nPrat 22\n")
    with pytest.raises(SSHConfigError) as caught:
        resolve("x", config_path=path)
    assert caught.value.code is ExitCode.CONFIG
    assert caught.value.message == f"x: {path}: line 2: Bad configuration option: prat"
    assert "correct that line" in caught.value.remedy


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SSHConfigError, match="No such file or directory"):
        resolve("x", config_path=tmp_path / "none")


@pytest.mark.parametrize("name", ["-F/tmp/x", "--", "", "a b", "a\nb", "a\x1b"])
def test_names_that_ssh_must_not_see(name: str, config: Path) -> None:
    with pytest.raises(SSHConfigError) as caught:
        resolve(name, config_path=config)
    assert caught.value.message.isprintable()


def test_no_ssh_on_the_path(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SSHConfigError, match="ssh: program not found"):
        resolve("x", config_path=config)


def test_a_config_that_hangs_is_cut_off_with_its_children(tmp_path: Path) -> None:
    path, marker = tmp_path / "config", tmp_path / "still-alive"
    path.write_text(f'Match exec "sleep 2; touch {marker}"\n  User a\n')
    start = time.monotonic()
    with pytest.raises(SSHConfigError, match=r"took longer than 0\.3 s"):
        resolve("x", config_path=path, timeout_s=0.3)
    assert time.monotonic() - start < 1.5
    time.sleep(max(0.0, 2.3 - (time.monotonic() - start)))
    assert not marker.exists()


def test_many_hosts_in_one_go(config: Path) -> None:
    names = [f"web-{number}" for number in range(40)] + ["-bad", "node-1", "node-1"]
    answers = resolve_many(names, config_path=config)
    assert list(answers) == names[:-1]
    assert isinstance(answers["-bad"], SSHConfigError)
    ports = {name: answer.port for name, answer in answers.items() if isinstance(answer, SSHTarget)}
    assert ports["web-3"] == 99 and ports["web-9"] == 22 and ports["node-1"] == 2201
    assert len(ports) == 41


def test_one_that_fails_keeps_no_other_from_answering(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('Match originalhost slow exec "sleep 9"\n  User a\n')
    answers = resolve_many(["slow", "fast"], config_path=path, timeout_s=0.5)
    assert isinstance(answers["slow"], SSHConfigError) and isinstance(answers["fast"], SSHTarget)


@pytest.fixture
def counted_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a script before the real ssh that notes each time it is called."""
    log, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    script = folder / "ssh"
    script.write_text(f'#!/bin/sh\necho call >> "{log}"\nexec {shutil.which("ssh")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    log.touch()
    return log


def calls(log: Path) -> int:
    return len(log.read_text().splitlines())


def test_answers_are_cached(config: Path, tmp_path: Path, counted_ssh: Path) -> None:
    cache = tmp_path / "state" / "deep" / "ssh.json"
    first = resolve_many(["node-1", "node-2"], config_path=config, cache_path=cache)
    assert calls(counted_ssh) == 2
    assert resolve_many(["node-2", "node-1", "late"], config_path=config, cache_path=cache) | {} == {
        **first,
        "late": resolve("late", config_path=config),
    }
    assert calls(counted_ssh) == 4
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    assert [path.name for path in cache.parent.iterdir()] == ["ssh.json"]


def touch_later(path: Path) -> None:
    later = path.stat().st_mtime_ns + 1_000_000_000
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize("change", ["config", "part", "time", "new", "gone", "program"])
def test_any_change_makes_ssh_be_asked_again(change: str, config: Path, tmp_path: Path, counted_ssh: Path) -> None:
    cache, part = tmp_path / "ssh.json", tmp_path / "parts" / "a.conf"
    resolve("late", config_path=config, cache_path=cache)
    resolve("late", config_path=config, cache_path=cache)
    assert calls(counted_ssh) == 1
    if change == "config":
        config.write_text(config.read_text().replace("10.0.0.9", "10.0.0.8"))
    elif change == "part":
        part.write_text(part.read_text() + "\nHost late\n  Port 5\n")
    elif change == "time":
        touch_later(part)
    elif change == "new":
        (tmp_path / "parts" / "b.conf").write_text("Host late\n  Port 6\n")
    elif change == "gone":
        part.unlink()
    else:
        touch_later(tmp_path / "bin" / "ssh")
    answer = resolve("late", config_path=config, cache_path=cache)
    assert calls(counted_ssh) == 2
    assert answer == resolve("late", config_path=config)


@pytest.mark.parametrize(
    "text", ["Match exec true\n  User a\n", "match LocalNetwork 10.0.0.0/8\n  User a\n", "CanonicalizeHostname yes\n"]
)
def test_what_depends_on_more_than_files_is_not_cached(text: str, tmp_path: Path) -> None:
    path, cache = tmp_path / "config", tmp_path / "ssh.json"
    path.write_text(f"Host x\n  User b\n{text}")
    assert fingerprint(path) is None
    if "LocalNetwork" not in text:  # not known to every ssh that is in use
        resolve("x", config_path=path, cache_path=cache)
    assert not cache.exists()


def test_two_configs_do_not_mix(config: Path, tmp_path: Path) -> None:
    cache, other = tmp_path / "ssh.json", tmp_path / "other"
    other.write_text("Host node-1\n  HostName other\n")
    assert resolve("node-1", config_path=config, cache_path=cache).hostname == "10.0.0.1"
    assert resolve("node-1", config_path=other, cache_path=cache).hostname == "other"
    assert resolve("node-1", config_path=config, cache_path=cache).hostname == "10.0.0.1"


BROKEN = {
    "empty": b"",
    "text": b"not json",
    "binary": b"\xff\x00\xfe",
    "list": b"[]",
    "other schema": b'{"schema_version": 99, "entries": {}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_corrupt_cache_is_ignored_and_mended(content: bytes, config: Path, tmp_path: Path, counted_ssh: Path) -> None:
    cache = tmp_path / "ssh.json"
    cache.write_bytes(content)
    cache.chmod(0o600)
    for _ in range(2):
        assert resolve("late", config_path=config, cache_path=cache).hostname == "10.0.0.9"
    assert calls(counted_ssh) == 1


@pytest.mark.parametrize("field", ["port", "name", "hostname"])
def test_a_cached_answer_of_the_wrong_shape_is_asked_again(field: str, config: Path, tmp_path: Path) -> None:
    cache = tmp_path / "ssh.json"
    right = resolve("late", config_path=config, cache_path=cache)
    stored = json.loads(cache.read_bytes())
    for entry in stored["entries"].values():
        entry["answer"][field] = ["wrong"]
    cache.write_text(json.dumps(stored))
    assert resolve("late", config_path=config, cache_path=cache) == right


def test_a_cache_that_others_may_write_or_that_is_a_link_is_not_believed(config: Path, tmp_path: Path) -> None:
    cache = tmp_path / "ssh.json"
    resolve("late", config_path=config, cache_path=cache)
    forged = cache.read_bytes().replace(b"10.0.0.9", b"10.6.6.6")
    cache.write_bytes(forged)
    cache.chmod(0o666)
    assert resolve("late", config_path=config, cache_path=cache).hostname == "10.0.0.9"
    target = tmp_path / "forged.json"
    target.write_bytes(forged)
    target.chmod(0o600)
    cache.unlink()
    cache.symlink_to(target)
    assert resolve("late", config_path=config, cache_path=cache).hostname == "10.0.0.9"
    assert target.read_bytes() == forged


def test_a_cache_in_an_impossible_place_is_no_error(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for cache in (tmp_path / "file" / "ssh.json", tmp_path / "parts"):
        assert resolve("late", config_path=config, cache_path=cache).hostname == "10.0.0.9"
    assert (tmp_path / "parts").is_dir()


def test_config_hosts(config: Path, tmp_path: Path) -> None:
    assert config_hosts(config) == ["late", "node-1", "node-1-alt", "node-2", "loose"]
    assert config_hosts(tmp_path / "none") == []


def test_config_hosts_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text('# Host no\n host=one\nHOST  "two"\tthree\nHost -x ?? a*\n  Include nowhere\nHost one four\n')
    assert config_hosts(path) == ["one", "two", "three", "four"]


def test_includes_that_go_in_circles_or_hit_odd_files(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(f"Include {path} {tmp_path}/*\nHost a\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00Host b\n")
    os.mkfifo(tmp_path / "pipe")
    assert config_hosts(path) == ["a"]
    files, stable = read_tree(path)
    assert {Path(file.path).name for file in files} == {"config", "binary"}
    assert not stable


def target(**changes: object) -> SSHTarget:
    base: dict[str, object] = {"name": "n", "hostname": "h.example", "user": "u", "port": 2022}
    return SSHTarget(**{**base, **changes})  # type: ignore[arg-type]


def test_expanding_a_proxy_command() -> None:
    assert expand_proxy_command(target()) is None
    command = "nc %h %p %r %n %k 100%% %Z"
    assert expand_proxy_command(target(proxy_command=command)) == "nc h.example 2022 u n n 100% %Z"
    assert expand_proxy_command(target(proxy_command="%%h")) == "%h"


@pytest.mark.parametrize("changes", [{"hostname": "a;id"}, {"user": "$(id)"}, {"hostname": "-oX"}, {"user": "a b"}])
def test_a_proxy_command_is_no_way_in(changes: dict[str, str]) -> None:
    with pytest.raises(SSHConfigError, match="cannot go into a ProxyCommand"):
        expand_proxy_command(target(proxy_command="nc %h", **changes))


def test_agent_socket() -> None:
    environ = {"SSH_AUTH_SOCK": "/s", "OTHER": "/o"}
    assert agent_socket(target(), environ) == "/s"
    assert agent_socket(target(), {}) is None
    assert agent_socket(target(identity_agent="none"), environ) is None
    assert agent_socket(target(identity_agent="$OTHER"), environ) == "/o"
    assert agent_socket(target(identity_agent="/x"), environ) == "/x"


@pytest.mark.parametrize(
    "text", ["", "hostname h\n", "hostname h\nuser u\nport 99999\n", "hostname h\nuser u\nport x\n"]
)
def test_what_ssh_never_says(text: str) -> None:
    with pytest.raises(SSHConfigError, match="did not say how to reach it"):
        parse("n", text, environ={})


def test_nothing_here_starts_a_thread() -> None:
    assert "threading" not in vars(sshconfig)
