"""The parts of the contract of transactions: a broker to act on, and shortcuts."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from sdml_kafka.transport.interfaces.consumer import Connect
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.interfaces.transactions import (
    ConnectTransactions,
    GroupOffsets,
    TransactionalProducer,
)
from tests.support.contracts.consumer_world import CALL_S, Seat


class TransactionsWorld(Protocol):
    """A broker under test, which creates no topic by itself."""

    def connect(self, transactional_id: str | None = None) -> ConnectTransactions: ...
    def connect_consumer(self, group: str) -> Connect:
        """Return what opens members that read committed records, a new group from the beginning."""
        ...

    def name(self) -> str: ...
    async def create_topic(self, topic: str, partitions: int) -> None: ...
    async def values(self, partition: TopicPartition) -> list[bytes | None]:
        """Return the values of all committed records of a partition."""
        ...

    async def committed(self, group: str, partition: TopicPartition) -> int | None: ...
    async def prepare(self, offsets: GroupOffsets) -> Callable[[], Awaitable[object]]:
        """Leave a transaction with offsets open, and return what commits it."""
        ...

    async def go_away(self) -> None:
        """Stop every broker, until `come_back`."""

    async def come_back(self) -> None: ...


class Failures:
    """The errors that were reported for records, in order."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.is_sending = False

    def send(self, producer: TransactionalProducer, *messages: Message) -> None:
        for message in messages:
            self.is_sending = True
            producer.send(message, self._note)
            self.is_sending = False

    def _note(self, error: Exception) -> None:
        assert not self.is_sending, "reported from within send"
        self.errors.append(error)


@asynccontextmanager
async def started(connect: ConnectTransactions) -> AsyncGenerator[TransactionalProducer]:
    async with connect() as producer:
        await producer.start(CALL_S)
        yield producer


async def offsets_of(seat: Seat, offsets: Mapping[TopicPartition, int]) -> GroupOffsets:
    """Return what a member commits in a transaction, as it is now."""
    metadata = await seat.consumer.group_metadata(seat.last_epoch, list(offsets), CALL_S)
    return GroupOffsets(metadata, {each: Commit(at, "map") for each, at in offsets.items()})
