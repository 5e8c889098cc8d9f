"""What a command imports, and how long that takes: `python benchmarks/imports.py load --refresh`.

Times are the least of several runs, in milliseconds, by `python -X importtime`; that makes each import a little slower.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter

import _measure as measure

LATE = (
    "asyncio",
    "cryptography",
    "fabric",
    "jsonschema",
    "msgspec",
    "paramiko",
    "pathspec",
    "rich",
    "tabulate",
    "yaml",
)
"""What is to be imported only by commands that need it. (Invoke itself imports asyncio.)"""
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| +(\S+)$", re.MULTILINE)


def profile(argv: list[str], where: measure.Place) -> dict[str, tuple[float, float]]:
    """Module → time of its own and time with what it imports."""
    command = [sys.executable, "-X", "importtime", "-m", "invoke", *argv]
    done = subprocess.run(command, cwd=where.project, env=where.env, capture_output=True, text=True, check=True)
    return {name: (int(own) / 1000, int(whole) / 1000) for own, whole, name in _LINE.findall(done.stderr)}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--top", type=int, default=25)
    options, argv = parser.parse_known_args()
    argv = [word for word in argv if word != "--"] or ["load", "--refresh"]
    with measure.place(2) as where:
        measure.inv(where, *argv)
        rounds = [profile(argv, where) for _ in range(options.rounds)]
    own = {name: min(seen.get(name, (1e9, 0))[0] for seen in rounds) for name in rounds[0]}
    whole = {name: min(seen.get(name, (0, 1e9))[1] for seen in rounds) for name in rounds[0]}
    packages: Counter[str] = Counter()
    for name, took in own.items():
        packages[name.partition(".")[0]] += round(1000 * took)
    print(
        f"inv {' '.join(argv)}: {len(own)} modules, {sum(own.values()):.0f} ms (load average {os.getloadavg()[0]:.1f})"
    )
    print("by package: " + ", ".join(f"{name} {us / 1000:.0f}" for name, us in packages.most_common(12)))
    print("of those to be late: " + (", ".join(name for name in LATE if name in own) or "none"))
    print("  own   whole  module")
    for name in sorted(own, key=lambda name: -own[name])[: options.top]:
        print(f"{own[name]:6.1f} {whole[name]:6.1f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
