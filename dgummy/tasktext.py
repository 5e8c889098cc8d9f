"""The work that a sentence names, once its place is taken out: a task for an agent, a shell command, or several. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

LAUNCH = (
    r"(?:run|running|execute|executing|start|launch|perform|do|put|send|dispatch|place|schedule|kick off|trigger|fire off|submit|"
    r"queue|process|carry out|try|distribute|delegate|assign|hand|invoke|spin up|spin|get|see to|make sure|give|fan out|get going(?: on| with)?|begin|rerun|re-run|have a go at|take care of|handle|crank through|work on)"
)
_SPREAD = (
    r"(?:balance|spread|farm out|share out|split up|split|divide up|divide|paralleli[sz]e|orchestrate|hand out|deal out|distribute)"
)
_CODE = (
    r"(?:(?:my|the|this|our|all|all of|local|current|whole|latest|new|newest|own) )*"
    r"(?:codebase|code|project|repo(?:sitory)?|changes|everything|it|files?|sources?|(?:working )?tree|work(?:space)?|folder|directory"
    r"|app|checkout|edits|branch|stuff)"
)
_SYNC = re.compile(
    rf"^(?:(?:after|once) (?:syncing|a sync|you (?:have )?synced)(?: (?:the |my |our )?\w+)?|(?:sync|synchroni[sz]e|rsync|resync)(?:\s+up)?(?:\s+{_CODE})?"
    rf"|(?:push|copy|upload|transfer|send|ship|mirror|get|bring|move)(?:\s+(?:up|over))?\s+{_CODE})(?:\s+over)?(?:\s+first)?"
    r"(?=$|\s*[,;+&]|\s+and\b|\s+then\b|\s+before\b)(?:[\s,;+&]|and\b|then\b)*",
    re.IGNORECASE,
)
VERBS = frozenset(
    "add analyse analyze audit apply benchmark build bump change check clean cleanup clear compile configure convert cover create "
    "debug define delete design document draft drop enable expand explore extend extract find finish fix format generate harden "
    "implement improve index inline install integrate introduce investigate lint localize make measure merge migrate move "
    "optimise optimize patch polish port prepare profile prune refactor refresh reduce regenerate release remove rename "
    "reorganise reorganize replace resolve restructure review rewrite scan set setup shorten show simplify sort speed split "
    "stabilise stabilize summarise summarize test tidy translate trim tune turn tweak update upgrade use validate verify vacuum "
    "wire write redesign rework restyle secure cache paginate seed backfill deduplicate fuzz instrument log monitor track "
    "support handle hook parse print render reproduce revert rotate scaffold sanitise sanitize squash style swap unify "
    "bring collect fetch collapse open deploy publish ship bootstrap rebuild rerun allow avoid convert hide teach".split()
)
_PROGRAMS = frozenset(
    "ls df du cat uname uptime whoami hostname date free ps nproc lscpu pwd id env echo grep find head tail top w who "
    "pytest tox nox mypy ruff make cmake ninja bazel cargo rustc npx yarn pnpm node python python3 pip pip3 poetry uv "
    "inv invoke gradle ./gradlew mvn bundle rake rails php composer kubectl helm terraform ansible rsync tar curl wget "
    "gcc g++ cc clang jq sh bash gradlew hatch pre-commit".split()
)
_WITH_WORDS = {
    "git": "add bisect blame branch checkout cherry-pick clean clone commit config describe diff fetch fsck gc grep init log ls-files merge mv pull push rebase remote reset restore rev-parse rm show stash status submodule switch tag worktree",
    "docker": "build compose exec images info logs ps pull push run start stop system version prune",
    "go": "build test vet generate mod run fmt install version",
    "npm": "test run ci install i start audit outdated",
    "yarn": "test run install build add",
    "swift": "build test run package",
    "apt": "update upgrade install list",
    "apt-get": "update upgrade install",
    "brew": "install update upgrade list doctor",
    "systemctl": "status start stop restart list-units",
    "tailscale": "status ping up down ip version",
    "xcodebuild": "-scheme test build clean -version",
    "gummy": "",
}
_ENGLISH_AFTER = frozenset("the a an it sure that this these those my our all every sense them up".split())


_HANDS_OVER = re.compile(r"(?:put|place|send|get|hand|give|do|try|process|schedule|submit|queue)\b", re.IGNORECASE)
_WHERE_TO = re.compile(r"\b(?:in|into|behind|under|inside|between|from|out of|next to|to the)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Work:
    """What is to be done. `text` is None if the sentence names nothing; `gummy` if it asks for an agent by name."""

    text: str | None
    is_command: bool = False
    launched: bool = False
    verb: bool = False
    gummy: bool = False
    sync: bool = False


def work_of(core: str, quotes: tuple[str, ...]) -> Work:
    """Read the work out of what is left of a sentence."""
    text, sync = core, False
    if (match := _SYNC.match(text)) is not None:
        text, sync = text[match.end() :], True
    text = re.sub(
        r"\s*[,;]?\s*\b(?:and |then )*(?:sync|syncing)(?: (?:it|first|everything))*(?: first| before(?:hand)?)?$",
        "",
        text,
        flags=re.I,
    )
    text = _without_doer(tidy(text))
    launch = re.match(rf"(?:ssh(?:ing)?(?: in| over)? (?:and|to) )?{LAUNCH}\b[\s:]*", text, re.IGNORECASE)
    object_ = (
        tidy(text[launch.end() :]) if launch else tidy(re.sub(r"^ssh(?: in)? and ", "", text, flags=re.IGNORECASE))
    )
    if (
        launch
        and (again := re.match(rf"(?:and )?{LAUNCH}\b\s*", object_, re.IGNORECASE))
        and again.end() < len(object_)
    ):
        object_ = tidy(object_[again.end() :])
    gummy = _GUMMY.search(text) is not None
    command = _command(object_, quotes)
    if command is not None and not re.search(r"\bgummy task\b", text, re.IGNORECASE):
        return Work(command, is_command=True, launched=True, sync=sync)
    plain = _task(object_)
    verb = re.match(r"[A-Za-z]+", plain or "")
    starts = verb is not None and _is_verb(verb.group().lower())
    return Work(plain, launched=launch is not None or gummy, verb=starts, gummy=gummy, sync=sync)


def is_command(text: str) -> bool:
    """Whether a text is evidently a shell command: a program's name with what belongs to it, or options."""
    words = text.split()
    if not words:
        return False
    program, after = words[0], words[1:]
    if any(word.startswith("./") for word in after) and program.islower() and program not in VERBS:
        return True
    if program.startswith(("./", "/", "~/")) and len(program) > 2:
        return True
    first = after[0] if after else ""
    if program in _WITH_WORDS:
        return first in _WITH_WORDS[program].split() or first.startswith("-")
    known = program in _PROGRAMS
    if known and first.lower() not in _ENGLISH_AFTER:
        return not (
            program in ("find", "who", "date", "top", "free", "node", "make")
            and len(after) > 2
            and not _shellish(after)
        )
    return _shellish(after) and program.islower() and not re.search(r"[,;.]$", program) and program not in VERBS


