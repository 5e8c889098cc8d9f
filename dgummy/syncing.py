"""Bring the project to several hosts at once, and start nothing there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dgummy import fanout
from dgummy.ledger_rows import new_run_id
from dgummy.model import Host, SyncResult
from dgummy.stop import DeadlinePassed, Stop
from dgummy.workspaces import Synced, WorkspaceSync

if TYPE_CHECKING:
    from dgummy.collecting import Collector


def would_send(syncer: WorkspaceSync, hosts: Sequence[Host], *, jobs: int) -> list[SyncResult]:
    """What a sync to each host would do, in their order. Nothing is changed there."""
    return _each(syncer, hosts, jobs, syncer.would_send)


def send(
    syncer: WorkspaceSync, hosts: Sequence[Host], collector: Collector | None, now: datetime, *, jobs: int
) -> list[SyncResult]:
    """Sync to each host, results in their order. A `collector` brings home first what earlier runs left in the way."""
    token = new_run_id(now)

    def to(host: Host) -> SyncResult:
        return after_collecting(syncer, host, token, collector, keep=False).result

    return _each(syncer, hosts, jobs, to)


def after_collecting(
    syncer: WorkspaceSync,
    host: Host,
    run_id: str,
    collector: Collector | None,
    *,
    keep: bool = True,
    isolate: bool = False,
) -> Synced:
    """Sync to one host; where uncollected work is in the way, once more after it was brought home."""
    synced = syncer.to(host, run_id, keep=keep, isolate=isolate)
    failure = synced.result.failure
    if collector is None or failure is None or not failure.run_id:
        return synced
    not_collected = collector.clear_the_way(failure.run_id)
    if not_collected is not None:
        return Synced(replace(synced.result, failure=not_collected))
    return syncer.to(host, run_id, keep=keep, isolate=isolate)


def _each(
    syncer: WorkspaceSync, hosts: Sequence[Host], jobs: int, one: Callable[[Host], SyncResult]
) -> list[SyncResult]:
    stop = Stop()
    with stop.heard_by(syncer.cancelled):
        results = fanout.interruptible(lambda: fanout.in_order(hosts, one, jobs=jobs), stop)
    if stop.cancelled:  # rsync was ended, and the workspaces are given back
        raise DeadlinePassed if stop.timed_out else KeyboardInterrupt
    return results
