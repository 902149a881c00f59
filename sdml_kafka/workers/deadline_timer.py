"""One task that looks after many deadlines: no timer for each."""

from collections.abc import Callable
from math import inf

import anyio

TICK_S = 0.01
"""Two looks are at least this far apart, in seconds."""


class Alarm:
    def __init__(self, look: Callable[[float], float]) -> None:
        """`look` is called with the time (seconds of the event loop's clock), and says when it
        wants to be called again; `inf`: when `at_latest` says so."""
        self._look = look
        self.at: float = inf
        """When the next look is."""
        self._sooner: anyio.Event | None = None

    def at_latest(self, at: float) -> None:
        if at < self.at:
            self.at = at
            if self._sooner is not None:
                self._sooner.set()

    async def run(self) -> None:
        while True:
            self._sooner = anyio.Event()
            with anyio.CancelScope(deadline=self.at):
                await self._sooner.wait()
            now = anyio.current_time()
            if now >= self.at:
                self.at = inf
                self.at = min(self.at, max(self._look(now), now + TICK_S))
