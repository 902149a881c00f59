"""The common part of the dialects of Spring and NestJS.

Their headers begin with `kafka_`, of which each has one value: where a name comes twice, the last
one counts. Names are compared with regard to case, as both frameworks do.
"""

from typing import Literal, Protocol

from sdml_kafka.rpc.dialects.header_values import pairs, read_error_status, read_text
from sdml_kafka.rpc.dialects.messages import MAX_ID_BYTES, FlatHeaders, Headers, Reply, ReplyReader
from sdml_kafka.rpc.dialects.native import ERROR, STATUS

CORRELATION_ID = "kafka_correlationId"
REPLY_TOPIC = "kafka_replyTopic"
REPLY_PARTITION = "kafka_replyPartition"
NEST_ERROR = "kafka_nest-err"
NEST_IS_DISPOSED = "kafka_nest-is-disposed"
"""The value does not matter; NestJS writes one byte 0."""
TYPE_ID = "__TypeId__"
"""A Java class, by which Spring reads JSON; says nothing of the call."""

KAFKA_NAMES = frozenset(
    name.lower()
    for name in (CORRELATION_ID, REPLY_TOPIC, REPLY_PARTITION, NEST_ERROR, NEST_IS_DISPOSED)
)
"""The names of these headers, in lower case."""

ForeignName = Literal["spring", "nestjs"]
LastValues = dict[str, bytes | None]


class ForeignDialect(ReplyReader, Protocol):
    """Writes a client's requests and reads its replies."""

    @property
    def name(self) -> ForeignName: ...

    @property
    def id_names(self) -> tuple[str, ...]:
        """The only header that carries an id."""
        ...

    @property
    def asks_for_partition(self) -> bool:
        """True if requests always name a partition to reply to."""
        ...

    @property
    def has_streams(self) -> bool:
        """True if a request may have several replies, of which the last one is known as such."""
        ...

    @property
    def reserved(self) -> frozenset[str]:
        """The names, in lower case, that a program's own headers of a request may not have."""
        ...

    def partition_value(self, partition: int, /) -> bytes:
        """Return the value of the header that names the partition to reply to."""
        ...

    def check_id(self, id_: bytes, /) -> None:
        """Raise ConfigurationError for an id that would not come back as it was sent."""
        ...


def last_values(headers: FlatHeaders) -> LastValues:
    """Return the last value of each header."""
    return dict(pairs(headers))


def id_in(found: LastValues) -> bytes | None:
    """Return the correlation id, None if there is none or it is out of bounds."""
    id_ = found.get(CORRELATION_ID)
    return id_ if id_ and len(id_) <= MAX_ID_BYTES else None


def own_error(found: LastValues, id_: bytes | None) -> Reply | None:
    """Return an error that a server of this package has written, None if there is none."""
    status = found.get(STATUS)
    if status is None or status == b"ok":
        return None
    return Reply(id_, read_error_status(status), read_text(found.get(ERROR) or b""))


def reply_to_headers(
    dialect: ForeignDialect, topic: str, partition: int | None
) -> list[tuple[str, bytes]]:
    """Return the headers that say where to reply."""
    headers: Headers = [(REPLY_TOPIC, topic.encode())]
    if partition is None:
        return [*headers]
    return [*headers, (REPLY_PARTITION, dialect.partition_value(partition))]
