"""What is wrong with a host, from what it told and from how it could be reached. Pure.

A host that cannot be reached has one finding: the first step that failed. The steps are those of ssh.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from dgummy import agents
from dgummy.findings import Checkup, Mending, Notes, Repair, Work
from dgummy.gate import DISK_RESERVE_BYTES
from dgummy.model import Failure, FailureKind
from dgummy.units import format_bytes, format_count, format_duration
from dgummy.vitals import Program, Vitals

SESSIONS_WANTED = 8
"""How many scripts may run at once over one connection, if sshd lets them."""

SLOW_LOGIN_S = 2
START_S = 3
"""So long remote/doctor.sh lets a program take to tell its version."""
OLD_WORK_S = 86_400
OLD_RUNS_DAYS = 30
SKEW_HINT_S, SKEW_PROBLEM_S = 5.0, 60.0
STEPS = ("name", "port", "host-key", "authentication", "shell")

_CUT_OFF = 137  # what was killed for taking too long
_STEP_OF = {
    FailureKind.DNS: "name",
    FailureKind.CONFIG: "name",
    FailureKind.HOST_KEY: "host-key",
    FailureKind.AUTHENTICATION: "authentication",
}
_WHY = {
    "name": "nothing can be reached under a name that leads nowhere",
    "port": "without an ssh server that answers, no work gets there",
    "host-key": "whoever answers may be somebody else; nothing is sent to a machine that cannot prove who it is",
    "authentication": "nobody is let in, so no work gets there",
    "shell": "every command is started by the account's shell",
}
_INSTALL = {
    "brew": "brew install {}",
    "apt-get": "sudo apt-get install -y {}",
    "dnf": "sudo dnf install -y {}",
    "yum": "sudo yum install -y {}",
    "apk": "sudo apk add {}",
    "pacman": "sudo pacman -S --noconfirm {}",
    "zypper": "sudo zypper install -y {}",
    "pkg": "sudo pkg install -y {}",
}
_CLI_INSTALL = "npm install -g @anthropic-ai/claude-code"
_SAFE = re.compile(r"[A-Za-z0-9_./:=@%+ -]+")


@dataclass(frozen=True, slots=True)
class Patient:
    """A host that is looked at, and what is asked of it.

    ssh: the words that reach it by hand, () for this machine. tool: the agent's program, installed by `install`.
    project_at_home: whether projects go below its home folder. synced: whether projects are brought to it at all.
    """

    name: str
    ssh: tuple[str, ...] = ()
    tool: str = "gummy"
    install: str = ""
    project_at_home: bool = True
    synced: bool = True

    @property
    def cli(self) -> str:
        """The program that has to be logged in."""
        return agents.logged_in_cli(self.tool)

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs to look for."""
        needed = (self.tool, *agents.companions(self.tool), *([self.cli] if self.cli else []))
        return tuple(dict.fromkeys(("rsync", "git", "jq", *needed)))

    def there(self, command: str, *, terminal: bool = False) -> str:
        """The command line, here, that gives a command there."""
        if not self.ssh:
            return command
        words = [*self.ssh[:1], *(["-t"] if terminal else []), *self.ssh[1:]]
        return f"{shlex.join(words)} {command if _SAFE.fullmatch(command) else shlex.quote(command)}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured on the way.

    skew_s: its clock minus ours, good to skew_error_s. noise: what its shell printed to stdout before it was given
    anything. sessions: how many could be open at once of SESSIONS_WANTED. None for what nobody measured.
    """

    skew_s: float | None = None
    skew_error_s: float = 0.0
    noise: str = ""
    sessions: int | None = None


def unreachable(patient: Patient, asked: str, failure: Failure, address: str = "") -> Checkup:
    """A host at which one step failed. `asked` is what `ssh -G` made of its name, `address` where it was reached."""
    notes = Notes(patient.name)
    step = _failed_step(failure, reached=bool(address))
    _passed_steps(notes, STEPS[: STEPS.index(step)], asked, address)
    seen = f" (ssh -G: {asked})" if asked and step == "name" and failure.kind is not FailureKind.CONFIG else ""
    fix = failure.remedy or patient.there("true")
    is_said = failure.kind.value.replace(" ", "-") == step and bool(failure.detail)
    notes.problem(step, f"{failure.detail if is_said else failure}{seen}", _WHY[step], fix, Work.ANY)
    return notes.done()


def _failed_step(failure: Failure, *, reached: bool) -> str:
    if reached:  # by d, which logs in for every command, later steps may fail as well
        return _STEP_OF.get(failure.kind, "shell")
    if failure.kind is FailureKind.TIMED_OUT and "authentication" in failure.detail:
        return "authentication"
    return _STEP_OF.get(failure.kind, "port")


def _passed_steps(notes: Notes, steps: tuple[str, ...], asked: str, address: str) -> None:
    seen = {
        "name": f"ssh -G: {asked}",
        "port": f"answers{f' at {address}' if address else ''}",
        "host-key": "is the one that is known",
        "authentication": "lets us in",
        "shell": "runs sh",
    }
    for step in steps:
        notes.ok(step, seen[step])


def examine(patient: Patient, asked: str, address: str, told: Vitals, measured: Measured) -> Checkup:
    """A host that answered. `asked` and `address` as in `unreachable`; both are "" for this machine."""
    notes = Notes(patient.name)
    if patient.ssh:
        _passed_steps(notes, STEPS, asked, address)
        _noise(notes, patient, measured.noise)
    _login_shell(notes, patient, told)
    _programs(notes, patient, told)
    _state(notes, patient, told)
    _disk(notes, patient, told)
    _clock(notes, patient, told, measured)
    _sessions(notes, patient, measured.sessions)
    _leftovers(notes, patient, told)
    return notes.done()


def _noise(notes: Notes, patient: Patient, noise: str) -> None:
    if not noise:
        notes.ok("shell-noise", "a bare command prints nothing of its own")
        return
    said = next(iter(noise.splitlines()), "")
    notes.problem(
        "shell-noise",
        f"its shell prints before any command does: {said[:80]}",
        "rsync takes that for its own protocol and gives up, so no project can be brought there",
        f"see {patient.there('true')}; let the rc file there print only if a person reads: case $- in *i*) … esac",
        Work.SYNC,
    )


def _login_shell(notes: Notes, patient: Patient, told: Vitals) -> None:
    shell = told.shell or "the login shell"
    if told.state_error and not told.login_told:
        return  # it was asked by way of a file that could not be written
    if not told.login_told:
        notes.problem(
            "login-shell",
            f"{shell} -l did not say what PATH it has{f', in {told.login_s} s' if told.login_s else ''}",
            "programs are looked for on the PATH of the login shell, and every look at the host waits for it",
            f"see what it waits for: {patient.there(f'{shell} -l -c true')}",
        )
    elif told.login_s > SLOW_LOGIN_S:
        notes.hint(
            "login-shell",
            f"{shell} -l takes {told.login_s} s to start",
            "every look at the host, and every start of a run, waits for it",
            f"look for what is slow: {patient.there(f'{shell} -l -x -c true')}",
        )
    else:
        more = [folder for folder in told.login_path if folder not in told.path]
        extra = f"{format_count(len(more), 'folder')} more than a bare session" if more else "as of a bare session"
        notes.ok("login-shell", f"tells its PATH: {extra}")


def _programs(notes: Notes, patient: Patient, told: Vitals) -> None:
    if patient.synced:
        install = _install(patient, told, "rsync")
        _needed(notes, patient, told, "rsync", "no project can be brought there", install, Work.SYNC)
    _wanted(notes, patient, told, "git", "agents cannot commit what they do, and nobody sees what they changed")
    if not _agent(notes, patient, told):
        return
    if patient.tool == "gummy":
        _wanted(notes, patient, told, "jq", "gummy's specialists need it; without it every task is one-off")


def _agent(notes: Notes, patient: Patient, told: Vitals) -> bool:
    """Whether the agent's program is there; what it starts, and its login, are checked if it is."""
    why = "agents' tasks go to other hosts, or nowhere"
    install = patient.there(patient.install, terminal=True) if patient.install else f"install {patient.tool} there"
    if not _needed(notes, patient, told, patient.tool, why, install, Work.AGENT, check="agent"):
        return False
    for name in agents.companions(patient.tool):
        why = f"{patient.tool} starts it for every task, and fails without it"
        if not _needed(notes, patient, told, name, why, patient.there(_CLI_INSTALL), Work.AGENT, check="agent-cli"):
            return True
    if patient.cli and _starts(notes, patient, told):
        _agent_login(notes, patient, told)
    return True


