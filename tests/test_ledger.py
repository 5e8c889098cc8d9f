"""The ledger: rows, choosing among processes, living through kill -9, damage, a full disk and a crowd."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgummy import ledger_schema
from dgummy.errors import ConfigError, ExitCode, UsageError
from dgummy.ledger import AttemptRow, Ledger, LedgerError, Placing, RunRow, new_run_id
from dgummy.model import Placement, RunState
from together import NUMBER, run_together

NOW = datetime(2026, 11, 23, 16, 45, 48, 123000, tzinfo=timezone.utc)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def run(run_id: str, *, age_s: float = 0.0, state: RunState = RunState.PENDING, group_id: str = "") -> RunRow:
    return RunRow(run_id, "run", "make test", later(-age_s), state=state, group_id=group_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as opened:
        yield opened


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(ledger_schema.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outputs(processes: list[subprocess.Popen[str]]) -> list[str]:
    answers = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [err for _, err, status in answers if status != 0] == []
    return [out.strip() for out, _, _ in answers]


# ---- ids


def test_run_ids_are_time_then_random_and_safe_as_names() -> None:
    assert new_run_id(NOW, lambda count: bytes(range(count))) == "20261123-164548-012345"
    assert new_run_id(NOW.astimezone(timezone(timedelta(hours=5)))).startswith("20261123-164548-")
    ids = [new_run_id(NOW) for _ in range(2000)]
    assert all(re.fullmatch(r"[0-9]{8}-[0-9]{6}-[a-z0-9]{6}", run_id) for run_id in ids)
    assert len(set(ids)) >= 1999
    assert new_run_id(later(1)) > new_run_id(NOW)


# ---- rows


def test_the_files_are_private(ledger: Ledger, path: Path) -> None:
    ledger.record(run("a"))
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    names = sorted(entry.name for entry in path.parent.iterdir())
    assert names == ["runs.db", "runs.db-shm", "runs.db-wal", "runs.lock"]
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()} == {0o600}
    assert ledger.notices == ()


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with Ledger.open(tmp_path / "runs.db") as opened:
        opened.record(run("a"))
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


texts = st.text(max_size=6)
moments = st.none() | st.datetimes(
    min_value=datetime(1990, 1, 2),
    max_value=datetime(2200, 1, 1),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-8))]),
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
amounts = st.none() | st.floats(0, 1e9)
numbers = st.none() | st.integers(-(2**31), 2**62)
rows = st.builds(
    RunRow,
    run_id=st.just(""),
    kind=st.sampled_from(["run", "task"]),
    command=texts,
    created_at=moments.map(lambda moment: moment or NOW),
    state=st.sampled_from(RunState),
    group_id=texts,
    label=texts,
    project=texts,
    host=texts,
    exit_code=numbers,
    reason=texts,
    started_at=moments,
    ended_at=moments,
    duration_s=amounts,
    cost_usd=amounts,
    branch=texts,
    fallback=st.none() | texts,
    owner=texts,
    client_pid=numbers,
)


@pytest.fixture(scope="module")
def shared_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with Ledger.open(tmp_path_factory.mktemp("ledger") / "runs.db") as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(row=rows)
def test_a_run_comes_back_as_it_was(shared_ledger: Ledger, row: RunRow) -> None:
    row = replace(row, run_id=new_run_id(NOW))
    assert shared_ledger.record(row)
    assert shared_ledger.find(row.run_id) == row


def test_odd_bytes_in_a_command_come_back(ledger: Ledger) -> None:
    row = RunRow("a", "task", "rm '\udcff\ud800' \0 ü", NOW)
    assert ledger.record(row)
    assert ledger.find("a") == row


def test_times_are_iso_text_with_milliseconds(ledger: Ledger, path: Path) -> None:
    ledger.record(RunRow("a", "run", "true", NOW.astimezone(timezone(timedelta(hours=2)))))
    assert query(path, "SELECT created_at, started_at, state FROM runs") == [
        ("2026-11-23T16:45:48.123Z", None, "pending")
    ]


def test_an_id_that_is_taken_is_not_recorded_again(ledger: Ledger) -> None:
    assert ledger.record(run("a"))
    assert not ledger.record(RunRow("a", "task", "other", NOW))
    assert ledger.find("a").command == "make test"


def test_update_changes_what_is_named_and_nothing_else(ledger: Ledger) -> None:
    ledger.record(run("a"))
    ledger.record(run("b"))
    assert ledger.update("a", state=RunState.FAILED, exit_code=2, ended_at=later(3), duration_s=3.0, host="n1")
    row = ledger.find("a")
    assert (row.state, row.exit_code, row.ended_at, row.duration_s, row.host) == (
        RunState.FAILED,
        2,
        later(3),
        3.0,
        "n1",
    )
    assert row.command == "make test"
    assert ledger.find("b") == run("b")
    assert ledger.update("a", exit_code=None)
    assert ledger.find("a").exit_code is None
    assert ledger.update("a")
    assert not ledger.update("nobody", host="n1")
    with pytest.raises(TypeError, match="run_id"):
        ledger.update("a", **{"run_id=run_id, host": "x"})  # type: ignore[arg-type]


def test_attempts_are_numbered_per_run(ledger: Ledger) -> None:
    first = AttemptRow("n1", RunState.UNREACHABLE, "connection refused", NOW, later(5))
    second = AttemptRow("n2", RunState.OK, "", later(5), later(9), 0, 4096, 0.25)
    assert ledger.add_attempt("a", first) == 1
    assert ledger.add_attempt("b", second) == 1
    assert ledger.add_attempt("a", second) == 2
    assert ledger.attempts("a") == (first, second)
    assert ledger.attempts("nobody") == ()


def test_runs_are_listed_newest_first_and_filtered(ledger: Ledger) -> None:
    ledger.record(run("old", age_s=300, state=RunState.OK))
    ledger.record(run("mid", age_s=200, state=RunState.FAILED, group_id="g"))
    ledger.record(run("new", age_s=100, state=RunState.RUNNING, group_id="g"))
    ledger.record(run("newer", age_s=100, state=RunState.OK))

    def ids(**arguments: object) -> list[str]:
        return [row.run_id for row in ledger.runs(**arguments)]  # type: ignore[arg-type]

    assert ids() == ["newer", "new", "mid", "old"]
    assert ids(limit=2) == ["newer", "new"]
    assert ids(since=later(-200)) == ["newer", "new", "mid"]
    assert ids(states=(RunState.OK, RunState.FAILED)) == ["newer", "mid", "old"]
    assert ids(group_id="g", states=[RunState.FAILED]) == ["mid"]
    assert ids(group_id="none") == []


def test_find_takes_an_unambiguous_prefix_or_last(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no runs yet"):
        ledger.find("last")
    for index, name in enumerate(["20261123-a1", "20261123-a12", "20261123-b1"]):
        ledger.record(run(name, age_s=10 - index))
    assert ledger.find("20261123-b").run_id == "20261123-b1"
    assert ledger.find("20261123-a1").run_id == "20261123-a1", "an exact id wins"
    assert ledger.find("last").run_id == "20261123-b1"
    with pytest.raises(UsageError, match="could be any of 20261123-b1, 20261123-a12, 20261123-a1") as caught:
        ledger.find("2026")
    assert caught.value.remedy
    for wrong in ("", "%", "_0261123", "20261123_b", "x", "2026\udcff", "B1"):
        with pytest.raises(UsageError):
            ledger.find(wrong)


def test_find_names_a_few_candidates_only(ledger: Ledger) -> None:
    for index in range(9):
        ledger.record(run(f"r{index}"))
    with pytest.raises(UsageError, match="and 4 more"):
        ledger.find("r")


def test_prune_takes_what_ended_before_and_all_that_belongs_to_it(ledger: Ledger, path: Path) -> None:
    def ended(name: str, age_s: float, state: RunState) -> None:
        ledger.record(RunRow(name, "run", "x", later(-999), state=state, ended_at=later(-age_s)))
        ledger.add_attempt(name, AttemptRow("n1", state))

    ended("old", 100, RunState.FAILED)
    ended("kept", 100, RunState.OK)
    ended("new", 50, RunState.OK)
    ledger.record(run("alive", age_s=9999, state=RunState.RUNNING))
    assert ledger.prune(later(-60), keep={"kept"}) == ("old",)
    assert {row.run_id for row in ledger.runs()} == {"kept", "new", "alive"}
    assert query(path, "SELECT count(*) FROM attempts") == [(2,)]


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    def work(number: int) -> None:
        for index in range(20):
            ledger.record(run(f"{number}-{index}"))
            ledger.add_attempt("shared", AttemptRow("n", RunState.OK))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.runs()) == len(ledger.attempts("shared")) == 160


INTRUDER = """
import sqlite3, sys
try:
    sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError:
    print("held")
