"""Jobs without hosts: where they are kept, what is known of them, and what keeps them from running."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import standin_crontab
from dgummy import boundary, cronline, jobrecord, locks, timerunits
from dgummy.cronline import CronJob
from dgummy.cronstore import Crontab, Timers
from dgummy.errors import ConfigError, DgummyError, NoHostError, RefusedError, UsageError
from dgummy.jobrecord import JobFiles, LastRun, Record
from dgummy.jobrun import JobRun
from dgummy.ledger_rows import RunRow
from dgummy.scheduling import Jobs, Listed, Place
from dgummy.tasks import _jobs

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=timezone.utc)
BEFORE = b"MAILTO=ana\n  0\t5 * * 7   echo  100\\% # mine\n"


class Desk:
    """A user with a crontab program, a home folder and a state folder."""

    def __init__(self, folder: Path, script: str = "") -> None:
        self.table = standin_crontab.make(folder / "bin", script)
        self.home = folder / "home"
        self.home.mkdir()
        self.state = folder / "state"
        self.environ = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
        self.crontab = Crontab(self.environ)
        self.timers = Timers(self.environ, self.home / ".config/systemd/user")
        self.jobs = Jobs(Place(self.environ, self.home, self.state, lambda: NOW))

    def job(self, name: str = "nightly", fields: str = "0 2 * * *", program: str = "/bin/true") -> CronJob:
        log = str(self.state / "cron" / f"{name}.log")
        return CronJob(name, fields, str(self.home), (), program, name, log, ("run", "pytest"))

    def listed(self, newest: RunRow | None = None) -> Listed:
        (found,) = self.jobs.listed(lambda state_dir, name: newest, NOW)
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_crontab_is_as_before_once_a_job_is_gone(desk: Desk) -> None:
    for before in (b"", BEFORE):
        if before:
            desk.table.write_bytes(before)
        desk.jobs.add(desk.job(), desk.crontab, replace=True)
        desk.jobs.add(desk.job("other"), desk.crontab, replace=True)
        assert desk.table.read_bytes() == before + cronline.line(desk.job()) + cronline.line(desk.job("other"))
        desk.jobs.remove("nightly")
        assert desk.table.read_bytes() == before + cronline.line(desk.job("other"))
        desk.jobs.remove("other")
        assert (desk.table.read_bytes() if before else desk.table.exists()) == (before or False)
    with pytest.raises(UsageError, match="there is no job nightly"):
        desk.jobs.remove("nightly")


def test_a_name_is_given_once(desk: Desk) -> None:
    store = desk.jobs.check_new("nightly", timer=False, replace=False)
    desk.jobs.add(desk.job(), store, replace=False)
    with pytest.raises(UsageError, match=r"there is a job nightly already \(0 2 \* \* \*\)") as raised:
        desk.jobs.check_new("nightly", timer=True, replace=False)
    assert "--replace" in raised.value.remedy
    desk.jobs.add(desk.job(fields="0 3 * * *"), desk.jobs.check_new("nightly", timer=False, replace=True), replace=True)
    assert desk.table.read_bytes() == cronline.line(desk.job(fields="0 3 * * *"))


def test_of_two_that_add_one_name_at_once_one_is_refused(tmp_path: Path) -> None:
    """Both have seen that the name is free. They may even have state folders of their own: the table is the user's."""
    desk = Desk(tmp_path, standin_crontab.SLOW)
    other = Jobs(Place(desk.environ, desk.home, tmp_path / "other state", lambda: NOW))
    refused: list[str] = []

    def add(jobs: Jobs, fields: str) -> None:
        try:
            jobs.add(desk.job(fields=fields), jobs.check_new("nightly", timer=False, replace=False), replace=False)
        except UsageError as error:
            refused.append(error.message)

    both = [threading.Thread(target=add, args=one) for one in ((desk.jobs, "0 2 * * *"), (other, "0 3 * * *"))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(refused) == 1 and "there is a job nightly already" in refused[0]
    assert desk.table.read_bytes().count(b"\n") == 1


def test_a_job_is_known_by_its_own_state_folder(desk: Desk, tmp_path: Path) -> None:
    """It was added with other settings than those of now."""
    asked: list[Path] = []
    desk.jobs.add(desk.job(), desk.crontab, replace=False)
    JobFiles(Path(desk.job().log)).keep(last=LastRun(NOW, NOW, 0))
    elsewhere = Jobs(Place(desk.environ, desk.home, tmp_path / "other state", lambda: NOW))
    with locks.held(desk.state / "locks", "nightly", "dgummy run x", NOW, job="nightly"):
        (found,) = elsewhere.listed(lambda state_dir, name: asked.append(state_dir), NOW)
    assert found.last == LastRun(NOW, NOW, 0) and asked == [desk.state]
    assert found.holder is not None and found.holder.pid == os.getpid()
    with locks.held(desk.state / "locks", "nightly", "dgummy run x", NOW, job="another"):
        assert desk.listed().holder is None  # they share the lock, and that one runs


def test_a_job_of_which_nothing_could_be_kept_is_refused(desk: Desk) -> None:
    desk.state.write_text("a file")
    with pytest.raises(ConfigError, match="cannot be in") as raised:
        desk.jobs.add(desk.job(), desk.crontab, replace=False)
    assert "state_dir" in raised.value.remedy and not desk.table.exists()


NOT_ALLOWED = "echo 'You (ana) are not allowed to use this program (crontab)' >&2; exit 1"
NO_PERMISSION = "echo 'crontabs/ana: Permission denied' >&2; exit 1"
DISK_FULL = "[ $1 = -l ] && exit 0; echo 'disk full' >&2; exit 1"
FORGETFUL = "[ $1 = -l ] && exit 0; cat >/dev/null"
BUSYBOX = "echo \"crontab: can't open 'ana': No such file or directory\" >&2; exit 1"


@pytest.mark.parametrize(
    ("script", "kind", "what"),
    [
        (NOT_ALLOWED, RefusedError, "you may not use cron here"),
        (NO_PERMISSION, DgummyError, "Permission denied"),
        (DISK_FULL, DgummyError, "disk full"),
        (FORGETFUL, DgummyError, "is not what was written"),
        (BUSYBOX, DgummyError, "can't open"),
    ],
    ids=["not allowed", "no permission", "cannot write", "writes nothing", "busybox, which cannot write"],
)
def test_a_crontab_program_that_does_not_do_it(tmp_path: Path, script: str, kind: type[DgummyError], what: str) -> None:
    desk = Desk(tmp_path, f"#!/bin/sh\n{script}\n")
    with pytest.raises(kind, match=what) as raised:
        desk.crontab.add(desk.job())
    assert raised.value.remedy
    if kind is RefusedError:  # what the remedy names is not kept from being done
        assert "--timer" in raised.value.remedy
        assert desk.jobs.check_new("nightly", timer=True, replace=False).name == "timer"


def test_where_there_is_no_cron(desk: Desk) -> None:
    (desk.table.parent / "crontab").unlink()
    desk.environ["PATH"] = str(desk.table.parent)
    with pytest.raises(NoHostError, match="no crontab program") as raised:
        desk.jobs.check_new("nightly", timer=False, replace=False)
    assert "--timer" in raised.value.remedy
    assert desk.jobs.listed(lambda state_dir, name: None, NOW) == []
    unread = desk.jobs.unread()
    assert unread is not None and "no crontab program" in unread.message
    with pytest.raises(DgummyError, match="no job nightly that can be seen: there is no cron here") as refused:
        desk.jobs.find("nightly")
    assert "install one" in refused.value.remedy and refused.value.code == 69
    with pytest.raises(NoHostError, match="no systemctl"):
        desk.timers.add(desk.job())


SYSTEMCTL = """#!/bin/sh
echo "$*" >>"$0.log"
[ ! -e "$0.broken" ] || { echo "Failed to connect to bus" >&2; exit 1; }
wants="$HOME/.config/systemd/user/timers.target.wants"
case $2 in
enable) mkdir -p "$wants" && ln -sf "../$4" "$wants/$4" ;;
disable) rm -f "$wants/$4" ;;
esac
"""


def test_timers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl = desk.table.parent / "systemctl"
    systemctl.write_text(SYSTEMCTL)
    systemctl.chmod(0o755)
    monkeypatch.setenv("HOME", str(desk.home))
    monkeypatch.setenv("PATH", desk.environ["PATH"])
    (desk.timers.folder).mkdir(parents=True)
    (desk.timers.folder / "dgummy-mine.timer").write_text("[Timer]\nOnCalendar=daily\n")
    with pytest.raises(RefusedError, match="not ours"):
        desk.timers.add(desk.job("mine"))
    desk.jobs.add(desk.job(), desk.crontab, replace=True)
    desk.jobs.add(desk.job(fields="0 0 1 * 1"), desk.timers, replace=True)  # in place of the one that cron ran
    assert not desk.table.exists()
    found = desk.listed()
    assert (found.entry.is_timer, found.entry.fields, found.problems) == (True, "0 0 1 * 1", ())
    assert Path(f"{systemctl}.log").read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable --now dgummy-nightly.timer",
    ]
    Path(f"{systemctl}.broken").touch()
    with pytest.raises(NoHostError, match="Failed to connect to bus"):
        desk.jobs.add(desk.job(fields="0 5 * * *"), desk.timers, replace=True)
    assert desk.listed().entry.fields == "0 0 1 * 1"  # what was there is there still
    with pytest.raises(NoHostError):
        desk.timers.add(desk.job("new"))
    assert not (desk.timers.folder / timerunits.unit_name("new", "timer")).exists()
    desk.jobs.remove("nightly")
    assert [path.name for path in desk.timers.folder.glob("dgummy-*")] == ["dgummy-mine.timer"]


