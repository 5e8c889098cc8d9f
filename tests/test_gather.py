"""Equal outputs of many hosts shown once: digests, groups, differences, and how they are shown."""

from __future__ import annotations

import io
import random
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy import gather
from dgummy.errors import DgummyError, ExitCode
from dgummy.events import GroupEnded, GroupStarted, Output
from dgummy.gather import Diff, Digester, Group, HostOutput
from dgummy.grouprecords import GroupResult, Member
from dgummy.model import RunResult, RunState
from dgummy.render import gathered
from dgummy.render.console import Console
from dgummy.render.gathering import GatheringScreen

MB = 1024 * 1024


def outputs_of(**said: bytes) -> list[HostOutput]:
    """One output each; `node_2=b"…"` is host node-2."""
    return [HostOutput.of_bytes(host.replace("_", "-"), out) for host, out in said.items()]


def only_diff(old: bytes, new: bytes, **limits: int) -> Diff:
    """How one host differs from two others."""
    groups = gather.gather(outputs_of(node_1=old, node_2=old, node_3=new))
    (diff,) = gather.diffs(groups, **limits)
    return diff


def shown(groups: tuple[Group, ...], *, ascii_only: bool = True) -> str:
    return "".join(gathered.outputs(groups, ascii_only=ascii_only))


def shown_diff(diff: Diff) -> list[str]:
    """The rendered lines, less the two that name the groups."""
    return "".join(gathered.differences([diff])).splitlines()[2:]


# Digests


