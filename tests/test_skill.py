"""The agent skill: what is installed, what is never overwritten, and that its scripts do as the design says."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.parser import Parser

from cli_lab import Desk, open_desk, validate
from dgummy import __version__, api, calling, skill
from dgummy.cli import make_program
from dgummy.errors import ArgumentError, ConfigError, UsageError
from dgummy.render import skill as screen
from dgummy.skillrules import DOCUMENT, NO_FILE, Manifest, Standing, is_older, judge
from dgummy.tasks import ns
from labs import REPO

FILES = {"SKILL.md", "scripts/__init__.py", "scripts/d_wrapper.py", "scripts/orchestrate_gummy.py"}
TEXT = skill.contents()[DOCUMENT].decode()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


# -- how what is there stands to the package ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("0.1.0", "0.1.1"),
        ("0.9", "0.10"),
        ("1.0rc1", "1.0"),
        ("1.0.dev3", "1.0"),
        ("1.0", "1.0.post1"),
        ("0.1", "0.1.1"),
        ("nonsense", "0.0.1"),
    ],
)
def test_versions_are_compared_by_their_numbers(older: str, newer: str) -> None:
    assert is_older(older, newer)
    assert not is_older(newer, older)
    assert not is_older(newer, newer)


def test_versions_that_are_the_same() -> None:
    assert not is_older("1.0", "1.0.0") and not is_older("1.0.0", "1.0")
    assert not is_older("1.0+local", "1.0") and not is_older("1.0", "1.0+local")


OURS = {"SKILL.md": "new", "scripts/a.py": "a"}
OLD = Manifest("0.1", {"SKILL.md": "old", "scripts/a.py": "a", "scripts/gone.py": "g"})
NEW = Manifest("0.2", OURS)


@pytest.mark.parametrize(
    ("manifest", "found", "others", "standing", "edited", "missing"),
    [
        (None, {}, False, Standing.ABSENT, (), ()),
        (None, {}, True, Standing.FOREIGN, (), ()),
        (None, {"SKILL.md": "x"}, True, Standing.FOREIGN, ("SKILL.md",), ()),
        (None, {"scripts/a.py": "a"}, True, Standing.ABSENT, (), ()),  # an installation that was cut off
        (NEW, OURS, True, Standing.CURRENT, (), ()),
        (NEW, {"SKILL.md": "mine", "scripts/a.py": "a"}, True, Standing.CURRENT, ("SKILL.md",), ()),
        (NEW, {"SKILL.md": NO_FILE, "scripts/a.py": "a"}, True, Standing.CURRENT, ("SKILL.md",), ()),
        (NEW, {"SKILL.md": "new"}, True, Standing.CURRENT, (), ("scripts/a.py",)),
        (OLD, {**OLD.files}, True, Standing.OLDER, (), ()),
        (OLD, {**OLD.files, "SKILL.md": "new"}, True, Standing.OLDER, (), ()),  # an upgrade that was cut off
        (OLD, {**OLD.files, "scripts/gone.py": "x"}, True, Standing.OLDER, ("scripts/gone.py",), ()),
        (Manifest("0.2", {"SKILL.md": "old"}), {"SKILL.md": "old"}, True, Standing.OLDER, (), ()),
        (Manifest("0.3", {"SKILL.md": "old"}), {"SKILL.md": "old"}, True, Standing.NEWER, (), ()),
    ],
)
def test_what_is_there_is_judged_by_its_digests(
    manifest: Manifest | None,
    found: dict[str, str],
    others: bool,
    standing: Standing,
    edited: tuple[str, ...],
    missing: tuple[str, ...],
) -> None:
    judged = judge(manifest, found, OURS, "0.2", has_others=others)
    assert (judged.standing, judged.edited, judged.missing) == (standing, edited, missing)


# -- installing and removing ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "skills" / skill.NAME


def installed_by(folder: Path, version: str, changes: Callable[[dict[str, str]], None] = lambda _: None) -> None:
    """Make what is there look like the work of another version, in which the files were others."""
    manifest = json.loads((folder / skill.MANIFEST).read_text())
    manifest["version"] = version
    changes(manifest["files"])
    (folder / skill.MANIFEST).write_text(json.dumps(manifest))


def old_document(files: dict[str, str]) -> None:
    import hashlib

    files["SKILL.md"] = hashlib.sha256(b"old\n").hexdigest()


def test_installed_once_it_is_whole_and_installed_again_nothing_happens(folder: Path) -> None:
    assert skill.state(folder).standing is Standing.ABSENT
    done = skill.install(folder)
    assert set(done.written) == FILES == files(folder) - {skill.MANIFEST}
    state = skill.state(folder)
    assert (state.standing, state.version, state.is_whole) == (Standing.CURRENT, __version__, True)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert screen.installed(skill.install(folder))["action"] == "unchanged"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_an_older_one_is_brought_up_to_date_and_says_from_what_to_what(folder: Path) -> None:
    skill.install(folder)
    (folder / "SKILL.md").write_text("old\n")
    (folder / "scripts" / "gone.py").write_text("old\n")
    (folder / "notes.txt").write_text("mine\n")

    def as_then(files: dict[str, str]) -> None:
        old_document(files)
        files["scripts/gone.py"] = files["SKILL.md"]

    installed_by(folder, "0.0.9", as_then)
    found = skill.state(folder)
    assert (found.standing, found.version) == (Standing.OLDER, "0.0.9")
    assert f"older than dgummy {__version__}; inv skill.install --to " in screen.standing(found)[0][0]
    done = skill.install(folder)
    assert (done.written, done.removed) == (("SKILL.md",), ("scripts/gone.py",))
    assert f"0.0.9 → {__version__}" in screen.installed_lines(done)[0][0]
    assert files(folder) == {*FILES, skill.MANIFEST, "notes.txt"}
    assert skill.state(folder).is_whole


def test_one_that_was_cut_off_is_finished(folder: Path) -> None:
    skill.install(folder)
    (folder / skill.MANIFEST).unlink()
    (folder / "SKILL.md").unlink()
    assert skill.state(folder).standing is Standing.ABSENT
    assert skill.install(folder).written == ("SKILL.md",)
    (folder / "scripts" / "d_wrapper.py").unlink()
    assert skill.state(folder).missing == ("scripts/d_wrapper.py",)
    assert screen.installed(skill.install(folder))["action"] == "repaired"
    assert skill.state(folder).is_whole


def test_what_the_user_edited_is_not_replaced_and_with_force_kept_beside(folder: Path) -> None:
    skill.install(folder)
    document = folder / "SKILL.md"
    document.write_text("mine\n")
    for refused in (skill.install, skill.remove):
        with pytest.raises(UsageError, match=r"SKILL.md in .* was edited"):
            refused(folder)
        assert document.read_text() == "mine\n"
    assert skill.install(folder, force=True).kept == (("SKILL.md", "SKILL.md.bak"),)
    document.write_text("mine again\n")
    assert skill.install(folder, force=True).kept == (("SKILL.md", "SKILL.md.bak2"),)
    assert [(folder / f"SKILL.md.bak{number}").read_text() for number in ("", "2")] == ["mine\n", "mine again\n"]
    assert document.read_text() == TEXT


def test_a_newer_one_is_left_alone(folder: Path) -> None:
    skill.install(folder)
    installed_by(folder, "99.0")
    with pytest.raises(UsageError, match=r"version 99\.0, newer than this dgummy") as refused:
        skill.install(folder)
    assert "pip install --upgrade distributed-gummy" in refused.value.remedy
    assert screen.installed(skill.install(folder, force=True))["action"] == "downgraded"


@pytest.mark.parametrize("name", ["SKILL.md", "notes.txt"])
def test_a_folder_that_is_not_ours_is_left_alone(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text("theirs\n")
    for refused in (skill.install, skill.remove):
        with pytest.raises(UsageError):
            refused(folder)
        assert files(folder) == {name}
    skill.install(folder, force=True)
    kept = "SKILL.md.bak" if name == "SKILL.md" else name
    assert (folder / kept).read_text() == "theirs\n"


def test_nothing_is_written_through_a_link(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.parent.mkdir()
    folder.symlink_to(elsewhere)
    for force in (False, True):
        with pytest.raises(UsageError, match=f"is a link to {elsewhere}"):
            skill.install(folder, force=force)
        with pytest.raises(UsageError, match=f"is a link to {elsewhere}"):
            skill.remove(folder, force=force)
    folder.unlink()
    folder.symlink_to(folder)
    with pytest.raises(ConfigError, match="symbolic links"):
        skill.install(folder)
    folder.unlink()
    folder.mkdir()
    (folder / "scripts").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="scripts is a link"):
        skill.install(folder, force=True)
    (folder / "scripts").unlink()
    skill.install(folder)
    (elsewhere / "own.md").write_text("theirs\n")
    (folder / "SKILL.md").unlink()
    (folder / "SKILL.md").symlink_to(elsewhere / "own.md")
    assert skill.state(folder).edited == ("SKILL.md",)
    skill.install(folder, force=True)
    assert files(elsewhere) == {"own.md"} and (elsewhere / "own.md").read_text() == "theirs\n"


def test_links_on_the_way_are_followed_and_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    folder.parent.symlink_to(tmp_path / "dotfiles")
    done = skill.install(folder)
    assert f"through links: that is {tmp_path / 'dotfiles' / skill.NAME}" in screen.installed_lines(done)[1][0]


def test_removing_takes_what_is_ours_and_leaves_the_rest(folder: Path) -> None:
    skill.install(folder)
    words = [sys.executable, "-c", "import scripts.orchestrate_gummy"]
    subprocess.run(words, cwd=folder, check=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""})
    assert any(name.endswith(".pyc") for name in files(folder))
    (folder / "scripts" / "own.py").write_text("mine\n")
    assert skill.remove(folder).left == ("scripts",)
    assert files(folder) == {"scripts/own.py"}
    (folder / "scripts" / "own.py").unlink()
    skill.install(folder)
    skill.remove(folder)
    assert not folder.exists()
    assert skill.remove(folder).removed == ()


def test_removing_follows_no_link_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    skill.install(folder)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "d_wrapper.cpython-311.pyc").touch()
    (folder / "scripts" / "__pycache__").symlink_to(theirs)
    assert skill.remove(folder).left == ("scripts",)
    assert files(theirs) == {"d_wrapper.cpython-311.pyc"} and files(folder) == {"scripts/__pycache__"}


def test_a_folder_named_like_a_compiled_script_does_not_stop_the_removal(folder: Path) -> None:
    skill.install(folder)
    (folder / "scripts" / "__pycache__" / "d_wrapper.x.pyc").mkdir(parents=True)
    assert skill.remove(folder).left == ("scripts",) and files(folder) == set()


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("name", [skill.MANIFEST, "scripts"])
def test_what_is_in_the_way_is_told_before_anything_is_touched(folder: Path, name: str, force: bool) -> None:
    skill.install(folder)
    place = folder / name
    if name == "scripts":
        shutil.rmtree(place)
        place.touch()
    else:
        place.unlink()
        (place / "mine").mkdir(parents=True)
    (folder / "SKILL.md").write_text("mine\n")
    before = files(folder)
    for refused in (skill.install, skill.remove):
        with pytest.raises(UsageError, match=f"{place} is no (file|folder)"):
            refused(folder, force=force)
        assert files(folder) == before


def test_a_manifest_that_names_other_files_reaches_none_of_them(folder: Path, tmp_path: Path) -> None:
    skill.install(folder)
    (tmp_path / "victim").write_text("x")
    for name in ("../../victim", str(tmp_path / "victim"), "scripts/../../../victim", "scripts/.."):
        installed_by(folder, "0.0.1", lambda files, name=name: files.update({name: "x"}))  # type: ignore[misc]
        assert skill.remove(folder, force=True).removed == ()
        skill.install(folder)
    assert (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("0.0.1", "scripts/\0"),
        ("0.0.1", "scripts"),
        ("0.0.1", "scripts/"),
        ("0.0.1", "scripts/."),
        ("0.0.1", "scripts/own.txt"),
        ("0.0.1", f"scripts/{'x' * 300}.py"),
        ("0.0.1\n", "SKILL.md"),
        ("9" * 9000, "SKILL.md"),
    ],
)
def test_a_manifest_that_no_installation_wrote_counts_as_none(folder: Path, version: str, name: str) -> None:
    skill.install(folder)
    manifest = json.loads((folder / skill.MANIFEST).read_text())
    manifest |= {"version": version, "files": manifest["files"] | {name: "0" * 64}}
    (folder / skill.MANIFEST).write_text(json.dumps(manifest))
    assert skill.remove(folder, force=True).removed == ()
    assert skill.state(folder).standing is Standing.ABSENT and files(folder) >= FILES
    skill.install(folder)
    assert skill.state(folder).is_whole


def test_what_is_kept_beside_never_takes_anothers_place(folder: Path) -> None:
    skill.install(folder)
    (folder / "SKILL.md").unlink()
    (folder / "SKILL.md").mkdir()
    (folder / "SKILL.md" / "mine").touch()
    (folder / "SKILL.md.bak").symlink_to("nowhere")
    (folder / "SKILL.md.bak2").mkdir()
    assert skill.install(folder, force=True).kept == (("SKILL.md", "SKILL.md.bak3"),)
    assert (folder / "SKILL.md.bak3" / "mine").exists() and not any((folder / "SKILL.md.bak2").iterdir())


def test_arguments_that_are_no_json_are_called_so() -> None:
    for given in ("\n x", "[", '{"a": ' * 100_000):
        document = calling.answer("get_load_metrics", given).document
        assert document["error"]["message"] == "stdin is no JSON" and "skill.call" in document["error"]["remedy"]
    assert calling.answer("get_load_metrics", '{"no": 1}').exit_code == 64


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot write"):
        skill.install(tmp_path / "file" / skill.NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
@pytest.mark.parametrize("name", [".", "scripts"])
@pytest.mark.parametrize("what", ["install", "remove"])
def test_of_what_may_not_be_written_nothing_is_done_by_halves(folder: Path, name: str, what: str) -> None:
    skill.install(folder)
    for path in (folder / "SKILL.md", folder / "scripts" / "d_wrapper.py"):
        path.write_text("mine\n")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    (folder / name).chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    call = f"""
