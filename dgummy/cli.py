"""The command line: one error boundary for every task, and the program `dgummy`."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from dgummy import layers
from dgummy.errors import DgummyError, ExitCode

_SIGPIPE_CODE = 141


class Command(Task):  # type: ignore[type-arg]
    """A task whose positional argument may stand after `--` as words (`inv run -- ls -la`), or be left out."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Fill positional arguments that are not on the command line with "" where that is meant."""
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in arguments:
            if argument.positional and ("--" in sys.argv[1:] or self._goes_without(argument)):
                argument.set_value("")
        return arguments

    def _goes_without(self, argument: Argument) -> bool:
        """Whether an optional positional argument is not given; Invoke knows no such thing."""
        if not argument.optional:
            return False
        words = [*sys.argv[1:], ""]
        after = [word for name, word in pairwise(words) if name.rpartition(".")[2] == self.name]
        return not after or not after[0] or after[0].startswith("-")


def command(name: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a task: no automatic short flags, errors ended by the boundary."""

    def wrap(body: Callable[..., Any]) -> Any:
        settings = {"klass": Command, "auto_shortflags": False, "name": name, **options}
        return invoke_task(**settings)(bounded(body))

    return wrap


def bounded(body: Callable[..., Any]) -> Callable[..., Any]:
    """The error boundary: whatever goes wrong ends in a line of what happened, one of what to do, and an exit code.

    A body that returns a number ends the program with it.
    """

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:
        os.environ.update(_aside)
        code = run_bounded(lambda: body(*args, **kwargs), as_json=bool(kwargs.get("json")))
        if code:
            raise Exit(code=code)

    return run


def run_bounded(work: Callable[[], Any], *, as_json: bool) -> int:
    """Do the work; gives back the exit code."""
    try:
        code = work()
        sys.stdout.flush()
    except DgummyError as error:
        _complain(error, as_json=as_json)
        return int(error.code)
    except Exit as error:
        if error.message:
            _note(error.message)
        return error.code
    except KeyboardInterrupt:
        _note("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return _SIGPIPE_CODE
    except Exception as error:  # noqa: BLE001 - a bug of ours; the traceback is kept, the user is told where
        _report_bug(error)
        return ExitCode.BUG
    return code if isinstance(code, int) else 0


_aside: dict[str, str] = {}


def set_env_aside() -> None:
    """Keep `INVOKE_DGUMMY_*` from Invoke, which casts them by whatever invoke.yaml holds; see `layers`.

    To be called while the tasks are loaded; each of our tasks puts the variables back before anything else.
    """
    _aside.update(layers.set_env_aside(os.environ))


def words_after_dashes() -> list[str]:
    """What stands after the first `--` on our command line."""
    argv = sys.argv[1:]
    return argv[argv.index("--") + 1 :] if "--" in argv else []


def make_program() -> Program:
    """The program `dgummy`: the same tasks, for where there is no tasks.py."""
    from dgummy import __version__
    from dgummy.tasks import ns

    return Dgummy(name="dgummy", binary="dgummy", binary_names=["dgummy"], namespace=ns, version=__version__)


class Dgummy(Program):
    """Invoke with our collection built in, and the project's invoke.yaml all the same."""

    def parse_collection(self) -> None:
        """Read the settings of the project that we are in, as `inv` does where it finds a tasks.py."""
        super().parse_collection()
        root = project_settings_folder(Path.cwd())
        if root is not None:
            self.config.set_project_location(str(root))
            self.config.load_project()


def project_settings_folder(cwd: Path) -> Path | None:
    """The nearest folder, from here upwards, with an Invoke settings file or a tasks.py."""
    names = ("invoke.yaml", "invoke.yml", "invoke.json", "invoke.py", "tasks.py")
    return next((folder for folder in (cwd, *cwd.parents) if _holds(folder, names)), None)


def main() -> None:
    """Entry point of the program `dgummy`."""
    sys.exit(run_bounded(make_program().run, as_json=False))


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any((folder / name).is_file() for name in names)


def _complain(error: DgummyError, *, as_json: bool) -> None:
    from dgummy.render.console import Console
    from dgummy.render.text import one_line

    console = Console()
    console.note(f"✗ {one_line(error.message, 1000)}", "error")
    if error.remedy:
        console.note(f"  {one_line(error.remedy, 1000)}")
    if as_json:
        from dgummy.render import documents

        console.result(documents.dump(documents.error(error)))


def _note(text: str) -> None:
    from dgummy.render.console import Console

    Console().note(text, "error")


def _forget_stdout() -> None:
    """Whoever read our output is gone: keep Python from complaining when it flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None


def _report_bug(error: Exception) -> None:
    text = "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="dgummy-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        where = f"the traceback is in {path}"
    except OSError:
        where = text
    _note(f"✗ a bug in dgummy: {type(error).__name__}: {error}\n  please report it; {where}")
