"""A stand-in for the `d` command: prints what the captures in tests/data/dw show, and really does ssh and rsync.

`install(folder, …)` puts a program there. Run as a program itself: standin_dw.py OPTIONS.json PROGRAM ARGS…, where
OPTIONS are those of `install`. Needs nothing but the standard library (and pyyaml, for groups).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# ruff: noqa: T201 - a program that prints

EXCLUDE = [
    *(".git", "node_modules", ".DS_Store", "*.pyc", "__pycache__", ".venv", "venv", "dist", "build"),
    *(".next", "target", ".terraform"),
]

FAULTS = (
    "hang", "garbage", "flood", "exit", "signal", "nothing", "error",
    "extra-column", "missing-column", "reordered", "extra-cell", "missing-cell", "coloured", "silent-loss",
)  # fmt: skip
"""What may be wrong with a sub-command: {"load": "hang"}. "--help" is one too."""


def install(
    folder: Path,
    *,
    name: str = "dw",
    dialect: str = "released",
    ssh_config: Path | None = None,
    faults: dict[str, str] | None = None,
    probes: bool = True,
    log: Path | None = None,
    delay_s: float = 0.0,
) -> Path:
    """Put the program NAME into FOLDER and give its path.

    dialect: released, seed, or "imposter" for something else altogether. probes: whether run looks at the load first,
    as the released one does. log: each call is added to it, as one line of JSON words. delay_s: before every answer.
    """
    assert set((faults or {}).values()) <= set(FAULTS), faults
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "dialect": dialect,
        "ssh_config": str(ssh_config) if ssh_config else None,
        "faults": faults or {},
        "probes": probes,
        "log": str(log) if log else None,
        "delay_s": delay_s,
    }
    program = folder / name
    words = [sys.executable, str(Path(__file__).resolve()), json.dumps(options), str(program)]
    program.write_text("#!/bin/sh\nexec " + " ".join(map(shlex.quote, words)) + ' "$@"\n')
    program.chmod(0o755)
    return program


def install_words(folder: Path, **options: Any) -> list[Path]:
    """The one-word commands."""
    return [install(folder, name=f"dw{use}", **options) for use in ("load", "status", "sync", "run")]


def main(raw: str, program: str, *args: str) -> int:
    options = json.loads(raw)
    name = Path(program).name
    if options["log"]:
        with open(options["log"], "a", encoding="utf-8") as log:
            log.write(json.dumps([name, *args]) + "\n")
    time.sleep(options["delay_s"])
    words = list(args)
    match = re.fullmatch(r"dw(load|status|sync|run)", name)
    if match:
        words.insert(0, match.group(1))
        name = "dw" if options["dialect"] == "released" else name
    called = "--help" if words[-1:] == ["--help"] else next((word for word in words if not word.startswith("-")), "")
    fault = options["faults"].get(called, "")
    if fault in BREAKS:
        return BREAKS[fault]()
    kind = {"released": Released, "seed": Seed, "imposter": Imposter}[options["dialect"]]
    return int(kind(name, options, fault).main(words))


# -- faults --------------------------------------------------------------------------------------------------------


def hang() -> int:
    subprocess.run(["sleep", "60"], check=False)  # a child, so that killing one process is not enough
    return 0


def garbage() -> int:
    sys.stdout.buffer.write(bytes(range(256)) * 20 + b"\x1b[2J\x1b]0;owned\x07" + b"x" * 100_000 + b"\n")
    return 0


def flood() -> int:
    for _ in range(160):
        sys.stdout.buffer.write(b"node-1  0.66  2     33%   1%    23.40\n" * 1725)
    return 0


def exits() -> int:
    sys.stdin.buffer.read()
    print("panic: something is wrong", file=sys.stderr)
    return 2


def killed() -> int:
    print("→ about to go", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def silent_loss() -> int:
    """Takes the script, and ends as ssh does when a connection breaks."""
    sys.stdin.buffer.read()
    print("client_loop: send disconnect: Broken pipe\r\nError: exit status 255\nUsage:\n", file=sys.stderr)
    print("Error: exit status 255", file=sys.stderr)
    return 1


BREAKS = {
    "hang": hang,
    "garbage": garbage,
    "flood": flood,
    "exit": exits,
    "signal": killed,
    "nothing": lambda: 0,
    "silent-loss": silent_loss,
}


# -- what both do --------------------------------------------------------------------------------------------------

PROBE = r"""
r=$HOME/../root; [ -d "$r/proc" ] || r=
load=$(cut -d ' ' -f 1 "$r/proc/loadavg")
cpus=$(grep -c '^cpu[0-9]' "$r/proc/stat")
mem=$(awk '/^MemTotal/ { t = $2 } /^MemAvailable/ { a = $2 } END { printf "%d", 100 * (t - a) / t }' "$r/proc/meminfo")
echo "$load $cpus $mem"
"""


class FailedError(Exception):
    """Ends a sub-command with `Error: …`."""


class Base:
    def __init__(self, name: str, options: dict[str, Any], fault: str) -> None:
        self.name = name
        self.fault = fault
        self.probes = options["probes"]
        config = options["ssh_config"]
        self.config_path = Path(config or Path.home() / ".ssh" / "config")
        self.ssh = ["ssh", *(["-F", config] if config else [])]

    def main(self, words: list[str]) -> int:
        raise NotImplementedError

    def say(self, text: str) -> None:
        colour, plain = ("\x1b[38;5;86m", "\x1b[0m") if self.fault == "coloured" else ("", "")
        print(f"{colour}{text}{plain}", flush=True)

    def answers(self, host: str) -> bool:
        words = [*self.ssh, "-o", "ConnectTimeout=2", "-o", "BatchMode=yes", host, "exit"]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=2, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    def load_of(self, host: str) -> tuple[float, int, int, int, float] | None:
        """Load, CPUs, CPU%, MEM%, score."""
        if not self.answers(host):
            return None
        words = [*self.ssh, "-o", "LogLevel=QUIET", host, PROBE]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode or len(done.stdout.split()) != 3:
            return None
        load, cpus, mem = float(done.stdout.split()[0]), *map(int, done.stdout.split()[1:])
        cpu = round(100 * load / cpus)
        return load, cpus, cpu, mem, 0.7 * cpu + 0.3 * mem

    def run_on(self, host: str, command: str) -> None:
        """Standard input, output and error are the caller's."""
        code = subprocess.run([*self.ssh, host, command], check=False).returncode
        self.check(code)

    def check(self, code: int, what: str = "") -> None:
        if code:
            raise FailedError(what + (f"exit status {code}" if code > 0 else "signal: killed"))

    def push(self, path: Path, host: str, *, dry: bool) -> None:
        target = str(path).replace(str(Path.home()), "~", 1)
        self.say(f"→ Syncing to {host}:{target}...")
        words = ["rsync", "-avz", "--progress", *(["--dry-run"] if dry else [])]
        for pattern in EXCLUDE:
            words += ["--exclude", pattern]
        words += ["-e", " ".join(self.ssh), f"{path}/", f"{host}:{target}/"]
        self.check(subprocess.run(words, check=False).returncode, f"rsync to {host} failed: ")

    def groups(self) -> dict[str, list[str]]:
        import yaml

        path = Path.home() / ".config/distributed/config.yaml"
        text = path.read_text() if path.exists() else "groups: {dev: []}"
        return {name: list(members or ()) for name, members in yaml.safe_load(text)["groups"].items()}

    def ssh_hosts(self) -> list[tuple[str, str]]:
        """Name and address of every Host whose first word has no star."""
        found: list[tuple[str, str]] = []
        skipped = True
        for line in self.config_path.read_text().splitlines():
            key, _, rest = line.strip().partition(" ")
            if key.lower() == "host":
                first = rest.split()[0]
                skipped = "*" in first
                found += [] if skipped else [(first, "")]
            elif key.lower() == "hostname" and not skipped:
                found[-1] = (found[-1][0], rest.strip())
        return found


