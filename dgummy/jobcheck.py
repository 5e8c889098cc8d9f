"""Whether a job could run as things are now: its project and its hosts, asked from where cron would start it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dgummy.chooser import Wish
from dgummy.cluster import Cluster
from dgummy.errors import ExitCode, NoHostError, RefusedError
from dgummy.model import Failure, FailureKind, HostStatus

_NO_AGENT = (
    "cron has no ssh agent: use a key without a passphrase for it (IdentityFile in ssh's config), or an agent whose "
    "socket lasts (SSH_AUTH_SOCK in /run/user, say)"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What of a job can be tried: which hosts it may use, and whether it brings the project there."""

    wish: Wish
    sync: bool
    force: bool = False


def check(cluster: Cluster, trial: Trial, *, has_agent: bool) -> Sequence[HostStatus]:
    """How each of its hosts answered; none, if it runs on this machine.

    RefusedError if one of them refuses us, NoHostError if none answers. Nothing is started.
    """
    cluster.force = trial.force
    cluster.check(trial.wish)
    if cluster.is_here(trial.wish):
        return ()
    if trial.sync:
        cluster.check_project()
    statuses = cluster.status(trial.wish, refresh=True).statuses
    for status in statuses:
        if status.failure is not None and status.failure.kind.exit_code == ExitCode.REFUSED:
            raise RefusedError(
                f"{status.host}: {status.failure}", _remedy(status.host, status.failure, has_agent=has_agent)
            )
    if statuses and not any(status.online for status in statuses):
        failure = statuses[0].failure or Failure(FailureKind.TIMED_OUT)
        what = f"none of its hosts answers; {statuses[0].host}: {failure}"
        raise NoHostError(what, failure.remedy or "see who is up: inv status")
    return statuses


def _remedy(host: str, failure: Failure, *, has_agent: bool) -> str:
    remedy = failure.remedy
    if failure.kind is FailureKind.AUTHENTICATION and not has_agent:
        remedy = _NO_AGENT
    return f"{remedy}; or let the job do without it: --exclude {host}" if remedy else f"--exclude {host} leaves it out"
