"""What is to be run, where it takes place, and what happened so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dgummy.asked import Asked, Meta, encode_meta
from dgummy.chooser import Wish
from dgummy.lodging import HomeLook
from dgummy.model import Attempt, Failure, Host, Memory, SyncResult
from dgummy.project import Project
from dgummy.transport.base import Transport
from dgummy.work import Base
from dgummy.workspaces import Workspace


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. `command` is what a shell on the host gets; `shown` is what people are shown of it.

    `sync` brings the project there first and gives the run its workspace. `mode` is set for agent tasks (see `agents`).
    `detach` starts it and does not wait for its end. `collect` says whether what it changes comes home at its end
    (auto, ask or off), `fetch` which files do beside that, as patterns. `collect_first` brings home what an earlier run
    left in the way; `isolate` gives it a copy of the project to itself. `job` is the one of cron's that asks for it,
    `again` the run that it is once more, `group_id` and `label` say what it is part of, "" for none. `locks` are held
    while it is carried out.
    """

    kind: str
    command: str
    shown: str
    wish: Wish
    sync: bool = True
    timeout_s: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    mode: str = ""
    text: str = ""
    verify: str | None = None
    fallback: str = "local"
    detach: bool = False
    collect: str = "off"
    fetch: tuple[str, ...] = ()
    collect_first: bool = False
    isolate: bool = False
    job: str = ""
    locks: tuple[str, ...] = ()
    again: str = ""
    group_id: str = ""
    label: str = ""

    @property
    def needs_the_workspace(self) -> bool:
        """Whether it must have the project's folder on its host to itself."""
        return self.sync and not self.isolate

    def asked(self, subdir: str) -> Asked:
        """What the ledger keeps of it. `subdir` is where in the project it was given."""
        wish = self.wish
        return Asked(
            hosts=wish.hosts,
            group=wish.group,
            exclude=wish.exclude,
            task_type=wish.task_type,
            requires=wish.requires,
            sync=self.sync,
            timeout_s=self.timeout_s,
            env_names=tuple(self.env),
            mode=self.mode,
            verify=self.verify,
            fallback=self.fallback,
            subdir=subdir,
            collect=self.collect,
            fetch=self.fetch,
            collect_first=self.collect_first,
            isolate=self.isolate,
            job=self.job,
            locks=self.locks,
            again=self.again,
        )

    def meta(self, project: Project, remote_dir: str, task_type: str, base: Base | None) -> str:
        """What its host keeps of it."""
        return encode_meta(
            Meta(
                kind=self.kind,
                group_id=self.group_id,
                label=self.label,
                project=str(project.root),
                remote_dir=remote_dir,
                task_type=task_type,
                text=self.text,
                request=self.asked(project.subdir),
                base=base,
            )
        )


@dataclass(frozen=True, slots=True)
class Site:
    """Where a run takes place and how to get there.

    `machine` is the boot id of the one that was chosen, "" for any. `control` carries short scripts to it. `base`
    is the project as it was sent.
    """

    host: Host
    transport: Transport
    directory: str
    control: Transport
    workspace: Workspace | None = None
    sync: SyncResult | None = None
    machine: str = ""
    base: Base | None = None


@dataclass
class Course:
    """One order under way: its run id, when it began (`began` by the monotonic clock), and what was tried so far.

    `failed` maps hosts that did not start it to the reason, `busy` those whose workspace is taken to who has it.
    `look` is under way for the home of its specialist, `memory` what that remembers on the host that was chosen last.
    """

    run_id: str
    began: float
    started_at: datetime
    task_type: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    busy: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    look: HomeLook | None = None
    memory: Memory | None = None
