"""The use cases about jobs: add one, after it was tried as cron would; list them; take one away; run one now."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy import cronline, locks, schedule
from dgummy.cronenv import CRON_ENV
from dgummy.cronline import Entry, Job
from dgummy.cronstore import Crontab, Timers, no_cron, stores
from dgummy.errors import ConfigError, DgummyError, ExitCode, RefusedError, TryAgainError, UsageError
from dgummy.jobrecord import JobFiles, LastRun
from dgummy.textfiles import make_folder
from dgummy.transport.plaintext import one_line
from dgummy.wording import suggestion

if TYPE_CHECKING:
    from dgummy.history import History
    from dgummy.ledger_rows import RunRow

_TEST_S = 120.0
_MAX_LEFT = 20
_LATE = timedelta(seconds=90)
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Listed:
    """A job as it stands. `next_at` and `missed_at` by the local clock; `run` is its newest run in the ledger.

    `holder` is who holds its lock now, `problems` what keeps it from running, a line each.
    """

    entry: Entry
    job: Job | None
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
        return JobFiles(self.state_dir / "cron" / f"{name}.log")


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
        taken = [entry for entry in self._all() if entry.name == name]
        if taken and not replace:
            what = f"there is a job {name} already ({taken[0].fields})"
            raise UsageError(what, f"--replace puts this one in its place; inv cron.remove {name} takes it away")
        return store

    def add(self, job: Job, store: Crontab | Timers) -> None:
        """Write a job down, and take away what else was there under its name."""
        with self._alone():
            store.add(job)
            for other in self._stores:
                if other != store and any(entry.name == job.name for entry in _entries(other)):
                    other.remove(job.name)
        JobFiles(Path(job.log)).keep(added_at=self._place.now(), last=None)

    def test(self, job: Job) -> dict[str, Any]:
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
        if found is None:
            names = sorted({entry.name for entry in self._all()})
            remedy = suggestion(name, names, noun="jobs are") if names else "add it: inv cron.add"
            raise UsageError(f"there is no job {ascii(name)[1:-1]}", remedy)
        return found

    def remove(self, name: str) -> Entry:
        """Take a job away, wherever it is kept; gives back what it was. Its log stays."""
        found = self.find(name)
        with self._alone():
            for store in self._stores:
                if any(entry.name == name for entry in _entries(store)):
                    store.remove(name)
        self._files(found).forget()
        return found

    def refuse_if_alive(self, name: str, files: JobFiles, history: History) -> None:
        """TryAgainError if a run of a job may be at work still that nobody follows any more: its client was killed.

        Runs from before the job was added are of no account.
        """
        from dgummy.history import UNSETTLED

        since = files.record().added_at
        rows = history.access.journal.ledger().runs(states=UNSETTLED, job=name, since=since, limit=_MAX_LEFT)
        for seen in history.refresh(rows, tell=False):
            run_id, host = seen.row.run_id, seen.row.host
            if seen.failure is not None:
                text = f"whether run {run_id} of this job is still at work is not known: {host}: {seen.failure}"
                remedy = f"it is asked again each time; should {host} never come back: inv cron.add {name} … --replace"
                raise TryAgainError(text, remedy)
            if not seen.is_over:
                text = f"run {run_id} of this job is still at work on {host}, and nobody follows it"
                raise TryAgainError(text, f"follow it: inv attach {run_id}; end it: inv cancel {run_id}")

    def listed(self, newest: Callable[[str], RunRow | None], zone_now: datetime) -> list[Listed]:
        """All jobs. `newest` gives the newest run of a job in the ledger, `zone_now` is the local time."""
        return [self._listed(entry, newest, zone_now) for entry in self._all()]

    def run(self, entry: Entry, show: Callable[[bytes], None]) -> int:
        """Run a job's command now, as cron would; `show` is given what comes to its log. Its exit code."""
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

    def _listed(self, entry: Entry, newest: Callable[[str], RunRow | None], zone_now: datetime) -> Listed:
        job, files = cronline.parts(entry.command), self._files(entry)
        record = files.record()
        problems = _problems(entry, job)
        try:
            fields = schedule.parse(entry.fields)
        except ValueError as error:
            problems += (f"its schedule {entry.fields!r}: {error}",)
            return Listed(entry, job, None, record.last, problems=problems)
        next_at = schedule.next_after(fields, zone_now) if entry.enabled else None
        due = schedule.last_before(fields, zone_now - _LATE)
        holder = locks.holder(self._place.lock_folder, job.lock) if job is not None else None
        since = max(
            (moment for moment in (record.added_at, record.last and record.last.started_at) if moment), default=None
        )
        if entry.enabled and due and since and since < due:
            problems += (f"it did not run at {due:%Y-%m-%d %H:%M}, as it should have",)
        last = record.last
        run = newest(entry.name) if last is not None else None
        if run is not None and last is not None and run.created_at < last.started_at - timedelta(seconds=1):
            run = None  # of an earlier time: the last one came to no run
        return Listed(replace(entry, fields=entry.fields), job, next_at, last, run, holder, problems)

    def _files(self, entry: Entry) -> JobFiles:
        job = cronline.parts(entry.command)
        return JobFiles(Path(job.log)) if job is not None else self._place.files(entry.name)

    def _all(self) -> list[Entry]:
        return [entry for store in self._stores for entry in _entries(store)]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One change of tables at a time."""
        folder = self._place.state_dir / "cron"
        make_folder(folder)
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


_UNTESTED = "nothing was written (cron.add --force writes it all the same)"


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
        remedy = one_line(str(error.get("remedy") or ""))
        remedy = f"{remedy}{' ' if remedy.endswith(('?', '.')) else '; '}{_UNTESTED}" if remedy else _UNTESTED
        raise DgummyError(f"cron could not run it: {one_line(str(error.get('message')))}", remedy, code=code)
    if done.returncode or not isinstance(told, dict):
        said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        text = one_line(said[-1])[:500] if said else f"exit code {done.returncode}"
        raise DgummyError(f"cron could not run it: {text}", _UNTESTED, code=ExitCode.CONFIG)
    return told


def _problems(entry: Entry, job: Job | None) -> tuple[str, ...]:
    """What keeps a job from running that can be seen from here."""
    if not entry.enabled:
        how = "its timer is switched off" if entry.is_timer else "its line is commented out"
        return (f"{how}: it does not run",)
    if job is None:
        return ("its line was changed to something that is not known here",)
    told = []
    if not os.access(job.program, os.X_OK):
        told.append(f"the program {job.program} is gone: add the job again (--replace)")
    if not Path(job.folder).is_dir():
        told.append(f"its folder {job.folder} is gone: remove the job, or add it again from where the project is now")
    return tuple(told)
