"""What `remote/look.sh` told of a host, made into a `HostView`. No I/O: facts go in, and the memory of earlier looks.

A host tells only of files that are not as the watcher knows them. `HostMemory` keeps what it said of each, by its line
of `ls`, and gives it to the next look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import NamedTuple

import msgspec

from dgummy import agents, probe, specialists
from dgummy.costs import Prices, Tally
from dgummy.model import Sample
from dgummy.specialists import RECENT_S, Signs
from dgummy.transport.framing import Fact
from dgummy.views import AgentTask, HostView, RunningCommand, Specialist, SpecialistState, total_cost

MAX_FACTS = 40_000
_LONGEST_TASK_S = 86_400.0
"""A task that began so long before today may still be at work."""

_LS_OPTIONS = ("--full-time", "-T")
_LS = re.compile(
    r"-\S+\s+\d+\s+\d+\s+\d+\s+(?P<size>\d{1,18})\s+"
    r"(?:(?P<iso>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (?P<zone>[+-]\d{4})|"
    r"(?P<bsd>\w{3}\s+\d+ \d\d:\d\d:\d\d \d{4})|.*?)"
    r"\s+(?P<path>/.*)"
)
_LOG = re.compile(r"(gummy-(\d{9,11}))-(task|plan|execute)\.log")
_SUBJECTS = frozenset(("specialist", "transcript", "log", "shown-run"))
_BELONGS = frozenset(("meta", "usage", "transcript-error", "cut", "session", "result", "last", "command"))
"""The facts that belong to the file or run that was named before them."""

_OTHERS = frozenset(("ls", "same", "zone", "agent", "agent-session", "unreadable", "more"))


class Stamp(NamedTuple):
    """A file by its line of `ls -lnd`: modified_s is epoch seconds, None where ls tells no seconds."""

    line: str
    path: str
    size: int
    modified_s: float | None


_NO_STAMP = Stamp("", "", 0, None)


def read_stamp(line: str, zone: str = "") -> Stamp | None:
    """Read a line of `ls -lnd --full-time` (GNU, BusyBox) or `-T` (BSD, macOS; `zone` is its `date +%z`)."""
    found = _LS.fullmatch(line)
    if found is None:
        return None
    modified_s = None
    try:
        if found["iso"]:
            modified_s = datetime.strptime(f"{found['iso']} {found['zone']}", "%Y-%m-%d %H:%M:%S %z").timestamp()
        elif found["bsd"] and zone:
            modified_s = datetime.strptime(f"{found['bsd']} {zone}", "%b %d %H:%M:%S %Y %z").timestamp()
    except ValueError:
        modified_s = None
    return Stamp(line, found["path"], int(found["size"]), modified_s)


@dataclass(slots=True)
class _Kept:
    """A file (or, without a stamp, a run) as it was told of last, and the facts that came with it."""

    stamp: Stamp
    facts: list[Fact] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        return [fact.value for fact in self.facts if fact.name == name]

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


class _Answer:
    """The facts of one look: those of the probe, those about files and runs by path or id, and the rest."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.told: dict[str, dict[str, _Kept]] = {name: {} for name in _SUBJECTS}
        self.probed = [fact for fact in facts if fact.name not in _SUBJECTS | _BELONGS | _OTHERS]
        self._others = [fact for fact in facts if fact.name in _OTHERS]
        self._zone = next(iter(self.all("zone")), "")
        subject = None
        for fact in facts:
            if fact.name in _SUBJECTS:
                subject = self._begin(fact)
            elif fact.name in _BELONGS and subject is not None:
                subject.facts.append(fact)

    def _begin(self, fact: Fact) -> _Kept:
        is_run = fact.name == "shown-run"
        stamp = Stamp("", fact.value, 0, None) if is_run else read_stamp(fact.value, self._zone)
        kept = _Kept(stamp or _NO_STAMP)
        if stamp is not None:
            self.told[fact.name][stamp.path] = kept
        return kept

    def all(self, name: str) -> list[str]:
        return [fact.value for fact in self._others if fact.name == name]


