"""The use cases about jobs: add one, after it was tried as cron would; list them; take one away; run one now."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy import cronline, locks, schedule
from dgummy.cronenv import CRON_ENV
from dgummy.cronline import CronJob, Entry
from dgummy.cronstore import Crontab, Timers, no_cron, stores
from dgummy.errors import ConfigError, DgummyError, ExitCode, NoHostError, RefusedError, TryAgainError, UsageError
from dgummy.jobrecord import FOLDER, JobFiles, LastRun
from dgummy.transport.plaintext import printable
from dgummy.wording import suggestion

if TYPE_CHECKING:
    from dgummy.ledger_rows import RunRow

_MAX_LINE = 4096
_TEST_S = 120.0
_LATE = timedelta(seconds=90)
_POLL_S = 0.1
_PATIENCE_S = 60.0
_MEND_LINE = "mend it (crontab -e), or add the job again (--replace)"


@dataclass(frozen=True, slots=True)
class Listed:
    """A job as it stands. `next_at` and `missed_at` by the local clock; `run` is its newest run in the ledger.

    `holder` is the process that runs it now, `problems` what keeps it from running, a line each.
    """

    entry: Entry
    job: CronJob | None
    next_at: datetime | None
    last: LastRun | None
    run: RunRow | None = None
    holder: locks.Holder | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are: the environment and the home folder of now, the state folder, and the clock."""

    environ: Mapping[str, str]
    home: Path
    state_dir: Path
    now: Callable[[], datetime]

    @property
    def lock_folder(self) -> Path:
        """The folder of locks."""
        return self.state_dir / "locks"

    def files(self, name: str) -> JobFiles:
        """The files of a new job."""
        return JobFiles(self.state_dir / FOLDER / f"{name}.log")


