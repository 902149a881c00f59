"""A listener on the in-memory twin that processes records and can send."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from sdml_kafka import KafkaListener
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.listener_on_twin import GROUP, TEXTS

Handle = Callable[..., Any]


def processing_on(broker: MemoryBroker, group: str = GROUP, **options: Any) -> KafkaListener:
    """Return a listener of texts whose records may be sent on."""
    connect = broker.connect(group, auto_offset_reset="earliest")
    options.setdefault("parsers", [TEXTS])
    transport = Transport(connect, broker.connect_producer())
    return KafkaListener(transport=transport, **options)


@asynccontextmanager
async def processing(
    listener: KafkaListener, handle: Handle, **options: Any
) -> AsyncGenerator[None]:
    """Process the texts of a listener in the background, as long as the context lasts."""
    async with anyio.create_task_group() as tasks:

        async def process() -> None:
            await listener.process(str, handle, **options)

        tasks.start_soon(process)
        yield
        tasks.cancel_scope.cancel()
