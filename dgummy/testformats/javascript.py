"""jest, vitest, mocha and Node's own test runner."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dgummy.testformats.record import Found, N, S, TestSummary, bounded, counts, last, lines, number, seconds

_JEST = lines(r"Test Suites: +(\S.*) total\nTests: +(\S.*) total(?:\n(?!Time:).*){0,8}?\nTime: +([^,\n]{1,20}).*")
_JEST_BAD = re.compile(r"^(?: ?FAIL +(?P<suite>\S.*)|  ● (?P<test>\S.*))$", re.MULTILINE)
_JEST_NO_TEST = ("Console", "Cannot log after tests are done")
_JEST_NO_SUITE = "Test suite failed to run"

_VITEST = lines(r" *Test Files  +(\S.*)\n *Tests  +(\S.*)(?:\n(?! *Duration ).*){0,4}?\n *Duration  +(\S+).*")
_VITEST_ERRORS = re.compile(rf"^ *Errors  +({N}) errors?$", re.MULTILINE)
_VITEST_FAILED = re.compile(r"^ FAIL  (\S.*)$", re.MULTILINE)

_MOCHA = lines(rf"  ({N}) passing \(({N}(?:ms|s|m|h|d))\)(?:\n  ({N}) pending)?(?:\n  ({N}) failing)?")
_MOCHA_FAILED = re.compile(rf"^  {N}\) (\S.*(?:\n {{7,}}\S.*){{0,9}})", re.MULTILINE)

_NODE = lines(
    rf"[ℹ#] tests {N}(?:\n[ℹ#] suites {N})?\n[ℹ#] pass ({N})\n[ℹ#] fail ({N})\n[ℹ#] cancelled ({N})"
    rf"\n[ℹ#] skipped ({N})\n[ℹ#] todo ({N})\n[ℹ#] duration_ms ({S})"
)
_NODE_SPEC = "\n✖ failing tests:\n"
_NODE_SPEC_FAILED = lines(rf"✖ (\S.*) \({S}ms\).*")
# A parent that failed because its subtests did says so.
_NODE_TAP_FAILED = re.compile(
    rf"^( *)not ok {N} - (\S.*)\n\1  ---\n(?:\1  .*\n){{0,5}}?\1  failureType: '(?!subtestsFailed)", re.MULTILINE
)


def jest(text: str) -> Found | None:
    """`Tests:       1 failed, 5 passed, 6 total`; a suite that could not be loaded is an error."""
    found = last(_JEST, text)
    if found is None:
        return None
    match, before = found
    suites = counts(match[1], "failed")
    said = counts(match[2], "passed|failed|skipped|todo")
    unloaded, tests = _jest_bad(before)
    errors = len(unloaded)
    if not errors and not said.get("failed"):
        errors = suites.get("failed", 0)
    summary = TestSummary(
        "jest",
        passed=said.get("passed", 0),
        failed=said.get("failed", 0),
        skipped=said.get("skipped", 0) + said.get("todo", 0),
        errors=errors,
        duration_s=seconds(match[3]),
        failed_names=bounded([*tests, *unloaded]),
    )
    return Found(match.end(), summary)


def _jest_bad(text: str) -> tuple[list[str], list[str]]:
    """Suites that could not be loaded, and tests that failed."""
    suite = ""
    unloaded: dict[str, None] = {}
    tests = []
    for match in _JEST_BAD.finditer(text):
        if match["suite"]:
            suite = match["suite"].partition(" (")[0]
        elif match["test"] == _JEST_NO_SUITE:
            unloaded[suite] = None
        elif not match["test"].startswith(_JEST_NO_TEST):
            tests.append(match["test"])
    return list(unloaded), tests


def vitest(text: str) -> Found | None:
    """`Tests  1 failed | 5 passed (6)`; suites that could not be loaded and unhandled errors are errors."""
    found = last(_VITEST, text)
    if found is None:
        return None
    match, before = found
    said = counts(match[2], "passed|failed|skipped|todo")
    unhandled = _VITEST_ERRORS.search(match[0])
    bad = bounded(_VITEST_FAILED.findall(before))
    unloaded = [name for name in bad if name.endswith(" ]")]
    summary = TestSummary(
        "vitest",
        passed=said.get("passed", 0),
        failed=said.get("failed", 0),
        skipped=said.get("skipped", 0) + said.get("todo", 0),
        errors=len(unloaded) + (int(unhandled[1]) if unhandled else 0),
        duration_s=seconds(match[3]),
        failed_names=bounded(name.partition(" [ ")[0] if name in unloaded else name for name in bad),
    )
    return Found(match.end(), summary)


def mocha(text: str) -> Found | None:
    """`  5 passing (12ms)`, then `  1 pending` and `  2 failing` where there are such."""
    found = last(_MOCHA, text)
    if found is None:
        return None
    match, _ = found
    summary = TestSummary(
        "mocha",
        passed=int(match[1]),
        failed=number(match[4]),
        skipped=number(match[3]),
        duration_s=seconds(match[2]),
        failed_names=bounded(_mocha_failed(text[match.end() :])) if match[4] else (),
    )
    return Found(match.end(), summary)


def _mocha_failed(text: str) -> Iterator[str]:
    """Titles of nested suites stand one on a line, the last ends with a colon."""
    for match in _MOCHA_FAILED.finditer(text):
        title = []
        for line in match[1].splitlines():
            title.append(line.strip())
            if line.endswith(":"):
                break
        yield " ".join(title).removesuffix(":")


def node(text: str) -> Found | None:
    """`ℹ pass 4` (spec) or `# pass 4` (TAP); cancelled tests are errors, todo counts as skipped."""
    found = last(_NODE, text)
    if found is None:
        return None
    match, before = found
    passed, failed, cancelled, skipped, todo = (int(match[group]) for group in range(1, 6))
    _, header, named = text[match.end() :].partition(_NODE_SPEC)
    names = _NODE_SPEC_FAILED.findall(named) if header else [name for _, name, *_ in _NODE_TAP_FAILED.findall(before)]
    summary = TestSummary(
        "node",
        passed=passed,
        failed=failed,
        skipped=skipped + todo,
        errors=cancelled,
        duration_s=round(float(match[6]) / 1000, 6),
        failed_names=bounded(names),
    )
    return Found(match.end(), summary)
