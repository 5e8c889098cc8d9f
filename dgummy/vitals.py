"""What `remote/doctor.sh` told of a host, made into a record. Pure.

Everything in it is foreign text: bounded, and of the shape that is expected or not there at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

import msgspec

from dgummy import probe
from dgummy.transport.framing import Fact
from dgummy.transport.plaintext import printable

MAX_FACTS = 2000
_RUN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NUMBER = re.compile(r"[0-9]{1,12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_PLACES = ("plain", "login", "elsewhere")


class Program(msgspec.Struct, frozen=True):
    """Where a program is: on the PATH of a bare session, on that of runs, in a usual place on neither; "" for not."""

    plain: str = ""
    login: str = ""
    elsewhere: str = ""


class Version(msgspec.Struct, frozen=True):
    """What `--version` said first, and the exit status."""

    status: int
    text: str


class Vitals(msgspec.Struct, frozen=True):
    """A host as it told of itself. Paths as it wrote them; `ages` in seconds; None for what it did not tell.

    clock_s: its epoch seconds. login_told: whether the login shell told its PATH, in login_s. state_error: why the
    folder for runs cannot be used, "" if it can; state_mode as `ls` writes it. agent_login: how the agent's CLI logs
    in, and with what.
    """

    clock_s: int | None = None
    system: str = ""
    shell: str = ""
    path: tuple[str, ...] = ()
    login_path: tuple[str, ...] = ()
    login_told: bool = False
    login_s: int = 0
    state_mode: str = ""
    state_error: str = ""
    disk_free_bytes: int | None = None
    installer: str = ""
    programs: dict[str, Program] = {}
    versions: dict[str, Version] = {}
    agent_login: tuple[str, str] = ("", "")
    uncollected: dict[str, int] = {}
    stale_locks: tuple[str, ...] = ()
    old_runs: int = 0
    old_copies: int = 0
    temporary: int = 0


def read(facts: Iterable[Fact]) -> Vitals:
    """Read the facts of a check-up. ValueError if the answer was cut off."""
    told: dict[str, list[str]] = {}
    for fact in islice(facts, MAX_FACTS):
        told.setdefault(fact.name, []).append(fact.value)
    if "doctor-end" not in told:
        raise ValueError("the answer broke off")

    def first(name: str) -> str:
        return told.get(name, [""])[0]

    state, _, detail = first("state").partition(" ")
    login, _, took = first("login").partition(" ")
    how, _, with_what = first("agent-login").partition(" ")
    runs = [line.split()[:2] for line in told.get("uncollected", [])]
    return Vitals(
        clock_s=_number(first("clock")),
        system=printable(first("uname").partition(" ")[0])[:40].lower(),
        shell=printable(first("shell"))[:200],
        path=_folders(first("path")),
        login_path=_folders(first("login-path")),
        login_told=login == "yes",
        login_s=_number(took) or 0,
        state_mode=printable(detail)[:20] if state == "ok" else "",
        state_error="" if state == "ok" else _complaint(detail) or "it did not say whether it can be used",
        disk_free_bytes=probe.disk_free_bytes(first("df")),
        installer=first("installer") if _NAME.fullmatch(first("installer")) else "",
        programs=_programs(told.get("at", [])),
        versions=_versions(told.get("version", [])),
        agent_login=(printable(how)[:20], printable(with_what)[:200]),
        uncollected={run[0]: _number(run[1]) or 0 for run in runs if len(run) == 2 and _RUN.fullmatch(run[0])},
        stale_locks=tuple(run for run in told.get("stale-lock", []) if _RUN.fullmatch(run)),
        old_runs=_number(first("old-runs")) or 0,
        old_copies=_number(first("old-copies")) or 0,
        temporary=_number(first("temporary")) or 0,
    )


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _complaint(text: str) -> str:
    """What a program complains of, without its name and what it was at: `Permission denied`."""
    return printable(text).rpartition(": ")[2][:200]


def _folders(path: str) -> tuple[str, ...]:
    return tuple(printable(folder) for folder in path[:16_000].split(":") if folder.startswith("/"))


def _programs(lines: Iterable[str]) -> dict[str, Program]:
    found: dict[str, dict[str, str]] = {}
    for line in lines:
        place, name, path = (*line.split(" ", 2), "", "")[:3]
        if place in _PLACES and _NAME.fullmatch(name) and path.startswith("/"):
            found.setdefault(name, {}).setdefault(place, printable(path)[:500])
    return {name: Program(**places) for name, places in found.items()}


def _versions(lines: Iterable[str]) -> dict[str, Version]:
    found = {}
    for line in lines:
        name, status, text = (*line.split(" ", 2), "", "")[:3]
        if _NAME.fullmatch(name) and _NUMBER.fullmatch(status):
            found[name] = Version(int(status), printable(text)[:100])
    return found
