"""Maven's Surefire and Failsafe, and Gradle."""

from __future__ import annotations

import re
from collections import Counter

from dgummy.testformats.record import Found, N, TestSummary, bounded, lines, number

_LEVEL = r"(?:\[(?:INFO|WARNING|ERROR)\] )?"
# The lines about single classes go on with the time that they took.
_MAVEN = lines(rf"{_LEVEL}Tests run: ({N}), Failures: ({N}), Errors: ({N}), Skipped: ({N})(?:, Flakes: {N})?")
_MAVEN_FAILED = re.compile(r"^(?:\[ERROR\]   |  )([A-Za-z_$](?:[^\s:»-]|-(?!>))*)(?::[0-9]+|->| »)", re.MULTILINE)
_MAVEN_HEADING = lines(rf"{_LEVEL}(?:Failures|Errors):")

_GRADLE = lines(rf"({N}) tests? completed(?:, ({N}) failed)?(?:, ({N}) skipped)?")
_GRADLE_TEST = lines(r"(\S.*) (PASSED|FAILED|SKIPPED)")
_GRADLE_END = lines(r"BUILD (?:SUCCESSFUL|FAILED) in .*")


def maven(text: str) -> Found | None:
    """`Tests run: 5, Failures: 1, Errors: 0, Skipped: 1`, once for each module, added up."""
    results = list(_MAVEN.finditer(text))
    if not results:
        return None
    total, failed, errors, skipped = (sum(int(match[group]) for match in results) for group in range(1, 5))
    names: list[str] = []
    start = 0
    for match in results:
        heading = _MAVEN_HEADING.search(text, start, match.start())
        names += _MAVEN_FAILED.findall(text, heading.end(), match.start()) if heading else []
        start = match.end()
    passed = max(0, total - failed - errors - skipped)
    return Found(start, TestSummary("maven", passed, failed, skipped, errors, failed_names=bounded(names)))


def gradle(text: str) -> Found | None:
    """`5 tests completed, 1 failed`, added up; where all passed, the tests that were named (`Cart > adds PASSED`)."""
    named = [match for match in _GRADLE_TEST.finditer(text) if " > " in match[1]]
    names = bounded(match[1] for match in named if match[2] == "FAILED")
    results = list(_GRADLE.finditer(text))
    if results:
        total, failed, skipped = (sum(number(match[group]) for match in results) for group in range(1, 4))
        summary = TestSummary("gradle", max(0, total - failed - skipped), failed, skipped, failed_names=names)
        return Found(results[-1].end(), summary)
    if not named or _GRADLE_END.search(text, named[-1].end()) is None:
        return None
    total_of = Counter(match[2] for match in named)
    summary = TestSummary("gradle", total_of["PASSED"], total_of["FAILED"], total_of["SKIPPED"], failed_names=names)
    return Found(named[-1].end(), summary)
