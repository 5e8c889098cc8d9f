"""What is written into crontabs and systemd's units: byte for byte what was meant, and nothing else is touched."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dgummy import cronenv, cronline, schedule, timerunits
from dgummy.cronline import CronJob, Entry
from dgummy.errors import UsageError

JOB = CronJob(
    name="nightly",
    fields="0 2 * * *",
    folder="/home/ana/my app",
    env=(("PATH", "/opt/x y/bin:/usr/bin"), ("LANG", "C.UTF-8")),
    program="/home/ana/venv/bin/dgummy",
    lock="nightly",
    log="/home/ana/state/cron/nightly.log",
    words=("run", "pytest"),
)
HOSTILE = (
    "date +%F",
    r"a\%b \\% \ %",
    'it\'s "quoted" $HOME `id` $(id)',
    "echo #no comment # dgummy:other",
    "\t# tab",
    "* ? [a] ~ !x",
    "",
    " blanks ",
    "ünïcode ☃",
    "no utf-8: \udcff",
    "-- --lock x && || ; |",
    "# dgummy:nightly",
)


def as_cron_sees_it(line: bytes) -> bytes:
    """The command of a line as Vixie's cron gives it to a shell (do_command.c): `%` ends it, unless it is escaped."""
    command = line.rstrip(b"\n").split(None, 5)[5]
    done, escaped = bytearray(), False
    for byte in command:
        if escaped and byte != ord("%"):
            done += b"\\"
        elif not escaped and byte == ord("%"):
            break
        escaped = byte == ord("\\")
        if not escaped:
            done.append(byte)
    return bytes(done)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that writes down how it was called."""
    path = tmp_path / "dgummy"
    path.write_text('#!/bin/sh\npwd >"$0.pwd"; printf "%s" "$PATH" >"$0.path"; printf "%s\\0" "$@" >"$0.words"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("text", HOSTILE)
def test_cron_runs_what_was_meant(program: Path, tmp_path: Path, text: str) -> None:
    folder = tmp_path / "it's a #folder %d"
    folder.mkdir()
    job = replace(JOB, folder=str(folder), program=str(program), words=("run", text, "--host", "n"))
    line = cronline.line(job)
    assert line.count(b"\n") == 1 and line.endswith(b"# dgummy:nightly\n") and line.startswith(b"0 2 * * * cd ")
    subprocess.run(["/bin/sh", "-c", as_cron_sees_it(line)], check=True, env={"PATH": "/bin:/usr/bin"})
    words = Path(f"{program}.words").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    assert words[:7] == ["cron.exec", "nightly", "--lock", "nightly", "--log", JOB.log, "--"]
    assert words[7:] == ["run", text, "--host", "n", ""]
    assert Path(f"{program}.pwd").read_text() == f"{folder}\n"
    assert Path(f"{program}.path").read_text() == "/opt/x y/bin:/usr/bin"
    (entry,) = cronline.entries(line)
    assert (entry.name, entry.fields, entry.enabled) == ("nightly", "0 2 * * *", True)
    assert entry.command == cronline.command(job)
    assert cronline.parts(entry.command) == replace(job, fields="")


TABLES = (
    b"",
    b"MAILTO=ana\nPATH = /x\n\n  0\t5 * * 7   echo  'two  blanks' % in\\%put  \n",
    b"# a comment\n#0 2 * * * disabled\n@reboot   /bin/true # dgummy\n61 * * * * not valid, and not ours\n",
    b"\xff\xfe latin \xe9\n\r\nCRON_TZ=Europe/Berlin\n* * * * * x # dgummy:nightly\n",  # another command
    b"0 0 1-31 * 1 any day # comment # another\n",
)


@pytest.mark.parametrize("table", TABLES)
def test_other_lines_stay_as_they_are(table: bytes) -> None:
    new = cronline.line(JOB)
    both = cronline.with_line(table, new)
    assert both == table + new
    assert [entry.name for entry in cronline.entries(both)] == ["nightly"]
    assert cronline.without(both, "nightly") == table
    assert cronline.without(both, "other") == both
    assert cronline.without(new + table, "nightly") == table


def test_a_table_without_a_last_newline_gets_one() -> None:
    both = cronline.with_line(b"0 5 * * * x", cronline.line(JOB))
    assert both == b"0 5 * * * x\n" + cronline.line(JOB)
    assert cronline.without(both, "nightly") == b"0 5 * * * x\n"


def test_a_line_that_was_changed_by_hand() -> None:
    line = cronline.line(JOB).decode()
    disabled, edited = f"# {line}", line.replace("0 2 * * *", "*/5 3  * * mon")
    twice = f"{line}{line.replace('0 2', '0 14')}"
    assert [entry.enabled for entry in cronline.entries(disabled.encode())] == [False]
    assert cronline.entries(edited.encode())[0].fields == "*/5 3 * * mon"
    assert [entry.fields for entry in cronline.entries(twice.encode())] == ["0 2 * * *", "0 14 * * *"]
    assert cronline.without(f"{disabled}{twice}".encode(), "nightly") == b""
    assert cronline.parts("cd /x && make") is None
    assert cronline.parts("it's broken") is None


def test_every_schedule_is_written_as_it_is_meant() -> None:
    for fields in ("*/5 * * * *", "0 0 * * 7", "0 0 * * *", "5 4 1,15 jan-mar mon", "0-59 * * * 1-7"):
        (entry,) = cronline.entries(cronline.line(replace(JOB, fields=fields)))
        assert schedule.is_same(entry.fields, fields)
    with pytest.raises(UsageError, match="cannot be written safely"):  # python-crontab would make it "every Monday"
        cronline.line(replace(JOB, fields="0 2 1-31 * 1"))


def test_a_line_that_cron_would_cut_off_is_refused() -> None:
    with pytest.raises(UsageError, match="cron takes 998") as raised:
        cronline.line(replace(JOB, env=(("PATH", "/x" * 500),)))
    assert "--timer" in raised.value.remedy


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["run", "a\nb"], "several lines"),
        (["run", "--env", "TOKEN=geheim", "x"], "--env TOKEN"),
        (["run", "--env=TOKEN=geheim", "x"], "--env TOKEN"),
        (["run", "--env", "TOKEN", "x"], "--env TOKEN"),
        (["run", "--detach", "x"], "--detach"),
    ],
)
def test_words_that_do_not_belong_in_a_crontab(words: list[str], why: str) -> None:
    with pytest.raises(UsageError, match=why) as raised:
        cronline.check_words(words)
    assert "geheim" not in raised.value.message + raised.value.remedy
    cronline.check_words(["run", "fine", "--environment"])
    cronline.check_words(["run", "--no-sync", "--", "cmd", "--env", "X", "--detach", "--deadline", "3"])


# -- what goes along -------------------------------------------------------------------------------------------------


def test_only_what_is_needed_is_carried_and_no_secret() -> None:
    environ = {
        "PATH": "/usr/bin:relative:/gone:/bin:/usr/bin::",
        "AWS_SECRET_ACCESS_KEY": "geheim",
        "GITHUB_TOKEN": "geheim",
        "DGUMMY_CONFIG": "/c.yaml",
        "INVOKE_DGUMMY_GROUP": "lab",
        "INVOKE_RUN_ECHO": "1",
        "XDG_CONFIG_HOME": "relative",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": "/evil",
        "SSH_AUTH_SOCK": "/tmp/ssh-x/agent.1",
    }
    found = cronenv.carried(environ, "/home/ana", "/home/ana", is_dir=lambda path: path != "/gone", agent="")
    assert dict(found) == {
        "PATH": "/usr/bin:/bin",
        "DGUMMY_CONFIG": "/c.yaml",
        "INVOKE_DGUMMY_GROUP": "lab",
        "LC_ALL": "C.UTF-8",
    }
    other = cronenv.carried({}, "/tmp/h", "/root", is_dir=bool, agent="/run/user/1/a")
    assert dict(other) == {"HOME": "/tmp/h", "SSH_AUTH_SOCK": "/run/user/1/a"}
    with pytest.raises(UsageError, match="line break"):
        cronenv.carried({"INVOKE_DGUMMY_GROUP": "a\n* * * * * evil"}, "/h", "/h", is_dir=bool, agent="")


@pytest.mark.parametrize(
    ("path", "stable"),
    [
        ("/run/user/1000/ssh-agent.socket", True),
        ("/run/user/1000/keyring/ssh", True),
        ("/run/user/1000/gnupg/S.gpg-agent.ssh", True),
        ("/home/ana/.ssh/agent.sock", True),
        ("/home/ana/.1password/agent.sock", True),
        ("/tmp/ssh-XXabcdef/agent.1234", False),
        ("/tmp/my.sock", False),
        ("/home/ana/.ssh/agent/s.abc.agent.xyz", False),
        ("/private/tmp/com.apple.launchd.abc/Listeners", False),
        ("/var/run/com.apple.launchd.abc/Listeners", False),
        ("/var/folders/zz/T/ssh-abc/agent.12", False),
        ("/run/user/1000/vscode-ssh-auth-1.sock", False),
        ("/run/user/1000/ssh-abcdef/agent.77", False),
        ("relative.sock", False),
        ("", False),
    ],
)
def test_which_agents_last(path: str, stable: bool) -> None:
    found, said = cronenv.stable_agent({"SSH_AUTH_SOCK": path}, lambda _: True)
    assert found == (path if stable else "")
    assert said
    assert cronenv.stable_agent({"SSH_AUTH_SOCK": path}, lambda _: False)[0] == ""


# -- systemd ---------------------------------------------------------------------------------------------------------


def as_systemd_reads_it(service: str) -> list[str]:
    """The words of ExecStart, by systemd.service(5): C-like escapes in quotes, then %% and $$."""
    (text,) = re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)
    path, flag, quoted = text.split(" ", 2)
    assert quoted[0] == quoted[-1] == '"'
    inner = re.sub(r"\\(.)", r"\1", quoted[1:-1])
    assert not re.search(r"(?<!%)%(?:%%)*(?!%)", inner) and not re.search(r"(?<!\$)\$(?:\$\$)*(?!\$)", inner)
    return [path, flag, inner.replace("%%", "%").replace("$$", "$")]


@pytest.mark.parametrize("text", [text for text in HOSTILE if "\udcff" not in text])
def test_systemd_runs_what_was_meant(text: str) -> None:
    command = cronline.command(replace(JOB, words=("run", text)))
    assert as_systemd_reads_it(timerunits.service("nightly", command)) == ["/bin/sh", "-c", command]
    assert shlex.split(command)[-1] == text
    found = timerunits.read_timer(timerunits.timer("nightly", "0 0 1,15 * 1", command), enabled=True)
    assert found == Entry("nightly", "0 0 1,15 * 1", command)


def test_timers_of_others_are_none_of_ours() -> None:
    assert timerunits.read_timer("[Timer]\nOnCalendar=daily\n", enabled=True) is None
    for told in ("", "Job={", "Job={}", "Job=[]", json.dumps({"name": 1})):
        assert timerunits.read_timer(f"{timerunits.MARK}\n{told}\n", enabled=True) is None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze on this machine")
def test_systemd_finds_nothing_wrong_with_our_units(tmp_path: Path) -> None:
    command = cronline.command(replace(JOB, words=("run", "date +%F; echo \"$HOME\" 'x' \\ #")))
    for kind, text in (
        ("service", timerunits.service("n", command)),
        ("timer", timerunits.timer("n", "0 0 1 * 1", command)),
    ):
        (tmp_path / timerunits.unit_name("n", kind)).write_text(text)
    environ: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    unit = str(tmp_path / "dgummy-n.timer")
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", unit], capture_output=True, text=True, env=dict(environ)
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "dgummy-n" in line]) == (0, []), done.stderr
