# pyright: basic
# aiokafka is not typed.
"""Send records and commit the offsets of what they were made of together, or neither.

A producer with a transactional id takes the place of the one before with the same id, whose open
transaction the broker then aborts. So whatever was cut off, by a kill too, has not happened for
readers of committed records.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import anyio
from aiokafka import TopicPartition as Partition
from aiokafka import errors as kafka
from aiokafka.structs import OffsetAndMetadata

from sdml_kafka.errors import BrokerUnreachable, ProducerFailed, SdmlKafkaError
from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import CLOSE_TIMEOUT_S, Client
from sdml_kafka.transport.aiokafka.connecting import Connecting
from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_context
from sdml_kafka.transport.aiokafka.producer import internals
from sdml_kafka.transport.aiokafka.producer.admin import Admin
from sdml_kafka.transport.aiokafka.startup import Startup
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Commit
from sdml_kafka.transport.record_checks import fault_of, no_such_partition, no_such_topic
from sdml_kafka.transport.transactions import NoTransactions, RecordsFailed
from sdml_kafka.transport.transactions import Transactions as Port

ABORT_TIMEOUT_S = 2.0
LOOK_UP_TIMEOUT_S = 10.0

_REFUSED = (
    kafka.TransactionalIdAuthorizationFailed,
    kafka.IncompatibleBrokerVersion,
    kafka.UnsupportedVersionError,
)


class ProducerTransactions:
    """Makes one transaction after another. Lives on the asyncio side.

    After a transaction that failed another producer takes over: a batch that was refused leaves a
    gap in the sequence numbers of the first.
    """

    def __init__(self, producer_factory: Callable[[], Any], timeout_s: float) -> None:
        self._producer_factory = producer_factory
        self._timeout_s = timeout_s
        self._producer: Client | None = None
        self._startup: Startup | None = None
        self._counts: dict[str, int] = {}

    async def start(self) -> Client:
        self._producer = producer = self._producer_factory()
        internals.look_at_failures(producer)
        connecting = Connecting(producer.client)
        self._startup = Startup(producer, connecting, _explain_start)
        try:
            await self._startup.run(self._timeout_s)
        except BrokerUnreachable as error:
            if connecting.has_found_brokers and not connecting.failures():
                raise NoTransactions(str(error)) from error
            raise
        return producer

    async def close(self) -> None:
        if self._startup is not None:
            await self._startup.cancel()
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):  # the next one aborts what is open, or the broker in a minute
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await producer.stop()

    async def send(
        self, messages: Sequence[Message], offsets: Mapping[TopicPartition, Commit], group: str
    ) -> None:
        producer = self._producer or await self.start()
        await self._look_up(producer, {message.topic for message in messages})
        for message in messages:
            if (fault := self._fault_of(message)) is not None:
                raise RecordsFailed(fault)
        commits = {
            Partition(*each): OffsetAndMetadata(commit.offset, commit.metadata)
            for each, commit in offsets.items()
        }
        try:
            await producer.begin_transaction()
            await _send_all(producer, messages)
            await producer.send_offsets_to_transaction(commits, group)
            await producer.commit_transaction()
        except BaseException as error:
            ended = internals.sender_error(producer)
            # A caller that is cancelled leaves no connection either.
            with anyio.move_on_after(ABORT_TIMEOUT_S + CLOSE_TIMEOUT_S, shield=True):
                with suppress(Exception, asyncio.CancelledError):
                    async with asyncio.timeout(ABORT_TIMEOUT_S):
                        await producer.abort_transaction()
                await self.close()
            if not isinstance(error, Exception):
                raise
            if isinstance(error, RecordsFailed) and ended is None:
                await self.start()  # the caller can then see what others have done before that
                raise
            raise error_mapping.from_transaction(ended or error) from error

    async def _look_up(self, producer: Client, topics: Collection[str]) -> None:
        """Look for topics, for aiokafka would create one that is missing."""
        if new := topics - self._counts.keys():
            found = await Admin(producer).partition_counts(new, LOOK_UP_TIMEOUT_S)
            self._counts |= found

    def _fault_of(self, message: Message) -> SdmlKafkaError | None:
        count, partition = self._counts[message.topic], message.partition
        if (fault := fault_of(message)) is not None:
            return fault
        if not count:
            return no_such_topic(message.topic, may_create=False)
        if partition is not None and partition >= count:
            return no_such_partition(message.topic, partition, count)
        return None


async def _send_all(producer: Client, messages: Sequence[Message]) -> None:
    """Send records, and return when all are acknowledged."""
    sent: list[tuple[str, asyncio.Future[Any]]] = []
    failure: RecordsFailed | None = None
    for message in messages:
        try:
            sent.append((message.topic, await _send(producer, message)))
        except Exception as error:
            raise RecordsFailed(error_mapping.from_send(error, message.topic)) from error
    for topic, future in sent:
        try:
            await future
        except Exception as error:
            if error_mapping.is_fenced(error):
                raise
            failure = failure or RecordsFailed(error_mapping.from_send(error, topic))
    if failure is not None:
        raise failure


async def _send(producer: Client, message: Message) -> "asyncio.Future[Any]":
    topic, value, key, headers, partition, _, timestamp_ms, _ = message
    pairs: Any = list(headers)
    if value is None and key is None:  # aiokafka's own `send` refuses these, brokers do not
        batch = producer.create_batch()
        batch.append(timestamp=timestamp_ms, key=None, value=None, headers=pairs)
        where = 0 if partition is None else partition
        sending = producer.send_batch(batch, topic, partition=where)
    else:
        sending = producer.send(
            topic, value, key, partition=partition, timestamp_ms=timestamp_ms, headers=pairs
        )
    future: asyncio.Future[Any] = await sending
    # The first error ends the transaction, and asyncio logs those at which nobody looks.
    future.add_done_callback(internals.look_at)
    return future


class CrossingTransactions:
    """Makes transactions for a program that may be on another loop."""

    def __init__(self, home: Home, transactions: ProducerTransactions) -> None:
        self._home = home
        self._transactions = transactions

    async def send(
        self, messages: Sequence[Message], offsets: Mapping[TopicPartition, Commit], group: str
    ) -> None:
        await self._home.call(partial(self._transactions.send, messages, offsets, group))


@asynccontextmanager
async def open_transactions(
    producer_factory: Callable[[], object], timeout_s: float
) -> AsyncGenerator[Port]:
    """Open a producer that makes transactions, and have an older one's aborted.

    Raises:
        NoTransactions: The broker does not let this client make transactions.
        BrokerUnreachable: No broker answers.
    """
    with limited_logs():
        async with open_home() as home:
            home.call_soon(own_context)
            made: list[ProducerTransactions] = []

            async def make() -> None:
                made.append(ProducerTransactions(producer_factory, timeout_s))
                await made[0].start()

            async def close() -> None:
                for each in made:
                    await each.close()

            try:
                await home.call(make)
                yield CrossingTransactions(home, made[0])
            finally:
                with anyio.move_on_after(CLOSE_TIMEOUT_S * 2, shield=True):
                    await home.call(close)


def _explain_start(error: BaseException) -> BaseException:
    if isinstance(error, _REFUSED) or error_mapping.is_authorization(error):
        return NoTransactions(f"the broker refuses them ({type(error).__name__})")
    if isinstance(error, kafka.KafkaError | AssertionError | asyncio.CancelledError):
        return ProducerFailed(f"the client did not start: {error!r}")
    return error
