"""`inv ask`: a plain sentence as a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import command_with, flag, words
from dgummy.tasks._program import become, check_alone, typed
from dgummy.tasks._shared import Session, plain_text, session

if TYPE_CHECKING:
    from dgummy.asking.readings import Reading, Understood
    from dgummy.render.console import Console


@dataclass
class AskFlags:
    """What `inv ask` takes."""

    text: str | None = words("what you want, in plain words")
    yes: bool = flag("run the command without asking", default=False)
    json: bool = flag("print one JSON document on stdout, and run nothing", default=False)


@command_with(AskFlags)
def ask(c: Context, flags: AskFlags) -> int:
    """Say in plain words what you want: shows how it was understood and the command, and runs it after a yes.

    By rules, no model: an unsure sentence gives the two nearest readings and runs nothing (exit code 64).

    Example: inv ask 'Run database optimization on the least loaded host'
    """
    from dgummy.asking import intents, phrasing
    from dgummy.asking.places import Names
    from dgummy.asking.sentence import MAX_LENGTH
    from dgummy.errors import ExitCode
    from dgummy.render import asking, documents
    from dgummy.render.text import one_line

    check_alone("ask")
    said = plain_text(flags.text)
    if not said.strip():
        raise UsageError("there is nothing to read", "for example: inv ask 'run the tests on the best host'")
    if len(said) > MAX_LENGTH:
        raise UsageError(f"the text has more than {MAX_LENGTH:,} characters", "give a long task to: inv task TEXT")
    if flags.json and flags.yes:
        raise UsageError("--json and --yes at once: --json runs nothing", "give one of them")
    with session(c, json=flags.json) as now:
        inventory = now.app.inventory
        found = intents.understand(said, Names(tuple(inventory.hosts), inventory.groups))
        kinds = [phrasing.kind_of(one, said, now.app.cluster.task_types) for one in found.readings]
        if flags.json:
            now.console.result(documents.dump(asking.document(found, kinds, typed)))
        else:
            now.console.result(asking.text(found, kinds, typed))
        if not found.sure:
            now.console.note(f"✗ not sure, so nothing was run: {one_line(found.doubt, 300)}", "error")
            now.console.note(
                "  type one of these, or say more: where (on node-1, on the best host, everywhere, here) and what"
            )
            return ExitCode.USAGE
        chosen = None if flags.json else _chosen(now, found, yes=flags.yes)
    return 0 if chosen is None else become(chosen)


def _chosen(now: Session, found: Understood, *, yes: bool) -> list[str] | None:
    """The words of the command that is to be run, None if nothing is."""
    from dgummy.asking import phrasing
    from dgummy.asking.readings import Intent

    reading, console = found.readings[0], now.console
    asked = not yes and console.interactive
    if reading.intent is Intent.LOCAL:
        if yes:
            raise UsageError("that is local work, and inv ask runs none", "run the command above in your shell")
        return None
    if phrasing.lacks_text(reading):
        remedy = "say what is to be done: inv ask 'add pagination to the orders endpoint on the best host'"
        if not asked:
            if yes:
                raise UsageError("it does not say what is to be done, so nothing was run", remedy)
            console.note(f"  {phrasing.MISSING} is what is to be done: the sentence does not say")
            return None
        text = console.answer("What is to be done? (just Enter: nothing) ").strip()
        if not text:
            return None
        return phrasing.words(phrasing.with_text(reading, text), _kind(now, reading, text))
    if not yes and not (asked and _agrees(console, reading)):
        return None
    return phrasing.words(reading, _kind(now, reading, found.text))


def _agrees(console: Console, reading: Reading) -> bool:
    """A yes; where it may destroy something, Enter alone is none."""
    from dgummy.asking.harm import is_harm

    if reading.is_command and is_harm(reading.text or ""):
        return console.answer("It may destroy something. Run it? [y/N] ").strip().lower() in ("y", "yes")
    return console.agrees("Run it?")


def _kind(now: Session, reading: Reading, said: str) -> str:
    from dgummy.asking import phrasing

    return phrasing.kind_of(reading, said, now.app.cluster.task_types)[0]
