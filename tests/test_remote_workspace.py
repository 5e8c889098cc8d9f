"""One workspace, one writer: the lock of a project folder on a host, under the shells that hosts have."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dgummy.remote import compose
from dgummy.runscript import remove_script, void_script
from dgummy.transport.base import Script
from remote_scripts import KINDS, Box, Heard, MakeBox, is_alive, read, wait_for

FILES = ["start", "sync", "workspace"]


def opened(box: Box, run_id: str, directory: str = "~/project", lease_s: int = 100) -> Heard:
    return box.call(FILES, "open_workspace", directory, run_id, f"{run_id}@client", str(lease_s), "some-id")


def holder(box: Box) -> str:
    """Who has the one workspace of this box."""
    locks = list(box.state.glob("workspaces/*/lock/run"))
    assert len(locks) <= 1
    return locks[0].read_text().strip() if locks else ""


def lock_of(box: Box) -> Path:
    return next(box.state.glob("workspaces/*/lock"))


def age(box: Box, seconds: float) -> None:
    """Let the holder's last sign of life be that long ago."""
    since = lock_of(box) / "since"
    since.write_text(f"{int(since.read_text()) - int(seconds)}\n")


def test_it_is_taken_once_and_given_back(box: Box) -> None:
    heard = opened(box, "a")
    assert heard.first("dir") == str(box.home / "project") and (box.home / "project").is_dir()
    assert opened(box, "b").first("busy") == "a a@client"
    assert opened(box, "a").first("dir")  # again by the same: it has it already
    box.call(FILES, "close_workspace", "~/project", "b")
    assert holder(box) == "a"
    box.call(FILES, "close_workspace", str(box.home / "project"), "a")
    assert holder(box) == ""
    assert opened(box, "b").first("dir")


def test_ten_at_once_one_wins(box: Box) -> None:
    for attempt in range(3):
        directory = f"~/project{attempt}"
        scripts: list[tuple[Script, subprocess.Popen[bytes]]] = []
        for number in range(10):
            script = compose(FILES, "open_workspace", [directory, f"r{attempt}-{number}", "me", "100", "id"])
            scripts.append((script, box.popen(script.text)))
        heard = [read(0, *process.communicate(timeout=40), script.marker) for script, process in scripts]
        winners = [number for number, one in enumerate(heard) if one.has("dir")]
        assert len(winners) == 1, heard
        assert sum(one.has("busy") for one in heard) == 9


NAMES = [
    "with blanks",
    'it\'s "quoted"',
    "é😀",
    "per%cent%2F",
    "dollar $HOME `id` \\ * ?",
    "-dash",
    "deep/" + "x" * 100 + "/" + "y" * 120,
    "é" * 120,
    "tab\there",
]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_folders_with_any_name(box: Box, locale: str) -> None:
    box.env["LC_ALL"] = locale
    for number, name in enumerate(NAMES):
        heard = opened(box, f"a{number}", f"~/{name}")
        assert heard.first("dir") == f"{box.home}/{name}", heard
        assert (box.home / name).is_dir()
        box.env["LC_ALL"] = "C" if locale != "C" else "C.UTF-8"  # who comes next may have another locale
        assert opened(box, "b", f"~/{name}").first("busy").startswith(f"a{number} ")
        box.env["LC_ALL"] = locale
    assert len(list(box.state.glob("workspaces/*/lock"))) == len(NAMES)
    paths = {path.read_text() for path in box.state.glob("workspaces/*/path")}
    assert paths == {f"{box.home}/{name}\n" for name in NAMES}


def test_two_names_of_one_folder_are_one_workspace(box: Box) -> None:
    (box.home / "real").mkdir()
    (box.home / "link").symlink_to("real")
    assert opened(box, "a", "~/link").first("dir") == str(box.home / "real")
    assert opened(box, "b", "~/real").has("busy")
    assert opened(box, "b", str(box.home / "link")).has("busy")
    assert box.call(FILES, "renew_workspace", "~/link", "a").status == 0
    box.call(FILES, "close_workspace", "~/link", "a")  # as the client names it, before it knows the real one
    assert holder(box) == ""