import os, sys
from pathlib import Path
from dgummy import skill, errors
os.chdir(sys.argv[1])  # nobody else may go through the folders above it
os.setresuid(65534, 65534, 65534)
try:
    skill.{what}(Path(), force=True)
except errors.ConfigError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", call, folder], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.endswith(f" {name}: Permission denied\n"), done.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_file_in_the_folders_place(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("x")
    with pytest.raises(UsageError):
        skill.install(folder, force=True)


# -- the document ---------------------------------------------------------------------------------------------------


def test_the_head_is_as_agents_expect_it() -> None:
    """The rules of the Agent Skills format (agentskills.io/specification)."""
    head = yaml.safe_load(TEXT.split("---\n")[1])
    assert head["name"] == skill.NAME == skill.default_folder(Path("/h")).name
    assert 0 < len(head["description"]) <= 1024
    assert len(head["compatibility"]) <= 500
    assert head["metadata"] == {"version": __version__}
    assert head.keys() <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert len(TEXT.splitlines()) < 500
    for word in ("distributed", "cluster", "tailscale", "specialist", "least loaded", "which host should", "locally"):
        assert word in head["description"]


def commands() -> list[str]:
    """Every command that the document names."""
    return [text for text in re.findall(r"`([^`\n]+)`", TEXT) if text.startswith(("dgummy ", "inv "))]


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_in_it_exists(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line)[1:]
    monkeypatch.setattr(sys, "argv", ["dgummy", *words])
    core = make_program().initial_context
    left = Parser(initial=core, ignore_unknown=True).parse_argv(words).unparsed
    Parser(contexts=ns.to_contexts(), initial=core).parse_argv(left)


