"""A project in a workspace of a box (`remote_scripts.Box`), and a `Harvester` that asks that box. For tests."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dgummy.harvest import Harvester, Look
from dgummy.model import Failure, Host
from dgummy.remote import compose
from dgummy.settings import Timeouts
from dgummy.syncplan import encode_manifest, manifest_id
from dgummy.transport.base import Answer, FactCollector, FrameSink, Limits, Script, conclude
from dgummy.transport.framing import FrameReader
from remote_scripts import Box, Heard, is_alive, wait_for

SYNC_FILES = ["start", "sync", "workspace"]


@dataclass
class BoxAccess:
    """Carries scripts to a box's shell; `env` is added to what they see."""

    box: Box
    cut_after: int | None = None

    def ask(
        self, host: Host, script: Script, limits: Limits | None = None, sink: FrameSink | None = None
    ) -> Answer | Failure:
        process = self.box.popen(script.text)
        stdout, stderr = process.communicate(timeout=60)
        collector, reader = FactCollector(sink), FrameReader(script.marker)
        for frame in reader.feed(stdout if self.cut_after is None else stdout[: self.cut_after]):
            collector(frame)
        noise = f"{reader.noise}\n{stderr.decode(errors='replace')}".strip()
        return conclude(collector.facts, noise, broken="" if self.cut_after is None else "cut")


@dataclass
class Workspace:
    """The project folder of a box, what was sent to it, and its runs."""

    box: Box
    folder: Path = field(init=False)
    access: BoxAccess = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.box.home / "project"
        self.access = BoxAccess(self.box)

    @property
    def state(self) -> Path:
        return next(self.box.state.glob("workspaces/*"))

    @property
    def mark(self) -> list[str]:
        """Whose work is marked: run and owner."""
        path = self.state / "uncollected"
        return path.read_text().splitlines() if path.exists() else []

    def path(self, name: bytes) -> Path:
        return self.folder / os.fsdecode(name)

    def open(self, run_id: str) -> Heard:
        return self.box.call(SYNC_FILES, "open_workspace", "~/project", run_id, f"{run_id}@client", "100", "id")

    def send(self, files: Mapping[bytes, bytes], run_id: str = "r1") -> None:
        """Bring files as a sync does, for that run."""
        heard = self.open(run_id)
        assert heard.first("dir") == str(self.folder), heard
        for name, content in files.items():
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            self.path(name).write_bytes(content)
        args = [str(self.folder), run_id, manifest_id(files)]
        script = compose(SYNC_FILES, "end_sync", args, variables={"DG_MANIFEST": encode_manifest(files)})
        assert self.box.hear(script).status == 0
        time.sleep(0.02)  # the network's part: what was sent is older than what comes now

    def run(self, command: str, run_id: str = "r1", *, collect: bool = True) -> Heard:
        """Run a command there to its end, and until the workspace is given back."""
        folder = str(self.folder)
        heard = self.box.run(
            command,
            run_id,
            directory=folder,
            workspace=folder,
            owner=f"{run_id}@client",
            collect=collect,
        )
        wait_for(lambda: not any(is_alive(pid) for pid in self.box.pids(run_id)[:1]))
        return heard

    # -- what a client sees ------------------------------------------------------------------------------------

    @property
    def harvester(self) -> Harvester:
        return Harvester(self.access, Timeouts())

    def look(self, run_id: str = "r1") -> Look:
        found = self.harvester.look(Host("box"), run_id, str(self.folder))
        assert isinstance(found, Look), found
        return found

    def bring(self, run_id: str = "r1") -> dict[bytes, bytes]:
        """What all that changed holds, by name."""
        wanted = self.look(run_id).sifted.changed
        with tempfile.TemporaryDirectory() as folder:
            brought = self.harvester.bring(Host("box"), run_id, str(self.folder), wanted, Path(folder))
            assert isinstance(brought, list), brought
            return {one.path: Path(one.content).read_bytes() for one in brought}

    def changed(self, run_id: str = "r1") -> dict[bytes, str]:
        return {one.path: one.kind.value for one in self.look(run_id).sifted.changed}
