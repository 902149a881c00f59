"""Plain functions, which run in threads.

A thread that does not end when its caller is cancelled cannot be made to. So whoever counts what
runs learns that the thread goes on, and when it has ended after all.
"""

from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from attrs import define, field


@define(eq=False)
class _Thread:
    lock: Lock = field(factory=Lock)
    has_ended: bool = False
    is_abandoned: bool = False


class Threads:
    """Runs plain functions. Their number is bounded by whoever calls."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(inf)

    async def run(
        self,
        function: Callable[[], Any],
        on_abandoned: Callable[[], None],
        on_ended: Callable[[], None],
    ) -> Any:
        """Return what the function returns; when cancelled, go on without waiting for it.

        Args:
            function: Called in a thread.
            on_abandoned: Called when the thread goes on although nobody waits for it.
            on_ended: Called on the event loop once such a thread has ended.
        """
        thread = _Thread()

        def work() -> tuple[Any]:
            try:
                return (function(),)  # trio refuses a bare coroutine
            finally:
                with thread.lock:
                    thread.has_ended = True
                if thread.is_abandoned:
                    with suppress(RuntimeError):  # the event loop has ended
                        anyio.from_thread.run_sync(on_ended)

        try:
            (result,) = await anyio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._limiter
            )
        except anyio.get_cancelled_exc_class():
            with thread.lock:
                if not thread.has_ended:
                    thread.is_abandoned = True
                    on_abandoned()
            raise
        return result
