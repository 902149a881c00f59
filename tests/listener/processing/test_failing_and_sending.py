"""Handlers that fail some of their records, and return what is to be sent."""

from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, Skip, TopicPartition
from sdml_kafka.listener.processing.policies import Batch, DeadLetter, Retry, Send
from tests.support.listener_on_twin import GROUP, P0, TOPIC, broker_with
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

DLT, OUT = TopicPartition(f"{TOPIC}-dlt", 0), TopicPartition("out", 0)


@pytest.mark.parametrize("is_batch", [False, True])
async def test_what_is_sent_does_not_finish_a_record_that_has_failed(is_batch: bool) -> None:
    broker, attempts = broker_with("a"), list[int]()
    broker.create_topic(OUT.topic)
    broker.create_topic(DLT.topic)

    async def handle(value: str, delivery: Delivery[str]) -> Send:
        attempts.append(delivery.attempt)
        delivery.fail(ValueError(value))
        return Send(OUT.topic, b"attempt %d" % delivery.attempt)

    async def handle_batch(deliveries: list[Delivery[str]]) -> Send:
        return await handle("a", deliveries[0])

    options: dict[str, Any] = {"batch": Batch(size=1)} if is_batch else {}
    async with (
        processing_on(broker) as listener,
        processing(
            listener,
            handle_batch if is_batch else handle,
            retry=Retry(attempts=2, backoff_s=5.0, jitter=0.0),
            on_failure=DeadLetter(),
            **options,
        ),
    ):
        await until(lambda: attempts == [1])
        await anyio.sleep(2)
        assert [each.value for each in broker.records(OUT)] == [b"attempt 1"]
        assert listener.status().partitions[P0].in_flight == 1
        assert listener.status().counters.finished == 0
        await until(lambda: listener.status().counters.finished == 1)
        (status,) = listener.status().processors.values()
        assert (status.failures, status.dead_letters, status.retries) == (1, 1, 1)
    assert attempts == [1, 2]
    assert [each.value for each in broker.records(DLT)] == [b"a"]
    assert broker.committed(GROUP, P0) == 1


async def test_a_send_that_is_refused_loses_no_record_of_its_batch_that_has_failed() -> None:
    broker, seen = broker_with(*"abcd"), list[list[str]]()

    async def handle(deliveries: list[Delivery[str]]) -> Send | None:
        seen.append([each.value for each in deliveries])
        for each in deliveries:
            if each.value in "ac" and each.attempt < 3:
                each.fail(ValueError(each.value))
        return Send("absent", b"") if len(seen) < 3 else None

    async with (
        processing_on(broker) as listener,
        processing(
            listener,
            handle,
            batch=Batch(size=4),
            retry=Retry(attempts=3, backoff_s=1.0),
            on_failure=Skip(),
        ),
    ):
        await until(lambda: listener.status().counters.finished == 4)
        (status,) = listener.status().processors.values()
        assert (status.failures, status.finished, status.queued, status.keys) == (0, 4, 0, 0)
    assert seen == [list("abcd")] * 3
    assert broker.committed(GROUP, P0) == 4


async def test_good_records_of_a_batch_finish_and_failed_ones_come_again() -> None:
    broker, seen = broker_with(*"abcd"), list[list[str]]()
    broker.create_topic(OUT.topic)

    async def handle(deliveries: list[Delivery[str]]) -> list[Send]:
        seen.append([each.value for each in deliveries])
        for each in deliveries:
            if each.value in "ac" and each.attempt == 1:
                each.fail(ValueError(each.value))
        return [Send(OUT.topic, each.value.encode()) for each in deliveries]

    async with (
        processing_on(broker) as listener,
        processing(listener, handle, batch=Batch(size=4), retry=Retry(attempts=3, backoff_s=1.0)),
    ):
        await until(lambda: listener.status().counters.finished == 4)
    assert seen == [list("abcd"), list("ac")]
    assert [each.value for each in broker.records(OUT)] == [b"a", b"b", b"c", b"d", b"a", b"c"]
