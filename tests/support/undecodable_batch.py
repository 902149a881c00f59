"""A batch that the broker takes and aiokafka cannot decode: a header's name is not UTF-8."""

from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from tests.support.kafka_from_outside import on_asyncio

CRC_AT, CRC_FROM = 17, 21
"""The offsets of a version 2 batch's checksum, and of the bytes that it covers."""


async def produce_poison(bootstrap: str, topic: str, partition: int, records: int = 1) -> None:
    """Send one batch of `records` records that aiokafka cannot decode."""

    async def send() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            batch = producer.create_batch()
            for _ in range(records):
                batch.append(timestamp=None, key=None, value=b"x", headers=[("NAME", b"")])
            batch.close()
            spoil(batch)
            await (await producer.send_batch(batch, topic, partition=partition))

    await on_asyncio(send())


def spoil(batch: Any) -> None:
    data = bytearray(bytes(batch._build()).replace(b"NAME", b"\xff\xfe\xff\xfe"))
    data[CRC_AT:CRC_FROM] = calc_crc32c(bytes(data[CRC_FROM:])).to_bytes(4, "big")
    batch._buffer = bytes(data)