@given(st.lists(st.tuples(st.sampled_from(["out", "err"]), st.binary(max_size=20))), st.randoms(use_true_random=False))
def test_the_key_does_not_depend_on_how_output_came(chunks: list[tuple[str, bytes]], rng: random.Random) -> None:
    one, other = Digester(), Digester()
    whole = {"out": b"", "err": b""}
    for stream, data in chunks:
        one.feed(data, stream)
        whole[stream] += data
    for stream in rng.sample(["out", "err"], 2):
        other.feed(whole[stream], stream)
    assert one.key == other.key
    assert one.size_bytes == other.size_bytes == sum(len(data) for data in whole.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((b"a\n", b""), (b"a", b"")),
        ((b"a\n", b""), (b"a\r\n", b"")),
        ((b"a\n", b""), (b"", b"a\n")),
        ((b"ab", b""), (b"a", b"b")),
        ((b"", b""), (b"\x00", b"")),
        ((b"\xff", b""), (b"\xfe", b"")),
        ((b"red", b""), (b"\x1b[31mred\x1b[0m", b"")),
    ],
)
def test_what_differs_has_another_key(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> None:
    assert HostOutput.of_bytes("a", *one).key != HostOutput.of_bytes("a", *other).key


@given(st.lists(st.binary(max_size=30)), st.integers(1, 40))
def test_the_tail_is_the_last_bytes_of_both_streams(chunks: list[bytes], tail_bytes: int) -> None:
    digester = Digester(tail_bytes)
    for number, data in enumerate(chunks):
        digester.feed(data, "err" if number % 2 else "out")
    assert digester.tail() == b"".join(chunks)[-tail_bytes:]


def test_memory_stays_flat_whatever_hosts_print() -> None:
    chunk = b"x" * 65536
    digesters = [Digester() for _ in range(200)]
    for digester in digesters:
        digester.feed(chunk)
    tracemalloc.start()
    for digester in digesters[:2]:
        for _ in range(800):  # 50 MB
            digester.feed(chunk)
    for digester in digesters[2:]:
        digester.feed(chunk)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * gather.TAIL_BYTES * 2.5
    assert digesters[0].size_bytes == 801 * 65536
    assert len({digester.key for digester in digesters}) == 2


# Groups


def test_equal_outputs_are_one_group() -> None:
    outputs = outputs_of(node_2=b"6.1\n", node_10=b"6.1\n", node_1=b"6.1\n", node_7=b"5.10\n")
    first, second = gather.gather(outputs)
    assert (first.hosts, first.folded) == (("node-1", "node-2", "node-10"), "node-[1-2,10]")
    assert first.sample.host == "node-1"
    assert (second.hosts, second.folded) == (("node-7",), "node-7")


def test_the_largest_group_is_first_then_natural_order_of_names() -> None:
    outputs = outputs_of(node_10=b"a", node_9=b"b", node_2=b"c", x=b"d", y=b"d", mini=b"e")
    assert [group.folded for group in gather.gather(outputs)] == ["x,y", "mini", "node-2", "node-9", "node-10"]


@given(st.permutations(range(8)))
def test_the_order_of_arrival_does_not_matter(order: list[int]) -> None:
    outputs = [HostOutput.of_bytes(f"n{number}", b"%d" % (number % 3), exit_code=number % 2) for number in range(8)]
    groups = gather.gather([outputs[number] for number in order])
    assert [(group.folded, group.exit_codes) for group in groups] == [
        ("n[0,3,6]", ((1, "n3"),)),
        ("n[1,4,7]", ((1, "n[1,7]"),)),
        ("n[2,5]", ((1, "n5"),)),
    ]


def test_nothing_gives_no_groups() -> None:
    assert gather.gather([]) == ()
    assert list(gather.diffs(())) == []


# Lines


@given(st.lists(st.sampled_from([b"a\n", b"\n", b"\r\n", b"b", b"\r", b"\x0b\x0c\x1c", "é\u2028".encode(), b"\xff"])))
def test_lines_are_divided_by_lf_alone_however_chunks_fall(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    output = HostOutput("a", "", 0, (lambda: pieces,))
    lines = list(output.lines())
    assert b"".join(lines) == whole
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert all(line.count(b"\n") <= 1 for line in lines)


def test_stdout_comes_first_and_is_read_anew_each_time() -> None:
    output = HostOutput.of_bytes("a", b"1\n2", b"3\n")
    assert list(output.lines()) == list(output.lines()) == [b"1\n", b"2", b"3\n"]


@pytest.mark.parametrize("chunk_bytes", [1000, gather.MAX_LINE_BYTES, 10 * MB])
def test_overlong_lines_come_in_pieces_that_split_no_character(chunk_bytes: int) -> None:
    whole = ("é€𝄞" * 30_000).encode() + b"\nshort\n"
    chunks = [whole[start : start + chunk_bytes] for start in range(0, len(whole), chunk_bytes)]
    lines = list(HostOutput("a", "", 0, (lambda: chunks,)).lines())
    assert b"".join(lines) == whole
    assert max(len(line) for line in lines) <= gather.MAX_LINE_BYTES
    assert len(lines) == 6
    for line in lines:
        line.decode()


def test_a_binary_line_is_cut_all_the_same() -> None:
    output = HostOutput.of_bytes("a", b"\x80" * 200_000)
    assert [len(line) for line in output.lines()] == [65536, 65536, 65536, 3392]


# Differences


def test_a_diff_is_against_the_majority() -> None:
    old, new = b"a\nb\nc\n", b"a\nB\nc\n"
    diff = only_diff(old, new)
    assert (diff.majority.folded, diff.minority.folded) == ("node-[1-2]", "node-3")
    assert diff.lines == ("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c")
    assert diff.compared_lines is None


def test_each_minority_has_a_diff() -> None:
    groups = gather.gather(outputs_of(a=b"1\n", b=b"1\n", c=b"2\n", d=b"3\n"))
    assert [(diff.minority.folded, diff.lines[1:]) for diff in gather.diffs(groups)] == [
        ("c", ("-1", "+2")),
        ("d", ("-1", "+3")),
    ]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (b"a\n", b"a", ["-a", "+a", r"\ no newline at the end"]),
        (b"a", b"b", ["-a", r"\ no newline at the end", "+b", r"\ no newline at the end"]),
        (b"", b"a\n", ["+a"]),
        (b"a\n", b"", ["-a"]),
        (b"\xff\n", b"\xfe\n", ["-\udcff", "+\udcfe"]),
        (b"a\r\n", b"a\n", ["-a\r", "+a"]),
        (b"\x1b[31ma\n", b"a\n", ["-\x1b[31ma", "+a"]),
        (b"--- a\n", b"+++ b\n", ["---- a", "++++ b"]),
        (b"a\x0bb\n", b"a\n", ["-a\x0bb", "+a"]),
    ],
)
def test_lines_are_kept_as_they_are(old: bytes, new: bytes, lines: list[str]) -> None:
    diff = only_diff(old, new)
    assert list(diff.lines[1:]) == lines
    assert diff.lines[0].startswith("@@ ")


