"""Whether a workspace holds a listing already, as rsync decides it without reading a file. Pure.

rsync's quick check takes a file for the same if its size, its mtime (in whole seconds) and its mode are, a link if its
target is. A host can tell these of all that it was sent in a twentieth of the time that rsync takes over a list of
names. A digest of them says "nothing to do" in one word; where it differs, they say which names rsync is to look at.

One line for each name, in their order, and before it for each folder on the way that was not named yet; then the
targets of the links, in their order (`sent_states` in remote/sync.sh writes the same):

    MODE SIZE MTIME ./NAME          a file; MODE is st_mode in hex, so it holds the type
    MODE ./FOLDER
    a ./LINK
    > LINK -> TARGET
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass

from dgummy.syncplan import Listing

LINK = b"a"
"""The state of any link."""

MAX_TOLD_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Expected:
    """What a workspace that holds a listing says of itself. `lines[i]` is about `names[i]`, a folder's ends in /.

    `targets` are the lines about where links lead.
    """

    names: tuple[bytes, ...]
    lines: tuple[bytes, ...]
    targets: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of it, in hex."""
        return hashlib.sha256(b"\n".join((*self.lines, *self.targets, b""))).hexdigest()


def expected(listing: Listing) -> Expected | None:
    """What is to be said of a listing. None if it cannot be said in lines, or the listing was made without states."""
    states = listing.states
    if len(states) != len(listing.paths) or not states:
        return None
    names: list[bytes] = []
    lines: list[bytes] = []
    targets: list[bytes] = []
    last = b""
    told = {b""}
    for path, state in zip(listing.paths, states, strict=True):
        folder = path[: path.rfind(b"/") + 1]
        if folder != last:
            last = folder
            for name in _untold(folder, told):
                names.append(name)
                lines.append(b"%x ./%s" % (listing.folder_modes.get(name[:-1], 0), name[:-1]))
        names.append(path)
        lines.append(state + b" ./" + path)
        if state == LINK:
            targets.append(b"> %s -> %s" % (path, listing.targets[path]))
    if any(b"\n" in text for text in (b"".join(listing.paths), b"".join(targets))):
        return None
    return Expected(tuple(names), tuple(lines), tuple(targets))


def _untold(folder: bytes, told: set[bytes]) -> list[bytes]:
    """The folders on the way to `folder` (it ends in a slash) that are not in `told`, and take them in."""
    found = []
    at = folder.find(b"/") + 1
    while at:
        if folder[:at] not in told:
            told.add(folder[:at])
            found.append(folder[:at])
        at = folder.find(b"/", at) + 1
    return found


def unpack(packed: bytes) -> bytes:
    """What a host told, from gzip. b"" if it is not that, or so large that it cannot be about what was sent."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        told = unpacking.decompress(packed, MAX_TOLD_BYTES)
    except zlib.error:
        return b""
    return told if unpacking.eof else b""


def differing(wanted: Expected, told: bytes) -> tuple[bytes, ...]:
    """The names that rsync is to look at, of a workspace that told this. What it did not tell of is among them.

    All that is in a folder which is not as it was sent: where that is no folder any more, rsync makes it anew.
    """
    lines = told.split(b"\n")
    there = set(lines)
    links = [line for line in lines if line.startswith(b"a ")]
    targets = [line for line in lines if line.startswith(b"> ")]
    pointing = dict(zip(links, targets, strict=True)) if len(links) == len(targets) else {}
    wanted_targets = iter(wanted.targets)
    found: list[bytes] = []
    other: tuple[bytes, ...] = ()
    for name, line in zip(wanted.names, wanted.lines, strict=True):
        same = line in there
        if line.startswith(b"a "):
            same = pointing.get(line) == next(wanted_targets)
        if name.endswith(b"/"):
            if not same:
                other += (name,)
        elif not same or name.startswith(other):
            found.append(name)
    return tuple(found)
