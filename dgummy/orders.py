"""What is to be run, and where it takes place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dgummy.chooser import Wish
from dgummy.model import Host, SyncResult
from dgummy.transport.base import Transport
from dgummy.workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. `command` is what a shell on the host gets; `shown` is what people are shown of it.

    `sync` brings the project there first and gives the run its workspace. `mode` is set for agent tasks (see `agents`).
    """

    kind: str
    command: str
    shown: str
    wish: Wish
    sync: bool = True
    timeout_s: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    text: str = ""
    verify: str | None = None
    fallback: str = "local"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run takes place and how to get there."""

    host: Host
    transport: Transport
    directory: str
    workspace: Workspace | None = None
    sync: SyncResult | None = None
    machine: str = ""
