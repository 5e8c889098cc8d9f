"""`inv status`, `inv load`, `inv pick`: look at the hosts."""

from __future__ import annotations

from dataclasses import dataclass

from invoke.context import Context

from dgummy.tasks._flags import ChoiceFlags, HostFlags, command_with, flag, words
from dgummy.tasks._shared import Session, host_wish, plain_text, session, wish, work_wish

_REFRESH = "measure anew instead of using the cache"


@dataclass
class LookFlags(HostFlags):
    """What `inv status` and `inv load` take."""

    refresh: bool = flag(_REFRESH, default=False)


@dataclass
class PickFlags(ChoiceFlags):
    """What `inv pick` takes."""

    text: str | None = words("what is to be done, to derive its type from")
    agent: bool = flag("for an agent's task: the host must have the agent", default=False)
    no_sync: bool = flag("for work that the project is not brought there for", default=False)
    refresh: bool = flag(_REFRESH, default=False)


@command_with(LookFlags)
def status(c: Context, flags: LookFlags) -> int:
    """Show which hosts answer, and why the others do not.

    Example: inv status --refresh
    """
    from dgummy.app import utc_now
    from dgummy.render import documents, tables

    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        cluster = now.app.cluster
        found = cluster.status(host_wish(flags), refresh=flags.refresh)
        used = cluster.backend
        if flags.json:
            now.console.result(documents.dump(documents.status(found, used.name)))
        else:
            now.console.result(tables.status(found, str(used), utc_now()))
    return 0


@command_with(LookFlags)
def load(c: Context, flags: LookFlags) -> int:
    """Show the load and the score of each host; lower is better.

    Example: inv load --group build
    """
    from dgummy.app import utc_now
    from dgummy.render import tables
    from dgummy.routing import GENERAL

    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        # Named, or its type would be looked for in an empty text.
        asked = wish(flags.host, flags.group, flags.exclude, GENERAL)
        observation, choice = now.app.cluster.load(asked, refresh=flags.refresh)
        if flags.json:
            from dgummy.render import documents

            now.console.result(documents.dump(documents.load(observation, choice)))
        else:
            now.console.result(tables.load(observation, choice, utc_now(), now.console.width))
            _say_why_here(now)
    return 0


@command_with(PickFlags)
def pick(c: Context, flags: PickFlags) -> int:
    """Which host should handle this, and why?

    Example: inv pick --type database
    """
    from dgummy import intake
    from dgummy.errors import ExitCode
    from dgummy.render import documents, tables

    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        asked = intake.fit_for(
            work_wish(flags, plain_text(flags.text)), now.app.settings, agent=flags.agent, sync=not flags.no_sync
        )
        picked = now.app.cluster.pick(asked, refresh=flags.refresh)
        if flags.json:
            now.console.result(documents.dump(documents.pick(picked)))
        else:
            now.console.result(tables.pick(picked))
            _say_why_here(now)
    return 0 if picked.choice.host else ExitCode.NO_HOST


def _say_why_here(now: Session) -> None:
    """A table with this machine alone wants an explanation."""
    if now.app.cluster.here:
        now.console.note(now.app.cluster.here)
