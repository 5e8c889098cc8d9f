"""Completion: what may come next, what there is of it, and what real shells make of that."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pexpect
import pytest

from dgummy import cmdline, completing
from dgummy.cmdline import TypedLine
from dgummy.completing import EXCEPTIONS, KINDS, Flag, Part, Shape, Wanted, wanted
from dgummy.errors import UsageError
from dgummy.ledger import Ledger, RunRow
from dgummy.model import RunState
from dgummy.recent import recent_runs
from dgummy.shells import script
from dgummy.tasks import ns
from labs import REPO

BREAKS = " \t\n\"'@><=;|&(:"


# -- a line that is being typed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("inv ", TypedLine(("inv",), "")),
        ("inv run", TypedLine(("inv",), "run")),
        ("inv run --host=no", TypedLine(("inv", "run"), "--host=no", fixed=7)),
        ("inv run --group a:b", TypedLine(("inv", "run", "--group"), "a:b", fixed=2)),
        ("inv run --group a\\:b", TypedLine(("inv", "run", "--group"), "a:b")),
        ("inv run 'a b", TypedLine(("inv", "run"), "a b", quote="'")),
        ('inv run --host="no', TypedLine(("inv", "run"), "--host=no", quote='"', fixed=7)),
        ('inv run "a \\" \\$ \\x', TypedLine(("inv", "run"), 'a " $ \\x', quote='"')),
        ("inv a\\ b 'c d' \"\" e", TypedLine(("inv", "a b", "c d", ""), "e")),
        ("inv \\", TypedLine(("inv",), "")),
        ("", TypedLine((), "")),
    ],
)
def test_a_line_is_read_as_bash_reads_it(line: str, expected: TypedLine) -> None:
    assert cmdline.read(line, BREAKS) == expected


HOSTILE = [
    "$(touch PWNED)",
    "`touch PWNED`",
    "a;touch PWNED",
    "it's",
    'say "x"',
    "back\\slash",
    "~root",
    "#x",
    "{a,b}",
    "*?[x]",
    "a&b|c<d>",
    "!x",
    "größe",
]


def test_what_bash_gets_is_read_by_it_as_it_is(tmp_path: Path) -> None:
    """Whatever the name and the quote that is open, the shell ends up with the name."""
    words, expected = [], []
    for quote in ("", "'", '"'):
        for name in HOSTILE:
            (reply,) = cmdline.replies(TypedLine((), "", quote), [name])
            words.append(f"{quote}{reply}{quote}")
            expected.append(name)
    script = f"printf '%s\\n' {' '.join(words)}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == expected


def test_only_what_the_word_begins_and_from_where_readline_replaces() -> None:
    typed = cmdline.read("inv run --host=no", BREAKS)
    assert cmdline.replies(typed, ["--host=node-1", "--host=mini", "--host=node 2"]) == ["node-1", "node\\ 2"]


# -- what may come next ---------------------------------------------------------------------------------------------

CORE = Shape({"--help": Flag("help", True, True), "--dry": Flag("dry"), "-c": Flag("collection", True)})
TASKS = {
    "run": Shape({"--host": Flag("host", True), "--json": Flag("json")}, ("cmd",)),
    "logs": Shape({"--follow": Flag("follow"), "-f": Flag("follow")}, ("run",), takes_more=True),
    "status": Shape({"--group": Flag("group", True)}),
}


@pytest.mark.parametrize(
    ("line", "current", "expected"),
    [
        ("", "", Wanted(Part.TASK)),
        ("", "ru", Wanted(Part.TASK)),
        ("", "--", Wanted(Part.FLAG)),
        ("-c", "x", Wanted(Part.VALUE, "", "collection")),
        ("-c x", "", Wanted(Part.TASK)),
        ("--help", "", Wanted(Part.TASK)),
        ("--help", "--d", Wanted(Part.FLAG)),
        ("--help run", "", Wanted(Part.TASK)),
        ("run", "--", Wanted(Part.FLAG, "run")),
        ("run", "", Wanted(Part.VALUE, "run", "cmd")),
        ("run make", "", Wanted(Part.TASK)),
        ("run --host", "no", Wanted(Part.VALUE, "run", "host")),
        ("run --host", "--no", Wanted(Part.VALUE, "run", "host")),
        ("run --json", "ma", Wanted(Part.VALUE, "run", "cmd")),
        ("run", "--host=no", Wanted(Part.VALUE, "run", "host", "--host=")),
        ("run --host=a", "", Wanted(Part.VALUE, "run", "cmd")),
        ("run", "--json=x", Wanted(Part.NOTHING)),
        ("run", "--nope=x", Wanted(Part.NOTHING)),
        ("run", "-c=x", Wanted(Part.VALUE, "run", "collection", "-c=")),
        ("run status", "--", Wanted(Part.FLAG, "run")),  # a positional argument comes before a task of that name
        ("status run", "--", Wanted(Part.FLAG, "run")),
        ("status", "", Wanted(Part.TASK)),
        ("logs a b", "", Wanted(Part.VALUE, "logs", "run")),
        ("logs -f", "", Wanted(Part.VALUE, "logs", "run")),
        ("nope", "", Wanted(Part.NOTHING)),
        ("run --", "x", Wanted(Part.NOTHING)),
        ("run -- --host", "", Wanted(Part.NOTHING)),
    ],
)
def test_what_is_wanted_follows_from_the_words_before(line: str, current: str, expected: Wanted) -> None:
    assert wanted(line.split(), current, CORE, TASKS) == expected


@pytest.mark.parametrize(
    ("text", "prefix"), [("", ""), ("no", ""), ("a,", "a,"), ("a,b,c", "a,b,"), ("a[1,", ""), ("a[1,2],b", "a[1,2],")]
)
def test_of_a_list_the_last_name_is_completed(text: str, prefix: str) -> None:
    assert completing.list_prefix(text) == prefix


def test_what_has_values_is_what_our_commands_take() -> None:
    taken = {(context.name, argument.names[0]) for context in ns.to_contexts() for argument in context.args.values()}
    assert set(EXCEPTIONS) <= taken
    assert set(KINDS) <= {name for _, name in taken}
    from dgummy.candidates import _SOURCES

    assert set(_SOURCES) == set(completing.Kind)


def test_a_shell_that_there_is_nothing_for() -> None:
    assert script("", {"SHELL": "/usr/local/bin/fish"}) == script("fish", {})
    for shell, environ in (("tcsh", {}), ("", {"SHELL": "/bin/tcsh"}), ("", {}), ("../../x", {})):
        with pytest.raises(UsageError) as refused:
            script(shell, environ)
        assert "inv completion bash" in refused.value.remedy


# -- in real shells -------------------------------------------------------------------------------------------------


@dataclass
class Place:
    """A user's home with hosts and runs, a project, and the programs `inv` and `dgummy`."""

    home: Path
    project: Path
    env: dict[str, str]

    def run(
        self, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=cwd or self.project, env={**self.env, **(env or {})}, capture_output=True, text=True, timeout=60
        )

    def fish(self, line: str, cwd: Path | None = None) -> list[str]:
        """What fish would offer, each with what it shows beside."""
        code = "dgummy completion fish | source; complete -C $argv[1]"
        done = self.run("fish", "--no-config", "-c", code, "--", line, cwd=cwd)
        assert done.stderr == ""
        return done.stdout.splitlines()

    def inv(self, *lines: str, cwd: Path | None = None) -> list[list[str]]:
        """What bash would be told of each of these lines, all asked of one process: that is much faster."""
        code = f"""if True:
            import os, sys
            from invoke.main import program
            for line in sys.argv[1:]:
                point = str(len(line.encode()))
                os.environ |= {{"COMP_LINE": line, "COMP_POINT": point, "COMP_WORDBREAKS": {BREAKS!r}}}
                program.run(["inv", "--complete", "--"], exit=False)"""
        done = self.run(sys.executable, "-c", code, *lines, cwd=cwd, env={"DGUMMY_COMPLETE": "bash"})
        assert done.stderr == ""
        return [answer.splitlines() for answer in done.stdout.split("#dgummy-completion 1\n")[1:]]

    def bash(self, *lines: str, cwd: Path | None = None) -> list[list[str]]:
        """What bash would put in the place of the word at the end of each line, by its own completion function."""
        code = """
            eval "$(dgummy completion bash)"
            for line in "$@"; do
                read -ra COMP_WORDS <<<"$line"
                [[ $line != *' ' ]] || COMP_WORDS+=('')
                COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
                _dgummy_complete "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
                printf '%s\\t' "${COMPREPLY[@]}"; echo
            done"""
        done = self.run("bash", "-c", code, "bash", *lines, cwd=cwd)
        assert done.stderr == ""
        return [list(filter(None, line.split("\t"))) for line in done.stdout.splitlines()]

    def typed(self, shell: Sequence[str], setup: str, lines: Sequence[str]) -> list[str]:
        """What an interactive shell makes of each line and a TAB; `setup` has it write that to $OUT at C-x C-p."""
        out = self.home / "line"
        env = self.env | {"OUT": str(out), "PS1": "> ", "TERM": "dumb"}
        child = pexpect.spawn(shell[0], [*shell[1:]], cwd=str(self.project), env=env, timeout=30, encoding="utf-8")
        found = []
        try:
            child.sendline(f"{setup}; echo rea''dy")
            child.expect_exact("ready")
            for line in lines:
                out.unlink(missing_ok=True)
                child.send(f"\x15{line}\t\x18\x10")
                end = time.monotonic() + 20
                while not (out.exists() and out.read_text().endswith("\n")):
                    assert time.monotonic() < end, child.before
                    time.sleep(0.02)
                found.append(out.read_text()[:-1])
        finally:
            child.close(force=True)
        return found


