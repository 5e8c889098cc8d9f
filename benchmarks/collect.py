"""A git project of 10,000 files: bringing home 20 that a run changed, syncing it again, syncing it to 8 hosts at once.

Asked for: `inv collect` of 20 changed files takes at most 2 times a no-change `rsync -a -e ssh` over the same tree, a
second sync at most 1.2 times that, eight hosts at once at most 0.4 times the same eight one after the other. Each is
shown as the command, Python's start and imports included, and as the call in a process that has imported dgummy
already, with a connection of its own each time.

All hosts are this machine. Where there is something to send, eight at once share its CPUs, which eight machines would
not: so first syncs have no limit here, and plain rsync, in series and at once, is shown beside them.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import _measure as measure
from _measure import INV, Limit, Place, Sample

HOSTS = tuple(f"node-{number}" for number in range(1, 9))
NODE = HOSTS[0]
BY_HAND = "by-hand"


def rsync(where: Place, node: str) -> Sample:
    """What one would type."""
    ssh = f"ssh -F {where.lab.ssh_config_path}"
    return measure.run(["rsync", "-a", "-e", ssh, f"{where.project}/", f"{node}:{BY_HAND}/"], env=where.env)


def sync(where: Place, *hosts: str) -> Sample:
    """`inv sync` to some hosts, as a command."""
    named = [word for host in hosts for word in ("--host", host)]
    return measure.run([INV, "sync", *named], cwd=where.project, env=where.env)


def called(where: Place, *hosts: str) -> Sample:
    """The same as a call in this process: an app, and so a connection, of its own."""
    from dgummy.app import App
    from dgummy.chooser import Wish

    with in_project(where):
        began, used = time.monotonic(), time.process_time()
        with App(cwd=where.project) as app:
            results = app.cluster.sync(Wish(hosts=hosts))
        taken = Sample(time.monotonic() - began, time.process_time() - used)
    if not all(result.ok for result in results):
        raise SystemExit(f"a sync failed: {results}")
    return taken


def collected(where: Place) -> Sample:
    """`inv collect last` as a call in this process."""
    from dgummy.app import App

    with in_project(where):
        began, used = time.monotonic(), time.process_time()
        with App(cwd=where.project) as app:
            (outcome,) = app.cluster.collector.collect_all(app.cluster.history.find(["last"]))
        taken = Sample(time.monotonic() - began, time.process_time() - used)
    if outcome.home is None or len(outcome.home.branches[0].files) != 20:
        raise SystemExit(f"not what was changed: {outcome}")
    return taken


@contextlib.contextmanager
def in_project(where: Place) -> Iterator[None]:
    """Be there, with the environment of its programs."""
    before, folder = dict(os.environ), Path.cwd()
    os.environ.update(where.env)
    os.chdir(where.project)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(before)


def total(samples: Sequence[Sample]) -> Sample:
    """One after the other."""
    return Sample(sum(one.wall_s for one in samples), sum(one.cpu_s for one in samples))


def at_once(calls: Sequence[Callable[[], Sample]]) -> Sample:
    """All at the same time."""
    began = time.monotonic()
    done: list[Sample] = []
    threads = [threading.Thread(target=lambda call=call: done.append(call())) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(time.monotonic() - began, sum(one.cpu_s for one in done))


def forgotten(where: Place) -> None:
    """Nothing was ever sent."""
    for node in where.lab.nodes:
        for name in ("project", BY_HAND, ".local/state/dgummy/workspaces"):
            shutil.rmtree(node.home / name, ignore_errors=True)


def again(where: Place, rounds: int) -> bool:
    """A second sync: nothing changed, then one file."""
    cases = {
        "rsync -a": lambda: rsync(where, NODE),
        "inv sync": lambda: sync(where, NODE),
        "the call": lambda: called(where, NODE),
    }
    for case in cases.values():
        case()
    taken = measure.interleaved(cases, rounds)
    limits = {"inv sync": Limit("rsync -a", 1.2), "the call": Limit("rsync -a", 1.2)}
    good = measure.show("A second sync, nothing changed", taken, limits)
    contents = itertools.count()

    def changed(case: Callable[[], Sample]) -> Callable[[], Sample]:
        def after_a_change() -> Sample:
            (where.project / "README.md").write_text("x" * (100 + next(contents)), encoding="utf-8")
            return case()

        return after_a_change

    taken = measure.interleaved({name: changed(case) for name, case in cases.items()}, rounds)
    return measure.show("One file changed", taken, {name: Limit("rsync -a") for name in limits}) and good


def many(where: Place, rounds: int) -> bool:
    """Eight hosts: nothing changed, then first syncs."""
    series, once = "one after the other", "at once"
    cases = {
        f"inv sync, {series}": lambda: total([sync(where, host) for host in HOSTS]),
        f"inv sync, {once}": lambda: sync(where, *HOSTS),
        f"the call, {series}": lambda: total([called(where, host) for host in HOSTS]),
        f"the call, {once}": lambda: called(where, *HOSTS),
    }
    limits = {f"{what}, {once}": Limit(f"{what}, {series}", 0.4) for what in ("inv sync", "the call")}
    sync(where, *HOSTS)
    taken = measure.interleaved(cases, rounds)
    good = measure.show("Eight hosts, nothing changed", taken, limits)
    by_hand = {
        f"rsync -a, {series}": lambda: total([rsync(where, host) for host in HOSTS]),
        f"rsync -a, {once}": lambda: at_once([lambda host=host: rsync(where, host) for host in HOSTS]),
    }

    def first(case: Callable[[], Sample]) -> Callable[[], Sample]:
        def after_forgetting() -> Sample:
            forgotten(where)
            return case()

        return after_forgetting

    taken = measure.interleaved({name: first(case) for name, case in (cases | by_hand).items()}, max(2, rounds // 3))
    limits = {f"{what}, {once}": Limit(f"{what}, {series}") for what in ("rsync -a", "inv sync", "the call")}
    return measure.show("Eight hosts, first syncs", taken, limits) and good


def home(where: Place, rounds: int) -> bool:
    """Bring home what a run changed; each time another run, as if nobody had collected anything of it."""
    rsync(where, NODE)
    change = "for n in $(seq 20); do echo changed >>part0/folder$n/file$((n * 50)).txt; done"
    measure.run([INV, "run", "--host", NODE, change], cwd=where.project, env=where.env)

    def anew(case: Callable[[], Sample]) -> Callable[[], Sample]:
        def after_forgetting() -> Sample:
            refs = subprocess.run(
                ["git", "for-each-ref", "--format=delete %(refname)", "refs/heads/dgummy/"],
                cwd=where.project,
                check=True,
                capture_output=True,
            ).stdout
            subprocess.run(["git", "update-ref", "--stdin"], cwd=where.project, check=True, input=refs)
            return case()

        return after_forgetting

    cases = {
        "rsync -a": lambda: rsync(where, NODE),
        "inv collect": anew(lambda: measure.run([INV, "collect", "last"], cwd=where.project, env=where.env)),
        "the call": anew(lambda: collected(where)),
    }
    for case in cases.values():
        case()
    taken = measure.interleaved(cases, rounds)
    limits = {name: Limit("rsync -a", 2) for name in ("inv collect", "the call")}
    return measure.show("20 changed files brought home", taken, limits)


PARTS = (home, again, many)


def main() -> int:
    """Measure and print."""
    parser = measure.arguments(__doc__, rounds=9)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--only", choices=[part.__name__ for part in PARTS], help="just this part")
    options = parser.parse_args()
    parts = [part for part in PARTS if options.only in (None, part.__name__)]
    with measure.place(len(HOSTS), files=options.files) as where:
        measure.inv(where, "sync", "--host", NODE)
        kept = [part(where, options.rounds) for part in parts]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
