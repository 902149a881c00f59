"""The topics of the in-memory broker, as an administrator and a producer change them."""

from collections.abc import Callable, Sequence
from itertools import count
from zlib import crc32

from sdml_kafka.testing.memory.log import Log, MemoryRecord, Misuse
from sdml_kafka.testing.memory.state import State, now
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.record_checks import fault_of


def partition_of(given: TopicPartition) -> TopicPartition:
    """Return a partition, which a test may have given as a plain pair.

    Raises:
        Misuse: It is the name of a topic alone.
    """
    if isinstance(given, str):
        raise Misuse(f"{given!r} is no partition: give TopicPartition({given!r}, 0)")
    return TopicPartition(*given)


class Topics:
    """Creates and deletes topics and adds records to them."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        """`clock` gives the records' timestamps, in seconds since the epoch."""
        self._state = state
        self._clock = clock
        self._turns = count()

    def create(
        self, topic: str, partitions: int, *, compacted: bool = False, max_bytes: int | None = None
    ) -> None:
        """Create a topic; groups that wait for it rebalance at once."""
        if partitions < 1 or self._state.partitions_of(topic):
            raise Misuse(f"create_topic({topic!r}, {partitions}): it exists, or has no partition")
        if compacted:
            self._state.compacted.add(topic)
        if max_bytes is not None:
            self._state.max_bytes[topic] = max_bytes
        self._create_partitions(topic, range(partitions))

    def add_partitions(self, topic: str, count: int, unnoticed_for_s: float) -> None:
        """Add partitions to a topic; groups that read it rebalance after that time."""
        present = len(self._state.partitions_of(topic))
        if count < 1 or not present:
            raise Misuse(f"add_partitions({topic!r}, {count}): no topic, or nothing to add")
        self._create_partitions(topic, range(present, present + count), unnoticed_for_s)

    def _create_partitions(self, topic: str, numbers: range, unnoticed_for_s: float = 0.0) -> None:
        for number in numbers:
            self._state.logs[TopicPartition(topic, number)] = Log()
        for group in self._state.groups.values():
            if any(topic in member.topics for member in group.members()):
                group.rebalance_later(now(), now() + unnoticed_for_s)

    def delete(self, topic: str) -> None:
        """Delete a topic, and what groups have committed of it; those that read it rebalance."""
        partitions = self._partitions_of(topic)
        for partition in partitions:
            del self._state.logs[partition]
        self._state.compacted.discard(topic)
        self._state.max_bytes.pop(topic, None)
        for group in self._state.groups.values():
            group.forget(partitions, now())
        self._state.signal.fire()

    def produce(
        self,
        topic: str,
        value: bytes | None,
        partition: int | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> MemoryRecord:
        """Add a record and return it; its time is that of the broker.

        Without a partition the key decides, and without a key the partitions take turns.
        """
        message = Message(topic, value, key, headers)
        if fault := fault_of(message):
            raise Misuse(str(fault))
        if key is None and topic in self._state.compacted:
            raise Misuse(f"produce({topic!r}) without a key, which a compacted topic refuses")
        if partition is None:
            partition = self.choose(topic, key)
        return self.append(TopicPartition(topic, partition), message)

    def append(self, partition: TopicPartition, message: Message) -> MemoryRecord:
        """Add a record to a partition that takes it."""
        log, (_, value, key, headers, *_, timestamp_ms, _) = self.log(partition), message
        timestamp = int(self._clock() * 1000) if timestamp_ms is None else timestamp_ms
        record = MemoryRecord(*partition, log.end, timestamp, key, value, tuple(headers))
        log.append(record)
        self._state.signal.fire()
        return record

    def choose(self, topic: str, key: bytes | None) -> int:
        """Return the partition of a record that names none."""
        turn = next(self._turns) if key is None else crc32(key)
        return turn % len(self._partitions_of(topic))

    def log(self, partition: TopicPartition) -> Log:
        """Return the records of a partition."""
        try:
            return self._state.logs[partition_of(partition)]
        except KeyError:
            raise Misuse(f"there is no partition {partition}") from None

    def _partitions_of(self, topic: str) -> list[TopicPartition]:
        partitions = self._state.partitions_of(topic)
        if not partitions:
            raise Misuse(
                f"there is no topic {topic!r}: first broker.create_topic({topic!r}), or "
                f"MemoryBroker({{{topic!r}: 1}}) with one partition"
            )
        return partitions
