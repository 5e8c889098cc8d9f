"""The terminal as a whole: its other screen, keys one by one, signals; and all of it as it was afterwards."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import termios
import tty
from collections.abc import Sequence
from types import FrameType
from typing import Any

from dgummy.errors import DgummyError
from dgummy.render.console import Console

# The other screen, no cursor, and no wrapping: a terminal that takes a character for wider than we do cuts the line.
_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
# Terminals that know it show what stands between at once; others ignore it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_HEARD = (*_ENDING, signal.SIGINT, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
_FALLBACK = (80, 24)


class Ended(Exception):  # noqa: N818  # it is no error: the terminal's user or another process asked for the end
    """A signal asks for the end; the terminal is left as it was before that signal does what it did before."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class FullScreen:
    """A context in which the screen is ours. `keyboard` is the descriptor of the terminal that keys come from.

    It takes over signals, so it is for the main thread. Handlers only note what came and wake `read`: what is to be
    done is done there, never in the middle of a write.
    """

    def __init__(self, console: Console, keyboard: int) -> None:
        self._console = console
        self._keyboard = keyboard
        self._modes: list[Any] = []
        self._inside = False
        self._handlers: dict[signal.Signals, Any] = {}
        self._came: list[int] = []
        self._wake = (-1, -1)
        self._drawn: list[str] | None = None
        self._drawn_for = (0, 0)

    def __enter__(self) -> FullScreen:
        self._modes = termios.tcgetattr(self._keyboard)
        self._wake = os.pipe()
        for end in self._wake:
            os.set_blocking(end, False)
        try:
            self._listen()
            self._take()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._restore()
        if isinstance(error, Ended):
            signal.raise_signal(error.signum)  # what it did before us: as a rule, it ends the process here

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        try:
            columns, lines = os.get_terminal_size(self._keyboard)
        except OSError:
            return _FALLBACK
        return columns or _FALLBACK[0], lines or _FALLBACK[1]

    def draw(self, lines: Sequence[str], size: tuple[int, int]) -> None:
        """Show these lines from the top: what differs from what is shown is written, in one write.

        `size` is what they were made for. What a terminal of another size shows of the last ones is not known.
        """
        if size != self._drawn_for:
            self.forget()
        self._drawn_for = size
        known = self._drawn
        text = "" if known is not None else "\x1b[2J"
        before: Sequence[str] = known or []
        for row in range(max(len(lines), len(before))):
            new = lines[row] if row < len(lines) else ""
            if new != (before[row] if row < len(before) else ""):
                text += f"\x1b[{row + 1};1H\x1b[2K{new}"
        self._drawn = list(lines)
        if text:
            self._write(f"{_BEGIN}{text}{_END}")

    def forget(self) -> None:
        """Something else may have written on the screen: the next picture is written whole."""
        self._drawn = None

    def read(self, timeout_s: float) -> bytes:
        """What was typed, b"" if nothing was in that time or if something else came that calls for a new picture.

        KeyboardInterrupt for Ctrl-C, `Ended` for a signal that asks for the end, EOFError if the terminal is gone.
        """
        ready, _, _ = select.select([self._keyboard, self._wake[0]], [], [], timeout_s)
        if self._wake[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 4096)
            self._act()
            return b""
        if self._keyboard not in ready:
            return b""
        try:
            data = os.read(self._keyboard, 4096)
        except OSError as error:
            raise EOFError("the terminal is gone") from error
        if not data:
            raise EOFError("the terminal is gone")
        return data

    # -- signals ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        for signum in _HEARD:
            if signal.getsignal(signum) is signal.SIG_IGN:
                continue  # whoever started us wants it ignored (nohup)
            self._handlers[signum] = signal.signal(signum, self._hear)

    def _hear(self, signum: int, _frame: FrameType | None) -> None:
        if signum == signal.SIGINT and signum in self._came:
            raise KeyboardInterrupt  # the second: nobody reads what came
        self._came.append(signum)
        with contextlib.suppress(OSError):
            os.write(self._wake[1], b"\0")

    def _act(self) -> None:
        came, self._came = self._came, []
        for signum in came:
            if signum == signal.SIGINT:
                raise KeyboardInterrupt
            if signum in _ENDING:
                raise Ended(signum)
            if signum == signal.SIGTSTP:
                self._stop()
            elif signum == signal.SIGCONT:
                self._take()  # whoever had the terminal meanwhile may have changed it
            else:
                self.forget()

    def _stop(self) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when told to go on."""
        self._give()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._hear)
        self._came = [signum for signum in self._came if signum != signal.SIGCONT]
        self._modes = termios.tcgetattr(self._keyboard)
        self._take()

    # -- the terminal ----------------------------------------------------------------------------------------------

    def _take(self) -> None:
        self._inside = True
        tty.setcbreak(self._keyboard, termios.TCSANOW)
        self._write(_ENTER)
        self.forget()

    def _give(self) -> None:
        if not self._inside:
            return
        self._inside = False
        with contextlib.suppress(EOFError):
            self._write(_LEAVE)
        # At once: to wait until all is shown would hang on a terminal that Ctrl-S holds.
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._modes)

    def _restore(self) -> None:
        self._give()
        for signum, handler in self._handlers.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        self._handlers = {}
        for end in self._wake:
            os.close(end)

    def _write(self, text: str) -> None:
        try:
            self._console.write("out", text.encode("utf-8", "replace"))
        except (OSError, DgummyError) as error:
            raise EOFError("the terminal is gone") from error
