"""The dialect of Spring for Apache Kafka: `ReplyingKafkaTemplate` and `@KafkaListener @SendTo`.

A reply is one record. Nothing in the dialect says that it is an error: a program that wants to say
so chooses a header for it, and both sides have to know its name (docs/wire.md).
"""

from collections.abc import Sequence
from typing import Literal

from attrs import field, frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.foreign import (
    CORRELATION_ID,
    KAFKA_NAMES,
    NEST_IS_DISPOSED,
    TYPE_ID,
    id_in,
    last_values,
    own_error,
)
from sdml_kafka.rpc.dialects.header_values import read_text
from sdml_kafka.rpc.dialects.messages import MAX_ID_BYTES, OK, UNKNOWN, FlatHeaders, Reply
from sdml_kafka.rpc.dialects.native import RESERVED, STATUS

SENT_AN_ERROR = "serverSentAnError"
"""The header of an error in the example of Spring's manual."""
MAX_ERROR_HEADERS = 16

_SAYS_NOTHING = frozenset((TYPE_ID, NEST_IS_DISPOSED))
"""The headers that a reply may carry after its id, and that are no error."""


def _names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            "error_headers is a list of headers' names, such as ['serverSentAnError'], not "
            f"{names!r:.80}"
        )
    return tuple(names)


def _check_names(_: object, __: object, names: tuple[object, ...]) -> None:
    if len(names) > MAX_ERROR_HEADERS:
        raise ConfigurationError(f"error_headers has at most {MAX_ERROR_HEADERS} names")
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or not name:
            raise ConfigurationError(f"error_headers has headers' names, not {name!r:.80}")
        if name.lower() in RESERVED | KAFKA_NAMES or name == TYPE_ID:
            raise ConfigurationError(f"header {name!r} of error_headers means something else")


@frozen
class Spring:
    """The dialect of Spring for Apache Kafka, with what programs choose in it.

    Args:
        error_headers: The headers that say that a reply is an error, and why. A client takes a
            reply with one of them for a `RemoteError`; a server puts all of them into errors.
            Without any, silence is all that a client ever sees of a failure, and a server's
            error is an empty reply.

    Raises:
        ConfigurationError: A header of such a name cannot say that.
    """

    error_headers: Sequence[str] = field(
        default=(SENT_AN_ERROR,), converter=_names, validator=_check_names
    )


@frozen
class SpringCodec:
    """Writes requests and reads replies; see `ForeignDialect`."""

    error_headers: tuple[str, ...]
    name: Literal["spring"] = field(default="spring", init=False)
    id_names: tuple[str, ...] = field(default=(CORRELATION_ID,), init=False)
    asks_for_partition: bool = field(default=False, init=False)
    has_streams: bool = field(default=False, init=False)
    reserved: frozenset[str] = field(default=KAFKA_NAMES, init=False)

    def partition_value(self, partition: int) -> bytes:
        """Return the partition to reply to as an int32, big-endian."""
        return partition.to_bytes(4, "big")

    def check_id(self, id_: bytes) -> None:
        """Accept any id: it comes back byte for byte."""

    def plain_id(self, headers: FlatHeaders) -> bytes | None:
        """Return the id of a reply that is no error, as nearly all are; None for any other."""
        count = len(headers)
        if (count == 2 or (count == 4 and headers[2] in _SAYS_NOTHING)) and (
            headers[0] == CORRELATION_ID
        ):
            id_ = headers[1]
            if id_ and len(id_) <= MAX_ID_BYTES:
                return id_  # type: ignore[no-any-return]  # flat headers have no types
        return None

    def read_flat_reply(self, headers: FlatHeaders) -> Reply:
        """Read what a reply says; whatever bytes it holds, this does not fail."""
        found = last_values(headers)
        id_ = id_in(found)
        if (error := own_error(found, id_)) is not None:
            return error
        if found.get(STATUS) is None:  # without a value a header says nothing
            for name in self.error_headers:
                if name in found:
                    return Reply(id_, UNKNOWN, read_text(found[name] or b""))
        return Reply(id_, OK)
