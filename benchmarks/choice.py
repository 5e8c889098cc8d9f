"""What deciding and remembering cost: a choice among 10 or 100 hosts, and each thing the ledger does, in milliseconds.

The ledger holds 5,000 runs, on the disk of the temporary folder (TMPDIR chooses another).
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import _measure as measure

from dgummy.ledger import Ledger
from dgummy.ledger_rows import RunRow, new_run_id
from dgummy.model import ActiveRun, Host, HostReport, RunState, Sample, Weights
from dgummy.placement import Candidate, choose

NOW = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
RUNS = 5000


def candidates(count: int) -> list[Candidate]:
    """Hosts of different sizes and loads, two runs on each."""
    rng = random.Random(count)
    found = []
    for number in range(count):
        runs = tuple(ActiveRun(f"run-{number}-{index}", rng.uniform(0, 600)) for index in range(2))
        sample = Sample(
            cpu_pct=rng.uniform(0, 100),
            mem_total_bytes=2**34,
            mem_available_bytes=rng.randrange(2**34),
            load1=rng.uniform(0, 16),
            cores=rng.choice((2, 4, 8, 16)),
            active_runs=runs,
        )
        found.append(Candidate(Host(f"node-{number}"), HostReport(f"node-{number}", NOW, sample)))
    return found


def row(number: int) -> RunRow:
    """One run among many."""
    return RunRow(new_run_id(NOW), "run", f"make test {number}", NOW + timedelta(seconds=number), host="node-1")


def timed(work: Callable[[], object], rounds: int) -> str:
    """Median and worst, in milliseconds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return f"median {statistics.median(taken):7.2f} ms   worst {max(taken):7.2f} ms"


def reopen(path: Path) -> None:
    """What every command does that records something."""
    with Ledger.open(path) as ledger:
        ledger.record(row(0))


def main() -> int:
    """Measure and print."""
    options = measure.arguments(__doc__, rounds=50).parse_args()
    rng = random.Random(0)
    for count in (10, 100):
        hosts = candidates(count)

        def decide(hosts: list[Candidate] = hosts) -> object:
            return choose(hosts, weights=Weights(), now=NOW, rng=rng)

        print(f"  {f'choose among {count}':22} {timed(decide, options.rounds)}")
    with measure.scratch() as folder, Ledger.open(folder / "runs.db") as ledger:
        for number in range(RUNS):
            ledger.record(row(number))
        run = row(0)
        ledger.record(run)
        cases: dict[str, Callable[[], object]] = {
            "record a run": lambda: ledger.record(row(1)),
            "change its state": lambda: ledger.update(run.run_id, state=RunState.RUNNING),
            "place a run": lambda: ledger.place(run.run_id, lambda _placing: "node-1", NOW),
            "the last 20 runs": lambda: ledger.runs(limit=20),
            "find one by its id": lambda: ledger.find(run.run_id),
            "open, record, close": lambda: reopen(folder / "other.db"),
        }
        for name, case in cases.items():
            print(f"  {name:22} {timed(case, options.rounds)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
