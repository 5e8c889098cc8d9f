"""Finding the project, and the set of files that is sent: real git, real folders; the script that deletes there."""

# Names are bytes here.
# ruff: noqa: PTH103, PTH109, PTH118, PTH120

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgummy import fileset
from dgummy.errors import ConfigError, SyncError, UsageError
from dgummy.project import Project, check_root, find, listing, remote_dir_for
from dgummy.remote import compose, quote
from dgummy.syncplan import Listing, decode_manifest, encode_manifest, manifest_id
from remote_scripts import SHELLS, Heard, hear

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git on this machine")


def git(folder: Path, *args: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    clean |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(folder)}
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run(
        ["git", *who, "-c", "protocol.file.allow=always", *args], cwd=folder, env=clean, check=True, capture_output=True
    )


def write(root: Path, *names: str | bytes) -> None:
    for name in names:
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"12345")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "home" / "work" / "proj"
    root.mkdir(parents=True)
    git(root, "init", "-q")
    return root


def sent(
    root: Path, excludes: tuple[str, ...] | None = None, extra: tuple[str, ...] = (), is_git: bool = True
) -> Listing:
    return listing(Project(root, is_git, "", root.name), excludes, extra)


# --- where the project is -------------------------------------------------------------------


@needs_git
def test_a_work_tree_is_the_project_from_anywhere_in_it(repo: Path, tmp_path: Path) -> None:
    write(repo, "src/deep/a", "src/pyproject.toml")
    assert find(repo / "src" / "deep", tmp_path / "home", {}) == Project(repo, True, "src/deep", "proj")
    assert find(repo, tmp_path / "home", {}) == Project(repo, True, "", "proj")


@needs_git
def test_what_agents_remember_stays_where_it_is(repo: Path) -> None:
    """Tracked or not: a host's own memory would be overwritten. Whoever wants it sent names it."""
    write(repo, "a", ".gummy/lib/core.sh", ".gummy/specialists/one/meta.yaml", "sub/.gummy/moved/two/meta.yaml")
    found = sent(repo)
    assert found.paths == (b".gummy/lib/core.sh", b"a") and ".gummy/specialists" in found.excluded
    git(repo, "add", "-f", ".")
    assert sent(repo).paths == (b".gummy/lib/core.sh", b"a")
    outside_git = listing(Project(repo, False, "", "proj"), None)
    assert outside_git.paths == (b".gummy/lib/core.sh", b"a")
    named = listing(Project(repo, True, "", "proj"), None, (".gummy/specialists/**",))
    assert b".gummy/specialists/one/meta.yaml" in named.paths


@needs_git
def test_a_linked_work_tree_is_one_too(repo: Path, tmp_path: Path) -> None:
    write(repo, "a")
    git(repo, "add", "a")
    git(repo, "commit", "-qm", "x")
    git(repo, "worktree", "add", "-q", str(tmp_path / "home" / "other"))
    other = tmp_path / "home" / "other"
    assert find(other, tmp_path / "home", {}) == Project(other, True, "", "other")
    assert sent(other).paths == (b"a",)


@pytest.mark.parametrize("marker", ["tasks.py", "invoke.yaml", "pyproject.toml"])
def test_outside_git_a_marker_file_makes_the_project(tmp_path: Path, marker: str) -> None:
    home = tmp_path / "home"
    write(home, f"p/{marker}", "p/a/b/c", marker)
    assert find(home / "p" / "a" / "b", home, {}) == Project(home / "p", False, "a/b", "p")
    # home has a marker too, and is no project
    (home / "loose").mkdir()
    assert find(home / "loose", home, {}) == Project(home / "loose", False, "", "loose")


@needs_git
def test_a_home_kept_in_git_is_no_project(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "notes").mkdir(parents=True)
    git(home, "init", "-q")
    assert find(home / "notes", home, {}) == Project(home / "notes", False, "", "notes")
    assert find(home, home, {}).root == home and not find(home, home, {}).is_git


