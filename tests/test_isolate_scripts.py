"""Copies of a project for one run alone, on the host: made, told of and taken away, under the shells of hosts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dgummy.remote import compose
from dgummy.syncplan import encode_manifest
from remote_scripts import Box, Heard, MakeBox, wait_for

FILES = ["start", "sync", "workspace"]
COPY_FILES = [*FILES, "isolate"]
DAY_S = 86400
OLD = time.time() - 100 * DAY_S


def project(box: Box, files: dict[str, bytes] | None = None, folder: str = "project") -> Path:
    """A project's folder that a sync filled."""
    root = box.home / folder
    files = {"a.txt": b"one\n", "src/b.py": b"two\n", "src/deep/er/c": b"three\n"} if files is None else files
    heard = box.call(FILES, "open_workspace", f"~/{folder}", "s", "me@client", "100", "other")
    assert heard.first("dir") == str(root), heard
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (OLD, OLD))
    time.sleep(1.1 if box.kind == "busybox" else 0.02)  # its find knows no -cnewer, and stat whole seconds only
    manifest = encode_manifest(name.encode() for name in files)
    heard = box.call(FILES, "end_sync", str(root), "s", "id-1", DG_MANIFEST=manifest)
    assert heard.status == 0, heard
    box.call(FILES, "close_workspace", str(root), "s")
    return root


def opened(box: Box, run_id: str = "r1", folder: str = "~/project", manifest_id: str = "id-1", **more: str) -> Heard:
    args = (folder, run_id, f"{run_id}@client", "100", manifest_id, "", str(7 * DAY_S))
    return box.call(COPY_FILES, "open_copy", *args, **more)


def closed(box: Box, run_id: str = "r1") -> Path:
    """A copy that is free; its state folder."""
    assert opened(box, run_id).has("dir")
    box.call(FILES, "close_workspace", f"~/project@{run_id}", run_id)
    (box.state / "runs" / run_id).mkdir(parents=True)  # it ran
    (box.state / "runs" / run_id / "launched").write_text("1\n")
    return state_of(box, run_id)


def state_of(box: Box, run_id: str = "r1") -> Path:
    """What is remembered of a copy."""
    return next(path for path in box.state.glob("workspaces/*") if path.name.endswith(f"@{run_id}"))


def unused_for(state: Path, seconds: float) -> None:
    os.utime(state, (time.time() - seconds, time.time() - seconds))


def removed(box: Box, *run_ids: str, older_s: int = 7 * DAY_S) -> Heard:
    folders = [str(box.home / f"project@{run_id}") for run_id in run_ids]
    return box.call(COPY_FILES, "remove_copies", str(older_s), "token", "me@client", "100", *folders)


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


# -- making one ------------------------------------------------------------------------------------------------


def test_it_holds_what_was_sent_and_nothing_else(box: Box) -> None:
    odd = {"with 'quotes' \"x\" $HOME": b"q", "-dash": b"d", "per%cent": b"%", "tab\there": b"t", "é/ü": b"u"}
    sent = {"a.txt": b"one\n", "src/b.py": b"two\n", "run.sh": b"#!/bin/sh\n", **odd}
    root = project(box, sent | {".gummy/specialists/x/meta.yaml": b"m", ".git/config": b"g", "new\nline": b"n"})
    (root / "node_modules").mkdir()
    (root / "node_modules/x.js").write_bytes(b"never sent")
    (root / "link").symlink_to("a.txt")
    heard = opened(box)
    copy = box.home / "project@r1"
    assert heard.first("dir") == str(copy), heard
    assert tree(copy) == sent  # a name with a line break, git's and agents' own are left to the sync
    assert heard.first("seeded").split() == [str(len(sent)), "copies"], heard
    assert (copy / "a.txt").stat().st_mtime == pytest.approx(OLD, abs=1)
    manifest = next(path for path in box.state.glob("workspaces/*") if path.name.endswith("project")) / "sent"
    assert (state_of(box) / "sent").read_bytes() == manifest.read_bytes() == heard.streams["file"]
    assert (state_of(box) / "isolated").read_text() == f"{root}\n"
    assert not list(state_of(box).glob("seed.*")) and not (state_of(box) / "sent.id").exists()


