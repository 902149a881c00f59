"""The server on a real broker, asked by hand as Spring and NestJS ask."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from uuid import uuid4

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka import Call, KafkaRPCServer, RemoteError
from sdml_kafka.testing import EmbeddedKafka
from tests.support.clients import arguments
from tests.support.kafka_from_outside import create_topic, on_asyncio, unique

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]

PATIENCE_S = 90.0
Replies = Mapping[bytes, list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]]


async def ask(
    kafka: EmbeddedKafka,
    reply_topic: str,
    requests: list[tuple[str, bytes, list[tuple[str, bytes]]]],
) -> Replies:
    """Send requests without keys, and return what has come for each id until each has an end."""

    async def client() -> Replies:
        servers, end = kafka.bootstrap_servers, "kafka_nest-is-disposed"
        found: dict[bytes, list[tuple[int, bytes | None, bytes | None, dict[str, bytes]]]] = {}
        async with (
            AIOKafkaProducer(bootstrap_servers=servers) as producer,
            AIOKafkaConsumer(
                reply_topic, bootstrap_servers=servers, auto_offset_reset="earliest"
            ) as consumer,
        ):
            for topic, value, headers in requests:
                await producer.send(topic, value, headers=headers)
            await producer.flush()
            while sum(end in reply[3] for replies in found.values() for reply in replies) < len(
                requests
            ):
                batches = await consumer.getmany(timeout_ms=500)
                for record in (record for batch in batches.values() for record in batch):
                    headers_ = dict(record.headers)
                    reply = record.partition, record.key, record.value, headers_
                    found.setdefault(headers_["kafka_correlationId"], []).append(reply)
        return found

    with anyio.fail_after(PATIENCE_S):
        return await on_asyncio(asyncio.wait_for(client(), PATIENCE_S))


@pytest.mark.librdkafka_too
async def test_replies_errors_nulls_and_streams_in_the_partition_asked_for(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    calls = await create_topic(bootstrap, unique("calls"))
    streams = await create_topic(bootstrap, unique("streams"))
    reply_topic = await create_topic(bootstrap, unique("replies"), partitions=3)
    server = KafkaRPCServer(bootstrap_servers=bootstrap, group_id=group, **arguments())
    dialects = set[str]()

    @server.handler(calls)
    async def handle(value: bytes, call: Call) -> bytes | None:
        dialects.add(call.dialect)
        if value == b"fail":
            raise RemoteError("not_found", "no figs")
        return None if value == b"null" else value

    @server.handler(streams)
    async def count(value: bytes, call: Call) -> AsyncGenerator[bytes]:
        yield b"0"
        await anyio.sleep(0.01)
        for number in range(1, 20):
            yield b"%d" % number

    def spring(id_: bytes) -> list[tuple[str, bytes]]:
        partition = ("kafka_replyPartition", b"\x00\x00\x00\x01")
        return [("kafka_replyTopic", reply_topic.encode()), partition, ("kafka_correlationId", id_)]

    def nest(id_: bytes, partition: bytes = b"2") -> list[tuple[str, bytes]]:
        topic = ("kafka_replyTopic", reply_topic.encode())
        return [("kafka_correlationId", id_), topic, ("kafka_replyPartition", partition)]

    of_spring = {value: uuid4().bytes for value in (b"figs", b"fail", b"null")}
    of_nest = {value: b"%021x" % number for number, value in enumerate(of_spring)}
    requests = [(calls, value, spring(id_)) for value, id_ in of_spring.items()]
    requests += [(calls, value, nest(id_)) for value, id_ in of_nest.items()]
    asked_for = {b"f" * 21: b"2", b"e" * 21: b"99", b"d" * 21: b""}
    requests += [(streams, b"", nest(id_, number)) for id_, number in asked_for.items()]
    async with server:
        found = await ask(embedded_kafka, reply_topic, requests)
    assert dialects == {"spring", "nestjs"}
    for ids, partition in ((of_spring, 1), (of_nest, 2)):
        for value, id_ in ids.items():
            ((where, key, got, headers),) = found[id_]
            assert (where, key) == (partition, None)
            assert got == (value if value == b"figs" else None)
            assert headers.get("serverSentAnError") == (b"no figs" if value == b"fail" else None)
            assert ("kafka_nest-err" in headers) == (value == b"fail")
    for id_, number in asked_for.items():
        assert [got for _, _, got, _ in found[id_]] == [b"%d" % number for number in range(20)]
        places = {where for where, *_ in found[id_]}
        assert len(places) == 1
        assert number != b"2" or places == {2}
