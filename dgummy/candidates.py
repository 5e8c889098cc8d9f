"""The values that a shell offers: hosts and groups from the settings, runs from the ledger. No network, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgummy.completing import SHELLS, Kind
from dgummy.render.text import one_line

if TYPE_CHECKING:
    from dgummy.app import App
    from dgummy.recent import RecentRun

_MAX_LENGTH = 200
_ABOUT_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may be taken, and what it is in a few words."""

    value: str
    about: str = ""

    @property
    def is_offered(self) -> bool:
        """Whether it can be shown as it is, and means on a command line what it says."""
        value = self.value
        return value.isprintable() and 0 < len(value) <= _MAX_LENGTH and bool(value.strip())

    def line(self, prefix: str = "") -> str:
        """The value, a tab, what it is."""
        about = one_line(self.about, _ABOUT_WIDTH)
        return f"{prefix}{self.value}\t{about}" if about else f"{prefix}{self.value}"


def values(kind: Kind, app: App) -> list[Candidate]:
    """What there is of a kind, in the order in which it is best offered."""
    return [one for one in _SOURCES[kind](app) if one.is_offered and not one.value.startswith("-")]


def _hosts(app: App) -> Iterable[Candidate]:
    groups = app.inventory.groups
    for name in app.inventory.hosts:
        yield Candidate(name, ", ".join(group for group, members in groups.items() if name in members))
    yield Candidate("local", "this machine")


def _groups(app: App) -> Iterable[Candidate]:
    return (Candidate(name, ", ".join(members)) for name, members in app.inventory.groups.items())


def _types(app: App) -> Iterable[Candidate]:
    from dgummy.routing import TASK_TYPES

    names = dict.fromkeys((*TASK_TYPES, *app.settings.task_types))
    known = {name: kind.criterion for name, kind in TASK_TYPES.items()}
    return (Candidate(name, known.get(name, "")) for name in names)


def _suites(app: App) -> Iterable[Candidate]:
    return (Candidate(name, ", ".join(jobs)) for name, jobs in app.settings.suites.items())


def _runs(app: App) -> Iterable[Candidate]:
    runs = _recent(app)
    if runs:
        yield Candidate("last", "the newest run")
    yield from map(_run, runs)
    yield from _groups_of(runs)


def _alive_runs(app: App) -> Iterable[Candidate]:
    alive = [run for run in _recent(app) if run.may_be_alive]
    return [*map(_run, alive), *_groups_of(alive)]


def _run_groups(app: App) -> Iterable[Candidate]:
    groups = _groups_of(_recent(app))
    return [Candidate("last", "the newest group"), *groups] if groups else []


def _recent(app: App) -> list[RecentRun]:
    from dgummy.recent import recent_runs

    return recent_runs(app.state_dir / "runs.db")


def _run(run: RecentRun) -> Candidate:
    return Candidate(run.run_id, " ".join(filter(None, (run.state, run.host, run.label or run.command))))


def _groups_of(runs: list[RecentRun]) -> list[Candidate]:
    ids = dict.fromkeys(run.group_id for run in runs if run.group_id)
    found = {group: [run.label or run.host for run in runs if run.group_id == group] for group in ids}
    return [Candidate(group, f"group: {', '.join(reversed(labels))}") for group, labels in found.items()]


def _plain(*names: str) -> list[Candidate]:
    return [Candidate(name) for name in names]


def _states(_app: App) -> Iterable[Candidate]:
    from dgummy.model import RunState

    return _plain(*(state.value for state in RunState))


def _specialists(_app: App) -> Iterable[Candidate]:
    from dgummy.routing import SPECIALISTS

    return _plain(*SPECIALISTS)


def _modes(_app: App) -> Iterable[Candidate]:
    from dgummy.agents import MODES

    return _plain(*MODES)


def _sorts(_app: App) -> Iterable[Candidate]:
    from dgummy.views import SORTS

    return _plain(*SORTS)


def _functions(_app: App) -> Iterable[Candidate]:
    from dgummy.skill import FUNCTIONS

    return _plain(*FUNCTIONS)


_SOURCES: Mapping[Kind, Callable[[App], Iterable[Candidate]]] = {
    Kind.HOST: _hosts,
    Kind.GROUP: _groups,
    Kind.TYPE: _types,
    Kind.SUITE: _suites,
    Kind.RUN: _runs,
    Kind.ALIVE_RUN: _alive_runs,
    Kind.RUN_GROUP: _run_groups,
    Kind.STATE: _states,
    Kind.SPECIALIST: _specialists,
    Kind.MODE: _modes,
    Kind.SORT: _sorts,
    Kind.FUNCTION: _functions,
    Kind.BACKEND: lambda _: _plain("auto", "d", "ssh", "local"),
    Kind.FALLBACK: lambda _: _plain("local", "none"),
    Kind.SHELL: lambda _: _plain(*SHELLS),
}
