"""Makes the topics of the demo, and deletes them at its end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio

from sdml_kafka import SdmlKafkaError
from sdml_kafka.transport.interfaces.producer import ConnectProducer, Producer

PARTITIONS = 4
TIMEOUT_S = 10.0


@asynccontextmanager
async def demo_topics(
    connect: ConnectProducer, *topics: str, deletes: bool
) -> AsyncGenerator[None]:
    """Make the topics, and with `deletes` delete them after the body."""
    try:
        async with _started(connect) as producer:
            for topic in topics:
                await producer.create_topic(topic, PARTITIONS, {}, TIMEOUT_S)
        yield
    finally:
        if deletes:
            # The deletion ends within its timeouts; topics that stay behind are no failure.
            with anyio.CancelScope(shield=True), suppress(SdmlKafkaError):
                async with _started(connect) as producer:
                    for topic in topics:
                        await producer.delete_topic(topic, TIMEOUT_S)


@asynccontextmanager
async def _started(connect: ConnectProducer) -> AsyncGenerator[Producer]:
    async with connect() as producer:
        await producer.start(TIMEOUT_S, creates_topics=False)
        yield producer