GROUPS = """
groups:
  dev: [node-1, node-2, mini, '$(touch${IFS}PWNED)', '`touch${IFS}PWNED`']
  "my group": [node-1]
  "it's $(touch PWNED)": [node-2]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("shells")
    home, project, bin_dir = root / "home", root / "project", root / "bin"
    for folder in (home / ".config" / "distributed", home / ".config" / "distributed-gummy", project, bin_dir):
        folder.mkdir(parents=True)
    (home / ".config" / "distributed" / "config.yaml").write_text(GROUPS)
    (home / ".config" / "distributed-gummy" / "config.yaml").write_text(
        f"state_dir: {root}/state\nsuites: {{ci: {{unit: pytest}}}}\n"
    )
    (project / "tasks.py").write_text("from dgummy.tasks import ns\n")
    for name, call in (
        ("inv", "from invoke.main import program; program.run()"),
        ("dgummy", "from dgummy.cli import main; main()"),
    ):
        code = f"import sys; sys.argv[0] = {name!r}; {call}"
        (bin_dir / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"\n')
        (bin_dir / name).chmod(0o755)
    record_runs(root / "state" / "runs.db")
    env = {
        "HOME": str(home),
        "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPO),
        "LANG": "C.UTF-8",
    }
    yield Place(home, project, env)
    assert not list(root.rglob("PWNED*")), "a name from a file was run as a command"


GROUP = "g20261128-120000-aaaaaa"


def record_runs(path: Path) -> None:
    """Three runs: an old one, and a group of one that is over and one that is at work."""
    now = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
    rows = (
        RunRow("20261127-120000-aaaaaa", "run", "make \x1b[31mred", now - timedelta(1), RunState.OK, host="node-1"),
        RunRow("20261128-120000-bbbbbb", "run", "$(touch PWNED)", now, RunState.FAILED, GROUP, "unit", host="node-2"),
        RunRow("20261128-130000-cccccc", "run", "b", now + timedelta(hours=1), RunState.RUNNING, GROUP, "e2e"),
    )
    with Ledger.open(path) as ledger:
        assert ledger.record(*rows)


def test_the_newest_runs_are_read_without_touching_anything(tmp_path: Path) -> None:
    assert recent_runs(tmp_path / "runs.db") == []
    (tmp_path / "runs.db").write_text("no database")
    assert recent_runs(tmp_path / "runs.db") == []
    assert (tmp_path / "runs.db").read_text() == "no database"
    record_runs(tmp_path / "ledger" / "runs.db")
    found = recent_runs(tmp_path / "ledger" / "runs.db", 2)
    assert [(run.run_id, run.may_be_alive) for run in found] == [
        ("20261128-130000-cccccc", True),
        ("20261128-120000-bbbbbb", False),
    ]


needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish on this machine")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh on this machine")


def test_what_there_is_of_each_kind(place: Place) -> None:
    ids = ["20261128-130000-cccccc", "20261128-120000-bbbbbb", "20261127-120000-aaaaaa"]
    cases = {
        "inv run --host no": ["node-1", "node-2"],
        "inv run --exclude mini,no": ["mini,node-1", "mini,node-2"],
        "inv run --host $": ["\\$\\(touch\\$\\{IFS\\}PWNED\\)"],
        "inv logs ": ["last", *ids, GROUP],
        "dgummy cancel ": [ids[0], GROUP],
        "inv resume ": ["last", GROUP],
        "inv runs --group g": [GROUP],
        "inv workspace.list --group de": ["dev"],
        "inv fanout --suite ": ["ci"],
        "inv task --type da": ["database"],
        "inv specialists.move --from m": ["mini"],
        "inv fan": ["fanout"],
        "inv run --fall": ["--fallback"],
        "inv --help stat": ["status"],
        "inv run -- no": [],
        "inv skill.show --to ": [],
        "inv run --host zz": [],
    }
    assert dict(zip(cases, place.inv(*cases), strict=True)) == cases


def test_bash_by_its_function(place: Place) -> None:
    cases = {"inv run --host $": ["\\$\\(touch\\$\\{IFS\\}PWNED\\)"], "dgummy fan": ["fanout"], "inv run -- no": []}
    assert dict(zip(cases, place.bash(*cases), strict=True)) == cases


def test_bash_at_a_terminal(place: Place) -> None:
    setup = """bind -x '"\\C-x\\C-p": printf "%s\\n" "$READLINE_LINE" >$OUT'; eval "$(inv completion bash)" """
    typed = {
        "inv run --host=mi": "inv run --host=mini ",
        'dgummy run --group "my': 'dgummy run --group "my group" ',
        "inv logs 20261127": "inv logs 20261127-120000-aaaaaa ",
        "cd . && inv sync --group it": "cd . && inv sync --group it\\'s\\ \\$\\(touch\\ PWNED\\) ",
        "inv run -- /et": "inv run -- /etc/",
    }
    found = place.typed(["bash", "--norc", "--noprofile", "-i"], setup, list(typed))
    assert dict(zip(typed, found, strict=True)) == typed


@needs_zsh
def test_zsh_at_a_terminal(place: Place) -> None:
    setup = """autoload -Uz compinit && compinit -u; eval "$(inv completion zsh)"
        show() { print -r -- "$BUFFER" >$OUT }; zle -N show; bindkey "^X^P" show; bindkey "^U" kill-whole-line"""
    typed = {
        "inv run --host=mi": "inv run --host=mini ",
        'dgummy run --group "my': 'dgummy run --group "my group" ',
        "inv logs 20261127": "inv logs 20261127-120000-aaaaaa ",
        "inv run --host \\$": "inv run --host \\$\\(touch\\$\\{IFS\\}PWNED\\) ",
        "inv run -- /et": "inv run -- /etc/",
    }
    found = place.typed(["zsh", "-f", "-i"], " ".join(setup.split("\n")).replace("show()", "; show()"), list(typed))
    assert dict(zip(typed, found, strict=True)) == typed


@needs_zsh
def test_zsh_finds_it_in_a_folder_of_its_own(place: Place) -> None:
    """As a file of fpath, which zsh loads at the first TAB."""
    folder = place.home / "functions"
    folder.mkdir()
    (folder / "_dgummy").write_text(place.run("dgummy", "completion", "zsh").stdout)
    setup = f"fpath=({folder} $fpath); autoload -Uz compinit && compinit -u; " + (
        'show() { print -r -- "$BUFFER" >$OUT }; zle -N show; bindkey "^X^P" show'
    )
    assert place.typed(["zsh", "-f", "-i"], setup, ["inv sync --host mi"]) == ["inv sync --host mini "]


@needs_fish
def test_fish(place: Place) -> None:
    assert place.fish("inv logs ") == [
        "last\tthe newest run",
        "20261128-130000-cccccc\trunning e2e",
        "20261128-120000-bbbbbb\tfailed node-2 unit",
        "20261127-120000-aaaaaa\tok node-1 make red",
        f"{GROUP}\tgroup: unit, e2e",
    ]
    assert "$(touch${IFS}PWNED)\tdev" in place.fish("dgummy run --host ")
    assert place.fish("inv run --host=mi") == ["--host=mini\tdev"]
    assert place.fish("inv run --group 'my") == ["my group\tnode-1"]
    assert place.fish("inv run -- /et") == ["/etc/"]


def test_below_a_name_and_beside_other_tasks(place: Place, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from invoke import Collection, task\nfrom dgummy.tasks import ns as dgummy_ns\n"
        "@task\ndef hello(c, host, run='x'):\n    pass\n"
        "ns = Collection(hello)\nns.add_collection(dgummy_ns, 'dg')\n"
    )
    cases = {
        "inv dg.runs.pr": ["dg.runs.prune"],
        "inv dg.run --host mi": ["mini"],
        "inv hel": ["hello"],
        "inv hello --ru": ["--run"],
        "inv hello --run ": [],  # of another task nobody knows what its flags mean
    }
    assert dict(zip(cases, place.inv(*cases, cwd=tmp_path), strict=True)) == cases


def test_elsewhere_it_is_as_invoke_by_itself(place: Place, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from invoke import task\n@task\ndef hello(c, host='x'):\n    pass\n")
    assert place.bash("inv he", f"inv -r {tmp_path} hello --ho", cwd=tmp_path) == [["hello"], ["--host"]]
    assert place.bash("inv he", f"inv -r {tmp_path} he", cwd=place.home) == [[], ["hello"]]


def test_broken_settings_say_nothing_and_a_tab_costs_little(place: Place, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("groups: [")
    words = ["--complete", "--", "inv", "run", "--host", ""]
    for broken in (True, False):
        env = {"DGUMMY_COMPLETE": "fish", "PYTHONPROFILEIMPORTTIME": "1"}
        if broken:
            env["DGUMMY_CONFIG"] = f"{tmp_path}/broken.yaml"
        done = place.run("inv", *words, env=env)
        assert done.returncode == 0
        assert ("node-1" in done.stdout) is not broken
        said = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        assert said == []
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert imported & {"fabric", "paramiko", "rich", "dgummy.cluster", "dgummy.transport.ssh"} == set()
    assert "dgummy.inventory" in imported
