"""Spend caps: what is decided, what is read on hosts and how much of it, and both at work on a lab."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, open_desk
from dgummy import agents, parallel_gummy_tasks
from dgummy import lab as dlab
from dgummy.budget import Caps, Spent, Verdict, refusal, verdict
from dgummy.chooser import Wish
from dgummy.costs import Price
from dgummy.errors import ExitCode
from dgummy.events import Event, Notice
from dgummy.fanout import Call
from dgummy.intake import RunOptions
from dgummy.ledger import Ledger
from dgummy.ledger_rows import RunRow
from dgummy.model import Failure, FailureKind, Host, RunState
from dgummy.proof import Claim
from dgummy.settings import BudgetSettings
from dgummy.spending import Reading, start_of_day
from dgummy.transport.base import Answer, Limits, Script
from dgummy.waiting import wait
from labs import NodeLab, fresh_id, until
from remote_scripts import Box, Heard

STEP_USD = 0.00095
"""What a step of the stand-in costs: 400 tokens in and 110 out, at the price of its model."""


# -- decisions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caps", "spent", "says", "remedy"),
    [
        (Caps(), Spent(1e6, 1e6), None, ""),
        (Caps(per_task_usd=0), Spent(1e6, 1e6), None, ""),
        (Caps(per_day_usd=4), Spent(3.99, 99), None, ""),
        (Caps(per_day_usd=4), Spent(4, 0), "today's agent tasks have cost $4.00 of $4.00", "per_day_usd"),
        (Caps(per_day_usd=4), Spent(4.12, 0), "today's agent tasks have cost $4.12 of $4.00", "until tomorrow"),
        (Caps(per_day_usd=0), Spent(), "today's agent tasks have cost $0.00 of $0.00", "per_day_usd"),
        (Caps(per_project_usd=1), Spent(99, 0.99), None, ""),
        (
            Caps(per_project_usd=1),
            Spent(0, 1.5),
            "this project's agent tasks have cost $1.50 of $1.00",
            "per_project_usd",
        ),
        (Caps(per_day_usd=4, per_project_usd=1), Spent(2, 1), "this project's", "per_project_usd"),
    ],
)
def test_whether_another_may_start(caps: Caps, spent: Spent, says: str | None, remedy: str) -> None:
    failure = refusal(caps, spent)
    if says is None:
        assert failure is None
    else:
        assert failure is not None and says in failure.detail and remedy in failure.remedy
        assert failure.kind.exit_code is ExitCode.TRY_AGAIN


@pytest.mark.parametrize(
    ("caps", "cost_usd", "expected"),
    [
        (Caps(), 1e6, Verdict.GO_ON),
        (Caps(per_day_usd=0.1, stops=True), 1e6, Verdict.GO_ON),
        (Caps(per_task_usd=1), None, Verdict.GO_ON),
        (Caps(per_task_usd=1, stops=True), None, Verdict.GO_ON),
        (Caps(per_task_usd=1, stops=True), 1.0, Verdict.GO_ON),
        (Caps(per_task_usd=1), 1.01, Verdict.WARN),
        (Caps(per_task_usd=1, stops=True), 1.01, Verdict.END),
    ],
)
def test_what_becomes_of_one_that_runs(caps: Caps, cost_usd: float | None, expected: Verdict) -> None:
    assert verdict(caps, cost_usd) is expected


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        ("UTC", "2026-11-23T16:45:00+00:00", "2026-11-23T00:00:00+00:00"),
        ("America/New_York", "2026-11-24T03:00:00+00:00", "2026-11-23T05:00:00+00:00"),
        ("Asia/Tokyo", "2026-11-23T16:00:00+00:00", "2026-11-23T15:00:00+00:00"),
        ("Europe/Berlin", "2026-10-25T12:00:00+00:00", "2026-10-24T22:00:00+00:00"),  # the clocks were put back at 3
    ],
)
def test_a_day_begins_at_midnight_here(zone: str, now: str, midnight: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/usr/share/zoneinfo", zone).exists():
        pytest.skip("there is no time zone data on this machine")
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert start_of_day(datetime.fromisoformat(now)) == datetime.fromisoformat(midnight)
    finally:
        monkeypatch.undo()
        time.tzset()


# -- reading on a host ---------------------------------------------------------------------------------------------

LIMITS = Limits()
PRICES = {"claude-haiku-4-5": Price(1, 5, 1.25, 2, 0.1)}


def answer_line(**more: Any) -> bytes:
    message = {"model": "claude-haiku-4-5", "usage": {"input_tokens": 400, "output_tokens": 110}, **more}
    return json.dumps({"type": "assistant", "message": message}).encode() + b"\n"


def _known(reading: Reading) -> float | None:
    """What it knows by now, as a call: a look changes it."""
    return reading.cost_usd


class BoxCarrier:
    """Carries scripts to a box, and keeps what came of each."""

    name = "box"

    def __init__(self, box: Box) -> None:
        self.box = box
        self.heard: list[Heard] = []

    def run_script(
        self, host: Host, script: Script, limits: Limits | None = None, sink: Any = None
    ) -> Answer | Failure:
        heard = self.box.hear(script)
        assert heard.stderr == "", heard
        self.heard.append(heard)
        return Answer(heard.status, tuple(heard.facts))

    def connect(self, host: Host) -> Any:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.fixture
def begun(box: Box) -> tuple[BoxCarrier, Reading, Path]:
    """A run that was launched a moment ago; what reads its cost, and where its log would be."""
    (box.home / "project").mkdir()
    box.run("true", "r1", directory="~/project", gap_s=0.0)
    time.sleep(1.1)  # dash compares whole seconds
    carrier = BoxCarrier(box)
    reading = Reading(carrier, Host("box"), Claim("r1", "~/project", "task", "x"), PRICES, script_s=10)
    launched = int((box.run_dir("r1") / "launched").read_text())
    logs = box.home / ".claude/logs/gummy"
    logs.mkdir(parents=True)
    return carrier, reading, logs / f"gummy-{launched + 1}-task.log"


def test_a_log_is_read_on_where_it_was_left(begun: tuple[BoxCarrier, Reading, Path]) -> None:
    carrier, reading, log = begun
    reading.look()
    assert _known(reading) is None
    log.write_bytes(b'{"type":"system","model":"claude-haiku-4-5"}\nnoise \xff \x00\n' + answer_line(model=None))
    reading.look()
    assert reading.cost_usd == pytest.approx(STEP_USD)
    half = answer_line(id="a")
    with log.open("ab") as file:
        file.write(answer_line(id="a") + half[:30])
    reading.look()
    assert reading.cost_usd == pytest.approx(2 * STEP_USD)
    assert len(carrier.heard[-1].facts_named("line")) == 1
    with log.open("ab") as file:
        file.write(half[30:] + answer_line(id="b"))
    reading.look()
    assert reading.cost_usd == pytest.approx(
        3 * STEP_USD
    )  # the half line was whole now, and of a message known already
    with log.open("ab") as file:
        file.write(b'{"type":"result","total_cost_usd":0.5}\n')
    reading.look()
    assert reading.cost_usd == 0.5
    reading.look()
    assert carrier.heard[-1].facts_named("line") == [] and reading.cost_usd == 0.5


def test_what_tells_nothing_is_not_sent(begun: tuple[BoxCarrier, Reading, Path]) -> None:
    carrier, reading, log = begun
    transcript = b'{"type":"user","message":{"content":"' + b"x" * 100_000 + b'"}}\n'
    too_long = answer_line(content="y" * 70_000)
    log.write_bytes((transcript + answer_line()) * 5 + too_long + b"{" * 2_500_000 + b"\n" + answer_line())
    reading.look()
    first = sum(len(text) for text in carrier.heard[-1].facts_named("line"))
    reading.look(to_the_end=True)
    assert reading.cost_usd == pytest.approx(6 * STEP_USD)
    assert first < 2000 and len(carrier.heard) < 8
    assert all(len(heard.facts_named("line")) <= 5 for heard in carrier.heard)


def test_a_link_is_no_log(begun: tuple[BoxCarrier, Reading, Path]) -> None:
    _, reading, log = begun
    elsewhere = log.with_name("elsewhere")
    elsewhere.write_bytes(answer_line())
    log.symlink_to(elsewhere)
    reading.look()
    assert reading.cost_usd is None


def test_a_specialist_tells_by_its_transcript_and_only_of_this_run(begun: tuple[BoxCarrier, Reading, Path]) -> None:
    carrier, reading, log = begun
    home = carrier.box.home
    folder = home / ".claude/projects" / "".join(c if c.isalnum() and c.isascii() else "-" for c in f"{home}/project")
    folder.mkdir(parents=True)
    now = datetime.now(timezone.utc)
    lines = [
        {"type": "assistant", "timestamp": at.isoformat(), **json.loads(answer_line(id=name))}
        for name, at in (("old", now - timedelta(hours=1)), ("new", now), ("new", now))
    ]
    (folder / "a b.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    os.utime(folder / "a b.jsonl", (time.time() + 2, time.time() + 2))
    (folder / "earlier.jsonl").write_bytes(answer_line())
    os.utime(folder / "earlier.jsonl", (1, 1))
    reading.look()
    assert reading.cost_usd == pytest.approx(STEP_USD)
    log.write_bytes(answer_line() + answer_line())  # an agent without a memory has both, and its log says more
    reading.look()
    assert reading.cost_usd == pytest.approx(2 * STEP_USD)


def test_what_an_agent_prints_is_heard(make_box: Any) -> None:
    reading = Reading(BoxCarrier(make_box()), Host("box"), Claim("r1", "~", "task", "x"), PRICES, script_s=10)
    text = b"hello\n" + answer_line() + b'{"type":"result","total_cost_usd":0.25}\n' + b"{" * 3_000_000
    for at in range(0, 600, 7):
        reading.hear(text[at : at + 7])
    assert reading.cost_usd == 0.25
    reading.hear(text[600:])
    reading.hear(b"\n" + answer_line())
    assert reading.cost_usd == 0.25


# -- on the lab ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("spending")) as made:
        made.nodes.project("plain", specialists=False)
        made.project = made.home / "plain"
        (made.project / "tasks.py").write_text("from dgummy.tasks import ns\n")
        yield made


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    """A ledger in which nothing was spent yet."""
    with closing(ledger(shared)) as opened:
        opened.prune(datetime.now(timezone.utc) + timedelta(days=1))
    yield shared
    for node in ("node-1", "node-2"):
        dlab.set_gummy(shared.lab, node, step_s=0)


def ledger(desk: Desk) -> Ledger:
    return Ledger.open(desk.lab.directory / "state" / "runs.db")


def spend(desk: Desk, usd: float, *, project: str = "/elsewhere", days_ago: float = 0) -> None:
    at = datetime.now(timezone.utc) - timedelta(days=days_ago)
    with closing(ledger(desk)) as opened:
        row = RunRow(fresh_id(), "task", "x", at, RunState.OK, project=project, ended_at=at, cost_usd=usd)
        assert opened.record(row)


def budget(**caps: Any) -> dict[str, str | None]:
    return {f"INVOKE_DGUMMY_BUDGET_{name.upper()}": str(value) for name, value in caps.items()}


REFUSED = "today's agent tasks have cost $4.12 of $4.00"


@pytest.mark.lab
@pytest.mark.parametrize(
    "words",
    [
        ["task", "change something"],
        ["task", "change something", "--detach"],
        ["task", "change something", "--host", "node-1", "--mode", "plan"],
        ["distribute", "one thing", "another thing"],
        ["distribute", "one thing", "--detach"],
        ["fanout", "--task", "change something"],
    ],
    ids=lambda words: "-".join(words)[:30],
)
def test_at_the_days_cap_no_agent_task_starts(desk: Desk, words: list[str]) -> None:
    spend(desk, 4.12)
    for node in ("node-1", "node-2"):
        dlab.hang(desk.lab, node)  # whoever asks them waits
    began = time.monotonic()
    try:
        done = desk.inv(*words, env=budget(per_day_usd=4))
        took_s = time.monotonic() - began
    finally:
        for node in ("node-1", "node-2"):
            dlab.start(desk.lab, node)
    assert (done.code, done.out) == (75, ""), done
    assert REFUSED in done.err and "raise budget.per_day_usd, or wait until tomorrow" in done.err
    assert took_s < 4  # a host that is asked makes it wait for 5 seconds
    assert len(desk.nodes.ledger()) == 1


@pytest.mark.lab
def test_a_refusal_as_json_and_from_python(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    spend(desk, 4.12)
    document = desk.inv("task", "x", "--json", env=budget(per_day_usd=4)).document("error")
    assert document["error"]["exit_code"] == 75 and REFUSED in document["error"]["message"]
    for name, value in {**desk.environment(), **budget(per_day_usd=4)}.items():
        monkeypatch.setenv(name, value or "")
    monkeypatch.chdir(desk.project)
    (result,) = parallel_gummy_tasks([{"task": "x"}])
    assert result["state"] == "skipped" and REFUSED in result["reason"]


@pytest.mark.lab
def test_commands_and_plans_go_on_at_the_cap(desk: Desk) -> None:
    spend(desk, 4.12)
    env = budget(per_day_usd=4, per_project_usd=0)
    assert desk.inv("run", "--no-sync", "true", env=env).code == 0
    assert desk.inv("task", "--dry", "x", env=env).code == 0
    assert desk.inv("fanout", "--no-sync", "--exclude", "node-3", "true", env=env).code == 0


@pytest.mark.lab
def test_yesterday_and_other_projects_are_not_todays_and_ours(desk: Desk) -> None:
    spend(desk, 4.12, days_ago=2)
    spend(desk, 3.0)
    done = desk.inv("task", "change something", env=budget(per_day_usd=4, per_project_usd=2))
    assert done.code == 0, done
    spend(desk, 2.5, project=str(desk.project), days_ago=3)
    done = desk.inv("task", "change something", env=budget(per_day_usd=4, per_project_usd=2))
    assert done.code == 75 and "this project's agent tasks have cost $2.51 of $2.00" in done.err, done


@pytest.mark.lab
def test_a_group_is_asked_again_before_each_of_its_tasks(desk: Desk) -> None:
    texts = [f"change number {number}" for number in range(4)]
    done = desk.inv("distribute", *texts, "--jobs", "1", "--json", env=budget(per_day_usd=0.02))
    document = done.document("fanout")
    states = [one["state"] for one in document["results"]]
    assert done.code == 1 and states.count("ok") == 2 and states.count("skipped") == 2, done
    reasons = {one["reason"] for one in document["results"] if one["state"] == "skipped"}
    assert reasons == {"not started: today's agent tasks have cost $0.0246 of $0.02"}
    assert len([row for row in desk.nodes.ledger() if row.host]) == 2


@pytest.mark.lab
def test_in_a_mixed_suite_only_the_agents_tasks_are_skipped(desk: Desk) -> None:
    spend(desk, 4.12)
    (desk.project / "invoke.yaml").write_text("dgummy: {suites: {ci: {a: {task: change something}, b: 'true'}}}\n")
    try:
        done = desk.inv("fanout", "--suite", "ci", "--no-sync", "--json", env=budget(per_day_usd=4))
    finally:
        (desk.project / "invoke.yaml").unlink()
    found = {one["label"]: (one["state"], one["reason"]) for one in done.document("fanout")["results"]}
    assert found == {"a": ("skipped", f"not started: {REFUSED}"), "b": ("ok", None)}, done


@pytest.mark.lab
def test_one_over_its_own_cap_is_ended_and_its_work_is_left(desk: Desk) -> None:
    dlab.set_gummy(desk.lab, "node-1", step_s=0.3)
    env = budget(per_task_usd=0.0019, enforce="stop")
    began = time.monotonic()
    done = desk.inv("task", "--json", "--host", "node-1", "change something [standin:slow]", env=env)
    document = done.document("task")
    assert (document["state"], done.code) == ("cancelled", 130), done
    assert document["reason"].startswith("ended: it has cost $0.00") and "of $0.0019" in document["reason"]
    assert 0.0019 < document["cost_usd"] < 20 * STEP_USD
    assert "still on node-1" in done.err or "still on node-1" in (document.get("remedy") or "")
    assert time.monotonic() - began < 20
    (row,) = desk.nodes.ledger()
    assert row.state is RunState.CANCELLED and "budget.per_task_usd" in row.reason
    assert row.cost_usd == pytest.approx(document["cost_usd"])
    assert desk.nodes.active_runs("node-1") == {}  # its process group is gone
    assert (desk.there() / "queries.sql").exists()


@pytest.mark.lab
def test_one_that_was_over_its_cap_before_anybody_looked_is_told_of_at_its_end(desk: Desk) -> None:
    done = desk.inv("task", "change something", env=budget(per_task_usd=0.01, enforce="stop"))
    assert done.code == 0 and done.err.count("it has cost $0.0123 of $0.01 (budget.per_task_usd)") == 1, done


@pytest.mark.lab
@pytest.mark.parametrize("specialists", [False, True])
def test_one_over_its_own_cap_is_only_warned_of_and_what_it_costs_counts_meanwhile(
    node_lab: NodeLab, specialists: bool
) -> None:
    project = node_lab.project(specialists=specialists)
    dlab.set_gummy(node_lab.lab, "node-1", step_s=1.2)
    heard: list[Event] = []
    seen: list[float] = []

    caps = BudgetSettings(per_task_usd=0.0005, per_day_usd=1e6)
    try:
        with node_lab.cluster(project, heard, budget=caps) as cluster:
            call = Call(lambda: cluster.task("change something", "task", Wish(hosts=("node-1",)), RunOptions()))
            (row,) = until(lambda: [r for r in node_lab.ledger() if r.state is RunState.RUNNING], 10)
            while not call.wait(0.1) and not any(seen):
                seen.append(_cost(node_lab, row.run_id))
            result = call.result()
    finally:
        dlab.set_gummy(node_lab.lab, "node-1", step_s=0)
    assert result.state is RunState.OK, result
    assert seen and 0 < seen[-1] < 5 * STEP_USD  # told while it ran
    warned = [event.text for event in heard if isinstance(event, Notice) and "budget.enforce" in event.text]
    assert len(warned) == 1 and "of $0.0005" in warned[0]
    assert result.cost_usd == (pytest.approx(4 * STEP_USD) if specialists else 0.0123)
    assert _cost(node_lab, result.run_id) == result.cost_usd


def _cost(lab: NodeLab, run_id: str) -> float:
    return next((row.cost_usd or 0.0 for row in lab.ledger() if row.run_id == run_id), 0.0)


@pytest.mark.lab
def test_a_ledger_that_cannot_be_read_lets_nothing_start(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("no folder")
    env = {**budget(per_day_usd=4), "INVOKE_DGUMMY_STATE_DIR": str(tmp_path / "state")}
    done = desk.inv("task", "change something", env=env)
    assert done.code == 75 and "what agents have cost so far is not known" in done.err, done


@pytest.mark.lab
def test_a_task_that_is_left_to_itself_has_no_cap_of_its_own(desk: Desk) -> None:
    env = budget(per_task_usd=1, enforce="stop")
    done = desk.inv("task", "change something", "--detach", env=env)
    assert done.code == 0 and "budget.per_task_usd is not kept with --detach" in done.err, done


def test_arguments_of_the_reading_are_those_of_the_evidence() -> None:
    """Which log is meant is said once, in `agents`."""
    assert agents.evidence_args("r", "~/p", "plan", "x")[3:5] == ["", "plan.log"]
    assert agents.evidence_args("r", "~/p", "execute", "gummy-7")[3:5] == ["gummy-7", "execute.log"]
    assert FailureKind.BUDGET.exit_code is ExitCode.TRY_AGAIN


@pytest.mark.lab
@pytest.mark.parametrize("below", ["", "sub folder"])
def test_a_specialist_that_was_left_to_itself_tells_its_cost_when_it_is_looked_at(
    node_lab: NodeLab, below: str
) -> None:
    """By its transcript, which is kept by the folder that it worked in."""
    project = node_lab.project()
    (project / below).mkdir(exist_ok=True)
    (project / below / "a file").write_text("x")
    with node_lab.cluster(project / below) as cluster:
        cluster.task("change something", "task", Wish(hosts=("node-1",)), RunOptions(detach=True))
        ((seen,), timed_out) = wait(cluster.history, cluster.history.find(["last"]), 20)
    assert not timed_out and seen.row.state is RunState.OK, seen
    assert seen.row.cost_usd == pytest.approx(4 * STEP_USD)
    assert _cost(node_lab, seen.row.run_id) == seen.row.cost_usd
