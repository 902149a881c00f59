"""Reads lines from a pipe, a file or a terminal without holding up the event loop."""

import os
import select
from collections.abc import AsyncGenerator, Iterable

import anyio
import anyio.lowlevel

READ_BYTES = 1 << 16
"""The number of bytes that are read at once."""
MAX_LINE_BYTES = 64 << 20
"""Far more than any broker takes; bounds the memory that an endless line could fill."""


class LineTooLong(ValueError):
    """A line is longer than `MAX_LINE_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"longer than {MAX_LINE_BYTES >> 20} MB")


class Input:
    """A file descriptor to read lines from."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def lines(self) -> AsyncGenerator[Iterable[bytes]]:
        """Yield the lines that have come, without their ends, until there are no more.

        A last line without an end counts. The lines that came before one that is too long are
        yielded before `LineTooLong` is raised.
        """
        parts, size = list[bytes](), 0
        while data := await self._read():
            *ended, rest = data.split(b"\n")
            if ended:
                ended[0] = b"".join((*parts, ended[0]))
                yield ended
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > MAX_LINE_BYTES:
                raise LineTooLong
        if size:
            yield [b"".join(parts)]

    async def _read(self) -> bytes:
        """Return some bytes, none at the end."""
        await anyio.lowlevel.checkpoint()
        # A file is always readable, and epoll does not take it.
        if not select.select([self._fd], [], [], 0)[0]:
            await anyio.wait_readable(self._fd)
        return os.read(self._fd, READ_BYTES)
