"""The only place with threads: bounded, daemon, and never waited for longer than asked.

Threads are daemons on purpose: one that hangs in a name look-up must not keep the program from ending.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from dgummy.events import Event, Listener
from dgummy.stop import DEADLINE, INTERRUPTED, DeadlinePassed

if TYPE_CHECKING:
    from dgummy.stop import Stop

_HEARING_S = 0.5

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


class Call(Generic[R]):
    """One call that runs in the background. `result` gives its value or raises what it raised."""

    def __init__(self, work: Callable[[], R], name: str = "") -> None:
        self._work = work
        self._done = threading.Event()
        self._wakes: list[threading.Event] = []
        self._value: R | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=f"dgummy-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - handed on to whoever asks for the result
            self._error = error
        finally:
            self._done.set()
            for event in self._wakes:
                event.set()

    def wakes(self, event: threading.Event) -> None:
        """Have `event` set as well once it is done."""
        self._wakes.append(event)
        if self._done.is_set():
            event.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it is done, waiting up to `timeout_s`. A KeyboardInterrupt gets through."""
        return self._done.wait(timeout_s)

    def result(self) -> R:
        """Wait, then the value; raises what the call raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set, since there was no error


def interruptible(work: Callable[[], R], stop: Stop) -> R:
    """Do work in the background, and tell it of Ctrl-C: the first cancels, the second leaves, a third gets through.

    A deadline that passes is a Ctrl-C with another reason.
    """
    try:
        call = Call(work, "work")
        while True:
            try:
                while not call.wait(_HEARING_S):
                    pass  # a signal that another thread was given is heard here all the same
                return call.result()
            except KeyboardInterrupt as pressed:  # noqa: PERF203 - waiting goes on after it
                _pass_on(pressed, call, stop)
    except BaseException:
        # It may have come at any moment, so also when the work had just begun and nobody waited for it yet.
        stop.cancel()
        raise


def _pass_on(pressed: KeyboardInterrupt, call: Call[R], stop: Stop) -> None:
    """Tell the work of Ctrl-C, or of the deadline; raises what came once too often, or after the work was done."""
    by_clock = isinstance(pressed, DeadlinePassed)
    if call.wait(0) and by_clock:
        return
    if call.wait(0) or stop.left:
        raise pressed
    if stop.cancelled:
        stop.leave()
    else:
        stop.cancel(DEADLINE if by_clock else INTERRUPTED)


class Crew(Generic[K, R]):
    """Calls that are under way at once, each known by a key. Their ends are heard one by one, from one thread."""

    def __init__(self) -> None:
        self._ends: queue.SimpleQueue[tuple[K, R | None, BaseException | None]] = queue.SimpleQueue()
        self._working = 0

    def __len__(self) -> int:
        return self._working

    def start(self, key: K, call: Callable[[], R]) -> None:
        """Begin a call."""
        self._working += 1
        threading.Thread(target=self._run, args=(key, call), name=f"dgummy-{key}", daemon=True).start()

    def _run(self, key: K, call: Callable[[], R]) -> None:
        try:
            self._ends.put((key, call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again by next_end
            self._ends.put((key, None, error))

    def next_end(self, timeout_s: float | None = None) -> tuple[K, R] | None:
        """Wait for a call to end, and give its key and value; None if time is up. Raises what the call raised."""
        try:
            key, value, error = self._ends.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._working -= 1
        if error is not None:
            raise error
        return key, value  # type: ignore[return-value]  # set, since there was no error


_Done: TypeAlias = "queue.SimpleQueue[tuple[T, R | None, BaseException | None] | None]"


def _work_off(todo: queue.SimpleQueue[T], done: _Done[T, R], work: Callable[[T], R], halt: threading.Event) -> None:
    """Take what is to be done, one by one; None at the end says that this worker is through."""
    while not halt.is_set():
        try:
            item = todo.get_nowait()
        except queue.Empty:
            break
        try:
            done.put((item, work(item), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            done.put((item, None, error))
    done.put(None)


def each(
    items: Sequence[T],
    work: Callable[[T], R],
    *,
    jobs: int,
    stop: threading.Event | None = None,
    patience_s: Callable[[], float | None] = lambda: None,
) -> Iterator[tuple[T, R]]:
    """Do `work` for every item, at most `jobs` at once; yields (item, result) as they come.

    Once `stop` is set, or the generator is closed, nothing that was not started starts. `patience_s` is asked before
    each wait how long it may be (None: as long as it takes); when that passes, what is still under way is left behind.
    What `work` raises is a bug of ours and is raised here.
    """
    halt = stop or threading.Event()
    todo: queue.SimpleQueue[T] = queue.SimpleQueue()
    done: _Done[T, R] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    working = min(jobs, len(items))
    for number in range(working):
        threading.Thread(
            target=_work_off, args=(todo, done, work, halt), name=f"dgummy-worker-{number}", daemon=True
        ).start()
    try:
        while working:
            try:
                outcome = done.get(timeout=patience_s())
            except queue.Empty:
                return
            if outcome is None:
                working -= 1
                continue
            item, value, error = outcome
            if error is not None:
                raise error
            yield item, value  # type: ignore[misc]  # a result, since there was no error
    finally:
        halt.set()


def in_order(items: Sequence[T], work: Callable[[T], R], *, jobs: int) -> list[R]:
    """Like `each`, but the results in the order of the items."""
    results: dict[int, R] = {}
    for (index, _), result in each(list(enumerate(items)), lambda pair: work(pair[1]), jobs=jobs):
        results[index] = result
    return [results[index] for index in range(len(items))]


def while_patient(
    items: Sequence[T], work: Callable[[T], R], *, jobs: int, patience_s: float | None, answered: Callable[[R], bool]
) -> Iterator[tuple[T, R]]:
    """Like `each`, but once one result counts as answered, the others get so much longer (None: all are awaited)."""
    deadline: float | None = None

    def left_s() -> float | None:
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    for item, result in each(items, work, jobs=jobs, patience_s=left_s):
        if patience_s is not None and deadline is None and answered(result):
            deadline = time.monotonic() + patience_s
        yield item, result


class Bus:
    """Hands events to listeners, one at a time whatever thread they come from. A listener's error stops nothing."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)
        self._lock = threading.RLock()
        self.errors: list[Exception] = []

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        with self._lock:
            for listener in self._listeners:
                try:
                    listener(event)
                except BrokenPipeError:  # noqa: PERF203 - each listener is protected from the others
                    raise
                except Exception as error:  # noqa: BLE001 - kept, and shown by the error boundary
                    self.errors.append(error)


_Made = TypeVar("_Made")


def made_once(make: Callable[[], _Made]) -> Callable[[], _Made]:
    """Give what `make` makes, which is called once, however many threads ask."""
    made: list[_Made] = []
    lock = threading.Lock()

    def get() -> _Made:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
