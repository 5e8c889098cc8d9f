"""What following a run costs its host: under 1 % of a core once it has been silent for 10 seconds.

A shell on the host looks at the run's output and sleeps; this reads from /proc what that shell and what it started
used. Linux only.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import _measure as measure
from _measure import INV, Place

NODE = "node-1"
MAX_IDLE_PCT = 1.0
COMMANDS = {
    "silent": "sleep 60",
    "a line a second": "while :; do date; sleep 1; done",
    "1000 lines a second": "while :; do seq 50; sleep 0.05; done",
    "10 MB a second": "while :; do head -c 500000 /dev/zero; sleep 0.05; done",
}


def follower(where: Place) -> int | None:
    """The process on the node that follows: the shell that sshd started, once it is in the run's folder."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            current = (folder / "cwd").readlink()
        except OSError:
            continue
        if words[:2] == [b"sh", b"-s"] and where.lab.directory in current.parents and current.parent.name == "runs":
            return int(folder.name)
    return None


def cpu_s(pid: int) -> float:
    """CPU time of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def watch(where: Place, command: str, pauses_s: list[float]) -> list[float]:
    """Run a command; the share of a core, in per cent, that its follower takes in each span of time."""
    argv = [INV, "run", "--no-sync", command]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(argv, cwd=where.project, env=where.env, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        pid = None
        while pid is None and process.poll() is None:
            time.sleep(0.2)
            pid = follower(where)
        if pid is None:
            raise SystemExit("the run did not start")
        shares = []
        for pause_s in pauses_s:
            began, used = time.monotonic(), cpu_s(pid)
            time.sleep(pause_s)
            shares.append(100 * (cpu_s(pid) - used) / (time.monotonic() - began))
        return shares
    finally:
        process.send_signal(signal.SIGINT)  # ends the run on its host
        process.wait()


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=1)
    parser.add_argument("--span", type=float, default=10.0, help="seconds of each measurement (%(default)s)")
    options = parser.parse_args()
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # in the background it is ignored, and children inherit that
    good = True
    with measure.place(1) as where:
        measure.inv(where, "run", "--no-sync", "true")
        print(f"Share of a core that following takes on the host, {options.span:g} s each")
        for name, command in COMMANDS.items():
            shares = watch(where, command, [options.span, options.span])
            line = f"  {name:20}  first {shares[0]:5.2f} %  then {shares[1]:5.2f} %"
            if name == "silent":
                good = shares[1] < MAX_IDLE_PCT
                line += f"  limit {MAX_IDLE_PCT:g} %: {'kept' if good else 'NOT KEPT'}"
            print(line)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
