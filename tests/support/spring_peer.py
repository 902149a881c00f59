"""A requester and a responder as Spring for Apache Kafka has them, by hand, for the twin.

Written from what the real ones were seen to send, and not with the codec that is tested.
"""

from collections.abc import Sequence
from uuid import UUID, uuid4

from attrs import define, field

from sdml_kafka import TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryRecord
from sdml_kafka.transport.interfaces.records import Record

ID, TOPIC, PARTITION = "kafka_correlationId", "kafka_replyTopic", "kafka_replyPartition"
Headers = list[tuple[str, bytes]]


@define
class SpringRequester:
    """A `ReplyingKafkaTemplate`, whose container reads all partitions of its reply topic."""

    broker: MemoryBroker
    reply_topic: str = "answers"
    partitions: int = 2
    error_header: str = "serverSentAnError"
    """The header that its `replyErrorChecker` looks for."""
    _waiting: set[bytes] = field(factory=set[bytes], init=False)

    def send(
        self,
        topic: str,
        value: bytes | None = b"value",
        *,
        key: bytes | None = None,
        partition: int | None = None,
        pinned: int | None = None,
        type_id: bytes | None = None,
        id_: bytes | None = None,
        extra: Sequence[tuple[str, bytes]] = (),
    ) -> bytes:
        """Write a request, and return its id: 16 raw bytes, unless `id_` is given."""
        id_ = uuid4().bytes if id_ is None else id_
        headers: Headers = []
        if partition is not None:
            headers.append((PARTITION, partition.to_bytes(4, "big")))
        headers.append((TOPIC, self.reply_topic.encode()))
        if pinned is not None:
            headers.append((PARTITION, pinned.to_bytes(4, "big")))
        headers.append((ID, id_))
        if type_id is not None:
            headers.append(("__TypeId__", type_id))
        self.broker.produce(topic, value, headers=[*headers, *extra], key=key, partition=0)
        self._waiting.add(id_)
        return id_

    def records(self) -> list[MemoryRecord]:
        """Return what is in the reply topic."""
        places = (TopicPartition(self.reply_topic, number) for number in range(self.partitions))
        return [record for place in places for record in self.broker.records(place)]

    def outcome(self, id_: bytes) -> "bytes | RuntimeError | None":
        """Return what its future completes with: the first reply with the id.

        Raises:
            LookupError: No reply has come.
        """
        assert id_ in self._waiting
        for record in self.records():
            ids = [value for name, value in record.headers if name == ID]
            if ids and ids[-1] == id_:
                errors = [value for name, value in record.headers if name == self.error_header]
                if errors:
                    return RuntimeError(errors[-1].decode())
                return record.value
        raise LookupError(id_)

    def has_reply(self, id_: bytes) -> bool:
        """Return whether a reply has come."""
        try:
            self.outcome(id_)
        except LookupError:
            return False
        return True


def text_id() -> bytes:
    """Return an id as `binaryCorrelation=false` makes it: 36 ASCII bytes."""
    return str(UUID(int=uuid4().int)).encode()


@define
class SpringResponder:
    """A `@KafkaListener` with `@SendTo`, for requests that the test hands it."""

    broker: MemoryBroker
    next_partition: int = 0

    def reply(
        self, request: Record, value: bytes | None, *, type_id: bytes | None = None
    ) -> MemoryRecord | None:
        """Return the reply that it has written, None if it writes none."""
        headers: Headers = [(ID, self._id(request))]
        if type_id is not None:
            headers.append(("__TypeId__", type_id))
        return None if value is None else self._send(request, value, request.key, headers)

    def reply_with_message(
        self, request: Record, value: bytes | None, *headers: tuple[str, bytes]
    ) -> MemoryRecord | None:
        """Write the `Message` that a `KafkaListenerErrorHandler` returns: its key is null."""
        return self._send(request, value, None, [(ID, self._id(request)), *headers])

    def reply_with_list(self, request: Record, values: Sequence[bytes]) -> None:
        """Write the elements of a `List<String>`: without ids."""
        for value in values:
            self._send(request, value, request.key, [])

    def _id(self, request: Record) -> bytes:
        return [value for name, value in request.headers if name == ID][-1]

    def _send(
        self, request: Record, value: bytes | None, key: bytes | None, headers: Headers
    ) -> MemoryRecord | None:
        topics = [value for name, value in request.headers if name == TOPIC]
        partitions = [value for name, value in request.headers if name == PARTITION]
        partition = self.next_partition
        if partitions:
            if len(partitions[-1]) != 4:
                return None  # not a word of it in its log
            partition = int.from_bytes(partitions[-1], "big")
        return self.broker.produce(
            topics[-1].decode(), value, headers=headers, key=key, partition=partition
        )
