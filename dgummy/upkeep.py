"""Clear away old runs on both sides, and fill a ledger that was lost from what the hosts remember."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from dgummy import asked, fanout, reconcile, snapshot
from dgummy.asked import Meta
from dgummy.history import History
from dgummy.ledger_rows import RunRow
from dgummy.model import LOCAL_HOST, Failure, Host, RunState
from dgummy.reconcile import Client, Report, Verdict
from dgummy.runscript import list_script, remove_script
from dgummy.transport.base import Limits
from dgummy.transport.framing import Data, Fact, Frame
from dgummy.work import WorkState, encode_base

YOUNG, UNFINISHED, UNCOLLECTED = "younger than that", "not over", "not collected"
MAYBE_ALIVE, SILENT, OTHERS = "lost, and maybe still at work", "its host does not answer", "of somebody else"
NOT_REMOVED = "its folder could not be removed"
"""Why a run is kept."""

_BATCH = 500
"""How many folders one script removes: some shells take a command line of so many words only slowly."""


@dataclass(frozen=True, slots=True)
class Found:
    """A run's folder on a host. `old`: it tells no time, and was not touched for as long as was asked for."""

    report: Report
    kind: str = ""
    owner: str = ""
    workspace: str = ""
    command: str = ""
    meta: Meta | None = None
    old: bool = False

    def age_s(self) -> float | None:
        """How long ago it was over, or at least claimed."""
        return self.report.age_s(self.report.ended if self.report.ended is not None else self.report.claimed)


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be pruned: what was over before `before`; `older_s` is the same as an age at `now`."""

    now: datetime
    older_s: float
    owner: str
    all_owners: bool = False
    uncollected: bool = False

    @property
    def before(self) -> datetime:
        """The moment before which a run must have been over."""
        return self.now - timedelta(seconds=self.older_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be removed: rows of the ledger by id, folders by host; and why others that are old enough stay."""

    rows: tuple[str, ...] = ()
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or with `dry` would be: rows of the ledger, folders by host; how many were kept, by reason.

    `uncollected` names those of them whose work is not here yet.
    """

    dry: bool
    rows: int
    folders: Mapping[str, int]
    kept: Mapping[str, int]
    silent: Mapping[str, Failure]
    uncollected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many runs each host gave back to the ledger, how many it has had all the time, and who was silent."""

    added: Mapping[str, int]
    known: Mapping[str, int]
    silent: Mapping[str, Failure]


# -- decisions -----------------------------------------------------------------------------------------------------


def plan(
    rows: Iterable[RunRow], listings: Mapping[str, Mapping[str, Found]], silent: Collection[str], terms: Terms
) -> Plan:
    """Decide what goes. `listings` is what each host that answered has, by run id; `silent` names the others."""
    doomed: dict[str, RunRow] = {}
    kept: dict[str, str] = {}
    known = set()
    for row in rows:
        known.add(row.run_id)
        why = _why_kept(row, listings, silent, terms)
        if not why:
            doomed[row.run_id] = row
        elif why != YOUNG:
            kept[row.run_id] = why
    folders = {}
    for host, found in listings.items():
        going = [run_id for run_id, one in found.items() if run_id in doomed and one.report.is_over]
        for run_id, one in found.items():
            if run_id not in known:
                why = _why_orphan_kept(one, terms)
                if not why:
                    going.append(run_id)
                elif why != YOUNG:
                    kept[run_id] = why
        if going:
            folders[host] = tuple(going)
    return Plan(tuple(doomed), folders, kept)


def _why_kept(row: RunRow, listings: Mapping[str, Mapping[str, Found]], silent: Collection[str], terms: Terms) -> str:
    """Why a row stays; "" if it may go."""
    if (row.ended_at or row.created_at) >= terms.before:
        return YOUNG
    if not row.state.is_final:
        return UNFINISHED
    if row.host in silent:
        return SILENT
    if row.is_uncollected and not terms.uncollected:
        return UNCOLLECTED
    found = [listing[row.run_id] for listing in listings.values() if row.run_id in listing]
    if not all(one.report.is_over for one in found):
        return MAYBE_ALIVE
    return ""


def _why_orphan_kept(found: Found, terms: Terms) -> str:
    """Why the folder of a run that the ledger does not know stays; "" if it may go."""
    if not (terms.all_owners or found.owner == terms.owner):
        return OTHERS
    if found.report.standing not in ("ended", "void"):
        return MAYBE_ALIVE if found.report.standing == "lost" else UNFINISHED
    age_s = found.age_s()
    if not found.old and (age_s is None or age_s <= terms.older_s):
        return YOUNG
    if found.report.standing == "ended" and not terms.uncollected and _has_work(found):
        return UNCOLLECTED
    return ""


