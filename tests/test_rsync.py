"""rsync: reading what it prints (data files), and real pushes, here and through a real sshd."""

# Names are bytes here.
# ruff: noqa: PTH101, PTH103, PTH114, PTH115, PTH118, PTH120, PTH208

from __future__ import annotations

import getpass
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dgummy.model import Failure, FailureKind
from dgummy.transport import rsync, rsync_text
from dgummy.transport.base import Pushed
from dgummy.transport.rsync import RemotePlace, push
from sshd import Sshd, make_key, needs_sshd, running

DATA = Path(__file__).parent / "data" / "rsync"
FAILURES = json.loads((DATA / "failures.json").read_text())
TEXTS = json.loads((DATA / "texts.json").read_text())
needs_rsync = pytest.mark.skipif(shutil.which("rsync") is None, reason="there is no rsync on this machine")
MODERN = rsync_text.Flavour("rsync", (3, 2, 7))
OLD = rsync_text.Flavour("rsync", (2, 6, 9))
OPEN = rsync_text.Flavour("openrsync", (2, 6, 9))


# --- texts --------------------------------------------------------------------------------


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case["name"])
def test_failures_are_told_apart(case: dict[str, object]) -> None:
    failure = rsync_text.classify(int(str(case["code"])), str(case["stderr"]), "node-1")
    assert failure.kind is FailureKind[str(case["kind"])], failure
    assert str(case["detail_has"]) in failure.detail
    assert failure.remedy and "\n" not in failure.remedy + failure.detail and "{" not in failure.remedy


@pytest.mark.parametrize(("text", "kind", "version"), TEXTS["versions"])
def test_versions(text: str, kind: str | None, version: list[int] | None) -> None:
    flavour = rsync_text.parse_version(text)
    assert (flavour and flavour.kind, flavour and list(flavour.version)) == (kind, version)


@pytest.mark.parametrize(("line", "seen"), TEXTS["progress"])
def test_progress(line: str, seen: list[float] | None) -> None:
    found = rsync_text.parse_progress(line)
    assert (None if found is None else list(found)) == seen


@pytest.mark.parametrize(("text", "seen"), TEXTS["stats"])
def test_stats(text: str, seen: list[int]) -> None:
    assert list(rsync_text.parse_stats(text)) == seen


@pytest.mark.parametrize(("code", "stderr", "only"), TEXTS["vanished"])
def test_files_that_went_away_are_no_failure(code: int, stderr: str, only: bool) -> None:
    assert rsync_text.only_vanished(code, stderr) is only


# --- the command line -----------------------------------------------------------------------


def build(flavour: rsync_text.Flavour, directory: str = "/d", name: str = "node", **more: Any) -> list[str]:
    return rsync.command(flavour, Path("/s"), "/list", RemotePlace(name, directory), **more)


def test_openrsync_gets_only_what_it_takes() -> None:
    taken = {"-lptO", "--force", "--from0", "--files-from", "--stats", "--timeout", "-e", "--rsync-path", "--"}
    place = RemotePlace("node", "/d", "/opt/rsync")
    for flavour in (OPEN, OLD):
        words = rsync.command(flavour, Path("/s"), "/list", place)
        options = {word.partition("=")[0] for word in words[1:] if word.startswith("-")}
        assert options == taken


def test_newer_rsync_reports_progress_and_is_kept_from_quoting_twice() -> None:
    assert {"--info=progress2", "--old-args"} <= set(build(rsync_text.Flavour("rsync", (3, 2, 4))))
    assert "--no-protect-args" in build(rsync_text.Flavour("rsync", (3, 1, 3)))
    assert "--old-args" not in build(rsync_text.Flavour("rsync", (3, 1, 3)))


