"""What a probe of a host printed, made into a `Sample`. Pure.

`remote/probe.sh` sends raw lines: of /proc, of cgroup files, of sysctl, vm_stat, iostat and df. All
arithmetic is here. Every figure stands for itself: one that cannot be read is None, and the others stay.

Formats: proc(5), cgroups(7) and the kernel's documents on cgroup v1, cgroup v2 and PSI; vm_stat(1) and
iostat(8) of macOS; sysctl(8) and vmstat(8) of the BSDs; df -P as in POSIX.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from dgummy.model import ActiveRun, Sample
from dgummy.transport.framing import Fact

# fmt: off
TOOLS: tuple[str, ...] = (
    "rsync", "git", "gummy", "claude", "jq", "tmux", "docker", "podman", "node", "npm", "pnpm", "yarn", "bun",
    "deno", "python3", "uv", "cargo", "go", "java", "ruby", "make", "cmake", "gcc", "clang", "psql",
    "nvidia-smi", "tailscale",
)
# fmt: on
"""The programs that a probe looks for when nothing else is asked."""

LOCK_LEASE_S = 120.0
"""A lock of a run that has not started counts for so long after its client last renewed it."""

MAX_FACTS = 5000
MAX_RUNS = 200
MAX_TOOLS = 500
MAX_TEXT = 4096

_INT = re.compile(r"-?[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,12}(?:[.,][0-9]{1,12})?")
_RUN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_DF = re.compile(r"\s-?[0-9]+\s+-?[0-9]+\s+(-?[0-9]{1,20})\s+(?:[0-9]+%|-)(?:\s|$)")
_SYSCTL = re.compile(r"([a-z][a-z0-9_.]*)\s*[:=]\s*(.*)", re.DOTALL)
_PAGE_SIZE = re.compile(r"page size of ([0-9]{1,8}) bytes")


class _Facts:
    """The facts of one answer by name, bounded."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.ordered = [Fact(fact.name, fact.value[:MAX_TEXT]) for fact in islice(facts, MAX_FACTS)]
        self._values: dict[str, list[str]] = {}
        for fact in self.ordered:
            self._values.setdefault(fact.name, []).append(fact.value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def first(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def parse(facts: Iterable[Fact], *, received_at_s: float | None = None, lock_lease_s: float = LOCK_LEASE_S) -> Sample:
    """Read the facts of a probe.

    `received_at_s` is our own clock (epoch seconds) when the answer came; without it there is no
    `clock_offset_s`, which is good to a second. `lock_lease_s` is how long a workspace lock counts that
    nobody renews. ValueError if the answer was cut off.
    """
    known = _Facts(facts)
    if known.first("probe-end") != "ok":
        raise ValueError(f"the answer broke off after {len(known.ordered)} facts")
    os_name, _, arch = known.first("uname").partition(" ")
    sysctl = _sysctl(known)
    cpu_pct, iowait_pct = _cpu(known, sysctl)
    mem_total, mem_available = _memory(known, sysctl)
    load1, load5, load15 = _load(known, sysctl)
    now_s = _int(known.first("date"))
    offset_s = None if now_s is None or received_at_s is None else now_s - received_at_s
    return Sample(
        cpu_pct=cpu_pct,
        iowait_pct=iowait_pct,
        mem_total_bytes=mem_total,
        mem_available_bytes=mem_available,
        load1=load1,
        load5=load5,
        load15=load15,
        cores=_cores(known, sysctl),
        psi_cpu_pct=_pressure(known.first("psi-cpu")),
        psi_io_pct=_pressure(known.first("psi-io")),
        psi_mem_pct=_pressure(known.first("psi-memory")),
        disk_free_bytes=disk_free_bytes(known.first("df")),
        os=_word(os_name).lower(),
        arch=_word(arch.strip()),
        home=known.first("home"),
        tools=frozenset(islice(filter(None, map(_word, known.all("tool"))), MAX_TOOLS)),
        active_runs=_active_runs(known, now_s, lock_lease_s),
        clock_offset_s=offset_s,
        boot_id=_word(known.first("boot")),
    )


def _int(text: str) -> int | None:
    """Read a whole number, or None."""
    text = text.strip()
    return int(text) if _INT.fullmatch(text) else None


def _count(text: str) -> int | None:
    """Read a whole number that is not negative, or None."""
    number = _int(text)
    return number if number is not None and number >= 0 else None


def _decimal(text: str) -> float | None:
    """Read a number that is not negative, or None. A decimal comma is taken too."""
    return float(text.replace(",", ".")) if _DECIMAL.fullmatch(text) else None


def _word(text: str) -> str:
    return text if _WORD.fullmatch(text) else ""


def _sysctl(known: _Facts) -> dict[str, list[str]]:
    """Sort sysctl lines by name.

    `NAME: VALUE` on macOS and FreeBSD, `NAME=VALUE` on OpenBSD, `NAME = VALUE` on NetBSD.
    """
    values: dict[str, list[str]] = {}
    for line in known.all("sysctl"):
        match = _SYSCTL.fullmatch(line)
        if match:
            values.setdefault(match[1], []).append(match[2])
    return values


def _sysctl_count(sysctl: dict[str, list[str]], *names: str) -> int | None:
    """Read the first of these names that has a number."""
    for name in names:
        number = _count(next(iter(sysctl.get(name, [])), ""))
        if number is not None:
            return number
    return None


# CPU


def _cpu(known: _Facts, sysctl: dict[str, list[str]]) -> tuple[float | None, float | None]:
    """Busy and I/O-wait per cent between two readings."""
    if known.all("stat"):
        readings = [ticks for ticks in map(_stat_ticks, known.all("stat")) if ticks]
        delta = _delta(readings)
        # user nice system idle iowait irq softirq steal; proc(5)
        return _share(delta, idle=(3, 4)), _share(delta, only=4)
    if "kern.cp_time" in sysctl:
        readings = [ticks for ticks in map(_cp_time_ticks, sysctl["kern.cp_time"]) if ticks]
        delta = _delta(readings)
        return _share(delta, idle=(len(delta) - 1,)), None
    return _iostat_busy_pct(known.all("iostat")), None


def _stat_ticks(line: str) -> list[int]:
    """Read a `cpu ` line. Guest time is part of user time already, so the last two counters are left out."""
    fields = line.split()
    ticks = [_count(field) for field in fields[1:9]]
    good = [tick for tick in ticks if tick is not None]
    return good if fields[:1] == ["cpu"] and len(good) == len(ticks) >= 4 else []


def _cp_time_ticks(value: str) -> list[int]:
    """Read kern.cp_time; idle is the last (FreeBSD has five, OpenBSD six)."""
    ticks = [int(number) for number in re.findall(r"[0-9]{1,20}", value, re.ASCII)[:8]]
    return ticks if len(ticks) >= 5 else []


def _delta(readings: list[list[int]]) -> list[int]:
    """Ticks between the first and the last reading; since boot, if no time passed between them.

    A counter that went backwards (iowait does, and so does everything when a container moves) did not move.
    """
    if not readings:
        return []
    first, last = readings[0], readings[-1]
    if len(readings) == 1 or len(first) != len(last):
        return last
    moved = [max(0, after - before) for before, after in zip(first, last, strict=True)]
    return moved if any(moved) else last


def _share(ticks: list[int], *, idle: tuple[int, ...] = (), only: int | None = None) -> float | None:
    """Per cent of all ticks that are `only`, or that are not `idle`."""
    total = sum(ticks)
    if total <= 0:
        return None
    if only is not None:
        return 100.0 * ticks[only] / total if only < len(ticks) else None
    return 100.0 * (total - sum(ticks[i] for i in idle if i < len(ticks))) / total


def _iostat_busy_pct(lines: list[str]) -> float | None:
    """Read the last line of macOS' iostat: `us sy id 1m 5m 15m`, from its end so that disks do not matter.

    The first line is the average since boot.
    """
    rows = [line.split() for line in lines]
    figures = [row[-6:] for row in rows if len(row) >= 6 and all(map(_DECIMAL.fullmatch, row[-6:]))]
    if not figures:
        return None
    idle = _decimal(figures[-1][2])
    return None if idle is None or idle > 100 else 100.0 - idle


def _load(known: _Facts, sysctl: dict[str, list[str]]) -> tuple[float | None, float | None, float | None]:
    """Load averages: `0.1 0.2 0.3 …` of /proc/loadavg, `{ 0.1 0.2 0.3 }` of vm.loadavg."""
    text = known.first("loadavg") or next(iter(sysctl.get("vm.loadavg", [])), "")
    fields = [_decimal(word) for word in text.split() if word not in ("{", "}")]
    load1, load5, load15 = (*fields[:3], None, None, None)[:3]
    return load1, load5, load15


def _pressure(line: str) -> float | None:
    match = re.fullmatch(r"some avg10=([0-9]{1,3}(?:\.[0-9]{1,6})?)(?: .*)?", line)
    return min(100.0, float(match[1])) if match else None


# Cores and memory


def _cores(known: _Facts, sysctl: dict[str, list[str]]) -> float | None:
    """Find the least of what affinity, the kernel's list and every cgroup quota above us allow."""
    limits = [
        float(count)
        for count in (
            _count(known.first("nproc")),
            _count(known.first("cpus")),
            _sysctl_count(sysctl, "hw.ncpuonline", "hw.ncpu"),
        )
        if count
    ]
    for line in known.all("cgroup-cpu"):
        quota, period = (*map(_count, line.split()[:2]), None, None)[:2]  # "max" and -1 mean no limit
        if quota and period:
            limits.append(max(0.1, quota / period))
    return min(limits, default=None)


def _memory(known: _Facts, sysctl: dict[str, list[str]]) -> tuple[int | None, int | None]:
    """Bytes in all and available, within what each cgroup above us allows."""
    machine_total, available = _machine_memory(known, sysctl)
    total = machine_total
    for line in known.all("cgroup-memory"):
        limit, current, cache = (*map(_count, line.split()[:3]), None, None, None)[:3]
        if not limit or (machine_total is not None and limit >= machine_total):
            continue
        total = limit if total is None else min(total, limit)
        if current is not None:
            # Cached files count as used, but the kernel drops them first: else a build host looks full.
            free = max(0, limit - max(0, current - (cache or 0)))
            available = free if available is None else min(available, free)
    if total is not None and available is not None:
        available = min(available, total)
    return total, available


def _machine_memory(known: _Facts, sysctl: dict[str, list[str]]) -> tuple[int | None, int | None]:
    if known.all("meminfo"):
        return _linux_memory(known.all("meminfo"))
    total = _sysctl_count(sysctl, "hw.memsize", "hw.physmem64", "hw.physmem")
    if known.all("vm_stat"):
        available = _vm_stat_available(known.all("vm_stat"))
    elif known.all("vmstat"):
        available = _vmstat_available(known.all("vmstat"))
    else:
        available = _freebsd_available(sysctl)
    if total is not None and available is not None:
        available = min(available, total)
    return total, available


def _linux_memory(lines: list[str]) -> tuple[int | None, int | None]:
    """/proc/meminfo, in kB. Kernels before 3.14 have no MemAvailable: free and cached come near it."""
    kib: dict[str, int] = {}
    for line in lines:
        key, _, value = line.partition(":")
        number = _count((value.split() or [""])[0])
        if number is not None:
            kib.setdefault(key, number)
    available = kib.get("MemAvailable")
    if available is None and "MemFree" in kib:
        available = kib["MemFree"] + kib.get("Buffers", 0) + kib.get("Cached", 0)
    total = kib.get("MemTotal") or None
    if total is not None and available is not None:
        available = min(available, total)
    return (
        None if total is None else total * 1024,
        None if available is None else available * 1024,
    )


def _vm_stat_available(lines: list[str]) -> int | None:
    """MacOS: free, speculative (left out of "Pages free") and inactive pages."""
    size = _PAGE_SIZE.search(lines[0])
    pages: dict[str, int] = {}
    for line in lines[1:]:
        key, _, value = line.partition(":")
        number = _count(value.strip().rstrip("."))
        if number is not None:
            pages.setdefault(key, number)
    if size is None or "Pages free" not in pages:
        return None
    kinds = ("Pages free", "Pages speculative", "Pages inactive")
    return int(size[1]) * sum(pages.get(kind, 0) for kind in kinds)


def _vmstat_available(lines: list[str]) -> int | None:
    """`vmstat -s` of OpenBSD and NetBSD: `4096 bytes per page`, `1234 pages free`, `56 pages inactive`."""
    counts: dict[str, int] = {}
    for line in lines:
        value, _, key = line.strip().partition(" ")
        number = _count(value)
        if number is not None:
            counts.setdefault(key.strip(), number)
    size, free = counts.get("bytes per page"), counts.get("pages free")
    if not size or free is None:
        return None
    return size * (free + counts.get("pages inactive", 0))


def _freebsd_available(sysctl: dict[str, list[str]]) -> int | None:
    """FreeBSD: free, inactive and cache pages, and what the ZFS cache would give back."""
    size = _sysctl_count(sysctl, "hw.pagesize")
    free = _sysctl_count(sysctl, "vm.stats.vm.v_free_count")
    if not size or free is None:
        return None
    pages = free + sum(_sysctl_count(sysctl, f"vm.stats.vm.v_{kind}_count") or 0 for kind in ("inactive", "cache"))
    arc = _sysctl_count(sysctl, "kstat.zfs.misc.arcstats.size") or 0
    arc_least = _sysctl_count(sysctl, "kstat.zfs.misc.arcstats.c_min") or 0
    return size * pages + max(0, arc - arc_least)


def disk_free_bytes(line: str) -> int | None:
    """Read the fourth column of `df -Pk`, found by its shape: names of file systems may hold blanks."""
    match = _DF.search(line)
    return max(0, int(match[1])) * 1024 if match else None


# Runs


def _active_runs(known: _Facts, now_s: int | None, lock_lease_s: float) -> tuple[ActiveRun, ...]:
    """List runs that are alive, then syncs under way: locks of runs that have not started."""
    runs: dict[str, ActiveRun] = {}
    for run_id, state, since, details in _records(known, "run"):
        if state in ("running", "claimed") and len(runs) < MAX_RUNS:
            runs.setdefault(run_id, _run(run_id, state, _age_s(now_s, since), details, "workspace"))
    for run_id, state, since, details in _records(known, "lock"):
        age_s = _age_s(now_s, since)
        # A lock whose client is gone, or whose run is over, is taken over by the next one.
        renewed = state == "running" or (age_s is not None and age_s <= lock_lease_s)
        if renewed and state not in ("ended", "void", "lost") and len(runs) < 2 * MAX_RUNS:
            runs.setdefault(run_id, _run(run_id, state, age_s, details, "path"))
    return tuple(runs.values())


def _run(run_id: str, state: str, age_s: float | None, details: dict[str, str], workspace: str) -> ActiveRun:
    return ActiveRun(
        run_id,
        age_s or 0.0,
        workspace=details.get(workspace, ""),
        owner=details.get("owner", ""),
        started=state == "running",
    )


def _records(known: _Facts, name: str) -> list[tuple[str, str, int | None, dict[str, str]]]:
    """Facts `NAME ID STATE SINCE`, each with the facts `NAME-KEY VALUE` that follow it."""
    records: list[tuple[str, str, int | None, dict[str, str]]] = []
    details: dict[str, str] = {}
    for fact in known.ordered:
        if fact.name == name:
            run_id, state, since = (*fact.value.split(" ", 2), "", "")[:3]
            details = {}
            if _RUN_ID.fullmatch(run_id):
                records.append((run_id, state, _count(since), details))
        elif fact.name.startswith(f"{name}-"):
            details.setdefault(fact.name[len(name) + 1 :], fact.value)
    return records


def _age_s(now_s: int | None, since_s: int | None) -> float | None:
    return None if now_s is None or since_s is None else float(max(0, now_s - since_s))
