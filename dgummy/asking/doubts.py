"""What keeps a sentence from being carried out: the doubts, and the two nearest readings for each. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from dgummy.asking.harm import is_harm
from dgummy.asking.orders import (
    CONDITION,
    EXCEPTION,
    NEGATION,
    NO_ORDER,
    NOT_OURS,
    PROHIBITION,
    QUESTION,
    TAKES_BACK,
    VAGUE,
    VAGUE_TASK,
    WHEN,
)
from dgummy.asking.questions import SHOW
from dgummy.asking.readings import Frame, Intent, Reading, Understood
from dgummy.asking.tasktext import Work, is_verb, parts
from dgummy.asking.terms import EVERY, MACHINE, SUPERLATIVE

_UNKNOWN_MACHINE = re.compile(
    r"\b(?:on|to|and|or|except|not|only|but)\s+(?:on |to )?(?:the |my |our |a |an |some |any |that |this )?"
    r"(?:[\w-]+ )?(?:hosts?|nodes?|machines?|box(?:es)?)(?=\s*(?:$|[.,;!?]))",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"\bfrom ⟦h\d+⟧.*\b(?:to|onto) ⟦h|\b(?:move|migrate|transfer) (?:\w+ )*specialists?\b", re.IGNORECASE
)
_ODD_PLACE = re.compile(
    r"(?<!apart )\bfrom (?:the )?⟦h|⟦h\d+⟧'s (?!turn)|\b(?:second|third|next)[- ](?:best|idlest|freest|least)\b"
    rf"|\b(?:two|three|four|five|few|several|\d+) {SUPERLATIVE} |\bon on (?:⟦|the\b)"
    rf"|\b(?:the|an?|my|our|this) (?!scheduler|load|balancer|tool|system)[\w-]+ (?:to )?(?:pick|choose|select|use"
    rf"|find|take|prefer)s? (?:the )?{SUPERLATIVE}\b"
    r"|\bnon-⟦h|⟦[qc]\d+⟧ (?:failed|fails|broke|is|was)\b"
    r"|\(\s*\)|\b(?:here|locally) or\b|\bor (?:here|locally)\b|\bnot (?:here|locally)\b",
    re.IGNORECASE,
)
_NUMBER_BEHIND = re.compile(r"⟦h\d+⟧\s*(?:/|,|&|and|or|plus|,\s*and)\s*\d+\b", re.IGNORECASE)
_PROSE = re.compile(
    r"\s(?:then|in|into|for|with|times|as|after|before|until|while|when|if|at|by|from|to|using|inside|via|on"
    r"|over|and|or|but|like|once|again|without|everywhere|not|only|\d+x)\b"
)
"""What stands between the words of sentences, and seldom behind a program's name."""
_FRAME_BEHIND = re.compile(
    r"[.!?]*\s*$|\s*[,;:]|\s+-|\s+(?:please|pls|thanks|on|across|over|at|everywhere|here|locally|using"
    r"|via|with|in|to|except|but|without"
    r"|wherever|where|there|then|every|each|all|throughout|skip)\b",
    re.IGNORECASE,
)
_HAS = re.compile(
    r"(?:is|are) (?:the )?([\w.+-]+)\b.*\b(?:installed|available|present|there)\b"
    r"|(?:does|do|has|have) ⟦h\d+⟧ (?:have |got )?([\w.+-]+)",
    re.IGNORECASE,
)
_NAMELESS = re.compile(
    r"(?:out |up |my |the |all |remaining |other |pending |open |these |gummy |agent |our )*(?:tasks|work|jobs"
    r"|load)?(?: ?(?:evenly|optimally|out"
    r"|up|well))*",
    re.IGNORECASE,
)
"""Tasks that are not named."""
_TOLD = rf"{SHOW} (?:me |my )?(?:the )?(?:cluster |load )?(?:logs?|runs|status|load|specialists|hosts|state|output)"
_TO_A_RUN = r"(?:cancel|kill|abort|stop|end|collect|tail|follow) (?:the|my|that|last|its)"
_FIRST = re.compile(rf"^(?:{_TOLD}|{_TO_A_RUN})\b", re.IGNORECASE)
_SECOND = re.compile(
    rf"(?:[,;.]|\band\b|\bthen\b)\s*(?:and |then |also |please )*(?:{_TOLD}|{_TO_A_RUN}"
    r"|tell me|cancel it|kill it)\b",
    re.IGNORECASE,
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
    return is_harm(frame.core)


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
    return kinds.count(True) > 1 or len(place.groups) > 1 or not set(place.hosts).isdisjoint(place.exclude)


def _is_altered(frame: Frame, work: Work) -> bool:
    """Whether a command that is not quoted is not word for word what stands in the sentence, or more belongs to it."""
    if not work.is_command or re.fullmatch(r"⟦[qc]\d+⟧", work.text or "") or work.quoted:
        return False
    text, said = frame.said.plain(work.text or ""), frame.said.text
    if _PROSE.search(text):
        return True
    at = said.find(text)
    return at < 0 or said[:at][-1:].strip() != "" or _FRAME_BEHIND.match(said, at + len(text)) is None


_OTHERS = re.compile(
    r"\b(?:and|or|nor|plus) (?:on |in )?(?:any|all|every|the|those|ones|here)?(?:thing|one|body)? ?"
    r"(?:others?|rest|in|of|too)\b"
    r"|\bthat (?:are|is|have|has)(?: not|n't)? (?:idle|busy|free|up|online|loaded|reachable)$"
    r"|\ball (?:the )?others?\b|\band (?:only|just)$|\bbut this\b|\bone (?:after|by) (?:another|one|the other)\b"
    r"|\b(?:sequentially|serially|in turn|in sequence|starting|first failure)\b",
    re.IGNORECASE,
)
_LEFT_PLACE = re.compile(rf"\b(?:on|across) (?:all|every|each|any|the other)(?: \w+)?(?: {MACHINE}|$)", re.IGNORECASE)


def _has_more_places(frame: Frame, work: Work) -> bool:
    """Whether more is said of the place, or of an order of places, than was understood."""
    if not frame.place.named or work.quoted:
        return False
    text = work.text or ""
    return _OTHERS.search(text) is not None or (work.launched and _LEFT_PLACE.search(text) is not None)


def _is_no_order(frame: Frame, work: Work) -> bool:
    if not work.text or work.is_command or work.verb or frame.place.here or frame.place.each:
        return False
    last = re.split(r"[.;!?]\s+", work.text)[-1]
    return NO_ORDER.search(last) is not None


_ONE_WORD_TEXT = """
typecheck typechecks formatter mypy ruff test tests testing lint linter linting build benchmark benchmarks coverage
pytest
"""
_ONE_WORD = frozenset(_ONE_WORD_TEXT.split())


def _is_one_word(frame: Frame, work: Work) -> bool:
    """Whether a task is a single word, and none that says enough: `connect`, `update`, `the usual`."""
    text = work.text or ""
    if frame.place.here or work.launched or work.is_command or text.startswith("⟦"):
        return False
    return len(text.split()) == 1 and text.lower() not in _ONE_WORD


_REQUEST = re.compile(
    r"(?:\W*(?:hi|hey|hello|ok|okay|so|please|pls|and)\b)*\W*(?:(?:can|could|would|will) you|mind (?:running"
    r"|doing|starting)|any chance"
    r"|is it possible)\b",
    re.IGNORECASE,
)
_ASKED = re.compile(r"\b(?:can|could|would|will|please|pls|what does|i mean)\b", re.IGNORECASE)


def _only_wonders(frame: Frame, work: Work) -> bool:
    """Whether it is a question without a request in it: `tests on node-2?`."""
    told = frame.said.told
    if _REQUEST.match(told) or not told.rstrip().endswith("?"):
        return False
    if re.search(r"\b(?:faster|quicker|sooner|better|slower|longer|cheaper)\b", told, re.IGNORECASE):
        return True
    return _ASKED.search(told) is None or not (work.verb or work.launched or work.is_command or work.gummy)


def _is_vague(frame: Frame, work: Work) -> bool:
    if frame.place.here:
        return False
    return VAGUE.match(frame.core) is not None or VAGUE_TASK.fullmatch(work.text or "") is not None


def _tests_a_host(frame: Frame, _: Work) -> bool:
    return re.fullmatch(rf"(?:test|try|check) (?:(?:the )?⟦h\d+⟧|{EVERY})", frame.whole, re.IGNORECASE) is not None


def _is_several_everywhere(frame: Frame, work: Work) -> bool:
    """Whether several tasks are to be done all over: once each, or all of them everywhere, nobody can tell."""
    if (
        not frame.place.everywhere
        or frame.place.each
        or work.is_command
        or re.search(r"^(?:run |test\b)|\btests$", frame.core)
    ):
        return False
    pieces = parts(work, looking=True)
    verbs = [is_verb(piece.split()[0].lower()) and len(piece.split()) > 1 for piece in pieces]
    return len(pieces) > 1 and sum(verbs) >= max(2, len(verbs) - 1)


def _is_here_and_there(frame: Frame) -> bool:
    place = frame.place
    if place.each or place.everywhere:
        return place.here or re.search(r"\b(?:locally|remotely)\b", frame.core, re.IGNORECASE) is not None
    spread = re.match(r"(?:distribute|balance|spread)\b", frame.core, re.IGNORECASE) is not None
    if place.named and re.search(r"\b(?:keep|leave) (?:it|this|that|everything) local\b", frame.core, re.IGNORECASE):
        return True
    return place.here and (spread or place.named or frame.has(r"remotely\b"))


def _names_no_work(frame: Frame, work: Work) -> bool:
    return frame.place.named and not (work.text or work.gummy or work.sync or spreads(frame, work))


def spreads(frame: Frame, work: Work) -> bool:
    """Whether tasks that it does not name are to be balanced."""
    verb = re.match(r"(?:load[- ])?(?:balance|spread|distribute|share|split|divide)\b", frame.core, re.IGNORECASE)
    balanced = re.search(r"\b(?:tasks|jobs)\b", frame.core, re.IGNORECASE) or (
        frame.place.everywhere or frame.place.each or (verb is not None and verb.group().lower().startswith("load"))
    )
    nameless = work.text is None or _NAMELESS.fullmatch(work.text) is not None
    return verb is not None and balanced and nameless


_FIRST_OF_ALL = (
    _Doubt(
        _is_harm, "it would destroy something, or switch it off; quote the command if it is meant", ("place", "here")
    ),
    _Doubt(_is_two_orders, "it asks for two different things", ("runs", "place")),
)
_ASKS_OF_ALL = re.compile(
    rf"(?:do|does|did|have|has|are|is|were|was|can|could|should|would|will|must) (?:{EVERY}|(?:any"
    rf"|some) (?:of (?:my|the) )?{MACHINE})",
    re.IGNORECASE,
)
_OF_ORDERS = (
    _Doubt(
        lambda frame, _: _ASKS_OF_ALL.match(frame.whole) is not None and frame.said.text.rstrip().endswith("?"),
        "it is a question about hosts that is not understood",
        ("status", "all"),
    ),
    _Doubt(
        _is_several_everywhere,
        "it names several tasks and all hosts: each task once, or all everywhere?",
        ("several", "all"),
    ),
    _Doubt(lambda frame, _: frame.has(TAKES_BACK), "it takes something back", ("all", "there")),
    _Doubt(_tests_a_host, "to test a host, or to run tests there?", ("status", "there")),
    _Doubt(_asks_what_there_is, "it asks what a host has", ("look", "status")),
    _Doubt(_only_names_a_host, "it only names a host", ("status", "there")),
    _Doubt(
        lambda frame, _: QUESTION.match(frame.core) is not None,
        "it is a question that is not about hosts or runs",
        ("status", "place"),
    ),
    _Doubt(
        lambda frame, _: NEGATION.search(frame.core) is not None, "it says what is not to be done", ("status", "place")
    ),
    _Doubt(lambda frame, _: _is_here_and_there(frame), "it says both here and elsewhere", ("here", "place")),
    _Doubt(
        lambda frame, _: WHEN.search(frame.core) is not None,
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
    _Doubt(lambda frame, _: NOT_OURS.match(frame.core) is not None, "it is nothing that hosts do", ("status", "place")),
    _Doubt(
        lambda frame, _: _FROM_TO.search(frame.whole) is not None,
        "it moves something from one host to another",
        ("there", "status"),
    ),
    _Doubt(lambda frame, _: CONDITION.search(frame.core) is not None, "it has a condition", ("place", "here")),
    _Doubt(
        lambda frame, work: "⟦h" in (work.text or "") and not frame.place.bare,
        "it names hosts in a way that is not understood",
        ("there", "all"),
    ),
    _Doubt(
        lambda frame, _: _ODD_PLACE.search(frame.whole) is not None,
        "it names a host in a way that is not understood",
        ("there", "status"),
    ),
    _Doubt(_is_altered, "the command is not to be told from the words around it; put it in quotes", ("place", "here")),
    _Doubt(
        lambda frame, _: frame.place.named and EXCEPTION.search(frame.core) is not None,
        "it makes an exception that is not understood",
        ("place", "status"),
    ),
    _Doubt(
        lambda frame, _: _NUMBER_BEHIND.search(frame.whole) is not None,
        "it names hosts in a way that is not understood",
        ("there", "all"),
    ),
    _Doubt(lambda frame, _: frame.place.some, "it does not say which hosts, or how many", ("best", "all")),
    _Doubt(_has_more_places, "it says more of where than was understood", ("place", "all")),
    _Doubt(_is_no_order, "it is put in a way that is not understood", ("place", "here")),
    _Doubt(_names_a_host_in_passing, "it names a host, but not as the place for some work", ("status", "there")),
    _Doubt(lambda frame, _: frame.place.apart, "it names several hosts, each for something else", ("there", "several")),
    _Doubt(_mixes_places, "it names several places", ("there", "all")),
    _Doubt(lambda frame, _: frame.nothing, "nothing is to be run", ("which", "status")),
    _Doubt(_only_wonders, "it asks, and does not say that it shall be done", ("which", "place")),
    _Doubt(_is_one_word, "it does not say enough of what is to be done", ("place", "here")),
    _Doubt(_is_vague, "it does not say what it is about", ("place", "here")),
    _Doubt(_names_no_work, "it does not say what is to be done", ("place", "here")),
)


def of_anything(frame: Frame) -> Understood | None:
    """Doubts that a sentence raises whatever it asks for."""
    return _first(_FIRST_OF_ALL, frame, Work(frame.core))


def of_an_action(frame: Frame) -> str:
    """Why a run is not to be ended, collected and the like as a sentence says, "" if nothing is against it."""
    doubts = (
        (WHEN, "it says when"),
        (re.compile(r"\b(?:if|unless|when)\b", re.IGNORECASE), "it has a condition"),
        (EXCEPTION, "it makes an exception"),
        (PROHIBITION, "it says what is not to be done"),
    )
    # "until it is over" is what waiting is about.
    return next((why for pattern, why in doubts if pattern.search(frame.whole)), "")


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