def _starts(notes: Notes, patient: Patient, told: Vitals) -> bool:
    found = told.versions.get(patient.cli)
    if found is None or found.status == 0:
        notes.ok("agent-start", f"{patient.cli} {found.text if found else 'was not started'}")
        return True
    if found.status == _CUT_OFF:
        what = f"{patient.cli} did not answer --version within {START_S} s"
        why = "it starts slowly, or the host is busy; tasks go there all the same"
        notes.hint("agent-start", what, why, patient.there(f"{told.programs[patient.cli].login} --version"))
        return True
    notes.problem(
        "agent-start",
        f"{patient.cli} does not start from a bare session: exit code {found.status}",
        "a task is run from such a session; what it needs (node, say) may be on no PATH there",
        patient.there(f"{told.programs[patient.cli].login} --version"),
        Work.AGENT,
    )
    return False


def _agent_login(notes: Notes, patient: Patient, told: Vitals) -> None:
    how, detail = told.agent_login
    cli = told.programs[patient.cli].login
    what = {
        "none": f"{patient.cli} is not logged in: there is neither a login nor a key that it could use",
        "unreadable": f"{patient.cli} is not logged in: {detail} cannot be read by this account",
        "keychain": f"{patient.cli} is logged in by the keychain, which is locked for sessions over ssh",
        "login-variable": f"{detail} is set by the login shell only, and tasks are not run from one",
    }
    if how not in what or (how == "keychain" and detail == "open"):
        notes.ok("agent-login", f"{patient.cli} has {'a login in ' if how != 'variable' else ''}{detail or how}")
        return
    fix = {
        "unreadable": patient.there(f"sudo chown $(id -u) {shlex.quote(detail)}", terminal=True),
        "keychain": f"{patient.there(f'{cli} setup-token', terminal=True)}; export what it gives in ~/.zshenv there",
        "login-variable": f"export {detail} in what every shell reads there (~/.bashrc, ~/.zshenv), or --env {detail}",
    }
    notes.problem(
        "agent-login",
        what[how],
        "an agent that is not logged in ends at once, with nothing done",
        fix.get(how, f"{patient.there(cli, terminal=True)}, then /login"),
        Work.AGENT,
    )


