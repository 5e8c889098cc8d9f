"""`true` on 100 connections at once, and the memory of 200 that print a lot.

All hosts are this machine, so what a run costs its host counts as well; "host side" is that alone: a supervised run
leaves a folder, a process group and an exit code behind, where the others run a bare `true`. Asked for: at most half of
the fastest of clush, parallel-ssh and xargs with ssh, at most 1.3 times asyncssh; at most 200 MB for 200 connections,
whatever they print. Needs clustershell, pssh and asyncssh; those that are not there are left out, and said.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable

import _measure as measure
import yaml
from _measure import Limit, Place, Sample

NODES = 10
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
    """Give the lab's nodes `count` names between them, for ssh and for us."""
    names = [f"host-{number:03d}" for number in range(1, count + 1)]
    nodes = [where.lab.nodes[number % NODES] for number in range(count)]
    pairs = list(zip(names, nodes, strict=True))
    blocks = "".join(f"Host {name}\n  HostName 127.0.0.1\n  Port {node.port}\n" for name, node in pairs)
    config = where.lab.ssh_config_path
    config.write_text(blocks + config.read_text(encoding="utf-8"), encoding="utf-8")
    settings = yaml.safe_load(where.lab.config_path.read_text(encoding="utf-8"))
    settings |= {"groups": {"many": names}, "group": "many"}
    settings["hosts"] = {name: {"probe_root": str(node.root)} for name, node in pairs}
    where.lab.config_path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return names


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


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=5)
    parser.add_argument("--hosts", type=int, default=100)
    options = parser.parse_args()
    with measure.place(NODES) as where:
        hosts = spread_out(where, max(200, options.hosts))
        some = ",".join([f"host-[001-{options.hosts:03d}]"])
        cases = rivals(where, hosts[: options.hosts])
        words = ["fanout", "--no-sync", "--jobs", AT_ONCE, "--host", some]
        cases["inv fanout"] = measure.inv(where, *words, "true")
        good = _speed(cases, options.rounds)
        everywhere = ["fanout", "--no-sync", "--jobs", AT_ONCE]
        memory = {
            "200 hosts, true": measure.inv(where, *everywhere, "true"),
            "20 hosts, 50 MB each": measure.inv(where, *everywhere, "--host", "host-[001-020]", f"{CHATTER} 50000000"),
        }
        taken = measure.interleaved(memory, 1)
    for name, (sample,) in taken.items():
        kept = sample.peak_rss_bytes <= 200e6
        good = good and kept
        verdict = "kept" if kept else "NOT KEPT"
        print(f"  {name:22}  {sample.wall_s:6.1f} s  {sample.peak_rss_bytes / 1e6:4.0f} MB (200: {verdict})")
    return 0 if good else 1


def _speed(cases: dict[str, Callable[[], Sample]], rounds: int) -> bool:
    taken = measure.interleaved(cases, rounds)
    mine = "inv fanout"
    fastest = {name: min(sample.wall_s for sample in taken[name]) for name in taken if name not in (mine, "asyncssh")}
    limits = {mine: Limit("asyncssh", 1.3)} if "asyncssh" in taken else {}
    good = measure.show("true everywhere", taken, limits)
    if fastest:
        best = min(fastest, key=lambda name: fastest[name])
        ratio = min(sample.wall_s for sample in taken[mine]) / fastest[best]
        good = good and ratio <= 0.5
        print(f"  {mine} is {ratio:.2f} x {best} (0.5: {'kept' if ratio <= 0.5 else 'NOT KEPT'})")
    return good


if __name__ == "__main__":
    sys.exit(main())
