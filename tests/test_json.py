"""Every `--json` document: one on stdout, as its schema says, with the figures that are true."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from importlib import resources
from typing import Any

import jsonschema
import pytest

from cli_lab import Desk, open_desk, schema_of, validate

pytestmark = pytest.mark.lab

SCHEMAS = {
    *("load", "status", "pick", "plan", "sync", "run", "task", "fanout", "lab", "demo", "error"),
    *("specialists", "specialists-move"),
    *("runs", "logs", "cancel", "runs-prune", "runs-rebuild"),
    *("workspace-list", "workspace-clean"),
    *("cron-add", "cron-list", "cron-remove"),
    *("collect", "report", "doctor"),
    "ask",
    *("skill-install", "skill-show", "skill-remove", "skill-call"),
    *("config-show", "config-path", "config-check", "config-init"),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("json")) as made:
        yield made


def test_there_is_a_valid_schema_for_every_document() -> None:
    folder = resources.files("dgummy") / "schemas"
    assert {entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")} == SCHEMAS
    for name in SCHEMAS:
        jsonschema.Draft202012Validator.check_schema(schema_of(name))
        assert schema_of(name)["properties"]["schema_version"] == {"const": 1}
        assert schema_of(name)["additionalProperties"] is True  # fields may be added


@pytest.mark.parametrize(
    ("schema", "code", "words"),
    [
        ("status", 0, ["status"]),
        ("load", 0, ["load", "--refresh"]),
        ("load", 0, ["load"]),
        ("pick", 0, ["pick", "--type", "database"]),
        ("pick", 0, ["pick", "build REST API endpoints"]),
        ("pick", 69, ["pick", "--host", "node-3"]),
        ("sync", 1, ["sync"]),
        ("ask", 0, ["ask", "run the tests on node-1"]),
        ("ask", 64, ["ask", "run the tests on node-77"]),
        ("sync", 0, ["sync", "--host", "node-1", "--dry"]),
        ("sync", 69, ["sync", "--host", "node-3"]),
        ("run", 0, ["run", "uname -a"]),
        ("run", 3, ["run", "--no-sync", "echo out; echo err >&2; exit 3"]),
        ("run", 69, ["run", "--host", "node-3", "true"]),
        ("run", 0, ["run", "--backend", "local", "true"]),
        ("plan", 0, ["run", "--dry", "make"]),
        ("plan", 69, ["run", "--dry", "--host", "node-3", "make"]),
        ("task", 0, ["task", "optimize database queries"]),
        ("run", 0, ["run", "--no-sync", "--detach", "true"]),
        ("runs", 0, ["runs"]),
        ("runs", 0, ["runs", "--state", "running", "--since", "1d", "--host", "node-1"]),
        ("runs-prune", 1, ["runs.prune", "--older", "30d", "--dry"]),
        ("runs-rebuild", 1, ["runs.rebuild"]),
        ("fanout", 0, ["fanout", "--exclude", "node-3", "echo out; echo err >&2"]),
        ("fanout", 1, ["fanout", "--no-sync", "exit 3"]),
        ("fanout", 69, ["fanout", "--host", "node-3", "true"]),
        ("fanout", 0, ["fanout", "--no-sync", "--exclude", "node-3", "--detach", "sleep 1"]),
        ("fanout", 0, ["fanout", "--backend", "local", "true"]),
        ("fanout", 0, ["distribute", "optimize database queries", "database: build REST API endpoints"]),
        ("fanout", 1, ["distribute", "--command", "--no-sync", "true", "false"]),
        ("fanout", 0, ["distribute", "--command", "--no-sync", "--detach", "true", "true"]),
        ("plan", 0, ["task", "--dry", "optimize database queries"]),
        ("specialists", 0, ["specialists"]),
        ("specialists", 0, ["specialists", "--active", "--host", "node-1"]),
        ("specialists", 0, ["watch", "--once"]),
        ("workspace-list", 1, ["workspace.list"]),
        ("workspace-list", 0, ["workspace.list", "--host", "node-1", "--project"]),
        ("workspace-clean", 1, ["workspace.clean"]),
        ("workspace-clean", 0, ["workspace.clean", "--all", "--dry", "--host", "node-1"]),
        ("error", 64, ["workspace.clean", "--all", "--older", "2d"]),
        ("skill-show", 0, ["skill.show"]),
        ("skill-install", 0, ["skill.install"]),
        ("skill-remove", 0, ["skill.remove"]),
        ("config-show", 0, ["config.show"]),
        ("config-path", 0, ["config.path"]),
        ("config-check", 0, ["config.check"]),
        ("config-init", 0, ["config.init"]),
        ("lab", 0, ["lab.status"]),
        ("lab", 0, ["lab.figures", "node-2", "--cpu", "50", "--io", "5"]),
        ("error", 69, ["run", "--host", "nod-1", "true"]),
        ("error", 64, ["run", "--timeout", "soon", "true"]),
        ("error", 78, ["load", "--backend", "nope"]),
        ("error", 78, ["status", "--group", "nope"]),
        ("error", 64, ["task", ""]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_one_document_as_its_schema_says(desk: Desk, schema: str, code: int, words: list[str]) -> None:
    done = desk.inv(words[0], "--json", *words[1:])
    assert done.code == code, done
    document = done.document(schema)
    for name in schema_of(schema)["required"]:
        lacking = {key: value for key, value in document.items() if key != name}
        with pytest.raises(jsonschema.ValidationError):
            validate(lacking, schema)


@pytest.mark.parametrize("words", [["retry", "--lost"], ["resume"]], ids=" ".join)
def test_a_group_that_is_over_leaves_nothing_to_do(desk: Desk, words: list[str]) -> None:
    group = desk.inv("fanout", "--no-sync", "--exclude", "node-3", "--json", "true").document("fanout")["group_id"]
    done = desk.inv(*words, group, "--json")
    assert (done.code, done.document("fanout")["results"]) == (0, []), done


def test_flags_may_stand_on_either_side_of_the_text(desk: Desk) -> None:
    assert desk.inv("pick", "--json", "fix the api").document("pick")["type"] == "api"
    assert desk.inv("pick", "fix the api", "--json").document("pick")["type"] == "api"
    assert desk.inv("pick", "--json", "--", "fix", "the", "api").document("pick")["type"] == "api"
    assert desk.inv("pick", "--json").document("pick")["type"] == "general"


def by_host(document: dict[str, Any], key: str = "hosts") -> dict[str, dict[str, Any]]:
    return {entry["host"]: entry for entry in document[key]}


def test_load_tells_the_figures_of_every_host(desk: Desk) -> None:
    document = desk.inv("load", "--refresh", "--json").document("load")
    hosts = by_host(document)
    assert list(hosts) == ["node-1", "node-2", "node-3"]
    first = hosts["node-1"]
    assert (first["cpu_pct"], first["mem_pct"], first["io_pct"]) == pytest.approx((10, 20, 60), abs=0.2)
    assert (first["load1"], first["cores"], first["active_runs"]) == (0.4, 4, 0)
    assert first["score"] == pytest.approx(0.4 * 0.10 + 0.3 * 0.20 + 0.3 * 0.1, abs=0.01)
    assert document["source"] == "ssh"
    assert document["best"] == "node-1"
    down = hosts["node-3"]
    assert not down["reachable"]
    assert down["reason"].startswith("connection refused")
    assert {down[key] for key in ("cpu_pct", "mem_pct", "io_pct", "load1", "cores", "score", "active_runs")} == {None}
    again = desk.inv("load", "--json").document("load")
    assert again["source"] == "cache"
    assert again["measured_at"] == document["measured_at"]


def test_status_tells_who_is_up_and_why_not(desk: Desk) -> None:
    hosts = by_host(desk.inv("status", "--refresh", "--json").document("status"))
    assert hosts["node-1"]["online"]
    assert hosts["node-1"]["address"] == "127.0.0.1"
    assert hosts["node-1"]["latency_ms"] > 0
    assert not hosts["node-3"]["online"]
    assert hosts["node-3"]["reason"].startswith("connection refused")
    assert hosts["node-3"]["remedy"]


def test_pick_names_the_node_that_is_best_for_the_kind_of_work(desk: Desk) -> None:
    database = desk.inv("pick", "--type", "database", "--json", "--refresh").document("pick")
    api = desk.inv("pick", "--type", "api", "--json").document("pick")
    assert (database["host"], api["host"]) == ("node-1", "node-2")
    assert (database["cpu"], database["mem"], database["load"]) == pytest.approx((10, 20, 0.4), abs=0.2)
    candidates = by_host(database, "candidates")
    assert list(candidates) == ["node-1", "node-2", "node-3"]
    assert all(entry["reason"] for entry in candidates.values())
    assert [entry["chosen"] for entry in candidates.values()] == [True, False, False]
    assert not candidates["node-3"]["eligible"]


def test_sync_counts_what_was_sent(desk: Desk) -> None:
    project = desk.nodes.project("counted")
    (project / "tasks.py").write_text("from dgummy.tasks import ns\n")
    listed = subprocess.run(
        ["git", "-C", str(project), "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True
    )
    files = [project / name for name in listed.stdout.decode().split("\0") if name]
    dry = by_host(desk.inv("sync", "--json", "--dry", "--host", "node-1", cwd=project).document("sync"), "results")
    assert not desk.nodes.remote_dir("node-1", project).exists()
    done = by_host(desk.inv("sync", "--json", "--host", "node-1", cwd=project).document("sync"), "results")["node-1"]
    assert done["ok"] and done["reason"] is None
    assert done["files"] == len(files) == dry["node-1"]["files"]
    assert done["bytes"] == sum(file.stat().st_size for file in files) == dry["node-1"]["bytes"]
    again = by_host(desk.inv("sync", "--json", "--host", "node-1", cwd=project).document("sync"), "results")["node-1"]
    assert (again["files"], again["bytes"]) == (0, 0)


def test_run_tells_what_happened(desk: Desk) -> None:
    document = desk.inv("run", "--json", "hostname; echo oops >&2; exit 3").document("run")
    assert (document["host"], document["state"], document["exit_code"]) == ("node-1", "failed", 3)
    assert document["attempts"] == [{"host": "node-1", "outcome": "failed", "reason": "exit code 3"}]
    assert (document["stdout_tail"], document["stderr_tail"]) == ("node-1\n", "oops\n")
    assert document["fallback"] is None
    assert set(document["sync"]) == {"files", "bytes", "duration_s"}
    recorded = desk.nodes.ledger()[0]
    assert (recorded.run_id, recorded.host, recorded.exit_code) == (document["run_id"], "node-1", 3)


def test_a_hostile_output_does_not_break_the_document(desk: Desk) -> None:
    script = r"printf '\033]0;title\007\033[31mred\033[0m \377\376 \000 {\"a\": 1}\n'; printf 'no newline at the end'"
    done = desk.inv("run", "--no-sync", "--json", script)
    document = done.document("run")
    assert document["state"] == "ok"
    assert document["stdout_tail"].startswith("red ")
    assert "title" not in document["stdout_tail"]
    assert document["stdout_tail"].endswith("no newline at the end")
    assert "the end\n✓ ok" in done.err  # what dgummy says begins on a line of its own


def test_a_long_output_is_kept_to_its_end(desk: Desk) -> None:
    document = desk.inv("run", "--no-sync", "--json", "seq 100000").document("run")
    assert len(document["stdout_tail"]) <= 65536
    assert document["stdout_tail"].endswith("99999\n100000\n")


def test_task_tells_what_changed(desk: Desk) -> None:
    document = desk.inv("task", "--json", "optimize database queries").document("task")
    assert (document["host"], document["state"], document["exit_code"]) == ("node-1", "ok", 0)
    assert document["type"] == "database"
    assert document["changed"] == ["queries.sql"]


def test_config_documents(desk: Desk) -> None:
    shown = {row["key"]: row for row in desk.inv("config.show", "--json").document("config-show")["settings"]}
    assert shown["groups.lab"]["value"] == ["node-1", "node-2", "node-3"]
    assert shown["groups.lab"]["origin"] == str(desk.lab.config_path)
    assert shown["jobs"]["origin"] == "default"
    files = desk.inv("config.path", "--json").document("config-path")["files"]
    assert files[-1] == {
        "path": str(desk.lab.config_path),
        "exists": True,
        "purpose": "your settings, as DGUMMY_CONFIG says",
    }
    checked = desk.inv("config.check", "--json").document("config-check")
    assert (checked["groups"], checked["hosts"], checked["warnings"]) == (1, 3, [])


def test_lab_documents(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = str(tmp_path_factory.mktemp("another") / "lab")
    none = desk.inv("lab.down", "--dir", folder, "--json").document("lab")
    assert (none["directory"], none["export"], none["nodes"]) == (None, None, [])
    try:
        up = desk.inv("lab.up", "--dir", folder, "--nodes", "1", "--down", "1", "--json").document("lab")
        assert [(node["host"], node["state"]) for node in up["nodes"]] == [("node-1", "up"), ("node-2", "down")]
        assert up["export"] == f"export DGUMMY_CONFIG='{folder}/config.yaml'"
        here = {"DGUMMY_CONFIG": up["config"]}  # the lab that the settings point at is the one that is meant
        stopped = desk.inv("lab.stop", "node-1", "--json", env=here).document("lab")
        assert stopped["nodes"][0]["state"] == "down"
        started = desk.inv("lab.start", "node-1", "--json", env=here).document("lab")
        assert started["nodes"][0]["state"] == "up"
    finally:
        down = desk.inv("lab.down", "--dir", folder, "--json")
    assert down.document("lab")["nodes"] == []
    assert json.loads(desk.inv("lab.status", "--json", "--dir", folder).out)["directory"] is None


def test_what_waits_for_a_run_and_what_cancels_it(desk: Desk) -> None:
    for command, schema, state in (("wait", "runs", "failed"), ("cancel", "cancel", "failed")):
        started = desk.inv("run", "--no-sync", "--detach", "--json", "sleep 0.5; exit 3").document("run")
        done = desk.inv("wait", started["run_id"], "--json")
        assert (done.code, done.document("runs")["runs"][0]["exit_code"]) == (3, 3)
        found = desk.inv(command, started["run_id"], "--json").document(schema)
        assert next(iter(found[next(key for key in found if key != "schema_version")]))["state"] == state


def test_what_a_run_printed(desk: Desk) -> None:
    command = r"printf 'out\351\033[31m'; echo err >&2; head -c 5000000 /dev/zero | tr '\0' x >&2; echo end >&2; exit 4"
    run_id = desk.inv("run", "--no-sync", "--host", "node-1", "--detach", command).out.strip()
    followed = desk.inv("logs", run_id, "--follow", "--json")
    document = followed.document("logs")
    assert followed.code == 4 and (document["run_id"], document["host"], document["state"]) == (
        run_id,
        "node-1",
        "failed",
    )
    assert document["stdout"].startswith("out\ufffd") and document["truncated"] is True
    assert document["stderr"].endswith("xend\n") and len(document["stderr"]) == 4 * 1024 * 1024
    alone = desk.inv("logs", run_id, "--stdout", "--json")
    assert alone.code == 0 and alone.document("logs")["stderr"] is None and "err" not in alone.err
    other = desk.inv("run", "--no-sync", "--host", "node-1", "echo short")
    short = desk.inv("logs", "last", "--json").document("logs")
    assert other.code == 0 and (short["stdout"], short["stderr"], short["truncated"]) == ("short\n", "", False)
    assert desk.inv("logs", run_id, "last", "--json").document("error")["error"]["exit_code"] == 64
