"""What the test runners in a run's output said at its end, in one record and one line. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from dgummy.testformats import go, javascript, junit, jvm, others, python, rust, tap
from dgummy.testformats.record import MAX_LINE, Found, TestSummary, bounded, total_s

__all__ = ["TestSummary", "add", "describe", "read", "read_junit"]

MAX_TEXT = 1024 * 1024
_MAX_LINES = 20_000
_SHOWN_NAMES = 3
_SHOWN_NAME_LENGTH = 60

_READERS: tuple[Callable[[str], Found | None], ...] = (
    python.pytest,
    python.unittest,
    rust.nextest,
    javascript.jest,
    javascript.vitest,
    javascript.mocha,
    javascript.node,
    others.rspec,
    others.phpunit,
    others.ctest,
    tap.tap,
    tap.prove,
    tap.bats,
)
# These add up what stands in several places of the output.
_SUMMING_READERS: tuple[Callable[[str], Found | None], ...] = (
    go.go_test,
    rust.cargo_test,
    jvm.maven,
    jvm.gradle,
    others.dotnet,
)

# A column is set where a line is drawn anew.
_REDRAWN = re.compile(r"\r|\x1b\[[0-9]{0,4}G")
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[ -/]+[0-~]|[0-~])"  # CSI, OSC, charsets, others
)
# What a name is qualified with: `tests/test_a.py::Cart::`, or `shop.Cart.` where the runner writes it so.
_QUALIFIER = re.compile(r"[^\s\[(]*::")
_QUALIFIERS = dict.fromkeys(("unittest", "dotnet"), re.compile(r"[^\s\[(]*\."))


def read(text: str, *, whole: bool = True) -> TestSummary | None:
    """Find the last summary of each test runner in a run's output; None where there is none.

    `text` may hold colours; the last MAX_TEXT characters count. `whole` is False for a tail: its first line is not
    trusted, and what is added up is `partial`. Several runners give one summary with the sums, and `parts` in the
    order in which they ended.
    """
    whole = whole and len(text) <= MAX_TEXT
    plain, complete = _plain(text[-MAX_TEXT:], whole=whole)
    found = [one for reader in _READERS if (one := reader(plain))]
    for reader in _SUMMING_READERS:
        one = reader(plain)
        if one is not None:
            found.append(Found(one.end, replace(one.summary, partial=not complete)))
    return add([one.summary for one in sorted(found, key=lambda one: one.end)])


def read_junit(reports: Iterable[bytes]) -> TestSummary | None:
    """Add up JUnit XML reports; None for no report. ValueError with one line for a report that is refused."""
    summaries = [junit.parse(data) for data in reports]
    joined = add(summaries)
    return None if joined is None else replace(joined, runner="junit", parts=())


def add(summaries: Sequence[TestSummary]) -> TestSummary | None:
    """Join summaries into one, with the sums; None for none."""
    if len(summaries) <= 1:
        return summaries[0] if summaries else None
    return TestSummary(
        runner=", ".join(dict.fromkeys(summary.runner for summary in summaries)),
        passed=sum(summary.passed for summary in summaries),
        failed=sum(summary.failed for summary in summaries),
        skipped=sum(summary.skipped for summary in summaries),
        errors=sum(summary.errors for summary in summaries),
        duration_s=total_s(summary.duration_s for summary in summaries),
        failed_names=bounded(name for summary in summaries for name in summary.failed_names),
        partial=any(summary.partial for summary in summaries),
        parts=tuple(summaries),
    )


def describe(summary: TestSummary) -> str:
    """`1,247 passed`, `89 passed, 2 failed: test_a, test_b`; of several runners, each with its name.

    The names of tests are foreign text, to be cleaned where they are shown.
    """
    if summary.parts:
        return "; ".join(f"{part.runner}: {describe(part)}" for part in summary.parts)
    counted = [
        (summary.passed, "passed"),
        (summary.skipped, "skipped"),
        (summary.failed, "failed"),
        (summary.errors, "error" if summary.errors == 1 else "errors"),
    ]
    said = [f"{count:,} {word}" for count, word in counted if count]
    if not said:
        return "no tests ran"
    if summary.unit != "test":
        count, _, word = said[0].partition(" ")
        said[0] = f"{count} {summary.unit}{'' if count == '1' else 's'} {word}"
    shown = [_short(name, summary.runner) for name in summary.failed_names[:_SHOWN_NAMES]]
    left = summary.failed + summary.errors - len(shown)
    if shown and left > 0:
        shown.append(f"and {left:,} more")
    return ("at least " if summary.partial else "") + ", ".join(said) + (f": {', '.join(shown)}" if shown else "")


def _short(name: str, runner: str) -> str:
    """A test's name without what it is qualified with, cut to fit a line."""
    match = _QUALIFIERS.get(runner, _QUALIFIER).match(name)
    short = name[match.end() :] if match and match.end() < len(name) else name
    return short if len(short) <= _SHOWN_NAME_LENGTH else short[: _SHOWN_NAME_LENGTH - 1] + "…"


def _plain(text: str, *, whole: bool) -> tuple[str, bool]:
    """The text as readers want it, and whether all of it is there."""
    lines = _ESCAPES.sub("", _REDRAWN.sub("\n", text)).split("\n")
    kept = [line[:MAX_LINE].rstrip() for line in (lines if whole else lines[1:]) if line and not line.isspace()]
    return "\n".join(kept[-_MAX_LINES:]), whole and len(kept) <= _MAX_LINES
