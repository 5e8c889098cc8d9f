"""`inv fanout` and `inv distribute` as people type them: what is on stdout, what is on stderr, the exit code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from cli_lab import Desk, open_desk, validate

pytestmark = pytest.mark.lab

SUITE = """\
dgummy:
  suites:
    ci:
      unit: "echo '===== 1247 passed in 3.20s ====='"
      integration:
        run: |
          echo '=== short test summary info ==='
          echo 'FAILED tests/test_a.py::test_b - assert 0'
          echo '1 failed, 88 passed in 2s'
          exit 1
      lint: {run: "true", host: node-2, timeout: 20m}
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("groups")) as made:
        yield made


UP = ("--exclude", "node-3", "--no-sync")


def test_lines_carry_their_host_and_keep_their_stream(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "echo out $DGUMMY_NODE; echo err >&2; printf 'no newline'")
    assert done.code == 0, done
    assert sorted(done.out.splitlines()) == [
        *("node-1: no newline", "node-1: out node-1"),
        *("node-2: no newline", "node-2: out node-2"),
    ]
    assert {"node-1: err", "node-2: err"} <= set(done.err.splitlines())
    assert re.search(r"✓\s+node-1\s+ok\s+0\s+\d", done.err) and "All complete in" in done.err


def test_bytes_come_as_they_are_through_a_pipe(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "--host", "node-1", r"printf '\377\033[31mx\n'")
    assert done.out_bytes == b"node-1: \xff\x1b[31mx\n"


def test_what_goes_wrong_is_one_line_and_what_to_do(desk: Desk) -> None:
    for words, code, says in (
        (["fanout"], 64, "give a command, or --task TEXT"),
        (["fanout", "true", "--task", "x"], 64, "give a command, or --task TEXT"),
        (["fanout", "true", "--gather", "--detach"], 64, "--detach leaves nothing to gather"),
        (["fanout", "true", "--diff", "--stream"], 64, "--stream leaves nothing to gather"),
        (["fanout", "--suite", "nosuch"], 64, "there is no suite nosuch"),
        (["fanout", "--max-failures", "lots", "true"], 64, "--max-failures: 'lots' is neither"),
        (["fanout", "--deadline", "soon", "true"], 64, "--deadline: 'soon' is not a duration"),
        (["fanout", "--jobs", "0", "true"], 78, "--jobs: jobs: 0 is out of range"),
        (["fanout", "--suite", "cj"], 64, "there is no suite cj"),
        (["fanout", "--detach", "--deadline", "1h", "true"], 64, "nobody is there to end a fan-out by rule"),
        (["fanout", "--suite", "ci", "true"], 64, "a suite has its own commands"),
        (["fanout", "--host", "nod-1", "true"], 69, "nod-1: no such host"),
        (["distribute"], 64, "there is nothing to do"),
        (["distribute", "--from", "no-such-file"], 64, "no-such-file: no such file"),
        (["distribute", "--type", "databse", "x"], 64, "there is no task type databse"),
    ):
        done = desk.inv(*words)
        assert (done.code, done.out) == (code, ""), (words, done)
        first, second, *_ = done.err.splitlines()
        assert says in first and second.strip(), (words, done)


def test_a_suite(desk: Desk) -> None:
    (desk.project / "invoke.yaml").write_text(SUITE, encoding="utf-8")
    done = desk.inv("fanout", "--suite", "ci", "--no-sync")
    assert done.code == 1, done
    assert re.search(r"✓\s+unit\s+ok\s+node-\d\s+0\s+[\d.]+ s\s+1,247 passed", done.err), done
    assert re.search(r"✗\s+integration\s+failed\s+node-\d\s+1\s+[\d.]+ s\s+88 passed, 1 failed: .*test_b", done.err), (
        done
    )
    assert re.search(r"✓\s+lint\s+ok\s+node-2\s+0", done.err), done
    assert re.search(r"1 of 3 not ok in [\d.]+ s \([\d.]+ s one after the other\)", done.err)
    document = desk.inv("fanout", "--suite", "ci", "--no-sync", "--json").document("fanout")
    assert [entry["label"] for entry in document["results"]] == ["unit", "integration", "lint"]
    assert document["results"][0]["summary"] == "1,247 passed"


def test_suites_that_make_no_sense_are_refused(desk: Desk) -> None:
    for text, says in (
        ("suites: {ci: {}}", "suites.ci: has no labels"),
        ("suites: {ci: {a: ''}}", "suites.ci.a: has no command"),
        ("suites: {ci: {a: {run: x, task: y}}}", "suites.ci.a: has both run and task"),
        ("suites: {ci: {a: {run: x, timeout: soon}}}", "suites.ci.a.timeout: expected seconds"),
        ("suites: {ci: {a: {run: x, require: 'cores>>1'}}}", "suites.ci.a.require"),
        ("suites: {ci: {a: {run: x, rum: y}}}", "suites.ci.a.rum: no such key"),
        ("suites: {ci: {a: {run: x, type: databse}}}", "suites.ci.a.type: no such task type"),
        ("suites: {ci: [a]}", "suites.ci: expected a map"),
    ):
        (desk.project / "invoke.yaml").write_text(f"dgummy:\n  {text}\n", encoding="utf-8")
        done = desk.inv("fanout", "--suite", "ci")
        assert done.code == 78 and says in done.err, (text, done)
    (desk.project / "invoke.yaml").unlink()


