"""Where settings come from, in which order, and what a wrong one says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import invoke.config
import pytest
import yaml

from dgummy import layers
from dgummy.budget import Caps
from dgummy.costs import Price
from dgummy.errors import ConfigError, ExitCode
from dgummy.layers import Layer, describe, expand_path, load, merge, user_config_path
from dgummy.settings import Settings
from dgummy.spending import caps_of

DATA = Path(__file__).parent / "data" / "config"
CASES = yaml.safe_load((DATA / "bad_cases.yaml").read_text(encoding="utf-8"))
LABEL = "~/.config/distributed-gummy/config.yaml"


def write_user_config(home: Path, text: str | bytes) -> Path:
    path = home / ".config" / "distributed-gummy" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(home: Path, environ: dict[str, str] | None = None, config: Any = None, **flags: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(config, flags, environ or {}, home)
    error = caught.value
    assert error.code is ExitCode.CONFIG
    for text in (error.message, error.remedy):
        assert text and text.isprintable(), f"not one clean line: {text!r}"
    return error


@pytest.fixture
def invoke_config(tmp_path: Path) -> Any:
    """Make an Invoke config like that of a running task, with a project's invoke.yaml and so on."""

    def make(project: str = "", runtime: str = "", collection: dict[str, Any] | None = None) -> invoke.config.Config:
        folder = tmp_path / "project"
        folder.mkdir()
        if project:
            (folder / "invoke.yaml").write_text(project)
        runtime_path = None
        if runtime:
            runtime_path = tmp_path / "extra.yaml"
            runtime_path.write_text(runtime)
        config = invoke.config.Config(
            system_prefix=str(tmp_path / "none-"),
            user_prefix=str(tmp_path / "none-"),
            project_location=folder,
            runtime_path=runtime_path,
        )
        config.load_project()
        config.load_runtime()
        config.load_collection({"dgummy": collection or {}})
        config.load_shell_env()
        return config

    return make


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_bad_file_is_refused_by_name(case: dict[str, str], tmp_path: Path) -> None:
    write_user_config(tmp_path, case["text"].replace("HUGE", "0" * 400))
    error = refused(tmp_path)
    assert error.message == case["message"].replace("{file}", LABEL)
    assert any(words in error.remedy for words in case["remedy"].split("|")), error.remedy


def test_there_are_enough_bad_cases() -> None:
    assert len(CASES) >= 60
    assert len({case["name"] for case in CASES}) == len(CASES)


def test_a_folder_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / ".config/distributed-gummy/config.yaml").mkdir(parents=True)
    assert refused(tmp_path).message == f"{LABEL}: is a folder, not a file"


def test_a_pipe_in_the_place_of_the_file_does_not_hang(tmp_path: Path) -> None:
    path = write_user_config(tmp_path, "")
    path.unlink()
    os.mkfifo(path)
    assert refused(tmp_path).message == f"{LABEL}: is not an ordinary file"


def test_an_unreadable_file(tmp_path: Path) -> None:
    path = write_user_config(tmp_path, "jobs: 1")
    assert load(None, {}, {}, tmp_path).settings.jobs == 1
    path.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:  # root may read everything
        os.seteuid(65534)
    try:
        error = refused(tmp_path)
    finally:
        if was_root:
            os.seteuid(0)
    assert error.message == f"{LABEL}: cannot be read: Permission denied"


def test_a_link_to_itself(tmp_path: Path) -> None:
    path = write_user_config(tmp_path, "")
    path.unlink()
    path.symlink_to(path)
    assert refused(tmp_path).message.startswith(f"{LABEL}: cannot be read: Too many levels")


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    write_user_config(tmp_path, b"jobs: 1\ngroup: caf\xe9\n")
    assert refused(tmp_path).message == f"{LABEL}: line 2: not UTF-8 text"


def test_a_control_character_in_the_file(tmp_path: Path) -> None:
    write_user_config(tmp_path, b"jobs: 1\ngroup: a\x00b\n")
    assert refused(tmp_path).message == f"{LABEL}: line 2, column 9: a control character"


