"""What a host says that a run changed, taken apart and judged. Pure.

A host is not believed: names that lead out of the project, and any spelling of git's own folder, stay where they are.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dgummy.syncplan import folded, is_git_name, is_safe_name
from dgummy.units import format_bytes
from dgummy.work import Changed, Kind, Skipped

END = b"/"
"""The last name of a list that is whole."""

MAX_BYTES, MAX_TOTAL_BYTES = "collect.max_bytes", "collect.max_total_bytes"
"""The settings that limit what is fetched."""

_GIT_MODULES = re.compile(rb"\.gitmodules|gitmod~[1-4]|gi7eba~[1-9]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of what `stat` said: the mode's bits, the size, and the time of the last change as text."""

    mode: int
    size_bytes: int
    changed: str


@dataclass(frozen=True, slots=True)
class Sifted:
    """What of it can be brought, what is gone there, and what stays there, each sorted by name.

    `missing` may hold names that were never sent: they came and went.
    """

    changed: tuple[Changed, ...] = ()
    missing: tuple[bytes, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def decode_names(data: bytes) -> list[bytes] | None:
    """The names in a stream of `./NAME` and NUL that ends with END. None for one that was cut short."""
    names = data.split(b"\0")
    if names[-1:] != [b""] or names[-2:-1] != [END]:
        return None
    return [name.removeprefix(b"./") for name in names[:-2] if name != END]


def decode_stats(data: bytes) -> list[Entry | None]:
    """The lines of `stat_names` (remote/collect.sh). None for what is not there."""
    return [_entry(line) for line in data.decode("ascii", "replace").split("\n")[:-1]]


def _entry(line: str) -> Entry | None:
    mode, _, rest = line.partition(" ")
    size, _, changed = rest.partition(" ")
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}", mode) or not re.fullmatch(r"[0-9]{1,18}", size):
        return None
    return Entry(int(mode, 16), int(size), changed)


def kind_of(mode: int) -> Kind | None:
    """What a mode means, None for what is neither file nor link."""
    if stat.S_ISLNK(mode):
        return Kind.LINK
    if not stat.S_ISREG(mode):
        return None
    return Kind.PROGRAM if mode & stat.S_IXUSR else Kind.FILE


def sift(
    names: Sequence[bytes], entries: Sequence[Entry | None], unreadable: Iterable[bytes], missing: Iterable[bytes]
) -> Sifted:
    """Judge what a host listed; `entries[i]` is what names[i] is there.

    unreadable: names, and folders, that the host's user cannot read.
    """
    closed = frozenset(unreadable)
    changed: dict[bytes, Changed] = {}
    skipped: dict[bytes, Skipped] = {}
    gone = set(missing)
    listed = set()
    for name, entry in zip(names, entries, strict=True):
        listed.add(name)
        if entry is None:
            gone.add(name)
            continue
        verdict = _judge(name, entry, unreadable=name in closed)
        if isinstance(verdict, Changed):
            changed[name] = verdict
        else:
            skipped[name] = verdict
    for name in closed - listed:
        skipped[name] = _refused(name) or Skipped(name, "a folder that its host's user cannot read")
    left = (name for name in gone if name not in changed and name not in skipped and _refused(name) is None)
    return Sifted(
        tuple(changed[name] for name in sorted(changed)),
        tuple(sorted(left)),
        tuple(skipped[name] for name in sorted(skipped)),
    )


def _judge(name: bytes, entry: Entry, *, unreadable: bool) -> Changed | Skipped:
    refused = _refused(name)
    if refused is not None:
        return refused
    kind = kind_of(entry.mode)
    if kind is None:
        return Skipped(name, f"{_special(entry.mode)}, neither file nor link", is_work=False)
    if kind is Kind.LINK and _GIT_MODULES.fullmatch(folded(name.rpartition(b"/")[2]).rstrip(b". ")):
        return Skipped(name, "git takes no link of that name")
    if unreadable and kind is not Kind.LINK:
        return Skipped(name, "its host's user cannot read it")
    return Changed(name, kind, entry.size_bytes)


def _refused(name: bytes) -> Skipped | None:
    """Why that name is not brought whatever it is; None for an ordinary one."""
    if not is_safe_name(name):
        return Skipped(name, "not a name within the project", is_work=False)
    if is_git_name(name):
        return Skipped(name, "git's own folder is not brought home", is_work=False)
    return None


def _special(mode: int) -> str:
    names = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
        stat.S_IFDIR: "a folder",
    }
    return names.get(stat.S_IFMT(mode), "something special")


def limit(
    changed: Sequence[Changed], max_bytes: int, max_total_bytes: int
) -> tuple[tuple[Changed, ...], tuple[Skipped, ...]]:
    """What is fetched, and what is named instead: what is too large by itself, and the largest of what is too much."""
    kept, skipped, total = set(), [], 0
    for one in sorted(changed, key=lambda one: (one.size_bytes or 0, one.path)):
        size = one.size_bytes or 0
        if size > max_bytes:
            skipped.append(Skipped(one.path, f"{format_bytes(size)}, more than {MAX_BYTES}", limit=MAX_BYTES))
        elif total + size > max_total_bytes:
            reason = f"{format_bytes(size)}, and all together are more than {MAX_TOTAL_BYTES}"
            skipped.append(Skipped(one.path, reason, limit=MAX_TOTAL_BYTES))
        else:
            total += size
            kept.add(one.path)
    return tuple(one for one in changed if one.path in kept), tuple(sorted(skipped, key=lambda one: one.path))


def case_clashes(names: Iterable[bytes]) -> tuple[tuple[bytes, ...], ...]:
    """Groups of names that are one and the same where case does not count (macOS, Windows), folders among them."""
    seen: dict[str, set[bytes]] = {}
    for name in names:
        parts = name.split(b"/")
        for end in range(1, len(parts) + 1):
            whole = b"/".join(parts[:end])
            spellings = seen.setdefault(whole.decode("utf-8", "surrogateescape").casefold(), set())
            if whole in spellings and end < len(parts):
                continue
            spellings.add(whole)
    return tuple(sorted(tuple(sorted(group)) for group in seen.values() if len(group) > 1))
