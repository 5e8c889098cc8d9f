"""`inv runs`, `logs`, `wait`, `attach`, `cancel` as people type them, on runs whose client is gone or still there."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from cli_lab import Desk, open_desk
from dgummy import lab as dlab
from dgummy import reconcile
from dgummy.history import Seen
from dgummy.lab.processes import table
from dgummy.ledger import Ledger
from dgummy.ledger_rows import RunRow
from dgummy.model import RunState
from dgummy.render import history
from labs import fresh_id, until

pytestmark = pytest.mark.lab

QUICK = {
    "INVOKE_DGUMMY_TIMEOUTS_CONNECT_S": "2",
    "INVOKE_DGUMMY_TIMEOUTS_RECONNECT_S": "3",
    "INVOKE_DGUMMY_TIMEOUTS_KILL_S": "3",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("rejoin")) as made:
        yield made


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A lab that a test may break."""
    with open_desk(tmp_path_factory.mktemp("own"), 1, down_nodes=0) as made:
        yield made


class Client:
    """A client that follows a run, and can be killed."""

    def __init__(self, desk: Desk, command: str, *flags: str, host: str = "node-1") -> None:
        self.desk, self.host = desk, host
        self.gate = desk.nodes.home_of(host) / f"gate-{fresh_id()}"
        known = {row.run_id for row in desk.nodes.ledger()}
        script = command.replace("WAIT", f"while [ ! -e {self.gate} ]; do sleep 0.05; done")
        self.process = desk.nodes.start("run", "--no-sync", "--host", host, *flags, script, cwd=desk.project)
        self.run_id: str = until(
            lambda: next((row.run_id for row in desk.nodes.ledger() if row.run_id not in known), ""), 60
        )
        over = desk.nodes.run_dir(host, self.run_id) / "exit"
        until(lambda: len(self.pids) == 2 or over.exists(), 60, "for the command to run")

    @property
    def pids(self) -> tuple[int, ...]:
        return self.desk.nodes.active_runs(self.host).get(self.run_id, ())

    def kill(self) -> None:
        """End the client as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def release(self) -> None:
        self.gate.touch()

    def row(self) -> RunRow:
        return next(row for row in self.desk.nodes.ledger() if row.run_id == self.run_id)


def listed(desk: Desk, *flags: str, env: dict[str, str] | None = None) -> dict[str, dict[str, object]]:
    """`inv runs --json` by run id."""
    done = desk.inv("runs", "--json", *flags, env=env)
    assert done.code == 0, done
    return {entry["run_id"]: entry for entry in done.document("runs")["runs"]}


def write(desk: Desk, **known: object) -> RunRow:
    """A row of the ledger, as a client of this machine would have written it."""
    owner = next((row.owner for row in desk.nodes.ledger()), "somebody@somewhere")
    row = RunRow(
        **{  # type: ignore[arg-type]
            "run_id": fresh_id(),
            "kind": "run",
            "command": "true",
            "created_at": datetime.now(timezone.utc),
            "owner": owner,
            **known,
        }
    )
    with Ledger.open(desk.lab.directory / "state/runs.db") as ledger:
        assert ledger.record(row)
    return row


BINARY = r"""printf 'out\000\377\n'; printf 'err\000\376' >&2; WAIT; seq 20000; seq 300 >&2; printf end; exit 5"""
BINARY_OUT = b"out\0\xff\n" + b"".join(b"%d\n" % number for number in range(1, 20001)) + b"end"
BINARY_ERR = b"err\0\xfe" + b"".join(b"%d\n" % number for number in range(1, 301))


# -- a client that was killed ----------------------------------------------------------------------------------------


def test_a_killed_client_loses_nothing(desk: Desk) -> None:
    client = Client(desk, BINARY)
    client.kill()
    entry = listed(desk)[client.run_id]
    assert (entry["state"], entry["exit_code"], entry["stale"]) == ("running", None, False)
    so_far = desk.inv("logs", client.run_id, env={"LC_ALL": "C"})
    assert (so_far.code, so_far.out_bytes) == (0, b"out\0\xff\n")
    client.release()
    waited = desk.inv("wait", client.run_id)
    assert waited.code == 5, waited
    assert waited.out == ""
    assert re.search(rf"^✗ failed on node-1 in .*: exit code 5 · run {client.run_id}$", waited.err, re.MULTILINE)
    done = subprocess.run(
        desk.argv(["logs", client.run_id]), cwd=desk.project, env=desk.environment(), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, BINARY_OUT, BINARY_ERR)
    entry = listed(desk, "--state", "failed")[client.run_id]
    assert (entry["state"], entry["exit_code"], entry["reason"]) == ("failed", 5, "exit code 5")
    assert entry["ended_at"] and entry["started_at"]
    assert isinstance(entry["duration_s"], (int, float)) and 0 <= entry["duration_s"] < 60


def test_one_stream_alone_comes_on_stdout(desk: Desk) -> None:
    client = Client(desk, BINARY)
    client.release()
    client.process.communicate()
    for flag, content in (("--stderr", BINARY_ERR), ("--stdout", BINARY_OUT)):
        for more in ((), ("-f",)):
            done = subprocess.run(
                desk.argv(["logs", flag, *more, client.run_id]),
                cwd=desk.project,
                env=desk.environment(),
                capture_output=True,
            )
            assert done.stdout == content
            assert done.returncode == (5 if more else 0)
            assert BINARY_ERR not in done.stderr


def test_a_host_that_goes_and_comes_back(own: Desk) -> None:
    client = Client(own, BINARY)
    client.kill()
    dlab.stop(own.lab, "node-1")
    client.release()
    entry = listed(own, env=QUICK)[client.run_id]
    assert (entry["state"], entry["stale"]) == ("running", True)
    assert str(entry["reason"]).startswith("connection refused")
    shown = own.inv("runs", env=QUICK)
    assert re.search(rf"^{client.run_id} .* node-1 +running\? ", shown.out, re.MULTILINE), shown
    assert shown.err.startswith("node-1: connection refused")
    assert shown.err.count("node-1") == 1
    logs = own.inv("logs", "last", env=QUICK)
    assert logs.code == 69
    what, remedy = logs.err.splitlines()
    assert what.startswith("✗ node-1: connection refused") and remedy.startswith("  ")
    cancelled = own.inv("cancel", "last", env=QUICK)
    assert cancelled.code == 69 and "does not answer, so it may go on there" in cancelled.err
    assert own.inv("attach", "last", env=QUICK).code == 69
    waited = own.inv("wait", "last", env=QUICK)
    assert waited.code == 75, waited
    assert client.row().state is RunState.RUNNING
    dlab.start(own.lab, "node-1")
    assert own.inv("wait", "last").code == 5
    done = subprocess.run(own.argv(["logs", "last"]), cwd=own.project, env=own.environment(), capture_output=True)
    assert (done.stdout, done.stderr) == (BINARY_OUT, BINARY_ERR)


def test_a_run_that_its_host_forgot(desk: Desk) -> None:
    client = Client(desk, "echo hi")
    client.process.communicate()
    subprocess.run(["rm", "-r", desk.nodes.run_dir("node-1", client.run_id)], check=True)
    for words in (["logs"], ["logs", "-f"], ["attach"]):
        done = desk.inv(*words, client.run_id)
        assert done.code == 75, done
        what, remedy = done.err.splitlines()
        assert what.startswith(f"✗ node-1 does not remember run {client.run_id}")
        assert remedy == "  the ledger has it as ok"
    assert desk.inv("wait", client.run_id).code == 0  # how it ended is known


def test_a_run_that_never_began(desk: Desk) -> None:
    failed = desk.inv("run", "--host", "node-3", "--no-sync", "true")
    assert failed.code == 69
    for words in (["logs"], ["logs", "-f"], ["attach"]):
        done = desk.inv(*words, "last")
        assert done.code == 69, done
        assert re.match(r"✗ run \S+ never began \(unreachable: .*\)\n  it has no output\n$", done.err)
    assert desk.inv("wait", "last").code == 69
    assert desk.inv("cancel", "last").code == 0


# -- following -------------------------------------------------------------------------------------------------------


def test_attach_is_as_having_started_it(desk: Desk) -> None:
    client = Client(desk, "echo before; echo e >&2; WAIT; echo after; exit 9")
    client.kill()
    attached = desk.nodes.start("attach", client.run_id, cwd=desk.project)
    assert attached.stdout is not None
    assert attached.stdout.readline() == b"before\n"
    client.release()
    out, err = attached.communicate(timeout=30)
    assert (attached.returncode, out) == (9, b"after\n")
    assert b"e\n" in err and "✗ failed on node-1".encode() in err
    assert client.row().exit_code == 9
    document = desk.inv("attach", client.run_id, "--json").document("run")
    assert (document["stdout_tail"], document["stderr_tail"]) == ("before\nafter\n", "e\n")
    assert (document["state"], document["exit_code"]) == ("failed", 9)


def test_ctrl_c_while_attached_ends_the_run_there(desk: Desk) -> None:
    client = Client(desk, "echo begun; sleep 4801 & WAIT")
    client.kill()
    attached = desk.nodes.start("attach", client.run_id, cwd=desk.project)
    assert attached.stdout is not None and attached.stdout.readline() == b"begun\n"
    attached.send_signal(signal.SIGINT)
    _, err = attached.communicate(timeout=30)
    assert attached.returncode == 130, err
    assert "cancelling on node-1" in err.decode() and "■ cancelled on node-1" in err.decode()
    assert not client.pids and not alive("sleep 4801")
    assert client.row().state is RunState.CANCELLED


def test_a_deadline_while_attached_ends_the_run_there(desk: Desk) -> None:
    client = Client(desk, "echo begun; sleep 4802 & WAIT")
    client.kill()
    done = desk.inv("attach", client.run_id, "--deadline", "2s", "--lock", "looker", "-v")
    assert done.code == 124 and done.out == "begun\n", done
    assert "the deadline passed: ending it on node-1" in done.err and "timed out on node-1" in done.err
    assert not client.pids and not alive("sleep 4802")
    assert client.row().state is RunState.CANCELLED


def test_ctrl_c_twice_while_attached_leaves_it(desk: Desk) -> None:
    client = Client(desk, "trap '' TERM; echo begun; WAIT")
    client.kill()
    attached = desk.nodes.start("attach", client.run_id, cwd=desk.project)
    assert attached.stdout is not None and attached.stdout.readline() == b"begun\n"
    attached.send_signal(signal.SIGINT)
    assert attached.stderr is not None
    while b"Ctrl-C again" not in attached.stderr.readline():
        pass
    time.sleep(0.3)
    attached.send_signal(signal.SIGINT)
    _, err = attached.communicate(timeout=8)
    assert attached.returncode == 130 and b"left on node-1" in err
    assert client.pids
    client.release()


def test_ctrl_c_while_watching_leaves_it_to_itself(desk: Desk) -> None:
    client = Client(desk, "echo begun; WAIT; echo on; exit 4")
    client.kill()
    watching = desk.nodes.start("logs", "--follow", client.run_id, cwd=desk.project)
    assert watching.stdout is not None and watching.stdout.readline() == b"begun\n"
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=15)
    assert watching.returncode == 130
    assert f"✗ stopped watching; run {client.run_id} goes on on node-1" in err.decode()
    assert len(client.pids) == 2
    client.release()
    followed = desk.inv("logs", "-f", client.run_id)
    assert (followed.code, followed.out) == (4, "begun\non\n")


def test_attach_waits_for_one_that_has_not_begun(desk: Desk) -> None:
    row = write(desk, state=RunState.PENDING, client_pid=os.getpid())
    assert desk.inv("logs", row.run_id).code == 75
    attached = desk.nodes.start("attach", row.run_id, cwd=desk.project)
    assert attached.stderr is not None
    assert b"has not begun yet; waiting" in attached.stderr.readline()
    with Ledger.open(desk.lab.directory / "state/runs.db") as ledger:
        ledger.update(row.run_id, state=RunState.UNREACHABLE, reason="nobody")
    _, err = attached.communicate(timeout=15)
    assert attached.returncode == 69 and b"never began (unreachable: nobody)" in err


# -- cancelling ------------------------------------------------------------------------------------------------------


def alive(command: str) -> list[int]:
    """Processes with that in their command line, zombies left out."""
    return [one.pid for one in table().values() if command in one.command and not one.is_zombie]


def test_cancel_ends_a_run_whose_client_still_follows_it(desk: Desk) -> None:
    client = Client(desk, "sleep 4802 & sleep 4803 | cat & WAIT")
    until(lambda: len(alive("sleep 480")) >= 2)
    done = desk.inv("cancel", client.run_id)
    assert done.code == 0, done
    assert done.err == f"■ {client.run_id} on node-1: cancelled; its process group was ended\n"
    assert not client.pids and not alive("sleep 4802") and not alive("sleep 4803")
    _, err = client.process.communicate(timeout=20)
    assert client.process.returncode == 130 and "■ cancelled on node-1" in err.decode()
    assert client.row().state is RunState.CANCELLED
    again = desk.inv("cancel", client.run_id)
    assert again.code == 0 and "it was over already (cancelled" in again.err


def test_cancel_of_several_in_parallel(desk: Desk) -> None:
    clients = [Client(desk, "trap '' TERM; WAIT", host=host) for host in ("node-1", "node-2", "node-1")]
    for client in clients:
        client.kill()
    done = desk.inv("cancel", "--json", *(client.run_id for client in clients), env=QUICK)
    assert done.code == 0, done
    results = done.document("cancel")["results"]
    assert [entry["run_id"] for entry in results] == [client.run_id for client in clients]
    assert all(entry["ok"] and entry["state"] == "cancelled" and entry["exit_code"] == 0 for entry in results)
    assert not any(client.pids for client in clients)
    assert {client.row().state for client in clients} == {RunState.CANCELLED}


def test_cancel_of_what_was_only_claimed_or_not_even_that(desk: Desk) -> None:
    for state in (RunState.SYNCING, RunState.RUNNING):
        row = write(desk, state=state, host="node-2", client_pid=None)
        if state is RunState.RUNNING:
            folder = desk.nodes.run_dir("node-2", row.run_id)
            folder.mkdir(parents=True)
            (folder / "claim").write_text(f"{int(time.time())}\n\n\nme@here\n")
        done = desk.inv("cancel", row.run_id)
        assert done.code == 0, done
        assert "cancelled before it began; it will not begin any more" in done.err
        assert desk.nodes.run_dir("node-2", row.run_id).joinpath("void").read_text() == "cancelled\n"
        entry = listed(desk)[row.run_id]
        assert (entry["state"], entry["exit_code"]) == ("cancelled", 130)


def test_cancel_of_a_run_that_waits_for_a_host_interrupts_its_client(own: Desk) -> None:
    """Its project's folder is in use by another run, so it has no host yet."""
    first = own.nodes.start("run", "sleep 4804", cwd=own.project)
    until(lambda: own.nodes.active_runs("node-1"), 60)
    second = own.nodes.start("run", "true", cwd=own.project)
    assert second.stderr is not None
    while b"waiting: node-1" not in second.stderr.readline():
        assert second.poll() is None
    done = own.inv("cancel", "last")
    assert done.code == 0, done
    assert "cancelled before it began; it will not begin any more" in done.err
    second.communicate(timeout=10)
    assert second.returncode == 130
    assert [row.state for row in own.nodes.ledger()] == [RunState.CANCELLED, RunState.RUNNING]
    assert own.inv("cancel", own.nodes.ledger()[1].run_id).code == 0
    first.communicate(timeout=20)


