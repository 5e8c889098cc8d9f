"""What the client does before a sync of 10,000 files: list them, name the set, plan. Beside it, git alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import _measure as measure
from _measure import Limit, Sample


def timed(work: Callable[[], object]) -> Callable[[], Sample]:
    """A case within this process."""

    def case() -> Sample:
        began, used = time.monotonic(), time.process_time()
        work()
        return Sample(time.monotonic() - began, time.process_time() - used)

    return case


def git_alone(folder: Path) -> None:
    """Both halves of what is asked of git, one after the other."""
    for options in (["-c"], ["-o", "--exclude-standard"]):
        subprocess.run(["git", "ls-files", "-z", *options], cwd=folder, stdout=subprocess.DEVNULL, check=True)


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=9)
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    from dgummy import project, syncplan

    with measure.scratch() as folder:
        root = measure.make_project(folder / "project", options.files)
        found = project.find(root, folder, {})
        listing = project.listing(found, None)
        everything = frozenset(listing.paths)
        plan = syncplan.plan(listing, everything)
        encoded = plan.manifest()
        cases = {
            "git ls-files, twice": timed(lambda: git_alone(root)),
            "list what is sent": timed(lambda: project.listing(found, None)),
            "with sync_exclude set": timed(lambda: project.listing(found, ("*.log", "build/", "/docs/*.pdf"))),
            "name the set": timed(lambda: syncplan.manifest_id(listing.paths)),
            "plan: nothing sent yet": timed(lambda: syncplan.plan(listing, None)),
            "plan: all sent before": timed(lambda: syncplan.plan(listing, everything)),
            "write the manifest": timed(plan.manifest),
            "read the manifest": timed(lambda: syncplan.decode_manifest(encoded)),
        }
        taken = measure.interleaved(cases, options.rounds)
    base = "git ls-files, twice"
    limits = {name: Limit(base) for name in cases if name != base}
    return 0 if measure.show(f"{len(listing.paths):,} files", taken, limits) else 1


if __name__ == "__main__":
    sys.exit(main())