def test_every_flag_and_kind_in_it_exists() -> None:
    assert len(commands()) > 20
    known = {flag for context in (*ns.to_contexts(), make_program().initial_context) for flag in context.flags}
    named = set(re.findall(r"(?<!-)--[a-z][a-z-]*", TEXT))
    assert named - known == set()
    from dgummy.routing import TASK_TYPES

    kinds = re.search(r"`--type`: ([^.]*)\.", TEXT)
    assert kinds is not None and set(kinds[1].split(", ")) == set(TASK_TYPES)


# -- the scripts ------------------------------------------------------------------------------------------------------

SEED = {
    "orchestrate_gummy": {
        "select_optimal_host": ("task_type", "exclude"),
        "sync_and_execute_gummy": ("host", "task", "project_dir"),
        "parallel_gummy_tasks": ("tasks",),
        "monitor_all_specialists": (),
        "execute_local_gummy": ("task",),
        "round_robin_host_selection": (),
    },
    "d_wrapper": {
        "get_load_metrics": (),
        "get_host_status": (),
        "sync_directory": ("host", "path"),
        "run_remote_command": ("host", "command"),
        "d_run": ("host", "command"),
    },
}


@pytest.mark.parametrize("name", SEED)
def test_the_functions_are_those_of_the_design_document_and_of_the_api(name: str) -> None:
    module = importlib.import_module(f"dgummy.skill.files.scripts.{name}")
    for function, parameters in SEED[name].items():
        taken = tuple(inspect.signature(getattr(module, function)).parameters)
        assert taken[: len(parameters)] == parameters
        if function in skill.FUNCTIONS:
            assert taken == tuple(inspect.signature(getattr(api, function)).parameters)
    assert issubclass(module.SSHConnectionError, ConnectionError)


