"""The ledger as the engine uses it: what cannot be written down is said once, and the work goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

from dgummy.events import Listener, Notice
from dgummy.model import Attempt, Placement, RunResult, RunState
from dgummy.placement import Choice, Method
from dgummy.routing import GENERAL

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from dgummy.forecast import PastRun
    from dgummy.ledger import Ledger, Placing
    from dgummy.ledger_rows import RunUpdate
    from dgummy.orders import Order
    from dgummy.project import Project

QUIET_S = 300.0
"""No placement counts any more in a ledger that nobody wrote to for so long; clocks may differ by a few minutes."""

_R = TypeVar("_R")


def work_key(project: str, kind: str, command: str) -> str:
    """What makes two runs the same work: the same command in the same project."""
    return "\0".join((project, kind, command))


def kind_key(kind: str, task_type: str) -> str:
    """What makes two runs the same kind of work, "" where nothing does: a command of no kind may be any."""
    return "" if kind == "run" and task_type == GENERAL else f"{kind} {task_type}"


Decide = Callable[[tuple[Placement, ...], "str | None"], Choice]


class AttemptFigures(TypedDict, total=False):
    """What is known of a try at its end: bytes sent by the sync, the command's exit code, what an agent cost."""

    sent_bytes: int | None
    exit_code: int | None
    cost_usd: float | None


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

    def open_runs(self, orders: Sequence[Order], task_types: Sequence[str], project: Project) -> list[str]:
        """Record orders, all at once, before anything is done for them; gives back the new ids, in their order."""
        from dgummy import asked
        from dgummy.ledger_rows import RunRow, new_run_id

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

    def hand_over(self, run_ids: Sequence[str], client_pid: int) -> None:
        """Record which process looks after runs from now on."""
        for run_id in run_ids:
            self.update(run_id, client_pid=client_pid)

    def update(self, run_id: str, **changes: Unpack[RunUpdate]) -> None:
        """Record a change of state."""
        self._guard(lambda ledger: ledger.update(run_id, **changes), default=False)

    def attempt(self, run_id: str, attempt: Attempt, started_at: datetime, **figures: Unpack[AttemptFigures]) -> None:
        """Record one try at one host, which is over now; a host that did not start the run frees its placement."""
        from dgummy.ledger_rows import AttemptRow

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

    def note_placement(self, run_id: str, host: str) -> None:
        """Something is on its way to a host: whoever chooses next counts it."""
        self._guard(lambda ledger: ledger.place(run_id, lambda _: host, self._now()), default=None)

    def past_runs(self, limit: int = 2000) -> tuple[PastRun, ...]:
        """The newest runs that ended by themselves, for telling how long the next ones take."""
        from dgummy.forecast import PastRun
        from dgummy.ledger_rows import RunRow

        ended, nothing = (RunState.OK, RunState.FAILED), tuple[RunRow, ...]()
        rows = self._guard(lambda ledger: ledger.runs(limit=limit, states=ended), default=nothing)
        return tuple(
            PastRun(
                work_key(row.project, row.kind, row.command),
                row.host,
                row.duration_s,
                kind_key(row.kind, row.task_type),
            )
            for row in rows
            if row.duration_s
        )

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
            duration_s=result.duration_s if result.state.is_final else None,
            cost_usd=result.cost_usd,
            fallback=result.fallback,
            work=result.work,
            branch=result.home.branch if result.home is not None else "",
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

    def ledger(self) -> Ledger:
        """The ledger itself, for commands that are about it. LedgerError if it cannot be used now."""
        from dgummy.ledger import Ledger

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
        from dgummy.ledger import LedgerError

        try:
            result = work(self.ledger())
        except LedgerError as error:
            if not self._complained:
                self._complained = True
                self._emit(Notice(f"not recorded: {error.message} ({error.remedy})", "warning"))
            return default
        self.ledger()  # tells what there is to say of the file
        return result
