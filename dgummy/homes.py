"""Where the specialist of a task lives, and whether the task goes there. Pure.

A specialist remembers by files on one host: those of a project in the project's folder there, global ones in the home
folder. The host where it was last at work is its home. A task goes home unless the home cannot take it, or is more
loaded than the best host by more than a margin: then its specialist begins elsewhere with less, and the reason says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dgummy.model import Failure, Memory
from dgummy.standing import Obstacle, Standing
from dgummy.units import format_count
from dgummy.views import Specialist, SpecialistState

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_ROUNDING = 1e-9


class Home(msgspec.Struct, frozen=True):
    """What was found out about where a specialist lives.

    `host` is its home, None if none was found. `sessions` maps each host where it remembers something to how often it
    was at work there. `unknown` are the hosts that did not tell.
    """

    specialist: str
    host: str | None = None
    sessions: Mapping[str, int | None] = {}
    unknown: frozenset[str] = frozenset()


def find_home(
    specialist: str,
    found: Mapping[str, Sequence[Specialist] | Failure],
    folders: Mapping[str, str],
    home_dirs: Mapping[str, str],
) -> Home:
    """Say where a specialist lives, by what each host told.

    `folders` has the project's folder on each host (`~/…` or absolute), `home_dirs` what `~` is there, where known. A
    project's specialist comes before a global one, then the one that was last at work, then the one with more sessions.
    """
    best: tuple[bool, str, int] | None = None
    host: str | None = None
    sessions: dict[str, int | None] = {}
    unknown = set()
    for name, told in found.items():
        if isinstance(told, Failure):
            unknown.add(name)
            continue
        mine = [one for one in told if one.name == specialist and _is_ours(one, folders.get(name), home_dirs.get(name))]
        if any(one.status is SpecialistState.UNREADABLE for one in mine):
            unknown.add(name)
            continue
        lived = [one for one in mine if one.session_id or one.sessions]
        if not lived:
            continue
        record = max(lived, key=_rank)
        sessions[name] = record.sessions
        if best is None or _rank(record) > best:
            best, host = _rank(record), name
    return Home(specialist, host, sessions, frozenset(unknown))


def resident(home: Home | None, judged: Iterable[Standing], margin: float) -> Standing | None:
    """The standing of the home, if the task should go there; None if it should go where there is most room.

    `margin` is how much worse the score of the home may be than the best one. A load that is not known is no reason to
    stay away.
    """
    if home is None or home.host is None:
        return None
    able = [standing for standing in judged if standing.obstacle is None]
    own = next((standing for standing in able if standing.name == home.host), None)
    if own is None or own.current is None:
        return own
    return own if own.current <= _best(able) + margin + _ROUNDING else None


def memory(home: Home, judged: Iterable[Standing], chosen: str, why_not: str = "") -> Memory:
    """Say what going to `chosen` means for a specialist. `why_not` is why it does not go home, if not for its load."""
    name, host = home.specialist, home.host
    if host is None:
        silent = ", ".join(sorted(home.unknown))
        reason = f"not known where {name} lives: {silent} did not tell" if silent else f"{name} has no memory yet"
        return Memory(name, None, reason)
    if chosen == host:
        count = home.sessions.get(host)
        sessions = "" if count is None else f" ({format_count(count, 'session')})"
        return Memory(name, host, f"{name} lives here{sessions}")
    where = f"{name} lives on {host}, {why_not or _why_not(host, list(judged))}"
    if chosen in home.sessions:
        return Memory(name, host, f"older memory: {where}")
    if chosen in home.unknown:
        return Memory(name, host, f"{where}; what it remembers on {chosen} is not known")
    return Memory(name, host, f"fresh memory: {where}")


def _why_not(host: str, judged: Sequence[Standing]) -> str:
    own = next((standing for standing in judged if standing.name == host), None)
    if own is None:
        return "which was not asked for"
    match own.obstacle:
        case Obstacle.UNREACHABLE:
            return f"which is {own.hindrance}"
        case Obstacle.BUSY:
            return f"whose {own.hindrance.replace('workspace', 'workspace is', 1)}"
        case Obstacle.EXCLUDED:
            return f"which could not take it ({own.hindrance.removeprefix('excluded: ')})"
        case Obstacle.REQUIREMENT:
            return f"which {own.hindrance}"
        case Obstacle.NO_SYNC:
            return f"which could not take it ({own.hindrance})"
    best = _best([standing for standing in judged if standing.obstacle is None])
    if own.current is None or own.current <= best:
        return "which was not asked for"
    return f"which is too busy ({own.current:.2f} against {best:.2f})"


def _best(able: Iterable[Standing]) -> float:
    return min((standing.current for standing in able if standing.current is not None), default=float("inf"))


def _is_ours(record: Specialist, folder: str | None, home_dir: str | None) -> bool:
    """Whether a record is of this project, or of every project."""
    if record.scope == "global":
        return True
    if not folder or not record.project:
        return False
    here = record.project.rstrip("/")
    if not folder.startswith("~/"):
        return here == folder.rstrip("/")
    if home_dir:
        return here == home_dir.rstrip("/") + folder[1:].rstrip("/")
    return here.endswith(folder[1:].rstrip("/"))


def _rank(record: Specialist) -> tuple[bool, str, int]:
    at = record.last_active or ""
    return record.scope != "global", at if _TIME.fullmatch(at) else "", record.sessions or 0
