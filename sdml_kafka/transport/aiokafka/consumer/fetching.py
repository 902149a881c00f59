# pyright: basic
# aiokafka is not typed.
"""Read what aiokafka has fetched.

A `getmany` that waits cannot be ended early (a cancelled one leaks a count that switches off
aiokafka's idle check), and ignores its timeout in a rebalance. So it is only asked for what is
there, which takes no turn of the loop, and the waiting happens here.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.positions.read_positions import ReadPositions
from sdml_kafka.transport.aiokafka.consumer.record_batches import decodes_here, take
from sdml_kafka.transport.interfaces.records import Record, TopicPartition

NOBODY: Mapping[Any, TopicPartition] = {ClientPartition("", 0): TopicPartition("", 0)}
"""`getmany()` without arguments reads all partitions. With this one it reads none, keeps the
membership alive, and keeps every buffer."""

FEW_RECORDS = 150
HEAD_START_TURNS = 2
"""The number of turns of the loop by which the next fetch is put off after a few records.

So many turns lie between reading a reply and sending the next request, and building a fetch takes
aiokafka as long as all the rest of a call. With 100 calls in flight it is still 5 % of them."""

Batches = Mapping[TopicPartition, Sequence[Record]]


class FetchedRecords:
    """Hands out the records that aiokafka has fetched, and waits for them."""

    def __init__(self, consumer: Client, positions: ReadPositions) -> None:
        self._consumer = consumer
        self._positions = positions
        self._loop = asyncio.get_running_loop()
        self._is_nudged = False
        self._is_interrupted = False
        self._is_reading = False
        self._waiter: asyncio.Future[None] | None = None
        self._wanted: Mapping[Any, TopicPartition] = {}
        self._decodes = decodes_here(consumer)
        self.bad_ends: dict[TopicPartition, int] = {}
        """Where the last batch of a partition ends that did not decode, if that is known."""
        self._failure: KafkaError | None = None
        self._has_paused = False
        self._head_start = 0
        """The turns of the loop by which the last records were ahead of the next fetch."""

    def begin(self) -> None:
        """Learn of fetched records at once, from now on: the consumer was started."""
        internals.notify_at_once(self._consumer, lambda: self._head_start)

    def nudge(self) -> None:
        """Make a `read` that waits return now."""
        self._is_nudged = True
        self._wake()

    def interrupt(self) -> None:
        """Make a `read` or a `wait` that waits return now; those to come are not concerned."""
        self._is_nudged = self._is_nudged or self._is_reading
        self._is_interrupted = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout_s: float) -> None:
        """Wait until something was fetched or has failed, or `nudge` was called.

        What has failed is raised by the next `read`.
        """
        deadline = self._loop.time() + timeout_s
        self._is_interrupted = False
        while not (
            self._is_nudged or self._is_interrupted or internals.has_fetched(self._consumer)
        ):
            left_s = deadline - self._loop.time()
            if left_s <= 0 or self._failure is not None:
                return
            try:
                await self._wait(left_s)
            except KafkaError as error:
                self._failure = error
            self._has_paused = True

    async def read(
        self, partitions: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Batches | None:
        """Wait for records of these partitions and return them.

        Nothing else runs between taking records and returning them, so none can get lost.

        Args:
            partitions: The partitions to read.
            max_records: The number of records that are returned at most.
            timeout_s: Seconds after which the call returns without records.

        Returns:
            The first records that are there, none if the time is over or only a position has
            moved, None after a nudge.

        Raises:
            Exception: Whatever `getmany` raises.
        """
        if partitions != self._wanted.keys():
            self._wanted = {internals.as_client(each): each for each in partitions}
        deadline = self._loop.time() + timeout_s
        internals.begin_polling(self._consumer)
        self._is_reading = True
        has_paused, self._has_paused = self._has_paused, False
        try:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if internals.has_fetched(self._consumer):
                if not has_paused:
                    await asyncio.sleep(0)  # without a pause nobody else could run
            else:
                await self._wait(timeout_s)
            while not self._is_nudged:
                batches = await self._take(max_records)
                if batches or self._positions.has_news:
                    return batches
                if (left_s := deadline - self._loop.time()) <= 0:
                    return {}
                await self._wait(left_s)
        finally:
            self._is_reading = False
            internals.end_polling(self._consumer)
        self._is_nudged = False
        return None

    async def _take(self, max_records: int) -> Batches:
        try:
            if internals.is_rebalancing(self._consumer):
                internals.raise_pending(self._consumer)
                return {}  # `getmany` would wait for the assignment
            taken: Batches = {}
            wanted = self._wanted
            fetched = [
                wanted[each]
                for each in internals.fetched_partitions(self._consumer)
                if each in wanted
            ]
            self._positions.look(fetched)
            try:
                if self._decodes:
                    taken = take(self._consumer, wanted, max_records, self.bad_ends)
                else:
                    taken = await internals.take_by_aiokafka(
                        self._consumer, wanted or NOBODY, max_records
                    )
            finally:
                few = 0 < sum(map(len, taken.values())) <= FEW_RECORDS
                self._head_start = HEAD_START_TURNS if few else 0
                self._fetch_next(self._head_start)
        except asyncio.CancelledError as error:  # not this task's: it has not waited
            raise ConsumerFailed("aiokafka's coordination was cancelled") from error
        self._positions.took(fetched, taken)
        return taken

    def _fetch_next(self, after_turns: int) -> None:
        if after_turns:
            self._loop.call_soon(self._fetch_next, after_turns - 1)
        else:
            internals.fetch_next(self._consumer)

    async def _wait(self, timeout_s: float) -> None:
        """Wait until something was fetched, an error is to be raised, or `nudge` was called."""
        if self._is_nudged:
            return
        self._waiter = internals.fetch_waiter(self._consumer)
        timer = self._loop.call_later(timeout_s, self._wake)
        try:
            await self._waiter
        except KafkaError:
            internals.raise_pending(self._consumer)
            raise
        finally:
            timer.cancel()
            self._waiter = None
