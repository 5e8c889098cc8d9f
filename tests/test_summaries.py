"""What test runners say at their end: true samples, near misses, hostile text, JUnit's XML."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgummy import summaries
from dgummy.summaries import TestSummary
from dgummy.testformats import junit
from dgummy.testformats.record import MAX_NAME, MAX_NAMES

DATA = Path(__file__).parent / "data" / "summaries"
CASES = sorted(DATA.glob("*.json"))
NEAR_MISSES = (DATA / "near_misses.txt").read_text(encoding="utf-8").partition("\n")[2].split("%%\n")
RUNNERS = {
    "pytest", "unittest", "go test", "cargo test", "nextest", "jest", "vitest", "mocha", "node", "rspec", "phpunit",
    "maven", "gradle", "ctest", "bats", "TAP", "prove", "dotnet",
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    case = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(case, dict)
    return case


def as_case(summary: TestSummary) -> dict[str, Any]:
    """What differs from an empty summary, as the case files write it."""
    empty = asdict(TestSummary(""))
    known = {name: value for name, value in asdict(summary).items() if value != empty[name]}
    known.pop("parts", None)
    if "failed_names" in known:
        known["failed_names"] = list(summary.failed_names)
    if summary.parts:
        known["parts"] = [as_case(part) for part in summary.parts]
    return known


def summary_of(text: str, *, whole: bool = True) -> TestSummary:
    summary = summaries.read(text, whole=whole)
    assert summary is not None
    return summary


# Samples


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    case = load(path)
    summary = summary_of("\n".join(case["lines"]), whole=case.get("whole", True))
    assert as_case(summary) == case["expect"], case["what"]
    assert summaries.describe(summary) == case["says"]


def test_every_runner_has_a_sample() -> None:
    assert {load(path)["expect"]["runner"] for path in CASES} >= RUNNERS
    assert len(CASES) >= 40


@pytest.mark.parametrize("text", NEAR_MISSES, ids=[text.partition("\n")[0][:40] for text in NEAR_MISSES])
def test_near_misses(text: str) -> None:
    assert summaries.read(text) is None


def test_there_are_near_misses() -> None:
    assert len(NEAR_MISSES) >= 30


@pytest.mark.parametrize("text", ["", "\n", "\r\n\r\n", "\x1b[0m", " "])
def test_nothing_is_no_summary(text: str) -> None:
    assert summaries.read(text) is None


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_sample_survives_a_windows_host_and_output_around_it(path: Path) -> None:
    case = load(path)
    text = "".join(f"{line}\r\n" for line in ["$ make test", *case["lines"], "done in 3 s"])
    summary = summaries.read(text, whole=case.get("whole", True))
    assert summary is not None
    assert summaries.describe(summary) == case["says"]


# Tails


def test_the_first_line_of_a_tail_is_not_trusted() -> None:
    piece = "17 passed in 0.12s\n"  # of "1217 passed in 0.12s", it may be
    assert summary_of(piece).passed == 17
    assert summaries.read(piece, whole=False) is None


def test_only_what_is_added_up_is_partial() -> None:
    text = "…\n=== 3 passed in 0.12s ===\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    both = summary_of(text, whole=False)
    assert [(part.runner, part.partial) for part in both.parts] == [("pytest", False), ("cargo test", True)]
    assert summaries.describe(both) == "pytest: 3 passed; cargo test: at least 2 passed"


def test_text_that_is_too_long_counts_as_a_tail() -> None:
    result = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    assert summary_of(result + "x" * 100 + "\n" + result) == TestSummary("cargo test", passed=4)
    assert summary_of(result + "x" * summaries.MAX_TEXT + "\n" + result) == TestSummary(
        "cargo test", passed=2, partial=True
    )


# In one line


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        (TestSummary("pytest", passed=1247), "1,247 passed"),
        (
            TestSummary("pytest", passed=89, failed=2, failed_names=("a.py::test_a", "a.py::C::test_b")),
            "89 passed, 2 failed: test_a, test_b",
        ),
        (TestSummary("pytest", failed=2), "2 failed"),
        (TestSummary("pytest", passed=1, errors=2, failed_names=("a.py",)), "1 passed, 2 errors: a.py, and 1 more"),
        (TestSummary("pytest", failed=1, failed_names=("t.py::test_a[x::y]",)), "1 failed: test_a[x::y]"),
        (TestSummary("go test", passed=1, unit="package"), "1 package passed"),
        (TestSummary("go test", failed=3, unit="package"), "3 packages failed"),
        (TestSummary("jest", failed=1, failed_names=("x" * 100,)), "1 failed: " + "x" * 59 + "…"),
        (TestSummary("cargo test", failed=1, failed_names=("ends::",)), "1 failed: ends::"),
        (TestSummary("pytest"), "no tests ran"),
    ],
)
def test_describe(summary: TestSummary, says: str) -> None:
    assert summaries.describe(summary) == says


def test_adding_nothing_or_one_changes_nothing() -> None:
    one = TestSummary("pytest", passed=1)
    assert summaries.add([]) is None
    assert summaries.add([one]) == one


# Hostile text

HOSTILE = [
    "\n", "\r", "\x1b[", "\x1b]", "\x1b( ", "0", "1 ", "= ", "a > a ",
    "3 passed, ", "FAILED x.py::a[b - ", "SUBFAIL x ", "short test summary info\n",
    "Ran 3 tests in 0.1s\n", "FAILED (failures=1, ", "=====================\nFAIL: a (b)\n",
    "=== RUN   \n--- FAIL: a/b (0.1s)\nFAIL\tp\t0.1s\n",
    '{"Action":"pass"', '{"Package":"p","Action":"pass","Test":"//////"}\n',
    "failures:\n    a\n", "     Summary [ 0.1s] 3 tests run: 1 failed (", "        FAIL [ 0.1s] (",
    "Test Suites: 1 total\nTests: 3 passed, ", "Test Suites: 1 total\nTests: 1 total\n", "FAIL x (", "  ● a\n",
    " Test Files  1\n      Tests  1\n", " FAIL  a [ a ",
    "  3 passing (1s)\n  2 failing\n", "  1) a\n       b\n",
    "# tests 3\n# pass 3\n", "  not ok 1 - a\n    ---\n    x\n",
    "Finished in 1 second\n", "1) A::b ", "There was 1 error:\n1) A::b\n",
    "The following tests FAILED:\n", "\n  1 - a (",
    "Total tests: 1\n  Passed: 1\n", "  Failed a [1 ", "failed a (1 ", " error TESTERROR: ",
    "1..3\nok 1\n", "not ok 1 # TODO ", "a      (Wstat: 1 ( ", " " * 50, " ✓ a\n3 tests, 1 failure\n",
    "Tests run: 1, Failures: 1, Errors: 0, Skipped: 0\n", "[ERROR] Failures:\n[ERROR]   a.b:1\n", "A > b FAILED\n",
]  # fmt: skip
# Around it, what makes every reader look for names in it.
BEFORE = """
=== short test summary info ===
Finished in 1 second
3 examples, 1 failure
  1 passing (1s)
  1 failing
