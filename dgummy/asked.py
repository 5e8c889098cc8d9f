"""What was asked of a run beside its command, as the ledger keeps it: to judge it later, and to run it again. Pure.

The run's host keeps the same and a little more (`Meta`), for a client that lost its ledger. Values of environment
variables are never kept, only their names.
"""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from dgummy.work import Base


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """The flags of a run. `subdir` is the folder below the project that it was asked for in, `job` cron's job.

    `locks` are those that its client held. `again` is the run that it is once more, "" for none.
    """

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
    collect: str = "off"
    fetch: tuple[str, ...] = ()
    collect_first: bool = False
    isolate: bool = False
    job: str = ""
    locks: tuple[str, ...] = ()
    again: str = ""


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a row of the ledger says of a run beside what its host knows anyway.

    `text` is what people are shown of it, "" where that is its command; `remote_dir` is the project's folder there;
    `base` is what was sent.
    """

    kind: str = "run"
    group_id: str = ""
    label: str = ""
    project: str = ""
    remote_dir: str = ""
    task_type: str = ""
    text: str = ""
    request: Asked | None = None
    base: Base | None = None


_Kept = TypeVar("_Kept", Asked, Meta)


def encode(asked: Asked) -> str:
    """Write it as JSON."""
    return _write(asked)


def decode(text: str) -> Asked | None:
    """Read what `encode` wrote, of this version or another. None for a run that nothing was kept of."""
    return _read(text, Asked)


def encode_meta(meta: Meta) -> str:
    """Write it as remote/lib.sh says: the kind on a line of its own, then JSON."""
    return f"{meta.kind}\n{_write(meta)}\n"


def decode_meta(text: str) -> Meta | None:
    """Read what `encode_meta` wrote. None for anything else."""
    return _read(text.partition("\n")[2], Meta)


def _write(kept: Asked | Meta) -> str:
    # Not msgspec's own writer: that refuses what stands for bytes that are no UTF-8, as a path may hold.
    return json.dumps(msgspec.to_builtins(kept))


def _read(text: str, kind: type[_Kept]) -> _Kept | None:
    try:
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, RecursionError):  # msgspec's error is a ValueError
        return None
