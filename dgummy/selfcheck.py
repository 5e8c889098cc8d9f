"""Look at this machine as a place to work from: programs, settings, keys, folders, the ledger, the disk.

Programs are asked for a few seconds at most, and nothing goes over the network but what they do themselves. Nothing is
waited for longer than LOOK_S: a folder on a file system whose server is gone may never answer.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from dgummy import __version__, diagnosis_here, discovery, fanout, layers, owncaches
from dgummy.diagnosis_here import BadCache, Folder, HereFacts, Ledger, Tailnet, Trouble
from dgummy.ledger_schema import SCHEMA_VERSION, is_damaged
from dgummy.model import Failure
from dgummy.settings import Settings
from dgummy.transport import rsync
from dgummy.transport.dcall import Bounds, call
from dgummy.transport.dfind import Found, NotFound
from dgummy.transport.keyfiles import read_key_file
from dgummy.transport.plaintext import last_line, printable
from dgummy.transport.sshconfig import SSHTarget, agent_socket

ASK_S = 3.0
LOOK_THROUGH_S = 3.0
LOOK_S = 15.0
"""So long all of it may take. It is done at once, and what is not done by then is told."""
_MAX_PEERS = 5000


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be looked at.

    home: the user's folder, below which nothing of ours is a link. cache_files: those that the settings name.
    targets: the ways of each host, as far as ssh can tell them. find_d: looks for it, None where it is not wanted.
    ssh: what it said of itself, None if it is still to be asked.
    config: what is wrong with the settings; readable: whether they could be read all the same.
    """

    environ: Mapping[str, str]
    state_dir: Path
    memo_dir: Path
    home: Path
    cache_files: tuple[Path, ...] = ()
    targets: Mapping[str, Sequence[SSHTarget]] | None = None
    find_d: Callable[[], Found | NotFound] | None = None
    ssh: str | Trouble | None = None
    config: Trouble | None = None
    readable: bool = True
    config_files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    hosts: int = 0
    why_here: str = ""


def look(scene: Scene, patience_s: float = LOOK_S) -> HereFacts:
    """Look at all of it."""
    targets = scene.targets or {}
    ways = [target for several in targets.values() for target in several]
    files = list(dict.fromkeys(path for target in ways for path in target.identity_files))
    wanting = diagnosis_here.dependents(
        [(name, [one.hostname for one in several]) for name, several in targets.items()]
    )
    facts, silent = _answers(
        {
            "ssh": lambda: {"ssh": ask_ssh() if scene.ssh is None else scene.ssh},
            "git": lambda: {"git": _said("git", "--version")},
            "rsync": lambda: {"rsync": _rsync()},
            "d": lambda: {"d": _d(scene.find_d) if scene.find_d else None},
            "tailscale": lambda: {"tailnet": _tailnet()},
            "keys": lambda: _keys(files, ways, scene.environ),
            "folders": lambda: _places(scene),
        },
        patience_s,
    )
    by_hand = {
        "keys": shlex.join(["ls", "-lL", *files[:5]]),
        "folders": shlex.join(["ls", "-ld", str(scene.state_dir), str(scene.memo_dir)]),
    }
    return HereFacts(
        python=f"Python {platform.python_version()}, dgummy {__version__}",
        wants_tailnet=wanting,
        config=scene.config,
        readable=scene.readable,
        config_files=scene.config_files,
        warnings=scene.warnings,
        hosts=scene.hosts,
        by_ssh=bool(ways),
        why_here=scene.why_here,
        silent={name: by_hand.get(name, f"command -v {name}") for name in silent},
        **facts,
    )


def _answers(checks: Mapping[str, Callable[[], dict[str, Any]]], patience_s: float) -> tuple[dict[str, Any], list[str]]:
    """Make all checks at once: what they tell, and those that did not answer."""
    end = time.monotonic() + patience_s
    done = dict(
        fanout.each(
            list(checks),
            lambda name: checks[name](),
            jobs=len(checks),
            patience_s=lambda: max(0.0, end - time.monotonic()),
        )
    )
    told = {name: value for facts in done.values() for name, value in facts.items()}
    return told, [name for name in checks if name not in done]


def _places(scene: Scene) -> dict[str, Any]:
    """What is in the file system."""
    broken, strange = _caches(scene)
    ledger, trouble = _ledger(scene.state_dir / "runs.db")
    disk = _existing(scene.state_dir)
    return {
        "folders": _folders(scene),
        "broken_caches": broken,
        "strange_caches": strange,
        "ledger": ledger,
        "ledger_trouble": trouble,
        "disk_free_bytes": _free(disk),
        "disk": str(disk),
    }


