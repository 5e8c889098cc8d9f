"""What a specialist that is to move consists of, whether it may, and whether it arrived. Pure: facts in, words out.

See remote/move.sh for the facts. Texts from hosts are as they came: whoever shows them makes them safe.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dgummy.agents import AGENT_CLI
from dgummy.errors import DgummyError, ExitCode, NoHostError, TryAgainError, UsageError
from dgummy.model import Failure
from dgummy.transport.framing import Fact
from dgummy.units import format_bytes, format_count

MAX_BYTES = 50_000_000
MAX_FILES = 300
TRANSCRIPT = "transcript/"

_SESSION = re.compile(r"[A-Za-z0-9_-]{1,100}")
_NONE = ("", "null", "~")


@dataclass(frozen=True, slots=True)
class Item:
    """A file: `memory/NAME` in its folder, or `transcript/FOLDER`; by cksum and size."""

    name: str
    cksum: str
    size: int

    @property
    def line(self) -> str:
        """As list_files (remote/move.sh) writes it."""
        return f"{self.cksum} {self.size} {self.name}"


@dataclass(frozen=True, slots=True)
class Look:
    """What one host says of a specialist, or of the place for it. `trouble` is why there is no such place.

    `uncollected` says whose work lies in the project there and is not brought home (`refusals`), "" for nobody's.
    """

    trouble: str = ""
    place: str = ""
    home: str = ""
    busy: str = ""
    uncollected: str = ""
    here: bool = False
    meta: Mapping[str, str] = field(default_factory=dict)
    session_txt: str = ""
    odd: tuple[str, ...] = ()
    large: str = ""
    memory: tuple[Item, ...] = ()
    transcripts: tuple[Item, ...] = ()
    speaking: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()

    @property
    def session(self) -> str:
        """What it remembers by, "" before its first time."""
        return next((one for one in (self.session_txt, self.meta.get("session_id", "")) if one not in _NONE), "")


@dataclass(frozen=True, slots=True)
class Proof:
    """What is certain of a specialist that arrived, and what is not, each with why."""

    proven: tuple[str, ...]
    unproven: tuple[tuple[str, str], ...]
    missing: str = ""


def read_look(facts: Iterable[Fact]) -> Look:
    """Read the facts of `tell_specialist`."""
    last: dict[str, str] = {}
    every: dict[str, list[str]] = {}
    for fact in facts:
        last[fact.name] = fact.value
        every.setdefault(fact.name, []).append(fact.value)
    meta: dict[str, str] = {}
    for line in every.get("meta", ()):
        key, colon, value = line.partition(":")
        if colon:
            meta.setdefault(key.strip(), value.strip())
    items = read_items(every.get("file", ()))
    return Look(
        trouble=last.get("trouble", ""),
        place=last.get("place", ""),
        home=last.get("home", ""),
        busy=last.get("busy", ""),
        uncollected=last.get("uncollected", ""),
        here="here" in last,
        meta=meta,
        session_txt=last.get("session-txt", "").strip(),
        odd=tuple(every.get("odd", ())),
        large=last.get("large", ""),
        memory=tuple(item for item in items if not item.name.startswith(TRANSCRIPT)),
        transcripts=tuple(item for item in items if item.name.startswith(TRANSCRIPT)),
        speaking=frozenset(every.get("speaks", ())),
        tools=frozenset(every.get("tool", ())),
    )


def read_items(lines: Iterable[str]) -> tuple[Item, ...]:
    """Read `CKSUM SIZE ITEM` lines. What is none is left out."""
    items = []
    for line in lines:
        cksum, _, rest = line.partition(" ")
        size, _, name = rest.partition(" ")
        if cksum.isdigit() and size.isdigit() and name:
            items.append(Item(name, cksum, int(size)))
    return tuple(items)


# -- which one ---------------------------------------------------------------------------------------------------------


def check_name(name: str) -> None:
    """UsageError for what cannot be a specialist's name."""
    if not name.strip():
        raise UsageError("there is no name", "for example: inv specialists.move database-expert --to node-2")
    if "/" in name or name.startswith(".") or not name.isprintable():
        raise UsageError(f"{name!a} cannot be the name of a specialist", "give its name as inv specialists shows it")


def choose_source(
    name: str, found: Mapping[str, frozenset[str] | Failure], to: str, source: str | None, *, project: bool
) -> tuple[str, str]:
    """The host and the scope of the one that is to move; the host is `to` if it is there already.

    `found` has the scopes in which each host that was asked has it. UsageError if there is none, or several.
    """
    told = {host: scopes for host, scopes in found.items() if not isinstance(scopes, Failure)}
    wanted = {"project"} if project else {"project", "global"}
    lives = [(host, scope) for host, scopes in told.items() for scope in sorted(scopes & wanted, reverse=True)]
    away = [(host, scope) for host, scope in lives if host != to and source in (None, host)]
    if len(away) == 1:
        return away[0]
    if not away:
        there = [(host, scope) for host, scope in lives if host == to]
        if there:
            return there[0]
        asked = ", ".join(told if source is None else [source])
        silent = [f"{host} did not answer ({why})" for host, why in found.items() if isinstance(why, Failure)]
        what = "specialist of this project" if project else "specialist"
        message = "; ".join([f"there is no {what} called {name} on {asked or 'any host'}", *silent])
        raise UsageError(message, "inv specialists lists those that there are")
    homes = ", ".join(f"{host} ({scope})" for host, scope in away)
    narrower = "--project for the project's" if len({host for host, _ in away}) == 1 else "--from HOST"
    raise UsageError(f"there are several called {name}: {homes}", f"say which one is to move: {narrower}")