def test_the_scripts_are_for_any_python_that_an_agent_may_have() -> None:
    for name, content in skill.contents().items():
        if name.endswith(".py"):
            ast.parse(content, feature_version=(3, 8))


def bare_python(folder: Path, *words: str, path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a Python that has nothing but its standard library, in a folder."""
    return subprocess.run(
        [sys.executable, "-S", *words],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **env},
        capture_output=True,
        text=True,
    )


def test_without_dgummy_the_scripts_say_what_to_install(folder: Path) -> None:
    skill.install(folder)
    done = bare_python(folder, "-c", "from scripts.orchestrate_gummy import select_optimal_host")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ") and "pip install distributed-gummy" in last and "pipx" in last
    as_program = bare_python(folder, "scripts/orchestrate_gummy.py", "select_optimal_host")
    assert as_program.returncode == 1
    assert as_program.stderr.startswith("✗ ") and "pip install distributed-gummy" in as_program.stderr
    assert len(as_program.stderr.splitlines()) == 1


def test_a_program_that_is_too_old_is_told_apart(folder: Path, tmp_path: Path) -> None:
    skill.install(folder)
    (tmp_path / "dgummy").write_text("#!/bin/sh\necho \"No idea what '$1' is!\" >&2\nexit 1\n")
    (tmp_path / "dgummy").chmod(0o755)
    done = bare_python(folder, "scripts/d_wrapper.py", "get_load_metrics", path=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 70
    assert "No idea what 'skill.call' is!" in done.stderr
    assert "pip install --upgrade distributed-gummy" in done.stderr


@pytest.mark.parametrize("answer", ["5", "[]", "{}", '{"error": 5}', '{"error": {"message": "x"}}', ""])
def test_another_program_of_that_name_is_told_in_two_lines(folder: Path, tmp_path: Path, answer: str) -> None:
    skill.install(folder)
    (tmp_path / "dgummy").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "dgummy").chmod(0o755)
    done = bare_python(folder, "scripts/d_wrapper.py", "get_load_metrics", path=f"{tmp_path}:/usr/bin:/bin")
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 2)
    assert done.stderr.startswith(f"{tmp_path / 'dgummy'} does not answer as expected: exit code 0\n")


def test_a_program_whose_environment_is_gone_is_told_in_two_lines(folder: Path, tmp_path: Path) -> None:
    skill.install(folder)
    (tmp_path / "dgummy").write_text("#!/no/such/python\n")
    (tmp_path / "dgummy").chmod(0o755)
    done = bare_python(folder, "scripts/d_wrapper.py", "get_load_metrics", path=f"{tmp_path}:/usr/bin:/bin")
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 2)
    assert done.stderr.startswith(f"{tmp_path / 'dgummy'} does not start: ") and "pip install" in done.stderr


TALKATIVE = """#!/bin/sh
trap 'head -c 300000 /dev/zero; exit 130' INT
cat >/dev/null
touch "$0.ready"
while :; do sleep 0.1; done
"""


def test_ctrl_c_hears_the_program_out(folder: Path, tmp_path: Path) -> None:
    skill.install(folder)
    program, ready = tmp_path / "dgummy", tmp_path / "dgummy.ready"
    program.write_text(TALKATIVE)
    program.chmod(0o755)
    words = [sys.executable, "-S", "scripts/d_wrapper.py", "get_load_metrics"]
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(folder)}
    with subprocess.Popen(words, cwd=folder, env=env, start_new_session=True, stderr=subprocess.PIPE) as called:
        try:
            until = time.monotonic() + 20
            while not ready.exists() and time.monotonic() < until:
                time.sleep(0.05)
            os.killpg(called.pid, signal.SIGINT)
            _, err = called.communicate(timeout=20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(called.pid, signal.SIGKILL)
    assert (called.returncode, err) == (130, b"")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program dgummy, as pipx makes it: its Python is not the one that the scripts run with."""
    place = tmp_path_factory.mktemp("bin")
    call = "from dgummy.cli import main; main()"
    python = shlex.quote(sys.executable)
    (place / "dgummy").write_text(f'#!/bin/sh\nPYTHONPATH={REPO} exec {python} -c "{call}" "$@"\n')
    (place / "dgummy").chmod(0o755)
    return place


WRONG = """
from pathlib import Path
from scripts import d_wrapper, orchestrate_gummy
from scripts.orchestrate_gummy import *

def tried(name, *given, **named):
    function = getattr(orchestrate_gummy, name, None) or getattr(d_wrapper, name)
    try:
        return function(*given, **named)
    except ValueError as error:
        assert isinstance(error, DgummyError) and type(error).__name__ == "ArgumentError", error
        assert (error.argument, error.code, bool(error.remedy)) == (str(error).split(":")[0], 64, True), error
        return str(error)

for name, given in CASES:
    print(tried(name, *given))
for named in ({"require": None}, {"require": "os=linux"}, {"group": ["a"]}):
    print(tried("select_optimal_host", **named))
for named in ({"timeout_s": -1}, {"timeout_s": float("inf")}, {"timeout_s": True}, {"env": 5}, {"env": {"A": None}}):
    print(tried("run_remote_command", "node-1", "true", **named))
print(tried("get_load_metrics", refresh="no"))
print(tried("run_remote_command", "node-1", "\\ud800"))
for value in (object(), {1}, b"x"):
    print(tried("sync_and_execute_gummy", "node-1", value).split(":")[0])
print(tried("parallel_gummy_tasks", [{"task": "x", "project_dir": Path("/nowhere")}])[0]["reason"])
"""
CASES = [
    ("parallel_gummy_tasks", [[{"task": "x"}, {"task": "x", "hots": "node-1"}]], "tasks[1]: there is no key 'hots'"),
    ("parallel_gummy_tasks", [None], "tasks: expected a list of maps, got nothing"),
    ("parallel_gummy_tasks", ["x"], "tasks: expected a list of maps, got 'x'"),
    ("parallel_gummy_tasks", [{"task": "x"}], "tasks: expected a list of maps, got a map"),
    ("parallel_gummy_tasks", [["x"]], "tasks[0]: expected a map, got 'x'"),
    ("parallel_gummy_tasks", [[{}]], "tasks[0]: has no task"),
    ("parallel_gummy_tasks", [[{"task": None}]], "tasks[0]['task']: expected text, got nothing"),
    ("parallel_gummy_tasks", [[{"task": "x", "host": 5}]], "tasks[0]['host']: expected a host's name, got 5"),
    ("select_optimal_host", [["database"]], "task_type: expected text, got a list"),
    ("select_optimal_host", [None, "node-1"], "exclude: expected a list of texts, got 'node-1'"),
    ("select_optimal_host", [None, [None]], "exclude[0]: expected text, got nothing"),
    ("sync_and_execute_gummy", [None, "x"], "host: expected a host's name, got nothing"),
    ("sync_and_execute_gummy", [" ", "x"], "host: expected a host's name, got ' '"),
    ("sync_and_execute_gummy", ["node-1", 5], "task: expected text, got 5"),
    ("sync_and_execute_gummy", ["node-1", "x", 5], "project_dir: expected text, got 5"),
    ("d_run", [{}, "x"], "host: expected a host's name, got nothing"),
    ("d_run", ["node-1", ["a", "b"]], "command: expected text, got a list"),
    ("sync_directory", ["node-1", "a\0b"], "path: expected a folder's path, got 'a\\x00b'"),
]
OTHER_WRONG = [
    "require: expected a list of texts, got nothing",
    "require: expected a list of texts, got 'os=linux'",
    "group: expected text, got a list",
    "timeout_s: expected a number of seconds above 0, got -1",
    "timeout_s: expected a number of seconds above 0, got inf",
    "timeout_s: expected a number of seconds above 0, got true",
    "env: expected a map of names to texts, got 5",
    "env['A']: expected text, got nothing",
    "refresh: expected True or False, got 'no'",
    "command: expected text, got '\\ud800'",
    *["task"] * 3,
    "there is no folder /nowhere",
]


@pytest.mark.parametrize("has_package", [True, False])
def test_arguments_of_the_wrong_kind_are_refused_alike_with_the_package_and_through_the_program(
    folder: Path, program: Path, has_package: bool
) -> None:
    skill.install(folder)
    script = WRONG.replace("CASES", repr([(name, given) for name, given, _ in CASES]))
    path = "" if has_package else f"{program}:/usr/bin:/bin"
    words = [sys.executable, *([] if has_package else ["-S"]), "-c", script]
    env = {"HOME": str(folder), "PATH": path, "PYTHONPATH": str(REPO) if has_package else ""}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [*(said for _, _, said in CASES), *OTHER_WRONG]


def test_every_argument_of_the_api_is_checked() -> None:
    for function in skill.FUNCTIONS:
        called = getattr(api, function)
        parameters = inspect.signature(called).parameters.values()
        fitting = {"host": "node-1", "task": "x", "command": "x"}
        needed = {one.name: fitting.get(one.name) for one in parameters if one.default is one.empty}
        for one in parameters:
            with pytest.raises(ArgumentError) as refused:
                called(**{**needed, one.name: object()})
            assert refused.value.argument == one.name


def test_as_a_program_what_is_wrong_is_told_in_two_lines(folder: Path, program: Path) -> None:
    skill.install(folder)
    path = f"{program}:/usr/bin:/bin"
    script = str(folder / "scripts" / "orchestrate_gummy.py")
    for words, said in (
        ((), "name a function\nusage: "),
        (("nonsense",), "there is no function nonsense\nusage: "),
    ):
        done = bare_python(folder, script, *words, path=path)
        assert (done.returncode, done.stderr[: len(said)]) == (64, said)
    for given, said in (
        ('{"tasks": [{"task": "x", "hots": "a"}]}', "tasks[0]: there is no key 'hots'\ndid you mean host? the keys"),
        ('{"tasks": 5}', "tasks: expected a list of maps, got 5\nwrite "),
        ('{"task": 5}', "missing a required argument: 'tasks'\nusage: "),
        ("[", "Expecting value"),
        ("5", ""),
    ):
        done = bare_python(Path("/"), "-I", script, "parallel_gummy_tasks", given, path=path)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (64, "", 2), done.stderr
        assert done.stderr.startswith(said)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("skill")) as made:
        yield made