ℹ tests 1
ℹ pass 1
ℹ fail 0
ℹ cancelled 0
ℹ skipped 0
ℹ todo 0
ℹ duration_ms 1
✖ failing tests:
     Summary [   0.1s] 1 test run: 1 failed
50% tests passed, 1 tests failed out of 2
The following tests FAILED:
=== RUN   TestA
[ERROR] Failures:
There was 1 failure:
"""
AFTER = """
=== 1 failed in 0.1s ===
Ran 1 test in 0.1s
FAILED (failures=1)
Test Suites: 1 failed, 1 total
Tests:       1 failed, 1 total
Time:        1 s
 Test Files  1 failed (1)
      Tests  1 failed (1)
   Duration  1s
FAIL\texample.org/shop\t0.1s
test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out
[ERROR] Tests run: 1, Failures: 1, Errors: 0, Skipped: 0
1 test completed, 1 failed
Tests: 1, Assertions: 1, Failures: 1.
Files=1, Tests=1,  0 wallclock secs ( 0.02 usr )
Result: FAIL
 ✗ totals
1 test, 1 failure
Total tests: 1
     Failed: 1
"""
IN_LONG_LINES = [f"a{piece * (1990 // len(piece))}z\n" for piece in HOSTILE if "\n" not in piece]


@pytest.mark.parametrize("piece", [*HOSTILE, *IN_LONG_LINES], ids=lambda piece: repr(piece)[:30])
def test_a_megabyte_of_anything_takes_less_than_a_second(piece: str) -> None:
    size = summaries.MAX_TEXT - len(BEFORE) - len(AFTER)
    text = BEFORE + (piece * (size // len(piece) + 1))[:size] + AFTER
    started_s = time.process_time()
    summary = summary_of(text)
    summaries.describe(summary)
    assert time.process_time() - started_s < 1
    assert len(summary.parts) >= 10


@given(st.lists(st.sampled_from([*HOSTILE, "4294967296", "9" * 5000, "[" * 3000, "\x00", "\udcff", "é"]), max_size=30))
@settings(max_examples=300, deadline=None)
def test_what_it_says_is_bounded_whatever_it_reads(pieces: list[str]) -> None:
    summary = summaries.read("".join(pieces))
    if summary is not None:
        assert len(summary.failed_names) <= MAX_NAMES
        assert all(len(name) <= MAX_NAME for name in summary.failed_names)
        assert min(summary.passed, summary.failed, summary.skipped, summary.errors) >= 0
        assert len(summaries.describe(summary)) < 300 * max(1, len(summary.parts))


def test_a_plan_of_a_billion_costs_nothing() -> None:
    assert summary_of("1..999999999\nok 1 - adds\n") == TestSummary("TAP", passed=1, errors=999_999_998)


def test_names_are_bounded() -> None:
    failed = "".join(f"FAILED tests/{'x' * 300}{number}.py::test - no\n" for number in range(100))
    summary = summary_of(f"=== short test summary info ===\n{failed}=== 100 failed in 1.00s ===\n")
    assert len(summary.failed_names) == 1  # what differs is beyond the bound
    failed = "".join(f"FAILED t.py::test_{number} - no\n" for number in range(100))
    summary = summary_of(f"=== short test summary info ===\n{failed}=== 100 failed in 1.00s ===\n")
    assert summary.failed_names == tuple(f"t.py::test_{number}" for number in range(MAX_NAMES))
    assert summaries.describe(summary) == "100 failed: test_0, test_1, test_2, and 97 more"


def test_a_duration_that_is_no_number_is_not_taken() -> None:
    event = '{"Action":"pass","Package":"p","Elapsed":%s}'
    assert summary_of(event % "1.5").duration_s == 1.5
    for hostile in ("NaN", "Infinity", "1e400", "-1", '"1"', "9" * 1000):
        assert summary_of(event % hostile).duration_s is None


# JUnit's XML


@pytest.mark.parametrize(
    ("name", "expect"),
    [
        ("bats", TestSummary("junit", 1, 1, 1, 0, 0.015, ("cart.bats::totals",))),
        ("ctest", TestSummary("junit", 1, 2, 3, 0, 1.0, ("totals", "hangs"))),
        ("node", TestSummary("junit", 2, 2, 2, 0, 0.041235, ("test::is wrong", "test::inner"))),
        (
            "phpunit",
            TestSummary(
                "junit", 2, 2, 1, 1, 0.003106,
                ("CartTest::testTotal", "CartTest::testBoom", 'CartTest::testEven with data set "three"'),
            ),
        ),
        ("pytest", TestSummary("junit", 1, 1, 0, 0, 0.049, ("test_shop.Cart::test_boom",))),
        ("surefire", TestSummary("junit", 1, 1, 1, 1, 0.083, ("shop.CartTest::totals", "shop.CartTest::boom"))),
    ],
)  # fmt: skip
def test_reports(name: str, expect: TestSummary) -> None:
    assert summaries.read_junit([(DATA / "junit" / f"{name}.xml").read_bytes()]) == expect


def test_reports_are_added_up() -> None:
    reports = [(DATA / "junit" / f"{name}.xml").read_bytes() for name in ("pytest", "surefire")]
    both = summaries.read_junit(reports)
    assert both == TestSummary(
        "junit", 2, 2, 1, 1, 0.132, ("test_shop.Cart::test_boom", "shop.CartTest::totals", "shop.CartTest::boom")
    )
    assert summaries.read_junit([]) is None


@pytest.mark.parametrize(
    ("report", "expect"),
    [
        (b"<testsuite/>", TestSummary("junit")),
        (
            b"<testsuites time='3.5'><testsuite time='1'/><testsuite time='2'/></testsuites>",
            TestSummary("junit", duration_s=3.5),
        ),
        (
            b"<testsuites><testsuite time='1,001'><testsuite time='9'/></testsuite><testsuite time='2'/></testsuites>",
            TestSummary("junit", duration_s=1003),
        ),
        (b"<testsuite time='nan'/>", TestSummary("junit")),
        (
            b"<testsuite name='s'><error>no such module</error></testsuite>",
            TestSummary("junit", errors=1, failed_names=("s",)),
        ),
        (
            b"<testsuite><testcase name='a'><failure/><error/><failure/></testcase></testsuite>",
            TestSummary("junit", failed=1, failed_names=("a",)),
        ),
        (b"<testsuite><testcase name='a'><flakyFailure/></testcase></testsuite>", TestSummary("junit", passed=1)),
        (
            b"<testsuite><testcase name='a' status='notrun'/><testcase name='b' result='suppressed'/></testsuite>",
            TestSummary("junit", skipped=2),
        ),
        (
            "<?xml version='1.0' encoding='utf-16'?><testsuite><testcase/></testsuite>".encode("utf-16"),
            TestSummary("junit", passed=1),
        ),
        (b"<testsuite tests='99' failures='99'><testcase/></testsuite>", TestSummary("junit", passed=1)),
    ],
)
def test_what_writers_do_differently(report: bytes, expect: TestSummary) -> None:
    assert junit.parse(report) == expect


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<testsuite><testcase name='&b;'/></testsuite>"
)


@pytest.mark.parametrize(
    ("report", "why"),
    [
        (BOMB, "DTD"),
        (BOMB.decode().partition("?>")[2].encode("utf-16"), "DTD"),
        ("<!DOCTYPE testsuite SYSTEM 'file:///etc/passwd'><testsuite/>".encode("utf-16"), "DTD"),
        (b"<!DOCTYPE testsuite SYSTEM 'http://192.0.2.1/x.dtd'><testsuite/>", "DTD"),
        (b"<testsuite>&undefined;</testsuite>", "no XML"),
        (b"<testsuite><testcase name='a'></testsuite>", "no XML"),
        (b"<?xml version='1.0' encoding='no-such'?><testsuite/>", "no XML"),
        (b"<html><body/></html>", "no JUnit report"),
        (b"", "no XML"),
        (b"\x00\xff", "no XML"),
        (b" " * (junit.MAX_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_reports_that_are_refused(report: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        summaries.read_junit([report])
    assert "\n" not in str(refused.value)


def test_a_large_report_takes_little_time() -> None:
    case = b"<testcase name='a' classname='b'><failure>no</failure></testcase>"
    report = b"<testsuite>" + case * ((junit.MAX_BYTES - 100) // len(case)) + b"</testsuite>"
    started_s = time.process_time()
    summary = junit.parse(report)
    assert time.process_time() - started_s < 3
    assert summary.failed == (junit.MAX_BYTES - 100) // len(case)
    assert summary.failed_names == ("b::a",)


def test_deep_nesting_is_only_deep() -> None:
    depth = 200_000
    report = b"<testsuite>" * depth + b"<testcase/>" + b"</testsuite>" * depth
    assert junit.parse(report) == TestSummary("junit", passed=1)
