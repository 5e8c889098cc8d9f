"""From wish to result on real nodes: whatever fails, the command runs at most once, and every attempt is told."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dgummy import lab as dlab
from dgummy.chooser import Wish
from dgummy.events import AttemptEnded, Event, HostChosen, Notice, Output, RunEnded, RunStarted
from dgummy.intake import RunOptions
from dgummy.model import Failure, FailureKind, Host, RunResult, RunState
from dgummy.remote import compose
from dgummy.settings import Timeouts
from dgummy.transport.base import Answer, FrameSink, Limits, Reached, Script, Transport
from labs import NodeLab, plain, session_sshds, until

QUICK = Timeouts(connect_s=2, probe_s=5, script_s=10, silence_s=8, reconnect_s=2, kill_s=1, workspace_s=20)
NO_LIMITS = Limits()
NODES = ("node-1", "node-2")


@pytest.fixture
def made(own_lab: NodeLab) -> NodeLab:
    """Two nodes that a test may break; node-1 is clearly the best."""
    dlab.set_figures(own_lab.lab, "node-1", dlab.Figures(cpu_pct=5, iowait_pct=1, mem_pct=10, load1=0.1, cores=8))
    dlab.set_figures(own_lab.lab, "node-2", dlab.Figures(cpu_pct=70, iowait_pct=9, mem_pct=70, load1=3, cores=4))
    return own_lab


@dataclass
class Scene:
    """One lab with one project; `count` is where commands say that they ran."""

    made: NodeLab
    project: Path
    count: Path
    heard: list[Event] = field(default_factory=list)

    @property
    def command(self) -> str:
        return f"echo ${{DGUMMY_NODE:-local}} >>'{self.count}'; pwd"

    @property
    def ran_on(self) -> list[str]:
        return self.count.read_text().split() if self.count.exists() else []

    def run(
        self,
        command: str | None = None,
        wish: Wish | None = None,
        options: RunOptions | None = None,
        *,
        transport: Callable[[Transport], Transport] | None = None,
        before: Callable[[], None] = lambda: None,
        timeouts: Timeouts = QUICK,
        **settings: Any,
    ) -> RunResult:
        """Run the command; `before` happens after the figures were taken and before anything else."""
        with self.made.cluster(self.project, self.heard, transport=transport, timeouts=timeouts, **settings) as cluster:
            cluster.load(wish or Wish(), refresh=True)
            before()
            return cluster.run(command or self.command, wish or Wish(), options or RunOptions())

    def out(self) -> bytes:
        return b"".join(event.data for event in self.heard if isinstance(event, Output))

    def notices(self) -> str:
        return "\n".join(event.text for event in self.heard if isinstance(event, Notice))

    def holders(self, node: str) -> list[str]:
        """Who holds workspaces on a node."""
        locks = (self.made.home_of(node) / ".local/state/dgummy/workspaces").glob("*/lock/run")
        return [lock.read_text().strip() for lock in locks]


@pytest.fixture
def scene(made: NodeLab, tmp_path: Path) -> Scene:
    return Scene(made, made.project(), tmp_path / "count")


def outcomes(result: RunResult) -> list[tuple[str, RunState]]:
    return [(attempt.host, attempt.outcome) for attempt in result.attempts]


# -- in good order ---------------------------------------------------------------------------------------------


def test_it_runs_once_on_the_best_host_in_the_project(scene: Scene) -> None:
    result = scene.run()
    assert (result.state, result.host, result.exit_code, result.process_exit_code) == (RunState.OK, "node-1", 0, 0)
    assert scene.ran_on == ["node-1"]
    assert scene.out().decode().strip() == str(scene.made.remote_dir("node-1", scene.project))
    assert outcomes(result) == [("node-1", RunState.OK)]
    assert result.sync is not None and result.sync.ok and result.fallback is None
    kinds = [
        type(event) for event in scene.heard if isinstance(event, (HostChosen, RunStarted, AttemptEnded, RunEnded))
    ]
    assert kinds == [HostChosen, RunStarted, AttemptEnded, RunEnded]
    assert until(lambda: scene.holders("node-1") == [])
    row = scene.made.ledger()[0]
    assert (row.run_id, row.state, row.host, row.exit_code) == (result.run_id, RunState.OK, "node-1", 0)


def test_a_command_that_fails_is_no_host_that_failed(scene: Scene) -> None:
    result = scene.run(f"{scene.command}; exit 3")
    assert (result.state, result.process_exit_code) == (RunState.FAILED, 3)
    assert scene.ran_on == ["node-1"] and outcomes(result) == [("node-1", RunState.FAILED)]


def test_a_time_limit(scene: Scene) -> None:
    result = scene.run(f"{scene.command}; sleep 60", options=RunOptions(timeout_s=0.5))
    assert (result.state, result.process_exit_code) == (RunState.TIMED_OUT, 124)
    assert scene.ran_on == ["node-1"] and until(lambda: not scene.made.active_runs("node-1"))


def test_a_run_in_a_subfolder_that_is_not_sent(scene: Scene) -> None:
    """`build/` is ignored by git: the command runs in a folder of that name in the project, not in the home folder."""
    with scene.made.cluster(scene.project / "build", scene.heard, timeouts=QUICK) as cluster:
        cluster.run("pwd", Wish(), RunOptions())
    assert scene.out().decode().strip() == str(scene.made.remote_dir("node-1", scene.project) / "build")


def test_values_of_env_are_nowhere_but_in_the_command(scene: Scene) -> None:
    secret = "s3cr3t-ledger"
    result = scene.run('printf %s "$TOKEN" | wc -c', options=RunOptions(env={"TOKEN": secret}))
    assert scene.out().split() == [b"%d" % len(secret)]
    places = [scene.made.lab.directory, scene.made.home]
    assert until(lambda: scene.holders("node-1") == [])  # its supervisor is still tidying up
    for place in places:
        # grep -s: a supervisor that is tidying up takes files and folders away meanwhile.
        found = subprocess.run(["grep", "-rlsF", secret, place], capture_output=True, text=True, check=False)
        assert found.stdout == "", found
    assert result.state is RunState.OK


# -- the best host fails before the command starts -------------------------------------------------------------


def test_connection_refused_goes_to_the_next(scene: Scene) -> None:
    result = scene.run(before=lambda: dlab.stop(scene.made.lab, "node-1"))
    assert (result.state, result.host) == (RunState.OK, "node-2")
    assert scene.ran_on == ["node-2"]
    assert outcomes(result) == [("node-1", RunState.UNREACHABLE), ("node-2", RunState.OK)]
    assert "refused" in result.attempts[0].reason
    assert attempts_in_ledger(scene.made, result.run_id) == [("node-1", "unreachable"), ("node-2", "ok")]


def attempts_in_ledger(made: NodeLab, run_id: str) -> list[tuple[str, str]]:
    with sqlite3.connect(made.lab.directory / "state" / "runs.db") as connection:
        return connection.execute(
            "SELECT host, outcome FROM attempts WHERE run_id = ? ORDER BY seq", (run_id,)
        ).fetchall()


def take_workspace(scene: Scene, node: str, run_id: str = "20261123-000000-other0") -> None:
    """Somebody else syncs the same project there just now."""
    script = compose(
        ("start", "sync", "workspace"),
        "open_workspace",
        [str(scene.made.remote_dir(node, scene.project)), run_id, "bob@elsewhere", "120", "id"],
        variables={"DG_ROOT": str(scene.made.lab.node(node).root)},
    )
    transport = scene.made.transport()
    answer = transport.run_script(scene.made.host(node), script)
    transport.close()
    assert isinstance(answer, Answer) and answer.has("dir"), answer


def give_workspace_back(scene: Scene, node: str, run_id: str = "20261123-000000-other0") -> None:
    script = compose(
        ("start", "sync", "workspace"), "close_workspace", [str(scene.made.remote_dir(node, scene.project)), run_id]
    )
    transport = scene.made.transport()
    transport.run_script(scene.made.host(node), script)
    transport.close()


def test_a_workspace_in_use_goes_to_the_next(scene: Scene) -> None:
    result = scene.run(before=lambda: take_workspace(scene, "node-1"))
    assert (result.state, result.host) == (RunState.OK, "node-2")
    assert scene.ran_on == ["node-2"]
    assert outcomes(result) == [("node-1", RunState.SKIPPED), ("node-2", RunState.OK)]
    assert "bob@elsewhere" in result.attempts[0].reason
    assert scene.holders("node-1") == ["20261123-000000-other0"]


def test_waiting_for_a_workspace_tells_it_once_and_ends_when_it_is_free(scene: Scene) -> None:
    threading.Timer(5, give_workspace_back, (scene, "node-1")).start()
    result = scene.run(wish=Wish(hosts=("node-1",)), before=lambda: take_workspace(scene, "node-1"))
    assert (result.state, result.host) == (RunState.OK, "node-1")
    assert scene.ran_on == ["node-1"]
    assert outcomes(result) == [("node-1", RunState.SKIPPED), ("node-1", RunState.OK)]
    assert "waiting" in scene.notices()


def test_waiting_for_a_workspace_has_an_end(scene: Scene) -> None:
    take_workspace(scene, "node-1")
    timeouts = Timeouts(connect_s=2, probe_s=5, script_s=10, workspace_s=3)
    result = scene.run(wish=Wish(hosts=("node-1",)), timeouts=timeouts)
    assert result.process_exit_code == 75 and "bob@elsewhere" in result.reason
    assert scene.ran_on == []


def test_no_sync_claims_no_workspace(scene: Scene) -> None:
    take_workspace(scene, "node-1")
    result = scene.run(options=RunOptions(sync=False))
    assert (result.state, result.host) == (RunState.OK, "node-1")
    assert scene.holders("node-1") == ["20261123-000000-other0"]


def break_rsync(scene: Scene, node: str, text: str = "exit 12") -> None:
    program = scene.made.home_of(node) / "bin/rsync"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_a_sync_that_fails_goes_to_the_next(scene: Scene) -> None:
    break_rsync(scene, "node-1", "echo 'write failed: No space left on device (28)' >&2; exit 11")
    result = scene.run()
    assert (result.state, result.host) == (RunState.OK, "node-2")
    assert scene.ran_on == ["node-2"]
    assert outcomes(result) == [("node-1", RunState.SYNC_FAILED), ("node-2", RunState.OK)]
    assert scene.holders("node-1") == []  # given back


def test_a_host_without_rsync_is_not_even_tried(scene: Scene) -> None:
    (scene.made.home_of("node-1") / ".profile").write_text("PATH=/nonexistent; export PATH\n")
    result = scene.run(wish=Wish(hosts=NODES))
    assert (result.state, result.host) == (RunState.OK, "node-2")
    assert outcomes(result) == [("node-2", RunState.OK)]
    alone = scene.run(wish=Wish(hosts=("node-1",)))
    assert outcomes(alone) == [("node-1", RunState.SYNC_FAILED)]
    assert "rsync is not installed" in alone.attempts[0].reason and alone.process_exit_code == 74
    assert "inv doctor --host node-1" in alone.remedy
    assert scene.run(wish=Wish(hosts=("node-1",)), options=RunOptions(sync=False)).host == "node-1"


def test_a_state_folder_that_breaks_after_the_sync_goes_to_the_next(scene: Scene) -> None:
    """The disk is full, say, when the run's folder is to be made."""
    runs = scene.made.home_of("node-1") / ".local/state/dgummy/runs"

    def sabotage() -> None:
        shutil.rmtree(runs, ignore_errors=True)
        runs.parent.mkdir(parents=True, exist_ok=True)
        runs.touch()

    result = scene.run(before=sabotage)
    assert (result.state, result.host) == (RunState.OK, "node-2")
    assert scene.ran_on == ["node-2"]
    assert outcomes(result)[1] == ("node-2", RunState.OK)
    assert "cannot write" in result.attempts[0].reason and scene.holders("node-1") == []


