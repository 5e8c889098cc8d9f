"""The error boundary of every task: whatever goes wrong ends in a line of what happened, what to do, and a code."""

from __future__ import annotations

import atexit
import functools
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, TextIO

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.argument import Argument
from invoke.parser.context import to_flag
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from dgummy import layers
from dgummy.errors import DgummyError, ExitCode, UsageError

_SIGPIPE_CODE = 141


class Command(Task):  # type: ignore[type-arg]
    """A task whose positional argument, if marked optional, may stand after `--` as words or be left out.

    `several` names one that takes as many words as there are, as a list, before `--` and after it. `short` maps the
    names of flags to letters that mean the same.
    """

    several = ""
    short: Mapping[str, str] = MappingProxyType({})

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Fill an optional positional argument that is not on the command line with ""; Invoke knows no such thing.

        Nor does it know one that takes several words: for each word but the first there is one more argument.
        """
        help_of = dict(self.help)
        arguments: list[Argument] = super().get_arguments(ignore_unknown_help)
        self.help |= help_of  # Invoke takes them out, and may ask again: for completion it does
        for argument in arguments:
            if argument.kind in (int, float):
                argument.kind = _number(argument)
            if (letter := self.short.get(argument.name or "")) is not None:
                argument.names = (*argument.names, letter)
        given = self._given(arguments)
        for argument in arguments:
            if argument.positional and argument.optional and not given:
                argument.set_value("")
        if self.several:
            more = [Argument(f"{self.several}_{number}", positional=True) for number in range(2, given + 1)]
            arguments[1:1] = more
        return arguments

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Give the body a list for the argument that takes several words."""
        first = kwargs.get(self.several)
        if self.several and not isinstance(first, list):
            more = [kwargs.pop(name) for name in list(kwargs) if name.startswith(f"{self.several}_")]
            words = [word for word in (first, *more) if word and word is not True]
            kwargs[self.several] = [*words, *words_around_dashes()[1]]
        return super().__call__(*args, **kwargs)

    def _given(self, arguments: list[Argument]) -> int:
        """How many words that are no flags, and no flags' values, stand between our name and `--`."""
        words = iter(words_around_dashes()[0])
        if all(word.rpartition(".")[2] != self.name for word in words):  # reads on to just behind our name
            return 0
        known = [*Program().core_args(), *arguments]
        flags = {to_flag(name): argument.takes_value for argument in known for name in argument.names}
        count = 0
        for word in words:
            flag, equals, _ = word.partition("=")
            if not word.startswith("-"):
                count += 1
            elif flag not in flags:
                break  # else Invoke would take the misspelt flag for the argument
            elif flags[flag] and not equals:
                next(words, None)
        return count


def _number(argument: Argument) -> Callable[[str], float]:
    """What reads a number for an argument: Invoke ends in a traceback for one that is none."""
    kind = argument.kind

    def read(text: str) -> float:
        try:
            return kind(text)  # type: ignore[no-any-return]
        except ValueError:
            whole = "a whole number" if kind is int else "a number"
            raise ParseError(f"--{argument.name}: {text!r} is not {whole}") from None

    return read


