"""What the `d` command prints, read. Pure.

The released program prints tables with a header, that of the design document lines such as
`host1  CPU: 15%  MEM: 45%` (the two dialects: `dgummy.dhelp`). Whatever it prints is data: bounded, stripped of
terminal escapes, and either understood or a `DParseError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dgummy.hostset import check_name
from dgummy.model import Sample
from dgummy.transport.plaintext import printable

SYNC_EXCLUDE = (
    ".git node_modules .DS_Store *.pyc __pycache__ .venv venv dist build .next target .terraform".split()  # noqa: SIM905
)
"""What the released `sync` leaves out, always: rsync patterns."""

MAX_CHARS = 256 * 1024
MAX_LINE_CHARS = 4096
_TAIL_CHARS = 64 * 1024
_SHOWN_CHARS = 200

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_FIGURE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_CELL = re.compile(r"\S+(?: \S+)*")


class DParseError(ValueError):
    """What `d` printed makes no sense; `line` is the line in question, fit to be shown."""

    def __init__(self, message: str, line: str = "") -> None:
        self.line = printable(line[: 4 * _SHOWN_CHARS])[:_SHOWN_CHARS]
        super().__init__(f"{message}: {self.line!r}" if self.line else message)


# -- plain text ----------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """`text` without the sequences that colour it or move the cursor."""
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def last_lines(text: str, count: int = 3) -> list[str]:
    """The last `count` lines that say something, each one cleaned and cut. Looks at the end of `text` only."""
    lines: list[str] = []
    for line in reversed(re.split("[\r\n]", plain(text[-_TAIL_CHARS:]))):
        shown = printable(line[:MAX_LINE_CHARS])[:_SHOWN_CHARS]
        if shown:
            lines.append(shown)
        if len(lines) >= count:
            break
    return lines[::-1]


def _lines(text: str) -> Iterator[str]:
    if len(text) > MAX_CHARS:
        raise DParseError(f"more than {MAX_CHARS} characters", text)
    for line in re.split("[\r\n]", plain(text)):
        if line.strip():
            yield line.rstrip()


def _is_chatter(line: str) -> bool:
    """Whether a line is none of a table: arrows, ticks and rules come first in what is only for people."""
    first = line.lstrip()[0]
    is_word = first.isalnum() or first in "_[:-" or ord(first) < 32
    return not is_word or not line.strip(" -=") or line.endswith(("...", "…"))


# -- load ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DLoad:
    """One host of `d load`. None is a figure that was not given; no figure at all is a host that did not answer.

    `load1` is the one-minute load average. `cpu_pct` is as printed: load/cores×100 in the released program, so it may
    pass 100. Its SCORE (0.7×CPU% + 0.3×MEM%, on a scale of 0 to 100) is not read.
    """

    host: str
    load1: float | None = None
    cores: int | None = None
    cpu_pct: float | None = None
    mem_pct: float | None = None

    @property
    def reachable(self) -> bool:
        """Whether there is any figure."""
        return any(value is not None for value in (self.load1, self.cpu_pct, self.mem_pct))


def parse_load(text: str) -> tuple[DLoad, ...]:
    """Read what `load` printed, in either format. DParseError if there is no table, or a line of it is odd.

    Tables are read by their header, so columns may be in any order, and there may be others. A row with more or fewer
    cells than the header is refused: its figures could be those of other columns.
    """
    rows = _figures(text)
    found = {row.get("HOST", ""): _load_row(row, line) for row, line in rows}
    return tuple(found.values())


def _figures(text: str) -> list[tuple[dict[str, str], str]]:
    """Each host's cells by column, with the line they are from."""
    lines = [line for line in _lines(text) if not _is_chatter(line)]
    pairs = [_seed_figures(line) for line in lines]
    if any(pairs):
        return [(pair or _seed_down(line), line) for pair, line in zip(pairs, lines, strict=True)]
    rows = list(_table(lines, frozenset({"LOAD", "CPU%", "MEM%"})))
    if not rows:
        raise DParseError("no table of hosts", lines[0] if lines else "")
    return rows


_SEED_FIGURE = re.compile(r"\b([A-Za-z]+):\s*(\S+)")
_SEED_HOST = re.compile(r"\s*(\S+)\s+(?=[A-Za-z]+:\s*\S)")
_SEED_NAMES = {"CPU": "CPU%", "MEM": "MEM%", "LOAD": "LOAD", "CPUS": "CPUS", "CORES": "CPUS"}
_DOWN_WORDS = frozenset({"offline", "down", "unreachable", "timeout", "-"})
_UP_WORDS = frozenset({"online", "up", "reachable"})


def _seed_figures(line: str) -> dict[str, str] | None:
    """`host1    CPU: 15%  MEM: 45%  LOAD: 0.23`; None if it is no such line."""
    host = _SEED_HOST.match(line[:MAX_LINE_CHARS])
    if host is None or host.group(1).endswith(":"):
        return None
    pairs = [(name.upper(), value) for name, value in _SEED_FIGURE.findall(line[host.end() : MAX_LINE_CHARS])]
    row = {_SEED_NAMES[name]: value for name, value in pairs if name in _SEED_NAMES}
    if len({name for name, _ in pairs}) != len(pairs):
        raise DParseError("a figure is there twice", line)
    return {"HOST": host.group(1), **row} if row else None


