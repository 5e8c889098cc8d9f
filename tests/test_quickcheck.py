"""A sync that has nothing to do is proven so without rsync: by the real scripts, under the shells that hosts have."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dgummy import fileset, quickcheck
from dgummy.model import Failure, Host, SyncResult
from dgummy.settings import Timeouts
from dgummy.syncplan import Listing
from dgummy.transport import rsync
from dgummy.transport.base import Answer, FrameSink, Limits, Reached, Script, conclude
from dgummy.transport.framing import Fact, FrameReader
from dgummy.workspaces import Synced, WorkspaceSync
from remote_scripts import KINDS, Box, MakeBox

pytestmark = pytest.mark.skipif(shutil.which("rsync") is None, reason="there is no rsync on this machine")

LONG_AGO_S = 1_600_000_000


class BoxTransport:
    """Runs scripts in a box. With no ssh name rsync pushes to this machine, which is where the box is."""

    name = "local"

    def __init__(self, box: Box) -> None:
        self.box = box
        self.scripts = 0

    def connect(self, host: Host) -> Reached | Failure:
        return Reached("", "", 0.0)

    def run_script(
        self,
        host: Host,
        script: Script,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sink: FrameSink | None = None,
    ) -> Answer | Failure:
        self.scripts += 1
        stdout, stderr = self.box.popen(script.text).communicate(timeout=40)
        facts = []
        for frame in FrameReader(script.marker).feed(stdout):
            if isinstance(frame, Fact):
                facts.append(frame)
            if sink is not None:
                sink(frame)
        return conclude(facts, stderr.decode(errors="replace"))

    def close(self) -> None:
        pass


class Pair:
    """A project here and its workspace in a box. `pushed` holds the names that each rsync was given."""

    def __init__(self, box: Box, folder: Path) -> None:
        self.here, self.there = folder, box.home / "project"
        self.box = box
        self.transport = BoxTransport(box)
        self.pushed: list[set[bytes]] = []
        folder.mkdir()
        if not (box.bin / "rsync").exists():
            (box.bin / "rsync").symlink_to(str(shutil.which("rsync")))

    def syncer(self) -> WorkspaceSync:
        return WorkspaceSync(
            self.transport,
            self.here,
            lambda: fileset.list_files(self.here, (), is_git=False),
            remote_dir=lambda _: "~/project",
            owner="me",
            timeouts=Timeouts(),
            ssh_config=None,
            emit=lambda _: None,
            expire_s=86400.0,
        )

    def sync(self, *, keep: bool = False) -> Synced:
        """Sync; it must go well. The names that rsync was given are in the last of `pushed`, none if it did not run."""
        self.pushed.append(set())
        done = self.syncer().to(Host("node"), "r1", keep=keep)
        assert done.result.ok, done.result.failure
        return done

    def plan(self) -> SyncResult:
        return self.syncer().would_send(Host("node"))

    def locks(self) -> list[Path]:
        return list(self.box.state.glob("workspaces/*/lock"))


@pytest.fixture
def pair(box: Box, tmp_path: Path, spied: Callable[[Pair], Pair]) -> Pair:
    return spied(Pair(box, tmp_path / "here"))


@pytest.fixture
def spied(monkeypatch: pytest.MonkeyPatch) -> Callable[[Pair], Pair]:
    """Have a pair see which names rsync is given."""
    real = rsync.push

    def spy_on(pair: Pair) -> Pair:
        def push(source: Path, files: Any, *args: Any, **more: Any) -> Any:
            if not more.get("dry"):
                pair.pushed[-1] = set(files)
            return real(source, files, *args, **more)

        monkeypatch.setattr(rsync, "push", push)
        return pair

    return spy_on


def write(path: Path, text: str, mtime_s: int = LONG_AGO_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (mtime_s, mtime_s))


def fill(folder: Path) -> None:
    write(folder / "README", "read me")
    write(folder / "src/a.c", "int a;")
    write(folder / "src/deep/er/b.c", "int b;")
    write(folder / "src/run.sh", "true")
    (folder / "src/run.sh").chmod(0o755)
    (folder / "link").symlink_to("src/a.c")
    (folder / "dangling").symlink_to("../no where")


def what_is(path: Path) -> object:
    """All of a file or link that a sync is to bring: kind, mode, content."""
    if path.is_symlink():
        return path.readlink()
    mode = path.lstat().st_mode
    return mode, path.read_bytes() if stat.S_ISREG(mode) else None


def assert_same(pair: Pair) -> None:
    listing = fileset.list_files(pair.here, (), is_git=False)
    for name in listing.paths:
        here, there = pair.here / os.fsdecode(name), pair.there / os.fsdecode(name)
        assert what_is(here) == what_is(there), name
    for folder in filter(None, listing.folder_modes):
        below = pair.there / os.fsdecode(folder)
        if any(name.startswith(folder + b"/") for name in listing.paths):
            assert not below.is_symlink()
            assert below.stat().st_mode == (pair.here / os.fsdecode(folder)).stat().st_mode, folder


# -- nothing to do ---------------------------------------------------------------------------------------------


def test_rsync_is_not_run_where_there_is_nothing_to_do(pair: Pair) -> None:
    fill(pair.here)
    assert pair.sync().result.files == 4  # rsync does not count links
    assert len(pair.pushed[-1]) == 6
    before = pair.transport.scripts
    result = pair.sync().result
    assert (result.files, result.bytes, result.deleted, result.total_files) == (0, 0, 0, 6)
    assert not pair.pushed[-1] and pair.transport.scripts == before + 1
    assert pair.locks() == []
    assert pair.plan().files == 0
    assert not list(pair.box.state.glob("workspaces/*/states*"))


def test_the_workspace_is_held_for_a_run_that_follows(pair: Pair) -> None:
    fill(pair.here)
    pair.sync()
    done = pair.sync(keep=True)
    assert done.workspace is not None and not pair.pushed[-1] and len(pair.locks()) == 1
    pair.syncer().release(done.workspace)
    assert pair.locks() == []


ODD = ["with blanks", "-n", "#c", "per%cent", "%0A", "%250A", "é😀", "q'u\"o$t`e\\", "*?[x]", "a -> b", "d %/f %25"]


def test_odd_names_are_no_doubt(pair: Pair) -> None:
    for name in ODD:
        write(pair.here / name, name)
    write(pair.here / os.fsdecode(b"caf\xe9"), "latin")
    (pair.here / "to").symlink_to("x -> y")
    (pair.here / "x -> z").symlink_to("per%cent")
    pair.sync()
    pair.sync()
    assert not pair.pushed[-1]
    write(pair.there / "d %/f %25", "changed")
    (pair.there / "to").unlink()
    (pair.there / "to").symlink_to("z -> y")
    pair.sync()
    assert pair.pushed[-1] == {b"d %/f %25", b"to"}
    assert_same(pair)


@pytest.mark.parametrize("target", ["plain", "in\nthe target"])
def test_a_newline_in_a_name_or_a_target_leaves_it_to_rsync(pair: Pair, target: str) -> None:
    (pair.here / "link").symlink_to(target)
    write(pair.here / ("a\nb" if target == "plain" else "c"), "x")
    pair.sync()
    pair.sync()
    assert len(pair.pushed[-1]) == 2
    assert_same(pair)


# -- what changed there ----------------------------------------------------------------------------------------

A_C = b"src/a.c"
IN_SRC = {A_C, b"src/deep/er/b.c", b"src/run.sh"}
THEN = "touch -h -d @1600000000"
THERE = {
    "touch src/a.c": {A_C},
    f"echo longer than it was >src/a.c; {THEN} src/a.c": {A_C},
    "printf 'int z;' >src/a.c": {A_C},
    f": >src/a.c; {THEN} src/a.c": {A_C},
    "rm src/a.c": {A_C},
    "chmod 755 src/a.c": {A_C},
    "chmod 644 src/run.sh": {b"src/run.sh"},
    "rm src/a.c; ln -s run.sh src/a.c": {A_C},
    "rm src/a.c; mkdir src/a.c; touch src/a.c/x": {A_C},
    "rm src/a.c; mkfifo src/a.c": {A_C},
    f"rm link; ln -s src/b.c link; {THEN} link": {b"link"},
    "rm link; printf src/a.c >link": {b"link"},
    "rm link": {b"link"},
    "chmod 700 src/deep/er": {b"src/deep/er/b.c"},
    "mv src copy; ln -s copy src": IN_SRC,
    "rm -r src": IN_SRC,
    "rm -r src; touch src": IN_SRC,
}


@pytest.mark.parametrize("change", THERE)
def test_whatever_changed_there_is_mended_and_nothing_else_looked_at(pair: Pair, change: str) -> None:
    fill(pair.here)
    pair.sync()
    subprocess.run(["sh", "-c", change], cwd=pair.there, check=True)
    assert pair.plan().ok
    pair.sync()
    assert pair.pushed[-1] == THERE[change]
    assert_same(pair)
    pair.sync()
    assert not pair.pushed[-1]


def test_what_changed_here_goes_and_what_is_gone_goes_there(pair: Pair) -> None:
    fill(pair.here)
    pair.sync()
    write(pair.here / "src/a.c", "int a = 1;")
    write(pair.here / "new/file", "new")
    (pair.here / "README").unlink()
    result = pair.sync().result
    assert pair.pushed[-1] == {A_C, b"new/file"}
    assert (result.files, result.deleted, result.total_files) == (2, 1, 6)
    assert_same(pair)
    assert not (pair.there / "README").exists()
    (pair.here / "new/file").unlink()
    assert pair.sync().result.deleted == 1 and not pair.pushed[-1]
    pair.sync()
    assert not pair.pushed[-1]


def test_a_sync_that_was_cut_off_is_done_anew(pair: Pair) -> None:
    fill(pair.here)
    pair.sync()
    sent_id = next(pair.box.state.glob("workspaces/*/sent.id"))
    sent_id.unlink()
    pair.sync()
    assert sent_id.exists() and not pair.pushed[-1]  # all is there: only what was sent has to be written down
    pair.sync()
    assert not pair.pushed[-1]


@pytest.mark.parametrize("tool", ["stat", "awk", "sha256sum", "gzip", "timeout", "ls"])
def test_a_host_that_lacks_a_tool_gets_what_it_should(
    make_box: MakeBox, tmp_path: Path, spied: Callable[[Pair], Pair], tool: str
) -> None:
    for kind in KINDS:
        if kind == "busybox":
            continue  # it runs its applets whether they are on the PATH or not
        pair = spied(Pair(make_box(kind, tool, "shasum"), tmp_path / kind))
        fill(pair.here)
        pair.sync()
        write(pair.there / "src/a.c", "changed")
        pair.sync()
        assert A_C in pair.pushed[-1]
        assert_same(pair)
        pair.sync()
        assert_same(pair)


# -- by chance -------------------------------------------------------------------------------------------------


def edit(folder: Path, rng: random.Random) -> None:
    """Change something below a folder. Never so that size and mtime stay: that rsync does not see either."""
    found = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    what = rng.choice(EDITS)
    some = rng.choice(found) if found else None
    if some is None or what is None:
        name = folder / rng.choice(["new", "d/new", "d/e/new", "src/deep/n %"])
        if not any(above.is_symlink() or above.is_file() for above in name.parents) and not name.exists():
            write(name, "x" * rng.randrange(50), rng.randrange(LONG_AGO_S))
    else:
        what(folder, some, rng)


def delete(_: Path, some: Path, rng: random.Random) -> None:
    some.unlink()


def make_link(_: Path, some: Path, rng: random.Random) -> None:
    some.unlink()
    some.symlink_to(rng.choice(["README", "nowhere", "../outside"]))


def move_folder(folder: Path, some: Path, rng: random.Random) -> None:
    target = folder / f"moved{rng.randrange(3)}"
    if some.parent != folder and not target.exists() and not target.is_symlink():
        some.parent.rename(target)


def change_folder(folder: Path, some: Path, rng: random.Random) -> None:
    if some.parent != folder:
        some.parent.chmod(rng.choice([0o755, 0o700, 0o775]))


def change_mode(_: Path, some: Path, rng: random.Random) -> None:
    if not some.is_symlink():
        some.chmod(rng.choice([0o644, 0o755, 0o600]))


def change_time(_: Path, some: Path, rng: random.Random) -> None:
    when = rng.randrange(LONG_AGO_S)
    os.utime(some, (when, when), follow_symlinks=False)


def lengthen(_: Path, some: Path, rng: random.Random) -> None:
    """And set its time back."""
    if not some.is_symlink():
        write(some, "y" * (some.stat().st_size + 1 + rng.randrange(5)), int(some.stat().st_mtime))


EDITS = (None, None, delete, make_link, move_folder, change_folder, change_mode, change_time, lengthen)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_on_either_side_a_sync_makes_them_the_same(pair: Pair, seed: int) -> None:
    rng = random.Random(f"{seed} {pair.box.kind}")
    fill(pair.here)
    pair.sync()
    idle = 0
    for _ in range(8):
        for side, most in ((pair.here, 3), (pair.there, 3)):
            for _ in range(rng.randrange(most)):
                edit(side, rng)
        pair.sync()
        assert_same(pair)
        pair.sync()
        idle += not pair.pushed[-1]
        assert_same(pair)
    assert idle == 8


# -- the records -----------------------------------------------------------------------------------------------

EXPECTED = quickcheck.Expected(
    (b"a", b"d/", b"d/e/", b"d/e/f", b"d/g", b"l"),
    (b"81a4 1 2 ./a", b"41ed ./d", b"41ed ./d/e", b"81a4 3 4 ./d/e/f", b"81a4 5 6 ./d/g", b"a ./l"),
    (b"> l -> to",),
)
AS_WISHED = b"\n".join((*EXPECTED.lines, *EXPECTED.targets, b""))


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (AS_WISHED, []),
        (b"", [b"a", b"d/e/f", b"d/g", b"l"]),
        (AS_WISHED.replace(b" 1 2 ", b" 1 3 "), [b"a"]),
        (AS_WISHED.replace(b"41ed ./d\n", b"41c0 ./d\n"), [b"d/e/f", b"d/g"]),
        (AS_WISHED.replace(b"41ed ./d/e\n", b"a ./d/e\n") + b"> x\n", [b"d/e/f", b"l"]),
        (AS_WISHED.replace(b"> l -> to\n", b""), [b"l"]),
        (AS_WISHED.replace(b"-> to", b"-> two"), [b"l"]),
        (b"\xff\0 nonsense\n> \n" + AS_WISHED, [b"l"]),
    ],
)
def test_what_rsync_is_to_look_at(told: bytes, names: list[bytes]) -> None:
    assert list(quickcheck.differing(EXPECTED, told)) == names


def test_what_is_expected_of_a_listing(tmp_path: Path) -> None:
    for name, size in (("a", 1), ("d/e/f", 3), ("d/g", 5)):
        write(tmp_path / name, "x" * size, 7)
        (tmp_path / name).chmod(0o644)
    (tmp_path / "l").symlink_to("to")
    for folder in ("d", "d/e"):
        (tmp_path / folder).chmod(0o755)
    found = quickcheck.expected(fileset.list_files(tmp_path, (), is_git=False))
    assert found is not None and (found.names, found.targets) == (EXPECTED.names, EXPECTED.targets)
    wanted = [b"81a4 1 7 ./a", b"41ed ./d", b"41ed ./d/e", b"81a4 3 7 ./d/e/f", b"81a4 5 7 ./d/g", b"a ./l"]
    assert list(found.lines) == wanted
    told = subprocess.run(
        ["sha256sum"], input=b"\n".join((*wanted, *found.targets, b"")), capture_output=True, check=True
    )
    assert found.digest.encode() == told.stdout.split()[0]


def test_without_states_nothing_is_expected() -> None:
    assert quickcheck.expected(Listing((b"a",), (1,))) is None
    assert quickcheck.expected(Listing()) is None


@pytest.mark.parametrize(
    "packed", [b"", b"nonsense", gzip.compress(b"x" * 100, mtime=0)[:-9]], ids=["empty", "text", "cut"]
)
def test_what_is_no_gzip_tells_nothing(packed: bytes) -> None:
    assert quickcheck.unpack(packed) == b""


def test_a_host_cannot_fill_our_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quickcheck, "MAX_TOLD_BYTES", 1000)
    assert quickcheck.unpack(gzip.compress(b"x" * 900)) == b"x" * 900
    assert quickcheck.unpack(gzip.compress(b"x" * 1_000_000)) == b""


def test_eight_hosts_list_once(tmp_path: Path, make_box: MakeBox) -> None:
    """The project is listed once, whoever asks first."""
    pair = Pair(make_box(KINDS[0]), tmp_path / "here")
    fill(pair.here)
    asked: list[int] = []

    def listing() -> Listing:
        asked.append(1)
        return fileset.list_files(pair.here, (), is_git=False)

    syncer = pair.syncer()
    syncer._list = listing
    threads = [threading.Thread(target=syncer.would_send, args=(Host("node"),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [1]