# -- faults in the middle of a conversation --------------------------------------------------------------------


@dataclass
class Faulty:
    """A real transport whose conversations go wrong where a rule says so: `rules` maps a remote call to what happens.

    dropped: nothing is sent, and the transport knows it; lost: nothing is sent, and it cannot know; cut: half of the
    script is sent; deaf: all of it runs, and the answer gets lost; vanish: it begins, and then the node is gone.
    """

    inner: Transport
    scene: Scene
    rules: dict[str, str]
    node: str = "node-1"
    times: int = 1
    name: str = "ssh"
    calls: list[str] = field(default_factory=list)

    def connect(self, host: Host) -> Reached | Failure:
        return self.inner.connect(host)

    def run_script(
        self, host: Host, script: Script, limits: Limits = NO_LIMITS, sink: FrameSink | None = None
    ) -> Answer | Failure:
        call = re.findall(rb"\n(\w+)(?: '[^\n]*)? </dev/null\nSTATUS=", script.text)[-1].decode()
        self.calls.append(f"{host.name} {call}")
        fault = self.rules.get(call)
        if fault is None or host.name != self.node or self.times == 0:
            return self.inner.run_script(host, script, limits, sink)
        self.times -= 1
        return getattr(self, f"_{fault}")(host, script, limits, sink)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.inner.close()

    def _dropped(self, *_: object) -> Failure:
        return Failure(FailureKind.DROPPED, "dropped by the test")

    def _lost(self, *_: object) -> Failure:
        return Failure(FailureKind.LOST, "lost by the test")

    def _cut(self, host: Host, script: Script, limits: Limits, _: object) -> Failure:
        self.inner.run_script(host, Script(script.text[: len(script.text) // 2], script.marker), limits)
        return Failure(FailureKind.LOST, "cut by the test")

    def _deaf(self, host: Host, script: Script, limits: Limits, _: object) -> Failure:
        self.inner.run_script(host, script, limits)
        return Failure(FailureKind.LOST, "deaf by the test")

    def _vanish(self, host: Host, script: Script, limits: Limits, sink: FrameSink | None) -> Answer | Failure:
        def stop() -> None:
            until(lambda: self.scene.ran_on)
            dlab.stop(self.scene.made.lab, host.name)

        threading.Thread(target=stop).start()
        return self.inner.run_script(host, script, limits, sink)


SYNC_CALLS = ("open_workspace", "begin_sync", "end_sync")
FAULTS = [
    *[(call, fault, "node-2") for call in SYNC_CALLS for fault in ("dropped", "lost", "cut", "deaf")],
    ("start_and_follow", "dropped", "node-2"),
    ("start_and_follow", "lost", "node-1"),
    ("start_and_follow", "cut", "node-1"),
    ("start_and_follow", "deaf", "node-1"),
]


@pytest.mark.parametrize(("call", "fault", "host"), FAULTS)
def test_a_fault_at_any_stage_never_runs_it_twice(scene: Scene, call: str, fault: str, host: str) -> None:
    """A host that provably did not start it is left; a start whose fate is unknown is taken up again, on that host."""
    faulty: list[Faulty] = []

    def wrap(inner: Transport) -> Transport:
        faulty.append(Faulty(inner, scene, {call: fault}))
        return faulty[0]

    result = scene.run(transport=wrap)
    assert f"node-1 {call}" in faulty[0].calls and faulty[0].times == 0
    assert (result.state, result.host) == (RunState.OK, host), result
    assert scene.ran_on == [host]
    assert outcomes(result)[-1] == (host, RunState.OK)
    assert len(result.attempts) == (1 if host == "node-1" else 2)
    assert until(lambda: scene.holders(host) == [])


def test_a_host_that_vanishes_while_it_runs_is_lost_and_not_replaced(scene: Scene) -> None:
    faulty: list[Faulty] = []

    def wrap(inner: Transport) -> Transport:
        faulty.append(Faulty(inner, scene, {"start_and_follow": "vanish"}))
        return faulty[0]

    result = scene.run(f"{scene.command}; sleep 20", transport=wrap)
    assert (result.state, result.process_exit_code) == (RunState.LOST, 75)
    assert scene.ran_on == ["node-1"]
    assert outcomes(result) == [("node-1", RunState.LOST)]
    assert result.run_id in result.remedy
    assert scene.made.ledger()[0].state is RunState.LOST


def test_a_host_that_reboots_while_it_runs_is_lost_and_not_replaced(scene: Scene) -> None:
    def reboot() -> None:
        until(lambda: scene.ran_on)
        dlab.reboot(scene.made.lab, "node-1")

    threading.Thread(target=reboot).start()
    result = scene.run(f"{scene.command}; sleep 20", timeouts=Timeouts(connect_s=2, silence_s=8, reconnect_s=20))
    assert (result.state, result.process_exit_code) == (RunState.LOST, 75)
    assert "restarted" in result.reason
    assert scene.ran_on == ["node-1"]
    # What it did to the project is not known, so the next one has to say that this is looked at first.
    scene.heard.clear()
    on_it = Wish(hosts=("node-1",))
    refused = scene.run(wish=on_it)
    assert (refused.state, refused.process_exit_code) == (RunState.SKIPPED, 75)
    assert f"inv collect {result.run_id}" in refused.remedy
    assert scene.run(wish=on_it, options=RunOptions(collect_first=True)).state is RunState.OK


def test_a_run_that_is_cancelled_from_elsewhere_before_it_starts_goes_nowhere_else(scene: Scene) -> None:
    """Somebody calls it off during the sync: that is the end of it, not a reason to try the next host."""
    break_rsync(scene, "node-1", 'touch "$HOME/syncing"; sleep 1.5; exec /usr/bin/rsync "$@"')

    def cancel() -> None:
        until(lambda: (scene.made.home_of("node-1") / "syncing").exists())
        run_id = scene.made.ledger()[0].run_id
        script = compose(("workspace", "start", "control"), "cancel_run", [run_id, "1"])
        transport = scene.made.transport()
        transport.run_script(scene.made.host("node-1"), script)
        transport.close()

    thread = threading.Thread(target=cancel)
    result = scene.run(before=thread.start)
    thread.join()
    assert (result.state, result.process_exit_code) == (RunState.CANCELLED, 130), result
    assert scene.ran_on == [] and len(result.attempts) == 1


def test_a_client_that_slept_through_its_lease_starts_nothing_in_a_workspace_of_others(scene: Scene) -> None:
    """Laptop closed after the sync, opened when another run has the workspace: it goes to the other host."""
    folder = str(scene.made.remote_dir("node-1", scene.project))

    def wrap(inner: Transport) -> Transport:
        return Sleepy(inner, scene, {})

    class Sleepy(Faulty):
        def run_script(
            self, host: Host, script: Script, limits: Limits = NO_LIMITS, sink: FrameSink | None = None
        ) -> Answer | Failure:
            if b"\nstart_and_follow " in script.text and host.name == "node-1":
                since = next((scene.made.home_of("node-1") / ".local/state/dgummy/workspaces").glob("*/lock/since"))
                since.write_text("1000\n")
                take_workspace(scene, "node-1")
            return super().run_script(host, script, limits, sink)

    result = scene.run(transport=wrap)
    assert result.host == "node-2" and scene.ran_on == ["node-2"]
    assert scene.holders("node-1") == ["20261123-000000-other0"], folder


# -- nobody can take it ----------------------------------------------------------------------------------------


def stop_all(scene: Scene) -> None:
    for node in NODES:
        dlab.stop(scene.made.lab, node)


def test_all_down_runs_here(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scene.made.home))
    monkeypatch.delenv("DGUMMY_NODE", raising=False)
    result = scene.run(before=lambda: stop_all(scene))
    assert (result.state, result.host, result.fallback) == (RunState.OK, "local", "local")
    assert scene.ran_on == ["local"]
    assert scene.out().decode().strip() == str(scene.project)
    assert sorted(outcomes(result)) == [
        ("local", RunState.OK),
        ("node-1", RunState.UNREACHABLE),
        ("node-2", RunState.UNREACHABLE),
    ]


def test_all_down_known_from_the_probe_runs_here_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scene.made.home))
    stop_all(scene)
    result = scene.run()
    assert (result.host, result.fallback) == ("local", "local") and scene.ran_on == ["local"]
    assert {host for host, state in outcomes(result) if state is RunState.UNREACHABLE} == set(NODES)


