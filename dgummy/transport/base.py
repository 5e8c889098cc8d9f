"""The one protocol that every way to reach a host speaks.

A transport takes a POSIX-sh script, hands it to `sh -s` on the host's stdin, and gives back framed output
(`framing`), an exit status, or a typed failure. It never prints, never prompts, and never raises for what a host
does: exceptions from here are bugs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.framing import Fact, Frame

FrameSink = Callable[[Frame], None]
"""Called for each frame as it arrives, from the thread that runs the script."""


class Deadline:
    """A point in (monotonic) time after which waiting is over. `None` seconds means never."""

    def __init__(self, seconds: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    def remaining_s(self) -> float | None:
        """Seconds left, never negative; None without a limit."""
        return None if self._end is None else max(0.0, self._end - self._clock())

    def extend(self, seconds: float) -> None:
        """Add time, for example what a question to the user took."""
        if self._end is not None:
            self._end += seconds

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and self._clock() >= self._end


@dataclass(frozen=True, slots=True)
class Script:
    """A composed script (`dgummy.remote.compose`) and the marker that its frames carry."""

    text: bytes
    marker: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A script ran to its end on the host.

    `facts` are the marked lines it printed (raw data frames go to the sink only). `noise` is the tail of whatever else
    came (banners, shell complaints), bounded, for error messages; `stdout_noise` what of it came on stdout.
    """

    exit_status: int
    facts: tuple[Fact, ...] = ()
    noise: str = ""
    stdout_noise: str = ""

    def first(self, name: str, default: str = "") -> str:
        """The value of the first fact of that name."""
        return next((fact.value for fact in self.facts if fact.name == name), default)

    def all(self, name: str) -> list[str]:
        """The values of every fact of that name, in order."""
        return [fact.value for fact in self.facts if fact.name == name]

    def has(self, name: str) -> bool:
        """Whether a fact of that name came."""
        return any(fact.name == name for fact in self.facts)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a script may take: to `total_s` altogether, `idle_s` between two bits of output. None: no limit."""

    total_s: float | None = 30.0
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """How a host was reached: the ssh name that answered, its address, and the time the connection took."""

    ssh_name: str
    address: str
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: `files` and `bytes` count what was sent, not what was there already."""

    files: int
    bytes: int
    duration_s: float
    notices: tuple[str, ...] = ()


class Transport(Protocol):
    """A way to run scripts on hosts. Thread-safe: several scripts may run at once, also on one host."""

    name: str
    """`ssh`, `local` or `d`: what results show as their source."""

    def connect(self, host: Host) -> Reached | Failure:
        """Reach the host, or say why not, within the connect time-out. Connections stay open and are shared."""
        ...

    def run_script(
        self, host: Host, script: Script, limits: Limits = Limits(), sink: FrameSink | None = None
    ) -> Answer | Failure:
        """Run a script to its end.

        `Failure(LOST)` means the connection broke after the script may have begun; every other failure kind means
        that nothing of it ran.
        """
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


@runtime_checkable
class CountsSessions(Protocol):
    """A transport whose connections carry several sessions each, as far as the other side lets them."""

    def count_sessions(self, host: Host, wanted: int) -> int | None:
        """How many sessions, of `wanted`, one connection to the host carries at once; None if nobody can tell."""
        ...


@dataclass(slots=True)
class FactCollector:
    """Gathers facts while passing every frame on to a sink."""

    sink: FrameSink | None = None
    facts: list[Fact] = field(default_factory=list)

    def __call__(self, frame: Frame) -> None:
        """Take a frame."""
        if isinstance(frame, Fact):
            self.facts.append(frame)
        if self.sink is not None:
            self.sink(frame)


def conclude(facts: Sequence[Fact], noise: str, *, broken: str = "", stdout_noise: str = "") -> Answer | Failure:
    """What a script's output amounts to, by its `begin` and `end` lines (see `dgummy.remote`).

    `broken` says how the connection ended, "" if it ended in good order. Without `end` the answer is `Failure(LOST)`,
    unless the connection is in good order and `begin` never came: then the other side's shell did not run it at all.
    """
    status = next((fact.value for fact in reversed(facts) if fact.name == "end"), None)
    if status is not None:
        told = tuple(fact for fact in facts if fact.name not in ("begin", "end"))
        return Answer(int(status) if status.isdigit() else 255, told, noise, stdout_noise)
    if not broken and not any(fact.name == "begin" for fact in facts):
        return Failure(
            FailureKind.SHELL,
            noise.splitlines()[-1] if noise else "the login shell ended without running sh",
            "make sure that a plain `ssh HOST sh -c true` works and prints nothing",
        )
    return Failure(FailureKind.LOST, broken or "the script was cut off on the host")


_FAILED_KINDS = {
    "permission": (
        FailureKind.PERMISSION,
        "check who owns it, or set remote_dir to a folder you can write to",
    ),
    "machine": (FailureKind.WRONG_MACHINE, "its name leads to two machines, or it was restarted: try again"),
    "disk": (FailureKind.DISK_FULL, "make room on that host (df -h), then try again"),
}


def failed(value: str) -> Failure:
    """The failure in a script's `failed KIND DETAIL` fact."""
    word, _, detail = value.partition(" ")
    kind, remedy = _FAILED_KINDS.get(word, (FailureKind.SHELL, ""))
    return Failure(kind, detail or value, remedy)
