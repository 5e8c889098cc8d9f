"""The answer to a shell that asks what may come next on a command line of `inv` or `dgummy`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgummy import boundary, cmdline
from dgummy.app import App, current_folder, invoke_config
from dgummy.candidates import Candidate, values
from dgummy.cmdline import TypedLine
from dgummy.completing import EXCEPTIONS, KINDS, VARIABLE, Flag, Kind, Part, Shape, Wanted, list_prefix, wanted

if TYPE_CHECKING:
    from invoke.collection import Collection
    from invoke.parser.context import ParserContext


@dataclass(frozen=True)
class Answer:
    """What is offered. `collection` are the tasks that were loaded, `ours` those whose values we know.

    `core` is what the program itself takes, `contexts` what each task does, as Invoke's parser has it.
    """

    ours: Collection
    collection: Collection
    core: ParserContext
    contexts: Mapping[str, ParserContext]

    def lines(self, environ: Mapping[str, str]) -> list[str]:
        """The candidates as the shell takes them that asks."""
        words, current, typed = _typed(environ)
        names = [one for name, aliases in self.collection.task_names.items() for one in (name, *aliases)]
        tasks = {name: self._shape(self.contexts[name]) for name in names}
        found = wanted(words, current, self._shape(self.core), tasks)
        prefix = found.prefix
        if self._kind(found) is Kind.HOST:
            prefix += list_prefix(current.removeprefix(prefix))
        candidates = self._candidates(found)
        if typed is None:
            return [one.line(prefix) for one in candidates]
        return cmdline.replies(typed, [prefix + one.value for one in candidates])

    def _candidates(self, found: Wanted) -> list[Candidate]:
        if found.part is Part.TASK:
            return self._tasks()
        if found.part is Part.FLAG:
            context = self.contexts[found.task] if found.task else self.core
            return [Candidate(flag, one.about) for flag, one in self._shape(context).flags.items()]
        kind = self._kind(found)
        return [] if kind is None else self._values(kind)

    def _tasks(self) -> list[Candidate]:
        found = []
        for name, aliases in sorted(self.collection.task_names.items(), key=lambda item: (item[0].count("."), item[0])):
            about = next(iter((self.collection[name].__doc__ or "").strip().splitlines()), "")
            found += [Candidate(one, about) for one in (name, *aliases)]
        return found

    def _values(self, kind: Kind) -> list[Candidate]:
        boundary.put_env_back()
        config = invoke_config(current_folder())
        config.load_collection(self.collection.configuration())
        with App(config) as app:
            return values(kind, app)

    def _kind(self, found: Wanted) -> Kind | None:
        """Of which kind the wanted value is; None for arguments of other people's tasks, and for any text."""
        if found.part is not Part.VALUE or not found.task:
            return None
        body = self.collection[found.task].body  # Invoke copies tasks, and takes those of one name for equal
        name = next((name for name in self.ours.task_names if self.ours[name].body is body), "")
        return EXCEPTIONS.get((name, found.argument), KINDS.get(found.argument)) if name else None

    def _shape(self, context: ParserContext) -> Shape:
        """What a task takes, as Invoke's parser sees it."""
        flags = {
            f"--{name}" if len(name) > 1 else f"-{name}": Flag(
                argument.names[0], argument.takes_value, argument.optional, argument.help or ""
            )
            for argument in context.flags.values()
            for name in argument.names
        }
        flags |= {flag: Flag("", about=f"not {positive}") for flag, positive in context.inverse_flags.items()}
        takes_more = bool(context.name) and bool(getattr(self.collection[context.name], "several", ""))
        return Shape(flags, tuple(argument.names[0] for argument in context.positional_args), takes_more)


def _typed(environ: Mapping[str, str]) -> tuple[list[str], str, TypedLine | None]:
    """The words before the cursor, the word at it, and, for bash, the line that they come from."""
    if environ[VARIABLE] != "bash":
        words = boundary.words_around_dashes()[1]
        return words[1:-1], words[-1], None
    line = os.fsencode(environ["COMP_LINE"])[: int(environ["COMP_POINT"])]
    typed = cmdline.read(os.fsdecode(line), environ.get("COMP_WORDBREAKS", ""))
    return list(typed.words[1:]), typed.current, typed
