"""Run the remote scripts here, under any shell, and read what they print. For tests of the scripts themselves."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dgummy.remote import compose
from dgummy.runscript import RunSpec, start_script
from dgummy.transport.base import Script
from dgummy.transport.framing import Data, Fact, FrameReader

SHELLS = (["dash"], ["bash"], ["busybox", "sh"])
KINDS = [kind for kind in ("dash", "bash", "busybox") if shutil.which(kind)]


@dataclass
class Heard:
    """What a script printed."""

    status: int
    facts: list[Fact] = field(default_factory=list)
    streams: dict[str, bytes] = field(default_factory=dict)
    stderr: str = ""

    def first(self, name: str, default: str = "") -> str:
        return next((fact.value for fact in self.facts if fact.name == name), default)

    def has(self, name: str) -> bool:
        return any(fact.name == name for fact in self.facts)

    def facts_named(self, name: str) -> list[str]:
        return [fact.value for fact in self.facts if fact.name == name]

    @property
    def out(self) -> bytes:
        return self.streams.get("out", b"")

    @property
    def err(self) -> bytes:
        return self.streams.get("err", b"")


def hear(
    shell: list[str],
    home: Path,
    text: bytes,
    marker: str,
    *,
    env: dict[str, str] | None = None,
    timeout_s: float = 40,
) -> Heard:
    """Give a script to a shell whose home folder is `home`."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "SHELL": "/bin/sh", **(env or {})}
    done = subprocess.run([*shell, "-s"], input=text, capture_output=True, env=environ, timeout=timeout_s)
    reader = FrameReader(marker)
    heard = Heard(done.returncode, stderr=done.stderr.decode(errors="replace"))
    for frame in reader.feed(done.stdout):
        if isinstance(frame, Fact):
            heard.facts.append(frame)
        elif isinstance(frame, Data):
            heard.streams[frame.stream] = heard.streams.get(frame.stream, b"") + frame.data
    return heard


def call(shell: list[str], home: Path, files: list[str], function: str, *args: str, **kwargs: object) -> Heard:
    """Compose and run."""
    variables = kwargs.pop("variables", None)
    script = compose(files, function, args, variables=variables)  # type: ignore[arg-type]
    return hear(shell, home, script.text, script.marker, **kwargs)  # type: ignore[arg-type]


def run(shell: list[str], home: Path, spec: RunSpec, *, follow: bool = True, **kwargs: object) -> Heard:
    """Start a run and follow it to its end."""
    script = start_script(spec, follow=follow)
    return hear(shell, home, script.text, script.marker, **kwargs)  # type: ignore[arg-type]


# -- a whole machine, as far as a script can see ---------------------------------------------------------------

_TOOLS = tuple(
    """awk cat chmod cksum cp cut date dd df du env expr find grep gzip head id kill ln ls mkdir mktemp mv nproc od perl
    printf ps pwd readlink rm rmdir sed seq setsid sha256sum sleep sort stat tail tee test timeout touch tr true false
    uname wc xargs
    """.split()  # noqa: SIM905 - easier to read
)
_DATA_S = 40.0


@dataclass
class Box:
    """A home folder and a PATH with only what is listed, where `sh` is the shell under test.

    kind: dash, bash or busybox; with busybox every tool is its applet, as on Alpine. without: tools that are not there.
    """

    kind: str
    home: Path
    without: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bin = self.home.parent / f"{self.home.name}.bin"
        self.bin.mkdir(parents=True)
        self.home.mkdir()
        busybox = shutil.which("busybox")
        applets = (
            set(subprocess.run([busybox, "--list"], capture_output=True, text=True).stdout.split()) if busybox else ()
        )
        for tool in _TOOLS:
            found = busybox if self.kind == "busybox" and tool in applets else shutil.which(tool)
            if found and tool not in self.without and not (self.kind == "busybox" and tool == "perl"):
                (self.bin / tool).symlink_to(found)
        shell = shutil.which(self.kind)
        assert shell is not None
        (self.bin / "sh").symlink_to(shell)
        (self.home / ".profile").write_text(f"PATH='{self.bin}'; export PATH\n")

    @property
    def state(self) -> Path:
        return self.home / ".local/state/dgummy"

    def run_dir(self, run_id: str) -> Path:
        return self.state / "runs" / run_id

    @property
    def environ(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": str(self.bin), "SHELL": "/bin/sh", **self.env}

    def popen(self, text: bytes) -> subprocess.Popen[bytes]:
        """Give a script to the shell and leave it running, in a session of its own as sshd does."""
        process = subprocess.Popen(
            [self.bin / "sh", "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.home,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
        process.stdin = None
        return process

    def hear(self, script: Script, timeout_s: float = _DATA_S) -> Heard:
        """Run a script to its end."""
        process = self.popen(script.text)
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return read(process.returncode, stdout, stderr, script.marker)

    def call(self, files: list[str], function: str, *args: str, **variables: str) -> Heard:
        return self.hear(compose(files, function, args, variables=dict(variables)))

    def run(self, command: str, run_id: str = "r1", *, follow: bool = True, **spec: object) -> Heard:
        """Start a run; follow it to its end."""
        return self.hear(start_script(RunSpec(run_id, command, **spec), follow=follow))  # type: ignore[arg-type]

    def start(self, command: str, run_id: str = "r1", **spec: object) -> None:
        """Start a run and wait until its command runs."""
        heard = self.run(command, run_id, follow=False, **spec)
        assert heard.first("run") == "claimed", heard
        wait_for(lambda: len(self.pids(run_id)) == 2 or (self.run_dir(run_id) / "exit").exists())

    def pids(self, run_id: str = "r1") -> list[int]:
        """Supervisor and command, as far as they are known."""
        try:
            return [int(word) for word in (self.run_dir(run_id) / "proc").read_text().split()[::2]]
        except OSError:
            return []

    def exit_line(self, run_id: str = "r1") -> list[str]:
        """Code and reason; [] while it is not over."""
        try:
            return (self.run_dir(run_id) / "exit").read_text().split()[:2]
        except OSError:
            return []

    def processes(self, *variables: str) -> dict[int, str]:
        """What runs with this home folder (and these other variables set): command lines by pid, zombies left out."""
        marks = [f"\0{mark}".encode() for mark in (f"HOME={self.home}\0", *variables)]
        found = {}
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            environ = b"\0" + read_proc(pid, "environ")
            if pid != os.getpid() and all(mark in environ for mark in marks) and is_alive(pid):
                found[pid] = read_proc(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")
        return found

    def end_everything(self) -> None:
        """Kill whatever still runs in this home folder."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def read_proc(pid: int, name: str) -> bytes:
    """A file of a process, empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


MakeBox = Callable[..., Box]


def read(status: int, stdout: bytes, stderr: bytes, marker: str) -> Heard:
    """What a script printed, taken apart."""
    heard = Heard(status, stderr=stderr.decode(errors="replace"))
    for frame in FrameReader(marker).feed(stdout):
        if isinstance(frame, Fact):
            heard.facts.append(frame)
        elif isinstance(frame, Data):
            heard.streams[frame.stream] = heard.streams.get(frame.stream, b"") + frame.data
    return heard


def is_alive(pid: int) -> bool:
    """Whether a process lives and is no zombie."""
    stat = read_proc(pid, "stat").rpartition(b")")[2].split()
    return bool(stat) and stat[0] != b"Z"


def wait_for(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Wait until something is true; AssertionError if it does not become so."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