class Jobs:
    """The jobs of this user."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stores = stores(place.environ, place.home)

    # -- adding ------------------------------------------------------------------------------------------------

    def check_new(self, name: str, *, timer: bool, replace: bool) -> Crontab | Timers:
        """Where a new job would be kept. UsageError if its name is taken, NoHostError where there is no cron."""
        store = self._stores[1] if timer else self._stores[0]
        if not store.is_there and not timer:
            raise no_cron()
        if not replace:
            self._check_free(name)
        return store

    def add(self, job: CronJob, store: Crontab | Timers, *, replace: bool) -> None:
        """Write a job down, and take away what else was there under its name.

        UsageError if it has the name of one by now (it took a while to try it), and is not to replace that.
        """
        files = JobFiles(Path(job.log))
        _check_writable(files)
        with _alone(self._place.state_dir):
            if not replace:
                self._check_free(job.name)
            store.add(job)
            for other in self._stores:
                if other != store and any(entry.name == job.name for entry in _entries(other)):
                    other.remove(job.name)
            with suppress(OSError):
                files.keep(added_at=self._place.now(), last=None)

    def _check_free(self, name: str) -> None:
        taken = next((entry for entry in self._all() if entry.name == name), None)
        if taken is not None:
            what = f"there is a job {name} already ({taken.fields})"
            raise UsageError(what, f"--replace puts this one in its place; inv cron.remove {name} takes it away")

    def test(self, job: CronJob) -> dict[str, Any]:
        """Run the job's line as cron would, but only to see whether it could: the settings, the project, the hosts.

        Gives back what that told. DgummyError, with what happened there and what to do, if it could not.
        """
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", cronline.command(job, "--check", "--json")],
                env=self.cron_env(),
                cwd=self._place.home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                start_new_session=True,
                timeout=_TEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DgummyError(
                f"tried as cron would run it, it came to no end in {_TEST_S:.0f} s", _UNTESTED, code=ExitCode.TIMED_OUT
            ) from None
        return _heard(done)

    def cron_env(self) -> dict[str, str]:
        """The environment that cron gives."""
        user = account()
        return {**CRON_ENV, "HOME": user.pw_dir, "LOGNAME": user.pw_name, "USER": user.pw_name}

    # -- those that are there ----------------------------------------------------------------------------------

    def find(self, name: str) -> Entry:
        """The job of that name. UsageError if there is none."""
        found = next((entry for entry in self._all() if entry.name == name), None)
        if found is None and (unread := self.unread()) is not None:
            what = f"there is no job {ascii(name)[1:-1]} that can be seen: {unread.message}"
            raise DgummyError(what, unread.remedy, code=unread.code)
        if found is None:
            names = sorted({entry.name for entry in self._all()})
            remedy = suggestion(name, names, noun="jobs are") if names else "add it: inv cron.add"
            raise UsageError(f"there is no job {ascii(name)[1:-1]}", remedy)
        return found

    def remove(self, name: str) -> Entry:
        """Take a job away, wherever it is kept; gives back what it was. Its log stays."""
        found = self.find(name)
        with _alone(self._place.state_dir):
            for store in self._stores:
                if any(entry.name == name for entry in _entries(store)):
                    store.remove(name)
        self._files(found).forget()
        return found

    def unread(self) -> DgummyError | None:
        """Why the jobs that cron has are not known, None if they are."""
        table = self._stores[0]
        try:
            table.entries()
        except (RefusedError, NoHostError) as error:
            return error
        return None

    def listed(self, newest: Callable[[Path, str], RunRow | None], zone_now: datetime) -> list[Listed]:
        """All jobs. `newest` gives the newest run of a job in a state folder's ledger, `zone_now` is the local time."""
        return [self._listed(entry, newest, zone_now) for entry in self._all()]

    def run(self, entry: Entry, show: Callable[[bytes], None]) -> int:
        """Run a job's command now, as cron would; `show` is given what comes to its log. Its exit code.

        UsageError where cron could not read its line.
        """
        if not entry.command:
            raise UsageError(f"{entry.name}: cron cannot read its line, and never runs it", _MEND_LINE)
        files = self._files(entry)
        offset = files.size()
        with subprocess.Popen(
            ["/bin/sh", "-c", entry.command], env=self.cron_env(), cwd=self._place.home, stdin=subprocess.DEVNULL
        ) as process:
            while True:
                try:
                    code = process.poll()
                    told, offset = files.read(offset)
                    while told:
                        show(told)
                        told, offset = files.read(offset)
                    if code is not None:
                        return code if code >= 0 else 128 - code
                    time.sleep(_POLL_S)
                except KeyboardInterrupt:  # noqa: PERF203 - it has heard it too, and ends what runs on its host
                    continue

    def _listed(self, entry: Entry, newest: Callable[[Path, str], RunRow | None], zone_now: datetime) -> Listed:
        job, files = cronline.parts(entry.command), self._files(entry)
        record, place = files.record(), replace(self._place, state_dir=files.state_dir or self._place.state_dir)
        problems = _problems(entry, job)
        try:
            fields = schedule.parse(entry.fields)
        except ValueError as error:
            problems += (f"its schedule {entry.fields!r}: {error}",) if entry.fields else ()
            return Listed(entry, job, None, record.last, problems=problems)
        next_at = schedule.next_after(fields, zone_now) if entry.enabled else None
        due = schedule.last_before(fields, zone_now - _LATE)
        holder = locks.holder(place.lock_folder, job.lock) if job is not None else None
        holder = holder if holder is not None and holder.job == entry.name else None  # else another has the lock
        since = max(
            (moment for moment in (record.added_at, record.last and record.last.started_at) if moment), default=None
        )
        if entry.enabled and due and since and since < due:
            problems += (f"it did not run at {due:%Y-%m-%d %H:%M}, as it should have",)
        last = record.last
        run = newest(place.state_dir, entry.name) if last is not None else None
        if run is not None and last is not None and run.created_at < last.started_at - timedelta(seconds=1):
            run = None  # of an earlier time: the last one came to no run
        return Listed(replace(entry, fields=entry.fields), job, next_at, last, run, holder, problems)

    def _files(self, entry: Entry) -> JobFiles:
        job = cronline.parts(entry.command)
        return JobFiles(Path(job.log)) if job is not None else self._place.files(entry.name)

    def _all(self) -> list[Entry]:
        return [entry for store in self._stores for entry in _entries(store)]


_UNTESTED = "nothing was written (cron.add --force writes it all the same)"


