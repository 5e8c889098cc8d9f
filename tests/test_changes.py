"""What a host tells of changes, taken apart and judged: tables of cases."""

from __future__ import annotations

import pytest

from dgummy import changes
from dgummy.changes import Entry, Sifted
from dgummy.reconcile import read_reports
from dgummy.syncplan import leads_out
from dgummy.transport.framing import Fact
from dgummy.work import Changed, Kind, Skipped

FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120777
FIFO, SOCKET, BLOCK, CHARACTER, FOLDER = 0o010644, 0o140755, 0o060660, 0o020660, 0o040755


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"/\0", []),
        (b"./a\0./b/c\0/\0", [b"a", b"b/c"]),
        (b"./new\nline\0./\xff\0./-rf\0/\0", [b"new\nline", b"\xff", b"-rf"]),
        (b"", None),
        (b"./a\0", None),
        (b"./a\0/", None),
        (b"./a\0./b\0/\0./c", None),
        (b"./a\0x/\0", None),
    ],
)
def test_names(data: bytes, names: list[bytes] | None) -> None:
    assert changes.decode_names(data) == names


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (b"81a4 1267 2026-11-24 14:09:45.763559536 +0000", Entry(FILE, 1267, "2026-11-24 14:09:45.763559536 +0000")),
        (b"81A4 0 1700000000.123", Entry(FILE, 0, "1700000000.123")),
        (b"-", None),
        (b"", None),
        (b"81a4 -1 x", None),
        (b"81a4 99999999999999999999 x", None),
        (b"zz 1 x", None),
        (b"\xff\xff 1 x", None),
    ],
)
def test_stats(line: bytes, entry: Entry | None) -> None:
    assert changes.decode_stats(line + b"\n") == [entry]


def test_stats_that_were_cut_short_are_fewer() -> None:
    assert len(changes.decode_stats(b"81a4 1 x\n81a4 2")) == 1


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (FILE, Kind.FILE),
        (PROGRAM, Kind.PROGRAM),
        (0o100654, Kind.FILE),  # git looks at the owner's bit
        (LINK, Kind.LINK),
        (FIFO, None),
        (SOCKET, None),
        (BLOCK, None),
        (CHARACTER, None),
        (FOLDER, None),
    ],
)
def test_kinds(mode: int, kind: Kind | None) -> None:
    assert changes.kind_of(mode) is kind


def sift_one(name: bytes, mode: int = FILE, *, unreadable: bool = False) -> Sifted:
    return changes.sift([name], [Entry(mode, 3, "")], [name] if unreadable else [], [])


@pytest.mark.parametrize(
    "name", [b"a", b"a/b", b"new\nline", b"\xff", b"-rf", b".gitignore", b"x.git/a", b"git", b"\x1b[m"]
)
def test_ordinary_names_are_brought(name: bytes) -> None:
    assert sift_one(name) == Sifted((Changed(name, Kind.FILE, 3),))
    assert changes.sift([], [], [], [name]) == Sifted(missing=(name,))


@pytest.mark.parametrize("name", [b"../a", b"/etc/passwd", b"a/../../b", b"", b".", b"a//b", b"a/", b"./a", b"a/.."])
def test_names_that_lead_out_are_not(name: bytes) -> None:
    found = sift_one(name)
    assert not found.changed and [one.is_work for one in found.skipped] == [False]
    assert changes.sift([], [], [], [name]) == Sifted()


@pytest.mark.parametrize(
    "name",
    [
        ".git",
        ".git/config",
        "sub/.git/hooks/pre-commit",
        ".GIT/x",
        ".Git",
        "git~1/x",
        "GIT~1",
        ".git /x",
        ".git./x",
        ".git...  /x",
        ".gi\u200ct/x",
        "\ufeff.git",
        ".g\u202eit",
        ".git::$INDEX_ALLOCATION/x",
        ".git\\config",
    ],
)
def test_gits_folder_in_any_spelling_stays(name: str) -> None:
    found = sift_one(name.encode())
    assert not found.changed
    assert found.skipped == (Skipped(name.encode(), "git's own folder is not brought home", is_work=False),)
    assert changes.sift([], [], [], [name.encode()]) == Sifted()


