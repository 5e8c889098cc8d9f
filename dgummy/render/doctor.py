"""What `inv doctor` shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dgummy.findings import HERE, Checkup, Finding, Report, names
from dgummy.render.text import one_line
from dgummy.units import format_count

if TYPE_CHECKING:
    from dgummy.repairs import Mended

_WIDTH = 400
_SIGNS = {True: "✗", False: "!"}


def text(report: Report, *, verbose: bool = False) -> str:
    """The findings by place, each on one line, then why it matters, then what mends it; and the sum."""
    blocks = [block for one in report.checkups if (block := _block(one, verbose=verbose))]
    unseen = [f"not looked at: {one_line(names(report.unseen), _WIDTH)}"] if report.unseen else []
    return "\n".join([*blocks, *unseen, _sum(report)])


def _block(one: Checkup, *, verbose: bool) -> str:
    lines = [line for finding in one.findings for line in _finding(finding)]
    if verbose:
        lines += [f"  ✓ {passed.check}: {one_line(passed.what, _WIDTH)}" for passed in one.passed]
    if not lines:
        return ""
    unfit = ", ".join(_unfit(work.value) for work in one.unfit_for)
    title = "this machine" if one.place == HERE else one_line(one.place)
    return "\n".join([f"{title}{f' (takes no {unfit})' if unfit and one.place != HERE else ''}", *lines])


def _unfit(work: str) -> str:
    return {"any": "work", "sync": "synced work", "agent": "agents' tasks"}[work]


def _finding(finding: Finding) -> list[str]:
    return [
        f"  {_SIGNS[finding.is_problem]} {finding.check}: {one_line(finding.what, _WIDTH)}",
        f"      {one_line(finding.why, _WIDTH)}",
        f"      → {one_line(finding.fix, _WIDTH)}",
    ]


def _sum(report: Report) -> str:
    problems, hints = len(report.problems), len(report.findings) - len(report.problems)
    found = format_count(len(report.findings), "finding")
    parts = ", ".join(format_count(count, noun) for count, noun in ((problems, "problem"), (hints, "hint")) if count)
    sign = "✗" if problems else "✓"
    return f"{sign} {format_count(report.checks, 'check')}, {found}{f' ({parts})' if parts else ''}"


def intentions(findings: Sequence[Finding]) -> list[str]:
    """What `--fix` is about to do, said before it does it."""
    return [
        f"  {_place(finding.place)}: {finding.repair.how.value}: {one_line(finding.repair.path, _WIDTH)}"
        for finding in findings
        if finding.repair is not None
    ]


def mended(done: Mended) -> str:
    """What became of one repair."""
    repair = done.finding.repair
    where = f"{_place(done.finding.place)}: {one_line(repair.path, _WIDTH) if repair else ''}"
    return f"✗ not mended on {where}: {one_line(done.reason)}" if done.reason else f"✓ mended on {where}"


def _place(place: str) -> str:
    return "this machine" if place == HERE else one_line(place)


def document(report: Report, repairs: Sequence[Mended] = ()) -> dict[str, Any]:
    """`inv doctor --json`."""
    return {
        "fit": not report.problems,
        "checks": report.checks,
        "problems": len(report.problems),
        "hints": len(report.findings) - len(report.problems),
        "findings": [_finding_document(finding) for finding in report.findings],
        "places": [
            {
                "host": one.place,
                "checks": one.checks,
                "findings": len(one.findings),
                "unfit_for": [work.value for work in one.unfit_for],
                "passed": [{"check": passed.check, "what": one_line(passed.what, _WIDTH)} for passed in one.passed],
            }
            for one in report.checkups
        ],
        "repairs": [
            {
                "host": done.finding.place,
                "check": done.finding.check,
                "path": done.finding.repair.path if done.finding.repair else "",
                "done": not done.reason,
                "reason": done.reason or None,
            }
            for done in repairs
        ],
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "host": finding.place,
        "severity": finding.severity.value,
        "what": one_line(finding.what, _WIDTH),
        "why": one_line(finding.why, _WIDTH),
        "fix": one_line(finding.fix, _WIDTH),
        "stops": [work.value for work in finding.stops],
        "can_fix": finding.repair is not None,
    }