# -- what is known of a job ------------------------------------------------------------------------------------------


def test_what_keeps_a_job_from_running_is_told(desk: Desk) -> None:
    desk.jobs.add(desk.job(), desk.crontab, replace=True)
    assert desk.listed().problems == ()
    assert desk.listed().next_at == NOW.replace(day=29, hour=2)
    desk.table.write_bytes(cronline.line(replace(desk.job(program="/gone/bin/dgummy"), folder="/gone/project")))
    gone = desk.listed().problems
    assert "the program /gone/bin/dgummy is gone" in gone[0] and "its folder /gone/project is gone" in gone[1]
    for script in ("#!/gone/python3 -I\n", '#!/bin/sh\n\'\'\'exec\' "/gone/python3" "$0" "$@"\n'):
        runs = program(desk.home, script)
        desk.table.write_bytes(cronline.line(desk.job(program=runs)))
        (problem,) = desk.listed().problems
        assert problem.startswith(f"/gone/python3, which runs {runs}, is gone: install dgummy anew")
    desk.table.write_bytes(cronline.line(desk.job(program=program(desk.home, "#!/bin/sh\nexec true\n"))))
    assert desk.listed().problems == ()
    desk.table.write_bytes(b"#" + cronline.line(desk.job()))
    assert desk.listed().problems == ("its line is commented out: it does not run",)
    assert desk.listed().next_at is None
    desk.table.write_bytes(cronline.line(desk.job()).replace(b"0 2 *", b"0 99 *"))
    assert desk.listed().problems == (
        "cron cannot read its line: mend it (crontab -e), or add the job again (--replace)",
    )
    with pytest.raises(UsageError, match="never runs it"):
        desk.jobs.run(desk.jobs.find("nightly"), lambda _: None)
    for was, now in ((b"--lock nightly", b"--lock ../x"), (b"--log /", b"--log ")):
        desk.table.write_bytes(cronline.line(desk.job()).replace(was, now))
        assert desk.listed().problems == ("its line was changed to something that is not known here",)
    desk.table.write_bytes(cronline.line(desk.job()).replace(b"0 2 * * *", b"@reboot"))
    assert "its schedule '@reboot'" in desk.listed().problems[0]


