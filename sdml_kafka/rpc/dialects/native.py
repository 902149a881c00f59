"""The project's own dialect: how a call is written into headers, and read from them (docs/wire.md).

This file alone knows the names of these headers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain

from attrs import field, frozen

from sdml_kafka.errors import ConfigurationError
from sdml_kafka.rpc.dialects.header_values import (
    cut,
    is_topic,
    one_topic,
    pairs,
    read_error_status,
    read_number,
    read_partition,
    read_text,
)
from sdml_kafka.rpc.dialects.messages import (
    MAX_ID_BYTES,
    MAX_REPLY_TOPICS,
    MAX_TOPIC_BYTES,
    OK,
    UNKNOWN,
    FlatHeaders,
    ForeignHeaders,
    Headers,
    Reply,
    Request,
    is_id,
    is_status,
)

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
TRACEPARENT = "traceparent"
"""W3C's header, which is the last one of a call that is traced, and says nothing of the call."""

RESERVED = frozenset(
    (
        *(REPLY_TOPIC, REPLY_PARTITION, TIMEOUT_MS, STATUS, ERROR),
        *(SEQUENCE, END, CANCEL, CANCEL_PARTITION),
    )
)

_NOTHING: Mapping[str, str] = {}

MAX_ROUTES = 256
UUID_BYTES = 16
MAX_ROUTE_BYTES = 1024

Found = dict[str, bytes]
"""The first value of each known header, by the header's name as it is spelled here."""

Route = tuple[tuple[str, ...], int, int | None]
"""The topics to reply to, the number of others that were asked for, and the partition there."""

_new_request: Callable[[tuple[object, ...]], Request]
_new_reply: Callable[[tuple[object, ...]], Reply]
# Called as a class, a named tuple is made in twice the time.
_new_request = partial(tuple.__new__, Request)  # pyright: ignore[reportUnknownMemberType]
_new_reply = partial(tuple.__new__, Reply)  # pyright: ignore[reportUnknownMemberType]


def _check_id_names(_: object, __: object, names: tuple[str, ...]) -> None:
    for name in names:
        if not name or name.lower() in RESERVED:
            raise ValueError(f"{name!r} cannot be the header of a correlation id")


