"""When the failures of some runs of a group keep the others from starting. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dgummy.units import format_count


class Verdict(str, Enum):
    """What the failures so far mean: go on, start nothing more, or end what runs as well."""

    GO_ON = "go on"
    HOLD = "hold"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class StopRule:
    """How many failures are put up with.

    `fail_fast` ends everything at the first one. After more than `max_failures` (a number) or `max_failures_pct` (of
    all runs of the group) nothing new starts, while what runs goes on to its end. None: any number.
    """

    fail_fast: bool = False
    max_failures: int | None = None
    max_failures_pct: float | None = None

    def verdict(self, failed: int, total: int) -> Verdict:
        """Judge `failed` runs out of a group of `total`."""
        if self.fail_fast and failed:
            return Verdict.CANCEL
        if self.max_failures is not None and failed > self.max_failures:
            return Verdict.HOLD
        if self.max_failures_pct is not None and failed * 100 > self.max_failures_pct * total:
            return Verdict.HOLD
        return Verdict.GO_ON

    def why(self, failed: int) -> str:
        """Say what ended the starting, in a few words."""
        if self.fail_fast:
            return "stopped at the first failure"
        limit = self.max_failures if self.max_failures is not None else f"{self.max_failures_pct:g}%"
        return f"stopped after {format_count(failed, 'failure')} (the limit is {limit})"


def parse_rule(*, fail_fast: bool, max_failures: str | None) -> StopRule:
    """Read `--fail-fast` and `--max-failures N|N%`. ValueError, with one line, for what is neither."""
    if max_failures is None or max_failures == "":
        return StopRule(fail_fast)
    text = max_failures.strip()
    number = text.removesuffix("%").strip()
    if not (number.isascii() and number.replace(".", "", 1).isdigit()):
        raise ValueError(f"{max_failures!r} is neither a number of failures nor a percentage")
    if text.endswith("%"):
        if float(number) > 100:
            raise ValueError(f"{max_failures!r} is more than all of them")
        return StopRule(fail_fast, max_failures_pct=float(number))
    if not number.isdigit():
        raise ValueError(f"{max_failures!r} is no whole number of failures")
    return StopRule(fail_fast, max_failures=int(number))
