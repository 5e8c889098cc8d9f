"""Several pieces of work, as people write them: `database: optimize queries`, lines of a file, or YAML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dgummy.errors import ConfigError, UsageError
from dgummy.wording import shown, suggestion
from dgummy.yamltext import load_value, read_text

_TYPED = re.compile(r"\s*([\w.+-]+):\s+(?=\S)")
_SLUG = re.compile(r"[^a-z0-9]+")
_LABEL_LENGTH = 24
_KEYS = ("task", "type", "host", "label")
MAX_ITEMS = 10_000


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of work: its text, and what was said about its kind, its host and its name ("" for nothing)."""

    text: str
    task_type: str = ""
    host: str = ""
    label: str = ""


def parse_item(text: str, task_types: Collection[str]) -> Item:
    """Read `TYPE: TEXT`, where TYPE is a known kind of work, or just a text."""
    match = _TYPED.match(text)
    if match is not None and match[1] in task_types:
        return Item(text[match.end() :].strip(), match[1])
    return Item(text.strip())


def read_items(path: Path, task_types: Collection[str]) -> list[Item]:
    """Read a file: YAML if its name says so, else a text on each line; blank lines and `#` lines are passed over.

    UsageError if there is no such file, or too much in it; ConfigError for what cannot be read.
    """
    label = str(path)
    text = read_text(path, label)
    if text is None:
        raise UsageError(f"{label}: no such file", "name a file with a task on each line, or a YAML list")
    if path.suffix.lower() in (".yaml", ".yml"):
        items = _items(load_value(text, label), label, task_types)
    else:
        lines = (line.strip() for line in text.splitlines())
        items = [parse_item(line, task_types) for line in lines if line and not line.startswith("#")]
    if not items:
        raise UsageError(f"{label}: there is nothing in it", "write a task on each line, or a YAML list")
    if len(items) > MAX_ITEMS:
        raise UsageError(f"{label}: more than {MAX_ITEMS:,} tasks", "do it in parts")
    return items


def labelled(items: Iterable[Item]) -> list[Item]:
    """Give each item a short label of its own, made from its text where it has none."""
    items = list(items)
    names = [_label(item) for item in items]
    taken, numbers = set(names), dict.fromkeys(names, 0)
    found = []
    for item, name in zip(items, names, strict=True):
        own = name
        while numbers[name] and own in taken:
            numbers[name] += 1
            own = f"{name}-{numbers[name]}"
        numbers[name] = numbers[name] or 1
        taken.add(own)
        found.append(Item(item.text, item.task_type, item.host, own))
    return found


def _label(item: Item) -> str:
    """What is said of an item's name, or the first words of its text: one line that any screen can show."""
    given = " ".join("".join(char if char.isprintable() else " " for char in item.label).split())
    return given or _SLUG.sub("-", item.text.lower()).strip("-")[:_LABEL_LENGTH].rstrip("-") or "task"


def _items(value: Any, label: str, task_types: Collection[str]) -> list[Item]:
    if not isinstance(value, list):
        raise ConfigError(f"{label}: expected a list, got {shown(value)}", "write lines of `- TEXT`")
    return [_item(one, f"{label}: item {number}", task_types) for number, one in enumerate(value, 1)]


def _item(value: Any, where: str, task_types: Collection[str]) -> Item:
    if isinstance(value, str) and value.strip():
        return parse_item(value, task_types)
    if isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in task_types:
        ((task_type, text),) = value.items()  # `- database: optimize queries` is a map in YAML
        value = {"task": text, "type": task_type}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a text or a map, got {shown(value)}", "write - {task: TEXT, type: api}")
    for key, text in value.items():
        if key not in _KEYS:
            raise ConfigError(f"{where}: {key}: no such key", suggestion(str(key), _KEYS, noun="the keys are"))
        if not isinstance(text, str):
            raise ConfigError(f"{where}: {key}: expected text, got {shown(text)}", "put it in quotes")
    if not value.get("task", "").strip():
        raise ConfigError(f"{where}: has no task", "write - {task: TEXT}")
    return Item(value["task"].strip(), value.get("type", ""), value.get("host", ""), value.get("label", ""))
