"""What `d` prints and what its help says: every capture of the real program, and what could be in their place."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dgummy.dhelp import Dialect, dialect_of, is_like_d, parse_help, spoken_of
from dgummy.dtext import (
    DLoad,
    DParseError,
    DStatus,
    SyncCount,
    last_lines,
    parse_load,
    parse_status,
    remote_dir,
    split_run,
    to_sample,
)
from dgummy.transport.plaintext import printable

DATA = Path(__file__).parent / "data" / "dw"
CAPTURES = sorted(path.stem for path in DATA.glob("*.rc"))


def capture(name: str, stream: str = "out") -> str:
    return (DATA / f"{name}.{stream}").read_bytes().decode()


def usage_block(name: str) -> str:
    """The usage that a capture shows after an error: what `--help` of that sub-command shows too."""
    text = capture(name, "err")
    return text[text.index("Usage:") : text.rindex("Error:")]


RUN_HELP = "Run command on best host\n\n" + usage_block("run_host")
SYNC_HELP = "Sync directory to remote hosts\n\n" + usage_block("sync_down")
LOAD_HELP = "Show load across all hosts\n\n" + usage_block("load_empty")
TOP_HELP = capture("help")

NODE_1 = DLoad("node-1", 0.66, 2, 33.0, 1.0)
NODE_2 = DLoad("node-2", 0.66, 2, 33.0, 1.0)
NODE_3 = DLoad("node-3")


# -- load ----------------------------------------------------------------------------------------------------------


def test_load_capture() -> None:
    assert parse_load(capture("load")) == (NODE_1, NODE_2, NODE_3)
    assert [load.reachable for load in parse_load(capture("load"))] == [True, True, False]


def test_load_of_one_host_capture() -> None:
    assert parse_load(capture("load_host")) == (NODE_1,)


@pytest.mark.parametrize("name", ["load_empty", "load_nogroup"])
def test_load_captures_without_a_table(name: str) -> None:
    with pytest.raises(DParseError, match="no table"):
        parse_load(capture(name))
    told = split_run(capture(name), capture(name, "err"))
    assert told.reason == {"load_empty": 'no hosts in group "empty"', "load_nogroup": 'group "nope" not found'}[name]


@pytest.mark.parametrize("name", [name for name in CAPTURES if not name.startswith("load")])
def test_no_other_capture_is_a_load_table(name: str) -> None:
    for stream in ("out", "err"):
        with pytest.raises(DParseError):
            parse_load(capture(name, stream))


COLUMNS = {
    "HOST": ("node-1", "b"),
    "LOAD": ("0.66", "12.50"),
    "CPUS": ("2", "16"),
    "CPU%": ("33%", "78%"),
    "MEM%": ("1%", "100%"),
    "SCORE": ("23.40 ←", "84.60"),
    "UPTIME": ("3 days", "1 day"),
}


def table(columns: tuple[str, ...], rows: int = 2) -> str:
    """A table as Go's tabwriter sets it: two blanks between columns, the last one not padded."""
    cells = [list(columns), *([COLUMNS[name][row] for name in columns] for row in range(rows))]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = [
        "".join(cell.ljust(width + 2) for cell, width in zip(line[:-1], widths, strict=False)) + line[-1]
        for line in cells
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("missing", [(), ("SCORE",), ("CPUS",), ("CPU%",), ("LOAD",), ("MEM%",), ("CPUS", "LOAD")])
def test_columns_are_found_by_their_name(missing: tuple[str, ...]) -> None:
    wanted = (DLoad("node-1", 0.66, 2, 33.0, 1.0), DLoad("b", 12.5, 16, 78.0, 100.0))
    fields = {"LOAD": "load1", "CPUS": "cores", "CPU%": "cpu_pct", "MEM%": "mem_pct"}
    kept = [name for name in COLUMNS if name not in missing]
    for order in itertools.islice(itertools.permutations(kept), 0, None, 97):
        for got, want in zip(parse_load(table(order)), wanted, strict=True):
            for name, attribute in fields.items():
                assert getattr(got, attribute) == (None if name in missing else getattr(want, attribute)), order


def test_a_table_without_hosts_or_figures_is_refused() -> None:
    for columns in (("LOAD", "CPUS", "CPU%"), ("HOST", "SCORE"), ("HOST", "UPTIME")):
        with pytest.raises(DParseError, match="no table"):
            parse_load(table(columns))


@pytest.mark.parametrize("name", ["HOST", "LOAD", "CPUS", "CPU%", "MEM%", "SCORE"])
def test_a_row_without_one_of_its_cells_is_refused(name: str) -> None:
    columns = ("HOST", "LOAD", "CPUS", "CPU%", "MEM%", "SCORE")
    header, *_ = table(columns).splitlines()
    kept = tuple(column for column in columns if column != name)
    with pytest.raises(DParseError) as caught:
        parse_load("\n".join([header, *table(kept).splitlines()[1:]]))
    assert caught.value.line


@pytest.mark.parametrize("at", range(7))
def test_a_row_with_one_cell_too_many_is_refused(at: int) -> None:
    for extra in ("41.5", "4", "7%", "x"):
        words = ["node-1", "0.66", "2", "33%", "1%", "23.40"]
        words.insert(at, extra)
        with pytest.raises(DParseError, match="7 cells under 6 names"):
            parse_load("HOST    LOAD  CPUS  CPU%  MEM%  SCORE\n" + "  ".join(words))


def test_an_empty_cell_leaves_its_gap() -> None:
    text = "HOST    NOTE  LOAD  CPUS  CPU%  MEM%  SCORE\nnode-1        0.66  2     33%   1%    23.40 ←\n"
    assert parse_load(text) == (NODE_1,)


def test_chatter_colours_blank_lines_and_arrows_anywhere() -> None:
    header, one, two, three = capture("load").splitlines()[3:]
    green, off = "\x1b[1;38;5;86m", "\x1b[0m"
    lines = [
        f"{green}→ Checking node-1...{off}",
        "\x1b]0;title\x07",
        f"{green}{header}{off}",
        "─" * 40,
        one,
        "→ Checking node-2...",
        "",
        f"{two} ←",
        "✓ done",
        f"  {green}→ still at it{off}  ",
        three,
        "   ",
    ]
    assert parse_load("\r\n".join(lines)) == (NODE_1, NODE_2, NODE_3)


def test_colours_within_cells() -> None:
    text = capture("load").replace("33%", "\x1b[33m33%\x1b[0m").replace("node-2", "\x1b[2mnode-2\x1b[m")
    assert parse_load(text) == (NODE_1, NODE_2, NODE_3)


def test_figures_above_a_hundred() -> None:
    row = "HOST    LOAD   CPUS  CPU%   MEM%  SCORE\nnode-1  12.66  2     633%   100%  473.10\n"
    (load,) = parse_load(row)
    assert (load.load1, load.cpu_pct, load.mem_pct) == (12.66, 633.0, 100.0)


def test_a_host_whose_tools_are_missing_is_not_the_best_of_all() -> None:
    header = "HOST    LOAD  CPUS  CPU%  MEM%  SCORE\n"
    assert parse_load(header + "node-1  0.00  0     0%    0%    0.00 ←") == (DLoad("node-1"),)
    (load,) = parse_load(header + "node-1  0.50  0     0%    12%   3.60")
    assert (load.load1, load.cores, load.cpu_pct, load.mem_pct) == (0.5, None, None, 12.0)


@pytest.mark.parametrize(
    "row",
    [
        "node-1  nan   2     33%   1%    23.40",
        "node-1  -1    2     33%   1%    23.40",
        "node-1  0,66  2     33%   1%    23.40",
        "node-1  0.66  2.5   33%   1%    23.40",
        "node-1  0.66  2     33    1%    23.40",
        "node-1  0.66  2     33%   101%  23.40",
        "node-1  0.66  2     33%   1e9%  23.40",
        "node-1  ٣     2     33%   1%    23.40",
        "no/de   0.66  2     33%   1%    23.40",
        "no\x00de  0.66  2     33%   1%    23.40",
        "-node   0.66  2     33%   1%    23.40",
    ],
)
def test_odd_figures_and_names_are_refused(row: str) -> None:
    with pytest.raises(DParseError) as caught:
        parse_load("HOST    LOAD  CPUS  CPU%  MEM%  SCORE\n" + row)
    assert caught.value.line.isprintable() and caught.value.line
    assert caught.value.line in str(caught.value) or repr(caught.value.line) in str(caught.value)


def test_seed_lines() -> None:
    text = (
        "→ Checking hosts...\n"
        "host1    CPU: 15%  MEM: 45%  LOAD: 0.23  SCORE: 0.28\n"
        "\n\x1b[32mhost2\x1b[0m    LOAD: 2.00  CPU: 80.5%  SCORE: 0.28  MEM: 9% ←\n"
        "host3    offline\n"
        "host4    CPU: -  MEM: -  LOAD: -\n"
        "Asking...\n"
    )
    assert parse_load(text) == (
        DLoad("host1", 0.23, None, 15.0, 45.0),
        DLoad("host2", 2.0, None, 80.5, 9.0),
        DLoad("host3"),
        DLoad("host4"),
    )


@pytest.mark.parametrize(
    "line",
    [
        "host2    CPU: 15  MEM: 45%  LOAD: 0.23",
        "host2    CPU: 15%  CPU: 16%  MEM: 45%  LOAD: 0.23",
        "host2    LOAD: 15%  MEM: 45%",
        "what is this",
        "bash: dwload: command not found",
    ],
)
def test_odd_seed_lines_are_refused(line: str) -> None:
    with pytest.raises(DParseError) as caught:
        parse_load(f"host1    CPU: 15%  MEM: 45%  LOAD: 0.23  SCORE: 0.28\n{line}\n")
    assert caught.value.line == printable(line)


def test_sample() -> None:
    sample = to_sample(DLoad("a", load1=1.0, cores=4, cpu_pct=25.0, mem_pct=40.0))
    assert (sample.cpu_pct, sample.load1, sample.cores) == (25.0, 1.0, 4)
    assert sample.mem_pct == pytest.approx(40.0)
    assert sample.io_pct is None and not sample.tools
    assert to_sample(DLoad("a", load1=9.0, cores=4, cpu_pct=225.0)).cpu_pct == 100.0
    seed = to_sample(DLoad("a", load1=0.23, cpu_pct=15.0, mem_pct=45.0))
    assert (seed.cpu_pct, seed.cores) == (15.0, None) and seed.mem_pct == pytest.approx(45.0)
    assert not to_sample(NODE_3).has_load_figures


# -- status --------------------------------------------------------------------------------------------------------

STATUSES = (
    DStatus("node-1", True, "127.0.1.1"),
    DStatus("node-2", True, "127.0.1.2"),
    DStatus("node-3", False, "127.0.1.3"),
    DStatus("bare", False, ""),
    DStatus("a", False, "127.0.1.4"),
)


def test_status_capture() -> None:
    assert parse_status(capture("status")) == STATUSES


def test_status_columns_in_another_order() -> None:
    text = (
        "ADDRESS    HOST    STATUS\n127.0.1.1  node-1  ✓ online\n127.0.1.2  node-2  ✓ online\n"
        "127.0.1.3  node-3  ✗ offline\n           bare    ✗ offline\n127.0.1.4  a       ✗ offline\n"
    )
    assert parse_status(text) == STATUSES


def test_status_coloured_out_of_line() -> None:
    text = capture("status").replace("✓ online ", "\x1b[32m✓ online\x1b[0m").replace("✗", "\x1b[31m✗\x1b[0m")
    assert parse_status(text.replace("bare    ", "bare ").replace("bare ", "bare  ")) == STATUSES


def test_seed_status_lines() -> None:
    text = "→ Checking hosts...\nhost1    online   100.1.2.3\nhost2    ✗ offline\n\nhost3  offline  fd7a::1\n"
    assert parse_status(text) == (
        DStatus("host1", True, "100.1.2.3"),
        DStatus("host2", False),
        DStatus("host3", False, "fd7a::1"),
    )


@pytest.mark.parametrize("line", ["node-1  maybe  127.0.0.1", "✓ online", "node-1", "a b c d", "-x  online"])
def test_odd_status_lines_are_refused(line: str) -> None:
    with pytest.raises(DParseError):
        parse_status(line)
    if not line.startswith("✓"):  # beside a table that is chatter
        with pytest.raises(DParseError):
            parse_status(f"HOST    STATUS     ADDRESS\n{line}\n")


@pytest.mark.parametrize("name", [name for name in CAPTURES if name != "status"])
def test_no_other_capture_is_a_status(name: str) -> None:
    for stream in ("out", "err"):
        with pytest.raises(DParseError):
            parse_status(capture(name, stream))


# -- run and sync --------------------------------------------------------------------------------------------------

TOLD = {
    "run_host": ("hi\n", "err", "exit status 3", 3, "err"),
    "run_flags": ("", "", "unknown shorthand flag: 'l' in -la", None, "unknown shorthand flag: 'l' in -la"),
    "run_pos": (
        "",
        "bash: line 1: node-1: command not found",
        "exit status 127",
        127,
        "bash: line 1: node-1: command not found",
    ),
    "run_down": ("", "", "no reachable hosts found", None, "no reachable hosts found"),
    "run_all": (
        "\n\n\nvm\nvm\n",
        "ssh: connect to host 127.0.1.3 port 2299: Connection refused\r",
        "exit status 5",
        5,
        "ssh: connect to host 127.0.1.3 port 2299: Connection refused",
    ),
    "unknown": ("", "", 'unknown command "frob" for "dw"', None, 'unknown command "frob" for "dw"'),
    "sync_pos": (
        "",
        "",
        "path does not exist: /home/dev/projx/node-1",
        None,
        "path does not exist: /home/dev/projx/node-1",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_chatter_and_usage_are_kept_apart(name: str) -> None:
    told = split_run(capture(name), capture(name, "err"))
    assert (told.out, told.err, told.error, told.exit_status, told.reason) == TOLD[name]


def test_a_failed_sync_capture() -> None:
    told = split_run(capture("sync_down"), capture("sync_down", "err"))
    assert told.error == "rsync to node-3 failed: exit status 255"
    assert told.exit_status == 255
    assert told.err.splitlines()[0] == "ssh: connect to host 127.0.1.3 port 2299: Connection refused"
    assert told.err.splitlines()[-1].startswith("rsync error: unexplained error (code 255)")
    assert "Usage" not in told.err


@pytest.mark.parametrize("name", ["load", "load_host", "status", "sync_host", "sync_dry", "config_show", "help"])
def test_captures_without_an_error(name: str) -> None:
    told = split_run(capture(name), capture(name, "err"))
    assert (told.error, told.exit_status, told.err) == ("", None, "")


def test_every_capture_has_its_case() -> None:
    fine = {"load", "load_host", "status", "sync_host", "sync_dry", "config_show", "help"}
    assert set(CAPTURES) == fine | set(TOLD) | {"sync_down", "load_empty", "load_nogroup"}
    assert {name for name in CAPTURES if capture(name, "rc").strip() == "0"} == fine


def test_what_the_command_itself_says_stays() -> None:
    err = "Usage: mine\nError: exit status 3\nRun 'dw --help' for usage.\n" + capture("run_host", "err")
    told = split_run("→ not ours\n" + capture("run_host"), err)
    assert told.out == "→ not ours\nhi\n"
    assert told.err == "Usage: mine\nError: exit status 3\nRun 'dw --help' for usage.\nerr"
    # Of a long stderr only the end may be there.
    assert split_run("", capture("run_host", "err")[10:]).err.splitlines()[-1] != "Usage:"


def test_sync_counts_of_captures() -> None:
    for size in (1, 7, 10_000):
        count = SyncCount()
        text = capture("sync_host")
        for start in range(0, len(text), size):
            count.feed(text[start : start + size])
        assert (count.known, count.files, count.bytes) == (True, 2, 4)
    dry = SyncCount(dry=True)
    dry.feed(capture("sync_dry"))
    assert (dry.known, dry.files, dry.bytes) == (True, 0, 0)


def test_sync_counts_of_a_dry_run_and_of_silence() -> None:
    dry = SyncCount(dry=True)
    dry.feed("sending incremental file list\ncreated directory /x\n./\na.txt\nsrc/\nsrc/b 100%.py\nl -> a\n\n")
    dry.feed("sent 117 bytes  received 13 bytes  260.00 bytes/sec\ntotal size is 4  speedup is 0.03 (DRY RUN)\n")
    assert dry.files == 3
    silent = SyncCount()
    silent.feed("✓ Sync complete\n")
    assert not silent.known
    big = SyncCount()
    big.feed("sending incremental file list\nbig\n  1,234,567 100%   12.00MB/s    0:00:00 (xfer#1, to-check=0/4)\n")
    assert (big.files, big.bytes) == (1, 1_234_567)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ana/app", "~/app"),
        ("/home/ana", "~"),
        ("/srv/app", "/srv/app"),
        ("/home/anabel/app", None),
        ("/mnt/home/ana/app", None),
    ],
)
def test_where_sync_would_put_a_folder(path: str, expected: str | None) -> None:
    assert remote_dir(path, "/home/ana") == expected


def test_last_lines() -> None:
    assert last_lines("a\n\n\x1b[31mb\x1b[0m\r\nc \x07d\n\n") == ["a", "b", "c d"]
    assert last_lines("a\nb\nc", 2) == ["b", "c"]
    assert last_lines("") == []
    assert all(len(line) <= 200 and line.isprintable() for line in last_lines("x" * 10_000_000 + "\n\x9b\x00y"))


# -- help ----------------------------------------------------------------------------------------------------------


def test_help_capture() -> None:
    read = parse_help(TOP_HELP)
    assert read.commands == ("completion", "config", "help", "load", "run", "status", "sync")
    assert read.flags == {"all": False, "group": True, "help": False, "host": True}
    assert ("dw", "[command]") in read.usages
    assert parse_help(RUN_HELP).usages == (("dw", "run", "[command...]", "[flags]"),)


def test_the_released_dialect() -> None:
    assert dialect_of(TOP_HELP, RUN_HELP, SYNC_HELP, LOAD_HELP) is Dialect.RELEASED
    spoken = spoken_of(TOP_HELP, {"run": RUN_HELP, "sync": SYNC_HELP, "load": "", "status": ""})
    assert spoken is not None and spoken.uses == ("load", "status", "sync", "run") and spoken.dry_run
    old = [text.replace("dw", "d") for text in (TOP_HELP, RUN_HELP, SYNC_HELP, LOAD_HELP)]
    assert dialect_of(*old) is Dialect.RELEASED
    assert dialect_of(TOP_HELP, "", "", "") is None
    # As later versions of its flag library print them.
    newer = {
        use: re.sub(r"--(all|help|dry-run) ", r"--\1[=true|false] ", text)
        for use, text in (("run", RUN_HELP), ("sync", SYNC_HELP))
    }
    assert "--dry-run[=true|false]" in newer["sync"]
    spoken = spoken_of(TOP_HELP, newer)
    assert spoken is not None and spoken.dialect is Dialect.RELEASED and spoken.dry_run
    page = "Usage: dw run [--host H | --all | -g GROUP] [--] COMMAND…"
    assert dialect_of(TOP_HELP, page, SYNC_HELP, LOAD_HELP) is Dialect.RELEASED


SEED_TOP = """\
Usage: d <command> [args]

Commands:
  load                  show load
  status                show who is up
  sync <host>           push this folder
  run <host> <command>  run it there
"""


@pytest.mark.parametrize(
    ("run", "sync"),
    [
        ("Usage: d run <host> <command>", "Usage: d sync <host>"),
        ('usage: dw run HOST "CMD"', "usage: dw sync HOST [PATH]"),
        ("Run a command.\n\nUSAGE:\n    d run <host> <command...>\n", "USAGE:\n    d sync <hostname>\n"),
        ("Usage: d run [options] {host} {cmd}", ""),
        ("", ""),
    ],
)
def test_the_seed_dialect(run: str, sync: str) -> None:
    assert dialect_of(SEED_TOP, run, sync, "Usage: d load") is Dialect.SEED
    plain_top = SEED_TOP.replace("<host> <command>", "  ").replace("<host>", "  ")
    assert dialect_of(plain_top, run, sync, "Usage: d load") is (Dialect.SEED if run else None)


def test_one_word_commands() -> None:
    spoken = spoken_of("", {"run": 'Usage: dwrun HOST "CMD"', "load": "Usage: dwload", "status": "who?"})
    assert spoken is not None and (spoken.dialect, spoken.uses) == (Dialect.SEED, ("load", "run"))
    assert spoken_of("", {"load": "Usage: dwload", "status": "Usage: dwstatus"}) is None
    aliases = spoken_of("", {"run": RUN_HELP, "load": LOAD_HELP})
    assert aliases is not None and aliases.dialect is Dialect.RELEASED


DOCKER = """\
Usage:  docker [OPTIONS] COMMAND

Common Commands:
  run         Create and run a new container from an image
  load        Load an image
  status      Status
  sync        Sync

Global Options:
  -H, --host string        Daemon socket to connect to
"""


@pytest.mark.parametrize(
    ("top", "run", "sync"),
    [
        (DOCKER, "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\n  -H, --host string   Host", ""),
        (TOP_HELP, "Usage:\n  dw run [host] [command...] [flags]\n", SYNC_HELP),
        (TOP_HELP, RUN_HELP.replace("--host string", "--host       "), SYNC_HELP),
        (TOP_HELP, RUN_HELP, "Usage: dw sync <host>"),
        (TOP_HELP, RUN_HELP + "\nUsage: dw run <host> <command>\n", SYNC_HELP),
        (SEED_TOP, RUN_HELP, SYNC_HELP + "\nUsage: d sync <host>\n"),
        (SEED_TOP, "Usage: d run <host> <command>\n\n  --host string   a host", ""),
        (SEED_TOP, "Usage: d run <command> <host>", ""),
        (SEED_TOP, "Usage: d run <host>", ""),
        (TOP_HELP.replace("  sync  ", "  push  "), RUN_HELP, SYNC_HELP),
        ("Usage: d [FILE]...\nSorts directories.\n", RUN_HELP, SYNC_HELP),
        ("run load sync status", "run <host> <command>", "sync <host>"),
        ("d: you can run HOST CMD with it. Usage is: run <host> <command>, sync <host>, load, status", "", ""),
    ],
)
def test_whatever_is_not_clear_is_no_dialect(top: str, run: str, sync: str) -> None:
    assert dialect_of(top, run, sync, "") is None


def test_is_like_d() -> None:
    assert is_like_d(TOP_HELP) and is_like_d(SEED_TOP)
    assert not is_like_d("") and not is_like_d(RUN_HELP) and not is_like_d("Usage: d\n\nCommands:\n  run\n  load\n")


# -- hostile text --------------------------------------------------------------------------------------------------

HUGE = {
    "blanks": " " * 10_000_000,
    "lines": "\n" * 10_000_000,
    "one line": "x" * 10_000_000,
    "columns": "HOST  LOAD  " + "X  " * 100_000 + "\n" + "n  1.0  " + "1  " * 100_000,
    "escapes": "\x1b]" * 500_000 + "\x1b[" * 400_000,
    "brackets": "Usage: " + "[" * 900_000,
    "many brackets": "Usage:\n" + (" " + "[<{" * 160 + "\n") * 1900,
    "rows": "HOST  LOAD\n" + "node-1  0.66\n" * 70_000,
    "seed": "h    " + "CPU: 1%  " * 100_000,
    "flags": ("  --a " + " " * 4000 + "\n") * 240,
    "bytes": bytes(range(256)).decode("latin-1") * 3500,
    "replaced": bytes(range(256)).decode("utf-8", "replace") * 3500,
}


PARSERS: dict[str, Callable[[str], object]] = {
    "load": parse_load,
    "status": parse_status,
    "help": parse_help,
    "last lines": last_lines,
    "run": lambda text: split_run(text, text),
}


def outcome(parse: Callable[[str], object], text: str) -> str:
    try:
        parse(text)
    except DParseError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize("name", HUGE)
def test_hostile_text_takes_little_time(parser: str, name: str) -> None:
    began = time.process_time()
    said = outcome(PARSERS[parser], HUGE[name])
    assert time.process_time() - began < 1.5
    assert len(said) < 1000 and said.isprintable()


@pytest.mark.parametrize("parser", PARSERS)
def test_hostile_text_takes_little_memory(parser: str) -> None:
    tracemalloc.start()
    try:
        outcome(PARSERS[parser], HUGE["lines"])
        outcome(PARSERS[parser], HUGE["columns"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000


@given(st.text(alphabet=st.sampled_from(list("abHOSTLADCPUEM%:-. \t\r\n←→✓0123456789\x1b[m]<>\"'")), max_size=300))
def test_whatever_comes_is_read_or_refused(text: str) -> None:
    for parse in (parse_load, parse_status):
        for head in ("", "HOST    LOAD  CPUS  CPU%  MEM%  STATUS\n", "h  CPU: 1%\n"):
            try:
                rows = parse(head + text)
            except DParseError:
                continue
            for row in rows:
                assert row.host and row.host.isprintable() and not row.host.startswith("-")
    parse_help(text)
    split_run(text, text)
