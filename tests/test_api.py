"""The Python functions, as the design document shows them, on real nodes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from fabric.exceptions import GroupException

import dgummy
from cli_lab import Desk, open_desk, validate
from dgummy import (
    SSHConnectionError,
    comprehensive_distributed_report,
    fabric_group,
    get_host_status,
    get_load_metrics,
    monitor_all_specialists,
    parallel_gummy_tasks,
    run_remote_command,
    select_optimal_host,
    sync_and_execute_gummy,
    sync_directory,
)
from dgummy import lab as labs
from dgummy.errors import ArgumentError, ConfigError, DgummyError, ExitCode, NoHostError, UnknownHostError, UsageError

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("api")) as made:
        yield made


@pytest.fixture
def desk(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """We are this user, in this project."""
    for name in [name for name in os.environ if name.startswith(("INVOKE_", "DGUMMY_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(shared.home))
    monkeypatch.setenv("DGUMMY_CONFIG", str(shared.lab.config_path))
    monkeypatch.chdir(shared.project)
    yield shared
    for name in ("node-1", "node-2"):
        labs.start(shared.lab, name)
    shared.forget_load()


def test_the_example_of_the_design_document(desk: Desk) -> None:
    optimal = select_optimal_host(task_type="database")
    assert optimal is not None
    assert (optimal["host"], optimal["cpu"], optimal["mem"], optimal["load"]) == pytest.approx(
        ("node-1", 10, 20, 0.4), abs=0.2
    )
    assert 0 < optimal["score"] < 0.3
    result = sync_and_execute_gummy(host=optimal["host"], task="optimize user queries", project_dir=desk.project)
    assert (result["host"], result["state"], result["exit_code"]) == ("node-1", "ok", 0)
    assert result["changed"] == ["NOTES.md"]
    assert "COMPLETED" in result["stdout_tail"]
    assert "optimize user queries" in (desk.there() / "NOTES.md").read_text()
    assert not (desk.project / "NOTES.md").exists()


def test_with_a_failed_host_the_next_is_chosen(desk: Desk) -> None:
    labs.stop(desk.lab, "node-1")
    with pytest.raises(SSHConnectionError, match="connection refused") as caught:
        run_remote_command("node-1", "hostname")
    assert caught.value.host == "node-1"
    assert caught.value.remedy
    assert isinstance(caught.value, ConnectionError)
    fallback = select_optimal_host(exclude=[caught.value.host])
    assert fallback is not None
    assert run_remote_command(fallback["host"], "hostname")["stdout_tail"] == "node-2\n"


def test_no_host_is_none(desk: Desk) -> None:
    assert select_optimal_host(exclude=["node-1", "node-2"]) is None
    assert select_optimal_host(require=["os=plan9"]) is None


def test_select_knows_types_and_requirements(desk: Desk) -> None:
    def chosen(*args: str, require: tuple[str, ...] = ()) -> str | None:
        found = select_optimal_host(*args, require=require)
        return None if found is None else found["host"]

    assert chosen("api") == "node-2"
    assert chosen(require=("cores>=4",)) == "node-1"
    with pytest.raises(UsageError, match="no task type cooking"):
        select_optimal_host("cooking")
    with pytest.raises(UnknownHostError):
        select_optimal_host(exclude=["nod-1"])


def test_metrics_and_status(desk: Desk) -> None:
    metrics = get_load_metrics(refresh=True)
    assert list(metrics) == ["node-1", "node-2", "node-3"]
    assert metrics["node-1"]["cpu_pct"] == pytest.approx(10, abs=0.2)
    assert metrics["node-1"]["score"] < metrics["node-2"]["score"]
    assert not metrics["node-3"]["reachable"] and metrics["node-3"]["cpu_pct"] is None
    status = get_host_status(refresh=True)
    assert [status[name]["online"] for name in ("node-1", "node-2", "node-3")] == [True, True, False]
    assert status["node-3"]["reason"].startswith("connection refused")


def test_metrics_come_from_the_cache_until_refreshed(desk: Desk) -> None:
    first = get_load_metrics(refresh=True)
    assert get_load_metrics() == first
    assert get_load_metrics(refresh=True)["node-1"]["measured_at"] > first["node-1"]["measured_at"]


def test_what_is_no_host_and_no_folder(desk: Desk) -> None:
    (desk.home / "loop").symlink_to("loop")
    for folder in ("x" * 5000, desk.home / "loop", "~/nowhere", "~/nowhere\n"):
        with pytest.raises(UsageError, match="there is no folder"):
            sync_directory("node-1", folder)
    with pytest.raises(ConfigError, match="no such user"):
        sync_directory("node-1", "~nobody-of-this-name/x")
    with pytest.raises(ArgumentError, match=r"node-\[1-2\] is several hosts"):
        sync_directory("node-[1-2]")
    with pytest.raises(ArgumentError, match="a folder's path, got empty text"):
        sync_directory("node-1", "")


def test_sync_directory(desk: Desk) -> None:
    project = desk.nodes.project("synced")
    done = sync_directory("node-2", project)
    assert (done["host"], done["ok"], done["reason"], done["files"]) == ("node-2", True, None, 7)
    there = desk.nodes.remote_dir("node-2", project)
    assert done["remote_dir"] == str(there)
    assert (there / "queries.sql").read_bytes() == (project / "queries.sql").read_bytes()
    assert sync_directory("node-2", str(project))["files"] == 0
    with pytest.raises(SSHConnectionError):
        sync_directory("node-3", project)


def test_a_failed_sync_is_a_value(desk: Desk) -> None:
    project = desk.nodes.project("blocked")
    desk.nodes.remote_dir("node-1", project).write_text("a file is in the way")
    done = sync_directory("node-1", project)
    assert not done["ok"]
    assert done["reason"] and done["remedy"]


def test_run_remote_command(desk: Desk) -> None:
    script = "printf '%s' \"$TOKEN\"; echo err >&2; exit 3"
    done = run_remote_command("node-1", script, env={"TOKEN": "a 'b' $HOME"})
    validate({"schema_version": 1, **done}, "run")
    assert (done["state"], done["exit_code"]) == ("failed", 3)
    assert (done["stdout_tail"], done["stderr_tail"]) == ("a 'b' $HOME", "err\n")
    assert run_remote_command("node-1", "sleep 30", timeout_s=0.5)["state"] == "timed_out"
    assert run_remote_command("local", "pwd")["stdout_tail"] == f"{desk.project}\n"
    with pytest.raises(UsageError):
        run_remote_command("node-1", "")
    with pytest.raises(UnknownHostError):
        run_remote_command("nod-1", "true")


def test_several_tasks_give_a_document_each(desk: Desk) -> None:
    done = parallel_gummy_tasks(
        [
            {"task": "optimize database queries", "host": "node-1"},
            {"task": "build REST API endpoints", "task_type": "api", "project_dir": str(desk.project)},
            {"task": "anything", "host": "node-3"},
            {"task": "anything", "host": "nod-1"},
            {"task": ""},
            {"task": "write tests", "project_dir": str(desk.home / "no-such-folder")},
        ]
    )
    assert [(one.get("host"), one["state"]) for one in done] == [
        ("node-1", "ok"),
        ("node-2", "ok"),
        (None, "unreachable"),
        (None, "skipped"),
        (None, "skipped"),
        (None, "skipped"),
    ]
    assert "did you mean node-1?" in done[3]["remedy"]


def test_several_tasks_run_at_once(desk: Desk) -> None:
    for node in ("node-1", "node-2"):
        labs.set_gummy(desk.lab, node, step_s=0.5)
    began = time.monotonic()
    done = parallel_gummy_tasks([{"task": f"look at this {n}", "host": f"node-{n}"} for n in (1, 2)])
    wall_s = time.monotonic() - began
    for node in ("node-1", "node-2"):
        labs.set_gummy(desk.lab, node, step_s=0)
    assert [one["state"] for one in done] == ["ok", "ok"]
    starts = [datetime.fromisoformat(one["started_at"].replace("Z", "+00:00")) for one in done]
    assert abs((starts[0] - starts[1]).total_seconds()) < 1
    assert wall_s < sum(one["duration_s"] for one in done) + 3


def test_fabrics_own_group_over_our_hosts(desk: Desk, tmp_path: Path) -> None:
    with fabric_group(["node-1", "node-2"], jobs=1) as group:
        results = group.run("echo $DGUMMY_NODE")
        assert {member.host: result.stdout for member, result in results.items()} == {
            "node-1": "node-1\n",
            "node-2": "node-2\n",
        }
        (tmp_path / "sent").write_text("x")
        group.put(str(tmp_path / "sent"), "sent")
        assert (desk.nodes.home_of("node-2") / "sent").read_text() == "x"
        with pytest.raises(GroupException) as caught:
            group.run('[ "$DGUMMY_NODE" = node-1 ]')
        ended = {member.host: error for member, error in caught.value.result.failed.items()}
        assert list(ended) == ["node-2"] and ended["node-2"].result.exited == 1


def test_a_bad_host_of_a_fabric_group_costs_no_more_than_its_time(desk: Desk) -> None:
    labs.hang(desk.lab, "node-2")
    began = time.monotonic()
    with fabric_group(timeout_s=1) as group, pytest.raises(GroupException) as caught:
        group.run("sleep 0.2; hostname")
    took_s = time.monotonic() - began
    labs.start(desk.lab, "node-2")
    result = caught.value.result
    assert [member.host for member in result.succeeded] == ["node-1"]
    failed = {member.host: type(error) for member, error in result.failed.items()}
    assert failed.keys() == {"node-2", "node-3"} and failed["node-3"] is SSHConnectionError
    assert took_s < 10
    with pytest.raises(NoHostError), fabric_group(["local"]):
        pass


def test_everything_in_one_report(desk: Desk) -> None:
    run_remote_command("node-1", "exit 3")
    report = comprehensive_distributed_report()
    assert list(report) == ["hosts", "load", "specialists", "runs", "summary"]
    assert report["hosts"]["node-3"]["online"] is False and report["load"]["node-1"]["cores"] == 4
    newest = report["runs"][0]
    assert (newest["host"], newest["state"], newest["exit_code"]) == ("node-1", "failed", 3)
    assert (report["summary"]["hosts"], report["summary"]["online"], report["summary"]["best"]) == (3, 2, "node-1")


def test_specialists_of_all_hosts_that_answer(desk: Desk) -> None:
    sync_and_execute_gummy("node-1", "optimize database queries")
    found = monitor_all_specialists()
    assert list(found) == ["node-1", "node-2"]
    (one,) = [specialist for specialist in found["node-1"] if specialist["name"] == "database-expert"]
    assert (one["scope"], one["status"]) == ("project", "dormant")
    assert one["sessions"] >= 1
    assert one["session_id"]


def test_wrong_settings_are_an_exception_with_a_remedy(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_DGUMMY_JOBS", "many")
    with pytest.raises(ConfigError) as caught:
        get_load_metrics()
    assert caught.value.code is ExitCode.CONFIG
    assert "INVOKE_DGUMMY_JOBS" in caught.value.message and caught.value.remedy


def test_the_project_s_own_settings_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    project = desk.home / "with settings"
    (project / "below").mkdir(parents=True)
    (project / "invoke.yaml").write_text("dgummy: {host_preferences: {general: [node-9]}}\n")
    monkeypatch.chdir(project / "below")
    with pytest.raises(ConfigError, match="node-9"):
        select_optimal_host()


def test_nothing_is_printed(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    select_optimal_host()
    run_remote_command("node-1", "echo loud; echo louder >&2")
    sync_directory("node-1")
    assert capfd.readouterr() == ("", "")


def test_names_and_what_importing_costs() -> None:
    assert all(getattr(dgummy, name) is not None for name in dgummy.__all__)
    assert issubclass(SSHConnectionError, DgummyError)
    with pytest.raises(AttributeError):
        _ = dgummy.no_such_name
    script = "import sys, dgummy; print(sorted({'fabric', 'invoke', 'msgspec', 'rich'} & set(sys.modules)))"
    repo = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
