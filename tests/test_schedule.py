"""When jobs run: what is taken for a schedule, what is not, when it is due, and the same for systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from dgummy import schedule

GOOD = {
    "0 2 * * *": "0 2 * * *",
    "  0   2 *\t* * ": "0 2 * * *",
    "*/5 * * * *": "*/5 * * * *",
    "0-30/10,45 1-3,23 1 jan,MAR mon-fri": "0-30/10,45 1-3,23 1 jan,MAR mon-fri",
    "0 0 * * 7": "0 0 * * 7",
    "0 0 29 2 *": "0 0 29 2 *",
    "@daily": "0 0 * * *",
    "@Hourly": "0 * * * *",
    "@yearly": "0 0 1 1 *",
}
BAD = {
    "": "0 fields",
    "0 2 * *": "4 fields",
    "0 2 * * * *": "6 fields",
    "61 * * * *": "61 is no minute",
    "0 24 * * *": "24 is no hour",
    "0 0 0 * *": "0 is no day of the month",
    "0 0 32 * *": "32 is no day of the month",
    "0 0 * 13 *": "13 is no month",
    "0 0 * * 8": "8 is no day of the week",
    "0 0 * * xyz": "xyz is no day of the week",
    "30-10 * * * *": "30-10 is no minute",
    "*/0 * * * *": "is no minute",
    "5/15 * * * *": "is no minute",
    "~ * * * *": "is no minute",
    "0 0 L * *": "is no day of the month",
    "0 0 * * 1#2": "is no day of the week",
    "0 0 30 2 *": "that day never comes",
    "@reboot": "@reboot is no time",
    "nonsense": "1 fields",
    "* * * * \x1b[31m": "is no day of the week",
    "٣ * * * *": "is no minute",
}


@pytest.mark.parametrize(("text", "fields"), GOOD.items())
def test_what_is_a_schedule(text: str, fields: str) -> None:
    assert schedule.parse(text) == fields


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as raised:
        schedule.parse(text)
    assert str(raised.value).isprintable()


def test_which_schedules_are_the_same() -> None:
    assert schedule.is_same("0 0 * * 0", "0 0 * * sun")
    assert schedule.is_same("0 0 * * 7", "0 0 * * 0")
    assert schedule.is_same("0-59 0 * * *", "* 0 * * *")
    assert not schedule.is_same("0 2 1-31 * 1", "0 2 * * 1")  # any day, or every Monday
    assert not schedule.is_same("0 2 1 * 1", "0 2 */1 * 1")
    assert not schedule.is_same("0 2 * * *", "0 3 * * *")


def test_next_and_last_by_the_local_clock() -> None:
    try:
        berlin = ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        pytest.skip("this machine knows no time zones")
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=berlin), datetime(2026, 10, 24, 12, tzinfo=berlin)
    skipped = schedule.next_after("30 2 * * *", spring)
    assert skipped is not None
    assert skipped.astimezone(ZoneInfo("UTC")) == datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("UTC"))  # 02:30 is none
    twice = schedule.next_after("30 2 * * *", autumn)
    assert twice is not None
    assert schedule.next_after("30 2 * * *", twice) == datetime(2026, 10, 26, 2, 30, tzinfo=berlin)
    assert schedule.last_before("0 2 * * 1", spring) == datetime(2026, 3, 23, 2, tzinfo=berlin)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze on this machine")
@pytest.mark.parametrize(
    "fields",
    ["0 2 * * *", "*/20 1,3 * * *", "0 0 1,15 * 1", "0 0 */10 * 1", "0 0 1-31 * 1", "5 4 * 2,11 5-7", "0 0 29 2 *"],
)
def test_systemd_understands_the_same_times(fields: str) -> None:
    now, count = datetime(2026, 11, 28, 20, 0), 6
    found: set[datetime] = set()
    for expression in schedule.calendar(fields):
        base = now.strftime("--base-time=%Y-%m-%d %H:%M:%S")
        command = ["systemd-analyze", "calendar", base, f"--iterations={count}", expression]
        done = subprocess.run(command, capture_output=True, text=True, env={"TZ": "UTC", "PATH": "/usr/bin:/bin"})
        if "unrecognized option" in done.stderr:
            pytest.skip("systemd-analyze is too old to tell")
        assert done.returncode == 0, done.stderr
        told = re.findall(r"(?:Next elapse|Iteration #\d+|Iter\. #\d+): \w+ (\S+ \S+)", done.stdout)
        found |= {datetime.fromisoformat(text) for text in told}
    expected, moment = [], now - timedelta(seconds=1)
    for _ in range(count):
        due = schedule.next_after(fields, moment)
        assert due is not None
        expected.append(due)
        moment = due
    assert sorted(found)[:count] == expected
