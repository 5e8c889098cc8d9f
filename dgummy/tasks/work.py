"""`inv sync`, `inv run`, `inv task`: bring work to hosts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import HostFlags, OneRunFlags, UnattendedFlags, command_with, flag, words
from dgummy.tasks._shared import Session, command_text, host_wish, plain_text, run_options, session, work_wish

if TYPE_CHECKING:
    from dgummy.chooser import Wish
    from dgummy.intake import RunOptions
    from dgummy.model import RunResult


@dataclass
class SyncFlags(UnattendedFlags, HostFlags):
    """What `inv sync` takes."""

    begins: ClassVar[bool] = True
    path: str | None = words("the project this folder is in (default: the current one)")
    dry: bool = flag("show what would go, and send nothing", default=False)
    force: bool = flag("sync even what looks like a mistake (the home folder, say)", default=False)
    collect_first: bool = flag("bring home first what an earlier run left in the way", default=False)


@command_with(SyncFlags)
def sync(c: Context, flags: SyncFlags) -> int:
    """Bring the project to hosts: what git sees, less sync_exclude.

    Example: inv sync --host node-1 --dry
    """
    from dgummy.errors import ExitCode
    from dgummy.render import documents, tables

    with session(c, {"backend": flags.backend}, json=flags.json, work=flags) as now:
        folder = plain_text(flags.path)
        place = Path(folder) if folder else None
        results = now.app.cluster.sync(
            host_wish(flags), path=place, dry=flags.dry, force=flags.force, collect=flags.collect_first
        )
        if flags.json:
            now.console.result(documents.dump(documents.sync(results, dry=flags.dry)))
        elif flags.dry:
            for result in results:
                now.console.result(tables.would_sync(result))
    failures = [result.failure for result in results if result.failure is not None]
    if len(results) == 1 and failures:
        return failures[0].kind.exit_code
    return ExitCode.SOME_FAILED if failures else 0


@dataclass
class RunFlags(OneRunFlags):
    """What `inv run` takes."""

    cmd: str | None = words("the command, as one string or after --")


@dataclass
class TaskFlags(OneRunFlags):
    """What `inv task` takes."""

    text: str | None = words("what the agent is to do, as one string or after --")
    mode: str = flag("task, plan or execute", default="task")
    verify: str | None = flag("a command that must pass on that host afterwards for the task to count as done")


@command_with(RunFlags)
def run(c: Context, flags: RunFlags) -> int:
    """Run a command on the best host, in the project's folder there.

    Example: inv run 'make test'
    """
    with _session(c, flags) as now:
        text = command_text(flags.cmd)
        asked, options = work_wish(flags, text), run_options(now, flags, colour=True)
        if flags.dry:
            return _show_plan(now, asked, options, text, json=flags.json)
        return _show(now, now.app.cluster.run(text, asked, options), json=flags.json)


@command_with(TaskFlags, name="task")
def task(c: Context, flags: TaskFlags) -> int:
    """Give an agent a task on the best host that has it.

    Example: inv task 'optimize database queries'
    """
    with _session(c, flags) as now:
        text = plain_text(flags.text)
        asked = work_wish(flags, text)
        options = replace(run_options(now, flags, colour=True, agent=True), verify=flags.verify)
        if flags.dry:
            return _show_plan(now, asked, options, text, mode=flags.mode, json=flags.json)
        return _show(now, now.app.cluster.task(text, flags.mode, asked, options), json=flags.json)


@contextmanager
def _session(c: Context, flags: OneRunFlags) -> Iterator[Session]:
    if flags.detach and flags.deadline:
        what = "nobody is there to keep a deadline once the run is left to itself"
        raise UsageError(what, "give --timeout, which its host keeps, or leave out --detach")
    chosen = {"backend": flags.backend, "fallback": flags.fallback}
    with session(c, chosen, json=flags.json, work=flags) as now:
        yield now


def _show(now: Session, result: RunResult, *, json: bool) -> int:
    from dgummy.model import RunState

    if json:
        from dgummy.render import documents

        now.console.result(documents.dump(documents.run(result, now.tails.text(result.run_id))))
    elif result.state is RunState.RUNNING:
        now.console.result(result.run_id)
    return now.ended(result.process_exit_code)


def _show_plan(now: Session, asked: Wish, options: RunOptions, text: str, *, json: bool, mode: str = "") -> int:
    from dgummy.errors import ExitCode
    from dgummy.render import documents, tables

    plan = now.app.cluster.plan(asked, options, mode=mode)
    if json:
        now.console.result(documents.dump(documents.plan(plan, text)))
    else:
        now.console.result(tables.plan(plan, text))
    return 0 if plan.pick.choice.host else ExitCode.NO_HOST
