"""A look at a host: the script under every shell, what is made of what it tells, and what is not sent twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from dgummy import specialists
from dgummy.costs import Price
from dgummy.looking import HostMemory, day_start, read_stamp
from dgummy.specialists import Signs
from dgummy.views import HostView, Specialist, SpecialistState, total_cost
from remote_scripts import SHELLS, Heard, call

NOW = datetime.now(timezone.utc)
TODAY = NOW - timedelta(hours=1)
PRICES = {"claude-haiku-4-5": Price(1.0, 5.0, 1.25, 2.0, 0.1)}
ROOTS = ("~/*", "~/projects/*")
State = SpecialistState


@dataclass
class Home:
    """A host's home folder, looked at under one shell."""

    shell: list[str]
    folder: Path
    memory: HostMemory = field(default_factory=lambda: HostMemory(TODAY, PRICES))
    heard: Heard | None = None

    def specialist(self, name: str, text: str = "", project: str = "web", **meta: str) -> Path:
        folder = self.folder / project / ".gummy/specialists" / name
        folder.mkdir(parents=True, exist_ok=True)
        known = {"name": name, "session_id": "null", "status": "dormant", "turns": "1", "last_active": "null"} | meta
        (folder / "meta.yaml").write_text(text or "".join(f"{key}: {value}\n" for key, value in known.items()))
        long_ago = time.time() - 3600
        os.utime(folder / "meta.yaml", (long_ago, long_ago))
        return folder

    def transcript(self, session: str, *answers: dict[str, object]) -> Path:
        path = self.folder / ".claude/projects/-web" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(json.dumps(answer) + "\n" for answer in answers)
        return path

    def log(self, *lines: str, at: float | None = None, mode: str = "task") -> Path:
        path = self.folder / ".claude/logs/gummy" / f"gummy-{int(at or time.time())}-{mode}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines))
        return path

    def look(self, *, limit: int = 500, roots: tuple[str, ...] = ROOTS, projects: tuple[str, ...] = ()) -> HostView:
        variables = {"DG_ROOT": "", **self.memory.variables()}
        args = ["0.05", str(limit), *projects, "--", *roots]
        self.heard = call(self.shell, self.folder, ["probe", "workspace", "look"], "look", *args, variables=variables)
        assert (self.heard.status, self.heard.stderr) == (0, "")
        return self.memory.take("h", self.heard.facts, asked_at=NOW, taken_at=datetime.now(timezone.utc))

    def by_name(self, **kwargs: object) -> dict[str, Specialist]:
        return {one.name: one for one in self.look(**kwargs).specialists}  # type: ignore[arg-type]


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    shell: list[str] = request.param
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not installed")
    folder = tmp_path / "a home's *"  # blanks, a quote, and what would be a pattern
    folder.mkdir()
    return Home(shell, folder)


def answer(number: int, tokens: int, **more: object) -> dict[str, object]:
    usage = {"input_tokens": tokens, "cache_creation": {"ephemeral_1h_input_tokens": 0}, "output_tokens": 0}
    content = [{"type": "text", "text": 'says "usage":{"input_tokens":9} and "id":"x"'}]
    message = {"id": f"msg_{number}", "model": "claude-haiku-4-5-20251001", "content": content, "usage": usage}
    return {"type": "assistant", "timestamp": datetime.now(timezone.utc).isoformat(), "message": message} | more


def test_specialists_of_everywhere_are_found_once(home: Home) -> None:
    home.specialist("global-one", project="")
    home.specialist("near", project="web")
    home.specialist("deep", project="projects/shop")
    home.specialist("named", project="elsewhere/deep/down")
    found = home.look(projects=("~/web", "~/elsewhere/deep/down", str(home.folder / "web")))
    told = {(one.name, one.scope, one.project) for one in found.specialists}
    assert told == {
        ("global-one", "global", ""),
        ("near", "project", str(home.folder / "web")),
        ("deep", "project", str(home.folder / "projects/shop")),
        ("named", "project", str(home.folder / "elsewhere/deep/down")),
    }
    assert len(found.specialists) == 4 and found.sample is not None


def test_what_was_synced_there_is_looked_through(home: Home) -> None:
    home.specialist("synced", project="far/away/app")
    workspace = home.folder / ".local/state/dgummy/workspaces/x"
    workspace.mkdir(parents=True)
    (workspace / "path").write_text(str(home.folder / "far/away/app") + "\n")
    assert list(home.by_name(roots=())) == ["synced"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("status: &a active\nturns: *a\n", "a line that gummy does not write"),
        ("!!python/object:os.system ls\n", "a line that gummy does not write"),
        ("name: x\nstatus: dancing\n", "'dancing'"),
        ("", "no status"),
        ("\x1b[2J\x1b]0;owned\x07\n", "a line that gummy does not write"),
        ("x" * 20_000, "20000 bytes"),
    ],
)
def test_what_gummy_did_not_write_is_unreadable(home: Home, text: str, says: str) -> None:
    home.specialist("odd").joinpath("meta.yaml").write_text(text)
    one = home.by_name()["odd"]
    assert one.status is State.UNREADABLE and says in one.reason


