"""The scripts that start, follow, cancel and void a run, under the shells that hosts have. Hostile on purpose."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dgummy.remote import compose
from dgummy.runscript import RunSpec, cancel_script, follow_script, report_script, start_script, void_script
from dgummy.transport.framing import Fact
from remote_scripts import KINDS, Box, Heard, MakeBox, is_alive, read, wait_for

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks at processes through /proc")


@pytest.fixture(params=[*KINDS, "dash without perl", "bare dash", "bare bash", "busybox without setsid"])
def any_box(request: pytest.FixtureRequest, make_box: MakeBox) -> Box:
    """Every shell, and hosts that lack what puts a command into a group of its own."""
    kind, _, lacking = request.param.partition(" without ")
    if kind.startswith("bare "):
        kind, lacking = kind[5:], "perl setsid timeout"
    if kind not in KINDS:
        pytest.skip(f"{kind} is not installed")
    return make_box(kind, *lacking.split())


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


# -- what a command gets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 2, 42, 126, 127, 128, 129, 130, 137, 143, 254, 255])
def test_the_exit_code_is_passed_on(any_box: Box, code: int) -> None:
    heard = any_box.run(f"exit {code}")
    assert heard.first("exit").split()[:2] == [str(code), "exited"]


@pytest.mark.parametrize("name", ["HUP", "INT", "QUIT", "KILL", "TERM", "USR1", "SEGV", "PIPE"])
def test_a_signal_is_128_and_its_number(box: Box, name: str) -> None:
    if box.kind == "busybox" and name in ("INT", "QUIT"):
        pytest.skip("without perl and GNU env these stay ignored, see below")
    heard = box.run(f"kill -{name} $$; sleep 5")
    assert heard.first("exit").split()[0] == str(128 + getattr(signal, f"SIG{name}"))


def test_output_comes_byte_for_byte(any_box: Box) -> None:
    everything = bytes(range(256)) * 300
    (any_box.home / "data").write_bytes(everything + b"no newline")
    heard = any_box.run("cat data; cat data data >&2; printf last")
    assert heard.out == everything + b"no newlinelast"
    assert heard.err == (everything + b"no newline") * 2
    assert heard.first("exit").startswith("0 exited")


def test_output_that_looks_like_our_own_frames(box: Box) -> None:
    heard = box.run(r"printf 'MARK exit 3 exited\nMARK end 9\nMARK <out> 5\n'; exit 4", "r1")
    assert heard.first("exit").split()[0] == "4"
    assert heard.out.count(b"\n") == 3


def test_out_and_err_stay_in_order_when_they_are_apart_in_time(box: Box) -> None:
    script = start_script(RunSpec("r1", "for i in 1 2 3 4; do echo o$i; sleep 0.15; echo e$i >&2; sleep 0.15; done"))
    process = box.popen(script.text)
    stdout, _ = process.communicate(timeout=20)
    assert re.findall(rb"(?m)^([oe]\d)$", stdout) == [b"o1", b"e1", b"o2", b"e2", b"o3", b"e3", b"o4", b"e4"]


HOSTILE = "\n".join(
    [
        'printf \'%s\\n\' "it\'s" \'a "b" $HOME `id` \\ ! * ?\' "tab\there"',
        "cat <<'EOF'\n$x `y` \\\nEOF",
        "echo é😀 '\x01\x1b[31m' # comment ' \" `",
        "echo $((1 + 1)) \"$(printf 'in%s' ner)\" end",
    ]
)


def test_a_command_with_every_hostile_character(box: Box) -> None:
    expected = subprocess.run(["/bin/sh", "-c", HOSTILE], capture_output=True, env=box.environ).stdout
    heard = box.run(HOSTILE)
    assert heard.out == expected and b"inner" in expected
    assert (box.run_dir("r1") / "command").read_text() == HOSTILE


def test_a_command_of_119000_bytes(box: Box) -> None:
    filler = "é" * 59_000
    command = f"x='{filler}'; printf '%s' \"$x\" | wc -c".ljust(119_000 - 59_000)
    assert 118_000 < len(command.encode()) <= 120_000
    heard = box.run(command)
    assert heard.out.split() == [b"118000"], heard


def test_an_empty_environment_value_and_hostile_ones(any_box: Box) -> None:
    env = {
        "EMPTY": "",
        "QUOTES": 'it\'s "q" `id` $(id) \\ \\n $HOME',
        "LINES": "one\ntwo\n\n",
        "UNICODE": "é😀",
        "CONTROL": "\x01\x1b[31m\t",
        "SPACES": "  two  blanks  ",
    }
    heard = any_box.run("env -0", env=env)
    got = dict(item.split(b"=", 1) for item in heard.out.split(b"\0") if item)
    assert {name: got[name.encode()].decode() for name in env} == env


OUR_OWN_NAMES = """
    name run status launcher perl setsid env asked killer watchdog reason nap PERL SETSID ENV LAUNCHER STATE CODE START
    OWNER DIR NL MARK BOOT turn command_pid self_start DG_DIR DG_ID DG_STATE DG_ENV_NAMES DG_COMMAND
