"""The stand-in for `gummy`: same files as the real one, under three shells, with any text."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from dgummy import lab as labs
from dgummy.errors import UsageError
from dgummy.lab import records

GUMMY = Path(labs.__file__).parent / "assets/gummy"
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
HOSTILE = 'sql "q" \\ \\n $(touch pwned) `id` %s %d \x01\x1b[31m\t\r\ntwo\n\n é\U0001f600 \' end\n'


class Gummy:
    """Runs the stand-in in `project`, with `home` as its home folder."""

    def __init__(self, shell: list[str], base: Path) -> None:
        self.shell, self.home, self.project = shell, base / "home", base / "my project"
        self.home.mkdir()
        self.project.mkdir()
        (self.project / "queries.sql").write_text("SELECT 1;\n")

    def __call__(self, *words: str | bytes, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[bytes]:
        environ = {"HOME": str(self.home), "PATH": os.environ["PATH"], "GUMMY_STANDIN_STEP_S": "0", **env}
        command = [*self.shell, GUMMY, *words]
        return subprocess.run(command, cwd=cwd or self.project, env=environ, capture_output=True, timeout=30)

    def with_specialists(self) -> Gummy:
        (self.project / ".gummy/lib").mkdir(parents=True)
        (self.project / ".gummy/lib/core.sh").touch()
        return self

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.home / ".claude").glob(pattern))

    def meta(self, name: str = "database-expert") -> dict[str, str]:
        text = (self.project / f".gummy/specialists/{name}/meta.yaml").read_text()
        return dict(line.split(": ", 1) for line in text.splitlines())


@pytest.fixture(params=list(SHELLS))
def gummy(request: pytest.FixtureRequest, tmp_path: Path) -> Gummy:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return Gummy(words, tmp_path)


@pytest.fixture
def quick(tmp_path: Path) -> Gummy:
    """Under one shell, where the shell is not what is tried."""
    return Gummy(["sh"], tmp_path)


def log_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that are JSON; others are stderr, mixed in."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.startswith(b"{")]


def task_id(done: subprocess.CompletedProcess[bytes]) -> str:
    match = re.search(rb"^Task ID: (gummy-[0-9]+)$", done.stdout, re.MULTILINE)
    assert match is not None, done
    return match[1].decode()


# One-off tasks


def test_a_task_writes_a_log_and_a_report(gummy: Gummy) -> None:
    done = gummy("task", "optimize database queries")
    assert (done.returncode, done.stderr) == (0, b"")
    name = task_id(done)
    first, *answers, last = log_lines(gummy.home / f".claude/logs/gummy/{name}-task.log")
    assert (first["type"], first["subtype"]) == ("system", "init")
    assert [one["type"] for one in answers] == ["assistant"] * len(answers) and answers
    assert set(answers[0]["message"]["usage"]) == {"input_tokens", "output_tokens"}
    assert (last["type"], last["subtype"], last["is_error"]) == ("result", "success", False)
    assert last["num_turns"] == len(answers)
    assert last["session_id"] == first["session_id"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first["session_id"])
    assert set(last) == {"type", "subtype", "is_error", "duration_ms", "num_turns", "result", "session_id",
                         "total_cost_usd", "usage"}  # fmt: skip
    report = gummy.home / f".claude/agent_comms/gummy/{name}-task-report.md"
    assert report.read_text().startswith("# Task Completion Report: optimize database queries\n")
    lines = (gummy.project / "queries.sql").read_text().splitlines()
    assert len(lines) == 2 and "CREATE INDEX" in lines[0] and lines[1] == "SELECT 1;"
    assert not list(gummy.project.glob(".queries*"))


def test_any_text_arrives_byte_for_byte(gummy: Gummy) -> None:
    done = gummy("task", HOSTILE)
    log = gummy.home / f".claude/logs/gummy/{task_id(done)}-task.log"
    assert log_lines(log)[-1]["result"] == f"Done: {HOSTILE}"
    report = gummy.files("agent_comms/gummy/*-task-report.md")[0].read_bytes()
    assert report.startswith(b"# Task Completion Report: " + HOSTILE.encode() + b"\n")
    assert not (gummy.project / "pwned").exists()
    other = HOSTILE.replace("sql", "words")
    gummy("task", other)
    assert other.encode() in (gummy.project / "NOTES.md").read_bytes()


def test_bytes_that_are_no_text_pass_as_well(gummy: Gummy) -> None:
    gummy("task", b"caf\xe9 \xff")
    assert b": caf\xe9 \xff\n" in (gummy.project / "NOTES.md").read_bytes()


def test_output_streams(quick: Gummy) -> None:
    environ = {"HOME": str(quick.home), "PATH": os.environ["PATH"], "GUMMY_STANDIN_STEP_S": "0.2"}
    command = [*quick.shell, str(GUMMY), "task", "anything"]
    with subprocess.Popen(command, cwd=quick.project, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        arrivals = [(time.monotonic(), line) for line in process.stdout]
    assert arrivals[-1][1] == b"COMPLETED\n"
    assert arrivals[-1][0] - arrivals[0][0] > 0.6


def test_ids_collide_within_a_second(quick: Gummy, tmp_path: Path) -> None:
    clock = tmp_path / "bin/date"
    clock.parent.mkdir()
    clock.write_text("#!/bin/sh\necho 1795452348\n")
    clock.chmod(0o755)
    for text in ("first", "second"):
        assert task_id(quick("task", text, PATH=f"{clock.parent}:{os.environ['PATH']}")) == "gummy-1795452348"
    (log,) = quick.files("logs/gummy/*")
    assert log_lines(log)[-1]["result"] == "Done: second"


# Failures


def test_a_rate_limit_exits_0(quick: Gummy) -> None:
    done = quick("task", "sql", GUMMY_STANDIN_MODE="rate-limit")
    assert done.returncode == 0
    last = log_lines(quick.files("logs/gummy/*")[0])[-1]
    assert (last["is_error"], last["result"]) == (True, "Claude AI usage limit reached")
    assert quick.files("agent_comms/gummy/*") == []
    assert (quick.project / "queries.sql").read_text() == "SELECT 1;\n"


def test_no_report_looks_like_success(quick: Gummy) -> None:
    done = quick("task", "sql [standin:no-report]")
    assert done.returncode == 0
    assert log_lines(quick.files("logs/gummy/*")[0])[-1]["is_error"] is False
    assert quick.files("agent_comms/gummy/*") == []
    assert (quick.project / "queries.sql").read_text() == "SELECT 1;\n"


def test_a_failure_exits_1_but_not_with_a_specialist(quick: Gummy) -> None:
    assert quick("task", "sql [standin:fail]").returncode == 1
    assert log_lines(quick.files("logs/gummy/*")[0])[-1]["is_error"] is True
    quick.with_specialists()
    assert quick("task", "sql [standin:fail]").returncode == 0
    assert quick.meta()["turns"] == "0"


def test_settings_come_from_text_then_environment_then_file(quick: Gummy) -> None:
    (quick.home / ".gummy-standin").write_text("mode=fail\nstep_s=0\n")
    assert quick("task", "a").returncode == 1
    assert quick("task", "a", GUMMY_STANDIN_MODE="no-report").returncode == 0
    assert quick("task", "a [standin:fail]", GUMMY_STANDIN_MODE="no-report").returncode == 1


def test_a_slow_task_goes_on_until_it_is_ended(quick: Gummy) -> None:
    quick.with_specialists()
    environ = {"HOME": str(quick.home), "PATH": os.environ["PATH"], "GUMMY_STANDIN_STEP_S": "0.05"}
    command = [*quick.shell, str(GUMMY), "task", "sql [standin:slow]"]
    with subprocess.Popen(command, cwd=quick.project, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"Still thinking (3 of 100)" in line:
                break
        assert quick.meta()["status"] == "active"
        process.terminate()
    assert quick.meta()["status"] == "active"  # and so it stays, as with the real one


# Specialists


def test_a_specialist_writes_its_memory_and_no_log(gummy: Gummy) -> None:
    gummy.with_specialists()
    done = gummy("task", "optimize database queries")
    assert (done.returncode, done.stderr) == (0, b"")
    first = gummy.meta()
    assert list(first) == ["name", "created", "session_id", "status", "turns", "last_active"]
    assert (first["name"], first["status"], first["turns"]) == ("database-expert", "dormant", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first["last_active"])
    memory = gummy.project / ".gummy/specialists/database-expert"
    assert (memory / "session.txt").read_text() == first["session_id"] + "\n"
    assert sorted(path.name for path in memory.iterdir()) == ["meta.yaml", "prompt.txt", "session.txt"]
    assert gummy.files("logs/gummy/*") == []
    assert b"CREATE INDEX" in (gummy.project / "queries.sql").read_bytes()

    gummy("task", "another query")
    second = gummy.meta()
    assert (second["turns"], second["session_id"], second["created"]) == ("2", first["session_id"], first["created"])


def test_a_transcript_counts_tokens(gummy: Gummy) -> None:
    gummy.with_specialists()
    gummy("task", HOSTILE)
    slug = re.sub(r"[^A-Za-z0-9]", "-", str(gummy.project))
    (transcript,) = gummy.files(f"projects/{slug}/*.jsonl")
    assert transcript.stem == gummy.meta()["session_id"]
    question, *answers = log_lines(transcript)
    assert question["message"]["content"] == HOSTILE
    assert question["cwd"] == str(gummy.project)
    assert all(one["message"]["usage"]["output_tokens"] > 0 for one in answers) and answers


def test_the_project_may_be_above(quick: Gummy) -> None:
    quick.with_specialists()
    below = quick.project / "src/deep"
    below.mkdir(parents=True)
    quick("task", "sql", cwd=below)
    assert quick.meta()["turns"] == "1"
    assert not (below / ".gummy").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("optimize database queries", "database-expert"),
        ("add an endpoint", "api-developer"),
        ("run the tests", "testing-specialist"),
        ("interest in vitest", "api-developer"),  # "rest" comes before "test"
        ("check permissions", "security-specialist"),
        ("build it", "frontend-specialist"),  # "build" contains "ui"
        ("Database", "general-specialist"),  # case counts, and "database" is not in it
    ],
)
def test_routing(text: str, name: str, quick: Gummy) -> None:
    quick.with_specialists()
    quick("task", text)
    assert [path.name for path in (quick.project / ".gummy/specialists").iterdir()] == [name]


# Plans and the rest


def test_plan_then_execute(gummy: Gummy) -> None:
    gummy.with_specialists()
    name = task_id(gummy("plan", "faster\nsql"))
    kinds = [path.name.removeprefix(f"{name}-") for path in gummy.files("agent_comms/gummy/*")]
    assert kinds == ["discoveries.md", "plan-report.md", "plan.md"]
    assert (gummy.project / "queries.sql").read_text() == "SELECT 1;\n"
    done = gummy("execute", name)
    assert done.returncode == 0
    assert [path.name for path in gummy.files("logs/gummy/*")] == [f"{name}-execute.log", f"{name}-plan.log"]
    assert gummy.files("agent_comms/gummy/*-execution-report.md")
    assert "CREATE INDEX" in (gummy.project / "queries.sql").read_text()


@pytest.mark.parametrize("words", [(), ("task",), ("plan",), ("execute",), ("execute", "gummy-1"), ("frob",)])
def test_what_makes_no_sense_exits_1(words: tuple[str, ...], quick: Gummy) -> None:
    done = quick(*words)
    assert done.returncode == 1
    assert done.stdout


def test_setup_installs_the_commands(quick: Gummy) -> None:
    assert quick("setup").returncode == 0
    assert [path.name for path in quick.files("commands/*")] == [
        "gummy-execute.md",
        "gummy-plan.md",
        "gummy-task.md",
    ]


# From a lab


@pytest.fixture
def paper_lab(tmp_path: Path) -> labs.Lab:
    node = records.make_node(tmp_path, "node-1", 1, expected_up=True, gummy=True)
    node.home.mkdir(parents=True)
    return labs.Lab(tmp_path, (node,))


def test_a_node_can_be_told_to_fail(paper_lab: labs.Lab) -> None:
    home = paper_lab.nodes[0].home
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    labs.set_gummy(paper_lab, "node-1", mode="fail", step_s=0.001)
    assert subprocess.run(["sh", GUMMY, "task", "x"], cwd=home, env=environ, capture_output=True).returncode == 1
    labs.set_gummy(paper_lab, "node-1", step_s=0)
    assert subprocess.run(["sh", GUMMY, "task", "x"], cwd=home, env=environ, capture_output=True).returncode == 0
    with pytest.raises(UsageError, match="no mode 'sulk'"):
        labs.set_gummy(paper_lab, "node-1", mode="sulk")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="needs shellcheck")
@pytest.mark.parametrize(
    "name", ["claude", "enter", "gummy", "hostname", "sample/src/report.sh", "sample/tests/run.sh"]
)
def test_the_scripts_are_clean(name: str) -> None:
    done = subprocess.run(["shellcheck", GUMMY.parent / name], capture_output=True, text=True)
    assert done.stdout == ""
