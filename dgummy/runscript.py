"""The scripts that start, follow, look at and end a run, composed from what is asked. Pure but for the marker."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from dgummy import remote
from dgummy.transport.base import Script

MAX_COMMAND_BYTES = 120_000
"""A little under what Linux takes as one argument (MAX_ARG_STRLEN is 131,072)."""

_ASSIGNED = re.compile(r"(?:^|[\s;('])([A-Za-z_]\w*)=|\bfor (\w+)[ ;]|\bread -r ([\w ]+)", re.MULTILINE | re.ASCII)
_MEANT_TO_CHANGE = frozenset({"PATH", "SHELL", "LC_ALL", "DGUMMY_RUN_ID"})
_NEVER_TAKEN = frozenset({"IFS"})
"""What no shell takes from its environment."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RUN_FILES = ("start", "follow")
_HISTORY_FILES = (*_RUN_FILES, "history")
_SUPERVISOR_FILES = ("lib", "supervise")
_WORKSPACE_FILES = ("workspace", "sync", "work")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything a host must know to run one command.

    directory: the project folder there, absolute or `~/…`, "" for home; subdir: below it. workspace: the folder the run
    has to itself, absolute, "" for none. timeout_s: None for no limit. gap_s: least time between two starts on that
    host. machine: the boot id (`Sample.boot_id`) of the machine it was chosen for, "" for any. env: values travel on
    the script's stdin and stay in memory. meta: what the host keeps for a client that lost its ledger (`asked.Meta`).
    collect: new files of the run count as its work, too, and not just what it did to files that were sent.
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
    machine: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    probe_root: str = ""
    meta: str = ""
    collect: bool = False


def is_env_name(name: str) -> bool:
    """Whether a shell can have a variable of that name."""
    return _ENV_NAME.fullmatch(name) is not None


def start_script(spec: RunSpec, *, follow: bool = True) -> Script:
    """Claim the run, launch it, and (unless told not to) follow it to its end. Safe to send twice."""
    locks = _WORKSPACE_FILES if spec.workspace else ("workspace",) if spec.gap_s is not None else ()
    variables: dict[str, str | bytes] = {
        "DG_ROOT": spec.probe_root,
        "DG_MACHINE": spec.machine,
        "DG_COMMAND": spec.command,
        "DG_DIR": spec.directory,
        "DG_SUBDIR": spec.subdir,
        "DG_WORKSPACE": spec.workspace,
        "DG_OWNER": spec.owner,
        "DG_META": spec.meta,
        "DG_TIMEOUT_S": "" if spec.timeout_s is None else _seconds(spec.timeout_s),
        "DG_KILL_S": str(math.ceil(spec.kill_s)),
        "DG_GAP_S": "" if spec.gap_s is None else _seconds(spec.gap_s),
        "DG_COLLECT": "1" if spec.collect else "",
        "DG_PATH_DIRS": ":".join(spec.path_dirs),
        "DG_ENV_NAMES": " ".join(spec.env),
        "DG_SUPERVISOR": remote.code(*_SUPERVISOR_FILES, *locks) + b"supervise\n",
    }
    variables |= {f"DG_E_{name}": value for name, value in spec.env.items()}
    call = "start_and_follow" if follow else "start_run"
    script = remote.compose((*_RUN_FILES, *locks[:1]), call, [spec.run_id], variables=variables)
    return Script(_keep_users_values(spec.env) + script.text, script.marker)


def _seconds(seconds: float) -> str:
    """As every `sleep` takes it: no exponent, and fractions only where they matter."""
    return str(math.ceil(seconds)) if seconds >= 10 else f"{seconds:.3f}".rstrip("0").rstrip(".")


def _keep_users_values(given: Mapping[str, str]) -> bytes:
    """A line for before the script: the user's own variables that are named as one of ours go along like `given`.

    Hardly anybody has one, so a look at all at once comes first.
    """
    names = sorted(_our_variables() - given.keys())
    any_set = "".join(f"${{{name}+x}}" for name in names)
    keep = r"[ -z \"\${$DG_N+x}\" ] || { DG_KEEP=\"\$DG_KEEP $DG_N\"; DG_E_$DG_N=\$$DG_N; }"
    loop = f'for DG_N in {" ".join(names)}; do eval "{keep}"; done'
    return f'DG_KEEP=; [ -z "{any_set}" ] || {loop}\n'.encode()


@cache
def _our_variables() -> frozenset[str]:
    """Every variable that the scripts assign until the command begins, but for those that it is meant to see."""
    names = {"MARK"}
    code = remote.code(*_RUN_FILES, *_SUPERVISOR_FILES, *_WORKSPACE_FILES).decode()
    names |= {found for match in _ASSIGNED.findall(code) for found in " ".join(match).split()}
    return frozenset(name for name in names if not name.startswith("DG_")) - _MEANT_TO_CHANGE - _NEVER_TAKEN


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
        ("start", "control"),
        "cancel_run",
        [run_id, str(math.ceil(kill_s))],
        variables={"DG_ROOT": probe_root},
    )


def reports_script(run_ids: Sequence[str], probe_root: str = "") -> Script:
    """Tell the state of several runs (`dgummy.reconcile`)."""
    return _look_back("report_runs", run_ids, probe_root)


def call_off_script(run_ids: Sequence[str], why: str, probe_root: str = "") -> Script:
    """Make sure that none of them ever starts, and tell their states."""
    return _look_back("call_off", [why, *run_ids], probe_root)


def read_script(run_id: str, out_offset: int | None, err_offset: int | None, probe_root: str = "") -> Script:
    """What a run has printed by now, from these byte offsets on (None: not that stream), and its state."""
    offsets = ["-" if offset is None else str(offset) for offset in (out_offset, err_offset)]
    return _look_back("read_output", [run_id, *offsets], probe_root)


def list_script(older_s: float, *, whole: bool = False, probe_root: str = "") -> Script:
    """Every run that the host remembers; with `whole` all that it remembers of it. See list_runs for `older_s`."""
    return _look_back("list_runs", [str(int(older_s // 60)), *(["whole"] if whole else [])], probe_root)


def remove_script(run_ids: Sequence[str], probe_root: str = "") -> Script:
    """Take away the folders of runs, as far as they are over."""
    return _look_back("remove_runs", run_ids, probe_root)


def _look_back(call: str, args: Sequence[str], probe_root: str) -> Script:
    return remote.compose(_HISTORY_FILES, call, args, variables={"DG_ROOT": probe_root})


def void_script(run_id: str) -> Script:
    """Make sure that a run never starts; the answer says if that came too late."""
    return remote.compose(("start",), "void_run", [run_id])
