"""Several replies to one request, as an async iterator."""

from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel

from sdml_kafka.errors import ReplyInvalid, StreamBroken, StreamBusy
from sdml_kafka.plurals import counted
from sdml_kafka.rpc.client.pending_calls import PendingCall
from sdml_kafka.rpc.deadline import in_seconds
from sdml_kafka.rpc.dialects.messages import OK, Reply
from sdml_kafka.runtime.waiter import Waiter, wake


class PendingStream(PendingCall):
    """A call for many replies, which puts them in order.

    `settled` says that no more replies come, not that all of them were read.
    """

    takes_several = True

    def __init__(
        self,
        *call: Any,
        max_waiting: int,
        new_waiter: Callable[[], Waiter],
        soon: Callable[[Callable[[], object]], object],
        **options: Any,
    ) -> None:
        """Make a stream that has not begun.

        Args:
            *call: What a `PendingCall` takes.
            max_waiting: How many replies may wait to be read. Nothing holds the server back, so one
                more is an error.
            new_waiter: Makes a waiter for each further reply.
            soon: Has the event loop call a function.
            **options: What a `PendingCall` takes.
        """
        super().__init__(*call, **options)
        self.max_waiting: int = max_waiting
        self.new_waiter: Callable[[], Waiter] = new_waiter
        self.soon: Callable[[Callable[[], object]], object] = soon
        self.ready: deque[Any] = deque()
        """The values that are next in order and not read yet."""
        self.arrived: int = 0
        self.cancel_partition: int | None = None
        self._ahead: dict[int, Any] = {}
        """The values that came before their turn, by their numbers."""
        self._next = 0
        self._end: int | None = None
        """The number of replies before the end; None while that is not known."""
        self._failure: Exception | None = None
        """The error that the stream ends with there, None if it ends well."""

    def take_reply(self, reply: Reply, parsed: Any, error: Exception | None) -> None:
        """Take a reply with its parsed value, or with the error that it means for the call."""
        self.calls.counts.replies += 1
        if reply.cancel_partition is not None:
            self.cancel_partition = reply.cancel_partition
        if reply.sequence is None:  # a server that answers with one reply
            if error is None and not reply.is_end:
                self.ready.append(parsed)
            self.settle(None, error)
        elif error is None and not reply.is_end:
            self._in_order(reply.sequence, parsed)
        else:
            self._end_at(reply.sequence, error)

    def numbered(self, reply: Reply, *, has_value: bool) -> Reply:
        """Return the reply with its number in the order of arrival.

        Async parsers may be done with it in another order. The last reply of NestJS has a value, or
        is the end alone.
        """
        number = self.arrived
        if reply.status != OK or reply.is_end or not (reply.more_follow or has_value):
            return reply._replace(sequence=number, is_end=True)
        self.arrived = number + 1
        if not reply.more_follow:
            self._end = number + 1
        return reply._replace(sequence=number)

    def break_off(self) -> None:
        """Wait for no more replies, and let a server that asked for it know."""
        if not self.settled:
            self.forget()
            self.send_cancel()

    def send_cancel(self) -> None:
        """Let a server that asked for it know that nobody reads any more."""
        self.calls.send_cancel(self, self.cancel_partition)

    def timeout_text(self) -> tuple[str, str]:
        """Return that the stream did not end, with the number of its replies, if it has any."""
        count = self._next + len(self._ahead)
        if not count:
            return super().timeout_text()
        replies = counted(count, "reply", "replies")
        stream = f"The stream from {self.message.topic!r}"
        text = f"{stream} did not end within {in_seconds(self.timeout_s)}; {replies} came"
        if self.parses and self.waits_for is not None:
            text += f", and {len(self.parses)} more wait to be parsed: {self.waits_for()}"
        return text, ""

    def parse_scope(self, reply: Reply, why: Callable[[], str]) -> anyio.CancelScope | None:
        """Return the scope for a reply to be parsed in a task of its own, for this reason.

        None stands for one reply too many, with which the stream has failed.
        """
        if reply.cancel_partition is not None:
            self.cancel_partition = reply.cancel_partition
        if len(self.parses or ()) + len(self.ready) + len(self._ahead) < self.max_waiting:
            return super().parse_scope(reply, why)
        self._break(f"More than {self.max_waiting} replies wait to be parsed: {why()}")
        return None

    def _end_at(self, sequence: int, error: Exception | None) -> None:
        """End behind so many replies, of which some may still be in their parsers' hands."""
        if self._end is None or sequence < self._end:
            self._end, self._failure = sequence, error
        self._go_on()

    def _in_order(self, sequence: int, parsed: Any) -> None:
        if sequence >= self._next:
            self._ahead.setdefault(sequence, parsed)
        while self._next in self._ahead:
            self.ready.append(self._ahead.pop(self._next))
            self._next += 1
        self._go_on()

    def _go_on(self) -> None:
        if self._end is not None and (self._next >= self._end or not self.parses):
            error = self._failure
            if error is None and self._next < self._end:
                error = StreamBroken(f"Reply {self._next} of {self._end} is missing")
            self.settle(None, error)
            if isinstance(error, ReplyInvalid):
                self.send_cancel()
        elif len(self.ready) + len(self._ahead) > self.max_waiting:
            text = "replies wait to be read: read faster, or allow more with max_waiting"
            self._break(f"More than {self.max_waiting} {text}")
        else:
            wake(self.waiter)

    def _break(self, why: str) -> None:
        self.settle(None, StreamBroken(why))
        self.send_cancel()


class ReplyStream[T]:
    """The replies to one request: `async for value in stream`, in one task.

    Leave the stream with `async with` or `aclose()` when breaking off, so that a server that wants
    to know stops working.
    """

    def __init__(self, begin: Callable[[], Awaitable[PendingStream]]) -> None:
        self._begin = begin
        self._call: PendingStream | None = None
        self._closed = False
        self._is_waited_for = False
        """True if a task waits for the next reply."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Return the next reply.

        Raises:
            StreamBroken: Replies are missing, or too many wait to be read.
            StreamBusy: Another task waits for the next reply of this stream.
            SdmlKafkaError: Whatever else `KafkaRPC.request` raises.
        """
        if self._is_waited_for:
            raise StreamBusy("Another task reads this stream: a stream of replies is for one task")
        if self._closed:
            raise StopAsyncIteration
        call = self._call
        if call is None:
            call = await self._begun()
        while not call.ready:
            if call.settled:
                self._closed = True
                if call.error is not None:
                    raise call.error
                raise StopAsyncIteration
            self._is_waited_for = True
            try:
                await call.waiter
            except BaseException:
                self._close()
                raise
            finally:
                self._is_waited_for = False
            if not call.settled:
                call.waiter = call.new_waiter()
        value: T = call.ready.popleft()
        return value

    async def _begun(self) -> PendingStream:
        self._is_waited_for = True
        try:
            call = self._call = await self._begin()
        finally:
            self._is_waited_for = False
        if self._closed:  # by another task, while the client started
            call.forget()
        return call

    async def aclose(self) -> None:
        """Wait for no more replies, and let a server that asked for it know."""
        self._close()
        if self._call is not None:
            wake(self._call.waiter)  # another task may wait for the next reply
        await anyio.lowlevel.checkpoint()

    def _close(self) -> None:
        self._closed = True
        if self._call is not None:
            self._call.break_off()

    def __del__(self) -> None:
        # The garbage collector comes in any thread, and amid the work of the table of calls.
        call = self._call
        if call is not None and not call.settled:
            with suppress(RuntimeError):  # the event loop has ended
                call.soon(call.break_off)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
