"""Tests without a broker run in virtual time, on both backends: what waits takes no time.

A thread is no waiting: as long as one runs for `anyio.to_thread.run_sync`, the clock stands still,
however long the machine takes. So nothing that a thread waits for may come from a timer.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from functools import wraps
from math import inf
from typing import Any, cast

import anyio.to_thread
import pytest
import sniffio
from trio.testing import MockClock

BEGINS_AT_S = 1000.0
"""The first time on the clock. No running machine's clock shows 0, which stands for "never"."""
BEYOND_S = 1e-6
"""Seconds that the clock jumps beyond a timer, which so never seems to fire early by rounding."""


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer as soon as nothing else is to be done.

    The clock stands still while something is, as trio's does: how long the machine takes is not
    seen. For programs without sockets: what comes from outside would come too late.
    """

    _now = BEGINS_AT_S
    threads = 0
    """The number of threads that run, during which the clock stands still."""

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        inside = cast(Any, self)
        timers = inside._scheduled
        while timers and timers[0]._cancelled:
            inside._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        if timers and not inside._ready and not self.threads:
            self._now = max(self._now, timers[0]._when + BEYOND_S)
        cast(Any, super())._run_once()


CLOCK = MockClock(autojump_threshold=0)
CLOCK.jump(BEGINS_AT_S)
# trio's own jump ends at the timer.
cast(Any, CLOCK).jump = lambda seconds, jump=CLOCK.jump: jump(seconds + BEYOND_S)


def _hold_time(by: int) -> None:
    JumpingLoop.threads += by
    CLOCK.autojump_threshold = inf if JumpingLoop.threads else 0


def _holding_time[**P, R](run_sync: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    @wraps(run_sync)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        _hold_time(1)
        try:
            return await run_sync(*args, **kwargs)
        finally:
            _hold_time(-1)

    return run


# A loaded machine may take a second to start a thread, and time would have gone on by hours.
cast(Any, anyio.to_thread).run_sync = _holding_time(anyio.to_thread.run_sync)

ASYNCIO = pytest.param(("asyncio", {"loop_factory": JumpingLoop}), id="asyncio")
TRIO = pytest.param(("trio", {"clock": CLOCK}), id="trio")


def stand_still(seconds: float) -> None:
    """Let time pass in which the event loop stands still, as a handler that blocks has it do."""
    if sniffio.current_async_library() == "trio":
        CLOCK.jump(seconds)
    else:
        cast(JumpingLoop, asyncio.get_running_loop())._now += seconds


in_virtual_time = pytest.mark.parametrize("anyio_backend", [ASYNCIO, TRIO])
on_asyncio = pytest.mark.parametrize("anyio_backend", [ASYNCIO])
on_trio = pytest.mark.parametrize("anyio_backend", [TRIO])
