"""A bounded inbox."""

from typing import Self

import anyio

from sdml_kafka.runtime.wait_queue import WaitQueue


class Mailbox[M]:
    """A bounded inbox that outlives the restarts of the actor that reads it.

    Make it outside of the actor's factory and hand it in, so that messages which arrive between
    two lives wait for the second one. Its owner closes it.
    """

    def __init__(self, capacity: int) -> None:
        """`capacity`: how many messages may wait, at least 1 (else `ValueError`)."""
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, not {capacity!r}")
        self._capacity = capacity
        self._closed = False
        self._receivers = WaitQueue()
        self._sender, self._receiver = anyio.create_memory_object_stream[M](capacity)

    async def send(self, message: M) -> None:
        """Put a message in, waiting for room. `anyio.ClosedResourceError` once closed."""
        try:
            await self._sender.send(message)
        except anyio.BrokenResourceError:
            # Closed while we waited: the same to the caller as closed before.
            raise anyio.ClosedResourceError from None
        finally:
            self._receivers.wake_one()  # cancelled or not: it may be in there

    def send_nowait(self, message: M) -> None:
        """Put a message in, or raise `anyio.WouldBlock` (full) or `anyio.ClosedResourceError`."""
        self._sender.send_nowait(message)
        self._receivers.wake_one()

    async def receive(self) -> M:
        """The next message, oldest first. `anyio.ClosedResourceError` once closed.

        Returns at once when one is there: no checkpoint, which would cost more than the message.
        """
        while True:
            try:
                return self.receive_nowait()
            except anyio.WouldBlock:
                await self._receivers.wait()

    def receive_nowait(self) -> M:
        """The next message, or `anyio.WouldBlock` (empty) or `anyio.ClosedResourceError`."""
        try:
            return self._receiver.receive_nowait()
        except anyio.EndOfStream:
            raise anyio.ClosedResourceError from None

    def __aiter__(self) -> Self:
        """Messages one by one, until the mailbox is closed."""
        return self

    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except anyio.ClosedResourceError:
            raise StopAsyncIteration from None

    @property
    def depth(self) -> int:
        """How many messages wait; none any more once closed."""
        return 0 if self._closed else self._receiver.statistics().current_buffer_used

    @property
    def capacity(self) -> int:
        """How many messages may wait."""
        return self._capacity

    def close(self) -> None:
        """Refuse further messages, drop those that wait, wake everyone who waits. Idempotent."""
        self._closed = True
        self._sender.close()
        self._receiver.close()
        self._receivers.wake_all()