def test_ssh_is_told_what_it_needs() -> None:
    words = build(MODERN, ssh_config=Path("/with blank/config"), connect_s=2.5)
    ssh = words[words.index("-e") + 1]
    assert ssh.startswith("ssh -F '/with blank/config' -T -o BatchMode=yes -o ConnectTimeout=3 ")
    assert "ServerAliveInterval=5" in ssh and "ServerAliveCountMax=3" in ssh
    quoted = build(MODERN, ssh_config=Path("/it's/config"))
    assert '-F "/it\'s/config"' in quoted[quoted.index("-e") + 1]


@pytest.mark.parametrize(
    ("flavour", "name", "target"),
    [
        (MODERN, "fe80::1", "[fe80::1]:/d/"),
        (MODERN, "me@[::1]", "me@[::1]:/d/"),
        (OPEN, "me@node", "me@node:/d/"),
    ],
)
def test_host_names(flavour: rsync_text.Flavour, name: str, target: str) -> None:
    assert build(flavour, name=name)[-1] == target


@pytest.mark.parametrize(
    ("flavour", "name", "directory"),
    [
        (MODERN, "-oProxyCommand=x", "/d"),
        (MODERN, "a b", "/d"),
        (MODERN, "a/b", "/d"),
        (OPEN, "::1", "/d"),
        (MODERN, "node", "relative"),
        (MODERN, "node", "/new\nline"),
    ],
)
def test_what_cannot_be_passed_is_refused(flavour: rsync_text.Flavour, name: str, directory: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        build(flavour, directory, name)
    failure = push(Path("/s"), [b"a"], RemotePlace(name, directory), flavours=flavour)
    assert isinstance(failure, Failure)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh", "zsh", "fish", "csh"])
def test_a_remote_path_is_one_word_to_every_shell(shell: str, tmp_path: Path) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]} on this machine")
    path = "/a b/$HOME`id`'\"\\!*?[x]{a,b}~;&|<>()#^=%é/"
    script = f"printf %s {rsync.quote_remote(path)}"
    done = subprocess.run([*words, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == path, done.stderr


def test_the_local_rsync_is_known_and_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "rsync"
    program.write_text('#!/bin/sh\necho x >>"$0.calls"\necho "rsync  version 3.1.3  protocol version 31"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert rsync.detect_local() == rsync_text.Flavour("rsync", (3, 1, 3), str(program))
    rsync.detect_local()
    assert (tmp_path / "rsync.calls").read_text() == "x\n"


def test_no_rsync_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    failure = push(tmp_path, [b"a"], RemotePlace("", str(tmp_path / "to")))
    assert isinstance(failure, Failure) and failure.kind is FailureKind.MISSING_TOOL and "install" in failure.remedy


# --- pushes -----------------------------------------------------------------------------------

WEIRD = (
    b"#comment",
    b";semicolon",
    b"-n",
    b"--delete",
    b"new\nline",
    b"caf\xe9",
    b" blanks ",
    b"q'u\"o`t$e\\s",
    b"*?[x]",
    b"deep/#er/-x",
    b"colon:x",
    b"tab\there",
)


def write(root: Path, name: bytes, content: bytes = b"x") -> bytes:
    path = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    return name


def names_below(root: Path) -> set[bytes]:
    base = os.fsencode(root)
    found = set()
    for folder, folders, files in os.walk(base):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found |= {os.path.relpath(os.path.join(folder, name), base) for name in [*files, *links]}
    return found


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running(lambda name: tmp_path_factory.mktemp(name)) as start:
        yield start()


def config_for(server: Sshd, folder: Path, *lines: str, key: Path | None = None) -> Path:
    """An ssh_config with one host, `node`."""
    config = folder / "ssh config"
    own = [
        "Host node",
        *lines,
        "HostName 127.0.0.1",
        f"Port {server.port}",
        f"User {getpass.getuser()}",
        f"IdentityFile {key or server.client_key}",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        f"UserKnownHostsFile {server.known_hosts}",
        "GlobalKnownHostsFile /dev/null",
    ]
    config.write_text("\n  ".join(own) + "\n")
    return config


Pusher = Callable[..., "Pushed | Failure"]


@pytest.fixture(params=["here", pytest.param("ssh", marks=[needs_sshd, pytest.mark.lab])])
def pusher(request: pytest.FixtureRequest, tmp_path: Path) -> Pusher:
    """Push from tmp_path/from to tmp_path/to, on this machine or through sshd."""
    if shutil.which("rsync") is None:
        pytest.skip("there is no rsync on this machine")
    source = tmp_path / "from"
    source.mkdir()
    options: dict[str, object] = {"idle_s": 20}
    name = ""
    if request.param == "ssh":
        name = "node"
        options["ssh_config"] = config_for(request.getfixturevalue("node"), tmp_path)

    def go(files: list[bytes], to: str = "to", **more: Any) -> Pushed | Failure:
        place = RemotePlace(name, str(tmp_path / to), str(more.pop("rsync_path", "")))
        return push(source, files, place, **{**options, **more})

    return go


def ok(result: Pushed | Failure) -> Pushed:
    assert isinstance(result, Pushed), result
    return result


def failed(result: Pushed | Failure) -> Failure:
    assert isinstance(result, Failure), result
    assert result.remedy or result.kind is FailureKind.CANCELLED
    return result


def test_odd_names_arrive_and_nothing_else(pusher: Pusher, tmp_path: Path) -> None:
    for name in WEIRD:
        write(tmp_path / "from", name)
    write(tmp_path / "from", b"not-listed")
    sent = ok(pusher(list(WEIRD)))
    assert names_below(tmp_path / "to") == set(WEIRD)
    assert sent.files == len(WEIRD) and sent.bytes == len(WEIRD)
    assert ok(pusher(list(WEIRD))).files == 0


@pytest.mark.parametrize(
    "folder", ["a b", "it's", 'q"q', "$HOME", "`id`", "a\\b", "s*r", "é", "~", "x;y", "a=b%c", "#h"]
)
def test_the_remote_folder_is_taken_byte_for_byte(pusher: Pusher, tmp_path: Path, folder: str) -> None:
    write(tmp_path / "from", b"a")
    (tmp_path / "star").mkdir()  # what "s*r" must not be expanded to
    ok(pusher([b"a"], to=folder))
    assert os.listdir(tmp_path / folder) == ["a"] and os.listdir(tmp_path / "star") == []


def test_modes_times_and_links_go_along(pusher: Pusher, tmp_path: Path) -> None:
    source = tmp_path / "from"
    write(source, b"run.sh")
    (source / "run.sh").chmod(0o751)
    os.utime(source / "run.sh", (1_600_000_000, 1_600_000_000))
    (source / "abs").symlink_to("/etc/hosts")
    (source / "up").symlink_to("../elsewhere")
    (source / "dangling").symlink_to("nowhere")
    ok(pusher([b"abs", b"dangling", b"run.sh", b"up"]))
    info = (tmp_path / "to" / "run.sh").stat()
    assert stat.S_IMODE(info.st_mode) == 0o751 and info.st_mtime == 1_600_000_000
    links = {name: os.readlink(tmp_path / "to" / name) for name in ("abs", "up", "dangling")}
    assert links == {"abs": "/etc/hosts", "up": "../elsewhere", "dangling": "nowhere"}


def test_what_the_host_has_beside_is_left_alone(pusher: Pusher, tmp_path: Path) -> None:
    write(tmp_path / "from", b"src/a")
    write(tmp_path / "to", b"node_modules/x")
    write(tmp_path / "to", b"src/cache")
    ok(pusher([b"src/a"]))
    assert names_below(tmp_path / "to") == {b"src/a", b"src/cache", b"node_modules/x"}


@pytest.mark.parametrize("before", ["file", "folder", "full folder", "link", "link to folder"])
@pytest.mark.parametrize("after", ["file", "folder", "link"])
def test_a_name_may_become_something_else(pusher: Pusher, tmp_path: Path, before: str, after: str) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    outside = tmp_path / "outside"
    outside.mkdir()
    target.mkdir()
    old = target / "x"
    if before == "file":
        write(target, b"x", b"old content")
    elif "link" not in before:
        old.mkdir()
        if before == "full folder":
            write(target, b"x/kept")
    else:
        old.symlink_to(outside if before.endswith("folder") else "nothing")
    name = b"x"
    if after == "file":
        write(source, b"x", b"new")
    elif after == "folder":
        name = write(source, b"x/y", b"new")
    else:
        (source / "x").symlink_to("target")
    ok(pusher([name]))
    if after == "link":
        assert os.readlink(old) == "target"
    else:
        assert not old.is_symlink() and (target / os.fsdecode(name)).read_bytes() == b"new"
    assert os.listdir(outside) == []


def test_a_file_that_went_away_is_a_notice(pusher: Pusher, tmp_path: Path) -> None:
    write(tmp_path / "from", b"there")
    sent = ok(pusher([b"gone", b"there"]))
    assert names_below(tmp_path / "to") == {b"there"}
    assert len(sent.notices) == 1 and "1 of the files" in sent.notices[0]


def test_two_thousand_files_with_progress(pusher: Pusher, tmp_path: Path) -> None:
    source = tmp_path / "from"
    files = [write(source, b"d%d/f%d" % (n % 40, n), b"y" * 500) for n in range(2000)]
    seen: list[tuple[int, float]] = []
    ticks: list[None] = []
    sent = ok(pusher(files, on_progress=lambda *now: seen.append(now), on_tick=lambda: ticks.append(None)))
    assert (sent.files, sent.bytes) == (2000, 1_000_000)
    assert names_below(tmp_path / "to") == set(files)
    assert ticks
    flavour = rsync.detect_local()
    if isinstance(flavour, rsync_text.Flavour) and flavour.has_info:
        assert seen[-1] == (1_000_000, 100.0) and seen == sorted(seen)
    assert ok(pusher(files)).files == 0


@needs_rsync
@pytest.mark.parametrize("stand_in", [(3, 1, 3), (2, 6, 9)])
def test_command_lines_for_older_versions_work_too(stand_in: tuple[int, ...], tmp_path: Path, node: Sshd) -> None:
    """The rsync here, given the options that an older one would get."""
    write(tmp_path / "from", b"a b")
    place = RemotePlace("node", str(tmp_path / "t$o it's"))
    real = rsync.detect_local()
    assert isinstance(real, rsync_text.Flavour)
    flavour = rsync_text.Flavour("rsync", stand_in, real.path)
    if not flavour.has_info and real.escapes_remote_path:
        # A real 2.6.9 does not quote by itself; this one must be told so.
        wrapper = tmp_path / "rsync"
        wrapper.write_text(f'#!/bin/sh\nexec {real.path} --old-args "$@"\n')
        wrapper.chmod(0o755)
        flavour = rsync_text.Flavour("rsync", stand_in, str(wrapper))
    elif real.escapes_remote_path:
        wrapper = tmp_path / "rsync"
        wrapper.write_text(f'#!/bin/sh\nRSYNC_OLD_ARGS=1 exec {real.path} "$@"\n')
        wrapper.chmod(0o755)
        flavour = rsync_text.Flavour("rsync", stand_in, str(wrapper))
    config = config_for(node, tmp_path)
    ok(push(tmp_path / "from", [b"a b"], place, ssh_config=config, flavours=flavour))
    assert os.listdir(tmp_path / "t$o it's") == ["a b"]


@needs_rsync
def test_a_stand_in_for_openrsync(tmp_path: Path) -> None:
    """As openrsync does: statistics on stderr, the head of its own process group, which no session leader may be."""
    for name in (b"a", b"#b", b"dir/#c"):
        write(tmp_path / "from", name)
    wrapper = tmp_path / "rsync"
    group = "import os,sys; os.setpgid(0, os.getpid()); os.dup2(2, 1); os.execvp('rsync', ['rsync', *sys.argv[1:]])"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{group}" "$@"\n')
    wrapper.chmod(0o755)
    flavour = rsync_text.Flavour("openrsync", (2, 6, 9), str(wrapper))
    place = RemotePlace("", str(tmp_path / "to"))
    sent = ok(push(tmp_path / "from", [b"#b", b"a", b"dir/#c"], place, flavours=flavour))
    assert (sent.files, sent.bytes) == (2, 2)
    assert names_below(tmp_path / "to") == {b"a", b"dir/#c"}
    assert "1 of the files" in sent.notices[0]
    stop = threading.Event()
    stop.set()
    cancelled = push(tmp_path / "from", [b"a"], place, flavours=flavour, cancelled=stop)
    assert failed(cancelled).kind is FailureKind.CANCELLED


# --- what goes wrong ----------------------------------------------------------------------------

AS_NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"


def without_rights(tmp_path: Path) -> str:
    """What to put before a command so that file permissions hold, also for root."""
    if os.geteuid() != 0:
        return ""
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv to become somebody else")
    folder = tmp_path
    while folder != folder.parent:  # pytest keeps its folders to root
        if folder.stat().st_uid == os.geteuid() and folder.name != "tmp":
            folder.chmod(0o755)
        folder = folder.parent
    return AS_NOBODY


@needs_rsync
def test_a_source_file_that_cannot_be_read(tmp_path: Path) -> None:
    as_nobody = without_rights(tmp_path)
    source, target = tmp_path / "from", tmp_path / "to"
    write(source, b"secret")
    write(source, b"open")
    (source / "secret").chmod(0)
    target.mkdir()
    target.chmod(0o777)
    wrapper = tmp_path / "rsync"
    wrapper.write_text(f'#!/bin/sh\nexec {as_nobody} {shutil.which("rsync")} "$@"\n')
    wrapper.chmod(0o755)
    real = rsync.detect_local()
    assert isinstance(real, rsync_text.Flavour)
    flavour = rsync_text.Flavour(real.kind, real.version, str(wrapper))
    names = tmp_path / "names"  # the list is ours alone; the stand-in for another user must be able to read it
    names.mkdir(mode=0o755)
    os.chmod(source, 0o755)
    original: Any = tempfile.NamedTemporaryFile

    def readable(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, dir=names, **kwargs)
        os.chmod(made.name, 0o644)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "NamedTemporaryFile", readable)
        failure = failed(push(source, [b"open", b"secret"], RemotePlace("", str(target)), flavours=flavour))
    assert failure.kind is FailureKind.PERMISSION and "cannot read" in failure.detail and "secret" in failure.detail


@needs_rsync
@needs_sshd
@pytest.mark.lab
def test_a_destination_that_cannot_be_written(tmp_path: Path, node: Sshd) -> None:
    as_nobody = without_rights(tmp_path)
    write(tmp_path / "from", b"a")
    (tmp_path / "to").mkdir(mode=0o555)
    place = RemotePlace("node", str(tmp_path / "to"), f"{as_nobody} rsync".strip())
    failure = failed(push(tmp_path / "from", [b"a"], place, ssh_config=config_for(node, tmp_path)))
    assert failure.kind is FailureKind.PERMISSION and "cannot write on node" in failure.detail


@needs_rsync
@needs_sshd
@pytest.mark.lab
def test_a_full_disk(tmp_path: Path, node: Sshd) -> None:
    target = tmp_path / "small"
    target.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small file system")
    try:
        write(tmp_path / "from", b"small", b"s")
        write(tmp_path / "from", b"zbig", os.urandom(3_000_000))
        place = RemotePlace("node", str(target))
        config = config_for(node, tmp_path)
        failure = failed(push(tmp_path / "from", [b"small", b"zbig"], place, ssh_config=config))
        assert failure.kind is FailureKind.DISK_FULL, failure
        assert "zbig" not in os.listdir(target)
    finally:
        until = time.monotonic() + 10  # the rsync there may need a moment to end
        while subprocess.run(["umount", str(target)], capture_output=True).returncode != 0:
            assert time.monotonic() < until, "the small file system is still in use"
            time.sleep(0.05)


@needs_rsync
@needs_sshd
@pytest.mark.lab
class TestThroughSsh:
    """Failures of the way there."""

    def go(self, tmp_path: Path, config: Path, place: RemotePlace | None = None, **more: Any) -> Pushed | Failure:
        write(tmp_path / "from", b"a")
        where = place or RemotePlace("node", str(tmp_path / "to"))
        return push(tmp_path / "from", [b"a"], where, ssh_config=config, **more)

    def test_no_rsync_there(self, tmp_path: Path) -> None:
        with running(lambda name: tmp_path / name) as start:
            server = start('ForceCommand PATH=/nonexistent; eval "$SSH_ORIGINAL_COMMAND"')
            failure = failed(self.go(tmp_path, config_for(server, tmp_path)))
        assert failure.kind is FailureKind.MISSING_TOOL and "node" in failure.detail and "apt" in failure.remedy

    def test_rsync_elsewhere_there(self, tmp_path: Path) -> None:
        found = shutil.which("rsync")
        with running(lambda name: tmp_path / name) as start:
            server = start('ForceCommand PATH=/nonexistent; eval "$SSH_ORIGINAL_COMMAND"')
            place = RemotePlace("node", str(tmp_path / "to"), found or "")
            assert ok(self.go(tmp_path, config_for(server, tmp_path), place)).files == 1

    def test_a_rsync_path_that_is_not_there(self, tmp_path: Path, node: Sshd) -> None:
        place = RemotePlace("node", str(tmp_path / "to"), "/nonexistent/rsync")
        assert failed(self.go(tmp_path, config_for(node, tmp_path), place)).kind is FailureKind.MISSING_TOOL

    def test_a_shell_that_talks(self, tmp_path: Path) -> None:
        with running(lambda name: tmp_path / name) as start:
            server = start('ForceCommand echo "Welcome, dear user"; eval "$SSH_ORIGINAL_COMMAND"')
            failure = failed(self.go(tmp_path, config_for(server, tmp_path)))
        assert failure.kind is FailureKind.SHELL

    def test_a_remote_command_in_the_users_config_does_no_harm(self, tmp_path: Path, node: Sshd) -> None:
        ok(self.go(tmp_path, config_for(node, tmp_path, "RemoteCommand tmux attach", "RequestTTY yes")))

    def test_a_foreign_key(self, tmp_path: Path, node: Sshd) -> None:
        config = config_for(node, tmp_path, key=make_key(tmp_path / "other"))
        assert failed(self.go(tmp_path, config)).kind is FailureKind.AUTHENTICATION

    def test_an_unknown_host_key(self, tmp_path: Path, node: Sshd) -> None:
        config = config_for(node, tmp_path, "UserKnownHostsFile /dev/null")
        assert failed(self.go(tmp_path, config)).kind is FailureKind.HOST_KEY

    def test_nobody_listens(self, tmp_path: Path, node: Sshd) -> None:
        config = config_for(node, tmp_path, "Port 1")
        assert failed(self.go(tmp_path, config)).kind is FailureKind.REFUSED

    def test_no_such_name(self, tmp_path: Path, node: Sshd) -> None:
        config = config_for(node, tmp_path, "HostName no-such-host.invalid")
        assert failed(self.go(tmp_path, config)).kind is FailureKind.DNS

    def test_a_missing_folder_above(self, tmp_path: Path, node: Sshd) -> None:
        place = RemotePlace("node", str(tmp_path / "no" / "such" / "place"))
        failure = failed(self.go(tmp_path, config_for(node, tmp_path), place))
        assert failure.kind is FailureKind.SYNC and "missing on node" in failure.detail


def slow_push(tmp_path: Path, config: Path, started: threading.Event, **more: Any) -> Pushed | Failure:
    """A push that takes long: bandwidth is bounded by a wrapper around the real rsync."""
    real = rsync.detect_local()
    assert isinstance(real, rsync_text.Flavour)
    write(tmp_path / "from", b"big", os.urandom(20_000_000))
    wrapper = tmp_path / "slow-rsync"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(real.path)} --bwlimit=1000 "$@"\n')
    wrapper.chmod(0o755)
    flavour = rsync_text.Flavour(real.kind, real.version, str(wrapper))

    def on_progress(done: int, _pct: float) -> None:
        if done > 0:
            started.set()

    place = RemotePlace("node", str(tmp_path / "to"))
    return push(
        tmp_path / "from", [b"big"], place, ssh_config=config, flavours=flavour, on_progress=on_progress, **more
    )


def in_background(work: Callable[[], Pushed | Failure]) -> tuple[threading.Thread, list[Pushed | Failure]]:
    results: list[Pushed | Failure] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def processes_with(word: str) -> list[int]:
    done = subprocess.run(["pgrep", "-f", word], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split() if int(pid) != os.getpid()]


@needs_rsync
@needs_sshd
@pytest.mark.lab
class TestHalfWay:
    """Failures in the middle of a push."""

    def test_the_connection_is_cut(self, tmp_path: Path, node: Sshd) -> None:
        started = threading.Event()
        thread, results = in_background(lambda: slow_push(tmp_path, config_for(node, tmp_path), started))
        assert started.wait(10)
        node.cut_connections()
        thread.join(10)
        assert not thread.is_alive()
        failure = failed(results[0])
        assert failure.kind is FailureKind.SYNC and "lost half-way" in failure.detail
        assert not (tmp_path / "to" / "big").exists()

    def test_cancelling_ends_every_process(self, tmp_path: Path, node: Sshd) -> None:
        started, stop = threading.Event(), threading.Event()
        config = config_for(node, tmp_path)
        thread, results = in_background(lambda: slow_push(tmp_path, config, started, cancelled=stop))
        assert started.wait(10)
        began = time.monotonic()
        stop.set()
        thread.join(5)
        assert not thread.is_alive() and time.monotonic() - began < 4
        assert failed(results[0]).kind is FailureKind.CANCELLED
        until = time.monotonic() + 5
        while processes_with(str(tmp_path)) and time.monotonic() < until:
            time.sleep(0.05)
        assert processes_with(str(tmp_path)) == []
        assert not (tmp_path / "to" / "big").exists()

    def test_no_progress_is_a_time_out(self, tmp_path: Path, node: Sshd) -> None:
        started = threading.Event()
        config = config_for(node, tmp_path)
        thread, results = in_background(lambda: slow_push(tmp_path, config, started, idle_s=1.5))
        assert started.wait(10)
        frozen = processes_with("rsync --server.*" + str(tmp_path / "to"))
        assert frozen
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            thread.join(15)
            assert not thread.is_alive()
            assert failed(results[0]).kind is FailureKind.TIMED_OUT
        finally:
            for pid in processes_with("rsync --server.*" + str(tmp_path / "to")):
                os.kill(pid, signal.SIGKILL)


@needs_rsync
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX only")
def test_ctrl_c_at_the_terminal_does_not_reach_rsync(tmp_path: Path) -> None:
    """rsync has a session of its own."""
    write(tmp_path / "from", b"a")
    program = tmp_path / "rsync"
    program.write_text(f'#!/bin/sh\nps -o sid= -p $$ >{shlex.quote(str(tmp_path / "sid"))}\nexec rsync "$@"\n')
    program.chmod(0o755)
    flavour = rsync_text.Flavour("rsync", (2, 6, 9), str(program))
    ok(push(tmp_path / "from", [b"a"], RemotePlace("", str(tmp_path / "to")), flavours=flavour))
    assert int((tmp_path / "sid").read_text()) != os.getsid(0)
