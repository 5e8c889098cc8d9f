"""What hosts say of workspaces, and which copies may go: tables."""

from __future__ import annotations

import pytest

from dgummy.copyrules import (
    IN_USE,
    NO_AGE,
    UNCOLLECTED,
    YOUNG,
    Workspace,
    WorkspaceState,
    read_removals,
    read_workspaces,
    why_kept,
)
from dgummy.transport.framing import Fact


@pytest.mark.parametrize(
    ("changes", "older_s", "why"),
    [
        ({}, 50, ""),
        ({}, 100, ""),
        ({}, 101, YOUNG),
        ({}, 0, ""),
        ({"unused_s": None}, 50, NO_AGE),
        ({"unused_s": None}, 0, ""),
        ({"abandoned": True}, 101, ""),
        ({"abandoned": True, "unused_s": None}, 101, ""),
        ({"holder": "r1"}, 50, IN_USE),
        ({"holder": "r1"}, 0, IN_USE),
        ({"holder": "r1"}, 101, YOUNG),
        ({"work_run": "r1"}, 50, UNCOLLECTED),
        ({"work_run": "r1"}, 0, UNCOLLECTED),
        ({"work_run": "r1", "abandoned": True}, 101, UNCOLLECTED),
        ({"holder": "r1", "work_run": "r1"}, 0, IN_USE),
        ({"gone": True}, 50, ""),
        ({"gone": True, "work_run": "r1"}, 50, UNCOLLECTED),
    ],
)
def test_why_one_is_kept(changes: dict[str, object], older_s: float, why: str) -> None:
    told = {"source": "/h/p", "unused_s": 100, **changes}
    assert why_kept(Workspace("/h/p@r1", **told), older_s) == why  # type: ignore[arg-type]


def test_what_a_host_says() -> None:
    lines = [
        ("size", "9"),  # of nothing
        ("workspace", "/h/my project"),
        ("used", "12"),
        ("size", "4"),
        ("workspace", "/h/p@r1"),
        ("copy-of", "/h/p"),
        ("used", "-3"),
        ("size", "much"),
        ("holder", "r1"),
        ("holder-owner", "ana of us@laptop"),
        ("uncollected", "r0"),
        ("something", "new"),
        ("workspace", "/h/p@r2"),
        ("copy-of", "/h/p"),
        ("gone", "/h/p@r2"),
        ("abandoned", "r2"),
    ]
    project, busy, gone = read_workspaces(Fact(name, value) for name, value in lines)
    assert project == Workspace("/h/my project", size_bytes=4096, unused_s=12)
    assert (project.state, project.is_copy, project.run) == (WorkspaceState.FREE, False, ("", ""))
    assert busy == Workspace("/h/p@r1", "/h/p", holder="r1", holder_owner="ana of us@laptop", work_run="r0")
    assert (busy.state, busy.run) == (WorkspaceState.IN_USE, ("r1", "ana of us@laptop"))
    assert gone.state is WorkspaceState.GONE and gone.abandoned and gone.is_copy


def test_what_a_host_removed() -> None:
    lines = [("removed", "4 /h/a b@r1"), ("removed", "? /h/c@r2"), ("kept", "link /h/d@r3"), ("kept", "odd /h/e@r4")]
    removed, kept = read_removals(Fact(name, value) for name, value in lines)
    assert removed == {"/h/a b@r1": 4096, "/h/c@r2": None}
    assert kept == {"/h/d@r3": "a link is in its place", "/h/e@r4": "odd"}
