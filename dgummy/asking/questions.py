"""Plain sentences that ask to be told something: about hosts, runs, agents. Pure."""

from __future__ import annotations

import re
from dataclasses import replace

from dgummy.asking.readings import Frame, Intent, Reading, Understood
from dgummy.asking.tasktext import LAUNCH, VERBS, is_verb
from dgummy.asking.terms import MACHINE
from dgummy.asking.whichhost import about_a_host, topic_of

SHOW = r"(?:show|list|display|view|see|check|get|give|tell|print|look at|let me see|watch|monitor|report|dump)"
_ASKS = re.compile(
    rf"^(?:{SHOW}\b|what|which|who|whose|where|when|how|is\b|are\b|do\b|does\b|did\b|has\b|have (?:any|all|my"
    rf"|the)\b|any\b"
    r"|status\b|overview\b|loads? (?:of|on|averages?)\b|agents\b|specialists\b"
    r"|should|could|can\b|would|am\b|was\b|were\b|will\b|why|state\b|current\b|history\b|tail\b|follow\b"
    r"|wait\b|cancel\b"
    r"|let me|inform\b|retrieve\b|advise\b|indicate\b|determine\b|notify\b|block\b|abort\b|grab\b"
    r"|retrieve\b|pull\b|download\b|anything\b|everything\b|give me|overview|the (?:current|last"
    r"|running)\b|logs?\b|retry\b|rerun\b"
    r"|the (?:output|logs?|results?|history)\b|open (?:the |my )?(?:logs?|output)\b|keep (?:tail|follow|watch)ing\b"
    r"|copy (?:the |my )?(?:results?|changes|artifacts?|output)\b|on which\b|(?:stream|page|cat|read) (?:the "
    r"|my )?(?:logs?|output)\b|call off\b|hold on\b|sit tight\b|(?:my|the) (?:\d+|three|five|ten|twenty)\b"
    r"|runs\b|(?:end"
    r"|terminate|halt) (?:the|my|that) (?:\w+ )?(?:run|job)\b|i(?:'d| would)? (?:want|need|like) (?:the "
    r"|my )?(?:output|results?|changes|logs?|artifacts?|files)\b|pick up (?:the |my )?(?:results?|changes"
    r"|artifacts?)\b|(?:try|run|do) (?:the "
    r"|my )?(?:last|previous) (?:run|job|task)\b|(?:rank|sort|order) (?:the|my|all)\b|(?:previous|past|recent)\b"
    r"|stop\b|kill\b|abort\b|collect\b|fetch\b|bring\b|ping\b|recommend|suggest|best\b|least\b)",
    re.IGNORECASE,
)
_AGENTS = (
    r"(?:specialists?|(?:gummy )?experts?|gummy-watch|(?:gummy |ai |active |running )?agents?"
    r"|gummy(?: (?:status|overview|tasks?|sessions?|agents?|jobs?|work))|gummies|gummy's (?:status|work"
    r"|sessions?|tasks?)|gummy(?=(?: is)? (?:doing|up to"
    r"|running"
    r"|working|busy)))"
)
_SHOWS_SOMETHING = re.compile(
    r"log (?:every|each|all|the|an?) (?!of\b)|(?:show|display|print) an? (?!(?:\w+ )?(?:list|status|overview"
    r"|table|summary|report|view|specialist|agent)\b)",
    re.IGNORECASE,
)
"""What an application is to show: that is work."""
_THING = re.compile(
    r"\b(?:page|endpoint|module|header|button|view|table|function|class|menu|component|screen|(?<!exit )code|docs?)\b",
    re.IGNORECASE,
)


