"""Questions of which host something should go to. Pure.

How such questions are put has no end; what they are made of has: words that ask for a host, words that choose, and the
work. So the first two are taken out, from the edges inwards, and what is left is the topic.
"""

from __future__ import annotations

import re

from dgummy.asking.readings import Frame, Intent, Reading
from dgummy.asking.tasktext import tidy
from dgummy.asking.terms import MACHINE, ONE_MACHINE, SUPERLATIVE

_BEST = (
    rf"(?:the )?(?:{SUPERLATIVE}|right|ideal|suitable|sensible|reasonable|decent|proper|appropriate|good"
    rf"|better|nice|free|idle|spare)"
)
_ADVICE = r"(?:recommendations?|suggestions?|ideas?|advice)"
_ADVISE = (
    r"(?:work out|figure out|find out|look(?:ing)? for|need|evaluate|recommend|suggest|pick|choose|find"
    r"|name|propose|select|advise|determine|identify|rank)"
)
_OF_THEM = r"(?: of (?:(?:my|the|our|these|all) )*(?:mine|them|these|[\w-]+(?: [\w-]+)?))?"
_BEFORE = (
    r"(?:can|could|would|will) you |(?:please|kindly|just|only|pls|so) |(?:tell|show|inform|advise) me(?: on)? "
    r"|let me know |(?:say|know|find out|figure out|decide|determine|identify|indicate|name|rank) "
    r"|i(?:'d| would)? (?:need|want|like)(?: to know)? |if (?:i|we|you) (?:wanted to|want to|were to|had to"
    r"|have to|needed to"
    r"|need to|would) (?:run |do |start |(?:pick|choose|name|recommend) (?:an?|one|the) \w+ (?:for|to run"
    r"|to do) )?|if (?:i|we) (?:started|ran|did|launched) |before .+?, "
    r"|(?:gotta|got to|going to) (?=\w)"
)
_ASKED_FOR = re.compile(
    rf"\b(?:on |to |onto )?(?:which|what)(?: one)? of (?:my|the|our|these) (?:[\w-]+ )?{MACHINE}\b"
    rf"|\b(?:on |to |onto )?(?:which|what) (?:[\w-]+ )?(?:{MACHINE}|one)\b{_OF_THEM}(?=\W|$)"
    rf"|\b(?:which|what) of (?:mine|ours|them|these)\b"
    rf"|\b(?:what|which|who|where|there|is there)(?:'?s| is| are| would be)? (?:the |a )?{_BEST}"
    rf"(?: available)? (?:{MACHINE}|one|place|home|spot|location)\b"
    rf"|^(?:{_BEFORE})*(?:{_ADVISE}|tell me|show me|give me|get me|advise me on|advise on)(?: me)? (?:an? |one |any "
    rf"|the )?(?:{_BEST} )?{MACHINE}\b"
    rf"|^(?:an? |any |the )*{_BEST} (?:{MACHINE}|place|spot)(?= (?:for|to run|to do)\b)"
    rf"|\b(?:a |any )*{MACHINE} {_ADVICE}\b|\b(?:a |an |any )*{_ADVICE}\b|^(?:an? )?{MACHINE}(?= for\b)"
    rf"|(?:^|[,;.:-]\s*|\b(?:tell me|show me|see|say|know|just|so|you|out) )(?:on )?(?:where|who)\b",
    re.IGNORECASE,
)
_CHOOSES = re.compile(
    rf"\b(?:should|would|could|can|shall|ought|might|will|best|right|ideal|suit(?:s|ed|able)?|fit(?:s|test)?|{_ADVICE}"
    rf"|{_ADVISE}|for|to (?:run|use|do|put|send|place|start)|room|capacity|space|headroom|better|prefer|do i"
    rf"|do we|makes?|take|takes"
    rf"|{SUPERLATIVE})\b|'d\b",
    re.IGNORECASE,
)
_TOLD_TO_START = re.compile(
    r"(?:and|then|,|;|-)\s*(?:then |please )*(?:run|start|do|put|have|let|make|execute|launch|send|use) (?!i\b|we\b)",
    re.IGNORECASE,
)
_OTHER_QUESTION = re.compile(
    r"^(?:how|why) (?!about\b)|\b(?:is|are) the (?:least|most) (?:busy|loaded)\b(?: right now| now)?\??$|"
    r"\b(?:ran|did|was|(?<!if i )(?<!if we )were|has the(?! most| capacity| room| space| resources| power)"
    r"|reach(?:ed|able)?|ping|contact|currently use"
    r"|log in|down|online|alive"
    r"|installed|is up|are up|(?<!for )running(?! ok)|by (?:\w+ )?(?:load|cpu|memory|ram|usage)|run for)\b"
    r"|\bwho (?:is|are|am|was) (?:i|on|in|logged|the)\b",
    re.IGNORECASE,
)
_OTHER_THING = re.compile(
    r"\s+(?:keys?|names?|versions?|learning|files?|groups?|types?|ids?|lists?|configs?|configuration"
    r"|address(?:es)?|ports?"
    r"|codes?|apps?|js|images?|levels?|process(?:es)?|modules?|packages?|requirements|hours?|size)\b",
    re.IGNORECASE,
)
"""What makes another thing of a host: "host key", "node version"."""
_WHERE_KEPT = re.compile(
    r"\bwhere (?:should|would|could|can|do|does|shall|to)\b.*\b(?:put|find|place|store|keep|add|see|read|get)\b",
    re.IGNORECASE,
)
_KEPT = re.compile(
    r"^(?:find|see|read|get|learn|download) |\b(?:files?|folders?|director(?:y|ies)|keys?|secrets?|functions?"
    r"|class(?:es)?|pages?"
    r"|docs?|logs?|settings?|tokens?|passwords?)$",
    re.IGNORECASE,
)
_ASIDE = (
    r"^do(?:n'?t| not) (?:start|run|do|launch|execute) (?:anything|it|that|them)(?: yet)?\s*[,;:.-]+ ?(?:only "
    r"|just |but )*"
    r"|(?:,|;|\.|:|-)? ?(?:but |and )?(?:do(?:n'?t| not) (?:start|run|do|launch|execute) (?:anything|it|that|them)[^:]*"
    r"|\bi'll .*|(?:run|start|do|launch) nothing(?: yet)?|without (?:executing|running|starting|launching)(?: it"
    r"| anything| them| that)?|dry run)\s*[:,;-]?"
)
_NOUN_OF_WORK = r"(?:the )?(?:task|job)(?= ⟦| ')"
_GOES = r"(?:go(?:ing)?|goes|run|land|end up|fit|belong|be run|be put|be done|be executed|be placed|fare|live|happen)"
_TAKES = (
    r"(?:use|pick|choose|run|take|handle|do|get|host|put|send|execute|give|start|place|recommend|suggest|prefer|have"
    r"|perform|deal with|cope with)"
)
_IS = r"(?:is|are|would be|should be|looks|seems|be|'s|'d be|was)"
_FITTING = (
    r"(?:most suitable|best suited|most suited|suited|best|ideal|optimal|right|fittest|free enough|good|free|used|fit"
    r"|free|suitable|better|least \w+|able)"
)
_WITH_ROOM = (
    r"(?:has|have|'s got|has got|got|'d have|would have|is with)?(?: got)? ?(?:the )?(?:spare|free|enough|most|some)?"
    r" ?(?:spare |free )?(?:capacity|room|space|headroom|cycles|resources|time|memory)(?: left)?"
)
_AFTER = (
    rf"(?:should|would|could|can|shall|ought to|ought|might|will|do|does|must|to)\b(?: (?:i|you|we|it|one|they"
    rf"|(?:the )?(?:scheduler|balancer|dgummy|tool))\b)?"
    rf"|(?:is|are) going to\b|{_IS}(?!\w)(?: the)?(?: {_FITTING})?(?: (?:one|choice|place|home"
    rf"|{ONE_MACHINE})\b)?|{_FITTING}\b"
    rf"|(?:it )?makes? (?:the )?most sense|{_WITH_ROOM}|(?:has|have|is there) room\b|suits?\b|fits?\b"
    rf"|(?:{_TAKES}|{_GOES})\b(?= |$)|(?:that|who|for|to|on|with|by|then|as to|about|where|which|what|i|you|we"
    rf"|it|them|they)\b"
    rf"|(?:{MACHINE}|one)\b(?= (?:for|to|should))"
)
_LAST = (
    r"(?:right now|now|today|at the moment|best|well|fastest|later|next|soon|please|pls|on it|there|"
    rf"(?:should|would|could|will|can|might)?(?: (?:i|we|you|it|they))?(?: best)? ?(?:{_GOES}"
    rf"|{_TAKES})(?: (?:best|them|it))?"
    r"|(?:should|would|could|will|can|might|so|go|to|on|for|and|then))"
)
_WOULD_IT_BE = re.compile(r"\b(?:would|should|could) (?:it|that|they) be\b")
_ARTICLES = re.compile(r"^(?:(?:a|an|the|this|that|my|our|some|running|doing)\s+)+", re.IGNORECASE)
_NO_TOPIC = re.compile(r"(?:is|it|this|that|them|one|these)", re.IGNORECASE)


