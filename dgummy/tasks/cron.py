"""`inv cron.*`: work that begins by itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke.context import Context

from dgummy.boundary import parsed, words_around_dashes
from dgummy.errors import DgummyError, UsageError
from dgummy.tasks._flags import all_words, command_with, flag, words
from dgummy.tasks._jobs import (
    about_results,
    jobs_of,
    local_now,
    new_job,
    newest,
    program,
    rehearse,
    say_added,
    try_out,
    warnings,
)
from dgummy.tasks._jobs import written as written_down
from dgummy.tasks._shared import duration_s, refuse_beside, session, wish
from dgummy.units import format_count

if TYPE_CHECKING:
    from dgummy.jobcheck import Trial

_EXAMPLE = "for example: inv cron.add nightly '0 2 * * *' -- run 'make test'"
_NOT_FOR_CRON = ("cron", "lab", "demo")


@dataclass
class AddFlags:
    """What `inv cron.add` takes."""

    job: list[str] = all_words(
        "a name for it, then when: cron's five fields in quotes, or @daily; the command after --"
    )
    deadline: str | None = flag("end all of it after so long: 90, 20m, 2h")
    lock: str | None = flag("the lock that it holds, so that two never overlap (default: its own name)")
    timer: bool = flag("let systemd run it (a user timer) instead of cron", default=False)
    replace: bool = flag("in place of the job that has this name", default=False)
    force: bool = flag("write it although it could not run as things are now", default=False)
    dry: bool = flag("try it and show what would be written, and write nothing", default=False)
    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(AddFlags)
def add(c: Context, flags: AddFlags) -> int:
    """Have a command of ours run by cron, after it was tried as cron would run it.

    Example: inv cron.add nightly '0 2 * * *' -- run 'make test'
    """
    from dgummy import cronline, locks, schedule
    from dgummy.cronline import Entry
    from dgummy.render import cron as screen
    from dgummy.render import documents

    given, command = _given(flags.job)
    name = locks.check_name(given[0], "the job's name")
    try:
        fields = schedule.parse(given[1])
    except ValueError as error:
        raise UsageError(f"the schedule {given[1][:80]!r}: {error}", _EXAMPLE) from error
    lock = locks.check_name(flags.lock) if flags.lock else name
    command, task, asked = _checked(command, lock, flags.deadline)
    with session(c, json=flags.json) as now:
        jobs = jobs_of(now.app)
        store = jobs.check_new(name, timer=flags.timer, replace=flags.replace)
        job, notes = new_job(now.app, name, fields, lock, command)
        text = written_down(job, timer=flags.timer)
        tried = try_out(now, jobs, job, notes, force=flags.force)
        if not flags.dry:
            jobs.add(job, store, replace=flags.replace)
        if not any(word.startswith("--deadline") for word in cronline.own(job.words)):
            notes.append("it has no --deadline: should it ever hang, those after it end with 75 until it is ended")
        collects = now.app.settings.collect.when == "auto"
        notes += [*about_results(task, asked, collects_tasks=collects), *warnings(store.name)]
        next_at = schedule.next_after(fields, local_now())
        if flags.json:
            entry = Entry(name, fields, cronline.command(job), number=None if flags.timer else 0)
            document = screen.added(entry, job, next_at, tried, notes, dry=flags.dry)
            now.console.result(documents.dump(document))
        else:
            now.console.result(text)
        say_added(now, job, next_at, notes, dry=flags.dry)
    return 0


@dataclass
class ListFlags:
    """What `inv cron.list` takes."""

    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(ListFlags, name="list")
def list_jobs(c: Context, flags: ListFlags) -> int:
    """List the jobs that cron and systemd run for us: when next, and how it went last.

    Example: inv cron.list
    """
    from dgummy.render import cron as screen
    from dgummy.render import documents

    with session(c, json=flags.json) as now:
        jobs = jobs_of(now.app)
        found = jobs.listed(newest, local_now())
        now.console.result(documents.dump(screen.document(found)) if flags.json else screen.table(found))
        for line in screen.problems(found):
            now.console.note(line, "error")
        unread = jobs.unread()
        if unread is not None and not found:  # else timers are what is used here
            now.console.note(f"{unread.message}: {unread.remedy}", "warning")
        if any(not one.entry.is_timer for one in found):
            for text in warnings("cron"):
                now.console.note(text, "warning")
    return 0


@dataclass
class RemoveFlags:
    """What `inv cron.remove` takes."""

    name: str | None = words("the job's name")
    json: bool = flag("print one JSON document on stdout", default=False)


@command_with(RemoveFlags)
def remove(c: Context, flags: RemoveFlags) -> int:
    """Take a job away from cron, or from systemd. What it logged stays.

    Example: inv cron.remove nightly
    """
    from dgummy import cronline
    from dgummy.render import cron as screen
    from dgummy.render import documents

    name = _name(flags.name, "remove")
    with session(c, json=flags.json) as now:
        gone = jobs_of(now.app).remove(name)
        job = cronline.parts(gone.command)
        if flags.json:
            now.console.result(documents.dump(screen.removed(gone, job)))
        log = f"; its log stays: {job.log}" if job is not None else ""
        now.console.note(f"✓ {name} is removed ({gone.fields}){log}", "good")
    return 0


@dataclass
class RunFlags:
    """What `inv cron.run` takes."""

    name: str | None = words("the job's name")


@command_with(RunFlags)
def run(c: Context, flags: RunFlags) -> int:
    """Run a job now, exactly as cron would, and show what it logs.

    Example: inv cron.run nightly
    """
    name = _name(flags.name, "run")
    with session(c) as now:
        jobs = jobs_of(now.app)
        return jobs.run(jobs.find(name), lambda data: now.console.write("out", data))


@dataclass
class ExecFlags:
    """What `inv cron.exec` takes."""

    name: str | None = words("the job's name; the command after --")
    lock: str | None = flag("the lock that it holds")
    log: str | None = flag("the file that all it says goes to")
    check: bool = flag("only see whether it could run now", default=False)
    json: bool = flag("print one JSON document on stdout (with --check)", default=False)


@command_with(ExecFlags, name="exec")
def exec_job(c: Context, flags: ExecFlags) -> int:
    """What cron calls: run a command as a job, one at a time, with a log. inv cron.add writes the line for it.

    Example: inv cron.exec nightly --lock nightly --log /home/ana/nightly.log -- run 'make test'
    """
    from dgummy import jobrun, locks, unattended
    from dgummy.app import utc_now
    from dgummy.jobrecord import JobFiles
    from dgummy.render.console import Console

    name = locks.check_name(_name(flags.name, "exec"), "the job's name")
    command = words_around_dashes()[1]
    if not command:
        raise UsageError("there is no command", "write it after --, as inv cron.add does: -- run 'make test'")
    if not flags.log or not Path(flags.log).is_absolute():
        raise UsageError("--log: name a file, from / on", "let inv cron.add write the line")
    if flags.check:
        return _check(c, command, json=flags.json)
    log = Path(flags.log)
    job = jobrun.JobRun(name, JobFiles(log), command, now=utc_now)
    unattended.hear_the_end(Console().note, job.told_to_end)
    try:
        parsed(command)
        with session(c) as now:
            lock_folder = now.app.state_dir / "locks"
        ours = program()
    except DgummyError as error:
        job.not_run(error)
        raise
    lock = flags.lock or name
    code, why = job.run(ours, lock_folder, lock, lambda: _refuse_beside(c, lock, log.parent, name))
    if code:
        for text in jobrun.summary(name, code, why, log):
            Console().note(text)
    return code


def _refuse_beside(c: Context, lock: str, jobs: Path, name: str) -> None:
    with session(c) as now:
        refuse_beside(now.app, lock, jobs, name)


# -- what they have in common ----------------------------------------------------------------------------------------


def _given(job: list[str]) -> tuple[list[str], list[str]]:
    """The name and the schedule, and the command after `--`."""
    command = words_around_dashes()[1]
    before = job[: len(job) - len(command)] if command else job
    if len(before) != 2:
        what = f"cron.add takes a name and a schedule, not {format_count(len(before), 'word')}"
        raise UsageError(what, f"put the schedule in quotes; {_EXAMPLE}")
    if not command:
        raise UsageError("there is no command", _EXAMPLE)
    return before, command


def _name(given: str | None, what: str) -> str:
    if not given or not isinstance(given, str):
        raise UsageError("there is no job's name", f"for example inv cron.{what} nightly; inv cron.list names them")
    return given


def _checked(command: list[str], lock: str, deadline: str | None) -> tuple[list[str], str, dict[str, Any]]:
    """The command's words, with its deadline among them, and what they ask for. UsageError for what cannot be a job."""
    from dgummy import cronline

    cronline.check_words(command)
    task, given, own = *parsed(command), cronline.own(command)
    if task.partition(".")[0] in _NOT_FOR_CRON:
        raise UsageError(f"{task} is nothing for cron", _EXAMPLE)
    if task in ("run", "task") and not (given.get("cmd") or given.get("text") or len(command) > len(own) + 1):
        raise UsageError(f"there is nothing for {task} to do", _EXAMPLE)
    if given.get("lock") == lock:
        raise UsageError(f"the job holds the lock {lock} already", "leave out --lock, the one after --")
    for name, example in (("deadline", "2h"), ("timeout", "20m")):
        duration_s(given.get(name), f"--{name}", example)
    if deadline is None:
        return command, task, given
    duration_s(deadline, "--deadline", "2h")
    if "deadline" not in given:
        raise UsageError(f"{task} takes no deadline", "leave out --deadline")
    if given["deadline"]:
        raise UsageError("there are two deadlines", "give one")
    return [command[0], f"--deadline={deadline}", *command[1:]], task, given


# -- what cron.exec --check does ---------------------------------------------------------------------------------------


def _check(c: Context, command: list[str], *, json: bool) -> int:
    """Whether the command could run now, from here: its settings, its folder, its hosts."""
    from dgummy import jobcheck
    from dgummy.render import documents

    task, given = parsed(command)
    with session(c, {"backend": given.get("backend")}, json=json) as now:
        has_agent = bool(os.environ.get("SSH_AUTH_SOCK"))
        statuses = jobcheck.check(now.app.cluster, _trial(task, given), has_agent=has_agent)
        rehearse(command, task, given)
        hosts = [
            {"host": one.host, "ok": one.online, "reason": str(one.failure) if one.failure is not None else None}
            for one in statuses
        ]
        document = {"hosts": hosts, "keys": now.app.key_files(one.host for one in statuses)}
        now.console.result(documents.dump(document))
    return 0


def _trial(task: str, given: dict[str, Any]) -> Trial:
    from dgummy.jobcheck import Trial

    sync = task == "sync" or ("no_sync" in given and not given["no_sync"])
    asked = wish(given.get("host") or (), given.get("group"), given.get("exclude") or (), given.get("type"))
    return Trial(asked, sync, bool(given.get("force")))
