"""`inv specialists.move`: agents with a memory, and where that is."""

from __future__ import annotations

from dataclasses import dataclass

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import command_with, flag, words
from dgummy.tasks._shared import plain_text, session


@dataclass
class MoveFlags:
    """What `inv specialists.move` takes."""

    name: str | None = words("the specialist: database-expert, say")
    to: str | None = flag("the host that it moves to")
    from_: str | None = flag("the host that it is on now, if it is on several")
    project: bool = flag("the one of this project, where there is a global one of that name too", default=False)
    force: bool = flag("move it although it says that it is active, or the host lacks the agent", default=False)
    collect_first: bool = flag("bring home first what a run left there that is not collected", default=False)
    backend: str | None = flag("auto, d, ssh or local, instead of what the settings say")
    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(MoveFlags)
def move(c: Context, flags: MoveFlags) -> int:
    """Move a specialist to another host with all that it remembers, and prove that it is there.

    Example: inv specialists.move database-expert --to node-2
    """
    from dgummy.moving import Mover
    from dgummy.render import documents, moving

    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        if not flags.to:
            raise UsageError("there is no host to move to", "name one: --to node-2")
        mover = Mover(now.app.cluster)
        moved = mover.move(
            plain_text(flags.name),
            flags.to,
            source=flags.from_ or None,
            project=flags.project,
            force=flags.force,
            collect=flags.collect_first,
        )
        now.console.result(documents.dump(moving.document(moved)) if flags.json else moving.text(moved))
    return 0