def test_links_and_modes_come_along(box: Box) -> None:
    root = project(box, {"run.sh": b"#!/bin/sh\n"})
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("nowhere")
    workspace = next(path for path in box.state.glob("workspaces/*") if path.name.endswith("project"))
    (workspace / "sent").write_text("link\nrun.sh\n")
    time.sleep(1.1)
    (workspace / "sent.id").touch()
    opened(box)
    copy = box.home / "project@r1"
    assert tree(copy) == {"run.sh": b"#!/bin/sh\n", "link": b"nowhere"}
    assert (copy / "run.sh").stat().st_mode & 0o777 == 0o755


def test_a_private_project_has_private_copies(box: Box) -> None:
    project(box).chmod(0o700)
    opened(box)
    assert (box.home / "project@r1").stat().st_mode & 0o777 == 0o700


def test_what_is_appended_to_in_one_changes_no_other(box: Box) -> None:
    root = project(box)
    opened(box, "r1")
    opened(box, "r2")
    subprocess.run(["sh", "-c", "echo more >>project@r1/a.txt"], cwd=box.home, check=True)
    assert (root / "a.txt").read_bytes() == (box.home / "project@r2/a.txt").read_bytes() == b"one\n"
    assert (box.home / "project@r1/a.txt").read_bytes() == b"one\nmore\n"
    assert {path.stat().st_nlink for path in root.rglob("*") if path.is_file()} == {1}


def test_why_there_are_no_hard_links(box: Box) -> None:
    """What `cp -l` would do: the other side changes too, and looks changed (ctime) even before."""
    root = project(box)
    before = (root / "a.txt").stat().st_ctime_ns
    time.sleep(0.02)
    os.link(root / "a.txt", box.home / "linked")
    assert (root / "a.txt").stat().st_ctime_ns > before
    subprocess.run(["sh", "-c", "echo more >>linked"], cwd=box.home, check=True)
    assert (root / "a.txt").read_bytes() == b"one\nmore\n"


