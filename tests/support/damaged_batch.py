"""Damage to a batch that a running Kafka has on its disk, as a bad disk does it."""

from pathlib import Path

from sdml_kafka.testing import EmbeddedKafka

BASE_BYTES, LENGTH_BYTES = 8, 4


def damage(kafka: EmbeddedKafka, topic: str, partition: int, offset: int) -> None:
    """Change the last byte of the batch with this offset, so that its checksum is wrong.

    A broker hands out what is on its disk, and looks at it only when it starts.
    """
    (log,) = _folder(kafka).glob(f"{topic}-{partition}/*.log")
    data, at = log.read_bytes(), 0
    while at < len(data):
        base = int.from_bytes(data[at : at + BASE_BYTES], "big")
        head = at + BASE_BYTES + LENGTH_BYTES
        end = head + int.from_bytes(data[at + BASE_BYTES : head], "big")
        last = base + int.from_bytes(data[at + 23 : at + 27], "big")
        if base <= offset <= last:
            with log.open("r+b") as file:
                file.seek(end - 1)
                file.write(bytes([data[end - 1] ^ 0xFF]))
            return
        at = end
    raise AssertionError(f"{topic}-{partition} has no offset {offset}")


def _folder(kafka: EmbeddedKafka) -> Path:
    (node,) = kafka._running().nodes
    return node.data