"""


def test_two_ledgers_in_one_process_keep_their_locks(path: Path) -> None:
    """POSIX locks go when any descriptor of the file is closed: opening must not do that to another one."""
    with Ledger.open(path) as first:

        def decide(_placing: Placing) -> str:
            Ledger.open(path).close()
            code = "import sqlite3, sys\ntry: sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
            assert outputs([python(f"{code}\nexcept sqlite3.OperationalError: print('held')", path)]) == ["held"]
            return "n1"

        assert first.place("a", decide, NOW) == "n1"


# ---- choosing


def test_choosers_see_placements_of_others_that_have_not_ended(ledger: Ledger) -> None:
    seen: list[tuple[Placement, ...]] = []

    def decide(placing: Placing) -> str:
        seen.append(placing.placements)
        return "n1"

    ledger.record(run("ended"))
    for name, age_s in [
        ("stale", 121.0),
        ("ended", 60.0),
        ("unplaced", 50.0),
        ("waiting", 40.0),
        ("a", 30.0),
    ]:
        ledger.place(name, decide, later(-age_s))
    ledger.update("ended", state=RunState.OK)
    ledger.unplace("unplaced")
    assert ledger.place("a", decide, NOW) == "n1"
    assert seen[-1] == (Placement("waiting", "n1", later(-40)),), "its own earlier placement does not count"


def test_no_choice_is_noted_as_none(ledger: Ledger, path: Path) -> None:
    ledger.place("a", lambda _placing: "n1", NOW)
    assert ledger.place("a", lambda _placing: None, NOW) is None
    assert query(path, "SELECT * FROM placements") == []


def test_what_a_chooser_raises_comes_through_and_leaves_nothing(ledger: Ledger) -> None:
    def decide(placing: Placing) -> str:
        placing.set_round_robin("n9")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        ledger.place("a", decide, NOW)

    def look(placing: Placing) -> str:
        assert placing.round_robin_after() is None
        assert placing.placements == ()
        return "n1"

    assert ledger.place("b", look, NOW) == "n1"


def test_round_robin_goes_on_in_the_next_process_and_per_scope(path: Path) -> None:
    hosts = ["n1", "n2", "n3"]

    def turn(scope: str) -> str | None:
        def decide(placing: Placing) -> str:
            last = placing.round_robin_after(scope)
            host = hosts[(hosts.index(last) + 1) % 3] if last else hosts[0]
            placing.set_round_robin(host, scope)
            return host

        with Ledger.open(path) as opened:
            return opened.place(f"r{time.monotonic_ns()}", decide, NOW)

    assert [turn("dev") for _ in range(4)] == ["n1", "n2", "n3", "n1"]
    assert turn("gpu") == "n1"
    assert turn("dev") == "n2"


CHOOSER = """
import os, sys
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import Ledger
hosts = ["n1", "n2", "n3", "n4"]
def decide(placing):
    counts = Counter(placement.host for placement in placing.placements)
    return min(hosts, key=lambda host: counts[host])