def test_a_file_over_one_megabyte(tmp_path: Path) -> None:
    write_user_config(tmp_path, b"# " + b"x" * 1_000_000)
    assert refused(tmp_path).message == f"{LABEL}: larger than 1 MB"


@pytest.mark.parametrize("merge_key", [False, True])
def test_an_alias_bomb_is_bounded(merge_key: bool, tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1, y: 2}"]
    for level in range(1, 30):
        inside = ", ".join([f"*a{level - 1}"] * 9)
        value = f"{{<<: [{inside}]}}" if merge_key else f"[{inside}]"
        lines.append(f"a{level}: &a{level} {value}")
    write_user_config(tmp_path, "\n".join(lines))
    assert refused(tmp_path).message == f"{LABEL}: holds more than 100,000 values"


def test_deep_nesting_is_no_traceback(tmp_path: Path) -> None:
    write_user_config(tmp_path, "a: " + "[" * 50_000)
    assert refused(tmp_path).message == f"{LABEL}: nested too deeply"


def test_anchors_that_are_used_sensibly_work(tmp_path: Path) -> None:
    write_user_config(
        tmp_path, "groups: {dev: &all [a, b], ci: *all}\nhosts: {a: &h {cores: 8}, b: {<<: *h, os: linux}}"
    )
    settings = load(None, {}, {}, tmp_path).settings
    assert settings.groups == {"dev": ("a", "b"), "ci": ("a", "b")}
    assert settings.hosts["b"].cores == 8.0


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeffjobs: 16\n", "jobs:\nload_weights:\ngroups:\n"])
def test_an_empty_file_changes_nothing(text: str, tmp_path: Path) -> None:
    write_user_config(tmp_path, text)
    assert load(None, {}, {}, tmp_path).settings == merge([]).settings


def test_no_file_at_all(tmp_path: Path) -> None:
    merged = load(None, {}, {}, tmp_path)
    assert merged.settings == merge([]).settings
    assert merged.origins == {} and merged.warnings == ()


def test_xdg_config_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert user_config_path({}, home) == home / ".config/distributed-gummy/config.yaml"
    assert user_config_path({"XDG_CONFIG_HOME": "/x"}, home) == Path("/x/distributed-gummy/config.yaml")
    assert user_config_path({"XDG_CONFIG_HOME": "x"}, home) == home / ".config/distributed-gummy/config.yaml"


def test_maps_merge_and_lists_replace() -> None:
    merged = merge(
        [
            Layer("one", {"groups": {"dev": ["a", "b"], "ci": ["c"]}, "load_weights": {"cpu": 1, "io": 2}}),
            Layer("two", {"groups": {"dev": ["d"]}, "load_weights": {"cpu": 3}, "jobs": None}),
        ]
    )
    assert merged.settings.groups == {"dev": ("d",), "ci": ("c",)}
    assert (merged.settings.load_weights.cpu, merged.settings.load_weights.io) == (3.0, 2.0)
    assert merged.origins["groups.dev"] == "two" and merged.origins["groups.ci"] == "one"
    assert merged.origins["load_weights.cpu"] == "two" and merged.origins["load_weights.io"] == "one"
    assert "jobs" not in merged.origins


def test_merging_does_not_change_the_layers() -> None:
    first = {"groups": {"dev": ["node-[1-2]"]}}
    merge([Layer("one", first), Layer("two", {"groups": {"ci": ["a"]}})])
    assert first == {"groups": {"dev": ["node-[1-2]"]}}


def test_a_layer_is_checked_by_itself_even_if_another_wins() -> None:
    with pytest.raises(ConfigError, match=r"^one: jobs: expected a whole number"):
        merge([Layer("one", {"jobs": "x"}), Layer("two", {"jobs": 2})])


