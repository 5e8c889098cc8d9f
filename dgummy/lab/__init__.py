"""A lab on this machine: real, unprivileged sshd processes on loopback, each playing a host of its own.

Every node has its own home folder, host key, load figures (a small look-alike of /proc) and, unless told
otherwise, a stand-in for `gummy`. All of it lives in one folder, and so does the configuration that points
dgummy at it; nothing of the user's own ~/.ssh or settings is read or written. Here nothing is printed:
functions return records, or raise `DgummyError`.
"""

from __future__ import annotations

from dgummy.lab.figures import Figures, default_figures, set_figures
from dgummy.lab.nodes import down, hang, load, reboot, start, status, stop, up
from dgummy.lab.records import DEFAULT_WITHOUT_GUMMY, Lab, Node, NodeState, NodeStatus
from dgummy.lab.sample import make_sample_project, set_gummy

__all__ = [
    "DEFAULT_WITHOUT_GUMMY",
    "Figures",
    "Lab",
    "Node",
    "NodeState",
    "NodeStatus",
    "default_figures",
    "down",
    "hang",
    "load",
    "make_sample_project",
    "reboot",
    "set_figures",
    "set_gummy",
    "start",
    "status",
    "stop",
    "up",
]
