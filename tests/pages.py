"""Views to render, and a real browser to render them in."""

from __future__ import annotations

import html
import json
import shutil
import subprocess
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from dgummy.model import Failure, FailureKind, Sample
from dgummy.views import (
    AgentTask,
    ClusterView,
    HostView,
    RunningCommand,
    Specialist,
    SpecialistState,
    TimelineEntry,
)

NOW = datetime(2026, 3, 1, 14, 3, 12, tzinfo=timezone.utc)
DAY = datetime(2026, 3, 1, tzinfo=timezone.utc)
REFUSED = Failure(FailureKind.REFUSED, "192.0.2.7 port 22", "start sshd there, or check the port")
STATES = ("ok", "ok", "failed", "ok", "timed_out", "cancelled", "lost", "ok", "pending", "syncing", "unheard_of")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# The quiet ones keep it from asking for things on a network.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def sample(**changes: Any) -> Sample:
    figures: dict[str, Any] = {
        "cpu_pct": 45.0,
        "iowait_pct": 3.0,
        "mem_total_bytes": 100,
        "mem_available_bytes": 28,
        "load1": 1.72,
        "cores": 8,
        "disk_free_bytes": 120_000_000_000,
    }
    return Sample(**(figures | changes))


def specialist(name: str = "database-expert", **changes: Any) -> Specialist:
    given: dict[str, Any] = {
        "scope": "project",
        "project": "/home/dev/projects/shop",
        "status": SpecialistState.ACTIVE,
        "sessions": 8,
        "session_id": "5f0c2d9e-7a41-4b0e-9d55-1f3a",
        "last_active": "2026-03-01T14:02:00Z",
        "cost_usd": 0.02,
    }
    return Specialist(name, **(given | changes))


def host(name: str = "node-1", **changes: Any) -> HostView:
    given: dict[str, Any] = {"taken_at": ago(seconds=2), "sample": sample(), "cost_today_usd": 0.0}
    return HostView(name, **(given | changes))


def cluster(*hosts: HostView) -> ClusterView:
    return ClusterView(NOW, hosts)


def usual() -> ClusterView:
    """A bit of everything: all states, a full host, one that is gone, one that never answered."""
    state = SpecialistState
    return cluster(
        host(
            "node-1",
            specialists=(
                specialist(),
                specialist("testing-specialist", status=state.DORMANT, sessions=3, cost_usd=0.01),
                specialist(
                    "ui",
                    scope="global",
                    project="",
                    status=state.NEW,
                    sessions=0,
                    session_id=None,
                    last_active=None,
                    cost_usd=None,
                ),
            ),
            runs=(
                RunningCommand(
                    "20260301-135512-a1b2",
                    482.0,
                    "npm run test -- --coverage",
                    "/home/dev/projects/shop",
                    "kim@laptop",
                    last_line="PASS src/cart/checkout.test.ts (12.3 s)",
                ),
                RunningCommand("20260301-140259-c3d4", 13.0, "", owner="lee@desk", started=False),
            ),
            cost_today_usd=0.03,
            cost_complete=False,
        ),
        host(
            "node-2",
            sample=sample(cpu_pct=97.4, iowait_pct=71.0, mem_available_bytes=4),
            specialists=(
                specialist("api-developer", status=state.STOPPED, cost_usd=None),
                specialist("frontend-specialist", status=state.FAILED, reason="rate limit reached"),
                specialist("broken", status=state.UNREADABLE, reason="meta.yaml is larger than 64 KB"),
            ),
            tasks=(
                AgentTask(
                    "gummy-1772373600",
                    "task",
                    state.ACTIVE,
                    ago(minutes=4).timestamp(),
                    "9ab3cd01-22",
                    None,
                    "Now I will add an index on orders(customer_id) and run the migration tests once more.",
                ),
                AgentTask("gummy-1772370000", "task", state.DORMANT, ago(hours=1).timestamp(), "77aa", 0.0412),
            ),
            notices=("2 specialists more were not read: at most 64 of a host are",),
            cost_today_usd=0.0812,
        ),
        host("node-3", failure=REFUSED, taken_at=ago(minutes=7), specialists=(specialist("security-specialist"),)),
        HostView("node-4", failure=Failure(FailureKind.TIMED_OUT, "no answer in 5 s")),
        host("node-5", taken_at=ago(seconds=40), sample=Sample(cpu_pct=12.0)),
        HostView("node-6", asked_at=ago(seconds=1)),
    )


def entry(host: str = "node-1", start_h: float = 9.0, took_s: float | None = 60.0, **changes: Any) -> TimelineEntry:
    """A run that began at that hour of the day; `took_s` None is still going."""
    began = DAY + timedelta(hours=start_h)
    ended = None if took_s is None else began + timedelta(seconds=took_s)
    given: dict[str, Any] = {"label": "npm test", "state": "running" if took_s is None else "ok"}
    return TimelineEntry(f"run-{start_h}", host, started_at=began, ended_at=ended, **(given | changes))


