"""RSpec, PHPUnit, CTest and dotnet test."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dgummy.testformats.record import Found, N, S, TestSummary, bounded, last, lines, number, seconds, total_s

_RSPEC = lines(
    rf"Finished in ([^\n(]{{1,40}}?)(?: \(.*\))?\n"
    rf"({N}) examples?, ({N}) failures?(?:, ({N}) pending)?(?:, ({N}) errors? occurred outside of examples)?"
)
_RSPEC_FAILED = lines(r"rspec (\S+)(?: # (\S.*))?")

_PHPUNIT = lines(
    rf"OK \((?P<ok>{N}) tests?, {N} assertions?\)"
    rf"|Tests: (?P<all>{N}), Assertions: {N}(?P<rest>(?:, [A-Z][A-Za-z ]{{1,30}}: {N})*)\."
    r"|No tests executed!"
)
_PHPUNIT_COUNT = re.compile(rf", (Errors|Failures|Skipped|Incomplete): ({N})")
_PHPUNIT_TIME = re.compile(r"^Time: (?:([0-9]{1,4}):)?([0-9]{1,2}):([0-9]{1,2}\.[0-9]{1,6}), Memory", re.MULTILINE)
_PHPUNIT_LIST = re.compile(rf"^(?:There (?:was|were) {N} (\S.*):|{N}\) (\S+::\S.*))$", re.MULTILINE)

_CTEST = lines(rf"{N}% tests passed, ({N}) tests? failed out of ({N})|No tests were found!!!")
_CTEST_TIME = re.compile(rf"^Total Test time \(real\) = +({S} sec)$", re.MULTILINE)
_CTEST_TEST = re.compile(rf"^[ \t]+{N} - (\S.*?) \(([A-Za-z /]+)\)", re.MULTILINE)
_CTEST_FAILED = "\nThe following tests FAILED:\n"

_DOTNET = lines(
    rf"(?:Passed|Failed|Skipped)! +- Failed: +({N}), Passed: +({N}), Skipped: +({N}), Total: +{N}"
    r"(?:, Duration: ([^\n-]{1,30}?))?(?: - .*)?"
)
_DOTNET_TOTALS = lines(
    # VSTest's console logger, MSBuild's terminal logger, Microsoft.Testing.Platform
    rf"Total tests: {N}(?P<rest>(?:\n +(?:Passed|Failed|Skipped): {N})*)(?:\n *Total time: (?P<time>{S} [A-Z][a-z]+))?"
    rf"|Test summary: total: {N}(?P<rest2>(?:, (?:failed|succeeded|skipped): {N})+)(?:, duration: (?P<time2>\S+))?"
    rf"|  total: {N}(?P<rest3>(?:\n  (?:failed|succeeded|skipped): {N}){{3}})(?:\n  duration: (?P<time3>.*))?"
)
_DOTNET_COUNT = re.compile(rf"(Failed|Passed|Skipped|failed|succeeded|skipped): ({N})")
_DOTNET_FAILED = re.compile(
    r"^(?:  Failed (?P<a>\S.*) \[[^\]\n]{1,20}\]|failed (?P<b>\S.*) \([0-9][0-9a-z ]{0,20}\)"
    r"|.* error TESTERROR:(?: |\n +)(?P<c>\S+) \([0-9].*)$",
    re.MULTILINE,
)


def rspec(text: str) -> Found | None:
    """`3 examples, 1 failure, 1 pending` below `Finished in 0.01 seconds`."""
    found = last(_RSPEC, text)
    if found is None:
        return None
    match, _ = found
    failed, pending = int(match[3]), number(match[4])
    took = match[1].replace("minutes", "m").replace("minute", "m").replace("seconds", "s").replace("second", "s")
    summary = TestSummary(
        "rspec",
        passed=max(0, int(match[2]) - failed - pending),
        failed=failed,
        skipped=pending,
        errors=number(match[5]),
        duration_s=seconds(took),
        failed_names=bounded(said or place for place, said in _RSPEC_FAILED.findall(text[match.end() :])),
    )
    return Found(match.end(), summary)


def phpunit(text: str) -> Found | None:
    """`OK (12 tests, 34 assertions)` or `Tests: 5, Assertions: 6, Failures: 1.`; incomplete counts as skipped."""
    found = last(_PHPUNIT, text)
    if found is None:
        return None
    match, before = found
    said = {word: int(count) for word, count in _PHPUNIT_COUNT.findall(match["rest"] or "")}
    took = last(_PHPUNIT_TIME, before)
    duration_s = None
    if took is not None:
        hours, minutes, rest_s = took[0].groups()
        duration_s = number(hours) * 3600 + int(minutes) * 60 + float(rest_s)
    summary = TestSummary(
        "phpunit",
        passed=max(0, number(match["ok"]) + number(match["all"]) - sum(said.values())),
        failed=said.get("Failures", 0),
        skipped=said.get("Skipped", 0) + said.get("Incomplete", 0),
        errors=said.get("Errors", 0),
        duration_s=duration_s,
        failed_names=bounded(_phpunit_failed(before)),
    )
    return Found(match.end(), summary)


def _phpunit_failed(text: str) -> Iterator[str]:
    """Risky and skipped tests are listed in the same way, below other headings."""
    wanted = False
    for heading, name in _PHPUNIT_LIST.findall(text):
        if heading:
            wanted = heading.startswith(("error", "failure"))
        elif wanted:
            yield name


def ctest(text: str) -> Found | None:
    """`40% tests passed, 3 tests failed out of 5`; ctest itself counts skipped tests among those that passed."""
    found = last(_CTEST, text)
    if found is None:
        return None
    match, _ = found
    others, _, bad = text[match.end() :].partition(_CTEST_FAILED)
    idle = [reason for _, reason in _CTEST_TEST.findall(others)]
    took = _CTEST_TIME.search(others)
    failed = number(match[1])
    summary = TestSummary(
        "ctest",
        passed=max(0, number(match[2]) - failed - idle.count("Skipped")),
        failed=failed,
        skipped=len(idle),
        duration_s=seconds(took[1]) if took else None,
        failed_names=bounded(name for name, _ in _CTEST_TEST.findall(bad)),
    )
    return Found(match.end(), summary)


def dotnet(text: str) -> Found | None:
    """`Failed!  - Failed:     1, Passed:     4, …` for each assembly, added up, or the totals of newer loggers."""
    results = list(_DOTNET.finditer(text))
    names = bounded(a or b or c for a, b, c in _DOTNET_FAILED.findall(text))
    if results:
        failed, passed, skipped = (sum(int(match[group]) for match in results) for group in range(1, 4))
        took_s = total_s(seconds(match[4]) for match in results)
        summary = TestSummary("dotnet", passed, failed, skipped, duration_s=took_s, failed_names=names)
        return Found(results[-1].end(), summary)
    found = last(_DOTNET_TOTALS, text)
    if found is None or (found[0]["rest3"] and "Test run summary: " not in found[1]):
        return None
    match, _ = found
    rest = match["rest"] or match["rest2"] or match["rest3"] or ""
    said = {word.lower(): int(count) for word, count in _DOTNET_COUNT.findall(rest)}
    took = (match["time"] or "").replace("Seconds", "s").replace("Minutes", "m").replace("Hours", "h")
    summary = TestSummary(
        "dotnet",
        passed=said.get("passed", said.get("succeeded", 0)),
        failed=said.get("failed", 0),
        skipped=said.get("skipped", 0),
        duration_s=seconds(took or match["time2"] or match["time3"]),
        failed_names=names,
    )
    return Found(match.end(), summary)
