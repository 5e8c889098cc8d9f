"""100 MB of output through `inv run`: at most 3 times what ssh takes, with less than 120 MB of memory."""

from __future__ import annotations

import os
import sys

import _measure as measure
from _measure import INV, Limit

NODE = "node-1"
MAX_RSS_BYTES = 120_000_000


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=7)
    parser.add_argument("--mb", type=int, default=100)
    options = parser.parse_args()
    with measure.place(1) as where:
        big = where.lab.node(NODE).home / "big"
        # Lines as a build prints them, but nothing that a compressing ssh could make small.
        with open(big, "wb") as file:
            file.writelines(os.urandom(500_000).hex("\n", 50).encode() for _ in range(options.mb))
        measure.inv(where, "run", "--no-sync", "true")
        command = [INV, "run", "--no-sync", "cat ~/big"]
        ssh = where.ssh(NODE, "cat big")
        cases = {
            "ssh > /dev/null": lambda: measure.run(ssh),
            "inv run > /dev/null": lambda: measure.run(command, cwd=where.project, env=where.env),
            "ssh | reader": lambda: measure.run(ssh, piped=True),
            "inv run | reader": lambda: measure.run(command, cwd=where.project, env=where.env, piped=True),
            "inv run --json | reader": lambda: measure.run(
                [*command, "--json"], cwd=where.project, env=where.env, piped=True
            ),
        }
        taken = measure.interleaved(cases, options.rounds)
    limits = {
        "inv run > /dev/null": Limit("ssh > /dev/null", 3.0, MAX_RSS_BYTES),
        "inv run | reader": Limit("ssh | reader", 3.0, MAX_RSS_BYTES),
        "inv run --json | reader": Limit("ssh | reader", 3.0, MAX_RSS_BYTES),
    }
    return 0 if measure.show(f"{options.mb} MB of output", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
