"""Finding a `d` that is one: real programs on a PATH of the test's own."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

import standin_dw
from dgummy.dhelp import USE_CASES, Dialect
from dgummy.errors import ExitCode
from dgummy.transport.dfind import Found, NotFound, find


class Place:
    """A folder of programs, the log of their calls, and a cache."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        self.cache = folder / "cache" / "d.json"

    def install(self, name: str = "dw", dialect: str = "released", **faults: str) -> Path:
        named = {key.replace("help", "--help"): value for key, value in faults.items()}
        return standin_dw.install(self.bin, name=name, dialect=dialect, faults=named, log=self.log)

    def script(self, name: str, text: str) -> Path:
        program = self.bin / name
        program.write_text(text)
        program.chmod(0o755)
        return program

    def find(
        self, configured: str | None = None, *, path: str | None = None, timeout_s: float = 20
    ) -> Found | NotFound:
        return find(configured, path=path or f"{self.bin}:/usr/bin:/bin", cache_path=self.cache, timeout_s=timeout_s)

    def found(self, configured: str | None = None) -> Found:
        found = self.find(configured)
        assert isinstance(found, Found), found
        return found

    def missing(self, configured: str | None = None, timeout_s: float = 20) -> NotFound:
        found = self.find(configured, timeout_s=timeout_s)
        assert isinstance(found, NotFound), found
        return found

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(tmp_path)
    return Place(tmp_path)


def only_help_was_asked(place: Place) -> bool:
    return all(call[-1] == "--help" for call in place.calls())


@pytest.mark.parametrize("dialect", ["released", "seed"])
@pytest.mark.parametrize("name", ["dw", "d"])
def test_both_dialects_under_both_names(place: Place, name: str, dialect: str) -> None:
    program = str(place.install(name, dialect))
    found = place.found()
    assert (found.path, found.dialect) == (program, Dialect(dialect))
    assert found.words == {use: (program, use) for use in USE_CASES}
    assert found.dry_run is (dialect == "released")
    assert found.why == f"{name} on PATH; speaks the {dialect} dialect"
    assert place.calls() and only_help_was_asked(place)


def test_dw_comes_before_d(place: Place) -> None:
    place.install("d", "seed")
    assert place.found().dialect is Dialect.SEED
    program = place.install("dw")
    assert place.found().path == str(program)


def test_the_answer_is_kept_until_the_program_changes(place: Place) -> None:
    program = place.install()
    first = place.found()
    asked = len(place.calls())
    assert place.found() == first
    assert len(place.calls()) == asked
    assert stat.S_IMODE(place.cache.stat().st_mode) == 0o600
    os.utime(program, ns=(1, 1))
    assert place.found() == first
    assert len(place.calls()) == 2 * asked
    place.install("dw", "seed")
    assert place.found().dialect is Dialect.SEED


def test_a_link_is_followed_to_see_a_change(place: Place, tmp_path: Path) -> None:
    real = standin_dw.install(tmp_path / "real", name="some-name", log=place.log)
    (place.bin / "dw").symlink_to(real)
    assert place.found().path == str(place.bin / "dw")
    standin_dw.install(tmp_path / "real", name="some-name", dialect="seed")
    assert place.found().dialect is Dialect.SEED


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema_version": 1, "entries": {"x": 3}}', "\x00" * 100, '{"schema_version": 9}']
)
def test_a_broken_cache_is_no_answer(place: Place, text: str) -> None:
    place.install()
    place.cache.parent.mkdir()
    place.cache.write_text(text)
    assert place.found().dialect is Dialect.RELEASED


def test_a_tampered_answer_is_asked_again(place: Place) -> None:
    place.install()
    place.found()
    place.cache.write_text(place.cache.read_text().replace("released", "renamed"))
    assert place.found().dialect is Dialect.RELEASED


def test_an_imposter_is_refused_and_nothing_of_it_is_run(place: Place, tmp_path: Path) -> None:
    program = place.install("d", "imposter")
    missing = place.missing()
    ((name, reason),) = missing.reasons
    assert name == str(program) and "not a d" in reason and "Usage: d [OPTION]" in reason
    assert missing.error is None
    assert place.calls() == [["d", "--help"]]
    assert not (tmp_path / "imposter-was-here").exists()
    place.missing()
    assert len(place.calls()) == 1  # that is remembered too


def test_an_imposter_before_a_d_is_passed_over(place: Place) -> None:
    place.install("dw", "imposter")
    place.install("d", "released")
    assert place.found().path == str(place.bin / "d")


def test_a_d_whose_run_is_of_neither_dialect(place: Place) -> None:
    text = """#!/bin/sh
case $1 in
run) echo "Usage: d run [host] [command...]" ;;
sync) echo "Usage: d sync" ;;
*) printf 'Usage: d COMMAND\\n\\nCommands:\\n  load\\n  status\\n  sync\\n  run\\n' ;;
esac
"""
    place.script("d", text)
    ((_, reason),) = place.missing().reasons
    assert "does not say clearly" in reason


