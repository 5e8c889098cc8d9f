"""Make what a host says fit for one line of a message. Pure."""

from __future__ import annotations


def last_line(text: str, limit: int = 200) -> str:
    """The last line of `text` that says something, without control characters, cut to `limit`."""
    lines = [printable(line) for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")[:limit]


def printable(text: str) -> str:
    """`text` on one line, with whatever could steer a terminal replaced by blanks."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
