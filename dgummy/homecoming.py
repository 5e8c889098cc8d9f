"""Building the branch on which a run's work comes home: a commit of what was sent, on it what the run made of that.

Everything is made beside the repository. A repeat gives the same commit ids, so it finds that there is nothing to do.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from dgummy import gitblobs, withheld
from dgummy.gitbranch import publish
from dgummy.gitcommand import Git, GitError, joined, records
from dgummy.ignoring import ignored_by, is_rules
from dgummy.replay import BundleError, Replayed, holds_work, replay
from dgummy.snapshot import GITLINK, by_repository
from dgummy.syncplan import folded, is_git_name, is_safe_name
from dgummy.work import Base, Branch, Brought, FileChange, Kind, Skipped
from dgummy.workbench import MODES, Bench, Entry, pack, set_up

_COPY = "it holds what was sent although git ignores it, and stays out of git"

# What some file system may take for .gitmodules or .gitattributes (gitmod~1, GI7EBA~1). git reads those itself, so its
# own check looks into them, and a bad one would make `git fsck` complain for ever.
_READ_BY_GIT = re.compile(rb"gitm|gi7|gita")


@dataclass(frozen=True, slots=True)
class Message:
    """What the commits say. owner: who they are by if git has no identity (`user@machine`). began, ended: the run's."""

    subject: str
    body: str
    owner: str
    began: datetime
    ended: datetime


