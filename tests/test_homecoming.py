"""Work comes home as a branch: exactly what changed, whatever the repository and the host hold, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgummy import replay, snapshot
from dgummy.gitcommand import GitError
from dgummy.homecoming import Bundle, Home, Message, build
from dgummy.ignoring import ignored, unnamed
from dgummy.patchfile import write_patch
from dgummy.syncplan import Listing, is_git_name, is_safe_name
from dgummy.work import Base, Brought, FileChange, Kind
from dgummy.workbench import BaseGoneError
from repos import ANY_CODE, commit, files_in, git, make, needs_git, project, sent, state_of, text, write
from test_snapshot import ANY, STATES, Files, ignores, name, put, remove, tree

pytestmark = needs_git

BRANCH = "dgummy/r1"
BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
MESSAGE = Message("fix the parser", "Host: beta\nExit code: 0\n", "ann@laptop", BEGAN, BEGAN + timedelta(minutes=5))


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


class Away:
    """A project, and a copy of what was sent of it in another folder, where a run may change it."""

    def __init__(self, root: Path, listing: Listing | None = None) -> None:
        found = sent(root) if listing is None else listing
        self.root, self.store, self.there = root, root.parent / "store", root.parent / "there"
        self.base = snapshot.record(project(root), found, self.store, 7)
        self.there.mkdir()
        for path in found.paths:
            source, target = (os.path.join(os.fsencode(folder), path) for folder in (root, self.there))  # noqa: PTH118
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            shutil.copy2(source, target, follow_symlinks=False)
        self.before = self._read()

    def _read(self) -> dict[bytes, tuple[Kind, bytes]]:
        found = {}
        top = os.fsencode(self.there)
        for folder, folders, files in os.walk(top):
            for one in [*files, *(each for each in folders if os.path.islink(os.path.join(folder, each)))]:  # noqa: PTH114, PTH118
                full = os.path.join(folder, one)  # noqa: PTH118
                if os.path.islink(full):  # noqa: PTH114
                    found[os.path.relpath(full, top)] = (Kind.LINK, os.readlink(full))  # noqa: PTH115
                    continue
                kind = Kind.PROGRAM if os.stat(full).st_mode & 0o100 else Kind.FILE  # noqa: PTH116
                with open(full, "rb") as file:
                    found[os.path.relpath(full, top)] = (kind, file.read())
        return found

    def changes(self) -> tuple[list[Brought], list[bytes]]:
        """What a host would list, its own git folder left out."""
        now = {path: what for path, what in self._read().items() if not is_git_name(path)}
        new = [(path, *what) for path, what in now.items() if self.before.get(path) != what]
        return self.bring(new), [path for path in self.before if path not in now]

    def bring(self, new: Sequence[tuple[bytes, Kind, bytes]]) -> list[Brought]:
        """Lay contents down as if they had been fetched."""
        folder = self.root.parent / "fetched"
        folder.mkdir(exist_ok=True)
        brought = []
        for path, kind, what in new:
            place = folder / f'{len(list(folder.iterdir()))} "\n'
            place.write_bytes(what)
            brought.append(Brought(path, kind, str(place)))
        return brought

    def collect(self, brought: Sequence[Brought] | None = None, missing: Sequence[bytes] = (), **more: object) -> Home:
        if brought is None:
            brought, missing = self.changes()
        options = {"branch": BRANCH, "message": MESSAGE, **more}
        return build(self.root, self.store, self.base, brought, missing, **options)  # type: ignore[arg-type]


def started(tmp_path: Path, **more: str) -> Away:
    """A repository with some files committed, sent away."""
    root = make(tmp_path / "repo")
    write(root, {"a": "1\n", "b": "2\n", "d/c": "3\n"})
    write(root, dict(more.items()))
    commit(root)
    return Away(root)


def visible(root: Path) -> dict[str, object]:
    """What may not change when a branch appears."""
    kept = ("status", "head", "index", "index_time", "stash")
    state = state_of(root)
    return {key: state[key] for key in kept} | {
        "fsck": git(root, "fsck", "--full", "--strict", "--no-dangling", ok=ANY_CODE)
    }


def is_clean(root: Path) -> bool:
    return git(root, "fsck", "--full", "--strict", "--no-dangling") == b""


# -- the branch -------------------------------------------------------------------------------------------------------


def test_the_branch_holds_exactly_what_changed(tmp_path: Path) -> None:
    away = started(tmp_path)
    write(away.there, {"a": "1\nmore\n", "d/c": "other\n", "new": "n\n"})
    (away.there / "b").unlink()
    before = visible(away.root)
    home = away.collect()
    (branch,) = home.branches
    assert visible(away.root) == before and is_clean(away.root)
    assert branch.tip == text(away.root, "rev-parse", "refs/heads/dgummy/r1") and branch.is_new
    assert branch.base == text(away.root, "rev-parse", "HEAD") and not branch.has_local
    assert files_in(away.root, branch.tip) == {"a": "100644 1\nmore\n", "d/c": "100644 other\n", "new": "100644 n\n"}
    assert branch.files == (
        FileChange(b"a", "M", 1, 0),
        FileChange(b"b", "D", 0, 1),
        FileChange(b"d/c", "M", 1, 1),
        FileChange(b"new", "A", 1, 0),
    )
    assert (branch.insertions, branch.deletions, branch.prefix, branch.agent_commits) == (3, 2, b"", 0)
    shown = text(away.root, "log", "-1", "--format=%an <%ae> %ai|%cn <%ce> %ci|%P|%B", BRANCH)
    author, committer, parent, body = shown.split("|")
    assert author == committer == "Ann <ann@example.org> 2026-03-01 12:05:00 +0200"
    assert parent == branch.base and body == "fix the parser\n\nHost: beta\nExit code: 0"
    assert not home.skipped and not home.notices
    assert [path for path in away.store.iterdir() if path.name.startswith("tmp_")] == []


def test_a_repeat_finds_it_done(tmp_path: Path) -> None:
    away = started(tmp_path)
    write(away.root, {"a": "not committed\n"})
    away = sent_again(away)
    write(away.there, {"new": "n"})
    first = away.collect().branches[0]
    before = state_of(away.root)
    second = away.collect().branches[0]
    assert (second.tip, second.base, second.name, second.is_new) == (first.tip, first.base, first.name, False)
    assert state_of(away.root) == before
    git(away.root, "branch", "-qD", BRANCH)
    assert away.collect().branches[0] == first


def sent_again(away: Away) -> Away:
    shutil.rmtree(away.there)
    return Away(away.root)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_work_comes_home_to_every_state(tmp_path: Path, state: Callable[[Path], Files]) -> None:
    root = tmp_path / "repo"
    expected = state(root)
    lacking = "missing" in expected.values()
    away = Away(root)
    new = away.bring([(b"new/file", Kind.FILE, b"n"), (b"a", Kind.PROGRAM, b"changed")])
    gone = [b"d/b"] if "d/b" in expected and not lacking else []
    before = visible(root)
    (branch,) = away.collect(new, gone).branches
    after = visible(root)
    assert {key: after[key] for key in after if key != "fsck"} == {key: before[key] for key in before if key != "fsck"}
    if lacking:
        names = set(text(root, "ls-tree", "-r", "--name-only", BRANCH).split("\n"))
        assert names == expected.keys() | {"new/file"}
        return
    assert after["fsck"] == before["fsck"]
    mode = "100644" if state.__name__ == "without_modes" else "100755"
    wanted = {one: what for one, what in expected.items() if os.fsencode(one) not in gone}
    assert files_in(root, branch.tip) == wanted | {"new/file": "100644 n", "a": f"{mode} changed"}
    assert branch.has_local == (branch.base != text(root, "rev-parse", "-q", "--verify", "HEAD", ok=(0, 1)))


def test_what_was_not_committed_is_the_base(tmp_path: Path) -> None:
    away = started(tmp_path)
    write(away.root, {"a": "mine\n", "untracked": "u\n"})
    away = sent_again(away)
    write(away.there, {"b": "theirs\n"})
    (branch,) = away.collect().branches
    assert branch.has_local and branch.files == (FileChange(b"b", "M", 1, 1),)
    assert text(away.root, "rev-parse", f"{branch.base}^") == text(away.root, "rev-parse", "HEAD")
    assert files_in(away.root, branch.base)["a"] == "100644 mine\n"
    assert "2026-03-01 12:00:00 +0200" in text(away.root, "log", "-1", "--format=%ci", branch.base)
    # and it merges, once the user has committed what is theirs
    commit(away.root)
    git(away.root, "merge", "-q", BRANCH)
    assert (away.root / "b").read_text() == "theirs\n" and (away.root / "a").read_text() == "mine\n"


def test_nothing_changed_makes_no_branch(tmp_path: Path) -> None:
    away = started(tmp_path)
    before = state_of(away.root)
    same = away.bring([(b"a", Kind.FILE, b"1\n")])
    assert away.collect(same, [b"never/was"]) == Home()
    assert state_of(away.root) == before


def test_a_branch_of_the_users_is_left_alone(tmp_path: Path) -> None:
    away = started(tmp_path)
    write(away.there, {"new": "1"})
    first = away.collect().branches[0]
    write(away.there, {"new": "2"})
    assert away.collect().branches[0].name == f"{BRANCH}-2"  # nobody said that the first one is ours
    git(away.root, "branch", "-qD", f"{BRANCH}-2")
    moved = away.collect(previous=[first.tip]).branches[0]
    assert moved.name == BRANCH and text(away.root, "rev-parse", BRANCH) == moved.tip != first.tip
    git(away.root, "worktree", "add", "-q", str(tmp_path / "other tree"), BRANCH)
    write(away.there, {"new": "3"})
    third = away.collect(previous=[first.tip, moved.tip]).branches[0]
    assert third.name == f"{BRANCH}-2" and text(away.root, "rev-parse", BRANCH) == moved.tip
    assert away.collect(previous=[moved.tip]).branches[0] == replace(third, is_new=False)


def test_a_branch_called_dgummy_is_in_the_way_and_said(tmp_path: Path) -> None:
    away = started(tmp_path)
    git(away.root, "branch", "dgummy")
    write(away.there, {"new": "1"})
    before = visible(away.root)
    with pytest.raises(GitError) as caught:
        away.collect()
    assert "git branch -m dgummy" in caught.value.remedy and visible(away.root) == before
    git(away.root, "branch", "-m", "dgummy", "mine")
    git(away.root, "branch", f"{BRANCH}/below")
    assert away.collect().branches[0].name == f"{BRANCH}-2"


def test_many_files_come_as_a_pack(tmp_path: Path) -> None:
    away = started(tmp_path)
    write(away.there, {f"new/{number}": str(number) for number in range(150)})
    (branch,) = away.collect().branches
    assert len(branch.files) == 150 and is_clean(away.root)
    assert list((away.root / ".git" / "objects" / "pack").glob("*.pack"))


def test_without_a_name_in_git_it_is_the_owners(tmp_path: Path) -> None:
    away = started(tmp_path)
    git(away.root, "config", "--unset", "user.name")
    git(away.root, "config", "--unset", "user.email")
    write(away.there, {"new": "1"})
    away.collect()
    assert text(away.root, "log", "-1", "--format=%an <%ae> %cn <%ce>", BRANCH) == ("ann <ann@laptop> ann <ann@laptop>")


def test_submodules_have_branches_of_their_own(tmp_path: Path) -> None:
    library, root = make(tmp_path / "library"), make(tmp_path / "repo")
    write(library, {"l": "1\n"})
    commit(library)
    write(root, {"a": "1\n"})
    for place in ("vendor/lib", "vendor/away"):
        git(root, "submodule", "add", "-q", str(library), place)
    git(root / "vendor" / "lib", "config", "user.name", "Ann")
    git(root / "vendor" / "lib", "config", "user.email", "ann@example.org")
    commit(root)
    git(root, "submodule", "deinit", "-f", "vendor/away")
    away = Away(root)
    write(away.there, {"vendor/lib/l": "2\n", "vendor/away/x": "x"})
    before = visible(root), visible(root / "vendor" / "lib")
    home = away.collect()
    (branch,) = home.branches
    assert branch.prefix == b"vendor/lib/" and branch.files == (FileChange(b"vendor/lib/l", "M", 1, 1),)
    assert [(one.path, one.is_work) for one in home.skipped] == [(b"vendor/away/x", True)]
    assert (visible(root), visible(root / "vendor" / "lib")) == before
    assert git(root, "branch", "--list", "dgummy/*") == b""
    write(away.there, {"a": "2\n"})
    assert [one.prefix for one in away.collect(previous=[branch.tip]).branches] == [b"", b"vendor/lib/"]
    assert files_in(root, BRANCH)["vendor/lib"].startswith("160000 ")
    taken = away.bring([(b"vendor", Kind.LINK, b"/etc"), (b"vendor/lib", Kind.FILE, b"x")])
    assert {one.path for one in away.collect(taken).skipped} == {b"vendor", b"vendor/lib"}


# -- contents and names -----------------------------------------------------------------------------------------------


def test_files_folders_links_and_modes(tmp_path: Path) -> None:
    away = started(tmp_path, **{"to-link": "x\n", "run.sh": "echo\n", "folder/x": "x\n"})
    for one in ("a", "to-link"):
        (away.there / one).unlink()
    write(away.there, {"a/now": "a folder\n"})
    (away.there / "to-link").symlink_to("/etc/passwd")
    (away.there / "run.sh").chmod(0o755)
    shutil.rmtree(away.there / "folder")
    write(away.there, {"folder": "a file\n"})
    (branch,) = away.collect().branches
    assert [(one.path, one.status) for one in branch.files] == [
        (b"a", "D"), (b"a/now", "A"), (b"folder", "A"), (b"folder/x", "D"), (b"run.sh", "mode"), (b"to-link", "T"),
    ]  # fmt: skip
    files = files_in(away.root, branch.tip)
    assert files["to-link"] == "120000 /etc/passwd" and files["run.sh"] == "100755 echo\n"
    assert is_clean(away.root)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    away = started(tmp_path)
    names = [b"new\nline", b"caf\xe9", b"-rf", b":(top)x", b"A", b'q"\\', b"\xef\xbb\xbf", b"README", b"readme", b"*"]
    home = away.collect(away.bring([(path, Kind.FILE, path) for path in names]))
    assert files_in(away.root, BRANCH) == {
        **{os.fsdecode(path): "100644 " + os.fsdecode(path) for path in names},
        "a": "100644 1\n", "b": "100644 2\n", "d/c": "100644 3\n",
    }  # fmt: skip
    assert not home.skipped and {one.path for one in home.branches[0].files} == set(names)


GIT_NAMES = [
    b".git", b".git/config", b".GIT/hooks/post-checkout", b"d/.Git/x", b"git~1/config", b".git./x", b".git /x",
    b".g\xe2\x80\x8cit/config", b"\xef\xbb\xbf.git/x", b".git::$INDEX_ALLOCATION/x", b"a\\.git\\config",
]  # fmt: skip


def test_what_could_become_part_of_a_repository_is_refused(tmp_path: Path) -> None:
    away = started(tmp_path)
    out = [b"../x", b"/etc/x", b"d/../../x", b"./x", b"d//x"]
    bad = away.bring([(path, Kind.FILE, b"x") for path in [*GIT_NAMES, *out]])
    before = visible(away.root)
    home = away.collect([*bad, *away.bring([(b"good", Kind.FILE, b"x")])])
    assert {one.path for one in home.skipped} == {*GIT_NAMES, *out}
    assert [one.path for one in home.branches[0].files] == [b"good"]
    assert visible(away.root) == before and is_clean(away.root)


@pytest.mark.parametrize("name", [b".git", b"x/.gIT", b"a/git~1/b", b".git..", b".g\xe2\x80\x8dit", b".git:x"])
def test_a_git_folder_in_any_spelling(name: bytes) -> None:
    assert is_git_name(name)


@pytest.mark.parametrize("name", [b".gitignore", b"git", b"x.git/a", b".github/x", b"git~2", b".\xe2\x80\x8c", b"a/.g"])
def test_a_name_that_is_no_git_folder(name: bytes) -> None:
    assert not is_git_name(name)


@pytest.mark.parametrize(
    ("path", "kind", "what"),
    [
        (b".gitmodules", Kind.LINK, b"/etc/passwd"),
        (b"d/.GITMODULES", Kind.LINK, b"a"),
        (b".gitmodules", Kind.FILE, b'[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch\n'),
        (b".gitmodules", Kind.FILE, b'[submodule "../../x"]\n\tpath = x\n\turl = x\n'),
    ],
)
def test_what_git_would_stumble_over_is_left_out(tmp_path: Path, path: bytes, kind: Kind, what: bytes) -> None:
    away = started(tmp_path)
    home = away.collect(away.bring([(path, kind, what), (b"good", Kind.FILE, b"x")]))
    assert [one.path for one in home.skipped] == [path] and is_clean(away.root)
    assert [one.path for one in home.branches[0].files] == [b"good"]


def test_a_file_that_is_also_a_folder_is_named(tmp_path: Path) -> None:
    away = started(tmp_path)
    home = away.collect(away.bring([(b"x", Kind.FILE, b"x"), (b"x/y", Kind.FILE, b"y")]))
    assert [one.path for one in home.skipped] == [b"x"] and [one.path for one in home.branches[0].files] == [b"x/y"]


@pytest.mark.parametrize(
    ("names", "skipped", "taken"),
    [
        ([b".gitignore", b".gitignore/.gitignore", b"x.o"], [b".gitignore"], [b".gitignore/.gitignore", b"x.o"]),
        ([b"d/.gitignore/.gitignore/x", b"d/.gitignore/.gitignore"], [b"d/.gitignore/.gitignore"], None),
        (
            [b"a/.gitignore", b"d"],
            [],
            [b"a", b"a/.gitignore", b"d", b"d/c"],
        ),  # as if it had said that a and d/c are gone
        ([b"x" * 300 + b"/.gitignore", b"y"], [], None),
        ([b"../.gitignore", b".git/.gitignore"], [b"../.gitignore", b".git/.gitignore"], []),
    ],
)
def test_a_host_that_lists_what_cannot_be(
    tmp_path: Path, names: list[bytes], skipped: list[bytes], taken: list[bytes] | None
) -> None:
    away = started(tmp_path, **{".gitignore": "*.o\n"}) if b"x.o" not in names else started(tmp_path)
    rules: dict[bytes, str | None] = {name: __file__ for name in names if name.endswith(b".gitignore")}
    ignored(away.root, away.store, away.base, [name for name in names if is_safe_name(name)], rules=rules)
    home = away.collect(away.bring([(name, Kind.FILE, b"*.c\n") for name in names]))
    assert [one.path for one in home.skipped] == skipped and all(one.reason for one in home.skipped)
    came = [one.path for branch in home.branches for one in branch.files]
    assert came == (sorted(set(names) - set(skipped)) if taken is None else taken) and is_clean(away.root)
    assert not (tmp_path / ".gitignore").exists()


def filtering(tmp_path: Path) -> Away:
    root = make(tmp_path / "repo")
    git(root, "config", "filter.up.clean", "tr a-z A-Z")
    git(root, "config", "filter.evil.clean", f"touch {tmp_path}/started")
    write(root, {".gitattributes": "*.big filter=up\n*.txt text=auto\n*.id ident\n", "kept.txt": "1\r\n", "b.big": "x"})
    git(root, "add", "-A")
    raw = git(root, "hash-object", "-w", "--stdin", stdin=b"1\r\n").decode().strip()
    git(root, "update-index", "--cacheinfo", f"100644,{raw},kept.txt")
    git(root, "commit", "-qm", "x")
    return Away(root)


def test_contents_are_converted_by_the_rules_that_were_sent(tmp_path: Path) -> None:
    """A host's .gitattributes is a file like others: it decides neither which filter runs nor on what."""
    away = filtering(tmp_path)
    write(away.there, {
        ".gitattributes": "* filter=evil\n*.big -filter\n", "new.big": "big", "N.big": "other", "n.big": "another",
        "new.txt": "1\r\n2\r\n", "kept.txt": "1\r\n2\r\n", "c.id": "$Id: 123 $", "plain": "1\r\n", "d/e.big": "deep",
        "d/.gitattributes": "*.big -filter\n",
    })  # fmt: skip
    (branch,) = away.collect().branches
    files = files_in(away.root, branch.tip)
    assert {one: what.partition(" ")[2] for one, what in files.items()} == {
        ".gitattributes": "* filter=evil\n*.big -filter\n", "b.big": "X", "new.big": "BIG", "N.big": "OTHER",
        "n.big": "ANOTHER", "new.txt": "1\n2\n", "kept.txt": "1\r\n2\r\n", "c.id": "$Id$", "plain": "1\r\n",
        "d/e.big": "DEEP", "d/.gitattributes": "*.big -filter\n",
    }  # fmt: skip
    assert not (tmp_path / "started").exists()


