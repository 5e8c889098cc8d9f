"""The command line as users meet it: `inv` in a project whose whole tasks.py is one import, on a lab of real nodes."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import invoke
import jsonschema
import pytest

import labs
import warm
from dgummy.lab import Figures
from labs import NodeLab

PROGRAMS = {
    "inv": warm.Program(
        str(Path(invoke.__file__).with_name("__main__.py")), "{cwd}", "from invoke.main import program; program.run()"
    ),
    "dgummy": warm.Program("dgummy", "", "from dgummy.cli import main; main()"),
}
TASKS = "from dgummy.tasks import ns\n"
CONTROL = [chr(code) for code in (*range(32), 127) if chr(code) != "\n"]
COMMANDS = (
    *("status", "load", "pick", "sync", "run", "task", "fanout", "distribute", "demo"),
    "ask",
    *("specialists", "specialists.move", "watch"),
    *("cron.add", "cron.list", "cron.remove", "cron.run", "cron.exec"),
    *("collect", "report", "doctor"),
    *("retry", "resume", "runs", "logs", "wait", "attach", "cancel", "runs.prune", "runs.rebuild"),
    "specialists.move",
    *("workspace.list", "workspace.clean"),
    *("skill.install", "skill.show", "skill.remove", "skill.call"),
    "completion",
    *("config.show", "config.init", "config.check", "config.path"),
    *("lab.up", "lab.down", "lab.status", "lab.stop", "lab.start", "lab.figures"),
)


class Result:
    """How a command ended."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out_bytes = done.stdout
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")
        assert "Traceback" not in self.err + self.out, self.err

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def document(self, schema: str) -> dict[str, Any]:
        """The one JSON document on stdout, which holds nothing else and is as its schema says."""
        assert not any(char in self.out for char in CONTROL), self
        found = json.loads(self.out_bytes.decode("utf-8"))
        assert isinstance(found, dict)
        validate(found, schema)
        return found


@functools.cache
def schema_of(name: str) -> dict[str, Any]:
    """A schema of the package."""
    text = (resources.files("dgummy") / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def validate(document: object, schema: str) -> None:
    """ValidationError if the document is not as the schema says."""
    jsonschema.Draft202012Validator(schema_of(schema)).validate(document)


class Desk:
    """A user at a project on a lab. `inv` runs there unless another folder is named."""

    def __init__(self, nodes: NodeLab, project: Path) -> None:
        self.nodes = nodes
        self.lab = nodes.lab
        self.home = nodes.home
        self.project = project
        (project / "tasks.py").write_text(TASKS, encoding="utf-8")

    def argv(self, words: Sequence[str | bytes], program: str = "inv") -> list[str | bytes]:
        if program == "inv":
            return [sys.executable, "-m", "invoke", *words]
        return [sys.executable, "-c", "import sys; from dgummy.cli import main; sys.argv[0] = 'dgummy'; main()", *words]

    def inv(
        self,
        *words: str | bytes,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        program: str = "inv",
        timeout_s: float = 60,
    ) -> Result:
        """Run one command without a terminal, with nothing to read."""
        environ, where = self.environment(env), cwd or self.project
        starts_itself = any("ask" in os.fsdecode(word).split(".") for word in words)  # as it was started itself
        if warm.fits(environ) and not starts_itself:
            return Result(warm.run(PROGRAMS[program], words, cwd=where, env=environ, timeout_s=timeout_s))
        done = subprocess.run(
            self.argv(words, program),
            cwd=where,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
        )
        return Result(done)

    def shell(self, script: str, *, env: Mapping[str, str | None] | None = None) -> Result:
        """Run a line of bash in which `inv` is ours."""
        inv = f'inv() {{ "{sys.executable}" -m invoke "$@"; }}; '
        done = subprocess.run(
            ["bash", "-c", inv + script],
            cwd=self.project,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        return Result(done)

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """The environment of a command; None takes a variable away."""
        merged = {**self.nodes.env, **(changes or {})}
        return {name: value for name, value in merged.items() if value is not None}

    def there(self, node: str = "node-1") -> Path:
        """The project's folder on a node."""
        return self.nodes.remote_dir(node, self.project)

    def forget_load(self) -> None:
        """Take the caches away."""
        for path in (self.lab.directory / "cache").iterdir():
            path.unlink()


@contextmanager
def open_desk(folder: Path, nodes: int = 2, **options: Any) -> Iterator[Desk]:
    """A lab with `nodes` nodes that are up and one that is down, and a project to work in."""
    if labs.SSHD is None:
        pytest.skip("there is no sshd on this machine")
    if shutil.which("rsync") is None:
        pytest.skip("there is no rsync on this machine")
    with labs.node_lab(folder, nodes, **{"down_nodes": 1, "figures": FIGURES, **options}) as made:
        yield Desk(made, made.project("myapp"))


FIGURES = (
    Figures(cpu_pct=10, iowait_pct=30, mem_pct=20, load1=0.4, cores=4, psi_io_pct=60),
    Figures(cpu_pct=50, iowait_pct=5, mem_pct=30, load1=1.6, cores=4, psi_io_pct=5),
)
"""node-1 has the free CPU, node-2 the free disk."""
