"""Recording what is sent to a run as git trees, without touching the user's repositories.

git works on a copy of the index, so what has not changed is not read again, and filters and line endings are treated as
`git add` would; new objects go into a store of ours that borrows from the repository. As for `git add`, files that are
marked assume-unchanged or skip-worktree stay as the index has them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dgummy import withheld
from dgummy.gitcommand import Git, NoGitError, joined, records
from dgummy.project import Project
from dgummy.repository import Repository, open_at
from dgummy.syncplan import Listing
from dgummy.textfiles import make_folder
from dgummy.work import Base, RepositoryBase

# A copy of the index must stand alone, and a doubtful line end is no reason to send nothing.
INDEX_CONFIG = (
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "index.sparse=false",
    "core.safecrlf=false",
    "core.bigFileThreshold=2g",  # below it every object is a file of its own, in the store too
)
GITLINK = "160000"
Names = list[bytes]


def store_of(state_dir: Path, project_root: Path) -> Path:
    """Where the objects of a project are kept that its own repository does not have."""
    key = hashlib.sha256(os.fsencode(project_root)).hexdigest()[:20]
    return state_dir / "objects" / key


def drop_stores(state_dir: Path, projects: Collection[Path]) -> None:
    """Remove the objects of all projects but these."""
    kept = {store_of(state_dir, project).name for project in projects}
    with suppress(OSError):
        for store in (state_dir / "objects").iterdir():
            if store.name not in kept:
                shutil.rmtree(store, ignore_errors=True)


def record(project: Project, listing: Listing, store: Path, now_ns: int) -> Base:
    """Record the set that is sent, one tree for each repository of the project.

    store: this project's own objects folder, made when it is missing. now_ns: when listing began. Names of
    `listing.extra` are in no tree. A project that git knows nothing of, or no git here: a base without repositories.
    GitError if git refuses.
    """
    if not project.is_git or not listing.repositories:
        return Base(sent_at_ns=now_ns)
    try:
        repositories = _open_all(project.root, listing.repositories)
    except NoGitError:
        return Base(sent_at_ns=now_ns)
    if b"" not in repositories:
        return Base(sent_at_ns=now_ns)
    make_folder(store)
    prefixes = tuple(repositories)
    extra = frozenset(listing.extra)
    sent = by_repository((path for path in listing.paths if path not in extra), prefixes)
    gone = by_repository(listing.gone, prefixes)
    bases = []
    for prefix, repository in repositories.items():
        tree = _tree(repository, store, sent[prefix], gone[prefix], _nested_in(prefix, prefixes))
        bases.append(RepositoryBase(tree=tree, head=repository.head, prefix=os.fsdecode(prefix)))
    return Base(
        sent_at_ns=now_ns,
        repositories=tuple(bases),
        extra=tuple(map(os.fsdecode, listing.extra)),
        extra_ids=withheld.ids_of(project.root, listing.extra, repositories[b""].object_format),
    )


def by_repository(paths: Iterable[bytes], prefixes: Sequence[bytes]) -> dict[bytes, Names]:
    """Sort names by the repository that they are in; there they are relative to it. b"" must be a prefix."""
    if len(prefixes) == 1:
        return {prefixes[0]: list(paths)}
    sorted_out: dict[bytes, Names] = {prefix: [] for prefix in prefixes}
    owners: dict[bytes, bytes] = {b"": b""}

    def owner(folder: bytes) -> bytes:
        """Return the prefix for what is in `folder` ("" or without a slash at its end)."""
        if folder not in owners:
            with_slash = folder + b"/"
            owners[folder] = with_slash if with_slash in sorted_out else owner(folder.rpartition(b"/")[0])
        return owners[folder]

    for path in paths:
        prefix = owner(path.rpartition(b"/")[0])
        sorted_out[prefix].append(path[len(prefix) :])
    return sorted_out


def _open_all(root: Path, prefixes: Collection[bytes]) -> dict[bytes, Repository]:
    found = ((prefix, open_at(root / os.fsdecode(prefix))) for prefix in sorted(prefixes))
    return {prefix: repository for prefix, repository in found if repository is not None}


def _nested_in(prefix: bytes, prefixes: Collection[bytes]) -> Names:
    return [other[len(prefix) : -1] for other in prefixes if other != prefix and other.startswith(prefix)]


def _tree(repository: Repository, store: Path, sent: Names, gone: Names, nested: Names) -> str:
    """Write the tree of one repository and return its id. nested: the folders of repositories within it."""
    with tempfile.TemporaryDirectory(prefix="dgummy-") as scratch:
        index = Path(scratch, "index")
        copy_index(repository.index, index)
        git = Git(repository.folder, store=store, alternates=repository.objects, index=index, config=INDEX_CONFIG)
        suspects = [*nested, *_not_where_tracked(repository.folder, gone)]
        replaced = _not_submodules(git, suspects) if suspects else []
        if replaced:
            git.run("update-index", "-z", "--force-remove", "--stdin", stdin=joined(replaced))
        names = [*sent, *frozenset(gone).difference(suspects)]
        if names:
            options = ("--add", "--remove", "--replace", "--ignore-skip-worktree-entries")
            git.run("update-index", "-z", *options, "--stdin", stdin=joined(names))
        return _write_tree(git)


def _not_where_tracked(folder: Path, gone: Names) -> Iterator[bytes]:
    """Yield the names where a folder is now, and those behind a link: git does not look there by itself."""
    root = os.fsencode(folder)
    behind: dict[bytes, bool] = {b"": False}

    def is_behind_link(parent: bytes) -> bool:
        if parent not in behind:
            behind[parent] = is_behind_link(parent.rpartition(b"/")[0]) or os.path.islink(root + b"/" + parent)  # noqa: PTH114 - bytes
        return behind[parent]

    for path in gone:
        is_folder = os.path.isdir(root + b"/" + path)  # noqa: PTH112 - bytes
        if is_folder or is_behind_link(path.rpartition(b"/")[0]):
            yield path


def _not_submodules(git: Git, paths: Names) -> Names:
    """Return those that are in the index and no submodules: files were tracked there."""
    wanted = frozenset(paths)
    entries = (entry.partition(b"\t") for entry in records(git.run("ls-files", "-s", "-z")))
    return list(
        dict.fromkeys(path for info, _, path in entries if path in wanted and not info.startswith(GITLINK.encode()))
    )


def _write_tree(git: Git) -> str:
    out, _, status = git.ask("write-tree", "--missing-ok")
    if status != 0:
        _settle_unmerged(git)
        return git.run("write-tree", "--missing-ok").decode().strip()
    return out.decode().strip()


def _settle_unmerged(git: Git) -> None:
    """Make unmerged entries that were not sent what our side has, else what theirs has, else what both had."""
    versions: dict[bytes, dict[bytes, bytes]] = {}
    for entry in records(git.run("ls-files", "-u", "-z")):
        info, _, path = entry.partition(b"\t")
        mode, ident, stage = info.split(b" ")
        versions.setdefault(path, {})[stage] = mode + b" " + ident
    chosen = {
        path: next(found[stage] for stage in (b"2", b"3", b"1") if stage in found) for path, found in versions.items()
    }
    lines = (info + b"\t" + path for path, info in chosen.items())
    git.run("update-index", "-z", "--index-info", stdin=joined(lines))


def copy_index(original: Path, copy: Path) -> None:
    """Copy an index with its time: by that git knows which entries may have changed since within one tick.

    A repository in which nothing was ever added has none.
    """
    try:
        with open(original, "rb") as source, open(copy, "xb") as target:
            info = os.fstat(source.fileno())
            shutil.copyfileobj(source, target, 1 << 20)
    except FileNotFoundError:
        return
    os.utime(copy, ns=(info.st_atime_ns, info.st_mtime_ns))
