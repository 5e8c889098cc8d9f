"""The demonstration: brings up a lab and a small project, runs the real commands in it, and cleans up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dgummy import lab
from dgummy.lab import Lab
from dgummy.render.console import Console

_TASK = "optimize database queries"


def show(console: Console, *, keep: bool = False) -> int:
    """Run the demonstration; gives back the exit code of the first step that failed, else 0."""
    with tempfile.TemporaryDirectory(prefix="dgummy-demo-") as scratch:
        _title(console, "A lab: four sshd nodes on loopback, and one that is down")
        made = lab.up(Path(scratch) / "lab")
        for text in made.notices:
            console.note(text)
        try:
            code = _walk(console, made, Path(scratch))
            if keep and code == 0:
                _wait(console, made)
        finally:
            lab.down(made)
            console.note("✓ lab down, nothing left running", "good")
    return code


def _walk(console: Console, made: Lab, scratch: Path) -> int:
    home = scratch / "you"
    home.mkdir()
    project = lab.make_sample_project(home / "myapp")
    (project / "tasks.py").write_text(
        "from dgummy.tasks import ns  # this is all that a repo needs\n", encoding="utf-8"
    )
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("INVOKE_")},
        "HOME": str(home),
        "DGUMMY_CONFIG": str(made.config_path),
        "INVOKE_DGUMMY_NOTICES": "always",  # it is there to be seen, also in a CI's log
    }
    steps = (
        ("Who is up, and why not", ["status"]),
        ("How loaded they are", ["load"]),
        ("Which host should handle database work", ["pick", "--type", "database"]),
        ("Bring the project to all that are up", ["sync", "--exclude", "node-5"]),
        ("An agent task on the best host", ["task", _TASK]),
        ("What it changed there", ["run", "--no-sync", "--host", "node-1", "head -n 2 queries.sql"]),
    )
    for title, words in steps:
        _title(console, f"{title}: inv {' '.join(_shown(word) for word in words)}")
        done = subprocess.run([sys.executable, "-m", "invoke", *words], cwd=project, env=environ, check=False)
        if done.returncode:
            return done.returncode
    return 0


def _wait(console: Console, made: Lab) -> None:
    console.note("The lab stays up until you press Enter. In another terminal:")
    console.result(made.export_line())
    sys.stdin.readline()


def _title(console: Console, text: str) -> None:
    console.note("")
    console.note(f"── {text}", "bold")


def _shown(word: str) -> str:
    return f'"{word}"' if " " in word else word
