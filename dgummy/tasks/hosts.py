"""`inv status`, `inv load`, `inv pick`: look at the hosts."""

from __future__ import annotations

from invoke.context import Context

from dgummy.boundary import command
from dgummy.tasks._shared import (
    BACKEND_HELP,
    CHOICE_HELP,
    HOST_HELP,
    LIST_FLAGS,
    REFRESH_HELP,
    Session,
    plain_text,
    session,
    wish,
)

_LOOK_HELP = {**HOST_HELP, **REFRESH_HELP, **BACKEND_HELP}


@command(iterable=LIST_FLAGS, help=_LOOK_HELP)
def status(
    c: Context,
    host: list[str],
    exclude: list[str],
    group: str | None = None,
    refresh: bool = False,
    backend: str | None = None,
    json: bool = False,
) -> int:
    """Show which hosts answer, and why the others do not.

    Example: inv status --refresh
    """
    from dgummy.app import utc_now
    from dgummy.render import documents, tables

    with session(c, {"backend": backend}, json=json) as now:
        cluster = now.app.cluster
        found = cluster.status(wish(host, group, exclude), refresh=refresh)
        used = cluster.backend
        if json:
            now.console.result(documents.dump(documents.status(found, used.name)))
        else:
            now.console.result(tables.status(found, str(used), utc_now()))
    return 0


@command(iterable=LIST_FLAGS, help=_LOOK_HELP)
def load(
    c: Context,
    host: list[str],
    exclude: list[str],
    group: str | None = None,
    refresh: bool = False,
    backend: str | None = None,
    json: bool = False,
) -> int:
    """Show the load and the score of each host; lower is better.

    Example: inv load --group build
    """
    from dgummy.app import utc_now
    from dgummy.render import tables
    from dgummy.routing import GENERAL

    with session(c, {"backend": backend}, json=json) as now:
        # Named, or its type would be looked for in an empty text.
        observation, choice = now.app.cluster.load(wish(host, group, exclude, GENERAL), refresh=refresh)
        if json:
            from dgummy.render import documents

            now.console.result(documents.dump(documents.load(observation, choice)))
        else:
            now.console.result(tables.load(observation, choice, utc_now(), now.console.width))
            _say_why_here(now)
    return 0


@command(
    positional=["text"],
    optional=["text"],
    iterable=LIST_FLAGS,
    help={"text": "what is to be done, to derive its type from", **CHOICE_HELP, **REFRESH_HELP, **BACKEND_HELP},
)
def pick(
    c: Context,
    host: list[str],
    exclude: list[str],
    require: list[str],
    text: str | None = None,
    group: str | None = None,
    type: str | None = None,  # noqa: A002 - named as the flag
    refresh: bool = False,
    backend: str | None = None,
    json: bool = False,
) -> int:
    """Which host should handle this, and why?

    Example: inv pick --type database
    """
    from dgummy.errors import ExitCode
    from dgummy.render import documents, tables

    with session(c, {"backend": backend}, json=json) as now:
        asked = wish(host, group, exclude, type, require, plain_text(text))
        picked = now.app.cluster.pick(asked, refresh=refresh)
        if json:
            now.console.result(documents.dump(documents.pick(picked)))
        else:
            now.console.result(tables.pick(picked))
            _say_why_here(now)
    return 0 if picked.choice.host else ExitCode.NO_HOST


def _say_why_here(now: Session) -> None:
    """A table with this machine alone wants an explanation."""
    if now.app.cluster.here:
        now.console.note(now.app.cluster.here)
