"""Writes the folder of a lab: keys, nodes with their homes, and the configuration files."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import uuid
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from dgummy.errors import DgummyError, ExitCode
from dgummy.lab import records, texts
from dgummy.lab.figures import Figures, write_boot_id, write_lookalike
from dgummy.lab.records import Lab, Node
from dgummy.lab.sample import copy_asset
from dgummy.lab.texts import Machine

_PORTS = range(10_240, 32_768)
"""Below what Linux and macOS give to outgoing connections, so that the port of a stopped node stays free."""
_PARALLEL_KEYGENS = 16


def sshd_config_path(node: Node) -> Path:
    """Say where a node's sshd_config is."""
    return node.directory / "sshd_config"


def tag(node: Node) -> str:
    """Make the argument that a node's sshd is known by: a path may look different in its title."""
    digest = hashlib.sha256(os.fsencode(node.directory)).hexdigest()[:16]
    return f"VersionAddendum=lab-{digest}"


def lay_out(directory: Path, nodes: int, down_nodes: int, without_gummy: Collection[str]) -> Lab:
    """Decide names and ports. Makes nothing."""
    total = nodes + down_nodes
    names = [f"node-{number}" for number in range(1, total + 1)]
    return Lab(
        directory,
        tuple(
            records.make_node(directory, name, port, expected_up=index < nodes, gummy=name not in without_gummy)
            for index, (name, port) in enumerate(zip(names, free_ports(total), strict=True))
        ),
    )


def with_new_ports(lab: Lab, names: Collection[str]) -> Lab:
    """Give some nodes of a lab ports."""
    ports = iter(free_ports(len(names)))
    return Lab(
        lab.directory,
        tuple(
            records.make_node(
                lab.directory,
                node.name,
                next(ports) if node.name in names else node.port,
                expected_up=node.expected_up,
                gummy=node.gummy,
            )
            for node in lab.nodes
        ),
    )


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now. Taken at random: other labs look at the same time."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    if len(found) < count:
        raise DgummyError("there are not enough free ports for the lab", "ask for fewer nodes", code=ExitCode.TRY_AGAIN)
    return found


def fill(machine: Machine, lab: Lab, figures: Sequence[Figures]) -> list[str]:
    """Make keys and homes. Returns the public host keys in the order of the nodes."""
    copy_asset("enter", lab.directory / "enter")
    (lab.directory / "cache").mkdir(mode=0o700)
    for node, shown in zip(lab.nodes, figures, strict=True):
        _make_home(machine, node)
        write_lookalike(node.root, shown)
        write_boot_id(node.root, str(uuid.uuid4()))
    key_paths = [node.directory / "host_key" for node in lab.nodes]
    _make_keys(machine.ssh_keygen, [lab.directory / "client_key", *key_paths])
    public = (lab.directory / "client_key.pub").read_text(encoding="ascii")
    (lab.directory / "authorized_keys").write_text(public, encoding="ascii")
    return [path.with_suffix(".pub").read_text(encoding="ascii") for path in key_paths]


def _make_home(machine: Machine, node: Node) -> None:
    bin_folder = node.home / "bin"
    bin_folder.mkdir(parents=True)
    (node.home / ".profile").write_text(texts.profile(machine), encoding="utf-8")
    (node.home / ".gitconfig").write_text(texts.gitconfig(node), encoding="utf-8")
    for name in ("hostname", *(["gummy", "claude"] if node.gummy else [])):
        copy_asset(name, bin_folder / name)
    if node.gummy:
        (node.home / ".claude").mkdir()
        (node.home / ".claude/settings.json").write_text(texts.AGENT_SETTINGS, encoding="utf-8")


def _make_keys(ssh_keygen: str, paths: Sequence[Path]) -> None:
    for first in range(0, len(paths), _PARALLEL_KEYGENS):
        batch = [
            subprocess.Popen(
                [ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-C", "dgummy-lab", "-f", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for path in paths[first : first + _PARALLEL_KEYGENS]
        ]
        for process in batch:
            error = process.communicate()[1]
            if process.returncode:
                raise DgummyError(
                    f"ssh-keygen failed: {error.decode(errors='replace').strip()}",
                    "look for a full disk, or an OpenSSH without ed25519 keys",
                )


def write_sshd_configs(machine: Machine, directory: Path, nodes: Iterable[Node]) -> None:
    """Write the sshd_config of each node."""
    for node in nodes:
        sshd_config_path(node).write_text(texts.sshd_config(machine, directory, node), encoding="utf-8")


def write_configuration(machine: Machine, lab: Lab, host_keys: Sequence[str]) -> None:
    """Write what clients need. The record comes last: with it the lab is there."""
    (lab.directory / "known_hosts").write_text(texts.known_hosts(lab, host_keys), encoding="ascii")
    lab.ssh_config_path.write_text(texts.ssh_config(machine, lab), encoding="utf-8")
    lab.config_path.write_text(texts.config_yaml(lab), encoding="utf-8")
    records.save(lab)
