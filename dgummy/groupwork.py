"""The use cases for several runs at once: the same work everywhere, or different work spread over hosts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from dgummy import fanout, testreports
from dgummy.agents import SPECIALISTS_MODE
from dgummy.attempts import Means
from dgummy.batch import Batch
from dgummy.chooser import Chooser, Pick, home_dirs
from dgummy.dispatch import Dispatcher
from dgummy.errors import NoHostError
from dgummy.events import Event, GroupEnded, GroupStarted, Notice
from dgummy.everywhere import Everywhere
from dgummy.forecast import forecast
from dgummy.gate import DOUBTFUL
from dgummy.grouprecords import GroupResult, Member
from dgummy.groups import GroupRunner, Piece, Ran, Source
from dgummy.jobs import Job
from dgummy.journal import kind_key, work_key
from dgummy.ledger_rows import new_group_id
from dgummy.lodging import BatchHomes, fresh_memory
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host, RunResult, RunState, Sample
from dgummy.observe import Observation
from dgummy.orders import Order
from dgummy.placement import Obstacle
from dgummy.routing import GENERAL
from dgummy.spread import Hosts, Spread
from dgummy.stop import INTERRUPTED, Stop
from dgummy.stoprules import StopRule
from dgummy.tails import TAIL_BYTES, Tails


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """How a group is run, beside what is asked of each run: when to stop."""

    rule: StopRule = field(default_factory=StopRule)
    deadline_s: float | None = None


class GroupWork:
    """Runs one group."""

    def __init__(self, means: Means, chooser: Chooser, look_here: Callable[[], Sample | None]) -> None:
        self._tails = Tails()
        self._emit = means.emit
        self._means = replace(means, emit=self._tap)
        self._settings = means.settings
        self._chooser = chooser
        self._here = means.runner is means.local  # all is done on this machine
        self._stop = Stop()
        self._dispatcher = Dispatcher(self._means, chooser, look_here, stop=self._stop)

    def everywhere(self, order: Order, hosts: Sequence[Host], options: GroupOptions) -> GroupResult:
        """Run one order on each of these hosts that has what it requires. NoHostError if none has."""
        self._check_purse([order])
        if order.sync and not self._here:
            self._means.syncer()  # a project that must not be sent is refused before anything else happens
        picked = self._look_at(order, hosts)
        fit = self._fit(hosts, picked)
        orders = [replace(order, label=host.name, wish=replace(order.wish, hosts=(host.name,))) for host in fit]
        return self._pinned(orders, fit, picked, options)

    def in_the_way(self, order: Order, hosts: Sequence[Host]) -> dict[str, Failure]:
        """Why some of these hosts would not get it, by name."""
        picked = self._look_at(order, hosts)
        if picked is None:
            return {}
        silent = {one.host: one.failure for one in picked.observation.reports if one.failure is not None}
        remedy = "ask for less, or use another host"
        return silent | {name: Failure(FailureKind.UNFIT, why, remedy) for name, why in _lacking(picked).items()}

    def pinned(self, orders: Sequence[Order], hosts: Sequence[Host], options: GroupOptions) -> GroupResult:
        """Run each order on the host beside it, and nowhere else."""
        self._check_purse(orders)
        if any(order.sync for order in orders) and not self._here:
            self._means.syncer()
        return self._pinned(orders, hosts, self._look_at(orders[0], hosts), options)

    def _pinned(
        self, orders: Sequence[Order], hosts: Sequence[Host], picked: Pick | None, options: GroupOptions
    ) -> GroupResult:
        group_id = new_group_id(self._means.now())
        pieces = self._begin([replace(order, group_id=group_id) for order in orders])
        for piece, host in zip(pieces, hosts, strict=True):
            piece.host = host
            if picked is not None:
                report = picked.observation.of(host.name)
                piece.sample = report.sample if report else None
                failure = _in_the_way(picked, host.name)
                if failure is not None:
                    piece.last_resort = self._given_up(piece, failure)
        return self._carry_out(group_id, pieces, self._everywhere(pieces), options)

    def spread(self, orders: Sequence[Order], options: GroupOptions) -> GroupResult:
        """Run different orders, each on the host where it costs the least time, as hosts have room."""
        self._check_purse(orders)
        if any(order.sync for order in orders) and not self._here:
            self._means.syncer()
        group_id = new_group_id(self._means.now())
        pieces = self._begin([replace(order, group_id=group_id) for order in orders])
        return self._carry_out_spread(group_id, pieces, options)

    def leave(self, orders: Sequence[Order]) -> tuple[str, list[str]]:
        """Write different orders down for a client that takes them over: the group's id, and theirs."""
        self._check_purse(orders)
        group_id = new_group_id(self._means.now())
        pieces = self._begin([replace(order, group_id=group_id) for order in orders])
        return group_id, [piece.course.run_id for piece in pieces]

    def take_over(
        self, group_id: str, orders: Sequence[Order], run_ids: Sequence[str], options: GroupOptions
    ) -> GroupResult:
        """Carry out orders that were written down before, and not begun."""
        courses = self._dispatcher.take_over(orders, run_ids)
        orders = [replace(order, group_id=group_id) for order in orders]
        pieces = self._announce([Piece(order, course) for order, course in zip(orders, courses, strict=True)])
        return self._carry_out_spread(group_id, pieces, options)

    def _carry_out_spread(self, group_id: str, pieces: Sequence[Piece], options: GroupOptions) -> GroupResult:
        if not self._here:
            self._look_for_homes(pieces)
            return self._carry_out(group_id, pieces, self._spread(pieces), options)
        for piece in pieces:  # one after the other: they share the project's folder
            piece.host = Host(LOCAL_HOST, path_dirs=self._settings.path)
        return self._carry_out(group_id, pieces, self._everywhere(pieces), options, jobs=1)

    def _everywhere(self, pieces: Sequence[Piece]) -> Everywhere:
        return Everywhere(pieces, self._dispatcher, patience_s=self._settings.timeouts.workspace_s)

    def _spread(self, pieces: Sequence[Piece]) -> Spread:
        """Look at the hosts and at earlier runs, and say what each piece is."""
        orders = [piece.order for piece in pieces]
        hosts = {host.name: host for order in orders for host in self._chooser.hosts(order.wish)}
        now_s = time.monotonic()
        observation = self._chooser.observe(list(hosts.values()))
        known = forecast(self._means.journal.past_runs())
        batch = Batch((), now_s, rng=self._chooser.rng, weights=self._chooser.default_weights)
        own = Hosts(
            list(hosts.values()),
            batch,
            known.speed,
            one_each=any(order.needs_the_workspace for order in orders),
            ttl_s=self._settings.cache.load_ttl_s,
        )
        own.learn(observation, now_s)
        project, jobs, preferred = str(self._means.project().root), {}, {}
        for piece in pieces:
            order, pick = piece.order, self._chooser.judged(piece.order.wish, observation)
            kind = kind_key(order.kind, pick.task_type.name)
            expected_s = known.expected_s(work_key(project, order.kind, order.shown), kind)
            # What a host that did not answer has is not known: it gets only what asks for nothing.
            passable = (None, Obstacle.UNREACHABLE) if not (order.wish.requires or pick.task_type.requires) else (None,)
            able = frozenset(verdict.host for verdict in pick.choice.verdicts if verdict.obstacle in passable)
            only = None if able == own.by_name.keys() else able
            jobs[piece.course.run_id] = Job(piece.course.run_id, expected_s, pick.task_type, only)
            preferred[piece.course.run_id] = self._settings.host_preferences.get(pick.task_type.name, ())
            if order.kind == "task" or pick.task_type.name != GENERAL:
                criterion = pick.task_type.criterion or "lowest score"
                self._emit(Notice(f"- {order.label}: {pick.type_why}, wants the host with the {criterion}"))
        return Spread(
            pieces,
            batch,
            own,
            jobs,
            preferred,
            homes=self._homes(pieces, observation),
            chooser=self._chooser,
            dispatcher=self._dispatcher,
            means=self._means,
        )

    def _look_for_homes(self, pieces: Sequence[Piece]) -> None:
        """Begin to look where the specialists of all tasks among them live."""
        tasks = [piece for piece in pieces if piece.order.mode == SPECIALISTS_MODE]
        for piece in tasks:
            if piece.order.isolate:
                piece.course.memory = fresh_memory(self._means.project(), piece.order.text)
        tasks = [piece for piece in tasks if not piece.order.isolate]
        look = self._means.homes([piece.order.wish for piece in tasks]) if tasks else None
        for piece in tasks:
            piece.course.look = look

    def _homes(self, pieces: Sequence[Piece], observation: Observation) -> BatchHomes:
        """What that found."""
        dirs = home_dirs(observation)
        looks = [(piece, piece.course.look) for piece in pieces]
        homes = {piece.course.run_id: look.home(piece.order.text, dirs) for piece, look in looks if look is not None}
        return BatchHomes(homes, self._settings.agent.home_margin)

    # -- which hosts -------------------------------------------------------------------------------------------

    def _look_at(self, order: Order, hosts: Sequence[Host]) -> Pick | None:
        """Measure the hosts, if it matters what they have, or that a name leads `d` to the same machine as us."""
        kind, _ = self._chooser.task_type(order.wish)
        by_d = self._means.runner is not self._means.control
        if not (order.wish.requires or kind.requires or by_d) or self._here:
            return None
        names = tuple(host.name for host in hosts)
        wish = replace(order.wish, hosts=names, group=None, insists=bool(order.wish.hosts))
        picked = self._chooser.pick(wish, patience_s=None)
        for name, doubt in picked.doubts.items():
            self._emit(Notice(f"{DOUBTFUL}: {doubt}", "warning", name))
        return picked

    def _fit(self, hosts: Sequence[Host], picked: Pick | None) -> list[Host]:
        if picked is None:
            return list(hosts)
        lacking = _lacking(picked)
        fit = [host for host in hosts if host.name not in lacking]
        reasons = "; ".join(f"{name}: {reason}" for name, reason in lacking.items())
        if not fit:
            doctor = f"inv doctor --host {next(iter(lacking))} tells more"
            raise NoHostError(f"no host is fit for it: {reasons}", f"ask for less, or add a host that has it; {doctor}")
        if lacking:
            self._emit(Notice(f"passed over: {reasons}"))
        return fit

    def _check_purse(self, orders: Sequence[Order]) -> None:
        """TryAgainError if all of it is for agents, and no more may be spent. Before any host is asked anything."""
        self._dispatcher.attempter.purse.check(orders)

    # -- carrying it out ---------------------------------------------------------------------------------------

    def _begin(self, orders: Sequence[Order]) -> list[Piece]:
        courses = self._dispatcher.begin(orders)
        return self._announce([Piece(order, course) for order, course in zip(orders, courses, strict=True)])

    def _announce(self, pieces: list[Piece]) -> list[Piece]:
        labels = {piece.course.run_id: piece.order.label for piece in pieces}
        self._emit(GroupStarted(pieces[0].order.group_id, labels))
        return pieces

    def _given_up(self, piece: Piece, failure: Failure) -> Callable[[], RunResult]:
        return lambda: self._dispatcher.gave_up(piece.course, failure)

    def _carry_out(
        self,
        group_id: str,
        pieces: Sequence[Piece],
        source: Source,
        options: GroupOptions,
        jobs: int | None = None,
    ) -> GroupResult:
        began = time.monotonic()
        runner = GroupRunner(
            self._dispatcher,
            self._stop,
            rule=options.rule,
            jobs=jobs or self._settings.jobs,
            deadline_s=options.deadline_s,
        )
        ran = fanout.interruptible(lambda: runner.run(source, len(pieces)), self._stop)
        result = GroupResult(
            group_id,
            tuple(fanout.in_order(pieces, lambda piece: self._member(piece, ran), jobs=self._settings.jobs)),
            wall_s=time.monotonic() - began,
            stopped=ran.stopped,
            timed_out=ran.timed_out,
            interrupted=self._stop.cancelled and self._stop.reason == INTERRUPTED,
        )
        self._emit(GroupEnded(result))
        return result

    def _member(self, piece: Piece, ran: Ran) -> Member:
        result = ran.results[piece.course.run_id]
        member = Member(piece.order.label, piece.order.shown, result)
        if result.state not in (RunState.OK, RunState.FAILED) or piece.order.mode:
            return member
        tails = self._tails.text(result.run_id)
        whole = all(len(text) < TAIL_BYTES for text in tails.values())
        summary = testreports.from_output(tails, whole=whole)
        if not summary and piece.order.label != result.host and piece.host is not None and not self._stop.cancelled:
            directory = result.sync.remote_dir if result.sync else self._means.remote_dir(piece.host)
            summary = testreports.from_host(
                self._means.control,
                piece.host,
                result.run_id,
                directory,
                script_s=self._settings.timeouts.script_s,
            )
        return msgspec.structs.replace(member, summary=summary)

    def _tap(self, event: Event) -> None:
        self._tails(event)
        self._emit(event)


def _lacking(picked: Pick) -> dict[str, str]:
    """What hosts lack for it, by name."""
    return {one.host: one.reason for one in picked.choice.verdicts if one.obstacle is Obstacle.REQUIREMENT}


def _in_the_way(picked: Pick, name: str) -> Failure | None:
    """Why a host cannot get its run: it did not answer, or lacks what is required."""
    report = picked.observation.of(name)
    if report is not None and report.failure is not None:
        return report.failure
    reason = _lacking(picked).get(name)
    return Failure(FailureKind.UNFIT, f"{name} {reason}", "ask for less, or use another host") if reason else None
