"""The workspaces on hosts: say what there is, and take away copies of projects (`--isolate`) that nobody needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dgummy import copyrules, fanout, remote
from dgummy.chooser import Wish
from dgummy.copyrules import Workspace
from dgummy.events import Notice
from dgummy.ledger_rows import new_run_id
from dgummy.model import LOCAL_HOST, Failure, FailureKind, Host
from dgummy.transport.base import Answer, Limits
from dgummy.units import format_bytes, format_duration
from dgummy.workspaces import LEASE_S

if TYPE_CHECKING:
    from dgummy.cluster import Cluster

_FILES = ("start", "sync", "workspace", "isolate")
_BATCH = 50
"""How many copies one script removes."""

_MOST_MEASURING_S = 10
"""So long a host may add up the sizes of its workspaces."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The workspaces on each host that answered, and the hosts that did not."""

    hosts: Mapping[str, Sequence[Workspace]]
    silent: Mapping[str, Failure]


@dataclass(frozen=True, slots=True)
class Gone:
    """A copy that was removed, or with `dry` would be. size_bytes: None if that took too long to find out."""

    host: str
    copy: Workspace
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that is old enough to go and stays."""

    host: str
    copy: Workspace
    reason: str

    @property
    def is_work(self) -> bool:
        """Whether it stays for the work that is in it."""
        return self.reason == copyrules.UNCOLLECTED

    @property
    def is_trouble(self) -> bool:
        """Whether it should have gone, and could not."""
        return self.reason not in (copyrules.UNCOLLECTED, copyrules.IN_USE, copyrules.YOUNG, copyrules.NO_AGE)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What became of the copies, and the hosts that did not answer."""

    dry: bool
    removed: Sequence[Gone]
    kept: Sequence[Kept]
    silent: Mapping[str, Failure]


class Copies:
    """Looks after the workspaces on the hosts of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._settings = cluster.settings
        self._access = cluster.history.access

    def look(self, wish: Wish, *, project: bool = False, sizes: bool = True) -> Listing:
        """Every workspace on the hosts of a wish (on all that were offered, if it names none), all hosts at once.

        `project`: only those of the current project. `sizes`: measure them, as far as there is time.
        """
        hosts = self._hosts(wish)
        folders = {host.name: self._folder(host) for host in hosts} if project else {}
        found: dict[str, Sequence[Workspace]] = {}
        silent: dict[str, Failure] = {}

        def ask(host: Host) -> Sequence[Workspace] | Failure:
            return self._ask(host, folders.get(host.name), sizes=sizes)

        for host, told in zip(hosts, fanout.in_order(hosts, ask, jobs=self._settings.jobs), strict=True):
            if isinstance(told, Failure):
                silent[host.name] = told
            else:
                found[host.name] = told
        return Listing(found, silent)

    def clean(
        self,
        wish: Wish,
        older_s: float,
        *,
        dry: bool = False,
        collect: Callable[[str, Workspace], bool] | None = None,
    ) -> Cleaned:
        """Remove copies that were unused for `older_s` (0: whatever their age), are free and hold no work.

        `collect` is given the host and the copy of each that is kept for its work, before anything is removed. It
        brings that home and says whether it could; such a copy then goes like the others.
        """
        listing = self.look(wish, sizes=dry)
        doomed: dict[str, list[Workspace]] = {}
        kept: list[Kept] = []
        for host, found in listing.hosts.items():
            for copy in found:
                why = copyrules.why_kept(copy, older_s) if copy.is_copy else copyrules.YOUNG
                if why == copyrules.UNCOLLECTED and collect is not None and not dry and collect(host, copy):
                    why = ""
                if not why:
                    doomed.setdefault(host, []).append(copy)
                elif why != copyrules.YOUNG:
                    kept.append(Kept(host, copy, why))
        if dry:
            going = [Gone(host, copy, copy.size_bytes) for host, copies in doomed.items() for copy in copies]
            return Cleaned(True, going, kept, listing.silent)
        removed: list[Gone] = []
        silent = dict(listing.silent)
        for (host, _), (gone, stay, failure) in fanout.each(
            list(doomed.items()), lambda asked: self._remove(*asked, older_s), jobs=self._settings.jobs
        ):
            removed += gone
            kept += stay
            if failure is not None:
                silent[host] = failure
        return Cleaned(False, removed, kept, silent)

    def _hosts(self, wish: Wish) -> tuple[Host, ...]:
        if not wish.hosts and wish.group is None and not self._cluster.is_here(wish):
            wish = replace(wish, hosts=tuple(self._cluster.inventory.hosts))
        return self._cluster.hosts_for(wish)

    def _folder(self, host: Host) -> str:
        return str(self._cluster.project.root) if host.name == LOCAL_HOST else self._cluster.remote_dir(host)

    def _ask(self, host: Host, folder: str | None, *, sizes: bool) -> Sequence[Workspace] | Failure:
        script_s = self._settings.timeouts.script_s
        budget_s = max(1, min(_MOST_MEASURING_S, int(script_s / 2))) if sizes else 0
        args = [str(LEASE_S), str(budget_s), *([folder] if folder is not None else [])]
        answer = self._call(host, "list_workspaces", args, Limits(total_s=script_s))
        return answer if isinstance(answer, Failure) else copyrules.read_workspaces(answer.facts)

    def _remove(
        self, name: str, copies: Sequence[Workspace], older_s: float
    ) -> tuple[list[Gone], list[Kept], Failure | None]:
        """Remove copies on one host, which looks at each again once nobody else can have it."""
        (host,) = self._cluster.hosts_for(Wish(hosts=(name,)))
        token = new_run_id(self._access.now())
        limits = Limits(total_s=None, idle_s=self._settings.timeouts.script_s)
        gone: list[Gone] = []
        stay: list[Kept] = []
        for at in range(0, len(copies), _BATCH):
            batch = {copy.folder: copy for copy in copies[at : at + _BATCH]}
            args = [str(int(older_s)), token, self._access.owner, str(LEASE_S), *batch]
            answer = self._call(host, "remove_copies", args, limits)
            if isinstance(answer, Failure):
                return gone, stay, answer
            removed, kept = copyrules.read_removals(answer.facts)
            gone += [Gone(name, batch[folder], size) for folder, size in removed.items() if folder in batch]
            stay += [Kept(name, batch[folder], why) for folder, why in kept.items() if folder in batch]
        for one in gone:
            self._access.emit(Notice(f"removed {one.copy.folder}{_details(one)}", host=name))
        return gone, stay, None

    def _call(self, host: Host, function: str, args: Sequence[str], limits: Limits) -> Answer | Failure:
        script = remote.compose(_FILES, function, args, variables={"DG_ROOT": host.probe_root})
        answer = self._access.ask(host, script, limits)
        if isinstance(answer, Answer) and answer.exit_status:
            return Failure(FailureKind.SHELL, answer.noise or f"status {answer.exit_status}")
        return answer


def _details(one: Gone) -> str:
    size = "" if one.size_bytes is None else f" ({format_bytes(one.size_bytes)})"
    if one.copy.abandoned:
        return f"{size}: its run never began"
    return size if one.copy.unused_s is None else f"{size}: unused for {format_duration(one.copy.unused_s)}"
