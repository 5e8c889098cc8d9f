"""From what a file, a variable or a flag holds to plain values of the right types, or one line of what is wrong."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

import msgspec

from dgummy.settings import BUILTIN_TASK_TYPES, Settings
from dgummy.units import parse_duration_s
from dgummy.wording import key_error, list_hint, nearest, plain_name, shown, text_problem


class Reader:
    """Turns what one layer holds into plain values of the right types, or raises ConfigError.

    `origin` names the layer and `prefix` stands before its keys in messages (`dgummy.` in invoke.yaml).
    With `text`, values are what a variable or a flag holds: numbers as text, lists with commas, maps as YAML flow text.
    """

    def __init__(self, origin: str, *, prefix: str = "", text: bool = False) -> None:
        self._origin = origin
        self._prefix = prefix
        self._text = text

    def read(self, raw: Mapping[Any, Any]) -> dict[str, Any]:
        """Return the settings that a layer sets; None means "not set" and is left out."""
        return self._struct(raw, Settings, ())

    def fail(self, key: tuple[str, ...], what: str, remedy: str) -> NoReturn:
        """Raise the ConfigError for one key."""
        raise key_error(self._origin, self._prefix + ".".join(key), what, remedy)

    def _value(self, value: Any, kind: Any, key: tuple[str, ...]) -> Any:
        kind = _without_none(kind)
        if is_struct(kind):
            return self._struct(value, kind, key)
        container = typing.get_origin(kind)
        if container is dict:
            return self._map(value, typing.get_args(kind)[1], key)
        if container is tuple:
            return self._list(value, key)
        return self._leaf(value, kind, key)

    def _struct(self, value: Any, kind: type[msgspec.Struct], key: tuple[str, ...]) -> dict[str, Any]:
        known = field_types(kind)
        if hasattr(kind, "SHORT_FOR"):
            value = _written_out(value, kind.SHORT_FOR, is_text=self._text)
        result: dict[str, Any] = {}
        for name, item in self._items(value, key, example=f"{next(iter(known))}: …"):
            if name not in known:
                self.fail((*key, name), "no such key", _right_key(name, tuple(known), key))
            if isinstance(item, str) and name in getattr(kind, "ONE_OR_MORE", ()):
                item = [item]
            if item is not None:
                result[name] = self._value(item, known[name], (*key, name))
        return result

    def _map(self, value: Any, kind: Any, key: tuple[str, ...]) -> dict[str, Any]:
        """Read a map whose keys the user names.

        A name with nothing after it is an empty entry, and replaces one.
        """
        result: dict[str, Any] = {}
        for name, item in self._items(value, key, example="NAME: …"):
            empty: Any = {} if is_struct(kind) or typing.get_origin(kind) is dict else []
            result[name] = empty if item is None else self._value(item, kind, (*key, name))
        return result

    def _items(self, value: Any, key: tuple[str, ...], example: str) -> list[tuple[str, Any]]:
        if self._text and isinstance(value, str):
            value = self._flow_text(value, key) if value.strip() else {}
        if not isinstance(value, Mapping):
            self.fail(key, f"expected a map, got {shown(value)}", f"write lines of `{example}` under it")
        for name in value:
            if not isinstance(name, str):
                self.fail(
                    (*key, str(name)[:40]),
                    f"this key reads as {shown(name)}, not as text",
                    "put it in quotes",
                )
            if not name.isprintable():
                self.fail((*key, ascii(name)[1:-1][:60]), "a key holds control characters", "delete them")
        return list(value.items())

    def _flow_text(self, text: str, key: tuple[str, ...]) -> Any:
        from dgummy.yamltext import load_value

        return load_value(text, f"{self._origin}: {self._prefix}{'.'.join(key)}")

    def _list(self, value: Any, key: tuple[str, ...]) -> list[str]:
        if self._text and isinstance(value, str):
            if value.lstrip().startswith("["):
                value = self._flow_text(value, key)
            else:
                value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            self.fail(key, f"expected a list, got {shown(value)}", f"write it as [{list_hint(value)}]")
        return [self._item(item, key, number) for number, item in enumerate(value, 1)]

    def _item(self, item: Any, key: tuple[str, ...], number: int) -> str:
        problem = text_problem(item)
        if problem is None and not item.strip():
            problem = ("is empty", "delete it")
        if problem is not None:
            self.fail(key, f"item {number} {problem[0]}", problem[1])
        return str(item)

    def _leaf(self, value: Any, kind: Any, key: tuple[str, ...]) -> Any:
        if kind is str:
            problem = text_problem(value)
            if problem is not None:
                self.fail(key, *problem)
            return value
        return self._whole(value, key) if kind is int else self._number(value, key)

    def _whole(self, value: Any, key: tuple[str, ...]) -> int:
        if self._text and isinstance(value, str):
            try:
                return int(value)
            except ValueError:
                pass
        if isinstance(value, bool) or not isinstance(value, int):
            self.fail(key, f"expected a whole number, got {shown(value)}", "write it as digits, without quotes")
        return value

    def _number(self, value: Any, key: tuple[str, ...]) -> float:
        is_duration = key[-1].endswith("_s") or key[-1] == "timeout"
        if isinstance(value, str) and (self._text or is_duration):
            number = _number_in(value, is_duration=is_duration)
            value = value if number is None else number
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            if is_duration:
                self.fail(key, f"expected seconds, got {shown(value)}", "write it as 5, 0.5, 5s or 2m")
            self.fail(key, f"expected a number, got {shown(value)}", "write it as 0.5, without quotes")
        try:
            return float(value)
        except OverflowError:
            self.fail(key, "the number is too large", "write a smaller one")


@cache
def field_types(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Return the fields of a settings struct and their types."""
    return {field.name: field.type for field in msgspec.structs.fields(kind)}


