"""For a project without git: what a run changed, as a patch that `git apply` or `patch -p1` takes.

git makes it in a repository that is thrown away, from the files here that are still what was sent.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgummy.changes import kind_of
from dgummy.gitblobs import write_as_is
from dgummy.gitcommand import Git, NoGitError, joined, records
from dgummy.syncplan import is_git_name, is_safe_name
from dgummy.work import Base, Brought, Kind, Skipped
from dgummy.workbench import MODES


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch: `path` (None: there is none to make), how many names it changes, what is not in it and why."""

    path: Path | None
    changes: int
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Side:
    """A name's mode, and the file that holds its content."""

    path: bytes
    mode: str
    content: str


def write_patch(
    project_root: Path, brought: Sequence[Brought], missing: Collection[bytes], base: Base, out: Path
) -> Patch:
    """Write what a run changed to `out`, which must not exist; its folder must.

    brought, missing: as for `homecoming.build`. Files that have changed here since they were sent are not in it.
    GitError if git fails; without git here there is no patch but a notice. OSError if `out` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".patch-", dir=out.parent) as scratch:
        folder = Path(scratch)
        old, new, skipped = _sides(project_root, brought, missing, base, folder)
        if not old and not new:
            return Patch(None, 0, tuple(skipped))
        try:
            made, count = _diff(folder, old, new)
        except NoGitError:
            return Patch(None, 0, tuple(skipped), ("git is not installed here: there is no patch, only the files",))
        if not count:
            return Patch(None, 0, tuple(skipped))
        with open(made, "rb") as source, open(out, "xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    return Patch(out, count, tuple(skipped))


def _sides(
    root: Path, brought: Sequence[Brought], missing: Collection[bytes], base: Base, scratch: Path
) -> tuple[list[_Side], list[_Side], list[Skipped]]:
    """Return what was sent, what it is now on the host, and the names of which one of these is not known."""
    old: list[_Side] = []
    new: list[_Side] = []
    skipped = []
    theirs = {one.path: one for one in brought}
    for name in sorted({*theirs, *missing}):
        if is_git_name(name) or not is_safe_name(name):
            skipped.append(Skipped(name, "that name may not be in a patch"))
            continue
        try:
            original = _original(os.fsencode(root), name, base.sent_at_ns, scratch / f"target-{len(old)}")
        except _ChangedError as error:
            skipped.append(Skipped(name, str(error)))
            continue
        if original is not None:
            old.append(original)
        if name in theirs:
            one = theirs[name]
            new.append(_Side(name, MODES[one.kind], one.content))
    return old, new, skipped


class _ChangedError(Exception):
    """Why what is here is not what was sent."""


def _original(root: bytes, name: bytes, sent_at_ns: int, target: Path) -> _Side | None:
    """Return what is here under a name; None if nothing is. `target` is written for a link. _ChangedError."""
    folder = root
    for part in name.split(b"/")[:-1]:
        folder += b"/" + part
        if not os.path.lexists(folder):
            return None
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise _ChangedError("a folder on its way is none here")
    full = root + b"/" + name
    try:
        info = os.lstat(full)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _ChangedError(f"it cannot be read here: {error.strerror}") from error
    if info.st_ctime_ns > sent_at_ns:
        raise _ChangedError("it was changed here too")
    kind = kind_of(info.st_mode)
    if kind is None:
        raise _ChangedError("it is no file here")
    if kind is Kind.LINK:
        target.write_bytes(os.readlink(full))  # noqa: PTH115 - bytes
        return _Side(name, MODES[kind], str(target))
    if not os.access(full, os.R_OK):
        raise _ChangedError("it cannot be read here")
    return _Side(name, MODES[kind], os.fsdecode(full))


def _diff(scratch: Path, old: Sequence[_Side], new: Sequence[_Side]) -> tuple[Path, int]:
    """Write the patch; also count the names in it."""
    place = scratch / "git"
    plain = Git(scratch, config=("init.templateDir=", "core.attributesFile=/dev/null", "core.ignoreCase=false"))
    plain = plain.having(environ={"GIT_ATTR_NOSYSTEM": "1"})
    plain.run("init", "-q", "--bare", str(place))
    git = plain.having(git_dir=place)
    trees = [_tree(git.having(index=scratch / name), side) for name, side in (("old", old), ("new", new))]
    made = scratch / "patch"
    words = ("-r", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color")
    format_words = ("-p", "--binary", "--unified=3", "--src-prefix=a/", "--dst-prefix=b/")
    with open(made, "xb") as file:
        git.run("diff-tree", *words, *format_words, *trees, stdout=file)
    return made, len(records(git.run("diff-tree", *words, "--name-only", "-z", *trees)))


def _tree(git: Git, sides: Sequence[_Side]) -> str:
    ids = write_as_is(git, [side.content for side in sides])
    entries = (f"{side.mode} {ident}\t".encode() + side.path for side, ident in zip(sides, ids, strict=True))
    git.run("update-index", "-z", "--index-info", stdin=joined(entries))
    return git.run("write-tree").decode().strip()
