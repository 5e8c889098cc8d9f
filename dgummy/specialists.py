"""Specialists: agents with a memory, as gummy keeps them in files. Pure: facts in, records out.

`meta.yaml` is flat: name, created, session_id, status, turns, last_active; null where there is nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dgummy.transport.framing import Fact

STATUSES = ("new", "active", "dormant")


@dataclass(frozen=True, slots=True)
class Specialist:
    """One specialist. `sessions` is what gummy calls turns; `project` is its folder there, "" for a global one."""

    name: str
    scope: str
    project: str = ""
    status: str = "unknown"
    sessions: int | None = None
    session_id: str | None = None
    last_active: str | None = None


def parse(facts: Iterable[Fact]) -> tuple[Specialist, ...]:
    """Read the facts of `list_specialists` (remote/specialists.sh). What makes no sense is left unknown."""
    found: list[tuple[str, str, dict[str, str]]] = []
    for fact in facts:
        if fact.name == "specialist":
            scope, _, folder = fact.value.partition(" ")
            found.append((scope, folder, {}))
        elif fact.name == "meta" and found:
            key, colon, value = fact.value.partition(":")
            if colon:
                found[-1][2].setdefault(key.strip(), value.strip())
    return tuple(_specialist(scope, folder, meta) for scope, folder, meta in found)


def _specialist(scope: str, folder: str, meta: dict[str, str]) -> Specialist:
    turns = meta.get("turns", "")
    status = meta.get("status", "")
    return Specialist(
        name=folder.rpartition("/")[2],
        scope=scope,
        project="" if scope == "global" else folder.removesuffix(f"/.gummy/specialists/{folder.rpartition('/')[2]}"),
        status=status if status in STATUSES else "unknown",
        sessions=int(turns) if turns.isascii() and turns.isdigit() and len(turns) < 10 else None,
        session_id=_known(meta.get("session_id")),
        last_active=_known(meta.get("last_active")),
    )


def _known(value: str | None) -> str | None:
    return None if value in (None, "", "null", "~") else value
