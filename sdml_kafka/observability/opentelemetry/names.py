"""The names of OpenTelemetry's conventions 1.45 for messaging, and what is said of a message.

The strings stand here since the conventions are not stable yet: the package that has them renames
them from version to version. 1.45 has renamed some; with `messaging/dup` in the variable
`OTEL_SEMCONV_STABILITY_OPT_IN` the names of before stand beside the new ones.
"""

from collections.abc import Mapping
from typing import NamedTuple

from attrs import frozen

from sdml_kafka.hooks.events import Origin
from sdml_kafka.transport.interfaces.records import Record

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"

SYSTEM = "messaging.system.name"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
CLIENT_ID = "messaging.client.id"
BATCH_COUNT = "messaging.batch.message_count"
CONVERSATION_ID = "messaging.message.conversation_id"
OFFSET = "kafka.offset"
KEY = "kafka.message.key"
TOMBSTONE = "kafka.message.tombstone"
ERROR_TYPE = "error.type"
RPC_SYSTEM = "rpc.system.name"
RPC_METHOD = "rpc.method"
RPC_STATUS = "rpc.status_code"
HANDLER = "sdml_kafka.handler"
"""The name of the processor, of the server's handler, or of a stream's type."""
ATTEMPT = "sdml_kafka.attempt"
"""The number of the attempt, from the second on."""

OLDER = {
    SYSTEM: "messaging.system",
    OFFSET: "messaging.kafka.offset",
    KEY: "messaging.kafka.message.key",
    TOMBSTONE: "messaging.kafka.message.tombstone",
}
"""The names that 1.45 has renamed, and what they were before."""

MAX_KEY_BYTES = 256
"""Longer keys are left out."""
MAX_TOPICS = 1024
"""The most topics of an operation whose attributes are kept."""

Value = str | int | bool
Attributes = Mapping[str, Value]


@frozen
class Conventions:
    """The version of the conventions that a program wants."""

    with_older: bool = False
    """True if the names of before 1.45 stand beside the new ones."""

    @classmethod
    def chosen_by(cls, opt_in: str | None) -> "Conventions":
        """Return what the value of `OTEL_SEMCONV_STABILITY_OPT_IN` asks for, None if not set."""
        return cls("messaging/dup" in [each.strip() for each in (opt_in or "").split(",")])

    def complete(self, attributes: dict[str, Value]) -> dict[str, Value]:
        """Return the attributes, with the older names if the program wants them."""
        if self.with_older:
            for name, older in OLDER.items():
                if name in attributes:
                    attributes[older] = attributes[name]
        return attributes

    def of_record(self, record: Record) -> dict[str, Value]:
        """Return what is said of a record that was read."""
        attributes: dict[str, Value] = {PARTITION: str(record.partition), OFFSET: record.offset}
        _add_content(attributes, record.key, record.value)
        return self.complete(attributes) if self.with_older else attributes

    def of_message(
        self, key: bytes | None, value: bytes | None, partition: int | None, offset: int | None
    ) -> dict[str, Value]:
        """Return what is said of a message that was sent."""
        attributes: dict[str, Value] = {}
        if partition is not None:
            attributes[PARTITION] = str(partition)
        if offset is not None:
            attributes[OFFSET] = offset
        _add_content(attributes, key, value)
        return self.complete(attributes) if self.with_older else attributes


class Description(NamedTuple):
    """The name and the attributes of all spans of an operation on a topic."""

    span_name: str
    attributes: Attributes
    of_metrics: Attributes
    """The attributes of the operation's metrics."""


class Operation:
    """An operation of the conventions, with its descriptions for the topics that it was seen on."""

    def __init__(self, conventions: Conventions, name: str, type_: str, rpc: str = "") -> None:
        """Begin without topics.

        Args:
            conventions: The names.
            name: What Kafka calls the operation.
            type_: What the conventions call operations like this.
            rpc: The name of the system of calls, empty if it is no call.
        """
        self._conventions, self._name, self._type, self._rpc = conventions, name, type_, rpc
        self._known: dict[tuple[str | None, str, str], Description] = {}

    def on(self, topic: str | None, origin: Origin) -> Description:
        """Return what spans on a topic have; None is an operation on several topics."""
        where = topic, origin.group_id, origin.client_id
        found = self._known.get(where)
        if found is None:
            if len(self._known) >= MAX_TOPICS:
                self._known.clear()
            found = self._known[where] = self._describe(topic, origin)
        return found

    def _describe(self, topic: str | None, origin: Origin) -> Description:
        shared: dict[str, Value] = {SYSTEM: "kafka", OPERATION: self._name}
        shared[OPERATION_TYPE] = self._type
        if topic is not None:
            shared[DESTINATION] = topic
        if origin.group_id and self._type != "send":
            shared[GROUP] = origin.group_id
        attributes = dict(shared)
        if origin.client_id:
            attributes[CLIENT_ID] = origin.client_id
        if self._rpc and topic is not None:
            attributes |= {RPC_SYSTEM: self._rpc, RPC_METHOD: topic}
            shared = {RPC_SYSTEM: self._rpc, RPC_METHOD: topic}
        name = self._name if topic is None else f"{self._name} {topic}"
        complete = self._conventions.complete
        return Description(name, complete(attributes), complete(shared))


def error_type(error: BaseException) -> str:
    """Return the class of an error as `error.type` has it."""
    return type(error).__qualname__


def id_text(call_id: bytes) -> str:
    """Return a correlation id as text; bytes that are none become hexadecimal digits."""
    try:
        return call_id.decode()
    except UnicodeDecodeError:
        return call_id.hex()


def _add_content(attributes: dict[str, Value], key: bytes | None, value: bytes | None) -> None:
    if value is None:
        attributes[TOMBSTONE] = True
    if key is not None and len(key) <= MAX_KEY_BYTES:
        try:
            attributes[KEY] = key.decode()
        except UnicodeDecodeError:
            return  # the conventions want a text that stands for the key, or none
