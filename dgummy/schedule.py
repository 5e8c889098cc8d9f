"""When a job runs: cron's five fields, as people write them, and as systemd writes the same. Pure.

Two libraries have to agree on what is written: `cronsim`, which knows when Debian's cron would run it, and
`python-crontab`, which writes the line (see `cronline`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timezone

from cronsim import CronSim, CronSimError

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_PART = rf"(?:\*(?:/\d{{1,2}})?|{_VALUE}(?:-{_VALUE}(?:/\d{{1,2}})?)?)"
_FIELD = re.compile(rf"{_PART}(?:,{_PART})*", re.ASCII)
_NAMES = ("minute", "hour", "day of the month", "month", "day of the week")
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_SOME_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)


def parse(text: str) -> str:
    """Five fields with one blank between, from what a user wrote. ValueError, in words, if it is no schedule of cron's.

    What only some crons know (`@reboot`, `L`, `#`, `~`, `5/15`, seconds) is refused.
    """
    words = text.split()
    if len(words) == 1 and words[0].startswith("@"):
        if words[0].lower() not in MACROS:
            raise ValueError(f"{words[0][:40]} is no time: {', '.join(MACROS)} are, and five fields")
        return MACROS[words[0].lower()]
    if len(words) != 5:
        raise ValueError(f"there are {len(words)} fields and not five: minute, hour, day, month, day of the week")
    for name, field in zip(_NAMES, words, strict=True):
        if not _FIELD.fullmatch(field):
            raise ValueError(f"{field[:40]!a} is no {name}")
        try:
            _alone(name, field)
        except CronSimError:
            raise ValueError(f"{field[:40]} is no {name}") from None
    try:
        CronSim(" ".join(words), _SOME_DAY)
    except CronSimError:
        raise ValueError("that day never comes") from None
    return " ".join(words)


def _alone(name: str, field: str) -> None:
    fields = ["*"] * 5
    fields[_NAMES.index(name)] = field
    if name != "day of the month":  # the 31st by itself is well
        CronSim(" ".join(fields), _SOME_DAY)
    else:
        CronSim(f"0 0 {field} * *", _SOME_DAY)


def is_same(one: str, other: str) -> bool:
    """Whether two schedules, each of five fields, are the same times."""
    return _sets(one) == _sets(other)


def next_after(fields: str, now: datetime) -> datetime | None:
    """When it runs next after `now`, by the clock of its time zone."""
    return next(CronSim(fields, now), None)


def last_before(fields: str, now: datetime) -> datetime | None:
    """When it was to run last, before `now`."""
    return next(CronSim(fields, now, reverse=True), None)


def calendar(fields: str) -> tuple[str, ...]:
    """The same for systemd: `OnCalendar` expressions; it runs at the times of any of them.

    Where both the day of the month and that of the week are given, cron means either, and systemd both: that makes two.
    """
    at = CronSim(fields, _SOME_DAY)
    weekdays = {day % 7 for day in at.weekdays if isinstance(day, int)}
    clock = f"{_listed(at.hours, 24)}:{_listed(at.minutes, 60)}:00"
    month, day = _listed(at.months, 12), _listed(at.days, 31)
    names = ",".join(_DAYS[day] for day in sorted(weekdays)) if len(weekdays) < 7 else ""
    both = f"{names} *-{month}-{day} {clock}".strip()
    if at.day_and or not names or day == "*":
        either = not at.day_and and (not names or day == "*")  # one of the two is any day, so all days are
        return (f"*-{month}-* {clock}",) if either else (both,)
    return (f"*-{month}-{day} {clock}", f"{names} *-{month}-* {clock}")


def _listed(values: Collection[int], of: int) -> str:
    return "*" if len(values) == of else ",".join(f"{value:02d}" for value in sorted(values))


def _sets(fields: str) -> tuple[object, ...]:
    at = CronSim(fields, _SOME_DAY)
    days = {day % 7 if isinstance(day, int) else day for day in at.weekdays}
    either = not at.day_and and len(at.days) < 31 and len(days) < 7
    every = not at.day_and and (len(at.days) == 31 or len(days) == 7)
    return (at.minutes, at.hours, at.months, either, *(("any",) if every else (at.days, days)))