def test_a_copy_changes_no_time_in_the_project(box: Box) -> None:
    root = project(box)
    before = {path: path.stat().st_ctime_ns for path in root.rglob("*")}
    opened(box)
    assert {path: path.stat().st_ctime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("flag", ["--reflink=always", "-c"])
def test_reflinks_where_the_file_system_has_them(make_box: MakeBox, flag: str) -> None:
    box = make_box("dash")
    project(box)
    (box.bin / "cp").unlink()
    real, log = shutil.which("cp"), box.home / "cp.log"
    at_once = "none" if flag == "-c" else '*" --reflink=auto "*'
    box.bin.joinpath("cp").write_text(
        f'#!/bin/sh\necho "$*" >>{log}\ncase " $* " in\n*" {flag} "* | {at_once}) ;;\n'
        f'*" -c "* | *" --reflink="*) exit 1 ;;\nesac\n'
        f'for a; do shift; case $a in -c | --reflink=*) ;; *) set -- "$@" "$a" ;; esac; done\nexec {real} "$@"\n'
    )
    box.bin.joinpath("cp").chmod(0o755)
    assert opened(box).first("seeded") == "3 reflinks"
    wanted, times = ("-RpP -c ", 3) if flag == "-c" else ("-pP --parents --reflink=auto ", 1)
    copied = [line for line in log.read_text().splitlines() if line.split()[0] in ("-RpP", "-pP") and "/" in line]
    copied = [line for line in copied if not line.endswith(" ./a to/")]
    assert len(copied) == times and all(line.startswith(wanted) for line in copied), copied
    assert len(tree(box.home / "project@r1")) == 3


def test_what_a_run_touched_since_the_sync_is_left_to_the_next_one(box: Box) -> None:
    """Also where it kept size and time, so that a sync would not see it."""
    root = project(box)
    time.sleep(1.1 if box.kind == "busybox" else 0.02)
    (root / "a.txt").write_bytes(b"eno\n")
    os.utime(root / "a.txt", (OLD, OLD))
    opened(box)
    assert sorted(tree(box.home / "project@r1")) == ["src/b.py", "src/deep/er/c"]


def test_nothing_to_copy_from_is_no_failure(box: Box) -> None:
    assert opened(box).first("dir") == str(box.home / "project@r1")
    root = project(box, folder="other")
    next(box.state.glob("workspaces/*other/sent.id")).unlink()  # a sync is under way there
    assert opened(box, "r2", "~/other").has("dir")
    assert tree(box.home / "other@r2") == {}
    shutil.rmtree(root)
    assert opened(box, "r3", "~/other").has("dir")
    assert tree(box.home / "other@r3") == {}


@pytest.mark.parametrize("tool", ["awk", "xargs", "cp", "find", "stat", "tr"])
def test_a_host_without_a_tool_gets_all_by_the_sync(make_box: MakeBox, tool: str) -> None:
    box = make_box("dash")
    project(box)
    (box.bin / tool).unlink()
    heard = opened(box)
    assert heard.first("dir") == str(box.home / "project@r1"), heard
    found = tree(box.home / "project@r1")
    # Without find, stat tells in whole seconds: files are sure where a second began between them and their sync.
    assert found == {} or (tool in ("find", "stat") and len(found) == 3)


def test_odd_things_in_the_projects_folder(box: Box) -> None:
    """A run has put a FIFO, a folder and links to elsewhere where files were."""
    outside = box.home / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"outside")
    os.utime(outside / "x", (OLD, OLD))
    root = project(box, {"fifo": b"1", "folder": b"2", "src/x": b"3", "kept": b"4", "away/x": b"5"})
    for name in ("fifo", "folder"):
        (root / name).unlink()
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    (root / "folder/in").write_bytes(b"in")
    for name in ("src", "away"):
        shutil.rmtree(root / name)
        (root / name).symlink_to(outside)
    workspace = next(path for path in box.state.glob("workspaces/*") if path.name.endswith("project"))
    (workspace / "sent").write_text("away\naway/x\nfifo\nfolder\nkept\nsrc/x\n")
    heard = opened(box)
    assert heard.has("dir"), heard
    found = tree(box.home / "project@r1")
    assert found["kept"] == b"4" and "folder/in" not in found
    assert not (box.home / "project@r1/fifo").exists()
    assert tree(outside) == {"x": b"outside"}


def test_writing_goes_on_while_it_is_made(make_box: MakeBox) -> None:
    """Whatever a run does to the project meanwhile: what is in the copy is as it was sent, or is not there."""
    box = make_box("dash")
    sent = {f"d{n % 20}/f{n}": b"%06d" % n for n in range(600)}
    root = project(box, sent)
    script = (
        "import os, random, sys, time\nrng = random.Random(1)\nend = time.monotonic() + 20\n"
        "names = [os.path.join(d, f) for d, _, fs in os.walk('.') for f in fs]\n"
        "while time.monotonic() < end:\n"
        "    time.sleep(0.002)\n"
        "    name = rng.choice(names)\n"
        "    kind = rng.randrange(3)\n"
        "    if kind == 2: os.path.exists(name) and os.unlink(name)\n"
        "    else:\n"
        "        with open(name, 'r+b' if kind and os.path.exists(name) else 'wb') as f: f.write(b'xxxxxx')\n"
        f"    os.path.exists(name) and os.utime(name, ({OLD}, {OLD}))\n"
    )
    writer = subprocess.Popen(["python3", "-c", script], cwd=root)
    try:
        for number in range(3):
            opened(box, f"r{number}")
            found = tree(box.home / f"project@r{number}")
            assert found and all(sent[name] == content for name, content in found.items())
    finally:
        writer.kill()
        writer.wait()


