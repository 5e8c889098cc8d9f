"""Taking over the commits that an agent made in a repository of its own on a host.

They come as a bundle, which nobody has vouched for: git checks it in a place of its own, from where it can name no
object of the user's. Then each commit's changes are made again on top of what was sent, with its author, dates, message
and parents. What the agent never committed stays as it was sent; what it removed is removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dgummy import gitblobs
from dgummy.gitcommand import Git, GitError, quoted
from dgummy.snapshot import GITLINK
from dgummy.work import Kind
from dgummy.workbench import FOREIGN_OBJECTS, MODES, Bench

MAX_COMMITS = 1000
MAX_BUNDLE_BYTES = 2 << 30
_MAX_HEADER_BYTES = 1 << 20
_REF = "refs/heads/replayed"
_IDENT = re.compile(rb"([^<>\n\0]*)<([^<>\n\0]*)> (\d{1,12}) ([+-])(\d\d)([0-5]\d)")

Takable = Callable[[Collection[bytes]], Collection[bytes]]
"""Which of these names (relative to the repository) may come home."""


class BundleError(GitError):
    """The commits cannot be taken over. The files that they hold still can."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The newest of the commits that were made again, how many there are, and how many the agent had made.

    withheld: names whose contents were left out, for these may not come.
    """

    tip: str
    commits: int
    of: int
    withheld: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Change:
    """What a commit does to a name; without `ident` it is gone."""

    path: bytes
    mode: str = ""
    ident: str = ""


@dataclass(slots=True)
class _Commit:
    ident: str
    parents: tuple[str, ...]
    tree: str
    author: bytes
    committer: bytes
    encoding: bytes
    message: bytes
    changes: list[_Change]


def replay(
    bench: Bench,
    bundle: Path,
    head: str,
    onto: str,
    takable: Takable,
    bases: Collection[str] = (),
    secret_ids: Collection[str] = (),
) -> Replayed:
    """Make the commits up to `head` of `bundle`, but for those up to `bases`, again on top of `onto`, on the bench.

    secret_ids: contents that may not come, whatever their name. More than MAX_COMMITS become one, with the newest tree.
    BundleError, also for a bundle that is broken or forged.
    """
    for ident in (head, *bases):
        if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ident):
            raise _refused(f"{ident[:80]!r} is no commit id")
    place = bench.scratch / "bundle"
    source = _unpack(bench, bundle, place)
    commits, total = _read_commits(source, head, bases)
    _read_changes(source, commits)
    withheld = _withhold(commits, secret_ids)
    _keep_takable(bench, source, commits, takable)
    git = source.having(store=bench.git.store, alternates=bench.git.alternates)
    marks = place / "marks"
    identity = b"an agent <agent@localhost> 0 +0000"
    script = b"".join(_script(commits, onto, identity))
    git.run("fast-import", "--quiet", "--done", f"--export-marks={marks}", stdin=script)
    made = dict(line.split(" ") for line in marks.read_text().splitlines())
    return Replayed(made[f":{len(commits)}"], len(commits), total, withheld)


def holds_work(bench: Bench, replayed: Replayed, onto: str) -> bool:
    """Whether any of the commits differs from what was sent: an agent may only have committed that, to compare."""
    lines = bench.git.run("rev-list", "--format=%T", replayed.tip, f"^{onto}").decode().split("\n")
    return any(line and not line.startswith("commit ") and line != bench.base.tree for line in lines)


def _refused(why: str) -> BundleError:
    return BundleError(f"the agent's own commits are not taken over: {why}", "Its files come home all the same.")


def _unpack(bench: Bench, bundle: Path, place: Path) -> Git:
    """Check the bundle's objects and put them into a bare repository of their own."""
    place.mkdir()
    object_format = bench.repository.object_format
    plain = Git(place, config=("init.templateDir=", "core.ignoreCase=false"))
    plain.run("init", "-q", "--bare", f"--object-format={object_format}", str(place / "git"))
    git = plain.having(git_dir=place / "git", store=bench.scratch / FOREIGN_OBJECTS)
    with open(bundle, "rb", buffering=0) as file:
        start = file.read(_MAX_HEADER_BYTES)
        header, found, _ = start.partition(b"\n\n")
        lines = header.split(b"\n")
        if not found or lines[0] not in (b"# v2 git bundle", b"# v3 git bundle"):
            raise _refused("what came is no git bundle")
        if any(line.startswith(b"-") for line in lines):
            raise _refused("they build on commits that did not come with them")
        file.seek(len(header) + 2)
        limit = f"--max-input-size={MAX_BUNDLE_BYTES}"
        _, err, status = git.ask("index-pack", "--stdin", "--strict", limit, stdin=file)
    if status != 0:
        raise _refused((err.splitlines() or ["git index-pack failed"])[-1])
    return git


