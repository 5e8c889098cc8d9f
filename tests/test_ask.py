"""Plain sentences and what is made of them: `inv ask`. The tables of sentences are in data/asking."""

from __future__ import annotations

import importlib
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli_lab import Desk, open_desk
from dgummy.asking.intents import understand
from dgummy.asking.phrasing import kind_of, words
from dgummy.asking.places import Names
from dgummy.asking.readings import Intent
from dgummy.asking.sentence import MAX_LENGTH
from dgummy.routing import TASK_TYPES


@pytest.fixture(scope="module")
def bench() -> Iterator[ModuleType]:
    """The benchmark that judges readings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        yield importlib.import_module("ask")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("ask")) as made:
        yield made


NAMES = Names(
    ("node-1", "node-2", "node-3", "node-4", "mac-mini", "buildbox"),
    {"dev": ("node-1", "node-2", "node-3", "node-4"), "mac": ("mac-mini",), "ci": ("buildbox", "node-4")},
)


def command(text: str) -> str:
    """What a sentence that is understood leads to."""
    found = understand(text, NAMES)
    assert found.sure, found.doubt
    reading = found.readings[0]
    kind, _ = kind_of(reading, text, TASK_TYPES)
    return shlex.join(["inv", *words(reading, kind)])


# -- the tables ----------------------------------------------------------------------------------------------------


def test_what_the_rules_were_written_for_is_read_so(bench: ModuleType) -> None:
    wrong = {case["say"]: bench.misread(case, understand(case["say"], NAMES)) for case in bench.cases("open")}
    assert {say: why for say, why in wrong.items() if why} == {}
    assert len(wrong) >= 120


@pytest.mark.parametrize(
    ("table", "least"), [("held", 0.9), ("kept", 0.95), ("later", 0.98), ("rounds", 0.98), ("roundabout", 0.95)]
)
def test_what_they_were_not_written_for_mostly_is_too(bench: ModuleType, table: str, least: float) -> None:
    cases = bench.cases(table)
    right = sum(not bench.misread(case, understand(case["say"], NAMES)) for case in cases)
    assert right / len(cases) >= least


def test_no_sentence_is_in_two_tables(bench: ModuleType) -> None:
    said = [case["say"].casefold() for table in bench.TABLES for case in bench.cases(table)]
    assert len(said) == len(set(said))


@pytest.mark.parametrize(
    ("say", "wanted"),
    [
        # The seed document's own, word for word.
        ("Run this gummy task on the least loaded host", "inv task TEXT"),
        ("Execute specialist on optimal node", "inv task TEXT"),
        ("Distribute testing across all machines", "inv fanout --task testing"),
        ("Which host should handle this database work?", "inv pick 'database work'"),
        ("Run API specialist on best available node", "inv task TEXT --type api"),
        ("Balance gummy tasks across cluster", "inv distribute TEXT"),
        ("Sync codebase andw run gummy on node-2", "inv task TEXT --host node-2"),
        ("Execute parallel specialists across network", "inv fanout --task TEXT"),
        ("Run tests on all platforms simultaneously", "inv fanout --task 'run tests'"),
        ("Show all running specialists across hosts", "inv specialists"),
        ("What gummy tasks are active on my network?", "inv specialists"),
        ("Status of distributed specialists", "inv specialists"),
        ("Run database optimization on least loaded host", "inv task 'run database optimization'"),
        ("Run tests across all available nodes", "inv fanout --task 'run tests'"),
        (
            "I have database work and API work - distribute optimally",
            "inv distribute 'database work' 'API work'",
        ),
        (
            "I need to optimize database queries and build new API endpoints",
            "inv distribute 'optimize database queries' 'build new API endpoints'",
        ),
        (
            "Sync my codebase to node-3 andw run frontend specialist there",
            "inv task TEXT --host node-3 --type frontend",
        ),
        # And more.
        ("run `make test` on node-3", "inv run 'make test' --host node-3"),
        ("run the linter on nodes 1 to 3", "inv fanout --task 'run linter' --host node-1 --host node-2 --host node-3"),
        ("run `nproc` on every box except node-3", "inv fanout nproc --exclude node-3"),
        (
            "run the smoke tests on the dev nodes, skip node-4",
            "inv fanout --task 'run smoke tests' --group dev --exclude node-4",
        ),
        ("sync the project to node-2", "inv sync --host node-2"),
        ("don't sync, just run `ls` on node-2", "inv run ls --host node-2 --no-sync"),
        ("how busy is node-4", "inv load --host node-4"),
        ("who is up?", "inv status"),
        ("cancel run 20261124-101502-7wq2ke", "inv cancel 20261124-101502-7wq2ke"),
        ("cancel the last run", "inv cancel last"),
        ("let me see the log of the run on node-3", "inv runs --host node-3"),
        ("on node-1 run `-x; rm -rf /`", "inv run --host node-1 -- '-x; rm -rf /'"),
    ],
)
def test_the_exact_command(say: str, wanted: str) -> None:
    assert command(say) == wanted


@pytest.mark.parametrize(
    ("say", "text"),
    [
        ("Run gummy task locally", None),
        ("Execute specialist here", None),
        ("/gummy-task add logging", "add logging"),
        ("run the tests on this machine", "run tests"),
    ],
)
def test_local_work_is_told_as_such(say: str, text: str | None) -> None:
    found = understand(say, NAMES)
    assert found.sure
    assert (found.readings[0].intent, found.readings[0].text) == (Intent.LOCAL, text)


@pytest.mark.parametrize(
    ("say", "why"),
    [
        ("run the tests on node-99", "there is no host or group node-99"),
        ("run the tests on nod-1", "there is no host or group nod-1"),
        ("run the tests on the gpu nodes", "there is no host or group gpu"),
        ("run the tests on node-1 and prod-7", "there is no host or group prod-7"),
        ("run the tests on node-1 or node-2", "one host or another"),
        ("run the tests on node-1 and on the best host", "several places"),
        ("run the tests here and on node-2", "here and elsewhere"),
        ("don't run the tests on node-3", "not to be done"),
        ("delete everything on node-1", "destroy"),
        ("shut down the build box", "destroy"),
        ("run the backup on node-1 every night", "says when"),
        ("run the tests on node-2 if node-1 is busy", "condition"),
        ("move the specialist from node-1 to node-2", "from one host to another"),
        ("show the load and run the tests on node-1", "two different things"),
        ("should I run the tests on node-3?", "asks whether"),
        ("fix the specialist page", "does not say where"),
    ],
)
def test_doubts(say: str, why: str) -> None:
    found = understand(say, NAMES)
    assert why in found.doubt
    assert len(found.readings) >= 1


@pytest.mark.parametrize(
    "say",
    [
        "run pytest on every host except the first",
        "run pytest on all nodes but two",
        "run the linter everywhere but only on node-2",
        "cancel the run before the last one",
        "cancel the last two runs",
        "cancel all runs",
        "retry all failed runs",
        "retry run 20261124-101502-7wq2ke on node-2",
        "wait for all runs",
        "run make tset on node-1",
        "run ls .. on node-1",
        "run du -sh . on node-1",
        "run ls | tee out on node-1",
        "run pytest on node-1 but only show the command",
        "run pytest on node-1 but ask me first",
        "run pytest on node-1, just kidding",
        "run pytest on node-1 twice",
        "run pytest on node-1 in an hour",
        "run pytest on node-1 on monday",
        "run pytest on node-1 after run 3 finishes",
        "run pytest on node-1 provided it is up",
        "run pytest on node-1 otherwise on node-2",
        "run pytest on node-1/2",
        "run pytest on node 1 & 2",
        "run pytest on node-1, 2",
        "run pytest on node-1 and 2",
        "run pytest on node-1 and ci",
        "you must not run pytest on node-1",
        "nobody should run pytest on node-1",
        "avoid running pytest on node-1",
        "under no circumstances run pytest on node-1",
        "make sure not to run pytest on node-1",
        "run pytest on one of the ci hosts",
        "run pytest on a ci host",
        "run git clean -fdx on node-1",
        "run docker system prune -af everywhere",
        "shred db on node-1",
        "run cat /dev/null > app.db on node-1",
        "run find . -delete on node-1",
        "get my changes from node-1",
        "sync my code from node-1",
        "cancel all my runs except the last",
        "cancel the last run if it hangs",
        "collect the last run tomorrow",
        "run the tests on the second best host",
        "run the tests on node-1's neighbour",
        "run the tests on node-1 in 5 min",
        "run the command echo hello on node-2 on node-1",
        "sync the project ../other to node-1",
        "`make test` failed on node-1",
        "run the tests on node-1 and send the results to node-2",
        "run the tests on all hosts, then shut them down",
        "run the tests on non-ci hosts",
        "run nothing on node-1",
        "run the tests on node-1 overnight",
        "run the tests on node-1 once a day",
        "run the tests on node-1 from 9 to 5",
        "run the tests on node-1 by 5pm",
        "schedule the tests on node-1 for friday",
        "run the tests on node-1 while I'm at lunch",
        "hold the tests on node-1",
        "consider running the tests on node-1",
        "you might want to run the tests on node-1",
        "Bob said to run the tests on node-1",
        "Bob runs the tests on node-1",
        "the docs say run the tests on node-1",
        "someone should run the tests on node-1",
        "undo: run make on node-1",
        "cancel: run make on node-1",
        "the tests must not be run on node-1",
        "the tests mustn't be run on node-1",
        "sync node-1 then run make everywhere",
        "run `make` on node-1 then sync",
        "run `make` on node-1 before syncing",
        "run make not here but on node-1",
        "keep it local: run the tests on node-1",
        "kill gummy on node-1",
        "cancel everything on node-1",
        "cancel the last run and collect its results",
        "compile the parser, then test the parser - spread them over the hosts",
        "tasks: compile the parser, then test the parser - spread them",
        "spread: step 1 dump the db, step 2 import the dump",
        "bump the version and tag the release and publish, distribute",
        "database work and API work, but the database work first - distribute",
        "distribute: fix the model, fix the view (after the model)",
        "balance database work, API work and not the UI work",
        "distribute database work and API work but keep the UI work here",
        "assign reviewers on node-1",
        "send the email on node-1",
        "give the header a border on node-1",
        "put the button on the left on node-1",
        "make the picker choose the best host",
        "add a run everywhere button",
        "turn the feature flag off on node-1",
        "make the status badge say up or down on node-2",
        "turn the dark mode on on node-1",
        "bring the site up on node-1",
        "make the importer run in parallel on node-1",
        "write a scheduler that runs jobs at the same time, on the best host",
        "run the linter locally and the tests remotely",
        "run npm run build then npm test on node-1",
        "run the tests on node-1 and only there",
        "run make on the two least loaded hosts",
        "run make on all the dev machines that are idle",
        "run make on every idle host",
        "run make on all hosts and here too",
        "run make on all hosts but node-1 and anything in ci",
        "run make on all hosts starting with node-1",
        "run make on all hosts, one after another",
        "run make on all hosts, stop at the first failure",
        "run make on node-1, node-2 and the rest",
        "run make on node-1 and make test on all others",
        "run make on every machine but this one",
        "would node-1 run the tests faster?",
        "the tests ran on node-1",
        "tests ran fine on node-1",
        "node-1 should have run the tests",
        "node-1 does not run the tests",
        "cancel the deploy run",
        "sync only the docs to node-1",
        "sync everything except node_modules to node-1",
        "as soon as the PR is merged, run make on node-1",
        "before the release is cut, run make on node-1",
        "once the review is approved, run make on node-1",
        "unless somebody objects, run make on node-1",
        "after lunch, run make on node-1",
        "run make on node-1 until it succeeds",
        "run make in a loop on node-1",
        "run make ten times on node-1",
        "run make 10x on node-1",
        "run make on node-1 this evening",
        "run make on node-1 on every push",
        "run make inside docker on node-1",
        "chmod -R 777 / on node-1",
        "kill -9 1234 on node-1",
        "force push main on node-1",
        "disable the firewall on all hosts",
        "tear down the staging environment on node-1",
        "shall I run the build on node-1",
        "I'd rather you didn't run the build on node-1",
        "please refrain from running the build on node-1",
        "no more builds on node-1",
        "run the build on node-1 or something",
        "run the build on node-1 maybe?",
        "run the build on node-1?",
        "`make` on node-1?",
    ],
)
def test_nothing_is_done_on_a_guess(say: str) -> None:
    assert not understand(say, NAMES).sure


@pytest.mark.parametrize(
    ("say", "wanted"),
    [
        ("run `touch x` everywhere except on node-1 and the ci hosts", ["node-1", "buildbox", "node-4"]),
        ("run pytest on all hosts not in the ci group", ["buildbox", "node-4"]),
        ("run pytest everywhere except ci", ["buildbox", "node-4"]),
        ("run `make test` everywhere but on ci", ["buildbox", "node-4"]),
        ("run `make test` everywhere (not node-1)", ["node-1"]),
        ("run `make test` on all hosts except the ones in ci", ["buildbox", "node-4"]),
        ("run `make test` on all hosts, skip ci", ["buildbox", "node-4"]),
    ],
)
def test_exceptions_stay_exceptions(say: str, wanted: list[str]) -> None:
    (reading, *_) = understand(say, NAMES).readings
    assert (list(reading.exclude), reading.group, reading.hosts) == (wanted, None, ())


@pytest.mark.parametrize(
    "text",
    [
        "printf 'a\nb'",
        "printf 'a  b'",
        'git commit -m "the tests, please"',
        "echo on",
        "bash -lc 'a && b'",
        "cat hots.txt",
        "./tets.sh",
    ],
)
def test_a_quoted_command_is_kept_byte_for_byte(text: str) -> None:
    assert understand("run python runn.py on node-1", NAMES).readings[0].text == "python runn.py"
    assert understand(f"run `{text}` on node-1", NAMES).readings[0].text == text


@pytest.mark.parametrize("name", ["best", "all", "the", "run", "here"])
def test_a_host_that_is_called_like_a_word_is_never_taken_for_it(name: str) -> None:
    found = understand(f"run the tests on the best host or all of them here {name}", Names((name, "node-1")))
    assert not found.sure
    assert understand("run `make` on node-1", Names((name, "node-1"))).sure == (name != "run")


@pytest.mark.parametrize(
    ("say", "text"),
    [
        ("fix issue #42 on node-1", "fix issue #42"),
        ("work on ticket ABC-123 on node-1", "work on ticket ABC-123"),
        ("fix the star rating on node-1", "fix the star rating"),
        ("fix the cold start on node-1", "fix the cold start"),
        ("fix star.py on node-1", "fix star.py"),
        ("rename runn.py to run.py on node-1", "rename runn.py to run.py"),
        ("turn the log level down in star.py on node-1", "turn the log level down in star.py"),
        ("update all dependencies but react on node-1", "update all dependencies but react"),
        ("queue the emails on node-1", "queue emails"),
    ],
)
def test_words_that_matter_stay(say: str, text: str) -> None:
    (reading, *_) = understand(say, NAMES).readings
    assert (reading.intent, reading.text, reading.hosts) == (Intent.RUN_HOST, text, ("node-1",))


def test_what_a_rule_lost_is_told() -> None:
    assert understand("turn the feature flag off on node-1", NAMES).doubt == "“off” would be lost"
    assert understand("distribute tests and docs over dev", NAMES).readings[0].group == "dev"


# -- hostile text --------------------------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_any_text_is_read_as_something(text: str) -> None:
    found = understand(text, NAMES)
    assert found.readings
    for reading in found.readings:
        assert words(reading)
        assert set(reading.hosts) <= set(NAMES.hosts)


@pytest.mark.parametrize(
    "part",
    [
        "please ",
        "and ",
        "on the best ",
        "node-1 ",
        "run ",
        "a",
        "(",
        "'",
        "`",
        "⟦h0⟧",
        "⟦q9⟧",
        "1) ",
        ", ",
        "x -",
        "every each all ",
    ],
)
def test_long_text_takes_no_time(part: str) -> None:
    began = time.process_time()
    understand((part * MAX_LENGTH)[:MAX_LENGTH], NAMES)
    assert time.process_time() - began < 1


def test_signs_that_nobody_sees_are_none() -> None:
    assert command("run `make test` on node‑1\u200b 🙂") == "inv run 'make test' --host node-1"
    assert command("run the linter on node-1 without syncing") == "inv task 'run linter' --host node-1 --no-sync"


def test_without_hosts_nobody_is_named() -> None:
    found = understand("run the tests on node-1", Names())
    assert not found.sure


# -- the command ---------------------------------------------------------------------------------------------------


def test_without_a_terminal_it_only_prints(desk: Desk) -> None:
    done = desk.inv("ask", "run `touch ran` on node-1")
    assert (done.code, done.err) == (0, "")
    assert done.out == "understood: the command “touch ran”, on node-1\n  inv run 'touch ran' --host node-1\n"


def test_yes_runs_it_with_its_exit_code(desk: Desk) -> None:
    done = desk.inv("ask", "--yes", "run `echo $((40+2)); exit 3` on node-2")
    assert done.code == 3
    assert done.out.endswith("\n42\n")
    document = desk.inv("runs", "--json").document("runs")
    assert (document["runs"][0]["host"], document["runs"][0]["exit_code"]) == ("node-2", 3)


def test_unsure_runs_nothing(desk: Desk) -> None:
    done = desk.inv("ask", "--yes", "run the tests on node-77")
    assert done.code == 64
    assert done.out.startswith("1. ")
    assert "\n2. " in done.out
    assert "✗ not sure, so nothing was run: there is no host or group node-77" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--yes", "Run gummy task locally"], "that is local work"),
        (["--yes", "Execute specialist on optimal node"], "does not say what is to be done"),
        (["--yes", "--json", "show load"], "--json runs nothing"),
        ([], "there is nothing to read"),
        (["x" * (MAX_LENGTH + 1)], "more than 2,000 characters"),
    ],
)
def test_what_it_refuses(desk: Desk, words: list[str], message: str) -> None:
    done = desk.inv("ask", *words)
    assert done.code == 64
    assert message in done.err


@pytest.mark.parametrize("words", [["status", "ask", "who is up?"], ["ask", "who is up?", "load"]])
def test_no_other_task_stands_beside_it(desk: Desk, words: list[str]) -> None:
    done = desk.inv(*words)
    assert (done.code, "can stand beside it" in done.err) == (64, True)


def test_below_a_name_of_its_own(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import Collection\nfrom dgummy.tasks import ns as other\nns = Collection()\n"
        "ns.add_collection(other, 'dg')\n",
        encoding="utf-8",
    )
    done = desk.inv("dg.ask", "who is up?", cwd=tmp_path)
    assert done.out.endswith("\n  inv dg.status\n")
    shown = desk.inv("dg.ask", "--yes", "who is up?", cwd=tmp_path)
    assert (shown.code, "node-1" in shown.out) == (0, True)
    assert desk.inv("ask", "who is up?", program="dgummy").out.endswith("\n  dgummy status\n")


def test_at_a_terminal_it_asks(desk: Desk) -> None:
    program, *argv = map(str, desk.argv(["ask", "Execute specialist on node-1"]))
    child = pexpect.spawn(
        program, argv, cwd=str(desk.project), env=desk.environment({"TERM": "dumb"}), encoding="utf-8", timeout=30
    )
    child.expect("What is to be done")
    child.sendline("")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    program, *argv = map(str, desk.argv(["ask", "run `echo $((6*7))` on node-1"]))
    child = pexpect.spawn(
        program, argv, cwd=str(desk.project), env=desk.environment({"TERM": "dumb"}), encoding="utf-8", timeout=30
    )
    child.expect("Run it")
    child.sendline("y")
    child.expect("\n42\r\n")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert sys.stdin is not None