def test_names_that_git_ignores_here_stay_away(tmp_path: Path) -> None:
    root = make(tmp_path / "repo")
    write(root, {".gitignore": ".env\n*.o\n!keep.o\n/out/\n", "forced.o": "1", "lnk/x": "x"})
    git(root, "add", "-f", ".")
    git(root, "commit", "-qm", "x")
    write(root, {".env": "secret", "venv/.gitignore": "*\n", "venv/x": "x"})
    away = Away(root, sent(root, (), (".env",)))
    names = [
        b".env",
        b"sub/.env",
        b"x.o",
        b"keep.o",
        b"forced.o",
        b"out/a",
        b"new",
        b"venv/new",
        b"-x.o",
        b":(top).env",
    ]
    found = ignored(root, away.store, away.base, names)
    assert found == {b".env", b"sub/.env", b"x.o", b"out/a", b"venv/new", b"-x.o"}
    write(away.there, {".env": "changed", "x.o": "o", "keep.o": "o", "forced.o": "2"})
    home = away.collect()
    assert {(one.path, one.is_work) for one in home.skipped} == {(b".env", False), (b"x.o", False)}
    assert [one.path for one in home.branches[0].files] == [b"forced.o", b"keep.o"]
    # A folder is a link here now: git cannot look behind it, and the rules still hold.
    shutil.rmtree(root / "lnk")
    (root / "lnk").symlink_to(tmp_path)
    assert ignored(root, away.store, away.base, [b"lnk/.env", b"lnk/x", b"lnk/new", b"out/a"]) == {
        b"lnk/.env",
        b"out/a",
    }
    assert ignored(root, away.store, Base(), names) == frozenset()