def test_hostile_files_are_rows_not_crashes(home: Home) -> None:
    home.specialist("fine", status="new")
    os.mkfifo(home.specialist("pipe").joinpath("other"))
    pipe = home.specialist("fifo") / "meta.yaml"
    pipe.unlink()
    os.mkfifo(pipe)
    link = home.specialist("link") / "meta.yaml"
    link.unlink()
    link.symlink_to("/etc/passwd")
    (home.folder / "web/.gummy/specialists/linked").symlink_to("/etc")
    (home.folder / "web/.gummy/specialists/empty").mkdir()
    home.specialist("new\nline")
    with (home.specialist("big") / "meta.yaml").open("wb") as file:
        file.truncate(100_000_000)
    began = time.monotonic()
    found = home.by_name()
    assert time.monotonic() - began < 10
    reasons = {name: one.reason for name, one in found.items() if one.status is State.UNREADABLE}
    assert reasons == {
        "fifo": "meta.yaml is no file",
        "link": "meta.yaml is a link",
        "empty": "it has no meta.yaml",
        "new line": "its name holds a newline",
        "big": "meta.yaml has 100000000 bytes",
    }
    assert found["fine"].status is State.NEW and found["pipe"].status is State.DORMANT


def test_more_than_the_limit_are_counted(home: Home) -> None:
    for number in range(7):
        home.specialist(f"s{number}")
    found = home.look(limit=5)
    assert len(found.specialists) == 5
    assert found.notices == ("2 more specialists are not looked at (watch.max_specialists)",)


def test_what_is_known_is_not_sent_again(home: Home) -> None:
    session = "0a0a0a0a-1111-2222-3333-444444444444"
    home.specialist("one", session_id=session, last_active=NOW.isoformat())
    path = home.transcript(session, answer(1, 1_000_000))
    home.log('{"type":"system","session_id":"abc-1"}', '{"type":"result","total_cost_usd":0.5,"is_error":false}')
    first = home.look()
    assert first.cost_today_usd == pytest.approx(1.5) and first.cost_complete
    second = home.look()
    assert home.heard is not None and not {fact.name for fact in home.heard.facts} & {"meta", "usage", "result", "log"}
    assert len(home.heard.facts_named("same")) == 3
    assert (second.specialists, second.tasks, second.cost_today_usd) == (
        first.specialists,
        first.tasks,
        first.cost_today_usd,
    )
    with path.open("a") as file:  # half a line; it counts once it is whole
        file.write(json.dumps(answer(2, 2_000_000))[:50])
    assert home.look().cost_today_usd == pytest.approx(1.5)
    with path.open("a") as file:
        file.write(json.dumps(answer(2, 2_000_000))[50:] + "\n")
    third = home.look()
    assert third.cost_today_usd == pytest.approx(3.5)  # each answer once, though the end was read again
    home.specialist("one", session_id=session, turns="9", last_active=NOW.isoformat())
    assert home.by_name()["one"].sessions == 9
    shutil.rmtree(home.folder / "web/.gummy/specialists/one")
    assert home.look().specialists == ()


def test_an_answer_of_yesterday_or_of_an_unknown_model(home: Home) -> None:
    session = "0a0a0a0a-1111-2222-3333-444444444444"
    home.specialist("one", session_id=session)
    home.transcript(session, answer(1, 7, timestamp="2020-01-01T00:00:00Z"))
    assert home.by_name()["one"].cost_usd is None  # nothing of today is told
    unknown = answer(2, 7)
    unknown["message"] = {**unknown["message"], "model": "gpt-x"}  # type: ignore[dict-item]
    home.transcript(session, unknown)
    found = home.look()
    assert found.specialists[0].cost_usd is None and not found.cost_complete and found.cost_today_usd is None


def test_states_of_specialists(home: Home) -> None:
    home.specialist("claims", status="active", session_id="0a0a0a0a-1111-2222-3333-00000000000a")
    home.specialist("writes", status="active", session_id="0a0a0a0a-1111-2222-3333-00000000000b", project="web2")
    home.specialist("erred", status="dormant", session_id="0a0a0a0a-1111-2222-3333-00000000000c", project="web3")
    home.transcript("0a0a0a0a-1111-2222-3333-00000000000b", answer(1, 1))
    home.transcript("0a0a0a0a-1111-2222-3333-00000000000c", answer(1, 1), answer(2, 0, isApiErrorMessage=True))
    found = {name: one.status for name, one in home.by_name().items()}
    assert found == {"claims": State.STOPPED, "writes": State.ACTIVE, "erred": State.FAILED}


