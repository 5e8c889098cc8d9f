"""Put builds, tests and AI-agent tasks on the right one of your own machines.

From Python: the functions below (`dgummy.api`), imported when first used. From the shell: the Invoke collection
`dgummy.tasks.ns`, or the program `dgummy`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dgummy.api import (
        ArgumentError,
        SSHConnectionError,
        comprehensive_distributed_report,
        fabric_group,
        get_host_status,
        get_load_metrics,
        monitor_all_specialists,
        parallel_gummy_tasks,
        run_remote_command,
        select_optimal_host,
        sync_and_execute_gummy,
        sync_directory,
    )

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "SSHConnectionError",
    "__version__",
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("dgummy.api"), name)
    raise AttributeError(f"module 'dgummy' has no attribute {name!r}")
