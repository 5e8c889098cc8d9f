"""Where jobs are kept: the user's crontab, through the program `crontab`, and systemd's units of the user.

Both have the same three methods: `entries`, `add` and `remove`. What a table holds of others is never read, only kept.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dgummy import cronline, timerunits
from dgummy.cronline import CronJob, Entry
from dgummy.errors import DgummyError, ExitCode, NoHostError, RefusedError, TryAgainError
from dgummy.transport.plaintext import printable

_TIMEOUT_S = 30.0
_DAEMONS = {"cron", "crond", "fcron", "dcron"}
_NONE_YET = ("no crontab for", "can't open")
"""What crontab says where there is none yet: Vixie's and its heirs, BusyBox."""


@dataclass(frozen=True, slots=True)
class Crontab:
    """The user's crontab."""

    environ: Mapping[str, str]
    name = "cron"

    @property
    def is_there(self) -> bool:
        """Whether this machine has the program."""
        return shutil.which("crontab", path=self.environ.get("PATH")) is not None

    def entries(self) -> list[Entry]:
        """Our jobs in it."""
        logging.getLogger("crontab").setLevel(logging.CRITICAL)  # what is wrong with a line, we say
        return cronline.entries(self._read())

    def add(self, job: CronJob) -> None:
        """Write a job down, in place of what was there under its name."""
        new = cronline.line(job)
        before = self._read()
        self._replace(before, cronline.with_line(cronline.without(before, job.name), new))

    def remove(self, name: str) -> None:
        """Take the lines of a job away."""
        before = self._read()
        self._replace(before, cronline.without(before, name))

    def _read(self) -> bytes:
        done = self._call("-l")
        if not done.returncode:
            return done.stdout
        said = _said(done)
        if any(text in said for text in _NONE_YET) and "ermission" not in said:
            return b""
        raise _refused(said)

    def _replace(self, before: bytes, after: bytes) -> None:
        if after == before:
            return
        if self._read() != before:
            raise TryAgainError("somebody else has changed the crontab just now", "try again")
        done = self._call("-", given=after) if after else self._call("-r")
        if done.returncode:
            raise _refused(_said(done))
        if self._read() != after:
            what = "the crontab is not what was written: somebody else may have changed it at the same moment"
            raise TryAgainError(what, "look at it: crontab -l")

    def _call(self, word: str, *, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        if not self.is_there:
            raise no_cron()
        environ = {**self.environ, "LC_ALL": "C"}
        try:
            return subprocess.run(
                ["crontab", word], input=given or b"", capture_output=True, env=environ, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DgummyError(f"crontab {word}: {error}", "look at it: crontab -l", code=ExitCode.NO_HOST) from error


@dataclass(frozen=True, slots=True)
class Timers:
    """systemd's units of the user, in `~/.config/systemd/user`."""

    environ: Mapping[str, str]
    folder: Path
    name = "timer"

    @property
    def is_there(self) -> bool:
        """Whether this machine has the program."""
        return shutil.which("systemctl", path=self.environ.get("PATH")) is not None

    def entries(self) -> list[Entry]:
        """Our jobs among them. Whether one is switched on is told by the link that `systemctl enable` makes."""
        found = []
        for path in sorted(self.folder.glob("dgummy-*.timer")):
            switched_on = (self.folder / "timers.target.wants" / path.name).is_symlink()
            with suppress(OSError):
                found.append(timerunits.read_timer(path.read_text("utf-8", "surrogateescape"), enabled=switched_on))
        return [entry for entry in found if entry is not None]

    def add(self, job: CronJob) -> None:
        """Write a job down, in place of what was there under its name, and switch it on."""
        if not self.is_there:
            raise NoHostError("there is no systemd here (no systemctl)", "leave out --timer, and let cron run it")
        command = cronline.command(job)
        service, timer = (self.folder / timerunits.unit_name(job.name, kind) for kind in ("service", "timer"))
        before = {path: path.read_text("utf-8", "surrogateescape") for path in (service, timer) if path.exists()}
        for path, text in before.items():
            if not text.startswith(timerunits.MARK):
                raise RefusedError(f"{path} is there, and not ours", "take another name for the job")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(service, timerunits.service(job.name, command))
            _write(timer, timerunits.timer(job.name, job.fields, command))
            self._systemctl("daemon-reload")
            self._systemctl("enable", "--now", timer.name)
        except (DgummyError, OSError) as error:
            with suppress(OSError):
                self._put_back(job.name, before)
            if isinstance(error, OSError):
                what = f"{self.folder}: {error.strerror}"
                raise DgummyError(what, "make the folder writable", code=ExitCode.CONFIG) from error
            raise

    def remove(self, name: str) -> None:
        """Switch a job off, and take its units away."""
        with suppress(DgummyError):  # the units go in any case, and what is not there runs no more after a reload
            self._systemctl("disable", "--now", timerunits.unit_name(name, "timer"))
        self._take_away(name)

    def _put_back(self, name: str, before: Mapping[Path, str]) -> None:
        """What was there before a job could not be written down."""
        if not before:
            self._take_away(name)
        for path, text in before.items():
            _write(path, text)

    def _take_away(self, name: str) -> None:
        timer = timerunits.unit_name(name, "timer")
        for path in (
            self.folder / "timers.target.wants" / timer,
            self.folder / timer,
            self.folder / timerunits.unit_name(name, "service"),
        ):
            path.unlink(missing_ok=True)
        with suppress(DgummyError):
            self._systemctl("daemon-reload")

    def _systemctl(self, *words: str) -> None:
        command = ["systemctl", "--user", *words]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise NoHostError(f"{' '.join(command)}: {error}", "let cron run it: leave out --timer") from error
        if done.returncode:
            remedy = "systemd must run for you here (systemctl --user status), or let cron run it: leave out --timer"
            raise NoHostError(f"{' '.join(command)}: {_said(done)}", remedy)


def no_cron() -> NoHostError:
    """What to say where there is no cron."""
    return NoHostError(
        "there is no cron here (no crontab program)", "install one (cron, cronie), or use --timer (systemd)"
    )


def daemon_runs() -> bool | None:
    """Whether a cron daemon is at work; None if that cannot be told, or cron is started by others (macOS)."""
    names = set()
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            names.add(path.read_text("utf-8", "replace").strip())
    return bool(names & _DAEMONS) if names else None


def lingers(user: str) -> bool | None:
    """Whether systemd runs a user's timers also while that user is not logged in. None if it does not tell."""
    words = ["loginctl", "show-user", user, "--property=Linger", "--value"]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return {b"yes": True, b"no": False}.get(done.stdout.strip())


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8", "surrogateescape")
    temporary.replace(path)


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    told = (done.stderr or done.stdout).decode("utf-8", "replace")
    return printable(told)[:300] or f"exit code {done.returncode}"


def _refused(said: str) -> DgummyError:
    if "not allowed" in said:
        remedy = "ask whoever runs this machine (/etc/cron.allow, /etc/cron.deny), or let systemd run it: --timer"
        return RefusedError(f"you may not use cron here: {said}", remedy)
    return DgummyError(f"crontab: {said}", "look at it: crontab -l; nothing was changed", code=ExitCode.NO_HOST)


def stores(environ: Mapping[str, str], home: Path) -> Sequence[Crontab | Timers]:
    """Everything that may hold jobs."""
    base = environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if base.startswith("/") else home / ".config"
    return Crontab(environ), Timers(environ, root / "systemd" / "user")