def test_cancel_leaves_a_client_alone_that_has_other_work(desk: Desk) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        rows = [write(desk, state=RunState.PENDING, client_pid=process.pid, group_id="") for _ in range(2)]
        done = desk.inv("cancel", rows[0].run_id)
        assert done.code == 75, done
        assert "has other work" in done.err and process.poll() is None
        done = desk.inv("cancel", *(row.run_id for row in rows), env={"INVOKE_DGUMMY_TIMEOUTS_SCRIPT_S": "1", **QUICK})
        assert process.wait(5) == -signal.SIGINT
        assert done.code == 0 and done.err.count("it was over already (skipped") == 2, done
        assert {listed(desk)[row.run_id]["state"] for row in rows} == {"skipped"}
    finally:
        process.kill()


# -- naming runs, and groups -----------------------------------------------------------------------------------------


def test_words_that_name_no_run(desk: Desk) -> None:
    Client(desk, "true").process.communicate()
    for command in ("logs", "wait", "attach", "cancel"):
        for word, said in [
            ("2020", "no run has an id that begins with 2020"),
            ("2", "could be any of"),
            ("x/y", "is no"),
        ]:
            if word == "2" and len(desk.nodes.ledger()) < 2:
                Client(desk, "true").process.communicate()
            done = desk.inv(command, word)
            assert done.code == 64, done
            what, remedy = done.err.splitlines()
            assert said in what and remedy.startswith("  ")
        assert desk.inv(command).code == 64
        assert desk.inv(command, "--nonsense").code == 1
    done = desk.inv("attach", "last", desk.nodes.ledger()[1].run_id)
    assert done.code == 64 and "is about one run, and 2 are meant" in done.err


