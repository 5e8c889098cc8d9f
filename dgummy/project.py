"""The project on this machine: where it is, where it goes on a host, and what may not be sent."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dgummy import fileset
from dgummy.errors import ConfigError, UsageError
from dgummy.syncplan import Listing

MARKER_FILES = (
    "tasks.py",
    "invoke.yaml",
    "invoke.yml",
    "pyproject.toml",
    "package.json",
    "Cargo.toml",
    "go.mod",
    "Makefile",
)
"""What makes a folder outside git a project."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project: `root` (absolute), whether git knows it, where in it the user stands ("" at the root)."""

    root: Path
    is_git: bool
    subdir: str
    name: str


def find(cwd: Path, home: Path, environ: Mapping[str, str]) -> Project:
    """Find the project of `cwd`: the git work tree, else the nearest ancestor with a marker file, else `cwd`.

    The home folder and what is above it are never a project, even if somebody keeps them in git. `environ`
    is only asked for PWD, so that a path through a symbolic link stays the one the user knows.
    """
    here = _as_typed(cwd, environ.get("PWD", ""))
    candidates = [here, *here.parents]
    for index, folder in enumerate(candidates):
        if _is_home_or_above(folder, home):
            candidates = candidates[:index]
            break
    root = next((folder for folder in candidates if _is_work_tree(folder)), None)
    is_git = root is not None
    if root is None:
        root = next((folder for folder in candidates if _has_marker(folder)), here)
    subdir = "" if here == root else str(here.relative_to(root))
    return Project(root=root, is_git=is_git, subdir=subdir, name=root.name)


def _as_typed(cwd: Path, pwd: str) -> Path:
    absolute = Path(os.path.abspath(cwd))  # noqa: PTH100 - Path.resolve would follow links
    typed = Path(pwd)
    try:
        same = bool(pwd) and typed.is_absolute() and ".." not in typed.parts and typed.samefile(absolute)
    except OSError:
        same = False
    return typed if same else absolute


def _is_home_or_above(folder: Path, home: Path) -> bool:
    if folder == home or folder in home.parents:
        return True
    real_folder, real_home = Path(os.path.realpath(folder)), Path(os.path.realpath(home))
    return real_folder == real_home or real_folder in real_home.parents


def _is_work_tree(folder: Path) -> bool:
    """As git decides it: a .git folder with a HEAD, or a .git file (worktrees and submodules)."""
    git = folder / ".git"
    try:
        if git.is_dir():
            return os.path.lexists(git / "HEAD")
        if git.is_file():
            with open(git, "rb") as file:
                return file.read(8) == b"gitdir: "
    except OSError:
        return False
    return False


def _has_marker(folder: Path) -> bool:
    return any((folder / name).is_file() for name in MARKER_FILES)


def turns_specialists_on(project: Project) -> bool:
    """Whether gummy's specialists work on a project: its launcher looks for their library there and above."""
    here = project.root / project.subdir
    return any((folder / ".gummy" / "lib" / "core.sh").is_file() for folder in (here, *here.parents))


def check_root(root: Path, home: Path, *, force: bool = False, project: Path | None = None) -> None:
    """Refuse to sync what hardly anybody means to, unless `force`: `/`, the home folder, what is above it.

    With `project` (the user gave `root` as a path), also anything outside that project. UsageError.
    """
    if force:
        return
    if _is_home_or_above(root, home):
        what = (
            "the home folder" if Path(os.path.realpath(root)) == Path(os.path.realpath(home)) else "all of " + str(root)
        )
        raise UsageError(
            f"refusing to sync {what}",
            "go to a project's folder first; --no-sync runs without one, --force syncs it all the same",
        )
    if project is None:
        return
    real_root, real_project = Path(os.path.realpath(root)), Path(os.path.realpath(project))
    if real_root != real_project and real_project not in real_root.parents:
        raise UsageError(f"{root} is outside the project {project}", "if that is what you want, add --force")


def remote_dir_for(root: Path, home: Path, configured: str | None = None) -> str:
    """Say where the project goes on a host, as `~/…` or an absolute path.

    Below home the same place below the host's home, as `d` does. Elsewhere `~/` and the absolute path, for
    two machines rarely share /work, and on one machine source and copy must differ. `configured` overrides;
    it may hold `{name}`. ConfigError for a place that cannot be meant.
    """
    if configured is not None:
        return _configured_dir(configured, root.name)
    place = f"~/{_below_home(root, home)}"
    _refuse_bad_dir(place, f"the project's path {str(root)!r}", "Rename the folder, or set remote_dir.")
    return place


def _below_home(root: Path, home: Path) -> str:
    for folder, base in ((root, home), (Path(os.path.realpath(root)), Path(os.path.realpath(home)))):
        if base in folder.parents:
            return str(folder.relative_to(base))
    return str(root).lstrip("/")


def _configured_dir(configured: str, name: str) -> str:
    place = configured.replace("{name}", name)
    shown = f"remote_dir {configured!r}"
    remedy = "Give a folder of its own, such as remote_dir: ~/work/{name}"
    if place.startswith("-") or (place.startswith("~") and not place.startswith("~/")):
        raise ConfigError(f"{shown} is not a folder below home, nor an absolute path", remedy)
    parts = [part for part in place.split("/") if part not in ("", ".")]
    head = "/" if place.startswith("/") else "~/"
    if parts[:1] == ["~"]:
        parts = parts[1:]
    place = head + "/".join(parts)
    _refuse_bad_dir(place, shown, remedy)
    return place


def _refuse_bad_dir(place: str, shown: str, remedy: str) -> None:
    if any(ord(char) < 32 or ord(char) == 127 for char in place):
        raise ConfigError(f"{shown} holds a control character", remedy)
    if place in ("/", "~/"):
        raise ConfigError(f"{shown} would put the project's files straight into {place.rstrip('/') or '/'}", remedy)
    if ".." in place.split("/"):
        raise ConfigError(f"{shown} holds '..'", remedy)


def listing(project: Project, excludes_configured: tuple[str, ...] | None, extra: tuple[str, ...] = ()) -> Listing:
    """List what is sent of the project; see `fileset.list_files`."""
    return fileset.list_files(project.root, excludes_configured, extra, is_git=project.is_git)
