"""The agent skill: where it is, how it stands to this package, putting it there and taking it away.

What is put into the folder is written down in `.dgummy-skill.json` there (`{"version", "files": {name: SHA-256}}`): by
that a later version knows its own files from those that the user made or changed. Nothing of the user's is overwritten
or removed; with `force`, what he changed is kept beside as `NAME.bak`.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from errno import EACCES, EEXIST
from pathlib import Path

from dgummy import __version__
from dgummy.errors import ConfigError, UsageError
from dgummy.skillrules import DOCUMENT, NO_FILE, Judgement, Manifest, Standing, judge, manifest_of
from dgummy.textfiles import replace_bytes

NAME = "distributed-gummy"
MANIFEST = ".dgummy-skill.json"

FUNCTIONS = (
    "comprehensive_distributed_report",
    "get_host_status",
    "get_load_metrics",
    "monitor_all_specialists",
    "parallel_gummy_tasks",
    "run_remote_command",
    "select_optimal_host",
    "sync_and_execute_gummy",
    "sync_directory",
)
"""Those of the Python API that the scripts may call through the program `dgummy`."""

_FILES = ("scripts/__init__.py", "scripts/d_wrapper.py", "scripts/orchestrate_gummy.py", DOCUMENT)
"""In the order in which they are written: the document last, so that no agent finds it without the scripts."""

_MAX_BYTES = 1_000_000
_MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class SkillState:
    """A skill's folder and what is in it. `version` is the installed one, "" if that is not known.

    `real` is the folder with all links on the way to it followed, `leads_to` the same if it is a link itself.
    """

    folder: Path
    standing: Standing
    version: str = ""
    package_version: str = __version__
    edited: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    real: Path | None = None
    leads_to: Path | None = None

    @property
    def is_installed(self) -> bool:
        """Whether a skill of ours is there, of whatever version."""
        return self.standing in (Standing.CURRENT, Standing.OLDER, Standing.NEWER)

    @property
    def is_default(self) -> bool:
        """Whether it is where agents look for skills of the user's own."""
        return self.folder == default_folder(Path.home())

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing to be done."""
        return self.standing is Standing.CURRENT and not (self.edited or self.missing)


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation did: files written, files of before that were removed, and what was kept as what."""

    before: SkillState
    written: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What was taken away, and what was left there because it is not ours."""

    before: SkillState
    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def default_folder(home: Path) -> Path:
    """Return where agents look for skills of the user's own, for this one."""
    return home / ".claude" / "skills" / NAME


def contents() -> dict[str, bytes]:
    """Give what the package has for a skill's folder: name to content."""
    source = Path(__file__).parent / "files"
    texts = {name: (source / name).read_bytes() for name in _FILES}
    texts[DOCUMENT] = texts[DOCUMENT].replace(b"@VERSION@", __version__.encode())
    return texts


def state(folder: Path) -> SkillState:
    """Look at a skill's folder. ConfigError if it cannot be read."""
    try:
        manifest = _manifest(folder)
        judgement = _judge(folder, manifest)
    except OSError as error:
        raise _cannot("read", folder, error) from error
    real = Path(os.path.realpath(folder))  # unlike resolve(), no error for links in a circle
    return SkillState(
        folder=folder,
        standing=judgement.standing,
        version=manifest.version if manifest is not None else "",
        edited=judgement.edited,
        missing=judgement.missing,
        real=real,
        leads_to=real if folder.is_symlink() else None,
    )


def document(found: SkillState) -> str:
    """The text of SKILL.md: the one that is there if that is ours, else the package's."""
    if found.is_installed:
        with suppress(OSError):
            return _read(found.folder / DOCUMENT).decode("utf-8", "replace")
    return contents()[DOCUMENT].decode("utf-8")


def install(folder: Path, *, force: bool = False) -> Installed:
    """Put the skill into a folder, or bring the one that is there up to date; where nothing is to be done, do nothing.

    UsageError, and nothing is changed, if it cannot be such a folder (a link, a file) or holds something else; without
    `force` also if the user edited a file, or a newer version is there. ConfigError if it cannot be written.
    """
    before = state(folder)
    _refuse_place(before, "skill.install")
    if not force:
        _refuse_to_replace(before)
    if before.is_whole:
        return Installed(before)
    try:
        _check_writable(folder)
        return _write(before)
    except OSError as error:
        raise _cannot("write", folder, error) from error


def remove(folder: Path, *, force: bool = False) -> Removed:
    """Take the skill's own files away, and its folders if nothing else is in them; what the user added stays.

    UsageError, and nothing is changed, if it cannot be such a folder (a link, a file) or holds something else; without
    `force` also if the user edited a file.
    """
    before = state(folder)
    _refuse_place(before, "skill.remove")
    if before.standing is Standing.FOREIGN:
        raise UsageError(f"{folder} is no skill that dgummy installed", "remove it yourself if it is not wanted")
    if before.edited and not force:
        raise UsageError(
            f"{_listed(before.edited)} in {folder} was edited", "keep a copy if you want one, then add --force"
        )
    manifest = _manifest(folder)
    if manifest is None:
        return Removed(before)
    try:
        _check_writable(folder)
        return _delete(before, manifest)
    except OSError as error:
        raise _cannot("change", folder, error) from error


