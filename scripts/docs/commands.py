"""The commands, as their own help describes them: the list and the reference in docs/commands.md.

A command without help, without an example, or with a flag that has no help ends with a ValueError.
"""

from __future__ import annotations

import copy
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.tasks import Task

COMMON_FROM = 4
"""A flag that so many commands have, with the same help, is explained once."""

NOT_RUN = {
    "cron.run": "the job was taken away just before; docs/recipes.md has it run",
    "cron.exec": "it is what cron's line calls, with paths of one machine",
    "report": "the lab's specialists leave no report",
    "lab.up": "it would start a second lab",
    "lab.down": "it would end the lab that the others run on",
}
"""Commands, or groups of commands, whose examples no test runs, and why."""


@dataclass(frozen=True)
class Flag:
    """A flag, or an argument that needs none, as it is written and what is said of it."""

    shown: str
    help: str
    is_argument: bool


@dataclass(frozen=True)
class Command:
    """A command: its name behind `inv`, its help, its examples, and what it takes."""

    name: str
    first_line: str
    more: str
    examples: tuple[str, ...]
    flags: tuple[Flag, ...]


def commands(collection: Collection) -> list[Command]:
    """All commands of a collection, in its order. ValueError for one whose help is not whole."""
    return [_command(name, task) for name, task in _tasks(collection, "")]


def _tasks(collection: Collection, prefix: str) -> Iterator[tuple[str, Task]]:  # type: ignore[type-arg]
    for name, task in sorted(collection.tasks.items(), key=lambda one: prefix != "" and one[0] != collection.default):
        is_default = name == collection.default and prefix
        yield prefix.removesuffix(".") if is_default else f"{prefix}{name}", task
    for name, below in collection.collections.items():
        yield from _tasks(below, f"{prefix}{name}.")


def _command(name: str, task: Task) -> Command:  # type: ignore[type-arg]
    text, *examples = re.split(r"\s*^\s*Example: ", (task.__doc__ or "").strip(), flags=re.MULTILINE)
    if not text or not examples:
        raise ValueError(f"inv {name}: its docstring needs a line on what it does, and one that begins with Example:")
    first, _, more = text.partition("\n")
    short = getattr(task, "short", {})
    fresh = copy.deepcopy(task)  # to ask a task for its arguments takes their help away from it
    flags = tuple(
        _flag(name, one, short, is_flag=(one.name or "") in task.iterable) for one in Task.get_arguments(fresh)
    )
    paragraphs = "\n\n".join(_wrapped(part) for part in more.strip().split("\n\n"))
    return Command(name, first, paragraphs, tuple(one.strip() for one in examples), flags)


def _flag(command: str, argument: Argument, short: dict[str, str], *, is_flag: bool) -> Flag:
    name = argument.name or ""
    if not argument.help:
        raise ValueError(f"inv {command}: {to_flag(name)} has no help")
    if argument.positional and not is_flag:
        return Flag(name.upper(), argument.help, is_argument=True)
    letter = f"-{short[name]}, " if name in short else ""
    value = {bool: "", int: " N", float: " N"}.get(argument.kind, " …")
    help_text = str(argument.help)
    tells_default = argument.kind is list or not argument.default or "default" in help_text
    text = help_text if tells_default else f"{help_text} (default: {argument.default})"
    return Flag(f"{letter}{to_flag(name)}{value}", text, is_argument=False)


# -- as Markdown ------------------------------------------------------------------------------------------------------


def markdown(collection: Collection) -> str:
    """The generated part of docs/commands.md."""
    found = commands(collection)
    times = Counter(flag for command in found for flag in command.flags if not flag.is_argument)
    common = [flag for flag, count in times.items() if count >= COMMON_FROM]
    rows = [f"| [`inv {one.name}`](#{_anchor(one.name)}) | {_cell(one.first_line)} |" for one in found]
    listed = "\n".join(["## All of them", "", "| command | does |", "|---|---|", *rows])
    flags = "\n".join(["## Flags that many have", "", _table(common)])
    return "\n\n".join([listed, flags, *(_section(one, common) for one in found)]) + "\n"


def _anchor(name: str) -> str:
    return f"inv-{name}".replace(".", "")


def _section(one: Command, common: list[Flag]) -> str:
    own = [flag for flag in one.flags if flag not in common]
    shared = [re.sub(r"^-\w, | .*", "", flag.shown) for flag in one.flags if flag in common]
    parts = [f"## inv {one.name}", one.first_line, one.more, _examples(one)]
    if own:
        parts.append(_table(own))
    if shared:
        parts.append(_wrapped(f"And: {', '.join(f'`{name}`' for name in shared)}."))
    return "\n\n".join(part for part in parts if part)


def _examples(one: Command) -> str:
    reason = next((why for name, why in NOT_RUN.items() if f"{one.name}.".startswith(f"{name}.")), "")
    mark = f"<!-- not run: {reason} -->\n" if reason else ""
    lines = "\n".join(f"$ {example}" for example in one.examples)
    return f"{mark}```console\n{lines}\n```"


def _table(flags: list[Flag]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| `{flag.shown}` | {_cell(flag.help)} |" for flag in flags)])


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 120, break_long_words=False, break_on_hyphens=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
