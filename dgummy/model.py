"""The records that every floor speaks in. Frozen, no I/O; units are in the names, times are UTC."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

import msgspec

from dgummy.errors import ExitCode
from dgummy.work import Homecoming, WorkState

LOCAL_HOST = "local"
"""The name under which this machine appears in results when work runs here."""


class Weights(msgspec.Struct, frozen=True):
    """How much each figure counts in a score. Any non-negative numbers; they are normalised by their sum."""

    cpu: float = 0.4
    memory: float = 0.3
    load_average: float = 0.3
    io: float = 0.0


class Host(msgspec.Struct, frozen=True):
    """A machine that was offered for work, as the inventory knows it (nothing here was measured).

    `paths` are the names ssh knows it by, tried in order. `declared` holds capabilities stated in the
    configuration (`{"docker": "true", "cores": "16"}`); they win over what a probe finds. `probe_root` is the
    folder that stands in for `/` when load figures are read ("" means the real one). `slots` is how many runs of one
    batch it takes at once, None for as many as it has cores.
    """

    name: str
    paths: tuple[str, ...] = ()
    declared: Mapping[str, str] = {}
    remote_dir: str | None = None
    path_dirs: tuple[str, ...] = ()
    probe_root: str = ""
    slots: int | None = None

    def ssh_names(self) -> tuple[str, ...]:
        """The names to try with ssh, in order."""
        return self.paths or (self.name,)


class FailureKind(str, Enum):
    """Why a host did not answer, or did not do as asked. The value is what JSON and messages show."""

    DNS = "name not found"
    REFUSED = "connection refused"
    NO_ROUTE = "no route to host"
    TIMED_OUT = "timed out"
    HOST_KEY = "host key"
    AUTHENTICATION = "authentication"
    DROPPED = "sshd dropped us"
    SHELL = "shell failed"
    PROXY = "proxy or jump host failed"
    LOST = "connection lost"
    MISSING_TOOL = "missing tool"
    DISK_FULL = "disk full"
    PERMISSION = "permission denied"
    BUSY = "workspace in use"
    UNFIT = "no host is fit for it"
    SYNC = "sync failed"
    WRONG_MACHINE = "another machine"
    CANCELLED = "cancelled"
    BUDGET = "spend cap reached"
    UNCOLLECTED = "not collected"
    CONFIG = "ssh configuration"
    INTERNAL = "internal error"

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of a one-host command that ends with this failure."""
        return _FAILURE_CODES.get(self, ExitCode.NO_HOST)

    @property
    def is_about_sync(self) -> bool:
        """Whether the host was reached, and bringing the project there was what failed."""
        return self in _SYNC_KINDS


_FAILURE_CODES: dict[FailureKind, ExitCode] = {
    FailureKind.HOST_KEY: ExitCode.REFUSED,
    FailureKind.AUTHENTICATION: ExitCode.REFUSED,
    FailureKind.LOST: ExitCode.TRY_AGAIN,
    FailureKind.BUSY: ExitCode.TRY_AGAIN,
    FailureKind.BUDGET: ExitCode.TRY_AGAIN,
    FailureKind.UNCOLLECTED: ExitCode.TRY_AGAIN,
    FailureKind.DISK_FULL: ExitCode.SYNC_FAILED,
    FailureKind.PERMISSION: ExitCode.SYNC_FAILED,
    FailureKind.SYNC: ExitCode.SYNC_FAILED,
    FailureKind.MISSING_TOOL: ExitCode.SYNC_FAILED,
    FailureKind.CANCELLED: ExitCode.INTERRUPTED,
    FailureKind.CONFIG: ExitCode.CONFIG,
    FailureKind.INTERNAL: ExitCode.BUG,
}


_SYNC_KINDS = frozenset(
    {
        FailureKind.MISSING_TOOL,
        FailureKind.DISK_FULL,
        FailureKind.PERMISSION,
        FailureKind.SYNC,
    }
)


class Failure(msgspec.Struct, frozen=True):
    """A typed failure of one host: `detail` is one line of what was seen, `remedy` one line of what to do.

    `run_id` is the run whose work stands in the way, where that is what failed.
    """

    kind: FailureKind
    detail: str = ""
    remedy: str = ""
    run_id: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value


class ActiveRun(msgspec.Struct, frozen=True):
    """A run that is alive on a host: a lease that everybody's probe sees.

    `age_s` is seconds since it was claimed, by the host's own clock. `workspace` is the remote project folder it
    has to itself, "" for a run that claimed none. `owner` is `user@machine`. `started` is False while it is only
    claimed (its project is still being synced, say) and its command does not run yet.
    """

    run_id: str
    age_s: float
    workspace: str = ""
    owner: str = ""
    started: bool = True


class Sample(msgspec.Struct, frozen=True):
    """What one probe of one host measured. None means the host could not tell.

    Percentages are 0..100 over the whole machine. `psi_*_pct` are the kernel's `some avg10` pressure figures.
    `cores` respects CPU affinity and cgroup quota; memory respects a cgroup limit. `clock_offset_s` is host clock
    minus ours. `tools` are the programs found on the login PATH. `boot_id` tells this boot of this machine from any
    other. `knows_runs` is False where nobody looked for active runs.
    """

    cpu_pct: float | None = None
    iowait_pct: float | None = None
    mem_total_bytes: int | None = None
    mem_available_bytes: int | None = None
    load1: float | None = None
    load5: float | None = None
    load15: float | None = None
    cores: float | None = None
    psi_cpu_pct: float | None = None
    psi_io_pct: float | None = None
    psi_mem_pct: float | None = None
    disk_free_bytes: int | None = None
    os: str = ""
    arch: str = ""
    home: str = ""
    tools: frozenset[str] = frozenset()
    active_runs: tuple[ActiveRun, ...] = ()
    clock_offset_s: float | None = None
    boot_id: str = ""
    knows_runs: bool = True

    @property
    def mem_pct(self) -> float | None:
        """Memory in use, 0..100, or None."""
        if not self.mem_total_bytes or self.mem_available_bytes is None:
            return None
        used = self.mem_total_bytes - self.mem_available_bytes
        return min(100.0, max(0.0, 100.0 * used / self.mem_total_bytes))

    @property
    def io_pct(self) -> float | None:
        """I/O contention, 0..100: pressure where the kernel measures it, else I/O wait."""
        return self.psi_io_pct if self.psi_io_pct is not None else self.iowait_pct

    @property
    def has_load_figures(self) -> bool:
        """Whether there is anything to score."""
        return any(value is not None for value in (self.cpu_pct, self.mem_pct, self.load1))


