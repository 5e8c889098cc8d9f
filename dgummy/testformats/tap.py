"""The Test Anything Protocol: bats and others, prove that reads it, and what bats shows on a terminal instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dgummy.testformats.record import Found, N, TestSummary, bounded, last, lines, number

_TAP = re.compile(
    rf"^(?:1\.\.(?P<plan>{N})(?: *#.*)?"
    rf"|(?P<bad>not )?ok (?P<number>{N})\b(?: -)? ?(?P<name>[^#\n]*)(?:# *(?P<directive>[A-Za-z]*).*)?)$",
    re.MULTILINE,
)
# Readers of TAP that give totals of their own.
_OTHERS = re.compile(rf"^(?:# tests {N}|Files={N}, Tests={N},.*)$", re.MULTILINE)

_PROVE = lines(rf"Files={N}, Tests=({N}), +({N}) wallclock secs .*\nResult: (PASS|FAIL|NOTESTS)")
_PROVE_FAILED = lines(rf"(\S.*?)(?<=\S) +\(Wstat: [^()\n]*(?:\([^()\n]*\) )?Tests: {N} Failed: ({N})\)")

_BATS = lines(rf"({N}) tests?, ({N}) failures?(?:, ({N}) skipped)?(?:, {N} not run)?(?: in ({N}) seconds?)?")
_BATS_TEST = re.compile(r"^ ([✓✗-]) (\S.*)$", re.MULTILINE)
_BATS_TOOK = re.compile(rf" \[{N}\]$")


def tap(text: str) -> Found | None:
    """`ok 1 - adds`, `not ok 2 - totals` and the plan `1..2`; planned tests that never came are errors."""
    if _OTHERS.search(text):
        return None
    plan: int | None = None
    points: list[re.Match[str]] = []
    end = 0
    for match in _TAP.finditer(text):
        end = match.end()
        if match["plan"] is not None:
            plan = int(match["plan"])
            continue
        if int(match["number"]) == 1:
            points = []  # another stream begins
        points.append(match)
    if plan is None or not _is_stream(points, plan):
        return None
    first = int(points[0]["number"]) if points else 1
    failed = [point for point in points if point["bad"] and _directive(point) != "todo"]
    skipped = sum(_directive(point) in ("skip", "todo") for point in points)
    summary = TestSummary(
        "TAP",
        passed=len(points) - len(failed) - skipped,
        failed=len(failed),
        skipped=skipped,
        errors=plan - (first - 1) - len(points),
        failed_names=bounded(point["name"].strip() or f"test {point['number']}" for point in failed),
        partial=first > 1,
    )
    return Found(end, summary)


def _is_stream(points: Sequence[re.Match[str]], plan: int) -> bool:
    """Whether these are the tests that were planned, in order, as far as they came."""
    numbers = [int(point["number"]) for point in points]
    if not numbers:
        return plan == 0
    return numbers[-1] <= plan and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _directive(point: re.Match[str]) -> str:
    word = (point["directive"] or "").lower()
    return "skip" if word.startswith("skip") else word


def prove(text: str) -> Found | None:
    """`Files=2, Tests=5, …`, then `Result: PASS`; a program that failed without a failed test is an error."""
    found = last(_PROVE, text)
    if found is None:
        return None
    match, before = found
    bad = _PROVE_FAILED.findall(before) if match[3] == "FAIL" else []
    failed = sum(int(count) for _, count in bad)
    errors = sum(int(count) == 0 for _, count in bad)
    summary = TestSummary(
        "prove",
        passed=max(0, int(match[1]) - failed),
        failed=failed,
        errors=errors or int(match[3] == "FAIL" and not failed),
        duration_s=float(match[2]),
        failed_names=bounded(name for name, _ in bad),
    )
    return Found(match.end(), summary)


def bats(text: str) -> Found | None:
    """`3 tests, 1 failure, 1 skipped` below ` ✓ adds`: the words alone could be anybody's."""
    found = last(_BATS, text)
    if found is None:
        return None
    match, before = found
    tests = _BATS_TEST.findall(before)
    if not tests and match[1] != "0":
        return None
    failed, skipped = int(match[2]), number(match[3])
    summary = TestSummary(
        "bats",
        passed=max(0, int(match[1]) - failed - skipped),
        failed=failed,
        skipped=skipped,
        duration_s=float(match[4]) if match[4] else None,
        failed_names=bounded(_BATS_TOOK.sub("", name) for sign, name in tests if sign == "✗"),
    )
    return Found(match.end(), summary)
