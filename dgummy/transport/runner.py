"""One way to run a script through Invoke's runners, local and remote.

`ScriptRunner` goes in front of Invoke's `Local` and Fabric's `Remote`. Theirs read 1000 bytes at a time, decode each
piece by itself, keep all of it and search the whole for watchers; this one hands bytes to the frame reader as they
come and keeps none.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from invoke.runners import Runner
from invoke.util import ExceptionHandlingThread

from dgummy.model import Failure
from dgummy.transport.base import Answer, Deadline, FactCollector, FrameSink, Limits, Script, conclude
from dgummy.transport.framing import MAX_NOISE_BYTES, Fact, FrameReader
from dgummy.units import format_duration

COMMAND = "exec sh -s"

READ_BYTES = 256 * 1024
LINGER_S = 2.0
"""How long output may stay silent once the script has ended. What it left in the background may hold the pipe open."""

ENDED_LINGER_S = 0.2
"""The same once the script has said `end`: after that nothing comes that we would use."""


class ScriptRunner(Runner):
    """Runs one script to its end; use an instance once. Subclasses say how to send, wait, let go and kill."""

    read_chunk_size = READ_BYTES

    def run_script(self, script: Script, limits: Limits, sink: FrameSink | None) -> Answer | Failure:
        """Feed the script to `sh -s`, pass frames to `sink` from this thread, and say what came of it."""
        self._script = script
        self._limits = limits
        self._total = Deadline(limits.total_s)
        self._collector = FactCollector(sink)
        self._reader = FrameReader(script.marker)
        self._stderr = b""
        self._expired = ""
        self._ended = False
        self._in_sink = False
        self._last_heard = time.monotonic()
        self._drained = threading.Event()
        self.run(COMMAND, hide=True, warn=True, in_stream=False, pty=False, echo=False)
        broken = self._expired or ("" if self.exit_status() is not None else "it broke before the script ended")
        return conclude(self._collector.facts, self._noise(), broken=broken, stdout_noise=self._reader.noise)

    # What subclasses provide.

    def send_some(self, data: bytes) -> int:
        """Write some of `data` to the script's stdin; 0 if nobody reads it any more."""
        raise NotImplementedError

    def await_exit(self, timeout_s: float | None) -> bool:
        """Wait for the script's end, at most so long; whether it has ended."""
        raise NotImplementedError

    def exit_status(self) -> int | None:
        """The exit status, or None if there is none."""
        raise NotImplementedError

    def abandon(self) -> None:
        """Stop reading and writing, whoever still holds the other end."""
        raise NotImplementedError

    # Invoke's hooks.

    def should_use_pty(self, pty: bool = False, fallback: bool = True) -> bool:  # noqa: ARG002 - Invoke's signature
        """Never: a terminal would mix stdout and stderr and change bytes."""
        return False

    def create_io_threads(self) -> tuple[dict[Any, ExceptionHandlingThread], list[str], list[str]]:
        """Threads for stdin, stderr and the limits; stdout is read by whoever runs the script."""
        targets: dict[Any, dict[str, Any]] = {
            self.handle_stdin: {"input_": None, "output": None},
            self.handle_stderr: {"buffer_": [], "hide": True, "output": None},
            self._watch: {},
        }
        threads = {t: ExceptionHandlingThread(target=t, kwargs=kwargs) for t, kwargs in targets.items()}
        return threads, [], []

    def wait(self) -> None:
        """Read stdout to its end and wait for the exit. Whatever goes wrong here ends the script."""
        try:
            self.handle_stdout([], True, None)
            self.await_exit(None)
        except BaseException:
            self.kill()
            raise
        finally:
            self._drained.set()

    def send_interrupt(self, interrupt: KeyboardInterrupt) -> None:
        """Ctrl-C ends the script here instead of being typed into it."""
        raise interrupt

    def handle_stdin(self, input_: Any, output: Any, echo: bool = False) -> None:  # noqa: ARG002
        """Write the script and close stdin. A shell that ends early is no error: its exit status tells."""
        payload = memoryview(self._script.text)
        try:
            while payload:
                sent = self.send_some(bytes(payload[:READ_BYTES]))
                if not sent:
                    return
                payload = payload[sent:]
            self.close_proc_stdin()
        except (OSError, EOFError):
            return

    def handle_stdout(self, buffer_: list[str], hide: bool, output: Any) -> None:  # noqa: ARG002
        """Feed stdout to the frame reader, and frames to the sink."""
        while chunk := self.read_proc_stdout(self.read_chunk_size):
            self._take_out(chunk)

    def handle_stderr(self, buffer_: list[str], hide: bool, output: Any) -> None:  # noqa: ARG002
        """Keep the tail of stderr, for messages."""
        while chunk := self.read_proc_stderr(self.read_chunk_size):
            self._take_err(chunk)

    def _take_out(self, chunk: bytes) -> None:
        self._in_sink = True
        for frame in self._reader.feed(chunk):
            self._ended = self._ended or (isinstance(frame, Fact) and frame.name == "end")
            self._collector(frame)
        self._last_heard = time.monotonic()
        self._in_sink = False

    def _take_err(self, chunk: bytes) -> None:
        self._last_heard = time.monotonic()
        self._stderr = (self._stderr + chunk)[-MAX_NOISE_BYTES:]

    # Limits.

    def _watch(self) -> None:
        while not self.await_exit(self._next_limit_s()):
            if self._drained.is_set() or self._passed():
                return
        while not self._drained.wait(linger_s := ENDED_LINGER_S if self._ended else LINGER_S):
            if self._passed():
                return
            if not self._in_sink and time.monotonic() - self._last_heard >= linger_s:
                self.abandon()
                return

    def _idle_left_s(self) -> float | None:
        if self._limits.idle_s is None:
            return None
        quiet_s = 0.0 if self._in_sink else time.monotonic() - self._last_heard
        return max(0.0, self._limits.idle_s - quiet_s)

    def _next_limit_s(self) -> float | None:
        limits = [left for left in (self._total.remaining_s(), self._idle_left_s()) if left is not None]
        return min(limits, default=None)

    def _passed(self) -> bool:
        if self._total.passed:
            self._expired = f"timed out: no end within {format_duration(self._limits.total_s or 0)}"
        elif self._idle_left_s() == 0:
            self._expired = f"timed out: nothing heard for {format_duration(self._limits.idle_s or 0)}"
        else:
            return False
        self.kill()
        return True

    def _noise(self) -> str:
        parts = (self._reader.noise, self._stderr.decode("utf-8", "replace").strip())
        return "\n".join(part for part in parts if part)[-MAX_NOISE_BYTES:]
