"""The pages that are made: what stands in them above a mark is written by hand and kept, the rest is made anew."""

from __future__ import annotations

from pathlib import Path

from invoke.collection import Collection

from scripts.docs import commands, settings

FOLDER = Path(__file__).parents[2] / "docs"
MARK = "<!-- From here on `inv docs.build` makes this page; change what it is made from instead. -->"


def build(collection: Collection) -> dict[str, str]:
    """The whole text of each page by its file name. ValueError for a key or a command that is not described."""
    made = {"configuration.md": settings.markdown(), "commands.md": commands.markdown(collection)}
    return {name: f"{_head(name)}{MARK}\n\n{text}" for name, text in made.items()}


def _head(name: str) -> str:
    head, mark, _ = (FOLDER / name).read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"docs/{name} has no line {MARK}: nobody can tell where the made part begins")
    return head