# -- what is not there any more ---------------------------------------------------------------------------------------


def gone_repository(away: Away) -> None:
    shutil.rmtree(away.root / ".git")


def gone_store(away: Away) -> None:
    shutil.rmtree(away.store)
    away.store.mkdir()


def gone_head(away: Away) -> None:
    git(away.root, "checkout", "-q", "--orphan", "fresh")
    git(away.root, "commit", "-qm", "another history")
    git(away.root, "branch", "-D", "main")
    git(away.root, "reflog", "expire", "--expire=now", "--all")
    git(away.root, "gc", "-q", "--prune=now")


def gone_blob(away: Away) -> None:
    ident = git(away.root, "hash-object", "--stdin", stdin=b"mine\n").decode().strip()
    (away.store / ident[:2] / ident[2:]).unlink()


@pytest.mark.parametrize("lose", [gone_repository, gone_store, gone_head, gone_blob])
def test_a_base_that_is_gone_is_told(tmp_path: Path, lose: Callable[[Away], None]) -> None:
    away = started(tmp_path)
    write(away.root, {"a": "mine\n"})
    away = sent_again(away)
    write(away.there, {"new": "1"})
    lose(away)
    with pytest.raises(BaseGoneError) as caught:
        away.collect()
    assert "\n" not in caught.value.message and "folder" in caught.value.remedy


