"""The scripts that look back at runs, under the shells that hosts have."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from dgummy import asked, reconcile
from dgummy.asked import Asked, Meta
from dgummy.reconcile import Report
from dgummy.runscript import (
    call_off_script,
    cancel_script,
    list_script,
    read_script,
    remove_script,
    report_script,
    reports_script,
)
from dgummy.transport.framing import FrameReader
from dgummy.upkeep import Found, Listing
from remote_scripts import KINDS, Box, MakeBox, is_alive, wait_for

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")


def reports(box: Box, *run_ids: str) -> dict[str, Report]:
    return reconcile.read_reports(box.hear(reports_script(run_ids)).facts)


def listing(box: Box, older_s: float = 0, *, whole: bool = True) -> dict[str, Found]:
    script = list_script(older_s, whole=whole)
    process = box.popen(script.text)
    stdout, stderr = process.communicate(timeout=40)
    assert not stderr, stderr
    hear = Listing()
    for frame in FrameReader(script.marker).feed(stdout):
        hear(frame)
    return hear.found()


def boot_id_file(box: Box) -> Path:
    return box.home / "proc/sys/kernel/random/boot_id"


def lose(box: Box, run_id: str) -> int:
    """Kill the supervisor of a run; the pid of its command, which goes on."""
    supervisor, command = box.pids(run_id)
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not is_alive(supervisor))
    return command


# -- how runs stand ------------------------------------------------------------------------------------------------


def test_every_standing_in_one_answer(box: Box) -> None:
    box.run("exit 3", "r-ended")
    box.start("sleep 60", "r-running")
    box.start("sleep 60", "r-timeout", timeout_s=0.2)
    wait_for(lambda: box.exit_line("r-timeout"))
    box.hear(cancel_script("r-void", 1))
    box.start("sleep 60", "r-lost")
    lose(box, "r-lost")
    claimed = box.run_dir("r-claimed")
    claimed.mkdir()
    (claimed / "claim").write_text(f"{int(time.time()) - 7}\nboot\n\nme@here\n")
    found = reports(box, "r-ended", "r-running", "r-timeout", "r-void", "r-lost", "r-claimed", "r-absent")
    standing = {run_id.removeprefix("r-"): one.standing for run_id, one in found.items()}
    assert standing == {
        "ended": "ended",
        "running": "running",
        "timeout": "ended",
        "void": "void",
        "lost": "lost",
        "claimed": "lost",  # by its claim this boot is another one
        "absent": "absent",
    }
    ended = found["r-ended"]
    assert (ended.code, ended.word) == (3, "exited")
    assert ended.claimed and ended.launched and ended.ended
    assert abs(ended.now - time.time()) < 10
    assert ended.claimed <= ended.launched <= ended.ended <= ended.now + 1  # whole seconds, counted from the claim
    assert (found["r-timeout"].code, found["r-timeout"].word) == (124, "timed_out")
    assert found["r-void"].word == "cancelled" and found["r-void"].claimed is None
    assert found["r-lost"].why == "its supervisor was killed on the host"
    assert not box.run_dir("r-absent").exists()


def test_what_was_lost_may_be_at_work_until_all_of_it_is_gone(box: Box) -> None:
    box.start("sleep 61 & sleep 62", "r1")
    command = lose(box, "r1")
    assert reports(box, "r1")["r1"].rest_alive
    assert box.hear(remove_script(["r1"])).first("kept") == "r1 lost"
    os.kill(command, signal.SIGKILL)
    wait_for(lambda: not is_alive(command))
    group = [pid for pid, line in box.processes().items() if "sleep 61" in line or "sleep 62" in line]
    assert group
    assert reports(box, "r1")["r1"].rest_alive  # its leader is gone, the others are not
    for pid in group:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, group)))
    assert not reports(box, "r1")["r1"].rest_alive
    assert box.hear(remove_script(["r1"])).first("removed") == "r1"


def test_a_restart_leaves_nothing_of_it_alive(box: Box) -> None:
    boot_id_file(box).parent.mkdir(parents=True)
    boot_id_file(box).write_text("one\n")
    box.start("sleep 60", "r1", probe_root=str(box.home))
    boot_id_file(box).write_text("two\n")
    heard = box.hear(reports_script(["r1"], str(box.home)))
    (found,) = reconcile.read_reports(heard.facts).values()
    assert (found.standing, found.why, found.rest_alive) == ("lost", "the host was restarted while it ran", False)


def test_ids_that_are_none_are_never_looked_at(box: Box) -> None:
    box.run("true", "r1")
    outside = box.home / "outside"
    outside.mkdir()
    (outside / "exit").write_text("0 exited 1\n")
    (outside / "out").write_text("secret\n")
    for hostile in ("../../../../outside", "..", ".", "", "a b", "$(id)", "`id`", "r1/", "R1", "*", "é"):
        assert not box.hear(reports_script([hostile])).facts_named("report"), hostile
        assert not box.hear(call_off_script([hostile], "why")).facts_named("report"), hostile
        heard = box.hear(read_script(hostile, 0, 0))
        assert not heard.streams and not heard.facts_named("report"), hostile
        removed = box.hear(remove_script([hostile]))
        assert not removed.facts_named("removed") and not removed.facts_named("kept"), hostile
    assert (outside / "out").exists()
    assert [path.name for path in (box.state / "runs").iterdir()] == ["r1"]


def test_calling_off_decides_once(box: Box) -> None:
    off = reconcile.read_reports(box.hear(call_off_script(["r1", "r2"], "client-gone")).facts)
    assert {run_id: (one.standing, one.word) for run_id, one in off.items()} == {
        "r1": ("void", "client-gone"),
        "r2": ("void", "client-gone"),
    }
    heard = box.run("touch started", "r1")
    assert heard.first("void") == "client-gone" and not (box.home / "started").exists()
    box.start("sleep 60", "r3")
    assert reconcile.read_reports(box.hear(call_off_script(["r3"], "client-gone")).facts)["r3"].standing == "running"
    assert all(map(is_alive, box.pids("r3")))


# -- reading -------------------------------------------------------------------------------------------------------


def test_output_in_one_go_byte_for_byte(box: Box) -> None:
    everything = bytes(range(256)) * 300
    (box.home / "data").write_bytes(everything)
    box.run("cat data; printf 'MARK end 0\\n'; cat data data >&2; exit 4", "r1")
    heard = box.hear(read_script("r1", 0, 0))
    assert heard.out == everything + b"MARK end 0\n"
    assert heard.err == everything * 2
    found = reconcile.read_report(heard.first("report"))
    assert found is not None and (found.standing, found.code) == ("ended", 4)
    assert not heard.stderr


@pytest.mark.parametrize("offset", [1, 65535, 65536, 65537, 76799, 76800, 80000])
def test_output_from_an_offset_on(box: Box, offset: int) -> None:
    everything = bytes(range(256)) * 300
    (box.home / "data").write_bytes(everything)
    box.run("cat data; echo err >&2", "r1")
    heard = box.hear(read_script("r1", offset, None))
    assert (heard.out, heard.err) == (everything[offset:], b"")
    assert box.hear(read_script("r1", None, 2)).streams == {"err": b"r\n"}


def test_output_of_what_still_runs_and_of_what_is_not_there(box: Box) -> None:
    box.start("echo so far; sleep 60", "r1")
    wait_for(lambda: (box.run_dir("r1") / "out").read_bytes())
    heard = box.hear(read_script("r1", 0, 0))
    assert heard.out == b"so far\n"
    assert heard.first("report").split()[1] == "running"
    absent = box.hear(read_script("r2", 0, 0))
    assert not absent.streams and absent.first("report").split()[1] == "absent"
    box.hear(cancel_script("r3", 1))
    assert box.hear(read_script("r3", 0, 0)).first("report").split()[1] == "void"


def test_more_than_one_frame(box: Box) -> None:
    box.run("head -c 9000000 /dev/zero; echo end", "r1")
    assert box.hear(read_script("r1", 0, 0)).out == bytes(9_000_000) + b"end\n"


# -- what there is -------------------------------------------------------------------------------------------------

META = Meta(
    kind="task",
    group_id="g1",
    label="a 'label' \"with\" $quotes `and` \\ more",
    project="/home/é\udcff/x",
    remote_dir="~/x",
    task_type="api",
    text="line one\nline two\t\x1b[31m",
    request=Asked(hosts=("a", "b"), mode="task", verify="make test", timeout_s=3.5),
)


def test_all_that_a_folder_holds_comes_back(box: Box) -> None:
    command = "printf '%s' \"it's\"\n# comment\nexit 7"
    box.run(command, "r1", owner="me@here", meta=asked.encode_meta(META), workspace="")
    box.run("true", "r2", owner="you@there")
    found = listing(box)
    assert list(found) == ["r1", "r2"]
    assert (found["r1"].command, found["r1"].meta, found["r1"].kind) == (command, META, "task")
    assert (found["r1"].owner, found["r2"].owner) == ("me@here", "you@there")
    assert (found["r1"].report.code, found["r2"].report.code) == (7, 0)
    assert (found["r2"].command, found["r2"].meta, found["r2"].kind) == ("true", None, "")
    brief = listing(box, whole=False)
    assert (brief["r1"].command, brief["r1"].meta, brief["r1"].kind) == ("", None, "task")
    assert (box.run_dir("r1") / "meta").is_file() and box.run_dir("r1").stat().st_mode & 0o077 == 0


def test_a_list_of_nothing_and_of_what_is_no_run(box: Box) -> None:
    assert listing(box) == {}
    runs = box.state / "runs"
    runs.mkdir(parents=True)
    assert listing(box) == {}
    (box.home / "elsewhere").mkdir()
    (runs / "a link").symlink_to(box.home / "elsewhere")
    (runs / "link").symlink_to(box.home / "elsewhere")
    (runs / "file").write_text("")
    (runs / "UPPER").mkdir()
    (runs / "with blank").mkdir()
    (runs / "-rf").mkdir()
    assert list(listing(box)) == ["-rf"]  # can be told apart from a flag, since it stands after a folder's name


def test_damaged_folders_are_told_as_far_as_they_can_be(box: Box) -> None:
    for number, (name, content) in enumerate(
        [
            ("claim", b""),
            ("claim", b"\x1b[31m not a number\n\n\n\xff\xfe\n"),
            ("claim", b"12 34 ended\nboot\n"),
            ("exit", b"x y z 1 2 3\n"),
            ("exit", b""),
            ("void", b"a b c\n"),
            ("launched", b"soon\n"),
            ("meta", b"\xff\n{"),
        ]
    ):
        folder = box.state / f"runs/r{number}"
        folder.mkdir(parents=True)
        (folder / name).write_bytes(content)
    found = listing(box)
    assert len(found) == 8
    assert all(one.report.code is None for one in found.values())
    assert {run_id: one.report.claimed for run_id, one in found.items() if one.report.claimed} == {"r2": 12}
    assert found["r5"].report.word == "a"
    assert found["r7"].meta is None


def test_a_folder_that_tells_no_time_is_old_when_nobody_touched_it(box: Box) -> None:
    box.hear(call_off_script(["r1", "r2"], "why"))
    long_ago = time.time() - 3 * 3600
    os.utime(box.run_dir("r1"), (long_ago, long_ago))
    found = listing(box, 2 * 3600)
    assert (found["r1"].old, found["r2"].old) == (True, False)


# -- removing ------------------------------------------------------------------------------------------------------


def test_only_what_is_over_is_removed(box: Box) -> None:
    box.run("true", "r-ended")
    box.hear(cancel_script("r-void", 1))
    box.start("sleep 60", "r-running")
    keep = box.home / "keep"
    keep.mkdir()
    (keep / "exit").write_text("0 exited 1\n")
    (box.state / "runs/r-link").symlink_to(keep)
    (box.run_dir("r-ended") / "link").symlink_to(keep)
    heard = box.hear(remove_script(["r-ended", "r-void", "r-running", "r-absent", "r-link"]))
    assert heard.facts_named("removed") == ["r-ended", "r-void", "r-absent"]
    assert heard.facts_named("kept") == ["r-running running", "r-link link"]
    assert sorted(path.name for path in (box.state / "runs").iterdir()) == ["r-link", "r-running"]
    assert (keep / "exit").exists()
    assert all(map(is_alive, box.pids("r-running")))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "busybox"])
def test_what_cannot_be_removed_is_said(make_box: MakeBox, kind: str) -> None:
    box = make_box(kind)
    box.run("true", "r1")
    (box.bin / "rm").unlink()
    (box.bin / "rm").write_text("#!/bin/sh\necho no >&2; exit 1\n")
    (box.bin / "rm").chmod(0o755)
    heard = box.hear(remove_script(["r1"]))
    assert heard.first("kept") == "r1 permission"
    assert not heard.has("removed") and box.run_dir("r1").exists()


# -- cancelling what was lost --------------------------------------------------------------------------------------


def test_cancelling_ends_all_that_a_killed_supervisor_left(box: Box) -> None:
    """Also what does not listen to TERM, and outlives the leader of its group."""
    box.start("sh -c 'trap \"\" TERM; while :; do sleep 0.3; done' & sleep 63", "r1")
    command = lose(box, "r1")
    said = box.hear(cancel_script("r1", 1))
    assert said.first("exit").split()[:2] == ["130", "cancelled"], said
    assert not is_alive(command)
    assert not [line for line in box.processes().values() if "sleep 63" in line or "trap" in line]
    assert not (box.state / "active/r1").exists()
    assert box.hear(report_script("r1")).first("exit").startswith("130 cancelled")


def test_whoever_cancels_says_how_long_to_wait(box: Box) -> None:
    box.start("trap '' TERM; while :; do sleep 0.1; done", "r1", kill_s=600)
    _, command = box.pids("r1")
    said = box.hear(cancel_script("r1", 1))
    assert said.first("exit").split()[:2] == ["130", "cancelled"], said
    assert not is_alive(command)
