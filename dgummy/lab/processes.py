"""The processes of a lab: finds them all, however they were started, and ends them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `start` tells it from a later one with the same pid, as in `remote/lib.sh`."""

    pid: int
    ppid: int
    pgid: int
    state: str
    start: str
    command: str

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and only waits to be reaped."""
        return self.state == "Z"

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped by a signal."""
        return self.state in ("T", "t")

    @property
    def is_sshd(self) -> bool:
        """Whether it is an sshd: a listener or one of its sessions, which rewrite their names."""
        first = self.command.split(" ", 1)[0]
        return os.path.basename(first).startswith("sshd")  # noqa: PTH119 - text, not a path of ours


Table = dict[int, Process]


def table() -> Table:
    """Every process of this machine that is not a zombie, by pid."""
    found = _from_proc() if (_PROC / "self/stat").exists() else _from_ps()
    return {process.pid: process for process in found if not process.is_zombie}


def _from_proc() -> Iterable[Process]:
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it ended while we looked
            continue
        # See proc(5). The name in parentheses may hold anything; the first field after it is the state.
        fields = stat.rpartition(b")")[2].split()
        state, ppid, pgid, start = fields[0].decode(), int(fields[1]), int(fields[2]), fields[19].decode()
        yield Process(int(entry.name), ppid, pgid, state, start, _text(command))


def _from_ps() -> Iterable[Process]:
    columns = "pid=,ppid=,pgid=,stat=,lstart=,args="
    answer = subprocess.run(["ps", "-A", "-ww", "-o", columns], capture_output=True, check=False)
    for line in answer.stdout.decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(None, 9)
        if len(fields) < 9 or not fields[0].isdigit():
            continue
        start = "_".join(fields[4:9])
        command = fields[9] if len(fields) > 9 else ""
        yield Process(int(fields[0]), int(fields[1]), int(fields[2]), fields[3][:1], start, command)


def _text(command: bytes) -> str:
    return command.replace(b"\0", b" ").decode("utf-8", "surrogateescape").strip()


def listener(processes: Table, tag: str) -> Process | None:
    """Find the sshd that listens for a node: it has the tag among its arguments, and its parent has not."""
    found = {pid: one for pid, one in processes.items() if one.is_sshd and tag in one.command.split()}
    return next((one for one in found.values() if one.ppid not in found), None)


def descendants(processes: Table, roots: Collection[int]) -> set[int]:
    """Find the pids in `roots` and of all that they started, as far as parents still live."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children.get(pid, [])
    return found


def marked(processes: Table, variables: Iterable[str]) -> set[int]:
    """Find the pids that began with all of `variables` (`NAME=value`) set, where /proc tells."""
    wanted = [b"\0" + os.fsencode(variable) + b"\0" for variable in variables]
    found = set()
    for pid in processes:
        try:
            environment = b"\0" + (_PROC / str(pid) / "environ").read_bytes() + b"\0"
        except OSError:  # another user's, gone, or a system without /proc
            continue
        if all(variable in environment for variable in wanted):
            found.add(pid)
    return found


def writing_below(processes: Table, directory: Path) -> set[int]:
    """Find the pids whose stdout or stderr is a file below `directory`, where /proc tells."""
    prefix = f"{directory}/"
    found = set()
    for pid in processes:
        for stream in ("1", "2"):
            with contextlib.suppress(OSError):  # another user's, or gone
                if os.readlink(_PROC / str(pid) / "fd" / stream).startswith(prefix):  # noqa: PTH115 - text
                    found.add(pid)
    return found


def run_processes(processes: Table, home: Path) -> dict[str, tuple[int, ...]]:
    """Map each run that is alive on a node to its supervisor and command (`proc` in `remote/lib.sh`)."""
    alive = {}
    for path in (home / ".local/state/dgummy/runs").glob("*/proc"):
        try:
            words = path.read_text(encoding="ascii", errors="replace").split()
        except OSError:
            continue
        pairs = zip(words[::2], words[1::2], strict=False)
        pids = tuple(int(pid) for pid, start in pairs if pid.isdigit() and is_alive(processes, int(pid), start))
        if pids:
            alive[path.parent.name] = pids
    return alive


def is_alive(processes: Table, pid: int, start: str) -> bool:
    """Whether that very process lives."""
    return pid in processes and processes[pid].start.strip("_") == start.strip("_")


def groups_of(processes: Table, leaders: Collection[int]) -> set[int]:
    """Find the pids of every process in a group that one of `leaders` leads."""
    return {process.pid for process in processes.values() if process.pgid in leaders}


def without_ourselves(processes: Table, pids: set[int]) -> set[int]:
    """`pids` less this process and those it was started by."""
    pid = os.getpid()
    left = pids - {pid}
    while pid in processes and processes[pid].ppid > 0:
        pid = processes[pid].ppid
        left.discard(pid)
    return left


def send(pids: Iterable[int], signal_number: signal.Signals) -> None:
    """Signal processes that may be gone already."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal_number)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition, but not longer; says whether it came true."""
    end = time.monotonic() + seconds
    nap_s = 0.005
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(nap_s)
        nap_s = min(0.05, nap_s * 1.5)
    return True
