"""The life of a lab: up, status, stop, hang, start, reboot, down."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from dgummy.errors import DgummyError, ExitCode, UsageError
from dgummy.lab import build, processes, records
from dgummy.lab.figures import Figures, default_figures, write_boot_id
from dgummy.lab.machine import find_program, make_privilege_folder, survey
from dgummy.lab.records import DEFAULT_WITHOUT_GUMMY, Lab, Node, NodeState, NodeStatus
from dgummy.lab.texts import Machine, check_directory

_START_S = 15.0
_BANNER_S = 1.0
_TERM_S = 0.4
_END_S = 10.0
_PORT_TRIES = 3


def up(
    directory: Path,
    nodes: int = 4,
    *,
    down_nodes: int = 1,
    figures: Sequence[Figures] | None = None,
    without_gummy: frozenset[str] = DEFAULT_WITHOUT_GUMMY,
) -> Lab:
    """Make a lab in `directory` (new or empty): `nodes` that run and `down_nodes` more that do not.

    `figures` are for the nodes in order; where there are none, `default_figures` are taken. UsageError for a
    folder that is in use, DgummyError if sshd is missing or will not start. A failure leaves nothing behind.
    """
    if nodes < 0 or down_nodes < 0 or nodes + down_nodes < 1:
        raise UsageError("a lab has at least one node", "ask for one node or more")
    directory = directory.expanduser().resolve()
    check_directory(directory)
    _claim(directory)
    try:
        machine, notices = survey(directory)
        lab = build.lay_out(directory, nodes, down_nodes, without_gummy)
        given = list(figures or ())
        chosen = [given[i] if i < len(given) else default_figures(i) for i in range(len(lab.nodes))]
        host_keys = build.fill(machine, lab, chosen)
        lab, notices = _start_all(machine, lab, notices)
        build.write_configuration(machine, lab, host_keys)
        lab = Lab(lab.directory, lab.nodes, tuple(notices))
    except BaseException as error:  # an interrupt as well: nothing may be left running
        down(Lab(directory, _known_nodes(directory)))
        if isinstance(error, OSError):
            raise DgummyError(
                f"cannot make a lab in {directory}: {error}",
                "look for a full disk, or name a folder of yours",
                code=ExitCode.CONFIG,
            ) from error
        raise
    return lab


def _claim(directory: Path) -> None:
    if (directory / records.RECORD_NAME).exists():
        raise UsageError(f"there is a lab in {directory} already", "take it down first: inv lab.down")
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise UsageError(f"{directory} is not empty", "name a new folder for the lab")
    except OSError as error:
        raise UsageError(f"cannot make a lab in {directory}: {error.strerror}", "name a folder of yours") from error


def _known_nodes(directory: Path) -> tuple[Node, ...]:
    """List the nodes of a half-made lab, for taking it away."""
    found = sorted((directory / "nodes").glob("*")) if (directory / "nodes").is_dir() else []
    return tuple(records.make_node(directory, path.name, 0, expected_up=False, gummy=False) for path in found)


def _start_all(machine: Machine, lab: Lab, notices: list[str]) -> tuple[Lab, list[str]]:
    """Start every node that is expected up. A port that somebody took in between is replaced."""
    build.write_sshd_configs(machine, lab.directory, lab.nodes)
    notice = make_privilege_folder(machine.sshd, build.sshd_config_path(lab.nodes[0]))
    if notice:
        notices.append(notice)
    waiting = [node for node in lab.nodes if node.expected_up]
    for _ in range(_PORT_TRIES):
        waiting = _launch(machine.sshd, waiting)
        if not waiting or not all("in use" in _log_tail(node) for node in waiting):
            break
        lab = build.with_new_ports(lab, {node.name for node in waiting})
        waiting = [lab.node(node.name) for node in waiting]
        build.write_sshd_configs(machine, lab.directory, waiting)
    if waiting:
        raise _start_error(waiting[0])
    return lab, notices


def _launch(sshd: str, nodes: Iterable[Node]) -> list[Node]:
    """Start sshds, all at once; returns those that do not listen in the end.

    sshd goes into the background by itself, and writes its pid file when it listens.
    """
    starting = []
    for node in nodes:
        (node.directory / "sshd.pid").unlink(missing_ok=True)
        (node.directory / "sshd.log").unlink(missing_ok=True)
        config, log = build.sshd_config_path(node), node.directory / "sshd.log"
        command = [sshd, "-o", build.tag(node), "-f", str(config), "-E", str(log)]
        environment = {"PATH": os.defpath, "LANG": "C"}
        quiet = subprocess.DEVNULL
        starting.append(
            (
                node,
                subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, env=environment, cwd="/"),
            )
        )
    end = time.monotonic() + _START_S
    failed = [node for node, process in starting if not _ended_well(process, end - time.monotonic())]
    waiting = [node for node, _ in starting if node not in failed]
    return failed + [node for node in waiting if not _listens(node, end - time.monotonic())]


def _ended_well(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        return process.wait(max(0.0, seconds)) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False


def _listens(node: Node, seconds: float) -> bool:
    pid_file, log = node.directory / "sshd.pid", node.directory / "sshd.log"

    def decided() -> bool:
        return pid_file.exists() or "Cannot bind any address" in _read(log)

    return processes.wait_until(decided, max(0.0, seconds)) and pid_file.exists()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _log_tail(node: Node) -> str:
    return " | ".join(_read(node.directory / "sshd.log").split("\n")[-4:]).strip(" |")


def _start_error(node: Node) -> DgummyError:
    why = _log_tail(node) or "it said nothing"
    return DgummyError(
        f"sshd of {node.name} did not start on 127.0.0.1:{node.port}: {why}",
        "try again; if it stays so, look at `sshd -t` and at free memory",
        code=ExitCode.TRY_AGAIN,
    )


def load(directory: Path) -> Lab | None:
    """Read what is known of the lab in `directory`, running or not; None if there is none."""
    return records.read(directory.expanduser())


def status(lab: Lab) -> list[NodeStatus]:
    """Every node as it is now. Takes about a second if one of them hangs."""
    known = processes.table()
    states = _port_states(lab.nodes)
    result = []
    for node, state in zip(lab.nodes, states, strict=True):
        listener = processes.listener(known, build.tag(node))
        active_runs = len(processes.run_processes(known, node.home))
        pid = listener.pid if listener else None
        result.append(NodeStatus(node.name, node.port, node.expected_up, state, pid, active_runs))
    return result


def _port_states(nodes: Sequence[Node]) -> list[NodeState]:
    """Connect to all first, then listen to each: hung nodes cost one wait altogether."""
    connections = [_connect(node.port) for node in nodes]
    end = time.monotonic() + _BANNER_S
    states = []
    for connection in connections:
        if connection is None:
            states.append(NodeState.DOWN)
            continue
        with connection:
            connection.settimeout(max(0.01, end - time.monotonic()))
            try:
                spoke = connection.recv(4) == b"SSH-"
            except OSError:
                spoke = False
        states.append(NodeState.UP if spoke else NodeState.HUNG)
    return states


def _connect(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=_BANNER_S)
    except OSError:
        return None


def start(lab: Lab, node: str) -> None:
    """Bring a node up that is stopped, hangs, or was never up. Does nothing if it is up."""
    one = lab.node(node)
    listener = processes.listener(processes.table(), build.tag(one))
    if listener is not None:
        processes.send([listener.pid], signal.SIGCONT)
        return
    if _launch(find_program("sshd"), [one]):
        raise _start_error(one)


def stop(lab: Lab, node: str) -> None:
    """Take a node off the network: its port refuses and open connections break. Runs on it go on."""
    one = lab.node(node)
    _end(lambda known: _sshds(known, [one]), f"sshd of {node}", [one])


def hang(lab: Lab, node: str) -> None:
    """Make a node take connections and never speak. Open connections stay. UsageError if it is not up."""
    one = lab.node(node)
    listener = processes.listener(processes.table(), build.tag(one))
    if listener is None:
        raise UsageError(f"{node} is not up", "start it before you hang it")
    _freeze([one])


def reboot(lab: Lab, node: str) -> None:
    """Restart a node's machine: everything on it ends at once, and it comes back with another boot id."""
    one = lab.node(node)
    # All at once: a supervisor must not see its command die and write that down.
    processes.send(_everything(processes.table(), lab, [one]), signal.SIGSTOP)
    _end(lambda known: _everything(known, lab, [one]), node, [one])
    write_boot_id(one.root, str(uuid.uuid4()))
    start(lab, node)


