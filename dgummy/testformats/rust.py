"""cargo test, summed over binaries and doc tests, and cargo nextest."""

from __future__ import annotations

import re

from dgummy.testformats.record import Found, N, S, TestSummary, bounded, counts, last, lines, seconds, total_s

_CARGO = lines(
    rf"test result: (?:ok|FAILED)\. ({N}) passed; ({N}) failed; ({N}) ignored; {N} measured; {N} filtered out"
    rf"(?:; finished in ({S}s))?"
)
_CARGO_FAILED = re.compile(r"^failures:\n((?:    \S.*\n)+)test result: FAILED", re.MULTILINE)

_NEXTEST = lines(rf" *Summary \[ *({S}s)\] +(?:{N}/)?{N} tests? run: (.*)")
_NEXTEST_FAILED = lines(
    r" *(?:TRY [0-9]{1,3} )?(?:FAIL|TIMEOUT|ABORT|LEAK-FAIL|XFAIL|SIG[A-Z0-9]{1,9})"
    r" +\[[^\]\n]{1,20}\] (?:\([^()\n]{1,20}\) )?(\S+) (\S.*)"  # took, place in the run, binary, test
)


def cargo_test(text: str) -> Found | None:
    """`test result: ok. 5 passed; 0 failed; 1 ignored; …`, one line for each binary, added up."""
    runs = [match.end() for match in _NEXTEST.finditer(text)]
    own = text[runs[-1] :] if runs else text  # above are its tests' own words, each from a process of its own
    results = list(_CARGO.finditer(own))
    if not results:
        return None
    summary = TestSummary(
        "cargo test",
        passed=sum(int(match[1]) for match in results),
        failed=sum(int(match[2]) for match in results),
        skipped=sum(int(match[3]) for match in results),
        duration_s=total_s(seconds(match[4]) for match in results),
        failed_names=bounded(name.strip() for block in _CARGO_FAILED.findall(own) for name in block.splitlines()),
    )
    return Found(len(text) - len(own) + results[-1].end(), summary)


def nextest(text: str) -> Found | None:
    """`Summary [   0.123s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped`."""
    found = last(_NEXTEST, text)
    if found is None:
        return None
    match, _ = found
    said = counts(re.sub(r"\([^()]*\)", "", match[2]), "passed|failed|exec failed|timed out|skipped")
    bad = _NEXTEST_FAILED.findall(text, match.end())  # above, a flaky test may have failed
    summary = TestSummary(
        "nextest",
        passed=said.get("passed", 0),
        failed=said.get("failed", 0) + said.get("timed out", 0),
        skipped=said.get("skipped", 0),
        errors=said.get("exec failed", 0),
        duration_s=seconds(match[1]),
        failed_names=bounded(f"{binary}::{test}" for binary, test in bad),
    )
    return Found(match.end(), summary)
