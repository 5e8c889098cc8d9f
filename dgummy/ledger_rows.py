"""The rows of the ledger, how they are written to SQLite and read back, and the ids of runs. No I/O."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypedDict, TypeVar

from dgummy.model import LOCAL_HOST, RunState
from dgummy.work import WorkState

NEVER_BEGAN = (RunState.UNREACHABLE, RunState.SYNC_FAILED, RunState.REFUSED, RunState.SKIPPED)
"""No host has anything of these."""

_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run. Unknown is None or "".

    `kind` is "run" or "task". `label` names the run within its group. `fallback` is "local" if it ran here because no
    host could. `owner` is `user@machine`, `client_pid` the process that began it. `request` is what was asked for
    (`dgummy.asked`), `base` what was sent and `work` what became of that which it changed (`dgummy.work`).
    """

    run_id: str
    kind: str
    command: str
    created_at: datetime
    state: RunState = RunState.PENDING
    group_id: str = ""
    label: str = ""
    task_type: str = ""
    project: str = ""
    remote_dir: str = ""
    host: str = ""
    exit_code: int | None = None
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    cost_usd: float | None = None
    branch: str = ""
    fallback: str | None = None
    owner: str = ""
    client_pid: int | None = None
    request: str = ""
    base: str = ""
    work: WorkState = WorkState.UNKNOWN

    @property
    def is_uncollected(self) -> bool:
        """Whether what it changed may be on its host alone. Of agents' runs that nothing is known of, it may be."""
        if self.work is WorkState.UNKNOWN:
            on_a_host = bool(self.host) and self.host != LOCAL_HOST
            return self.kind == "task" and not self.branch and on_a_host and self.state not in NEVER_BEGAN
        return self.work is WorkState.UNCOLLECTED


class RunUpdate(TypedDict, total=False):
    """What may change in a run."""

    state: RunState
    task_type: str
    project: str
    remote_dir: str
    host: str
    exit_code: int | None
    reason: str
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    cost_usd: float | None
    branch: str
    fallback: str | None
    client_pid: int | None
    base: str
    work: WorkState


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try of a run at one host. `outcome` is how it ended, `bytes` what was sent by the sync."""

    host: str
    outcome: RunState
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    bytes: int | None = None
    cost_usd: float | None = None


_Row = TypeVar("_Row", RunRow, AttemptRow)


def new_run_id(now: datetime, rand: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make an id like `20261123-164548-k3f9ab`: UTC time, then 30 random bits in Crockford's base32.

    Ids sort by their second. `rand` gives that many random bytes. Only [a-z0-9-] occur.
    """
    stamp = now.astimezone(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return f"{stamp}-{''.join(_ID_ALPHABET[byte % 32] for byte in rand(6))}"


def new_group_id(now: datetime, rand: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make the id of a group of runs: `g`, then what a run's id looks like."""
    return f"g{new_run_id(now, rand)}"


def to_sql(value: Any) -> Any:
    """Turn a field into what SQLite stores: times as ISO text in UTC with milliseconds."""
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        # An argument can hold bytes that are no UTF-8; SQLite's text cannot.
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")
    return value


def to_datetime(text: str) -> datetime:
    """Read a time that `to_sql` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def columns(kind: type[_Row]) -> tuple[str, ...]:
    """Name the columns of a kind of row, as its fields are."""
    return tuple(field.name for field in fields(kind))


def from_sql(kind: type[_Row], row: sqlite3.Row) -> _Row:
    """Read a row that `to_sql` wrote. ValueError for a state that this version does not know."""
    return kind(**{name: _value(name, row[name]) for name in columns(kind)})


def _value(name: str, stored: Any) -> Any:
    if isinstance(stored, bytes):
        return stored.decode("utf-8", "surrogatepass")
    if name in ("state", "outcome"):
        return RunState(stored)
    if name == "work":
        return WorkState(stored)
    if name.endswith("_at") and stored is not None:
        return to_datetime(stored)
    return stored