""".split()  # noqa: SIM905 - easier to read


def test_variables_with_the_names_that_our_scripts_use(any_box: Box) -> None:
    """`--env ENV=production` is nothing unusual. Each value arrives, and none breaks how the command is started."""
    env = {name: f"value of {name}" for name in OUR_OWN_NAMES}
    heard = any_box.run("env -0", env=env)
    got = {key.decode(): value.decode() for key, _, value in (x.partition(b"=") for x in heard.out.split(b"\0") if x)}
    assert heard.first("exit").split()[:2] == ["0", "exited"], heard
    assert {name: got.get(name) for name in env} == env


def test_nothing_of_ours_leaks_into_the_commands_environment(make_box: MakeBox) -> None:
    for kind in KINDS:
        # What the user's own login exports must not be changed by variables of ours with the same name.
        box = make_box(kind, **{name: "the user's" for name in OUR_OWN_NAMES if not name.startswith("DG_")})
        heard = box.run("env -0", env={"MINE": "1"}, owner="me@here", timeout_s=60, gap_s=0.1)
        got = {k.decode(): v.decode() for k, _, v in (x.partition(b"=") for x in heard.out.split(b"\0") if x)}
        assert not [name for name in got if name.startswith("DG_")], got
        changed = {name: got.get(name) for name in box.env if got.get(name) != "the user's"}
        assert not changed, kind
        allowed = {*box.env, "HOME", "PATH", "SHELL", "PWD", "OLDPWD", "SHLVL", "_", "MINE", "DGUMMY_RUN_ID"}
        assert set(got) <= allowed, kind
        assert got["MINE"] == "1" and got["DGUMMY_RUN_ID"] == "r1"


def test_values_of_env_are_in_no_file_and_no_argument_list(any_box: Box) -> None:
    secret = "s3cr3t-" + os.urandom(8).hex()
    any_box.start("sleep 30", env={"TOKEN": secret}, timeout_s=60)
    for path in any_box.home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert not [line for line in any_box.processes().values() if secret in line]
    environ = Path(f"/proc/{any_box.pids()[1]}/environ").read_bytes()
    assert secret.encode() in environ  # so the search would have found it


def test_the_run_folder_is_private(box: Box) -> None:
    box.run("echo x")
    assert (box.run_dir("r1").stat().st_mode & 0o077) == 0
    assert (box.state / "active").stat().st_mode & 0o077 == 0


def test_the_umask_of_the_command_is_the_users(box: Box) -> None:
    assert box.run("umask").out.decode().strip().endswith("022") == (os.umask(os.umask(0o022)) == 0o022)


def test_signals_are_as_in_an_ordinary_session(any_box: Box) -> None:
    """INT and QUIT are not ignored where perl, or an env that can, is there. setsid alone cannot: documented."""
    heard = any_box.run("grep SigIgn /proc/self/status")
    ignored = int(heard.out.split()[1], 16)
    gnu = any_box.kind != "busybox"
    can_undo = gnu and (
        (any_box.bin / "setsid").exists() or any_box.kind == "bash"
    )  # job control of bash ignores nothing
    for number in (signal.SIGINT, signal.SIGQUIT):
        assert bool(ignored >> (number - 1) & 1) is not can_undo, (number, hex(ignored))
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        assert not ignored >> (number - 1) & 1, hex(ignored)
    assert not ignored >> (signal.SIGHUP - 1) & 1


def test_the_command_leads_a_process_group_and_reads_nothing(any_box: Box) -> None:
    heard = any_box.run(
        "cat; ps -o pgid= -p $$; echo $$; readlink /proc/self/fd/0"
        if any_box.kind != "busybox"
        else "cat; cut -d' ' -f5 /proc/$$/stat; echo $$; readlink /proc/self/fd/0"
    )
    pgid, pid, stdin = heard.out.split()
    assert stdin == b"/dev/null"
    if any_box.kind == "bash" or (any_box.bin / "setsid").exists() or (any_box.bin / "perl").exists():
        assert pgid == pid
    assert "job control" not in heard.err.decode()


def test_the_path_is_that_of_the_login_shell_with_ours_before_it(any_box: Box) -> None:
    (any_box.home / ".profile").write_text(f"echo noise; PATH='/only/at login:{any_box.bin}'; export PATH\n")
    heard = any_box.run('printf %s "$PATH"', path_dirs=("/first", "/second"))
    assert heard.out.decode() == f"/first:/second:/only/at login:{any_box.bin}"


def test_a_profile_that_hangs_costs_seconds_not_the_run(make_box: MakeBox) -> None:
    box = make_box("dash")
    (box.home / ".profile").write_text("sleep 1000\n")
    began = time.monotonic()
    heard = box.run("echo here")
    assert heard.out == b"here\n" and time.monotonic() - began < 8


def test_the_folder_it_runs_in(box: Box) -> None:
    folder = box.home / "my pro'ject é"
    (folder / "sub dir").mkdir(parents=True)
    assert box.run('pwd; echo "$PWD"', "r1", directory=str(folder)).out.decode() == f"{folder}\n" * 2
    assert box.run("pwd", "r2", directory="~/my pro'ject é", subdir="sub dir").out.decode() == f"{folder}/sub dir\n"
    assert box.run("pwd", "r3").out.decode() == f"{box.home}\n"


def test_a_folder_that_is_not_there(box: Box) -> None:
    heard = box.run("pwd", directory="~/nowhere")
    assert heard.out.decode() == f"{box.home}\n"
    assert heard.first("no-dir") == f"{box.home}/nowhere"


def test_a_subfolder_that_is_not_there_never_means_the_home_folder(box: Box) -> None:
    """`rm -rf *` in a folder that git does not send must not happen in the home folder."""
    (box.home / "project").mkdir()
    heard = box.run("pwd", "r1", directory="~/project", subdir="not/sent")
    assert heard.out.decode() == f"{box.home}/project\n"
    assert heard.first("no-subdir") == f"{box.home}/project/not/sent"
    workspace = take_workspace(box, "r2")
    heard = box.run("pwd", "r2", directory=workspace, subdir="not/sent", workspace=workspace)
    assert heard.out.decode() == f"{box.home}/project/not/sent\n"


def take_workspace(box: Box, run_id: str) -> str:
    """Lock ~/project for a run, as its sync would have."""
    heard = box.call(["start", "sync", "workspace"], "open_workspace", "~/project", run_id, "me", "100", "id")
    assert heard.first("dir") == f"{box.home}/project"
    return heard.first("dir")


def test_a_workspace_that_is_gone_runs_nothing(box: Box) -> None:
    workspace = take_workspace(box, "r1")
    shutil.rmtree(workspace)
    heard = box.run("touch ran", directory=workspace, workspace=workspace)
    assert heard.first("failed").startswith("permission")
    assert not (box.home / "ran").exists() and not (box.home / "project").exists()
    assert box.call(["workspace", "start"], "void_run", "r1").first("void") == "r1"


def test_a_workspace_that_is_not_held_runs_nothing(box: Box) -> None:
    workspace = take_workspace(box, "other")
    heard = box.run("touch ran", directory=workspace, workspace=workspace)
    assert heard.has("failed") and not (box.home / "project/ran").exists()
    assert not box.run_dir("r1").exists()


def test_another_machine_runs_nothing(box: Box) -> None:
    heard = box.run("touch ran", machine="not-this-boot")
    assert heard.first("failed").startswith("machine ") and not (box.home / "ran").exists()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert box.run("touch ran", machine=boot).has("exit") and (box.home / "ran").exists()


# -- at most once ----------------------------------------------------------------------------------------------


def test_starting_twice_attaches(any_box: Box) -> None:
    for _ in range(2):
        heard = any_box.run("echo ran >>count; echo out; exit 3")
        assert heard.out == b"out\n" and heard.first("exit").startswith("3 exited")
    assert lines(any_box.home / "count") == 1


def test_twenty_starts_at_once_run_the_command_once(box: Box) -> None:
    script = start_script(RunSpec("r1", "echo ran >>count; sleep 0.3; echo done; exit 7"))
    together = [box.popen(script.text) for _ in range(20)]
    heard = [read(0, *process.communicate(timeout=60), script.marker) for process in together]
    assert lines(box.home / "count") == 1
    assert sorted(one.first("run") for one in heard) == ["attached"] * 19 + ["claimed"]
    for one in heard:
        assert one.out == b"done\n" and one.first("exit").startswith("7 exited"), one


def test_a_script_that_is_cut_off_starts_nothing(box: Box) -> None:
    """At every 97th byte, and at each of the last 40; each cut claims a run of its own if it gets that far."""
    text = start_script(RunSpec("cut", "touch ran")).text
    cuts = [*range(0, len(text) - 2, 97), *range(len(text) - 40, len(text) - 2)]
    waiting: list[subprocess.Popen[bytes]] = []
    for cut in cuts:
        waiting.append(box.popen(text[:cut]))
        if len(waiting) == 8:
            for process in waiting:
                process.communicate(timeout=20)
            waiting.clear()
    for process in waiting:
        process.communicate(timeout=20)
    time.sleep(0.3)
    assert not (box.home / "ran").exists()
    assert not box.run_dir("cut").exists()
    whole = box.popen(text)
    whole.communicate(timeout=20)
    assert (box.home / "ran").exists()  # so the test could have failed


def test_void_before_start(any_box: Box) -> None:
    assert any_box.hear(void_script("r1")).first("void") == "r1"
    heard = any_box.run("touch ran")
    assert heard.has("void") and not heard.first("exit")
    assert not (any_box.home / "ran").exists()
    assert any_box.hear(void_script("r1")).first("void") == "r1"  # and once more


def test_void_after_start(box: Box) -> None:
    box.start("sleep 0.5; echo ran >>count")
    assert box.hear(void_script("r1")).first("started") == "r1"
    assert box.run("false").first("exit").startswith("0 exited")
    assert lines(box.home / "count") == 1


@pytest.mark.slow
def test_void_and_start_never_both_win(make_box: MakeBox) -> None:
    """Hundreds of interleavings: what void says is what happened."""
    seen = {"void": 0, "started": 0}
    chance = random.Random(5)
    for kind in KINDS:
        box = make_box(kind)
        for batch in range(9):
            races: list[tuple[str, threading.Thread, list[Heard]]] = []
            for number in range(12):
                run_id = f"{kind}-{batch}-{number}"
                said: list[Heard] = []
                start = start_script(RunSpec(run_id, f"echo {run_id} >>ran"), follow=False)
                delay = chance.choice((0, 0, 0.01, 0.03, 0.06, 0.1, 0.2))

                def race(
                    box: Box = box,
                    run_id: str = run_id,
                    start: object = start,
                    delay: float = delay,
                    said: list[Heard] = said,
                ) -> None:
                    process = box.popen(start.text)  # type: ignore[attr-defined]
                    time.sleep(delay)
                    said.append(box.hear(void_script(run_id)))
                    process.communicate(timeout=30)

                thread = threading.Thread(target=race)
                thread.start()
                races.append((run_id, thread, said))
                if number % 4 == 3:
                    for _, running, _ in races:
                        running.join()
            time.sleep(0.5)
            ran = (box.home / "ran").read_text().split() if (box.home / "ran").exists() else []
            for run_id, _, said in races:
                verdict = "void" if said[0].has("void") else "started"
                assert said[0].first(verdict), said
                seen[verdict] += 1
                wait_for(lambda: verdict == "void" or (box.run_dir(run_id) / "exit").exists())  # noqa: B023
                ran = (box.home / "ran").read_text().split() if (box.home / "ran").exists() else []
                assert ran.count(run_id) == (0 if verdict == "void" else 1), (run_id, verdict)
    assert min(seen.values()) > 20, seen  # both outcomes were really tried


def test_a_client_that_died_while_it_voided(box: Box) -> None:
    """`launch` is taken and nothing else is there: nobody may wait for ever, and nothing runs."""
    (box.run_dir("r1") / "launch").mkdir(parents=True)
    heard = box.run("touch ran")
    assert heard.has("void") and not (box.home / "ran").exists()
    assert box.hear(void_script("r1")).has("void")
    assert box.hear(report_script("r1")).first("void") == "r1"


def test_a_start_that_died_before_it_launched_anything(make_box: MakeBox) -> None:
    """The folder is there and filled, but no supervisor: the next one makes sure that none comes, and says so.

    Ten seconds are waited for that, by the loop in which every shell waits for a start in the tests around: once is
    enough.
    """
    box = make_box("busybox" if "busybox" in KINDS else "dash")
    box.run_dir("r1").mkdir(parents=True)
    for name in ("out", "err", "command"):
        (box.run_dir("r1") / name).touch()
    began = time.monotonic()
    heard = box.run("touch ran")
    assert heard.has("void") and time.monotonic() - began < 30
    assert not (box.home / "ran").exists()


def test_a_supervisor_that_comes_too_late_starts_nothing(box: Box) -> None:
    """It is stopped before it decides, the run is voided, it goes on."""
    (box.home / ".profile").write_text(f"while [ ! -e '{box.home}/go' ]; do sleep 0.05; done; PATH='{box.bin}'\n")
    heard = box.run("touch ran", follow=False)
    assert heard.first("run") == "claimed"
    wait_for(lambda: box.pids())
    assert box.hear(void_script("r1")).first("void") == "r1"
    assert box.hear(report_script("r1")).first("void") == "r1"
    (box.home / "go").touch()
    wait_for(lambda: not is_alive(box.pids()[0]))
    assert not (box.home / "ran").exists() and not box.exit_line()
    assert not (box.state / "active/r1").exists()


# -- disks and permissions -------------------------------------------------------------------------------------

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a file system of its own")


@pytest.fixture
def small_disk(make_box: MakeBox, request: pytest.FixtureRequest) -> Iterator[Box]:
    """A box whose state folder is a file system of 256 KiB."""
    box = make_box("dash")
    box.state.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "dgummy-test", str(box.state)], check=False
    )
    if done.returncode:
        pytest.skip("cannot mount a tmpfs here")
    yield box
    box.end_everything()
    subprocess.run(["umount", "-l", str(box.state)], check=True)


def fill(folder: Path) -> None:
    """Leave not one block free."""
    with open(folder / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return


@needs_root
def test_a_full_disk_is_a_failure_and_nothing_starts(small_disk: Box) -> None:
    fill(small_disk.state)
    heard = small_disk.run(f"touch '{small_disk.home}/ran'")
    assert heard.first("failed").startswith("disk "), heard
    (small_disk.state / "filler").unlink()
    time.sleep(0.3)
    assert not (small_disk.home / "ran").exists()
    assert small_disk.hear(void_script("r1")).first("void") == "r1"


@needs_root
@pytest.mark.parametrize("free_blocks", range(1, 12))
def test_a_disk_that_fills_up_at_any_point_never_leaves_it_unknown(small_disk: Box, free_blocks: int) -> None:
    """Whatever step fails: it ran and its end is known, or it provably did not run."""
    small_disk.run("true", "warm-up")
    for path in (small_disk.state / "runs/warm-up").iterdir():
        path.unlink() if path.is_file() else path.rmdir()
    fill(small_disk.state)
    with open(small_disk.state / "filler", "r+b") as file:
        file.truncate((small_disk.state / "filler").stat().st_size - 4096 * free_blocks)
    heard = small_disk.run(f"echo ran >>'{small_disk.home}/ran'; exit 5")
    if heard.first("exit"):
        assert heard.first("exit").startswith("5 exited")
        assert lines(small_disk.home / "ran") == 1
    else:
        assert heard.first("failed") or heard.has("void"), heard
        (small_disk.state / "filler").unlink()
        time.sleep(0.3)
        assert small_disk.hear(void_script("r1")).has("void"), heard
        assert lines(small_disk.home / "ran") == 0


@needs_root
def test_a_command_that_fills_the_disk_still_has_an_end(small_disk: Box) -> None:
    heard = small_disk.run("while echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; do :; done 2>&-; exit 9")
    assert heard.first("exit").startswith("9 exited"), heard.facts
    assert len(heard.out) > 20_000


def test_a_state_folder_that_cannot_be_written(make_box: MakeBox) -> None:
    for kind in KINDS:
        box = make_box(kind)
        (box.home / ".local").touch()
        heard = box.run("touch ran")
        assert heard.first("failed").startswith("disk cannot write"), heard
        assert not (box.home / "ran").exists()


# -- following -------------------------------------------------------------------------------------------------


def test_follow_goes_on_at_any_offset(box: Box) -> None:
    whole = box.run("seq 1 30000; seq 1 100 >&2")
    assert len(whole.out) > 150_000
    for at in (0, 1, 65535, 65536, 65537, 131072, len(whole.out) - 1, len(whole.out)):
        heard = box.hear(follow_script("r1", at, 7))
        assert heard.out == whole.out[at:] and heard.err == whole.err[7:], at
        assert heard.first("exit").startswith("0 exited")


def test_killing_the_follower_again_and_again_loses_nothing(box: Box) -> None:
    command = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); seq $i 500; echo e$i >&2; sleep 0.02; done"
    out, err, starts = b"", b"", 0
    script = start_script(RunSpec("r1", command))
    chance = random.Random(1)
    while True:
        starts += 1
        process = box.popen(script.text)
        wait_for(box.pids)  # a supervisor that has no session of its own yet would be killed as well
        timer = threading.Timer(chance.uniform(0.1, 0.5), os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        heard = read(0, *process.communicate(timeout=20), script.marker)
        timer.cancel()
        out, err = out + heard.out, err + heard.err
        if heard.first("exit"):
            break
        script = follow_script("r1", len(out), len(err))
    assert starts > 3
    assert heard.first("exit").startswith("0 exited")
    assert out == b"".join(b"".join(b"%d\n" % n for n in range(i, 501)) for i in range(1, 61))
    assert err == b"".join(b"e%d\n" % i for i in range(1, 61))


def test_the_supervisor_outlives_the_session(any_box: Box) -> None:
    script = start_script(RunSpec("r1", "sleep 0.8; echo survived; exit 6"))
    process = any_box.popen(script.text)
    wait_for(lambda: len(any_box.pids()) == 2)
    process.kill()
    process.communicate(timeout=10)
    heard = any_box.hear(follow_script("r1", 0, 0))
    assert heard.out == b"survived\n" and heard.first("exit").startswith("6 exited")


def test_a_command_that_closes_its_output(any_box: Box) -> None:
    began = time.monotonic()
    heard = any_box.run("echo before; exec >&- 2>&-; sleep 0.3; exit 5")
    assert heard.out == b"before\n" and heard.first("exit").startswith("5 exited")
    assert time.monotonic() - began < 5


def test_background_children_do_not_hold_the_run_up(any_box: Box) -> None:
    began = time.monotonic()
    heard = any_box.run("sleep 30 & (sleep 31; echo late) & echo now; exit 3")
    assert heard.out == b"now\n" and heard.first("exit").startswith("3 exited")
    assert time.monotonic() - began < 5


def test_output_is_prompt(box: Box) -> None:
    script = start_script(RunSpec("r1", "echo first; sleep 1.5; echo second; sleep 1.5; echo third"))
    process = box.popen(script.text)
    assert process.stdout is not None
    arrived: dict[bytes, float] = {}
    for line in process.stdout:
        for word in (b"first", b"second", b"third"):
            if word in line:
                arrived[word] = time.time()
    process.communicate(timeout=10)
    written = [arrived[b"second"] - arrived[b"first"] - 1.5, arrived[b"third"] - arrived[b"second"] - 1.5]
    assert all(-0.3 < late < 0.3 for late in written), written


@pytest.mark.parametrize("victim", ["proc", "out", "err", "claim", "launch", ""])
def test_a_run_folder_that_is_being_removed_under_the_follower(box: Box, victim: str) -> None:
    """Whatever goes first, it is never taken for a run that did not start."""
    box.start("sleep 30")
    script = follow_script("r1", 0, 0)
    process = box.popen(script.text)
    time.sleep(0.3)
    for path in box.run_dir("r1").glob(victim or "nothing"):
        path.unlink() if path.is_file() else path.rmdir()
    time.sleep(0.2)
    shutil.rmtree(box.run_dir("r1"))
    heard = read(0, *process.communicate(timeout=15), script.marker)
    assert heard.first("lost") and not heard.has("void"), heard


def test_a_run_folder_that_is_removed_under_the_follower(box: Box) -> None:
    box.start("sleep 30")
    script = follow_script("r1", 0, 0)
    process = box.popen(script.text)
    time.sleep(0.3)
    shutil.rmtree(box.run_dir("r1"))
    heard = read(0, *process.communicate(timeout=15), script.marker)
    assert heard.first("lost"), heard
    assert box.hear(follow_script("r1", 0, 0)).first("absent") == "r1"


def test_a_quiet_run_shows_signs_of_life(make_box: MakeBox) -> None:
    heard = make_box("dash").run("sleep 6.5")
    assert [fact for fact in heard.facts if fact.name == "beat"]


# -- lost ------------------------------------------------------------------------------------------------------


def test_a_supervisor_that_was_killed_is_lost(any_box: Box) -> None:
    any_box.start("echo some; sleep 20")
    wait_for((any_box.run_dir("r1") / "out").read_bytes)
    supervisor, command = any_box.pids()
    os.kill(supervisor, signal.SIGKILL)
    heard = any_box.hear(follow_script("r1", 0, 0))
    assert heard.out == b"some\n" and "supervisor" in heard.first("lost")
    assert "supervisor" in any_box.hear(report_script("r1")).first("lost")
    assert any_box.run("touch again").first("lost")
    assert not (any_box.home / "again").exists()
    # Its command goes on; cancelling ends that too.
    assert is_alive(command)
    any_box.hear(cancel_script("r1", 2))
    wait_for(lambda: not is_alive(command))


def test_after_a_restart_of_the_host_it_is_lost(box: Box, tmp_path: Path) -> None:
    root = tmp_path / "root"
    boot = root / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("boot-1\n")
    box.start("sleep 20", probe_root=str(root))
    assert box.hear(report_script("r1", str(root))).first("running")
    boot.write_text("boot-2\n")
    assert "restarted" in box.hear(report_script("r1", str(root))).first("lost")
    assert "restarted" in box.hear(follow_script("r1", 0, 0, str(root))).first("lost")
    assert box.run("touch again", probe_root=str(root)).first("lost")
    assert not (box.home / "again").exists()


def test_a_boot_id_that_cannot_be_read_proves_no_restart(make_box: MakeBox, tmp_path: Path) -> None:
    box = make_box("dash")
    root = tmp_path / "root"
    boot = root / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("boot-1\n")
    box.start("sleep 20", probe_root=str(root))
    boot.unlink()
    assert box.hear(report_script("r1", str(root))).first("running")


def test_an_end_that_was_written_counts_even_after_a_restart(box: Box, tmp_path: Path) -> None:
    root = tmp_path / "root"
    boot = root / "proc/sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text("boot-1\n")
    box.run("exit 4", probe_root=str(root))
    boot.write_text("boot-2\n")
    assert box.hear(report_script("r1", str(root))).first("exit").startswith("4 exited")


# -- time limits and cancelling --------------------------------------------------------------------------------

STUBBORN = (
    "trap '' TERM INT HUP; (trap '' TERM; sleep 60) & "
    "sh -c 'trap \"\" TERM; while :; do sleep 1; done' & wait; sleep 60"
)


def test_a_time_limit_ends_the_command(any_box: Box) -> None:
    began = time.monotonic()
    heard = any_box.run("echo before; sleep 60", timeout_s=0.5, kill_s=5)
    assert heard.first("exit").split()[:2] == ["124", "timed_out"] and heard.out == b"before\n"
    assert time.monotonic() - began < 6
    assert not is_alive(any_box.pids()[1])


def test_a_time_limit_ends_everything_in_the_group(any_box: Box) -> None:
    """TERM is ignored by the command, a child and a grandchild: KILL comes after kill_s, and then none is left."""
    began = time.monotonic()
    heard = any_box.run(f"echo $$ >pid; {STUBBORN}", timeout_s=1.5, kill_s=1)
    took_s = time.monotonic() - began
    assert heard.first("exit").split()[:2] == ["124", "timed_out"], heard
    assert 2.4 < took_s < 9, took_s
    wait_for(lambda: not of_the_command(any_box), 2)


def of_the_command(box: Box) -> list[int]:
    """The processes that a run's command started, itself included."""
    return list(box.processes("DGUMMY_RUN_ID="))


