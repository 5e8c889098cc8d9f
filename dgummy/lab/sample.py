"""What users and tests play with in a lab: a small project, and the stand-in's behaviour."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dgummy.errors import UsageError
from dgummy.lab.records import Lab

GUMMY_MODES = ("", "rate-limit", "no-report", "fail", "slow")
_ASSETS = Path(__file__).parent / "assets"


def copy_asset(name: str, target: Path) -> None:
    """Copy package data, folders with all in them. Scripts are made executable: a wheel may forget that."""
    source = _ASSETS / name
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for child in source.iterdir():
            copy_asset(f"{name}/{child.name}", target / child.name)
        return
    content = source.read_bytes()
    target.write_bytes(content)
    target.chmod(0o755 if content.startswith(b"#!") else 0o644)


def make_sample_project(directory: Path, *, specialists: bool = True) -> Path:
    """Make a small git project in `directory` (new or empty) with one commit, and return its path.

    It has queries.sql, src/, a test script and a .gitignore; an ignored .env and build/ are there as well.
    `specialists` adds .gummy/lib/core.sh, which turns gummy's specialists on. UsageError for a folder in use.
    """
    if directory.exists() and any(directory.iterdir()):
        raise UsageError(f"{directory} is not empty", "name a new folder for the sample project")
    copy_asset("sample", directory)
    (directory / "gitignore").rename(directory / ".gitignore")
    if specialists:
        (directory / ".gummy/lib").mkdir(parents=True)
        (directory / ".gummy/lib/core.sh").write_text(
            "# Its presence turns gummy's specialists on.\n", encoding="utf-8"
        )
    (directory / ".env").write_text("TOKEN=stays-here\n", encoding="utf-8")
    (directory / "build").mkdir()
    (directory / "build/report.txt").write_text("made by a build, never sent\n", encoding="utf-8")
    _git(directory, "init", "--quiet", "--initial-branch=main")
    _git(directory, "add", "--all")
    _git(directory, "commit", "--quiet", "--message=Sample project")
    return directory


def _git(directory: Path, *words: str) -> None:
    """Git without the user's settings, hooks or signing, and without touching them."""
    if shutil.which("git") is None:
        raise UsageError("the sample project needs git", "install git")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    options = [
        "-c",
        "user.name=dgummy lab",
        "-c",
        "user.email=lab@lab.invalid",
        "-c",
        "core.hooksPath=/dev/null",
    ]
    command = ["git", "-C", str(directory), *options, *words]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise UsageError(f"git {words[0]} failed in {directory}: {answer.stderr.strip()}", "check the installed git")


def set_gummy(lab: Lab, node: str, *, mode: str = "", step_s: float = 0.3) -> None:
    """Set how the stand-in on a node behaves: a failure `mode` ("" for none), and how long a step takes."""
    if mode not in GUMMY_MODES:
        raise UsageError(f"the stand-in has no mode {mode!r}", f"it has {', '.join(GUMMY_MODES[1:])}")
    settings = lab.node(node).home / ".gummy-standin"
    settings.write_text(f"mode={mode}\nstep_s={step_s:g}\n", encoding="ascii")
