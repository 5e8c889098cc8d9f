"""Courtesies, remarks and turns of phrase: what says nothing about the work, or says it round a corner. Pure."""

from __future__ import annotations

from dgummy.asking.terms import CLUSTER, EVERY, HOSTS, MACHINE, ONE_MACHINE, PARTICIPLE, RUN_DONE, SUPERLATIVE

_WISH = (
    r"(?:i(?:'d| would)? (?:want|like|need|love) |(?:could|can|may|might|shall) (?:we|i) (?:get|have) "
    r"|(?:let'?s )?(?:get|have) (?!⟦|(?:a |an |the )?(?:gummy|agent|specialist)))"
)
_HOPE = (
    r"(?:i was wondering if|i wonder if|(?:it|that)(?:'d| would| will)? be (?:very |really "
    r"|so )?(?:great|nice|good|lovely|cool|helpful|wonderful) if"
    r"|it would be (?:very |much )?appreciated if|i should be (?:very )?(?:grateful|glad|happy|obliged) if"
    r"|i(?:'d| would) (?:appreciate it|be grateful|be happy|love it|like it|be glad) if"
    r"|(?:is there )?any (?:chance|way)(?: that)?"
    r"|would it be possible (?:for|that|to)|is it possible (?:for|that|to))"
)

RULES: tuple[tuple[str, str], ...] = (
    (r"\(\s*(?:not|except|but not|excluding|without) ([^)]*)\)", r"except \1"),
    # Courtesies and remarks, before and after.
    (
        r"^(?:(?:oops|hmm+|well|alright|right|so|yo|morning|good morning|cheers|just curious|quick (?:one"
        r"|question)|no rush|fyi|ok(?:ay)?"
        r"|hey(?: there)?|hi(?: there)?|hello(?: there)?|listen|look|ah|oh|um+|please|real quick|actually"
        r"|anyway|just asking|question|quick question|sorry|excuse me|pardon(?: me)?|next|first|plz|kindly"
        r"|i(?:'d| would) rather|i(?:'d"
        r"| would) prefer (?:you )?to)\b\s*[,!.:-]?\s*)+",
        "",
    ),
    (r"\b(?:literally|basically|really|maybe|perhaps|possibly) ", ""),
    (r"(?<!if you),? (?:pretty )?(?:please|plz|pls)[.!?]*$", ""),
    (r",? (?:would|could|can|will) you(?: please)?\??$", ""),
    (r"^(?:i )?(?:request|ask|beg|urge|want|need|would like|'d like) you to ", ""),
    (
        rf"^(?:confirm|check|see|tell me|find out|let me know|verify) (?:whether|if) ((?:the )?⟦h\d+⟧|{EVERY}"
        rf"|everyone|(?:the )?{MACHINE}) (is|are) ",
        r"\2 \1 ",
    ),
    (rf"^(?:of|among|out of|from) (?:my|the|all|our|these) {MACHINE},? (which|what)(?: one)? ", r"\1 host "),
    (r"^let me (?:see|look at|have a look at|view|check|know about) ", "show me "),
    (r"^(?:i(?:'ve| have)? changed my mind|never ?mind|oh no|oops)[,;:.!-]+ *", ""),
    (
        r"^(?:can|could|do) (?:you|we|i) (?:still )?(?:reach|get through to|talk to|ping|contact"
        r"|(?:ssh|log ?in|connect|get) ?(?:in ?to|to))"
        r" ((?:the )?⟦h\d+⟧)\??$",
        r"is \1 up",
    ),
    (r",? (?:but |and )?(?:please )?(?:leave|let) ((?:the )?⟦h\d+⟧) (?:alone|out|be|in peace)\b", r" except \1"),
    (
        r",? (?:but |and |with )?((?:the )?⟦h\d+⟧) (?:excepted|not included|excluded|aside|left out"
        r"|exempt(?:ed)?|apart)[.!]?$",
        r" except \1",
    ),
    (r"^fan (.+?) out (?=over|to|across|on)", r"run \1 "),
    (r"^(?:one more time|once more|once again|again)\s*[:,-]+\s*", ""),
    (r"\blest (?=loaded|busy|used)", "least "),
    (r"^here(?:'s| is| are) (?:\w+ )?(tasks|chores|jobs|things|items)\s*[-:]+\s*", "tasks: "),
    (
        rf"^(?:put |run |do |place |please )*(.+?) on (?:one|a) (?:good |free "
        rf"|suitable )?{ONE_MACHINE},? and (?:the )?(.+?) on"
        rf" (?:another|a different|the other|a second)(?: one| {ONE_MACHINE})?[.!]?$",
        r"distribute: \1; \2",
    ),
    (r",? so (?:that )?(?:no (?:one |single )?\w+|nothing|none|nobody) (?:is|gets|ends up|becomes) \w+[.!]?$", ""),
    (
        r"^let (?:the )?(?:cluster|network|fleet|hosts|machines) (?:share|split|divide)(?: up)? (these|this|them)\b",
        r"distribute \1",
    ),
    (r", (?:separately|independently|at the same time),? ", " "),
    (
        r"^let (?:the )?(?:load )?(?:balancer|scheduler|dgummy|tool|system|it) (?:choose|pick|find|decide on"
        r"|select) (?:an?|the)"
        rf" (?:best |good |free )?{ONE_MACHINE},? (?:and(?: then)?|to|then) (.+?)(?: (?:on it|there|on that))?$",
        r"\1 on the best host",
    ),
    (r"^(?:name|give me the name|tell me the name|say the name) of the", "name the"),
    (r"(?:,| -|:) ?(⟦h\d+⟧)(?: please| pls| if possible)?[.!]*$", r", on \1"),
    (r",? nowhere else(?=[:,.;])", ""),
    (
        rf"^(?:apart from|except(?: for)?|with the exception of|excluding|other than"
        rf"|aside from) ({HOSTS}),? ({EVERY}.*)$",
        r"\2 except \1",
    ),
    (r"^there(?:'s| is| are) (?:an? )?(.+?) to (?:hand out|share out|do|be done|spread|distribute)\b", r"\1"),
    (
        rf"^(?:find|pick|choose|get)(?: me)? (?:an?|the|any) (?:best |idle |free |good "
        rf"|suitable )*{ONE_MACHINE} for (.+?),? and"
        r" (?:start|run|do|launch|put) (?:it|that) (?:there|on it)$",
        r"run \1 on the best host",
    ),
    (
        rf"\b(?:the )?({SUPERLATIVE})(?: one)? (?:of|among|amongst) (?:all )?(?:of )?(?:my|the|our|these) {MACHINE}",
        r"the \1 host",
    ),
    (r"^mind (?:running|doing|starting) ", "run "),
    (r"^auto(?:matically)?[- ]?(select|pick|choose)\b", r"\1"),
    (r"^(.*(?:⟦h|best|everywhere).*?),? (?:and |but )?not (?:here|locally|on (?:this|my) \w+)[.!]?$", r"\1"),
    (r"^there(?:'s| is| are) (?:some )?(?=.*,.*\b(?:balance|spread|distribute|share|split)\b)", ""),
    (r"^share (?:with me )?the (?=(?:list|status|overview|load|state)\b)", "show the "),
    (
        r"^[^:⟦?]{3,60}(?::|,| -+|;|\.+) (?=(?:which|what|who|how|is|are) (?=.*\b(?:up|down|alive|online|offline"
        r"|busy|load(?:ed)?|free|idle|reachable|available|running)\b)(?!.*\b(?:should|would|could|pick|best"
        r"|choose|take)\b)[^?]*\?$)",
        "",
    ),
    (
        rf"^{_HOPE} (?!you\b|i\b|we\b)(?:the )?(.+?) (?:were|was|could be|would be|is|are"
        rf"|gets?) (?:to be )?({PARTICIPLE}|{RUN_DONE})(?= on| everywhere| at)",
        r"run \1 \2",
    ),
    (
        rf"^i (?:would like|wish|want|need|'d like)(?: for)? (?:that )?(?:the )?(.+?) (?:to be|to get|is|are"
        rf"|gets?) ({PARTICIPLE}|{RUN_DONE})"
        r"(?= on| everywhere| at)",
        r"run \1 \2",
    ),
    (
        r"^i (?:would like|wish|want|need|'d like) that (?:the )?(.+?) (?:runs?|happens?|executes?)(?= on"
        r"| everywhere| at)",
        r"run \1",
    ),
    (rf"^{_HOPE} (?!you\b|i\b|we\b)(.{{3,40}}?) (?:could|would|can|might) (.+?)\??$", r"\1 should \2"),
    (rf"^{_HOPE} (?:you|we) (?:ran|did|started|launched) ", "run "),
    (rf"^{_HOPE}\s+", ""),
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
    (r"^(?:please |(?:could|would|can|will) you )*be so (?:kind|good) (?:as )?to ", ""),
    (
        rf"^{_WISH}(?:to (?:have|get|see) )?(?!to )(.+?)(?<! the)(?<! my)(?<! last),? {RUN_DONE},? (?=on "
        rf"|everywhere|at |across )",
        r"run \1 ",
    ),
    (
        rf"^{_WISH}(?:to (?:have|get|see) )?(?!to )(?:the )?(.+?) ({PARTICIPLE}(?: \w+){{0,3}}?),? (on|everywhere|at) ",
        r"run \1 \2 \3 ",
    ),
    (
        r"^(?:(?:could|can|may|might) (?:i|we)(?: please)? |i(?:'d| would)? (?:want|like|love) to )"
        r"(?:see|have a look at|look at|view|read) ",
        "show me ",
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
    (r"^[^,.;:⟦]{8,80}(?:,|;|\.| -) ?so (?:please |now |just |could you |can you )*(?=\w)", ""),
    (
        r"(?:\s*[,.;(-]+\s*(?:and |but )?|\s+(?:and |but ))(?:nothing else|that'?s (?:all|it)|no more"
        r"|do(?:n'?t| not) (?:start|run|do|launch|execute) anything"
        r"(?: yet| else)?|\bi'll [^,;]*|thanks[^,;]*|thank you[^,;]*|thx|cheers|ta|no hurry|no rush"
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
    (r"\s*(?:->|=>|→)\s*(?=⟦h|(?:the )?(?:best|least|all|every)\b)", " on "),
    (r"\bsynch\b", "sync"),
    (
        r"^(?:after (?:a |the )?sync|(?:once|when|as soon as) (?:(?:it|that|everything|all)(?:'s"
        r"| is) )?synced(?: up)?)[,;]? (?:please )?(?=\w)",
        "sync and ",
    ),
    (
        r"^(?!sync)(.+?),? (?:with|using|from|on top of|including) (?:(?:a|the) (?:fresh|new|current"
        r"|latest) copy of (?:my|the|our)"
        r"|(?:my|the|our) (?:latest|current|newest|freshest|uncommitted)) (?:code|changes|version|state|project"
        r"|repo|tree|checkout)[.!]?$",
        r"sync and \1",
    ),
    (
        r"^(?:(?:the|our) )?(.+?) (?:needs? doing|needs? to be done|(?:is|are) (?:left|pending|waiting"
        r"|to be done|still open|on my list"
        r"|due))[,;:.]+ (?=\w)",
        r"\1, ",
    ),
    (
        rf"^(?:find|pick|choose) (?:an?|the best|a good) {ONE_MACHINE} for each(?: of (?:these|them"
        rf"|those))?(?: tasks)?\s*[:,]+\s*",
        "distribute: ",
    ),
    (
        r"^(?:assign|send|put|give|run|place) each(?: of (?:these|them|those))?(?: tasks?| one)? (?:to|on|onto"
        r"|at) [^:]+:\s*",
        "distribute: ",
    ),
    (r"\s+this time[.!]?$", ""),
    (
        r",? (?:and )?(?:it|that|this) (?:should|must|has to|is to|needs to|ought to|shall)"
        r" (?:happen|run|go|take place|be (?:done|run)) (?=on |to |at |every|here|local)",
        " ",
    ),
    (r"[,;]?\s*(?:--)?\b(?:host|node|machine|target)\s*[:=]?\s*(⟦h\d+⟧)[.!]?$", r" on \1"),
    (r"^(?:target|host|node|machine)\s*[:=]?\s*(⟦h\d+⟧)\s*[:,;-]+\s*", r"\1: "),
    (r"^ssh (⟦h\d+⟧)(?: and| then|[,;:])+ (.+)$", r"\2 on \1"),
    (r"^((?:sync|push|copy)\b.*?),? followed by (?:running |a run of )?", r"\1 and run "),
    (r"(⟦h\d+⟧),? and (?:also )?on (?=(?:the )?⟦h)", r"\1 and "),
    (
        r"^(?:(?:fire|spin|boot|bring|wake|kick|unleash)(?: up| off)?|(?:get|let|set|have|turn)"
        r"(?= .*\b(?:going|running|loose|started|up|off|working)\b)) ((?:a |an |the )?(?:gummy(?: agent"
        r"| task)?|agent|specialist))(?: going| running| loose| started| up| off| working)? (?=on |at |to ⟦"
        r"|wherever|where)",
        r"start \1 ",
    ),
    (
        r"^(?:start|begin)(?: off)? (?:with|by) (?:a )?sync(?:ing)?(?: (?:my|the|our) \w+)?(?: over)?(?: to| on"
        r"| with)? (?=⟦|the\b)",
        "sync to ",
    ),
    (
        r"^sync(?: (?:my|the|our) \w+)?,? (?:before|prior to) (?:you )?(?:run|running|start|starting|do|doing)\b",
        "sync and run",
    ),
    (
        r"^(.+?),? (?:once|when|as soon as|after) (?:the |my |our )?(?:code|project|repo|changes|codebase|it)"
        r" (?:has been|have been|is|are|was|got|gets) (?:synced|synchroni[sz]ed|copied|pushed|sent|there|up to date)"
        r"(?: there| over| to it)?$",
        r"sync and \1",
    ),
    (
        r"\b(?:on )?(?:all|everyone|everything|everywhere|every ?one) (?:but|except|bar|minus|save"
        r"|without) (?=(?:the )?⟦h)",
        "everywhere except ",
    ),
    (
        r"^(?:use|apply|do|with) load[- ]balanc(?:ing|er)(?: to (?:place|run|start|do|schedule))?[,:]? (.+)$",
        r"run \1 on the best host",
    ),
    (
        r"^after (?:you(?:'ve| have)? )?(?:sync(?:ed|ing)|a sync)(?: (?:the|my|our) \w+)?(?: (?:to|on"
        r"|with))? ((?:the )?⟦h\d+⟧), (.+)$",
        r"sync and \2 on \1",
    ),
    (
        r"^[^?]*?(⟦h\d+⟧)[^,;.]*[,;.-] *(?:so )?(?:is|are) (?:it|that|they) (\w+(?: \w+){0,3}\??)$",
        r"is \1 \2",
    ),
    (r"^(.*?)\b(?:an? )?(?:fleet|cluster|network)[- ]?wide\b:?\s*(.*)$", r"\1\2 everywhere"),
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
        rf"|cluster|network)\b(?: of (?:my |the )?{MACHINE})?",
        "everywhere",
    ),
    (r"\b(on|at) all (our|my|the) (machines|hosts|nodes|boxes|computers)\b", r"on all \2 \3"),
    (rf"\b(every|each|all)( \w+)? ((?:{ONE_MACHINE})s?) in (?:the |my |our )?{CLUSTER}\b", r"\1 \3"),
    (r"\b(?:subsequently|afterwards|after that|thereafter|following that)\b,?", ""),
    (r"^(?:delegate|hand|give|assign) (?:over )?to (.+?) the (?:task|job|work) of (.+)$", r"run \2 on \1"),
    (
        r"(?:^|(?<=and )|(?<=, )|(?<=please )|(?<=you ))(?:throw|stick|shove|plonk|chuck|bung|issue|spawn)"
        r" (?=.+\b(?:on|at|onto|from)\b)",
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
        r"(?<!not )(?<!me )(?<!advise )\b(?:on|to|onto|at|with|use) (?:a|an|any|some) (?:spare |free |idle "
        r"|good |unused |quiet "
        rf"|available |suitable )*(?:{ONE_MACHINE})(?: with spare \w+| with (?:some )?(?:room"
        r"|capacity))?(?: instead)?(?=[\s.,;!?]|$)",
        "on the best host",
    ),
    (r"\bwhere(?:ver)? (?:the )?(?:load|usage) is (?:the )?(?:lowest|least|smallest)", "on the best host"),
    (rf"\bon (?:the )?(?:present|current) {ONE_MACHINE}(?: only)?", "here"),
    (
        r",? ⟦h(\d+)⟧ (?:can|should|could|will|must) (?:do|take|have|handle|run) (?:it|that|this)(?: one)?$",
        r" on ⟦h\1⟧",
    ),
    (r"^(⟦h\d+⟧),? (?:you'?re up|your turn|go|please|do this|over to you|this is for you)\s*[:,;!-]?\s*", r"\1: "),
    (r"^(?:you,? )?(?:do |make )?a sync (?:to|with|on) ", "sync to "),
    (r"\bssh(?:ing)? (?:in ?to|into|to|in to) (⟦h\d+⟧)(?:,| and| then|;)+\s*(.+)$", r"\2 on \1"),
    (r"^ssh (⟦h\d+⟧) (?!and\b|then\b)(.+)$", r"run the command \2 on \1"),
    (r"\b(?:divvy|divide|carve|split|farm|share|deal|fan|hand)s? (?:up|out) (?=.*(?:\band\b|,))", "distribute "),
    (r"\bon (?:the )?(?:host|node|machine|box) (?=⟦h)", "on "),
    (r"\b(?:execute|run|perform|do|start) (?:the )?following (?:task|job|work)\b(.*?)\s*:\s*", r"run\1 "),
    (r"\b(?:execute|run|perform) (?:the )?following (?:shell )?command\b(.*?)\s*:\s*", r"run\1 the command "),
    (r"\b(?:perform|execute|run|do) (?:the )?task (?=⟦q)", "run "),
    (r"\bover on (?=⟦|the\b|my\b|all\b)|\bover at (?=⟦)|\s@\s*(?=⟦)", " on "),
    (r"\b(?:out|off|over|up|down|across|along) (?:to|onto|on) (?=⟦|the\b|my\b|all\b|every|each)", "to "),
    (r"\b(kick|fire|spin|start|boot) (?!off|up)((?:(?! to | and )[^,;.]){3,60}?) (?:off|up)\b(?=\s|$)", r"start \2"),
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
        r"(?: (?:if|whether|how|(?:the |its )?(?:results?|outcome|output)|what|when|once)\b(?:(?!⟦h).)*)?)[.!]*$",
        "",
    ),
    (r"\b(?:run|start|launch) (?:gummy|a gummy task|an agent)(?: there| on it)?\s*:\s*", ""),
)
"""What is looked for, and what is put in its place; tried in order, each once."""
