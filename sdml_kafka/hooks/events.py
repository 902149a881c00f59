"""The events that hooks are called with: a frozen class for each."""

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import frozen

from sdml_kafka.transport.interfaces.records import Record, TopicPartition

Kind = Literal["listener", "rpc", "server", "producer"]


@frozen
class Origin:
    """The object whose hook is called."""

    kind: Kind
    """"listener" is a `KafkaListener`, "rpc" a `KafkaRPC`, "server" a `KafkaRPCServer` and
    "producer" a `KafkaProducer`."""
    group_id: str = ""
    """The consumer group; empty without one, and before the first connection if a factory names
    it."""
    client_id: str = ""
    """The option `client_id`, or librdkafka's `client.id`; empty if it was not given."""


@frozen
class Delivered:
    """Records of a partition were handed out together.

    They wait for the loops and handlers that take them, as `status().in_flight` counts them. A
    record that is given back and taken again is not delivered again.
    """

    origin: Origin
    partition: TopicPartition
    records: Sequence[Record]
    """The records. They are made when somebody asks for them: `len()` costs nothing."""
    to: tuple[str, ...]
    """The types whose streams and processors get them; of a server the name of its handler."""


@frozen
class Finished:
    """Records that were delivered together have finished, all of them.

    When the partition is given up they are those that have finished by then.
    """

    origin: Origin
    partition: TopicPartition
    count: int
    first_offset: int
    """The lowest offset of those that were delivered together."""
    last_offset: int
    """The highest offset of those that were delivered together."""


@frozen
class Committed:
    """The group has committed offsets."""

    origin: Origin
    offsets: Mapping[TopicPartition, int]
    """The offset of the next record to read, for each partition that has gone on."""
    seconds: float
    """Seconds that the commit took."""


@frozen
class FailedCommit:
    """The group has not committed offsets, or that is not known."""

    origin: Origin
    offsets: Mapping[TopicPartition, int]
    """The offsets that were to be committed."""
    seconds: float
    """Seconds that the commit took."""
    error: Exception
    """The reason: `CommitRejected` where a rebalance has taken the partitions, `TransactionInDoubt`
    where a transaction may have been committed."""


@frozen
class Retried:
    """A record has failed and is tried again."""

    origin: Origin
    processor: str
    """The name of the processor."""
    record: Record
    error: Exception
    """The error that it has failed with."""
    attempt: int
    """The number of the attempt that follows: 2, 3, ..."""
    delay_s: float
    """Seconds until then, at least."""
    topic: str | None
    """The retry topic that the record goes to, None if it is tried again in its place."""


@frozen
class DeadLettered:
    """A broker has acknowledged the dead letter of a record, which finishes with it."""

    origin: Origin
    processor: str
    """The name of the processor, empty for a record that did not parse."""
    record: Record
    error: Exception
    """The error that it has failed with."""
    topic: str
    """The topic that the dead letter was written to."""


@frozen
class CallBegun:
    """A call has begun; its request is about to be sent."""

    origin: Origin
    topic: str
    call_id: bytes
    """The correlation id. No other call of this client has it before this one is settled."""
    method: Literal["request", "stream", "notify"]
    timeout_s: float
    """Seconds until its deadline, `inf` if it has none."""


@frozen
class CallSettled:
    """A call has its outcome, or its caller waits no more."""

    origin: Origin
    topic: str
    call_id: bytes
    method: Literal["request", "stream", "notify"]
    seconds: float
    """Seconds since it began."""
    outcome: str
    """"ok", "cancelled" if its caller waits no more, or the name of the error's class."""
    error: BaseException | None
    """The error that the caller gets. A `RemoteError` has the server's status."""


@frozen
class RequestHandled:
    """A handler of a server has ended, and its answer is about to be sent."""

    origin: Origin
    topic: str
    handler: str
    """The name of the handler."""
    seconds: float
    """Seconds that it took, its parser included."""
    status: str
    """"ok", or the status of the error that the caller gets."""
    call_id: bytes | None = None
    """The correlation id of the request, None if it has none."""
    is_notification: bool = False
    """True for a request that asks for no reply."""


@frozen
class Assigned:
    """The broker has assigned partitions."""

    origin: Origin
    partitions: frozenset[TopicPartition]
    """The partitions that are new here; all of them if rebalances are eager."""
    seconds: float | None
    """Seconds since the revocation that began the rebalance; None if there was none."""


@frozen
class Drained:
    """Partitions are about to be released, after a wait for what is in hand."""

    origin: Origin
    partitions: frozenset[TopicPartition]
    seconds: float
    """Seconds that it took."""
    unfinished: int
    """The number of records in hand that have not finished in time, and come again."""
    is_leaving: bool
    """True if the listener or server is left; otherwise it is a rebalance."""


@frozen
class Lost:
    """The member was out of its group already: others may read its partitions by now."""

    origin: Origin
    partitions: frozenset[TopicPartition]
    in_hand: int
    """The number of records in hand, which come again."""


@frozen
class Crashed:
    """An actor has failed. If it is restarted, `Restarted` follows."""

    origin: Origin
    path: tuple[str, ...]
    """The names of the actors from the root down to this one."""
    error: BaseException


@frozen
class Restarted:
    """An actor that was restarted is ready again."""

    origin: Origin
    path: tuple[str, ...]
    """The names of the actors from the root down to this one."""
    restarts: int
    """The number of its restarts so far."""


@frozen
class BrokerGone:
    """No broker can be reached."""

    origin: Origin
    reason: str


@frozen
class BrokerBack:
    """A broker can be reached again."""

    origin: Origin
    seconds: float
    """Seconds since none could be reached."""
