"""Thousands of calls at once on a real broker, some cancelled, over several clients and servers."""

import random
from collections import Counter
from functools import partial
from typing import Any

import anyio
import pytest

from sdml_kafka import Call, ClientClosed, KafkaRPC
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reversed_, server_on, values
from tests.support.waiting import BUSY_S, until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.usefixtures("client"),
    pytest.mark.uvloop_too,
    pytest.mark.trio_asyncio_too,
]


async def test_2000_calls_at_once(embedded_kafka: EmbeddedKafka) -> None:
    requests = values(2000)
    with anyio.fail_after(60):
        async with pair_on(embedded_kafka) as (rpc, topic):
            replies = await all_of(2000, lambda number: rpc.request(topic, requests[number]))
            status = rpc.status()
    assert replies == reversed_(requests)
    assert status.in_flight == 0
    assert status.counters.replies == 2000
    assert status.counters.late_replies == status.counters.foreign_replies == 0


async def test_callers_that_are_cancelled_at_random_harm_no_other(
    embedded_kafka: EmbeddedKafka,
) -> None:
    chance = random.Random(5)
    requests, replies = values(3000), dict[int, bytes]()

    async def slowly(value: bytes, call: Call) -> bytes:
        await anyio.sleep(chance.random() * 0.05)
        return value[::-1]

    async def request(rpc: KafkaRPC, topic: str, number: int) -> None:
        with anyio.move_on_after(chance.choice([0, 0.02, 0.05, 0.3, 30, 30, 30])):
            replies[number] = await rpc.request(topic, requests[number])

    with anyio.fail_after(60):
        async with pair_on(embedded_kafka, slowly) as (rpc, topic):
            await all_of(3000, partial(request, rpc, topic))
            assert rpc.status().in_flight == 0
            assert await rpc.request(topic, b"still there") == b"ereht llits"
    assert 3000 // 3 < len(replies) < 3000
    assert all(reply == requests[number][::-1] for number, reply in replies.items())


async def test_two_clients_and_two_servers_in_one_program(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("request"), 4)
    answered: Counter[str] = Counter()

    def answering(name: str) -> Any:
        async def answer(value: bytes, call: Call) -> bytes:
            answered[name] += 1
            return value[::-1]

        return answer

    requests, group = values(500), unique("server")
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, answering("first"), group_id=group),
            server_on(embedded_kafka, topic, answering("second"), group_id=group),
            client_on(embedded_kafka) as one,
            client_on(embedded_kafka) as other,
        ):
            replies = await all_of(
                500, lambda number: (one, other)[number % 2].request(topic, requests[number])
            )
            counters = [one.status().counters, other.status().counters]
    assert replies == reversed_(requests)
    assert sum(answered.values()) == 500
    assert len(answered) == 2
    assert [each.foreign_replies for each in counters] == [0, 0]


async def test_leaving_with_1000_calls_waiting(embedded_kafka: EmbeddedKafka) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("unserved"), 1)
    outcomes: list[Any] = []

    async def make_calls(rpc: KafkaRPC) -> None:
        outcomes.extend(await all_of(1000, lambda number: rpc.request(topic, b"value")))

    async with anyio.create_task_group() as tasks:
        async with client_on(embedded_kafka) as rpc:
            tasks.start_soon(make_calls, rpc)
            await until(lambda: rpc.status().in_flight == 1000)
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 2.0 + BUSY_S
    assert [type(outcome) for outcome in outcomes] == [ClientClosed] * 1000
