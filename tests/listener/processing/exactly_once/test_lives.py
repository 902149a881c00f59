"""Lives of a processor with transactions: how one begins, and what is between two."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from attrs import frozen

from sdml_kafka import Delivery, KafkaListener, NotYet, ProducerFailed, Retry, Send
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.exactly_once_on_twin import (
    OUT,
    broker_with_outputs,
    exactly_once_on,
    outputs,
    pass_on,
)
from tests.support.listener_on_twin import GROUP, P0, TEXTS, TOPIC
from tests.support.processing_on_twin import processing
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

COUNT = 10


@frozen
class Number:
    text: str


async def test_a_serializer_may_need_something_at_the_very_beginning_of_a_life() -> None:
    broker, written = broker_with_outputs(COUNT), list[str]()
    broker.fail_transactions()

    async def prepare() -> None:
        await anyio.lowlevel.checkpoint()
        written.append("the schema")

    def write(number: Number) -> bytes:
        if len(written) == COUNT:  # in the second life, before anything has waited in it
            raise NotYet("the schema is away", prepare)
        written.append(number.text)
        return number.text.encode()

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        return Send(OUT.topic, Number(value))

    async with (
        exactly_once_on(broker, serializers={Number: write}) as listener,
        processing(listener, handle, exactly_once=True, name="a"),
    ):
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert listener.status().processors["a"].aborted == 1
    assert sorted(map(int, outputs(broker))) == list(range(COUNT))


async def test_what_is_known_of_partitions_that_were_revoked_between_two_lives_is_forgotten() -> (
    None
):
    broker, calls = broker_with_outputs(COUNT), list[str]()
    broker.fail_transactions(times=6)

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        calls.append(value)
        if value == "0" and calls.count("0") < 20 and broker.generation(GROUP) == 1:
            raise ValueError(value)
        return await pass_on(value, delivery)

    options: dict[str, Any] = {"retry": Retry(attempts=30, backoff_s=30.0), "order": "none"}
    async with (
        exactly_once_on(broker) as listener,
        processing(listener, handle, exactly_once=True, name="a", **options),
    ):
        running: Any = listener._actors.processors._running  # pyright: ignore[reportPrivateUsage]
        await until(lambda: running)
        processor: Any = running["a"]
        await until(lambda: processor._lasting.counts.aborted == 6)
        assert processor._life is None
        assert processor._lasting.memory
        broker.rebalance(GROUP)
        await until(lambda: broker.committed(GROUP, P0) == COUNT)
        assert not processor._lasting.memory


async def test_a_producer_that_does_not_start_is_tried_less_and_less_often() -> None:
    broker, opened = MemoryBroker({TOPIC: 1, OUT.topic: 1}), list[float]()
    open_transactions = broker.connect_transactions()

    def connect() -> Any:
        opened.append(anyio.current_time())
        broker.fail_starts(ProducerFailed("ordered"), member=f"transactions-{len(opened)}")
        return open_transactions()

    consumer = broker.connect(GROUP, auto_offset_reset="earliest")
    producers = broker.connect_producer(), "memory", connect
    transport = Transport(consumer, *producers, reads_committed=True)
    async with (
        KafkaListener([TEXTS], transport=transport) as listener,
        processing(listener, pass_on, exactly_once=True),
    ):
        await anyio.sleep(10.0)
    assert 5 <= len(opened) <= 15