# -- the released one ----------------------------------------------------------------------------------------------

ABOUT = {
    "load": ("load", "Show load across all hosts"),
    "run": ("run [command...]", "Run command on best host"),
    "status": ("status", "Show status of all hosts"),
    "sync": ("sync [path]", "Sync directory to remote hosts"),
}
GLOBAL_FLAGS = """\
      --all            Target all hosts in group
  -g, --group string   Target group (default "dev")
{help}      --host string    Target specific host
"""
TOP_HELP = """\
Manage distributed development across multiple machines using SSH and rsync

Usage:
  {name} [command]

Available Commands:
  completion  Generate the autocompletion script for the specified shell
  config      Manage configuration
  help        Help about any command
  load        Show load across all hosts
  run         Run command on best host
  status      Show status of all hosts
  sync        Sync directory to remote hosts

Flags:
{flags}
Use "{name} [command] --help" for more information about a command.
"""


class Released(Base):
    use = ""

    def main(self, words: list[str]) -> int:
        try:
            flags, rest = self.parse(words)
            if flags.get("help") or not rest:
                print(self.help(rest[0] if rest else ""), end="")
                return 0
            self.use, *rest = rest
            getattr(self, self.use)(flags, rest)
        except FailedError as error:
            again = f"Run '{self.name} --help' for usage.\n" if self.use not in ABOUT else self.usage(self.use) + "\n"
            sys.stdout.flush()
            print(f"Error: {error}\n{again}Error: {error}", file=sys.stderr)
            return 1
        return 0

    def parse(self, words: list[str]) -> tuple[dict[str, str], list[str]]:
        """Flags may stand anywhere before `--`, as cobra has it."""
        flags: dict[str, str] = {}
        rest: list[str] = []
        waiting = list(words)
        while waiting:
            word = waiting.pop(0)
            if word == "--":
                rest += waiting
                break
            if not word.startswith("-") or word == "-":
                rest.append(word)
                self.use = rest[0] if rest[0] in ABOUT else self.use
                continue
            name, has_value, value = word.lstrip("-").partition("=")
            name = {"g": "group", "h": "help"}.get(name, name)
            if name in ("group", "host"):
                flags[name] = value if has_value else waiting.pop(0)
            elif name in ("all", "help") or (name == "dry-run" and self.use == "sync"):
                flags[name] = "yes"
            elif word.startswith("--"):
                raise FailedError(f"unknown flag: --{name}")
            else:
                raise FailedError(f"unknown shorthand flag: {word[1]!r} in {word}")
        if rest and rest[0] not in (*ABOUT, "config"):
            raise FailedError(f'unknown command "{rest[0]}" for "{self.name}"')
        return flags, rest

    def help(self, use: str) -> str:
        if use in ABOUT:
            return f"{ABOUT[use][1]}\n\n{self.usage(use)}"
        flags = GLOBAL_FLAGS.format(help=f"  -h, --help           help for {self.name}\n")
        return TOP_HELP.format(name=self.name, flags=flags)

    def usage(self, use: str) -> str:
        own = f"  -h, --help   help for {use}\n"
        if use == "sync":
            own = "      --dry-run   Show what would be synced\n  -h, --help      help for sync\n"
        globals_ = GLOBAL_FLAGS.format(help="")
        return f"Usage:\n  {self.name} {ABOUT[use][0]} [flags]\n\nFlags:\n{own}\nGlobal Flags:\n{globals_}"

    def targets(self, flags: dict[str, str]) -> list[str]:
        if "host" in flags:
            return [flags["host"]]
        group = flags.get("group", "dev")
        groups = self.groups()
        if group not in groups:
            raise FailedError(f'group "{group}" not found')
        if not groups[group]:
            raise FailedError(f'no hosts in group "{group}"')
        return groups[group]

    def status(self, flags: dict[str, str], rest: list[str]) -> None:
        self.say("→ Checking hosts...")
        rows = [["HOST", "STATUS", "ADDRESS"]]
        for host, address in self.ssh_hosts():
            rows.append([host, "✓ online" if self.answers(host) else "✗ offline", address])
        self.table(rows)

    def load(self, flags: dict[str, str], rest: list[str]) -> None:
        if self.fault == "error":
            raise FailedError('group "dev" not found')
        rows = [["HOST", "LOAD", "CPUS", "CPU%", "MEM%", "SCORE"]]
        best = None
        for host in self.targets(flags):
            self.say(f"→ Checking {host}...")
            found = self.load_of(host)
            if found is None:
                rows.append([host, *"-----"])
                continue
            load, cpus, cpu, mem, score = found
            mark = ""
            if best is None or score < best:
                best, mark = score, " ←"
            rows.append([host, f"{load:.2f}", str(cpus), f"{cpu}%", f"{mem}%", f"{score:.2f}{mark}"])
        self.table(self.spoilt(rows))

    def spoilt(self, rows: list[list[str]]) -> list[list[str]]:
        if self.fault == "extra-column":
            return [[*row[:2], "TEMP" if index == 0 else "41.5", *row[2:]] for index, row in enumerate(rows)]
        if self.fault == "missing-column":
            return [[*row[:2], *row[3:]] for row in rows]
        if self.fault == "reordered":
            return [[row[4], row[0], row[5].removesuffix(" ←"), row[3], row[2], row[1]] for row in rows]
        if self.fault == "extra-cell":
            return [rows[0], *([*row[:2], "41.5", *row[2:]] for row in rows[1:])]
        if self.fault == "missing-cell":
            return [rows[0], *([*row[:1], *row[2:]] for row in rows[1:])]
        return rows

    def table(self, rows: list[list[str]]) -> None:
        widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(rows[-1]) - 1)]
        for row in rows:
            padded = [cell.ljust(width + 2) for cell, width in zip(row[:-1], [*widths, 0], strict=False)]
            print("".join(padded) + row[-1])

    def sync(self, flags: dict[str, str], rest: list[str]) -> None:
        path = Path(os.path.abspath(rest[0] if rest else "."))  # noqa: PTH100 - links stay
        hosts = self.targets(flags)
        dry = "dry-run" in flags
        if dry:
            self.say("→ Dry run - no files will be transferred")
        if not path.exists():
            raise FailedError(f"path does not exist: {path}")
        for host in hosts:
            self.push(path, host, dry=dry)
        self.say("✓ Sync complete")

    def run(self, flags: dict[str, str], rest: list[str]) -> None:
        if not rest:
            raise FailedError("requires at least 1 arg(s), only received 0")
        command = " ".join(rest)
        hosts = self.targets(flags)
        if "all" in flags:
            self.run_everywhere(hosts, command)
            return
        self.say("→ Finding best host...")
        loads = {host: self.load_of(host) if self.probes else (0.0, 1, 0, 0, 0.0) for host in hosts}
        scores = {host: found[4] for host, found in loads.items() if found is not None}
        if not scores:
            raise FailedError("no reachable hosts found")
        best = min(scores, key=lambda host: scores[host])
        self.say(f"→ Running on {best} (score: {scores[best]:.2f})")
        self.run_on(best, command)

    def run_everywhere(self, hosts: list[str], command: str) -> None:
        self.say(f"→ Running on all hosts: {', '.join(hosts)}")
        failures: list[FailedError] = []

        def one(host: str) -> None:
            self.say(f"\n→ Running on {host}")
            try:
                self.run_on(host, command)
            except FailedError as error:
                failures.append(error)

        with ThreadPoolExecutor(len(hosts)) as threads:
            list(threads.map(one, hosts))
        if failures:
            raise failures[-1]

    def config(self, flags: dict[str, str], rest: list[str]) -> None:
        print("Groups:")
        for name, members in self.groups().items():
            print(f"  {name}: {', '.join(members)}")


