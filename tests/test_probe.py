"""The probe: its parser over recorded answers, and its script under real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from dgummy import probe
from dgummy.model import Sample
from dgummy.remote import compose, source
from dgummy.transport.framing import Fact, FrameReader

CASES = sorted((Path(__file__).parent / "data" / "probe").glob("*.json"))
MARK = "mark-of-this-test"
SHELLS = {"dash": ["dash", "-s"], "bash": ["bash", "-s"], "busybox": ["busybox", "sh", "-s"]}
on_linux = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs /proc")


@pytest.fixture(params=list(SHELLS))
def shell(request: pytest.FixtureRequest) -> list[str]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


def read_frames(output: bytes) -> list[Fact]:
    return [frame for frame in FrameReader(MARK).feed(output) if isinstance(frame, Fact)]


def as_case(sample: Sample) -> dict[str, Any]:
    """What differs from an empty sample, as the case files write it."""
    empty = asdict(Sample())
    known = {name: value for name, value in asdict(sample).items() if value != empty[name]}
    if "tools" in known:
        known["tools"] = sorted(known["tools"])
    if "active_runs" in known:
        known["active_runs"] = [asdict(run) for run in known["active_runs"]]
    return known


# The parser


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_recorded_answers(path: Path) -> None:
    case = json.loads(path.read_text(encoding="utf-8"))
    wire = "".join(f"{MARK} {line}\n" for line in case["lines"]).encode("utf-8", "surrogateescape")
    facts = read_frames(wire)
    assert len(facts) == len(case["lines"])
    if "error" in case:
        with pytest.raises(ValueError, match=case["error"]):
            probe.parse(facts)
        return
    sample = probe.parse(facts, received_at_s=case.get("received_at_s"))
    assert as_case(sample) == case["expect"], case["what"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 15


FACT_NAMES = [
    *("uname", "home", "df", "nproc", "cpus", "meminfo", "loadavg", "psi-cpu", "psi-io", "psi-memory"),
    *("cgroup-cpu", "cgroup-memory", "stat", "sysctl", "vm_stat", "iostat", "vmstat", "tool"),
    *("run", "run-owner", "run-workspace", "lock", "lock-owner", "lock-path", "date"),
]
FIELDS = st.sampled_from(
    [
        *(
            "cpu",
            "0",
            "1",
            "7",
            "-1",
            "max",
            "99999999999999999999",
            "1" * 30,
            "1.5",
            "1e9",
            "nan",
            "kB",
            "",
            "/",
        ),
        *(
            "MemTotal:",
            "MemFree:",
            "{",
            "}",
            "hw.ncpu:",
            "hw.pagesize:",
            "kern.cp_time:",
            "Pages free:",
            "50%",
        ),
        *("page size of 0 bytes", "bytes per page", "pages free", "some", "avg10=100.5", "running", "id"),
        *("\u0663", "\udcff"),
    ]
)


@given(st.lists(st.tuples(st.sampled_from(FACT_NAMES), st.lists(FIELDS, max_size=10).map(" ".join)), max_size=30))
def test_nothing_a_host_says_raises(pairs: list[tuple[str, str]]) -> None:
    sample = probe.parse([*(Fact(*pair) for pair in pairs), Fact("probe-end", "ok")], received_at_s=0.0)
    for pct in (sample.cpu_pct, sample.iowait_pct, sample.psi_cpu_pct, sample.psi_io_pct, sample.mem_pct):
        assert pct is None or 0 <= pct <= 100
    assert sample.cores is None or sample.cores >= 0.1
    assert sample.mem_available_bytes is None or sample.mem_available_bytes >= 0


def test_an_endless_answer_is_bounded() -> None:
    def endless() -> Any:
        yield Fact("probe-end", "ok")
        number = 0
        while True:
            number += 1
            yield Fact("run", f"r{number} running 1")
            yield Fact("run-workspace", "x" * 100_000)

    sample = probe.parse(endless())
    assert len(sample.active_runs) == probe.MAX_RUNS
    assert len(sample.active_runs[0].workspace) == probe.MAX_TEXT


def test_a_lock_counts_for_as_long_as_the_caller_says() -> None:
    facts = [Fact("lock", "s1 absent 1000"), Fact("date", "1100"), Fact("probe-end", "ok")]
    assert [run.run_id for run in probe.parse(facts, lock_lease_s=100).active_runs] == ["s1"]
    assert probe.parse(facts, lock_lease_s=99).active_runs == ()


# The script


class Machine:
    """A home folder, a login shell and a PATH to run the probe with."""

    def __init__(self, base: Path) -> None:
        self.home = base / "home"
        self.bin = base / "bin"
        self.root = base / "root"
        for folder in (self.home, self.bin, self.root):
            folder.mkdir()
        self.state = self.home / ".local/state/dgummy"
        self.env = {"HOME": str(self.home), "PATH": os.environ["PATH"], "SHELL": "/bin/sh"}
        self.elapsed_s = 0.0
        self.facts: list[Fact] = []

    def program(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def login_shell(self, prologue: str) -> None:
        """A login shell that does this and then what it was asked to."""
        self.env["SHELL"] = str(self.program("loginsh", f'{prologue}\n[ "$1" != -l ] || shift\nexec /bin/sh "$@"'))

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def probe(
        self, shell: list[str], *tools: str, root: str = "", path_dirs: str = "", interval: str = "0.05"
    ) -> Sample:
        variables: dict[str, str | bytes] = {"DG_ROOT": root, "DG_PATH_DIRS": path_dirs}
        script = compose(["probe"], "probe", [interval, *tools], variables=variables, marker=MARK)
        started = time.monotonic()
        done = subprocess.run(shell, input=script.text, env=self.env, capture_output=True, timeout=30, check=False)
        self.elapsed_s = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        self.facts = read_frames(done.stdout)
        assert not list(self.state.glob("probe.*"))
        return probe.parse(self.facts, received_at_s=time.time())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_script_is_clean() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    path = Path(probe.__file__).parent / "remote" / "probe.sh"
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@on_linux
def test_this_machine(machine: Machine, shell: list[str]) -> None:
    sample = machine.probe(shell, "sh", "ls", "no-such-tool", "fact", "../bin/sh")
    uname = os.uname()
    assert (sample.os, sample.arch) == (uname.sysname.lower(), uname.machine)
    assert sample.home == str(machine.home)
    assert sample.tools == {"sh", "ls"}
    assert sample.cpu_pct is not None and 0 <= sample.cpu_pct <= 100
    assert sample.load1 is not None and sample.load15 is not None
    assert sample.cores is not None and 0.1 <= sample.cores <= len(os.sched_getaffinity(0))
    assert sample.mem_total_bytes is not None and sample.mem_available_bytes is not None
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert sample.mem_total_bytes <= physical * 1.01
    assert 0 < sample.mem_available_bytes <= sample.mem_total_bytes
    free = shutil.disk_usage(machine.home).free
    assert sample.disk_free_bytes is not None and abs(sample.disk_free_bytes - free) < 2**30
    assert sample.clock_offset_s is not None and -2.5 < sample.clock_offset_s < 1
    assert sample.active_runs == ()


@on_linux
def test_a_heavy_login_shell_is_not_measured(machine: Machine) -> None:
    """The two readings are an interval apart, and the first is not before the login shell has ended."""
    machine.login_shell('sleep 0.2; read -r line </proc/stat; echo "$line" >"$HOME/ended"')
    machine.probe(SHELLS["dash"], interval="0.2")
    first, second = (sum(map(int, f.value.split()[1:9])) for f in machine.facts if f.name == "stat")
    ended = sum(map(int, (machine.home / "ended").read_text().split()[1:9]))
    assert ended <= first
    assert 0.6 < (second - first) / (0.2 * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)) < 4


def look_alike(machine: Machine) -> None:
    machine.write(
        "proc/stat",
        "cpu  300 0 100 500 100 0 0 0 0 0\ncpu0 1 0 0 0\ncpu1 1 0 0 0\ncpu2 1 0 0 0\nintr 5 1 2\ncpus x\n",
    )
    machine.write("proc/meminfo", "MemTotal:       8000 kB\nMemAvailable:   2000 kB\n")
    machine.write("proc/loadavg", "1.50 1.25 1.00 2/94 12845\n")
    machine.write("proc/pressure/io", "some avg10=33.00 avg60=0.22 avg300=0.04 total=2269503\nfull avg10=9.00\n")


def test_a_look_alike_folder(machine: Machine, shell: list[str]) -> None:
    look_alike(machine)
    sample = machine.probe(shell, root=str(machine.root))
    assert (sample.cpu_pct, sample.iowait_pct) == (40.0, 10.0)
    assert (sample.mem_total_bytes, sample.mem_available_bytes) == (8000 * 1024, 2000 * 1024)
    assert (sample.load1, sample.load5, sample.load15) == (1.5, 1.25, 1.0)
    assert (sample.psi_cpu_pct, sample.psi_io_pct, sample.psi_mem_pct) == (None, 33.0, None)
    assert sample.cores == 3.0


def test_limits_of_cgroup_v2(machine: Machine, shell: list[str]) -> None:
    """Our own cgroup and those above it count; the one beside it does not."""
    look_alike(machine)
    machine.write("proc/self/cgroup", "0::/user.slice/user-1:0.slice/s.scope\n")
    base = "sys/fs/cgroup/user.slice"
    machine.write(f"{base}/cpu.max", "max 100000\n")
    machine.write(f"{base}/user-1:0.slice/cpu.max", "150000 100000\n")
    machine.write(f"{base}/user-1:0.slice/memory.max", f"{4096 * 1024}\n")
    machine.write(f"{base}/user-1:0.slice/memory.current", f"{3500 * 1024}\n")
    machine.write(f"{base}/user-1:0.slice/memory.stat", f"anon 5\nfile 5\ninactive_file {500 * 1024}\nslab 1\n")
    machine.write(f"{base}/user-1:0.slice/s.scope/memory.max", "max\n")
    machine.write(f"{base}/other/cpu.max", "10000 100000\n")
    sample = machine.probe(shell, root=str(machine.root))
    assert sample.cores == 1.5
    assert (sample.mem_total_bytes, sample.mem_available_bytes) == (4096 * 1024, 1096 * 1024)


def test_limits_of_cgroup_v1(machine: Machine, shell: list[str]) -> None:
    """In a container the path in /proc is the one outside, and the root of the mount is our own cgroup."""
    look_alike(machine)
    machine.write("proc/self/cgroup", "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n")
    base = "sys/fs/cgroup"
    machine.write(f"{base}/cpu,cpuacct/cpu.cfs_quota_us", "50000\n")
    machine.write(f"{base}/cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    machine.write(f"{base}/memory/memory.limit_in_bytes", f"{4000 * 1024}\n")
    machine.write(f"{base}/memory/memory.usage_in_bytes", f"{3000 * 1024}\n")
    machine.write(f"{base}/memory/memory.stat", f"inactive_file 0\ntotal_inactive_file {100 * 1024}\n")
    sample = machine.probe(shell, root=str(machine.root))
    assert sample.cores == 0.5
    assert (sample.mem_total_bytes, sample.mem_available_bytes) == (4000 * 1024, 1100 * 1024)


def test_a_cgroup_outside_our_namespace(machine: Machine) -> None:
    """The path leads out of what is mounted; what lies there is not ours."""
    look_alike(machine)
    machine.write("proc/self/cgroup", "0::/../beside\n")
    machine.write("sys/fs/beside/cpu.max", "10000 100000\n")
    machine.write("sys/fs/cgroup/cpu.max", "200000 100000\n")
    assert machine.probe(SHELLS["dash"], root=str(machine.root)).cores == 2.0


def test_a_memory_cgroup_without_a_limit(machine: Machine) -> None:
    look_alike(machine)
    machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    machine.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "4096\n")
    sample = machine.probe(SHELLS["dash"], root=str(machine.root))
    assert (sample.mem_total_bytes, sample.mem_available_bytes) == (8000 * 1024, 2000 * 1024)


# macOS and others, played by programs on PATH


def play(machine: Machine, case: str) -> None:
    """Put programs on PATH that answer as the recorded machine did, and what every machine has."""
    lines = json.loads((CASES[0].parent / f"{case}.json").read_text(encoding="utf-8"))["lines"]
    recorded: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        recorded.setdefault(name, []).append(value)
    for name in ("mkdir", "rm", "sleep", "tr", "sh", "grep", "date", "ps"):
        real = shutil.which(name)
        assert real is not None
        (machine.bin / name).symlink_to(real)
    machine.program("uname", f"echo '{recorded['uname'][0]}'")
    machine.program("df", f"echo Filesystem\necho '{recorded['df'][0]}'")
    for name in ("vm_stat", "iostat", "vmstat"):
        if name in recorded:
            text = "\n".join(recorded[name])
            machine.program(name, f'echo "$*" >>"$HOME/{name}.args"\ncat <<\'EOF\'\n{text}\nEOF')
    (machine.bin / "cat").symlink_to(str(shutil.which("cat")))
    static = "\n".join(line for line in recorded["sysctl"] if "cp_time" not in line)
    cp_time = [line for line in recorded["sysctl"] if "cp_time" in line]
    first, second = (*cp_time, "", "")[:2]
    machine.program(
        "sysctl",
        f"""case "$*" in
        *kern.boottime*) echo '{{ sec = 1700000000, usec = 0 }}' ;;
        'kern.cp_time') echo '{second}' ;;
        *) cat <<'EOF'
{static}
EOF
        case "$*" in *kern.cp_time*) echo '{first}' ;; esac ;;
        esac
        echo 'sysctl: unknown oid' >&2""",
    )
    machine.login_shell("")
    machine.env["PATH"] = str(machine.bin)


def expected(case: str) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((CASES[0].parent / f"{case}.json").read_text(encoding="utf-8"))["expect"]
    return known


@pytest.mark.parametrize("case", ["macos-14", "freebsd-14-zfs", "openbsd-7"])
def test_other_systems(machine: Machine, case: str) -> None:
    """Neither /proc nor timeout, nproc or setsid; programs that print what was recorded."""
    play(machine, case)
    words = [str(shutil.which("dash") or shutil.which("sh")), "-s"]
    sample = as_case(machine.probe(words, "sysctl", "git", root=str(machine.root)))
    want = expected(case) | {"home": str(machine.home), "tools": ["sysctl"]}
    sample.pop("boot_id", None)  # tests/test_remote_runs.py looks at it
    offset = sample.pop("clock_offset_s")
    assert -2.5 < offset < 1
    assert sample == want


def test_macos_under_bash(machine: Machine) -> None:
    play(machine, "macos-14")
    sample = machine.probe([str(shutil.which("bash")), "-s"], root=str(machine.root))
    assert sample.cpu_pct == 17.0
    assert (machine.home / "iostat.args").read_text() == "-n 0 -w 1 -c 2\n"


def test_a_sleep_without_fractions(machine: Machine) -> None:
    """It waits for a second instead of not at all."""
    look_alike(machine)
    real = shutil.which("sleep")
    machine.program("sleep", f'case $1 in *.*) exit 1 ;; esac; echo "$1" >>"$HOME/slept"; exec {real} "$1"')
    machine.env["PATH"] = f"{machine.bin}:{machine.env['PATH']}"
    machine.probe(SHELLS["dash"], root=str(machine.root))
    assert (machine.home / "slept").read_text().split()[:2] == ["1", "1"]  # one of them watches the login shell


# The login PATH


def test_the_login_path_is_searched(machine: Machine, shell: list[str], tmp_path: Path) -> None:
    """Amid noise, and after the folders of the user's own."""
    look_alike(machine)
    for folder, name in (("one", "only-by-login"), ("two", "only-by-config")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("")
        (tmp_path / folder / name).chmod(0o755)
    (tmp_path / "one" / "plain-file").write_text("")
    (tmp_path / "one" / "folder").mkdir()
    machine.login_shell(f"echo hi; echo '{MARK} tool forged'; echo oops >&2; export PATH={tmp_path}/one:$PATH")
    tools = ("only-by-login", "only-by-config", "plain-file", "folder", "forged", "only*")
    sample = machine.probe(shell, *tools, root=str(machine.root), path_dirs=f"{tmp_path}/two:relative")
    assert sample.tools == {"only-by-login", "only-by-config"}


def test_fish_as_login_shell(machine: Machine, tmp_path: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed")
    look_alike(machine)
    (tmp_path / "my bin").mkdir()
    (tmp_path / "my bin" / "fishy").write_text("")
    (tmp_path / "my bin" / "fishy").chmod(0o755)
    config = machine.home / ".config/fish/config.fish"
    config.parent.mkdir(parents=True)
    config.write_text(f'echo hello\nset -gx PATH "{tmp_path}/my bin" $PATH\n')
    machine.env["SHELL"] = fish
    assert machine.probe(SHELLS["dash"], "fishy", root=str(machine.root)).tools == {"fishy"}


def test_a_login_shell_that_fails(machine: Machine) -> None:
    look_alike(machine)
    machine.env["SHELL"] = "/no/such/shell"
    assert machine.probe(SHELLS["dash"], "sh", root=str(machine.root)).tools == {"sh"}


def test_a_home_that_cannot_be_written(machine: Machine) -> None:
    look_alike(machine)
    machine.env["HOME"] = "/proc/nowhere"
    sample = machine.probe(SHELLS["dash"], "sh", root=str(machine.root))
    assert (sample.cpu_pct, sample.disk_free_bytes) == (40.0, None)
    assert sample.tools == {"sh"}


@pytest.mark.slow
@pytest.mark.parametrize("without_timeout", [False, True])
def test_a_login_shell_that_hangs(machine: Machine, without_timeout: bool) -> None:
    look_alike(machine)
    real = shutil.which("sleep")
    if without_timeout:
        play(machine, "macos-14")
    machine.env["SHELL"] = str(machine.program("hang", f"exec {real} 20"))
    words = [str(shutil.which("dash") or shutil.which("sh")), "-s"]
    sample = machine.probe(words, "sh", root=str(machine.root))
    assert 4.5 < machine.elapsed_s < 7.5
    assert sample.cpu_pct == 40.0
    assert sample.tools == {"sh"}


# Runs and locks


class Runs:
    """Run folders as the host keeps them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.now = int(time.time())

    def claim(self, run_id: str, *, boot: str = "", workspace: str = "", **files: str) -> Path:
        run = self.state / "runs" / run_id
        run.mkdir(parents=True)
        (run / "claim").write_text(f"{self.now - 60}\n{boot or self.boot}\n{workspace}\nann@laptop\n")
        for name, text in files.items():
            (run / name).write_text(text)
        return self.mark(run_id)

    def mark(self, run_id: str) -> Path:
        marker = self.state / "active" / run_id
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        return marker

    def lock(self, key: str, path: str, **files: str) -> None:
        lock = self.state / "workspaces" / key / "lock"
        lock.mkdir(parents=True)
        (lock.parent / "path").write_text(f"{path}\n")
        for name, text in files.items():
            (lock / name).write_text(f"{text}\n")


def this_process() -> str:
    """PID and start of the test itself, as a run's `proc` file has them."""
    stat = Path(f"/proc/{os.getpid()}/stat").read_text()
    return f"{os.getpid()} {stat.rpartition(')')[2].split()[19]}"


@on_linux
def test_active_runs(machine: Machine, shell: list[str]) -> None:
    runs = Runs(machine.state)
    alive = this_process()
    kept = [
        runs.claim("running", workspace="/srv/my  project", proc=f"{alive} {alive}\n"),
        runs.claim("claimed"),
        runs.claim("unsure", boot="unknown", proc=f"{alive} {alive}\n"),
        runs.mark("absent"),
        runs.mark("no valid id"),
    ]
    over = [
        runs.claim("ended", exit="0 exited 1700000000\n"),
        runs.claim("void", void=""),
        runs.claim("rebooted", boot="another-boot", proc=f"{alive} {alive}\n"),
        runs.claim("killed", proc=f"{os.getpid()} 1 {os.getpid()} 1\n"),
    ]
    sample = machine.probe(shell)
    found = {run.run_id: run for run in sample.active_runs}
    assert set(found) == {"running", "claimed", "unsure"}
    assert found["running"].workspace == "/srv/my  project"
    assert found["running"].owner == "ann@laptop"
    assert 59 <= found["claimed"].age_s <= 90
    assert (found["running"].started, found["claimed"].started) == (True, False)
    assert all(marker.exists() for marker in kept)
    assert not any(marker.exists() for marker in over)
    states = {fact.value.split()[0]: fact.value.split()[1] for fact in machine.facts if fact.name == "run"}
    assert states["rebooted"] == states["killed"] == "lost"
    assert (states["ended"], states["void"], states["absent"]) == ("ended", "void", "absent")


@on_linux
def test_a_look_alike_folder_does_not_lose_runs(machine: Machine, shell: list[str]) -> None:
    """It has no boot id; that is no sign of a restart."""
    look_alike(machine)
    runs = Runs(machine.state)
    alive = this_process()
    marker = runs.claim("running", proc=f"{alive} {alive}\n")
    sample = machine.probe(shell, root=str(machine.root))
    assert [run.run_id for run in sample.active_runs] == ["running"]
    assert marker.exists()


@on_linux
def test_locks(machine: Machine, shell: list[str]) -> None:
    runs = Runs(machine.state)
    runs.claim("over", exit="0 exited 1700000000\n")
    runs.lock("a", "/srv/a b", run="syncing", since=str(runs.now), owner="bob@desk")
    runs.lock("b", "/srv/b", run="stale", since=str(runs.now - 100_000), owner="bob@desk")
    runs.lock("c", "/srv/c", run="over", since=str(runs.now), owner="bob@desk")
    runs.lock("d", "/srv/d")
    (found,) = machine.probe(shell).active_runs
    assert (found.run_id, found.workspace, found.owner) == ("syncing", "/srv/a b", "bob@desk")


@on_linux
def test_no_more_than_two_hundred_runs_are_looked_at(machine: Machine) -> None:
    runs = Runs(machine.state)
    for number in range(230):
        runs.mark(f"r{number}")
    machine.probe(SHELLS["dash"])
    assert sum(fact.name == "run" for fact in machine.facts) == 200


def test_the_script_defines_and_runs_nothing() -> None:
    done = subprocess.run(["sh", "-c", source("probe")], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
