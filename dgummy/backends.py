"""What carries the work: the `d` command where a usable one is installed, else ssh, else this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dgummy.errors import ConfigError
from dgummy.model import LOCAL_HOST

if TYPE_CHECKING:
    from dgummy.transport.base import Transport
    from dgummy.transport.dcmd import DCommand
    from dgummy.transport.dfind import Found, NotFound

NO_HOSTS = "no hosts are configured; `inv config.init` proposes some"


@dataclass(frozen=True, slots=True)
class Backend:
    """What carries the work, and why that; `found` is the `d` it is to be."""

    name: str
    why: str
    found: Found | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"


@dataclass(frozen=True, slots=True)
class Carriers:
    """The backend, and how to make what it needs. `strict`: it was asked for by name, so nothing stands in for it."""

    backend: Backend
    local: Callable[[], Transport]
    ssh: Callable[[], Transport]
    d: Callable[[], DCommand] | None = None
    strict: bool = False


def choose(setting: str, has_hosts: bool, find: Callable[[], Found | NotFound]) -> Backend:
    """Decide by the setting `backend`. `find` looks for a `d`, and is called only where one might be used.

    ConfigError if a `d` was asked for and there is none, or if the setting d.command names what is not one.
    """
    if setting == "local":
        return Backend(LOCAL_HOST, "as set")
    if not has_hosts:
        return Backend(LOCAL_HOST, NO_HOSTS)
    if setting == "ssh":
        return Backend("ssh", "as set")
    from dgummy.transport.dfind import Found

    how = "as set" if setting == "d" else "auto"
    found = find()
    if isinstance(found, Found):
        return Backend("d", f"{how}: {found.why}", found)
    if found.error is not None:
        raise found.error
    if setting == "d":
        raise ConfigError(f"backend: d, but there is no usable one: {found.why}", "install dw, or set backend: ssh")
    return Backend("ssh", f"{how}: {found.why}")
