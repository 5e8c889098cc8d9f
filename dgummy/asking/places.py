"""Where something is to be done, as far as a sentence says so; such phrases are cut out of it. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dgummy.asking.terms import CLUSTER, HOST, HOSTS, MACHINE, ONE_MACHINE, SUPERLATIVE


@dataclass(frozen=True)
class Names:
    """What sentences may name: hosts, groups with their members."""

    hosts: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where something is to be done, as far as a sentence says so.

    `unknown` are names that look like hosts and are none, `ambiguous` names of hosts that are words of ours, too.
    `each`: several tasks, each where it fits; `some`: on some hosts; `either`: one host or another; `apart`: several
    hosts, each for something else; `bare`: hosts are named, but not as a place.
    """

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    best: bool = False
    everywhere: bool = False
    here: bool = False
    each: bool = False
    some: bool = False
    either: bool = False
    bare: bool = False
    apart: bool = False

    @property
    def named(self) -> bool:
        """Whether a place was named that is not here."""
        return bool(self.hosts or self.groups or self.best or self.everywhere or self.each)


_ON = r"(?:on|onto|to|over to|at|in|into|via|using|from|with|across)"
_END = r"(?=\s*(?:$|[.,;:!?)]|-\s|and\b|please\b|then\b|for\b|to\b|but\b|now\b|is\b|can\b))"
_DO_IT = r"(?:(?:and )?(?:please )?(?:do|run|put|send|start) (?:it|that|this|this one|that one) )"
_TAKE = r"(?:(?:and )?(?:use|pick|choose|find|take|select) )"
_BEST = (
    rf"(?:{_DO_IT}?{_ON} |{_TAKE})?(?:the |my |whatever |whichever )?{SUPERLATIVE}"
    rf"(?:(?: (?:available|suited|possible|free|remote|idle))*(?: (?:{MACHINE}|one)(?: (?:you|we|that you"
    r"|that we) (?:can find|have|know|can get))?)(?! (?:heuristics?|algorithms?|logic|rule|name|names|picker"
    r"|selection|badge|button|label"
    r"|flag|feature|page|column|field|table|list|view|code|docs?|section|option|setting|test|tests|function"
    r"|score|metric)\b)\b|(?: available"
    rf"| loaded)?{_END})"
    r"(?: (?:for (?:that|it|this|them|the job)|available))?",
    rf"{_ON} (?:a|an|any|whatever) (?:free|idle|available|quiet|unused|suitable) {ONE_MACHINE}\b",
    r"(?:on )?where(?:ver)? (?:there(?:'s| is) (?:the )?most room|it fits(?: best)?|is free|there(?:'s"
    r"| is) room|has room)",
    rf"(?:{_ON} )?(?:whichever|whatever) (?:{MACHINE}|one) (?:is|has|fits|suits) [^,;.]*",
)
_SPREAD = (
    r"(?:spread|split|divide|share|farm|balance|paralleli[sz]e|fan|hand|deal|scatter|distribute|dole"
    r"|allocate|assign|orchestrate|schedule)"
)
_THEM = (
    r"(?: (?:them|it|these(?: (?:two|three|four|few))?(?: (?:tasks|jobs|things))?|those|that|this"
    r"|the following|the (?:work|load|jobs|tasks)|all of them))"
)
_EVENLY = (
    r"(?: (?:optimally|evenly|sensibly|well|best|accordingly|out|up|fairly|smartly|efficiently|pls|please|for me))"
)
_SEVERAL = (
    r"(?:(?:the|my|all|whatever|separate|different|several|distinct|best|free|available|right|optimal"
    rf"|suitable|idle|other|our|whole) )*(?:{MACHINE}|{CLUSTER})\b"
)
_OVER = (
    rf"(?: (?:over|across|among|amongst|between|to|on|onto|around|through) {_SEVERAL}(?: (?:are free"
    r"|is free|you think best|as you see fit))?)"
)
_EACH = (
    rf"(?:give|hand|assign) each (?:{ONE_MACHINE}|{MACHINE}) one(?: of (?:these|them|those))?",
    r"(?:and )?(?:please )?(?:put|send|run|give|start|place|assign|hand|allocate"
    r"|schedule)? ?\beach(?: of them| one| task| job)?"
    r" (?:on|to|onto|where(?:ver)?|at|its own|gets|should|goes)\b[^,;.:]*",
    r"where(?:ver)? (?:each|they)(?: one| of them)? (?:runs?|fits?|goes|go|is|are|works?|suits?)(?: best| better)?",
    rf"one (?:good |suitable |free )?{ONE_MACHINE} each",
    r"\bone (?:each|per (?:host|node|machine|box))\b",
    rf"(?:on |use |pick |choose )?(?:the )?{SUPERLATIVE} (?:{MACHINE} )?(?:for )?each(?: of them)?(?: of these)?",
    rf"(?:distributed |spread )?(?:{_ON}|for|over|among) (?:the |their )?{SUPERLATIVE} (?:available "
    rf"|free )?(?:hosts|nodes|machines|boxes"
    rf"|servers)\b(?: for (?:them|each|that|it|the job))?",
    rf"{_ON} (?:the |whichever |whatever )?(?:hosts|nodes|machines|boxes|servers|ones) (?:(?:that"
    rf"|which) )?(?:are |seem |look |is )?"
    r"(?:best |most )?(?:suited|suitable|fitting|fit|best|free|idle)(?: (?:to|for) (?:them|each|it|that))?",
    r"(?:and |, )?(?:please )?(?:place|put|run|schedule|assign) each (?:one )?(?:optimally|well|sensibly|best)",
    r"(?:and |, )?(?:then )?let (?:the )?(?:load )?(?:balancer|scheduler|dgummy|it) (?:place|spread|schedule"
    r"|distribute|assign|put)"
    r" (?:each|them|both|all)(?: of them)?",
    rf"{_ON} (?:the )?{MACHINE} (?:that|which) (?:best )?(?:suits?|fits?|are best for|is best for) (?:them|each"
    rf"|it)(?: best)?",
    rf"(?:{_ON} )?(?:whichever|whatever) {MACHINE} (?:suits?|fits?|are best for) (?:them|each)(?: best)?(?: best)?",
    rf"(?:and )?(?:please )?{_SPREAD}{_EVENLY}*{_THEM}?{_EVENLY}*{_OVER}{_EVENLY}*(?: (?:however|as"
    r"|whichever way) you [^,;.]*)?",
    rf"(?:and )?(?:can you |could you |please )*{_SPREAD}(?:{_EVENLY}*{_THEM}(?: in (?:the best"
    rf"|a good) way)?{_EVENLY}*|{_EVENLY}*)(?=\s*(?:$|[.,;:!?]))",
    r"(?:on|to|onto|over|across|at) (?:separate|different|distinct|several|whichever"
    rf"|their own) {MACHINE}(?:,? whichever are (?:best|free))?",
    rf"(?:between|among|amongst) {_SEVERAL}",
    r"(?<=\w )optimally(?=\s*(?:$|[.,;:!?]))",
)
_ENDS = (
    r"(?=\s*(?:$|[.,;:!?)]|-\s|(?:and|please|pls|but|except|with|at|in|now|right|simultaneously|then"
    r"|using|to|for|is|are|do|does|should|run|runs|have|has"
    r"|up|online|down|offline|locally|here|reachable|concurrently|today|tonight|without|bar|minus|skip|as|so"
    r"|twice|once)\b))"
)
_ADJECTIVES = r"(?:(?:available|suitable|capable|good|remote|other|online|tailscale|single|different|configured) )*"
_ALL = (
    rf"(?:{_ON} )?(?:all|every|each)(?: single| one)?(?: of)?(?: my| the| our"
    rf"| these)? {_ADJECTIVES}{MACHINE}{_ENDS}",
    rf"(?:{_ON}|over|throughout) (?:my |the |our )?(?:(?:whole|entire) )?{CLUSTER}{_ENDS}",
    rf"(?:across|throughout|over|among|amongst) (?:my |the |our )?{_ADJECTIVES}{MACHINE}\b",
    rf"^everywhere\b|(?<!\bthe )(?<!\ban )\beverywhere(?:{_ENDS}|(?= on\b))",
)
_HERE = (
    r"(?:right )?(?:(?:on )?\bhere\b(?! in)|\blocally\b)",
    r"(?:on|in) (?:this|my|the) (?:own |local )*(?:laptop|desktop|pc|workstation|computer)(?: of mine)?\b|on (?:this"
    rf"|my) (?:own )?{ONE_MACHINE}\b"
    rf"|on (?:the|my) local {ONE_MACHINE}\b|\bon localhost\b",
)
_EXCEPT = (
    r"(?:but )?(?:except(?: for| on)?|but not|but|not(?: on| in)?|without|skip(?:ping)?|other than|excluding|besides"
    r"|apart from|outside(?: of)?|minus|bar(?! on)|save(?: for)?|leav(?:e|ing) out|omit(?:ting)?|ignor(?:e|ing)"
    r"|not counting|nor)"
)
_NO_GROUP_TEXT = """
suitable good capable right fitting proper appropriate decent nice all the my our these those every each some
any few available remote other online idle best optimal same right two three both which what more single
different whichever whatever separate several idle quiet wherever page list remote least-loaded loaded busy of
and configured tailscale free
"""
_NO_GROUP = frozenset(_NO_GROUP_TEXT.split())


