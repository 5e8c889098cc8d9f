"""The work that a sentence names, once its place is cut out: an agent's task, a shell command, or several. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dgummy.asking.terms import CODE

_RUN = (
    r"(?:run|exec|running|re-?run|execute|executing|start|starting|launch|perform|performing|kick off"
    r"|carry out|trigger|fire off|invoke|begin"
    r"|get going(?: on| with)?|have a go at|crank through|work on|repeat|schedule|submit|queue|process)"
)
_HAND_OVER = (
    r"(?:do|put|route|direct|allocate|send|dispatch|place|distribute|delegate|assign|hand|give|get(?! rid)|try"
    r"|spin up|spin|see to"
    r"|take care of|handle|fan out)"
)
LAUNCH = rf"(?:{_RUN}|{_HAND_OVER})"
_SPREAD = (
    r"(?:(?:load[- ])?balance|spread|farm out|share out|split up|split|divide up|divide|paralleli[sz]e"
    r"|orchestrate|hand out|parcel out|dish out|mete out|deal out"
    r"|distribute|share|let .{1,20} place(?: both)?)"
)
_SYNC = re.compile(
    r"^(?:(?:after|once) (?:syncing|a sync|you (?:have )?synced)(?: (?:the |my |our )?\w+)?"
    rf"|(?:sync|synchroni[sz]e|rsync|resync)(?:\s+up)?(?:\s+{CODE})?"
    r"|(?:push|copy|upload|transfer|send|ship|mirror)(?:\s+(?:up"
    rf"|over))?\s+{CODE})(?:\s+over)?(?:\s+first)?"
    r"(?=$|\s*[,;+&]|\s+and\b|\s+then\b|\s+before\b)(?:[\s,;+&]|and\b|then\b)*",
    re.IGNORECASE,
)
_SYNC_BEHIND = re.compile(
    r"\s*[,;]?\s*\b(?:and |then )*(?:sync|syncing)(?: (?:it|first|everything))*(?: first| before(?:hand)?)?$",
    re.IGNORECASE,
)
_VERBS_TEXT = """
abstract accelerate adapt add adjust align allow amend analyse analyze annotate anonymise anonymize apply
archive assemble assert audit augment automate avoid backfill balance batch beautify benchmark bootstrap bring
build bump cache capture catch centralise centralize change chart check clarify clean cleanup clear clone
collapse collect combine compact compile compress compute condense configure connect consolidate containerise
containerize convert cover crawl create cut crop debug decode decouple decrypt deduplicate define delete
denormalise denormalize deploy deprecate derive design detect diagnose diff disable document downgrade
download draft draw drop edit eliminate embed emit enable encode encrypt enforce enrich estimate evaluate expand
explore export expose extend extract factor fetch figure filter find finish fix flatten format fuse fuzz
gather generate grade group guard gzip handle harden harmonise harmonize hash hide highlight hook hunt
identify implement import improve index inject inline inspect install instrument integrate internationalise
internationalize introduce invalidate investigate isolate join kickstart label layer limit lint localize lock
log lower make map mask measure memoise memoize merge migrate minify minimise minimize mirror mock model
modernise modernize modularise modularize monitor mount move normalise normalize notify open optimise optimize
outline overhaul override package paginate paint parallelise parallelize parametrise parametrize parse
partition patch pin plot polish port prefetch preload prepare preprocess preserve print profile proofread
propagate prototype prune publish purge queue quote randomise randomize rebuild reconcile record redact
redesign redo reduce refactor reformat refresh regenerate regroup reindex reinstall relax release relocate
remove rename render reorganise reorganize repair rephrase replace reproduce rerun resample reset
resize resolve respect restore restructure restyle retire retrain retry return reuse revert review rewire
rework rewrite rotate route sanitise sanitize save scaffold scan secure seed serialise serialize set
setup shard shorten show shrink simplify simulate sketch skip slim snapshot solve sort speed spellcheck
split spruce squash stabilise stabilize stage standardise standardize stop store stream strip stub
style summarise summarize support swap switch sync tag tail tame teach template test throttle tidy tighten
time tokenise tokenize trace track train transcode transform translate transpile trim truncate tune turn tweak
type typecheck uncover unify unzip update upgrade upload use vacuum validate verify version visualise
visualize warm warn watch weigh widen wire wrap write zip
"""
VERBS = frozenset(_VERBS_TEXT.split())
_PROGRAMS_TEXT = """
ls df du cat uname uptime whoami hostname date free ps nproc lscpu pwd id env echo grep find head tail top w
who openssl ffmpeg nginx redis-cli psql mysql sqlite3 perl java javac dotnet deno bun lsblk lsof netstat ss ip
ifconfig iostat vmstat dmesg journalctl nvidia-smi sensors dig nslookup traceroute scp zip unzip gunzip sed
awk wc chmod chown cp mv mkdir pgrep lsmod sw_vers xcrun swiftc flutter pytest tox nox mypy ruff make cmake
ninja bazel cargo rustc npx pnpm node python python3 pip pip3 poetry uv inv invoke gradle mvn bundle rake
rails php composer kubectl helm terraform ansible rsync tar curl wget gcc g++ cc clang jq sh bash hatch pre-
commit
"""
PROGRAMS = frozenset(_PROGRAMS_TEXT.split())
_SUBCOMMANDS = {
    "git": "add bisect blame branch checkout cherry-pick clean clone commit config describe diff fetch fsck gc grep "
    "init log ls-files merge mv pull push rebase remote reset restore rev-parse rm show stash status submodule switch "
    "tag worktree",
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
}
_ALSO_WORDS = frozenset("find who date top free node make head tail".split())  # noqa: SIM905
_ENGLISH_AFTER_TEXT = """
the a an it sure that this these those my our all every sense them up
"""
_ENGLISH_AFTER = frozenset(_ENGLISH_AFTER_TEXT.split())


@dataclass(frozen=True)
class Work:
    """What is to be done. `text` is None if the sentence names nothing; `gummy` if it asks for an agent by name.

    `quoted`: it is a command that stands in quotes. `launched`: it is to be run, as against: it is a task in itself
    (`verb`), or merely mentioned.
    """

    text: str | None
    is_command: bool = False
    quoted: bool = False
    launched: bool = False
    verb: bool = False
    gummy: bool = False
    sync: bool = False


def work_of(core: str, quotes: tuple[str, ...]) -> Work:
    """Read the work out of what is left of a sentence."""
    sync = _SYNC.match(core)
    text = core[sync.end() :] if sync else core
    text = _without_doer(tidy(_SYNC_BEHIND.sub("", text)))
    launch, thing = _launched(text)
    gummy = _GUMMY.search(core) is not None
    command, quoted = _command(thing, quotes)
    if command is not None and not re.search(r"\bgummy task\b", text, re.IGNORECASE):
        return Work(command, is_command=True, quoted=quoted, launched=True, sync=sync is not None)
    plain = _task(thing)
    verb = is_verb(_first(plain or ""))
    if plain is not None and not verb and re.fullmatch(_RUN, launch, re.IGNORECASE):
        plain = f"{'run' if gummy or not _SAYS_MORE.fullmatch(launch) else launch} {plain}"
    return Work(plain, launched=bool(launch) or gummy, verb=verb, gummy=gummy, sync=sync is not None)


_HANDS_OVER = re.compile(rf"{_HAND_OVER}\b", re.IGNORECASE)
_WHERE_TO = re.compile(r"\b(?:in|into|behind|under|inside|between|from|out of|next to|to the)\b", re.IGNORECASE)


_SAYS_MORE = re.compile(r"start|begin|process|queue|schedule|submit|repeat|work on", re.IGNORECASE)
"""Verbs that are not always another word for running: `process the queue`."""


def _launched(text: str) -> tuple[str, str]:
    """The verb that says that something is to be run, "" if there is none, and what is to be run."""
    text = re.sub(r"^ssh(?:ing)?(?: in| over)? (?:and|to) ", "", text, flags=re.IGNORECASE)
    found = ""
    for _ in range(2):  # "send and run", "execute and do"
        launch = re.match(rf"(?:and )?({LAUNCH}|{_SPREAD})\b[\s:]*", text, re.IGNORECASE)
        if launch is None or (found and launch.end() >= len(text)):
            break
        if re.match(r"(?:split|divide|share|balance|spread)\b", text, re.IGNORECASE) and not re.search(
            r"\band\b|[,;]|\b(?:tasks?|jobs?|work|load)\b", text
        ):
            break  # "split the component" is the task itself
        if _HANDS_OVER.match(text) and _WHERE_TO.search(text[launch.end() :]):
            break  # "put the button in the toolbar" is the task itself
        found, text = launch.group(1), tidy(text[launch.end() :])
    return found, text


def is_command(text: str) -> bool:
    """Whether a text is evidently a shell command: a program's name with what belongs to it, or options."""
    program, *after = text.split() or [""]
    first = after[0] if after else ""
    if len(program) > 2 and program.startswith(("./", "/", "~/")):
        return True
    if program in _SUBCOMMANDS:
        return first in _SUBCOMMANDS[program].split() or first.startswith("-")
    if program in PROGRAMS and first.lower() not in _ENGLISH_AFTER:
        return program not in _ALSO_WORDS or len(after) <= 2 or _is_shellish(after)
    is_word = program.islower() and program.isascii() and program[-1] not in ",;."
    return is_word and program not in VERBS and _is_shellish(after)