# -- whether it may ----------------------------------------------------------------------------------------------------


def check_source(name: str, host: str, look: Look, *, force: bool) -> None:
    """Refuse to carry away what is in use, or cannot be carried whole."""
    on = f"{name} on {host}"
    if look.trouble:
        raise TryAgainError(f"{on}: {_trouble(look.trouble)}", "put folders there in place of links")
    if not look.here:
        raise TryAgainError(f"{on} is not there any more", "look where it is: inv specialists")
    if not force and look.busy:
        raise TryAgainError(
            f"run {look.busy} is at work in its project on {host}",
            "wait for it, or add --force",
        )
    if not force and look.meta.get("status") == "active":
        since = look.meta.get("last_active", "")
        told = f" since {since}" if since not in _NONE else ""
        raise TryAgainError(
            f"{on} is active{told}", "wait until it is done; if it was interrupted and nothing runs, add --force"
        )
    if look.large:
        size, _, count = look.large.partition(" ")
        limit = f"at most {format_bytes(MAX_BYTES)} and {format_count(MAX_FILES, 'file')} are carried"
        raise DgummyError(
            f"{on} holds {format_bytes(int(size or 0))} in {format_count(int(count or 0), 'file')}; {limit}",
            "copy it by hand (rsync -a), or let it begin anew on the other host",
            code=ExitCode.SOME_FAILED,
        )
    if look.odd:
        raise DgummyError(
            f"{on} holds what cannot be carried: {', '.join(look.odd)}",
            "links are not followed; put files in their place",
            code=ExitCode.SOME_FAILED,
        )
    _check_session(on, look)


def _check_session(on: str, look: Look) -> None:
    meta = look.meta.get("session_id", "")
    session = look.session
    if session and not _SESSION.fullmatch(session):
        raise DgummyError(f"{on}: its session id {session} is none", "look at its meta.yaml", code=ExitCode.SOME_FAILED)
    if look.session_txt and meta not in _NONE and look.session_txt != meta:
        raise DgummyError(
            f"{on}: meta.yaml says session {meta}, session.txt {look.session_txt}: which one it is cannot be told",
            "make them the same there, then move it",
            code=ExitCode.SOME_FAILED,
        )
    if session and not look.transcripts:
        raise DgummyError(
            f"{on}: session {session} has no transcript in ~/.claude/projects there: it could not be resumed anywhere",
            "give it a task there, or let it begin anew on the other host",
            code=ExitCode.SOME_FAILED,
        )


def check_target(name: str, host: str, look: Look, tool: str, install: str, *, force: bool) -> None:
    """Refuse a host that has no place for it, or could do nothing with it."""
    if look.trouble.startswith("absent "):
        raise TryAgainError(
            f"there is no {look.trouble.removeprefix('absent ')} on {host}",
            f"bring the project there first: inv sync --host {host}",
        )
    if look.trouble:
        raise TryAgainError(f"{name} on {host}: {_trouble(look.trouble)}", "put folders there in place of links")
    if look.busy and not force:
        raise TryAgainError(f"run {look.busy} is at work in the project on {host}", "wait for it, or add --force")
    if tool not in look.tools and not force:
        raise NoHostError(f"{host} lacks {tool}: nobody would resume it there", f"install it there: {install}")


def _trouble(text: str) -> str:
    what, _, path = text.partition(" ")
    return {"linked": f"{path} is a link", "absent": f"there is no folder {path}"}.get(what, text)


def folders_for(source: Look, target: Look) -> dict[str, str]:
    """The folders of its transcripts, and what each is called on the target.

    The agent's CLI names them by the path that it is started in. One that is not named by the place of the specialist,
    or by the home folder, is left out: what it belongs to there cannot be told.
    """
    found = {}
    for item in source.transcripts:
        folder = item.name.removeprefix(TRANSCRIPT)
        for here, there in ((source.place, target.place), (source.home, target.home)):
            name = _renamed(folder, here, there)
            if name:
                found[folder] = name
                break
    return found


