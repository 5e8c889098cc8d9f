"""What is built and installed: the sdist is whole, the wheel holds all that is needed, and both work by themselves."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
_UNREACHABLE = ("NewConnectionError", "NameResolutionError", "Temporary failure in name resolution", "ProxyError")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Built:
    """What a release consists of, and the copy of the tree that it was made from."""

    tree: Path
    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, made from a copy of this tree, and the wheel, made from that sdist as pip makes it for a user."""
    source, out = tmp_path_factory.mktemp("source") / "tree", tmp_path_factory.mktemp("dist")
    _copy_tree(source)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(out)], cwd=source, check=True)
    (sdist,) = out.glob("*.tar.gz")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(out), str(sdist))
    (wheel,) = out.glob("*.whl")
    return Built(source, sdist, wheel)


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with nothing in it but the wheel and what it says that it needs."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=True)
    pip(str(folder / "bin" / "python"), "install", str(built.wheel))
    return folder / "bin"


def pip(python: str, *words: str) -> None:
    """Run pip as it is configured on this machine; skips where no package index can be reached."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "--no-input", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    if done.returncode and not os.environ.get("CI") and any(sign in done.stderr for sign in _UNREACHABLE):
        pytest.skip("pip can reach no package index")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def _copy_tree(to: Path) -> None:
    """Copy what a checkout holds: others may read and write the tree itself while this builds."""
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.pyc", "build", "dist", "*.egg-info"
    )
    shutil.copytree(REPO, to, ignore=ignored, symlinks=True)


def _tracked() -> set[str]:
    """What git knows of this tree; nothing where it is not a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, capture_output=True, text=True)
    return set(listed.stdout.split("\0")) if listed.returncode == 0 else set()


def _files(below: Path) -> set[str]:
    return {str(path.relative_to(below)) for path in below.rglob("*") if path.is_file()}


def run(*words: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run something with an environment of its own; nothing of this repo is in reach."""
    (cwd / "home").mkdir(exist_ok=True)
    environ = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(cwd / "home"), "LANG": "C.UTF-8", **env}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def good(*words: str | Path, cwd: Path, **env: str) -> str:
    """Run it; its output if all went well, with nothing said on stderr that looks like a complaint."""
    done = run(*words, cwd=cwd, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_the_sdist_is_whole(built: Built) -> None:
    """Everything that a checkout holds, so that whoever has it can build, test and see the demonstration."""
    with tarfile.open(built.sdist) as archive:
        names = {member.name.partition("/")[2]: member.mode for member in archive.getmembers() if member.isfile()}
    there = _files(built.tree)
    expected = there & _tracked() or there
    assert {"Makefile", "scripts/setup.sh", "tests/test_packaging.py"} <= there
    assert expected - names.keys() == set()
    for name in (".ci/run", "dgummy/lab/assets/gummy"):
        assert names[name] & stat.S_IXUSR, f"{name} is not executable any more"


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        names = {info.filename: info.external_attr >> 16 for info in archive.infolist() if not info.is_dir()}
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    package = {f"dgummy/{name}" for name in _files(built.tree / "dgummy")}
    assert {name for name in names if ".dist-info/" not in name} == package
    assert {"dgummy/py.typed", "dgummy/remote/lib.sh", "dgummy/lab/assets/gummy"} <= package
    assert {"dgummy/skill/files/SKILL.md", "dgummy/shells/completion.zsh"} <= package
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    for name in package:
        expected = bool((built.tree / name).stat().st_mode & stat.S_IXUSR)
        assert bool(names[name] & stat.S_IXUSR) is expected, f"{name}: the executable bit is another"
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.10\n" in metadata


def test_the_program_lists_its_tasks(installed: Path, tmp_path: Path) -> None:
    listed = good(installed / "dgummy", "--list", cwd=tmp_path)
    for name in ("status", "run", "task", "config.init", "lab.up", "demo"):
        assert f" {name} " in listed


def test_every_module_can_be_imported(built: Built, installed: Path, tmp_path: Path) -> None:
    """From the wheel alone, with warnings as errors."""
    sources = [Path(name) for name in _files(built.tree / "dgummy") if name.endswith(".py")]
    modules = sorted(".".join(("dgummy", *path.with_suffix("").parts)).removesuffix(".__init__") for path in sources)
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "print(sys.modules['dgummy.transport.ssh'].__file__)"
    )
    where = good(installed / "python", "-W", "error", "-c", script, *modules, cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_python_api_is_there(installed: Path, tmp_path: Path) -> None:
    script = "import dgummy; print([getattr(dgummy, name) for name in dgummy.__all__] and dgummy.__version__)"
    version = good(installed / "python", "-c", script, cwd=tmp_path)
    assert good(installed / "dgummy", "--version", cwd=tmp_path).lower() == f"dgummy {version}"


def test_one_line_makes_a_tasks_file(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from dgummy.tasks import ns\n", encoding="utf-8")
    assert " run " in good(installed / "inv", "--list", cwd=tmp_path)
    assert good(installed / "inv", "run", "echo from $((40 + 2))", cwd=tmp_path).strip() == "from 42"


def test_it_stands_beside_tasks_of_ones_own(installed: Path, tmp_path: Path) -> None:
    """As the README shows it."""
    (tmp_path / "tasks.py").write_text(
        "from invoke import Collection, task\nfrom dgummy.tasks import ns as dgummy_ns\n"
        "@task\ndef hello(c):\n    print('hello')\n"
        "ns = Collection(hello)\nns.add_collection(dgummy_ns, 'dg')\n",
        encoding="utf-8",
    )
    assert good(installed / "inv", "hello", cwd=tmp_path).strip() == "hello"
    assert good(installed / "inv", "dg.run", "echo there", cwd=tmp_path).strip() == "there"


@pytest.mark.lab
@pytest.mark.skipif(SSHD is None, reason="there is no sshd on this machine")
def test_the_lab_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Scripts for hosts, the lab's programs and the sample all come out of the package."""
    place = tmp_path / "lab"
    try:
        up = good(installed / "dgummy", "lab.up", "--dir", place, "--nodes", "1", "--down", "0", "--json", cwd=tmp_path)
        assert json.loads(up)["schema_version"] == 1
        config = str(next(place.glob("*.yaml")))
        picked = json.loads(good(installed / "dgummy", "pick", "--json", cwd=tmp_path, DGUMMY_CONFIG=config))
        assert picked["host"] == "node-1"
        told = good(installed / "dgummy", "task", "--no-sync", "tune the queries", cwd=tmp_path, DGUMMY_CONFIG=config)
        assert "COMPLETED" in told
    finally:
        run(installed / "dgummy", "lab.down", "--dir", place, cwd=tmp_path)
    assert not place.exists()
