"""Which of a project's files are sent.

In a git work tree the set is what git sees: tracked files, and untracked ones that are not ignored. Git
itself is asked, because no re-implementation gets every rule of .gitignore right. Elsewhere it is everything
but the excludes.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dgummy import gitcommand
from dgummy.errors import ConfigError, SyncError, UsageError
from dgummy.gitcommand import Git, GitError, NoGitError
from dgummy.quickcheck import LINK
from dgummy.settings import DEFAULT_SYNC_EXCLUDE
from dgummy.syncplan import Listing, is_agents_memory, leads_out

if TYPE_CHECKING:
    import subprocess

    from pathspec import GitIgnoreSpec

GIT_TIMEOUT_S = 60.0
_MEMORY = ".gummy/specialists"
MAX_NESTING = 20
"""How deep repositories within repositories are followed."""


@dataclass(slots=True)
class _Gathering:
    """What a listing has so far."""

    root: bytes
    folder: int
    """The root, open: names are looked up from there, which takes half the time."""
    sizes: dict[bytes, int] = field(default_factory=dict)
    states: dict[bytes, bytes] = field(default_factory=dict)
    targets: dict[bytes, bytes] = field(default_factory=dict)
    seen: set[bytes] = field(default_factory=set)
    used_patterns: set[str] = field(default_factory=set)
    gone: list[bytes] = field(default_factory=list)
    extra: list[bytes] = field(default_factory=list)
    repositories: list[bytes] = field(default_factory=list)
    special: list[bytes] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)
    leading_out: list[bytes] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    folder_modes: dict[bytes, int] = field(default_factory=lambda: {b"": stat.S_IFDIR})

    def is_below_real_folders(self, path: bytes) -> bool:
        """Whether no folder on the way is a link: what is behind a link is not part of the project."""
        folder = path[: max(0, path.rfind(b"/"))]
        mode = self.folder_modes.get(folder)
        if mode is None:
            mode = self.folder_mode(folder) if self.is_below_real_folders(folder) else 0
            self.folder_modes[folder] = mode
        return mode != 0

    def add(self, path: bytes, *, named: bool = False) -> bool:
        """Take a name into the set if it is a file or a link. False if it is a folder.

        What agents remember is left out, unless it was `named` in the settings.
        """
        if b".gummy/" in path and is_agents_memory(path) and not named:
            self.used_patterns.add(_MEMORY)
            return True
        if not self.is_below_real_folders(path):
            self.gone.append(path)
            return True
        try:
            info = os.lstat(path, dir_fd=self.folder)
            mode = info[stat.ST_MODE]
            if stat.S_ISREG(mode):
                self.sizes[path] = size_bytes = info[stat.ST_SIZE]
                self.states[path] = b"%x %d %d" % (mode, size_bytes, info[stat.ST_MTIME])
                return True
            if stat.S_ISLNK(mode):
                self.targets[path] = os.readlink(path, dir_fd=self.folder)
        except OSError:
            self.gone.append(path)  # tracked, but deleted here
            return True
        if stat.S_ISLNK(mode):
            self.sizes[path] = info[stat.ST_SIZE]
            self.states[path] = LINK
            if leads_out(path, self.targets[path]):
                self.leading_out.append(path)
        elif stat.S_ISDIR(mode):
            return False
        else:
            self.special.append(path)
        return True

    def folder_mode(self, path: bytes) -> int:
        """The mode of a folder; 0 for a link to one, and for anything else."""
        try:
            mode = os.lstat(path, dir_fd=self.folder).st_mode
        except OSError:
            return 0
        return mode if stat.S_ISDIR(mode) else 0


def list_files(
    root: Path, excludes_configured: tuple[str, ...] | None, extra: tuple[str, ...] = (), *, is_git: bool
) -> Listing:
    """List the set to send.

    excludes_configured: the user's `sync_exclude` (gitignore syntax), which applies to everything; None
    applies the built-in list, in git to untracked files only: a tracked build/ folder is part of the
    project. extra: `sync_extra`, globs relative to the root, taken even if ignored or excluded. SyncError if
    git refuses, ConfigError for a bad pattern.
    """
    patterns = DEFAULT_SYNC_EXCLUDE if excludes_configured is None else excludes_configured
    matcher = Excludes(patterns, "sync_exclude")
    with _open_folder(root) as folder:
        gathering = _Gathering(os.fsencode(root), folder)
        if not (is_git and _gather_git(gathering, matcher, both=excludes_configured is not None)):
            _gather_tree(gathering, matcher)
        for pattern in extra:
            _gather_extra(gathering, pattern)
    paths = sorted(gathering.sizes)
    return Listing(
        paths=tuple(paths),
        sizes_bytes=tuple(map(gathering.sizes.__getitem__, paths)),
        excluded=_excluded_names(gathering, patterns),
        notices=tuple(_notices(gathering)),
        repositories=tuple(gathering.repositories),
        extra=tuple(sorted(gathering.extra)),
        gone=tuple(gathering.gone),
        states=tuple(map(gathering.states.__getitem__, paths)),
        targets=gathering.targets,
        folder_modes=gathering.folder_modes,
    )


@contextlib.contextmanager
def _open_folder(root: Path) -> Iterator[int]:
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SyncError(f"the project is gone: {error}", "Go to the project's folder.") from error
    try:
        yield folder
    finally:
        os.close(folder)


class Excludes:
    """Patterns in gitignore syntax; `match` tells which of them keeps a name back."""

    def __init__(self, patterns: tuple[str, ...], origin: str) -> None:
        self.patterns = patterns
        self._origin = origin
        self._folders: dict[bytes, str | None] = {b"": None}
        if patterns != DEFAULT_SYNC_EXCLUDE:
            _ = self._spec  # a bad pattern is told in any case

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec  # late: where git names nothing untracked, nobody pays for it

        try:
            return GitIgnoreSpec.from_lines(self.patterns)
        except ValueError as error:
            raise ConfigError(f"{self._origin}: {error}", "Patterns are written as in a .gitignore file.") from error

    def match(self, path: bytes) -> str | None:
        """Return the pattern that keeps back `path` (a folder ends in a slash) or a folder above it."""
        folder = path.rstrip(b"/").rpartition(b"/")[0]
        return self._folder(folder) or self._check(path)

    def _folder(self, folder: bytes) -> str | None:
        if folder not in self._folders:
            parent = folder.rpartition(b"/")[0]
            self._folders[folder] = self._folder(parent) or self._check(folder + b"/")
        return self._folders[folder]

    def _check(self, path: bytes) -> str | None:
        result = self._spec.check_file(os.fsdecode(path))
        return self.patterns[result.index] if result.include and result.index is not None else None


def _gather_git(gathering: _Gathering, excludes: Excludes, *, both: bool) -> bool:
    """Add what git sees. False (with a notice) if there is no git to ask."""
    try:
        _gather_repository(gathering, b"", excludes, both=both, depth=0)
    except NoGitError:
        gathering.notices.append("git is not installed here: every file is sent, ignored or not (less sync_exclude)")
        return False
    return True


def _gather_repository(gathering: _Gathering, prefix: bytes, excludes: Excludes, *, both: bool, depth: int) -> None:
    """Add the files of the repository at `prefix` ("" or "sub/"), then those of repositories inside it."""
    folder = gathering.root + b"/" + prefix
    nested: list[bytes] = []
    tracked, untracked = _ls_files(folder)
    gathering.repositories.append(prefix)
    for names, is_tracked in ((tracked, True), (untracked, False)):
        for name in names:
            path = prefix + name
            if path in gathering.seen:  # an unmerged file is named once for each of its versions
                continue
            gathering.seen.add(path)
            pattern = excludes.match(path) if both or not is_tracked else None
            if pattern is not None:
                gathering.used_patterns.add(pattern)
            elif name.endswith(b"/") or not gathering.add(path):
                path = path.rstrip(b"/")
                if os.path.lexists(gathering.root + b"/" + path + b"/.git"):
                    nested.append(path + b"/")
                elif is_tracked:
                    gathering.gone.append(path)  # a folder where a file was, or a submodule that is not checked out
    for path in nested:
        if depth < MAX_NESTING:
            _gather_repository(gathering, path, excludes, both=both, depth=depth + 1)


def _ls_files(folder: bytes) -> tuple[list[bytes], list[bytes]]:
    """List tracked names, and untracked ones that are not ignored, by two processes at once."""
    git = Git(folder, timeout_s=GIT_TIMEOUT_S)
    listing = ("ls-files", "-z")
    with git.start(*listing, "-c") as cached, git.start(*listing, "-o", "--exclude-standard") as others:
        try:
            return _names(git, cached), _names(git, others)
        except BaseException:
            gitcommand.end(cached)
            gitcommand.end(others)
            raise


def _names(git: Git, process: subprocess.Popen[bytes]) -> list[bytes]:
    try:
        out, err, status = git.finish(process, None, "ls-files")
    except GitError as error:
        shown = os.fsdecode(git.folder)
        raise SyncError(f"git did not list {shown} within {GIT_TIMEOUT_S:.0f} s", error.remedy) from None
    if status != 0:
        raise git.refusal("git cannot list files", err, status)
    return gitcommand.records(out)


def _gather_tree(gathering: _Gathering, excludes: Excludes) -> None:
    """Add everything below the root, less the excludes."""

    def keep(path: bytes) -> bool:
        pattern = excludes.match(path)
        if pattern is not None:
            gathering.used_patterns.add(pattern)
        return pattern is None

    for path in _walk(gathering, b"", keep):
        gathering.add(path)


def _walk(gathering: _Gathering, start: bytes, keep: Callable[[bytes], bool]) -> Iterator[bytes]:
    """Yield the names of what is below `start` ("" or "sub/") and is not a folder. Links are not followed."""
    folders = [start]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(gathering.root + b"/" + folder) as found:
                entries = list(found)
        except OSError:
            gathering.unreadable.append(folder.rstrip(b"/"))
            continue
        for entry in entries:
            if entry.name == b".git":
                continue
            path = folder + entry.name
            if entry.is_dir(follow_symlinks=False):
                if keep(path + b"/"):
                    folders.append(path + b"/")
            elif keep(path):
                yield path


class Pattern:
    """A glob relative to a project's root, as `sync_extra` and `--fetch` take it. ConfigError if it leads out.

    start: the folder, or the one file, that it begins with, b"" for the root. Without wildcards `is_plain`: all below
    `start`.
    """

    def __init__(self, text: str, origin: str) -> None:
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if text.startswith("/") or ".." in parts or not parts:
            raise ConfigError(
                f"{origin}: {text!r} is not inside the project", "Write it relative to the project's root."
            )
        fixed: list[str] = []
        while parts and not set(parts[0]) & set("*?[\\"):
            fixed.append(parts.pop(0))
        self.start = os.fsencode("/".join(fixed))
        self.is_plain = not parts
        self.is_in_git = ".git" in fixed
        self._excludes = Excludes(("/" + "/".join([*fixed, *parts]),), origin) if parts else None

    def matches(self, path: bytes) -> bool:
        """Whether a name below `start`, or that itself, is meant."""
        return self._excludes is None or self._excludes.match(path) is not None


def fetch_patterns(texts: Iterable[str]) -> list[Pattern]:
    """What `--fetch` names. UsageError for a pattern that leads out of the project, or names nothing."""
    try:
        return [Pattern(text, "--fetch") for text in texts]
    except ConfigError as error:
        raise UsageError(error.message, "write it relative to the project's root: --fetch 'dist/*.whl'") from error


def _gather_extra(gathering: _Gathering, text: str) -> None:
    """Add what a glob of `sync_extra` names."""
    pattern = Pattern(text, "sync_extra")
    start = pattern.start
    found: Iterable[bytes]
    if pattern.is_in_git or not gathering.is_below_real_folders(start):
        found = ()
    elif not pattern.is_plain or gathering.folder_mode(start):
        found = [
            path for path in _walk(gathering, start + b"/" if start else b"", lambda _: True) if pattern.matches(path)
        ]
    else:
        found = [start] if os.path.lexists(gathering.root + b"/" + start) else []
    if not found:
        gathering.notices.append(f"sync_extra: nothing here matches {text!r}")
    for path in found:
        is_new = path not in gathering.sizes
        gathering.add(path, named=True)
        if is_new and path in gathering.sizes and gathering.repositories and path not in gathering.seen:
            gathering.extra.append(path)


def _excluded_names(gathering: _Gathering, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Name the patterns that kept something back, and plain names that are there and not sent, as .git."""
    shown = []
    heads = {path.partition(b"/")[0] for path in gathering.sizes}
    for pattern in dict.fromkeys((*patterns, ".git", _MEMORY)):
        plain = pattern.strip("/")
        name = os.fsencode(plain)
        there = "/" not in plain and os.path.lexists(gathering.root + b"/" + name)
        if pattern in gathering.used_patterns or (there and name not in heads):
            shown.append(plain)
    return tuple(shown)


def _notices(gathering: _Gathering) -> Iterator[str]:
    yield from gathering.notices
    if gathering.special:
        yield f"not sent, neither file nor link: {_few(gathering.special)}"
    if gathering.unreadable:
        yield f"not sent, cannot be read: {_few(gathering.unreadable)}"
    if gathering.leading_out:
        yield f"links that lead out of the project are sent as they are: {_few(gathering.leading_out)}"


def _few(names: list[bytes]) -> str:
    shown = ", ".join(name.decode("utf-8", "replace") for name in sorted(names)[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
