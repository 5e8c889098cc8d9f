"""Parse and format durations, sizes and counts. Pure.

Everything inside the program is seconds and bytes; these functions are for people.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_SIZE_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def parse_duration_s(text: str | float) -> float:
    """Seconds in `90`, `1.5`, `20m`, `2h30m`, `1d`; a bare number is seconds. ValueError if it is neither."""
    if isinstance(text, (int, float)):
        seconds = float(text)
    else:
        cleaned = text.strip().lower().replace(" ", "")
        match = _DURATION.fullmatch(cleaned)
        if not cleaned or match is None:
            raise ValueError(f"{text!r} is not a duration; write 90, 90s, 20m or 2h30m")
        days, hours, minutes, rest = match.groups()
        seconds = int(days or 0) * 86400 + int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest or 0)
    if not 0 <= seconds < 1e9:
        raise ValueError(f"{text!r} is out of range for a duration")
    return seconds


def parse_since(text: str, now: datetime) -> datetime:
    """A moment: so long before `now` (`90s`, `2d`), or an ISO date or time, by the local clock unless it names a zone.

    ValueError if it is neither.
    """
    try:
        return now - timedelta(seconds=parse_duration_s(text))
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.strip().upper().replace("Z", "+00:00")).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a duration nor a date; write 2d, 2026-11-20 or 2026-11-20T14:30"
        ) from None


def format_duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `8 m 02 s`, `1 h 03 m`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} m"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def format_bytes(count: int) -> str:
    """`512 B`, `45 MB`, `1.2 GB`; decimal units as rsync and disks use them."""
    size = float(count)
    for unit in _SIZE_UNITS:
        if size < 999.5 or unit == _SIZE_UNITS[-1]:
            return f"{size:.1f} {unit}" if unit != "B" and size < 9.95 else f"{size:.0f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def format_count(count: int, noun: str) -> str:
    """`1,247 files`, `1 file`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_pct(fraction_pct: float | None) -> str:
    """`45%`, or `?` when it is not known."""
    return "?" if fraction_pct is None else f"{fraction_pct:.0f}%"
