"""The server on a real broker, asked by a client that is written by hand on bare aiokafka."""

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka import Call, KafkaRPCServer
from sdml_kafka.testing import EmbeddedKafka
from tests.support.client_by_hand import echo
from tests.support.clients import arguments
from tests.support.kafka_from_outside import committed, create_topic, on_asyncio, unique
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]

PATIENCE_S = 90.0


def server_on(kafka: EmbeddedKafka, group: str, **options: Any) -> KafkaRPCServer:
    servers = kafka.bootstrap_servers
    return KafkaRPCServer(bootstrap_servers=servers, group_id=group, **arguments(**options))


async def ask(
    kafka: EmbeddedKafka,
    topic: str,
    reply_topic: str,
    values: list[bytes],
    *,
    pause_s: float = 0.0,
    reply_to: tuple[str, ...] = (),
) -> Mapping[bytes, list[bytes]]:
    """Send the values as a program without this package would, and return the replies by id."""

    async def client() -> Mapping[bytes, list[bytes]]:
        found: dict[bytes, list[bytes]] = {value: [] for value in values}
        headers = [("x-reply-topic", name.encode()) for name in (reply_topic, *reply_to)]
        servers = kafka.bootstrap_servers
        async with (
            AIOKafkaProducer(bootstrap_servers=servers) as producer,
            AIOKafkaConsumer(
                reply_topic, bootstrap_servers=servers, auto_offset_reset="earliest"
            ) as consumer,
        ):
            for value in values:
                await producer.send(topic, value, headers=[*headers, ("request_id", value)])
                await asyncio.sleep(pause_s)
            await producer.flush()
            while not all(found.values()):
                batches = await consumer.getmany(timeout_ms=500)
                for record in (record for batch in batches.values() for record in batch):
                    headers_ = dict(record.headers)
                    assert headers_["x-status"] == b"ok"
                    found[headers_["request_id"]].append(record.value)
        return found

    with anyio.fail_after(PATIENCE_S):
        return await on_asyncio(asyncio.wait_for(client(), PATIENCE_S))


@pytest.mark.uvloop_too
async def test_a_round_trip_with_a_client_by_hand(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("request"))
    reply_topic = await create_topic(bootstrap, unique("reply"))
    server = server_on(embedded_kafka, group)

    @server.handler(topic)
    async def handle(value: bytes, call: Call) -> bytes:
        return b"re: " + value

    values = [b"%d" % number for number in range(100)]
    async with server:
        found = await ask(embedded_kafka, topic, reply_topic, values)
        assert found == {value: [b"re: " + value] for value in values}
        with anyio.fail_after(PATIENCE_S):
            await until(lambda: server.status().in_flight == 0)
        counters = server.status().counters
        assert (counters.requests, counters.replies) == (100, 100)
    assert sum((await committed(bootstrap, group)).values()) == 100


async def test_a_reply_topic_that_does_not_exist(strict_kafka: EmbeddedKafka) -> None:
    bootstrap = strict_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("request"))
    reply_topic = await create_topic(bootstrap, unique("reply"))
    missing = unique("missing")
    server = server_on(strict_kafka, unique("group"))
    server.handler(topic)(echo)
    values = [b"%d" % number for number in range(10)]
    async with server:
        found = await ask(strict_kafka, topic, reply_topic, values, reply_to=(missing,))
        assert found == {value: [value] for value in values}
        with anyio.fail_after(PATIENCE_S):
            await until(lambda: server.status().in_flight == 0)
        counters = server.status().counters
        assert (counters.replies, counters.undeliverable) == (10, 10)


@pytest.mark.librdkafka_too
@pytest.mark.one_loop
async def test_a_hand_over_between_two_servers_under_load(
    embedded_kafka: EmbeddedKafka,
) -> None:
    """A server joins and one leaves: every request is answered, and none is handled twice."""
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("request"))
    reply_topic = await create_topic(bootstrap, unique("reply"))
    runs: dict[bytes, int] = {}
    by: dict[str, int] = {"first": 0, "second": 0}

    def server(name: str) -> KafkaRPCServer:
        made = server_on(embedded_kafka, group, concurrency=20, heartbeat_interval_ms=300)

        @made.handler(topic)
        async def handle(value: bytes, call: Call) -> bytes:
            runs[value] = runs.get(value, 0) + 1
            by[name] += 1
            await anyio.sleep(0.02)
            return value

        return made

    values = [b"%d" % number for number in range(1200)]
    found: dict[bytes, list[bytes]] = {}

    async def load() -> None:
        found.update(await ask(embedded_kafka, topic, reply_topic, values, pause_s=0.004))

    async with anyio.create_task_group() as tasks:
        second = server("second")
        async with server("first"):
            tasks.start_soon(load)
            await until(lambda: by["first"] > 100)
            second_left = anyio.Event()

            async def run_second() -> None:
                async with second:
                    await until(lambda: by["second"] > 200)
                second_left.set()

            tasks.start_soon(run_second)
            with anyio.fail_after(PATIENCE_S):
                await second_left.wait()
                await until(lambda: len(found) == len(values))
    assert found == {value: [value] for value in values}
    assert set(runs.values()) == {1}
    assert sum((await committed(bootstrap, group)).values()) == len(values)
