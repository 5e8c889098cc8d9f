"""How the files of the agent skill that lie in a folder stand to those of this package. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

DOCUMENT = "SKILL.md"
"""The file that makes a folder a skill."""
NO_FILE = ""
"""Stands for the digest of what is there but is no ordinary file: a link, a folder."""


class Standing(Enum):
    """How an installed skill stands to the package. `FOREIGN`: what is there is not ours."""

    ABSENT = "absent"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"
    FOREIGN = "foreign"


_MAX_FILES = 100
_NAME = re.compile(r"SKILL\.md|scripts/[A-Za-z0-9_]{1,80}\.py")
_VERSION = re.compile(r"(?!.*[0-9]{10})[A-Za-z0-9.+_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an installation wrote down: the version of the package, and the digest of each file it put there."""

    version: str
    files: Mapping[str, str]


def manifest_of(raw: object) -> Manifest | None:
    """Read what an installation wrote down, decoded. None for what none can have written.

    So nothing but the document and scripts, in the skill's own folder, is ever touched for it.
    """
    version, files = (raw.get("version"), raw.get("files")) if isinstance(raw, dict) else (None, None)
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        return None
    if not isinstance(files, dict) or len(files) > _MAX_FILES:
        return None
    if not all(_NAME.fullmatch(name) and isinstance(digest, str) for name, digest in files.items()):
        return None
    return Manifest(version, files)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result. `edited` and `missing` name files as they are in the folder (`scripts/d_wrapper.py`)."""

    standing: Standing
    edited: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def judge(
    manifest: Manifest | None, found: Mapping[str, str], ours: Mapping[str, str], version: str, *, has_others: bool
) -> Judgement:
    """Compare digests: of the files that are there, of those that the package would put there.

    `version` is the package's. `has_others` tells whether there is anything in the folder besides. A file that is as
    the package has it was edited by nobody, whatever the manifest says: an installation may have been cut off.
    """
    before = manifest.files if manifest is not None else {}
    names = sorted({*before, *ours})
    edited = tuple(name for name in names if name in found and not is_untouched(name, found, before, ours))
    if manifest is None:
        is_free = not edited and (bool(found) or not has_others)
        return Judgement(Standing.ABSENT if is_free else Standing.FOREIGN, edited)
    missing = tuple(name for name in names if name in before and name not in found)
    return Judgement(_standing(manifest, ours, version), edited, missing)


def is_untouched(name: str, found: Mapping[str, str], before: Mapping[str, str], ours: Mapping[str, str]) -> bool:
    """Whether a file is as it was installed, or as it would be now."""
    return bool(found[name]) and found[name] in (before.get(name), ours.get(name))


def is_older(version: str, than: str) -> bool:
    """Compare two versions by their numbers; of the same numbers, what has a suffix such as rc1 or .dev0 is older."""
    return _sort_key(version) < _sort_key(than)


def _standing(manifest: Manifest, ours: Mapping[str, str], version: str) -> Standing:
    if is_older(version, manifest.version):
        return Standing.NEWER
    # In a checkout the files change without the version.
    is_same = not is_older(manifest.version, version) and dict(manifest.files) == dict(ours)
    return Standing.CURRENT if is_same else Standing.OLDER


def _sort_key(version: str) -> tuple[list[int], bool, str]:
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    if match is None:
        return [], False, version
    numbers = [int(number) for number in match[1].split(".")[:8]]
    while numbers and not numbers[-1]:
        numbers.pop()
    suffix = version[match.end() :].partition("+")[0].lstrip(".-_")
    return numbers, not suffix or suffix.startswith("post"), suffix
