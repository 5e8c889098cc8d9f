"""Fabric's own group over hosts of ours, for those who write Fabric code: bounded, within time, host keys checked.

`fabric.ThreadingGroup` starts a thread for every host, waits for all of them without limit, and accepts every host key
(fabric#2330, #2071). This one keeps its contract: methods give a `GroupResult`, or raise `GroupException` with one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import fabric
from fabric.exceptions import GroupException
from fabric.group import GroupResult

from dgummy.errors import SSHConnectionError
from dgummy.model import Failure, Host
from dgummy.transport.base import Deadline

Outcome: TypeAlias = "tuple[Member, Any]"
Patience: TypeAlias = Callable[[], "float | None"]
Each: TypeAlias = Callable[[Sequence["Member"], Callable[["Member"], Any], Patience], Iterator[Outcome]]
"""Does a call for every member, some at once, as long as it is told; gives (member, result) as they come."""


class Member:
    """One host of a group. It is connected to when it is first used; its methods are those of `fabric.Connection`."""

    def __init__(self, host: Host, connect: Callable[[Host], Any | Failure]) -> None:
        self.host = host.name
        self._host = host
        self._connect = connect

    def __repr__(self) -> str:
        return f"<Member {self.host}>"

    def call(self, method: str, args: Sequence[Any], options: dict[str, Any]) -> Any:
        """Call a method of the connection. SSHConnectionError if there is none to be had."""
        connection = self._connect(self._host)
        if isinstance(connection, Failure):
            raise SSHConnectionError(
                self.host, f"{self.host}: {connection}", connection.remedy, code=connection.kind.exit_code
            )
        return getattr(connection, method)(*args, **options)


class BoundedGroup(fabric.ThreadingGroup):  # type: ignore[misc]
    """`run`, `sudo`, `put` and `get` on many hosts. Make one with `dgummy.fabric_group`.

    `timeout_s` bounds each host's command and, with the time to connect, everything: who has not answered by then has a
    TimeoutError for its result.
    """

    def __init__(self, members: Sequence[Member], each: Each, *, connect_s: float, timeout_s: float | None) -> None:
        super().__init__()
        self.extend(members)
        self._each = each
        self._connect_s = connect_s
        self._timeout_s = timeout_s

    def _do(self, method: str, *args: Any, **options: Any) -> GroupResult:
        if method in ("run", "sudo"):
            # Not our terminal: many commands would read from it at once, and their output would be mixed.
            options = {"hide": True, "in_stream": False, "timeout": self._timeout_s, **options}
        limit_s = None if self._timeout_s is None else self._timeout_s + self._connect_s
        end = Deadline(limit_s)
        results = GroupResult()
        for member, result in self._each(list(self), lambda one: _tried(one, method, args, options), end.remaining_s):
            results[member] = result
        for member in self:
            if member not in results:
                results[member] = TimeoutError(f"{member.host}: no answer within {limit_s:g} s")
        if results.failed:
            raise GroupException(results)
        return results


def _tried(member: Member, method: str, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """What a method gives, or the exception that it ends in: a group's results are both."""
    try:
        return member.call(method, args, options)
    except Exception as error:  # noqa: BLE001 - handed to the caller in the result
        return error
