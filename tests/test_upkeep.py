"""Old runs are cleared away on both sides and nothing else; a lost ledger is filled again from the hosts."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from cli_lab import Desk, open_desk
from dgummy import lab as dlab
from dgummy.asked import Asked, Meta
from dgummy.chooser import Wish
from dgummy.cluster import Cluster
from dgummy.intake import RunOptions
from dgummy.ledger import Ledger
from dgummy.ledger_rows import RunRow
from dgummy.model import RunState
from dgummy.reconcile import Report
from dgummy.transport.framing import Data, Fact
from dgummy.upkeep import (
    MAYBE_ALIVE,
    OTHERS,
    SILENT,
    UNCOLLECTED,
    UNFINISHED,
    Found,
    Listing,
    Terms,
    Upkeep,
    plan,
    row_of,
)
from dgummy.waiting import wait
from labs import fresh_id

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=timezone.utc)
DAY_S = 86400
HOST_NOW = 9_000_000
TERMS = Terms(NOW, 30 * DAY_S, "me@here")


def row(run_id: str = "r1", *, days: float = 40, **known: object) -> RunRow:
    when = NOW - timedelta(days=days)
    own = {"run_id": run_id, "kind": "run", "command": "make", "created_at": when, "ended_at": when, "owner": "me@here"}
    return RunRow(**{**own, "state": RunState.OK, "host": "a", **known})  # type: ignore[arg-type]


def found(run_id: str = "r1", standing: str = "ended", *, days: float = 40, **known: object) -> Found:
    then = HOST_NOW - int(days * DAY_S)
    times = {"claimed": then - 5, "ended": then if standing == "ended" else None}
    report = Report(run_id, standing, HOST_NOW, rest_alive=bool(known.pop("rest_alive", False)), **times)  # type: ignore[arg-type]
    return Found(report, **{"owner": "me@here", **known})  # type: ignore[arg-type]


# -- what may go -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "branch", "state", "expected"),
    [
        ("task", "", RunState.OK, True),
        ("task", "", RunState.FAILED, True),
        ("task", "", RunState.CANCELLED, True),
        ("task", "", RunState.LOST, True),
        ("task", "", RunState.SKIPPED, False),
        ("task", "", RunState.UNREACHABLE, False),
        ("task", "dgummy/r1", RunState.OK, False),
        ("run", "", RunState.OK, False),
    ],
)
def test_what_is_uncollected(kind: str, branch: str, state: RunState, expected: bool) -> None:
    assert row(kind=kind, branch=branch, state=state).is_uncollected is expected


@pytest.mark.parametrize(
    ("known", "there", "why"),
    [
        ({}, found(), ""),
        ({}, None, ""),
        ({"host": ""}, None, ""),
        ({}, found(standing="void"), ""),
        ({"days": 29.9}, found(), "young"),
        ({"days": 40, "ended_at": NOW}, found(), "young"),
        ({"days": 40, "ended_at": None}, found(), ""),
        *[({"state": state}, found(), UNFINISHED) for state in RunState if not state.is_final],
        ({"host": "silent"}, None, SILENT),
        ({"kind": "task"}, found(), UNCOLLECTED),
        ({"kind": "task", "branch": "dgummy/r1"}, found(), ""),
        ({"kind": "task", "state": RunState.SKIPPED}, None, ""),
        ({"state": RunState.LOST}, found(standing="lost", rest_alive=True), MAYBE_ALIVE),
        ({"state": RunState.LOST}, found(standing="lost"), ""),
        ({"state": RunState.LOST}, found(standing="running"), MAYBE_ALIVE),
        ({"state": RunState.LOST, "host": "silent"}, None, SILENT),
        ({"state": RunState.OK}, found(standing="running"), MAYBE_ALIVE),
    ],
)
def test_which_rows_go(known: dict[str, object], there: Found | None, why: str) -> None:
    planned = plan([row(**known)], {"a": {"r1": there} if there else {}, "b": {}}, {"silent"}, TERMS)  # type: ignore[arg-type]
    if why:
        assert (planned.rows, planned.folders) == ((), {})
        assert planned.kept == ({} if why == "young" else {"r1": why})
    else:
        assert planned.rows == ("r1",)
        assert planned.folders == ({"a": ("r1",)} if there else {})


@pytest.mark.parametrize(
    ("there", "terms", "why"),
    [
        (found(), TERMS, ""),
        (found(standing="void"), TERMS, ""),
        (found(days=29.9), TERMS, "young"),
        (found(owner="you@there"), TERMS, OTHERS),
        (found(owner=""), TERMS, OTHERS),
        (found(owner="you@there"), replace(TERMS, all_owners=True), ""),
        (found(owner="", days=1), replace(TERMS, all_owners=True), "young"),
        (found(standing="running"), TERMS, UNFINISHED),
        (found(standing="claimed"), TERMS, UNFINISHED),
        (found(standing="lost"), TERMS, MAYBE_ALIVE),
        (found(kind="task"), TERMS, UNCOLLECTED),
        (found(kind="task"), replace(TERMS, uncollected=True), ""),
        (found(kind="task", standing="void"), TERMS, ""),
        (Found(Report("r1", "void", HOST_NOW), owner="me@here"), TERMS, "young"),
        (Found(Report("r1", "void", HOST_NOW), owner="me@here", old=True), TERMS, ""),
    ],
)
def test_which_folders_go_that_the_ledger_does_not_know(there: Found, terms: Terms, why: str) -> None:
    planned = plan([], {"a": {"r1": there}}, (), terms)
    assert planned.rows == ()
    assert planned.folders == ({} if why else {"a": ("r1",)})
    assert planned.kept == ({"r1": why} if why and why != "young" else {})


def test_a_run_that_was_called_off_on_one_host_and_ran_on_another_goes_from_both() -> None:
    here, there = found(standing="void", owner=""), found()
    assert plan([row()], {"a": {"r1": there}, "b": {"r1": here}}, (), TERMS).folders == {"a": ("r1",), "b": ("r1",)}
    kept = plan([row(days=1)], {"a": {"r1": there}, "b": {"r1": here}}, (), TERMS)
    assert (kept.rows, kept.folders) == ((), {})


# -- what a host remembers -------------------------------------------------------------------------------------------


def test_a_row_for_what_only_its_host_remembers() -> None:
    meta = Meta("task", "g1", "part", "/home/me/x", "~/x", "api", "fix it", Asked(mode="task"))
    report = Report("r1", "ended", HOST_NOW, HOST_NOW - 100, HOST_NOW - 90, HOST_NOW - 30, 3, "exited")
    plain = row_of("a", Found(report, "", "me@here", "/work/x", "make test"), NOW)
    assert plain == RunRow(
        run_id="r1",
        kind="run",
        command="make test",
        created_at=NOW - timedelta(seconds=100),
        state=RunState.FAILED,
        remote_dir="/work/x",
        host="a",
        exit_code=3,
        reason="exit code 3",
        started_at=NOW - timedelta(seconds=90),
        ended_at=NOW - timedelta(seconds=30),
        duration_s=60.0,
        owner="me@here",
    )
    task = row_of("a", Found(report, "task", "me@here", "", "gummy task 'fix it'", meta), NOW)
    assert task is not None
    assert (task.kind, task.command, task.group_id, task.label) == ("task", "fix it", "g1", "part")
    assert (task.project, task.remote_dir, task.task_type) == ("/home/me/x", "~/x", "api")
    assert task.request == '{"mode": "task"}'
    assert (task.state, task.exit_code) == (RunState.RUNNING, None)  # an exit code alone proves nothing


@pytest.mark.parametrize(
    ("standing", "state"),
    [("running", RunState.RUNNING), ("claimed", RunState.RUNNING), ("lost", RunState.LOST), ("void", RunState.SKIPPED)],
)
def test_a_row_for_what_is_not_over(standing: str, state: RunState) -> None:
    made = row_of("a", Found(Report("r1", standing, HOST_NOW, HOST_NOW - 9)), NOW)
    assert made is not None and made.state is state
    assert row_of("a", Found(Report("r1", standing, HOST_NOW)), NOW) is None  # nothing was started of it


def test_a_listing_takes_what_makes_sense() -> None:
    hear = Listing()
    for frame in (
        Fact("owner", "before anything"),
        Data("command", b"lost"),
        Fact("report", "r1 ended 9 1 2 3 0 exited - "),
        Fact("kind", "sculpture"),
        Fact("owner", "me@here"),
        Data("command", b"a\xff"),
        Data("command", b"b"),
        Data("meta", b"task\n{broken"),
        Fact("report", "../r2 ended 9 1 2 3 0 exited - "),
        Fact("owner", "of the one that was left out"),
        Fact("report", "r3 void 9 - - - - - - "),
        Fact("old", "r3"),
    ):
        hear(frame)
    heard = hear.found()
    assert list(heard) == ["r1", "r3"]
    assert (heard["r1"].kind, heard["r1"].owner, heard["r1"].command, heard["r1"].meta) == (
        "",
        "me@here",
        "a\udcffb",
        None,
    )
    assert heard["r3"].old and heard["r3"].owner == ""


# -- on real nodes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("upkeep"), 2) as made:
        yield made


@pytest.fixture
def here(own: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Runs of this process on this machine are the client's too."""
    monkeypatch.setenv("HOME", str(own.home))
    return own


