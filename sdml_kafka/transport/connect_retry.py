"""Starting a client, again and again until a broker answers or the time is over."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from sdml_kafka.errors import BrokerUnreachable

START_RETRY_S = 0.3


@asynccontextmanager
async def connected[C](
    connect: Callable[[], AbstractAsyncContextManager[C]],
    start: Callable[[C, float], Awaitable[None]],
    deadline: float,
) -> AsyncGenerator[C]:
    """A client that `start` (called with the seconds that are left) has started."""
    while True:
        async with connect() as client:
            try:
                await start(client, max(0.1, deadline - anyio.current_time()))
            except BrokerUnreachable:
                if anyio.current_time() + START_RETRY_S >= deadline:
                    raise
            else:
                yield client
                return
        await anyio.sleep(START_RETRY_S)
