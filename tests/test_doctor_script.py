"""`remote/doctor.sh` under each shell: what it tells of a host, and what it never tells."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dgummy import vitals
from dgummy.agents import LOGIN_VARIABLES
from dgummy.fanout import Call
from dgummy.liveness import process_began_at
from dgummy.vitals import Program, Vitals
from remote_scripts import KINDS, Box, Heard, MakeBox, wait_for

SECRET = "sk-ant-do-not-show-me"
PROGRAMS = ("rsync", "git", "jq", "gummy", "claude")


def tool(folder: Path, name: str, text: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def look(box: Box, **variables: str) -> tuple[Vitals, Heard]:
    names = {"DG_LOGIN_VARIABLES": " ".join(LOGIN_VARIABLES)}
    heard = box.call(["doctor"], "doctor", "claude", "7", "30", *PROGRAMS, **names, **variables)
    assert heard.status == 0 and heard.stderr == "", heard
    assert SECRET not in repr(heard)
    return vitals.read(heard.facts), heard


def test_it_tells_what_a_host_has(box: Box) -> None:
    login, usual = box.home / "login bin", box.home / ".local/bin"
    claude = tool(login, "claude", "echo 1.2.3; exit 7")
    tool(box.bin, "rsync", "echo 'rsync  version 3.2.7'; sleep 0")
    tool(usual, "gummy")
    (box.home / ".profile").write_text(f"echo noise; PATH='{box.bin}:{login}'; export PATH\n")
    told, heard = look(box)
    assert abs((told.clock_s or 0) - time.time()) < 5
    assert heard.facts[1].name == "clock"  # after "begin": whoever reads it notes when
    assert told.programs == {
        "rsync": Program(str(box.bin / "rsync"), str(box.bin / "rsync")),
        "claude": Program("", str(claude)),
        "gummy": Program("", "", str(usual / "gummy")),
    }
    assert (told.versions["claude"].status, told.versions["claude"].text) == (7, "1.2.3")
    assert told.versions["rsync"].text == "rsync version 3.2.7"
    assert (told.login_told, told.state_error, told.agent_login) == (True, "", ("none", ""))
    assert told.state_mode.startswith("drwx------") and (told.disk_free_bytes or 0) > 0
    assert str(login) in told.login_path and str(login) not in told.path
    assert (told.uncollected, told.old_runs, told.temporary) == ({}, 0, 0)
    assert sorted(path.name for path in box.state.iterdir()) in (["login-path"], [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("without", [(), ("setsid",)])
def test_a_version_without_an_end_is_cut_off_and_all_of_it_killed(
    make_box: MakeBox, kind: str, without: tuple[str, ...]
) -> None:
    box = make_box(kind, *without)
    pids = box.home / "pids"
    tool(box.bin, "claude", f"trap '' PIPE TERM; sleep 60 & echo $! $$ >'{pids}'; while :; do echo 1.2.3; done")
    tool(box.bin, "rsync", "echo 'rsync 3.2.7'; seq 100000; sleep 60 & exit 3")
    began = time.monotonic()
    told, _ = look(box)
    assert time.monotonic() - began < 15
    assert (told.versions["claude"].status, told.versions["claude"].text) == (137, "1.2.3")
    assert (told.versions["rsync"].status, told.versions["rsync"].text) == (3, "rsync 3.2.7")
    left = [int(pid) for pid in pids.read_text().split()]
    if kind != "busybox" or not without:  # it is without perl there
        wait_for(lambda: not [pid for pid in left if process_began_at(pid, datetime.now(timezone.utc))])
    assert not [path for path in box.state.iterdir() if path.name.startswith("doctor.")]


def test_a_state_folder_that_is_a_link_is_looked_at_itself(make_box: MakeBox) -> None:
    box = make_box("dash")
    there = box.home / "there"
    there.mkdir(mode=0o700)
    there.chmod(0o770)
    box.state.parent.mkdir(parents=True)
    box.state.symlink_to(there)
    assert look(box)[0].state_mode.startswith("drwxrwx---")


def test_it_finds_a_login_and_tells_nobody_what_it_is(box: Box) -> None:
    claude = box.home / ".claude"
    claude.mkdir()
    (box.home / ".profile").write_text(f"PATH='{box.bin}'; ANTHROPIC_API_KEY={SECRET}; export PATH ANTHROPIC_API_KEY\n")
    assert look(box)[0].agent_login == ("login-variable", "ANTHROPIC_API_KEY")
    (claude / ".credentials.json").write_text("{}")
    assert look(box)[0].agent_login[0] == "login-variable"  # there is nothing in it
    (claude / ".credentials.json").write_text(f'{{"claudeAiOauth": {{"accessToken": "{SECRET}"}}}}')
    assert look(box)[0].agent_login == ("file", str(claude / ".credentials.json"))
    box.env["CLAUDE_CODE_OAUTH_TOKEN"] = SECRET
    assert look(box)[0].agent_login == ("variable", "CLAUDE_CODE_OAUTH_TOKEN")


def test_it_counts_what_was_left(make_box: MakeBox) -> None:
    box = make_box("dash", "timeout", "setsid")
    now, old = time.time(), time.time() - 40 * 86_400
    kept, copy = box.state / "workspaces/%2Fhome%2Fa", box.state / "workspaces/%2Fhome%2Fb"
    for folder in (kept / "lock", copy, box.run_dir("r-old"), box.run_dir("r-new")):
        folder.mkdir(parents=True)
    (kept / "uncollected").write_text("r-old 3\n")
    (kept / "lock/run").write_text("r-old\n")
    (copy / "isolated").touch()
    (copy / "uncollected").write_text("../../etc/passwd\n")
    (box.run_dir("r-old") / "exit").write_text(f"0 exited {int(old)}\n")
    (box.state / "size.77").touch()
    for path in (kept / "lock", copy, box.run_dir("r-old"), box.state / "size.77"):
        os.utime(path, (old, old))
    told, _ = look(box)
    assert list(told.uncollected) == ["r-old"] and abs(told.uncollected["r-old"] - (now - old)) < 60
    assert (told.stale_locks, told.old_copies, told.old_runs, told.temporary) == (("r-old",), 1, 1, 1)
    heard = box.call(["doctor"], "doctor_repair", "tidy", "private", "rm -rf /")
    assert heard.facts_named("repaired") == ["tidy", "private"] and heard.facts_named("failed") == ["rm -rf /"]
    assert not (box.state / "size.77").exists() and (kept / "uncollected").exists()


@pytest.mark.parametrize("where", ["file", "read-only"])
def test_a_state_folder_that_cannot_be_used(make_box: MakeBox, where: str) -> None:
    if where == "read-only" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    box = make_box("dash")
    box.state.parent.mkdir(parents=True)
    if where == "file":
        box.state.touch()
    else:
        box.state.mkdir(mode=0o500)
    told, _ = look(box)
    assert told.state_error in ("File exists", "Not a directory", "Permission denied")
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("dgummy-doctor.*"))


def test_a_profile_that_never_stops_talking_fills_no_disk(box: Box) -> None:
    (box.home / ".profile").write_text("i=0; while [ $i -lt 200000 ]; do echo noise; i=$((i + 1)); done\n")
    largest = Call(lambda: look(box))
    sizes = [0]
    while not largest.wait(0.02):
        sizes += [path.stat().st_size for path in box.state.glob("login-path.*") if path.exists()]
    assert max(sizes) < 100_000 and largest.result()[0].login_told


def test_a_login_shell_that_waits_for_somebody(make_box: MakeBox) -> None:
    box = make_box("dash")
    (box.home / ".profile").write_text("exit 3\n")
    told, _ = look(box)
    assert not told.login_told and told.login_path == told.path
