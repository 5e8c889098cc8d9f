"""The pages tell the truth: what they show is run, what is made from the code is as it is, and links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from invoke.collection import Collection
from invoke.parser import Parser
from invoke.program import Program

import dgummy.tasks
import repos
import standin_crontab
import warm
from cli_lab import PROGRAMS, Desk, open_desk
from dgummy import layers, yamltext
from dgummy.errors import ConfigError, ExitCode
from dgummy.lab import make_sample_project
from doc_blocks import PAGES, REPO, Block, Shown, blocks, calls, inline_commands, pattern, prose, read
from scripts.docs import pages, record, settings
from test_layers import FLOORS

FILES = {"tasks.py": "from dgummy.tasks import ns\n", "Makefile": "test:\n\tsh tests/run.sh\n"}
NEED_NOT_BE_SEEN_TWICE = ("status", "load", "pick", "config.", "sync", "run", "specialists")
SHIMS = {
    "inv": "-m invoke",
    "dgummy": "-c \"import sys; from dgummy.cli import main; sys.argv[0] = 'dgummy'; main()\"",
    "python": "",
    "python3": "",
}


def of_all_pages() -> list[Block]:
    return [block for page in PAGES for block in blocks(page)]


# -- what is shown is run ---------------------------------------------------------------------------------------------


@dataclass
class World:
    """A reader's project on a lab whose hosts and groups are those that the pages speak of."""

    desk: Desk
    project: Path
    env: dict[str, str]
    written: set[str] = field(default_factory=lambda: set(FILES))

    def write(self, name: str, text: str) -> None:
        self.written.add(name)
        target = self.project / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def as_before(self) -> None:
        """Take away what an earlier part of the page had written."""
        for name in self.written - set(FILES):
            (self.project / name).unlink()
        self.written.clear()
        for name, text in FILES.items():
            self.write(name, text)

    def run(self, shown: str | list[str]) -> tuple[int, str]:
        """A line of shell, or a program with its arguments: the exit code, and what both streams said."""
        words = plain_words(shown) if isinstance(shown, str) else []
        if words and words[0] in PROGRAMS and "ask" not in words[1] and warm.fits(self.env):
            known = warm.run(PROGRAMS[words[0]], words[1:], cwd=self.project, env=self.env, timeout_s=60)
            return known.returncode, (known.stdout + known.stderr).decode("utf-8")
        done = subprocess.run(
            ["bash", "-c", shown] if isinstance(shown, str) else shown,
            cwd=self.project,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout


def plain_words(line: str) -> list[str]:
    """The words of a line that is one command and nothing else; of any other, which is for a shell, none."""
    words = shlex.split(line, comments=True)
    bare = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", line)
    return [] if re.search(r"[$`\\|&;<>()*?{}~!\"]", bare) or len(words) < 2 else words


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("docs"), nodes=2, down_nodes=0, figures=()) as made:
        folder = made.nodes.home.parent / "bin"
        folder.mkdir()
        for name, words in SHIMS.items():
            (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n', encoding="utf-8")
            (folder / name).chmod(0o755)
        standin_crontab.make(folder)
        yield made


def world(desk: Desk, page: str) -> World:
    """A project of this page's own: nothing that another page left on a host is in its way."""
    name = Path(page).stem
    home = desk.nodes.home.parent / f"home-{name}"
    project = make_sample_project(home / "myapp", specialists=page == "docs/commands.md")
    for file, text in FILES.items():
        (project / file).write_text(text, encoding="utf-8")
    for words in (["config", "user.name", "Ana"], ["config", "user.email", "ana@example.org"]):
        repos.git(project, *words)
    repos.commit(project, "Tasks")
    known = yaml.safe_load(desk.lab.config_path.read_text(encoding="utf-8"))
    nodes = list(known["hosts"])
    known |= {"groups": {"dev": nodes, "build": nodes}, "group": "dev", "remote_dir": f"~/{name}/{{name}}"}
    known["agent"] = {"start_gap_s": 0}
    known["state_dir"] = str(desk.lab.directory / f"state-{name}")
    config = desk.lab.directory / f"docs-{name}.yaml"
    config.write_text(yaml.safe_dump(known), encoding="utf-8")
    environment = desk.environment({"HOME": str(home), "DGUMMY_CONFIG": str(config)})
    environment["PATH"] = f"{desk.nodes.home.parent / 'bin'}:{environment['PATH']}"
    return World(desk, project, environment)


@pytest.mark.lab
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_runs(desk: Desk, page: str) -> None:
    here = world(desk, page)
    done_before = on_earlier_pages(page)
    section = ""
    for block in blocks(page):
        if block.section != section:
            section = block.section
            here.as_before()
        if block.file:
            here.write(block.file, block.text)
        elif block.not_run:
            continue
        elif block.language == "python":
            code, told = here.run([sys.executable, "-W", "error", "-c", block.text])
            assert code == 0, f"{block.where}\n{told}"
        for shown in () if block.file else block.commands:
            if shown.words not in done_before or shown.output:
                _run(here, block, shown)
            done_before.add(shown.words)


def on_earlier_pages(page: str) -> set[tuple[str, ...]]:
    """The commands that an earlier page has shown to work, and that what follows them does not depend on."""
    earlier = [block for each in PAGES[: PAGES.index(page)] for block in blocks(each)]
    shown = [one.words for block in earlier if not block.not_run and not block.file for one in block.commands]
    return {words for words in shown if words[0] == "inv" and words[1].startswith(NEED_NOT_BE_SEEN_TWICE)}


def _run(here: World, block: Block, shown: Shown) -> None:
    code, output = here.run(shown.text)
    told = f"{block.where}: {shown.text}\n{output}"
    assert code == block.exit_code, f"exit code {code}: {told}"
    printed = output.splitlines()
    for line in shown.output:
        if line.strip() != "…":
            assert any(pattern(line).fullmatch(one) for one in printed), f"nowhere: {line}\n{told}"


# -- what is not run is right as far as one can see --------------------------------------------------------------------


def fresh_collection() -> Collection:
    """Ours, copied: to make contexts of a collection takes away the help that the pages are made from."""
    return Collection.from_module(dgummy.tasks)


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """ParseError for a command or a flag that there is not."""
    words = [re.sub(r"^dg\.", "", word) for word in words]
    monkeypatch.setattr(sys, "argv", ["inv", *words])
    Parser(contexts=fresh_collection().to_contexts(), initial=Program().initial_context).parse_argv(list(words))


def test_what_is_not_run_says_why_and_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = [block for block in of_all_pages() if block.not_run]
    for block in left_out:
        assert len(block.not_run.split()) >= 4, f"{block.where}: why is it not run?"
        for line in block.text.replace("\\\n", " ").splitlines():
            if block.language == "sh" or line.startswith("$ "):
                for words in calls(line.removeprefix("$ ")):
                    parse(words, monkeypatch)
    runnable = sum(len(block.commands) for block in of_all_pages() if not block.not_run and not block.file)
    assert sum(len(block.commands) for block in left_out) < runnable / 3, "most of what is shown must be run"


def test_blocks_are_of_a_kind_that_is_looked_at() -> None:
    for block in of_all_pages():
        assert block.file or block.language in ("sh", "console", "yaml", "python"), block.where


def test_settings_that_are_shown_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in of_all_pages():
        if block.language != "yaml" or block.not_run:
            continue
        if block.file and block.file != "invoke.yaml":
            for line in re.findall(r"run: (.*)", block.text):
                for words in calls(line):
                    parse(words, monkeypatch)
            continue
        found = yamltext.load_mapping(block.text, block.where)
        layers.merge([layers.Layer(block.where, found.get("dgummy", found))])


def test_commands_that_are_named_exist() -> None:
    collection = fresh_collection()
    flags_of = {context.name or "": set(context.flags) for context in collection.to_contexts()}
    for name, aliases in collection.task_names.items():
        flags_of |= dict.fromkeys(aliases, flags_of[name])
    core = set(Program().initial_context.flags)
    for page in (*PAGES, "CHANGELOG.md"):
        for text in inline_commands(page):
            words = text.partition(" -- ")[0].split()[1:]
            names = [word for word in words if re.fullmatch(r"[a-z][a-z.]*[a-z]", word)]
            if not names or names[0].startswith(("docs.", "dg.")):
                continue
            of_group = [flags for each, flags in flags_of.items() if each.startswith(f"{names[0]}.")]
            assert names[0] in flags_of or of_group, f"{page}: `{text}`: there is no inv {names[0]}"
            flags = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
            there = flags_of.get(names[0], set()).union(core, *of_group)
            assert flags <= there, f"{page}: `{text}`: there is no {', '.join(flags - there)}"


# -- what is made from the code ---------------------------------------------------------------------------------------


def test_made_pages_are_as_the_code_is() -> None:
    for name, text in pages.build(dgummy.tasks.ns).items():
        assert read(f"docs/{name}") == text, f"docs/{name} is not what the code says now; run: inv docs.build"


def test_flags_that_many_have_are_named_in_full() -> None:
    named = re.findall(
        r"`([^`]+)`", " ".join(re.findall(r"^And: [^.]*\.$", read("docs/commands.md"), flags=re.MULTILINE))
    )
    assert "--verbose" in named and all(re.fullmatch(r"--[a-z][a-z-]+", name) for name in named)


def all_keys() -> list[Any]:
    return [pytest.param(s.place, key, id=f"{s.place}.{key.name}") for s in settings.sections() for key in s.keys]


@pytest.mark.parametrize(("place", "key"), [one for one in all_keys() if one.values[1].range])
def test_ranges_are_as_the_checks_have_them(place: str, key: Any) -> None:
    """What lies in the range is taken, what lies just outside is refused."""
    if place == "pricing.models.MODEL" or place == "suites.SUITE.LABEL":
        extra = {"input": 1, "output": 1} if place.startswith("pricing") else {"run": "true"}
    else:
        extra = {}
    step = 1 if key.kind == "whole number" else 0.001
    low, high = _limits(key.range)
    is_open = key.range.startswith("above")
    good = [low + step if is_open else low, *([high] if high is not None else [])]
    bad = [low if is_open else low - step, *([high + step] if high is not None else [])]
    for value in good:
        _set(place, key.name, value, extra)
    for value in bad:
        with pytest.raises(ConfigError):
            _set(place, key.name, value, extra)


@pytest.mark.parametrize(("place", "key"), [one for one in all_keys() if one.values[1].choices])
def test_choices_are_as_the_checks_have_them(place: str, key: Any) -> None:
    for value in key.choices:
        _set(place, key.name, value, {})
    with pytest.raises(ConfigError) as refused:
        _set(place, key.name, "nonsense-that-is-near-nothing", {})
    assert ", ".join(key.choices) in refused.value.remedy


def _limits(text: str) -> tuple[float, float | None]:
    low, *rest = (float(number) for number in re.findall(r"[\d.]+", text))
    return low, rest[0] if rest else None


def _set(place: str, name: str, value: Any, extra: dict[str, Any]) -> None:
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    raw: dict[str, Any] = {**extra, name: number}
    for part in reversed([part for part in place.split(".") if part]):
        raw = {part: raw}
    layers.merge([layers.Layer("test", raw)])


def test_a_key_that_is_not_described_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings._told()
    told["Settings"]["jobs"] = "How many. Range: 1 to 512."
    monkeypatch.setattr(settings, "_told", lambda: told)
    with pytest.raises(ValueError, match=r"Settings\.jobs: .*Example"):
        settings.sections()


# -- what stands there ------------------------------------------------------------------------------------------------


def test_the_exit_codes_are_those_there_are() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", read("README.md"), flags=re.MULTILINE)]
    assert codes == sorted(int(code) for code in ExitCode)
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", read("docs/troubleshooting.md"), flags=re.MULTILINE)}
    assert told == {int(code) for code in ExitCode} - {0}


def test_each_module_has_its_place_in_the_table_of_floors() -> None:
    table = "".join(line for line in read("docs/development.md").splitlines() if line.startswith("|"))
    named = set(re.findall(r"`([\w/]+)`", table))
    modules = {name.removeprefix("dgummy.") for names in FLOORS.values() for name in names} - {"dgummy"}
    folders = tuple(name.rstrip("/").replace("/", ".") + "." for name in named if "/" in name)
    lost = {name for name in modules if name not in named and not f"{name}.".startswith(folders)}
    assert not lost, f"docs/development.md, in the table of floors: add {', '.join(sorted(lost))}"
    assert not {name for name in named if "/" not in name} - modules, "there are no such modules"


def test_messages_that_are_explained_are_messages_of_ours() -> None:
    files = [path for path in (REPO / "dgummy").rglob("*.*") if path.suffix in (".py", ".sh")]
    sources = "".join(path.read_text(encoding="utf-8") for path in files)
    rows = re.findall(r"^\| (.*?) \|.*\|$", read("docs/troubleshooting.md"), flags=re.MULTILINE)
    quoted = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    assert len(quoted) >= 10
    for text in quoted:
        for part in text.split("…"):
            assert part.strip() in sources, f"docs/troubleshooting.md: nothing says {part!r}"


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)]+)\)", read(page)):
            if target.startswith("https://"):
                continue
            name, _, anchor = target.partition("#")
            path = (REPO / page).parent / name if name else REPO / page
            assert path.exists(), f"{page}: {target}"
            if anchor:
                assert anchor in _anchors(path.read_text(encoding="utf-8")), f"{page}: {target}"


