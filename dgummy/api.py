"""The functions of the design document, for Python: choose a host, sync, run, look.

They read the same settings as `inv` does: the user's file, the project's invoke.yaml, the environment. Every call looks
anew (load and status come from the caches of 30 and 60 seconds). A host that cannot be reached raises
`SSHConnectionError`, an argument of the wrong kind `ArgumentError` (a ValueError too); wrong settings and other
refusals raise a `dgummy.errors.DgummyError`. All of these carry `message`, `remedy` and `code`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dgummy import fanout, intake, layers
from dgummy.app import App, current_folder, invoke_config
from dgummy.arguments import check
from dgummy.chooser import Wish
from dgummy.errors import ArgumentError, DgummyError, NoHostError, SSHConnectionError, UsageError
from dgummy.events import Event
from dgummy.groupwork import GroupOptions
from dgummy.history import Query
from dgummy.intake import RunOptions
from dgummy.model import Failure, RunResult, RunState
from dgummy.orders import Order
from dgummy.render import documents, watchdocs
from dgummy.tails import Tails
from dgummy.worklist import Item, labelled

if TYPE_CHECKING:
    from dgummy.transport.sshgroup import BoundedGroup

__all__ = [
    "ArgumentError",
    "SSHConnectionError",
    "comprehensive_distributed_report",
    "fabric_group",
    "get_host_status",
    "get_load_metrics",
    "monitor_all_specialists",
    "parallel_gummy_tasks",
    "run_remote_command",
    "select_optimal_host",
    "sync_and_execute_gummy",
    "sync_directory",
]


def select_optimal_host(
    task_type: str | None = None,
    exclude: Sequence[str] | None = None,
    *,
    group: str | None = None,
    require: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Choose the host with the most room for a kind of work.

    Returns `{'host', 'score', 'cpu', 'mem', 'load', 'io', 'type', 'why', 'candidates', …}`: score 0..1, lower is
    better; cpu, mem and io in per cent, load the one-minute load average, each None if it is not known. None if no host
    can take it.
    """
    check(task_type=task_type, exclude=exclude, group=group, require=require)
    with _app() as app:
        wish = Wish(group=group, exclude=tuple(exclude or ()), task_type=task_type, requires=tuple(require))
        picked = app.cluster.pick(wish)
        return documents.pick(picked) if picked.choice.host else None


def sync_and_execute_gummy(
    host: str, task: str, project_dir: str | Path | None = None, *, timeout_s: float | None = None
) -> dict[str, Any]:
    """Bring a project to `host` and give its agent a task there; returns when the task is over.

    Returns what `inv task --json` prints: `{'run_id', 'host', 'state', 'exit_code', 'attempts', 'sync', …}`, with
    `stdout_tail` and `stderr_tail` (at most 64 KiB each). `state` is "ok" only for a proven success. Raises
    SSHConnectionError if the host cannot be reached. `project_dir` defaults to the current folder.
    """
    check(host=host, task=task, project_dir=project_dir, timeout_s=timeout_s)
    tails = Tails()
    with _app(project_dir, tails) as app:
        result = app.cluster.task(task, "task", Wish(hosts=(host,)), RunOptions(timeout_s=timeout_s))
        return _document(result, host, tails)