@pytest.mark.parametrize(("fault", "timeout_s"), [("hang", 1.5), ("flood", 20), ("signal", 20)])
def test_a_program_that_does_not_answer(place: Place, fault: str, timeout_s: float) -> None:
    place.install(help=fault)
    began = time.monotonic()
    missing = place.missing(timeout_s=timeout_s)
    ((_, reason),) = missing.reasons
    assert missing.silent == ((f"{place.bin}/dw --help",) if fault == "hang" else ())
    assert time.monotonic() - began < 12
    assert "does not answer `dw --help`" in reason
    expected = {"hang": "no end within 1.5 s", "flood": "printed more than 262 KB", "signal": "killed by signal 9"}
    assert expected[fault] in reason
    place.missing(timeout_s=timeout_s)
    assert len(place.calls()) == 2  # it may answer next time


@pytest.mark.parametrize("fault", ["garbage", "nothing", "exit"])
def test_a_program_that_answers_nonsense(place: Place, fault: str) -> None:
    place.install(help=fault)
    ((_, reason),) = place.missing().reasons
    assert "not a d" in reason and reason.isprintable() and len(reason) < 400


def test_what_hangs_leaves_no_process_behind(place: Place) -> None:
    place.script("d", f"#!/bin/sh\nsleep 4321 & echo $! >{place.bin}/pid\nsleep 4321\n")
    place.missing(timeout_s=0.5)
    pid = int((place.bin / "pid").read_text())
    until = time.monotonic() + 3
    while time.monotonic() < until and is_alive(pid):
        time.sleep(0.02)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def test_a_question_gets_no_input(place: Place) -> None:
    place.script("dw", "#!/bin/sh\nread line && exit 1\n[ ! -t 0 ] && echo no input\n")
    ((_, reason),) = place.missing().reasons
    assert "says: no input" in reason


def test_programs_that_cannot_be_started(place: Place) -> None:
    place.script("dw", "#!/no/such/interpreter\n")
    place.script("d", "\x7fELF not really")
    missing = place.missing()
    assert [Path(name).name for name, _ in missing.reasons] == ["dw", "d"]
    assert all("does not start" in reason for _, reason in missing.reasons)


def test_nothing_there(place: Place) -> None:
    assert place.missing() == NotFound()
    assert place.missing().why == "no d command on PATH"


def test_relative_folders_of_path_are_not_looked_at(place: Place, tmp_path: Path) -> None:
    standin_dw.install(tmp_path, name="dw")
    for path in ("", ".", ":", "bin", "./bin:"):
        assert isinstance(find(None, path=path, cache_path=place.cache), NotFound)
    assert isinstance(find(None, path=f".:{tmp_path}", cache_path=place.cache), Found)


# -- d.command -----------------------------------------------------------------------------------------------------


def test_a_configured_command(place: Place, tmp_path: Path) -> None:
    elsewhere = standin_dw.install(tmp_path / "else", name="mine", dialect="seed")
    place.install()
    found = place.found(str(elsewhere))
    assert (found.path, found.dialect) == (str(elsewhere), Dialect.SEED)
    assert found.why.startswith("the setting d.command")
    place.install("other")
    assert place.found("other").path == str(place.bin / "other")


def test_a_configured_command_in_the_home_folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    standin_dw.install(tmp_path / "go", name="dw")
    assert place.found("~/go/dw").path == str(tmp_path / "go" / "dw")


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ("no-such", "there is no such program"),
        ("/no/such", "there is no such program"),
        ("bin/dw", "neither a plain name nor an absolute path"),
        ("d", "not a d"),
        ("/", "there is no such program"),
        ("d\x1b[31m", "there is no such program"),
    ],
)
def test_a_configured_command_that_is_unusable_is_an_error(place: Place, configured: str, said: str) -> None:
    place.install("dw")  # not taken instead
    place.install("d", "imposter")
    missing = place.missing(configured)
    assert missing.error is not None and missing.error.code == ExitCode.CONFIG
    assert said in missing.error.message and missing.error.message.isprintable()
    assert "backend: ssh" in missing.error.remedy
    assert said in missing.why


# -- one-word commands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["seed", "released"])
def test_one_word_commands(place: Place, dialect: str) -> None:
    standin_dw.install_words(place.bin, dialect=dialect, log=place.log)
    found = place.found()
    assert found.dialect is Dialect(dialect)
    assert found.words == {use: (str(place.bin / f"dw{use}"),) for use in USE_CASES}
    assert only_help_was_asked(place)
    asked = len(place.calls())
    assert place.found() == found and len(place.calls()) == asked


def test_some_of_the_one_word_commands(place: Place) -> None:
    place.install("dwload", "seed")
    assert "does not say how a host is named" in place.missing().why
    place.install("dwrun", "seed")
    found = place.found()
    assert set(found.words) == {"load", "run"}
    assert "dwload, dwrun on PATH" in found.why


def test_a_whole_d_comes_before_one_word_commands(place: Place) -> None:
    standin_dw.install_words(place.bin, dialect="seed")
    place.install("d", "imposter")
    assert place.found().words["run"] == (str(place.bin / "dwrun"),)
    place.install("d", "released")
    assert place.found().words["run"] == (str(place.bin / "d"), "run")
