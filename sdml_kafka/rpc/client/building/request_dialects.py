"""The differences between requests of the dialects: where the id travels, and where to reply."""

from collections.abc import Callable
from typing import Protocol

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.client.reply_dispatcher import ReplyMatcher
from sdml_kafka.rpc.client.reply_topics import Reading
from sdml_kafka.rpc.client.request_options import (
    CallOptions,
    RequestHeaders,
    check_propagation,
    own_headers,
)
from sdml_kafka.rpc.dialects import foreign
from sdml_kafka.rpc.dialects.foreign import CORRELATION_ID, ForeignDialect
from sdml_kafka.rpc.dialects.messages import Headers
from sdml_kafka.rpc.dialects.native import ID_NAMES, Wire, reply_to_headers


class RequestDialect(Protocol):
    """Checks what a call asks for, and puts it into the form of a dialect."""

    def where_id_travels(self, options: CallOptions, /) -> tuple[str | None, bool]:
        """Return the header that carries the id, if one does, and whether the id is the key.

        Raises:
            ConfigurationError: The id cannot travel as the options say.
        """
        ...

    def check_id(self, id_: bytes, /) -> None:
        """Raise ConfigurationError for an id that would not come back as it was sent."""
        ...

    def own_headers(self, headers: RequestHeaders, /) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Return the caller's own headers, and the reply topics that are named among them."""
        ...

    def reply_to_headers(self, topics: tuple[str, ...], /) -> Headers:
        """Return the headers that say where to reply."""
        ...


def dialect_of(matcher: ReplyMatcher, reading: Reading) -> RequestDialect:
    """Return the dialect of the replies that `matcher` reads, for requests."""
    if isinstance(matcher.reader, Wire):
        return NativeRequests(matcher, reading)
    return ForeignRequests(matcher.reader, reading)


class NativeRequests:
    """Requests in the project's own dialect."""

    def __init__(self, matcher: ReplyMatcher, reading: Reading) -> None:
        self._matcher = matcher
        self._reading = reading

    def where_id_travels(self, options: CallOptions) -> tuple[str | None, bool]:
        """Return the header that carries the id, if one does, and whether the id is the key."""
        id_name, is_keyless = options.id_name, options.is_keyless
        check_propagation(options.propagate_to, id_name, is_keyless=is_keyless)
        self._matcher.read_id_from(id_name)
        name = None if options.propagate_to == "key" else id_name
        return name, is_keyless and options.propagate_to != "header"

    def check_id(self, id_: bytes) -> None:
        """Accept any id."""

    def own_headers(self, headers: RequestHeaders) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Return the caller's own headers, and the reply topics that are named among them."""
        return own_headers(headers, self._matcher.carries_id, ())

    def reply_to_headers(self, topics: tuple[str, ...]) -> Headers:
        """Return the headers that say where to reply."""
        reading = self._reading
        if reading.share is None:
            return reply_to_headers(topics, reading.common_partition(topics))
        own = {reading.own_partition(topic) for topic in topics} - {None}
        if len(own) > 1:
            raise ConfigurationError(
                f"With own_partition a request can ask for one partition: {list(topics)} are "
                "topics of this client with different ones. Ask for one of them."
            )
        return reply_to_headers(topics, next(iter(own), None))


class ForeignRequests:
    """Requests in the dialect of Spring or NestJS."""

    def __init__(self, dialect: ForeignDialect, reading: Reading) -> None:
        self._dialect = dialect
        self._reading = reading
        self.check_id: Callable[[bytes], None] = dialect.check_id

    def where_id_travels(self, options: CallOptions) -> tuple[str | None, bool]:
        """Return the header that carries the id; the key is the caller's alone."""
        name = self._dialect.name
        check_propagation(options.propagate_to, options.id_name, is_keyless=options.is_keyless)
        if options.propagate_to == "key" or options.id_name != ID_NAMES[0]:
            raise ConfigurationError(
                f"In the dialect {name!r} the id travels in the header {CORRELATION_ID}: leave "
                "propagate_corr_to and correlation_header_key out"
            )
        return CORRELATION_ID, False

    def own_headers(self, headers: RequestHeaders) -> tuple[list[tuple[str, bytes]], list[str]]:
        """Return the caller's own headers, and the reply topics that are named among them."""
        return own_headers(headers, lambda name: False, self._dialect.reserved)

    def reply_to_headers(self, topics: tuple[str, ...]) -> Headers:
        """Return the headers that say where to reply."""
        dialect, reading = self._dialect, self._reading
        if len(topics) != 1:
            raise ConfigurationError(
                f"In the dialect {dialect.name!r} a request names one reply topic, not "
                f"{list(topics)}"
            )
        (topic,) = topics
        partition = None
        if reading.share is not None or dialect.asks_for_partition:
            partition = reading.some_partition(topic)
        return foreign.reply_to_headers(dialect, topic, partition)
