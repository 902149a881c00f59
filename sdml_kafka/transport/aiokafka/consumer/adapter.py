"""The port's consumer over aiokafka: the program's side of it.

The driver owns the consumer on the asyncio side. What aiokafka really does, and what the driver
guards against, is said in the files where it matters.
"""

from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
from attrs import evolve

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.transport.aiokafka.client import CLOSE_TIMEOUT_S
from sdml_kafka.transport.aiokafka.consumer.crossing_polls import CrossingPolls
from sdml_kafka.transport.aiokafka.consumer.driver import ConsumerDriver, build_driver
from sdml_kafka.transport.aiokafka.log_filter import limited_logs, own_context
from sdml_kafka.transport.aiokafka.option_values import made_by
from sdml_kafka.transport.asyncio_loop import Home, open_home
from sdml_kafka.transport.fetched.parts import sizes_of
from sdml_kafka.transport.interfaces.consumer import Connect, Consumer, ConsumerFactory, Target
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import (
    Commit,
    ConsumerSettings,
    Polled,
    Revocation,
    Tail,
)
from sdml_kafka.transport.interfaces.transactions import GroupMetadata

BUILD_TIMEOUT_S = 5.0
POLL_RECORDS_IN_A_THREAD = 8000
"""The number of records that a poll in a thread takes. Decoding them takes some 20 ms, in which
only the heartbeat waits for that loop."""


def connect(consumer_factory: ConsumerFactory, *, in_group: bool = True) -> Connect:
    """Return the port's `Connect` over consumers of aiokafka.

    `consumer_factory` is called for each of them, where an asyncio loop runs (on trio as well).
    What it returns must be neither started nor subscribed, and is in a group only if `in_group`.
    """

    @asynccontextmanager
    async def open_consumer() -> AsyncGenerator[Consumer]:
        with limited_logs():
            async with open_home(has_heartbeats=in_group) as home:
                home.call_soon(own_context)  # a thread of its own has a context of its own
                # Cut off in between, this would leave a consumer that nobody closes.
                with anyio.fail_after(BUILD_TIMEOUT_S, shield=True):
                    driver = await home.call(partial(_build, consumer_factory))
                make = AiokafkaConsumer if home.is_running_loop else CrossingConsumer
                consumer = make(home, driver)
                try:
                    yield consumer
                finally:
                    await consumer.close(CLOSE_TIMEOUT_S)

    return open_consumer


async def _build(consumer_factory: ConsumerFactory) -> ConsumerDriver:
    return await build_driver(made_by(consumer_factory, "consumer_factory"))


class AiokafkaConsumer:
    """Carries each call of the port to the driver's loop and its result back."""

    def __init__(self, home: Home, driver: ConsumerDriver) -> None:
        self._home = home
        self._driver = driver
        self.settings: ConsumerSettings = driver.settings

    async def start(
        self,
        topics: Collection[str],
        timeout_s: float,
        tail: Tail | None = None,
        *,
        create_topics: bool = False,
        skips_corrupt: bool = False,
    ) -> None:
        options = {"create_topics": create_topics, "skips_corrupt": skips_corrupt}
        await self._home.call(partial(self._driver.start, topics, timeout_s, tail, **options))

    def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Coroutine[Any, Any, Polled]:
        return self._home.call(partial(self._driver.poll, ready, max_records, timeout_s, seeks))

    def sizes(self, records: Sequence[Record]) -> Sequence[int]:
        return sizes_of(records)

    def nudge(self) -> None:
        self._home.call_soon(self._driver.nudge)

    async def revocation(self) -> Revocation:
        pending = await self._home.call(self._driver.next_revocation)
        return Revocation(
            pending.epoch,
            pending.partitions,
            pending.lost,
            pending.deadline_s,
            lambda: self._home.call_soon(partial(self._driver.release, pending)),
        )

    async def seek(
        self,
        epoch: int,
        number: int,
        targets: Mapping[TopicPartition, Target],
        timeout_s: float,
        *,
        within_log: bool = False,
    ) -> Mapping[TopicPartition, int]:
        seek = partial(self._driver.seek, epoch, number, targets, timeout_s, within_log=within_log)
        return await self._home.call(seek)

    async def commit(
        self, epoch: int, commits: Mapping[TopicPartition, Commit], timeout_s: float
    ) -> None:
        await self._home.call(partial(self._driver.commit, epoch, commits, timeout_s))

    async def group_metadata(
        self, epoch: int, partitions: Collection[TopicPartition], timeout_s: float
    ) -> GroupMetadata:
        raise ConfigurationError(
            "aiokafka's transactions do not say which member of the group commits, so the group "
            "could not refuse one that it has replaced: use client='librdkafka'"
        )

    async def close(self, timeout_s: float) -> None:
        # The driver keeps to the timeout; the shield lets it finish under a cancelled scope.
        with anyio.move_on_after(timeout_s + 1.0, shield=True):
            await self._home.call(partial(self._driver.close, timeout_s))


class CrossingConsumer(AiokafkaConsumer):
    """Carries the calls to a driver on another loop."""

    def __init__(self, home: Home, driver: ConsumerDriver) -> None:
        super().__init__(home, driver)
        self._polls = CrossingPolls(home, driver)
        if not home.shares_the_thread:
            self.settings: ConsumerSettings = evolve(
                self.settings,
                poll_records=POLL_RECORDS_IN_A_THREAD,
                stall_limit_s=driver.max_poll_interval_s,
            )

    def poll(
        self,
        ready: Collection[TopicPartition],
        max_records: int,
        timeout_s: float,
        seeks: int = 0,
    ) -> Coroutine[Any, Any, Polled]:
        return self._polls.poll(ready, max_records, timeout_s, seeks)

    async def close(self, timeout_s: float) -> None:
        try:
            await super().close(timeout_s)
        finally:
            self._home.call_soon(self._polls.end)
