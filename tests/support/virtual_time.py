"""Tests without a broker run in virtual time, on both backends: what waits takes no time."""

import asyncio
import heapq
from typing import Any, cast

import pytest
from trio.testing import MockClock

BEGINS_AT_S = 1000.0
"""The first time on the clock. No running machine's clock shows 0, which stands for "never"."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is to be done.

    The clock stands still while something is, as trio's does: how long the machine takes is not
    seen. For programs without sockets and threads: what comes from outside would come too late.
    """

    _now = BEGINS_AT_S

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        inside = cast(Any, self)
        timers = inside._scheduled
        while timers and timers[0]._cancelled:
            inside._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        if timers and not inside._ready:
            # A timer fires after its time, never at it or, by rounding, before.
            self._now = max(self._now, timers[0]._when + 1e-6)
        cast(Any, super())._run_once()


CLOCK = MockClock(autojump_threshold=0)
CLOCK.jump(BEGINS_AT_S)

ASYNCIO = pytest.param(("asyncio", {"loop_factory": JumpingLoop}), id="asyncio")
TRIO = pytest.param(("trio", {"clock": CLOCK}), id="trio")

in_virtual_time = pytest.mark.parametrize("anyio_backend", [ASYNCIO, TRIO])
on_asyncio = pytest.mark.parametrize("anyio_backend", [ASYNCIO])
on_trio = pytest.mark.parametrize("anyio_backend", [TRIO])
