"""Writing to a pipe or a terminal without ever holding up the event loop, heartbeats included."""

import os
import select

import anyio

PIPE_BUF = select.PIPE_BUF
"""A pipe that is writable takes this much at once."""


class Output:
    """A file descriptor. It stays as it is: others may share its description."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._state = select.poll()
        self._state.register(fd, 0)

    async def write(self, data: bytes) -> None:
        """All of it, handed to the system. Raises BrokenPipeError when nobody will read it.

        Cancelled, it may have written a part.
        """
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._fd], [], 0)[1]:
                await anyio.wait_writable(self._fd)
            rest = rest[os.write(self._fd, rest[:PIPE_BUF]) :]

    def is_broken(self) -> bool:
        """Whether the reading end of the pipe is closed."""
        return any(events & select.POLLERR for _, events in self._state.poll(0))
