"""Specialists: agents with a memory, as gummy keeps them in files. Pure: what a host told goes in, records come out.

`meta.yaml` is flat: name, created, session_id, status, turns, last_active; null where there is nothing yet. Gummy
writes plain words there, so it is read as lines of `key: value`. Whatever else YAML can say (aliases, tags, nested
values) is nothing that gummy wrote, and makes a specialist unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from dgummy.views import Specialist, SpecialistState

RECENT_S = 30.0
"""What was written to so lately counts as alive: gummy itself draws the line there."""

_CLAIMS = {
    "new": SpecialistState.NEW,
    "active": SpecialistState.ACTIVE,
    "dormant": SpecialistState.DORMANT,
}
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}")
_SPECIAL = ("&", "*", "!", "|", ">", "{", "[", "%", "@", "`")
_SESSION = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Signs:
    """What else is known of a specialist: whether it is alive, and whether its last answer was an error."""

    alive: bool = False
    failed: bool = False


def place(folder: str, home: str) -> tuple[str, str, str]:
    """Name, scope and project of the specialist in a folder: `HOME/.gummy/specialists/NAME` is global."""
    project, _, name = folder.rpartition("/.gummy/specialists/")
    return (name, "global", "") if project == home else (name, "project", project)


def unreadable(folder: str, home: str, reason: str) -> Specialist:
    """A specialist of which nothing but its folder is known."""
    name, scope, project = place(folder, home)
    return Specialist(name, scope, project, SpecialistState.UNREADABLE, reason=reason)


def read(folder: str, home: str, lines: Sequence[str]) -> Specialist:
    """Read the lines of its meta.yaml. The status is what it claims; see `judged`."""
    meta: dict[str, str] = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#") or line.strip() == "---":
            continue
        key, colon, value = line.partition(":")
        value = value.strip()
        if not colon or not _KEY.fullmatch(key) or value.startswith(_SPECIAL):
            return unreadable(folder, home, f"meta.yaml has a line that gummy does not write: {line[:60]}")
        meta.setdefault(key, value.strip("\"'"))
    name, scope, project = place(folder, home)
    claim = _CLAIMS.get(meta.get("status", ""))
    if claim is None:
        said = meta.get("status")
        return unreadable(folder, home, f"its status is {said[:40]!r}" if said else "meta.yaml tells no status")
    session = _known(meta.get("session_id"))
    return Specialist(
        name,
        scope,
        project,
        claim,
        sessions=_count(meta.get("turns", "")),
        session_id=session if session and _SESSION.fullmatch(session) else None,
        last_active=_known(meta.get("last_active")),
    )


def judged(claim: SpecialistState, signs: Signs) -> SpecialistState:
    """The state of a specialist by what it claims and what else is known of it."""
    if claim is SpecialistState.ACTIVE and not signs.alive:
        return SpecialistState.FAILED if signs.failed else SpecialistState.STOPPED
    if claim is SpecialistState.DORMANT and signs.failed:
        return SpecialistState.FAILED
    return claim


def was_active_since(specialist: Specialist, since: datetime) -> bool:
    """Whether it may have done something since then: True where it does not tell when it was active last."""
    if specialist.status is SpecialistState.ACTIVE:
        return True
    if specialist.status is SpecialistState.NEW or specialist.sessions == 0:
        return False
    if specialist.last_active is None:
        return True
    try:
        last = datetime.fromisoformat(specialist.last_active.replace("Z", "+00:00"))
    except ValueError:
        return True
    return (last if last.tzinfo else last.replace(tzinfo=timezone.utc)) >= since


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _known(value: str | None) -> str | None:
    return None if value in (None, "", "null", "~") else value
