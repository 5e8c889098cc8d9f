"""What a lab is, as records, and the one file that remembers it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dgummy.errors import ConfigError, UnknownHostError

SCHEMA_VERSION = 1
RECORD_NAME = "lab.json"
GROUP = "lab"
DEFAULT_WITHOUT_GUMMY = frozenset({"node-4"})
"""A cluster where every host has everything hides the case where one has not."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: an sshd on 127.0.0.1:`port` whose sessions live in `home`.

    `root` stands in for `/` when load figures are read. `expected_up` is False for a node that was never
    started, so that its port refuses. `gummy` says whether the stand-in is installed.
    """

    name: str
    port: int
    home: Path
    root: Path
    expected_up: bool
    gummy: bool

    @property
    def directory(self) -> Path:
        """The folder that holds everything of the node."""
        return self.home.parent


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab in `directory`. `notices` are what `up` did or found missing and the user should know."""

    directory: Path
    nodes: tuple[Node, ...]
    notices: tuple[str, ...] = ()

    @property
    def config_path(self) -> Path:
        """The dgummy configuration that points at the lab; DGUMMY_CONFIG in the environment names it."""
        return self.directory / "config.yaml"

    @property
    def ssh_config_path(self) -> Path:
        """The ssh configuration that knows the nodes by name (`ssh -F PATH node-1`)."""
        return self.directory / "ssh_config"

    def export_line(self) -> str:
        """Make the shell line that points dgummy at the lab; for sh, bash, zsh and fish."""
        quoted = str(self.config_path).replace("'", "'\\''")
        return f"export DGUMMY_CONFIG='{quoted}'"

    def node(self, name: str) -> Node:
        """Look up a node by name. UnknownHostError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise UnknownHostError(f"the lab has no node {name!r}", f"its nodes are {names}")


class NodeState(str, Enum):
    """What a node's port does: speaks SSH, takes connections without a word, or refuses them."""

    UP = "up"
    HUNG = "hung"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node as it is now. `pid` is its listening sshd's, or None; `active_runs` counts runs alive on it."""

    name: str
    port: int
    expected_up: bool
    state: NodeState
    pid: int | None
    active_runs: int

    @property
    def answers(self) -> bool:
        """Whether an SSH server speaks on its port."""
        return self.state is NodeState.UP


def make_node(directory: Path, name: str, port: int, *, expected_up: bool, gummy: bool) -> Node:
    """Make the record of a node of the lab in `directory`."""
    base = directory / "nodes" / name
    return Node(name, port, base / "home", base / "root", expected_up, gummy)


def save(lab: Lab) -> None:
    """Remember the lab in its folder."""
    nodes = [
        {"name": node.name, "port": node.port, "expected_up": node.expected_up, "gummy": node.gummy}
        for node in lab.nodes
    ]
    document = {"schema_version": SCHEMA_VERSION, "nodes": nodes}
    (lab.directory / RECORD_NAME).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read(directory: Path) -> Lab | None:
    """Read the lab that was made in `directory`; None without one. ConfigError for an unreadable record."""
    path = directory.resolve() / RECORD_NAME
    remedy = f"remove the folder {path.parent} if nothing in it is of use"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the record of the lab: {path}: {error}", remedy) from error
    try:
        document = json.loads(text)
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise ConfigError(f"{path} is of version {version}, this dgummy knows {SCHEMA_VERSION}", remedy)
        nodes = tuple(
            make_node(
                path.parent,
                str(each["name"]),
                int(each["port"]),
                expected_up=bool(each["expected_up"]),
                gummy=bool(each["gummy"]),
            )
            for each in document["nodes"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not the record of a lab", remedy) from error
    return Lab(path.parent, nodes)
