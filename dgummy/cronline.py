"""A job as cron gets it: one line, in which everything stands that happens. Pure.

Other lines of a crontab are left alone, byte for byte: no library reads or writes them. `python-crontab` writes our own
line and reads it back; of a whole table it would change blanks, the order of variables, and lines that it takes for
mistakes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from dgummy.errors import UsageError
from dgummy.schedule import is_same, parse

MAX_COMMAND_BYTES = 998
"""Debian's cron cuts off what is longer, without a word."""
EXEC = "cron.exec"
"""The command of ours that a job's line calls."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_MARK = re.compile(rb"#\s*dgummy:(" + _NAME.encode() + rb")\s*$")
_BLANK_HASH = re.compile(r"(\s)#")


@dataclass(frozen=True, slots=True)
class CronJob:
    """What runs, when and how. `fields`: cron's five. `env` holds what its environment has beside what cron gives.

    `words` are the command line of ours, from the task's name on; `program` is ours, `log` what it writes to.
    """

    name: str
    fields: str
    folder: str
    env: tuple[tuple[str, str], ...]
    program: str
    lock: str
    log: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A job as it was found: in line `number` of a crontab, or in a timer (None).

    `fields` is as it was written there, `command` what a shell gets; both are "" where cron could not read the line.
    One that is commented out is not `enabled`.
    """

    name: str
    fields: str
    command: str
    enabled: bool = True
    number: int | None = None

    @property
    def is_timer(self) -> bool:
        """Whether it is systemd that runs it."""
        return self.number is None


def command(job: CronJob, *more: str) -> str:
    """What a shell is to run; `more` are flags of `cron.exec`."""
    env = [f"{name}={_quoted(value)}" for name, value in job.env]
    call = [job.program, EXEC, job.name, "--lock", job.lock, "--log", job.log, *more, "--", *job.words]
    return " ".join(["cd", _quoted(job.folder), "&&", *env, *map(_quoted, call)])


def line(job: CronJob) -> bytes:
    """The line of a crontab. UsageError for what cron would not take as it is meant."""
    from crontab import CronItem

    text = command(job)
    size = len(_bytes(text))
    if size > MAX_COMMAND_BYTES:
        what = f"the line would hold {size} bytes, and cron takes {MAX_COMMAND_BYTES} of a line: the rest would be lost"
        remedy = "shorten PATH (PATH=… inv cron.add …), put the command into a script, or let systemd run it: --timer"
        raise UsageError(what, remedy)
    item = CronItem(text)
    try:
        item.setall(job.fields)
    except (ValueError, KeyError) as error:
        what = f"the schedule {job.fields} cannot be written: {error}"
        raise UsageError(what, "keep to numbers within their field's range: '*/15 2 * * *'") from error
    when = item.slices.clean_render()
    if not is_same(parse(when), job.fields):
        raise UsageError(f"the schedule {job.fields} cannot be written safely", "write `*` where any day is meant")
    return _bytes(f"{when}{item.render().removeprefix(item.slices.render())} # dgummy:{job.name}\n")


def entries(table: bytes) -> list[Entry]:
    """Our jobs in a crontab, in their order."""
    return [_entry(name, text, number) for number, text in enumerate(table.splitlines()) if (name := mark(text))]


def with_line(table: bytes, new: bytes) -> bytes:
    """A crontab with one line more, at its end."""
    return table + (b"\n" if table and not table.endswith(b"\n") else b"") + new


def without(table: bytes, name: str) -> bytes:
    """A crontab without the lines of a job."""
    return b"".join(text for text in table.splitlines(keepends=True) if mark(text) != name)


def mark(text: bytes) -> str:
    """The name of the job that a line is of, "" for a line that is not ours."""
    found = _MARK.search(text)
    return found[1].decode() if found and EXEC.encode() in text else ""


def parts(text: str) -> CronJob | None:
    """Read what `command` wrote. None where somebody has changed it to what we do not know."""
    try:
        words = shlex.split(text)
        at = words.index(EXEC)
        name, flags, rest = words[at + 1], words[at + 2 : words.index("--", at)], words[words.index("--", at) + 1 :]
        given = dict(zip(flags[::2], flags[1::2], strict=True))
        start = words.index("&&") + 1
        env = tuple((word.partition("=")[0], word.partition("=")[2]) for word in words[start : at - 1])
        job = CronJob(name, "", words[1], env, words[at - 1], given["--lock"], given["--log"], tuple(rest))
    except (ValueError, IndexError, KeyError):
        return None
    return job if re.fullmatch(_NAME, job.lock) and job.log.startswith("/") else None


def own(words: Sequence[str]) -> Sequence[str]:
    """Those of them that are for us: what follows `--` is the command's."""
    return words[: words.index("--")] if "--" in words else words


def check_words(words: Sequence[str]) -> None:
    """UsageError for words that cannot be in a crontab, or should not."""
    for word in words:
        if any(char in word for char in "\n\r\0"):
            what = "a command of several lines cannot be in a crontab"
            raise UsageError(what, "put it into a script of the project, and run that")
    ours = own(words)
    for word, following in zip(ours, [*ours[1:], ""], strict=True):
        if word == "--env" or word.startswith("--env="):
            name = (word.partition("=")[2] or following).partition("=")[0]
            what = f"--env {name}: its value would have to stand in the crontab, where others may read it"
            remedy = "put it into a file that is sent (sync_extra: [.env]), and let the command read that"
            raise UsageError(what, remedy)
    if "--detach" in ours:
        raise UsageError("--detach leaves a run to itself, and then nothing keeps two from overlapping", "leave it out")


def _entry(name: str, text: bytes, number: int) -> Entry:
    from crontab import CronTab

    found = list(CronTab(tab=text.decode("utf-8", "surrogateescape").strip()))
    if not found:
        return Entry(name, "", "", enabled=False, number=number)
    (item,) = found
    when = "@reboot" if str(item.slices.special) == "@reboot" else item.slices.clean_render()
    return Entry(name, when, item.command or "", enabled=item.is_enabled(), number=number)


def _quoted(word: str) -> str:
    """A word for a shell. A blank and # never stand together: python-crontab would take a comment to begin there."""
    quoted = shlex.quote(word)
    return _BLANK_HASH.sub(r"""\1'"#"'""", quoted)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
