"""What is kept of a job beside its line: its log, and how it went last, in `cron/` of the state folder.

`NAME.log` is moved to `NAME.log.1`, `.2`, `.3` once it is large, before a run begins. `NAME.json` says when the job was
added, and when and how it ran last, also where that left no run in the ledger.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from dgummy.textfiles import make_folder

MAX_LOG_BYTES = 1024 * 1024
KEPT_LOGS = 3
_TAIL_BYTES = 65536


class LastRun(msgspec.Struct, frozen=True):
    """One time that a job ran, or was to: `exit_code` and `ended_at` are None while it does. `why` is what it said."""

    started_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    why: str = ""
    pid: int = 0


class Record(msgspec.Struct, frozen=True):
    """What is known of a job."""

    added_at: datetime | None = None
    last: LastRun | None = None


@dataclass(frozen=True, slots=True)
class JobFiles:
    """The files of one job, all beside its log."""

    log: Path

    @property
    def record_path(self) -> Path:
        """The file of its record."""
        return self.log.with_suffix(".json")

    def record(self) -> Record:
        """What is known of it; nothing, if the file is not there or damaged."""
        try:
            return msgspec.json.decode(self.record_path.read_bytes(), type=Record)
        except (OSError, ValueError):
            return Record()

    def keep(self, **changes: object) -> None:
        """Change the record. OSError if that cannot be written."""
        make_folder(self.log.parent)
        temporary = self.record_path.with_name(f".{self.record_path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(msgspec.json.encode(msgspec.structs.replace(self.record(), **changes)))
            temporary.replace(self.record_path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """Remove the record. The logs stay."""
        with suppress(OSError):
            self.record_path.unlink(missing_ok=True)

    def rotate(self) -> None:
        """Move a large log out of the way, and drop the oldest. To be done by who holds the job's lock."""
        try:
            if self.log.stat().st_size < MAX_LOG_BYTES:
                return
            for number in range(KEPT_LOGS, 0, -1):
                older = self._numbered(number - 1)
                if older.exists():
                    older.replace(self._numbered(number))
        except OSError:
            return  # it grows on: better than no run

    def _numbered(self, number: int) -> Path:
        return self.log.with_name(f"{self.log.name}.{number}") if number else self.log

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The log, to be added to, as a file descriptor. OSError if it cannot be."""
        make_folder(self.log.parent)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def size(self) -> int:
        """How long the log is."""
        try:
            return self.log.stat().st_size
        except OSError:
            return 0

    def read(self, offset: int) -> tuple[bytes, int]:
        """What follows in the log after so many bytes, 64 KiB at most; and where that ends. A log anew is read anew."""
        try:
            with self.log.open("rb") as file:
                start = offset if offset <= file.seek(0, os.SEEK_END) else 0
                file.seek(start)
                data = file.read(_TAIL_BYTES)
                return data, start + len(data)
        except OSError:
            return b"", offset

    def since(self, offset: int) -> bytes:
        """What was added to the log since it was so long; no more than the last 64 KiB of it."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(offset, end - _TAIL_BYTES) if offset <= end else max(0, end - _TAIL_BYTES))
                return file.read()
        except OSError:
            return b""
