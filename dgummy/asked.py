"""What was asked of a run beside its command, as the ledger keeps it: to judge it later, and to run it again. Pure.

Values of environment variables are never kept, only their names.
"""

from __future__ import annotations

import msgspec


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The flags of a run. `subdir` is the folder below the project that it was asked for in."""

    hosts: tuple[str, ...] = ()
    group: str | None = None
    exclude: tuple[str, ...] = ()
    task_type: str | None = None
    requires: tuple[str, ...] = ()
    sync: bool = True
    timeout_s: float | None = None
    env_names: tuple[str, ...] = ()
    mode: str = ""
    verify: str | None = None
    fallback: str = "local"
    subdir: str = ""


def encode(asked: Asked) -> str:
    """Write it as JSON."""
    return msgspec.json.encode(asked).decode()


def decode(text: str) -> Asked | None:
    """Read what `encode` wrote, of this version or another. None for a run that nothing was kept of."""
    try:
        return msgspec.json.decode(text, type=Asked)
    except msgspec.DecodeError:
        return None
