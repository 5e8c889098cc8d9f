"""`true` on 100 connections at once, with one host that hangs, and the memory of 200 and of much output.

All hosts are this machine, so what a run costs its host counts as well, and is told apart (Linux): a supervised run
leaves a folder, a process group and an exit code behind, where the others run a bare `true`. Asked for: at most half of
the fastest of clush, parallel-ssh and xargs with ssh, at most 1.3 times asyncssh; a host that takes connections and
never speaks delays no other; at most 200 MB for 200 connections, whatever they print. Needs clustershell, pssh and
asyncssh; those that are not there are left out, and said.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import _measure as measure
import yaml
from _measure import INV, Limit, Place, Sample

from dgummy import lab as labs

NODES = 10
HUNG = "host-000"
MAX_RSS_BYTES = 200e6
AT_ONCE = "64"
ASYNCSSH = """
import asyncio, asyncssh, sys
config, known_hosts, *hosts = sys.argv[1:]
async def one(host, places):
    async with places, asyncssh.connect(host, config=config, known_hosts=known_hosts) as connection:
        return (await connection.run("true")).exit_status
async def main():
    places = asyncio.Semaphore(64)
    assert not any(await asyncio.gather(*(one(host, places) for host in hosts)))
asyncio.run(main())
"""
CHATTER = "yes 'a line of output that is about sixty characters long, or so' | head -c"


def spread_out(where: Place, count: int) -> list[str]:
    """Give the lab's nodes `count` names between them, for ssh and for us; the last node is to hang."""
    names = [f"host-{number:03d}" for number in range(1, count + 1)]
    nodes = [where.lab.nodes[number % NODES] for number in range(count)]
    pairs = [*zip(names, nodes, strict=True), (HUNG, where.lab.nodes[NODES])]
    blocks = "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {node.port}\n" for name, node in pairs)
    config = where.lab.ssh_config_path
    config.write_text(blocks + config.read_text(encoding="utf-8"), encoding="utf-8")
    settings = yaml.safe_load(where.lab.config_path.read_text(encoding="utf-8"))
    settings |= {"groups": {"many": names, "hung": [HUNG]}, "group": "many"}
    settings["hosts"] = {name: {"probe_root": str(node.root)} for name, node in pairs}
    where.lab.config_path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return names


class HostSide:
    """The CPU time of all that the lab's hosts do: their sshds, and what those leave behind, which we inherit."""

    def __init__(self, where: Place) -> None:
        self._listeners = [one.pid for one in labs.status(where.lab) if one.pid is not None]
        self._inherited_s = 0.0

    @staticmethod
    def inherit() -> None:
        """Become the parent of orphans, before there is a lab. Linux only: elsewhere nothing is counted."""
        with contextlib.suppress(OSError, AttributeError):
            pr_set_child_subreaper = 36
            ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)

    def cpu_s(self) -> float:
        """So far, of all that has ended. No child that somebody waits for may be there."""
        with contextlib.suppress(ChildProcessError):
            while (child := os.wait4(-1, os.WNOHANG))[0]:
                self._inherited_s += child[2].ru_utime + child[2].ru_stime
        return self._inherited_s + sum(map(self._listener_cpu_s, self._listeners))

    @staticmethod
    def _listener_cpu_s(pid: int) -> float:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def of(self, case: Callable[[], Sample], used: list[float]) -> Callable[[], Sample]:
        """The case; what it costs the hosts is added to `used`."""

        def run() -> Sample:
            before = self.cpu_s()
            sample = case()
            time.sleep(0.3)  # supervisors tidy up
            used.append(self.cpu_s() - before)
            return sample

        return run


def rivals(where: Place, hosts: list[str]) -> dict[str, Callable[[], Sample]]:
    """The others, as far as they are installed."""
    config = str(where.lab.ssh_config_path)
    known_hosts = str(where.lab.ssh_config_path.parent / "known_hosts")
    listed = where.home / "hosts"
    listed.write_text("\n".join(hosts) + "\n", encoding="utf-8")
    xargs = f"xargs -P{AT_ONCE} -I{{}} ssh -F {config} {{}} true <{listed}"
    programs = {
        "clush": ["clush", "-f", AT_ONCE, "-o", f"-F {config}", "-w", ",".join(hosts), "true"],
        "parallel-ssh": ["parallel-ssh", "-p", AT_ONCE, "-h", str(listed), "-x", f"-F {config}", "true"],
        "xargs ssh": ["sh", "-c", xargs],
        "asyncssh": [sys.executable, "-c", ASYNCSSH, config, known_hosts, *hosts],
    }
    if importlib.util.find_spec("asyncssh") is None:
        del programs["asyncssh"]
    missing = [name for name, argv in programs.items() if shutil.which(argv[0]) is None]
    print(f"left out, not installed: {', '.join(missing)}" if missing else "all of them are here")
    return {
        name: lambda argv=argv: measure.run(argv, env=where.env)  # type: ignore[misc]
        for name, argv in programs.items()
        if name not in missing
    }


