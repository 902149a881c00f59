"""The event loops that contestants run on."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

EVENT_LOOPS = ("asyncio", "uvloop", "trio", "trio-asyncio")
LIBRDKAFKA = "librdkafka"
"""The end of the names of contestants on librdkafka."""
LIBRDKAFKA_LOOPS = ("asyncio", "uvloop", "trio")


def run_on[T](loop: str, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    """Run a function on one of `EVENT_LOOPS`."""
    if loop == "trio-asyncio":
        return anyio.run(_inside_trio_asyncio, function, *arguments, backend="trio")
    options = {"use_uvloop": True} if loop == "uvloop" else {}
    backend = "trio" if loop == "trio" else "asyncio"
    return anyio.run(function, *arguments, backend=backend, backend_options=options)


async def _inside_trio_asyncio[T](function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
    import trio_asyncio  # whose import alone changes asyncio's event loops

    async with trio_asyncio.open_loop():
        return await function(*arguments)
