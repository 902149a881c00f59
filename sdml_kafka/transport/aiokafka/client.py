# pyright: basic
# aiokafka is not typed.
"""What aiokafka's consumers and producers have in common: their client, and how tasks on it end.

The private attributes of that client that this package touches; those of the consumer and of the
producer are in the two `internals.py`. Checked on aiokafka 0.13.0 and 0.14.0.

- `_sync_task` is written, since `close()` raises what a metadata task that has died has raised.
"""

import asyncio
from typing import Any

Client = Any
"""An `aiokafka.AIOKafkaConsumer` or `AIOKafkaProducer`; aiokafka is not typed."""

CLOSE_TIMEOUT_S = 2.0
"""Seconds that a client has to close when its context is left."""
RETRY_S = 0.1
"""Seconds until a request that may succeed later is sent again."""
TOPIC_CREATION_S = 1.0
"""Seconds within which a broker that creates topics by itself has created one."""


def error_of(task: "asyncio.Future[Any]") -> BaseException | None:
    """Return the error of a task that is done, None if it has a result.

    A cancellation is returned as well, where `task.exception()` would raise it.
    """
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()


async def close_client(client: Any) -> None:
    """Close an `AIOKafkaClient` and its connections.

    Its `close()` raises what its metadata task has died of, before it closes the connections.
    """
    try:
        await client.close()
    except Exception:  # whatever the task died of; the second attempt raises what is new
        client._sync_task = None
        await client.close()
