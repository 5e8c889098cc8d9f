"""The agent skill on the screen and as JSON. Pure."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from dgummy.render.text import one_line
from dgummy.skill import NAME, Installed, Removed, SkillState
from dgummy.skillrules import Standing


def standing(found: SkillState) -> list[tuple[str, str]]:
    """How it stands, as lines with their styles."""
    where, ours = _place(found.folder), found.package_version
    if found.leads_to is not None:
        where = f"{where} (a link to {_place(found.leads_to)})"
    update = f"inv skill.install{_to(found)}"
    said = {
        Standing.ABSENT: (f"not installed in {where}; to put it there: {update}", ""),
        Standing.FOREIGN: (f"{where} holds something that dgummy did not install", "warning"),
        Standing.CURRENT: (f"installed in {where}, version {found.version}", ""),
        Standing.NEWER: (f"installed in {where}, version {found.version}: newer than this dgummy ({ours})", "warning"),
        Standing.OLDER: (f"installed in {where}, version {found.version}: {_older(found)}; {update}", "warning"),
    }
    lines = [said[found.standing]]
    lines += [(f"  {name} was edited", "warning") for name in found.edited if found.is_installed]
    lines += [(f"  {name} is missing; {update} brings it back", "warning") for name in found.missing]
    return lines


def state(found: SkillState) -> dict[str, Any]:
    """Where the skill is and how it stands, as fields."""
    return {
        "folder": str(found.folder),
        "state": found.standing.value,
        "version": found.version or None,
        "package_version": found.package_version,
        "edited": list(found.edited),
        "missing": list(found.missing),
    }


def shown(found: SkillState, text: str) -> dict[str, Any]:
    """`inv skill.show --json`."""
    return {**state(found), "text": text}


def installed(done: Installed) -> dict[str, Any]:
    """`inv skill.install --json`."""
    return {
        "folder": str(done.before.folder),
        "action": _action(done),
        "version": done.before.package_version,
        "previous_version": done.before.version or None,
        "written": list(done.written),
        "removed": list(done.removed),
        "kept": [{"file": name, "as": aside} for name, aside in done.kept],
    }


def installed_lines(done: Installed) -> list[tuple[str, str]]:
    """What an installation did, as lines with their styles."""
    before, ours, place = done.before, done.before.package_version, _place(done.before.folder)
    change = f"{before.version} → {ours}" if before.version != ours else f"{ours}, its files are new"
    said = {
        "installed": f"installed the skill {ours} in {place}",
        "unchanged": f"the skill {ours} in {place} is up to date: nothing was done",
        "upgraded": f"upgraded the skill in {place}: {change}",
        "downgraded": f"went back to an older skill in {place}: {change}",
        "repaired": f"put the files of the skill {ours} in {place} right",
    }
    lines = [(f"✓ {said[_action(done)]}", "good")]
    lines += [(f"  what was in {name} is kept as {aside}", "") for name, aside in done.kept]
    if before.real is not None and before.real != before.folder and _action(done) != "unchanged":
        lines.append((f"  through links: that is {_place(before.real)}", ""))
    if before.folder.name != NAME:
        lines.append((f"  agents look for it in a folder named {NAME}", "warning"))
    return lines


def removed(done: Removed) -> dict[str, Any]:
    """`inv skill.remove --json`."""
    return {"folder": str(done.before.folder), "removed": list(done.removed), "left": list(done.left)}


def removed_lines(done: Removed) -> list[tuple[str, str]]:
    """What was removed, as lines with their styles."""
    folder = _place(done.before.folder)
    if not done.before.is_installed:
        return [(f"there is no skill in {folder}: nothing was done", "")]
    lines = [(f"✓ removed the skill from {folder}", "good")]
    if done.left:
        lines.append((f"  left what is not of dgummy: {', '.join(done.left)}", ""))
    return lines


def _action(done: Installed) -> str:
    if not (done.written or done.removed) and done.before.is_whole:
        return "unchanged"
    return {
        Standing.OLDER: "upgraded",
        Standing.NEWER: "downgraded",
        Standing.CURRENT: "repaired",
    }.get(done.before.standing, "installed")


def _older(found: SkillState) -> str:
    same = found.version == found.package_version
    return "its files are older than those of this dgummy" if same else f"older than dgummy {found.package_version}"


def _to(found: SkillState) -> str:
    return "" if found.is_default else f" --to {shlex.quote(_place(found.folder))}"


def _place(folder: Path) -> str:
    return one_line(str(folder), 1000)
