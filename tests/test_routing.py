"""Kinds of work: by which words a text belongs to one, and what configuration changes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dgummy.model import TaskType, Weights
from dgummy.routing import TASK_TYPES, criterion_for, derive, merge_types, specialist_for

DATA = Path(__file__).parent / "data" / "routing"


def cases(name: str) -> list[Any]:
    found: list[Any] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["text"] or "empty") for case in found]


@pytest.mark.parametrize("case", cases("derive.json"))
def test_derive(case: dict[str, str]) -> None:
    kind, why = derive(case["text"], TASK_TYPES)
    assert kind.name == case["type"]
    assert why.endswith(f" → {kind.name}")
    if "why" in case:
        assert why == case["why"]


@pytest.mark.parametrize("case", cases("specialists.json"))
def test_specialist_for_is_gummys_own_rule(case: dict[str, str]) -> None:
    assert specialist_for(case["text"]) == case["specialist"]


def test_built_in_kinds_and_their_criteria() -> None:
    assert {name: kind.criterion for name, kind in TASK_TYPES.items()} == {
        "database": "lowest CPU",
        "api": "lowest I/O wait",
        "testing": "lowest CPU and load",
        "security": "lowest score",
        "frontend": "most free memory",
        "general": "lowest score",
    }
    assert TASK_TYPES["database"].weights == Weights(0.8, 0.1, 0.1)
    assert TASK_TYPES["api"].weights == Weights(0.1, 0.1, 0.1, 0.7)
    assert TASK_TYPES["general"].weights is None
    for kind in TASK_TYPES.values():
        if kind.weights is not None:
            shares = (kind.weights.cpu, kind.weights.memory, kind.weights.load_average, kind.weights.io)
            assert sum(shares) == pytest.approx(1)


def test_every_keyword_leads_to_its_kind() -> None:
    for kind in TASK_TYPES.values():
        for keyword in kind.keywords:
            assert derive(f"{keyword.upper()}!", TASK_TYPES)[0] is kind, keyword


def test_configured_fields_win_one_by_one() -> None:
    merged = merge_types(
        TASK_TYPES,
        {
            "database": TaskType("database", ("etl",)),
            "api": TaskType("api", weights=Weights(1, 0, 0), requires=("docker",)),
        },
    )
    assert merged["database"].keywords == ("etl",)
    assert merged["database"].weights == TASK_TYPES["database"].weights
    assert merged["database"].criterion == "lowest CPU"
    assert merged["api"].keywords == TASK_TYPES["api"].keywords
    assert merged["api"].requires == ("docker",)
    assert merged["api"].criterion == "lowest CPU"
    assert merged["frontend"] is TASK_TYPES["frontend"]
    assert list(merged) == list(TASK_TYPES)


def test_new_kinds_come_last_and_are_found() -> None:
    merged = merge_types(TASK_TYPES, {"ml": TaskType("ml", ("train", "load test", "c++"), Weights(0, 1, 0))})
    assert list(merged)[-1] == "ml"
    assert merged["ml"].criterion == "most free memory"
    assert derive("training the trained", merged)[1] == "'training' and 'trained' → ml"
    assert derive("port it to C++", merged)[0].name == "ml"
    assert derive("two load\n tests and trains", merged) == (merged["ml"], "'load tests' and 'trains' → ml")
    assert "ml" not in TASK_TYPES


def test_without_any_kinds_work_is_general() -> None:
    assert derive("query", {})[0].name == "general"
    assert derive("query", {"odd": TaskType("odd", (" ", ""))})[0].name == "general"


def test_many_words_are_cut_short() -> None:
    _, why = derive("query queries schema sql mysql sqlite nosql", TASK_TYPES)
    assert why == "'query', 'queries', 'schema', 'sql', 'mysql' and 2 more → database"


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        (None, "lowest score"),
        (Weights(), "lowest score"),
        (Weights(0.5, 0.25, 0.25), "lowest CPU"),
        (Weights(0, 0, 3), "lowest load"),
        (Weights(0, 0, 0, 1), "lowest I/O wait"),
        (Weights(0, 0, 0, 0), "lowest score"),
    ],
)
def test_criterion_for(weights: Weights | None, text: str) -> None:
    assert criterion_for(weights) == text


def test_a_long_text_takes_linear_time() -> None:
    text = "the unrelated authoring of a buildquery" * 5000
    start = time.perf_counter()
    derive(text, TASK_TYPES)
    assert time.perf_counter() - start < 2