def test_a_later_layer_may_mend_what_makes_no_sense_together() -> None:
    settings = merge([Layer("one", {"groups": {"prod": ["a"]}}), Layer("two", {"group": "prod"})]).settings
    assert settings.group == "prod"


def test_a_name_with_nothing_after_it_is_empty() -> None:
    lower = Layer("one", {"groups": {"dev": ["a"], "ci": ["b"]}})
    merged = merge([lower, Layer("two", {"groups": {"ci": None}, "hosts": {"a": None}})])
    assert merged.settings.groups == {"dev": ("a",), "ci": ()}
    assert "a" in merged.settings.hosts


def test_ranges_are_written_out_once() -> None:
    groups = {"dev": ["node-[1-3]", "node-2", "db"]}
    settings = merge([Layer("f", {"groups": groups, "host_preferences": {"api": ["node-[2-3]"]}})]).settings
    assert settings.groups["dev"] == ("node-1", "node-2", "node-3", "db")
    assert settings.host_preferences["api"] == ("node-2", "node-3")


def test_durations_are_taken_as_text() -> None:
    raw = {"timeouts": {"connect_s": "5s", "probe_s": "2m", "kill_s": 3}, "cache": {"load_ttl_s": "1m"}}
    settings = merge([Layer("f", raw)]).settings
    assert (settings.timeouts.connect_s, settings.timeouts.probe_s, settings.timeouts.kill_s) == (5, 120, 3)
    assert settings.cache.load_ttl_s == 60


def test_hosts_in_no_group_are_only_warned_of() -> None:
    merged = merge([Layer("f", {"groups": {"dev": ["a"]}, "hosts": {"a": {}, "b": {"cores": 2}}})])
    assert merged.warnings == ("hosts.b: in no group, so it gets no work",)


def test_own_task_types_may_be_preferred() -> None:
    raw = {"task_types": {"ml": {"keywords": ["train"]}}, "host_preferences": {"ml": ["gpu-1"]}}
    assert merge([Layer("f", raw)]).settings.host_preferences == {"ml": ("gpu-1",)}


def test_prices_merge_key_by_key_with_those_that_come_along() -> None:
    below = {"pricing": {"date": "2027-01-31", "models": {"claude-haiku-4-5": {"input": 7}}}}
    above = {"pricing": {"models": {"claude-haiku-4-5": {"cache_read": 0.5}, "mine": {"input": 1, "output": 2}}}}
    merged = merge([Layer("f", below), Layer("g", above)])
    prices = merged.settings.pricing.prices
    assert prices["claude-haiku-4-5"] == Price(7, 5, 1.25, 2, 0.5)
    assert prices["mine"] == Price(1, 2)
    assert prices["claude-opus-5"] == Settings().pricing.prices["claude-opus-5"]
    rows = {key: (value, origin) for key, value, origin in describe(merged)}
    assert rows["pricing.date"] == ("2027-01-31", "f")
    assert rows["pricing.models.claude-haiku-4-5.input"] == (7.0, "f")
    assert rows["pricing.models.claude-haiku-4-5.cache_read"] == (0.5, "g")
    assert rows["pricing.models.claude-haiku-4-5.output"] == (5.0, "default")


def test_without_a_budget_there_is_no_cap() -> None:
    settings = merge([Layer("f", {"budget": {"per_day_usd": 4, "enforce": "stop"}})]).settings
    assert (settings.budget.per_task_usd, settings.budget.per_day_usd, settings.budget.enforce) == (None, 4.0, "stop")
    assert not caps_of(Settings()).are_set and caps_of(settings) == Caps(per_day_usd=4.0, stops=True)


@pytest.mark.parametrize("root", ["~/*", "/srv/*/x", "~/a..b/*", "~/.config"])
def test_roots_that_can_be_watched(root: str) -> None:
    assert merge([Layer("f", {"watch": {"roots": [root]}})]).settings.watch.roots == (root,)


