"""The Invoke collection: `from dgummy.tasks import ns`, as a whole tasks.py or below a name of its own.

Modules here parse, call one use case and show the result. They import what they need when they run: `inv --list` must
not pay for it.
"""

from __future__ import annotations

import os

from invoke.collection import Collection

from dgummy import boundary
from dgummy.completing import VARIABLE
from dgummy.tasks import (
    again,
    ask,
    collect,
    completion,
    config,
    cron,
    demo,
    doctor,
    groups,
    hosts,
    lab,
    runs,
    skill,
    specialists,
    watch,
    work,
    workspace,
)

ns = Collection("dgummy")
for _task in (
    hosts.status,
    hosts.load,
    hosts.pick,
    ask.ask,
    work.sync,
    work.run,
    work.task,
    groups.fanout,
    groups.distribute,
    again.retry,
    again.resume,
    runs.logs,
    runs.wait,
    runs.attach,
    runs.cancel,
    collect.collect,
    collect.report,
    demo.demo,
    doctor.doctor,
    watch.watch,
    completion.completion,
):
    ns.add_task(_task)
ns.add_collection(Collection("config", config.show, config.init, config.check, config.path))
ns.add_collection(Collection("cron", cron.add, cron.list_jobs, cron.remove, cron.run, cron.exec_job))
_runs = Collection("runs", runs.prune, runs.rebuild)
_runs.add_task(runs.list_runs, default=True)
ns.add_collection(_runs)
_specialists = Collection("specialists", specialists.move)
_specialists.add_task(watch.specialists, default=True)
ns.add_collection(_specialists)
ns.add_collection(Collection("workspace", workspace.list_workspaces, workspace.clean))
ns.add_collection(Collection("lab", lab.up, lab.down, lab.status, lab.stop, lab.start, lab.figures))
ns.add_collection(Collection("skill", skill.install, skill.show, skill.remove, skill.call))
boundary.set_env_aside()
boundary.set_collection(ns)
if VARIABLE in os.environ:
    completion.take_over(ns)

__all__ = ["ns"]
