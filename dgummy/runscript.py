"""The scripts that start, follow, look at and end a run, composed from what is asked. Pure but for the marker."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dgummy import remote
from dgummy.transport.base import Script

MAX_COMMAND_BYTES = 120_000
"""A little under what Linux takes as one argument (MAX_ARG_STRLEN is 131,072)."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RUN_FILES = ("workspace", "start", "follow")
_SUPERVISOR_FILES = ("lib", "workspace", "supervise")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything a host must know to run one command.

    directory: the project folder there, absolute or `~/…`, "" for home; subdir: below it. workspace: the folder the run
    has to itself, absolute, "" for none. timeout_s: None for no limit. gap_s: least time between two starts on that
    host. env: values travel on the script's stdin and stay in memory.
    """

    run_id: str
    command: str
    directory: str = ""
    subdir: str = ""
    workspace: str = ""
    owner: str = ""
    timeout_s: float | None = None
    kill_s: float = 10.0
    gap_s: float | None = None
    path_dirs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    probe_root: str = ""


def is_env_name(name: str) -> bool:
    """Whether a shell can have a variable of that name."""
    return _ENV_NAME.fullmatch(name) is not None


def start_script(spec: RunSpec, *, follow: bool = True) -> Script:
    """Claim the run, launch it, and (unless told not to) follow it to its end. Safe to send twice."""
    supervisor = "\n".join(remote.source(name) for name in _SUPERVISOR_FILES) + "\nsupervise\n"
    variables: dict[str, str | bytes] = {
        "DG_ROOT": spec.probe_root,
        "DG_COMMAND": spec.command,
        "DG_DIR": spec.directory,
        "DG_SUBDIR": spec.subdir,
        "DG_WORKSPACE": spec.workspace,
        "DG_OWNER": spec.owner,
        "DG_TIMEOUT_S": "" if spec.timeout_s is None else f"{spec.timeout_s:g}",
        "DG_KILL_S": str(math.ceil(spec.kill_s)),
        "DG_GAP_S": "" if spec.gap_s is None else f"{spec.gap_s:g}",
        "DG_PATH_DIRS": ":".join(spec.path_dirs),
        "DG_ENV_NAMES": " ".join(spec.env),
        "DG_SUPERVISOR": supervisor,
    }
    variables |= {f"DG_E_{name}": value for name, value in spec.env.items()}
    return remote.compose(_RUN_FILES, "start_and_follow" if follow else "start_run", [spec.run_id], variables=variables)


def follow_script(run_id: str, out_offset: int, err_offset: int, probe_root: str = "") -> Script:
    """Follow a run from these byte offsets on."""
    return remote.compose(
        _RUN_FILES,
        "follow_run",
        [run_id, str(out_offset), str(err_offset)],
        variables={"DG_ROOT": probe_root},
    )


def report_script(run_id: str, probe_root: str = "") -> Script:
    """Tell the state of a run."""
    return remote.compose(("control",), "report_run", [run_id], variables={"DG_ROOT": probe_root})


def cancel_script(run_id: str, kill_s: float, probe_root: str = "") -> Script:
    """End a run and all of its process group, or make sure that it never starts."""
    return remote.compose(
        ("workspace", "start", "control"),
        "cancel_run",
        [run_id, str(math.ceil(kill_s))],
        variables={"DG_ROOT": probe_root},
    )


def void_script(run_id: str) -> Script:
    """Make sure that a run never starts; the answer says if that came too late."""
    return remote.compose(("workspace", "start"), "void_run", [run_id])
