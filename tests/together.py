"""Many processes that do the same at once. They are forked from one that has imported what they need.

Starting an interpreter for each costs more than what it is to do, and spreads in time what is meant to collide.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dgummy

NUMBER = "{number}"
"""Among the arguments of a process: which one it is, from 0."""

_PARENT = """
import importlib, os, sys, traceback
code, modules, count, *words = sys.argv[1:]
for module in modules.split():
    importlib.import_module(module)
work = compile(code, "one of many", "exec")
children = []
for number in range(int(count)):
    child = os.fork()
    if child == 0:
        sys.argv = ["-c", *(str(number) if word == "{number}" else word for word in words)]
        try:
            exec(work, {"__name__": "__main__"})
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children) != 0)
"""


def run_together(count: int, code: str, *arguments: object, modules: str) -> list[str]:
    """Run this Python code in so many processes at once; the lines that they printed. All must end with 0, silently.

    modules: what is imported before they are forked.
    """
    # What each prints has to come in one piece.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", _PARENT, code, modules, str(count), *map(str, arguments)],
        env={**env, "PYTHONPATH": str(Path(dgummy.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.splitlines()