def test_a_named_host_is_a_promise(scene: Scene) -> None:
    result = scene.run(wish=Wish(hosts=("node-1",)), before=lambda: dlab.stop(scene.made.lab, "node-1"))
    assert (result.state, result.process_exit_code) == (RunState.UNREACHABLE, 69)
    assert scene.ran_on == [] and outcomes(result) == [("node-1", RunState.UNREACHABLE)]


def test_without_fallback_the_cause_decides_the_exit_code(scene: Scene) -> None:
    for node in NODES:
        break_rsync(scene, node)
    result = scene.run(fallback="none")
    assert (result.state, result.process_exit_code) == (RunState.SYNC_FAILED, 74), result
    assert scene.ran_on == [] and outcomes(result) == [(node, RunState.SYNC_FAILED) for node in NODES]
    scene.heard.clear()
    result = scene.run(fallback="none", before=lambda: stop_all(scene))
    assert (result.state, result.process_exit_code) == (RunState.UNREACHABLE, 69)
    assert scene.ran_on == []


def test_sync_failed_everywhere_runs_here(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(scene.made.home))
    for node in NODES:
        break_rsync(scene, node)
    result = scene.run()
    assert (result.host, result.fallback) == ("local", "local")
    assert outcomes(result) == [*((node, RunState.SYNC_FAILED) for node in NODES), ("local", RunState.OK)]


