"""Bringing what a run changed from a host: over each shell that a host may have, and from hosts that misbehave."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dgummy.asked import Asked
from dgummy.changes import Sifted
from dgummy.harvest import Harvester, Look, OwnGit, Reports, TooLarge
from dgummy.ledger_rows import RunRow
from dgummy.luggage import Luggage, Porter
from dgummy.model import Failure, FailureKind, Host
from dgummy.refusals import refusal, uncollected
from dgummy.runs import Supervision
from dgummy.runscript import RunSpec
from dgummy.settings import CollectSettings, Settings, Timeouts
from dgummy.transport.base import Answer, FrameSink, Limits, Script
from dgummy.transport.framing import Data, Fact
from dgummy.transport.local import LocalTransport
from dgummy.work import Changed, Kind
from remote_scripts import Box, MakeBox, hear
from workspace_box import Workspace

BOX = Host("box")


@pytest.fixture
def work(box: Box) -> Workspace:
    made = Workspace(box)
    made.send({b"a.txt": b"one\n", b"src/b.txt": b"two\n"})
    return made


def failure_of(answer: object) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


# -- what comes ------------------------------------------------------------------------------------------------


def test_everything_comes_as_it_is(work: Workspace) -> None:
    """Binary, empty, large, odd names, links of every kind."""
    large = os.urandom(3_000_000)
    work.path(b"large.bin").write_bytes(large)
    heard = work.run("""
        cat large.bin >copy.bin; : >empty; : >empty2; printf 'x\\0y' >zero; echo 1 >src/b.txt
        ln -s 'a target with blanks' link; ln -s /etc/passwd out; ln -s '
