"""Settings from memory: the same as read anew, whatever changes. Mistakes are not remembered, nor what is damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import invoke.config
import pytest
from hypothesis import given
from hypothesis import strategies as st

import test_layers as floors
from dgummy import inventory, layers, memo
from dgummy.errors import ConfigError
from dgummy.layers import Merged
from dgummy.memo import Memo, fingerprint
from dgummy.settings import Settings

GOOD = """\
groups: {dev: [node-1, "node-[2-3]"]}
hosts: {node-1: {cores: 8, paths: [lan, ts]}, stray: {os: linux}}
host_preferences: {database: [node-1]}
task_types: {ml: {keywords: [train], weights: {cpu: 1, io: 0.5}}}
timeouts: {connect_s: 2m}
sync_exclude: []
jobs: 3
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make another user's folder")


class Desk:
    """A user's home with settings in it, and `load` from memory beside `load` without."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.file = home / ".config/distributed-gummy/config.yaml"
        self.folder = memo.folder({}, home)
        self.kept = self.folder / "settings.json"
        self.file.parent.mkdir(parents=True)
        self.file.write_text(GOOD)

    def load(self, environ: dict[str, str] | None = None, config: Any = None, **flags: Any) -> Merged:
        return layers.load(config, flags, environ or {}, self.home, Memo(self.folder))

    def anew(self, environ: dict[str, str] | None = None, config: Any = None, **flags: Any) -> Merged:
        return layers.load(config, flags, environ or {}, self.home)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has an entry for each time that layers were merged, which is what memory is to save."""
    merge, counted = layers.merge, []

    def counting(found: Any) -> Merged:
        counted.append(len(found))
        return merge(found)

    monkeypatch.setattr(layers, "merge", counting)
    return counted


def config(project: str, runtime: str = "", *, folder: Path) -> invoke.config.Config:
    """Invoke's configuration as it is while a task runs, from the text of a project's file and of `inv -f`."""
    (folder / "invoke.yaml").write_text(project)
    (folder / "extra.yaml").write_text(runtime)
    none = str(folder / "none-")
    made = invoke.config.Config(
        system_prefix=none, user_prefix=none, project_location=folder, runtime_path=folder / "extra.yaml"
    )
    made.load_project()
    made.load_runtime()
    return made


# -- the same as read anew --------------------------------------------------------------------------------------------


def test_what_is_remembered_is_what_was_read(desk: Desk, reads: list[int]) -> None:
    fresh = desk.anew()
    assert fresh.warnings and fresh.origins and fresh.settings != Settings()
    assert desk.load() == fresh
    assert len(reads) == 2
    assert desk.load() == fresh == desk.load()
    assert len(reads) == 2
    assert layers.describe(desk.load()) == layers.describe(fresh)


def test_no_file_at_all_is_remembered_too(desk: Desk, reads: list[int]) -> None:
    desk.file.unlink()
    assert desk.load() == desk.load() == Merged(Settings(), {}, ())
    assert len(reads) == 1
    desk.file.write_text("jobs: 5")
    assert desk.load().settings.jobs == 5


