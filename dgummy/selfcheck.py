"""Look at this machine as a place to work from: programs, settings, keys, folders, the ledger, the disk.

Programs are asked for a few seconds at most, and nothing goes over the network but what they do themselves.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from dgummy import __version__, diagnosis_here, discovery, layers, owncaches
from dgummy.diagnosis_here import BadCache, Folder, HereFacts, Ledger, Tailnet, Trouble
from dgummy.ledger_schema import SCHEMA_VERSION, is_damaged
from dgummy.model import Failure
from dgummy.settings import Settings
from dgummy.transport import rsync
from dgummy.transport.keyfiles import read_key_file
from dgummy.transport.plaintext import last_line, printable
from dgummy.transport.sshconfig import SSHTarget, agent_socket

ASK_S = 3.0
LOOK_THROUGH_S = 3.0
_MAX_PEERS = 5000


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be looked at.

    home: the user's folder, below which nothing of ours is a link. cache_files: those that the settings name.
    targets: the ways of each host, as far as ssh can tell them. d: what there is of it, None if nobody looked.
    config: what is wrong with the settings; readable: whether they could be read all the same.
    """

    environ: Mapping[str, str]
    state_dir: Path
    memo_dir: Path
    home: Path
    cache_files: tuple[Path, ...] = ()
    targets: Mapping[str, Sequence[SSHTarget]] | None = None
    d: str | None = None
    config: Trouble | None = None
    readable: bool = True
    config_files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    hosts: int = 0
    why_here: str = ""


def look(scene: Scene) -> HereFacts:
    """Look at all of it."""
    targets = scene.targets or {}
    ways = [target for several in targets.values() for target in several]
    files = dict.fromkeys(path for target in ways for path in target.identity_files)
    private = [path for path in files if (key := read_key_file(path)) is not None and not key.public_only]
    wanting = diagnosis_here.dependents(
        [(name, [one.hostname for one in several]) for name, several in targets.items()]
    )
    broken, strange = _caches(scene)
    ledger, trouble = _ledger(scene.state_dir / "runs.db")
    disk = _existing(scene.state_dir)
    return HereFacts(
        python=f"Python {platform.python_version()}, dgummy {__version__}",
        ssh=_said(["ssh", "-V"]),
        git=_said(["git", "--version"]),
        rsync=_rsync(),
        d=scene.d,
        tailnet=_tailnet(),
        wants_tailnet=wanting,
        agent_keys=_agent_keys(ways, scene.environ),
        key_files=tuple(private),
        open_keys=tuple(path for path in private if _others_read(path)),
        config=scene.config,
        readable=scene.readable,
        config_files=scene.config_files,
        warnings=scene.warnings,
        hosts=scene.hosts,
        by_ssh=bool(ways),
        why_here=scene.why_here,
        folders=_folders(scene),
        broken_caches=broken,
        strange_caches=strange,
        ledger=ledger,
        ledger_trouble=trouble,
        disk_free_bytes=_free(disk),
        disk=str(disk),
    )


def _folders(scene: Scene) -> tuple[Folder, ...]:
    places = {"state-folder": scene.state_dir, "cache-folder": scene.state_dir / "cache", "memo-folder": scene.memo_dir}
    return tuple(folder(name, path, _below(path, scene)) for name, path in places.items())


def _below(path: Path, scene: Scene) -> str:
    """From where on the way to a folder of ours is ours; "" if it is not surely one that we made, for us alone."""
    state = scene.state_dir
    if path == scene.memo_dir:
        base = path.parent
    elif state == layers.expand_path(Settings().state_dir, scene.home) or (state / "runs.db").is_file():
        base = state.parent
    else:
        return ""
    below = scene.home if path.is_relative_to(scene.home) else base
    return str(below) if owncaches.is_ours(path, below) else ""


