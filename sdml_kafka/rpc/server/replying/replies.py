"""Replies on their way to the broker.

A request has finished when each of its replies is acknowledged, or cannot be delivered.
"""

from collections.abc import Callable, Sequence
from functools import partial
from logging import ERROR, WARNING

from sdml_kafka.consuming.offsets.chunks import Chunk
from sdml_kafka.consuming.offsets.tenancy import Tenancy
from sdml_kafka.errors import (
    ConfigurationError,
    PayloadTooLarge,
    RecordRefused,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.producing.outbox import Outgoing
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects import messages
from sdml_kafka.rpc.dialects.messages import OK
from sdml_kafka.rpc.server.call import INTERNAL, Answer, ServerCall
from sdml_kafka.rpc.server.replying.reply import Reply, fields_of
from sdml_kafka.rpc.server.replying.stream_order import StreamOrder
from sdml_kafka.rpc.server.replying.stream_replies import Order, StreamReplies, StreamReply
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.runtime.waiter import wake
from sdml_kafka.transport.interfaces.producer import Message
from sdml_kafka.workers.deadline_timer import DeadlineTimer

MAX_UNACKNOWLEDGED = 2000
MAX_UNACKNOWLEDGED_BYTES = 64 << 20
MAX_STREAM_AHEAD = 100
"""The number of replies of one stream that may be unacknowledged when the next one is made."""
RESEND_S = 0.5


_new_message: Callable[[tuple[object, ...]], Message]
# Called as a class, a named tuple is made in twice the time.
_new_message = partial(tuple.__new__, Message)  # pyright: ignore[reportUnknownMemberType]


class Replies:
    """Sends replies, sends them again if that may help, and finishes their requests."""

    def __init__(
        self, outbox: Outgoing, counts: Counts, log: RateLimitedLog, on_room: Callable[[], None]
    ) -> None:
        """Begin without replies.

        Args:
            outbox: Where replies are sent.
            counts: What the server counts.
            log: Where replies that cannot be delivered are logged.
            on_room: Called when requests may be started again after `is_full` was True.
        """
        self._outbox = outbox
        self._counts = counts
        self._log = log
        self._on_room = on_room
        self._count = 0
        self._bytes = 0
        self.is_full: bool = False
        """True if no further request may start, which bounds what waits for the broker."""
        self._to_resend: list[tuple[float, Reply | ServerCall | Order]] = []
        self.resend_timer: DeadlineTimer = DeadlineTimer(self._resend)
        self._streams = StreamReplies(self, outbox, self._schedule, self._replace_by_error)

    def _add(self, replies: int, size: int) -> None:
        """Count what waits for the broker from now on."""
        self._count += replies
        self._bytes += size
        if self._count >= MAX_UNACKNOWLEDGED or self._bytes >= MAX_UNACKNOWLEDGED_BYTES:
            self.is_full = True

    def _remove(self, replies: int, size: int) -> bool:
        """Count what waits no longer; return whether that has made room."""
        self._count -= replies
        self._bytes -= size
        if not self.is_full:
            return False
        self.is_full = self._count >= MAX_UNACKNOWLEDGED or self._bytes >= MAX_UNACKNOWLEDGED_BYTES
        return not self.is_full

    # -- out -----------------------------------------------------------------------------

    def finish(self, call: ServerCall, answer: Answer) -> None:
        """Send the answer, which ends a stream. The call finishes with its last reply."""
        value, status, _, own_headers = answer
        if status == OK and call.sequence is None and len(call.reply_topics) == 1:
            # Most answers: the reply takes the place of the handler in `call.open`.
            (topic,) = call.reply_topics
            self._add(1, len(value) if value else 0)
            headers = call.writer.ok_headers(call.request_id, call.id_name)
            if own_headers:
                headers += own_headers
            call.message = message = _new_message(
                (topic, value, call.record_key, headers, call.reply_partition, False, None, None)
            )
            call.replies = self
            self._outbox.send(message, call)
            return
        if status != OK:
            self._counts.error(status)
        if not call.is_over and not call.is_cancelled:
            self._send(call, answer, is_end=call.sequence is not None)
        self.release(call)

    def send_item(
        self, call: ServerCall, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Send the next reply of a stream, with these headers of the handler's own."""
        assert call.sequence is not None
        self._send(call, Answer(value, headers=headers), is_end=False)
        call.sequence += 1

    def _send(self, call: ServerCall, answer: Answer, *, is_end: bool) -> None:
        topics = call.reply_topics
        if not topics or call.is_over:
            return
        value, status, text, own_headers = answer
        key, writer = call.key, call.writer
        if status != OK:
            value = writer.error_value(call.id)
        is_stream, cancel_partition = call.sequence is not None, None
        if is_stream and not writer.marks_last:
            # All replies of a stream have to meet in one partition, so they need a key.
            key = call.id if key is None else key
            cancel_partition = None if call.id is None else call.chunk.tenancy.partition
        parts = status, text, call.sequence, is_end, cancel_partition
        headers = writer.reply_headers(messages.Reply(call.id, *parts), call.id_name)
        headers += own_headers
        call.open += len(topics)
        self._add(len(topics), len(value or b"") * len(topics))
        for topic in topics:
            message = Message(topic, value, key, headers, call.reply_partition, is_stream)
            if is_stream:
                self._streams.send(call, message, status != OK)
            else:
                self._outbox.send(message, Reply(self, call, message, status != OK))

    def add_waiting(self) -> None:
        """Count a call that waits for another call's answer as if it waited for the broker."""
        self._add(1, 0)

    def remove_waiting(self) -> None:
        """Count a call no longer that waited for another call's answer.

        Nobody is woken: the worker that calls this goes on to look for the next request.
        """
        self._remove(1, 0)

    def release(self, call: ServerCall) -> None:
        """Count one thing less that the call waits for; finish the request if it was the last."""
        call.open -= 1
        if call.open == 0:
            self._counts.in_flight -= 1
            call.chunk.finish(call.index)
        elif call.room is not None and call.open <= MAX_STREAM_AHEAD // 2:
            wake(call.room)

    # -- what becomes of them ------------------------------------------------------------

    def acknowledged(self, calls: Sequence[ServerCall]) -> None:
        """Finish with replies that the broker has, each the only one of its call."""
        self._counts.replies += len(calls)
        self._counts.in_flight -= len(calls)
        size = 0
        finished: dict[Chunk[Tenancy], list[int]] = {}
        for call in calls:
            call.open = 0
            size += len(call.message[1] or b"")
            if (indices := finished.get(call.chunk)) is None:
                finished[call.chunk] = [call.index]
            else:
                indices.append(call.index)
        for chunk, indices in finished.items():
            chunk.finish_run(indices)
        if self._remove(len(calls), size):
            self._on_room()

    def sent(self, reply: Reply | ServerCall, error: Exception | None) -> None:
        """Finish with a reply that the broker has, or that failed; or send something for it."""
        if error is None:
            self._counts.replies += 1
            if isinstance(reply, StreamReply):
                self._streams.has_come(reply)
        elif self._mended(reply, error):
            return
        call = reply.call
        has_made_room = self._remove(1, len(reply.message.value or b""))
        if call.open == 1:
            self._counts.in_flight -= 1
            call.open = 0
            call.chunk.finish(call.index)
        else:
            self.release(call)
        if has_made_room:
            self._on_room()

    def drop(self, reply: Reply) -> None:
        """Forget a reply of a stream that waits to be sent."""
        if self._remove(1, len(reply.message.value or b"")):
            self._on_room()
        self.release(reply.call)

    def _mended(self, reply: Reply | ServerCall, error: Exception) -> bool:
        """Return whether the reply, or another in its place, was or will be sent again."""
        call, now = reply.call, reply.call.clock()
        is_worth_it = now < call.due and call.chunk.tenancy.open
        is_refused = isinstance(error, PayloadTooLarge | RecordRefused) and not error.in_doubt
        is_missing = isinstance(error, TopicMissing)
        if isinstance(reply, StreamReply) and call.is_over:
            pass  # its reader has got an error, or does not read any more
        elif is_refused and not reply.is_error:
            self._replace_by_error(reply, error)
            return True
        elif isinstance(error, ConfigurationError) and reply.message.partition is not None:
            reply.message = reply.message._replace(partition=None)
            if isinstance(reply, StreamReply):
                self._streams.send_elsewhere(reply, now)
            else:
                self._outbox.send(reply.message, reply)
            return True
        elif isinstance(error, SendFailed) and not (is_refused or is_missing) and is_worth_it:
            if isinstance(reply, StreamReply):
                self._streams.send_again(reply, now + RESEND_S)
            else:
                self._schedule(now + RESEND_S, reply)
            return True
        elif isinstance(reply, StreamReply) and not reply.is_error:
            if is_worth_it and not is_missing and not reply.order.is_numbered:
                self._replace_by_error(reply, error)
                return True
            self._streams.give_up(reply)
        self._counts.undeliverable += 1
        self._log.log(
            WARNING,
            f"undeliverable {type(error).__name__}",
            "a reply to %r could not be delivered, its request counts as finished: %s",
            reply.message.topic,
            error,
            extra=fields_of(reply, error),
        )
        return False

    def _replace_by_error(self, reply: Reply | ServerCall, error: Exception) -> None:
        """Send an error in place of a reply that cannot be sent. It ends a stream."""
        call, message = reply.call, reply.message
        self._counts.error(INTERNAL)
        what, text = _trouble(error)
        self._log.log(
            ERROR,
            f"{type(error).__name__} {call.handler.name}",
            "a reply of handler %s %s, its caller gets an error: %s",
            call.handler.name,
            what,
            error,
            extra=fields_of(reply, error),
        )
        told = messages.Reply(call.id, INTERNAL, text, call.sequence, call.sequence is not None)
        headers = call.writer.reply_headers(told, call.id_name)
        self._bytes -= len(message.value or b"")
        message = message._replace(value=call.writer.error_value(call.id), headers=headers)
        if isinstance(reply, StreamReply):
            self._streams.end(call, but=reply)
            reply = Reply(self, call, message, is_error=True)
        reply.message, reply.is_error = message, True
        self._outbox.send(message, reply)

    def _schedule(self, at: float, what: Reply | ServerCall | Order) -> None:
        self._to_resend.append((at, what))
        self.resend_timer.schedule(at)

    def _resend(self, now: float) -> float:
        due = [each for at, each in self._to_resend if at <= now]
        self._to_resend = [(at, each) for at, each in self._to_resend if at > now]
        for each in due:
            if isinstance(each, StreamOrder):
                self._streams.go_on(each, now)
            else:
                self._outbox.send(each.message, each)
        return min((at for at, _ in self._to_resend), default=float("inf"))


def _trouble(error: Exception) -> tuple[str, str]:
    """Return what a log says of a reply that cannot be sent, and what its caller gets to know."""
    if isinstance(error, PayloadTooLarge):
        return "is too large", "the reply is larger than the server may send"
    if isinstance(error, RecordRefused):
        return "is refused", "the broker refuses the reply"
    return "cannot be sent in its place", "a value of the stream could not be sent in its place"