def test_a_group_stands_for_its_runs(desk: Desk) -> None:
    group_id = f"g{fresh_id()}"
    rows = []
    for number in (1, 2):
        client = Client(desk, f"echo out {number}; exit {number - 1}", host=f"node-{number}")
        client.process.communicate()
        with Ledger.open(desk.lab.directory / "state/runs.db") as ledger:
            row = ledger.find(client.run_id)
            assert ledger.prune(
                datetime.max.replace(tzinfo=timezone.utc), {each.run_id for each in ledger.runs()} - {row.run_id}
            )
            rows.append(replace(row, group_id=group_id, label=f"part {number}"))
            ledger.record(rows[-1])
    for word in (group_id, group_id[:-1]):
        waited = desk.inv("wait", word)
        assert waited.code == 1, waited
        assert [line.split()[0] for line in waited.out.splitlines()[1:]] == [row.run_id for row in rows]
    document = desk.inv("wait", group_id, "--json").document("runs")
    assert [(entry["label"], entry["group_id"], entry["exit_code"]) for entry in document["runs"]] == [
        ("part 1", group_id, 0),
        ("part 2", group_id, 1),
    ]
    assert list(listed(desk, "--group", "last")) == [row.run_id for row in reversed(rows)]
    logs = desk.inv("logs", group_id)
    assert logs.out == "out 1\nout 2\n"
    assert re.findall(r"^── (\S+) part \d on node-\d: ", logs.err, re.MULTILINE) == [row.run_id for row in rows]
    assert desk.inv("cancel", group_id).code == 0
    assert desk.inv("wait", "--", rows[0].run_id, rows[0].run_id).code == 0  # the same run twice is one


