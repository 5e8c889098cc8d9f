"""What a plain sentence asks for, by rules. Pure.

A rule looks at the frame of a sentence (how it begins, what kind of question it is) and at its place (see `places`).
Where rules leave two readings, both are given and neither is sure: nobody's machines are put to work on a guess.
"""

from __future__ import annotations

import re
from dataclasses import replace

from dgummy.asking.doubts import of_an_action, of_an_order, of_anything, spreads
from dgummy.asking.losses import lost
from dgummy.asking.places import Names
from dgummy.asking.questions import asked
from dgummy.asking.readings import Frame, Intent, Reading, Understood
from dgummy.asking.sentence import read
from dgummy.asking.tasktext import Work, is_verb, parts, work_of


def understand(text: str, names: Names) -> Understood:
    """Read a sentence: what it asks for, and where."""
    said = read(text, names)
    if (slash := re.match(r"/[\w-]+\s*(.*)", said.text.strip(), re.DOTALL)) is not None:
        return Understood((Reading(Intent.LOCAL, slash.group(1).strip() or None),), text=text)
    frame = Frame(said)
    found = of_anything(frame) or asked(frame) or _order(frame)
    first = found.readings[0]
    if found.sure and first.intent is Intent.RUNS and _does_something(first):
        found = replace(found, doubt=of_an_action(frame))
    if found.sure and _does_something(first) and (word := lost(frame, first)):
        found = replace(found, doubt=f"“{word}” would be lost")
    if said.place.ambiguous:
        name = said.place.ambiguous[0]
        found = replace(found, doubt=f"{name} is a word, and here the name of a host or group as well")
    elif said.place.unknown:
        found = replace(found, doubt=f"there is no host or group {', '.join(said.place.unknown)}")
    return replace(found, text=text)


def _does_something(reading: Reading) -> bool:
    """Whether something is done, not only told."""
    if reading.intent is Intent.RUNS:
        return reading.detail in ("cancel", "collect", "retry")
    return reading.intent not in (Intent.STATUS, Intent.SPECIALISTS, Intent.WHICH_HOST)


def _order(frame: Frame) -> Understood:
    """What a sentence gives to do."""
    work = work_of(frame.core, frame.said.quotes)
    place = frame.place
    doubt = of_an_order(frame, work)
    if doubt is not None:
        return doubt
    if place.here:
        return Understood((frame.reading(Intent.LOCAL, work.text, is_command=work.is_command, hosts=()),))
    listed = _is_listed(frame)
    spread = _SPREAD.match(frame.core) is not None
    several = parts(work, looking=listed or place.each or not place.named or spread, listed=listed)
    if spreads(frame, work):  # tasks that it does not name
        return _distributed(frame, ())
    if (doubtful := _doubt_of_several(frame, work, several, listed=listed, spread=spread)) is not None:
        return doubtful
    if place.each or (len(several) > 1 and (spread or listed or not place.named)):
        return _distributed(frame, several)
    if not place.named:
        return _nowhere(frame, work)
    if work.sync:
        return _synced(frame, work)
    return Understood((_placed(frame, work),))


_STRAY_PLACE = re.compile(
    r"\b(?:local|remote|remotely|locally|laptop|cluster|(?:this|my|other) (?:machine|host|node|box|computer))\b",
    re.IGNORECASE,
)
_SPREAD = re.compile(
    r"(?:load[- ]balance|balance|spread|distribute|share|split|divide|parallelise|parallelize|farm|orchestrate)\b",
    re.IGNORECASE,
)
_IN_ORDER = re.compile(r"\b(?:then|first|afterwards|after that|before|finally|or)\b", re.IGNORECASE)
_AT_ONCE = re.compile(r"\b(?:in parallel|simultaneously|concurrently|at once|at the same time)\b", re.IGNORECASE)
_CHECKS = re.compile(r"\b(?:tests?|testing|checks?|suite)$", re.IGNORECASE)
_LIST = re.compile(
    r"^:|^[^:]*\b(?:these|those|the following)\b[^:]*:|^(?:distribute|(?:load[- ])?balance|paralleli[sz]e|spread"
    r"|farm out"
    r"|hand out|orchestrate)\b",
    re.IGNORECASE,
)


def _is_listed(frame: Frame) -> bool:
    """Whether a list of tasks follows: behind a colon, or behind a word that is for several."""
    return any(_LIST.match(text) is not None for text in (frame.said.rest, frame.whole))


_LEANS = re.compile(
    r"^(?:not|no|but|then|after|before|once|when|finally|next|step \d)\b"
    r"|^(?:deploy|publish|release|ship|push|tag|upload)(?= (?:the|it|to|a)\b|$)"
    r"|^(?!first).*\b(?:after|before|depends|once (?:the|it)) |\bfirst$",
    re.IGNORECASE,
)


