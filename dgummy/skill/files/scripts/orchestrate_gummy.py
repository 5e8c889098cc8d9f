"""Choose a host, give gummy agents tasks there, see which specialists there are. Thin over the package dgummy.

From the skill's folder: `from scripts.orchestrate_gummy import select_optimal_host, sync_and_execute_gummy`. Name the
project (`project_dir`): the current folder is the skill's. Errors: see `d_wrapper`.

As a program: python3 scripts/orchestrate_gummy.py select_optimal_host '{"task_type": "database"}' prints JSON.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if __package__:
    from .d_wrapper import ArgumentError, DgummyError, SSHConnectionError, call, d_run, main
else:  # run as a program; python3 -I does not look beside it
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from d_wrapper import ArgumentError, DgummyError, SSHConnectionError, call, d_run, main

__all__ = [
    "ArgumentError",
    "DgummyError",
    "SSHConnectionError",
    "d_run",
    "execute_local_gummy",
    "monitor_all_specialists",
    "parallel_gummy_tasks",
    "round_robin_host_selection",
    "select_optimal_host",
    "sync_and_execute_gummy",
]


def select_optimal_host(
    task_type: str | None = None, exclude: list[str] | None = None, *, group: str | None = None, require: Any = ()
) -> dict[str, Any] | None:
    """The host with the most room: `{'host', 'score', 'cpu', 'mem', 'load', 'io', 'type', 'why', …}`, None if none is.

    `score` is 0 to 1, lower is better; `cpu`, `mem` and `io` are per cent. What cannot be known is None.
    """
    return call("select_optimal_host", task_type=task_type, exclude=exclude, group=group, require=require)


def sync_and_execute_gummy(
    host: str, task: str, project_dir: Any = None, *, timeout_s: float | None = None
) -> dict[str, Any]:
    """Sync a project to a host and give its agent a task there; returns when that is over.

    `{'run_id', 'state', 'exit_code', 'stdout_tail', …}`; `state` is "ok" only if success was proven.
    """
    return call("sync_and_execute_gummy", host=host, task=task, project_dir=project_dir, timeout_s=timeout_s)


def parallel_gummy_tasks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Several tasks at once, each `{'task': …}` with `host`, `task_type`, `project_dir` if wanted. Results in order."""
    return call("parallel_gummy_tasks", tasks=tasks)


def monitor_all_specialists() -> dict[str, list[dict[str, Any]]]:
    """Specialists on every host that answers: host → list of `{'name', 'status', 'sessions', 'cost_usd', …}`."""
    return call("monitor_all_specialists")


def execute_local_gummy(task: str, project_dir: Any = None) -> dict[str, Any]:
    """`sync_and_execute_gummy` on this machine."""
    return sync_and_execute_gummy("local", task, project_dir)


def round_robin_host_selection() -> dict[str, Any] | None:
    """`select_optimal_host`, which takes hosts in turn by itself where no load can be measured."""
    return select_optimal_host()


if __name__ == "__main__":
    main(select_optimal_host, sync_and_execute_gummy, parallel_gummy_tasks, monitor_all_specialists)
