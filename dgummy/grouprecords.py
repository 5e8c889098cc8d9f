"""How a group of runs ended: records, like those of `model`."""

from __future__ import annotations

import msgspec

from dgummy.errors import ExitCode
from dgummy.model import RunResult, RunState


class Member(msgspec.Struct, frozen=True):
    """One run of a group: the host's name or the label that it is known by there, what it was, and how it ended.

    `summary` is the test runner's own, "" where none was recognised.
    """

    label: str
    command: str
    result: RunResult
    summary: str = ""


class GroupResult(msgspec.Struct, frozen=True):
    """How a group of runs ended, its members in the order they were asked for.

    `wall_s` is the time it took, `stopped` why not everything was done, "" if it was.
    """

    group_id: str
    members: tuple[Member, ...]
    wall_s: float
    stopped: str = ""
    timed_out: bool = False
    interrupted: bool = False

    @property
    def ok(self) -> int:
        """How many ended well."""
        return sum(member.result.state is RunState.OK for member in self.members)

    @property
    def failed(self) -> int:
        """How many did not. Those that were started and left to themselves are in neither number."""
        return sum(member.result.state not in (RunState.OK, RunState.RUNNING) for member in self.members)

    @property
    def sequential_s(self) -> float:
        """How long its runs would have taken one after the other."""
        return sum(member.result.duration_s for member in self.members if member.result.host)

    @property
    def process_exit_code(self) -> int:
        """The exit code of the command that made this group (README, "Exit codes")."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.timed_out:
            return ExitCode.TIMED_OUT
        if len(self.members) == 1:
            return self.members[0].result.process_exit_code
        left_behind = any(member.result.left_behind for member in self.members)
        return ExitCode.SOME_FAILED if self.failed or left_behind else ExitCode.OK
