"""How a sentence was read, as text and as JSON. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

from dgummy.asking.phrasing import described, lacks_text, local_words, words
from dgummy.asking.readings import Intent, Reading, Understood
from dgummy.render.text import one_line

Typed = Callable[[list[str]], list[str]]
"""Makes the words of a command those that the user would type: `inv dg.run`, say."""


def command(reading: Reading, kind: str, typed: Typed) -> str:
    """The exact command, to be pasted into a shell."""
    if reading.intent is Intent.LOCAL:
        return (reading.text or "") if reading.is_command else shlex.join(local_words(reading))
    return shlex.join(typed(words(reading, kind)))


def text(found: Understood, kinds: list[tuple[str, str]], typed: Typed) -> str:
    """What was understood, and the command; of a doubtful sentence the two nearest readings.

    `kinds` has for each reading the kind of its work and why, where there is one.
    """
    lines = []
    shown = found.readings[:1] if found.sure else found.readings[:2]
    for number, (reading, (kind, why)) in enumerate(zip(shown, kinds, strict=False), 1):
        lead = "understood:" if found.sure else f"{number}."
        lines.append(f"{lead} {one_line(described(reading), 300)}")
        if why:
            lines.append(f"  kind of work: {one_line(why)}")
        lines.append(f"  {one_line(command(reading, kind, typed), 4000)}")
    return "\n".join(lines)


def document(found: Understood, kinds: list[tuple[str, str]], typed: Typed) -> dict[str, Any]:
    """`inv ask --json`."""
    return {
        "text": found.text,
        "sure": found.sure,
        "doubt": found.doubt or None,
        "readings": [
            {
                "intent": reading.intent.value,
                "described": described(reading),
                "task": reading.text,
                "tasks": list(reading.texts),
                "hosts": list(reading.hosts),
                "group": reading.group,
                "exclude": list(reading.exclude),
                "type": kind or None,
                "local": reading.intent is Intent.LOCAL,
                "lacks_text": lacks_text(reading),
                "command": command(reading, kind, typed),
            }
            for reading, (kind, _) in zip(found.readings[:2], kinds, strict=False)
        ],
    }
