"""The program that was called, for a command that leads to another one of its commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from dgummy.boundary import words_around_dashes


def typed(words: list[str]) -> list[str]:
    """The words of a command as the user would type them: behind `inv` or `dgummy`, and our collection's name."""
    program = Path(sys.argv[0]).name
    before, called = _called()
    prefix = called.rpartition(".")[0]
    name = f"{prefix}.{words[0]}" if prefix else words[0]
    return ["inv" if program.startswith("__main__") else program, *before, name, *words[1:]]


def become(words: list[str]) -> NoReturn:
    """Go on as that command: same process, same terminal, its exit code."""
    behind = len(sys.orig_argv) - len(sys.argv) + 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [*sys.orig_argv[:1], *sys.orig_argv[1:behind], *typed(words)[1:]])  # noqa: S606 - no shell


def _called() -> tuple[list[str], str]:
    """What stands before the name of our task on the command line, and that name."""
    words = words_around_dashes()[0]
    for at, word in enumerate(words):
        if word.rpartition(".")[2] == "ask":
            return words[:at], word
    return [], ""
