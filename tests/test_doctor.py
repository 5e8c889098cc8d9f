"""`inv doctor` on real nodes: it finds what is wrong, nothing else, and hosts that lack something get no such work."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, Result, open_desk
from dgummy import lab as dlab
from dgummy.textfiles import make_folder

pytestmark = pytest.mark.lab

MACHINE = ("jq", "tailscale")
FAULTS = {
    ("here", "cache-folder"),
    ("node-1", "host-key"),
    ("node-2", "authentication"),
    ("node-3", "port"),
    ("node-4", "shell-noise"),
    ("node-4", "path"),
    ("node-5", "rsync"),
    ("node-6", "agent"),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("doctor"), 6, down_nodes=0) as made:
        yield made


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """A file that says something else for a while."""
    good = path.read_text()
    path.write_text(text)
    yield
    path.write_text(good)


@contextmanager
def moved(path: Path, to: Path) -> Iterator[None]:
    """A file that is somewhere else for a while."""
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)
    try:
        yield
    finally:
        to.rename(path)


@contextmanager
def reconfigured(desk: Desk, node: str, old: str, new: str) -> Iterator[None]:
    """A node whose sshd has another configuration for a while."""
    config = desk.lab.node(node).directory / "sshd_config"
    assert old in config.read_text()
    dlab.stop(desk.lab, node)
    with changed(config, config.read_text().replace(old, new)):
        dlab.start(desk.lab, node)
        yield
        dlab.stop(desk.lab, node)
    dlab.start(desk.lab, node)


def tools_without(folder: Path, name: str) -> Path:
    """A folder with all programs but one."""
    folder.mkdir()
    for place in ("/usr/local/bin", "/usr/bin", "/bin"):
        for entry in os.scandir(place):
            if entry.name != name and not (folder / entry.name).is_symlink():
                (folder / entry.name).symlink_to(entry.path)
    return folder


@contextmanager
def eight_faults(desk: Desk, folder: Path) -> Iterator[None]:
    """Plant them, and heal all but the one that doctor heals."""
    homes = {name: desk.nodes.home_of(name) for name in ("node-4", "node-5", "node-6")}
    known = desk.lab.directory / "known_hosts"
    lines = known.read_text().splitlines(keepends=True)
    tools = tools_without(folder / "tools", "rsync")
    empty = folder / "nobody"
    empty.touch()
    path = next(
        word for word in (desk.lab.node("node-5").directory / "sshd_config").read_text().split("'") if ":" in word
    )
    rc = homes["node-4"] / ".bashrc"
    rc.write_text("echo 'Welcome to \033[31mnode-4'\n")
    dlab.stop(desk.lab, "node-3")
    (desk.lab.directory / "state/cache").chmod(0o777)
    with (
        changed(known, "".join(line for line in lines if f":{desk.lab.node('node-1').port} " not in line)),
        reconfigured(desk, "node-2", str(desk.lab.directory / "authorized_keys"), str(empty)),
        moved(homes["node-4"] / "bin/gummy", homes["node-4"] / ".local/bin/gummy"),
        reconfigured(desk, "node-5", path, str(tools)),
        changed(homes["node-5"] / ".profile", f"PATH=$HOME/bin:{tools}\nexport PATH\n"),
        moved(homes["node-6"] / "bin/gummy", homes["node-6"] / "away"),
    ):
        yield
    rc.unlink()
    dlab.start(desk.lab, "node-3")


def found(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Place and check of each finding, but for what the machine that tests are run on may lack itself."""
    return {(one["host"], one["check"]) for one in document["findings"] if one["check"] not in MACHINE}


def finding(document: dict[str, Any], check: str) -> dict[str, Any]:
    (one,) = [one for one in document["findings"] if one["check"] == check]
    assert isinstance(one, dict)
    return one


def doctor(desk: Desk, *words: str) -> dict[str, Any]:
    done = desk.inv("doctor", "--json", *words)
    document = done.document("doctor")
    assert done.code == (1 if document["problems"] else 0)
    return document


