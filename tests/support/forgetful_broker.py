"""A broker with one topic of one partition that refuses the first batch, and takes what follows.

So does a leader that learns of its partition between the two. Of a producer that has written
nothing to a partition Kafka takes any first sequence number (KAFKA-15591), and so does this.
"""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from select import select

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, INIT_PRODUCER_ID = 0, 1, 2, 3, 18, 22
VERSIONS = {
    PRODUCE: 3,
    FETCH: 4,
    LIST_OFFSETS: 1,
    METADATA: 4,
    API_VERSIONS: 0,
    INIT_PRODUCER_ID: 0,
}
NOT_LEADER, OUT_OF_ORDER, UNSUPPORTED_VERSION = 6, 45, 35
PATIENCE_S = 0.3
"""Seconds that the first batch waits until a second one is on its way, before it is refused."""


class ForgetfulBroker:
    """A broker that takes everything but the first batch, and what has come to it."""

    def __init__(self, topic: str, port: int) -> None:
        self.address: str = f"127.0.0.1:{port}"
        self.batches: list[tuple[int, int]] = []
        """The number of records of each batch, and the error that was the answer."""
        self.values: list[bytes] = []
        """The values in the log, if each of them is a single letter without a key."""
        self.is_asked: bool = False
        """True if a batch has come."""
        self._topic, self._port = struct.pack(">h", len(topic)) + topic.encode(), port
        self._producers = 0
        self._next: dict[int, int] = {}
        """The next sequence number of each producer that has written."""

    def serve(self, connection: socket.socket) -> None:
        """Answer the requests of a connection, one after another."""
        with suppress(OSError), connection:
            while len(size := connection.recv(4, socket.MSG_WAITALL)) == 4:
                request = connection.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL)
                api, version, correlation, client = struct.unpack_from(">hhih", request)
                if api == PRODUCE and not self.batches:
                    self.is_asked = True
                    select([connection], [], [], PATIENCE_S)
                answer = struct.pack(">i", correlation)
                answer += self._answer(api, version, request[10 + client :])
                connection.sendall(struct.pack(">i", len(answer)) + answer)

    def _answer(self, api: int, version: int, body: bytes) -> bytes:
        if api == API_VERSIONS:
            error = UNSUPPORTED_VERSION if version else 0
            listed = (struct.pack(">hhh", key, 0, most) for key, most in VERSIONS.items())
            return struct.pack(">hi", error, len(VERSIONS)) + b"".join(listed)
        if api == INIT_PRODUCER_ID:
            self._producers += 1
            return struct.pack(">ihqh", 0, 0, self._producers, 0)
        if api == METADATA:
            broker = struct.pack(">iih9sih", 1, 0, 9, b"127.0.0.1", self._port, -1)
            cluster = struct.pack(">h6si", 6, b"double", 0)
            partition = struct.pack(">bihiiiiii", 0, 1, 0, 0, 0, 1, 0, 1, 0)
            topics = struct.pack(">ih", 1, 0) + self._topic + partition
            return struct.pack(">i", 0) + broker + cluster + topics
        # The number of partitions, the partition and the length stand before the batch.
        error = self._append(body[body.index(self._topic) + len(self._topic) + 12 :])
        offset = len(self.values) - self.batches[-1][0]
        partition = struct.pack(">iihqq", 1, 0, error, -1 if error else offset, -1)
        return struct.pack(">i", 1) + self._topic + partition + struct.pack(">i", 0)

    def _append(self, batch: bytes) -> int:
        """Take a batch unless it is the first one or out of order, and return the error."""
        producer, _, sequence, count = struct.unpack_from(">qhii", batch, 43)
        expected = self._next.get(producer, sequence)
        error = OUT_OF_ORDER if sequence != expected else 0 if self.batches else NOT_LEADER
        self.batches.append((count, error))
        if not error:
            self._next[producer] = sequence + count
            # A record: its length, flags, times, offset, "no key", the value and "no headers".
            self.values += (b"%c" % byte for byte in batch[61:] if 97 <= byte <= 122)
        return error


@contextmanager
def forgetful_broker(topic: str) -> Generator[ForgetfulBroker]:
    """Run such a broker."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        broker = ForgetfulBroker(topic, listening.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=broker.serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield broker
        listening.shutdown(socket.SHUT_RDWR)
