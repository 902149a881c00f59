"""A request in a handler's hands, and the answer to it."""

from collections.abc import Callable, Hashable, Sequence
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import anyio

from sdml_kafka.consuming.ledger import Chunk
from sdml_kafka.rpc.dialects.messages import OK, Request
from sdml_kafka.runtime.waiter import Waiter
from sdml_kafka.transport.interfaces import Record

if TYPE_CHECKING:
    from sdml_kafka.rpc.server.handlers import Handler


class Answer(NamedTuple):
    value: bytes
    status: str = OK
    text: str = ""


class Call:
    """What a handler is told of the request that it answers."""

    # What only some calls need, and all begin with: not set for each, which would take time.
    running_scope: anyio.CancelScope | None = None
    """Set while the handler runs: it is the worker's, so the next call's too."""
    open: int = 1
    """Replies that are not acknowledged, and one for the handler; at 0 it has finished."""
    repeat_key: Hashable | None = None
    sequence: int | None = None
    """Of a stream: the number of its next reply."""
    room: Waiter | None = None
    """Of a stream that waits until some of its replies are acknowledged."""
    is_cancelled: bool = False
    """The client said that it does not want the rest."""
    is_over: bool = False
    """The client was told an error already: nothing more is to be said."""

    def __init__(
        self,
        record: Record,
        request: Request,
        handler: "Handler",
        chunk: Chunk,
        index: int,
        due: float,
        reply_topics: tuple[str, ...],
        clock: Callable[[], float],
    ) -> None:
        self.record = record
        """As it came from Kafka."""
        self.reply_topics = reply_topics
        """Where the reply goes: the topics that were asked for and are admitted."""

        # The rest is the server's own.
        self.request = request
        self.handler = handler
        self.chunk: Chunk = chunk
        self.index: int = index
        self.due = due
        self.clock = clock

    @property
    def id(self) -> bytes | None:
        """The correlation id, whatever bytes the client chose."""
        return self.request.id

    @property
    def scope(self) -> anyio.CancelScope:
        """Ends the handler when the deadline passes, or nobody reads its stream any more.

        RuntimeError once the handler has ended.
        """
        if self.running_scope is None:
            raise RuntimeError("the handler of this call has ended, so its scope has")
        return self.running_scope

    @property
    def topic(self) -> str:
        return self.record.topic

    @property
    def key(self) -> bytes | None:
        return self.record.key

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]:
        return self.record.headers

    @property
    def deadline(self) -> float | None:
        """On the clock of the event loop (`anyio.current_time()`), in seconds; None: none."""
        return None if self.due == inf else self.due

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the deadline, 0 when it has passed; None: there is none."""
        return None if self.due == inf else max(0.0, self.due - self.clock())

    def __repr__(self) -> str:
        record = self.record
        return f"<Call {record.topic!r} partition {record.partition} offset {record.offset}>"
