"""What people see: lines, tables and colours, made from records."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.errors import DgummyError, UnknownHostError
from dgummy.events import (
    AttemptEnded,
    Event,
    GroupStarted,
    HostChosen,
    Notice,
    Output,
    RunEnded,
    RunStarted,
    SyncFinished,
    SyncProgress,
    SyncStarted,
)
from dgummy.model import (
    ActiveRun,
    Attempt,
    Failure,
    FailureKind,
    HostReport,
    HostStatus,
    RunResult,
    RunState,
    Sample,
    SyncResult,
)
from dgummy.observe import Observation, StatusObservation
from dgummy.placement import Choice, Method, Obstacle, Verdict
from dgummy.render import documents, tables, text
from dgummy.render.console import Console
from dgummy.render.groupscreen import GroupScreen
from dgummy.render.listeners import Screen
from dgummy.tails import Tails

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
REFUSED = Failure(FailureKind.REFUSED, "192.0.2.7 port 22", "start sshd there, or check the port")
SAMPLE = Sample(
    cpu_pct=15.2,
    iowait_pct=45,
    mem_total_bytes=100,
    mem_available_bytes=65,
    load1=0.72,
    cores=4,
    active_runs=(ActiveRun("r1", 3.0),),
)


class Terminal(io.BytesIO):
    """Says that it is a terminal, or not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Spy:
    """A console and what was written to it."""

    def __init__(self, *, out: bool = False, err: bool = False, **environ: str) -> None:
        self._out, self._err = Terminal(terminal=out), Terminal(terminal=err)
        self.console = Console(self._out, self._err, environ)

    @property
    def out(self) -> str:
        return self._out.getvalue().decode()

    @property
    def err(self) -> str:
        return self._err.getvalue().decode()


def result(state: RunState = RunState.OK, **changes: object) -> RunResult:
    given = {
        "run_id": "20260301-120000-abcdef",
        "host": "node-1",
        "state": state,
        "exit_code": 0,
        "attempts": (Attempt("node-1", state),),
        "started_at": NOW,
        "duration_s": 12.0,
        **changes,
    }
    return RunResult(**given)  # type: ignore[arg-type]


# -- text of others ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1;2q payload\x1b\\after", "after"),
        ("a\x08b\x7fc\x9bd", "abcd"),
        ("left\u202eright\u2066", "leftright"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("bad \udcff byte", "bad � byte"),
        ("tab\tand\nnewline stay", "tab\tand\nnewline stay"),
        ("\x1b", ""),
        ("\x1b[1mbold\x1b(B\x1b[m", "bold"),
        ("\x1b7saved\x1b8\x1bcreset", "savedreset"),
        ("\x1b[cut off", "ut off"),
        ("é … 日本", "é … 日本"),
    ],
)
def test_clean_takes_what_a_terminal_would_act_on(hostile: str, shown: str) -> None:
    assert text.clean(hostile) == shown


@given(st.text())
def test_clean_is_idempotent_and_leaves_no_control(anything: str) -> None:
    once = text.clean(anything)
    assert text.clean(once) == once
    assert not any(ord(char) < 32 and char not in "\t\n" for char in once)
    assert "\x7f" not in once and "\x9b" not in once


def test_one_line() -> None:
    assert text.one_line("  two\n lines\t here ") == "two lines here"
    assert text.one_line("x" * 300) == "x" * 199 + "…"
    assert len(text.one_line("x" * 30, 10)) == 10


@pytest.mark.parametrize(
    ("reason", "state", "shown"),
    [
        ("unreachable: connection refused", "unreachable", "connection refused"),
        ("cancelled; its process group was ended", "cancelled", "its process group was ended"),
        ("timed out: slow", "timed_out", "slow"),
        ("exit code 2", "failed", "exit code 2"),
        ("", "ok", ""),
    ],
)
def test_a_reason_does_not_repeat_the_state(reason: str, state: str, shown: str) -> None:
    assert text.without_state(reason, state) == shown


