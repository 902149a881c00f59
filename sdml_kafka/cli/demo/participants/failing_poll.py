"""A consumer whose poll can be made to fail, so that the actor that polls crashes."""

from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from typing import cast

from sdml_kafka import TopicPartition
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer
from sdml_kafka.transport.interfaces.reports import Polled


class DemoFault(Exception):
    """The error that the demo lets a poll fail with."""


class FailingPoll:
    """A `Connect` whose consumers work as usual, but for one poll after `fail_next_poll`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._fails_next = False

    def fail_next_poll(self) -> None:
        """Let the next poll raise DemoFault."""
        self._fails_next = True

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[Consumer]:
        async with self._connect() as consumer:
            yield cast(Consumer, _FailingConsumer(consumer, self))

    def before_poll(self) -> None:
        """Raise DemoFault once after each `fail_next_poll`."""
        if self._fails_next:
            self._fails_next = False
            raise DemoFault("the demo made this poll fail")


class _FailingConsumer:
    """A consumer that hands everything but `poll` on as it is."""

    def __init__(self, consumer: Consumer, failing_poll: FailingPoll) -> None:
        self._consumer = consumer
        self._failing_poll = failing_poll

    async def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Polled:
        self._failing_poll.before_poll()
        return await self._consumer.poll(ready, max_records, timeout_s, seeks)

    def __getattr__(self, name: str) -> object:
        return getattr(self._consumer, name)
