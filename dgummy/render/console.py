"""The one place that writes. stdout is the result, stderr is progress and notices."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Mapping
from typing import BinaryIO, TextIO

from dgummy.errors import DgummyError, ExitCode
from dgummy.render.holding import HOLDING

_STYLES = {"warning": "33", "caution": "33", "error": "31", "trouble": "31", "good": "32", "dim": "2", "bold": "1"}


class Console:
    """Writes text and bytes, with colour where a terminal wants it."""

    def __init__(
        self,
        out: BinaryIO | None = None,
        err: BinaryIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._out = out or _binary(sys.stdout)
        self._err = err or _binary(sys.stderr)
        environ = os.environ if environ is None else environ
        self._environ = environ
        self._plain = bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        self.can_redraw = _is_terminal(self._err) and environ.get("TERM") != "dumb"
        self.out_is_terminal = _is_terminal(self._out)
        self.err_is_terminal = _is_terminal(self._err)

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked something."""
        return self.err_is_terminal and _is_terminal(sys.stdin)

    @property
    def nobody_watches(self) -> bool:
        """Whether none of stdin, stdout and stderr is a terminal."""
        return not (self.out_is_terminal or self.err_is_terminal or _is_terminal(sys.stdin))

    @property
    def is_screen(self) -> bool:
        """Whether there is a terminal to draw on and to hear keys from."""
        return self.interactive and self.out_is_terminal and self.can_redraw

    @property
    def out_colour(self) -> bool:
        """Whether stdout should be coloured."""
        return self.out_is_terminal and not self._plain

    @property
    def err_colour(self) -> bool:
        """Whether stderr should be coloured."""
        return self.err_is_terminal and not self._plain

    @property
    def width(self) -> int | None:
        """How many columns stdout has, None if it is no terminal."""
        if not self.out_is_terminal:
            return None
        import shutil

        return shutil.get_terminal_size().columns

    @property
    def wants_ascii(self) -> bool:
        """Whether only ASCII is sure to be shown, by the locale."""
        from dgummy.render.cells import ascii_wanted

        return ascii_wanted(self._environ, getattr(sys.stdout, "encoding", None))

    def result(self, text: str) -> None:
        """Write a line (or lines) of the result."""
        self.write("out", text.encode("utf-8", "replace") + b"\n")

    def note(self, text: str, style: str = "") -> None:
        """Write a line of progress or a notice, or keep it back (see `holding`)."""
        if not HOLDING.keeps(text, style):
            self.write_line(text, style)

    def write_line(self, text: str, style: str = "") -> None:
        """Write a line to stderr, now."""
        self.write("err", self.styled(text, style).encode("utf-8", "replace") + b"\n")

    def agrees(self, question: str) -> bool:
        """Ask the person at the terminal; just Enter means yes, no more input means no."""
        answer = self.answer(f"{question} [Y/n] ")
        return bool(answer) and answer.strip().lower() in ("", "y", "yes")

    def answer(self, question: str) -> str:
        """Ask the person at the terminal for a line; the end of input gives ""."""
        self.write("err", question.encode())
        return sys.stdin.readline()

    def styled(self, text: str, style: str) -> str:
        """Put a style's colour around text for stderr, where that is wanted there."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if style and self.err_colour else text

    def write(self, stream: str, data: bytes) -> None:
        """Write bytes as they are to "out" or "err"."""
        target = self._out if stream == "out" else self._err
        try:
            target.write(data)
            target.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            if stream == "out":
                raise DgummyError(
                    f"cannot write to stdout: {error.strerror}",
                    "look for a full disk where the output goes",
                    code=ExitCode.SOME_FAILED,
                ) from error
            self._write_aside(data)

    def _write_aside(self, data: bytes) -> None:
        """What stderr did not take goes to whoever called a job: its log may be on a full disk."""
        from dgummy.jobrun import ASIDE

        with contextlib.suppress(OSError, ValueError):
            if aside := self._environ.get(ASIDE):
                os.write(int(aside), data)


def _binary(stream: object) -> BinaryIO:
    """The bytes below a text stream; a stream without any gets what can be decoded."""
    if isinstance(stream, io.TextIOBase):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()  # what somebody else printed comes before what we write
    buffer = getattr(stream, "buffer", None)
    if buffer is not None:
        return buffer  # type: ignore[no-any-return]
    return _TextOnly(stream)  # type: ignore[return-value]


class _TextOnly:
    """A text stream that takes bytes, for a stdout that somebody replaced."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        if self._stream is not None:
            self._stream.write(data.decode("utf-8", "replace"))  # type: ignore[attr-defined]
        return len(data)

    def flush(self) -> None:
        if self._stream is not None:
            self._stream.flush()  # type: ignore[attr-defined]

    def isatty(self) -> bool:
        return False


def _is_terminal(stream: BinaryIO | TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):
        return False
