"""`inv retry` and `inv resume`: what is left to be done of runs that were asked for before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from invoke.context import Context

from dgummy.errors import TryAgainError, UsageError
from dgummy.tasks._flags import BoundFlags, all_words, command_with, flag
from dgummy.tasks._shared import locks_held
from dgummy.tasks.groups import bounds, group_session, leave, show

if TYPE_CHECKING:
    from dgummy.ledger_rows import RunRow
    from dgummy.orders import Order
    from dgummy.tasks._shared import Session


@dataclass
class RetryFlags(BoundFlags):
    """What `inv retry` takes."""

    begins: ClassVar[bool] = True
    run: list[str] = all_words("the beginning of a group's id or a run's, or `last`")
    failed: bool = flag("those that ran and failed, or ran out of time", default=False)
    unreached: bool = flag("those that no host started", default=False)
    lost: bool = flag("those of which nobody knows how far they came: they may have run", default=False)
    detach: bool = flag("start them, print their run ids and return", default=False)


@dataclass
class ResumeFlags(BoundFlags):
    """What `inv resume` takes."""

    group: list[str] = all_words("the beginning of the group's id, or `last`")
    force: bool = flag("sync even what looks like a mistake (the home folder, say)", default=False)


@command_with(RetryFlags)
def retry(c: Context, flags: RetryFlags) -> int:
    """Run again what failed, was not reached, or was lost of a group; nothing else of it is touched.

    While some of it is being run again already, the exit code is 75, and nothing is run.

    Example: inv retry last --failed
    """
    from dgummy import again

    kinds = [kind for kind in again.KINDS if getattr(flags, kind)]
    if not kinds:
        raise UsageError("say what is to be run again", "give --failed, --unreached or --lost, or several of them")
    with group_session(c, flags) as now:
        known = now.app.cluster.history.refresh(_found(now, flags.run))
        rows = again.wanted([seen.row for seen in known], kinds)
        if not rows:
            return _nothing(now, flags, f"nothing there is {' or '.join(kinds)}: nothing was run")
        orders = _orders(now, rows, detach=flags.detach, anew=True, locks=locks_held(flags))
        groups, project = now.app.cluster.groups, _project(rows)
        with groups.once_at_a_time(rows):
            if flags.detach and not groups.are_pinned(orders):
                now.app.cluster.change_to(project)
                return leave(now, flags, orders)
            return show(now, flags, groups.retry(orders, project, bounds(flags)))


@command_with(ResumeFlags)
def resume(c: Context, flags: ResumeFlags) -> int:
    """Start what of a group was never started because its client ended, under the ids it has.

    Example: inv resume last
    """
    from dgummy import again, background
    from dgummy.reconcile import Client

    parent = os.environ.pop(background.PARENT, "")
    with group_session(c, flags) as now:
        history = now.app.cluster.history
        rows = [row for row in _found(now, flags.group) if again.is_left_behind(row)]
        ours = {os.getpid(), int(parent) if parent.isdigit() else None}
        alive = (row for row in rows if row.client_pid not in ours and history.client_of(row) is Client.ALIVE)
        busy = next(alive, None)
        if busy is not None:
            raise TryAgainError(
                f"process {busy.client_pid} is at work on group {busy.group_id}", f"follow it: inv wait {busy.group_id}"
            )
        orders = _orders(now, rows)
        taken = {row.run_id for row in history.adopt(rows)}
        if not taken:
            known = [seen.row for seen in history.refresh(_found(now, flags.group))]
            advice = again.advice(known[0].group_id or known[0].run_id, (row.state for row in known))
            left = f"; what was not done of it runs again by {advice}" if advice else ""
            return _nothing(now, flags, f"nothing of it is waiting to be started{left}")
        orders = [order for order, row in zip(orders, rows, strict=True) if row.run_id in taken]
        rows = [row for row in rows if row.run_id in taken]
        now.app.cluster.force = flags.force
        run_ids = [row.run_id for row in rows]
        groups = now.app.cluster.groups
        return show(now, flags, groups.resume(rows[0].group_id, orders, run_ids, _project(rows), bounds(flags)))


def _nothing(now: Session, flags: BoundFlags, text: str) -> int:
    from dgummy.render import documents

    now.console.note(text)
    if flags.json and not flags.stream:
        now.console.result(documents.dump(documents.nothing_to_do()))
    return 0


def _found(now: Session, words: Sequence[str]) -> list[RunRow]:
    """The runs that are meant; `last` is the newest run, and all of its group if it is of one."""
    from dgummy.ledger import LAST

    history = now.app.cluster.history
    rows = history.find(words)
    if LAST in words:
        rows = history.find([row.group_id or row.run_id for row in rows])
    return rows


def _orders(now: Session, rows: Sequence[RunRow], **how: Any) -> list[Order]:
    from dgummy import again

    return [again.order_of(row, now.app.settings, os.environ, **how) for row in rows]


def _project(rows: Sequence[RunRow]) -> Path:
    """The folder that all of them were asked for in."""
    from dgummy import asked

    folders = {(row.project, kept.subdir if (kept := asked.decode(row.request)) else "") for row in rows}
    if len(folders) > 1:
        names = ", ".join(sorted({project for project, _ in folders}))
        raise UsageError(f"these runs are about several folders: {names}", "run those of one at a time again")
    ((project, subdir),) = folders
    return Path(project) / subdir
