"""What an operator reads of a producer in an outage."""

import logging

import anyio
import pytest

from sdml_kafka import KafkaProducer, SdmlKafkaError
from sdml_kafka.testing import Transport
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.log_lines import Lines, lines_of
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO)
    return lines_of(caplog)


async def test_an_outage_is_said_once_and_so_is_its_end(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer()) as producer:
        broker.down()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(producer.send, "topic", b"v")
            await anyio.sleep(20)
            broker.up()
        await anyio.sleep(1)
    away, back = lines()
    assert away.startswith("WARNING no broker can be reached, so records wait for their deadline")
    assert away.endswith(": memory: it is down")
    assert back.startswith("INFO a broker can be reached again, after 20")
    extra = vars(next(each for each in caplog.records if each.levelname == "WARNING"))
    assert (extra["kafka_broker"], extra["kafka_error"]) == ("0", "BrokerUnreachable")


async def test_an_outage_of_a_producer_of_transactions_names_the_broker(lines: Lines) -> None:
    broker = MemoryBroker({"topic": 1})
    connect = broker.connect("group"), broker.connect_producer()
    transport = Transport(*connect, transactions=broker.connect_transactions())
    async with KafkaProducer(
        transport=transport, transactional_id="id", start_timeout=1.0, timeout_s=2.0
    ) as producer:
        broker.down()
        with pytest.raises(SdmlKafkaError):
            async with producer.transaction() as transaction:
                await transaction.send("topic", b"v")
        await anyio.sleep(5)
        broker.up()
        await anyio.sleep(60)
        assert producer.status().connected
    (away,) = [line for line in lines() if "no broker can be reached" in line]
    assert away.endswith(": memory: it is down")


async def test_a_moment_without_a_connection_is_not_said(lines: Lines) -> None:
    broker = MemoryBroker({"topic": 1})
    async with KafkaProducer(transport=broker.connect_producer()):
        broker.down()
        await anyio.sleep(0.5)
        broker.up()
        await anyio.sleep(5)
    assert lines() == []
