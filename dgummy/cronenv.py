"""What a job's environment holds beside what cron gives: no more than it needs, and never a secret. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from dgummy.errors import UsageError

CRON_ENV = {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
"""What every cron gives, beside HOME and LOGNAME."""

_LOCALE = ("LANG", "LC_ALL", "LC_CTYPE")
_OURS = "INVOKE_DGUMMY_"
# Made for one login, and gone with it: OpenSSH's (its own agent's, and a forwarded one's), launchd's, an editor's.
_FLEETING = re.compile(r"/(ssh-[^/]+/agent\.\d+|com\.apple\.launchd\.[^/]+/.*|\.ssh/agent/s\..*|vscode-ssh-auth[^/]*)$")
_TEMPORARY = ("/tmp/", "/var/tmp/", "/private/tmp/", "/private/var/folders/", "/var/folders/")  # noqa: S108


def carried(
    environ: Mapping[str, str], home: str, real_home: str, *, is_dir: Callable[[str], bool], agent: str
) -> tuple[tuple[str, str], ...]:
    """The variables of a job, from the environment that it is added in. UsageError if one cannot be written down.

    home: the user's home folder as it is now, real_home: as cron will set it. agent: what `stable_agent` gave.
    """
    path = _search_path(environ.get("PATH", ""), is_dir)
    values = {"PATH": path} if path else {}
    if agent:
        values["SSH_AUTH_SOCK"] = agent
    if home != real_home:
        values["HOME"] = home
    config = environ.get("DGUMMY_CONFIG", "")
    if config:
        values["DGUMMY_CONFIG"] = config
    if environ.get("XDG_CONFIG_HOME", "").startswith("/"):
        values["XDG_CONFIG_HOME"] = environ["XDG_CONFIG_HOME"]
    values |= {name: environ[name] for name in _LOCALE if environ.get(name)}
    values |= {name: environ[name] for name in sorted(environ) if name.startswith(_OURS)}
    for name, value in values.items():
        if any(char in value for char in "\n\r\0"):
            raise UsageError(f"{name} holds a line break, which no crontab can", f"set it to one line, or unset {name}")
    return tuple(values.items())


def stable_agent(environ: Mapping[str, str], is_socket: Callable[[str], bool]) -> tuple[str, str]:
    """The socket of an ssh agent that will be there at night too, "" if there is none; and what to say of it."""
    path = environ.get("SSH_AUTH_SOCK", "")
    if not path:
        return "", "there is no ssh agent (SSH_AUTH_SOCK)"
    if not path.startswith("/") or not is_socket(path):
        return "", f"SSH_AUTH_SOCK names {path}, where no agent is"
    if _FLEETING.search(path) or path.startswith(_TEMPORARY):
        return "", f"the ssh agent {path} is of this login alone"
    return path, f"the ssh agent {path} is asked for keys"


def _search_path(text: str, is_dir: Callable[[str], bool]) -> str:
    folders = dict.fromkeys(folder for folder in text.split(":") if PurePosixPath(folder).is_absolute())
    return ":".join(folder for folder in folders if is_dir(folder))
