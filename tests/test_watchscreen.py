"""The watch's screen: what keys mean, and a real terminal that is as it was afterwards."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.render.console import Console
from dgummy.render.fullscreen import FullScreen
from dgummy.render.screenkeys import Follow, Keys, Outcome, Quit, Redraw, ScreenState, press

CHILD = Path(__file__).with_name("watch_child.py")
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?25h\x1b[?1049l"

# -- keys, without a terminal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "keys"),
    [
        ([b"qps"], ["q", "p", "s"]),
        ([b"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~"], ["up", "down", "pageup", "pagedown", "home", "end"]),
        ([b"\x1b", b"[", b"B"], ["down"]),
        ([b"\r\n\x7f\x15\x0c"], ["enter", "enter", "backspace", "clear", "redraw"]),
        (["é".encode()[:1], "é".encode()[1:]], ["é"]),
        ([b"\x1b[1;5C\x1b[200~x\x01\x02"], ["x"]),
        ([b"\x1b\x1b[A"], ["esc", "up"]),
        ([b"\xff"], ["\ufffd"]),
    ],
)
def test_bytes_become_keys(pieces: list[bytes], keys: list[str]) -> None:
    found = Keys()
    assert [key for piece in pieces for key in found.feed(piece)] == keys
    assert not found.unfinished


def test_escape_alone_is_told_by_nothing_that_follows() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.unfinished
    assert keys.end() == ["esc"]
    assert keys.feed(b"\x1b[") == []
    assert keys.end() == ["esc", "["]
    assert keys.end() == []


@given(st.lists(st.binary(max_size=8)))
def test_no_bytes_break_the_keys(pieces: list[bytes]) -> None:
    keys = Keys()
    found = [key for piece in pieces for key in keys.feed(piece)] + keys.end()
    assert all(key and key.isprintable() for key in found)


def pressed(keys: Sequence[str], runs: Sequence[str] = (), **state: Any) -> tuple[ScreenState, Outcome]:
    now, outcome = ScreenState(**state), None
    for key in keys:
        now, outcome = press(now, key, runs, 10)
    return now, outcome


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        ("p", {"paused": True}),
        ("pp", {"paused": False}),
        ("s", {"sort": "name"}),
        ("sssss", {"sort": ""}),
        ("x", {"unfold": True}),
        ("?", {"help": True}),
        ("?p", {"help": False, "paused": False}),
        ("fapq", {"typing": True, "filter_text": "apq"}),
        (["f", "a", "b", "backspace", "enter"], {"typing": False, "filter_text": "a"}),
        (["f", "a", "esc"], {"typing": False, "filter_text": ""}),
        (["f", "a", "clear", "é"], {"typing": True, "filter_text": "é"}),
        (["f", "a", "enter", "esc"], {"filter_text": ""}),
        (["down", "j", "up"], {"scroll": 1}),
        (["k"], {"scroll": 0}),
        ([" ", "pagedown", "pageup"], {"scroll": 9}),
        (["end", "home"], {"scroll": 0}),
        ("Z", {}),
    ],
)
def test_what_keys_change(keys: Sequence[str], changed: dict[str, Any]) -> None:
    state, outcome = pressed(keys)
    assert outcome is None
    assert {name: getattr(state, name) for name in changed} == changed
    if not changed:
        assert state == ScreenState()


@pytest.mark.parametrize(
    ("keys", "selected"),
    [("j", "r1"), ("jj", "r2"), ("jjjj", "r3"), ("k", "r3"), ("jjk", "r1"), ("jkk", "r1")],
)
def test_up_and_down_select_a_run(keys: str, selected: str) -> None:
    state, _ = pressed(keys, ["r1", "r2", "r3"])
    assert (state.selected, state.reveal) == (selected, True)


def test_enter_follows_the_selected_run_or_the_first() -> None:
    assert pressed(["enter"], ["r1", "r2"])[1] == Follow("r1")
    assert pressed(["j", "j", "enter"], ["r1", "r2"])[1] == Follow("r2")
    assert pressed(["enter"], ["r1"], selected="gone")[1] == Follow("r1")
    state, outcome = pressed(["enter"])
    assert outcome is None
    assert "no command" in state.message
    assert pressed(["enter", "p"])[0].message == ""


def test_q_quits_but_not_while_a_filter_is_typed() -> None:
    assert pressed("q")[1] == Quit()
    assert pressed("?q")[1] == Quit()
    assert pressed("fq")[1] is None
    assert pressed(["redraw"])[1] == Redraw()


# -- a real terminal --------------------------------------------------------------------------------------------------


class Terminal:
    """A pseudo-terminal with a watch on it. What it wrote is in `text`."""

    def __init__(self, *words: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self.slave)
        self.text = ""
        self.started = time.monotonic()
        owns = "import fcntl, runpy, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); sys.argv = sys.argv[1:]; "
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{owns}runpy.run_path(sys.argv[0], run_name='__main__')", str(CHILD), *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, timeout_s: float = 0.1) -> str:
        """What comes next, "" if nothing does."""
        if not select.select([self.master], [], [], timeout_s)[0]:
            return ""
        new = os.read(self.master, 65536).decode("utf-8", "replace")
        self.text += new
        return new

    def until(self, wanted: str, timeout_s: float = 10) -> str:
        """Read until it has written `wanted`; gives what it wrote since the last call."""
        start, deadline = len(self.text), time.monotonic() + timeout_s
        while wanted not in self.text[start:]:
            assert time.monotonic() < deadline, f"no {wanted!r} in {self.text[start:]!r}"
            self.read()
        return self.text[start:]

    def ended(self) -> int:
        """Wait for the end; gives the exit status."""
        deadline = time.monotonic() + 10
        while self.process.poll() is None or self.read():
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.02)
        return self.process.wait()

    def assert_as_it_was(self) -> None:
        assert termios.tcgetattr(self.slave) == self.before
        assert LEFT in self.text
        assert ENTERED not in self.text.rpartition(LEFT)[2]
        assert "\x1b" not in self.text.rpartition(LEFT)[2]


@contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    made = Terminal(*words)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        os.close(made.master)
        os.close(made.slave)


def test_the_first_frame_is_there_at_once_and_q_leaves() -> None:
    with terminal() as screen:
        shown = screen.until("? help")
        assert time.monotonic() - screen.started < 3, "most of it is the start of Python"
        assert shown.startswith(ENTERED)
        assert "database-expert" in shown
        assert not termios.tcgetattr(screen.slave)[3] & termios.ICANON
        screen.type("q")
        assert screen.ended() == 0
        assert "ended run_id='' interrupted=False" in screen.text
        screen.assert_as_it_was()


def test_ctrl_c_leaves() -> None:
    with terminal() as screen:
        screen.until("? help")
        screen.type("\x03")
        assert screen.ended() == 0
        assert "interrupted=True" in screen.text
        screen.assert_as_it_was()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_as_signals_do(signum: signal.Signals) -> None:
    with terminal() as screen:
        screen.until("? help")
        screen.process.send_signal(signum)
        assert screen.ended() == -signum
        screen.assert_as_it_was()


def test_a_crash_shows_its_trace_on_the_usual_screen() -> None:
    with terminal("crash") as screen:
        screen.until("? help")
        assert screen.ended() == 1
        screen.assert_as_it_was()
        assert "RuntimeError: the snapshot broke" in screen.text.rpartition(LEFT)[2]


def test_the_size_changes_and_all_is_drawn_anew() -> None:
    with terminal() as screen:
        screen.until("? help")
        screen.resize(200, 50)
        os.kill(screen.process.pid, signal.SIGWINCH)
        shown = screen.until("? help")
        assert "\x1b[2J" in shown
        assert "\x1b[50;1H" in shown
        screen.type("q")
        screen.ended()
        screen.assert_as_it_was()


def test_another_size_is_drawn_anew_though_its_signal_has_not_come_yet() -> None:
    out = io.BytesIO()
    screen = FullScreen(Console(out=out), -1)
    written = []
    for size in ((80, 24), (80, 24), (200, 50)):
        screen.draw(["the same"], size)
        written.append(out.getvalue().decode())
        out.truncate(0)
        out.seek(0)
    assert ["\x1b[2J" in text for text in written] == [True, False, True]
    assert ["the same" in text for text in written] == [True, False, True]


def test_only_what_changed_is_written() -> None:
    with terminal() as screen:
        screen.until("? help")
        screen.until("\x1b[1;1H")  # the clock in the title
        later = screen.until("\x1b[?2026l")
        assert "2 m 30 s" not in later
        assert len(later) < 1500
        assert "\x1b[2J" not in later


def test_keys_work() -> None:
    with terminal() as screen:
        screen.until("? help")
        screen.type("s")
        screen.until("sorted by name")
        screen.type("p")
        screen.until("PAUSED")
        screen.type("?")
        screen.until("follow the selected command's log")
        screen.type(" fapi-dev")
        shown = screen.until("api-dev\x1b")
        assert "Enter keeps, Esc clears" in shown
        assert "4 hosts without a match" in shown
        screen.type("\x1b")
        screen.until("database-expert")
        screen.type("j\r")
        assert screen.ended() == 0
        assert "run_id='20260301-115800-k3f9ab' interrupted=False sort='name'" in screen.text
        screen.assert_as_it_was()


def test_a_terminal_that_goes_away_ends_it() -> None:
    screen = Terminal()
    try:
        screen.until("? help")
        os.close(screen.slave)
        os.close(screen.master)
        assert screen.process.wait(10) in (0, -signal.SIGHUP)  # whichever it hears of first
    finally:
        screen.process.kill()
        screen.process.wait()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")
def test_ctrl_z_gives_the_terminal_back_until_it_goes_on() -> None:
    shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], encoding="utf-8", dimensions=(24, 80), timeout=10)

    def told(word: str) -> str:
        shell.expect(f"{word} ([0-9a-f:]+)")
        assert isinstance(shell.match, re.Match)
        return str(shell.match.group(1))

    try:
        shell.sendline(
            "bind 'set enable-bracketed-paste off'; PS1='ready''> '; stty -g > /dev/null; echo modes $(stty -g)"
        )
        before = told("modes")
        shell.sendline(f"{sys.executable} {CHILD}")
        shell.expect_exact("? help")
        shell.send("\x1a")
        shell.expect_exact(LEFT)
        shell.expect_exact("ready>")
        shell.sendline("echo again $(stty -g)")
        assert told("again") == before
        shell.sendline("fg")
        shell.expect_exact(ENTERED)
        shell.expect_exact("? help")
        shell.send("q")
        shell.expect_exact(LEFT)
        shell.expect_exact("interrupted=False")
        shell.sendline("echo last $(stty -g)")
        assert told("last") == before
    finally:
        shell.close(force=True)