' newline; ln -s "$(printf 'end\\n\\nx')" src/odd
    """)
    assert heard.first("exit").startswith("0 ")
    assert work.bring() == {
        b"copy.bin": large,
        b"empty": b"",
        b"empty2": b"",
        b"zero": b"x\0y",
        b"src/b.txt": b"1\n",
        b"link": b"a target with blanks",
        b"out": b"/etc/passwd",
        b"newline": b"\n",
        b"src/odd": b"end\n\nx",
    }


def test_only_empty_files(work: Workspace) -> None:
    work.run(": >a.txt; : >b")
    assert work.bring() == {b"a.txt": b"", b"b": b""}


def test_thousands_of_files(make_box: MakeBox, tmp_path: Path) -> None:
    work = Workspace(make_box("dash"))
    work.send({b"x": b"x"})
    work.run("mkdir d; i=0; while [ $i -lt 5000 ]; do echo $i >d/a-name-of-forty-characters-or-so-$i; i=$((i+1)); done")
    began = time.monotonic()
    brought = work.bring()
    took_s = time.monotonic() - began
    assert len(brought) == 5000 and took_s < 10
    assert all(content == name.rpartition(b"-")[2] + b"\n" for name, content in brought.items())


def test_what_is_huge_is_only_listed(work: Workspace) -> None:
    work.run("true")
    with work.path(b"huge").open("wb") as file:
        file.truncate(50 * 2**30)
    began = time.monotonic()
    (one,) = work.look().sifted.changed
    assert one == Changed(b"huge", Kind.FILE, 50 * 2**30) and time.monotonic() - began < 5


def test_what_is_neither_file_nor_link_is_named(work: Workspace, tmp_path: Path) -> None:
    work.run("mv a.txt b.txt")
    os.mkfifo(work.path(b"pipe"))
    with socket.socket(socket.AF_UNIX) as unix:
        os.chdir(work.folder)
        try:
            unix.bind("socket")
        finally:
            os.chdir(tmp_path)
    if os.geteuid() == 0:
        os.mknod(work.path(b"device"), 0o020600, os.makedev(1, 3))
    sifted = work.look().sifted
    expected = {b"pipe", b"socket"} | ({b"device"} if os.geteuid() == 0 else set())
    assert {one.path for one in sifted.skipped} == expected and not any(one.is_work for one in sifted.skipped)
    assert [one.path for one in sifted.changed] == [b"b.txt"] and sifted.missing == (b"a.txt",)


def test_what_nobody_may_read_is_named(make_box: MakeBox) -> None:
    """As a user that is not root: root may read all."""
    work = Workspace(make_box("dash"))
    work.send({b"a": b"1"})
    work.run("echo 2 >a; echo 3 >secret; mkdir closed; echo 4 >closed/x")
    if os.geteuid() == 0:
        real = shutil.which("setpriv")
        if real is None:
            pytest.skip("needs setpriv: root may read everything")
        for path in [work.box.home.parent, *work.box.home.parents]:
            path.chmod(path.stat().st_mode | 0o055) if path != Path("/") else None
        subprocess.run(["chown", "-R", "65534:65534", work.box.home], check=True)
        shell = work.box.bin / "sh"
        target = shell.readlink()
        shell.unlink()
        drop = f'[ "$(id -u)" != 0 ] || exec {real} --reuid 65534 --regid 65534 --clear-groups {target} "$@"'
        shell.write_text(f'#!{target}\n{drop}\nexec {target} "$@"\n')
        shell.chmod(0o755)
    work.path(b"secret").chmod(0)
    work.path(b"closed").chmod(0)
    try:
        sifted = work.look().sifted
    finally:
        work.path(b"closed").chmod(0o700)
    assert {one.path for one in sifted.skipped} == {b"secret", b"closed"} and all(one.is_work for one in sifted.skipped)
    assert b"a" in {one.path for one in sifted.changed}


def test_ignored_files_below_a_folder(work: Workspace) -> None:
    work.run("mkdir -p dist/sub out; echo 1 >dist/x.whl; echo 2 >dist/sub/y.whl; ln -s /etc dist/l; ln -s /etc linked")
    found = work.harvester.list_below(BOX, "r1", str(work.folder), b"dist")
    assert isinstance(found, tuple) and {one.path for one in found} == {b"dist/x.whl", b"dist/sub/y.whl"}
    everything = work.harvester.list_below(BOX, "r1", str(work.folder))
    assert isinstance(everything, tuple) and {one.path for one in everything} > {b"a.txt", b"dist/x.whl"}
    for outside in (b"..", b"linked", b"dist/../../x"):
        assert isinstance(work.harvester.list_below(BOX, "r1", str(work.folder), outside), Failure)


def test_reports_come_along(work: Workspace, tmp_path: Path) -> None:
    folder = "$HOME/.claude/agent_comms/gummy"
    work.run(f"""
        read -r at <"$HOME/.local/state/dgummy/runs/$DGUMMY_RUN_ID/launched"; mkdir -p "{folder}"
        cd "{folder}"; sleep 1.1 # BusyBox compares whole seconds
        echo report >gummy-$at-task-report.md; echo found >gummy-$at-discoveries.md; echo plan >gummy-$at-plan.md
        echo other >gummy-1-task-report.md; ln -s /etc/passwd gummy-$at-link.md
    """)
    reports = work.harvester.list_reports(BOX, "r1", "task", "do it")
    assert not isinstance(reports, Failure) and reports.task_id.startswith("gummy-")
    names = {one.path.decode().removeprefix(f"gummy/{reports.task_id}-"): one for one in reports.found}
    assert set(names) == {"task-report.md", "discoveries.md", "plan.md"}
    brought = work.harvester.bring_reports(BOX, reports.found, tmp_path)
    assert isinstance(brought, list)
    assert {Path(one.content).read_text() for one in brought} == {"report\n", "found\n", "plan\n"}
    for outside in (b"../../.ssh/id", b"../x", b"gummy/../../x"):
        asked = [Changed(outside, Kind.FILE, 1)]
        assert isinstance(work.harvester.bring_reports(BOX, asked, tmp_path), Failure)


def test_no_reports(work: Workspace) -> None:
    work.run("true")
    reports = work.harvester.list_reports(BOX, "r1", "task", "do it")
    assert not isinstance(reports, Failure) and reports.found == ()


# -- what changes meanwhile ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"longer than it was"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        lambda path: [path.unlink(), subprocess.run(["mkfifo", path], check=True)],
        lambda path: path.chmod(0o755),
    ],
)
def test_what_is_not_as_it_was_listed_is_a_failure(box: Box, change: Callable[[Path], object], tmp_path: Path) -> None:
    work = Workspace(box)
    work.send({b"a": b"1", b"b": b"2"})
    work.run("echo 11 >a; echo 22 >b")
    wanted = work.look().sifted.changed
    change(work.path(b"a"))
    failure = failure_of(work.harvester.bring(BOX, "r1", str(work.folder), wanted, tmp_path))
    assert failure.kind is FailureKind.BUSY and "changed" in failure.detail


@pytest.mark.parametrize("way", ["shrinks", "grows", "same size"])
def test_what_changes_while_it_is_read_is_never_a_mixture(make_box: MakeBox, tmp_path: Path, way: str) -> None:
    """`cat` changes the file, then reads it: once, and the second attempt is whole; always, and it is a failure."""
    for always in (False, True):
        work = Workspace(make_box("dash"))
        work.send({b"a": b"1", b"b": b"2"})
        work.run("printf 11111 >a; printf 22222 >b")
        wanted = work.look().sifted.changed
        change = {"shrinks": "printf 1 >a", "grows": "printf 1111111 >a", "same size": "printf 33333 >a"}[way]
        cat = work.box.bin / "cat"
        real = cat.readlink()
        cat.unlink()
        back = "" if always or way == "same size" else "printf 11111 >a;"
        guard = "" if always else f'[ -e "{work.box.home}/once" ] ||'
        cat.write_text(
            f'#!/bin/sh\ncase "$*" in *./a*) {guard} {{ : >"{work.box.home}/once"; sleep 0.02; {change}; {real} "$@"; '
            f'{back} exit 0; }};; esac\nexec {real} "$@"\n'
        )
        cat.chmod(0o755)
        answer = work.harvester.bring(BOX, "r1", str(work.folder), wanted, tmp_path)
        if always:
            assert failure_of(answer).kind is FailureKind.BUSY
        else:
            assert isinstance(answer, list)
            contents = [Path(one.content).read_bytes() for one in answer]
            assert contents == [b"33333" if way == "same size" else b"11111", b"22222"]


def test_a_pipe_swapped_in_ends_by_the_time_limit(make_box: MakeBox, tmp_path: Path) -> None:
    work = Workspace(make_box("dash"))
    work.send({b"a": b"1"})
    work.run("printf 11 >a")
    wanted = work.look().sifted.changed
    cat = work.box.bin / "cat"
    real = cat.readlink()
    cat.unlink()
    cat.write_text(f'#!/bin/sh\ncase "$*" in *./a*) rm a; {shutil.which("mkfifo")} a;; esac\nexec {real} "$@"\n')
    cat.chmod(0o755)

    class HomeAccess:
        def ask(
            self, host: Host, script: Script, limits: Limits | None = None, sink: FrameSink | None = None
        ) -> Answer | Failure:
            into = f"export HOME='{work.box.home}' PATH='{work.box.bin}'\n".encode()
            return LocalTransport().run_script(
                host, Script(into + script.text, script.marker), limits or Limits(), sink
            )

    began = time.monotonic()
    harvester = Harvester(HomeAccess(), Timeouts(sync_idle_s=1.0))
    failure = failure_of(harvester.bring(BOX, "r1", str(work.folder), wanted, tmp_path))
    assert failure.kind is FailureKind.LOST and time.monotonic() - began < 10


def test_a_connection_that_is_cut_anywhere(make_box: MakeBox, tmp_path: Path) -> None:
    work = Workspace(make_box("dash"))
    work.send({b"a": b"1", b"b": b"2"})
    work.run("printf 11111 >a; printf 22222 >b; rm -f c")
    wanted = work.look().sifted.changed
    for cut in range(0, 400, 7):
        work.access.cut_after = cut
        looked = work.harvester.look(BOX, "r1", str(work.folder))
        assert isinstance(looked, Failure) or (looked.sifted.changed == wanted and cut > 200)
        brought = work.harvester.bring(BOX, "r1", str(work.folder), wanted, tmp_path)
        assert isinstance(brought, Failure) or [Path(one.content).read_bytes() for one in brought] == [
            b"11111",
            b"22222",
        ]
    work.access.cut_after = None
    assert work.bring() == {b"a": b"11111", b"b": b"22222"}


# -- hosts that misbehave --------------------------------------------------------------------------------------


class Liar:
    """A host that answers every call with the same frames."""

    def __init__(self, *frames: Data | Fact) -> None:
        self.frames = frames

    def ask(
        self, host: Host, script: Script, limits: Limits | None = None, sink: FrameSink | None = None
    ) -> Answer | Failure:
        for frame in self.frames:
            if sink is not None:
                sink(frame)
        return Answer(0, tuple(frame for frame in self.frames if isinstance(frame, Fact)))


WANTED = [Changed(b"a", Kind.FILE, 2), Changed(b"b", Kind.FILE, 3)]
STATS = Data("stats", b"81a4 2 x\n81a4 3 x\n")
STEADY = Fact("steady", "r1")


@pytest.mark.parametrize(
    "frames",
    [
        (STATS, Data("file", b"1122"), STEADY),
        (STATS, Data("file", b"11222" + b"3")),
        (STATS, Data("file", b"11222"), Data("file", b"3" * 100), STEADY),
        (STATS, Data("file", b"11222")),
        (STATS, STEADY),
        (STEADY,),
        (Data("stats", b"81a4 2 x\n"), Data("file", b"11"), STEADY),
        (Data("stats", b"81a4 2 x\n81a4 999999999 x\n"), Data("file", b"1" * 1000), STEADY),
        (Data("stats", b"81a4 2 x\na1ff 3 x\n"), Data("file", b"11222"), STEADY),
        (Data("stats", b"x" * 100_000), STEADY),
        (STATS, Data("other", b"11222"), STEADY),
        (Data("file", b"11222"), STATS, STEADY),
    ],
)
def test_a_host_that_sends_something_else(frames: tuple[Data | Fact, ...], tmp_path: Path) -> None:
    harvester = Harvester(Liar(*frames), Timeouts())
    assert isinstance(harvester.bring(BOX, "r1", "/x", WANTED, tmp_path), Failure)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 5  # never more than was asked for
    honest = Harvester(Liar(STATS, Data("file", b"112"), Data("file", b"22"), STEADY), Timeouts())
    brought = honest.bring(BOX, "r1", "/x", WANTED, tmp_path)
    assert isinstance(brought, list) and [Path(one.content).read_bytes() for one in brought] == [b"11", b"222"]
    assert {path.name for path in tmp_path.iterdir()} == {"000000", "000001"}


def test_a_host_that_names_what_it_should_not() -> None:
    names = b"./../../.ssh/authorized_keys\0/etc/passwd\0./.git/hooks/post-checkout\0./ok\0/\0"
    stats = b"81a4 1 x\n" * 5
    frames = (Data("names", names), Data("stats", stats), Data("missing", b"./../x\0/\0"), Fact("told", "r1"))
    look = Harvester(Liar(*frames), Timeouts()).look(BOX, "r1", "/x")
    assert isinstance(look, Look) and [one.path for one in look.sifted.changed] == [b"ok"]
    assert look.sifted.missing == () and len(look.sifted.skipped) == 3


@pytest.mark.parametrize("lacking", ["names", "stats", "missing", "told", "a line"])
def test_a_list_that_is_not_whole_is_a_failure(lacking: str) -> None:
    stats = b"81a4 1 x\n" * (1 if lacking == "a line" else 2)
    frames = {"names": b"./ok\0/\0", "stats": stats, "missing": b"/\0"}
    told = [Fact("told", "r1")] if lacking != "told" else []
    sent = [Data(name, data) for name, data in frames.items() if name != lacking]
    assert isinstance(Harvester(Liar(*sent, *told), Timeouts()).look(BOX, "r1", "/x"), Failure)


@pytest.mark.parametrize(
    ("fact", "kind", "says"),
    [
        (Fact("later", "r9"), FailureKind.UNFIT, "run r9 has had"),
        (Fact("later", ""), FailureKind.UNFIT, "another one"),
        (Fact("busy", "r9 me"), FailureKind.BUSY, "r9"),
        (Fact("state", "running"), FailureKind.BUSY, "at work"),
        (Fact("state", "void"), FailureKind.UNFIT, "never began"),
        (Fact("state", "absent"), FailureKind.UNFIT, "does not know"),
        (Fact("absent", "/p"), FailureKind.UNFIT, "/p is not there"),
        (Fact("failed", "disk full"), FailureKind.DISK_FULL, "full"),
    ],
)
def test_refusals(fact: Fact, kind: FailureKind, says: str) -> None:
    failure = failure_of(Harvester(Liar(fact), Timeouts()).look(BOX, "r1", "/x"))
    assert failure.kind is kind and says in failure.detail


# -- repositories of a run's own -------------------------------------------------------------------------------

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
COMMIT = "git -c user.name=a -c user.email=a@b commit -qm"


def with_git(work: Workspace) -> Workspace:
    for name in ("git", "timeout", "sort", "env"):
        found = shutil.which(name)
        assert found
        if not (work.box.bin / name).exists():
            (work.box.bin / name).symlink_to(found)
    return work


@needs_git
def test_commits_of_its_own_come_as_a_bundle(work: Workspace, tmp_path: Path) -> None:
    with_git(work).run(f"git init -q . && git add a.txt && {COMMIT} first && echo 2 >a.txt && {COMMIT} second -a")
    own = work.look().own_git
    assert own is not None and own.commits == 2 and own.bases == ()
    bundle = tmp_path / "bundle"
    assert work.harvester.bring_bundle(BOX, "r1", str(work.folder), own, (), bundle, 10**6) is None
    subprocess.run(["git", "init", "-q", tmp_path / "home"], check=True)
    subprocess.run(["git", "-C", tmp_path / "home", "fetch", "-q", bundle, "HEAD:refs/heads/got"], check=True)
    log = subprocess.run(["git", "-C", tmp_path / "home", "log", "--format=%s", "got"], capture_output=True, check=True)
    assert log.stdout.split() == [b"second", b"first"]
    assert work.harvester.bring_bundle(BOX, "r1", str(work.folder), own, (), bundle, 10) == TooLarge()
    other = OwnGit("a" * 40, 1)
    moved = failure_of(work.harvester.bring_bundle(BOX, "r1", str(work.folder), other, (), bundle, 10**6))
    assert moved.kind is FailureKind.BUSY
    # What was collected is not told again; what comes on top of it is.
    assert work.harvester.settle(BOX, "r1", str(work.folder), head=own.head) is None
    work.send({b"a.txt": b"3"}, "r2")
    work.run("true", "r2")
    assert work.look("r2").own_git is None
    work.send({b"a.txt": b"3"}, "r3")
    work.run(f"{COMMIT} third --allow-empty", "r3")
    third = work.look("r3").own_git
    assert third is not None and third.commits == 1 and own.head in third.bases
    assert work.harvester.bring_bundle(BOX, "r3", str(work.folder), third, third.bases, bundle, 10**6) is None
    subprocess.run(["git", "-C", tmp_path / "home", "fetch", "-q", bundle, "HEAD:refs/heads/got"], check=True)


def test_commits_of_a_size_that_is_not_told_are_named_if_they_are_too_much(tmp_path: Path) -> None:
    class Git(Harvester):
        def look(self, host: Host, run_id: str, directory: str) -> Look | Failure:
            return Look(Sifted(), OwnGit("a" * 40, 3))

        def list_reports(self, host: Host, run_id: str, mode: str, text: str) -> Reports | Failure:
            return Reports()

    row = RunRow("r1", "task", "x", datetime.now(timezone.utc), host="box", project=str(tmp_path), remote_dir="/x")
    for liar in (Liar(Fact("large", "99")), Liar(Data("bundle", b"x" * 200), Fact("told", "r1"))):
        settings = Settings(collect=CollectSettings(max_total_bytes=90))
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        porter = Porter(Git(liar, Timeouts()), settings, tmp_path, BOX, row, Asked(mode="task"), folder)
        luggage = porter.carry()
        assert isinstance(luggage, Luggage) and luggage.bundle is None and not luggage.head
        (skipped,) = luggage.skipped
        assert (skipped.path, skipped.is_work, skipped.limit) == (b".git", True, "collect.max_total_bytes")


@needs_git
def test_a_repository_that_was_there_before_is_none_of_its(box: Box) -> None:
    work = with_git(Workspace(box))
    work.send({b"a.txt": b"1"})
    for command in ("git init -q .", "git add a.txt", f"{COMMIT} before"):
        subprocess.run(["sh", "-c", command], cwd=work.folder, check=True)
    time.sleep(1.1)  # a reflog counts in seconds
    work.run("true")
    assert work.look().own_git is None
    work.harvester.settle(BOX, "r1", str(work.folder))
    work.send({b"a.txt": b"1"}, "r2")
    work.run(f"{COMMIT} mine --allow-empty", "r2")
    own = work.look("r2").own_git
    assert own is not None and own.commits == 1 and len(own.bases) == 1


@needs_git
def test_nothing_that_its_settings_name_is_executed(work: Workspace, tmp_path: Path) -> None:
    ran = work.box.home / "ran"
    evil = work.box.home / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {ran}\n")
    evil.chmod(0o755)
    with_git(work).run(f"git init -q . && git add a.txt && {COMMIT} first")
    for name in ("core.fsmonitor", "core.sshCommand", "core.pager", "core.alternateRefsCommand", "diff.external"):
        subprocess.run(["git", "config", name, str(evil)], cwd=work.folder, check=True)
    for name, value in (
        ("remote.o.url", f"ext::{evil}"),
        ("remote.o.promisor", "true"),
        ("core.hooksPath", str(evil.parent)),
    ):
        subprocess.run(["git", "config", name, value], cwd=work.folder, check=True)
    subprocess.run(["git", "config", "extensions.partialClone", "o"], cwd=work.folder, check=True)
    own = work.look().own_git
    assert own is not None
    for path in (work.folder / ".git/objects").glob("??/*"):  # and now some of it would have to be fetched
        if path.stat().st_size < 40:
            path.unlink()
    work.harvester.bring_bundle(BOX, "r1", str(work.folder), own, (), tmp_path / "bundle", 10**6)
    assert not ran.exists()


# -- what else the client hears --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "run_id", "detail"),
    [
        ("r1 3 me@here", "r1", "run r1 of me@here left 3 changed files there that are not collected"),
        ("r1 1 ", "r1", "run r1 left 1 changed file there that are not collected"),
        ("r1 ? me", "r1", "run r1 of me left changed files there that are not collected"),
    ],
)
def test_the_refusal_names_the_run(value: str, run_id: str, detail: str) -> None:
    failure = refusal(Answer(1, (Fact("uncollected", value),)))
    assert failure == uncollected(value) and failure.kind is FailureKind.UNCOLLECTED and failure.kind.exit_code == 75
    assert failure.detail == detail and f"inv collect {run_id}" in failure.remedy
    assert failure.run_id == run_id
    assert Failure(FailureKind.BUSY, failure.detail).run_id == ""


def test_a_runs_end_tells_how_much_it_changed(work: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(work.box.home))
    monkeypatch.setenv("SHELL", "/bin/sh")
    folder = str(work.folder)
    spec = RunSpec("r1", "echo 1 >a.txt; echo 2 >new", directory=folder, workspace=folder, collect=True)
    supervision = Supervision(LocalTransport(), BOX, spec, Timeouts(), lambda event: None)
    ending = supervision.follow()
    assert ending.exit_code == 0 and ending.work == 2, ending
    again = Supervision(LocalTransport(), BOX, spec, Timeouts(), lambda event: None).attach()
    assert again.work == 2
    outside = Supervision(LocalTransport(), BOX, RunSpec("r2", "true"), Timeouts(), lambda event: None).follow()
    assert outside.work is None
    refused = Supervision(
        LocalTransport(), BOX, RunSpec("r3", "true", directory=folder, workspace=folder), Timeouts(), print
    )
    assert refused.follow().not_started is not None
    assert hear(["sh"], work.box.home, b"", "x").status == 0
