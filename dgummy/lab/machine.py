"""Looks at this machine: where OpenSSH is, what it needs to run nodes, what a node's PATH is made of."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dgummy.errors import ConfigError, DgummyError, ExitCode
from dgummy.lab.texts import Machine

_SBIN = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/opt/homebrew/sbin", "/usr/lib/ssh")
_SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/libexec/sftp-server",
)
_BASE_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")
_NEEDED_ON_NODES = ("rsync", "git", "perl")
_AGENTS = ("gummy", "claude")


def survey(directory: Path) -> tuple[Machine, list[str]]:
    """Find out what the lab in `directory` (which exists) needs to know; also returns notices for the user.

    DgummyError if OpenSSH is missing or cannot let this account in.
    """
    sshd, keygen = find_program("sshd"), find_program("ssh-keygen")
    find_program("ssh")
    account = _account()
    notices = []
    if shutil.which("rsync") is None:
        notices.append(f"rsync is not installed: nothing can be synced to the nodes ({_install('rsync')})")
    machine = Machine(
        sshd=sshd,
        ssh_keygen=keygen,
        sftp_server=next((path for path in _SFTP_SERVERS if os.access(path, os.X_OK)), ""),
        user=account.pw_name,
        shell=next((path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), "/bin/sh"),
        path=_node_path(directory / "tools"),
        options=_options(sshd, account.pw_name),
    )
    return machine, notices


def find_program(name: str) -> str:
    """Find a program's absolute path: sshd starts itself again by that, and is rarely on a user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))
    if found is None:
        package = "openssh-server" if name == "sshd" else "openssh-client"
        raise DgummyError(
            f"the lab needs {name}, and this machine has none",
            _install(package),
            code=ExitCode.CONFIG,
        )
    return str(Path(found).absolute())


def _install(package: str) -> str:
    if sys.platform == "darwin":
        return f"brew install {'openssh' if package.startswith('openssh') else package}"
    return f"sudo apt-get install {package}"


def _account() -> pwd.struct_passwd:
    """Look up the account that runs the lab, and see that sshd can let it in."""
    try:
        account = pwd.getpwuid(os.getuid())
    except KeyError as error:
        raise ConfigError(
            f"user id {os.getuid()} has no entry in the password database, so sshd cannot let it in",
            "run the lab as an ordinary user",
        ) from error
    if Path(account.pw_shell).name in ("nologin", "false"):
        raise ConfigError(
            f"the login shell of {account.pw_name} is {account.pw_shell}, so sshd can start nothing for it",
            "run the lab as an ordinary user",
        )
    return account


def _node_path(tools: Path) -> str:
    """Put together the PATH of a node.

    A folder that holds the user's real agent is left out, because a task in the lab must never start it; what
    else is needed from there is linked into `tools`.
    """
    folders = [folder for folder in _BASE_PATH if not _holds_agent(folder)]
    tools.mkdir(exist_ok=True)
    for name in _NEEDED_ON_NODES:
        found = shutil.which(name)
        if found is None or shutil.which(name, path=os.pathsep.join(folders)) is not None:
            continue
        if _holds_agent(os.path.dirname(found)) or ":" in os.path.dirname(found):  # noqa: PTH120 - PATH holds text
            (tools / name).symlink_to(found)
        else:
            folders.append(str(Path(found).absolute().parent))
    return ":".join([*folders, str(tools)])


def _holds_agent(folder: str) -> bool:
    if folder in ("/usr/bin", "/bin"):
        return False  # a node cannot do without these
    return any(shutil.which(name, path=folder) is not None for name in _AGENTS)


def _options(sshd: str, user: str) -> tuple[str, ...]:
    """Lines that only some versions know, or that only some accounts need."""
    answer = subprocess.run([sshd, "-V"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    match = re.search(r"OpenSSH_(\d+)\.(\d+)", answer.stderr + answer.stdout)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    # Tests connect and leave again all day; from 9.8 on sshd would shut the door on such a client.
    options = ["PerSourcePenalties no"] if version >= (9, 8) else []
    # Without PAM sshd refuses an account whose password is locked, as root's is on some systems.
    options.append("UsePAM yes" if _is_locked(user) else "UsePAM no")
    return tuple(options)


def _is_locked(user: str) -> bool:
    if os.geteuid() != 0:
        return False  # sshd cannot see it either
    try:
        lines = Path("/etc/shadow").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user}:!") for line in lines)


def make_privilege_folder(sshd: str, sshd_config: Path) -> str:
    """Make the folder that sshd wants when root starts it, if it is missing. Returns a notice, or ""."""
    if os.geteuid() != 0:
        return ""
    check = subprocess.run([sshd, "-t", "-f", sshd_config], capture_output=True, text=True, check=False)
    match = re.search(r"Missing privilege separation directory: (/\S+)", check.stderr)
    if match is None:
        return ""
    Path(match[1]).mkdir(mode=0o755, parents=True, exist_ok=True)
    return f"made {match[1]}, which sshd needs when root starts it"
