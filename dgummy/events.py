"""What the engine tells whoever listens: the screen, plain lines, JSON, the ledger.

A listener is a callable that takes an event. It is called from one thread at a time, in order, and an error in it
must not stop the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dgummy.model import Attempt, GroupResult, RunResult, SyncResult


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know now. `level` is "info" or "warning"."""

    text: str
    level: str = "info"
    host: str = ""


@dataclass(frozen=True, slots=True)
class HostChosen:
    """A host was picked for a run; `why` holds the reasons, most important first."""

    run_id: str
    host: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SyncStarted:
    """A project begins to go to a host: `files` in the set, of `bytes` altogether."""

    host: str
    remote_dir: str
    files: int
    bytes: int
    top_level: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """How far a sync is: bytes sent so far and per cent of the set, as rsync counts them."""

    host: str
    bytes: int
    pct: float


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """A sync ended, well or not."""

    result: SyncResult


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The command runs on the host under this id."""

    run_id: str
    host: str
    command: str


@dataclass(frozen=True, slots=True)
class Output:
    """Bytes of a run's output, as they came. `stream` is "out" or "err"."""

    run_id: str
    host: str
    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """One try at one host is over; another may follow."""

    run_id: str
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over."""

    result: RunResult


@dataclass(frozen=True, slots=True)
class GroupStarted:
    """Several runs were written down under one id; none was started yet. `labels` maps their ids to their labels."""

    group_id: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class GroupEnded:
    """A group of runs is over."""

    result: GroupResult


Event: TypeAlias = (
    Notice
    | HostChosen
    | SyncStarted
    | SyncProgress
    | SyncFinished
    | RunStarted
    | Output
    | AttemptEnded
    | RunEnded
    | GroupStarted
    | GroupEnded
)
Listener: TypeAlias = Callable[[Event], None]
