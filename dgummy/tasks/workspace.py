"""`inv workspace.list` and `inv workspace.clean`: the folders that runs have on hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import HostFlags, UnattendedFlags, command_with, flag
from dgummy.tasks._shared import duration_s, host_wish, say_who_was_silent, session

if TYPE_CHECKING:
    from dgummy.copyrules import Workspace


@dataclass
class ListFlags(HostFlags):
    """What `inv workspace.list` takes."""

    project: bool = flag("only those of the current project", default=False)


@dataclass
class CleanFlags(UnattendedFlags, HostFlags):
    """What `inv workspace.clean` takes."""

    older: str | None = flag("copies unused for longer than this: 2d (default: the setting workspace.expire_s)")
    all: bool = flag("whatever their age", default=False)
    collect_first: bool = flag("bring home first what is not collected", default=False)
    dry: bool = flag("show what would be removed, and remove nothing", default=False)


@command_with(ListFlags, name="list")
def list_workspaces(c: Context, flags: ListFlags) -> int:
    """List the folders that runs have on hosts.

    Projects' own and the copies of --isolate: size, age, and who has them.

    Example: inv workspace.list --host node-1
    """
    from dgummy.copies import Copies
    from dgummy.render import copies as screen
    from dgummy.render import documents

    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        found = Copies(now.app.cluster).look(host_wish(flags), project=flags.project)
        now.console.result(documents.dump(screen.document(found)) if flags.json else screen.table(found))
        return say_who_was_silent(now.console, found.silent)


@command_with(CleanFlags)
def clean(c: Context, flags: CleanFlags) -> int:
    """Remove copies of --isolate that are old.

    Never a project's own folder. One that is in use stays, and so does one with work that was not brought home: it is
    named, and the exit code is 75.

    Example: inv workspace.clean --older 2d --dry
    """
    from dgummy.copies import Copies
    from dgummy.errors import ExitCode
    from dgummy.render import copies as screen
    from dgummy.render import documents

    older_s = duration_s(flags.older, "--older", "2d")
    if flags.all and older_s is not None:
        raise UsageError("--all is whatever their age, and --older says which age", "give one of the two")
    with session(c, {"backend": flags.backend}, json=flags.json, work=flags) as now:
        if older_s is None:
            older_s = 0.0 if flags.all else now.app.settings.workspace.expire_s
        cluster = now.app.cluster

        def collect(_host: str, copy: Workspace) -> bool:
            return cluster.collector.clear_the_way(copy.work_run) is None

        done = Copies(cluster).clean(
            host_wish(flags), older_s, dry=flags.dry, collect=collect if flags.collect_first else None
        )
        text = documents.dump(screen.cleaned_document(done)) if flags.json else screen.cleaned(done)
        now.console.result(text)
        code = say_who_was_silent(now.console, done.silent)
    if any(one.is_work for one in done.kept):
        return ExitCode.TRY_AGAIN
    return code or (ExitCode.SOME_FAILED if any(one.is_trouble for one in done.kept) else 0)
