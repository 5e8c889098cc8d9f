"""The Invoke collection: `from dgummy.tasks import ns`, as a whole tasks.py or below a name of its own.

Modules here parse, call one use case and show the result. They import what they need when they run: `inv --list` must
not pay for it.
"""

from __future__ import annotations

from invoke.collection import Collection

from dgummy import boundary
from dgummy.tasks import config, demo, groups, hosts, lab, work

ns = Collection("dgummy")
for _task in (
    hosts.status,
    hosts.load,
    hosts.pick,
    work.sync,
    work.run,
    work.task,
    groups.fanout,
    groups.distribute,
    demo.demo,
):
    ns.add_task(_task)
ns.add_collection(Collection("config", config.show, config.init, config.check, config.path))
ns.add_collection(Collection("lab", lab.up, lab.down, lab.status, lab.stop, lab.start, lab.figures))
boundary.set_env_aside()

__all__ = ["ns"]