def _read_commits(source: Git, head: str, bases: Collection[str]) -> tuple[list[_Commit], int]:
    """Read the commits, parents first; only the newest if there are too many. Also how many there are."""
    earlier = [f"^{base}" for base in bases if source.ask("cat-file", "-e", f"{base}^{{commit}}")[2] == 0]
    out, err, status = source.ask("rev-list", "--topo-order", "--reverse", "--parents", head, *earlier)
    if status != 0:
        raise _refused((err.splitlines() or ["their newest did not come"])[0])
    listed = [line.split(" ") for line in out.decode().splitlines()]
    total = len(listed)
    if total > MAX_COMMITS:
        listed = [[head]]
    raw = source.run("cat-file", "--batch", stdin="".join(f"{ident}\n" for ident, *_ in listed).encode())
    contents = _batch(raw)
    return [_parse(ident, tuple(parents), next(contents)) for ident, *parents in listed], total


def _batch(raw: bytes) -> Iterator[bytes]:
    """Yield the contents that `cat-file --batch` wrote."""
    at = 0
    while at < len(raw):
        line = raw[at : raw.index(b"\n", at)]
        start = at + len(line) + 1
        words = line.split(b" ")
        if len(words) != 3:
            raise _refused("an object did not come with them")
        at = start + int(words[2]) + 1
        yield raw[start : at - 1]


def _parse(ident: str, parents: tuple[str, ...], content: bytes) -> _Commit:
    header, _, message = content.partition(b"\n\n")
    fields: dict[bytes, bytes] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        fields.setdefault(name, value)
    return _Commit(
        ident=ident,
        parents=parents,
        tree=fields[b"tree"].decode(),
        author=fields.get(b"author", b""),
        committer=fields.get(b"committer", b""),
        encoding=fields.get(b"encoding", b""),
        message=message,
        changes=[],
    )


def _read_changes(source: Git, commits: Sequence[_Commit]) -> None:
    """Find out what each commit changed against its first parent, or against nothing."""
    trees = {commit.ident: commit.tree for commit in commits}
    for commit in commits:
        for parent in commit.parents[:1]:  # one that was there before the run
            if parent not in trees:
                trees[parent] = source.run("rev-parse", f"{parent}^{{tree}}").decode().strip()
    empty = source.run("hash-object", "-t", "tree", "-w", "--stdin").decode().strip()
    pairs = [(trees[commit.parents[0]] if commit.parents else empty, commit.tree) for commit in commits]
    lines = "".join(f"{old} {new}\n" for old, new in pairs).encode()
    out = source.run("diff-tree", "--stdin", "-r", "--raw", "-z", "--no-renames", "--no-abbrev", stdin=lines)
    at, number = 0, -1
    while at < len(out):
        if out[at : at + 1] != b":":  # "OLD NEW\n": the next commit begins
            at = out.index(b"\n", at) + 1
            number += 1
            continue
        middle = out.index(b"\0", at)
        end = out.index(b"\0", middle + 1)
        old_mode, mode, _, ident, _ = out[at + 1 : middle].decode().split(" ")
        change = _change(out[middle + 1 : end], old_mode, mode, ident)
        if change is not None:
            commits[number].changes.append(change)
        at = end + 1


def _change(path: bytes, old_mode: str, mode: str, ident: str) -> _Change | None:
    """Make one of a line of diff-tree. A repository within the agent's comes by itself or not at all."""
    if mode in ("000000", GITLINK):
        return None if old_mode in ("000000", GITLINK) else _Change(path)
    return _Change(path, mode, ident)