def _has_work(found: Found) -> bool:
    """Whether what a run changed may be on its host alone."""
    report = found.report
    if report.work is None:
        return found.kind == "task" and not report.settled
    return report.work > 0 and not report.settled


def row_of(host: str, found: Found, now: datetime) -> RunRow | None:
    """A row of the ledger for a run that only its host remembers. None for one that nothing was started of."""
    report = found.report
    if report.claimed is None:
        return None
    meta = found.meta or Meta()
    decision = reconcile.decide(RunState.RUNNING, report, Client.ALIVE, 0.0, now)
    verdict = decision if isinstance(decision, Verdict) else Verdict(RunState.RUNNING)
    if found.kind == "task" and verdict.state in (RunState.OK, RunState.FAILED):
        verdict = Verdict(RunState.RUNNING, started_at=verdict.started_at)  # what it left has to be looked at first
    claimed_at = now - timedelta(seconds=report.age_s(report.claimed) or 0.0)
    return RunRow(
        run_id=report.run_id,
        kind=found.kind or "run",
        command=meta.text or found.command,
        created_at=claimed_at,
        state=verdict.state,
        group_id=meta.group_id if reconcile.is_run_id(meta.group_id) else "",
        label=meta.label,
        task_type=meta.task_type,
        project=meta.project,
        remote_dir=meta.remote_dir or found.workspace,
        host=host,
        exit_code=verdict.exit_code,
        reason=verdict.reason,
        started_at=verdict.started_at,
        ended_at=verdict.ended_at,
        duration_s=verdict.duration_s,
        owner=found.owner,
        request=asked.encode(meta.request) if meta.request is not None else "",
        base=encode_base(meta.base) if meta.base is not None else "",
        work=reconcile.work_of(WorkState.UNKNOWN, report),
    )


# -- doing ---------------------------------------------------------------------------------------------------------


class Upkeep:
    """Prunes and rebuilds. In `state_dir` are the objects of what was sent to runs."""

    def __init__(self, history: History, state_dir: Path | None = None) -> None:
        self._history = history
        self._stores = state_dir
        self._access = history.access

    def prune(
        self,
        older_s: float,
        *,
        dry: bool = False,
        all_owners: bool = False,
        uncollected: bool = False,
        collect: Callable[[Sequence[RunRow]], object] | None = None,
    ) -> Pruned:
        """Remove runs that were over so long ago, here and on hosts; `collect` is given those not collected first."""
        terms = Terms(self._access.now(), older_s, self._access.owner, all_owners, uncollected)
        ledger = self._access.journal.ledger()
        rows = [seen.row for seen in self._history.refresh(_old(ledger.runs(), terms), tell=False)]
        listings, silent = self._list(older_s, {row.host for row in rows if row.host})
        planned = plan(ledger.runs(), listings, silent, terms)
        waiting = [row for row in ledger.runs() if planned.kept.get(row.run_id) == UNCOLLECTED]
        if collect is not None and waiting and not dry:
            collect(waiting)
            planned = plan(ledger.runs(), listings, silent, terms)
        kept = Counter(planned.kept.values())
        left_there = tuple(sorted(run_id for run_id, why in planned.kept.items() if why == UNCOLLECTED))
        if dry:
            folders = {host: len(ids) for host, ids in planned.folders.items()}
            return Pruned(True, len(planned.rows), folders, kept, silent, left_there)
        gone = dict(fanout.each(list(planned.folders.items()), self._remove, jobs=self._access.settings.jobs))
        removed = {host: len(ids) for (host, _), ids in gone.items() if ids}
        left = {run_id for (_, asked_for), ids in gone.items() for run_id in asked_for} - set().union(*gone.values())
        kept[NOT_REMOVED] += len(left)
        stay = {row.run_id for row in ledger.runs()} - (set(planned.rows) - left)
        gone_here = ledger.prune(terms.before, keep=stay)
        if gone_here and self._stores is not None:
            snapshot.drop_stores(self._stores, {Path(row.project) for row in ledger.runs() if row.base})
        return Pruned(False, len(gone_here), removed, +kept, silent, left_there)

    def rebuild(self, *, all_owners: bool = False) -> Rebuilt:
        """Write down every run that a host remembers and the ledger does not."""
        ledger = self._access.journal.ledger()
        known = {row.run_id for row in ledger.runs()}
        listings, silent = self._list(0.0, (), whole=True)
        now = self._access.now()
        best: dict[str, RunRow] = {}
        had: Counter[str] = Counter()
        for host, found in listings.items():
            for run_id, one in found.items():
                if not (all_owners or one.owner == self._access.owner):
                    continue
                row = row_of(host, one, now)
                if run_id in known:
                    had[host] += 1
                elif row is not None and _says_more(row, best.get(run_id)):
                    best[run_id] = row
        ordered = sorted(best.values(), key=lambda row: (row.created_at, row.run_id))
        added = Counter(row.host for row in ordered if ledger.record(row))
        self._history.refresh([row for row in ordered if not row.state.is_final])
        return Rebuilt({host: added[host] for host in listings}, {host: had[host] for host in listings}, silent)

    def _list(
        self, older_s: float, names: Collection[str], *, whole: bool = False
    ) -> tuple[dict[str, dict[str, Found]], dict[str, Failure]]:
        """What every host remembers, those of the inventory and this machine and those named; and who is silent."""
        listings: dict[str, dict[str, Found]] = {}
        silent: dict[str, Failure] = {}
        wanted = list(dict.fromkeys([*self._access.hosts, LOCAL_HOST, *names]))

        def ask(name: str) -> dict[str, Found] | Failure:
            host = self._access.host(name)
            return host if isinstance(host, Failure) else self._ask(host, older_s, whole=whole)

        for name, answer in zip(wanted, fanout.in_order(wanted, ask, jobs=self._access.settings.jobs), strict=True):
            if isinstance(answer, Failure):
                silent[name] = answer
            else:
                listings[name] = answer
        return listings, silent

    def _ask(self, host: Host, older_s: float, *, whole: bool) -> dict[str, Found] | Failure:
        listing = Listing()
        script = list_script(older_s, whole=whole, probe_root=host.probe_root)
        limits = Limits(total_s=None, idle_s=self._access.settings.timeouts.script_s)
        answer = self._access.ask(host, script, limits, listing)
        return answer if isinstance(answer, Failure) else listing.found()

    def _remove(self, asked_of: tuple[str, tuple[str, ...]]) -> set[str]:
        """Remove folders on one host; the ids of those that are gone."""
        name, run_ids = asked_of
        host = self._access.host(name)
        removed: set[str] = set()
        if isinstance(host, Failure):
            return removed
        limits = Limits(total_s=None, idle_s=self._access.settings.timeouts.script_s)
        for at in range(0, len(run_ids), _BATCH):
            answer = self._access.ask(host, remove_script(run_ids[at : at + _BATCH], host.probe_root), limits)
            if isinstance(answer, Failure):
                break
            removed.update(answer.all("removed"))
        return removed & set(run_ids)


