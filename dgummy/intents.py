"""What a plain sentence asks for, by rules. Pure.

A rule looks at the frame of a sentence (how it begins, what kind of question it is) and at its place (`sentence`). Where
rules leave two readings, both are given and neither is sure: nobody's machines are put to work on a guess.
"""

from __future__ import annotations

import re
from dataclasses import replace

from dgummy.questions import SHOW, asked
from dgummy.plainer import MACHINE
from dgummy.readings import Frame, Intent, Reading, Understood
from dgummy.sentence import Names, read
from dgummy.tasktext import Work, parts, work_of


def understand(text: str, names: Names) -> Understood:
    """Read a sentence: what it asks for, and where."""
    said = read(text, names)
    if (slash := re.match(r"/[\w-]+\s*(.*)", said.text.strip(), re.DOTALL)) is not None:
        return Understood((Reading(Intent.LOCAL, slash.group(1).strip() or None),), text=text)
    frame = Frame(said)
    found = _harmful(frame) or _mixed(frame) or asked(frame) or _order(frame)
    if said.place.unknown:
        found = replace(found, doubt=f"there is no host or group {', '.join(said.place.unknown)}")
    return replace(found, text=text)


_HARM = re.compile(
    r"\b(?:wipe|erase|destroy|nuke|rm -\w+|reboot|shut ?down|shutdown|power ?off|turn off|switch off|uninstall|factory reset|sudo|mkfs|dd if)\b"
    r"|\bformat (?:the|all|every|my) (?:\w+ )?(?:disks?|drives?|partitions?)\b"
    r"|\b(?:kill|terminate|stop) (?:all|every)\b"
    r"|\b(?:delete|drop|remove|purge|clear|trash|clean out|empty) (?:all|every|everything|(?:(?:the|my|our|old|whole|entire) )*(?:home|disks?|databases?|backups?|users?|tables?|data))\b"
    r"|\bdelete (?:(?:the|my|our|old|whole|entire) )*(?:[\w-]+ )?(?:logs?|files?|folders?|director(?:y|ies)|branches|repo(?:sitory)?|projects?|codebase)\b",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\b(?:every|each) (?:\d+ )?(?:night|day|hour|morning|evening|week|month|minutes?|hours?|monday|tuesday|wednesday|thursday|friday|saturday|sunday|weekday)\b"
    r"|\b(?:daily|hourly|weekly|nightly)\s*(?:$|at\b)|\b(?:tomorrow|tonight|next week|next month|at noon|at midnight|in the morning)\b"
    r"|\bat \d{1,2}(?::\d\d)? ?(?:am|pm|o'?clock)\b|\bat \d{1,2}:\d\d\b|\bin \d+ (?:minutes?|hours?|days?)\b|\blater$",
    re.IGNORECASE,
)
_LEFT_OVER = re.compile(
    rf"\b(?:on|to|and|or|except|not|only|but)\s+(?:on |to )?(?:the |my |our |a |an |some |any |that |this )?(?:[\w-]+ )?{MACHINE}(?=\s*(?:$|[.,;:!?]))",
    re.IGNORECASE,
)


def _order(frame: Frame) -> Understood:
    """What a sentence gives to do."""
    work = work_of(frame.core, frame.said.quotes)
    place = frame.place
    doubt = _doubt(frame, work)
    if doubt is not None:
        return doubt
    if place.here:
        return Understood((frame.reading(Intent.LOCAL, work.text, is_command=work.is_command, hosts=()),))
    several = parts(work, frame.said.quotes, looking=place.each or not place.named)
    if place.each or (len(several) > 1 and not place.named) or _spreads(frame, work):
        return _distributed(frame, several)
    if not place.named:
        return _nowhere(frame, work)
    if work.sync:
        return _synced(frame, work)
    return Understood((_placed(frame, work),))