with Ledger.open(Path(sys.argv[1])) as ledger:
    print(ledger.place(f"run-{os.getpid()}", decide, datetime.now(timezone.utc)))
"""


def test_forty_processes_choosing_at_once_spread_evenly(path: Path) -> None:
    """Also: forty processes that all find no ledger yet make exactly one."""
    said = run_together(40, CHOOSER, path, modules="dgummy.ledger")
    assert Counter(said) == {"n1": 10, "n2": 10, "n3": 10, "n4": 10}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["runs.db", "runs.lock"]


# ---- what it lives through

KILLED = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import AttemptRow, Ledger, RunRow
from dgummy.model import RunState
now = datetime.now(timezone.utc)
number = 0
with Ledger.open(Path(sys.argv[1])) as ledger:
    while True:
        number += 1
        name = f"{sys.argv[2]}-{number}"
        ledger.record(RunRow(name, "run", "x" * 3000, now))
        ledger.add_attempt(name, AttemptRow("n1", RunState.OK))
        ledger.update(name, state=RunState.OK)
        print(name, flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_committed(path: Path) -> None:
    dice = random.Random(7)
    for turn in range(4):
        writers = [python(KILLED, path, f"w{turn}{index}") for index in range(3)]
        # From the very first moments, when the file is being made; the last time, in the middle of things.
        first = [writer.stdout.readline() for writer in writers if writer.stdout and turn == 3]
        time.sleep(dice.uniform(0.03, 0.4) + 0.1 * turn)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        said = first + [line for writer in writers for line in writer.communicate()[0].splitlines(keepends=True)]
        claimed = {line.strip() for line in said if line.endswith("\n")}
        with Ledger.open(path) as opened:
            assert opened.notices == ()
            rows_there = {row.run_id: row for row in opened.runs()}
        assert claimed <= rows_there.keys()
        assert all(rows_there[name].state is RunState.OK for name in claimed)
    assert len(claimed) > len(first) > 0, "hardly anything was written: the test shows nothing"
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


CROWD = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import AttemptRow, Ledger, RunRow
from dgummy.model import RunState
now = datetime.now(timezone.utc)
with Ledger.open(Path(sys.argv[1])) as ledger:
    for number in range(5):
        name = f"{sys.argv[2]}-{number}"
        assert ledger.record(RunRow(name, "run", "true", now))
        ledger.place(name, lambda placing: "n1", now)
        ledger.add_attempt(name, AttemptRow("n1", RunState.OK))
        assert ledger.update(name, state=RunState.OK, ended_at=now)
    assert ledger.notices == ()
"""


