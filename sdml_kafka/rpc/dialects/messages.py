"""Requests and replies as any dialect yields them, and the bounds that every dialect keeps.

A request or a reply was written by a stranger. So a dialect bounds and decodes with care what it
reads, and treats what makes no sense as absent.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]
ForeignHeaders = Sequence[tuple[str, bytes | None]]
"""Headers as Kafka has them: a header may have no value."""

FlatHeaders = tuple[Any, ...]
"""The same names and values in turn, without a tuple for each header."""

DialectName = Literal["native", "spring", "nestjs"]

CorrelationFromRecord = Callable[[Any], bytes | str | None]
"""A program's own function that takes the correlation id from a record."""

OK = "ok"
DEADLINE_EXCEEDED = "deadline_exceeded"
UNKNOWN = "unknown"

MAX_REPLY_TOPICS = 16
MAX_ERROR_BYTES = 4096
MAX_ID_BYTES = 1024
MAX_TOPIC_BYTES = 249
MAX_STATUS_CHARS = 64

_STATUS = re.compile(rf"[a-zA-Z0-9_.-]{{1,{MAX_STATUS_CHARS}}}")


class Request(NamedTuple):
    """A request, as a server reads it."""

    id: bytes | None
    """The id byte for byte; the record's key when no header carries an id."""
    id_name: str | None
    """The header that carried the id, spelled as it came; None when the id is the key or absent."""
    reply_topics: tuple[str, ...] = ()
    """The topics to reply to, in order and each once: legal names, at most `MAX_REPLY_TOPICS`."""
    refused_topics: int = 0
    """The number of other topics that were asked for: illegal names, or beyond the bound."""
    reply_partition: int | None = None
    timeout_ms: int | None = None
    is_cancel: bool = False


class Reply(NamedTuple):
    """A reply beside its value, as a server writes it, and a client reads it."""

    id: bytes | None
    """The id in a header; None when no header carries one: then the key may be the id."""
    status: str = OK
    error: str = ""
    sequence: int | None = None
    """The reply's number in a stream: 0, 1, 2, ...; None for the one reply to a call."""
    is_end: bool = False
    """True if the stream ends here; such a record carries no value of its own."""
    cancel_partition: int | None = None
    """The partition of the request topic where the server reads cancel records, if it does."""
    more_follow: bool = False
    """True if the reply is part of a stream in a dialect that numbers nothing, and not the last."""


PLAIN = Reply(None)
"""Stands for a reply that is no error and no part of a stream, of which only the id matters."""


class ReplyWriter(Protocol):
    """Writes the headers of replies in a dialect."""

    @property
    def no_value(self) -> bytes | None:
        """The value of a reply that has none: of an end, of a handler's None."""
        ...

    def error_value(self, id_: bytes | None, /) -> bytes | None:
        """Return the value of an error's reply to the request with this id."""
        ...

    @property
    def marks_last(self) -> bool:
        """True if the last value of a stream can carry its end, and nothing numbers the values."""
        ...

    @property
    def reserved(self) -> frozenset[str]:
        """More names, in lower case, that a program's own headers of a reply may not have."""
        ...

    def ok_headers(self, id_: bytes | None, id_name: str | None, /) -> list[tuple[str, bytes]]:
        """Return the headers of a reply that is no part of a stream and no error."""
        ...

    def reply_headers(self, reply: Reply, id_name: str | None, /) -> list[tuple[str, bytes]]:
        """Return the headers of any reply, as far as the dialect can say what it says.

        Args:
            reply: What to say, with the id of the request.
            id_name: The header that carries the id; None when the id is the key or absent.
        """
        ...


class ReplyReader(Protocol):
    """Reads the headers of replies in a dialect."""

    def plain_id(self, headers: FlatHeaders, /) -> bytes | None:
        """Return the id of a reply that is no error and no part of a stream, as nearly all are.

        None stands for any other reply.
        """
        ...

    def read_flat_reply(self, headers: FlatHeaders, /) -> Reply:
        """Read what a reply says; whatever bytes it holds, this does not fail."""
        ...


def is_id(value: bytes) -> bool:
    """Return whether these bytes can be a correlation id."""
    return 0 < len(value) <= MAX_ID_BYTES


def id_of(found: object) -> bytes | None:
    """Return the id that a program's own function has found, None if that cannot be one.

    Raises:
        UnicodeEncodeError: It is a text with a surrogate, which is no character.
    """
    if isinstance(found, str):
        id_ = found.encode()
    elif isinstance(found, bytes | bytearray | memoryview):
        id_ = bytes(found)  # pyright: ignore[reportUnknownArgumentType]
    else:
        return None
    return id_ if is_id(id_) else None


def is_status(status: str) -> bool:
    """Return whether an error may have this status; `ok` is no error."""
    return status != OK and _STATUS.fullmatch(status) is not None