def test_what_a_killed_client_left_of_a_group_can_be_begun_after_a_look(own: Desk) -> None:
    """Looking at a group says of what was never begun that it was given up; it can be taken up again all the same."""
    gate = own.nodes.home_of("node-1") / "gate"
    first = f"while [ ! -e {gate} ]; do sleep 0.05; done"
    work = ("distribute", "--command", "--no-sync", "--host", "node-1", "--jobs", "1", first, "echo two", "exit 3")
    client = own.nodes.start(*work, cwd=own.project)
    until(lambda: own.nodes.active_runs("node-1"), 60)
    client.send_signal(signal.SIGKILL)
    client.communicate()
    before = {row.run_id: row for row in own.nodes.ledger()}
    states = sorted(str(entry["state"]) for entry in listed(own, "--group", "last").values())
    assert states == ["running", "skipped", "skipped"]
    gate.touch()
    resumed = own.inv("resume", "last")
    assert resumed.code == 1, resumed
    assert own.inv("wait", "last").code in (0, 3)
    after = {row.run_id: row for row in own.nodes.ledger()}
    assert after.keys() == before.keys()
    (begun,) = (run_id for run_id, row in before.items() if row.host)
    assert sorted(row.exit_code or 0 for run_id, row in after.items() if run_id != begun) == sorted(
        3 if row.command == "exit 3" else 0 for run_id, row in after.items() if run_id != begun
    )
    assert all(row.state.is_final and row.started_at for run_id, row in after.items() if run_id != begun)


