"""What a plain sentence says about where: hosts, groups, the best one, everywhere, here; and what is left of it. Pure.

Names of hosts and quoted parts are taken out first and stand for themselves as marks (`⟦h0⟧`, `⟦q0⟧`), so that no rule
reads inside them. A phrase about a place ("on the least loaded host", "except node-3") is then cut out of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dgummy import hostset
from dgummy.plainer import CLUSTER, HOSTS, MACHINE, ONE_MACHINE, plainly
from dgummy.spelling import correct

MAX_LENGTH = 2000
"""A longer text is no sentence."""

_VOCABULARY = frozenset(
    ["run", "execute", "start", "launch", "tests", "test", "sync", "specialists", "specialist", "agents", "hosts", "host", "nodes", "node", "machines", "machine", "which", "where", "should", "show", "list", "status", "load", "least", "loaded", "best", "optimal", "available", "every", "each", "everywhere", "across", "locally", "gummy", "distribute", "parallel", "cluster", "network", "logs", "cancel", "collect", "whole", "except", "with", "and", "the", "this", "that", "what", "does", "have", "most", "many", "some", "first", "work", "machine's", "would", "could", "task", "tasks", "platforms", "check", "online", "reach", "reachable", "busy", "least-loaded"]
)


@dataclass(frozen=True)
class Names:
    """What sentences may name: hosts, groups with their members."""

    hosts: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where something is to be done, as far as a sentence says so. `unknown` are names that look like hosts and are none."""

    hosts: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
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


@dataclass(frozen=True)
class Sentence:
    """A sentence: `said` is all of it with marks for names and quotes, `rest` what is left without its place."""

    text: str
    said: str
    rest: str
    place: Place
    quotes: tuple[str, ...]
    hosts: tuple[str, ...]

    def plain(self, text: str) -> str:
        """Put what the marks stand for back into a part of the sentence."""
        text = re.sub(r"⟦[qc](\d+)⟧", lambda match: self.quotes[int(match.group(1))], text)
        return re.sub(r"⟦h(\d+)⟧", lambda match: self.hosts[int(match.group(1))], text)


def read(text: str, names: Names) -> Sentence:
    """Read a sentence. Its length is at most MAX_LENGTH; the caller sees to that."""
    clean = re.sub(r"[⟦⟧\x00-\x1f]", " ", text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}))
    marked, quotes = _mark_quotes(" ".join(clean.split()))
    marked = correct(marked, _VOCABULARY)
    marked, hosts, unknown = _mark_hosts(_spelt_out(marked), names)
    marked = plainly(marked, names.groups)
    rest, place = _take_places(marked, hosts, names)
    return Sentence(text, marked, rest, replace(place, unknown=(*unknown, *place.unknown)), quotes, hosts)


# --- marks ----------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"`([^`]+)`|(?<![\w'])'((?:[^']|(?<=\w)'(?=\w))+)'(?![\w'])|(?<![\w\"])\"([^\"]+)\"")


def _mark_quotes(text: str) -> tuple[str, tuple[str, ...]]:
    quotes: list[str] = []

    def mark(match: re.Match[str]) -> str:
        quotes.append(next(part for part in match.groups() if part is not None).strip())
        return f"⟦{'c' if match.group(1) else 'q'}{len(quotes) - 1}⟧"

    marked = _QUOTED.sub(mark, text)
    return marked, tuple(quotes)


_NUMBERED = re.compile(r"\b([A-Za-z]+?)s[ -]?(\d+(?:(?:, and | and |, | ?& ?| ?- ?| to )\d+)+)\b")


_FROM_TO = re.compile(r"(?<!from )\b([A-Za-z]+-?)(\d+) (?:through|thru|to|until|–|-) \1(\d+)\b", re.IGNORECASE)


