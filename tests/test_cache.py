"""The load and status caches: what is believed, what is not, and that nobody ever sees half a file."""

from __future__ import annotations

import json
import math
import os
import socket
import stat
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dgummy import cache
from dgummy.model import ActiveRun, Failure, FailureKind, HostReport, HostStatus, Sample
from together import NUMBER, run_together

NOW = datetime(2026, 11, 23, 16, 45, 48, 123456, tzinfo=timezone.utc)
KEY = cache.make_key(["node-1", "node-2"])
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's file")


class Place:
    """A shared folder (sticky, world-writable, as /tmp) and a private one, with the calls bound to them."""

    def __init__(self, root: Path) -> None:
        shared = root / "tmp"
        shared.mkdir()
        shared.chmod(0o1777)
        self.path = shared / "d-load-cache.json"
        self.private_dir = root / "state" / "cache"
        self.private = self.private_dir / self.path.name

    def write(
        self, payload: object, *, key: str = KEY, now: datetime = NOW, path: Path | None = None
    ) -> tuple[str, ...]:
        raw = msgspec.json.encode(payload)
        return cache.write(path or self.path, private_dir=self.private_dir, key=key, payload=raw, now=now)

    def read(self, *, key: str = KEY, ttl_s: float = 30.0, now: datetime = NOW) -> cache.Lookup[object]:
        return cache.read(
            self.path, private_dir=self.private_dir, key=key, ttl_s=ttl_s, now=now, decode=msgspec.json.decode
        )

    def value(self, **arguments: object) -> object:
        found = self.read(**arguments).cached  # type: ignore[arg-type]
        return None if found is None else found.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


# ---- ordinary life


def test_nothing_cached_yet_is_silent(place: Place) -> None:
    assert place.read() == cache.Lookup(None, ())


def test_what_was_written_is_read_with_its_age(place: Place) -> None:
    assert place.write({"a": [1, None, "ü"]}) == ()
    found = place.read(now=later(12.5)).cached
    assert found == cache.Cached({"a": [1, None, "ü"]}, NOW, 12.5, place.path)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert list(place.path.parent.iterdir()) == [place.path]
    assert not place.private_dir.exists()


def test_an_umask_does_not_change_the_mode(place: Place) -> None:
    before = os.umask(0o777)
    try:
        assert place.write(1) == ()
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600


@pytest.mark.parametrize(("age_s", "there"), [(0, True), (30, True), (30.01, False), (-2, True)])
def test_ttl(place: Place, age_s: float, there: bool) -> None:
    place.write("x")
    lookup = place.read(now=later(age_s))
    assert (lookup.cached is not None) is there
    assert lookup.notices == ()
    if lookup.cached is not None:
        assert lookup.cached.age_s >= 0


def test_another_key_is_another_entry(place: Place) -> None:
    place.write("one", key="k1")
    place.write("two", key="k2", now=later(1))
    assert place.value(key="k1", now=later(1)) == "one"
    assert place.value(key="k2", now=later(1)) == "two"
    assert place.read(key="k3") == cache.Lookup(None, ())


def test_eight_keys_stay_and_the_oldest_goes(place: Place) -> None:
    for index in range(9):
        place.write(index, key=f"k{index}", now=later(index))
    assert place.value(key="k0", now=later(9)) is None
    assert [place.value(key=f"k{index}", now=later(9)) for index in range(1, 9)] == list(range(1, 9))
    # Writing again refreshes: k1 is now the newest, k2 the one to go.
    place.write("again", key="k1", now=later(10))
    place.write("new", key="k9", now=later(11))
    assert place.value(key="k1", now=later(11)) == "again"
    assert place.value(key="k2", now=later(11)) is None


def test_entries_give_way_when_the_file_would_be_too_large(place: Place) -> None:
    big = "x" * 1_500_000
    for index in range(4):
        assert place.write(big, key=f"k{index}", now=later(index)) == ()
    assert place.path.stat().st_size <= cache.MAX_FILE_BYTES
    assert place.value(key="k3", now=later(4)) == big
    assert place.value(key="k2", now=later(4)) == big
    assert place.value(key="k1", now=later(4)) is None


def test_one_entry_that_is_too_large_is_refused_with_a_notice(place: Place) -> None:
    place.write("small")
    notices = place.write("x" * cache.MAX_FILE_BYTES, key="big")
    assert "more than fits" in notices[0]
    assert place.value() == "small"


def test_a_configured_folder_is_made(tmp_path: Path) -> None:
    place = Place(tmp_path)
    path = tmp_path / "a" / "b" / "load.json"
    assert place.write(1, path=path) == ()
    assert path.exists()


