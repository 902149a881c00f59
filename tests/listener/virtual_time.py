"""Tests without a broker run in virtual time, on both backends: what waits takes no time."""

import asyncio
import heapq
from typing import Any, cast

import pytest
from trio.testing import MockClock


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer as soon as nothing else is to be done.

    For programs without sockets and threads: what comes from outside would come too late.
    """

    _jumped = 0.0

    def time(self) -> float:
        return super().time() + self._jumped

    def _run_once(self) -> None:
        inside = cast(Any, self)
        timers = inside._scheduled
        while timers and timers[0]._cancelled:
            inside._timer_cancelled_count -= 1
            heapq.heappop(timers)._scheduled = False
        if timers and not inside._ready:
            self._jumped += max(0.0, timers[0]._when - self.time())
        cast(Any, super())._run_once()


ASYNCIO = pytest.param(("asyncio", {"loop_factory": JumpingLoop}), id="asyncio")
TRIO = pytest.param(("trio", {"clock": MockClock(autojump_threshold=0)}), id="trio")

in_virtual_time = pytest.mark.parametrize("anyio_backend", [ASYNCIO, TRIO])
on_asyncio = pytest.mark.parametrize("anyio_backend", [ASYNCIO])
on_trio = pytest.mark.parametrize("anyio_backend", [TRIO])