AGENT = """
import json
from scripts.orchestrate_gummy import select_optimal_host, sync_and_execute_gummy
from scripts.orchestrate_gummy import SSHConnectionError, d_run

optimal = select_optimal_host(task_type="database")
result = sync_and_execute_gummy(
host=optimal['host'],
task="optimize user queries",
project_dir=PROJECT
)
try:
    d_run("node-3", "true")
    failed_host = ""
except SSHConnectionError as error:
    failed_host = error.host
fallback = select_optimal_host(exclude=["node-1", failed_host])
ran = d_run(fallback, "echo $DGUMMY_NODE")
print(json.dumps([optimal["host"], result["state"], failed_host, ran["stdout_tail"]]))
"""
OTHERS = """
import json
from scripts.orchestrate_gummy import monitor_all_specialists, parallel_gummy_tasks
from scripts.d_wrapper import get_load_metrics, get_host_status, sync_directory, run_remote_command

print(json.dumps([
    parallel_gummy_tasks([{"task": "x", "host": "nowhere", "project_dir": PROJECT}])[0]["state"],
    sorted(get_load_metrics()), get_host_status()["node-1"]["online"], sync_directory("node-2", PROJECT)["ok"],
    sorted(monitor_all_specialists()), run_remote_command("node-1", "exit 3", env={"A": "b"})["exit_code"],
]))
"""


