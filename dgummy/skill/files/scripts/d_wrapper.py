"""What the `d` command is wrapped for: the load of hosts, who answers, syncing, running commands there.

Thin over the package dgummy. Where this Python cannot import it but the program `dgummy` is on PATH (pipx, uv, another
environment), each call goes through that. A host that cannot be reached raises SSHConnectionError, an argument of the
wrong kind ArgumentError (a ValueError too), any other refusal DgummyError; all have `message`, `remedy` and `code`, the
exit code that the command would have.

As a program: python3 scripts/d_wrapper.py get_load_metrics '{"refresh": true}' prints JSON.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from typing import Any

INSTALL = "pip install distributed-gummy (or: pipx install distributed-gummy, uv tool install distributed-gummy)"
UPGRADE = "pip install --upgrade distributed-gummy"

try:
    from dgummy.errors import ArgumentError, DgummyError, SSHConnectionError
except ImportError:

    class DgummyError(Exception):
        """A refused command: `message` says what happened, `remedy` what to do about it."""

        def __init__(self, message: str, remedy: str = "", *, code: int = 70) -> None:
            super().__init__(message)
            self.message, self.remedy, self.code = message, remedy, code

    class ArgumentError(DgummyError, ValueError):
        """A function was given something of the wrong kind; `argument` names it."""

        def __init__(self, argument: str, message: str, remedy: str = "") -> None:
            super().__init__(message, remedy, code=64)  # type: ignore[arg-type]
            self.argument = argument

    class SSHConnectionError(DgummyError, ConnectionError):
        """A host could not be reached over SSH; `host` names it."""

        def __init__(self, host: str, message: str, remedy: str = "", *, code: int = 69) -> None:
            super().__init__(message, remedy, code=code)  # type: ignore[arg-type]
            self.host = host


def get_load_metrics(*, refresh: bool = False) -> dict[str, dict[str, Any]]:
    """Load of every host: host → `{'reachable', 'reason', 'cpu_pct', 'mem_pct', 'io_pct', 'load1', 'score', …}`."""
    return call("get_load_metrics", refresh=refresh)


def get_host_status(*, refresh: bool = False) -> dict[str, dict[str, Any]]:
    """Which hosts answer: host → `{'online', 'address', 'reason', 'remedy', 'latency_ms'}`."""
    return call("get_host_status", refresh=refresh)


def sync_directory(host: str, path: Any = None) -> dict[str, Any]:
    """Bring a project to a host: `{'host', 'ok', 'reason', 'remote_dir', 'files', 'bytes', …}`."""
    return call("sync_directory", host=host, path=path)


def run_remote_command(
    host: str, command: str, *, timeout_s: float | None = None, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a shell command there: `{'run_id', 'state', 'exit_code', 'stdout_tail', 'stderr_tail', …}`. Syncs nothing."""
    return call("run_remote_command", host=host, command=command, timeout_s=timeout_s, env=env)


def d_run(host: str | dict[str, Any], command: str) -> dict[str, Any]:
    """`run_remote_command`, which also takes what `select_optimal_host` returned."""
    name = host.get("host") if isinstance(host, dict) else host
    return call("run_remote_command", host=name, command=command, timeout_s=None, env=None)


def call(function: str, **arguments: Any) -> Any:
    """Call a function of dgummy's Python API."""
    if _program:
        return _through_program(_program, function, arguments)
    return getattr(importlib.import_module("dgummy.api"), function)(**arguments)


def main(*functions: Any) -> None:
    """Call one of the functions as a program: FUNCTION, then its arguments as a JSON object."""
    known = {function.__name__: function for function in functions}
    try:
        function, arguments = _asked(known, sys.argv[1:])
    except (TypeError, ValueError, RecursionError) as error:
        sys.stderr.write(f"{error}\nusage: {sys.argv[0]} {'|'.join(known)} ['{{\"argument\": …}}']\n")
        sys.exit(64)
    try:
        result = function(**arguments)
    except DgummyError as error:
        sys.stderr.write(f"{error.message}\n{error.remedy}\n")
        sys.exit(int(error.code))
    except KeyboardInterrupt:
        sys.exit(130)
    document = json.dumps(result, ensure_ascii=False, indent=2) + "\n"
    sys.stdout.buffer.write(document.encode("utf-8", "backslashreplace"))  # whatever the locale is


def _asked(known: dict[str, Any], words: list[str]) -> tuple[Any, dict[str, Any]]:
    """The function that is meant, and its arguments. TypeError or ValueError if they do not fit."""
    if not words or words[0] not in known:
        raise ValueError(f"there is no function {words[0]}" if words else "name a function")
    arguments = json.loads(words[1] if len(words) > 1 else "{}")
    inspect.signature(known[words[0]]).bind(**arguments)
    return known[words[0]], arguments


def _through_program(program: str, function: str, arguments: dict[str, Any]) -> Any:
    """Let the program call the function: arguments on its stdin, which others cannot see, the result on its stdout."""
    given = json.dumps({name: _plain(name, value) for name, value in arguments.items()}).encode()
    try:
        process = subprocess.Popen(
            [program, "skill.call", function], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:  # left behind by an environment that is gone, say
        raise DgummyError(f"{program} does not start: {error.strerror}", f"install it anew: {INSTALL}") from None
    try:
        out, err = process.communicate(given)
    except KeyboardInterrupt:
        process.communicate()  # it ends what it started first, and may have much to say
        raise
    try:
        answer = json.loads(out)
        refused = answer.get("error")
        if refused is None:
            return answer["result"]
        message, remedy, code = refused["message"], refused["remedy"] or "", refused["exit_code"]
    except (ValueError, AttributeError, KeyError, TypeError):
        said = err.decode("utf-8", "replace").strip() or f"exit code {process.returncode}"
        raise DgummyError(f"{program} does not answer as expected: {said}", f"upgrade it: {UPGRADE}") from None
    if refused.get("host"):
        raise SSHConnectionError(refused["host"], message, remedy, code=code)
    if refused.get("argument"):
        raise ArgumentError(refused["argument"], message, remedy)
    raise DgummyError(message, remedy, code=code)


def _plain(name: str, value: Any) -> Any:
    """An argument as JSON has it; a path is text there."""
    try:
        return json.loads(json.dumps(value, default=os.fspath))
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(name, f"{name}: {error}", "give text, numbers, lists and maps") from None


def _find_program() -> str:
    """The program `dgummy` if this Python cannot import the package, "" if it can. ImportError if there is neither."""
    try:
        importlib.import_module("dgummy.api")
    except ImportError as error:
        own = os.path.expanduser("~/.local/bin")  # noqa: PTH111 - pathlib's is an error without a home
        places = os.pathsep.join([os.environ.get("PATH", os.defpath), own])
        found = shutil.which("dgummy", path=places)
        if found is None:
            missing = f"{sys.executable} has no dgummy ({error}), and there is no program dgummy on PATH"
            raise ImportError(f"{missing}. Install it: {INSTALL}") from None
        return found
    return ""


try:
    _program = _find_program()
except ImportError as error:
    if __package__:
        raise
    sys.exit(f"✗ {error}")  # run as a program: a message, no traceback

if __name__ == "__main__":
    main(get_load_metrics, get_host_status, sync_directory, run_remote_command)
