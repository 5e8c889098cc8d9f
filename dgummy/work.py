"""What a run was sent, and what of it changed on its host: the records that bringing work home speaks in. No I/O.

A project is one git repository, or several (submodules, clones within it), or none. `prefix` is where in the project a
repository is: b"" for the project itself, else b"vendor/lib/". Names are bytes relative to the project's root, as in
`syncplan`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

import msgspec


class WorkState(str, Enum):
    """What became of that which a run changed on its host. The value is what the ledger holds."""

    UNKNOWN = ""
    NONE = "none"
    UNCOLLECTED = "uncollected"
    COLLECTED = "collected"
    DISCARDED = "discarded"


class RepositoryBase(msgspec.Struct, frozen=True, omit_defaults=True):
    """One repository of a project as it was sent: `tree` is the id of that, `head` that of its HEAD ("" if unborn).

    `prefix` is text: bytes that are not UTF-8 are surrogate escapes (`os.fsdecode`).
    """

    tree: str
    head: str = ""
    prefix: str = ""


class Base(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project as it was sent to a run. Without repositories git knew nothing of it.

    sent_at_ns: when listing began, by this machine's clock: a file that has changed since is not what was sent. extra:
    names (as text) that were sent although git ignores them; they are in no tree. extra_ids: git's ids of what these
    hold, but for what tells nothing (see `withheld`).
    """

    sent_at_ns: int = 0
    repositories: tuple[RepositoryBase, ...] = ()
    extra: tuple[str, ...] = ()
    extra_ids: tuple[str, ...] = ()


def encode_base(base: Base) -> str:
    """Write it for the ledger, or for a run's host to keep."""
    return json.dumps(msgspec.to_builtins(base))


def decode_base(text: str) -> Base | None:
    """Read what `encode_base` wrote. None for a run of which nothing was recorded."""
    try:
        return msgspec.convert(json.loads(text), Base) if text else None
    except (ValueError, RecursionError):
        return None


class Kind(str, Enum):
    """What a changed name is on the host."""

    FILE = "file"
    PROGRAM = "program"  # a file that may be executed
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Changed:
    """A file or link that is new or not as it was sent. `size_bytes` is None where the host has not told it."""

    path: bytes
    kind: Kind
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not brought home, and why, in a few words.

    is_work: it may be what the run made, and is on its host alone: what would destroy it is still refused. limit: the
    setting that it is more than, if that is why.
    """

    path: bytes
    reason: str
    is_work: bool = True
    limit: str = ""


@dataclass(frozen=True, slots=True)
class Brought:
    """Something that was brought here: `content` is the path of a file with what it holds (for a link: its target)."""

    path: bytes
    kind: Kind
    content: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """What the run did to a file: A, M, D, T (now of another kind) or "mode". Lines are None in a binary file."""

    path: bytes
    status: str
    insertions: int | None
    deletions: int | None


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that holds a run's work in one repository (`prefix`: where in the project that is).

    base, tip: its commits; between them is the run's work. tree: the tree of the tip. has_local: the base holds
    changes of the user's that were not committed: merging wants them committed or stashed first. is_new: the branch was
    made or moved now. agent_commits: how many of the agent's own are on it. is_root: nothing was committed here when
    the run began, so git sees no common history to merge by.
    """

    prefix: bytes
    name: str
    base: str
    tip: str
    tree: str
    files: tuple[FileChange, ...]
    has_local: bool
    is_new: bool = True
    agent_commits: int = 0
    is_root: bool = False

    @property
    def insertions(self) -> int:
        """How many lines were added."""
        return sum(change.insertions or 0 for change in self.files)

    @property
    def deletions(self) -> int:
        """How many lines were taken out."""
        return sum(change.deletions or 0 for change in self.files)


@dataclass(frozen=True, slots=True)
class Homecoming:
    """What was brought home of a run, and what was not.

    branches: one for each repository of the project with changes. folder: where files lie that are not in git ("" for
    none): `files` and the patch of a project without git, what `--fetch` asked for. reports: the agent's own words, as
    files. left: names that git ignores, which stay on the host.
    """

    run_id: str
    host: str
    project: str
    work: WorkState
    branches: tuple[Branch, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()
    folder: str = ""
    files: tuple[str, ...] = ()
    patch: str = ""
    reports: tuple[str, ...] = ()
    left: int = 0

    @property
    def branch(self) -> str:
        """The name of the branch in the project itself, else of one in a repository within it; "" if there is none."""
        return next((branch.name for branch in self.branches), "")
