"""Start `inv` and `dgummy` without the price of starting Python: forked from a process that has imported them.

It is the same program in a process of its own, with its own arguments, environment, folder, streams and exit code; what
is saved are the interpreter's start and the imports, which were a large part of what all tests cost. What is about just
these (speed, imports, how a terminal or another program starts it) starts a new interpreter instead, and so does every
command with something in its environment that Python itself reads. DGUMMY_TESTS_COLD=1 has all of them do so.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

_REPO = Path(__file__).parents[1]
# Not dgummy.tasks and dgummy.cli: as they are loaded they look at the environment.
_PRELOAD = """
    invoke.main fabric paramiko rich.console rich.live tabulate yaml pathspec msgspec dgummy.app dgummy.cluster
    dgummy.collecting dgummy.unpacking dgummy.transport.ssh dgummy.transport.sshconnect dgummy.transport.rsync
    dgummy.transport.dcmd dgummy.render.console dgummy.render.listeners dgummy.render.documents dgummy.render.history
    dgummy.render.tables dgummy.render.collecting dgummy.render.groupscreen dgummy.boundary dgummy.rejoin dgummy.waiting
    dgummy.upkeep dgummy.lab
"""
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYENV_ROOT", "PYENV_VERSION")
"""What commands in a lab have of this environment."""

_READ_BY_PYTHON = ("PYTHON", "LC_", "LANG", "TZ", "LD_")
_FDS = 4


@dataclass(frozen=True, slots=True)
class Program:
    """How a program calls itself: its argv[0], the first entry of its path ("{cwd}": its folder), and what runs it."""

    name: str
    path: str
    call: str


def fits(env: Mapping[str, str]) -> bool:
    """Whether a command with this environment may be forked: Python would read the same from it as it has here."""
    if os.environ.get("DGUMMY_TESTS_COLD"):
        return False
    here = {name: value for name, value in _environ().items() if name.startswith(_READ_BY_PYTHON)}
    there = {name: value for name, value in env.items() if name.startswith(_READ_BY_PYTHON)}
    return there == {**here, "PYTHONPATH": str(_REPO), "PYTHONDONTWRITEBYTECODE": "1"}


def run(
    program: Program, words: Sequence[str | bytes], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, with nothing to read, as `subprocess.run` does. TimeoutExpired, and it is killed."""
    parent = _parent()
    mine, theirs = socket.socketpair()
    with mine, ExitStack() as opened:
        streams = {name: os.pipe() for name in ("out", "err")}
        for reading, _ in streams.values():
            opened.callback(os.close, reading)
        with theirs, open(os.devnull, "rb") as stdin:
            writing = [end for _, end in streams.values()]
            socket.send_fds(parent, [b"x"], [theirs.fileno(), stdin.fileno(), *writing])
            for end in writing:
                os.close(end)
        request = [program.name, program.path, program.call, str(cwd), dict(env), [os.fsdecode(word) for word in words]]
        mine.sendall(json.dumps(request).encode() + b"\0")
        sources = {mine.fileno(): bytearray(), **{reading: bytearray() for reading, _ in streams.values()}}
        if not _read_all(sources, timeout_s):
            os.kill(int(sources[mine.fileno()].split()[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired([program.name, *words], timeout_s)
        told = sources.pop(mine.fileno()).split()
        out, err = map(bytes, sources.values())
        return subprocess.CompletedProcess([program.name, *words], os.waitstatus_to_exitcode(int(told[1])), out, err)


def _read_all(sources: Mapping[int, bytearray], timeout_s: float) -> bool:
    """Read from all of these until each is at its end. False if that takes longer."""
    until = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as selector:
        for source in sources:
            selector.register(source, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                return False
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                sources[key.fd].extend(piece)
                if not piece:
                    selector.unregister(key.fd)
    return True


@functools.cache
def _parent() -> socket.socket:
    """The process that forks, started when it is first needed. It ends with this one."""
    mine, theirs = socket.socketpair()  # a stream: its end is seen
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys, warm; warm.serve(int(sys.argv[1]))", str(theirs.fileno())],
            env={**_environ(), "PYTHONPATH": f"{_REPO}:{_REPO / 'tests'}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        mine.close()
        process.kill()
        process.wait()

    atexit.register(end)
    return mine


def _environ() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


# -- in the process that forks -----------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Fork for whoever asks, until nobody can any more."""
    import gc
    import importlib

    for module in _PRELOAD.split():
        importlib.import_module(module)
    sys.modules.pop("warm", None)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    asked = socket.socket(fileno=descriptor)
    while True:
        message, fds, _, _ = socket.recv_fds(asked, 1, _FDS)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _carry_out(fds)
            return
        for each in fds:
            os.close(each)


def _carry_out(fds: Sequence[int]) -> None:
    """Fork once more: the child becomes the command, and this one tells how it ended."""
    connection = socket.socket(fileno=fds[0])
    text = b""
    while not text.endswith(b"\0"):
        text += connection.recv(1 << 16)
    name, path, call, cwd, env, words = json.loads(text[:-1])
    child = os.fork()
    if child:
        connection.sendall(b"%d " % child)
        _, status = os.waitpid(child, 0)
        connection.sendall(b"%d" % status)
        os._exit(0)
    connection.close()
    for target, given in enumerate(fds[1:]):
        os.dup2(given, target)
        os.close(given)
    _become(name, path, call, cwd, env, words)


def _become(name: str, path: str, call: str, cwd: str, env: dict[str, str], words: list[str]) -> None:
    import tempfile

    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None
    sys.argv = [name, *words]
    sys.dont_write_bytecode = bool(env.get("PYTHONDONTWRITEBYTECODE"))
    sys.path[:] = [path.replace("{cwd}", cwd), *(each for each in sys.path[1:] if each != str(_REPO / "tests"))]
    exec(call, {"__name__": "__main__"})
