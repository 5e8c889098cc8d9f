"""Many at once, as a team or a script starts them: spread evenly, taking turns, none twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import labs
from dgummy import lab as dlab
from labs import NodeLab

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.crowd]

IDLE = dlab.Figures(cpu_pct=3, iowait_pct=0, mem_pct=20, load1=0.05, cores=8)
NODES = tuple(f"node-{number}" for number in (1, 2, 3, 4))


@pytest.fixture
def four(tmp_path: Path) -> Iterator[NodeLab]:
    """Four equal hosts."""
    if labs.SSHD is None:
        pytest.skip("there is no sshd on this machine")
    with labs.node_lab(tmp_path, 4, figures=(IDLE,) * 4) as made:
        yield made


def test_twenty_runs_started_at_once_spread_evenly(four: NodeLab) -> None:
    project = four.project()
    clients = [four.start("run", "--no-sync", "echo $DGUMMY_NODE; sleep 4", cwd=project) for _ in range(20)]
    said = [client.communicate(timeout=120) for client in clients]
    assert [client.returncode for client in clients] == [0] * 20, said
    hosts = Counter(out.decode().strip() for out, _ in said)
    assert set(hosts) == set(NODES) and max(hosts.values()) <= 6 and min(hosts.values()) >= 4, hosts


def test_eight_that_sync_one_project_take_turns_two_a_host(four: NodeLab, tmp_path: Path) -> None:
    project, log = four.project(), tmp_path / "log"
    command = f"echo + $DGUMMY_NODE >>'{log}'; sleep 6; echo - $DGUMMY_NODE >>'{log}'"
    clients = [four.start("run", command, cwd=project) for _ in range(8)]
    said = [client.communicate(timeout=180) for client in clients]
    assert [client.returncode for client in clients] == [0] * 8, said
    now: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        sign, node = line.split()
        now[node] += 1 if sign == "+" else -1
        assert now[node] in (0, 1), "two at once in one workspace"
    began = Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("+"))
    assert set(began) == set(NODES) and max(began.values()) <= 3 and sum(began.values()) == 8, began
    waited = [err.decode() for _, err in said if b"waiting: " in err]
    assert len(waited) >= 3
    assert all(re.search(r"waiting: node-\d: .*run \d{8}-\d{6}-\w+", text) for text in waited), waited


def test_twelve_tasks_over_four_hosts_never_begin_in_the_same_second_on_one(four: NodeLab) -> None:
    texts = [f"write text number {number}" for number in range(12)]
    for node in NODES:
        dlab.set_gummy(four.lab, node, step_s=0)
    done = four.json("distribute", "--no-sync", *texts, cwd=four.project(), timeout_s=120)
    assert done["ok"] == 12, done
    for node in NODES:
        ran = sum(entry["host"] == node for entry in done["results"])
        logs = {path.name for path in (four.home_of(node) / ".claude/logs/gummy").glob("*-task.log")}
        assert len(logs) == ran, (node, ran, logs)  # two in one second would share a name