def _spelt_out(text: str) -> str:
    """`nodes 1 and 2` as `node-1 and node-2`, `nodes 1-3` likewise."""

    def spell(match: re.Match[str]) -> str:
        listed = re.sub(r"(\d+)(?: ?- ?| to )(\d+)", r"[\1-\2]", match.group(2))
        parts = re.split(r", and | and |, | ?& ?", listed)
        try:
            names = [name for part in parts for name in hostset.expand(f"{match.group(1)}-{part}")]
        except ValueError:
            return match.group()
        return " and ".join(names[:50])

    text = _FROM_TO.sub(r"\1[\2-\3]", text)
    return _NUMBERED.sub(spell, text)


_AFTER_ON = re.compile(r"\b(?:on|onto|to|at|using|via)\s+(?:host |node |machine )?$", re.IGNORECASE)
_NUMBERED_NAME = re.compile(r"[a-z]{3,}(?:-[a-z]+)*-\d+", re.IGNORECASE)
_TOKEN = re.compile(r"⟦\w\d+⟧|[\w][\w.\[\],-]*[\w\]]|\w")


def _mark_hosts(text: str, names: Names) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Put a mark in place of every host's name, also where it is written as `node 2` or `the mac`."""
    known = _by_spelling(names)
    found: list[str] = []
    unknown: list[str] = []
    pieces: list[str] = []
    tokens = list(_TOKEN.finditer(text))
    at = end = 0
    while at < len(tokens):
        hosts, count = _host_at(tokens, at, text, known)
        stop = tokens[at + count - 1].end()
        pieces.append(text[end : tokens[at].start()])
        if hosts:
            marks = [f"⟦h{len(found) + number}⟧" for number in range(len(hosts))]
            found += hosts
            pieces.append(" and ".join(marks))
        elif _looks_like_a_host(tokens[at].group(), names) or (
            _NUMBERED_NAME.fullmatch(tokens[at].group()) and _AFTER_ON.search(text[: tokens[at].start()])
        ):
            unknown.append(tokens[at].group())
            pieces.append("⟦u⟧")
        else:
            pieces.append(text[tokens[at].start() : stop])
        at, end = at + count, stop
    pieces.append(text[end:])
    return "".join(pieces), tuple(found), tuple(unknown)


def _by_spelling(names: Names) -> dict[str, str]:
    """Hosts by how they may be written: in small letters and without what joins their parts."""
    known = {_squeezed(host): host for host in names.hosts}
    first: dict[str, list[str]] = {}
    for host in names.hosts:
        first.setdefault(re.split(r"[\W_\d]", host.lower())[0], []).append(host)
    for word, hosts in first.items():
        if len(hosts) == 1 and len(word) >= 3 and not re.fullmatch(MACHINE, word):
            known.setdefault(f"the {word}", hosts[0])
    return known


def _squeezed(name: str) -> str:
    return re.sub(r"[\s._-]", "", name.lower())


def _host_at(tokens: list[re.Match[str]], at: int, text: str, known: Mapping[str, str]) -> tuple[list[str], int]:
    """The host that begins with a token, and how many tokens its name takes."""
    for count in (3, 2, 1):
        part = tokens[at : at + count]
        if len(part) < count or any(text[a.end() : b.start()].strip() for a, b in zip(part, part[1:], strict=False)):
            continue
        words = [one.group().lower() for one in part]
        follows = text[part[-1].end() :].lstrip().lower()
        if (host := known.get(_squeezed("".join(words)))) is not None:
            return [host], count
        is_short = count == 2 and not re.match(rf"(?:{MACHINE}|group|app|build|version|client|code)\b", follows)
        if is_short and (host := known.get(" ".join(words))) is not None:
            return [host], count
    word = tokens[at].group()
    if "[" in word or "," in word:
        try:
            hosts = [known.get(_squeezed(name)) for name in hostset.expand(word)]
        except ValueError:
            hosts = []
        if hosts and all(hosts):
            return [host for host in hosts if host], 1
    return [], 1


