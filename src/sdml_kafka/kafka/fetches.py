# pyright: basic
# aiokafka is not typed.
"""The `getmany` calls under way, each over partitions of its own.

Several at a time, so that a partition that becomes ready while the others have nothing new need
not wait for them: a `getmany` cannot be ended early, since a cancelled one leaks a count that
switches aiokafka's idle check off.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from aiokafka import TopicPartition as ClientPartition

from sdml_kafka.kafka.aiokafka_private import Client
from sdml_kafka.kafka.port import Record, TopicPartition

NOBODY: Any = ClientPartition("", 0)
"""`getmany()` without arguments means all partitions; this one means none, keeps the membership
and every buffer."""

Batches = dict[TopicPartition, Sequence[Record]]


def as_client(partition: TopicPartition) -> Any:
    """Equal to ours, but aiokafka asserts that it is its own."""
    return ClientPartition(*partition)


class Fetches:
    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[Any], frozenset[TopicPartition]] = {}
        self._is_nudged = False
        self._waiter: asyncio.Future[None] | None = None

    def nudge(self, _: object = None) -> None:
        """Let a `wait` return now."""
        self._is_nudged = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def reading(self) -> frozenset[TopicPartition]:
        """The partitions that some call is out for."""
        return frozenset[TopicPartition]().union(*self._tasks.values())

    def start(self, partitions: Collection[TopicPartition], most: int, timeout_s: float) -> None:
        """Begin to read those that no call is out for; nobody's, when no call is out at all."""
        wanted = frozenset(partitions) - self.reading()
        if wanted or not self._tasks:
            task = self._loop.create_task(
                self._consumer.getmany(
                    *(map(as_client, wanted) if wanted else (NOBODY,)),
                    timeout_ms=int(timeout_s * 1000),
                    max_records=most,
                )
            )
            task.add_done_callback(self.nudge)
            self._tasks[task] = wanted

    async def wait(self, timeout_s: float) -> None:
        """Until a call has ended, or `nudge`. In a rebalance `getmany` ignores its time-out."""
        if not self._is_nudged:
            self._waiter = self._loop.create_future()
            timer = self._loop.call_later(timeout_s + 0.05, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        self._is_nudged = False

    def collect(self) -> tuple[Batches, BaseException | None]:
        """What the calls that have ended brought, and an error if one of them raised."""
        batches: Batches = {}
        error: BaseException | None = None
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            if (raised := error_of(task)) is not None:
                error = raised
            else:
                batches.update(
                    {TopicPartition(*key): batch for key, batch in task.result().items()}
                )
        return batches, error

    def forget_ended(self) -> None:
        """What they brought belongs to partitions that were taken away."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            error_of(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=0.5)
        self.forget_ended()


def error_of(task: "asyncio.Future[Any]") -> BaseException | None:
    """The error of one that is done; a cancellation is one too, never raised as such."""
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()
