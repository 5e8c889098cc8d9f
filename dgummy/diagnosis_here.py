"""What is wrong with this machine, as a place to work from. Pure: facts go in."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from msgspec.structs import replace

from dgummy.diagnosis import OLD_RUNS_DAYS
from dgummy.findings import HERE, Checkup, Mending, Notes, Repair, Work, names
from dgummy.gate import DISK_RESERVE_BYTES
from dgummy.units import format_bytes, format_count

_TAILNET = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fd7a:115c:a1e0::/48"))
_PRIVATE_WHY = "whoever can write there can plant what is believed; so it is not believed, and every command looks anew"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong, and what to do about it."""

    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of ours. `problem` is "" or why it cannot be used.

    Others may write to it if `is_open`, and see what is in it if `is_seen`.
    below: from where on the way to it is ours (`Repair`), "" if it may be a folder that the user made for more than us.
    """

    name: str
    path: str
    exists: bool = True
    ours: bool = True
    is_open: bool = False
    is_seen: bool = False
    problem: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True)
class BadCache:
    """A cache that cannot be read, and why. below: as for a `Folder`, "" if the file may be the user's own."""

    path: str
    why: str
    below: str = ""


class Ledger(Enum):
    """How the ledger is."""

    NONE = "none"
    GOOD = "good"
    DAMAGED = "damaged"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Tailnet:
    """Tailscale: `state` as its own status calls it (`Running`, `NeedsLogin`, …), "" if it does not answer.

    offline: names and addresses of machines that it calls offline, each with when they were seen last.
    """

    state: str = ""
    login_url: str = ""
    offline: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HereFacts:
    """What was found on this machine. None, "" and () stand for what is not there.

    config: what is wrong with the settings, which may be `readable` all the same. ssh, git, rsync, d: what there is, or
    the trouble with it; d is None where nobody wants it. by_ssh: whether any host is looked at over ssh. wants_tailnet:
    hosts whose names lead into a tailnet. agent_keys: how many keys the agents have, None without one that answers;
    silent_agents: those that do not. key_files: private keys that ssh would offer; open_keys: those that others may
    read. broken_caches, strange_caches: that cannot be read, in places of ours but not ours, each with the reason. disk
    was measured there. silent: the checks that gave no answer in time, each with what to try by hand.
    """

    python: str
    ssh: str | Trouble = ""
    git: str | Trouble = ""
    rsync: str | Trouble = ""
    d: str | Trouble | None = None
    tailnet: Tailnet | None = None
    wants_tailnet: tuple[str, ...] = ()
    agent_keys: int | None = None
    silent_agents: tuple[str, ...] = ()
    key_files: tuple[str, ...] = ()
    open_keys: tuple[str, ...] = ()
    config: Trouble | None = None
    readable: bool = True
    config_files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    hosts: int = 0
    by_ssh: bool = False
    why_here: str = ""
    folders: tuple[Folder, ...] = ()
    broken_caches: tuple[BadCache, ...] = ()
    strange_caches: tuple[tuple[str, str], ...] = ()
    ledger: Ledger = Ledger.NONE
    ledger_trouble: Trouble = field(default_factory=lambda: Trouble(""))
    disk_free_bytes: int | None = None
    disk: str = ""
    silent: Mapping[str, str] = field(default_factory=dict)


def is_on_tailnet(hostname: str) -> bool:
    """Whether a name or an address leads into a tailnet."""
    if hostname.rstrip(".").endswith(".ts.net"):
        return True
    try:
        address = ipaddress.ip_address(hostname)
    except ValueError:
        return False
    return any(address in network for network in _TAILNET)


def examine(facts: HereFacts) -> Checkup:
    """All checks of this machine."""
    notes = Notes(HERE)
    notes.ok("python", facts.python)
    _config(notes, facts)
    for name, step in _STEPS.items():
        if name in facts.silent:
            why = "what hangs for this hangs for every command that needs it"
            fix = f"see whether this hangs too: {facts.silent[name]}"
            notes.problem(name, "no answer; it was waited for in vain", why, fix)
        else:
            step(notes, facts)
    return notes.done()


def _config(notes: Notes, facts: HereFacts) -> None:
    if facts.config is not None:
        why = "commands that need them end with exit code 78" if facts.readable else "without settings no host is known"
        notes.problem("config", facts.config.what, why, facts.config.fix, Work.ANY)
        if not facts.readable:
            return
    for warning in facts.warnings:
        notes.hint("config", warning, "it may not mean what you meant", "inv config.show --origin")
    if not facts.warnings and facts.config is None:
        notes.ok("config", f"good: {names(facts.config_files) or 'no file, all as built in'}")
    if facts.why_here:
        fix = "inv config.init shows what it finds; inv config.init --write makes the file, where there is none"
        notes.hint("hosts", facts.why_here, "all work is done on this machine", fix)
    else:
        notes.ok("hosts", f"{format_count(facts.hosts, 'host')} offered")