def _are_in_order(frame: Frame, several: tuple[str, ...]) -> bool:
    """Whether one of several tasks waits for another: side by side they would go wrong."""
    if any(_LEANS.search(text) for text in several[1:]):
        return True
    later = "|".join(re.escape(text) for text in several[1:])
    return re.search(rf"\bthen (?:{later})", frame.said.told, re.IGNORECASE) is not None


def _doubt_of_several(
    frame: Frame, work: Work, several: tuple[str, ...], *, listed: bool, spread: bool
) -> Understood | None:
    """What is against spreading tasks, or one that is to be spread (`spread`); a list of them may follow (`listed`)."""
    if len(several) > 1 and _are_in_order(frame, several):
        near = (frame.reading(Intent.RUN_BEST, work.text), frame.reading(Intent.DISTRIBUTE, texts=several))
        return Understood(near, "it names several tasks, and an order of them")
    if len(several) > 1 and not (frame.place.named or listed or spread) and (why := _why_not_several(frame, several)):
        near = (frame.reading(Intent.LOCAL, work.text), frame.reading(Intent.DISTRIBUTE, texts=several))
        return Understood(near, why)
    one_of_many = spread and frame.place.everywhere and len(several) == 1
    if one_of_many and not (work.is_command or _CHECKS.search(work.text or "")):
        near = (frame.reading(Intent.DISTRIBUTE, texts=several), frame.reading(Intent.FANOUT, work.text))
        return Understood(near, "it names one task, and speaks of several")
    return None


def _why_not_several(frame: Frame, several: tuple[str, ...]) -> str:
    """What is against tasks being several, each for a host of its own, where nothing but `and` says so."""
    if _STRAY_PLACE.search(frame.core):
        return "it speaks of a place in a way that is not understood"
    if _IN_ORDER.search(frame.core):
        return "it names several tasks, and an order of them"
    if _AT_ONCE.search(frame.whole):
        return ""
    if not all(is_verb(text.split()[0].lower()) for text in several):
        return "it does not say where, nor what is to be done"
    if any(len(text.split()) < 2 for text in several):
        return "it does not say where, nor if it is one task or several"
    return ""


def _placed(frame: Frame, work: Work) -> Reading:
    """Work at a place that was named."""
    place = frame.place
    everywhere = not place.hosts and (place.everywhere or bool(place.groups))
    if work.is_command:
        return frame.reading(Intent.COMMAND, work.text, everywhere=everywhere, is_command=True)
    if place.hosts:
        return frame.reading(Intent.RUN_HOST, work.text)
    return frame.reading(Intent.FANOUT if everywhere else Intent.RUN_BEST, work.text)


def _synced(frame: Frame, work: Work) -> Understood:
    if work.text is None and not work.gummy:
        reading = frame.reading(Intent.SYNC, everywhere=not frame.place.hosts)
        if frame.place.best:
            return Understood((reading,), "a sync needs to be told where to")
        return Understood((reading,))
    if not frame.place.hosts and not frame.place.best:
        return Understood((frame.reading(Intent.FANOUT, work.text, is_command=work.is_command),))
    return Understood((frame.reading(Intent.SYNC_RUN, work.text, is_command=work.is_command),))


def _distributed(frame: Frame, several: tuple[str, ...]) -> Understood:
    texts = tuple(frame.said.plain(text) for text in several)
    reading = frame.reading(Intent.DISTRIBUTE, texts=texts, hosts=() if frame.place.each else frame.place.hosts)
    if not texts and not frame.core:
        return Understood((reading,), "it does not say what is to be distributed")
    if len(texts) == 1 and frame.place.each:
        one = frame.reading(Intent.RUN_BEST, texts[0])
        return Understood((one, replace(reading, texts=texts)), "it names one task, and speaks of several")
    return Understood((reading,))


def _nowhere(frame: Frame, work: Work) -> Understood:
    """What is work without a place: is it for here, or for the best host?  Nobody can tell."""
    doubt = "it does not say where"
    if frame.place.some:
        near = (frame.reading(Intent.RUN_BEST, work.text), frame.reading(Intent.FANOUT, work.text))
        return Understood(near, "it does not say which hosts, or how many")
    if work.text is None or not (work.launched or work.verb):
        return Understood(
            _bare_work(frame, work), "nothing that is to be done was understood" if not work.text else doubt
        )
    if work.is_command:
        near = (
            frame.reading(Intent.COMMAND, work.text, is_command=True),
            frame.reading(Intent.LOCAL, work.text, is_command=True),
        )
    else:
        near = (frame.reading(Intent.RUN_BEST, work.text), frame.reading(Intent.LOCAL, work.text))
    return Understood(near, doubt)


def _bare_work(frame: Frame, work: Work) -> tuple[Reading, ...]:
    if re.fullmatch(r"(?:the |my |all )*(?:unit |integration |e2e )*tests?", frame.core, re.IGNORECASE):
        return frame.reading(Intent.LOCAL, work.text), frame.reading(Intent.FANOUT, work.text)
    return frame.reading(Intent.STATUS, detail="status"), frame.reading(Intent.RUN_BEST, work.text)
