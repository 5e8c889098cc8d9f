"""pytest and unittest."""

from __future__ import annotations

import re

from dgummy.testformats.record import Found, N, S, TestSummary, bounded, counts, last, lines

_WORDS = "passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun|subtests (?:passed|failed|skipped)"
_COUNTS = rf"no tests ran|{N} (?:{_WORDS})(?:, {N} (?:{_WORDS}))*"
# Without its frame (-q) a line that begins with errors or warnings could be a compiler's, unless "!!! Interrupted: …
# !!!" stands before it.
_PYTEST = lines(rf"(?:=+ |(?<=!\n)|(?!{N} (?:err|warn)))({_COUNTS}) in ({S})s(?: \([^()\n]{{1,40}}\))?(?: =+)?")
_PYTEST_NAMES = "short test summary info"
# The name ends at " - "; parameters in brackets may hold that too.
_PYTEST_FAILED = re.compile(
    r"^(?:FAILED|ERROR|SUBFAIL\S*) ((?=\S*(?:::|\.py))[^\[\s]+(?:\[.*?\])?)(?= - |$)", re.MULTILINE
)

_UNITTEST = lines(rf"Ran ({N}) tests? in ({S})s\n(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?")
_UNITTEST_COUNT = re.compile(
    rf"(expected failures|unexpected successes|failures|errors|skipped)=({N})"  # the longer ones first
)
_UNITTEST_BAD = re.compile(r"^={20,}\n(FAIL|ERROR|UNEXPECTED SUCCESS): (\S+) \((\S+)\)", re.MULTILINE)


def pytest(text: str) -> Found | None:
    """`=== 3 passed, 1 skipped in 0.12s ===`, with or without the frame; xfailed counts as skipped, as in its XML."""
    found = last(_PYTEST, text)
    if found is None:
        return None
    match, before = found
    said = counts(match[1], "passed|failed|errors?|skipped|xfailed|xpassed")
    _, header, named = before.rpartition(_PYTEST_NAMES)
    summary = TestSummary(
        "pytest",
        passed=said.get("passed", 0) + said.get("xpassed", 0),
        failed=said.get("failed", 0),
        skipped=said.get("skipped", 0) + said.get("xfailed", 0),
        errors=said.get("error", said.get("errors", 0)),
        duration_s=float(match[2]),
        failed_names=bounded(_PYTEST_FAILED.findall(named)) if header else (),
    )
    return Found(match.end(), summary)


def unittest(text: str) -> Found | None:
    """`Ran 5 tests in 0.001s`, then `OK` or `FAILED (failures=1)`; expected failures count as skipped."""
    found = last(_UNITTEST, text)
    if found is None:
        return None
    match, before = found
    said = {word: int(count) for word, count in _UNITTEST_COUNT.findall(match[3] or "")}
    bad = [(kind, _unittest_name(test, where)) for kind, test, where in _UNITTEST_BAD.findall(before)]
    failures = [name for kind, name in bad if kind != "UNEXPECTED SUCCESS"]
    # What subtests and class fixtures report is no test that was run.
    beside = len(failures) - len({name for name in failures if not _is_fixture(name)})
    summary = TestSummary(
        "unittest",
        passed=max(0, int(match[1]) - sum(said.values()) + beside),
        failed=said.get("failures", 0) + said.get("unexpected successes", 0),
        skipped=said.get("skipped", 0) + said.get("expected failures", 0),
        errors=said.get("errors", 0),
        duration_s=float(match[2]),
        failed_names=bounded(name for _, name in bad),
    )
    return Found(match.end(), summary)


def _unittest_name(test: str, where: str) -> str:
    """`package.module.Class.test`; Python 3.11 and up say it in full within the parentheses."""
    return where if where.endswith(f".{test}") else f"{where}.{test}"


def _is_fixture(name: str) -> bool:
    return name.rpartition(".")[2] in ("setUpClass", "tearDownClass", "setUpModule", "tearDownModule")