def test_it_finds_eight_planted_faults_and_a_healed_lab_has_none(desk: Desk, tmp_path: Path) -> None:
    make_folder(desk.lab.directory / "state/cache")
    with eight_faults(desk, tmp_path):
        document = doctor(desk)
        assert found(document) == FAULTS
        assert all(
            one["severity"] == "problem" and one["fix"] for one in document["findings"] if one["check"] not in MACHINE
        )
        unfit = {one["host"]: one["unfit_for"] for one in document["places"]}
        assert [unfit[f"node-{number}"] for number in range(1, 7)] == [
            ["any"], ["any"], ["any"], ["sync", "agent"], ["sync"], ["agent"]
        ]  # fmt: skip
        assert "brew install WillyV3/tap/gummy-agent" in finding(document, "agent")["fix"]
        assert ".local/bin" in finding(document, "path")["fix"]

        shown = desk.inv("doctor")
        assert shown.code == 1 and "Welcome to node-4" in shown.out and "\x1b" not in shown.out
        assert f"{document['checks']} checks, {len(document['findings'])} findings" in shown.out

        picked = reasons(desk.inv("pick", "--json", "--agent", "--refresh").document("pick"))
        assert "rsync is not installed" in picked["node-5"] and picked["node-6"].startswith("lacks gummy")
        refused = desk.inv("task", "--host", "node-6", "--no-sync", "anything")
        assert refused.code == 69 and "inv doctor --host node-6" in refused.err, refused
        dry = desk.inv("task", "--host", "node-5", "--dry", "anything")
        assert dry.code == 69 and "rsync is not installed" in dry.out, dry
        assert_it_mends_nothing_unasked(desk)
    assert found(doctor(desk)) == set()


def assert_it_mends_nothing_unasked(desk: Desk) -> None:
    folder = desk.lab.directory / "state/cache"
    said = desk.inv("doctor", "--fix", "--host", "node-6")
    assert str(folder) in said.err and "--yes" in said.err and folder.stat().st_mode & 0o777 == 0o777, said
    done = desk.inv("doctor", "--fix", "--yes", "--json", "--host", "node-6")
    assert [one["done"] for one in done.document("doctor")["repairs"]] == [True]
    assert folder.stat().st_mode & 0o777 == 0o755
    assert found(done.document("doctor")) == {("node-6", "agent")}


def reasons(document: dict[str, Any]) -> dict[str, str]:
    return {one["host"]: one["reason"] for one in document["candidates"]}


def test_a_host_whose_agent_is_not_logged_in_gets_no_tasks_until_it_is(desk: Desk) -> None:
    settings = desk.nodes.home_of("node-1") / ".claude/settings.json"
    with moved(settings, settings.with_name("away")):
        assert found(doctor(desk, "--host", "node-1")) == {("node-1", "agent-login")}
        others = ("--exclude", ",".join(f"node-{number}" for number in range(2, 7)))
        refused = desk.inv("pick", "--agent", *others)
        assert refused.code == 69 and "not logged in" in refused.out and "looks again" in refused.out, refused
        refused = desk.inv("task", "--no-sync", "x", *others)
        assert refused.code == 69 and "inv doctor --host node-1 looks again" in refused.err.splitlines()[-1], refused
        assert desk.inv("task", "--no-sync", "--dry", "x", *others).code == 69
        assert "not logged in" not in desk.inv("pick", "--host", "node-1").out  # it is about agents alone
        everywhere = desk.inv("fanout", "--task", "x", "--no-sync", "--dry", "--exclude", "node-3,node-4,node-5,node-6")
        assert everywhere.code == 0 and "✗ node-1: passed over: claude is not logged in" in everywhere.out, everywhere
        assert "would run on 1: x" in everywhere.out
        results = desk.inv("fanout", "--task", "x", "--dry", "--json", *others)
        assert results.code == 69 and "not logged in" in json.loads(results.out)["results"][0]["reason"], results
        assert (
            "passed over: node-1: claude is not logged in"
            in desk.inv("fanout", "--task", "x", "--no-sync", "--exclude", "node-3,node-4,node-5,node-6").err
        )
        key = desk.inv("task", "--no-sync", "--dry", "--env", "ANTHROPIC_API_KEY=x", "x", *others)
        assert key.code == 0 and "not logged in" not in key.out + key.err, key
        assert desk.inv("task", "--no-sync", "--dry", "--env", "ANTHROPIC_API_KEY=", "x", *others).code == 69
        for words in (("pick", "--agent"), ("task", "--no-sync", "--dry", "x"), ("task", "--no-sync", "--detach", "x")):
            named = desk.inv(*words, "--host", "node-1")
            assert named.code == 0 and "taken at your word" in named.out + named.err, named
    assert found(doctor(desk, "--host", "node-1")) == set()
    assert desk.inv("pick", "--agent", "--host", "node-1").code == 0


