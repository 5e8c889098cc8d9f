"""What keys mean on the watch's screen: bytes become names of keys, and these change a state. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dgummy.views import SORTS

_ESCAPED = {
    "[A": "up", "OA": "up", "[B": "down", "OB": "down", "[5~": "pageup", "[6~": "pagedown",
    "[H": "home", "OH": "home", "[1~": "home", "[7~": "home", "[F": "end", "OF": "end", "[4~": "end", "[8~": "end",
}  # fmt: skip
_PLAIN = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\x08": "backspace", "\x15": "clear", "\x0c": "redraw"}
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[A-Za-z])")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
_LONGEST_SEQUENCE = 32
_LONGEST_FILTER = 100


class Keys:
    """Bytes from a terminal, in whatever pieces they come, as keys: `up`, `enter`, … or the character itself."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def unfinished(self) -> bool:
        """Whether what came last may be the begin of a key; if nothing follows soon, it was the key Esc."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete. Those that mean nothing here are left out."""
        text = self._rest + self._decoder.decode(data)
        self._rest = ""
        keys: list[str] = []
        at = 0
        while at < len(text):
            sequence = _SEQUENCE.match(text, at)
            if sequence is not None:
                keys += filter(None, [_ESCAPED.get(sequence[0][1:])])
                at = sequence.end()
            elif text[at] == "\x1b" and _UNFINISHED.fullmatch(text[at : at + _LONGEST_SEQUENCE]):
                self._rest = text[at : at + _LONGEST_SEQUENCE]
                break
            else:
                keys += filter(None, [_plain(text[at])])
                at += 1
        return keys

    def end(self) -> list[str]:
        """Nothing followed: what seemed to begin a key was Esc, and what was typed after it."""
        rest, self._rest = self._rest, ""
        return ["esc", *filter(None, map(_plain, rest[1:]))] if rest else []


def _plain(char: str) -> str:
    return _PLAIN.get(char) or ("esc" if char == "\x1b" else char if char.isprintable() else "")


@dataclass(frozen=True)
class ScreenState:
    """What whoever watches has chosen. `before` is the filter as it was when typing another one began."""

    sort: str = ""
    paused: bool = False
    filter_text: str = ""
    typing: bool = False
    scroll: int = 0
    selected: str = ""
    reveal: bool = False
    unfold: bool = False
    help: bool = False
    message: str = ""


@dataclass(frozen=True)
class Quit:
    """Leave the watch."""


@dataclass(frozen=True)
class Follow:
    """Leave the watch to follow a run's log."""

    run_id: str


@dataclass(frozen=True)
class Redraw:
    """Write the whole screen anew: something else wrote on it."""


Outcome = Quit | Follow | Redraw | None


def press(state: ScreenState, key: str, runs: Sequence[str], page: int) -> tuple[ScreenState, Outcome]:
    """What a key does. `runs` are the ids that can be selected as the picture orders them, `page` its lines."""
    if key == "redraw":
        return state, Redraw()
    state = replace(state, message="", reveal=False)
    if state.typing:
        return _type(state, key), None
    if state.help:
        return replace(state, help=False), Quit() if key == "q" else None
    if key == "q":
        return state, Quit()
    if key == "enter":
        return _enter(state, runs)
    if key in _MOVES or key in ("up", "down", "k", "j"):
        return _move(state, key, runs, page), None
    return _choose(state, key), None


def _type(state: ScreenState, key: str) -> ScreenState:
    if key == "enter":
        return replace(state, typing=False)
    if key == "esc":
        return replace(state, typing=False, filter_text="")
    text = state.filter_text
    if key == "backspace":
        text = text[:-1]
    elif key == "clear":
        text = ""
    elif len(key) == 1:
        text += key
    return replace(state, filter_text=text[:_LONGEST_FILTER], scroll=0)


def _enter(state: ScreenState, runs: Sequence[str]) -> tuple[ScreenState, Outcome]:
    if not runs:
        return replace(state, message="no command is running that could be followed"), None
    return state, Follow(state.selected if state.selected in runs else runs[0])


_MOVES = {"pageup": -1, "pagedown": 1, " ": 1, "home": -1_000_000, "end": 1_000_000}


def _move(state: ScreenState, key: str, runs: Sequence[str], page: int) -> ScreenState:
    if key in _MOVES:
        return replace(state, scroll=max(0, state.scroll + _MOVES[key] * max(1, page - 1)))
    step = 1 if key in ("down", "j") else -1
    if not runs:
        return replace(state, scroll=max(0, state.scroll + step))
    if state.selected not in runs:
        return replace(state, selected=runs[0 if step > 0 else -1], reveal=True)
    at = min(max(0, runs.index(state.selected) + step), len(runs) - 1)
    return replace(state, selected=runs[at], reveal=True)


def _choose(state: ScreenState, key: str) -> ScreenState:
    if key == "p":
        return replace(state, paused=not state.paused)
    if key == "s":
        sorts = ["", *SORTS]
        return replace(state, sort=sorts[(sorts.index(state.sort) + 1) % len(sorts)], scroll=0)
    if key in ("f", "/"):
        return replace(state, typing=True)
    if key == "esc":
        return replace(state, filter_text="", selected="")
    if key == "x":
        return replace(state, unfold=not state.unfold)
    if key == "?":
        return replace(state, help=True)
    return state
