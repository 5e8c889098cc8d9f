"""Run the remote scripts here, under any shell, and read what they print. For tests of the scripts themselves."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from dgummy.remote import compose
from dgummy.runscript import RunSpec, start_script
from dgummy.transport.framing import Data, Fact, FrameReader

SHELLS = (["dash"], ["bash"], ["busybox", "sh"])


@dataclass
class Heard:
    """What a script printed."""

    status: int
    facts: list[Fact] = field(default_factory=list)
    streams: dict[str, bytes] = field(default_factory=dict)
    stderr: str = ""

    def first(self, name: str, default: str = "") -> str:
        return next((fact.value for fact in self.facts if fact.name == name), default)

    @property
    def out(self) -> bytes:
        return self.streams.get("out", b"")

    @property
    def err(self) -> bytes:
        return self.streams.get("err", b"")


def hear(
    shell: list[str],
    home: Path,
    text: bytes,
    marker: str,
    *,
    env: dict[str, str] | None = None,
    timeout_s: float = 40,
) -> Heard:
    """Give a script to a shell whose home folder is `home`."""
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "SHELL": "/bin/sh", **(env or {})}
    done = subprocess.run([*shell, "-s"], input=text, capture_output=True, env=environ, timeout=timeout_s)
    reader = FrameReader(marker)
    heard = Heard(done.returncode, stderr=done.stderr.decode(errors="replace"))
    for frame in reader.feed(done.stdout):
        if isinstance(frame, Fact):
            heard.facts.append(frame)
        elif isinstance(frame, Data):
            heard.streams[frame.stream] = heard.streams.get(frame.stream, b"") + frame.data
    return heard


def call(shell: list[str], home: Path, files: list[str], function: str, *args: str, **kwargs: object) -> Heard:
    """Compose and run."""
    variables = kwargs.pop("variables", None)
    script = compose(files, function, args, variables=variables)  # type: ignore[arg-type]
    return hear(shell, home, script.text, script.marker, **kwargs)  # type: ignore[arg-type]


def run(shell: list[str], home: Path, spec: RunSpec, *, follow: bool = True, **kwargs: object) -> Heard:
    """Start a run and follow it to its end."""
    script = start_script(spec, follow=follow)
    return hear(shell, home, script.text, script.marker, **kwargs)  # type: ignore[arg-type]