def down(lab: Lab) -> None:
    """End everything of the lab and remove its folder. Safe to call twice, and on a lab that is half gone."""
    _end(lambda known: _everything(known, lab, lab.nodes), f"the lab in {lab.directory}", lab.nodes, ask_s=_TERM_S)
    shutil.rmtree(lab.directory, ignore_errors=True)
    if lab.directory.exists():
        raise DgummyError(
            f"cannot remove all of {lab.directory}",
            f"nothing runs in it any more; remove it yourself: rm -r {lab.directory}",
        )


def _sshds(known: processes.Table, nodes: Iterable[Node]) -> set[int]:
    """Find the listeners of nodes and the sshds of their sessions."""
    listeners = [processes.listener(known, build.tag(node)) for node in nodes]
    family = processes.descendants(known, [one.pid for one in listeners if one])
    return {pid for pid in family if known[pid].is_sshd}


def _runs(known: processes.Table, nodes: Iterable[Node]) -> set[int]:
    """Find the supervisors of runs, their commands, and all in the process groups of these."""
    leaders = {pid for node in nodes for pids in processes.run_processes(known, node.home).values() for pid in pids}
    members = leaders | processes.groups_of(known, leaders)
    return processes.without_ourselves(known, members)


def _everything(known: processes.Table, lab: Lab, nodes: Sequence[Node]) -> set[int]:
    """Find whatever runs on nodes: sshds, what they started, runs, and what detached itself from all of that."""
    roots = _sshds(known, nodes) | _runs(known, nodes)
    mark = f"DGUMMY_LAB={lab.directory}"
    if len(nodes) == len(lab.nodes):
        roots |= processes.marked(known, [mark]) | processes.writing_below(known, lab.directory / "nodes")
    else:
        for node in nodes:
            roots |= processes.marked(known, [mark, f"DGUMMY_NODE={node.name}"])
            roots |= processes.writing_below(known, node.directory)
    return processes.without_ourselves(known, processes.descendants(known, roots))


