"""Work that nobody watches, on a lab: silence, deadlines, locks, jobs, and a real cron daemon that runs one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import standin_crontab
from cli_lab import Desk, Result, open_desk
from dgummy import cronstore, unattended
from dgummy import lab as dlab
from dgummy.chooser import Wish
from dgummy.events import Event, Notice, Output
from dgummy.intake import RunOptions
from dgummy.jobrecord import JobFiles
from dgummy.model import Failure, Host
from dgummy.transport.base import Answer, FrameSink, Limits, Script, Transport
from labs import REPO, until

pytestmark = pytest.mark.lab

NO_LIMITS = Limits()
QUIET = {"INVOKE_DGUMMY_NOTICES": None}
ODD_TABLE = b"MAILTO=ana\n  0\t5 * * 7   echo  100\\% # mine\n\n#0 1 * * * off\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("cron")) as made:
        yield made


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    yield shared
    for node in ("node-1", "node-2"):
        dlab.start(shared.lab, node)
    shared.forget_load()


@pytest.fixture
def table(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The crontab of a stand-in program, which is on the desk's PATH."""
    found = standin_crontab.make(tmp_path / "bin")
    monkeypatch.setitem(desk.nodes.env, "PATH", f"{tmp_path / 'bin'}:{desk.nodes.env['PATH']}")
    return found


# -- nobody watches --------------------------------------------------------------------------------------------------


def test_what_goes_well_says_nothing(desk: Desk) -> None:
    assert desk.inv("sync", "--exclude", "node-3", env=QUIET).err == ""
    done = desk.inv("run", "--no-sync", "echo out; echo err >&2", env=QUIET)
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")
    shown = desk.inv("run", "--no-sync", "-v", "true", env=QUIET)
    assert "→ node-1 has the most room" in shown.err and "✓ ok on node-1" in shown.err


def test_what_fails_says_everything_in_order(desk: Desk) -> None:
    done = desk.inv("run", "exit 3", env=QUIET)
    assert done.code == 3
    told = [done.err.index(text) for text in ("→ node-1", "[Syncing to node-1", "run 2", "✗ failed on node-1")]
    assert told == sorted(told)
    refused = desk.inv("run", "--no-sync", "--host", "node-3", "true", env=QUIET)
    assert refused.code == 69 and "✗ unreachable: node-3" in refused.err


def test_a_warning_is_told_although_it_went_well(desk: Desk) -> None:
    for node in ("node-1", "node-2"):
        dlab.stop(desk.lab, node)
    desk.forget_load()
    done = desk.inv("run", "--no-sync", "true", env=QUIET)
    assert done.code == 0
    assert done.err.startswith("→ local: no host could take it (") and "✓ ok on local" in done.err


def test_a_command_that_is_told_to_end_shows_what_it_kept_back(desk: Desk) -> None:
    environ = {name: value for name, value in desk.environment().items() if name not in QUIET}
    words = ["run", "--no-sync", "--lock", "ended", "sleep 2"]
    with subprocess.Popen(
        [str(word) for word in desk.argv(words)], cwd=desk.project, env=environ, stdin=-3, stdout=-1, stderr=-1
    ) as process:
        assert until(lambda: desk.nodes.active_runs("node-1"))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGTERM
    assert "→ node-1 has the most room" in err.decode()
    assert until(lambda: not desk.nodes.active_runs("node-1"))  # it was left to itself
    assert desk.inv("wait", "last").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_a_script_left_in_the_background_can_be_ended(desk: Desk, number: signal.Signals) -> None:
    """A shell without job control has what it starts by `&` ignore SIGINT, also where no Ctrl-C could come from."""
    words = [str(word) for word in desk.argv(["run", "--no-sync", "--host", "node-1", "sleep 30"])]
    script = ["sh", "-c", '"$@" & echo $!; wait $!', "sh", *words]
    with subprocess.Popen(
        script, cwd=desk.project, env=desk.environment(), stdin=-3, stdout=-1, stderr=-1, start_new_session=True
    ) as process:
        assert process.stdout is not None
        client = int(process.stdout.readline())
        run_id, _ = until(lambda: next(iter(desk.nodes.active_runs("node-1").items()), None))
        os.kill(client, number)
        _, err = process.communicate(timeout=30)
    interrupted = number is signal.SIGINT
    assert process.returncode == (130 if interrupted else 128 + number)
    assert ("what is at work on hosts goes on there" in err.decode()) is not interrupted
    assert (run_id in desk.nodes.active_runs("node-1")) is not interrupted
    desk.inv("cancel", run_id)


