"""A real Kafka as the world of the contract of transactions, reached through librdkafka."""

# pyright: basic
# The results of librdkafka's requests are not typed.

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer
from confluent_kafka import TopicPartition as ClientPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.transactions import ConnectTransactions, GroupOffsets
from sdml_kafka.transport.librdkafka.consumer.adapter import connect
from sdml_kafka.transport.librdkafka.options import (
    consumer_settings,
    producer_settings,
    transaction_settings,
)
from sdml_kafka.transport.librdkafka.producer.transactions import connect_transactions
from tests.support.contracts.librdkafka_consumer_world import GroupProtocol

CALL_S = 10.0


class LibrdkafkaTransactionsWorld:
    def __init__(self, kafka: EmbeddedKafka, protocol: GroupProtocol) -> None:
        self.kafka = kafka
        self._protocol = protocol
        self._servers = kafka.bootstrap_servers
        self._admin: Any = AdminClient({"bootstrap.servers": self._servers})

    def connect(self, transactional_id: str | None = None, **options: Any) -> ConnectTransactions:
        settings = {name.replace("_", "."): value for name, value in options.items()}
        producer = producer_settings(self._servers, settings)
        return connect_transactions(transaction_settings(producer, transactional_id), "contract")

    def connect_consumer(self, group: str) -> Connect:
        options: dict[str, Any] = {"isolation.level": "read_committed"}
        if self._protocol == "consumer":
            options["group.protocol"] = "consumer"
        else:
            options["partition.assignment.strategy"] = self._protocol
            options |= {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200}
        return connect(consumer_settings(self._servers, group, "earliest", options))

    def name(self) -> str:
        return f"transactions-{uuid4().hex}"

    async def create_topic(
        self, topic: str, partitions: int, replicas: int = 1, **config: Any
    ) -> None:
        new = NewTopic(topic, partitions, replicas, config=config)
        await anyio.to_thread.run_sync(
            lambda: self._admin.create_topics([new])[topic].result(CALL_S)
        )

    async def values(self, partition: TopicPartition) -> list[bytes | None]:
        return await anyio.to_thread.run_sync(partial(committed_values, self._servers, partition))

    async def committed(self, group: str, partition: TopicPartition) -> int | None:
        def ask() -> int | None:
            wanted = ConsumerGroupTopicPartitions(group, [ClientPartition(*partition)])
            asked = self._admin.list_consumer_group_offsets([wanted])
            (found,) = asked[group].result(CALL_S).topic_partitions
            return None if found.offset < 0 else int(found.offset)

        return await anyio.to_thread.run_sync(ask)

    async def prepare(self, offsets: GroupOffsets) -> Callable[[], Awaitable[object]]:
        metadata, commits = offsets
        settings = {"bootstrap.servers": self._servers, "transactional.id": self.name()}
        producer = Producer(settings)

        def begin() -> None:
            producer.init_transactions(CALL_S)
            producer.begin_transaction()
            producer.send_offsets_to_transaction(
                [ClientPartition(*each, at.offset, at.metadata) for each, at in commits.items()],
                metadata,
                CALL_S,
            )

        await anyio.to_thread.run_sync(begin)
        return lambda: anyio.to_thread.run_sync(producer.commit_transaction, CALL_S)

    async def go_away(self) -> None:
        self.kafka.freeze()

    async def come_back(self) -> None:
        self.kafka.thaw()


def committed_values(servers: str, partition: TopicPartition) -> list[bytes | None]:
    """Return the values of all committed records of a partition; this blocks."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "nobody",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    consumer.assign([ClientPartition(*partition, 0)])
    values: list[bytes | None] = []
    try:
        while True:
            message = consumer.poll(CALL_S)
            assert message is not None, "the broker has not answered"
            error = message.error()
            if error is None:
                values.append(message.value())
            elif error.code() == KafkaError._PARTITION_EOF:
                return values
    finally:
        consumer.close()