@frozen
class Wire:
    """The codec. Making one raises ValueError if a header of `id_names` means something else."""

    id_names: tuple[str, ...] = field(default=ID_NAMES, validator=_check_id_names)
    """The headers that may carry a correlation id, in the order in which they count. Their names
    are compared without regard to case."""
    sign_of_others: str | None = field(default=None, kw_only=True)
    """The header by which another codec knows the requests that it reads. Of such requests, if
    nothing in them is in this dialect, the timeout alone is read."""
    _foreign: dict[tuple[str, ...], int | None] = field(
        factory=dict[tuple[str, ...], int | None], init=False, eq=False, repr=False
    )
    """Where the timeout stands in such requests, by the names of their headers."""
    _names: dict[str, str] = field(init=False, eq=False, repr=False)
    """The names as they are spelled here, by the name in lower case."""
    _spellings: frozenset[str] = field(init=False, eq=False, repr=False)
    _id_spellings: frozenset[str] = field(init=False, eq=False, repr=False)
    _longest: int = field(init=False, eq=False, repr=False)
    _first_id_name: str | None = field(init=False, eq=False, repr=False)
    _routes: dict[FlatHeaders, Route] = field(
        factory=dict[FlatHeaders, Route], init=False, eq=False, repr=False
    )
    """The last headers of earlier requests, as they were read: the calls of a client share them."""
    _traceparent: str | None = field(init=False, eq=False, repr=False)
    """`TRACEPARENT`, None if it may carry an id."""

    def __attrs_post_init__(self) -> None:
        names = {name.lower(): name for name in (*RESERVED, *reversed(self.id_names))}
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_spellings", frozenset(names.values()))
        object.__setattr__(self, "_id_spellings", frozenset(self.id_names))
        object.__setattr__(self, "_longest", max(map(len, names)))
        object.__setattr__(self, "_traceparent", None if TRACEPARENT in names else TRACEPARENT)
        object.__setattr__(self, "_first_id_name", next(iter(self.id_names), None))

    @property
    def has_streams(self) -> bool:
        """True, as far as the client is concerned: a request may have several replies."""
        return True

    def carries_id(self, name: str) -> bool:
        """Return whether a header of this name is read for an id."""
        return self._names.get(name.lower()) in self.id_names

    def with_name(self, name: str) -> "Wire":
        """Return a codec that looks for ids in this header as well."""
        return self if self.carries_id(name) else Wire((*self.id_names, name))

    def read_request(self, headers: ForeignHeaders, key: bytes | None) -> Request:
        """Read what a request asks for; whatever bytes it holds, this does not fail."""
        return self.read_flat_request(tuple(chain.from_iterable(headers)), key)

    def read_flat_request(self, headers: FlatHeaders, key: bytes | None) -> Request:
        """Read what a request asks for of headers that are written one after the other."""
        # Requests of this package's client begin with their id and their timeout, and end like the
        # one before. Reading only what differs takes a third of the time.
        if len(headers) > 4 and headers[2] == TIMEOUT_MS:
            first, value, _, timeout = headers[:4]
            if first == self._first_id_name and value and len(value) <= MAX_ID_BYTES and timeout:
                rest = headers[4:]
                route = self._routes.get(rest) or self._find_route(rest)
                if route is not None:
                    return _new_request((value, first, *route, read_number(timeout), False))
        names = headers[::2]
        if self.sign_of_others in names and (names in self._foreign or self._is_foreign(names)):
            at = self._foreign[names]
            timeout_ms = None if at is None else read_number(headers[at] or b"")
            return _new_request((None, None, (), 0, None, timeout_ms, False))
        found, spelled_there, more_topics = self._find(pairs(headers))
        id_, id_name = None, None
        for name in self.id_names:
            if (value := found.get(name)) and len(value) <= MAX_ID_BYTES:
                id_, id_name = value, spelled_there.get(name, name)
                break
        else:
            if key is not None and is_id(key):
                id_ = key
        timeout_ms = read_number(found[TIMEOUT_MS]) if TIMEOUT_MS in found else None
        return Request(id_, id_name, *_route(found, more_topics), timeout_ms, CANCEL in found)

    def _is_foreign(self, names: tuple[str, ...]) -> bool:
        """Return whether none of these headers but the timeout is in this dialect; remember it."""
        known = [name for name in names if self._name(name) is not None]
        if known not in ([], [TIMEOUT_MS]):
            return False
        if len(self._foreign) >= MAX_ROUTES:
            self._foreign.clear()
        if sum(map(len, names)) <= MAX_ROUTE_BYTES:
            self._foreign[names] = 2 * names.index(TIMEOUT_MS) + 1 if known else None
        return names in self._foreign

    def _find_route(self, headers: FlatHeaders) -> Route | None:
        """Read the last headers of a request, and remember them; return None if they cancel."""
        if len(headers) > 2 and headers[-2] == self._traceparent:
            headers = headers[:-2]
            if (known := self._routes.get(headers)) is not None:
                return known
        found, _, more_topics = self._find(pairs(headers))
        if CANCEL in found:
            return None
        route = _route(found, more_topics)
        size = sum(len(each or b"") for each in headers)
        # Headers of the caller's own may differ from call to call.
        if size <= MAX_ROUTE_BYTES and len(found) + len(more_topics) == len(headers) // 2:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[headers] = route
        return route

    def read_reply(self, headers: ForeignHeaders) -> Reply:
        """Read what a reply says; whatever bytes it holds, this does not fail."""
        return self.read_flat_reply(tuple(chain.from_iterable(headers)))

    def plain_id(self, headers: FlatHeaders) -> bytes | None:
        """Return the id of a reply that is no error and no part of a stream, as nearly all are.

        None stands for any other reply.
        """
        if len(headers) == 4:
            name, only_id, other, value = headers
            is_plain = other == STATUS and value == b"ok"
        elif len(headers) == 2:  # by servers that know nothing of a status
            (name, only_id), is_plain = headers, True
        elif len(headers) == 6 and headers[4] == self._traceparent:
            name, only_id, other, value, _, _ = headers
            is_plain = other == STATUS and value == b"ok"
        else:
            return None
        if is_plain and name in self._id_spellings and only_id and len(only_id) <= MAX_ID_BYTES:
            return only_id  # type: ignore[no-any-return]  # flat headers have no types
        return None

    def read_flat_reply(self, headers: FlatHeaders) -> Reply:
        """Read what a reply says of headers that are written one after the other."""
        only_id = self.plain_id(headers)
        if only_id is not None:
            return _new_reply((only_id, OK, "", None, False, None, False))
        found, _, _ = self._find(pairs(headers))
        id_ = None
        for name in self.id_names:
            if (value := found.get(name)) and len(value) <= MAX_ID_BYTES:
                id_ = value
                break
        status = found.get(STATUS, b"ok")
        return Reply(
            id_,
            OK if status == b"ok" else read_error_status(status),
            read_text(found[ERROR]) if ERROR in found else "",
            read_number(found[SEQUENCE]) if SEQUENCE in found else None,
            END in found,
            read_partition(found[CANCEL_PARTITION]) if CANCEL_PARTITION in found else None,
        )

    def _find(
        self, headers: Iterable[tuple[str, bytes | None]]
    ) -> tuple[Found, Mapping[str, str], Sequence[bytes]]:
        """Return the known headers, foreign spellings of them, and the reply topics but the first.

        The spellings are those of the sender, by the names as they are spelled here.
        """
        found: Found = {}
        spelled_there: dict[str, str] | None = None
        more_topics: list[bytes] | None = None
        spellings = self._spellings
        for spelled, value in headers:
            name = spelled if spelled in spellings else self._name(spelled)
            if name is None or value is None:
                continue
            if name not in found:
                found[name] = value
                if name is not spelled:
                    spelled_there = spelled_there or {}
                    spelled_there[name] = spelled
            elif name == REPLY_TOPIC:
                more_topics = more_topics or []
                more_topics.append(value)
        return found, spelled_there or _NOTHING, more_topics or ()

    def _name(self, spelled: str) -> str | None:
        return self._names.get(spelled.lower()) if len(spelled) <= self._longest else None