def test_no_more_lines_are_read_than_asked_for() -> None:
    old = b"".join(b"%d\n" % number for number in range(100))
    diff = only_diff(old, old.replace(b"7\n", b"x\n"), max_lines=10)
    assert (diff.lines[-5:], diff.compared_lines) == ((" 6", "-7", "+x", " 8", " 9"), 10)
    assert only_diff(old, old.replace(b"99\n", b"x\n"), max_lines=10).lines == ()
    assert only_diff(old, old.replace(b"99\n", b"x\n"), max_lines=100).compared_lines is None


def test_no_more_bytes_are_read_than_asked_for() -> None:
    old = b"a\n" + b"b" * 100 + b"\n"
    assert only_diff(old, b"a\n" + b"b" * 100 + b"c\n", max_bytes=50).lines == ()
    diff = only_diff(old, b"a\n" + b"c" * 100 + b"\n", max_bytes=50)
    assert diff.lines == ("@@ -1,2 +1,2 @@", " a", "-" + "b" * 48, "+" + "c" * 48)
    assert diff.compared_lines == 2
    assert only_diff(b"a\nb\nc\nd\n", b"a\nx\nc\ny\n", max_bytes=4).lines == ("@@ -1,2 +1,2 @@", " a", "-b", "+x")
    assert only_diff(old, b"a\n", max_bytes=len(old)).compared_lines is None
    assert only_diff(old, b"a\n", max_bytes=len(old) - 1).compared_lines == 2


def test_only_the_beginning_of_an_endless_output_is_read() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b"y\n" * 32768

    groups = gather.gather([HostOutput(name, name, 10**12, (endless,)) for name in "ab"])
    (diff,) = gather.diffs(groups)
    assert (diff.lines, diff.compared_lines) == ((), gather.MAX_DIFF_LINES)
    assert read <= 4 * 65536


