"""What a plain sentence asks for: one of a dozen intents, by rules. Pure.

A rule looks at the frame of a sentence (how it begins, what kind of question it is) and at its place (`sentence`). Where
rules leave two readings, both are given and neither is sure: nobody's machines are put to work on a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum

from dgummy.sentence import MACHINE, Names, Sentence, read
from dgummy.tasktext import VERBS, Work, parts, tidy, work_of


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

    @property
    def sure(self) -> bool:
        """Whether there is one reading to act on."""
        return not self.doubt


def understand(text: str, names: Names) -> Understood:
    """Read a sentence: what it asks for, and where."""
    said = read(text, names)
    if (slash := re.match(r"/[\w-]+\s*(.*)", said.text.strip(), re.DOTALL)) is not None:
        return Understood((Reading(Intent.LOCAL, slash.group(1).strip() or None),))
    frame = _Frame(said)
    found = _question(frame) or _order(frame)
    if said.place.unknown:
        return Understood(found.readings, f"there is no host or group {', '.join(said.place.unknown)}")
    return found


# --- questions ------------------------------------------------------------------------------------------------------

_POLITE = re.compile(
    r"^(?:[\s,.:;!-]+|(?:hey|hi|hello|ok|okay|so|please|pls|kindly|just|now|then|and|also|first|quickly|simply)\b[\s,]*"
    r"|(?:would|do) you mind |(?:can|could|would|will) you(?: please)?(?: just)? (?:go ahead and )?(?!reach|mind)|do me a favou?r and "
    r"|let'?s |let us |help me (?:to )?|you (?:can|should|may) "
    r"|(?:i(?:'d| would)? (?:want|like|need)|i wanna|we (?:want|need))(?: you| us)? to |go ahead and |time to )+",
    re.IGNORECASE,
)
_NEGATED = re.compile(
    r"^(?:do not|don'?t|dont|never|no need to) (sync|run anything|start anything|do anything|execute anything|send it anywhere"
    r"|send anything(?: anywhere)?)\b[\s,;:-]*(?:but |and |just |only )*",
    re.IGNORECASE,
)
_SHOW = r"(?:show|list|display|view|see|check|get|give|tell|print|look at|let me see|watch|monitor|report|dump)"
_ASKS = re.compile(
    rf"^(?:{_SHOW}\b|what|which|who|whose|where|when|how|is\b|are\b|do\b|does\b|did\b|has\b|have any|any\b|status\b|overview\b"
    r"|should|could|can\b|would|am\b|was\b|were\b|will\b|why|state\b|current\b|history\b|tail\b|follow\b|wait\b|cancel\b"
    r"|stop\b|kill\b|abort\b|collect\b|fetch\b|bring\b|ping\b|recommend|suggest|best\b|least\b)",
    re.IGNORECASE,
)
_AGENTS = r"(?:specialists?|(?:gummy |ai |active |running )?agents?|gummy(?: (?:tasks?|sessions?|agents?|jobs?|work))|gummies)"
_THING = re.compile(r"\b(?:page|endpoint|module|header|button|view|table|function|class|menu|component|screen|code|docs?)\b", re.I)


class _Frame:
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

    def core_is(self, pattern: str) -> re.Match[str] | None:
        return re.match(rf"(?:{pattern})$", self.core, re.IGNORECASE)

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


def _question(frame: _Frame) -> Understood | None:
    """What a sentence asks to be told, None if it gives work."""
    about = _about_agents(frame) or _about_runs(frame) or _about_a_host(frame) or _about_hosts(frame)
    if about is not None:
        return Understood((about,))
    place = frame.place
    asking = re.match(r"(?:should|could|can|would|may) (?:i|we|⟦h\d+⟧)(?!\w)", frame.whole, re.IGNORECASE)
    if asking and place.hosts and not re.search(r"take care of|\bplease\b", frame.whole):
        topic = _topic(re.sub(r"^\w+ (?:i|we|⟦h\d+⟧) (?:run|do|handle|take)?", "", frame.core, flags=re.IGNORECASE))
        near = (frame.reading(Intent.WHICH_HOST, topic, hosts=()), frame.reading(Intent.RUN_HOST, topic))
        return Understood(near, "it asks whether, and does not say that it shall be done")
    return None


def _asks(frame: _Frame) -> bool:
    first = re.match(r"[a-z]*", frame.core.lower())
    short = len(frame.core.split()) <= 4 and (first is None or first.group() not in VERBS)
    return short or any(_ASKS.match(text) for text in (frame.core, frame.whole))


def _about_agents(frame: _Frame) -> Reading | None:
    head = re.search(_AGENTS, frame.core, re.IGNORECASE)
    if head is None or _THING.search(frame.core):
        return None
    info = (
        rf"^{_SHOW}\b|^(?:what|which|who|where|how many|is|are|any|do|does|has|have)\b|^(?:the )?(?:status|state|overview)\b"
        rf"|\b(?:status|dashboard|overview|list)\b|^(?:my |all |active |running )*{_AGENTS}(?: running| active)?$"
    )
    order = r"^(?:run|execute|start|launch|use|have .* \w+ the|ask|dispatch|send|let|gummy task|distribute|balance)\b"
    if re.search(order, frame.core, re.IGNORECASE) or re.fullmatch(r"gummy(?: tasks?)?|agents?", frame.core, re.IGNORECASE):
        return None
    if re.search(r"\b(?:should|best|would|suits?)\b", frame.whole, re.IGNORECASE):
        return None
    return frame.reading(Intent.SPECIALISTS) if re.search(info, frame.core, re.IGNORECASE) else None


_RUN_ID = r"\b\d{8}-\d{6}-[a-z0-9]{6}\b"
_RUN_NOUN = (
    r"(?:(?:last|latest|previous|recent|past|my|the|that|this|current|those|all|failed|finished|old|newest)\s+)+(?:gummy )?"
    r"(?:runs?|jobs?|fanout|build run|tasks?)\b(?! (?:history|page|button|table|list|view))"
)


def _about_runs(frame: _Frame) -> Reading | None:
    if _THING.search(frame.core) or not _asks(frame):
        return None
    run = re.search(_RUN_ID, frame.core)
    noun = run is not None or re.search(rf"\b{_RUN_NOUN}", frame.core, re.IGNORECASE) is not None
    core = frame.core
    verbs = (
        ("logs", r"\b(?:logs?|output|stdout|stderr|print(?:ed)?)\b", noun or frame.has(r"run\b|runs\b")),
        ("retry", r"^(?:retry|re-?run|repeat|restart|resume)\b", noun),
        ("wait", r"^wait\b|\buntil\b.*\b(?:finish|done|over|end)", noun),
        ("cancel", r"^(?:cancel|stop|kill|abort|end|terminate)\b", noun),
        (
            "collect",
            r"^(?:collect|fetch|bring (?:back|home)|get|pull|download)\b.*\b(?:artifacts?|changes?|results?|work|files?|diff|branch|run)\b",
            noun or frame.has(r"the run\b"),
        ),
        ("runs", r"\bhistory\b", noun or frame.has(r"runs?\b")),
        ("runs", rf"^(?:{_SHOW}\b.*|(?:my|all|recent|last|latest) )\b(?:runs|jobs)\b", True),
        ("runs", r"^(?:what'?s|what is|what'?s currently|what is currently|is anything|anything)(?: currently| still)? running", True),
        ("runs", rf"^(?:what|which {MACHINE}|where|who|when)\b.*\b(?:ran|did .* run)\b", True),
        ("runs", r"^(?:did|has|have|is|was|were|how did|what happened|what did|when did)\b", noun),
        ("runs", r"^(?:list |show )?(?:my |the |all |recent )*runs?$", len(core.split()) > 1 or core.lower() == "runs"),
    )
    for detail, pattern, fits in verbs:
        if fits and re.search(pattern, core, re.IGNORECASE):
            return frame.reading(Intent.RUNS, run.group() if run else None, detail=detail)
    return None


def _about_a_host(frame: _Frame) -> Reading | None:
    """Which host should do something."""
    best = r"(?:the )?(?:best|least[- ](?:loaded|busy)|optimal|right|ideal|suitable|freest|idlest|quietest)"
    patterns = (
        rf"(?:tell me |show me |find out |say |know )?(?:which|what) (?:{MACHINE}|one)(?: of (?:mine|them|my \w+))?"
        r" (?:should|would|could|can|is (?:best|right|good|free|optimal|the best|best suited|ideal|least \w+)|suits?|fits?|has (?:the )?most"
        r" (?:room|capacity))(?: (?:i|we|you))?(?: (?:use|pick|choose|run|take|handle|do|get|host|put|send|execute|be|best))*"
        r"(?: for| to(?: run| do| handle)?| on| with)?(?P<topic>\b.*)?",
        rf"(?:which|what) {MACHINE} (?:for|to run|to use for)(?P<topic>\b.*)",
        r"(?:tell me |show me )?where (?:should|would|could|can|do|does|shall|to)(?: (?:i|we|you))?(?: best)?(?: (?:run|put|do|send|execute|place))?"
        r"(?P<topic>\b.*?)(?: (?:go|run|fit|be run|belong|work)(?: best)?)?",
        rf"(?:what'?s |what is |who is |who'?s )?{best} (?:(?:available )?(?:{MACHINE}|one|place)) (?:for|to run|to do|to handle)(?P<topic>\b.*)",
        r"who (?:has|would have|'s got|got) (?:the )?(?:most|enough) (?:room|capacity|space)(?: (?:for|to run|to do))?(?P<topic>\b.*)?",
        rf"(?:recommend|suggest|pick|choose|find|name|propose|select)(?: me)? (?:a|an|one|the|{best}) {MACHINE}"
        r" (?:for|to run|to do|that (?:can|should|could) (?:run|do|handle))(?P<topic>\b.*)",
        r"who (?:should|would|could|can) (?:run|do|handle|take|get)(?P<topic>\b.*)",
        rf"(?:(?:what|which|who)(?:'?s| is| are| would be) |find |show me |tell me |give me |get me )(?:the )?{best} (?:(?:available )?(?:{MACHINE}|one))"
        r"(?: (?:for|to run|to do)(?P<topic>\b.*))?",
    )
    for pattern in patterns:
        match = re.match(rf"(?:{pattern})\s*$", frame.whole, re.IGNORECASE)
        if match is not None and not re.search(r"\b(?:ran|down|up|has the)\b(?! most)", frame.whole[:40], re.IGNORECASE):
            return frame.reading(Intent.WHICH_HOST, _topic(match.groupdict().get("topic") or ""))
    return None


def _topic(text: str) -> str | None:
    bare = re.sub(r"^(?:\s*(?:a|an|the|this|that|my|our|some)\b)+|\b(?:go|right now|now|today|best)\s*$", "", text, flags=re.I)
    return tidy(bare) or None


_LOAD = r"(?:load|busy|busiest|cpu|memory|ram|utili[sz]ation|usage|metrics|loaded|idle|io wait|free (?:memory|ram|cpu))"
_UP = (
    r"(?:up|down|online|offline|alive|reachable|available|responding|awake|dead|unreachable|connected|reach|ping|status|state"
    r"|healthy|health|answer(?:ing)?|respond|running ok)"
)


def _about_hosts(frame: _Frame) -> Reading | None:
    """Who is up, and how busy."""
    whole, core = frame.whole, frame.core
    if _THING.search(core) or not _asks(frame) or re.match(r"(?:collect|fetch|cancel|wait|bring|stop|kill|abort)\b", core, re.I):
        return None
    about = frame.has(rf"(?:{MACHINE}|cluster|network|fleet|everyone|everybody)\b") or bool(frame.place.hosts or frame.place.groups)
    who = re.match(r"(?:who|who'?s|whos|anyone|anybody|everyone|everybody)\b", whole, re.IGNORECASE) is not None
    work = re.search(r"\b(?:run|test|tests|task|sync|fix|deploy|restart|should|balanc\w+|installed|handle|optimi[sz]e)\b", whole, re.I)
    if work is not None and not re.match(r"(?:ping|is|are|which|who)\b", whole, re.I) or re.search(r"\binstalled|should\b", whole):
        return None
    bare = re.match(rf"(?:{_SHOW} )?(?:me )?(?:the |current |my )*(?:cpu |system |cluster |host )?(?:load|loads|load metrics)$", core, re.I)
    free = re.match(r"(?:is|are) ⟦h\d+⟧(?: and ⟦h\d+⟧)* (?:free|idle|loaded|overloaded)", whole, re.IGNORECASE)
    if free or bare or ((about or who) and re.search(rf"\b{_LOAD}\b", core, re.IGNORECASE)):
        return frame.reading(Intent.STATUS, detail="load")
    listing = re.match(rf"(?:{_SHOW}|which|what|what are|ping|check)(?: me| on)?(?: (?:all|my|the|our))*(?: {MACHINE})?", whole, re.I)
    plain_list = re.fullmatch(rf"(?:{_SHOW}(?: me)?|what are|which are)(?: (?:all|of|my|the|our))* {MACHINE}", whole, re.I)
    if plain_list or ((about or who) and re.search(rf"\b{_UP}\b", whole, re.IGNORECASE) and (listing or _asks(frame))):
        return frame.reading(Intent.STATUS, detail="status")
    if re.fullmatch(r"(?:(?:show|check|get) )?(?:me )?(?:the )?status", core, re.I) and len(core.split()) <= 3:
        return frame.reading(Intent.STATUS, detail="status")
    return None


# --- orders ---------------------------------------------------------------------------------------------------------

_HARM = re.compile(
    r"\b(?:wipe|erase|destroy|format|nuke|rm -rf|reboot|shut ?down|power ?off|kill (?:all|every)|delete (?:all|every)|uninstall)\b",
    re.I,
)


def _order(frame: _Frame) -> Understood:
    """What a sentence gives to do."""
    work = work_of(frame.core, frame.said.quotes)
    place = frame.place
    doubt = _doubt(frame, work)
    if doubt is not None:
        return doubt
    if place.here:
        return Understood((frame.reading(Intent.LOCAL, work.text, is_command=work.is_command, hosts=()),))
    several = parts(work, frame.said.quotes, looking=place.each or not place.named)
    if place.each or (len(several) > 1 and not place.named) or _spreads(frame, work):
        return _distributed(frame, several)
    if not place.named:
        return _nowhere(frame, work)
    if work.sync:
        return _synced(frame, work)
    return Understood((_placed(frame, work),))


def _placed(frame: _Frame, work: Work) -> Reading:
    """Work at a place that was named."""
    place = frame.place
    everywhere = not place.hosts and (place.everywhere or bool(place.groups))
    if work.is_command:
        return frame.reading(Intent.COMMAND, work.text, everywhere=everywhere, is_command=True)
    if place.hosts:
        return frame.reading(Intent.RUN_HOST, work.text)
    return frame.reading(Intent.FANOUT if everywhere else Intent.RUN_BEST, work.text)


def _synced(frame: _Frame, work: Work) -> Understood:
    if work.text is None and not work.gummy:
        reading = frame.reading(Intent.SYNC, everywhere=not frame.place.hosts)
        if frame.place.best:
            return Understood((reading,), "a sync needs to be told where to")
        return Understood((reading,))
    if not frame.place.hosts and not frame.place.best:
        return Understood((frame.reading(Intent.FANOUT, work.text, is_command=work.is_command),))
    return Understood((frame.reading(Intent.SYNC_RUN, work.text, is_command=work.is_command),))


def _spreads(frame: _Frame, work: Work) -> bool:
    """Whether tasks that it does not name are to be balanced."""
    verb = re.match(r"(?:load[- ])?(?:balance|spread|distribute|share)\b", frame.core, re.IGNORECASE)
    return verb is not None and frame.place.everywhere and work.text is None


def _distributed(frame: _Frame, several: tuple[str, ...]) -> Understood:
    texts = tuple(frame.said.plain(text) for text in several)
    reading = frame.reading(Intent.DISTRIBUTE, texts=texts, hosts=() if frame.place.each else frame.place.hosts)
    if not texts and not frame.core:
        return Understood((reading,), "it does not say what is to be distributed")
    if len(texts) == 1 and frame.place.each:
        one = frame.reading(Intent.RUN_BEST, texts[0])
        return Understood((one, replace(reading, texts=texts)), "it names one task, and speaks of several")
    return Understood((reading,))


def _nowhere(frame: _Frame, work: Work) -> Understood:
    """Work without a place: here, or on the best host?"""
    doubt = "it does not say where"
    if frame.place.some:
        near = (frame.reading(Intent.RUN_BEST, work.text), frame.reading(Intent.FANOUT, work.text))
        return Understood(near, "it does not say which hosts, or how many")
    if work.text is None or not (work.launched or work.verb):
        return Understood(_bare_work(frame, work), "nothing that is to be done was understood" if not work.text else doubt)
    if work.is_command:
        near = (frame.reading(Intent.COMMAND, work.text, is_command=True), frame.reading(Intent.LOCAL, work.text, is_command=True))
    else:
        near = (frame.reading(Intent.RUN_BEST, work.text), frame.reading(Intent.LOCAL, work.text))
    return Understood(near, doubt)


def _bare_work(frame: _Frame, work: Work) -> tuple[Reading, ...]:
    if re.fullmatch(r"(?:the |my |all )*(?:unit |integration |e2e )*tests?", frame.core, re.IGNORECASE):
        return frame.reading(Intent.LOCAL, work.text), frame.reading(Intent.FANOUT, work.text)
    return frame.reading(Intent.STATUS, detail="status"), frame.reading(Intent.RUN_BEST, work.text)


def _doubt(frame: _Frame, work: Work) -> Understood | None:
    """What keeps an order from being carried out, None if nothing does."""
    place, text = frame.place, work.text
    here, there = frame.reading(Intent.LOCAL, text, hosts=()), frame.reading(Intent.RUN_HOST, text)
    best, all_of_them = frame.reading(Intent.RUN_BEST, text), frame.reading(Intent.FANOUT, text)
    at_host = there if place.hosts else all_of_them if place.everywhere or place.groups else best
    negation = re.search(r"\b(?:do not|don'?t|dont|never|stop|without running)\b", frame.core, re.IGNORECASE)
    question = re.match(
        r"(?:is|are|am|was|were|does|did|do (?:i|we|you)|has|have (?:i|we|you)|why|what|who|when|how|which|where|should|could|may|would)\b"
        r"|explain\b",
        frame.core,
        re.IGNORECASE,
    )
    vague = re.fullmatch(r"(?:it|that|this|the things?|things?|stuff|something|anything|everything)\b.{0,20}", text or "", re.IGNORECASE)
    installed = re.match(r"(?:is|are|does|has) (?:the )?([\w.+-]+)\b.*\b(?:installed|available)\b", frame.core, re.IGNORECASE)
    again = re.match(
        r"(?:fix|do|run|make|start|use) (?:(?:it|that|this|something|everything)(?=\s*(?:$|[,.;]|on\b|for\b|like\b|again\b))|the things?\b)",
        frame.core,
        re.IGNORECASE,
    )
    checks: tuple[tuple[bool, str, tuple[Reading, ...]], ...] = (
        (installed is not None and place.named, "it asks what a host has", (_look_for(frame, installed), frame.reading(Intent.STATUS, detail="status"))),
        (re.fullmatch(r"⟦[hu]\d*⟧(?:(?:,| and) ⟦[hu]\d*⟧)*", frame.core) is not None, "it only names a host", (frame.reading(Intent.STATUS, detail="status"), there)),
        (question is not None, "it is a question that is not about hosts or runs", (frame.reading(Intent.STATUS, detail="status"), at_host)),
        (negation is not None, "it says what is not to be done", (frame.reading(Intent.STATUS, detail="status"), at_host)),
        (bool(_HARM.search(frame.core)), "it would destroy something; quote the command if it is meant", (at_host, here)),
        (place.here and place.named, "it says both here and elsewhere", (here, at_host)),
        (place.either, "it names one host or another", (best, there)),
        (place.apart, "it names several hosts, each for something else", (there, frame.reading(Intent.DISTRIBUTE, texts=(text or "",)))),
        (bool(place.hosts) and (place.best or place.everywhere or bool(place.groups)), "it names a host, and others", (there, best)),
        (place.best and place.everywhere, "it says both the best host and all of them", (best, all_of_them)),
        (len(place.groups) > 1, "it names several groups", (all_of_them, best)),
        (frame.nothing, "nothing is to be run", (frame.reading(Intent.WHICH_HOST, text), frame.reading(Intent.STATUS, detail="status"))),
        (bool(again or vague) and not place.here, "it does not say what it is about", (at_host, here)),
        (_is_test_of_a_host(frame), "to test a host, or to run tests there?", (frame.reading(Intent.STATUS, detail="status"), there)),
        (place.named and not (work.text or work.gummy or work.sync or _spreads(frame, work)), "it does not say what is to be done", (at_host, here)),
        (_is_two_orders(frame), "it asks for two different things", (at_host, frame.reading(Intent.RUNS, detail="runs"))),
    )
    for is_so, why, near in checks:
        if is_so:
            return Understood(near, why)
    return None


def _look_for(frame: _Frame, program: re.Match[str] | None) -> Reading:
    everywhere = not frame.place.hosts
    return frame.reading(
        Intent.COMMAND, f"command -v {program.group(1) if program else ''}", is_command=True, everywhere=everywhere
    )


def _is_test_of_a_host(frame: _Frame) -> bool:
    return re.fullmatch(r"(?:test|try|check) (?:the )?⟦h\d+⟧", frame.core, re.IGNORECASE) is not None


def _is_two_orders(frame: _Frame) -> bool:
    second = rf"\b(?:and|then)(?: then)? (?:{_SHOW} (?:me )?(?:the )?(?:logs?|runs|status|load|specialists)|cancel the|tell me)\b"
    return re.search(second, frame.core, re.IGNORECASE) is not None
