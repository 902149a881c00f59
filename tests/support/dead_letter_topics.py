"""A topic and its dead letters on a real broker, with a listener whose processor names them."""

import time
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from sdml_kafka import DeadLetter, Delivery, KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.dead_letters import failure_headers
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique


class DeadTopic:
    """A topic of records, and the one of their dead letters."""

    def __init__(self, servers: str, first: str, dead: str) -> None:
        self.servers, self.first, self.dead = servers, first, dead

    @classmethod
    async def create(cls, kafka: EmbeddedKafka) -> "DeadTopic":
        servers, first = kafka.bootstrap_servers, unique("orders")
        await create_topic(servers, first, 2)
        return cls(servers, first, await create_topic(servers, f"{first}-dlt", 2))

    async def fill(self, values: Sequence[bytes], error: str = "no stock") -> None:
        """Write a dead letter for each value, in partition 0 and 1 by turns."""
        now_ms = int(time.time() * 1000)

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.servers) as producer:
                for number, value in enumerate(values):
                    headers = failure_headers(
                        self.first, offset=number, timestamp_ms=now_ms, error=ValueError(error)
                    )
                    options: Any = {"partition": number % 2, "headers": list(headers)}
                    await producer.send(self.dead, value, **options)
                await producer.flush()

        await on_asyncio(send())

    def listener(self, **options: Any) -> KafkaListener:
        """Return a listener that would write such dead letters, and reads another topic."""
        where: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "group_id": unique("group"),
            **options,
        }
        listener = KafkaListener(
            [{"topics": [self.first], "type": bytes, "parser": lambda record: record.value}],
            **where,
        )

        @listener.processor(bytes, on_failure=DeadLetter(), name="bill")
        async def handle(value: bytes, delivery: Delivery[bytes]) -> None:
            """Take what is sent anew."""

        return listener