# -- the agent's own commits ------------------------------------------------------------------------------------------


def agent_commit(away: Away, subject: str, *words: str) -> str:
    env = {"GIT_AUTHOR_DATE": "1710000000 +0530", "GIT_COMMITTER_DATE": "1710000001 -0800"}
    git(away.there, "add", "-A")
    git(away.there, "commit", "-qm", subject, "--allow-empty", *words, env=env)
    return text(away.there, "rev-parse", "HEAD")


def agent_starts(away: Away) -> None:
    git(away.there, "init", "-q")
    git(away.there, "config", "user.name", "Agent")
    git(away.there, "config", "user.email", "agent@host")


def bundled(away: Away, *revisions: str) -> Bundle:
    path = away.root.parent / "commits.bundle"
    git(away.there, "bundle", "create", "-q", str(path), *(revisions or ("HEAD",)))
    return Bundle(path, text(away.there, "rev-parse", "HEAD"))


def log(away: Away, branch: str = BRANCH) -> list[str]:
    return text(away.root, "log", "--format=%an %at %ai|%cn %ci|%s", "--reverse", f"HEAD..{branch}").split("\n")


def test_the_agents_commits_are_kept(tmp_path: Path) -> None:
    away = started(tmp_path)
    agent_starts(away)
    write(away.there, {"a": "one\n", "new": "as it was in between\n"})
    agent_commit(away, "first: ü")
    write(away.there, {"new": "n\n"})
    (away.there / "b").unlink()
    agent_commit(away, "second")
    before = visible(away.root)
    (branch,) = away.collect(bundle=bundled(away)).branches
    assert visible(away.root) == before and is_clean(away.root)
    who = "Agent 1710000000 2024-03-09 21:30:00 +0530|Agent 2024-03-09 08:00:01 -0800"
    assert log(away) == [f"{who}|first: ü", f"{who}|second"]
    assert files_in(away.root, f"{BRANCH}~1")["new"] == "100644 as it was in between\n"
    assert branch.agent_commits == 2 and branch.base == text(away.root, "rev-parse", f"{BRANCH}~2")
    assert files_in(away.root, BRANCH) == {"a": "100644 one\n", "d/c": "100644 3\n", "new": "100644 n\n"}
    write(away.there, {"late": "not committed\n"})
    (branch,) = away.collect(bundle=bundled(away), previous=[branch.tip]).branches
    assert len(log(away)) == 3 and log(away)[2].endswith("fix the parser") and branch.name == BRANCH
    assert away.collect(bundle=bundled(away)).branches[0].is_new is False


