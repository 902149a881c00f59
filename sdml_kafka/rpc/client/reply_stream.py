"""Several replies to one request, as an async iterator."""

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import anyio.lowlevel
from attrs import define, field

from sdml_kafka.errors import StreamBroken
from sdml_kafka.rpc.client.pending_calls import Pending
from sdml_kafka.rpc.dialects.messages import Reply
from sdml_kafka.runtime.waiter import Waiter, wake


@define(eq=False, kw_only=True)
class PendingStream(Pending):
    """Puts its replies in order. `settled` says that no more of them come, not that all were read.

    `most`: how many may wait to be read; the server is not held back, so one more is an error.
    """

    most: int = 1000
    next_waiter: Callable[[], Waiter] = field(init=False)
    ready: deque[Any] = field(factory=deque[Any], init=False)
    """In order, and not read yet."""
    cancel_partition: int | None = field(default=None, init=False)
    _ahead: dict[int, Any] = field(factory=dict[int, Any], init=False)
    _next: int = field(default=0, init=False)
    _end: int | None = field(default=None, init=False)

    def arrived(self, reply: Reply, parsed: Any, error: Exception | None) -> None:
        self.calls.counters.replies += 1
        if reply.cancel_partition is not None:
            self.cancel_partition = reply.cancel_partition
        if error is not None or (reply.sequence is None and reply.is_end):
            self.settle(None, error)
        elif reply.sequence is None:  # a server that answers with one reply
            self.ready.append(parsed)
            self.settle(None)
        else:
            self._in_order(reply.sequence, parsed, is_end=reply.is_end)

    def break_off(self) -> None:
        self.calls.cancel(self, self.cancel_partition)

    def _in_order(self, sequence: int, parsed: Any, *, is_end: bool) -> None:
        if is_end:
            self._end = sequence
        elif sequence >= self._next:
            self._ahead.setdefault(sequence, parsed)
        while self._next in self._ahead:
            self.ready.append(self._ahead.pop(self._next))
            self._next += 1
        if self._end is not None and self._next >= self._end:
            self.settle(None)
        elif self._end is not None and not self.parsing:
            self.settle(None, StreamBroken(f"Reply {self._next} of {self._end} is missing"))
        elif len(self.ready) + len(self._ahead) > self.most:
            self.settle(
                None,
                StreamBroken(
                    f"Over {self.most} replies wait to be read: read faster, or allow more with "
                    "max_waiting"
                ),
            )
        else:
            wake(self.waiter)


class ReplyStream[T]:
    """`async for value in stream`; leave it with `async with` or `aclose()` when breaking off, so
    that a server that wants to know stops working."""

    def __init__(self, begin: Callable[[], Awaitable[PendingStream]]) -> None:
        self._begin = begin
        self._call: PendingStream | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next reply. Raises as `request` does; StreamBroken when replies are missing."""
        if self._closed:
            raise StopAsyncIteration
        call = self._call
        if call is None:
            call = self._call = await self._begin()
        while not call.ready:
            if call.settled:
                self._closed = True
                if call.error is not None:
                    raise call.error
                raise StopAsyncIteration
            try:
                await call.waiter
            except BaseException:
                self._close()
                raise
            if not call.settled:
                call.waiter = call.next_waiter()
        value: T = call.ready.popleft()
        return value

    async def aclose(self) -> None:
        """Wait for no more replies, and say so to a server that asked for it."""
        self._close()
        await anyio.lowlevel.checkpoint()

    def _close(self) -> None:
        self._closed = True
        call = self._call
        if call is not None and not call.settled:
            call.calls.forget(call)
            call.break_off()

    def __del__(self) -> None:
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
