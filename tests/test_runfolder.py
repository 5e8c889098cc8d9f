"""Files of a run that are not in git: never outside, never through a link, never over what is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dgummy.errors import TryAgainError
from dgummy.runfolder import RunFolder
from dgummy.work import Brought, Kind


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "state", "20261124-101502-7wq2ke", "node-1")


def brought(tmp_path: Path, path: bytes, content: bytes = b"content\n", kind: Kind = Kind.FILE) -> Brought:
    spool = tmp_path / f"spool-{len(list(tmp_path.iterdir()))}"
    spool.write_bytes(content)
    return Brought(path, kind, str(spool))


def test_a_file_lies_under_its_own_name(folder: RunFolder, tmp_path: Path) -> None:
    path = folder.put(brought(tmp_path, b"dist/app-1.0.whl", b"\0wheel"))
    assert path == folder.path / "dist/app-1.0.whl"
    assert path.read_bytes() == b"\0wheel"
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.put(brought(tmp_path, b"dist/run.sh", kind=Kind.PROGRAM)).stat().st_mode & 0o777 == 0o700


def test_the_same_again_is_left_alone_and_another_gets_a_number(folder: RunFolder, tmp_path: Path) -> None:
    first = folder.put(brought(tmp_path, b"dist/a.tar.gz", b"one"))
    assert folder.put(brought(tmp_path, b"dist/a.tar.gz", b"one")) == first
    second = folder.put(brought(tmp_path, b"dist/a.tar.gz", b"two"))
    assert second.name == "a.tar.2.gz"
    assert folder.put(brought(tmp_path, b"dist/a.tar.gz", b"two")) == second
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")
    assert folder.put(brought(tmp_path, b"dist/a.tar.gz", b"longer")).name == "a.tar.3.gz"


@pytest.mark.parametrize("path", [b"../out", b"a/../../out", b"/etc/passwd", b"", b"a//b", b"./a", b"a/."])
def test_a_name_that_leads_out_is_refused(folder: RunFolder, tmp_path: Path, path: bytes) -> None:
    with pytest.raises(ValueError, match="leads out"):
        folder.put(brought(tmp_path, path))
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_through_a_link(folder: RunFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = folder.put(brought(tmp_path, b"way", os.fsencode(outside), Kind.LINK))
    assert link.is_symlink()
    path = folder.put(brought(tmp_path, b"way/file"))
    assert path == folder.path / "way.2/file"
    assert list(outside.iterdir()) == []
    (tmp_path / "target").write_text("mine")
    folder.put(brought(tmp_path, b"l", os.fsencode(tmp_path / "target"), Kind.LINK))
    assert folder.put(brought(tmp_path, b"l", b"theirs")).name == "l.2"
    assert (tmp_path / "target").read_text() == "mine"


def test_a_file_where_a_folder_should_be(folder: RunFolder, tmp_path: Path) -> None:
    folder.put(brought(tmp_path, b"a"))
    assert folder.put(brought(tmp_path, b"a/b")) == folder.path / "a.2/b"
    folder.put(brought(tmp_path, b"c/d"))
    assert folder.put(brought(tmp_path, b"c")) == folder.path / "c.2"


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe", b"-dash", b" blank ", "é😀".encode(), b"x" * 255])
def test_odd_names(folder: RunFolder, tmp_path: Path, name: bytes) -> None:
    path = folder.put(brought(tmp_path, b"d/" + name))
    assert path.read_bytes() == b"content\n"
    assert path.parent == folder.path / "d"


def test_what_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(TryAgainError, match="cannot be written"):
        RunFolder(tmp_path, "r", "h").put(brought(tmp_path, b"a"))
