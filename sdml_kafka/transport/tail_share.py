"""Decide what a `Tail` comes down to: which partitions are fetched, and from which offset. Pure.

Every driver uses these rules, and so does the broker in memory.
"""

from collections.abc import Collection, Mapping

from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.interfaces.reports import Tail


class TailShare:
    """Chooses the partitions that the consumer of a tail fetches.

    A partition once chosen stays chosen as long as it exists, since others were asked to send to
    it.
    """

    def __init__(self, tail: Tail) -> None:
        self._share = tail.share
        self._earlier = sorted(TopicPartition(*partition) for partition in tail.positions)
        self._read_before = frozenset(each.topic for each in self._earlier)
        self._chosen: dict[str, TopicPartition] = {}

    def of(
        self, assigned: Collection[TopicPartition], counts: Mapping[str, int]
    ) -> frozenset[TopicPartition]:
        """Return the partitions of `assigned` that are to be fetched.

        `counts` is the number of partitions that each topic is known to have.
        """
        if self._share is None:
            return frozenset(assigned)
        known = dict(counts)
        for topic, number in assigned:
            # The numbers of an assignment may be newer than what is known of the topic.
            if topic in known:
                known[topic] = max(known[topic], number + 1)
        for topic, count in known.items():
            if count:
                self._chosen[topic] = self._choose(topic, count, self._share)
        return frozenset(assigned).intersection(self._chosen.values())

    def continues_all_of(self, topic: str) -> bool:
        """Return whether an earlier consumer read every partition that the topic had then.

        If so, partitions that it did not read have appeared since.
        """
        return self._share is None and topic in self._read_before

    def _choose(self, topic: str, count: int, share: int) -> TopicPartition:
        before = [self._chosen[topic]] if topic in self._chosen else self._earlier
        for partition in before:
            if partition.topic == topic and partition.partition < count:
                return partition
        return TopicPartition(topic, share % count)


def tail_position(read_to: int | None, is_late: bool, first: int, end: int) -> int:
    """Return the offset that a partition of a tail is read from.

    Args:
        read_to: The offset that reading has come to, None if the partition was never read.
        is_late: Whether the partition appeared after the reading of its topic began.
        first: The partition's first offset.
        end: The offset of the record that will come next.
    """
    if read_to is None:
        return first if is_late else end
    return read_to if first <= read_to <= end else first
