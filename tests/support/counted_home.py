"""A thread with an asyncio loop, as a client under trio has, that counts who wakes whom."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sdml_kafka.transport.thread_loop import ThreadLoop


class CountedHome(ThreadLoop):
    """Counts crossings. Each wakes the other side, by a byte that is written to a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.wake_ups = 0
        """How often the program has woken the thread."""
        self.wake_ups_back = 0
        """How often the thread has woken the program."""

    def call_soon(self, function: Callable[[], object]) -> None:
        self.wake_ups += 1
        super().call_soon(function)

    def call_back(self, function: Callable[[], object]) -> None:
        self.wake_ups_back += 1
        super().call_back(function)


@asynccontextmanager
async def counted_home() -> AsyncGenerator[CountedHome]:
    """Yield a home of its own thread."""
    home = CountedHome()
    await home.start()
    try:
        yield home
    finally:
        await home.stop()
