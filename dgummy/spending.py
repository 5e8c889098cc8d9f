"""Spend caps at work: what may still be started, and what a running agent costs, asked at a bounded rate.

An agent tells its cost in what it prints, in its log on the host, or in the transcript of its specialist; which of them
there is, is found out by looking. What decides is `budget`; what is read is added up by `costs`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from datetime import time as time_of_day

from dgummy import agents, budget, remote
from dgummy.budget import Caps, Spent, Verdict
from dgummy.costs import Prices, Tally
from dgummy.errors import TryAgainError
from dgummy.events import Event, Listener, Notice, Output
from dgummy.fanout import Call
from dgummy.journal import Journal
from dgummy.model import Failure, FailureKind, Host, RunState
from dgummy.orders import Order
from dgummy.project import Project
from dgummy.proof import Claim
from dgummy.runs import Ending, Supervision
from dgummy.settings import Settings
from dgummy.transport.base import Answer, Limits, Transport

EVERY_S = 3.0
"""How often a running agent's cost is asked for."""

_READ_BYTES = 1 << 20
_MOST_READS = 64
_LONGEST_LINE = 1 << 20


def caps_of(settings: Settings) -> Caps:
    """The caps that are set."""
    own = settings.budget
    return Caps(own.per_task_usd, own.per_day_usd, own.per_project_usd, stops=own.enforce == "stop")


def start_of_day(now: datetime) -> datetime:
    """The midnight before now, by the clocks on the wall here."""
    return datetime.combine(now.astimezone().date(), time_of_day.min).astimezone()


class Purse:
    """What may be spent from here, and has been. Thread-safe."""

    def __init__(
        self, settings: Settings, journal: Journal, project: Callable[[], Project], now: Callable[[], datetime]
    ) -> None:
        self.caps = caps_of(settings)
        self._journal = journal
        self._project = project
        self._now = now

    def refusal(self) -> Failure | None:
        """Why no agent task may start now; None if one may. With caps, none may while the ledger cannot be read."""
        if self.caps.per_day_usd is None and self.caps.per_project_usd is None:
            return None
        from dgummy.ledger import LedgerError

        try:
            return budget.refusal(self.caps, self._spent())
        except LedgerError as error:
            text = f"what agents have cost so far is not known: {error.message}"
            return Failure(FailureKind.BUDGET, text, error.remedy)

    def check(self, orders: Sequence[Order]) -> None:
        """Refuse work that is all agent tasks when none may start. TryAgainError."""
        failure = self.refusal() if orders and all(order.mode for order in orders) else None
        if failure is not None:
            raise TryAgainError(failure.detail, failure.remedy)

    def _spent(self) -> Spent:
        caps, spent, ledger = self.caps, Spent(), self._journal.ledger()
        if caps.per_day_usd is not None:
            spent = replace(spent, today_usd=ledger.spent_usd(start_of_day(self._now())))
        if caps.per_project_usd is not None:
            spent = replace(spent, project_usd=ledger.spent_usd(project=str(self._project().root)))
        return spent


class Reading:
    """What the agent of one run is known to have cost so far. Thread-safe."""

    def __init__(self, control: Transport, host: Host, claim: Claim, prices: Prices, *, script_s: float) -> None:
        self._control = control
        self._host = host
        self._claim = claim
        self._prices = prices
        self._script_s = script_s
        self._lock = threading.Lock()
        self._hearing = threading.Lock()
        self._printed = Tally(prices)
        self._rest = b""
        self._files: dict[str, Tally] = {}
        self._source, self._at = "-", 0

    def hear(self, data: bytes) -> None:
        """Take in what the agent prints."""
        with self._hearing:
            *lines, self._rest = (self._rest + data).split(b"\n")
            self._rest = self._rest[:_LONGEST_LINE]
            for line in lines:
                if line.startswith(b"{"):
                    self._printed.add(line.decode("utf-8", "replace"))

    def look(self, *, to_the_end: bool = False) -> None:
        """Read on in what the agent writes on its host: a bounded piece, or all there is."""
        with self._lock:
            for _ in range(_MOST_READS if to_the_end else 1):
                if not self._read_on():
                    return

    @property
    def cost_usd(self) -> float | None:
        """At least so much, by what tells the most reliably; None if nothing tells."""
        printed = self._printed.cost_usd
        if printed is not None:
            return printed
        logs = [tally for source, tally in self._files.items() if source.startswith("log ")]
        known = [tally.cost_usd for tally in logs or self._files.values()]
        costs = [cost for cost in known if cost is not None]
        return sum(costs) if costs else None

    def _read_on(self) -> bool:
        """Read one piece; whether there is more."""
        claim = self._claim
        own_id, log, *_ = agents.evidence_args(claim.run_id, claim.directory, claim.mode, claim.text)[3:]
        args = [claim.run_id, claim.directory, self._source, str(self._at), str(_READ_BYTES), own_id, log]
        script = remote.compose(("spending",), "agent_spending", args, variables={"DG_ROOT": self._host.probe_root})
        answer = self._control.run_script(self._host, script, Limits(total_s=self._script_s))
        source, at = ("", "") if isinstance(answer, Failure) else (answer.first("source"), answer.first("at"))
        if isinstance(answer, Failure) or not source or not at.isdigit():
            return False
        moved = source != self._source or int(at) > self._at
        if source != self._source:  # it was read from its beginning
            self._files[source] = Tally(self._prices, _launched(answer))
        for line in answer.all("line"):
            self._files[source].add(line)
        self._source, self._at = source, int(at)
        size = answer.first("size")
        return moved and size.isdigit() and self._at < int(size)