def test_a_refusal_is_77(scene: Scene) -> None:
    def sabotage() -> None:
        (scene.made.lab.directory / "authorized_keys").write_text("")

    for fallback, wish in (("none", Wish()), ("local", Wish(hosts=("node-1",)))):
        (scene.made.lab.directory / "authorized_keys").write_text("")
        result = scene.run(wish=wish, fallback=fallback, before=sabotage)
        assert (result.state, result.process_exit_code) == (RunState.REFUSED, 77), result
    assert scene.ran_on == []


def test_busy_is_no_reason_to_run_here(scene: Scene) -> None:
    for node in NODES:
        take_workspace(scene, node)
    timeouts = Timeouts(connect_s=2, probe_s=5, script_s=10, workspace_s=2)
    result = scene.run(timeouts=timeouts)
    assert result.process_exit_code == 75 and scene.ran_on == []


def test_what_this_machine_lacks_is_not_run_here(scene: Scene) -> None:
    result = scene.run(wish=Wish(requires=("no-such-tool",)), before=lambda: stop_all(scene))
    assert result.process_exit_code == 69 and scene.ran_on == []


# -- several at once -------------------------------------------------------------------------------------------


def intervals(path: Path) -> list[tuple[float, float, str]]:
    """`BEGIN END NODE` lines."""
    rows = [line.split() for line in path.read_text().splitlines()]
    return sorted((float(begin), float(end), node) for begin, end, node in rows)


