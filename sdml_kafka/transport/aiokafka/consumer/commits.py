# pyright: basic
# aiokafka is not typed.
"""The commits of one consumer: one in flight, each stamped with the assignment it belongs to."""

import asyncio
from collections.abc import Callable, Mapping

from sdml_kafka.errors import CommitFailed
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.aiokafka.outcome import error_of
from sdml_kafka.transport.interfaces import TopicPartition

RETRY_S = 0.1


class Commits:
    """A commit that outlives its caller's patience stays in flight: the next one waits for it, so
    that they reach the broker in order."""

    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self._loop = asyncio.get_running_loop()
        self._in_flight: asyncio.Task[None] | None = None

    async def commit(
        self, offsets: Mapping[TopicPartition, int], timeout_s: float, check: Callable[[], None]
    ) -> None:
        """`check` raises when it may not be sent (any more); asked right before each sending."""
        deadline = self._loop.time() + timeout_s
        last: BaseException | None = None
        while True:
            if self._in_flight is not None:
                await self._outcome(self._in_flight, deadline, timeout_s)
                continue
            check()
            self._in_flight = self._loop.create_task(private.send_commit(self._consumer, offsets))
            last = await self._outcome(self._in_flight, deadline, timeout_s)
            if last is None:
                return
            if (final := failures.from_commit(last)) is not None:
                raise final from last
            if self._loop.time() + RETRY_S >= deadline:
                raise CommitFailed(f"the group's coordinator is away: {last!r}") from last
            await asyncio.sleep(RETRY_S)

    async def _outcome(
        self, task: "asyncio.Task[None]", deadline: float, timeout_s: float
    ) -> BaseException | None:
        await asyncio.wait({task}, timeout=max(0.0, deadline - self._loop.time()))
        if not task.done():
            raise CommitFailed(
                f"no answer within {timeout_s:g} s: the commit may have gone through or not"
            )
        if self._in_flight is task:
            self._in_flight = None
        return error_of(task)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the one in flight, if there is one, but not longer than this."""
        if self._in_flight is not None:
            await asyncio.wait({self._in_flight}, timeout=timeout_s)

    async def close(self) -> None:
        if self._in_flight is not None:
            self._in_flight.cancel()
            await self.settle(0.5)
            if self._in_flight.done():
                error_of(self._in_flight)
