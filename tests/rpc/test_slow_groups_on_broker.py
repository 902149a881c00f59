"""A broker whose groups wait for members before their first rebalance, as Kafka's do by default."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import CallTimeout, GroupShared, KafkaListener, KafkaRPC, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import create_topic, unique
from tests.support.rpc_on_broker import client_on, reverse, server_on
from tests.support.waiting import BUSY_S, least_of

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.timeout(120)]

DELAY_S = 3.0
ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(scope="module")
def slow_kafka() -> Iterator[EmbeddedKafka]:
    with EmbeddedKafka(properties={"group.initial.rebalance.delay.ms": "3000"}) as kafka:
        yield kafka


@pytest.mark.one_loop
@pytest.mark.usefixtures("client")
async def test_a_client_without_a_group_is_entered_without_waiting_for_one(
    slow_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(slow_kafka.bootstrap_servers, unique("request"), 1)

    async def enter() -> float:
        began = anyio.current_time()
        async with client_on(slow_kafka) as rpc:
            taken_s = anyio.current_time() - began
            # The first reply is not missed.
            assert await rpc.request(topic, b"abc", res_timeout=30.0) == b"cba"
        return taken_s

    async with server_on(slow_kafka, topic, reverse):
        assert await least_of(enter, DELAY_S - 0.5) < DELAY_S - 0.5


@pytest.mark.usefixtures("client")
@ASYNCIO
async def test_a_first_call_has_its_reply_in_less_time_than_a_group_takes(
    slow_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(slow_kafka.bootstrap_servers, unique("request"), 1)

    async def call() -> float:
        rpc, began = client_on(slow_kafka), anyio.current_time()
        assert await rpc.request(topic, b"abc", res_timeout=30.0) == b"cba"
        taken_s = anyio.current_time() - began
        await rpc.stop()
        return taken_s

    async with server_on(slow_kafka, topic, reverse):
        assert await least_of(call, DELAY_S - 0.5) < DELAY_S - 0.5


@ASYNCIO
async def test_a_first_call_of_a_client_in_a_group_keeps_its_timeout_and_the_next_works(
    slow_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(slow_kafka.bootstrap_servers, unique("request"), 1)
    async with server_on(slow_kafka, topic, reverse):
        rpc = client_on(slow_kafka, group_id=unique("client"))
        began = anyio.current_time()
        with pytest.raises(CallTimeout):
            await rpc.request(topic, b"abc", res_timeout=1.0)
        assert anyio.current_time() - began < DELAY_S  # it did not wait for the group
        assert await rpc.request(topic, b"abc") == b"cba"
        await rpc.stop()


@ASYNCIO
async def test_a_start_that_its_caller_cuts_off_ends_soon_and_is_tried_again(
    slow_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(slow_kafka.bootstrap_servers, unique("topic"), 1)
    spec: Any = {"topics": [topic], "type": bytes, "parser": parse_bytes}
    servers, group = slow_kafka.bootstrap_servers, unique("group")
    listener = KafkaListener([spec], bootstrap_servers=servers, group_id=group)
    began = anyio.current_time()
    with anyio.move_on_after(1.0):
        await listener.subscribe(bytes)
    assert anyio.current_time() - began < 1.0 + BUSY_S
    await listener.subscribe(bytes)
    await listener.stop()


@pytest.mark.one_loop
@pytest.mark.usefixtures("client")
async def test_a_group_that_is_shared_is_found_out_here_as_well(slow_kafka: EmbeddedKafka) -> None:
    reply = await create_topic(slow_kafka.bootstrap_servers, unique("reply"), 4)
    shared: dict[str, Any] = {"group_id": unique("shared"), "reply_topic": reply}
    async with client_on(slow_kafka, **shared):
        with pytest.raises(GroupShared, match=shared["group_id"]):
            async with client_on(slow_kafka, **shared):
                pytest.fail("entered")


@pytest.mark.one_loop
async def test_a_factory_may_return_a_consumer_without_a_group(slow_kafka: EmbeddedKafka) -> None:
    servers = slow_kafka.bootstrap_servers
    topic = await create_topic(servers, unique("request"), 1)
    rpc = KafkaRPC(
        consumer_factory=lambda: AIOKafkaConsumer(bootstrap_servers=servers),
        bootstrap_servers=servers,
    )
    async with server_on(slow_kafka, topic, reverse), rpc:
        assert await rpc.request(topic, b"abc") == b"cba"
