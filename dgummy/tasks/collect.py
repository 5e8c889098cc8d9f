"""`inv collect` and `inv report`: bring home what runs changed, and read what agents said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.errors import UsageError
from dgummy.tasks._flags import UnattendedFlags, all_words, command_with, flag, repeated
from dgummy.tasks._shared import only, session

if TYPE_CHECKING:
    from dgummy.render.console import Console


@dataclass
class CollectFlags(UnattendedFlags):
    """What `inv collect` takes."""

    run: list[str] = all_words("the beginning of a run's id, `last` for the newest run, or a group's id for all of it")
    fetch: list[str] = repeated("bring these files home too, ignored ones as well: 'dist/*.whl'; may be repeated")
    discard: bool = flag("give up what it changed: it may be overwritten on its host", default=False)
    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(CollectFlags)
def collect(c: Context, flags: CollectFlags) -> int:
    """Bring home what runs changed, as a git branch.

    The branch is dgummy/RUN-ID, in the project; of a project without git come the files and a patch.

    Example: inv collect last
    """
    from dgummy.errors import ExitCode
    from dgummy.fileset import fetch_patterns
    from dgummy.render import collecting as screen
    from dgummy.render import documents

    if flags.discard and flags.fetch:
        raise UsageError("--discard and --fetch at once", "fetch first, then discard")
    fetch_patterns(flags.fetch)
    with session(c, json=flags.json, work=flags) as now:
        cluster = now.app.cluster
        rows = cluster.history.find(flags.run)
        cluster.history.access.reach(rows)
        found = cluster.collector
        outcomes = found.discard_all(rows) if flags.discard else found.collect_all(rows, flags.fetch)
        if flags.json:
            now.console.result(documents.dump(screen.document(outcomes)))
        for one in outcomes:
            if one.failure is not None:
                for text, style in screen.failed(one):
                    now.console.note(text, style)
            elif one.home is not None and not flags.json:
                text = screen.discarded(one.home) if flags.discard else screen.text(one.home)
                now.console.result(text)
    codes = [one.exit_code for one in outcomes]
    return codes[0] if len(codes) == 1 else ExitCode.SOME_FAILED if any(codes) else 0


@dataclass
class ReportFlags:
    """What `inv report` takes."""

    run: list[str] = all_words("the beginning of the run's id, or `last` for the newest run")
    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(ReportFlags)
def report(c: Context, flags: ReportFlags) -> int:
    """Show an agent's report, and its plan.

    Example: inv report last
    """
    from dgummy.render import documents
    from dgummy.render import report as screen

    with session(c, json=flags.json) as now:
        cluster = now.app.cluster
        row = only(cluster.history.find(flags.run), "report")
        paths = cluster.collector.reports(row)
        texts = [(path.name, str(path), path.read_text("utf-8", "replace")) for path in paths]
        if flags.json:
            now.console.result(documents.dump(screen.document(row.run_id, row.host, texts)))
        else:
            _show(now.console, texts)
    return 0


def _show(console: Console, texts: list[tuple[str, str, str]]) -> None:
    from dgummy.render import report as screen

    for name, _, text in texts:
        if len(texts) > 1:
            console.note(screen.header(name), "bold")
        width = console.width
        console.result(screen.rendered(text, width) if width else screen.plain(text))
