"""What an operator reads of a server and of a client, in an outage and of strangers' bytes."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from sdml_kafka import KafkaRPC
from sdml_kafka.testing.memory.broker import MemoryBroker
from sdml_kafka.transport.interfaces.transports import Transport
from tests.support.client_by_hand import GROUP, P0, ask, new_broker, serving
from tests.support.log_lines import Lines, lines_of
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    return lines_of(caplog)


async def echo(value: object, call: object) -> bytes:
    return b""


async def hang(value: object, call: object) -> bytes:
    await anyio.sleep(90)
    return b""


async def outage_of(broker: MemoryBroker, seconds: float) -> None:
    broker.down()
    await anyio.sleep(seconds)
    broker.up()
    await anyio.sleep(2)


async def test_a_server_says_an_outage_once_and_its_end(lines: Lines) -> None:
    broker = new_broker()
    async with serving(broker, echo):
        ask(broker)
        await outage_of(broker, 8)
    assert lines()[0] == "INFO joined group 'group': this member reads 'request' 0"
    assert lines()[1].startswith("WARNING no broker can be reached, so nothing is read")
    assert lines()[2].startswith("INFO a broker can be reached again, after 8")
    assert lines()[3:] == ["INFO leaves group 'group'"]


async def test_requests_that_do_not_parse_are_two_lines_without_a_traceback(
    lines: Lines, caplog: pytest.LogCaptureFixture
) -> None:
    broker = new_broker()
    for _ in range(2000):
        ask(broker, b"\x1b[31m\n" + b"x" * 1000)
    async with serving(broker, echo, parser=lambda record: int(record.value)):
        await until(lambda: broker.committed(GROUP, P0) == 2000)
    parsed = [line for line in lines() if "WARNING" in line]
    assert len(parsed) == 2
    assert "does not parse (ValueError(" in parsed[0]
    assert "'request' partition 0 offset 0" in parsed[0]
    assert "(1998 more like this since the last line)" in parsed[1]
    assert all(line.isprintable() and len(line) < 600 for line in parsed)
    assert "Traceback" not in caplog.text


async def test_a_handler_that_does_not_end_says_so(lines: Lines) -> None:
    broker = new_broker()
    async with serving(broker, hang):
        ask(broker)
        await until(lambda: broker.committed(GROUP, P0) == 1, within_s=200)
        await anyio.sleep(10)
    (stuck, done) = [line for line in lines() if "offset 0" in line]
    assert stuck.startswith("WARNING the program has had 'request' partition 0 offset 0 in hand")
    assert done.startswith("INFO 'request' partition 0 offset 0 has finished")


async def test_a_servers_jumps_are_counted(lines: Lines) -> None:
    broker = new_broker()
    for _ in range(5):
        ask(broker)
    broker.commit(GROUP, P0, 1)
    broker.trim(P0, 4)
    async with serving(broker, echo) as server:
        await until(lambda: broker.committed(GROUP, P0) == 5)
        counters = server.status().counters
    assert (counters.jumps, counters.lost_offsets) == (1, 3)
    assert any("3 offsets are lost" in line for line in lines())


@asynccontextmanager
async def client_on(broker: MemoryBroker) -> AsyncGenerator[KafkaRPC]:
    transport = Transport(broker.connect(""), broker.connect_producer())
    async with KafkaRPC(transport=transport) as client:
        yield client


async def test_a_client_says_what_it_reads_and_an_outage_once_and_its_end(lines: Lines) -> None:
    broker = new_broker()
    async with client_on(broker):
        await outage_of(broker, 20)
    created, reads, away, back, *rest = lines()
    assert created.startswith("INFO created the reply topic")
    assert reads.startswith("INFO reads replies from 'sdml-rpc-")
    assert away.startswith("WARNING no broker can be reached, so calls wait for their deadline")
    assert back.startswith("INFO a broker can be reached again, after 2")
    assert rest == []
