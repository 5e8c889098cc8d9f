"""The lab: real sshd nodes on loopback, reached with the real ssh and rsync."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dgummy import lab as labs
from dgummy import layers, probe, remote, runscript
from dgummy.errors import ConfigError, DgummyError, UnknownHostError, UsageError
from dgummy.lab import Figures, Lab, NodeState, machine, processes, texts
from dgummy.model import Sample
from dgummy.transport.framing import Fact, FrameReader

REPO = Path(__file__).parents[1]
HOSTILE_NAME = "a lab % it's #1 é"

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin") is None,
        reason="needs an OpenSSH server",
    ),
]
needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Lab]:
    """A lab of one's own: two nodes and one that is down."""
    lab = labs.up(tmp_path / HOSTILE_NAME, 2)
    yield lab
    labs.down(lab)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab that tests look at and leave as it is."""
    lab = labs.up(tmp_path_factory.mktemp("shared") / HOSTILE_NAME)
    yield lab
    labs.down(lab)


def ssh(
    lab: Lab, node: str, *words: str, given: bytes | None = None, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh", "-F", str(lab.ssh_config_path), *options, node, *words]
    return subprocess.run(command, capture_output=True, timeout=20, input=given or b"")


def say(lab: Lab, node: str, command: str) -> str:
    done = ssh(lab, node, command)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.decode().rstrip("\n"))


def states(lab: Lab) -> dict[str, NodeState]:
    return {one.name: one.state for one in labs.status(lab)}


def leftovers(directory: Path) -> list[str]:
    """Every process that mentions the lab, or stands in it."""
    needle = os.fsencode(directory)
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            place = os.fsencode((entry / "cwd").readlink())
        except OSError:
            continue
        if needle in told or needle in place:
            found.append(f"{entry.name} {told[:200]!r}")
    return found


def take_sample(lab: Lab, node: str) -> Sample:
    script = remote.compose(
        ("probe",), "probe", ["0.1", "gummy", "rsync"], variables={"DG_ROOT": str(lab.node(node).root)}
    )
    done = ssh(lab, node, "sh -s", given=script.text)
    frames = FrameReader(script.marker).feed(done.stdout)
    return probe.parse(frame for frame in frames if isinstance(frame, Fact))


def start_run(lab: Lab, node: str, command: str, run_id: str = "run-1") -> None:
    spec = runscript.RunSpec(run_id, command, probe_root=str(lab.node(node).root))
    done = ssh(lab, node, "sh -s", given=runscript.start_script(spec, follow=False).text)
    assert b" run claimed" in done.stdout, done
    proc = lab.node(node).home / ".local/state/dgummy/runs" / run_id / "proc"
    assert processes.wait_until(lambda: proc.exists() and len(proc.read_text().split()) == 4, 10)


# What a session on a node is


def test_a_session_has_the_home_of_its_node(shared: Lab) -> None:
    home = str(shared.node("node-2").home)
    assert say(shared, "node-2", 'printf "%s\n" "$HOME"; pwd') == f"{home}\n{home}"


def test_a_session_gets_nothing_of_the_real_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GIT_DIR", "MY_SECRET"):
        monkeypatch.setenv(name, "/leak")
    lab = labs.up(tmp_path / "lab", 1)
    try:
        names = {line.partition("=")[0] for line in say(lab, "node-1", "/usr/bin/env").splitlines()}
        assert b"/leak" not in ssh(lab, "node-1", "/usr/bin/env").stdout
    finally:
        labs.down(lab)
    assert {"HOME", "PATH", "SHELL", "USER", "LOGNAME", "DGUMMY_NODE"} <= names
    assert names <= {"HOME", "PATH", "SHELL", "USER", "LOGNAME", "LANG", "PWD", "DGUMMY_NODE", "DGUMMY_LAB",
                     "SSH_CLIENT", "SSH_CONNECTION", "SHLVL", "_", "OLDPWD"}  # fmt: skip


def test_the_forced_command_runs_with_the_home_of_the_node(made: Lab) -> None:
    """Else the account's own shell start-up files would be read, and could print."""
    enter = made.directory / "enter"
    enter.write_text('#!/bin/sh\nprintf "%s\\n" "$HOME"\n')
    assert say(made, "node-1", "true") == str(made.node("node-1").home)


