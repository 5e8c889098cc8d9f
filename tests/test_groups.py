"""Several runs at once on real nodes: each once, within bounds, stopped when asked, not held up by one bad host."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dgummy import intake
from dgummy import lab as dlab
from dgummy.chooser import Wish
from dgummy.errors import NoHostError, UsageError
from dgummy.events import Event, GroupEnded, GroupStarted, HostChosen, Notice, Output, RunEnded
from dgummy.grouprecords import GroupResult
from dgummy.groupwork import GroupOptions
from dgummy.intake import RunOptions
from dgummy.model import RunState
from dgummy.render import grouptext
from dgummy.settings import HostSettings, Timeouts
from dgummy.stoprules import StopRule
from dgummy.worklist import Item, labelled
from labs import NodeLab, until

QUICK = Timeouts(connect_s=2, probe_s=5, script_s=10, silence_s=8, reconnect_s=2, kill_s=1, workspace_s=20)
BOTH = Wish(hosts=("node-1", "node-2"))


@dataclass
class Scene:
    """One lab with one project; `log` is where commands say that they began and ended."""

    made: NodeLab
    project: Path
    log: Path
    heard: list[Event] = field(default_factory=list)

    def command(self, then: str = "true", nap_s: float = 0.0) -> str:
        log = f">>'{self.log}'"
        return f"echo + $DGUMMY_NODE {log}; sleep {nap_s}; {then}; c=$?; echo - $DGUMMY_NODE {log}; exit $c"

    @property
    def began(self) -> list[str]:
        return [line.split()[1] for line in self._lines("+")]

    @property
    def most_at_once(self) -> int:
        now = most = 0
        for line in self._lines("+", "-"):
            now += 1 if line.startswith("+") else -1
            most = max(most, now)
        return most

    def _lines(self, *signs: str) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return [line for line in text.splitlines() if line.startswith(signs)]

    def fanout(
        self,
        command: str,
        wish: Wish = BOTH,
        options: RunOptions | None = None,
        bounds: GroupOptions | None = None,
        **settings: Any,
    ) -> GroupResult:
        with self.made.cluster(self.project, self.heard, **{"timeouts": QUICK, **settings}) as cluster:
            order = intake.command_order(command, wish, options or RunOptions(sync=False), cluster.settings)
            return cluster.groups.everywhere(order, bounds or GroupOptions())

    def spread(
        self,
        texts: Sequence[str | Item],
        wish: Wish = BOTH,
        options: RunOptions | None = None,
        bounds: GroupOptions | None = None,
        *,
        commands: bool = True,
        **settings: Any,
    ) -> GroupResult:
        items = labelled(text if isinstance(text, Item) else Item(text) for text in texts)
        with self.made.cluster(self.project, self.heard, **{"timeouts": QUICK, **settings}) as cluster:
            asked = options or RunOptions(sync=False)
            orders = intake.item_orders(items, wish, asked, cluster.settings, commands=commands)
            return cluster.groups.spread(orders, bounds or GroupOptions())

    def notices(self) -> str:
        return "\n".join(event.text for event in self.heard if isinstance(event, Notice))

    def holders(self, node: str) -> list[str]:
        locks = (self.made.home_of(node) / ".local/state/dgummy/workspaces").glob("*/lock/run")
        return [lock.read_text().strip() for lock in locks]


@pytest.fixture
def scene(node_lab: NodeLab, tmp_path: Path) -> Scene:
    return Scene(node_lab, node_lab.project(), tmp_path / "log")


@pytest.fixture
def own(own_lab: NodeLab, tmp_path: Path) -> Scene:
    """A lab that the test may break."""
    return Scene(own_lab, own_lab.project(), tmp_path / "log")


def states(result: GroupResult) -> list[tuple[str, RunState]]:
    return [(member.label, member.result.state) for member in result.members]


OK, FAILED, SKIPPED = RunState.OK, RunState.FAILED, RunState.SKIPPED

# -- everywhere --------------------------------------------------------------------------------------------------


def test_every_host_once_each_in_its_project(scene: Scene) -> None:
    result = scene.fanout(scene.command("pwd; cat src/schema.sql | head -1"), options=RunOptions())
    assert states(result) == [("node-1", OK), ("node-2", OK)]
    assert sorted(scene.began) == ["node-1", "node-2"]
    assert (result.ok, result.failed, result.process_exit_code) == (2, 0, 0)
    assert all(member.result.sync is not None and member.result.sync.files for member in result.members)
    out = {event.host: event.data for event in scene.heard if isinstance(event, Output) and event.stream == "out"}
    assert out["node-1"].decode().startswith(str(scene.made.remote_dir("node-1", scene.project)))
    rows = [row for row in scene.made.ledger() if row.group_id == result.group_id]
    assert {(row.label, row.host, row.state) for row in rows} == {("node-1", "node-1", OK), ("node-2", "node-2", OK)}
    assert result.group_id.startswith("g")
    kinds = [type(event) for event in scene.heard if isinstance(event, (GroupStarted, RunEnded, GroupEnded))]
    assert kinds == [GroupStarted, RunEnded, RunEnded, GroupEnded]
    assert until(lambda: not scene.holders("node-1") + scene.holders("node-2"))


def test_one_that_fails_is_told_apart(scene: Scene) -> None:
    result = scene.fanout(scene.command('[ "$DGUMMY_NODE" = node-1 ]'))
    assert states(result) == [("node-1", OK), ("node-2", FAILED)]
    assert (result.ok, result.failed, result.process_exit_code) == (1, 1, 1)


def test_one_host_passes_the_commands_own_code_on(scene: Scene) -> None:
    assert scene.fanout("exit 7", Wish(hosts=("node-1",))).process_exit_code == 7


def test_no_more_than_jobs_at_once(scene: Scene) -> None:
    scene.fanout(scene.command(nap_s=0.3), jobs=1)
    assert (scene.most_at_once, len(scene.began)) == (1, 2)
    scene.log.unlink()
    scene.fanout(scene.command(nap_s=0.8), jobs=2)
    assert scene.most_at_once == 2


def test_the_first_failure_ends_everything(scene: Scene) -> None:
    bounds = GroupOptions(StopRule(fail_fast=True))
    began = time.monotonic()
    result = scene.fanout(scene.command('[ "$DGUMMY_NODE" = node-2 ] && sleep 60', 0.5), bounds=bounds)
    assert states(result) == [("node-1", FAILED), ("node-2", RunState.CANCELLED)]
    assert time.monotonic() - began < 20 and result.stopped == "stopped at the first failure"
    assert not scene.made.active_runs("node-2")


def test_what_was_not_started_does_not_start(scene: Scene) -> None:
    result = scene.fanout(scene.command("exit 3"), bounds=GroupOptions(StopRule(max_failures=0)), jobs=1)
    assert states(result) == [("node-1", FAILED), ("node-2", SKIPPED)] and scene.began == ["node-1"]
    assert "not started: stopped after 1 failure" in result.members[1].result.reason
    row = next(row for row in scene.made.ledger() if row.label == "node-2" and row.group_id == result.group_id)
    assert (row.state, row.host, row.reason) == (SKIPPED, "", result.members[1].result.reason)


def test_what_runs_goes_on_when_nothing_new_starts(scene: Scene) -> None:
    bounds = GroupOptions(StopRule(max_failures=0))
    result = scene.fanout(scene.command('[ "$DGUMMY_NODE" = node-2 ]', 0.6), bounds=bounds)
    assert states(result) == [("node-1", FAILED), ("node-2", OK)]


def test_a_deadline_ends_all(scene: Scene) -> None:
    result = scene.fanout(scene.command("sleep 60"), bounds=GroupOptions(deadline_s=1.5))
    assert {state for _, state in states(result)} == {RunState.TIMED_OUT}
    assert (result.process_exit_code, result.stopped) == (124, "the deadline passed")
    assert grouptext.left_to_do(result) == f"  what was not done runs again by inv retry {result.group_id} --failed"
    assert not scene.made.active_runs("node-1") and not scene.made.active_runs("node-2")


def test_a_time_limit_for_each(scene: Scene) -> None:
    result = scene.fanout('[ "$DGUMMY_NODE" = node-1 ] || sleep 60', options=RunOptions(sync=False, timeout_s=0.7))
    assert states(result) == [("node-1", OK), ("node-2", RunState.TIMED_OUT)] and result.process_exit_code == 1


def test_what_is_required(scene: Scene) -> None:
    dlab.set_gummy(scene.made.lab, "node-1", step_s=0)
    wish = Wish(hosts=BOTH.hosts, requires=("gpu",))
    hosts = {"node-2": HostSettings(capabilities=("gpu",), probe_root=str(scene.made.lab.node("node-2").root))}
    result = scene.fanout(scene.command(), wish, hosts=hosts)
    assert states(result) == [("node-2", OK)] and scene.began == ["node-2"]
    assert "passed over: node-1: lacks gpu" in scene.notices()
    with pytest.raises(NoHostError, match="no host is fit for it: node-1: lacks tpu; node-2: lacks tpu"):
        scene.fanout(scene.command(), Wish(hosts=BOTH.hosts, requires=("tpu",)))


@pytest.mark.parametrize("how", ["down", "hung"])
def test_a_bad_host_costs_the_others_nothing(own: Scene, how: str) -> None:
    (dlab.hang if how == "hung" else dlab.stop)(own.made.lab, "node-2")
    ended: dict[str, float] = {}
    began = time.monotonic()

    def note() -> None:
        while len(ended) < 2:
            for event in list(own.heard):
                if isinstance(event, RunEnded):
                    ended.setdefault(event.result.attempts[0].host, time.monotonic() - began)
            time.sleep(0.02)

    watcher = threading.Thread(target=note, daemon=True)
    watcher.start()
    result = own.fanout(own.command(), timeouts=Timeouts(connect_s=4))
    watcher.join(5)
    assert states(result) == [("node-1", OK), ("node-2", RunState.UNREACHABLE)]
    assert result.process_exit_code == 1 and own.began == ["node-1"]
    if how == "hung":
        assert ended["node-1"] < 3 < ended["node-2"] < 8


def test_a_workspace_in_use_is_waited_for(scene: Scene) -> None:
    """Two groups that sync the same project take turns on each host; neither runs twice or at the same time."""
    both = [Scene(scene.made, scene.project, scene.log) for _ in range(2)]
    results: list[GroupResult] = []
    threads = [
        threading.Thread(target=lambda one=one: results.append(one.fanout(one.command(nap_s=1), options=RunOptions())))
        for one in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.ok for result in results] == [2, 2]
    assert Counter(scene.began) == {"node-1": 2, "node-2": 2}
    assert scene.most_at_once <= 2  # one on each host
    assert any("has it" in attempt.reason for one in results for m in one.members for attempt in m.result.attempts)


def test_started_and_left(scene: Scene) -> None:
    result = scene.fanout(scene.command(nap_s=1), options=RunOptions(detach=True))
    assert {state for _, state in states(result)} == {RunState.RUNNING} and result.process_exit_code == 0
    assert scene.holders("node-1") == [result.members[0].result.run_id]
    assert until(lambda: len(scene._lines("-")) == 2)
    assert until(lambda: not scene.holders("node-1") + scene.holders("node-2"))
    rows = [row for row in scene.made.ledger() if row.group_id == result.group_id]
    assert {(row.state, row.ended_at) for row in rows} == {(RunState.RUNNING, None)}


def test_no_hosts_at_all(scene: Scene) -> None:
    with pytest.raises(NoHostError, match="there is no host to run it on"):
        scene.fanout("true", Wish(exclude=("node-1", "node-2")))


def test_a_project_that_must_not_be_sent_is_refused_before_anything(scene: Scene) -> None:
    before = len(scene.made.ledger())
    with (
        scene.made.cluster(scene.made.home, scene.heard, timeouts=QUICK) as cluster,
        pytest.raises(UsageError, match="refusing to sync"),
    ):
        cluster.groups.everywhere(intake.command_order("true", BOTH, RunOptions(), cluster.settings), GroupOptions())
    assert len(scene.made.ledger()) == before


# -- spread ------------------------------------------------------------------------------------------------------


def test_more_work_than_hosts_takes_turns_one_a_host(scene: Scene) -> None:
    result = scene.spread([scene.command(nap_s=0.3) + f" # {n}" for n in range(5)], options=RunOptions())
    assert {state for _, state in states(result)} == {OK} and len(scene.began) == 5
    assert scene.most_at_once == 2
    assert {member.result.host for member in result.members} == {"node-1", "node-2"}
    assert result.wall_s < result.sequential_s + 10
    assert until(lambda: not scene.holders("node-1") + scene.holders("node-2"))


def test_work_that_needs_no_sync_shares_a_host(own: Scene) -> None:
    for node in BOTH.hosts:
        figures = dlab.Figures(cpu_pct=5, iowait_pct=0, mem_pct=20, load1=0.1, cores=4)
        dlab.set_figures(own.made.lab, node, figures)
    own.spread([own.command(nap_s=1.5) + f" # {n}" for n in range(4)])
    assert own.most_at_once == 4 and Counter(own.began) == {"node-1": 2, "node-2": 2}


def test_slots_are_kept(scene: Scene) -> None:
    root = {name: str(scene.made.lab.node(name).root) for name in BOTH.hosts}
    hosts = {name: HostSettings(slots=1, probe_root=root[name]) for name in BOTH.hosts}
    scene.spread([scene.command(nap_s=0.5) + f" # {n}" for n in range(4)], hosts=hosts)
    assert scene.most_at_once == 2 and len(scene.began) == 4


def test_each_kind_where_it_is_served_best(own: Scene) -> None:
    for node, cpu, io in (("node-1", 15, 45), ("node-2", 65, 12)):
        figures = dlab.Figures(cpu_pct=cpu, iowait_pct=io, mem_pct=30, load1=cpu / 25, cores=4, psi_io_pct=io)
        dlab.set_figures(own.made.lab, node, figures)
    for turn in (0, 1):
        texts = ["optimize database queries", "build new API endpoints"]
        result = own.spread(texts[::-1] if turn else texts, commands=False, options=RunOptions())
        assert {member.label: member.result.host for member in result.members} == {
            "optimize-database-querie": "node-1",
            "build-new-api-endpoints": "node-2",
        }
    said = own.notices()
    assert "database, wants the host with the lowest CPU" in said and "api, wants the host with the lowest I/O" in said
    whys = [why for event in own.heard if isinstance(event, HostChosen) for why in event.why]
    assert any("no history yet" in why for why in whys) and any("completes it in" in why for why in whys)


def test_a_host_asked_for_is_a_promise(scene: Scene) -> None:
    result = scene.spread([Item(scene.command(), host="node-2"), Item(scene.command(), host="node-2")])
    assert scene.began == ["node-2", "node-2"] and result.ok == 2


def test_a_host_that_fails_loses_its_work_to_the_others(own: Scene) -> None:
    with own.made.cluster(own.project, own.heard, timeouts=QUICK) as cluster:
        cluster.load(BOTH, refresh=True)
    dlab.stop(own.made.lab, "node-1")  # the cache still says that it is the best
    result = own.spread([own.command() + f" # {n}" for n in range(3)])
    assert {state for _, state in states(result)} == {OK} and own.began == ["node-2"] * 3
    tried = [attempt.host for member in result.members for attempt in member.result.attempts]
    assert "node-1" in tried


def test_with_no_host_left_it_runs_here_one_by_one(own: Scene) -> None:
    for node in BOTH.hosts:
        dlab.stop(own.made.lab, node)
    result = own.spread([own.command(nap_s=0.2) + f" # {n}" for n in range(2)], Wish())
    assert {(m.result.state, m.result.host, m.result.fallback) for m in result.members} == {(OK, "local", "local")}
    assert len(own._lines("+")) == 2 and own.most_at_once == 1
    refused = own.spread([own.command()], Wish(), fallback="none")
    assert refused.members[0].result.state is RunState.UNREACHABLE and refused.process_exit_code == 69


def test_what_no_host_has_is_a_failure(scene: Scene) -> None:
    result = scene.spread([scene.command(), Item(scene.command())], Wish(requires=("tpu",)))
    assert {state for _, state in states(result)} == {SKIPPED} and not scene.began
    assert result.failed == 2 and "lacks tpu" in result.members[0].result.reason


def test_starts_of_agents_are_apart(own: Scene) -> None:
    """gummy names its files by the second: two starts in one second on one host would be one task."""
    result = own.spread([f"write text number {n}" for n in range(6)], commands=False, options=RunOptions(sync=False))
    assert result.ok == 6, states(result)
    for node in BOTH.hosts:
        logs = list((own.made.home_of(node) / ".claude/logs/gummy").glob("*-task.log"))
        ran = sum(member.result.host == node for member in result.members)
        assert len(logs) == ran > 0
    reports = {(member.result.host, member.result.report) for member in result.members}
    assert len(reports) == 6


def test_what_took_longest_before_goes_first(scene: Scene) -> None:
    one = Wish(hosts=("node-1",))
    short, long = scene.command(nap_s=0.1) + " # s", scene.command(nap_s=1.0) + " # l"
    scene.spread([short, long], one, RunOptions())
    scene.heard.clear()
    scene.spread([short, long], one, RunOptions())
    chosen = [event.run_id for event in scene.heard if isinstance(event, HostChosen)]
    labels = next(event.labels for event in scene.heard if isinstance(event, GroupStarted))
    commands = {row.run_id: row.command for row in scene.made.ledger()}
    assert len(labels) == 2 and [commands[run_id] for run_id in chosen] == [long, short]


# -- the user goes away ----------------------------------------------------------------------------------------


def test_ctrl_c_ends_what_runs_and_starts_nothing_more(scene: Scene) -> None:
    words = ["fanout", "--no-sync", "--jobs", "1", scene.command("sleep 60")]
    client = scene.made.start(*words, cwd=scene.project)
    assert until(lambda: scene.began)
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130, err
    assert b"cancelled" in err and b"not started: interrupted" in err and b"Traceback" not in err
    assert len(scene.began) == 1 and not scene.made.active_runs(scene.began[0])


def test_runs_outlive_their_client(scene: Scene) -> None:
    client = scene.made.start("fanout", "--no-sync", scene.command(nap_s=2), cwd=scene.project)
    assert until(lambda: len(scene.began) == 2)
    client.kill()
    client.communicate()
    assert until(lambda: len(scene._lines("-")) == 2)
    assert len(scene.began) == 2
