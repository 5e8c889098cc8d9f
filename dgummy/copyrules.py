"""What hosts say of the workspaces on them, and which copies of projects may be taken away. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from dgummy.transport.framing import Fact

YOUNG, IN_USE, UNCOLLECTED = "used since then", "in use", "not collected"
NO_AGE = "its host does not tell when it was used"
"""Why a copy is kept."""

REFUSALS = {
    "young": YOUNG,
    "in-use": IN_USE,
    "uncollected": UNCOLLECTED,
    "link": "a link is in its place",
    "moved": "another folder is in its place",
    "unmarked": "it is no copy that was made for a run",
    "permission": "it could not be removed",
}
"""Why a host kept one (remote/isolate.sh), and the same in words."""


class WorkspaceState(str, Enum):
    """How a workspace stands. The value is what is shown."""

    IN_USE = "in use"
    UNCOLLECTED = "not collected"
    FREE = "free"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace as its host tells of it.

    source: the project's folder that it is a copy of, "" for a project's own. unused_s: by its host's clock.
    holder: the run that has it now. work_run: the run that left work there which is not collected. gone: the folder is
    not there. abandoned: the run that it was made for never began. "" and None where there is none, or it is not known.
    """

    folder: str
    source: str = ""
    size_bytes: int | None = None
    unused_s: int | None = None
    holder: str = ""
    holder_owner: str = ""
    work_run: str = ""
    work_owner: str = ""
    gone: bool = False
    abandoned: bool = False

    @property
    def is_copy(self) -> bool:
        """Whether it was made for one run alone."""
        return bool(self.source)

    @property
    def state(self) -> WorkspaceState:
        """How it stands. What is in use may hold work of the same run besides."""
        if self.holder:
            return WorkspaceState.IN_USE
        if self.work_run:
            return WorkspaceState.UNCOLLECTED
        return WorkspaceState.GONE if self.gone else WorkspaceState.FREE

    @property
    def run(self) -> tuple[str, str]:
        """The run that its state is about, and whose that is."""
        return (self.holder, self.holder_owner) if self.holder else (self.work_run, self.work_owner)


def read_workspaces(facts: Iterable[Fact]) -> list[Workspace]:
    """Read what `list_workspaces` says."""
    found: list[Workspace] = []
    for fact in facts:
        if fact.name == "workspace":
            found.append(Workspace(fact.value))
        elif found:
            found[-1] = _with(found[-1], fact)
    return found


def _with(one: Workspace, fact: Fact) -> Workspace:
    match fact.name:
        case "copy-of":
            return replace(one, source=fact.value)
        case "size" if fact.value.isdecimal():
            return replace(one, size_bytes=int(fact.value) * 1024)
        case "used" if fact.value.isdecimal():
            return replace(one, unused_s=int(fact.value))
        case "holder":
            return replace(one, holder=fact.value)
        case "holder-owner":
            return replace(one, holder_owner=fact.value)
        case "uncollected":
            return replace(one, work_run=fact.value)
        case "uncollected-owner":
            return replace(one, work_owner=fact.value)
        case "gone":
            return replace(one, gone=True)
        case "abandoned":
            return replace(one, abandoned=True)
    return one


def why_kept(copy: Workspace, older_s: float) -> str:
    """Why a copy stays that is to go if it was unused for `older_s` (0: whatever its age); "" if it may go."""
    if older_s and not copy.abandoned:
        if copy.unused_s is None:
            return NO_AGE
        if copy.unused_s < older_s:
            return YOUNG
    if copy.holder:
        return IN_USE
    return UNCOLLECTED if copy.work_run else ""


def read_removals(facts: Iterable[Fact]) -> tuple[dict[str, int | None], dict[str, str]]:
    """Read what `remove_copies` says: the sizes in bytes of folders that are gone, and why others were kept."""
    removed: dict[str, int | None] = {}
    kept: dict[str, str] = {}
    for fact in facts:
        first, _, folder = fact.value.partition(" ")
        if fact.name == "removed":
            removed[folder] = int(first) * 1024 if first.isdecimal() else None
        elif fact.name == "kept":
            kept[folder] = REFUSALS.get(first, first)
    return removed, kept
