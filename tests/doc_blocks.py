"""Reads the pages: fenced blocks with the marks above them, the commands in those, and commands named in prose."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPO = Path(__file__).parents[1]
PAGES = ("README.md", *sorted(f"docs/{path.name}" for path in (REPO / "docs").glob("*.md")))
PROGRAMS = ("inv", "dgummy", "make", "python", "python3")

_MARK = re.compile(r"<!-- (not run|file|exit): (.*) -->")
_FENCE = re.compile(r"```(\w*)$")
_REDIRECTION = re.compile(r"\d?>{1,2}(&\d|\s*[^\s;&|]+)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")


@dataclass(frozen=True)
class Shown:
    """A command line as a page shows it, and what it says that it prints (`…`: any lines)."""

    text: str
    output: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(shlex.split(self.text, comments=True))


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language, its text, and the marks above it."""

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    file: str = ""
    exit_code: int = 0
    section: str = ""

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[Shown]:
        """What of it is to be run: all of a console, of sh the lines that call one of PROGRAMS."""
        if self.language == "console":
            return _of_console(self.text)
        if self.language == "sh":
            lines = self.text.replace("\\\n", " ").splitlines()
            return [Shown(line) for line in lines if _program(line) in PROGRAMS]
        return []


@cache
def read(page: str) -> str:
    return (REPO / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, section, lines = [], "", iter(enumerate(read(page).splitlines(), 1))
    marks: dict[str, str] = {}
    for number, line in lines:
        section = line if line.startswith("## ") else section
        if mark := _MARK.fullmatch(line):
            marks[mark.group(1)] = mark.group(2)
        elif fence := _FENCE.match(line):
            inside = []
            for _, text in lines:
                if text == "```":
                    break
                inside.append(text + "\n")
            known = {"not_run": marks.get("not run", ""), "file": marks.get("file", "")}
            code = int(marks.get("exit", "0"))
            found.append(Block(page, number, fence[1], "".join(inside), **known, exit_code=code, section=section))
            marks = {}
        elif line.strip():
            assert not marks, f"{page}:{number}: a mark above this line belongs above a block"
    return found


def prose(page: str) -> str:
    """A page without its blocks, comments and tables."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^(\||<!--).*$", "", text, flags=re.MULTILINE)


def inline_commands(page: str) -> list[str]:
    """The commands that are named between backticks, as far as they are commands of ours."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`((?:inv|dgummy)\s[^`]+)`", text)
    return [" ".join(span.split()).replace("\\|", "|") for span in spans]


def calls(line: str) -> list[list[str]]:
    """The words behind each `inv` and `dgummy` in a line of shell."""
    lexer = shlex.shlex(_REDIRECTION.sub(" ", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[list[str]] = []
    command: list[str] = []
    for word in [*lexer, ";"]:
        if not re.fullmatch(r"[();<>|&]+", word):
            command.append(word)
            continue
        at = next((index for index, one in enumerate(command) if Path(one).name in ("inv", "dgummy")), None)
        if at is not None:
            found.append(command[at + 1 :])
        command = []
    return found


def _of_console(text: str) -> list[Shown]:
    found: list[Shown] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append(Shown(line[2:]))
        else:
            found[-1] = Shown(found[-1].text, (*found[-1].output, line))
    return found


def _program(line: str) -> str:
    words = (word for word in line.split() if not _ASSIGNMENT.match(word))
    return next(words, "")


def pattern(line: str) -> re.Pattern[str]:
    """What a line of output must look like: its words, but any numbers, ids and paths; `…` for anything."""
    words = [_word(word) for word in line.split()]
    return re.compile(r"\s*" + r"\s+".join(words) + r"\s*")


def _word(word: str) -> str:
    if "…" in word:
        return ".*".join(map(re.escape, word.split("…")))
    return r"\S+" if re.search(r"[\d/$]", word) else re.escape(word)
