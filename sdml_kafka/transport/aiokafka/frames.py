# pyright: basic
# aiokafka is not typed.
"""Read a broker's answers from the socket into the memory that they stay in.

aiokafka's `StreamReader` copies each byte twice more, into a buffer that grows and out of it,
pauses and resumes the socket every 128 KB of an answer of megabytes, and needs a turn of the loop
for each answer. Here the size of an answer is read first, and the rest goes straight into bytes of
that size: a quarter to a third less CPU time for reading, for answers of 120 bytes as for those of
1 and of 12 MB.

What an answer is for is still aiokafka's business (`_handle_frame`), and so is the end of a
connection: its own reader gets nothing any more but the end of the stream, and closes.
"""

import asyncio
import os
from functools import cache
from io import BytesIO
from logging import getLogger
from typing import Any
from weakref import ref

from aiokafka.conn import CloseReason

from sdml_kafka.log_fields import fields

_log = getLogger("aiokafka")  # in its place, so that the filter for its lines counts these, too

SWITCH = "SDML_KAFKA_FRAMES"
"""The environment variable that leaves the reading to aiokafka, if it is `off`."""
MAX_SMALL = 1 << 16
"""The bytes that are read at once while no answer is known to be under way."""
SIZE_BYTES = 4
MANY_BYTES = 1 << 20
"""The bytes of an answer from which on `keep_freed_memory` is worth it."""
KEPT_BYTES = 31 << 20
"""The bytes of a block that glibc learns from. It learns nothing from blocks of 32 MB and more."""


@cache
def keep_freed_memory() -> None:
    """Have glibc use memory that was freed again, rather than return it to the system.

    Each fetch frees and asks for some 25 MB, which the system would hand out anew page by page:
    half of all CPU time of reading records of 10 KB (42 us of CPU a record, 21 without). Of
    the largest block that was freed glibc learns how much to keep, up to twice its size. No memory
    is taken by this block, of which nothing is touched. Other C libraries take no notice.
    """
    bytes(KEPT_BYTES)


class FrameReader(asyncio.BufferedProtocol):
    """Takes the place of aiokafka's protocol of one connection, for reading alone.

    Attributes:
        received: The number of bytes that were read so far.
    """

    def __init__(self, connection: Any) -> None:
        """Read for a connection, which is not kept alive by this."""
        self._connection = ref(connection)
        self._protocol = connection._protocol
        self._small = memoryview(bytearray(MAX_SMALL))
        self._filled = 0
        """The number of bytes in `_small`: the beginning of the next answer's size."""
        self._answer: BytesIO | None = None
        """The answer that is under way."""
        self._rest: memoryview = memoryview(b"")
        """The part of it that is yet to be read."""
        self.received: int = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._small[self._filled :] if self._answer is None else self._rest

    def buffer_updated(self, nbytes: int) -> None:
        """Note that so many bytes are there."""
        self.received += nbytes
        if self._answer is None:
            filled, self._filled = self._filled + nbytes, 0
            self._cut(filled)
        elif nbytes < len(self._rest):
            self._rest = self._rest[nbytes:]
        else:
            answer = self._answer.getvalue()  # which copies nothing
            self._answer, self._rest = None, memoryview(b"")
            self._handle(answer)

    def _cut(self, filled: int) -> None:
        """Handle the answers that are complete, and begin the one that is not."""
        small, at = self._small, 0
        while filled - at >= SIZE_BYTES:
            begin = at + SIZE_BYTES
            end = begin + int.from_bytes(small[at:begin], "big", signed=True)
            if end < begin:
                self._break(ValueError(f"an answer of {end - begin} bytes"))
                at = filled
            elif end > filled:
                if end - begin >= MANY_BYTES:
                    keep_freed_memory()
                self._answer = BytesIO(bytes(end - begin))  # which copies nothing, either
                whole = self._answer.getbuffer()
                whole[: filled - begin] = small[begin:filled]
                self._rest, at = whole[filled - begin :], filled
            else:
                at = end
                if not self._handle(bytes(small[begin:end])):
                    at = filled
        self._filled = filled - at
        small[: self._filled] = small[at:filled]

    def _handle(self, answer: bytes) -> bool:
        """Hand an answer on; return whether the connection is still there."""
        connection = self._connection()
        if connection is None or connection._reader is None:
            return False
        try:
            connection._handle_frame(answer)
        except Exception as error:
            self._break(error)
        return connection._reader is not None

    def _break(self, error: Exception) -> None:
        extra = fields(error=error)
        _log.error("Unexpected exception in AIOKafkaConnection", exc_info=error, extra=extra)
        if (connection := self._connection()) is not None:
            connection.close(CloseReason.CONNECTION_BROKEN, error)

    def eof_received(self) -> bool | None:
        """Have aiokafka close the connection."""
        is_kept: bool | None = self._protocol.eof_received()
        return is_kept

    def connection_lost(self, exc: Exception | None) -> None:
        """Have aiokafka close the connection."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Have aiokafka's writer wait."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Have aiokafka's writer go on."""
        self._protocol.resume_writing()


def read_frames(connection: Any) -> None:
    """Read the answers of aiokafka's connection here, if it is idle, and as expected."""
    if os.environ.get(SWITCH) == "off":
        return
    try:
        transport = connection._writer.transport
        if connection._reader._buffer or connection._requests:
            raise ValueError("something is under way")
        _ = connection._handle_frame
        reader = FrameReader(connection)
    except Exception as error:
        _log.warning(
            "aiokafka's connections are not as expected, so it reads answers itself, which is "
            "slower: %r. Is there a newer version of this package?",
            error,
            extra=fields(error=error),
        )
        return
    transport.pause_reading()  # uvloop decides how to read whenever it begins to
    transport.set_protocol(reader)
    transport.resume_reading()
