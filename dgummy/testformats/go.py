"""go test: plain, with -v, and with -json. Plain output names packages, not tests."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dgummy.testformats.record import Found, S, TestSummary, bounded

# With tabs, as go writes it: "ok" at the beginning of a line is a common word.
_LINE = re.compile(
    rf"^(?: *--- (?P<outcome>PASS|FAIL|SKIP): (?P<test>\S+) \({S}s\)"
    rf"|(?P<ok>ok  |FAIL|\?   )\t(?P<package>\S+)(?:\t(?P<s>{S})s|\t\(cached\)|[ \t]\[).*)$",
    re.MULTILINE,
)
_EVENT = re.compile(r'^\{(?=.*"Action":"(?:pass|fail|skip)").*\}$', re.MULTILINE)
_OUTCOMES = {"ok  ": "pass", "FAIL": "fail", "?   ": "skip", "PASS": "pass", "SKIP": "skip"}


@dataclass
class _Package:
    name: str
    outcome: str = ""
    duration_s: float | None = None
    tests: dict[str, str] = field(default_factory=dict)

    def with_outcome(self, outcome: str) -> list[str]:
        """Its tests that ended so, less those whose subtests did."""
        names = [name for name, ended in self.tests.items() if ended == outcome]
        parents = {name[:slash] for name in names for slash in _slashes(name)}
        return [name for name in names if name not in parents]


def go_test(text: str) -> Found | None:
    """Tests where they were named (-v, -json), else packages. A package without tests counts as nothing."""
    packages, end = _from_json(text)
    named = bool(packages)
    if not packages:
        packages, end = _from_lines(text)
        named = re.search(r"^=== RUN   ", text, re.MULTILINE) is not None
    if not packages:
        return None
    count = _count_tests if named else _count_packages
    total, names = count(packages)
    summary = TestSummary(
        "go test",
        passed=total["pass"],
        failed=total["fail"],
        skipped=total["skip"],
        errors=total["error"],
        duration_s=packages[0].duration_s if len(packages) == 1 else None,  # packages run side by side
        failed_names=bounded(names),
        unit="test" if named else "package",
    )
    return Found(end, summary)


def _count_tests(packages: Iterable[_Package]) -> tuple[Counter[str], list[str]]:
    total: Counter[str] = Counter()
    names = []
    for package in packages:
        for outcome in ("pass", "fail", "skip"):
            total[outcome] += len(package.with_outcome(outcome))
        failed = package.with_outcome("fail")
        if package.outcome == "fail" and not failed:
            total["error"] += 1
        names += failed or [package.name] * (package.outcome == "fail")
    return total, names


def _count_packages(packages: Iterable[_Package]) -> tuple[Counter[str], list[str]]:
    counted = [package for package in packages if package.outcome != "skip"]
    names = []
    for package in counted:
        names += package.with_outcome("fail") or [package.name] * (package.outcome != "pass")
    return Counter(package.outcome for package in counted), names


def _from_lines(text: str) -> tuple[list[_Package], int]:
    """Packages with the tests that were named before each."""
    packages: list[_Package] = []
    tests: dict[str, str] = {}
    end = 0
    for match in _LINE.finditer(text):
        if match["test"]:
            tests[match["test"]] = _OUTCOMES[match["outcome"]]
            continue
        said = match[0].rpartition("[")[2]
        outcome = _OUTCOMES[match["ok"]]
        if said in ("build failed]", "setup failed]"):
            outcome = "error"
        elif said == "no tests to run]":
            outcome = "skip"
        packages.append(_Package(match["package"], outcome, float(match["s"]) if match["s"] else None, tests))
        tests, end = {}, match.end()
    return packages, end


def _from_json(text: str) -> tuple[list[_Package], int]:
    """Packages from the events that end a test or a package."""
    packages: dict[str, _Package] = {}
    end = 0
    for match in _EVENT.finditer(text):
        try:
            event = json.loads(match[0])
        except (ValueError, RecursionError):
            continue
        name, test, outcome, took_s = (event.get(key) for key in ("Package", "Test", "Action", "Elapsed"))
        if not isinstance(name, str) or outcome not in ("pass", "fail", "skip"):
            continue
        package = packages.setdefault(name, _Package(name))
        if isinstance(test, str):
            package.tests[test] = outcome
        else:
            package.outcome = outcome
            package.duration_s = float(took_s) if isinstance(took_s, (int, float)) and 0 <= took_s < 1e9 else None
        end = match.end()
    return list(packages.values()), end


def _slashes(name: str) -> list[int]:
    """Where a subtest's parents end; only the innermost ones of a name that is nothing but slashes."""
    return [place for place, char in enumerate(name) if char == "/"][-20:]
