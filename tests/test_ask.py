"""Plain sentences and what they are read as."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

import yaml

from dgummy.intents import understand
from dgummy.readings import Reading
from dgummy.sentence import Names

DATA = Path(__file__).parent / "data" / "asking"
NAMES = Names(
    ("node-1", "node-2", "node-3", "node-4", "mac-mini", "buildbox"),
    {"dev": ("node-1", "node-2", "node-3", "node-4"), "mac": ("mac-mini",), "ci": ("buildbox", "node-4")},
)
_SMALL = set("the a an to of for on in and this that my with it do run please some whole up via at".split())


def words(text):
    return [w for w in re.findall(r"[\w./-]+", text.lower()) if w not in _SMALL]


def same(one, other):
    return one[:4] == other[:4] or difflib.SequenceMatcher(None, one, other).ratio() >= 0.8


def alike(expected, got):
    if expected is None or got is None:
        return expected == got
    want, have = words(expected), words(got)
    missing = [w for w in want if not any(same(w, h) for h in have)]
    extra = [h for h in have if not any(same(w, h) for w in want)]
    return not missing and len(extra) <= 1


def problem(case: dict[str, Any]) -> str:
    found = understand(case["say"], NAMES)
    first = found.readings[0] if found.readings else None
    if case["intent"] == "unsure":
        if found.sure:
            return f"sure: {first}"
        near = {r.intent.value for r in found.readings}
        if "near" in case and not set(case["near"]) <= near:
            return f"near {near}: {found.doubt}"
        return ""
    if not found.sure:
        return f"unsure: {found.doubt} {first}"
    if first.intent.value != case["intent"]:
        return f"{first}"
    for key, get in (
        ("hosts", list(first.hosts)),
        ("exclude", list(first.exclude)),
        ("group", first.group),
        ("everywhere", first.everywhere),
        ("what", first.detail),
        ("command", first.text),
    ):
        if key in case and case[key] != get:
            return f"{key}: {get} {first}"
    if case["intent"] not in ("command",) and "task" in case and not alike(case["task"], first.text):
        return f"task: {first}"
    if "tasks" in case and not (
        len(case["tasks"]) == len(first.texts) and all(alike(a, b) for a, b in zip(case["tasks"], first.texts))
    ):
        return f"tasks: {first.texts}"
    return ""


if __name__ == "__main__":
    import sys

    cases = yaml.safe_load((DATA / sys.argv[1]).read_text())
    bad = [(c, p) for c in cases if (p := problem(c))]
    if "-q" not in sys.argv:
        for c, p in bad:
            print(c["intent"], repr(c["say"]), "\n     ", p)
    print(len(cases) - len(bad), "of", len(cases), f"{(len(cases) - len(bad)) / len(cases):.1%}")