def parallel_gummy_tasks(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Give agents several tasks, all at once. Each is `{'task': text}` and may have `host`, `task_type`, `project_dir`.

    Each goes to the host that suits it best, or to `host`; of the tasks of one project a host takes one at a time.
    Returns one document per task, in order, as `sync_and_execute_gummy` does, with `label` and `summary`; one that
    could not be run has `{'state', 'reason', 'remedy', 'exit_code'}` instead of raising.
    """
    check(tasks=tasks)
    by_project: dict[str | None, list[int]] = {}
    for number, task in enumerate(tasks):
        folder = task.get("project_dir")
        by_project.setdefault(None if folder is None else str(folder), []).append(number)
    projects = list(by_project.items())

    def run(project: tuple[str | None, list[int]]) -> list[dict[str, Any]]:
        folder, numbers = project
        return _tasks_of(folder, [tasks[number] for number in numbers])

    # One project's tasks are run from this thread, so that Ctrl-C ends them.
    done = [run(projects[0])] if len(projects) == 1 else fanout.in_order(projects, run, jobs=max(1, len(projects)))
    found: dict[int, dict[str, Any]] = {}
    for (_, numbers), results in zip(projects, done, strict=True):
        found |= dict(zip(numbers, results, strict=True))
    return [found[number] for number in range(len(tasks))]


@contextmanager
def fabric_group(
    hosts: Sequence[str] = (),
    *,
    group: str | None = None,
    exclude: Sequence[str] = (),
    jobs: int | None = None,
    timeout_s: float | None = None,
) -> Iterator[BoundedGroup]:
    """Open a Fabric group (`run`, `sudo`, `put`, `get`) over hosts: those named, or those of a group.

    At most `jobs` (the setting, 16) at once, each within `timeout_s`; connections are made and keys checked as ssh
    would. What is run so is supervised by nobody: it has no run id, and ends with its connection. Methods give a
    `fabric.GroupResult` (member → result), or raise `GroupException` with one in `result`.
    """
    from dgummy.transport.sshgroup import BoundedGroup, Member

    wish = Wish(tuple(hosts), group, tuple(exclude))
    with _app() as app:
        cluster, transport = app.cluster, app.ssh_transport()
        if cluster.is_here(wish):
            raise NoHostError("there is no host to connect to", cluster.here or "name some hosts")
        at_once = jobs or app.settings.jobs
        members = [Member(host, transport.connection) for host in cluster.hosts_for(wish)]
        try:
            yield BoundedGroup(
                members,
                lambda items, work, patience_s: fanout.each(items, work, jobs=at_once, patience_s=patience_s),
                connect_s=app.settings.timeouts.connect_s,
                timeout_s=timeout_s,
            )
        finally:
            transport.close()


def comprehensive_distributed_report() -> dict[str, Any]:
    """Tell everything about the hosts at once.

    Returns `{'hosts', 'load', 'specialists', 'runs', 'summary'}`: the first three as `get_host_status`,
    `get_load_metrics` and `monitor_all_specialists` give them; `runs` the last 100, as `inv runs --json` lists them;
    `summary` counts `{'hosts', 'online', 'best', 'specialists', 'active_runs', 'runs'}`.
    """
    with _app() as app:
        cluster = app.cluster
        status = documents.status(cluster.status(Wish()), cluster.backend.name)["hosts"]
        observation, choice = cluster.load(Wish())
        load = documents.load(observation, choice)
        seen = cluster.specialists(Wish())
        specialists = {host: watchdocs.specialists(one) for host, one in seen.items() if not isinstance(one, Failure)}
        runs = documents.runs(cluster.history.select(Query(limit=100)))["runs"]
    return {
        "hosts": {entry["host"]: entry for entry in status},
        "load": {entry["host"]: entry for entry in load["hosts"]},
        "specialists": specialists,
        "runs": runs,
        "summary": {
            "hosts": len(status),
            "online": sum(entry["online"] for entry in status),
            "best": load["best"],
            "specialists": sum(map(len, specialists.values())),
            "active_runs": sum(entry["active_runs"] or 0 for entry in load["hosts"]),
            "runs": len(runs),
        },
    }


def monitor_all_specialists() -> dict[str, list[dict[str, Any]]]:
    """List the specialists on every host that answers: host → list of `{name, status, sessions, …}`.

    `scope` is "global" for those in `~/.gummy`, "project" for those of a project there; `sessions` counts turns,
    `session_id`, `last_active` and `cost_usd` (today, US dollars) may be None. `status` is active, dormant, new,
    stopped, failed or unreadable.
    """
    with _app() as app:
        found = app.cluster.specialists(Wish())
        return {host: watchdocs.specialists(seen) for host, seen in found.items() if not isinstance(seen, Failure)}


def get_load_metrics(*, refresh: bool = False) -> dict[str, dict[str, Any]]:
    """Measure the load of every host.

    Returns host → `{'reachable', 'reason', 'cpu_pct', 'mem_pct', 'io_pct', 'load1', 'cores', 'score', …}`. Figures that
    are not known are None; `score` is 0..1, lower is better.
    """
    check(refresh=refresh)
    with _app() as app:
        observation, choice = app.cluster.load(Wish(), refresh=refresh)
        return {entry["host"]: entry for entry in documents.load(observation, choice)["hosts"]}


def get_host_status(*, refresh: bool = False) -> dict[str, dict[str, Any]]:
    """Find out which hosts answer: host → `{'online', 'address', 'reason', 'remedy', 'latency_ms'}`."""
    check(refresh=refresh)
    with _app() as app:
        found = app.cluster.status(Wish(), refresh=refresh)
        return {entry["host"]: entry for entry in documents.status(found, app.cluster.backend.name)["hosts"]}


def sync_directory(host: str, path: str | Path | None = None) -> dict[str, Any]:
    """Bring a project (default: the current folder's) to `host`.

    Returns `{'host', 'ok', 'reason', 'remote_dir', 'files', 'bytes', 'deleted', 'duration_s', …}`; a failed sync is a
    value with `ok` False. Raises SSHConnectionError if the host cannot be reached.
    """
    check(host=host, path=path)
    with _app(path) as app:
        wish = Wish(hosts=(host,))
        if len(app.cluster.hosts_for(wish)) > 1:
            raise ArgumentError("host", f"host: {host} is several hosts", "call it for each of them")
        (result,) = app.cluster.sync(wish)
        entry: dict[str, Any] = documents.sync([result], dry=False)["results"][0]
        if result.failure is not None and not result.failure.kind.is_about_sync:
            raise SSHConnectionError(
                host, f"{host}: {result.failure}", result.failure.remedy, code=result.failure.kind.exit_code
            )
        return entry


def run_remote_command(
    host: str, command: str, *, timeout_s: float | None = None, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a shell command on `host`, in the project's folder there if it was synced, else in the home folder.

    Nothing is synced. Returns what `inv run --json` prints, with `stdout_tail` and `stderr_tail`. Raises
    SSHConnectionError if the host cannot be reached; a command that fails is a value.
    """
    check(host=host, command=command, timeout_s=timeout_s, env=env)
    tails = Tails()
    with _app(None, tails) as app:
        options = RunOptions(sync=False, timeout_s=timeout_s, env=dict(env or {}))
        result = app.cluster.run(command, Wish(hosts=(host,)), options)
        return _document(result, host, tails)


def _tasks_of(project_dir: str | None, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run the tasks of one project. What is wrong with one of them keeps the others from nothing."""
    tails = Tails()
    try:
        with _app(project_dir, tails) as app:
            asked = [_order(app, item) for item in labelled(map(_item, tasks))]
            orders = [one for one in asked if isinstance(one, Order)]
            members = app.cluster.groups.spread(orders, GroupOptions()).members if orders else ()
            done = iter(documents.member(one, tails.text(one.result.run_id)) for one in members)
            return [next(done) if isinstance(one, Order) else one for one in asked]
    except DgummyError as error:
        return [_refused(error) for _ in tasks]


def _order(app: App, item: Item) -> Order | dict[str, Any]:
    """A task as an order, or why it is none."""
    try:
        (order,) = intake.item_orders([item], Wish(), RunOptions(), app.settings, commands=False)
        app.cluster.check(order.wish)
    except DgummyError as error:
        return _refused(error)
    return order


def _item(task: Mapping[str, Any]) -> Item:
    return Item(task["task"], task.get("task_type") or "", task.get("host") or "")


def _refused(error: DgummyError) -> dict[str, Any]:
    return {"state": RunState.SKIPPED.value, "reason": error.message, "remedy": error.remedy, "exit_code": None}


def _document(result: RunResult, host: str, tails: Tails) -> dict[str, Any]:
    if result.state in (RunState.UNREACHABLE, RunState.REFUSED):
        raise SSHConnectionError(host, f"{host}: {result.reason}", result.remedy)
    return documents.run(result, tails.text(result.run_id))


@contextmanager
def _app(project_dir: str | Path | None = None, listener: Callable[[Event], None] | None = None) -> Iterator[App]:
    cwd = current_folder() if project_dir is None else layers.expand_path(str(project_dir), Path.home())
    cwd = Path(os.path.realpath(cwd))  # unlike resolve(), no error for links in a circle
    if not os.path.isdir(cwd):  # noqa: PTH112 - nor for a name that is too long
        raise UsageError(f"there is no folder {cwd}", "name a project's folder")
    with App(invoke_config(cwd), listener=listener, cwd=cwd) as app:
        yield app
