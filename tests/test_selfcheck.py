"""How this machine is looked at: folders, caches, the ledger, programs. And verdicts on disk."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dgummy import diagnosis_here, fanout, locks, repairs, selfcheck
from dgummy.diagnosis_here import HereFacts, Ledger, Tailnet
from dgummy.findings import HERE, Finding, Mending, Repair, Severity, Work
from dgummy.gate import VERDICT_S, Verdict
from dgummy.ledger import Ledger as OpenLedger
from dgummy.ledger_schema import SCHEMA_VERSION
from dgummy.liveness import process_began_at
from dgummy.model import Failure, FailureKind
from dgummy.selfcheck import Scene
from dgummy.transport import rsync
from dgummy.transport.base import Answer
from dgummy.transport.dfind import NotFound
from dgummy.transport.framing import Fact
from dgummy.transport.sshconfig import SSHTarget
from dgummy.transport.sshconfig_files import Store
from dgummy.verdicts import Verdicts
from remote_scripts import wait_for

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
OURS = '{"schema_version":1,"entries":[]}'


def look(
    folder: Path, *, targets: dict[str, Sequence[SSHTarget]] | None = None, caches: tuple[Path, ...] = ()
) -> HereFacts:
    return selfcheck.look(Scene(dict(os.environ), folder / "state", folder / "memo", folder, caches, targets))


def test_folders(tmp_path: Path) -> None:
    missing = selfcheck.folder("x", tmp_path / "a/b/c")
    assert (missing.exists, missing.problem) == (False, "")
    (tmp_path / "file").touch()
    assert selfcheck.folder("x", tmp_path / "file").problem == "it is no folder"
    assert selfcheck.folder("x", tmp_path / "file/below").problem
    modes = ((0o700, False, False), (0o755, False, True), (0o775, True, True), (0o702, True, False))
    for mode, is_open, is_seen in modes:
        (tmp_path / "d").mkdir(exist_ok=True)
        (tmp_path / "d").chmod(mode)
        seen = selfcheck.folder("x", tmp_path / "d")
        assert (seen.is_open, seen.is_seen) == (is_open, is_seen)


def by_verdict(state: Path) -> None:
    Verdicts(state, ["x"]).remember([Verdict("n", NOW, ((Work.AGENT, "w", "c"),))], NOW)


def by_lock(state: Path) -> None:
    with locks.held(state / "locks", "n", "x", NOW):
        pass


@pytest.mark.parametrize(
    "make",
    [
        by_verdict,
        by_lock,
        lambda state: OpenLedger.open(state / "runs.db").close(),
        lambda state: Store(state / "cache/ssh.json").put({"n": {}}, "mark"),
    ],
)
def test_whoever_makes_the_state_folder_makes_it_for_us_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "above/state")
    made = [path for path in (tmp_path / "above").rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "above", *made)} == {0o700}


def test_the_ledger_is_looked_through_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state/runs.db"
    assert look(tmp_path).ledger is Ledger.NONE and not path.exists()
    OpenLedger.open(path).close()
    assert look(tmp_path).ledger is Ledger.GOOD
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    newer = look(tmp_path)
    assert newer.ledger is Ledger.UNUSABLE and "newer" in newer.ledger_trouble.what
    path.write_bytes(b"no database" * 1000)
    assert look(tmp_path).ledger is Ledger.DAMAGED and path.read_bytes().startswith(b"no database")
    path.unlink()
    os.mkfifo(path)
    pipe = look(tmp_path)
    assert pipe.ledger is Ledger.UNUSABLE and "no ordinary file" in pipe.ledger_trouble.what


@pytest.mark.parametrize("name", ["state", "memo"])
def test_a_folder_that_cannot_be_looked_into_is_told_as_that(tmp_path: Path, name: str) -> None:
    """One whose name is too long is as closed as another user's, for root too."""
    closed = tmp_path / ("x" * 300)
    state, memo = (closed if name == one else tmp_path / one for one in ("state", "memo"))
    facts = selfcheck.look(Scene(dict(os.environ), state, memo, tmp_path, cache_files=(closed / "load.json",)))
    assert (facts.broken_caches, facts.strange_caches) == ((), ())
    assert {one.problem for one in facts.folders if one.path.startswith(str(closed))} == {"File name too long"}


