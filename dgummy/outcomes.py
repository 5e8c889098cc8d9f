"""What an end means for a run, and a failure of a host, and which of several failures decides. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dgummy.errors import ExitCode
from dgummy.gate import LOOKS_AGAIN
from dgummy.model import Attempt, Failure, FailureKind, RunState
from dgummy.placement import Choice, Obstacle, Verdict

_REFUSED = frozenset({FailureKind.HOST_KEY, FailureKind.AUTHENTICATION})
_SKIPPED = frozenset({FailureKind.BUSY, FailureKind.UNFIT, FailureKind.BUDGET, FailureKind.UNCOLLECTED})
_MIGHT_HAVE = frozenset({RunState.UNREACHABLE, RunState.SYNC_FAILED, RunState.REFUSED})


def how_it_ended(code: int, reason: str) -> tuple[RunState, int, str]:
    """State, exit code and reason of a run that its host says is over; `reason` is exited, timed_out or cancelled."""
    if reason == "timed_out":
        return RunState.TIMED_OUT, code, "the time limit passed; its process group was ended"
    if reason == "cancelled":
        return RunState.CANCELLED, code, "cancelled; its process group was ended"
    if code == 0:
        return RunState.OK, 0, ""
    return RunState.FAILED, code, f"exit code {code}"


def outcome_of(failure: Failure) -> RunState:
    """The state of a run that a host did not start."""
    if failure.kind in _REFUSED:
        return RunState.REFUSED
    if failure.kind.is_about_sync:
        return RunState.SYNC_FAILED
    if failure.kind in _SKIPPED:
        return RunState.SKIPPED
    if failure.kind is FailureKind.CANCELLED:
        return RunState.CANCELLED
    return RunState.UNREACHABLE


def passed_over(verdict: Verdict, failure: Failure | None) -> Attempt:
    """A host that was not even tried, as an attempt with its reason; `failure` is why its probe failed."""
    outcome = RunState.SKIPPED
    if verdict.obstacle is Obstacle.UNREACHABLE:
        outcome = outcome_of(failure) if failure is not None else RunState.UNREACHABLE
    elif verdict.obstacle is Obstacle.NO_SYNC:
        outcome = RunState.SYNC_FAILED
    return Attempt(verdict.host, outcome, verdict.reason)


def might_have_run(attempts: Sequence[Attempt]) -> bool:
    """Whether a host would have taken the work had it been reachable: then this machine may stand in."""
    return any(attempt.outcome in _MIGHT_HAVE for attempt in attempts)


def waiting_for(choice: Choice) -> str:
    """Whom a run waits for, in one line."""
    return "; ".join(
        f"{verdict.host}: {verdict.reason}" for verdict in choice.verdicts if verdict.obstacle is Obstacle.BUSY
    )


def decisive(failures: Sequence[Failure], verdicts: Sequence[Verdict], tool: str, install: str) -> Failure:
    """The failure that decides the exit code.

    A refusal, else a failed sync, else uncollected work in the way, else something lacking, else the rest.
    `tool` is the agent's program, `install` the command that installs it.
    """
    refused = [failure for failure in failures if failure.kind in _REFUSED]
    unsynced = _kept_from_syncing(verdicts) + [failure for failure in failures if failure.kind.is_about_sync]
    uncollected = [failure for failure in failures if failure.kind is FailureKind.UNCOLLECTED]
    lacking = [verdict for verdict in verdicts if verdict.obstacle is Obstacle.REQUIREMENT]
    if refused or unsynced or uncollected:
        return (refused or unsynced or uncollected)[-1]
    if failures and not lacking:
        return _with_doctor(failures[-1], verdicts)
    reasons = "; ".join(f"{verdict.host}: {verdict.reason}" for verdict in lacking or verdicts) or "no host is left"
    if lacking and all(LOOKS_AGAIN in verdict.reason for verdict in lacking):
        named = f" --host {lacking[0].host}" if len(lacking) == 1 else ""
        return Failure(FailureKind.UNFIT, reasons, f"inv doctor{named} {LOOKS_AGAIN}; a host that is named gets it now")
    doctor = f"inv doctor --host {lacking[0].host} tells more" if lacking else "inv doctor tells more"
    if any(f"lacks {tool}" in verdict.reason for verdict in lacking):
        return Failure(FailureKind.UNFIT, reasons, f"install {tool} on a host: {install}; {doctor}")
    return Failure(FailureKind.UNFIT, reasons, f"ask for less, or add a host; inv pick shows what each has, {doctor}")


def _kept_from_syncing(verdicts: Sequence[Verdict]) -> list[Failure]:
    """What would have failed, had it been tried."""
    kept = [verdict for verdict in verdicts if verdict.obstacle is Obstacle.NO_SYNC]
    if not kept:
        return []
    reasons = "; ".join(f"{verdict.host}: {verdict.reason}" for verdict in kept)
    doctor = f"inv doctor{f' --host {kept[0].host}' if len(kept) == 1 else ''} says how to mend it"
    return [Failure(FailureKind.SYNC, reasons, f"{doctor}; --no-sync is for work that needs no project")]


def _with_doctor(failure: Failure, verdicts: Sequence[Verdict]) -> Failure:
    """A failure whose remedy says who looks closer, where no host could be reached."""
    hosts = [verdict.host for verdict in verdicts if verdict.obstacle is Obstacle.UNREACHABLE]
    if not hosts or failure.kind.exit_code is not ExitCode.NO_HOST:
        return failure
    doctor = f"inv doctor{f' --host {hosts[0]}' if len(hosts) == 1 else ''} tells more"
    return replace(failure, remedy=f"{failure.remedy}; {doctor}" if failure.remedy else doctor)
