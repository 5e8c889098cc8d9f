"""What several tasks have in common: the app with its screen, and what becomes of flags and words."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from invoke.context import Context

from dgummy import units
from dgummy.boundary import words_around_dashes
from dgummy.errors import DgummyError, UsageError

if TYPE_CHECKING:
    from dgummy.app import App
    from dgummy.chooser import Wish
    from dgummy.intake import RunOptions
    from dgummy.ledger_rows import RunRow
    from dgummy.model import Failure
    from dgummy.render.console import Console
    from dgummy.tails import Tails
    from dgummy.tasks._flags import ChoiceFlags, HostFlags, UnattendedFlags, WorkFlags
    from dgummy.unattended import Alarm


class ClosableListener(Protocol):
    """A listener that leaves the terminal as it was when it is closed."""

    def __call__(self, event: Any) -> None:
        """Listen."""

    def close(self) -> None:
        """Show nothing more."""


class Session:
    """The app, the console and what was heard, for the time of one task."""

    def __init__(self, app: App, console: Console, tails: Tails, alarm: Alarm) -> None:
        self.app = app
        self.console = console
        self.tails = tails
        self._alarm = alarm
        self.code = 0

    def ended(self, code: int) -> int:
        """The exit code of a command that would end with this one: not 0 if its deadline passed."""
        from dgummy.errors import ExitCode

        self.code = ExitCode.TIMED_OUT if self._alarm.passed and not code else code
        return self.code


@contextmanager
def session(
    c: Context,
    flags: dict[str, Any] | None = None,
    *,
    json: bool = False,
    screen: Callable[[Console], ClosableListener] | None = None,
    work: UnattendedFlags | None = None,
    tails: Tails | None = None,
) -> Iterator[Session]:
    """Open an app whose events go to the screen: the usual one, or what `screen` makes; with `json` to `tails` too.

    `work`: the flags of a command that does work, which nobody may be watching.
    """
    from dgummy import unattended
    from dgummy.app import App
    from dgummy.render.console import Console
    from dgummy.render.listeners import Screen
    from dgummy.tails import Tails

    console = Console()
    shown, tails = screen(console) if screen else Screen(console, json=json), tails or Tails()

    def listen(event: Any) -> None:
        shown(event)
        if json:
            tails(event)

    def last_words(text: str) -> None:
        shown.close()
        console.note(text)

    with ExitStack() as stack:
        limit_s = duration_s(work.deadline, "--deadline", "2h") if work else None
        alarm = stack.enter_context(unattended.deadline(limit_s))
        app = stack.enter_context(App(c.config, flags, console=console, listener=listen))
        stack.callback(shown.close)
        if work is not None:
            unattended.hear_the_end(last_words)
            _prepare(app, console, work, alarm, stack)
        now = Session(app, console, tails, alarm)
        yield now
    _raise_what_listeners_raised(now)


def _raise_what_listeners_raised(now: Session) -> None:
    for error in now.app.bus.errors[:1]:
        if not (now.code and isinstance(error, DgummyError)):
            raise error
        now.console.note(f"✗ {error.message}", "error")  # what was asked for failed as well, and has its own code


def _prepare(app: App, console: Console, work: UnattendedFlags, alarm: Alarm, stack: ExitStack) -> None:
    """Be quiet if nobody watches, and hold the lock, before anything is begun."""
    from dgummy import locks
    from dgummy.app import utc_now
    from dgummy.render.holding import HOLDING

    if work.lock and getattr(work, "detach", False):
        what = "--lock is held by this command, and with --detach the run goes on after it"
        raise UsageError(what, "leave out one of the two; in cron there is no need for --detach")
    if not work.verbose and console.nobody_watches:
        HOLDING.begin(console.write_line)
    settings = app.settings
    if settings.notices == "always":
        HOLDING.end(well=False)
    alarm.grace_s = settings.timeouts.kill_s + settings.timeouts.script_s
    if work.lock:
        command = locks.shown_command(["dgummy", *sys.argv[1:]])
        stack.enter_context(locks.held(app.state_dir / "locks", work.lock, command, utc_now()))
        if work.begins:
            refuse_beside(app, work.lock, app.state_dir / "cron")


def refuse_beside(app: App, lock: str, jobs: Path, job: str = "") -> None:
    """TryAgainError if something may be at work still that an earlier holder of the lock left. `jobs`: their records.

    Without the ledger a run goes on, and so does a job.
    """
    from dgummy import leftbehind
    from dgummy.ledger import LedgerError

    with suppress(LedgerError):
        leftbehind.refuse(app.cluster.history, lock, jobs, job)


def wish(
    host: Sequence[str] = (),
    group: str | None = None,
    exclude: Sequence[str] = (),
    type: str | None = None,  # noqa: A002 - named as the flag
    require: Sequence[str] = (),
    text: str = "",
) -> Wish:
    """Flags as a wish."""
    from dgummy.chooser import Wish

    for flag, names in (("--host", host), ("--exclude", exclude)):
        if not all(name.strip() for name in names):
            raise UsageError(f"{flag}: the name is empty", f"name a host, or leave {flag} out")
    return Wish(
        hosts=tuple(host),
        group=group or None,
        exclude=tuple(exclude),
        task_type=type or None,
        text=text,
        requires=tuple(require),
    )


def command_text(given: str | bool | None) -> str:
    """The command: one string as it is, or the words after `--`, each quoted as it needs.

    One word with blanks in it (`-- "make test"`) is a string that stands after `--`.
    """
    text = given if isinstance(given, str) else ""  # Invoke makes True of a bare --cmd
    words = words_around_dashes()[1]
    if text and words:
        raise UsageError("there is a command both before and after --", "give it once")
    is_string = len(words) == 1 and " " in words[0].strip()
    return text or (words[0] if is_string else shlex.join(words))


def plain_text(given: str | bool | None) -> str:
    """A text that no shell reads: one string, or the words after `--` with blanks between."""
    text = given if isinstance(given, str) else ""
    words = words_around_dashes()[1]
    if text and words:
        raise UsageError("there is a text both before and after --", "give it once")
    return text or " ".join(words)


def duration_s(text: str | None, flag: str = "--timeout", example: str = "20m") -> float | None:
    """A `--timeout` (or another flag) in seconds."""
    if not text:
        return None
    try:
        seconds = units.parse_duration_s(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}", f"for example {flag} {example}") from error
    if seconds <= 0:
        raise UsageError(f"{flag} {text}: no time at all", f"for example {flag} {example}")
    return seconds


def run_options(now: Session, flags: WorkFlags, *, colour: bool = False, agent: bool = False) -> RunOptions:
    """Flags as options of a run. `colour`: its output goes to our stdout as it is. `agent`: it is for an agent."""
    from dgummy.intake import RunOptions
    from dgummy.jobrun import JOB

    return RunOptions(
        sync=not flags.no_sync,
        timeout_s=duration_s(flags.timeout),
        env=variables(flags.env, colour=colour and not flags.detach and now.console.out_colour),
        force=flags.force,
        detach=flags.detach,
        collect=_collect(now, flags, agent=agent),
        fetch=tuple(flags.fetch),
        collect_first=flags.collect_first,
        isolate=flags.isolate,
        job=os.environ.get(JOB, ""),
        locks=locks_held(flags),
    )


def locks_held(flags: UnattendedFlags) -> tuple[str, ...]:
    """The locks that a command holds: the job's that it is of, and its own."""
    from dgummy.jobrun import LOCK

    return tuple(dict.fromkeys(name for name in (os.environ.get(LOCK), flags.lock) if name))


