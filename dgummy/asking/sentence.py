"""What a plain sentence says about where: hosts, groups, the best one, everywhere, here; and what is left of it. Pure.

Names of hosts and quoted parts are taken out first and stand for themselves as marks (`⟦h0⟧`, `⟦q0⟧`), so that no rule
reads inside them. A phrase about a place ("on the least loaded host", "except node-3") is then cut out of the text.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace

from dgummy import hostset
from dgummy.asking.places import Names, Place, take_places
from dgummy.asking.plainer import plainly, without_remarks
from dgummy.asking.spelling import correct
from dgummy.asking.terms import MACHINE

MAX_LENGTH = 2000
"""A longer text is no sentence."""

_VOCABULARY_TEXT = """
run execute start launch tests test sync specialists specialist agents hosts host nodes node machines machine
which where should show list status load least loaded best optimal available every each everywhere across
locally gummy distribute parallel cluster network logs cancel collect whole except with and the this that what
does have most many some first work machine's would could task tasks platforms check online reach reachable
busy least-loaded tail codebase project changes everything everyone recommend suggest output outputs results
specialist syncing synchronize synchronise synced connected please
"""
_VOCABULARY = frozenset(_VOCABULARY_TEXT.split())
_OUR_WORDS_TEXT = """
a all and any are at be best by cluster do each every except first for everywhere first here host hosts i idle
it last load local locally logs machine machines network node nodes not on optimal or remote run runs some
status sync task tasks test tests that the this
"""
_OUR_WORDS = frozenset(_OUR_WORDS_TEXT.split())
"""A host or group of such a name cannot be told from the word."""


@dataclass(frozen=True)
class Sentence:
    """A sentence: `told` is all of it with marks for names and quotes, `said` the same put plainly.

    `rest` is what is left of that without its place;
    `quotes` are what stands between quotation marks, byte for byte, `quoted` the same with them.
    """

    text: str
    told: str
    said: str
    rest: str
    place: Place
    quotes: tuple[str, ...]
    hosts: tuple[str, ...]
    quoted: tuple[str, ...] = ()

    def plain(self, text: str) -> str:
        """Put what the marks stand for back into a part of the sentence: a quote alone without its quotation marks."""
        values = self.quotes if re.fullmatch(r"⟦[qc]\d+⟧", text.strip()) else self.quoted
        text = re.sub(r"⟦[qc](\d+)⟧", lambda match: values[int(match.group(1))], text)
        return re.sub(r"⟦h(\d+)⟧", lambda match: self.hosts[int(match.group(1))], text)


def read(text: str, names: Names) -> Sentence:
    """Read a sentence. Its length is at most MAX_LENGTH; the caller sees to that."""
    marked, quotes, quoted = _mark_quotes(re.sub(r"[⟦⟧\x00]", " ", text))
    marked = " ".join(_plain_signs(marked).split())
    marked = marked if re.search(r"[a-z]", marked) else marked.lower()
    ambiguous = [name for name in (*names.hosts, *names.groups) if name.lower() in _OUR_WORDS]
    known = Names(
        tuple(host for host in names.hosts if host not in ambiguous),
        {group: members for group, members in names.groups.items() if group not in ambiguous},
    )
    mentioned = tuple(name for name in ambiguous if re.search(rf"\b{re.escape(name)}\b", marked, re.IGNORECASE))
    marked = correct(marked, _VOCABULARY)
    marked, hosts, unknown = _mark_hosts(_spelt_out(marked), known)
    told = without_remarks(marked)
    marked = plainly(told, known.groups)
    rest, place = take_places(marked, hosts, known)
    unknown = tuple(dict.fromkeys((*unknown, *place.unknown)))
    place = replace(place, unknown=unknown, ambiguous=mentioned)
    return Sentence(text, told, marked, rest, place, quotes, hosts, quoted)


def _plain_signs(text: str) -> str:
    """Without signs that nobody sees or means: all dashes are one, what has no width and pictures are none."""
    dashed = re.sub(r"[\u2010-\u2013\u2212]", "-", text)
    unseen = ("Cc", "Cf", "So", "Sk", "Cs")
    return "".join(" " if char != "→" and unicodedata.category(char) in unseen else char for char in dashed)


# --- marks ----------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"`([^`]+)`|(?<![\w'])'((?:[^']|(?<=\w)'(?=\w))+)'(?![\w'])|(?<![\w\"])\"([^\"]+)\"")


_CURLY = {0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}


def _mark_quotes(text: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Put a mark in place of every quote: what stands in it, and the same with its quotation marks, as written."""
    quotes: list[str] = []
    quoted: list[str] = []
    pieces: list[str] = []
    end = 0
    plain = text.translate(_CURLY)  # as long as the text itself
    for match in _QUOTED.finditer(plain):
        group = next(number for number in (1, 2, 3) if match.group(number) is not None)
        pieces += [plain[end : match.start()], f"⟦{'c' if group == 1 else 'q'}{len(quotes)}⟧"]
        quotes.append(text[slice(*match.span(group))].strip())
        quoted.append(text[slice(*match.span())])
        end = match.end()
    return "".join(pieces) + plain[end:], tuple(quotes), tuple(quoted)


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

    text = re.sub(
        r"^(?:\[([\w-]+)\]\s*:?|@([\w-]+):?)\s+(?=\w)", lambda match: f"{match.group(1) or match.group(2)}: ", text
    )
    text = _FROM_TO.sub(r"\1[\2-\3]", text)
    return _NUMBERED.sub(spell, text)


_AFTER_ON = re.compile(
    r"\b(?:on|onto|to|at|using|via)\s+(?:host |node |machine )?(?:[\w.-]+,?\s+(?:and|or)\s+)*$", re.IGNORECASE
)
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
        if len(part) < count or any(text[a.end() : b.start()].strip() for a, b in itertools.pairwise(part)):
            continue
        words = [one.group().lower() for one in part]
        follows = text[part[-1].end() :].lstrip().lower()
        if (host := known.get(_squeezed("".join(words)))) is not None:
            return [host], count
        # "the mac" is short for mac-mini, and "the mac mini" is its name.
        longer = count == 2 and any(
            _squeezed("".join(one.group().lower() for one in tokens[at + 1 : at + more])) in known for more in (3, 4)
        )
        is_short = (
            count == 2 and not longer and not re.match(rf"(?:{MACHINE}|group|app|build|version|client|code)\b", follows)
        )
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
