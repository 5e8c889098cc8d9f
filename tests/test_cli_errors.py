"""What goes wrong outside: hosts that are down, hang or refuse; no hosts; bad settings.

It always ends in a line of what happened and one of what to do, never in a traceback.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli_lab import TASKS, Desk, Result, open_desk
from dgummy import lab as labs

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("errors")) as made:
        yield made


@pytest.fixture
def desk(shared: Desk) -> Iterator[Desk]:
    """The shared lab, its nodes up and its caches empty again afterwards."""
    yield shared
    for name in ("node-1", "node-2"):
        labs.start(shared.lab, name)
    shared.forget_load()


def last_two(err: str) -> tuple[str, str]:
    """What happened, and what to do."""
    *_, what, remedy = err.splitlines()
    assert what.startswith("✗ ")
    assert remedy.startswith("  ") and remedy.strip()
    return what, remedy


# -- hosts that do not answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("remembered", [True, False], ids=["in the cache", "not in the cache"])
def test_with_the_best_node_stopped_the_run_goes_to_the_next(desk: Desk, remembered: bool) -> None:
    desk.inv("load", "--refresh")
    labs.stop(desk.lab, "node-1")
    if not remembered:
        desk.forget_load()
    done = desk.inv("run", "--json", "hostname")
    document = done.document("run")
    assert (done.code, document["host"], document["stdout_tail"]) == (0, "node-2", "node-2\n")
    assert document["fallback"] is None
    tried = {attempt["host"]: attempt["outcome"] for attempt in document["attempts"]}
    assert tried["node-2"] == "ok"
    if remembered:
        assert tried["node-1"] == "unreachable"
        assert "✗ node-1: connection refused" in done.err


def test_host_is_a_promise(desk: Desk) -> None:
    labs.stop(desk.lab, "node-1")
    done = desk.inv("run", "--host", "node-1", "touch promise-broken")
    assert done.code == 69
    what, remedy = last_two(done.err)
    assert "node-1" in what and "connection refused" in what
    assert "sshd" in remedy
    assert not (desk.project / "promise-broken").exists()
    assert not (desk.nodes.remote_dir("node-2", desk.project) / "promise-broken").exists()
    several = desk.inv("run", "--json", "--host", "node-1", "--host", "node-3", "true")
    assert several.code == 69
    document = several.document("run")
    assert (document["host"], document["fallback"], document["state"]) == (None, None, "unreachable")
    assert [attempt["host"] for attempt in document["attempts"]] == ["node-1", "node-3"]
    assert re.search(r"✗ node-1: .*\n✗ node-3: .*\n✗ no host could take it", several.err)


def test_a_promise_is_kept_among_the_hosts_named(desk: Desk) -> None:
    desk.inv("load", "--refresh")
    labs.stop(desk.lab, "node-1")
    assert desk.inv("run", "--host", "node-[1-2]", "hostname").out == "node-2\n"


def test_a_node_that_hangs_holds_nobody_up(desk: Desk) -> None:
    labs.hang(desk.lab, "node-1")
    began = time.monotonic()
    done = desk.inv("run", "hostname", env={"INVOKE_DGUMMY_TIMEOUTS_CONNECT_S": "30"})
    assert done.out == "node-2\n"
    assert time.monotonic() - began < 15
    began = time.monotonic()
    shown = desk.inv("load", "--refresh", env={"INVOKE_DGUMMY_TIMEOUTS_CONNECT_S": "2"})
    assert 2 < time.monotonic() - began < 10
    assert re.search(r"node-1 .*timed out: .*banner", shown.out)
    assert re.search(r"node-2 .*← best", shown.out)


def test_with_all_down_it_runs_here_and_says_so(desk: Desk) -> None:
    for name in ("node-1", "node-2"):
        labs.stop(desk.lab, name)
    done = desk.inv("run", "--json", "pwd; exit 4")
    document = done.document("run")
    assert (done.code, document["host"], document["fallback"]) == (4, "local", "local")
    assert document["stdout_tail"] == f"{desk.project}\n"
    tried = [(attempt["host"], attempt["outcome"]) for attempt in document["attempts"]]
    unreachable = [(name, "unreachable") for name in ("node-1", "node-2", "node-3")]
    assert tried == [*unreachable, ("local", "failed")]
    assert all("connection refused" in attempt["reason"] for attempt in document["attempts"][:3])
    assert "→ local: no host could take it" in done.err
    for name in ("node-1", "node-2", "node-3"):  # every attempt with its reason, once
        assert len(re.findall(rf"✗ {name}: .*connection refused", done.err)) == 1


@pytest.mark.parametrize("words", [["--fallback", "none"], ["--group", "lab", "--fallback=none"]])
def test_without_a_fallback_nothing_runs_here(desk: Desk, words: list[str]) -> None:
    for name in ("node-1", "node-2"):
        labs.stop(desk.lab, name)
    done = desk.inv("run", *words, "touch ran-here")
    assert done.code == 69
    assert not (desk.project / "ran-here").exists()
    assert "✗ no host could take it" in last_two(done.err)[0]


def test_what_is_asked_of_all_hosts_says_which_failed(desk: Desk) -> None:
    labs.stop(desk.lab, "node-1")
    synced = desk.inv("sync")
    assert synced.code == 1
    assert "✗ node-1: connection refused" in synced.err
    assert "→ node-2:" in synced.err
    status = desk.inv("status", "--refresh")
    assert status.code == 0
    assert re.search(r"^node-1 +✗ offline +connection refused$", status.out, re.MULTILINE)
    assert re.search(r"^✗ node-1: connection refused: 127.0.0.1 port \d+\n  \S", status.out, re.MULTILINE)


# -- hosts that refuse, or cannot take the project -------------------------------------------------------------------


def test_a_changed_host_key_refuses_and_names_file_and_line(desk: Desk, tmp_path: Path) -> None:
    known, other = desk.lab.directory / "known_hosts", tmp_path / "other"
    good = known.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    changed = " ".join(other.with_suffix(".pub").read_text().split()[:2])
    port = desk.lab.node("node-1").port
    lines = good.splitlines()
    number = next(index for index, line in enumerate(lines, 1) if f":{port} " in line)
    known.write_text(good.replace(lines[number - 1], f"[127.0.0.1]:{port} {changed}"))
    try:
        for words in (["run", "--host", "node-1", "true"], ["sync", "--host", "node-1"]):
            done = desk.inv(*words)
            assert done.code == 77, done
            what, remedy = last_two(done.err)
            assert "node-1" in what and f"{known}:{number}" in what
            assert "ssh-keygen -R" in remedy
        assert desk.inv("run", "hostname").out == "node-2\n"
        assert f"{known}:{number}" in desk.inv("status", "--refresh").out
    finally:
        known.write_text(good)


def test_a_key_that_is_not_let_in_is_refused(desk: Desk) -> None:
    authorized = desk.lab.directory / "authorized_keys"
    good = authorized.read_text()
    authorized.write_text("")
    try:
        done = desk.inv("run", "--host", "node-1", "true")
        assert done.code == 77, done
        assert "authentication" in last_two(done.err)[0]
        fallen_back = desk.inv("run", "--json", "true").document("run")
        assert fallen_back["fallback"] == "local"
        assert desk.inv("run", "--fallback", "none", "true").code == 77
    finally:
        authorized.write_text(good)


@pytest.fixture
def without_rsync(desk: Desk, tmp_path: Path) -> Iterator[Desk]:
    """The nodes' login PATH has everything but rsync."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in ("/usr/local/bin", "/usr/bin", "/bin"):
        for entry in os.scandir(folder):
            if entry.name != "rsync" and not (tools / entry.name).is_symlink():
                (tools / entry.name).symlink_to(entry.path)
    profiles = {name: desk.nodes.home_of(name) / ".profile" for name in ("node-1", "node-2")}
    good = {name: path.read_text() for name, path in profiles.items()}
    for path in profiles.values():
        path.write_text(f'PATH=$HOME/bin:"{tools}"\nexport PATH\n')
    desk.forget_load()
    yield desk
    for name, path in profiles.items():
        path.write_text(good[name])


