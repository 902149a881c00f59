"""Plain functions, which run in threads.

A thread that does not end at its deadline cannot be made to. It keeps its place among the requests
that its handler may run, so that blocked threads do not pile up.
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

from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.handlers import Handler


@define(eq=False)
class _Thread:
    lock: Lock = field(factory=Lock)
    has_ended: bool = False
    is_abandoned: bool = False


class Threads:
    """Runs handlers that are plain functions."""

    def __init__(self, on_place: Callable[[Handler], None]) -> None:
        """Call `on_place` when a thread has ended that its request did not wait for."""
        self._on_place = on_place
        # What bounds the threads is the number of workers, and the places of abandoned threads.
        self._limiter = anyio.CapacityLimiter(inf)

    async def run(self, value: Any, call: ServerCall) -> Any:
        """Return what the handler returns; when cancelled, go on without waiting for it."""
        handler, thread = call.handler, _Thread()

        def work() -> tuple[Any]:
            try:
                return (handler.function(value, call),)  # trio refuses a bare coroutine
            finally:
                with thread.lock:
                    thread.has_ended = True
                if thread.is_abandoned:
                    with suppress(RuntimeError):  # the event loop has ended
                        anyio.from_thread.run_sync(self._give_place, handler)

        try:
            (result,) = await anyio.to_thread.run_sync(
                work, abandon_on_cancel=True, limiter=self._limiter
            )
        except anyio.get_cancelled_exc_class():
            with thread.lock:
                if not thread.has_ended:
                    thread.is_abandoned = True
                    handler.running += 1
            raise
        return result

    def _give_place(self, handler: Handler) -> None:
        handler.running -= 1
        self._on_place(handler)
