"""Which of a host's new names git at home ignores.

A name is ignored if any of these say so: the project as it is now, the .gitignore files as they were sent, and those
that the run changed. Whatever a run does to a .gitignore, what it names stays away that was to stay away when it began.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from dgummy.gitcommand import Git, joined, records
from dgummy.repository import Repository, open_at
from dgummy.snapshot import GITLINK, Names, by_repository
from dgummy.work import Base, RepositoryBase
from dgummy.workbench import BaseGoneError, Bench, set_up

Rules = Mapping[bytes, "str | None"]
""".gitignore files that a run changed: their names, and files with their contents (None: deleted)."""


def _nothing(_name: bytes) -> bool:
    return False


def ignored(
    project_root: Path,
    store: Path,
    base: Base,
    names: Collection[bytes],
    excluded: Callable[[bytes], bool] = _nothing,
    rules: Rules | None = None,
) -> frozenset[bytes]:
    """Return those of the names (relative to the project) that were not sent, and that git ignores or `excluded` names.

    rules: the .gitignore files that the run changed. Outside git nothing is ignored. GitError.
    """

    def left_in(repository: Repository, one: RepositoryBase, inside: Names, own: Rules, scratch: Path) -> Names:
        prefix = os.fsencode(one.prefix)
        suspects = [name for name in inside if excluded(prefix + name)]
        try:
            bench = set_up(project_root, store, one, scratch)
        except BaseGoneError:  # it comes as files: what git says today has to do
            return [*(_ask(Git(repository.folder), inside) or ()), *suspects]
        return [*ignored_by(bench, inside, own), *(name for name in suspects if name not in bench.entries)]

    return _in_each(project_root, base, names, rules or {}, left_in)


def unnamed(project_root: Path, store: Path, base: Base, names: Collection[bytes], rules: Rules) -> frozenset[bytes]:
    """Return those of the names that git would see on the host, by what the run made of the .gitignore files."""

    def seen_in(_: Repository, one: RepositoryBase, inside: Names, own: Rules, scratch: Path) -> Names:
        bench = set_up(project_root, store, one, scratch)
        named = frozenset(_ask(_with_rules(bench, own), inside) or ())
        return [name for name in inside if name not in named]

    return _in_each(project_root, base, names, rules, seen_in)


def ignored_by(bench: Bench, names: Collection[bytes], rules: Rules | None = None) -> frozenset[bytes]:
    """Return what `ignored` does for one repository; names, those of `rules` too, are relative to it."""
    links = tuple(path + b"/" for path, entry in bench.entries.items() if entry[0] == GITLINK)
    left = {name for name in names if name not in bench.entries and not name.startswith(links)}
    found: set[bytes] = set()
    for way in (None, {}, *([rules] if rules else [])):
        if left:
            git = Git(bench.repository.folder) if way is None else _with_rules(bench, way)
            found.update(_ask(git, left) or ())
            left -= found
    return frozenset(found)


def _in_each(
    root: Path, base: Base, names: Collection[bytes], rules: Rules, find: Callable[..., Iterable[bytes]]
) -> frozenset[bytes]:
    """Call `find` with each repository of the project that is still there; names are relative to it there."""
    prefixes = {os.fsencode(one.prefix): one for one in base.repositories}
    if b"" not in prefixes or not names:
        return frozenset()
    found: set[bytes] = set()
    with tempfile.TemporaryDirectory(prefix="dgummy-") as scratch:
        for number, (prefix, inside) in enumerate(by_repository(names, tuple(prefixes)).items()):
            repository = open_at(root / os.fsdecode(prefix)) if inside else None
            if repository is not None:
                own = {name[len(prefix) :]: held for name, held in rules.items() if name.startswith(prefix)}
                found.update(
                    prefix + name
                    for name in find(repository, prefixes[prefix], inside, own, Path(scratch, str(number)))
                )
    return frozenset(found)


def is_rules(name: bytes) -> bool:
    """Whether that is a .gitignore file."""
    return name.rpartition(b"/")[2] == b".gitignore"


def _ask(git: Git, names: Collection[bytes]) -> list[bytes] | None:
    """Ask git. None if it refuses, for one of the names is behind a link or in a submodule here."""
    # With ./ before it no name looks like an option or a pattern.
    out, err, status = git.ask("check-ignore", "-z", "--stdin", stdin=joined(b"./" + name for name in names))
    if status in (0, 1):
        return [name[2:] for name in records(out)]
    if "symbolic link" in err or "in submodule" in err:
        return None
    raise git.refusal("git check-ignore failed", err, status)


def _with_rules(bench: Bench, rules: Rules) -> Git:
    """Give a git that has no files to stumble over, and knows the .gitignore files that were sent, else `rules`.

    Rules that cannot be laid out here say nothing: a host may list a name as a file and as a folder.
    """
    sent = [path for path in bench.entries if is_rules(path)]
    index = bench.scratch / "ignoring-index"
    shutil.copyfile(bench.git.index or "", index)
    git = bench.git.having(index=index)
    kept, dropped = [path for path in sent if path not in rules], [path for path in sent if path in rules]
    if dropped:
        git.run("update-index", "-z", "--force-remove", "--stdin", stdin=joined(dropped))
    if kept:
        # git reads a .gitignore from the index where that says that the file need not be there.
        git.run("update-index", "-z", "--skip-worktree", "--stdin", stdin=joined(kept))
    work_tree = bench.scratch / "ignoring-tree"
    shutil.rmtree(work_tree, ignore_errors=True)
    work_tree.mkdir()
    for name, content in rules.items():
        if content is not None:
            target = work_tree / os.fsdecode(name)
            with suppress(OSError):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(content, target)
    return git.having(folder=work_tree, work_tree=work_tree)
