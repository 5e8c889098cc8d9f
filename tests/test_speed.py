"""What was slow once and must not come back. How fast it all is: see benchmarks/."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dgummy.transport import rsync
from dgummy.transport.rsync_text import Flavour

HEAVY = ("tabulate", "dgummy.lab", "dgummy.discovery", "dgummy.cluster", "fabric", "rich")


@pytest.mark.parametrize("module", ["dgummy.render.documents", "dgummy.render.tables", "dgummy.render.listeners"])
def test_what_shows_results_imports_only_what_it_shows(module: str) -> None:
    script = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_load_from_its_cache_imports_nothing_that_only_measuring_needs(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("from dgummy.tasks import ns\n")
    env = {
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "INVOKE_DGUMMY_BACKEND": "local",
        "INVOKE_DGUMMY_CACHE_LOAD_PATH": str(tmp_path / "load.json"),
        "INVOKE_DGUMMY_CACHE_LOAD_TTL_S": "1h",
    }
    inv = [sys.executable, "-X", "importtime", "-m", "invoke", "load"]
    measured, cached = [
        subprocess.run(inv, cwd=tmp_path, env=env, capture_output=True, text=True, check=True) for _ in range(2)
    ]
    assert "(cached;" in cached.stdout
    names = {
        "dgummy.yamltext",
        "tabulate",
        "sqlite3",
        "dgummy.probe",
        "dgummy.settings_check",
        "dgummy.transport.ssh",
        "rich",
    }
    found = {line.rpartition("|")[2].strip() for line in cached.stderr.splitlines()}
    assert "dgummy.cluster" in found
    assert found & names == set()
    assert "dgummy.probe" in measured.stderr


def test_an_rsync_that_closes_its_pipes_a_moment_early_costs_no_whole_tick() -> None:
    flavour = Flavour("rsync", (3, 2, 7), "rsync")
    took_s = []
    for _ in range(5):  # the best of five: the machine may be busy
        run = rsync._Run(["sh", "-c", "exec >&- 2>&-; sleep 0.03"], flavour, None, None, threading.Event())
        began = time.monotonic()
        assert run.wait() == 0
        took_s.append(time.monotonic() - began)
    assert min(took_s) < rsync.TICK_S
