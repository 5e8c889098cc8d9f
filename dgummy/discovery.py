"""What `inv config.init` proposes: which machines might take work, and why.

Nothing is offered until a user says so.

`propose` and `render_config` are pure. `tailscale status --json` is read as its source (ipnstate.Status)
writes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dgummy.errors import ConfigError, UsageError
from dgummy.hostset import check_name
from dgummy.textfiles import make_folder

DEFAULT_GROUP = "dev"

_MAX_TAILSCALE_BYTES = 16_000_000
_FORGES = frozenset({"github", "gitlab", "bitbucket", "codeberg", "gitea", "sourcehut", "codecommit", "visualstudio"})
_FORGE_HOSTS = frozenset({"git.sr.ht", "ssh.dev.azure.com", "aur.archlinux.org", "hf.co", "heroku.com"})
_NOT_WORKERS = frozenset(
    {"prod", "production", "bastion", "jump", "jumphost", "jumpbox", "gateway", "router", "firewall"}
)
_THIS_MACHINE = frozenset({"localhost", "ip6-localhost", "::1", "127.0.0.1", "0.0.0.0"})  # noqa: S104 - names, no binding
_SYSTEMS = frozenset({"linux", "macos", "darwin", "freebsd", "openbsd", "netbsd", "illumos", "solaris"})
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


@dataclass(frozen=True, slots=True)
class ProposedHost:
    """A machine that might take work.

    `sources` are "d", "ssh" and "tailscale"; `reason` is one line for people.
    """

    name: str
    sources: tuple[str, ...]
    reason: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A machine that was seen and is not proposed, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """The machines found, the groups they would be in, and what was left out."""

    hosts: tuple[ProposedHost, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class _Peer:
    """One machine on the tailnet. `objection` is what keeps it from taking work, "" for nothing."""

    name: str
    full_name: str
    system: str
    objection: str


def propose(
    ssh_hosts: Sequence[str],
    d_groups: Mapping[str, Sequence[str]],
    tailscale: Mapping[str, Any] | None,
    self_name: str,
) -> Proposal:
    """Propose hosts: those of `d`'s groups, those ssh's config names, and those online on the tailnet.

    Left out: this machine, git forges, names that look like production or a gateway, names that ssh could
    not take, and tailnet machines that are offline or run no POSIX shell. `tailscale` is the parsed
    `tailscale status --json`, None where there is none. An ssh host that Tailscale calls offline stays:
    that is a hint with an age, not a fact.
    """
    peers = {peer.name.lower(): peer for peer in _peers(tailscale)}
    selves = _self_names(tailscale, self_name)
    from_d = list(dict.fromkeys(name for members in d_groups.values() for name in members))
    hosts: dict[str, ProposedHost] = {}
    left_out: dict[str, LeftOut] = {}
    for name in dict.fromkeys((*from_d, *ssh_hosts)):
        objection = _objection(name, selves, chosen=name in from_d)
        if objection:
            left_out[name] = LeftOut(_clean(name), objection)
            continue
        sources = [source for source, names in (("d", from_d), ("ssh", ssh_hosts)) if name in names]
        hosts[name] = _proposed(name, sources, peers.get(name.lower()))
    known = {name.lower() for name in (*hosts, *left_out)}
    for key, peer in peers.items():
        if key in known or peer.full_name.lower() in known:
            continue
        objection = peer.objection or _objection(peer.name, selves)
        if objection:
            left_out[peer.name] = LeftOut(_clean(peer.name), objection)
        else:
            hosts[peer.name] = ProposedHost(peer.name, ("tailscale",), f"online on the tailnet, {peer.system}")
    groups = _groups(d_groups, hosts)
    return Proposal(tuple(hosts.values()), groups, tuple(left_out.values()))


def render_config(proposal: Proposal) -> str:
    """Write a proposal as a commented settings file, which `dgummy.layers.merge` takes as it is."""
    reasons = {host.name: host.reason for host in proposal.hosts}
    lines = [
        "# Settings of dgummy. `inv config.show --origin` shows every key and where its value comes from.",
        "#",
        "# Every machine listed here is given work. Delete each one that should not be.",
    ]
    if proposal.groups:
        lines.append("groups:")
    else:
        lines.append("groups: {}    # in its place {dev: [node-1, node-2]}, say: names that `ssh` knows")
    for group, members in proposal.groups.items():
        lines.append(f"  {_scalar(group)}:" + ("" if members else " []"))
        lines += [f"    - {_scalar(name)}  # {reasons[name]}" for name in members]
    with_paths = [host for host in proposal.hosts if host.paths]
    if with_paths:
        lines += ["", "# Names to reach a host by: the first that answers is used.", "hosts:"]
        for host in with_paths:
            paths = ", ".join(_scalar(path) for path in host.paths)
            lines += [f"  {_scalar(host.name)}:", f"    paths: [{paths}]"]
    if proposal.left_out:
        lines += ["", "# Seen and left out:"]
        lines += [f"#   {left.name}: {left.reason}" for left in proposal.left_out]
    lines += [
        "",
        "# The group that takes work when none is named.",
        f"group: {_scalar(_default_group(proposal))}",
        "",
    ]
    lines += _EXAMPLES
    return "\n".join(lines) + "\n"


def tailscale_status(timeout_s: float) -> dict[str, Any] | None:
    """Ask the tailnet who is there. None where there is no Tailscale, or no sensible answer in time."""
    try:
        process = subprocess.Popen(
            ["tailscale", "status", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    with process:
        try:
            output = _output(process, timeout_s)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        return None
    try:
        status = json.loads(output)
    except (ValueError, RecursionError):
        return None
    return status if isinstance(status, dict) else None


def _output(process: subprocess.Popen[bytes], timeout_s: float) -> bytes:
    """What a program prints until it ends, b"" if that is too much, or takes too long."""
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    end, output = time.monotonic() + timeout_s, bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= _MAX_TAILSCALE_BYTES and selector.select(max(0.0, end - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), _MAX_TAILSCALE_BYTES)
            output += chunk
            if not chunk:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, end - time.monotonic()))
                return bytes(output)
    return b""


def write_new(path: Path, text: str) -> None:
    """Write a new file, mode 0600, in folders of mode 0700. UsageError if anything is there already."""
    try:
        make_folder(path.parent)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        there = Path(str(error.filename or path))
        raise UsageError(f"{there}: is there already, and is never overwritten", "edit it, or move it away") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made: {error.strerror}", "check the permissions of its folder") from None
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", "free some space and try again") from None


def _objection(name: str, selves: frozenset[str], *, chosen: bool = False) -> str:
    """Say why a name should not be proposed, or "". `chosen`: it is a worker of `d`'s already."""
    try:
        check_name(name)
    except ValueError:
        return "not a name that ssh could be given"
    plain = name.lower().rstrip(".")
    if plain in selves or plain.startswith("127."):
        return "this machine"
    parts = set(re.split(r"[^a-z0-9]+", plain))
    if plain in _FORGE_HOSTS or parts & _FORGES:
        return "looks like a git forge"
    if parts & _NOT_WORKERS and not chosen:
        return "looks like production or a gateway; add it by hand if it should take work"
    return ""


