"""`inv demo`: the main job, shown on a lab of real sshd nodes that is gone afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from invoke.context import Context

from dgummy.boundary import command


@command(
    help={"keep": "leave the lab up for trying things", "json": "print one JSON document on stdout, the rest on stderr"}
)
def demo(c: Context, keep: bool = False, json: bool = False) -> int:
    """Show the main job on four real sshd nodes on this machine.

    Example: inv demo
    """
    from dgummy import demonstration
    from dgummy.render import documents
    from dgummy.render.console import Console

    if not json:
        return demonstration.show(Console(), keep=keep)
    with _stdout_to_stderr():
        code = demonstration.show(Console(), keep=keep)
    Console().result(documents.dump({"ok": code == 0, "exit_code": code}))
    return code


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What we and the commands that we start write to stdout goes to stderr."""
    sys.stdout.flush()
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(ours, 1)
        os.close(ours)