_ASIDE = (
    rf"\b(?:lists?|names?|numbers?|tables?|pages?|overview) of (?:all|every|each) (?:of )?(?:the |my "
    rf"|our )?{MACHINE}\b|"
    r"(?<!^)\b(?:when|if|while|unless|because|whether|in case)\b[^,;:.]*?(?=[,;:.!?]|\s-\s|$)"
    r"|(?<!^)\bto (?:pick|choose|select|find|determine|prefer|detect|skip|ignore|list"
    r"|show) [^,;:]*?(?=[,;:.!?]|\s-\s|$)"
    r"|(?<!^)\b(?:to|for|of|on|about|by|when|while) (?:pick|choos|select|find|determin|prefer|detect|rank|list"
    r"|show|distribut|runn|spread|sync|balanc|schedul)ing\b[^,;:]*?"
    r"(?=[,;:.!?]|\s-\s|$)"
    r"|(?<!^)\b(?:how (?:to|do|can|does|should|we|i|you|it|the|our|gummy|specialists?|agents?|hosts?|nodes?"
    r"|machines?)|about (?:running|using|how)|(?:that|which|who) (?:pick"
    r"|choose|find|run|list"
    r"|show|select|return|report|count|check|decide|sync|print)s?)\b"
    r"[^,;:]*?(?=[,;:.!?]|\s-\s|$)"
)


