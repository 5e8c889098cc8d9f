"""Two ways to the same hosts: one is used, the other stands in where it does not work.

Safe because nothing is run twice: a script whose carrier says that nothing of it ran may go the other way at once. One
that was cut off is asked for again by its owner, who knows how (a run's folder on the host lets it start only once).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from dgummy.model import Failure, FailureKind, Host
from dgummy.transport.base import Answer, FrameSink, Limits, Reached, Script, Transport

ANYTHING = frozenset(FailureKind) - {FailureKind.CANCELLED, FailureKind.INTERNAL}


class Relay:
    """Uses `first`; a host where that fails is reached by `second` from then on. `on_notice(host, text)` hears it.

    `on`: the failures that the second way may not have; others are handed back as they are.
    """

    def __init__(
        self,
        first: Transport,
        second: Transport,
        on_notice: Callable[[str, str], None],
        *,
        on: frozenset[FailureKind] = ANYTHING,
    ) -> None:
        self.name = first.name
        self._on = on
        self._first = first
        self._second = second
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._given_up: set[str] = set()

    def connect(self, host: Host) -> Reached | Failure:
        """Reach the host by whichever works."""
        if host.name not in self._given_up:
            reached = self._first.connect(host)
            if not self._gives_up_on(host, reached):
                return reached
        return self._second.connect(host)

    def run_script(
        self,
        host: Host,
        script: Script,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        sink: FrameSink | None = None,
    ) -> Answer | Failure:
        """Run a script by whichever works. One that was cut off is not sent again here."""
        if host.name not in self._given_up:
            reply = self._first.run_script(host, script, limits, sink)
            if not self._gives_up_on(host, reply) or (isinstance(reply, Failure) and reply.kind is FailureKind.LOST):
                return reply
        return self._second.run_script(host, script, limits, sink)

    def close(self) -> None:
        """Close both."""
        self._first.close()
        self._second.close()

    def _gives_up_on(self, host: Host, reply: Answer | Reached | Failure) -> bool:
        if not isinstance(reply, Failure) or reply.kind not in self._on:
            return False
        with self._lock:
            if host.name not in self._given_up:
                self._given_up.add(host.name)
                self._on_notice(host.name, f"{self._first.name} failed ({reply}); using {self._second.name} instead")
        return True
