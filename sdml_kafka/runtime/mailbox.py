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
        """Make an empty mailbox.

        Args:
            capacity: The number of messages that may wait, at least 1.

        Raises:
            ValueError: `capacity` is less than 1.
        """
        if capacity < 1:
            raise ValueError(f"capacity must be 1 or more, not {capacity!r}")
        self._capacity = capacity
        self._closed = False
        self._receivers = WaitQueue()
        self._sender, self._receiver = anyio.create_memory_object_stream[M](capacity)

    async def send(self, message: M) -> None:
        """Put a message in; wait for room.

        Raises:
            anyio.ClosedResourceError: The mailbox is closed, or was while this call waited.
        """
        try:
            await self._sender.send(message)
        except anyio.BrokenResourceError:
            # The mailbox was closed while we waited: the same to the caller as closed before.
            raise anyio.ClosedResourceError from None
        finally:
            self._receivers.wake_one()  # a cancelled call may have put its message in, too

    def send_nowait(self, message: M) -> None:
        """Put a message in.

        Raises:
            anyio.WouldBlock: The mailbox is full.
            anyio.ClosedResourceError: The mailbox is closed.
        """
        self._sender.send_nowait(message)
        self._receivers.wake_one()

    async def receive(self) -> M:
        """Return the next message, oldest first; wait for one.

        If a message is there, this is no checkpoint, which would cost more than the message.

        Raises:
            anyio.ClosedResourceError: The mailbox is closed, or was while this call waited.
        """
        while True:
            try:
                return self.receive_nowait()
            except anyio.WouldBlock:
                await self._receivers.wait()

    def receive_nowait(self) -> M:
        """Return the next message, oldest first.

        Raises:
            anyio.WouldBlock: The mailbox is empty.
            anyio.ClosedResourceError: The mailbox is closed.
        """
        try:
            return self._receiver.receive_nowait()
        except anyio.EndOfStream:
            raise anyio.ClosedResourceError from None

    def __aiter__(self) -> Self:
        """Iterate over the messages until the mailbox is closed."""
        return self

    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except anyio.ClosedResourceError:
            raise StopAsyncIteration from None

    @property
    def depth(self) -> int:
        """The number of messages that wait; 0 once the mailbox is closed."""
        return 0 if self._closed else self._receiver.statistics().current_buffer_used

    @property
    def capacity(self) -> int:
        """The number of messages that may wait."""
        return self._capacity

    def close(self) -> None:
        """Refuse further messages, drop those that wait, and wake all tasks that wait.

        Closing again does nothing.
        """
        self._closed = True
        self._sender.close()
        self._receiver.close()
        self._receivers.wake_all()
