"""What keeps a sentence from being carried out: the doubts, and the two nearest readings for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dgummy.asking.questions import SHOW
from dgummy.asking.readings import Frame, Intent, Reading, Understood
from dgummy.asking.tasktext import Work
from dgummy.asking.terms import MACHINE

_HARM = re.compile(
    r"\b(?:wipe|erase|destroy|nuke|rm -\w+|reboot|shut ?down|power ?off|turn off|switch off|uninstall"
    r"|factory reset|sudo"
    r"|mkfs|dd if)\b"
    r"|\bformat (?:the|all|every|my) (?:\w+ )?(?:disks?|drives?|partitions?)\b"
    r"|\b(?:kill|terminate|stop) (?:all|every|(?:the|that|my|this) (?!(?:[\w-]+ )*(?:runs?|jobs?|tasks?)\b))"
    r"|\b(?:delete|drop|remove|purge|clear|trash|clean out|empty) (?:all|every|everything"
    r"|(?:(?:the|my|our|old|whole|entire) )*(?:home|disks?|databases?|backups?|users?|tables?|data))\b"
    r"|\bdelete (?:(?:the|my|our|old|whole|entire) )*(?:[\w-]+ )?"
    r"(?:logs?|files?|folders?|director(?:y|ies)|branches|repo(?:sitory)?|projects?|codebase)\b",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:every|each) (?:\d+ )?(?:night|day|hour|morning|evening|week|month|minutes?|hours?|weekday"
    r"|(?:mon|tues|wednes|thurs|fri"
    r"|satur|sun)day)\b|\b(?:daily|hourly|weekly|nightly)\s*(?:$|at\b)|\b(?:tomorrow|tonight|next week"
    r"|next month|at noon"
    r"|at midnight|in the morning)\b|\bat \d{1,2}(?::\d\d)? ?(?:am|pm|o'?clock)\b|\bat \d{1,2}:\d\d\b"
    r"|\bin \d+ (?:minutes?|hours?|days?)\b|\blater$",
    re.IGNORECASE,
)
_UNKNOWN_MACHINE = re.compile(
    r"\b(?:on|to|and|or|except|not|only|but)\s+(?:on |to )?(?:the |my |our |a |an |some |any |that |this )?"
    rf"(?:[\w-]+ )?{MACHINE}(?=\s*(?:$|[.,;!?]))",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"(?:is|are|am|was|were|does|did|do (?:i|we|you)|has|have (?:i|we|you)|why|what|who|when|how|which"
    r"|where|should|could|may"
    r"|would)\b|explain\b",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"^again$|\b(?:do not|don'?t|dont|never|stop|without running|without executing)\b", re.IGNORECASE
)
_VAGUE = re.compile(
    r"(?:fix|do|run|make|start|use) (?:(?:it|that|this|something|everything)(?=\s*(?:$|[,.;]|on\b|for\b"
    r"|like\b|again\b))"
    r"|the things?\b)|.*\b(?:something|anything|whatever) (?:useful|nice|good|you)\b",
    re.IGNORECASE,
)
_VAGUE_TASK = re.compile(
    r"(?:it|that|this|the things?|things?|stuff|something|anything|everything)\b.{0,20}", re.IGNORECASE
)
_TAKES_BACK = r"(?:no wait|wait no|actually no|scratch that|no,? make that|on second thought)\b"
# Neither what somebody is to do nor the name of something to be done.
_NO_ORDER = re.compile(
    r"^(?:i|you|we|he|she|they|it|it'?s|you'?re|i'?m|we'?re|that|there|this is|these are|those|either|if"
    r"|because|since|me|lol)\b"
    r"|\b(?:should be|ought to be|is|are|was|were|am) (?!a\b|the\b)\w+(?:ed|ing|en|ever)?$",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|when|once|until|in case|provided)\b.*(?:⟦h|\b(?:busy|free|idle|fails?|failed"
    r"|pass(?:es)?|done|finish(?:es|ed)?)\b)",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"\bfrom ⟦h\d+⟧.*\b(?:to|onto) ⟦h|\b(?:move|migrate|transfer) (?:\w+ )*specialists?\b", re.IGNORECASE
)
_NOT_OURS = re.compile(
    r"(?:remind|book|order|buy|play|sing|call|email|e-mail|phone|text|marry|hate|love|congratulate)\b", re.IGNORECASE
)
_HAS = re.compile(
    r"(?:is|are) (?:the )?([\w.+-]+)\b.*\b(?:installed|available|present|there)\b"
    r"|(?:does|do|has|have) ⟦h\d+⟧ (?:have |got )?([\w.+-]+)",
    re.IGNORECASE,
)
_TOLD = rf"{SHOW} (?:me |my )?(?:the )?(?:cluster |load )?(?:logs?|runs|status|load|specialists|hosts|state|output)"
_RUN_DONE = r"(?:cancel|kill|abort|collect|tail|follow) (?:the|my|that|last)"
_FIRST = re.compile(rf"^(?:{_TOLD}|{_RUN_DONE})\b", re.IGNORECASE)
_SECOND = re.compile(
    rf"(?:[,;.]|\band\b|\bthen\b)\s*(?:and |then |also |please )*(?:{_TOLD}|{_RUN_DONE}|tell me)\b", re.IGNORECASE
)
_WORK_TOO = re.compile(
    r"\b(?:and|then)\s+(?:then |also |please )*(?:run|start|execute|launch|sync|fix|deploy|build|test|re-?run)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Doubt:
    """When a sentence is doubtful, why, and by which names its nearest readings are made (`_reading`)."""

    applies: Callable[[Frame, Work], bool]
    why: str
    near: tuple[str, str]


def _is_harm(frame: Frame, _: Work) -> bool:
    return _HARM.search(frame.core) is not None


def _is_two_orders(frame: Frame, _: Work) -> bool:
    """Whether it wants something told, or done to a run, and something else done as well."""
    asks_first = _FIRST.search(frame.core) is not None
    if asks_first and _WORK_TOO.search(frame.core):
        return True
    second = _SECOND.search(frame.core)
    return second is not None and second.start() > 0 and (asks_first or frame.place.named)


def _asks_what_there_is(frame: Frame, _: Work) -> bool:
    return frame.place.named and _HAS.match(frame.core) is not None


def _only_names_a_host(frame: Frame, _: Work) -> bool:
    return re.fullmatch(r"⟦[hu]\d*⟧(?:(?:,| and) ⟦[hu]\d*⟧)*", frame.core) is not None


def _names_a_host_in_passing(frame: Frame, _: Work) -> bool:
    return frame.place.bare and bool(frame.place.hosts) and not frame.has(r"(?:there|on it|on that)\b")


def _mixes_places(frame: Frame, _: Work) -> bool:
    place = frame.place
    kinds = bool(place.hosts), place.best, place.everywhere or bool(place.groups)
    return kinds.count(True) > 1 or len(place.groups) > 1


def _is_no_order(frame: Frame, work: Work) -> bool:
    if not work.text or work.is_command or work.verb or frame.place.here or frame.place.each:
        return False
    last = re.split(r"[.;!?]\s+", work.text)[-1]
    return _NO_ORDER.search(last) is not None


def _is_vague(frame: Frame, work: Work) -> bool:
    if frame.place.here:
        return False
    return _VAGUE.match(frame.core) is not None or _VAGUE_TASK.fullmatch(work.text or "") is not None


def _tests_a_host(frame: Frame, _: Work) -> bool:
    return re.fullmatch(r"(?:test|try|check) (?:the )?⟦h\d+⟧", frame.core, re.IGNORECASE) is not None


def _names_no_work(frame: Frame, work: Work) -> bool:
    return frame.place.named and not (work.text or work.gummy or work.sync or spreads(frame, work))


def spreads(frame: Frame, work: Work) -> bool:
    """Whether tasks that it does not name are to be balanced."""
    verb = re.match(r"(?:load[- ])?(?:balance|spread|distribute|share)\b", frame.core, re.IGNORECASE)
    nameless = work.text is None or re.fullmatch(r"(?:tasks|work|jobs)(?: evenly| optimally)?", work.text) is not None
    return verb is not None and frame.place.everywhere and nameless


_FIRST_OF_ALL = (
    _Doubt(
        _is_harm, "it would destroy something, or switch it off; quote the command if it is meant", ("place", "here")
    ),
    _Doubt(_is_two_orders, "it asks for two different things", ("runs", "place")),
)
_OF_ORDERS = (
    _Doubt(lambda frame, _: frame.has(_TAKES_BACK), "it takes something back", ("all", "there")),
    _Doubt(_tests_a_host, "to test a host, or to run tests there?", ("status", "there")),
    _Doubt(_asks_what_there_is, "it asks what a host has", ("look", "status")),
    _Doubt(_only_names_a_host, "it only names a host", ("status", "there")),
    _Doubt(
        lambda frame, _: _QUESTION.match(frame.core) is not None,
        "it is a question that is not about hosts or runs",
        ("status", "place"),
    ),
    _Doubt(
        lambda frame, _: _NEGATION.search(frame.core) is not None, "it says what is not to be done", ("status", "place")
    ),
    _Doubt(
        lambda frame, _: frame.place.here and frame.place.named, "it says both here and elsewhere", ("here", "place")
    ),
    _Doubt(
        lambda frame, _: _WHEN.search(frame.core) is not None,
        "it says when; inv cron.add makes a job of a command",
        ("place", "here"),
    ),
    _Doubt(
        lambda frame, _: frame.place.named and _UNKNOWN_MACHINE.search(frame.core) is not None,
        "it speaks of a machine that is not known",
        ("place", "here"),
    ),
    _Doubt(
        lambda frame, _: frame.place.either or frame.core.lower().startswith("either "),
        "it names one host or another",
        ("best", "there"),
    ),
    _Doubt(
        lambda frame, _: _NOT_OURS.match(frame.core) is not None, "it is nothing that hosts do", ("status", "place")
    ),
    _Doubt(
        lambda frame, _: _FROM_TO.search(frame.whole) is not None,
        "it moves something from one host to another",
        ("there", "status"),
    ),
    _Doubt(lambda frame, _: _CONDITION.search(frame.core) is not None, "it has a condition", ("place", "here")),
    _Doubt(
        lambda frame, work: "⟦h" in (work.text or "") and not frame.place.bare,
        "it names hosts in a way that is not understood",
        ("there", "all"),
    ),
    _Doubt(_is_no_order, "it is put in a way that is not understood", ("place", "here")),
    _Doubt(_names_a_host_in_passing, "it names a host, but not as the place for some work", ("status", "there")),
    _Doubt(lambda frame, _: frame.place.apart, "it names several hosts, each for something else", ("there", "several")),
    _Doubt(_mixes_places, "it names several places", ("there", "all")),
    _Doubt(lambda frame, _: frame.nothing, "nothing is to be run", ("which", "status")),
    _Doubt(_is_vague, "it does not say what it is about", ("place", "here")),
    _Doubt(_names_no_work, "it does not say what is to be done", ("place", "here")),
)


def of_anything(frame: Frame) -> Understood | None:
    """Doubts that a sentence raises whatever it asks for."""
    return _first(_FIRST_OF_ALL, frame, Work(frame.core))


def of_an_order(frame: Frame, work: Work) -> Understood | None:
    """What keeps an order from being carried out, None if nothing does."""
    return _first(_OF_ORDERS, frame, work)


def _first(doubts: tuple[_Doubt, ...], frame: Frame, work: Work) -> Understood | None:
    for doubt in doubts:
        if doubt.applies(frame, work):
            one, other = doubt.near
            return Understood((_reading(one, frame, work), _reading(other, frame, work)), doubt.why)
    return None


def _reading(name: str, frame: Frame, work: Work) -> Reading:
    """A reading by the name that it has in the tables above."""
    place, text = frame.place, work.text
    if name == "place":
        name = "there" if place.hosts else "all" if place.everywhere or place.groups else "best"
    if name == "look":
        match = _HAS.match(frame.core)
        program = next(filter(None, match.groups()), "") if match else ""
        return frame.reading(Intent.COMMAND, f"command -v {program}", is_command=True, everywhere=not place.hosts)
    if name == "several":
        return frame.reading(Intent.DISTRIBUTE, texts=(frame.said.plain(text or ""),))
    if name in ("status", "runs"):
        return frame.reading(Intent.STATUS if name == "status" else Intent.RUNS, detail=name)
    intents = {
        "here": Intent.LOCAL,
        "there": Intent.RUN_HOST,
        "best": Intent.RUN_BEST,
        "all": Intent.FANOUT,
        "which": Intent.WHICH_HOST,
    }
    made = frame.reading(intents[name], text, is_command=work.is_command)
    return made if name in ("there", "all") else frame.elsewhere(made)