def start(cluster: Cluster, command: str, host: str = "node-1", **options: object) -> str:
    done = cluster.run(command, Wish(hosts=(host,)), RunOptions(sync=False, detach=True, **options))  # type: ignore[arg-type]
    assert done.state is RunState.RUNNING, done
    return done.run_id


def wait_all(cluster: Cluster, *run_ids: str) -> None:
    _, timed_out = wait(cluster.history, cluster.history.find(run_ids), 60)
    assert not timed_out


def make_old(desk: Desk, run_id: str, host: str = "node-1", days: float = 40) -> None:
    """Let a run have been over for so long, on both sides."""
    folder = desk.nodes.run_dir(host, run_id)
    then = int(time.time() - days * DAY_S)
    if folder.exists():
        claim = (folder / "claim").read_text().splitlines()
        (folder / "claim").write_text("\n".join([str(then - 5), *claim[1:], ""]))
    if (folder / "exit").exists():
        code, reason, *_ = (folder / "exit").read_text().split()
        (folder / "exit").write_text(f"{code} {reason} {then}\n")
    when = datetime.fromtimestamp(then, timezone.utc)
    with Ledger.open(desk.lab.directory / "state/runs.db") as ledger:
        known = ledger.find(run_id)
        if known.state.is_final:
            ledger.update(run_id, ended_at=when)


