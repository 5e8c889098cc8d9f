"""Runs that were started before, on real nodes: what the ledger says of them is brought up to date with their hosts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dgummy import intake, liveness
from dgummy import lab as dlab
from dgummy.chooser import Wish
from dgummy.cluster import Cluster
from dgummy.errors import UsageError
from dgummy.events import Event, Notice, RunEnded
from dgummy.fanout import Call
from dgummy.history import Query, Seen, exit_code, result_of
from dgummy.intake import RunOptions
from dgummy.ledger_rows import RunRow
from dgummy.liveness import process_began_at
from dgummy.model import Failure, FailureKind, RunState
from dgummy.reconcile import Client
from dgummy.runscript import RunSpec, start_script
from dgummy.settings import Timeouts
from dgummy.waiting import wait
from labs import NodeLab, fresh_id, until

pytestmark = pytest.mark.lab

NO_SYNC = RunOptions(sync=False)
DETACHED = RunOptions(sync=False, detach=True)
QUICK = Timeouts(connect_s=2, script_s=10, silence_s=8, reconnect_s=2, kill_s=2)
ON_1 = Wish(hosts=("node-1",))


@pytest.fixture(scope="module")
def project(node_lab: NodeLab) -> Path:
    return node_lab.project("history")


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def cluster(node_lab: NodeLab, project: Path, heard: list[Event]) -> Iterator[Cluster]:
    with node_lab.cluster(project, heard) as made:
        yield made


def now() -> datetime:
    return datetime.now(timezone.utc)


def start(cluster: Cluster, command: str, *, host: str = "node-1", group_id: str = "", label: str = "") -> RunRow:
    """A run that is left to itself."""
    order = intake.command_order(command, Wish(hosts=(host,)), DETACHED, cluster.settings)
    result = cluster._dispatch(replace(order, group_id=group_id, label=label), DETACHED)
    assert result.state is RunState.RUNNING, result
    return row_of(cluster, result.run_id)


def row_of(cluster: Cluster, run_id: str) -> RunRow:
    return cluster.journal.ledger().find(run_id)


def write(cluster: Cluster, **known: object) -> RunRow:
    """A row of the ledger, of a client that is gone unless said otherwise."""
    row = RunRow(
        **{  # type: ignore[arg-type]
            "run_id": fresh_id(),
            "kind": "run",
            "command": "true",
            "created_at": now(),
            "owner": "tester@here",
            "client_pid": gone_pid(),
            **known,
        }
    )
    assert cluster.journal.ledger().record(row)
    return row


def gone_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def look(cluster: Cluster, row: RunRow) -> Seen:
    (seen,) = cluster.history.refresh([row])
    assert seen.failure is not None or row_of(cluster, row.run_id).state is seen.row.state
    return seen


def ended(cluster: Cluster, row: RunRow) -> Seen:
    """The run once it is over."""

    def over() -> Seen | None:
        seen = look(cluster, row_of(cluster, row.run_id))
        return seen if seen.row.state.is_final else None

    found = until(over, 60, what=f"for {row.run_id} to end")
    assert isinstance(found, Seen)
    return found


# -- how it stands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "state", "code", "reason"),
    [
        ("exit 0", RunState.OK, 0, ""),
        ("exit 7", RunState.FAILED, 7, "exit code 7"),
        ("kill -9 $$", RunState.FAILED, 137, "exit code 137"),
    ],
)
def test_a_run_left_to_itself_is_seen_to_its_end(
    cluster: Cluster, command: str, state: RunState, code: int, reason: str
) -> None:
    gate = f"gate-{fresh_id()}"
    row = start(cluster, f"while [ ! -e {gate} ]; do sleep 0.05; done; sleep 1; {command}")
    running = look(cluster, row)
    assert (running.row.state, running.row.exit_code, running.row.ended_at) == (RunState.RUNNING, None, None)
    assert running.row.duration_s is None
    (Path(cluster.around.home).parent / "lab/nodes/node-1/home" / gate).touch()
    seen = ended(cluster, row)
    assert (seen.row.state, seen.row.exit_code, seen.row.reason) == (state, code, reason)
    assert seen.row.started_at and seen.row.ended_at and seen.row.duration_s is not None
    assert 1 <= seen.row.duration_s < 90
    assert abs((now() - seen.row.ended_at).total_seconds()) < 60
    assert seen.row.started_at <= seen.row.ended_at + timedelta(seconds=1)  # the host tells whole seconds
    assert not cluster.history._wants_a_look(seen.row)


def test_what_is_final_is_not_asked_about(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [write(cluster, state=state, host="node-1") for state in RunState if state.is_final]
    asked_of: list[RunRow] = []

    def note(_: object, of: tuple[str, list[RunRow]]) -> list[Seen]:
        asked_of.extend(of[1])
        return []

    monkeypatch.setattr(type(cluster.history), "_look", note)
    cluster.history.refresh(rows)
    assert [row.state for row in asked_of] == [RunState.LOST]


def test_one_script_for_all_runs_of_a_host(node_lab: NodeLab, project: Path) -> None:
    sent: list[str] = []

    class Counting:
        name = "ssh"

        def __init__(self, real: object) -> None:
            self.real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

        def run_script(self, host: object, *args: object) -> object:
            sent.append(host.name)  # type: ignore[attr-defined]
            return self.real.run_script(host, *args)  # type: ignore[attr-defined]

    with node_lab.cluster(project, transport=Counting) as cluster:  # type: ignore[arg-type]
        rows = [write(cluster, state=RunState.RUNNING, host=host) for host in ("node-1", "node-2") for _ in range(20)]
        rows = [replace(row, client_pid=os.getpid()) for row in rows]  # nothing is called off
        cluster.history.refresh(rows)
    assert sorted(sent) == ["node-1", "node-2"]


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.SYNCING])
@pytest.mark.parametrize("host", ["", "node-2"])
def test_a_run_whose_client_died_before_it_began_never_begins(cluster: Cluster, state: RunState, host: str) -> None:
    row = write(cluster, state=state, host=host)
    seen = look(cluster, row)
    assert (seen.row.state, seen.row.exit_code) == (RunState.SKIPPED, None)
    assert seen.row.reason == "its client ended before it was started"
    assert seen.row.ended_at is not None
    if host:
        node = cluster.inventory.hosts[host]
        script = start_script(RunSpec(row.run_id, "touch it-began", probe_root=node.probe_root))
        answer = cluster._parts.control.run_script(node, script)
        assert not isinstance(answer, Failure) and answer.has("void")
        assert not list(Path(cluster.around.home).parent.glob("lab/nodes/node-2/home/it-began"))


def test_a_run_whose_client_lives_is_left_alone(cluster: Cluster) -> None:
    for known in ({"state": RunState.PENDING}, {"state": RunState.SYNCING, "host": "node-1"}):
        row = write(cluster, client_pid=os.getpid(), **known)
        assert look(cluster, row) == Seen(row)
    elsewhere = write(cluster, state=RunState.PENDING, owner="tester@another-machine")
    assert look(cluster, elsewhere) == Seen(elsewhere)


def test_a_number_that_another_process_has_now_is_not_the_client(cluster: Cluster) -> None:
    process = subprocess.Popen(["sleep", "30"])
    try:
        history = cluster.history
        began_at = process_began_at(process.pid, now())
        assert began_at is not None and abs((now() - began_at).total_seconds()) < 5
        row = write(cluster, client_pid=process.pid, created_at=now())
        assert history.client_of(row) is Client.ALIVE
        assert history.client_of(replace(row, created_at=now() - timedelta(minutes=5))) is Client.GONE
        assert history.client_of(replace(row, owner="tester@elsewhere")) is Client.UNKNOWN
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: process_began_at(process.pid, now()) is None)  # a zombie is nobody
        assert history.client_of(row) is Client.GONE
        assert history.client_of(replace(row, client_pid=None)) is Client.GONE
    finally:
        process.kill()
        process.wait()


def test_a_client_that_took_over_began_later_than_its_runs(cluster: Cluster) -> None:
    """`inv resume`, and what is left to a process in the background."""
    waits = "import sys; print(flush=True); sys.stdin.read()"
    hour_ago = now() - timedelta(hours=1)
    for words, expected in [
        (["dgummy", "resume", "g2026"], Client.ALIVE),
        (["inv", "work.resume", "last"], Client.ALIVE),
        (["dgummy", "wait", "x"], Client.GONE),
    ]:
        with subprocess.Popen([sys.executable, "-c", waits, *words], stdin=-1, stdout=-1) as process:
            assert process.stdout is not None and process.stdout.readline()
            row = write(cluster, client_pid=process.pid, created_at=hour_ago)
            assert cluster.history.client_of(row) is expected
            assert process.stdin is not None
            process.stdin.close()


def test_when_processes_began_by_ps_and_by_proc() -> None:
    by_ps = liveness._by_ps(os.getpid())
    by_proc = liveness._by_proc(os.getpid(), now())
    assert by_ps is not None and by_proc is not None
    assert abs((by_ps - by_proc).total_seconds()) < 2.5
    assert liveness._by_ps(gone_pid()) is None
    assert liveness.process_words(gone_pid()) == ()
    assert "python" in " ".join(liveness.process_words(os.getpid()))
    assert "python" in liveness._ps("args=", os.getpid())


def test_a_run_that_its_host_does_not_know(cluster: Cluster) -> None:
    """It may have run, for all we know: it is lost, and will not begin any more."""
    row = write(cluster, state=RunState.RUNNING, host="node-1", started_at=now())
    seen = look(cluster, row)
    assert (seen.row.state, seen.is_over) == (RunState.LOST, True)
    assert "does not know it" in seen.row.reason
    assert look(cluster, seen.row) == seen  # and it stays so
    being_started = write(cluster, state=RunState.RUNNING, host="node-1", client_pid=os.getpid())
    assert look(cluster, being_started) == Seen(being_started)


def test_a_host_that_was_rebooted_shows_lost(own_lab: NodeLab) -> None:
    with own_lab.cluster(own_lab.project()) as cluster:
        row = start(cluster, "sleep 60")
        dlab.reboot(own_lab.lab, "node-1")
        seen = look(cluster, row)
        assert (seen.row.state, seen.row.reason) == (RunState.LOST, "the host was restarted while it ran")
        assert exit_code([result_of(seen)]) == 75


def test_a_host_that_does_not_answer_leaves_the_row_as_it_is(own_lab: NodeLab) -> None:
    heard: list[Event] = []
    with own_lab.cluster(own_lab.project(), heard, timeouts=QUICK) as cluster:
        row, other = start(cluster, "sleep 1; exit 6"), start(cluster, "exit 3", host="node-2")
        dlab.stop(own_lab.lab, "node-1")
        seen_other, seen = ended(cluster, other), cluster.history.refresh([row])[0]
        assert seen.row == row and seen.failure is not None and not seen.is_over
        assert seen_other.row.exit_code == 3
        (notice,) = [event for event in heard if isinstance(event, Notice) and "last known" in event.text]
        assert notice.host == "node-1" and "connection refused" in notice.text
        assert result_of(seen).process_exit_code == 75
        dlab.start(own_lab.lab, "node-1")
        assert ended(cluster, row).row.exit_code == 6


def test_a_lost_run_is_asked_about_again(own_lab: NodeLab) -> None:
    with own_lab.cluster(own_lab.project()) as cluster:
        row = start(cluster, "exit 4")
        until(lambda: (own_lab.run_dir("node-1", row.run_id) / "exit").exists(), 60)
        cluster.journal.update(row.run_id, state=RunState.LOST, reason="connection lost", ended_at=now(), duration_s=1)
        seen = look(cluster, row_of(cluster, row.run_id))
        assert (seen.row.state, seen.row.exit_code, seen.row.reason) == (RunState.FAILED, 4, "exit code 4")
        dlab.stop(own_lab.lab, "node-1")
        cluster.journal.update(row.run_id, state=RunState.LOST, reason="connection lost")
        lost = row_of(cluster, row.run_id)
        assert look(cluster, lost).row == lost


def test_a_host_that_is_no_longer_offered(cluster: Cluster, heard: list[Event]) -> None:
    row = write(cluster, state=RunState.RUNNING, host="node-77")
    seen = look(cluster, row)
    assert seen.row == row and seen.failure is not None and seen.failure.kind is FailureKind.CONFIG
    assert any(isinstance(event, Notice) and event.host == "node-77" for event in heard)
    lost = write(cluster, state=RunState.LOST, host="node-77")
    assert look(cluster, lost) == Seen(lost)


def test_what_somebody_else_wrote_meanwhile_stays(cluster: Cluster) -> None:
    row = start(cluster, "exit 3")
    until(lambda: look_at_exit(cluster, row), 60)
    before = row_of(cluster, row.run_id)
    cluster.journal.update(row.run_id, state=RunState.CANCELLED, reason="by its client")
    (seen,) = cluster.history.refresh([before])
    assert (seen.row.state, seen.row.reason) == (RunState.CANCELLED, "by its client")
    assert row_of(cluster, row.run_id).state is RunState.CANCELLED


def look_at_exit(cluster: Cluster, row: RunRow) -> bool:
    report = cluster.history.report(row)
    return not isinstance(report, Failure) and report.standing == "ended"


# -- agents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verify", "state", "reason"),
    [
        ("improve the docs", None, RunState.OK, ""),
        ("improve the docs [standin:rate-limit]", None, RunState.FAILED, "the agent reports an error"),
        ("improve the docs", "false", RunState.FAILED, "--verify failed with exit code 1: false"),
    ],
)
def test_agents_are_judged_by_what_they_left(
    node_lab: NodeLab, text: str, verify: str | None, state: RunState, reason: str
) -> None:
    with node_lab.cluster(node_lab.project(specialists=False)) as cluster:
        result = cluster.task(text, "task", ON_1, RunOptions(detach=True, verify=verify))
        seen = ended(cluster, row_of(cluster, result.run_id))
    assert seen.row.state is state, seen
    assert seen.row.reason.startswith(reason)
    assert seen.row.cost_usd == pytest.approx(0.0123)
    assert exit_code([result_of(seen)]) == (0 if state is RunState.OK else 1)


# -- this machine ----------------------------------------------------------------------------------------------------


def test_runs_on_this_machine(cluster: Cluster, node_lab: NodeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(node_lab.home))
    row = start(cluster, "echo here; exit 5", host="local")
    assert row.host == "local"
    assert ended(cluster, row).row.exit_code == 5


# -- finding ---------------------------------------------------------------------------------------------------------


def test_finding_by_prefix_group_and_last(tmp_path: Path, node_lab: NodeLab, project: Path) -> None:
    with node_lab.cluster(project) as cluster:
        cluster.journal._path = tmp_path / "runs.db"
        for word in ("last", "2026"):
            with pytest.raises(UsageError):
                cluster.history.find([word])
        with pytest.raises(UsageError, match="no groups"):
            cluster.history.select(Query(group="last"))
        when = datetime(2026, 11, 20, tzinfo=timezone.utc)
        for number, (run_id, group_id) in enumerate(
            [
                ("20261120-101010-aaaaaa", ""),
                ("20261120-101010-aabbbb", "g20261120-101010-cccccc"),
                ("20261120-101011-dddddd", "g20261120-101010-cccccc"),
                ("20261121-101011-eeeeee", "g20261121-101010-cdcccc"),
                ("20261122-101011-ffffff", ""),
            ]
        ):
            write(
                cluster,
                run_id=run_id,
                group_id=group_id,
                state=RunState.OK,
                created_at=when + timedelta(seconds=number),
                host=f"node-{number}",
            )

        def ids(*words: str) -> list[str]:
            return [row.run_id[9:] for row in cluster.history.find(words)]

        assert ids("last") == ["101011-ffffff"]
        assert ids("20261121") == ids("g20261121") == ["101011-eeeeee"]
        assert ids("g20261120-101010-cccccc") == ids("g20261120") == ["101010-aabbbb", "101011-dddddd"]
        assert ids("20261122", "g20261120", "20261120-101011") == ["101011-ffffff", "101010-aabbbb", "101011-dddddd"]
        for word, said in [
            ("20261120-101010-a", "could be any of 20261120-101010-aabbbb, 20261120-101010-aaaaaa"),
            ("g2", "could be any of g20261121-101010-cdcccc, g20261120-101010-cccccc"),
            ("2025", "no run has an id that begins with 2025"),
            ("g2025", "no group has an id that begins with g2025"),
            ("../x", "is no run id"),
            ("", "is no run id"),
            ("G2026", "is no run id"),
        ]:
            with pytest.raises(UsageError, match=said) as caught:
                cluster.history.find([word])
            assert caught.value.remedy

        def listed(**query: object) -> list[str]:
            return [seen.row.run_id[:8] for seen in cluster.history.select(Query(**query))]  # type: ignore[arg-type]

        assert listed() == ["20261122", "20261121", "20261120", "20261120", "20261120"]
        assert listed(limit=2) == ["20261122", "20261121"]
        assert listed(group="last") == ["20261121"]
        assert listed(group="g20261120") == ["20261120", "20261120"]
        assert listed(hosts=("node-4", "node-0")) == ["20261122", "20261120"]
        assert listed(since=when + timedelta(seconds=3)) == ["20261122", "20261121"]
        assert listed(states=(RunState.FAILED,)) == []


def test_a_state_is_looked_for_as_it_is_now_not_as_it_was(cluster: Cluster) -> None:
    row = start(cluster, "exit 9")
    until(lambda: look_at_exit(cluster, row), 60)
    running = {seen.row.run_id for seen in cluster.history.select(Query(states=(RunState.RUNNING,)))}
    failed = {seen.row.run_id for seen in cluster.history.select(Query(states=(RunState.FAILED,)))}
    assert row.run_id not in running and row.run_id in failed


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_waiting_for_several(cluster: Cluster, heard: list[Event]) -> None:
    rows = [start(cluster, f"sleep 0.{number}; exit {number}", host=f"node-{1 + number % 2}") for number in range(4)]
    found, timed_out = wait(cluster.history, rows)
    assert not timed_out
    assert [seen.row.exit_code for seen in found] == [0, 1, 2, 3]
    results = [result_of(seen) for seen in found]
    assert exit_code(results) == 1 and exit_code(results[:1]) == 0 and exit_code(results[2:3]) == 2
    told = [event.result.run_id for event in heard if isinstance(event, RunEnded)]
    assert sorted(told[-4:]) == sorted(row.run_id for row in rows)


def test_waiting_no_longer_than_asked(cluster: Cluster) -> None:
    row = start(cluster, "sleep 3; exit 3")
    began = time.monotonic()
    found, timed_out = wait(cluster.history, [row], 0.5)
    assert timed_out and time.monotonic() - began < 2.5
    assert not found[0].is_over
    assert wait(cluster.history, [row])[0][0].row.exit_code == 3  # it went on


def test_waiting_through_a_host_that_goes_and_comes_back(own_lab: NodeLab) -> None:
    heard: list[Event] = []
    with own_lab.cluster(own_lab.project(), heard, timeouts=Timeouts(reconnect_s=90)) as cluster:
        row = start(cluster, "sleep 2; exit 8")
        waiting = Call(lambda: wait(cluster.history, [row]), "wait")
        dlab.stop(own_lab.lab, "node-1")
        until(lambda: [event for event in heard if isinstance(event, Notice) and "asking again" in event.text], 60)
        assert not waiting.wait(1)
        dlab.start(own_lab.lab, "node-1")
        found, _ = waiting.result()
        assert (found[0].row.state, found[0].row.exit_code) == (RunState.FAILED, 8)


def test_a_host_that_stays_away_is_given_up(own_lab: NodeLab) -> None:
    with own_lab.cluster(own_lab.project(), timeouts=QUICK) as cluster:
        row, other = start(cluster, "sleep 30"), start(cluster, "exit 0", host="node-2")
        dlab.stop(own_lab.lab, "node-1")
        began = time.monotonic()
        found, timed_out = wait(cluster.history, [row, other])
        assert not timed_out and time.monotonic() - began < 20
        assert found[0].failure is not None and exit_code([result_of(found[0])]) == 75
        assert found[1].row.state is RunState.OK and exit_code([result_of(seen) for seen in found]) == 1
        assert row_of(cluster, row.run_id).state is RunState.RUNNING  # nothing is claimed of it
        dlab.start(own_lab.lab, "node-1")


def test_waiting_for_one_that_has_no_host_yet(cluster: Cluster, node_lab: NodeLab) -> None:
    row = write(cluster, client_pid=os.getpid(), state=RunState.PENDING)
    waiting = Call(lambda: wait(cluster.history, [row]), "wait")
    assert not waiting.wait(0.7)
    cluster.journal.update(row.run_id, state=RunState.UNREACHABLE, reason="no host", ended_at=now())
    found, _ = waiting.result()
    assert exit_code([result_of(seen) for seen in found]) == 69
