"""The codec of calls: what a request and a reply say in their headers. See docs/wire.md.

The one place that knows a header's name. Everything that is read was written by strangers: it is
bounded, decoded with care, and what makes no sense counts as not said.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from attrs import field, frozen

Headers = Sequence[tuple[str, bytes]]

ID_NAMES = ("request_id", "correlation_id", "x-correlation-id")
REPLY_TOPIC = "x-reply-topic"
REPLY_PARTITION = "x-reply-partition"
TIMEOUT_MS = "x-timeout-ms"
STATUS = "x-status"
ERROR = "x-error"
SEQUENCE = "x-sequence"
END = "x-end"
CANCEL = "x-cancel"
CANCEL_PARTITION = "x-cancel-partition"

OK = "ok"
MOST_REPLY_TOPICS = 16
MOST_ERROR_BYTES = 4096
MOST_ID_BYTES = 1024

_TOPIC = re.compile(rb"[a-zA-Z0-9._-]{1,249}")
_STATUS = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_NUMBER = re.compile(rb"[0-9]{1,12}")


class Request(NamedTuple):
    """What a server reads off a request."""

    id: bytes | None
    """Verbatim, whatever bytes they are; the key's when no header carries one."""
    id_name: str | None
    """The header that carried it, as it was spelled; None: it is the key, or there is none."""
    reply_topics: tuple[str, ...] = ()
    """In order, each once, names that can be a topic's, `MOST_REPLY_TOPICS` at most."""
    refused_topics: int = 0
    """How many more were asked for, or cannot be a topic's name."""
    reply_partition: int | None = None
    timeout_ms: int | None = None
    is_cancel: bool = False


class Reply(NamedTuple):
    """What a client reads off a reply."""

    id: bytes | None
    """From a header; None: no header carries one, and the key may say whose it is."""
    status: str = OK
    error: str = ""
    sequence: int | None = None
    """Of a stream: 0, 1, 2, ...; None: the one reply to a call."""
    is_end: bool = False
    """The stream is over; such a record carries no value of its own."""
    cancel_partition: int | None = None
    """The server wants to hear there, in the request's topic, when nobody reads any more."""


@frozen
class Wire:
    """`id_names`: the headers that may carry a correlation id, the first that is there counts;
    read without regard to case."""

    id_names: tuple[str, ...] = field(default=ID_NAMES)
    _ranks: dict[str, int] = field(init=False, eq=False, repr=False)

    @_ranks.default
    def _rank(self) -> dict[str, int]:
        lowered = [name.lower() for name in self.id_names]
        return {name: rank for rank, name in reversed(list(enumerate(lowered)))}

    def with_name(self, name: str) -> "Wire":
        """One that reads this header, too."""
        return self if name.lower() in self._ranks else Wire((*self.id_names, name))

    # -- requests ------------------------------------------------------------------------

    def read_request(self, headers: Headers, key: bytes | None) -> Request:
        id_, id_name, rank = None, None, len(self._ranks)
        topics: list[bytes] = []
        partition = timeout_ms = None
        is_cancel = False
        for spelled, value in headers:
            if value is None:  # type: ignore[unreachable]  # Kafka has null headers
                continue  # type: ignore[unreachable]
            name = spelled.lower()
            if name == REPLY_TOPIC:
                topics.append(value)
            elif (found := self._ranks.get(name)) is not None:
                if found < rank and len(value) <= MOST_ID_BYTES:
                    id_, id_name, rank = value, spelled, found
            elif name == TIMEOUT_MS:
                timeout_ms = _number(value)
            elif name == REPLY_PARTITION:
                partition = _number(value)
            elif name == CANCEL:
                is_cancel = True
        if id_ is None and key and len(key) <= MOST_ID_BYTES:
            id_ = key
        admitted = _topics(topics)
        refused = len(topics) - len(admitted)
        return Request(id_, id_name, admitted, refused, partition, timeout_ms, is_cancel)

    # -- replies -------------------------------------------------------------------------

    def read_reply(self, headers: Headers) -> Reply:
        id_, rank = None, len(self._ranks)
        status, error = OK, ""
        sequence = cancel_partition = None
        is_end = False
        for spelled, value in headers:
            if value is None:  # type: ignore[unreachable]  # Kafka has null headers
                continue  # type: ignore[unreachable]
            name = spelled.lower()
            if (found := self._ranks.get(name)) is not None:
                if found < rank:
                    id_, rank = value, found
            elif name == STATUS:
                if value != b"ok":
                    status = status_of(value.decode("utf-8", "replace"))
            elif name == ERROR:
                error = value[:MOST_ERROR_BYTES].decode("utf-8", "replace")
            elif name == SEQUENCE:
                sequence = _number(value)
            elif name == END:
                is_end = True
            elif name == CANCEL_PARTITION:
                cancel_partition = _number(value)
        return Reply(id_, status, error, sequence, is_end, cancel_partition)


def request_headers(
    id_: bytes | None,
    id_name: str | None,
    reply_to: Headers,
    timeout_ms: int | None,
    extra: Headers = (),
) -> list[tuple[str, bytes]]:
    """`id_name` None: the id travels as the key alone. `reply_to` is what `reply_headers` made,
    once for many calls; `extra` are the caller's own."""
    headers = [*reply_to, *extra]
    if id_ is not None and id_name is not None:
        headers.append((id_name, id_))
    if timeout_ms is not None:
        headers.append((TIMEOUT_MS, b"%d" % timeout_ms))
    return headers


def reply_to_headers(topics: Iterable[str], partition: int | None) -> list[tuple[str, bytes]]:
    headers = [(REPLY_TOPIC, topic.encode()) for topic in topics]
    if partition is not None:
        headers.append((REPLY_PARTITION, b"%d" % partition))
    return headers


def cancel_headers(id_: bytes, id_name: str) -> list[tuple[str, bytes]]:
    return [(id_name, id_), (CANCEL, b"1")]


_OK_HEADER = (STATUS, b"ok")


def reply_headers(
    request: Request,
    status: str = OK,
    error: str = "",
    *,
    sequence: int | None = None,
    is_end: bool = False,
    cancel_partition: int | None = None,
) -> list[tuple[str, bytes]]:
    """The id goes back as it came; one that came as the key goes back as the key."""
    headers: list[tuple[str, bytes]] = []
    if request.id is not None and request.id_name is not None:
        headers.append((request.id_name, request.id))
    if status == OK:
        headers.append(_OK_HEADER)
    else:
        headers.append((STATUS, status.encode()))
        headers.append((ERROR, error.encode("utf-8", "replace")[:MOST_ERROR_BYTES]))
    if sequence is not None:
        headers.append((SEQUENCE, b"%d" % sequence))
    if is_end:
        headers.append((END, b"1"))
    if cancel_partition is not None:
        headers.append((CANCEL_PARTITION, b"%d" % cancel_partition))
    return headers


def is_status(status: str) -> bool:
    return _STATUS.fullmatch(status) is not None


def status_of(text: str) -> str:
    """A stranger's status: `unknown` when it cannot be one."""
    return text if is_status(text) else "unknown"


def _number(value: bytes) -> int | None:
    return int(value) if _NUMBER.fullmatch(value) else None


def _topics(values: Sequence[bytes]) -> tuple[str, ...]:
    if not values:
        return ()
    topics: dict[str, None] = {}
    for value in values:
        if _TOPIC.fullmatch(value) and value not in (b".", b".."):
            topics[value.decode()] = None
            if len(topics) == MOST_REPLY_TOPICS:
                break
    return tuple(topics)