def test_gummy_is_on_the_login_path_only(shared: Lab) -> None:
    gummy = str(shared.node("node-1").home / "bin/gummy")
    assert ssh(shared, "node-1", "command -v gummy").returncode != 0
    assert say(shared, "node-1", '"$SHELL" -l -c "command -v gummy"') == gummy
    assert say(shared, "node-1", 'sh -l -c "command -v gummy"') == gummy
    assert ssh(shared, "node-4", '"$SHELL" -l -c "command -v gummy"').returncode != 0


def test_a_login_without_a_command_reads_stdin(shared: Lab) -> None:
    done = ssh(shared, "node-3", given=b"hostname\nhostname -f\nhostname -s\ncommand -v gummy\n")
    assert done.stdout.decode().split("\n")[:3] == ["node-3"] * 3
    assert done.stdout.endswith(b"/bin/gummy\n")


def test_hostname_refuses_what_it_cannot_tell(shared: Lab) -> None:
    assert ssh(shared, "node-1", "bash -l -c 'hostname -I'").returncode == 1


def test_a_terminal_can_be_had(shared: Lab) -> None:
    done = ssh(shared, "node-1", "tty; echo $TERM", options=("-tt",))
    assert b"/dev/" in done.stdout


def test_quotes_exit_codes_and_bytes_pass_through(shared: Lab) -> None:
    done = ssh(shared, "node-1", """printf '%s' "it's \\$HOME" 'x "y"'; echo oops >&2; exit 7""")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"""it's $HOMEx "y\"""", b"oops\n")
    every_byte = bytes(range(256)) * 300
    assert ssh(shared, "node-1", "cat", given=every_byte).stdout == every_byte


def test_git_on_a_node_has_an_author_of_its_own(shared: Lab) -> None:
    assert say(shared, "node-2", "git config user.name") == "node-2"


# Keys, ports, configuration


def test_host_keys_are_checked_and_differ(shared: Lab) -> None:
    lines = (shared.directory / "known_hosts").read_text().splitlines()
    assert len({line.split()[2] for line in lines}) == len(shared.nodes) == 5
    done = ssh(shared, "node-1", "true", options=("-o", "UserKnownHostsFile=/dev/null"))
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