@pytest.mark.parametrize("directory", ["~", "~/", "/", "~/..", "~/x/.."])
def test_the_home_folder_is_refused(box: Box, directory: str) -> None:
    heard = opened(box, "a", directory)
    assert "home folder" in heard.first("failed"), heard
    assert holder(box) == ""


def test_a_folder_that_cannot_be_made(box: Box) -> None:
    (box.home / "file").touch()
    assert opened(box, "a", "~/file/project").first("failed").startswith("permission ")
    assert opened(box, "a", "~/file").first("failed").startswith("permission ")


# -- holders that die ------------------------------------------------------------------------------------------


def test_a_client_that_syncs_keeps_it_by_renewing(box: Box) -> None:
    opened(box, "a")
    age(box, 90)
    assert opened(box, "b").has("busy")
    assert box.call(FILES, "renew_workspace", "~/project", "a").status == 0
    age(box, 90)
    assert opened(box, "b").has("busy")
    assert box.call(FILES, "renew_workspace", "~/project", "b").status != 0


def test_a_client_that_died_during_its_sync_loses_it_and_its_run_never_starts(box: Box) -> None:
    opened(box, "a")
    age(box, 101)
    assert opened(box, "b").first("dir")
    assert holder(box) == "b"
    # It was only asleep, and goes on.
    assert box.call(FILES, "renew_workspace", "~/project", "a").status != 0
    folder = str(box.home / "project")
    assert box.call(FILES, "enter_workspace", folder, "a").first("busy").startswith("b")
    for function in ("begin_sync", "end_sync"):
        heard = box.call(FILES, function, folder, "a", DG_MANIFEST="x\n")
        assert heard.first("busy").startswith("b") and heard.status != 0
    heard = box.run("touch ran", "a", directory=folder, workspace=folder)
    assert heard.has("void"), heard
    assert not (box.home / "project/ran").exists()
    assert holder(box) == "b"


def test_a_running_command_keeps_it_and_its_end_gives_it_back(box: Box) -> None:
    folder = str(box.home / "project")
    opened(box, "a")
    box.start("sleep 1; echo done", "a", directory=folder, workspace=folder)
    age(box, 100_000)
    assert opened(box, "b").first("busy") == "a a@client"
    box.hear(compose(("workspace", "start", "follow"), "follow_run", ["a", "0", "0"]))
    wait_for(lambda: holder(box) == "")
    assert opened(box, "b").first("dir")


def test_a_supervisor_that_was_killed_frees_it_once_its_command_is_over(box: Box) -> None:
    folder = str(box.home / "project")
    opened(box, "a")
    box.start("sleep 60", "a", directory=folder, workspace=folder)
    supervisor, command = box.pids("a")
    os.kill(supervisor, signal.SIGKILL)
    wait_for(lambda: not is_alive(supervisor))
    assert opened(box, "b").has("busy")  # its command writes there still
    os.kill(command, signal.SIGKILL)
    wait_for(lambda: not is_alive(command))
    assert opened(box, "b").first("uncollected").split() == ["a", "?"]  # nobody counted what it changed
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command, signal.SIGKILL)
    wait_for(lambda: box.hear(remove_script(["a"])).first("removed") == "a")
    assert opened(box, "b").first("dir")


def test_a_voided_run_frees_it(box: Box) -> None:
    opened(box, "a")
    box.hear(void_script("a"))
    assert opened(box, "b").first("dir")


def test_a_maker_that_died_before_it_said_who_it_is(box: Box) -> None:
    """Each takes five seconds, so every shell goes through it once, and one through all that may be there by then."""
    opened(box, "a")
    box.call(FILES, "close_workspace", "~/project", "a")
    for present in ((), ("owner",), ("owner", "since")) if box.kind == "dash" else [("owner",)]:
        lock = next(box.state.glob("workspaces/*")) / "lock"
        lock.mkdir()
        for name in present:
            (lock / name).write_text(f"{int(time.time())}\n")
        began = time.monotonic()
        assert opened(box, "b").first("dir"), present
        assert time.monotonic() - began < 12
        box.call(FILES, "close_workspace", "~/project", "b")
    assert not (box.state / "runs/launch").exists() and not (box.state / "runs/void").exists()