def test_term_comes_first_and_is_enough_for_the_well_behaved(box: Box) -> None:
    heard = box.run("trap 'echo tidied up; exit 0' TERM; while :; do sleep 0.05; done", timeout_s=0.4, kill_s=10)
    assert heard.out == b"tidied up\n" and heard.first("exit").split()[:2] == ["124", "timed_out"]


def test_a_command_that_ends_in_time_leaves_no_watchdog(box: Box) -> None:
    """Also on a busy machine, where it has hardly begun when it is told to end: dash loses what is told to it then."""
    for number in range(40):
        heard = box.run("exit 3", f"r-{number}", timeout_s=300)
        assert heard.first("exit").startswith("3 exited")
    wait_for(lambda: not box.processes())


@pytest.mark.parametrize("timeout_s", [1e6, 1e7, 86400 * 30.0, 1234567.25])
def test_a_long_time_limit_does_not_fire_at_once(box: Box, timeout_s: float) -> None:
    heard = box.run("sleep 0.5; echo done", timeout_s=timeout_s)
    assert heard.out == b"done\n" and heard.first("exit").startswith("0 exited")


def test_a_sleep_that_knows_no_fractions(make_box: MakeBox) -> None:
    """As on Solaris: a limit of 1.5 s is 2 s there, not none at all."""
    box = make_box("dash")
    (box.bin / "sleep").unlink()
    real = shutil.which("sleep")
    (box.bin / "sleep").write_text(f'#!/bin/sh\ncase $1 in *[!0-9]*) exit 2 ;; esac\nexec {real} "$1"\n')
    (box.bin / "sleep").chmod(0o755)
    began = time.monotonic()
    heard = box.run("echo on; sleep 60", timeout_s=1.5, kill_s=1)
    assert heard.first("exit").split()[:2] == ["124", "timed_out"]
    assert 1.4 < time.monotonic() - began < 8


