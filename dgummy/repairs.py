"""Carry out the repairs of `inv doctor --fix`: what is ours, here and on hosts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgummy import fanout, owncaches
from dgummy.findings import HERE, Finding, Mending, Repair
from dgummy.model import Failure, FailureKind
from dgummy.transport.base import Answer

Call = Callable[[str, str, Sequence[str]], "Answer | Failure"]
"""Calls a function of remote/doctor.sh on a host, with words."""

_WORDS = {Mending.TIDY: "tidy", Mending.PRIVATE: "private"}


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of a repair: `reason` is "" if it was done."""

    finding: Finding
    reason: str = ""


def nobody(host: str, function: str, words: Sequence[str]) -> Answer | Failure:  # noqa: ARG001 - the shape of a Call
    """Call nobody: where hosts cannot be reached."""
    return Failure(FailureKind.CONFIG, "the settings cannot be read")


def mend(findings: Sequence[Finding], call: Call, *, jobs: int) -> list[Mended]:
    """Mend what can be, in the order of the findings; hosts in parallel."""

    def one(finding: Finding) -> Mended:
        assert finding.repair is not None  # noqa: S101 - asked for by the caller
        if finding.place == HERE:
            return Mended(finding, _here(finding.repair))
        return Mended(finding, _there(finding.place, finding.repair, call))

    return fanout.in_order([finding for finding in findings if finding.repair is not None], one, jobs=jobs)


def _there(host: str, repair: Repair, call: Call) -> str:
    word = _WORDS.get(repair.how)
    if word is None:
        return "that is not done on hosts"
    answer = call(host, "doctor_repair", [word])
    if isinstance(answer, Failure):
        return str(answer)
    return "" if answer.has("repaired") else "it could not be done there"


def _here(repair: Repair) -> str:
    """Do it, without following links, and only to what is ours."""
    path, below = Path(repair.path), Path(repair.below)
    if not repair.below or repair.how not in (Mending.PRIVATE, Mending.REMOVE):
        return "that is not done here"
    if repair.how is Mending.PRIVATE:
        return owncaches.make_private(path, below)
    return owncaches.remove(path, below)