def _folders(scene: Scene) -> tuple[Folder, ...]:
    places = {"state-folder": scene.state_dir, "cache-folder": scene.state_dir / "cache", "memo-folder": scene.memo_dir}
    return tuple(folder(name, path, _below(path, scene)) for name, path in places.items())


def _below(path: Path, scene: Scene) -> str:
    """From where on the way to a folder of ours is ours; "" if it is not surely one that we made, for us alone."""
    state = scene.state_dir
    if path == scene.memo_dir:
        base = path.parent
    elif state == layers.expand_path(Settings().state_dir, scene.home) or _is_file(state / "runs.db"):
        base = state.parent
    else:
        return ""
    below = scene.home if path.is_relative_to(scene.home) else base
    return str(below) if owncaches.is_ours(path, below) else ""


def ask_ssh() -> str | Trouble:
    """What ssh says of itself; without one no host can be looked at."""
    return _said("ssh", "-V")


def _said(program: str, flag: str) -> str | Trouble:
    """The first line that a program says of itself, "" if it is not there."""
    path = shutil.which(program)
    if path is None:
        return ""
    called = call([path, flag], Bounds(total_s=ASK_S))
    lines = (called.stdout + called.stderr).decode("utf-8", "replace").splitlines()
    first = next((printable(line)[:100] for line in lines if line.strip()), "")
    if called.timed_out:
        return Trouble(f"{program} does not answer: {path} {flag}: {called.problem}", f"{path} {flag}")
    if called.problem or called.code != 0:
        return Trouble(f"{path} does not run: {called.problem or first or called.code}", f"{path} {flag}")
    return first


def _rsync() -> str | Trouble:
    found = rsync.detect_local()
    if isinstance(found, Failure):
        return Trouble(found.detail, found.remedy)
    return f"{found.kind} {'.'.join(map(str, found.version))} at {found.path}"


def _d(find: Callable[[], Found | NotFound]) -> str | Trouble:
    found = find()
    if isinstance(found, Found):
        return f"{found.path} speaks the {found.dialect.value} dialect"
    if found.silent:
        return Trouble(found.why, found.silent[0])
    return found.why


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


def _keys(files: Sequence[str], ways: Sequence[SSHTarget], environ: Mapping[str, str]) -> dict[str, Any]:
    """The private keys that ssh would offer, and how many its agents have."""
    private = [path for path in files if (key := read_key_file(path)) is not None and not key.public_only]
    sockets = dict.fromkeys(socket for way in ways if (socket := agent_socket(way, environ)) is not None)
    counts = {socket: _agent_keys(socket) for socket in sockets}
    answered = [count for count in counts.values() if isinstance(count, int)]
    return {
        "agent_keys": sum(answered) if answered else None,
        "silent_agents": tuple(socket for socket, count in counts.items() if isinstance(count, Trouble)),
        "key_files": tuple(private),
        "open_keys": tuple(path for path in private if _others_read(path)),
    }


def _agent_keys(socket: str) -> int | Trouble | None:
    """How many keys an agent has; None if there is none."""
    told = call(["ssh-add", "-l"], Bounds(total_s=ASK_S), variables={"SSH_AUTH_SOCK": socket})
    if told.timed_out:
        return Trouble(told.problem)
    if told.code not in (0, 1):  # 1: it has none; 2: nobody answers
        return None
    return len(told.stdout.splitlines()) if told.code == 0 else 0


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
    is_open, is_seen = bool(info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)), bool(info.st_mode & 0o055)
    usable = os.access(path, os.W_OK | os.X_OK)
    problem = "it cannot be written to" if ours and not usable else ""
    return Folder(name, str(path), ours=ours, is_open=is_open, is_seen=is_seen, problem=problem, below=below)


def _existing(path: Path) -> Path:
    return next((place for place in (path, *path.parents) if _is_there(place)), Path("/"))


def _is_there(path: Path) -> bool:
    """Whether it can be seen; in a folder that is closed to us nothing can."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _is_file(path: Path) -> bool:
    return _is_there(path) and path.is_file()


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
    if not _is_file(path):  # a named pipe would keep us waiting
        return Ledger.UNUSABLE, Trouble(
            f"{path} is no ordinary file", f"see what it is, and move it away: ls -ld {path}"
        )
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
