"""Call a program that may do anything: hang, fill the screen, leave children behind. Bounded in time and memory.

It gets no terminal, no standard input and no shell, and ends as a process group.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dgummy.transport.base import Deadline
from dgummy.units import format_bytes, format_duration

TICK_S = 0.25
LINGER_S = 0.5
"""How long output is waited for once the program has ended. What it left behind may hold the pipes open."""

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a call may go: `total_s` altogether, `idle_s` without a word, `max_bytes` kept of each stream.

    Without `tail`, more output than that ends the call; with it, only the last of it is kept. None is no limit.
    """

    total_s: float | None = 30.0
    idle_s: float | None = None
    max_bytes: int = 256 * 1024
    tail: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """How a call ended. `problem` is one line if it did not end by itself; `code` is negative for a signal."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int | None = None
    problem: str = ""
    timed_out: bool = False
    was_cancelled: bool = False


def environment() -> dict[str, str]:
    """Our own environment; ssh below it must not open a window to ask for a password."""
    return os.environ | {"SSH_ASKPASS_REQUIRE": "never"}


def call(
    argv: Sequence[str],
    bounds: Bounds,
    *,
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    on_stdout: Callable[[bytes], None] | None = None,
    on_tick: Callable[[], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Called:
    """Run `argv` to its end, or to where its bounds are. Never raises for what it does.

    variables: besides our environment. on_stdout: gets stdout as it comes. on_tick: called a few times a second.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment() | dict(variables or {}),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else error
        return Called(problem=f"does not start: {what}")
    return _Call(process, bounds, on_stdout, on_tick, cancelled or threading.Event()).finish()


@dataclass(slots=True)
class _Call:
    process: subprocess.Popen[bytes]
    bounds: Bounds
    on_stdout: Callable[[bytes], None] | None
    on_tick: Callable[[], None] | None
    cancelled: threading.Event
    total: Deadline = field(init=False)
    kept: dict[str, bytes] = field(default_factory=lambda: {"out": b"", "err": b""})
    heard_at: float = 0.0
    next_tick: float = 0.0
    ended_at: float | None = None
    problem: str = ""
    timed_out: bool = False

    def finish(self) -> Called:
        self.total = Deadline(self.bounds.total_s)
        self.heard_at = time.monotonic()
        try:
            self._read()
        finally:
            ended_by_itself = _has_ended(self.process)
            end_group(self.process)
            for pipe in (self.process.stdout, self.process.stderr):
                if pipe is not None:
                    pipe.close()
            code = self.process.wait()
        return Called(
            self.kept["out"],
            self.kept["err"],
            code if ended_by_itself else None,
            self.problem,
            timed_out=self.timed_out,
            was_cancelled=self.cancelled.is_set() and not ended_by_itself,
        )

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr)):
                if pipe is not None:
                    selector.register(pipe, selectors.EVENT_READ, name)
            while not self._is_over(bool(selector.get_map())):
                if not selector.get_map():
                    time.sleep(0.005)
                for key, _ in selector.select(TICK_S) if selector.get_map() else ():
                    chunk = os.read(key.fd, _READ_BYTES)
                    if not chunk:
                        selector.unregister(key.fileobj)
                    self._take(key.data, chunk)
                self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if self.on_tick is not None and now >= self.next_tick:
            self.next_tick = now + TICK_S
            self.on_tick()

    def _take(self, stream: str, chunk: bytes) -> None:
        if chunk:
            self.heard_at = time.monotonic()
        if stream == "out" and self.on_stdout is not None:
            self.on_stdout(chunk)
        joined = self.kept[stream] + chunk
        if len(joined) > self.bounds.max_bytes and not self.bounds.tail:
            self.problem = f"printed more than {format_bytes(self.bounds.max_bytes)}"
        self.kept[stream] = joined[-self.bounds.max_bytes :]

    def _is_over(self, is_open: bool) -> bool:
        now = time.monotonic()
        if self.ended_at is None and _has_ended(self.process):
            self.ended_at = now
        if self.problem or self.cancelled.is_set():
            self.problem = self.problem or "cancelled"
        elif self.ended_at is not None:
            return not is_open or now >= self.ended_at + LINGER_S
        elif self.total.passed:
            self.problem, self.timed_out = f"no end within {format_duration(self.bounds.total_s or 0)}", True
        elif self.bounds.idle_s is not None and now >= self.heard_at + self.bounds.idle_s:
            self.problem, self.timed_out = f"nothing heard for {format_duration(self.bounds.idle_s)}", True
        return bool(self.problem)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it is over; it is not waited for yet, where that can be told apart, so that its number stays its own."""
    if process.returncode is not None:
        return True
    if hasattr(os, "waitid"):  # not on macOS before Python 3.13
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of its process group; nothing if it was waited for: the number may be another's by now."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
