"""How to reach a host, as `ssh -G HOST` tells it: the user's own truth, with Include, Match and ProxyJump.

The answer is cached on disk for as long as no file that it came from has changed. Formats: ssh_config(5),
ssh(1).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from dgummy.errors import ConfigError
from dgummy.hostset import check_name
from dgummy.transport.sshconfig_files import Store, account_home, fingerprint, read_tree, words

MAX_AT_ONCE = 16
"""How many `ssh -G` run at the same time."""

_STRICT = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
# OpenSSH refuses these in names that go into a command (ssh.c, valid_hostname and valid_ruser).
_SHELL_SIGNS = frozenset("'`\"$\\;&<>|(){}\n\r\t\0 ")
_TOKEN = re.compile(r"%(.)|\$\{(\w+)\}")


class SSHConfigError(ConfigError):
    """Ssh could not say how to reach a host: a wrong configuration, no answer in time, or no ssh."""


@dataclass(frozen=True, slots=True)
class SSHTarget:
    """How ssh would reach `name`. Tokens and `~` in file names are written out; files need not exist.

    `identity_agent`: None means the agent of SSH_AUTH_SOCK, "none" no agent, else a socket (`agent_socket`
    decides). `strict` is "yes", "no" (also for off), "ask" or "accept-new". `proxy_jump` and
    `proxy_command` are None where there is none; tokens in `proxy_command` stay (`expand_proxy_command`).
    `connect_timeout` is in seconds, None for the system's own.
    """

    name: str
    hostname: str
    user: str
    port: int = 22
    identity_files: tuple[str, ...] = ()
    certificate_files: tuple[str, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    proxy_jump: str | None = None
    proxy_command: str | None = None
    user_known_hosts: tuple[str, ...] = ()
    global_known_hosts: tuple[str, ...] = ()
    strict: str = "ask"
    host_key_alias: str | None = None
    hash_known_hosts: bool = False
    connect_timeout: int | None = None
    preferred_authentications: tuple[str, ...] = ()
    host_key_algorithms: tuple[str, ...] = ()
    check_host_ip: bool = False
    batch_mode: bool = False
    forward_agent: bool = False
    address_family: str = "any"


def resolve(
    name: str, *, config_path: Path | None = None, cache_path: Path | None = None, timeout_s: float = 5.0
) -> SSHTarget:
    """Ask ssh how it would reach a host. SSHConfigError, with ssh's own message, if it cannot tell."""
    answers = resolve_many([name], config_path=config_path, cache_path=cache_path, timeout_s=timeout_s)
    answer = answers[name]
    if isinstance(answer, SSHConfigError):
        raise answer
    return answer


def resolve_many(
    names: Sequence[str],
    *,
    config_path: Path | None = None,
    cache_path: Path | None = None,
    timeout_s: float = 5.0,
) -> dict[str, SSHTarget | SSHConfigError]:
    """Ask ssh about several hosts, those that are not cached at the same time. Failures are values.

    `config_path` None means ssh's own files. `cache_path` None means no cache. `timeout_s` bounds each `ssh
    -G`.
    """
    asked = list(dict.fromkeys(names))
    prefix = "" if config_path is None else os.path.abspath(config_path)  # noqa: PTH100 - links stay as they are
    # Taken before asking: a file that changes meanwhile makes the stored answer old, not wrong.
    mark = fingerprint(config_path) if cache_path is not None else None
    store = Store(cache_path) if cache_path is not None and mark is not None else None
    answers: dict[str, SSHTarget | SSHConfigError] = {}
    if store is not None and mark is not None:
        for name in asked:
            known = _from_store(store.get(f"{prefix}\0{name}", mark), name)
            if known is not None:
                answers[name] = known
    missing = [name for name in asked if name not in answers]
    for start in range(0, len(missing), MAX_AT_ONCE):
        answers.update(_ask(missing[start : start + MAX_AT_ONCE], config_path, timeout_s))
    fresh = {f"{prefix}\0{name}": answers[name] for name in missing}
    keep = {key: asdict(answer) for key, answer in fresh.items() if isinstance(answer, SSHTarget)}
    if store is not None and mark is not None and keep:
        store.put(keep, mark)
    return {name: answers[name] for name in asked}