def _looks_like_a_host(word: str, names: Names) -> bool:
    """Whether a word is nearly a host's name, or one more in a row of numbered hosts."""
    lower = word.lower()
    match = re.fullmatch(r"([a-z]{2,})[-_]?(\d+)", lower)
    if match is None:
        near = hostset.suggest(lower, names.hosts)
        return near is not None and len(lower) >= 6 and _edits_at_most_one(_squeezed(lower), _squeezed(near))
    stems = {re.sub(r"[\W_\d]+$", "", host.lower()) for host in names.hosts if host[-1:].isdigit()}
    return any(_edits_at_most_one(match.group(1), stem) for stem in stems) or match.group(1) in ("host", "node")


def _edits_at_most_one(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    same = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) == len(long):
        swapped = short[same : same + 2] == long[same : same + 2][::-1] and short[same + 2 :] == long[same + 2 :]
        return short[same + 1 :] == long[same + 1 :] or swapped
    return short[same:] == long[same + 1 :]


# --- places ---------------------------------------------------------------------------------------------------------

_ON = r"(?:on|onto|to|over to|at|in|into|via|using|from|with|across)"
_SUPERLATIVE = (
    r"(?:least[- ](?:loaded|busy|used|occupied|utili[sz]ed|stressed)|best|optimal|freest|idlest|quietest"
    r"|emptiest|fastest|strongest|most (?:idle|free|available|suitable))"
)
_END = r"(?=\s*(?:$|[.,;:!?)]|-\s|and\b|please\b|then\b|for\b|to\b|but\b|now\b|is\b|can\b))"
_DO_IT = r"(?:(?:and )?(?:please )?(?:do|run|put|send|start) (?:it|that|this|this one|that one) )"
_TAKE = r"(?:(?:and )?(?:use|pick|choose|find|take|select) )"
_BEST = (
    rf"(?:{_DO_IT}?{_ON} |{_TAKE})?(?:the |my |whatever |whichever )?{_SUPERLATIVE}"
    rf"(?:(?: (?:available|suited|possible|free|remote|idle))*(?: (?:{MACHINE}|one))\b|(?: available"
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
_THEM = r"(?: (?:them|it|these|those|that|the (?:work|load|jobs|tasks)|all of them))"
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
    r"(?:and )?(?:please )?(?:put|send|run|give|start|place|assign|hand|allocate"
    r"|schedule)? ?\beach(?: of them| one| task| job)?"
    r" (?:on|to|onto|where(?:ver)?|at|its own|gets|should|goes)\b[^,;.]*",
    r"wherever (?:each|they)(?: one| of them)? (?:runs?|fits?|goes|go|is|are|works?|suits?)(?: best| better)?",
    rf"one (?:good |suitable |free )?{ONE_MACHINE} each",
    r"\bone (?:each|per (?:host|node|machine|box))\b",
    rf"(?:on )?(?:the )?{_SUPERLATIVE} (?:{MACHINE} )?(?:for )?each",
    rf"(?:{_ON} )?(?:whichever|whatever) {MACHINE} (?:suits?|fits?|are best for) (?:them|each)(?: best)?(?: best)?",
    rf"(?:and )?(?:please )?{_SPREAD}{_EVENLY}*{_THEM}?{_EVENLY}*{_OVER}{_EVENLY}*(?: (?:however|as"
    r"|whichever way) you [^,;.]*)?",
    rf"(?:and )?(?:can you |could you |please )*{_SPREAD}(?:{_EVENLY}*{_THEM}(?: in (?:the best"
    rf"|a good) way)?{_EVENLY}*|{_EVENLY}*)(?=\s*(?:$|[.,;:!?]))",
    r"(?:on|to|onto|over|across|at) (?:separate|different|distinct|several|whichever"
    rf"|their own) {MACHINE}(?:,? whichever are (?:best|free))?",
    r"(?<=\w )optimally(?=\s*(?:$|[.,;:!?]))",
)
_ENDS = (
    r"(?=\s*(?:$|[.,;:!?)]|-\s|(?:and|please|pls|but|except|with|at|in|now|right|simultaneously|then"
    r"|using|to|for|is|are|do|does|should|run|runs|have|has"
    r"|up|online|down|offline|reachable|concurrently|today|tonight|without|bar|minus|skip|as|so|twice|once)\b))"
)
_ADJECTIVES = r"(?:(?:available|remote|other|online|idle|tailscale|single|different|configured) )*"
_ALL = (
    rf"(?:{_ON} )?(?:all|every|each)(?: single| one)?(?: of)?(?: my| the| our"
    rf"| these)? {_ADJECTIVES}{MACHINE}{_ENDS}",
    rf"(?:{_ON}|over|throughout) (?:my |the |our )?(?:(?:whole|entire) )?{CLUSTER}{_ENDS}",
    rf"(?:across|throughout) (?:my |the |our )?{_ADJECTIVES}{MACHINE}\b",
    r"\beverywhere\b",
)
_HERE = (
    r"(?:right )?(?:(?:on )?\bhere\b(?! in)|\blocally\b)",
    r"on (?:this|my|the) (?:own |local )*(?:laptop|desktop|pc|workstation|computer)\b|on (?:this"
    rf"|my) (?:own )?{ONE_MACHINE}\b"
    rf"|on (?:the|my) local {ONE_MACHINE}\b|\bon localhost\b",
)
_EXCEPT = (
    r"(?:but )?(?:except(?: for| on)?|but not|but|not(?: on)?|without|skip(?:ping)?|other than|excluding"
    r"|apart from|minus|bar|save for|leav(?:e|ing) out|omit(?:ting)?|ignor(?:e|ing)|not counting|nor)"
)
_NO_GROUP = frozenset(
    ["all", "the", "my", "our", "these", "those", "every", "each", "some", "any", "few", "available", "remote", "other", "online", "idle", "best", "optimal", "same", "right", "two", "three", "both", "which", "what", "more", "single", "different", "whichever", "whatever", "separate", "several", "idle", "quiet", "wherever", "page", "list", "remote", "least-loaded", "loaded", "busy", "of", "and", "configured", "tailscale", "free"]
)


