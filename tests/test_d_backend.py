"""Scheduling through the `d` command as users meet it: a stand-in first on PATH, in both dialects, on real nodes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import labs
import standin_dw
from cli_lab import Desk, open_desk
from dgummy.dpush import difference
from dgummy.lab import Figures

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DIALECTS = ("released", "seed")
FIGURES = (
    Figures(cpu_pct=20, iowait_pct=40, mem_pct=40, load1=0.4, cores=4, psi_io_pct=40),
    Figures(cpu_pct=60, iowait_pct=5, mem_pct=50, load1=2.4, cores=4, psi_io_pct=5),
)


class DDesk:
    """A desk with a `dw` of ours first on PATH."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self._folder = folder
        self._count = 0
        self.log = folder / "calls"

    def environ(self, **options: object) -> dict[str, str | None]:
        """Put a stand-in there; the environment that has it first on PATH."""
        self._count += 1
        place = self._folder / f"bin{self._count}"
        self.log.unlink(missing_ok=True)
        defaults: dict[str, object] = {"ssh_config": self.desk.lab.ssh_config_path, "log": self.log, "probes": False}
        standin_dw.install(place, **{**defaults, **options})  # type: ignore[arg-type]
        self.desk.forget_load()
        return {
            "PATH": f"{place}:{os.environ['PATH']}",
            "INVOKE_DGUMMY_BACKEND": "auto",
            "INVOKE_DGUMMY_D_TIMEOUT_S": "20",
        }

    def calls(self) -> list[list[str]]:
        """What the stand-in was asked."""
        if not self.log.exists():
            return []
        return [json.loads(line)[1:] for line in self.log.read_text().splitlines()]


