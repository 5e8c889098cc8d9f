"""What is left to be done of a group: exactly that is run again, or for the first time, and nothing else."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, open_desk
from dgummy import again, asked
from dgummy import lab as labs
from dgummy.errors import UsageError
from dgummy.ledger_rows import RunRow
from dgummy.model import RunState
from dgummy.settings import Settings
from labs import until

pytestmark = pytest.mark.lab

UP = ("--exclude", "node-3", "--no-sync")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("again")) as made:
        yield made


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    yield shared
    for node in ("node-1", "node-2"):
        labs.start(shared.lab, node)
        # What a run that was lost had done by then is nobody's concern in here.
        for mark in shared.lab.node(node).home.glob(".local/state/dgummy/workspaces/*/uncollected"):
            mark.unlink()
    shared.forget_load()


class Log:
    """Where commands say that they ran, and whether they are to fail."""

    def __init__(self, folder: Path) -> None:
        self.ran = folder / "ran"
        self.bad = folder / "bad"

    def command(self, name: str = "$DGUMMY_NODE", nap_s: float = 0) -> str:
        return f"echo {name} >>'{self.ran}'; sleep {nap_s}; ! grep -qx {name} '{self.bad}' 2>/dev/null"

    def take(self) -> Counter[str]:
        """Who ran since this was asked last."""
        found = Counter(self.ran.read_text().split()) if self.ran.exists() else Counter[str]()
        self.ran.unlink(missing_ok=True)
        return found


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def group(desk: Desk, *words: str, code: int | None = None) -> dict[str, Any]:
    done = desk.inv(*words, "--json")
    assert code is None or done.code == code, done
    return done.document("fanout")


def states(document: dict[str, Any]) -> dict[str, str]:
    return {entry["label"]: entry["state"] for entry in document["results"]}


def test_only_what_failed_runs_again(desk: Desk, log: Log) -> None:
    log.bad.write_text("node-2\n")
    first = group(desk, "fanout", *UP, log.command(), code=1)
    assert states(first) == {"node-1": "ok", "node-2": "failed"} and log.take() == {"node-1": 1, "node-2": 1}
    log.bad.unlink()
    second = group(desk, "retry", first["group_id"], "--failed", code=0)
    assert states(second) == {"node-2": "ok"} and log.take() == {"node-2": 1}
    assert second["group_id"] != first["group_id"]
    nothing = desk.inv("retry", second["group_id"], "--failed")
    assert (nothing.code, nothing.out) == (0, "") and "nothing there is failed" in nothing.err and not log.take()


def test_only_what_was_not_reached(desk: Desk, log: Log) -> None:
    labs.stop(desk.lab, "node-2")
    log.bad.write_text("node-1\n")
    first = group(desk, "fanout", *UP, log.command(), code=1)
    assert states(first) == {"node-1": "failed", "node-2": "unreachable"}
    labs.start(desk.lab, "node-2")
    log.take()
    second = group(desk, "retry", first["group_id"][:18], "--unreached", code=0)
    assert states(second) == {"node-2": "ok"} and log.take() == {"node-2": 1}


def test_what_was_not_started_counts_as_not_reached(desk: Desk, log: Log) -> None:
    log.bad.write_text("node-1\n")
    first = group(desk, "fanout", *UP, "--jobs", "1", "--max-failures", "0", log.command(), code=1)
    assert states(first) == {"node-1": "failed", "node-2": "skipped"} and log.take() == {"node-1": 1}
    both = group(desk, "retry", first["group_id"], "--unreached", "--failed", code=1)
    assert states(both) == {"node-1": "failed", "node-2": "ok"} and log.take() == {"node-1": 1, "node-2": 1}


def test_what_is_spread_is_spread_again(desk: Desk, log: Log) -> None:
    log.bad.write_text("one\n")
    first = group(desk, "distribute", "--command", log.command("one"), log.command("two"), code=1)
    log.bad.unlink()
    log.take()
    second = group(desk, "retry", first["group_id"], "--failed", code=0)
    assert log.take() == {"one": 1} and len(second["results"]) == 1
    assert second["results"][0]["sync"] is not None  # as it was asked for


def test_an_agents_task_again(desk: Desk) -> None:
    for node in ("node-1", "node-2"):
        labs.set_gummy(desk.lab, node, step_s=0, mode="rate-limit")
    try:
        first = group(desk, "distribute", "optimize database queries", code=1)
    finally:
        for node in ("node-1", "node-2"):
            labs.set_gummy(desk.lab, node, step_s=0)
    second = group(desk, "retry", first["group_id"], "--failed", code=0)
    assert states(second) == {"optimize-database-querie": "ok"} and second["results"][0]["changed"]


def test_values_of_variables_have_to_be_given_anew(desk: Desk, log: Log) -> None:
    first = group(desk, "fanout", *UP, "--env", "TOKEN=s3cret", f'echo "$TOKEN" >>"{log.ran}"; false', code=1)
    assert log.take() == {"s3cret": 2}
    refused = desk.inv("retry", first["group_id"], "--failed", env={"TOKEN": None})
    assert refused.code == 64 and "export TOKEN first" in refused.err and not log.take()
    assert desk.inv("retry", first["group_id"], "--failed", env={"TOKEN": "other"}).code == 1
    assert log.take() == {"other": 2}


def test_from_another_folder(desk: Desk, tmp_path: Path) -> None:
    first = group(desk, "fanout", "--host", "node-1", "pwd; false", code=1)
    (tmp_path / "tasks.py").write_text("from dgummy.tasks import ns\n")
    done = desk.inv("retry", first["group_id"], "--failed", cwd=tmp_path)
    assert done.out == f"node-1: {desk.there('node-1')}\n"


def test_what_is_to_be_run_again_must_be_said(desk: Desk) -> None:
    done = desk.inv("retry", "last")
    assert done.code == 64 and "give --failed, --unreached or --lost" in done.err
    assert desk.inv("retry", "g2001", "--failed").code == 64


def test_left_to_the_background(desk: Desk, log: Log) -> None:
    texts = [log.command(f"n{number}", nap_s=0.5) for number in range(5)]
    done = desk.inv("distribute", "--detach", "--command", *texts)
    ids = done.out.split()
    assert done.code == 0 and len(ids) == 5, done
    waited = desk.inv("wait", *ids, "--json")
    assert waited.code == 0, waited
    assert {run["state"] for run in waited.document("runs")["runs"]} == {"ok"}
    assert log.take() == {f"n{number}": 1 for number in range(5)}


def test_what_is_spread_again_in_the_background_keeps_to_its_slots(desk: Desk, log: Log) -> None:
    texts = [f"{log.command(f'n{number}', nap_s=0.5)}; exit 1" for number in range(4)]
    first = group(desk, "distribute", "--command", "--host", "node-1", *texts, code=1)
    assert len(log.take()) == 4
    done = desk.inv("retry", first["group_id"], "--failed", "--detach")
    assert done.code == 0 and len(done.out.split()) == 4 and "process in the background" in done.err, done
    assert desk.inv("wait", *done.out.split()).code == 1
    assert log.take() == {f"n{number}": 1 for number in range(4)}


def test_what_cannot_be_written_down_is_not_left_to_the_background(desk: Desk, log: Log) -> None:
    env = {"INVOKE_DGUMMY_STATE_DIR": "/dev/null/nowhere"}
    done = desk.inv("distribute", "--detach", "--command", log.command("n0"), env=env)
    assert done.code == 75 and done.out == "" and "the ledger" in done.err.splitlines()[-2], done
    assert log.take() == {}


def test_a_background_that_dies_loses_nothing(desk: Desk, log: Log) -> None:
    """What was started goes on; what was not is known, and can be run, once each."""
    texts = [log.command(f"n{number}", nap_s=2) for number in range(4)]
    document = json.loads(desk.inv("distribute", "--detach", "--command", "--json", *texts).out)
    group_id = document["group_id"]
    assert until(lambda: log.ran.exists() and len(log.ran.read_text().split()) == 2)
    client = next(row.client_pid for row in desk.nodes.ledger() if row.group_id == group_id)
    assert client is not None
    busy = desk.inv("resume", group_id)
    assert busy.code == 75 and f"process {client} is at work" in busy.err
    os.kill(client, signal.SIGKILL)
    waited = desk.inv("wait", group_id, "--json").document("runs")["runs"]
    assert sorted(run["state"] for run in waited) == ["ok", "ok", "skipped", "skipped"]
    ran = set(log.take())
    rest = group(desk, "retry", group_id, "--unreached", code=0)
    assert rest["ok"] == 2 and set(log.take()) == {"n0", "n1", "n2", "n3"} - ran


def test_what_a_dead_client_left_is_taken_over_under_its_ids(desk: Desk, log: Log) -> None:
    texts = [log.command(f"n{number}", nap_s=1.5) for number in range(4)]
    client = desk.nodes.start("distribute", "--command", *texts, cwd=desk.project)
    assert until(lambda: log.ran.exists() and len(log.ran.read_text().split()) == 2)
    client.kill()
    client.communicate()
    rows = [row for row in desk.nodes.ledger() if row.client_pid == client.pid]
    waiting = {row.run_id for row in rows if row.state is RunState.PENDING}
    assert len(rows) == 4 and len(waiting) == 2
    done = group(desk, "resume", rows[0].group_id, code=0)
    assert {entry["run_id"] for entry in done["results"]} == waiting and done["group_id"] == rows[0].group_id
    assert desk.inv("wait", rows[0].group_id).code == 0
    assert log.take() == {f"n{number}": 1 for number in range(4)}
    nothing = desk.inv("resume", rows[0].group_id)
    assert nothing.code == 0 and "nothing of it is waiting" in nothing.err


def test_a_client_killed_in_mid_fanout_loses_nothing(desk: Desk, log: Log) -> None:
    """Every host's exit code, and every byte that was printed before, at and after the kill."""
    said = "seq 1 60000; echo e >&2; sleep 2; seq 60001 90000"
    command = f"echo $DGUMMY_NODE >>'{log.ran}'; {said}; exit ${{DGUMMY_NODE#node-}}"
    client = desk.nodes.start("fanout", *UP, command, cwd=desk.project)
    assert until(lambda: log.ran.exists() and len(log.ran.read_text().split()) == 2)
    client.kill()
    client.communicate()
    rows = {row.host: row for row in desk.nodes.ledger() if row.client_pid == client.pid}
    waited = desk.inv("wait", rows["node-1"].group_id, "--json")
    assert waited.code == 1
    seen = {run["host"]: (run["state"], run["exit_code"]) for run in waited.document("runs")["runs"]}
    assert seen == {"node-1": ("failed", 1), "node-2": ("failed", 2)}
    whole = b"".join(b"%d\n" % number for number in range(1, 90001))
    for host in ("node-1", "node-2"):
        logs = desk.inv("logs", rows[host].run_id)
        assert (logs.code, logs.out_bytes, logs.err) == (0, whole, "e\n")
    again_ = group(desk, "retry", rows["node-1"].group_id, "--failed", code=1)
    assert states(again_) == {"node-1": "failed", "node-2": "failed"}