_ASIDE = (
    r"(?<!^)\b(?:when|if|while|unless|because|whether|in case)\b[^,;:.]*?(?=[,;:.!?]|\s-\s|$)"
    r"|(?<!^)\bto (?:pick|choose|select|find|determine|prefer|detect|skip|ignore|list"
    r"|show) [^,;:]*?(?=[,;:.!?]|\s-\s|$)"
    r"|(?<!^)\b(?:how (?:to|do|can|does|should)|about|(?:that|which|who) (?:pick|choose|find|run|list"
    r"|show|select|return|report|count|check|decide|sync|print)s?)\b"
    r"[^,;:]*?(?=[,;:.!?]|\s-\s|$)"
)


class _Cutter:
    """A text from which phrases are cut, one kind after the other."""

    def __init__(self, text: str) -> None:
        self.text = text

    def cut(self, pattern: str) -> list[re.Match[str]]:
        """Cut out every place that fits; a comma or dash before it goes too."""
        expression = re.compile(rf"(?:\s*[,;-]\s+|(?<!\w))(?:{pattern})", re.IGNORECASE)
        found = [match for match in expression.finditer(self.text) if match.group().strip()]
        self.text = expression.sub(" ", self.text)
        return found

    def any(self, patterns: Iterable[str]) -> bool:
        """Cut out all of some kind; whether there was any."""
        return any([bool(self.cut(pattern)) for pattern in patterns])


