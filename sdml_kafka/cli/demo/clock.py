"""The demo's clock: seconds since the first record was sent."""

import anyio


class DemoClock:
    def __init__(self) -> None:
        self._zero: float | None = None

    def start(self) -> None:
        """Let the time begin now."""
        self._zero = anyio.current_time()

    def now_s(self) -> float:
        """Return the seconds since the start, 0 before it."""
        return 0.0 if self._zero is None else anyio.current_time() - self._zero

    async def sleep_until(self, at_s: float) -> None:
        """Wait until the clock shows `at_s`."""
        await anyio.sleep(max(0.0, at_s - self.now_s()))
