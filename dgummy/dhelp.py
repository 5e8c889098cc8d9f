"""Which dialect a `d` speaks, by what its own help says. Pure.

Being called `d` proves nothing, and a wrong guess is dangerous: to the released program `run node-1 make` means "run
`node-1 make` wherever there is least load". So only a usage line that says it clearly counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath

from dgummy.dtext import MAX_CHARS, plain

USE_CASES = ("load", "status", "sync", "run")
"""What we need of it: its sub-commands, and with `dw` before them its one-word commands."""


class Dialect(str, Enum):
    """RELEASED: `run --host H -- CMD`, `sync PATH --host H`. SEED: `run H "CMD"`, `sync H` in the folder itself."""

    RELEASED = "released"
    SEED = "seed"


# -- help ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Help:
    """A help text: its usage lines as words, the commands it lists, its long flags and whether they take a value."""

    usages: tuple[tuple[str, ...], ...] = ()
    commands: tuple[str, ...] = ()
    flags: Mapping[str, bool] = field(default_factory=dict)


_MAX_LINE_CHARS = 512
_FLAG = re.compile(r"\s*(?:-\w, +)?--([a-zA-Z][\w-]*)(?:\[=[^\]]*\])?(?:[ =]([^\s]+))?(?:\s{2,}.*)?")
_GAP = re.compile(r" {2,}| *\t\s*")
_WORD = re.compile(r"\[[^\]]*\]\S*|<[^>]*>\S*|\{[^}]*\}\S*|\"[^\"]*\"|'[^']*'|\S+")
_USAGE = re.compile(r"\s*usage:?\s*(.*)", re.IGNORECASE)
_COMMANDS = re.compile(r"\s*(?:[a-z]+ )?(?:sub-?)?commands:?\s*", re.IGNORECASE)
_HOST_WORDS = frozenset({"host", "hostname", "node", "machine"})
_COMMAND_WORDS = frozenset({"command", "commands", "cmd"})
_PATH_WORDS = frozenset({"path", "dir", "directory", "folder"})


def parse_help(text: str) -> Help:
    """Read a help text. Never fails: what is not understood is left out."""
    usages: list[tuple[str, ...]] = []
    commands: list[str] = []
    flags: dict[str, bool] = {}
    section = ""
    for whole in re.split("[\r\n]", plain(text[:MAX_CHARS])):
        line = whole[:_MAX_LINE_CHARS]
        usage = _USAGE.fullmatch(line)
        flag = _FLAG.fullmatch(line)
        if usage is not None:
            section, line = "usage", usage.group(1)
        elif _COMMANDS.fullmatch(line):
            section, line = "commands", ""
        elif flag is not None:
            flags[flag.group(1)] = flag.group(2) is not None
            continue
        elif not line.strip() or not line[0].isspace():
            section = section if section == "commands" and not line.strip() else ""
        words = tuple(_WORD.findall(_GAP.split(line.strip(), maxsplit=1)[0]) if section else ())
        if words:
            usages.append(words)
        if section == "commands" and words:
            commands.append(words[0])
    return Help(tuple(usages), tuple(dict.fromkeys(commands)), flags)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a program understands: the dialect, which of `USE_CASES`, and whether its sync has `--dry-run`."""

    dialect: Dialect
    uses: tuple[str, ...]
    dry_run: bool = False


def is_like_d(top_help: str) -> bool:
    """Whether the help of a program lists all that we need as sub-commands."""
    top = parse_help(top_help)
    return {*top.commands, *(word for usage in top.usages for word in usage[:2])}.issuperset(USE_CASES)


def spoken_of(top_help: str, helps: Mapping[str, str]) -> Spoken | None:
    """What a program says of itself, or None if it is not clearly a `d`.

    `top_help` is "" for a set of one-word commands; `helps` holds the help of each use case that there is. `run` or
    `sync` must show how a host is named; if both do, they must agree.
    """
    if top_help and not is_like_d(top_help):
        return None
    top = parse_help(top_help)
    each = {use: parse_help(text) for use, text in helps.items()}
    forms = {use: _form(each[use], use) or _form(top, use) for use in ("run", "sync") if use in each}
    told = {form for form in forms.values() if form is not None}
    if len(told) != 1 or not told <= set(Dialect):
        return None
    shown = {use for use in each if top_help or _usages(each[use], use)} - {use for use in forms if not forms[use]}
    dry_run = "sync" in each and each["sync"].flags.get("dry-run") is False
    return Spoken(Dialect(told.pop()), tuple(use for use in USE_CASES if use in shown), dry_run)


def dialect_of(top_help: str, run_help: str, sync_help: str, load_help: str) -> Dialect | None:
    """The dialect alone, of a program with all sub-commands (see `spoken_of`)."""
    spoken = spoken_of(top_help, {"run": run_help, "sync": sync_help, "load": load_help})
    return spoken.dialect if spoken else None


def _form(help_: Help, use: str) -> str | None:
    """Which dialect the usage of `run` or `sync` is of; "unclear" if it is neither, None without any usage of it."""
    arguments = [words for words in _usages(help_, use) if words]
    forms = {_usage_form(words, use, help_.flags.get("host", False)) for words in arguments}
    if not forms:
        return None
    return forms.pop() if len(forms) == 1 else "unclear"


def _usages(help_: Help, use: str) -> list[tuple[str, ...]]:
    """What follows the sub-command `use` (or the one-word command that ends with it) in each of its usage lines."""
    found = []
    for usage in help_.usages:
        for index, word in enumerate(usage[:2]):
            name = PurePosixPath(word).name
            if word == use or (index == 0 and name in (f"d{use}", f"dw{use}")):
                found.append(usage[index + 1 :])
                break
    return found


def _usage_form(arguments: tuple[str, ...], use: str, has_host_flag: bool) -> str:
    flagged = has_host_flag or any(re.match(r"\[?--host[ =]\S", word) for word in arguments)
    named = [word for word in arguments if _bare(word) and not _bare(word).startswith("-")]
    named = [word for word in named if _bare(word) not in ("flags", "options")]
    first = _bare(named[0]) if named else ""
    second = _bare(named[1]) if len(named) > 1 else ""
    is_host = first in _HOST_WORDS and not named[0].startswith("[")
    if is_host and not flagged and (use == "sync" or second in _COMMAND_WORDS):
        return Dialect.SEED.value
    own = _COMMAND_WORDS if use == "run" else _PATH_WORDS
    return Dialect.RELEASED.value if flagged and first in own else "unclear"


def _bare(word: str) -> str:
    """`[command...]`, `<command>` and `"CMD"` are all `command` or `cmd`."""
    inner = word.strip("<>[]{}\"'.…").split()
    return inner[0].strip("<>[]{}\"'.…").lower() if inner else ""