def test_where_no_host_can_be_synced_to_it_runs_here(without_rsync: Desk) -> None:
    done = without_rsync.inv("run", "--json", "pwd")
    document = done.document("run")
    assert (done.code, document["host"], document["fallback"]) == (0, "local", "local")
    outcomes = {attempt["host"]: attempt["outcome"] for attempt in document["attempts"]}
    assert (outcomes["node-1"], outcomes["node-2"]) == ("sync_failed", "sync_failed")
    for name in ("node-1", "node-2"):
        assert len(re.findall(rf"✗ {name}: .*rsync is not installed", done.err)) == 1
    assert "install it there" in done.err


@pytest.mark.parametrize("words", [["--fallback", "none"], ["--host", "node-1"]], ids=" ".join)
def test_where_no_host_can_be_synced_to_and_here_is_out_it_ends_with_74(without_rsync: Desk, words: list[str]) -> None:
    done = without_rsync.inv("run", *words, "touch ran-here")
    assert done.code == 74, done
    assert not (without_rsync.project / "ran-here").exists()


def test_a_file_where_the_project_should_go_fails_the_sync(desk: Desk) -> None:
    project = desk.nodes.project("in-the-way")
    (project / "tasks.py").write_text(TASKS)
    desk.nodes.remote_dir("node-1", project).write_text("a file of somebody's")
    done = desk.inv("run", "--host", "node-1", "true", cwd=project)
    assert done.code == 74, done
    assert desk.nodes.remote_dir("node-1", project).read_text() == "a file of somebody's"
    assert desk.inv("run", "hostname", cwd=project).out == "node-2\n"