def test_a_time_that_was_missed_is_told(desk: Desk) -> None:
    files, line = JobFiles(Path(desk.job().log)), cronline.line(desk.job())
    desk.jobs.add(desk.job(), desk.crontab, replace=True)
    files.keep(added_at=NOW - timedelta(hours=10))
    assert desk.listed().problems == ()  # added after it was due last
    files.keep(added_at=NOW - timedelta(days=3))
    assert desk.listed().problems == ("it did not run at 2026-11-28 02:00, as it should have",)
    files.keep(last=LastRun(NOW.replace(hour=2), NOW.replace(hour=3), 0))
    assert desk.listed().problems == ()
    desk.table.write_bytes(line.replace(b"0 2 *", b"59 19 *"))
    assert desk.listed().problems == ()  # a minute ago: it may be about to begin


def test_the_last_time_is_one_with_its_run_or_without(desk: Desk) -> None:
    desk.jobs.add(desk.job(), desk.crontab, replace=True)
    began = NOW - timedelta(hours=1)
    JobFiles(Path(desk.job().log)).keep(last=LastRun(began, NOW, 1, "failed"))
    row = RunRow("20261128-190001-abcdef", "run", "pytest", began + timedelta(seconds=1))
    assert desk.listed(row).run == row
    assert desk.listed(replace(row, created_at=began - timedelta(days=1))).run is None


