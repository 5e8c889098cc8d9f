"""What a check-up makes of facts: of a host, of this machine, of how a host could not be reached. And the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from msgspec.structs import replace as changed

from cli_lab import CONTROL, validate
from dgummy import diagnosis, diagnosis_here, gate, vitals
from dgummy.diagnosis import Measured, Patient
from dgummy.diagnosis_here import BadCache, Folder, HereFacts, Ledger, Tailnet, Trouble
from dgummy.findings import Checkup, Finding, Mending, Notes, Report, Severity, Work
from dgummy.gate import Verdict
from dgummy.model import Failure, FailureKind, Host, Sample
from dgummy.render import doctor as screen
from dgummy.render import documents
from dgummy.transport.framing import Fact
from dgummy.transport.pool import SESSIONS_PER_CONNECTION
from dgummy.vitals import Program, Version, Vitals

NOW = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
PATIENT = Patient("node-1", ("ssh", "node-1"), install="brew install WillyV3/tap/gummy-agent")
WELL = Vitals(
    clock_s=1,
    system="linux",
    shell="/bin/zsh",
    path=("/usr/bin",),
    login_path=("/usr/bin", "/opt/bin"),
    login_told=True,
    state_mode="drwx------",
    disk_free_bytes=10**11,
    installer="apt-get",
    programs={name: Program(f"/usr/bin/{name}", f"/usr/bin/{name}") for name in PATIENT.programs},
    versions={"claude": Version(0, "2.1.0"), "rsync": Version(0, "rsync version 3.2.7")},
    agent_login=("file", "/home/ana/.claude/.credentials.json"),
)
MEASURED = Measured(skew_s=0.4, skew_error_s=0.5, sessions=8)


def without(*names: str, **moved: Program) -> dict[str, Program]:
    return {**{name: one for name, one in WELL.programs.items() if name not in names}, **moved}


def examine(told: Vitals = WELL, measured: Measured = MEASURED, patient: Patient = PATIENT) -> Checkup:
    return diagnosis.examine(patient, "node-1 is ana@10.0.0.1 port 22", "10.0.0.1", told, measured)


def seen(one: Checkup) -> list[tuple[str, str, str]]:
    """Check, severity and what it stops, of each finding."""
    return [(f.check, f.severity.value, " ".join(work.value for work in f.stops)) for f in one.findings]


def test_a_host_that_is_well() -> None:
    one = examine()
    assert one.findings == () and one.checks == len(one.passed) == 19 and one.unfit_for == ()
    assert diagnosis.SESSIONS_WANTED == SESSIONS_PER_CONNECTION


@pytest.mark.parametrize(
    ("changes", "expected", "fix"),
    [
        ({"programs": without("rsync")}, ("rsync", "problem", "sync"), "ssh -t node-1 sudo apt-get install -y rsync"),
        ({"programs": without("git")}, ("git", "hint", ""), "apt-get install -y git"),
        ({"programs": without("jq"), "installer": "brew"}, ("jq", "hint", ""), "ssh node-1 brew install jq"),
        ({"programs": without("jq"), "installer": ""}, ("jq", "hint", ""), "install jq there"),
        ({"programs": without("gummy", "claude", "jq")}, ("agent", "problem", "agent"), PATIENT.install),
        ({"programs": without("claude")}, ("agent-cli", "problem", "agent"), "claude-code"),
        ({"programs": without(gummy=Program(plain="/x/gummy"))}, ("path", "problem", "agent"), "{path: [/x]}"),
        ({"programs": without(rsync=Program(elsewhere="/y/rsync"))}, ("path", "problem", "sync"), "{path: [/y]}"),
        ({"versions": {"claude": Version(127, "")}}, ("agent-start", "problem", "agent"), "/usr/bin/claude --version"),
        ({"agent_login": ("none", "")}, ("agent-login", "problem", "agent"), "ssh -t node-1 /usr/bin/claude"),
        ({"agent_login": ("unreadable", "/a b")}, ("agent-login", "problem", "agent"), "chown"),
        ({"agent_login": ("keychain", "locked")}, ("agent-login", "problem", "agent"), "setup-token"),
        ({"agent_login": ("login-variable", "KEY")}, ("agent-login", "problem", "agent"), "--env KEY"),
        ({"login_told": False, "login_s": 5}, ("login-shell", "problem", ""), "ssh node-1 /bin/zsh -l -c true"),
        ({"login_s": 4}, ("login-shell", "hint", ""), "/bin/zsh -l -x -c true"),
        ({"login_told": False, "state_error": "No space left"}, ("state", "problem", "any"), "df -h"),
        ({"state_mode": "drwxrwx---"}, ("state", "problem", ""), "chmod go-w ~/.local/state/dgummy"),
        ({"state_mode": "drwxr-xrwx"}, ("state", "problem", ""), "chmod go-w"),
        ({"disk_free_bytes": 10**7}, ("disk", "problem", "sync"), "ssh node-1 'df -h ~'"),
        ({"uncollected": {"r1": 90_000, "r2": 5}}, ("uncollected", "hint", ""), "inv collect r1"),
        ({"old_runs": 3}, ("old-runs", "hint", ""), "inv runs.prune --older 30d"),
        ({"old_copies": 2}, ("old-copies", "hint", ""), "inv workspace.clean --host node-1"),
        ({"stale_locks": ("r1",)}, ("locks", "hint", ""), "inv sync --host node-1"),
        ({"temporary": 2}, ("temporary", "hint", ""), "inv doctor --fix --host node-1"),
    ],
)
def test_what_is_wrong_with_a_host(changes: dict[str, Any], expected: tuple[str, str, str], fix: str) -> None:
    one = examine(changed(WELL, **changes))
    assert seen(one) == [expected]
    assert fix in one.findings[0].fix and one.findings[0].what and one.findings[0].why


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        ({"noise": "Welcome!\nto node-1"}, [("shell-noise", "problem", "sync")]),
        ({"sessions": 3}, [("sessions", "hint", "")]),
        ({"sessions": None, "skew_s": None}, []),
        ({"skew_s": 5.6, "skew_error_s": 0.5}, [("clock", "hint", "")]),
        ({"skew_s": 5.6, "skew_error_s": 3.0}, []),  # it may as well be the way there
        ({"skew_s": -3600.0}, [("clock", "problem", "")]),
    ],
)
def test_what_was_measured(measured: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    assert seen(examine(measured=replace(MEASURED, **measured))) == expected


def test_an_agent_of_ones_own_and_projects_elsewhere() -> None:
    own = replace(PATIENT, tool="aider", install="pip install aider", project_at_home=False)
    assert own.programs == ("rsync", "git", "jq", "aider") and own.cli == ""
    told = changed(WELL, programs=without("claude", aider=Program("/a", "/a")), disk_free_bytes=5)
    assert seen(examine(told, patient=own)) == [("disk", "problem", "")]
    here = Patient("local", (), synced=False)
    told = changed(WELL, programs=without("rsync"))
    assert seen(diagnosis.examine(here, "", "", told, Measured())) == []


@pytest.mark.parametrize(
    ("failure", "address", "step", "passed"),
    [
        (Failure(FailureKind.CONFIG, "line 3: bad", "correct it"), "", "name", 0),
        (Failure(FailureKind.DNS, "no such name"), "", "name", 0),
        (Failure(FailureKind.REFUSED, "port 22"), "", "port", 1),
        (Failure(FailureKind.TIMED_OUT, "still waiting for its ssh banner"), "", "port", 1),
        (Failure(FailureKind.HOST_KEY, "changed"), "", "host-key", 2),
        (Failure(FailureKind.TIMED_OUT, "still waiting for authentication after 5 s"), "", "authentication", 3),
        (Failure(FailureKind.AUTHENTICATION, "refused", "visit https://x/a/1"), "", "authentication", 3),
        (Failure(FailureKind.DROPPED, "opens no further session"), "10.0.0.1", "shell", 4),
    ],
)  # fmt: skip
def test_the_first_step_that_fails_ends_it(failure: Failure, address: str, step: str, passed: int) -> None:
    one = diagnosis.unreachable(PATIENT, "node-1 is ana@10.0.0.1 port 22", failure, address)
    assert seen(one) == [(step, "problem", "any")] and len(one.passed) == passed
    assert one.findings[0].fix == (failure.remedy or "ssh node-1 true")
    assert one.unfit_for == (Work.ANY,)


# -- this machine ----------------------------------------------------------------------------------------------------

FIT = HereFacts(
    python="Python 3.11.7",
    ssh="OpenSSH_9.2",
    git="git version 2.39",
    rsync="rsync 3.2.7",
    d="none",
    agent_keys=1,
    hosts=2,
    by_ssh=True,
    folders=(Folder("state-folder", "/s"),),
    ledger=Ledger.GOOD,
    disk_free_bytes=10**11,
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"ssh": ""}, [("ssh", "problem", "any")]),
        ({"ssh": Trouble("ssh does not answer", "ssh -V")}, [("ssh", "problem", "any")]),
        ({"git": ""}, [("git", "hint", "")]),
        ({"git": Trouble("git does not answer", "git --version")}, [("git", "problem", "sync")]),
        ({"d": Trouble("d does not answer", "d --help")}, [("d", "hint", "")]),
        ({"d": None}, []),
        ({"silent_agents": ("/a",), "agent_keys": None}, [("keys", "hint", "")]),
        ({"silent": {"folders": "ls -ld /s", "keys": "ls /k"}}, [("keys", "problem", ""), ("folders", "problem", "")]),
        ({"rsync": Trouble("no rsync", "apt install rsync")}, [("rsync", "problem", "sync")]),
        ({"config": Trouble("grups: unknown", "groups"), "readable": False}, [("config", "problem", "any")]),
        ({"config": Trouble("no group dev", "groups: a")}, [("config", "problem", "any")]),
        ({"warnings": ("x does nothing",)}, [("config", "hint", "")]),
        ({"why_here": "no hosts are configured"}, [("hosts", "hint", "")]),
        ({"wants_tailnet": ("node-1",)}, [("tailscale", "problem", "")]),
        ({"tailnet": Tailnet("Running"), "wants_tailnet": ("node-1",)}, []),
        ({"tailnet": Tailnet("Stopped")}, [("tailscale", "hint", "")]),
        ({"tailnet": Tailnet("NeedsLogin", "https://x"), "wants_tailnet": ("a",)}, [("tailscale", "problem", "")]),
        ({"tailnet": Tailnet()}, [("tailscale", "hint", "")]),
        ({"agent_keys": None}, [("keys", "hint", "")]),
        ({"agent_keys": 0}, [("keys", "hint", "")]),
        ({"agent_keys": None, "key_files": ("/k",)}, []),
        ({"agent_keys": None, "by_ssh": False}, []),
        ({"open_keys": ("/k",)}, [("keys", "problem", "sync")]),
        ({"folders": (Folder("cache-folder", "/c", is_open=True),)}, [("cache-folder", "problem", "")]),
        ({"folders": (Folder("state-folder", "/s", is_seen=True),)}, [("state-folder", "hint", "")]),
        ({"folders": (Folder("cache-folder", "/c", is_seen=True),)}, []),
        ({"folders": (Folder("cache-folder", "/c", ours=False),)}, [("cache-folder", "problem", "")]),
        (
            {
                "folders": (
                    Folder("state-folder", "/s", problem="is no folder"),
                    Folder("cache-folder", "/s/c", problem="x"),
                )
            },
            [("state-folder", "problem", "")],
        ),
        ({"broken_caches": (BadCache("/c/d.json", "it is no JSON"),)}, [("caches", "hint", "")]),
        ({"strange_caches": (("/tmp/d.json", "another user's"),)}, [("caches", "hint", "")]),
        ({"ledger": Ledger.NONE}, []),
        ({"ledger": Ledger.DAMAGED, "ledger_trouble": Trouble("malformed")}, [("ledger", "problem", "")]),
        ({"ledger": Ledger.UNUSABLE, "ledger_trouble": Trouble("newer", "upgrade")}, [("ledger", "problem", "")]),
        ({"disk_free_bytes": 1000}, [("disk", "problem", "")]),
    ],
)
def test_what_is_wrong_with_this_machine(changes: dict[str, Any], expected: list[tuple[str, str, str]]) -> None:
    one = diagnosis_here.examine(replace(FIT, **changes))
    assert seen(one) == expected
    assert all(finding.what and finding.why and finding.fix for finding in one.findings)


@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("a.t1.ts.net", True),
        ("100.64.0.1", True),
        ("fd7a:115c:a1e0::1", True),
        ("100.128.0.1", False),
        ("ts.net", False),
    ],
)
def test_who_is_on_the_tailnet(name: str, is_there: bool) -> None:
    assert diagnosis_here.is_on_tailnet(name) is is_there
    assert diagnosis_here.dependents([("a", [name]), ("b", [name, "lan"]), ("c", [])]) == (("a",) if is_there else ())


def test_a_host_that_tailscale_calls_offline() -> None:
    tailnet = Tailnet("Running", offline={"node-1": "2026-11-01", "100.64.0.9": ""})
    down = diagnosis.unreachable(PATIENT, "asked", Failure(FailureKind.TIMED_OUT, "no answer"))
    told = diagnosis_here.with_tailnet(down, ["100.64.0.9"], tailnet)
    assert told.findings[0].why.endswith("; Tailscale calls it offline: is it switched on?")
    assert "last seen 2026-11-01" in diagnosis_here.with_tailnet(down, ["lan", "node-1"], tailnet).findings[0].why
    assert diagnosis_here.with_tailnet(down, ["node-2"], tailnet) == down
    assert diagnosis_here.with_tailnet(down, ["node-1"], None) == down
    assert diagnosis_here.with_tailnet(examine(), ["node-1"], tailnet) == examine()


# -- what a host says ------------------------------------------------------------------------------------------------


def test_a_hostile_answer_is_text_and_bounded() -> None:
    bad = "\x1b]0;owned\x07\x1b[2J\u202e" + "x" * 100_000
    names = (
        "uname",
        "shell",
        "path",
        "login",
        "login-path",
        "state",
        "df",
        "installer",
        "agent-login",
        "version",
        "at",
    )
    facts = [Fact(name, bad) for name in (*names, "uncollected", "old-runs", "stale-lock")]
    facts += [Fact("at", f"login gummy /{bad}"), Fact("version", f"claude 0 {bad}"), Fact("uncollected", "../x 5")]
    facts += [Fact("at", "login ../../x /x")] * 5000
    with pytest.raises(ValueError, match="broke off"):
        vitals.read(facts)
    told = vitals.read([Fact("doctor-end", "ok"), *facts])
    assert (told.old_runs, told.uncollected, told.stale_locks, told.installer) == (0, {}, (), "")
    assert len(repr(told)) < 20_000
    report = Report((examine(told, replace(MEASURED, noise=bad)),))
    shown = screen.text(report, verbose=True)
    text = documents.dump(screen.document(report))
    validate(json.loads(text), "doctor")
    assert not any(char in shown + text for char in (*CONTROL, "\u202e"))


def test_what_is_shown() -> None:
    notes = Notes("node-1")
    notes.ok("port", "answers")
    notes.problem("rsync", "rsync not found", "no sync", "apt install rsync", Work.SYNC)
    here = Notes("here")
    here.hint("git", "git not found", "no branch", "apt install git")
    report = Report((here.done(), notes.done(), Checkup("node-2")))
    assert screen.text(report) == (
        "this machine\n  ! git: git not found\n      no branch\n      → apt install git\n"
        "node-1 (takes no synced work)\n  ✗ rsync: rsync not found\n      no sync\n      → apt install rsync\n"
        "not looked at: node-2\n✗ 3 checks, 2 findings (1 problem, 1 hint)"
    )
    assert "✓ port: answers" in screen.text(report, verbose=True)
    assert screen.text(Report((here.done(),))).endswith("✓ 1 check, 1 finding (1 hint)")


# -- the gate --------------------------------------------------------------------------------------------------------

FULL = Sample(tools=frozenset({"rsync", "gummy", "claude"}), disk_free_bytes=10**11)
SYNC, AGENT = frozenset({Work.SYNC}), frozenset({Work.AGENT})
LOGGED_OUT = Finding("agent-login", "n", Severity.PROBLEM, "claude is not logged in", "w", "f", (Work.AGENT,))


@pytest.mark.parametrize(
    ("host", "sample", "needs", "reason"),
    [
        (Host("n"), FULL, SYNC | AGENT, ""),
        (Host("n"), changed(FULL, tools=frozenset({"git"})), SYNC, "rsync is not installed"),
        (Host("n"), changed(FULL, tools=frozenset({"git"})), frozenset(), ""),
        (Host("n", declared={"rsync": "true"}), changed(FULL, tools=frozenset()), SYNC, ""),
        (Host("local"), changed(FULL, tools=frozenset()), SYNC, ""),
        (Host("n"), None, SYNC | AGENT, ""),
        (Host("n"), Sample(knows_runs=False), SYNC | AGENT, ""),
        (Host("n"), changed(FULL, disk_free_bytes=2 * 10**7), SYNC, "its disk is full: 20 MB free"),
        (Host("n", declared={"disk": "1GB"}), changed(FULL, disk_free_bytes=5), SYNC, ""),
        (Host("n", remote_dir="/data/x"), changed(FULL, disk_free_bytes=0), SYNC, ""),
        (Host("n", remote_dir="~/x"), changed(FULL, disk_free_bytes=0), SYNC, "its disk is full"),
        (Host("n"), changed(FULL, disk_free_bytes=None), SYNC, ""),
        (Host("n"), changed(FULL, tools=frozenset({"rsync", "gummy"})), AGENT, "lacks claude, which gummy starts"),
        (Host("n"), changed(FULL, tools=frozenset({"rsync"})), AGENT, ""),  # lacking gummy is said elsewhere
    ],
)
def test_who_is_passed_over(host: Host, sample: Sample | None, needs: frozenset[Work], reason: str) -> None:
    unfit = gate.hindrance(host, sample, needs, tool="gummy", verdict=None, now=NOW)
    assert (reason in unfit.reason if unfit else reason == "") and (unfit is None) == (reason == "")


@pytest.mark.parametrize(
    ("age_s", "needs", "counts"),
    [(60, AGENT, True), (60, SYNC, False), (gate.VERDICT_S + 1, AGENT, False), (-5, AGENT, False)],
)
def test_how_long_a_verdict_counts_and_for_what(age_s: float, needs: frozenset[Work], counts: bool) -> None:
    rsync = Finding("rsync", "n", Severity.PROBLEM, "rsync not found", "w", "f", (Work.SYNC,))
    said = gate.verdict("n", [LOGGED_OUT, rsync], NOW - timedelta(seconds=age_s))
    assert said.stops == ((Work.AGENT, "claude is not logged in", "agent-login"),)  # a probe sees rsync itself
    unfit = gate.hindrances([Host("n"), Host("m")], {"n": FULL}, needs, {"n": said}, tool="gummy", now=NOW)
    assert list(unfit) == (["n"] if counts else [])
    lifted = gate.hindrances([Host("n")], {"n": FULL}, needs, {"n": said}, tool="gummy", now=NOW, brings_login=True)
    assert lifted == {}
    if counts:
        assert unfit["n"].reason.startswith("claude is not logged in (inv doctor, 1 m 00 s ago")
    assert gate.hindrances([Host("n")], {}, frozenset(), {"n": said}, tool="gummy", now=NOW) == {}
    assert Verdict("n", NOW).stops == () and Mending.TIDY.value


@pytest.mark.parametrize(("status", "severity"), [(137, "hint"), (127, "problem")])
def test_an_agent_that_was_slow_to_start_is_no_reason_to_pass_a_host_over(status: int, severity: str) -> None:
    report = examine(changed(WELL, versions={"claude": Version(status, "")}))
    (found,) = report.findings
    assert (found.check, found.severity.value) == ("agent-start", severity)
    assert ("within 3 s" in found.what) == (gate.verdict("n", report.findings, NOW).stops == ()) == (severity == "hint")