def test_what_the_agent_never_committed_is_not_removed_by_its_commits(tmp_path: Path) -> None:
    away = started(tmp_path)
    agent_starts(away)
    write(away.there, {"only": "1\n"})
    git(away.there, "add", "only")
    git(away.there, "commit", "-qm", "only this")
    home = away.collect(bundle=bundled(away))
    assert set(files_in(away.root, BRANCH)) == {"a", "b", "d/c", "only"} and len(log(away)) == 1
    assert [one.path for one in home.branches[0].files] == [b"only"]


def test_merges_stay_merges(tmp_path: Path) -> None:
    away = started(tmp_path)
    agent_starts(away)
    agent_commit(away, "as it came")
    git(away.there, "checkout", "-qb", "side")
    write(away.there, {"side": "1\n"})
    agent_commit(away, "side")
    git(away.there, "checkout", "-q", "-")
    write(away.there, {"main": "1\n"})
    agent_commit(away, "main")
    git(away.there, "merge", "-q", "--no-edit", "side")
    (branch,) = away.collect(bundle=bundled(away)).branches
    assert branch.agent_commits == 4 and len(text(away.root, "log", "-1", "--format=%P", BRANCH).split()) == 2
    assert set(files_in(away.root, BRANCH)) == {"a", "b", "d/c", "side", "main"} and is_clean(away.root)


