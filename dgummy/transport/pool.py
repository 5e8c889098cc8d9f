"""Share connections between threads: one attempt at a time, a bounded number of sessions on each. No I/O of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from dgummy.model import Failure
from dgummy.transport.base import Deadline

SESSIONS_PER_CONNECTION = 8
"""Below sshd's default MaxSessions of 10: it counts a session for a moment after we have closed it."""

CONNECTIONS_PER_HOST = 4


class Closable(Protocol):
    """Something that is open until it is closed, or breaks."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""
        ...

    def close(self) -> None:
        """Close it; more than once is fine."""
        ...


_T = TypeVar("_T", bound=Closable)


class Shared(Generic[_T]):
    """Something that is opened when it is first needed, and again when it has broken.

    Whoever comes while an attempt is under way waits for it and shares its outcome, good or bad: ten threads that want
    a host which is down wait for one time-out, not for ten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts = 0
        self._outcome: _T | Failure | None = None

    def get(self, open_it: Callable[[], _T | Failure]) -> _T | Failure:
        """What is open, opening it if need be."""
        seen = self._attempts
        with self._lock:
            outcome = self._outcome
            if isinstance(outcome, Failure):
                if self._attempts != seen:
                    return outcome
            elif outcome is not None:
                if outcome.alive:
                    return outcome
                outcome.close()
            self._outcome = None
            self._outcome = fresh = open_it()
            self._attempts += 1
            return fresh

    def close(self) -> None:
        """Close what is open now, without waiting for an attempt under way."""
        outcome = self._outcome
        if outcome is not None and not isinstance(outcome, Failure):
            outcome.close()


class Link(Shared[_T]):
    """A shared connection that carries at most `limit` sessions at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.active = 0
        self.limit = SESSIONS_PER_CONNECTION


class Pool(Generic[_T]):
    """The connections to one host. A session takes a place on one and gives it back."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._links: list[Link[_T]] = [Link()]

    @property
    def first(self) -> Link[_T]:
        """The connection that is opened before any other."""
        return self._links[0]

    def take(self, deadline: Deadline) -> Link[_T] | None:
        """A place on a connection, a new one if all are full; None if none came free in time."""
        with self._free:
            while True:
                for link in self._links:
                    if link.active < link.limit:
                        link.active += 1
                        return link
                if len(self._links) < CONNECTIONS_PER_HOST:
                    self._links.append(Link())
                    continue
                if deadline.passed:
                    return None
                self._free.wait(deadline.remaining_s())

    def give_back(self, link: Link[_T]) -> None:
        """The place is free again."""
        with self._free:
            link.active -= 1
            self._free.notify()

    def refuse(self, link: Link[_T]) -> bool:
        """The server took no further session on this connection: remember. False if ours was the only one."""
        with self._free:
            others = link.active - 1
            link.limit = max(1, min(link.limit, others))
            return others > 0

    def close(self) -> None:
        """Close every connection."""
        for link in self._links:
            link.close()