TIMED = "b=$(date +%s.%N); sleep 1.5; echo $b $(date +%s.%N) $DGUMMY_NODE >>'{}'"


def test_two_runs_of_one_project_go_to_different_hosts(scene: Scene) -> None:
    command = TIMED.format(scene.count)
    clients = [scene.made.start("run", command, cwd=scene.project) for _ in range(2)]
    for client in clients:
        _, err = client.communicate(timeout=60)
        assert client.returncode == 0, err
    (_, end1, node1), (begin2, _, node2) = intervals(scene.count)
    assert {node1, node2} == set(NODES)
    assert begin2 < end1, "they did not run at the same time"


def test_two_runs_for_one_host_take_turns(scene: Scene) -> None:
    command = TIMED.format(scene.count)
    clients = [scene.made.start("run", "--host", "node-1", command, cwd=scene.project) for _ in range(2)]
    texts = []
    for client in clients:
        _, err = client.communicate(timeout=60)
        assert client.returncode == 0, err
        texts.append(plain(err))
    (_, end1, node1), (begin2, _, node2) = intervals(scene.count)
    assert node1 == node2 == "node-1" and begin2 > end1
    assert sum("waiting" in text for text in texts) == 1


def test_two_no_sync_runs_run_beside_each_other(scene: Scene) -> None:
    command = TIMED.format(scene.count)
    words = ("run", "--no-sync", "--host", "node-1", command)
    clients = [scene.made.start(*words, cwd=scene.project) for _ in range(2)]
    for client in clients:
        client.communicate(timeout=60)
    (_, end1, _), (begin2, _, _) = intervals(scene.count)
    assert begin2 < end1


