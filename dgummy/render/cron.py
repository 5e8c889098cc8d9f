"""Jobs of cron for people and as JSON. Pure: records in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from dgummy.model import RunState
from dgummy.render.text import one_line

if TYPE_CHECKING:
    from dgummy.cronline import CronJob, Entry
    from dgummy.jobrecord import LastRun
    from dgummy.scheduling import Listed

_HEADERS = ("NAME", "SCHEDULE", "NEXT", "LAST", "RESULT", "COMMAND")
_STATES = {
    0: "ok",
    75: "try again",
    77: "refused",
    78: "settings",
    124: "timed out",
    130: "interrupted",
    143: "told to end",
}


def table(found: Sequence[Listed]) -> str:
    """The table of `inv cron.list`."""
    if not found:
        return "no jobs; add one: inv cron.add nightly '0 2 * * *' -- run 'make test'"
    from tabulate import tabulate

    return tabulate([_cells(one) for one in found], _HEADERS, tablefmt="plain", disable_numparse=True)


def problems(found: Sequence[Listed]) -> list[str]:
    """What keeps jobs from running, a line each."""
    return [f"✗ {one.entry.name}: {one_line(text, 500)}" for one in found for text in one.problems]


def _cells(one: Listed) -> tuple[str, ...]:
    words = " ".join(one.job.words) if one.job is not None else one.entry.command
    kind = " (timer)" if one.entry.is_timer else ""
    return (
        one.entry.name,
        one_line(one.entry.fields, 60) + kind,
        "-" if one.next_at is None else _local(one.next_at),
        "-" if one.last is None else _local(one.last.started_at),
        _result(one),
        one_line(words, 100),
    )


def _result(one: Listed) -> str:
    last, holder = one.last, one.holder
    if holder is not None and (last is None or last.pid != holder.pid):
        since = f" since {_local(datetime.fromisoformat(holder.since))}" if holder.since else ""
        return f"running{since} (process {holder.pid})"
    if last is None:
        return "never ran"
    state, code = state_of(one), last.exit_code
    text = state if code in (0, None) else f"{state}, exit code {code}"
    if one.run is not None and one.run.group_id:
        return f"{text} · {one.run.group_id}"
    if one.run is not None:
        where = f" on {one_line(one.run.host)}" if one.run.host else ""
        return f"{text}{where} · {one.run.run_id}"
    return f"{text}: {one_line(last.why, 160)}" if last.why else text


def state_of(one: Listed) -> str:
    """How it went last, in a word or two."""
    last = one.last
    if last is None:
        return "never"
    if last.ended_at is None:
        return "running" if one.holder is not None and one.holder.pid == last.pid else "lost"
    run = one.run
    if run is not None and run.state.is_final and not run.group_id:
        went_well = run.state is RunState.OK
        if went_well is (last.exit_code == 0):  # else what came after it went wrong
            return run.state.value.replace("_", " ")
    return _STATES.get(last.exit_code or 0, "failed")


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def _utc(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def document(found: Sequence[Listed]) -> dict[str, Any]:
    """`inv cron.list --json`."""
    return {"jobs": [{**_entry(one.entry, one.job), **_standing(one)} for one in found]}


def _standing(one: Listed) -> dict[str, Any]:
    return {
        "enabled": one.entry.enabled,
        "next_run_at": None if one.next_at is None else _utc(one.next_at),
        "running": _running(one),
        "last": _last(one, one.last),
        "problems": list(one.problems),
    }


def _running(one: Listed) -> dict[str, Any] | None:
    holder = one.holder
    return None if holder is None else {"pid": holder.pid, "since": holder.since or None, "command": holder.command}


def _last(one: Listed, last: LastRun | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "state": state_of(one).replace(" ", "_"),
        "exit_code": last.exit_code,
        "reason": last.why or None,
        "started_at": _utc(last.started_at),
        "ended_at": None if last.ended_at is None else _utc(last.ended_at),
        "group_id": (one.run.group_id or None) if one.run is not None else None,
        "run_id": one.run.run_id if one.run is not None and not one.run.group_id else None,
        "host": (one.run.host or None) if one.run is not None and not one.run.group_id else None,
    }


def _entry(entry: Entry, job: CronJob | None) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": "timer" if entry.is_timer else "cron",
        "schedule": entry.fields,
        "command": entry.command,
        "words": None if job is None else list(job.words),
        "folder": None if job is None else job.folder,
        "lock": None if job is None else job.lock,
        "log": None if job is None else job.log,
    }


def added(
    entry: Entry,
    job: CronJob,
    next_at: datetime | None,
    tried: Mapping[str, Any] | None,
    notes: Sequence[str],
    *,
    dry: bool,
) -> dict[str, Any]:
    """`inv cron.add --json`."""
    return {
        **_entry(entry, job),
        "next_run_at": None if next_at is None else _utc(next_at),
        "written": not dry,
        "hosts": None if tried is None else tried.get("hosts", []),
        "notes": list(notes),
    }


def removed(entry: Entry, job: CronJob | None) -> dict[str, Any]:
    """`inv cron.remove --json`."""
    return {"removed": _entry(entry, job)}
