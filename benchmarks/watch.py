"""Watching 50 hosts with 5 specialists each: the first full picture, the cost of each refresh, and memory over time.

Asked for: the first picture of all hosts at most 1.5 times `true` on the same hosts by `inv fanout`; at most 20 ms of
our CPU per host and refresh over open connections; memory within 10 % over an hour. An hour is `--span 3600`; it is a
minute unless told so. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import _measure as measure
import yaml
from _measure import INV, Limit, Place

NODES = 10
SPECIALISTS = 5
MAX_REFRESH_CPU_S = 0.020
MAX_GROWTH = 1.10
INTERVAL_S = 2


def populate(where: Place, count: int) -> None:
    """Give the lab's nodes `count` names between them, and each some specialists with a transcript."""
    names = [f"host-{number:03d}" for number in range(1, count + 1)]
    nodes = [where.lab.nodes[number % NODES] for number in range(count)]
    blocks = "".join(
        f"Host {name}\n  HostName 127.0.0.1\n  Port {node.port}\n" for name, node in zip(names, nodes, strict=True)
    )
    config = where.lab.ssh_config_path
    config.write_text(blocks + config.read_text(encoding="utf-8"), encoding="utf-8")
    settings = yaml.safe_load(where.lab.config_path.read_text(encoding="utf-8"))
    settings |= {"groups": {"many": names}, "group": "many"}
    settings["hosts"] = {name: {"probe_root": str(node.root)} for name, node in zip(names, nodes, strict=True)}
    where.lab.config_path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    for node in where.lab.nodes:
        for number in range(SPECIALISTS):
            give(node.home, f"specialist-{number}", f"0a0a0a0a-0000-0000-0000-{number:012d}")


def give(home: Path, name: str, session: str) -> None:
    """A specialist in a project, active today, with a few answers in its transcript."""
    folder = home / "shop" / ".gummy/specialists" / name
    folder.mkdir(parents=True)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    meta = {"name": name, "created": now, "session_id": session, "status": "dormant", "turns": 4, "last_active": now}
    (folder / "meta.yaml").write_text("".join(f"{key}: {value}\n" for key, value in meta.items()), encoding="utf-8")
    transcript = home / ".claude/projects/-shop" / f"{session}.jsonl"
    transcript.parent.mkdir(parents=True, exist_ok=True)
    usage = {"input_tokens": 1000, "output_tokens": 200}
    for number in range(20):
        message = {"id": f"msg_{number}", "model": "claude-haiku-4-5", "content": ["x" * 2000], "usage": usage}
        with transcript.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"type": "assistant", "timestamp": now, "message": message}) + "\n")


class Watcher:
    """`inv watch --json` in the background."""

    def __init__(self, where: Place) -> None:
        words = [INV, "watch", "--json", "--interval", str(INTERVAL_S)]
        self._process = subprocess.Popen(
            words, cwd=where.project, env=where.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.kill()
        self._process.wait()

    def refresh(self) -> dict[str, object]:
        """The next picture."""
        assert self._process.stdout is not None
        document: dict[str, object] = json.loads(self._process.stdout.readline())
        return document

    def cpu_s(self) -> float:
        """CPU time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Memory in use."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=5)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--span", type=float, default=60.0, help="seconds of watching (%(default)s)")
    options = parser.parse_args()
    with measure.place(NODES) as where:
        populate(where, options.hosts)
        cases = {
            "inv fanout true": measure.inv(where, "fanout", "--no-sync", "--jobs", "64", "true"),
            "inv specialists": measure.inv(where, "specialists", "--json"),
        }
        limits = {"inv specialists": Limit("inv fanout true", 1.5)}
        good = measure.show(f"{options.hosts} hosts", measure.interleaved(cases, options.rounds), limits)
        good = _refreshes(where, options.hosts, options.span) and good
    return 0 if good else 1


def _refreshes(where: Place, hosts: int, span_s: float) -> bool:
    with Watcher(where) as watcher:
        for _ in range(5):  # until every host has been looked at again
            watcher.refresh()
        began_s, used_s, rss_bytes = time.monotonic(), watcher.cpu_s(), watcher.rss_bytes()
        refreshes = 0
        while time.monotonic() - began_s < span_s:
            watcher.refresh()
            refreshes += 1
        each_s = (watcher.cpu_s() - used_s) / refreshes / hosts
        growth = watcher.rss_bytes() / rss_bytes
    verdict = "kept" if each_s <= MAX_REFRESH_CPU_S else "NOT KEPT"
    print(f"  a refresh takes {1000 * each_s:.1f} ms of our CPU per host (20: {verdict}), {refreshes} of them")
    verdict = "kept" if growth <= MAX_GROWTH else "NOT KEPT"
    print(f"  memory after {span_s:.0f} s: {growth:.3f} x {rss_bytes / 1e6:.0f} MB (1.1: {verdict})")
    return each_s <= MAX_REFRESH_CPU_S and growth <= MAX_GROWTH


if __name__ == "__main__":
    sys.exit(main())