def _needed(
    notes: Notes, patient: Patient, told: Vitals, name: str, why: str, fix: str, stops: Work, check: str = ""
) -> bool:
    """Whether runs find a program; if not, whether it is anywhere."""
    found = told.programs.get(name, Program())
    if found.login:
        version = told.versions.get(name)
        said = f" ({version.text})" if version and version.text and not check else ""
        notes.ok(check or name, f"{found.login}{said}")
        return True
    if found.plain or found.elsewhere:
        folder = (found.plain or found.elsewhere).rpartition("/")[0] or "/"
        where = "the PATH of a bare session" if found.plain else "no PATH"
        notes.problem(
            "path",
            f"{name} is in {folder}, on {where} and not on that of the login shell",
            f"runs get the PATH of the login shell, so {why}",
            f"inv config.path names your settings; add there: hosts: {{{patient.name}: {{path: [{folder}]}}}}",
            stops,
        )
    else:
        notes.problem(check or name, f"{name} not found", why, fix, stops)
    return False


def _wanted(notes: Notes, patient: Patient, told: Vitals, name: str, why: str) -> None:
    found = told.programs.get(name, Program())
    if found.login:
        notes.ok(name, found.login)
    else:
        notes.hint(name, f"{name} not found", why, _install(patient, told, name))


def _install(patient: Patient, told: Vitals, package: str) -> str:
    command = _INSTALL.get(told.installer)
    if command is None:
        return f"install {package} there, with what its system offers for that"
    return patient.there(command.format(package), terminal="sudo" in command)