def test_what_is_left_on_a_host_is_a_hint_and_tidied(desk: Desk) -> None:
    state = desk.nodes.home_of("node-2") / ".local/state/dgummy"
    state.mkdir(parents=True, exist_ok=True)
    old = time.time() - 40 * 86_400
    for name in ("probe.123", "runs/20200101-000000-abcdef/out"):
        path = state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.utime(path, (old, old))
    os.utime(path.parent, (old, old))
    state.chmod(0o770)
    with reconfigured(desk, "node-2", "MaxSessions 10", "MaxSessions 3"):
        document = doctor(desk, "--host", "node-2")
    hints = {("node-2", "old-runs"), ("node-2", "temporary"), ("node-2", "sessions")}
    assert found(document) == {*hints, ("node-2", "state")}
    assert "3 sessions" in finding(document, "sessions")["what"]
    assert {one["check"] for one in document["findings"] if one["severity"] == "problem"} == {"state"}
    mended = doctor(desk, "--host", "node-2", "--fix", "--yes")
    assert found(mended) == {("node-2", "old-runs")}
    assert not (state / "probe.123").exists() and path.exists() and state.stat().st_mode & 0o777 == 0o750


def test_without_ssh_no_host_is_looked_at_and_that_is_said_once(desk: Desk, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}:{tools_without(tmp_path / 'tools', 'ssh')}"
    done = desk.inv("doctor", "--json", env={"PATH": path})
    document = done.document("doctor")
    assert (done.code, found(document)) == (1, {("here", "ssh")})
    assert [(one["host"], bool(one["checks"])) for one in document["places"]][:3] == [
        ("here", True), ("node-1", False), ("node-2", False)
    ]  # fmt: skip
    assert "not looked at: node-1, node-2" in desk.inv("doctor", env={"PATH": path}).out


def test_a_d_that_hangs_is_told_where_it_would_be_used(desk: Desk, tmp_path: Path) -> None:
    program = tmp_path / "dw"
    program.write_text(f"#!/bin/sh\necho >>'{tmp_path}/asked'\nsleep 60\n")
    program.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    by_ssh = desk.inv("doctor", "--json", "--host", "node-1", env=env).document("doctor")
    assert not (tmp_path / "asked").exists() and found(by_ssh) == set()
    either = desk.inv("doctor", "--json", "--backend", "auto", "--host", "node-1", env=env).document("doctor")
    assert found(either) == {("here", "d")} and "dw --help" in finding(either, "d")["fix"]


def refusal(done: Result) -> tuple[int, str]:
    return done.code, done.err


def test_names_and_settings_that_are_wrong(desk: Desk, tmp_path: Path) -> None:
    code, said = refusal(desk.inv("doctor", "--host", "node-9"))
    assert code == 69 and "no such host" in said
    wrong = tmp_path / "config.yaml"
    wrong.write_text("grups: {}\n")
    done = desk.inv("doctor", "--json", env={"DGUMMY_CONFIG": str(wrong)})
    assert done.code == 1 and found(done.document("doctor")) == {("here", "config")}
    assert "groups" in finding(done.document("doctor"), "config")["fix"]
    wrong.write_text("{}\n")
    done = desk.inv("doctor", "--json", env={"DGUMMY_CONFIG": str(wrong)})
    assert [one["host"] for one in done.document("doctor")["places"]] == ["here", "local"]
    hosts = finding(done.document("doctor"), "hosts")
    assert hosts["severity"] == "hint" and "inv config.init --write" in hosts["fix"]
