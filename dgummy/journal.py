"""The ledger as the engine uses it: what cannot be written down is said once, and the work goes on."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dgummy.events import Listener, Notice
from dgummy.model import Attempt, Placement, RunResult, RunState
from dgummy.placement import Choice, Method

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dgummy.ledger import Ledger, Placing
    from dgummy.ledger_rows import RunUpdate

QUIET_S = 300.0
"""No placement counts any more in a ledger that nobody wrote to for so long; clocks may differ by a few minutes."""

_R = TypeVar("_R")

Decide = Callable[[tuple[Placement, ...], "str | None"], Choice]


class Journal:
    """Opens the ledger when it is first needed, and imports SQLite only then."""

    def __init__(self, path: Path, *, owner: str, emit: Listener, now: Callable[[], datetime]) -> None:
        self._path = path
        self._owner = owner
        self._emit = emit
        self._now = now
        self._ledger: Ledger | None = None
        self._complained = False
        self._notices_seen = 0

    def open_run(self, kind: str, command: str, task_type: str, project: str) -> str:
        """Record a run before anything is done for it; gives back its new id."""
        from dgummy.ledger_rows import RunRow, new_run_id

        while True:
            run_id = new_run_id(self._now())
            row = RunRow(
                run_id=run_id,
                kind=kind,
                command=command,
                created_at=self._now(),
                task_type=task_type,
                project=project,
                owner=self._owner,
                client_pid=os.getpid(),
            )
            if self._guard(lambda ledger, row=row: ledger.record(row), default=True):  # type: ignore[misc]
                return run_id

    def update(self, run_id: str, **changes: Unpack[RunUpdate]) -> None:
        """Record a change of state."""
        self._guard(lambda ledger: ledger.update(run_id, **changes), default=False)

    def attempt(self, run_id: str, attempt: Attempt, started_at: datetime, sent_bytes: int | None) -> None:
        """Record one try at one host, which is over now; a host that did not start the run frees its placement."""
        from dgummy.ledger_rows import AttemptRow

        row = AttemptRow(attempt.host, attempt.outcome, attempt.reason, started_at, self._now(), bytes=sent_bytes)
        self._guard(lambda ledger: ledger.add_attempt(run_id, row), default=0)
        if attempt.outcome in (
            RunState.UNREACHABLE,
            RunState.SYNC_FAILED,
            RunState.REFUSED,
            RunState.SKIPPED,
        ):
            self.unplace(run_id)

    def unplace(self, run_id: str) -> None:
        """Nothing is on its way to the host that was chosen last."""
        self._guard(lambda ledger: ledger.unplace(run_id), default=None)

    def close_run(self, result: RunResult) -> None:
        """Record how a run ended."""
        self.update(
            result.run_id,
            state=result.state,
            host=result.host,
            exit_code=result.exit_code,
            reason=result.reason,
            ended_at=self._now(),
            duration_s=result.duration_s,
            cost_usd=result.cost_usd,
            fallback=result.fallback,
        )

    def place(self, run_id: str | None, scope: str, decide: Decide, now: datetime) -> Choice:
        """Let `decide` choose from (placements not seen by probes yet, the host that had the last turn).

        With a run id the choice is made while no other process can choose, and noted.
        """
        if run_id is None and self._is_quiet(now):
            choice = decide((), None)
            if choice.method is not Method.ROUND_ROBIN:  # whose turn it is, only the ledger knows
                return choice
        made: list[Choice] = []

        def choose(placing: Placing) -> str | None:
            choice = decide(placing.placements, placing.round_robin_after(scope))
            made.append(choice)
            if run_id is not None and choice.host and choice.method is Method.ROUND_ROBIN:
                placing.set_round_robin(choice.host, scope)
            return choice.host if run_id is not None else None

        self._guard(lambda ledger: ledger.place(run_id or "", choose, now), default=None)
        return made[-1] if made else decide((), None)

    def _is_quiet(self, now: datetime) -> bool:
        """Whether nothing was written to the ledger for so long that it need not be opened to look for placements."""
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            try:
                age_s = now.timestamp() - path.stat().st_mtime
            except FileNotFoundError:
                continue
            except OSError:
                return False
            if age_s < QUIET_S:
                return False
        return True

    def close(self) -> None:
        """Close the file."""
        if self._ledger is not None:
            self._ledger.close()

    def _guard(self, work: Callable[[Ledger], _R], *, default: _R) -> _R:
        """Do it, or say once why it cannot be done. Tried again each time: a full disk may have room later."""
        from dgummy.ledger import Ledger, LedgerError

        try:
            if self._ledger is None:
                self._ledger = Ledger.open(self._path)
            result = work(self._ledger)
        except LedgerError as error:
            if not self._complained:
                self._complained = True
                self._emit(Notice(f"not recorded: {error.message} ({error.remedy})", "warning"))
            return default
        for text in self._ledger.notices[self._notices_seen :]:
            self._notices_seen += 1
            self._emit(Notice(text, "warning"))
        return result