def _shellish(words: list[str]) -> bool:
    return any(re.match(r"--?[A-Za-z][\w-]*(?:=|$)", word) for word in words) or any(
        word in ("&&", "||", "|", ">") for word in words
    )


def parts(work: Work, quotes: tuple[str, ...], *, looking: bool) -> tuple[str, ...]:
    """Split work into the tasks that it holds; one where it is one. `looking`: whether several are to be expected."""
    text = work.text
    if not text:
        return ()
    if not looking or work.is_command:
        return (text,)
    text = re.sub(r"[,;.:\s]*\(?\b\d[.)]\s+", "; ", text) if re.search(r"\b1[.)]\s", text) else text
    text = re.sub(
        r"(?:\s*[,;.]\s*|\s+)(?:and |plus )?(?:another|the other|a second|a third)(?: one)? (?=\w+)",
        "; ",
        text,
        flags=re.I,
    )
    named = r"^[^:;]*\b(?:tasks|jobs|things|pieces of work|items)\b[^:;]*?(?:;|,? namely|[:.,])\s*"
    head = re.match(named, text, re.IGNORECASE) or re.match(
        r"^[^:]*\b(?:jobs|tasks|things|pieces|items|these|those|them|following|up)\b[^:]*:\s*", text, re.IGNORECASE
    )
    body = text[head.end() :] if head else text
    marked = re.findall(r"⟦[qc]\d+⟧", body)
    if len(marked) > 1 and not re.sub(r"⟦[qc]\d+⟧|\band\b|[,;+&\s]|\bin parallel\b", "", body):
        return tuple(marked)
    pieces = [
        tidy(piece)
        for piece in re.split(
            r"\s*(?:,\s*(?:and|plus)\s+|;\s*(?:and\s+)?|\s\+\s|,\s+|\s+and(?: also)?(?: to)?\s+|\s+plus\s+|\s+as well as\s+|\s&\s|\s/\s)",
            body,
        )
    ]
    pieces = [
        re.sub(r"^(?:have |got )?(?:a|an|some|the) (?=\w)", "", _without_launch(piece)) for piece in pieces if piece
    ]
    if len(pieces) < 2 or any(re.search(r"\b(?:it|its|them|that)\b", piece) for piece in pieces[1:]):
        return (tidy(body),)
    verbs = [_is_verb(_first(piece)) for piece in pieces]
    nouns = [not verb and len(piece.split()) >= 2 for verb, piece in zip(verbs, pieces, strict=True)]
    if all(verbs) or (all(nouns) and not any(verbs)) or (head and len(pieces) > 1):
        return tuple(pieces)
    return (tidy(body),)


