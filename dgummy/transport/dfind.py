"""Find the `d` command, and be sure that it is one.

What is on PATH under that name may be anything. So a candidate is asked for its `--help` and nothing else until
`dgummy.dhelp` says which dialect it speaks, and the answer is kept for as long as the program file stays as it is.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dgummy.dhelp import USE_CASES, Dialect, Spoken, is_like_d, spoken_of
from dgummy.dtext import last_lines
from dgummy.errors import ConfigError
from dgummy.transport.dcall import Bounds, call
from dgummy.transport.plaintext import printable
from dgummy.transport.sshconfig_files import Store

NAMES = ("dw", "d")
"""What it is called, today's name first."""

HELP_S = 3.0
MAX_HELP_BYTES = 256 * 1024

_FORMAT = "1"
_TELLING = ("run", "sync")
_SHOWN_CHARS = 2000


@dataclass(frozen=True, slots=True)
class Found:
    """A usable `d`. `words` holds, for each use case that it has, the words that its command line begins with.

    `dry_run` says whether its sync can show what it would do. `why` is one line.
    """

    path: str
    dialect: Dialect
    words: Mapping[str, tuple[str, ...]]
    dry_run: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class NotFound:
    """No usable `d`. `reasons` says of each program that was looked at why not; `error` is for one that was configured.

    `error` has exit code 78 and is to be raised; None where there just is no `d`. `silent`: the questions, as command
    lines, that got no answer; they are asked again every time.
    """

    reasons: tuple[tuple[str, str], ...] = ()
    error: ConfigError | None = None
    silent: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """One line."""
        return "; ".join(f"{name}: {reason}" for name, reason in self.reasons) or "no d command on PATH"


def find(configured: str | None, *, path: str, cache_path: Path, timeout_s: float = HELP_S) -> Found | NotFound:
    """Look for `configured` (the setting d.command), else `dw`, else `d`, else the one-word commands, on `path`.

    Each question to a program has `timeout_s`. Nothing but `--help` is asked. What was answered is kept in
    `cache_path`, by file, size and time of change. Relative entries of `path` are not looked at.
    """
    search = _Search(path, Store(cache_path), timeout_s)
    if configured:
        return search.configured(configured)
    for name in NAMES:
        found = search.whole(name)
        if found is not None:
            return found
    return search.pieces() or NotFound(tuple(search.reasons), silent=tuple(search.silent))


class _UnusableError(Exception):
    """Why a program is not the one."""


class _Verdict(msgspec.Struct, frozen=True):
    """What is kept of an answer: what was spoken, or why it is unusable."""

    dialect: str = ""
    uses: tuple[str, ...] = ()
    dry_run: bool = False
    reason: str = ""