def _is_shellish(words: list[str]) -> bool:
    """Whether words hold an option, a pipe or the like."""
    return any(re.match(r"--?[A-Za-z][\w-]*(?:=|$)", word) or word in ("&&", "||", "|", ">") for word in words)


_NUMBERED = re.compile(r"[,;.:\s]*\(?\b\d[.)]\s+")
_ANOTHER = re.compile(
    r"(?:\s*[,;.]\s*|\s+)(?:and |plus )?(?:another|the other|a second|a third)(?: one)?(?: agent)?(?: (?:to|for"
    r"|on))? (?=\w+)",
    re.IGNORECASE,
)
_HEADS = (
    re.compile(
        r"^[^:;]*\b(?:tasks|jobs|things|pieces of work|items|chores|works|todos|to-dos|errands"
        r"|tickets)\b[^:;,.]*(?:;|,? namely|[:.,]|\s+-+(?=\s))\s*",
        re.IGNORECASE,
    ),
    re.compile(r"^[^:]*\b(?:these|those|them|following|up)\b[^:]*:\s*", re.IGNORECASE),
)
_BETWEEN = re.compile(
    r"\s*(?:,\s*(?:and|plus)\s+|;\s*(?:and\s+)?|\s\+\s|,\s+|\s+and(?: also)?(?: to)?\s+|\s+plus\s+"
    r"|\s+as well as\s+|\s&\s|\s/\s)"
)


