"""The program that was called, for a command that leads to another one of its commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from invoke.parser.context import to_flag
from invoke.program import Program

from dgummy.boundary import words_around_dashes
from dgummy.errors import UsageError


def typed(words: list[str]) -> list[str]:
    """The words of a command as the user would type them: behind `inv` or `dgummy`, and our collection's name."""
    program = Path(sys.argv[0]).name
    core, called = _called()
    prefix = called.rpartition(".")[0]
    name = f"{prefix}.{words[0]}" if prefix else words[0]
    return ["inv" if program.startswith("__main__") else program, *core, name, *words[1:]]


def become(words: list[str]) -> NoReturn:
    """Go on as that command: same process, same terminal, its exit code."""
    behind = len(sys.orig_argv) - len(sys.argv) + 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execv(sys.executable, [*sys.orig_argv[:1], *sys.orig_argv[1:behind], *typed(words)[1:]])  # noqa: S606 - no shell


def check_alone(task: str) -> None:
    """UsageError if other tasks stand on the command line beside ours: they would be left out, or done twice."""
    core, called = _called()
    before, _ = words_around_dashes()
    rest = before[len(core) + 1 :]
    others = [word for word in rest if not word.startswith("-")]
    if called.rpartition(".")[2] != task or len(others) > 1:
        what = f"inv {task} goes on as another command, so no other task can stand beside it"
        raise UsageError(what, f"give inv {task} alone, and its text as one string in quotes")


def _called() -> tuple[list[str], str]:
    """Invoke's own flags with their values, and the name of the first task behind them."""
    words = words_around_dashes()[0]
    takes_value = {to_flag(name): arg.takes_value for arg in Program().core_args() for name in arg.names}
    at = 0
    while at < len(words) and words[at].startswith("-"):
        flag, equals, _ = words[at].partition("=")
        at += 2 if takes_value.get(flag) and not equals else 1
    return words[:at], words[at] if at < len(words) else ""
