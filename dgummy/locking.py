"""Locks between processes of one user: files that are held by whoever works, and let go by the kernel when it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dgummy.errors import TryAgainError


@contextmanager
def held(folder: Path, names: Iterable[str], busy: TryAgainError) -> Iterator[None]:
    """Hold the locks of these names, all or none. `busy` is raised if another process holds one of them.

    Where the folder cannot be written, or takes no locks (some network file systems), nobody is kept out.
    """
    with ExitStack() as kept:
        for name in sorted(set(names)):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError:
                continue
            kept.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            except OSError:
                continue
        yield
