"""What agents cost: tokens times prices, and what hostile lines of logs and transcripts make of it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.costs import (
    Price,
    Tally,
    Usage,
    cost_of_lines,
    cost_usd,
    format_usd,
    price_of,
    result_cost_usd,
    usage_of_transcript_line,
)
from dgummy.settings import Settings

OPUS, HAIKU = Price(5, 25, 6.25, 10, 0.5), Price(1, 5, 1.25, 2, 0.1)
PRICES = {"claude-opus-5": OPUS, "claude-opus-5-5": Price(4, 20, 5, 8, 0.2), "claude-haiku-4-5": HAIKU}
M = 1_000_000


def line(message_id: str = "", model: str = "claude-haiku-4-5", usage: Any = None, **more: Any) -> str:
    """An assistant's line of a transcript."""
    counts = {"input_tokens": M, "output_tokens": 0} if usage is None else usage
    message = {"id": message_id, "model": model, "usage": counts}
    return json.dumps({"type": "assistant", "timestamp": "2026-11-23T16:45:48.123Z", "message": message, **more})


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (Usage(), 0.0),
        (Usage(input=M), 1.0),
        (Usage(output=M), 5.0),
        (Usage(cache_write_5m=M), 1.25),
        (Usage(cache_write_1h=M), 2.0),
        (Usage(cache_read=M), 0.1),
        (Usage(400, 110), 0.00095),
        (Usage(M, M, M, M, M), 9.35),
        (None, None),
    ],
)
def test_tokens_times_prices(usage: Usage | None, usd: float | None) -> None:
    assert cost_usd(usage, "claude-haiku-4-5", PRICES) == (None if usd is None else pytest.approx(usd))


def test_what_has_no_price_has_no_cost() -> None:
    assert cost_usd(Usage(M), "gpt-9", PRICES) is None
    assert cost_usd(Usage(M), "", PRICES) is None
    assert cost_usd(Usage(), "gpt-9", PRICES) is None  # not 0: nobody knows
    bare = {"m": Price(1, 5)}
    assert cost_usd(Usage(M, M), "m", bare) == 6.0
    assert cost_usd(Usage(M, M, cache_read=1), "m", bare) is None


def test_long_prompts_may_cost_more_with_their_answers() -> None:
    prices = {"m": Price(1, 5, 1, 1, 1, long_prompt=100, long_factor=5)}
    assert cost_usd(Usage(60, 10, cache_read=40), "m", prices) == pytest.approx(150 / M)
    assert cost_usd(Usage(60, 10, cache_read=41), "m", prices) == pytest.approx(5 * 151 / M)


@pytest.mark.parametrize(
    ("model", "listed"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5-20260724", "claude-opus-5"),
        ("claude-opus-5-5-20260901", "claude-opus-5-5"),  # the longest that fits
        ("claude-opus-5-fast", "claude-opus-5"),
        ("claude-opus-5-6", None),  # another version, whose price nobody knows yet
        ("claude-opus-5-6-20270101", None),
        ("claude-haiku-4-51", None),
        ("claude-haiku-4", None),
        ("Claude-Haiku-4-5", None),
        ("claude", None),
        ("-", None),
        ("", None),
    ],
)
def test_names_of_models(model: str, listed: str | None) -> None:
    assert price_of(model, PRICES) is (PRICES[listed] if listed else None)


def test_the_price_list_that_comes_along() -> None:
    """Figures of the published page, one of each shape."""
    prices = Settings().pricing.prices
    assert prices["claude-opus-4-6"] == Price(5, 25, 6.25, 10, 0.5)
    assert prices["claude-haiku-4-5"] == Price(1, 5, 1.25, 2, 0.1)
    assert price_of("claude-sonnet-4-20250514", prices) == Price(3, 15, 3.75, 6, 0.3)
    assert price_of("claude-opus-4-9", prices) is None
    assert cost_usd(Usage(100_001), "claude-haiku-5-5", prices) == pytest.approx(0.0500005)
    for price in prices.values():
        assert price.cache_write_5m == pytest.approx(1.25 * price.input)
        assert price.cache_write_1h == pytest.approx(2 * price.input)


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "cost ?"), (0, "$0.00"), (4.1234, "$4.12"), (0.0123, "$0.0123"), (0.25, "$0.25"), (0.1 + 0.2, "$0.30"),
        (0.00001, "<$0.0001"), (1234.5, "$1234.50"), (0.999999, "$1.00"), (0.1001, "$0.1001"), (0.123, "$0.123"),
    ],
)  # fmt: skip
def test_money_as_text(usd: float | None, text: str) -> None:
    assert format_usd(usd) == text


# -- lines ---------------------------------------------------------------------------------------------------------


