"""By which words a sentence is no plain order: it says when, on what condition, what not, or merely tells. Pure."""

from __future__ import annotations

import re

from dgummy.asking.terms import RUN_DONE

WHEN = re.compile(
    r"\b(?:every|each) (?:\d+ )?(?:night|day|hour|morning|evening|week|month|minutes?|hours?|weekday"
    r"|(?:mon|tues|wednes|thurs|fri"
    r"|satur|sun)day)\b|\b(?:daily|hourly|weekly|nightly)\s*(?:$|at\b)|\b(?:tomorrow|tonight|next week"
    r"|next month|at noon"
    r"|at midnight|in the morning)\b|\bat \d{1,2}(?::\d\d)? ?(?:am|pm|o'?clock)\b|\bat \d{1,2}:\d\d\b"
    r"|\bin (?:\d+|an?|half an|two|three) (?:min(?:ute)?s?|sec(?:ond)?s?|hours?|days?|weeks?)\b|\blater$"
    r"|\bon (?:mon|tues|wednes|thurs|fri|satur|sun)days?\b|\b(?:twice|\d+ times|three times|over and over)\b"
    r"|\bthis (?:morning|afternoon|evening|weekend|week)\b|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day (?:morning"
    r"|afternoon|evening|night)\b|\bin a loop$"
    r"|\b(?:overnight|(?:during|in|at|over) (?:the )?(?:night|weekend)|from time to time|once (?:a|an|per|every) \w+)$"
    r"|\b(?:by|at|around|about|before|from|until|till) \d{1,2}(?::\d\d)?(?: ?(?:am|pm|o'?clock)| to \d{1,2})?$"
    r"|\b(?:for|by|until|till|before) (?:tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)day)$"
    r"|\bwhile (?:i|we|you)\b|\b(?:\w+|a \w+) times$|\b\d+x$|\bagain and again\b|\brepeatedly$"
    r"|\b(?:on|for|after|at|with) (?:every|each) (?:push|commit|merge|deploy|release|build)$",
    re.IGNORECASE,
)
QUESTION = re.compile(
    r"(?:is|are|am|was|were|does|did|shall (?:i|we)|do (?:i|we|you)|has|have (?:i|we|you)|why|what|who|when|how|which"
    r"|where|should|could|may"
    r"|would)\b|explain (?:to )?(?:me |us )?(?:how|what|why|where|which|when|the difference)\b",
    re.IGNORECASE,
)
NEGATION = re.compile(
    r"^again$|^(?:run |do )?not\b|^(?:run |do )?no\b|\b(?:refrain|didn'?t|i'd rather not)\b"
    rf"|(?:\b(?:must|should|shall|may|can|ought to|are to|is to) not|n't) (?:be )?(?:{RUN_DONE}|run)\b"
    rf"|\bcannot be {RUN_DONE}\b"
    r"|\b(?:do not|don'?t|dont|never"
    r"|without (?:actually )?(?:running|executing)|nobody should"
    r"|no one should|under no circumstances)\b"
    r"|^(?:you |we |i |it |they )?(?:(?:must|should|shall|may|can|need|ought)(?: not|n'?t)|cannot"
    r"|mustn'?t|shouldn'?t)\b"
    r"|^(?:run nothing|(?:plan|prepare|want|wait|ready|get ready) to|consider|imagine|suggest|postpone|delay|hold|undo"
    r"|cancel(?=:)|stop(?!\b.* from \w+ing\b)(?! (?:the|that) \w+ (?:in|of) )|avoid|refuse|forget|pretend"
    r"|make sure (?:not|nobody|no one)"
    r"|be sure not)\b"
    r"|\b(?:ask me first|just kidding|only show|as a dry run|dry run only|but (?:as a )?dry run)\b",
    re.IGNORECASE,
)
PROHIBITION = re.compile(r"\b(?:do not|don'?t|dont|never)\b", re.IGNORECASE)
VAGUE = re.compile(
    r"(?:fix|do|run|make|start|use) (?:(?:it|that|this|something|everything)(?=\s*(?:$|[,.;]|on\b|for\b"
    r"|like\b|again\b))"
    r"|the things?\b)|.*\b(?:something|anything|whatever) (?:useful|nice|good|you)\b"
    r"|.*\b(?:or (?:something|so|whatever)|i (?:guess|suppose|think)|maybe|perhaps)\W*$",
    re.IGNORECASE,
)
VAGUE_TASK = re.compile(
    r"(?:it|that|this|the things?|things?|stuff|something|anything|everything)\b.{0,20}", re.IGNORECASE
)
TAKES_BACK = r"(?:no wait|wait no|actually no|scratch that|no,? make that|on second thought)\b"
# Neither what somebody is to do nor the name of something to be done.
NO_ORDER = re.compile(
    r"\b(?:i|we|you|they) (?:already |just |have |had )*(?:ran|did|started|tried|deployed|fixed|launched|synced)\b"
    r"|^(?:be|i|you|we|he|she|they|it|it'?s|you'?re|i'?m|we'?re|that|there|this is|these are|those|either|if"
    r"|(?:someone|somebody|anyone|anybody)(?! to\b)"
    r"|because|since|me|lol)\b"
    r"|\b(?:should be|ought to be|is|are|was|were|am) (?!a\b|the\b)\w+(?:ed|ing|en|ever)?$"
    r"|\b(?:fails?|failed|crash(?:es|ed)?|hangs?|hung|breaks|broke|broken|works|worked|pass(?:es|ed)?|takes|took)$"
    r"|^(?!run\b)[^,;:]*\b(?:ran|went)\b(?! (?:out|wrong|off|away|into|over)\b)|^have \w+(?:ed|n)\b"
    r"|^(?:[\w-]+ ){1,3}(?:runs|says?|said|wants?|wanted|thinks?|told|asked|wrote)(?: me| us)?"
    r" (?:to|that|the|run|not|cannot)\b",
    re.IGNORECASE,
)
CONDITION = re.compile(
    r"\b(?:provided|assuming|supposing|otherwise|else|or else|as long as)\b|\bafter .*\b(?:finish|end"
    r"|pass|complete|is done)"
    r"|\b(?:if|unless|when|once|until|in case)\b.*(?:⟦h|\b(?:busy|free|idle|fails?|failed"
    r"|pass(?:es)?|done|finish(?:es|ed)?)\b)"
    r"|^(?:if|unless|when|whenever|once|until|while|as soon as|in case|after|before|should)\b[^,]*,"
    r"|\b(?:until (?:it|they|all|everything)|when(?:ever)? (?:i|we|you|everybody|everyone|nobody|somebody|ready))\b",
    re.IGNORECASE,
)
EXCEPTION = re.compile(
    r"\b(?:except|excluding|excepting|apart from|other than|all but|but not|not (?:on|in)|besides|outside"
    r"|but (?:one|two|three|\d+|the (?:first|last)))\b",
    re.IGNORECASE,
)
NOT_OURS = re.compile(
    r"(?:good|nice|great|thanks|thank|well done|cool|sorry|congrats|bravo|remind|book|order (?:a|an|some|me|us)"
    r"|buy|play"
    r"|sing|call(?! off)|email|e-mail|phone|text|marry|hate|love|congratulate)\b",
    re.IGNORECASE,
)
