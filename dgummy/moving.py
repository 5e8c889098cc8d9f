"""Moves a specialist with what it remembers from one host to another, by way of this machine.

Nothing is in use on the target before all of it is there, and nothing is taken out of use on the source before that is
proven. Whatever cuts a move off, the next one finds what is there and goes on (remote/move.sh).
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from dgummy import agents, fanout, moverules, remote
from dgummy.chooser import Wish
from dgummy.errors import DgummyError, TryAgainError, UsageError
from dgummy.events import Notice
from dgummy.model import LOCAL_HOST, Failure, Host
from dgummy.moverules import TRANSCRIPT, Item, Look, Proof
from dgummy.refusals import uncollected
from dgummy.transport.base import Answer, Limits, failed
from dgummy.transport.framing import Data, Fact, Frame
from dgummy.units import format_bytes, format_count

if TYPE_CHECKING:
    from dgummy.cluster import Cluster

PART_BYTES = 256 * 1024
_WORD_BYTES = 32 * 1024
_FILES = ("workspace", "follow", "history", "move")


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move ended. `already` is True if it was there before. `aside` is where the old one lies now, "" if none."""

    name: str
    scope: str
    project: str
    source: str | None
    target: str
    session: str
    files: int
    bytes: int
    proof: Proof
    aside: str = ""
    already: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a specialist is, or is to be."""

    host: Host
    scope: str
    folder: str
    name: str

    @property
    def args(self) -> list[str]:
        """What each function on the host begins with."""
        return [self.scope, self.folder, self.name]


class Mover:
    """Moves specialists of one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._settings = cluster.settings
        self._access = cluster.history.access
        cluster.connect()

    def move(
        self,
        name: str,
        to: str,
        *,
        source: str | None = None,
        project: bool = False,
        force: bool = False,
        collect: bool = False,
    ) -> Moved:
        """Move a specialist to a host, and prove that it is all there. DgummyError says why it cannot.

        `collect`: bring home first what a run left in the project there.
        """
        moverules.check_name(name)
        target = self._host(to)
        hosts = [self._host(source)] if source else list(self._cluster.hosts_for(Wish()))
        if source and hosts[0].name == target.name:
            raise UsageError(f"{name} cannot move from {target.name} to itself", "name two different hosts")
        found = self._find(name, {host.name: host for host in (*hosts, target)})
        for host in (hosts[0], target) if source else (target,):
            told = found[host.name]
            if isinstance(told, Failure):
                raise _cannot(host, told)
        host_name, scope = moverules.choose_source(
            name, found, target.name, hosts[0].name if source else None, project=project
        )
        for silent, told in found.items():
            if isinstance(told, Failure):
                self._access.emit(Notice(f"{told}; what it has is not known", "warning", silent))
        there = Place(target, scope, self._folder(target), name)
        if host_name == target.name:
            return self._already(there)
        host = next(host for host in hosts if host.name == host_name)
        return self._move(Place(host, scope, self._folder(host), name), there, force=force, collect=collect)

    def _move(self, old: Place, new: Place, *, force: bool, collect: bool) -> Moved:
        name, to = old.name, new.host.name
        source = self._look(old, "", to)
        if source.uncollected:
            self._clear_the_way(old, uncollected(source.uncollected), collect=collect)
        moverules.check_source(name, old.host.name, source, force=force)
        target = self._look(new, source.session, to)
        agent = self._settings.agent
        moverules.check_target(name, to, target, agent.tool, agent.install, force=force)
        shared = self._shared(old, new)
        folders = moverules.folders_for(source, target)
        carry = moverules.to_carry(name, to, source, target, folders)
        if carry:
            self._carry(old, new, source.session, carry)
        after = self._look(new, source.session, to)
        proof = moverules.prove(source, after, folders, to)
        if proof.missing:
            raise TryAgainError(
                f"{name} did not arrive on {to} as it was: {proof.missing}; on {old.host.name} nothing was changed",
                "run the same command again",
            )
        # What both hosts have is in its new place where the old one was.
        left = {here for here, there in folders.items() if not (shared and here == there)}
        aside = self._set_aside(old, source, left, to)
        return self._moved(old, new, after, proof, carry, aside)

    def _clear_the_way(self, old: Place, in_the_way: Failure, *, collect: bool) -> None:
        """TryAgainError unless the work that a run left beside the specialist is brought home."""
        failure = self._cluster.collector.clear_the_way(in_the_way.run_id) if collect else in_the_way
        if failure is not None:
            raise TryAgainError(f"{old.name} stays on {old.host.name}: {failure.detail}", failure.remedy)

    def _moved(
        self, old: Place, new: Place, after: Look, proof: Proof, carry: Sequence[tuple[Item, str]], aside: str
    ) -> Moved:
        return Moved(
            name=old.name,
            scope=old.scope,
            project=after.place if old.scope == "project" else "",
            source=old.host.name,
            target=new.host.name,
            session=after.session,
            files=len(carry),
            bytes=sum(item.size for item, _ in carry),
            proof=proof,
            aside=aside,
        )

    def _already(self, place: Place) -> Moved:
        """It is there, from an earlier move or because it always was."""
        look = self._look(place, "", place.host.name)
        proof = moverules.prove(None, look, {}, place.host.name)
        if proof.missing:
            raise TryAgainError(
                f"{place.name} is on {place.host.name} already, but would not resume: {proof.missing}",
                "look for its transcript on the host that it came from",
            )
        project = look.place if place.scope == "project" else ""
        return Moved(place.name, place.scope, project, None, place.host.name, look.session, 0, 0, proof, already=True)

    # -- hosts -------------------------------------------------------------------------------------------------

    def _host(self, name: str) -> Host:
        hosts = self._cluster.hosts_for(Wish(hosts=(name,)))
        if len(hosts) != 1:
            raise UsageError(f"{name} is {len(hosts)} hosts", "a specialist moves to one")
        return hosts[0]

    def _folder(self, host: Host) -> str:
        return str(self._cluster.project.root) if host.name == LOCAL_HOST else self._cluster.remote_dir(host)

    def _find(self, name: str, hosts: Mapping[str, Host]) -> dict[str, frozenset[str] | Failure]:
        """In which scopes each host has it."""

        def ask(host: Host) -> frozenset[str] | Failure:
            answer = self._ask(host, "find_specialist", [self._folder(host), name])
            return answer if isinstance(answer, Failure) else frozenset(answer.all("lives"))

        found = fanout.in_order(list(hosts.values()), ask, jobs=self._settings.jobs)
        return dict(zip(hosts, found, strict=True))

    # -- the steps ---------------------------------------------------------------------------------------------

    def _look(self, place: Place, session: str, to: str) -> Look:
        """What is there. Also what was set aside for `to` counts, where a move was cut off while it did that."""
        limits = [str(moverules.MAX_BYTES), str(moverules.MAX_FILES)]
        tools = [self._settings.agent.tool, agents.AGENT_CLI]
        return moverules.read_look(self._do(place, "tell_specialist", [_safe(to), session, *limits, *tools]).facts)

    def _carry(self, old: Place, new: Place, session: str, carry: Sequence[tuple[Item, str]]) -> None:
        """Read items there, write them here beside their place, and put them there once they are the same."""
        size = format_bytes(sum(item.size for item, _ in carry))
        what = f"{format_count(len(carry), 'file')} ({size})"
        self._access.emit(Notice(f"carrying {what} from {old.host.name} to {new.host.name}"))
        self._do(new, "begin_incoming", [])
        with tempfile.TemporaryFile() as spool:
            for item, (begin, end) in zip(carry, self._read(old, new, session, carry, spool), strict=True):
                self._write(new, item[1], spool, begin, end)
        arrived = moverules.read_items(self._do(new, "tell_incoming", []).all("file"))
        wrong = moverules.difference(carry, arrived)
        if wrong:
            raise TryAgainError(
                f"{old.name} changed on {old.host.name} while it was read: {wrong}; nothing was changed there",
                "try again when it is not at work",
            )
        self._do(new, "install_incoming", [session])

    def _read(
        self, old: Place, new: Place, session: str, carry: Sequence[tuple[Item, str]], spool: IO[bytes]
    ) -> list[tuple[int, int]]:
        """Where in `spool` each item begins and ends."""
        begins: list[int] = []

        def hear(frame: Frame) -> None:
            if isinstance(frame, Fact) and frame.name == "sending":
                begins.append(spool.tell())
            elif isinstance(frame, Data) and spool.tell() <= moverules.MAX_BYTES:
                spool.write(frame.data)

        names = [item.name for item, _ in carry]
        script = remote.compose(
            _FILES, "send_specialist", [*old.args, _safe(new.host.name), session, *names], variables=_roots(old.host)
        )
        limits = Limits(total_s=None, idle_s=self._settings.timeouts.silence_s)
        answer = self._access.ask(old.host, script, limits, hear)
        if isinstance(answer, Failure):
            raise _cannot(old.host, answer)
        if answer.exit_status or len(begins) != len(names):
            raise TryAgainError(f"{old.name} could not be read whole on {old.host.name}", "run the same command again")
        return list(zip(begins, [*begins[1:], spool.tell()], strict=True))

    def _write(self, new: Place, item: str, spool: IO[bytes], begin: int, end: int) -> None:
        spool.seek(begin)
        offset = 0
        while True:
            part = spool.read(min(PART_BYTES, end - begin - offset))
            self._do(new, "take_part", [item, str(offset), *_words(part)])
            offset += len(part)
            if offset >= end - begin:
                return

    def _shared(self, old: Place, new: Place) -> bool:
        """Whether both hosts have one home folder. UsageError if the specialist would not move at all."""
        token = secrets.token_hex(8)
        try:
            self._do(new, "put_mark", [token])
            same = self._do(old, "see_mark", [token]).all("same")
        finally:
            self._ask(new.host, "drop_mark", [*new.args, token])
        if "place" in same:
            text = f"{old.host.name} and {new.host.name} have the same folder: {old.name} is on both of them"
            raise UsageError(text, "there is nothing to move")
        return "home" in same

    def _set_aside(self, old: Place, source: Look, folders: Collection[str], to: str) -> str:
        carried = [item for item in source.transcripts if item.name.removeprefix(TRANSCRIPT) in folders]
        expected = b"\n".join(sorted(_raw(item.line) for item in (*source.memory, *carried)))
        args = [_safe(to), source.session, *folders]
        return self._do(old, "set_aside", args, DG_EXPECTED=expected).first("aside")

    # -- asking ------------------------------------------------------------------------------------------------

    def _do(self, place: Place, function: str, args: Sequence[str | bytes], **variables: str | bytes) -> Answer:
        """One step on a host. DgummyError if it cannot be done there."""
        answer = self._ask(place.host, function, [*place.args, *args], **variables)
        if isinstance(answer, Failure):
            raise _cannot(place.host, answer)
        on = f"{place.name} on {place.host.name}"
        if answer.has("failed"):
            raise _cannot(place.host, failed(answer.first("failed")))
        if answer.has("exists"):
            raise TryAgainError(f"{on}: {answer.first('exists')} came to be there meanwhile", "look at what it is")
        if answer.has("changed"):
            raise TryAgainError(
                f"{on} changed while it was carried; it was left as it is, and what was carried is not its newest",
                "look which one of them is to stay, and rename the other",
            )
        if answer.exit_status:
            raise TryAgainError(f"{on}: {answer.first('trouble', answer.noise) or 'a step failed'}", "try again")
        return answer

    def _ask(
        self, host: Host, function: str, args: Sequence[str | bytes], **variables: str | bytes
    ) -> Answer | Failure:
        script = remote.compose(_FILES, function, args, variables={**_roots(host), **variables})
        return self._access.ask(host, script)


def _roots(host: Host) -> dict[str, str | bytes]:
    return {"DG_ROOT": host.probe_root, "DG_PATH_DIRS": ":".join(host.path_dirs)}


def _cannot(host: Host, failure: Failure) -> DgummyError:
    return DgummyError(f"{host.name}: {failure}", failure.remedy, code=failure.kind.exit_code)


def _safe(name: str) -> str:
    """A host's name as part of a file's name."""
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in name)


def _words(part: bytes) -> list[bytes]:
    """Bytes as words for take_part (remote/move.sh)."""
    pieces = (part[at : at + _WORD_BYTES] for at in range(0, len(part), _WORD_BYTES))
    return [piece.replace(b"\\", b"\\\\").replace(b"\0", b"\\0000") for piece in pieces]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
