# pyright: basic
# aiokafka is not typed.
"""Opening an assignment for a member that reads a tail: nothing that is committed counts."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals as private
from sdml_kafka.transport.aiokafka.consumer.fetching import as_client
from sdml_kafka.transport.aiokafka.consumer.partition_share import Shares, tail_position
from sdml_kafka.transport.aiokafka.consumer.start_positions import Found, committed_offsets
from sdml_kafka.transport.aiokafka.consumer.topics import Topics
from sdml_kafka.transport.interfaces import Tail, TopicPartition


class FromTail:
    keeps_its_place = True

    def __init__(self, consumer: Client, topics: Topics, tail: Tail) -> None:
        self._consumer = consumer
        self._topics = topics
        self._shares = Shares(tail)
        self._gone: set[TopicPartition] = set()
        """Of topics that were deleted: if they come back they begin anew."""
        private.go_on_at_what_is_left(consumer)

    def hold(self, assigned: Collection[TopicPartition]) -> frozenset[TopicPartition]:
        for partition in map(as_client, assigned):
            self._consumer.pause(partition)
            # Any position, or aiokafka would look for one itself.
            self._consumer.seek(partition, 0)
        counts = {topic: self._topics.count(topic) for topic in self._topics.names}
        return self._shares.of(assigned, counts)

    async def look_up(
        self, partitions: Sequence[TopicPartition], places: Mapping[TopicPartition, int]
    ) -> Found | None:
        if not await private.refresh_metadata(self._consumer):
            return None
        clients = [as_client(partition) for partition in partitions]
        committed, first, end = await asyncio.gather(
            committed_offsets(self._consumer, partitions),
            self._consumer.beginning_offsets(clients),
            self._consumer.end_offsets(clients),
        )
        if private.rebalance_is_due(self._consumer):
            # Partitions that are new would seem to be elsewhere; topics that were not there when
            # this assignment was made are there again.
            here = {own.topic for own in partitions}
            self._gone.update(place for place in places if place.topic not in here)
            return None
        self._gone.update(places.keys() - self._topics.partitions())
        positions = {
            partition: tail_position(
                0 if partition in self._gone else places.get(partition),
                self._is_late(partition),
                first[as_client(partition)],
                end[as_client(partition)],
            )
            for partition in partitions
        }
        self._gone.difference_update(partitions)
        assigned = {TopicPartition(*each) for each in self._consumer.assignment()}
        return Found(positions, committed, partitions, self._topics.partitions() - assigned)

    def _is_late(self, partition: TopicPartition) -> bool:
        was_there = partition in self._topics.at_start
        return not was_there or self._shares.goes_on_in_all_of(partition.topic)
