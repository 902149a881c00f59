# pyright: basic
# aiokafka is not typed.
"""The common part of aiokafka's consumers and producers: their client, and how tasks on it end.

The private attributes of that client that this package touches; those of the consumer and of the
producer are in the two `internals.py`. Checked on aiokafka 0.13.0, 0.14.0 and 0.15.0rc1.

- `_conns`, each connection's `_requests`, `_reader` and `_writer`, and its `close`: to see that a
  broker does not answer any more, and to have the connection replaced (`silent_connections.py`).
- Of a connection that is idle also `_protocol`, `_handle_frame` and the buffer of `_reader`: to
  read answers in its place (`frames.py`, which looks for all of it).
- `_sync_task` is written, since `close()` raises what a metadata task that has died has raised.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka.conn import CloseReason

from sdml_kafka.transport.aiokafka.frames import FrameReader

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

Client = Any
"""An `aiokafka.AIOKafkaConsumer` or `AIOKafkaProducer`; aiokafka is not typed."""

CLOSE_TIMEOUT_S = 2.0
"""Seconds that a client has to close when its context is left."""
RETRY_S = 0.1
"""Seconds until a request that may succeed later is sent again."""
TOPIC_CREATION_S = 1.0
"""Seconds within which a broker that creates topics by itself has done so, and each knows of it."""


def error_of(task: "asyncio.Future[Any]") -> BaseException | None:
    """Return the error of a task that is done, None if it has a result.

    A cancellation is returned as well, where `task.exception()` would raise it.
    """
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception()


def connections_of(client: Any) -> Sequence[tuple[Any, Any]]:
    """Return the connections that are up, with the broker and the purpose of each."""
    return [(place, each) for place, each in client._conns.items() if each.connected()]


def oldest_request(connection: Any) -> tuple[Any, Any]:
    """Return the number and the request that is to be answered next, None and None without any."""
    if not connection._requests:
        return None, None
    number, request, _ = connection._requests[0]
    return number, request


def moved_bytes(connection: Any) -> tuple[int, int, int]:
    """Return the bytes that were read of answers, and those of requests that wait to leave."""
    transport, unsent = connection._writer.transport, 0
    socket = transport.get_extra_info("socket")
    if sys.platform != "win32" and socket is not None:
        with suppress(OSError, ValueError):  # it may be closed right now
            answer = ioctl(socket.fileno(), TIOCOUTQ, b"\0\0\0\0")
            unsent = int.from_bytes(answer, sys.byteorder)
    protocol = transport.get_protocol()
    if isinstance(protocol, FrameReader):
        return protocol.received, transport.get_write_buffer_size(), unsent
    return len(connection._reader._buffer), transport.get_write_buffer_size(), unsent


def close_silent(connection: Any) -> None:
    """Close a connection, which fails what waits there as if it had broken."""
    connection.close(CloseReason.CONNECTION_TIMEOUT, TimeoutError("the broker does not answer"))


async def close_client(client: Any) -> None:
    """Close an `AIOKafkaClient` and its connections.

    Its `close()` raises what its metadata task has died of, before it closes the connections.
    """
    try:
        await client.close()
    except Exception:  # whatever the task died of; the second attempt raises what is new
        client._sync_task = None
        await client.close()