def command(
    name: str | None = None, *, several: str = "", short: Mapping[str, str] | None = None, **options: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a task: no automatic short flags, errors ended by the boundary. See `Command` for the rest."""
    if several:
        options |= {"positional": [several], "optional": [several]}

    def wrap(body: Callable[..., Any]) -> Any:
        settings = {"klass": Command, "auto_shortflags": False, "name": name, **options}
        made = invoke_task(**settings)(bounded(body))
        made.several, made.short = several, short or {}
        return made

    return wrap


def bounded(body: Callable[..., Any]) -> Callable[..., Any]:
    """The error boundary: whatever goes wrong ends in a line of what happened, one of what to do, and an exit code.

    A body that returns a number ends the program with it.
    """

    @functools.wraps(body)
    def run(*args: Any, **kwargs: Any) -> None:
        put_env_back()
        # At its end Python looks through everything for cycles, several times: 40 ms for memory that goes anyway.
        atexit.register(gc.freeze)
        code = run_bounded(lambda: body(*args, **kwargs), as_json=bool(kwargs.get("json")))
        if code:
            raise Exit(code=code)

    return run


def run_bounded(work: Callable[[], Any], *, as_json: bool) -> int:
    """Do the work; gives back the exit code."""
    code = _run(work, as_json=as_json)
    _settle_notices(code)
    _settle(sys.stderr)
    return code


def _run(work: Callable[[], Any], *, as_json: bool) -> int:
    try:
        code = work()
        if not code and sys.stdout is not None:
            sys.stdout.flush()
        _settle(sys.stdout)
    except DgummyError as error:
        _complain(error, as_json=as_json)
        _settle(sys.stdout)
        return int(error.code)
    except Exit as error:
        if error.message:
            _note(error.message)
        return error.code
    except KeyboardInterrupt as pressed:
        _leave_at_once_if_pressed_again()
        stopped = _interrupted(pressed)
        _complain(stopped, as_json=as_json)
        return int(stopped.code)
    except BrokenPipeError:
        _forget(sys.stdout)
        return _SIGPIPE_CODE
    except Exception as error:  # noqa: BLE001 - a bug of ours; the traceback is kept, the user is told where
        _complain(_bug(error), as_json=as_json)
        return ExitCode.BUG
    return code if isinstance(code, int) else 0


def _settle_notices(code: int) -> None:
    """Show what was kept back, if there is anything to tell."""
    if "dgummy.render.holding" in sys.modules:
        from dgummy.render.holding import HOLDING

        with suppress(OSError, DgummyError):
            HOLDING.end(well=code == 0)


def _leave_at_once_if_pressed_again() -> None:
    """Nothing is left to be done: another Ctrl-C need not be heard by whatever waits for connections at the end."""

    def leave(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what has been printed may be waited for: until a third
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # it may be in the middle of being written to
                stream.flush()
        os._exit(ExitCode.INTERRUPTED)

    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, leave)


def _interrupted(pressed: KeyboardInterrupt) -> DgummyError:
    from dgummy.stop import DEADLINE, DeadlinePassed

    if not isinstance(pressed, DeadlinePassed):
        return DgummyError("interrupted", code=ExitCode.INTERRUPTED)
    remedy = "see how far it came: inv runs; or give it longer: --deadline 2h"
    return DgummyError(DEADLINE, remedy, code=ExitCode.TIMED_OUT)


_collections: list[Collection] = []


def set_collection(collection: Collection) -> None:
    """Say which tasks there are, for `parsed`. To be called while they are loaded."""
    _collections[:] = [collection]


def parsed(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Read a command line that names one of our tasks: the task's name, and its arguments. UsageError for any other."""
    known = {name for one in _collections for name in one.task_names}
    if not words or words[0] not in {*known, *(alias for one in _collections for alias in one.collections)}:
        name = ascii(words[0])[1:-1] if words else "nothing"
        raise UsageError(f"there is no command {name[:80]}", "write it as after `dgummy`: run 'make test'")
    before, sys.argv[1:] = sys.argv[1:], list(words)  # `Command` looks there
    try:
        found = Parser(contexts=_collections[0].to_contexts()).parse_argv(list(words))
    except ParseError as error:
        raise UsageError(str(error), f"see inv --help {words[0]}") from error
    finally:
        sys.argv[1:] = before
    if len(found) != 1:
        raise UsageError(f"these are {len(found)} commands", "give one; quote what belongs together: run 'make test'")
    return str(found[0].name), dict(found[0].as_kwargs)


_aside: dict[str, str] = {}


def set_env_aside() -> None:
    """Keep `INVOKE_DGUMMY_*` from Invoke, which casts them by whatever invoke.yaml holds; see `layers`.

    To be called while the tasks are loaded; each of our tasks puts the variables back before anything else.
    """
    _aside.update(layers.set_env_aside(os.environ))


def put_env_back() -> None:
    """Undo `set_env_aside`: Invoke has read the environment by now."""
    os.environ.update(_aside)


def words_around_dashes() -> tuple[list[str], list[str]]:
    """What stands before and after the first `--` on our command line."""
    argv = sys.argv[1:]
    if "--" not in argv:
        return argv, []
    at = argv.index("--")
    return argv[:at], argv[at + 1 :]


def _complain(error: DgummyError, *, as_json: bool) -> None:
    from dgummy.render.console import Console
    from dgummy.render.text import one_line

    console = Console()
    _settle_notices(int(error.code))
    with suppress(OSError, DgummyError):  # whom to tell, if nobody reads?
        console.note(f"✗ {one_line(error.message, 1000)}", "error")
        if error.remedy:
            console.note(f"  {one_line(error.remedy, 1000)}")
        if as_json:
            from dgummy.render import documents

            console.result(documents.dump(documents.error(error)))


def _note(text: str) -> None:
    from dgummy.render.console import Console

    with suppress(OSError):
        Console().note(text, "error")


def _settle(stream: TextIO | None) -> None:
    """What could not be written to a full disk must not be tried again at exit, which would be the exit code."""
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        _forget(stream)


def _forget(stream: TextIO | None) -> None:
    """Whoever read our output is gone: keep Python from complaining when it flushes at exit."""
    try:
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        setattr(sys, "stdout" if stream is sys.stdout else "stderr", None)


def _bug(error: Exception) -> DgummyError:
    """What to tell about a bug of ours; the traceback goes to a file."""
    import tempfile

    text = "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="dgummy-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        where = f"the traceback is in {path}"
    except OSError:
        where = text
    return DgummyError(f"a bug in dgummy: {type(error).__name__}: {error}", f"please report it; {where}")
