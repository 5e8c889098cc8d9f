"""Specialists that move: tables of what may, the script under the shells of hosts, and the lab with its faults."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cli_lab import Desk, Result, open_desk
from dgummy import moverules
from dgummy.errors import DgummyError, ExitCode
from dgummy.lab import Figures, set_figures
from dgummy.model import Failure, FailureKind
from dgummy.moverules import Item, Look
from dgummy.moving import _words
from dgummy.transport.framing import Fact
from remote_scripts import Box, MakeBox

NAME, SESSION = "database-expert", "11111111-2222-3333-4444-555555555555"
META = {"session_id": SESSION, "status": "dormant", "last_active": "2026-11-20T10:00:00Z"}
MEMORY = (Item("memory/meta.yaml", "1", 10), Item("memory/session.txt", "2", 37))
HERE, THERE = "/home/u/app", "/Users/u/app"


def transcript(folder: str, cksum: str = "3") -> Item:
    return Item(f"transcript/{folder}", cksum, 1000)


def look(**changes: Any) -> Look:
    """A specialist as it should be, on the first host."""
    given: dict[str, Any] = {
        "place": HERE,
        "home": "/home/u",
        "here": True,
        "meta": META,
        "session_txt": SESSION,
        "memory": MEMORY,
        "transcripts": (transcript("-home-u-app"),),
        "speaking": frozenset({"-home-u-app"}),
        "tools": frozenset({"gummy", "claude"}),
    }
    return Look(**{**given, **changes})


EMPTY = Look(place=THERE, home="/Users/u", tools=frozenset({"gummy"}))
ARRIVED = look(
    place=THERE,
    home="/Users/u",
    transcripts=(transcript("-Users-u-app"),),
    speaking=frozenset({"-Users-u-app"}),
)


@pytest.mark.parametrize("name", ["", " ", "../x", "a/b", "..", ".hidden", "a\nb", "a\x1b[31m", "a\0b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(DgummyError) as caught:
        moverules.check_name(name)
    assert caught.value.code == ExitCode.USAGE and caught.value.message.isprintable() and caught.value.remedy


P, G, PG, NO = frozenset({"project"}), frozenset({"global"}), frozenset({"project", "global"}), frozenset[str]()
SILENT = Failure(FailureKind.TIMED_OUT)


@pytest.mark.parametrize(
    ("found", "source", "project", "expected"),
    [
        ({"a": P, "b": NO}, None, False, ("a", "project")),
        ({"a": G, "b": NO}, None, False, ("a", "global")),
        ({"a": P, "b": P}, None, False, ("a", "project")),  # an earlier try, or something else: that is seen there
        ({"a": NO, "b": P}, None, False, ("b", "project")),  # it is there already
        ({"a": PG, "b": NO}, None, True, ("a", "project")),
        ({"a": P, "b": NO, "c": G}, None, True, ("a", "project")),
        ({"a": P, "b": NO, "c": P}, "c", False, ("c", "project")),
        ({"a": P, "b": NO, "c": SILENT}, None, False, ("a", "project")),
        ({"a": NO, "b": P}, "a", False, ("b", "project")),
        ({"a": NO, "b": NO}, None, False, "there is no specialist called database-expert on a, b"),
        ({"a": G, "b": NO}, None, True, "there is no specialist of this project called database-expert on a, b"),
        ({"a": NO, "b": NO, "c": SILENT}, None, False, "on a, b; c did not answer (timed out)"),
        ({"a": P, "b": NO, "c": P}, None, False, "several called database-expert: a (project), c (project)"),
        ({"a": PG, "b": NO}, None, False, "several called database-expert: a (project), a (global)"),
        ({"a": NO, "b": NO, "c": P}, "a", False, "there is no specialist called database-expert on a"),
    ],
)
def test_which_one_is_meant(found: Any, source: str | None, project: bool, expected: tuple[str, str] | str) -> None:
    if isinstance(expected, tuple):
        assert moverules.choose_source(NAME, found, "b", source, project=project) == expected
        return
    with pytest.raises(DgummyError) as caught:
        moverules.choose_source(NAME, found, "b", source, project=project)
    assert expected in caught.value.message and caught.value.code == ExitCode.USAGE and caught.value.remedy


SOURCES: list[tuple[dict[str, Any], bool, int, str]] = [
    ({}, False, 0, ""),
    ({"meta": {**META, "status": "active"}}, False, 75, "is active since 2026-11-20T10:00:00Z"),
    ({"meta": {**META, "status": "active"}}, True, 0, ""),
    ({"busy": "r1"}, False, 75, "run r1 is at work in its project on node-1"),
    ({"busy": "r1"}, True, 0, ""),
    ({"here": False}, False, 75, "not there any more"),
    ({"trouble": "linked /home/u/app/.gummy"}, True, 75, "/home/u/app/.gummy is a link"),
    ({"large": "60000000 4"}, True, 1, "holds 60 MB in 4 files; at most 50 MB and 300 files"),
    ({"odd": ("pipe", "link")}, True, 1, "cannot be carried: pipe, link"),
    ({"session_txt": "other"}, True, 1, f"meta.yaml says session {SESSION}, session.txt other"),
    ({"session_txt": "a b"}, True, 1, "its session id a b is none"),
    ({"transcripts": ()}, True, 1, "has no transcript"),
    ({"meta": {"session_id": "null", "status": "new"}, "session_txt": "", "transcripts": ()}, False, 0, ""),
]


@pytest.mark.parametrize(("changes", "force", "code", "says"), SOURCES)
def test_what_may_be_carried_away(changes: dict[str, Any], force: bool, code: int, says: str) -> None:
    if not code:
        moverules.check_source(NAME, "node-1", look(**changes), force=force)
        return
    with pytest.raises(DgummyError) as caught:
        moverules.check_source(NAME, "node-1", look(**changes), force=force)
    assert caught.value.code == code and says in caught.value.message and caught.value.remedy


@pytest.mark.parametrize(
    ("target", "force", "code", "says"),
    [
        (EMPTY, False, 0, ""),
        (Look(trouble="absent /Users/u/app"), True, 75, "there is no /Users/u/app on node-2"),
        (Look(trouble="linked /Users/u/app/.gummy"), True, 75, "/Users/u/app/.gummy is a link"),
        (Look(place=THERE, tools=frozenset({"gummy"}), busy="r1"), False, 75, "run r1 is at work"),
        (Look(place=THERE, tools=frozenset({"claude"})), False, 69, "node-2 lacks gummy"),
        (Look(place=THERE, busy="r1"), True, 0, ""),
    ],
)
def test_what_it_may_be_carried_to(target: Look, force: bool, code: int, says: str) -> None:
    if not code:
        moverules.check_target(NAME, "node-2", target, "gummy", "brew install it", force=force)
        return
    with pytest.raises(DgummyError) as caught:
        moverules.check_target(NAME, "node-2", target, "gummy", "brew install it", force=force)
    assert caught.value.code == code and says in caught.value.message
    if "absent" in target.trouble:
        assert "inv sync --host node-2" in caught.value.remedy


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/u/app", "-home-u-app"),
        ("/home/u/my app_2.0", "-home-u-my-app-2-0"),
        ("/home/é", "-home--"),
        ("/home/😀x", "-home---x"),  # two units of UTF-16
        ("/A9", "-A9"),
    ],
)
def test_folder_names_are_those_of_the_agents_cli(path: str, name: str) -> None:
    assert moverules.folder_name(path) == name


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["-home-u-app"], {"-home-u-app": "-Users-u-app"}),
        (["-home-u-app-src-db"], {"-home-u-app-src-db": "-Users-u-app-src-db"}),  # begun in a folder of the project
        (["-home-u-other"], {"-home-u-other": "-Users-u-other"}),  # of a global one
        (["-home-us"], {}),
        (["-srv-x", "-home-u-app"], {"-home-u-app": "-Users-u-app"}),
    ],
)
def test_where_a_transcript_belongs(folders: Sequence[str], expected: dict[str, str]) -> None:
    source = look(transcripts=tuple(map(transcript, folders)))
    assert moverules.folders_for(source, EMPTY) == expected


def test_a_launcher_that_counts_bytes_is_followed_too() -> None:
    source, target = look(place="/home/é/a", home="/home/é"), Look(place="/srv/é/a", home="/srv/é")
    for here, there in (("-home---a", "-srv---a"), ("-home----a", "-srv----a")):
        named = look(place=source.place, home=source.home, transcripts=(transcript(here),))
        assert moverules.folders_for(named, target) == {here: there}


FOLDERS = {"-home-u-app": "-Users-u-app"}


def test_what_is_carried() -> None:
    carry = moverules.to_carry(NAME, "node-2", look(), EMPTY, FOLDERS)
    assert [name for _, name in carry] == ["memory/meta.yaml", "memory/session.txt", "transcript/-Users-u-app"]
    assert moverules.to_carry(NAME, "node-2", look(), ARRIVED, FOLDERS) == []
    half = Look(place=THERE, transcripts=ARRIVED.transcripts)
    assert [name for _, name in moverules.to_carry(NAME, "node-2", look(), half, FOLDERS)] == [
        "memory/meta.yaml",
        "memory/session.txt",
    ]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (Look(place=THERE, here=True, memory=MEMORY[:1]), "/Users/u/app/.gummy/specialists/database-expert"),
        (
            Look(place=THERE, transcripts=(transcript("-Users-u-app", "9"),)),
            f"~/.claude/projects/-Users-u-app/{SESSION}.jsonl",
        ),
    ],
)
def test_nothing_is_written_over(target: Look, says: str) -> None:
    with pytest.raises(DgummyError) as caught:
        moverules.to_carry(NAME, "node-2", look(), target, FOLDERS)
    assert caught.value.code == 75
    assert caught.value.message == f"on node-2 this would be written over: {says}"


def test_a_transcript_that_belongs_nowhere_stops_it() -> None:
    with pytest.raises(DgummyError, match="where node-2 would look for it cannot be told") as caught:
        moverules.to_carry(NAME, "node-2", look(transcripts=(transcript("-srv-x"),)), EMPTY, {})
    assert caught.value.code == ExitCode.SOME_FAILED


def test_a_proof() -> None:
    proof = moverules.prove(look(), ARRIVED, FOLDERS, "node-2")
    assert proof.missing == ""
    assert proof.proven == (
        "3 files there, the same by size and cksum",
        "session 11111111 is in meta.yaml and session.txt, and its transcript is there under that id",
        "claude is installed on node-2",
    )
    assert [what for what, _ in proof.unproven] == ["what it answers"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"here": False}, "its folder is not there"),
        ({"memory": MEMORY[:1]}, "not as they were: memory/session.txt"),
        ({"memory": (MEMORY[0], Item("memory/session.txt", "2", 36))}, "not as they were: memory/session.txt"),
        ({"transcripts": ()}, "not as they were: transcript/-Users-u-app"),
        ({"transcripts": (transcript("-Users-u-app", "4"),)}, "not as they were: transcript/-Users-u-app"),
        ({"session_txt": "x"}, f"meta.yaml says session {SESSION}, session.txt x"),
    ],
)
def test_what_is_no_proof(changes: dict[str, Any], says: str) -> None:
    given = {"place": THERE, "transcripts": ARRIVED.transcripts, "speaking": ARRIVED.speaking, **changes}
    assert moverules.prove(look(), look(**given), FOLDERS, "node-2").missing == says


def test_what_is_left_unproven_is_said() -> None:
    quiet = look(place=THERE, transcripts=ARRIVED.transcripts, tools=frozenset({"gummy"}), speaking=frozenset())
    more = look(transcripts=(transcript("-home-u-app"), transcript("-srv-x")))
    unproven = dict(moverules.prove(more, quiet, FOLDERS, "node-2").unproven)
    assert unproven["that claude can take it up on node-2"] == "claude is not on the login PATH there"
    assert unproven["that the transcript is of that session"] == "its first lines do not name one"
    assert "-srv-x" in next(iter(unproven))
    new = look(place=THERE, meta={"session_id": "null"}, session_txt="", transcripts=())
    assert moverules.prove(new, new, {}, "node-2").unproven[0][1] == "it has had no session yet"


def test_facts_that_make_no_sense_are_left_out() -> None:
    facts = [
        *(Fact("file", text) for text in ("", "1", "1 2", "x 2 a", "1 -2 a", "1 2 memory/a b ", "1 2 transcript/-x")),
        *(Fact("meta", text) for text in ("", "no colon", "session_id: s", "session_id: other", "a:b:c")),
        Fact("session-txt", " s\r"),
        Fact("nonsense", "x"),
    ]
    read = moverules.read_look(facts)
    assert read.memory == (Item("memory/a b ", "1", 2),) and read.transcripts == (Item("transcript/-x", "1", 2),)
    assert read.meta == {"session_id": "s", "a": "b:c"} and read.session == "s"


# -- on a host ---------------------------------------------------------------------------------------------------------

FILES = ["workspace", "follow", "history", "move"]
HOSTILE = ("-n", "it's", "$(touch pwned)", "a  b", "é", "back\\slash", "sub dir/deep")
BYTES = bytes(range(256)) * 3 + b"\\c\\0001 %s \\n'\"\0" + b"\0" * 5


def settle(home: Path, project: Path, *, files: Sequence[str] = (), session: str = SESSION) -> Path:
    """Make a specialist with a transcript."""
    memory = project / ".gummy/specialists" / NAME
    memory.mkdir(parents=True)
    (memory / "meta.yaml").write_text(f"name: {NAME}\nsession_id: {session}\nstatus: dormant\nturns: 3\n")
    (memory / "session.txt").write_text(f"{session}\n")
    for number, name in enumerate(files):
        (memory / name).parent.mkdir(exist_ok=True)
        (memory / name).write_bytes(BYTES[number:])
    folder = home / ".claude/projects" / moverules.folder_name(str(project))
    folder.mkdir(parents=True)
    (folder / f"{session}.jsonl").write_text(f'{{"type":"user","sessionId":"{session}"}}\n' + '{"x":"\\u00e9"}\n' * 50)
    return memory


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def look_at(box: Box, *args: str, limit: int = 10_000_000, scope: str = "project", name: str = NAME) -> Look:
    to, session = args or ("node-2", "")
    heard = box.call(FILES, "tell_specialist", scope, "~/app", name, to, session, str(limit), "300", "cat", "claude")
    assert heard.status == 0 and not heard.stderr, heard
    return moverules.read_look(heard.facts)


def test_a_specialist_is_told_sent_taken_and_put_in_place(box: Box, make_box: MakeBox) -> None:
    memory = settle(box.home, box.home / "app", files=HOSTILE)
    before = tree(memory)
    other = make_box(box.kind)
    (other.home / "app").mkdir()
    source, target = look_at(box), look_at(other, "node-2", SESSION)
    assert source.here and source.session == SESSION and source.tools == {"cat"} and source.speaking
    assert {item.name.removeprefix("memory/") for item in source.memory} == set(before)
    assert all(item.size == len(before[item.name.removeprefix("memory/")]) for item in source.memory)
    assert not target.here and not target.memory and target.place == str(other.home / "app")

    folders = moverules.folders_for(source, target)
    carry = moverules.to_carry(NAME, "node-2", source, target, folders)
    at = ("project", "~/app", NAME)
    assert other.call(FILES, "begin_incoming", *at).status == 0
    for item, name in carry:
        sent = box.call(FILES, "send_specialist", *at, "node-2", SESSION, item.name)
        assert sent.first("sending") == item.name
        data = sent.streams.get("file", b"")
        for offset in range(0, max(1, len(data)), 500):
            part = data[offset : offset + 500]
            taken = other.call(FILES, "take_part", *at, name, str(offset), *_words(part))  # type: ignore[arg-type]
            assert taken.status == 0 and not taken.has("failed") and not taken.stderr, taken
    arrived = moverules.read_items(other.call(FILES, "tell_incoming", *at).facts_named("file"))
    assert moverules.difference(carry, arrived) == ""
    assert not look_at(other).here  # nothing is in its place yet
    assert other.call(FILES, "install_incoming", *at, SESSION).status == 0
    after = look_at(other, "node-2", SESSION)
    assert tree(other.home / "app/.gummy/specialists" / NAME) == before
    assert moverules.prove(source, after, folders, "node-2").missing == ""
    assert list((other.home / "app/.gummy/moved").iterdir()) == []
    (file,) = (other.home / ".claude/projects").rglob("*.jsonl")
    assert file.stat().st_mode & 0o077 == 0
    assert not list(box.home.parent.rglob("pwned"))


def aside(box: Box, source: Look, *folders: str) -> Any:
    expected = "\n".join(sorted((item.line for item in (*source.memory, *source.transcripts)), key=os.fsencode))
    args = ("project", "~/app", NAME, "node-2", SESSION, *folders)
    return box.call(FILES, "set_aside", *args, DG_EXPECTED=expected)


def test_the_old_one_is_set_aside_and_never_deleted(box: Box) -> None:
    kept = []
    for _ in range(3):
        memory = settle(box.home, box.home / "app", files=HOSTILE)
        before = tree(memory)
        source = look_at(box)
        (folder,) = (item.name.removeprefix("transcript/") for item in source.transcripts)
        heard = aside(box, source, folder)
        assert heard.status == 0 and not heard.stderr, heard
        assert not memory.exists() and not look_at(box).here
        assert tree(Path(heard.first("aside"))) == before
        kept.append(Path(heard.first("aside")).name)
        assert not list((box.home / ".claude/projects").rglob(f"{SESSION}.jsonl"))
        (box.home / ".claude/projects" / folder).rename(box.home / f"{len(kept)}")
    assert kept == [f"{NAME}.moved-to-node-2{end}" for end in ("", ".2", ".3")]
    told = box.call(["probe", "workspace", "look"], "look", "0.05", "9", "~/app", "--")
    assert told.has("probe-end") and not told.has("specialist") and not told.has("unreadable")


def test_what_changed_meanwhile_is_left_alone(box: Box) -> None:
    memory = settle(box.home, box.home / "app")
    source = look_at(box)
    (folder,) = (item.name.removeprefix("transcript/") for item in source.transcripts)
    (file,) = (box.home / ".claude/projects").rglob("*.jsonl")
    for path in (memory / "meta.yaml", file):
        old = path.read_bytes()
        path.write_bytes(old + b"more\n")
        heard = aside(box, source, folder)
        assert heard.status == 1 and heard.has("changed") and memory.exists() and file.exists()
        path.write_bytes(old)
    assert aside(box, source, folder).status == 0


def test_a_move_that_was_cut_off_between_the_two_renames(box: Box) -> None:
    settle(box.home, box.home / "app")
    (file,) = (box.home / ".claude/projects").rglob("*.jsonl")
    older = file.with_name(f"{file.name}.moved-to-node-2")
    older.write_text("of an earlier move")
    file.rename(f"{older}.2")
    source = look_at(box)
    assert source.transcripts and source.transcripts[0].size == Path(f"{older}.2").stat().st_size
    assert look_at(box, "node-3", "").transcripts == ()
    sent = box.call(FILES, "send_specialist", "project", "~/app", NAME, "node-2", SESSION, source.transcripts[0].name)
    assert sent.streams["file"] == Path(f"{older}.2").read_bytes()
    assert aside(box, source, file.parent.name).status == 0


@pytest.mark.parametrize("part", [".gummy", ".gummy/specialists", f".gummy/specialists/{NAME}", ".gummy/moved"])
def test_links_are_not_followed(box: Box, part: str) -> None:
    settle(box.home, box.home / "elsewhere")
    (box.home / "app" / part).parent.mkdir(parents=True)
    (box.home / "elsewhere/.gummy/moved").mkdir()
    (box.home / "app" / part).symlink_to(box.home / "elsewhere" / part)
    assert look_at(box).trouble == f"linked {box.home}/app/{part}"
    assert box.call(FILES, "find_specialist", "~/app", NAME).facts_named("lives") == []
    before = tree(box.home / "elsewhere")
    for call in (["begin_incoming"], ["install_incoming"], ["tell_incoming"], ["put_mark"]):
        assert box.call(FILES, *call, "project", "~/app", NAME, SESSION).status != 0
    assert box.call(FILES, "take_part", "project", "~/app", NAME, "memory/x", "0", "x").status == 1
    assert tree(box.home / "elsewhere") == before


def test_what_cannot_be_carried_is_named(box: Box) -> None:
    memory = settle(box.home, box.home / "app")
    (memory / "link").symlink_to("/etc/passwd")
    os.mkfifo(memory / "pipe")
    (memory / "two\nlines").write_text("x")
    found = look_at(box)
    assert set(found.odd) == {"link", "pipe", "a name with a line break in it"}
    assert "memory/link" not in {item.name for item in found.memory}
    large = look_at(box, limit=100)
    assert large.large and not large.memory
    assert int(large.large.split()[0]) > 100


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b", "../app", "a\nb"])
def test_names_never_lead_out(box: Box, name: str) -> None:
    settle(box.home, box.home / "app")
    assert look_at(box, name=name).trouble.startswith("name ")
    for call in ("begin_incoming", "install_incoming", "set_aside", "send_specialist"):
        assert box.call(FILES, call, "project", "~/app", name, "node-2", SESSION).status != 0
    box.call(FILES, "begin_incoming", "project", "~/app", NAME)
    for item in ("../x", "memory/../../x", "/x", "memory//x", ""):
        assert box.call(FILES, "take_part", "project", "~/app", NAME, item, "0", "x").status == 1, item
        assert (
            "file" not in box.call(FILES, "send_specialist", "project", "~/app", NAME, "node-2", SESSION, item).streams
        )
    assert not list(box.home.rglob("x"))


@pytest.mark.parametrize("session", ["../x", "*", "a b", "null", "$(id)", ""])
def test_sessions_that_are_none(box: Box, session: str) -> None:
    memory = settle(box.home, box.home / "app")
    (memory / "session.txt").write_text(f"{session}\n")
    (memory / "meta.yaml").write_text(f"session_id: {session}\n")
    assert look_at(box).transcripts == ()


def test_what_is_there_already_is_never_written_over(box: Box) -> None:
    settle(box.home, box.home / "app")
    at = ("project", "~/app", NAME)
    box.call(FILES, "begin_incoming", *at)
    box.call(FILES, "take_part", *at, "memory/meta.yaml", "0", "other")
    before = tree(box.home / "app/.gummy/specialists")
    heard = box.call(FILES, "install_incoming", *at, SESSION)
    assert heard.status == 1 and heard.first("exists").endswith(NAME)
    folder = moverules.folder_name(str(box.home / "app"))
    box.call(FILES, "begin_incoming", *at)
    box.call(FILES, "take_part", *at, f"transcript/{folder}", "0", "other")
    heard = box.call(FILES, "install_incoming", *at, SESSION)
    assert heard.status == 1 and heard.first("exists").endswith(f"{SESSION}.jsonl")
    assert tree(box.home / "app/.gummy/specialists") == before


def test_a_part_that_does_not_fit_is_refused(box: Box) -> None:
    (box.home / "app").mkdir()
    at = ("project", "~/app", NAME)
    assert box.call(FILES, "take_part", *at, "memory/a", "0", "x").first("failed").startswith("lost ")
    box.call(FILES, "begin_incoming", *at)
    assert box.call(FILES, "take_part", *at, "memory/a", "0", "abc").status == 0
    for offset in ("2", "4", "9"):
        assert box.call(FILES, "take_part", *at, "memory/a", offset, "x").status == 1
    assert box.call(FILES, "take_part", *at, "memory/b", "3", "x").status == 1
    assert box.call(FILES, "take_part", *at, "memory/a", "0", "again").status == 0
    assert (box.home / "app/.gummy/moved" / f"{NAME}.coming/memory/a").read_text() == "again"


def test_a_global_one_and_marks(box: Box, make_box: MakeBox) -> None:
    settle(box.home, box.home)
    (box.home / "app").mkdir()
    assert box.call(FILES, "find_specialist", "~/app", NAME).facts_named("lives") == ["global"]
    assert look_at(box, scope="global").place == str(box.home)
    assert box.call(FILES, "find_specialist", "~", NAME).facts_named("lives") == ["global"]  # home is no project
    other = make_box(box.kind)
    (other.home / "app").mkdir()
    at = ("project", "~/app", NAME, "token")
    assert box.call(FILES, "put_mark", *at).status == 0
    assert box.call(FILES, "see_mark", *at).facts_named("same") == ["place", "home"]
    assert other.call(FILES, "see_mark", *at).facts_named("same") == []
    box.call(FILES, "drop_mark", *at)
    assert box.call(FILES, "see_mark", *at).facts_named("same") == []


def test_a_run_at_work_in_the_project_is_seen(box: Box) -> None:
    settle(box.home, box.home / "app")
    project = str(box.home / "app")
    box.call(["start", "sync", "workspace"], "open_workspace", project, "r1", "me", "100", "id")
    assert look_at(box).busy == "r1"  # its project is on its way
    box.start("sleep 60", "r1", directory=project, workspace=project)
    assert look_at(box).busy == "r1"
    box.end_everything()
    box.call(["start", "sync", "workspace"], "close_workspace", project, "r1")
    assert look_at(box).busy == ""


# -- the lab -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("moving")) as made:
        yield made


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """A project of its own on the shared lab, synced to both nodes, whose specialist lives on node-1."""
    for node in ("node-1", "node-2"):
        set_figures(shared_desk.lab, node, Figures(cpu_pct=10, mem_pct=20, load1=0.4, cores=4))
    shared_desk.forget_load()
    desk = Desk(shared_desk.nodes, shared_desk.nodes.project())
    for node in ("node-1", "node-2"):
        shutil.rmtree(desk.nodes.home_of(node) / ".claude/projects", ignore_errors=True)
        shutil.copytree(desk.project, desk.there(node), ignore=shutil.ignore_patterns(".git"))
    settle(desk.nodes.home_of("node-1"), desk.there("node-1"), files=HOSTILE)
    return desk


def move(desk: Desk, *words: str, to: str = "node-2", name: str = NAME, **options: Any) -> Result:
    if words and words[0].startswith("node-"):
        to, *words = words  # type: ignore[assignment]
    return desk.inv("specialists.move", name, "--to", to, *words, **options)


def memory_on(desk: Desk, node: str) -> Path:
    return desk.there(node) / ".gummy/specialists" / NAME


def transcript_on(desk: Desk, node: str) -> Path:
    folder = moverules.folder_name(str(desk.there(node)))
    return desk.nodes.home_of(node) / ".claude/projects" / folder / f"{SESSION}.jsonl"


def everything(desk: Desk) -> dict[str, dict[str, bytes]]:
    """What both nodes have of it."""
    return {
        f"{node}/{part.name}": tree(part)
        for node in ("node-1", "node-2")
        for part in (desk.there(node) / ".gummy", desk.nodes.home_of(node) / ".claude/projects")
    }


def arrived(desk: Desk, before: dict[str, bytes], said: bytes) -> None:
    """It lives on node-2 and nowhere else, as it was."""
    assert tree(memory_on(desk, "node-2")) == before
    assert transcript_on(desk, "node-2").read_bytes() == said
    assert not memory_on(desk, "node-1").exists() and not transcript_on(desk, "node-1").exists()
    assert tree(desk.there("node-1") / ".gummy/moved" / f"{NAME}.moved-to-node-2") == before
    assert transcript_on(desk, "node-1").with_name(f"{SESSION}.jsonl.moved-to-node-2").read_bytes() == said
    assert not list(desk.nodes.home_of("node-2").rglob("*.coming*"))
    assert not list(desk.nodes.home_of("node-2").rglob("*.mark"))


def test_it_moves_resumes_there_and_comes_back(desk: Desk) -> None:
    before, said = tree(memory_on(desk, "node-1")), transcript_on(desk, "node-1").read_bytes()
    done = move(desk, "--json")
    document = done.document("specialists-move")
    assert done.code == 0, done
    expected = {"name": NAME, "scope": "project", "state": "moved", "from": "node-1", "to": "node-2"}
    assert {key: document[key] for key in expected} == expected
    assert document["files"] == len(before) + 1 and document["session_id"] == SESSION
    assert f"{len(before) + 1} files there, the same by size and cksum" in document["proven"]
    arrived(desk, before, said)
    task = desk.inv("task", "optimize database queries", "--json").document("task")
    assert (task["host"], task["specialist"]["home"]) == ("node-2", "node-2")
    assert f"Resuming session {SESSION}" in task["stdout_tail"]
    assert len(transcript_on(desk, "node-2").read_bytes()) > len(said)  # it went on in the same one
    again = move(desk)
    assert again.code == 0 and "lives on node-2 already" in again.out, again
    back = move(desk, to="node-1")
    assert back.code == 0 and "moved from node-2 to node-1" in back.out, back
    assert memory_on(desk, "node-1").is_dir() and not memory_on(desk, "node-2").exists()
    assert transcript_on(desk, "node-1").read_bytes().startswith(said)
    assert desk.inv("task", "optimize database queries", "--json").document("task")["host"] == "node-1"


def test_claude_is_looked_for_on_the_login_path(desk: Desk) -> None:
    (desk.nodes.home_of("node-2") / "bin" / "claude").rename(desk.nodes.home_of("node-2") / "claude")
    done = move(desk)
    (desk.nodes.home_of("node-2") / "claude").rename(desk.nodes.home_of("node-2") / "bin" / "claude")
    assert "not proven: that claude can take it up on node-2: claude is not on the login PATH there" in done.out
    tool = desk.nodes.home_of("node-1") / "bin" / "claude"
    assert tool.is_file()
    extra = {"INVOKE_DGUMMY_PATH": str(tool.parent)}
    back = move(desk, to="node-1", env=extra)
    assert "proven: claude is installed on node-1" in back.out, back


def cut_off(stage: str, desk: Desk) -> None:
    """Make what a move leaves that was cut off at some point."""
    new, moved = memory_on(desk, "node-2"), desk.there("node-2") / ".gummy/moved"
    if stage in ("while it came in", "after the transcript", "before the old one was set aside", "while it was"):
        moved.mkdir()
        (moved / f"{NAME}.coming/memory").mkdir(parents=True)
        (moved / f"{NAME}.coming/memory/meta.yaml").write_text("half")
        (moved / f"{NAME}.coming/memory/stray").write_text("of an earlier try")
    if stage in ("after the transcript", "before the old one was set aside", "while it was"):
        transcript_on(desk, "node-2").parent.mkdir(parents=True)
        shutil.copy(transcript_on(desk, "node-1"), transcript_on(desk, "node-2"))
    if stage in ("before the old one was set aside", "while it was"):
        shutil.rmtree(moved / f"{NAME}.coming")
        shutil.copytree(memory_on(desk, "node-1"), new)
    if stage == "while it was":
        old = transcript_on(desk, "node-1")
        old.rename(old.with_name(f"{old.name}.moved-to-node-2"))


@pytest.mark.parametrize(
    "stage", ["while it came in", "after the transcript", "before the old one was set aside", "while it was"]
)
def test_whatever_cut_it_off_the_next_one_ends_the_same(desk: Desk, stage: str) -> None:
    before, said = tree(memory_on(desk, "node-1")), transcript_on(desk, "node-1").read_bytes()
    cut_off(stage, desk)
    done = move(desk)
    assert done.code == 0, done
    arrived(desk, before, said)


@pytest.mark.slow
def test_a_client_that_is_killed_again_and_again(desk: Desk) -> None:
    said = transcript_on(desk, "node-1").read_bytes() + b'{"type":"x","text":"\\\\ \'quoted\' \xc3\xa9"}\n' * 40_000
    transcript_on(desk, "node-1").write_bytes(said)
    before = tree(memory_on(desk, "node-1"))
    command = desk.argv(["specialists.move", NAME, "--to", "node-2"])
    for delay_s in itertools.chain((0.4, 0.6, 0.8, 1.0, 1.3, 1.6), itertools.repeat(60)):
        client = subprocess.Popen(
            command,
            cwd=desk.project,
            env=desk.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            client.communicate(timeout=delay_s)
        except subprocess.TimeoutExpired:
            client.send_signal(signal.SIGKILL)
            client.communicate()
            time.sleep(0.3)  # what is under way on a host may end
            homes = [node for node in ("node-1", "node-2") if memory_on(desk, node).is_dir()]
            assert homes, "it lives nowhere"
            continue
        assert client.returncode == 0
        break
    arrived(desk, before, said)


REFUSED: dict[str, tuple[Callable[[Desk], object], Sequence[str], int, str]] = {
    "active": (
        lambda desk: (memory_on(desk, "node-1") / "meta.yaml").write_text(
            f"session_id: {SESSION}\nstatus: active\nlast_active: 2026-11-20T10:00:00Z\n"
        ),
        (),
        75,
        "database-expert on node-1 is active since 2026-11-20T10:00:00Z",
    ),
    "exists": (
        lambda desk: settle(desk.lab.directory / "elsewhere" / desk.project.name, desk.there("node-2"), files=["x"]),
        (),
        75,
        "on node-2 this would be written over: ",
    ),
    "not synced": (lambda desk: shutil.rmtree(desk.there("node-2")), (), 75, "inv sync --host node-2"),
    "no transcript": (lambda desk: transcript_on(desk, "node-1").unlink(), (), 1, "has no transcript"),
    "a link": (
        lambda desk: (memory_on(desk, "node-1") / "notes").symlink_to("/etc/passwd"),
        (),
        1,
        "cannot be carried: notes",
    ),
    "too large": (
        lambda desk: os.truncate(transcript_on(desk, "node-1"), 51 * 1024 * 1024),
        (),
        1,
        "at most 50 MB",
    ),
    "unreachable": (lambda desk: None, ("node-3",), 69, "node-3"),
    "unknown host": (lambda desk: None, ("node-9",), 69, "no such host"),
    "itself": (lambda desk: None, ("--from", "node-2"), 64, "from node-2 to itself"),
    "unknown": (lambda desk: shutil.rmtree(memory_on(desk, "node-1")), (), 64, "there is no specialist called"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(desk: Desk, case: str) -> None:
    prepare, words, code, says = REFUSED[case]
    prepare(desk)
    before = everything(desk)
    done = move(desk, *words)
    assert done.code == code and says in done.err and not done.out, done
    assert everything(desk) == before
    document = move(desk, *words, "--json").document("error")
    assert document["error"]["exit_code"] == code and document["error"]["remedy"]


def test_several_homes_are_named(desk: Desk) -> None:
    memory = desk.nodes.home_of("node-1") / ".gummy/specialists" / NAME
    memory.mkdir(parents=True)
    (memory / "meta.yaml").write_text("status: new\nsession_id: null\n")
    try:
        done = move(desk)
        assert done.code == 64 and "node-1 (project), node-1 (global)" in done.err and "--project" in done.err, done
        assert move(desk, "--project").code == 0
        (memory_on(desk, "node-1")).mkdir()
        (memory_on(desk, "node-1") / "meta.yaml").write_text("status: new\n")
        shutil.rmtree(memory)
        differs = move(desk)
        assert differs.code == 75 and "would be written over" in differs.err
    finally:
        shutil.rmtree(memory.parent, ignore_errors=True)


def test_a_global_one_moves_without_a_project(desk: Desk) -> None:
    shutil.rmtree(memory_on(desk, "node-1"))
    home = desk.nodes.home_of("node-1")
    settle(home, home, session="global-1")
    shutil.rmtree(desk.there("node-2"))
    try:
        document = move(desk, "--json").document("specialists-move")
        assert (document["scope"], document["state"], document["project"]) == ("global", "moved", None)
        there = desk.nodes.home_of("node-2")
        assert (there / ".gummy/specialists" / NAME / "session.txt").read_text() == "global-1\n"
        assert (there / ".claude/projects" / moverules.folder_name(str(there)) / "global-1.jsonl").is_file()
    finally:
        for node in ("node-1", "node-2"):
            shutil.rmtree(desk.nodes.home_of(node) / ".gummy", ignore_errors=True)


def test_what_claims_to_be_active_moves_by_force(desk: Desk) -> None:
    meta = memory_on(desk, "node-1") / "meta.yaml"
    meta.write_text(meta.read_text().replace("dormant", "active"))
    assert move(desk, "--force").code == 0


def test_it_moves_here_and_away_again(desk: Desk) -> None:
    done = move(desk, "--force", to="local")
    assert done.code == 0, done
    assert (desk.project / ".gummy/specialists" / NAME / "session.txt").read_text().strip() == SESSION
    back = move(desk, "--from", "local", to="node-1")
    assert back.code == 0 and "moved from local to node-1" in back.out, back


def test_two_names_of_one_machine(desk: Desk) -> None:
    """What would be set aside is what it would have moved to."""
    before = everything(desk)
    config = desk.lab.config_path.read_text()
    ssh_config = desk.lab.ssh_config_path.read_text()
    port = desk.lab.node("node-1").port
    try:
        desk.lab.ssh_config_path.write_text(ssh_config.replace(str(desk.lab.node("node-2").port), str(port)))
        done = move(desk, "--from", "node-1")
        if done.code == 77:
            pytest.skip("each node has a host key of its own, and is known by it")
        assert done.code == 64 and "have the same folder" in done.err, done
    finally:
        desk.lab.config_path.write_text(config)
        desk.lab.ssh_config_path.write_text(ssh_config)
    assert everything(desk) == before