def test_a_hangup_that_is_to_be_ignored_is(desk: Desk) -> None:
    words = [str(word) for word in desk.argv(["run", "--no-sync", "--host", "node-1", "sleep 3"])]
    with subprocess.Popen(["nohup", *words], cwd=desk.project, env=desk.environment(), stdin=-3, stderr=-3) as process:
        until(lambda: desk.nodes.active_runs("node-1"))
        process.send_signal(signal.SIGHUP)
        assert process.wait(30) == 0


# -- one deadline for everything -------------------------------------------------------------------------------------


def test_a_run_is_ended_on_its_host_when_the_deadline_passes(desk: Desk) -> None:
    heard: list[Event] = []
    with desk.nodes.cluster(desk.project, heard) as cluster, unattended.deadline(2.5) as alarm:
        result = cluster.run("sleep 60", Wish(hosts=("node-1",)), RunOptions(sync=False))
    assert (alarm.passed, result.state.value, result.process_exit_code) == (1, "timed_out", 124)
    assert result.reason == "the deadline passed; its process group was ended"
    assert Notice("the deadline passed: ending it on node-1 (KILL after 10 s)", "warning") in heard
    assert not desk.nodes.active_runs("node-1")
    row = desk.nodes.ledger()[0]
    assert (row.run_id, row.state.value, row.exit_code) == (result.run_id, "timed_out", 124)


def test_a_host_that_was_away_at_the_deadline_is_told_once_it_is_back(desk: Desk) -> None:
    heard: list[Event] = []

    def away() -> None:
        until(lambda: any(isinstance(event, Output) for event in heard))
        dlab.stop(desk.lab, "node-1")
        until(lambda: any("ending it" in event.text for event in heard if isinstance(event, Notice)))
        time.sleep(0.5)
        dlab.start(desk.lab, "node-1")

    with desk.nodes.cluster(desk.project, heard) as cluster, unattended.deadline(3) as alarm:
        threading.Thread(target=away, daemon=True).start()
        result = cluster.run("echo out; sleep 60", Wish(hosts=("node-1",)), RunOptions(sync=False))
    assert (alarm.passed, result.state.value, result.process_exit_code) == (1, "timed_out", 124), result
    assert not desk.nodes.active_runs("node-1")


def test_a_host_keeps_the_deadline_of_a_client_that_is_gone(desk: Desk) -> None:
    words = ["run", "--no-sync", "--host", "node-1", "--deadline", "4321", "sleep 60"]
    with subprocess.Popen([str(word) for word in desk.argv(words)], env=desk.environment(), stdin=-3) as process:
        run_id, _ = until(lambda: next(iter(desk.nodes.active_runs("node-1").items()), None))
        process.kill()

    def clock_runs() -> bool:
        ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return any(f"sleep {limit_s}" in ps.splitlines() for limit_s in range(4322, 4332))

    assert until(clock_runs)
    assert desk.inv("cancel", run_id).code == 0


Ask = Callable[[], Answer | Failure]


def hooked(hook: Callable[[Script, Ask], Answer | Failure]) -> Callable[[Transport], Transport]:
    """What puts a hook around a transport: it gets each script, and what runs it."""

    class Hooked:
        name = "ssh"

        def __init__(self, inner: Transport) -> None:
            self.connect, self.close, self._inner = inner.connect, inner.close, inner

        def run_script(
            self, host: Host, script: Script, limits: Limits = NO_LIMITS, sink: FrameSink | None = None
        ) -> Answer | Failure:
            return hook(script, lambda: self._inner.run_script(host, script, limits, sink))

    return Hooked