def test_cancel_ends_it_and_says_so(any_box: Box) -> None:
    any_box.start(f"echo before; {STUBBORN}", kill_s=1)
    wait_for(lambda: of_the_command(any_box))
    heard = any_box.hear(cancel_script("r1", 1))
    assert heard.first("exit").split()[:2] == ["130", "cancelled"], heard
    wait_for(lambda: not of_the_command(any_box), 2)
    followed = any_box.hear(follow_script("r1", 0, 0))
    assert followed.out == b"before\n" and followed.first("exit").split()[:2] == ["130", "cancelled"]


def test_cancel_before_start(any_box: Box) -> None:
    assert any_box.hear(cancel_script("r1", 1)).has("void")
    heard = any_box.run("touch ran")
    assert heard.first("void") == "cancelled"
    assert not (any_box.home / "ran").exists()


def test_cancel_twice_and_after_the_end(box: Box) -> None:
    box.start("sleep 60")
    two = [threading.Thread(target=box.hear, args=(cancel_script("r1", 1),)) for _ in range(2)]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    assert box.exit_line() == ["130", "cancelled"]
    assert box.hear(cancel_script("r1", 1)).first("exit").startswith("130 cancelled")
    box.run("exit 3", "r2")
    assert box.hear(cancel_script("r2", 1)).first("exit").startswith("3 exited")


