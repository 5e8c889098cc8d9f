"""The recorded screen: real commands under a pseudo-terminal, on a lab that is gone afterwards, as an SVG.

What is shown is what they printed, with its colours. Only folders of the machine that it was recorded on are replaced:
the user's home by `~`, that of the lab's nodes by `/home/ana`.
"""

from __future__ import annotations

import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from dgummy import lab
from dgummy.lab import Lab

WIDTH = 100
PROMPT = "$ "
STEPS = (
    ["load"],
    ["run", "sh src/report.sh"],
    ["task", "optimize database queries"],
    ["specialists", "--host", "node-[1-2]"],
)
"""What is recorded, one after the other."""

_MAX_S = 60.0
_COLOURS = [(40, 44, 52), (190, 50, 45), (30, 125, 60), (150, 105, 0), (35, 95, 190), (135, 60, 160), (0, 120, 130)]
_THEME = TerminalTheme((250, 250, 248), (40, 44, 52), [*_COLOURS, (90, 95, 105)], [*_COLOURS, (120, 125, 135)])
_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>A terminal in which dgummy was used</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
<rect fill="#fafaf8" stroke="#c8c8c2" x="0.5" y="0.5" width="99.9%" height="99.9%" rx="8"/>
<g fill="#d5d5d0"><circle cx="22" cy="20" r="6"/><circle cx="42" cy="20" r="6"/><circle cx="62" cy="20" r="6"/></g>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def svg() -> str:
    """Record `STEPS` on a new lab; the picture."""
    with tempfile.TemporaryDirectory(prefix="dgummy-record-") as scratch:
        made = lab.up(Path(scratch) / "lab")
        try:
            return picture(_record(made, Path(scratch)))
        finally:
            lab.down(made)


def picture(recorded: str) -> str:
    """A terminal with this text in it, escapes and all, as an SVG."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    for line in Text.from_ansi(recorded).split("\n"):
        for part in line.divide(range(WIDTH, len(line), WIDTH)):  # as a terminal breaks what is too long for it
            console.print(part, soft_wrap=True)
    return console.export_svg(theme=_THEME, code_format=_FORMAT, unique_id="screen")


def _record(made: Lab, scratch: Path) -> str:
    home = scratch / "you"
    home.mkdir()
    project = lab.make_sample_project(home / "myapp")
    (project / "tasks.py").write_text("from dgummy.tasks import ns\n", encoding="utf-8")
    git = ["git", "-c", "user.name=ana", "-c", "user.email=ana@example.org"]
    subprocess.run([*git, "add", "--all"], cwd=project, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Tasks"], cwd=project, check=True)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "DGUMMY_CONFIG": str(made.config_path),
    }
    shown = []
    for words in STEPS:
        line = " ".join(f'"{word}"' if " " in word else word for word in ("inv", *words))
        printed = run_on_terminal([sys.executable, "-m", "invoke", *words], project, environ)
        shown.append(f"\x1b[1m{PROMPT}{line}\x1b[0m\n{printed.rstrip()}\n")
    text = "\n".join(shown)
    for node in made.nodes:
        text = text.replace(str(node.home), "/home/ana")
    return text.replace(str(home), "~")


def run_on_terminal(argv: list[str], cwd: Path, environ: Mapping[str, str]) -> str:
    """What a command prints on a terminal `WIDTH` columns wide; OSError if it does not end, or ends badly."""
    pid, terminal = pty.fork()
    if pid == 0:
        ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
        os.chdir(cwd)
        os.execve(argv[0], argv, dict(environ))
    chunks = []
    while select.select([terminal], [], [], _MAX_S)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    if status:
        raise OSError(f"{argv}: status {status}\n{b''.join(chunks).decode()}")
    text = b"".join(chunks).decode("utf-8").replace("\r\n", "\n")
    return re.sub(r"\x1b\[\?\d+[hl]", "", text)