def test_an_agent_that_thinks_long_is_alive_by_its_process(home: Home) -> None:
    home.specialist("thinks", status="active")
    agent = home.folder.parent / "gummy"
    agent.write_text("#!/bin/sh\nsleep 60 &\ntrap 'kill $!' TERM\nwait\n")
    agent.chmod(0o755)
    with subprocess.Popen([agent, "task", "x"], cwd=home.folder / "web") as process:
        try:
            wait_until(lambda: home.by_name()["thinks"].status is State.ACTIVE)
        finally:
            process.terminate()
    wait_until(lambda: home.by_name()["thinks"].status is State.STOPPED)


def test_tasks_by_their_logs(home: Home) -> None:
    now = float(int(time.time()))
    system = '{"type":"system","session_id":"abc-1","model":"claude-haiku-4-5"}'
    home.log(system, '{"type":"result","is_error":false,"total_cost_usd":0.25}', at=now - 100)
    home.log(system, '{"type":"result","is_error":true,"result":"limit"}', at=now - 90, mode="plan")
    says = {"type": "assistant", "message": {"content": [{"type": "text", "text": "I look\x1b[2J around"}]}}
    home.log(system, json.dumps(says), at=now - 80)
    stopped = home.log(system, "npm WARN not JSON", at=now - 70)
    os.utime(stopped, (now - 60, now - 60))
    home.log(system, at=now - 9 * 86400)
    home.folder.joinpath(".claude/logs/gummy/gummy-1-x-task.log").write_text("no task of gummy's")
    found = {int(now - one.started_at_s + 0.5): one for one in home.look().tasks}
    states = {age: one.status for age, one in found.items()}
    assert {age: state for age, state in states.items() if age < 1000} == {
        100: State.DORMANT,
        90: State.FAILED,
        80: State.ACTIVE,
        70: State.STOPPED,
    }
    assert (found[100].cost_usd, found[90].cost_usd, found[80].session_id) == (0.25, None, "abc-1")
    assert "I look" in found[80].last_line and found[90].mode == "plan"


def test_one_at_work_that_has_told_nothing_yet_has_no_known_cost(home: Home) -> None:
    session = "0a0a0a0a-1111-2222-3333-00000000000b"
    home.specialist("begins", status="active", turns="0", session_id=session)
    home.specialist("new", status="new", turns="0", project="web2")
    home.transcript(session, {"type": "user", "message": {}})
    found = home.by_name()
    assert (found["begins"].cost_usd, found["new"].cost_usd) == (None, 0.0)


# -- pure ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "zone", "modified_s"),
    [
        ("-rw-r--r-- 1 0 0 12 2026-11-24 10:00:00.123456789 +0100 /a b/c", "", 1795510800),
        ("-rw-r--r--    1 0        0               12 2026-11-24 09:00:00 +0000 /a b/c", "", 1795510800),
        ("-rw-r--r--@ 1 501 20 12 Nov 24 10:00:00 2026 /a b/c", "+0100", 1795510800),
        ("-rw-r--r-- 1 0 0 12 Nov 24 10:00 /a b/c", "", None),
    ],
)
def test_lines_of_ls(line: str, zone: str, modified_s: float | None) -> None:
    stamp = read_stamp(line, zone)
    assert stamp is not None
    assert (stamp.path, stamp.size, stamp.modified_s) == ("/a b/c", 12, modified_s)


@pytest.mark.parametrize("line", ["", "total 0", "lrwxrwxrwx 1 0 0 4 2026-11-24 10:00:00 +0000 /a -> b", "-rw- x /a"])
def test_what_is_no_file(line: str) -> None:
    assert read_stamp(line) is None


@pytest.mark.parametrize(
    ("claim", "signs", "state"),
    [
        (State.ACTIVE, Signs(alive=True), State.ACTIVE),
        (State.ACTIVE, Signs(), State.STOPPED),
        (State.ACTIVE, Signs(failed=True), State.FAILED),
        (State.ACTIVE, Signs(alive=True, failed=True), State.ACTIVE),
        (State.DORMANT, Signs(alive=True), State.DORMANT),
        (State.DORMANT, Signs(failed=True), State.FAILED),
        (State.NEW, Signs(), State.NEW),
        (State.UNREADABLE, Signs(alive=True, failed=True), State.UNREADABLE),
    ],
)
def test_judged(claim: State, signs: Signs, state: State) -> None:
    assert specialists.judged(claim, signs) is state


@pytest.mark.parametrize(
    ("costs", "total"),
    [
        ([], (0.0, True)),
        ([0.0, 0.0], (0.0, True)),
        ([0.5, None], (0.5, False)),
        ([0.0, None], (None, False)),  # never $0.00 for what is not known
        ([None], (None, False)),
    ],
)
def test_sums_of_costs(costs: list[float | None], total: tuple[float | None, bool]) -> None:
    assert total_cost(costs) == total


def test_when_a_day_begins() -> None:
    zone = timezone(timedelta(hours=2))
    start = day_start(datetime(2026, 11, 24, 13, 5, tzinfo=zone))
    assert start == datetime(2026, 11, 24, tzinfo=zone)


def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
