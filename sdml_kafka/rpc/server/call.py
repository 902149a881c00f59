"""A request in a handler's hands, and the answer to it."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import Any, NamedTuple, Protocol, cast, override

import anyio

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.hooks.participation import Handling
from sdml_kafka.log_fields import place_of
from sdml_kafka.rpc.dialects.messages import OK, DialectName, FlatHeaders, ReplyWriter, Request
from sdml_kafka.rpc.dialects.native import NATIVE_REPLIES
from sdml_kafka.rpc.dialects.own_headers import GivenHeaders, ReplyHeaders
from sdml_kafka.rpc.dialects.union import dialect_of
from sdml_kafka.rpc.server.handlers import Handler
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.fetched.record import FetchedRecord
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.transport.interfaces.records import Record

INTERNAL = "internal"
INVALID_ARGUMENT = "invalid_argument"
CANCELLED = "cancelled"


class Answer(NamedTuple):
    """The answer to a request."""

    value: bytes | None
    status: str = OK
    text: str = ""
    headers: Sequence[tuple[str, bytes]] = ()
    """The headers of the handler's own."""


class Outcomes(Protocol):
    """Takes the outcomes of replies that are calls themselves."""

    def sent(self, reply: "ServerCall", error: Exception | None, /) -> None:
        """Take the outcome of one of them."""

    def acknowledged(self, calls: Sequence["ServerCall"], /) -> None:
        """Take several that the broker has acknowledged together."""


