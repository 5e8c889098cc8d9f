"""The ledger: every run and every attempt, who was placed where lately, and whose turn it is.

SQLite (see `dgummy.ledger_schema`), shared by all processes of one user. Transactions are short; a process
that is killed at any moment leaves a valid file with everything that was committed. Times are ISO text in
UTC with milliseconds. Only what the caller passes gets in here: pass no values of environment variables.

Every method raises LedgerError (exit code 75) if the file cannot be read or written now, for example
because the disk is full. A run goes on without its record.
"""

from __future__ import annotations

import json
import sqlite3
import string
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from dgummy.errors import UsageError
from dgummy.ledger_rows import (
    AttemptRow,
    RunRow,
    RunUpdate,
    columns,
    from_sql,
    new_run_id,
    to_datetime,
    to_sql,
)
from dgummy.ledger_schema import LedgerError, is_damaged, ledger_error, open_database
from dgummy.model import Placement, RunState

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

__all__ = ["AttemptRow", "Ledger", "LedgerError", "Placing", "RunRow", "RunUpdate", "new_run_id"]

PLACEMENT_WINDOW_S = 120.0
"""How long a placement is shown to others that choose. By then every probe sees the run itself."""

LAST = "last"
"""The prefix that stands for the newest run."""

_MAX_CANDIDATES = 5
_ID_CHARACTERS = frozenset(string.ascii_lowercase + string.digits + "-")
_T = TypeVar("_T")
_Row = TypeVar("_Row", RunRow, AttemptRow)
_FINAL = tuple(state.value for state in RunState if state.is_final)
_FINAL_MARKS = ", ".join("?" * len(_FINAL))


@dataclass(frozen=True, slots=True)
class Placing:
    """What a chooser is given while nobody else can choose.

    `placements` are those that a probe may not show yet. The methods say whose turn it is in a rotation;
    they are for use inside `decide` only.
    """

    placements: tuple[Placement, ...]
    _connection: sqlite3.Connection

    def round_robin_after(self, scope: str = "") -> str | None:
        """Give the host that had the last turn in this rotation (a group's name, say), or None."""
        row = self._connection.execute("SELECT value FROM kv WHERE key=?", (f"round_robin:{scope}",)).fetchone()
        return None if row is None else str(row[0])

    def set_round_robin(self, host: str, scope: str = "") -> None:
        """Note that this host has had its turn."""
        sql = "INSERT OR REPLACE INTO kv (key, value) VALUES (?, ?)"
        self._connection.execute(sql, (f"round_robin:{scope}", host))


