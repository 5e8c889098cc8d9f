"""`--isolate`, `inv workspace.list` and `inv workspace.clean` on a lab, as a user meets them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, open_desk
from dgummy.chooser import Wish
from dgummy.copies import Copies
from dgummy.copyrules import Workspace
from labs import until

pytestmark = pytest.mark.lab
NODE = ("--host", "node-1")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("isolate")) as made:
        yield made


def copies(desk: Desk, node: str = "node-1") -> list[Path]:
    """The copies of the project on a node."""
    return sorted(desk.there(node).parent.glob(f"{desk.project.name}@*"))


@pytest.fixture(autouse=True)
def tidy(desk: Desk) -> Iterator[None]:
    """Every test begins without copies."""
    yield
    for node in ("node-1", "node-2"):
        home = desk.nodes.home_of(node)
        for path in copies(desk, node):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)
        for path in (home / ".local/state/dgummy/workspaces").glob("*@*"):
            shutil.rmtree(path)


def test_two_at_once_on_one_host_do_not_see_each_other(desk: Desk) -> None:
    assert desk.inv("sync", *NODE).code == 0
    before = {path: path.read_bytes() for path in desk.there().rglob("*") if path.is_file()}
    meet = (
        "echo $DGUMMY_RUN_ID >>README.md; echo x >mine-$DGUMMY_RUN_ID; : >../ready-$DGUMMY_RUN_ID; i=0; "
        "until [ $(ls .. | grep -c ready-) = 2 ]; do sleep 0.1; i=$((i+1)); [ $i -lt 200 ] || exit 9; done; "
        "ls | grep -c mine-; pwd"
    )
    running = [desk.nodes.start("run", "--isolate", *NODE, meet, cwd=desk.project) for _ in range(2)]
    done = [one.communicate(timeout=60) for one in running]
    assert [one.returncode for one in running] == [0, 0], done
    assert all(out.split()[0] == b"1" for out, _ in done), done  # each saw its own file only
    first, second = copies(desk)
    assert {out.split()[1].decode() for out, _ in done} == {str(first), str(second)}
    assert {path: path.read_bytes() for path in desk.there().rglob("*") if path.is_file()} == before
    readmes = [(path / "README.md").read_text().splitlines()[-1] for path in (first, second)]
    assert [path.name.partition("@")[2] for path in (first, second)] == readmes
    assert b"copied on the host from ~/myapp (" in done[0][1]


def test_it_need_not_wait_for_the_projects_workspace(desk: Desk) -> None:
    holder = desk.nodes.start("run", *NODE, "touch ../holds; sleep 30", cwd=desk.project)
    until(lambda: (desk.nodes.home_of("node-1") / "holds").exists(), 20)
    try:
        done = desk.inv("run", "--isolate", *NODE, "--json", "cat README.md")
        assert done.code == 0, done
        document = done.document("run")
        assert document["host"] == "node-1" and "waiting" not in done.err
        assert desk.inv("logs", document["run_id"]).out == (desk.project / "README.md").read_text()
    finally:
        holder.send_signal(signal.SIGINT)
        holder.communicate(timeout=30)


def test_it_holds_exactly_what_was_sent(desk: Desk) -> None:
    desk.inv("sync", *NODE)
    (desk.there() / "node_modules").mkdir(exist_ok=True)
    (desk.there() / "node_modules/x").touch()
    (desk.there() / "README.md").write_text("changed there\n")
    gone, new = desk.project / "gone.txt", desk.project / "new.txt"
    gone.touch()
    desk.inv("sync", *NODE)
    gone.unlink()
    new.write_text("new")
    done = desk.inv("run", "--isolate", *NODE, "find . -type f | sort; cat README.md")
    new.unlink()
    assert done.code == 0, done
    assert "./new.txt" in done.out and "gone.txt" not in done.out and "node_modules" not in done.out
    assert done.out.endswith((desk.project / "README.md").read_text())


def test_dry_says_where_and_does_nothing(desk: Desk) -> None:
    document = desk.inv("run", "--isolate", "--dry", *NODE, "--json", "make").document("plan")
    assert document["sync"]["remote_dir"] == f"{desk.there()}@RUN-ID"
    results = desk.inv("fanout", "--isolate", "--dry", *NODE, "--json", "make").document("sync")["results"]
    assert results[0]["remote_dir"] == f"{desk.there()}@RUN-ID"
    assert copies(desk) == []


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--isolate", "--no-sync", "true"],
        ["run", "--isolate", "--no-sync", "--dry", "true"],
        ["task", "--isolate", "--no-sync", "x"],
        ["fanout", "--isolate", "--no-sync", "true"],
        ["run", "--isolate", "--host", "local", "true"],
        ["run", "--isolate", "--host", "local", "--dry", "true"],
        ["fanout", "--isolate", "--backend", "local", "true"],
        ["distribute", "--isolate", "--command", "--backend", "local", "true"],
        ["distribute", "--isolate", "--command", "--dry", "--backend", "local", "true"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(desk: Desk, words: list[str]) -> None:
    done = desk.inv(*words)
    assert done.code == 64 and "--isolate makes a copy" in done.err, done


def test_it_never_falls_back_to_the_project_here(desk: Desk) -> None:
    done = desk.inv("run", "--isolate", "--require", "no-such-tool", "touch ran-here")
    assert done.code == 69, done
    assert not (desk.project / "ran-here").exists()
    done = desk.inv("run", "--isolate", "--host", "node-3", "--fallback", "local", "touch ran-here")
    assert done.code == 69 and not (desk.project / "ran-here").exists()


def test_distribute_puts_several_on_one_host(desk: Desk) -> None:
    meet = (
        ": >../met-$DGUMMY_RUN_ID; i=0; until [ $(ls .. | grep -c met-) = 3 ]; do sleep 0.1; i=$((i+1)); "
        "[ $i -lt 200 ] || exit 9; done; echo done {}"
    )
    texts = [meet.replace("{}", str(number)) for number in range(3)]
    done = desk.inv("distribute", "--isolate", "--command", *NODE, "--json", *texts)
    assert done.code == 0, done
    assert {one["host"] for one in done.document("fanout")["results"]} == {"node-1"}
    assert len(copies(desk)) == 3


def test_retry_gets_a_copy_of_its_own_again(desk: Desk) -> None:
    done = desk.inv("distribute", "--isolate", "--command", *NODE, "--json", "echo x >>README.md; exit 3")
    assert done.code == 3, done
    again = desk.inv("retry", "last", "--failed", "--json")
    assert again.document("fanout")["results"][0]["exit_code"] == 3
    assert len(copies(desk)) == 2


def test_a_task_begins_with_fresh_memory_and_says_so(desk: Desk) -> None:
    desk.inv("task", *NODE, "optimize database queries")
    done = desk.inv("task", "--isolate", *NODE, "--json", "optimize database queries")
    assert done.code == 0, done
    memory = done.document("task")["specialist"]
    assert memory["name"] == "database-expert" and memory["reason"].startswith("fresh memory: ")
    assert "fresh memory" in done.err
    spread = desk.inv("distribute", "--isolate", *NODE, "--json", "optimize database queries")
    assert spread.document("fanout")["results"][0]["specialist"] == memory
    assert "fresh memory" in spread.err
    fanned = desk.inv("distribute", "--isolate", *NODE, "--dry", "optimize database queries")
    assert fanned.code == 0 and "lives" not in fanned.out


def test_a_sync_that_fails_leaves_no_copy(desk: Desk) -> None:
    fake = desk.nodes.home_of("node-1") / "bin" / "rsync"
    fake.write_text("#!/bin/sh\nexit 5\n")
    fake.chmod(0o755)
    try:
        done = desk.inv("run", "--isolate", *NODE, "true")
        assert done.code == 74, done
    finally:
        fake.unlink()
    assert copies(desk) == []


# -- what there is ---------------------------------------------------------------------------------------------


def isolated(desk: Desk, command: str = "echo x >made-there", node: str = "node-1") -> str:
    """The id of a run that has been in a copy."""
    done = desk.inv("run", "--isolate", "--host", node, "--json", command)
    assert done.code == 0, done
    run_id: str = done.document("run")["run_id"]
    until(lambda: not list(desk.nodes.home_of(node).glob(f".local/state/dgummy/workspaces/*@{run_id}/lock")))
    return run_id


def state_of(desk: Desk, run_id: str, node: str = "node-1") -> Path:
    """What a node remembers of a copy."""
    (found,) = desk.nodes.home_of(node).glob(f".local/state/dgummy/workspaces/*@{run_id}")
    return found


def grow_old(desk: Desk, run_id: str, days: float = 8) -> None:
    """Let a copy be unused for so long."""
    at = time.time() - days * 86400
    os.utime(state_of(desk, run_id), (at, at))


def listed(desk: Desk, *words: str) -> dict[str, dict[str, Any]]:
    document = desk.inv("workspace.list", "--json", *words).document("workspace-list")
    return {one["folder"]: one for one in document["workspaces"]}


def test_the_list_names_project_and_copies_and_their_states(desk: Desk) -> None:
    desk.inv("sync", *NODE)
    free, work = isolated(desk), isolated(desk)
    (state_of(desk, work) / "uncollected").write_text(f"{work}\nana@laptop\n")
    holder = desk.nodes.start("run", "--isolate", *NODE, ": >../busy; sleep 30", cwd=desk.project)
    until(lambda: (desk.nodes.home_of("node-1") / "busy").exists(), 20)
    there = desk.there()
    try:
        found = listed(desk, *NODE)
        (busy,) = {path.name for path in copies(desk)} - {f"{there.name}@{free}", f"{there.name}@{work}"}
        states = {Path(folder).name: one["state"] for folder, one in found.items() if folder.startswith(str(there))}
        assert states == {
            there.name: "free",
            f"{there.name}@{free}": "free",
            f"{there.name}@{work}": "not collected",
            busy: "in use",
        }
        assert found[str(there)]["kind"] == "project" and found[str(there)]["source"] is None
        one = found[f"{there}@{work}"]
        assert (one["kind"], one["source"], one["run_id"], one["owner"]) == (
            "isolated copy",
            str(there),
            work,
            "ana@laptop",
        )
        assert one["size_bytes"] > 0 and 0 <= one["unused_s"] < 60
        shown = desk.inv("workspace.list", *NODE)
        assert shown.code == 0 and f"in use by run {busy.partition('@')[2]} of " in shown.out, shown
        assert f"not collected: run {work} of ana@laptop" in shown.out
    finally:
        holder.send_signal(signal.SIGINT)
        holder.communicate(timeout=30)


def test_the_list_names_who_is_silent_and_can_be_of_one_project(desk: Desk) -> None:
    run_id = isolated(desk)
    other = desk.nodes.project("elsewhere")
    assert desk.inv("sync", *NODE, cwd=other, program="dgummy").code == 0
    done = desk.inv("workspace.list", "--json")
    assert done.code == 1
    document = done.document("workspace-list")
    assert [one["host"] for one in document["silent"]] == ["node-3"] and document["workspaces"]
    assert "node-3" in desk.inv("workspace.list").err
    assert str(desk.nodes.remote_dir("node-1", other)) in listed(desk, *NODE)
    mine = set(listed(desk, *NODE, "--project"))
    assert mine == {str(desk.there()), f"{desk.there()}@{run_id}"}


def test_a_folder_that_is_gone_is_said_to_be(desk: Desk) -> None:
    run_id = isolated(desk)
    shutil.rmtree(f"{desk.there()}@{run_id}")
    assert listed(desk, *NODE)[f"{desk.there()}@{run_id}"]["state"] == "gone"


# -- clearing away ---------------------------------------------------------------------------------------------


def test_what_is_old_goes_and_the_rest_stays(desk: Desk) -> None:
    desk.there().mkdir(exist_ok=True)
    old, young = isolated(desk), isolated(desk)
    grow_old(desk, old)
    log = desk.nodes.home_of("node-1") / ".local/state/dgummy/workspaces.log"
    log.unlink(missing_ok=True)
    dry = desk.inv("workspace.clean", *NODE, "--dry")
    assert dry.code == 0 and dry.out.startswith("1 copy would be removed (") and old in dry.out, dry
    assert len(copies(desk)) == 2 and not log.exists()
    done = desk.inv("workspace.clean", *NODE)
    assert done.code == 0 and done.out.startswith("1 copy removed ("), done
    assert f"removed {desk.there()}@{old} (" in done.err and "unused for 8 d 00 h" in done.err
    assert [path.name.partition("@")[2] for path in copies(desk)] == [young]
    assert not list(state_of(desk, young).parent.glob(f"*{old}"))
    assert log.read_text().endswith(f"\t{desk.there()}@{old}\n")
    assert desk.there().is_dir()
    document = desk.inv("workspace.clean", *NODE, "--all", "--json").document("workspace-clean")
    assert [one["folder"] for one in document["removed"]] == [f"{desk.there()}@{young}"]
    assert copies(desk) == [] and desk.there().is_dir()


def test_older_says_how_old(desk: Desk) -> None:
    run_id = isolated(desk)
    grow_old(desk, run_id, days=2)
    assert desk.inv("workspace.clean", *NODE, "--older", "3d").out.startswith("0 copies removed")
    assert desk.inv("workspace.clean", *NODE, "--older", "1d").out.startswith("1 copy removed")
    for words in (["--older", "soon"], ["--older", "0"], ["--older", "1d", "--all"]):
        assert desk.inv("workspace.clean", *NODE, *words).code == 64


def test_work_that_was_not_collected_is_kept_and_named(desk: Desk) -> None:
    run_id, other = isolated(desk), isolated(desk)
    (state_of(desk, run_id) / "uncollected").write_text(f"{run_id}\nana@laptop\n")
    done = desk.inv("workspace.clean", *NODE, "--all")
    assert done.code == 75, done
    assert f"(run {run_id} of ana@laptop); inv collect {run_id}" in done.out
    assert [path.name.partition("@")[2] for path in copies(desk)] == [run_id]
    assert other not in done.out
    kept = desk.inv("workspace.clean", *NODE, "--all", "--dry", "--json")
    assert kept.code == 75
    assert kept.document("workspace-clean")["kept"][0]["remedy"] == f"inv collect {run_id}"


def test_what_is_in_use_or_not_the_copy_any_more_is_kept(desk: Desk, tmp_path: Path) -> None:
    linked, swapped = isolated(desk), isolated(desk)
    (tmp_path / "precious").touch()
    shutil.rmtree(f"{desk.there()}@{linked}")
    Path(f"{desk.there()}@{linked}").symlink_to(tmp_path)
    shutil.move(f"{desk.there()}@{swapped}", tmp_path / "moved")
    Path(f"{desk.there()}@{swapped}").mkdir()
    Path(f"{desk.there()}@{swapped}/precious").touch()
    busy = isolated(desk, "true")
    shutil.copytree(desk.nodes.run_dir("node-1", busy), tmp_path / "run")
    holder = desk.nodes.start("run", "--isolate", *NODE, ": >../in-use; sleep 30", cwd=desk.project)
    until(lambda: (desk.nodes.home_of("node-1") / "in-use").exists(), 20)
    try:
        done = desk.inv("workspace.clean", *NODE, "--all", "--json")
        assert done.code == 1, done
        reasons = {Path(one["folder"]).name: one["reason"] for one in done.document("workspace-clean")["kept"]}
        assert reasons[f"{desk.there().name}@{linked}"] == "a link is in its place"
        assert reasons[f"{desk.there().name}@{swapped}"] == "another folder is in its place"
        assert sorted(reasons.values()) == ["a link is in its place", "another folder is in its place", "in use"]
    finally:
        holder.send_signal(signal.SIGINT)
        holder.communicate(timeout=30)
    assert (tmp_path / "precious").exists() and Path(f"{desk.there()}@{swapped}/precious").exists()
    assert not Path(f"{desk.there()}@{busy}").exists()


def test_a_killed_client_leaves_a_copy_that_goes_without_an_age(desk: Desk) -> None:
    """Killed while the project is on its way."""
    fake = desk.nodes.home_of("node-1") / "bin" / "rsync"
    fake.write_text("#!/bin/sh\n: >$HOME/syncing\nsleep 20\n")
    fake.chmod(0o755)
    try:
        client = desk.nodes.start("run", "--isolate", *NODE, "touch ../ran", cwd=desk.project)
        until(lambda: (desk.nodes.home_of("node-1") / "syncing").exists(), 20)
        client.kill()
        client.communicate()
    finally:
        fake.unlink()
    (half,) = copies(desk)
    assert listed(desk, *NODE)[str(half)]["state"] == "in use"  # as far as its host can tell
    assert desk.inv("workspace.clean", *NODE).out.startswith("0 copies removed")
    (state_of(desk, half.name.partition("@")[2]) / "lock/since").write_text("1000000000\n")
    assert "its run never began" in desk.inv("workspace.list", *NODE).out
    done = desk.inv("workspace.clean", *NODE)
    assert done.out.startswith("1 copy removed") and "its run never began" in done.err, done
    assert copies(desk) == [] and not (desk.nodes.home_of("node-1") / "ran").exists()


def test_old_ones_go_when_the_next_is_made(desk: Desk) -> None:
    old = isolated(desk)
    grow_old(desk, old)
    new = isolated(desk)
    assert [path.name.partition("@")[2] for path in copies(desk)] == [new]
    log = desk.nodes.home_of("node-1") / ".local/state/dgummy/workspaces.log"
    assert log.read_text().endswith(f"\t{desk.there()}@{old}\n")


def test_collecting_first_lets_it_go(desk: Desk) -> None:
    """What `clean` does with a function that brings work home."""
    run_id, other = isolated(desk), isolated(desk)
    for one in (run_id, other):
        (state_of(desk, one) / "uncollected").write_text(f"{one} me@here\n")
    asked = []

    def collect(host: str, copy: Workspace) -> bool:
        asked.append((host, copy.work_run, copy.work_owner))
        if copy.work_run == other:
            return False
        (state_of(desk, run_id) / "uncollected").unlink()
        return True

    with desk.nodes.cluster(desk.project) as cluster:
        done = Copies(cluster).clean(Wish(hosts=("node-1",)), 0, collect=collect)
    assert sorted(asked) == sorted([("node-1", run_id, "me@here"), ("node-1", other, "me@here")])
    assert [one.copy.folder for one in done.removed] == [f"{desk.there()}@{run_id}"]
    assert [one.copy.work_run for one in done.kept] == [other]
