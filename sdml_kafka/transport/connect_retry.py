"""Start a client again and again, until a broker answers or the deadline has passed."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from sdml_kafka.errors import BrokerUnreachable

START_RETRY_S = 0.3
MIN_ATTEMPT_S = 0.1
FAIR_ATTEMPT_S = 1.0
"""Seconds that an attempt should have: with less, all that it may find is that nothing answered."""


@asynccontextmanager
async def connected[C](
    connect: Callable[[], AbstractAsyncContextManager[C]],
    start: Callable[[C, float], Awaitable[None]],
    deadline: float,
) -> AsyncGenerator[C]:
    """Open a client and start it; a new one for each attempt, since a failed start spoils it.

    Args:
        connect: Opens a client that is not started.
        start: Starts the client within the given number of seconds.
        deadline: The time, by `anyio.current_time()`, after which no attempt begins.

    Raises:
        BrokerUnreachable: No broker has answered by the deadline.
    """
    reason: BrokerUnreachable | None = None
    while True:
        async with connect() as client:
            timeout_s = max(MIN_ATTEMPT_S, deadline - anyio.current_time())
            try:
                await start(client, timeout_s)
            except BrokerUnreachable as error:
                if reason is None or timeout_s >= FAIR_ATTEMPT_S:
                    reason = error
                if anyio.current_time() + START_RETRY_S >= deadline:
                    raise reason from reason.__cause__
            else:
                yield client
                return
        await anyio.sleep(START_RETRY_S)
