"""aiokafka decodes by itself where it is told to, or where its internals are not as expected."""

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor

from sdml_kafka.transport.aiokafka.consumer import record_batches
from sdml_kafka.transport.aiokafka.consumer.record_batches import decodes_here, is_supported

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # where the driver lives, whatever the program runs on


@pytest.fixture(autouse=True)
def checked_anew() -> Iterator[None]:
    is_supported.cache_clear()
    yield
    is_supported.cache_clear()


@pytest.fixture
async def consumer(anyio_backend: str) -> AsyncGenerator[Any]:
    made = AIOKafkaConsumer()
    yield made
    await made.stop()


async def test_this_package_decodes_by_default(consumer: Any) -> None:
    assert decodes_here(consumer)


async def test_the_environment_can_leave_it_to_aiokafka(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDML_KAFKA_DECODER", "aiokafka")
    assert not decodes_here(consumer)


async def test_a_deserializer_needs_aiokafka() -> None:
    for option in ("key_deserializer", "value_deserializer"):
        consumer = AIOKafkaConsumer(**{option: bytes.upper})
        assert not decodes_here(consumer)
        await consumer.stop()


async def test_a_getmany_of_somebody_else_is_used() -> None:
    class Traced(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is not typed
        async def getmany(self, *partitions: Any, **options: Any) -> Any:
            return await super().getmany(*partitions, **options)

    consumer = Traced()
    assert not decodes_here(consumer)
    await consumer.stop()


async def test_instrumentation_changes_nothing(consumer: Any) -> None:
    instrumentor = AIOKafkaInstrumentor()
    instrumentor.instrument()
    try:
        assert decodes_here(consumer)
    finally:
        instrumentor.uninstrument()


async def test_other_internals_are_noticed_and_logged_once(
    consumer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class OtherRecords:
        def __init__(self, *arguments: Any) -> None:
            self.buffer = arguments

    monkeypatch.setattr(record_batches, "PartitionRecords", OtherRecords)
    assert not decodes_here(consumer)
    assert not decodes_here(consumer)
    (line,) = caplog.messages
    assert "decodes the records itself" in line