def _take_places(text: str, hosts: tuple[str, ...], names: Names) -> tuple[str, Place]:
    # What stands behind "how to" is what somebody wants to be told, not done.
    asides: list[str] = []

    def set_aside(match: re.Match[str]) -> str:
        asides.append(match.group())
        return f"⟦o{len(asides) - 1}⟧"

    cutter = _Cutter(re.sub(_ASIDE, set_aside, text, flags=re.IGNORECASE))
    cutter.cut(rf"(?:and )?not (?:on |across |over )?(?:(?:the |my )?{CLUSTER}|anywhere else|remotely|the others)\b")
    exclude = _excluded(cutter, hosts, names)
    each = cutter.any(_EACH)
    groups, strange = _groups(cutter, names)
    best = cutter.any(_BEST)
    everywhere = cutter.any(_ALL)
    some = cutter.any((rf"{_ON} (?:some|any|a few|several|a couple of)(?: of)?(?: my| the)? {MACHINE}\b",))
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


def _marked(match: re.Match[str], hosts: tuple[str, ...]) -> list[str]:
    return [hosts[int(number)] for number in re.findall(r"⟦h(\d+)⟧", match.group())]


def _excluded(cutter: _Cutter, hosts: tuple[str, ...], names: Names) -> tuple[str, ...]:
    found = [host for match in cutter.cut(rf"{_EXCEPT} {HOSTS}") for host in _marked(match, hosts)]
    for group, members in names.groups.items():
        if cutter.cut(rf"{_EXCEPT} (?:the )?{re.escape(group)}(?: group| {MACHINE})\b"):
            found += members
    return tuple(dict.fromkeys(found))


def _groups(cutter: _Cutter, names: Names) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut out groups; the names of those that there are, and of those that there are not."""
    known = {group.lower(): group for group in names.groups}
    any_of = "|".join(re.escape(group) for group in sorted(names.groups, key=len, reverse=True)) or r"(?!)"
    lead = rf"(?:(?:{_ON}|over|for) )?(?:(?:all|every|each)(?: of)? )?(?:the |my )?"
    found = [
        match.group(1)
        for pattern in (
            rf"{lead}({any_of})(?: group| {MACHINE})\b",
            rf"(?:{_ON} )?(?:all|every|each)(?: of)? (?:the |my )?{MACHINE} (?:in"
            rf"|of) (?:the )?({any_of})(?: group)?\b",
            rf"{lead}group ({any_of})\b",
            rf"^(?:the )?({any_of})\s*[:,]",
            rf"(?:on|across) (?:the )?({any_of})(?=\s*(?:$|[.,;:!?]))",
        )
        for match in cutter.cut(pattern)
    ]
    stranger = re.compile(rf"\b(?:{_ON}|group) (?:all )?(?:the |my )?([\w-]+) (?:group|(?:{MACHINE}))\b", re.IGNORECASE)
    alike = [match.group(1) for match in stranger.finditer(cutter.text)]
    alike += [match.group(1) for match in re.finditer(r"\b(?:on|in) group ([\w-]+)", cutter.text, re.IGNORECASE)]
    common = re.compile(rf"{_SUPERLATIVE}|local|own|this|that|al|very", re.IGNORECASE)
    strange = tuple(word for word in alike if word.lower() not in _NO_GROUP and not common.fullmatch(word))
    return tuple(dict.fromkeys(known[group.lower()] for group in found)), strange


def _is_here(cutter: _Cutter) -> bool:
    return cutter.any(
        rf"(?:{pattern})(?=\s*(?:$|[.,;:!?)]|-\s|on\b|and\b|please\b|not\b|with\b))" for pattern in _HERE
    )


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
    either = any(" or " in match.group().lower() for match in phrases)
    between = [before[a.end() : b.start()] for a, b in zip(phrases, phrases[1:], strict=False)]
    apart = any(len(text.split()) > 1 for text in between) and len({tuple(part) for part in said}) > 1
    return tuple(dict.fromkeys(host for part in said for host in part)), either, apart, bare
