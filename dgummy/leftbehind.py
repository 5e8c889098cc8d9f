"""What a client left at work under a lock: the lock is free once its client was killed, and the run goes on."""

from __future__ import annotations

from pathlib import Path

from dgummy import asked
from dgummy.errors import TryAgainError
from dgummy.history import UNSETTLED, History, Seen
from dgummy.jobrecord import JobFiles
from dgummy.ledger_rows import RunRow


def refuse(history: History, lock: str, jobs: Path, job: str = "") -> None:
    """TryAgainError if a run may be at work still that was begun under this lock. To be asked by who holds it.

    Only the hosts of such runs are asked. Runs of a job that was added anew since (`jobs` has its record) are of no
    account. `job` is the one that asks, "" for none.
    """
    rows = history.access.journal.ledger().runs(states=UNSETTLED)
    for seen in history.refresh([row for row in rows if _counts(row, lock, jobs)], tell=False):
        if not seen.is_over:
            raise _beside(seen, lock, job)


def _counts(row: RunRow, lock: str, jobs: Path) -> bool:
    request = asked.decode(row.request)
    if request is None or lock not in request.locks:
        return False
    added_at = JobFiles(jobs / f"{request.job}.log").record().added_at if request.job else None
    return added_at is None or row.created_at >= added_at


def _beside(seen: Seen, lock: str, job: str) -> TryAgainError:
    row, host = seen.row, seen.row.host
    request = asked.decode(row.request)
    whose = request.job if request is not None else ""
    of = "" if not whose else " of this job" if whose == job else f" of the job {whose}"
    run = f"run {row.run_id}{of}"
    under = "" if lock == job == whose else f"; it was begun under the lock {lock}"
    if seen.failure is not None:
        anew = f"inv cron.add {whose} … --replace" if whose else "take another name for the lock"
        remedy = f"it is asked again each time; should {host} never come back: {anew}"
        return TryAgainError(f"whether {run} is still at work is not known: {host}: {seen.failure}{under}", remedy)
    where = f" on {host}" if host else ""
    text = f"{run} is still at work{where}, and nobody follows it{under}"
    return TryAgainError(text, f"follow it: inv attach {row.run_id}; end it: inv cancel {row.run_id}")
