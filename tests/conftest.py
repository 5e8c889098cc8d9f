"""Fixtures that several test files share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import labs
from labs import NodeLab


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
