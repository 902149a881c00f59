"""KafkaProducer on the twin, in virtual time."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ClientClosed,
    ConfigurationError,
    KafkaProducer,
    PayloadTooLarge,
    ProducerFailed,
    SendFailed,
    TopicMissing,
    TopicPartition,
    to_json,
)
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

P0 = TopicPartition("topic", 0)


@asynccontextmanager
async def producing(broker: MemoryBroker, **options: Any) -> AsyncGenerator[KafkaProducer]:
    async with KafkaProducer(transport=broker.connect_producer(), **options) as producer:
        yield producer


async def test_a_record_is_acknowledged_with_its_place() -> None:
    broker = MemoryBroker({"topic": 3})
    async with producing(broker) as producer:
        sent = await producer.send(
            "topic", b"v", key=b"k", headers=[("h", b"1")], partition=2, timestamp_ms=1234
        )
        again = await producer.send("topic", None, key=b"k", partition=2)
        assert (sent.topic, sent.partition, sent.offset, sent.timestamp_ms) == ("topic", 2, 0, 1234)
        assert again.offset == 1
        assert again.timestamp_ms > 0
        assert (producer.status().sent, producer.status().waiting) == (2, 0)
    first, second = broker.records(TopicPartition("topic", 2))
    assert (first.key, first.value, list(first.headers)) == (b"k", b"v", [("h", b"1")])
    assert first.timestamp == 1234
    assert second.value is None


async def test_records_may_wait_for_their_acknowledgements_together() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with producing(broker) as producer:
        waiting = [await producer.send_soon("topic", b"%d" % number) for number in range(100)]
        assert producer.status().waiting == 100
        broker.release_sends()
        await producer.flush()
        assert [(await each.sent()).offset for each in waiting] == list(range(100))
        assert (await waiting[7].sent()).offset == 7  # again is harmless


async def test_the_number_that_waits_is_bounded() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with producing(broker, max_waiting=10) as producer:
        for _ in range(10):
            await producer.send_soon("topic", b"v")
        with anyio.move_on_after(5.0) as patience:
            await producer.send_soon("topic", b"v")
        assert patience.cancelled_caught
        with pytest.raises(SendFailed, match=r"no room .* 'topic' within 3 s"):
            await producer.send_soon("topic", b"v", timeout_s=3.0)
        broker.release_sends()
        await producer.send("topic", b"last")
    assert len(broker.records(P0)) == 11


async def test_a_record_that_is_not_acknowledged_in_time_fails_in_doubt() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with producing(broker, timeout_s=10.0) as producer:
        began = anyio.current_time()
        with pytest.raises(SendFailed, match="'topic' was not acknowledged within 2 s") as failed:
            await producer.send("topic", b"v", timeout_s=2.0)
        assert failed.value.in_doubt
        assert 2.0 <= anyio.current_time() - began < 2.5
        with pytest.raises(SendFailed, match="within 10 s"):
            await producer.send("topic", b"v")
        assert producer.status().waiting == 0
        assert producer.status().failed == 2
        broker.release_sends()


async def test_a_cancelled_send_leaves_nothing_behind() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.down()
        with anyio.move_on_after(1.0):
            await producer.send("topic", b"never")
        assert producer.status().waiting == 0
        broker.up()
        await producer.send("topic", b"later")
    assert [each.value for each in broker.records(P0)] == [b"later"]


async def test_an_acknowledgement_that_comes_too_late_changes_nothing() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.hold_sends()
        late = await producer.send_soon("topic", b"late", timeout_s=1.0)
        with pytest.raises(SendFailed, match="within 1 s"):
            await late.sent()
        with anyio.move_on_after(1.0):
            await producer.send("topic", b"cancelled")
        broker.release_sends()
        await producer.send("topic", b"last")
        late.acknowledged(0, 1, None)
        late.acknowledged(0, 1, 1234)
        with pytest.raises(SendFailed, match="within 1 s"):
            await late.sent()


async def test_each_error_names_the_topic() -> None:
    broker = MemoryBroker({"topic": 1}, max_record_bytes=10)
    async with producing(broker) as producer:
        with pytest.raises(TopicMissing, match="missing"):
            await producer.send("missing", b"v")
        with pytest.raises(PayloadTooLarge, match="topic"):
            await producer.send("topic", b"v" * 20)
        with pytest.raises(ConfigurationError, match="'a b' cannot be a topic"):
            await producer.send("a b", b"v")
        with pytest.raises(ConfigurationError, match="topic"):
            await producer.send("topic", b"v", partition=7)
        with pytest.raises(ConfigurationError, match=r"dict has no serializer"):
            await producer.send("topic", {})
        for seconds in (0, -1.0, float("inf"), "1"):
            with pytest.raises(ConfigurationError, match="timeout_s"):
                await producer.send("topic", b"v", timeout_s=seconds)  # type: ignore[arg-type]


async def test_values_of_a_type_have_their_serializer() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker, serializers={dict: to_json, str: str.encode}) as producer:
        await producer.send("topic", {"n": 1})
        await producer.send("topic", "text")
        await producer.send("topic", bytearray(b"raw"))
    assert [each.value for each in broker.records(P0)] == [b'{"n":1}', b"text", b"raw"]


async def test_leaving_sends_what_waits() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        waiting = await producer.send_soon("topic", b"v")
    assert (await waiting.sent()).offset == 0


async def test_leaving_is_bounded_and_says_what_was_not_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker, stop_timeout=3.0) as producer:
        broker.down()
        waiting = [await producer.send_soon("topic", b"v") for _ in range(5)]
        began = anyio.current_time()
    assert 3.0 <= anyio.current_time() - began < 10.0
    assert any("'topic': 5" in record.getMessage() for record in caplog.records)
    with pytest.raises(SendFailed, match="'topic'"):
        await waiting[0].sent()
    with pytest.raises(ClientClosed):
        await producer.send("topic", b"v")


async def test_a_failure_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    broker = MemoryBroker({"topic": 1})
    caplog.set_level(logging.WARNING, "sdml_kafka")
    async with producing(broker) as producer:
        await producer.send_soon("missing", b"v")
        await producer.flush()
    assert any("'missing'" in record.getMessage() for record in caplog.records)


async def test_nothing_is_lost_when_the_producer_is_replaced() -> None:
    broker = MemoryBroker({"topic": 1})
    async with producing(broker) as producer:
        broker.down()
        waiting = [await producer.send_soon("topic", b"%d" % number) for number in range(20)]
        broker.fail_producer(ProducerFailed("died"))
        broker.up()
        for each in waiting:
            await each.sent()
    assert [each.value for each in broker.records(P0)] == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("timestamp_ms", [1_795_960_366.25, -1, True, "1", 1 << 63])
async def test_a_time_is_in_whole_milliseconds(timestamp_ms: Any) -> None:
    async with producing(MemoryBroker({"topic": 1})) as producer:
        with pytest.raises(ConfigurationError, match="whole number of milliseconds"):
            await producer.send("topic", b"v", timestamp_ms=timestamp_ms)
        with pytest.raises(ConfigurationError, match="whole number of milliseconds"):
            await producer.send_soon("topic", b"v", timestamp_ms=timestamp_ms)
        assert producer.status().waiting == 0


@pytest.mark.parametrize(
    "options",
    [{"acks": 0}, {"client": "librdkafka", "client_options": {"request.required.acks": "0"}}],
)
async def test_a_producer_that_is_told_nothing_is_refused(options: Any) -> None:
    with pytest.raises(ConfigurationError, match="acks=0"):
        KafkaProducer(bootstrap_servers="127.0.0.1:1", **options)


async def test_serializers_are_a_mapping() -> None:
    with pytest.raises(ConfigurationError, match=r"serializers is \{Order: to_json\}"):
        KafkaProducer(bootstrap_servers="127.0.0.1:1", serializers=to_json)  # type: ignore[arg-type]


async def test_who_waits_for_room_goes_before_those_who_come_later() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with (
        producing(broker, max_waiting=1) as producer,
        anyio.create_task_group() as tasks,
    ):
        first = await producer.send_soon("topic", b"1")
        tasks.start_soon(producer.send, "topic", b"2")
        await anyio.sleep(1.0)
        broker.release_sends()
        await first.sent()
        await producer.send("topic", b"3")
    assert [each.value for each in broker.records(P0)] == [b"1", b"2", b"3"]


async def test_room_that_somebody_does_not_use_goes_to_the_next_in_line() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()

    def refuse(_: object) -> bytes:
        raise ValueError("cannot write it")

    async def fail() -> None:
        with pytest.raises(ValueError, match="cannot"):
            await producer.send("topic", {})

    async with (
        producing(broker, max_waiting=1, serializers={dict: refuse}) as producer,
        anyio.create_task_group() as tasks,
    ):
        await producer.send_soon("topic", b"1")
        for send in (fail, lambda: producer.send("topic", b"2")):
            tasks.start_soon(send)
            await anyio.sleep(1.0)
        broker.release_sends()
        await until(lambda: len(broker.records(P0)) == 2, within_s=1.0)


async def test_room_that_a_cancelled_caller_was_handed_goes_to_the_next_in_line() -> None:
    broker = MemoryBroker({"topic": 1})
    broker.hold_sends()
    async with (
        producing(broker, max_waiting=1) as producer,
        anyio.create_task_group() as tasks,
    ):
        first = await producer.send_soon("topic", b"1")
        async with anyio.create_task_group() as others:
            others.start_soon(producer.send, "topic", b"never")
            await anyio.sleep(1.0)
            tasks.start_soon(producer.send, "topic", b"2")
            await anyio.sleep(1.0)
            broker.release_sends()
            await first.sent()
            others.cancel_scope.cancel()
        await until(lambda: broker.records(P0)[-1].value == b"2", within_s=1.0)
        await producer.send("topic", b"3")
    assert [each.value for each in broker.records(P0)][-2:] == [b"2", b"3"]


async def test_a_body_that_raises_as_it_is_cancelled_does_not_wait_for_the_broker() -> None:
    broker = MemoryBroker({"topic": 1})
    began = anyio.current_time()

    async def fail_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        except BaseException:
            raise ValueError("while cleaning up") from None

    with pytest.raises(ExceptionGroup), anyio.move_on_after(1.0):
        async with producing(broker, stop_timeout=60.0) as producer:
            broker.down()
            await producer.send_soon("topic", b"1")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fail_when_cancelled)
    assert anyio.current_time() - began < 10.0
