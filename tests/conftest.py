"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import labs
from labs import NodeLab
from remote_scripts import KINDS, Box, MakeBox


@pytest.fixture(scope="module")
def node_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeLab]:
    """A lab of this module's own: two nodes that are up, gummy's stand-in on both, and a client's home folder."""
    if labs.SSHD is None:
        pytest.skip("there is no sshd on this machine")
    with labs.node_lab(tmp_path_factory.mktemp("nodes")) as made:
        yield made


@pytest.fixture
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeLab]:
    """The same for one test alone, which may break it."""
    if labs.SSHD is None:
        pytest.skip("there is no sshd on this machine")
    with labs.node_lab(tmp_path_factory.mktemp("own")) as made:
        yield made


@pytest.fixture
def make_box(tmp_path: Path) -> Iterator[MakeBox]:
    """A function that makes boxes (see `remote_scripts.Box`). Whatever runs in one is ended with the test."""
    boxes: list[Box] = []

    def make(kind: str = "dash", *without: str, **env: str) -> Box:
        boxes.append(Box(kind, tmp_path / f"home{len(boxes)}", without, env))
        return boxes[-1]

    yield make
    for box in boxes:
        box.end_everything()


@pytest.fixture(params=KINDS)
def box(request: pytest.FixtureRequest, make_box: MakeBox) -> Box:
    """A host with each shell in turn."""
    return make_box(request.param)
