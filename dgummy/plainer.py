"""Roundabout sentences put plainly: `node-1 should be the one to run X` as `run X on node-1`. Pure.

Rules are tried in order, each once; what none of them knows stays as it is. Hosts and quotes are marks by then (`sentence`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MACHINE = (
    r"(?:hosts?|nodes?|machines?|box(?:es)?|servers?|computers?|workers?|platforms?"
    r"|(?:execution )?targets?|instances?)"
)
ONE_MACHINE = r"(?:host|node|machine|box|server|computer|worker|(?:execution )?target|instance|one)"
CLUSTER = r"(?:cluster|network|fleet|tailnet|farm|pool)"
HOST = r"(?:the )?⟦[hu]\d*⟧"
HOSTS = rf"(?:both |either )?{HOST}(?:(?:, and | and |, | or |/| \+ | & | plus ){HOST})*"
_EVERY = (
    r"(?:(?:all|every|each)(?: single| one)?(?: of)?(?: the| my| our| these)?(?: (?:available|remote"
    rf"|other|online|idle|build|tailscale))* {MACHINE})"
)
_BEST = (
    r"(?:the )?(?:least[- ](?:loaded|busy|used)|best|optimal|freest|idlest|quietest)(?: available"
    rf"| free)? {ONE_MACHINE}"
)
_MODAL = r"(?:should|must|shall|ought to|is to|needs to|has to|have to|gets to|can|could|will|would|might)"
_CODE = (
    r"(?:(?:my|the|this|that|our|all|all of|local|current|whole|latest|new|newest|recent|own|working"
    r"|uncommitted|dirty) )*"
    r"(?:codebase|code base|code|project|repo(?:sitory)?|changes|everything|it|them|files?|sources?"
    r"|(?:working )?tree|working copy"
    r"|work(?:space)?|folder|directory|dir|app|checkout|edits|branch|stuff|state)"
)
_THEN = r"(?:\s*[,;&+.]+\s*(?:and |then )*|\s+(?:and|then|before)\s+(?:then )?|\s+'?n'?\s+)"
_GOING = (
    r"(?:run(?:ning)?|do(?:ing)?|start(?:ing)?|execut(?:e|ing)|launch(?:ing)?|kick(?:ing)? off|fir(?:e"
    r"|ing) off|hav(?:e|ing))"
)


def _rules(groups: Iterable[str]) -> list[tuple[str, str]]:
    any_of = "|".join(re.escape(group) for group in groups) or r"(?!)"
    group = rf"(?:(?:all |every |each )?(?:of )?(?:the |my )?(?:{any_of})(?: group| {MACHINE}))"
    place = rf"(?:{HOSTS}(?: only| itself)?|{group}|{_EVERY}|{_BEST}|everyone|everything)"
    where = rf"(?P<where>{place})"
    return [
        # Courtesies and remarks, before and after.
        (
            r"^(?:(?:oops|hmm+|well|alright|right|so|yo|morning|good morning|cheers|just curious|quick (?:one"
            r"|question)|no rush|fyi|ok(?:ay)?"
            r"|hey(?: there)?|hi(?: there)?|hello(?: there)?|listen|look|ah|oh|um+|please|real quick|actually"
            r"|anyway)\b\s*[,!.:-]?\s*)+",
            "",
        ),
        (
            r"^(?:i was wondering if|i wonder if|(?:it|that)(?:'d| would| will)? be (?:very |really "
            r"|so )?(?:great|nice|good|lovely|cool|helpful|wonderful) if"
            r"|i(?:'d| would) (?:appreciate it|be grateful|be happy|love it|like it|be glad) if"
            r"|(?:is there )?any (?:chance|way)(?: that)?"
            r"|do you think|would it be possible (?:for|that|to)|is it possible (?:for|that|to))\s+",
            "",
        ),
        (
            r"^(?:(?:could|would|can|will) )?you (?:could |can |would |please |might )*(?:be so (?:kind"
            r"|good) (?:as )?to |kindly )?(?!mind\b|reach|be\b|should\b|['r])",
            "",
        ),
        (
            r"^(?:you'?re to|you are to|your (?:task|job) is to|the (?:task|job) is to|the user (?:wants|wishes"
            r"|would like)(?: you)? to) ",
            "",
        ),
        (r"^(?:please )?be so (?:kind|good) (?:as )?to ", ""),
        (
            r"^(?:i(?:'d| would)? (?:want|like|need) )(?:the |to have the )?(.+?) (run|done|executed|performed"
            r"|started|tested|fixed|cleaned up|updated|removed|rewritten|split(?: .+?)?|rebuilt|extended"
            r"|validated(?: \w+)?),? (on|everywhere|at) ",
            r"run \1 \2 \3 ",
        ),
        (
            r"^(?:my (?:todo|to-do|list|plan)(?: today| now)? is (?:to )?|i'?m (?:trying|looking|hoping) to "
            r"|i have to |i must )",
            "",
        ),
        (r"^(?:i(?:'ve| have) )?(?:no idea|not sure|don'?t know|i don'?t know) (?:which|what|where)[^,;]*[,;-]+ *", ""),
        (r"^what (?:i|we) (?:need|want|would like) is ", "i need "),
        (r"^i (?:don'?t|do not) (?:care|mind) (?:where|which|what)[^,;.:-]*[,;.:-]+ *(?:just )?", ""),
        (
            r"^i'?(?:ve| have) (?:just )?(?:edited|changed|updated|pushed|committed|modified|fixed|finished"
            r"|made)\b[^;,.]*[;,.] *(?:so |now |please )*",
            "",
        ),
        (r"^[^,.;:]{8,80}(?:,|;|\.| -) ?so (?:please |now |just |could you |can you )*(?=\w)", ""),
        (
            r"(?:\s*[,.;(-]+\s*(?:and |but )?|\s+(?:and |but ))(?:nothing else|that'?s (?:all|it)|no more"
            r"|do(?:n'?t| not) (?:start|run|do|launch|execute) anything"
            r"(?: yet| else)?|i'?ll [^,;]*|thanks[^,;]*|thank you[^,;]*|thx|cheers|ta|no hurry|no rush"
            r"|nothing more|if (?:at all )?possible|when(?:ever)? you can)\)?[.!]*$",
            "",
        ),
        (
            r"[,\s]*\b(?:if you (?:please|don'?t mind|can|could|would|want|like)|without (?:involving|bothering"
            r"|touching|using) (?:the |any )?(?:others?|other \w+|rest)"
            r"|at the moment|for the moment|right away|at your convenience|when you get (?:a chance|to it)"
            r"|as soon as (?:possible|you can)|for me|once more)\b[.!?]*$",
            "",
        ),
        (r"\s*(?:->|=>|→)\s*(?=⟦h)", " on "),
        (r"\b(?:fleet|cluster|network)[- ]?wide\b:?", "everywhere "),
        (r"(\b(?:spread|share|farm|hand|split|divide|balance|distribute)) 'em\b", r"\1 them"),
        (r"\bi mean,? (?=on |everywhere)", ""),
        (r"\b(?:platforms?|machines?|hosts?|nodes?|boxes) (?:that )?we (?:have|own|support)\b", "platforms"),
        (r"\bwith the exception of\b", "except"),
        (r"\beach and every\b", "every"),
        (r"\bal (?=nodes|hosts|machines|boxes)", "all "),
        (rf"\b(?:on|across) this very {ONE_MACHINE}\b", "here"),
        (r"\bstart(?:ing)? up\b", "start"),
        (
            rf"\b(?:the best {ONE_MACHINE}|the best one) (?:we'?ve got|we have|there is|i have|available)\b",
            "the best host",
        ),
        (
            r"\b(?:put|run|send|place|start|do) (?:them|these|those|both|all of them) (?:on|to|onto"
            rf"|across) (?:the |my )?(?:best|right|optimal|suitable|freest|idlest) {MACHINE}",
            "distribute them",
        ),
        (
            r"\b(?:(?:on|across|over|throughout|in|to) )?(?:the |my |our )?(?:whole|entire|full) (?:fleet"
            r"|cluster|network)\b",
            "everywhere",
        ),
        (r"\b(on|at) all (our|my|the) (machines|hosts|nodes|boxes|computers)\b", r"on all \2 \3"),
        (rf"\b(every|each|all)( \w+)? ((?:{ONE_MACHINE})s?) in (?:the |my |our )?{CLUSTER}\b", r"\1 \3"),
        (r"\b(?:subsequently|afterwards|after that|thereafter|following that)\b,?", ""),
        (r"^(?:delegate|hand|give|assign) (?:over )?to (.+?) the (?:task|job|work) of (.+)$", r"run \2 on \1"),
        (
            r"\b(?:throw|stick|shove|plonk|chuck|bung|issue|spawn) (?=.+\b(?:on|at|onto|from)\b)",
            "run ",
        ),
        (
            r"^(run (?:(?!\b(?:on|apart|everywhere|to)\b).)+?) (?:at|from) (?=the best|⟦h|the least|every|all)",
            r"\1 on ",
        ),
        (r"\brun (?:a |an )?(?:gummy[- ]agent|gummy|agent|specialist) (on .+?) (?:for|to) (.+)$", r"run \2 \1"),
        (
            r"^(?:the following command|this command|the command) (?:shall|should|must|is to"
            r"|has to) be (?:executed|run) (.+?)\s*:\s*(.+)$",
            r"run the command \2 \1",
        ),
        (r"^it is (?:requested|desired|required|asked) that (?:the )?(.+?) be (\w+) (on .+)$", r"run \2 \1 \3"),
        (r"^(?:to be safe|just in case|if possible|when possible|first of all|before lunch),? ", ""),
        (r"^same (?:task|thing|job|work) (on .+?)\s*[:,-]\s*(.+)$", r"run \2 \1"),
        (
            r"\b(?:on|to|onto|at|with|use) (?:a|an|any|some) (?:spare |free |idle |good |unused |quiet "
            rf"|available |suitable )*(?:{ONE_MACHINE})(?: with spare \w+| with (?:some )?(?:room"
            r"|capacity))?(?: instead)?(?=[\s.,;!?]|$)",
            "on the best host",
        ),
        (r"\bwhere(?:ver)? (?:the )?(?:load|usage) is (?:the )?(?:lowest|least|smallest)", "on the best host"),
        (rf"\bon (?:the )?(?:present|current) {ONE_MACHINE}(?: only)?", "here"),
        (r",? ?\b(?:nowhere else|and nowhere else)\b", ""),
        (r"^(?:no remote|not remote|without remote)[^,;:]*[,;:] *(.+?)(?: here)?$", r"\1 here"),
        (r"\b(?:please )?(?:do|run) it (here|locally)\s*[:,]\s*(.+)$", r"\2 here"),
        (
            r",? ⟦h(\d+)⟧ (?:can|should|could|will|must) (?:do|take|have|handle|run) (?:it|that|this)(?: one)?$",
            r" on ⟦h\1⟧",
        ),
        (r"^(⟦h\d+⟧),? (?:you'?re up|your turn|go|please|do this|over to you|this is for you)\s*[:,;!-]?\s*", r"\1: "),
        (r"^(?:you,? )?(?:do |make )?a sync (?:to|with|on) ", "sync to "),
        (r"\bssh(?:ing)? (?:in ?to|into|to|in to) (⟦h\d+⟧)(?:,| and| then|;)+\s*(.+)$", r"\2 on \1"),
        (r"^ssh (⟦h\d+⟧) (?!and\b|then\b)(.+)$", r"run the command \2 on \1"),
        (r"\b(?:divvy|divide|carve|split|farm|share|deal|fan|hand)s? (?:up|out) ", "distribute "),
        (r"\bon (?:the )?(?:host|node|machine|box) (?=⟦h)", "on "),
        (r"\b(?:execute|run|perform|do|start) (?:the )?following (?:task|job|work)\b(.*?)\s*:\s*", r"run\1 "),
        (r"\b(?:execute|run|perform) (?:the )?following (?:shell )?command\b(.*?)\s*:\s*", r"run\1 the command "),
        (r"\b(?:perform|execute|run|do) (?:the )?task (?=⟦q)", "run "),
        (r"\bover on (?=⟦|the\b|my\b|all\b)|\bover at (?=⟦)|\s@\s*(?=⟦)", " on "),
        (r"\b(?:out|off|over|up|down|across|along) (?:to|onto|on) (?=⟦|the\b|my\b|all\b|every|each)", "to "),
        (r"\b(kick|fire|spin|start|boot) (?!off|up)([^,;.]{3,60}?) (?:off|up)\b(?=\s|$)", r"start \2"),
        (
            rf"\b((?:all|every|each)(?: of)?(?: the| my| our)? {MACHINE})(?: that)? (?:i|we)(?:'ve)? (?:own|have"
            r"|got|run)\b",
            r"\1",
        ),
        (
            r"\b(?:once|when|after|as soon as) (?:that'?s|that is|it'?s|it is|this is) (?:done|there|finished"
            r"|over|synced),? ",
            "",
        ),
        (
            r"(?:,| and|;| -)+ (?:then )?(?:please )?(?:(?:tell|let|show|give|send|inform|notify"
            r"|report)(?: it)?(?: to)?(?: me| us)?(?: know)?(?: back)?"
            r"(?: (?:if|whether|how|(?:the |its )?(?:results?|outcome|output)|what|when|once)\b.*)?)[.!]*$",
            "",
        ),
        (r"\b(?:run|start|launch) (?:gummy|a gummy task|an agent)(?: there| on it)?\s*:\s*", ""),
        # Here.
        (
            rf"^(?:keep|leave|hold) (?:it|this|that)(?: one)? (?:on|in) (?:this|my) (?:own )?(?:{ONE_MACHINE}"
            r"|laptop|desktop)\s*[:;,.-]+\s*(.+)$",
            r"\1 here",
        ),
        (
            r"^(?:no remote (?:hosts?|machines?)|nothing remote|keep (?:it|this|that"
            r"|everything)(?: one)? (?:local|here)|(?:do|run) (?:it|this|that) (?:locally|here)|stay local"
            r"|not remotely|locally)"
            r"\s*(?:please)?\s*[:;,.-]+\s*(.+)$",
            r"\1 here",
        ),
        (
            r"^(?:use|take) (?:my|this) (?:own )?(?:machine|laptop|computer|box)(?:, this one,)? (?:for|to) (.+)$",
            r"\1 here",
        ),
        (r"(?:,| -| \() ?local(?:ly)?\)?[.!]?$", " here"),
        (
            r"\bon my end\b|\bon this end\b|\bon my side\b|\bin this (?:very )?(?:folder|directory|checkout"
            r"|terminal|shell)\b",
            "here",
        ),
        # The best one.
        (r"^load[- ]balance (?:this|it|that)(?: one| task)?(?: for me)?\s*[:,-]\s*(.+)$", r"\1 on the best host"),
        (
            r"[,;.\s-]*\b(?:(?<!which )(?<!what )(?:you|dgummy|the scheduler) (?:choose|pick|decide|can choose"
            r"|can pick)|let (?:the scheduler|it|dgummy|the tool) (?:decide|choose|pick))"
            r"(?: (?:the |a )?(?:host|node|machine|where|which|which one))*(?=[.!,;]|$)",
            " on the best host",
        ),
        (
            rf"\b(?:the |whatever |whichever |a |any )?{ONE_MACHINE}s? (?:which|that|who) (?:has|have|is"
            r"|are) (?:currently |now )?(?:the )?(?:least|most|lowest|fewest|free|idle|quiet|not busy|n't busy)"
            r"(?: (?:to do|loaded|busy|free|idle|memory|room|load|headroom|work|cpu|ram|capacity|jobs|used"
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
            r"|of) (?:the )?(?:best|most|lowest|least|smallest|highest|minimum|minimal|fewest)"
            r" (?:cpu |current |free |spare |available )*(?:headroom|load avg|load average|load|room|capacity"
            r"|cpu|memory|ram|work|usage|utili[sz]ation|score|resources|jobs|runs)"
            r"(?: (?:available|free|on it|right now|now))?",
            "the best host",
        ),
        (
            rf"\b(?:on |to |onto |with |use |pick )?(?:whichever|whatever|wherever)(?: (?:{ONE_MACHINE}"
            r"|one)s?)?(?:'s| is| has| looks| seems| happens to be| that is| that'?s| are| you think is)"
            r" (?:currently |the )?(?:least|most|free|idle|best|available|quiet|room|lowest|not|sitting|bored"
            r"|freest|idlest|optimal|suited|suitable|doing nothing)"
            r"(?: (?:loaded|busy|used|free|idle|available|room|load|headroom|suited|suitable|idle|capacity"
            r"|idling|doing much|memory|cpu|ram|to do))*(?: (?:right now|now|at the moment|for it))?",
            "on the best host",
        ),
        (
            rf"^(?:who|which)ever (?:{ONE_MACHINE} )?(?:has|is) [^,;.]*? (?:gets|should get|takes|should take"
            r"|does|should do|can have|can take) (.+)$",
            r"run \1 on the best host",
        ),
        (
            r"^(?:find|pick|choose|get|take|grab|select|identify|determine|see)(?: me| out| us)? (?:a good|a|an"
            rf"|the|which|whatever|any|whichever|what)?\s?(?:{ONE_MACHINE} )?[^,;.]{{0,60}}?"
            rf"(?:{ONE_MACHINE}|least to do|least|best|free|idle|one|is quiet|load"
            r"|most room)(?: is)?(?: for (?:me|this|it|that))?(?:,? and(?: then)?|,? then|;|,) (?:have it "
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
        # Who is to do it.
        (r"(?:,| -) ?(⟦h\d+⟧)(?: please| pls| if possible)?[.!]*$", r" on \1"),
        (r"^(?:forget|ignore|never mind) (?:about )?[^,;]*[,;] *", ""),
        (r"^(⟦h\d+⟧)\s*(?:->|=>|→)\s*", r"\1: "),
        (r"\s*\((?:on )?(⟦h\d+⟧)\)\s*$", r" on \1"),
        (rf"^{where},? please (?P<rest>.+)$", r"\g<rest> on \g<where>"),
        (
            rf"^(?P<where>{HOSTS}) (?:has|is|isn'?t|looks|does(?:n'?t)?)\b[^,;]*[,;] (?:so |then )?(?:have it "
            r"|let it |please )?(?P<rest>(?!is\b|what|why|does|can\b|are\b).+?)(?: there| on it)?$",
            r"\g<rest> on \g<where>",
        ),
        (
            rf"^(?:can|could|will|would) {where} (?:please )?(?:take care of|take on|look after|deal with|do|run"
            r"|execute|start)(?: with)? (?P<rest>.+?)\??$",
            r"run \g<rest> on \g<where>",
        ),
        (
            rf"^(?:have|let|make|get) {where} (?:do|run|execute) (?:a |the )?(?P<rest>⟦[qc]\d+⟧)[.!]?$",
            r"run \g<rest> on \g<where>",
        ),
        (
            r"^(?:it would be (?:\w+ )*if )?(?:the )?(?P<rest>[^,;]+?) (?:could|can|should|might|may"
            r"|to) be (?:executed|run|done|performed|started|carried out|handled) (?P<where>on .+)$",
            r"run \g<rest> \g<where>",
        ),
        (rf"^{where},? {_MODAL}(?: probably| please)? (?:be the ones? to )?(?P<rest>.+)$", r"\g<rest> on \g<where>"),
        (
            rf"^{where} (?:is|are) where (?:i|we)(?:'d| would)? (?:want|like|need) (?P<rest>.+?)(?: to (?:run|go"
            r"|happen|be run|be done|take place))?[.]?$",
            r"run \g<rest> on \g<where>",
        ),
        (rf"^(?:it'?s )?{where}'?s? turn (?:to|for) (?P<rest>.+)$", r"\g<rest> on \g<where>"),
        (
            r"^(?:i(?:'d| would)? (?:want|like|need) )?(?:have|let|make|get|tell|ask|instruct"
            rf"|want) {where},? (?:to |please )*(?P<rest>.+)$",
            r"\g<rest> on \g<where>",
        ),
        (rf"^(?:i(?:'d| would)? (?:want|like|need)) {where} (?:to |for )(?P<rest>.+)$", r"\g<rest> on \g<where>"),
        (rf"^(?:give|hand|assign) {where} (?P<rest>(?!a try).+)$", r"run \g<rest> on \g<where>"),
        (rf"^{where} (?:gets|takes?|does|handles?|runs|do|run) (?P<rest>.+)$", r"run \g<rest> on \g<where>"),
        (
            r"[,;]? (?:and |but )?(?:do(?:n'?t| not)|never) (?:use|touch|pick|take) (?:any(?:thing"
            rf"|where)?(?: {MACHINE})?(?: else)?) ?(?:but|other than|except|apart from|besides) {where}",
            r" on \g<where>",
        ),
        (rf"\bonly (?:on|use) {where}", r"on \g<where>"),
        (rf"\bon {where} only\b", r"on \g<where>"),
        (
            r"^(?:i want|i need|i'd like|show me|get me|give me|tell me|get|see|print|check)(?: to see"
            r"| to know)? (?:the )?(?:output|result|results) of (?P<rest>⟦[qc]\d+⟧) (?:from|on|of|for|at"
            r"|across) (?:the )?(?P<where>.+)$",
            r"run \g<rest> on \g<where>",
        ),
        (
            r"^what (?:does|would|do|will) (⟦[qc]\d+⟧) (?:say|print|show|return|report|give|output"
            r"|tell)(?: me)? (on|for|at|across|everywhere)\b",
            r"run \1 \2",
        ),
        (rf"^(⟦[qc]\d+⟧)\s*[,-]+\s*(?P<where>{place})[.!]?$", r"run \1 on \g<where>"),
        (rf"^(?P<where>{HOSTS}|{group}) for (?P<rest>.+)$", r"run \g<rest> on \g<where>"),
        # Everywhere.
        (
            r"\bon (?:everything|every ?one|all of (?:them|it)|each(?: one)?(?: of them)?|the lot|all)(?=[.,;!]"
            r"|\s*$|\s+(?:except|but|bar|and|at once|please|if|in))",
            "everywhere",
        ),
        (
            r"^(?:i need to know (?:if|whether|that)? ?)?(?:the )?(.+?) (?:pass(?:es)?|works?|runs?|builds?"
            rf"|are green|is green) (?:on (?:every|all) platforms?|everywhere), so ({_GOING}) (?:them"
            r"|it) (?:everywhere|there).*$",
            r"\2 \1 everywhere",
        ),
        (
            r"^does (.+?) (?:work|pass|run|build) on (?:all|every) platforms?\?? *[,;-]* *(?:please )?(?:run|try"
            r"|test) (?:it|them) (?:everywhere|there).*$",
            r"run \1 everywhere",
        ),
        # Sync, then run.
        (
            rf"^(?:make sure|ensure|see to it)(?: that)? {where} (?:has|gets|have) {_CODE}{_THEN}(?P<rest>.+)$",
            r"sync and \g<rest> on \g<where>",
        ),
        (
            rf"^(?:make sure|ensure|see to it)(?: that)? {_CODE} (?:is|are|gets?) (?:synced|synchroni[sz]ed"
            rf"|copied|sent|pushed)(?: (?:to|on|onto|with) (?P<where>{place}|the best host))?"
            rf"(?:{_THEN}| (?:prior to|before) )(?:you )?(?P<rest>.+)$",
            r"sync and \g<rest>⟪\g<where>⟫",
        ),
        (rf"^sync {where}{_THEN}(?P<rest>.+)$", r"sync and \g<rest> on \g<where>"),
        (
            rf"^{where} needs? {_CODE}(?:{_THEN}(?:sync|copy|push|send) (?:it|them"
            rf"|that)(?: over)?)?{_THEN}(?P<rest>.+)$",
            r"sync and \g<rest> on \g<where>",
        ),
        (
            rf"^before (?:you )?(?:run|running|start|starting|do|doing) (?P<rest>.+?) on {where}[,;]? (?:please "
            r")?(?:bring|get|sync|push|copy|make sure|update|mirror)\b.*$",
            r"sync and run \g<rest> on \g<where>",
        ),
        (
            r"^(?:get|bring|mirror|ship|put|push|transfer|move|copy|upload|send|rsync|deploy|sync|synchroni[sz]e"
            rf"|publish|drop|beam)(?: (?:up|over|across))? {_CODE}"
            rf"(?: (?:up|over|across|out))?(?: (?:to|onto|on|with|into|at|for) (?P<where>{place}"
            rf"|the best host))?(?: first)?{_THEN}(?:(?:once|when|after) (?:that'?s|that is|it'?s|it is"
            r"|this is) (?:done|there|finished|over|synced),? |"
            r"afterwards,? |(?:have|let|make) it |use it to )*(?P<rest>.+)$",
            r"sync and \g<rest>⟪\g<where>⟫",
        ),
        (
            r"^(.+?) after (?:you )?(?:sync(?:ing|ed)?|a sync|pushing|copying)(?: (?:of )?(?:my|the|our"
            r"|this)? ?\w+)?(?: over)?[.]?$",
            r"sync and \1",
        ),
        (
            r"^(.+?)(?:,? (?:and|but)|[,;.]| -)? ?(?:please )?(?:(?:make sure|ensure)(?: that)? (?:you )?(?:it"
            r"|everything|the code|my code|the project|my changes)? ?(?:is|are|was|has been"
            r"|to)? ?(?:in )?sync(?:ed)?(?: first| beforehand)?"
            r"|(?:do a |with a )?(?:fresh )?sync(?:ing)?(?: (?:my|the|our|this)? ?\w+)?(?: over| up)? (?:first"
            r"|before(?:hand)?|beforehand|before that))[.!]?$",
            r"sync and \1",
        ),
        (
            r"^(?:with|after|following|do) (?:a |the )?(?:fresh |full |quick )?sync(?:ing)?(?: (?:of )?(?:my|the"
            r"|our)? ?\w+)?(?: beforehand| first| done)?[,;]+ (.+)$",
            r"sync and \1",
        ),
        (r"\bsync(?:ing)? ⟦q\d+⟧ (?=run\b)", "sync and "),
        (r"\bsync(?:hroni[sz]e)?\s*(?:'n'|n|&|\+)\s*(?=\w)", "sync and "),
        # Several.
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
        (r"^(?:spread|split|balance) the load\s*:\s*", "distribute: "),
        (
            rf"\b(?:one|another|the other|a second|a third)(?: {ONE_MACHINE}| one)? (?:does|should do|takes"
            r"|handles|gets|can do|should take|for) ",
            "",
        ),
        (r"^there(?:'s| is| are) (?:some )?(.+?) (?:to do|to be done|waiting|on my list|left|pending)\b", r"\1"),
    ]


_BREAK = re.compile(
    r"(?<=[.;:!?])\s+|\s+-{1,2}\s+|,\s+(?:so|then|but)\s+|,\s+(?=(?:can|could|would|will) you\b|please\b"
    r"|just\b|have\b|let\b|use\b|wait\b|run\b|throw\b|do\b|put\b|fix\b|what\b|which\b|where\b|is it\b)"
    r"|\s+so (?=just\b|please\b|can\b|could\b)"
)
_REMARK = re.compile(
    r"^(?:i|we|you|it|he|she|they|there|that|this|those|my|our|the|fans?|since|because|as|before|after"
    r"|while|forget|ignore|in case|to be|no|not|for|sorry)\b"
    r"(?:.*?\b(?:is|are|was|were|am|'m|'re|'s|feels?|looks?|sounds?|seems?|has|think|know|got|getting|go"
    r"|safe|others|rest|remote|kick|started|melts?|dies|keeps?|on battery)\b|'m |'re |'s )",
    re.IGNORECASE,
)
_LEANS_BACK = re.compile(r"\b(?:it|its|them|that|this|there|those|these)\b", re.IGNORECASE)


def _without_remarks(text: str) -> str:
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
    """Put a marked sentence plainly."""
    text = _without_remarks(text)
    for pattern, plain in _rules(list(groups)):
        before = text
        text = re.sub(pattern, plain, text, count=1, flags=re.IGNORECASE).strip()
        if not text:
            return before
    text = re.sub(r"⟪([^⟫]+)⟫", r" on \1", text).replace("⟪⟫", "")
    return text if len(text) == 1 else text.strip()
