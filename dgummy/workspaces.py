"""Bring a project to hosts: take the workspace, delete what is gone, push the rest, remember what was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dgummy import remote, syncplan
from dgummy.events import Listener, Notice, SyncFinished, SyncProgress, SyncStarted
from dgummy.model import Failure, FailureKind, Host, SyncResult
from dgummy.settings import Timeouts
from dgummy.syncplan import Listing, SyncPlan
from dgummy.transport import rsync
from dgummy.transport.base import Answer, Limits, Reached, Transport, failed
from dgummy.transport.framing import Data, Frame

LEASE_S = 120
"""A workspace whose client has not been heard of for so long, and has started no run, is free again."""

_RENEW_S = 30.0
_NAMES_PER_CALL = 2000


@dataclass(frozen=True, slots=True)
class Workspace:
    """A project folder on a host that one run has to itself. `directory` is absolute."""

    host: Host
    run_id: str
    directory: str


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of one sync; `workspace` is still held if it went well."""

    result: SyncResult
    workspace: Workspace | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    directory: str
    rsync_path: str
    rsync_version: str
    previous: frozenset[bytes] | None


class WorkspaceSync:
    """Syncs one listing of one project. Thread-safe: several hosts at once."""

    def __init__(
        self,
        transport: Transport,
        source: Path,
        listing: Listing,
        *,
        remote_dir: Callable[[Host], str],
        owner: str,
        timeouts: Timeouts,
        ssh_config: Path | None,
        emit: Listener,
        dry: bool = False,
    ) -> None:
        self._transport = transport
        self._source = source
        self._listing = listing
        self._remote_dir = remote_dir
        self._owner = owner
        self._timeouts = timeouts
        self._ssh_config = ssh_config
        self._emit = emit
        self._dry = dry
        self.cancelled = threading.Event()

    def to(self, host: Host, run_id: str) -> Synced:
        """Take the host's workspace for `run_id` and bring the project there. On failure the workspace is given back."""
        began = time.monotonic()
        wanted = self._remote_dir(host)
        result = SyncResult(host.name, ok=False, remote_dir=wanted)
        outcome = self._sync(host, run_id, wanted)
        took_s = time.monotonic() - began
        if isinstance(outcome, Failure):
            result = replace(result, failure=outcome, duration_s=took_s)
            self._emit(SyncFinished(result))
            return Synced(result)
        workspace, result = outcome
        result = replace(result, duration_s=took_s)
        self._emit(SyncFinished(result))
        return Synced(result, workspace)

    def release(self, workspace: Workspace) -> None:
        """Give a workspace back that no run was started in."""
        self._call(workspace.host, "close_workspace", [workspace.directory, workspace.run_id])

    def _sync(self, host: Host, run_id: str, wanted: str) -> Failure | tuple[Workspace, SyncResult]:
        reached = self._transport.connect(host)
        if isinstance(reached, Failure):
            return reached
        wanted_id = syncplan.manifest_id(self._listing.paths)
        opened = self._open(host, run_id, wanted, wanted_id)
        if isinstance(opened, Failure):
            return opened
        workspace = Workspace(host, run_id, opened.directory)
        plan = syncplan.plan(self._listing, opened.previous)
        try:
            pushed = self._carry_out(reached, workspace, opened, plan)
        except BaseException:
            self.release(workspace)
            raise
        if isinstance(pushed, Failure):
            self.release(workspace)
            return pushed
        result = SyncResult(
            host.name,
            ok=True,
            remote_dir=opened.directory,
            files=pushed.files,
            bytes=pushed.bytes,
            deleted=len(plan.gone),
            top_level=plan.top_level,
            excluded=plan.excluded,
            total_files=plan.total_files,
            total_bytes=plan.total_bytes,
        )
        return workspace, result

    def _open(self, host: Host, run_id: str, wanted: str, wanted_id: str) -> _Opened | Failure:
        manifest = bytearray()

        def hear(frame: Frame) -> None:
            if isinstance(frame, Data):
                manifest.extend(frame.data)

        args = [wanted, run_id, self._owner, str(LEASE_S), wanted_id]
        answer = self._call(host, "open_workspace", args, sink=hear)
        if isinstance(answer, Failure):
            return answer
        directory = answer.first("dir")
        if not directory:
            return refusal(answer)
        if not answer.first("rsync"):
            self._call(host, "close_workspace", [directory, run_id])
            return Failure(
                FailureKind.MISSING_TOOL,
                f"rsync is not installed on {host.name}",
                "install it there: apt install rsync, dnf install rsync, or brew install rsync",
            )
        previous: frozenset[bytes] | None
        if answer.first("sent") == "same":
            previous = frozenset(self._listing.paths)
        elif manifest or answer.has("sent_id"):
            previous = syncplan.decode_manifest(manifest.decode("utf-8", "surrogateescape"))
        else:
            previous = None
        return _Opened(directory, answer.first("rsync"), answer.first("rsync-version"), previous)

    def _carry_out(
        self, reached: Reached, workspace: Workspace, opened: _Opened, plan: SyncPlan
    ) -> rsync.Pushed | Failure:
        self._emit(
            SyncStarted(
                workspace.host.name,
                workspace.directory,
                plan.total_files,
                plan.total_bytes,
                plan.top_level,
                plan.excluded,
            )
        )
        if not plan.unchanged_set:
            failure = self._begin(workspace, opened, plan)
            if failure is not None:
                return failure
        pushed = self._push(reached, workspace, opened, plan)
        if isinstance(pushed, Failure) or plan.unchanged_set:
            return pushed
        answer = self._call(
            workspace.host,
            "end_sync",
            [workspace.directory, workspace.run_id, plan.manifest_id],
            variables={"DG_MANIFEST": plan.manifest()},
        )
        return refusal(answer) if isinstance(answer, Answer) and answer.exit_status else _or(answer, pushed)

    def _begin(self, workspace: Workspace, opened: _Opened, plan: SyncPlan) -> Failure | None:
        variables = {"DG_MANIFEST": plan.interim_manifest(opened.previous)}
        gone = list(plan.gone)
        while True:
            names, gone = gone[:_NAMES_PER_CALL], gone[_NAMES_PER_CALL:]
            answer = self._call(
                workspace.host,
                "begin_sync",
                [workspace.directory, workspace.run_id, *names],
                variables=variables,
            )
            if isinstance(answer, Failure):
                return answer
            if answer.has("undeleted"):
                text = f"{answer.first('undeleted')} files that are gone here could not be deleted there"
                self._emit(Notice(text, "warning", workspace.host.name))
            elif answer.exit_status:
                return refusal(answer)
            if not gone:
                return None

    def _push(self, reached: Reached, workspace: Workspace, opened: _Opened, plan: SyncPlan) -> rsync.Pushed | Failure:
        host = workspace.host.name
        renewed = time.monotonic()

        def tick() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _RENEW_S:
                renewed = time.monotonic()
                self._call(workspace.host, "renew_workspace", [workspace.directory, workspace.run_id])

        place = rsync.RemotePlace(reached.ssh_name, workspace.directory, opened.rsync_path)
        return rsync.push(
            self._source,
            plan.files,
            place,
            ssh_config=self._ssh_config,
            connect_s=self._timeouts.connect_s,
            idle_s=self._timeouts.sync_idle_s,
            remote_version=opened.rsync_version,
            on_progress=lambda sent, pct: self._emit(SyncProgress(host, sent, pct)),
            on_tick=tick,
            cancelled=self.cancelled,
        )

    def _call(
        self,
        host: Host,
        function: str,
        args: list[str] | list[str | bytes],
        *,
        variables: dict[str, str] | None = None,
        sink: Callable[[Frame], None] | None = None,
    ) -> Answer | Failure:
        script = remote.compose(
            ("start", "sync", "workspace"),
            function,
            args,
            variables={
                "DG_ROOT": host.probe_root,
                "DG_PATH_DIRS": ":".join(host.path_dirs),
                **(variables or {}),
            },
        )
        return self._transport.run_script(host, script, Limits(total_s=self._timeouts.script_s), sink)


def _or(answer: Answer | Failure, pushed: rsync.Pushed) -> rsync.Pushed | Failure:
    return answer if isinstance(answer, Failure) else pushed


def refusal(answer: Answer) -> Failure:
    """The failure in a script's `failed KIND DETAIL` or `busy RUN OWNER` fact."""
    if answer.has("busy"):
        run_id, _, owner = answer.first("busy").partition(" ")
        whose = f"run {run_id}" + (f" of {owner}" if owner else "")
        return Failure(FailureKind.BUSY, f"{whose} has it", "wait for it, or let the run go to another host")
    return failed(answer.first("failed") or answer.noise or f"status {answer.exit_status}")