def test_two_that_resume_at_once_begin_nothing_twice(desk: Desk, log: Log) -> None:
    texts = [log.command(f"n{number}", nap_s=1) for number in range(8)]
    client = desk.nodes.start("distribute", "--command", "--no-sync", "--jobs", "1", *texts, cwd=desk.project)
    assert until(log.ran.exists)
    client.kill()
    client.communicate()
    group_id = next(row.group_id for row in desk.nodes.ledger() if row.client_pid == client.pid)
    others = [desk.nodes.start("resume", group_id, cwd=desk.project) for _ in range(3)]
    for other in others:
        other.communicate(timeout=60)
    assert 0 in [other.returncode for other in others]
    assert desk.inv("wait", group_id).code == 0
    assert log.take() == {f"n{number}": 1 for number in range(8)}


def test_several_that_retry_at_once_begin_nothing_twice(desk: Desk, log: Log) -> None:
    log.bad.write_text("node-1\nnode-2\n")
    first = group(desk, "fanout", *UP, log.command(nap_s=4), code=1)
    log.take()
    others = [desk.nodes.start("retry", first["group_id"], "--failed", cwd=desk.project) for _ in range(3)]
    said = [other.communicate(timeout=60)[1].decode() for other in others]
    assert sorted(other.returncode for other in others) == [1, 75, 75], said
    assert log.take() == {"node-1": 1, "node-2": 1}
    detached = desk.inv("retry", first["group_id"], "--failed", "--detach")
    refused = desk.inv("retry", first["group_id"], "--failed")
    (*_, run_id) = detached.out.split()
    assert refused.code == 75 and "inv wait g" in refused.err, (detached, refused)
    assert desk.inv("wait", run_id).code == 1  # once it is over, it may be run again
    log.bad.unlink()
    assert group(desk, "retry", first["group_id"], "--failed")["ok"] == 2


def test_a_run_of_which_nothing_was_kept() -> None:
    from datetime import datetime, timezone

    row = RunRow("a", "run", "true", datetime.now(timezone.utc))
    with pytest.raises(UsageError, match="nothing was kept"):
        again.order_of(row, Settings(), {})
    request = asked.encode(asked.Asked(hosts=("n1",), requires=("gummy", "docker"), mode="plan", timeout_s=5))
    order = again.order_of(RunRow("a", "task", "x", row.created_at, request=request), Settings(), {})
    assert (order.wish.hosts, order.wish.requires, order.mode) == (("n1",), ("docker", "gummy"), "plan")
