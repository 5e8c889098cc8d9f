"""What rsync and ssh print, read: versions, progress, statistics, and the reason of a failure. Pure.

Texts are those of rsync 2.6.9 to 3.5 and of openrsync (macOS 15 and later), and of OpenSSH below them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dgummy.model import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class Flavour:
    """An rsync program: `kind` is "rsync" or "openrsync" (whose version is the one it claims to match)."""

    kind: str
    version: tuple[int, ...]
    path: str = "rsync"

    @property
    def has_info(self) -> bool:
        """Whether it takes --info=progress2 (rsync 3.1 and up)."""
        return self.kind == "rsync" and self.version >= (3, 1)

    @property
    def escapes_remote_path(self) -> bool:
        """Whether it quotes the remote path by itself unless told not to (rsync 3.2.4 and up)."""
        return self.kind == "rsync" and self.version >= (3, 2, 4)


def parse_version(text: str, path: str = "rsync") -> Flavour | None:
    """Read what `rsync --version` prints; None if it is no rsync that we know."""
    match = re.search(r"\brsync\s+version\s+v?(\d+(?:\.\d+)*)", text)
    if "openrsync" in text:
        version = match.group(1) if match else "2.6.9"
        return Flavour("openrsync", tuple(map(int, version.split("."))), path)
    return Flavour("rsync", tuple(map(int, match.group(1).split("."))), path) if match else None


_PROGRESS = re.compile(r"\s*([\d,.]+)\s+(\d{1,3})%")


def parse_progress(line: str) -> tuple[int, float] | None:
    """Read bytes and per cent of a --info=progress2 line; None if it is none."""
    match = _PROGRESS.match(line)
    if match is None:
        return None
    return int(re.sub(r"\D", "", match.group(1))), min(100.0, float(match.group(2)))


_FILES = re.compile(r"^Number of (?:regular )?files transferred: ([\d,.]+)", re.MULTILINE)
_BYTES = re.compile(r"^Total transferred file size: ([\d,.]+) ?([KMGT]?)", re.MULTILINE)
_SCALE = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_stats(text: str) -> tuple[int, int]:
    """Read how many files, of how many bytes, were sent, from --stats. openrsync rounds the bytes."""
    files, size = _FILES.search(text), _BYTES.search(text)
    count = int(re.sub(r"\D", "", files.group(1))) if files else 0
    if size is None:
        return count, 0
    number, unit = size.group(1).replace(",", ""), size.group(2)
    return count, int(float(number) * _SCALE[unit])


@dataclass(frozen=True, slots=True)
class Rule:
    """A line that matches means this. `{0}` in detail is the first group, `{host}` the ssh name."""

    pattern: re.Pattern[str]
    kind: FailureKind
    detail: str
    remedy: str


def _rule(pattern: str, kind: FailureKind, detail: str, remedy: str) -> Rule:
    return Rule(re.compile(pattern), kind, detail, remedy)


_KEY_REMEDY = "Look at it with: ssh {host} true"
_SSH_RULES = (
    _rule(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        FailureKind.HOST_KEY,
        "the host key of {host} has changed",
        "If you know why, remove the old one with ssh-keygen -R; else do not connect.",
    ),
    _rule(
        r"Host key verification failed|No \S+ host key is known",
        FailureKind.HOST_KEY,
        "the host key of {host} is not known or not right",
        "Connect once by hand and check the key: ssh {host} true",
    ),
    _rule(
        r"^(?:\S+: )?Permission denied \([\w,-]+\)|Too many authentication failures",
        FailureKind.AUTHENTICATION,
        "{host} did not let us in",
        "Check your key or agent: ssh -o BatchMode=yes {host} true",
    ),
    _rule(r"Could not resolve hostname", FailureKind.DNS, "{line}", "Check HostName in ssh_config."),
    _rule(r"Connection refused", FailureKind.REFUSED, "{line}", "Is sshd running there, and is the port right?"),
    _rule(r"No route to host|is unreachable", FailureKind.NO_ROUTE, "{line}", "Is the host on, and in reach?"),
    _rule(
        r"onnection timed out during banner|Operation timed out|connect to .* timed out",
        FailureKind.TIMED_OUT,
        "{line}",
        "Is the host on? timeouts.connect_s sets how long we wait.",
    ),
    _rule(
        r"proxy|stdio forwarding failed|Connection closed by UNKNOWN",
        FailureKind.PROXY,
        "{line}",
        "Check ProxyJump or ProxyCommand: ssh {host} true",
    ),
    _rule(
        r"kex_exchange_identification|Connection (?:reset|closed) by \S+ port|banner exchange",
        FailureKind.DROPPED,
        "{line}",
        "sshd may be busy (MaxStartups); try again.",
    ),
)
_LOST_RULES = (
    _rule(
        r"client_loop: send disconnect|not responding|Connection to .* closed|Broken pipe|Connection reset",
        FailureKind.SYNC,
        "the connection to {host} was lost half-way",
        "Try again: what arrived is not sent twice.",
    ),
    _rule(
        r"connection unexpectedly closed \((?!0 bytes)",
        FailureKind.SYNC,
        "the connection to {host} was lost half-way",
        "Try again: what arrived is not sent twice.",
    ),
)
_FILE_RULES = (
    _rule(
        r"No space left on device|[Qq]uota exceeded|File too large",
        FailureKind.DISK_FULL,
        "no space left on {host}",
        "Free some space there (inv run --host {host} df), or set remote_dir to another disk.",
    ),
    _rule(
        r"send_files failed to open \"?(.*?)\"?: (?:Permission denied|Operation not permitted)",
        FailureKind.PERMISSION,
        "cannot read {0} here",
        "Make it readable, or add it to sync_exclude.",
    ),
    _rule(
        r"\[sender\].*?\"(.*?)\" failed: Permission denied",
        FailureKind.PERMISSION,
        "cannot read {0} here",
        "Make it readable, or add it to sync_exclude.",
    ),
    _rule(
        r"(?:Permission denied|Operation not permitted|Read-only file system)",
        FailureKind.PERMISSION,
        "cannot write on {host}: {line}",
        "Make the folder there writable, or set remote_dir to another one.",
    ),
    _rule(
        r"mkdir .*No such file or directory",
        FailureKind.SYNC,
        "the folder above the project's is missing on {host}",
        "Create it there, or set remote_dir.",
    ),
)
_PROTOCOL_RULES = (
    _rule(
        r"is your shell clean|protocol version mismatch|unexpected tag|unexplained data",
        FailureKind.SHELL,
        "the login shell of {host} prints something before rsync can speak",
        "Make it silent for commands: ssh {host} true must print nothing (look in .bashrc, .zshenv).",
    ),
    _rule(
        r"unknown option|unrecognized option|invalid option|syntax or usage error",
        FailureKind.SYNC,
        "the rsync of {host} does not know an option: {line}",
        "Install rsync 3 on both sides.",
    ),
)
_NOT_FOUND = re.compile(r"command not found|: not found|No such file or directory|Unknown command|code 127\b")
_MISSING = re.compile(
    r"link_stat \"?.*?\"? failed: No such file|file has vanished|: \(l\)stat: No such file|vanished before"
)
_SUMMARY = re.compile(r"^rsync (?:error|warning): |^rsync: connection unexpectedly closed")
_RSYNC_LINE = re.compile(r"^\S*rsync(?:\(\d+\))?: |^rsync error: |^(?:file has vanished|IO error)")

_PARTIAL_CODES = (23, 24)
_TIME_CODES = (30, 35)


def vanished(stderr: str) -> list[str]:
    """Return the lines that say a file was gone when its turn came."""
    return [line for line in stderr.splitlines() if _MISSING.search(line)]


def only_vanished(code: int, stderr: str) -> bool:
    """Whether files that were gone when their turn came are all that went wrong."""
    if code == 24:
        return True
    if code != 23:
        return False
    lines = [line for line in stderr.splitlines() if _RSYNC_LINE.match(line) and not _SUMMARY.match(line)]
    return bool(lines) and all(_MISSING.search(line) for line in lines)


def classify(code: int, stderr: str, host: str) -> Failure:
    """Say why rsync ended with `code` (not 0), from what it and ssh printed."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    ours = [line for line in lines if _RSYNC_LINE.match(line)]
    # Only ssh's own lines are searched for ssh's messages: a file may be called anything.
    others = [line for line in lines if not _RSYNC_LINE.match(line)]
    if code in _TIME_CODES:
        return Failure(
            FailureKind.TIMED_OUT,
            f"rsync to {host} made no progress",
            "Try again; timeouts.sync_idle_s sets how long we wait.",
        )
    if code not in _PARTIAL_CODES:
        if code == 127 or any("code 127)" in line for line in ours) or _no_remote_rsync(code, others):
            return Failure(
                FailureKind.MISSING_TOOL,
                f"no rsync on {host}",
                "Install it there: apt install rsync, or brew install rsync",
            )
        found = (
            _first(_PROTOCOL_RULES, lines, host)
            or _first(_FILE_RULES, [line for line in ours if not _SUMMARY.match(line)], host)
            or _first(_LOST_RULES, others, host)
            or (_first(_SSH_RULES, others, host) if code in (12, 255) else None)
            or _first(_LOST_RULES, ours, host)
        )
    else:
        found = _first(_FILE_RULES, [line for line in ours if not _MISSING.search(line)], host)
    return found or _unknown(code, ours, others, host)


def _no_remote_rsync(code: int, others: list[str]) -> bool:
    return code in (12, 14, 255) and any(_NOT_FOUND.search(line) and "rsync" in line for line in others)


def _first(rules: tuple[Rule, ...], lines: list[str], host: str) -> Failure | None:
    for rule in rules:
        for line in lines:
            match = rule.pattern.search(line)
            if match is not None:
                group = (match.groups() or ("",))[0] or ""
                detail = rule.detail.replace("{host}", host).replace("{line}", line).replace("{0}", group)
                return Failure(rule.kind, detail, rule.remedy.replace("{host}", host))
    return None


def _unknown(code: int, ours: list[str], others: list[str], host: str) -> Failure:
    telling = [line for line in ours if not _SUMMARY.match(line)] or others or ours
    detail = telling[0] if telling else f"rsync ended with code {code}"
    if code == 11 and not telling:
        return Failure(
            FailureKind.SYNC,
            f"files could not be written on {host}",
            f"Look for a full disk or a closed folder there: ssh {host} df -h",
        )
    if code < 0:
        detail = f"rsync was killed by signal {-code}"
    return Failure(FailureKind.SYNC, detail, f"Look at it by hand: rsync -n . {host}:")
