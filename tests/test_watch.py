"""`inv specialists` and `inv watch` on a lab: what they show of tasks that run, and of a host that hangs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cli_lab import Desk, open_desk, validate
from dgummy import lab as dlab

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("watch")) as made:
        yield made


def specialists(desk: Desk, *words: str) -> dict[str, Any]:
    result = desk.inv("specialists", "--json", *words)
    assert result.code == 0, result
    return result.document("specialists")


def of(document: dict[str, Any], host: str) -> dict[str, Any]:
    (found,) = [one for one in document["hosts"] if one["host"] == host]
    assert isinstance(found, dict)
    return found


def test_counts_states_and_sums_while_tasks_run(desk: Desk) -> None:
    done = desk.inv("task", "--host", "node-1", "optimize database queries")
    assert done.code == 0, done
    dlab.set_gummy(desk.lab, "node-2", step_s=0.5)
    slow = ["task", "--json", "--detach", "--host"]
    started = desk.inv(*slow, "node-2", "build REST API endpoints [standin:slow]")
    assert started.code == 0, started
    run_id = json.loads(started.out)["run_id"]
    try:
        document = until(desk, lambda found: found["totals"]["active"] == 1)
        database = {one["name"]: one for one in of(document, "node-1")["specialists"]}["database-expert"]
        api = {one["name"]: one for one in of(document, "node-2")["specialists"]}["api-developer"]
        assert (database["status"], database["sessions"], database["scope"]) == ("dormant", 1, "project")
        assert api["status"] == "active"
        assert database["cost_usd"] > 0
        assert document["totals"]["specialists"] == sum(len(host["specialists"]) for host in document["hosts"])
        assert document["totals"]["hosts"] == 2
        costs = [one["cost_usd"] for host in document["hosts"] for one in host["specialists"] + host["tasks"]]
        known = sum(cost for cost in costs if cost is not None)
        assert document["totals"]["cost_today_usd"] == pytest.approx(known)
        (run,) = of(document, "node-2")["runs"]
        assert run["run_id"] == run_id and "build REST API" in run["command"] and run["age_s"] < 60
        assert of(document, "node-1")["cpu_pct"] is not None
        down = of(document, "node-3")
        assert (down["reachable"], down["stale"], down["age_s"]) == (False, True, None) and down["reason"]
    finally:
        assert desk.inv("cancel", run_id).code == 0
        dlab.set_gummy(desk.lab, "node-2", step_s=0)
    # It says that it is active for ever; nothing of it is alive, and nothing was written lately.
    (transcript,) = (desk.nodes.home_of("node-2") / ".claude/projects").glob(f"*/{api['session_id']}.jsonl")
    for path in (transcript, Path(api["project"], ".gummy/specialists/api-developer/meta.yaml")):
        age(path)
    assert of(specialists(desk, "--host", "node-2"), "node-2")["specialists"][0]["status"] == "stopped"


def age(path: Path) -> None:
    before = time.time() - 120
    os.utime(path, (before, before))


def until(desk: Desk, condition: Any) -> dict[str, Any]:
    end = time.monotonic() + 30
    while True:
        document = specialists(desk)
        if condition(document):
            return document
        assert time.monotonic() < end, document


def test_filters(desk: Desk) -> None:
    desk.inv("task", "--host", "node-1", "optimize database queries")
    assert of(specialists(desk, "--host", "node-1", "--project", desk.project.name), "node-1")["specialists"]
    assert not of(specialists(desk, "--host", "node-1", "--project", "another"), "node-1")["specialists"]
    assert not of(specialists(desk, "--host", "node-1", "--active"), "node-1")["specialists"]
    assert [host["host"] for host in specialists(desk, "--sort", "load")["hosts"]] == ["node-1", "node-2", "node-3"]


def test_a_picture_through_a_pipe(desk: Desk) -> None:
    for words in (["specialists"], ["watch", "--once"], ["watch"]):
        result = desk.inv(*words)
        assert result.code == 0, result
        assert "\x1b" not in result.out and "node-1" in result.out and "specialists across" in result.out, result
    assert desk.inv("task", "--host", "node-1", "optimize database queries").code == 0
    plain = desk.inv("specialists", "--ascii")
    assert plain.out.isascii() and "database-expert" in plain.out


def test_json_lines_while_a_host_hangs(desk: Desk) -> None:
    dlab.hang(desk.lab, "node-2")
    process = subprocess.Popen(
        desk.argv(["watch", "--json", "--interval", "0.5"]),
        cwd=desk.project,
        env=desk.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        documents = [json.loads(process.stdout.readline()) for _ in range(6)]
    finally:
        process.kill()
        process.communicate()
        dlab.start(desk.lab, "node-2")
    for document in documents:
        validate(document, "specialists")
        assert of(document, "node-1")["reachable"]
        assert not of(document, "node-2")["reachable"]
    ages = [of(document, "node-1")["age_s"] for document in documents]
    assert max(ages) < 2.0  # the others go on being looked at


def test_the_live_screen_while_a_host_hangs(desk: Desk) -> None:
    """What is known is drawn at once; a run is followed by Enter, and q leaves."""
    started = desk.inv("run", "--host", "node-1", "--no-sync", "--json", "--detach", "echo seen; sleep 60; echo never")
    run_id = json.loads(started.out)["run_id"]
    dlab.hang(desk.lab, "node-2")
    program, *words = [os.fsdecode(word) for word in desk.argv(["watch"])]
    env = {**desk.environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    try:
        for key, ends in (("\r", "never"), ("q", "")):
            child = pexpect.spawn(program, words, cwd=str(desk.project), env=env, dimensions=(24, 80), timeout=20)
            began = time.monotonic()
            child.expect("node-1")
            child.expect("CPU")
            assert time.monotonic() - began < 4.0  # sooner by itself; node-2 takes 5 s to be given up
            child.expect("running")
            child.send(key)
            if ends:
                child.expect("seen\r\n")
                child.sendintr()
                child.expect("goes on on node-1")
            child.expect(pexpect.EOF)
            child.close()
            assert child.exitstatus == (130 if ends else 0)
    finally:
        dlab.start(desk.lab, "node-2")
        desk.inv("cancel", run_id)


def test_a_page_is_written_whole(desk: Desk) -> None:
    assert desk.inv("task", "--host", "node-1", "optimize database queries").code == 0
    target = desk.project / "status.html"
    target.write_text("old")
    target.chmod(0o640)
    result = desk.inv("watch", "--html", "status.html")
    assert result.code == 0, result
    text = target.read_text()
    assert "node-1" in text and "database-expert" in text and "http-equiv" in text
    assert target.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in desk.project.iterdir() if "status" in path.name] == ["status.html"]
    process = subprocess.Popen(
        desk.argv(["watch", "--html", "again.html", "--interval", "0.3"]),
        cwd=desk.project,
        env=desk.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        written = set[int]()
        end = time.monotonic() + 30
        while len(written) < 3:
            assert time.monotonic() < end, "it is not written again"
            if (desk.project / "again.html").exists():
                written.add((desk.project / "again.html").stat().st_ino)
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()


def test_following_a_run(desk: Desk) -> None:
    run_id = json.loads(desk.inv("run", "--no-sync", "--json", "--detach", "echo here; sleep 1; echo there").out)[
        "run_id"
    ]
    result = desk.inv("watch", run_id)
    assert (result.code, result.out) == (0, "here\nthere\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["specialists", "--sort", "size"], 64, "name, active, cost, load"),
        (["watch", "--interval", "never"], 64, "--interval"),
        (["watch", "--html", "no/such/folder.html"], 64, "no folder"),
        (["watch", "--html", "x.html", "--json"], 64, "choose one"),
        (["watch", "nothing-like-it"], 64, "nothing-like-it"),
        (["specialists", "--host", "nobody"], 69, "nobody"),
    ],
)
def test_mistakes(desk: Desk, words: list[str], code: int, says: str) -> None:
    result = desk.inv(*words)
    assert result.code == code and says in result.err + result.out, result
