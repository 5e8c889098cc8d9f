"""What a host's answer means for a run in the ledger. Pure.

Hosts and clients have clocks of their own: of a host's times only how long ago they were is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeAlias

from dgummy.model import RunState
from dgummy.outcomes import how_it_ended
from dgummy.transport.framing import Fact
from dgummy.work import WorkState

LAUNCH_S = 60.0
"""A run that was claimed so long ago, and whose supervisor did not begin, will not begin by itself."""

START_S = 600.0
"""For how long a client that we cannot see may still be at work on the start of a run."""

CLIENT_GONE = "client-gone"
FORGOTTEN = "forgotten"
"""Why a run was called off, as its host is told (and tells us again)."""

_RUN_ID = re.compile(r"[a-z0-9-]{1,100}")
_STANDINGS = frozenset(("ended", "void", "running", "claimed", "lost", "absent"))
_SETTLED = frozenset(("collected", "discarded"))
_CALLED_OFF = {
    CLIENT_GONE: (RunState.SKIPPED, None, "its client ended before it was started"),
    FORGOTTEN: (RunState.LOST, None, "its host does not know it: it never began there, or its folder was removed"),
    "cancelled": (RunState.CANCELLED, 130, "cancelled before it started"),
}
_NEVER_BEGAN = (RunState.SKIPPED, None, "it was called off before it started")


class Client(str, Enum):
    """Whether the process that began a run is still there."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Report:
    """How a host says that a run stands (`tell_run` in remote/history.sh).

    `now`, `claimed`, `launched` and `ended` are seconds by its clock, None where it does not know. `word` is how it
    ended or why it is void. `rest_alive`: what was lost may still be at work. `why` is why it is lost. `work` is how
    many files it changed in its workspace; `settled` is "collected" or "discarded" once these are.
    """

    run_id: str
    standing: str
    now: int = 0
    claimed: int | None = None
    launched: int | None = None
    ended: int | None = None
    code: int | None = None
    word: str = ""
    rest_alive: bool = False
    why: str = ""
    work: int | None = None
    settled: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is at work, or will be."""
        return self.standing in ("ended", "void") or (self.standing == "lost" and not self.rest_alive)

    def age_s(self, epoch: int | None) -> float | None:
        """How long ago one of its times was."""
        return None if epoch is None else max(0.0, self.now - epoch)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is true of a run. What is None or "" is not known from the host."""

    state: RunState
    exit_code: int | None = None
    reason: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class CallOff:
    """It did not begin, and must not any more: have the host make sure of that, then judge anew."""

    why: str


Decision: TypeAlias = "Verdict | CallOff | None"


def is_run_id(text: str) -> bool:
    """Whether a host may be asked about it, and may tell of it, under that name."""
    return _RUN_ID.fullmatch(text) is not None


def read_report(value: str) -> Report | None:
    """Read the value of a `report` fact. None for what makes no sense."""
    words = [*value.split(" ", 9), *[""] * 10]
    run_id, standing, now, claimed, launched, ended, code, word, rest, why = words[:10]
    if not is_run_id(run_id) or standing not in _STANDINGS:
        return None
    return Report(
        run_id=run_id,
        standing=standing,
        now=_number(now) or 0,
        claimed=_number(claimed),
        launched=_number(launched),
        ended=_number(ended),
        code=_number(code),
        word="" if word == "-" else word,
        rest_alive=rest == "alive",
        why=why,
    )


def read_reports(facts: Iterable[Fact]) -> dict[str, Report]:
    """Every report among facts, by run id. What is told of its work comes behind each."""
    reports: dict[str, Report] = {}
    for fact in facts:
        report = read_report(fact.value) if fact.name == "report" else None
        if report is not None:
            reports[report.run_id] = report
        elif fact.name == "work":
            run_id = fact.value.partition(" ")[0]
            if run_id in reports:
                reports[run_id] = with_work(reports[run_id], fact.value)
    return reports


def with_work(report: Report, value: str) -> Report:
    """The report with what a `work ID COUNT END` fact says, if that is about the same run."""
    run_id, count, settled = [*value.split(" "), "", ""][:3]
    if run_id != report.run_id:
        return report
    return replace(report, work=_number(count), settled=settled if settled in _SETTLED else "")


def _number(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() and len(word) < 16 else None


def decide(was: RunState, report: Report, client: Client, age_s: float, now: datetime) -> Decision:
    """What a host's report means for a run that the ledger has as `was`, since `age_s`. None: leave it as it is."""
    if report.standing == "ended":
        return _ended(report, now)
    if report.standing == "running":
        return Verdict(RunState.RUNNING, started_at=_begin(report, now))
    if report.standing == "lost":
        alive = "; its command may still be at work there" if report.rest_alive else ""
        return Verdict(RunState.LOST, reason=f"{report.why or 'lost'}{alive}", started_at=_begin(report, now))
    if report.standing == "void":
        return Verdict(*_CALLED_OFF.get(report.word, _NEVER_BEGAN))
    if client is Client.ALIVE or (client is Client.UNKNOWN and age_s < START_S):
        return None  # the client sees to it
    if report.standing == "claimed":
        claimed_s = report.age_s(report.claimed)
        return CallOff(CLIENT_GONE) if claimed_s is None or claimed_s >= LAUNCH_S else None
    if was is RunState.LOST:
        return None
    return CallOff(FORGOTTEN if was is RunState.RUNNING else CLIENT_GONE)


def client_gone() -> Verdict:
    """What is true of a run whose client ended before it had a host."""
    return Verdict(*_CALLED_OFF[CLIENT_GONE])


def _ended(report: Report, now: datetime) -> Verdict:
    begin, end = report.launched or report.claimed, report.ended
    took_s = float(max(0, end - begin)) if begin is not None and end is not None else None
    state, code, reason = how_it_ended(255 if report.code is None else report.code, report.word)
    return Verdict(state, code, reason, _begin(report, now), _moment(report, end, now), took_s)


def _begin(report: Report, now: datetime) -> datetime | None:
    return _moment(report, report.launched or report.claimed, now)


def _moment(report: Report, epoch: int | None, now: datetime) -> datetime | None:
    age_s = report.age_s(epoch)
    try:
        return None if age_s is None else now - timedelta(seconds=age_s)
    except OverflowError:
        return None


def work_of(known: WorkState, report: Report) -> WorkState:
    """What became of that which a run changed, as its host says, where it is not `known` better."""
    if known not in (WorkState.UNKNOWN, WorkState.UNCOLLECTED) or report.work is None:
        return known
    if report.settled:
        return WorkState(report.settled)
    return WorkState.UNCOLLECTED if report.work else WorkState.NONE