def asked(frame: Frame) -> Understood | None:
    """What a sentence asks to be told, None if it gives work."""
    if re.search(r"\brun off\b", frame.core, re.IGNORECASE):
        return None
    if frame.place.hosts and _IS_IT_WISE.match(frame.whole):
        return _whether(frame)
    about = _about_agents(frame) or _about_runs(frame) or about_a_host(frame) or _about_hosts(frame)
    if about is not None and about.intent is Intent.RUNS and about.detail != "runs" and _is_some_run(frame, about):
        near = (replace(about, detail="runs"), about)
        return Understood(near, "it does not say which run; inv runs lists them")
    if about is not None:
        return Understood((about,))
    place = frame.place
    if place.hosts and _SHOULD_IT.match(frame.whole) and not re.search(r"take care of|\bplease\b", frame.whole):
        return _whether(frame)
    return None


_IS_IT_WISE = re.compile(
    r"(?:is|would) it (?:be )?(?:better|wise|ok|okay|safe|smart|sensible|a good idea|possible)", re.IGNORECASE
)
_SHOULD_IT = re.compile(
    r"(?:should|could|can|would|may) (?:i|we|⟦h\d+⟧)(?!\w)|(?:is|are|has|does|do) ⟦h\d+⟧ (?:good|strong"
    r"|big|fast|free|idle|powerful)? ?(?:enough )?(?:have (?:enough )?(?:room|space|memory) )?(?:for|to) ",
    re.IGNORECASE,
)


def _whether(frame: Frame) -> Understood:
    """A question whether a host should do something: nobody said that it shall."""
    topic = topic_of(re.sub(r"^\w+ (?:i|we|⟦h\d+⟧) (?:run|do|handle|take)?", "", frame.core, flags=re.IGNORECASE))
    near = (frame.reading(Intent.WHICH_HOST, topic, hosts=()), frame.reading(Intent.RUN_HOST, topic))
    return Understood(near, "it asks whether, and does not say that it shall be done")


def _asks(frame: Frame) -> bool:
    first = re.match(r"[a-z]*", frame.core.lower())
    short = len(frame.core.split()) <= 4 and (first is None or first.group() not in VERBS)
    short = (
        short
        and re.match(rf"(?:{LAUNCH}|sync)\b(?! (?:logs?|history|status|list|output)\b)", frame.core, re.IGNORECASE)
        is None
    )
    return short or any(_ASKS.match(text) for text in (frame.core, frame.whole))


def _about_agents(frame: Frame) -> Reading | None:
    head = re.search(rf"\b{_AGENTS}\b", frame.core, re.IGNORECASE)
    if _SHOWS_SOMETHING.match(frame.core) or re.search(
        rf"^(?!which|what|who).*\b{_AGENTS} to \w", frame.core, re.IGNORECASE
    ):
        return None
    if re.match(
        r"(?:what|who) (?:is|are|does|do) (?:a |an |the )?(?:word |term )?(?:gummy )?(?:specialists?"
        r"|agents?)(?: do| mean"
        r"| for)?$",
        frame.core,
        re.IGNORECASE,
    ):
        return None
    if head is None or _THING.search(frame.core):
        return None
    info = (
        rf"^{SHOW}\b|\b(?:what|which|who|where|how (?:are|is|many|much)|how many|how much|whose)\b|^(?:is|are"
        rf"|any|do|does|has|have)\b"
        r"|^(?:the )?(?:status|state|overview)\b"
        rf"|\b(?:status|dashboard|overview|list)\b|^(?:my |all |active |running )*{_AGENTS}(?: running| active)?$"
    )
    order = (
        r"^(?:run|put|perform|do(?! (?:i|we|you|they|any)\b)|spread|share|farm|execute|start|launch|use"
        r"|have (?:the|a|an|my|gummy)\b|ask"
        r"|dispatch|send|let(?! (?:me|us) (?:see|know))|gummy task|distribute|(?:load[- ])?balance)\b"
    )
    if re.search(order, frame.core, re.IGNORECASE) or re.fullmatch(
        r"gummy(?: tasks?)?|agent", frame.core, re.IGNORECASE
    ):
        return None
    if re.search(r"\b(?:should|best|would|suits?)\b", frame.whole, re.IGNORECASE):
        return None
    if head.group().lower() == "gummy-watch" or re.search(info, frame.core, re.IGNORECASE) or _is_about(frame, head):
        return frame.reading(Intent.SPECIALISTS)
    return None


