"""What the engine tells whoever listens: the screen, plain lines, JSON, the ledger.

A listener is a callable that takes an event. It is called from one thread at a time, in order, and an error in it
must not stop the run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from dgummy.grouprecords import GroupResult
from dgummy.model import Attempt, RunResult, SyncResult
from dgummy.work import Homecoming


class Notice(msgspec.Struct, frozen=True):
    """Something the user should know now.

    `level` is "info", "caution" (of a command that ends well, nobody need hear it later) or "warning".
    """

    text: str
    level: str = "info"
    host: str = ""


class HostChosen(msgspec.Struct, frozen=True):
    """A host was picked for a run; `why` holds the reasons, most important first."""

    run_id: str
    host: str
    why: tuple[str, ...]


class SyncStarted(msgspec.Struct, frozen=True):
    """A project begins to go to a host: `files` in the set, of `bytes` altogether."""

    host: str
    remote_dir: str
    files: int
    bytes: int
    top_level: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()


class SyncProgress(msgspec.Struct, frozen=True):
    """How far a sync is: bytes sent so far and per cent of the set, as rsync counts them."""

    host: str
    bytes: int
    pct: float


class SyncFinished(msgspec.Struct, frozen=True):
    """A sync ended, well or not."""

    result: SyncResult


class RunStarted(msgspec.Struct, frozen=True):
    """The command runs on the host under this id."""

    run_id: str
    host: str
    command: str


class Output(msgspec.Struct, frozen=True):
    """Bytes of a run's output, as they came. `stream` is "out" or "err"."""

    run_id: str
    host: str
    stream: str
    data: bytes


class AttemptEnded(msgspec.Struct, frozen=True):
    """One try at one host is over; another may follow."""

    run_id: str
    attempt: Attempt


class RunEnded(msgspec.Struct, frozen=True):
    """A run is over."""

    result: RunResult


class WorkHome(msgspec.Struct, frozen=True):
    """What a run changed was brought home, or as much of it as could be."""

    home: Homecoming


class GroupStarted(msgspec.Struct, frozen=True):
    """Several runs were written down under one id; none was started yet. `labels` maps their ids to their labels."""

    group_id: str
    labels: Mapping[str, str]


class GroupEnded(msgspec.Struct, frozen=True):
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
    | WorkHome
    | GroupStarted
    | GroupEnded
)
Listener: TypeAlias = Callable[[Event], None]
