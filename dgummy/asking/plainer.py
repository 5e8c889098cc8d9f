"""Roundabout sentences put plainly: `node-1 should be the one to run X` as `run X on node-1`. Pure.

Rules are tried in order, each once; what none of them knows stays as it is. Hosts and quotes are marks by then (see
`sentence`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dgummy.asking.courtesies import RULES as COURTESIES
from dgummy.asking.staying import RULES as STAYING
from dgummy.asking.syncing import RULES as SYNCING
from dgummy.asking.tasktext import PROGRAMS, VERBS
from dgummy.asking.terms import BEST, EVERY, GOING, HOSTS, MACHINE, MODAL, ONE_MACHINE, RUN_THERE, SYNC_THERE, THERE

_TASK_VERBS = "|".join(sorted(VERBS - {"show", "check", "open", "time", "test", "watch", "track"}))

_PROGRAMS = "|".join(sorted(re.escape(name) for name in PROGRAMS))

_RULES: tuple[tuple[str, str], ...] = (
    (r"^(?:sync|rsync|synchroni[sz]e) @where@[.!]*$", r"sync to \g<where>"),
    (r"^(?:can|could|will|would) @where@ please (?P<rest>.+?)\??$", THERE),
    (
        r"^(?:once|when|after) (?:the |my |our )?(?:code|project|repo|changes) (?:is|are) synced (?:to|on"
        r"|with) @where@, (?P<rest>.+)$",
        SYNC_THERE,
    ),
    (r"^(?:i(?:'d| would)? (?:want|like|need)) (⟦[qc]\d+⟧) (?:run|executed) (?P<where>.+)$", r"run \1 \g<where>"),
    (
        r"^(?:log|get|go|connect|hop|jump|switch|head|move|ssh)(?: over)? (?:in ?to|on to|onto|into|in to|to"
        r"|on) @where@(?:,| and)+ (?P<rest>.+)$",
        THERE,
    ),
    # Here.
    # The best one.
    (r"^load[- ]balance (?:this|it|that)(?: one| task)?(?: for me)?\s*[:,-]\s*(.+)$", r"\1 on the best host"),
    (
        r"[,;.\s-]*\b(?:(?<!which )(?<!what )(?:you|dgummy|the scheduler) (?:choose|pick|decide|can choose"
        r"|can pick)|let (?:the scheduler|it|dgummy|the tool) (?:decide|choose|pick))"
        r"(?: (?:the |a )?(?:host|node|machine|where|which|which one))*(?=[.!,;]|$)",
        " on the best host",
    ),
    (
        rf"\b(?:the |whatever |whichever |a |any )?{ONE_MACHINE} (?:which|that|who) (?:has|is)"
        r" (?:currently |now )?(?:the )?(?:least|most|lowest|fewest|free|idle|quiet|not busy|n't busy)"
        r"(?: (?:to do|spare|unused|loaded|busy|free|idle|memory|room|load|headroom|work|cpu|ram|capacity|jobs|used"
        r"|available))*",
        "the best host",
    ),
    (
        rf"\b(?:any|a|some|whatever|whichever) {ONE_MACHINE} (?:that|which) (?:is not|isn'?t"
        r"|is n't) (?:\w+ )?(?:busy|loaded|in use)",
        "the best host",
    ),
    (
        rf"\b(?:the |whatever |whichever |a |any )?{ONE_MACHINE}s? (?:with|that has|which has|having"
        r"|of) (?:the )?(?:\w{3,}est|best|most|least|minimum|minimal)"
        r" (?:cpu |current |free |spare |available )*(?:headroom|load avg|load average|load|room|capacity"
        r"|cpu|memory|ram|work|usage|utili[sz]ation|score|resources|jobs|runs)"
        r"(?: (?:available|free|on it|right now|now))?",
        "the best host",
    ),
    (
        rf"\b(?:on |to |onto |with |use |pick )?(?:whichever|whatever|wherever)(?! (?:hosts|nodes|machines|boxes"
        rf"|servers|ones)\b)(?: (?:{ONE_MACHINE}"
        r"|one)s?)?(?:'s| is| has| looks| seems| happens to be| that is| that'?s| are| you think is)"
        r" (?:currently |the )?(?:least|most|free|idle|best|available|quiet|room|lowest|not|sitting|bored"
        r"|freest|idlest|optimal|suited|suitable|doing nothing)\b"
        r"(?: (?:loaded|busy|used|free|idle|available|room|load|headroom|suited|suitable|idle|capacity"
        r"|idling|doing much|memory|cpu|ram|to do))*(?: (?:right now|now|at the moment|for it))?",
        "on the best host",
    ),
    (
        r"\b(?:on |to |onto |with |use |pick )?(?:whichever|whatever|wherever|whoever)\b(?! (?:hosts|nodes"
        r"|machines|boxes|servers|ones)\b)(?![^,;:.]*\b(?:them"
        r"|each|they)\b)[^,;:.]{0,40}?\b(?:(?:qui|id|fre|fast|low|small|strong|calm|empti)\w*e(?:st|test)|least|free"
        r"|idle|quiet|room|capacity|available|bored)\b(?: (?:loaded|busy|used|free|idle|available|room|load"
        r"|headroom|memory|cpu"
        r"|ram|capacity|work|right now|now|at the moment))*",
        " on the best host",
    ),
    (
        rf"^(?:who|which)ever (?:{ONE_MACHINE} )?(?:has|is) [^,;.]*? (?:gets|should get|takes|should take"
        r"|does|should do|can have|can take) (.+)$",
        r"run \1 on the best host",
    ),
    (
        r"^(?:find|pick|choose|get|take|grab|select|identify|determine|see|work out|figure out|look up"
        r"|check)(?: me| out| us)? (?:a good|a|an"
        rf"|the|which|whatever|any|whichever|what)?\s?(?:{ONE_MACHINE} )?[^,;.]{{0,60}}?"
        rf"(?:{ONE_MACHINE}|least to do|least|best|optimal|ideal|free|idle|one|is quiet|load"
        r"|most room)(?: is)?(?: yourself)?(?: for (?:me|this|it|that))?(?:,? and(?: then)?|,? then|;|,) (?:have it "
        r"|let it |make it |use it to |use that to |use it for )?"
        r"(.+?)(?: (?:on it|there|with it|on that one|on that))?$",
        r"\1 on the best host",
    ),
    (
        r"^(?:to )?on the best host,? (?:(?:should|must|gets to|can|ought to)(?: be the one to)?|let it"
        r"|have it|make it|and|then)+ (.+)$",
        r"\1 on the best host",
    ),
    (r"^on the best host (?:gets|takes|does) (.+)$", r"run \1 on the best host"),
    (r"^(?:let|have|make|get) everywhere (?:do |run )?(?P<rest>.+)$", r"run \g<rest> everywhere"),
    (rf"^(?P<where>(?:on|across|over) {EVERY}),? (?P<rest>(?!and\b|but\b)\w+ [^,]+)$", r"\g<rest> \g<where>"),
    (rf"^everywhere,? {MODAL}(?: please)? (?P<rest>.+)$", r"\g<rest> everywhere"),
    (rf"^(?P<where>{EVERY})(?:,? (?:please|pls|plz))?\s*:\s*(?P<rest>.+)$", THERE),
    (
        r"^(?:let|have|get|ask|make|use) (?:on )?the best host,? (?:to |and )?(?P<rest>.+)$",
        r"\g<rest> on the best host",
    ),
    # Who is to do it.
    (
        r"^(?:would|could|can|will) @where@ (?:please )?be so (?:kind|good) as to (?P<rest>.+)$",
        THERE,
    ),
    (r"^for @where@\s*:\s*(?P<rest>.+)$", THERE),
    (r"^sync and (?:let|have|get|make) @where@ (?:to )?(?P<rest>.+)$", SYNC_THERE),
    (
        r"^(?:an? |the )?(?:task|job|work|todo|something|next|next up|next one"
        r"|up next),?(?: for)? @where@\s*[:,-]+\s*(?P<rest>.+)$",
        THERE,
    ),
    (
        r"^(?:have|let|get|ask|tell|make|i(?:'d| would)? (?:want|need|like)) (?:the |a |an "
        r"|my )?(?:[\w-]+ )?(?:specialist|agent"
        r"|gummy) on @where@ (?:to )?(?P<rest>.+)$",
        THERE,
    ),
    (
        rf"^(?:(?:i(?:'d| would)? prefer|i(?:'d| would) (?:go with|go for|use|take|pick)|let'?s (?:go with|take"
        rf"|use|pick)"
        rf"|go with|use|take)|(?:pick|choose|select) (?={HOSTS})) @where@(?: as (?:the |a |my )?(?:host|machine"
        rf"|node|target|one))?(?: for(?! me\b)"
        r"| to|,| and|:)+ (?P<rest>.+)$",
        THERE,
    ),
    (
        r"^(?P<rest>[^,;:]+?) (?:belongs|goes|should go|must go|ought to go|has to go|needs to go|is best (?:done|run))"
        r" (?:on|to|onto|over to|with) @where@[.!]?$",
        RUN_THERE,
    ),
    (
        rf"^@where@ is (?:the |my )(?:\w+ )?(?:place|host|one|machine|node) (?:for|to (?:do|run|handle)"
        rf"|to|(?:that|which|who) {MODAL}) (?P<rest>.+)$",
        RUN_THERE,
    ),
    (r"^leave (?P<rest>[^,;:]+?) to @where@[.!]?$", RUN_THERE),
    (r"^(?:a |an |the )?(?:gummy|agent) on @where@\s*[,:-]+\s*(?P<rest>.+)$", THERE),
    (
        r"^(?:run|start|launch|get|put|have) (?:a |an |the )?(?:gummy(?: agent)?|agent|specialist) on @where@"
        r" (?:that|which|who|and (?:have|let|make) it) (?P<rest>.+)$",
        THERE,
    ),
    (
        r"^(?:only|nobody but|no one but|none but) @where@ (?:may|should|can|must|shall|is to|ought to"
        r"|will) (?P<rest>.+)$",
        THERE,
    ),
    (
        r"^(?:make sure|ensure|see(?: to it)?)(?: that)? @where@ (?:(?:runs|does|executes|performs) (?P<rest>.+)"
        r"|(?P<more>(?!has\b|is\b|gets\b)\w+s (?:the|my|our|a|an|all|some|every) .+))$",
        r"\g<rest>\g<more> on \g<where>",
    ),
    (
        r"^(?:since|because|as|now that|given that|seeing that) @where@ (?:is|has|looks|isn'?t"
        r"|seems)[^,;]*, (?:so |then )?"
        r"(?P<rest>.+?)(?: there| on it)?$",
        THERE,
    ),
    (rf"^(⟦h\d+⟧),? (?=(?:{_TASK_VERBS})\b)", r"\1: "),
    (r"^(⟦h\d+⟧)\s+-+\s+(?=\w)", r"\1: "),
    (r"^@where@,? (?:can|could|will|would) you (?:please )?(?P<rest>.+?)\??$", THERE),
    (r"^(?:put|set) @where@ on(?: to)? (?P<rest>(?!fire\b|hold\b).+)$", RUN_THERE),
    (
        rf"^(?P<where>{EVERY}),? (?P<but>(?:except|but|bar|apart from|other than"
        rf"|excluding)(?: for)? {HOSTS}),? {MODAL} (?P<rest>.+)$",
        r"\g<rest> on \g<where> \g<but>",
    ),
    (r"^(?:forget|ignore|never mind) (?:about )?[^,;]*[,;] *", ""),
    (r"^(⟦h\d+⟧)\s*(?:->|=>|→)\s*", r"\1: "),
    (r"\s*\((?:on )?(⟦h\d+⟧)\)\s*$", r" on \1"),
    (r"^@where@,? please (?P<rest>.+)$", THERE),
    (
        rf"^(?P<where>{HOSTS}) (?:has|is|isn'?t|looks|does(?:n'?t)?)\b[^,;]*[,;] (?:so |then )?(?:have it "
        r"|let it |please )?(?P<rest>(?!is\b|what|why|does|can\b|are\b).+?)(?: there| on it)?$",
        THERE,
    ),
    (
        r"^(?:can|could|will|would) @where@ (?:please )?(?:all |both )?(?:take care of|take on|look after"
        r"|deal with|do|run"
        r"|execute|start)(?: with)? (?P<rest>.+?)\??$",
        RUN_THERE,
    ),
    (
        r"^(?:have|let|make|get) @where@ (?:do|run|execute) (?:a |the )?(?P<rest>⟦[qc]\d+⟧)[.!]?$",
        RUN_THERE,
    ),
    (
        r"^(?:it would be (?:\w+ )*if )?(?:the )?(?P<rest>[^,;]+?) (?:could|can|should|might|may"
        r"|to) be (?:executed|run|done|performed|started|carried out|handled) (?P<where>on .+)$",
        r"run \g<rest> \g<where>",
    ),
    (rf"^@where@,? {MODAL}(?: probably| please)? (?:be the ones? to )?(?P<rest>.+)$", THERE),
    (
        r"^@where@ (?:is|are) where (?:i|we)(?:'d| would)? (?:want|like|need) (?P<rest>.+?)(?: to (?:run|go"
        r"|happen|be run|be done|take place))?[.]?$",
        RUN_THERE,
    ),
    (r"^(?:it'?s )?@where@'?s? turn (?:to|for) (?P<rest>.+)$", THERE),
    (
        r"^(?:i(?:'d| would)? (?:want|like|need) |let'?s )?(?:have|let|make|get|tell|ask|instruct"
        r"|want) @where@,? (?:to |please )*(?P<rest>.+)$",
        THERE,
    ),
    (r"^(?:i(?:'d| would)? (?:want|like|need)) @where@ (?:to |for )(?P<rest>.+)$", THERE),
    (r"^(?:give|hand|assign) @where@ (?P<rest>(?!a try).+)$", RUN_THERE),
    (r"^@where@ (?:gets|takes?|does|handles?|runs|do|run) (?!not\b)(?P<rest>.+)$", RUN_THERE),
    (
        r"[,;]? (?:and |but )?(?:do(?:n'?t| not)|never) (?:use|touch|pick|take) (?:any(?:thing"
        rf"|where)?(?: {MACHINE})?(?: else)?) ?(?:but|other than|except|apart from|besides) @where@",
        r" on \g<where>",
    ),
    (r"(?<!but )\bonly (?:on|use) @where@", r"on \g<where>"),
    (r"\bon @where@ only\b", r"on \g<where>"),
    (
        r"^(?:i want|i need|i'd like|show me|get me|give me|tell me|get|see|print|check)(?: to see"
        r"| to know)? (?:the )?(?:output|result|results) of (?P<rest>⟦[qc]\d+⟧) (?:from|on|of|for|at"
        r"|across) (?:the )?(?P<where>.+)$",
        RUN_THERE,
    ),
    (
        rf"^(?:show(?: me)?|get(?: me)?|give me|see|print|i(?:'d| would)? (?:want|need|like)) (?:the )?(?:output"
        rf"|results?) of"
        rf" (?=(?:{_PROGRAMS})\b)",
        "run ",
    ),
    (
        r"^what (?:does|would|do|will) (⟦[qc]\d+⟧) (?:say|print|show|return|report|give|output"
        r"|tell)(?: me)? (on|for|at|across|everywhere)\b",
        r"run \1 \2",
    ),
    (r"^(⟦[qc]\d+⟧)\s*[,-]+\s*(?P<where>@place@)[.!]?$", r"run \1 on \g<where>"),
    (rf"^(?P<where>{HOSTS}|@group@) for (?P<rest>.+)$", RUN_THERE),
    (
        r"^(?:put|set|get) @where@ (?:to work|working|going|busy)(?: on| with)? (?P<rest>.+)$",
        RUN_THERE,
    ),
    # Everywhere.
    (
        r"^not (?:on )?(⟦h\d+⟧),? but (?:on )?(?:all|every|each)(?: of)?(?: the| my)? (?:others?|rest"
        r"|other \w+)\s*[:,]\s*(.+)$",
        r"\2 everywhere except \1",
    ),
    (
        r"\bon (?:everything|every ?one|all of (?:them|it)|each(?: one)?(?: of them)?|the lot|all)(?=[.,;!]"
        r"|\s*$|\s+(?:except|but|bar|and|at once|please|if|in))",
        "everywhere",
    ),
    (
        r"^(?:i need to know (?:if|whether|that)? ?)?(?:the )?(.+?) (?:pass(?:es)?|works?|runs?|builds?"
        rf"|are green|is green) (?:on (?:every|all) platforms?|everywhere), so ({GOING}) (?:them"
        r"|it) (?:everywhere|there).*$",
        r"\2 \1 everywhere",
    ),
    (
        r"^does (.+?) (?:work|pass|run|build) on (?:all|every) platforms?\?? *[,;-]* *(?:please )?(?:run|try"
        r"|test) (?:it|them) (?:everywhere|there).*$",
        r"run \1 everywhere",
    ),
)
_SEVERAL: tuple[tuple[str, str], ...] = (
    (
        r"^let (?:the )?(?:balancer|scheduler|dgummy|it) (?:place|spread|schedule|distribute|assign"
        r"|put)(?: both)? (.+)$",
        r"distribute: \1",
    ),
    (
        r"^(?:place|put|assign|schedule|send|run) these (?:on|to|onto) (?:the )?(?:right|best|suitable"
        rf"|optimal) {MACHINE}\s*:\s*",
        "distribute: ",
    ),
    (r"^(?:spread|split|balance|share|divide) the load\s*:\s*", "distribute: "),
    (
        rf"\b(?:one|another|the other|a second|a third)(?: {ONE_MACHINE}| one)? (?:does|should do|takes"
        r"|handles|gets|can do|should take|for) ",
        "",
    ),
    (r"^there(?:'s| is| are) (?:some )?(.+?) (?:to do|to be done|waiting|on my list|left|pending)\b", r"\1"),
)
"""`@place@` stands for any place, `@where@` for one that is put behind `on`, `@group@` for a group of hosts."""


def _rules(groups: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The rules with the names of groups put in."""
    any_of = "|".join(re.escape(group) for group in groups) or r"(?!)"
    group = (
        rf"(?:(?:all |every |each )?(?:of )?(?:the |my )?(?:group (?:{any_of})\b|{MACHINE} (?:in|of"
        rf"|from) (?:the )?(?:group )?(?:{any_of})(?: group)?\b|(?:{any_of})(?: group| {MACHINE})))"
    )
    place = rf"(?:{HOSTS}(?: only| itself)?|{group}|{EVERY}|{BEST}|everyone|everything)"
    for pattern, plain in (*SYNCING, *_RULES, *_SEVERAL):
        named = pattern.replace("@where@", rf"(?P<where>{place})")
        yield named.replace("@place@", place).replace("@group@", group), plain


