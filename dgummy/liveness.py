"""Processes of this machine: what tells a client that is still at work from another process that got its number."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path

_LSTART = "%a %b %d %H:%M:%S %Y"
_PROC = Path("/proc")


def process_began_at(pid: int, now: datetime) -> datetime | None:
    """When that process began, to about a second; None if there is none, or if it is only a zombie."""
    if (_PROC / "self" / "stat").exists():
        return _by_proc(pid, now)
    return _by_ps(pid)


def process_words(pid: int) -> tuple[str, ...]:
    """The words of its command line; () if there is none. Words that hold blanks may be told as several."""
    try:
        return tuple(
            word.decode("utf-8", "replace") for word in (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        )
    except OSError:
        return tuple(_ps("args=", pid).split())


def _by_proc(pid: int, now: datetime) -> datetime | None:
    """By proc(5): field 3 is the state, field 22 the start in ticks since boot. A name may hold blanks and brackets."""
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        uptime_s = float((_PROC / "uptime").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    if fields[0] in (b"Z", b"X"):
        return None
    return now - timedelta(seconds=uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def _by_ps(pid: int) -> datetime | None:
    try:
        told = " ".join(_ps("lstart=", pid).split())
        return datetime.strptime(told, _LSTART).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _ps(column: str, pid: int) -> str:
    """What ps tells of a process, times in UTC; "" if there is none."""
    environ = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}
    words = ["ps", "-ww", "-o", column, "-p", str(pid)]
    try:
        done = subprocess.run(words, capture_output=True, encoding="utf-8", errors="replace", env=environ, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