def _ssh(notes: Notes, facts: HereFacts) -> None:
    why = "how to reach a host is what `ssh -G` says, and rsync goes over it; no host can be looked at"
    if isinstance(facts.ssh, Trouble):
        notes.problem("ssh", facts.ssh.what, why, f"see what is wrong: {facts.ssh.fix}", Work.ANY)
    elif facts.ssh:
        notes.ok("ssh", facts.ssh)
    else:
        notes.problem("ssh", "ssh not found", why, "install OpenSSH's client: openssh-client, or openssh", Work.ANY)


def _rsync(notes: Notes, facts: HereFacts) -> None:
    if isinstance(facts.rsync, Trouble):
        notes.problem("rsync", facts.rsync.what, "no project can be brought to a host", facts.rsync.fix, Work.SYNC)
    else:
        notes.ok("rsync", facts.rsync)


def _git(notes: Notes, facts: HereFacts) -> None:
    if isinstance(facts.git, Trouble):
        why = "no project of git's can be listed, so none is brought to a host"
        notes.problem("git", facts.git.what, why, f"see what is wrong: {facts.git.fix}", Work.SYNC)
    elif facts.git:
        notes.ok("git", facts.git)
    else:
        why = "every file is sent, ignored or not, and what runs change comes home as files, not as a branch"
        notes.hint("git", "git not found", why, "install git")


def _d(notes: Notes, facts: HereFacts) -> None:
    if isinstance(facts.d, Trouble):
        fix = f"see what it waits for: {facts.d.fix}; or set backend: ssh"
        notes.hint("d", facts.d.what, "every command asks it again, and waits for it before it goes on by ssh", fix)
    elif facts.d is not None:
        notes.ok("d", facts.d)


def _tailscale(notes: Notes, facts: HereFacts) -> None:
    tailnet, hosts = facts.tailnet, names(facts.wants_tailnet)
    if tailnet is None:
        if hosts:
            why = f"{hosts} can be reached over the tailnet only"
            notes.problem("tailscale", "tailscale not found", why, "install it: https://tailscale.com/download")
        else:
            notes.ok("tailscale", "not installed, and no host wants it")
        return
    if tailnet.state == "Running":
        notes.ok("tailscale", "up and logged in")
        return
    logged_out = tailnet.state == "NeedsLogin"
    what = "tailscale is logged out" if logged_out else f"tailscale is not up ({tailnet.state or 'it does not answer'})"
    fix = f"visit {tailnet.login_url}" if tailnet.login_url else "sudo tailscale up"
    if not tailnet.state:
        fix = "see what it says: tailscale status"
    if hosts:
        notes.problem("tailscale", what, f"{hosts} can be reached over the tailnet only", fix)
    else:
        notes.hint("tailscale", what, "no host of yours is named by its address there, so it may not matter", fix)


def _keys(notes: Notes, facts: HereFacts) -> None:
    for path in facts.open_keys:
        why = "ssh refuses to use such a key, and rsync goes over ssh"
        notes.problem("keys", f"{path} can be read by others", why, f"chmod 600 {shlex.quote(path)}", Work.SYNC)
    for socket in facts.silent_agents:
        why = "every login asks it first, and waits"
        notes.hint("keys", f"the ssh agent at {socket} does not answer", why, "see whether it hangs: ssh-add -l")
    if facts.open_keys or facts.silent_agents or not facts.by_ssh:
        return
    seen = [] if facts.agent_keys is None else [f"agent with {format_count(facts.agent_keys, 'key')}"]
    seen += [f"key file {path}" for path in facts.key_files]
    if facts.agent_keys or facts.key_files:
        notes.ok("keys", names(seen, 3))
    else:
        why = "only Tailscale SSH and user certificates let one in without"
        what = "the ssh agent has no keys" if facts.agent_keys == 0 else "there is no ssh agent"
        notes.hint("keys", f"{what}, and there is no key file", why, "ssh-keygen, then ssh-copy-id HOST")


def _folders(notes: Notes, facts: HereFacts) -> None:
    for folder in facts.folders:
        if not any(folder.path.startswith(f"{other.path}/") for other in facts.folders if other.problem):
            _folder(notes, folder)
    _caches(notes, facts)
    _ledger(notes, facts)
    _disk(notes, facts)


