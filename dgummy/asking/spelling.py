"""Slips of the finger in words that a rule looks for. Pure.

Three kinds are put right: two letters that changed places, one letter left out, one letter doubled. A letter in
another's place is none of them: that would make `post` a `host`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Nothing within the name of a file, and the like.
_WORD = re.compile(r"(?<![\w./\\-])[A-Za-z]+(?![\w/\\-]|\.\w)")
_SHORTEST = 4
_FIXED = {
    "teh": "the",
    "hte": "the",
    "adn": "and",
    "nad": "and",
    "andw": "and",
    "waht": "what",
    "wat": "what",
    "leest": "least",
}
# Words of their own, although a letter more would make them one that is looked for.
_NO_SLIPS = frozenset(
    {
        "were",
        "ever",
        "last",
        "lest",
        "sever",
        "east",
        "nods",
        "stat",
        "star",
        "lunch",
        "cold",
        "bets",
        "dose",
        "fist",
        "buys",
    }
)


def correct(text: str, vocabulary: Iterable[str]) -> str:
    """Put right what is nearly a word of the vocabulary (lower case); all else stays as it was written."""
    known = frozenset(vocabulary)
    slips = {slip: word for word in sorted(known) for slip in _slips(word) if slip not in known}

    def mend(match: re.Match[str]) -> str:
        word = match.group()
        lower = word.lower()
        if lower in known or lower in _NO_SLIPS:
            return word
        meant = _FIXED.get(lower) or (slips.get(lower) if len(lower) >= _SHORTEST else None)
        return word if meant is None else _in_case_of(word, meant)

    return _WORD.sub(mend, text)


def _slips(word: str) -> set[str]:
    """List what a slip makes of a word."""
    found = set()
    for at in range(1, len(word)):
        if at + 1 < len(word) or word[at] != "s":  # one host is no slip for several
            found.add(word[:at] + word[at + 1 :])
        found.add(word[:at] + word[at] + word[at:])
        if at + 1 < len(word):
            found.add(word[:at] + word[at + 1] + word[at] + word[at + 2 :])
    return found - {word}


def _in_case_of(written: str, meant: str) -> str:
    if written.isupper() and len(written) > 1:
        return meant.upper()
    return meant.capitalize() if written[0].isupper() else meant