# ---- what is not believed


def test_a_future_dated_entry_is_ignored_and_healed(place: Place) -> None:
    place.write("later", now=later(3))
    lookup = place.read()
    assert lookup.cached is None
    assert "in the future" in lookup.notices[0]
    assert place.write("now") == ()
    assert place.read() == cache.Lookup(cache.Cached("now", NOW, 0.0, place.path), ())


def test_future_dated_entries_do_not_crowd_out_the_others(place: Place) -> None:
    for index in range(8):
        place.write("later", key=f"f{index}", now=later(9999))
    place.write("a", key="a")
    place.write("b", key="b")
    assert (place.value(key="a"), place.value(key="b")) == ("a", "b")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "entries": [{"key": "k", "created_at": "yesterday", "payload": 1}]}',
        b'{"schema_version": 1, "entries": [{"key": "", "created_at": "2026-11-23T16:45:48", "payload": 1}]}',
        b'{"schema_version": 2, "entries": []}',
    ],
)
def test_a_damaged_file_is_ignored_then_replaced(place: Place, content: bytes) -> None:
    place.path.write_bytes(content)
    place.path.chmod(0o600)
    lookup = place.read()
    assert lookup.cached is None
    assert len(lookup.notices) == 1
    assert str(place.path) in lookup.notices[0]
    assert place.write("good") == ()
    assert place.value() == "good"


def test_a_payload_that_does_not_decode_is_ignored(place: Place) -> None:
    place.write({"not": "reports"})
    lookup = cache.read(
        place.path, private_dir=place.private_dir, key=KEY, ttl_s=30, now=NOW, decode=cache.decode_reports
    )
    assert lookup.cached is None
    assert "does not hold" in lookup.notices[0]


def test_too_large_a_file_is_not_read(place: Place) -> None:
    place.write("x")
    with place.path.open("ab") as file:
        file.truncate(cache.MAX_FILE_BYTES + 1)
    assert "too large" in place.read().notices[0]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_ignored_then_replaced(place: Place, mode: int) -> None:
    place.write("planted", key="other")
    place.write("planted")
    place.path.chmod(mode)
    lookup = place.read()
    assert lookup.cached is None
    assert "others may write" in lookup.notices[0]
    assert place.write("good") == ()
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert place.value() == "good"
    assert place.value(key="other") is None, "what others may have written was carried over"


def taken(place: Place, how: str) -> Path:
    """Put something in the way at the shared path; give back the file that must stay as it is."""
    victim = place.path.parent / "victim"
    place.write("planted", path=victim)
    if how == "symlink":
        place.path.symlink_to(victim)
    elif how == "dangling":
        place.path.symlink_to(place.path.parent / "nothing")
    elif how == "hard link":
        place.path.hardlink_to(victim)
    elif how == "fifo":
        os.mkfifo(place.path)
    elif how == "folder":
        place.path.mkdir()
    elif how == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place.path))
    elif how == "foreign":
        place.write("planted")
        os.chown(place.path, 65534, 65534)
    return victim


@pytest.mark.parametrize(
    "how",
    [
        "symlink",
        "dangling",
        "hard link",
        "fifo",
        "folder",
        "socket",
        pytest.param("foreign", marks=needs_root),
    ],
)
def test_what_is_in_the_way_is_left_alone_and_a_private_file_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.chdir(tmp_path)  # a short path: a socket's name is bounded
    place = Place(Path())
    victim = taken(place, how)
    before = (victim.read_bytes(), place.path.lstat())
    lookup = place.read()
    assert lookup.cached is None
    assert len(lookup.notices) == 1
    notices = place.write("mine")
    assert len(notices) == 1
    assert str(place.private) in notices[0]
    after = place.read(now=later(1))
    assert after.cached == cache.Cached("mine", NOW, 1.0, place.private)
    assert len(after.notices) == 1
    now = place.path.lstat()
    assert (victim.read_bytes(), now.st_ino, now.st_uid) == (before[0], before[1].st_ino, before[1].st_uid)
    assert stat.S_IMODE(place.private_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.private.stat().st_mode) == 0o600


def test_the_newer_of_shared_and_private_wins(place: Place) -> None:
    place.write("shared", now=NOW)
    place.write("private", now=later(5), path=place.private)
    assert place.value(now=later(6)) == "private"
    place.write("shared again", now=later(7))
    assert place.value(now=later(8)) == "shared again"


@needs_root
def test_another_users_private_folder_is_not_used(place: Place) -> None:
    place.path.mkdir()
    place.private_dir.mkdir(parents=True)
    os.chown(place.private_dir, 65534, 65534)
    notices = place.write("x")
    assert "nothing was cached" in notices[1]
    assert list(place.private_dir.iterdir()) == []


