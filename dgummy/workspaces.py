"""Bring a project to hosts: take the workspace, delete what is gone, push the rest, remember what was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dgummy import quickcheck, remote, syncplan
from dgummy.events import Listener, Notice, SyncFinished, SyncProgress, SyncStarted
from dgummy.model import Failure, FailureKind, Host, SyncResult
from dgummy.refusals import refusal
from dgummy.settings import Timeouts
from dgummy.syncplan import Listing, SyncPlan
from dgummy.transport.base import Answer, Limits, Pushed, Reached, Transport
from dgummy.transport.framing import Data, Frame
from dgummy.units import format_count

if TYPE_CHECKING:
    from dgummy.dpush import DPush

LEASE_S = 120
"""A workspace whose client has not been heard of for so long, and has started no run, is free again."""

_RENEW_S = 30.0
_NAMES_PER_CALL = 2000
_COPY_FUNCTIONS = ("open_copy", "drop_copy")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A project folder on a host that one run has to itself. `directory` is absolute.

    is_copy: it was made for this run alone (remote/isolate.sh).
    """

    host: Host
    run_id: str
    directory: str
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Synced:
    """The result of one sync; `workspace` is still held if it went well."""

    result: SyncResult
    workspace: Workspace | None = None


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a workspace says of itself.

    is_complete: the last sync was of the same names, and went to its end. is_same: there is nothing to do. states: see
    `quickcheck`, b"" if not told.
    """

    directory: str
    rsync_path: str
    previous: frozenset[bytes] | None
    absent: bool = False
    is_complete: bool = False
    is_same: bool = False
    states: bytes = b""


@dataclass(frozen=True, slots=True)
class _Sending:
    """What is to be there: `ids` are what a workspace is asked about, `expected` what it should say of itself."""

    listing: Listing
    expected: quickcheck.Expected | None

    @property
    def ids(self) -> list[str]:
        return [syncplan.manifest_id(self.listing.paths), self.expected.digest if self.expected else ""]


class WorkspaceSync:
    """Syncs one listing of one project. Thread-safe: several hosts at once.

    listing: asked for once, when a host was reached; what it raises comes out of `to` and `would_send`.
    """

    def __init__(
        self,
        transport: Transport,
        source: Path,
        listing: Callable[[], Listing],
        *,
        remote_dir: Callable[[Host], str],
        owner: str,
        timeouts: Timeouts,
        ssh_config: Path | None,
        emit: Listener,
        expire_s: float,
        by_d: DPush | None = None,
    ) -> None:
        self._transport = transport
        self._source = source
        self._list = listing
        self._listed: _Sending | None = None
        self._lock = threading.Lock()
        self._remote_dir = remote_dir
        self._owner = owner
        self._timeouts = timeouts
        self._ssh_config = ssh_config
        self._emit = emit
        self._by_d = by_d
        self._expire_s = expire_s
        self.cancelled = threading.Event()

    @property
    def _sending(self) -> _Sending:
        with self._lock:
            if self._listed is None:
                listing = self._list()
                self._listed = _Sending(listing, quickcheck.expected(listing) if self._by_d is None else None)
            return self._listed

    def to(self, host: Host, run_id: str, *, keep: bool = True, isolate: bool = False) -> Synced:
        """Take the host's workspace for `run_id` and bring the project there; on failure it is given back.

        Without `keep` no run is to follow, and it is given back in any case. With `isolate` that is a copy for this run
        alone, which nobody has to wait for.
        """
        began = time.monotonic()
        wanted = copy_dir(self._remote_dir(host), run_id) if isolate else self._remote_dir(host)
        result = SyncResult(host.name, ok=False, remote_dir=wanted)
        outcome = self._sync(host, run_id, wanted, keep=keep, isolate=isolate)
        took_s = time.monotonic() - began
        if isinstance(outcome, Failure):
            result = replace(result, failure=outcome, duration_s=took_s)
            self._emit(SyncFinished(result))
            return Synced(result)
        workspace, result = outcome
        result = replace(result, duration_s=took_s)
        self._emit(SyncFinished(result))
        return Synced(result, workspace)

    def would_send(self, host: Host, *, isolate: bool = False) -> SyncResult:
        """What a sync to this host would do. Nothing is changed there, and nobody is kept out.

        A copy (`isolate`) would begin as the project's folder is there, so the same would be sent.
        """
        wanted = self._remote_dir(host)
        result = SyncResult(host.name, ok=False, remote_dir=wanted)
        reached = self._transport.connect(host)
        if isinstance(reached, Failure):
            return replace(result, failure=reached)
        opened = self._tell(host, "peek_workspace", [wanted, *self._sending.ids])
        if isinstance(opened, Failure):
            return replace(result, failure=opened)
        plan = syncplan.plan(self._sending.listing, opened.previous)
        pushed: Pushed | Failure = Pushed(plan.total_files, plan.total_bytes, 0.0)
        if opened.is_same:
            pushed = Pushed(0, 0, 0.0)
        elif not opened.absent:
            pushed = self._push(reached, Workspace(host, "", opened.directory), opened, plan)
        if isinstance(pushed, Failure):
            return replace(result, failure=pushed)
        found = _as_result(host, opened, plan, pushed)
        return replace(found, remote_dir=copy_dir(found.remote_dir, "RUN-ID")) if isolate else found

    def release(self, workspace: Workspace) -> None:
        """Give a workspace back that no run was started in; a copy goes."""
        self._close(workspace.host, workspace.directory, workspace.run_id, is_copy=workspace.is_copy)

    def _close(self, host: Host, directory: str, run_id: str, *, is_copy: bool) -> None:
        self._call(host, "drop_copy" if is_copy else "close_workspace", [directory, run_id])

    def _sync(
        self, host: Host, run_id: str, wanted: str, *, keep: bool, isolate: bool
    ) -> Failure | tuple[Workspace | None, SyncResult]:
        reached = self._transport.connect(host)
        if isinstance(reached, Failure):
            return reached
        opened = self._open(host, run_id, wanted, keep=keep, isolate=isolate)
        if isinstance(opened, Failure):
            return opened
        workspace = Workspace(host, run_id, opened.directory, isolate)
        plan = syncplan.plan(self._sending.listing, opened.previous)
        if opened.is_same and not keep:  # given back already
            self._announce(workspace, plan)
            return None, _as_result(host, opened, plan, Pushed(0, 0, 0.0))
        try:
            pushed = self._carry_out(reached, workspace, opened, plan)
        except BaseException:
            self.release(workspace)
            raise
        if isinstance(pushed, Failure) or not keep:
            self.release(workspace)
        if isinstance(pushed, Failure):
            return pushed
        return workspace if keep else None, _as_result(host, opened, plan, pushed)

    def _open(self, host: Host, run_id: str, wanted: str, *, keep: bool, isolate: bool) -> _Opened | Failure:
        args = [run_id, self._owner, str(LEASE_S), *self._sending.ids]
        if isolate:
            opened = self._tell(host, "open_copy", [self._remote_dir(host), *args, str(int(self._expire_s))])
        else:
            opened = self._tell(host, "open_workspace" if keep else "visit_workspace", [wanted, *args])
        if isinstance(opened, Failure) and opened.kind is FailureKind.MISSING_TOOL:
            self._close(host, wanted, run_id, is_copy=isolate)
        return opened

    def _tell(self, host: Host, function: str, args: list[str]) -> _Opened | Failure:
        """Call a function that ends in `tell_workspace` (remote/workspace.sh)."""
        manifest, states = bytearray(), bytearray()

        def hear(frame: Frame) -> None:
            if isinstance(frame, Data):
                (states if frame.stream == "states" else manifest).extend(frame.data)

        answer = self._call(host, function, args, sink=hear)
        if isinstance(answer, Failure):
            return answer
        directory = answer.first("dir")
        if not directory:
            return refusal(answer)
        if answer.has("uncollected"):
            self._emit(Notice(f"{refusal(answer)}; a sync would be refused", "warning", host.name))
        if not answer.first("rsync"):
            return Failure(
                FailureKind.MISSING_TOOL,
                f"rsync is not installed on {host.name}",
                "install it there: apt install rsync, dnf install rsync, or brew install rsync",
            )
        if answer.has("seeded"):
            count, _, how = answer.first("seeded").partition(" ")
            text = f"{format_count(int(count), 'file')} copied on the host from {self._remote_dir(host)} ({how})"
            self._emit(Notice(text, host=host.name))
        previous: frozenset[bytes] | None = None
        is_complete = answer.first("sent") == "same"
        if is_complete:
            previous = frozenset(self._sending.listing.paths)
        elif manifest:
            previous = syncplan.decode_manifest(manifest.decode("utf-8", "surrogateescape"))
        return _Opened(
            directory,
            answer.first("rsync"),
            previous,
            absent=answer.has("absent"),
            is_complete=is_complete,
            is_same=is_complete and answer.first("states") == "same",
            states=quickcheck.unpack(bytes(states)),
        )

    def _carry_out(self, reached: Reached, workspace: Workspace, opened: _Opened, plan: SyncPlan) -> Pushed | Failure:
        self._announce(workspace, plan)
        if opened.is_same:
            return Pushed(0, 0, 0.0)
        if not opened.is_complete:
            failure = self._begin(workspace, opened, plan)
            if failure is not None:
                return failure
        pushed = self._push(reached, workspace, opened, plan)
        if isinstance(pushed, Failure) or opened.is_complete:
            return pushed
        answer = self._call(
            workspace.host,
            "end_sync",
            [workspace.directory, workspace.run_id, plan.manifest_id],
            variables={"DG_MANIFEST": plan.manifest()},
        )
        return refusal(answer) if isinstance(answer, Answer) and answer.exit_status else _or(answer, pushed)

    def _announce(self, workspace: Workspace, plan: SyncPlan) -> None:
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

    def _names(self, opened: _Opened, plan: SyncPlan) -> tuple[bytes, ...]:
        """What rsync is to look at: all, unless the host told what there is."""
        expected = self._sending.expected
        if expected is None or not opened.states:
            return plan.files
        names = quickcheck.differing(expected, opened.states)
        return plan.files if opened.is_complete and not names else names

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

    def _push(self, reached: Reached, workspace: Workspace, opened: _Opened, plan: SyncPlan) -> Pushed | Failure:
        from dgummy.transport import rsync  # late: mostly there is nothing to push

        host = workspace.host.name
        renewed = time.monotonic()

        def tick() -> None:
            nonlocal renewed
            if time.monotonic() - renewed > _RENEW_S:
                renewed = time.monotonic()
                self._call(workspace.host, "renew_workspace", [workspace.directory, workspace.run_id])

        if self._by_d is not None and workspace.run_id and not workspace.is_copy:
            wanted = self._remote_dir(workspace.host)
            pushed = self._by_d.push(workspace.host, wanted, plan, on_tick=tick, cancelled=self.cancelled)
            if pushed is not None:
                return pushed
        place = rsync.RemotePlace(reached.ssh_name, workspace.directory, opened.rsync_path)
        return rsync.push(
            self._source,
            self._names(opened, plan),
            place,
            ssh_config=self._ssh_config,
            connect_s=self._timeouts.connect_s,
            idle_s=self._timeouts.sync_idle_s,
            on_progress=lambda sent, pct: self._emit(SyncProgress(host, sent, pct)),
            on_tick=tick,
            cancelled=self.cancelled,
            dry=not workspace.run_id,
        )

    def _call(
        self,
        host: Host,
        function: str,
        args: Sequence[str | bytes],
        *,
        variables: dict[str, str] | None = None,
        sink: Callable[[Frame], None] | None = None,
    ) -> Answer | Failure:
        about_copies = function in _COPY_FUNCTIONS
        script = remote.compose(
            ("start", "sync", "workspace", *(["isolate"] if about_copies else [])),
            function,
            args,
            variables={
                "DG_ROOT": host.probe_root,
                "DG_PATH_DIRS": ":".join(host.path_dirs),
                "DG_COPY_OF": "",
                **(variables or {}),
            },
        )
        script_s = self._timeouts.script_s
        # While files are copied or deleted the host says every few seconds that it goes on.
        limits = Limits(total_s=None, idle_s=script_s) if about_copies else Limits(total_s=script_s)
        return self._transport.run_script(host, script, limits, sink)


def copy_dir(remote_dir: str, run_id: str) -> str:
    """Where a run's own copy of a project goes that is in `remote_dir`."""
    return f"{remote_dir.rstrip('/')}@{run_id}"


def _as_result(host: Host, opened: _Opened, plan: SyncPlan, pushed: Pushed) -> SyncResult:
    return SyncResult(
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


def _or(answer: Answer | Failure, pushed: Pushed) -> Pushed | Failure:
    return answer if isinstance(answer, Failure) else pushed