def folders(desk: Desk, host: str) -> set[str]:
    runs = desk.nodes.home_of(host) / ".local/state/dgummy/runs"
    return {path.name for path in runs.iterdir()} if runs.exists() else set()


def ids(desk: Desk) -> set[str]:
    return {each.run_id for each in desk.nodes.ledger()}


def forget(desk: Desk, *run_ids: str) -> None:
    """Take rows out of the ledger."""
    with Ledger.open(desk.lab.directory / "state/runs.db") as ledger:
        keep = {each.run_id for each in ledger.runs()} - set(run_ids)
        gone = ledger.prune(datetime.now(timezone.utc) + timedelta(days=1), keep)
        assert set(gone) == set(run_ids)


@pytest.mark.lab
def test_prune_takes_what_is_old_and_over_from_both_sides(here: Desk) -> None:
    with here.nodes.cluster(here.project) as cluster:
        old, young, other = (start(cluster, f"exit {code}") for code in (0, 1, 2))
        orphan, theirs = start(cluster, "exit 3", "node-2"), start(cluster, "exit 4", "node-2")
        local, running = start(cluster, "exit 5", "local"), start(cluster, "sleep 60", "node-2")
        agent = cluster.task("improve the docs", "task", Wish(hosts=("node-1",)), RunOptions(detach=True)).run_id
        wait_all(cluster, old, young, other, orphan, theirs, local, agent)
        for run_id, host in [
            (old, "node-1"),
            (other, "node-1"),
            (agent, "node-1"),
            (orphan, "node-2"),
            (theirs, "node-2"),
        ]:
            make_old(here, run_id, host)
        make_old(here, running, "node-2")
        cluster.journal.update(local, ended_at=datetime.now(timezone.utc) - timedelta(days=40))
        claim = here.nodes.run_dir("node-2", theirs) / "claim"
        claim.write_text(claim.read_text().replace("tester@here", "somebody@else"))
        forget(here, orphan, theirs)
        dry = Upkeep(cluster.history).prune(30 * DAY_S, dry=True)
        assert (dry.dry, dry.rows, dry.folders) == (True, 3, {"node-1": 2, "node-2": 1, "local": 1})
        assert old in ids(here) and old in folders(here, "node-1")
        done = Upkeep(cluster.history).prune(30 * DAY_S)
        assert (done.dry, done.rows, done.folders) == (False, dry.rows, dry.folders)
        assert done.kept == {UNCOLLECTED: 1, OTHERS: 1}
        assert list(done.silent) == ["node-3"]
        assert ids(here) == {young, running, agent}
        assert folders(here, "node-1") == {young, agent}
        assert folders(here, "node-2") == {theirs, running}
        assert not (here.home / ".local/state/dgummy/runs" / local).exists()
        all_of_it = Upkeep(cluster.history).prune(30 * DAY_S, all_owners=True, uncollected=True)
        assert (all_of_it.rows, all_of_it.folders) == (1, {"node-1": 1, "node-2": 1})
        assert here.nodes.active_runs("node-2")
        cluster.run(
            f"kill -9 -{here.nodes.active_runs('node-2')[running][1]}", Wish(hosts=("node-2",)), RunOptions(sync=False)
        )


