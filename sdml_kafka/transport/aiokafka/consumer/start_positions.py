# pyright: basic
# aiokafka is not typed.
"""Find the offsets that the partitions of an assignment are read from.

Partitions are paused from the moment they are assigned until every one of them has its position:
before that, nobody may get a record of any. `CommittedStart` is what a listener and a server use,
`TailStart` (in `tail_positions.py`) what a client uses for its replies.
"""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import NoOffsetForPartitionError
from attrs import frozen

from sdml_kafka.transport.aiokafka import error_mapping
from sdml_kafka.transport.aiokafka.client import Client, error_of
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.fetching import as_client
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import TopicPartition

POSITION_TIMEOUT_S = 5.0

Committed = Mapping[TopicPartition, int | None]


@frozen
class FoundPositions:
    positions: Mapping[TopicPartition, int]
    """The offset that each partition is read from."""
    committed: Committed
    to_seek: Collection[TopicPartition]
    """The partitions whose position aiokafka does not have yet."""
    elsewhere: frozenset[TopicPartition] = frozenset()


class StartPositions(Protocol):
    keeps_positions: bool
    """Whether reading goes on after a rebalance where it was before."""

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Pause what was assigned, and return the partitions that will be read.

        Heartbeats stand still meanwhile, so this only notes things.
        """
        ...

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        """Return where to read from, None if that is to be asked again.

        `read_to` is the offset that reading has come to in partitions that were read before.
        """
        ...


async def look_up_in_time(
    start: StartPositions,
    partitions: Collection[TopicPartition],
    read_to: Mapping[TopicPartition, int],
) -> FoundPositions | None:
    """Return where to read from, None if that was not known in time or is to be asked again."""
    work = asyncio.create_task(start.look_up(list(partitions), read_to))
    try:
        done, _ = await asyncio.wait({work}, timeout=POSITION_TIMEOUT_S)
    finally:
        work.cancel()
    if not done:
        await asyncio.wait({work})
        return None
    if (error := error_of(work)) is None:
        return work.result()
    if (final := error_mapping.from_poll(error)) is not None:
        raise final from error
    return None


def start_reading(consumer: Client, found: FoundPositions) -> None:
    """Let the partitions be fetched from the positions that were found."""
    for partition in found.to_seek:
        # Not earlier: while aiokafka resolves a position, it overwrites what was sought.
        consumer.seek(as_client(partition), found.positions[partition])
    consumer.resume(*map(as_client, found.positions))


class CommittedStart:
    """Starts where the group has committed, else as the user's consumer says.

    Partitions that appear later start at their beginning.
    """

    keeps_positions = False

    def __init__(self, consumer: Client, topics: Topics) -> None:
        self._consumer = consumer
        self._topics = topics

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        self._consumer.pause(*map(as_client, assigned))
        return frozenset(assigned)

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        clients = [as_client(partition) for partition in partitions]
        committed = await committed_offsets(self._consumer, partitions)
        known = self._topics.at_start
        late = [p for p in partitions if committed[p] is None and p not in known]
        if internals.never_resets(self._consumer):
            self._position_without_reset(committed, late)
        offsets = await gather([self._consumer.position(client) for client in clients])
        positions = dict(zip(partitions, offsets, strict=True))
        if late:
            first = await self._consumer.beginning_offsets([as_client(p) for p in late])
            positions.update({partition: first[as_client(partition)] for partition in late})
        return FoundPositions(positions, committed, late)

    def _position_without_reset(
        self, committed: Committed, late: Collection[TopicPartition]
    ) -> None:
        """Raise for a partition that has no position, or give it one if it appeared late.

        aiokafka would wait for a position for ever, and raise only where the partition is read.
        """
        nowhere = [p for p, offset in committed.items() if offset is None and p not in late]
        if nowhere:
            raise NoOffsetForPartitionError(nowhere)
        for partition in late:
            self._consumer.seek(as_client(partition), 0)


async def committed_offsets(consumer: Client, partitions: Sequence[TopicPartition]) -> Committed:
    found = await gather([consumer.committed(as_client(partition)) for partition in partitions])
    return dict(zip(partitions, found, strict=True))


async def gather[T](calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    return list(await asyncio.gather(*calls))
