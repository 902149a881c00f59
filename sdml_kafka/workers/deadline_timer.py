"""One task that watches many deadlines, which saves a timer for each."""

from collections.abc import Callable
from math import inf

import anyio

TICK_S = 0.01
"""The shortest time between two calls of `on_due`."""


class DeadlineTimer:
    """Calls back when the earliest of many deadlines has passed."""

    def __init__(self, on_due: Callable[[float], float]) -> None:
        """Make a timer that waits for its first `schedule`.

        Args:
            on_due: Called with the time of the event loop's clock; returns the time of its next
                call, or `inf` to wait for a call of `schedule`.
        """
        self._on_due = on_due
        self.at: float = inf
        """When `on_due` is called next."""
        self._sooner: anyio.Event | None = None

    def schedule(self, at: float) -> None:
        """Make sure that `on_due` is called at `at` or before."""
        if at < self.at:
            self.at = at
            if self._sooner is not None:
                self._sooner.set()

    async def run(self) -> None:
        """Call `on_due` whenever it is time, until cancelled."""
        while True:
            self._sooner = anyio.Event()
            with anyio.CancelScope(deadline=self.at):
                await self._sooner.wait()
            now = anyio.current_time()
            if now >= self.at:
                self.at = inf
                self.at = min(self.at, max(self._on_due(now), now + TICK_S))
