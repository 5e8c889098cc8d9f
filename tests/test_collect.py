"""Work comes home, and what is not home is not destroyed: the commands as users meet them, on a lab of real nodes."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, Result, open_desk
from dgummy.errors import UsageError
from dgummy.intake import RunOptions
from labs import until

NODE = ("--host", "node-1")


@pytest.fixture(scope="module")
def lab_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("collect"), 3, down_nodes=0) as made:
        yield made


@pytest.fixture
def desk(lab_desk: Desk, request: pytest.FixtureRequest) -> Desk:
    """A project of its own for each test."""
    name = f"p{abs(hash(request.node.name)) % 10**9}"
    made = Desk(lab_desk.nodes, lab_desk.nodes.project(name))
    for name, value in (("user.name", "me"), ("user.email", "me@lab.invalid")):
        git(made, "config", name, value)
    git(made, "add", "-A")
    git(made, "commit", "-qm", "tasks")
    return made


def git(desk: Desk, *words: str, cwd: Path | None = None, **env: str) -> str:
    """What git says in the project."""
    where = cwd or desk.project
    done = subprocess.run(["git", *words], cwd=where, env=desk.environment(env), capture_output=True, check=True)
    return done.stdout.decode("utf-8", "surrogateescape")


def state(desk: Desk) -> tuple[str, ...]:
    """Everything of a repository that a collection must leave alone."""
    index = (desk.project / ".git/index").read_bytes().hex()
    asked = (("status", "--porcelain=v2", "--branch"), ("stash", "list"), ("show-ref", "--head"))
    lines = (line for words in asked for line in git(desk, *words).splitlines())
    return (*(line for line in lines if "refs/heads/dgummy/" not in line), index)


def run(desk: Desk, command: str, *flags: str, node: str = "node-1", code: int = 0) -> dict[str, Any]:
    done = desk.inv("run", "--host", node, "--json", *flags, command)
    assert done.code == code, done
    return done.document("run")


def collect(desk: Desk, *words: str, code: int = 0) -> dict[str, Any]:
    done = desk.inv("collect", "--json", *words)
    assert done.code == code, done
    (result,) = done.document("collect")["results"]
    assert isinstance(result, dict)
    return result


def changed(result: dict[str, Any]) -> dict[str, str]:
    return {one["path"]: one["change"] for branch in result["branches"] for one in branch["files"]}


def refused(done: Result, run_id: str, *, code: int = 75) -> None:
    assert done.code == code, done
    assert run_id in done.err + done.out and f"inv collect {run_id}" in done.err + done.out, done


# -- what comes home -------------------------------------------------------------------------------------------------


def test_exactly_what_the_run_did_and_nothing_else_is_touched(desk: Desk) -> None:
    (desk.project / "README.md").write_text("not committed\n")
    (desk.project / "untracked.txt").write_text("mine\n")
    before = state(desk)
    document = run(
        desk,
        "echo more >>README.md; echo x >>tasks.py; rm src/report.sh; echo new >new.txt; echo o >a.log",
        "--collect",
    )
    assert state(desk) == before
    assert git(desk, "fsck", "--full", "--strict") == ""
    assert document["work"] == "collected"
    home = document["collected"]
    assert changed(home) == {
        "README.md": "changed",
        "tasks.py": "changed",
        "src/report.sh": "deleted",
        "new.txt": "added",
    }
    branch = document["branch"]
    assert branch == f"dgummy/{document['run_id']}"
    assert git(desk, "show", f"{branch}:README.md") == "not committed\nmore\n"
    # What was sent, with what was not committed, is the commit below; HEAD is below that.
    assert git(desk, "diff", "--name-only", "HEAD", f"{branch}~1").split() == ["README.md", "untracked.txt"]
    assert git(desk, "rev-parse", f"{branch}~2") == git(desk, "rev-parse", "HEAD")
    message = git(desk, "log", "-1", "--format=%B", branch)
    assert "Host: node-1" in message and "Exit-Code: 0" in message and document["run_id"] in message
    assert (desk.project / "README.md").read_text() == "not committed\n"


def test_no_base_commit_where_what_was_sent_is_what_head_is(desk: Desk) -> None:
    document = run(desk, "echo more >>README.md", "--collect")
    assert git(desk, "rev-parse", f"{document['branch']}~1") == git(desk, "rev-parse", "HEAD")
    assert not document["collected"]["branches"][0]["has_base_commit"]
    git(desk, "merge", "-q", document["branch"])
    assert (desk.project / "README.md").read_text().endswith("more\n")


def test_where_nothing_was_committed_the_advice_can_be_followed(desk: Desk) -> None:
    git(desk, "update-ref", "-d", "HEAD")
    done = desk.inv("run", *NODE, "--collect", "echo x >>README.md")
    told = done.err + done.out
    assert done.code == 0 and "git merge" not in told, done
    (advice,) = [line.partition(", then git ")[2] for line in told.splitlines() if "take it:" in line]
    git(desk, "commit", "-qm", "first")
    git(desk, *advice.split())
    assert (desk.project / "README.md").read_text().endswith("x\n")


def test_an_agents_work_comes_home_by_itself(desk: Desk) -> None:
    before = state(desk)
    done = desk.inv("task", *NODE, "optimize database queries")
    assert done.code == 0, done
    assert "✓ branch dgummy/" in done.err and "take it:" in done.err
    assert state(desk) == before
    (row,) = desk.inv("runs", "--limit", "1", "--json").document("runs")["runs"]
    assert (row["work"], row["branch"]) == ("collected", f"dgummy/{row['run_id']}")


def test_what_an_agent_wrote_comes_along_and_is_shown(desk: Desk) -> None:
    done = desk.inv("task", *NODE, "--mode", "plan", "optimize database queries")
    assert done.code == 0 and "inv report" in done.err, done
    document = desk.inv("report", "last", "--json").document("report")
    assert {Path(one["path"]).name.rpartition("-")[2] for one in document["files"]} >= {"plan.md"}
    shutil.rmtree(desk.nodes.home_of("node-1") / ".claude")  # it is here
    shown = desk.inv("report", "last")
    assert shown.code == 0 and document["files"][0]["text"].strip() in shown.out, shown


def test_three_hosts_three_branches(desk: Desk) -> None:
    nodes = [word for number in (1, 2, 3) for word in ("--host", f"node-{number}")]
    done = desk.inv(
        "fanout", *nodes, "--collect", "--json", "echo $DGUMMY_NODE >>README.md; echo $DGUMMY_NODE >$DGUMMY_NODE.txt"
    )
    assert done.code == 0, done
    results = done.document("fanout")["results"]
    branches = {one["host"]: one["branch"] for one in results}
    assert len(set(branches.values())) == 3 and all(one["work"] == "collected" for one in results)
    for host, branch in branches.items():
        assert git(desk, "show", f"{branch}:{host}.txt") == f"{host}\n"
    git(desk, "merge", "-q", branches["node-1"])
    with pytest.raises(subprocess.CalledProcessError):  # as git sees fit: they changed the same line
        git(desk, "merge", "-q", branches["node-2"])
    git(desk, "merge", "--abort")


def test_several_tasks_one_branch_each(desk: Desk) -> None:
    done = desk.inv("distribute", "--json", "write the docs", "build REST API endpoints", "optimize database queries")
    assert done.code == 0, done
    assert len({one["branch"] for one in done.document("fanout")["results"]}) == 3


def test_the_agents_own_commits_are_kept(desk: Desk) -> None:
    commit = "git -c user.name=bot -c user.email=bot@x commit -qam"
    first, second = f"git add -A && {commit} import", f"echo 1 >>README.md && {commit} 'one thing'"
    command = f"git init -q && {first} && {second} && echo 2 >>tasks.py"
    document = run(desk, command, "--collect")
    branch = document["branch"]
    log = git(desk, "log", "--format=%an %s", f"HEAD..{branch}").splitlines()
    assert "bot one thing" in log, log
    assert log[0].startswith("me git init"), log  # what was left uncommitted is the newest
    assert changed(document["collected"]) == {"README.md": "changed", "tasks.py": "changed"}
    assert git(desk, "fsck", "--full", "--strict") == ""


def test_commits_that_are_too_much_are_not_taken_for_collected(desk: Desk) -> None:
    commit = "git -c user.name=bot -c user.email=bot@x commit -qm"
    large = f"head -c 90000 /dev/urandom >big && git add -A && {commit} big && git rm -q big && {commit} without"
    run_id = run(desk, f"git init -q && echo 1 >>README.md && {large}", "--no-collect")["run_id"]
    (desk.project / "invoke.yaml").write_text("dgummy: {collect: {max_total_bytes: 30000}}\n")
    first = collect(desk, run_id, code=1)
    assert first["work"] == "uncollected" and first["skipped"][0]["path"] == ".git"
    refused(desk.inv("sync", *NODE), run_id)
    (desk.project / "invoke.yaml").unlink()
    second = collect(desk, run_id)
    assert second["work"] == "collected" and second["branches"][0]["commits"] == 2


def test_files_that_git_ignores_come_when_they_are_asked_for(desk: Desk) -> None:
    command = "mkdir -p dist/deep; echo 1 >dist/a.whl; echo 2 >dist/deep/b.whl; echo 3 >dist/c.txt"
    document = run(desk, command, "--fetch", "dist/**/*.whl")
    home = document["collected"]
    assert sorted(home["files"]) == ["dist/a.whl", "dist/deep/b.whl"] and home["branches"] == []
    folder = Path(home["folder"])
    assert folder.parts[-3:] == ("runs", document["run_id"], "node-1")
    assert (folder / "dist/a.whl").read_text() == "1\n"
    (folder / "dist/a.whl").write_text("mine now\n")
    again = collect(desk, document["run_id"], "--fetch", "dist/a.whl", "--fetch", "no*thing")
    assert again["files"] == ["dist/a.2.whl"] and (folder / "dist/a.whl").read_text() == "mine now\n"
    assert any("no*thing" in text for text in again["notices"])


def test_what_the_runs_own_gitignore_says_counts_beside_what_was_sent(desk: Desk) -> None:
    (desk.project / ".gitignore").write_text("*.tmp\n!keep.tmp\nsecret\n*.env\n")
    (desk.project / ".env").write_text("KEY=of-the-user\n")
    (desk.project / "invoke.yaml").write_text("dgummy: {sync_extra: [.env]}\n")
    (desk.project / "secret").write_text("here only")
    command = "printf '.venv/\\nout/\\n' >.gitignore; mkdir .venv out; touch .venv/x out/y a.tmp secret; cp .env plain"
    document = run(desk, f"{command}; cp .env README.md; echo KEY=of-the-run >other.env", "--collect", "--fetch", "a.*")
    home = document["collected"]
    assert changed(home) == {".gitignore": "changed"} and home["files"] == ["a.tmp"]
    left = {one["path"]: one["reason"] for one in home["skipped"] if not one["is_work"]}
    assert {*left} == {"secret", "other.env", "plain", "README.md"} and home["work"] == "collected"
    assert "--fetch" in left["other.env"] and "stays out of git" in left["plain"]


def test_what_cannot_be_a_pattern(desk: Desk) -> None:
    before = [run.command for run in desk.nodes.ledger()]
    for words in (["collect", "last"], ["run", *NODE, "true"], ["task", *NODE, "write the docs"]):
        done = desk.inv(*words, "--fetch", "../x", "--fetch", "ok")
        assert done.code == 64 and "--fetch: '../x'" in done.err and "relative to the project" in done.err, done
    assert [run.command for run in desk.nodes.ledger()] == before  # nothing was started
    for bad in ("/etc/passwd", "", "a/../../b"):
        with pytest.raises(UsageError):
            RunOptions(fetch=("ok", bad))


def test_a_project_without_git(desk: Desk) -> None:
    shutil.rmtree(desk.project / ".git")
    (desk.project / "old.txt").write_text("old\n")
    document = run(
        desk, "echo more >>README.md; rm old.txt; mkdir new; echo x >new/file; chmod +x tasks.py", "--collect"
    )
    home = document["collected"]
    assert home["work"] == "collected" and home["branches"] == []
    assert {"README.md", "new/file", "tasks.py", "changes.patch"} == set(home["files"])
    assert not (desk.project / ".git").exists() and (desk.project / "old.txt").exists()
    other = desk.project.parent / f"{desk.project.name}-patched"
    shutil.copytree(desk.project, other)
    subprocess.run(["patch", "-p1", "-s", "-i", home["patch"]], cwd=other, check=True)
    assert not (other / "old.txt").exists() and (other / "new/file").read_text() == "x\n"
    assert (other / "README.md").read_text().endswith("more\n")


def test_a_project_that_is_gone_gets_its_work_as_files(desk: Desk) -> None:
    run_id = run(desk, "echo x >new; echo y >>README.md")["run_id"]
    shutil.rmtree(desk.project)
    elsewhere = Desk(desk.nodes, desk.nodes.project("elsewhere"))
    result = collect(elsewhere, run_id)
    assert result["work"] == "collected" and {"README.md", "new"} <= {*result["files"]} and not result["branches"]


def test_a_branch_that_is_gone_is_not_said_to_be_there(desk: Desk) -> None:
    document = run(desk, "echo x >>README.md", "--collect")
    git(desk, "branch", "-q", "-D", document["branch"])
    git(desk, "branch", "dgummy")
    done = desk.inv("collect", document["run_id"])
    assert done.code == 75 and "git branch -m dgummy" in done.err, done
    git(desk, "branch", "-q", "-D", "dgummy")
    assert collect(desk, document["run_id"])["branch"] == document["branch"]


def test_from_another_folder_and_for_one_that_was_started_and_left(desk: Desk) -> None:
    started = desk.inv("run", *NODE, "--detach", "--collect", "echo more >>README.md")
    run_id = started.out.strip()
    waited = desk.inv("wait", run_id, "--json")
    (row,) = waited.document("runs")["runs"]
    assert (waited.code, row["branch"]) == (0, f"dgummy/{run_id}") and f"✓ branch dgummy/{run_id}" in waited.err, waited
    started = desk.inv("run", *NODE, "--detach", "echo more >>README.md")
    run_id = started.out.strip()
    assert desk.inv("wait", run_id).code == 0
    assert "ok, not collected" in desk.inv("runs").out
    done = desk.inv("collect", run_id, program="dgummy", cwd=desk.home)
    assert done.code == 0 and f"branch dgummy/{run_id}" in done.out, done
    assert "not collected" not in desk.inv("runs").out
    later = desk.inv("run", *NODE, "--detach", "--collect", "sleep 1; echo 2 >>README.md").out.strip()
    attached = desk.inv("attach", later, "--json").document("run")
    assert (attached["work"], attached["branch"]) == ("collected", f"dgummy/{later}")


def test_what_settings_say(desk: Desk) -> None:
    off = {"INVOKE_DGUMMY_COLLECT": "off"}
    done = desk.inv("task", *NODE, "--json", "write the docs", env=off)
    assert (done.document("task")["work"], done.document("task")["branch"]) == ("uncollected", None)
    assert collect(desk, "last")["work"] == "collected"
    done = desk.inv("task", *NODE, "--no-collect", "--json", "write the docs")
    assert done.document("task")["work"] == "uncollected"
    assert collect(desk, "last")["work"] == "collected"
    (desk.project / "invoke.yaml").write_text("dgummy: {collect: off}\n")  # which YAML takes for false
    assert desk.inv("task", *NODE, "--json", "write the docs").document("task")["work"] == "uncollected"
    assert collect(desk, "last", "--discard")["work"] == "discarded"
    assert desk.inv("task", *NODE, "--collect", "--json", "write the docs").document("task")["work"] == "collected"
    assert desk.inv("run", "--collect", "--no-collect", "true").code == 64
    assert desk.inv("run", "--collect", "--no-sync", "true").code == 64


# -- nothing uncollected is lost -------------------------------------------------------------------------------------


def test_a_sync_and_another_run_are_refused(desk: Desk) -> None:
    run_id = run(desk, "echo theirs >>README.md")["run_id"]
    refused(desk.inv("sync", *NODE), run_id)
    refused(desk.inv("run", *NODE, "true"), run_id)
    refused(desk.inv("task", *NODE, "write the docs"), run_id)
    assert (desk.there() / "README.md").read_text().endswith("theirs\n")
    elsewhere = desk.inv("run", "--host", "node-1", "--host", "node-2", "--json", "true").document("run")
    assert elsewhere["host"] == "node-2"
    done = desk.inv("sync", *NODE, "--collect-first")
    assert done.code == 0 and f"branch dgummy/{run_id}" in done.err, done
    assert git(desk, "show", f"dgummy/{run_id}:README.md").endswith("theirs\n")
    second = run(desk, "echo again >>README.md")["run_id"]
    done = desk.inv("run", *NODE, "--collect-first", "cat README.md")
    assert done.code == 0 and "again" not in done.out, done
    assert git(desk, "show", f"dgummy/{second}:README.md").endswith("again\n")


def test_this_machine_does_not_stand_in_where_work_is_in_the_way(tmp_path: Path) -> None:
    with open_desk(tmp_path, 1) as desk:  # another node is down
        first = run(desk, "echo x >>README.md")["run_id"]
        before = (desk.project / "README.md").read_bytes()
        done = desk.inv("run", "--fallback", "local", "echo x >>README.md")
        refused(done, first)
        assert (desk.project / "README.md").read_bytes() == before


def test_what_a_build_makes_anew_is_in_nobodys_way(desk: Desk) -> None:
    for _ in range(2):
        assert run(desk, "echo out >out.txt; mkdir -p build; echo o >build/o")["work"] == "none"


def test_giving_it_up_lets_others_in(desk: Desk) -> None:
    run_id = run(desk, "echo theirs >>README.md")["run_id"]
    assert collect(desk, run_id, "--discard")["work"] == "discarded"
    assert run(desk, "tail -n 1 README.md")["state"] == "ok"
    assert git(desk, "branch", "--list", "dgummy/*") == ""


def test_prune_keeps_it_and_says_so(desk: Desk) -> None:
    run_id = run(desk, "echo theirs >>README.md")["run_id"]
    time.sleep(1.1)
    refused(desk.inv("runs.prune", "--older", "1s"), run_id)
    assert run_id in desk.inv("runs").out
    document = desk.inv("runs.prune", "--older", "1s", "--json").document("runs-prune")
    assert document["uncollected"] == [run_id]
    done = desk.inv("runs.prune", "--older", "1s", "--collect-first")
    assert done.code == 0, done
    assert git(desk, "show", f"dgummy/{run_id}:README.md").endswith("theirs\n")


def test_pruning_it_all_the_same_frees_the_workspace(desk: Desk) -> None:
    run(desk, "echo theirs >>README.md")
    time.sleep(1.1)
    assert desk.inv("runs.prune", "--older", "1s", "--uncollected").code == 0
    assert run(desk, "true")["state"] == "ok"


def test_cleaning_keeps_a_copy_with_work(desk: Desk) -> None:
    document = run(desk, "echo theirs >>README.md", "--isolate")
    run_id = document["run_id"]
    assert run(desk, "true")["state"] == "ok"  # the project's own workspace is not its
    refused(desk.inv("workspace.clean", "--all", *NODE), run_id)
    done = desk.inv("workspace.clean", "--all", "--collect-first", *NODE)
    assert done.code == 0, done
    assert git(desk, "show", f"dgummy/{run_id}:README.md").endswith("theirs\n")
    assert not list(desk.there().parent.glob(f"{desk.project.name}@*"))


def test_isolated_runs_on_one_host_have_a_branch_each(desk: Desk) -> None:
    command = "sleep 0.5; echo $DGUMMY_RUN_ID >>README.md"
    running = [
        desk.nodes.start("run", "--isolate", "--collect", "--json", *NODE, command, cwd=desk.project) for _ in range(3)
    ]
    documents = [json.loads(one.communicate(timeout=60)[0]) for one in running]
    assert len({one["branch"] for one in documents}) == 3
    for one in documents:
        assert git(desk, "show", f"{one['branch']}:README.md").endswith(f"{one['run_id']}\n")


def test_a_specialist_does_not_leave_uncollected_work_behind(desk: Desk) -> None:
    done = desk.inv("task", *NODE, "--no-collect", "--json", "optimize database queries")
    run_id = done.document("task")["run_id"]
    move = ("specialists.move", "database-expert", "--to", "node-2", "--from", "node-1", "--force")
    refused(desk.inv(*move), run_id)
    done = desk.inv(*move, "--collect-first")
    assert f"branch dgummy/{run_id}" in done.err, done


# -- cut off, and hostile --------------------------------------------------------------------------------------------


def test_a_connection_that_breaks_meanwhile_does_no_harm(desk: Desk) -> None:
    run_id = run(desk, "head -c 40000000 /dev/urandom >big.bin; echo x >>README.md")["run_id"]
    before = state(desk)
    started = desk.nodes.start("collect", run_id, cwd=desk.project)
    incoming = Path(desk.environment()["HOME"]) / ".local/state/distributed-gummy"
    until(lambda: list(incoming.glob(".incoming-*/*/*/*")) or started.poll() is not None, 20)
    desk.nodes.cut_connections("node-1")
    _, err = started.communicate(timeout=120)
    assert state(desk) == before
    assert b"Traceback" not in err, err
    home = collect(desk, run_id)
    (branch,) = home["branches"]
    assert changed(home) == {"README.md": "changed", "big.bin": "added"}
    again = collect(desk, run_id)
    assert again["branches"][0]["tree"] == branch["tree"] and again["branches"][0]["commit"] == branch["commit"]
    assert not list(incoming.glob(".incoming-*"))
    assert git(desk, "fsck", "--full", "--strict") == ""


HOSTILE = r"""
ln -s /etc/passwd out; ln -s ../../../.ssh/authorized_keys out2; ln -s README.md inside
mkdir -p sub/.git/hooks .git/hooks .GIT
printf '#!/bin/sh\ntouch "$HOME/pwned"\n' | tee .git/hooks/post-checkout >sub/.git/hooks/pre-commit
chmod +x .git/hooks/post-checkout sub/.git/hooks/pre-commit
echo x >.GIT/config; mkfifo pipe
truncate -s 5G huge.bin 2>/dev/null || dd if=/dev/zero of=huge.bin bs=1 count=0 seek=5G
printf odd >"$(printf 'new\nline')"; printf odd >"$(printf 'bad\377')"; printf dash >./-rf
echo a >Readme; echo b >README
echo '* filter=evil' >.gitattributes; printf '[filter "evil"]\nclean = touch pwned\n' >.gitconfig
"""


def test_hostile_content(desk: Desk) -> None:
    before = state(desk)
    run_id = run(desk, HOSTILE, "--collect", code=1)["run_id"]
    home = collect(desk, run_id, code=1)  # the huge one is there alone
    names = changed(home)
    assert {"out", "out2", "inside", "new\\nline", "-rf", "Readme", "README", ".gitattributes"} <= names.keys()
    assert not any(".git/" in name.lower() for name in names)
    skipped = {one["path"]: one for one in home["skipped"]}
    assert skipped["huge.bin"]["is_work"] and "collect.max_bytes" in skipped["huge.bin"]["reason"]
    assert not skipped["pipe"]["is_work"]
    notices = "\n".join(home["notices"])
    assert "out -> /etc/passwd" in notices and "out2" in notices and "README, Readme" in notices
    assert home["work"] == "uncollected"
    refused(desk.inv("sync", *NODE), run_id)
    branch = home["branches"][0]["name"]
    assert git(desk, "ls-tree", branch, "out").startswith("120000 ")
    assert state(desk) == before
    assert git(desk, "fsck", "--full", "--strict") == ""
    assert not (desk.home / "pwned").exists() and not (desk.project / "pwned").exists()
    assert collect(desk, run_id, "--discard")["work"] == "discarded"
    assert desk.inv("sync", *NODE).code == 0


def test_what_was_left_for_its_size_comes_on_the_second_try(desk: Desk) -> None:
    (desk.project / "invoke.yaml").write_text("dgummy: {collect: {max_bytes: 1000}}\n")
    command = "echo small >small; head -c 3000 /dev/zero >large"
    done = desk.inv("run", *NODE, "--collect", "--json", command)
    document = done.document("run")
    assert (done.code, document["state"], document["work"]) == (1, "ok", "uncollected"), done
    assert desk.inv("run", "--host", "node-2", "--collect", f"{command}; exit 3").code == 3
    told = desk.inv("collect", document["run_id"])
    assert told.code == 1 and f"raise collect.max_bytes, then inv collect {document['run_id']}" in told.out, told
    first = collect(desk, document["run_id"], code=1)
    assert changed(first) == {"small": "added"}
    (desk.project / "invoke.yaml").unlink()
    second = collect(desk, document["run_id"])
    assert changed(second) == {"small": "added", "large": "added"}
    assert second["branch"] == first["branch"]  # moved on, for nobody has touched it


def test_secrets_that_were_sent_stay_out_of_git(desk: Desk) -> None:
    (desk.project / ".gitignore").write_text(".env\n")
    (desk.project / ".env").write_text("KEY=1\n")
    (desk.project / "invoke.yaml").write_text("dgummy: {sync_extra: [.env]}\n")
    document = run(desk, "cat .env; echo KEY=2 >.env; echo x >>README.md", "--collect")
    home = document["collected"]
    assert changed(home) == {"README.md": "changed"} and home["files"] == [".env"]
    assert (Path(home["folder"]) / ".env").read_text() == "KEY=2\n"
    assert ".env" not in git(desk, "ls-tree", "-r", "--name-only", document["branch"]).split()


def test_a_secret_stays_out_of_git_though_the_run_says_that_it_need_not(desk: Desk) -> None:
    (desk.project / ".gitignore").write_text(".env\n")
    (desk.project / ".env").write_text("KEY=1\n")
    (desk.project / "invoke.yaml").write_text("dgummy: {sync_extra: [.env]}\n")
    document = run(desk, "echo KEY=2 >.env; : >.gitignore", "--collect")
    home = document["collected"]
    assert changed(home) == {".gitignore": "changed"} and home["files"] == [".env"] and not home["skipped"]
    assert (Path(home["folder"]) / ".env").read_text() == "KEY=2\n"


def test_a_branch_that_the_user_amended_stays(desk: Desk) -> None:
    document = run(desk, "echo x >>README.md", "--collect")
    branch = document["branch"]
    git(desk, "switch", "-q", branch)
    # Whoever amends does so after the run's end; on a fast machine that may be the same second.
    later = f"{int(time.time()) + 5} +0000"
    git(desk, "commit", "-q", "--amend", "--no-edit", "--allow-empty", GIT_COMMITTER_DATE=later)
    mine = git(desk, "rev-parse", "HEAD")
    git(desk, "switch", "-q", "-")
    again = collect(desk, document["run_id"])
    assert again["branch"] == f"{branch}-2" and git(desk, "rev-parse", branch) == mine


@pytest.mark.parametrize("words", [["nonsense"], [], ["last", "--discard", "--fetch", "x"]])
def test_what_makes_no_sense(desk: Desk, words: list[str]) -> None:
    run(desk, "true")
    assert desk.inv("collect", *words).code == 64
    assert desk.inv("report", "last").code == 64


def test_where_there_is_nothing_to_bring_home(desk: Desk) -> None:
    run(desk, "true")
    assert collect(desk, "last")["work"] == "none"
    assert desk.inv("run", "--host", "local", "true").code == 0
    done = desk.inv("collect", "last")
    assert done.code == 0 and "on this machine" in done.out, done
    assert desk.inv("run", *NODE, "--no-sync", "true").code == 0
    done = desk.inv("collect", "last")
    assert done.code == 0 and "without a sync" in done.out, done


# -- any tree, any change --------------------------------------------------------------------------------------------


def grow(rng: random.Random, root: Path, names: list[str]) -> None:
    """Files, programs and links with odd names, some of them ignored."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if rng.random() < 0.15:
            path.symlink_to(rng.choice(["README.md", "nowhere", "../x"]))
        else:
            path.write_bytes(rng.randbytes(rng.randrange(200)))
            path.chmod(rng.choice([0o644, 0o755]))


