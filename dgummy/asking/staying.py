"""How sentences say that work is to stay here, put plainly: `keep the cluster out of it: lint` as `lint here`. Pure."""

from __future__ import annotations

from dgummy.asking.terms import CLUSTER, MACHINE, MODAL, ONE_MACHINE

_MINE = rf"(?:this|my)(?: very)? (?:own |local )*(?:{ONE_MACHINE}|laptop|desktop|pc|workstation)"
_HERE = rf"(?:right )?(?:here|local(?:ly)?|(?:on|in) {_MINE})"
_ELSEWHERE = rf"(?:(?:an?|any|the|my|our|other|another|remote|single) )*(?:{MACHINE}|{ONE_MACHINE}|{CLUSTER}|remotes?)"
_LEAVE_OUT = r"(?:distribute|spread|use|involve|bother|touch|need|go to|contact)"
_STAYS = (
    rf"(?:(?:(?:please )?(?:keep|leave|hold|do|run) (?:it|this|that|everything)(?: one)? |stay |remain |only "
    rf"|just )?{_HERE}"
    rf"(?: only)?|local(?:ly)? only|here only"
    rf"|(?:please )?(?:do not|don'?t|dont|never|let'?s not) (?:{_LEAVE_OUT} (?:{_ELSEWHERE}|this|it|that|anything)"
    r"|send (?:this|it|that|anything)|go (?:remote|anywhere))(?: anywhere| away| out| remotely)*(?: for (?:this"
    r"|that|it)| this time)?"
    rf"|without (?:leaving {_MINE}|(?:using |involving |touching )?{_ELSEWHERE})"
    rf"|(?:there is |there'?s )?no need (?:for|to use|to involve) {_ELSEWHERE}"
    rf"|(?:no|not) (?:remote|remotely|{_ELSEWHERE}|gummy on [^,;:]*)(?: (?:this time|for this(?: one)?|please"
    rf"|needed|required|wanted))?"
    rf"|nothing remote|not (?:on|over|across|using) {_ELSEWHERE}"
    rf"|(?:leave|keep|let) {_ELSEWHERE} (?:alone|be|out of (?:it|this|that))|keep off {_ELSEWHERE}"
    rf"|{_MINE} (?:is fine|will do|is enough|only)|this one is for {_MINE}|no other \w+|nowhere else|on no other \w+)"
)
_NOWHERE_ELSE = (
    rf"(?!.*(?:⟦[hu]|\b(?:on|over|across) (?:every|each|all|the best)\b(?: \w+)?(?: my| the)? (?:{MACHINE}|{CLUSTER})))"
)
"""No other place is named."""
RULES: tuple[tuple[str, str], ...] = (
    (
        rf"^(.*⟦h.*?),? (?:and )?(?:on )?(?:nowhere else|no other (?:{MACHINE}|{ONE_MACHINE})|not elsewhere)[.!]?$",
        r"\1",
    ),
    (rf"^(.+?) {MODAL} (?:stay|remain|be (?:run|done|kept)|run|happen) {_HERE}[.!]?$", r"\1 here"),
    (
        rf"^{_NOWHERE_ELSE}{_STAYS}(?:\s*please)?(?:\s*[,;:.]+|\s+-+|\s+and|\s+but)+\s*(?:please |just |only "
        rf"|then )*(?=\w)(.+?)(?: {_HERE})?$",
        r"\1 here",
    ),
    (r"^(?:locally|right here|here),? (?=\w)(.+)$", r"\1 here"),
    (
        rf"^(?:use|take) {_MINE}(?:, this one,?)?(?:,? not [^,]+,)? (?:for|to|and) (.+)$",
        r"\1 here",
    ),
    (rf"^{_NOWHERE_ELSE}(.+?)(?: {_HERE})?(?:,| -| but|,? and|;| \()+ ?{_STAYS}\)?[.!]?$", r"\1 here"),
    (rf"^(.+?) (?:without (?:leaving {_MINE}|{_ELSEWHERE})|(?<!are )(?<!is )offline|\(here\))[.!]?$", r"\1 here"),
    (
        r"\bon my end\b|\bon this end\b|\bon my side\b|\bin this (?:very )?(?:folder|directory|checkout|terminal"
        r"|shell)\b"
        r"|\bin my (?:own )?(?:terminal|shell)\b",
        "here",
    ),
    (
        rf",? (?:instead of|rather than|as opposed to) (?:on |over |across |using |in )?{_ELSEWHERE}\b,?",
        "",
    ),
    (rf",? (?:and )?not (?:on |to |using )?{_ELSEWHERE}(?:,|(?=[.;!?]|$))", ""),
)
"""What is looked for, and what is put in its place; tried in order, each once."""