def _launched(answer: Answer) -> datetime | None:
    """When the run began, by its host's clock: a specialist's transcript goes further back."""
    told = answer.first("launched")
    return datetime.fromtimestamp(int(told), timezone.utc) if told.isdigit() and len(told) < 12 else None


def reading_of(control: Transport, host: Host, claim: Claim, subdir: str, settings: Settings) -> Reading:
    """What reads the cost of a run that works in `subdir` of its claim's folder."""
    if subdir:
        claim = replace(claim, directory=f"{claim.directory}/{subdir}")
    return Reading(control, host, claim, settings.pricing.prices, script_s=settings.timeouts.script_s)


def cost_there(control: Transport, host: Host, claim: Claim, subdir: str, settings: Settings) -> float | None:
    """What a run that is over cost, by what its host has; None if that tells nothing."""
    reading = reading_of(control, host, claim, subdir, settings)
    reading.look(to_the_end=True)
    return reading.cost_usd


class Meter:
    """Looks after what the agent of one run costs while it runs, and says at the end what it has cost."""

    def __init__(
        self, reading: Reading, caps: Caps, run_id: str, host: str, *, journal: Journal, emit: Listener
    ) -> None:
        self._reading = reading
        self._caps = caps
        self._run_id = run_id
        self._host = host
        self._journal = journal
        self._emit = emit
        self._over = threading.Event()
        self._told_usd: float | None = None
        self._warned = False
        self._ended = ""

    def listening(self, event: Event) -> None:
        """Hear what the run prints, and pass everything on."""
        if isinstance(event, Output) and event.stream == "out":
            self._reading.hear(event.data)
        self._emit(event)

    @contextmanager
    def watching(self, supervision: Supervision) -> Iterator[None]:
        """In here the cost is asked for now and then, if there are caps; what is over its own is ended or warned of."""
        if self._caps.are_set:
            Call(lambda: self._watch(supervision), "cost")
        try:
            yield
        finally:
            self._over.set()

    def judged(self, ending: Ending) -> Ending:
        """How the run ended, with the reason if it was ended for its cost."""
        if not self._ended or ending.state is not RunState.CANCELLED:
            return ending
        remedy = f"what it did is still on {self._host}; raise budget.per_task_usd to let such a task go on"
        return replace(ending, reason=f"ended: {self._ended}; its process group was ended", remedy=remedy)

    def final_usd(self, ending: Ending, said_usd: float | None) -> float | None:
        """What it has cost: what it says itself, else after a last look where its host may answer."""
        if said_usd is None and ending.state is not RunState.LOST:
            self._reading.look(to_the_end=True)
        cost_usd = self._reading.cost_usd if said_usd is None else said_usd
        if budget.verdict(self._caps, cost_usd) is not Verdict.GO_ON and not self._ended:
            self._warn(cost_usd, "")
        return cost_usd

    def _watch(self, supervision: Supervision) -> None:
        while not self._over.wait(EVERY_S):
            self._reading.look()
            cost_usd = self._reading.cost_usd
            if cost_usd is None or self._over.is_set():
                continue
            if cost_usd != self._told_usd:
                self._told_usd = cost_usd
                self._journal.update(self._run_id, cost_usd=cost_usd)
            verdict = budget.verdict(self._caps, cost_usd)
            if verdict is Verdict.WARN:
                self._warn(cost_usd, " and goes on; budget.enforce: stop would end it")
            if verdict is Verdict.END and self._end(supervision, budget.over_its_cap(self._caps, cost_usd)):
                return

    def _warn(self, cost_usd: float | None, more: str) -> None:
        if not self._warned:
            self._warned = True
            text = f"run {self._run_id}: {budget.over_its_cap(self._caps, cost_usd)}{more}"
            self._emit(Notice(text, "warning", self._host))

    def _end(self, supervision: Supervision, why: str) -> bool:
        """End the run; whether its host has done so."""
        if not self._ended:
            self._ended = why
            self._emit(Notice(f"ending run {self._run_id}: {why}", "warning", self._host))
        reply = supervision.cancel()
        return not isinstance(reply, Failure) and (reply.has("exit") or reply.has("void"))
