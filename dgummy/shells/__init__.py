"""The scripts that make shells complete our command lines. See `dgummy.tasks.completion` for what they ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dgummy.completing import SHELLS
from dgummy.errors import UsageError


def script(shell: str, environ: Mapping[str, str]) -> str:
    """The script for a shell, "" for the user's own. UsageError for one that there is none for."""
    name = shell or Path(environ.get("SHELL", "")).name
    if name not in SHELLS:
        known = ", ".join(SHELLS)
        if not shell:
            raise UsageError(f"SHELL names none of {known}", "name one: inv completion bash")
        raise UsageError(f"there is no completion for {shell}", f"take one of {known}: inv completion bash")
    return (Path(__file__).parent / f"completion.{name}").read_text(encoding="utf-8")
