"""The newest runs of the ledger, for whoever cannot wait: read only, nothing is made, upgraded or repaired."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dgummy.model import RunState

_WAIT_S = 0.1
_FINAL = frozenset(state.value for state in RunState if state.is_final and state is not RunState.LOST)


@dataclass(frozen=True, slots=True)
class RecentRun:
    """A run as the ledger has it. Text is as somebody wrote it: to be cleaned before it is shown."""

    run_id: str
    group_id: str
    label: str
    command: str
    host: str
    state: str

    @property
    def may_be_alive(self) -> bool:
        """Whether it may still be at work somewhere."""
        return self.state not in _FINAL


def recent_runs(path: Path, limit: int = 50) -> list[RecentRun]:
    """The newest runs first. Nothing if there is no ledger, or it cannot be read at once."""
    if not path.is_file():
        return []
    sql = """SELECT run_id, group_id, label, command, host, state FROM runs
        ORDER BY created_at DESC, rowid DESC LIMIT ?"""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_WAIT_S)) as connection:
            return [RecentRun(*map(_text, row)) for row in connection.execute(sql, (limit,))]
    except sqlite3.Error:
        return []


def _text(stored: object) -> str:
    return stored.decode("utf-8", "replace") if isinstance(stored, bytes) else str(stored)