@pytest.mark.parametrize(
    "command", ["gummy {mode} {text}", "cd ~ && a 'b c' {text}", 'a \\" {text}', "x \"it's\" {text} 'q'"]
)
def test_agent_commands_that_are_fine(command: str) -> None:
    assert merge([Layer("f", {"agent": {"command": command}})]).settings.agent.command == command


@pytest.mark.parametrize(
    "command", ["a '{text}'", 'a "x {text}"', "a {text} '{mode}'", "a \\{text}", "a 'it\"s {text}'"]
)
def test_agent_commands_that_would_break_the_quoting(command: str) -> None:
    with pytest.raises(ConfigError, match="stands inside quotes"):
        merge([Layer("f", {"agent": {"command": command}})])


ENV_GOOD = [
    ("JOBS", "4", lambda s: s.jobs, 4),
    ("LOAD_WEIGHTS_CPU", "0.9", lambda s: s.load_weights.cpu, 0.9),
    ("TIMEOUTS_CONNECT_S", "2s", lambda s: s.timeouts.connect_s, 2.0),
    ("TIMEOUTS_PROBE_S", "1.5", lambda s: s.timeouts.probe_s, 1.5),
    ("SYNC_EXCLUDE", "a, b,*.log", lambda s: s.sync_exclude, ("a", "b", "*.log")),
    ("SYNC_EXCLUDE", "", lambda s: s.sync_exclude, ()),
    ("SYNC_EXTRA", "[.env, 'a,b']", lambda s: s.sync_extra, (".env", "a,b")),
    ("GROUPS", "{dev: [a, 'node-[1-2]']}", lambda s: s.groups, {"dev": ("a", "node-1", "node-2")}),
    ("GROUPS", "", lambda s: s.groups, {}),
    ("FALLBACK", "none", lambda s: s.fallback, "none"),
    ("SSH_CONFIG", "~/x", lambda s: s.ssh_config, "~/x"),
    ("BUDGET_PER_DAY_USD", "4.50", lambda s: s.budget.per_day_usd, 4.5),
    ("PRICING_MODELS", "{m: {input: 1, output: 2}}", lambda s: s.pricing.prices["m"], Price(1, 2)),
    ("WATCH_ROOTS", "~/a/*,/srv/*", lambda s: s.watch.roots, ("~/a/*", "/srv/*")),
    ("WATCH_INTERVAL_S", "1m", lambda s: s.watch.interval_s, 60.0),
    ("AGENT_TOOL", "1234", lambda s: s.agent.tool, "1234"),
]


@pytest.mark.parametrize(("name", "text", "get", "value"), ENV_GOOD, ids=[f"{c[0]}={c[1]}" for c in ENV_GOOD])
def test_environment_values(name: str, text: str, get: Any, value: Any, tmp_path: Path) -> None:
    merged = load(None, {}, {f"INVOKE_DGUMMY_{name}": text}, tmp_path)
    assert get(merged.settings) == value