def test_secrets_in_the_agents_commits_stay_away(tmp_path: Path) -> None:
    away = started(tmp_path, **{".gitignore": ".env\n"})
    agent_starts(away)
    write(away.there, {".env": "secret\n", "x": "1\n"})
    git(away.there, "add", "-f", ".env", "x")
    git(away.there, "commit", "-qm", "oops")
    away.collect(bundle=bundled(away))
    assert ".env" not in files_in(away.root, BRANCH) and "x" in files_in(away.root, BRANCH)
    ident = git(away.root, "hash-object", "--stdin", stdin=b"secret\n").decode().strip()
    git(away.root, "cat-file", "-e", ident, ok=(1,))


def test_a_secret_that_was_sent_stays_away_under_any_name(tmp_path: Path) -> None:
    root = make(tmp_path / "repo")
    write(root, {".gitignore": ".env\nempty\n", "a": "1\n"})
    commit(root)
    write(root, {".env": "KEY=of-the-user\n", "empty": ""})
    away = Away(root, sent(root, (), (".env", "empty")))
    agent_starts(away)
    write(away.there, {"old": "KEY=of-the-user\n", "a": "KEY=of-the-user\n", "x": "1\n"})
    git(away.there, "add", "-A")
    git(away.there, "commit", "-qm", "oops")
    (away.there / "old").rename(away.there / "new")
    write(away.there, {"a": "2\n", "void": ""})
    git(away.there, "add", "a")
    git(away.there, "commit", "-qm", "away with it")
    home = away.collect(bundle=bundled(away))
    assert {(one.path, one.is_work) for one in home.skipped} == {(b"old", False), (b"a", False), (b"new", False)}
    assert {*files_in(root, BRANCH)} == {".gitignore", "a", "void", "x"} and home.branches[0].agent_commits == 2
    assert text(root, "log", "--format=%s", "-2", "--skip=1", BRANCH).split("\n") == ["away with it", "oops"]
    ident = git(root, "hash-object", "--stdin", stdin=b"KEY=of-the-user\n").decode().strip()
    git(root, "cat-file", "-e", ident, ok=(1,))


def test_what_the_run_takes_out_of_gitignore_stays_away(tmp_path: Path) -> None:
    away = started(tmp_path, **{".gitignore": "*.env\nout/\n"})
    (away.there / ".gitignore").unlink()
    write(away.there, {".env": "KEY=of-the-run\n", "out/x": "x", "n": "n"})
    rules = {b".gitignore": None}
    names = [b".env", b"out/x", b"n"]
    assert ignored(away.root, away.store, away.base, names, rules=rules) == {b".env", b"out/x"}
    assert unnamed(away.root, away.store, away.base, names, rules) == {*names}
    (away.root / ".gitignore").unlink()  # nor does it count that the user goes on meanwhile
    home = away.collect()
    assert {(one.path, one.is_work) for one in home.skipped} == {(b".env", False), (b"out/x", False)}
    assert {*files_in(away.root, BRANCH)} == {"a", "b", "d/c", "n"}