# -- output ----------------------------------------------------------------------------------------------------------


def test_a_reader_that_leaves_ends_it_quietly(desk: Desk) -> None:
    client = Client(desk, "seq 200000; WAIT")
    client.kill()
    for command in ("logs last", "logs -f last", "attach last", "runs", "runs --json"):
        line = desk.shell(f"inv {command} | head -1; echo ${{PIPESTATUS[0]}}")
        assert line.out.splitlines()[1] in ("141", "0"), line
        assert "bug" not in line.err and "Error" not in line.err, line
    assert len(client.pids) == 2  # watching, or not any more, ends nothing
    client.release()


def test_nothing_but_text_goes_through_a_pipe(desk: Desk) -> None:
    hostile = "printf '' '\x1b]0;title\x07\x1b[31mred' é"
    done = desk.inv("run", "--no-sync", hostile)
    assert done.code == 0
    shown = desk.inv("runs", "--limit", "1")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown.out + shown.err), shown
    assert "title" not in shown.out and "red' é" in shown.out


def test_a_long_output_takes_no_memory(desk: Desk) -> None:
    """The same for a few bytes and for 100 MB of them."""

    def peak_kb(run_id: str) -> tuple[int, int, str]:
        process = subprocess.Popen(
            desk.argv(["logs", run_id]), cwd=desk.project, env=desk.environment(), stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        size, digest = 0, hashlib.sha256()
        while chunk := process.stdout.read(1 << 20):
            size += len(chunk)
            digest.update(chunk)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        assert process.returncode == 0
        return usage.ru_maxrss, size, digest.hexdigest()

    count = 100_000_000
    small, large = Client(desk, "echo hi"), Client(desk, f"yes 0123456 | head -c {count}; WAIT")
    small.process.communicate()
    large.process.kill()
    large.process.communicate()
    out = desk.nodes.run_dir("node-1", large.run_id) / "out"
    until(lambda: out.stat().st_size == count, 30)
    large.release()
    small_kb, _, _ = peak_kb(small.run_id)
    large_kb, size, digest = peak_kb(large.run_id)
    assert (size, digest) == (count, hashlib.sha256(out.read_bytes()).hexdigest())
    assert large_kb - small_kb < 30_000, (small_kb, large_kb)


# -- inv runs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "walking"], "there is no state walking"),
        (["--since", "soon"], "neither a duration nor a date"),
        (["--limit", "0"], "that is none"),
        (["--host", "node-[1"], "--host"),
        (["--group", "g1999"], "no group has an id"),
    ],
)
def test_what_makes_no_sense_is_refused(desk: Desk, words: list[str], said: str) -> None:
    write(desk, group_id=f"g{fresh_id()}", state=RunState.OK)
    done = desk.inv("runs", *words)
    assert done.code == 64, done
    what, remedy = done.err.splitlines()
    assert said in what and remedy.startswith("  ")