def _is_about(frame: Frame, head: re.Match[str]) -> bool:
    """Whether several agents are all that a sentence without a verb is about."""
    first = re.match(r"[a-z]*", frame.core.lower())
    verbless = first is None or first.group() not in VERBS
    return (
        verbless
        and head.group().lower().endswith("s")
        and len(frame.core.split()) <= 6
        and not re.search(r"\b(?:to|and)\b", frame.core)
    )


_RUN_ID = r"\b\d{8}-\d{6}-[a-z0-9]{6}\b"
_RUN_NOUN = (
    r"(?:(?:last|latest|previous|recent|past|my|the|that|this|current|those|all|failed|finished|old"
    r"|newest|running|two|three|four|five|ten|twenty|\d+|few|most)\s+)+(?:gummy )?"
    r"(?:(?<!that )runs|run|jobs?|fanout|build run|tasks?)\b(?! (?:command|option|flag|duration|name|time|count"
    r"|queue|history"
    r"|page|button|table|list|view))"
)


_ASKING = (
    r"(?:what|which|where|who|when|why|how|did|do(?! not|n't)|does|has|have|is|was|were|are|any|anything"
    r"|could (?:i|we) (?:see|have)"
    r"|can (?:i|we) (?:see|have))"
)
_RUNS_MEANT = (
    r"(?:(?:which|what|any|how many|all|our|my|these|today'?s|yesterday'?s|this \w+'?s|active|failed|finished"
    r"|recent) (?:of (?:my|our"
    r"|the) )?(?:gummy )?(?:runs?|jobs?)\b"
    r"|(?:everything|all|anything)(?: that)? ran\b|(?:everything|all|anything)(?: that)? (?:i|we)(?:'ve"
    r"| have)? (?:ran|run|started|launched)\b"
    r"|(?:what|where|which|who|when|how)\b.*\b(?:ran\b|did .* run\b|(?:i|we|you)(?:'ve| have) run\b|(?:i"
    r"|we)(?:'ve| have)? (?:got |still |been )?running\b|have (?:i|we) (?:got |been )?(?:running|run)\b|(?:i|we"
    r"|you)(?:'ve| have)? (?:started|launched)\b)"
    r"|(?:what|what's|anything|is anything)(?: is)?(?: currently| still)? running(?! (?:low|out|hot)\b)"
    r"|what (?:is|are) ⟦h\d+⟧ (?:running|doing|working on))"
)
_RUN_QUESTIONS: tuple[tuple[str, str, str], ...] = (
    (
        "logs",
        r"\b(?:logs?|output(?! files?)|stdout|stderr|print(?:ed|s)?)\b",
        r"(?:run|runs|ran|job)\b",
    ),
    ("logs", r"^(?:tail|follow) (?:the |my )?(?:last |current )?(?:run|job)\b", ""),
    (
        "collect",
        r"^(?:pull|bring|get|fetch) (?:the |my )?(?:results?|changes|work|artifacts?) (?:back|home)\b",
        "",
    ),
    ("logs", r"^(?:(?:show|see|get|tail|view|print) )?(?:me )?(?:the )?logs?$", ""),
    ("retry", r"^(?:retry|re-?run|repeat|restart|resume)\b", r"(?!)"),
    (
        "wait",
        r"^(?:wait|block|hold|sit tight)\b|\buntil\b.*\b(?:finish|done|over|end|complete|through|ready)|^(?:let me know"
        r"|tell me|notify me|ping me|alert me)\b.*"
        r"\b(?:when|once|as soon as)\b.*\b(?:finish|done|over|end|complete)",
        r"(?:run|runs|job|jobs)\b",
    ),
    ("cancel", r"^(?:cancel|call off|stop|kill|abort|end|terminate|halt)\b|\b(?:kill|cancel|abort|stop) it$", r"(?!)"),
    (
        "collect",
        r"^(?:collect|fetch|copy|pick up|bring (?:back|home|me)|bring|get|pull|download|grab"
        r"|retrieve)\b.*\b(?:artifacts?"
        r"|changes?|results?|work|files?|diff|branch|run)\b",
        r"the run\b",
    ),
    ("cancel", r"^(?:cancel|stop|kill|abort)\b.*\b(?:i|we) (?:started|launched|ran)\b", ""),
    ("retry", r"^(?:try|run|do) (?:the |my )?(?:last|previous) (?:run|job|task) (?:again|once more|over)\b", ""),
    ("runs", r"^(?:the |my )?runs (?:of|from|since) \w+", ""),
    ("runs", r"\bhistory\b", r"runs?\b"),
    ("runs", rf"^(?:{SHOW} )?(?:me )?(?:the |my )?runs? (?:overview|list|history|status)$", ""),
    (
        "runs",
        r"^(?:the |my )?(?:\d+|three|five|ten|twenty) (?:latest|last|newest|recent|most recent) (?:runs|jobs)\b",
        "",
    ),
    ("runs", rf"^(?:{SHOW} )?(?:me )?(?:the |my )?(?:recent )?(?:history|activity)$", ""),
    (
        "runs",
        r"^(?:(?:my|all|the) )*(?:recent |last |latest |past |previous |earlier |finished |failed )+(?:\d+ |few "
        r"|two |three |five |ten )?(?:runs|jobs)\b",
        "",
    ),
    ("runs", rf"^(?:on |in |at )?(?:{_ASKING}|{SHOW})\b|^(?:(?:my|all|the) )+(?:runs|jobs)\b", _RUNS_MEANT),
    ("runs", r"^(?:list |show )?(?:my |the |all |recent )*runs?$", r"runs?\b"),
)
"""Which question it is, how it is put, and what must be said besides where it does not name a run ("" for nothing)."""