def folder_name(path: str) -> str:
    """The name that the agent's CLI gives the folder of a path: all but ASCII letters and digits become dashes.

    It counts UTF-16 units, as JavaScript does.
    """
    return "".join(_dashes(char, len(char.encode("utf-16-le", "surrogatepass")) // 2) for char in path)


def _renamed(folder: str, here: str, there: str) -> str:
    for by in (folder_name, _folder_name_by_bytes):
        prefix = by(here)
        if here and (folder == prefix or folder.startswith(f"{prefix}-")):
            return by(there) + folder[len(prefix) :]
    return ""


def _folder_name_by_bytes(path: str) -> str:
    """The same for a launcher that knows only bytes."""
    return "".join(_dashes(char, len(char.encode("utf-8", "surrogateescape"))) for char in path)


def _dashes(char: str, count: int) -> str:
    return char if char.isascii() and char.isalnum() else "-" * count


def to_carry(name: str, host: str, source: Look, target: Look, folders: Mapping[str, str]) -> list[tuple[Item, str]]:
    """The items that the target lacks, each with the name that it has there.

    What is there already must be the same, from an earlier try: TryAgainError names what would be written over.
    """
    carry: list[tuple[Item, str]] = []
    over: list[str] = []
    if not target.here:
        carry += [(item, item.name) for item in source.memory]
    elif _by_name(target.memory) != _by_name(source.memory):
        over.append(f"{target.place}/.gummy/specialists/{name}")
    there = _by_name(target.transcripts)
    for item in source.transcripts:
        folder = folders.get(item.name.removeprefix(TRANSCRIPT))
        if folder is None:
            continue
        place = TRANSCRIPT + folder
        if place not in there:
            carry.append((item, place))
        elif there[place] != (item.cksum, item.size):
            over.append(f"~/.claude/projects/{folder}/{source.session}.jsonl")
    if over:
        raise TryAgainError(
            f"on {host} this would be written over: {', '.join(over)}",
            f"look at what is there; rename it if {name} is to come in its place",
        )
    if source.session and not folders:
        where = ", ".join(item.name.removeprefix(TRANSCRIPT) for item in source.transcripts)
        raise DgummyError(
            f"the transcript of {name} is in {where}, which is not named by {source.place}: "
            f"where {host} would look for it cannot be told",
            "move it by hand",
            code=ExitCode.SOME_FAILED,
        )
    return carry


def difference(expected: Iterable[tuple[Item, str]], found: Iterable[Item]) -> str:
    """What did not arrive as it was sent, "" if all did."""
    there = _by_name(found)
    wrong = [name for item, name in expected if there.get(name) != (item.cksum, item.size)]
    return ", ".join(wrong[:5])


# -- whether it arrived ------------------------------------------------------------------------------------------------


def prove(source: Look | None, target: Look, folders: Mapping[str, str], host: str) -> Proof:
    """Say what is certain of a specialist on `host`. `source` is None where it was there already.

    `missing` is why it cannot be taken as arrived, "" if it can.
    """
    proven: list[str] = []
    unproven: list[tuple[str, str]] = []
    missing = "" if target.here else "its folder is not there"
    if source is not None and not missing:
        wanted = [(item, item.name) for item in source.memory]
        named = {item.name.removeprefix(TRANSCRIPT): item for item in source.transcripts}
        wanted += [(named[folder], TRANSCRIPT + name) for folder, name in folders.items()]
        missing = difference(wanted, (*target.memory, *target.transcripts))
        missing = f"not as they were: {missing}" if missing else ""
        proven.append(f"{format_count(len(wanted), 'file')} there, the same by size and cksum")
        for folder in sorted(named.keys() - folders.keys()):
            why = f"it is not named by {source.place}, so it was left where it is"
            unproven.append((f"that {folder} is not needed", why))
    missing = missing or _prove_session(target, frozenset(folders.values()), proven, unproven)
    if AGENT_CLI in target.tools:
        proven.append(f"{AGENT_CLI} is installed on {host}")
    else:
        unproven.append((f"that {AGENT_CLI} can take it up on {host}", f"{AGENT_CLI} is not on the login PATH there"))
    unproven.append(("what it answers", "it was not asked anything: that would cost a turn"))
    return Proof(tuple(proven), tuple(unproven), missing)


def _prove_session(target: Look, folders: frozenset[str], proven: list[str], unproven: list[tuple[str, str]]) -> str:
    session, meta = target.session, target.meta.get("session_id", "")
    if not session:
        unproven.append(("that it remembers anything", "it has had no session yet"))
        return ""
    if target.session_txt and meta not in _NONE and target.session_txt != meta:
        return f"meta.yaml says session {meta}, session.txt {target.session_txt}"
    there = {item.name.removeprefix(TRANSCRIPT) for item in target.transcripts}
    if not there or not folders <= there:
        return f"session {session} has no transcript there"
    files = [name for name, said in (("meta.yaml", meta), ("session.txt", target.session_txt)) if said == session]
    proven.append(f"session {session[:8]} is in {' and '.join(files)}, and its transcript is there under that id")
    if not target.speaking & (folders or there):
        unproven.append(("that the transcript is of that session", "its first lines do not name one"))
    return ""


def _by_name(items: Iterable[Item]) -> dict[str, tuple[str, int]]:
    return {item.name: (item.cksum, item.size) for item in items}
