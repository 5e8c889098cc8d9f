"""What a runner said, as a record, and the small tools that every reader needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, NamedTuple

MAX_LINE = 2000
MAX_NAMES = 50
MAX_NAME = 200

N = "[0-9]{1,9}"
S = r"[0-9]{1,9}(?:\.[0-9]{1,9})?"
_UNIT_S = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_AMOUNT = re.compile(rf"({S}) ?([A-Za-z]+)")


@dataclass(frozen=True, slots=True)
class TestSummary:
    """What a test runner said at its end.

    `unit` is what was counted: "test", or "package" where go names packages only. `duration_s` is as the runner
    measured it, None where it did not say. `failed_names` are those that failed or had errors, as far as they were
    named, at most MAX_NAMES of MAX_NAME characters; they are foreign text. `partial` says that counts were added up
    from output whose beginning was cut off. `parts` are the summaries that this one joins, if several runners spoke.
    """

    __test__: ClassVar[bool] = False  # a record: pytest is not to collect it

    runner: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    errors: int = 0
    duration_s: float | None = None
    failed_names: tuple[str, ...] = ()
    unit: str = "test"
    partial: bool = False
    parts: tuple[TestSummary, ...] = ()


class Found(NamedTuple):
    """A summary, and where in the text its closing words end."""

    end: int
    summary: TestSummary


def lines(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for whole lines."""
    return re.compile(f"^(?:{pattern})$", re.MULTILINE | re.ASCII)


def last(pattern: re.Pattern[str], text: str) -> tuple[re.Match[str], str] | None:
    """The last match, and the text between the match before it and itself."""
    start, found = 0, None
    for match in pattern.finditer(text):
        start, found = found.end() if found else 0, match
    return None if found is None else (found, text[start : found.start()])


def bounded(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, the first MAX_NAMES of them, cut to MAX_NAME characters."""
    return tuple(islice(dict.fromkeys(name[:MAX_NAME] for name in names), MAX_NAMES))


def number(text: str | None) -> int:
    """A count; 0 for one that is not there."""
    return int(text or 0)


def counts(text: str, words: str) -> dict[str, int]:
    """`3 passed, 1 failed` as {"passed": 3, "failed": 1}, for the given words (an alternation)."""
    return {word: int(count) for count, word in re.findall(rf"\b({N}) ({words})\b", text)}


def seconds(text: str | None) -> float | None:
    """`1.2 s`, `340ms`, `1 m 2 s` in seconds; None where there is nothing of the kind."""
    amounts = [(float(amount), _UNIT_S.get(unit)) for amount, unit in _AMOUNT.findall(text or "")]
    known = [amount * unit for amount, unit in amounts if unit is not None]
    return round(sum(known), 6) if known else None


def total_s(durations: Iterable[float | None]) -> float | None:
    """The sum of what is known, None if nothing is."""
    known = [duration for duration in durations if duration is not None]
    return round(sum(known), 6) if known else None
