"""Text about a group of runs. Pure: records in, text out."""

from __future__ import annotations

from collections.abc import Sequence

from dgummy.grouprecords import GroupResult, Member
from dgummy.model import RunState
from dgummy.render.tables import table
from dgummy.render.text import one_line, without_state
from dgummy.units import format_duration

SIGNS = {
    RunState.OK: "✓",
    RunState.RUNNING: "→",
    RunState.CANCELLED: "■",
    RunState.LOST: "?",
    RunState.SKIPPED: "·",
}
"""One sign for each state; all others are failures."""


def sign(state: RunState) -> str:
    """Give the sign of a state: colour is never the only one."""
    return SIGNS.get(state, "✗")


def closing(result: GroupResult) -> str:
    """The closing table of a group, and the line below it."""
    by_label = any(member.label != member.result.host for member in result.members if member.result.host)
    headers = ("", "LABEL" if by_label else "HOST", "STATE", *(("HOST",) if by_label else ()), "EXIT", "TIME", "")
    rows = [_row(member, by_label=by_label) for member in result.members]
    return f"{table(rows, headers)}\n{summed_up(result)}"


def left_to_do(result: GroupResult) -> str:
    """How to run again what a deadline cut short, "" where none did."""
    from dgummy import again

    advice = again.advice(result.group_id, (member.result.state for member in result.members))
    return f"  what was not done runs again by {advice}" if result.timed_out and advice else ""


def _row(member: Member, *, by_label: bool) -> Sequence[str]:
    result = member.result
    note = member.summary
    if result.state not in (RunState.OK, RunState.RUNNING):
        reason = without_state(result.reason, result.state.value)
        told = "" if reason == f"exit code {result.exit_code}" else reason  # it has a column of its own
        note = " · ".join(part for part in (member.summary, told) if part)
    return (
        sign(result.state),
        one_line(member.label, 60),
        result.state.value.replace("_", " "),
        *((result.host or "-",) if by_label else ()),
        "-" if result.exit_code is None else str(result.exit_code),
        format_duration(result.duration_s) if result.host else "-",
        one_line(note, 160),
    )


def summed_up(result: GroupResult) -> str:
    """`All complete in 8 m 02 s (32 m 10 s one after the other)`, or how many were not."""
    total = len(result.members)
    running = total - result.ok - result.failed
    took = f"{format_duration(result.wall_s)} ({format_duration(result.sequential_s)} one after the other)"
    if running:
        head = f"{running} of {total} started" if result.failed else f"All {total} started" if total > 1 else "Started"
        return f"{head} and left to run · group {result.group_id}"
    if not result.failed:
        head = f"All complete in {took}" if total > 1 else f"Complete in {format_duration(result.wall_s)}"
        return f"{head} · group {result.group_id}"
    head = f"{result.failed} of {total} not ok in {took}"
    if result.stopped:
        head += f"; {result.stopped}"
    return f"{head} · group {result.group_id}"
