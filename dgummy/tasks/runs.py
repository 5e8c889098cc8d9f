"""`inv runs`, `logs`, `wait`, `attach`, `cancel`: runs that were started before, from here or from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.boundary import command
from dgummy.errors import UsageError
from dgummy.tasks._flags import UnattendedFlags, all_words, command_with, flag
from dgummy.tasks._shared import duration_s, only, say_who_was_silent, session

if TYPE_CHECKING:
    from dgummy.history import Query, Seen
    from dgummy.render.console import Console

_JSON_HELP = {"json": "print one JSON document on stdout"}
_RUN_HELP = "the beginning of a run's id, `last` for the newest run, or a group's id for all of its runs"


@command(
    name="list",
    iterable=["state", "host"],
    help={
        "state": "only runs in this state (running, ok, failed, lost, …); may be repeated",
        "since": "only runs begun since then: 2d, 12h, or a date like 2026-11-20",
        "group": "only the runs of this group: the beginning of its id, or `last`",
        "host": "only runs on this host; repeat for several, ranges like node-[1-4] are fine",
        "limit": "at most so many, the newest first",
        **_JSON_HELP,
    },
)
def list_runs(
    c: Context,
    state: list[str],
    host: list[str],
    since: str | None = None,
    group: str | None = None,
    limit: int = 30,
    json: bool = False,
) -> int:
    """List runs, and find out from their hosts how those stand that were not over.

    Example: inv runs --state running --since 2d
    """
    with session(c, json=json) as now:
        found = now.app.cluster.history.select(_query(state, since, group, host, limit))
        _show(now.console, found, json=json)
    return 0


@command(
    several="run",
    short={"follow": "f"},
    help={
        "run": _RUN_HELP,
        "follow": "go on showing what it prints until it is over; Ctrl-C stops watching, and leaves it to itself",
        "stderr": "only what it printed to stderr, on stdout",
        "stdout": "only what it printed to stdout",
        **_JSON_HELP,
    },
)
def logs(
    c: Context, run: list[str], follow: bool = False, stderr: bool = False, stdout: bool = False, json: bool = False
) -> int:
    """Show what a run printed, byte for byte; what it printed to stderr goes to stderr.

    With --json it is text, and of each stream the last 4 MiB.

    Example: inv logs last --follow
    """
    from dgummy import rejoin
    from dgummy.render import history as screen

    streams = [stream for stream, wanted in (("out", stdout), ("err", stderr)) if wanted] or list(rejoin.STREAMS)
    if json:
        return _logs_document(c, run, streams, follow=follow)
    with session(c) as now:
        history = now.app.cluster.history
        rows = history.find(run)
        if follow:
            return rejoin.watch(history, only(rows, "logs --follow"), streams).process_exit_code
        for row in rows:
            if len(rows) > 1:
                now.console.note(screen.header(row), "bold")
            rejoin.read(history, row, streams)
    return 0


@dataclass
class WaitFlags(UnattendedFlags):
    """What `inv wait` takes."""

    run: list[str] = all_words(_RUN_HELP)
    timeout: str | None = flag("wait no longer than so: 90, 20m, 2h; the runs go on")
    json: bool = flag(_JSON_HELP["json"], default=False)


@command_with(WaitFlags)
def wait(c: Context, flags: WaitFlags) -> int:
    """Wait until runs are over. The exit code of one run is its own; of several 0 if all were ok, else 1.

    What was to be brought home of them is, as if their client had stayed: agents' tasks, runs with --collect.

    Example: inv wait last --timeout 1h
    """
    from dgummy import waiting
    from dgummy.errors import ExitCode
    from dgummy.history import exit_code, result_of
    from dgummy.render import collecting

    with session(c, json=flags.json, work=flags) as now:
        history = now.app.cluster.history
        found, timed_out = waiting.wait(history, history.find(flags.run), duration_s(flags.timeout))
        results = now.app.cluster.collector.complete_all([result_of(seen) for seen in found])
        for result in results:
            for line, style in collecting.lines(result.home) if result.home is not None else ():
                now.console.note(line, style)
        found = [history.seen_again(seen) for seen in found]
        if flags.json or len(found) > 1:
            _show(now.console, found, json=flags.json)
        if timed_out:
            left = sum(not seen.is_over for seen in found)
            now.console.note(f"✗ time is up; {left} of {len(found)} not over, and left to go on", "error")
            return ExitCode.TIMED_OUT
    return exit_code(results)


@dataclass
class AttachFlags(UnattendedFlags):
    """What `inv attach` takes."""

    run: list[str] = all_words("the beginning of the run's id, or `last` for the newest run")
    json: bool = flag(_JSON_HELP["json"], default=False)


@command_with(AttachFlags)
def attach(c: Context, flags: AttachFlags) -> int:
    """Follow a run as if it had been started just now: its output, its exit code, its work; Ctrl-C cancels it.

    Example: inv attach last
    """
    from dgummy import rejoin
    from dgummy.render import collecting, documents

    with session(c, json=flags.json, work=flags) as now:
        history = now.app.cluster.history
        row = only(history.find(flags.run), "attach")
        result = now.app.cluster.collector.completed(rejoin.attach(history, row))
        for line, style in collecting.lines(result.home) if result.home is not None else ():
            now.console.note(line, style)
        if flags.json:
            now.console.result(documents.dump(documents.run(result, now.tails.text(result.run_id))))
        return now.ended(result.process_exit_code)


@command(several="run", help={"run": _RUN_HELP, **_JSON_HELP})
def cancel(c: Context, run: list[str], json: bool = False) -> int:
    """End runs on their hosts, the whole process group of each, whoever follows them.

    Example: inv cancel last
    """
    from dgummy.cancelling import cancel as cancel_runs
    from dgummy.errors import ExitCode
    from dgummy.render import documents
    from dgummy.render import history as screen

    with session(c, json=json) as now:
        history = now.app.cluster.history
        outcomes = cancel_runs(history, history.find(run))
        if json:
            now.console.result(documents.dump(documents.cancelled(outcomes)))
        for done in outcomes:
            now.console.note(screen.cancelled(done), "error" if done.code else "good")
            if done.remedy:
                now.console.note(f"  {screen.remedy(done)}")
    codes = [done.code for done in outcomes]
    return codes[0] if len(codes) == 1 else ExitCode.SOME_FAILED if any(codes) else 0


@dataclass
class PruneFlags(UnattendedFlags):
    """What `inv runs.prune` takes."""

    older: str | None = flag("remove runs that have been over for longer than this: 30d")
    dry: bool = flag("show what would be removed, and remove nothing", default=False)
    all_owners: bool = flag("also folders that other clients left on the hosts", default=False)
    uncollected: bool = flag("also runs whose work was not brought home: it is lost then", default=False)
    collect_first: bool = flag("bring home first what was not", default=False)
    json: bool = flag(_JSON_HELP["json"], default=False)


@command_with(PruneFlags)
def prune(c: Context, flags: PruneFlags) -> int:
    """Remove old runs from the ledger and their folders from the hosts.

    Never one that is not over, or that was lost and may still be at work. A run whose work is not collected stays, and
    then the exit code is 75, unless --uncollected is given.

    Example: inv runs.prune --older 30d --dry
    """
    from dgummy.errors import ExitCode
    from dgummy.render import documents
    from dgummy.render import history as screen
    from dgummy.upkeep import Upkeep

    older_s = duration_s(flags.older, "--older", "30d")
    if older_s is None:
        raise UsageError("--older is missing: how long a run must have been over", "for example --older 30d")
    with session(c, json=flags.json, work=flags) as now:
        upkeep = Upkeep(now.app.cluster.history, now.app.state_dir)
        collect = now.app.cluster.collector.collect_all if flags.collect_first else None
        done = upkeep.prune(
            older_s, dry=flags.dry, all_owners=flags.all_owners, uncollected=flags.uncollected, collect=collect
        )
        now.console.result(documents.dump(documents.pruned(done)) if flags.json else screen.pruned(done))
        code = say_who_was_silent(now.console, done.silent)
        for line in screen.uncollected(done.uncollected):
            now.console.note(line, "error" if line.startswith("✗") else "")
        return ExitCode.TRY_AGAIN if done.uncollected else code


@command(help={"all_owners": "also runs that other clients began", **_JSON_HELP})
def rebuild(c: Context, all_owners: bool = False, json: bool = False) -> int:
    """Fill a ledger that was lost or damaged from what the hosts remember of their runs.

    Example: inv runs.rebuild
    """
    from dgummy.render import documents
    from dgummy.render import history as screen
    from dgummy.upkeep import Upkeep

    with session(c, json=json) as now:
        done = Upkeep(now.app.cluster.history).rebuild(all_owners=all_owners)
        now.console.result(documents.dump(documents.rebuilt(done)) if json else screen.rebuilt(done))
        return say_who_was_silent(now.console, done.silent)


def _logs_document(c: Context, run: list[str], streams: Sequence[str], *, follow: bool) -> int:
    from dgummy import rejoin
    from dgummy.render import documents
    from dgummy.render.listeners import Screen
    from dgummy.tails import LOG_BYTES, Tails

    tails = Tails(LOG_BYTES)
    with session(c, json=True, screen=lambda console: Screen(console, json=True, output=False), tails=tails) as now:
        history = now.app.cluster.history
        row = only(history.find(run), "logs --json")
        # Both streams are read: one alone would come as stdout, whichever it is.
        result = rejoin.watch(history, row) if follow else None
        row = rejoin.read(history, row) if result is None else history.again(row)
        now.console.result(documents.dump(documents.logs(row.run_id, row.host, row.state, tails, streams)))
        return 0 if result is None else result.process_exit_code


def _query(state: list[str], since: str | None, group: str | None, host: list[str], limit: int) -> Query:
    from dgummy import hostset, units
    from dgummy.app import utc_now
    from dgummy.history import Query
    from dgummy.model import RunState

    known = {each.value: each for each in RunState}
    for name in state:
        if name not in known:
            raise UsageError(f"--state: there is no state {name}", f"one of {', '.join(known)}")
    if limit < 1:
        raise UsageError(f"--limit {limit}: that is none", "for example --limit 100")
    limit = min(limit, sys.maxsize)  # more than SQLite can count
    try:
        begun = units.parse_since(since, utc_now()) if since else None
    except ValueError as error:
        raise UsageError(f"--since: {error}", "for example --since 2d") from error
    try:
        hosts = tuple(name for each in host for name in hostset.expand(each))
    except ValueError as error:
        raise UsageError(f"--host: {error}", "for example --host node-[1-4]") from error
    return Query(tuple(known[name] for name in state), begun, group or None, hosts, limit)


def _show(console: Console, found: Sequence[Seen], *, json: bool) -> None:
    from dgummy.app import utc_now
    from dgummy.render import documents
    from dgummy.render import history as screen

    text = documents.dump(documents.runs(found)) if json else screen.runs(found, utc_now(), console.width)
    console.result(text)
