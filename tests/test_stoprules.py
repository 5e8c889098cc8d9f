"""When failures keep the others from starting."""

from __future__ import annotations

import pytest

from dgummy.stoprules import StopRule, Verdict, parse_rule

GO, HOLD, CANCEL = Verdict.GO_ON, Verdict.HOLD, Verdict.CANCEL


@pytest.mark.parametrize(
    ("fail_fast", "limit", "failed", "total", "verdict"),
    [
        (False, None, 5, 5, GO),
        (True, None, 0, 5, GO),
        (True, None, 1, 5, CANCEL),
        (True, "3", 1, 5, CANCEL),
        (False, "0", 0, 5, GO),
        (False, "0", 1, 5, HOLD),
        (False, "2", 2, 5, GO),
        (False, "2", 3, 5, HOLD),
        (False, "25%", 1, 4, GO),
        (False, "25%", 2, 4, HOLD),
        (False, "0%", 1, 1000, HOLD),
        (False, "100%", 4, 4, GO),
        (False, "2.5 %", 1, 40, GO),
        (False, "2.5 %", 2, 40, HOLD),
        (False, "", 3, 3, GO),
    ],
)
def test_what_failures_mean(fail_fast: bool, limit: str | None, failed: int, total: int, verdict: Verdict) -> None:
    assert parse_rule(fail_fast=fail_fast, max_failures=limit).verdict(failed, total) is verdict


@pytest.mark.parametrize("text", ["many", "-1", "1.5", "101%", "%", "1e3", "٣", "3 %%", "."])
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|more than|whole number"):
        parse_rule(fail_fast=False, max_failures=text)


def test_why_it_stopped() -> None:
    assert StopRule(fail_fast=True).why(1) == "stopped at the first failure"
    assert StopRule(max_failures=0).why(1) == "stopped after 1 failure (the limit is 0)"
    assert StopRule(max_failures_pct=12.5).why(3) == "stopped after 3 failures (the limit is 12.5%)"