@pytest.mark.parametrize("is_gnu", [True, False], ids=["GNU", "other"])
def test_time_is_bounded(make_box: MakeBox, is_gnu: bool) -> None:
    box = make_box("dash")
    project(box)
    (box.bin / "cp").unlink()
    real = shutil.which("cp")
    box.bin.joinpath("cp").write_text(
        f'#!/bin/sh\ncase "$*" in {"none" if is_gnu else "*--parents*"}) exit 1 ;; esac\n'
        f'case "$*" in *src/*) sleep 3 ;; esac\nexec {real} "$@"\n'
    )
    box.bin.joinpath("cp").chmod(0o755)
    began = time.monotonic()
    heard = opened(box, DG_SEED_S="1")
    assert heard.first("dir") and time.monotonic() - began < 2.9
    before = tree(box.home / "project@r1")
    assert "src/b.py" not in before
    time.sleep(3.2)
    assert tree(box.home / "project@r1") == before  # and nothing copies any more


@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "still at it"])
def test_what_a_killed_client_left_is_gone_on_with(make_box: MakeBox, is_killed: bool) -> None:
    """Its script is killed in the middle, or has not heard of it yet; the same run comes again (inv resume)."""
    box = make_box("dash")
    root = project(box)
    (box.bin / "cp").unlink()
    real = shutil.which("cp")
    mark = box.home / "mark"  # the copying of the first folder is quick, that of the second is not
    slow = (
        '#!/bin/sh\ncase "$*" in *--parents*) exit 1 ;; esac\n'
        f'case $1 in -RpP) [ ! -e {mark} ] || sleep 3; : >{mark} ;; esac\nexec {real} "$@"\n'
    )
    box.bin.joinpath("cp").write_text(slow)
    box.bin.joinpath("cp").chmod(0o755)
    script = compose(COPY_FILES, "open_copy", ["~/project", "r1", "me", "100", "id-1", "", "9999999"])
    process = box.popen(script.text)
    wait_for(lambda: tree(box.home / "project@r1") and (state_of(box) / "seed.proc").exists())
    (name,) = tree(box.home / "project@r1")
    time.sleep(0.2)
    if is_killed:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (root / name).write_bytes(b"x" * (root / name).stat().st_size)
    os.utime(root / name, (OLD, OLD))
    heard = opened(box)
    assert heard.first("dir") and heard.streams["file"], heard
    assert tree(box.home / "project@r1") == {}  # it is not sure that it was copied before it was touched
    assert not list(state_of(box).glob("seed.*"))
    process.communicate(timeout=10)
    assert not any("RpP" in line for line in box.processes().values())  # nothing copies any more
    assert tree(box.home / "project@r1") == {}


def test_a_folder_of_that_name_that_is_not_ours(box: Box) -> None:
    project(box)
    (box.home / "project@r1").mkdir()
    (box.home / "outside").mkdir()
    (box.home / "project@r2").symlink_to("outside")
    for run_id in ("r1", "r2"):
        heard = opened(box, run_id)
        assert heard.first("failed").startswith("permission "), heard
        assert not heard.has("dir")
    assert list((box.home / "outside").iterdir()) == []


def test_a_run_that_will_not_start_leaves_none(box: Box) -> None:
    project(box)
    opened(box)
    box.call(COPY_FILES, "drop_copy", "~/project@r1", "other")
    assert (box.home / "project@r1").exists()
    box.call(COPY_FILES, "drop_copy", "~/project@r1", "r1")
    assert not (box.home / "project@r1").exists()
    assert not list(box.state.glob("workspaces/*@r1"))
    opened(box, "r2")
    (box.run_dir("r2")).mkdir(parents=True)
    (box.run_dir("r2") / "launched").write_text("1\n")
    box.call(COPY_FILES, "drop_copy", "~/project@r2", "r2")
    assert (box.home / "project@r2").exists() and not (state_of(box, "r2") / "lock").exists()


# -- telling ---------------------------------------------------------------------------------------------------


def listed(box: Box, *only: str, budget_s: int = 20) -> dict[str, dict[str, str]]:
    heard = box.call(COPY_FILES, "list_workspaces", "100", str(budget_s), *only)
    found: dict[str, dict[str, str]] = {}
    at = ""
    for fact in heard.facts:
        if fact.name == "workspace":
            at = fact.value
            found[at] = {}
        elif at:
            found[at][fact.name] = fact.value
    return found