def test_neither_yaml_nor_the_checks_are_imported(desk: Desk) -> None:
    code = (
        "import sys; from pathlib import Path; from dgummy import layers, inventory, memo; home = Path(sys.argv[1]);"
        "m = memo.Memo(memo.folder({}, home));"
        "inventory.build(layers.load(None, {}, {}, home, m).settings, home / 'd.yaml', m);"
        "print([name for name in ('yaml', 'dgummy.settings_check', 'dgummy.yamltext') if name in sys.modules])"
    )
    desk.file.write_text("jobs: 5")
    (desk.home / "d.yaml").write_text("groups: {dev: [a]}")
    root = str(Path(__file__).parents[1])
    said = [
        subprocess.run(
            [sys.executable, "-c", code, str(desk.home)],
            env={"PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["['yaml', 'dgummy.settings_check', 'dgummy.yamltext']", "[]"]


# -- whatever changes is seen -----------------------------------------------------------------------------------------


def test_a_change_that_leaves_size_and_time_of_the_file_is_seen(desk: Desk) -> None:
    assert desk.load().settings.jobs == 3
    info = desk.file.stat()
    desk.file.write_text(GOOD.replace("jobs: 3", "jobs: 4"))
    os.utime(desk.file, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert desk.load().settings.jobs == 4
    desk.file.write_text(GOOD)
    assert desk.load().settings.jobs == 3


def test_variables_are_seen(desk: Desk) -> None:
    assert desk.load().settings.jobs == 3
    for environ in (
        {"INVOKE_DGUMMY_JOBS": "4"},
        {"INVOKE_DGUMMY_JOBS": "5"},
        {"INVOKE_DGUMMY_JOBS": "4", "INVOKE_DGUMMY_TIMEOUTS_KILL_S": "7"},
        {"OTHER": "1"},
    ):
        for _ in range(2):
            assert desk.load(environ) == desk.anew(environ)


def test_flags_are_seen(desk: Desk) -> None:
    for flags in ({}, {"backend": None}, {"backend": "ssh"}, {"backend": "local"}, {"timeouts.kill_s": "2s"}):
        for _ in range(2):
            assert desk.load(**flags) == desk.anew(**flags)
    assert desk.load(backend="ssh").origins["backend"] == "--backend"


def test_the_file_that_is_named_is_seen(desk: Desk) -> None:
    for name, text in (("a.yaml", "jobs: 5"), ("b.yaml", "jobs: 5"), ("b.yaml", "jobs: 6")):
        (desk.home / name).write_text(text)
        environ = {"DGUMMY_CONFIG": str(desk.home / name)}
        for _ in range(2):
            assert desk.load(environ) == desk.anew(environ)
        assert desk.load(environ).origins == {"jobs": f"~/{name}"}
    assert desk.load() == desk.anew()


def test_invokes_levels_are_seen(desk: Desk) -> None:
    desk.file.unlink()
    dev_first, ci_first = "groups: {dev: [x], ci: [y]}", "groups: {ci: [y], dev: [x]}"
    for project in ("", "jobs: 4", "jobs: 5", "groups: {dev: [x]}", dev_first, ci_first):
        for runtime in ("", "fallback: none"):
            made = config(f"dgummy: {{{project}}}", f"dgummy: {{{runtime}}}", folder=desk.home)
            for _ in range(2):
                found = desk.load(config=made)
                assert found == desk.anew(config=made)
                assert list(found.settings.groups) == list(desk.anew(config=made).settings.groups)
    made.update({"dgummy": {"fallback": "local"}})
    assert desk.load(config=made) == desk.anew(config=made)
    assert desk.load(config=made).settings.fallback == "local"


def test_a_file_that_changes_while_it_is_read_is_not_remembered_as_it_was(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("old")
    remembering = Memo(desk.folder)

    def slow() -> str:
        read = file.read_text()
        file.write_text("new")
        return read

    assert remembering.get("x", slow, kind=str, files=[file], values=()) == "old"
    assert remembering.get("x", file.read_text, kind=str, files=[file], values=()) == "new"
    file.write_text("old")
    assert remembering.get("x", lambda: "made anew", kind=str, files=[file], values=()) == "made anew"


def test_other_code_remembers_nothing_of_ours(desk: Desk, reads: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    desk.load()
    monkeypatch.setattr(memo, "__version__", "0.0.0")
    desk.load()
    monkeypatch.setattr(memo, "MADE_BY", memo.MADE_BY[1:])
    desk.load()
    assert len(reads) == 3
    monkeypatch.setattr(memo, "MADE_BY", ("not-there.py",))  # as in a zip file
    assert desk.load() == desk.load()
    assert len(reads) == 5


def test_every_module_that_has_a_say_is_part_of_the_key() -> None:
    todo, seen = ["dgummy.layers", "dgummy.inventory"], set[str]()
    while todo:
        name = todo.pop()
        if name not in seen and name not in ("dgummy", "dgummy.memo"):
            seen.add(name)
            todo += [target for target, _ in floors.edges(floors.MODULES[name], floors.MODULES)]
    assert sorted(f"{name.removeprefix('dgummy.')}.py" for name in seen) == sorted(memo.MADE_BY)


# -- mistakes ---------------------------------------------------------------------------------------------------------

HOME = "(the home folder)"
MISTAKES: dict[str, tuple[bytes, dict[str, str]]] = {
    "in the file": (b"jobz: 1", {}),
    "no YAML": (b"{", {}),
    "not UTF-8": (b"group: caf\xe9\n", {}),
    "too large": (b"#" * 1_000_001, {}),
    "weights": (b"load_weights: {cpu: 0, memory: 0, load_average: 0}", {}),
    "in a variable": (GOOD.encode(), {"INVOKE_DGUMMY_JOBS": "x"}),
    "unknown variable": (GOOD.encode(), {"INVOKE_DGUMMY_JOBZ": "1"}),
    "no such file": (GOOD.encode(), {"DGUMMY_CONFIG": f"{HOME}/missing.yaml"}),
    "no such user": (GOOD.encode(), {"DGUMMY_CONFIG": "~nobody-of-that-name/x"}),
    "a folder": (GOOD.encode(), {"DGUMMY_CONFIG": HOME}),
}


@pytest.mark.parametrize(("content", "variables"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported_each_time_as_without_memory(
    content: bytes, variables: dict[str, str], desk: Desk
) -> None:
    good = desk.load()
    desk.file.write_bytes(content)
    environ = {name: value.replace(HOME, str(desk.home)) for name, value in variables.items()}
    with pytest.raises(ConfigError) as expected:
        desk.anew(environ)
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            desk.load(environ)
        assert (caught.value.message, caught.value.remedy) == (expected.value.message, expected.value.remedy)
    desk.file.write_text(GOOD)
    assert desk.load() == good


@pytest.mark.parametrize("value", ["x", "2026-01-01", "!!set {a}", "0x" + "f" * 60])
def test_a_mistake_in_the_project_is_reported_each_time(value: str, desk: Desk) -> None:
    desk.load(config=config("dgummy: {jobs: 1}", folder=desk.home))
    made = config(f"dgummy: {{jobs: {value}}}", folder=desk.home)
    with pytest.raises(ConfigError) as expected:
        desk.anew(config=made)
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            desk.load(config=made)
        assert caught.value.message == expected.value.message


# -- what is believed -------------------------------------------------------------------------------------------------


def test_only_we_can_read_what_is_kept(desk: Desk) -> None:
    old = os.umask(0)
    try:
        desk.load()
    finally:
        os.umask(old)
    assert desk.folder.stat().st_mode & 0o777 == 0o700
    assert desk.kept.stat().st_mode & 0o777 == 0o600


DAMAGE = {
    "empty": ": >$f",
    "cut short": "head -c -9 $f >x; cat x >$f",
    "noise": "head -c 5000 /dev/urandom >$f",
    "another shape": """sed -i 's/"jobs"/"jobz"/' $f""",
    "another type": """sed -i 's/"jobs":3/"jobs":"a"/' $f""",
    "far in the future": """sed -i 's/_at":"2/_at":"9/' $f""",
    "others may write": "chmod 666 $f",
    "a folder": "rm $f; mkdir $f",
    "a link": "mv $f x; ln -s $PWD/x $f",
    "a second name": "ln $f x",
    "a pipe": "rm $f; mkfifo $f",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_what_is_damaged_or_planted_is_not_believed(damage: str, desk: Desk, reads: list[int]) -> None:
    good = desk.load()
    desk.load()
    assert len(reads) == 1
    before = desk.kept.lstat()
    subprocess.run(["sh", "-ec", damage], cwd=desk.home, env={**os.environ, "f": str(desk.kept)}, check=True)
    assert desk.kept.lstat() != before
    assert desk.load() == good
    assert len(reads) == 2


@needs_root
@pytest.mark.parametrize("whose", ["the file", "the folder", "the home"])
def test_nothing_is_shared_with_another_user(whose: str, desk: Desk, reads: list[int]) -> None:
    if whose == "the home":  # as with sudo: they could never write to a folder of ours in it
        os.chown(desk.home, 65534, 65534)
        desk.load()
        assert not desk.folder.exists() and not desk.folder.parent.exists()
        return
    desk.load()
    os.chown(desk.kept if whose == "the file" else desk.folder, 65534, 65534)
    if whose == "the folder":
        desk.kept.unlink()
    for _ in range(2):
        assert desk.load() == desk.anew()
    assert desk.kept.exists() == (whose == "the file")
    # The file is replaced, for the folder is ours; in another's folder nothing is kept.
    assert len(reads) == (4 if whose == "the file" else 5)


def test_where_nothing_can_be_kept_all_goes_on(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.folder.parent.write_text("a file in the place of ~/.cache")
    assert desk.load() == desk.load() == desk.anew()
    desk.folder.parent.unlink()
    desk.folder.mkdir(parents=True)
    desk.folder.chmod(0o777)
    assert desk.load() == desk.load() == desk.anew()
    assert list(desk.folder.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_what_would_not_come_back_as_it_was_is_not_kept(desk: Desk) -> None:
    remembering = Memo(desk.folder)
    for value, kind in ((float("nan"), float), ("\udcff", str), ([1, (2,)], Any)):
        for _ in range(2):
            made = remembering.get("x", lambda value=value: value, kind=kind, files=(), values=0)  # type: ignore[misc]
            assert made is value


def test_the_folder() -> None:
    home = Path("/home/ana")
    assert memo.folder({}, home) == home / ".cache/distributed-gummy"
    assert memo.folder({"XDG_CACHE_HOME": "/x"}, home) == Path("/x/distributed-gummy")
    assert memo.folder({"XDG_CACHE_HOME": "x"}, home) == home / ".cache/distributed-gummy"


# -- fingerprints -----------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text("ab'\n 1,", max_size=3)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(values, values)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (repr(one) == repr(other))


@pytest.mark.parametrize("value", [object(), [{1: {2}}], [10**30], type("S", (str,), {})("x"), list(range(20_000))])
def test_what_is_not_plain_has_none(value: Any) -> None:
    assert fingerprint(value) is None


def test_what_holds_itself_or_unfolds_without_bound_has_none() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert fingerprint(endless) is None
    bomb: list[Any] = []
    for _ in range(60):
        bomb = [bomb, bomb]
    assert fingerprint(bomb) is None


# -- the groups of d --------------------------------------------------------------------------------------------------


def test_the_groups_of_d_are_remembered_and_their_changes_seen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.file.write_text("host_preferences: {database: [node-1]}")
    path = inventory.d_config_path(desk.home)
    path.parent.mkdir(parents=True)
    path.write_text("groups: {dev: [node-1], empty: []}")
    settings, remembering = desk.load().settings, Memo(desk.folder)
    fresh = inventory.build(settings, path)
    assert inventory.build(settings, path, remembering) == fresh
    with monkeypatch.context() as patched:
        patched.setattr(inventory, "d_groups", None)  # cannot be called
        assert inventory.build(settings, path, remembering) == fresh
    path.write_text("groups: {dev: [node-2]}")
    for _ in range(2):
        with pytest.raises(ConfigError, match="'node-1' is in no group"):
            inventory.build(settings, path, remembering)
    assert list(inventory.build(Settings(), path, remembering).hosts) == ["node-2"]
    path.unlink()
    assert inventory.build(Settings(), path, remembering).source == "none"
