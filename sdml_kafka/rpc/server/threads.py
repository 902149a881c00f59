"""Handlers that are plain functions, which run in threads.

A thread that does not end at its deadline keeps its place among the requests that its handler may
run, so that blocked threads do not pile up.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.handlers import Handler
from sdml_kafka.workers import threads


class Threads:
    """Runs handlers that are plain functions."""

    def __init__(self, on_place: Callable[[Handler], None]) -> None:
        """Call `on_place` when a thread has ended that its request did not wait for."""
        self._on_place = on_place
        # What bounds the threads is the number of workers, and the places of abandoned threads.
        self._threads = threads.Threads()

    async def run(self, value: Any, call: ServerCall) -> Any:
        """Return what the handler returns; when cancelled, go on without waiting for it."""
        handler = call.handler
        return await self._threads.run(
            partial(handler.function, value, call),
            partial(self._keep_place, handler),
            partial(self._give_place, handler),
        )

    def _keep_place(self, handler: Handler) -> None:
        handler.running += 1

    def _give_place(self, handler: Handler) -> None:
        handler.running -= 1
        self._on_place(handler)
