"""`inv fanout`: the same work on many hosts at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import BoundFlags, GroupFlags, all_words, command_with, flag, words
from dgummy.tasks._shared import Session, command_text, duration_s, run_options, session, work_wish

if TYPE_CHECKING:
    from dgummy.grouprecords import GroupResult
    from dgummy.groupwork import GroupOptions
    from dgummy.model import SyncResult
    from dgummy.orders import Order
    from dgummy.render.console import Console
    from dgummy.tasks._shared import ClosableListener
    from dgummy.worklist import Item


@dataclass
class FanoutFlags(GroupFlags):
    """What `inv fanout` takes."""

    cmd: str | None = words("the command, as one string or after --")
    task: str | None = flag("a task for an agent instead of a command")
    suite: str | None = flag("instead of one command everywhere: each label of this suite on the best host for it")
    gather: bool = flag("show equal outputs once, with the hosts that they came from", default=False)
    diff: bool = flag("show how the others differ from the most common output", default=False)


@command_with(FanoutFlags)
def fanout(c: Context, flags: FanoutFlags) -> int:
    """Run a command on every host of a group at once.

    Example: inv fanout 'make test' --group build
    """
    gather = flags.gather or flags.diff
    if gather and (flags.detach or flags.stream):
        other = "--detach" if flags.detach else "--stream"
        raise UsageError(f"{other} leaves nothing to gather", f"leave out {other}, or --gather and --diff")
    with group_session(c, flags, gather=gather, diff=flags.diff) as now:
        if flags.suite:
            return _suite(now, flags)
        order = _order(now, flags)
        if flags.detach and (flags.deadline or flags.fail_fast or flags.max_failures):
            what = "nobody is there to end a fan-out by rule once it is left to itself"
            raise UsageError(what, "give --timeout, which its hosts keep, or leave out --detach")
        groups = now.app.cluster.groups
        if flags.dry:
            return _show_plan(now, groups.everywhere_plan(order, force=flags.force), order.shown, json=flags.json)
        return show(now, flags, groups.everywhere(order, bounds(flags), force=flags.force))


@dataclass
class DistributeFlags(GroupFlags):
    """What `inv distribute` takes."""

    text: list[str] = all_words("what is to be done, one string each; `database: TEXT` says its kind")
    command: bool = flag("the texts are shell commands, not tasks for agents", default=False)
    from_: str | None = flag("read them from this file: one on each line, or a YAML list")


@command_with(DistributeFlags)
def distribute(c: Context, flags: DistributeFlags) -> int:
    """Give several tasks to agents, each on the host that suits it best.

    Example: inv distribute 'optimize database queries' 'build REST API endpoints'
    """
    from dgummy import intake

    with group_session(c, flags) as now:
        asked, options = work_wish(flags, ""), run_options(now, flags, agent=not flags.command)
        orders = intake.item_orders(_items(now, flags), asked, options, now.app.settings, commands=flags.command)
        return _spread(now, flags, orders)


def _items(now: Session, flags: DistributeFlags) -> list[Item]:
    from pathlib import Path

    from dgummy import worklist

    types = now.app.cluster.task_types
    items = [worklist.parse_item(text, types) for text in flags.text]
    if flags.from_:
        items += worklist.read_items(Path(flags.from_).expanduser(), types)
    if not items:
        example = "for example: inv distribute 'optimize database queries' 'build REST API endpoints'"
        raise UsageError("there is nothing to do", example)
    return worklist.labelled(items)


def _suite(now: Session, flags: FanoutFlags) -> int:
    from dgummy import intake

    if command_text(flags.cmd) or flags.task:
        raise UsageError("a suite has its own commands", "leave out the command, or --suite")
    asked, options = work_wish(flags, ""), run_options(now, flags)
    return _spread(now, flags, intake.suite_orders(flags.suite or "", asked, options, now.app.settings))


def _spread(now: Session, flags: GroupFlags, orders: list[Order]) -> int:
    groups = now.app.cluster.groups
    if flags.dry:
        return _show_picks(now, orders, json=flags.json)
    if not flags.detach:
        return show(now, flags, groups.spread(orders, bounds(flags), force=flags.force))
    return leave(now, flags, orders, force=flags.force)


def leave(now: Session, flags: BoundFlags, orders: list[Order], *, force: bool = False) -> int:
    """Leave work that is spread to a process in the background, and show what it is known by."""
    bounds(flags)  # what is wrong with them is said now
    words = [*_passed_on(flags), *(["--force"] if force else [])]
    group_id, run_ids = now.app.cluster.groups.leave(orders, words, force=force)
    if flags.json:
        from dgummy.render import documents

        now.console.result(documents.dump(documents.left(group_id, orders, run_ids)))
        return 0
    for run_id in run_ids:
        now.console.result(run_id)
    now.console.note(f"left to a process in the background · inv wait {group_id}")
    return 0


def _passed_on(flags: BoundFlags) -> list[str]:
    """The flags that the process in the background gets."""
    words = [word for name in ("jobs", "max_failures", "deadline", "backend") for word in _given(flags, name)]
    return [*words, *(["--fail-fast"] if flags.fail_fast else [])]


def _given(flags: BoundFlags, name: str) -> list[str]:
    value = getattr(flags, name)
    return [f"--{name.replace('_', '-')}={value}"] if value else []


def _show_picks(now: Session, orders: list[Order], *, json: bool) -> int:
    from dgummy import intake
    from dgummy.render import documents, tables

    intake.refuse_a_copy(orders[0], here=now.app.cluster.is_here(orders[0].wish))
    tasks = [order.wish for order in orders if order.mode and not order.isolate]
    look = now.app.cluster.homes(tasks) if tasks else None
    looks = [look if order.mode and not order.isolate else None for order in orders]
    picks = [(order, now.app.cluster.pick(order.wish, look=one)) for order, one in zip(orders, looks, strict=True)]
    if json:
        now.console.result(documents.dump(documents.picks(picks)))
    else:
        now.console.result(tables.picks(picks))
    return 0


def _order(now: Session, flags: FanoutFlags) -> Order:
    from dgummy import intake

    text, settings = command_text(flags.cmd), now.app.settings
    if bool(text) == bool(flags.task):
        raise UsageError("give a command, or --task TEXT", "for example: inv fanout 'make test'")
    asked, options = work_wish(flags, flags.task or text), run_options(now, flags, agent=bool(flags.task))
    if flags.task:
        return intake.task_order(flags.task, "task", asked, options, settings)
    return intake.command_order(text, asked, options, settings)


def bounds(flags: BoundFlags) -> GroupOptions:
    """Flags as the bounds of a group."""
    from dgummy.groupwork import GroupOptions
    from dgummy.stoprules import parse_rule

    try:
        rule = parse_rule(fail_fast=flags.fail_fast, max_failures=flags.max_failures)
    except ValueError as error:
        raise UsageError(f"--max-failures: {error}", "for example --max-failures 3, or 10%") from error
    return GroupOptions(rule, duration_s(flags.deadline, "--deadline"))


@contextmanager
def group_session(c: Context, flags: BoundFlags, *, gather: bool = False, diff: bool = False) -> Iterator[Session]:
    """Open an app for a group of runs, with the screen that its flags ask for."""
    screen = _screen(json=flags.json, stream=flags.stream, gather=gather, diff=diff)
    with session(c, {"backend": flags.backend, "jobs": flags.jobs}, json=flags.json, screen=screen, work=flags) as now:
        yield now


def _screen(*, json: bool, stream: bool, gather: bool, diff: bool) -> Callable[[Console], ClosableListener]:
    def make(console: Console) -> ClosableListener:
        if gather and not json:
            from dgummy.render.gathering import GatheringScreen

            return GatheringScreen(console, diff=diff)
        if stream:
            from dgummy.render.stream import StreamScreen

            return StreamScreen(console)
        from dgummy.render.groupscreen import GroupScreen

        return GroupScreen(console, quiet=json, live=not json)

    return make


def _show_plan(now: Session, planned: list[SyncResult], command: str, *, json: bool) -> int:
    from dgummy.errors import ExitCode
    from dgummy.model import FailureKind
    from dgummy.render import documents, tables
    from dgummy.render.text import one_line

    if json:
        now.console.result(documents.dump({"command": command, **documents.sync(planned, dry=True)}))
    else:
        for result in planned:
            now.console.result(tables.would_sync(result))
        now.console.result(f"would run on {sum(one.ok for one in planned)}: {one_line(command)}")
    unfit = all(one.failure and one.failure.kind is FailureKind.UNFIT for one in planned)
    return ExitCode.NO_HOST if unfit else 0


def show(now: Session, flags: BoundFlags, result: GroupResult) -> int:
    """Show what is left to be shown of a group that ended; gives back the exit code."""
    from dgummy.model import RunState

    if flags.json and not flags.stream:
        from dgummy.render import documents

        now.console.result(documents.dump(documents.group(result, now.tails.text)))
    elif not flags.stream:
        for member in result.members:
            if member.result.state is RunState.RUNNING:
                now.console.result(member.result.run_id)
    return now.ended(result.process_exit_code)