@pytest.mark.lab
def test_prune_keeps_what_its_host_does_not_answer_for(here: Desk) -> None:
    with here.nodes.cluster(here.project) as cluster:
        one, two = start(cluster, "true"), start(cluster, "true", "node-2")
        wait_all(cluster, one, two)
        make_old(here, one)
        make_old(here, two, "node-2")
        dlab.stop(here.lab, "node-2")
        done = here.inv("runs.prune", "--older", "30d")
        assert done.code == 1, done
        assert "1 run removed from the ledger\nnode-1: 1 folder removed\n" in done.out
        assert f"kept 1 run: {SILENT}" in done.out
        assert re.search(r"^✗ node-2: connection refused.*; nothing of it was touched$", done.err, re.MULTILINE)
        assert ids(here) == {two} and folders(here, "node-2") == {two}
        dlab.start(here.lab, "node-2")


@pytest.mark.lab
def test_prune_asks_how_old_and_shows_before_it_does(own: Desk) -> None:
    for words, said in [
        ([], "--older is missing"),
        (["--older", "soon"], "--older"),
        (["--older", "0"], "no time at all"),
    ]:
        done = own.inv("runs.prune", *words)
        assert done.code == 64, done
        what, remedy = done.err.splitlines()
        assert said in what and remedy == "  for example --older 30d"
    document = own.inv("runs.prune", "--older", "1d", "--dry", "--json").document("runs-prune")
    assert (document["dry"], document["runs"], document["hosts"]) == (True, 0, [])
    assert [entry["host"] for entry in document["silent"]] == ["node-3"]


@pytest.mark.lab
def test_a_damaged_ledger_is_filled_again(here: Desk) -> None:
    with here.nodes.cluster(here.project) as cluster:
        good, bad = start(cluster, "echo good"), start(cluster, "printf '%s' 'it'; exit 7", "node-2")
        local = start(cluster, "exit 3", "local")
        task = cluster.task("improve the docs", "task", Wish(hosts=("node-1",)), RunOptions(detach=True)).run_id
        limited = cluster.task(
            "try [standin:rate-limit]", "task", Wish(hosts=("node-2",)), RunOptions(detach=True)
        ).run_id
        wait_all(cluster, good, bad, local, task, limited)
        running = start(cluster, "sleep 60", "node-2")
        before = {each.run_id: each for each in here.nodes.ledger()}
        called_off = fresh_id()
        folder = here.nodes.run_dir("node-1", called_off)
        folder.joinpath("launch").mkdir(parents=True)
        folder.joinpath("void").write_text("")
        db = here.lab.directory / "state/runs.db"
    for path in db.parent.glob("runs.db-*"):
        path.unlink()
    db.write_bytes(b"this is no database\n" * 500)
    with here.nodes.cluster(here.project) as cluster:
        done = Upkeep(cluster.history).rebuild()
        assert done.added == {"node-1": 2, "node-2": 3, "local": 1}
        assert list(done.silent) == ["node-3"]
        again = Upkeep(cluster.history).rebuild()
        assert set(again.added.values()) == {0} and again.known == {"node-1": 2, "node-2": 3, "local": 1}
    assert list(db.parent.glob("runs.db.corrupt-*"))
    after = {each.run_id: each for each in here.nodes.ledger()}
    assert after.keys() == before.keys()
    for run_id, old in before.items():
        new = after[run_id]
        same = ("kind", "command", "state", "exit_code", "host", "project", "task_type", "request", "owner", "cost_usd")
        assert {name: getattr(new, name) for name in same} == {name: getattr(old, name) for name in same}, run_id
        if run_id != running:
            assert new.ended_at and old.ended_at and abs((new.ended_at - old.ended_at).total_seconds()) < 5
        assert abs((new.created_at - old.created_at).total_seconds()) < 10
    assert after[limited].state is RunState.FAILED and after[running].state is RunState.RUNNING
    assert after[task].remote_dir == before[task].remote_dir
    cancelled = here.inv("cancel", running)
    assert cancelled.code == 0, cancelled


