"""Runs asked for again: which of them, and each as the order that it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from dgummy import asked, intake, reconcile
from dgummy.chooser import Wish
from dgummy.errors import UsageError
from dgummy.intake import RunOptions
from dgummy.ledger_rows import RunRow
from dgummy.model import RunState
from dgummy.orders import Order
from dgummy.settings import Settings

KINDS: Mapping[str, frozenset[RunState]] = {
    "failed": frozenset({RunState.FAILED, RunState.TIMED_OUT}),
    "unreached": frozenset({RunState.UNREACHABLE, RunState.REFUSED, RunState.SYNC_FAILED, RunState.SKIPPED}),
    "lost": frozenset({RunState.LOST}),
}
"""What can be asked for again: what ran and failed, what no host had started, what may have run to any point."""

HANDED_OVER = "DGUMMY_VALUE_"
"""Before the name of a variable that one process of ours hands to another, for `--env`."""


def wanted(rows: Iterable[RunRow], kinds: Collection[str]) -> list[RunRow]:
    """The runs of these kinds, oldest first."""
    states = frozenset[RunState]().union(*(KINDS[kind] for kind in kinds))
    return sorted((row for row in rows if row.state in states), key=lambda row: row.created_at)


def advice(group_id: str, states: Iterable[RunState]) -> str:
    """The command that runs again what of a group failed or was not reached; "" if there is nothing of that."""
    found = frozenset(states)
    kinds = [f"--{kind}" for kind in ("failed", "unreached") if KINDS[kind] & found]
    return " ".join(("inv retry", group_id, *kinds)) if kinds else ""


def is_left_behind(row: RunRow) -> bool:
    """Whether a run of a group waits to be begun, or was given up when its client ended, before it had a host."""
    given_up = is_called_off(row) and not row.host
    return bool(row.group_id) and (row.state is RunState.PENDING or given_up)


def is_called_off(row: RunRow) -> bool:
    """Whether a run was given up because its client ended before it was started."""
    return row.state is RunState.SKIPPED and row.reason == reconcile.client_gone().reason


def under_way(rows: Iterable[RunRow], known: Iterable[RunRow]) -> list[RunRow]:
    """Those of the known runs that are one of `rows` once more, and not over."""
    ids = {row.run_id for row in rows}
    kept = ((one, asked.decode(one.request)) for one in known if not one.state.is_final)
    return [one for one, request in kept if request is not None and request.again in ids]


def order_of(
    row: RunRow,
    settings: Settings,
    environ: Mapping[str, str],
    *,
    detach: bool = False,
    anew: bool = False,
    locks: Iterable[str] = (),
) -> Order:
    """A run as the order that it was. Values of its variables are taken from the environment as it is now.

    anew: as another run, which says of which it is the repetition. locks: held beside those it was under. UsageError if
    nothing was kept of what was asked, or a variable has no value.
    """
    kept = asked.decode(row.request)
    if kept is None:
        raise UsageError(f"nothing was kept of what run {row.run_id} was asked", "start it anew: inv run, or inv task")
    options = RunOptions(
        sync=kept.sync,
        timeout_s=kept.timeout_s,
        env={name: _value(name, environ, row) for name in kept.env_names},
        verify=kept.verify,
        detach=detach,
        collect={"auto": True, "off": False}.get(kept.collect),
        fetch=kept.fetch,
        collect_first=kept.collect_first,
        isolate=kept.isolate,
        job=kept.job,
        locks=tuple(dict.fromkeys((*kept.locks, *locks))),
    )
    tool = settings.agent.tool if kept.mode else ""  # it is required of whoever gets an agent's task
    wish = Wish(
        hosts=kept.hosts,
        group=kept.group,
        exclude=kept.exclude,
        task_type=kept.task_type,
        text=row.command,
        requires=tuple(term for term in kept.requires if term != tool),
    )
    if kept.mode:
        order = intake.task_order(row.command, kept.mode, wish, options, settings)
    else:
        order = intake.command_order(row.command, wish, options, settings)
    order = intake.named(order, row.label, fallback=kept.fallback)
    return replace(order, again=row.run_id if anew else kept.again)


def _value(name: str, environ: Mapping[str, str], row: RunRow) -> str:
    value = environ.get(HANDED_OVER + name, environ.get(name))
    if value is None:
        what = f"run {row.run_id} was given the variable {name}, and values are never kept"
        raise UsageError(what, f"export {name} first, then try again")
    return value
