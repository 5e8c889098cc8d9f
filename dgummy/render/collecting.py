"""What was brought home of a run, for people and as JSON. Pure: records in, text out."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dgummy.render.text import clean, one_line
from dgummy.units import format_count
from dgummy.work import Branch, FileChange, Homecoming, WorkState

if TYPE_CHECKING:
    from dgummy.collecting import Outcome
    from dgummy.grouprecords import GroupResult

_CHANGES = {"A": "added", "M": "changed", "D": "deleted", "T": "type", "mode": "mode"}
_SHOWN_FILES = 20
_SHOWN_SKIPPED = 10
_SHORT = 12


def text(home: Homecoming) -> str:
    """What `inv collect` says of one run."""
    return "\n".join(line for line, _ in lines(home))


def lines(home: Homecoming) -> list[tuple[str, str]]:
    """What is said of one run: lines, each with its style."""
    told: list[tuple[str, str]] = []
    for branch in home.branches:
        told += _branch(branch, home.host)
    if home.folder:
        told.append(
            (f"✓ {format_count(len(home.files), 'file')} from {home.host} in {one_line(home.folder, 500)}", "good")
        )
    if home.patch:
        told.append((f"  take it: git apply {shlex.quote(home.patch)}", ""))
    if home.reports:
        told.append((f"  read its report: inv report {home.run_id}", ""))
    if not home.branches and not home.files and home.work is WorkState.NONE and not home.notices:
        told.append((f"nothing changed on {home.host} that git would see", ""))
    told += [(f"  {one_line(text, 500)}", "warning") for text in home.notices]
    told += _skipped(home)
    return told


def _branch(branch: Branch, host: str) -> list[tuple[str, str]]:
    commits = f", with {format_count(branch.agent_commits, 'commit')} of its own" if branch.agent_commits else ""
    told = [(f"✓ branch {branch.name}{_place(branch)}, from {host}: {total(branch.files)}{commits}", "good")]
    told += [(f"  {line}", "") for line in diffstat(branch.files)]
    git = "git" if not branch.prefix else f"git -C {shlex.quote(_text(branch.prefix.rstrip(b'/')))}"
    told.append((f"  look at it: {git} diff {branch.base[:_SHORT]} {branch.name}", ""))
    if not branch.has_local:
        told.append((f"  take it:    {git} merge {branch.name}", ""))
        return told
    if branch.is_root:
        pick = f"{git} cherry-pick {branch.base[:_SHORT]}..{branch.name}"
        told.append((f"  take it:    commit your own changes, then {pick}", ""))
        return told
    told.append((f"  take it:    commit your own changes, on which it stands, then {git} merge {branch.name}", ""))
    told.append((f"  or only what it did: {git} cherry-pick {branch.base[:_SHORT]}..{branch.name}", ""))
    return told


def _place(branch: Branch) -> str:
    return f" in {_name(branch.prefix.rstrip(b'/'))}" if branch.prefix else ""


def total(files: Sequence[FileChange]) -> str:
    """The last line of a diffstat."""
    plus, minus = sum(one.insertions or 0 for one in files), sum(one.deletions or 0 for one in files)
    parts = [f"{format_count(len(files), 'file')} changed"]
    parts += [f"+{plus:,}"] if plus else []
    parts += [f"-{minus:,}"] if minus else []
    return ", ".join(parts)


def diffstat(files: Sequence[FileChange], shown: int = _SHOWN_FILES) -> list[str]:
    """A line for each file, at most so many."""
    names = [_name(one.path) for one in files[:shown]]
    width = max(map(len, names), default=0)
    told = [
        f"{one.status[:1].upper()} {name:{width}}  {_counts(one)}".rstrip()
        for one, name in zip(files, names, strict=False)
    ]
    if len(files) > shown:
        told.append(f"and {len(files) - shown:,} more")
    return told


def _counts(one: FileChange) -> str:
    if one.status == "mode":
        return "mode"
    if one.insertions is None or one.deletions is None:
        return "binary"
    return f"+{one.insertions:,} -{one.deletions:,}"


def _skipped(home: Homecoming) -> list[tuple[str, str]]:
    told = [
        (f"  not brought home: {_name(one.path)}: {one_line(one.reason)}", "warning" if one.is_work else "dim")
        for one in home.skipped[:_SHOWN_SKIPPED]
    ]
    if len(home.skipped) > _SHOWN_SKIPPED:
        told.append((f"  and {len(home.skipped) - _SHOWN_SKIPPED:,} more", "warning"))
    if any(one.is_work for one in home.skipped):
        again = f"inv collect {home.run_id}"
        limits = sorted({one.limit for one in home.skipped if one.is_work and one.limit})
        what = f"raise {' and '.join(limits)}" if limits else "mend that there"
        told.append((f"  these are on {home.host} alone: {what}, then {again};", "warning"))
        told.append((f"  or give them up: {again} --discard", "warning"))
    return told


def _name(path: bytes) -> str:
    """A name on one line, with what is no text shown as such."""
    text = path.decode("utf-8", "backslashreplace")
    return one_line(text.replace("\n", "\\n").replace("\t", "\\t"), 120) if text.isprintable() else _escaped(text)


def _escaped(text: str) -> str:
    return one_line("".join(char if char.isprintable() else ascii(char)[1:-1] for char in text), 120)


def of_group(result: GroupResult) -> list[tuple[str, str]]:
    """What came home of the runs of a group, in a line or two for each; and the command that brings home the rest."""
    told: list[tuple[str, str]] = []
    for member in result.members:
        home = member.result.home
        if home is None:
            continue
        label = one_line(member.label, 60)
        told += [
            (f"  {label}: branch {branch.name}{_place(branch)}: {total(branch.files)}", "") for branch in home.branches
        ]
        if home.files:
            told.append((f"  {label}: {format_count(len(home.files), 'file')} in {one_line(home.folder, 500)}", ""))
        told += _skipped(home)
    waiting = sum(member.result.work is WorkState.UNCOLLECTED for member in result.members)
    if waiting:
        whose = "all" if waiting == len(result.members) else f"{waiting} of {len(result.members)}"
        told.append((f"  not collected: the work of {whose}: inv collect {result.group_id}", "warning"))
    return told


def failed(one: Outcome) -> list[tuple[str, str]]:
    """Why nothing was brought home of a run, and what to do."""
    told = [(f"✗ {one.row.run_id}: {one_line(str(one.failure), 500)}", "error")]
    if one.failure is not None and one.failure.remedy:
        told.append((f"  {one_line(one.failure.remedy, 500)}", ""))
    return told


def discarded(home: Homecoming) -> str:
    """That what a run changed was given up."""
    return f"✓ {home.run_id}: what it changed on {home.host} was given up: it may be overwritten there"


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`inv collect --json`."""
    return {"results": [_outcome(one) for one in outcomes]}