def _freeze(nodes: Sequence[Node]) -> None:
    """Stop listeners, so that no session is born while we look: it would carry no mark to find it by."""
    tags = [build.tag(node) for node in nodes]

    def listeners() -> list[processes.Process]:
        known = processes.table()
        return [one for tag in tags if (one := processes.listener(known, tag))]

    processes.send([one.pid for one in listeners()], signal.SIGSTOP)
    processes.wait_until(lambda: all(one.is_stopped for one in listeners()), 1.0)


def _end(find: Callable[[processes.Table], set[int]], what: str, nodes: Sequence[Node], *, ask_s: float = 0.0) -> None:
    """End what `find` finds, again and again until there is nothing. Runs are asked first, and get `ask_s` seconds."""
    _freeze(nodes)
    known = processes.table()
    # What was found once stays on the list: when its parent is gone, nothing may tell any more whose it was.
    seen = {pid: known[pid].start for pid in find(known)}
    asked = _runs(known, nodes) if ask_s else set()
    processes.send(asked, signal.SIGTERM)
    processes.wait_until(lambda: not asked or not asked & processes.table().keys(), ask_s)

    def gone() -> bool:
        known = processes.table()
        seen.update({pid: known[pid].start for pid in find(known)})
        for pid in [pid for pid, start in seen.items() if not processes.is_alive(known, pid, start)]:
            del seen[pid]
        processes.send(seen, signal.SIGKILL)
        return not seen

    if not processes.wait_until(gone, _END_S):
        pids = " ".join(map(str, sorted(seen)))
        raise DgummyError(f"could not end {what}: processes {pids} are still there", f"kill -KILL {pids}")