def _folder(notes: Notes, folder: Folder) -> None:
    path = shlex.quote(folder.path)
    if folder.problem:
        why = "what was run, and where, cannot be written down; figures are measured for every command"
        fix = f"ls -ld {path}; or set state_dir to a folder of yours"
        notes.problem(folder.name, f"{folder.path}: {folder.problem}", why, fix)
    elif not folder.ours:
        notes.problem(
            folder.name,
            f"{folder.path} belongs to another user",
            _PRIVATE_WHY,
            f'if it should be yours: sudo chown -R "$(id -un)" {path}',
        )
    elif folder.is_open:
        repair = Repair(Mending.PRIVATE, folder.path, folder.below) if folder.below else None
        fix = f"chmod go-w {path}" if repair else f"set state_dir to a folder of yours alone; or chmod go-w {path}"
        notes.problem(folder.name, f"{folder.path} can be written to by others", _PRIVATE_WHY, fix, repair=repair)
    elif folder.is_seen and folder.name == "state-folder":
        why = "what was sent to hosts, and what runs printed, is kept there"
        notes.hint(folder.name, f"{folder.path} can be looked into by others", why, f"chmod go= {path}")
    else:
        notes.ok(folder.name, f"{folder.path}{'' if folder.exists else ' (will be made)'}")


def _caches(notes: Notes, facts: HereFacts) -> None:
    for one in facts.broken_caches:
        repair = Repair(Mending.REMOVE, one.path, one.below) if one.below else None
        fix = f"rm {shlex.quote(one.path)}" if repair else f"see what it is: ls -l {shlex.quote(one.path)}"
        notes.hint(
            "caches", f"{one.path}: {one.why}", "it is passed over, and written anew one day", fix, repair=repair
        )
    for path, why in facts.strange_caches:
        what = (
            "a private file is used in its place; another setting ends the notices: cache.load_path, cache.status_path"
        )
        notes.hint("caches", f"{path}: {why}", what, f"ls -l {shlex.quote(path)}")
    if not facts.broken_caches and not facts.strange_caches:
        notes.ok("caches", "can be read, and are ours")


def _ledger(notes: Notes, facts: HereFacts) -> None:
    trouble = facts.ledger_trouble
    if facts.ledger is Ledger.GOOD:
        notes.ok("ledger", "whole")
    elif facts.ledger is Ledger.NONE:
        notes.ok("ledger", "none yet")
    elif facts.ledger is Ledger.DAMAGED:
        why = "what was run before cannot be looked up; the hosts remember their runs"
        notes.problem("ledger", trouble.what, why, "inv runs.rebuild")
    else:
        notes.problem("ledger", trouble.what, "runs go on without being recorded", trouble.fix)


def _disk(notes: Notes, facts: HereFacts) -> None:
    free = facts.disk_free_bytes
    if free is None:
        return
    if free >= DISK_RESERVE_BYTES:
        notes.ok("disk", f"{format_bytes(free)} free at {facts.disk}")
        return
    fix = f"df -h {shlex.quote(facts.disk)}; inv runs.prune --older {OLD_RUNS_DAYS}d"
    why = "the ledger, and what comes home, are written there"
    notes.problem("disk", f"only {format_bytes(free)} free at {facts.disk}", why, fix)


_STEPS: Mapping[str, Callable[[Notes, HereFacts], None]] = {
    "ssh": _ssh,
    "rsync": _rsync,
    "git": _git,
    "d": _d,
    "tailscale": _tailscale,
    "keys": _keys,
    "folders": _folders,
}


def dependents(hostnames: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """The hosts of which every way leads into the tailnet. Each is given with the names that its ways lead to."""
    return tuple(name for name, ways in hostnames if ways and all(map(is_on_tailnet, ways)))


def with_tailnet(one: Checkup, hostnames: Sequence[str], tailnet: Tailnet | None) -> Checkup:
    """The check-up of a host; one that does not answer, and that Tailscale calls offline, says so."""
    seen = next((tailnet.offline[name] for name in hostnames if name in tailnet.offline), None) if tailnet else None
    if seen is None:
        return one
    why = f"Tailscale calls it offline{f', last seen {seen}' if seen else ''}: is it switched on?"
    findings = [
        replace(finding, why=f"{finding.why}; {why}") if finding.check in ("name", "port") else finding
        for finding in one.findings
    ]
    return Checkup(one.place, one.passed, tuple(findings))