def _proposed(name: str, sources: list[str], peer: _Peer | None) -> ProposedHost:
    words = {"d": "in a group of `d`", "ssh": "in ssh's config"}
    reason = [words[source] for source in sources]
    paths: tuple[str, ...] = ()
    if peer is not None and not peer.objection:
        sources.append("tailscale")
        reason.append(f"online on the tailnet, {peer.system}")
        if peer.full_name:
            paths = (name, peer.full_name)
    elif peer is not None:
        reason.append(f"Tailscale says: {peer.objection}")
    return ProposedHost(name, tuple(sources), "; ".join(reason), paths)


def _groups(d_groups: Mapping[str, Sequence[str]], hosts: Mapping[str, ProposedHost]) -> dict[str, tuple[str, ...]]:
    """`d`'s groups as they are, and every host that is in none of them in the default group."""
    groups = {
        name: tuple(dict.fromkeys(member for member in members if member in hosts))
        for name, members in d_groups.items()
        if re.fullmatch(r"\w[\w.+-]*", name)
    }
    placed = {member for members in groups.values() for member in members}
    rest = [name for name in hosts if name not in placed]
    if rest:
        groups[DEFAULT_GROUP] = (*groups.get(DEFAULT_GROUP, ()), *rest)
    return groups if any(groups.values()) else {}


def _default_group(proposal: Proposal) -> str:
    return DEFAULT_GROUP if DEFAULT_GROUP in proposal.groups else next(iter(proposal.groups), DEFAULT_GROUP)


def _peers(tailscale: Mapping[str, Any] | None) -> Iterable[_Peer]:
    """List the machines of the tailnet. Whatever has not the expected shape is passed over."""
    peers = (tailscale or {}).get("Peer")
    if not isinstance(peers, Mapping):
        return
    for peer in peers.values():
        if not isinstance(peer, Mapping):
            continue
        full_name = _text(peer.get("DNSName")).rstrip(".")
        name = full_name.partition(".")[0] or _text(peer.get("HostName"))
        system = _text(peer.get("OS"))
        if name:
            yield _Peer(name, full_name, _clean(system) or "system unknown", _peer_objection(peer, system))


def _peer_objection(peer: Mapping[str, Any], system: str) -> str:
    if peer.get("ShareeNode") is True:
        return "another tailnet's machine"
    if peer.get("Expired") is True:
        return "its Tailscale key has expired"
    if peer.get("Online") is not True:
        return "offline on the tailnet"
    if system and system.lower() not in _SYSTEMS:
        return f"runs {_clean(system)}"
    if _text(peer.get("DNSName")).rstrip(".").endswith(".mullvad.ts.net"):
        return "an exit node"
    return ""


def _self_names(tailscale: Mapping[str, Any] | None, self_name: str) -> frozenset[str]:
    names = set(_THIS_MACHINE)
    own = (tailscale or {}).get("Self")
    found = [self_name]
    if isinstance(own, Mapping):
        found += [_text(own.get("DNSName")), _text(own.get("HostName"))]
        addresses = own.get("TailscaleIPs")
        found += [_text(address) for address in addresses] if isinstance(addresses, list) else []
    for name in found:
        plain = name.lower().rstrip(".")
        names |= {plain} if re.fullmatch(r"[0-9.]+|.*:.*", plain) else {plain, plain.partition(".")[0]}
    names.discard("")
    return frozenset(names)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _clean(text: str) -> str:
    """Make a text fit for a comment: one line, no control characters, not long."""
    return "".join(char if char.isprintable() else "?" for char in text)[:80]


def _scalar(text: str) -> str:
    """Write a name as YAML text, in quotes where YAML would read something else."""
    plain = _PLAIN_NAME.fullmatch(text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text)


_EXAMPLES = [
    "# Some of what else can be set, with its default:",
    "#",
    "# load_weights:         # how much each figure counts when hosts are compared",
    "#   cpu: 0.4",
    "#   memory: 0.3",
    "#   load_average: 0.3",
    "#",
    "# host_preferences:     # hosts to try first for a type of task, while they are not overloaded",
    "#   database: [node-1]",
    "#",
    '# sync_exclude: [node_modules, .git, dist, build, .DS_Store, "*.log"]',
    "# fallback: local       # none: never run here when no host can",
]
