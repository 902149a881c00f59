"""How often librdkafka's threads wake the program, and how much they bring, in counts."""

from collections.abc import Callable
from uuid import uuid4

import anyio
import pytest

from sdml_kafka import KafkaRPC, KafkaRPCServer, ParserSpec, parse_bytes
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.transport.librdkafka.owner_thread import ProgramLoop

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.parametrize("anyio_backend", ["asyncio"]),
]

IN_FLIGHT, CALLS = 100, 2000


async def test_wake_ups_for_each_call(
    embedded_kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round takes four: a request there, a reply there, and the reports of both."""
    wake_ups = 0
    call_soon = ProgramLoop.call_soon

    def counted(self: ProgramLoop, function: Callable[[], object]) -> None:
        nonlocal wake_ups
        wake_ups += 1
        call_soon(self, function)

    monkeypatch.setattr(ProgramLoop, "call_soon", counted)
    servers, topic = embedded_kafka.bootstrap_servers, f"calls-{uuid4().hex}"
    server = KafkaRPCServer(group_id=topic, bootstrap_servers=servers, client="librdkafka")

    @server.handler(topic)
    async def echo(value: bytes, call: object) -> bytes:
        return value

    replies: ParserSpec[bytes]
    replies = {"topics": [f"{topic}-reply"], "type": bytes, "parser": parse_bytes}
    rpc = KafkaRPC([replies], bootstrap_servers=servers, client="librdkafka")
    async with server, rpc:

        async def call(count: int) -> None:
            for _ in range(count):
                await rpc.request(topic, b"x" * 100, res_expect_type=bytes, res_timeout=30)

        await call(5)
        before = wake_ups
        async with anyio.create_task_group() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.start_soon(call, CALLS // IN_FLIGHT)
        assert (wake_ups - before) / CALLS < 0.2
