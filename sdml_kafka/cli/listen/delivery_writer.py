"""Writes deliveries to a pipe, and finishes each when its line is written."""

from collections import deque
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel

from sdml_kafka import Delivery
from sdml_kafka.cli.output import PIPE_BUF, Output

CHECK_EVERY_S = 0.5
"""The seconds between two looks of an idle writer at whether its pipe is still open."""


class DeliveryWriter:
    """Writes the lines that deliveries hold to an output; a written delivery is finished.

    One task takes the deliveries that are there, another writes those that were taken meanwhile.
    So a batch grows with the rate of the records, and the last line never waits for a batch.
    """

    def __init__(self, output: Output, maximum: int | None) -> None:
        self.written: int = 0
        self._output = output
        self._left = maximum
        self._taken: deque[Delivery[bytes]] = deque()
        self._changed = anyio.Event()
        self._ended = False

    async def run(self, deliveries: AsyncIterator[Delivery[bytes]]) -> None:
        """Return when `maximum` lines are written, the pipe is closed or the deliveries end."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._take, deliveries)
                await self._write()
                tasks.cancel_scope.cancel()
        finally:
            self._taken.clear()  # a delivery that is dropped unfinished is given back

    def stop(self) -> None:
        """Let `run` return once the batch in hand is written; what was taken is given back."""
        self._ended = True
        self._taken.clear()
        self._changed.set()

    async def _take(self, deliveries: AsyncIterator[Delivery[bytes]]) -> None:
        async for delivery in deliveries:
            if self._ended:
                return
            self._taken.append(delivery)
            self._changed.set()
            if self._left is not None:
                self._left -= 1
                if self._left == 0:
                    break
        self._ended = True
        self._changed.set()

    async def _write(self) -> None:
        while not (self._ended and not self._taken):
            with anyio.move_on_after(CHECK_EVERY_S):
                await self._changed.wait()
            if self._output.is_broken():
                return
            self._changed = anyio.Event()
            while self._taken:
                try:
                    await self._write_batch(self._next_batch())
                except BrokenPipeError:
                    return

    def _next_batch(self) -> list[Delivery[bytes]]:
        """Take as many deliveries as the pipe takes at once, but at least one."""
        lines = [self._taken.popleft()]
        size = len(lines[0].value)
        while self._taken and size + len(self._taken[0].value) <= PIPE_BUF:
            lines.append(self._taken.popleft())
            size += len(lines[-1].value)
        return lines

    async def _write_batch(self, deliveries: list[Delivery[bytes]]) -> None:
        await self._output.write(b"".join(delivery.value for delivery in deliveries))
        for delivery in deliveries:
            delivery.done()
        self.written += len(deliveries)
        await anyio.lowlevel.checkpoint()
