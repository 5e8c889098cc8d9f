"""The ledger as the engine uses it: what cannot be written down is said once, and the work goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from dgummy import asked
from dgummy.events import Listener, Notice
from dgummy.ledger import Ledger, LedgerError, Placing
from dgummy.ledger_rows import AttemptRow, RunRow, RunUpdate, new_run_id
from dgummy.model import Attempt, Placement, RunResult, RunState
from dgummy.placement import Choice, Method

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dgummy.orders import Order
    from dgummy.project import Project

_R = TypeVar("_R")

Decide = Callable[[tuple[Placement, ...], "str | None"], Choice]


class AttemptFigures(TypedDict, total=False):
    """What is known of a try at its end: bytes sent by the sync, the command's exit code, what an agent cost."""

    sent_bytes: int | None
    exit_code: int | None
    cost_usd: float | None


class Journal:
    """Opens the ledger when it is first needed."""

    def __init__(self, path: Path, *, owner: str, emit: Listener, now: Callable[[], datetime]) -> None:
        self._path = path
        self._owner = owner
        self._emit = emit
        self._now = now
        self._ledger: Ledger | None = None
        self._complained = False
        self._notices_seen = 0

    def open_runs(self, orders: Sequence[Order], task_types: Sequence[str], project: Project) -> list[str]:
        """Record orders, all at once, before anything is done for them; gives back the new ids, in their order."""
        now = self._now()
        while True:
            rows = [
                RunRow(
                    run_id=new_run_id(now),
                    kind=order.kind,
                    command=order.shown,
                    created_at=now,
                    task_type=task_type,
                    project=str(project.root),
                    owner=self._owner,
                    client_pid=os.getpid(),
                    group_id=order.group_id,
                    label=order.label,
                    request=asked.encode(order.asked(project.subdir)),
                )
                for order, task_type in zip(orders, task_types, strict=True)
            ]
            if self._guard(lambda ledger, rows=rows: ledger.record(*rows), default=True):  # type: ignore[misc]
                return [row.run_id for row in rows]

    def update(self, run_id: str, **changes: Unpack[RunUpdate]) -> None:
        """Record a change of state."""
        self._guard(lambda ledger: ledger.update(run_id, **changes), default=False)

    def attempt(self, run_id: str, attempt: Attempt, started_at: datetime, **figures: Unpack[AttemptFigures]) -> None:
        """Record one try at one host, which is over now; a host that did not start the run frees its placement."""
        row = AttemptRow(
            attempt.host,
            attempt.outcome,
            attempt.reason,
            started_at,
            self._now(),
            exit_code=figures.get("exit_code"),
            bytes=figures.get("sent_bytes"),
            cost_usd=figures.get("cost_usd"),
        )
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
        """Record how a run ended, or that it was left to run on."""
        self.update(
            result.run_id,
            state=result.state,
            host=result.host,
            exit_code=result.exit_code,
            reason=result.reason,
            ended_at=self._now() if result.state.is_final else None,
            duration_s=result.duration_s,
            cost_usd=result.cost_usd,
            fallback=result.fallback,
        )

    def place(self, run_id: str | None, scope: str, decide: Decide, now: datetime) -> Choice:
        """Let `decide` choose from (placements not seen by probes yet, the host that had the last turn).

        With a run id the choice is made while no other process can choose, and noted.
        """
        made: list[Choice] = []

        def choose(placing: Placing) -> str | None:
            choice = decide(placing.placements, placing.round_robin_after(scope))
            made.append(choice)
            if run_id is not None and choice.host and choice.method is Method.ROUND_ROBIN:
                placing.set_round_robin(choice.host, scope)
            return choice.host if run_id is not None else None

        self._guard(lambda ledger: ledger.place(run_id or "", choose, now), default=None)
        return made[-1] if made else decide((), None)

    def ledger(self) -> Ledger:
        """The ledger itself, for commands that are about it. LedgerError if it cannot be used now."""
        if self._ledger is None:
            self._ledger = Ledger.open(self._path)
        for text in self._ledger.notices[self._notices_seen :]:
            self._notices_seen += 1
            self._emit(Notice(text, "warning"))
        return self._ledger

    def close(self) -> None:
        """Close the file."""
        if self._ledger is not None:
            self._ledger.close()

    def _guard(self, work: Callable[[Ledger], _R], *, default: _R) -> _R:
        """Do it, or say once why it cannot be done. Tried again each time: a full disk may have room later."""
        try:
            result = work(self.ledger())
        except LedgerError as error:
            if not self._complained:
                self._complained = True
                self._emit(Notice(f"not recorded: {error.message} ({error.remedy})", "warning"))
            return default
        self.ledger()  # tells what there is to say of the file
        return result
