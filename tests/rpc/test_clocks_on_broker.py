"""A server whose clock is wrong answers in time as long as it keeps up."""

import re
import time
from functools import partial

import anyio
import pytest

from sdml_kafka import Call, RemoteTimeout
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, reverse, server_on, values
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.one_loop,
    pytest.mark.usefixtures("client"),
]

IDLE_S = 2.5
"""Seconds in which a server that has nothing to do has seen the end of its partitions."""


@pytest.mark.parametrize("ahead_s", [31.0, -7200.0])
async def test_a_server_that_keeps_up_needs_no_clock(
    embedded_kafka: EmbeddedKafka, ahead_s: float
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 4)

    def clock() -> float:
        return time.time() + ahead_s

    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, reverse, clock=clock) as server,
            client_on(embedded_kafka) as rpc,
        ):
            await anyio.sleep(IDLE_S)
            for pause_s in (0.0, 0.1, 0.6, 1.3):
                await anyio.sleep(pause_s)
                assert await rpc.request(topic, b"ab", res_timeout=30.0) == b"ba"
            requests = values(200)
            ask = partial(rpc.request, topic, res_timeout=30.0)
            replies = await all_of(200, lambda number: ask(requests[number]))
            assert replies == [request[::-1] for request in requests]
            assert server.status().counters.expired == 0


async def test_what_has_waited_for_its_turn_is_over_whatever_the_clock(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 1)
    started = list[bytes]()

    async def handle(value: bytes, call: Call) -> bytes:
        started.append(value)
        await anyio.sleep(3)
        return value

    def clock() -> float:
        return time.time() - 7200

    async with (
        server_on(embedded_kafka, topic, handle, concurrency=1, clock=clock) as server,
        client_on(embedded_kafka) as rpc,
    ):
        with anyio.fail_after(60):
            await rpc.notify(topic, b"first")
            await rpc.notify(topic, b"over", res_timeout=1.0)
            await until(lambda: server.status().counters.requests == 2, within_s=30)
    assert started == [b"first"]
    assert server.status().counters.expired == 1


async def test_the_error_says_the_age_and_the_likely_cause(embedded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("request"), 1)
    answers = list[object]()

    def clock() -> float:
        return time.time() + 7200

    async def call() -> None:
        answers.extend(await all_of(1, lambda _: rpc.request(topic, b"", res_timeout=30.0)))

    async with client_on(embedded_kafka) as rpc:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await anyio.sleep(1)  # the request is in the log before the server is there
                async with server_on(embedded_kafka, topic, reverse, clock=clock):
                    await until(lambda: bool(answers), within_s=30)
    (answer,) = answers
    assert isinstance(answer, RemoteTimeout)
    assert re.search(r"by its timestamp is 72\d\d s old", str(answer))
    assert "clocks of its sender and of this server are apart" in str(answer)