def _said(argv: list[str]) -> str:
    """The first line that a program says of itself, "" if it is not there, or says nothing in time."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return next((printable(line)[:100] for line in lines if line.strip()), "")


def _rsync() -> str | Trouble:
    found = rsync.detect_local()
    if isinstance(found, Failure):
        return Trouble(found.detail, found.remedy)
    return f"{found.kind} {'.'.join(map(str, found.version))} at {found.path}"


def _tailnet() -> Tailnet | None:
    if shutil.which("tailscale") is None:
        return None
    status = discovery.tailscale_status(ASK_S) or {}
    state, url = status.get("BackendState"), status.get("AuthURL")
    return Tailnet(printable(str(state or ""))[:40], printable(str(url or ""))[:200], _offline(status.get("Peer")))


def _offline(peers: object) -> dict[str, str]:
    """The names and addresses of peers that are offline, each with the day on which they were seen last."""
    found: dict[str, str] = {}
    for peer in list(peers.values())[:_MAX_PEERS] if isinstance(peers, dict) else []:
        if not isinstance(peer, dict) or peer.get("Online") is not False:
            continue
        full, seen, addresses = str(peer.get("DNSName", "")).rstrip("."), peer.get("LastSeen"), peer.get("TailscaleIPs")
        names = [full, full.partition(".")[0], *(addresses if isinstance(addresses, list) else [])]
        day = str(seen)[:10] if isinstance(seen, str) and not seen.startswith("0001") else ""
        found |= {str(name).lower(): printable(day) for name in names if name}
    return found


def _agent_keys(targets: Sequence[SSHTarget], environ: Mapping[str, str]) -> int | None:
    """How many keys the agents have that ssh would ask; None if there are none, or none answers."""
    counts = []
    for socket in dict.fromkeys(agent_socket(target, environ) for target in targets):
        if socket is None:
            continue
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                ["ssh-add", "-l"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ASK_S,
                check=False,
                env={**environ, "SSH_AUTH_SOCK": socket},
            )
            if done.returncode in (0, 1):  # 1: it has none; 2: nobody answers
                counts.append(len(done.stdout.splitlines()) if done.returncode == 0 else 0)
    return sum(counts) if counts else None


def _others_read(path: str) -> bool:
    """Whether ssh would refuse a key of ours for its mode."""
    try:
        info = Path(path).stat()
    except OSError:
        return False
    return info.st_uid == os.geteuid() and bool(info.st_mode & 0o077)


def folder(name: str, path: Path, below: str = "") -> Folder:
    """Look at a folder of ours, or at where it will be. `below` as in its record."""
    try:
        info = path.stat()
    except FileNotFoundError:
        above = _existing(path)
        fine = os.access(above, os.W_OK | os.X_OK) and above.is_dir()
        return Folder(name, str(path), exists=False, problem="" if fine else f"it cannot be made in {above}")
    except OSError as error:
        return Folder(name, str(path), problem=error.strerror or str(error))
    if not stat.S_ISDIR(info.st_mode):
        return Folder(name, str(path), problem="it is no folder")
    ours = info.st_uid == os.geteuid()
    is_open = bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    usable = os.access(path, os.W_OK | os.X_OK)
    problem = "it cannot be written to" if ours and not usable else ""
    return Folder(name, str(path), ours=ours, is_open=is_open, problem=problem, below=below)


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if _is_there(place)), Path("/"))


def _is_there(path: Path) -> bool:
    """Whether it can be seen; in a folder that is closed to us nothing can."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _caches(scene: Scene) -> tuple[tuple[BadCache, ...], tuple[tuple[str, str], ...]]:
    """Caches that cannot be read, and files in their places that are not ours, each with the reason."""
    folders = {scene.state_dir / "cache": owncaches.IN_STATE, scene.memo_dir: owncaches.IN_MEMO}
    ways = {folder / name: _below(folder, scene) for folder, names in folders.items() for name in names}
    named = {os.path.realpath(path) for path in scene.cache_files}  # by a setting: never to be removed
    broken, strange = [], []
    for path in dict.fromkeys([*scene.cache_files, *ways]):
        found = owncaches.look(path)
        if found is None or not found.trouble:
            continue
        if found.foreign:
            strange.append((str(path), found.trouble))
        else:
            may_go = found.expendable and os.path.realpath(path) not in named
            broken.append(BadCache(str(path), found.trouble, ways.get(path, "") if may_go else ""))
    return tuple(broken), tuple(strange)


def _ledger(path: Path) -> tuple[Ledger, Trouble]:
    """Look through the ledger without changing it; as far as there is time."""
    if not _is_there(path):
        return Ledger.NONE, Trouble("")
    try:
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=ASK_S)
    except sqlite3.Error as error:
        return Ledger.UNUSABLE, Trouble(f"{path}: {error}", f"ls -l {path}")
    end = time.monotonic() + LOOK_THROUGH_S
    connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        if "interrupted" in str(error):
            return Ledger.GOOD, Trouble("")
        kind = Ledger.DAMAGED if is_damaged(error) else Ledger.UNUSABLE
        return kind, Trouble(f"{path}: {last_line(str(error))}", f"ls -l {path}")
    finally:
        connection.close()
    if said != "ok":
        return Ledger.DAMAGED, Trouble(f"{path} is damaged: {last_line(str(said))}")
    if version > SCHEMA_VERSION:
        fix = "pip install --upgrade distributed-gummy"
        return Ledger.UNUSABLE, Trouble(f"{path} was made by a newer dgummy", fix)
    return Ledger.GOOD, Trouble("")


def _free(place: Path) -> int | None:
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None
