"""Replies on their way: a request has finished when each of its replies is acknowledged, or
cannot be delivered."""

from collections.abc import Callable
from logging import ERROR, WARNING

from sdml_kafka.errors import (
    ConfigurationError,
    PayloadTooLarge,
    SendFailed,
    TopicMissing,
)
from sdml_kafka.producing.outbox import Outbox
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import OK
from sdml_kafka.rpc.dialects.native import reply_headers
from sdml_kafka.rpc.server.call import Answer, Call
from sdml_kafka.rpc.server.status import Counts
from sdml_kafka.runtime.waiter import wake
from sdml_kafka.transport.interfaces import Message
from sdml_kafka.workers.deadline_timer import Alarm

MAX_UNACKNOWLEDGED = 2000
MAX_UNACKNOWLEDGED_BYTES = 64 << 20
STREAM_AHEAD = 100
"""Replies of one stream that are not acknowledged, at most."""
SEND_AGAIN_S = 0.5


class _Reply:
    __slots__ = ("call", "is_error", "message", "out")

    def __init__(self, out: "RepliesOut", call: Call, message: Message, is_error: bool) -> None:
        self.out: RepliesOut = out
        self.call: Call = call
        self.message: Message = message
        self.is_error: bool = is_error

    def sent(self, error: Exception | None) -> None:
        self.out.sent(self, error)


class RepliesOut:
    def __init__(self, outbox: Outbox, counts: Counts, seldom: RateLimitedLog) -> None:
        self._outbox = outbox
        self._counts = counts
        self._seldom = seldom
        self._count = 0
        self._bytes = 0
        self._is_full = False
        self._again: list[tuple[float, _Reply]] = []
        self.alarm: Alarm = Alarm(self._send_again)
        self.on_room: Callable[[], None] = lambda: None
        """Called when there is room again."""

    def has_room(self) -> bool:
        """False: start nothing before `on_room`, so that what waits for the broker is bounded."""
        self._is_full = self._count >= MAX_UNACKNOWLEDGED or self._bytes >= MAX_UNACKNOWLEDGED_BYTES
        return not self._is_full

    # -- out -----------------------------------------------------------------------------

    def finish(self, call: Call, answer: Answer) -> None:
        """The handler's answer; of a stream its end. The call is finished with its last reply."""
        if answer.status != OK:
            self._counts.error(answer.status)
        if not call.is_over and not call.is_cancelled:
            self._send(call, answer, is_end=call.sequence is not None)
        self.release(call)

    def item(self, call: Call, value: bytes) -> None:
        """The next reply of a stream."""
        assert call.sequence is not None
        self._send(call, Answer(value), is_end=False)
        call.sequence += 1

    def _send(self, call: Call, answer: Answer, *, is_end: bool) -> None:
        topics = call.reply_topics
        if not topics:
            return
        request = call.request
        value, status, text = answer
        key = call.record.key
        if call.sequence is None:
            headers = reply_headers(request, status, text)
        else:
            # All of a stream have to meet in one partition.
            key = request.id if key is None else key
            headers = reply_headers(
                request,
                status,
                text,
                sequence=call.sequence,
                is_end=is_end,
                cancel_partition=None if request.id is None else call.record.partition,
            )
        is_stream = call.sequence is not None  # all of one have to meet in one partition
        call.open += len(topics)
        self._count += len(topics)
        self._bytes += len(value) * len(topics)
        for topic in topics:
            message = Message(topic, value, key, headers, request.reply_partition, is_stream)
            self._outbox.send(message, _Reply(self, call, message, status != OK).sent)

    def hold(self, call: Call) -> None:
        """A call that waits for another's answer counts as one that waits for the broker."""
        self._count += 1

    def let_go(self, call: Call) -> None:
        self._count -= 1

    def release(self, call: Call) -> None:
        """One thing less to wait for."""
        call.open -= 1
        if call.open == 0:
            self._counts.in_flight -= 1
            call.chunk.finish(call.index)
        elif call.room is not None and call.open <= STREAM_AHEAD // 2:
            wake(call.room)

    # -- what became of them -------------------------------------------------------------

    def sent(self, reply: _Reply, error: Exception | None) -> None:
        if error is None:
            self._counts.replies += 1
        elif self._mended(reply, error):
            return
        self._count -= 1
        self._bytes -= len(reply.message.value or b"")
        self.release(reply.call)
        if self._is_full and self.has_room():
            self.on_room()

    def _mended(self, reply: _Reply, error: Exception) -> bool:
        """Whether something else was or will be sent in its place."""
        message, call = reply.message, reply.call
        if isinstance(error, PayloadTooLarge) and not reply.is_error:
            self._replace_by_error(reply, error)
            return True
        if isinstance(error, ConfigurationError) and message.partition is not None:
            reply.message = message._replace(partition=None)
            self._outbox.send(reply.message, reply.sent)
            return True
        if (
            isinstance(error, SendFailed)
            and not isinstance(error, TopicMissing | PayloadTooLarge)
            and call.clock() < call.due
            and call.chunk.tenancy.open
        ):
            at = call.clock() + SEND_AGAIN_S
            self._again.append((at, reply))
            self.alarm.at_latest(at)
            return True
        self._counts.undeliverable += 1
        self._seldom.log(
            WARNING,
            f"undeliverable {type(error).__name__}",
            "a reply to %r could not be delivered, its request counts as finished: %s",
            message.topic,
            error,
        )
        return False

    def _replace_by_error(self, reply: _Reply, error: Exception) -> None:
        call, message = reply.call, reply.message
        self._counts.error("internal")
        self._seldom.log(
            ERROR,
            f"too large {call.handler.name}",
            "a reply of handler %s is too large, its caller gets an error: %s",
            call.handler.name,
            error,
        )
        headers = reply_headers(
            call.request,
            "internal",
            "the reply is larger than the server may send",
            sequence=call.sequence,
            is_end=call.sequence is not None,
        )
        self._bytes -= len(message.value or b"")
        reply.message = message._replace(value=b"", headers=headers)
        reply.is_error = True
        if call.sequence is not None and not call.is_over:
            call.is_over = True
            if call.running_scope is not None:
                call.running_scope.cancel()
        self._outbox.send(reply.message, reply.sent)

    def _send_again(self, now: float) -> float:
        due = [reply for at, reply in self._again if at <= now]
        self._again = [(at, reply) for at, reply in self._again if at > now]
        for reply in due:
            self._outbox.send(reply.message, reply.sent)
        return min((at for at, _ in self._again), default=float("inf"))
