"""A partition, and a record as a consumer reads it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class TopicPartition(NamedTuple):
    """A partition of a topic; as a key interchangeable with aiokafka's `TopicPartition`."""

    topic: str
    partition: int


class Record(Protocol):
    """A record as the client received it; aiokafka's `ConsumerRecord` is one."""

    @property
    def topic(self) -> str:
        """The topic that the record was read from."""
        ...

    @property
    def partition(self) -> int:
        """The number of its partition, from 0."""
        ...

    @property
    def offset(self) -> int:
        """The position of the record in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch."""
        ...

    @property
    def timestamp_type(self) -> int:
        """0 if the producer has set the timestamp, 1 if the broker has."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key as it was sent, None if there is none."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value as it was sent, None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The names and values of the headers, in the order in which they were sent."""
        ...

    @property
    def serialized_key_size(self) -> int:
        """The number of bytes of the key, -1 if there is none."""
        ...

    @property
    def serialized_value_size(self) -> int:
        """The number of bytes of the value, -1 if there is none."""
        ...
