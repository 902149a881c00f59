# pyright: basic
# aiokafka is not typed.
"""Keep the offset that each partition is read from next, as aiokafka itself knows it.

aiokafka passes over transaction markers, aborted records and gaps while it reads, and goes on at
the log's beginning where the next offset is gone. Of both it says nothing.
"""

from collections.abc import Collection, Mapping, Sequence

from sdml_kafka.transport.aiokafka.client import Client
from sdml_kafka.transport.aiokafka.consumer import internals
from sdml_kafka.transport.fetched.parts import offset_at
from sdml_kafka.transport.interfaces.records import Record, TopicPartition
from sdml_kafka.transport.interfaces.reports import DELETED, REPLACED, Jump


class ReadPositions:
    """The positions of one consumer, and which of them have moved otherwise than by records."""

    def __init__(self, consumer: Client) -> None:
        self._consumer = consumer
        self.next: dict[TopicPartition, int] = {}
        """The offset that is read next of each partition that was positioned."""
        self._moved: dict[TopicPartition, int] = {}
        self.jumps: list[Jump] = []
        """The moves to where reading should not have gone on, since they were taken."""

    def look(self, partitions: Collection[TopicPartition]) -> None:
        """Compare with aiokafka's positions, before records of these partitions are taken."""
        for partition, position in internals.positions_of(self._consumer, partitions):
            expected = self.next.get(partition)
            if expected is None or position == expected:
                continue
            self.next[partition] = self._moved[partition] = position
            reason = DELETED if position > expected else REPLACED
            self.jumps.append(Jump(partition, expected, position, reason))

    def took(
        self,
        partitions: Collection[TopicPartition],
        taken: Mapping[TopicPartition, Sequence[Record]],
    ) -> None:
        """Note where reading goes on in `partitions`, from which records were taken, or none."""
        for partition, position in internals.positions_of(self._consumer, partitions):
            batch = taken.get(partition)
            behind = offset_at(batch, -1) + 1 if batch else self.next.get(partition)
            if position != behind:
                self._moved[partition] = position
            elif batch:
                self._moved.pop(partition, None)
            self.next[partition] = position

    def move(self, partition: TopicPartition, position: int) -> None:
        """Note that reading goes on there, since it was told to."""
        self.next[partition] = self._moved[partition] = position

    def seek(self, partition: TopicPartition, position: int) -> None:
        """Note that reading goes on there, which is no news to whoever has asked for it."""
        self.next[partition] = position
        self._moved.pop(partition, None)

    @property
    def has_news(self) -> bool:
        """True if a position has moved that no record shows."""
        return bool(self._moved)

    def news(self) -> Mapping[TopicPartition, int]:
        """Return the positions that have moved since the last call, by no record."""
        if not self._moved:
            return {}
        moved, self._moved = self._moved, {}
        return moved

    def take_jumps(self) -> Sequence[Jump]:
        """Return the jumps since the last call."""
        if not self.jumps:
            return ()
        jumps, self.jumps = self.jumps, []
        return jumps

    def clear(self) -> None:
        """Forget all positions, since the partitions are read from what is committed next."""
        self.next, self._moved = {}, {}