def test_choosing_what_is_listed(desk: Desk) -> None:
    Client(desk, "exit 3", host="node-2").process.communicate()
    newest = desk.nodes.ledger()[0].run_id
    assert list(listed(desk, "--limit", "1")) == [newest]
    assert newest in listed(desk, "--limit", "9" * 30)
    assert newest in listed(desk, "--state", "failed", "--state", "ok", "--host", "node-[2-3]")
    assert newest not in listed(desk, "--host", "node-1")
    assert newest not in listed(desk, "--state", "ok")
    assert newest in listed(desk, "--since", "1h") and newest in listed(desk, "--since", "2020-01-01")
    time.sleep(1.1)
    assert listed(desk, "--since", "1s") == {}
    assert desk.inv("runs", "--since", "1s").out == "no runs\n"


def test_a_table_is_as_wide_as_the_terminal(desk: Desk) -> None:
    now = datetime.now(timezone.utc)
    row = RunRow("20261124-120000-abcdef", "run", "echo " + "long " * 40, now, RunState.RUNNING, started_at=now)
    for width in (100, 140):
        assert max(map(len, history.runs([Seen(row)], now, width).splitlines())) == width
    assert len(history.runs([Seen(row)], now).splitlines()[1]) > 250


def test_runs_without_hosts_are_listed_without_asking_anybody(desk: Desk) -> None:
    """Nothing of ssh is loaded for a table of what is over."""
    for row in desk.nodes.ledger():
        if row.state in (RunState.PENDING, RunState.SYNCING, RunState.RUNNING, RunState.LOST):
            desk.inv("cancel", row.run_id)
    write(desk, state=RunState.OK, host="node-1")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "invoke", "runs", "--limit", "1"],
        cwd=desk.project,
        env=desk.environment(),
        capture_output=True,
        check=True,
    )
    assert b"sqlite3" in done.stderr and b"fabric" not in done.stderr and b"paramiko" not in done.stderr


def test_resume_names_what_only_retry_can_run_again(desk: Desk) -> None:
    group_id, reason = f"g{fresh_id()}", reconcile.client_gone().reason
    write(desk, group_id=group_id, host="node-1", state=RunState.SKIPPED, reason=reason)
    done = desk.inv("resume", group_id)
    assert done.code == 0 and "nothing of it is waiting" in done.err and f"inv retry {group_id} --unreached" in done.err