@pytest.mark.parametrize("repeats", [1, 2, 5, 19, 40])
def test_outputs_without_order_are_compared_in_little_time(repeats: int) -> None:
    rng = random.Random(0)
    lines = [b"word %d\n" % (number % (gather.MAX_DIFF_LINES // repeats)) for number in range(gather.MAX_DIFF_LINES)]
    old, new = (b"".join(rng.sample(lines, len(lines))) for _ in range(2))
    started_s = time.process_time()
    only_diff(old, new)
    assert time.process_time() - started_s < 1


# Shown


def test_each_group_is_shown_once_below_its_hosts() -> None:
    groups = gather.gather(outputs_of(node_1=b"6.1\n", node_2=b"6.1\n", node_3=b"5.10"))
    assert shown(groups) == (
        "---------------\nnode-[1-2] (2)\n---------------\n6.1\n---------------\nnode-3\n---------------\n5.10\n"
    )
    assert shown(groups, ascii_only=False).startswith("───────────────\nnode-[1-2] (2)\n───────────────\n6.1\n")


@pytest.mark.parametrize(
    ("codes", "header"),
    [
        ([0, 0, 0], "n[1-3] (3)"),
        ([2, 2, 2], "n[1-3] (3); exit code 2"),
        ([0, 1, 0], "n[1-3] (3); exit code 1: n2"),
        ([2, None, 2], "n[1-3] (3); exit code 2: n[1,3]; no exit code: n2"),
    ],
)
def test_the_header_names_exit_codes(codes: list[int | None], header: str) -> None:
    outputs = [HostOutput.of_bytes(f"n{number}", b"", exit_code=code) for number, code in enumerate(codes, 1)]
    (group,) = gather.gather(outputs)
    assert gathered.header(group, ascii_only=True) == header
    assert gathered.header(group) == header.replace(";", " ·")


@pytest.mark.parametrize(
    ("out", "text"),
    [
        (b"", "(no output)\n"),
        (b"\n", "\n"),
        (b"a", "a\n"),
        (b"a\n\nb\n", "a\n\nb\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b" 10%\r 50%\r100%\ndone\n", "100%\ndone\n"),
        (b"\x1b[31mred\x1b[0m\x1b(B\n", "red\n"),
        (b"\x1b]0;title\x07a\x00b\n", "ab\n"),
        (b"caf\xe9\n", "caf\ufffd\n"),
        ("é\u202eabc\n".encode(), "éabc\n"),
        (b"a\tb\n", "a\tb\n"),
    ],
)
def test_what_is_shown_is_clean(out: bytes, text: str) -> None:
    groups = gather.gather(outputs_of(a=out))
    assert shown(groups).split("---------------\n")[2] == text


def test_a_host_name_is_cleaned() -> None:
    (group,) = gather.gather([HostOutput.of_bytes("evil\x1b[2J", b"", exit_code=1), HostOutput.of_bytes("b", b"")])
    assert gathered.header(group, ascii_only=True) == "b,evil (2); exit code 1: evil"


def test_a_large_output_is_shown_without_being_held() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a line of some length\n" * 2979

    groups = gather.gather([HostOutput("a", "", 3 * MB, (chunks,))])
    tracemalloc.start()
    size = sum(len(piece) for piece in gathered.outputs(groups))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 2 * MB
    assert peak < MB // 2


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (b"a\n", b"b\n", ["@@ -1 +1 @@", "-a", "+b"]),
        (b"a\n", b"a", ["@@ -1 +1 @@", "-a", "+a", r"\ no newline at the end"]),
        (
            b"a\r\nx\n",
            b"a\nx\n",
            ["@@ -1,2 +1,2 @@", "-a", "+a", " x", "(some lines differ in characters that are not shown)"],
        ),
        (b"\x1b[2Ja\n", b"b\n", ["@@ -1 +1 @@", "-a", "+b"]),
    ],
)
def test_differences_are_shown_clean(old: bytes, new: bytes, lines: list[str]) -> None:
    assert shown_diff(only_diff(old, new)) == lines


def test_a_diff_names_its_groups() -> None:
    text = "".join(gathered.differences([only_diff(b"a\n", b"b\n")]))
    assert text == "--- node-[1-2] (2)\n+++ node-3\n@@ -1 +1 @@\n-a\n+b\n"


def test_a_diff_says_what_was_not_compared() -> None:
    old = b"1\n2\n3\n"
    assert shown_diff(only_diff(old, b"1\n2\n4\n", max_lines=2)) == [
        "(no difference there; only the first 2 lines compared)"
    ]
    assert shown_diff(only_diff(old, b"x\n2\n3\n", max_lines=1)) == [
        "@@ -1 +1 @@",
        "-1",
        "+x",
        "(only the first 1 line compared)",
    ]


def test_equal_lines_on_other_streams_are_explained() -> None:
    outputs = [HostOutput.of_bytes("a", b"x\n"), HostOutput.of_bytes("b", b"", b"x\n")]
    (diff,) = gather.diffs(gather.gather(outputs))
    assert shown_diff(diff) == ["(the lines are the same; on which stream they are, or how one ends, is not)"]


def test_what_cannot_be_kept_whole_is_not_shown() -> None:
    out, err = io.BytesIO(), io.BytesIO()
    screen = GatheringScreen(Console(out, err, {}), diff=True)
    try:
        (Path(screen._spool.name) / "r1.out").symlink_to("/dev/full")
        screen(GroupStarted("g20260301-120000-abcdef", {"r1": "node-1"}))
        with pytest.raises(DgummyError, match="cannot keep aside") as caught:
            screen(Output("r1", "node-1", "out", b"said\n"))
        assert caught.value.code is ExitCode.SOME_FAILED
        screen(Output("r1", "node-1", "out", b"more\n"))
        moment = datetime(2026, 3, 1, tzinfo=timezone.utc)
        ended = RunResult("r1", "node-1", RunState.OK, 0, (), moment, 1.0)
        screen(GroupEnded(GroupResult("g20260301-120000-abcdef", (Member("node-1", "x", ended),), wall_s=1.0)))
    finally:
        screen.close()
    assert out.getvalue() == b"" and b"node-1" in err.getvalue()
