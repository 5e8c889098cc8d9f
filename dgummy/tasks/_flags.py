"""Flags that several commands share, each said once: its name, its default and its help.

Invoke reads flags from a function's signature. Here a signature is made from the fields of a dataclass, and the command
gets an instance of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from invoke.context import Context

from dgummy.boundary import command

F = TypeVar("F")


def flag(text: str, default: Any = None, short: str = "") -> Any:
    """Make a flag with a help text. False makes it a switch, a number a number, anything else takes text."""
    return field(default=default, metadata={"help": text, "short": short})


def repeated(text: str) -> Any:
    """Make a flag that may be given several times."""
    return field(default_factory=list, metadata={"help": text, "repeated": True})


def words(text: str) -> Any:
    """Make what needs no flag: one string, which may be left out, or stand after `--` as words."""
    return field(default=None, metadata={"help": text, "positional": True})


def all_words(text: str) -> Any:
    """Make what needs no flag and may be several strings: a list."""
    return field(default_factory=list, metadata={"help": text, "positional": True, "several": True})


def command_with(flags: type[F], name: str | None = None) -> Callable[[Callable[[Context, F], int]], Any]:
    """Make a function of a context and its flags a task."""
    known = fields(flags)  # type: ignore[arg-type]  # a dataclass
    several = next((one.name for one in known if one.metadata.get("several")), "")
    positional = [one.name for one in known if one.metadata.get("positional")]
    iterable = [one.name for one in known if one.metadata.get("repeated")]
    short = {one.name: one.metadata["short"] for one in known if one.metadata.get("short")}
    context = inspect.Parameter("c", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    signature = inspect.Signature([context, *map(_parameter, known)])

    def wrap(body: Callable[[Context, F], int]) -> Any:
        def run(c: Context, **given: Any) -> int:
            return body(c, flags(**given))

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        run.__signature__ = signature  # type: ignore[attr-defined]
        options: dict[str, Any] = {"iterable": iterable, "help": {one.name: one.metadata["help"] for one in known}}
        if not several:
            options |= {"positional": positional, "optional": positional}
        return command(name, several=several, short=short, **options)(run)

    return wrap


def _parameter(one: Field[Any]) -> inspect.Parameter:
    default = one.default
    if one.default is MISSING:
        default = inspect.Parameter.empty if one.metadata.get("repeated") else None
    return inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default)


@dataclass
class UnattendedFlags:
    """What every command takes that does work: it may be one that nobody watches.

    `begins` is whether it begins something on hosts, which must not be beside what an earlier holder of its lock left.
    """

    begins: ClassVar[bool] = False
    deadline: str | None = flag("end everything after so long, whatever it is at: 90, 20m, 2h")
    lock: str | None = flag("hold the lock of this name; who finds it held asks no host anything, and ends with 75")
    verbose: bool = flag("show every notice at once, also where there is no terminal", default=False, short="v")


@dataclass
class HostFlags:
    """Which hosts a command is about."""

    host: list[str] = repeated("only this host; repeat for several, ranges like node-[1-4] are fine")
    group: str | None = flag("the hosts of this group (default: the setting `group`)")
    exclude: list[str] = repeated("not this host; may be repeated")
    backend: str | None = flag("auto, d, ssh or local, instead of what the settings say")
    json: bool = flag("print one JSON document on stdout", default=False)


@dataclass
class ChoiceFlags(HostFlags):
    """What is asked of a host."""

    type: str | None = flag("the kind of work (database, api, frontend, testing, security, general, or one of yours)")
    require: list[str] = repeated("what a host must have: docker, os=darwin, arch=arm64, 'cores>=8'; may be repeated")


@dataclass
class WorkFlags(UnattendedFlags, ChoiceFlags):
    """How work is done."""

    begins: ClassVar[bool] = True
    timeout: str | None = flag("end it on its host after so long: 90, 20m, 2h")
    env: list[str] = repeated("pass a variable: NAME (its value here) or NAME=VALUE; may be repeated")
    no_sync: bool = flag("do not bring the project there first", default=False)
    isolate: bool = flag("in a copy of the project for this run alone, beside others on the same host", default=False)
    detach: bool = flag("start it, print its run id and return", default=False)
    collect: bool = flag("bring home what it changes, as a branch, once it is done", default=False)
    no_collect: bool = flag("leave what it changes on its host; inv collect brings it home later", default=False)
    collect_first: bool = flag("bring home first what an earlier run left in the way", default=False)
    fetch: list[str] = repeated("bring these files home too, ignored ones as well: 'dist/*.whl'; may be repeated")
    force: bool = flag("sync even what looks like a mistake (the home folder, say)", default=False)
    dry: bool = flag("show where it would run and what would be sent, and do nothing", default=False)


@dataclass
class OneRunFlags(WorkFlags):
    """What `inv run` and `inv task` take besides."""

    fallback: str | None = flag("local (run here if no host can) or none")


@dataclass
class BoundFlags(UnattendedFlags):
    """How several runs at once are kept within bounds, and shown."""

    jobs: str | None = flag("how many at once (default: the setting `jobs`)")
    backend: str | None = flag("auto, d, ssh or local, instead of what the settings say")
    fail_fast: bool = flag("end everything at the first failure", default=False)
    max_failures: str | None = flag("start nothing more after so many failures: a number, or a percentage of all")
    stream: bool = flag("print a JSON line for everything that happens", default=False)
    json: bool = flag("print one JSON document on stdout", default=False)


@dataclass
class GroupFlags(BoundFlags, WorkFlags):
    """What commands for several runs at once take."""
