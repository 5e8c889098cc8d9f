"""What a sync will do: which files go, which ones that went before are gone. Pure.

Names are bytes relative to the project's root, with `/` between their parts: a file name is whatever the
file system says, not text. What was sent to a workspace is remembered there as a manifest, so that the next
sync can delete what has gone since and leave everything else alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

TOP_LEVEL_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Listing:
    """The set of a project that is sent, sorted by name; `sizes_bytes[i]` is the size of `paths[i]`.

    `excluded` holds the patterns that kept something back; `notices` are one line each, for the user. `states[i]`
    tells `paths[i]` from another file without reading it (see `quickcheck`), `targets` says where links lead,
    `folder_modes` has the st_mode of each folder.

    In git: `repositories` are the prefixes of those that were asked (b"" first, then b"vendor/lib/"), `extra` the names
    in the set that git ignores and only `sync_extra` named, `gone` tracked names where no file or link is now (also of
    submodules that are not checked out).
    """

    paths: tuple[bytes, ...] = ()
    sizes_bytes: tuple[int, ...] = ()
    excluded: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    repositories: tuple[bytes, ...] = ()
    extra: tuple[bytes, ...] = ()
    gone: tuple[bytes, ...] = ()
    states: tuple[bytes, ...] = ()
    targets: Mapping[bytes, bytes] = field(default_factory=dict)
    folder_modes: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """The size of everything in the set."""
        return sum(self.sizes_bytes)


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What goes to one workspace, and what has to be deleted there first.

    files: the names to send. gone: names sent before and not in the set now, deepest first. top_level: for
    people, at most eight names and "+N more". excluded: the patterns that kept something back. manifest_id:
    what the workspace holds once the plan is carried out.
    """

    files: tuple[bytes, ...]
    gone: tuple[bytes, ...]
    top_level: tuple[str, ...]
    excluded: tuple[str, ...]
    total_files: int
    total_bytes: int
    manifest_id: str

    def interim_manifest(self, previous: frozenset[bytes] | None) -> str:
        """Return the manifest to write before the push: old and new names.

        A push that breaks half-way then leaves nothing behind that later syncs do not know of.
        """
        return encode_manifest((previous or frozenset()).union(self.files))

    def manifest(self) -> str:
        """Return the manifest to write once the push has succeeded."""
        return encode_manifest(self.files)


def plan(listing: Listing, previous: frozenset[bytes] | None) -> SyncPlan:
    """Plan how a workspace that was sent `previous` (None: not known, nothing is deleted) gets `listing`."""
    current = frozenset(listing.paths)
    gone = (path for path in (previous or frozenset()) - current if not is_agents_memory(path))
    return SyncPlan(
        files=listing.paths,
        gone=tuple(sorted(gone, key=_deepest_first)),
        top_level=top_level(listing.paths),
        excluded=listing.excluded,
        total_files=len(listing.paths),
        total_bytes=listing.total_bytes,
        manifest_id=manifest_id(listing.paths),
    )


def is_agents_memory(path: bytes) -> bool:
    """Whether a name is of what agents remember (gummy's specialists).

    That lives on one host: it is not sent, so that what a host has learned is not overwritten, and never deleted there.
    """
    return b"/.gummy/specialists/" in b"/" + path or b"/.gummy/moved/" in b"/" + path


def _deepest_first(path: bytes) -> tuple[int, bytes]:
    return -path.count(b"/"), path


def top_level(paths: Iterable[bytes], shown: int = TOP_LEVEL_SHOWN) -> tuple[str, ...]:
    """Return the first parts of the names: folders (`src/`), then files, hidden ones last; then "+N more"."""
    heads = {head + slash for head, slash, _ in (path.partition(b"/") for path in paths)}
    ordered = sorted(heads, key=lambda head: (head.startswith(b"."), not head.endswith(b"/"), head))
    names = tuple(head.decode("utf-8", "replace") for head in ordered[:shown])
    hidden = len(ordered) - len(names)
    return (*names, f"+{hidden} more") if hidden else names


def is_safe_name(path: bytes) -> bool:
    """Whether a name stays below the folder that it is relative to and means one file only."""
    parts = path.split(b"/")
    return b"\0" not in path and not any(part in (b"", b".", b"..") for part in parts)


def leads_out(path: bytes, target: bytes) -> bool:
    """Whether a link at `path` leads out of the project."""
    if target.startswith(b"/"):
        return True
    depth = path.count(b"/")
    for part in target.split(b"/"):
        if part == b"..":
            depth -= 1
        elif part not in (b"", b"."):
            depth += 1
        if depth < 0:
            return True
    return False


_HFS_IGNORES = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
"""What HFS+ leaves out of a name when it compares it (as git's utf8.c has it)."""


def is_git_name(path: bytes) -> bool:
    """Whether a part of a name is a `.git` to some file system: NTFS, HFS+ and those that know no case included.

    What is written there could be a hook, that is, be executed.
    """
    parts = (folded(part).partition(b":")[0] for part in re.split(rb"[/\\]", path))
    return any(part.rstrip(b". ") in (b".git", b"git~1") for part in parts)


def folded(name: bytes) -> bytes:
    """Return a name without case and without what HFS+ does not see in it."""
    if name.isascii():
        return name.lower()
    return _HFS_IGNORES.sub("", name.decode("utf-8", "surrogateescape")).lower().encode("utf-8", "surrogateescape")


def encode_manifest(paths: Iterable[bytes]) -> str:
    """Write one name per line, sorted.

    A newline is `%0A`, a per cent sign `%25`; bytes that are not UTF-8 become surrogate escapes.
    """
    return _encoded(paths).decode("utf-8", "surrogateescape")


def _encoded(paths: Iterable[bytes]) -> bytes:
    ordered = sorted(set(paths))
    text = b"\n".join([*ordered, b""])
    if b"%" in text or text.count(b"\n") != len(ordered):
        text = b"".join(path.replace(b"%", b"%25").replace(b"\n", b"%0A") + b"\n" for path in ordered)
    return text


def decode_manifest(text: str) -> frozenset[bytes]:
    """Return the names in a manifest.

    A host keeps it, so names that lead out of the workspace are dropped, not believed.
    """
    lines = text.encode("utf-8", "surrogateescape").split(b"\n")
    names = (line.replace(b"%0A", b"\n").replace(b"%25", b"%") for line in lines)
    return frozenset(name for name in names if is_safe_name(name))


def manifest_id(paths: Iterable[bytes]) -> str:
    """Return the SHA-256 of the encoded manifest, in hex."""
    return hashlib.sha256(_encoded(paths)).hexdigest()
