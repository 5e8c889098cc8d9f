"""Views of a small cluster, for what draws them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from dgummy.model import Failure, FailureKind, Sample
from dgummy.views import AgentTask, ClusterView, HostView, RunningCommand, Specialist, SpecialistState

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)
SAMPLE = Sample(
    cpu_pct=15.2, iowait_pct=45, mem_total_bytes=100, mem_available_bytes=9, load1=0.72, cores=4, clock_offset_s=0.0
)
TIMED_OUT = Failure(FailureKind.TIMED_OUT, "no answer in 5 s", "look whether node-3 is up")


def specialist(name: str, status: str, sessions: int | None, cost: float | None, project: str = "") -> Specialist:
    return Specialist(
        name,
        "project" if project else "global",
        project,
        SpecialistState(status),
        sessions,
        "abc12345-6789-4abc-8def-0123456789ab",
        "2026-03-01T11:57:00Z",
        cost,
    )


def seed() -> ClusterView:
    """The dashboard of the design document, and what ours shows more: example 4."""
    return ClusterView(
        NOW,
        (
            HostView(
                "node-1",
                NOW - timedelta(seconds=2),
                None,
                SAMPLE,
                (
                    specialist("database-expert", "active", 8, 0.02, "/home/me/projects/myapp"),
                    specialist("testing-specialist", "dormant", 3, 0.01),
                ),
                (),
                (
                    RunningCommand(
                        "20260301-115800-k3f9ab", 62.4, "make test", "/w/myapp", "me@laptop", True, "tests/a.py ....F"
                    ),
                ),
                0.03,
            ),
            HostView(
                "node-2",
                NOW - timedelta(seconds=1),
                None,
                Sample(cpu_pct=97.0),
                (
                    specialist("api-developer", "active", 5, 0.01),
                    specialist("frontend-specialist", "active", 12, 0.03),
                    Specialist("broken", "global", reason="meta.yaml is larger than 64 KB"),
                ),
                (
                    AgentTask(
                        "gummy-1772366100", "task", SpecialistState.ACTIVE, NOW.timestamp() - 75, None, None, "Reading"
                    ),
                ),
                (),
                0.04,
                False,
            ),
            HostView(
                "node-3",
                NOW - timedelta(seconds=90),
                TIMED_OUT,
                SAMPLE,
                (specialist("security-specialist", "dormant", 2, 0.01),),
                (),
                (),
                0.01,
            ),
            HostView("node-4", None, Failure(FailureKind.REFUSED, "192.0.2.7 port 22", "start sshd there")),
            HostView("node-5"),
        ),
    )
