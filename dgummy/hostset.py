"""Sets of host names: `node-[1-4,7]` written out and folded again, names checked, near misses found. Pure.

The notation is ClusterShell's and pdsh's: ranges and lists of numbers in brackets, zero padding kept
(`[01-10]`), several brackets in one name multiply, commas outside brackets separate.
"""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

MAX_HOSTS = 10_000
"""More names than this in one expression are taken for a mistake."""
MAX_NAME_LENGTH = 255

_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
# A longer run of digits than a range can hold is plain text.
_NUMBER = re.compile(r"(?<![0-9])([0-9]{1,18})(?![0-9])")
_DIGITS = re.compile(r"([0-9]+)")

_Template = tuple[str, ...]
_NaturalKey = tuple[tuple[tuple[int, int, str], ...], str]


def expand(text: str) -> list[str]:
    """Write out `node-[1-4,7],db-1` as names, in order, each once.

    ValueError with one line for brackets that do not match, ranges that run backwards or hold no numbers,
    empty names between commas, or more than `MAX_HOSTS` names.
    """
    names: dict[str, None] = {}
    if not text.strip():
        return []
    for part in _split(text):
        if not part:
            raise ValueError(f"{_short(text)}: there is nothing between two commas")
        for name in _expand_one(part):
            names[name] = None
            if len(names) > MAX_HOSTS:
                raise ValueError(f"{_short(text)}: more than {MAX_HOSTS:,} hosts")
    return list(names)


def fold(names: Iterable[str]) -> str:
    """Write names as short as may be: `node-[1-4,7]`, in natural order; `expand` gives the same set of names.

    One number per name is folded, the one that differs most; names that hold commas or brackets stay as
    they are.
    """
    groups: defaultdict[_Template, list[list[str]]] = defaultdict(list)
    folded: list[tuple[_NaturalKey, str]] = []
    for name in dict.fromkeys(names):
        pieces = _NUMBER.split(name)
        if len(pieces) == 1 or any(char in name for char in ",[]"):
            folded.append((natural_key(name), name))
        else:
            groups[tuple(pieces[::2])].append(pieces[1::2])
    for texts, rows in groups.items():
        folded += _fold_group(texts, rows)
    return ",".join(text for _, text in sorted(folded))


def natural_key(name: str) -> _NaturalKey:
    """Give a sort key by which node-2 comes before node-10."""
    pieces = tuple(
        (0, int(piece[:300]), "") if piece[0] in "0123456789" else (1, 0, piece)
        for piece in _DIGITS.split(name)
        if piece
    )
    return pieces, name


def check_name(name: str) -> str:
    """Return a host name that is safe to hand to ssh and rsync; ValueError with one line for any other.

    A name that starts with a dash would be read as an option; blanks, control characters and slashes are in
    no name.
    """
    if not name:
        raise ValueError("a host name is empty")
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(f"host name {_short(name)} is longer than {MAX_NAME_LENGTH} characters")
    if name.startswith("-"):
        raise ValueError(f"host name {_short(name)} starts with a dash")
    if any(char.isspace() or not char.isprintable() for char in name):
        raise ValueError(f"host name {_short(name)} holds a blank or a control character")
    if "/" in name:
        raise ValueError(f"host name {_short(name)} holds a slash")
    return name


def suggest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was probably meant, ignoring case; None if none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name[:MAX_NAME_LENGTH].lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[matches[0]] if matches else None


def _short(text: str) -> str:
    """Quote a text for a message, cut to a length that fits a line."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _split(text: str) -> Iterator[str]:
    """Split at the commas outside brackets."""
    start = depth = 0
    for position, char in enumerate(text):
        if char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
        elif char == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
        if depth not in (0, 1):
            break
    if depth != 0:
        raise ValueError(f"{_short(text)}: the brackets do not match")
    yield text[start:].strip()


def _expand_one(part: str) -> Iterator[str]:
    """Write out one name with brackets; the count is known before any name is made."""
    pieces = _BRACKET.split(part)
    ranges = [_ranges(inside, part) for inside in pieces[1::2]]
    count = math.prod(sum(last - first + 1 for first, last, _ in group) for group in ranges)
    if count > MAX_HOSTS:
        raise ValueError(f"{_short(part)}: {count:,} hosts, more than {MAX_HOSTS:,}")
    texts = pieces[::2]
    for numbers in itertools.product(*(_numbers(group) for group in ranges)):
        yield _join(texts, numbers)


def _ranges(inside: str, part: str) -> list[tuple[int, int, int]]:
    """Read `1-4,7` as (first, last, width to pad to)."""
    found = []
    for item in inside.split(","):
        match = _RANGE.fullmatch(item.strip())
        if match is None:
            raise ValueError(f"{_short(part)}: {_short(item.strip())} is not a number or a range; write node-[1-4,7]")
        first, last = match.group(1), match.group(2) or match.group(1)
        width = len(first) if first.startswith("0") else 0
        if last.startswith("0") and len(last) > 1 and len(last) != width:
            raise ValueError(f"{_short(part)}: {item.strip()} pads its ends with zeros to different widths")
        if int(last) < int(first):
            raise ValueError(f"{_short(part)}: {item.strip()} runs backwards")
        found.append((int(first), int(last), width))
    return found


def _numbers(ranges: Sequence[tuple[int, int, int]]) -> Iterator[str]:
    """Write out the numbers of some ranges."""
    for first, last, width in ranges:
        for number in range(first, last + 1):
            yield str(number).zfill(width)


def _fold_group(texts: _Template, rows: list[list[str]]) -> Iterator[tuple[_NaturalKey, str]]:
    """Fold names that differ in their numbers alone, along the number with the most values."""
    columns = list(zip(*rows, strict=True))
    varying = max(range(len(columns)), key=lambda column: (len(set(columns[column])), column))
    by_rest: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        rest = (*row[:varying], *row[varying + 1 :])
        by_rest[rest].add(row[varying])
    for rest, values in by_rest.items():
        first = min(values, key=lambda value: (int(value), len(value)))
        shown = first if len(values) == 1 else f"[{_fold_numbers(values)}]"
        sort_key = natural_key(_join(texts, (*rest[:varying], first, *rest[varying:])))
        yield sort_key, _join(texts, (*rest[:varying], shown, *rest[varying:]))


def _join(texts: Sequence[str], numbers: Sequence[str]) -> str:
    """Put texts and numbers back together."""
    return texts[0] + "".join(f"{number}{text}" for number, text in zip(numbers, texts[1:], strict=True))


def _fold_numbers(values: set[str]) -> str:
    """Write numbers as ranges: `1-4,7`. A padded range takes in numbers that have grown past its width."""
    left = set(values)
    found: list[tuple[int, int, str]] = []
    for first in sorted(values, key=lambda value: (_width(value) == 0, _width(value), int(value))):
        if first not in left:
            continue
        width, last = _width(first), int(first)
        left.remove(first)
        while (following := str(last + 1).zfill(width)) in left:
            left.remove(following)
            last += 1
        end = str(last).zfill(width)
        found.append((int(first), len(first), first if end == first else f"{first}-{end}"))
    return ",".join(text for _, _, text in sorted(found))


def _width(value: str) -> int:
    """Give the width that a number is padded to, 0 for one without leading zeros."""
    return len(value) if len(value) > 1 and value.startswith("0") else 0
