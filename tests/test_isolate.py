"""`--isolate`, `inv workspace.list` and `inv workspace.clean` on a lab, as a user meets them."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_lab import Desk, open_desk
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
    assert all(out.split()[0] == b"1" for out, _ in done), (
        done
    )  # each overlapped with the other, and saw its own file only
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
    again = desk.inv("retry", "last", "--json")
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
