"""Turning the contents of files into git's blobs as `git add` would, with the attributes of the tree that was sent.

Most contents go in as they are. Only those that a filter or a line-ending rule would change are laid out in a work tree
that is thrown away: git converts a file by its name and by what its index holds, and has no other way to be told both.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dgummy.gitcommand import Git, joined, quoted, records
from dgummy.workbench import Bench

_ATTRIBUTES = ("text", "crlf", "eol", "filter", "ident", "working-tree-encoding")
_CHUNK_BYTES = 1 << 20
_NOTHING = ("unspecified", "unset", "")

Item = tuple[bytes, str]
"""A name relative to the repository, and the path of a file with its content."""


def write_as_is(git: Git, contents: Sequence[str]) -> list[str]:
    """Write contents as blobs, unconverted. Returns their ids."""
    if not contents:
        return []
    lines = b"".join(quoted(path) + b"\n" for path in contents)
    return git.run("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=lines).decode().split()


def write(bench: Bench, items: Sequence[Item]) -> list[str]:
    """Write the contents of regular files as `git add` would. Returns their ids. GitError if a filter fails."""
    rules = rules_for(bench, (name for name, _ in items))
    special = [index for index, (name, path) in enumerate(items) if name in rules and rules[name].changes(path)]
    ids: dict[int, str] = {}
    for batch in _batches([(index, items[index]) for index in special]):
        ids |= _convert(bench, batch)
    plain = [index for index in range(len(items)) if index not in ids]
    ids |= zip(plain, write_as_is(bench.git, [items[index][1] for index in plain]), strict=True)
    return [ids[index] for index in range(len(items))]


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done to a file: whatever it holds (`always`), or only if it holds one of `signs`."""

    always: bool
    signs: tuple[bytes, ...]

    def changes(self, path: str) -> bool:
        """Whether that may be done to the content at `path`."""
        return self.always or any(_holds(path, sign) for sign in self.signs)


def rules_for(bench: Bench, names: Iterable[bytes]) -> dict[bytes, Rule]:
    """Return the rules for those of the names that have any."""
    wanted = list(dict.fromkeys(name for name in names if not _is_attributes_file(name)))
    if not wanted:
        return {}
    setting, _, _ = bench.git.ask("config", "--get", "core.autocrlf")
    converts_all = setting.strip().lower() in (b"true", b"input", b"yes", b"on", b"1")
    out = records(bench.git.run("check-attr", "-z", "--stdin", "--cached", *_ATTRIBUTES, stdin=joined(wanted)))
    found: dict[bytes, dict[str, str]] = {}
    for name, attribute, value in zip(out[::3], out[1::3], out[2::3], strict=True):
        if value != b"unspecified":
            found.setdefault(name, {})[attribute.decode()] = value.decode("utf-8", "replace")
    rules = ((name, _rule(found.get(name, {}), converts_all=converts_all)) for name in wanted)
    return {name: rule for name, rule in rules if rule.always or rule.signs}


def _rule(attributes: dict[str, str], *, converts_all: bool) -> Rule:
    filtered = attributes.get("filter", "") not in _NOTHING
    encoded = attributes.get("working-tree-encoding", "") not in _NOTHING
    signs = [b"$Id"] if attributes.get("ident") == "set" else []
    if attributes.get("text", attributes.get("crlf")) != "unset" and (
        converts_all or attributes.keys() & {"text", "crlf", "eol"}
    ):
        signs.append(b"\r\n")
    return Rule(filtered or encoded, tuple(signs))


def _is_attributes_file(name: bytes) -> bool:
    """Whether it could steer how other files are converted, or itself: such a one is taken as it is."""
    return b"gitattributes" in _key(name.rpartition(b"/")[2]).encode("utf-8", "replace")


def _holds(path: str, sign: bytes) -> bool:
    tail = b""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if sign in tail + chunk:
                return True
            tail = chunk[-len(sign) + 1 :]
    return False


@dataclass(slots=True)
class _Batch:
    """Files that can lie in one folder, also where names are compared without case."""

    items: list[tuple[int, Item]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    def take(self, index: int, item: Item) -> bool:
        key = _key(item[0])
        parts = key.split("/")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if key in self.files or key in self.folders or above & self.files:
            return False
        self.items.append((index, item))
        self.files.add(key)
        self.folders |= above
        return True


def _key(name: bytes) -> str:
    return unicodedata.normalize("NFD", name.decode("utf-8", "surrogateescape")).casefold()


def _batches(items: Sequence[tuple[int, Item]]) -> list[list[tuple[int, Item]]]:
    batches: list[_Batch] = []
    for index, item in items:
        if not any(batch.take(index, item) for batch in batches):
            batches.append(_Batch())
            batches[-1].take(index, item)
    return [batch.items for batch in batches]


def _convert(bench: Bench, items: Sequence[tuple[int, Item]]) -> dict[int, str]:
    """Have git add these files in a work tree of their own. What cannot be laid out there is left out."""
    folder, index = bench.scratch / "converting", bench.scratch / "converting-index"
    folder.mkdir()
    shutil.copyfile(bench.git.index or "", index)
    places = {}
    for number, (name, path) in items:
        with suppress(OSError):  # a name that this file system cannot have
            _lay_out(path, folder / os.fsdecode(name))
            places[name] = number
    git = bench.git.having(folder=folder, work_tree=folder, index=index)
    if places:
        git.run("update-index", "-z", "--add", "--replace", "--stdin", stdin=joined(places))
    entries = (entry.partition(b"\t") for entry in records(git.run("ls-files", "-s", "-z")))
    ids = {places[name]: info.decode().split(" ")[1] for info, _, name in entries if name in places}
    shutil.rmtree(folder)
    return ids


def _lay_out(content: str, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(content, place, follow_symlinks=False)
