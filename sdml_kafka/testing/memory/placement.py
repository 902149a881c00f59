"""Find where a record that was sent belongs, or why the in-memory broker refuses it."""

from itertools import count

from sdml_kafka.errors import PayloadTooLarge, RecordRefused
from sdml_kafka.testing.memory.state import State
from sdml_kafka.testing.memory.topics import Topics
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import TopicPartition
from sdml_kafka.transport.record_checks import fault_of, no_such_partition, no_such_topic


class Placement:
    """Finds the partition of each record of one producer."""

    def __init__(
        self, state: State, topics: Topics, *, auto_create: int, max_record_bytes: int
    ) -> None:
        """Decide by these topics.

        Args:
            state: The broker's state.
            topics: Its topics.
            auto_create: The number of partitions of a topic that a record creates, 0 for none.
            max_record_bytes: The most bytes of a record's key, value and headers.
        """
        self._state = state
        self._topics = topics
        self._auto_create = auto_create
        self._max_record_bytes = max_record_bytes
        self._turns = count()
        self.creates_topics: bool = True
        """True if the producer lets the broker create topics."""

    def place(self, message: Message) -> TopicPartition | Exception:
        """Return the partition that a record goes into, or why it is refused."""
        if (fault := fault_of(message)) is not None:
            return fault
        topic, value, key, headers, partition, *_ = message
        number = len(self._state.partitions_of(topic))
        if not number and self._auto_create and self.creates_topics:
            number = self._auto_create
            self._topics.create(topic, number)
        if not number:
            return no_such_topic(topic, may_create=self.creates_topics)
        if partition is not None and partition >= number:
            return no_such_partition(topic, partition, number)
        size = len(value or b"") + len(key or b"")
        size += sum(len(name.encode()) + len(content or b"") for name, content in headers)
        bound = self._state.max_bytes.get(topic, self._max_record_bytes)
        if size > min(bound, self._max_record_bytes):
            return PayloadTooLarge(f"the record for {topic!r} is too large")
        if key is None and topic in self._state.compacted:
            return RecordRefused(f"the compacted topic {topic!r} takes no record without a key")
        return TopicPartition(topic, self.choose(message, number))

    def choose(self, message: Message, number: int) -> int:
        """Return the partition of a record, of so many."""
        if message.partition is not None:
            return message.partition
        if message.by_key:
            return self._topics.choose(message.topic, message.key)
        return next(self._turns) % number