# -- agents that are not there ---------------------------------------------------------------------------------------


@pytest.fixture
def without_gummy(desk: Desk) -> Iterator[Callable[..., None]]:
    hidden = []

    def hide(*names: str) -> None:
        for name in names:
            path = desk.nodes.home_of(name) / "bin/gummy"
            hidden.append((path, path.rename(path.with_name("hidden"))))
        desk.forget_load()

    yield hide
    for path, moved in hidden:
        moved.rename(path)


def test_a_host_without_gummy_is_no_candidate(desk: Desk, without_gummy: Callable[..., None]) -> None:
    without_gummy("node-1")
    document = desk.inv("task", "--json", "optimize database queries").document("task")
    assert (document["host"], document["state"]) == ("node-2", "ok")


def test_gummy_nowhere_ends_with_how_to_install_it(desk: Desk, without_gummy: Callable[..., None]) -> None:
    without_gummy("node-1", "node-2")
    labs.start(desk.lab, "node-3")  # the one that is down would be the reason otherwise
    (desk.nodes.home_of("node-3") / "bin/gummy").unlink(missing_ok=True)
    try:
        done = desk.inv("task", "optimize database queries")
    finally:
        labs.stop(desk.lab, "node-3")
    assert done.code == 69, done
    assert "brew install WillyV3/tap/gummy-agent" in last_two(done.err)[1]
    assert "lacks gummy" in done.err
    here = desk.inv("task", "--host", "local", "x")
    assert here.code == 69
    assert "brew install WillyV3/tap/gummy-agent" in last_two(here.err)[1]


def test_an_unmet_requirement_names_what_is_lacking(desk: Desk) -> None:
    done = desk.inv("run", "--require", "no-such-tool", "--host", "node-[1-2]", "true")
    assert done.code == 69
    assert "✗ node-1: skipped: lacks no-such-tool" in done.err
    assert "lacks os=plan9 (it is linux)" in desk.inv("pick", "--require", "os=plan9").out


