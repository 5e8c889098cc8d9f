"""What a function of the Python API is given: whether it is of the kind that goes there. Pure.

An argument of one name is of one kind in all functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dgummy.errors import ArgumentError
from dgummy.wording import shown, suggestion

_TASK_KEYS = ("task", "host", "task_type", "project_dir")
_MAX_S = 1e9


def check(**arguments: object) -> None:
    """Refuse the first argument that is of the wrong kind: ArgumentError."""
    for name, value in arguments.items():
        _CHECKS[name](name, value)


def _text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong(name, "text", value, "write a text, in quotes")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise _wrong(name, "text", value, "it holds half a character: leave that out") from None


def _host(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(name, "a host's name", value, "select_optimal_host() finds one")


def _folder(name: str, value: object) -> None:
    if hasattr(value, "__fspath__"):
        value = str(value)
    _text(name, value)
    if not str(value).strip():
        raise _wrong(name, "a folder's path", value, "leave it out for the current folder")
    if "\0" in str(value):
        raise _wrong(name, "a folder's path", value, "leave the NUL character out")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise _wrong(name, "True or False", value, "leave it out for False")


def _seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < _MAX_S:
        raise _wrong(name, "a number of seconds above 0", value, "write 90, say; None is no limit")


def _texts(name: str, value: object) -> None:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise _wrong(name, "a list of texts", value, 'write ["a", "b"]')
    for number, item in enumerate(value):
        _text(f"{name}[{number}]", item)


def _environment(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(name, "a map of names to texts", value, 'write {"NAME": "value"}')
    for key, item in value.items():
        _text(f"a name in {name}", key)
        _text(f"{name}[{shown(key)}]", item)


def _tasks(name: str, value: object) -> None:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise _wrong(name, "a list of maps", value, 'write [{"task": "…"}, …]')
    for number, task in enumerate(value):
        _task(f"{name}[{number}]", task)


def _task(name: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(name, "a map", value, 'write {"task": "…"}')
    for key in value:
        if key not in _TASK_KEYS:
            remedy = suggestion(str(key), _TASK_KEYS, noun="the keys are")
            raise ArgumentError(name, f"{name}: there is no key {shown(key)}", remedy)
    if "task" not in value:
        raise ArgumentError(name, f"{name}: has no task", 'write {"task": "…"}')
    for key, item in value.items():
        _CHECKS[key](f"{name}[{shown(key)}]", item)


def _or_none(check: Callable[[str, object], None]) -> Callable[[str, object], None]:
    return lambda name, value: None if value is None else check(name, value)


_CHECKS: Mapping[str, Callable[[str, object], None]] = {
    "command": _text,
    "env": _or_none(_environment),
    "exclude": _or_none(_texts),
    "group": _or_none(_text),
    "host": _host,
    "path": _or_none(_folder),
    "project_dir": _or_none(_folder),
    "refresh": _flag,
    "require": _texts,
    "task": _text,
    "task_type": _or_none(_text),
    "tasks": _tasks,
    "timeout_s": _or_none(_seconds),
}


def _wrong(name: str, expected: str, value: object, remedy: str) -> ArgumentError:
    return ArgumentError(name, f"{name}: expected {expected}, got {shown(value)}", remedy)
