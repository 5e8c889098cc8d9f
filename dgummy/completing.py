"""What may come next on a command line of Invoke's: a task, a flag, or a value, and of which kind. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class Kind(Enum):
    """What values there are for an argument."""

    HOST = auto()
    GROUP = auto()
    TYPE = auto()
    RUN = auto()
    ALIVE_RUN = auto()
    RUN_GROUP = auto()
    SPECIALIST = auto()
    SUITE = auto()
    STATE = auto()
    BACKEND = auto()
    FALLBACK = auto()
    MODE = auto()
    SORT = auto()
    SHELL = auto()
    FUNCTION = auto()


KINDS: Mapping[str, Kind] = {
    "host": Kind.HOST,
    "exclude": Kind.HOST,
    "node": Kind.HOST,
    "group": Kind.GROUP,
    "type": Kind.TYPE,
    "run": Kind.RUN,
    "suite": Kind.SUITE,
    "state": Kind.STATE,
    "backend": Kind.BACKEND,
    "fallback": Kind.FALLBACK,
    "mode": Kind.MODE,
    "sort": Kind.SORT,
    "shell": Kind.SHELL,
    "function": Kind.FUNCTION,
}
"""By the name of an argument, which means the same in all of our commands but these:"""

EXCEPTIONS: Mapping[tuple[str, str], Kind] = {
    ("cancel", "run"): Kind.ALIVE_RUN,
    ("runs.list", "group"): Kind.RUN_GROUP,
    ("resume", "group"): Kind.RUN_GROUP,
    ("specialists.move", "name"): Kind.SPECIALIST,
    ("specialists.move", "to"): Kind.HOST,
    ("specialists.move", "from"): Kind.HOST,
}
"""By the name of a command in our collection, and the name of its argument."""

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "DGUMMY_COMPLETE"
"""In the environment: the shell that asks."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: the name of its argument, whether a value follows, whether it may do without, and its help."""

    argument: str
    takes_value: bool = False
    optional: bool = False
    about: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a task takes. `takes_more`: its last positional argument may be given any number of times."""

    flags: Mapping[str, Flag] = field(default_factory=dict)
    positionals: tuple[str, ...] = ()
    takes_more: bool = False


class Part(Enum):
    """What a word is."""

    NOTHING = auto()
    TASK = auto()
    FLAG = auto()
    VALUE = auto()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted at the cursor: of which task ("" before the first), for which argument.

    `prefix` is what of the word stays as it is: `--host=`.
    """

    part: Part
    task: str = ""
    argument: str = ""
    prefix: str = ""


def wanted(words: Sequence[str], current: str, core: Shape, tasks: Mapping[str, Shape]) -> Wanted:
    """Find out what may stand in the place of `current`, after `words` (without the program's name).

    `core` is what the program takes before the first task. After `--`, and after what is no task, nothing of ours does.
    """
    walk = _Walk(core, tasks)
    for word in words:
        if word == "--" or not walk.step(word):
            return Wanted(Part.NOTHING)
    return walk.at(current)


def list_prefix(text: str) -> str:
    """What of a list of hosts (`node-[1,3],no`) stays as it is while its last name is typed."""
    head, comma, _ = text.rpartition(",")
    return head + comma if comma and head.count("[") == head.count("]") else ""


class _Walk:
    """Where in a command line we are. Follows the order in which Invoke's parser takes a word for this or that."""

    def __init__(self, core: Shape, tasks: Mapping[str, Shape]) -> None:
        self._core, self._tasks = core, tasks
        self._task, self._shape, self._given = "", core, 0
        self._pending: Flag | None = None

    def step(self, word: str) -> bool:
        """Go on by a word; False if it is not known what it is."""
        pending, self._pending = self._pending, None
        if pending is not None and not (pending.optional and word.startswith("-")):
            return True
        if word.startswith("-"):
            name, equals, _ = word.partition("=")
            flag = self._flag(name)
            self._pending = flag if flag is not None and flag.takes_value and not equals else None
        elif self._positional():
            self._given += 1
        elif word in self._tasks:
            self._task, self._shape, self._given = word, self._tasks[word], 0
        else:
            return False
        return True

    def at(self, current: str) -> Wanted:
        """What may stand in the place of the word at the cursor."""
        pending, is_flag = self._pending, current.startswith("-")
        if pending is not None and not (pending.optional and is_flag):
            return self._value(pending.argument)
        if is_flag:
            name, equals, _ = current.partition("=")
            flag = self._flag(name)
            if not equals:
                return Wanted(Part.FLAG, self._task)
            takes = flag is not None and flag.takes_value
            return self._value(flag.argument, f"{name}=") if flag is not None and takes else Wanted(Part.NOTHING)
        argument = self._positional()
        return self._value(argument) if argument else Wanted(Part.TASK)

    def _value(self, argument: str, prefix: str = "") -> Wanted:
        if not self._task and argument == "help":
            return Wanted(Part.TASK, prefix=prefix)
        return Wanted(Part.VALUE, self._task, argument, prefix)

    def _flag(self, name: str) -> Flag | None:
        return self._shape.flags.get(name) or self._core.flags.get(name)

    def _positional(self) -> str:
        """The argument that the next word is for, "" if for none."""
        names = self._shape.positionals
        if self._given < len(names):
            return names[self._given]
        return names[-1] if names and self._shape.takes_more else ""
