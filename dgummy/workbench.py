"""A place to make git objects in for one repository, which itself is only read.

New objects go to a folder that is thrown away; what a branch needs is taken over at the end. Its index holds the tree
that was sent, and its work tree is empty: neither files of today nor a host's own .gitattributes decide anything.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from dgummy.gitcommand import Git, GitError, joined
from dgummy.repository import Repository, open_at
from dgummy.snapshot import INDEX_CONFIG
from dgummy.work import Kind, RepositoryBase

MODES = {Kind.FILE: "100644", Kind.PROGRAM: "100755", Kind.LINK: "120000"}
"""How git writes what a name is."""

FOREIGN_OBJECTS = "foreign-objects"
"""Where in a bench's scratch folder objects from a host are checked; nothing of the user's is visible from there."""

_LISTED = re.compile(rb"(\d+) ([0-9a-f]+) \d\t([^\0]+)\0")
Entry = tuple[str, str]
"""Mode (`100644`) and object id of a name."""


class BaseGoneError(GitError):
    """What was sent is not known any more: the repository, or objects of it, are gone. Work can come as a folder."""


@dataclass(frozen=True, slots=True)
class Bench:
    """`git` works in `scratch`; `entries` is what was sent, by name relative to the repository.

    head_tree: the tree of the commit that was HEAD then ("" if there was none).
    """

    repository: Repository
    base: RepositoryBase
    head_tree: str
    scratch: Path
    git: Git
    entries: dict[bytes, Entry]

    def tree_with(self, changes: dict[bytes, Entry | None]) -> str:
        """Write the tree that was sent with other entries (None: without that name). Returns its id."""
        index = self.scratch / "changed-index"
        shutil.copyfile(self.git.index or "", index)
        git = self.git.having(index=index)
        zero = self.repository.zero
        gone = [b"0 %s\t%s" % (zero.encode(), path) for path, entry in changes.items() if entry is None]
        new = [f"{entry[0]} {entry[1]}\t".encode() + path for path, entry in sorted(changes.items()) if entry]
        git.run("update-index", "-z", "--index-info", stdin=joined([*gone, *new]))
        return git.run("write-tree", "--missing-ok").decode().strip()

    def write_commit(self, content: bytes) -> str:
        """Write a commit object and return its id."""
        return self.git.run("hash-object", "-t", "commit", "-w", "--stdin", stdin=content).decode().strip()

    def tree_of(self, commit: str) -> str:
        """Return the id of a commit's tree."""
        return self.git.run("rev-parse", "--verify", "-q", f"{commit}^{{tree}}").decode().strip()


def set_up(project_root: Path, store: Path, base: RepositoryBase, scratch: Path) -> Bench:
    """Make the place for one repository of the project in `scratch` (made here). BaseGoneError, GitError."""
    shown = base.prefix or project_root.name
    repository = open_at(project_root / base.prefix)
    if repository is None:
        raise _gone(f"{shown} is no git repository any more")
    work_tree, objects, foreign = (scratch / name for name in ("work-tree", "objects", FOREIGN_OBJECTS))
    for folder in (work_tree, objects, foreign):
        folder.mkdir(parents=True)
    git = Git(
        work_tree,
        store=objects,
        alternates=(foreign, store, *repository.objects),
        git_dir=repository.git_dir,
        work_tree=work_tree,
        index=scratch / "index",
        config=(*INDEX_CONFIG, "core.sparseCheckout=false", "core.ignoreCase=false", "core.precomposeUnicode=false"),
    )
    wanted = [base.tree, *([base.head, f"{base.head}^{{tree}}"] if base.head else [])]
    out = git.run("cat-file", "--batch-check", stdin="".join(f"{ident}\n" for ident in wanted).encode())
    found = [line.split(" ") for line in out.decode().splitlines()]
    if [words[1] for words in found] != ["tree", "commit", "tree"][: len(wanted)]:
        raise _gone(f"the commit or tree that {shown} was sent as is not in its repository any more")
    _, err, status = git.ask("read-tree", base.tree)
    if status != 0:
        raise _gone(f"what {shown} was sent as cannot be read any more: {err.splitlines()[0] if err else status}")
    return Bench(repository, base, found[-1][0] if base.head else "", scratch, git, _entries(git))


def pack(bench: Bench, tip: str) -> Path:
    """Pack what the commit `tip` needs beyond what was HEAD. BaseGoneError if some of that is gone, GitError."""
    place = bench.scratch / "pack"
    revisions = (f"{tip}\n" + (f"^{bench.base.head}\n" if bench.base.head else "")).encode()
    try:
        with open(place, "wb") as file:
            bench.git.run("pack-objects", "--revs", "--stdout", "-q", stdin=revisions, stdout=file)
    except GitError:
        out, _, status = bench.git.ask("rev-list", "--objects", "--missing=print", "--stdin", stdin=revisions)
        if status != 0 or out.startswith(b"?") or b"\n?" in out:
            raise _gone("objects of what was sent are gone") from None
        raise
    return place


def _entries(git: Git) -> dict[bytes, Entry]:
    found = _LISTED.findall(git.run("ls-files", "-s", "-z"))
    return {path: (mode.decode(), ident.decode()) for mode, ident, path in found}


def _gone(what: str) -> BaseGoneError:
    return BaseGoneError(what, "Its work can still be brought home as a folder.")
