"""The floors: who may import whom, what pure modules may not touch, and how large things may get.

Read from the source, by its syntax tree. A new module has no floor and fails until it is given one below.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import pytest

from dgummy import copies, harvest, moving, remote, runscript, watching

REPO = Path(__file__).parents[1]


class Floor(IntEnum):
    """From the ground up. A module may import those of its own floor and of the floors below."""

    VOCABULARY = 0
    DECISIONS = 1
    LOCAL_STATE = 2
    TRANSPORT = 3
    ENGINE = 4
    SCREEN = 5
    ADAPTERS = 6


FLOORS: Mapping[Floor, tuple[str, ...]] = {
    Floor.VOCABULARY: (
        "dgummy",
        "dgummy.errors",
        "dgummy.events",
        "dgummy.grouprecords",
        "dgummy.model",
        "dgummy.units",
        "dgummy.work",
        # A package without code, the records that a script's output is made of, and how foreign text becomes a line:
        # decisions read such records and such text.
        "dgummy.transport",
        "dgummy.transport.framing",
        "dgummy.transport.plaintext",
    ),
    Floor.DECISIONS: (
        "dgummy.agents",
        "dgummy.arguments",
        "dgummy.asking",
        "dgummy.asking.courtesies",
        "dgummy.asking.doubts",
        "dgummy.asking.harm",
        "dgummy.asking.intents",
        "dgummy.asking.losses",
        "dgummy.asking.orders",
        "dgummy.asking.phrasing",
        "dgummy.asking.places",
        "dgummy.asking.plainer",
        "dgummy.asking.questions",
        "dgummy.asking.readings",
        "dgummy.asking.sentence",
        "dgummy.asking.spelling",
        "dgummy.asking.staying",
        "dgummy.asking.syncing",
        "dgummy.asking.tasktext",
        "dgummy.asking.terms",
        "dgummy.asking.whichhost",
        "dgummy.asked",
        "dgummy.batch",
        "dgummy.budget",
        "dgummy.changes",
        "dgummy.cmdline",
        "dgummy.completing",
        "dgummy.copyrules",
        "dgummy.costs",
        "dgummy.cronenv",
        "dgummy.cronline",
        "dgummy.diagnosis",
        "dgummy.diagnosis_here",
        "dgummy.dhelp",
        "dgummy.dtext",
        "dgummy.explain",
        "dgummy.findings",
        "dgummy.forecast",
        "dgummy.gate",
        "dgummy.gather",
        "dgummy.homes",
        "dgummy.hostset",
        "dgummy.jobs",
        "dgummy.looking",
        "dgummy.moverules",
        "dgummy.outcomes",
        "dgummy.outlook",
        "dgummy.placement",
        "dgummy.probe",
        "dgummy.quickcheck",
        "dgummy.reconcile",
        "dgummy.requirement",
        "dgummy.routing",
        "dgummy.schedule",
        "dgummy.scoring",
        "dgummy.sharing",
        "dgummy.skillrules",
        "dgummy.specialists",
        "dgummy.standing",
        "dgummy.stoprules",
        "dgummy.summaries",
        "dgummy.syncplan",
        "dgummy.tails",
        "dgummy.timerunits",
        "dgummy.views",
        "dgummy.vitals",
        "dgummy.wording",
        "dgummy.testformats",
        "dgummy.testformats.go",
        "dgummy.testformats.javascript",
        "dgummy.testformats.junit",
        "dgummy.testformats.jvm",
        "dgummy.testformats.others",
        "dgummy.testformats.python",
        "dgummy.testformats.record",
        "dgummy.testformats.rust",
        "dgummy.testformats.tap",
    ),
    Floor.LOCAL_STATE: (
        "dgummy.cache",
        "dgummy.cronstore",
        "dgummy.discovery",
        "dgummy.fileset",
        "dgummy.gitblobs",
        "dgummy.gitbranch",
        "dgummy.gitcommand",
        "dgummy.homecoming",
        "dgummy.ignoring",
        "dgummy.inventory",
        "dgummy.jobrecord",
        "dgummy.layers",
        "dgummy.ledger",
        "dgummy.ledger_rows",
        "dgummy.ledger_schema",
        "dgummy.memo",
        "dgummy.owncaches",
        "dgummy.patchfile",
        "dgummy.liveness",
        "dgummy.locks",
        "dgummy.project",
        "dgummy.runfolder",
        "dgummy.recent",
        "dgummy.replay",
        "dgummy.repository",
        "dgummy.settings",
        "dgummy.settings_check",
        "dgummy.settings_reader",
        "dgummy.shells",
        "dgummy.skill",
        "dgummy.snapshot",
        "dgummy.textfiles",
        "dgummy.withheld",
        "dgummy.verdicts",
        "dgummy.workbench",
        "dgummy.worklist",
        "dgummy.yamltext",
    ),
    Floor.TRANSPORT: (
        "dgummy.remote",
        "dgummy.transport.alarms",
        "dgummy.transport.auth",
        "dgummy.transport.base",
        "dgummy.transport.dcall",
        "dgummy.transport.dcmd",
        "dgummy.transport.dfind",
        "dgummy.transport.dscript",
        "dgummy.transport.hostkeys",
        "dgummy.transport.keyfiles",
        "dgummy.transport.knownhosts",
        "dgummy.transport.local",
        "dgummy.transport.pool",
        "dgummy.transport.relay",
        "dgummy.transport.rsync",
        "dgummy.transport.rsync_text",
        "dgummy.transport.runner",
        "dgummy.transport.sockets",
        "dgummy.transport.ssh",
        "dgummy.transport.sshconfig",
        "dgummy.transport.sshconfig_files",
        "dgummy.transport.sshconnect",
        "dgummy.transport.sshscript",
        "dgummy.transport.sshgroup",
    ),
    Floor.ENGINE: (
        "dgummy.again",
        "dgummy.attempts",
        "dgummy.background",
        "dgummy.baseline",
        "dgummy.backends",
        "dgummy.cancelling",
        "dgummy.chooser",
        "dgummy.cluster",
        "dgummy.collecting",
        "dgummy.contents",
        "dgummy.copies",
        "dgummy.dispatch",
        "dgummy.doctor",
        "dgummy.dpush",
        "dgummy.everywhere",
        "dgummy.fanout",
        "dgummy.groupcases",
        "dgummy.groups",
        "dgummy.groupwork",
        "dgummy.harvest",
        "dgummy.intake",
        "dgummy.history",
        "dgummy.interrupt",
        "dgummy.jobcheck",
        "dgummy.jobrun",
        "dgummy.journal",
        "dgummy.leftbehind",
        "dgummy.lodging",
        "dgummy.luggage",
        "dgummy.moving",
        "dgummy.observe",
        "dgummy.observe_d",
        "dgummy.orders",
        "dgummy.proof",
        "dgummy.refusals",
        "dgummy.repairs",
        "dgummy.rejoin",
        "dgummy.runs",
        "dgummy.runscript",
        "dgummy.scheduling",
        "dgummy.selfcheck",
        "dgummy.spending",
        "dgummy.spread",
        "dgummy.stop",
        "dgummy.syncing",
        "dgummy.testreports",
        "dgummy.timeline",
        "dgummy.unpacking",
        "dgummy.upkeep",
        "dgummy.waiting",
        "dgummy.watching",
        "dgummy.wiring",
        "dgummy.workspaces",
    ),
    Floor.SCREEN: (
        "dgummy.render",
        "dgummy.render.cells",
        "dgummy.render.asking",
        "dgummy.render.collecting",
        "dgummy.render.console",
        "dgummy.render.copies",
        "dgummy.render.cron",
        "dgummy.render.dashboard",
        "dgummy.render.doctor",
        "dgummy.render.documents",
        "dgummy.render.fullscreen",
        "dgummy.render.gathered",
        "dgummy.render.gathering",
        "dgummy.render.groupscreen",
        "dgummy.render.grouptext",
        "dgummy.render.live",
        "dgummy.render.panels",
        "dgummy.render.screenkeys",
        "dgummy.render.signs",
        "dgummy.render.skill",
        "dgummy.render.stream",
        "dgummy.render.history",
        "dgummy.render.holding",
        "dgummy.render.lines",
        "dgummy.render.listeners",
        "dgummy.render.markup",
        "dgummy.render.page",
        "dgummy.render.pagehosts",
        "dgummy.render.pagestyle",
        "dgummy.render.pagetimeline",
        "dgummy.render.report",
        "dgummy.render.moving",
        "dgummy.render.tables",
        "dgummy.render.text",
        "dgummy.render.watchdocs",
        "dgummy.render.watchscreen",
    ),
    Floor.ADAPTERS: (
        "dgummy.answer",
        "dgummy.api",
        "dgummy.app",
        "dgummy.boundary",
        "dgummy.calling",
        "dgummy.candidates",
        "dgummy.cli",
        "dgummy.demonstration",
        "dgummy.doctoring",
        "dgummy.invokefiles",
        "dgummy.lab",
        "dgummy.lab.build",
        "dgummy.lab.figures",
        "dgummy.lab.machine",
        "dgummy.lab.nodes",
        "dgummy.lab.processes",
        "dgummy.lab.records",
        "dgummy.lab.sample",
        "dgummy.lab.texts",
        "dgummy.unattended",
        # What is installed as an agent skill: programs of their own, which use the API.
        "dgummy.skill.files",
        "dgummy.skill.files.scripts",
        "dgummy.skill.files.scripts.d_wrapper",
        "dgummy.skill.files.scripts.orchestrate_gummy",
        "dgummy.tasks",
        "dgummy.tasks._flags",
        "dgummy.tasks._jobs",
        "dgummy.tasks._program",
        "dgummy.tasks._shared",
        "dgummy.tasks.again",
        "dgummy.tasks.ask",
        "dgummy.tasks.collect",
        "dgummy.tasks.completion",
        "dgummy.tasks.config",
        "dgummy.tasks.cron",
        "dgummy.tasks.demo",
        "dgummy.tasks.doctor",
        "dgummy.tasks.groups",
        "dgummy.tasks.hosts",
        "dgummy.tasks.lab",
        "dgummy.tasks.runs",
        "dgummy.tasks.skill",
        "dgummy.tasks.watch",
        "dgummy.tasks.specialists",
        "dgummy.tasks.work",
        "dgummy.tasks.workspace",
    ),
}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}

# Imports that go up, each with its reason.
UPWARDS = {
    ("dgummy", "dgummy.api"): "PEP 562: the names of the Python API, imported when they are first used",
}

# Who may import what from outside. A package covers what is in it.
ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "fabric": ("dgummy.transport.sshconnect", "dgummy.transport.sshscript", "dgummy.transport.sshgroup"),
    "paramiko": (
        "dgummy.transport.ssh",
        "dgummy.transport.sshconnect",
        "dgummy.transport.sshscript",
        "dgummy.transport.auth",
    ),
    "cronsim": ("dgummy.schedule",),
    "crontab": ("dgummy.cronline",),
    "rich": ("dgummy.render",),
    "tabulate": ("dgummy.render",),
    "invoke": (
        "dgummy.tasks",
        "dgummy.boundary",
        "dgummy.calling",
        "dgummy.cli",
        "dgummy.api",
        "dgummy.app",
        "dgummy.invokefiles",
        "dgummy.transport.runner",
        "dgummy.transport.local",
        "dgummy.transport.dcmd",
        "dgummy.transport.dscript",
        "dgummy.transport.sshscript",
    ),
}
# These cost time, and whoever types `inv --list` must not pay for them.
NEVER_AT_ONCE_FROM_TASKS = (
    "fabric",
    "paramiko",
    "rich",
    "tabulate",
    "msgspec",
    "yaml",
    "sqlite3",
    "asyncio",
    "cronsim",
    "crontab",
)

THREADS_IN = {
    "dgummy.fanout": "the place for threads",
    "dgummy.transport.runner": "Invoke's runner reads stdout and stderr in threads of its own kind",
    "dgummy.transport.sockets": "getaddrinfo cannot be given a time limit; a ProxyCommand's stderr has to be read",
    "dgummy.transport.alarms": "paramiko has no time limits of its own: one thread for all of ours",
    "dgummy.transport.sshscript": "paramiko's close can block for ever on a host that is gone",
}

LONG_MODULES: dict[str, str] = {}
LONG_FUNCTIONS = {
    "dgummy.placement.choose": "a third is its signature; what it does is one straight line",
    "dgummy.transport.rsync.push": "a third is its signature; one rsync from start to outcome reads best in one place",
}
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40

PURE_FLOORS = (Floor.VOCABULARY, Floor.DECISIONS)
IMPURE_MODULES = {
    "asyncio", "concurrent", "ctypes", "fcntl", "getpass", "glob", "http", "io", "locale", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "platform", "pwd", "queue", "secrets", "select", "selectors", "shutil",
    "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
IMPURE_BUILTINS = {"open", "print", "input", "breakpoint", "exec", "eval", "__import__"}
CLOCKS = {"now", "today", "utcnow"}
SPEAKING_MODULES = {"http", "urllib", "socket", "socketserver", "ssl", "ftplib", "smtplib", "xmlrpc"}


# -- reading the source -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Import:
    """One import: what is imported, in which line, and whether only when a function runs."""

    target: str
    line: int
    late: bool


@dataclass(frozen=True)
class Module:
    """One module's name and syntax tree."""

    name: str
    tree: ast.Module
    lines: int
    is_package: bool = False

    def imports(self) -> list[Import]:
        """All that it imports when it runs. `from a import b` gives `a.b`: whether b is a module is seen later."""
        return list(_imports(self, self.tree, late=False))


