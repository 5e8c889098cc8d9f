"""Push files to a host with rsync over the user's own ssh.

The names to send come from us (`--files-from`), so rsync neither walks nor filters. Only options that every rsync knows
are used, openrsync of macOS included; rsync 3.1 and later reports progress besides. Decided on purpose:

- No `--partial`: a file on the host is the old one or the new one, never half of it.
- No `-z`: ssh_config's own `Compression` says whether the line is worth it, and `-z` between rsync 3 and openrsync is
  not dependable.
- No `-s`: openrsync on the far side refuses it. The remote path is quoted here, the same for every version.
- The names go through a file: openrsync reads `--files-from=-` for ever.
- `--force`: where the project has a file and the host a folder, the project is right, as in a git checkout.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dgummy.model import Failure, FailureKind
from dgummy.transport.base import Pushed
from dgummy.transport.dcall import Bounds, call
from dgummy.transport.rsync_text import (
    Flavour,
    classify,
    only_vanished,
    parse_progress,
    parse_stats,
    parse_version,
    vanished,
)

TICK_S = 0.25
VERSION_S = 10.0
_ASK_AGAIN = 6
KILL_AFTER_S = 1.0
MAX_STDERR_BYTES = MAX_STDOUT_BYTES = 64 * 1024

_COMMENT_SIGNS = (b"#", b";")

ProgressSink = Callable[[int, float], None]
"""Called with bytes sent so far and per cent of the set."""


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """Where files go: `directory` is absolute. `ssh_name` is what ssh knows the host by, "" for this machine.

    rsync_path: what starts rsync there, as the remote shell reads it ("" means `rsync` on its PATH).
    """

    ssh_name: str
    directory: str
    rsync_path: str = ""


_versions: dict[tuple[str, int], Flavour] = {}


def detect_local() -> Flavour | Failure:
    """Find the rsync of this machine and what it can do. Asked once per program file and change of it."""
    path = shutil.which("rsync")
    if path is None:
        remedy = "Install it: apt install rsync, or brew install rsync"
        return Failure(FailureKind.MISSING_TOOL, "no rsync on this machine", remedy)
    try:
        key = (path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        return Failure(FailureKind.MISSING_TOOL, f"{path} does not run: {error}", "Install rsync again.")
    if key not in _versions:
        flavour = _ask(path)
        if isinstance(flavour, Failure):
            return flavour
        _versions[key] = flavour
    return _versions[key]


def _ask(path: str) -> Flavour | Failure:
    """What a program says that rsync it is."""
    called = call([path, "--version"], Bounds(total_s=VERSION_S))
    if called.timed_out:
        what = f"{path} does not answer: its --version has no end within {VERSION_S:g} s"
        return Failure(FailureKind.MISSING_TOOL, what, f"see what it waits for: {path} --version")
    if called.problem:
        return Failure(FailureKind.MISSING_TOOL, f"{path} does not run: {called.problem}", "Install rsync again.")
    flavour = parse_version((called.stdout + called.stderr).decode("utf-8", "replace"), path)
    return flavour or Failure(FailureKind.MISSING_TOOL, f"{path} is not an rsync", "Install rsync 3.")


def command(
    flavour: Flavour,
    source: Path,
    names_file: str,
    destination: RemotePlace,
    *,
    ssh_config: Path | None = None,
    connect_s: float = 5.0,
    idle_s: float = 60.0,
    dry: bool = False,
) -> list[str]:
    """Build the command line. ValueError for a name or path that cannot be passed safely."""
    words = [flavour.path, "-lptO", "--force", "--from0", f"--files-from={names_file}", "--stats"]
    words.append(f"--timeout={max(1, math.ceil(idle_s))}")
    if flavour.has_info:
        words += ["--info=progress2", "--no-human-readable"]
    if dry:
        words.append("-n")
    if any(ord(char) < 32 or ord(char) == 127 for char in destination.directory):
        raise ValueError("the remote folder's name holds a control character")
    if not destination.directory.startswith("/"):
        raise ValueError("the remote folder is not absolute")
    target = destination.directory.rstrip("/") + "/"
    if destination.ssh_name:
        words += _remote_options(flavour)
        words += ["-e", _ssh_words(ssh_config, connect_s)]
        if destination.rsync_path:
            words.append(f"--rsync-path={destination.rsync_path}")
        target = f"{_host_part(flavour, destination.ssh_name)}:{quote_remote(target)}"
    return [*words, "--", str(source).rstrip("/") + "/", target]


def _remote_options(flavour: Flavour) -> list[str]:
    """What keeps rsync from quoting the remote path a second time."""
    if flavour.escapes_remote_path:
        return ["--old-args"]
    return ["--no-protect-args"] if flavour.has_info else []


def quote_remote(path: str) -> str:
    """Quote a path for the shell at the other end: to sh, zsh, fish and csh a backslash means the same."""
    return re.sub(r"[^A-Za-z0-9_/.,:+@%\x80-\U0010ffff-]", r"\\\g<0>", path)


def _ssh_words(ssh_config: Path | None, connect_s: float) -> str:
    words = ["ssh", *(["-F", str(ssh_config)] if ssh_config else []), "-T"]
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(max(1, math.ceil(connect_s))),
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "RemoteCommand": "none",
        "ClearAllForwardings": "yes",
    }
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return " ".join(map(_quote_rsh, words))


def _quote_rsh(word: str) -> str:
    """Quote one word of -e. rsync knows quotes there, but no backslashes."""
    if not re.search(r"[\s'\"]", word):
        return word
    quote = next((sign for sign in ("'", '"') if sign not in word), None)
    if quote is None:
        raise ValueError(f"{word!r} holds both kinds of quotes; rsync cannot pass that to ssh")
    return quote + word + quote


def _host_part(flavour: Flavour, name: str) -> str:
    if name.startswith("-") or re.search(r"[\s/\x00-\x1f\x7f]", name):
        raise ValueError(f"{name!r} is not a host name")
    if ":" not in name:
        return name
    if flavour.kind == "openrsync":
        raise ValueError(f"the rsync of macOS cannot take {name!r}; give it a Host entry in ssh_config")
    user, at, address = name.rpartition("@")
    return f"{user}{at}[{address.strip('[]')}]"


def push(
    source: Path,
    files: Sequence[bytes],
    destination: RemotePlace,
    *,
    ssh_config: Path | None = None,
    connect_s: float = 5.0,
    idle_s: float = 60.0,
    flavours: Flavour | None = None,
    on_progress: ProgressSink | None = None,
    on_tick: Callable[[], None] | None = None,
    cancelled: threading.Event | None = None,
    dry: bool = False,
) -> Pushed | Failure:
    """Bring `files` (names relative to `source`) to the folder at `destination`.

    Links go as links, permissions and times go along, unchanged files are not sent again. flavours: the local rsync
    if it is known already. dry: count what would be sent, send nothing. on_tick: called a few times a second while
    it runs. Never raises for what a host does.
    """
    started = time.monotonic()
    flavour = flavours or detect_local()
    if isinstance(flavour, Failure):
        return flavour
    files, lost = _takeable(flavour, files)
    if not files:
        return Pushed(0, 0, 0.0, lost)
    with tempfile.NamedTemporaryFile(prefix="dgummy-sync-") as names:
        names.write(b"".join(_as_listed(name) + b"\0" for name in files))
        names.flush()
        try:
            words = command(
                flavour,
                source,
                names.name,
                destination,
                ssh_config=ssh_config,
                connect_s=connect_s,
                idle_s=idle_s,
                dry=dry,
            )
            stop = cancelled or threading.Event()
            run = _Run(words, flavour, on_progress, on_tick, stop)
            code = run.wait()
            for _ in range(_ASK_AGAIN):
                if _ended_silently(run, code, flavour, destination):
                    run = _Run(_aloud(words), flavour, None, on_tick, stop)
                    code = run.wait()
        except ValueError as error:
            return Failure(FailureKind.SYNC, str(error), "Give the host or folder a plainer name.")
        except OSError as error:
            return Failure(FailureKind.MISSING_TOOL, f"rsync did not start: {error}", "Install rsync again.")
    return _outcome(run, code, destination.ssh_name or "this machine", time.monotonic() - started, lost)


def _ended_silently(run: _Run, code: int, flavour: Flavour, destination: RemotePlace) -> bool:
    """Whether the far side failed and its reason was lost on the way, and asking for it again can help.

    A receiver that finds the disk full ends before its message is through; what is left is exit code 11 alone.
    """
    can_ask = bool(destination.ssh_name) and flavour.kind == "rsync" and flavour.version >= (3, 2, 3)
    return can_ask and code == 11 and not run.stderr.strip() and not run.was_cancelled


def _aloud(words: list[str]) -> list[str]:
    """Have both sides write straight to stderr, past the protocol. No progress: it would go there too."""
    quiet = [word for word in words if not word.startswith("--info=")]
    return [quiet[0], "--stderr=all", *quiet[1:]]


def _takeable(flavour: Flavour, files: Sequence[bytes]) -> tuple[Sequence[bytes], tuple[str, ...]]:
    """Leave out what openrsync cannot send, and say so: a name that begins with # or ; is a comment to it.

    With ./ before it, which helps elsewhere, its two sides disagree on the list of files.
    """
    if flavour.kind != "openrsync" or not any(name[:1] in _COMMENT_SIGNS for name in files):
        return files, ()
    kept = [name for name in files if name[:1] not in _COMMENT_SIGNS]
    text = f"not sent, the rsync of macOS takes # and ; for comments: {len(files) - len(kept)} of the files"
    return kept, (text + " (brew install rsync)",)


def _as_listed(name: bytes) -> bytes:
    # A line of --files-from that begins with # or ; is taken for a comment, even with --from0.
    return b"./" + name if name[:1] in _COMMENT_SIGNS else name


def _outcome(run: _Run, code: int, host: str, duration_s: float, notices: tuple[str, ...]) -> Pushed | Failure:
    stderr = run.stderr.decode("utf-8", "replace")
    if run.was_cancelled:
        return Failure(FailureKind.CANCELLED, f"sync to {host} was cancelled", "")
    if code != 0 and not only_vanished(code, stderr):
        return classify(code, stderr, host)
    gone = set(vanished(stderr))
    if gone:
        notices += (f"{len(gone)} of the files changed or went away during the sync",)
    # openrsync writes its statistics to stderr.
    count, size = parse_stats(run.stdout.decode("utf-8", "replace") + "\n" + stderr)
    return Pushed(count, size, duration_s, notices)


@dataclass(slots=True)
class _Run:
    """One rsync process, apart from the terminal: Ctrl-C there does not reach it; it ends as a group."""

    words: list[str]
    flavour: Flavour
    on_progress: ProgressSink | None
    on_tick: Callable[[], None] | None
    cancelled: threading.Event
    stdout: bytes = b""
    stderr: bytes = b""
    was_cancelled: bool = False
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("RSYNC_")}
        self.process = subprocess.Popen(
            self.words,
            env=environ | {"LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **_apart(self.flavour),
        )

    def wait(self) -> int:
        """Read until it has ended; its exit code, negative for a signal."""
        try:
            self._read()
        finally:
            self._end_group()
            for stream in (self.process.stdout, self.process.stderr):
                if stream is not None:
                    stream.close()
        return self.process.wait()

    def _read(self) -> None:
        ended_at: float | None = None
        next_tick = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for stream, take in (
                (self.process.stdout, self._take_stdout),
                (self.process.stderr, self._take_stderr),
            ):
                if stream is not None:
                    selector.register(stream, selectors.EVENT_READ, take)
            while selector.get_map() or self.process.poll() is None:
                if selector.get_map():
                    _read_ready(selector)
                else:  # it closed its pipes, and ends in a moment
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self.process.wait(TICK_S)
                now = time.monotonic()
                if now >= next_tick:
                    next_tick = now + TICK_S
                    self._tick()
                if self.cancelled.is_set():
                    self.was_cancelled = True
                    return
                # A shared ssh connection may live on and hold our pipes open.
                if ended_at is None and self.process.poll() is not None:
                    ended_at = now
                if ended_at is not None and now > ended_at + 1:
                    return

    def _tick(self) -> None:
        if self.on_tick is not None:
            self.on_tick()

    def _take_stdout(self, chunk: bytes) -> None:
        self.stdout = (self.stdout + chunk)[-MAX_STDOUT_BYTES:]
        if self.on_progress is None:
            return
        for line in reversed(re.split(rb"[\r\n]", chunk)):
            seen = parse_progress(line.decode("ascii", "replace"))
            if seen is not None:
                self.on_progress(*seen)
                break

    def _take_stderr(self, chunk: bytes) -> None:
        # The beginning says why; what follows is mostly more of it. The end holds rsync's own summary.
        joined = self.stderr + chunk
        half = MAX_STDERR_BYTES // 2
        self.stderr = joined if len(joined) <= MAX_STDERR_BYTES else joined[:half] + b"\n" + joined[-half + 1 :]

    def _end_group(self) -> None:
        """End whatever of the group is left: TERM, then KILL."""
        for number, patience_s in ((signal.SIGTERM, KILL_AFTER_S), (signal.SIGKILL, KILL_AFTER_S)):
            if self.process.poll() is not None:
                return
            try:
                os.killpg(self.process.pid, number)
            except (ProcessLookupError, PermissionError):
                self.process.send_signal(number)  # it has no group of its own (yet)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience_s)


def _apart(flavour: Flavour) -> dict[str, Any]:
    """How to start it out of the terminal's reach.

    openrsync makes itself the head of a process group, which the head of a session may not: it would end at once.
    Python 3.10 cannot ask for a group, so there it has to do that alone.
    """
    if flavour.kind != "openrsync":
        return {"start_new_session": True}
    return {"process_group": 0} if sys.version_info >= (3, 11) else {}


def _read_ready(selector: selectors.BaseSelector) -> None:
    for key, _ in selector.select(TICK_S):
        chunk = os.read(key.fd, 64 * 1024)
        if chunk:
            key.data(chunk)
        else:
            selector.unregister(key.fileobj)
