"""The keys of the settings, as `dgummy.settings` describes them: the tables and examples of docs/configuration.md.

A key's docstring stands below it: what it does, then, each after its word, `Range:`, `One of:`, `Default:` and
`Example:`. A key that lacks a description or an example ends with a ValueError, and so does an example that the reader
of the settings would refuse.
"""

from __future__ import annotations

import ast
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from dgummy import layers, settings, yamltext
from dgummy.settings_reader import field_types, is_struct

NAMES = {"hosts": "mini", "task_types": "ml", "suites": "ci", "ci": "integration", "models": "my-model"}
"""What examples call the entries of maps whose keys users name."""
PLACES = {"hosts": "HOST", "task_types": "TYPE", "suites": "SUITE.LABEL", "models": "MODEL"}
APART = {"task": "slow-queries"}
"""Keys of a suite's label that cannot stand beside the others: the example has a second entry, of this name."""

_WORDS = re.compile(r"\s*\b(Range|One of|Default|Example): ")


@dataclass(frozen=True)
class Key:
    """One key: what it holds, as people would say it, and what is told of it. `range` and `choices` may be empty."""

    name: str
    kind: str
    text: str
    range: str
    choices: tuple[str, ...]
    default: str
    example: str


@dataclass(frozen=True)
class Section:
    """The keys of one struct. `place` is how it is reached (`hosts.HOST`), `path` how its example is."""

    place: str
    path: tuple[str, ...]
    text: str
    keys: tuple[Key, ...]


def sections() -> list[Section]:
    """All keys, those at the top first. ValueError for one that is not described."""
    told = _told()
    return list(_sections(settings.Settings, "", (), told))


def _sections(
    kind: type[msgspec.Struct], place: str, path: tuple[str, ...], told: dict[str, dict[str, str]]
) -> Iterator[Section]:
    defaults = {field.name: field for field in msgspec.structs.fields(kind)}
    keys, below = [], []
    for name, type_ in field_types(kind).items():
        inner, is_map = _inner(type_)
        or_one = name in getattr(kind, "ONE_OR_MORE", ())
        text = told[kind.__name__].get(name, "")
        if inner is None:
            key = _key(kind.__name__, name, type_, _default(defaults[name]), text)
            keys.append(replace(key, kind=f"{key.kind}, or one") if or_one else key)
        elif inner is not settings.LoadWeights or not place:
            below.append((inner, name, is_map))
        else:
            keys.append(_key(kind.__name__, name, type_, "", text))
        if name == "models":
            keys.append(_key(kind.__name__, name, type_, f"{len(settings.default_prices())} models", text))
    yield Section(place, path, (kind.__doc__ or "").strip(), tuple(keys))
    for inner, name, is_map in below:
        inside = f"{place}.{name}" if place else name
        yield from _sections(
            inner, f"{inside}.{PLACES[name]}" if is_map else inside, (*path, name, *_names(name, is_map)), told
        )


def _names(name: str, is_map: bool) -> list[str]:
    found = [NAMES[name]] if is_map else []
    return [*found, *([NAMES[found[0]]] if found and found[0] in NAMES else [])]


def _inner(type_: Any) -> tuple[Any, bool]:
    """The struct in a type, if there is one, and whether it is the value of a map."""
    if is_struct(type_):
        return type_, False
    for argument in typing.get_args(type_):
        found, _ = _inner(argument)
        if found is not None:
            return found, typing.get_origin(type_) is dict
    return None, False


def _told() -> dict[str, dict[str, str]]:
    """The docstrings below the fields of each struct."""
    tree = ast.parse(Path(settings.__file__).read_text(encoding="utf-8"))
    found: dict[str, dict[str, str]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        of_class = found.setdefault(node.name, {})
        for field, after in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(field.target, ast.Name):
                of_class[field.target.id] = " ".join(str(ast.literal_eval(after.value)).split())
    return found


def _key(struct: str, name: str, type_: Any, default: str, docstring: str) -> Key:
    text, *marked = _WORDS.split(docstring)
    said = {word: value.strip().removesuffix(".") for word, value in zip(marked[::2], marked[1::2], strict=True)}
    example = said.get("Example", "").strip("`")
    if not text or not example:
        raise ValueError(f"{struct}.{name}: write a docstring below it, with an Example: `…` (dgummy/settings.py)")
    choices = tuple(said["One of"].split(", ")) if "One of" in said else ()
    return Key(name, _kind(name, type_), text, said.get("Range", ""), choices, said.get("Default", default), example)


def _kind(name: str, type_: Any) -> str:
    """What a value is, for people."""
    options = [one for one in typing.get_args(type_) if one is not type(None)]
    if typing.get_origin(type_) not in (dict, tuple) and options:
        type_ = options[0]
    if is_struct(type_) or typing.get_origin(type_) is dict:
        return "map"
    if typing.get_origin(type_) is tuple:
        return "list"
    if name.endswith("_s") or name == "timeout":
        return "time"
    if name.endswith("_usd"):
        return "US dollars"
    return {int: "whole number", float: "number"}.get(type_, "text")


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = None if field.default is msgspec.NODEFAULT else field.default
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(value)}]`"
    shown = f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    return shown + _in_larger_units(field.name, value)


def _in_larger_units(name: str, value: Any) -> str:
    units = [(1024**3, "GiB"), (1024**2, "MiB")] if name.endswith("_bytes") else [(86400, "days"), (3600, "h")]
    if not name.endswith(("_bytes", "_s")):
        return ""
    return next((f" ({value / size:g} {unit})" for size, unit in units if value >= size), "")


# -- as Markdown ------------------------------------------------------------------------------------------------------


def markdown() -> str:
    """The generated part of docs/configuration.md. ValueError for an example that is refused."""
    return "\n".join(_section(section) for section in sections())


def _section(section: Section) -> str:
    title = f"`{section.place}`" if section.place else "At the top"
    example = _example(section)
    _try(example, section.place)
    rows = "\n".join(map(_row, section.keys))
    text = section.text if section.place else ""
    parts = [f"## {title}", text, f"| key | takes | default | |\n|---|---|---|---|\n{rows}", f"```yaml\n{example}```\n"]
    return "\n\n".join(part for part in parts if part)


def _row(key: Key) -> str:
    takes = ", ".join(f"`{choice}`" for choice in key.choices) or key.kind
    takes += f", {key.range}" if key.range else ""
    return f"| `{key.name}` | {takes} | {key.default} | {key.text} |"


def _example(section: Section) -> str:
    names = APART if section.place.startswith("suites.") else {}
    lines = [f"{'  ' * depth}{name}:" for depth, name in enumerate(section.path)]
    indent = "  " * len(section.path)
    lines += [f"{indent}{key.name}: {_quoted(key)}" for key in section.keys if key.name not in names]
    lines += [
        f"{indent[2:]}{names[key.name]}: {{{key.name}: {_quoted(key)}}}" for key in section.keys if key.name in names
    ]
    return "\n".join(lines) + "\n"


def _quoted(key: Key) -> str:
    """A text that YAML would take for something else, in quotes."""
    plain = key.kind != "text" or key.example.startswith('"') or not re.search(r"[{}\[\]:#]", key.example)
    return key.example if plain else f'"{key.example}"'


def _try(example: str, place: str) -> None:
    try:
        layers.merge([layers.Layer("example", yamltext.load_mapping(example, "example"))])
    except Exception as error:
        raise ValueError(f"the example of {place or 'the keys at the top'} is refused: {error}") from error
