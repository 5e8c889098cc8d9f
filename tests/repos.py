"""Real git repositories for tests, and what must be the same in them before and after."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from dgummy.project import Project, listing
from dgummy.syncplan import Listing

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")
ANY_CODE = tuple(range(128))


def environ(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return clean | {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "HOME": str(folder),
        "LC_ALL": "C",
        "GIT_AUTHOR_DATE": "1700000000 +0100",
        "GIT_COMMITTER_DATE": "1700000000 +0100",
    }


def git(
    folder: Path,
    *args: str | bytes,
    stdin: bytes = b"",
    ok: tuple[int, ...] = (0,),
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Run git as a user would, with settings that no machine changes."""
    settings = ["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", "-c", "core.quotepath=off"]
    done = subprocess.run(
        ["git", *settings, *args],
        cwd=folder,
        env=environ(folder) | dict(env or {}),
        input=stdin,
        capture_output=True,
        check=False,
    )
    assert done.returncode in ok, done.stderr.decode()
    return done.stdout


def text(folder: Path, *args: str | bytes, ok: tuple[int, ...] = (0,), env: Mapping[str, str] | None = None) -> str:
    return git(folder, *args, ok=ok, env=env).decode("utf-8", "surrogateescape").strip()


def make(folder: Path, *options: str) -> Path:
    """Make an empty repository whose user is Ann."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", *options)
    git(folder, "config", "user.name", "Ann")
    git(folder, "config", "user.email", "ann@example.org")
    return folder


def write(root: Path, files: dict[str | bytes, str | bytes]) -> None:
    for name, content in files.items():
        path = os.path.join(os.fsencode(root), os.fsencode(name))  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())


def commit(root: Path, subject: str = "x") -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", subject)
    return text(root, "rev-parse", "HEAD")


def project(root: Path) -> Project:
    return Project(root, is_git=True, subdir="", name=root.name)


def sent(root: Path, excludes: tuple[str, ...] | None = (), extra: tuple[str, ...] = ()) -> Listing:
    return listing(project(root), excludes, extra)


def files_in(root: Path, tree: str, store: Path | None = None) -> dict[str, str]:
    """Names in a tree, each with its mode and content (for a submodule, its commit)."""
    env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(store)} if store else {}
    found = {}
    for entry in git(root, "ls-tree", "-r", "-z", tree, env=env).split(b"\0")[:-1]:
        info, _, name = entry.partition(b"\t")
        mode, kind, ident = info.decode().split(" ")
        content = ident if kind == "commit" else text_of(root, ident, env)
        found[os.fsdecode(name)] = f"{mode} {content}"
    return found


def text_of(root: Path, ident: str, env: dict[str, str]) -> str:
    return git(root, "cat-file", "blob", ident, env=env).decode("utf-8", "surrogateescape")


def state_of(root: Path) -> dict[str, object]:
    """All of a repository that a user could notice, its objects included."""
    git_dir = Path(text(root, "rev-parse", "--absolute-git-dir"))
    index = git_dir / "index"
    objects = Path(root, text(root, "rev-parse", "--git-path", "objects"))
    return {
        "status": git(root, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored"),
        "head": (git_dir / "HEAD").read_bytes(),
        "refs": git(root, "for-each-ref"),
        "index": index.read_bytes() if index.exists() else None,
        "index_time": index.stat().st_mtime_ns if index.exists() else None,
        "stash": git(root, "stash", "list"),
        "fsck": git(root, "fsck", "--full", "--strict", ok=ANY_CODE),
        "objects": sorted(str(path.relative_to(objects)) for path in objects.rglob("*")),
        "git_dir": sorted(path.name for path in git_dir.iterdir()),
    }


@contextmanager
def untouched(*roots: Path) -> Iterator[None]:
    """Check that nothing in these repositories has changed when the block ends."""
    before = {root: state_of(root) for root in roots}
    yield
    assert {root: state_of(root) for root in roots} == before