def test_they_are_told_of(box: Box) -> None:
    root = project(box)
    project(box, folder="other, with blanks")
    opened(box, "r1")
    unused_for(closed(box, "r2"), 1000)
    (closed(box, "r3") / "uncollected").write_text("r3\nana of the team@laptop\n")
    closed(box, "r4")
    shutil.rmtree(box.home / "project@r4")
    opened(box, "r5")
    (state_of(box, "r5") / "lock/since").write_text("1000000000\n")  # its client died while it synced
    before = {path: path.stat().st_mtime_ns for path in box.state.rglob("*")}
    found = listed(box)
    assert {path: path.stat().st_mtime_ns for path in box.state.rglob("*")} == before
    assert set(found) == {str(root), f"{box.home}/other, with blanks", *(f"{root}@r{n}" for n in range(1, 6))}
    assert "copy-of" not in found[str(root)] and found[f"{root}@r1"]["copy-of"] == str(root)
    assert (found[f"{root}@r1"]["holder"], found[f"{root}@r1"]["holder-owner"]) == ("r1", "r1@client")
    assert 1000 <= int(found[f"{root}@r2"]["used"]) < 1100 and "holder" not in found[f"{root}@r2"]
    assert found[f"{root}@r3"]["uncollected-owner"] == "ana of the team@laptop"
    assert found[f"{root}@r4"]["gone"] and "size" not in found[f"{root}@r4"]
    assert found[f"{root}@r5"]["abandoned"] == "r5" and "holder" not in found[f"{root}@r5"]
    assert int(found[str(root)]["size"]) > 0
    assert set(listed(box, "~/project")) == {name for name in found if "other" not in name}
    assert not any("size" in one for one in listed(box, budget_s=0).values())


# -- taking it away --------------------------------------------------------------------------------------------


def test_what_is_old_goes_and_is_written_down(box: Box) -> None:
    project(box)
    state = closed(box)
    unused_for(state, 8 * DAY_S)
    heard = removed(box, "r1")
    assert heard.first("removed").endswith(f" {box.home}/project@r1"), heard
    assert not (box.home / "project@r1").exists() and not state.exists()
    when, size, why, folder = (box.state / "workspaces.log").read_text().rstrip("\n").split("\t")
    assert (
        when.endswith("Z") and int(size) > 0 and why.startswith("unused for 69") and folder == f"{box.home}/project@r1"
    )
    assert (box.home / "project/a.txt").read_bytes() == b"one\n"


def test_what_is_kept(box: Box) -> None:
    project(box)
    closed(box, "young")
    for run_id in ("link", "moved", "work", "unmarked", "elsewhere", "busy", "other"):
        closed(box, run_id)
    outside = box.home / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"outside")
    shutil.rmtree(box.home / "project@link")
    (box.home / "project@link").symlink_to(outside)
    (box.home / "project@moved").rename(box.home / "mine")
    (box.home / "project@moved").mkdir()
    (box.home / "project@moved/x").write_bytes(b"somebody's")
    (state_of(box, "work") / "uncollected").write_text("work ana@laptop\n")
    (state_of(box, "unmarked") / "isolated").unlink()
    (state_of(box, "elsewhere") / "path").write_text(f"{outside}\n")
    (box.home / "project@other/x").write_bytes(b"x")
    (state_of(box, "other") / "inode").unlink()
    (box.run_dir("busy") / "launched").unlink()
    box.run_dir("busy").rmdir()
    folder = str(box.home / "project@busy")
    opened(box, "busy")
    box.start("sleep 60", "busy", directory=folder, workspace=folder)
    for state in box.state.glob("workspaces/*@*"):
        if not state.name.endswith("young"):
            unused_for(state, 8 * DAY_S)
    heard = removed(box, "young", "link", "moved", "work", "unmarked", "elsewhere", "busy", "other", "none")
    kept = {value.partition(" ")[2].rpartition("@")[2]: value.split()[0] for value in heard.facts_named("kept")}
    assert kept == {
        "young": "young",
        "link": "link",
        "moved": "moved",
        "work": "uncollected",
        "unmarked": "unmarked",
        "elsewhere": "moved",
        "busy": "in-use",
        "other": "moved",
        "none": "unmarked",
    }
    assert tree(outside) == {"x": b"outside"} and tree(box.home / "project@moved") == {"x": b"somebody's"}
    assert not (box.state / "workspaces.log").exists()
    heard = removed(box, "young", older_s=0)
    assert heard.has("removed")


