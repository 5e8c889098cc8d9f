"""How git is started: never with what the environment says of another repository, never waiting, never fetching.

No hook, no file system monitor and no automatic gc runs, no terminal is asked, and nothing is fetched from a promisor
(a partial clone would otherwise go to the network for a missing object).
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from dgummy.errors import SyncError

TIMEOUT_S = 600.0
"""A filter (Git LFS, say) may have gigabytes to read."""

_OPTIONS = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0", "core.quotepath=off")
_ALWAYS = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",  # git 2.45, and later maintenance releases of older ones
    "GIT_ALLOW_PROTOCOL": "none",  # all others
}


class GitError(SyncError):
    """git refused. `said` is what it wrote to stderr, `status` its exit code (None: it had to be ended)."""

    def __init__(self, message: str, remedy: str, *, status: int | None = None, said: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status
        self.said = said


class NoGitError(GitError):
    """There is no git on this machine."""


@dataclass(frozen=True, slots=True)
class Git:
    """git as it is started in `folder`, with some places of its own.

    store: where new objects go, instead of the repository. alternates: objects folders that are read too. git_dir,
    work_tree: not what is found from `folder`. index: the index file. config: `name=value`, stronger than the user's.
    """

    folder: str | bytes | Path
    store: Path | None = None
    alternates: tuple[Path, ...] = ()
    git_dir: Path | None = None
    work_tree: Path | None = None
    index: Path | None = None
    config: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = TIMEOUT_S

    def having(self, **changes: object) -> Git:
        """Return the same with other places."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def run(self, *words: str | bytes, stdin: bytes | IO[bytes] = b"", stdout: IO[bytes] | None = None) -> bytes:
        """Run git and return what it wrote. GitError if it fails."""
        out, err, status = self.ask(*words, stdin=stdin, stdout=stdout)
        if status != 0:
            raise self.refusal(f"git {_verb(words)} failed", err, status)
        return out

    def ask(
        self, *words: str | bytes, stdin: bytes | IO[bytes] = b"", stdout: IO[bytes] | None = None
    ) -> tuple[bytes, str, int]:
        """Run git and return stdout, stderr and the exit code. GitError if it does not start or end."""
        given = None if isinstance(stdin, bytes) else stdin
        with self.start(*words, stdin=given or subprocess.PIPE, stdout=stdout or subprocess.PIPE) as process:
            return self.finish(process, stdin if isinstance(stdin, bytes) else None, _verb(words))

    def start(
        self,
        *words: str | bytes,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start git, in a process group of its own. NoGitError; GitError if the folder is gone."""
        options = [word for setting in (*_OPTIONS, *self.config) for word in ("-c", setting)]
        try:
            return subprocess.Popen(
                ["git", *options, *words],
                cwd=self.folder,
                env=self._environ(),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if error.filename == "git":
                raise NoGitError("git is not installed here", "Install git.") from None
            shown = _shown(error.filename)
            raise GitError(f"the project is gone: {shown}", "Go to the project's folder.") from error
        except OSError as error:
            raise GitError(f"git did not start: {error}", "Look whether `git status` works here.") from error

    def finish(self, process: subprocess.Popen[bytes], stdin: bytes | None, verb: str) -> tuple[bytes, str, int]:
        """Wait for what `start` gave. GitError if that takes too long: then it has been ended."""
        try:
            out, err = process.communicate(stdin, timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            end(process)
            raise GitError(
                f"git {verb} did not end within {self.timeout_s:.0f} s in {_shown(self.folder)}",
                "Look whether `git status` works there.",
            ) from None
        except BaseException:
            end(process)
            raise
        return out or b"", err.decode("utf-8", "replace").strip(), process.returncode

    def refusal(self, what: str, said: str, status: int | None = None) -> GitError:
        """Make the error for what git `said`; `what` happened."""
        shown = _shown(self.folder).rstrip("/")
        if "dubious ownership" in said:
            return GitError(
                f"git does not trust {shown}: it belongs to another user",
                f"If you trust it: git config --global --add safe.directory '{shown}'",
                status=status,
                said=said,
            )
        lines = said.splitlines()
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        reason = (fatal or lines or [f"exit code {status}"])[0]
        remedy = "Look whether `git status` works there."
        return GitError(f"{what} in {shown}: {reason}", remedy, status=status, said=said)

    def _environ(self) -> dict[str, str]:
        # GIT_DIR, GIT_INDEX_FILE and so on are set inside hooks and would point at another repository.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        places = {
            "GIT_OBJECT_DIRECTORY": self.store,
            "GIT_DIR": self.git_dir,
            "GIT_WORK_TREE": self.work_tree,
            "GIT_INDEX_FILE": self.index,
        }
        environ |= _ALWAYS | dict(self.environ)
        environ |= {name: _absolute(path) for name, path in places.items() if path is not None}
        if self.alternates:
            environ["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(_as_alternate(path) for path in self.alternates)
        return environ


def end(process: subprocess.Popen[bytes]) -> None:
    """End git and what it has started: a filter that goes on would keep our end of its pipe open."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def quoted(path: str | bytes) -> bytes:
    """Write a path so that git reads it back from a line, whatever it holds."""
    raw = os.fsencode(path)
    return b'"' + b"".join(_QUOTED.get(byte, bytes((byte,))) for byte in raw) + b'"'


_QUOTED = {ord('"'): b'\\"', ord("\\"): b"\\\\", **{byte: b"\\%03o" % byte for byte in (*range(32), 127)}}


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - git runs in another folder; links stay


def _as_alternate(path: Path) -> str:
    text = _absolute(path)
    return os.fsdecode(quoted(text)) if ":" in text or text.startswith('"') else text


def _verb(words: Sequence[str | bytes]) -> str:
    return os.fsdecode(words[0])


def _shown(path: str | bytes | Path) -> str:
    return os.fsdecode(path).encode("utf-8", "replace").decode()


def records(out: bytes) -> list[bytes]:
    """Split what git writes with -z."""
    return out.split(b"\0")[:-1]


def joined(names: Iterable[bytes]) -> bytes:
    """Write names for a git that reads them with -z."""
    return b"".join(name + b"\0" for name in names)