_SEVERAL_MACHINES = r"(?:hosts|nodes|machines|boxes|servers|computers|workers|platforms|targets|instances)"


class _Cutter:
    """A text from which phrases are cut, one kind after the other."""

    def __init__(self, text: str) -> None:
        self.text = text

    def cut(self, pattern: str) -> list[re.Match[str]]:
        """Cut out every place that fits; a comma or dash before it goes too."""
        expression = re.compile(rf"(?:\s*[,;-]\s+|(?<![\w-]))(?:{pattern})", re.IGNORECASE)
        found = [match for match in expression.finditer(self.text) if match.group().strip()]
        self.text = expression.sub(" ", self.text)
        return found

    def any(self, patterns: Iterable[str]) -> bool:
        """Cut out all of some kind; whether there was any."""
        found = [self.cut(pattern) for pattern in patterns]
        return any(found)


def take_places(text: str, hosts: tuple[str, ...], names: Names) -> tuple[str, Place]:
    """Cut the places out of a marked sentence: what is left, and the place. `hosts` are those of the marks."""
    # What stands behind "how to" is what somebody wants to be told, not done.
    asides: list[str] = []

    def set_aside(match: re.Match[str]) -> str:
        asides.append(match.group())
        return f"⟦o{len(asides) - 1}⟧"

    cutter = _Cutter(re.sub(_ASIDE, set_aside, text, flags=re.IGNORECASE))
    cutter.cut(rf"(?:and )?not (?:on |across |over )?(?:(?:the |my )?{CLUSTER}|anywhere else|remotely|the others)\b")
    exclude = _excluded(cutter, hosts, names)
    each = cutter.any(_EACH)
    some = _some_of_a_group(cutter, names)
    groups, strange = _groups(cutter, names)
    best = cutter.any(_BEST)
    everywhere = cutter.any(_ALL)
    some = some or cutter.any((rf"{_ON} (?:some|any|a few|several|a couple of)(?: of)?(?: my| the)? {MACHINE}\b",))
    here = _is_here(cutter)
    said, either, apart, bare = _hosts(cutter, hosts, exclude)
    rest = re.sub(r"⟦o(\d+)⟧", lambda match: asides[int(match.group(1))], cutter.text)
    place = Place(
        said,
        groups,
        exclude,
        unknown=strange,
        best=best,
        everywhere=everywhere,
        here=here,
        each=each,
        some=some,
        either=either,
        bare=bare,
        apart=apart,
    )
    return " ".join(rest.split()), place


def _some_of_a_group(cutter: _Cutter, names: Names) -> bool:
    """Whether hosts of a group are meant, and not all of them."""
    any_of = _any_group(names)
    several = rf"(?:one|any|some|either|a few|two|three|half) (?:of )?(?:the |my )?(?:{any_of})(?: group| {MACHINE})?\b"
    return cutter.any((rf"(?:{_ON} )?{several}", rf"(?:{_ON} )?an? (?:{any_of}) {ONE_MACHINE}\b"))


