"""What the `d` command is wrapped for: the load of hosts, who answers, syncing, running commands there.

Thin over the package dgummy. Where this Python cannot import it but the program `dgummy` is on PATH (pipx, uv, another
environment), each call goes through that. A host that cannot be reached raises SSHConnectionError, any other refusal
DgummyError; both have `message`, `remedy` and `code`, the exit code that the command would have.

As a program: python3 scripts/d_wrapper.py get_load_metrics '{"refresh": true}' prints JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

INSTALL = "pip install distributed-gummy (or: pipx install distributed-gummy, uv tool install distributed-gummy)"
UPGRADE = "pip install --upgrade distributed-gummy"

try:
    from dgummy.errors import DgummyError, SSHConnectionError
except ImportError:

    class DgummyError(Exception):
        """A refused command: `message` says what happened, `remedy` what to do about it."""

        def __init__(self, message: str, remedy: str = "", *, code: int = 70) -> None:
            super().__init__(message)
            self.message, self.remedy, self.code = message, remedy, code

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


def sync_directory(host: str, path: str | None = None) -> dict[str, Any]:
    """Bring a project to a host: `{'host', 'ok', 'reason', 'remote_dir', 'files', 'bytes', …}`."""
    return call("sync_directory", host=host, path=_text(path))


def run_remote_command(
    host: str, command: str, *, timeout_s: float | None = None, env: dict[str, str] | None = None
) -> dict[str, Any]:
    """Run a shell command there: `{'run_id', 'state', 'exit_code', 'stdout_tail', 'stderr_tail', …}`. Syncs nothing."""
    return call("run_remote_command", host=host, command=command, timeout_s=timeout_s, env=env)


def d_run(host: str | dict[str, Any], command: str) -> dict[str, Any]:
    """`run_remote_command`, which also takes what `select_optimal_host` returned."""
    return run_remote_command(host["host"] if isinstance(host, dict) else host, command)


def call(function: str, **arguments: Any) -> Any:
    """Call a function of dgummy's Python API."""
    if _program:
        return _through_program(_program, function, arguments)
    return getattr(importlib.import_module("dgummy.api"), function)(**arguments)


def main(*functions: Any) -> None:
    """Call one of the functions as a program: FUNCTION, then its arguments as a JSON object."""
    known = {function.__name__: function for function in functions}
    words = sys.argv[1:]
    try:
        name, arguments = words[0], json.loads(words[1] if len(words) > 1 else "{}")
        function = known[name]
        result = function(**arguments)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"{error}\nusage: {sys.argv[0]} {'|'.join(known)} ['{{\"argument\": …}}']\n")
        sys.exit(64)
    except DgummyError as error:
        sys.stderr.write(f"{error.message}\n{error.remedy}\n")
        sys.exit(int(error.code))
    sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=2) + "\n")


def _through_program(program: str, function: str, arguments: dict[str, Any]) -> Any:
    """Let the program call the function: arguments on its stdin, which others cannot see, the result on its stdout."""
    process = subprocess.Popen(
        [program, "skill.call", function], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, err = process.communicate(json.dumps(arguments).encode())
    except KeyboardInterrupt:
        process.wait()  # it ends what it started first
        raise
    try:
        answer = json.loads(out)
    except ValueError:
        said = err.decode("utf-8", "replace").strip() or f"exit code {process.returncode}"
        raise DgummyError(f"{program} does not answer as expected: {said}", f"upgrade it: {UPGRADE}") from None
    if "error" in answer:
        error = answer["error"]
        message, remedy, code = error["message"], error["remedy"] or "", error["exit_code"]
        if error.get("host"):
            raise SSHConnectionError(error["host"], message, remedy, code=code)
        raise DgummyError(message, remedy, code=code)
    return answer["result"]


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _find_program() -> str:
    """The program `dgummy` if this Python cannot import the package, "" if it can. ImportError if there is neither."""
    try:
        importlib.import_module("dgummy.api")
    except ImportError as error:
        places = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path.home() / ".local" / "bin")])
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