def _harmful(frame: Frame) -> Understood | None:
    """An order that would destroy something: meant, it stands in quotes."""
    if _HARM.search(frame.core) is None:
        return None
    place = frame.place
    intent = Intent.RUN_HOST if place.hosts else Intent.FANOUT if place.everywhere or place.groups else Intent.RUN_BEST
    near = (frame.reading(intent, frame.core), frame.reading(Intent.LOCAL, frame.core, hosts=()))
    return Understood(near, "it would destroy something, or switch it off; quote the command if it is meant")


def _mixed(frame: Frame) -> Understood | None:
    """A sentence that wants two different things, of which one is only to be told something."""
    if not _is_two_orders(frame):
        return None
    near = (
        frame.reading(Intent.RUNS, detail="runs"),
        frame.reading(Intent.RUN_HOST if frame.place.hosts else Intent.RUN_BEST),
    )
    return Understood(near, "it asks for two different things")


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


def _spreads(frame: Frame, work: Work) -> bool:
    """Whether tasks that it does not name are to be balanced."""
    verb = re.match(r"(?:load[- ])?(?:balance|spread|distribute|share)\b", frame.core, re.IGNORECASE)
    return verb is not None and frame.place.everywhere and work.text is None


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
    """Work without a place: here, or on the best host?"""
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


def _doubt(frame: Frame, work: Work) -> Understood | None:
    """What keeps an order from being carried out, None if nothing does."""
    place, text = frame.place, work.text
    here, there = frame.reading(Intent.LOCAL, text, hosts=()), frame.reading(Intent.RUN_HOST, text)
    best, all_of_them = frame.reading(Intent.RUN_BEST, text), frame.reading(Intent.FANOUT, text)
    at_host = there if place.hosts else all_of_them if place.everywhere or place.groups else best
    negation = re.search(
        r"\b(?:do not|don'?t|dont|never|stop|without running|without executing)\b", frame.core, re.IGNORECASE
    )
    question = re.match(
        r"(?:is|are|am|was|were|does|did|do (?:i|we|you)|has|have (?:i|we|you)|why|what|who|when|how|which|where|should|could|may|would)\b"
        r"|explain\b",
        frame.core,
        re.IGNORECASE,
    )
    vague = re.fullmatch(
        r"(?:it|that|this|the things?|things?|stuff|something|anything|everything)\b.{0,20}", text or "", re.IGNORECASE
    )
    installed = re.match(
        r"(?:is|are) (?:the )?(?P<one>[\w.+-]+)\b.*\b(?:installed|available|present|there)\b|(?:does|do|has|have) ⟦h\d+⟧ (?:have |got )?(?P<other>[\w.+-]+)",
        frame.core,
        re.IGNORECASE,
    )
    again = re.match(
        r"(?:fix|do|run|make|start|use) (?:(?:it|that|this|something|everything)(?=\s*(?:$|[,.;]|on\b|for\b|like\b|again\b))|the things?\b)",
        frame.core,
        re.IGNORECASE,
    )
    checks: tuple[tuple[bool, str, tuple[Reading, ...]], ...] = (
        (
            installed is not None and place.named,
            "it asks what a host has",
            (_look_for(frame, installed), frame.reading(Intent.STATUS, detail="status")),
        ),
        (
            re.fullmatch(r"⟦[hu]\d*⟧(?:(?:,| and) ⟦[hu]\d*⟧)*", frame.core) is not None,
            "it only names a host",
            (frame.reading(Intent.STATUS, detail="status"), there),
        ),
        (
            question is not None,
            "it is a question that is not about hosts or runs",
            (frame.reading(Intent.STATUS, detail="status"), at_host),
        ),
        (
            negation is not None,
            "it says what is not to be done",
            (frame.reading(Intent.STATUS, detail="status"), at_host),
        ),
        (place.here and place.named, "it says both here and elsewhere", (here, at_host)),
        (_WHEN.search(frame.core) is not None, "it says when: inv cron.add makes a job of a command", (at_host, here)),
        (
            _LEFT_OVER.search(frame.core) is not None and place.named,
            "it speaks of a machine that is not known",
            (at_host, here),
        ),
        (
            place.bare and bool(place.hosts) and not frame.has(r"(?:there|on it|on that)\b"),
            "it names a host, but not as the place for some work",
            (frame.reading(Intent.STATUS, detail="status"), there),
        ),
        (place.either, "it names one host or another", (best, there)),
        (
            place.apart,
            "it names several hosts, each for something else",
            (there, frame.reading(Intent.DISTRIBUTE, texts=(text or "",))),
        ),
        (
            bool(place.hosts) and (place.best or place.everywhere or bool(place.groups)),
            "it names a host, and others",
            (there, best),
        ),
        (place.best and place.everywhere, "it says both the best host and all of them", (best, all_of_them)),
        (len(place.groups) > 1, "it names several groups", (all_of_them, best)),
        (
            frame.nothing,
            "nothing is to be run",
            (frame.reading(Intent.WHICH_HOST, text), frame.reading(Intent.STATUS, detail="status")),
        ),
        (bool(again or vague) and not place.here, "it does not say what it is about", (at_host, here)),
        (
            _is_test_of_a_host(frame),
            "to test a host, or to run tests there?",
            (frame.reading(Intent.STATUS, detail="status"), there),
        ),
        (
            place.named and not (work.text or work.gummy or work.sync or _spreads(frame, work)),
            "it does not say what is to be done",
            (at_host, here),
        ),
    )
    for is_so, why, near in checks:
        if is_so:
            return Understood(near, why)
    return None