def _marked(match: re.Match[str], hosts: tuple[str, ...]) -> list[str]:
    return [hosts[int(number)] for number in re.findall(r"⟦h(\d+)⟧", match.group())]


def _any_group(names: Names) -> str:
    return "|".join(re.escape(group) for group in sorted(names.groups, key=len, reverse=True)) or r"(?!)"


def _excluded(cutter: _Cutter, hosts: tuple[str, ...], names: Names) -> tuple[str, ...]:
    """Cut out exceptions: hosts, groups, and lists of both."""
    group = (
        rf"(?:group |(?:{MACHINE}|ones|those) (?:in|of|from) (?:the )?)?(?:{_any_group(names)})(?: group"
        rf"| {MACHINE})?(?![\w-])"
    )
    one = rf"(?:{HOST}|(?:the )?{group})"
    found: list[str] = []
    for match in cutter.cut(rf"{_EXCEPT} (?:on |in )?{one}(?:(?:, and | and |, | or | nor |/){one})*"):
        found += _marked(match, hosts)
        for name, members in names.groups.items():
            if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", match.group(), re.IGNORECASE):
                found += members
    return tuple(dict.fromkeys(found))


def _groups(cutter: _Cutter, names: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut out groups; the names of those that there are, and of those that there are not."""
    known = {group.lower(): group for group in names.groups}
    any_of = _any_group(names)
    lead = rf"(?:(?:{_ON}|over|for) )?(?:(?:all|every|each)(?: of)? )?(?:the |my )?"
    found = [
        match.group(1)
        for pattern in (
            rf"(?:{_ON} )?(?:(?:all|every|each)(?: of)? )?(?:the |my )?{MACHINE} (?:in"
            rf"|of|from) (?:the )?(?:group )?({any_of})(?: group)?\b",
            rf"{lead}({any_of})(?: group| {_SEVERAL_MACHINES})\b",
            rf"(?:{_ON} )?(?:every|each) ({any_of}) {ONE_MACHINE}\b",
            rf"{lead}group ({any_of})\b",
            rf"(?<=⟧)(?:,? and|,| &|/| plus) (?:the )?({any_of})\b(?: group| {MACHINE})?",
            rf"^(?:the )?({any_of})\s*[:,]",
            rf"(?:on|across|over|among|between) (?:the )?({any_of})(?=\s*(?:$|[.,;:!?]))",
        )
        for match in cutter.cut(pattern)
    ]
    stranger = re.compile(
        rf"\b(?:{_ON}|over|among|between|throughout|group) (?:all )?(?:the |my )?([\w-]+) (?:group|(?:{MACHINE}))\b",
        re.IGNORECASE,
    )
    alike = [match.group(1) for match in stranger.finditer(cutter.text)]
    alike += [match.group(1) for match in re.finditer(r"\b(?:on|in) group ([\w-]+)", cutter.text, re.IGNORECASE)]
    common = re.compile(rf"{SUPERLATIVE}|local|own|this|that|al|very", re.IGNORECASE)
    strange = tuple(word for word in alike if word.lower() not in _NO_GROUP and not common.fullmatch(word))
    return tuple(dict.fromkeys(known[group.lower()] for group in found)), strange


def _is_here(cutter: _Cutter) -> bool:
    return cutter.any(rf"(?:{pattern})(?=\s*(?:$|[.,;:!?)]|-\s|on\b|and\b|please\b|not\b|with\b))" for pattern in _HERE)


def _hosts(
    cutter: _Cutter, hosts: tuple[str, ...], exclude: tuple[str, ...]
) -> tuple[tuple[str, ...], bool, bool, bool]:
    """Cut out where hosts are named; whether it is one or another of them, and whether they stand apart."""
    before = cutter.text
    phrases = cutter.cut(
        rf"(?:{_DO_IT}?{_ON}|(?:and )?(?:use|pick|choose|take|select)) {HOSTS}(?: {MACHINE})?(?! as\b)"
    )
    phrases = phrases or cutter.cut(rf"^(?:the )?{HOSTS}\s*[:,]")
    said = [_marked(match, hosts) for match in phrases]
    bare = not any(said)
    if bare:
        said = [[host for host in hosts if host not in exclude]]
    between = [before[a.end() : b.start()] for a, b in itertools.pairwise(phrases)]
    either = any(re.search(r"\bor\b", text, re.IGNORECASE) for text in (*(one.group() for one in phrases), *between))
    apart = len({tuple(part) for part in said if part}) > 1
    return tuple(dict.fromkeys(host for part in said for host in part)), either, apart, bare
