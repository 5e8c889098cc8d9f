"""Opening the ledger's database: its schema, its journal, and what is done with a file that is damaged.

SQLite, one file. `PRAGMA user_version` counts the steps of `MIGRATIONS` that were taken. The journal is a
WAL, so that a process killed at any moment leaves a valid database; on network folders, where a WAL is not
safe, and wherever else SQLite cannot have one, it is an ordinary rollback journal. Creating, upgrading and
replacing the file happen under a lock file beside it (`runs.lock`).
"""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from errno import EACCES, EAGAIN, ENOSPC
from pathlib import Path
from urllib.parse import quote

from dgummy.errors import ConfigError, TryAgainError
from dgummy.textfiles import make_folder

BUSY_TIMEOUT_S = 10.0

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            run_id TEXT PRIMARY KEY NOT NULL,
            group_id TEXT NOT NULL DEFAULT '',
            kind TEXT NOT NULL,
            label TEXT NOT NULL DEFAULT '',
            command TEXT NOT NULL,
            task_type TEXT NOT NULL DEFAULT '',
            project TEXT NOT NULL DEFAULT '',
            remote_dir TEXT NOT NULL DEFAULT '',
            host TEXT NOT NULL DEFAULT '',
            state TEXT NOT NULL,
            exit_code INTEGER,
            reason TEXT NOT NULL DEFAULT '',
            created_at TEXT NOT NULL,
            started_at TEXT,
            ended_at TEXT,
            duration_s REAL,
            cost_usd REAL,
            branch TEXT NOT NULL DEFAULT '',
            fallback TEXT,
            owner TEXT NOT NULL DEFAULT '',
            client_pid INTEGER
        )""",
        "CREATE INDEX runs_created ON runs (created_at)",
        "CREATE INDEX runs_group ON runs (group_id, created_at)",
        """CREATE TABLE attempts (
            run_id TEXT NOT NULL,
            seq INTEGER NOT NULL,
            host TEXT NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            started_at TEXT,
            ended_at TEXT,
            exit_code INTEGER,
            bytes INTEGER,
            cost_usd REAL,
            PRIMARY KEY (run_id, seq)
        ) WITHOUT ROWID""",
        "CREATE TABLE placements (run_id TEXT PRIMARY KEY NOT NULL, host TEXT NOT NULL, at TEXT NOT NULL)",
        "CREATE INDEX placements_at ON placements (at)",
        "CREATE TABLE starts (host TEXT PRIMARY KEY NOT NULL, at TEXT NOT NULL)",
        "CREATE TABLE kv (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    ),
    ("ALTER TABLE runs ADD COLUMN request TEXT NOT NULL DEFAULT ''", "DROP TABLE starts"),
    (
        "ALTER TABLE runs ADD COLUMN base TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE runs ADD COLUMN work TEXT NOT NULL DEFAULT ''",
    ),
)
"""SQL steps, oldest first. Append only: what a released step did is what files out there look like."""

SCHEMA_VERSION = len(MIGRATIONS)

_NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "lustre", "fuse.sshfs", "fuse.glusterfs")
)
_DAMAGED = ("not a database", "malformed")
_REMEDIES = (
    ("full", "free some space there; runs go on without being recorded"),
    ("readonly", "make the folder writable, or set state_dir to another one"),
    ("unable to open", "make the folder writable, or set state_dir to another one"),
    ("locked", "another dgummy holds it; try again"),
)


class LedgerError(TryAgainError):
    """The ledger cannot be read or written now. A run may go on without it."""


def is_damaged(error: Exception) -> bool:
    """Tell whether SQLite means that the file itself is damaged."""
    return isinstance(error, sqlite3.DatabaseError) and any(sign in str(error) for sign in _DAMAGED)


def ledger_error(path: Path, error: Exception) -> LedgerError:
    """Turn what SQLite or the system said into a LedgerError with a remedy."""
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        said = "database or disk is full" if error.errno == ENOSPC else said
        default = "make the folder writable, or set state_dir to another one"
    else:
        said = str(error)
        default = f"look at the disk of {path.parent}; runs go on without being recorded"
    remedy = next((text for sign, text in _REMEDIES if sign in said), default)
    return LedgerError(f"the ledger {path} cannot be used: {said}", remedy)


def open_database(path: Path, *, vfs: str = "", thorough: bool = False) -> tuple[sqlite3.Connection, tuple[str, ...]]:
    """Open the ledger at `path`, made or upgraded if need be; give back a connection and notices.

    A damaged file is kept aside as `runs.db.corrupt-TIME` and a new one is made. `thorough` looks through
    the whole file for damage first. `vfs` names one of SQLite's ways to lock (`unix-dotfile`), "" for the
    usual one. ConfigError if a newer dgummy made the file, LedgerError if it cannot be used.
    """
    try:
        if not thorough and path.exists():
            connection = _open_current(path, vfs)
            if connection is not None:
                return connection, ()
        make_folder(path.parent)
        with _locked(path.with_suffix(".lock")):
            return _open_or_make(path, vfs)
    except (sqlite3.Error, OSError) as error:
        raise ledger_error(path, error) from error


def on_network_file_system(folder: Path, mountinfo: str) -> bool:
    """Tell whether a resolved folder is on a network, by the text of /proc/self/mountinfo (proc(5)). Pure."""
    best, network = -1, False
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if len(fields) < 5:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        # Of several mounts at one place the last one is on top.
        if len(point.parts) >= best and folder.is_relative_to(point):
            best, network = len(point.parts), kind in _NETWORK_FILE_SYSTEMS
    return network


def _connect(path: Path, vfs: str) -> sqlite3.Connection:
    query = f"?vfs={quote(vfs)}" if vfs else ""
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}{query}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    return connection


def _open_current(path: Path, vfs: str) -> sqlite3.Connection | None:
    """Open a file that needs nothing done to it; None if it does."""
    connection = _connect(path, vfs)
    try:
        version = _version(connection)
        _refuse_newer(path, version)
        if version == SCHEMA_VERSION:
            connection.execute("SELECT 1 FROM runs LIMIT 0").fetchone()
            _set_synchronous(connection)
            return connection
    except sqlite3.Error as error:
        # Busy here can be a file that is just being made: that is waited for under the lock.
        if not is_damaged(error) and "locked" not in str(error):
            connection.close()
            raise
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _open_or_make(path: Path, vfs: str) -> tuple[sqlite3.Connection, tuple[str, ...]]:
    """Do everything that takes the lock. Somebody else may have done it while we waited."""
    notices: tuple[str, ...] = ()
    for last_try in (False, True):
        _create_empty(path)
        connection = _connect(path, vfs)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")  # noqa: TRY301
            _refuse_newer(path, _version(connection))
            _set_journal(connection, path)
            _migrate(connection)
        except BaseException as error:
            connection.close()
            if last_try or not isinstance(error, sqlite3.Error) or not is_damaged(error):
                raise
            aside = _set_aside(path)
            notices = (
                f"the ledger {path} was damaged: it was kept as {aside.name} and a new one begun; "
                "what the hosts remember of their runs is not affected",
            )
        else:
            return connection, notices
    raise AssertionError("unreachable")


def _create_empty(path: Path) -> None:
    # SQLite gives its journals the mode of the file. Opened only if it is new: closing a second descriptor
    # of a file in use would drop SQLite's locks on it.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        with suppress(PermissionError):
            path.chmod(0o600)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(path: Path, version: int) -> None:
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"the ledger {path} was made by a newer dgummy (schema {version}, this one knows {SCHEMA_VERSION})",
            "upgrade: pip install --upgrade distributed-gummy; or set state_dir to another folder",
        )


def _set_journal(connection: sqlite3.Connection, path: Path) -> None:
    wanted = "DELETE" if _is_network_folder(path.parent) else "WAL"
    try:
        connection.execute(f"PRAGMA journal_mode={wanted}").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "full" in str(error):
            raise
        connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    _set_synchronous(connection)


def _set_synchronous(connection: sqlite3.Connection) -> None:
    # With a WAL, NORMAL cannot damage the file; with a rollback journal only FULL is safe when the power
    # fails.
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    connection.execute(f"PRAGMA synchronous={'NORMAL' if mode == 'wal' else 'FULL'}")


def _is_network_folder(folder: Path) -> bool:
    try:
        return on_network_file_system(folder.resolve(), Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
    except OSError:
        return False


def _migrate(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for steps in MIGRATIONS[_version(connection) :]:
            for step in steps:
                connection.execute(step)
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_aside(path: Path) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    # The journals go along, first: a new database must not meet them, and the old one may need them.
    for suffix in ("-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    path.rename(aside)
    return aside


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file. Where the file system has no such locks, SQLite's own must do."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in (EACCES, EAGAIN):
                    break
                if time.monotonic() >= end:
                    raise sqlite3.OperationalError("database is locked") from error
                time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
