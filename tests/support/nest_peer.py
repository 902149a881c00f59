"""A requester and a responder as NestJS has them, by hand, for the twin.

Written from what the real ones were seen to send, and not with the codec that is tested.
"""

import json
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from attrs import define

from sdml_kafka import TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.testing.memory.log import MemoryRecord
from sdml_kafka.transport.interfaces.records import Record

ID, TOPIC, PARTITION = "kafka_correlationId", "kafka_replyTopic", "kafka_replyPartition"
ERROR, IS_DISPOSED = "kafka_nest-err", "kafka_nest-is-disposed"
Headers = list[tuple[str, bytes]]


@define
class NestRequester:
    """A `ClientKafka`, which has one partition of the topic for replies."""

    broker: MemoryBroker
    partition: int = 1

    def send(self, topic: str, value: bytes | None = b"value", *, key: bytes | None = None) -> str:
        """Write a request, and return its id."""
        id_ = token_hex(11)[:21]
        headers = [
            (ID, id_.encode()),
            (TOPIC, f"{topic}.reply".encode()),
            (PARTITION, b"%d" % self.partition),
        ]
        self.broker.produce(topic, value, headers=headers, key=key, partition=0)
        return id_

    def emit(self, topic: str, value: bytes | None = b"value") -> None:
        """Write an event, which gets no reply."""
        self.broker.produce(topic, value, partition=0)

    def records(self, topic: str) -> Sequence[MemoryRecord]:
        """Return what has come to its partition of the topic for replies."""
        return self.broker.records(TopicPartition(f"{topic}.reply", self.partition))

    def seen(self, topic: str, id_: str) -> list[Any]:
        """Return what the `Observable` of a request did: its values, then how it ended."""
        seen: list[Any] = []
        for record in self.records(topic):
            ids = [value for name, value in record.headers if name == ID]
            if len(ids) != 1 or ids[0].decode() != id_:
                continue
            headers = dict(record.headers)
            if (error := headers.get(ERROR)) is not None:
                return [*seen, ("error", _parsed(error)) if error else "complete"]
            seen.append(record.value)
            if IS_DISPOSED in headers:
                return [*seen, "complete"]
        return seen

    def has_ended(self, topic: str, id_: str) -> bool:
        """Return whether the `Observable` has completed or failed."""
        seen = self.seen(topic, id_)
        return bool(seen) and not isinstance(seen[-1], bytes | None)


def _parsed(error: bytes) -> Any:
    try:
        return json.loads(error)
    except ValueError:
        return error.decode()


@define
class NestResponder:
    """A `@MessagePattern` handler, for requests that the test hands it. Its keys are null."""

    broker: MemoryBroker
    next_partition: int = 0

    def reply(self, request: Record, value: bytes | None) -> None:
        """Write a value as the only reply."""
        self._send(request, value, (IS_DISPOSED, b"\x00"))

    def next(self, request: Record, value: bytes | None) -> None:
        """Write a value of an `Observable` that goes on."""
        self._send(request, value)

    def fail(self, request: Record, error: bytes) -> None:
        """Write an error."""
        self._send(request, None, (ERROR, error), (IS_DISPOSED, b"\x00"))

    def _send(self, request: Record, value: bytes | None, *more: tuple[str, bytes]) -> None:
        headers = dict(request.headers)
        if ID not in headers or TOPIC not in headers:
            return  # an event
        id_ = headers[ID].decode("utf-8", "replace").encode()
        partition = self.next_partition
        if PARTITION in headers:
            if not headers[PARTITION].isdigit():
                return  # not a word of it in its log
            partition = int(headers[PARTITION])
        topic = headers[TOPIC].decode()
        sent = [(ID, id_), *more]
        self.broker.produce(topic, value, headers=sent, key=None, partition=partition)