def test_a_line_of_a_transcript() -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 4,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 6,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
    }
    told = usage_of_transcript_line(line("msg_1", "claude-opus-5", usage))
    at = datetime(2026, 11, 23, 16, 45, 48, 123000, tzinfo=timezone.utc)
    assert told == ("msg_1", "claude-opus-5", at, Usage(3, 4, 20, 30, 6))


def test_caches_need_not_be_spoken_of() -> None:
    told = usage_of_transcript_line(
        line(usage={"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": None})
    )
    assert told is not None and told.usage == Usage(3, 4)
    nameless = usage_of_transcript_line('{"type":"assistant","message":{"usage":{"input_tokens":1,"output_tokens":2}}}')
    assert nameless == ("", "", None, Usage(1, 2))


@pytest.mark.parametrize("count", ["3", -1, True, False, 1.0, 10**13, 10**400, [3], {}, "", None])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_creation_input_tokens"])
def test_counts_that_are_none(name: str, count: Any) -> None:
    text = line(usage={"input_tokens": 1, "output_tokens": 1, name: count})
    unsaid = count is None and name.startswith("cache")
    assert (usage_of_transcript_line(text) is None) is not unsaid
    assert cost_of_lines([text], PRICES)[0] == (pytest.approx(6 / M) if unsaid else None)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "not json", "\x00",
        '{"type":"user","message":{"usage":{"input_tokens":1,"output_tokens":1}}}',
        '{"type":"assistant"}', '{"type":"assistant","message":[]}', '{"type":"assistant","message":{"usage":[]}}',
        '{"type":"assistant","message":{"usage":{}}}', '{"a":' * 100_000,
        '{"type":"assistant","message":' + "9" * 9000 + "}",
        line(usage={"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 5}}),
    ],
    ids=range(14),
)  # fmt: skip
def test_lines_that_tell_nothing(text: str) -> None:
    assert usage_of_transcript_line(text) is None
    assert cost_of_lines([text], PRICES) == (None, True)


@pytest.mark.parametrize("odd", [5, None, [], {}, "x" * 10_000])
def test_names_and_times_that_are_none_are_left_out(odd: Any) -> None:
    text = json.dumps(
        {
            "type": "assistant",
            "timestamp": odd,
            "message": {"id": odd, "model": odd, "usage": {"input_tokens": 1, "output_tokens": 1}},
        }
    )
    assert usage_of_transcript_line(text) == ("", "", None, Usage(1, 1))


@given(st.text() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["type", "message", "usage", "input_tokens"]) | st.text(), inner, max_size=3),
).map(json.dumps))  # fmt: skip
def test_no_line_is_too_odd(text: str) -> None:
    usage_of_transcript_line(text)
    tally = Tally(PRICES)
    tally.add(text)
    assert tally.cost_usd is None or tally.cost_usd >= 0


def test_a_message_counts_once_and_by_its_last_line() -> None:
    lines = [line("a"), line("b"), line("a", usage={"input_tokens": 2 * M, "output_tokens": 0}), line(""), line("")]
    assert cost_of_lines(lines, PRICES) == (5.0, True)


def test_what_is_of_a_model_without_a_price_is_missing_from_the_sum() -> None:
    assert cost_of_lines([line("a"), line("b", model="gpt-9")], PRICES) == (1.0, False)
    assert cost_of_lines([line("b", model="gpt-9")], PRICES) == (None, False)
    assert cost_of_lines([], PRICES) == (None, True)


def test_lines_from_before_do_not_count() -> None:
    after = datetime(2026, 11, 23, 16, 45, 48, 124000, tzinfo=timezone.utc)
    assert cost_of_lines([line("a")], PRICES, after) == (None, True)
    assert cost_of_lines([line("a")], PRICES, after.replace(microsecond=123000)) == (1.0, True)
    assert cost_of_lines([line("a", timestamp="soon")], PRICES, after) == (1.0, True)


def test_a_log_names_its_model_at_the_beginning_and_its_cost_at_the_end() -> None:
    tally = Tally(PRICES)
    answer = '{"type":"assistant","message":{"usage":{"input_tokens":400,"output_tokens":110}}}'
    tally.add(answer)
    assert tally.cost_usd is None and not tally.is_complete
    tally = Tally(PRICES)
    for text in ('{"type":"system","model":"claude-haiku-4-5"}', "stderr of something", answer, answer):
        tally.add(text)
    assert tally.cost_usd == pytest.approx(0.0019)
    tally.add('{"type":"result","total_cost_usd":"free"}')
    assert tally.cost_usd == pytest.approx(0.0019)
    tally.add('{"type":"result","total_cost_usd":0.0123}')
    assert (tally.cost_usd, tally.is_complete) == (0.0123, True)


@pytest.mark.parametrize("said", ["0.1", -0.1, True, None, float("nan"), float("inf"), 1e300, []])
def test_totals_that_are_none(said: Any) -> None:
    assert result_cost_usd({"total_cost_usd": said}) is None
    assert result_cost_usd({}) is None