# -- hosts that are not known, and none at all -------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--host", "--exclude"])
@pytest.mark.parametrize("command", [["run", "true"], ["load"], ["status"], ["pick"], ["sync"]], ids=lambda c: c[0])
def test_an_unknown_host_gets_a_suggestion(desk: Desk, flag: str, command: list[str]) -> None:
    done = desk.inv(command[0], flag, "nod-1", *command[1:])
    assert done.code == 69
    assert last_two(done.err) == ("✗ nod-1: no such host in any group", "  did you mean node-1?")


@pytest.mark.parametrize("name", ["-oProxyCommand=id", "a b", "a\nb", "a\x1b[31m", ""])
def test_a_name_that_no_host_can_have_is_refused(desk: Desk, name: str) -> None:
    done = desk.inv("run", f"--host={name}", "true")
    assert done.code in (64, 69), done
    assert "\x1b" not in done.err
    last_two(done.err)


def test_without_hosts_it_runs_here_and_says_how_to_get_some(desk: Desk, tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    project.mkdir()
    (project / "tasks.py").write_text(TASKS)

    def inv(*words: str) -> Result:
        return desk.inv(*words, cwd=project, env={"HOME": str(home), "DGUMMY_CONFIG": None})

    done = inv("run", "pwd; exit 3")
    assert (done.code, done.out) == (3, f"{project}\n")
    assert "→ local: no hosts are configured; `inv config.init` proposes some" in done.err
    document = inv("run", "--json", "true").document("run")
    assert (document["host"], document["fallback"]) == ("local", None)
    for command in (["load"], ["pick"], ["status"]):
        shown = inv(*command)
        assert shown.code == 0
        assert "inv config.init" in shown.out + shown.err
    synced = inv("sync")
    assert synced.code == 69
    assert "inv config.init" in last_two(synced.err)[1]
    assert "inv config.init" in inv("config.check").out
    unknown = inv("run", "--host", "build-box", "true")
    assert unknown.code == 69
    assert "inv config.init" in last_two(unknown.err)[1]


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"groups: [", "line 1"),
        (b"grups: {dev: [a]}", "grups"),
        (b"groups: {dev: a}", "groups.dev"),
        (b"groups: {dev: [-oProxyCommand=x]}", "groups.dev"),
        (b"load_weights: {cpu: -1}", "load_weights.cpu"),
        (b"load_weights: {cpu: 0, memory: 0, load_average: 0}", "load_weights"),
        (b"load_weights: {cpu: .nan}", "load_weights.cpu"),
        (b"timeouts: {connect_s: soon}", "timeouts.connect_s"),
        (b"groups: {dev: [a]}\nhost_preferences: {database: [b]}", "host_preferences.database"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"- a\n- b", "a list"),
        (b"just text", "text"),
        (b"fallback: maybe", "fallback"),
        (b"backend: carrier-pigeon", "backend"),
        (b"jobs: 0", "jobs"),
        (b"jobs: true", "jobs"),
        (b"a: &a [*a]", "alias"),
        (b"groups: {dev: [a]}\ngroup: prod", "group"),
        (b"!!python/object/apply:os.system ['touch pwned']", "line 1"),
        (b"task_types: {ml: {requires: ['cores>>8']}}", "task_types.ml"),
    ],
    ids=lambda value: value.decode("ascii", "replace")[:30] if isinstance(value, bytes) else "",
)
def test_bad_settings_end_with_78_naming_file_and_key(desk: Desk, tmp_path: Path, text: bytes, key: str) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_bytes(text)
    for words in (["config.check"], ["run", "true"]):
        done = desk.inv(*words, env={"DGUMMY_CONFIG": str(bad)})
        assert done.code == 78, done
        what, _ = last_two(done.err)
        assert str(bad) in what or "task_types" in what
        assert key in what
    assert not (desk.project / "pwned").exists()


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (["run", "--fallback", "maybe", "true"], {}, "--fallback"),
        (["load", "--backend", "nope"], {}, "--backend"),
        (["load", "--group", "nope"], {}, "nope"),
        (["load"], {"INVOKE_DGUMMY_JOBS": "many"}, "INVOKE_DGUMMY_JOBS"),
        (["load"], {"INVOKE_DGUMMY_JOBZ": "1"}, "INVOKE_DGUMMY_JOBZ"),
        (["load"], {"INVOKE_DGUMMY_SSH_CONFIG": "/no/such/file"}, "/no/such/file"),
        (["load"], {"DGUMMY_CONFIG": "/no/such/file.yaml"}, "/no/such/file.yaml"),
        (["load"], {"DGUMMY_CONFIG": "/"}, "/"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_flags_and_variables_end_with_78(desk: Desk, words: list[str], env: dict[str, str], said: str) -> None:
    done = desk.inv(*words, env=env)
    assert done.code == 78, done
    assert said in last_two(done.err)[0]


def test_the_project_s_invoke_yaml_is_checked_as_well(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "invoke.yaml").write_text("dgummy: {fallbak: none}\n")
    done = desk.inv("load", cwd=tmp_path)
    assert done.code == 78
    what, remedy = last_two(done.err)
    assert str(tmp_path / "invoke.yaml") in what and "dgummy.fallbak" in what
    assert "did you mean dgummy.fallback?" in remedy or "did you mean fallback?" in remedy


@pytest.mark.parametrize(
    ("place", "text", "said"),
    [
        *((place, "a: [", "ParserError: ") for place in ("home", "project", "flag")),
        *((place, "- a", "holds no map of settings") for place in ("home", "project", "flag")),
        *((place, None, "IsADirectoryError: ") for place in ("home", "flag")),  # a folder of that name makes no project
    ],
)
def test_a_broken_file_of_invokes_is_named_by_our_program(
    desk: Desk, tmp_path: Path, place: str, text: str | None, said: str
) -> None:
    name = {"home": ".invoke.yaml", "project": "invoke.yaml", "flag": "other.yaml"}[place]
    if text is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_text(text)
    env = {"HOME": str(tmp_path)} if place == "home" else {}
    flags = ["-f", name] if place == "flag" else []
    done = desk.inv(*flags, "load", "--json", cwd=tmp_path, env=env, program="dgummy")
    assert done.code == done.document("error")["error"]["exit_code"] == 78, done
    what, remedy = last_two(done.err)
    assert name.removesuffix("yaml") in what and said in what and remedy


# -- bugs of ours ------------------------------------------------------------------------------------------------------


def test_a_bug_ends_with_70_and_where_its_traceback_is(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(
        "from dgummy.boundary import command\n\n\n"
        "@command()\ndef boom(c, json=False):\n    raise RuntimeError('out of cheese')\n"
    )
    done = desk.inv("boom", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert done.code == 70
    what, remedy = last_two(done.err)
    assert "RuntimeError: out of cheese" in what
    saved = re.search(r"(/\S+dgummy-traceback-\S+\.txt)", remedy)
    assert saved is not None
    assert "in boom" in Path(saved[1]).read_text()
    document = desk.inv("boom", "--json", cwd=tmp_path, env={"TMPDIR": str(tmp_path)}).document("error")
    assert document["error"]["exit_code"] == 70


def test_a_folder_that_is_gone_is_no_bug(desk: Desk) -> None:
    gone = desk.home / "gone"
    gone.mkdir()
    program = f"{desk.argv([], 'dgummy')[0]!s} -c 'from dgummy.cli import main; main()'"
    done = desk.shell(f"cd '{gone}' && rmdir '{gone}' && {program} load; echo $?")
    assert done.out == "78\n"
    assert "a bug" not in done.err
