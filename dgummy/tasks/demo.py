"""`inv demo`: the main job, shown on a lab of real sshd nodes that is gone afterwards."""

from __future__ import annotations

from invoke.context import Context

from dgummy.cli import command


@command(help={"keep": "leave the lab up for trying things"})
def demo(c: Context, keep: bool = False) -> int:
    """Show the main job on four real sshd nodes on this machine.

    Example: inv demo
    """
    from dgummy import demonstration
    from dgummy.render.console import Console

    return demonstration.show(Console(), keep=keep)
