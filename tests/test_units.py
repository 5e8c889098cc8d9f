"""Moments as people write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from dgummy.units import parse_since

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local clock that is five hours behind UTC."""
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", NOW - timedelta(seconds=90)),
        ("2d", NOW - timedelta(days=2)),
        ("1d12h", NOW - timedelta(hours=36)),
        ("2026-11-20", datetime(2026, 11, 20, 5, tzinfo=timezone.utc)),
        (" 2026-11-20T14:30 ", datetime(2026, 11, 20, 19, 30, tzinfo=timezone.utc)),
        ("2026-11-20 14:30:15", datetime(2026, 11, 20, 19, 30, 15, tzinfo=timezone.utc)),
        ("2026-11-20t14:30z", datetime(2026, 11, 20, 14, 30, tzinfo=timezone.utc)),
        ("2026-11-20T14:30+02:00", datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc)),
    ],
)
@pytest.mark.usefixtures("in_new_york")
def test_since(text: str, expected: datetime) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "-2d", "0001-01-01T00:00+23:59", "2d ago"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="neither a duration nor a date"):
        parse_since(text, NOW)