# -- tables --------------------------------------------------------------------------------------------------------


def verdict(host: str, score: float | None, obstacle: Obstacle | None = None) -> Verdict:
    return Verdict(host, host == "node-1", obstacle is None, score, score, "for a reason", obstacle=obstacle)


@pytest.fixture
def observed() -> tuple[Observation, Choice]:
    reports = (
        HostReport("node-1", NOW, SAMPLE),
        HostReport("node-2", NOW, Sample()),
        HostReport("node-3", NOW, failure=REFUSED),
    )
    verdicts = (
        verdict("node-1", 0.219),
        verdict("node-2", None),
        verdict("node-3", None, Obstacle.UNREACHABLE),
    )
    choice = Choice("node-1", verdicts, ("node-1 has the most room",), Method.SCORE, reports[0])
    return Observation(reports, "ssh", NOW), choice


def test_the_load_table(observed: tuple[Observation, Choice]) -> None:
    lines = tables.load(*observed, NOW + timedelta(seconds=2)).splitlines()
    assert lines[1].split() == ["node-1", "15%", "35%", "45%", "0.72", "4", "1", "0.22", "←", "best"]
    assert lines[2].split() == ["node-2", "?", "?", "?", "?", "?", "0", "?"]
    assert lines[3].split(maxsplit=8)[-1] == "connection refused: 192.0.2.7 port 22"
    assert lines[4] == "measured 2.0 s ago over ssh"


def test_a_narrow_load_table_says_less_about_failures(observed: tuple[Observation, Choice]) -> None:
    wide = tables.load(*observed, NOW, 120)
    narrow = tables.load(*observed, NOW, 82)
    assert wide == tables.load(*observed, NOW)
    assert max(map(len, narrow.splitlines())) <= 82
    assert narrow.splitlines()[3].endswith(" connection refused")


def test_the_load_table_is_laid_out_as_tabulate_would(observed: tuple[Observation, Choice]) -> None:
    rows = [["node-1", *[text] * 7, "← best"] for text in ("", "1", "a wide one, wider than the header")]
    headers = tables._LOAD_HEADERS
    assert tables._columns(rows, headers) == tables.table(rows, headers)
    assert tables._columns([], headers) == tables.table([], headers)


def test_the_status_table_says_what_to_do() -> None:
    found = StatusObservation(
        (
            HostStatus("node-1", NOW, online=True, address="192.0.2.1", latency_ms=12.4),
            HostStatus("node-2", NOW, online=False, failure=REFUSED),
        ),
        "cache",
        NOW,
    )
    lines = tables.status(found, "ssh (auto)", NOW + timedelta(seconds=61)).splitlines()
    assert lines[1].split() == ["node-1", "✓", "online", "192.0.2.1", "12", "ms"]
    assert lines[2].split() == ["node-2", "✗", "offline", "connection", "refused"]
    assert lines[3:] == [
        "✗ node-2: connection refused: 192.0.2.7 port 22",
        "  start sshd there, or check the port",
        "measured 1 m 01 s ago (cached; --refresh measures anew); backend: ssh (auto)",
    ]


@pytest.mark.parametrize(
    ("host", "why", "head"),
    [
        ("node-1", ("node-1 has the most room", "CPU 15%"), ("→ node-1 has the most room", ["CPU 15%"])),
        ("node-1", ("as asked",), ("→ node-1: as asked", [])),
        ("node-1", (), ("→ node-1: ", [])),
        ("", ("none of 2 hosts can take it",), ("✗ none of 2 hosts can take it", [])),
    ],
)
def test_a_headline_names_the_host_once(host: str, why: tuple[str, ...], head: tuple[str, list[str]]) -> None:
    assert tables.headline(host, why) == head