def test_a_deadline_holds_while_work_comes_home(desk: Desk) -> None:
    """Nothing of it is lost: it stays on its host, and is collected later."""
    project, gate, stuck = desk.nodes.project(), threading.Event(), threading.Event()

    def never_comes_home(script: Script, ask: Ask) -> Answer | Failure:
        if re.search(rb"\ntell_changes(?: '[^\n]*)? </dev/null\nSTATUS=", script.text):
            stuck.set()
            gate.wait()
        return ask()

    def strike() -> None:
        stuck.wait()
        alarm.set(0)

    wish, options = Wish(hosts=("node-1",)), RunOptions(collect=True)
    try:
        with (
            desk.nodes.cluster(project, transport=hooked(never_comes_home)) as cluster,
            unattended.deadline(3600) as alarm,
        ):
            threading.Thread(target=strike, daemon=True).start()
            result = cluster.run("echo work >new.txt", wish, options)
        assert (alarm.passed, result.state.value, result.work.value) == (1, "ok", "uncollected")
    finally:
        gate.set()
    done = desk.inv("collect", result.run_id, cwd=project, program="dgummy")
    assert done.code == 0 and f"dgummy/{result.run_id}" in done.out


def test_what_never_ran_left_no_work_on_its_host(desk: Desk) -> None:
    """The deadline passes while it is being started, and its host hears of that first."""
    project, called_off, heard = desk.nodes.project(), threading.Event(), list[Event]()

    def begins_late(script: Script, ask: Ask) -> Answer | Failure:
        if b"never-begun" in script.text:
            alarm.set(0)
            called_off.wait(20)
        answer = ask()
        if isinstance(answer, Answer) and answer.has("void"):
            called_off.set()
        return answer

    wish, options = Wish(hosts=("node-1",)), RunOptions(collect=True)
    with (
        desk.nodes.cluster(project, heard, transport=hooked(begins_late)) as cluster,
        unattended.deadline(3600) as alarm,
    ):
        result = cluster.run("echo never-begun", wish, options)
    assert called_off.is_set()
    assert (result.state.value, result.reason, result.work.value) == (
        "timed_out",
        "the deadline passed before it started",
        "none",
    )


@pytest.mark.parametrize(
    "words", [["run", "true"], ["sync", "--host", "node-1"], ["fanout", "--host", "node-1", "true"]], ids=" ".join
)
def test_a_deadline_holds_wherever_it_is(desk: Desk, words: list[str]) -> None:
    """While a host that hangs is reached, too, which may take five seconds by itself."""
    for node in ("node-1", "node-2"):
        dlab.hang(desk.lab, node)
    desk.forget_load()
    began = time.monotonic()
    done = desk.inv(*words, "--deadline", "1.5")
    assert done.code == 124, done
    assert "the deadline passed" in done.err
    assert time.monotonic() - began < 15  # so much for a busy machine: not what hosts get to answer in, times hosts


def test_what_a_deadline_cut_short_is_run_again_as_it_says(desk: Desk) -> None:
    words = ["fanout", "--no-sync", "--jobs", "1", "--host", "node-1", "--host", "node-2", "--deadline", "2"]
    done = desk.inv(*words, "[ -e ~/now ] || sleep 60")
    group_id = desk.nodes.ledger()[0].group_id
    advice = f"inv retry {group_id} --failed --unreached"
    assert done.code == 124 and f"what was not done runs again by {advice}" in done.err, done
    assert advice in desk.inv("resume", group_id).err
    for node in ("node-1", "node-2"):
        (desk.nodes.home_of(node) / "now").touch()
    again = desk.inv(*advice.split()[1:])
    assert again.code == 0 and "All complete" in again.err, again


# -- locks -----------------------------------------------------------------------------------------------------------


