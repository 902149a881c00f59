#!/usr/bin/env bash
# librdkafka 2.16.0 (confluent-kafka 2.16.1), the idempotent producer: a broker refuses the first batch of a partition with "not
# leader" and takes the second one, which was on its way already. librdkafka reports the refused records as delivered, without an
# offset, and does not send them again: once a later batch is acknowledged, it takes all before it for acknowledged as well.
#
# Kafka's brokers do answer so. A leader that learns of its partition between the two batches refuses the first one, and of a
# producer that has written nothing to the partition it takes any first sequence number (Kafka 4.4.0; KAFKA-15591 changes that).
#
# A broker of one partition that does so, with 1 record and 9 as soon as that has arrived; once with librdkafka's default of 5 requests on
# their way, and once with 1.
#
# Seen: 10 records are reported as delivered, and 9 are in the log; 10 of 10 with max.in.flight.requests.per.connection=1
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "confluent-kafka==2.16.1"
cd "$folder" && "$folder/venv/bin/python" - <<'PYTHON'
import select
import socket
import struct
import sys
import threading

from confluent_kafka import Producer

TOPIC = b"orders"
PRODUCE, METADATA, API_VERSIONS, INIT_PRODUCER_ID = 0, 3, 18, 22
VERSIONS = {PRODUCE: 3, 1: 4, 2: 1, METADATA: 4, API_VERSIONS: 0, INIT_PRODUCER_ID: 0}
NOT_LEADER, OUT_OF_ORDER, UNSUPPORTED_VERSION = 6, 45, 35
SEEN = [(10, 1, 9), (10, 0, 10)]


class Broker:
    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.batches = self.records = 0
        self.next = None
        self.asked = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listening.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        while len(size := connection.recv(4, socket.MSG_WAITALL)) == 4:
            request = connection.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL)
            api, version, correlation, client = struct.unpack_from(">hhih", request)
            if api == PRODUCE and not self.batches:
                self.asked.set()
                select.select([connection], [], [], 1)  # until the next batch is on its way
            answer = struct.pack(">i", correlation) + self.answer(api, version, request[10 + client :])
            connection.sendall(struct.pack(">i", len(answer)) + answer)

    def answer(self, api, version, body):
        topic = struct.pack(">ih", 1, len(TOPIC)) + TOPIC
        if api == API_VERSIONS:
            listed = (struct.pack(">hhh", key, 0, most) for key, most in VERSIONS.items())
            error = UNSUPPORTED_VERSION if version else 0
            return struct.pack(">hi", error, len(VERSIONS)) + b"".join(listed)
        if api == INIT_PRODUCER_ID:
            return struct.pack(">ihqh", 0, 0, 1, 0)
        if api == METADATA:
            broker = struct.pack(">iiih9sih", 0, 1, 0, 9, b"127.0.0.1", self.port, -1)
            cluster = struct.pack(">h6sii", 6, b"double", 0, 1)
            partition = struct.pack(">bihiiiiii", 0, 1, 0, 0, 0, 1, 0, 1, 0)
            return broker + cluster + struct.pack(">h", 0) + topic[4:] + partition
        # The number of partitions, the partition and the length stand before the batch.
        batch = body[body.index(TOPIC) + len(TOPIC) + 12 :]
        sequence, count = struct.unpack_from(">ii", batch, 53)
        self.batches += 1
        error, offset = 0, self.records
        if self.batches == 1:
            error = NOT_LEADER
        elif self.next not in (None, sequence):
            error = OUT_OF_ORDER
        else:
            self.next, self.records = sequence + count, self.records + count
        return topic + struct.pack(">iihqqi", 1, 0, error, -1 if error else offset, -1, 0)


def send(requests):
    broker, offsets = Broker(), []

    def note(error, message):
        if error is None:
            offsets.append(message.offset())

    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{broker.port}",
            "enable.idempotence": True,
            "linger.ms": 0,
            "max.in.flight.requests.per.connection": requests,
        }
    )
    producer.list_topics(TOPIC.decode(), 10)
    producer.produce(TOPIC.decode(), b"x", partition=0, on_delivery=note)
    broker.asked.wait(20)
    for _ in range(9):
        producer.produce(TOPIC.decode(), b"x", partition=0, on_delivery=note)
    producer.flush(20)
    return len(offsets), offsets.count(None), broker.records


found = [send(5), send(1)]
for requests, (delivered, unplaced, taken) in zip((5, 1), found):
    print(f"{requests} requests on their way: {delivered} delivered ({unplaced} without an offset), {taken} in the log")
sys.exit(found != SEEN)
PYTHON