def _look_for(frame: Frame, program: re.Match[str] | None) -> Reading:
    everywhere = not frame.place.hosts
    return frame.reading(
        Intent.COMMAND,
        f"command -v {next(filter(None, program.groups()), '') if program else ''}",
        is_command=True,
        everywhere=everywhere,
    )


def _is_test_of_a_host(frame: Frame) -> bool:
    return re.fullmatch(r"(?:test|try|check) (?:the )?⟦h\d+⟧", frame.core, re.IGNORECASE) is not None


_SECOND = (
    rf"(?:[,;.]|\band\b|\bthen\b)\s*(?:and |then |also |please )*(?:{SHOW} (?:me |my )?(?:the )?(?:logs?|runs|status|load|specialists|output|last)"
    r"|(?:cancel|kill|abort|collect|tail|follow) (?:the|my|that|last)\b|tell me\b)"
)
_FIRST = rf"^(?:{SHOW} (?:me |my )?(?:the )?(?:logs?|runs|status|load|specialists|hosts|state)|(?:cancel|kill|abort|collect|tail) (?:the|my|that|last)\b)"
_WORK_TOO = (
    r"\b(?:and|then)\s+(?:then |also |please )*(?:run|start|execute|launch|sync|fix|deploy|build|test|re-?run)\b"
)


def _is_two_orders(frame: Frame) -> bool:
    """Whether a sentence wants something told, or done to a run, and something else done as well."""
    core = frame.core
    asks_first = re.search(_FIRST, core, re.IGNORECASE) is not None
    if asks_first and re.search(_WORK_TOO, core, re.IGNORECASE):
        return True
    second = re.search(_SECOND, core, re.IGNORECASE)
    return (
        second is not None
        and second.start() > 0
        and (asks_first or re.match(r"(?:run|start|execute|launch|sync)\b", core, re.I) is not None)
    )


_NO_ORDER = re.compile(
    r"^(?:i|you|we|he|she|they|it|it'?s|you'?re|i'?m|we'?re|that|there|this is|these are|those|either|if|when|because|since|me|my \w+ (?:is|are|was))\b"
    r"|\b(?:should be|ought to be|is|are|was|were|am) (?!a\b|the\b)\w+(?:ed|ing|en|ever)?$",
    re.IGNORECASE,
)


def _is_no_order(text: str) -> bool:
    """Whether a text is no task: neither what somebody is to do nor the name of something to be done."""
    last = re.split(r"[.;!?]\s+", text)[-1]
    return _NO_ORDER.search(last) is not None
