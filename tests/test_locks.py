"""Locks by name, and notices that are kept back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dgummy import locks
from dgummy.errors import ConfigError, TryAgainError, UsageError
from dgummy.render.holding import MAX_LINES, Holding
from labs import REPO

NOW = datetime(2026, 11, 28, 2, 0, 3, tzinfo=timezone.utc)
HOLD = """
import sys, time
from datetime import datetime, timezone
from pathlib import Path
from dgummy import locks
with locks.held(Path(sys.argv[1]), "nightly", "dgummy run pytest", datetime.now(timezone.utc)):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[bytes]:
    """Another process, which holds the lock `nightly`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=REPO)
    assert process.stdout is not None
    with process.stdout as told:
        assert told.readline() == b"held\n"
    return process


def test_one_at_a_time_and_free_when_its_holder_is_killed(tmp_path: Path, other: subprocess.Popen[bytes]) -> None:
    try:
        with pytest.raises(TryAgainError) as raised, locks.held(tmp_path, "nightly", "x", NOW):
            pass
        assert f"held by process {other.pid} since " in raised.value.message
        assert "(dgummy run pytest); no host was asked anything" in raised.value.message
        assert f"kill -INT {other.pid}" in raised.value.remedy
        assert raised.value.code == 75
        found = locks.holder(tmp_path, "nightly")
        assert found is not None and (found.pid, found.command) == (other.pid, "dgummy run pytest")
        with locks.held(tmp_path, "another", "x", NOW):
            assert locks.holder(tmp_path, "nightly") == found
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert locks.holder(tmp_path, "nightly") is None  # though its name still stands there
    with locks.held(tmp_path, "nightly", "y", NOW):
        pass


def test_who_has_it_has_it_once_more(tmp_path: Path) -> None:
    with locks.held(tmp_path, "a", "x", NOW):
        with locks.held(tmp_path, "a", "x", NOW):
            pass
        assert locks.holder(tmp_path, "a") is not None
    assert locks.holder(tmp_path, "a") is None
    assert (tmp_path / "a.lock").read_text() == ""
    assert (tmp_path / "a.lock").stat().st_mode & 0o777 == 0o600


def test_the_remedy_names_a_signal_that_its_holder_hears(tmp_path: Path) -> None:
    """What a script starts by `&` ignores SIGINT."""
    ignoring = HOLD.replace("import sys, time", "import signal, sys, time; signal.signal(2, signal.SIG_IGN)")
    with subprocess.Popen([sys.executable, "-c", ignoring, str(tmp_path)], stdout=-1, cwd=REPO) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(TryAgainError) as raised, locks.held(tmp_path, "nightly", "x", NOW):
            pass
        process.kill()
    assert raised.value.remedy.endswith(f"kill -TERM {process.pid}")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"pid": "x"}', b'{"pid": 1, "since": "soon", "command": ""}'])
def test_a_holder_that_wrote_nothing_good(tmp_path: Path, other: subprocess.Popen[bytes], text: bytes) -> None:
    try:
        (tmp_path / "nightly.lock").write_bytes(text)
        with pytest.raises(TryAgainError, match="held by another process"), locks.held(tmp_path, "nightly", "x", NOW):
            pass
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "a\nb", "a'b", "-x", "x" * 65, "ä", "a\0"])
def test_what_cannot_be_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as raised, locks.held(tmp_path, name, "x", NOW):
        pass
    assert raised.value.message.isprintable()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a.lock").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "b.lock").mkdir()
    for folder, name, what, remedy in (
        (tmp_path / "file", "a", "its folder is none", "set state_dir"),
        (tmp_path / "file/below", "a", "its folder is none", "set state_dir"),
        (tmp_path, "a", "is a link", f"rm {tmp_path}/a.lock"),
        (tmp_path, "b", "is a folder", f"rm -r {tmp_path}/b.lock"),
    ):
        with pytest.raises(ConfigError, match=what) as raised, locks.held(folder, name, "x", NOW):
            pass
        assert remedy in raised.value.remedy
    assert not (tmp_path / "elsewhere").exists()


def test_values_of_variables_are_told_to_nobody() -> None:
    words = ["dgummy", "run", "--env", "TOKEN=geheim", "--env=KEY=geheim", "--env", "PLAIN", "make it"]
    assert locks.shown_command(words) == "dgummy run --env TOKEN=… --env=KEY=… --env PLAIN 'make it'"


# -- notices that are kept back --------------------------------------------------------------------------------------


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str, style: str) -> None:
        self.lines.append(text)


def told(*lines: tuple[str, str], well: bool) -> list[str]:
    holding, shown = Holding(), Told()
    assert not holding.keeps("before", "")
    holding.begin(shown)
    assert all(holding.keeps(text, style) for text, style in lines)
    assert shown.lines == []
    holding.end(well=well)
    assert not holding.keeps("after", "")
    holding.end(well=False)
    return shown.lines


LINES = (("→ node-1", "bold"), ("node-2: lost for a while", "warning"), ("  it is back", ""), ("✓ ok", "good"))


def test_what_is_told_depends_on_the_end() -> None:
    assert told(*LINES, well=False) == [text for text, _ in LINES]
    assert told(*LINES, well=True) == ["node-2: lost for a while", "  it is back"]
    assert told(("✗ node-3: down", "caution"), ("✗ node-4: no sync", "trouble"), well=True) == []


def test_there_are_never_too_many() -> None:
    lines = told(*((f"{number} {'x' * 5000}", "") for number in range(MAX_LINES + 5)), well=False)
    assert len(lines) == MAX_LINES + 1
    assert lines[0] == "… 5 earlier lines are left out"
    assert lines[1].startswith("5 ") and len(lines[1]) == 2000


def test_who_looks_keeps_nobody_out(tmp_path: Path) -> None:
    """The look takes the lock for a moment; whoever wants it then waits that long."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            locks.holder(tmp_path, "a")

    looker = threading.Thread(target=look)
    looker.start()
    try:
        for _ in range(200):
            with locks.held(tmp_path, "a", "x", NOW):
                pass
    finally:
        over.set()
        looker.join()


def test_a_child_that_inherits_a_lock_keeps_it(tmp_path: Path) -> None:
    with locks.held(tmp_path, "a", "x", NOW) as descriptor:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    try:
        with pytest.raises(TryAgainError), locks.held(tmp_path, "a", "y", NOW):
            pass
    finally:
        child.kill()
        child.wait()
    with locks.held(tmp_path, "a", "y", NOW):
        pass


def test_a_lock_whose_file_was_removed_is_made_anew(tmp_path: Path) -> None:
    with locks.held(tmp_path, "a", "x", NOW):
        (tmp_path / "a.lock").unlink()
        with locks.held(tmp_path, "b", "x", NOW):
            pass
    with locks.held(tmp_path, "a", "y", NOW):
        assert locks.holder(tmp_path, "a") is not None