def test_the_projects_own_folder_is_never_removed(box: Box) -> None:
    root = project(box)
    root.rename(box.home / "p@r1")
    for folder in (root, box.home / "p@r1", box.home, Path("/")):
        heard = box.call(COPY_FILES, "remove_copies", "0", "token", "me", "100", str(folder))
        assert heard.first("kept").startswith("unmarked "), heard
    assert (box.home / "p@r1/a.txt").exists()


def test_a_parent_that_became_a_link(box: Box) -> None:
    project(box, folder="deep/project")
    heard = opened(box, "r1", "~/deep/project")
    assert heard.has("dir")
    box.call(FILES, "close_workspace", "~/deep/project@r1", "r1")
    (box.home / "deep").rename(box.home / "deeper")
    (box.home / "deep").symlink_to("deeper")
    heard = box.call(COPY_FILES, "remove_copies", "0", "t", "me", "100", f"{box.home}/deep/project@r1")
    assert heard.first("kept").startswith("moved "), heard
    assert (box.home / "deeper/project@r1").is_dir()


def test_one_whose_run_never_began_needs_no_age(box: Box) -> None:
    project(box)
    opened(box, "r1")
    assert removed(box, "r1").first("kept").startswith("in-use ")  # its client syncs
    (state_of(box) / "lock/since").write_text("1000000000\n")
    assert removed(box, "r1").has("removed")
    assert (box.run_dir("r1") / "void").exists()  # and it never will
    assert "its run never began" in (box.state / "workspaces.log").read_text()


def test_one_that_is_gone_is_forgotten(box: Box) -> None:
    project(box)
    state = closed(box)
    shutil.rmtree(box.home / "project@r1")
    unused_for(state, 8 * DAY_S)
    assert removed(box, "r1").first("removed") == f"? {box.home}/project@r1"
    assert not state.exists()


def test_the_log_is_kept_short(make_box: MakeBox) -> None:
    box = make_box("dash")
    project(box)
    unused_for(closed(box), 8 * DAY_S)
    log = box.state / "workspaces.log"
    log.write_bytes(b"x" * 999 + b"\n")
    os.truncate(log, 1_000_000)
    removed(box, "r1")
    assert (box.state / "workspaces.log.1").stat().st_size == 1_000_000
    assert log.read_text().count("\n") == 1


def test_old_ones_go_by_themselves_a_few_at_a_time(box: Box) -> None:
    project(box)
    old = [closed(box, f"old{number}") for number in range(5)]
    closed(box, "young")
    for state in old:
        unused_for(state, 8 * DAY_S)
    heard = opened(box, "new")
    assert heard.has("dir") and not heard.has("removed")
    assert len(list(box.home.glob("project@old*"))) == 2
    assert len((box.state / "workspaces.log").read_text().splitlines()) == 3
    opened(box, "newer")
    assert sorted(path.name for path in box.home.glob("project@*")) == ["project@new", "project@newer", "project@young"]


def test_a_run_ends_in_its_copy(box: Box) -> None:
    """From the opening to the end, as a client does it; afterwards it is free, and its project was never in use."""
    root = project(box)
    assert opened(box).has("dir")
    folder = str(box.home / "project@r1")
    heard = box.run("echo more >>a.txt; rm src/b.py; cat a.txt", "r1", directory=folder, workspace=folder)
    assert heard.out == b"one\nmore\n"
    wait_for(lambda: not (state_of(box) / "lock").exists())
    assert tree(root) == {"a.txt": b"one\n", "src/b.py": b"two\n", "src/deep/er/c": b"three\n"}