def usual_day() -> list[TimelineEntry]:
    runs = [
        entry(
            f"node-{1 + number % 3}",
            6.5 + number * 0.29,
            120.0 + 700 * (number % 5),
            state=STATES[number % 11],
            label=("npm run test", "cargo build --release", "add an index on orders")[number % 3],
        )
        for number in range(24)
    ]
    runs += [entry("node-1", -2.0, 3 * 3600.0, label="nightly backup"), entry("node-2", 12.5, None, label="soak test")]
    runs += [entry("node-1", 13.9, None, label="npm run test"), entry("old-node", 3.0, 0.0, state="failed")]
    return [*runs, entry("", 8.0, 1.0, state="unreachable", label="make deploy")]


def crowd() -> tuple[ClusterView, list[TimelineEntry]]:
    """50 hosts with 5 specialists each, and 500 runs."""
    names = [f"worker-{number:02d}.example.internal" for number in range(1, 51)]
    state = SpecialistState
    hosts = []
    for number, name in enumerate(names):
        quiet = number % 4
        busy = state.DORMANT if quiet else state.ACTIVE
        homes = tuple(specialist(f"specialist-{kind}", status=busy if kind < 2 else state.DORMANT) for kind in range(5))
        failure = REFUSED if number % 17 == 5 else None
        cpu_pct = float(number * 2 % 101)
        hosts.append(host(name, specialists=homes, sample=sample(cpu_pct=cpu_pct), failure=failure, cost_today_usd=0.1))
    runs = [
        entry(names[number * 7 % 50], number * 0.028, 30.0 + number * 37 % 1500, state=STATES[number % 11])
        for number in range(500)
    ]
    return cluster(*hosts), runs


# -- the browser ------------------------------------------------------------------------------------------------------

_MEASURE = """
<script>
onload = () => {
  const inside = document.getElementById("page").contentDocument, root = inside.documentElement;
  const seen = { width: root.clientWidth, scroll: root.scrollWidth, wide: [] };
  seen.height = Math.ceil(inside.body.getBoundingClientRect().height);
  for (const one of inside.querySelectorAll("body *:not(svg *)")) {
    const box = one.getBoundingClientRect();
    if (box.right > root.clientWidth + 0.5 || box.left < -0.5) seen.wide.push(one.tagName + "." + one.className);
  }
  seen.panels = [...inside.querySelectorAll("section.host")].map((one) => one.getBoundingClientRect().width);
  seen.bars = [...inside.querySelectorAll(".run > rect")].map((one) => {
    const box = one.getBoundingClientRect(), all = one.ownerSVGElement.getBoundingClientRect();
    return [box.left - all.left, box.right - all.left, all.width];
  });
  seen.meters = [...inside.querySelectorAll(".bar > rect")].map((one) =>
    one.getBoundingClientRect().width / one.parentElement.getBoundingClientRect().width);
  seen.background = inside.defaultView.getComputedStyle(inside.body).backgroundColor;
  seen.text = inside.body.innerText;
  seen.ran = inside.defaultView.ran || false;
  document.getElementById("seen").textContent = JSON.stringify(seen);
};
</script>
"""


def framed(page: str, width: int, height: int = 4000, scheme: str = "light") -> str:
    """A page around a page: a frame is as narrow as it is told to be, a window of the browser is not."""
    return (
        f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><pre id="seen" hidden></pre>'
        f'<iframe id="page" srcdoc="{html.escape(page)}" width="{width}" height="{height}"'
        f' style="border:0;display:block;color-scheme:{scheme}"></iframe>{_MEASURE}'
    )


def browse(folder: Path, page: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Load a page from a file, with a profile of its own."""
    assert BROWSER is not None
    file = folder / "page.html"
    file.write_text(page, encoding="utf-8")
    command = [BROWSER, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", *flags]
    return subprocess.run(
        [*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True, encoding="utf-8"
    )


def measured(folder: Path, page: str, width: int, scheme: str = "light") -> dict[str, Any]:
    """What a browser makes of a page in a window of that width. `complaints` is what it says of its policy."""
    done = browse(folder, framed(page, width, scheme=scheme), f"--window-size={width},1000", "--dump-dom")
    _, _, rest = done.stdout.partition('<pre id="seen" hidden="">')
    seen: dict[str, Any] = json.loads(html.unescape(rest.partition("</pre>")[0]))
    seen["complaints"] = [line for line in done.stderr.splitlines() if "Content Security Policy" in line]
    return seen