def test_a_stream_of_json_lines(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "--stream", "echo hi; exit 2")
    assert done.code == 1
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert all(line["schema_version"] == 1 for line in lines)
    events = [line["event"] for line in lines]
    assert events[0] == "group_started" and events[-1] == "group_ended"
    for host in ("node-1", "node-2"):
        own = [line for line in lines if line.get("label") == host]
        assert [line["event"] for line in own] == ["run_started", "output", "run_ended"]
        assert (own[1]["text"], own[1]["stream"], own[2]["exit_code"]) == ("hi", "stdout", 2)
    validate(lines[-1], "fanout")


def test_detached_prints_ids_and_returns(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "--detach", "sleep 1")
    assert done.code == 0 and re.fullmatch(r"(\d{8}-\d{6}-\w{6}\n){2}", done.out), done
    one = desk.inv("run", "--no-sync", "--detach", "sleep 1")
    assert one.code == 0 and re.fullmatch(r"\d{8}-\d{6}-\w{6}\n", one.out), one


def test_equal_outputs_are_shown_once(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "--gather", "echo same; echo more")
    assert done.code == 0
    rule = "─" * 15
    assert done.out == f"{rule}\nnode-[1-2] (2)\n{rule}\nsame\nmore\n"
    assert "All complete in" in done.err


def test_how_the_others_differ(desk: Desk) -> None:
    done = desk.inv("fanout", *UP, "--diff", 'echo same; [ "$DGUMMY_NODE" = node-1 ] || { echo other; exit 3; }')
    assert done.code == 1
    assert "node-2 · exit code 3\n" in done.out
    assert done.out.endswith("--- node-1\n+++ node-2\n@@ -1 +1,2 @@\n same\n+other\n")


def test_junit_xml_is_read_where_the_output_tells_nothing(desk: Desk) -> None:
    xml = '<testsuite tests="3" failures="1"><testcase name="a"/><testcase name="b"/><testcase name="c"><failure/>'
    old = f"mkdir -p old && echo '{xml}</testcase></testsuite>' >old/junit.xml && touch -d 2001-01-01 old/junit.xml"
    write = f"echo '{xml}</testcase></testsuite>' >TEST-shop.xml"
    done = desk.inv("distribute", "--command", "--json", f"{old}; {write}", old)
    summaries = [entry["summary"] for entry in done.document("fanout")["results"]]
    assert summaries == ["2 passed, 1 failed: c", None]


def test_dry_does_nothing(desk: Desk) -> None:
    done = desk.inv("fanout", "--exclude", "node-3", "--dry", "touch made")
    assert done.code == 0 and "node-1: would send" in done.out and "would run on 2: touch made" in done.out
    done = desk.inv("fanout", "--exclude", "node-3", "--dry", "--no-sync", "touch made")
    assert done.code == 0 and "node-1: would be sent no project\n" in done.out and "would run on 2" in done.out, done
    assert not (desk.there("node-1") / "made").exists()


def test_as_many_tasks_as_words(desk: Desk, tmp_path: Path) -> None:
    words = ["--command", "--no-sync", "echo one", "echo two; true", "api: echo three"]
    done = desk.inv("distribute", *words)
    assert done.code == 0, done
    assert sorted(line.partition(": ")[2] for line in done.out.splitlines()) == ["one", "three", "two"]
    mixed = desk.inv("distribute", "echo a", "--command", "--host", "node-1", "echo b", "--no-sync", "--", "echo c")
    assert sorted(mixed.out.splitlines()) == ["echo-a: a", "echo-b: b", "echo-c: c"]
    (tmp_path / "list.txt").write_text("# work\necho x\n\necho y\n")
    read = desk.inv("distribute", "--command", "--no-sync", "--from", str(tmp_path / "list.txt"))
    assert sorted(read.out.splitlines()) == ["echo-x: x", "echo-y: y"]


def test_agents_by_kind(desk: Desk) -> None:
    done = desk.inv("distribute", "optimize database queries", "build REST API endpoints")
    assert done.code == 0, done
    assert "database, wants the host with the lowest CPU" in done.err
    assert re.search(r"✓\s+optimize-database-querie\s+ok\s+node-1", done.err), done
    assert re.search(r"✓\s+build-rest-api-endpoints\s+ok\s+node-2", done.err), done


def at_terminal(desk: Desk, *words: str) -> pexpect.spawn[bytes]:
    program, *rest = map(str, desk.argv(words))
    env = desk.environment({"TERM": "xterm"})
    return pexpect.spawn(program, rest, cwd=str(desk.project), env=env, dimensions=(24, 80), timeout=30)


def test_on_a_terminal_each_run_has_a_live_line(desk: Desk) -> None:
    child = at_terminal(desk, *["fanout", *UP, "echo hello; sleep 2; echo bye"])
    child.expect(r"node-1  running [\d.]+ s")
    child.expect(r"2 running")
    child.expect("All complete in")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_the_terminal_is_left_as_it_was(desk: Desk) -> None:
    child = at_terminal(desk, *["fanout", *UP, "sleep 30"])
    child.expect("2 running")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    said = child.before
    assert isinstance(said, bytes) and said.rfind(b"\x1b[?25h") > said.rfind(b"\x1b[?25l"), "the cursor is hidden"
