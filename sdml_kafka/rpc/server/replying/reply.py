"""A reply of a call that gets several, or an error; and what logs show of a reply."""

from collections.abc import Sequence
from typing import Any, Protocol

from sdml_kafka.log_fields import record_fields
from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.transport.interfaces.producer import Message


class TakesOutcomes(Protocol):
    """Takes the outcomes of replies."""

    def sent(self, reply: Any, error: Exception | None, /) -> None:
        """Take the outcome of one of them."""

    def drop(self, reply: "Reply", /) -> None:
        """Forget one of them that will not be sent."""


class Reply:
    """A reply of a call that gets several, or an error."""

    __slots__ = ("call", "is_error", "message", "replies", "takes_part")

    def __init__(
        self, replies: TakesOutcomes, call: ServerCall, message: Message, is_error: bool
    ) -> None:
        self.replies: TakesOutcomes = replies
        self.call: ServerCall = call
        self.message: Message = message
        self.is_error: bool = is_error
        self.takes_part: bool = False
        """True once hooks have taken part in it. Set where one of them wants to."""

    def __call__(self, error: Exception | None) -> None:
        """Take the outcome, as an `OnSent`."""
        self.replies.sent(self, error)


def own_headers_of(call: ServerCall) -> Sequence[tuple[str, bytes]]:
    """Return the headers of the handler's own that its next reply carries."""
    return () if call.own_headers is None else tuple(call.own_headers.items())


def fields_of(reply: Reply | ServerCall, error: Exception) -> dict[str, object]:
    """Return the fields of a line on a reply."""
    call, to_topic = reply.call, reply.message.topic
    handler, call_id = call.handler.name, call.id
    return record_fields(
        call.record, handler=handler, call_id=call_id, to_topic=to_topic, error=error
    )
