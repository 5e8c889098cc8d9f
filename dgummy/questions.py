"""Plain sentences that ask to be told something: about hosts, runs, agents. Pure."""

from __future__ import annotations

import re

from dgummy.readings import Frame, Intent, Reading, Understood
from dgummy.sentence import MACHINE
from dgummy.tasktext import VERBS, tidy

SHOW = r"(?:show|list|display|view|see|check|get|give|tell|print|look at|let me see|watch|monitor|report|dump)"
_ASKS = re.compile(
    rf"^(?:{SHOW}\b|what|which|who|whose|where|when|how|is\b|are\b|do\b|does\b|did\b|has\b|have any|any\b|status\b|overview\b"
    r"|should|could|can\b|would|am\b|was\b|were\b|will\b|why|state\b|current\b|history\b|tail\b|follow\b|wait\b|cancel\b"
    r"|stop\b|kill\b|abort\b|collect\b|fetch\b|bring\b|ping\b|recommend|suggest|best\b|least\b)",
    re.IGNORECASE,
)
_AGENTS = r"(?:specialists?|(?:gummy |ai |active |running )?agents?|gummy(?: (?:tasks?|sessions?|agents?|jobs?|work))|gummies)"
_THING = re.compile(
    r"\b(?:page|endpoint|module|header|button|view|table|function|class|menu|component|screen|code|docs?)\b", re.I
)


def asked(frame: Frame) -> Understood | None:
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


def _asks(frame: Frame) -> bool:
    first = re.match(r"[a-z]*", frame.core.lower())
    short = len(frame.core.split()) <= 4 and (first is None or first.group() not in VERBS)
    return short or any(_ASKS.match(text) for text in (frame.core, frame.whole))


def _about_agents(frame: Frame) -> Reading | None:
    head = re.search(_AGENTS, frame.core, re.IGNORECASE)
    if head is None or _THING.search(frame.core):
        return None
    info = (
        rf"^{SHOW}\b|^(?:what|which|who|where|how many|is|are|any|do|does|has|have)\b|^(?:the )?(?:status|state|overview)\b"
        rf"|\b(?:status|dashboard|overview|list)\b|^(?:my |all |active |running )*{_AGENTS}(?: running| active)?$"
    )
    order = r"^(?:run|execute|start|launch|use|have .* \w+ the|ask|dispatch|send|let|gummy task|distribute|balance)\b"
    if re.search(order, frame.core, re.IGNORECASE) or re.fullmatch(
        r"gummy(?: tasks?)?|agents?", frame.core, re.IGNORECASE
    ):
        return None
    if re.search(r"\b(?:should|best|would|suits?)\b", frame.whole, re.IGNORECASE):
        return None
    return frame.reading(Intent.SPECIALISTS) if re.search(info, frame.core, re.IGNORECASE) else None


_RUN_ID = r"\b\d{8}-\d{6}-[a-z0-9]{6}\b"
_RUN_NOUN = (
    r"(?:(?:last|latest|previous|recent|past|my|the|that|this|current|those|all|failed|finished|old|newest)\s+)+(?:gummy )?"
    r"(?:runs?|jobs?|fanout|build run|tasks?)\b(?! (?:history|page|button|table|list|view))"
)


def _about_runs(frame: Frame) -> Reading | None:
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
        ("runs", rf"^(?:{SHOW}\b.*|(?:my|all|recent|last|latest) )\b(?:runs|jobs)\b", True),
        (
            "runs",
            r"^(?:what'?s|what is|what'?s currently|what is currently|is anything|anything)(?: currently| still)? running",
            True,
        ),
        ("runs", rf"^(?:what|which {MACHINE}|where|who|when)\b.*\b(?:ran|did .* run)\b", True),
        ("runs", r"^(?:did|has|have|is|was|were|how did|what happened|what did|when did)\b", noun),
        ("runs", r"^(?:list |show )?(?:my |the |all |recent )*runs?$", len(core.split()) > 1 or core.lower() == "runs"),
    )
    for detail, pattern, fits in verbs:
        if fits and re.search(pattern, core, re.IGNORECASE):
            return frame.reading(Intent.RUNS, run.group() if run else None, detail=detail)
    return None


def _about_a_host(frame: Frame) -> Reading | None:
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
        if match is not None and not re.search(
            r"\b(?:ran|down|up|has the)\b(?! most)", frame.whole[:40], re.IGNORECASE
        ):
            return frame.reading(Intent.WHICH_HOST, _topic(match.groupdict().get("topic") or ""))
    return None


def _topic(text: str) -> str | None:
    bare = re.sub(
        r"^(?:\s*(?:a|an|the|this|that|my|our|some)\b)+|\b(?:go|right now|now|today|best)\s*$", "", text, flags=re.I
    )
    return tidy(bare) or None


_LOAD = r"(?:load|busy|busiest|cpu|memory|ram|utili[sz]ation|usage|metrics|loaded|idle|io wait|free (?:memory|ram|cpu))"
_UP = (
    r"(?:up|down|online|offline|alive|reachable|available|responding|awake|dead|unreachable|connected|reach|ping|status|state"
    r"|healthy|health|answer(?:ing)?|respond|running ok)"
)


def _about_hosts(frame: Frame) -> Reading | None:
    """Who is up, and how busy."""
    whole, core = frame.whole, frame.core
    if (
        _THING.search(core)
        or not _asks(frame)
        or re.match(r"(?:collect|fetch|cancel|wait|bring|stop|kill|abort)\b", core, re.I)
    ):
        return None
    about = frame.has(rf"(?:{MACHINE}|cluster|network|fleet|everyone|everybody)\b") or bool(
        frame.place.hosts or frame.place.groups
    )
    who = re.match(r"(?:who|who'?s|whos|anyone|anybody|everyone|everybody)\b", whole, re.IGNORECASE) is not None
    work = re.search(
        r"\b(?:run|test|tests|task|sync|fix|deploy|restart|should|balanc\w+|installed|handle|optimi[sz]e)\b",
        whole,
        re.I,
    )
    if (
        work is not None
        and not re.match(r"(?:ping|is|are|which|who)\b", whole, re.I)
        or re.search(r"\binstalled|should\b", whole)
    ):
        return None
    bare = re.match(
        rf"(?:{SHOW} )?(?:me )?(?:the |current |my )*(?:cpu |system |cluster |host )?(?:load|loads|load metrics)$",
        core,
        re.I,
    )
    free = re.match(r"(?:is|are) ⟦h\d+⟧(?: and ⟦h\d+⟧)* (?:free|idle|loaded|overloaded)", whole, re.IGNORECASE)
    if free or bare or ((about or who) and re.search(rf"\b{_LOAD}\b", core, re.IGNORECASE)):
        return frame.reading(Intent.STATUS, detail="load")
    listing = re.match(
        rf"(?:{SHOW}|which|what|what are|ping|check)(?: me| on)?(?: (?:all|my|the|our))*(?: {MACHINE})?", whole, re.I
    )
    plain_list = re.fullmatch(
        rf"(?:{SHOW}(?: me)?|what are|which are)(?: (?:all|of|my|the|our))* {MACHINE}", whole, re.I
    )
    if plain_list or ((about or who) and re.search(rf"\b{_UP}\b", whole, re.IGNORECASE) and (listing or _asks(frame))):
        return frame.reading(Intent.STATUS, detail="status")
    if re.fullmatch(r"(?:(?:show|check|get) )?(?:me )?(?:the )?status", core, re.I) and len(core.split()) <= 3:
        return frame.reading(Intent.STATUS, detail="status")
    return None
