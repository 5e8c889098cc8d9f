"""Completion in the shell: the script that a shell loads, and what that asks for at every TAB.

The script calls `inv --complete -- WORDS…`, Invoke's own way, with DGUMMY_COMPLETE in the environment. Where our tasks
are loaded, under whatever name, that is answered here; elsewhere Invoke answers, and the script makes do with names of
tasks and flags.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.exceptions import Exit

from dgummy.boundary import command

if TYPE_CHECKING:
    from invoke.collection import Collection
    from invoke.parser.context import ParserContext

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


def take_over(ours: Collection) -> None:
    """Answer in Invoke's place when a shell asks; `ours` are our tasks. Invoke knows no other way to add to it."""
    import invoke.program

    def complete(
        names: list[str], core: Any, initial_context: ParserContext, collection: Collection, parser: Any
    ) -> None:
        """Print the candidates for the command line. Whatever goes wrong, nothing is said: a shell listens."""
        from dgummy.answer import Answer
        from dgummy.render.console import Console

        lines: list[str] = []
        with suppress(Exception):  # broken settings, a full disk, a bug of ours
            lines = Answer(ours, collection, initial_context, parser.contexts).lines(os.environ)
        Console().result("\n".join([MARK, *lines]))
        raise Exit

    invoke.program.complete = complete  # type: ignore[assignment,attr-defined]
