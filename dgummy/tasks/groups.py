"""`inv fanout`: the same work on many hosts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.boundary import command
from dgummy.errors import UsageError
from dgummy.tasks._shared import (
    LIST_FLAGS,
    RUN_HELP,
    Session,
    command_text,
    duration_s,
    run_options,
    session,
    wish,
)

if TYPE_CHECKING:
    from dgummy.groupwork import GroupOptions
    from dgummy.model import GroupResult, SyncResult
    from dgummy.render.console import Console
    from dgummy.tasks._shared import ClosableListener

GROUP_HELP = {
    **{flag: text for flag, text in RUN_HELP.items() if flag != "fallback"},
    "jobs": "how many at once (default: the setting `jobs`)",
    "fail_fast": "end everything at the first failure",
    "max_failures": "start nothing more after so many failures: a number, or a percentage of all",
    "deadline": "end everything after so long: 90, 20m, 2h",
    "timeout": "end each on its host after so long: 90, 20m, 2h",
    "detach": "start them, print their run ids and return",
    "stream": "print a JSON line for everything that happens",
}


@command(
    positional=["cmd"],
    optional=["cmd"],
    iterable=LIST_FLAGS,
    help={
        "cmd": "the command, as one string or after --",
        "task": "a task for an agent instead of a command",
        "gather": "show equal outputs once, with the hosts that they came from",
        "diff": "with --gather: how the others differ from the most common output",
        **GROUP_HELP,
    },
)
def fanout(
    c: Context,
    host: list[str],
    exclude: list[str],
    require: list[str],
    env: list[str],
    cmd: str | None = None,
    task: str | None = None,
    group: str | None = None,
    type: str | None = None,  # noqa: A002 - named as the flag
    jobs: str | None = None,
    fail_fast: bool = False,
    max_failures: str | None = None,
    timeout: str | None = None,
    deadline: str | None = None,
    gather: bool = False,
    diff: bool = False,
    no_sync: bool = False,
    detach: bool = False,
    backend: str | None = None,
    force: bool = False,
    dry: bool = False,
    json: bool = False,
    stream: bool = False,
) -> int:
    """Run a command on every host of a group at once.

    Example: inv fanout 'make test' --group build
    """
    with session(
        c,
        {"backend": backend, "jobs": jobs},
        json=json,
        screen=_screen(json=json, stream=stream, gather=gather or diff),
    ) as now:
        text = command_text(cmd)
        if bool(text) == bool(task):
            raise UsageError("give a command, or --task TEXT", "for example: inv fanout 'make test'")
        asked = wish(host, group, exclude, type, require, text)
        options = run_options(now, timeout, env, no_sync=no_sync, force=force, detach=detach)
        bounds = group_options(fail_fast=fail_fast, max_failures=max_failures, deadline=deadline)
        cluster = now.app.cluster
        order = (
            cluster.task_order(task, "task", asked, options) if task else cluster.command_order(text, asked, options)
        )
        if dry:
            return _show_plan(now, cluster.fanout_plan(order, options), order.shown, json=json)
        return _show(now, cluster.fanout(order, options, bounds), json=json, stream=stream)


def group_options(*, fail_fast: bool, max_failures: str | None, deadline: str | None) -> GroupOptions:
    """Flags as the bounds of a group."""
    from dgummy.groupwork import GroupOptions
    from dgummy.stoprules import parse_rule

    try:
        rule = parse_rule(fail_fast=fail_fast, max_failures=max_failures)
    except ValueError as error:
        raise UsageError(f"--max-failures: {error}", "for example --max-failures 3, or 10%") from error
    return GroupOptions(rule, duration_s(deadline, "--deadline"))


def _screen(*, json: bool, stream: bool, gather: bool) -> Callable[[Console], ClosableListener]:
    def make(console: Console) -> ClosableListener:
        if stream:
            from dgummy.render.stream import StreamScreen

            return StreamScreen(console)
        from dgummy.render.groupscreen import GroupScreen

        return GroupScreen(console, quiet=json or gather, live=not json)

    return make


def _show_plan(now: Session, planned: list[SyncResult], command: str, *, json: bool) -> int:
    from dgummy.render import documents, tables
    from dgummy.render.text import one_line

    if json:
        now.console.result(documents.dump({"command": command, **documents.sync(planned, dry=True)}))
    else:
        for result in planned:
            now.console.result(tables.would_sync(result))
        now.console.result(f"would run on {len(planned)}: {one_line(command)}")
    return 0


def _show(now: Session, result: GroupResult, *, json: bool, stream: bool) -> int:
    from dgummy.model import RunState

    if json and not stream:
        from dgummy.render import documents

        now.console.result(documents.dump(documents.group(result, now.tails.text)))
    elif not stream:
        for member in result.members:
            if member.result.state is RunState.RUNNING:
                now.console.result(member.result.run_id)
    return result.process_exit_code