def mutate(rng: random.Random, root: Path) -> None:
    files = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    for path in files:
        if ".git" in path.parts or path.name == "tasks.py" or rng.random() < 0.5:
            continue
        change = rng.choice(["write", "delete", "mode", "replace"])
        if change == "delete" or path.is_symlink():
            path.unlink()
        elif change == "mode":
            path.chmod(path.stat().st_mode ^ stat.S_IXUSR)
        elif change == "write":
            path.write_bytes(rng.randbytes(50))
        else:
            path.unlink()
            path.symlink_to("tasks.py")


NAMES = [
    "a",
    "dir/b c",
    "dir/é",
    "deep/er/x.log",
    "keep.log",
    "-x",
    "q'uo\"te",
    "new\nline",
    "build/o",
    "build/keep",
    "%25",
    "#c",
]


@pytest.mark.parametrize("seed", range(3))
def test_any_change_to_any_tree(desk: Desk, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    (desk.project / "invoke.yaml").write_text("dgummy: {sync_exclude: []}\n")
    (desk.project / ".gitignore").write_text("*.log\n!keep.log\n/build/*\n!/build/keep\n")
    grow(rng, desk.project, rng.sample(NAMES, 8))
    git(desk, "add", "-A", ".gitignore")
    # The run replays here what is done to a copy of it.
    expected = tmp_path / "expected"
    shutil.copytree(desk.project, expected, symlinks=True)
    assert desk.inv("sync", *NODE).code == 0
    sent = {name.encode() for name in git(desk, "ls-files", "-co", "--exclude-standard", "-z").split("\0")[:-1]}
    there = desk.there()
    found = {
        os.fsencode(Path(folder, name).relative_to(there)) for folder, _, names in os.walk(there) for name in names
    }
    assert found == {name for name in sent if os.path.lexists(os.fsencode(desk.project) + b"/" + name)}
    mutate(rng, expected)
    grow(rng, expected, [f"made/{name}" for name in rng.sample(NAMES, 4)])
    script = f"cd . && rsync -a --delete --checksum --exclude .git {expected}/ ./"
    document = run(desk, script, "--collect")
    # What was ignored when the run began stays away, whatever it made of the .gitignore.
    (expected / ".git/info/exclude").write_bytes((desk.project / ".gitignore").read_bytes())
    git(desk, "add", "-A", cwd=expected)
    assert (
        git(desk, "rev-parse", f"{document['branch']}^{{tree}}").strip()
        == git(desk, "write-tree", cwd=expected).strip()
    )
    assert git(desk, "fsck", "--full", "--strict") == ""
