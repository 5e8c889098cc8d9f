"""A git repository of this machine as it is found: where its parts are, and what its HEAD is. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dgummy.gitcommand import Git, GitError

# rev-parse repeats a word that it does not know; a path may hold a newline, so lines alone do not part its answers.
_MARK = "--dgummy-next"
_MAX_ALTERNATES = 50


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository. `head` is HEAD's commit and `head_tree` that one's tree ("" while no commit exists).

    objects: its objects folder and those that it borrows from, absolute. object_format: sha1 or sha256.
    """

    folder: Path
    git_dir: Path
    index: Path
    objects: tuple[Path, ...]
    object_format: str
    head: str = ""
    head_tree: str = ""

    @property
    def zero(self) -> str:
        """The id that stands for nothing."""
        return "0" * (64 if self.object_format == "sha256" else 40)


def open_at(folder: Path) -> Repository | None:
    """Look at the repository whose work tree begins at `folder`. None if none does. GitError if git refuses."""
    out, err, status = Git(folder).ask(
        "rev-parse", "--show-prefix", _MARK, "--absolute-git-dir", _MARK, "--git-path", "index", _MARK,
        "--git-path", "objects", _MARK, "--show-object-format", _MARK, "--revs-only", "HEAD^{commit}", "HEAD^{tree}",
    )  # fmt: skip
    if status != 0:
        if "not a git repository" in err or "must be run in a work tree" in err:
            return None
        raise Git(folder).refusal("git cannot read the repository", err, status)
    parts = out.split(f"\n{_MARK}\n".encode())
    if len(parts) != 6:
        raise GitError(f"git rev-parse is not understood in {folder}", "git 2.25 or later is needed.")
    prefix, git_dir, index, objects, object_format, ids = parts
    if prefix.strip(b"\n"):
        return None  # a folder of another repository
    head, head_tree = ids.decode().split() if ids.strip() else ("", "")
    return Repository(
        folder=folder,
        git_dir=Path(os.fsdecode(git_dir)),
        index=folder / os.fsdecode(index),
        objects=tuple(_all_objects(folder / os.fsdecode(objects))),
        object_format=object_format.decode(),
        head=head,
        head_tree=head_tree,
    )


def _all_objects(first: Path) -> Iterator[Path]:
    """Yield an objects folder and those that it borrows from.

    git itself does not follow relative ones of a folder that is itself only borrowed from.
    """
    seen: set[Path] = set()
    todo = [Path(os.path.abspath(first))]  # noqa: PTH100 - links stay
    while todo and len(seen) < _MAX_ALTERNATES:
        folder = todo.pop(0)
        if folder in seen:
            continue
        seen.add(folder)
        yield folder
        with suppress(OSError):
            lines = (folder / "info" / "alternates").read_bytes().split(b"\n")
            found = (os.fsdecode(line) for line in lines if line and not line.startswith((b"#", b'"')))
            todo += [Path(os.path.abspath(folder / path)) for path in found]  # noqa: PTH100