def _anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_sentence_stands_on_two_pages() -> None:
    seen = Counter(
        sentence
        for page in PAGES
        for sentence in {" ".join(one.split()) for one in re.split(r"(?<=[.:;])\s", prose(page))}
        if len(sentence) > 40
    )
    assert [sentence for sentence, times in seen.items() if times > 1] == []


def test_lines_fit() -> None:
    for page in (*PAGES, "CHANGELOG.md"):
        for line in prose(page).splitlines():
            assert len(line) <= 120, f"{page}: {line}"
            assert line.count("`") % 2 == 0, f"{page}: what stands between backticks goes on in the next line: {line}"


def test_the_recorded_screen_holds_nothing_of_the_machine_it_was_made_on() -> None:
    text = (REPO / "docs/screen.svg").read_text(encoding="utf-8")
    assert len(text.encode()) < 120_000
    words = "".join(ElementTree.fromstring(text).itertext()).replace("\xa0", " ")
    assert "inv run" in words and "node-1:/home/ana/myapp" in words
    assert not re.search(r"/(tmp|root|work|Users|private|var)/|/home/(?!ana)|https?://(?!www\.w3\.org/2000/svg)", text)


def test_what_a_terminal_shows_becomes_a_picture(tmp_path: Path) -> None:
    script = f"printf '\\033[32m<%s&>\\033[0m\\n' green; printf '%*s|\\n' {record.WIDTH} last; stty size"
    printed = record.run_on_terminal(["/bin/sh", "-c", script], tmp_path, {"PATH": os.environ["PATH"]})
    picture = ElementTree.fromstring(record.picture(printed))
    lines = [line.replace("\xa0", " ").strip() for line in picture.itertext()]
    assert {"<green&>", "last", "|", f"50 {record.WIDTH}"} <= set(lines), lines  # a long line goes on in the next
    with pytest.raises(OSError, match="ended badly"):
        record.run_on_terminal(["/bin/sh", "-c", "echo ended badly; exit 3"], tmp_path, {})
