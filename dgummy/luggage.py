"""Bring to this machine all that is to come home of one run; what becomes of it here is `unpacking`."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dgummy import changes, ignoring, snapshot
from dgummy.asked import Asked
from dgummy.fileset import Excludes, fetch_patterns
from dgummy.gitcommand import GitError
from dgummy.harvest import Harvester, Look, TooLarge
from dgummy.ledger_rows import RunRow
from dgummy.model import LOCAL_HOST, Failure, Host
from dgummy.settings import DEFAULT_SYNC_EXCLUDE, Settings
from dgummy.syncplan import is_agents_memory, leads_out
from dgummy.units import format_count
from dgummy.work import Base, Brought, Changed, Kind, Skipped, decode_base

_NAMED = 100


@dataclass(frozen=True, slots=True)
class Luggage:
    """What was brought, as files in a scratch folder.

    missing: what was sent and is not there any more. aside: changed files that were sent although git ignores them.
    asked_for: what `--fetch` names. bundle, head: the agent's own commits, after `bases`. left: how many names stay
    because git ignores them.
    """

    base: Base
    changed: tuple[Brought, ...] = ()
    missing: tuple[bytes, ...] = ()
    aside: tuple[Brought, ...] = ()
    asked_for: tuple[Brought, ...] = ()
    reports: tuple[Brought, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()
    bundle: Path | None = None
    head: str = ""
    bases: tuple[str, ...] = ()
    left: int = 0


class Porter:
    """Carries what one run left on its host into `folder`."""

    def __init__(
        self,
        harvester: Harvester,
        settings: Settings,
        state_dir: Path,
        host: Host,
        row: RunRow,
        request: Asked,
        folder: Path,
    ) -> None:
        self._harvester = harvester
        self._settings = settings
        self._limits = settings.collect
        self._state_dir = state_dir
        self._host = host
        self._row = row
        self._request = request
        self._folder = folder
        self._base = decode_base(row.base) or Base()
        self._skipped: list[Skipped] = []
        self._notices: list[str] = []

    def carry(self, fetch: Sequence[str] = ()) -> Luggage | Failure:
        """Everything: changes, commits, reports, and what `fetch` asks for."""
        has_workspace = self._request.sync and self._host.name != LOCAL_HOST
        look = self._look() if has_workspace else None
        if isinstance(look, Failure):
            return look
        if look is None:
            self._notices.append("it ran without a sync: what it changed there is not known, and stays there")
            luggage: Luggage | Failure = Luggage(self._base)
        else:
            luggage = self._changes(look)
        for step in (self._with_reports, lambda found: self._with_files(found, fetch)):
            if isinstance(luggage, Failure):
                return luggage
            luggage = step(luggage)
        if isinstance(luggage, Failure):
            return luggage
        came = {one.path for one in luggage.asked_for}
        # A .gitignore was asked for twice: first for what it says.
        skipped = [one for one in dict.fromkeys(self._skipped) if one.is_work or one.path not in came]
        return replace(luggage, skipped=tuple(skipped), notices=tuple(self._notices))

    def reports(self) -> list[Brought] | Failure:
        """What the agent wrote for people."""
        if not self._request.mode:
            return []
        found = self._harvester.list_reports(self._host, self._row.run_id, self._request.mode, self._row.command)
        if isinstance(found, Failure):
            return found
        wanted, skipped = changes.limit(found.found, self._limits.max_bytes, self._limits.max_total_bytes)
        self._skipped += [replace(one, is_work=False) for one in skipped]
        brought = self._harvester.bring_reports(self._host, wanted, self._part("reports"))
        if isinstance(brought, Failure):
            return brought
        return [replace(one, path=one.path.rpartition(b"/")[2]) for one in brought]

    # -- changes -----------------------------------------------------------------------------------------------

    def _look(self) -> Look | Failure:
        return self._harvester.look(self._host, self._row.run_id, self._row.remote_dir)

    def _changes(self, look: Look) -> Luggage | Failure:
        self._skipped += look.sifted.skipped
        rules = self._rules(look)
        if isinstance(rules, Failure):
            return rules
        left = self._left([one.path for one in look.sifted.changed], rules)
        # Also where the run's .gitignore, or that of today, no longer names them: they never go into git.
        aside = frozenset(map(os.fsencode, self._base.extra))
        wanted = [one for one in look.sifted.changed if one.path not in left or one.path in aside]
        brought = self._bring(wanted, "changed")
        if isinstance(brought, Failure):
            return brought
        self._warn(brought)
        bundle = self._bundle(look)
        if isinstance(bundle, Failure):
            return bundle
        return Luggage(
            self._base,
            changed=tuple(one for one in brought if one.path not in aside),
            missing=tuple(name for name in look.sifted.missing if not is_agents_memory(name)),
            aside=tuple(one for one in brought if one.path in aside),
            bundle=bundle,
            head=look.own_git.head if look.own_git is not None and bundle is not None else "",
            bases=look.own_git.bases if look.own_git is not None else (),
            left=len(left - aside),
        )

    def _rules(self, look: Look) -> dict[bytes, str | None] | Failure:
        """The .gitignore files that the run changed, brought before the rest: they say what of that comes."""
        theirs = [one for one in look.sifted.changed if ignoring.is_rules(one.path) and one.kind is not Kind.LINK]
        brought = self._bring(theirs, "rules") if theirs else []
        if isinstance(brought, Failure):
            return brought
        gone = dict.fromkeys(name for name in look.sifted.missing if ignoring.is_rules(name))
        return {**gone, **{one.path: one.content for one in brought}}

    def _left(self, names: Sequence[bytes], rules: Mapping[bytes, str | None]) -> frozenset[bytes]:
        """Those of the names that stay there: not part of the project, as git and the settings see it."""
        patterns = self._settings.sync_exclude
        matcher = Excludes(DEFAULT_SYNC_EXCLUDE if patterns is None else patterns, "sync_exclude")
        memory = frozenset(name for name in names if is_agents_memory(name))
        root = Path(self._row.project)
        if not self._base.repositories:
            return memory | {name for name in names if matcher.match(name) is not None}
        store = snapshot.store_of(self._state_dir, root)
        try:

            def excluded(name: bytes) -> bool:
                return matcher.match(name) is not None

            found = ignoring.ignored(root, store, self._base, names, excluded, rules)
            if rules:
                self._name_let_in(ignoring.unnamed(root, store, self._base, found, rules), matcher)
        except GitError as error:
            self._notices.append(f"{error.message}: what git would ignore is brought home, too")
            return memory
        return memory | found

    def _name_let_in(self, names: Collection[bytes], matcher: Excludes) -> None:
        """Say what stays there although the run took it out of the .gitignore: a secret may be among it."""
        extra = frozenset(map(os.fsencode, self._base.extra))
        let_in = sorted(name for name in names if name not in extra and matcher.match(name) is None)
        reason = "git ignored it when the run began; --fetch brings it"
        self._skipped += [Skipped(name, reason, is_work=False) for name in let_in[:_NAMED]]
        if len(let_in) > _NAMED:
            self._notices.append(f"{len(let_in) - _NAMED} more names stay there that git ignored when the run began")

    def _bring(self, wanted: Sequence[Changed], part: str) -> list[Brought] | Failure:
        """Bring these as far as the limits allow; what is too large is named."""
        kept, skipped = changes.limit(wanted, self._limits.max_bytes, self._limits.max_total_bytes)
        self._skipped += skipped
        row = self._row
        return self._harvester.bring(self._host, row.run_id, row.remote_dir, kept, self._part(part))

    def _warn(self, brought: Sequence[Brought]) -> None:
        for one in brought:
            if one.kind is Kind.LINK:
                target = Path(one.content).read_bytes()
                if leads_out(one.path, target):
                    shown = (one.path + b" -> " + target).decode("utf-8", "replace")
                    self._notices.append(f"a link leads out of the project: {shown}")
        for group in changes.case_clashes(one.path for one in brought):
            shown = ", ".join(name.decode("utf-8", "replace") for name in group)
            self._notices.append(f"names that are one where case does not count (macOS, Windows): {shown}")

    def _bundle(self, look: Look) -> Path | Failure | None:
        """The commits of the run's own repository; None if there are none, or too much of them."""
        own = look.own_git
        if own is None:
            return None
        target, row, limit_bytes = self._folder / "bundle", self._row, self._limits.max_total_bytes
        failure: Failure | TooLarge | None = TooLarge()
        if (own.size_bytes or 0) <= limit_bytes:
            failure = self._harvester.bring_bundle(self._host, row.run_id, row.remote_dir, own, (), target, limit_bytes)
        if isinstance(failure, TooLarge):
            reason = f"its own {format_count(own.commits, 'commit')}: more than {changes.MAX_TOTAL_BYTES}"
            self._skipped.append(Skipped(b".git", reason, limit=changes.MAX_TOTAL_BYTES))
            return None
        return target if failure is None else failure

    # -- beside it ---------------------------------------------------------------------------------------------

    def _with_reports(self, luggage: Luggage) -> Luggage | Failure:
        found = self.reports()
        return found if isinstance(found, Failure) else replace(luggage, reports=tuple(found))

    def _with_files(self, luggage: Luggage, fetch: Sequence[str]) -> Luggage | Failure:
        row, wanted = self._row, dict[bytes, Changed]()
        for text, pattern in zip(fetch, fetch_patterns(fetch), strict=True):
            listed = self._harvester.list_below(self._host, row.run_id, row.remote_dir, pattern.start)
            if isinstance(listed, Failure):
                return listed
            found = {one.path: one for one in listed if pattern.matches(one.path)}
            if not found:
                self._notices.append(f"--fetch: nothing there matches {text!r}")
            wanted |= found
        before = len(self._skipped)
        brought = self._bring(list(wanted.values()), "asked-for")
        if isinstance(brought, Failure):
            return brought
        self._skipped[before:] = [replace(one, is_work=False) for one in self._skipped[before:]]
        return replace(luggage, asked_for=tuple(brought))

    def _part(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder
