"""Recording what is sent: the tree is right in every state that a repository can be in, and nothing is touched."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dgummy import snapshot
from dgummy.gitcommand import GitError
from dgummy.project import Project
from dgummy.syncplan import Listing
from dgummy.work import Base
from repos import commit, files_in, git, make, needs_git, project, sent, text, untouched, write

pytestmark = needs_git

Files = dict[str, str]


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


def record(root: Path, store: Path, listing: Listing | None = None) -> Base:
    return snapshot.record(project(root), sent(root) if listing is None else listing, store, 7)


def plain(**files: str) -> Files:
    return {name.replace("__", "/").replace("_", "."): f"100644 {content}" for name, content in files.items()}


# -- states that a repository can be in. Each makes one at `root` and says what is to be recorded ---


def clean(root: Path) -> Files:
    write(make(root), {"a": "1", "d/b": "2"})
    commit(root)
    return plain(a="1", d__b="2")


def changed(root: Path) -> Files:
    clean(root)
    write(root, {"a": "new", "n": "untracked", "staged": "as staged"})
    git(root, "add", "staged")
    write(root, {"staged": "later"})
    (root / "d" / "b").unlink()
    return plain(a="new", n="untracked", staged="later")


def ignoring(root: Path) -> Files:
    clean(root)
    write(root, {".gitignore": "*.o\n!keep.o\n", "x.o": "no", "keep.o": "yes", "forced.o": "yes"})
    git(root, "add", "-f", "forced.o")
    return plain(a="1", d__b="2", _gitignore="*.o\n!keep.o\n", keep_o="yes", forced_o="yes")


def unborn(root: Path) -> Files:
    write(make(root), {"a": "1"})
    return plain(a="1")


def unborn_staged(root: Path) -> Files:
    write(make(root), {"a": "1", "b": "2"})
    git(root, "add", "a")
    return plain(a="1", b="2")


def empty(root: Path) -> Files:
    make(root)
    return {}


def merging(root: Path) -> Files:
    clean(root)
    git(root, "checkout", "-qb", "other")
    write(root, {"a": "theirs", "gone": "x"})
    commit(root)
    git(root, "checkout", "-q", "main")
    write(root, {"a": "ours"})
    commit(root)
    git(root, "merge", "other", ok=(1,))
    return plain(a=(root / "a").read_text(), d__b="2", gone="x")


def deleted_in_conflict(root: Path) -> Files:
    merging(root)
    (root / "a").unlink()
    return plain(d__b="2", gone="x")


def folder_in_conflict(root: Path) -> Files:
    clean(root)
    git(root, "checkout", "-qb", "other")
    write(root, {"t": "a file"})
    commit(root)
    git(root, "checkout", "-q", "main")
    write(root, {"t/inside": "a folder"})
    commit(root)
    git(root, "merge", "other", ok=(1,))
    return plain(a="1", d__b="2", t__inside="a folder") | {"t~other": "100644 a file"}


def rebasing(root: Path) -> Files:
    merging(root)
    git(root, "merge", "--abort")
    git(root, "rebase", "other", ok=(1,))
    return plain(a=(root / "a").read_text(), d__b="2", gone="x")


def worktree(root: Path) -> Files:
    main = root.parent / "main"
    clean(main)
    git(main, "worktree", "add", "-q", str(root))
    write(root, {"a": "in the worktree"})
    return plain(a="in the worktree", d__b="2")


def shallow(root: Path) -> Files:
    origin = root.parent / "origin"
    clean(origin)
    write(origin, {"a": "2"})
    commit(origin)
    git(root.parent, "clone", "-q", "--depth=1", origin.as_uri(), str(root))
    write(root, {"n": "n"})
    return plain(a="2", d__b="2", n="n")


def partial(root: Path) -> Files:
    """A sparse, partial clone: most contents are not here, and may not be fetched."""
    origin = root.parent / "origin"
    clean(origin)
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(root.parent, "clone", "-q", "--filter=blob:none", "--sparse", origin.as_uri(), str(root))
    origin.rename(root.parent / "away")
    write(root, {"a": "new", "n": "n"})
    return plain(a="new", n="n") | {"d/b": "missing"}


def sparse(root: Path) -> Files:
    clean(root)
    git(root, "sparse-checkout", "set", "--cone")
    assert not (root / "d").exists()
    write(root, {"a": "new"})
    return plain(a="new", d__b="2")


def sparse_index(root: Path) -> Files:
    clean(root)
    write(root, {"e/f/g": "deep"})
    commit(root)
    git(root, "sparse-checkout", "set", "--cone", "--sparse-index", "d")
    write(root, {"a": "new"})
    return plain(a="new", d__b="2", e__f__g="deep")


def without_modes(root: Path) -> Files:
    clean(root)
    git(root, "config", "core.fileMode", "false")
    (root / "a").chmod(0o755)
    return plain(a="1", d__b="2")


def with_modes(root: Path) -> Files:
    clean(root)
    (root / "a").chmod(0o755)
    return plain(d__b="2") | {"a": "100755 1"}


def split_index(root: Path) -> Files:
    clean(root)
    git(root, "update-index", "--split-index")
    git(root, "config", "core.splitIndex", "true")
    write(root, {"n": "n", "a": "new"})
    git(root, "add", "n")
    return plain(a="new", d__b="2", n="n")


def index_4(root: Path) -> Files:
    clean(root)
    git(root, "config", "index.version", "4")
    git(root, "update-index", "--index-version", "4")
    write(root, {"a": "new"})
    return plain(a="new", d__b="2")


def intent_to_add(root: Path) -> Files:
    clean(root)
    write(root, {"i": "meant", "j": "gone"})
    git(root, "add", "-N", "i", "j")
    (root / "j").unlink()
    return plain(a="1", d__b="2", i="meant")


def assume_unchanged(root: Path) -> Files:
    """As for `git add`: what is marked so is not looked at."""
    clean(root)
    git(root, "update-index", "--assume-unchanged", "a")
    write(root, {"a": "mine alone", "n": "n"})
    return plain(a="1", d__b="2", n="n")


def skip_worktree(root: Path) -> Files:
    clean(root)
    git(root, "update-index", "--skip-worktree", "a", "d/b")
    write(root, {"a": "mine alone"})
    (root / "d" / "b").unlink()
    return plain(a="1", d__b="2")


def kinds_change(root: Path) -> Files:
    write(make(root), {"file": "f", "folder/x": "x", "folder/y": "y", "real/z": "z", "empty": "e", "link": "l"})
    commit(root)
    for name in ("file", "empty", "link"):
        (root / name).unlink()
    shutil.rmtree(root / "folder")
    shutil.rmtree(root / "real")
    (root / "empty").mkdir()
    (root / "link").symlink_to("real/z")
    (root / "real").symlink_to("folder")
    write(root, {"file/now": "a folder", "folder": "a file"})
    return plain(file__now="a folder", folder="a file") | {"real": "120000 folder", "link": "120000 real/z"}


def behind_an_ignored_link(root: Path) -> Files:
    write(make(root), {"real/z": "z", ".gitignore": "real\n"})
    git(root, "add", "-f", ".")
    commit(root)
    shutil.move(root / "real", root.parent / "elsewhere")
    (root / "real").symlink_to(root.parent / "elsewhere")
    return plain(_gitignore="real\n")


def line_ends(root: Path) -> Files:
    make(root)
    git(root, "config", "core.autocrlf", "true")
    git(root, "config", "core.safecrlf", "true")
    write(root, {"a": "1\r\n2\r\n", "raw": "\0\r\n"})
    return plain(a="1\n2\n", raw="\0\r\n")


def filtered(root: Path) -> Files:
    """As Git LFS does it: what git holds is not what lies there."""
    make(root)
    git(root, "config", "filter.up.clean", "tr a-z A-Z")
    git(root, "config", "filter.up.smudge", "tr A-Z a-z")
    git(root, "config", "filter.up.required", "true")
    write(root, {".gitattributes": "*.big filter=up\n", "a.big": "content", "b": "b"})
    commit(root)
    write(root, {"c.big": "new", "a.big": "other"})
    return plain(_gitattributes="*.big filter=up\n", a_big="OTHER", b="b", c_big="NEW")


def odd_names(root: Path) -> Files:
    make(root)
    names: list[bytes] = [b"new\nline", b"caf\xe9", b"-n", b":(glob)*", b'q"u', b"sp ace", b"*", b"tab\t"]
    write(root, dict.fromkeys(names, "x"))
    return {os.fsdecode(name): "100644 x" for name in names}


def borrowing(root: Path) -> Files:
    """Its objects are another repository's, by a relative path."""
    other = root.parent / "other"
    clean(other)
    git(root.parent, "clone", "-q", "--shared", str(other), str(root))
    (root / ".git" / "objects" / "info" / "alternates").write_text("../../../other/.git/objects\n")
    write(root, {"n": "n"})
    return plain(a="1", d__b="2", n="n")


def sha256(root: Path) -> Files:
    write(make(root, "--object-format=sha256"), {"a": "1"})
    commit(root)
    write(root, {"a": "2"})
    return plain(a="2")


def behind_a_hook(root: Path) -> Files:
    """Nothing of the user's is started."""
    clean(root)
    for name in ("post-index-change", "reference-transaction"):
        hook = root / ".git" / "hooks" / name
        write(root, {f".git/hooks/{name}": f"#!/bin/sh\ntouch {root.parent}/started\n"})
        hook.chmod(0o755)
    write(root, {"a": "2"})
    return plain(a="2", d__b="2")


STATES: list[Callable[[Path], Files]] = [
    clean, changed, ignoring, unborn, unborn_staged, empty, merging, deleted_in_conflict, folder_in_conflict, rebasing,
    worktree, shallow, partial, sparse, sparse_index, without_modes, with_modes, split_index, index_4, intent_to_add,
    assume_unchanged, skip_worktree, kinds_change, behind_an_ignored_link, line_ends, filtered, odd_names, borrowing,
    sha256, behind_a_hook,
]  # fmt: skip


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_what_is_there_is_recorded_and_nothing_touched(tmp_path: Path, state: Callable[[Path], Files]) -> None:
    root, store = tmp_path / "repo", tmp_path / "state" / "store"
    expected = state(root)
    lacking = {name for name, content in expected.items() if content == "missing"}
    with untouched(root):
        base = record(root, store)
    (one,) = base.repositories
    shutil.rmtree(tmp_path / "away", ignore_errors=True)
    if lacking:
        env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(store)}
        names = git(root, "ls-tree", "-r", "--name-only", "-z", one.tree, env=env).decode().split("\0")[:-1]
        assert set(names) == expected.keys()
    else:
        assert files_in(root, one.tree, store) == expected
    assert one.head == text(root, "rev-parse", "--verify", "-q", "HEAD", ok=(0, 1))
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert not (tmp_path / "started").exists()
    assert record(root, store) == base


def test_what_equals_head_is_heads_tree_and_takes_no_room(tmp_path: Path) -> None:
    root, store = tmp_path / "repo", tmp_path / "state/objects/x"
    clean(root)
    (one,) = record(root, store).repositories
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700  # whoever makes it
    assert (one.tree, one.prefix) == (text(root, "rev-parse", "HEAD^{tree}"), "")
    assert list(store.iterdir()) == []


def test_what_git_takes_is_what_is_recorded(tmp_path: Path) -> None:
    """The same tree as `git add -A` gives."""
    root = tmp_path / "repo"
    changed(root)
    (one,) = record(root, tmp_path / "store").repositories
    git(root, "add", "-A")
    assert one.tree == text(root, "write-tree")


def test_secrets_and_what_is_not_sent_are_in_no_tree(tmp_path: Path) -> None:
    root, store = tmp_path / "repo", tmp_path / "store"
    make(root)
    write(root, {".gitignore": ".env\n*.key\n", "tracked.key": "old", "build/t": "tracked", "node_modules/x": "x"})
    git(root, "add", "-f", "tracked.key", "build/t", ".gitignore")
    git(root, "commit", "-qm", "x")
    write(root, {".env": "secret", "a.key": "secret", "tracked.key": "new", "build/t": "changed", "run.log": "named"})
    (root / "build" / "t").unlink()
    found = sent(root, ("build", "node_modules", "*.log"), (".env", "*.key", "*.log"))
    assert found.extra == (b".env", b"a.key") and b".env" in found.paths
    with untouched(root):
        (one,) = record(root, store, found).repositories
    # excluded by the user, so not sent: it stays as git has it. A log is named by the user and git does not ignore it
    expected = {".gitignore": ".env\n*.key\n", "tracked.key": "new", "build/t": "tracked", "run.log": "named"}
    assert files_in(root, one.tree, store) == {name: f"100644 {content}" for name, content in expected.items()}
    stored = {path.parent.name + path.name for path in store.glob("??/*")}
    secret, new = (git(root, "hash-object", "--stdin", stdin=what).decode().strip() for what in (b"secret", b"new"))
    assert new in stored and secret not in stored


def test_an_excluded_conflict_is_what_our_side_has(tmp_path: Path) -> None:
    root, store = tmp_path / "repo", tmp_path / "store"
    merging(root)
    with untouched(root):
        (one,) = record(root, store, sent(root, ("/a",))).repositories
    assert files_in(root, one.tree, store)["a"] == "100644 ours"


def test_repositories_within_have_trees_of_their_own(tmp_path: Path) -> None:
    root, store, library = tmp_path / "repo", tmp_path / "store", tmp_path / "library"
    clean(library)
    clean(root)
    git(root, "submodule", "add", "-q", str(library), "vendor/lib")
    git(root, "submodule", "add", "-q", str(library), "vendor/away")
    commit(root)
    git(root, "submodule", "deinit", "-q", "-f", "vendor/away")
    write(make(root / "nested"), {"n": "n"})
    pinned = text(library, "rev-parse", "HEAD")
    write(root, {"vendor/lib/new": "n", "vendor/lib/a": "2", "a": "3"})
    git(root / "vendor" / "lib", "-c", "user.name=a", "-c", "user.email=b", "commit", "-qam", "moved on")
    found = sent(root)
    assert found.repositories[0] == b"" and set(found.repositories) == {b"", b"nested/", b"vendor/lib/"}
    with untouched(root, root / "vendor" / "lib", root / "nested"):
        base = record(root, store, found)
    trees = {one.prefix: files_in(root, one.tree, store) for one in base.repositories}
    modules = trees[""].pop(".gitmodules")
    assert "vendor/lib" in modules
    submodules = {"vendor/lib": f"160000 {pinned}", "vendor/away": f"160000 {pinned}"}
    assert trees[""] == plain(a="3", d__b="2") | submodules
    assert trees["vendor/lib/"] == plain(a="2", d__b="2", new="n") and trees["nested/"] == plain(n="n")
    heads = {one.prefix: one.head for one in base.repositories}
    assert heads["nested/"] == "" and heads["vendor/lib/"] == text(root / "vendor" / "lib", "rev-parse", "HEAD")


def test_a_file_that_became_a_repository_is_no_file(tmp_path: Path) -> None:
    root, store = tmp_path / "repo", tmp_path / "store"
    clean(root)
    (root / "a").unlink()
    clean(root / "a")
    base = record(root, store)
    assert [files_in(root, one.tree, store) for one in base.repositories] == [plain(d__b="2"), plain(a="1", d__b="2")]


def test_a_git_folder_that_is_none_changes_nothing(tmp_path: Path) -> None:
    root, store = tmp_path / "repo", tmp_path / "store"
    clean(root)
    write(root, {"odd/.git/x": "no repository", "odd/file": "f"})
    (one,) = record(root, store).repositories
    assert set(files_in(root, one.tree, store)) >= {"a", "d/b"}


def test_a_change_within_one_tick_of_the_index_is_seen(tmp_path: Path) -> None:
    """Same size, same time: git tells them apart by the time of the index, which a copy must keep."""
    root, store = tmp_path / "repo", tmp_path / "store"
    write(make(root), {"a": "1"})
    git(root, "config", "core.trustctime", "false")
    tick = (1_600_000_000, 1_600_000_000)
    os.utime(root / "a", tick)
    commit(root)
    write(root, {"a": "9"})
    for path in (root / "a", root / ".git" / "index"):
        os.utime(path, tick)
    (one,) = record(root, store).repositories
    assert files_in(root, one.tree, store)["a"] == "100644 9"


def test_without_git_there_is_a_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "repo"
    clean(root)
    found = sent(root)
    outside = Project(root, is_git=False, subdir="", name="p")
    assert snapshot.record(outside, found, tmp_path / "store", 5) == Base(sent_at_ns=5)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert snapshot.record(project(root), found, tmp_path / "store", 5) == Base(sent_at_ns=5)
    assert not (tmp_path / "store").exists()


def test_a_filter_that_fails_is_told_in_one_line(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    filtered(root)
    git(root, "config", "filter.up.clean", "false")
    write(root, {"a.big": "changed"})
    index = (root / ".git" / "index").read_bytes()
    with pytest.raises(GitError) as caught:
        record(root, tmp_path / "store")
    assert (root / ".git" / "index").read_bytes() == index
    assert "\n" not in caught.value.message and caught.value.remedy and caught.value.status


# -- any tree at all ---

PARTS = [b"a", b"b", b"A", b"x.o", b"keep.o", b"new\nline", b"caf\xe9", b"-n", b" ", b"*", b"out"]
name = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(b"/".join)
content = st.sampled_from([b"", b"1", b"text\n", b"crlf\r\n", b"\0\xff"])
node = st.one_of(
    st.tuples(st.just("file"), content),
    st.tuples(st.just("program"), content),
    st.tuples(st.just("link"), st.sampled_from(PARTS)),
)
tree = st.dictionaries(name, node, max_size=7)
ignores = st.lists(st.sampled_from(["*.o", "!keep.o", "/out/", "out/*", "!/out/a", "a/**/b", "A", "b/"]), max_size=4)


ANY = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a case would take minutes
)


def is_behind_a_link(root: Path, path: bytes) -> bool:
    folders = [path[:at] for at in range(len(path)) if path[at : at + 1] == b"/"]
    return any(os.path.islink(os.path.join(os.fsencode(root), folder)) for folder in folders)  # noqa: PTH114, PTH118


def put(root: Path, files: dict[bytes, tuple[str, bytes]]) -> None:
    """Write as much of a tree as can be: a name that is a file cannot be a folder."""
    for path, (kind, what) in files.items():
        full = os.path.join(os.fsencode(root), path)  # noqa: PTH118
        if is_behind_a_link(root, path):
            continue
        try:
            os.makedirs(os.path.dirname(full), exist_ok=True)  # noqa: PTH103, PTH120
            if os.path.lexists(full):
                os.unlink(full)  # noqa: PTH108
        except OSError:
            continue
        if kind == "link":
            os.symlink(what, full)  # noqa: PTH211
        else:
            with open(full, "wb") as file:
                file.write(what)
            os.chmod(full, 0o755 if kind == "program" else 0o644)  # noqa: PTH101


def remove(root: Path, paths: set[bytes]) -> None:
    for path in paths:
        if not is_behind_a_link(root, path):
            subprocess.run(["rm", "-rf", os.path.join(os.fsencode(root), path)], check=True)  # noqa: PTH118


@ANY
@given(before=tree, after=tree, ignored=ignores, deleted=st.sets(name, max_size=4))
def test_whatever_there_is_the_tree_is_gits(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[bytes, tuple[str, bytes]],
    after: dict[bytes, tuple[str, bytes]],
    ignored: list[str],
    deleted: set[bytes],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    root = make(folder / "repo")
    put(root, before)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x", "--allow-empty")
    write(root, {".gitignore": "\n".join(ignored)})
    remove(root, deleted)
    put(root, after)
    (one,) = record(root, folder / "store").repositories
    clone = folder / "clone"
    subprocess.run(["cp", "-a", root, clone], check=True)
    git(clone, "add", "-A")
    assert one.tree == text(clone, "write-tree")