def test_the_agents_commits_have_contents_as_git_here_has_them(tmp_path: Path) -> None:
    away = filtering(tmp_path)
    agent_starts(away)
    git(away.there, "add", "-A")
    raw = git(away.there, "hash-object", "-w", "--stdin", stdin=b"1\r\n").decode().strip()
    git(away.there, "update-index", "--cacheinfo", f"100644,{raw},kept.txt")  # git there would make it 1\n
    git(away.there, "commit", "-qm", "as it came")
    write(away.there, {"b.big": "more", "n.txt": "1\r\n"})
    agent_commit(away, "more")
    (branch,) = away.collect(bundle=bundled(away)).branches
    assert [one.path for one in branch.files] == [b"b.big", b"n.txt"] and branch.agent_commits == 2
    files = files_in(away.root, BRANCH)
    assert files["b.big"] == "100644 MORE" and files["n.txt"] == "100644 1\n" and files["kept.txt"] == "100644 1\r\n"
    assert text(away.root, "diff", "--stat", "HEAD", f"{BRANCH}~1") == ""


def test_an_agent_that_only_keeps_what_came_makes_no_branch(tmp_path: Path) -> None:
    away = started(tmp_path)
    agent_starts(away)
    agent_commit(away, "as it came")
    assert away.collect(bundle=bundled(away)) == Home()


def test_too_many_commits_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = started(tmp_path)
    agent_starts(away)
    for number in range(4):
        write(away.there, {"x": str(number)})
        agent_commit(away, f"commit {number}")
    monkeypatch.setattr(replay, "MAX_COMMITS", 3)
    home = away.collect(bundle=bundled(away))
    assert [line.rpartition("|")[2] for line in log(away)] == ["commit 3"]
    assert "4 commits" in home.notices[0] and files_in(away.root, BRANCH)["x"] == "100644 3"


def forged_tree(away: Away, entry: bytes) -> Bundle:
    blob = git(away.there, "hash-object", "-w", "--stdin", stdin=b"x").decode().strip()
    content = entry + b"\0" + bytes.fromhex(blob)
    ident = git(away.there, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=content).decode().strip()
    made = text(away.there, "commit-tree", "-m", "forged", ident)
    git(away.there, "update-ref", "refs/heads/forged", made)
    bundle = bundled(away, "refs/heads/forged")
    return Bundle(bundle.path, made)


def garbage(away: Away) -> Bundle:
    bundle = bundled(away)
    bundle.path.write_bytes(os.urandom(1000))
    return bundle


def cut(away: Away) -> Bundle:
    bundle = bundled(away)
    bundle.path.write_bytes(bundle.path.read_bytes()[:-30])
    return bundle


def building_on_more(away: Away) -> Bundle:
    return bundled(away, "HEAD~1..HEAD")


def of_a_commit_of_the_users(away: Away) -> Bundle:
    return Bundle(bundled(away).path, text(away.root, "rev-parse", "HEAD"))


def of_an_option(away: Away) -> Bundle:
    return Bundle(bundled(away).path, "--output=/tmp/x")


def with_a_git_folder(away: Away) -> Bundle:
    return forged_tree(away, b"100644 .GIT")


def leading_out(away: Away) -> Bundle:
    return forged_tree(away, b"100644 ..")


def with_a_slash(away: Away) -> Bundle:
    return forged_tree(away, b"100644 a/../../x")


@pytest.mark.parametrize(
    "forge",
    [
        garbage,
        cut,
        building_on_more,
        of_a_commit_of_the_users,
        of_an_option,
        with_a_git_folder,
        leading_out,
        with_a_slash,
    ],
)
def test_a_bad_bundle_costs_only_the_commits(tmp_path: Path, forge: Callable[[Away], Bundle]) -> None:
    away = started(tmp_path)
    agent_starts(away)
    write(away.there, {"x": "1\n"})
    agent_commit(away, "first")
    write(away.there, {"x": "2\n"})
    agent_commit(away, "second")
    before = visible(away.root)
    home = away.collect(bundle=forge(away))
    assert "not taken over" in home.notices[0] and "\n" not in home.notices[0]
    assert len(log(away)) == 1 and files_in(away.root, BRANCH)["x"] == "100644 2\n"
    assert visible(away.root) == before and is_clean(away.root)


# -- without git ------------------------------------------------------------------------------------------------------


def now_ns() -> int:
    probe = Path(os.environ["HOME"]) / "now"
    probe.write_text("x")
    return probe.stat().st_ctime_ns