def config_hosts(config_path: Path | None) -> list[str]:
    """List the concrete host names in an ssh configuration, Includes followed: no patterns, each once.

    For discovery and messages only; being listed makes no host a worker.
    """
    files, _stable = read_tree(config_path)
    found: dict[str, None] = {}
    for file in files:
        for keyword, rest in file.lines:
            if keyword != "host":
                continue
            found.update(dict.fromkeys(name for name in words(rest) if _is_concrete(name)))
    return list(found)


def expand_proxy_command(target: SSHTarget) -> str | None:
    """Write out %h, %p, %r, %n, %k and %% in the proxy command; None if there is none.

    SSHConfigError if the host or user name holds signs that the shell would act on, as ssh itself refuses
    them.
    """
    command = target.proxy_command
    if command is None:
        return None
    for value in (target.hostname, target.user, target.name, target.host_key_alias or ""):
        if value.startswith("-") or _SHELL_SIGNS & set(value):
            raise SSHConfigError(
                f"{target.name}: {value!a} cannot go into a ProxyCommand",
                "correct HostName or User in ssh's config",
            )
    tokens = _tokens(target.name, target.hostname, target.user, target.port, target.host_key_alias)
    return _TOKEN.sub(lambda match: tokens.get(match.group(1) or "", match.group(0)), command)


def agent_socket(target: SSHTarget, environ: Mapping[str, str]) -> str | None:
    """Return the socket of the agent to ask, or None for no agent."""
    agent = target.identity_agent
    if agent is None:
        return environ.get("SSH_AUTH_SOCK") or None
    if agent == "none":
        return None
    return environ.get(agent[1:]) or None if agent.startswith("$") else agent


def parse(name: str, text: str, *, environ: Mapping[str, str] | None = None) -> SSHTarget:
    """Read what `ssh -G NAME` printed. SSHConfigError if it is no such text."""
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, rest = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(rest.strip())
    hostname, user = _one(values, "hostname"), _one(values, "user")
    port = _number(_one(values, "port") or "22")
    if not hostname or not user or port is None or not 0 < port < 65536:
        raise SSHConfigError(f"{name}: `ssh -G` did not say how to reach it", "check it with: ssh -G " + name)
    alias = _one(values, "hostkeyalias")
    expand = _path_expander(_tokens(name, hostname, user, port, alias), os.environ if environ is None else environ)
    agent = _one(values, "identityagent", keep_none=True)
    strict = (_one(values, "stricthostkeychecking") or "ask").lower()
    return SSHTarget(
        name=name,
        hostname=hostname,
        user=user,
        port=port,
        identity_files=_files(values.get("identityfile", []), expand),
        certificate_files=_files(values.get("certificatefile", []), expand),
        identities_only=_yes(values, "identitiesonly"),
        identity_agent=None if agent in (None, "SSH_AUTH_SOCK") else expand(agent or ""),
        proxy_jump=_one(values, "proxyjump"),
        proxy_command=_one(values, "proxycommand"),
        user_known_hosts=_files(_paths(values, "userknownhostsfile"), expand),
        global_known_hosts=_files(_paths(values, "globalknownhostsfile"), expand),
        strict=_STRICT.get(strict, strict),
        host_key_alias=alias,
        hash_known_hosts=_yes(values, "hashknownhosts"),
        connect_timeout=_number(_one(values, "connecttimeout") or ""),
        preferred_authentications=_commas(values, "preferredauthentications"),
        host_key_algorithms=_commas(values, "hostkeyalgorithms"),
        check_host_ip=_yes(values, "checkhostip"),
        batch_mode=_yes(values, "batchmode"),
        forward_agent=(_one(values, "forwardagent") or "no") != "no",
        address_family=_one(values, "addressfamily") or "any",
    )


def _ask(names: Sequence[str], config_path: Path | None, timeout_s: float) -> dict[str, SSHTarget | SSHConfigError]:
    """Start `ssh -G` for each name, then gather.

    No threads: each prints little and waits for us to read it.
    """
    answers: dict[str, SSHTarget | SSHConfigError] = {}
    running: dict[str, subprocess.Popen[bytes]] = {}
    deadline = time.monotonic() + timeout_s
    try:
        for name in names:
            process = _start(name, config_path)
            if isinstance(process, SSHConfigError):
                answers[name] = process
            else:
                running[name] = process
        for name, process in running.items():
            answers[name] = _gather(name, process, deadline, timeout_s)
    finally:
        for process in running.values():
            _end(process)
    return answers


