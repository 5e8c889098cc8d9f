"""A client of ours that goes on by itself: it outlives the terminal, and writes what it has to say to a file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dgummy.again import HANDED_OVER
from dgummy.textfiles import make_folder

PARENT = "DGUMMY_HANDED_OVER_BY"
"""The variable that tells such a client whose runs it takes over: a process id."""

_PROGRAM = "import sys; from dgummy.cli import main; sys.argv[0] = 'dgummy'; main()"


def start(words: Sequence[str], values: Mapping[str, str], *, cwd: Path, log: Path) -> int:
    """Start `dgummy WORDS…` in the background; gives back its process id. `values` are those of `--env`."""
    make_folder(log.parent)
    handed = {HANDED_OVER + name: value for name, value in values.items()}
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *words],
            cwd=cwd,
            env={**os.environ, **handed, PARENT: str(os.getpid())},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    return process.pid