def _outcome(one: Outcome) -> dict[str, Any]:
    failure = one.failure
    return {
        "run_id": one.row.run_id,
        "host": one.row.host or None,
        "ok": failure is None,
        "reason": None if failure is None else clean(str(failure)),
        "remedy": None if failure is None else failure.remedy or None,
        **homecoming(one.home or Homecoming(one.row.run_id, one.row.host, one.row.project, WorkState.UNKNOWN)),
    }


def homecoming(home: Homecoming) -> dict[str, Any]:
    """What `collect` says of one run, as JSON."""
    return {
        "work": home.work.value or None,
        "branch": home.branch or None,
        "branches": [_branch_document(branch) for branch in home.branches],
        "skipped": [
            {"path": _text(one.path), "reason": clean(one.reason), "is_work": one.is_work} for one in home.skipped
        ],
        "notices": [clean(text) for text in home.notices],
        "folder": home.folder or None,
        "files": [clean(path) for path in home.files],
        "patch": home.patch or None,
        "reports": list(home.reports),
    }


def _branch_document(branch: Branch) -> dict[str, Any]:
    return {
        "repository": _text(branch.prefix.rstrip(b"/")) or ".",
        "name": branch.name,
        "base": branch.base,
        "commit": branch.tip,
        "tree": branch.tree,
        "has_base_commit": branch.has_local,
        "commits": branch.agent_commits,
        "insertions": branch.insertions,
        "deletions": branch.deletions,
        "files": [
            {
                "path": _text(one.path),
                "change": _CHANGES[one.status],
                "insertions": one.insertions,
                "deletions": one.deletions,
            }
            for one in branch.files
        ],
    }


def _text(path: bytes) -> str:
    return clean(os.fsdecode(path).replace("\n", "\\n"))
