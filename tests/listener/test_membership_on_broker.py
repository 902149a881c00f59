"""Slow handlers, and what is committed while they work."""

import anyio
import pytest

from sdml_kafka import KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import texts
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]


async def test_a_handler_slower_than_the_poll_interval_keeps_its_membership(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, seen = embedded_kafka.bootstrap_servers, []
    topic = await create_topic(bootstrap, unique("slow"), 1)
    await produce(bootstrap, topic, ["a", "b"])
    async with KafkaListener(
        texts(topic),
        bootstrap_servers=bootstrap,
        group_id=unique("group"),
        auto_offset_reset="earliest",
        max_poll_interval_ms=5000,
        session_timeout_ms=6000,
    ) as listener:
        async for value in await listener.subscribe(str):
            seen.append(value)
            await anyio.sleep(10)  # the handler's work, not a wait of the test's
            if value == "b":
                break
        status = listener.status()
    assert seen == ["a", "b"]
    assert status.counters.rebalances == 1
    assert status.counters.late_finishes == 0


async def test_the_commit_never_passes_the_lowest_unfinished(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("frontier"), 1)
    await produce(bootstrap, topic, map(str, range(400)))
    unfinished = set(range(400))
    samples = 0

    async def finish_out_of_order(listener: KafkaListener) -> None:
        held = []
        async for delivery in (await listener.subscribe(str)).deliveries():
            held.append(delivery)
            if len(held) == 10:
                if min(unfinished) >= 300:  # where asking takes long: not before it was asked
                    await until(lambda: samples > 3)
                for last in reversed(held):
                    await anyio.sleep(0.005)
                    unfinished.discard(last.record.offset)
                    last.done()
                held.clear()

    with anyio.fail_after(60):
        async with (
            anyio.create_task_group() as tasks,
            KafkaListener(
                texts(topic),
                bootstrap_servers=bootstrap,
                group_id=group,
                auto_offset_reset="earliest",
                auto_commit={"every": 7},
            ) as listener,
        ):
            tasks.start_soon(finish_out_of_order, listener)
            while unfinished:
                lowest = min(unfinished)
                offset = (await committed(bootstrap, group)).get((topic, 0), 0)
                # What finished while we asked only raises the true bound.
                assert offset <= min(unfinished, default=400)
                samples += offset > 0 and lowest < 400
    assert samples > 3
    assert (await committed(bootstrap, group))[topic, 0] == 400
