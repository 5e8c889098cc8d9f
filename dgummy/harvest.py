"""Asks a host what a run changed, and brings it here: files that are numbered, never named by the host.

Every call can be repeated. What changes on the host while it is read is a failure, not a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dgummy import agents, changes, remote
from dgummy.changes import Sifted
from dgummy.contents import Contents, TooMuchError, batches
from dgummy.model import Failure, FailureKind, Host
from dgummy.reconcile import is_run_id
from dgummy.settings import Timeouts
from dgummy.transport.base import Answer, FrameSink, Limits, Script, failed
from dgummy.transport.framing import Data, Frame
from dgummy.work import Brought, Changed, Kind

LOOK_IDLE_S = 180.0
"""A walk through a large project says nothing meanwhile."""

MAX_NAMES_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 3
_AGAIN = "collect it again when nothing is at work there"
_FILES = ("workspace", "sync", "work", "start", "follow", "history", "agent", "collect")


class Access(Protocol):
    """What carries scripts to hosts (`history.Access`)."""

    def ask(
        self, host: Host, script: Script, limits: Limits | None = None, sink: FrameSink | None = None
    ) -> Answer | Failure:
        """Run a script there."""
        ...


@dataclass(frozen=True, slots=True)
class OwnGit:
    """A repository that a run made or committed to in its workspace.

    head: its HEAD. commits: how many of them are the run's. size_bytes: about how much they hold, None if the host does
    not tell. bases: commits that they stand on, which need not come along where they are known here.
    """

    head: str
    commits: int
    size_bytes: int | None = None
    bases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a run changed."""

    sifted: Sifted
    own_git: OwnGit | None = None


@dataclass(frozen=True, slots=True)
class Reports:
    """What an agent wrote for people: `found` are names below ~/.claude/agent_comms."""

    task_id: str = ""
    found: tuple[Changed, ...] = ()


@dataclass(frozen=True, slots=True)
class TooLarge:
    """It is more than may be brought."""


