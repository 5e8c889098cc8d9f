"""A watch of a made-up cluster on the terminal that is stdin, for tests: what it ended with is printed last."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import cluster_views  # noqa: E402  # it is run as a program, and only now knows where we are
from dgummy.render.console import Console  # noqa: E402
from dgummy.render.watchscreen import watch  # noqa: E402
from dgummy.views import ClusterView  # noqa: E402

START = time.monotonic()


def snapshot() -> ClusterView:
    """The same cluster, a second older each second; with `crash` it breaks after a while."""
    if sys.argv[1:] == ["crash"] and time.monotonic() - START > 0.5:
        raise RuntimeError("the snapshot broke")
    seed = cluster_views.seed()
    return msgspec.structs.replace(seed, at=seed.at + timedelta(seconds=int(time.monotonic() - START)))


if __name__ == "__main__":
    end = watch(snapshot, 0.2, Console(environ={"TERM": "xterm"}))
    said = f"ended run_id={end.run_id!r} interrupted={end.interrupted} sort={end.state.sort!r}"
    with suppress(OSError):
        os.write(1, f"{said}\n".encode())
