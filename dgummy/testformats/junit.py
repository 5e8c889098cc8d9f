"""JUnit's XML, as many runners and build tools write it. Hostile XML is refused: no DTD, hence no entities."""

from __future__ import annotations

import re
from collections import Counter
from xml.parsers import expat

from dgummy.testformats.record import MAX_NAMES, S, TestSummary, bounded, total_s

MAX_BYTES = 16 * 1024 * 1024

_SECONDS = re.compile(S, re.ASCII)
_IDLE = ("notrun", "disabled", "skipped", "suppressed")


def parse(data: bytes) -> TestSummary:
    """Count the test cases of one report; the figures that its suites give are not trusted.

    ValueError with one line for what is no XML, no JUnit report, holds a DTD, or is larger than MAX_BYTES.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"the report is larger than {MAX_BYTES // 1024 // 1024} MiB")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"the report is no XML: {error}") from None
    return reader.summary()


class _Reader:
    """Takes what the parser finds; holds counts, never the document."""

    def __init__(self) -> None:
        self._depth = 0
        self._counts: Counter[str] = Counter()
        self._names: list[str] = []
        self._times_s: list[float | None] = []
        self._whole_s: float | None = None
        self._suite = ""
        self._case: str | None = None
        self._outcome = "passed"

    def doctype(self, *_: object) -> None:
        raise ValueError("the report holds a DTD")

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and element not in ("testsuites", "testsuite"):
            raise ValueError("the report is no JUnit report")
        if element == "testsuites":
            self._whole_s = _time_s(attributes)
        elif element == "testsuite":
            self._suite = attributes.get("name", "")
            if self._depth <= 1:
                self._times_s.append(_time_s(attributes))
        elif element == "testcase":
            self._open(attributes)
        elif element in ("failure", "error", "skipped"):
            self._judge(element)
        self._depth += 1

    def end(self, element: str) -> None:
        self._depth -= 1
        if element == "testcase" and self._case is not None:
            self._count(self._outcome, self._case)
            self._case = None

    def _open(self, attributes: dict[str, str]) -> None:
        name, group = attributes.get("name", ""), attributes.get("classname", "")
        self._case = f"{group}::{name}" if group and name != group else name
        idle = attributes.get("status", "").lower() in _IDLE or attributes.get("result", "").lower() in _IDLE
        self._outcome = "skipped" if idle else "passed"

    def _judge(self, element: str) -> None:
        """The first failure or error of a case decides; one outside of any case is a suite's own."""
        if self._case is None:
            if element != "skipped":
                self._count("errors", self._suite)
        elif self._outcome in ("passed", "skipped"):
            self._outcome = {"failure": "failed", "error": "errors", "skipped": "skipped"}[element]

    def _count(self, outcome: str, name: str) -> None:
        self._counts[outcome] += 1
        if outcome in ("failed", "errors") and len(self._names) < MAX_NAMES:
            self._names.append(name)

    def summary(self) -> TestSummary:
        took_s = self._whole_s if self._whole_s is not None else total_s(self._times_s)
        passed, failed, skipped, errors = (self._counts[name] for name in ("passed", "failed", "skipped", "errors"))
        return TestSummary("junit", passed, failed, skipped, errors, took_s, bounded(self._names))


def _time_s(attributes: dict[str, str]) -> float | None:
    """Seconds; some write them with thousands separators."""
    text = attributes.get("time", "").replace(",", "")
    return float(text) if _SECONDS.fullmatch(text) else None