# -- the one of the design document --------------------------------------------------------------------------------


class Seed(Base):
    def main(self, words: list[str]) -> int:
        one_word = self.name.startswith("dw") and self.name != "dw"
        if words in ([], ["--help"]) or (words[1:] == ["--help"] and words[0] not in ("run", "sync")):
            print(f"Usage: {self.name}" if one_word else self.help())
            return 0
        if words[1:] == ["--help"]:
            begin = self.name if one_word else f"{self.name} {words[0]}"
            print(f"Usage: {begin} <host>" + (" <command>" if words[0] == "run" else ""))
            return 0
        try:
            getattr(self, words[0])(*words[1:])
        except FailedError as error:
            sys.stdout.flush()
            print(f"Error: {error}", file=sys.stderr)
            return 1
        return 0

    def help(self) -> str:
        return (
            f"Usage: {self.name} <command> [args]\n\nCommands:\n  load               show load\n"
            "  status             show who is up\n  sync <host>        push this folder\n"
            "  run <host> <command>  run it there\n"
        )

    def load(self) -> None:
        for host, _ in self.ssh_hosts():
            found = self.load_of(host)
            if found is None:
                print(f"{host}    offline")
                continue
            load, _, cpu, mem, _ = found
            print(f"{host}    CPU: {cpu}%  MEM: {mem}%  LOAD: {load:.2f}  SCORE: {(cpu + mem) / 200:.2f}")

    def status(self) -> None:
        for host, address in self.ssh_hosts():
            print(f"{host}    {'online' if self.answers(host) else 'offline'}   {address}")

    def sync(self, host: str) -> None:
        self.push(Path.cwd(), host, dry=False)

    def run(self, host: str, command: str) -> None:
        self.run_on(host, command)


class Imposter(Base):
    """Something else that is called `d`, and takes what it is told literally."""

    def main(self, words: list[str]) -> int:
        if "--help" not in words:
            Path("imposter-was-here").write_text("")
        print("Usage: d [OPTION]... [FILE]...\nSort directories by size.\n\n  -h, --host string   a host\n")
        return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
