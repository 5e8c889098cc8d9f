"""Hosts through `d`: a stand-in for it in both dialects, real ssh and rsync to real sshd below it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import standin_dw
from dgummy import lab as labs
from dgummy.dhelp import USE_CASES, Dialect
from dgummy.dtext import SYNC_EXCLUDE, DLoad, DStatus
from dgummy.lab import Figures, Lab
from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.base import Answer, Limits, Pushed, Reached
from dgummy.transport.dcmd import DCommand, DTransport
from dgummy.transport.dfind import Found, find
from dgummy.transport.dscript import D_FAILED, UNREACHED
from dgummy.transport.framing import Data, Fact, Frame
from labs import SSHD, session_sshds, until
from sshd import Sshd, needs_sshd, running
from test_transport import (  # noqa: F401 - the behaviour suite, run here over `d`; `server` is its fixture
    Carrier,
    server,
    shell,
    test_a_fact_may_hold_any_characters,
    test_a_killed_script_is_lost,
    test_a_script_of_five_megabytes,
    test_a_slow_sink_is_not_silence,
    test_an_error_in_the_sink_is_ours_to_see_and_ends_the_script,
    test_characters_survive_the_edges_of_chunks,
    test_connect_says_how_it_was_reached,
    test_every_byte_goes_in_and_comes_out,
    test_exit_status,
    test_facts_noise_and_exit_status_stay_apart,
    test_frames_come_while_the_script_runs,
    test_half_a_script_runs_nothing,
    test_idle_limit_counts_silence_only,
    test_large_noise_is_not_kept,
    test_large_output_is_not_kept,
    test_no_threads_or_files_are_left_behind,
    test_scripts_at_once_do_not_mix,
    test_scripts_start_at_home,
    test_text_arrives_byte_for_byte,
    test_the_sink_is_called_by_whoever_runs_the_script,
    test_total_limit,
    test_what_a_script_leaves_behind_does_not_hold_it_up,
)

DATA = Path(__file__).parent / "data" / "dw"
DIALECTS = ("released", "seed")
FIGURES = Figures(cpu_pct=20, mem_pct=1.4, load1=0.66, cores=2)
"""What the hosts of the captures had."""

pytestmark = [pytest.mark.lab, needs_sshd]


# -- the behaviour suite -------------------------------------------------------------------------------------------


def ssh_config_of(sshd: Sshd) -> Path:
    """How plain ssh reaches a private sshd as `node`."""
    target = sshd.target()
    path = sshd.folder / "ssh_config"
    lines = [
        "Host node",
        f"HostName {target.hostname}",
        f"Port {target.port}",
        f"User {target.user}",
        f"IdentityFile {sshd.client_key}",
        f"UserKnownHostsFile {sshd.known_hosts}",
        "GlobalKnownHostsFile /dev/null",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        "StrictHostKeyChecking yes",
        "BatchMode yes",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(params=[pytest.param(dialect, marks=pytest.mark.slow) for dialect in DIALECTS])
def carrier(request: pytest.FixtureRequest, tmp_path: Path, server: Sshd) -> Carrier:  # noqa: F811 - its fixture
    """What the imported tests run over."""
    program = standin_dw.install(
        tmp_path / "bin", dialect=request.param, ssh_config=ssh_config_of(server), probes=False
    )
    return Carrier(DTransport(DCommand(found_at(program, request.param))), Host("node"))


def found_at(program: Path, dialect: str) -> Found:
    """What `find` says of a stand-in, without asking."""
    words = {use: (str(program), use) for use in USE_CASES}
    return Found(str(program), Dialect(dialect), words, dry_run=dialect == "released")


# -- a lab, and a `d` that knows it --------------------------------------------------------------------------------


class Scene:
    """Nodes node-1 and node-2 that are up, node-3 that is not, a home folder, and programs."""

    def __init__(self, lab: Lab, folder: Path, home: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.home = home
        self.log = folder / "log"

    def install(self, dialect: str = "released", fault: str = "", *, on: str = "run", probes: bool = True) -> Path:
        return standin_dw.install(
            self.folder / "bin",
            dialect=dialect,
            ssh_config=self.lab.ssh_config_path,
            faults={on: fault} if fault else {},
            probes=probes,
            log=self.log,
        )

    def command(self, dialect: str = "released", fault: str = "", *, on: str = "run", probes: bool = True) -> DCommand:
        found = found_at(self.install(dialect, fault, on=on, probes=probes), dialect)
        return DCommand(found, timeout_s=30, idle_s=30)

    def transport(
        self, dialect: str = "released", fault: str = "", *, probes: bool = False, reach_s: float = 30
    ) -> DTransport:
        return DTransport(self.command(dialect, fault, probes=probes), reach_s=reach_s)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def project(self, name: str = "projx") -> Path:
        project = self.home / name
        for path, text in {"a.txt": "1\n", "src/b.py": "2\n", ".git/HEAD": "x"}.items():
            (project / path).parent.mkdir(parents=True, exist_ok=True)
            (project / path).write_text(text)
        return project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if SSHD is None:
        pytest.skip("there is no sshd on this machine")
    lab = labs.up(tmp_path_factory.mktemp("d") / "lab", 2, down_nodes=1, figures=[FIGURES, FIGURES])
    yield lab
    labs.down(lab)


@pytest.fixture
def scene(made: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    home = tmp_path / "home"
    config = home / ".config/distributed/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("groups:\n  dev: [node-1, node-2, node-3]\n  empty: []\n")
    monkeypatch.setenv("HOME", str(home))
    return Scene(made, tmp_path, home)


def failed(value: object) -> Failure:
    assert isinstance(value, Failure), value
    assert value.detail.isprintable() and len(value.detail) < 600
    return value


# -- the stand-in is true to the captures --------------------------------------------------------------------------

RUN = {
    "load": ["load"],
    "load_empty": ["load", "-g", "empty"],
    "load_nogroup": ["load", "-g", "nope"],
    "load_host": ["load", "--host", "node-1"],
    "run_host": ["run", "--host", "node-1", "--", "echo hi; echo err >&2; exit 3"],
    "run_flags": ["run", "--host", "node-1", "ls", "-la", "/"],
    "run_pos": ["run", "node-1", "echo hi"],
    "run_down": ["run", "--host", "node-3", "--", "true"],
    "run_all": ["run", "--all", "hostname; exit 5"],
    "config_show": ["config", "show"],
    "help": ["--help"],
    "unknown": ["frob"],
    "status": ["status"],
    "sync_down": ["sync", "projx", "--host", "node-3"],
    "sync_pos": ["sync", "node-1"],
}
TO_THE_BYTE = (
    "load",
    "load_empty",
    "load_nogroup",
    "load_host",
    "run_host",
    "run_flags",
    "run_down",
    "help",
    "unknown",
)


def told(program: Path, *words: str, cwd: Path) -> dict[str, str]:
    done = subprocess.run([program, *words], stdin=subprocess.DEVNULL, capture_output=True, cwd=cwd, check=False)
    return {"out": done.stdout.decode(), "err": done.stderr.decode(), "rc": f"{done.returncode}\n"}


def captured(name: str) -> dict[str, str]:
    return {stream: (DATA / f"{name}.{stream}").read_bytes().decode() for stream in ("out", "err", "rc")}


def shape(text: str, scene: Scene) -> list[str]:
    """Lines without what differs from machine to machine, in an order of their own."""
    for folder in (scene.home, *(node.home for node in scene.lab.nodes)):
        text = text.replace(str(folder), "/home/dev")
    text = re.sub(rf"^({re.escape(socket.gethostname())}|node-\d)$", "vm", text, flags=re.MULTILINE)
    # Which of two ends of a broken pipe rsync notices first is a matter of luck.
    text = text.replace("error in rsync protocol data stream", "unexplained error")
    text = re.sub(r"^.*\bnode-1: (?:command )?not found", "node-1: not found", text, flags=re.MULTILINE)
    return sorted(re.sub(r" +", " ", re.sub(r"[\d.,]*\d", "0", line)) for line in text.split("\n"))


@pytest.mark.parametrize("name", RUN)
def test_the_stand_in_prints_what_the_captures_show(name: str, scene: Scene) -> None:
    project = scene.project()
    program = scene.install()
    if name == "status":
        hosts = "Host bare\n    ProxyCommand false\n\nHost a\n    HostName 127.0.1.4\n\nHost *\n"
        config = scene.folder / "ssh_config"
        config.write_text(scene.lab.ssh_config_path.read_text().replace("Host *\n", hosts))
        program = standin_dw.install(scene.folder / "bin", ssh_config=config)
    got = told(program, *RUN[name], cwd=project if name == "sync_pos" else scene.home)
    want = captured(name)
    if name in TO_THE_BYTE:
        assert got == want
    for stream in ("out", "err", "rc"):
        assert shape(got[stream], scene) == shape(want[stream], scene)


def test_the_stand_in_syncs_as_the_captures_show(scene: Scene) -> None:
    scene.project()
    program = scene.install()
    for name, more in (("sync_host", []), ("sync_dry", ["--dry-run"])):
        got = told(program, "sync", "projx", "--host", "node-1", *more, cwd=scene.home)
        want = captured(name)
        for stream in ("out", "err", "rc"):
            assert shape(got[stream], scene) == shape(want[stream], scene)
    remote = scene.lab.node("node-1").home / "projx"
    assert (remote / "src/b.py").read_text() == "2\n" and not (remote / ".git").exists()


def test_what_sync_leaves_out() -> None:
    assert list(SYNC_EXCLUDE) == standin_dw.EXCLUDE


# -- load and status -----------------------------------------------------------------------------------------------

UP = DLoad("node-1", 0.66, 2, 33.0, 1.0)
LOADS = (UP, DLoad("node-2", 0.66, 2, 33.0, 1.0), DLoad("node-3"))


def test_load_of_the_released_one(scene: Scene) -> None:
    command = scene.command()
    assert command.load() == LOADS
    assert command.load("dev") == LOADS
    assert command.load(hosts=["node-3", "node-1"]) == (DLoad("node-3"), UP)
    assert [call[1:] for call in scene.calls()] == [
        ["load"],
        ["load", "--group", "dev"],
        ["load", "--host", "node-3"],
        ["load", "--host", "node-1"],
    ]


def test_load_of_the_other_dialect(scene: Scene) -> None:
    command = scene.command("seed")
    wanted = tuple(DLoad(load.host, load.load1, None, load.cpu_pct, load.mem_pct) for load in LOADS)
    assert command.load("dev") == wanted
    assert command.load(hosts=["node-2"]) == (wanted[1],)
    assert {tuple(call[1:]) for call in scene.calls()} == {("load",)}


def test_a_group_that_d_does_not_know(scene: Scene) -> None:
    failure = failed(scene.command().load("nope"))
    assert failure.kind is D_FAILED
    assert failure.detail == 'dw load --group nope: exit status 1: group "nope" not found'


@pytest.mark.parametrize("fault", ["extra-column", "missing-column", "reordered", "coloured"])
def test_a_table_of_another_shape_is_read_right(scene: Scene, fault: str) -> None:
    cores = None if fault == "missing-column" else 2
    assert scene.command(fault=fault, on="load").load(hosts=["node-1"]) == (DLoad("node-1", 0.66, cores, 33.0, 1.0),)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("hang", FailureKind.TIMED_OUT, "no end within 1.0 s"),
        ("flood", D_FAILED, "printed more than 262 KB"),
        ("garbage", D_FAILED, "printed something odd"),
        ("nothing", D_FAILED, "no table of hosts"),
        ("signal", D_FAILED, "killed by signal 9: → about to go"),
        ("exit", D_FAILED, "exit status 2: panic: something is wrong"),
        ("error", D_FAILED, 'exit status 1: group "dev" not found'),
        ("extra-cell", D_FAILED, "7 cells under 6 names: 'node-1 0.66 41.5"),
        ("missing-cell", D_FAILED, "'node-1 2 33% 1% 23.40"),
    ],
)
def test_a_broken_load_is_a_failure_with_its_last_words(scene: Scene, fault: str, kind: FailureKind, said: str) -> None:
    began = time.monotonic()
    failure = failed(scene.command(fault=fault, on="load").load(timeout_s=1.0 if fault == "hang" else None))
    assert failure.kind is kind and said in failure.detail, failure
    assert failure.remedy
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("dialect", DIALECTS)
def test_status(scene: Scene, dialect: str) -> None:
    wanted = tuple(DStatus(f"node-{number}", number < 3, "127.0.0.1") for number in (1, 2, 3))
    assert scene.command(dialect).status() == wanted
    assert failed(scene.command(dialect, "garbage", on="status").status()).kind is D_FAILED


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "", "a b", "a/b", "a\nb", "--all"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_odd_host_names_never_reach_d(scene: Scene, dialect: str, name: str) -> None:
    command = scene.command(dialect)
    if dialect == "released":
        assert failed(command.load(hosts=[name])).kind is FailureKind.CONFIG
    assert failed(command.sync(scene.project(), name)).kind is FailureKind.CONFIG
    assert failed(command.run_words(name)).kind is FailureKind.CONFIG
    reply = DTransport(command).run_script(Host("x", paths=(name,)), shell("fact x"))
    assert failed(reply).kind is FailureKind.CONFIG
    assert failed(DTransport(command).connect(Host("x", paths=(name,)))).kind is FailureKind.CONFIG
    assert scene.calls() == []


def test_use_cases_that_it_does_not_have(scene: Scene) -> None:
    command = scene.command("seed")
    words = {use: words for use, words in command.found.words.items() if use == "load"}
    lacking = DCommand(Found(command.found.path, command.found.dialect, words))
    for answer in (lacking.status(), lacking.sync(scene.home, "node-1"), lacking.run_words("node-1")):
        assert "has no" in failed(answer).detail
    assert "has no run" in failed(DTransport(lacking).run_script(Host("node-1"), shell("fact x"))).detail


# -- sync ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_sync(scene: Scene, dialect: str) -> None:
    project = scene.project(f"of {dialect}")
    command = scene.command(dialect)
    pushed = command.sync(project, "node-2")
    assert isinstance(pushed, Pushed), pushed
    assert (pushed.files, pushed.bytes) == (2, 4)
    remote = scene.lab.node("node-2").home / project.name
    assert (remote / "a.txt").read_text() == "1\n" and not (remote / ".git").exists()
    again = command.sync(project, "node-2")
    assert isinstance(again, Pushed) and again.files == 0
    expected = ["sync", str(project), "--host", "node-2"] if dialect == "released" else ["sync", "node-2"]
    assert scene.calls()[0][1:] == expected


def test_a_dry_sync_sends_nothing(scene: Scene) -> None:
    project = scene.project("dry")
    pushed = scene.command().sync(project, "node-2", dry=True)
    assert isinstance(pushed, Pushed) and pushed.files == 2
    assert not (scene.lab.node("node-2").home / "dry").exists()
    assert "no dry run" in failed(scene.command("seed").sync(project, "node-2", dry=True)).detail


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_sync_to_a_host_that_is_down(scene: Scene, dialect: str) -> None:
    failure = failed(scene.command(dialect).sync(scene.project(), "node-3"))
    assert failure.kind is FailureKind.REFUSED and "Connection refused" in failure.detail


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("hang", FailureKind.TIMED_OUT, "nothing heard for 1.0 s"),
        ("signal", FailureKind.SYNC, "killed by signal 9"),
        ("exit", FailureKind.SYNC, "panic: something is wrong"),
        ("silent-loss", FailureKind.SYNC, "lost half-way"),
    ],
)
def test_a_broken_sync(scene: Scene, fault: str, kind: FailureKind, said: str) -> None:
    command = scene.command(fault=fault, on="sync")
    if fault == "hang":
        command = DCommand(command.found, idle_s=1.0)
    failure = failed(command.sync(scene.project(), "node-1"))
    assert failure.kind is kind and said in failure.detail, failure


def test_a_sync_of_what_is_not_there(scene: Scene) -> None:
    command = scene.command()
    for path in (scene.home / "no-such", Path("relative")):
        assert failed(command.sync(path, "node-1")).kind is FailureKind.SYNC
    assert scene.calls() == []


def test_a_sync_is_cancelled(scene: Scene) -> None:
    cancelled, ticks = threading.Event(), []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 2:
            cancelled.set()

    began = time.monotonic()
    command = scene.command(fault="hang", on="sync")
    failure = failed(command.sync(scene.project(), "node-1", on_tick=tick, cancelled=cancelled))
    assert failure.kind is FailureKind.CANCELLED
    assert time.monotonic() - began < 15


# -- scripts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_script_runs_on_the_host_that_was_named(scene: Scene, dialect: str) -> None:
    transport = scene.transport(dialect, probes=True)
    assert transport.name == "d"
    reply = transport.run_script(Host("node-2"), shell('fact who "$DGUMMY_NODE"; echo a; echo b >&2; (exit 7)'))
    assert isinstance(reply, Answer), reply
    assert (reply.exit_status, reply.first("who")) == (7, "node-2")
    assert reply.noise == "a\nb"  # without chatter, usage and the status of d's own
    words = {
        "released": [["dw", "run", "--host", "node-2", "--", "exec", "sh", "-s"]],
        "seed": [["dw", "run", "node-2", "exec sh -s"]],
    }
    assert scene.calls() == words[dialect]


def test_one_word_commands_carry_scripts_too(scene: Scene) -> None:
    folder = scene.folder / "words"
    standin_dw.install_words(folder, dialect="seed", ssh_config=scene.lab.ssh_config_path)
    found = find(None, path=str(folder) + ":/usr/bin:/bin", cache_path=scene.folder / "d.json", timeout_s=20)
    assert isinstance(found, Found)
    reply = DTransport(DCommand(found)).run_script(Host("node-1"), shell('fact who "$DGUMMY_NODE"'))
    assert isinstance(reply, Answer) and reply.first("who") == "node-1"
    loads = DCommand(found).load()
    assert not isinstance(loads, Failure) and loads[0].load1 == 0.66


@pytest.mark.parametrize(("dialect", "probes"), [("released", True), ("released", False), ("seed", False)])
def test_a_host_that_is_down(scene: Scene, dialect: str, probes: bool) -> None:
    failure = failed(scene.transport(dialect, probes=probes).run_script(Host("node-3"), shell("fact x")))
    if probes:
        assert (failure.kind, failure.detail) == (UNREACHED, "d does not reach node-3")
    else:
        assert failure.kind is FailureKind.REFUSED and "Connection refused" in failure.detail


def test_the_paths_of_a_host_are_tried_in_order(scene: Scene) -> None:
    transport = scene.transport(probes=True)
    host = Host("mine", paths=("node-3", "node-2"))
    assert transport.connect(host) == Reached("node-3", "", 0.0)
    reply = transport.run_script(host, shell('fact who "$DGUMMY_NODE"'))
    assert isinstance(reply, Answer) and reply.first("who") == "node-2"
    assert transport.connect(host) == Reached("node-2", "", 0.0)
    assert [call[3] for call in scene.calls()] == ["node-3", "node-2"]
    transport.run_script(host, shell("fact x"))
    assert [call[3] for call in scene.calls()] == ["node-3", "node-2", "node-2"]
    transport.close()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("hang", FailureKind.TIMED_OUT, "not on node-1 within 1.0 s"),
        ("garbage", D_FAILED, ""),
        ("flood", D_FAILED, ""),
        ("nothing", D_FAILED, "ended with status 0 without running sh"),
        ("signal", D_FAILED, "about to go"),
        # These took the script. What became of it cannot be known.
        ("silent-loss", FailureKind.LOST, "Broken pipe"),
    ],
)
def test_a_broken_run(scene: Scene, dialect: str, fault: str, kind: FailureKind, said: str) -> None:
    transport = scene.transport(dialect, fault, reach_s=1.0 if fault == "hang" else 30)
    began = time.monotonic()
    failure = failed(transport.run_script(Host("node-1"), shell("fact x")))
    assert failure.kind is kind and said in failure.detail, failure
    assert time.monotonic() - began < 15


def test_a_d_that_takes_the_script_and_fails(scene: Scene) -> None:
    failure = failed(scene.transport("released", "exit").run_script(Host("node-1"), shell("fact x")))
    assert failure.kind is FailureKind.LOST and "panic: something is wrong" in failure.detail


@pytest.mark.parametrize("fault", ["nothing", "hang"])
def test_a_big_script_that_nobody_takes(scene: Scene, fault: str) -> None:
    transport = scene.transport(fault=fault, reach_s=1.0 if fault == "hang" else 30)
    began = time.monotonic()
    failure = failed(transport.run_script(Host("node-1"), shell("fact x", PAYLOAD=b"x" * 3_000_000)))
    assert failure.kind in (D_FAILED, FailureKind.TIMED_OUT)
    assert time.monotonic() - began < 15


def test_a_d_that_cannot_be_started(scene: Scene) -> None:
    transport = scene.transport()
    (scene.folder / "bin" / "dw").write_text("#!/no/such/interpreter\n")
    failure = failed(transport.run_script(Host("node-1"), shell("fact x")))
    assert failure.kind is D_FAILED and "does not start" in failure.detail


@pytest.mark.parametrize(
    ("command", "kind", "said"),
    [
        ("echo This account is not available; exit 1", FailureKind.SHELL, "This account is not available"),
        ("cat >/dev/null; echo sh: not found >&2; exit 127", FailureKind.SHELL, "not found"),
        ("cat >/dev/null; exit 0", FailureKind.SHELL, "without running sh"),
        ("cat >/dev/null; exit 255", FailureKind.LOST, "nothing heard of the script"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_shell_that_never_runs_sh(dialect: str, command: str, kind: FailureKind, said: str, tmp_path: Path) -> None:
    with running(lambda folder: tmp_path / folder) as start:
        config = ssh_config_of(start(f"ForceCommand {command}"))
        program = standin_dw.install(tmp_path / "bin", dialect=dialect, ssh_config=config, probes=False)
        transport = DTransport(DCommand(found_at(program, dialect)))
        failure = failed(transport.run_script(Host("node"), shell("fact x")))
    assert failure.kind is kind and said in failure.detail, failure


def children() -> list[int]:
    """The programs that this process started and that live."""
    done = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def members(group: int) -> list[str]:
    done = subprocess.run(["ps", "-A", "-o", "pgid=,stat="], capture_output=True, text=True, check=True)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [state for pgid, state in pairs if int(pgid) == group and not state.startswith("Z")]


def at_fact(name: str, do: Callable[[], None]) -> Callable[[Frame], None]:
    def sink(frame: Frame) -> None:
        if isinstance(frame, Fact) and frame.name == name:
            do()

    return sink


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_d_that_is_killed_on_the_way(scene: Scene, dialect: str) -> None:
    transport = scene.transport(dialect)
    groups: list[int] = []
    before = set(children())

    def kill() -> None:
        groups.extend(set(children()) - before)
        for pid in groups:
            os.kill(pid, 9)

    began = time.monotonic()
    reply = transport.run_script(Host("node-1"), shell("fact x; sleep 30"), Limits(total_s=None), at_fact("x", kill))
    failure = failed(reply)
    assert failure.kind is FailureKind.LOST and "killed by signal 9" in failure.detail
    assert time.monotonic() - began < 15
    assert groups
    until(lambda: not any(members(group) for group in groups))


@pytest.mark.parametrize("why", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_ends_d_and_all_below_it(scene: Scene, why: type[BaseException]) -> None:
    transport = scene.transport()
    groups: list[int] = []
    before = set(children())

    def interrupt() -> None:
        groups.extend(set(children()) - before)
        raise why

    with pytest.raises(why):
        transport.run_script(Host("node-1"), shell("fact x; sleep 30"), Limits(total_s=None), at_fact("x", interrupt))
    assert groups
    until(lambda: not any(members(group) for group in groups))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_connection_that_breaks_is_lost(scene: Scene, dialect: str) -> None:
    transport = scene.transport(dialect)

    def cut() -> None:
        for pid in session_sshds(scene.lab, "node-2"):
            os.kill(pid, 9)

    reply = transport.run_script(Host("node-2"), shell("fact x; sleep 20"), Limits(total_s=None), at_fact("x", cut))
    failure = failed(reply)
    assert failure.kind is FailureKind.LOST
    assert "clos" in failure.detail or "exit status 255" in failure.detail, failure


@pytest.mark.slow
def test_memory_stays_flat_at_a_hundred_megabytes(scene: Scene) -> None:
    size, seen = 100_000_000, 0

    def sink(frame: Frame) -> None:
        nonlocal seen
        seen += len(frame.data) if isinstance(frame, Data) else 0

    script = shell(f"printf '%s <out> {size}\\n' \"$MARK\"; head -c {size} /dev/zero; fact done yes")
    tracemalloc.start()
    try:
        reply = scene.transport().run_script(Host("node-1"), script, Limits(total_s=None), sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(reply, Answer) and reply.has("done")
    assert seen == size and peak < 16_000_000


def test_no_files_are_left_open(scene: Scene) -> None:
    transport = scene.transport()
    transport.run_script(Host("node-1"), shell("fact x"))
    before = len(list(Path("/dev/fd").iterdir()))
    for host in ("node-1", "node-3", "node-1"):
        transport.run_script(Host(host), shell("fact x"))
    assert len(list(Path("/dev/fd").iterdir())) == before
