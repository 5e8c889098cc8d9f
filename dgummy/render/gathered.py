"""Equal outputs of many hosts, and how they differ, as text: one header for each group. Pure: groups in, pieces out.

What hosts said is cleaned line by line and comes in pieces: an output may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dgummy.gather import Diff, Group
from dgummy.render.text import clean
from dgummy.units import format_count

_RULE_WIDTH = 15


def outputs(groups: Iterable[Group], *, ascii_only: bool = False) -> Iterator[str]:
    """What each group said, below its header; pieces of text that end in a newline when joined."""
    for group in groups:
        rule = ("-" if ascii_only else "─") * _RULE_WIDTH
        yield f"{rule}\n{header(group, ascii_only=ascii_only)}\n{rule}\n"
        yield from _body(group)


def header(group: Group, *, ascii_only: bool = False) -> str:
    """`node-[1-4,7] (5)`, then exit codes other than 0, and whose they are if not everybody's."""
    text = _name(group)
    for code, hosts in group.exit_codes:
        said = "no exit code" if code is None else f"exit code {code}"
        whose = "" if hosts == group.folded else f": {clean(hosts)}"
        text += f"{';' if ascii_only else ' ·'} {said}{whose}"
    return text


def differences(diffs: Iterable[Diff]) -> Iterator[str]:
    """Unified diffs between the largest group and each other one; pieces that end in a newline."""
    for diff in diffs:
        yield f"--- {_name(diff.majority)}\n+++ {_name(diff.minority)}\n"
        yield from (f"{clean(line)}\n" for line in diff.lines)
        yield from (f"({remark})\n" for remark in _remarks(diff))


def _name(group: Group) -> str:
    """The hosts, and how many they are if more than one."""
    return clean(group.folded) + (f" ({len(group.hosts):,})" if len(group.hosts) > 1 else "")


def _body(group: Group) -> Iterator[str]:
    ended = True
    for line in group.sample.lines():
        text = line.decode("utf-8", "surrogateescape")
        # As a terminal leaves a line that was drawn over and over.
        yield clean(text.rstrip("\r\n").rpartition("\r")[2]) + ("\n" if text.endswith("\n") else "")
        ended = text.endswith("\n")
    if not group.sample.size_bytes:
        yield "(no output)\n"
    elif not ended:
        yield "\n"


def _remarks(diff: Diff) -> Iterator[str]:
    """What the lines of a diff do not show."""
    if diff.compared_lines is not None:
        found = "" if diff.lines else "no difference there; "
        yield f"{found}only the first {format_count(diff.compared_lines, 'line')} compared"
    elif not diff.lines:
        yield "the lines are the same; on which stream they are, or how one ends, is not"
    removed, added = ({line[1:] for line in diff.lines if line[:1] == sign} for sign in "-+")
    if set(map(clean, removed - added)) & set(map(clean, added - removed)):
        yield "some lines differ in characters that are not shown"