def _start(name: str, config_path: Path | None) -> subprocess.Popen[bytes] | SSHConfigError:
    try:
        check_name(name)
    except ValueError as error:
        return SSHConfigError(str(error), "write the name that ssh knows the host by")
    # -T: without a terminal ssh would complain that it gives none to the host.
    argv = ["ssh", "-G", "-T", *(["-F", str(config_path)] if config_path is not None else []), "--", name]
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # `Match exec` may leave children that have to go with it
        )
    except FileNotFoundError:
        return SSHConfigError("ssh: program not found", "install the OpenSSH client")
    except (OSError, ValueError) as error:
        return SSHConfigError(f"ssh: cannot be started: {error}", "check the ssh on your PATH: command -v ssh")


def _gather(
    name: str, process: subprocess.Popen[bytes], deadline: float, timeout_s: float
) -> SSHTarget | SSHConfigError:
    try:
        output, complaint = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return SSHConfigError(
            f"{name}: `ssh -G` took longer than {timeout_s:g} s",
            "look for `Match exec` or CanonicalizeHostname in ssh's config",
        )
    if process.returncode != 0:
        return _complaint(name, complaint.decode("utf-8", "replace"))
    try:
        return parse(name, output.decode("utf-8", "surrogateescape"))
    except SSHConfigError as error:
        return error


def _complaint(name: str, text: str) -> SSHConfigError:
    lines = ["".join(char for char in line if char.isprintable()).strip() for line in text.splitlines()]
    first = next((line for line in lines if line), "`ssh -G` failed without a message")
    remedy = "correct that line of ssh's config" if ": line " in first else f"check it with: ssh -G {name}"
    return SSHConfigError(f"{name}: {first[:300]}", remedy)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Make sure that nothing is left of a process: its group is ended, its pipes are closed."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _from_store(answer: Mapping[str, object] | None, name: str) -> SSHTarget | None:
    if answer is None:
        return None
    try:
        target = msgspec.convert(answer, SSHTarget)
    except msgspec.ValidationError:
        return None
    return target if target.name == name else None


def _is_concrete(name: str) -> bool:
    if not name or set("*?!,") & set(name):
        return False
    try:
        check_name(name)
    except ValueError:
        return False
    return True


def _one(values: Mapping[str, list[str]], keyword: str, *, keep_none: bool = False) -> str | None:
    value = next(iter(values.get(keyword, [])), "")
    return None if not value or (value.lower() == "none" and not keep_none) else value


def _yes(values: Mapping[str, list[str]], keyword: str) -> bool:
    return _one(values, keyword) in ("yes", "true")


def _commas(values: Mapping[str, list[str]], keyword: str) -> tuple[str, ...]:
    return tuple(part for part in (_one(values, keyword) or "").split(",") if part)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _paths(values: Mapping[str, list[str]], keyword: str) -> list[str]:
    """Split the known_hosts files of one line.

    `ssh -G` drops quotes, so what cannot begin a path goes on with the last.
    """
    paths: list[str] = []
    for word in " ".join(values.get(keyword, [])).split(" "):
        if paths and not word.startswith(("/", "~", "%", "$")):
            paths[-1] += f" {word}"
        else:
            paths.append(word)
    return [path.strip() for path in paths]


def _files(texts: Sequence[str], expand: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(expand(text) for text in texts if text and text.lower() != "none"))


def _tokens(name: str, hostname: str, user: str, port: int, alias: str | None) -> dict[str, str]:
    """Return the tokens of ssh_config(5) for file names and proxy commands, but for %C, %j and %T."""
    account = pwd.getpwuid(os.getuid())
    here = socket.gethostname()
    return {
        "%": "%",
        "d": account.pw_dir,
        "h": hostname,
        "i": str(account.pw_uid),
        "k": alias or name,
        "L": here.partition(".")[0],
        "l": here,
        "n": name,
        "p": str(port),
        "r": user,
        "u": account.pw_name,
    }


def _path_expander(tokens: Mapping[str, str], environ: Mapping[str, str]) -> Callable[[str], str]:
    def replace(match: re.Match[str]) -> str:
        token, variable = match.groups()
        return tokens.get(token, match.group(0)) if token else environ.get(variable, match.group(0))

    def expand(text: str) -> str:
        text = text.strip('"')
        if text == "~" or text.startswith("~/"):
            text = f"{account_home()}{text[1:]}"
        elif text.startswith("~"):
            with contextlib.suppress(RuntimeError):
                text = str(Path(text).expanduser())
        return _TOKEN.sub(replace, text)

    return expand
