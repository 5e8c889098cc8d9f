"""The use cases for several runs at once, for one cluster. How they are carried out is `groupwork`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy import again, background, fanout, intake, locks
from dgummy.errors import TryAgainError
from dgummy.grouprecords import GroupResult
from dgummy.groupwork import GroupOptions, GroupWork
from dgummy.model import Host, RunState, SyncResult
from dgummy.orders import Order

if TYPE_CHECKING:
    from dgummy.cluster import Cluster
    from dgummy.ledger_rows import RunRow


class Groups:
    """What can be done with several runs. Orders are made by `intake`, or by `again`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def everywhere(self, order: Order, group: GroupOptions, *, force: bool = False) -> GroupResult:
        """Carry out an order (see `intake`) on every host that its wish names, all at once."""
        self._cluster.force = force
        return self._work(order).everywhere(order, self._cluster.hosts_for(order.wish), group)

    def everywhere_plan(self, order: Order, *, force: bool = False) -> list[SyncResult]:
        """Say where a fan-out would go and what would be sent there; nothing is done."""
        self._cluster.force = force
        intake.refuse_a_copy(order, here=self._cluster.is_here(order.wish))
        hosts = self._cluster.hosts_for(order.wish)
        in_the_way = self._work(order).in_the_way(order, hosts)
        syncer = self._cluster.syncer() if order.sync and not self._cluster.is_here(order.wish) else None

        def plan(host: Host) -> SyncResult:
            if host.name in in_the_way:
                return SyncResult(host.name, ok=False, failure=in_the_way[host.name])
            return syncer.would_send(host, isolate=order.isolate) if syncer else SyncResult(host.name, ok=True)

        return fanout.in_order(hosts, plan, jobs=self._cluster.settings.jobs)

    def spread(self, orders: Sequence[Order], group: GroupOptions, *, force: bool = False) -> GroupResult:
        """Carry out different orders, each on the host that suits it best, as hosts have room."""
        self._cluster.force = force
        for order in orders:
            self._cluster.check(order.wish)
        return self._work(orders[0]).spread(orders, group)

    def leave(self, orders: Sequence[Order], words: Sequence[str], *, force: bool = False) -> tuple[str, list[str]]:
        """Have different orders carried out in the background; gives back the group's id, and theirs.

        What has room is started, and the rest as hosts have room, by a process that outlives this one. `words` are
        what it is told beside the group's id (`inv resume`).
        """
        self._cluster.force = force
        for order in orders:
            self._cluster.check(order.wish)
        work = self._work(orders[0])
        if orders[0].sync and not self._cluster.is_here(orders[0].wish):
            self._cluster.syncer()  # a project that must not be sent is refused now
        group_id, run_ids = work.leave(orders)
        if len(self._cluster.journal.ledger().runs(group_id=group_id)) < len(run_ids):
            text = "the ledger did not take it, so a process in the background would not know what to do"
            raise TryAgainError(text, "look at its disk, or go without --detach")
        pid = background.start(
            ["resume", group_id, *words],
            orders[0].env,
            cwd=self._cluster.around.cwd,
            log=self._cluster.around.state_dir / "groups" / f"{group_id}.log",
        )
        self._cluster.journal.hand_over(run_ids, pid)
        return group_id, run_ids

    def retry(self, orders: Sequence[Order], project: Path, group: GroupOptions) -> GroupResult:
        """Carry out orders of an earlier group again, as a new one: those with a host of their own there."""
        self._cluster.change_to(project)
        for order in orders:
            self._cluster.check(order.wish)
        work = self._work(orders[0])
        if self.are_pinned(orders) and not self._cluster.is_here(orders[0].wish):
            hosts = [self._cluster.chooser.hosts(order.wish)[0] for order in orders]
            return work.pinned(orders, hosts, group)
        return work.spread(orders, group)

    @contextmanager
    def once_at_a_time(self, rows: Sequence[RunRow]) -> Iterator[None]:
        """Keep others from running the same runs again meanwhile. TryAgainError if one of them is run again already."""
        self._check_not_under_way(rows)
        names = {row.group_id or row.run_id for row in rows}
        text = f"another process is about to run again what is asked for of {', '.join(sorted(names))}"
        busy = TryAgainError(text, "see what it starts: inv runs")
        with locks.held_all(self._cluster.around.state_dir / "locks", names, busy):
            self._check_not_under_way(rows)
            yield

    def _check_not_under_way(self, rows: Sequence[RunRow]) -> None:
        history = self._cluster.history
        known = self._cluster.journal.ledger().runs(states=[state for state in RunState if not state.is_final])
        begun = again.under_way(rows, known)
        for one in again.under_way(rows, [seen.row for seen in history.refresh(begun, tell=False)]):
            text = f"run {one.run_id} is running one of them again"
            raise TryAgainError(text, f"wait for it: inv wait {one.group_id or one.run_id}")

    @staticmethod
    def are_pinned(orders: Sequence[Order]) -> bool:
        """Whether each order of an earlier group has a host of its own, as in a fan-out."""
        return all(order.wish.hosts == (order.label,) for order in orders)

    def resume(
        self, group_id: str, orders: Sequence[Order], run_ids: Sequence[str], project: Path, group: GroupOptions
    ) -> GroupResult:
        """Carry out the orders of a group that were not begun, under the ids they have."""
        self._cluster.change_to(project)
        return self._work(orders[0]).take_over(group_id, orders, run_ids, group)

    def _work(self, order: Order) -> GroupWork:
        intake.refuse_a_copy(order, here=self._cluster.is_here(order.wish))
        here = self._cluster.is_here(order.wish)
        chooser = self._cluster.local_chooser if here else self._cluster.chooser
        return GroupWork(self._cluster.means(sync=order.sync, here=here), chooser, self._cluster.look_here)