def parts(work: Work, *, looking: bool, listed: bool = False) -> tuple[str, ...]:
    """Split work into the tasks that it holds; one where it is one. `looking`: whether several are to be expected.

    `listed`: whether a colon says that a list of them follows.
    """
    if not work.text:
        return ()
    if not looking or work.is_command:
        return (work.text,)
    text = re.sub(rf"^{LAUNCH}\s+(?=⟦)", "", work.text)
    text = _ANOTHER.sub("; ", _NUMBERED.sub("; ", text) if re.search(r"\b1[.)]\s", text) else text)
    head = next(filter(None, (pattern.match(text) for pattern in _HEADS)), None)
    body = tidy(text[head.end() :]) if head else text
    marked = re.findall(r"⟦[qc]\d+⟧", body)
    if len(marked) > 1 and not re.sub(r"⟦[qc]\d+⟧|\band\b|[,;+&\s]|\bin parallel\b", "", body):
        return tuple(marked)
    pieces = [_bare(piece) for piece in _BETWEEN.split(body) if tidy(piece)]
    return tuple(pieces) if _are_several(pieces, listed=listed or head is not None) else (tidy(body),)


_TWO_NOUNS = re.compile(
    r"[\w-]+ (?:work|jobs?|tasks?|tests?|suite|upgrade|review|rewrite|refactor|refactoring|fix|cleanup|tuning"
    r"|audit|redesign"
    r"|migration|check|export|import|docs|build|training|update|bug|polish|feature|page)",
    re.IGNORECASE,
)
"""`testing work`, `index tuning`: names of work, though they begin like a verb."""


def _are_several(pieces: list[str], *, listed: bool) -> bool:
    """Whether pieces are tasks of their own: none leans back on another, and they are alike."""
    if len(pieces) < 2 or any(re.search(r"\b(?:it|its|them|that)\b", piece) for piece in pieces[1:]):
        return False
    verbs = [is_verb(_first(piece)) and _TWO_NOUNS.fullmatch(piece) is None for piece in pieces]
    # "index" and "cache" are verbs and names of things; only the first piece tells which kind of list it is.
    return listed or all(verbs) or (not verbs[0] and all(len(piece.split()) >= 2 for piece in pieces))


def _bare(piece: str) -> str:
    """A piece of a list, without `I have a` and the like."""
    lead = (
        r"^(?:(?:i|we)(?:'ve| have)? )?(?:have got|'ve got|have|need|got|want|(?:need|want|have) to)\s+"
        r"|^(?:also|to|namely|first|second|third|finally|both|done)\s+|^(?:a|an|some|the)\s+(?=\w)"
    )
    before = None
    piece = tidy(piece)
    while before != piece:
        before, piece = piece, re.sub(lead, "", piece, flags=re.IGNORECASE)
    piece = re.sub(r"\s+(?:should|must|need to|ought to|can) (?:go|run|be run|be placed)$", "", _without_doer(piece))
    return tidy(re.sub(rf"^(?:{LAUNCH}|{_SPREAD})\s+(?:(?:a|an|some|the) )?", "", piece, flags=re.IGNORECASE))