# -- Ctrl-C ----------------------------------------------------------------------------------------------------


@pytest.fixture
def client(scene: Scene) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A function that starts `dgummy` clients, which do not outlive the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> subprocess.Popen[bytes]:
        started.append(scene.made.start(*words, cwd=scene.project))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_the_whole_group_there(scene: Scene, client: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = client("run", "--host", "node-1", f"{scene.command}; sleep 61 & sleep 62")
    until(lambda: scene.ran_on and any(len(pids) == 2 for pids in scene.made.active_runs("node-1").values()))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, plain(err)
    assert "cancel" in plain(err)
    assert not scene.made.active_runs("node-1")
    left = subprocess.run(["pgrep", "-f", "^sleep 6[12]$"], capture_output=True, text=True).stdout.split()
    mine = [pid for pid in left if str(scene.made.lab.directory) in Path(f"/proc/{pid}/environ").read_text()]
    assert not mine
    assert scene.made.ledger()[0].state is RunState.CANCELLED
    assert until(lambda: scene.holders("node-1") == [])


def test_a_second_ctrl_c_leaves_it_to_itself(scene: Scene, client: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = client(
        "run", "--host", "node-1", f"{scene.command}; trap '' TERM; sleep 3; echo survived >>{scene.count}"
    )
    until(lambda: scene.ran_on and any(len(pids) == 2 for pids in scene.made.active_runs("node-1").values()))
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 3
    assert scene.made.ledger()[0].state is RunState.LOST  # not over for us: the next look at it says how it ended


def test_ctrl_c_during_the_sync_starts_nothing(scene: Scene, client: Callable[..., subprocess.Popen[bytes]]) -> None:
    break_rsync(scene, "node-1", 'touch "$HOME/syncing"; sleep 4; exec /usr/bin/rsync "$@"')
    process = client("run", "--host", "node-1", scene.command)
    until(lambda: (scene.made.home_of("node-1") / "syncing").exists())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, plain(err)
    assert until(lambda: scene.holders("node-1") == [])
    time.sleep(0.5)
    assert scene.ran_on == [] and scene.made.ledger()[0].state is RunState.CANCELLED


def test_a_client_killed_during_the_sync_keeps_others_out_no_longer_than_its_lease(
    scene: Scene, client: Callable[..., subprocess.Popen[bytes]]
) -> None:
    break_rsync(scene, "node-1", 'touch "$HOME/syncing"; sleep 4; exec /usr/bin/rsync "$@"')
    process = client("run", "--host", "node-1", scene.command)
    until(lambda: (scene.made.home_of("node-1") / "syncing").exists())
    process.kill()
    process.communicate()
    assert len(scene.holders("node-1")) == 1
    since = next((scene.made.home_of("node-1") / ".local/state/dgummy/workspaces").glob("*/lock/since"))
    since.write_text(f"{int(since.read_text()) - 200}\n")
    (scene.made.home_of("node-1") / "bin/rsync").unlink()
    result = scene.run(wish=Wish(hosts=("node-1",)))
    assert result.state is RunState.OK and scene.ran_on == ["node-1"]


def test_a_client_killed_while_it_runs_leaves_the_run_to_its_end(
    scene: Scene, client: Callable[..., subprocess.Popen[bytes]]
) -> None:
    process = client("run", "--host", "node-1", f"{scene.command}; sleep 2; echo end >>{scene.count}")
    until(lambda: scene.ran_on)
    process.kill()
    process.communicate()
    until(lambda: scene.ran_on == ["node-1", "end"])
    until(lambda: not scene.made.active_runs("node-1"))
    assert scene.holders("node-1") == []


def test_no_processes_are_left_behind(scene: Scene) -> None:
    scene.run()
    until(lambda: not session_sshds(scene.made.lab, "node-1"))
    until(lambda: not scene.made.active_runs("node-1"))  # the supervisor tidies up once the end is written down