class Harvester:
    """The conversation with hosts about what runs changed. Thread-safe."""

    def __init__(self, access: Access, timeouts: Timeouts) -> None:
        self._access = access
        self._timeouts = timeouts

    # -- what there is -----------------------------------------------------------------------------------------

    def look(self, host: Host, run_id: str, directory: str) -> Look | Failure:
        """What the run changed in its workspace, of any size (see `changes.limit`)."""
        heard = self._hear(host, "tell_changes", [run_id, directory])
        if isinstance(heard, Failure):
            return heard
        sifted = _sifted(heard, missing=True)
        return sifted if isinstance(sifted, Failure) else Look(sifted, _own_git(heard.answer))

    def list_below(self, host: Host, run_id: str, directory: str, prefix: bytes = b"") -> tuple[Changed, ...] | Failure:
        """Every file below `prefix`, also what git ignores."""
        heard = self._hear(host, "list_below", [run_id, directory, prefix, str(MAX_NAMES_BYTES // 2)])
        if isinstance(heard, Failure):
            return heard
        if heard.answer.has("more"):
            return Failure(
                FailureKind.UNFIT, f"there are too many files in {directory}", "ask for fewer: name a folder"
            )
        sifted = _sifted(heard)
        return sifted if isinstance(sifted, Failure) else sifted.changed

    def list_reports(self, host: Host, run_id: str, mode: str, text: str) -> Reports | Failure:
        """The files that the agent of a run wrote for people: its report, its plan, what it discovered."""
        _, _, _, *rest = agents.evidence_args(run_id, "", mode, text)
        heard = self._hear(host, "tell_reports", [run_id, *rest])
        if isinstance(heard, Failure):
            return heard
        if "names" not in heard.streams:
            return Reports()
        sifted = _sifted(heard)
        return sifted if isinstance(sifted, Failure) else Reports(heard.answer.first("task-id"), sifted.changed)

    def _hear(self, host: Host, function: str, args: Sequence[str | bytes]) -> _Heard | Failure:
        streams: dict[str, bytearray] = {}

        def hear(frame: Frame) -> None:
            if isinstance(frame, Data):
                streams.setdefault(frame.stream, bytearray()).extend(frame.data)
                if sum(map(len, streams.values())) > 2 * MAX_NAMES_BYTES:
                    raise TooMuchError

        answer = self._ask(host, function, args, LOOK_IDLE_S, hear)
        if isinstance(answer, Failure):
            return answer
        return _Heard(answer, {name: bytes(data) for name, data in streams.items()})

    # -- bringing it -------------------------------------------------------------------------------------------

    def bring(
        self,
        host: Host,
        run_id: str,
        directory: str,
        wanted: Sequence[Changed],
        folder: Path,
    ) -> list[Brought] | Failure:
        """What these hold, each in a new file in `folder` (for a link: where it leads). In the order of `wanted`."""
        return self._bring(host, ("send_files", "send_links"), [run_id, directory], wanted, folder)

    def bring_reports(self, host: Host, reports: Sequence[Changed], folder: Path) -> list[Brought] | Failure:
        """The same for what `list_reports` found."""
        files = [one for one in reports if one.kind is not Kind.LINK]
        return self._bring(host, ("send_reports", ""), [], files, folder)

    def _bring(
        self,
        host: Host,
        functions: tuple[str, str],
        args: Sequence[str],
        wanted: Sequence[Changed],
        folder: Path,
    ) -> list[Brought] | Failure:
        brought: dict[bytes, Brought] = {}
        numbered = {one.path: folder / f"{number:06d}" for number, one in enumerate(wanted)}
        for function, links in zip(functions, (False, True), strict=True):
            for batch in batches([one for one in wanted if (one.kind is Kind.LINK) is links]):
                failure = self._bring_batch(host, function, args, batch, numbered)
                if failure is not None:
                    return failure
                brought |= {one.path: Brought(one.path, one.kind, str(numbered[one.path])) for one in batch}
        return [brought[one.path] for one in wanted]

    def _bring_batch(
        self,
        host: Host,
        function: str,
        args: Sequence[str],
        batch: Sequence[Changed],
        numbered: dict[bytes, Path],
    ) -> Failure | None:
        for _ in range(_ATTEMPTS):
            with Contents(batch, [numbered[one.path] for one in batch]) as contents:
                answer = self._ask(
                    host, function, [*args, *(one.path for one in batch)], self._timeouts.sync_idle_s, contents, told=""
                )
            if isinstance(answer, Failure):
                return answer
            if answer.has("gone") or contents.differs:
                break  # it is not what was listed: no use to read it again
            if answer.has("steady") and contents.whole:
                return None
        return Failure(FailureKind.BUSY, f"files changed on {host.name} while they were read", _AGAIN)

    def bring_bundle(
        self, host: Host, run_id: str, directory: str, own: OwnGit, known: Sequence[str], target: Path, max_bytes: int
    ) -> Failure | TooLarge | None:
        """The run's own commits as a git bundle in `target`; `known` are those of `own.bases` that are known here."""
        written = 0
        with target.open("wb") as file:

            def hear(frame: Frame) -> None:
                nonlocal written
                if isinstance(frame, Data):
                    written += len(frame.data)
                    if written > max_bytes:
                        raise TooMuchError
                    file.write(frame.data)

            args = [run_id, directory, own.head, str(max_bytes), *known]
            answer = self._ask(host, "send_bundle", args, LOOK_IDLE_S, hear, told="")
        if written > max_bytes or (isinstance(answer, Answer) and answer.has("large")):
            return TooLarge()
        answer = _told(host, answer, "told")
        return answer if isinstance(answer, Failure) else None

    def settle(
        self, host: Host, run_id: str, directory: str, *, discarded: bool = False, head: str = ""
    ) -> Failure | None:
        """Tell the host that what the run changed is collected (or given up): it may be overwritten there.

        head: up to which commit of the run's own repository it was collected, "" for none.
        """
        word = "discarded" if discarded else "collected"
        args = [run_id, directory, word, *([head] if head else [])]
        answer = self._ask(host, "settle_work", args, self._timeouts.script_s, told="settled")
        return answer if isinstance(answer, Failure) else None

    # -- asking ------------------------------------------------------------------------------------------------

    def _ask(
        self,
        host: Host,
        function: str,
        args: Sequence[str | bytes],
        idle_s: float,
        sink: FrameSink | None = None,
        *,
        told: str = "told",
    ) -> Answer | Failure:
        """One call; it must say `told` at its end, or why not."""
        script = remote.compose(_FILES, function, args, variables={"DG_ROOT": host.probe_root})
        try:
            answer = self._access.ask(host, script, Limits(total_s=None, idle_s=idle_s), sink)
        except TooMuchError:
            return Failure(FailureKind.SHELL, f"{host.name} sent more than it was asked for; what came was dropped")
        if isinstance(answer, Failure):
            return answer
        return _told(host, _refusal(host, answer), told)


def _told(host: Host, answer: Answer | Failure, word: str) -> Answer | Failure:
    """The answer, if it says `word` at its end."""
    if isinstance(answer, Answer) and word and not answer.has(word):
        return Failure(FailureKind.SHELL, answer.noise or f"{host.name} broke off", "try again")
    return answer


@dataclass(frozen=True, slots=True)
class _Heard:
    answer: Answer
    streams: dict[str, bytes]


def _sifted(heard: _Heard, *, missing: bool = False) -> Sifted | Failure:
    names = changes.decode_names(heard.streams.get("names", b""))
    entries = changes.decode_stats(heard.streams.get("stats", b""))
    gone = changes.decode_names(heard.streams.get("missing", b"")) if missing else []
    if names is None or gone is None or len(entries) != len(names) + 1:
        return Failure(FailureKind.SHELL, "what the host listed is not whole (is its disk full?)", "make room there")
    closed = [name.removeprefix(b"./") for name in heard.streams.get("unreadable", b"").split(b"\0")]
    return changes.sift(names, entries[:-1], [name for name in closed if name not in (b"", changes.END)], gone)


def _own_git(answer: Answer) -> OwnGit | None:
    head, count, size = [*answer.first("own_git").split(" "), "", "", ""][:3]
    if not _is_commit(head) or not count.isdigit():
        return None
    bases = tuple(base for base in answer.all("own_git_base") if _is_commit(base))
    return OwnGit(head, int(count), int(size) if size.isdigit() else None, bases)


def _is_commit(text: str) -> bool:
    return len(text) in (40, 64) and not text.strip("0123456789abcdef")


def _refusal(host: Host, answer: Answer) -> Answer | Failure:
    """Why a call was refused, or the answer itself."""
    later, busy = answer.first("later"), answer.first("busy").split(" ")[0]
    if answer.has("later"):
        whose = f"run {later}" if is_run_id(later) else "another one"
        text = f"{whose} has had that folder on {host.name} since: what changed there cannot be told apart any more"
        return Failure(FailureKind.UNFIT, text, "what it made may still be there: look for it with inv run")
    if busy:
        return Failure(
            FailureKind.BUSY, f"run {busy} is at work in that folder on {host.name}", "try again when it is done"
        )
    if answer.has("state"):
        return _by_state(host, answer.first("state"))
    if answer.has("absent"):
        text = f"{answer.first('absent')} is not there any more on {host.name}"
        return Failure(FailureKind.UNFIT, text, "what it held is gone")
    if answer.has("moved"):
        return Failure(FailureKind.BUSY, f"the repository on {host.name} changed while it was read", _AGAIN)
    return failed(answer.first("failed")) if answer.has("failed") else answer


def _by_state(host: Host, state: str) -> Failure:
    if state in ("running", "claimed"):
        return Failure(FailureKind.BUSY, f"it is still at work on {host.name}", "wait until it is done")
    if state == "void":
        return Failure(FailureKind.UNFIT, f"it never began on {host.name}", "there is nothing to collect")
    return Failure(FailureKind.UNFIT, f"{host.name} does not know it any more", "there is nothing to collect")
