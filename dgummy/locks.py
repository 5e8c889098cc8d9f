"""Locks by name: who does a thing by itself holds one, and another who wants to do it meanwhile is told who that is.

A lock is the kernel's own on a file in the state folder (`locks/NAME.lock`): it is free as soon as the process that
holds it is gone, however it ended. What the file says of the holder is for messages only.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from errno import EACCES, EAGAIN, EEXIST, EISDIR, ELOOP, ENOTDIR
from pathlib import Path

from dgummy.errors import ConfigError, TryAgainError, UsageError
from dgummy.textfiles import make_folder
from dgummy.transport.plaintext import printable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MAX_SHOWN = 200
_ours: dict[Path, int] = {}
INTERRUPT = "INT"
_PATIENCE_S = 0.5
"""Whoever looks who holds a lock has it for a moment as well."""
_AGAIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: its process, since when (ISO time, UTC), what it does, and which signal it hears.

    `job` is the one of cron's that it runs, "" for none.
    """

    pid: int = 0
    since: str = ""
    command: str = ""
    hears: str = INTERRUPT
    job: str = ""


def check_name(name: str, flag: str = "--lock") -> str:
    """Give back a name that a lock, and a job, can have. UsageError for any other."""
    if not _NAME.fullmatch(name):
        what = f"{flag}: {name[:80]!a} cannot be a name"
        raise UsageError(what, "use up to 64 letters, digits, - _ and ., the first a letter or a digit: nightly-tests")
    return name


@contextmanager
def held(folder: Path, name: str, command: str, now: datetime, *, job: str = "") -> Iterator[int]:
    """Hold a lock. TryAgainError if another process has it; who has it already in this process has it once more.

    Gives the file's descriptor: a child process that inherits it holds the lock as well, until both are gone.
    """
    path = folder / f"{check_name(name)}.lock"
    if path in _ours:
        yield _ours[path]
        return
    descriptor = _taken_file(path, name)
    try:
        hears = "TERM" if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else INTERRUPT
        we = Holder(os.getpid(), now.isoformat("T", "seconds"), command, hears, job)
        _write(descriptor, json.dumps(asdict(we)))
        _ours[path] = descriptor
        try:
            yield descriptor
        finally:
            del _ours[path]
            _write(descriptor, "")
    finally:
        os.close(descriptor)


@contextmanager
def held_all(folder: Path, names: Iterable[str], busy: TryAgainError) -> Iterator[None]:
    """Hold several locks, all or none. `busy` is raised if another process holds one of them.

    Where the folder cannot be written, or takes no locks (some network file systems), nobody is kept out.
    """
    with ExitStack() as kept:
        for name in sorted(set(names)):
            path = folder / f"{name}.lock"
            try:
                kept.callback(os.close, _taken_file(path, name))
            except ConfigError:
                continue
            except TryAgainError:
                raise busy from None
        yield


def holder(folder: Path, name: str) -> Holder | None:
    """Who holds a lock now, None if nobody does. The lock is not touched for longer than it takes to look."""
    try:
        descriptor = os.open(folder / f"{check_name(name)}.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _read(descriptor)
    finally:
        os.close(descriptor)
    return None


def shown_command(words: Sequence[str]) -> str:
    """A command line as others may see it: values of variables are left out."""
    import shlex

    shown: list[str] = []
    for word in words:
        flag, equals, rest = word.partition("=")
        if shown and shown[-1] == "--env":
            word = f"{flag}=…" if equals else word
        elif flag == "--env" and "=" in rest:
            word = f"--env={rest.partition('=')[0]}=…"
        shown.append(word if word.endswith("=…") else shlex.quote(word))
    return " ".join(shown)


def _open(path: Path) -> int:
    try:
        make_folder(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> ConfigError:
    """What is wrong with a lock's file that cannot be opened."""
    import shlex

    shown, another = shlex.quote(str(path)), "or set state_dir to another folder"
    if error.errno == ELOOP:
        return ConfigError(f"the lock {path} is a link, and none is followed there", f"remove it: rm {shown}")
    if error.errno == EISDIR:
        return ConfigError(f"the lock {path} is a folder", f"take it away: rm -r {shown}")
    if error.errno in (EEXIST, ENOTDIR):
        what = f"the lock {path} cannot be made: what is to be its folder is none"
        return ConfigError(what, f"look at it, and take it away: ls -ld {shlex.quote(str(path.parent))}; {another}")
    what = f"the lock {path} cannot be made: {error.strerror}"
    return ConfigError(what, f"make the folder writable, {another}")


def _taken_file(path: Path, name: str) -> int:
    """Open a lock's file and lock it. A file that somebody removed meanwhile keeps nobody out: another is made."""
    while True:
        descriptor = _open(path)
        try:
            _take(descriptor, path, name)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _take(descriptor: int, path: Path, name: str) -> None:
    ends_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (EACCES, EAGAIN):
                what = f"{path} cannot be locked: {error.strerror}"
                raise ConfigError(what, "set state_dir to a folder on a disk of this machine") from error
            if time.monotonic() >= ends_s:
                raise _taken(name, _read(descriptor)) from error
        time.sleep(_AGAIN_S)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _taken(name: str, holding: Holder) -> TryAgainError:
    if holding.pid <= 0 or not _lives(holding.pid):  # what its client started goes on without it, say
        holding = Holder(0, holding.since, holding.command)
    who = f"process {holding.pid}" if holding.pid else "another process"
    if holding.since:
        since = datetime.fromisoformat(holding.since).astimezone()
        who += f" since {since:%Y-%m-%d %H:%M:%S}"
    what = f" ({printable(holding.command)[:_MAX_SHOWN]})" if holding.command else ""
    text = f"the lock {name} is held by {who}{what}; no host was asked anything"
    remedy = "let it come to its end and try again"
    return TryAgainError(text, f"{remedy}, or end it: kill -{holding.hears} {holding.pid}" if holding.pid else remedy)


def _write(descriptor: int, text: str) -> None:
    with suppress(OSError):  # a full disk: the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode("utf-8", "backslashreplace"), 0)


def _read(descriptor: int) -> Holder:
    try:
        told = json.loads(os.pread(descriptor, 65536, 0))
        since = str(told["since"])
        datetime.fromisoformat(since)
        hears = "TERM" if told.get("hears") == "TERM" else INTERRUPT
        return Holder(int(told["pid"]), since, str(told["command"]), hears, str(told.get("job", "")))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()