class HostReport(msgspec.Struct, frozen=True):
    """What we know of a host's load at `measured_at`: a sample, or the failure to get one."""

    host: str
    measured_at: datetime
    sample: Sample | None = None
    failure: Failure | None = None
    address: str = ""
    latency_ms: float | None = None

    @property
    def reachable(self) -> bool:
        """Whether the host answered the probe."""
        return self.sample is not None


class HostStatus(msgspec.Struct, frozen=True):
    """Whether a host answers SSH at all, at `measured_at`."""

    host: str
    measured_at: datetime
    online: bool
    address: str = ""
    failure: Failure | None = None
    latency_ms: float | None = None


class Placement(msgspec.Struct, frozen=True):
    """A choice of ours that a probe may not show yet."""

    run_id: str
    host: str
    at: datetime


class Requirement(msgspec.Struct, frozen=True):
    """One `--require` term: `docker`, `os=darwin`, `cores>=8`. `op` is "has", "=", "!=", "<", "<=", ">" or ">="."""

    name: str
    op: str = "has"
    value: str = ""

    def __str__(self) -> str:
        return self.name if self.op == "has" else f"{self.name}{self.op}{self.value}"


class TaskType(msgspec.Struct, frozen=True):
    """A kind of work: the words it is known by, the weights it is placed with, what a host needs for it."""

    name: str
    keywords: tuple[str, ...] = ()
    weights: Weights | None = None
    requires: tuple[str, ...] = ()
    criterion: str = ""


class RunState(str, Enum):
    """Where a run is in its life. Everything from OK on is final."""

    PENDING = "pending"
    SYNCING = "syncing"
    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNREACHABLE = "unreachable"
    SYNC_FAILED = "sync_failed"
    REFUSED = "refused"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the run."""
        return self not in (RunState.PENDING, RunState.SYNCING, RunState.RUNNING)


class Attempt(msgspec.Struct, frozen=True):
    """One try at one host. `outcome` is a RunState; `reason` one line, "" for ok."""

    host: str
    outcome: RunState
    reason: str = ""


class SyncResult(msgspec.Struct, frozen=True):
    """What a sync to one host did. `files` and `bytes` count what was sent over, not what was there already."""

    host: str
    ok: bool
    failure: Failure | None = None
    remote_dir: str = ""
    files: int = 0
    bytes: int = 0
    deleted: int = 0
    duration_s: float = 0.0
    top_level: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    total_files: int = 0
    total_bytes: int = 0


class Memory(msgspec.Struct, frozen=True):
    """What a task's specialist remembers where the task goes, in one line (`reason`).

    `home` is the host that it lives on, None if it has no home or none is known.
    """

    specialist: str
    home: str | None
    reason: str


class RunResult(msgspec.Struct, frozen=True):
    """How a run ended.

    `exit_code` is the command's own where it has one, else None. `failure` is why no host took it. `fallback` is
    "local" if it ran here because no host could. `changed` and `removed` name files of the project that an agent's run
    touched there, `report` is the path of its report there. `work` is what became of that which it changed, `home` what
    was brought home of it; `left_behind`: that was to be brought home, and not all of it was.
    """

    run_id: str
    host: str
    state: RunState
    exit_code: int | None
    attempts: tuple[Attempt, ...]
    started_at: datetime
    duration_s: float
    sync: SyncResult | None = None
    fallback: str | None = None
    reason: str = ""
    remedy: str = ""
    failure: Failure | None = None
    task_type: str = ""
    cost_usd: float | None = None
    report: str = ""
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    memory: Memory | None = None
    work: WorkState = WorkState.UNKNOWN
    home: Homecoming | None = None
    left_behind: bool = False

    @property
    def process_exit_code(self) -> int:
        """The exit code of the command that made this run (README, "Exit codes")."""
        if self.state is RunState.OK and self.left_behind:
            return ExitCode.SOME_FAILED
        if self.state in (RunState.OK, RunState.RUNNING):  # running: started, and left to itself as asked
            return ExitCode.OK
        if self.state is RunState.FAILED:
            return self.exit_code or ExitCode.SOME_FAILED
        if self.failure is not None:
            return self.failure.kind.exit_code
        if self.state is RunState.LOST and self.exit_code in _LEFT_CODES:  # at a second Ctrl-C, or at the deadline
            return self.exit_code or ExitCode.TRY_AGAIN
        return _STATE_CODES.get(self.state, ExitCode.NO_HOST)


_LEFT_CODES = (ExitCode.INTERRUPTED, ExitCode.TIMED_OUT)
_STATE_CODES = {
    RunState.TIMED_OUT: ExitCode.TIMED_OUT,
    RunState.CANCELLED: ExitCode.INTERRUPTED,
    RunState.LOST: ExitCode.TRY_AGAIN,
    RunState.SYNC_FAILED: ExitCode.SYNC_FAILED,
    RunState.REFUSED: ExitCode.REFUSED,
}
