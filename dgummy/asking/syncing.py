"""How sentences say that the code is to be sent first, put plainly: `sync and run X on node-1`. Pure."""

from __future__ import annotations

from dgummy.asking.terms import CODE, HOSTS, SYNC_THERE, THEN

RULES: tuple[tuple[str, str], ...] = (
    (
        r"^(?:re)?(?:sync|synchroni[sz]e|rsync|mirror|replicate) (?!and\b|then\b|to\b|with\b|on\b"
        r"|up\b)(?:[\w'-]+ ){1,4}?(?:over )?"
        r"(?:to|with|onto) (?=(?:the )?⟦h)",
        "sync to ",
    ),
    (
        r"^(sync (?:to )?(?:the )?⟦h\d+⟧(?: and ⟦h\d+⟧)*),? before (?:you )?(?:run(?:ning)?|start(?:ing)?|doing) ",
        r"\1 and run ",
    ),
    (
        r"^(sync (?:to )?(?:the )?⟦h\d+⟧),? so (?:that )?(?:gummy|it|you|an agent|the agent) (?:can|could|may) ",
        r"\1 and ",
    ),
    (r"^sync (?:it |everything )?first(?: pls| please| thing)?,? (?:and )?then ", "sync and "),
    (
        rf"^(?:give|hand|send|bring|ship) @where@ {CODE}{THEN}(?:let it |have it |make it )?(?P<rest>.+)$",
        SYNC_THERE,
    ),
    (
        rf"^(?:update|refresh|renew) (?:the |my )?(?:copy|code|checkout|project"
        rf"|repo) on @where@(?: with {CODE})?{THEN}(?P<rest>.+)$",
        SYNC_THERE,
    ),
    (
        rf"^(?:make sure|ensure|see to it)(?: that)? @where@ (?:has|gets|have) {CODE}{THEN}(?P<rest>.+)$",
        SYNC_THERE,
    ),
    (
        rf"^(?:make sure|ensure|see to it)(?: that)? {CODE} (?:is|are|gets?) (?:synced|synchroni[sz]ed"
        rf"|copied|sent|pushed)(?: (?:to|on|onto|with) (?P<where>@place@|the best host))?"
        rf"(?:{THEN}| (?:prior to|before) )(?:you )?(?P<rest>.+)$",
        r"sync and \g<rest>⟪\g<where>⟫",
    ),
    (
        rf"^(?:(?:bring|get|keep) @where@ (?:up[- ]to[- ](?:date|speed)|current|in sync)(?: with {CODE})?"
        rf"|(?:update|refresh|provision|supply|sync) (?P<there>{HOSTS}) with {CODE}){THEN}(?P<rest>.+)$",
        r"sync and \g<rest>⟪\g<where>⟫⟪\g<there>⟫",
    ),
    (
        rf"^(?:i(?:'d| would)? (?:want|like|need) )?{CODE} (?:synced|copied|pushed|sent)(?: over)? (?:to|on|onto"
        rf"|with) @where@{THEN}"
        r"(?P<rest>.+?)(?: (?:started|run|done|launched))?(?: there)?[.!]?$",
        SYNC_THERE,
    ),
    (
        rf"^(?:make sure|ensure|see to it)(?: that)? @where@ (?:is|gets|has been) (?:synced|up to date|in sync"
        rf"|current){THEN}(?P<rest>.+)$",
        SYNC_THERE,
    ),
    (rf"^sync @where@{THEN}(?P<rest>.+)$", SYNC_THERE),
    (
        rf"^@where@ needs? {CODE}(?:{THEN}(?:sync|copy|push|send) (?:it|them"
        rf"|that)(?: over)?)?{THEN}(?P<rest>.+)$",
        SYNC_THERE,
    ),
    (
        r"^before (?:you )?(?:run|running|start|starting|do|doing) (?P<rest>.+?) on @where@[,;]? (?:please "
        r")?(?:bring|get|sync|push|copy|make sure|update|mirror)\b.*$",
        r"sync and run \g<rest> on \g<where>",
    ),
    (
        r"^(?:get|bring|mirror|replicate|take|ship|put|push|transfer|move|copy|upload|send|rsync|deploy|sync"
        r"|synchroni[sz]e"
        rf"|publish|drop|beam)(?: (?:up|over|across))? {CODE}"
        rf"(?: (?:up|over|across|out))?(?: (?:to|onto|on|with|into|at|for) (?P<where>@place@"
        rf"|the best host))?(?: first)?{THEN}(?:(?:once|when|after) (?:that'?s|that is|it'?s|it is"
        r"|this is) (?:done|there|finished|over|synced),? |"
        r"afterwards,? |you (?=\w)|(?:have|let|make) it |use it to )*(?P<rest>.+)$",
        r"sync and \g<rest>⟪\g<where>⟫",
    ),
    (
        r"^(.+?) after (?:you(?:'ve| have)? )?(?:sync(?:ing|ed)?|a sync|pushing|copying)(?: (?:of )?(?:my|the|our"
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
)
"""Like those of `plainer`: `@where@` stands for any place."""