ENV_BAD = [
    ("JOBSB", "4", "INVOKE_DGUMMY_JOBSB: sets no key", "did you mean INVOKE_DGUMMY_JOBS?"),
    ("GROUPS_DEV", "a", "INVOKE_DGUMMY_GROUPS_DEV: sets no key", "takes a whole map"),
    ("", "a", "INVOKE_DGUMMY_: sets no key", "INVOKE_DGUMMY_"),
    ("JOBS", "many", "INVOKE_DGUMMY_JOBS: jobs: expected a whole number, got 'many'", "digits"),
    ("JOBS", "", "INVOKE_DGUMMY_JOBS: jobs: expected a whole number, got empty text", "digits"),
    ("JOBS", "0", "INVOKE_DGUMMY_JOBS: jobs: 0 is out of range", "1 to 512"),
    ("JOBS", "9" * 5000, "INVOKE_DGUMMY_JOBS: jobs: expected a whole number, got '" + "9" * 59 + "…", "digits"),
    ("LOAD_WEIGHTS_CPU", "nan", "INVOKE_DGUMMY_LOAD_WEIGHTS_CPU: load_weights.cpu: nan is no weight", "positive"),
    (
        "BUDGET_PER_TASK_USD",
        "nan",
        "INVOKE_DGUMMY_BUDGET_PER_TASK_USD: budget.per_task_usd: nan is no amount of money",
        "4.50",
    ),
    ("LOAD_WEIGHTS_CPU", "5s", "INVOKE_DGUMMY_LOAD_WEIGHTS_CPU: load_weights.cpu: expected a number, got '5s'", "0.5"),
    ("GROUPS", "a,b", "INVOKE_DGUMMY_GROUPS: groups: expected a map, got 'a,b'", "NAME: …"),
    (
        "GROUPS",
        "{dev: [a",
        "INVOKE_DGUMMY_GROUPS: groups: line 1, column 9: expected ',' or ']', but got '<stream end>'",
        "quote",
    ),
    ("BACKEND", "a\x1b[2Jb", "INVOKE_DGUMMY_BACKEND: backend: holds control characters: 'a\\x1b[2Jb'", "delete"),
    ("STATE_DIR", "/a\udcff", "INVOKE_DGUMMY_STATE_DIR: state_dir: holds control characters: '/a\\udcff'", "UTF-8"),
]


@pytest.mark.parametrize(("name", "text", "message", "remedy"), ENV_BAD, ids=[f"{c[0]}={c[1][:9]}" for c in ENV_BAD])
def test_bad_environment(name: str, text: str, message: str, remedy: str, tmp_path: Path) -> None:
    error = refused(tmp_path, {f"INVOKE_DGUMMY_{name}": text})
    assert error.message == message
    assert remedy in error.remedy


def test_flags_win_and_name_themselves(tmp_path: Path) -> None:
    merged = load(None, {"jobs": "9", "timeouts.connect_s": "3s", "group": None}, {"INVOKE_DGUMMY_JOBS": "5"}, tmp_path)
    assert (merged.settings.jobs, merged.settings.timeouts.connect_s) == (9, 3)
    assert merged.origins["jobs"] == "--jobs"
    assert refused(tmp_path, jobs="x").message == "--jobs: jobs: expected a whole number, got 'x'"
    assert refused(tmp_path, ssh_config="x").message == "--ssh-config: ssh_config: 'x' is no absolute path"