def _state(notes: Notes, patient: Patient, told: Vitals) -> None:
    folder = "~/.local/state/dgummy"
    if told.state_error:
        notes.problem(
            "state",
            f"{folder} cannot be used: {told.state_error}",
            "that folder is what a host remembers its runs by; without it none starts",
            patient.there(f"ls -ld {folder}; df -h {folder}"),
            Work.ANY,
        )
    elif re.fullmatch(r"d(.{4}w.*|.{7}w.*)", told.state_mode):
        notes.problem(
            "state",
            f"{folder} can be written to by others ({told.state_mode})",
            "whoever can write there can run commands as you",
            patient.there(f"chmod go-w {folder}"),
            repair=Repair(Mending.PRIVATE, folder),
        )
    else:
        notes.ok("state", f"{folder} can be written to, by its owner alone")


def _disk(notes: Notes, patient: Patient, told: Vitals) -> None:
    free = told.disk_free_bytes
    if free is None:
        return
    if free >= DISK_RESERVE_BYTES:
        notes.ok("disk", f"{format_bytes(free)} free in the home folder")
        return
    stops = (Work.SYNC,) if patient.project_at_home and patient.synced else ()
    notes.problem(
        "disk",
        f"only {format_bytes(free)} free in the home folder",
        f"a project wants {format_bytes(DISK_RESERVE_BYTES)}; a disk that fills up breaks syncs and runs half-way",
        patient.there("df -h ~"),
        *stops,
    )


def _clock(notes: Notes, patient: Patient, told: Vitals, measured: Measured) -> None:
    if measured.skew_s is None:
        return
    off_s = max(0.0, abs(measured.skew_s) - measured.skew_error_s)
    if off_s < SKEW_HINT_S:
        notes.ok("clock", "agrees with ours")
        return
    way = "ahead of" if measured.skew_s > 0 else "behind"
    write = notes.problem if off_s >= SKEW_PROBLEM_S else notes.hint
    linux = told.system != "darwin"
    command = "sudo timedatectl set-ntp true" if linux else "sudo sntp -sS time.apple.com"
    write(
        "clock",
        f"its clock is {format_duration(abs(measured.skew_s))} {way} ours",
        "files that were sent look newer or older than they are: make builds too much or too little, logins fail",
        patient.there(command, terminal=True),
    )


def _sessions(notes: Notes, patient: Patient, sessions: int | None) -> None:
    if sessions is None:
        return
    if sessions >= SESSIONS_WANTED:
        notes.ok("sessions", f"at least {sessions} at once over one connection")
        return
    notes.hint(
        "sessions",
        f"sshd allows {format_count(sessions, 'session')} at once over one connection, not {SESSIONS_WANTED}",
        "more connections are opened instead, four at most: of many runs at once some wait",
        patient.there('sudo sh -c "echo MaxSessions 10 >/etc/ssh/sshd_config.d/sessions.conf"', terminal=True)
        + ", then restart sshd there",
    )


def _leftovers(notes: Notes, patient: Patient, told: Vitals) -> None:
    host = f" --host {patient.name}"
    old = sorted(run for run, age_s in told.uncollected.items() if age_s >= OLD_WORK_S)
    if old:
        what = f"the work of {format_count(len(old), 'run')} is on this host alone, for more than a day"
        why = "nothing overwrites it, so the next run of that project is refused"
        notes.hint("uncollected", what, why, f"inv collect {' '.join(old[:5])}")
    if told.old_runs:
        what = f"{format_count(told.old_runs, 'run')} older than {OLD_RUNS_DAYS} days"
        notes.hint("old-runs", what, "their output takes room", f"inv runs.prune --older {OLD_RUNS_DAYS}d")
    if told.stale_locks:
        what = f"{format_count(len(told.stale_locks), 'project')} still held by a run that is over"
        notes.hint("locks", what, "the next sync takes it over", f"inv sync{host}")
    if told.old_copies:
        copies = "1 copy" if told.old_copies == 1 else f"{told.old_copies:,} copies"
        what = f"{copies} of --isolate that expired"
        notes.hint("old-copies", what, "they take room", f"inv workspace.clean{host}")
    if told.temporary:
        what = f"{format_count(told.temporary, 'temporary file')} of ours older than a day"
        fix = f"inv doctor --fix{host}"
        repair = Repair(Mending.TIDY, "~/.local/state/dgummy")
        notes.hint("temporary", what, "something ended them before they ended", fix, repair=repair)
    if not (old or told.old_runs or told.stale_locks or told.old_copies or told.temporary):
        notes.ok("leftovers", "none")
