"""The files behind ssh's configuration: what they include, whether they changed, what was cached of them.

Only `Include`, `Host` and a few words of `Match` are understood here; what they mean is ssh's business
(`ssh -G`).
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import pwd
import re
import secrets
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dgummy.textfiles import make_folder

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
MAX_DEPTH = 16
"""How deep files may include files, as in OpenSSH (readconf.c, READCONF_MAX_DEPTH)."""

_MAX_FILES = 1000
_MAX_FILE_BYTES = 4_000_000
_MAX_STORE_BYTES = 16_000_000
_MAX_ENTRIES = 2000
_SCHEMA_VERSION = 1
_LINE = re.compile(r"\s*([A-Za-z]\w*)(?:\s*=\s*|\s+)(\S.*?)\s*")
_UNSTABLE_MATCH = re.compile(r"!?(exec|localnetwork|final|canonical|sessiontype|command|version)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file that ssh reads: its identity, and its lines as (keyword in lower case, arguments)."""

    path: str
    mtime_ns: int
    size: int
    digest: str
    lines: tuple[tuple[str, str], ...]


def account_home() -> Path:
    """Return the home folder that ssh uses: that of the account, whatever HOME says."""
    return Path(pwd.getpwuid(os.getuid()).pw_dir)


def read_tree(config_path: Path | None) -> tuple[list[ConfigFile], bool]:
    """Read every file that may take part, and say whether the answer depends on these files alone.

    `config_path` None means ssh's own two files. Not on files alone: `Match exec` and the like, environment
    variables or tokens in file names, a file that cannot be read, more than a thousand files.
    """
    found: dict[str, ConfigFile] = {}
    stable = True
    if config_path is not None:
        waiting = [(config_path, account_home() / ".ssh", 0)]
    else:
        home = account_home() / ".ssh"
        waiting = [(home / "config", home, 0), (SYSTEM_CONFIG, SYSTEM_CONFIG.parent, 0)]
    while waiting:
        path, base, depth = waiting.pop(0)
        if str(path) in found or depth > MAX_DEPTH:
            continue
        if len(found) >= _MAX_FILES:
            return list(found.values()), False
        file = _read(path)
        if file is None:
            stable = stable and not os.path.lexists(path)
            continue
        found[str(path)] = file
        stable = stable and not any(_is_unstable(keyword, rest) for keyword, rest in file.lines)
        included = [match for keyword, rest in file.lines if keyword == "include" for match in _include(rest, base)]
        # Included files come in the place of the Include line, so before whatever waits.
        waiting = [(match, base, depth + 1) for match in included] + waiting
    return list(found.values()), stable


def fingerprint(config_path: Path | None) -> str | None:
    """Return a digest of all that ssh's answer is made from; None if that is more than files.

    It covers path, modification time, size and content of every file, the ssh program, and who and where we
    are.
    """
    files, stable = read_tree(config_path)
    program = shutil.which("ssh")
    if not stable or program is None:
        return None
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        status = Path(program).stat()
        digest.update(f"{program}\0{status.st_mtime_ns}\0{status.st_size}\0".encode("utf-8", "surrogateescape"))
    digest.update(f"{os.getuid()}\0{account_home()}\0{os.uname().nodename}\0".encode("utf-8", "surrogateescape"))
    for file in files:
        identity = f"{file.path}\0{file.mtime_ns}\0{file.size}\0{file.digest}\0"
        digest.update(identity.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def words(text: str) -> list[str]:
    """Split the arguments of a line as ssh does: at blanks, with double quotes around what holds some."""
    try:
        return shlex.split(text, comments=False)
    except ValueError:
        return text.split()


def _read(path: Path) -> ConfigFile | None:
    """Read an ordinary file of a sensible size; None for anything else. Never blocks on a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE_BYTES:
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as file:
        try:
            data = file.read(_MAX_FILE_BYTES + 1)
        except OSError:
            return None
    lines = tuple(_lines(data.decode("utf-8", "surrogateescape")))
    return ConfigFile(str(path), status.st_mtime_ns, len(data), hashlib.sha256(data).hexdigest(), lines)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        match = _LINE.fullmatch(line)
        if match is not None:
            yield match.group(1).lower(), match.group(2)


def _is_unstable(keyword: str, rest: str) -> bool:
    if keyword == "match":
        return any(_UNSTABLE_MATCH.match(word) for word in words(rest))
    if keyword == "canonicalizehostname":
        return rest.strip('"').lower() not in ("no", "false")
    odd_include = keyword == "include" and any("%" in word or re.match("~[^/]", word) for word in words(rest))
    return "${" in rest or odd_include


def _include(rest: str, base: Path) -> Iterator[Path]:
    home = account_home()
    for word in words(rest):
        pattern = home / word[2:] if word.startswith("~/") else base / word
        # Not Path.glob: the pattern may be absolute, and a file that cannot be looked at is no error.
        yield from map(Path, sorted(glob.glob(str(pattern))))  # noqa: PTH207


class Store:
    """A small JSON file of answers, each good for one fingerprint.

    What cannot be read or written is no error.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries = self._load()

    def get(self, key: str, mark: str) -> Mapping[str, Any] | None:
        """Return the answer under a key, if it was made with this fingerprint."""
        entry = self._entries.get(key)
        return entry.answer if entry is not None and entry.mark == mark else None

    def put(self, answers: Mapping[str, Mapping[str, Any]], mark: str) -> None:
        """Add answers and replace the file atomically, mode 0600. What others wrote meanwhile is kept."""
        entries = self._load()
        for key, answer in answers.items():
            entries.pop(key, None)
            entries[key] = _Entry(mark=mark, answer=dict(answer))
        kept = dict(list(entries.items())[-_MAX_ENTRIES:])
        self._entries = kept
        with contextlib.suppress(OSError):
            self._write(msgspec.json.encode(_StoreFile(schema_version=_SCHEMA_VERSION, entries=kept)))

    def _load(self) -> dict[str, _Entry]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError):
            return {}
        status = os.fstat(descriptor)
        ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022
        if not ours or status.st_size > _MAX_STORE_BYTES:
            os.close(descriptor)
            return {}
        with open(descriptor, "rb") as file:
            try:
                stored = msgspec.json.decode(file.read(), type=_StoreFile)
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return {}
        return stored.entries if stored.schema_version == _SCHEMA_VERSION else {}

    def _write(self, data: bytes) -> None:
        make_folder(self._path.parent)
        fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            fresh.replace(self._path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


class _Entry(msgspec.Struct, frozen=True):
    mark: str
    answer: dict[str, Any]


class _StoreFile(msgspec.Struct, frozen=True):
    schema_version: int
    entries: dict[str, _Entry]