def test_cancel_at_any_moment_of_a_start(box: Box) -> None:
    """It is void, cancelled or over, never running on; and the command ran at most once."""
    chance = random.Random(3)
    for number in range(12):
        run_id = f"r{number}"
        script = start_script(RunSpec(run_id, f"echo {run_id} >>ran; sleep 20"))
        process = box.popen(script.text)
        time.sleep(chance.uniform(0, 0.15))
        said = box.hear(cancel_script(run_id, 1))
        heard = read(0, *process.communicate(timeout=20), script.marker)
        assert said.has("void") or said.first("exit").startswith("130 cancelled"), said
        assert heard.has("void") or heard.first("exit").startswith("130 cancelled"), heard
        if said.has("void"):
            ran = (box.home / "ran").read_text().split() if (box.home / "ran").exists() else []
            assert run_id not in ran


def test_the_supervisor_told_to_end_ends_its_command(box: Box) -> None:
    """As when the host shuts down in good order."""
    box.start("sleep 60")
    supervisor, command = box.pids()
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: box.exit_line())
    assert box.exit_line() == ["130", "cancelled"] and not is_alive(command)


# -- taking turns ----------------------------------------------------------------------------------------------


def starts(box: Box) -> list[float]:
    return sorted(float(line) for line in (box.home / "starts").read_text().split())


