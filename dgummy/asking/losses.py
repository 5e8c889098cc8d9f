"""What a reading would lose of a sentence: words that neither its tasks hold nor say where and how. Pure.

Rules cut and rewrite. Where one of them goes wrong, a word of the sentence is nowhere any more, and the sentence is
doubtful: so it is for what no rule foresees.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from dgummy.asking.readings import Frame, Intent, Reading

_SMALL_TEXT = """
a an the this that these those them it its it's that's there there's i i'd i'll i'm i've me my we we'd we'll
we've us our you you'd you've you're your they their or and as at by for from in into of on onto over to via
with within through throughout across along around among amongst between than then so too also plus namely is
are be been being was were am isn't do does doing done has have having had get gets got getting go goes going
can could may might must ought probably itself shall should will would need needs needed want wants like likes
love wish wishes prefer rather let let's lets make sure ensure see keep give put place use using take takes
try ok okay hi hey hello yo morning evening please pls plz kindly thanks thank thx ta cheers appreciate
appreciated grateful glad happy obliged nice great good kind lovely cool helpful pretty very really just
simply maybe perhaps possibly possible chance way wondering wonder mind care well literally basically actually
quickly quick sorry oops rush hurry request requested ask asks asked user both more time moment today now next
asap soon right think yourself however whatever which whichever who whoever what where wherever whatever's say
tell everyone's waiting anything 'em 's safe favour favor instruct instructed belongs apply ahead know mean
listen look
"""
_RUN_TEXT = """
run runs running ran rerun re-run exec execute executes executed executing execution start starts started
starting launch launches launched launching perform performed performing kick fire spin spawn trigger issue
boot loose working work works hand handle deal send dispatch delegate assign allocate route throw stick chuck
submit queue schedule bring repeat call orchestrate distribute distributed distributing balance balanced
balancing balancer load-balance load-balanced spread share split divide divvy farm fan parcel dish mete
auto-select remaining pending open parallelize parallelise separately evenly optimally fairly once same
handles takes performs scheduler dgummy tool decide pick choose select find look turn task tasks job jobs
/gummy-task gummy gummies agent agents gummy-agent specialist specialists expert command shell following
things chores pieces todo list
"""
_WHERE_TEXT = """
machine machines host hosts node nodes box boxes server servers computer computers worker workers platform
platforms instance instances target targets laptop desktop pc workstation cluster network fleet tailnet farm
pool localhost cluster-wide network-wide fleet-wide single whole entire own local locally remote remotely
group groups al one ones other others separate different multiple available suitable suited suit suits fit
fits best optimal ideal less lest least most lowest lightest smallest freest idlest quietest emptiest fastest
strongest idle quiet spare free busy loaded overloaded occupied utilised utilized least-loaded load cpu memory
ram room capacity headroom usage avg average resources score stay current currently present connect hop jump
head switch move ssh log via in
"""
_SYNC_TEXT = """
push copy mirror replicate upload transfer ship code codebase project repo repository tree checkout branch
changes edits files source sources stuff state version directory folder monorepo latest newest fresh
uncommitted update date
"""
_ABOUT_RUNS_TEXT = """
cancel kill abort stop halt terminate end collect fetch pull download retrieve grab results result artifacts
changed made produced output diff back home away last stuck during going nowhere
"""
_SMALL = frozenset((_SMALL_TEXT + _RUN_TEXT + _WHERE_TEXT + _SYNC_TEXT).split())
"""Words that may be in no part of a reading: by themselves they say nothing of what is to be done."""


def _to_many(reading: Reading) -> bool:
    return reading.intent in (Intent.FANOUT, Intent.DISTRIBUTE, Intent.SYNC) or reading.everywhere


_ONLY_IF: tuple[tuple[str, Callable[[Reading], bool]], ...] = (
    (
        "not don't no nor except excluding excepted exception apart besides ignoring skip without minus bar save"
        " leave leaving left alone included involving other than instead only else but bother nowhere anywhere",
        lambda reading: bool(reading.exclude) or reading.no_sync or reading.intent is Intent.LOCAL,
    ),
    (
        "first before after afterwards prior beforehand subsequently followed",
        lambda reading: reading.intent in (Intent.SYNC, Intent.SYNC_RUN, Intent.FANOUT),
    ),
    ("parallel simultaneously concurrently together", _to_many),
    (
        "all every each everywhere everything everyone everybody",
        lambda reading: (
            _to_many(reading)
            or bool(reading.exclude or reading.group)
            or reading.intent in (Intent.LOCAL, Intent.SYNC_RUN)
        ),
    ),
    (
        "two three four five few some several another",
        lambda reading: reading.intent in (Intent.DISTRIBUTE, Intent.LOCAL),
    ),
    (
        "sync syncs syncing synced synch synchronise synchronised synchronize synchronized rsync",
        lambda reading: reading.no_sync or reading.intent in (Intent.SYNC, Intent.SYNC_RUN, Intent.FANOUT),
    ),
    ("game app site website service package library", lambda reading: reading.intent in (Intent.SYNC, Intent.SYNC_RUN)),
    (
        "here",
        lambda reading: reading.intent in (Intent.LOCAL, Intent.SYNC, Intent.SYNC_RUN, Intent.RUNS),
    ),
    ("output", lambda reading: reading.is_command),
    (_ABOUT_RUNS_TEXT, lambda reading: reading.intent is Intent.RUNS),
)
"""Words that are accounted for by readings of some kind only."""


_PARTICLE = r"\b{verbs}(?: (?!turn|switch|log|sign|cut|shut)[\w⟦⟧'-]+){{0,5}}? {particle}\b"
_TURNS = re.compile(
    "|".join(
        (
            _PARTICLE.format(verbs=r"(?:kick|fire|ship|send|call)(?:ing)?", particle="off"),
            _PARTICLE.format(verbs=r"(?:start|fire|spin|boot|sync|synced|wake|queue|split|divvy)", particle="up"),
            _PARTICLE.format(
                verbs=(
                    r"(?:hand|farm|fan|share|roll|deal|divide|spread|work|figure|find|carry|leav|leave|send"
                    r"|give)(?:ing)?"
                ),
                particle="out",
            ),
            r"\bnot (?:here|locally)\b|\bset (?=(?:the )?⟦h\d+⟧ )|\bmind (?=running|doing|starting)|\bof mine\b",
            r"\bup[- ]to[- ](?:date|speed)\b",
            r"\b(?:great|good|nice|lovely|cool|helpful|wonderful|appreciated?(?: it)?|grateful|glad|happy|obliged"
            r"|love it|like it|wondering|wonder|best|please) if\b",
            r"\bif (?:you (?:please|can|could|don'?t mind|would|like|want)|(?:at all )?possible)\b",
            r"\bno (?:rush|hurry|need to)\b|\bdon'?t (?:care|mind|know)\b|\bnot sure\b|\bnothing (?:else|more)\b",
            r"\bso (?:that )?(?:no|none) .*? (?:is|gets) overloaded\b",
            r"\b(?:any|some)(?: idle| free)? (?:chance|way|machine|host|node|box)\b",
            r"\bonly (?=(?:on|use) (?:the )?⟦h)|(?<=⟧) only\b|\bnowhere else\b|\bon no other \w+",
            r"^i don'?t trust [^,;⟦]*[,;]",
            r"\bbut (?=sync|please sync|first sync)|\binstead\W*$|\bhere are\b",
            r"\b(?!not|no|never)[\w-]+ (?=(?:specialist|agent|expert)s?\b)",
            r"\(?\b\d[.)] |\byou'?re up\b|\b(?:is|are) left\b|^forget the others\b",
            r"^i(?:'ve| have)? (?:just )?(?:edited|changed|updated|committed|fixed) [^;,.]*[;,.]",
            r"^(?:(?:since|because|as) )?⟦h\d+⟧ (?:has|is|looks|seems) (?!(?:[^,;]* )?(?:not?|only|never)\b)[^,;]*[,;]",
        )
    ),
    re.IGNORECASE,
)
"""Turns of phrase that say nothing of what is to be done, though a word of them elsewhere would."""
_HANDED = re.compile(
    r"(?:please |just |now )*(?:(send|give|hand|assign|allocate|route|direct)\b(?! (?:the )?(?:⟦|best|least|optimal))"
    r"(?!.*\b(?:to|onto|between|among|over|across|each|which\w*|wherever|whatever|where|out|off|at)\b)"
    r"|(put)\b(?! (?:the )?⟦).*\bon (?:an?|the) "
    r"(?!best|least|optimal|⟦|(?:\w+ ){0,2}(?:host|node|machine|box|server|computer)(?:e?s)?\b))",
    re.IGNORECASE,
)
"""To hand work over is to hand it to somebody; `send the email on node-1` is the work."""
_AT_ONCE = re.compile(r"\b(?:at once|at the same time|in one go|side by side)\b", re.IGNORECASE)
_WORD = re.compile(r"[\w'./-]*\w")
_MARK = re.compile(r"⟦([a-z])(\d*)⟧")


def lost(frame: Frame, reading: Reading) -> str:
    """A word, quote or host of a sentence that is in no part of a reading, "" if there is none."""
    said = frame.said
    kept = [text for text in (reading.text, *reading.texts) if text is not None]
    words = [word.lower() for text in kept for word in _WORD.findall(text)]
    for kind, number in _MARK.findall(said.told):
        host = said.hosts[int(number)] if kind == "h" else ""
        if host and host not in (*reading.hosts, *reading.exclude) and host.lower() not in words:
            return host
        if kind in "qc" and not any(said.quotes[int(number)] in text for text in kept):
            return said.quoted[int(number)]
    if _AT_ONCE.search(said.told) and not (_to_many(reading) or any(map(_AT_ONCE.search, kept))):
        return "at once"
    handed = _HANDED.match(said.told)
    if handed is not None and (verb := handed.group(1) or handed.group(2)).lower() not in words:
        return verb
    have = Counter([*words, (reading.group or "").lower()])
    told = Counter(word.lower() for word in _WORD.findall(_MARK.sub(" ", _TURNS.sub(" ", said.told))))
    return next((word for word, count in told.items() if count > have[word] and not _fits(word, reading)), "")


def _fits(word: str, reading: Reading) -> bool:
    """Whether a word is accounted for, though it is in no task."""
    return word in _SMALL or any(word in words.split() and fits(reading) for words, fits in _ONLY_IF)
