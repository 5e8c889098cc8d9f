"""Outputs of many hosts kept aside until all are there, then shown once each: `--gather` and `--diff`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from dgummy.errors import DgummyError, ExitCode
from dgummy.events import Event, GroupEnded, Output
from dgummy.gather import Digester, HostOutput, diffs, gather
from dgummy.grouprecords import GroupResult
from dgummy.render import gathered
from dgummy.render.console import Console
from dgummy.render.groupscreen import GroupScreen

_CHUNK_BYTES = 65536
_STREAMS = ("out", "err")


class GatheringScreen:
    """A listener that shows what `GroupScreen` does without the output, which is spooled to disk.

    `diff`: show the differences from the most common output as well.
    """

    def __init__(self, console: Console, *, diff: bool) -> None:
        self._console = console
        self._diff = diff
        self._screen = GroupScreen(console, quiet=True)
        self._spool = tempfile.TemporaryDirectory(prefix="dgummy-gather-")
        self._digesters: dict[str, Digester] = {}
        self._broken = False

    def __call__(self, event: Event) -> None:
        """Listen."""
        if isinstance(event, GroupEnded):
            self._screen.close()
            if not self._broken:
                self._show(event.result)
        self._screen(event)
        if isinstance(event, Output) and not self._broken:
            self._keep(event)

    def close(self) -> None:
        """Leave the terminal as it was, and nothing on disk."""
        self._screen.close()
        self._spool.cleanup()

    def _keep(self, event: Output) -> None:
        """Write output down. What cannot be kept whole is not shown at all: parts would pass for the whole."""
        self._digesters.setdefault(event.run_id, Digester(tail_bytes=1)).feed(event.data, event.stream)
        try:
            with self._path(event.run_id, event.stream).open("ab") as file:
                file.write(event.data)
        except OSError as error:
            self._broken = True
            what = f"cannot keep aside what the hosts print: {error.strerror}"
            remedy = f"free some space in {tempfile.gettempdir()}; inv logs shows what each printed"
            raise DgummyError(what, remedy, code=ExitCode.SOME_FAILED) from error

    def _show(self, result: GroupResult) -> None:
        groups = gather(self._outputs(result))
        for piece in gathered.outputs(groups):
            self._console.write("out", piece.encode("utf-8", "replace"))
        if self._diff:
            for piece in gathered.differences(diffs(groups)):
                self._console.write("out", piece.encode("utf-8", "replace"))

    def _outputs(self, result: GroupResult) -> Iterator[HostOutput]:
        for member in result.members:
            run = member.result
            if run.host:
                digester = self._digesters.get(run.run_id, Digester(tail_bytes=1))
                readers = tuple(partial(_chunks, self._path(run.run_id, stream)) for stream in _STREAMS)
                yield HostOutput(member.label, digester.key, digester.size_bytes, readers, run.exit_code)

    def _path(self, run_id: str, stream: str) -> Path:
        return Path(self._spool.name) / f"{run_id}.{stream}"


def _chunks(path: Path) -> Iterable[bytes]:
    if not path.exists():
        return
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
