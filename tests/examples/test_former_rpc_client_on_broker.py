"""A program that makes calls with the former client runs unchanged, against new and old servers."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from sdml_kafka import Call, KafkaRPCServer
from sdml_kafka.testing import EmbeddedKafka
from sdml_kafka.testing.embedded.ports import is_free
from tests.support.kafka_from_outside import create_topic, unique

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

PROGRAM = Path(__file__).parents[2] / "examples" / "rpc_quickstart_former_client.py"
PORT, BOOTSTRAP = 9092, "127.0.0.1:9092"  # the former client's default
PATIENCE_S = 60.0

type Headers = Sequence[tuple[str, bytes]]


@pytest.fixture(scope="module")
def kafka_on_9092() -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE_S
    while not is_free(PORT):  # another run of these tests may have it for a while
        if time.monotonic() > deadline:
            pytest.fail(
                f"something listens on port {PORT} of this machine, where this test needs its own "
                "Kafka: end that first",
                pytrace=False,
            )
        time.sleep(0.5)
    with EmbeddedKafka(port=PORT):
        asyncio.run(create_topic(BOOTSTRAP, "request"))
        asyncio.run(create_topic(BOOTSTRAP, "reply"))
        yield


@asynccontextmanager
async def our_server() -> AsyncGenerator[None]:
    server = KafkaRPCServer(bootstrap_servers=BOOTSTRAP, group_id=unique("server"))

    @server.handler("request")
    async def handle(value: bytes, call: Call) -> bytes:
        return value.upper()

    async with server:
        yield


def same_headers(record: Any) -> dict[str, Any]:
    return {"headers": list(record.headers)}


def same_key(record: Any) -> dict[str, Any]:
    return {"key": record.key}


def bare_server(
    echo: Callable[[Any], dict[str, Any]],
) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Return a server as programs were written by the former client's guidelines."""

    async def answer(consumer: Any, producer: Any) -> None:
        async for record in consumer:
            for name, topic in record.headers:
                if name == "x-reply-topic":
                    await producer.send_and_wait(
                        topic.decode(), record.value.upper(), **echo(record)
                    )

    @asynccontextmanager
    async def serving() -> AsyncGenerator[None]:
        consumer = AIOKafkaConsumer(
            "request",
            bootstrap_servers=BOOTSTRAP,
            group_id=unique("server"),
            auto_offset_reset="earliest",
        )
        async with consumer, AIOKafkaProducer(bootstrap_servers=BOOTSTRAP) as producer:
            answering = asyncio.create_task(answer(consumer, producer))
            yield
            answering.cancel()
            await asyncio.wait([answering])

    return serving


async def run(program: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", program),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.usefixtures("kafka_on_9092")
@pytest.mark.parametrize("stops", [True, False], ids=["stops", "never stops"])
@pytest.mark.parametrize(
    "serving",
    [our_server, bare_server(same_headers), bare_server(same_key)],
    ids=["ours", "echoes the headers", "echoes the key"],
)
def test_the_former_quickstart_runs_unchanged(
    serving: Callable[[], AbstractAsyncContextManager[None]], stops: bool
) -> None:
    program = PROGRAM.read_text()
    if not stops:  # as the former client's own documentation had it
        program = program.replace("    await rpc.stop()\n", "")

    async def scenario() -> tuple[int | None, str, str]:
        async with serving():
            return await run(program)

    code, out, err = asyncio.run(scenario())
    assert (code, out) == (0, "response: b'HELLO'\n")
    if stops:  # else asyncio cancels the tasks that are left one by one, and warns
        assert err == ""