def test_caches(tmp_path: Path) -> None:
    cache, shared = tmp_path / "state/cache", tmp_path / "shared.json"
    cache.mkdir(parents=True)
    OpenLedger.open(tmp_path / "state/runs.db").close()
    texts = {"d.json": "{}", "ssh.json": "{", "doctor.json": OURS, "d-load-cache.json": OURS[:25], "mine.json": "{"}
    for name, text in texts.items():
        (cache / name).write_text(text)
        (cache / name).chmod(0o600)
    (cache / "doctor.json").chmod(0o666)
    (cache / "d-status-cache.json").touch(0o600)
    os.truncate(cache / "d-status-cache.json", 16_000_001)
    shared.symlink_to(cache / "d.json")
    facts = look(tmp_path, caches=(shared, tmp_path / "not-there"))
    assert {Path(one.path).name: (one.why, one.below) for one in facts.broken_caches} == {
        "ssh.json": ("it is no JSON", str(tmp_path)),
        "doctor.json": ("others may write to it", str(tmp_path)),
        "d-load-cache.json": ("it is no JSON", str(tmp_path)),
    }
    large = (str(cache / "d-status-cache.json"), "it is larger than a cache ever is")
    assert facts.strange_caches == ((str(shared), "it is no ordinary file"), large)


def mended(folder: Path, **more: tuple[Path, ...]) -> list[str]:
    """What is done for all that is found on this machine: the reasons, "" for what was done."""
    found = diagnosis_here.examine(look(folder, **more)).findings  # type: ignore[arg-type]
    return [one.reason for one in repairs.mend(found, repairs.nobody, jobs=1)]


def test_what_is_the_users_is_neither_removed_nor_changed(tmp_path: Path) -> None:
    mine, state = tmp_path / "mine", tmp_path / "state"
    mine.mkdir()
    state.mkdir()
    OpenLedger.open(state / "runs.db").close()
    for name in ("d.json", "tsconfig.json"):
        (mine / name).write_text("// mine" if name != "d.json" else OURS[:25])
    (state / "cache").symlink_to(mine)
    assert mended(tmp_path) == []  # through a link
    (state / "cache").unlink()
    (state / "cache").mkdir()
    named = state / "cache/d.json"
    for path in (mine / "notes.txt", named):  # named by a setting
        path.write_text(OURS[:25])
        assert mended(tmp_path, caches=(path,)) == [] and path.exists()
    assert mended(tmp_path) == [""] and not named.exists()
    state.chmod(0o2775)
    assert mended(tmp_path) == [""] and state.stat().st_mode & 0o7777 == 0o2755
    state.chmod(0o2775)
    (state / "runs.db").unlink()
    assert mended(tmp_path) == [] and state.stat().st_mode & 0o7777 == 0o2775  # a folder that is not only ours
    assert sorted(path.name for path in mine.iterdir()) == ["d.json", "notes.txt", "tsconfig.json"]


def test_keys_and_tailscale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "id"
    key.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    key.chmod(0o640)
    way = SSHTarget(
        "n", "n.tail1.ts.net", "ana", identity_files=(str(key), str(tmp_path / "none")), identity_agent="none"
    )
    program = tmp_path / "bin/tailscale"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho \'{"BackendState": "Needs\\u001b[31mLogin", "AuthURL": "https://x/1"}\'\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    facts = look(tmp_path, targets={"n": [way]})
    assert (facts.open_keys, facts.key_files, facts.agent_keys) == ((str(key),), (str(key),), None)
    assert facts.tailnet == Tailnet("Needs [31mLogin", "https://x/1") and facts.wants_tailnet == ("n",)
    status = Path(__file__).parent / "data/config/tailscale_status.json"
    program.write_text(f"#!/bin/sh\ncat '{status}'\n")
    known = dict.fromkeys(("node-2", "node-2.tail1234.ts.net", "100.64.0.3"), "2026-01-01")
    assert look(tmp_path).tailnet == Tailnet("Running", "", known)
    program.write_text("#!/bin/sh\nexit 1\n")
    assert look(tmp_path).tailnet == Tailnet()


