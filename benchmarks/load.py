"""`inv load --refresh` over 10 hosts: at most 4 times one `ssh HOST true`.

Part of it is not ours: the hosts are on this machine, and sshd takes a while to let ten sessions in. The case "ssh to
all at once" shows that. With --nodes 100 the memory is what to look at.
"""

from __future__ import annotations

import subprocess
import sys
import time

import _measure as measure
from _measure import Limit, Place, Sample


def all_at_once(where: Place) -> Sample:
    """Plain ssh to every node at the same time."""
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    for process in [
        subprocess.Popen(where.ssh(node.name, "true"), stdin=quiet, stdout=quiet) for node in where.lab.nodes
    ]:
        if process.wait():
            raise SystemExit("ssh failed")
    return Sample(time.monotonic() - began)


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=15)
    parser.add_argument("--nodes", type=int, default=10)
    options = parser.parse_args()
    with measure.place(options.nodes) as where:
        cases = {
            "ssh HOST true": lambda: measure.run(where.ssh("node-1", "true")),
            "ssh to all at once": lambda: all_at_once(where),
            "inv load --refresh": measure.inv(where, "load", "--refresh"),
            "inv load": measure.inv(where, "load"),
            "inv status --refresh": measure.inv(where, "status", "--refresh"),
        }
        taken = measure.interleaved(cases, options.rounds)
    base = "ssh HOST true"
    limits = {name: Limit(base) for name in cases if name != base}
    if options.nodes == 10:
        limits["inv load --refresh"] = Limit(base, 4.0)
    return 0 if measure.show(f"Looking at {options.nodes} hosts", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
