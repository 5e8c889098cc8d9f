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
from errno import EDQUOT, ENOSPC
from pathlib import Path

import msgspec

from dgummy.textfiles import make_folder

FOLDER = "cron"
"""Where in the state folder all this is."""
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

    @property
    def state_dir(self) -> Path | None:
        """The state folder of the job, by where its log is; None for a log that somebody put elsewhere."""
        return self.log.parent.parent if self.log.parent.name == FOLDER else None

    def record(self) -> Record:
        """What is known of it; nothing, if the file is not there or damaged."""
        try:
            return msgspec.json.decode(self.record_path.read_bytes(), type=Record)
        except (OSError, ValueError):
            return Record()

    def prepare(self) -> None:
        """Make the folder that all of it is in, the user's alone. OSError if it cannot be made."""
        folder = self.log.parent
        make_folder(folder)
        if self.state_dir is not None and folder.stat().st_mode & 0o077:
            folder.chmod(0o700)

    def keep(self, **changes: object) -> None:
        """Change the record. OSError if that cannot be written."""
        self.prepare()
        data = msgspec.json.encode(msgspec.structs.replace(self.record(), **changes))
        temporary = self.record_path.with_name(f".{self.record_path.name}.{os.getpid()}")
        try:
            _write(temporary, data)
            temporary.replace(self.record_path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno not in (ENOSPC, EDQUOT) or not self.record_path.exists():
                raise
            _write(self.record_path, data)  # a full disk has no room for another file, but for this one it has

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
        self.prepare()
        descriptor = os.open(self.log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
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


def added(descriptor: int, offset: int) -> bytes:
    """What was added to an open log since it was so long, 64 KiB at most. It may have been removed meanwhile."""
    try:
        end = os.fstat(descriptor).st_size
        start = max(offset if offset <= end else 0, end - _TAIL_BYTES)
        return os.pread(descriptor, end - start, start)
    except OSError:
        return b""


def _write(path: Path, data: bytes) -> None:
    """Write over what is in a file, and cut off the rest: the room that it has is not given up before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        written = os.pwrite(descriptor, data, 0)
        if written < len(data):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        os.ftruncate(descriptor, written)
    finally:
        os.close(descriptor)
