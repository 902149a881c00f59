"""How often the threads of listeners, clients and servers under trio wake each other, in counts."""

from uuid import uuid4

import anyio
import pytest

from sdml_kafka import KafkaListener, KafkaRPC, KafkaRPCServer, ParserSpec, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from tests.support.counted_home import CountedHome

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.parametrize("anyio_backend", ["trio"]),
]


class Homes(list[CountedHome]):
    """All homes that were opened, and how often their threads were woken or woke the program."""

    def add(self) -> CountedHome:
        home = CountedHome()
        self.append(home)
        return home

    @property
    def wake_ups(self) -> int:
        return sum(home.wake_ups + home.wake_ups_back for home in self)


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch) -> Homes:
    homes = Homes()
    monkeypatch.setattr("sdml_kafka.transport.asyncio_loop.ThreadLoop", homes.add)
    return homes


def replies(topic: str) -> list[ParserSpec[bytes]]:
    return [{"topics": [f"{topic}-reply"], "type": bytes, "parser": parse_bytes}]


@pytest.mark.parametrize(("in_flight", "most"), [(1, 5.5), (100, 0.8)])
async def test_wake_ups_for_each_call(
    homes: Homes, embedded_kafka: EmbeddedKafka, in_flight: int, most: float
) -> None:
    """One call alone takes five: a request there and back, a reply there and back, and its ack."""
    servers, topic, calls = embedded_kafka.bootstrap_servers, f"calls-{uuid4().hex}", 500
    server = KafkaRPCServer(group_id=topic, bootstrap_servers=servers)

    @server.handler(topic)
    async def echo(value: bytes, call: object) -> bytes:
        return value

    async with server, KafkaRPC(replies(topic), bootstrap_servers=servers) as rpc:

        async def call(count: int) -> None:
            for _ in range(count):
                await rpc.request(topic, b"x" * 100, res_expect_type=bytes, res_timeout=30)

        await call(5)
        before = homes.wake_ups
        async with anyio.create_task_group() as tasks:
            for _ in range(in_flight):
                tasks.start_soon(call, calls // in_flight)
        assert (homes.wake_ups - before) / calls < most


async def test_wake_ups_for_each_record(homes: Homes, embedded_kafka: EmbeddedKafka) -> None:
    servers, topic, count = embedded_kafka.bootstrap_servers, f"orders-{uuid4().hex}", 20_000
    await fill(servers, topic, count)
    homes.clear()
    async with KafkaListener(
        [{"topics": [topic], "type": bytes, "parser": parse_bytes}],
        bootstrap_servers=servers,
        group_id=topic,
        auto_offset_reset="earliest",
    ) as listener:
        before, seen = homes.wake_ups, 0
        stream = await listener.subscribe(bytes)
        async for _ in stream:
            seen += 1
            if seen == count:
                break
        assert (homes.wake_ups - before) / count < 0.003


async def fill(servers: str, topic: str, count: int) -> None:
    async with (
        KafkaRPC(replies(topic), bootstrap_servers=servers) as rpc,
        anyio.create_task_group() as tasks,
    ):

        async def send() -> None:
            for _ in range(count // 200):
                await rpc.notify(topic, b"x" * 100)

        for _ in range(200):
            tasks.start_soon(send)
