"""Pausing and seeking on a real broker: under load, with processors, over rebalances."""

from datetime import UTC, datetime
from functools import partial

import anyio
import pytest

from sdml_kafka import Delivery, OffsetBeyondEnd, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import Reader, listener_on
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker, pytest.mark.usefixtures("client")]


def last_run(seen: list[str]) -> list[str]:
    """Return the values from the last one on that does not follow the one before it."""
    start = len(seen) - 1
    while start > 0 and int(seen[start]) == int(seen[start - 1]) + 1:
        start -= 1
    return seen[max(0, start) :]


def begins_at(seen: list[str], offset: int) -> bool:
    return last_run(seen)[:1] == [str(offset)]


@pytest.mark.one_loop
async def test_backwards_and_forwards_while_batches_are_buffered(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("seek"), 1)
    await produce(bootstrap, topic, map(str, range(20_000)))
    partition = TopicPartition(topic, 0)
    with anyio.fail_after(60):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(embedded_kafka, topic, group_id=group) as listener,
        ):
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            for offset in (15_000, 10, 18_000, 3_000, 3_000):
                await until(lambda: len(last_run(reader.seen)) >= 1000)
                await listener.seek(partition, offset)
                commits = await committed(bootstrap, group)
                await until(partial(begins_at, reader.seen, offset))
                read_to = offset + len(last_run(reader.seen))
                assert offset <= commits[topic, 0] <= read_to
            await until(lambda: len(last_run(reader.seen)) == 17_000)
            await listener.seek(topic, "earliest")
            await until(lambda: last_run(reader.seen) == [*map(str, range(20_000))])
            await listener.seek(topic, "latest")
            await produce(bootstrap, topic, ["20000"])
            await until(lambda: reader.seen[-1] == "20000")
            await listener.seek(topic, datetime(2020, 1, 1, tzinfo=UTC))
            await until(lambda: last_run(reader.seen) == [*map(str, range(20_001))])
            count = len(reader.seen)
            await listener.seek(topic, 5)
            await listener.seek(topic, datetime(2100, 1, 1, tzinfo=UTC))
            await produce(bootstrap, topic, ["last"])
            await until(lambda: reader.seen[-1] == "last")
            assert count < len(reader.seen) < count + 20_000
            tasks.cancel_scope.cancel()


def is_longer(seen: list[tuple[int, int]], count: int) -> bool:
    return len(seen) > count


@pytest.mark.one_loop
async def test_a_processor_under_load_is_paused_and_moved(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("moved"), 2)
    for number in range(2):
        await produce(bootstrap, topic, map(str, range(3000)), partition=number)
    seen: list[tuple[int, int]] = []
    running, twice = set[tuple[int, int]](), list[tuple[int, int]]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        at = delivery.record.partition, delivery.record.offset
        if at in running:
            twice.append(at)
        running.add(at)
        await anyio.sleep(0.002)
        running.discard(at)
        seen.append(at)

    with anyio.fail_after(90):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(embedded_kafka, topic, group_id=group) as listener,
        ):

            async def process() -> None:
                await listener.process(str, handle, order="none", concurrency=20)

            tasks.start_soon(process)
            await until(lambda: len(seen) > 200)
            for _ in range(5):
                await listener.pause(topic)
                await until(lambda: not running)
                count = len(seen)
                await anyio.sleep(0.2)
                assert len(seen) == count
                await listener.resume(topic)
                await until(partial(is_longer, seen, count + 100))
            await until(lambda: len(seen) == 6000)
            assert len(set(seen)) == 6000  # a pause repeats nothing
            await listener.seek(TopicPartition(topic, 0), 500)
            await until(lambda: len(seen) > 6100)
            await listener.pause(TopicPartition(topic, 0))
            await until(lambda: not running)
            seen.clear()
            await listener.seek(TopicPartition(topic, 0), 2000)
            await anyio.sleep(0.5)
            assert not seen
            await listener.resume(TopicPartition(topic, 0))
            await until(lambda: len(seen) == 1000)
            assert set(seen) == {(0, offset) for offset in range(2000, 3000)}
            assert not twice
            tasks.cancel_scope.cancel()
    assert await committed(bootstrap, group) == {(topic, 0): 3000, (topic, 1): 3000}


@pytest.mark.one_loop
@pytest.mark.trio_asyncio_too
async def test_a_pause_outlives_a_rebalance_and_offsets_are_a_programs_own(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("own"), 2)
    for number in range(2):
        await produce(bootstrap, topic, map(str, range(100)), partition=number)
    stored = {TopicPartition(topic, 0): 90, TopicPartition(topic, 1): 95}

    class Stored:
        def __init__(self) -> None:
            self.sought = set[TopicPartition]()

        async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
            for partition in assigned:
                await listener.seek(partition, stored[partition])
                self.sought.add(partition)

        def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

    with anyio.fail_after(60):
        own = Stored()
        listener = listener_on(embedded_kafka, topic, group_id=group, rebalance_listener=own)
        async with anyio.create_task_group() as tasks, listener:
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            await reader.has_seen(15)
            assert sorted(reader.seen) == sorted(map(str, [*range(90, 100), *range(95, 100)]))
            await listener.pause(topic)
            own.sought.clear()
            async with listener_on(embedded_kafka, topic, group_id=group):
                await until(lambda: len(listener.assigned_table().get(topic, ())) == 1)
            await until(lambda: len(listener.assigned_table().get(topic, ())) == 2)
            await anyio.sleep(1)
            assert len(reader.seen) == 15
            await listener.resume(topic)
            assert own.sought  # what came back is read again
            await reader.has_seen(15 + sum(100 - stored[each] for each in own.sought))
            tasks.cancel_scope.cancel()


async def test_start_from_begins_there(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("start"), 1)
    await produce(bootstrap, topic, map(str, range(100)))
    partition = TopicPartition(topic, 0)
    for start, force, first in (({partition: 40}, False, 40), ({partition: 70}, True, 70)):
        with anyio.fail_after(60):
            async with (
                anyio.create_task_group() as tasks,
                listener_on(
                    embedded_kafka, topic, group_id=group, start_from=start, force=force
                ) as listener,
            ):
                reader = Reader(listener)
                tasks.start_soon(reader.read)
                await reader.has_seen(100 - first)
                assert reader.seen == [*map(str, range(first, 100))]
                tasks.cancel_scope.cancel()


async def test_beyond_the_end_nothing_is_moved(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("behind"), 1)
    await produce(bootstrap, topic, map(str, range(10)))
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks, listener_on(embedded_kafka, topic) as own:
            reader = Reader(own)
            tasks.start_soon(reader.read)
            await reader.has_seen(10)
            with pytest.raises(OffsetBeyondEnd, match=f"'{topic}' partition 0 ends at 10.* 100"):
                await own.seek(topic, 100)
            await produce(bootstrap, topic, ["new"])
            await reader.has_seen(11)
            assert reader.seen == [*map(str, range(10)), "new"]
            tasks.cancel_scope.cancel()
