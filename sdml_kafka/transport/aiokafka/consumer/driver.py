# pyright: basic
# aiokafka is not typed.
"""The driver: owns one aiokafka consumer, on the asyncio side. All of it runs in one loop.

It polls in a task of its own that is never cancelled inside `getmany` (a cancelled one leaks a
count that switches off the idle check), bounds every call into aiokafka, and puts what the
rebalance callbacks say in order with the records.
"""

import asyncio
from collections.abc import Collection, Mapping
from logging import getLogger
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener

from sdml_kafka.errors import (
    BrokerUnreachable,
    CommitFailed,
    CommitRejected,
    ConfigurationError,
    ConsumerFailed,
)
from sdml_kafka.transport.aiokafka import client as private_client
from sdml_kafka.transport.aiokafka import error_mapping as failures
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.aiokafka.consumer.bad_batches import Isolation
from sdml_kafka.transport.aiokafka.consumer.commits import Commits
from sdml_kafka.transport.aiokafka.consumer.fetching import Batches, Fetches, as_client
from sdml_kafka.transport.aiokafka.consumer.health import HealthCheck
from sdml_kafka.transport.aiokafka.consumer.revocation import HandOver, PendingRevocation
from sdml_kafka.transport.aiokafka.consumer.start_positions import (
    Found,
    FromCommitted,
    Opening,
    release,
)
from sdml_kafka.transport.aiokafka.consumer.tail_positions import FromTail
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.aiokafka.log_filter import ErrorLines
from sdml_kafka.transport.aiokafka.outcome import error_of
from sdml_kafka.transport.aiokafka.start_failure import HINT, checked, start_failure
from sdml_kafka.transport.interfaces import (
    Assignment,
    ConsumerSettings,
    Polled,
    Tail,
    TopicPartition,
)

_log = getLogger("sdml_kafka.transport")

POSITION_TIMEOUT_S = 5.0
POSITION_RETRY_S = 0.05
REBALANCE_MARGIN_S = 1.0
SINGLE_STEPS = 8