@pytest.mark.lab
def test_rebuild_takes_its_own_and_folders_from_before_there_was_more_in_them(own: Desk) -> None:
    done = own.inv("run", "--no-sync", "--host", "node-1", "exit 6")
    assert done.code == 6
    (mine,) = own.nodes.ledger()
    theirs = fresh_id()
    shutil.copytree(own.nodes.run_dir("node-1", mine.run_id), own.nodes.run_dir("node-1", theirs))
    claim = own.nodes.run_dir("node-1", theirs) / "claim"
    claim.write_text(claim.read_text().replace(mine.owner, "somebody@else"))
    (own.nodes.run_dir("node-1", mine.run_id) / "meta").unlink()
    for path in (own.lab.directory / "state").glob("runs.db*"):
        path.unlink()
    document = own.inv("runs.rebuild", "--json").document("runs-rebuild")
    assert {entry["host"]: entry["added"] for entry in document["hosts"]} == {"node-1": 1, "node-2": 0, "local": 0}
    (known,) = own.nodes.ledger()
    assert (known.run_id, known.kind, known.command, known.exit_code) == (mine.run_id, "run", "exit 6", 6)
    assert own.inv("wait", "last").code == 6
    everybody = own.inv("runs.rebuild", "--all-owners")
    assert everybody.code == 1  # one host is down
    assert "node-1: 1 run added, 1 known already\n" in everybody.out
    assert ids(own) == {mine.run_id, theirs}


@pytest.mark.lab
def test_a_hostile_folder_on_a_host_harms_nobody(own: Desk) -> None:
    runs = own.nodes.home_of("node-1") / ".local/state/dgummy/runs"
    folder = runs / fresh_id()
    folder.mkdir(parents=True)
    (folder / "claim").write_text(f"1\nboot\n\n{own_owner(own)}\n")
    (folder / "exit").write_text("0 exited 2\n")
    (folder / "command").write_bytes(b"\x1b]0;title\x07\x1b[31mecho 'x\xff\n$(touch /tmp/hostile)\n")
    (folder / "meta").write_bytes(
        b"run\n" + b'{"group_id": "../../x\\u001b[2J", "label": "\\u001b[2J", "kind": "\\u0000"}\n'
    )
    outside = own.home / "outside"
    outside.mkdir()
    (runs / "..evil").mkdir()
    (runs / "link").symlink_to(outside)
    assert own.inv("runs.rebuild").code == 1
    shown = own.inv("runs")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown.out + shown.err), shown
    (entry,) = own.inv("runs", "--host", "node-1", "--json").document("runs")["runs"][1:]
    assert (entry["group_id"], entry["label"], entry["kind"]) == (None, None, "run")
    done = own.inv("runs.prune", "--older", "1d")
    assert "1 run removed from the ledger" in done.out, done
    assert not folder.exists() and outside.exists() and (runs / "..evil").exists() and (runs / "link").exists()


def own_owner(desk: Desk) -> str:
    desk.inv("run", "--no-sync", "true")
    return desk.nodes.ledger()[0].owner
