"""The home of a client in a trio program: a thread with an asyncio loop of its own."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context

import anyio

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.crossing_loop import CrossingLoop


class ThreadLoop(CrossingLoop):
    """Runs the client on a loop in a thread, which computes beside the program."""

    shares_the_thread = False

    def __init__(self) -> None:
        super().__init__()
        self._started, self._ended = anyio.Event(), anyio.Event()
        self._stop: asyncio.Event
        self._context: Context
        self._failure: OSError | None = None
        """Why there is no loop: the system may have no file descriptor left for it."""
        # A daemon, so that a client that hangs cannot keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="sdml-kafka", daemon=True)

    async def start(self) -> None:
        self._thread.start()
        with anyio.CancelScope(shield=True):  # bounded: a loop is up in milliseconds
            await self._started.wait()
        if self._failure is not None:
            raise ConsumerFailed(f"the client's event loop did not start: {self._failure!r}")

    async def stop(self) -> None:
        self.call_soon(self._stop.set)
        await self._ended.wait()
        self._thread.join(timeout=0.1)

    def call_soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has closed, and what it ran has ended
            # The function gets a context of that side. In the caller's it would look as if trio
            # ran there, and anyio and sniffio would believe it (in a token provider that uses
            # httpx, say).
            self._loop.call_soon_threadsafe(function, context=self._context)

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._live())
        except OSError as error:
            self._failure = error
        finally:
            self.call_back(self._started.set)
            self.call_back(self._ended.set)

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        self._context = copy_context()
        self.call_back(self._started.set)
        await self._stop.wait()
