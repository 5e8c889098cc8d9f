"""What a sentence may ask for, and the sentence without its courtesies, as the rules look at it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from dgummy.asking.sentence import Sentence


class Intent(str, Enum):
    """What a sentence asks for."""

    RUN_BEST = "run-best"
    RUN_HOST = "run-host"
    SYNC = "sync"
    SYNC_RUN = "sync-run"
    COMMAND = "command"
    DISTRIBUTE = "distribute"
    FANOUT = "fanout"
    WHICH_HOST = "which-host"
    STATUS = "status"
    SPECIALISTS = "specialists"
    RUNS = "runs"
    LOCAL = "local"


@dataclass(frozen=True)
class Reading:
    """One way to read a sentence. `text`: the task, the topic or (`command`) the command; None if it names none.

    `text` of a question about a run is the run's id.
    `detail` is which question of its kind it is (`load`, `logs`). `everywhere` is whether a command is for all hosts.
    """

    intent: Intent
    text: str | None = None
    texts: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    group: str | None = None
    exclude: tuple[str, ...] = ()
    detail: str = ""
    everywhere: bool = False
    no_sync: bool = False
    is_command: bool = False


@dataclass(frozen=True)
class Understood:
    """The readings of a sentence, the likeliest first. Only where `doubt` is empty may the first be acted on."""

    readings: tuple[Reading, ...]
    doubt: str = ""
    text: str = ""

    @property
    def sure(self) -> bool:
        """Whether there is one reading to act on."""
        return not self.doubt


_POLITE = re.compile(
    r"^(?:[\s,.:;!-]+|(?:hey|hi|hello|ok|okay|so|please|pls|kindly|just|now|then|and|also|first|quickly"
    r"|simply)\b[\s,]*"
    r"|(?:would|do) you mind |(?:can|could|would|will) you(?: please)?(?: just)? (?:go ahead and )?"
    r"(?!reach|mind)|do me a favou?r and "
    r"|let'?s |let us |help me (?:to )?|you (?:can|should|may) "
    r"|(?:i(?:'d| would)? (?:want|like|need)|i wanna|we (?:want|need))(?: you| us)? to |go ahead and |time to )+",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"^(?:do not|don'?t|dont|never|no need to) (sync|run anything|start anything|do anything"
    r"|execute anything|send it anywhere"
    r"|send anything(?: anywhere)?)\b[\s,;:-]*(?:but |and |just |only )*",
    re.IGNORECASE,
)


class Frame:
    """A sentence without its courtesies, in what way it is put, and its place."""

    def __init__(self, said: Sentence) -> None:
        self.said, self.place = said, said.place
        self.no_sync = self.nothing = False
        self.core = self._bare(said.rest)
        self.whole = self._bare(said.said)

    def _bare(self, text: str) -> str:
        before = None
        while before != text:
            before, text = text, _POLITE.sub("", text)
            if (match := _NEGATED.match(text)) is not None:
                what = match.group(1).lower()
                self.no_sync |= what == "sync"
                self.nothing |= what.endswith("anything")
                text = text[match.end() :]
        return re.sub(r"[\s,;:-]*\b(?:please|pls|thanks|thank you|asap|right now|now)?[\s,;:.!?-]*$", "", text).strip()

    def has(self, pattern: str) -> bool:
        """Whether the sentence, its place included, holds this somewhere."""
        return re.search(rf"\b(?:{pattern})", self.whole, re.IGNORECASE) is not None

    def reading(self, intent: Intent, text: str | None = None, **more: object) -> Reading:
        """A reading with the place of the sentence."""
        place = self.place
        group = place.groups[0] if place.groups else None
        plain = None if text is None else self.said.plain(text)
        made = Reading(intent, plain, hosts=place.hosts, group=group, exclude=place.exclude, no_sync=self.no_sync)
        return replace(made, **more)  # type: ignore[arg-type]

    def elsewhere(self, reading: Reading) -> Reading:
        """The reading at no host that was named."""
        return replace(reading, hosts=())