@pytest.fixture(scope="module")
def d_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DDesk]:
    with open_desk(tmp_path_factory.mktemp("d"), figures=FIGURES) as desk:
        (desk.lab.directory / "cache").mkdir(exist_ok=True)
        yield DDesk(desk, tmp_path_factory.mktemp("bin"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_load_and_status_come_from_d_with_our_score(d_desk: DDesk, dialect: str) -> None:
    env = d_desk.environ(dialect=dialect)
    found = d_desk.desk.inv("load", "--json", env=env).document("load")
    hosts = {host["host"]: host for host in found["hosts"]}
    assert (found["source"], found["best"]) == ("d", "node-1")
    first = hosts["node-1"]
    assert first["load1"] == 0.4
    assert first["io_pct"] is None
    assert first["active_runs"] is None
    if dialect == "released":  # CPU% is load/cores there, and the score ours: 0.4×0.1 + 0.3×0.4 + 0.3×0.1
        assert first["cpu_pct"] == 10.0
        assert first["score"] == pytest.approx(0.19, abs=0.01)
    assert not hosts["node-3"]["reachable"]
    assert d_desk.desk.inv("load", "--json", env=env).document("load")["source"] == "cache"
    status = d_desk.desk.inv("status", env=env)
    assert f"backend: d (auto: dw on PATH; speaks the {dialect} dialect)" in status.out
    assert not [call for call in d_desk.calls() if call[:1] == ["run"] and "--help" not in call]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_run_goes_through_d_and_comes_back_exactly(d_desk: DDesk, dialect: str) -> None:
    env = d_desk.environ(dialect=dialect, probes=True)
    assert d_desk.desk.inv("run", "exit 7", env=env).code == 7
    words = 'echo $0 "a  b" ; hostname; printf "\\377 no newline"; echo to-stderr >&2'
    done = d_desk.desk.inv("run", "--no-sync", "--host", "node-2", words, env=env)
    lines = done.out_bytes.split(b"\n")
    assert lines[0].endswith(b" a  b")
    assert lines[1:] == [b"node-2", b"\xff no newline"]
    assert "to-stderr" in done.err
    runs = [call for call in d_desk.calls() if call[:1] == ["run"] and "--help" not in call]
    expected = ["run", "--host", "node-2", "--"] if dialect == "released" else ["run", "node-2"]
    assert runs[-1][: len(expected)] == expected


def test_the_time_limit_ends_the_work_there(d_desk: DDesk) -> None:
    env = d_desk.environ()
    began = time.monotonic()
    done = d_desk.desk.inv("run", "--no-sync", "--timeout", "1", "--host", "node-1", "sleep 300; echo late", env=env)
    assert done.code == 124
    assert "late" not in done.out
    assert time.monotonic() - began < 40
    assert labs.until(lambda: not d_desk.desk.nodes.active_runs("node-1"))


def test_a_choice_asks_ssh_for_what_d_does_not_give(d_desk: DDesk) -> None:
    done = d_desk.desk.inv("pick", "--type", "api", "--json", env=d_desk.environ())
    found = done.document("pick")
    assert (found["host"], found["io"]) == ("node-2", 5.0)
    assert "which it does not give, by ssh" in done.err


@pytest.mark.parametrize("name", ["dw", "d"])
def test_an_imposter_is_asked_for_help_only_and_not_used(d_desk: DDesk, name: str) -> None:
    env = d_desk.environ(name=name, dialect="imposter")
    assert d_desk.desk.inv("load", "--json", env=env).document("load")["source"] == "ssh"
    assert d_desk.desk.inv("run", "--host", "node-2", "hostname", env=env).out == "node-2\n"
    assert "not a d" in d_desk.desk.inv("status", env=env).out
    assert all("--help" in call for call in d_desk.calls())
    assert d_desk.calls()
    refused = d_desk.desk.inv("load", "--backend", "d", env=env)
    assert refused.code == 78
    assert "set backend: ssh" in refused.err


@pytest.mark.parametrize("fault", ["hang", "garbage", "flood", "exit", "signal", "nothing", "missing-cell"])
def test_a_d_that_fails_is_replaced_by_ssh_with_a_notice(d_desk: DDesk, fault: str) -> None:
    env = d_desk.environ(faults={"load": fault}) | {"INVOKE_DGUMMY_D_TIMEOUT_S": "2"}
    began = time.monotonic()
    done = d_desk.desk.inv("load", "--json", env=env)
    assert done.document("load")["source"] == "ssh"
    assert "using ssh instead (backend: ssh makes that lasting)" in done.err
    assert time.monotonic() - began < 30
    strict = d_desk.desk.inv("load", "--refresh", "--backend", "d", env=env)
    assert strict.code == 69, strict


@pytest.mark.parametrize("fault", ["extra-column", "reordered", "coloured"])
def test_a_table_is_read_by_its_header(d_desk: DDesk, fault: str) -> None:
    env = d_desk.environ(faults={"load": fault})
    found = d_desk.desk.inv("load", "--json", env=env).document("load")
    assert found["source"] == "d"
    assert {host["host"]: host["load1"] for host in found["hosts"]}["node-2"] == 2.4


def test_a_run_that_d_cannot_carry_goes_by_ssh(d_desk: DDesk) -> None:
    env = d_desk.environ(faults={"run": "exit"})
    done = d_desk.desk.inv("run", "--no-sync", "--host", "node-2", "hostname", env=env)
    assert (done.code, done.out) == (0, "node-2\n")
    assert "using ssh instead" in done.err


def test_its_sync_is_used_only_for_the_very_same_set(d_desk: DDesk) -> None:
    desk, env = d_desk.desk, d_desk.environ()
    project = desk.nodes.project("same-set")
    (project / "tasks.py").write_text("from dgummy.tasks import ns\n")
    for name in (".env", "build"):  # what the sample project's .gitignore leaves out
        path = project / name
        if path.is_file():
            path.unlink()
    done = desk.inv("sync", "--host", "node-1", env=env, cwd=project)
    assert done.code == 0, done
    assert [call[0] for call in d_desk.calls() if "--help" not in call] == ["sync"]
    assert (desk.nodes.remote_dir("node-1", project) / "queries.sql").is_file()
    (project / ".env").write_text("SECRET=1\n")
    d_desk.log.unlink()
    done = desk.inv("sync", "--host", "node-2", env=env, cwd=project)
    assert done.code == 0, done
    assert "rsync instead of d's sync: it would also send .env" in done.err
    assert not [call for call in d_desk.calls() if call[:1] == ["sync"] and "--help" not in call]
    assert not (desk.nodes.remote_dir("node-2", project) / ".env").exists()


def test_a_d_that_leads_to_another_machine_runs_nothing_there(d_desk: DDesk, tmp_path: Path) -> None:
    crossed = d_desk.desk.lab.ssh_config_path.read_text().replace("Host node-2\n", "Host node-x\n")
    crossed = crossed.replace("Host node-1\n", "Host node-1 node-2\n")
    path = tmp_path / "crossed"
    path.write_text(crossed)
    env = d_desk.environ(ssh_config=path)
    done = d_desk.desk.inv("run", "--host", "node-2", "hostname; touch ran-here", env=env)
    assert done.code == 69, done
    assert "another machine" in done.err
    assert not (d_desk.desk.there("node-1") / "ran-here").exists()
    assert not (d_desk.desk.there("node-2") / "ran-here").exists()


def test_a_slow_d_is_told_once_with_the_setting_that_changes_it(d_desk: DDesk) -> None:
    env = d_desk.environ(delay_s=2.5)
    (d_desk.desk.lab.directory / "state" / "cache" / "told-that-d-is-slow").unlink(missing_ok=True)
    told = "backend: ssh goes without it"
    assert told in d_desk.desk.inv("pick", "--refresh", env=env).err
    assert told not in d_desk.desk.inv("pick", "--refresh", env=env).err


def test_what_d_would_send_is_compared_by_name(tmp_path: Path) -> None:
    for name in ("a.py", "src/b.py", "src/c.pyc", "build/x", "deep/node_modules/y"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert difference(tmp_path, frozenset({b"a.py", b"src/b.py"})) == ""
    assert difference(tmp_path, frozenset({b"a.py"})) == "it would also send src/b.py"
    assert difference(tmp_path, frozenset({b"a.py", b"src/b.py", b"build/x"})) == "it would leave out build/x"
