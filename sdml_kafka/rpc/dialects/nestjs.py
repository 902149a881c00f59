"""The dialect of NestJS's Kafka microservices: `ClientKafka.send` and `@MessagePattern`.

A reply is one record or several, of which a header marks the last. Nothing numbers them, so that
lost and repeated ones cannot be seen (docs/wire.md).
"""

import json
import re
from contextlib import suppress
from typing import Any, Literal, cast

from attrs import field, frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.foreign import (
    CORRELATION_ID,
    KAFKA_NAMES,
    NEST_ERROR,
    NEST_IS_DISPOSED,
    id_in,
    last_values,
    own_error,
)
from sdml_kafka.rpc.dialects.header_values import cut, read_text
from sdml_kafka.rpc.dialects.messages import (
    MAX_ID_BYTES,
    UNKNOWN,
    FlatHeaders,
    Reply,
    is_status,
)

MAX_JSON_BYTES = 1 << 16
"""A longer error is not read as JSON."""

_ID = re.compile(rb"[0-9A-Za-z][!-~]*")
"""NestJS decodes an id as text, and reads one that looks like JSON as such."""


@frozen
class NestJS:
    """The dialect of NestJS's Kafka microservices. There is nothing to choose in it."""


@frozen
class NestCodec:
    """Writes requests and reads replies; see `ForeignDialect`."""

    name: Literal["nestjs"] = field(default="nestjs", init=False)
    id_names: tuple[str, ...] = field(default=(CORRELATION_ID,), init=False)
    asks_for_partition: bool = field(default=True, init=False)
    has_streams: bool = field(default=True, init=False)
    reserved: frozenset[str] = field(default=KAFKA_NAMES, init=False)

    def partition_value(self, partition: int) -> bytes:
        """Return the partition to reply to in ASCII digits."""
        return b"%d" % partition

    def check_id(self, id_: bytes) -> None:
        """Raise ConfigurationError for an id that would not come back as it was sent."""
        if _ID.fullmatch(id_) is None:
            raise ConfigurationError(
                "In the dialect 'nestjs' a correlation_id is printable ASCII without spaces that "
                f"begins with a letter or a digit, not {id_!r:.80}: NestJS sends no other one back "
                "as it was"
            )

    def plain_id(self, headers: FlatHeaders) -> bytes | None:
        """Return the id of a value that is the only or the last one, None for other replies."""
        if len(headers) == 4 and headers[0] == CORRELATION_ID and headers[2] == NEST_IS_DISPOSED:
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
        if NEST_ERROR in found:
            if value := found[NEST_ERROR]:
                return Reply(id_, *read_error(value))
            return Reply(id_, is_end=True)
        return Reply(id_, more_follow=NEST_IS_DISPOSED not in found)


def read_error(value: bytes) -> tuple[str, str]:
    """Return the status and the text of `kafka_nest-err`."""
    found: Any = None
    if len(value) <= MAX_JSON_BYTES:
        with suppress(ValueError, RecursionError):  # other texts say all there is themselves
            found = json.loads(value.decode("utf-8", "replace"))
    if not isinstance(found, dict):
        return UNKNOWN, read_text(value)
    error = cast(dict[str, Any], found)
    status, message = error.get("status", error.get("statusCode")), error.get("message")
    if type(status) is int:
        status = str(status)
    if message is None:
        message = read_text(value)
    elif not isinstance(message, str):
        try:
            message = json.dumps(message)
        except RecursionError:  # to write it may take more of the stack than to read it
            message = read_text(value)
    return (
        status if isinstance(status, str) and is_status(status) else UNKNOWN,
        cut(message).decode(),
    )


def error_value(status: str, text: str) -> bytes:
    """Return the value of `kafka_nest-err`, which is never empty."""
    return json.dumps({"status": status, "message": text}, ensure_ascii=False).encode()
