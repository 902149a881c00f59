"""What a listener commits on a real broker, and never past an unfinished record."""

from collections.abc import Callable

import anyio
import pytest

from sdml_kafka import KafkaListener
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import listener_on, read
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.broker,
    pytest.mark.trio_asyncio_too,
    pytest.mark.usefixtures("client"),
]


async def test_with_auto_commit_off_only_commit_commits(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 1)
    await produce(bootstrap, topic, ["a", "b", "c"])
    async with listener_on(
        embedded_kafka, topic, group_id=group, enable_auto_commit=False
    ) as listener:
        assert await read(listener, 2) == ["a", "b"]
        await listener.commit()
        assert await read(listener, 1) == ["c"]
    assert await committed(bootstrap, group) == {(topic, 0): 2}


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
                if min(unfinished) >= 300:  # wait for some samples before the end
                    await until(lambda: samples > 3)
                for last in reversed(held):
                    await anyio.sleep(0.005)
                    unfinished.discard(last.record.offset)
                    last.done()
                held.clear()

    with anyio.fail_after(60):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(
                embedded_kafka, topic, group_id=group, auto_commit={"every": 7}
            ) as listener,
        ):
            tasks.start_soon(finish_out_of_order, listener)
            while unfinished:
                lowest = min(unfinished)
                offset = (await committed(bootstrap, group)).get((topic, 0), 0)
                # Records that finish while the broker answers only raise the true bound.
                assert offset <= min(unfinished, default=400)
                samples += offset > 0 and lowest < 400
    assert samples > 3
    assert (await committed(bootstrap, group))[topic, 0] == 400


async def finish_in_tens(
    listener: KafkaListener, unfinished: dict[int, set[int]], may_end: Callable[[], bool]
) -> None:
    """Finish ten records at a time, the last one first, and the last hundred once that is due."""
    held = []
    async for delivery in (await listener.subscribe(str)).deliveries():
        held.append(delivery)
        if len(held) == 10 or min(map(len, unfinished.values())) < 10:
            if min(map(len, unfinished.values())) < 100:
                await until(may_end)
            for last in reversed(held):
                await anyio.sleep(0.01)
                unfinished[last.record.partition].discard(last.record.offset)
                last.done()
            held.clear()


@pytest.mark.one_loop
async def test_nor_while_members_join_and_leave(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("frontier"), 2)
    for partition in (0, 1):
        await produce(bootstrap, topic, map(str, range(400)), partition=partition)
    unfinished = {0: set(range(400)), 1: set(range(400))}
    samples = 0
    commits = {"every": 7, "interval_s": 0.2}
    options = {"group_id": group, "auto_commit": commits, "heartbeat_interval_ms": 300}

    def has_samples() -> bool:
        return samples > 10

    async def is_at_the_end() -> bool:
        nonlocal samples
        offsets = await committed(bootstrap, group)
        for partition, offset in ((p, offsets.get((topic, p), 0)) for p in (0, 1)):
            assert offset <= min(unfinished[partition], default=400)
            samples += 0 < offset < 400
        return offsets == {(topic, 0): 400, (topic, 1): 400}

    with anyio.fail_after(60):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(embedded_kafka, topic, drain_timeout=0.5, **options) as listener,
        ):
            tasks.start_soon(finish_in_tens, listener, unfinished, has_samples)
            for _ in range(3):
                async with (
                    listener_on(embedded_kafka, topic, drain_timeout=0.5, **options) as other,
                    anyio.create_task_group() as others,
                ):
                    others.start_soon(finish_in_tens, other, unfinished, has_samples)
                    for _ in range(10):
                        await is_at_the_end()
                    others.cancel_scope.cancel()
            while not await is_at_the_end():
                pass
    assert has_samples()
