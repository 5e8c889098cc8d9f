"""What a host marks, counts and tells of a run's work, under the shells that hosts have."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from dgummy.runscript import remove_script, reports_script
from remote_scripts import KINDS, Box, MakeBox, is_alive, wait_for
from workspace_box import SYNC_FILES, Workspace

SENT = {b"a.txt": b"one\n", b"src/b.txt": b"two\n", b"src/deep/c.txt": b"three\n", b"node_modules/own.js": b"ours\n"}


@pytest.fixture
def work(box: Box) -> Workspace:
    """A workspace under each shell in turn, with SENT in it."""
    made = Workspace(box)
    made.send(SENT)
    return made


# -- marks and counts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "collected", "plain"),
    [
        ("true", 0, 0),
        ("cat a.txt src/deep/*", 0, 0),
        ("echo new >new.txt", 1, 0),
        ("echo changed >a.txt", 1, 1),
        ("chmod +x a.txt", 1, 1),
        ("echo one >a.txt; touch -d 2001-01-01 a.txt", 1, 1),
        ("touch -r src/b.txt x; echo 1 >x; touch -r src/b.txt x", 1, 0),
        ("rm a.txt", 1, 1),
        ("rm -r src", 2, 2),
        ("rm a.txt; mkdir a.txt", 1, 1),
        ("rm a.txt; mkdir a.txt; rmdir a.txt; echo one >a.txt", 1, 1),
        ("mv src lib", 2, 2),
        ("mv src /tmp/dg-$DGUMMY_RUN_ID-$$; ln -s /tmp/dg-$DGUMMY_RUN_ID-$$ src", 3, 2),
        ("echo theirs >node_modules/new.js; mkdir .git .gummy; echo 1 >.git/x; echo 1 >.gummy/x", 0, 0),
        ("echo changed >node_modules/own.js; echo 1 >node_modules/other", 1, 1),
        ("rm a.txt; ln -s src/b.txt a.txt; ln -s /etc etc", 2, 1),
        ("rm a.txt; mkfifo a.txt 2>/dev/null || ln -s x a.txt", 1, 1),
        ("exit 7", 0, 0),
    ],
)
def test_what_counts(box: Box, command: str, collected: int, plain: int) -> None:
    work = Workspace(box)
    for run_id, collect, expected in (("r1", True, collected), ("r2", False, plain)):
        work.send(SENT, run_id)
        heard = work.run(command, run_id, collect=collect)
        assert heard.first("work") == str(expected), (collect, heard.facts)
        assert work.mark == ([run_id, f"{run_id}@client"] if expected else [])
        assert not list(work.folder.glob(".dgummy*"))
        (work.state / "uncollected").unlink(missing_ok=True)
        shutil.rmtree(work.folder)


def test_the_mark_is_there_before_the_command_begins(work: Workspace) -> None:
    heard = work.run(f"cat '{work.state}/uncollected'; rm '{work.state}/uncollected'")
    assert heard.out == b"r1\nr1@client\n"


def test_a_run_that_never_begins_leaves_no_mark(make_box: MakeBox) -> None:
    work = Workspace(make_box("dash"))  # ten seconds are waited for it: once is enough
    work.send(SENT)
    (work.box.run_dir("r1")).mkdir(parents=True)
    assert work.run("echo new >a.txt").first("run") == "attached"
    assert work.mark == []


def test_a_run_without_a_workspace_says_nothing_of_work(box: Box) -> None:
    heard = box.run("touch x", collect=True)
    assert heard.first("exit").startswith("0 ") and not heard.has("work")
    assert not (box.run_dir("r1") / "work").exists() and not (box.state / "workspaces").exists()


def test_a_full_disk_starts_nothing(make_box: MakeBox) -> None:
    """Where the mark cannot be written."""
    work = Workspace(make_box("dash"))
    work.send(SENT)
    (work.state / "uncollected").mkdir()
    heard = work.run("echo new >a.txt")
    assert heard.first("failed").startswith("disk ") and (work.folder / "a.txt").read_bytes() == b"one\n"


def test_another_run_is_refused_and_told_whose_work_it_is(work: Workspace) -> None:
    work.run("echo 1 >a.txt; echo 2 >new")
    heard = work.open("r2")
    assert heard.first("uncollected") == "r1 2 r1@client" and not heard.has("dir") and heard.status == 1
    assert not (work.state / "lock").exists()
    assert work.open("r1").has("dir")  # the same run may come back
    work.box.call(SYNC_FILES, "close_workspace", "~/project", "r1")
    peeked = work.box.call(SYNC_FILES, "peek_workspace", "~/project", "id")
    assert peeked.first("uncollected") == "r1 2 r1@client" and peeked.has("dir") and peeked.status == 0


def test_who_lost_the_right_to_overwrite_starts_nothing(work: Workspace) -> None:
    work.run("echo 1 >a.txt")
    lock = work.state / "lock"
    lock.mkdir()
    for name, text in (("run", "r2"), ("owner", "me"), ("since", str(int(time.time())))):
        (lock / name).write_text(f"{text}\n")
    assert work.run("echo 2 >a.txt", "r2").first("uncollected") == "r1 1 r1@client"
    assert work.mark[0] == "r1" and (work.folder / "a.txt").read_text() == "1\n"


def test_a_supervisor_that_was_killed_leaves_the_mark(work: Workspace) -> None:
    folder = str(work.folder)
    work.box.start("echo 1 >a.txt; sleep 60", "r1", directory=folder, workspace=folder)
    wait_for(lambda: (work.folder / "a.txt").read_text() == "1\n")  # something was there before
    supervisor, command = work.box.pids("r1")
    os.kill(supervisor, signal.SIGKILL)
    os.killpg(command, signal.SIGKILL)
    wait_for(lambda: not is_alive(supervisor) and not is_alive(command))
    assert work.open("r2").first("uncollected").split() == ["r1", "?"]
    # What the command had started may take a moment to be gone: until then it counts as at work.
    wait_for(lambda: work.changed() == {b"a.txt": "file"})


@pytest.mark.parametrize("why", ["removed", "void", "nothing"])
def test_a_mark_that_stands_for_nothing_goes(work: Workspace, why: str) -> None:
    work.run("echo 1 >a.txt")
    if why == "removed":
        assert work.box.hear(remove_script(["r1"])).first("removed") == "r1"
        assert work.mark == []
    else:
        run_dir = work.box.run_dir("r1")
        (run_dir / "work").write_text("0\n")
        if why == "void":
            (run_dir / "exit").unlink()
            (run_dir / "void").touch()
            (run_dir / "work").unlink()
        assert not work.box.call(SYNC_FILES, "peek_workspace", "~/project", "id").has("uncollected")
        assert work.mark  # a look changes nothing
    assert work.open("r2").has("dir")
    assert work.mark == []


def test_while_it_counts_the_workspace_is_not_given_away(make_box: MakeBox) -> None:
    for kind in KINDS:
        box = make_box(kind)
        work = Workspace(box)
        work.send(SENT)
        counter = box.bin / "xargs"
        real = str(counter.readlink())
        counter.unlink()
        counter.write_text(f'#!/bin/sh\nsleep 1.5\nexec {real} {"xargs " if "busybox" in real else ""}"$@"\n')
        counter.chmod(0o755)
        folder = str(work.folder)
        box.run("echo 1 >a.txt", "r1", follow=False, directory=folder, workspace=folder)
        wait_for(lambda box=box: box.exit_line("r1"))  # type: ignore[misc]
        began = time.monotonic()
        heard = work.open("r2")
        assert heard.first("uncollected").startswith("r1 1"), (kind, heard)
        assert time.monotonic() - began > 0.5


def test_reports_tell_it(work: Workspace) -> None:
    work.run("echo 1 >a.txt; echo 2 >new")
    assert work.box.hear(reports_script(["r1"])).first("work") == "r1 2 -"
    work.box.call(FILES, "settle_work", "r1", str(work.folder), "collected")
    assert work.box.hear(reports_script(["r1"])).first("work") == "r1 2 collected"


# -- clocks ----------------------------------------------------------------------------------------------------


def fake_date(box: Box, shift_s: int) -> None:
    """From now on `date +%s` of this box is off by so much."""
    real = (box.bin / "date").resolve()
    (box.bin / "date").unlink()
    applet = "date " if real.name == "busybox" else ""
    (box.bin / "date").write_text(f'#!/bin/sh\n[ "$1" != +%s ] || echo $(($({real} {applet}+%s) + {shift_s}))\n')
    (box.bin / "date").chmod(0o755)


@pytest.mark.parametrize(("shift_s", "count"), [(-3600, 4), (-5, 4), (3600, 0)])
def test_a_clock_that_was_set_back_may_hide_anything(box: Box, shift_s: int, count: int) -> None:
    work = Workspace(box)
    work.send(SENT)
    fake = f"mv '{box.bin}/date2' '{box.bin}/date'"
    fake_date(box, shift_s)
    (box.bin / "date").rename(box.bin / "date2")
    (box.bin / "date").symlink_to("/bin/busybox" if box.kind == "busybox" else "/bin/date")
    fake += "; sleep 2.1"  # what is shorter is told by files: the clock of this machine stays as it is
    assert work.run(fake, collect=False).first("work") == str(count)
    assert set(work.changed()) == (set(SENT) if count else set())


def test_a_clock_that_is_set_back_later_changes_nothing(work: Workspace) -> None:
    work.run("echo 1 >a.txt")
    fake_date(work.box, -7200)
    assert set(work.changed()) == {b"a.txt"}


def test_a_project_on_another_disk(work: Workspace) -> None:
    """There time is told by a file on that disk, of which nothing is left."""
    (work.state / "apart").touch()
    assert work.run("ls -A; echo 1 >a.txt").out.split() == [b"a.txt", b"node_modules", b"src"]
    assert (work.box.run_dir("r1") / "began").read_text().split()[0].isdigit()
    assert set(work.changed()) == {b"a.txt"}


def test_what_cannot_be_counted_stays_marked(make_box: MakeBox) -> None:
    work = Workspace(make_box("dash"))
    work.send(SENT)
    (work.box.bin / "xargs").unlink()
    assert not work.run("true").has("work")
    assert work.mark[0] == "r1" and work.open("r2").first("uncollected").startswith("r1 ?")


def test_a_file_system_that_counts_in_seconds(work: Workspace) -> None:
    """Where what was launched is no newer than what came before, one too many is told, but none too few."""
    heard = work.run("echo 1 >a.txt")
    assert heard.first("work") == "1"
    run_dir = work.box.run_dir("r1")
    second = (run_dir / "began").stat().st_mtime_ns // 10**9 * 10**9
    for name in ("began", "launched"):
        os.utime(run_dir / name, ns=(second, second))
    assert b"a.txt" in work.changed()


def test_a_clock_that_is_set_back_later_where_seconds_are_counted(work: Workspace) -> None:
    """There files are looked for by how many minutes ago they changed, which such a clock cannot tell."""
    work.run("echo 1 >a.txt")
    run_dir = work.box.run_dir("r1")
    began = (run_dir / "began").stat().st_mtime_ns
    os.utime(run_dir / "launched", ns=(began, began))
    fake_date(work.box, -7200)
    assert set(work.changed()) == {b"a.txt"}


# -- telling ---------------------------------------------------------------------------------------------------

FILES = ["workspace", "sync", "work", "start", "follow", "history", "agent", "collect"]


def test_everything_that_can_happen_to_a_file(work: Workspace) -> None:
    work.run("""
        echo changed >a.txt; rm src/b.txt; echo new >new.txt; mkdir -p x/y; echo deep >x/y/z
        printf '#!/bin/sh\\n' >run.sh; chmod +x run.sh; ln -s /etc/passwd out; ln -s nowhere broken; ln -s /etc etc
        touch -d 2001-01-01 a.txt new.txt; echo 1 >node_modules/own.js; echo 1 >node_modules/theirs
        mkdir .git; echo 1 >.git/config; mkdir sub; mkdir sub/.git; echo 1 >sub/.git/x
        rm src/deep/c.txt; mkdir src/deep/c.txt
    """)
    assert work.changed() == {
        b"a.txt": "file",
        b"new.txt": "file",
        b"x/y/z": "file",
        b"run.sh": "program",
        b"out": "link",
        b"broken": "link",
        b"etc": "link",
        b"node_modules/own.js": "file",
    }
    sifted = work.look().sifted
    assert set(sifted.missing) == {b"src/b.txt", b"src/deep/c.txt"}
    assert not sifted.skipped
    assert {one.path: one.size_bytes for one in sifted.changed}[b"a.txt"] == 8


def test_a_folder_that_was_renamed_comes_whole(work: Workspace) -> None:
    (work.folder / "build").mkdir()
    (work.folder / "build/old").write_text("from another run")
    work.run("mv src lib; echo 1 >build/new; mv build/new lib/deep/more", collect=True)
    assert set(work.changed()) >= {b"lib/b.txt", b"lib/deep/c.txt", b"lib/deep/more"}
    assert set(work.look().sifted.missing) == {b"src/b.txt", b"src/deep/c.txt"}


def test_folders_that_changed_places(box: Box) -> None:
    work = Workspace(box)
    work.send({b"one/f": b"1", b"two/f": b"2", b"still/f": b"3"})
    work.run("mv one x; mv two one; mv x two")
    assert set(work.changed()) == {b"one/f", b"two/f"}


@pytest.mark.parametrize(
    "name", [b"new\nline", b"soh\x01", b"soh\x01\nboth", b"per%cent", b"%0A", b"caf\xe9", b"-dash", b"blank end "]
)
def test_a_renamed_folder_of_any_name(box: Box, name: bytes) -> None:
    work = Workspace(box)
    work.send({b"src/f": b"1", name + b"/f": b"2", name + b"/g": b"3"})
    work.run("true")
    work.path(b"src").rename(work.path(name + b"2"))
    work.path(name + b"/new").touch()
    found = set(work.changed())
    assert found >= {name + b"2/f", name + b"/new"}
    if box.kind != "busybox" and not {10, 1} & set(name):  # there it is told too much rather than too little
        assert found == {name + b"2/f", name + b"/new"}


ODD = [
    b"new\nline",
    b"caf\xe9",
    b"\xff\xfe",
    b"-rf",
    b"x" * 200,
    b" lead",
    b"trail ",
    b"per%cent",
    b"%0A",
    b"%250A",
    b"$HOME `id` \\ * ? [a]",
    b'it\'s "quoted"',
    b"tab\t",
    b"\x01",
    b"esc\x1b[31m",
    b"deep/\n/\xe9/-x",
]


def test_odd_names(box: Box) -> None:
    work = Workspace(box)
    work.send(dict.fromkeys(ODD, b"old"))
    assert work.run("true").first("work") == "0"
    assert work.changed() == {}
    for number, name in enumerate(ODD):
        if number % 2:
            work.path(name).unlink()
        else:
            work.path(name).write_bytes(b"new")
    assert set(work.changed()) == set(ODD[::2])
    assert set(work.look().sifted.missing) == set(ODD[1::2])
    brought = work.bring()
    assert brought == dict.fromkeys(ODD[::2], b"new")


def test_a_command_that_changes_odd_names_is_counted(box: Box) -> None:
    work = Workspace(box)
    work.send(dict.fromkeys(ODD, b"old"))
    assert work.run("find . -type f -exec sh -c 'echo more >>\"$1\"' sh {} \\;").first("work") == str(len(ODD))


def test_later_runs_make_it_unknown(work: Workspace) -> None:
    work.run("true")
    work.send(SENT, "r2")
    work.box.call(SYNC_FILES, "close_workspace", "~/project", "r2")
    heard = work.box.call(FILES, "tell_changes", "r1", str(work.folder))
    assert heard.first("later") == "r2" and not heard.streams


def test_what_is_not_over_is_not_told(work: Workspace) -> None:
    folder = str(work.folder)
    assert work.box.call(FILES, "tell_changes", "r1", folder).first("state") == "absent"
    work.box.start("sleep 60", "r1", directory=folder, workspace=folder)
    assert work.box.call(FILES, "tell_changes", "r1", folder).first("state") == "running"
    supervisor = work.box.pids("r1")[0]
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not is_alive(supervisor))
    assert work.box.call(FILES, "tell_changes", "r1", folder).first("state") == "running"  # its command goes on


def test_settling_twice_and_for_another(work: Workspace) -> None:
    work.run("echo 1 >a.txt")
    folder = str(work.folder)
    work.box.call(FILES, "settle_work", "other", folder, "collected")
    assert work.mark[0] == "r1"
    for _ in range(2):
        heard = work.box.call(FILES, "settle_work", "r1", folder, "collected", "a" * 40)
        assert heard.first("settled") == "r1" and work.mark == []
    assert (work.state / "collected-head").read_text() == "a" * 40 + "\n"
    work.send(SENT, "r2")
    work.run("echo 1 >a.txt", "r2")
    work.box.call(FILES, "settle_work", "r1", folder, "discarded")
    assert work.mark[0] == "r2"
    assert work.box.call(FILES, "settle_work", "r2", "~/project", "discarded").first("settled") == "r2"
    assert work.mark == []


def test_five_thousand_files_take_no_time(box: Box) -> None:
    work = Workspace(box)
    files = {f"d{n % 50}/f{n}".encode(): b"x" for n in range(5000)}
    work.send(files)
    began = time.monotonic()
    heard = work.run("for d in d1 d2; do for f in $d/*; do echo y >>$f; done; done")
    took_s = time.monotonic() - began
    assert heard.first("work") == "200" and took_s < 8
    assert len(work.changed()) == 200


def test_names_reach_nothing_that_is_not_ours(work: Workspace) -> None:
    """Through a link, out of the project, a folder, a pipe: not one byte of it is sent."""
    secret = work.box.home / "secret"
    secret.mkdir()
    (secret / "key").write_text("SECRET")
    work.run("ln -s ../secret linked; ln -s ../secret/key key; mkdir folder; mkfifo pipe 2>/dev/null; :")
    for name in ("linked/key", "key", "../secret/key", "folder", "pipe", "nothing", "src/../../secret/key", ""):
        heard = work.box.call(FILES, "send_files", "r1", str(work.folder), "a.txt", name)
        assert heard.first("gone") == "2" and not heard.streams and not heard.has("steady"), (name, heard)
    heard = work.box.call(FILES, "send_links", "r1", str(work.folder), "key", "linked")
    assert heard.streams["file"] == b"../secret/key../secret" and heard.has("steady")
    assert work.changed()[b"key"] == "link"
