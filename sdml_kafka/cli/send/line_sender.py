"""Sends lines as records, many at a time, and waits for each one's acknowledgement.

One task reads and sends, another waits for the oldest record. What is on its way is bounded in
bytes, so the memory is as well, and a failure ends the run even while no line comes.
"""

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing

import anyio

from sdml_kafka import KafkaProducer, PendingSend, SdmlKafkaError
from sdml_kafka.cli.input import LineTooLong
from sdml_kafka.cli.send.json_lines import Outgoing

MAX_BYTES = 16 << 20
"""The bytes of lines on their way above which no further one is read."""
EXTRA_BYTES = 500
"""The bytes that a record takes beside its line, roughly."""


class WrongLine(Exception):
    """A line that no record can be made of."""


class NotSent(Exception):
    """A record that was not acknowledged; its cause says why."""


class LineSender:
    """Sends each line to a topic."""

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        make: Callable[[bytes], Outgoing],
        *,
        skips_empty: bool = False,
    ) -> None:
        """Begin with nothing on its way.

        Args:
            producer: Sends the records.
            topic: Where they are sent.
            make: Makes a record of a line, or raises a ValueError that says why not.
            skips_empty: Whether nothing is made of a line that is empty or blank.
        """
        self._skips_empty = skips_empty
        self._producer = producer
        self._topic = topic
        self._make = make
        self._on_way: deque[tuple[int, int, PendingSend]] = deque()
        """The line's number, its bytes, and the record."""
        self._bytes = 0
        self._has_ended = False
        self._changed = anyio.Event()

    async def run(self, lines: AsyncGenerator[Iterable[bytes]]) -> None:
        """Return when all lines have been acknowledged; `lines` is closed then.

        Raises:
            WrongLine: A line is wrong. Those before it have been acknowledged.
            NotSent: A record was not acknowledged.
        """
        unread: Exception | None = None
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                nonlocal unread
                try:
                    async with aclosing(lines):
                        await self._read(lines)
                except (WrongLine, NotSent) as error:
                    unread = error
                finally:
                    self._has_ended = True
                    self._changed.set()

            tasks.start_soon(read)
            try:
                await self._settle()
            except NotSent as error:
                failure = error
            tasks.cancel_scope.cancel()
        end = failure or unread
        if end is not None:
            raise end

    async def _read(self, lines: AsyncGenerator[Iterable[bytes]]) -> None:
        number = 0
        try:
            async for some in lines:
                for line in some:
                    number += 1
                    await self._send(number, line)
                self._changed.set()
        except LineTooLong as error:
            raise WrongLine(f"line {number + 1}: {error}") from None

    async def _send(self, number: int, line: bytes) -> None:
        if self._skips_empty and not line.strip():
            return
        try:
            made = self._make(line)
        except ValueError as error:
            raise WrongLine(f"line {number}: {error}") from None
        size = len(line) + EXTRA_BYTES
        while self._bytes and self._bytes + size > MAX_BYTES:
            self._changed.set()  # so that the other task sees what is on its way
            await self._wait_for_change()
        try:
            sending = await self._producer.send_soon(
                self._topic,
                made.value,
                key=made.key,
                headers=made.headers,
                partition=made.partition,
            )
        except SdmlKafkaError as error:
            raise NotSent(f"line {number}: {error}") from error
        self._bytes += size
        self._on_way.append((number, size, sending))

    async def _settle(self) -> None:
        while self._on_way or not self._has_ended:
            if not self._on_way:
                await self._wait_for_change()
                continue
            number, size, sending = self._on_way.popleft()
            try:
                await sending.sent()
            except SdmlKafkaError as error:
                raise NotSent(f"line {number}: {error}") from error
            self._bytes -= size
            self._changed.set()

    async def _wait_for_change(self) -> None:
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()