class Listing:
    """Hears what `list_runs` says, as it comes."""

    def __init__(self) -> None:
        self._found: dict[str, Found] = {}
        self._data: dict[str, dict[str, bytearray]] = {}
        self._at = ""

    def __call__(self, frame: Frame) -> None:
        """Take a frame."""
        if isinstance(frame, Data):
            if self._at:
                self._data[self._at].setdefault(frame.stream, bytearray()).extend(frame.data)
        elif frame.name == "report":
            report = reconcile.read_report(frame.value)
            self._at = report.run_id if report is not None else ""
            if report is not None:
                self._found[report.run_id] = Found(report)
                self._data[report.run_id] = {}
        elif self._at:
            self._hear(frame)

    def _hear(self, fact: Fact) -> None:
        found = self._found[self._at]
        if fact.name == "owner":
            found = replace(found, owner=fact.value)
        elif fact.name == "workspace":
            found = replace(found, workspace=fact.value)
        elif fact.name == "kind" and fact.value in ("run", "task"):
            found = replace(found, kind=fact.value)
        elif fact.name == "work":
            found = replace(found, report=reconcile.with_work(found.report, fact.value))
        elif fact.name == "old":
            found = replace(found, old=True)
        self._found[self._at] = found

    def found(self) -> dict[str, Found]:
        """All that was heard, by run id."""
        return {run_id: self._with_data(run_id, one) for run_id, one in self._found.items()}

    def _with_data(self, run_id: str, found: Found) -> Found:
        data = {name: bytes(raw) for name, raw in self._data[run_id].items()}
        command = data.get("command", b"").decode("utf-8", "surrogateescape")
        return replace(found, command=command, meta=asked.decode_meta(data.get("meta", b"").decode("utf-8", "replace")))


def _old(rows: Iterable[RunRow], terms: Terms) -> list[RunRow]:
    return [row for row in rows if (row.ended_at or row.created_at) < terms.before]


def _says_more(row: RunRow, other: RunRow | None) -> bool:
    """Whether of two hosts that know a run this one is where it took place: elsewhere it was called off."""
    return other is None or (other.state is RunState.SKIPPED and row.state is not RunState.SKIPPED)
