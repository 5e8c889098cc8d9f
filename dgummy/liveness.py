"""When a process of this machine began: what tells a client that is still at work from another that got its number."""

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
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC0"},
            timeout=5,
        )
        return datetime.strptime(" ".join(done.stdout.split()), _LSTART).replace(tzinfo=timezone.utc)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
