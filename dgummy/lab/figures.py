"""The load that a node shows: a small look-alike of /proc, in the formats of proc(5) and the kernel's PSI."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dgummy.errors import UsageError
from dgummy.lab.records import Lab

_JIFFIES_PER_CORE = 1_000_000
_MEMORY_KB_PER_CORE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Figures:
    """What a node is made to show.

    cpu_pct, iowait_pct: of all cores, 0..100, together not above 100. mem_pct: memory in use, 0..100. load1:
    load average of the last minute. psi_io_pct: the kernel's `some avg10` for I/O, 0..100; None without PSI.
    """

    cpu_pct: float = 20.0
    iowait_pct: float = 10.0
    mem_pct: float = 40.0
    load1: float = 0.5
    cores: int = 4
    psi_io_pct: float | None = None

    def __post_init__(self) -> None:
        percentages = (self.cpu_pct, self.iowait_pct, self.mem_pct, self.psi_io_pct or 0.0)
        if not all(0 <= value <= 100 for value in (*percentages, self.cpu_pct + self.iowait_pct)):
            raise UsageError(f"figures out of range: {self}", "percentages are 0 to 100, CPU and I/O wait together too")
        if self.cores < 1 or not self.load1 >= 0:
            raise UsageError(f"figures out of range: {self}", "a node has at least one core and no negative load")


_FIRST = (
    Figures(cpu_pct=15, iowait_pct=45, mem_pct=35, load1=0.72, cores=4, psi_io_pct=45),
    Figures(cpu_pct=65, iowait_pct=12, mem_pct=40, load1=2.6, cores=4, psi_io_pct=12),
    Figures(cpu_pct=45, iowait_pct=20, mem_pct=55, load1=3.2, cores=8, psi_io_pct=20),
    Figures(cpu_pct=30, iowait_pct=30, mem_pct=50, load1=0.9, cores=2, psi_io_pct=30),
)


def default_figures(index: int) -> Figures:
    """Make up figures for the node at `index` (0 is node-1).

    node-1 has the freest CPU, node-2 the freest disk; all others lie between.
    """
    if index < len(_FIRST):
        return _FIRST[index]
    iowait_pct = 14.0 + index * 13 % 28
    cores = (2, 4, 8)[index % 3]
    return Figures(
        cpu_pct=18.0 + index * 17 % 40,
        iowait_pct=iowait_pct,
        mem_pct=37.0 + index * 7 % 30,
        load1=round(cores * (0.22 + index * 11 % 50 / 100), 2),
        cores=cores,
        psi_io_pct=iowait_pct,
    )


def set_figures(lab: Lab, node: str, figures: Figures) -> None:
    """Make a node show other figures from now on. A load cache may show the old ones until it expires."""
    write_lookalike(lab.node(node).root, figures)


def write_lookalike(root: Path, figures: Figures) -> None:
    """Write `root`/proc. Each file is replaced at once, so that a probe never reads half of one."""
    files = {
        "stat": _stat(figures),
        "meminfo": _meminfo(figures),
        "loadavg": f"{figures.load1:.2f} {figures.load1:.2f} {figures.load1:.2f} 1/100 4242\n",
    }
    pressure = root / "proc/pressure"
    if figures.psi_io_pct is None:
        shutil.rmtree(pressure, ignore_errors=True)
    else:
        files["pressure/io"] = _pressure(figures.psi_io_pct)
        files["pressure/cpu"] = _pressure(min(100.0, max(0.0, 100 * (figures.load1 / figures.cores - 1))))
        files["pressure/memory"] = _pressure(0.0)
    for name, text in files.items():
        _replace(root / "proc" / name, text)


def write_boot_id(root: Path, boot_id: str) -> None:
    """Give the node's machine a boot id; another one means that it was restarted."""
    _replace(root / "proc/sys/kernel/random/boot_id", boot_id + "\n")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="ascii")
    fresh.replace(path)


def _stat(figures: Figures) -> str:
    """Write proc/stat. Two readings of it are equal, so what a probe sees is the average since boot."""
    busy = round(figures.cpu_pct / 100 * _JIFFIES_PER_CORE)
    iowait = round(figures.iowait_pct / 100 * _JIFFIES_PER_CORE)
    system = busy // 4
    # user nice system idle iowait irq softirq steal guest guest_nice
    per_core = [busy - system, 0, system, _JIFFIES_PER_CORE - busy - iowait, iowait, 0, 0, 0, 0, 0]
    lines = ["cpu  " + " ".join(str(value * figures.cores) for value in per_core)]
    lines += [f"cpu{core} " + " ".join(map(str, per_core)) for core in range(figures.cores)]
    lines += ["ctxt 1000", "btime 1700000000", "processes 1000", "procs_running 1", "procs_blocked 0"]
    return "\n".join(lines) + "\n"


def _meminfo(figures: Figures) -> str:
    total = figures.cores * _MEMORY_KB_PER_CORE
    available = total - round(figures.mem_pct / 100 * total)
    sizes = {
        "MemTotal": total,
        # Most of what is available is page cache: MemFree alone would make the node look full.
        "MemFree": available // 10,
        "MemAvailable": available,
        "Buffers": available // 10,
        "Cached": available * 8 // 10,
        "SwapTotal": 0,
        "SwapFree": 0,
    }
    return "".join(f"{name + ':':<16}{size:>12} kB\n" for name, size in sizes.items())


def _pressure(some_pct: float) -> str:
    return "".join(
        f"{kind} avg10={value:.2f} avg60={value:.2f} avg300={value:.2f} total=1000000\n"
        for kind, value in (("some", some_pct), ("full", some_pct / 2))
    )