@pytest.mark.parametrize(
    ("sync", "line"),
    [
        (
            {"ok": True, "files": 1247, "bytes": 45_000_000, "duration_s": 3.0, "remote_dir": "/home/me/app"},
            "✓ Synced 1,247 files (45 MB) in 3.0 s → node-1:/home/me/app",
        ),
        (
            {"ok": True, "files": 0, "deleted": 2, "duration_s": 0.5, "remote_dir": "/x"},
            "✓ Synced 0 files (0 B) in 0.5 s, deleted 2 → node-1:/x",
        ),
        (
            {"ok": True, "total_files": 8, "duration_s": 0.5, "remote_dir": "/x"},
            "✓ Up to date: 8 files, checked in 0.5 s → node-1:/x",
        ),
        (
            {"ok": False, "failure": Failure(FailureKind.DISK_FULL, "no space\x1b[2J left")},
            "✗ node-1: disk full: no space left",
        ),
    ],
)
def test_the_closing_line_of_a_sync(sync: dict[str, object], line: str) -> None:
    assert tables.synced(SyncResult("node-1", **sync)) == line  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (result(), "✓ ok on node-1 in 12 s · run 20260301-120000-abcdef"),
        (result(cost_usd=0.0123), "✓ ok on node-1 in 12 s · $0.0123 · run 20260301-120000-abcdef"),
        (
            result(RunState.FAILED, exit_code=2, reason="exit code 2"),
            "✗ failed on node-1 in 12 s: exit code 2 · run 20260301-120000-abcdef",
        ),
        (
            result(RunState.CANCELLED, reason="cancelled; it was ended"),
            "■ cancelled on node-1 in 12 s: it was ended · run 20260301-120000-abcdef",
        ),
        (
            result(RunState.LOST, reason="the host is gone"),
            "? lost on node-1 in 12 s: the host is gone · run 20260301-120000-abcdef",
        ),
        (
            result(RunState.UNREACHABLE, host="", reason="connection refused"),
            "✗ unreachable: node-1: connection refused · run 20260301-120000-abcdef",
        ),
        (
            result(RunState.SYNC_FAILED, host="", reason="sync failed: node-1: its disk is full"),
            "✗ sync failed: node-1: its disk is full · run 20260301-120000-abcdef",
        ),
        (
            result(
                RunState.SYNC_FAILED,
                host="",
                reason="disk full",
                attempts=(Attempt("a", RunState.SYNC_FAILED), Attempt("b", RunState.UNREACHABLE)),
            ),
            "✗ no host could take it · run 20260301-120000-abcdef",
        ),
        (
            result(RunState.CANCELLED, host="", attempts=(), reason="interrupted before it started"),
            "■ cancelled: interrupted before it started · run 20260301-120000-abcdef",
        ),
    ],
)
def test_the_last_line_of_a_run(ended: RunResult, line: str) -> None:
    assert tables.ended(ended)[0] == line


def test_changes_are_listed_up_to_a_limit() -> None:
    found = tables.changes(result(changed=("a", "b"), removed=("c\x1b[2J",)))
    assert found == ["Changed on node-1:", "  M a", "  M b", "  D c"]
    many = tables.changes(result(changed=tuple(f"f{number}" for number in range(25))))
    assert many[-2:] == ["  M f19", "  and 5 more"]
    assert tables.changes(result()) == []


def test_settings_leave_out_what_was_not_said_about_a_host() -> None:
    rows = [
        ("groups.dev", ["a", "b"], "x.yaml"),
        ("hosts.a.os", "darwin", "x.yaml"),
        ("hosts.a.cores", None, "default"),
        ("path", [], "default"),
    ]
    shown = tables.settings(rows, origin=True).splitlines()
    assert [line.split() for line in shown[1:]] == [
        ["groups.dev", "a,", "b", "x.yaml"],
        ["hosts.a.os", "darwin", "x.yaml"],
        ["path", "(none)", "default"],
    ]