def test_a_breaker_that_died_half_way(box: Box) -> None:
    """`breaking` is left in a dead lock: that must not lock the workspace up for ever."""
    opened(box, "a")
    age(box, 1000)
    breaking = lock_of(box) / "breaking"
    breaking.mkdir()
    assert opened(box, "b").has("busy")  # it may be at work just now
    os.utime(breaking, (time.time() - 200, time.time() - 200))
    assert opened(box, "b").first("dir")


def test_breakers_cannot_steal_a_live_lock(make_box: MakeBox) -> None:
    """Eight break a dead lock at once, again and again: one gets it, and nobody takes it from the winner."""
    for kind in KINDS:
        box = make_box(kind)
        opened(box, "dead")
        for attempt in range(4):
            age(box, 1000)
            script = [
                compose(FILES, "open_workspace", ["~/project", f"r{attempt}-{n}", "me", "100", "id"]) for n in range(8)
            ]
            running = [box.popen(one.text) for one in script]
            heard = [read(0, *p.communicate(timeout=40), s.marker) for p, s in zip(running, script, strict=True)]
            winners = [n for n, one in enumerate(heard) if one.has("dir")]
            assert len(winners) == 1, (kind, heard)
            assert holder(box) == f"r{attempt}-{winners[0]}"
            assert not (lock_of(box) / "breaking").exists()
        leftovers = [path.name for path in lock_of(box).parent.iterdir() if path.name.startswith("lock.")]
        assert not leftovers


@pytest.mark.slow
def test_giving_back_and_taking_over_at_once(make_box: MakeBox) -> None:
    """The end of one run and the wish of many others: at every moment at most one has it, and it is not lost."""
    box = make_box("dash")
    folder = str(box.home / "project")
    check = "mkdir held || echo TWICE >>../bad; sleep 0.1; rmdir held"  # fails if another one is in there
    runs = 6
    scripts = [compose(FILES, "open_workspace", [folder, f"r{n}", "me", "100", "id"]) for n in range(runs)]
    done: set[int] = set()
    (box.home / "project").mkdir()
    end = time.monotonic() + 60
    while len(done) < runs:
        assert time.monotonic() < end, done
        waiting = [number for number in range(runs) if number not in done]
        running = [(number, box.popen(scripts[number].text)) for number in waiting]
        for number, process in running:
            heard = read(0, *process.communicate(timeout=40), scripts[number].marker)
            if heard.has("dir"):
                box.run(check, f"r{number}", follow=False, directory=folder, workspace=folder)
                done.add(number)
    wait_for(lambda: all((box.run_dir(f"r{n}") / "exit").exists() for n in range(runs)))
    assert not (box.home / "bad").exists()
    wait_for(lambda: holder(box) == "")


def test_a_full_disk_while_it_is_taken(make_box: MakeBox) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for a file system of its own")
    box = make_box("dash")
    box.state.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "dgummy-test", str(box.state)], check=False)
    if done.returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        filler = box.state / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                pass
        heard = opened(box, "a")
        assert heard.first("failed").startswith("disk "), heard
        filler.unlink()
        assert opened(box, "b").first("dir")
        assert holder(box) == "b"
    finally:
        subprocess.run(["umount", "-l", str(box.state)], check=True)


def test_peeking_changes_nothing(box: Box) -> None:
    heard = box.call(FILES, "peek_workspace", "~/project", "id")
    assert heard.first("absent") == str(box.home / "project") and heard.first("dir") == str(box.home / "project")
    assert not (box.home / "project").exists() and not (box.state / "workspaces").exists()
    opened(box, "a")
    assert not box.call(FILES, "peek_workspace", "~/project", "id").has("absent")
    assert holder(box) == "a"
    shutil.rmtree(box.home / "project")
