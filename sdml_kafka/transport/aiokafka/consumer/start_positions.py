# pyright: basic
# aiokafka is not typed.
"""Opening an assignment: from which offsets its partitions are read.

Partitions are held from the moment they are assigned until every one of them has its position:
before that, nobody may get a record of them.
"""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import NoOffsetForPartitionError
from attrs import frozen

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.aiokafka.consumer.fetching import as_client
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import TopicPartition

Committed = Mapping[TopicPartition, int | None]


@frozen
class Found:
    """Where to read from; `to_seek` are those of the positions that aiokafka does not have."""

    positions: Mapping[TopicPartition, int]
    committed: Committed
    to_seek: Collection[TopicPartition]
    elsewhere: frozenset[TopicPartition] = frozenset()


class Opening(Protocol):
    keeps_its_place: bool
    """Whether reading goes on after a rebalance where it was."""

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        """Let nothing be fetched yet; returns what will be. Heartbeats stand still meanwhile."""
        ...

    async def look_up(
        self, partitions: Sequence[TopicPartition], places: Mapping[TopicPartition, int]
    ) -> Found | None:
        """Where to read; `places` is how far it was read before. None: ask again."""
        ...


def release(consumer: Client, found: Found) -> None:
    """Let what was found be fetched."""
    for partition in found.to_seek:
        # Only now: while aiokafka resolves a position, it overwrites what was sought.
        consumer.seek(as_client(partition), found.positions[partition])
    consumer.resume(*map(as_client, found.positions))


class FromCommitted:
    """What a listener reads: from where the group has committed, else as the user's consumer
    says; partitions that appear later from their beginning."""

    keeps_its_place = False

    def __init__(self, consumer: Client, topics: Topics) -> None:
        self._consumer = consumer
        self._topics = topics

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        self._consumer.pause(*map(as_client, assigned))
        return frozenset(assigned)

    async def look_up(
        self, partitions: Sequence[TopicPartition], places: Mapping[TopicPartition, int]
    ) -> Found | None:
        clients = [as_client(partition) for partition in partitions]
        committed = await committed_offsets(self._consumer, partitions)
        known = self._topics.at_start
        late = [p for p in partitions if committed[p] is None and p not in known]
        if private.never_resets(self._consumer):
            self._place_without_reset(committed, late)
        offsets = await gather([self._consumer.position(client) for client in clients])
        positions = dict(zip(partitions, offsets, strict=True))
        if late:
            first = await self._consumer.beginning_offsets([as_client(p) for p in late])
            positions.update({partition: first[as_client(partition)] for partition in late})
        return Found(positions, committed, late)

    def _place_without_reset(self, committed: Committed, late: Collection[TopicPartition]) -> None:
        """aiokafka would wait for a position for ever, and tell only who reads the partition."""
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
