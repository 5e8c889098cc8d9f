"""Bring home what runs changed on their hosts: as a branch of the project, else as files in a folder.

The order of steps is what makes it safe to be cut off anywhere: everything is read and made here first, then the branch
appears, then the ledger says so, and only then the host is told that what is there may be overwritten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dgummy import fanout
from dgummy.errors import DgummyError
from dgummy.events import WorkHome
from dgummy.harvest import Harvester
from dgummy.history import Access
from dgummy.ledger_rows import RunRow
from dgummy.model import Failure, FailureKind
from dgummy.work import Homecoming

_TRIES = 3
_AGAIN = frozenset({FailureKind.LOST, FailureKind.DROPPED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of collecting one run: what was brought home, or why nothing was."""

    row: RunRow
    home: Homecoming | None = None
    failure: Failure | None = None


class Collector:
    """Collects runs. Thread-safe: several at once."""

    def __init__(self, access: Access, state_dir: Path) -> None:
        self._access = access
        self._state_dir = state_dir
        self._limits = access.settings.collect
        self._harvester = Harvester(access)

    def collect_all(self, rows: Sequence[RunRow], fetch: Sequence[str] = ()) -> list[Outcome]:
        """Collect several runs, hosts in parallel; in their order."""
        return fanout.in_order(rows, lambda row: self.collect(row, fetch), jobs=self._access.settings.jobs)

    def collect(self, row: RunRow, fetch: Sequence[str] = ()) -> Outcome:
        """Bring home what one run changed, and the files that `fetch` names (patterns relative to the project).

        May be done again at any time: what is here already stays as it is.
        """
        try:
            home = self._collect(row, fetch)
        except DgummyError as error:
            kind = error.failure_kind if isinstance(error, _Broken) else FailureKind.UNCOLLECTED
            return Outcome(row, failure=Failure(kind, error.message, error.remedy))
        if isinstance(home, Failure):
            return Outcome(row, failure=home)
        self._access.emit(WorkHome(home))
        return Outcome(row, home)