def tidy(text: str) -> str:
    """Without what a phrase that was cut out left behind: blanks, commas, `there`, `please`."""
    text = re.sub(r"\s+([.,;:!?])(?![\w./])", r"\1", " ".join(text.split()))
    text = re.sub(
        r"\b(?:in parallel|simultaneously|at once|at the same time|concurrently)\b", "", text, flags=re.IGNORECASE
    )
    while True:
        shorter = re.sub(
            r"^(?:[\s,;:!?)]+|[.-]+(?![\w/.-])|(?:of|with|and|then|please|just|for|also)\b\s*)+",
            "",
            text,
            flags=re.IGNORECASE,
        )
        shorter = re.sub(
            r"(?:[\s,;:!?(-]+|(?<=[\w)\"⟧])\.|(?<=\s)\.+|\s(?:there|please|pls|on it|over there|and|then|for me|now|today|thanks|asap|instead|for that|to|of|over|at|on|with|as well|too|here|all|both))$",
            "",
            shorter,
            flags=re.IGNORECASE,
        )
        if shorter == text:
            return " ".join(text.split())
        text = shorter


_GUMMY = re.compile(r"\b(?:gummy|gummies|specialists?|agents?)\b", re.IGNORECASE)
_AGENT = r"(?:a |an |the |my |some )?(?:[\w-]+ )?(?:gummy(?:[- ]agents?)?|specialists?|agents?)"
_DOER = re.compile(
    rf"^(?:(?:the |a )?(?:[\\w-]+ )?(?:specialist|agent|expert) (?:ran|should|must|shall|runs|did|does|should|could|can|would|to|wrote|fixed) |(?:have|let|get|ask|tell|make|want|use|dispatch|send|start|launch|run) {_AGENT}(?: to)? (?!tasks?\b)(?=[a-z⟦])"
    r"|(?:the )?⟦h\d+⟧(?: should| must| shall| can| to| please)? "
    r"|(?:can|could|let|have|make|get|want|i want|tell|ask|use) (?:the )?⟦h\d+⟧(?: please)?(?: to)? "
    r"|give (?:the )?⟦h\d+⟧ (?=\w)|use (?=for ))",
    re.IGNORECASE,
)


def _without_doer(text: str) -> str:
    """Without who is to do it: `have gummy`, `ask the database agent to`, `can node-1 take care of`."""
    before = None
    while before != text:
        before, text = text, tidy(_DOER.sub("", text, count=1))
    return re.sub(r"^(?:take care of|be in charge of|deal with|take on|for|use to|to) ", "", text, flags=re.IGNORECASE)


def _without_launch(text: str) -> str:
    return re.sub(
        rf"^(?:i |we )?(?:have|need|got|i've got|we've got|(?:i )?(?:need|want) to)\s+|^{LAUNCH}\s+",
        "",
        text,
        flags=re.I,
    )


def _is_verb(word: str) -> bool:
    """Whether a word is a verb by which tasks begin, in its plain form or as `adding`."""
    stem = word.removesuffix("ing")
    return word in VERBS or (stem != word and (stem in VERBS or f"{stem}e" in VERBS or stem[:-1] in VERBS))


def _first(text: str) -> str:
    return (text.split() or [""])[0].lower()


def _command(text: str, quotes: tuple[str, ...]) -> str | None:
    """The shell command that a text is, None if it is a task."""
    bare = re.sub(r"^(?:the |this )?(?:shell )?(?:command|cmd)[:\s]+", "", text, flags=re.IGNORECASE)
    named = bare != text
    if (mark := re.fullmatch(r"⟦([qc])(\d+)⟧", bare)) is not None:
        quoted = quotes[int(mark.group(2))]
        return quoted if named or mark.group(1) == "c" or is_command(quoted) else None
    return bare if named or is_command(bare) else None


_NO_TASK = re.compile(
    r"(?:(?:this|that|the|a|an|my|some|these|those|all|any|parallel|several|multiple|new)\s+)*"
    r"(?:gummy(?:[- ]agents?)?|(?:gummy\s+)?(?:tasks?|jobs?|work)|(?:[\w-]+\s+)?(?:specialists?|agents?))?",
    re.IGNORECASE,
)


def _task(text: str) -> str | None:
    """The task that a text names, None for `this gummy task` and `a specialist`."""
    text = re.sub(
        r"^(?:(?:a |the |this )?gummy(?:[- ]agent)? )?(?:tasks?|jobs?)(?: to|:)?\s+(?=\S)",
        "",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(r"^(?:this|that|it|the following|(?:the )?tasks?)\s*:\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^gummy(?: to|:)?\s+(?=(?!tasks?\b)\S)", "", text, flags=re.IGNORECASE)
    text = re.sub(r"^(?:(?:the|a|an|my|this|these) )+(?=\S)", "", tidy(text), flags=re.IGNORECASE)
    text = re.sub(r"^(?:i|we)(?:'ve| have|'d| would)? ?(?:have|got|need|want|like)(?: to have)? (?:the |a |an )?(?=\w)", "", text, flags=re.I)
    text = re.sub(r"^(?:run|start|launch) (?:gummy|a gummy task|an agent|it)(?: there| on it)?\s*:\s*", "", text, flags=re.I)
    return None if _NO_TASK.fullmatch(text) else text
