"""Replies in which hooks take part."""

from collections.abc import Callable, Sequence
from typing import Any

from sdml_kafka.errors import SendFailed
from sdml_kafka.hooks.calls import Hooks
from sdml_kafka.hooks.receipts import settle, take_part
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rpc.server.call import ServerCall
from sdml_kafka.rpc.server.replying.replies import Replies
from sdml_kafka.rpc.server.replying.reply import Reply
from sdml_kafka.transport.interfaces.producer import Message, OnSent, always


def replies_of(hooks: Hooks, outbox: Outbox, *parts: Any) -> Replies:
    """Return what sends replies, in which hooks take part if one of them wants to."""
    if hooks.sending is None:
        return Replies(outbox, *parts)
    return HookedReplies(_HookedOutbox(hooks, outbox), *parts)


class _HookedOutbox:
    """Sends replies in which hooks take part when they are sent first."""

    def __init__(self, hooks: Hooks, outbox: Outbox) -> None:
        self._hooks = hooks
        self._outbox = outbox

    def send(
        self, message: Message, on_sent: OnSent, is_wanted: Callable[[], bool] = always
    ) -> None:
        reply: Any = on_sent
        if not reply.takes_part:
            call: ServerCall = reply.call
            reply.takes_part = True
            message = take_part(self._hooks, message, "reply", call.handling, call_id=call.id)
            reply.message = message
        self._outbox.send(message, on_sent, is_wanted)


class HookedReplies(Replies):
    """Sends replies whose outcomes hooks learn of."""

    def acknowledged(self, calls: Sequence[ServerCall]) -> None:
        """Finish with replies that the broker has, each the only one of its call."""
        for call in calls:
            settle(call.message, None)
        super().acknowledged(calls)

    def sent(self, reply: "Reply | ServerCall", error: Exception | None) -> None:
        """Finish with a reply that the broker has, or that failed; or send something for it."""
        if error is None:
            settle(reply.message, None)
        super().sent(reply, error)

    def drop(self, reply: Reply) -> None:
        """Forget a reply of a stream that waits to be sent."""
        settle(reply.message, SendFailed("the stream has ended before it was sent"))
        super().drop(reply)

    def _replace_by_error(self, reply: "Reply | ServerCall", error: Exception) -> None:
        settle(reply.message, error)
        reply.message = reply.message._replace(receipt=None)
        reply.takes_part = False  # they take part anew
        super()._replace_by_error(reply, error)

    def _mended(self, reply: "Reply | ServerCall", error: Exception) -> bool:
        is_mended = super()._mended(reply, error)
        if not is_mended:
            settle(reply.message, error)
        return is_mended