class Call:
    """The request that a handler answers: its record, its deadline, and where the reply goes."""

    record: Record
    """The request as it came from Kafka."""
    reply_topics: tuple[str, ...]
    """The topics that the reply goes to: asked for by the request, and admitted by the server."""
    is_cancelled: bool = False
    """True if the client has said that it does not want the rest of the stream."""

    @property
    def id(self) -> bytes | None:
        """The correlation id, in whatever bytes the client chose; None if it gave none."""
        raise NotImplementedError  # ServerCall has it

    @property
    def scope(self) -> anyio.CancelScope:
        """The scope that ends the handler when the deadline passes, or nobody reads its stream.

        Raises:
            RuntimeError: The handler has ended.
        """
        raise NotImplementedError  # ServerCall has it

    @property
    def dialect(self) -> DialectName:
        """The dialect in which the request was written: "native", "spring" or "nestjs".

        Which of the last two it was is a guess; the reply is one that either of them understands.
        """
        raise NotImplementedError  # ServerCall has it

    @property
    def reply_headers(self) -> ReplyHeaders:
        """The headers of the handler's own, which replies from now on carry.

        Setting one raises ConfigurationError for a name that belongs to the protocol of calls.
        """
        raise NotImplementedError  # ServerCall has it

    @reply_headers.setter
    def reply_headers(self, headers: GivenHeaders) -> None:
        raise NotImplementedError  # ServerCall has it

    @property
    def topic(self) -> str:
        """The topic that the request came on."""
        return self.record.topic

    @property
    def key(self) -> bytes | None:
        """The key of the request's record."""
        return self.record.key

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers of the request's record."""
        return self.record.headers

    @property
    def deadline(self) -> float | None:
        """The time when the caller stops waiting, by `anyio.current_time()`; None if never."""
        raise NotImplementedError  # ServerCall has it

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed; None if there is no deadline."""
        raise NotImplementedError  # ServerCall has it

    def __repr__(self) -> str:
        return f"<Call {place_of(self.record)}>"


class _MadeOnDemand:
    """The record of a call, which is made when somebody asks for it."""

    def __get__(self, call: "ServerCall", owner: type) -> Record:
        chunk = call.chunk
        tenancy = chunk.tenancy
        call.record = record = FetchedRecord(
            tenancy.topic,
            tenancy.partition,
            chunk.offsets[call.index],
            call.timestamp,
            0,
            call.record_key,
            call.value,
            None,
            call.flat_headers,
        )
        return record


class ServerCall(Call):
    """A call with what the server itself keeps about it.

    Handlers get this same object, typed as a `Call`: a second object would cost time. Where one
    reply is all that a call gets, the call is also what takes the outcome of that reply. The
    garbage collector looks at each object that a call consists of, and that was a quarter of what a
    call costs.
    """

    record: Record = cast(Any, _MadeOnDemand())

    # Defaults of the class, since setting them for each call would take time.
    running_scope: anyio.CancelScope | None = None
    """The scope of the worker that runs the handler; None before and after."""
    open: int = 1
    """The number of replies that are not acknowledged, plus one until the handler has ended. At 0
    the request has finished."""
    repeat_key: Hashable | None = None
    """The key that repeats of this request share, if its answer is to be kept for them."""
    sequence: int | None = None
    """The number of the next reply of a stream; None if the answer is no stream."""
    room: Waiter | None = None
    """The waiter of a stream, until fewer of its replies are unacknowledged."""
    is_over: bool = False
    """True if the client was sent an error already, after which nothing more may be sent."""
    is_error: bool = False
    """True if the reply that the call takes the outcome of is an error."""
    is_special: bool = False
    """True if more has to be looked at than the deadline before the handler runs."""
    refused_topics: int = 0
    """The number of topics asked for that are not replied to."""
    is_cancel: bool = False
    """True if the record cancels another request."""
    orders: dict[str, Any] | None = None
    """The `StreamOrder` of a stream's replies for each topic; None before the first reply."""
    writer: ReplyWriter = NATIVE_REPLIES
    """Writes the replies in the request's dialect."""
    own_headers: ReplyHeaders | None = None
    """The headers of the handler's own, None if it has asked for none."""
    takes_part: bool = False
    """True once hooks have taken part in the reply. Set where one of them wants to."""
    failure: BaseException | None = None
    """The error that the answer stands for. Set where hooks want to know it."""
    handling: Handling | None = None
    """The handling that hooks have entered around the handler; None where no hook does."""
    began: float
    """When the call was taken. Set where hooks want to know how long the handler took."""

    clock: Callable[[], float]
    """Returns the time on the event loop's clock. Set when the call is taken."""
    replies: Outcomes
    """Takes the outcome of the reply. Set when it is sent, and so is the next."""
    message: Message
    """The reply."""

    def __init__(
        self,
        request: Request,
        handler: Handler,
        chunk: Chunk[Tenancy],
        index: int,
        due: float,
        reply_topics: tuple[str, ...],
        timestamp: int,
        key: bytes | None,
        value: Any,
        flat_headers: FlatHeaders,
    ) -> None:
        self.request_id: bytes | None
        self.id_name: str | None
        self.reply_partition: int | None
        self.request_id, self.id_name, _, _, self.reply_partition, _, _ = request
        self.reply_topics = reply_topics
        self.handler = handler
        self.chunk: Chunk[Tenancy] = chunk
        self.index: int = index
        self.due: float = due
        self.timestamp: int = timestamp
        self.record_key: bytes | None = key
        self.value: Any = value
        self.flat_headers: FlatHeaders = flat_headers

    def __call__(self, error: Exception | None) -> None:
        """Take the outcome of the reply, as an `OnSent`."""
        self.replies.sent(self, error)

    @staticmethod
    def all_acknowledged(calls: Sequence["ServerCall"]) -> None:
        """Take the outcome of several replies that the broker has acknowledged together."""
        calls[0].replies.acknowledged(calls)

    @property
    def call(self) -> "ServerCall":
        """The call itself, as the call of its own reply."""
        return self

    @property
    @override
    def id(self) -> bytes | None:
        return self.request_id

    @property
    @override
    def dialect(self) -> DialectName:
        if self.writer is NATIVE_REPLIES:
            return "native"
        return dialect_of(self.flat_headers, self.topic)

    @property
    @override
    def reply_headers(self) -> ReplyHeaders:
        if self.own_headers is None:
            self.own_headers = ReplyHeaders(self.writer.reserved, self.id_name)
        return self.own_headers

    @reply_headers.setter
    def reply_headers(self, headers: GivenHeaders) -> None:
        own = ReplyHeaders(self.writer.reserved, self.id_name)
        own.add_all(headers)
        self.own_headers = own

    @property
    @override
    def topic(self) -> str:
        return self.chunk.tenancy.topic

    @property
    @override
    def key(self) -> bytes | None:
        return self.record_key

    @property
    @override
    def scope(self) -> anyio.CancelScope:
        if self.running_scope is None:
            raise RuntimeError("the handler of this call has ended, so its scope has ended too")
        return self.running_scope

    @property
    @override
    def deadline(self) -> float | None:
        return None if self.due == inf else self.due

    @property
    @override
    def remaining_s(self) -> float | None:
        return None if self.due == inf else max(0.0, self.due - self.clock())

    def __dir__(self) -> Iterable[str]:
        return {*dir(Call), *Call.__annotations__}  # what a handler may use, and no more
