"""Agent tasks: what is judged a success, what evidence is found on a host, and the stand-in's tasks from end to end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from pathlib import Path

import pytest

from dgummy import agents
from dgummy import lab as dlab
from dgummy.agents import Evidence
from dgummy.chooser import Wish
from dgummy.events import Event, Output
from dgummy.intake import RunOptions
from dgummy.model import RunResult, RunState
from dgummy.settings import Timeouts
from labs import NodeLab
from remote_scripts import Box, Heard

GOOD = {"type": "result", "is_error": False, "total_cost_usd": 0.25}
BAD = {"type": "result", "is_error": True, "result": "Claude AI usage limit reached\nnow"}


@pytest.mark.parametrize(
    ("evidence", "verify", "state", "says"),
    [
        (Evidence(), None, RunState.FAILED, "neither a report nor a change"),
        (Evidence(result=GOOD), None, RunState.FAILED, "neither a report nor a change"),
        (Evidence(result=GOOD, report="/r.md"), None, RunState.OK, ""),
        (Evidence(report="/r.md"), None, RunState.OK, ""),
        (Evidence(changed=("a",)), None, RunState.OK, ""),
        (Evidence(removed=("a",)), None, RunState.OK, ""),
        (Evidence(result=BAD, report="/r.md", changed=("a",)), None, RunState.FAILED, "usage limit reached now"),
        (Evidence(result={"type": "result", "is_error": True}), None, RunState.FAILED, "no reason given"),
        (Evidence(result=BAD, report="/r.md", verify_code=0), "make test", RunState.FAILED, "usage limit"),
        (Evidence(report="/r.md", verify_code=0), "make test", RunState.OK, ""),
        (Evidence(report="/r.md", verify_code=2), "make test", RunState.FAILED, "exit code 2: make test"),
        (Evidence(report="/r.md"), "make test", RunState.FAILED, "did not run"),
        (Evidence(verify_code=0), "make test", RunState.FAILED, "neither a report nor a change"),
    ],
)
def test_judge(evidence: Evidence, verify: str | None, state: RunState, says: str) -> None:
    judgement = agents.judge(evidence, verify)
    assert judgement.state is state
    assert says in judgement.reason and bool(judgement.reason) == bool(says)
    assert "\n" not in judgement.reason


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (json.dumps(GOOD), GOOD),
        ("", None),
        ("not json", None),
        ("[1]", None),
        ('{"type":"assistant"}', None),
        ('"result"', None),
        ("null", None),
    ],
)
def test_read_result(line: str, expected: dict[str, object] | None) -> None:
    assert agents.read_result(line) == expected


def test_a_result_line_that_was_cut_short_still_tells_an_error() -> None:
    """Its text may be as long as it likes: the end is cut off on the way."""
    for is_error in (True, False):
        line = json.dumps({"type": "result", "subtype": "x", "is_error": is_error, "result": "é" * 50_000})[:9000]
        result = agents.read_result(line)
        assert bool(result and result.get("is_error")) is is_error


@pytest.mark.parametrize(
    ("cost", "expected"),
    [(0.0123, 0.0123), (0, 0.0), (2, 2.0), (True, None), ("1", None), (-1, None), (None, None)],
)
def test_cost(cost: object, expected: float | None) -> None:
    assert agents.cost_usd(Evidence(result={"type": "result", "total_cost_usd": cost})) == expected
    assert agents.cost_usd(Evidence()) is None


HOSTILE = '-n it\'s "q" $(touch pwned) `id` \\ {mode} {text} %s \x1b[31m\ttab\nline two\n\n é😀 ! * ? ~ #'


def test_the_text_is_one_argument_byte_for_byte(tmp_path: Path) -> None:
    program = tmp_path / "agent"
    program.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    program.chmod(0o755)
    for mode in agents.MODES:
        line = agents.command_line(f"{program} {{mode}} {{text}}", mode, HOSTILE)
        done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
        assert done.stdout == f"{mode}\0{HOSTILE}\0".encode()


@pytest.mark.parametrize(
    ("agent", "verify", "code", "verified"),
    [
        ("true", "true", 0, "0"),
        ("true", "exit 3", 3, "3"),
        ("exit_9", "true", 9, ""),
        ("true", 'test "it\'s" = b', 1, "1"),
    ],
)
def test_verify_runs_after_an_agent_that_exits_0(
    tmp_path: Path, agent: str, verify: str, code: int, verified: str
) -> None:
    run = tmp_path / ".local/state/dgummy/runs/the-id"
    run.mkdir(parents=True)
    template = "sh -c 'exit 9' {text}" if agent == "exit_9" else f"{agent} {{text}}"
    line = agents.command_line(template, "task", "x", verify)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DGUMMY_RUN_ID": "the-id"}
    for shell in ("dash", "bash"):
        done = subprocess.run([shell, "-c", line], env=env, capture_output=True)
        found = (run / "verify").read_text().strip() if (run / "verify").exists() else ""
        assert (done.returncode, found) == (code, verified), shell


# -- evidence on a host ----------------------------------------------------------------------------------------


def evidence(box: Box, run_id: str = "r1", mode: str = "task", text: str = "x") -> tuple[Heard, Evidence]:
    args = agents.evidence_args(run_id, "~/project", mode, text)
    heard = box.call(["workspace", "agent"], "agent_evidence", *args)
    return heard, agents.evidence_from([(fact.name, fact.value) for fact in heard.facts])


def in_project(box: Box, command: str, run_id: str = "r1") -> None:
    (box.home / "project").mkdir(exist_ok=True)
    box.run(command, run_id, directory="~/project", gap_s=0.0)


def test_changes_are_what_was_written_since_the_claim(box: Box) -> None:
    project = box.home / "project"
    (project / "sub dir").mkdir(parents=True)
    pause_s = 1.1 if box.kind == "busybox" else 0.05  # its find compares whole seconds
    for name in ("old", "touched", "sub dir/renamed", ".hidden"):
        (project / name).write_text("x")
    time.sleep(pause_s)
    in_project(
        box,
        f"sleep {pause_s}; echo y >>touched; echo new >'sub dir/new é'; "
        "mkdir -p .git .gummy/x node_modules/y a/__pycache__; "
        "echo z | tee .git/x .gummy/x/y node_modules/y/z a/__pycache__/b >/dev/null; ln -s nowhere link",
    )
    _, found = evidence(box)
    assert set(found.changed) == {"touched", "sub dir/new é", "link"}
    assert (found.more, found.removed, found.report) == (0, (), "")


def test_files_from_the_future_are_no_change(box: Box) -> None:
    """A client whose clock is ahead sends files that look newer than the run: that proves nothing."""
    if box.kind == "busybox":
        pytest.skip("its find cannot look at the time of change")
    project = box.home / "project"
    project.mkdir()
    (project / "ahead").write_text("x")
    os.utime(project / "ahead", (time.time() + 3600, time.time() + 3600))
    time.sleep(0.05)
    in_project(box, "true")
    assert evidence(box)[1].changed == ()


def test_many_changes_are_counted_and_some_named(box: Box) -> None:
    in_project(box, "sleep 1.1; for i in $(seq 1 250); do : >f$i; done")
    _, found = evidence(box)
    assert len(found.changed) == agents.SHOWN_CHANGES and found.more == 50


def test_removed_files_are_known_from_the_manifest(box: Box) -> None:
    project = box.home / "project"
    project.mkdir()
    for name in ("kept", "gone", "link"):
        (project / name).write_text("x")
    files = ["start", "sync", "workspace"]
    box.call(files, "open_workspace", str(project), "r1", "me", "100", "id")
    box.call(files, "end_sync", str(project), "r1", "id", DG_MANIFEST="kept\ngone\nlink\n")
    in_project(box, "rm gone; rm link; ln -s nowhere link")
    assert evidence(box)[1].removed == ("gone",)


def write_log(box: Box, name: str, text: bytes) -> None:
    logs = box.home / ".claude/logs/gummy"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / name).write_bytes(text)


def launched(box: Box, run_id: str = "r1") -> int:
    return int((box.run_dir(run_id) / "launched").read_text())


def test_the_result_line_and_the_report(box: Box) -> None:
    in_project(box, "true")
    time.sleep(1.1)  # dash compares whole seconds
    begun = launched(box)
    log = b'{"type":"system"}\nnoise \xff\xfe \x00 noise\n{"type":"result","is_error":true,"n":1}\n'
    log += b'{"type":"result","is_error":false,"total_cost_usd":0.5}\ntrailing noise\n'
    write_log(box, f"gummy-{begun + 1}-task.log", log)
    comms = box.home / ".claude/agent_comms/gummy"
    comms.mkdir(parents=True)
    (comms / f"gummy-{begun + 1}-task-report.md").write_text("# done")
    heard, found = evidence(box)
    assert found.result == {"type": "result", "is_error": False, "total_cost_usd": 0.5}
    assert found.report == str(comms / f"gummy-{begun + 1}-task-report.md")
    assert heard.first("task-id") == f"gummy-{begun + 1}"


def test_what_an_earlier_run_left_is_not_ours(box: Box) -> None:
    write_log(box, f"gummy-{int(time.time()) + 1}-task.log", b'{"type":"result","is_error":false}\n')
    time.sleep(1.1)
    in_project(box, "true")
    (box.run_dir("r1") / "launched").write_text(f"{int(time.time()) - 1}\n")
    assert evidence(box)[1].result is None


def test_execute_mode_looks_for_the_id_that_was_given(box: Box) -> None:
    in_project(box, "true")
    time.sleep(1.1)
    write_log(box, "gummy-77-execute.log", b'{"type":"result","is_error":true,"result":"no"}\n')
    assert (evidence(box, mode="execute", text="gummy-77")[1].result or {}).get("result") == "no"
    assert evidence(box, mode="execute", text="../../etc/x")[1].result is None


def test_a_result_of_100_kb(box: Box) -> None:
    in_project(box, "true")
    time.sleep(1.1)
    line = json.dumps({"type": "result", "is_error": True, "result": "x" * 100_000})
    write_log(box, f"gummy-{launched(box)}-task.log", line.encode() + b"\n")
    assert (evidence(box)[1].result or {}).get("is_error") is True


# -- the stand-in, from end to end -----------------------------------------------------------------------------

QUICK = Timeouts(connect_s=3, probe_s=8, script_s=10, silence_s=10, kill_s=1)


def task(
    made: NodeLab,
    text: str,
    *,
    mode: str = "task",
    verify: str | None = None,
    specialists: bool = False,
    heard: list[Event] | None = None,
    project: Path | None = None,
    wish: Wish | None = None,
) -> RunResult:
    project = project or made.project(specialists=specialists)
    with made.cluster(project, heard, timeouts=QUICK) as cluster:
        return cluster.task(text, mode, wish or Wish(), RunOptions(verify=verify))


@pytest.mark.parametrize("specialists", [False, True])
def test_a_task_that_does_its_work(node_lab: NodeLab, specialists: bool) -> None:
    result = task(node_lab, "optimize database queries", specialists=specialists)
    assert (result.state, result.process_exit_code) == (RunState.OK, 0), result
    assert result.changed == ("queries.sql",)
    if specialists:
        assert result.report == "" and result.cost_usd == pytest.approx(4 * 0.00095)  # by its transcript's tokens
    else:
        assert result.report.endswith("-task-report.md") and result.cost_usd == 0.0123


@pytest.mark.parametrize("specialists", [False, True])
@pytest.mark.parametrize(("trouble", "says"), [("rate-limit", "usage limit"), ("no-report", ""), ("fail", "")])
def test_a_task_that_does_not(node_lab: NodeLab, trouble: str, says: str, specialists: bool) -> None:
    """A rate limit exits 0, with or without a log that says so; so does an agent that does nothing."""
    result = task(node_lab, f"optimize database queries [standin:{trouble}]", specialists=specialists)
    assert result.state is RunState.FAILED and result.process_exit_code != 0
    if not specialists:
        assert says in result.reason
    assert [attempt.outcome for attempt in result.attempts] == [RunState.FAILED]  # and it is not tried elsewhere
    rows = [row for row in node_lab.ledger() if row.run_id == result.run_id]
    assert rows[0].state is RunState.FAILED


def test_verify_that_fails_and_that_passes(node_lab: NodeLab) -> None:
    result = task(node_lab, "change something", verify="grep -q 'it''s not there' NOTES.md")
    assert result.state is RunState.FAILED and "--verify failed with exit code" in result.reason
    assert result.process_exit_code != 0
    result = task(
        node_lab, "change something", verify="grep -q 'change something' NOTES.md && test -d .git -o -f queries.sql"
    )
    assert result.state is RunState.OK


def test_verify_is_not_asked_when_the_agent_failed(node_lab: NodeLab, tmp_path: Path) -> None:
    result = task(node_lab, "x [standin:fail]", verify=f"touch {shlex.quote(str(tmp_path / 'asked'))}")
    assert result.state is RunState.FAILED and not (tmp_path / "asked").exists()


def test_plan_and_execute(node_lab: NodeLab) -> None:
    project, wish = node_lab.project(specialists=False), Wish(hosts=("node-1",))
    heard: list[Event] = []
    planned = task(node_lab, "add an index to the database", mode="plan", heard=heard, project=project, wish=wish)
    assert planned.state is RunState.OK, planned
    assert planned.report.endswith("plan-report.md") or planned.report.endswith("plan.md")
    assert planned.changed == ()
    task_id = Path(planned.report).name.removesuffix("-plan-report.md").removesuffix("-plan.md")
    done = task(node_lab, task_id, mode="execute", project=project, wish=wish)
    assert done.state is RunState.OK and done.report.endswith("execution-report.md"), done
    missing = task(node_lab, "gummy-1", mode="execute", project=project, wish=wish)
    assert missing.state is RunState.FAILED


def test_a_hostile_text_reaches_the_agent_whole(node_lab: NodeLab) -> None:
    heard: list[Event] = []
    project = node_lab.project(specialists=False)
    result = task(node_lab, HOSTILE, heard=heard, project=project)
    assert result.state is RunState.OK, result
    notes = node_lab.remote_dir(result.host, project) / "NOTES.md"
    assert HOSTILE in notes.read_text()
    assert not list(node_lab.lab.directory.rglob("pwned"))
    assert b"".join(event.data for event in heard if isinstance(event, Output)).startswith(b"Task Mode\n")


@pytest.mark.slow
def test_tasks_on_one_host_get_ids_of_their_own(node_lab: NodeLab) -> None:
    """Six at once: gummy names its files by the second, and none overwrites another's."""
    results: list[RunResult] = []
    wish = Wish(hosts=("node-1",))

    def one(number: int) -> None:
        results.append(task(node_lab, f"task number {number}", wish=wish))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert [result.state for result in results] == [RunState.OK] * 6
    reports = {result.report for result in results}
    assert len(reports) == 6
    for result in results:
        assert result.changed == ("NOTES.md",)


def test_the_stand_in_is_really_asked(node_lab: NodeLab) -> None:
    dlab.set_gummy(node_lab.lab, "node-1", mode="rate-limit", step_s=0)
    dlab.set_gummy(node_lab.lab, "node-2", mode="rate-limit", step_s=0)
    try:
        assert task(node_lab, "change something").state is RunState.FAILED
    finally:
        for node in ("node-1", "node-2"):
            dlab.set_gummy(node_lab.lab, node, step_s=0)