_HOW_TO = re.compile(r"how (?:do|can|could|should|to|does|would)\b", re.IGNORECASE)
_NOT_THE_LAST = re.compile(
    r"\b(?:all|every|each|two|three|four|few|several|both|before|second|first|other|older|oldest|failed|\d+)\b",
    re.IGNORECASE,
)


def _is_some_run(frame: Frame, reading: Reading) -> bool:
    """Whether another run than the last, or several, may be meant; or a run and a host where it shall be done."""
    if reading.text is not None:
        return reading.detail == "retry" and bool(reading.hosts)
    lines = r"\b(?:the )?(?:last|first) \w+ lines (?:of|from) "
    return _NOT_THE_LAST.search(re.sub(lines, "", frame.whole, flags=re.IGNORECASE)) is not None


def _about_runs(frame: Frame) -> Reading | None:
    """What became of runs, and what is to be done with them."""
    core = frame.core
    if (
        _SHOWS_SOMETHING.match(core)
        or _THING.search(core)
        or not _asks(frame)
        or core.lower() == "run"
        or _HOW_TO.match(core)
    ):
        return None
    run = re.search(_RUN_ID, core)
    named = run is not None or re.search(rf"\b{_RUN_NOUN}", core, re.IGNORECASE) is not None
    launched = re.match(r"(?:run|execute|start|launch|ssh)\b", core, re.IGNORECASE) is not None
    supposes = re.search(r"\b(?:would|should|could)\b", core, re.IGNORECASE) is not None
    for detail, pattern, besides in _RUN_QUESTIONS:
        if (
            re.search(pattern, core, re.IGNORECASE)
            and not (supposes and detail == "runs")
            and (named or frame.has(besides))
            and not (launched and detail == "logs")
        ):
            return frame.reading(Intent.RUNS, run.group() if run else None, detail=detail)
    return None


