"""The keys there are, their defaults, and the words of messages about them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.errors import ConfigError
from dgummy.layers import Layer, describe, merge
from dgummy.settings import BUILTIN_TASK_TYPES, DEFAULT_SYNC_EXCLUDE, Settings
from dgummy.settings_reader import Reader, field_types, is_struct
from dgummy.wording import nearest, shown, suggestion, text_problem


def structs(kind: Any = Settings) -> list[Any]:
    found = [kind]
    for inner in field_types(kind).values():
        if is_struct(inner):
            found += structs(inner)
    return found


def test_the_documented_defaults() -> None:
    settings = Settings()
    weights = settings.load_weights
    assert (weights.cpu, weights.memory, weights.load_average, weights.io) == (0.4, 0.3, 0.3, 0.0)
    assert settings.group == "dev" and settings.fallback == "local" and settings.overload_threshold == 0.85
    assert settings.timeouts.connect_s == 5.0
    assert (settings.cache.load_ttl_s, settings.cache.status_ttl_s) == (30.0, 60.0)
    assert DEFAULT_SYNC_EXCLUDE == ("node_modules", ".git", "dist", "build", ".DS_Store", "*.log")
    assert BUILTIN_TASK_TYPES == ("database", "api", "frontend", "testing", "security", "general")


def test_the_defaults_pass_their_own_checks() -> None:
    merged = merge([])
    assert merged.settings == Settings()
    assert merged.warnings == ()


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_settings_are_frozen_and_closed(kind: Any) -> None:
    record = kind()
    with pytest.raises(AttributeError):
        setattr(record, next(iter(field_types(kind))), None)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"no_such_key": 1}, kind)


def test_what_is_described_can_be_read_back() -> None:
    raw = {"groups": {"dev": ["a", "b"]}, "hosts": {"a": {"cores": 4, "paths": ["a", "b"]}}, "jobs": 3}
    first = merge([Layer("f", raw)])
    again: dict[str, Any] = {}
    for key, value, _origin in describe(first):
        below = again
        *above, last = key.split(".")
        for name in above:
            below = below.setdefault(name, {})
        below[last] = value
    assert msgspec.structs.replace(merge([Layer("f", again)]).settings, sync_exclude=None) == first.settings


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("connect-s", ["connect_s", "probe_s"], "connect_s"),
        ("CONNECT_S", ["connect_s", "probe_s"], "connect_s"),
        ("cpuu", ["cpu", "memory"], "cpu"),
        ("zzz", ["cpu", "memory"], None),
        ("", ["cpu"], None),
        ("cpu", [], None),
    ],
)
def test_nearest(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


def test_a_suggestion_lists_what_there_is() -> None:
    assert suggestion("sssh", ["auto", "ssh"], noun="the choices are") == "did you mean ssh? the choices are: auto, ssh"
    assert suggestion("zzz", ["auto", "ssh"], noun="the choices are") == "the choices are: auto, ssh"
    assert suggestion("zzz", map(str, range(100)), noun="groups are").endswith("22, 23, …")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (None, "nothing"),
        ("", "empty text"),
        ([1], "a list"),
        ({}, "a map"),
        ("a\x1b[0m\n", "'a\\x1b[0m\\n'"),
        (10**5000, "a huge number"),
    ],
    ids=["bool", "none", "empty", "list", "map", "escape", "huge"],
)
def test_values_as_messages_show_them(value: object, text: str) -> None:
    assert shown(value) == text


@given(st.one_of(st.text(), st.integers(), st.floats(), st.binary(), st.lists(st.text()), st.none()))
def test_what_messages_show_is_one_short_clean_line(value: object) -> None:
    text = shown(value)
    assert text.isprintable() and 0 < len(text) <= 62


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "Grüße, 世界", "‏rtl", "é"])
def test_text_that_is_fine(text: str) -> None:
    assert text_problem(text) is None


@pytest.mark.parametrize("text", ["\x00", "a\x1b", "a\r", "\x7f", "\x9b31m", "\ud800"])
def test_text_that_could_harm_a_terminal_or_a_file(text: str) -> None:
    problem = text_problem(text)
    assert problem is not None and all(part.isprintable() for part in problem)


KEYS = st.sampled_from([name for kind in structs() for name in field_types(kind)]) | st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.integers(), inner, max_size=3),
    max_leaves=12,
)


def refusal(layer: Layer) -> ConfigError | None:
    """Give the error that a layer ends in, or None; anything but a ConfigError fails the test."""
    try:
        describe(merge([layer]))
    except ConfigError as error:
        return error
    return None


@given(st.dictionaries(KEYS, JSON, max_size=4), st.booleans())
def test_whatever_a_layer_holds_ends_in_settings_or_in_one_clean_message(raw: dict[str, Any], text: bool) -> None:
    error = refusal(Layer("somewhere", raw, text=text))
    if error is not None:
        assert error.message.startswith(("somewhere: ", "default: "))
        assert error.message.isprintable() and error.remedy.isprintable() and error.remedy


@given(st.sampled_from(sorted(field_types(Settings))), st.text(max_size=30))
def test_whatever_text_a_variable_holds_ends_in_settings_or_in_one_clean_message(key: str, text: str) -> None:
    error = refusal(Layer("VARIABLE", {key: text}, text=True))
    if error is not None:
        assert error.message.startswith(("VARIABLE: ", "default: "))
        assert error.message.isprintable() and error.remedy.isprintable()


def test_numbers_may_be_ints_in_files_but_not_text() -> None:
    reader = Reader("f")
    assert reader.read({"load_weights": {"cpu": 1}}) == {"load_weights": {"cpu": 1.0}}
    with pytest.raises(ConfigError, match="expected a number, got '1'"):
        reader.read({"load_weights": {"cpu": "1"}})
    assert Reader("E", text=True).read({"load_weights": {"cpu": "1"}}) == {"load_weights": {"cpu": 1.0}}
