"""Completion in the shell: the script that a shell loads, and what that asks for at every TAB.

The script calls `inv --complete -- WORDS…`, Invoke's own way, with DGUMMY_COMPLETE in the environment. Where our tasks
are loaded, under whatever name, that is answered here; elsewhere Invoke answers, and the script makes do with names of
tasks and flags.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from dgummy import boundary
from dgummy.boundary import command

if TYPE_CHECKING:
    from invoke.collection import Collection
    from invoke.parser.context import ParserContext

    from dgummy.candidates import Candidate
    from dgummy.completing import Shape, Wanted

VARIABLE = "DGUMMY_COMPLETE"
MARK = "#dgummy-completion 1"
"""The line before the candidates: what stands above it was printed by somebody's tasks.py."""


@command(
    "completion",
    positional=["shell"],
    optional=["shell"],
    help={"shell": "bash, zsh or fish (default: the one that SHELL names)"},
)
def completion(c: Context, shell: str | None = None) -> int:
    """Print the script that completes commands, flags, hosts and runs in a shell, for inv and dgummy both.

    Example: inv completion bash
    """
    from dgummy import shells
    from dgummy.render.console import Console

    Console().result(shells.script(shell if isinstance(shell, str) else "", os.environ).rstrip("\n"))
    return 0


def take_over() -> None:
    """Answer in Invoke's place when a shell asks. Invoke has no other way to add to what it knows."""
    import invoke.program

    invoke.program.complete = _complete  # type: ignore[assignment,attr-defined]


def _complete(names: list[str], core: Any, initial_context: ParserContext, collection: Collection, parser: Any) -> None:
    """Print the candidates for the command line after `--`. Whatever goes wrong, nothing is said: a shell listens."""
    from invoke.exceptions import Exit

    from dgummy.render.console import Console

    lines: list[str] = []
    with suppress(Exception):  # broken settings, a full disk, a bug of ours
        lines = _lines(initial_context, collection, parser)
    Console().result("\n".join([MARK, *lines]))
    raise Exit


def _lines(initial_context: ParserContext, collection: Collection, parser: Any) -> list[str]:
    from dgummy import cmdline, completing

    words, current, typed = _typed()
    names = [one for name, aliases in collection.task_names.items() for one in (name, *aliases)]
    tasks = {name: _shape(parser.contexts[name], collection) for name in names}
    found = completing.wanted(words, current, _shape(initial_context, collection), tasks)
    prefix = found.prefix
    if found.part is completing.Part.VALUE and _kind(found, collection) is completing.Kind.HOST:
        prefix += completing.list_prefix(current.removeprefix(prefix))
    candidates = _candidates(found, initial_context, collection, parser)
    if typed is None:
        return [one.line(prefix) for one in candidates]
    return cmdline.replies(typed, [prefix + one.value for one in candidates])


def _typed() -> tuple[list[str], str, Any]:
    """The words before the cursor, the word at it, and, for bash, the line that they come from."""
    from dgummy import cmdline

    if os.environ[VARIABLE] != "bash":
        words = boundary.words_around_dashes()[1]
        return words[1:-1], words[-1], None
    line = os.fsencode(os.environ["COMP_LINE"])[: int(os.environ["COMP_POINT"])]
    typed = cmdline.read(os.fsdecode(line), os.environ.get("COMP_WORDBREAKS", ""))
    return list(typed.words[1:]), typed.current, typed


def _shape(context: ParserContext, collection: Collection) -> Shape:
    """What a task takes, as Invoke's parser sees it."""
    from invoke.parser.context import to_flag

    from dgummy.completing import Flag, Shape

    flags = {
        to_flag(name): Flag(argument.names[0], argument.takes_value, argument.optional, argument.help or "")
        for argument in context.flags.values()
        for name in argument.names
    }
    flags |= {flag: Flag("", about=f"not {positive}") for flag, positive in context.inverse_flags.items()}
    takes_more = bool(context.name) and bool(getattr(collection[context.name], "several", ""))
    positionals = tuple(argument.names[0] for argument in context.positional_args)
    return Shape(flags, positionals, takes_more)


def _candidates(
    found: Wanted, initial_context: ParserContext, collection: Collection, parser: Any
) -> Iterable[Candidate]:
    from dgummy.candidates import Candidate, values
    from dgummy.completing import Part

    if found.part is Part.TASK:
        return _tasks(collection)
    if found.part is Part.FLAG:
        context = parser.contexts[found.task] if found.task else initial_context
        flags = _shape(context, collection).flags
        return [Candidate(flag, one.about) for flag, one in flags.items()]
    kind = _kind(found, collection) if found.part is Part.VALUE else None
    if kind is None:
        return []
    from dgummy.app import App, current_folder, invoke_config

    boundary.put_env_back()
    config = invoke_config(current_folder())
    config.load_collection(collection.configuration())
    with App(config) as app:
        return values(kind, app)


def _kind(found: Wanted, collection: Collection) -> Any:
    """Of which kind the values of an argument are; None for those of other people's tasks, and for any text."""
    from dgummy.completing import EXCEPTIONS, KINDS

    if not found.task or not isinstance(collection[found.task], boundary.Command):
        return None
    name = _own_name(found.task, collection)
    return EXCEPTIONS.get((name, found.argument)) or (KINDS.get(found.argument) if name else None)


def _own_name(task: str, collection: Collection) -> str:
    """The name that one of our commands has in our own collection."""
    from dgummy.tasks import ns

    body = collection[task].body  # a collection has copies of tasks, and takes those of one name for equal
    return next((name for name in ns.task_names if ns[name].body is body), "")


def _tasks(collection: Collection) -> list[Candidate]:
    from invoke.util import task_name_sort_key

    from dgummy.candidates import Candidate

    found = []
    for name, aliases in sorted(collection.task_names.items(), key=lambda item: task_name_sort_key(item[0])):
        about = next(iter((collection[name].__doc__ or "").strip().splitlines()), "")
        found += [Candidate(one, about) for one in (name, *aliases)]
    return found
