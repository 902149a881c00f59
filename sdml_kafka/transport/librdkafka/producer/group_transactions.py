"""Send records and commit offsets together, over librdkafka, for a group without members.

The group's metadata is that of a consumer which has never joined. With it the broker takes the
offsets as it takes those of a simple consumer, without a look at the members of the group.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import anyio
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ClientPartition

from sdml_kafka.errors import (
    AuthorizationFailed,
    ProducerFailed,
    TransactionFailed,
    TransactionInDoubt,
)
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transactions import (
    ConnectTransactions,
    GroupOffsets,
    TransactionalProducer,
)
from sdml_kafka.transport.librdkafka import error_mapping
from sdml_kafka.transport.librdkafka.logs import ClientLog
from sdml_kafka.transport.librdkafka.options import Settings, made, secrets_of
from sdml_kafka.transport.transactions import NoTransactions, RecordsFailed

COMMIT_TIMEOUT_S = 15.0
ABORT_TIMEOUT_S = 5.0

Offsets = Mapping[TopicPartition, Commit | None]


class GroupTransactions:
    """Makes one transaction after another, each with a commit for the group."""

    def __init__(self, producer: TransactionalProducer, metadata: bytes) -> None:
        self._producer, self._metadata = producer, metadata

    async def send(
        self, messages: Sequence[Message], offsets: Mapping[TopicPartition, Commit], group: str
    ) -> None:
        """Send records and commit offsets; see `Transactions.send`. `group` is the one group."""
        failed: list[Exception] = []
        try:
            for message in messages:
                self._producer.send(message, failed.append)
            await self._commit(GroupOffsets(self._metadata, offsets))
        except TransactionFailed as error:
            await self._producer.abort(ABORT_TIMEOUT_S)
            if failed:
                raise RecordsFailed(failed[0]) from error
            raise ProducerFailed(f"nothing was sent: {error}") from error

    async def _commit(self, offsets: GroupOffsets) -> None:
        """Commit; in doubt go on with the same commit, since it may have happened."""
        deadline = monotonic() + COMMIT_TIMEOUT_S
        while True:
            try:
                await self._producer.commit(offsets, max(1.0, deadline - monotonic()))
            except TransactionInDoubt:
                if monotonic() >= deadline:
                    raise
            else:
                return


@asynccontextmanager
async def open_transactions(
    connect: ConnectTransactions, settings: Settings, timeout_s: float
) -> AsyncGenerator[GroupTransactions]:
    """Open a producer that makes transactions, and have an older one's aborted.

    Args:
        connect: Opens the producer.
        settings: The configuration of a consumer that names the group.
        timeout_s: Seconds that a broker may take to answer.

    Raises:
        NoTransactions: The broker does not let this client make transactions.
        BrokerUnreachable: No broker answers.
    """
    metadata: bytes = await _with_consumer(settings, _metadata)
    async with connect() as producer:
        try:
            await producer.start(timeout_s, creates_topics=False)
        except AuthorizationFailed as error:
            raise NoTransactions(str(error)) from error
        yield GroupTransactions(producer, metadata)


async def group_offsets(settings: Settings, topic: str, timeout_s: float) -> Offsets:
    """Return what a group has committed for each partition of a topic.

    Args:
        settings: The configuration of a consumer that names the group.
        topic: The topic.
        timeout_s: Seconds that a broker may take to answer.

    Raises:
        SdmlKafkaError: It is not known; the error says why.
    """
    try:
        return await _with_consumer(settings, partial(_committed, topic, timeout_s))
    except KafkaException as error:
        what = f"look up what the group {settings['group.id']!r} has committed"
        raise error_mapping.from_admin(error.args[0], what) from error


def _committed(topic: str, timeout_s: float, consumer: Any) -> Offsets:
    deadline = monotonic() + timeout_s
    found = consumer.list_topics(topic, timeout_s).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    places = [ClientPartition(topic, number) for number in sorted(found.partitions)]
    committed = consumer.committed(places, max(0.1, deadline - monotonic()))
    return {TopicPartition(topic, each.partition): _commit_of(each) for each in committed}


def _commit_of(partition: Any) -> Commit | None:
    if partition.error is not None:
        raise KafkaException(partition.error)
    if partition.offset < 0:
        return None
    return Commit(partition.offset, partition.metadata or "")


def _metadata(consumer: Any) -> bytes:
    metadata: bytes = consumer.consumer_group_metadata()
    return metadata


async def _with_consumer[T](settings: Settings, ask: Callable[[Any], T]) -> T:
    """Return what a consumer answers that joins no group, in a thread, since each call blocks."""

    def run() -> T:
        consumer = made(Consumer, settings, ClientLog(secrets_of(settings)))
        try:
            return ask(consumer)
        finally:
            consumer.close()

    # Whoever is cut off leaves the thread to its own timeout.
    return await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
