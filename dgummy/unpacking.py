"""What becomes here of that which was brought home of a run: a branch, else files in a folder."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from dgummy import gitbranch, homecoming, patchfile, snapshot
from dgummy.homecoming import Bundle, Message
from dgummy.ledger_rows import RunRow
from dgummy.luggage import Luggage
from dgummy.runfolder import RunFolder
from dgummy.units import format_duration
from dgummy.work import Branch, Brought, Homecoming, Kind, Skipped, WorkState
from dgummy.workbench import BaseGoneError

_PREFIX = "dgummy/"
_STAMP = re.compile(r"(\d{8}-\d{6})-")
_SUBJECT_CHARS = 72


@dataclass
class _Unpacked:
    """What there is of a homecoming so far."""

    branches: tuple[Branch, ...] = ()
    files: list[Path] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    patch: str = ""


def unpack(row: RunRow, luggage: Luggage, state_dir: Path, owner: str) -> Homecoming:
    """Put everything in its place. Done again with the same, it changes nothing. DgummyError if it cannot be."""
    found = _Unpacked(skipped=list(luggage.skipped), notices=list(luggage.notices))
    folder = RunFolder(state_dir, row.run_id, row.host)
    in_git = bool(luggage.base.repositories)
    try:
        if in_git:
            _make_branches(found, row, luggage, state_dir, owner)
    except BaseGoneError as error:
        found.notices.append(f"{error.message}: its work comes as files")
        in_git = False
    if not in_git:
        _make_files(found, row, luggage, folder)
    found.files += [folder.put(one) for one in (*luggage.aside, *luggage.asked_for)]
    reports = RunFolder(state_dir, row.run_id, "report")
    found.reports += [reports.put(one) for one in luggage.reports]
    files = tuple(dict.fromkeys(str(path.relative_to(folder.path)) for path in found.files))
    return Homecoming(
        row.run_id,
        row.host,
        row.project,
        _state(found, has_files=bool(files or luggage.missing) and not in_git),
        branches=found.branches,
        skipped=tuple(found.skipped),
        notices=tuple(found.notices),
        folder=str(folder.path) if files else "",
        files=files,
        patch=found.patch,
        reports=tuple(map(str, found.reports)),
        left=luggage.left,
    )


def _state(found: _Unpacked, *, has_files: bool) -> WorkState:
    if any(one.is_work for one in found.skipped):
        return WorkState.UNCOLLECTED
    return WorkState.COLLECTED if found.branches or has_files else WorkState.NONE


def _make_branches(found: _Unpacked, row: RunRow, luggage: Luggage, state_dir: Path, owner: str) -> None:
    root, name = Path(row.project), _PREFIX + row.run_id
    bundle = Bundle(luggage.bundle, luggage.head, luggage.bases) if luggage.bundle is not None else None
    text = message(row, owner)
    if not root.is_dir():
        raise BaseGoneError(f"the project is gone: {root}", "Its work can still be brought home as a folder.")
    home = homecoming.build(
        root,
        snapshot.store_of(state_dir, root),
        luggage.base,
        luggage.changed,
        luggage.missing,
        branch=name,
        message=text,
        bundle=bundle,
        previous=gitbranch.tips_of(root, luggage.base, name, _trailer(row), max(0, int(text.ended.timestamp()))),
    )
    found.branches = home.branches
    found.skipped += home.skipped
    found.notices += home.notices


def _make_files(found: _Unpacked, row: RunRow, luggage: Luggage, folder: RunFolder) -> None:
    """The files themselves, and a patch of what they were to what they are."""
    found.files += [folder.put(one) for one in luggage.changed]
    if luggage.bundle is not None:
        found.files.append(folder.put(Brought(b"commits.bundle", Kind.FILE, str(luggage.bundle))))
    if not luggage.changed and not luggage.missing:
        return
    with tempfile.TemporaryDirectory(prefix="dgummy-") as scratch:
        out = Path(scratch, "changes.patch")
        made = patchfile.write_patch(Path(row.project), luggage.changed, luggage.missing, luggage.base, out)
        found.notices += made.notices
        found.notices += [f"not in the patch: {_shown(one.path)}: {one.reason}" for one in made.skipped]
        if made.path is not None:
            patch = folder.put(Brought(b"changes.patch", Kind.FILE, str(made.path)))
            found.files.append(patch)
            found.patch = str(patch)
        elif luggage.missing:
            gone = ", ".join(_shown(name) for name in luggage.missing[:10])
            found.notices.append(f"{len(luggage.missing)} of the files were deleted there: {gone}")


def message(row: RunRow, owner: str) -> Message:
    """What the commit with a run's work says. The same for the same run, whenever it is made."""
    words = " ".join(row.command.split())
    subject = words if len(words) <= _SUBJECT_CHARS else words[: _SUBJECT_CHARS - 1] + "…"
    began = _began(row)
    body = "\n".join(f"{name}: {value}" for name, value in _facts(row))
    return Message(subject or row.run_id, body, owner, began, began + timedelta(seconds=int(row.duration_s or 0)))


def _facts(row: RunRow) -> Iterator[tuple[str, str]]:
    yield "Host", row.host
    yield "Command", " ".join(row.command.split())
    yield "Duration", format_duration(row.duration_s or 0.0)
    yield "Exit-Code", "none" if row.exit_code is None else str(row.exit_code)
    if row.cost_usd is not None:
        yield "Cost", f"${row.cost_usd:.4f}"
    name, _, value = _trailer(row).partition(": ")
    yield name, value


def _trailer(row: RunRow) -> str:
    return f"Dgummy-Run: {row.run_id}"


def _began(row: RunRow) -> datetime:
    """To the second, from the id: the same whoever asks."""
    found = _STAMP.match(row.run_id)
    try:
        began = datetime.strptime(found[1] if found else "", "%Y%m%d-%H%M%S")
    except ValueError:
        return row.created_at
    return began.replace(tzinfo=timezone.utc)


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "replace")
