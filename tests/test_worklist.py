"""Several pieces of work, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dgummy.errors import ConfigError, DgummyError, UsageError
from dgummy.worklist import Item, labelled, parse_item, read_items

TYPES = ("database", "api", "ml.train")


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("optimize queries", Item("optimize queries")),
        ("database: optimize queries", Item("optimize queries", "database")),
        ("  api:  x: y ", Item("x: y", "api")),
        ("ml.train: go", Item("go", "ml.train")),
        ("note: this is no kind of work", Item("note: this is no kind of work")),
        ("Database: case counts", Item("Database: case counts")),
        ("database:optimize", Item("database:optimize")),
        ("http://x/ is down", Item("http://x/ is down")),
    ],
)
def test_a_kind_of_work_before_the_text(text: str, item: Item) -> None:
    assert parse_item(text, TYPES) == item


def test_labels_are_short_and_each_its_own() -> None:
    texts = ("Optimize database queries!", "optimize database queries", "ü…", "x")
    items = labelled([*map(Item, texts[:3]), Item("x", label="y")])
    assert [item.label for item in items] == ["optimize-database-querie", "optimize-database-querie-2", "task", "y"]
    assert tuple(item.text for item in items) == texts


def test_given_labels_are_one_line_each_and_each_its_own() -> None:
    items = labelled(Item("x", label=label) for label in ("x", "x-2", "x", "x", "a\nb\x1b[31m", " "))
    assert [item.label for item in items] == ["x", "x-2", "x-3", "x-4", "a b [31m", "x-5"]


def read(folder: Path, name: str, text: str) -> list[Item]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_items(folder / name, TYPES)


def test_a_line_each(tmp_path: Path) -> None:
    assert read(tmp_path, "a.txt", "# mine\n\n one \r\napi: two\n") == [Item("one"), Item("two", "api")]


def test_yaml(tmp_path: Path) -> None:
    text = "- one\n- database: two\n- 'api: three'\n- {task: four, type: api, host: node-1, label: f}\n"
    assert read(tmp_path, "a.yaml", text) == [
        Item("one"),
        Item("two", "database"),
        Item("three", "api"),
        Item("four", "api", "node-1", "f"),
    ]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("a: b", ConfigError, "expected a list, got a map"),
        ("- [x]", ConfigError, "item 1: expected a text or a map"),
        ("- one\n- {task: x, typ: api}", ConfigError, "item 2: typ: no such key"),
        ("- {type: api}", ConfigError, "item 1: has no task"),
        ("- {task: 5}", ConfigError, "expected text, got 5"),
        ("- 'x", ConfigError, "line 1, column 5"),
        ("[]", UsageError, "nothing in it"),
        ("", ConfigError, "expected a list"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, error: type[DgummyError], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        read(tmp_path, "a.yml", text)
    assert caught.value.remedy


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_items(tmp_path / "nothing", TYPES)