_BREAK = re.compile(
    r"(?<=[.;:!?])\s+|\s+-{1,2}\s+|,\s+(?:so|then|but)\s+|,\s+(?=(?:can|could|would|will) you\b|please\b"
    r"|just\b|have\b|let\b|use\b|wait\b|run\b|throw\b|do\b|put\b|fix\b|what\b|which\b|where\b|is it\b)"
    r"|\s+so (?=just\b|please\b|can\b|could\b)"
)
_REMARK = re.compile(
    r"^(?:i|we|you|it|he|she|they|there|that|this|those|my|our|the|fans?|since|because|as(?! soon| long)"
    r"|forget|ignore|to be|no|not|sorry)\b"
    r"(?:.*?\b(?:is|are|was|were|am|'m|'re|'s|feels?|looks?|sounds?|seems?|has|think|know|got|getting|go"
    r"|safe|others|rest|remote|kick|started|melts?|dies|keeps?|on battery)\b|'m |'re |'s )",
    re.IGNORECASE,
)
_LEANS_BACK = re.compile(r"\b(?:it|its|them|that|this|there|those|these|each|both)\b", re.IGNORECASE)


def without_remarks(text: str) -> str:
    """Without clauses that ask for nothing, where another one does; kept where what follows leans back on them."""
    clauses = _BREAK.split(text)
    while len(clauses) > 1:
        first, then = clauses[0], clauses[1]
        remark = _REMARK.match(first) is not None and not re.search(
            r"⟦[hu]\d*⟧|\b(?:tasks?|jobs?|things|todo|run|runs)\b", first, re.IGNORECASE
        )
        if not remark or _LEANS_BACK.search(re.split(r"\b(?:on|using|at)\b", then)[0]):
            break
        clauses = clauses[1:]
        text = text[text.index(clauses[0]) :]
    return text


def plainly(text: str, groups: Iterable[str]) -> str:
    """Put a marked sentence without remarks plainly."""
    for pattern, plain in (*COURTESIES, *STAYING, *_rules(groups)):
        before = text
        text = re.sub(pattern, plain, text, count=1, flags=re.IGNORECASE).strip()
        if not text:
            return before
    text = re.sub(r"⟪([^⟫]+)⟫", r" on \1", text).replace("⟪⟫", "")
    return text if len(text) == 1 else text.strip()
