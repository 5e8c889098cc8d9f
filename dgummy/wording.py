"""How messages name values, and what they suggest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dgummy.errors import ConfigError

Problem = tuple[str, str]
"""What is wrong with a value, and what to write instead."""


def key_error(origin: str, key: str, what: str, remedy: str) -> ConfigError:
    """Make the ConfigError for one key of one layer: `ORIGIN: KEY: WHAT`."""
    return ConfigError(f"{origin}: {key}: {what}" if key else f"{origin}: {what}", remedy)


def shown(value: object) -> str:
    """Write a value as a message shows it: short, without control characters, in YAML's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, str) and not value:
        return "empty text"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else _plain(value)
    return f"{text[:60]}…" if len(text) > 61 else text


def _plain(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    # Python refuses to print an int of more than 4300 digits.
    text = "a huge number" if isinstance(value, int) and value.bit_length() > 200 else str(value)
    return text if text.isprintable() else ascii(text)


def list_hint(value: object) -> str:
    """Give an example of a list that holds this value."""
    plain = isinstance(value, str) and 0 < len(value) <= 60 and value.isprintable()
    return str(value) if plain else "a, b"


def text_problem(value: object) -> Problem | None:
    """Say what is wrong with a value that should be text, or None.

    Of control characters, tab and newline pass.
    """
    if not isinstance(value, str):
        quoted = f'"{shown(value)}"' if isinstance(value, (bool, int, float)) else "text"
        return f"expected text, got {shown(value)}", f"write {quoted}, with the quotes if it is meant as text"
    if not value.replace("\t", " ").replace("\n", " ").isprintable() and _has_control(value):
        return f"holds control characters: {shown(value)}", "delete them, or save the file as UTF-8"
    return None


def _has_control(value: str) -> bool:
    return any(
        (char < " " and char not in "\t\n") or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"
        for char in value
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was probably meant, or None. Dashes, case and small typos are forgiven."""
    import difflib

    by_plain = {plain_name(candidate): candidate for candidate in known}
    if plain_name(name) in by_plain:
        return by_plain[plain_name(name)]
    found = difflib.get_close_matches(plain_name(name), by_plain, n=1, cutoff=0.6)
    return by_plain[found[0]] if found else None


def suggestion(name: str, known: Iterable[str], *, noun: str) -> str:
    """Write a remedy: `did you mean X? …`, or what names there are."""
    names = list(known)
    close = nearest(name, names)
    listed = ", ".join(names[:24]) + (", …" if len(names) > 24 else "")
    there_are = f"{noun}: {listed}" if names else "there are none"
    return f"did you mean {close}? {there_are}" if close else there_are


def plain_name(name: str) -> str:
    """Write a name so that dashes and case make no difference."""
    return name.lower().replace("-", "_")