def wire_of(names: Iterable[str]) -> Wire:
    """Return the codec that looks for ids in these headers (`corr_header_keys`).

    Raises:
        ConfigurationError: A header of such a name cannot carry an id.
    """
    try:
        if (wire := Wire((names,) if isinstance(names, str) else tuple(names))).id_names:
            return wire
        raise ValueError("at least one has to be there, such as 'request_id'")
    except (TypeError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"corr_header_keys are names of headers: {error}") from error


def request_headers(
    id_: bytes | None,
    id_name: str | None,
    reply_to: Headers,
    timeout_ms: int | None,
    extra: Headers = (),
) -> list[tuple[str, bytes]]:
    """Return the headers of a request; with `id_name` None the id travels as the key alone.

    `reply_to` was made by `reply_to_headers`, once for many calls. `extra`, the caller's own
    headers, come last: of a name that comes twice, readers take the first.
    """
    headers: list[tuple[str, bytes]] = []
    if id_ is not None and id_name is not None:
        headers.append((id_name, id_))
    if timeout_ms is not None:
        headers.append((TIMEOUT_MS, b"%d" % timeout_ms))
    headers += reply_to
    headers += extra
    return headers


def reply_to_headers(topics: Iterable[str], partition: int | None) -> list[tuple[str, bytes]]:
    """Return the headers that say where to reply."""
    headers = [(REPLY_TOPIC, topic.encode()) for topic in topics]
    if partition is not None:
        headers.append((REPLY_PARTITION, b"%d" % partition))
    return headers


def cancel_headers(id_: bytes, id_name: str) -> list[tuple[str, bytes]]:
    """Return the headers of the record that closes a stream early."""
    return [(id_name, id_), (CANCEL, b"1")]


_OK_HEADER = (STATUS, b"ok")


def _route(found: Found, more_topics: Sequence[bytes]) -> Route:
    topics: tuple[str, ...] = ()
    refused = 0
    if (topic := found.get(REPLY_TOPIC)) is not None:
        topics, refused = _reply_topics(topic, more_topics)
    return (
        topics,
        refused,
        read_partition(found[REPLY_PARTITION]) if REPLY_PARTITION in found else None,
    )


def _reply_topics(first: bytes, more: Sequence[bytes]) -> tuple[tuple[str, ...], int]:
    """Return the topics to reply to, and the number of others that were asked for."""
    if not more:
        return one_topic(first) if len(first) <= MAX_TOPIC_BYTES else ((), 1)
    asked = dict.fromkeys((first, *more))
    legal = [topic.decode() for topic in asked if is_topic(topic)]
    admitted = tuple(legal[:MAX_REPLY_TOPICS])
    return admitted, len(asked) - len(admitted)


class NativeReplies:
    """Writes replies in this dialect; see `ReplyWriter`."""

    no_value: bytes | None = b""
    marks_last: bool = False
    reserved: frozenset[str] = frozenset()

    @staticmethod
    def error_value(id_: bytes | None) -> bytes | None:
        """Return the value of an error: empty, but null for a request that may be Spring's.

        Its template can be given the names of our headers, and then sends the 16 raw bytes of a
        UUID as the id. Spring's deserializers take null for a value that is not there, and may fail
        on an empty one, before anybody looks at the status.
        """
        return None if id_ is not None and len(id_) == UUID_BYTES and not id_.isascii() else b""

    @staticmethod
    def ok_headers(id_: bytes | None, id_name: str | None) -> list[tuple[str, bytes]]:
        """Return the headers of a reply that is no part of a stream and no error."""
        if id_ is None or id_name is None:
            return [_OK_HEADER]
        return [(id_name, id_), _OK_HEADER]

    @staticmethod
    def reply_headers(reply: Reply, id_name: str | None) -> list[tuple[str, bytes]]:
        """Return the headers of a reply; an id that came in a header goes back in that header.

        A status that is no legal one is sent as `unknown`. An error's text is cut to the length
        that readers accept.
        """
        id_, status, error, sequence, is_end, cancel_partition, _ = reply
        headers = NativeReplies.ok_headers(id_, id_name)
        if status != OK:
            headers.pop()
            headers.append((STATUS, (status if is_status(status) else UNKNOWN).encode()))
            headers.append((ERROR, cut(error)))
        if sequence is not None:
            headers.append((SEQUENCE, b"%d" % sequence))
        if is_end:
            headers.append((END, b"1"))
        if cancel_partition is not None:
            headers.append((CANCEL_PARTITION, b"%d" % cancel_partition))
        return headers


NATIVE_REPLIES = NativeReplies()
