"""Hosts through the `d` command: its load, status and sync, and scripts by its run.

`d` mixes what it says with what a command prints, and ends every failure with status 1. So a script that it carries
speaks in frames (`framing`), and what became of it is read from those, as over ssh (`dscript`).
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from invoke.config import Config
from invoke.context import Context

from dgummy.dhelp import Dialect
from dgummy.dtext import DLoad, DParseError, DStatus, SyncCount, last_lines, parse_load, parse_status, split_run
from dgummy.hostset import check_name
from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.base import Answer, Deadline, FrameSink, Limits, Pushed, Reached, Script
from dgummy.transport.dcall import Bounds, Called, call
from dgummy.transport.dfind import Found
from dgummy.transport.dscript import D_FAILED, REMEDY, SSH_KINDS, DScript, NotStartedError
from dgummy.transport.plaintext import printable
from dgummy.transport.rsync_text import classify
from dgummy.transport.runner import COMMAND

MAX_TABLE_BYTES = 256 * 1024
REACH_S = 20.0
"""How long `d run` may take to get to a host: the released one opens two connections before the command's own."""

_OTHER_PATH_KINDS = SSH_KINDS - {FailureKind.HOST_KEY, FailureKind.AUTHENTICATION}


class DCommand:
    """Calls of one `d`, each with a time limit (`timeout_s`; a sync has `idle_s` between two words instead).

    A use case that it does not have is a Failure, as is whatever else goes wrong; `detail` then holds what it said
    last. Host names are those that ssh knows, since it hands them to ssh.
    """

    def __init__(self, found: Found, *, timeout_s: float = 60.0, idle_s: float = 60.0) -> None:
        self.found = found
        self._timeout_s = timeout_s
        self._idle_s = idle_s

    @property
    def _is_released(self) -> bool:
        return self.found.dialect is Dialect.RELEASED

    def load(
        self, group: str | None = None, hosts: Sequence[str] | None = None, *, timeout_s: float | None = None
    ) -> tuple[DLoad, ...] | Failure:
        """The load of a group of its own (None: its default), or of `hosts`. Hosts that it does not list are missing.

        The released one takes one host at a time, so `hosts` are as many calls, one after the other, within the same
        time limit. The other dialect knows no groups: it lists all hosts, whatever `group` is.
        """
        overall = Deadline(timeout_s or self._timeout_s)
        if not self._is_released:
            listed = self._table("load", [], parse_load, overall)
            if isinstance(listed, Failure) or hosts is None:
                return listed
            return tuple(load for load in listed if load.host in hosts)
        if hosts is None:
            return self._table("load", [] if group is None else ["--group", group], parse_load, overall)
        rows: list[DLoad] = []
        for host in hosts:
            answer = _refused(host) or self._table("load", ["--host", host], parse_load, overall)
            if isinstance(answer, Failure):
                return answer
            rows += answer
        return tuple(rows)

    def status(self, *, timeout_s: float | None = None) -> tuple[DStatus, ...] | Failure:
        """Whether the hosts in ~/.ssh/config answer. It tries them one by one, 2 s each: a long list takes long."""
        return self._table("status", [], parse_status, Deadline(timeout_s or self._timeout_s))

    def sync(
        self,
        path: Path,
        host: str,
        *,
        dry: bool = False,
        on_tick: Callable[[], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> Pushed | Failure:
        """Push the folder `path` with its own rsync and exclude list, to where `dtext.remote_dir` says.

        Where `gum` is installed it does not say what it sent; the counts are 0 then.
        """
        words = self.found.words.get("sync")
        if words is None or (dry and not self.found.dry_run):
            return Failure(FailureKind.SYNC, f"{self.found.path} has no {'dry run' if words else 'sync'}", REMEDY)
        if not path.is_absolute() or not path.is_dir():
            return Failure(FailureKind.SYNC, f"{printable(str(path))} is no folder", "name one that is there")
        refused = _refused(host)
        if refused is not None:
            return refused
        argv = [*words, host]
        if self._is_released:
            argv = [*words, str(path), "--host", host, *(["--dry-run"] if dry else [])]
        count = SyncCount(dry=dry)
        began = time.monotonic()
        called = call(
            argv,
            Bounds(total_s=None, idle_s=self._idle_s, tail=True),
            cwd=path,
            on_stdout=lambda chunk: count.feed(_text(chunk)),
            on_tick=on_tick,
            cancelled=cancelled,
        )
        count.feed("\n")
        if called.was_cancelled:
            return Failure(FailureKind.CANCELLED, f"sync to {host} was cancelled", "")
        if called.problem or called.code != 0:
            return _sync_failure(argv, called, host)
        return Pushed(count.files, count.bytes, time.monotonic() - began)

    def run_words(self, host: str) -> list[str] | Failure:
        """The command line that gives its standard input to `sh -s` on a host."""
        words = self.found.words.get("run")
        if words is None:
            return Failure(D_FAILED, f"{self.found.path} has no run", REMEDY)
        refused = _refused(host)
        if refused is not None:
            return refused
        if self._is_released:
            return [*words, "--host", host, "--", *COMMAND.split()]
        return [*words, host, COMMAND]

    def _table(
        self, use: str, options: list[str], parse: Callable[[str], tuple[Any, ...]], deadline: Deadline
    ) -> tuple[Any, ...] | Failure:
        words = self.found.words.get(use)
        if words is None:
            return Failure(D_FAILED, f"{self.found.path} has no {use}", REMEDY)
        argv = [*words, *options]
        called = call(argv, Bounds(total_s=deadline.remaining_s(), max_bytes=MAX_TABLE_BYTES))
        if called.problem or called.code != 0:
            return _call_failure(argv, called)
        try:
            return parse(_text(called.stdout))
        except DParseError as error:
            return Failure(D_FAILED, f"{_shown(argv)} printed something odd: {error}", REMEDY)


def _refused(host: str) -> Failure | None:
    try:
        check_name(host)
    except ValueError as error:
        return Failure(FailureKind.CONFIG, str(error), "correct the host's name")
    return None


def _call_failure(argv: Sequence[str], called: Called) -> Failure:
    told = split_run(_text(called.stdout), _text(called.stderr))
    said = told.error or " | ".join(last_lines(told.err) or last_lines(told.out))
    kind = FailureKind.TIMED_OUT if called.timed_out else D_FAILED
    return Failure(kind, f"{_shown(argv)}: {_how(called)}" + (f": {printable(said)}" if said else ""), REMEDY)


def _sync_failure(argv: Sequence[str], called: Called, host: str) -> Failure:
    told = split_run(_text(called.stdout), _text(called.stderr))
    if told.exit_status is not None:
        return classify(told.exit_status, told.err, host)
    failure = _call_failure(argv, called)
    return failure if called.timed_out else Failure(FailureKind.SYNC, failure.detail, failure.remedy)


def _how(called: Called) -> str:
    if called.problem:
        return called.problem
    code = called.code or 0
    return f"killed by signal {-code}" if code < 0 else f"exit status {code}"


def _shown(argv: Sequence[str]) -> str:
    return printable(shlex.join([Path(argv[0]).name, *argv[1:]]))[:120]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


class DTransport:
    """Scripts by `d run` (see `Transport`).

    Nothing stays open between two scripts: each is a call of `d`. A host's names are tried in order. Limits count from
    when the script begins on its host; getting there has `reach_s`.
    """

    name = "d"

    def __init__(self, command: DCommand, *, reach_s: float = REACH_S) -> None:
        self._command = command
        self._reach_s = reach_s
        # Lazy: Invoke's own files and INVOKE_RUN_* have no say in how our scripts run.
        self._context = Context(Config(lazy=True))
        self._answered: dict[str, str] = {}

    def connect(self, host: Host) -> Reached | Failure:
        """Say which name is used. Nothing is tried: that costs as much as the script itself."""
        name = self._answered.get(host.name, host.ssh_names()[0])
        return _refused(name) or Reached(ssh_name=name, address="", latency_ms=0.0)

    def run_script(
        self,
        host: Host,
        script: Script,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sink: FrameSink | None = None,
    ) -> Answer | Failure:
        """Run a script to its end (see `Transport.run_script`)."""
        names = sorted(host.ssh_names(), key=lambda name: name != self._answered.get(host.name))
        reply: Answer | Failure = Failure(FailureKind.CONFIG, f"{host.name} has no name", "")
        for name in names:
            words = self._command.run_words(name)
            if isinstance(words, Failure):
                return words
            try:
                reply = self._script(words, name).run_script(script, limits, sink)
            except NotStartedError as error:
                return Failure(D_FAILED, str(error), REMEDY)
            if isinstance(reply, Answer) or reply.kind is FailureKind.LOST:
                self._answered[host.name] = name
            if isinstance(reply, Answer) or reply.kind not in _OTHER_PATH_KINDS:
                break
        return reply

    def close(self) -> None:
        """Nothing stays open."""

    def _script(self, words: list[str], name: str) -> DScript:
        dialect = self._command.found.dialect
        return DScript(self._context, words, name, is_released=dialect is Dialect.RELEASED, reach_s=self._reach_s)
