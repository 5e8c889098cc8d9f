"""The live screen of `inv watch`: draws what is known, hears keys, never waits for a host."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from dgummy.render.console import Console
from dgummy.render.dashboard import Look, Picture, draw, run_ids
from dgummy.render.fullscreen import Ended, FullScreen
from dgummy.render.screenkeys import Follow, Keys, Quit, Redraw, ScreenState, press
from dgummy.views import ClusterView

_LOOK_EVERY_S = 0.5
_LEAST_TICK_S = 0.05
_ESC_S = 0.05


@dataclass(frozen=True)
class WatchEnd:
    """Why the screen was left: to follow a run (`run_id`), by Ctrl-C or because the terminal is gone, or by `q`.

    `state` is what was chosen on it; the next screen may begin with it.
    """

    state: ScreenState
    run_id: str = ""
    interrupted: bool = False


def watch(
    snapshot: Callable[[], ClusterView],
    refresh_s: float,
    console: Console,
    *,
    ascii_only: bool = False,
    state: ScreenState | None = None,
    keyboard: int | None = None,
) -> WatchEnd:
    """Show views on the terminal until whoever watches leaves. To be called in the main thread, on a terminal.

    `snapshot` gives the newest view at once, whatever hosts do; it is asked every half second, or every `refresh_s`
    seconds if that is less. `keyboard` is the terminal's descriptor, stdin if it is not given. What snapshot raises
    comes out of here, with the terminal as it was.
    """
    chosen = state or ScreenState()
    look = Look(80, 24, ascii_only, console.out_colour)
    try:
        with FullScreen(console, sys.stdin.fileno() if keyboard is None else keyboard) as screen:
            watching = _Watch(snapshot, screen, look, chosen)
            return watching.run(min(_LOOK_EVERY_S, max(_LEAST_TICK_S, refresh_s)))
    except (KeyboardInterrupt, EOFError, Ended):  # a signal that somebody else handles came through to here
        return WatchEnd(chosen, interrupted=True)


class _Watch:
    """One stay on the screen. `look` holds what does not change: signs and colours."""

    def __init__(self, snapshot: Callable[[], ClusterView], screen: FullScreen, look: Look, state: ScreenState) -> None:
        self.state = replace(state, typing=False, help=False, message="")
        self._snapshot = snapshot
        self._screen = screen
        self._look = look
        self._view = snapshot()
        self._keys = Keys()
        self._shown: tuple[object, ...] = ()
        self._picture = Picture([])

    def run(self, tick_s: float) -> WatchEnd:
        """Draw, hear, look for news, until a key ends it."""
        next_look_at = time.monotonic() + tick_s
        while True:
            self._draw()
            wait_s = _ESC_S if self._keys.unfinished else max(0.0, next_look_at - time.monotonic())
            data = self._screen.read(wait_s)
            keys = self._keys.feed(data) if data else self._keys.end()
            for key in keys:
                end = self._press(key)
                if end is not None:
                    return end
            if time.monotonic() >= next_look_at:
                next_look_at = time.monotonic() + tick_s
                if not self.state.paused:
                    self._view = self._snapshot()

    def _press(self, key: str) -> WatchEnd | None:
        runs = run_ids(self._view, self._looking(self._screen.size))
        self.state, outcome = press(self.state, key, runs, self._picture.page)
        if isinstance(outcome, Quit):
            return WatchEnd(self.state)
        if isinstance(outcome, Follow):
            return WatchEnd(self.state, run_id=outcome.run_id)
        if isinstance(outcome, Redraw):
            self._screen.forget()
        self._draw()  # the next key counts from where the window is now
        return None

    def _looking(self, size: tuple[int, int]) -> Look:
        columns, lines = size
        return replace(self._look, width=columns, height=lines, **vars(self.state))

    def _draw(self) -> None:
        size = self._screen.size
        look = self._looking(size)
        if (self._view, look) != self._shown:
            self._picture = draw(self._view, look)
            self.state = replace(self.state, scroll=self._picture.scroll)
            self._shown = (self._view, self._looking(size))
        self._screen.draw(self._picture.lines, size)
