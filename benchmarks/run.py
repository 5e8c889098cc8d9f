"""`inv run true` on a project that is synced already: at most 2 times `rsync -a …; ssh HOST true` by hand.

With --files 10000 there is no limit. By hand rsync then takes longer as soon as git says what is sent, hence the case
"with git's list": it reads a list of names byte by byte, two system calls for each. dgummy does not give it such a list
where nothing changed (see collect.py).
"""

from __future__ import annotations

import subprocess
import sys

import _measure as measure
from _measure import Limit, Place, Sample

NODE = "node-1"
EXCLUDES = ("--exclude=.git", "--exclude=build", "--exclude=.env")


def by_hand(where: Place, *options: str) -> Sample:
    """What one would type: rsync, then ssh."""
    ssh = f"ssh -F {where.lab.ssh_config_path}"
    rsync = measure.run(["rsync", "-a", *options, "-e", ssh, "./", f"{NODE}:by-hand/"], cwd=where.project)
    ssh_true = measure.run(where.ssh(NODE, "true"))
    return Sample(rsync.wall_s + ssh_true.wall_s, rsync.cpu_s + ssh_true.cpu_s)


def with_git(where: Place) -> Sample:
    """The same, with git's list of names."""
    names = where.home / "names"
    with open(names, "wb") as file:
        git = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
        subprocess.run(git, cwd=where.project, stdout=file, check=True)
    return by_hand(where, "--from0", f"--files-from={names}")


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=15)
    parser.add_argument("--files", type=int, default=0, help="so many files in the project (default: the sample's few)")
    options = parser.parse_args()
    with measure.place(1, files=options.files) as where:
        by_hand(where, *EXCLUDES)
        cases = {
            "rsync; ssh true": lambda: by_hand(where, *EXCLUDES),
            "with git's list": lambda: with_git(where),
            "inv run true": measure.inv(where, "run", "true"),
            "inv run --no-sync true": measure.inv(where, "run", "--no-sync", "true"),
            "inv sync": measure.inv(where, "sync"),
        }
        taken = measure.interleaved(cases, options.rounds)
    base = "rsync; ssh true"
    limits = {name: Limit(base) for name in cases if name != base}
    if not options.files:
        limits["inv run true"] = Limit(base, 2.0)
    return 0 if measure.show("A run of a synced project", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