@pytest.mark.slow
def test_six_agents_at_once_begin_at_least_a_second_apart(make_box: MakeBox) -> None:
    box = make_box("dash")
    together = [
        box.popen(start_script(RunSpec(f"r{n}", "cut -d' ' -f1 /proc/uptime >>starts", gap_s=1.1)).text)
        for n in range(6)
    ]
    for process in together:
        process.communicate(timeout=60)
    times = starts(box)
    gaps = [after - before for before, after in pairwise(times)]
    assert len(times) == 6 and min(gaps) >= 1.05, gaps
    assert max(gaps) < 4, gaps
    wait_for(lambda: not (box.state / "turn").exists(), 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_whose_keeper_was_killed_is_taken_over(make_box: MakeBox, kind: str) -> None:
    box = make_box(kind)
    box.start("cut -d' ' -f1 /proc/uptime >>starts; sleep 30", "r0", gap_s=60)
    supervisor = box.pids("r0")[0]

    def keeper() -> int:
        pid = int((box.state / "turn/proc").read_text().split()[0])
        return 0 if pid == supervisor else pid  # it hands the turn on once its command runs

    wait_for(keeper)
    os.kill(keeper(), signal.SIGKILL)
    box.run("cut -d' ' -f1 /proc/uptime >>starts", "r1", gap_s=0.2)
    assert len(starts(box)) == 2
    # One that was killed before it wrote who it is.
    shutil.rmtree(box.state / "turn", ignore_errors=True)
    (box.state / "turn").mkdir()
    began = time.monotonic()
    box.run("cut -d' ' -f1 /proc/uptime >>starts", "r2", gap_s=0.2)
    assert len(starts(box)) == 3 and time.monotonic() - began < 25


def test_cancel_while_it_waits_for_its_turn(box: Box) -> None:
    box.start("true", "r0", gap_s=30)
    box.run("touch ran", "r1", follow=False, gap_s=30)
    wait_for(lambda: box.pids("r1"))
    said = box.hear(cancel_script("r1", 1))
    assert said.first("exit").split()[:2] == ["130", "cancelled"], said
    assert not (box.home / "ran").exists()


# -- facts -----------------------------------------------------------------------------------------------------


def test_a_report_of_a_run_that_never_was(box: Box) -> None:
    assert box.hear(report_script("nobody")).first("absent") == "nobody"
    assert box.hear(follow_script("nobody", 0, 0)).first("absent") == "nobody"
    assert not box.run_dir("nobody").exists()


def test_every_script_says_begin_and_end(box: Box) -> None:
    scripts = [
        start_script(RunSpec("r1", "exit 3")),
        follow_script("r1", 0, 0),
        report_script("r1"),
        void_script("r1"),
        cancel_script("r1", 1),
        compose(("workspace",), "peek_workspace", ["~/x", "id"]),
    ]
    for script in scripts:
        heard = box.hear(script)
        assert heard.facts[0] == Fact("begin", "") and heard.facts[-1].name == "end", script.text[-200:]