def _seed_down(line: str) -> dict[str, str]:
    name, *words = line[:MAX_LINE_CHARS].split()
    if len(words) == 1 and words[0].strip("()✗x").lower() in _DOWN_WORDS:
        return {"HOST": name}
    raise DParseError("neither a host nor its figures", line)


def _load_row(row: Mapping[str, str], line: str) -> DLoad:
    cores = _figure(row, "CPUS", line, unit="")
    if cores is not None and cores != int(cores):
        raise DParseError("CPUS is no whole number", line)
    load = DLoad(
        _host(row, line),
        load1=_figure(row, "LOAD", line, unit=""),
        cores=int(cores) if cores else None,
        # Without cores it has divided by nothing.
        cpu_pct=None if cores == 0 else _figure(row, "CPU%", line, unit="%"),
        mem_pct=_figure(row, "MEM%", line, unit="%", most=100),
    )
    # What the host could not tell it prints as 0, and calls the host the best of all.
    return DLoad(load.host) if cores == 0 and not load.load1 and not load.mem_pct else load


def _host(row: Mapping[str, str], line: str) -> str:
    try:
        return check_name(row.get("HOST", ""))
    except ValueError as error:
        raise DParseError(str(error), line) from error


def _figure(row: Mapping[str, str], name: str, line: str, *, unit: str, most: float = 1e6) -> float | None:
    """A figure; a percentage must say so, which is what tells it from the figure of another column."""
    text = row.get(name, "-")
    if text == "-":
        return None
    number = text[: len(text) - len(unit)]
    if not text.endswith(unit) or not _FIGURE.fullmatch(number) or float(number) > most:
        raise DParseError(f"{name} cannot be {text[:20]!r}", line)
    return float(number)


def to_sample(load: DLoad) -> Sample:
    """The figures as our own probe would give them. For a host that answered.

    There is no figure for CPU in use: what `d` calls CPU% is load/cores×100, and is taken for it, capped at 100. No
    I/O figure, no tools, no runs. Memory is a share only, so its bytes are those of a made-up total.
    """
    cpu_pct = load.cpu_pct
    if load.load1 is not None and load.cores:
        cpu_pct = 100 * load.load1 / load.cores
    total = None if load.mem_pct is None else _MADE_UP_BYTES
    return Sample(
        cpu_pct=None if cpu_pct is None else min(100.0, cpu_pct),
        load1=load.load1,
        cores=load.cores,
        knows_runs=False,
        mem_total_bytes=total,
        mem_available_bytes=None if load.mem_pct is None else round(_MADE_UP_BYTES * (1 - load.mem_pct / 100)),
    )


_MADE_UP_BYTES = 10**9


# -- status --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DStatus:
    """One host of `d status`. `address` is "" where ssh's configuration names none."""

    host: str
    online: bool
    address: str = ""


def parse_status(text: str) -> tuple[DStatus, ...]:
    """Read what `status` printed, in either format. DParseError if there is nothing to read, or a line is odd."""
    lines = [line for line in _lines(text) if not _is_chatter(line)]
    if any(_header(line, frozenset({"STATUS"})) for line in lines):
        rows = list(_table(lines, frozenset({"STATUS"}), short=True))
        found = [_status_row(row, line) for row, line in rows]
    else:
        found = [_status_row(_seed_status(line), line) for line in lines]
        if not found:
            raise DParseError("no list of hosts", text[:MAX_LINE_CHARS])
    return tuple({status.host: status for status in found}.values())


def _seed_status(line: str) -> dict[str, str]:
    words = [word for word in line[:MAX_LINE_CHARS].split() if word not in "✓✗✔✘"]
    if not 2 <= len(words) <= 3:
        raise DParseError("neither a host nor its state", line)
    return dict(zip(("HOST", "STATUS", "ADDRESS"), words, strict=False))


def _status_row(row: Mapping[str, str], line: str) -> DStatus:
    word = row.get("STATUS", "").split(" ")[-1].lower()
    if word not in _UP_WORDS | _DOWN_WORDS:
        raise DParseError("neither online nor offline", line)
    address = row.get("ADDRESS", "")
    if not address.isprintable() or " " in address:
        raise DParseError("that is no address", line)
    return DStatus(_host(row, line), word in _UP_WORDS, "" if address == "-" else address)


# -- tables --------------------------------------------------------------------------------------------------------


def _table(
    lines: Iterable[str], columns: frozenset[str], *, short: bool = False
) -> Iterator[tuple[dict[str, str], str]]:
    """The rows below a header with HOST and one of `columns`. `short`: the last cells of a row may be missing."""
    header: list[re.Match[str]] = []
    for line in lines:
        if len(line) > MAX_LINE_CHARS:
            raise DParseError("a line that long is no row of a table", line)
        found = _header(line, columns)
        if found:
            header = found
        elif header:
            yield _row(header, line, short), line