def _withhold(commits: Sequence[_Commit], secret_ids: Collection[str]) -> tuple[bytes, ...]:
    """Drop the contents that may not come; the names that had them. What was there before such a one stays."""
    names: set[bytes] = set()
    for commit in commits:
        names.update(change.path for change in commit.changes if change.ident in secret_ids)
        commit.changes = [change for change in commit.changes if change.ident not in secret_ids]
    return tuple(sorted(names))


def _keep_takable(bench: Bench, source: Git, commits: Sequence[_Commit], takable: Takable) -> None:
    """Drop the names that may not come, and have the contents as git at home would have them."""
    takable_names = takable(frozenset(change.path for commit in commits for change in commit.changes))
    for commit in commits:
        commit.changes = [change for change in commit.changes if change.path in takable_names]
    changed = {
        (change.path, change.ident)
        for commit in commits
        for change in commit.changes
        if change.ident and change.mode != MODES[Kind.LINK]
    }
    rules = gitblobs.rules_for(bench, (path for path, _ in changed))
    unchanged = {(path, entry[1]) for path, entry in bench.entries.items()}
    wanted = sorted((path, ident) for path, ident in changed - unchanged if path in rules)
    if not wanted:
        return
    converted = dict(zip(wanted, _converted(bench, source, wanted), strict=True))
    for commit in commits:
        commit.changes = [
            _Change(change.path, change.mode, converted.get((change.path, change.ident), change.ident))
            if change.mode != MODES[Kind.LINK]
            else change
            for change in commit.changes
        ]


def _converted(bench: Bench, source: Git, wanted: Sequence[tuple[bytes, str]]) -> list[str]:
    """Return the ids of contents (name and blob of the agent's) once they have been converted."""
    folder = bench.scratch / "bundle" / "contents"
    folder.mkdir()
    idents = list(dict.fromkeys(ident for _, ident in wanted))
    with open(folder / "all", "w+b") as file:
        source.run("cat-file", "--batch", stdin="".join(f"{ident}\n" for ident in idents).encode(), stdout=file)
        file.seek(0)
        for ident in idents:
            size = int(file.readline().split(b" ")[2])
            with open(folder / ident, "xb") as content:
                while size:
                    chunk = file.read(min(size, 1 << 20))
                    content.write(chunk)
                    size -= len(chunk)
            file.read(1)
    return gitblobs.write(bench, [(path, str(folder / ident)) for path, ident in wanted])


def _script(commits: Sequence[_Commit], onto: str, identity: bytes) -> Iterator[bytes]:
    """Write the commits for `git fast-import`."""
    marks = {commit.ident: b":%d" % number for number, commit in enumerate(commits, 1)}
    for number, commit in enumerate(commits, 1):
        yield b"commit %s\nmark :%d\n" % (_REF.encode(), number)
        yield b"author %s\ncommitter %s\n" % (_person(commit.author, identity), _person(commit.committer, identity))
        if re.fullmatch(rb"[A-Za-z0-9._-]{1,40}", commit.encoding):
            yield b"encoding %s\n" % commit.encoding
        yield b"data %d\n%s\n" % (len(commit.message), commit.message)
        first, *others = [marks[parent] for parent in commit.parents if parent in marks] or [onto.encode()]
        yield b"from %s\n" % first
        yield b"".join(b"merge %s\n" % other for other in others)
        yield b"".join(b"D %s\n" % quoted(change.path) for change in commit.changes if not change.ident)
        yield b"".join(
            f"M {change.mode} {change.ident} ".encode() + quoted(change.path) + b"\n"
            for change in commit.changes
            if change.ident
        )
        yield b"\n"
    yield b"done\n"


def _person(line: bytes, fallback: bytes) -> bytes:
    """Return an author's line as fast-import takes it: with a time zone that exists."""
    match = _IDENT.fullmatch(line)
    if match is None:
        return fallback
    name, mail, time, sign, hours, minutes = match.groups()
    zone = sign + hours + minutes if int(hours) <= 13 else b"+0000"
    return b"%s<%s> %s %s" % (name, mail, time, zone)
