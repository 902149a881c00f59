"""Calls over a broker that freezes or is gone, and over a reply consumer that breaks."""

from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import Call, CallTimeout, KafkaRPC
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import all_of, client_on, pair_on, reversed_, server_on, values
from tests.support.waiting import BUSY_S, until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


@pytest.mark.usefixtures("client")
@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
async def test_calls_settle_over_a_broker_that_freezes_and_thaws(
    strict_kafka: EmbeddedKafka,
) -> None:
    requests, outcomes = values(200), list[Any]()

    async def make_calls(rpc: KafkaRPC, topic: str) -> None:
        outcomes.extend(
            await all_of(
                200, lambda n: rpc.request(topic, requests[n], res_timeout=0.5 + n % 2 * 30)
            )
        )

    with anyio.fail_after(60):
        async with pair_on(strict_kafka) as (rpc, topic), anyio.create_task_group() as tasks:
            assert await rpc.request(topic, b"abc") == b"cba"
            strict_kafka.freeze()
            try:
                tasks.start_soon(make_calls, rpc, topic)
                await until(lambda: rpc.status().counters.timeouts == 100)
            finally:
                strict_kafka.thaw()
    patient = outcomes[1::2]
    assert [type(outcome) for outcome in outcomes[::2]] == [CallTimeout] * 100
    assert patient == reversed_(requests[1::2])


@pytest.mark.one_loop
@pytest.mark.usefixtures("client")
async def test_with_the_broker_gone_for_good_calls_end_at_their_deadlines(
    strict_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(strict_kafka.bootstrap_servers, unique("request"), 1)
    try:
        async with client_on(strict_kafka, stop_timeout=5.0) as rpc:
            await anyio.to_thread.run_sync(strict_kafka.kill)
            began = anyio.current_time()
            outcomes = await all_of(
                50, lambda number: rpc.request(topic, b"value", res_timeout=1.5)
            )
            assert 1.5 <= anyio.current_time() - began < 1.5 + BUSY_S
            left_at = anyio.current_time()
        assert anyio.current_time() - left_at < 5.0 + BUSY_S
    finally:
        await strict_kafka.restart_async()
    assert [type(outcome) for outcome in outcomes] == [CallTimeout] * 50
    assert all(isinstance(outcome.__cause__, ConnectionError) for outcome in outcomes)


class Consumers:
    """A factory that keeps the consumers that it built, so that a test can break them."""

    def __init__(self, kafka: EmbeddedKafka) -> None:
        import asyncio

        self._kafka, self._asyncio = kafka, asyncio
        self._group = unique("client")
        self.built: list[tuple[Any, asyncio.AbstractEventLoop]] = []

    def __call__(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            group_id=self._group,
            fetch_max_wait_ms=100,
        )
        self.built.append((consumer, self._asyncio.get_running_loop()))
        return consumer

    async def break_(self, how: str) -> None:
        consumer, loop = self.built[-1]
        loop.call_soon_threadsafe({"tasks": _kill_tasks, "sockets": _cut_sockets}[how], consumer)
        if how == "tasks":
            await until(lambda: all(task.done() for task in _tasks_of(consumer)))


def _tasks_of(consumer: Any) -> tuple[Any, Any]:
    return consumer._coordinator._coordination_task, consumer._fetcher._fetch_task


def _kill_tasks(consumer: Any) -> None:
    for task in _tasks_of(consumer):
        task.cancel()


def _cut_sockets(consumer: Any) -> None:
    for connection in list(consumer._client._conns.values()):
        connection._writer.transport.abort()


@pytest.mark.uvloop_too
@pytest.mark.trio_asyncio_too
@pytest.mark.parametrize("how", ["tasks", "sockets"])
async def test_replies_arrive_over_a_reply_consumer_that_breaks(
    embedded_kafka: EmbeddedKafka, how: str
) -> None:
    consumers, gate, running = Consumers(embedded_kafka), anyio.Event(), list[bytes]()
    requests = values(200)

    async def behind_the_gate(value: bytes, call: Call) -> bytes:
        running.append(value)
        await gate.wait()
        return value[::-1]

    outcomes: list[Any] = []

    async def make_calls(rpc: KafkaRPC, topic: str) -> None:
        outcomes.extend(await all_of(200, lambda number: rpc.request(topic, requests[number])))

    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("request"), 4)
    with anyio.fail_after(60):
        async with (
            server_on(embedded_kafka, topic, behind_the_gate, concurrency=200),
            KafkaRPC(consumer_factory=consumers, bootstrap_servers=bootstrap) as rpc,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(make_calls, rpc, topic)
            await until(lambda: len(running) == 200)
            await consumers.break_(how)
            gate.set()  # the replies come while nobody reads
            await until(lambda: outcomes)
            restarts = rpc.status().counters.restarts
    assert outcomes == reversed_(requests)
    assert restarts == (1 if how == "tasks" else 0)
    assert len(consumers.built) == 1 + restarts