@pytest.mark.parametrize(
    ("mode", "says"), [(FIFO, "a pipe"), (SOCKET, "a socket"), (BLOCK, "a device"), (CHARACTER, "a device")]
)
def test_special_files_are_named(mode: int, says: str) -> None:
    (skipped,) = sift_one(b"odd", mode).skipped
    assert skipped.reason.startswith(says) and not skipped.is_work


def test_what_cannot_be_read_is_still_work() -> None:
    assert sift_one(b"a", unreadable=True).skipped == (Skipped(b"a", "its host's user cannot read it"),)
    assert sift_one(b"a", LINK, unreadable=True).changed  # a link can always be read
    (folder,) = changes.sift([], [], [b"closed"], []).skipped
    assert "folder" in folder.reason and folder.is_work


def test_a_link_that_git_refuses() -> None:
    assert sift_one(b"sub/.gitmodules", LINK).skipped and sift_one(b".gitmodules", FILE).changed


def test_what_came_and_went_is_missing_and_nothing_is_both() -> None:
    entries = [Entry(FILE, 1, ""), None, Entry(FILE, 1, "")]
    found = changes.sift([b"b", b"a", b"b"], entries, [], [b"b", b"c"])
    assert found == Sifted((Changed(b"b", Kind.FILE, 1),), (b"a", b"c"))


def test_limits() -> None:
    sizes = {b"a": 60, b"b": 101, b"c": 50, b"d": 30, b"e": 0}
    files = [Changed(name, Kind.FILE, size) for name, size in sizes.items()]
    kept, skipped = changes.limit(files, 100, 100)
    assert [one.path for one in kept] == [b"c", b"d", b"e"]  # in their order; the smallest first where not all fit
    assert [one.path for one in skipped] == [b"a", b"b"] and all(one.is_work for one in skipped)
    assert skipped[0].reason.endswith("more than collect.max_total_bytes")
    assert skipped[1].reason == "101 B, more than collect.max_bytes"
    assert changes.limit([Changed(b"x", Kind.FILE, 5_400_000_000)], 10**8, 10**9)[1][0].reason.startswith("5.")
    assert changes.limit(files, 101, 241) == (tuple(files), ())


@pytest.mark.parametrize(
    ("names", "clashes"),
    [
        ([b"a", b"b", b"a/c"], ()),
        ([b"README", b"readme", b"Readme"], ((b"README", b"Readme", b"readme"),)),
        ([b"src/a", b"Src/b"], ((b"Src", b"src"),)),
        ([b"src/a", b"src/b", b"src/A"], ((b"src/A", b"src/a"),)),
        (["É".encode(), "é".encode()], (("É".encode(), "é".encode()),)),
        ([b"\xff", b"\xfe"], ()),
    ],
)
def test_names_that_clash_where_case_does_not_count(names: list[bytes], clashes: object) -> None:
    assert changes.case_clashes(names) == clashes


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        (b"a", b"b", False),
        (b"a", b"/etc/passwd", True),
        (b"a", b"..", True),
        (b"a/b", b"..", False),
        (b"a/b", b"../..", True),
        (b"a/b", b"../c/./d", False),
        (b"a/b", b"c/../../..", True),
        (b"a/b", b"../../a/b", True),
        (b"a", b"", False),
    ],
)
def test_links_that_lead_out(path: bytes, target: bytes, out: bool) -> None:
    assert leads_out(path, target) is out


@pytest.mark.parametrize(
    ("fact", "work", "settled"),
    [
        ("r1 7 -", 7, ""),
        ("r1 0 -", 0, ""),
        ("r1 - collected", None, "collected"),
        ("r1 7 discarded", 7, "discarded"),
        ("r1 7 whatever", 7, ""),
        ("r1", None, ""),
        ("r2 7 -", None, ""),
    ],
)
def test_what_a_host_reports_of_it(fact: str, work: int | None, settled: str) -> None:
    report = read_reports([Fact("report", "r1 ended 9 1 2 3 0 exited - "), Fact("work", fact)])["r1"]
    assert (report.work, report.settled) == (work, settled)
