"""Taking a finished commit over from the bench into the user's repository, as a new branch.

The one place that writes there: objects are added, then one ref is set, never one that the user has moved or has
checked out.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from dgummy.gitcommand import Git, GitError
from dgummy.work import Base
from dgummy.workbench import Bench

_LOOSE_BELOW = 100
"""As in `git fetch`: fewer objects than this are kept one by one, more as a pack."""
_MAX_NAMES = 100


def publish(bench: Bench, pack: Path, branch: str, tip: str, previous: Collection[str]) -> tuple[str, bool]:
    """Make `branch` (without refs/heads/) point at `tip`, whose `pack` is there; the next free name if it is taken.

    previous: commits that earlier collections made; a branch that is still there is moved on. Returns the name of the
    branch, and whether anything had to be done. GitError.
    """
    git = Git(bench.repository.folder)
    taken = _branches(git, branch)
    for number in range(1, _MAX_NAMES):
        name = branch if number == 1 else f"{branch}-{number}"
        there, checked_out = taken.get(name, (bench.repository.zero, False))
        if there == tip:
            return name, False
        is_free = name not in taken and not any(other.startswith(f"{name}/") for other in taken)
        if is_free or (there in previous and not checked_out):
            _take_over(bench, git, pack)
            git.run("update-ref", "-m", "dgummy: work brought home", f"refs/heads/{name}", tip, there)
            return name, True
    raise GitError(f"there are {_MAX_NAMES} branches {branch}-N", "Delete those that you do not need: git branch -D")


def is_there(project_root: Path, base: Base, branch: str) -> bool:
    """Whether a repository of the project has that branch."""
    ref = f"refs/heads/{branch}"
    return any(
        Git(project_root / one.prefix).ask("show-ref", "--verify", "--quiet", ref)[2] == 0
        for one in base.repositories
        if (project_root / one.prefix).is_dir()
    )


def tips_of(project_root: Path, base: Base, branch: str, trailer: str, ended: int) -> frozenset[str]:
    """Return the newest commits of a run's branches as an earlier collection left them.

    They have its `trailer`, and are as old as the run's end (in seconds); one that the user amended is younger.
    """
    found: set[str] = set()
    for one in base.repositories:
        shape = "--format=%(objectname) %(committerdate:unix) %(contents:trailers)%00"
        refs = (f"refs/heads/{branch}", f"refs/heads/{branch}-*")
        out, _, status = Git(project_root / one.prefix).ask("for-each-ref", shape, *refs)
        if status == 0:
            entries = (entry.strip().split(" ", 2) for entry in out.decode("utf-8", "replace").split("\0")[:-1])
            found |= {ident for ident, at, trailers in entries if at == str(ended) and trailer in trailers.splitlines()}
    return frozenset(found)


def _branches(git: Git, branch: str) -> dict[str, tuple[str, bool]]:
    """Return the branches whose names begin with `branch`: commit, and whether a work tree has it checked out."""
    shape = "--format=%(objectname) %(refname:lstrip=2)%00%(worktreepath)%00"
    parts = branch.split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts))]
    patterns = [f"refs/heads/{name}" for name in (*above, f"{branch}*")]
    fields = git.run("for-each-ref", shape, *patterns).decode("utf-8", "surrogateescape").split("\0")
    entries = (line.strip("\n").partition(" ") for line in fields[:-1:2])
    found = {name: (ident, bool(path)) for (ident, _, name), path in zip(entries, fields[1::2], strict=True)}
    for name in above:  # git keeps branches as files: there is no a/b beside a
        if name in found:
            raise GitError(
                f"there is a branch {name!r}, so git cannot have a branch {branch!r}",
                f"Rename it and collect again: git branch -m {name} {name}-mine",
            )
    return {name: entry for name, entry in found.items() if name.startswith(branch)}


def _take_over(bench: Bench, git: Git, pack: Path) -> None:
    """Add the objects. git checks them on the bench first."""
    _feed(bench.git, pack, "index-pack", "--stdin", "--fsck-objects")
    with open(pack, "rb") as file:
        count = int.from_bytes(file.read(12)[8:], "big")
    if count < _LOOSE_BELOW:
        _feed(git, pack, "unpack-objects", "-q")
    else:
        _feed(git, pack, "index-pack", "--stdin")


def _feed(git: Git, pack: Path, *words: str) -> None:
    with open(pack, "rb", buffering=0) as file:
        git.run(*words, stdin=file)
