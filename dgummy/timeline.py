"""What the ledger tells a watcher: what ran where lately, and in which folders."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from dgummy.history import NOT_FINAL, History, Query
from dgummy.ledger_rows import RunRow
from dgummy.views import TimelineEntry

MAX_RUNS = 500
_MAX_FOLDERS = 50


def folders(rows: Iterable[RunRow]) -> dict[str, list[str]]:
    """The folders in which runs ran, by host; in order, at most 50 of each host."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        known = found.setdefault(row.host, {})
        if row.host and row.remote_dir and len(known) < _MAX_FOLDERS:
            known[row.remote_dir] = None
    return {host: list(known) for host, known in found.items()}


def since(history: History, start: datetime) -> list[TimelineEntry]:
    """What ran since then or still runs, as the hosts tell it; the oldest first."""
    begun = history.select(Query(since=start, limit=MAX_RUNS))
    under_way = history.select(Query(states=NOT_FINAL, limit=MAX_RUNS))
    rows = {seen.row.run_id: seen.row for seen in (*begun, *under_way)}
    entries = [
        TimelineEntry(
            row.run_id,
            row.host,
            row.label or row.command,
            row.state.value,
            row.started_at or row.created_at,
            row.ended_at,
            row.owner,
        )
        for row in rows.values()
        if row.host
    ]
    return sorted(entries, key=lambda one: (one.started_at, one.run_id))