def test_no_place_at_all_is_two_notices(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "load.json"
    private = tmp_path / "file" / "private"
    notices = cache.write(path, private_dir=private, key=KEY, payload=b"1", now=NOW)
    assert len(notices) == 2
    found = cache.read(path, private_dir=private, key=KEY, ttl_s=30, now=NOW, decode=msgspec.json.decode)
    assert found == cache.Lookup(None, ())


STRANGER = """
import os, sys
from datetime import datetime
from pathlib import Path
import msgspec
from dgummy import cache
os.setgroups([]); os.setgid(65534); os.setuid(65534)
place = {"private_dir": Path(sys.argv[2]), "key": "k"}
path, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[3])
notices = cache.write(path, payload=b'"mine"', now=now, **place)
found = cache.read(path, ttl_s=9, now=now, decode=msgspec.json.decode, **place)
print(len(notices), len(found.notices), found.cached.value)
"""


def run_python(code: str, *arguments: str) -> str:
    here = {**os.environ, "PYTHONPATH": str(Path(cache.__file__).parents[1])}
    return subprocess.check_output([sys.executable, "-c", code, *arguments], env=here, text=True)


@needs_root
def test_a_sticky_folder_keeps_us_off_another_users_file() -> None:
    """The real thing: as an ordinary user, in a sticky folder, beside root's file."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        root = Path(folder)
        root.chmod(0o755)
        place = Place(root)
        place.write("root's", key="k")
        home = root / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        assert run_python(STRANGER, str(place.path), str(home / "cache"), NOW.isoformat()) == "1 1 mine\n"
        assert json.loads(place.path.read_bytes())["entries"][0]["payload"] == "root's"
        assert list(place.path.parent.iterdir()) == [place.path]


# ---- many at once

WRITER = """
import sys
from datetime import datetime, timezone
from pathlib import Path
import msgspec
from dgummy import cache
path, private, me, rounds = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
for turn in range(rounds):
    payload = msgspec.json.encode({"me": me, "pad": me * 5000})
    now = datetime.now(timezone.utc)
    assert cache.write(path, private_dir=private, key=f"k{int(me) % 4}", payload=payload, now=now) == ()
    for key in range(4):
        found = cache.read(path, private_dir=private, key=f"k{key}", ttl_s=60,
                           now=datetime.now(timezone.utc), decode=msgspec.json.decode)
        assert found.notices == (), found.notices
        if found.cached is not None:
            value = found.cached.value
            assert value["pad"] == value["me"] * 5000
            assert int(value["me"]) % 4 == key
"""


def storm(place: Place, processes: int, rounds: int) -> None:
    modules = "msgspec dgummy.cache"
    assert run_together(processes, WRITER, place.path, place.private_dir, NUMBER, rounds, modules=modules) == []
    assert [entry.name for entry in place.path.parent.iterdir()] == [place.path.name]
    json.loads(place.path.read_bytes())


def test_processes_writing_at_once_never_show_half_a_file(place: Place) -> None:
    storm(place, processes=6, rounds=40)


@pytest.mark.slow
def test_two_hundred_processes_writing_at_once(place: Place) -> None:
    storm(place, processes=200, rounds=3)


BIG_WRITER = """
import resource, sys
from datetime import datetime
from pathlib import Path
from dgummy import cache
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
place = {"private_dir": Path(sys.argv[2]), "key": "k", "now": datetime.fromisoformat(sys.argv[3])}
print(*cache.write(Path(sys.argv[1]), payload=b'"' + b"x" * 20000 + b'"', **place), sep="\\n")
"""


def test_a_full_disk_leaves_the_old_file_and_no_litter(place: Place) -> None:
    place.write("old")
    said = run_python(BIG_WRITER, str(place.path), str(place.private_dir), NOW.isoformat())
    assert "nothing was cached" in said
    assert place.value() == "old"
    assert [entry.name for entry in place.path.parent.iterdir()] == [place.path.name]
    assert list(place.private_dir.iterdir()) == []


# ---- keys, encoding, merging


def test_keys_tell_parts_apart() -> None:
    keys = [["a", "b"], ["ab"], ["b", "a"], ["a", "b", ""], [], ["a,1:b"], ["\udcff"]]
    assert len({cache.make_key(parts) for parts in keys}) == len(keys)
    assert cache.make_key(["a", "b"]) == cache.make_key(iter(["a", "b"]))


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.none() | st.integers(0, 2**62)
times = st.datetimes(
    min_value=datetime(1990, 1, 2),
    max_value=datetime(2200, 1, 1),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30))]),
)
failures = st.builds(Failure, kind=st.sampled_from(FailureKind), detail=names, remedy=names)
runs = st.builds(ActiveRun, run_id=names, age_s=st.floats(-1e6, 1e9, allow_nan=False), workspace=names, owner=names)
samples = st.builds(
    Sample,
    cpu_pct=numbers,
    mem_total_bytes=counts,
    mem_available_bytes=counts,
    load1=numbers,
    cores=numbers,
    disk_free_bytes=counts,
    os=names,
    home=names,
    tools=st.frozensets(names, max_size=3),
    active_runs=st.lists(runs, max_size=3).map(tuple),
    clock_offset_s=numbers,
)
reports = st.builds(
    HostReport,
    host=names,
    measured_at=times,
    sample=st.none() | samples,
    failure=st.none() | failures,
    address=names,
    latency_ms=numbers,
)
statuses = st.builds(
    HostStatus,
    host=names,
    measured_at=times,
    online=st.booleans(),
    address=names,
    failure=st.none() | failures,
    latency_ms=numbers,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(reports, max_size=4).map(tuple))
def test_reports_come_back_as_they_were(several: tuple[HostReport, ...]) -> None:
    raw = cache.encode_reports(several)
    back = cache.decode_reports(raw)
    assert back == several
    assert all(record.measured_at.utcoffset() == timedelta(0) for record in back)
    assert all(document["measured_at"].endswith("Z") for document in json.loads(raw))


@settings(max_examples=60, deadline=None)
@given(st.lists(statuses, max_size=4).map(tuple))
def test_statuses_come_back_as_they_were(several: tuple[HostStatus, ...]) -> None:
    assert cache.decode_statuses(cache.encode_statuses(several)) == several


def test_a_report_that_json_cannot_hold_is_left_out() -> None:
    good = HostReport("node-1", NOW, Sample(cpu_pct=1.0))
    odd = [
        HostReport("node-2", NOW, Sample(home="/home/\udcff")),
        HostReport("node-3", NOW, Sample(cpu_pct=math.nan)),
        HostReport("node-4", NOW, Sample(active_runs=(ActiveRun("r", math.inf),))),
        HostReport("node-5", NOW.replace(tzinfo=None), Sample()),
    ]
    assert cache.decode_reports(cache.encode_reports([*odd, good])) == (good,)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'[{"host": "a"}]', b"[[]]"])
def test_decoding_anything_else_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        cache.decode_reports(raw)
    with pytest.raises(ValueError):  # noqa: PT011
        cache.decode_statuses(raw)


def test_decoding_refuses_a_time_without_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        cache.decode_reports(b'[{"host": "a", "measured_at": "2026-11-23T16:45:48"}]')


def test_fields_of_a_later_version_are_passed_over() -> None:
    (report,) = cache.decode_reports(
        b'[{"host": "a", "measured_at": "2026-11-23T16:45:48Z", "novel": 1, "sample": {"cpu_pct": 3}}]'
    )
    assert report.sample == Sample(cpu_pct=3.0)


def test_merge_keeps_the_newest_of_each_host_and_drops_what_is_stale() -> None:
    def report(host: str, age_s: float, cpu_pct: float) -> HostReport:
        return HostReport(host, later(-age_s), Sample(cpu_pct=cpu_pct))

    old = [report("a", 20, 1), report("b", 20, 2), report("c", 31, 3), report("d", -3, 4)]
    new = [report("b", 0, 5), report("a", 25, 6), report("e", 1, 7)]
    merged = cache.merge(old, new, ttl_s=30, now=NOW)
    assert merged == (old[0], new[0], new[2])
    assert cache.merge(merged, (), ttl_s=30, now=later(15)) == (new[0], new[2])


def test_merge_prefers_the_new_one_of_two_of_the_same_time() -> None:
    first = HostStatus("a", NOW, online=False)
    second = replace(first, online=True)
    assert cache.merge([first], [second], ttl_s=60, now=NOW) == (second,)


def test_a_failure_is_cached_like_a_sample(place: Place) -> None:
    down = HostReport("a", NOW, failure=Failure(FailureKind.DNS, "no such name", "check it"))
    cache.write(place.path, private_dir=place.private_dir, key=KEY, payload=cache.encode_reports([down]), now=NOW)
    lookup = cache.read(
        place.path, private_dir=place.private_dir, key=KEY, ttl_s=30, now=NOW, decode=cache.decode_reports
    )
    assert lookup.cached is not None
    assert lookup.cached.value == (down,)
