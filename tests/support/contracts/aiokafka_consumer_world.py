"""A real Kafka as the world of the contract of consumers, reached through the aiokafka adapter."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete

from sdml_kafka.transport.aiokafka.consumer.adapter import connect
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from tests.support.contracts.consumer_world import Reset, World
from tests.support.kafka_from_outside import wait_for_controller


class AiokafkaWorld:
    incremental = False

    def __init__(
        self,
        home: Home,
        producer: AIOKafkaProducer,
        admin: AIOKafkaAdminClient,
        servers: str,
        has_threads: bool,
    ) -> None:
        self._home = home
        self._producer = producer
        self._admin = admin
        self._servers = servers
        self._has_threads = has_threads

    def connect(
        self,
        group: str,
        *,
        auto_offset_reset: Reset = "latest",
        rebalance_timeout_s: float = 10.0,
        read_committed: bool = False,
    ) -> Connect:
        return connect(
            partial(
                AIOKafkaConsumer,
                bootstrap_servers=self._servers,
                group_id=group,
                auto_offset_reset=auto_offset_reset,
                rebalance_timeout_ms=int(rebalance_timeout_s * 1000),
                session_timeout_ms=6000,
                heartbeat_interval_ms=200,
                fetch_max_wait_ms=50,
                isolation_level="read_committed" if read_committed else "read_uncommitted",
                metadata_max_age_ms=500,
            ),
            in_group=self._has_threads,
        )

    def name(self) -> str:
        return f"contract-{uuid4().hex}"

    async def create_topic(self, topic: str, partitions: int) -> None:
        async def create() -> None:
            await wait_for_controller(self._admin)
            await self._admin.create_topics([NewTopic(topic, partitions, 1)])

        await self._home.call(create)

    async def add_partitions(self, topic: str, count: int) -> None:
        async def add() -> None:
            (described,) = await self._admin.describe_topics([topic])
            total = len(described["partitions"]) + count
            await self._admin.create_partitions({topic: NewPartitions(total)})
            while len(await self._producer.partitions_for(topic)) < total:
                await self._producer.client.force_metadata_update()

        await self._home.call(add)

    async def trim(self, partition: TopicPartition, before: int) -> None:
        async def delete() -> None:
            await self._admin.delete_records(
                {ClientPartition(*partition): RecordsToDelete(before_offset=before)}
            )

        await self._home.call(delete)

    async def commit(
        self, group: str, partition: TopicPartition, offset: int, metadata: str = ""
    ) -> None:
        async def commit() -> None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers, group_id=group, enable_auto_commit=False
            )
            client = ClientPartition(*partition)
            consumer.assign([client])
            await consumer.start()
            try:
                await consumer.commit({client: (offset, metadata)})
            finally:
                await consumer.stop()

        await self._home.call(commit)

    async def transact(self, partition: TopicPartition, *values: bytes) -> None:
        async def transact() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers, transactional_id=f"transact-{uuid4().hex}"
            )
            await producer.start()
            try:
                await producer.begin_transaction()
                for value in values or (b"aborted",):
                    await producer.send(partition.topic, value, partition=partition.partition)
                await producer.flush()
                await (producer.commit_transaction if values else producer.abort_transaction)()
            finally:
                await producer.stop()

        await self._home.call(transact)

    async def replace(self, topic: str, partitions: int) -> None:
        async def replace() -> None:
            await self._admin.delete_topics([topic])
            answered = None
            while answered != 0:
                answer = await self._admin.create_topics([NewTopic(topic, partitions, 1)])
                ((_, answered, *_),) = answer.topic_errors

        await self._home.call(replace)

    async def produce(self, partition: TopicPartition, *values: bytes) -> None:
        async def send() -> None:
            for value in values:
                await self._producer.send(partition.topic, value, partition=partition.partition)
            await self._producer.flush()

        await self._home.call(send)

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        async def look_up() -> dict[ClientPartition, Any]:
            offsets: dict[ClientPartition, Any] = await self._admin.list_consumer_group_offsets(
                group
            )
            return offsets

        found = (await self._home.call(look_up)).get(ClientPartition(*partition))
        return None if found is None else int(found.offset)


@asynccontextmanager
async def aiokafka_world(servers: str, *, has_threads: bool = True) -> AsyncGenerator[World]:
    """Yield a world whose members live in threads on trio, or on loops that trio drives."""

    async def start() -> tuple[AIOKafkaProducer, AIOKafkaAdminClient]:
        producer = AIOKafkaProducer(bootstrap_servers=servers)
        await producer.start()
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        return producer, admin

    async def stop() -> None:
        await producer.stop()
        await admin.close()

    async with open_home() as home:
        producer, admin = await home.call(start)
        try:
            yield AiokafkaWorld(home, producer, admin, servers, has_threads)
        finally:
            await home.call(stop)