def _check_writable(files: JobFiles) -> None:
    """ConfigError if nothing can be kept of a job."""
    try:
        files.prepare()
        reason = "" if os.access(files.log.parent, os.W_OK | os.X_OK) else "it is not ours to write"
    except OSError as error:
        reason = str(error.strerror)
    if reason:
        what = f"the job's log and record cannot be in {files.log.parent}: {reason}"
        raise ConfigError(what, "make the folder writable, or set state_dir to another one")


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """One change of tables at a time: they are the user's, whatever settings, home or state folder hold at the moment.

    The lock is on the folder that the system has as the user's home, which is nobody's to choose; where that takes
    none, on the state folder, and where that takes none either nobody is kept out.
    """
    with ExitStack() as kept:
        for folder in (Path(account().pw_dir), state_dir):
            with suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                kept.callback(os.close, descriptor)
                _take(descriptor)
                break
        yield


def _take(descriptor: int) -> None:
    """Lock it. OSError where that cannot be done, TryAgainError if another keeps it: whoever may read it can."""
    ends_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends_s:
                what = f"another process is changing your jobs, for more than {_PATIENCE_S:.0f} s by now"
                raise TryAgainError(what, "try again once it is through") from None
        time.sleep(_POLL_S)


def account() -> pwd.struct_passwd:
    """Who we are to cron. ConfigError for a user id that has no name."""
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError:
        what = f"the user id {os.getuid()} has no name on this machine, and cron knows users by their names"
        raise ConfigError(what, "run it as a user that the machine knows (getent passwd)") from None


def _entries(store: Crontab | Timers) -> Sequence[Entry]:
    """What it holds of ours; nothing where there is no cron, or it is not for this user."""
    try:
        return store.entries() if store.is_there or isinstance(store, Timers) else ()
    except RefusedError:
        return ()


def _heard(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """What the trial told. DgummyError if it failed."""
    try:
        told = json.loads(done.stdout)
    except ValueError:
        told = None
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        error = told["error"]
        try:
            code = ExitCode(int(error["exit_code"]))
        except (ValueError, TypeError, KeyError):
            code = ExitCode.BUG
        remedy = printable(str(error.get("remedy") or ""))
        remedy = f"{remedy}{' ' if remedy.endswith(('?', '.')) else '; '}{_UNTESTED}" if remedy else _UNTESTED
        raise DgummyError(f"cron could not run it: {printable(str(error.get('message')))}", remedy, code=code)
    if done.returncode or not isinstance(told, dict):
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        text = printable(said[-1])[:500] if said else f"exit code {done.returncode}"
        raise DgummyError(f"cron could not run it: {text}", _UNTESTED, code=ExitCode.CONFIG)
    return told


def _gone_interpreter(program: str) -> str | None:
    """The interpreter of a script, if that is not there any more: a Python was upgraded, say, below its environment."""
    try:
        with open(program, "rb") as file:
            first, second = file.readline(_MAX_LINE), file.readline(_MAX_LINE)
    except OSError:
        return None
    # Where the path is long or has blanks, installers write `#!/bin/sh`, then `'''exec' PYTHON "$0" "$@"`.
    line = second.removeprefix(b"'''exec'") if second.startswith(b"'''exec'") else first.removeprefix(b"#!")
    try:
        words = shlex.split(line.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    is_script = first.startswith(b"#!") and bool(words)
    return words[0] if is_script and not os.access(words[0], os.X_OK) else None


def _problems(entry: Entry, job: CronJob | None) -> tuple[str, ...]:
    """What keeps a job from running that can be seen from here."""
    if not entry.fields:
        return (f"cron cannot read its line: {_MEND_LINE}",)
    if not entry.enabled:
        how = "its timer is switched off" if entry.is_timer else "its line is commented out"
        return (f"{how}: it does not run",)
    if job is None:
        return ("its line was changed to something that is not known here",)
    told = []
    if not os.access(job.program, os.X_OK):
        told.append(f"the program {job.program} is gone: add the job again (--replace)")
    elif (gone := _gone_interpreter(job.program)) is not None:
        told.append(f"{gone}, which runs {job.program}, is gone: install dgummy anew, then the job (--replace)")
    if not Path(job.folder).is_dir():
        told.append(f"its folder {job.folder} is gone: remove the job, or add it again from where the project is now")
    return tuple(told)
