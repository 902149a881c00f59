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
from sdml_kafka.log_fields import record_fields
from sdml_kafka.producing.outbox import Outgoing
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import OK
from sdml_kafka.rpc.server.call import INTERNAL, Answer, ServerCall
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


class Reply:
    """A reply of a call that gets several, or an error."""

    __slots__ = ("call", "is_error", "message", "replies")

    def __init__(
        self, replies: "Replies", call: ServerCall, message: Message, is_error: bool
    ) -> None:
        self.replies: Replies = replies
        self.call: ServerCall = call
        self.message: Message = message
        self.is_error: bool = is_error

    def __call__(self, error: Exception | None) -> None:
        """Take the outcome, as an `OnSent`."""
        self.replies.sent(self, error)


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
        self._to_resend: list[tuple[float, Reply | ServerCall]] = []
        self.resend_timer: DeadlineTimer = DeadlineTimer(self._resend)

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
        if not topics:
            return
        value, status, text, own_headers = answer
        key, writer = call.key, call.writer
        if status != OK:
            value = writer.error_value(call.id)
        if call.sequence is None:
            headers = writer.reply_headers(call, status, text)
        else:
            if not writer.marks_last:
                # All replies of a stream have to meet in one partition, so they need a key.
                key = call.id if key is None else key
            headers = writer.reply_headers(
                call,
                status,
                text,
                sequence=call.sequence,
                is_end=is_end,
                cancel_partition=None if call.id is None else call.chunk.tenancy.partition,
            )
        headers += own_headers
        is_stream = call.sequence is not None
        call.open += len(topics)
        self._add(len(topics), len(value or b"") * len(topics))
        for topic in topics:
            message = Message(topic, value, key, headers, call.reply_partition, is_stream)
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

    def sent(self, reply: "Reply | ServerCall", error: Exception | None) -> None:
        """Finish with a reply that the broker has, or that failed; or send something for it."""
        if error is None:
            self._counts.replies += 1
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

    def _mended(self, reply: "Reply | ServerCall", error: Exception) -> bool:
        """Return whether the reply, or another in its place, was or will be sent again."""
        message, call = reply.message, reply.call
        is_refused = isinstance(error, PayloadTooLarge | RecordRefused) and not error.in_doubt
        if is_refused and not reply.is_error:
            self._replace_by_error(reply, error)
            return True
        if isinstance(error, ConfigurationError) and message.partition is not None:
            reply.message = message._replace(partition=None)
            self._outbox.send(reply.message, reply)
            return True
        if (
            isinstance(error, SendFailed)
            and not is_refused
            and not isinstance(error, TopicMissing)
            and call.clock() < call.due
            and call.chunk.tenancy.open
        ):
            at = call.clock() + RESEND_S
            self._to_resend.append((at, reply))
            self.resend_timer.schedule(at)
            return True
        self._counts.undeliverable += 1
        self._log.log(
            WARNING,
            f"undeliverable {type(error).__name__}",
            "a reply to %r could not be delivered, its request counts as finished: %s",
            message.topic,
            error,
            extra=_fields_of(reply, error),
        )
        return False

    def _replace_by_error(self, reply: "Reply | ServerCall", error: Exception) -> None:
        call, message = reply.call, reply.message
        self._counts.error(INTERNAL)
        is_too_large = isinstance(error, PayloadTooLarge)
        self._log.log(
            ERROR,
            f"{type(error).__name__} {call.handler.name}",
            "a reply of handler %s %s, its caller gets an error: %s",
            call.handler.name,
            "is too large" if is_too_large else "is refused",
            error,
            extra=_fields_of(reply, error),
        )
        headers = call.writer.reply_headers(
            call,
            INTERNAL,
            "the reply is larger than the server may send"
            if is_too_large
            else "the broker refuses the reply",
            sequence=call.sequence,
            is_end=call.sequence is not None,
        )
        self._bytes -= len(message.value or b"")
        reply.message = message._replace(value=call.writer.error_value(call.id), headers=headers)
        reply.is_error = True
        if call.sequence is not None and not call.is_over:
            call.is_over = True
            if call.running_scope is not None:
                call.running_scope.cancel()
        self._outbox.send(reply.message, reply)

    def _resend(self, now: float) -> float:
        due = [reply for at, reply in self._to_resend if at <= now]
        self._to_resend = [(at, reply) for at, reply in self._to_resend if at > now]
        for reply in due:
            self._outbox.send(reply.message, reply)
        return min((at for at, _ in self._to_resend), default=float("inf"))


def own_headers_of(call: ServerCall) -> Sequence[tuple[str, bytes]]:
    """Return the headers of the handler's own that its next reply carries."""
    return () if call.own_headers is None else tuple(call.own_headers.items())


def _fields_of(reply: "Reply | ServerCall", error: Exception) -> dict[str, object]:
    call, to_topic = reply.call, reply.message.topic
    handler, call_id = call.handler.name, call.id
    return record_fields(
        call.record, handler=handler, call_id=call_id, to_topic=to_topic, error=error
    )
