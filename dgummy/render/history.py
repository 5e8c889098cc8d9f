"""Runs that were started before, for people. Pure: records in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dgummy.render.text import one_line, without_state
from dgummy.units import format_count, format_duration

if TYPE_CHECKING:
    from dgummy.cancelling import Cancelled
    from dgummy.history import Seen
    from dgummy.ledger_rows import RunRow
    from dgummy.model import Failure
    from dgummy.upkeep import Pruned, Rebuilt

_HEADERS = ("ID", "WHEN", "WHAT", "HOST", "STATE", "EXIT", "TOOK", "COMMAND")
_WIDEST_COMMAND = 200
_LEAST_COMMAND = 12


def runs(found: Sequence[Seen], now: datetime, width: int | None = None) -> str:
    """The table of `inv runs`, newest first; commands are cut so that it is no wider than `width` columns."""
    if not found:
        return "no runs"
    heads = [_cells(seen, now) for seen in found]
    room = _WIDEST_COMMAND
    if width is not None:
        columns = [max(len(head) + 2, *map(len, cells)) for head, *cells in zip(_HEADERS, *heads, strict=False)]
        room = max(_LEAST_COMMAND, width - sum(columns) - 2 * len(columns))
    rows = [(*cells, one_line(seen.row.command, room)) for cells, seen in zip(heads, found, strict=True)]
    from tabulate import tabulate

    return tabulate(rows, _HEADERS, tablefmt="plain", disable_numparse=True)


def _cells(seen: Seen, now: datetime) -> tuple[str, ...]:
    row = seen.row
    return (
        row.run_id,
        row.created_at.astimezone().strftime("%Y-%m-%d %H:%M"),
        one_line(row.label, 20) or row.kind,
        one_line(row.host) or "-",
        state(seen),
        "" if row.exit_code is None else str(row.exit_code),
        _took(row, now),
    )


def state(seen: Seen) -> str:
    """Its state, with `?` where its host could not be asked; and that its work is still there, once it is over."""
    text = seen.row.state.value.replace("_", " ") + ("?" if seen.failure is not None else "")
    return f"{text}, not collected" if seen.row.state.is_final and seen.row.is_uncollected else text


def _took(row: RunRow, now: datetime) -> str:
    if row.duration_s is not None:
        return format_duration(row.duration_s)
    if row.started_at is None or row.state.is_final:
        return ""
    return format_duration(max(0.0, (now - row.started_at).total_seconds()))


def header(row: RunRow) -> str:
    """The line before the output of one run among several."""
    label = f" {one_line(row.label, 40)}" if row.label else ""
    return f"── {row.run_id}{label} on {one_line(row.host) or 'no host'}: {one_line(row.command, 100)}"


def cancelled(done: Cancelled) -> str:
    """What came of cancelling one run."""
    where = f" on {one_line(done.row.host)}" if done.row.host else ""
    return f"{'✗' if done.code else '■'} {done.row.run_id}{where}: {one_line(done.text, 500)}"


def remedy(done: Cancelled) -> str:
    """What to do about one that could not be cancelled."""
    return one_line(done.remedy, 500)


def pruned(done: Pruned) -> str:
    """What was removed, what was kept and why."""
    would = "would be removed" if done.dry else "removed"
    lines = [f"{format_count(done.rows, 'run')} {would} from the ledger"]
    lines += [f"{host}: {format_count(count, 'folder')} {would}" for host, count in done.folders.items()]
    lines += [f"kept {format_count(count, 'run')}: {reason}" for reason, count in done.kept.items()]
    return "\n".join(lines)


def uncollected(run_ids: Sequence[str], shown: int = 10) -> list[str]:
    """Whose work keeps them, and the command that brings it home."""
    if not run_ids:
        return []
    more = f" and {len(run_ids) - shown:,} more" if len(run_ids) > shown else ""
    return [
        f"✗ not collected, and kept: {' '.join(run_ids[:shown])}{more}",
        f"  bring their work home: inv collect {' '.join(run_ids[:shown])}; or add --collect-first",
    ]


def rebuilt(done: Rebuilt) -> str:
    """What each host gave back."""
    return "\n".join(
        f"{host}: {format_count(count, 'run')} added, {done.known[host]:,} known already"
        for host, count in done.added.items()
    )


def silent(failures: Mapping[str, Failure]) -> list[str]:
    """Who did not answer, and what to do about that."""
    lines = []
    for host, failure in failures.items():
        lines.append(f"✗ {host}: {one_line(without_state(str(failure), ''), 500)}; nothing of it was touched")
        if failure.remedy:
            lines.append(f"  {one_line(failure.remedy, 500)}")
    return lines