def test_a_program_that_hangs_is_told_as_that_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selfcheck, "ASK_S", 2.0)
    monkeypatch.setattr(rsync, "VERSION_S", 2.0)
    pids = tmp_path / "pids"
    for name in ("git", "rsync", "ssh-add"):
        (tmp_path / name).write_text(f"#!/bin/sh\nsleep 60 & echo $! >>'{pids}'\nsleep 60\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'libcrypto.so.3: not found' >&2\nexit 127\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    way = SSHTarget("n", "n", "ana", identity_agent="/agent")
    facts = look(tmp_path, targets={"n": [way]})
    told = {one.check: one for one in diagnosis_here.examine(facts).findings}
    assert f"git does not answer: {tmp_path}/git --version: no end within 2.0 s" in told["git"].what
    assert "rsync does not answer" in told["rsync"].what and "not found" not in told["git"].what + told["rsync"].what
    assert told["ssh"].what == f"{tmp_path}/ssh does not run: libcrypto.so.3: not found"
    assert told["keys"].what == "the ssh agent at /agent does not answer"
    assert len(pids.read_text().split()) == 3
    wait_for(lambda: not [pid for pid in map(int, pids.read_text().split()) if process_began_at(pid, NOW)])


def test_what_does_not_answer_is_told_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    hung = threading.Event()
    began = time.monotonic()

    def find_d() -> NotFound:
        hung.wait(30)
        return NotFound()

    scene = Scene(dict(os.environ), tmp_path / "state", tmp_path / "memo", tmp_path, find_d=find_d)
    facts = selfcheck.look(scene, patience_s=2)
    assert time.monotonic() - began < 10 and list(facts.silent) == ["d"] and facts.git
    found = [one for one in diagnosis_here.examine(facts).findings if one.check == "d"]
    assert ["command -v d" in one.fix and one.is_problem for one in found] == [True]
    hung.set()


# -- mending ---------------------------------------------------------------------------------------------------------


def finding(place: str, how: Mending, path: Path | str, below: Path | str = "") -> Finding:
    return Finding("c", place, Severity.HINT, "w", "y", "f", (), Repair(how, str(path), str(below)))


def test_only_what_is_ours_is_mended(tmp_path: Path) -> None:
    folder, cache, link = tmp_path / "d", tmp_path / "d.json", tmp_path / "ssh.json"
    folder.mkdir()
    folder.chmod(0o2777)
    cache.touch()
    link.symlink_to(cache)
    for path, text in ((folder / "d.json", OURS[:25]), (folder / "ssh.json", "notes"), (folder / "x.json", OURS[:25])):
        path.write_text(text)
    (tmp_path / "way").symlink_to(folder)
    asked = []

    def call(host: str, function: str, words: Sequence[str]) -> Answer | Failure:
        asked.append((host, function, list(words)))
        return Failure(FailureKind.REFUSED, "down") if host == "b" else Answer(0, (Fact("repaired", words[0]),))

    done = repairs.mend(
        [
            finding(HERE, Mending.PRIVATE, folder, tmp_path),
            finding(HERE, Mending.PRIVATE, tmp_path / "way", tmp_path),
            finding(HERE, Mending.PRIVATE, folder, folder),
            finding(HERE, Mending.REMOVE, link, tmp_path.parent),
            finding(HERE, Mending.REMOVE, tmp_path / "way/d.json", tmp_path),
            finding(HERE, Mending.REMOVE, folder / "ssh.json", tmp_path),
            finding(HERE, Mending.REMOVE, folder / "x.json", tmp_path),
            finding(HERE, Mending.REMOVE, folder / "d.json"),
            finding(HERE, Mending.REMOVE, tmp_path / "gone/d.json", tmp_path),
            finding("a", Mending.TIDY, "~"),
            finding("b", Mending.PRIVATE, "~"),
            finding("a", Mending.REMOVE, "~"),
            Finding("c", "a", Severity.HINT, "w", "y", "f"),
        ],
        call,
        jobs=1,
    )
    assert [number for number, one in enumerate(done) if not one.reason] == [0, 9]
    assert folder.stat().st_mode & 0o7777 == 0o2755 and link.is_symlink() and cache.exists()
    assert asked == [("a", "doctor_repair", ["tidy"]), ("b", "doctor_repair", ["private"])]
    (last,) = repairs.mend([finding(HERE, Mending.REMOVE, folder / "d.json", tmp_path)], call, jobs=1)
    assert not last.reason and sorted(path.name for path in folder.iterdir()) == ["ssh.json", "x.json"]


def test_verdicts_are_kept_for_a_while_and_for_these_hosts(tmp_path: Path) -> None:
    kept = Verdicts(tmp_path / "state", ["x"])
    assert kept.known(NOW) == {}
    bad = Verdict("n", NOW, ((Work.AGENT, "not logged in", "agent-login"),))
    kept.remember([bad, Verdict("m", NOW)], NOW)
    assert kept.known(NOW) == {"n": bad}
    assert Verdicts(tmp_path / "state", ["y"]).known(NOW) == {}
    later = NOW + timedelta(seconds=VERDICT_S / 2)
    kept.remember([Verdict("o", later, ((Work.SYNC, "noisy", "shell-noise"),))], later)
    assert set(kept.known(later)) == {"n", "o"}
    assert set(kept.known(NOW + timedelta(seconds=VERDICT_S + 1))) == {"o"}  # each has an age of its own
    kept.remember([Verdict("n", later)], later)
    assert set(kept.known(later)) == {"o"}


def test_doctors_at_once_lose_no_verdict(tmp_path: Path) -> None:
    hosts = [f"n{number}" for number in range(12)]

    def remember(host: str) -> None:
        Verdicts(tmp_path / "state", ["x"]).remember([Verdict(host, NOW, ((Work.AGENT, "w", "c"),))], NOW)

    fanout.in_order(hosts, remember, jobs=len(hosts))
    assert sorted(Verdicts(tmp_path / "state", ["x"]).known(NOW)) == sorted(hosts)