def parse(name: str, text: str, *, is_package: bool = False) -> Module:
    return Module(name, ast.parse(text), len(text.splitlines()), is_package)


def read_package(root: Path) -> dict[str, Module]:
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        is_package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if is_package else parts)
        modules[name] = parse(name, path.read_text(encoding="utf-8"), is_package=is_package)
    return modules


def _imports(module: Module, node: ast.AST, *, late: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and _is_type_checking(node.test):
        for other in node.orelse:
            yield from _imports(module, other, late=late)
        return
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, late)
    elif isinstance(node, ast.ImportFrom):
        origin = _origin(module, node)
        for alias in node.names:
            yield Import(f"{origin}.{alias.name}", node.lineno, late)
    elif isinstance(node, ast.Call) and _dotted(node.func).rpartition(".")[2] == "import_module":
        yield from (Import(str(arg.value), node.lineno, late) for arg in node.args[:1] if isinstance(arg, ast.Constant))
    late = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for child in ast.iter_child_nodes(node):
        yield from _imports(module, child, late=late)


def _is_type_checking(test: ast.expr) -> bool:
    return _dotted(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    kept = parts[: len(parts) - node.level + (1 if module.is_package else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _dotted(node: ast.expr) -> str:
    """`a.b.c` as text; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call of something that has a plain name: `open`, `datetime.now`, `os.environ.get`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            yield _dotted(node.func), node


def attributes(module: Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute):
            yield _dotted(node), node.lineno


def ours(target: str, modules: Mapping[str, Module]) -> str | None:
    """The module of ours that an import means, if it is one."""
    if target in modules:
        return target
    origin = target.rpartition(".")[0]
    return origin if origin in modules else None


def edges(module: Module, modules: Mapping[str, Module], *, late: bool = True) -> Iterator[tuple[str, int]]:
    """The modules of ours that it imports."""
    for found in module.imports():
        target = ours(found.target, modules)
        if target is not None and target != module.name and (late or not found.late):
            yield target, found.line


# -- the rules. Each gives sentences of what is wrong -----------------------------------------------------------------


def wrong_directions(modules: Mapping[str, Module], floor_of: Mapping[str, Floor]) -> Iterator[str]:
    """Imports go down, and so do those of the packages around what is imported."""
    for module in modules.values():
        for target, line in edges(module, modules):
            if (module.name, target) in UPWARDS:
                continue
            for loaded in _with_packages(target):
                if loaded == module.name or module.name.startswith(f"{loaded}."):
                    continue  # the packages that we are in
                if floor_of.get(loaded, Floor.VOCABULARY) > floor_of.get(module.name, Floor.ADAPTERS):
                    yield (
                        f"{module.name}:{line} ({floor_of[module.name].name}) imports {target}, "
                        f"which is above it ({floor_of[loaded].name})"
                    )
                    break


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def cycles(modules: Mapping[str, Module]) -> Iterator[str]:
    """Groups of modules that import each other, also late (Tarjan's strongly connected components)."""
    graph = {
        name: {target for target, _ in edges(module, modules) if (name, target) not in UPWARDS}
        for name, module in modules.items()
    }
    for group in _components(graph):
        if len(group) > 1:
            yield " → ".join(sorted(group))


def _components(graph: Mapping[str, set[str]]) -> Iterator[list[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                yield from visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            at = stack.index(node)
            yield stack[at:]
            del stack[at:]

    for node in sorted(graph):
        if node not in index:
            yield from visit(node)


def impurities(module: Module) -> Iterator[str]:
    """What reads or changes the world: files, clock, environment, random source, processes, network."""
    for found in module.imports():
        if found.target.split(".")[0] in IMPURE_MODULES and not found.target.startswith("pathlib.PurePosixPath"):
            yield f"{module.name}:{found.line} imports {found.target}"
        if found.target.startswith("random.") and found.target != "random.Random":
            yield f"{module.name}:{found.line} imports {found.target}"
    for name, call in calls(module):
        if name in IMPURE_BUILTINS or name.rpartition(".")[2] in CLOCKS:
            yield f"{module.name}:{call.lineno} calls {name}()"
        if name in ("random.Random", "Random") and not call.args:
            yield f"{module.name}:{call.lineno} makes a random source of its own"
    for name, line in attributes(module):
        if name.startswith("random.") and not name.startswith("random.Random"):
            yield f"{module.name}:{line} uses {name}"


def outsiders(module: Module) -> Iterator[str]:
    """Imports of what only some modules may import."""
    for found in module.imports():
        allowed = ONLY_IN.get(found.target.split(".")[0])
        if allowed is not None and not _covered(module.name, allowed):
            yield f"{module.name}:{found.line} imports {found.target}; that is for {', '.join(allowed)}"


def _covered(name: str, allowed: Iterable[str]) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in allowed)


def threads(module: Module) -> Iterator[str]:
    """What makes a thread."""
    for name, call in calls(module):
        if name.rpartition(".")[2] in ("Thread", "Timer", "ThreadPoolExecutor", "ExceptionHandlingThread"):
            yield f"{module.name}:{call.lineno} makes a thread"
    for found in module.imports():
        if found.target.startswith(("concurrent.futures", "multiprocessing")):
            yield f"{module.name}:{found.line} imports {found.target}"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and any(_dotted(base).endswith("Thread") for base in node.bases):
            yield f"{module.name}:{node.lineno} is a kind of thread"


def talk(module: Module) -> Iterator[str]:
    """What prints or prompts."""
    for name, call in calls(module):
        if name in ("print", "input", "getpass.getpass", "getpass"):
            yield f"{module.name}:{call.lineno} calls {name}()"
    for name, line in attributes(module):
        if name in ("sys.stdout", "sys.stderr", "sys.stdin", "sys.__stdout__", "sys.__stderr__"):
            yield f"{module.name}:{line} uses {name}"


def network(module: Module) -> Iterator[str]:
    for found in module.imports():
        if found.target.split(".")[0] in SPEAKING_MODULES and not found.target.startswith("urllib.parse"):
            yield f"{module.name}:{found.line} imports {found.target}"


def long_functions(module: Module) -> Iterator[tuple[str, int]]:
    """Name and length of every function that is too long; its decorators and its docstring do not count."""

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}.{child.name}"
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = _extent(child) - (_extent(child.body[0]) if ast.get_docstring(child) is not None else 0)
                if lines > MAX_FUNCTION_LINES:
                    yield name, lines
            yield from visit(child, name)

    return visit(module.tree, module.name)


def _extent(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


# -- the package, held to them ----------------------------------------------------------------------------------------

MODULES = read_package(REPO / "dgummy")


def on(*floors: Floor) -> list[Module]:
    return [module for name, module in MODULES.items() if FLOOR_OF.get(name) in floors]


def every(rule: Callable[[Module], Iterator[str]], modules: Iterable[Module]) -> list[str]:
    return [wrong for module in modules for wrong in rule(module)]


def test_every_module_has_one_floor() -> None:
    named = [name for names in FLOORS.values() for name in names]
    assert len(named) == len(set(named)), "a module stands on two floors"
    assert sorted(MODULES.keys() - FLOOR_OF.keys()) == [], "give these a floor"
    assert sorted(FLOOR_OF.keys() - MODULES.keys()) == [], "these are gone: take them out"


def test_imports_go_down() -> None:
    assert list(wrong_directions(MODULES, FLOOR_OF)) == []


def test_no_module_imports_itself_through_others() -> None:
    assert list(cycles(MODULES)) == []


def test_pure_floors_are_pure() -> None:
    assert every(impurities, on(*PURE_FLOORS)) == []


def test_libraries_stay_where_they_belong() -> None:
    assert every(outsiders, MODULES.values()) == []


def test_threads_are_made_in_few_places() -> None:
    assert every(threads, (module for name, module in MODULES.items() if name not in THREADS_IN)) == []
    idle = [name for name in THREADS_IN if not list(threads(MODULES[name]))]
    assert idle == [], "no threads there any more: take them out"


def test_nothing_below_the_screen_prints_or_prompts() -> None:
    floors = [floor for floor in Floor if floor < Floor.SCREEN]
    assert every(talk, on(*floors)) == []


def test_local_state_speaks_to_nobody() -> None:
    assert every(network, on(Floor.VOCABULARY, Floor.DECISIONS, Floor.LOCAL_STATE)) == []


def test_listing_the_tasks_loads_nothing_heavy() -> None:
    """What `import dgummy.tasks` loads at once, followed through our own modules."""
    todo, seen = ["dgummy.tasks"], set()
    heavy = []
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        todo += _with_packages(name)
        todo += [target for target, _ in edges(MODULES[name], MODULES, late=False)]
        heavy += [
            f"{name}:{found.line} imports {found.target} at once"
            for found in MODULES[name].imports()
            if not found.late and found.target.split(".")[0] in NEVER_AT_ONCE_FROM_TASKS
        ]
    assert {"dgummy.boundary", "dgummy.tasks.work"} <= seen
    assert heavy == []


def test_modules_and_functions_are_short() -> None:
    modules = {name: module.lines for name, module in MODULES.items() if module.lines > MAX_MODULE_LINES}
    functions = {name: lines for module in MODULES.values() for name, lines in long_functions(module)}
    unexplained = {
        name: lines for name, lines in {**modules, **functions}.items() if name not in (LONG_MODULES | LONG_FUNCTIONS)
    }
    assert unexplained == {}, "split these, or give a reason"
    assert LONG_MODULES.keys() <= modules.keys(), "short enough now: take it out"
    assert LONG_FUNCTIONS.keys() <= functions.keys(), "short enough now: take it out"


# What goes to a host together; each has lib.sh besides.
COMPOSED = (
    *(module._FILES for module in (copies, harvest, moving)),
    watching._LOOK_FILES,
    (*runscript._HISTORY_FILES, "workspace"),
    (*runscript._SUPERVISOR_FILES, *runscript._WORKSPACE_FILES),
)


@pytest.mark.parametrize("names", COMPOSED, ids="+".join)
def test_scripts_that_go_together_share_no_functions_name(names: tuple[str, ...]) -> None:
    """The later one would be called for both."""
    defined = [
        found for name in {"lib", *names} for found in re.findall(r"^(\w+)\(\)", remote.source(name), re.MULTILINE)
    ]
    assert [name for name, count in Counter(defined).items() if count > 1] == []


# -- the rules, held to what they are for -----------------------------------------------------------------------------


def small_package(**texts: str) -> dict[str, Module]:
    """A package from `name="source"`; "p" is its __init__."""
    return {
        name.replace("__", "."): parse(name.replace("__", "."), text, is_package=name == "p")
        for name, text in texts.items()
    }


@pytest.mark.parametrize(
    "text",
    [
        "import p.high",
        "from p import high",
        "from p.high import thing",
        "from . import high",
        "from .high import thing",
        "def f():\n    from p.high import thing",
        "class C:\n    def f(self):\n        import p.high as h",
        "import importlib\ndef f():\n    importlib.import_module('p.high')",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import p.high",
        "try:\n    import p.high\nexcept ImportError:\n    pass",
    ],
)
def test_an_import_that_goes_up_is_seen(text: str) -> None:
    modules = small_package(p="", p__low=text, p__high="")
    floors = {"p": Floor.VOCABULARY, "p.low": Floor.DECISIONS, "p.high": Floor.SCREEN}
    (wrong,) = wrong_directions(modules, floors)
    assert "p.low" in wrong
    assert "p.high" in wrong


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.high import thing",
        "import typing\nif typing.TYPE_CHECKING:\n    import p.high",
        "import p.even_lower",
        "from p import VERSION",
        "import os",
    ],
)
def test_an_import_that_may_be_is_left_alone(text: str) -> None:
    modules = small_package(p="VERSION = 1", p__low=text, p__high="", p__even_lower="")
    floors = {
        "p": Floor.VOCABULARY,
        "p.low": Floor.DECISIONS,
        "p.even_lower": Floor.VOCABULARY,
        "p.high": Floor.SCREEN,
    }
    assert list(wrong_directions(modules, floors)) == []


def test_the_package_around_what_is_imported_counts_too() -> None:
    modules = {
        "p": parse("p", "", is_package=True),
        "p.low": parse("p.low", "from p.heavy.part import thing"),
        "p.heavy": parse("p.heavy", "import os", is_package=True),
        "p.heavy.part": parse("p.heavy.part", ""),
    }
    floors = {
        "p": Floor.VOCABULARY,
        "p.low": Floor.DECISIONS,
        "p.heavy": Floor.ADAPTERS,
        "p.heavy.part": Floor.VOCABULARY,
    }
    assert len(list(wrong_directions(modules, floors))) == 1


def test_a_cycle_is_seen_also_through_a_function() -> None:
    modules = small_package(
        p="", p__a="import p.b", p__b="from p import c", p__c="def f():\n    import p.a", p__d="import p.a"
    )
    assert list(cycles(modules)) == ["p.a → p.b → p.c"]
    modules["p.c"] = parse("p.c", "")
    assert list(cycles(modules)) == []


@pytest.mark.parametrize(
    "text",
    [
        "import os",
        "import os.path",
        "from os import environ",
        "def f():\n    import subprocess",
        "from time import time",
        "from pathlib import Path",
        "x = open('f')",
        "from datetime import datetime\nx = datetime.now()",
        "import datetime\nx = datetime.datetime.now(datetime.timezone.utc)",
        "from datetime import date\nx = date.today()",
        "import random\nx = random.random()",
        "import random\nx = random.Random()",
        "import random\nf(random.choice)",
        "from random import choice",
        "import secrets",
        "print('x')",
    ],
)
def test_an_impurity_is_seen(text: str) -> None:
    assert list(impurities(parse("m", text)))


@pytest.mark.parametrize(
    "text",
    [
        "import random\ndef f(rng: random.Random) -> float:\n    return rng.random()",
        "from datetime import datetime\ndef f(now: datetime) -> str:\n    return now.isoformat()",
        "import math, re, json, hashlib",
        "from pathlib import PurePosixPath",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pathlib import Path",
        "import random\ndef f(seed: int) -> random.Random:\n    return random.Random(seed)",
    ],
)
def test_what_is_pure_is_left_alone(text: str) -> None:
    assert list(impurities(parse("m", text))) == []


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (outsiders, "dgummy.runs", "import fabric"),
        (outsiders, "dgummy.transport.sshconfig", "def f():\n    import paramiko"),
        (outsiders, "dgummy.transport.sshconnection", "import fabric"),
        (outsiders, "dgummy.tables", "from tabulate import tabulate"),
        (outsiders, "dgummy.cluster", "from invoke.context import Context"),
        (threads, "m", "import threading\nthreading.Thread(target=f).start()"),
        (threads, "m", "from threading import Timer\nTimer(1, f).start()"),
        (threads, "m", "from concurrent.futures import ThreadPoolExecutor"),
        (threads, "m", "import threading\nclass T(threading.Thread): ..."),
        (talk, "m", "print('x')"),
        (talk, "m", "import sys\nsys.stderr.write('x')"),
        (network, "m", "import socket"),
        (network, "m", "from urllib.request import urlopen"),
    ],
)
def test_each_rule_sees_what_it_is_for(rule: Callable[[Module], Iterator[str]], name: str, text: str) -> None:
    assert len(list(rule(parse(name, text)))) == 1


@pytest.mark.parametrize(
    ("rule", "name", "text"),
    [
        (outsiders, "dgummy.render.live", "from rich.live import Live"),
        (outsiders, "dgummy.tasks.work", "from invoke.context import Context"),
        (threads, "m", "import threading\nlock = threading.Lock()"),
        (network, "m", "from urllib.parse import quote"),
    ],
)
def test_each_rule_leaves_alone_what_may_be(rule: Callable[[Module], Iterator[str]], name: str, text: str) -> None:
    assert list(rule(parse(name, text))) == []


def test_a_long_function_is_seen_wherever_it_is() -> None:
    body = "\n".join(["        pass"] * MAX_FUNCTION_LINES)
    module = parse(
        "m",
        f'class C:\n    def f(self):\n        """Not\n        counted."""\n{body}\n    def g(self):\n        pass\n',
    )
    assert list(long_functions(module)) == [("m.C.f", MAX_FUNCTION_LINES + 1)]