class HostMemory:
    """What one watcher knows of one host from earlier looks. Of one day: `since` is when that began."""

    def __init__(self, since: datetime, prices: Prices) -> None:
        self.since = since
        self._prices = prices
        self._metas: dict[str, _Kept] = {}
        self._transcripts: dict[str, _Kept] = {}
        self._tallies: dict[str, Tally] = {}
        self._cut: set[str] = set()
        self._logs: dict[str, _Kept] = {}
        self._sessions: set[str] = set()
        self._ls = ""

    def variables(self) -> dict[str, str | bytes]:
        """What the script is told of what is known (see remote/look.sh)."""
        kept = (*self._metas.values(), *self._transcripts.values(), *self._logs.values())
        read = (f"{one.stamp.size} {one.stamp.path}\n" for one in self._transcripts.values())
        return {
            "DG_KNOWN": _bytes("\n".join(one.stamp.line for one in kept)),
            "DG_OFFSETS": _bytes("".join(read)),
            "DG_SESSIONS": " ".join(sorted(self._sessions)),
            "DG_LS": self._ls,
            "DG_LOGS_SINCE_S": str(int(self.since.timestamp() - _LONGEST_TASK_S)),
            "DG_SINCE": self.since.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S"),
        }

    def take(self, host: str, facts: Iterable[Fact], *, asked_at: datetime, taken_at: datetime) -> HostView:
        """Take in what a look told. ValueError if the answer broke off."""
        answer = _Answer(list(islice(facts, MAX_FACTS)))
        sample = probe.parse(answer.probed, received_at_s=taken_at.timestamp())
        self._remember(answer)
        now_s = taken_at.timestamp() + (sample.clock_offset_s or 0.0)
        found = tuple(self._specialists(answer, sample.home, now_s))
        tasks = tuple(self._tasks(now_s))
        cost, complete = total_cost([*(one.cost_usd for one in found), *(one.cost_usd for one in tasks)])
        more = answer.all("more")
        return HostView(
            host,
            taken_at=taken_at,
            sample=sample,
            specialists=found,
            tasks=tasks,
            runs=tuple(_runs(sample, answer)),
            cost_today_usd=cost,
            cost_complete=complete and not self._cut,
            notices=(f"{more[0]} more specialists are not looked at (watch.max_specialists)",) if more else (),
            asked_at=asked_at,
        )

    # -- what is kept ------------------------------------------------------------------------------------------

    def _remember(self, answer: _Answer) -> None:
        self._ls = next((one for one in answer.all("ls") if one in _LS_OPTIONS), "")
        same = set(answer.all("same"))
        self._metas = _kept_on(self._metas, answer.told["specialist"], same)
        self._logs = _kept_on(self._logs, answer.told["log"], same)
        for path, told in answer.told["transcript"].items():
            tally = self._tallies.setdefault(path, Tally(self._prices, self.since))
            for line in told.all("usage"):
                tally.add(line)
            if told.first("cut"):
                self._cut.add(path)
        self._transcripts |= answer.told["transcript"]

    # -- what is made of it ------------------------------------------------------------------------------------

    def _specialists(self, answer: _Answer, home: str, now_s: float) -> Iterator[Specialist]:
        self._sessions = set()
        folders = {value.partition(" ")[2] for value in answer.all("agent")}
        at_work = set(answer.all("agent-session"))
        by_session = {path.rpartition("/")[2].removesuffix(".jsonl"): path for path in self._transcripts}
        for path, kept in self._metas.items():
            one = specialists.read(path.removesuffix("/meta.yaml"), home, kept.all("meta"))
            if one.session_id:
                self._sessions.add(one.session_id)
            transcript = by_session.get(one.session_id or "", "")
            signs = Signs(
                alive=one.session_id in at_work
                or (one.project or home) in folders
                or any(_is_fresh(stamp, now_s) for stamp in (kept.stamp, *self._stamp(transcript))),
                failed=bool(transcript and self._transcripts[transcript].first("transcript-error")),
            )
            status = specialists.judged(one.status, signs)
            reason = "its last answer was an error" if status is SpecialistState.FAILED else one.reason
            yield msgspec.structs.replace(one, status=status, cost_usd=self._cost(one, transcript), reason=reason)
        for value in answer.all("unreadable"):
            folder, _, reason = value.rpartition("\t")
            yield specialists.unreadable(folder, home, reason)

    def _stamp(self, path: str) -> tuple[Stamp, ...]:
        return (self._transcripts[path].stamp,) if path else ()

    def _cost(self, one: Specialist, transcript: str) -> float | None:
        """What it cost today: 0 if it was not active, not known if its transcript tells nothing."""
        if one.status is SpecialistState.UNREADABLE:
            return 0.0
        if not specialists.was_active_since(one, self.since):
            return 0.0
        tally = self._tallies.get(transcript)
        if tally is None:
            return None
        if not tally.is_complete:
            self._cut.add(transcript)
        return tally.cost_usd

    def _tasks(self, now_s: float) -> Iterator[AgentTask]:
        for path, kept in sorted(self._logs.items(), reverse=True):
            found = _LOG.fullmatch(path.rpartition("/")[2])
            if found is None:
                continue
            result = agents.read_result(kept.first("result"))
            status = _task_state(result, kept.stamp, now_s)
            started_at_s = float(found[2])
            if started_at_s < self.since.timestamp() and status is not SpecialistState.ACTIVE:
                continue
            yield AgentTask(
                found[1],
                found[3],
                status,
                started_at_s,
                session_id=kept.first("session") or None,
                cost_usd=agents.cost_usd(agents.Evidence(result)),
                last_line=agents.said(kept.first("last")),
            )


def _task_state(result: Mapping[str, object] | None, stamp: Stamp, now_s: float) -> SpecialistState:
    if result is not None:
        return SpecialistState.FAILED if result.get("is_error") else SpecialistState.DORMANT
    return SpecialistState.ACTIVE if _is_fresh(stamp, now_s) else SpecialistState.STOPPED


def _is_fresh(stamp: Stamp, now_s: float) -> bool:
    return stamp.modified_s is not None and now_s - stamp.modified_s < RECENT_S


def _kept_on(before: Mapping[str, _Kept], fresh: Mapping[str, _Kept], same: set[str]) -> dict[str, _Kept]:
    """What was told of anew, and what was only named; the rest is gone."""
    return dict(sorted(({path: one for path, one in before.items() if path in same} | dict(fresh)).items()))


def _runs(sample: Sample, answer: _Answer) -> Iterator[RunningCommand]:
    for one in sample.active_runs:
        told = answer.told["shown-run"].get(one.run_id, _Kept(_NO_STAMP))
        yield RunningCommand(
            one.run_id,
            one.age_s,
            command=told.first("command"),
            workspace=one.workspace,
            owner=one.owner,
            started=one.started,
            last_line=told.first("last"),
        )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"")


def day_start(now: datetime) -> datetime:
    """When the local day of `now` (which knows its zone) began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
