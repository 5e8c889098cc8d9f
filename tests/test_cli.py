"""Commands as people type them: words and quotes, flags, folders, pipes, terminals, several at once."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from cli_lab import COMMANDS, TASKS, Desk, open_desk
from dgummy import lab as labs
from labs import until

pytestmark = pytest.mark.lab

HEAVY = {"fabric", "paramiko", "rich", "msgspec", "yaml", "tabulate", "pathspec", "sqlite3"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("cli")) as made:
        yield made


def printed(desk: Desk, *words: str | bytes) -> str:
    """The stdout of a command that is run without a sync."""
    done = desk.inv("run", "--no-sync", *words)
    assert done.code == 0, done
    return done.out


# -- help and the list of tasks --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_help_explains_every_flag_and_gives_an_example(desk: Desk, name: str) -> None:
    done = desk.inv("--help", name)
    assert done.code == 0, done
    assert f"Example: inv {name}" in done.out
    options = re.findall(r"^  (-\S+)(?:\s+(\S.*))?$", done.out, re.MULTILINE)
    assert options
    assert all(text for _, text in options), options
    # What a run printed, and a script for a shell, are no documents of ours; skill.call prints nothing else.
    assert "--json" in dict(options) or name in ("logs", "completion", "skill.call", "cron.run")


def test_the_list_has_every_command_and_needs_nothing_heavy(desk: Desk, tmp_path: Path) -> None:
    def imported(*words: str) -> set[str]:
        script = [sys.executable, "-X", "importtime", "-m", "invoke", *words]
        done = subprocess.run(script, cwd=desk.project, env=desk.environment(), capture_output=True, check=True)
        names = [line.rpartition(b"|")[2].strip().decode() for line in done.stderr.splitlines() if b"|" in line]
        return {name.partition(".")[0] for name in names}

    listed = desk.inv("--list")
    for name in COMMANDS:  # `runs` is short for `runs.list`
        assert re.search(rf"^  (\S+ \()?{re.escape(name)}[) ]", listed.out, re.MULTILINE), (name, listed)
    (tmp_path / "tasks.py").write_text("from invoke import task\n\n\n@task\ndef nothing(c):\n    pass\n")
    assert not (imported("--list") - imported("--search-root", str(tmp_path), "--list")) & HEAVY
    assert {"msgspec", "fabric"} <= imported("load", "--refresh")  # so it would have been seen


# -- the command reaches the other side as it was typed -----------------------------------------------------------


def test_words_after_dashes_and_one_string(desk: Desk) -> None:
    show = "printf '<%s>'"
    assert printed(desk, "--", "printf", "<%s>", "a b", "$HOME", "x'y", "") == "<a b><$HOME><x'y><>"
    assert printed(desk, f"{show} \"$HOME\" 'x'") == f"<{desk.nodes.home_of('node-1')}><x>"
    assert printed(desk, "--", f'{show} "a  b"') == "<a  b>"  # one string after the dashes is still one string
    assert printed(desk, "printf '%s' -- --json; echo") == "----json\n"
    assert printed(desk, "printf 'a\nb'\nprintf 'ü…'") == "a\nbü…"


def test_bytes_that_are_no_text_arrive_as_they_are(desk: Desk) -> None:
    done = desk.inv("run", "--no-sync", "--", b"printf", b"%s", b"\xff\xfe \x01'\"\\ \xc3")
    assert done.out_bytes == b"\xff\xfe \x01'\"\\ \xc3"
    assert desk.inv("run", "--no-sync", r"printf '\000\377\r\n'").out_bytes == b"\0\xff\r\n"


def test_a_command_that_begins_with_a_dash_stands_after_dashes(desk: Desk) -> None:
    script = desk.nodes.home_of("node-1") / "bin" / "-odd"
    script.write_text('#!/bin/sh\necho "odd $1"\n')
    script.chmod(0o755)
    assert printed(desk, "--", "-odd", "--json") == "odd --json\n"


@pytest.mark.parametrize("words", [["--jsn"], ["--jsn", "true"], ["--no-sync", "--dri", "true"]])
def test_a_misspelt_flag_is_never_run_as_a_command(desk: Desk, words: list[str]) -> None:
    assert desk.inv("run", "--no-sync", "true").code == 0
    before = desk.nodes.ledger()
    done = desk.inv("run", *words)
    assert done.code == 1
    assert "--jsn" in done.err or "--dri" in done.err
    assert desk.nodes.ledger() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", ""], "there is no command"),
        (["run"], "there is no command"),
        (["run", "--cmd"], "there is no command"),
        (["run", "  "], "there is no command"),
        (["run", "ls", "--", "pwd"], "both before and after --"),
        (["run", "--", "echo", "x" * 80_000, "y" * 80_000], "bytes long"),
        (["task", ""], "there is no task"),
        (["task"], "there is no task"),
        (["task", "--mode", "guess", "x"], "there is no mode guess"),
        (["run", "--timeout", "soon", "true"], "--timeout"),
        (["run", "--timeout", "0", "true"], "--timeout"),
        (["run", "--env", "1X=2", "true"], "--env 1X"),
        (["run", "--env", "NOT_SET_HERE", "true"], "--env NOT_SET_HERE"),
        (["run", "--type", "cooking", "true"], "no task type cooking"),
        (["run", "--require", "cores>>8", "true"], "not a number"),
    ],
    ids=lambda value: " ".join(word[:12] for word in value) if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused_in_two_lines(desk: Desk, words: list[str], said: str) -> None:
    done = desk.inv(*words)
    assert done.code == 64, done
    what, remedy = done.err.splitlines()
    assert what.startswith("✗ ") and said in what
    assert remedy.startswith("  ") and len(remedy) > 5
    assert done.out == ""


def test_a_number_that_is_none_is_a_usage_error(desk: Desk) -> None:
    done = desk.inv("lab.figures", "node-1", "--cpu", "much")
    assert (done.code, done.err.strip()) == (1, "--cpu: 'much' is not a number")


# -- flags -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("nope", 127)]
)
def test_the_command_s_own_exit_code_is_passed_on(desk: Desk, command: str, code: int) -> None:
    done = desk.inv("run", "--no-sync", command)
    assert done.code == code, done
    assert f"exit code {code}" in done.err


def test_stdout_and_stderr_stay_apart(desk: Desk) -> None:
    done = desk.inv("run", "--no-sync", "echo out; echo err >&2")
    assert done.out == "out\n"
    assert "\nerr\n" in done.err


def test_timeout_ends_the_whole_process_group(desk: Desk) -> None:
    done = desk.inv("run", "--no-sync", "--timeout", "1", "sleep 4711 & exec sleep 4712")
    assert done.code == 124
    assert "timed out on node-1" in done.err
    assert done.err.count("the time limit passed") == 1
    assert subprocess.run(["pgrep", "-f", "sleep 471[12]"], stdout=subprocess.DEVNULL).returncode == 1


def test_env_passes_values_and_shows_none(desk: Desk) -> None:
    secret = "it's a 'secret' $HOME `x`"
    given = {"FROM_HERE": "taken along"}
    words = ["--env", f"TOKEN={secret}", "--env", "FROM_HERE", "--env", "EMPTY="]
    done = desk.inv("run", "--no-sync", *words, 'printf "%s|%s|%s" "$TOKEN" "$FROM_HERE" "$EMPTY"', env=given)
    assert done.out == f"{secret}|taken along|"
    assert secret not in done.err
    database = (desk.lab.directory / "state/runs.db").read_bytes()
    assert b"secret" not in database


@pytest.mark.parametrize(
    ("words", "host"),
    [
        (["--host", "node-2"], "node-2"),
        (["--host", "node-1", "--host", "node-2"], "node-1"),
        (["--host", "node-[2-3]"], "node-2"),
        (["--exclude", "node-1"], "node-2"),
        (["--exclude", "node-[1,3]"], "node-2"),
        (["--group", "lab"], "node-1"),
        (["--type", "api"], "node-2"),
        (["--type", "database"], "node-1"),
        (["--require", "git"], "node-1"),
        (["--require", "cores>=4", "--require", "cores<5"], "node-1"),
        (["--fallback", "none"], "node-1"),
    ],
    ids=" ".join,
)
def test_flags_decide_where_it_runs(desk: Desk, words: list[str], host: str) -> None:
    desk.forget_load()
    done = desk.inv("run", "--no-sync", *words, "hostname")
    assert (done.code, done.out) == (0, f"{host}\n"), done


@pytest.mark.parametrize("words", [["--backend", "local"], ["--host", "local"]], ids=" ".join)
def test_this_machine_can_be_asked_for(desk: Desk, words: list[str]) -> None:
    done = desk.inv("run", *words, "pwd; echo $DGUMMY_NODE")
    assert done.out == f"{desk.project}\n\n"
    refused = desk.inv("run", *words, "--require", "no-such-tool", "true")
    assert refused.code == 69
    assert "✗ this machine lacks no-such-tool" in refused.err


def test_no_sync_claims_and_sends_nothing(desk: Desk) -> None:
    project = desk.nodes.project("unsent")
    (project / "tasks.py").write_text(TASKS)
    done = desk.inv("run", "--no-sync", "pwd", cwd=project)
    assert done.out == f"{desk.nodes.home_of('node-1')}\n"
    assert "is not there" in done.err
    assert not desk.nodes.remote_dir("node-1", project).exists()


def test_dry_shows_the_choice_and_does_nothing(desk: Desk) -> None:
    project = desk.nodes.project("dry")
    (project / "tasks.py").write_text(TASKS)
    done = desk.inv("run", "--dry", "touch made-by-dry", cwd=project)
    assert done.code == 0
    assert "→ node-1" in done.out
    assert "would send 8 files" in done.out
    assert "would run: touch made-by-dry" in done.out
    assert not desk.nodes.remote_dir("node-1", project).exists()


# -- folders and projects ------------------------------------------------------------------------------------------


def test_a_command_runs_in_the_same_folder_there(desk: Desk) -> None:
    assert desk.inv("run", "pwd").out == f"{desk.there()}\n"
    assert desk.inv("run", "pwd; ls", cwd=desk.project / "src").out == f"{desk.there()}/src\nreport.sh\nschema.sql\n"


def test_an_empty_subfolder_is_no_reason_to_run_elsewhere(desk: Desk) -> None:
    empty = desk.project / "empty"
    empty.mkdir(exist_ok=True)
    assert desk.inv("run", "pwd", cwd=empty).out == f"{desk.there()}/empty\n"


def test_the_project_is_what_git_sees(desk: Desk) -> None:
    (desk.project / "new and untracked.txt").write_text("new")
    done = desk.inv("run", "ls -a; cat 'new and untracked.txt'")
    assert {"queries.sql", "tasks.py", "new and untracked.txt"} <= set(done.out.splitlines())
    assert not {".env", "build", ".git"} & set(done.out.splitlines())
    assert re.search(r"✓ Synced \d+ files? \([\d.]+ K?B\) in [\d.]+ s → node-1:", done.err)
    (desk.project / "new and untracked.txt").unlink()
    assert "new and untracked.txt" not in desk.inv("run", "ls -a").out
    assert "✓ Up to date: 8 files" in desk.inv("run", "true").err


def test_as_a_sub_collection_beside_own_tasks(desk: Desk) -> None:
    project = desk.home / "team"
    project.mkdir(exist_ok=True)
    (project / "tasks.py").write_text(
        "from invoke import Collection, task\n"
        "from dgummy.tasks import ns as dgummy_ns\n\n\n"
        "@task\ndef hello(c):\n    print('hello')\n\n\n"
        "ns = Collection(hello)\nns.add_collection(dgummy_ns, 'dg')\n"
    )
    (project / "invoke.yaml").write_text("dgummy: {overload_threshold: 0.5}\n")
    assert desk.inv("hello", cwd=project).out == "hello\n"
    assert desk.inv("dg.run", "--no-sync", "--", "printf", "%s", "a b", cwd=project).out == "a b"
    assert desk.inv("dg.run", "pwd; ls", cwd=project).out.splitlines()[1:] == ["invoke.yaml", "tasks.py"]
    assert desk.inv("dg.pick", "--json", "fix the api", cwd=project).document("pick")["host"] == "node-2"
    assert desk.inv("dg.pick", "--json", cwd=project).document("pick")["host"] == "node-1"
    assert desk.inv("hello", "dg.load", cwd=project).out.startswith("hello\nHOST")
    assert re.search(r"overload_threshold +0.5 +invoke.yaml", desk.inv("dg.config.show", "--origin", cwd=project).out)
    assert "Example: inv" in desk.inv("--help", "dg.run", cwd=project).out


def test_the_program_works_without_a_tasks_py_and_reads_the_project_s_settings(desk: Desk) -> None:
    project = desk.home / "plain"
    (project / "deep").mkdir(parents=True, exist_ok=True)
    (project / "invoke.yaml").write_text("dgummy: {overload_threshold: 0.5}\n")
    (project / "deep/file").write_text("here")
    shown = desk.inv("config.show", "--origin", cwd=project / "deep", program="dgummy")
    assert re.search(r"overload_threshold +0.5 +invoke.yaml", shown.out), shown
    done = desk.inv("run", "pwd; cat file", cwd=project / "deep", program="dgummy")
    assert done.out == f"{desk.nodes.remote_dir('node-1', project / 'deep')}\nhere"
    assert desk.inv("run", "exit 5", cwd=project, program="dgummy").code == 5
    assert re.fullmatch(r"dgummy \d+\.\d+\.\d+\n", desk.inv("--version", program="dgummy").out)
    assert desk.inv("nope", program="dgummy").code == 1


@pytest.mark.parametrize("folder", ["home", "root"])
def test_a_folder_that_is_no_project_is_not_synced(desk: Desk, folder: str) -> None:
    cwd = desk.home if folder == "home" else Path("/")
    done = desk.inv("run", "true", cwd=cwd, program="dgummy")
    assert done.code == 64
    assert "refusing to sync" in done.err
    assert desk.inv("run", "--no-sync", "true", cwd=cwd, program="dgummy").code == 0


# -- settings ------------------------------------------------------------------------------------------------------


def test_origins_of_all_layers(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    user = tmp_path / "home/.config/distributed-gummy/config.yaml"
    user.parent.mkdir(parents=True)
    user.write_text("groups: {dev: [a, b]}\njobs: 3\nload_weights: {cpu: 1}\ntimeouts: {connect_s: 1}\n")
    (tmp_path / "invoke.yaml").write_text("dgummy: {jobs: 4, load_weights: {memory: 2}, timeouts: {connect_s: 2}}\n")
    env = {"HOME": str(tmp_path / "home"), "DGUMMY_CONFIG": None, "INVOKE_DGUMMY_TIMEOUTS_CONNECT_S": "7s"}
    done = desk.inv("config.show", "--origin", cwd=tmp_path, env=env)
    rows = {line.split()[0]: line for line in done.out.splitlines()}
    assert re.search(r" a, b +~/.config/distributed-gummy/config.yaml$", rows["groups.dev"])
    assert re.search(r" 4 +invoke.yaml ", rows["jobs"])
    assert re.search(r" 1.0 +~/.config", rows["load_weights.cpu"])
    assert re.search(r" 2.0 +invoke.yaml ", rows["load_weights.memory"])
    assert re.search(r" 0.3 +default$", rows["load_weights.load_average"])
    assert re.search(r" 7.0 +INVOKE_DGUMMY_TIMEOUTS_CONNECT_S$", rows["timeouts.connect_s"])
    other = tmp_path / "other.yaml"
    other.write_text("jobs: 9\n")
    shown = desk.inv("config.show", "--origin", cwd=tmp_path, env={**env, "DGUMMY_CONFIG": str(other)}).out
    assert re.search(rf"^jobs +9 +{re.escape(str(other))}$", shown, re.MULTILINE)
    assert not re.search(r"^groups.dev", shown, re.MULTILINE)  # the named file stands in for the user's
    files = desk.inv("config.path", cwd=tmp_path, env=env).out.splitlines()
    assert [line.split()[0] for line in files[1:]] == [str(user), str(tmp_path / "invoke.yaml")]


def test_config_init_proposes_writes_when_told_and_never_overwrites(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    d_settings = tmp_path / "home/.config/distributed/config.yaml"
    d_settings.parent.mkdir(parents=True)
    d_settings.write_text("groups: {office: [desk-1]}\n")
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host build-box\n  HostName 192.0.2.1\nHost *\n  User me\n")
    target = tmp_path / "home/.config/distributed-gummy/config.yaml"
    env = {
        "HOME": str(tmp_path / "home"),
        "DGUMMY_CONFIG": None,
        "INVOKE_DGUMMY_SSH_CONFIG": str(ssh_config),
    }
    shown = desk.inv("config.init", cwd=tmp_path, env=env)
    assert shown.code == 0 and "build-box" in shown.out and "desk-1" in shown.out
    assert "--write" in shown.err and not target.exists()
    assert desk.inv("config.init", "--write", cwd=tmp_path, env=env).code == 0
    written = target.read_text()
    assert written == shown.out
    assert desk.inv("config.check", cwd=tmp_path, env=env).code == 0
    target.write_text("jobs: 2\n")
    again = desk.inv("config.init", "--write", cwd=tmp_path, env=env)
    assert again.code not in (0, 70)
    assert str(target) in again.err
    assert target.read_text() == "jobs: 2\n"


# -- caches and several commands at once ---------------------------------------------------------------------------


def test_load_says_how_old_it_is(desk: Desk) -> None:
    fresh = desk.inv("load", "--refresh").out
    assert re.search(r"^measured \d\.\d s ago over ssh$", fresh, re.MULTILINE)
    assert "(cached; --refresh measures anew)" in desk.inv("load").out
    assert "cached" not in desk.inv("load", "--refresh").out


@pytest.mark.parametrize("damage", ["corrupt", "open to others", "link", "folder", "future"])
def test_a_cache_that_cannot_be_trusted_is_ignored_with_a_warning(desk: Desk, damage: str, tmp_path: Path) -> None:
    desk.inv("load", "--refresh")
    cache = desk.lab.directory / "cache/load.json"
    good = cache.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(good)
    if damage == "corrupt":
        cache.write_bytes(good[:-30])
    elif damage == "open to others":
        cache.chmod(0o666)
    else:
        cache.unlink()
        if damage == "link":
            cache.symlink_to(elsewhere)
        elif damage == "folder":
            cache.mkdir()
        else:
            cache.write_bytes(re.sub(rb"20\d\d-", b"2999-", good))
            cache.chmod(0o600)
            os.utime(cache, (4e9, 4e9))
    try:
        done = desk.inv("load")
        assert done.code == 0
        assert done.err.count("ignored the cache") == 1, done
        assert "node-1" in done.out
        assert elsewhere.read_bytes() == good
    finally:
        cache.rmdir() if cache.is_dir() and not cache.is_symlink() else cache.unlink(missing_ok=True)
        private = desk.lab.directory / "state/cache/load.json"
        private.unlink(missing_ok=True)


def test_runs_at_the_same_moment_do_not_all_go_to_one_host(desk: Desk) -> None:
    desk.forget_load()
    script = "inv run 'hostname; sleep 1' 2>/dev/null & inv run 'hostname; sleep 1' 2>/dev/null & wait"
    done = desk.shell(script)
    assert sorted(done.out.split()) == ["node-1", "node-2"], done


# -- pipes and odd surroundings --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["load"], ["status"], ["pick"], ["config.show"], ["run", "ls"], ["sync", "--dry"]])
def test_nothing_but_text_goes_through_a_pipe(desk: Desk, words: list[str]) -> None:
    done = desk.inv(*words)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.out + done.err), done


def test_a_reader_that_leaves_ends_the_run_quietly(desk: Desk) -> None:
    done = desk.shell("inv run --no-sync 'yes; : 4713' | head -1; echo ${PIPESTATUS[0]}")
    assert done.out == "y\n141\n"
    assert "bug" not in done.err
    until(lambda: not desk.nodes.active_runs("node-1"), what="for the run to be gone")
    for command in ("load", "config.show", "status --json"):
        line = desk.shell(f"inv {command} | head -1")
        assert len(line.out.splitlines()) == 1
        assert line.err == ""


def test_closed_streams(desk: Desk) -> None:
    assert desk.shell("inv load <&-").out.startswith("HOST")
    assert desk.shell("inv load >&-; echo $? >&2").err == "0\n"
    assert desk.shell("inv run --no-sync 'echo hi' 2>&-").out == "hi\n"
    assert desk.shell("inv run --no-sync 'cat; echo end' <&-").out == "end\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_no_bug(desk: Desk) -> None:
    done = desk.shell("inv load >/dev/full; echo $?")
    assert done.out == "1\n"
    assert done.err.startswith("✗ cannot write to stdout: No space left on device\n")


def test_plain_locale(desk: Desk) -> None:
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = desk.inv("run", "--no-sync", "echo 'é…'", env=plain)
    assert (done.code, done.out) == (0, "é…\n")
    assert desk.inv("load", env=plain).code == 0
    assert desk.inv("--list", env=plain).code == 0


# -- a terminal --------------------------------------------------------------------------------------------------


def at_terminal(desk: Desk, *words: str, columns: int = 100, **env: str) -> pexpect.spawn[str]:
    """A command at a terminal of its own."""
    program, *argv = map(str, desk.argv(words))
    return pexpect.spawn(
        program,
        argv,
        cwd=str(desk.project),
        env={**desk.environment({"TERM": "xterm-256color", "COLUMNS": None}), **env},
        dimensions=(40, columns),
        encoding="utf-8",
        timeout=30,
    )


def all_of(child: pexpect.spawn[str]) -> str:
    """What it shows to its end."""
    child.expect(pexpect.EOF)
    child.close()
    assert isinstance(child.before, str)
    assert "Traceback" not in child.before
    return child.before


def test_a_terminal_gets_colours_and_so_do_commands(desk: Desk) -> None:
    shown = all_of(at_terminal(desk, "run", r"printf '\033[31mred\033[0m'; echo $FORCE_COLOR $TERM"))
    assert "\x1b[31mred\x1b[0m1 xterm-256color\r\n" in shown
    assert re.search(r"\x1b\[32m✓ ok on node-[12] in .*\x1b\[0m\r\n$", shown)


def test_no_color_and_dumb_terminals_are_respected(desk: Desk) -> None:
    plain = all_of(at_terminal(desk, "run", "echo [$FORCE_COLOR]", NO_COLOR="1"))
    assert "[]\r\n" in plain
    assert not re.search(r"\x1b\[[0-9;]*m", plain)
    assert "\x1b" not in all_of(at_terminal(desk, "run", "true", TERM="dumb"))


def test_a_line_that_is_not_ended_does_not_swallow_the_next(desk: Desk) -> None:
    assert "no end\r\n" in all_of(at_terminal(desk, "run", "--no-sync", "printf 'no end'"))


def test_a_narrow_terminal_gets_short_reasons(desk: Desk) -> None:
    wide, narrow = all_of(at_terminal(desk, "load", columns=150)), all_of(at_terminal(desk, "load", columns=85))
    assert "connection refused: 127.0.0.1 port" in wide
    assert "connection refused\r\n" in narrow
    assert max(map(len, narrow.splitlines())) <= 85


def test_ctrl_c_ends_the_run_there(desk: Desk) -> None:
    child = at_terminal(desk, "run", "--no-sync", "echo started; sleep 4714 & exec sleep 4715")
    child.expect("started\r\n")
    child.sendintr()
    shown = all_of(child)
    assert child.exitstatus == 130
    assert "cancelling on node-1" in shown
    assert "■ cancelled on node-1" in shown
    assert subprocess.run(["pgrep", "-f", "sleep 471[45]"], stdout=subprocess.DEVNULL).returncode == 1
    assert desk.nodes.ledger()[0].state.value == "cancelled"


def test_ctrl_c_twice_stops_watching(desk: Desk) -> None:
    began = time.monotonic()
    stubborn = "trap '' TERM INT; echo started; for i in $(seq 40); do sleep 0.3; done"
    child = at_terminal(desk, "run", "--no-sync", stubborn)
    child.expect("started\r\n")
    child.sendintr()
    child.expect("Ctrl-C again to stop watching")
    time.sleep(0.3)
    child.sendintr()
    shown = all_of(child)
    assert child.exitstatus == 130
    assert "left on node-1" in shown
    assert time.monotonic() - began < 9  # the host would have killed it after ten
    for pids in desk.nodes.active_runs("node-1").values():
        assert pids  # it is still there, and ends by itself


def test_ctrl_c_while_looking(desk: Desk) -> None:
    labs.hang(desk.lab, "node-2")
    try:
        child = at_terminal(desk, "load", "--refresh")
        time.sleep(1.5)
        child.sendintr()
        shown = all_of(child)
    finally:
        labs.start(desk.lab, "node-2")
    assert child.exitstatus == 130
    assert "✗ interrupted" in shown


# -- agents --------------------------------------------------------------------------------------------------------


def test_a_task_is_streamed_and_proven(desk: Desk) -> None:
    done = desk.inv("task", "optimize database queries")
    assert done.code == 0, done
    assert "Task: optimize database queries\n" in done.out
    assert "COMPLETED\n" in done.out
    assert "1 file changed, +1\n  M queries.sql  +1 -0\n" in done.err
    assert "CREATE INDEX" in (desk.there() / "queries.sql").read_text()
    assert "CREATE INDEX" not in (desk.project / "queries.sql").read_text()


@pytest.mark.parametrize("words", [['it\'s "quoted" $HOME `x` \\ ü\nsecond line'], ["--", "fix", "the  $HOME", "it's"]])
def test_a_task_s_text_arrives_byte_for_byte(desk: Desk, words: list[str]) -> None:
    text = words[0] if words[0] != "--" else " ".join(words[1:])
    done = desk.inv("task", "--host", "node-1", *words)
    assert f"Task: {text}\n" in done.out


@pytest.mark.parametrize("failure", ["rate-limit", "fail"])
def test_an_agent_that_failed_is_no_success_whatever_it_exits_with(desk: Desk, failure: str) -> None:
    done = desk.inv("task", "--json", f"improve the docs [standin:{failure}]")
    document = done.document("task")
    assert document["state"] == "failed", document
    assert document["reason"]
    assert done.code != 0


def test_verify_decides(desk: Desk) -> None:
    bad = desk.inv("task", "optimize database queries", "--verify", "grep -q no-such-line queries.sql")
    assert bad.code == 1, bad
    assert "✗ failed on node-1" in bad.err
    good = desk.inv("task", "optimize database queries", "--verify", "grep -q 'CREATE INDEX' queries.sql")
    assert good.code == 0, good


def test_plan_mode_makes_a_plan_and_changes_nothing(desk: Desk) -> None:
    document = desk.inv("task", "--mode", "plan", "add a schema", "--json").document("task")
    assert (document["state"], document["changed"]) == ("ok", [])
    assert document["report"].endswith(".md")
    assert "Planning Mode" in document["stdout_tail"]


def test_words_are_quoted_for_people_as_a_shell_would_take_them(desk: Desk) -> None:
    shown = desk.inv("run", "--dry", "--", "printf", "%s", "a b").out
    assert f"would run: {shlex.join(['printf', '%s', 'a b'])}" in shown