def test_only_the_key_of_the_lab_opens_a_node(shared: Lab, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    config = tmp_path / "config"
    text = shared.ssh_config_path.read_text().splitlines()
    config.write_text("\n".join(line for line in text if "IdentityFile" not in line))
    command = ["ssh", "-F", str(config), "-i", str(tmp_path / "other"), "node-1", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_nodes_listen_on_loopback_and_the_down_one_refuses(shared: Lab) -> None:
    assert states(shared) == {
        **{f"node-{number}": NodeState.UP for number in range(1, 5)},
        "node-5": NodeState.DOWN,
    }
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", shared.node("node-5").port), timeout=2)
    if sys.platform == "linux":
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", shared.node("node-1").port), timeout=2)


def test_rsync_puts_files_into_the_home_of_a_node(shared: Lab, tmp_path: Path) -> None:
    (tmp_path / "one file").write_text("content")
    # rsync's own quoting knows no escape inside quotes; the apostrophe in the path wants double ones.
    rsh = f'ssh -F "{shared.ssh_config_path}"'
    command = ["rsync", "-a", "-e", rsh, f"{tmp_path}/", "node-2:projects/x/"]
    subprocess.run(["ssh", "-F", str(shared.ssh_config_path), "node-2", "mkdir projects"], check=True)
    subprocess.run(command, check=True, timeout=20)
    assert (shared.node("node-2").home / "projects/x/one file").read_text() == "content"


def test_the_configuration_is_one_that_dgummy_takes(shared: Lab, tmp_path: Path) -> None:
    layer = layers.file_layer(shared.config_path, tmp_path)
    assert layer is not None
    merged = layers.merge([layer])
    settings = merged.settings
    assert merged.warnings == ()
    assert settings.groups == {"lab": tuple(f"node-{number}" for number in range(1, 6))}
    assert (settings.group, settings.backend) == ("lab", "ssh")
    assert settings.ssh_config == str(shared.ssh_config_path)
    assert settings.hosts["node-5"].probe_root == str(shared.node("node-5").root)
    for text in (settings.state_dir, settings.cache.load_path, settings.cache.status_path):
        assert shared.directory in Path(text).parents


def test_the_export_line_survives_a_shell(shared: Lab) -> None:
    command = shared.export_line() + '; printf %s "$DGUMMY_CONFIG"'
    told = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    assert told == str(shared.config_path)


def test_the_lab_is_remembered(shared: Lab) -> None:
    found = labs.load(shared.directory)
    assert found is not None
    assert (found.directory, found.nodes) == (shared.directory, shared.nodes)
    with pytest.raises(UnknownHostError, match="no node 'node-9'"):
        found.node("node-9")


def test_the_private_key_is_private(shared: Lab) -> None:
    assert stat.S_IMODE((shared.directory / "client_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(shared.directory.stat().st_mode) == 0o700


# Load figures


def test_a_probe_sees_the_figures(shared: Lab) -> None:
    first, second = take_sample(shared, "node-1"), take_sample(shared, "node-2")
    assert (first.cpu_pct, first.iowait_pct, first.psi_io_pct) == pytest.approx((15, 45, 45), abs=0.1)
    assert (first.mem_pct, first.load1, first.cores) == pytest.approx((35, 0.72, 4), abs=0.1)
    assert (second.cpu_pct, second.io_pct) == pytest.approx((65, 12), abs=0.1)
    assert {"gummy", "rsync"} <= first.tools
    assert "gummy" not in take_sample(shared, "node-4").tools


def test_figures_can_be_changed(made: Lab) -> None:
    labs.set_figures(made, "node-1", Figures(91.5, 3.2, 77, 9.25, 6, None))
    sample = take_sample(made, "node-1")
    assert (sample.cpu_pct, sample.iowait_pct) == pytest.approx((91.5, 3.2), abs=0.1)
    assert (sample.mem_pct, sample.load1, sample.cores) == pytest.approx((77, 9.25, 6), abs=0.1)
    assert sample.psi_io_pct is None
    labs.set_figures(made, "node-1", Figures(0, 0, 0, 0, 1, 8))
    sample = take_sample(made, "node-1")
    assert (sample.cpu_pct, sample.mem_pct, sample.load1, sample.psi_io_pct) == (0, 0, 0, 8)


def test_the_first_two_nodes_are_the_extremes() -> None:
    rest = [labs.default_figures(index) for index in range(2, 100)]
    first, second = labs.default_figures(0), labs.default_figures(1)
    assert all(first.cpu_pct < one.cpu_pct < second.cpu_pct for one in rest)
    assert all(second.iowait_pct < one.iowait_pct < first.iowait_pct for one in rest)
    assert all(first.mem_pct < one.mem_pct and first.load1 / 4 < one.load1 / one.cores for one in rest)


@pytest.mark.parametrize(
    "wrong",
    [{"cpu_pct": 101}, {"cpu_pct": 60, "iowait_pct": 60}, {"mem_pct": -1}, {"cores": 0}, {"load1": float("nan")}],
)
def test_impossible_figures_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="figures out of range"):
        Figures(**wrong)  # type: ignore[arg-type]


# Nodes that come and go


def test_a_hung_node_takes_connections_and_says_nothing(made: Lab) -> None:
    labs.hang(made, "node-1")
    with socket.create_connection(("127.0.0.1", made.node("node-1").port), timeout=2) as connection:
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert states(made)["node-1"] is NodeState.HUNG
    labs.start(made, "node-1")
    assert states(made)["node-1"] is NodeState.UP
    assert say(made, "node-1", "echo back") == "back"


def test_a_stopped_node_refuses_until_it_is_started(made: Lab) -> None:
    labs.stop(made, "node-1")
    labs.stop(made, "node-1")
    found = labs.status(made)[0]
    assert (found.state, found.pid, found.answers) == (NodeState.DOWN, None, False)
    with pytest.raises(UsageError, match="node-1 is not up"):
        labs.hang(made, "node-1")
    assert say(made, "node-2", "echo other") == "other"
    labs.start(made, "node-1")
    labs.start(made, "node-1")
    assert say(made, "node-1", "echo back") == "back"


def test_the_down_node_can_be_started(made: Lab) -> None:
    labs.start(made, "node-3")
    assert say(made, "node-3", "echo here") == "here"


def test_stopping_a_node_breaks_connections_and_keeps_runs(made: Lab) -> None:
    start_run(made, "node-1", "sleep 300")
    command = ["ssh", "-F", str(made.ssh_config_path), "node-1", "echo on; sleep 300"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"on\n"
        labs.stop(made, "node-1")
        assert client.wait(5) == 255
    assert labs.status(made)[0].active_runs == 1


@needs_proc
def test_a_reboot_ends_everything_and_changes_the_boot_id(made: Lab) -> None:
    boot_id = made.node("node-1").root / "proc/sys/kernel/random/boot_id"
    before = boot_id.read_text()
    start_run(made, "node-1", "sleep 300", "first")
    start_run(made, "node-2", "sleep 300", "second")
    labs.reboot(made, "node-1")
    assert boot_id.read_text() != before
    assert [one.active_runs for one in labs.status(made)] == [0, 1, 0]
    script = runscript.report_script("first", str(made.node("node-1").root))
    assert b" lost " in ssh(made, "node-1", "sh -s", given=script.text).stdout


# Taking it down


@needs_proc
def test_down_leaves_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # ASCII, because sshd writes other letters in its title as octal numbers, and the look below is for the path.
    lab = labs.up(tmp_path / "a lab it's", 3)
    request.addfinalizer(lambda: labs.down(lab))
    start_run(lab, "node-1", "trap '' TERM; while :; do sleep 1; done")
    start_run(lab, "node-2", "env -i setsid sleep 300", "run-2")
    ssh(lab, "node-2", "setsid sleep 301 >/dev/null 2>&1 &")
    labs.hang(lab, "node-3")
    command = ["ssh", "-F", str(lab.ssh_config_path), "node-1", "sleep 302"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as client:
        request.addfinalizer(client.kill)
        busy = lambda: len(leftovers(lab.directory)) > 8  # noqa: E731
        sessions_up = processes.wait_until(busy, 5)
        started = time.monotonic()
        labs.down(lab)
        took_s = time.monotonic() - started
        client.wait(5)
    assert sessions_up
    assert leftovers(lab.directory) == []
    assert not lab.directory.exists()
    assert took_s < 5
    labs.down(lab)
    assert labs.load(lab.directory) is None


@needs_proc
def test_down_finds_the_sshds_of_a_folder_that_is_gone(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    lab = labs.up(tmp_path / HOSTILE_NAME, 2)
    request.addfinalizer(lambda: labs.down(lab))
    shutil.rmtree(lab.directory)
    pids = {one.pid for one in labs.status(lab)}
    assert len(pids) == 3  # two listeners, and None for the node that is down
    labs.down(lab)
    assert {one.pid for one in labs.status(lab)} == {None}


def test_down_never_ends_those_that_started_it(made: Lab) -> None:
    known = processes.table()
    assert os.getpid() in known
    assert processes.without_ourselves(known, {os.getpid(), os.getppid(), 999_999_999}) == {999_999_999}


@needs_proc
def test_a_stale_proc_file_harms_nobody(made: Lab) -> None:
    """A pid of a lab that is long over may be anybody's now: the start time must fit as well."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as stranger:
        run = made.node("node-1").home / ".local/state/dgummy/runs/old"
        run.mkdir(parents=True)
        (run / "proc").write_text(f"{stranger.pid} 1 {stranger.pid} 2\n")
        assert labs.status(made)[0].active_runs == 0
        labs.down(made)
        assert stranger.poll() is None
        stranger.kill()


# What is refused


def test_a_folder_in_use_is_refused(made: Lab, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is a lab in"):
        labs.up(made.directory)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        labs.up(tmp_path / "mine")
    with pytest.raises(UsageError, match="cannot make a lab"):
        labs.up(tmp_path / "mine/file/below")
    assert (tmp_path / "mine/file").read_text() == "mine"
    assert say(made, "node-1", "echo fine") == "fine"


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "new\nline", "co:lon", "gl[ob", "st*r", "${HOME}"])
def test_a_folder_that_ssh_cannot_write_down_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot live in") as caught:
        labs.up(tmp_path / name)
    assert "\n" not in caught.value.message + caught.value.remedy
    assert not (tmp_path / name).exists()


def test_no_node_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        labs.up(tmp_path / "lab", 0, down_nodes=0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1, "nodes": [{}]}', '{"schema_version": 2}'])
def test_a_damaged_record_is_a_clean_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        labs.load(tmp_path)
    assert caught.value.remedy


def test_missing_openssh_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "_SBIN", ())
    with pytest.raises(DgummyError, match="needs sshd") as caught:
        labs.up(tmp_path / "lab")
    assert caught.value.remedy in ("sudo apt-get install openssh-server", "brew install openssh")
    assert not (tmp_path / "lab").exists()


@needs_proc
def test_what_fails_half_way_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An sshd that starts node-1 and refuses node-2."""
    sshd = machine.find_program("sshd")
    fake = tmp_path / "bin/sshd"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\ncase "$*" in *node-2*) exit 1 ;; esac\nexec {sshd} "$@"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    with pytest.raises(DgummyError, match="sshd of node-2 did not start"):
        labs.up(tmp_path / "lab", 2)
    assert not (tmp_path / "lab").exists()
    assert leftovers(tmp_path / "lab") == []


def test_a_taken_port_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody takes the port of node-1 between the look and the start."""
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        taken = squatter.getsockname()[1]
        from dgummy.lab import build

        real = build.free_ports
        offers = iter([[taken, *real(1)]])
        monkeypatch.setattr(build, "free_ports", lambda count: next(offers, None) or real(count))
        lab = labs.up(tmp_path / "lab", 2, down_nodes=0)
        try:
            assert lab.node("node-1").port != taken
            assert say(lab, "node-1", "hostname >/dev/null; echo fine") == "fine"
        finally:
            labs.down(lab)


# The machine under it


def test_the_real_agent_of_the_user_is_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the user's own gummy leaves the PATH of the nodes; what they need from it is linked."""
    brew, plain = tmp_path / "brew", tmp_path / "plain"
    for tool in (brew / "gummy", brew / "rsync", plain / "git"):
        tool.parent.mkdir(exist_ok=True)
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{brew}:{plain}")
    monkeypatch.setattr(machine, "_BASE_PATH", (str(brew),))
    monkeypatch.setattr(machine, "_NEEDED_ON_NODES", ("rsync", "git"))
    tools = tmp_path / "tools"
    path = machine._node_path(tools)
    assert path == f"{plain}:{tools}"
    assert (tools / "rsync").resolve() == brew / "rsync"
    assert not (tools / "gummy").exists()


@pytest.mark.parametrize(("version", "wanted"), [("9.7p1", False), ("9.8p1", True), ("10.0p2", True)])
def test_penalties_are_off_where_sshd_knows_them(version: str, wanted: bool, tmp_path: Path) -> None:
    fake = tmp_path / "sshd"
    fake.write_text(f"#!/bin/sh\necho OpenSSH_{version}, OpenSSL >&2\nexit 1\n")
    fake.chmod(0o755)
    assert ("PerSourcePenalties no" in machine._options(str(fake), "nobody")) is wanted


def test_paths_with_percent_signs_are_escaped_where_ssh_reads_tokens(shared: Lab) -> None:
    one = texts.Machine("/usr/sbin/sshd", "ssh-keygen", "", "me", "/bin/sh", "/bin")
    node = shared.nodes[0]
    config = texts.sshd_config(one, Path("/a %b"), node)
    assert 'AuthorizedKeysFile "/a %%b/authorized_keys"' in config
    assert "ForceCommand exec /bin/sh '/a %b/enter' '/a %b' 'node-1' '/bin' '/bin/sh'" in config


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("login_shell", ["/bin/sh", "/usr/bin/zsh", "/usr/bin/fish"])
def test_an_ordinary_user_can_have_a_lab(login_shell: str) -> None:
    """Whatever the login shell; in a mount namespace of its own, where the password file knows such a user."""
    python = "/usr/bin/python3"
    missing = [tool for tool in ("unshare", "setpriv", python, login_shell) if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    code = textwrap.dedent(
        """
        import pathlib, subprocess, sys
        if sys.version_info < (3, 10):
            sys.exit(99)
        from dgummy import lab
        one = lab.up(pathlib.Path(sys.argv[1]) / "a lab it's", 2)
        try:
            words = ["ssh", "-F", str(one.ssh_config_path), "node-1", "id -un; printf '%s' \\"$HOME\\""]
            done = subprocess.run(words, capture_output=True, text=True)
            print(done.stdout, done.stderr, [each.state.value for each in lab.status(one)], one.notices)
        finally:
            lab.down(one)
        """
    )
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="dgummy-user-") as name:
        home = Path(name)
        home.chmod(0o755)
        passwd = home / "passwd"
        entry = f"labuser:x:54321:54321::{home}:{login_shell}\n"
        passwd.write_text(Path("/etc/passwd").read_text() + entry)
        (home / "own").mkdir()
        os.chown(home / "own", 54321, 54321)
        script = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
        become = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
        clean = ["/usr/bin/env", "-i", f"HOME={home}", "PATH=/usr/bin:/bin", f"PYTHONPATH={REPO}"]
        inner = [*become, *clean, python, "-B", "-c", code, str(home / "own")]
        command = ["unshare", "--mount", "sh", "-c", script, "sh", str(passwd), *inner]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode == 99 or "unshare failed" in done.stderr or "mount:" in done.stderr:
            pytest.skip(f"cannot be tried here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        assert f"labuser\n{home}/own/a lab it's/nodes/node-1/home" in done.stdout
        assert "['up', 'up', 'down']" in done.stdout
        assert list((home / "own").iterdir()) == []


# Many


@pytest.mark.slow
def test_a_hundred_nodes(tmp_path: Path) -> None:
    lab = labs.up(tmp_path / "lab", 100)
    try:
        found = list(states(lab).values())
        assert found == [NodeState.UP] * 100 + [NodeState.DOWN]
        assert say(lab, "node-100", "echo last") == "last"
    finally:
        labs.down(lab)
    assert not lab.directory.exists()


# The sample project


def git(directory: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(directory), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_the_sample_project_is_a_clean_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    project = labs.make_sample_project(tmp_path / "my project")
    monkeypatch.delenv("GIT_DIR")
    tracked = set(git(project, "ls-files").splitlines())
    assert tracked == {".gitignore", ".gummy/lib/core.sh", "README.md", "queries.sql", "src/report.sh",
                       "src/schema.sql", "tests/run.sh"}  # fmt: skip
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "log", "--format=%an <%ae> %s") == "dgummy lab <lab@lab.invalid> Sample project\n"
    assert (project / ".env").exists() and (project / "build/report.txt").exists()
    assert not (tmp_path / "home").exists()
    done = subprocess.run(["sh", "tests/run.sh"], cwd=project, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "2 queries, 0 indexes\nok: 2 queries are whole\n")


def test_the_test_of_the_sample_project_can_fail(tmp_path: Path) -> None:
    project = labs.make_sample_project(tmp_path, specialists=False)
    assert not (project / ".gummy").exists()
    (project / "queries.sql").write_text("SELECT 1\n")
    assert subprocess.run(["sh", "tests/run.sh"], cwd=project, capture_output=True).returncode == 1


def test_a_sample_project_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "queries.sql").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        labs.make_sample_project(tmp_path)
    assert (tmp_path / "queries.sql").read_text() == "mine"