@dataclass(frozen=True, slots=True)
class Home:
    """What came home: no branches if nothing changed. skipped: what was left out, by name. notices: one line each."""

    branches: tuple[Branch, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """A git bundle from a repository that the agent made, and the commit there that its HEAD was.

    bases: commits in it that are not the run's, with all before them.
    """

    path: Path
    head: str
    bases: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    """One repository's share while it is prepared; names are relative to it.

    elsewhere: folders in it (with a slash) whose files are not its own: submodules and other repositories. secret: what
    was sent although git ignores it; secret_ids: the ids of what that holds.
    """

    bench: Bench
    prefix: bytes
    brought: list[Brought]
    missing: list[bytes]
    elsewhere: tuple[bytes, ...]
    secret: frozenset[bytes] = frozenset()
    secret_ids: frozenset[str] = frozenset()
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def rules(self) -> dict[bytes, str | None]:
        """The .gitignore files that the run changed: what git would see there goes by them."""
        names = [name for name in self.missing if is_rules(name)]
        held = {one.path: one.content for one in self.brought if is_rules(one.path) and one.kind is not Kind.LINK}
        return {name: held.get(name) for name in (*names, *held) if _reason(self, name) is None}

    def skip(self, name: bytes, reason: str, *, is_work: bool = True) -> None:
        self.skipped.append(Skipped(self.prefix + name, reason, is_work))


def build(
    project_root: Path,
    store: Path,
    base: Base,
    brought: Sequence[Brought],
    missing: Collection[bytes],
    *,
    branch: str,
    message: Message,
    bundle: Bundle | None = None,
    previous: Collection[str] = (),
) -> Home:
    """Make `branch` in each repository of the project that a run changed.

    brought: what is new or changed there, missing: what was sent and is not there any more; names are relative to the
    project. previous: tips that earlier collections of this run made. All branches are prepared before the first one is
    made. BaseGoneError if what was sent is not known any more (then work can come as a folder), GitError.
    """
    with tempfile.TemporaryDirectory(prefix="tmp_", dir=store) as scratch:
        works = _set_up(project_root, store, base, brought, missing, Path(scratch), has_bundle=bundle is not None)
        prepared = [(work, _prepare(work, branch, message, None if work.prefix else bundle)) for work in works]
        branches = []
        packed = [(work.bench, made, pack(work.bench, made.tip)) for work, made in prepared if made is not None]
        for bench, made, objects in packed:
            name, is_new = publish(bench, objects, branch, made.tip, previous)
            branches.append(replace(made, name=name, is_new=is_new))
    skipped = tuple(skipped for work in works for skipped in work.skipped)
    notices = tuple(notice for work in works for notice in work.notices)
    return Home(tuple(branches), skipped, notices)


def _set_up(
    root: Path,
    store: Path,
    base: Base,
    brought: Sequence[Brought],
    missing: Collection[bytes],
    scratch: Path,
    *,
    has_bundle: bool,
) -> list[_Work]:
    """Sort what came by the repository that it belongs to; only those that something came for."""
    repositories = {os.fsencode(one.prefix): one for one in base.repositories}
    prefixes = tuple(repositories)
    brought_by_name = {one.path: one for one in brought}
    theirs = by_repository(brought_by_name, prefixes)
    gone = by_repository(missing, prefixes)
    extra = {
        prefix: frozenset(names) for prefix, names in by_repository(map(os.fsencode, base.extra), prefixes).items()
    }
    works = []
    for number, (prefix, one) in enumerate(repositories.items()):
        if not (theirs[prefix] or gone[prefix] or (has_bundle and not prefix)):
            continue
        bench = set_up(root, store, one, scratch / str(number))
        submodules = (path + b"/" for path, entry in bench.entries.items() if entry[0] == GITLINK)
        nested = (other[len(prefix) :] for other in prefixes if other != prefix and other.startswith(prefix))
        files = [replace(brought_by_name[prefix + name], path=name) for name in theirs[prefix]]
        elsewhere = tuple({*submodules, *nested})
        works.append(_Work(bench, prefix, files, gone[prefix], elsewhere, extra[prefix], frozenset(base.extra_ids)))
    return works


def _prepare(work: _Work, branch: str, message: Message, bundle: Bundle | None) -> Branch | None:
    """Make the commits on the bench. None if nothing changed."""
    bench = work.bench
    changes = _changes(work)
    tree = bench.tree_with(changes) if changes else bench.base.tree
    if tree == bench.base.tree and bundle is None:
        return None
    author, committer = _people(bench, message.owner)
    base = bench.base.head
    if bench.head_tree != bench.base.tree:
        text = f"The project as it was sent: {branch}\n\nWith what was not committed here when the run began.\n"
        base = _commit(bench, bench.base.tree, base, (author, committer), message.began, text)
    replayed = _replayed(work, bundle, base) if bundle is not None else None
    if tree == bench.base.tree and replayed is None:
        return None
    tip = replayed.tip if replayed else base
    if tree != (bench.tree_of(tip) if replayed else bench.base.tree):
        subject = " ".join(message.subject.split()) or branch
        text = f"{subject}\n\n{message.body}".rstrip() + "\n"
        tip = _commit(bench, tree, tip, (author, committer), message.ended, text)
    return Branch(
        prefix=work.prefix,
        name=branch,
        base=base,
        tip=tip,
        tree=tree,
        files=_diffstat(work, base, tip),
        has_local=base != bench.base.head,
        agent_commits=replayed.commits if replayed else 0,
        is_root=not bench.base.head,
    )


def _changes(work: _Work) -> dict[bytes, Entry | None]:
    """Work out what differs from what was sent, and write its contents."""
    bench = work.bench
    files = _takable(work)
    regular = [one for one in files if one.kind is not Kind.LINK]
    links = [one for one in files if one.kind is Kind.LINK]
    ids = dict(
        zip((one.path for one in links), gitblobs.write_as_is(bench.git, [one.content for one in links]), strict=True)
    )
    written = gitblobs.write(bench, [(one.path, one.content) for one in regular])
    ids |= zip((one.path for one in regular), written, strict=True)
    has_modes = bench.git.ask("config", "--type=bool", "--get", "core.fileMode")[0].strip() != b"false"
    changes: dict[bytes, Entry | None] = {
        name: None for name in work.missing if name in bench.entries and name + b"/" not in work.elsewhere
    }
    for one in files:
        old_mode, old_id = bench.entries.get(one.path, ("", ""))
        mode = MODES[one.kind]
        if not has_modes and one.kind is not Kind.LINK and old_mode.startswith("100"):
            mode = old_mode
        changes.pop(one.path, None)
        if _is_bad_for_git(bench, one.path, mode, ids[one.path]):
            work.skip(one.path, "git's own check refuses what it holds")
        elif (mode, ids[one.path]) != (old_mode, old_id):
            changes[one.path] = (mode, ids[one.path])
    return changes


def _takable(work: _Work) -> list[Brought]:
    """Drop what may not be in a tree, and say so."""
    names = {one.path for one in work.brought}
    folders = {name[:at] for name in names for at in range(len(name)) if name[at : at + 1] == b"/"}
    ignored = ignored_by(work.bench, [name for name in names if _reason(work, name) is None], work.rules)
    taken = []
    for one in work.brought:
        reason = _reason(work, one.path)
        if reason is not None:
            work.skip(one.path, reason, is_work=one.path not in work.secret)
        elif one.path in ignored:
            work.skip(one.path, "git ignores it here", is_work=False)
        elif one.path in folders:
            work.skip(one.path, "it came as a file and as a folder")
        elif one.kind is not Kind.LINK and work.secret_ids and withheld.holds_any(one.content, work.secret_ids):
            work.skip(one.path, _COPY, is_work=False)
        else:
            taken.append(one)
    return taken


def _reason(work: _Work, name: bytes) -> str | None:
    """Say why a name may not be in this repository's trees, if it may not."""
    if is_git_name(name):
        return "a .git would be part of a repository"
    if name in work.secret:
        return "it was sent although git ignores it, and stays out of git"
    if not is_safe_name(name):
        return "that name leads out of the project"
    if (name + b"/").startswith(work.elsewhere):
        return "it is in a submodule that is not checked out here"
    if any(folder.startswith(name + b"/") for folder in work.elsewhere):
        return "a repository is there"
    return None


def _is_bad_for_git(bench: Bench, path: bytes, mode: str, ident: str) -> bool:
    """Let git check a file that git itself reads, as `git fsck --strict` would."""
    name = path.rpartition(b"/")[2]
    if not _READ_BY_GIT.search(folded(name)):
        return False
    tree = bench.git.run("mktree", "-z", stdin=joined([f"{mode} blob {ident}\t".encode() + name])).decode().strip()
    pack = bench.git.run("pack-objects", "--stdout", "-q", stdin=f"{tree}\n{ident}\n".encode())
    check = bench.scratch / "check"
    check.mkdir(exist_ok=True)
    _, _, status = bench.git.having(store=check, alternates=()).ask("index-pack", "--stdin", "--strict", stdin=pack)
    return status != 0


def _replayed(work: _Work, bundle: Bundle, onto: str) -> Replayed | None:
    """Make the agent's own commits again. None, mostly with a notice, if there are none to keep."""

    def takable(names: Collection[bytes]) -> Collection[bytes]:
        fit = [name for name in names if _reason(work, name) is None]
        return frozenset(fit) - ignored_by(work.bench, fit, work.rules)

    try:
        replayed = replay(work.bench, bundle.path, bundle.head, onto, takable, bundle.bases, work.secret_ids)
    except BundleError as error:
        work.notices.append(f"{error.message}. {error.remedy}")
        return None
    except GitError as error:
        work.notices.append(f"the agent's own commits are not taken over: {error.message}")
        return None
    told = {one.path for one in work.skipped}
    for name in replayed.withheld:
        if name not in told and _reason(work, name) is None:
            work.skip(name, f"in the agent's own commits: {_COPY}", is_work=False)
    if not holds_work(work.bench, replayed, onto):
        return None
    if replayed.commits < replayed.of:
        work.notices.append(f"the agent made {replayed.of} commits of its own: too many, only the newest state is kept")
    return replayed


def _people(bench: Bench, owner: str) -> tuple[str, str]:
    """Return author and committer as git's settings have them (`Name <mail>`), else made from the run's owner."""
    git = Git(bench.repository.folder, config=("user.useConfigOnly=true",))
    plain = re.sub(r"[^\w@.+-]", "_", owner).strip(".") or "dgummy"
    fallback = f"{plain.partition('@')[0] or plain} <{plain}>"
    people = []
    for variable in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        out, _, status = git.ask("var", variable)
        match = re.fullmatch(r"(.*<[^<>]*>) \d+ [+-]\d{4}\s*", out.decode("utf-8", "surrogateescape"))
        people.append(match[1] if status == 0 and match else fallback)
    return people[0], people[1]


def _commit(bench: Bench, tree: str, parent: str, people: tuple[str, str], when: datetime, text: str) -> str:
    author, committer = people
    stamp = f"{max(0, int(when.timestamp()))} {when.strftime('%z')[:5] or '+0000'}"
    lines = [f"tree {tree}", *([f"parent {parent}"] if parent else [])]
    header = "\n".join([*lines, f"author {author} {stamp}", f"committer {committer} {stamp}"])
    body = text.replace("\0", "").encode("utf-8", "replace")
    return bench.write_commit(header.encode("utf-8", "surrogateescape") + b"\n\n" + body)


def _diffstat(work: _Work, base: str, tip: str) -> tuple[FileChange, ...]:
    options = ("-r", "-z", "--raw", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-abbrev")
    out = iter(records(work.bench.git.run("diff-tree", *options, base, tip)))
    statuses: dict[bytes, str] = {}
    changes = []
    for entry in out:
        if entry.startswith(b":"):
            _, _, old, new, status = entry.decode().split(" ")
            statuses[next(out)] = "mode" if status == "M" and old == new else status
        else:
            added, removed, path = entry.split(b"\t", 2)
            counts = (None if count == b"-" else int(count) for count in (added, removed))
            changes.append(FileChange(work.prefix + path, statuses[path], *counts))
    return tuple(changes)
