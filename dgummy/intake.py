"""What the user asks for, as an order: checked, and written as a shell on a host will get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dgummy import agents
from dgummy.chooser import Wish
from dgummy.errors import UsageError
from dgummy.fileset import fetch_patterns
from dgummy.findings import Work
from dgummy.orders import Order
from dgummy.runscript import MAX_COMMAND_BYTES, is_env_name
from dgummy.settings import Settings
from dgummy.wording import suggestion
from dgummy.worklist import Item

_TASK_EXAMPLE = 'for example: inv task "optimize database queries"'


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a command or a task is to be run, beside where (see `Wish`)."""

    sync: bool = True
    timeout_s: float | None = None
    env: dict[str, str] = field(default_factory=dict)
    verify: str | None = None
    force: bool = False
    detach: bool = False
    collect: bool | None = None
    fetch: tuple[str, ...] = ()
    collect_first: bool = False
    isolate: bool = False
    job: str = ""
    locks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """UsageError for what makes no sense, alone or together."""
        fetch_patterns(self.fetch)
        if self.isolate and not self.sync:
            what = "--isolate makes a copy of the project, and --no-sync brings none"
            raise UsageError(what, "leave out one of the two")


def command_order(command: str, wish: Wish, options: RunOptions, settings: Settings) -> Order:
    """A shell command as an order. UsageError for one that no shell can take."""
    _check(command, options)
    order = Order(
        kind="run",
        command=f" {command}" if command.startswith("-") else command,  # a shell would take it for its own option
        shown=command,
        wish=replace(wish, text=wish.text or command),
    )
    return _as_asked(order, options, settings, collect="off")


def task_order(text: str, mode: str, wish: Wish, options: RunOptions, settings: Settings) -> Order:
    """A task for an agent as an order, for hosts that have the agent. UsageError for no task."""
    if mode not in agents.MODES:
        raise UsageError(f"there is no mode {mode}", f"use one of {', '.join(agents.MODES)}")
    if not text.strip():
        raise UsageError("there is no task", _TASK_EXAMPLE)
    command = agents.command_line(settings.agent.command, mode, text, options.verify)
    _check(command, options)
    order = Order(
        kind="task",
        command=command,
        shown=text,
        wish=replace(wish, text=text),
        mode=mode,
        text=text,
        verify=options.verify,
    )
    return _as_asked(order, options, settings, collect=settings.collect.when)


def fit_for(
    wish: Wish, settings: Settings, *, agent: bool, sync: bool, environ: Mapping[str, str] | None = None
) -> Wish:
    """A wish for hosts that can take that kind of work: for an agent, or such that the project is brought there.

    `environ`: the variables that the work gets, by which an agent may log in.
    """
    needs = ([Work.AGENT] if agent else []) + ([Work.SYNC] if sync else [])
    requires = (*wish.requires, settings.agent.tool) if agent else wish.requires
    brings_login = agents.brings_login(environ or {})
    return replace(wish, requires=requires, needs=frozenset(needs), brings_login=brings_login)


def _as_asked(order: Order, options: RunOptions, settings: Settings, *, collect: str) -> Order:
    """An order with the options that commands and tasks have in common; `collect` is what holds if nothing is said."""
    return replace(
        order,
        wish=fit_for(order.wish, settings, agent=bool(order.mode), sync=options.sync, environ=options.env),
        sync=options.sync,
        timeout_s=options.timeout_s,
        env=options.env,
        fallback=_fallback(options, settings),
        detach=options.detach,
        collect=collect if options.collect is None else "auto" if options.collect else "off",
        fetch=options.fetch,
        collect_first=options.collect_first,
        isolate=options.isolate,
        job=options.job,
        locks=options.locks,
    )


def suite_orders(name: str, wish: Wish, options: RunOptions, settings: Settings) -> list[Order]:
    """A suite of the settings as orders, one for each label. UsageError for one that there is none of."""
    if name not in settings.suites:
        raise UsageError(f"there is no suite {name}", suggestion(name, settings.suites, noun="suites are"))
    orders = []
    for label, job in settings.suites[name].items():
        asked = replace(
            wish,
            hosts=job.host or wish.hosts,
            requires=(*wish.requires, *job.require),
            task_type=job.type or wish.task_type,
            text=job.task or job.run,
        )
        own = options if job.timeout is None else replace(options, timeout_s=job.timeout)
        if job.task:
            order = task_order(job.task, "task", asked, own, settings)
        else:
            order = command_order(job.run, asked, own, settings)
        orders.append(replace(order, label=label))
    return orders


def item_orders(
    items: Sequence[Item], wish: Wish, options: RunOptions, settings: Settings, *, commands: bool
) -> list[Order]:
    """Pieces of work as orders: tasks for agents, or shell commands."""
    orders = []
    for item in items:
        asked = replace(
            wish,
            hosts=(item.host,) if item.host else wish.hosts,
            task_type=item.task_type or wish.task_type,
            text=item.text,
        )
        if commands:
            order = command_order(item.text, asked, options, settings)
        else:
            order = task_order(item.text, "task", asked, options, settings)
        orders.append(replace(order, label=item.label))
    return orders


def named(order: Order, label: str, *, fallback: str) -> Order:
    """An order with a name within its group, and what is to happen if no host can take it."""
    return replace(order, label=label, fallback=fallback)


def refuse_a_copy(asked: RunOptions | Order, *, here: bool) -> None:
    """UsageError for a run that is to have a copy of the project (`isolate`), and to be on this machine."""
    if asked.isolate and here:
        raise UsageError(
            "--isolate makes a copy on a host, and on this machine a run is in the project's own folder",
            "leave out --isolate, or offer hosts: inv config.init --write",
        )


def _fallback(options: RunOptions, settings: Settings) -> str:
    """What is to happen if no host can take it: one that is to leave the project alone never runs in it here."""
    return "none" if options.isolate else settings.fallback


def _check(command: str, options: RunOptions) -> None:
    if not command.strip():
        raise UsageError("there is no command", 'for example: inv run "make test"')
    if "\0" in command:
        raise UsageError("the command holds a NUL byte, which no shell can take", "leave it out")
    size = len(command.encode("utf-8", "surrogateescape"))
    if size > MAX_COMMAND_BYTES:
        raise UsageError(
            f"the command is {size:,} bytes long; a shell takes at most {MAX_COMMAND_BYTES:,}",
            "put it into a file of the project and run that",
        )
    for name, value in options.env.items():
        if not is_env_name(name):
            raise UsageError(f"--env {name}: no variable can have that name", "use letters, digits and _")
        if "\0" in value:
            raise UsageError(f"--env {name}: the value holds a NUL byte", "leave it out")