def test_every_level_in_order(tmp_path: Path, invoke_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level sets one key more than the next one overrides, so every step of the order shows."""
    write_user_config(tmp_path, "jobs: 1\nbackend: ssh\ngroup: one\n")
    config = invoke_config(
        project="dgummy: {jobs: 2, state_dir: /project, agent: {tool: two}}",
        runtime="dgummy: {jobs: 5, remote_dir: five, fallback: none}",
        collection={"group": "coll", "state_dir": "/coll"},
    )
    config.dgummy.remote_dir = "six"
    environ = {"INVOKE_DGUMMY_JOBS": "4", "INVOKE_DGUMMY_AGENT_TOOL": "four"}
    merged = load(config, {"fallback": "local"}, environ, tmp_path)
    project = f"invoke.yaml ({tmp_path}/project/invoke.yaml)"
    assert {row[0]: row[1:] for row in describe(merged) if row[2] != "default"} == {
        "backend": ("ssh", LABEL),
        "group": ("coll", "tasks.py (configure)"),
        "state_dir": ("/project", project),
        "agent.tool": ("four", "INVOKE_DGUMMY_AGENT_TOOL"),
        "jobs": (5, f"extra.yaml ({tmp_path}/extra.yaml)"),
        "remote_dir": ("six", "tasks.py"),
        "fallback": ("local", "--fallback"),
    }


def test_dgummy_config_replaces_the_users_file_and_beats_the_project(tmp_path: Path, invoke_config: Any) -> None:
    write_user_config(tmp_path, "jobs: 1\nbackend: ssh\n")
    (tmp_path / "lab.yaml").write_text("jobs: 3\n")
    config = invoke_config(project="dgummy: {jobs: 2, group: ci}")
    merged = load(config, {}, {"DGUMMY_CONFIG": "~/lab.yaml"}, tmp_path)
    assert (merged.settings.jobs, merged.settings.group, merged.settings.backend) == (3, "ci", "auto")
    assert merged.origins["jobs"] == "~/lab.yaml"
    assert load(config, {}, {"DGUMMY_CONFIG": ""}, tmp_path).settings.backend == "ssh"


def test_dgummy_config_must_exist(tmp_path: Path) -> None:
    error = refused(tmp_path, {"DGUMMY_CONFIG": "/nowhere/x.yaml"})
    assert error.message == "DGUMMY_CONFIG: /nowhere/x.yaml: no such file"
    assert "unset DGUMMY_CONFIG" in error.remedy


def test_a_bad_project_file_names_its_key_as_written(tmp_path: Path, invoke_config: Any) -> None:
    config = invoke_config(project="dgummy: {load_weights: {cpuu: 1}}")
    error = refused(tmp_path, config=config)
    assert error.message == f"invoke.yaml ({tmp_path}/project/invoke.yaml): dgummy.load_weights.cpuu: no such key"
    assert "did you mean load_weights.cpu?" in error.remedy


def test_a_section_that_is_no_map(tmp_path: Path) -> None:
    (tmp_path / "invoke.yaml").write_text("dgummy: 5\n")
    config = invoke.config.Config(lazy=True, project_location=tmp_path)
    config.load_project()
    error = refused(tmp_path, config=config)
    assert error.message == f"invoke.yaml ({tmp_path}/invoke.yaml): dgummy: expected a map"


def test_a_config_without_invokes_private_levels_is_read_as_one() -> None:
    assert layers.invoke_layers({"dgummy": {"jobs": 3}}) == [  # type: ignore[arg-type]
        Layer("invoke", {"jobs": 3}, prefix="dgummy.")
    ]
    assert layers.invoke_layers({}) == []  # type: ignore[arg-type]


def test_known_keys_equal_the_settings() -> None:
    from dgummy.settings import Settings
    from dgummy.settings_reader import field_types, is_struct

    def keys(kind: Any) -> dict[str, Any] | None:
        if hasattr(kind, "SHORT_FOR"):  # a text is merged with no map
            return None
        return {name: keys(inner) if is_struct(inner) else None for name, inner in field_types(kind).items()}

    assert layers.known_keys() == keys(Settings)


def test_known_keys_are_a_fresh_copy() -> None:
    layers.known_keys()["timeouts"]["connect_s"] = 1
    assert layers.known_keys()["timeouts"]["connect_s"] is None


def test_no_two_keys_share_a_variable() -> None:
    names = ["_".join(key).upper() for key in layers._leaves(layers.known_keys())]
    assert len(names) == len(set(names))


def test_loading_the_tasks_costs_no_import() -> None:
    code = (
        "import sys; from dgummy.layers import set_env_aside; set_env_aside({});"
        "print([m for m in ('msgspec', 'yaml', 'invoke', 'fabric', 'rich', 'difflib') if m in sys.modules])"
    )
    root = str(Path(__file__).parents[1])
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": root}
    )
    assert out.stdout.strip() == "[]"


def test_describe_shows_every_key_once() -> None:
    rows = describe(merge([Layer("f", {"groups": {"dev": ["a"], "ci": []}, "hosts": {"a": {"cores": 2}}})]))
    by_key = {key: (value, origin) for key, value, origin in rows}
    assert len(by_key) == len(rows)
    assert by_key["groups.dev"] == (["a"], "f") and by_key["groups.ci"] == ([], "f")
    assert by_key["hosts.a.cores"] == (2.0, "f") and by_key["hosts.a.os"] == (None, "default")
    assert by_key["host_preferences"] == ({}, "default")
    assert by_key["sync_exclude"] == (["node_modules", ".git", "dist", "build", ".DS_Store", "*.log"], "default")
    assert by_key["timeouts.connect_s"] == (5.0, "default")


def test_describe_tells_where_an_empty_map_came_from() -> None:
    rows = {row[0]: row for row in describe(merge([Layer("f", {"sync_exclude": []})]))}
    assert rows["sync_exclude"] == ("sync_exclude", [], "f")


def test_expand_path(tmp_path: Path) -> None:
    assert expand_path("~", tmp_path) == tmp_path
    assert expand_path("~/a/b", tmp_path) == tmp_path / "a/b"
    assert expand_path("/a", tmp_path) == Path("/a")
    with pytest.raises(ConfigError, match="no such user"):
        expand_path("~nobody-of-that-name/x", tmp_path)


def test_the_seed_documents_example_is_valid(tmp_path: Path) -> None:
    write_user_config(tmp_path, (DATA / "seed.yaml").read_bytes())
    settings = load(None, {}, {}, tmp_path).settings
    assert settings.host_preferences["testing"] == ("node-3",)
    assert settings.load_weights.cpu == 0.4
    assert settings.sync_exclude is not None and "*.log" in settings.sync_exclude


TASKS = """
import os
from pathlib import Path
from invoke import Collection, task
from dgummy import layers
from dgummy.errors import DgummyError

aside = layers.set_env_aside(os.environ)

@task
def show(c):
    os.environ.update(aside)
    try:
        merged = layers.load(c.config, {}, os.environ, Path(os.environ["HOME"]))
    except DgummyError as error:
        print(error.message)
    else:
        for key, value, origin in layers.describe(merged):
            if origin != "default":
                print(key, value, origin)

ns = Collection(show)
"""

THROUGH_INVOKE = {
    "map": ("groups: {dev: [a]}", {}, "groups.dev ['a'] invoke.yaml ({file})"),
    "section left empty": ("timeouts:\n  jobs: 3", {}, "jobs 3 invoke.yaml ({file})"),
    "section of the wrong type": ("timeouts: 5", {}, "invoke.yaml ({file}): dgummy.timeouts: expected a map, got 5"),
    "map in a number's place": (
        "jobs: {a: 1}",
        {},
        "invoke.yaml ({file}): dgummy.jobs: expected a whole number, got a map",
    ),
    "misspelt": ("jobz: 1", {}, "invoke.yaml ({file}): dgummy.jobz: no such key"),
    "variable over a number": ("jobs: 4", {"JOBS": "7"}, "jobs 7 INVOKE_DGUMMY_JOBS"),
    "word over a number": ("jobs: 4", {"JOBS": "x"}, "INVOKE_DGUMMY_JOBS: jobs: expected a whole number, got 'x'"),
    "variable over a list": (
        "sync_extra: [a]",
        {"SYNC_EXTRA": "b,c"},
        "sync_extra ['b', 'c'] INVOKE_DGUMMY_SYNC_EXTRA",
    ),
    "variable over a map": ("groups: {dev: [a]}", {"GROUPS": "{dev: [b]}"}, "groups.dev ['b'] INVOKE_DGUMMY_GROUPS"),
    "variable for a part of a map": (
        "groups: {dev: [a]}",
        {"GROUPS_DEV": "b"},
        "INVOKE_DGUMMY_GROUPS_DEV: sets no key",
    ),
    "misspelt variable": ("jobs: 4", {"JOBSB": "7"}, "INVOKE_DGUMMY_JOBSB: sets no key"),
}


@pytest.mark.parametrize(("section", "environ", "line"), THROUGH_INVOKE.values(), ids=THROUGH_INVOKE)
def test_through_the_real_inv(section: str, environ: dict[str, str], line: str, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    file = tmp_path / "invoke.yaml"
    file.write_text("dgummy:\n" + "".join(f"  {row}\n" for row in section.replace("\n  ", "\n").split("\n")))
    variables = {f"INVOKE_DGUMMY_{name}": value for name, value in environ.items()}
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "show"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": root, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [line.replace("{file}", str(file))]