def _header(line: str, columns: frozenset[str]) -> list[re.Match[str]]:
    """The names in a header line, with their places; nothing if it is none."""
    cells = list(_CELL.finditer(line[:MAX_LINE_CHARS].expandtabs()))
    names = [cell.group() for cell in cells]
    if "HOST" not in names or not columns.intersection(names):
        return []
    if len(set(names)) != len(names):
        raise DParseError("a column is there twice", line)
    return cells


def _row(header: list[re.Match[str]], line: str, short: bool) -> dict[str, str]:
    cells = list(_CELL.finditer(line.expandtabs().replace("←", " ")))
    if len(cells) == len(header):
        return {name.group(): cell.group() for name, cell in zip(header, cells, strict=True)}
    names = {name.start(): name.group() for name in header}
    in_place = all(cell.start() in names for cell in cells)
    # A cell that is empty leaves a gap; one that is missing moves all others.
    if len(cells) < len(header) and in_place and (short or cells[-1].start() == header[-1].start()):
        return {names[cell.start()]: cell.group() for cell in cells}
    if short and len(cells) < len(header):
        return {name.group(): cell.group() for name, cell in zip(header, cells, strict=False)}
    raise DParseError(f"{len(cells)} cells under {len(header)} names", line)


# -- run and sync --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What a call printed, taken apart.

    `out` and `err` are without chatter and usage. `error` is its own last word; `exit_status` is that of the program
    that it ran, if that is what the error says.
    """

    out: str
    err: str
    error: str = ""
    exit_status: int | None = None

    @property
    def reason(self) -> str:
        """One line: its error, or where that is a number only, what was said just before."""
        if self.error and self.exit_status is None:
            return printable(self.error)[:_SHOWN_CHARS]
        said = last_lines(self.err, 1) or last_lines(self.out, 1) or [self.error]
        return printable(said[0])[:_SHOWN_CHARS]


_RUN_CHATTER = re.compile(r"\s*→ (?:Finding best host|Checking \S+|Running on |Syncing to |Dry run - )")
_EXIT_STATUS = re.compile(r"(?:.*: )?exit status (\d{1,3})")


def split_run(stdout: str, stderr: str) -> Told:
    """Take apart the end of what `run` or `sync` printed. `Error: …` comes twice, with the usage in between."""
    out = [line for line in plain(stdout[-_TAIL_CHARS:]).split("\n") if not _RUN_CHATTER.match(line)]
    lines = plain(stderr[-_TAIL_CHARS:]).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    error = lines.pop()[len("Error: ") :].strip() if lines and lines[-1].startswith("Error: ") else ""
    if error:
        # The first of the two may be cut off, if this is only the tail of what it said.
        first = [index for index, line in enumerate(lines) if line == f"Error: {error}"]
        usage = [index for index, line in enumerate(lines) if line == "Usage:"]
        del lines[(first or usage or [len(lines)])[-1] :]
    status = _EXIT_STATUS.fullmatch(error)
    return Told("\n".join(out), "\n".join(lines), error, int(status.group(1)) if status else None)


class SyncCount:
    """Counts what the rsync of `sync` says it sent (`rsync -avz --progress`). Feed it stdout, in pieces of any size.

    `files` and `bytes` are of the files that were sent; a dry run lists names only. Where `gum` is installed nothing is
    listed at all, and `known` stays False.
    """

    _SENT = re.compile(r"\s*([\d,.]+)\s+100%.*\(xfe?r#(\d+),")
    _PROGRESS = re.compile(r"\s*[\d,.]+\s+\d+%\s")

    def __init__(self, *, dry: bool = False) -> None:
        self.files = 0
        self.bytes = 0
        self.known = False
        self._dry = dry
        self._listing = False
        self._rest = ""

    def feed(self, text: str) -> None:
        """Take some output."""
        *lines, rest = re.split("[\r\n]", self._rest + text)
        self._rest = rest[-MAX_LINE_CHARS:]
        for line in lines:
            self._line(line)

    def _line(self, line: str) -> None:
        if line.startswith(("sending incremental file list", "building file list", "Transfer starting")):
            self.known = self._listing = True
        elif line.startswith("sent ") and " bytes " in line:
            self._listing = False
        elif not self._listing or not line.strip():
            return
        elif (sent := self._SENT.match(line)) is not None:
            self.bytes += int(re.sub(r"\D", "", sent.group(1)))
            self.files = max(self.files, int(sent.group(2)))
        elif self._dry and not (
            line.endswith("/") or line.startswith("created directory ") or self._PROGRESS.match(line)
        ):
            self.files += 1


def remote_dir(path: str, home: str) -> str | None:
    """Where `sync` would put the folder `path`: with `~` for the home folder, as it would hand it to rsync.

    None where it gets that wrong: it replaces the first place where the text of `home` occurs, also within a name.
    """
    if home not in path:
        return path
    rest = path[len(home) :]
    return f"~{rest}" if path.startswith(home) and rest[:1] in ("", "/") else None
