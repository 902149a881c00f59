"""A request in a handler's hands, and the answer to it."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import NamedTuple, override

import anyio

from sdml_kafka.consuming.ledger import Chunk
from sdml_kafka.rpc.dialects.messages import OK, Request
from sdml_kafka.rpc.server.handlers import Handler
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.interfaces.records import Record

INTERNAL = "internal"
INVALID_ARGUMENT = "invalid_argument"
CANCELLED = "cancelled"


class Answer(NamedTuple):
    """What a request is answered with."""

    value: bytes
    status: str = OK
    text: str = ""


class Call:
    """The request that a handler answers: its record, its deadline, and where the reply goes."""

    record: Record
    """The request as it came from Kafka."""
    reply_topics: tuple[str, ...]
    """The topics that the reply goes to: asked for by the request, and admitted by the server."""
    is_cancelled: bool = False
    """Whether the client has said that it does not want the rest of the stream."""

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
        """When the caller stops waiting, in seconds of `anyio.current_time()`; None if never."""
        raise NotImplementedError  # ServerCall has it

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed; None if there is no deadline."""
        raise NotImplementedError  # ServerCall has it

    def __repr__(self) -> str:
        record = self.record
        return f"<Call {record.topic!r} partition {record.partition} offset {record.offset}>"


class ServerCall(Call):
    """A call with what the server itself keeps about it.

    Handlers get this same object, typed as a `Call`: a second object would cost time.
    """

    # Defaults of the class, since setting them for each call would take time.
    running_scope: anyio.CancelScope | None = None
    """The scope of the worker that runs the handler; None before and after."""
    open: int = 1
    """The number of replies that are not acknowledged, plus one until the handler has ended. At 0
    the request has finished."""
    repeat_key: Hashable | None = None
    """What repeats of this request have in common, if its answer is to be kept for them."""
    sequence: int | None = None
    """The number of the next reply of a stream; None if the answer is no stream."""
    room: Waiter | None = None
    """What a stream waits for until fewer of its replies are unacknowledged."""
    is_over: bool = False
    """Whether the client was sent an error already, after which nothing more may be sent."""

    def __init__(
        self,
        record: Record,
        request: Request,
        handler: Handler,
        chunk: Chunk,
        index: int,
        due: float,
        reply_topics: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        self.reply_topics = reply_topics
        self.request = request
        self.handler = handler
        self.chunk: Chunk = chunk
        self.index: int = index
        self.due: float = due
        self.clock = clock

    @property
    @override
    def id(self) -> bytes | None:
        return self.request.id

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