@pytest.mark.lab
@pytest.mark.parametrize(
    ("has_package", "script", "expected"),
    [
        (False, AGENT, ["node-1", "ok", "node-3", "node-2\n"]),
        (True, OTHERS, ["skipped", ["node-1", "node-2", "node-3"], True, True, ["node-1", "node-2"], 3]),
    ],
    ids=["program-only", "package"],
)
def test_the_scripts_run_from_the_folder_they_were_installed_in(
    desk: Desk, program: Path, has_package: bool, script: str, expected: list[Any]
) -> None:
    """As an agent runs them: with a Python that has dgummy, and with one that finds the program on PATH only."""
    assert desk.inv("skill.install").code == 0
    folder = desk.home / ".claude" / "skills" / skill.NAME
    script = script.replace("PROJECT", repr(str(desk.project)))
    if has_package:
        words, env = [sys.executable, "-c", script], desk.environment()
    else:
        words = [sys.executable, "-S", "-c", script]
        env = desk.environment({"PYTHONPATH": None, "PATH": f"{program}:{os.environ['PATH']}"})
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == expected


@pytest.mark.lab
def test_a_call_from_outside_is_one_document(desk: Desk) -> None:
    def call(function: str, given: bytes) -> tuple[int, dict[str, Any]]:
        done = desk.nodes.run("skill.call", function, given=given)
        return done.returncode, json.loads(done.stdout)

    code, document = call("select_optimal_host", b'{"exclude": ["node-1"]}')
    validate(document, "skill-call")
    assert (code, document["result"]["host"]) == (0, "node-2")
    for function, given in (
        ("api", b""),
        ("sync_directory", b"{}"),
        ("get_load_metrics", b"["),
        ("sync_directory", b"[]"),
    ):
        code, document = call(function, given)
        validate(document, "error")
        assert code == document["error"]["exit_code"] == 64
    code, document = call("run_remote_command", b'{"host": "node-3", "command": "true"}')
    validate(document, "error")
    assert (code, document["error"]["host"]) == (69, "node-3")


