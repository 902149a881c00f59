"""Makes the topics of the demo, and deletes them at its end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio

from sdml_kafka import SdmlKafkaError
from sdml_kafka.transport.interfaces import Producer

PARTITIONS = 4
TIMEOUT_S = 10.0


@asynccontextmanager
async def demo_topics(producer: Producer, *topics: str, deletes: bool) -> AsyncGenerator[None]:
    """Make the topics, and with `deletes` delete them after the body."""
    made: list[str] = []
    try:
        for topic in topics:
            await producer.create_topic(topic, PARTITIONS, {}, TIMEOUT_S)
            made.append(topic)
        yield
    finally:
        for topic in made if deletes else ():
            # A deletion ends within its timeout; a topic that stays behind is no failure.
            with anyio.CancelScope(shield=True), suppress(SdmlKafkaError):
                await producer.delete_topic(topic, TIMEOUT_S)
