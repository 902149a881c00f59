"""A way to a Kafka on which it does not say that it has the groups of KIP-848.

So it is with Kafka before 4.0, and with services that speak Kafka's protocol: librdkafka learns of
that from the list of requests that a broker takes, and says nothing of one that it misses.
"""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

API_VERSIONS, CONSUMER_GROUP_HEARTBEAT = 18, 68
_FLEXIBLE = 3
"""The version from which on the list has its length as a varint, and tags."""


@contextmanager
def without_new_groups(proxy: socket.socket, port: int) -> Generator[None]:
    """Carry what comes to this listening socket to a port of a Kafka."""
    connections: list[socket.socket] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                here, _ = proxy.accept()
                there = socket.create_connection(("127.0.0.1", port))
                connections.extend((here, there))
                asked: dict[int, int] = {}
                for carry in (_carry_requests, _carry_answers):
                    threading.Thread(target=carry, args=(here, there, asked), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield
    finally:
        proxy.shutdown(socket.SHUT_RDWR)
        for each in connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _carry_requests(here: socket.socket, there: socket.socket, asked: dict[int, int]) -> None:
    with suppress(OSError, struct.error):
        while True:
            frame = _frame(here)
            api, version, correlation = struct.unpack_from(">hhi", frame)
            if api == API_VERSIONS:
                asked[correlation] = version
            there.sendall(struct.pack(">i", len(frame)) + frame)
    _end(there)


def _carry_answers(here: socket.socket, there: socket.socket, asked: dict[int, int]) -> None:
    with suppress(OSError, struct.error):
        while True:
            frame = _frame(there)
            (correlation,) = struct.unpack_from(">i", frame)
            if (version := asked.pop(correlation, None)) is not None and version >= _FLEXIBLE:
                frame = _without_new_groups(frame)
            here.sendall(struct.pack(">i", len(frame)) + frame)
    _end(here)


def _frame(source: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", source.recv(4, socket.MSG_WAITALL))
    return source.recv(size, socket.MSG_WAITALL)


def _end(other: socket.socket) -> None:
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)


def _without_new_groups(frame: bytes) -> bytes:
    """Leave one request out of a list that has fewer than 127, each of seven bytes."""
    head, count, entries = frame[:6], frame[6] - 1, frame[7:]
    kept = [
        entries[at : at + 7]
        for at in range(0, 7 * count, 7)
        if struct.unpack_from(">h", entries, at) != (CONSUMER_GROUP_HEARTBEAT,)
    ]
    return head + bytes((len(kept) + 1,)) + b"".join(kept) + entries[7 * count :]