def test_a_patch_where_there_is_no_git(tmp_path: Path) -> None:
    root = tmp_path / "p"
    write(root, {"a": "1\n", "b": "2\n", "bin": b"\0\1", "mine": "m\n", "d/x y": "3\n", "t": "4\n"})
    (root / "link").symlink_to("a")
    base = Base(sent_at_ns=now_ns())
    shutil.copytree(root, tmp_path / "copy", symlinks=True)
    while now_ns() <= base.sent_at_ns:  # a file system may count time in ticks
        pass
    write(root, {"mine": "changed here\n"})
    away = Away.__new__(Away)
    away.root = root
    brought = away.bring([
        (b"a", Kind.PROGRAM, b"1\nmore\n"), (b"new\nname", Kind.FILE, b"n\n"), (b"bin", Kind.FILE, b"\0\2"),
        (b"mine", Kind.FILE, b"theirs\n"), (b"link", Kind.LINK, b"b"), (b"t", Kind.FILE, b"4\n"),
        (b".git/x", Kind.FILE, b"x"), (b"../x", Kind.FILE, b"x"), (b"d/x y", Kind.FILE, b"3\n4"),
    ])  # fmt: skip
    out = tmp_path / "changes.patch"
    made = write_patch(root, brought, [b"b", b"never"], base, out)
    assert made.path == out and made.changes == 6 and not made.notices
    assert {one.path for one in made.skipped} == {b"mine", b".git/x", b"../x"}
    subprocess.run(["git", "apply", str(out)], cwd=tmp_path / "copy", check=True)
    copy = tmp_path / "copy"
    assert (copy / "a").read_text() == "1\nmore\n" and os.access(copy / "a", os.X_OK) and not (copy / "b").exists()
    assert (copy / "new\nname").read_text() == "n\n" and (copy / "bin").read_bytes() == b"\0\2"
    assert os.readlink(copy / "link") == "b" and (copy / "mine").read_text() == "m\n"  # noqa: PTH115
    assert (copy / "d" / "x y").read_text() == "3\n4"
    with pytest.raises(FileExistsError):
        write_patch(root, brought, [b"b"], base, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changes.patch", "copy", "fetched", "p"]


@pytest.mark.skipif(shutil.which("patch") is None, reason="there is no patch on this machine")
def test_patch_itself_takes_it(tmp_path: Path) -> None:
    root = tmp_path / "p"
    write(root, {"a": "1\n2\n3\n", "b": "2\n"})
    base = Base(sent_at_ns=now_ns())
    away = Away.__new__(Away)
    away.root = root
    out = tmp_path / "changes.patch"
    write_patch(root, away.bring([(b"a", Kind.FILE, b"1\n2\n3\n4\n"), (b"d/n", Kind.FILE, b"n\n")]), [b"b"], base, out)
    subprocess.run(["patch", "-s", "-p1", "-i", str(out)], cwd=root, check=True)
    assert (root / "a").read_text() == "1\n2\n3\n4\n" and (root / "d" / "n").read_text() == "n\n"
    assert not (root / "b").exists()


def test_no_patch_without_changes_or_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "p"
    write(root, {"a": "1\n"})
    base = Base(sent_at_ns=now_ns())
    away = Away.__new__(Away)
    away.root = root
    out = tmp_path / "changes.patch"
    assert write_patch(root, away.bring([(b"a", Kind.FILE, b"1\n")]), [b"x"], base, out).path is None
    monkeypatch.setenv("PATH", str(tmp_path))
    made = write_patch(root, away.bring([(b"a", Kind.FILE, b"2\n")]), [], base, out)
    assert made.path is None and "not installed" in made.notices[0] and not out.exists()


# -- any tree at all --------------------------------------------------------------------------------------------------


@settings(ANY, max_examples=12)
@given(before=tree, local=tree, ignored_names=ignores, work=tree, deleted=st.sets(name, max_size=4))
def test_whatever_a_run_does_the_branch_is_gits_view(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[bytes, tuple[str, bytes]],
    local: dict[bytes, tuple[str, bytes]],
    ignored_names: list[str],
    work: dict[bytes, tuple[str, bytes]],
    deleted: set[bytes],
) -> None:
    """The tree of the branch is what `git add -A` makes of the same changes in a copy of the repository."""
    folder = tmp_path_factory.mktemp("any")
    root = make(folder / "repo")
    put(root, before)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x", "--allow-empty")
    write(root, {".gitignore": "\n".join(ignored_names)})
    put(root, local)
    away = Away(root)
    remove(away.there, deleted)
    put(away.there, work)
    state = visible(root)
    home = away.collect()
    assert visible(root) == state

    copy = make(folder / "copy")
    write(copy, {".gitignore": "\n".join(ignored_names)})
    git(copy, "fetch", "-q", str(root), "HEAD")
    shutil.rmtree(copy / ".git" / "objects")
    shutil.copytree(root / ".git" / "objects", copy / ".git" / "objects")
    shutil.copytree(away.store, copy / ".git" / "objects", dirs_exist_ok=True)
    git(copy, "read-tree", away.base.repositories[0].tree)
    (copy / ".gitignore").unlink()
    subprocess.run(["cp", "-a", f"{away.there}/.", str(copy)], check=True)
    git(copy, "add", "-A")
    wanted = text(copy, "write-tree")
    if wanted == away.base.repositories[0].tree:
        assert home.branches == ()
    else:
        assert home.branches[0].tree == wanted