def test_what_is_kept_of_a_job_is_its_users_alone(desk: Desk) -> None:
    files = JobFiles(desk.state / "cron" / "a.log")
    files.log.parent.mkdir(parents=True, mode=0o755)
    files.record_path.touch(mode=0o644)
    files.keep(added_at=NOW)
    with files.opened():
        pass
    modes = [path.stat().st_mode & 0o777 for path in (files.log.parent, files.log, files.record_path)]
    assert modes == [0o700, 0o600, 0o600]


def test_a_record_that_is_damaged_is_none(desk: Desk) -> None:
    files = JobFiles(desk.state / "cron" / "a.log")
    assert files.record() == Record()
    files.keep(added_at=NOW)
    files.keep(last=LastRun(NOW))
    assert files.record() == Record(NOW, LastRun(NOW))
    files.record_path.write_bytes(b'{"added_at": 5')
    assert files.record() == Record()
    assert [path.name for path in files.record_path.parent.iterdir()] == ["a.json"]


def test_logs_are_moved_away_when_they_are_large(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobrecord, "MAX_LOG_BYTES", 10)
    files = JobFiles(desk.state / "cron" / "a.log")
    for number in range(6):
        files.rotate()
        with files.opened() as log:
            os.write(log, b"%d 456789 long\n" % number)
    assert files.read(0) == (b"5 456789 long\n", 14)
    assert files.read(14) == (b"", 14)
    assert files.read(15) == (b"5 456789 long\n", 14)  # it was moved away, and begun anew
    kept = {path.name: path.read_text()[0] for path in files.log.parent.iterdir()}
    assert kept == {"a.log": "5", "a.log.1": "4", "a.log.2": "3", "a.log.3": "2"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("run x", True),
        ("fanout x", True),
        ("distribute --command x", True),
        ("run --no-sync x", False),
        ("run --collect x", False),
        ("run --collect-first x", False),
        ("run --isolate x", False),
        ("fanout --task x", False),
        ("distribute x", False),
        ("task x", False),
        ("sync", False),
        ("load", False),
        ("watch --html x", False),
    ],
)
def test_what_becomes_of_results_is_told_where_they_are_in_the_way(words: str, told: bool) -> None:
    task, given = boundary.parsed(words.split())
    assert bool(_jobs.about_results(task, given, collects_tasks=True)) is told
    if task == "task":
        assert _jobs.about_results(task, given, collects_tasks=False)


# -- running one -----------------------------------------------------------------------------------------------------


def program(folder: Path, script: str) -> str:
    path = folder / "program"
    path.write_text(script if script.startswith("#!") else f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_all_it_says_is_in_its_log_and_how_it_ended_in_its_record(desk: Desk, tmp_path: Path) -> None:
    files = JobFiles(desk.state / "cron" / "nightly.log")
    run = JobRun("nightly", files, ("run", "--env=A=geheim", "x y"), now=lambda: NOW)
    script = 'echo "$DGUMMY_JOB $INVOKE_DGUMMY_NOTICES $*"; echo "✗ it broke" >&2; exit 3'
    code, why = run.run(program(tmp_path, script), desk.state / "locks", "nightly", lambda: None)
    assert (code, why) == (3, "it broke")
    begins, said, broke, ends = files.log.read_text().splitlines()
    assert begins.endswith("nightly begins: dgummy run --env=A=… 'x y'")
    assert (said, broke) == ("nightly always run --env=A=geheim x y", "✗ it broke")
    assert ends.endswith("nightly ended with exit code 3 after 0.0 s")
    assert files.record().last == LastRun(NOW, NOW, 3, "it broke", os.getpid())


def test_why_it_failed_is_known_although_its_log_was_removed(desk: Desk, tmp_path: Path) -> None:
    files = JobFiles(desk.state / "cron" / "nightly.log")
    run = JobRun("nightly", files, ("run",), now=lambda: NOW)
    script = program(tmp_path, f"rm -r {files.log.parent}; echo '✗ it broke' >&2; exit 3")
    assert run.run(script, desk.state / "locks", "nightly", lambda: None) == (3, "it broke")
    assert files.record().last == LastRun(NOW, NOW, 3, "it broke", os.getpid())


def test_a_log_that_cannot_be_written_keeps_nothing_from_running(
    desk: Desk, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    run = JobRun("nightly", JobFiles(tmp_path / "file" / "nightly.log"), ("run",), now=lambda: NOW)
    code, why = run.run(program(tmp_path, "echo ran"), desk.state / "locks", "nightly", lambda: None)
    assert (code, why) == (0, "not all of it is in its log: File exists")
    assert capfd.readouterr().err.endswith("nightly.log: File exists\nran\n")
