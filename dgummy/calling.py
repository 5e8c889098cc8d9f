"""Functions of the Python API called from outside: JSON in, JSON out. What the skill's scripts use."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dgummy import api
from dgummy.errors import ArgumentError, DgummyError, SSHConnectionError, UsageError
from dgummy.render import documents
from dgummy.skill import FUNCTIONS
from dgummy.wording import suggestion

_EXAMPLE = """give its arguments as JSON: echo '{"task_type": "database"}' | dgummy skill.call select_optimal_host"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave, as the fields of a document, and the exit code."""

    document: dict[str, Any]
    exit_code: int = 0


def given() -> str:
    """What is on stdin; nothing from a terminal."""
    return "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()


def answer(function: str, arguments: str) -> Answer:
    """Call a function with arguments as JSON text. An error is an answer too."""
    try:
        return Answer({"function": function, "result": _call(function, arguments)})
    except DgummyError as error:
        document = documents.error(error)
        if isinstance(error, SSHConnectionError):
            document["error"]["host"] = error.host
        if isinstance(error, ArgumentError):
            document["error"]["argument"] = error.argument
        return Answer(document, int(error.code))


def _call(function: str, arguments: str) -> Any:
    if function not in FUNCTIONS:
        raise UsageError(f"there is no function {function}", suggestion(function, FUNCTIONS, noun="functions"))
    called = getattr(api, function)
    try:
        named = json.loads(arguments.strip() or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError("stdin is no JSON", _EXAMPLE) from error
    if not isinstance(named, Mapping):
        raise UsageError("the arguments are no JSON object", _EXAMPLE)
    try:
        inspect.signature(called).bind(**named)
    except TypeError as error:
        raise UsageError(f"{function}: {error}", _EXAMPLE) from error
    return called(**named)
