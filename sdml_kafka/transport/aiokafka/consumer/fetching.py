# pyright: basic
# aiokafka is not typed.
"""Reading what aiokafka has fetched.

A `getmany` that waits cannot be ended early (a cancelled one leaks a count that switches off
aiokafka's idle check) and ignores its time-out in a rebalance. So it is only asked for what is
there, which takes no turn of the loop, and the waiting happens here.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition as ClientPartition
from aiokafka.errors import KafkaError

from sdml_kafka.errors import ConsumerFailed
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.interfaces import Record, TopicPartition

NOBODY: Any = ClientPartition("", 0)
"""`getmany()` without arguments means all partitions; this one means none, keeps the membership
and every buffer."""

FEW_RECORDS = 10
HEAD_START_TURNS = 5
"""What a few records give rise to goes out before the next fetch, to build which takes aiokafka as
long as all the rest of a call: so many turns of the loop lie between reading a reply and sending
the next request. With many records at once it makes no difference."""

Batches = dict[TopicPartition, Sequence[Record]]


def as_client(partition: TopicPartition) -> Any:
    """Equal to ours, but aiokafka asserts that it is its own."""
    return ClientPartition(*partition)


class Fetches:
    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._is_nudged = False
        self._waiter: asyncio.Future[None] | None = None
        self._wanted: dict[TopicPartition, TopicPartition] = {}
        self._asked: Sequence[Any] = (NOBODY,)

    def nudge(self) -> None:
        """Let a `read` return now."""
        self._is_nudged = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def read(
        self, partitions: Collection[TopicPartition], most: int, timeout_s: float
    ) -> Batches | None:
        """The records that come first, none when the time is over; None: nudged before any came.

        Raises what `getmany` does. Nothing else runs between taking records and returning them.
        """
        if partitions != self._wanted.keys():
            self._wanted = {each: each for each in partitions}
            self._asked = tuple(map(as_client, partitions)) or (NOBODY,)
        deadline = self._loop.time() + timeout_s
        private.begin_polling(self._consumer)
        try:
            if private.has_fetched(self._consumer):
                await asyncio.sleep(0)  # reading on and on would let nobody else work
            else:
                await self._wait(timeout_s)
            while not self._is_nudged:
                if batches := await self._take(most):
                    return batches
                if (left_s := deadline - self._loop.time()) <= 0:
                    return {}
                await self._wait(left_s)
        finally:
            private.end_polling(self._consumer)
        self._is_nudged = False
        return None

    async def _take(self, most: int) -> Batches:
        try:
            if private.is_rebalancing(self._consumer):
                private.raise_pending(self._consumer)
                return {}  # it would wait for the assignment
            taken: Mapping[Any, Sequence[Record]] = {}
            try:
                taken = await private.take_fetched(self._consumer, self._asked, most)
            finally:
                few = 0 < sum(map(len, taken.values())) <= FEW_RECORDS
                self._fetch_on(HEAD_START_TURNS if few else 0)
        except asyncio.CancelledError as error:  # not of this task, which has not waited
            raise ConsumerFailed("aiokafka's coordination was cancelled") from error
        return {self._wanted[partition]: batch for partition, batch in taken.items()}

    def _fetch_on(self, after_turns: int) -> None:
        if after_turns:
            self._loop.call_soon(self._fetch_on, after_turns - 1)
        else:
            private.fetch_on(self._consumer)

    async def _wait(self, timeout_s: float) -> None:
        """Until something was fetched, an error has to be told, or `nudge`."""
        if self._is_nudged:
            return
        self._waiter = private.fetch_waiter(self._consumer)
        timer = self._loop.call_later(timeout_s, self._wake)
        try:
            await self._waiter
        except KafkaError:
            private.raise_pending(self._consumer)
            raise
        finally:
            timer.cancel()
            self._waiter = None
