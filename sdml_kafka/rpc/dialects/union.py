"""Requests of Spring and NestJS as a server reads them, and replies that both of them understand.

Which of the two has sent a request is a guess. So a server answers with everything that either one
reads and the other one ignores, and a wrong guess does no harm.
"""

import re
from collections.abc import Callable
from functools import partial

from attrs import field, frozen

from sdml_kafka.rpc.dialects.foreign import (
    CORRELATION_ID,
    NEST_ERROR,
    NEST_IS_DISPOSED,
    REPLY_PARTITION,
    REPLY_TOPIC,
    TYPE_ID,
    ForeignName,
    id_in,
    last_values,
)
from sdml_kafka.rpc.dialects.header_values import cut, one_topic, read_partition
from sdml_kafka.rpc.dialects.messages import (
    MAX_ID_BYTES,
    MAX_TOPIC_BYTES,
    OK,
    UNKNOWN,
    FlatHeaders,
    Reply,
    Request,
    is_status,
)
from sdml_kafka.rpc.dialects.native import (
    ERROR,
    MAX_ROUTE_BYTES,
    MAX_ROUTES,
    STATUS,
    TIMEOUT_MS,
    Route,
)
from sdml_kafka.rpc.dialects.nestjs import error_value

_IS_DISPOSED = (NEST_IS_DISPOSED, b"\x00")
_ROUTE = frozenset((REPLY_TOPIC, REPLY_PARTITION, TIMEOUT_MS, TYPE_ID))
_NEST_ID = re.compile(rb"[0-9a-f]{21}")

_new_request: Callable[[tuple[object, ...]], Request]
# Called as a class, a named tuple is made in twice the time.
_new_request = partial(tuple.__new__, Request)  # pyright: ignore[reportUnknownMemberType]


def dialect_of(headers: FlatHeaders, topic: str) -> ForeignName:
    """Return which of the two has most likely sent a request that has a `kafka_replyTopic`."""
    found = last_values(headers)
    if (found.get(REPLY_PARTITION) or b"").isdigit():
        return "nestjs"
    if found.get(REPLY_TOPIC) == f"{topic}.reply".encode():
        return "nestjs" if _NEST_ID.fullmatch(found.get(CORRELATION_ID) or b"") else "spring"
    return "spring"


def partition_in(value: bytes | None) -> int | None:
    """Return the partition that either of the two has written; None for what is neither's."""
    if value is None:
        return None
    if len(value) == 4 and value[0] == 0:
        return int.from_bytes(value, "big")
    return read_partition(value)


@frozen(eq=False)
class Union:
    """Reads requests of Spring and NestJS, and writes replies; see `ReplyWriter`."""

    names: frozenset[ForeignName]
    """The dialects whose requests are taken."""
    error_headers: tuple[str, ...]
    """The headers of Spring's that say that a reply is an error, and why."""
    no_value: bytes | None = field(default=None, init=False)
    marks_last: bool = field(default=True, init=False)
    reserved: frozenset[str] = field(init=False)
    _routes: dict[FlatHeaders, Route] = field(factory=dict[FlatHeaders, Route], init=False)
    """The headers of earlier requests but the id, as read: a client's calls share them."""

    def __attrs_post_init__(self) -> None:
        own = frozenset(name.lower() for name in self.error_headers)
        object.__setattr__(self, "reserved", own)

    @property
    def sign(self) -> str | None:
        """The header of all requests that are read here; None if some that have it are not."""
        return REPLY_TOPIC if len(self.names) == 2 else None

    def read_request(self, headers: FlatHeaders, topic: str) -> Request | None:
        """Read what a request in this topic asks for, None if it is of neither of the two.

        No deadline is read: the project's own dialect has it, in a header that clients of this
        package send in all dialects.
        """
        names = headers[::2]
        if REPLY_TOPIC not in names:
            return None
        at = 2 * names.index(CORRELATION_ID) if CORRELATION_ID in names else None
        rest = headers if at is None else headers[:at] + headers[at + 2 :]
        route = None if at is None else self._routes.get(rest)
        if at is not None and route is not None:
            id_ = headers[at + 1]
            if id_ and len(id_) <= MAX_ID_BYTES:
                return _new_request((id_, CORRELATION_ID, *route, None, False))
        found = last_values(headers)
        if (name := found[REPLY_TOPIC]) is None:
            return None
        if len(self.names) == 1 and dialect_of(headers, topic) not in self.names:
            return None
        topics, refused = one_topic(name) if len(name) <= MAX_TOPIC_BYTES else ((), 1)
        partition, id_ = partition_in(found.get(REPLY_PARTITION)), id_in(found)
        if at is not None and len(self.names) == 2 and _ROUTE.issuperset(rest[::2]):
            self._keep(rest, (topics, refused, partition))
        id_name = None if id_ is None else CORRELATION_ID
        return _new_request((id_, id_name, topics, refused, partition, None, False))

    def _keep(self, rest: FlatHeaders, route: Route) -> None:
        if sum(len(each or b"") for each in rest) <= MAX_ROUTE_BYTES:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[rest] = route

    def error_value(self, id_: bytes | None) -> bytes | None:
        """Return null, as both frameworks send it with an error."""
        return None

    def ok_headers(self, id_: bytes | None, id_name: str | None) -> list[tuple[str, bytes]]:
        """Return the headers of the only reply, which is no error."""
        return [_IS_DISPOSED] if id_ is None else [(CORRELATION_ID, id_), _IS_DISPOSED]

    def reply_headers(self, reply: Reply, id_name: str | None) -> list[tuple[str, bytes]]:
        """Return the headers of any reply. Neither numbers replies, nor are streams cancelled."""
        headers = self.ok_headers(reply.id, id_name)
        if reply.status == OK:
            if reply.sequence is not None and not reply.is_end:
                headers.pop()
            return headers
        status = reply.status if is_status(reply.status) else UNKNOWN
        text = cut(reply.error)
        shown = text or status.encode()
        headers[-1:] = [(NEST_ERROR, error_value(status, text.decode())), _IS_DISPOSED]
        headers += ((name, shown) for name in self.error_headers)
        headers += ((STATUS, status.encode()), (ERROR, text))
        return headers