def test_an_empty_git_folder_is_not_a_repository(tmp_path: Path) -> None:
    (tmp_path / "p" / ".git").mkdir(parents=True)
    assert not find(tmp_path / "p", tmp_path / "home", {}).is_git


@needs_git
def test_the_path_stays_as_it_was_typed(repo: Path, tmp_path: Path) -> None:
    link = tmp_path / "home" / "link"
    link.symlink_to(repo)
    assert find(repo, tmp_path / "home", {"PWD": str(link)}).root == link
    assert find(repo, tmp_path / "home", {"PWD": "/nonsense"}).root == repo


def test_what_may_not_be_synced(tmp_path: Path) -> None:
    home = tmp_path / "home"
    project = home / "p"
    (project / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    for root in (Path("/"), home, tmp_path, tmp_path / "link"):
        with pytest.raises(UsageError) as caught:
            check_root(root, home)
        assert caught.value.remedy
        check_root(root, home, force=True)
    check_root(project, home)
    check_root(project / "sub", home, project=project)
    with pytest.raises(UsageError, match="outside the project"):
        check_root(home / "q", home, project=project)
    check_root(home / "q", home, project=project, force=True)


@pytest.mark.parametrize(
    ("root", "configured", "place"),
    [
        ("/home/me/work/p", None, "~/work/p"),
        ("/home/me/a b/$x", None, "~/a b/$x"),
        ("/work/p", None, "~/work/p"),
        ("/home/meow/p", None, "~/home/meow/p"),
        ("/home/me/p", "~/builds/{name}", "~/builds/p"),
        ("/home/me/p", "/srv/{name}/", "/srv/p"),
        ("/home/me/p", "builds//x/.", "~/builds/x"),
    ],
)
def test_where_it_goes(root: str, configured: str | None, place: str) -> None:
    assert remote_dir_for(Path(root), Path("/home/me"), configured) == place


@pytest.mark.parametrize("bad", ["", "~", "~/", "/", "//", "/.", "-x", "~root/x", "a\nb", "/a\x1bb", "~/../x", "/a/.."])
def test_where_it_may_not_go(bad: str) -> None:
    with pytest.raises(ConfigError) as caught:
        remote_dir_for(Path("/home/me/p"), Path("/home/me"), bad)
    assert caught.value.remedy


# --- the set ----------------------------------------------------------------------------------


@needs_git
def test_git_decides_with_all_its_rules(repo: Path) -> None:
    (repo / ".gitignore").write_text("*.o\n!keep.o\n/out/*\n!/out/keep\ncache/\n")
    write(repo, "a.c", "a.o", "keep.o", "out/x", "out/keep", "src/cache/x", "src/b", "forced.o", "gone", "-n", "sp ace")
    write(repo, b"new\nline", b"caf\xe9", b'q"uote')
    git(repo, "add", "-f", "a.c", "forced.o", "gone")
    (repo / "gone").unlink()
    expected = {b".gitignore", b"a.c", b"keep.o", b"out/keep", b"src/b", b"forced.o", b"-n", b"sp ace"}
    found = sent(repo)
    assert set(found.paths) == expected | {b"new\nline", b"caf\xe9", b'q"uote'}
    assert found.paths == tuple(sorted(found.paths))
    assert dict(zip(found.paths, found.sizes_bytes, strict=True))[b"a.c"] == 5


@needs_git
def test_excludes_spare_what_is_tracked_unless_the_user_wrote_them(repo: Path) -> None:
    write(repo, "build/tracked", "build/loose", "src/app.log", "node_modules/x/y")
    git(repo, "add", "build/tracked")
    found = sent(repo)
    assert found.paths == (b"build/tracked",)
    assert set(found.excluded) == {"build", "*.log", "node_modules", ".git"}
    assert sent(repo, ("build",)).paths == (b"node_modules/x/y", b"src/app.log")
    assert sent(repo, ("build/*", "!build/loose", "node_modules")).paths == (b"build/loose", b"src/app.log")


@needs_git
def test_what_git_ignores_is_named_if_it_is_an_exclude(repo: Path) -> None:
    (repo / ".gitignore").write_text("node_modules\n")
    write(repo, "node_modules/x", "a")
    assert sent(repo).excluded == ("node_modules", ".git")


@needs_git
def test_extra_files_go_though_they_are_ignored(repo: Path) -> None:
    (repo / ".gitignore").write_text(".env\ncerts\nnode_modules\n")
    write(repo, ".env", "certs/a/b.pem", "certs/c.key", "node_modules/x", "top.pem", "sub/.env")
    (repo / "certs" / "link").symlink_to("/etc")
    found = sent(repo, None, (".env", "certs/**", "missing.*", ".git/config"))
    assert {b".env", b"certs/a/b.pem", b"certs/c.key", b"certs/link"} <= set(found.paths)
    assert b"sub/.env" not in found.paths and b"node_modules/x" not in found.paths
    assert not any(path.startswith(b".git/") for path in found.paths)
    assert sum("matches nothing" in text or "nothing here matches" in text for text in found.notices) == 2
    assert b"sub/.env" in sent(repo, None, ("**/.env",)).paths
    assert set(sent(repo, None, ("certs",)).paths) >= {b"certs/a/b.pem", b"certs/c.key"}
    assert b"certs/c.key" in sent(repo, ("certs",), ("certs/*.key",)).paths


@pytest.mark.parametrize("bad", ["/etc/passwd", "../x", "a/../../x", ""])
def test_extra_stays_inside_the_project(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigError):
        sent(tmp_path, None, (bad,), is_git=False)


def test_a_bad_pattern_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sync_exclude"):
        sent(tmp_path, ("!",), is_git=False)


@needs_git
def test_repositories_inside_are_asked_themselves(repo: Path, tmp_path: Path) -> None:
    library = tmp_path / "lib"
    library.mkdir()
    git(library, "init", "-q")
    (library / ".gitignore").write_text("*.tmp\n")
    write(library, "l.c")
    git(library, "add", "-A")
    git(library, "commit", "-qm", "x")
    git(repo, "submodule", "add", "-q", str(library), "vendor/lib")
    write(repo, "vendor/lib/new.c", "vendor/lib/x.tmp", "nested/n.c", "nested/n.skip")
    git(repo / "nested", "init", "-q")
    (repo / "nested" / ".gitignore").write_text("*.skip\n")
    assert set(sent(repo).paths) == {
        b".gitmodules",
        b"vendor/lib/.gitignore",
        b"vendor/lib/l.c",
        b"vendor/lib/new.c",
        b"nested/.gitignore",
        b"nested/n.c",
    }


@needs_git
def test_links_go_as_links_and_nothing_behind_them(repo: Path, tmp_path: Path) -> None:
    write(tmp_path, "outside/secret")
    write(repo, "dir/a", "was/b")
    git(repo, "add", "-A")
    shutil.rmtree(repo / "was")
    (repo / "was").symlink_to(tmp_path / "outside")  # a tracked folder that is a link now
    write(tmp_path, "outside/b")
    (repo / "inside").symlink_to("dir")
    (repo / "dir" / "up").symlink_to("../../x")
    found = sent(repo)
    assert set(found.paths) == {b"dir/a", b"dir/up", b"inside", b"was"}
    assert [text for text in found.notices if "lead out" in text and "dir/up" in text and "was" in text]
    assert "inside" not in " ".join(found.notices)


@needs_git
def test_an_unmerged_file_is_sent_once(repo: Path) -> None:
    write(repo, "a")
    git(repo, "add", "a")
    git(repo, "commit", "-qm", "1")
    git(repo, "checkout", "-qb", "other")
    (repo / "a").write_text("other")
    git(repo, "commit", "-qam", "2")
    git(repo, "checkout", "-q", "main")
    (repo / "a").write_text("main")
    git(repo, "commit", "-qam", "3")
    with pytest.raises(subprocess.CalledProcessError):
        git(repo, "merge", "other")
    assert sent(repo).paths == (b"a",)


@needs_git
def test_a_hooks_environment_does_not_lead_git_astray(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repo, "a")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", "/dev/null")
    assert sent(repo).paths == (b"a",)


@needs_git
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_somebody_else_is_refused_with_the_remedy(
    repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    for path in (repo, repo / ".git"):
        os.chown(path, 65534, 65534)
    with pytest.raises(SyncError) as caught:
        sent(repo)
    assert "another user" in caught.value.message and "safe.directory" in caught.value.remedy
    assert str(repo) in caught.value.remedy


@needs_git
def test_a_broken_repository_is_refused(repo: Path) -> None:
    (repo / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(SyncError) as caught:
        sent(repo)
    assert caught.value.remedy and "\n" not in caught.value.message


def test_without_git_everything_is_sent_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "p", "a", ".git/HEAD", "node_modules/x")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = sent(tmp_path / "p")
    assert found.paths == (b"a",) and "git is not installed" in found.notices[0]


def test_a_git_that_hangs_is_ended(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\nexec sleep 30\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(fileset, "GIT_TIMEOUT_S", 0.2)
    with pytest.raises(SyncError, match="did not list"):
        sent(repo)


def test_outside_git_everything_but_the_excludes(tmp_path: Path) -> None:
    write(tmp_path, "a", "src/b.log", "src/c", "node_modules/x/y", "deep/dist/z", ".hidden", b"bad\xff")
    (tmp_path / "loop").symlink_to(".")
    found = sent(tmp_path, is_git=False)
    assert found.paths == (b".hidden", b"a", b"bad\xff", b"loop", b"src/c")
    assert set(found.excluded) == {"node_modules", "dist", "*.log"}
    assert b"src/b.log" in sent(tmp_path, ("src/c", "/node_modules"), is_git=False).paths


def test_what_is_neither_file_nor_link_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, "a")
    os.mkfifo(tmp_path / "pipe")
    here = os.getcwd()
    os.chdir(tmp_path)  # a socket's path may not be long
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("sock")
    finally:
        os.chdir(here)
    found = sent(tmp_path, is_git=False)
    assert found.paths == (b"a",)
    assert found.notices == ("not sent, neither file nor link: pipe, sock",)


# --- the script on the host ------------------------------------------------------------------


def run_sync(shell: list[str], where: Path, call: str, *args: str | bytes, **variables: str) -> Heard:
    home = where.parent
    workspace = home / "ws"
    workspace.mkdir(exist_ok=True)
    script = compose(["sync"], call, args, variables={"DG_WS": str(workspace), **variables})
    into = b"cd " + quote(os.fsencode(where)) + b" || exit 9\n"
    return hear(shell, home, into + script.text, script.marker)


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> list[str]:
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"there is no {request.param[0]} on this machine")
    return list(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "it's a place"
    place.mkdir()
    return place


def everything(folder: Path) -> set[bytes]:
    base = os.fsencode(folder)
    return {
        os.path.relpath(os.path.join(at, name), base)
        for at, folders, files in os.walk(base)
        for name in folders + files
    }


def test_deletes_files_and_the_folders_left_empty(shell: list[str], folder: Path) -> None:
    odd = [b"-rf", b"new\nline", b"q'u\"o", b"caf\xe9", b"*", b"d e/-x", b"$(touch pwned)"]
    write(folder, *odd, "a/b/c", "a/b2/kept", "e/f/g", "kept")
    heard = run_sync(shell, folder, "delete_gone", *odd, b"a/b/c", b"e/f/g", b"never/was")
    assert heard.status == 0 and heard.first("deleted") == "9" and heard.stderr == ""
    assert everything(folder) == {b"kept", b"a", b"a/b2", b"a/b2/kept"}


def test_a_folder_or_what_is_behind_a_link_is_left_alone(shell: list[str], folder: Path) -> None:
    write(folder, "was-file/now-folder", "real/x")
    outside = folder.parent / "outside"
    write(outside, "precious", "sub/precious")
    (folder / "link").symlink_to(outside)
    (folder / "real" / "deep").symlink_to(outside / "sub")
    (folder / "gone-link").symlink_to(outside)
    names = ("was-file", "link/precious", "link/sub/precious", "real/deep/precious", "gone-link")
    heard = run_sync(shell, folder, "delete_gone", *names)
    assert heard.status == 0 and heard.first("deleted") == "1"
    assert everything(outside) == {b"precious", b"sub", b"sub/precious"}
    assert (folder / "was-file" / "now-folder").exists() and not (folder / "gone-link").is_symlink()


@pytest.mark.parametrize("bad", ["/etc/passwd", "../x", "a/../../x", "a/..", "", "./a", "a//b"])
def test_a_name_that_leads_out_stops_everything(folder: Path, bad: str) -> None:
    write(folder, "a")
    write(folder.parent, "x")
    heard = run_sync(["dash"], folder, "delete_gone", "a", bad)
    assert heard.status != 0 and heard.first("deleted", "none") == "none"
    assert (folder / "a").exists() and (folder.parent / "x").exists()


def test_thousands_of_names_at_once(shell: list[str], folder: Path) -> None:
    names = sorted(b"dir%d/%s%d" % (n % 50, b"x" * 100, n) for n in range(3000))
    write(folder, *names)
    heard = run_sync(shell, folder, "delete_gone", *names)
    assert heard.first("deleted") == "3000" and everything(folder) == set()


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("chattr") is None, reason="root deletes everything")
def test_what_cannot_be_deleted_is_said(folder: Path) -> None:
    write(folder, "closed/a", "open")
    root = os.geteuid() == 0
    if root and subprocess.run(["chattr", "+i", folder / "closed" / "a"], capture_output=True).returncode != 0:
        pytest.skip("this file system cannot protect a file from root")
    if not root:
        (folder / "closed").chmod(0o555)
    try:
        heard = run_sync(["dash"], folder, "delete_gone", "closed/a", "open")
        assert (heard.status, heard.first("deleted"), heard.first("undeleted")) == (1, "1", "1")
    finally:
        if root:
            subprocess.run(["chattr", "-i", folder / "closed" / "a"], check=True)
        (folder / "closed").chmod(0o755)


def test_the_manifest_comes_back_as_it_was_written(shell: list[str], folder: Path) -> None:
    paths = [b"a", b"new\nline", b"caf\xe9", b"100%", b"it's"]
    text, ident = encode_manifest(paths), manifest_id(paths)
    assert run_sync(shell, folder, "manifest_read").streams == {}
    assert run_sync(shell, folder, "manifest_write", DG_MANIFEST=text).status == 0
    under_way = run_sync(shell, folder, "manifest_read")
    assert under_way.first("sent_id", "none") == "none"
    assert run_sync(shell, folder, "manifest_write", ident, DG_MANIFEST=text).status == 0
    heard = run_sync(shell, folder, "manifest_read")
    assert heard.first("sent_id") == ident
    assert decode_manifest(heard.streams["file"].decode("utf-8", "surrogateescape")) == set(paths)
    # the next sync begins: what is there is not to be trusted until it ends
    run_sync(shell, folder, "manifest_write", DG_MANIFEST=text)
    assert run_sync(shell, folder, "manifest_read").first("sent_id", "none") == "none"


part = st.binary(min_size=1, max_size=8).filter(
    lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..", b".git")
)


@needs_git
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(st.lists(part, min_size=1, max_size=3).map(b"/".join), max_size=6))
def test_whatever_names_there_are_git_and_we_agree(tmp_path_factory: pytest.TempPathFactory, names: set[bytes]) -> None:
    root = tmp_path_factory.mktemp("any")
    git(root, "init", "-q")
    there = set()
    for name in names:
        try:
            write(root, name)
        except OSError:  # a name cannot be a file and a folder
            continue
        there.add(name)
    found = sent(root, ())
    assert set(found.paths) == there
