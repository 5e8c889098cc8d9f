"""How git is started: nothing of the environment leads it astray, and nothing outlasts its time."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from dgummy.gitcommand import Git, GitError, NoGitError, joined, quoted, records
from dgummy.repository import open_at
from repos import commit, git, make, needs_git, text, write

pytestmark = needs_git


def test_the_environment_of_a_hook_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "repo")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_COUNT"):
        monkeypatch.setenv(name, "/nowhere")
    assert Git(root).run("rev-parse", "--show-toplevel").decode().strip() == str(root.resolve())


def test_what_git_says_becomes_one_line_and_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(GitError) as caught:
        Git(make(tmp_path / "repo")).run("cat-file", "-p", "HEAD:x")
    assert caught.value.status == 128 and "\n" not in caught.value.message and caught.value.remedy
    assert str(tmp_path / "repo") in caught.value.message and "cat-file" in caught.value.message
    with pytest.raises(GitError, match="gone") as gone:
        Git(tmp_path / "no such folder").run("status")
    assert not isinstance(gone.value, NoGitError)


def test_no_git_is_an_error_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoGitError):
        Git(tmp_path).run("version")


def test_git_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    """A filter that hangs keeps git's pipes open: ending git alone would wait for it."""
    root = make(tmp_path / "repo")
    git(root, "config", "filter.slow.clean", f"echo $$ > {tmp_path}/pid; sleep 60; true")
    write(root, {".gitattributes": "a filter=slow\n", "a": "1"})
    began = time.monotonic()
    with pytest.raises(GitError, match="did not end within") as caught:
        Git(root, timeout_s=0.5).run("hash-object", "a")
    assert time.monotonic() - began < 20 and caught.value.status is None
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
        if not state or state.startswith("Z"):
            break
        time.sleep(0.05)
    assert not state or state.startswith("Z")


def test_a_missing_object_is_not_fetched(tmp_path: Path) -> None:
    origin = make(tmp_path / "origin")
    write(origin, {"a": "1"})
    commit(origin)
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", "--filter=blob:none", origin.as_uri(), "clone")
    ident = text(origin, "rev-parse", "HEAD:a")
    _, _, status = Git(tmp_path / "clone", config=("protocol.file.allow=always",)).ask("cat-file", "-p", ident)
    assert status != 0
    assert git(tmp_path / "clone", "cat-file", "-p", ident) == b"1"  # as it would be for the user


def test_objects_are_borrowed_from_any_folder(tmp_path: Path) -> None:
    lender = make(tmp_path / 'with:colon and "quote"\n')
    write(lender, {"a": "1"})
    commit(lender)
    ident = text(lender, "rev-parse", "HEAD:a")
    root = make(tmp_path / "repo")
    borrowing = Git(root, alternates=(lender / ".git" / "objects", tmp_path / "repo"))
    assert borrowing.run("cat-file", "-p", ident) == b"1"


@pytest.mark.parametrize("name", ["plain", "new\nline", 'q"uote', "back\\slash", b"caf\xe9", "tab\t", "\x7f"])
def test_a_quoted_path_is_read_back(tmp_path: Path, name: str | bytes) -> None:
    root = make(tmp_path / "repo")
    write(root, {name: "1"})
    line = quoted(os.fsencode(root) + b"/" + os.fsencode(name)) + b"\n"
    out = Git(root).run("hash-object", "--stdin-paths", stdin=line)
    assert out == git(root, "hash-object", "--stdin", stdin=b"1")


def test_records_are_parted_by_nul() -> None:
    assert records(joined([b"a", b"b\n"])) == [b"a", b"b\n"]
    assert records(b"") == []


def test_where_a_repository_begins(tmp_path: Path) -> None:
    root = make(tmp_path / "new\nline")
    write(root, {"d/a": "1"})
    empty = open_at(root)
    assert empty is not None and (empty.head, empty.head_tree, empty.object_format) == ("", "", "sha1")
    head = commit(root)
    found = open_at(root)
    assert found is not None and found.head == head and found.index.samefile(root / ".git" / "index")
    assert found.git_dir.samefile(root / ".git") and found.objects[0].samefile(root / ".git" / "objects")
    assert open_at(root / "d") is None
    assert open_at(tmp_path) is None