class Ledger:
    """An open ledger. Safe to use from several threads; a context manager. Make one with `Ledger.open`."""

    def __init__(self, path: Path, vfs: str = "") -> None:
        self.path = path
        self._vfs = vfs
        self._lock = threading.RLock()
        self._notices: list[str] = []
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._identity: tuple[int, int] | None = None
        self._reopen()

    @classmethod
    def open(cls, path: Path, *, vfs: str = "") -> Ledger:
        """Open `<state_dir>/runs.db`, made if it is not there.

        A damaged file is kept aside and a new one made; `notices` says so. ConfigError if a newer dgummy
        made it, LedgerError if it cannot be used. `vfs` names one of SQLite's ways to lock, "" for the
        usual one.
        """
        return cls(path, vfs)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about the file, one line each."""
        return tuple(self._notices)

    def close(self) -> None:
        """Close the file; closing twice is well."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def record(self, *runs: RunRow) -> bool:
        """Add runs, all or none. False, and nothing is changed, if an id is taken: draw others."""
        names = columns(RunRow)
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO runs ({', '.join(names)}) VALUES ({marks})"  # noqa: S608
        values = [[to_sql(getattr(run, name)) for name in names] for run in runs]
        try:
            self._write(lambda connection: connection.executemany(sql, values))
        except sqlite3.IntegrityError:
            return False
        return True

    def update(self, run_id: str, **changes: Unpack[RunUpdate]) -> bool:
        """Change some fields of a run. False if there is no such run."""
        unknown = changes.keys() - RunUpdate.__annotations__.keys()
        if unknown:
            raise TypeError(f"no such field of a run: {', '.join(sorted(unknown))}")
        assignments = ", ".join(f"{name}=?" for name in changes) or "run_id=run_id"
        sql = f"UPDATE runs SET {assignments} WHERE run_id=?"  # noqa: S608 - names were checked
        values = [*(to_sql(value) for value in changes.values()), run_id]
        return self._write(lambda connection: connection.execute(sql, values).rowcount == 1)

    def settle(self, run_id: str, was: RunState, **changes: Unpack[RunUpdate]) -> bool:
        """Change some fields of a run, unless somebody else has changed its state meanwhile: then False."""
        assignments = ", ".join(f"{name}=?" for name in changes)
        sql = f"UPDATE runs SET {assignments} WHERE run_id=? AND state=?"  # noqa: S608 - names are checked by its type
        values = [*(to_sql(value) for value in changes.values()), run_id, was.value]
        return self._write(lambda connection: connection.execute(sql, values).rowcount == 1)

    def adopt(self, run: RunRow, client_pid: int) -> bool:
        """Make a process the client of a run that waits to be begun. False if another did that first."""
        sql = """UPDATE runs SET state='pending', reason='', ended_at=NULL, client_pid=?
            WHERE run_id=? AND state=? AND (client_pid IS ? OR client_pid=?)"""
        values = (client_pid, run.run_id, run.state.value, run.client_pid, client_pid)
        return self._write(lambda connection: connection.execute(sql, values).rowcount == 1)

    def add_attempt(self, run_id: str, attempt: AttemptRow) -> int:
        """Add a try of a run; gives back its number, from 1."""
        names = ("run_id", "seq", *columns(AttemptRow))
        marks = ", ".join("?" * len(names))
        sql = f"INSERT INTO attempts ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names are our own
        values = [to_sql(getattr(attempt, name)) for name in columns(AttemptRow)]

        def add(connection: sqlite3.Connection) -> int:
            highest = "SELECT coalesce(max(seq), 0) FROM attempts WHERE run_id=?"
            seq = 1 + int(connection.execute(highest, (run_id,)).fetchone()[0])
            connection.execute(sql, (run_id, seq, *values))
            return seq

        return self._write(add)

    def attempts(self, run_id: str) -> tuple[AttemptRow, ...]:
        """Every try of a run, in order."""
        rows = self._select("SELECT * FROM attempts WHERE run_id=? ORDER BY seq", (run_id,))
        return self._read(AttemptRow, rows)

    def runs(
        self,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        states: Collection[RunState] = (),
        group_id: str | None = None,
        hosts: Collection[str] = (),
        job: str = "",
    ) -> tuple[RunRow, ...]:
        """List runs, newest first: at most `limit`, created at or after `since`, of a group, of one of cron's jobs.

        `states` and `hosts` hold the wanted ones; none means any.
        """
        terms = ["1"]
        values: list[Any] = []
        if since is not None:
            terms.append("created_at >= ?")
            values.append(to_sql(since))
        for column, wanted in (("state", [state.value for state in states]), ("host", hosts)):
            if wanted:
                terms.append(f"{column} IN ({', '.join('?' * len(wanted))})")
                values.extend(wanted)
        if group_id is not None:
            terms.append("group_id = ?")
            values.append(group_id)
        if job:
            terms.append("instr(request, ?) > 0")
            values.append(f'"job": {json.dumps(job)}')  # as `asked` writes it; within text, quotes would be escaped
        where = " AND ".join(terms)
        sql = f"SELECT * FROM runs WHERE {where} ORDER BY created_at DESC, rowid DESC LIMIT ?"  # noqa: S608
        rows = self._select(sql, (*values, -1 if limit is None else limit))
        return self._read(RunRow, rows)

    def spent_usd(self, since: datetime | None = None, project: str | None = None) -> float:
        """What runs have cost as far as they told: those made or ended at or after `since`, those of a project.

        What a run that is under way has told so far counts; one that told nothing counts nothing.
        """
        terms, values = ["1"], list[Any]()
        if since is not None:
            terms.append("(created_at >= ? OR ended_at >= ?)")
            values += [to_sql(since)] * 2
        if project is not None:
            terms.append("project = ?")
            values.append(to_sql(project))
        tries = "(SELECT sum(cost_usd) FROM attempts WHERE attempts.run_id = runs.run_id)"
        cost = f"max(coalesce(cost_usd, 0), coalesce({tries}, 0))"
        (row,) = self._select(f"SELECT total({cost}) FROM runs WHERE {' AND '.join(terms)}", values)  # noqa: S608
        return float(row[0])

    def find(self, prefix: str) -> RunRow:
        """Find the run whose id begins so; `last` is the newest. UsageError if there is none, or several."""
        if prefix == LAST:
            newest = self.runs(limit=1)
            if not newest:
                raise UsageError("there are no runs yet", "start one: inv run CMD")
            return newest[0]
        sql = "SELECT * FROM runs WHERE substr(run_id, 1, ?) = ? ORDER BY created_at DESC, rowid DESC"
        rows = self._read(RunRow, self._select(sql, (len(prefix), _checked(prefix))))
        by_id = {row.run_id: row for row in rows}
        return by_id[_only(prefix, list(by_id), "run")]

    def find_group(self, prefix: str) -> str:
        """Find the group whose id begins so; `last` is the newest. UsageError if there is none, or several."""
        sql = """SELECT group_id FROM runs WHERE group_id != '' AND substr(group_id, 1, ?) = ?
            GROUP BY group_id ORDER BY max(created_at) DESC, max(rowid) DESC"""
        begins = "" if prefix == LAST else _checked(prefix)
        ids = [str(row[0]) for row in self._select(sql, (len(begins), begins))]
        if prefix != LAST:
            return _only(prefix, ids, "group")
        if not ids:
            raise UsageError("there are no groups of runs yet", "inv runs lists the runs there are")
        return ids[0]

    def place(self, run_id: str, decide: Callable[[Placing], str | None], now: datetime) -> str | None:
        """Choose a host while no other process can, and note the choice.

        `decide` is given what others, and earlier runs of ours, were placed on in the last two minutes and
        has not ended; it returns a host, or None for none. It holds up everybody else: nothing slow in
        there. What it raises comes through, and nothing is noted. It may be called twice if the file had to
        be opened again.
        """

        def choose(connection: sqlite3.Connection) -> str | None:
            connection.execute("DELETE FROM placements WHERE at < ?", (to_sql(now - timedelta(days=1)),))
            host = decide(Placing(_placements(connection, run_id, now), connection))
            if host is None:
                connection.execute("DELETE FROM placements WHERE run_id=?", (run_id,))
            else:
                sql = "INSERT OR REPLACE INTO placements (run_id, host, at) VALUES (?, ?, ?)"
                connection.execute(sql, (run_id, host, to_sql(now)))
            return host

        return self._write(choose)

    def unplace(self, run_id: str) -> None:
        """Forget where a run was placed: it did not start there."""
        self._write(lambda connection: connection.execute("DELETE FROM placements WHERE run_id=?", (run_id,)))

    def prune(self, before: datetime, keep: Collection[str] = ()) -> tuple[str, ...]:
        """Delete runs that ended before a moment, with all that belongs to them; gives back their ids.

        Never one that has not ended, nor one whose id is in `keep` (what is not collected yet, say).
        """
        ended = f"state IN ({_FINAL_MARKS}) AND coalesce(ended_at, created_at) < ?"
        sql = f"SELECT run_id FROM runs WHERE {ended}"  # noqa: S608 - question marks only

        def delete(connection: sqlite3.Connection) -> tuple[str, ...]:
            rows = connection.execute(sql, (*_FINAL, to_sql(before))).fetchall()
            doomed = tuple(str(row[0]) for row in rows if row[0] not in keep)
            for table in ("runs", "attempts", "placements"):
                remove = f"DELETE FROM {table} WHERE run_id=?"  # noqa: S608 - names are our own
                connection.executemany(remove, [(run_id,) for run_id in doomed])
            return doomed

        return self._write(delete)

    def _select(self, sql: str, values: Iterable[Any]) -> list[sqlite3.Row]:
        return self._transaction("BEGIN", lambda connection: connection.execute(sql, tuple(values)).fetchall())

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return self._transaction("BEGIN IMMEDIATE", work)

    def _transaction(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._lock:
            try:
                return self._once(begin, work)
            except sqlite3.DatabaseError as error:
                if is_damaged(error):
                    self._reopen(thorough=True)
                elif "locked" not in str(error):
                    self._refuse(error)
            try:
                return self._once(begin, work)
            except sqlite3.DatabaseError as error:
                self._refuse(error)

    def _refuse(self, error: sqlite3.DatabaseError) -> NoReturn:
        if isinstance(error, sqlite3.OperationalError) or is_damaged(error):
            raise ledger_error(self.path, error) from error
        raise error  # a bug of ours

    def _once(self, begin: str, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._current()
        try:
            connection.execute(begin)
            result = work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        return result

    def _current(self) -> sqlite3.Connection:
        """Give the connection; a new one if the file was set aside or deleted under us."""
        if self._closed:
            raise LedgerError(f"the ledger {self.path} is closed")
        if self._connection is None or self._identity != _identity(self.path):
            return self._reopen()
        return self._connection

    def _reopen(self, *, thorough: bool = False) -> sqlite3.Connection:
        self._disconnect()
        connection, notices = open_database(self.path, vfs=self._vfs, thorough=thorough)
        self._connection, self._identity = connection, _identity(self.path)
        self._notices.extend(notices)
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _read(self, kind: type[_Row], rows: Iterable[sqlite3.Row]) -> tuple[_Row, ...]:
        try:
            return tuple(from_sql(kind, row) for row in rows)
        except ValueError as error:
            raise LedgerError(
                f"the ledger {self.path} holds something unknown: {error}",
                "upgrade: pip install --upgrade distributed-gummy",
            ) from error


def _checked(prefix: str) -> str:
    if not prefix or not _ID_CHARACTERS.issuperset(prefix):
        raise UsageError(f"{prefix!r} is no run id", "ids look like 20261123-164548-k3f9ab; inv runs lists them")
    return prefix


def _only(prefix: str, ids: Sequence[str], what: str) -> str:
    """The one id that is meant, of those that begin so."""
    if len(ids) == 1 or prefix in ids:
        return prefix if prefix in ids else ids[0]
    if not ids:
        raise UsageError(f"no {what} has an id that begins with {prefix}", "inv runs lists them")
    more = f" and {len(ids) - _MAX_CANDIDATES} more" if len(ids) > _MAX_CANDIDATES else ""
    raise UsageError(f"{prefix} could be any of {', '.join(ids[:_MAX_CANDIDATES])}{more}", "give more of the id")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _placements(connection: sqlite3.Connection, run_id: str, now: datetime) -> tuple[Placement, ...]:
    sql = f"""
        SELECT placements.run_id, placements.host, placements.at
        FROM placements LEFT JOIN runs ON runs.run_id = placements.run_id
        WHERE placements.run_id != ? AND placements.at BETWEEN ? AND ?
        AND coalesce(runs.state, '') NOT IN ({_FINAL_MARKS})
        ORDER BY placements.at, placements.rowid"""  # noqa: S608 - question marks only
    # A little ahead of us is a process that read the clock later and got the lock sooner.
    window = (now - timedelta(seconds=PLACEMENT_WINDOW_S), now + timedelta(seconds=PLACEMENT_WINDOW_S))
    rows = connection.execute(sql, (run_id, *map(to_sql, window), *_FINAL)).fetchall()
    return tuple(Placement(row["run_id"], row["host"], to_datetime(row["at"])) for row in rows)
