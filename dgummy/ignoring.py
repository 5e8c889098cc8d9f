"""Which of a host's new names git at home ignores."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from dgummy.gitcommand import Git, joined, records
from dgummy.repository import open_at
from dgummy.snapshot import GITLINK, by_repository
from dgummy.work import Base, RepositoryBase
from dgummy.workbench import Bench, set_up


def _nothing(_name: bytes) -> bool:
    return False


def ignored(
    project_root: Path,
    store: Path,
    base: Base,
    names: Collection[bytes],
    excluded: Callable[[bytes], bool] = _nothing,
    rules: Mapping[bytes, str | None] | None = None,
) -> frozenset[bytes]:
    """Return those of the names (relative to the project) that were not sent, and that git ignores or `excluded` names.

    Asked of the project as it is now, with all its .gitignore files. Where a run changed some of these, `rules` has
    them: names, and files with their contents (None: deleted); then it is what git would see on the host. Outside git
    nothing is ignored. BaseGoneError, GitError.
    """
    prefixes = {os.fsencode(one.prefix): one for one in base.repositories}
    if b"" not in prefixes or not names:
        return frozenset()
    found: set[bytes] = set()
    with tempfile.TemporaryDirectory(prefix="dgummy-") as scratch:
        for number, (prefix, inside) in enumerate(by_repository(names, tuple(prefixes)).items()):
            if inside:
                place = Path(scratch, str(number))
                own = {name[len(prefix) :]: held for name, held in (rules or {}).items() if name.startswith(prefix)}
                left = _left_in(project_root, store, prefixes[prefix], inside, excluded, own, place)
                found |= {prefix + name for name in left}
    return frozenset(found)


def ignored_by(
    bench: Bench, names: Collection[bytes], rules: Mapping[bytes, str | None] | None = None
) -> frozenset[bytes]:
    """Return the same for one repository; names, those of `rules` too, are relative to it."""
    links = tuple(path + b"/" for path, entry in bench.entries.items() if entry[0] == GITLINK)
    new = [name for name in names if name not in bench.entries and not name.startswith(links)]
    if not new:
        return frozenset()
    found = _ask(Git(bench.repository.folder), new) if not rules else None
    return frozenset(found if found is not None else _ask(_with_rules(bench, rules or {}), new) or ())


def _left_in(
    root: Path,
    store: Path,
    base: RepositoryBase,
    names: Collection[bytes],
    excluded: Callable[[bytes], bool],
    rules: Mapping[bytes, str | None],
    scratch: Path,
) -> frozenset[bytes]:
    """Return the same for one repository; names are relative to it, but `excluded` is asked of the project's."""
    repository = open_at(root / base.prefix)
    if repository is None:
        return frozenset()
    found = _ask(Git(repository.folder), names) if not rules else None
    prefix = os.fsencode(base.prefix)
    suspects = [name for name in names if excluded(prefix + name)]
    if found == [] and not suspects:
        return frozenset()  # mostly so: what was sent need not be looked up
    bench = set_up(root, store, base, scratch)
    ignored = ignored_by(bench, names if found is None else found, rules)
    return ignored | {name for name in suspects if name not in bench.entries}


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


def _with_rules(bench: Bench, rules: Mapping[bytes, str | None]) -> Git:
    """Give a git that has no files to stumble over, and knows the .gitignore files that were sent, else `rules`."""
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
    work_tree.mkdir(exist_ok=True)
    for name, content in rules.items():
        if content is not None:
            target = work_tree / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(content, target)
    return git.having(folder=work_tree, work_tree=work_tree)
