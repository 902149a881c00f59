"""A real Kafka as the world of the contract of producers, reached through the aiokafka adapter."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import ConnectProducer
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from tests.support.kafka_from_outside import wait_for_controller


class AiokafkaWorld:
    def __init__(self, home: Home, admin: AIOKafkaAdminClient, kafka: EmbeddedKafka) -> None:
        self._home = home
        self._admin = admin
        self.kafka = kafka
        self.servers = kafka.bootstrap_servers

    def connect(self, **options: Any) -> ConnectProducer:
        return connect_producer(default_producer_factory(self.servers, options))

    def connect_consumer(self, group: str) -> Connect:
        return connect(partial(AIOKafkaConsumer, bootstrap_servers=self.servers, group_id=group))

    def name(self) -> str:
        return f"producer-{uuid4().hex}"

    async def create_topic(self, topic: str, partitions: int, **config: str) -> None:
        async def create() -> None:
            await wait_for_controller(self._admin)
            await self._admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=config)])

        await self._home.call(create)

    async def records(self, partition: TopicPartition) -> list[Record]:
        async def read() -> list[Record]:
            place = ClientPartition(*partition)
            consumer = AIOKafkaConsumer(bootstrap_servers=self.servers)
            await consumer.start()
            try:
                consumer.assign([place])
                consumer.seek(place, 0)
                end = (await consumer.end_offsets([place]))[place]
                found: list[Record] = []
                while await consumer.position(place) < end:
                    found += (await consumer.getmany(place, timeout_ms=200)).get(place, ())
                return found
            finally:
                await consumer.stop()

        return await self._home.call(read)

    async def go_away(self) -> None:
        self.kafka.freeze()

    async def come_back(self) -> None:
        self.kafka.thaw()


@asynccontextmanager
async def open_world[W](
    make: Callable[[Home, AIOKafkaAdminClient, EmbeddedKafka], W], kafka: EmbeddedKafka
) -> AsyncGenerator[W]:
    async def start() -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        return admin

    async with open_home() as home:
        admin = await home.call(start)
        try:
            yield make(home, admin, kafka)
        finally:
            await home.call(admin.close)


def world_of(kafka: EmbeddedKafka) -> AbstractAsyncContextManager[AiokafkaWorld]:
    return open_world(AiokafkaWorld, kafka)
