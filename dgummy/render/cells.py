"""Text by terminal cells: what others wrote made legible, cut and padded to a width, coloured at the very end. Pure.

A terminal's cell holds one narrow character; ⚡ and CJK take two, combining marks none. A `Line` is spans of text with
the name of a style each, so that its width never counts an escape sequence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from dgummy.render.text import one_line

STYLES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "good": "32",
    "warning": "33",
    "bad": "31",
    "title": "1;36",
    "selected": "7",
}
"""Names of styles and their SGR codes. None is the only sign of anything: what it marks is also said."""

_MOST_MARKS = 4
_LONGEST = 4000
_SELECTORS = {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


class Span(NamedTuple):
    """Text in one style, a key of `STYLES`."""

    text: str
    style: str = ""


Line = Sequence[Span]


def legible(text: str, *, ascii_only: bool = False, limit: int = 300) -> str:
    """What a host says as one line whose width every terminal agrees on; at most `limit` characters.

    Left out: escapes and controls, invisible characters, variation selectors (terminals differ on what these do to a
    width), more than a few marks on one character. Characters that no font need have (unassigned, private) become
    U+FFFD. With `ascii_only` all that is not ASCII becomes `?`.
    """
    flat = one_line(text[:_LONGEST], limit)
    if flat.isascii():
        return flat
    flat = unicodedata.normalize("NFC", flat)
    kept: list[str] = []
    marks = 0
    for char in flat:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if category in ("Cf", "Cs", "Cc") or ord(char) in _SELECTORS or marks > _MOST_MARKS:
            continue
        kept.append("\ufffd" if category in ("Cn", "Co") else char)
    shown = "".join(kept)
    if not ascii_only or shown.isascii():
        return shown
    return "".join(char if char.isascii() else "?" for char in shown if not unicodedata.combining(char))


def width(text: str) -> int:
    """How many cells it takes."""
    return len(text) if text.isascii() else cell_len(text)


def head(text: str, room: int) -> str:
    """As much of the beginning as fits `room` cells; a wide character that fits only half is left out."""
    if width(text) <= room:
        return text
    if text.isascii():
        return text[: max(0, room)]
    used = 0
    for index, char in enumerate(text):
        used += cell_len(char)
        if used > room:
            return text[:index]
    return text


def cut(text: str, room: int, mark: str = "…") -> str:
    """At most `room` cells of it; `mark` at the end says that there was more."""
    if width(text) <= room:
        return text
    return head(text, room - width(mark)).rstrip() + mark if room >= width(mark) else head(text, room)


def fill(text: str, room: int, mark: str = "…") -> str:
    """Exactly `room` cells: cut, or blanks behind it."""
    text = cut(text, room, mark)
    return text + " " * (room - width(text))


def line_width(line: Line) -> int:
    """How many cells a line takes."""
    return sum(width(span.text) for span in line)


def cut_line(line: Line, room: int, mark: str = "…") -> list[Span]:
    """At most `room` cells of a line."""
    if line_width(line) <= room:
        return list(line)
    kept: list[Span] = []
    for index, span in enumerate(line):
        text = cut(span.text, room, mark)
        if text == span.text and width(text) > room - width(mark) and line_width(line[index + 1 :]):
            text = cut(text + mark, room, mark)  # what is cut off begins with the next span
        kept.append(Span(text, span.style))
        room -= width(text)
        if text != span.text or room <= 0:
            break
    return kept


def fill_line(line: Line, room: int, mark: str = "…") -> list[Span]:
    """Exactly `room` cells of a line."""
    kept = cut_line(line, room, mark)
    blanks = room - line_width(kept)
    return [*kept, Span(" " * blanks)] if blanks > 0 else kept


def paint(line: Line, *, colour: bool) -> str:
    """The text of a line for a terminal, or without colours."""
    if not colour:
        return "".join(span.text for span in line)
    return "".join(
        f"\x1b[{STYLES[span.style]}m{span.text}\x1b[0m" if span.style and span.text else span.text for span in line
    )


def ascii_wanted(environ: Mapping[str, str], encoding: str | None) -> bool:
    """Whether only ASCII is sure to be shown: stdout's encoding or the locale is not UTF-8.

    Python turns the locale C into C.UTF-8 for itself and puts that into LC_CTYPE, so a LANG that says C outright is
    believed before it. No locale at all, as in a container, is not taken to say anything.
    """
    if not _is_utf8(encoding or ""):
        return True
    named = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    made_by_python = not environ.get("LC_ALL") and named in ("C.UTF-8", "C.utf8")
    if made_by_python and environ.get("LANG") in ("C", "POSIX"):
        return True
    codeset = named.partition(".")[2].partition("@")[0]
    return named in ("C", "POSIX") or bool(codeset and not _is_utf8(codeset))


def _is_utf8(name: str) -> bool:
    return name.lower().replace("-", "").replace("_", "") == "utf8"
