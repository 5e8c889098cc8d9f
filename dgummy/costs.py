"""What agents cost: counts of tokens times a price for each model, and what an agent's own log says. Pure.

Money is US dollars, prices are per million tokens. None is "not known"; nothing unknown is ever counted as 0.
Lines of logs and transcripts come from hosts: whatever makes no sense in them counts as nothing said.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import NamedTuple

_MOST_TOKENS = 10**12
"""More than any message has. What claims more is no count."""

_MOST_USD = 1e9
_MOST_MESSAGES = 200_000
_LONGEST_NAME = 200
_PER = 1_000_000
_NEXT_VERSION = re.compile(r"\d{1,2}(?!\d)")


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one message: of prompt and answer, put into the cache for 5 minutes or an hour, read from it."""

    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0

    @property
    def prompt(self) -> int:
        """How long the prompt was, whatever way it came."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.cache_read


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs: dollars per million tokens of each kind, None where that is not known.

    Prompts of more than `long_prompt` tokens cost `long_factor` times as much, with their answers; None: never.
    """

    input: float
    output: float
    cache_write_5m: float | None = None
    cache_write_1h: float | None = None
    cache_read: float | None = None
    long_prompt: int | None = None
    long_factor: float = 1.0


Prices = Mapping[str, Price]


def price_of(model: str, prices: Prices) -> Price | None:
    """The price of a model, by its name, else by the longest listed name that it begins with up to a dash.

    `claude-haiku-4-5` stands for `claude-haiku-4-5-20251001`. A name that goes on with a short number is another
    version, whose price nobody knows yet: `claude-opus-5` does not stand for `claude-opus-5-6`.
    """
    name = model
    while name:
        rest = model[len(name) + 1 :]
        if name in prices and not _NEXT_VERSION.match(rest):
            return prices[name]
        name = name.rpartition("-")[0]
    return None


def cost_usd(usage: Usage | None, model: str, prices: Prices) -> float | None:
    """What one message cost; None for a model without a price, no figures, or tokens of a kind that has no price."""
    price = price_of(model, prices)
    if usage is None or price is None:
        return None
    total = 0.0
    for kind in fields(Usage):
        count, rate = getattr(usage, kind.name), getattr(price, kind.name)
        if count and rate is None:
            return None
        total += count * (rate or 0.0)
    is_long = price.long_prompt is not None and usage.prompt > price.long_prompt
    return total * (price.long_factor if is_long else 1.0) / _PER


def format_usd(usd: float | None) -> str:
    """`$4.12`, `$0.0123` where cents say too little, `cost ?` where it is not known."""
    if usd is None:
        return "cost ?"
    if usd >= 1 or abs(usd - round(usd, 2)) < 5e-7:
        return f"${usd:.2f}"
    text = f"{usd:.4f}"
    return "<$0.0001" if not float(text) else f"${text.rstrip('0')}" if text[-2:] != "00" else f"${usd:.2f}"


# -- what logs and transcripts say ---------------------------------------------------------------------------------


class Told(NamedTuple):
    """What one line of an agent says of its cost. `message_id` and `model` are "" and `at` is None where unsaid."""

    message_id: str
    model: str
    at: datetime | None
    usage: Usage


def usage_of_transcript_line(line: str) -> Told | None:
    """The usage in an assistant's line of a transcript or log, None for any other line.

    A message can be on several lines with the same id: only the last one counts.
    """
    return _told(_object(line))


def result_cost_usd(result: Mapping[str, object]) -> float | None:
    """What the result line of an agent says it cost altogether; None where it does not say."""
    cost = result.get("total_cost_usd")
    if isinstance(cost, bool) or not isinstance(cost, (int, float)) or not 0 <= cost < _MOST_USD:
        return None
    return float(cost)


class Tally:
    """Adds up the lines of one agent's work, as they come. Not for several threads at once.

    What the agent says it cost altogether (its result line) wins over the sum of its messages. A line without a model
    is of the model that the log names at its beginning.
    """

    def __init__(self, prices: Prices, since: datetime | None = None) -> None:
        self._prices = prices
        self._since = since
        self._model = ""
        self._messages: dict[str | int, float | None] = {}
        self._total_usd: float | None = None

    def add(self, line: str) -> None:
        """Take a line in; lines of before `since` count for nothing."""
        found = _object(line)
        if found.get("type") == "system":
            self._model = _name(found.get("model")) or self._model
        elif found.get("type") == "result":
            total_usd = result_cost_usd(found)
            self._total_usd = self._total_usd if total_usd is None else total_usd
        told = _told(found)
        if told is None or (self._since is not None and told.at is not None and told.at < self._since):
            return
        key: str | int = told.message_id or len(self._messages)
        if key in self._messages or len(self._messages) < _MOST_MESSAGES:
            self._messages[key] = cost_usd(told.usage, told.model or self._model, self._prices)

    @property
    def cost_usd(self) -> float | None:
        """What is known of the cost so far: at least so much. None if nothing is."""
        if self._total_usd is not None:
            return self._total_usd
        known = [cost for cost in self._messages.values() if cost is not None]
        return math.fsum(known) if known else None

    @property
    def is_complete(self) -> bool:
        """Whether `cost_usd` is all that was told of: no message was of a model without a price."""
        if self._total_usd is not None:
            return True
        return len(self._messages) < _MOST_MESSAGES and None not in self._messages.values()


def cost_of_lines(lines: Iterable[str], prices: Prices, since: datetime | None = None) -> tuple[float | None, bool]:
    """What the lines of one transcript or log cost, each message counted once, and whether that is all of it."""
    tally = Tally(prices, since)
    for line in lines:
        tally.add(line)
    return tally.cost_usd, tally.is_complete


def _object(line: str) -> Mapping[str, object]:
    if not line.lstrip().startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _told(found: Mapping[str, object]) -> Told | None:
    message = found.get("message")
    if found.get("type") != "assistant" or not isinstance(message, dict):
        return None
    usage = _usage(message.get("usage"))
    if usage is None:
        return None
    return Told(_name(message.get("id")), _name(message.get("model")), _time(found.get("timestamp")), usage)


def _usage(said: object) -> Usage | None:
    """The counts; None if one of them is no count, or what was read and written is not said."""
    if not isinstance(said, dict):
        return None
    parts = said.get("cache_creation")
    input_, output = _count(said.get("input_tokens")), _count(said.get("output_tokens"))
    written, read = _count_if_said(said, "cache_creation_input_tokens"), _count_if_said(said, "cache_read_input_tokens")
    hour = _count_if_said(parts, "ephemeral_1h_input_tokens") if isinstance(parts, dict) else 0
    if input_ is None or output is None or written is None or read is None or hour is None or hour > written:
        return None
    return Usage(input_, output, written - hour, hour, read)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_TOKENS:
        return None
    return value


def _count_if_said(said: Mapping[str, object], name: str) -> int | None:
    """A count that need not be said: 0 where it is not, or is null."""
    value = said.get(name)
    return 0 if value is None else _count(value)


def _name(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else ""


def _time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        at = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return None