def _refuse_place(before: SkillState, command: str) -> None:
    folder = before.folder
    if before.leads_to is not None:
        raise UsageError(
            f"{folder} is a link to {before.leads_to}", f"name that folder if it is meant: {command} --to …"
        )
    scripts, manifest = folder / "scripts", folder / MANIFEST
    if scripts.is_symlink():
        raise UsageError(
            f"{scripts} is a link to {os.path.realpath(scripts)}", "put a folder in its place, or take it away"
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "name another one: --to DIR")
    for path, is_right, kind in ((scripts, scripts.is_dir(), "folder"), (manifest, manifest.is_file(), "file")):
        if path.exists() and not is_right:
            raise UsageError(f"{path} is no {kind}", "move it away, whatever it is: dgummy needs that name")


def _check_writable(folder: Path) -> None:
    """PermissionError before anything is touched, where half of it could not be done."""
    for place in (folder, folder / "scripts"):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(EACCES, os.strerror(EACCES), str(place))


def _refuse_to_replace(before: SkillState) -> None:
    folder = before.folder
    if before.standing is Standing.FOREIGN:
        inside = folder / NAME
        raise UsageError(
            f"{folder} holds something that dgummy did not install",
            f"did you mean --to {inside}? Or move it away; with --force, files of the same names are kept as NAME.bak",
        )
    if before.edited:
        raise UsageError(
            f"{_listed(before.edited)} in {folder} was edited",
            "with --force it is replaced, and what is there kept as NAME.bak",
        )
    if before.standing is Standing.NEWER:
        raise UsageError(
            f"the skill in {folder} is of version {before.version}, newer than this dgummy ({__version__})",
            "upgrade dgummy: pip install --upgrade distributed-gummy; or go back to the older one with --force",
        )


def _judge(folder: Path, manifest: Manifest | None) -> Judgement:
    ours = _digests()
    names = {*ours, *(manifest.files if manifest is not None else {})}
    found = {name: digest for name in names if (digest := _digest(folder / name)) is not None}
    return judge(manifest, found, ours, __version__, has_others=not _is_empty(folder))


def _is_empty(folder: Path) -> bool:
    """Whether there is nothing there, or no more than a folder that an installation begins with."""
    if not folder.is_dir():
        return not folder.exists()
    return all(entry.name == "scripts" and entry.is_dir() and not any(entry.iterdir()) for entry in folder.iterdir())


def _write(before: SkillState) -> Installed:
    folder = before.folder
    manifest = _manifest(folder)
    ours = _digests()
    written, removed, kept = [], [], []
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    for name, content in contents().items():
        path = folder / name
        if _digest(path) == ours[name]:
            continue
        if name in before.edited:
            kept.append((name, _keep(path)))
        replace_bytes(path, content, mode=0o644)
        written.append(name)
    for name in sorted((manifest.files if manifest is not None else {}).keys() - ours.keys() - {*before.edited}):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
            removed.append(name)
    text = json.dumps({"version": __version__, "files": ours}, indent=2) + "\n"
    # Last of all: what is cut off before this is taken up by the next installation.
    replace_bytes(folder / MANIFEST, text.encode(), mode=0o644)
    return Installed(before, tuple(written), tuple(removed), tuple(kept))


def _keep(path: Path) -> str:
    """Move what is there aside; the name that it has now."""
    aside = _reserved(path, is_folder=path.is_dir() and not path.is_symlink())
    try:
        path.rename(aside)
    except OSError:
        with suppress(OSError):
            aside.rmdir() if aside.is_dir() else aside.unlink()
        raise
    return aside.name


def _reserved(path: Path, *, is_folder: bool) -> Path:
    """Make something empty under a free name, for a rename to replace: another install may look for one too."""
    for number in range(1, _MAX_KEPT):
        aside = path.with_name(f"{path.name}.bak{number if number > 1 else ''}")
        with suppress(FileExistsError):
            if is_folder:
                aside.mkdir()
            else:
                aside.touch(exist_ok=False)
            return aside
    raise FileExistsError(EEXIST, "too many copies are kept beside it", str(path))


def _delete(before: SkillState, manifest: Manifest) -> Removed:
    folder, removed = before.folder, []
    # The document first, so that no agent finds it without the scripts.
    for name in sorted(manifest.files, key=lambda name: name != DOCUMENT):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            continue
        with suppress(FileNotFoundError):
            path.unlink()
            removed.append(name)
        _forget_compiled(path)
    (folder / MANIFEST).unlink()
    for place in (folder / "scripts" / "__pycache__", folder / "scripts", folder):
        with suppress(OSError):  # not empty, or not there
            place.rmdir()
    left = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return Removed(before, tuple(sorted(removed)), tuple(left))


def _forget_compiled(script: Path) -> None:
    cache = script.parent / "__pycache__"
    if not cache.is_symlink():  # what a link leads to is not ours
        for compiled in cache.glob(f"{script.stem}.*.pyc"):
            if compiled.is_file() or compiled.is_symlink():
                compiled.unlink()


def _manifest(folder: Path) -> Manifest | None:
    """What an installation wrote down; None if there was none, or it cannot be understood."""
    if not (folder / MANIFEST).is_file():
        return None
    try:
        return manifest_of(json.loads(_read(folder / MANIFEST)))
    except (ValueError, RecursionError):
        return None


def _digests() -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents().items()}


def _digest(path: Path) -> str | None:
    """The digest of a file; None if there is none, `NO_FILE` for what is no ordinary file."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return NO_FILE
    try:
        return hashlib.sha256(_read(path)).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES)


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names)


def _cannot(what: str, folder: Path, error: OSError) -> ConfigError:
    where = error.filename or folder
    return ConfigError(f"cannot {what} {where}: {error.strerror or error}", "look at its owner and mode, and the disk")
