"""Producers that cannot start: no broker, or a factory that returns an unusable producer."""

import gc
from collections.abc import Callable

import anyio
import pytest
from aiokafka import AIOKafkaProducer

from sdml_kafka.errors import BrokerUnreachable, ConfigurationError
from sdml_kafka.transport.aiokafka.factory import default_producer_factory
from sdml_kafka.transport.aiokafka.producer.adapter import connect_producer
from tests.support.contracts.producer_world import CALL_S
from tests.support.waiting import BUSY_S

pytestmark = pytest.mark.anyio


async def test_a_broker_that_is_not_there_is_a_clear_error_at_once(free_tcp_port: int) -> None:
    connect = connect_producer(default_producer_factory(f"127.0.0.1:{free_tcp_port}", {}))
    async with connect() as producer:
        with (
            anyio.fail_after(1.0 + BUSY_S),
            pytest.raises(BrokerUnreachable, match="Check the address"),
        ):
            await producer.start(CALL_S)
        assert not producer.connected


def started_already(servers: str) -> object:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    producer._closed = True
    return producer


@pytest.mark.parametrize(
    ("build", "why"),
    [
        pytest.param(lambda servers: "text", "not str", id="text"),
        pytest.param(
            lambda servers: AIOKafkaProducer(bootstrap_servers=servers, transactional_id="id"),
            "transactional_id",
            id="transactional",
        ),
        pytest.param(
            lambda servers: AIOKafkaProducer(bootstrap_servers=servers, value_serializer=repr),
            "value_serializer",
            id="serializer",
        ),
        pytest.param(started_already, "already started", id="in use"),
    ],
)
async def test_what_a_factory_must_not_return_is_refused(
    build: Callable[[str], object], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        async with connect_producer(lambda: build("127.0.0.1:9"))():
            pytest.fail("entered")
    gc.collect()  # a producer that was not closed would warn


async def test_options_that_aiokafka_does_not_take_are_named_without_their_values() -> None:
    factory = default_producer_factory("127.0.0.1:9", {"sasl_plain_passwrod": "secret"})
    with pytest.raises(ConfigurationError, match="sasl_plain_passwrod") as caught:
        async with connect_producer(factory)():
            pytest.fail("entered")
    assert "secret" not in str(caught.value)