def test_an_overlapping_run_asks_no_host_anything(desk: Desk, tmp_path: Path) -> None:
    """The lock is found to be held before a host is so much as looked up."""
    asked, config = tmp_path / "asked", tmp_path / "config.yaml"
    (tmp_path / "ssh_config").write_text(f"Host h\n  ProxyCommand touch '{asked}'; exit 1\n")
    state = f"state_dir: {tmp_path}/state\n"
    config.write_text(f"groups: {{dev: [h]}}\nbackend: ssh\nssh_config: {tmp_path}/ssh_config\n{state}")
    env = {"DGUMMY_CONFIG": str(config)}
    hold = (
        "import sys, time; from datetime import datetime, timezone; from pathlib import Path\n"
        "from dgummy import locks\n"
        "with locks.held(Path(sys.argv[1]), 'nightly', 'dgummy run x', datetime.now(timezone.utc)):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "state/locks")], cwd=REPO, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        done = desk.inv("run", "--lock", "nightly", "--json", "true", env=env)
        error = done.document("error")["error"]
        assert (done.code, error["exit_code"], asked.exists()) == (75, 75, False)
        assert f"the lock nightly is held by process {holder.pid} since" in error["message"]
        log = tmp_path / "nightly.log"
        job = desk.inv("cron.exec", "nightly", "--lock", "nightly", "--log", str(log), "--", "run", "true", env=env)
        assert (job.code, asked.exists()) == (75, False)
        last = json.loads(log.with_suffix(".json").read_text())["last"]
        assert last["exit_code"] == 75 and f"held by process {holder.pid}" in last["why"]
        holder.kill()
    assert desk.inv("run", "--lock", "nightly", "--no-sync", "--fallback", "none", "true", env=env).code == 69
    assert asked.exists()  # so that it would have been seen


# -- jobs ------------------------------------------------------------------------------------------------------------


def test_a_job_from_its_beginning_to_its_end(desk: Desk, table: Path) -> None:
    table.write_bytes(ODD_TABLE)
    words = ["--", "run", "--no-sync", "echo '100% of it' \"#1\""]
    dry = desk.inv("cron.add", "nightly", "0 2 * * *", "--dry", "--json", *words).document("cron-add")
    assert (dry["written"], table.read_bytes()) == (False, ODD_TABLE)
    made = desk.inv("cron.add", "nightly", "0 2 * * *", "--json", *words).document("cron-add")
    assert {host["host"]: host["ok"] for host in made["hosts"]} == {"node-1": True, "node-2": True, "node-3": False}
    assert made["folder"] == str(desk.project) and made["lock"] == "nightly"
    assert str(desk.lab.directory / "client_key") in made["notes"][0]  # the key that is used where there is no agent
    assert table.read_bytes().startswith(ODD_TABLE) and table.read_bytes().count(b"\n") == ODD_TABLE.count(b"\n") + 1

    never = desk.inv("cron.list", "--json").document("cron-list")["jobs"][0]
    assert (never["last"], never["running"], never["problems"]) == (None, None, [])
    ran = desk.inv("cron.run", "nightly")
    assert ran.code == 0 and "100% of it #1\n" in ran.out and "✓ ok on node-1" in ran.out
    (job,) = desk.inv("cron.list", "--json").document("cron-list")["jobs"]
    row = desk.nodes.ledger()[0]
    assert (job["last"]["state"], job["last"]["run_id"], job["last"]["host"]) == ("ok", row.run_id, "node-1")
    assert job["next_run_at"].endswith(":00:00.000Z")

    again = desk.inv("cron.add", "nightly", "0 3 * * *", *words)
    assert again.code == 64 and "--replace" in again.err
    assert "nightly" in desk.inv("cron.list").out
    gone = desk.inv("cron.remove", "nightly", "--json").document("cron-remove")["removed"]
    assert (gone["name"], gone["schedule"], table.read_bytes()) == ("nightly", "0 2 * * *", ODD_TABLE)
    assert Path(job["log"]).exists()


def test_words_behind_the_inner_dashes_are_the_commands_own(desk: Desk, table: Path) -> None:
    words = ["run", "--no-sync", "--", "echo", "--env", "X", "--detach", "--deadline", "3"]
    added = desk.inv("cron.add", "odd", "0 2 * * *", "--json", "--", *words).document("cron-add")
    assert added["words"] == words and any("it has no --deadline" in note for note in added["notes"])
    ran = desk.inv("cron.run", "odd")
    assert ran.code == 0 and "\n--env X --detach --deadline 3\n" in ran.out, ran
    (job,) = desk.inv("cron.list", "--json").document("cron-list")["jobs"]
    assert job["words"] == words
    bounded = ["cron.add", "odd", "0 2 * * *", "--replace", "--deadline", "1h", "--json", "--", *words]
    assert desk.inv(*bounded).document("cron-add")["words"] == ["run", "--deadline=1h", *words[1:]]


def test_what_could_not_run_at_night_is_not_written(desk: Desk, table: Path, tmp_path: Path) -> None:
    """A key that only an agent of this login has: it works now, and would not at night."""
    agent = shutil.which("ssh-agent")
    assert agent is not None
    other = tmp_path / "ssh_config"
    kept = [line for line in desk.lab.ssh_config_path.read_text().splitlines() if "Identit" not in line]
    other.write_text("\n".join(kept))
    config = tmp_path / "config.yaml"
    config.write_text(desk.lab.config_path.read_text().replace(str(desk.lab.ssh_config_path), str(other)))
    sock = tmp_path / "agent.sock"
    env = {"DGUMMY_CONFIG": str(config), "SSH_AUTH_SOCK": str(sock)}
    with subprocess.Popen([agent, "-D", "-a", str(sock)], stdout=subprocess.DEVNULL) as process:
        try:
            until(sock.exists)
            key = str(desk.lab.directory / "client_key")
            subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(sock)}, check=True)
            assert desk.inv("run", "--no-sync", "--fallback", "none", "true", env=env).code == 0
            done = desk.inv("cron.add", "nightly", "0 2 * * *", "--", "run", "true", env=env)
            assert done.code == 77 and not table.exists()
            assert "cron could not run it: node-1: authentication" in done.err
            assert "a key without a passphrase" in done.err and "--exclude node-1" in done.err
            forced = desk.inv("cron.add", "nightly", "0 2 * * *", "--force", "--", "run", "true", env=env)
            assert forced.code == 0 and "written all the same" in forced.err
            assert "what it changes of the files that are sent stays on its host" in forced.err
            assert str(sock).encode() not in table.read_bytes()
        finally:
            process.terminate()


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["a b", "@daily", "--", "run", "x"], 64, "cannot be a name"),
        (["j", "61 * * * *", "--", "run", "x"], 64, "61 is no minute"),
        (["j", "0 2 * * *"], 64, "there is no command"),
        (["j", "0", "2", "*", "*", "*", "--", "run", "x"], 64, "put the schedule in quotes"),
        (["j", "@daily", "--", "rnu", "x"], 64, "there is no command rnu"),
        (["j", "@daily", "--", "run", "--lock", "j", "x"], 64, "holds the lock j already"),
        (["j", "@daily", "--", "run", "--env=A=geheim", "x"], 64, "--env A"),
        (["j", "@daily", "--", "run", "--host", "node-3", "x"], 69, "none of its hosts answers"),
        (["j", "@daily", "--deadline", "1h", "--", "load"], 64, "load takes no deadline"),
        (["j", "@daily", "--", "run"], 64, "there is nothing for run to do"),
        (["j", "@daily", "--", "task", "--"], 64, "there is nothing for task to do"),
        (["j", "@daily", "--", "run", "--timeout", "banana", "x"], 64, "'banana' is not a duration"),
        (["j", "@daily", "--", "run", "--collect", "--no-sync", "x"], 64, "--collect and --no-sync"),
        (["j", "@daily", "--", "run", "--lock", "../x", "x"], 64, "'../x' cannot be a name"),
        (["j", "@daily", "--", "fanout", "--suite", "nope"], 64, "there is no suite nope"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_a_job(desk: Desk, table: Path, words: list[str], code: int, what: str) -> None:
    done: Result = desk.inv("cron.add", *words)
    assert (done.code, table.exists()) == (code, False), done
    assert what in done.err and "geheim" not in done.err
    assert done.err.splitlines()[-1].startswith("  ")  # what to do


@pytest.mark.parametrize(
    ("words", "what"), [([], "there is no command"), (["--"], "there is no command"), (["--", "rnu"], "no command rnu")]
)
def test_a_line_with_no_command_of_ours(desk: Desk, tmp_path: Path, words: list[str], what: str) -> None:
    done = desk.inv("cron.exec", "j", "--log", str(tmp_path / "j.log"), *words)
    assert done.code == 64 and what in done.err and len(done.err.splitlines()) == 2, done


def test_where_there_is_no_crontab_program(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("ssh", "git", "rsync"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or "/bin/false")
    done = desk.inv("cron.list", env={"PATH": str(tmp_path / "bin")})
    assert done.code == 0 and "no crontab program" in done.err and "--timer" in done.err


def test_what_came_to_no_run_is_known_all_the_same(desk: Desk, table: Path, tmp_path: Path) -> None:
    added = desk.inv("cron.add", "nightly", "0 2 * * *", "--json", "--", "run", "--no-sync", "true")
    log = added.document("cron-add")["log"]
    bad = tmp_path / "bad.yaml"
    bad.write_text("grops: {}\n")
    words = ["cron.exec", "nightly", "--lock", "nightly", "--log", log, "--", "run", "true"]
    done = desk.inv(*words, env={"DGUMMY_CONFIG": str(bad)})
    assert done.code == 78 and "grops" in done.err
    (job,) = desk.inv("cron.list", "--json").document("cron-list")["jobs"]
    assert (job["last"]["state"], job["last"]["exit_code"], job["last"]["run_id"]) == ("settings", 78, None)
    assert "grops" in job["last"]["reason"]


def test_a_run_whose_client_was_killed_is_not_started_twice(desk: Desk, tmp_path: Path) -> None:
    """The lock is free then, and the run goes on on its host."""
    job = ["cron.exec", "killed", "--lock", "killed", "--log", str(tmp_path / "killed.log"), "--", "run", "--no-sync"]
    words = [str(word) for word in desk.argv([*job, "sleep 30"])]
    with subprocess.Popen(words, cwd=desk.project, env=desk.environment(), stdin=-3) as process:
        run_id, _ = until(lambda: next(iter(desk.nodes.active_runs("node-1").items()), None))
        client = next(row.client_pid for row in desk.nodes.ledger() if row.run_id == run_id)
        assert client is not None
        process.kill()
        os.kill(client, signal.SIGKILL)
    again = desk.inv(*job, "true")
    assert again.code == 75 and f"run {run_id} of this job is still at work on node-1" in again.err
    assert f"inv cancel {run_id}" in again.err
    dlab.stop(desk.lab, "node-1")
    unknown = desk.inv(*job, "true")
    assert unknown.code == 75 and "is not known: node-1: connection refused" in unknown.err
    dlab.start(desk.lab, "node-1")
    assert desk.inv("cancel", run_id).code == 0
    assert desk.inv(*job, "true").code == 0


def test_why_it_failed_is_known_although_its_log_found_no_room(desk: Desk, tmp_path: Path) -> None:
    """The disk fills while it runs: its record has room all the same, and who called gets what the log did not take."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "dgummy-test", str(disk)], check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        much = "i=0; while [ $i -lt 3000 ]; do echo a line of much output $i; i=$((i+1)); done; echo bad >&2; exit 7"
        done = desk.inv("cron.exec", "j", "--log", str(disk / "j.log"), "--", "run", "--no-sync", much)
        last = JobFiles(disk / "j.log").record().last
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.code == 7 and "bad\n" in done.err and "✗ failed on node-1" in done.err, done
    assert "✗ cannot write to stdout: No space left on device" in done.err
    assert "✗ j: exit code 7: not all of it is in its log: No space left on device" in done.err
    assert last is not None and last.ended_at is not None
    assert (last.exit_code, last.why) == (7, "not all of it is in its log: No space left on device")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_is_told_to_end_ends_its_run(desk: Desk, tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "told.log"
    job = ["cron.exec", "told", "--lock", "told", "--log", str(log), "--", "run", "--no-sync", "sleep 30"]
    words = [str(word) for word in desk.argv(job)]
    with subprocess.Popen(words, cwd=desk.project, env=desk.environment(), stdin=-3, stderr=-1) as process:
        until(lambda: desk.nodes.active_runs("node-1"))
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number and f"told to end ({number.name})" in err.decode()
    assert not desk.nodes.active_runs("node-1")
    last = JobFiles(log).record().last
    assert last is not None and (last.exit_code, last.why) == (128 + number, f"told to end ({number.name})")
    assert last.ended_at is not None and f"ended with exit code {128 + number}" in log.read_text()


def test_what_a_killed_job_left_keeps_others_of_its_lock_out(desk: Desk, tmp_path: Path) -> None:
    """Jobs that share a lock, and commands that hold it by hand. Its own records are the jobs', beside each other."""

    def job(name: str) -> list[str]:
        log = str(tmp_path / f"{name}.log")
        return ["cron.exec", name, "--lock", "shared", "--log", log, "--", "run", "--no-sync"]

    words = [str(word) for word in desk.argv([*job("first"), "--host", "node-1", "sleep 30"])]
    with subprocess.Popen(words, cwd=desk.project, env=desk.environment(), stdin=-3) as process:
        run_id, _ = until(lambda: next(iter(desk.nodes.active_runs("node-1").items()), None))
        client = next(row.client_pid for row in desk.nodes.ledger() if row.run_id == run_id)
        assert client is not None
        process.kill()
        os.kill(client, signal.SIGKILL)
    dlab.stop(desk.lab, "node-2")  # which nobody needs to ask
    for other in (job("second"), ["run", "--no-sync", "--lock", "shared"], ["sync", "--lock", "shared"]):
        done = desk.inv(*other, "--host", "node-2", *([] if other[0] == "sync" else ["true"]))
        assert done.code == 75 and f"run {run_id} of the job first is still at work on node-1" in done.err, done
        assert "begun under the lock shared" in done.err
    assert desk.inv("run", "--no-sync", "--lock", "another", "--host", "node-1", "true").code == 0
    dlab.stop(desk.lab, "node-1")
    unknown = desk.inv(*job("second"), "true")
    assert unknown.code == 75 and "inv cron.add first … --replace" in unknown.err
    JobFiles(tmp_path / "first.log").keep(added_at=datetime.now().astimezone())
    for node in ("node-1", "node-2"):
        dlab.start(desk.lab, node)
    assert desk.inv(*job("second"), "true").code == 0
    assert desk.inv("cancel", run_id).code == 0


# -- a real daemon ---------------------------------------------------------------------------------------------------


@pytest.fixture
def real_cron() -> Iterator[str]:
    """The name of a job for a cron daemon at work: the system's, or one that is started for the test.

    Its lines, and no others, are taken out of the user's crontab in the end: others may have changed theirs meanwhile.
    """
    daemon = shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin")
    if shutil.which("crontab") is None or daemon is None:
        pytest.skip("there is no cron on this machine")
    if not cronstore.daemon_runs() and os.geteuid() != 0:
        pytest.skip("no cron daemon is at work, and only root can start one")
    name = f"test-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        if not cronstore.daemon_runs():
            process = stack.enter_context(subprocess.Popen([daemon, "-f"], stdout=-3, stderr=-3))
            stack.callback(process.terminate)
        try:
            yield name
        finally:
            cronstore.Crontab(os.environ).remove(name)


@pytest.mark.slow
def test_a_real_daemon_runs_a_real_job(desk: Desk, real_cron: str) -> None:
    """Within two minutes. The schedule names the minute, so that nothing goes on should this test be killed."""
    soon = datetime.now() + timedelta(seconds=75)
    then = soon + timedelta(minutes=1)
    schedule = f"{soon.minute},{then.minute} {','.join(sorted({str(soon.hour), str(then.hour)}))} * {soon.month} *"
    name = real_cron
    words = ["--", "run", 'echo "by cron on $DGUMMY_NODE, 100%"; date +%F; pwd']
    added = desk.inv("cron.add", name, schedule, "--deadline", "50s", "--json", *words).document("cron-add")
    record = Path(added["log"]).with_suffix(".json")

    def over() -> bool:
        last = json.loads(record.read_text()).get("last")
        return last is not None and last["ended_at"] is not None

    until(over, timeout_s=150)
    # Beside jobs that others may have.
    (job,) = (job for job in desk.inv("cron.list", "--json").document("cron-list")["jobs"] if job["name"] == name)
    log = Path(added["log"]).read_text()
    assert (job["last"]["state"], job["last"]["exit_code"], job["last"]["host"]) == ("ok", 0, "node-1"), log
    assert f"by cron on node-1, 100%\n{datetime.now():%Y}-" in log
    assert f"{desk.there()}\n" in log
    assert desk.nodes.ledger()[0].run_id == job["last"]["run_id"]
    assert desk.inv("cron.remove", name).code == 0
    assert name.encode() not in cronstore.Crontab(os.environ)._read()