class _Callbacks(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    def __init__(self, driver: "Driver") -> None:
        self._driver = driver

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._driver.assigned([TopicPartition(*partition) for partition in assigned])

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        await self._driver.revoked([TopicPartition(*partition) for partition in revoked])


class Driver:
    def __init__(self, consumer: object) -> None:
        self._consumer = checked(consumer)
        self.settings: ConsumerSettings = private.settings_of(self._consumer)
        private.disable_auto_commit(self._consumer)
        self._loop = asyncio.get_running_loop()
        self._opening: Opening
        self._health_check: HealthCheck
        self._epoch = 0
        self._generation = -1
        self._may_commit = False
        self._to_open: frozenset[TopicPartition] | None = None
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._fetches = Fetches(self._consumer)
        self._next: dict[TopicPartition, int] = {}
        self._isolation = Isolation()
        self._passed_over: dict[TopicPartition, int] = {}
        """How often one was moved on that does not decode, since its last good record."""
        self._commits = Commits(self._consumer)
        self._hand_over = HandOver()
        self._starting: asyncio.Task[None] | None = None
        self._closing = False

    # -- start ---------------------------------------------------------------------------

    async def start(
        self, topics: Collection[str], timeout_s: float, tail: Tail | None = None
    ) -> None:
        names = Topics(self._consumer, topics)
        self._health_check = HealthCheck(self._consumer, names)
        if tail is None:
            self._opening = FromCommitted(self._consumer, names)
        else:
            self._opening = FromTail(self._consumer, names, tail)
            self._next = dict(tail.positions)
        with ErrorLines() as lines:
            # Subscribing comes after, since a start with a topic that is missing takes
            # request_timeout_ms and then fails.
            self._starting = starting = self._loop.create_task(private_client.start(self._consumer))
            done, _ = await asyncio.wait({starting}, timeout=timeout_s)
            if not done:
                raise BrokerUnreachable(f"No broker answered within {timeout_s:g} s. {HINT}")
            if (error := error_of(starting)) is not None:
                raise start_failure(error, lines) from error
        await names.find()
        self._consumer.subscribe(list(names.names), listener=_Callbacks(self))

    # -- poll ----------------------------------------------------------------------------

    async def poll(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Polled:
        if self._closing:
            raise ConsumerFailed("the consumer is closed")
        health_is_due = self._health_check.is_due()
        if health_is_due and (dead := private.dead_task(self._consumer)) is not None:
            raise ConsumerFailed(f"aiokafka's {dead} has died")
        records: Batches = {}
        if self._to_open is None:
            records = await self._fetch(ready, max_records, timeout_s)
        assignment = None
        if self._to_open is not None:
            assignment = await self._open()
        health = None
        if health_is_due:
            health = self._health_check.look(self._assigned, self._isolation.held())
        return Polled(records, assignment, health)

    def nudge(self) -> None:
        self._fetches.nudge()

    async def _fetch(
        self, ready: Collection[TopicPartition], max_records: int, timeout_s: float
    ) -> Batches:
        partitions: Collection[TopicPartition] = self._assigned.intersection(ready)
        isolation = self._isolation
        if isolation.is_on:
            partitions, max_records = isolation.narrow(partitions, max_records)
        try:
            batches = await self._fetches.read(partitions, max_records, timeout_s)
        except ConsumerFailed:
            raise
        except Exception as error:
            if not self._closing:
                self._recover(error)
            return {}
        if batches is None:
            return {}
        if isolation.is_on:
            isolation.delivered(batches)
        for partition, batch in batches.items():
            self._next[partition] = batch[-1].offset + 1
            if self._passed_over:
                self._passed_over.pop(partition, None)
        return batches

    def _recover(self, error: Exception) -> None:
        """After any exception aiokafka may have dropped healthy records of other partitions."""
        if (final := failures.from_poll(error)) is not None:
            raise final from error
        if private.dead_task(self._consumer) is not None:
            raise ConsumerFailed(f"aiokafka's coordination has died: {error!r}") from error
        for partition in self._consumer.assignment():
            if (offset := self._next.get(TopicPartition(*partition))) is not None:
                self._consumer.seek(partition, offset)
        self._isolation.raised(error, self._assigned)
        if self._opening.keeps_its_place:
            self._pass_over(self._isolation.held())

    def _pass_over(self, held: Mapping[TopicPartition, str]) -> None:
        """Holding on to what does not decode would cost a tail all that comes. Where its batch
        ends aiokafka does not tell: try the next offsets, then further and further ones."""
        for partition, reason in held.items():
            end = self._consumer.highwater(partition)
            if end is None or end <= (at := self._next[partition]):
                continue
            tries = self._passed_over.get(partition, 0)
            self._passed_over[partition] = tries + 1
            if not tries:
                _log.error("%r partition %d offset %d is passed over: %s", *partition, at, reason)
            self._next[partition] = min(end, at + (1 << max(0, tries - SINGLE_STEPS)))
            self._consumer.seek(as_client(partition), self._next[partition])
            self._isolation = Isolation()

    # -- assignment ----------------------------------------------------------------------

    async def _open(self) -> Assignment | None:
        """Position what was assigned. Until every partition is, no record is handed on."""
        epoch, partitions = self._epoch, self._to_open or frozenset()
        found = await self._look_up(partitions)
        if epoch != self._epoch or self._to_open is None:
            return None  # another rebalance has come
        if found is None:
            await asyncio.sleep(POSITION_RETRY_S)
            return None
        release(self._consumer, found)
        self._to_open, self._assigned = None, partitions
        self._next.update(found.positions)
        return Assignment(epoch, found.positions, found.committed, found.elsewhere)

    async def _look_up(self, partitions: Collection[TopicPartition]) -> Found | None:
        work = self._loop.create_task(self._opening.look_up(list(partitions), self._next))
        try:
            done, _ = await asyncio.wait({work}, timeout=POSITION_TIMEOUT_S)
        finally:
            work.cancel()
        if not done:
            await asyncio.wait({work})
            return None
        if (error := error_of(work)) is None:
            return work.result()
        if (final := failures.from_poll(error)) is not None:
            raise final from error
        return None

    def assigned(self, assigned: Collection[TopicPartition]) -> None:
        # Heartbeats stand still until this returns: only note it.
        self._epoch += 1
        self._generation = private.generation(self._consumer)
        self._to_open = self._opening.hold(assigned)
        self._isolation = Isolation()
        self._may_commit = True
        self._fetches.nudge()

    # -- revocation ----------------------------------------------------------------------

    async def revoked(self, revoked: Collection[TopicPartition]) -> None:
        held = self._assigned if self._to_open is None else self._to_open
        self._to_open = None
        if not self._opening.keeps_its_place:
            self._next = {}
        lost = private.generation(self._consumer) == -1
        if lost:
            self._may_commit = False
        deadline_s = max(
            0.5,
            self.settings.rebalance_timeout_s
            - private.heartbeat_interval_s(self._consumer)  # it may have begun this long ago
            - REBALANCE_MARGIN_S,
        )
        if held and not self._closing:
            await self._hand_over.until_released(
                PendingRevocation(self._epoch, held, lost, deadline_s)
            )
            self._assigned = frozenset()
            if not lost:
                await self._commits.settle(REBALANCE_MARGIN_S / 2)
        self._may_commit = False

    async def next_revocation(self) -> PendingRevocation:
        return await self._hand_over.next()

    def release(self, pending: PendingRevocation) -> None:
        if self._hand_over.is_current(pending):
            self._may_commit = False
        pending.released.set()

    # -- commit --------------------------------------------------------------------------

    async def commit(
        self, epoch: int, offsets: Mapping[TopicPartition, int], timeout_s: float
    ) -> None:
        await self._commits.commit(offsets, timeout_s, lambda: self._check_may_commit(epoch))

    def _check_may_commit(self, epoch: int) -> None:
        """The broker checks the membership alone, neither ownership nor, out of the group, that."""
        if not self._may_commit or epoch != self._epoch:
            raise CommitRejected("the assignment that this commit belongs to is over")
        if private.generation(self._consumer) != self._generation:
            raise CommitRejected("the member is out of its group")
        if (dead := private.dead_task(self._consumer)) is not None:
            raise CommitFailed(f"aiokafka's {dead} has ended")

    # -- close ---------------------------------------------------------------------------

    async def close(self, timeout_s: float) -> None:
        if self._closing:
            return
        self._closing = True
        self._may_commit = False
        self._hand_over.close()
        if self._starting is not None and not self._starting.done():
            # Left alone it would go on, and start tasks on a consumer that is closed by then.
            self._starting.cancel()
            await asyncio.wait({self._starting}, timeout=1.0)
        stopping = self._loop.create_task(self._consumer.stop())
        await asyncio.wait({stopping}, timeout=timeout_s)
        if not stopping.done():
            # It waits for a rebalance that others hold up, and so would they for us.
            leaving = self._loop.create_task(private.leave_group(self._consumer))
            await asyncio.wait({leaving}, timeout=0.5)
            leaving.cancel()
            stopping.cancel()
            await asyncio.wait({leaving, stopping}, timeout=0.5)
        if not stopping.done() or error_of(stopping) is not None:
            finishing = self._loop.create_task(private.finish_stop(self._consumer))
            await asyncio.wait({finishing}, timeout=1.0)
            if finishing.done():
                error_of(finishing)  # seen: nobody else will look at it
        await self._commits.close()


async def driver_of(consumer: object) -> Driver:
    """Raises ConfigurationError for what a factory must not return."""
    try:
        return Driver(consumer)
    except ConfigurationError:
        if isinstance(consumer, AIOKafkaConsumer) and private.in_use(consumer) != "started":
            await consumer.stop()  # nobody else will, and it complains when it is dropped open
        raise