@dataclass(slots=True)
class _Search:
    path: str
    store: Store
    timeout_s: float
    reasons: list[tuple[str, str]] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    def configured(self, name: str) -> Found | NotFound:
        """The one that the settings name, and no other."""
        program = os.path.expanduser(name)  # noqa: PTH111 - not a path yet
        if "/" in program and not program.startswith("/"):
            self.reasons.append((name, "neither a plain name nor an absolute path"))
        else:
            found = self.whole(program, why="the setting d.command")
            if found is not None:
                return found
        reason = self.reasons[-1][1] if self.reasons else "there is no such program"
        remedy = "set d.command to a `dw` (or remove it, to look on PATH), or set backend: ssh"
        error = ConfigError(f"d.command: {printable(name)}: {reason}", remedy)
        return NotFound(((name, reason),), error)

    def whole(self, name: str, *, why: str = "") -> Found | None:
        """A program with sub-commands."""
        program = self._which(name)
        if program is None:
            return None
        try:
            spoken = self._spoken({"": program})
        except _UnusableError as error:
            self.reasons.append((program, str(error)))
            return None
        words = {use: (program, use) for use in spoken.uses}
        return _found(program, spoken, words, why or f"{name} on PATH")

    def pieces(self) -> Found | None:
        """The one-word commands, as many as there are."""
        programs = {use: found for use in USE_CASES if (found := self._which(f"dw{use}")) is not None}
        if not programs:
            return None
        try:
            spoken = self._spoken(programs)
        except _UnusableError as error:
            self.reasons.append((", ".join(programs.values()), str(error)))
            return None
        words = {use: (programs[use],) for use in spoken.uses}
        names = ", ".join(f"dw{use}" for use in words)
        return _found(programs[spoken.uses[-1]], spoken, words, f"{names} on PATH")

    def _which(self, name: str) -> str | None:
        folders = [folder for folder in self.path.split(os.pathsep) if folder.startswith("/")]
        return shutil.which(name, path=os.pathsep.join(folders)) if folders or name.startswith("/") else None

    def _spoken(self, programs: Mapping[str, str]) -> Spoken:
        """What these programs speak; `programs` is one under "", or the one-word command of each use case."""
        key, mark = " ".join(f"{use}={program}" for use, program in programs.items()), _fingerprint(programs.values())
        verdict = _read(self.store.get(key, mark))
        if verdict is None:
            verdict = self._judge(programs)
            if mark == _fingerprint(programs.values()):  # else one was replaced meanwhile
                self.store.put({key: msgspec.to_builtins(verdict)}, mark)
        if verdict.reason:
            raise _UnusableError(verdict.reason)
        return Spoken(Dialect(verdict.dialect), verdict.uses, verdict.dry_run)

    def _judge(self, programs: Mapping[str, str]) -> _Verdict:
        """Ask. _UnusableError if there was no answer; that is not kept: it may be better next time."""
        if "" not in programs:
            spoken = spoken_of("", {use: self._help(program) for use, program in programs.items()})
            return _verdict(spoken, "their --help does not say how a host is named")
        program = programs[""]
        top = self._help(program)
        if not is_like_d(top):
            said = (last_lines(top[:_SHOWN_CHARS], _SHOWN_CHARS) or ["nothing"])[0]
            return _Verdict(reason=f"not a d: its --help lists no load, status, sync and run, but says: {said}")
        # What the first answer tells clearly need not be asked again.
        spoken = spoken_of(top, dict.fromkeys(USE_CASES, ""))
        if spoken is None or len(spoken.uses) < len(USE_CASES):
            helps = {use: self._help(program, use) for use in _TELLING}
            spoken = spoken_of(top, dict.fromkeys(USE_CASES, "") | helps)
        return _verdict(spoken, "not a d we know: its help does not say clearly how `run` and `sync` name a host")

    def _help(self, *words: str) -> str:
        called = call([*words, "--help"], Bounds(total_s=self.timeout_s, max_bytes=MAX_HELP_BYTES))
        if called.timed_out:
            self.silent.append(shlex.join([*words, "--help"]))
        if called.problem or (called.code or 0) < 0:
            what = called.problem or f"killed by signal {-(called.code or 0)}"
            question = " ".join([Path(words[0]).name, *words[1:], "--help"])
            raise _UnusableError(f"does not answer `{question}`: {what}")
        return (called.stdout + b"\n" + called.stderr).decode("utf-8", "replace")


def _verdict(spoken: Spoken | None, reason: str) -> _Verdict:
    return _Verdict(reason=reason) if spoken is None else _Verdict(spoken.dialect.value, spoken.uses, spoken.dry_run)


def _read(kept: Mapping[str, Any] | None) -> _Verdict | None:
    try:
        verdict = None if kept is None else msgspec.convert(kept, _Verdict)
    except msgspec.ValidationError:
        return None
    is_sound = verdict is not None and (verdict.reason or (verdict.dialect in set(Dialect) and verdict.uses))
    return verdict if is_sound else None


def _fingerprint(programs: Iterable[str]) -> str:
    """The files behind these names: real path, size and time of change of each."""
    parts = [_FORMAT]
    for program in programs:
        real = os.path.realpath(program)
        try:
            status = os.stat(real)  # noqa: PTH116 - as realpath
        except OSError as error:
            raise _UnusableError(error.strerror or "cannot be looked at") from error
        parts.append(f"{real} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(parts)


def _found(program: str, spoken: Spoken, words: Mapping[str, tuple[str, ...]], why: str) -> Found:
    return Found(program, spoken.dialect, words, spoken.dry_run, f"{why}; speaks the {spoken.dialect.value} dialect")
