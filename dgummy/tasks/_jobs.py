"""What the tasks about jobs have in common: how a job is made, tried and told of."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy.errors import ConfigError, DgummyError, ExitCode, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from dgummy.app import App
    from dgummy.cronline import CronJob
    from dgummy.ledger_rows import RunRow
    from dgummy.scheduling import Jobs
    from dgummy.tasks._shared import Session


def newest(state_dir: Path, name: str) -> RunRow | None:
    """The newest run of a job, by the ledger of the state folder that it uses."""
    from dgummy.ledger import Ledger, LedgerError

    path = state_dir / "runs.db"
    with suppress(LedgerError, ConfigError):
        if path.exists():
            with Ledger.open(path) as ledger:
                return next(iter(ledger.runs(limit=1, job=name)), None)
    return None


def jobs_of(app: App) -> Jobs:
    """The jobs of this user."""
    from dgummy.app import utc_now
    from dgummy.scheduling import Jobs, Place

    return Jobs(Place(os.environ, app.home, app.state_dir, utc_now))


def new_job(app: App, name: str, fields: str, lock: str, command: list[str]) -> tuple[CronJob, list[str]]:
    """The job, and what is to be said of it."""
    import stat

    from dgummy import cronenv, layers
    from dgummy.app import current_folder
    from dgummy.cronline import CronJob
    from dgummy.scheduling import account

    def is_socket(path: str) -> bool:
        try:
            return stat.S_ISSOCK(Path(path).stat().st_mode)
        except OSError:
            return False

    environ = dict(os.environ)
    named = environ.get(layers.CONFIG_VARIABLE)
    if named:
        environ[layers.CONFIG_VARIABLE] = str(layers.expand_path(named, app.home).absolute())
    agent, about = cronenv.stable_agent(environ, is_socket)
    env = cronenv.carried(environ, str(app.home), account().pw_dir, is_dir=os.path.isdir, agent=agent)
    log = str(app.state_dir / "cron" / f"{name}.log")
    folder = str(current_folder())
    for text in (folder, log):
        if any(char in text for char in "\n\r"):
            raise UsageError("the folder's name holds a line break, which no crontab can", "rename it")
    return CronJob(name, fields, folder, env, program(), lock, log, tuple(command)), [about]


def program() -> str:
    """The program `dgummy` of this installation."""
    import shutil

    beside = Path(sys.executable).parent / "dgummy"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("dgummy")
    if found is None:
        raise ConfigError("the program dgummy is not found", "install it anew: pip install distributed-gummy")
    return str(Path(found).absolute())


def rehearse(command: Sequence[str], task: str, given: Mapping[str, Any]) -> None:
    """DgummyError if a command that can be tried with --dry refuses what it is asked, whatever hosts say at the moment.

    What it would send is of no interest here, and takes its time.
    """
    import json
    import subprocess

    if "dry" not in given or task == "sync":
        return
    words = [program(), command[0], "--dry", "--json", *command[1:]]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode in (ExitCode.USAGE, ExitCode.CONFIG):
        with suppress(ValueError, KeyError, TypeError):
            error = json.loads(done.stdout)["error"]
            raise DgummyError(str(error["message"]), str(error["remedy"] or ""), code=ExitCode(done.returncode))


def try_out(now: Session, jobs: Jobs, job: CronJob, notes: list[str], *, force: bool) -> dict[str, Any] | None:
    """Try it as cron would, and add to the notes what there is to say. DgummyError if it could not run."""
    try:
        told = jobs.test(job)
    except DgummyError as error:
        if not force:
            raise
        notes.append(f"written all the same: {error.message}")
        return None
    if not dict(job.env).get("SSH_AUTH_SOCK") and told.get("hosts"):
        keys = ", ".join(told.get("keys") or ()) or "none without a passphrase was found"
        notes[0] += f"; keys used: {keys}"
    notes += [f"{host['host']} does not answer now: {host['reason']}" for host in told["hosts"] if not host["ok"]]
    return told


def about_results(task: str, given: Mapping[str, Any], *, collects_tasks: bool) -> list[str]:
    """What becomes of what a job changes, where that stays on its host and would be in the way of the next."""
    is_agent = task == "task" or bool(given.get("task")) or not given.get("command", True)
    cared_for = any(given.get(name) for name in ("collect", "no_collect", "collect_first", "isolate"))
    if given.get("no_sync", True) or cared_for or (is_agent and collects_tasks):
        return []
    return [
        "what it changes of the files that are sent stays on its host, and keeps the next run out there (75) until "
        "inv collect: --collect brings it home each time, --no-sync or --isolate spares the project's folder"
    ]


def written(job: CronJob, *, timer: bool) -> str:
    """What is written down of a job, for people."""
    from dgummy import cronline, schedule

    if not timer:
        return cronline.line(job).decode("utf-8", "replace").rstrip("\n")
    return "\n".join([*(f"OnCalendar={text}" for text in schedule.calendar(job.fields)), cronline.command(job)])


def warnings(kind: str) -> list[str]:
    """What keeps jobs from running on this machine, as far as it can be seen."""
    from dgummy import cronstore

    if kind == "cron" and cronstore.daemon_runs() is False:
        return ["no cron daemon seems to be at work here: start it (sudo service cron start), or use --timer"]
    if kind == "timer":
        from dgummy.scheduling import account

        if cronstore.lingers(account().pw_name) is False:
            return ["systemd runs it only while you are logged in: loginctl enable-linger makes it run at any time"]
    return []


def say_added(now: Session, job: CronJob, next_at: datetime | None, notes: list[str], *, dry: bool) -> None:
    """Say that a job is added, when it runs next, and what else is to be known."""
    from dgummy.render.text import one_line

    when = f", next at {next_at.astimezone():%Y-%m-%d %H:%M}" if next_at else ""
    what = "would be added" if dry else "is added"
    now.console.note(f"✓ {job.name} {what}{when}; log: {job.log}", "good")
    for text in notes:
        now.console.note(f"  {one_line(text, 500)}")


def local_now() -> datetime:
    """The time by this machine's own clock: jobs run by it, in summer and in winter, whatever TZ says here."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    try:
        name = str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2]
        return datetime.now(ZoneInfo(name)) if name else datetime.now().astimezone()
    except (ValueError, OSError, KeyError):  # no link, or a zone that is not known here
        return datetime.now().astimezone()