def _written_out(value: Any, key: str, *, is_text: bool) -> Any:
    """A map for a value that is short for one; `off` and `on` are false and true to YAML."""
    if isinstance(value, bool):
        return {key: "auto" if value else "off"}
    if isinstance(value, str) and not (is_text and value.lstrip().startswith("{")):
        return {key: value}
    return value


def is_struct(kind: Any) -> bool:
    """Say whether a type is a settings struct. In Python 3.10 `tuple[str, ...]` counts as a type."""
    return typing.get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _right_key(name: str, known: tuple[str, ...], key: tuple[str, ...]) -> str:
    dotted = ".".join((*key, ""))
    noun = f"the keys of {'.'.join(key)} are" if key else "the keys are"
    if not key and name == "dgummy":
        return "this file holds the keys themselves: leave out the line `dgummy:` and the indent under it"
    close = nearest(name, known)
    elsewhere = _where_else(name)
    if elsewhere and (close is None or plain_name(close) != plain_name(name)):
        if "." not in elsewhere:
            return f"did you mean {elsewhere}? It is no part of {'.'.join(key)}: take away its indent"
        return f"did you mean {elsewhere}? Indent it under {elsewhere.rpartition('.')[0]}"
    listed = ", ".join(known)
    return f"did you mean {dotted}{close}? {noun} {listed}" if close else f"{noun} {listed}"


def _where_else(name: str) -> str | None:
    """Find the dotted key that ends with this name somewhere in the settings: for what lost its indent."""
    plain = plain_name(name)
    if plain in BUILTIN_TASK_TYPES:
        return f"host_preferences.{plain}"
    if plain in field_types(Settings):
        return plain
    for parent, kind in field_types(Settings).items():
        kind = _without_none(kind)
        if is_struct(kind) and plain in field_types(kind):
            return f"{parent}.{plain}"
    return None


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not type(None))
    return kind


def _number_in(text: str, *, is_duration: bool) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_duration_s(text) if is_duration else None
    except ValueError:
        return None