def is_verb(word: str) -> bool:
    """Whether a word is a verb by which tasks begin, in its plain form or as `adding`."""
    if len(word) >= 7 and word.endswith(("ise", "ize", "ify")):
        return True
    stem = word.removesuffix("ing")
    return word in VERBS or (stem != word and (stem in VERBS or f"{stem}e" in VERBS or stem[:-1] in VERBS))


def _first(text: str) -> str:
    return (text.split() or [""])[0].lower()


_AT_ONCE = re.compile(
    r"\b(?:in parallel|simultaneously|at once|at the same time|concurrently|in one go|side by side)\b", re.IGNORECASE
)
_BEFORE = re.compile(
    r"^(?:[\s,;:!?)]+|[.-]+(?![\w/.-])|(?:of|with|and|then|please|just|for|also)\b\s*)+", re.IGNORECASE
)
_BEHIND = re.compile(
    r"(?:[\s,;:!?(-]+|(?<=[\w)\"⟧])\.|(?<=\s)\.+|\s(?:there|please|pls|on it|over there|and|then|for me"
    r"|now|today|thanks|asap"
    r"|instead|for that|to|of|over|at|on|with|as well|too|here|all|both|just))$",
    re.IGNORECASE,
)


def tidy(text: str) -> str:
    """Without what a phrase that was cut out left behind: blanks, commas, `there`, `please`."""
    text = _AT_ONCE.sub("", re.sub(r"\s+([.,;:!?])(?![\w./])", r"\1", " ".join(text.split())))
    before = None
    while before != text:
        before, text = text, _BEHIND.sub("", _BEFORE.sub("", text))
    return " ".join(text.split())


_GUMMY = re.compile(r"\b(?:gummy|gummies|specialists?|agents?)\b", re.IGNORECASE)
_AGENT = r"(?:a |an |the |my |some )?(?:[\w-]+ )?(?:gummy(?:[- ]agents?)?|specialists?|agents?)"
_DOER = re.compile(
    r"^(?:(?:a )?(?:gummy|gummies|agent): |(?:a )?(?:gummy|gummies) to "
    r"|(?:the |a )?(?:[\w-]+ )?(?:specialist|agent|expert)"
    r" (?:ran|should|must|shall|runs|did|does|could|can|would|to|wrote|fixed) "
    r"|(?:have|let|get|ask|tell|make|want|use|dispatch|send|start|launch"
    rf"|run) {_AGENT}(?: to)? (?!tasks?\b)(?=[a-z⟦])"
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


def _command(text: str, quotes: tuple[str, ...]) -> tuple[str | None, bool]:
    """The shell command that a text is, None if it is a task, and whether it stands in quotes."""
    bare = re.sub(r"^(?:the |this |a )?(?:shell )?(?:command|cmd)[:\s]+", "", text, flags=re.IGNORECASE)
    named = bare != text
    if (mark := re.fullmatch(r"(?:a |the )?⟦([qc])(\d+)⟧", bare)) is not None:
        inside = quotes[int(mark.group(2))]
        return (inside, True) if named or mark.group(1) == "c" or is_command(inside) else (None, False)
    return (bare if named or is_command(bare) else None), False


_NO_TASK = re.compile(
    r"(?:(?:this|that|the|a|an|one|my|some|these|those|all|any|parallel|several|multiple|new|up)\s+)*"
    r"(?:gummy(?:[- ]agents?)?|(?:gummy\s+)?(?:tasks?|jobs?|work)(?: evenly| optimally)?"
    r"|(?:[\w-]+\s+)?(?:specialists?|agents?))?",
    re.IGNORECASE,
)
_NO_PART = (
    r"^(?:(?:a |the |this )?gummy(?:[- ]agent)? )?(?:tasks?|jobs?)(?: to|:)?\s+(?=\S)",
    r"^(?:this|that|it|the following|(?:the )?tasks?)\s*:\s*",
    r"^(?:(?:run|start|launch) )?(?:gummy|a gummy task|an agent)(?: there| on it)?\s*:\s*",
    r"^gummy(?: to|:)?\s+(?=(?!tasks?\b)\S)",
    r"^(?:i|we)(?:'ve| have|'d| would)? ?(?:have|got|need|want|like)(?: to have)? (?=\w)",
    r"^(?:(?:the|a|an|my|this|these) )+(?=\S)",
)


def _task(text: str) -> str | None:
    """The task that a text names, None for `this gummy task` and `a specialist`."""
    for pattern in _NO_PART:
        text = tidy(re.sub(pattern, "", text, flags=re.IGNORECASE))
    return None if _NO_TASK.fullmatch(text) else text