@pytest.mark.slow
@pytest.mark.crowd
@pytest.mark.parametrize(("vfs", "processes"), [("", 200), ("unix-dotfile", 40)])
def test_a_crowd_of_writers_all_get_through(path: Path, processes: int, vfs: str) -> None:
    code = CROWD.replace("[1]))", f"[1]), vfs={vfs!r})")
    if vfs:  # its locks are waited for by trying again: one by one, as processes of their own come
        outputs([python(code, path, index) for index in range(processes)])
    else:
        assert run_together(processes, code, path, NUMBER, modules="dgummy.ledger") == []
    with Ledger.open(path) as opened:
        assert len(opened.runs(states=[RunState.OK])) == processes * 5


def test_without_shared_memory_the_journal_is_an_ordinary_one(path: Path) -> None:
    with Ledger.open(path, vfs="unix-dotfile") as opened:
        assert opened.record(run("a"))
    with Ledger.open(path, vfs="unix-dotfile") as opened:
        assert opened.find("a") == run("a")
    assert query(path, "PRAGMA journal_mode") == [("delete",)]


def test_where_it_can_the_journal_is_a_wal(ledger: Ledger, path: Path) -> None:
    assert query(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize(
    ("folder", "network"),
    [
        ("/home/me", True),
        ("/home/me/my disk/x", False),
        ("/home/metoo", False),
        ("/srv", False),
        ("/over", False),
    ],
)
def test_network_folders_are_known_by_the_mount_table(folder: str, network: bool) -> None:
    mountinfo = (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:40 / /home/me rw,relatime shared:2 master:7 - nfs4 server:/home/me rw\n"
        "41 40 8:2 / /home/me/my\\040disk rw - xfs /dev/sdb1 rw\n"
        "42 22 0:41 / /over rw - cifs //server/x rw\n"
        "43 22 0:42 / /over rw - tmpfs tmpfs rw\n"
        "nonsense\n"
    )
    assert ledger_schema.on_network_file_system(Path(folder), mountinfo) is network


def test_a_newer_schema_is_refused_with_advice_and_left_alone(path: Path) -> None:
    Ledger.open(path).close()
    query(path, f"PRAGMA user_version={ledger_schema.SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer dgummy") as caught:
        Ledger.open(path)
    assert caught.value.code is ExitCode.CONFIG
    assert "upgrade" in caught.value.remedy
    assert path.read_bytes() == before


def test_an_older_schema_is_brought_up_with_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger.open(path) as opened:
        opened.record(run("a"))
    more = (*ledger_schema.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN novel TEXT", "CREATE TABLE other (x)"))
    monkeypatch.setattr(ledger_schema, "MIGRATIONS", more)
    monkeypatch.setattr(ledger_schema, "SCHEMA_VERSION", len(more))
    with Ledger.open(path) as opened:
        assert opened.find("a") == run("a")
    assert query(path, "PRAGMA user_version") == [(len(more),)]
    assert query(path, "SELECT novel FROM runs") == [(None,)]


def test_a_ledger_of_the_first_schema_keeps_its_runs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(ledger_schema, "MIGRATIONS", ledger_schema.MIGRATIONS[:1])
        before.setattr(ledger_schema, "SCHEMA_VERSION", 1)
        Ledger.open(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as older:
        columns = "run_id, kind, command, state, created_at"
        older.execute(f"INSERT INTO runs ({columns}) VALUES ('a', 'run', 'true', 'ok', '2026-11-23T16:45:48.123Z')")
    with Ledger.open(path) as opened:
        assert (opened.find("a").command, opened.find("a").request) == ("true", "")


def test_an_upgrade_that_fails_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.open(path).close()
    more = (*ledger_schema.MIGRATIONS, ("CREATE TABLE other (x)", "CREATE TABLE runs (x)"))
    monkeypatch.setattr(ledger_schema, "MIGRATIONS", more)
    monkeypatch.setattr(ledger_schema, "SCHEMA_VERSION", len(more))
    with pytest.raises(LedgerError):
        Ledger.open(path)
    assert query(path, "PRAGMA user_version") == [(len(more) - 1,)]
    assert query(path, "SELECT count(*) FROM sqlite_master WHERE name='other'") == [(0,)]


@pytest.mark.parametrize(
    "content", [b"garbage", b"\0" * 4096, b"not sqlite\n" * 2000, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_file_that_is_no_database_is_kept_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with Ledger.open(path) as opened:
        assert opened.record(run("a"))
        (notice,) = opened.notices
    (aside,) = path.parent.glob("runs.db.corrupt-*")
    assert re.fullmatch(r"runs\.db\.corrupt-\d{8}T\d{6}Z", aside.name)
    assert aside.read_bytes() == content
    assert aside.name in notice
    with Ledger.open(path) as opened:
        assert opened.notices == ()
        assert opened.find("a") == run("a")


def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with Ledger.open(path) as opened:
        assert opened.record(run("a"))
        assert opened.notices == ()


def fill_and_spoil(path: Path) -> None:
    with Ledger.open(path) as opened:
        for index in range(200):
            opened.record(RunRow(f"r{index:03}", "run", "x" * 500, NOW))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 2))


def test_damage_that_shows_only_in_use_is_dealt_with_in_use(path: Path) -> None:
    fill_and_spoil(path)
    with Ledger.open(path) as opened:
        at_first = opened.notices
        assert at_first == (), "if opening saw it, this test is not about what it says"
        assert opened.runs() == ()
        assert len(opened.notices) == 1
        assert opened.record(run("a"))
        assert opened.find("a") == run("a")
    assert len(list(path.parent.glob("runs.db.corrupt-*Z"))) == 1


def test_a_truncated_file_is_dealt_with(path: Path) -> None:
    with Ledger.open(path) as opened:
        for index in range(200):
            opened.record(RunRow(f"r{index:03}", "run", "x" * 500, NOW))
    os.truncate(path, path.stat().st_size // 2)
    with Ledger.open(path) as opened:
        opened.runs()
        assert opened.record(run("a"))
        assert len(opened.notices) == 1
        assert opened.find("a") == run("a")


RECOVERER = """
import sys, time
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import Ledger, RunRow
time.sleep(max(0, float(sys.argv[3]) - time.time()))
with Ledger.open(Path(sys.argv[1])) as ledger:
    ledger.runs()
    ledger.record(RunRow(sys.argv[2], "run", "true", datetime.now(timezone.utc)))
    print(len(ledger.notices))
"""


def test_many_that_find_the_damage_at_once_set_one_file_aside(path: Path) -> None:
    fill_and_spoil(path)
    said = outputs([python(RECOVERER, path, f"p{index}", time.time() + 1.5) for index in range(12)])
    assert sorted(said) == ["0"] * 11 + ["1"]
    assert len(list(path.parent.glob("runs.db.corrupt-*Z"))) == 1
    with Ledger.open(path) as opened:
        assert len(opened.runs()) == 12


def test_a_damaged_file_is_set_aside_under_the_lock_only(path: Path) -> None:
    fill_and_spoil(path)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = python(RECOVERER, path, "a", 0)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1.5)
        assert list(path.parent.glob("runs.db.corrupt-*")) == []
    assert outputs([process]) == ["1"]


def test_a_file_deleted_under_us_is_made_again(ledger: Ledger, path: Path) -> None:
    ledger.record(run("a"))
    shutil.rmtree(path.parent)
    assert ledger.record(run("b"))
    assert query(path, "SELECT run_id FROM runs") == [("b",)]


def test_a_closed_ledger_says_so(path: Path) -> None:
    opened = Ledger.open(path)
    opened.close()
    opened.close()
    with pytest.raises(LedgerError, match="closed"):
        opened.runs()


def test_a_state_of_a_later_version_is_an_error_with_advice(ledger: Ledger, path: Path) -> None:
    ledger.record(run("a"))
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE runs SET state='levitating'")
    connection.close()
    with pytest.raises(LedgerError, match="levitating") as caught:
        ledger.runs()
    assert "upgrade" in caught.value.remedy


def test_a_state_folder_that_cannot_be_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError) as caught:
        Ledger.open(tmp_path / "file" / "state" / "runs.db")
    assert caught.value.code is ExitCode.TRY_AGAIN
    assert caught.value.remedy


FULL = """
import resource, sys
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import Ledger, LedgerError, RunRow
now = datetime.now(timezone.utc)
with Ledger.open(Path(sys.argv[1])) as ledger:
    if sys.argv[2] == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    number = 0
    try:
        while number < 100_000:
            ledger.record(RunRow(f"r{number}", "run", "x" * 5000, now))
            number += 1
    except LedgerError as error:
        print(error.message, "|", error.remedy)
    for filler in Path(sys.argv[1]).parents[1].glob("filler"):
        filler.unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert ledger.record(RunRow("after", "run", "true", now))
    print(number)
    assert len(ledger.runs()) == number + 1, (len(ledger.runs()), number)
"""


def test_a_write_that_fails_is_a_typed_error_and_the_ledger_goes_on(path: Path) -> None:
    (said,) = outputs([python(FULL, path, "limit")])
    message, number = said.splitlines()
    assert "cannot be used" in message
    assert int(number) > 10
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_is_said_and_the_ledger_goes_on(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        (disk / "filler").write_bytes(b"x" * 1_000_000)
        (said,) = outputs([python(FULL, disk / "state" / "runs.db", "disk")])
        message, number = said.splitlines()
        assert "full" in message
        assert "free some space" in message
        assert int(number) > 10
        assert query(disk / "state" / "runs.db", "PRAGMA integrity_check") == [("ok",)]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


READ_ONLY = """
import os, sys
from datetime import datetime, timezone
from pathlib import Path
from dgummy.ledger import Ledger, LedgerError, RunRow
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
path = Path(sys.argv[1])
for folder in (path, path / "new"):
    try:
        with Ledger.open(folder / "runs.db") as ledger:
            ledger.record(RunRow("a", "run", "true", datetime.now(timezone.utc)))
    except LedgerError as error:
        print(error.message, "|", error.remedy)
"""


def test_a_read_only_folder_is_a_typed_error() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder)
        with Ledger.open(root / "runs.db") as opened:
            opened.record(run("a"))
        (root / "runs.db").chmod(0o444)
        root.chmod(0o555)
        try:
            (said,) = outputs([python(READ_ONLY, root)])
        finally:
            root.chmod(0o755)
        assert len(said.splitlines()) == 2
        assert said.count("make the folder writable") == 2


def test_what_was_spent(ledger: Ledger) -> None:
    """By day and project: of runs that ended, of one under way, of a try that told more, of one overnight."""
    assert ledger.spent_usd() == 0.0

    def spend(name: str, cost_usd: float | None, project: str, began_s: float, ended_s: float | None) -> None:
        row = replace(run(f"20261123-000000-{name}", age_s=-began_s), project=project, cost_usd=cost_usd)
        assert ledger.record(replace(row, ended_at=None if ended_s is None else later(ended_s)))

    spend("ended1", 1.0, "/a", 10, 20)
    spend("underway", 0.5, "/a", 30, None)
    spend("silent", None, "/a", 30, 40)
    spend("overnight", 4.0, "/b", -100, 5)
    spend("before", 8.0, "/b", -100, -50)
    spend("started", None, "/c", 1, 2)
    ledger.add_attempt("20261123-000000-started", AttemptRow("h", RunState.FAILED, cost_usd=16.0))
    ledger.add_attempt("20261123-000000-started", AttemptRow("h", RunState.OK, cost_usd=32.0))
    ledger.add_attempt("20261123-000000-ended1", AttemptRow("h", RunState.OK, cost_usd=1.0))  # the same money
    assert ledger.spent_usd(NOW) == pytest.approx(1 + 0.5 + 4 + 16 + 32)
    assert ledger.spent_usd(project="/a") == pytest.approx(1.5)
    assert ledger.spent_usd(project="/b") == pytest.approx(12)
    assert ledger.spent_usd(NOW, "/b") == pytest.approx(4)
    assert ledger.spent_usd(project="/nowhere") == 0.0
    assert ledger.spent_usd(later(3600)) == 0.0