def without_start(where: Place, words: list[str]) -> Sample:
    """The fan-out alone, as it tells itself: without the start of the interpreter, and its end."""
    done = subprocess.run([INV, *words, "--json"], cwd=where.project, env=where.env, capture_output=True, check=True)
    return Sample(json.loads(done.stdout)["wall_s"])


def until_last(where: Place, words: list[str]) -> Sample:
    """Until the last host that does not hang has ended."""
    began, ended_s = time.monotonic(), 0.0
    pipe, quiet = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        [INV, *words, "--stream"], cwd=where.project, env=where.env, stdout=pipe, stderr=quiet
    ) as process:
        for line in process.stdout or ():
            event = json.loads(line)
            if event["event"] == "run_ended" and event["label"] != HUNG:
                ended_s = time.monotonic() - began
    return Sample(ended_s)


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=5)
    parser.add_argument("--hosts", type=int, default=100)
    parser.add_argument("--chatty", type=int, default=20, help="so many hosts print 50 MB each (%(default)s)")
    options = parser.parse_args()
    HostSide.inherit()
    with measure.place(NODES + 1) as where:
        hosts = spread_out(where, max(200, options.hosts))
        words = ["fanout", "--no-sync", "--jobs", AT_ONCE]
        some = ["--host", f"host-[001-{options.hosts:03d}]"]
        good = _speed(where, rivals(where, hosts[: options.hosts]), [*words, *some, "true"], options.rounds)
        good = _hung(where, [*words, *some], options.rounds) and good
        chatty = ["--host", f"host-[001-{options.chatty:03d}]", f"{CHATTER} 50000000"]
        memory = {
            "200 hosts, true": measure.inv(where, *words, "true"),
            f"{options.chatty} hosts, 50 MB each": measure.inv(where, *words, *chatty),
        }
        taken = measure.interleaved(memory, 1)
    for name, (sample,) in taken.items():
        kept = sample.peak_rss_bytes <= MAX_RSS_BYTES
        good = good and kept
        verdict = "kept" if kept else "NOT KEPT"
        print(f"  {name:24}  {sample.wall_s:6.1f} s  {sample.peak_rss_bytes / 1e6:4.0f} MB (200: {verdict})")
    return 0 if good else 1


def _speed(where: Place, cases: dict[str, Callable[[], Sample]], words: list[str], rounds: int) -> bool:
    mine, alone = "inv fanout", "the same without inv's start"
    by_ssh = [name for name in cases if name != "asyncssh"]
    cases |= {mine: measure.inv(where, *words), alone: lambda: without_start(where, words)}
    host_side = HostSide(where)
    used: dict[str, list[float]] = {name: [] for name in cases}
    taken = measure.interleaved({name: host_side.of(case, used[name]) for name, case in cases.items()}, rounds)
    limits = {mine: Limit("asyncssh", 1.3), alone: Limit("asyncssh")} if "asyncssh" in taken else {}
    good = measure.show("true everywhere", taken, limits)
    if by_ssh:
        best = min(by_ssh, key=lambda name: statistics.median(sample.wall_s for sample in taken[name]))
        ratio = statistics.median(measure.ratios(taken, mine, best))
        good = good and ratio <= 0.5
        print(f"  {mine} is {ratio:.2f} x {best} (0.5: {'kept' if ratio <= 0.5 else 'NOT KEPT'})")
    told = (f"{name} {statistics.median(seconds):.1f} s" for name, seconds in used.items() if name != alone)
    print("  CPU of the hosts, which are on this machine too: " + ", ".join(told))
    return good


def _hung(where: Place, words: list[str], rounds: int) -> bool:
    """One host more, that takes connections and never speaks. Nobody else is to wait for it."""
    labs.hang(where.lab, where.lab.nodes[NODES].name)
    cases = {
        "without it": lambda: until_last(where, [*words, "true"]),
        "one hangs": lambda: until_last(where, [*words, "--host", HUNG, "true"]),
    }
    taken = measure.interleaved(cases, rounds)
    return measure.show("until the last of the others", taken, {"one hangs": Limit("without it", 1.15)})


if __name__ == "__main__":
    sys.exit(main())
