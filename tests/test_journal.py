"""The journal: when a choice that nothing is noted of looks into the ledger, and when it need not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from dgummy import ledger
from dgummy.events import Event
from dgummy.journal import QUIET_S, Journal
from dgummy.model import Placement
from dgummy.placement import Choice, Method

REPO = Path(__file__).parents[1]


class Scene:
    """A ledger, what its journals said, and what `decide` was shown by them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = datetime.now(timezone.utc)
        self.said: list[Event] = []
        self.shown: list[tuple[tuple[Placement, ...], str | None]] = []

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        journal = Journal(self.path, owner="ana@here", emit=self.said.append, now=lambda: self.now)
        yield journal
        journal.close()

    def place(self, run_id: str | None, method: Method = Method.SCORE, journal: Journal | None = None) -> str | None:
        """Choose node-1, in a process of its own unless one is given."""

        def decide(placements: tuple[Placement, ...], last_turn: str | None) -> Choice:
            self.shown.append((placements, last_turn))
            return Choice("node-1", (), (), method, None)

        if journal is not None:
            return journal.place(run_id, "dev", decide, self.now).host
        with self.journal() as own:
            return own.place(run_id, "dev", decide, self.now).host

    def age_ledger(self, seconds: float) -> None:
        """As if it had been written to so long ago."""
        then = datetime.now().timestamp() - seconds
        for path in self.path.parent.iterdir():
            os.utime(path, (then, then))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "state" / "runs.db")


def test_looking_makes_no_ledger(scene: Scene) -> None:
    assert scene.place(None) == "node-1"
    assert scene.shown == [((), None)]
    assert not scene.path.parent.exists()
    assert scene.place("run-1") == "node-1"
    assert scene.path.exists()


def test_a_placement_of_a_moment_ago_is_seen(scene: Scene) -> None:
    scene.place("run-1")
    scene.place(None)
    (placement,) = scene.shown[-1][0]
    assert (placement.run_id, placement.host) == ("run-1", "node-1")


def test_the_log_alone_tells_that_something_was_written(scene: Scene) -> None:
    with scene.journal() as other:
        scene.place("run-1", journal=other)
        scene.age_ledger(QUIET_S + 60)
        scene.place("run-2", journal=other)
        assert datetime.now().timestamp() - scene.path.stat().st_mtime > QUIET_S
        scene.place(None)
    assert {placement.run_id for placement in scene.shown[-1][0]} == {"run-1", "run-2"}


def test_a_ledger_that_was_left_alone_for_long_is_not_opened(scene: Scene) -> None:
    assert QUIET_S >= ledger.PLACEMENT_WINDOW_S + 120  # whatever is in it counts no more, even if clocks differ
    scene.place("run-1")
    scene.path.write_bytes(b"no database: opening it would set it aside")
    scene.age_ledger(QUIET_S + 1)
    scene.place(None)
    assert scene.shown[-1] == ((), None)
    assert scene.said == []
    scene.age_ledger(QUIET_S - 10)
    scene.place(None)
    assert "was damaged" in str(scene.said)


def test_a_clock_that_was_set_back_hides_nothing(scene: Scene) -> None:
    scene.place("run-1")
    scene.age_ledger(-3600)
    scene.place(None)
    assert len(scene.shown[-1][0]) == 1


def test_whose_turn_it_is_comes_from_the_ledger_however_old(scene: Scene) -> None:
    scene.place("run-1", Method.ROUND_ROBIN)
    scene.age_ledger(QUIET_S + 1)
    scene.place(None, Method.ROUND_ROBIN)
    assert scene.shown[-1][1] == "node-1"


def test_what_only_looks_imports_no_database() -> None:
    code = "import sys, dgummy.cluster; print([name for name in ('sqlite3', 'dgummy.ledger') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(REPO)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
