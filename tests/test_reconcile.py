"""What a host's answer means for a run in the ledger: tables of cases."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from dgummy.model import RunState
from dgummy.reconcile import (
    CLIENT_GONE,
    FORGOTTEN,
    LAUNCH_S,
    START_S,
    CallOff,
    Client,
    Decision,
    Report,
    Verdict,
    decide,
    is_run_id,
    read_report,
    read_reports,
)
from dgummy.transport.framing import Fact

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=timezone.utc)
HOST_NOW = 5_000_000  # a clock of its own, years behind ours


def report(standing: str, **known: object) -> Report:
    return Report("r1", standing, HOST_NOW, **known)  # type: ignore[arg-type]


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


TIMES = {"claimed": HOST_NOW - 100, "launched": HOST_NOW - 98, "ended": HOST_NOW - 8}


@pytest.mark.parametrize(
    ("code", "word", "state", "reason"),
    [
        (0, "exited", RunState.OK, ""),
        (3, "exited", RunState.FAILED, "exit code 3"),
        (124, "timed_out", RunState.TIMED_OUT, "the time limit passed; its process group was ended"),
        (130, "cancelled", RunState.CANCELLED, "cancelled; its process group was ended"),
        (None, "", RunState.FAILED, "exit code 255"),
    ],
)
@pytest.mark.parametrize("was", [RunState.PENDING, RunState.SYNCING, RunState.RUNNING, RunState.LOST])
@pytest.mark.parametrize("client", list(Client))
def test_what_is_over_is_over_whatever_we_thought(
    was: RunState, client: Client, code: int | None, word: str, state: RunState, reason: str
) -> None:
    found = decide(was, report("ended", code=code, word=word, **TIMES), client, 0, NOW)
    assert found == Verdict(state, 255 if code is None else code, reason, ago(98), ago(8), 90.0)


@pytest.mark.parametrize(
    ("was", "told", "client", "age_s", "expected"),
    [
        (RunState.SYNCING, {"standing": "running"}, Client.GONE, 0, Verdict(RunState.RUNNING)),
        (RunState.LOST, {"standing": "running"}, Client.ALIVE, 0, Verdict(RunState.RUNNING)),
        (
            RunState.RUNNING,
            {"standing": "running", "claimed": HOST_NOW - 9, "launched": HOST_NOW - 7},
            Client.GONE,
            0,
            Verdict(RunState.RUNNING, started_at=ago(7)),
        ),
        (
            RunState.RUNNING,
            {"standing": "lost", "why": "it fell"},
            Client.GONE,
            0,
            Verdict(RunState.LOST, None, "it fell"),
        ),
        (
            RunState.RUNNING,
            {"standing": "lost", "why": "it fell", "rest_alive": True},
            Client.GONE,
            0,
            Verdict(RunState.LOST, None, "it fell; its command may still be at work there"),
        ),
        # Called off: by whom, and so what for.
        *[
            (was, {"standing": "void", "word": word}, Client.GONE, 0, Verdict(state, code, reason))
            for was in (RunState.PENDING, RunState.RUNNING, RunState.LOST)
            for word, state, code, reason in [
                ("cancelled", RunState.CANCELLED, 130, "cancelled before it started"),
                ("", RunState.SKIPPED, None, "it was called off before it started"),
                (CLIENT_GONE, RunState.SKIPPED, None, "its client ended before it was started"),
                (
                    FORGOTTEN,
                    RunState.LOST,
                    None,
                    "its host does not know it: it never began there, or its folder was removed",
                ),
            ]
        ],
        # Not begun: a client that lives sees to it, also one that we cannot see but that began a moment ago.
        *[
            (was, {"standing": standing, "claimed": HOST_NOW - 3000}, client, age_s, None)
            for was in (RunState.PENDING, RunState.SYNCING, RunState.RUNNING, RunState.LOST)
            for standing in ("absent", "claimed")
            for client, age_s in ((Client.ALIVE, 1e6), (Client.UNKNOWN, START_S - 1))
        ],
        *[
            (was, {"standing": "absent"}, client, age_s, CallOff(why) if why else None)
            for client, age_s in ((Client.GONE, 0), (Client.UNKNOWN, START_S))
            for was, why in [
                (RunState.PENDING, CLIENT_GONE),
                (RunState.SYNCING, CLIENT_GONE),
                (RunState.RUNNING, FORGOTTEN),
                (RunState.LOST, ""),
            ]
        ],
        (RunState.RUNNING, {"standing": "claimed", "claimed": HOST_NOW}, Client.GONE, 0, None),
        (RunState.RUNNING, {"standing": "claimed", "claimed": HOST_NOW - int(LAUNCH_S) + 1}, Client.GONE, 0, None),
        (
            RunState.RUNNING,
            {"standing": "claimed", "claimed": HOST_NOW - int(LAUNCH_S)},
            Client.GONE,
            0,
            CallOff(CLIENT_GONE),
        ),
        (RunState.SYNCING, {"standing": "claimed"}, Client.GONE, 0, CallOff(CLIENT_GONE)),
    ],
)
def test_what_is_not_over(
    was: RunState, told: dict[str, object], client: Client, age_s: float, expected: Decision
) -> None:
    assert decide(was, report(**told), client, age_s, NOW) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("standing", "rest_alive", "over"),
    [
        ("ended", False, True),
        ("void", False, True),
        ("lost", False, True),
        ("lost", True, False),
        ("running", False, False),
        ("claimed", False, False),
        ("absent", False, False),
    ],
)
def test_nothing_of_it_is_at_work(standing: str, rest_alive: bool, over: bool) -> None:
    assert report(standing, rest_alive=rest_alive).is_over is over


def test_times_that_make_no_sense_are_not_believed() -> None:
    """A host's clock that was set back, and figures that no clock shows."""
    back = decide(
        RunState.RUNNING,
        report("ended", code=0, word="exited", launched=HOST_NOW + 50, ended=HOST_NOW + 20),
        Client.GONE,
        0,
        NOW,
    )
    assert back == Verdict(RunState.OK, 0, "", NOW, NOW, 0.0)
    absurd = Report("r1", "ended", 10**15 - 1, launched=1, ended=2, code=0, word="exited")
    assert decide(RunState.RUNNING, absurd, Client.GONE, 0, NOW) == Verdict(RunState.OK, 0, "", None, None, 1.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "20261124-120000-abc123 ended 100 90 92 99 3 exited - ",
            Report("20261124-120000-abc123", "ended", 100, 90, 92, 99, 3, "exited"),
        ),
        ("r1 absent 100 - - - - - - ", Report("r1", "absent", 100)),
        (
            "r1 lost 100 90 92 - - - alive the host was restarted",
            Report("r1", "lost", 100, 90, 92, rest_alive=True, why="the host was restarted"),
        ),
        ("r1 void 100 - - - - cancelled - ", Report("r1", "void", 100, word="cancelled")),
        ("r1 ended x -1 1e3 ٣ 0x1 exited", Report("r1", "ended", 0, word="exited")),
        ("r1 ended 99999999999999999999", Report("r1", "ended", 0)),
        ("r1 claimed", Report("r1", "claimed", 0)),
        ("r1 dancing 100 - - - - - - ", None),
        ("../../etc ended 100 - - - 0 exited - ", None),
        ("R1 ended 100 - - - 0 exited - ", None),
        ("", None),
    ],
)
def test_reading_a_report(value: str, expected: Report | None) -> None:
    assert read_report(value) == expected


def test_reading_reports_leaves_out_what_is_none() -> None:
    facts = [
        Fact("report", "r1 void 1"),
        Fact("owner", "me"),
        Fact("report", "nonsense"),
        Fact("report", "r2 absent 1"),
    ]
    assert {run_id: one.standing for run_id, one in read_reports(facts).items()} == {"r1": "void", "r2": "absent"}


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "a b", "A", "é", "a\n", "-" * 101, "a.b", "$x"])
def test_what_is_no_run_id(text: str) -> None:
    assert not is_run_id(text)
