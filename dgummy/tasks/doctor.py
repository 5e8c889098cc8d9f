"""`inv doctor`: what is wrong, why it matters, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.tasks._flags import HostFlags, command_with, flag
from dgummy.tasks._shared import Session, host_wish, session

if TYPE_CHECKING:
    from dgummy.findings import Report
    from dgummy.repairs import Mended


@dataclass
class DoctorFlags(HostFlags):
    """What `inv doctor` takes."""

    verbose: bool = flag("show also what is well", default=False)
    fix: bool = flag("mend what is safe to mend, after saying what; asks first at a terminal", default=False)
    yes: bool = flag("with --fix: do not ask; needed where there is no terminal", default=False)


@command_with(DoctorFlags)
def doctor(c: Context, flags: DoctorFlags) -> int:
    """Find out what keeps this machine or a host from working, and the command that mends it.

    This machine and every host that was offered (or those named), all at once. Problems make the exit code 1, hints do
    not.

    Example: inv doctor --host node-1 --verbose
    """
    from dgummy.errors import ExitCode, UsageError
    from dgummy.render import doctor as screen
    from dgummy.render import documents

    if flags.yes and not flags.fix:
        raise UsageError("--yes is about --fix, and that was not given", "inv doctor --fix --yes")
    with session(c, {"backend": flags.backend}, json=flags.json) as now:
        report, repairs = _look(now, flags)
        if flags.json:
            now.console.result(documents.dump(screen.document(report, repairs)))
        else:
            now.console.result(screen.text(report, verbose=flags.verbose))
    return ExitCode.SOME_FAILED if report.problems else 0


def _look(now: Session, flags: DoctorFlags) -> tuple[Report, list[Mended]]:
    """Look; with --fix say what would be done, do it if that is agreed, and look again."""
    from dgummy.doctoring import Clinic
    from dgummy.render import doctor as screen

    clinic, console = Clinic(now.app, host_wish(flags)), now.console
    report = clinic.look()
    if not flags.fix:
        return report, []
    if not report.repairable:
        console.note("there is nothing that --fix would mend")
        return report, []
    console.note("to be mended:")
    for line in screen.intentions(report.repairable):
        console.note(line)
    if not flags.yes and not (console.interactive and console.agrees("Do that?")):
        console.note(
            "nothing was changed" if console.interactive else "nothing was changed: without a terminal, --yes does it"
        )
        return report, []
    done = clinic.mend(report)
    for one in done:
        console.note(screen.mended(one), "error" if one.reason else "good")
    return clinic.look(), done