@pytest.mark.lab
def test_the_commands(desk: Desk) -> None:
    """Through a pipe and from another folder: documents on stdout, what was done on stderr."""
    place = desk.home / "elsewhere" / "distributed-gummy"
    to = ["--to", "elsewhere/distributed-gummy", "--json"]
    absent = desk.inv("skill.show", *to, cwd=desk.home, program="dgummy").document("skill-show")
    assert (absent["state"], absent["version"], absent["text"]) == ("absent", None, TEXT)
    done = desk.inv("skill.install", *to, cwd=desk.home, program="dgummy")
    assert done.document("skill-install")["action"] == "installed"
    assert f"installed the skill {__version__} in {place}" in done.err
    assert desk.inv("skill.show", *to[:2], cwd=desk.home, program="dgummy").out == TEXT
    (place / "SKILL.md").write_text("mine\n")
    shown = desk.inv("skill.show", *to, cwd=desk.home, program="dgummy")
    assert shown.document("skill-show")["edited"] == ["SKILL.md"] and "SKILL.md was edited" in shown.err
    refused = desk.inv("skill.install", *to, cwd=desk.home, program="dgummy")
    assert refused.code == refused.document("error")["error"]["exit_code"] == 64
    gone = desk.inv("skill.remove", "--force", *to, cwd=desk.home, program="dgummy").document("skill-remove")
    assert set(gone["removed"]) == FILES and gone["left"] == []
    assert not place.exists()
    empty = desk.inv("skill.remove", "--to", "", "--json", cwd=desk.home, program="dgummy")
    assert empty.code == empty.document("error")["error"]["exit_code"] == 64
    again = desk.inv("skill.remove", *to, cwd=desk.home, program="dgummy")
    assert again.code == 0 and "nothing was done" in again.err
