# pyright: basic
# aiokafka is not typed.
"""The private attributes of aiokafka's client, consumers' and producers' alike, that this package
touches; those of the two are in files of their own.

Checked on aiokafka 0.13.0 and 0.14.0.

- `bootstrap_conn`, a local variable of `client.bootstrap()`: left open by one that is cancelled.
- `_sync_task` is written, to close what one that has died keeps from being closed.
"""

from traceback import walk_tb
from typing import Any

Client = Any
"""An `aiokafka.AIOKafkaConsumer` or `AIOKafkaProducer`; aiokafka is not typed."""


async def start(client: Client) -> None:
    """One that is cancelled forgets the connection that it asks for the first metadata."""
    try:
        await client.start()
    except BaseException as error:
        for frame, _ in walk_tb(error.__traceback__):
            if (connection := frame.f_locals.get("bootstrap_conn")) is not None:
                connection.close()
        raise


async def close_client(client: Any) -> None:
    """An `AIOKafkaClient`: its connections too, where `close()` raises what its metadata task has
    died of before."""
    try:
        await client.close()
    except Exception:  # whatever that task died of; the second attempt raises what is new
        client._sync_task = None
        await client.close()
