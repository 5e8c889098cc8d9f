"""Where a specialist lives, and whether its task goes there: tables, and then the command line on a lab."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from cli_lab import FIGURES, Desk, open_desk, validate
from dgummy import homes
from dgummy.homes import Home
from dgummy.lab import Figures, set_figures
from dgummy.lodging import BatchHomes
from dgummy.model import Failure, FailureKind, Host, HostReport, Sample, Weights
from dgummy.placement import Candidate, Choice, Method, choose
from dgummy.project import find, turns_specialists_on
from dgummy.requirement import parse_requirement
from dgummy.views import Specialist, SpecialistState

NAME = "database-expert"
FOLDERS = {"node-1": "~/app", "node-2": "~/app", "node-3": "/srv/app"}
HOME_DIRS = {"node-1": "/home/u", "node-2": "/home/u", "node-3": "/home/u"}
SILENT = Failure(FailureKind.TIMED_OUT)


def lives(
    at: str | None = "2026-11-20T10:00:00Z",
    sessions: int | None = 8,
    *,
    scope: str = "project",
    project: str = "/home/u/app",
    name: str = NAME,
    session_id: str | None = "s",
) -> Specialist:
    project = "" if scope == "global" else project
    return Specialist(name, scope, project, SpecialistState.DORMANT, sessions, session_id, at)


EARLIER, LATER = "2026-11-20T10:00:00Z", "2026-11-20T10:00:01Z"
FOUND: Mapping[str, tuple[Mapping[str, Sequence[Specialist] | Failure], Home]] = {
    "nowhere": ({"node-1": (), "node-2": ()}, Home(NAME)),
    "one host": ({"node-1": (), "node-2": (lives(),)}, Home(NAME, "node-2", {"node-2": 8})),
    "the later one": (
        {"node-1": (lives(EARLIER, 9),), "node-2": (lives(LATER, 1),)},
        Home(NAME, "node-2", {"node-1": 9, "node-2": 1}),
    ),
    "of the same second the one with more sessions": (
        {"node-1": (lives(EARLIER, 2),), "node-2": (lives(EARLIER, 3),)},
        Home(NAME, "node-2", {"node-1": 2, "node-2": 3}),
    ),
    "all the same": (
        {"node-1": (lives(),), "node-2": (lives(),)},
        Home(NAME, "node-1", {"node-1": 8, "node-2": 8}),
    ),
    "a project's before a global one": (
        {"node-1": (lives(LATER, 99, scope="global"),), "node-2": (lives(EARLIER, 1),)},
        Home(NAME, "node-2", {"node-1": 99, "node-2": 1}),
    ),
    "on one host too": (
        {"node-1": (lives(LATER, 99, scope="global"), lives(EARLIER, 1))},
        Home(NAME, "node-1", {"node-1": 1}),
    ),
    "a global one": ({"node-1": (lives(scope="global"),)}, Home(NAME, "node-1", {"node-1": 8})),
    "another specialist": ({"node-1": (lives(name="api-developer"),)}, Home(NAME)),
    "of another project": ({"node-1": (lives(project="/home/u/other/app"),)}, Home(NAME)),
    "an absolute folder": ({"node-3": (lives(project="/srv/app/"),)}, Home(NAME, "node-3", {"node-3": 8})),
    "another absolute folder": ({"node-3": (lives(project="/home/u/app"),)}, Home(NAME)),
    "new, and never at work": ({"node-1": (lives(None, 0, session_id=None),)}, Home(NAME)),
    "no figures": ({"node-1": (lives(None, None),)}, Home(NAME, "node-1", {"node-1": None})),
    "a time that is none": (
        {"node-1": (lives("~ ever", 1),), "node-2": (lives(EARLIER, 1),)},
        Home(NAME, "node-2", {"node-1": 1, "node-2": 1}),
    ),
    "a host is silent": (
        {"node-1": SILENT, "node-2": (lives(),)},
        Home(NAME, "node-2", {"node-2": 8}, frozenset({"node-1"})),
    ),
    "all are silent": ({"node-1": SILENT}, Home(NAME, unknown=frozenset({"node-1"}))),
    "unreadable": (
        {"node-1": (Specialist(NAME, "project", "/home/u/app", SpecialistState.UNREADABLE),)},
        Home(NAME, unknown=frozenset({"node-1"})),
    ),
    "the other kind of record": (
        {"node-1": (Specialist(NAME, "project", "/home/u/app", SpecialistState.STOPPED, 3, "s", EARLIER),)},
        Home(NAME, "node-1", {"node-1": 3}),
    ),
}


@pytest.mark.parametrize("case", FOUND)
def test_find_home(case: str) -> None:
    found, expected = FOUND[case]
    assert homes.find_home(NAME, found, FOLDERS, HOME_DIRS) == expected


def test_a_home_folder_that_is_not_known() -> None:
    found = {"node-1": (lives(),)}
    assert homes.find_home(NAME, found, FOLDERS, {}).host == "node-1"
    assert homes.find_home(NAME, found, {"node-1": "~/ap"}, {}).host is None
    assert homes.find_home(NAME, found, {}, {}).host is None


# -- home, or where there is room --------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
HOME = Home(NAME, "node-1", {"node-1": 8})


def candidate(name: str, cpu_pct: float | None, *, failure: Failure | None = None) -> Candidate:
    if failure is not None:
        return Candidate(Host(name), HostReport(name, NOW, failure=failure))
    if cpu_pct is None:
        return Candidate(Host(name))
    return Candidate(Host(name), HostReport(name, NOW, Sample(cpu_pct=cpu_pct, cores=4)))


def place(cpu: Sequence[float | None], home: Home | None = HOME, **options: Any) -> Choice:
    """Choose among node-1, node-2, … with these CPU figures."""
    candidates = [candidate(f"node-{number}", used) for number, used in enumerate(cpu, 1)]
    return choose(candidates, weights=Weights(1, 0, 0), now=NOW, rng=random.Random(1), home=home, **options)


@pytest.mark.parametrize(
    ("cpu", "margin", "goes_home"),
    [
        ((30, 10), 0.25, True),
        ((35, 10), 0.25, True),  # just within it
        ((36, 10), 0.25, False),
        ((36, 10), 0.26, True),
        ((10, 10), 0.0, True),
        ((13, 10), 0.0, False),
        ((5, 90), 0.25, True),
        ((92, 70), 0.25, True),
        ((100, 0), 1.0, True),
        ((None, None), 0.25, True),
        ((None, 0), 0.25, True),  # not known to be busy
        ((99, None), 0.25, True),
    ],
)
def test_the_margin(cpu: Sequence[float | None], margin: float, goes_home: bool) -> None:
    choice = place(cpu, home_margin=margin)
    assert (choice.host == "node-1") is goes_home
    assert (choice.method is Method.HOME) is goes_home
    assert choice.memory is not None and choice.memory.home == "node-1"
    if goes_home:
        assert choice.why[0] == choice.memory.reason == "database-expert lives here (8 sessions)"
    else:
        assert choice.memory.reason.startswith("fresh memory: database-expert lives on node-1, which is too busy (")


def test_what_is_said_of_a_busy_home() -> None:
    choice = place((92, 30, 60))
    assert choice.host == "node-2"
    assert choice.why[:2] == (
        "node-2 has the most room of 3 hosts: score 0.30",
        "fresh memory: database-expert lives on node-1, which is too busy (0.92 against 0.30)",
    )
    at_home = place((30, 10))
    assert [verdict.reason for verdict in at_home.verdicts][1].endswith("the task's specialist lives on node-1")


def test_a_preference_counts_less_than_a_home_and_takes_what_that_leaves() -> None:
    assert place((30, 20, 10), preferences=("node-2",)).host == "node-1"
    busy = place((90, 20, 10), preferences=("node-2",))
    assert busy.host == "node-2" and busy.memory is not None
    assert busy.memory.reason.endswith("(0.90 against 0.10)")


def test_no_home_changes_nothing() -> None:
    for home in (None, Home(NAME), Home(NAME, unknown=frozenset({"node-1"}))):
        choice = place((30, 10), home)
        plain = place((30, 10), None)
        assert (choice.host, choice.why, choice.verdicts) == (plain.host, plain.why, plain.verdicts)
    assert place((30, 10), None).memory is None
    nowhere, unknown = place((30, 10), Home(NAME)).memory, place((1,), Home(NAME, unknown=frozenset("b"))).memory
    assert nowhere is not None and nowhere.reason == "database-expert has no memory yet"
    assert unknown is not None and unknown.reason == "not known where database-expert lives: b did not tell"
    assert nowhere.home is unknown.home is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"exclude": {"node-1": "rsync failed"}}, "which could not take it (rsync failed)"),
        ({"workspace_in_use": {"node-1": "run r1 of me"}}, "whose workspace is in use by run r1 of me"),
        ({"requirements": [parse_requirement("os=linux")]}, None),
    ],
)
def test_a_home_that_cannot_take_it(options: dict[str, Any], says: str | None) -> None:
    choice = place((10, 50), **options)
    if says is None:  # neither can
        assert choice.host is None and choice.memory is None
        return
    assert choice.host == "node-2" and choice.memory is not None
    assert choice.memory.reason == f"fresh memory: database-expert lives on node-1, {says}"


def test_a_home_that_is_unreachable_or_unfit() -> None:
    gone = Failure(FailureKind.REFUSED, "127.0.0.1 port 22")
    for first, says in (
        (candidate("node-1", None, failure=gone), "which is unreachable: connection refused: 127.0.0.1 port 22"),
        (candidate("node-1", 1), "which lacks gummy"),
    ):
        fit = Host("node-2", declared={"gummy": "true"})
        choice = choose(
            [first, Candidate(fit, HostReport("node-2", NOW, Sample(cpu_pct=99)))],
            weights=Weights(),
            now=NOW,
            rng=random.Random(1),
            requirements=[parse_requirement("gummy")],
            home=HOME,
        )
        assert choice.host == "node-2" and choice.memory is not None
        assert choice.memory.reason == f"fresh memory: database-expert lives on node-1, {says}"


def test_elsewhere_there_may_be_an_older_memory_or_one_that_is_not_known() -> None:
    two = Home(NAME, "node-1", {"node-1": 8, "node-2": 2})
    assert homes.memory(two, (), "node-2").reason == (
        "older memory: database-expert lives on node-1, which was not asked for"
    )
    unknown = Home(NAME, "node-1", {"node-1": None}, frozenset({"node-2"}))
    assert homes.memory(unknown, (), "node-2").reason == (
        "database-expert lives on node-1, which was not asked for; what it remembers on node-2 is not known"
    )
    assert homes.memory(unknown, (), "node-1").reason == "database-expert lives here"
    assert homes.memory(Home(NAME, "node-1", {"node-1": 1}), (), "node-1").reason == (
        "database-expert lives here (1 session)"
    )


def test_the_homes_of_a_batch() -> None:
    batch = BatchHomes({"a": HOME, "b": Home(NAME)}, 0.25)
    near, far, gone = {"node-1": 0.3, "node-2": 0.1}, {"node-1": 0.92, "node-2": 0.3}, {"node-2": 0.1}
    assert batch.wanted("a", near) == {"node-1"}
    assert batch.wanted("a", {"node-1": None, "node-2": 0.1}) == {"node-1"}
    for key, loads in (("a", far), ("a", gone), ("b", near), ("c", near)):
        assert batch.wanted(key, loads) == frozenset()
    reasons = []
    for chosen, loads in (("node-1", near), ("node-2", near), ("node-2", far), ("node-2", gone)):
        memory = batch.memory("a", chosen, loads)
        assert memory is not None
        reasons.append(memory.reason.replace("fresh memory: database-expert lives on node-1, ", ""))
    assert reasons == [
        "database-expert lives here (8 sessions)",
        "which has no room for it now",
        "which is too busy (0.92 against 0.30)",
        "which cannot take it",
    ]
    assert batch.memory("c", "node-1", near) is None


def test_specialists_are_turned_on_in_the_project_or_above(tmp_path: Path) -> None:
    project = tmp_path / "work" / "app"
    (project / ".git").mkdir(parents=True)
    (project / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (project / "sub").mkdir()
    found = find(project / "sub", tmp_path, {})
    assert not turns_specialists_on(found)
    for folder in (tmp_path, tmp_path / "work", project, project / "sub"):
        library = folder / ".gummy" / "lib" / "core.sh"
        library.parent.mkdir(parents=True)
        library.write_text("")
        assert turns_specialists_on(found), folder
        library.unlink()
    assert not turns_specialists_on(found)


# -- on a lab ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("homes")) as made:
        yield made


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """A project of its own on the shared lab."""
    for node, figures in zip(("node-1", "node-2"), FIGURES, strict=True):
        set_figures(shared_desk.lab, node, figures)
    shared_desk.forget_load()
    return Desk(shared_desk.nodes, shared_desk.nodes.project())


TASK = "optimize database queries"


def settle(desk: Desk, node: str, *, at: str = "2026-11-20T10:00:00Z", turns: int = 8) -> None:
    """Make the specialist live on a node."""
    folder = desk.there(node) / ".gummy/specialists/database-expert"
    folder.mkdir(parents=True)
    (folder / "session.txt").write_text("11111111-2222-3333-4444-555555555555\n")
    (folder / "meta.yaml").write_text(
        "name: database-expert\nsession_id: 11111111-2222-3333-4444-555555555555\n"
        f"status: dormant\nturns: {turns}\nlast_active: {at}\n"
    )


def busy(desk: Desk, node: str) -> None:
    set_figures(desk.lab, node, Figures(cpu_pct=97, iowait_pct=1, mem_pct=90, load1=9, cores=4))
    desk.forget_load()


def test_a_task_goes_home_although_another_host_has_more_room(desk: Desk) -> None:
    set_figures(desk.lab, "node-2", Figures(cpu_pct=25, iowait_pct=5, mem_pct=30, load1=0.6, cores=4))
    desk.forget_load()
    first = desk.inv("pick", "--type", "database")
    assert first.out.startswith("→ node-1 "), first
    settle(desk, "node-2")
    done = desk.inv("task", TASK, "--json")
    document = done.document("task")
    assert document["host"] == "node-2", done
    assert document["specialist"] == {
        "name": NAME,
        "home": "node-2",
        "reason": "database-expert lives here (8 sessions)",
    }
    assert "→ node-2: database-expert lives here (8 sessions)" in done.err
    assert "Resuming session 11111111" in document["stdout_tail"]
    planned = desk.inv("task", TASK, "--dry", "--json").document("plan")
    assert (planned["host"], planned["method"]) == ("node-2", "home")
    assert planned["specialist"]["reason"] == "database-expert lives here (9 sessions)"


def test_a_home_that_is_too_busy_is_left_and_that_is_said(desk: Desk) -> None:
    settle(desk, "node-2")
    busy(desk, "node-2")
    done = desk.inv("task", TASK)
    assert "→ node-1 has the most room" in done.err
    assert "fresh memory: database-expert lives on node-2, which is too busy (0." in done.err
    assert "Starting a new session" in done.out


def test_the_margin_is_a_setting(desk: Desk) -> None:
    settle(desk, "node-2")  # 0.48 against 0.12, by CPU
    assert desk.inv("task", TASK, "--json", "--dry").document("plan")["host"] == "node-1"
    wide = desk.inv("task", TASK, "--json", "--dry", env={"INVOKE_DGUMMY_AGENT_HOME_MARGIN": "0.5"})
    assert wide.document("plan")["host"] == "node-2"
    wrong = desk.inv("task", TASK, env={"INVOKE_DGUMMY_AGENT_HOME_MARGIN": "25"})
    assert wrong.code == 78 and "write 0.25 for 25 %" in wrong.err


def test_whoever_names_a_host_is_told_what_that_means(desk: Desk) -> None:
    settle(desk, "node-2")
    done = desk.inv("task", TASK, "--host", "node-1", "--json")
    document = done.document("task")
    assert document["host"] == "node-1"
    assert document["specialist"] == {
        "name": NAME,
        "home": "node-2",
        "reason": "fresh memory: database-expert lives on node-2, which was not asked for",
    }
    assert document["specialist"]["reason"] in done.err
    here = desk.inv("task", TASK, "--host", "local", env={"PATH": f"{desk.lab.directory / 'tools'}:/usr/bin:/bin"})
    if here.code == 0:  # this machine has an agent: the lab's
        assert "fresh memory: database-expert lives on node-2" in here.err, here


def test_nothing_is_said_where_there_is_nothing_to_say(desk: Desk) -> None:
    done = desk.inv("task", TASK, "--json")
    document = done.document("task")
    assert "fresh memory" not in done.err and "lives" not in done.err, done
    # node-3 is down: what it has is not known.
    assert document["specialist"]["home"] is None
    assert document["specialist"]["reason"] == f"not known where {NAME} lives: node-3 did not tell"


def test_a_project_without_specialists_is_not_looked_at(desk: Desk) -> None:
    settle(desk, "node-2")
    (desk.project / ".gummy/lib/core.sh").unlink()
    done = desk.inv("task", TASK, "--json")
    document = done.document("task")
    assert document["host"] == "node-1" and document["specialist"] is None
    plan = desk.inv("task", TASK, "--mode", "plan", "--json").document("task")
    assert plan["specialist"] is None


def test_plans_have_no_memory(desk: Desk) -> None:
    settle(desk, "node-2")
    document = desk.inv("task", TASK, "--mode", "plan", "--json").document("task")
    assert document["host"] == "node-1" and document["specialist"] is None


def test_a_batch_goes_home_too(desk: Desk) -> None:
    set_figures(desk.lab, "node-2", Figures(cpu_pct=15, iowait_pct=5, mem_pct=30, load1=0.6, cores=4))
    desk.forget_load()
    settle(desk, "node-2")
    done = desk.inv("distribute", "write notes", TASK, "--json")
    document = done.document("fanout")
    notes, database = document["results"]
    assert (notes["host"], database["host"]) == ("node-1", "node-2"), done
    validate(document, "fanout")
    assert database["specialist"]["reason"] == "database-expert lives here (8 sessions)"
    assert notes["specialist"]["home"] is None
    busy(desk, "node-2")
    elsewhere = desk.inv("distribute", TASK, "--json").document("fanout")["results"][0]
    assert elsewhere["host"] == "node-1"
    assert elsewhere["specialist"]["reason"].startswith("fresh memory: database-expert lives on node-2, which is too")
    picks = desk.inv("distribute", TASK, "--dry")
    assert "node-1  database-expert lives here (1 session)" in picks.out  # it was last at work there
