"""Writes to a pipe or a terminal without holding up the event loop, heartbeats included."""

import os
import select
import sys

import anyio

from sdml_kafka.cli.terminal import CannotRun

PIPE_BUF = select.PIPE_BUF
"""The number of bytes that a writable pipe takes at once."""


def write_out(data: bytes) -> None:
    """Write to stdout, behind what was printed; nothing is done if nobody reads it any more."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        drop_stdout()
    except OSError as error:
        drop_stdout()
        raise CannotRun(f"stdout cannot be written: {error}") from None


def drop_stdout() -> None:
    """Lead stdout nowhere: Python writes out at its end what it still has, which would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Output:
    """A file descriptor to write to.

    The descriptor stays a blocking one, because other processes may share its open file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._state = select.poll()
        self._state.register(fd, 0)

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the system; a cancelled call may have written a part of it.

        Raises BrokenPipeError when the reading end of the pipe is closed.
        """
        rest = memoryview(data)
        while rest:
            if not select.select([], [self._fd], [], 0)[1]:
                await anyio.wait_writable(self._fd)
            rest = rest[os.write(self._fd, rest[:PIPE_BUF]) :]

    def is_broken(self) -> bool:
        """Return whether the reading end of the pipe is closed."""
        return any(events & select.POLLERR for _, events in self._state.poll(0))