def test_files_say_what_they_are_for(tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_text("")
    lines = tables.files([(here, "yours"), (tmp_path / "gone", "the project's")]).splitlines()
    assert lines[0].endswith(" yours") and lines[1].endswith(" the project's (not there)")


# -- documents -------------------------------------------------------------------------------------------------------


def test_documents_hold_nothing_that_a_terminal_would_act_on() -> None:
    nasty = "a\x1b[31m\u202e\udcff\x00"
    ended = result(RunState.FAILED, reason=nasty, changed=(nasty,), attempts=(Attempt(nasty, RunState.FAILED, nasty),))
    shown = documents.dump(documents.run(ended, {"out": nasty, "err": nasty}))
    assert json.loads(shown)["stdout_tail"] == "a�"
    assert not {"\x1b", "\u202e", "\x00"} & set(shown)
    assert "\\u" not in shown


def test_an_error_document() -> None:
    document = json.loads(documents.dump(documents.error(UnknownHostError("nod-1: no such host", "did you mean …?"))))
    assert document == {
        "schema_version": 1,
        "error": {"message": "nod-1: no such host", "remedy": "did you mean …?", "exit_code": 69},
    }
    assert documents.error(DgummyError("x"))["error"]["remedy"] is None


def test_tails_keep_the_end() -> None:
    tails = Tails()
    for number in range(3000):
        tails(Output("r", "h", "out", f"{number:099}\n".encode()))
    tails(Output("r", "h", "err", b"\xff"))
    found = tails.text("r")
    assert len(found["out"]) == 65536
    assert found["out"].endswith("2999\n")
    assert found["err"] == "�"


# -- the screen ------------------------------------------------------------------------------------------------------


def play(spy: Spy, *events: Event, json: bool = False) -> Spy:
    screen = Screen(spy.console, json=json)
    for event in events:
        screen(event)
    screen.close()
    return spy


COURSE: tuple[Event, ...] = (
    HostChosen("r", "node-1", ("node-1 has the most room", "CPU 15%", "measured 0.5 s ago", "type general: no word")),
    SyncStarted("node-1", "~/app", 3, 30, ("src/",), (".git",)),
    SyncFinished(SyncResult("node-1", ok=True, files=3, bytes=30, remote_dir="/home/me/app")),
    RunStarted("r", "node-1", "make"),
    Output("r", "node-1", "out", b"built\n"),
    RunEnded(result()),
)


def test_the_course_of_a_run() -> None:
    spy = play(Spy(), *COURSE)
    assert spy.out == "built\n"
    assert spy.err.splitlines() == [
        "→ node-1 has the most room",
        "  CPU 15% · measured 0.5 s ago",
        "[Syncing to node-1…]",
        "Sending: src/",
        "Excluding: .git",
        "✓ Synced 3 files (30 B) in 0.0 s → node-1:/home/me/app",
        "[node-1] run r: make",
        "✓ ok on node-1 in 12 s · run 20260301-120000-abcdef",
    ]


def test_with_json_the_output_of_a_run_goes_to_stderr() -> None:
    spy = play(Spy(), *COURSE, json=True)
    assert spy.out == ""
    assert "built\n✓ ok" in spy.err


def test_output_passes_unchanged() -> None:
    raw = b"\x00\xff\x1b[31m no newline"
    assert play(Spy(), Output("r", "h", "out", raw)).console._out.getvalue() == raw  # type: ignore[attr-defined]


@pytest.mark.parametrize("stream", ["out", "err"])
def test_a_notice_begins_on_its_own_line_where_both_are_seen(stream: str) -> None:
    spy = play(Spy(out=True, err=True), Output("r", "h", stream, b"no end"), Notice("hello"))
    assert spy.err.endswith("\nhello\n")
    assert play(Spy(), Output("r", "h", "out", b"no end"), Notice("hello")).err == "hello\n"


def test_every_host_that_failed_is_told_once() -> None:
    tried = Attempt("node-1", RunState.UNREACHABLE, f"unreachable: {REFUSED}")
    unsynced = Attempt("node-2", RunState.SYNC_FAILED, "disk full")
    looked_at = Attempt("node-3", RunState.SKIPPED, "lacks docker")
    ended = result(host="local", fallback="local", attempts=(tried, unsynced, looked_at, Attempt("local", RunState.OK)))
    spy = play(
        Spy(),
        AttemptEnded("r", tried),
        SyncFinished(SyncResult("node-2", ok=False, failure=Failure(FailureKind.DISK_FULL, "", "free some"))),
        AttemptEnded("r", unsynced),
        AttemptEnded("r", Attempt("local", RunState.OK)),
        RunEnded(ended),
    )
    assert spy.err.splitlines() == [
        "✗ node-1: unreachable: connection refused: 192.0.2.7 port 22",
        "✗ node-2: disk full",
        "  free some",
        "✗ node-3: skipped: lacks docker",
        "✓ ok on local in 12 s · run 20260301-120000-abcdef",
    ]


def test_what_several_hosts_would_repeat_is_said_once() -> None:
    begun = [SyncStarted(name, "~/app", 3, 30, ("src/",)) for name in ("node-1", "node-2")]
    spy = play(Spy(), *begun, Notice("be careful"), Notice("be careful"), Notice("be careful", host="node-1"))
    assert spy.err.splitlines() == [
        "[Syncing to node-1…]",
        "Sending: src/",
        "[Syncing to node-2…]",
        "be careful",
        "node-1: be careful",
    ]


@pytest.mark.parametrize(
    ("printed", "shown"), [(b"10%\r100%\r\n", "100%"), (b"old\x1b[2J\rnew\n", "new"), (b"plain", "plain")]
)
def test_a_line_drawn_over_shows_its_last_state(printed: bytes, shown: str) -> None:
    spy = Spy(out=True, NO_COLOR="1")
    screen = GroupScreen(spy.console, live=False)
    screen(GroupStarted("g20260301-120000-abcdef", {"r1": "node-1"}))
    screen(Output("r1", "node-1", "out", printed))
    screen(RunEnded(result(run_id="r1")))
    assert spy.out == f"node-1: {shown}\n"


def test_progress_is_for_terminals_that_can_redraw() -> None:
    events = (SyncProgress("node-1", 1_000_000, 12.3), Notice("done"))
    assert play(Spy(err=True), *events).err == "\r\x1b[K  node-1 12% 1.0 MB\r\x1b[Kdone\n"
    assert play(Spy(), *events).err == "done\n"
    assert play(Spy(err=True, TERM="dumb"), *events).err == "done\n"


# -- the console -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminal", "environ", "coloured"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colour(terminal: bool, environ: dict[str, str], coloured: bool) -> None:
    spy = Spy(out=terminal, err=terminal, **environ)
    spy.console.note("careful", "warning")
    assert spy.err == ("\x1b[33mcareful\x1b[0m\n" if coloured else "careful\n")
    assert spy.console.out_colour is coloured


@pytest.fixture
def full() -> Iterator[io.FileIO]:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb", buffering=0) as stream:
        yield stream


def test_a_full_disk_ends_in_a_message_and_notes_are_let_go(full: io.FileIO) -> None:
    console = Console(full, full, {})
    with pytest.raises(DgummyError, match="No space left on device"):
        console.result("text")
    console.note("nobody hears")


def test_a_missing_stdout_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    console = Console(err=Terminal(terminal=False), environ={})
    console.result("text")
    assert console.width is None


def test_what_was_printed_before_comes_before(capfd: pytest.CaptureFixture[str]) -> None:
    print("first", end="\n", flush=False)  # noqa: T201
    Console(environ={}).result("second")
    assert capfd.readouterr().out == "first\nsecond\n"
