"""What the benchmarks share: a lab of their own, fair repetition, and a table of ratios.

Figures are compared within one run only. The cases take turns, so that whatever else the machine does hits all of them;
a ratio is the median of the ratios of each round.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dgummy import lab as labs  # noqa: E402 - from this checkout, whatever is installed

READ_BYTES = 1024 * 1024
INV = shutil.which("inv", path=str(Path(sys.executable).parent)) or shutil.which("inv") or "inv"


@dataclass(frozen=True)
class Sample:
    """One run of one program. CPU time and memory are its own and those of what it waited for."""

    wall_s: float
    cpu_s: float = 0.0
    peak_rss_bytes: int = 0


@dataclass(frozen=True)
class Limit:
    """What is asked of a case: at most `ratio` times the case `base`, at most `rss_bytes` of memory."""

    base: str
    ratio: float | None = None
    rss_bytes: int | None = None


@dataclass(frozen=True)
class Place:
    """Where a benchmark works: a home folder, a project in it, a lab, and the environment for programs."""

    home: Path
    project: Path
    lab: labs.Lab
    env: dict[str, str]

    def ssh(self, node: str, *words: str) -> list[str]:
        """The plain ssh command to a node."""
        return ["ssh", "-F", str(self.lab.ssh_config_path), node, *words]


def arguments(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="how often each case is run (%(default)s)")
    return parser


def environment(folder: Path) -> dict[str, str]:
    """An environment in which nothing of the user's own settings is read, and byte code is kept.

    An installed package has its byte code beside it; `inv` on a checkout would compile dgummy anew each time.
    """
    dropped = ("DGUMMY_", "INVOKE_", "GIT_", "XDG_", "PYTHON")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return env | {
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(folder / ".pycache"),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="dgummy-bench-") as name:
        yield Path(name).resolve()


@contextlib.contextmanager
def place(nodes: int, *, files: int = 0) -> Iterator[Place]:
    """A lab of so many nodes and a small git project, or one of `files` files, beside it."""
    with scratch() as folder:
        home = folder / "home"
        home.mkdir()
        lab = labs.up(folder / "lab", nodes, down_nodes=0)
        try:
            env = environment(home) | {"DGUMMY_CONFIG": str(lab.config_path)}
            yield Place(home, make_project(home / "project", files), lab, env)
        finally:
            labs.down(lab)


def make_project(folder: Path, files: int = 0) -> Path:
    """A git project with a tasks.py; with `files`, so many more of about 2 KB each, 50 to a folder."""
    labs.make_sample_project(folder)
    (folder / "tasks.py").write_text('from dgummy.tasks import ns\n\n__all__ = ["ns"]\n', encoding="utf-8")
    for number in range(files):
        part = folder / f"part{number // 2500}" / f"folder{number // 50 % 50}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"file{number}.txt").write_text(f"{number}\n" * (1000 // len(str(number))), encoding="utf-8")
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@lab.invalid"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=more"], check=True)
    return folder


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    piped: bool = False,
    code: int = 0,
) -> Sample:
    """Run a program to its end. What it prints goes to /dev/null, or, `piped`, to us, who throw it away.

    SystemExit if it does not end with `code`. Linux counts the memory of this process into that of a child it has just
    made, so keep this one small.
    """
    began = time.monotonic()
    stdout = subprocess.PIPE if piped else subprocess.DEVNULL
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=complaints, bufsize=0
        )
        while process.stdout is not None and process.stdout.read(READ_BYTES):
            pass
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != code:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}:\n{said}")
    return Sample(wall_s, used.ru_utime + used.ru_stime, _rss_bytes(used))


def inv(where: Place, *words: str) -> Callable[[], Sample]:
    """A case: `inv WORDS` in the project. It is run once beforehand, to keep its byte code."""
    run([INV, "--write-pyc", *words], cwd=where.project, env=where.env)
    return lambda: run([INV, *words], cwd=where.project, env=where.env)


def interleaved(cases: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, list[Sample]]:
    """Run every case `rounds` times, in turn."""
    taken: dict[str, list[Sample]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            taken[name].append(case())
    return taken


def ratios(taken: Mapping[str, Sequence[Sample]], name: str, base: str) -> list[float]:
    """How much longer a case took than another, round by round."""
    return [mine.wall_s / other.wall_s for mine, other in zip(taken[name], taken[base], strict=True)]


def show(title: str, taken: Mapping[str, Sequence[Sample]], limits: Mapping[str, Limit]) -> bool:
    """Print a table; whether every limit is kept."""
    rounds = len(next(iter(taken.values())))
    print(f"{title} ({rounds} rounds, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs)")
    width = max(map(len, taken))
    print(f"  {'':{width}}  median     min   CPU     RSS    ratio (middle half)  by minimum  limit")
    good = True
    for name, samples in taken.items():
        walls = [sample.wall_s for sample in samples]
        cpu_s = statistics.median(sample.cpu_s for sample in samples)
        rss_bytes = max(sample.peak_rss_bytes for sample in samples)
        line = f"  {name:{width}}  {statistics.median(walls):6.3f}  {min(walls):6.3f}  {cpu_s:4.2f}"
        line += f"  {rss_bytes / 1e6:4.0f}MB"
        limit = limits.get(name)
        if limit is not None:
            found = ratios(taken, name, limit.base)
            ratio, (low, _, high) = statistics.median(found), statistics.quantiles(found, n=4)
            by_minimum = min(walls) / min(sample.wall_s for sample in taken[limit.base])
            line += f"  {ratio:6.2f} ({low:.2f}..{high:.2f})      {by_minimum:6.2f}"
            kept = (limit.ratio is None or ratio <= limit.ratio) and rss_bytes <= (limit.rss_bytes or rss_bytes)
            good = good and kept
            line += _asked(limit, kept=kept)
        print(line)
    return good


def _asked(limit: Limit, *, kept: bool) -> str:
    words = [] if limit.ratio is None else [f"{limit.ratio:g} x"]
    words += [] if limit.rss_bytes is None else [f"{limit.rss_bytes / 1e6:.0f} MB"]
    return f"      {', '.join(words)}: {'kept' if kept else 'NOT KEPT'}" if words else ""


def _rss_bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss if sys.platform == "darwin" else used.ru_maxrss * 1024
