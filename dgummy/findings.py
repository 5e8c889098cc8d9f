"""What a check-up finds: records. Pure.

A check passes, or it has a finding: what is so, why it matters, and the command that mends it. A problem hinders work
that was offered to the place; a hint is worth knowing and hinders nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

import msgspec

HERE = "here"
"""The place of what was found on this machine."""


class Severity(str, Enum):
    """Whether a finding hinders work."""

    PROBLEM = "problem"
    HINT = "hint"


class Work(str, Enum):
    """The kinds of work that a host can be unfit for: all of it, what brings the project there, agents' tasks."""

    ANY = "any"
    SYNC = "sync"
    AGENT = "agent"


class Mending(str, Enum):
    """What may be done without asking what it means: it touches nothing but what is ours."""

    PRIVATE = "take from others the right to write there"
    REMOVE = "remove a cache that cannot be read; it is made anew"
    TIDY = "remove temporary files of ours that are older than a day"


class Repair(msgspec.Struct, frozen=True):
    """A safe repair of a file or folder of ours, here or on a host.

    `below` (here): the folder from which on neither a link nor anything of another user may be on the way to it.
    """

    how: Mending
    path: str
    below: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found. `place` is a host's name or HERE, `fix` the command to give, one line each.

    `stops` are the kinds of work that the place cannot take for it. `repair`: what `--fix` would do.
    """

    check: str
    place: str
    severity: Severity
    what: str
    why: str
    fix: str
    stops: tuple[Work, ...] = ()
    repair: Repair | None = None

    @property
    def is_problem(self) -> bool:
        """Whether it hinders work."""
        return self.severity is Severity.PROBLEM


class Passed(msgspec.Struct, frozen=True):
    """A check that found nothing wrong, and what it saw."""

    check: str
    place: str
    what: str


class Checkup(msgspec.Struct, frozen=True):
    """All checks of one place, in the order in which they were made; none if it was not looked at."""

    place: str
    passed: tuple[Passed, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def checks(self) -> int:
        """How many checks were made. One may have several findings."""
        return len(self.passed) + len({finding.check for finding in self.findings})

    @property
    def unfit_for(self) -> tuple[Work, ...]:
        """The kinds of work that the place cannot take now."""
        stopped = {work for finding in self.findings for work in finding.stops}
        return (Work.ANY,) if Work.ANY in stopped else tuple(work for work in Work if work in stopped)


class Report(msgspec.Struct, frozen=True):
    """The check-ups: of this machine first, then of the hosts in the order asked for."""

    checkups: tuple[Checkup, ...]

    @property
    def checks(self) -> int:
        """How many checks were made."""
        return sum(one.checks for one in self.checkups)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings."""
        return tuple(finding for one in self.checkups for finding in one.findings)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that hinder work."""
        return tuple(finding for finding in self.findings if finding.is_problem)

    @property
    def unseen(self) -> tuple[str, ...]:
        """The places that were not looked at: this machine lacks what that takes."""
        return tuple(one.place for one in self.checkups if not one.checks)

    @property
    def repairable(self) -> tuple[Finding, ...]:
        """The findings that `--fix` would mend."""
        return tuple(finding for finding in self.findings if finding.repair is not None)


@dataclass
class Notes:
    """What is written down while a place is checked."""

    place: str
    passed: list[Passed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def ok(self, check: str, what: str) -> None:
        """A check passed."""
        self.passed.append(Passed(check, self.place, what))

    def problem(self, check: str, what: str, why: str, fix: str, *stops: Work, repair: Repair | None = None) -> None:
        """Something hinders work."""
        self.findings.append(Finding(check, self.place, Severity.PROBLEM, what, why, fix, stops, repair))

    def hint(self, check: str, what: str, why: str, fix: str, *, repair: Repair | None = None) -> None:
        """Something is worth knowing."""
        self.findings.append(Finding(check, self.place, Severity.HINT, what, why, fix, (), repair))

    def done(self) -> Checkup:
        """What it amounts to."""
        return Checkup(self.place, tuple(self.passed), tuple(self.findings))


def names(words: Iterable[str], most: int = 5) -> str:
    """List some names, and how many more there are."""
    listed = list(words)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