_LOAD = (
    r"(?:load|busy|busiest|cpu|memory|ram|utili[sz]ation|usage|metrics|loaded|overloaded|idle|io wait"
    r"|load averages?|headroom|swap|disk|how hard|working(?! on)|free (?:memory|ram|cpu))"
)
_UP = (
    r"(?:up|down|online|offline|alive|reachable|available|responding|awake|dead(?![- ]links?)|unreachable|connected"
    r"|reach|ping|status|state"
    r"|healthy|health|availability|connectivity|come back|back|overview|currently use|on right now"
    r"|answer(?:ing)?|respond|running ok|(?:drop(?:ped)?|fallen|fell) (?:off|out)|gone|disappear(?:ed)?|missing"
    r"|reached|pinged|contacted)"
)


_NO_LOOK = re.compile(
    rf"(?:is|are) (?!(?:(?:the|my|all|any|every|each) )*(?:{MACHINE}|⟦)|it\b|they\b|every|any|who)(?:the )?[\w.+-]+"
    r" (?:available|installed|present|there|running)\b.*⟦h|"
    r"check (?:the |my |our |all )*(?!(?:load|status|state|health|availability|cpu|memory|disk|usage|uptime"
    r"|connectivity)\b)[\w-]+ (?:for|in|against|with)\b"
    r"|(?:collect|fetch|cancel|wait|bring|stop|kill|abort)\b|.*\b(?:something|order|buy|shut ?down"
    r"|turn off|power off"
    r"|somewhere|installed|should)\b",
    re.IGNORECASE,
)
_WORK = re.compile(
    r"(?!(?:ping|is|are|which|who)\b).*\b(?:run|test|tests|task|sync|fix|deploy|restart|balanc\w+|handle"
    r"|optimi[sz]e)\b",
    re.IGNORECASE,
)
_ANYBODY = re.compile(
    r"(?:(?:is|are) )?(?:who|who'?s|whos|anyone|anybody|anything|everyone|everybody|everything)\b", re.IGNORECASE
)
_JUST_LOAD = re.compile(
    rf"(?:{SHOW} )?(?:me )?(?:the |current |my )*(?:cpu |system |cluster |host )?"
    r"(?:load|loads|load metrics|load averages?|loads? of everything)$"
    r"|how(?:'s| is| are)? the (?:current )?loads?(?: looking| doing| now| today| right now)*\??$",
    re.IGNORECASE,
)
_IS_FREE = re.compile(r"(?:is|are) ⟦h\d+⟧(?: and ⟦h\d+⟧)* (?:free|idle|loaded|overloaded)", re.IGNORECASE)
_JUST_LIST = re.compile(rf"(?:{SHOW}(?: me)?|what are|which are)(?: (?:all|of|my|the|our))* {MACHINE}$", re.IGNORECASE)
_JUST_STATUS = re.compile(r"(?:(?:show|check|get) )?(?:me )?(?:the )?status$", re.IGNORECASE)


def _about_hosts(frame: Frame) -> Reading | None:
    """Who is up, and how busy."""
    whole, core = frame.whole, frame.core
    if (
        _THING.search(core)
        or not _asks(frame)
        or _SHOWS_SOMETHING.match(core)
        or any(_NO_LOOK.match(text) for text in (core, whole))
        or _WORK.match(whole)
    ):
        return None
    if is_verb((core.split() or [""])[0].lower()) and not core.lower().startswith(
        ("check", "monitor", "print", "show")
    ):
        return None
    if frame.place.best and not any(_ASKS.match(text) for text in (core, whole)):
        return None
    about = frame.has(rf"(?:{MACHINE}|cluster|network|fleet|everyone|everybody)\b") or _ANYBODY.match(whole) is not None
    about = about or bool(frame.place.hosts or frame.place.groups)
    if _IS_FREE.match(whole) or _JUST_LOAD.match(core) or (about and re.search(rf"\b{_LOAD}\b", core, re.IGNORECASE)):
        return frame.reading(Intent.STATUS, detail="load")
    if (
        _JUST_LIST.match(whole)
        or (about and re.search(rf"\b{_UP}\b", whole, re.IGNORECASE))
        or _JUST_STATUS.match(core)
    ):
        return frame.reading(Intent.STATUS, detail="status")
    return None
