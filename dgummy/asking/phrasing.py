"""What was read from a sentence, as the words of a command and as a sentence of our own. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dgummy import routing
from dgummy.asking.readings import Intent, Reading
from dgummy.hostset import fold
from dgummy.model import TaskType

MISSING = "TEXT"
"""Stands where a command wants what the sentence did not say."""

_NEEDS_TEXT = (Intent.RUN_BEST, Intent.RUN_HOST, Intent.SYNC_RUN, Intent.FANOUT)
_ONE_RUN = ("logs", "wait", "cancel", "collect", "retry")


def lacks_text(reading: Reading) -> bool:
    """Whether it does not say what is to be done."""
    if reading.intent is Intent.DISTRIBUTE:
        return not reading.texts
    return reading.intent in _NEEDS_TEXT and not reading.text


def with_text(reading: Reading, text: str) -> Reading:
    """The reading with what it did not say."""
    return replace(reading, texts=(text,)) if reading.intent is Intent.DISTRIBUTE else replace(reading, text=text)


def kind_of(reading: Reading, said: str, types: Mapping[str, TaskType]) -> tuple[str, str]:
    """The kind of work that a sentence speaks of where the task itself does not, and by which words it is known."""
    if reading.intent not in (*_NEEDS_TEXT, Intent.WHICH_HOST) or reading.is_command:
        return "", ""
    by_text, why_text = routing.derive(reading.text or "", types)
    if by_text.name != routing.GENERAL:
        return "", why_text
    by_all, why_all = routing.derive(said, types)
    return ("", "") if by_all.name == routing.GENERAL else (by_all.name, why_all)


def local_words(reading: Reading) -> list[str]:
    """The local command, as words, of work that is not for other machines."""
    return ["gummy", "task", reading.text or MISSING]


def words(reading: Reading, kind: str = "") -> list[str]:
    """The command, as the words behind `inv`. `kind` is the kind of work, where the text alone does not tell."""
    places = [
        *_each("--host", reading.hosts),
        *_each("--group", (reading.group,)),
        *_each("--exclude", reading.exclude),
    ]
    typed = [*places, *_each("--type", (kind,))]
    text = reading.text or MISSING
    if reading.intent is Intent.STATUS:
        return [reading.detail, *places]
    if reading.intent is Intent.SPECIALISTS:
        return ["specialists", *places]
    if reading.intent is Intent.RUNS:
        return _about_runs(reading)
    if reading.intent is Intent.SYNC:
        return ["sync", *places]
    if reading.intent is Intent.WHICH_HOST:
        return _with(["pick"], reading.text or "", typed)
    if reading.intent is Intent.DISTRIBUTE:
        return ["distribute", *(reading.texts or (MISSING,)), *places]
    unsynced = ["--no-sync"] if reading.no_sync else []
    if reading.intent is Intent.FANOUT or reading.everywhere or len(reading.hosts) > 1:
        what = ["fanout"] if reading.is_command else ["fanout", "--task", text]
        return _with(what, text if reading.is_command else "", [*places, *unsynced])
    return _with(
        ["run"] if reading.is_command else ["task"], text, [*(places if reading.is_command else typed), *unsynced]
    )


def _with(command: list[str], text: str, flags: list[str]) -> list[str]:
    """A text goes before the flags; behind `--` if it could be taken for one."""
    if text.startswith("-"):
        return [*command, *flags, "--", text]
    return [*command, *([text] if text else []), *flags]


def _about_runs(reading: Reading) -> list[str]:
    hosts = _each("--host", reading.hosts)
    if reading.detail == "retry":
        return ["retry", reading.text or "last"]
    if reading.detail in _ONE_RUN and not reading.hosts:
        return [reading.detail, reading.text or "last"]
    return ["runs", *hosts]


def _each(flag: str, values: Sequence[str | None]) -> list[str]:
    return [word for value in values if value for word in (flag, value)]


def described(reading: Reading) -> str:
    """Say in one line what a sentence was understood to ask for."""
    what = f"an agent's task, {_quoted(reading.text)}" if reading.text else "an agent's task, which it does not name"
    if reading.is_command:
        what = f"the command {_quoted(reading.text)}"
    if reading.intent is Intent.LOCAL:
        return f"{what}, here: that is local work" if reading.text else "local work"
    if reading.intent is Intent.DISTRIBUTE:
        several = ", ".join(_quoted(text) for text in reading.texts) or "several tasks, which it does not name"
        return f"{len(reading.texts) or ''} tasks, each on the host that suits it best: {several}".strip()
    if reading.intent is Intent.WHICH_HOST:
        return f"which host should take {_quoted(reading.text)}" if reading.text else "which host has the most room"
    if reading.intent is Intent.STATUS:
        return f"{'how busy they are' if reading.detail == 'load' else 'who is up'}: {_where(reading, 'all hosts')}"
    if reading.intent is Intent.SPECIALISTS:
        return f"which specialists there are: {_where(reading, 'all hosts')}"
    if reading.intent is Intent.RUNS:
        return _runs_described(reading)
    if reading.intent is Intent.SYNC:
        return f"bring the project to {_where(reading, 'all hosts')}"
    if reading.intent is Intent.SYNC_RUN:
        return f"sync, then {what} on {_where(reading, 'the host with the most room')}"
    everywhere = reading.intent is Intent.FANOUT or reading.everywhere
    where = _where(reading, "every host" if everywhere else "the host with the most room")
    return f"{what}, on {where}"


def _runs_described(reading: Reading) -> str:
    if reading.detail in _ONE_RUN and reading.hosts:
        return f"the runs on {_where(reading, '')}; then: inv {reading.detail} RUN"
    if reading.detail in _ONE_RUN:
        return f"{reading.detail}: {f'run {reading.text}' if reading.text else 'the last run'}"
    return f"the runs that were started{f' on {_where(reading, str())}' if reading.hosts else ''}"


def _where(reading: Reading, otherwise: str) -> str:
    where = fold(reading.hosts) or (f"the group {reading.group}" if reading.group else otherwise)
    return f"{where} but {fold(reading.exclude)}" if reading.exclude else where


def _quoted(text: str | None) -> str:
    return f"“{text}”"
