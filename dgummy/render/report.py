"""An agent's report, which is Markdown, for people: set out on a terminal, as it is in a pipe."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from dgummy.render.text import clean, one_line


def rendered(text: str, width: int) -> str:
    """Markdown set out in so many columns, with the terminal's own emphasis."""
    from rich.console import Console
    from rich.markdown import Markdown

    page = io.StringIO()
    console = Console(file=page, width=width, force_terminal=True, color_system="standard", highlight=False)
    console.print(Markdown(clean(text), hyperlinks=False))
    return page.getvalue().rstrip("\n")


def plain(text: str) -> str:
    """The text itself, without what would move the cursor."""
    return clean(text).rstrip("\n")


def header(name: str) -> str:
    """The line before one of several files."""
    return f"── {one_line(name)}"


def document(run_id: str, host: str, texts: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """`inv report --json`. `texts` are name, path and text of each file."""
    return {
        "run_id": run_id,
        "host": host or None,
        "files": [{"name": clean(name), "path": path, "text": clean(text)} for name, path, text in texts],
    }
