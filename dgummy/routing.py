"""Kinds of work: which one a text is about, and by what criterion its host is chosen. Pure.

The words are those by which gummy itself routes a task to a specialist (its launcher, `gummy`), so that the
kind of a task and the specialist it gets mostly agree. Gummy matches inside words and by case ("build"
holds "ui"); for placing work whole words are matched, with their usual endings, whatever their case.
`specialist_for` is gummy's own rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from dgummy.model import TaskType, Weights

GENERAL = "general"
"""The kind of whatever is about nothing else."""

_CPU = Weights(cpu=0.8, memory=0.1, load_average=0.1)
_IO = Weights(cpu=0.1, memory=0.1, load_average=0.1, io=0.7)
_MEMORY = Weights(cpu=0.25, memory=0.5, load_average=0.25)

# The order decides between kinds that a text is equally about; it is the order in which gummy looks for them.
_BUILT_IN = (
    TaskType(
        "database",
        ("database", "query", "schema", "migration", "sql", "mysql", "postgresql", "sqlite", "nosql"),
        _CPU,
        criterion="lowest CPU",
    ),
    TaskType(
        "api",
        ("api", "endpoint", "route", "router", "rest", "restful", "graphql"),
        _IO,
        criterion="lowest I/O wait",
    ),
    TaskType(
        "testing",
        ("test", "tester", "spec", "jest", "vitest", "pytest", "unittest"),
        Weights(cpu=0.5, memory=0.2, load_average=0.3),
        criterion="lowest CPU and load",
    ),
    TaskType(
        "security",
        (
            "security",
            "auth",
            "authenticate",
            "authentication",
            "authorize",
            "authorization",
            "oauth",
            "permission",
            "vulnerability",
        ),
        None,
        criterion="lowest score",
    ),
    TaskType(
        "frontend",
        ("ui", "component", "react", "vue", "frontend"),
        _MEMORY,
        criterion="most free memory",
    ),
    TaskType(GENERAL, (), None, criterion="lowest score"),
)

TASK_TYPES: Mapping[str, TaskType] = MappingProxyType({kind.name: kind for kind in _BUILT_IN})
"""The built-in kinds by name. Weights of None are the configured `load_weights`."""

# "The rest of the tests" is not about REST.
_NOT_BEFORE = {"rest": r"(?<!\bthe )"}
_NOT_AFTER = {"rest": r"(?! of\b)"}

# The launcher's own table: the first group with a word that occurs anywhere in the text, case as here, wins.
_SPECIALISTS = (
    ("database-expert", ("database", "query", "schema", "migration", "sql")),
    ("api-developer", ("api", "endpoint", "route", "rest", "graphql")),
    ("testing-specialist", ("test", "spec", "jest", "vitest")),
    ("security-specialist", ("security", "auth", "permission", "vulnerability")),
    ("frontend-specialist", ("ui", "component", "react", "vue", "frontend")),
)
_OTHER_SPECIALIST = "general-specialist"

SPECIALISTS = (*(name for name, _ in _SPECIALISTS), _OTHER_SPECIALIST)
"""The specialists that gummy itself takes for tasks."""


def derive(text: str, types: Mapping[str, TaskType] = TASK_TYPES) -> tuple[TaskType, str]:
    """Find the kind of work that a text is about, and say by which words (`'query' and 'sql' → database`).

    The kind with the most different words in the text wins, the earlier one where two have as many. Without
    any word it is `general`.
    """
    best: TaskType | None = None
    best_words: list[str] = []
    for kind in types.values():
        words = _words_of(kind, text)
        if len(words) > len(best_words):
            best, best_words = kind, words
    if best is None:
        general = types.get(GENERAL, TASK_TYPES[GENERAL])
        return general, f"no word of any kind of work → {general.name}"
    return best, f"{_listed(best_words)} → {best.name}"


def merge_types(builtin: Mapping[str, TaskType], configured: Mapping[str, TaskType]) -> Mapping[str, TaskType]:
    """Lay configured kinds over built-in ones, field by field where a field is given; new kinds come last."""
    merged = dict(builtin)
    for name, given in configured.items():
        base = merged.get(name, TaskType(name))
        weights = given.weights or base.weights
        stated = given.criterion or (base.criterion if given.weights is None else "")
        merged[name] = TaskType(
            name,
            given.keywords or base.keywords,
            weights,
            given.requires or base.requires,
            stated or criterion_for(weights),
        )
    return MappingProxyType(merged)


def criterion_for(weights: Weights | None) -> str:
    """Name what weights look at most, as `lowest CPU`; `lowest score` where nothing has half the weight."""
    if weights is None:
        return "lowest score"
    share, text = max(
        (weights.cpu, "lowest CPU"),
        (weights.memory, "most free memory"),
        (weights.load_average, "lowest load"),
        (weights.io, "lowest I/O wait"),
    )
    total = weights.cpu + weights.memory + weights.load_average + weights.io
    return text if share >= total / 2 > 0 else "lowest score"


def specialist_for(text: str) -> str:
    """Name the specialist that gummy itself takes for a task: first match, inside words too, by case."""
    for name, words in _SPECIALISTS:
        if any(word in text for word in words):
            return name
    return _OTHER_SPECIALIST


def _words_of(kind: TaskType, text: str) -> list[str]:
    """List the different words in a text that speak for a kind of work, as written, in order."""
    if not kind.keywords:
        return []
    found: dict[str, str] = {}
    for match in _pattern(kind.keywords).finditer(text):
        found.setdefault(match.group().casefold(), match.group())
    return list(found.values())


@lru_cache(maxsize=64)
def _pattern(keywords: tuple[str, ...]) -> re.Pattern[str]:
    """Build one pattern for some keywords as whole words with their usual endings.

    An underscore is no part of a word here: `test_api` holds two.
    """
    words = "|".join(_with_endings(keyword) for keyword in keywords if keyword.strip()) or r"(?!)"
    return re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])", re.IGNORECASE)


def _with_endings(keyword: str) -> str:
    """Build the pattern of a keyword with the endings of plurals and verbs: queries, tests, routing."""
    word = keyword.strip().lower()
    before, after = _NOT_BEFORE.get(word, ""), _NOT_AFTER.get(word, "")
    plain = r"\s+".join(re.escape(part) for part in word.split())
    stem = plain[:-1]
    if re.search(r"[^\W\d_aeiou]y$", word):
        forms = f"{stem}(?:y|ies|ied|ying)"
    elif re.search(r"[^\W\d_]e$", word):
        forms = f"{stem}(?:e|es|ed|ing)"
    elif re.search(r"[^\W\d_]$", word):
        forms = f"{plain}(?:s|es|ed|ing)?"
    else:
        forms = plain
    return f"{before}{forms}{after}"


def _listed(words: list[str]) -> str:
    """Write `'a'`, `'a' and 'b'`, `'a', 'b' and 'c'`; of many words the first five."""
    quoted = [f"'{' '.join(word.split())}'" for word in words[:5]]
    if len(words) > len(quoted):
        return f"{', '.join(quoted)} and {len(words) - len(quoted)} more"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
