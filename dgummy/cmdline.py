"""A command line that is still being typed, as bash reads it: its words, and how the last one is gone on with. Pure.

bash gives the line and a position. The word under the cursor may be in an open quote, and what readline replaces begins
only behind the last character of COMP_WORDBREAKS in it: of `--host=no` that is `no`.
"""

from __future__ import annotations

from dataclasses import dataclass

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+,:@%=^")
_IN_DOUBLE_QUOTES = frozenset('$`"\\')


@dataclass(frozen=True, slots=True)
class TypedLine:
    """Words before the cursor, and the word at it, all without their quotes.

    `quote` is the one that is open at the cursor, `fixed` how many characters of the word at it stay as they are.
    """

    words: tuple[str, ...]
    current: str
    quote: str = ""
    fixed: int = 0


def read(line: str, breaks: str) -> TypedLine:
    """Read a line up to the cursor. `breaks` are the characters that end a word for readline."""
    words: list[str] = []
    word, quote, is_word, fixed = "", "", False, 0
    chars = iter(line)
    for char in chars:
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                following = next(chars, "")
                word += following if following in _IN_DOUBLE_QUOTES else char + following
            else:
                word += char
        elif char in " \t\n":
            if is_word:
                words.append(word)
            word, is_word, fixed = "", False, 0
        else:
            is_word = True
            if char in "'\"":
                quote, fixed = char, len(word)
            elif char == "\\":
                word += next(chars, "")
            else:
                word += char
                fixed = len(word) if char in breaks else fixed
    return TypedLine(tuple(words), word, quote, fixed)


def replies(typed: TypedLine, candidates: list[str]) -> list[str]:
    """What bash is to put in the place of what readline replaces: for each candidate that the word begins."""
    fitting = [one for one in candidates if one.startswith(typed.current)]
    return [_quoted(one[typed.fixed :], typed.quote) for one in fitting]


def _quoted(text: str, quote: str) -> str:
    """Text so that the shell reads it as it is, within the quote that is open."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote:
        return "".join(f"\\{char}" if char in _IN_DOUBLE_QUOTES else char for char in text)
    return "".join(char if char in _PLAIN or not char.isascii() else f"\\{char}" for char in text)
