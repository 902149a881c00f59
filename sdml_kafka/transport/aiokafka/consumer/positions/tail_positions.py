# pyright: basic
# aiokafka is not typed.
"""Find the positions of a consumer that reads a `Tail`, for which no commit counts."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.aiokafka.consumer.positions.log_bounds import LogBounds
from sdml_kafka.transport.aiokafka.consumer.positions.start_positions import (
    Committed,
    FoundPositions,
    hold_partitions,
)
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Tail
from sdml_kafka.transport.tail_share import TailShare, tail_position


class TailStart:
    """Starts at the end, and after a rebalance where reading was; see `Tail`."""

    keeps_positions = True

    def __init__(self, consumer: Client, topics: Topics, tail: Tail, bounds: LogBounds) -> None:
        self._consumer = consumer
        self._topics = topics
        self._share = TailShare(tail)
        self._bounds = bounds
        self._gone: set[TopicPartition] = set()
        """Partitions of topics that were deleted. If they come back they are read anew."""
        internals.reset_to_earliest(consumer)

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        hold_partitions(self._consumer, assigned)
        self._bounds.forget()
        counts = {topic: self._topics.count(topic) for topic in self._topics.names}
        return self._share.of(assigned, counts)

    async def look_back(self) -> None:
        pass

    def note_commit(self, topics: Collection[str]) -> None:
        pass

    async def look_up(
        self, partitions: Sequence[TopicPartition], read_to: Mapping[TopicPartition, int]
    ) -> FoundPositions | None:
        if not await internals.refresh_metadata(self._consumer):
            return None
        committed, bounds = await asyncio.gather(
            self._committed(partitions), self._bounds.look_up(partitions)
        )
        if bounds is None:
            return None
        assigned = {TopicPartition(*each) for each in self._consumer.assignment()}
        elsewhere = self._topics.partitions() - assigned
        is_alone = not internals.has_group(self._consumer)
        if internals.rebalance_is_due(self._consumer) or (is_alone and elsewhere):
            # New partitions would seem to be elsewhere, and topics that were missing when this
            # assignment was made exist again.
            here = {own.topic for own in partitions}
            self._gone.update(partition for partition in read_to if partition.topic not in here)
            return None
        self._gone.update(read_to.keys() - self._topics.partitions())
        positions = {
            partition: tail_position(
                0 if partition in self._gone else read_to.get(partition),
                self._is_late(partition),
                *bounds[partition],
            )
            for partition in partitions
        }
        self._gone.difference_update(partitions)
        return FoundPositions(positions, committed, partitions, elsewhere)

    async def _committed(self, partitions: Sequence[TopicPartition]) -> Committed:
        if internals.has_group(self._consumer):
            found = await internals.commits(self._consumer, partitions)
            return {each: found.get(each) for each in partitions}
        return dict.fromkeys(partitions)

    def _is_late(self, partition: TopicPartition) -> bool:
        was_there = partition in self._topics.at_start
        return not was_there or self._share.continues_all_of(partition.topic)
