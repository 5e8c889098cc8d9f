"""`inv watch`, `inv specialists`: what runs where, since when, at what cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.errors import ExitCode, UsageError
from dgummy.tasks._flags import HostFlags, UnattendedFlags, command_with, flag, words
from dgummy.tasks._shared import Session, duration_s, host_wish, session

if TYPE_CHECKING:
    from pathlib import Path

    from dgummy.render.watchscreen import WatchEnd
    from dgummy.views import ClusterView, ViewFilter
    from dgummy.watching import Watch

_PLAIN_WIDTH = 100
"""Columns of what goes into a file or a pipe."""

_FIRST_WAIT_S = 2.0
"""How long the first line of --json, and the first page, wait for slow hosts."""


@dataclass
class ViewFlags(HostFlags):
    """What is shown of the hosts, and how."""

    active: bool = flag("only specialists and tasks that are at work", default=False)
    project: str | None = flag("only specialists and runs of this project: a folder there, or its name")
    sort: str | None = flag("order of the hosts: name, active, cost or load")
    ascii: bool = flag("no characters but ASCII", default=False)


@dataclass
class WatchFlags(UnattendedFlags, ViewFlags):
    """What `inv watch` takes."""

    run: str | None = words("follow the output of this run instead")
    once: bool = flag("show it once, as inv specialists does", default=False)
    interval: str | None = flag("look again after so long (default: the setting watch.interval_s)")
    html: str | None = flag("write a page to this file instead; again and again with --interval")


@command_with(ViewFlags, name="list")
def specialists(c: Context, flags: ViewFlags) -> int:
    """Show the specialists of every host once, what runs there, and what agents cost today.

    Example: inv specialists --active
    """
    _sort(flags)
    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        return _show_once(now, flags)


@command_with(WatchFlags)
def watch(c: Context, flags: WatchFlags) -> int:
    """Watch specialists, agents' tasks and runs on every host; or follow one run.

    Example: inv watch --group build
    """
    _sort(flags)
    interval_s = duration_s(flags.interval, "--interval", "5")
    one_page = bool(flags.html) and interval_s is None  # whatever goes on and on says at once what there is to say
    work = flags if one_page else replace(flags, verbose=True)
    with session(c, {"backend": flags.backend}, json=flags.json, work=work) as now:
        return now.ended(_watch(now, flags, interval_s))


def _watch(now: Session, flags: WatchFlags, interval_s: float | None) -> int:
    if flags.run:
        return _follow(now, flags.run)
    if flags.html:
        return _write_pages(now, flags, interval_s)
    if flags.once or not (flags.json or now.console.is_screen):
        return _show_once(now, flags)
    with now.app.cluster.watch(host_wish(flags), interval_s) as watched:
        if flags.json:
            return _print_lines(now, watched, _filter(flags))
        end = _draw(now, watched, flags)
    if end.run_id:
        return _follow(now, end.run_id)
    return ExitCode.INTERRUPTED if end.interrupted else 0


def _show_once(now: Session, flags: ViewFlags) -> int:
    from dgummy.render import documents, watchdocs

    found = _filter(flags)(now.app.cluster.view(host_wish(flags)))
    if flags.json:
        now.console.result(documents.dump(watchdocs.view(found)))
    else:
        from dgummy.render import dashboard

        look = dashboard.Look(
            width=now.console.width or _PLAIN_WIDTH,
            ascii_only=flags.ascii or now.console.wants_ascii,
            colour=now.console.out_colour,
            sort=_sort(flags),
        )
        now.console.result("\n".join(dashboard.frame(found, look)))
    return 0


def _print_lines(now: Session, watched: Watch, wanted: ViewFilter) -> int:
    """A JSON line for each refresh, until somebody has enough of it."""
    from dgummy.render import documents, watchdocs

    for view in _refreshes(watched):
        now.console.result(documents.line(watchdocs.view(wanted(view))))
    return 0


def _refreshes(watched: Watch) -> Iterator[ClusterView]:
    watched.wait_for_all(_FIRST_WAIT_S)
    while True:
        yield watched.snapshot()
        time.sleep(watched.interval_s)


def _draw(now: Session, watched: Watch, flags: ViewFlags) -> WatchEnd:
    """The live screen, to its end."""
    from dgummy.render import watchscreen
    from dgummy.render.screenkeys import ScreenState

    shown = _filter(flags)
    return watchscreen.watch(
        lambda: shown(watched.snapshot()),
        watched.interval_s,
        now.console,
        ascii_only=flags.ascii or now.console.wants_ascii,
        state=ScreenState(sort=_sort(flags)),
    )


def _follow(now: Session, run: str) -> int:
    from dgummy import rejoin

    history = now.app.cluster.history
    rows = history.find([run])
    if len(rows) != 1:
        raise UsageError(f"{run} is a group of {len(rows)} runs", "name one of them; inv runs lists them")
    return rejoin.watch(history, rows[0], list(rejoin.STREAMS)).process_exit_code


def _write_pages(now: Session, flags: WatchFlags, interval_s: float | None) -> int:
    """The page, once; again and again if an interval is given."""
    target = now.app.cluster.around.cwd / (flags.html or "")
    if flags.json:
        raise UsageError("--html writes a page, --json prints a document", "choose one")
    wish, wanted = host_wish(flags), _filter(flags)
    if interval_s is None or flags.once:
        _write_page(now, target, wanted(now.app.cluster.view(wish)), flags, 60.0)
        now.console.note(f"wrote {target}")
        return 0
    with now.app.cluster.watch(wish, interval_s) as watched:
        now.console.note(f"writing {target} every {interval_s:g} s; Ctrl-C ends it")
        for view in _refreshes(watched):
            _write_page(now, target, wanted(view), flags, interval_s)
    return 0


def _write_page(now: Session, target: Path, view: ClusterView, flags: ViewFlags, refresh_s: float) -> None:
    from dgummy import timeline
    from dgummy.looking import day_start
    from dgummy.render import page
    from dgummy.textfiles import replace_text
    from dgummy.views import ordered

    start = day_start(view.at.astimezone())
    runs = timeline.since(now.app.cluster.history, start)
    text = page.page(ordered(view, _sort(flags)), runs, day_start=start, refresh_s=refresh_s)
    replace_text(target, text)


def _filter(flags: ViewFlags) -> ViewFilter:
    from dgummy.views import ViewFilter

    return ViewFilter(flags.active, flags.project or "")


def _sort(flags: ViewFlags) -> str:
    from dgummy.views import SORTS

    sort = flags.sort or ""
    if sort and sort not in SORTS:
        raise UsageError(f"--sort {sort}: there is no such order", f"take one of {', '.join(SORTS)}")
    return sort