def about_a_host(frame: Frame) -> Reading | None:
    """Which host should do something, None if that is not what a sentence asks."""
    whole = re.sub(_ASIDE, " ", frame.whole, flags=re.IGNORECASE).strip()
    found = _ASKED_FOR.search(whole)
    if found is None or not _CHOOSES.search(whole) or _TOLD_TO_START.search(whole[found.end() :]):
        return None
    if frame.place.hosts or _OTHER_QUESTION.search(whole[:60]) or _OTHER_THING.match(whole, found.end()):
        return None
    topic = topic_of(whole[found.end() :], whole[: found.start()])
    if topic is not None and _WHERE_KEPT.search(whole) and _KEPT.search(topic):
        return None
    return frame.reading(Intent.WHICH_HOST, topic)


def topic_of(behind: str, before: str = "") -> str | None:
    """The work that the question is about, of what stands before the words that ask for a host, and behind them."""
    before = _stripped(before, rf"^(?:{_BEFORE}|the |a |an |this |that |my |our )", rf"(?:^|\s)(?:{_LAST}|if)$")
    behind = _stripped(behind, rf"^(?:{_AFTER}|{_NOUN_OF_WORK})\s*", rf"(?:^|\s){_LAST}$")
    for text in (behind, before):
        topic = tidy(_ARTICLES.sub("", _ASKED_FOR.sub("", _WOULD_IT_BE.sub("", text))))
        if topic and not _NO_TOPIC.fullmatch(topic):
            return topic
    return None


def _stripped(text: str, head: str, tail: str) -> str:
    was = None
    text = text.strip(" ,.;:!?-")
    while was != text:
        was = text
        text = re.sub(head, "", text, count=1, flags=re.IGNORECASE).strip(" ,.;:!?-")
        text = re.sub(tail, "", text, count=1, flags=re.IGNORECASE).strip(" ,.;:!?-")
    return text
