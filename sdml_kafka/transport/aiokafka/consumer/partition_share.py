"""What a `Tail` comes down to: which partitions are fetched, and from which offset on. Pure."""

from collections.abc import Collection, Mapping

from sdml_kafka.transport.interfaces import Tail, TopicPartition


class Shares:
    """Which partition of each topic is fetched. Once chosen it stays, as long as it exists: it
    is what others were told to send to."""

    def __init__(self, tail: Tail) -> None:
        self._share = tail.share
        self._earlier = sorted(TopicPartition(*partition) for partition in tail.positions)
        self._chosen: dict[str, TopicPartition] = {}

    def of(
        self, assigned: Collection[TopicPartition], counts: Mapping[str, int]
    ) -> frozenset[TopicPartition]:
        """Those of `assigned` that are ours to fetch; `counts` is what each topic has."""
        if self._share is None:
            return frozenset(assigned)
        for topic, count in counts.items():
            # The numbers of an assignment may be newer than what we know of the topic.
            known = max([count, *(p.partition + 1 for p in assigned if p.topic == topic)])
            if known:
                self._chosen[topic] = self._choose(topic, known, self._share)
        return frozenset(assigned).intersection(self._chosen.values())

    def goes_on_in_all_of(self, topic: str) -> bool:
        """Whether an earlier consumer read all partitions that the topic had: what it did not
        have came later."""
        return self._share is None and any(each.topic == topic for each in self._earlier)

    def _choose(self, topic: str, count: int, share: int) -> TopicPartition:
        before = [self._chosen[topic]] if topic in self._chosen else self._earlier
        for partition in before:
            if partition.topic == topic and partition.partition < count:
                return partition
        return TopicPartition(topic, share % count)


def tail_position(place: int | None, is_late: bool, first: int, end: int) -> int:
    """`place` is how far the partition was read, `first` and `end` what it has; `is_late`: it
    was not there when the topic's reading began."""
    if place is None:
        return first if is_late else end
    return place if first <= place <= end else first
