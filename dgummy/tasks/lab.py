"""`inv lab.*`: real sshd nodes on loopback, to try commands on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoke.context import Context

from dgummy.boundary import command

if TYPE_CHECKING:
    from pathlib import Path

    from dgummy.lab import Lab

_DIR_HELP = {"dir": "the lab's folder (default: where DGUMMY_CONFIG points, else a folder below ~/.local/state)"}
_JSON_HELP = {"json": "print one JSON document on stdout"}


def _directory(given: str | None) -> Path:
    from pathlib import Path

    from dgummy import lab, layers

    if given:
        return Path(given).expanduser().absolute()
    settings = os.environ.get(layers.CONFIG_VARIABLE)
    if settings and lab.load(Path(settings).parent) is not None:
        return Path(settings).parent
    return Path.home() / ".local/state/distributed-gummy/lab"


def _existing(given: str | None) -> Lab:
    from dgummy import lab
    from dgummy.errors import UsageError

    found = lab.load(_directory(given))
    if found is None:
        raise UsageError(f"there is no lab in {_directory(given)}", "start one: inv lab.up")
    return found


@command(help={**_DIR_HELP, **_JSON_HELP, "nodes": "how many nodes are up", "down": "how many more are not"})
def up(c: Context, dir: str | None = None, nodes: int = 4, down: int = 1, json: bool = False) -> int:  # noqa: A002
    """Start a lab of sshd nodes on this machine, and say how to use it.

    Example: inv lab.up
    """
    from dgummy import lab
    from dgummy.render import documents, tables
    from dgummy.render.console import Console

    console = Console()
    made = lab.up(_directory(dir), nodes, down_nodes=down)
    for text in made.notices:
        console.note(text)
    found = lab.status(made)
    if json:
        console.result(documents.dump(documents.lab(made, found)))
        return 0
    console.note(tables.lab(found))
    console.note("To point inv at the lab:")
    console.result(made.export_line())
    return 0


@command(help={**_DIR_HELP, **_JSON_HELP})
def status(c: Context, dir: str | None = None, json: bool = False) -> int:  # noqa: A002
    """Show the lab's nodes.

    Example: inv lab.status
    """
    from dgummy import lab
    from dgummy.render import documents, tables
    from dgummy.render.console import Console

    console = Console()
    made = lab.load(_directory(dir))
    found = lab.status(made) if made else []
    if json:
        console.result(documents.dump(documents.lab(made, found)))
    elif made is None:
        console.result(f"no lab in {_directory(dir)}; inv lab.up starts one")
    else:
        console.result(tables.lab(found))
        console.note("To point inv at the lab:")
        console.result(made.export_line())
    return 0


@command(help={**_DIR_HELP, **_JSON_HELP})
def down(c: Context, dir: str | None = None, json: bool = False) -> int:  # noqa: A002
    """End everything of the lab and remove its folder.

    Example: inv lab.down
    """
    from dgummy import lab
    from dgummy.render import documents
    from dgummy.render.console import Console

    console = Console()
    made = lab.load(_directory(dir))
    if made is not None:
        lab.down(made)
    if json:
        console.result(documents.dump(documents.lab(None, [])))
    elif made is None:
        console.note(f"there is no lab in {_directory(dir)}")
    else:
        console.note("✓ the lab is gone; if you exported DGUMMY_CONFIG: unset DGUMMY_CONFIG", "good")
    return 0


@command(
    positional=["node"],
    help={**_DIR_HELP, **_JSON_HELP, "node": "the node's name", "hang": "let it take connections, but never speak"},
)
def stop(c: Context, node: str, dir: str | None = None, hang: bool = False, json: bool = False) -> int:  # noqa: A002
    """Take a node off the network; what runs on it goes on.

    Example: inv lab.stop node-1
    """
    from dgummy import lab

    made = _existing(dir)
    (lab.hang if hang else lab.stop)(made, node)
    return _show(made, f"✓ {node} {'hangs' if hang else 'is off the network'}", json=json)


@command(positional=["node"], help={**_DIR_HELP, **_JSON_HELP, "node": "the node's name"})
def start(c: Context, node: str, dir: str | None = None, json: bool = False) -> int:  # noqa: A002
    """Bring a node back.

    Example: inv lab.start node-1
    """
    from dgummy import lab

    made = _existing(dir)
    lab.start(made, node)
    return _show(made, f"✓ {node} is up", json=json)


@command(
    positional=["node"],
    help={
        **_DIR_HELP,
        **_JSON_HELP,
        "node": "the node's name",
        "cpu": "per cent in use (default 20)",
        "io": "per cent of I/O wait (default 10)",
        "mem": "per cent in use (default 40)",
        "load": "load average (default 0.5)",
        "cores": "how many (default 4)",
    },
)
def figures(
    c: Context,
    node: str,
    dir: str | None = None,  # noqa: A002
    cpu: float = 20.0,
    io: float = 10.0,
    mem: float = 40.0,
    load: float = 0.5,
    cores: int = 4,
    json: bool = False,
) -> int:
    """Make a node show other load figures.

    Example: inv lab.figures node-1 --cpu 90
    """
    from dgummy import lab
    from dgummy.errors import UsageError

    if not all(0 <= value <= 100 for value in (cpu, io, mem)):
        raise UsageError("--cpu, --io and --mem are per cent", "use numbers from 0 to 100")
    made = _existing(dir)
    lab.set_figures(made, node, lab.Figures(cpu, min(io, 100 - cpu), mem, load, cores, io))
    return _show(made, f"✓ {node} shows other figures; a cache may have the old ones: inv load --refresh", json=json)


def _show(made: Lab, text: str, *, json: bool) -> int:
    """Say what was done, or print the lab as it is now."""
    from dgummy import lab
    from dgummy.render import documents
    from dgummy.render.console import Console

    console = Console()
    if json:
        console.result(documents.dump(documents.lab(made, lab.status(made))))
    else:
        console.note(text, "good")
    return 0
