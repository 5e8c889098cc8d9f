"""The text of every configuration file in a lab. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dgummy.errors import UsageError
from dgummy.lab.records import GROUP, Lab, Node

_UNUSABLE = re.compile(r'[\x00-\x1f\x7f"\\:*?\[]|\$\{')

AGENT_SETTINGS = '{"apiKeyHelper": "echo nothing"}\n'
"""What a node's stand-in for `claude` would log in by, if it did."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the lab found on this machine: its programs, the account, and what a node's PATH is made of.

    `sftp_server` is "" where there is none. `path` is the PATH of a non-interactive session on a node.
    `options` are further sshd_config lines that this OpenSSH, or this account, needs.
    """

    sshd: str
    ssh_keygen: str
    sftp_server: str
    user: str
    shell: str
    path: str
    options: tuple[str, ...] = ()


def check_directory(directory: Path) -> None:
    """UsageError for a path that ssh's own files, rsync or a PATH could not hold."""
    if _UNUSABLE.search(str(directory)):
        raise UsageError(
            f"a lab cannot live in {str(directory)!r}",
            'choose a folder without control characters and none of " \\ : * ? [ ${ in its path',
        )


def sh_quote(word: str) -> str:
    """One word for sh, bash, zsh and fish, always in quotes."""
    return "'" + word.replace("'", "'\\''") + "'"


def _ssh_path(path: Path) -> str:
    """Write a path as one argument, whatever blanks it has."""
    return f'"{path}"'


def _ssh_token_path(path: Path) -> str:
    """Write a path as one argument where ssh or sshd replaces %-tokens."""
    return _ssh_path(path).replace("%", "%%")


def sshd_config(machine: Machine, directory: Path, node: Node) -> str:
    """Configure the sshd of one node: one key, one address, and every session goes through `enter`."""
    enter = [str(directory / "enter"), str(directory), node.name, machine.path, machine.shell]
    lines = [
        f"Port {node.port}",
        "AddressFamily inet",
        "ListenAddress 127.0.0.1",
        f"HostKey {_ssh_path(node.directory / 'host_key')}",
        f"PidFile {_ssh_path(node.directory / 'sshd.pid')}",
        f"AuthorizedKeysFile {_ssh_token_path(directory / 'authorized_keys')}",
        f"AllowUsers {machine.user}",
        # The account's login shell runs ForceCommand, and must not read the account's own start-up files.
        f'SetEnv "HOME={node.home}"',
        "PermitRootLogin prohibit-password",
        "PubkeyAuthentication yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "StrictModes no",
        "UseDNS no",
        "PermitUserRC no",
        "PermitUserEnvironment no",
        "AllowAgentForwarding no",
        "X11Forwarding no",
        "PrintMotd no",
        "PrintLastLog no",
        "MaxStartups 200",
        "MaxSessions 10",
        "LogLevel INFO",
        *machine.options,
        *([f"Subsystem sftp {machine.sftp_server}"] if machine.sftp_server else []),
        "ForceCommand exec /bin/sh " + " ".join(sh_quote(word) for word in enter),
    ]
    return "\n".join(lines) + "\n"


def ssh_config(machine: Machine, lab: Lab) -> str:
    """Configure ssh to reach the nodes by name, with nothing of the user's own."""
    blocks = [f"Host {node.name}\n    HostName 127.0.0.1\n    Port {node.port}\n" for node in lab.nodes]
    common = [
        "Host *",
        f"User {machine.user}",
        f"IdentityFile {_ssh_token_path(lab.directory / 'client_key')}",
        "IdentitiesOnly yes",
        "IdentityAgent none",
        f"UserKnownHostsFile {_ssh_token_path(lab.directory / 'known_hosts')}",
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        "BatchMode yes",
    ]
    return "# The nodes of a dgummy lab.\n" + "\n".join([*blocks, "\n    ".join(common)]) + "\n"


def known_hosts(lab: Lab, host_keys: Sequence[str]) -> str:
    """Make one line per node; `host_keys` are the public keys (`type base64 comment`), in their order."""
    return "".join(
        f"[127.0.0.1]:{node.port} {' '.join(key.split()[:2])}\n" for node, key in zip(lab.nodes, host_keys, strict=True)
    )


def config_yaml(lab: Lab) -> str:
    """Write the dgummy settings for the lab. Strings are JSON, which YAML reads as it stands."""

    def text(value: object) -> str:
        return json.dumps(str(value), ensure_ascii=False)

    lines = [
        "# Points dgummy at the lab in this folder; made by `inv lab.up`, removed by `inv lab.down`.",
        "backend: ssh",
        "groups:",
        f"  {GROUP}: [{', '.join(text(node.name) for node in lab.nodes)}]",
        f"group: {GROUP}",
        f"ssh_config: {text(lab.ssh_config_path)}",
        "hosts:",
        *(f"  {text(node.name)}: {{probe_root: {text(node.root)}}}" for node in lab.nodes),
        "cache:",
        f"  load_path: {text(lab.directory / 'cache/load.json')}",
        f"  status_path: {text(lab.directory / 'cache/status.json')}",
        f"state_dir: {text(lab.directory / 'state')}",
    ]
    return "\n".join(lines) + "\n"


def profile(machine: Machine) -> str:
    """Write a node's ~/.profile. /etc/profile may have set any PATH before it, so it starts afresh."""
    comment = "# What a login shell on this node gets and a bare SSH command does not."
    return f"{comment}\nPATH=$HOME/bin:{sh_quote(machine.path)}\nexport PATH\n"


def gitconfig(node: Node) -> str:
    """Write a node's ~/.gitconfig, so that an agent can commit there."""
    return f"[user]\n\tname = {node.name}\n\temail = {node.name}@lab.invalid\n[init]\n\tdefaultBranch = main\n"
