"""`inv run true` on a project that is synced already: at most 2 times `rsync -a …; ssh HOST true` by hand."""

from __future__ import annotations

import sys

import _measure as measure
from _measure import Limit, Place, Sample

NODE = "node-1"


def by_hand(where: Place) -> Sample:
    """What one would type."""
    ssh = f"ssh -F {where.lab.ssh_config_path}"
    rsync = measure.run(
        ["rsync", "-a", "--exclude=.git", "--exclude=build", "--exclude=.env", "-e", ssh, "./", f"{NODE}:by-hand/"],
        cwd=where.project,
    )
    ssh_true = measure.run(where.ssh(NODE, "true"))
    return Sample(rsync.wall_s + ssh_true.wall_s, rsync.cpu_s + ssh_true.cpu_s)


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=15)
    parser.add_argument("--files", type=int, default=0, help="so many files in the project (default: the sample's few)")
    options = parser.parse_args()
    with measure.place(1, files=options.files) as where:
        by_hand(where)
        cases = {
            "rsync; ssh true": lambda: by_hand(where),
            "inv run true": measure.inv(where, "run", "true"),
            "inv run --no-sync true": measure.inv(where, "run", "--no-sync", "true"),
            "inv sync": measure.inv(where, "sync"),
        }
        taken = measure.interleaved(cases, options.rounds)
    base = "rsync; ssh true"
    limits = {name: Limit(base) for name in cases if name != base} | {"inv run true": Limit(base, 2.0)}
    return 0 if measure.show("A run of a synced project", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