def _collect(now: Session, flags: WorkFlags, *, agent: bool) -> bool | None:
    """Whether work is to come home at the end of each run, None for what the settings say.

    Asked before it begins: at the end nobody may be there, and the host waits.
    """
    if flags.collect and flags.no_collect:
        raise UsageError("--collect and --no-collect at once", "give one of them")
    if (flags.collect or flags.fetch) and flags.no_sync:
        name = "--collect" if flags.collect else "--fetch"
        raise UsageError(f"{name} and --no-sync: without a sync nobody knows what a run changed", "give one of them")
    if flags.collect or flags.no_collect:
        return flags.collect
    if agent and now.app.settings.collect.when == "ask" and now.console.interactive and not (flags.dry or flags.detach):
        return now.console.agrees("Bring home what it changes, as a branch, once it is done?")
    return None


def host_wish(flags: HostFlags) -> Wish:
    """Flags as a wish for hosts, whatever is to be done there."""
    return wish(flags.host, flags.group, flags.exclude)


def work_wish(flags: ChoiceFlags, text: str) -> Wish:
    """Flags as a wish for some work."""
    return wish(flags.host, flags.group, flags.exclude, flags.type, flags.require, text)


def variables(given: Sequence[str], *, colour: bool) -> dict[str, str]:
    """`--env NAME[=VALUE]`, and what tells programs that a terminal is at the end of the pipe."""
    found: dict[str, str] = {}
    if colour:
        found = {
            "TERM": os.environ.get("TERM") or "xterm-256color",
            "FORCE_COLOR": "1",
            "CLICOLOR_FORCE": "1",
            "PY_COLORS": "1",
            "CARGO_TERM_COLOR": "always",
        }
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            if name not in os.environ:
                raise UsageError(f"--env {name}: it has no value here", f"write --env {name}=VALUE, or export it first")
            value = os.environ[name]
        found[name] = value
    return found


def only(rows: Sequence[RunRow], what: str) -> RunRow:
    """The one run that a command is about. UsageError if several, or none, are meant."""
    if len(rows) != 1:
        raise UsageError(f"inv {what} is about one run, and {len(rows)} are meant", "name one of them: inv runs")
    return rows[0]


def say_who_was_silent(console: Console, silent: Mapping[str, Failure]) -> int:
    """Say which hosts did not answer; the exit code for that."""
    from dgummy.errors import ExitCode
    from dgummy.render import history as screen

    for line in screen.silent(silent):
        console.note(line, "error" if line.startswith("✗") else "")
    return ExitCode.SOME_FAILED if silent else 0
