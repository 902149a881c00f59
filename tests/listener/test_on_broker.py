"""The listener on a real broker: factories, callbacks, static members, poison, footprint."""

import asyncio
import gc
import sys
import threading
import tracemalloc
from typing import Any

import anyio
import psutil
import pytest
from aiokafka import AIOKafkaConsumer

from sdml_kafka import ConfigurationError, KafkaListener, TopicPartition
from sdml_kafka.testing import EmbeddedKafka
from tests.support.kafka_from_outside import committed, create_topic, produce, unique
from tests.support.listener_on_broker import Reader, texts
from tests.support.undecodable_batch import produce_poison
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.broker]

on_asyncio_alone = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio")]
)


def listener_on(kafka: EmbeddedKafka, *topics: str, **options: Any) -> KafkaListener:
    return KafkaListener(
        texts(*topics),
        bootstrap_servers=kafka.bootstrap_servers,
        **{"group_id": unique("group"), "auto_offset_reset": "earliest", **options},
    )


async def read(listener: KafkaListener, count: int) -> list[str]:
    seen: list[str] = []
    with anyio.fail_after(30):
        async for delivery in (await listener.subscribe(str)).deliveries():
            delivery.done()
            seen.append(delivery.value)
            if len(seen) == count:
                break
    return seen


# -- factories ---------------------------------------------------------------------------


async def test_a_factory_is_called_where_an_asyncio_loop_runs(
    embedded_kafka: EmbeddedKafka,
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("topic"), 1)
    await produce(embedded_kafka.bootstrap_servers, topic, ["a"])
    made = []

    def factory() -> AIOKafkaConsumer:
        made.append(asyncio.get_running_loop())
        return AIOKafkaConsumer(
            bootstrap_servers=embedded_kafka.bootstrap_servers,
            group_id=unique("group"),
            auto_offset_reset="earliest",
        )

    async with KafkaListener(texts(topic), consumer_factory=factory) as listener:
        assert await read(listener, 1) == ["a"]
    assert len(made) == 1


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        (lambda: object(), "has to return a new aiokafka.AIOKafkaConsumer, not object"),
        (lambda: None, "not NoneType"),
        (lambda: AIOKafkaConsumer("topic", group_id="group"), "already subscribed"),
        (lambda: AIOKafkaConsumer(), "no group_id"),
    ],
)
async def test_a_factory_that_returns_what_cannot_be_used_is_refused(
    factory: Any, text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        async with KafkaListener(texts("topic"), consumer_factory=factory):
            pytest.fail("entered")
    gc.collect()  # an unclosed consumer would complain


@on_asyncio_alone
async def test_a_factory_that_returns_a_started_consumer_is_refused(
    embedded_kafka: EmbeddedKafka,
) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=embedded_kafka.bootstrap_servers, group_id=unique("group")
    ) as started:
        with pytest.raises(ConfigurationError, match="already started"):
            async with KafkaListener(texts("topic"), consumer_factory=lambda: started):
                pytest.fail("entered")
        assert not started._closed  # it is somebody else's


async def test_a_factory_that_raises_comes_out_as_itself() -> None:
    boom = KeyError("boom")

    def factory() -> AIOKafkaConsumer:
        raise boom

    with pytest.raises(KeyError) as caught:
        async with KafkaListener(texts("topic"), consumer_factory=factory):
            pytest.fail("entered")
    assert caught.value is boom


# -- the group ---------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_rebalance_listener_is_called_on_the_programs_side(
    embedded_kafka: EmbeddedKafka, is_async: bool
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)
    told: list[tuple[str, int]] = []

    class Plain:
        def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
            anyio.get_current_task()  # fails where the program's event loop does not run
            told.append(("assigned", len(partitions)))

        def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:
            anyio.get_current_task()
            told.append(("revoked", len(partitions)))

    class Async(Plain):
        async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:  # type: ignore[override]
            await anyio.sleep(0.01)
            super().on_partitions_assigned(partitions)

        async def on_partitions_revoked(self, partitions: set[TopicPartition]) -> None:  # type: ignore[override]
            await anyio.sleep(0.01)
            super().on_partitions_revoked(partitions)

    options: dict[str, Any] = {"group_id": group, "heartbeat_interval_ms": 200}
    tell = Async() if is_async else Plain()
    with anyio.fail_after(30):
        async with listener_on(embedded_kafka, topic, rebalance_listener=tell, **options):
            assert told == [("assigned", 2)]
            async with listener_on(embedded_kafka, topic, **options):
                await until(lambda: len(told) >= 3)
            assert told[1:3] == [("revoked", 2), ("assigned", 1)]


async def test_a_static_member_leaves_and_comes_back_without_a_rebalance(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)

    def member(name: str) -> KafkaListener:
        return listener_on(
            embedded_kafka,
            topic,
            group_id=group,
            group_instance_id=name,
            heartbeat_interval_ms=200,
        )

    with anyio.fail_after(30):
        async with member("one") as one:
            async with member("two") as two:
                await until(lambda: len(one.assigned_table().get(topic, ())) == 1)
                before = one.status().counters.rebalances
                owned = two.assigned_table()
            async with member("two") as two:
                assert two.assigned_table() == owned
                await anyio.sleep(0.5)  # some heartbeats, which would tell of a rebalance
                assert one.status().counters.rebalances == before


async def test_several_listeners_in_one_program(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    first_topic = await create_topic(bootstrap, unique("first"), 1)
    second_topic = await create_topic(bootstrap, unique("second"), 1)
    await produce(bootstrap, first_topic, ["a", "b"])
    await produce(bootstrap, second_topic, ["x", "y"])
    async with (
        listener_on(embedded_kafka, first_topic) as first,
        listener_on(embedded_kafka, second_topic) as second,
        listener_on(embedded_kafka, first_topic, second_topic) as both,
    ):
        assert await read(first, 2) == ["a", "b"]
        assert await read(second, 2) == ["x", "y"]
        assert sorted(await read(both, 4)) == ["a", "b", "x", "y"]


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


# -- poison ------------------------------------------------------------------------------


async def test_a_batch_that_does_not_decode_holds_its_own_partition_only(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("poison"), 3)
    await produce(bootstrap, topic, ["a", "b"], partition=0)
    await produce_poison(bootstrap, topic, 0)
    await produce(bootstrap, topic, ["never"], partition=0)
    for number in range(20):
        await produce(bootstrap, topic, [f"x{number}"], partition=1 + number % 2)
    expected = {"a", "b", *(f"x{number}" for number in range(20))}
    with anyio.fail_after(40):
        async with (
            anyio.create_task_group() as tasks,
            listener_on(embedded_kafka, topic, group_id=group) as listener,
        ):
            reader = Reader(listener)
            tasks.start_soon(reader.read)
            await reader.has_seen_all(expected)
            poisoned = TopicPartition(topic, 0)
            await until(lambda: listener.status().partitions[poisoned].held is not None)
            held = listener.status().partitions[poisoned].held
            assert held is not None
            assert "UnicodeDecodeError" in held
            await produce(bootstrap, topic, ["later"], partition=1)
            await reader.has_seen_all({"later"})
            status = listener.status()
            assert status.partitions[TopicPartition(topic, 1)].held is None
            assert status.counters.restarts == 0
    assert sorted(reader.seen) == sorted(expected | {"later"})
    assert (await committed(bootstrap, group))[topic, 0] == 2


# -- footprint ---------------------------------------------------------------------------


async def test_leaving_takes_less_than_a_second(embedded_kafka: EmbeddedKafka) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("topic"), 4)
    await produce(bootstrap, topic, map(str, range(100)))
    async with listener_on(embedded_kafka, topic) as listener:
        await read(listener, 50)
        began = anyio.current_time()
    assert anyio.current_time() - began < 1.0


async def test_idle_it_uses_less_than_a_hundredth_of_a_core(
    embedded_kafka: EmbeddedKafka, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = await create_topic(embedded_kafka.bootstrap_servers, unique("idle"), 4)
    process, idle_s = psutil.Process(), 3.0
    async with listener_on(embedded_kafka, topic) as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(Reader(listener).read)
        await anyio.sleep(0.5)  # the first fetches and heartbeats
        before = process.cpu_times()
        await anyio.sleep(idle_s)
        after = process.cpu_times()
        tasks.cancel_scope.cancel()
    share = (after.user + after.system - before.user - before.system) / idle_s
    with capsys.disabled():
        print(f"[idle listener: {share:.2%} of a core]", file=sys.stderr)
    assert share < 0.02  # 0.01 is what is promised; the machine is shared


async def enter_and_leave(kafka: EmbeddedKafka, topic: str, group: str, times: int) -> None:
    for _ in range(times):
        async with listener_on(kafka, topic, group_id=group) as listener:
            await read(listener, 1)


@pytest.mark.parametrize("times", [20, pytest.param(100, marks=pytest.mark.soak)])
async def test_entering_and_leaving_again_and_again_leaves_nothing_behind(
    embedded_kafka: EmbeddedKafka, times: int
) -> None:
    bootstrap, group = embedded_kafka.bootstrap_servers, unique("group")
    topic = await create_topic(bootstrap, unique("topic"), 2)
    await produce(bootstrap, topic, map(str, range(times + 10)))
    await enter_and_leave(embedded_kafka, topic, group, 3)  # what is made once is made by now

    process = psutil.Process()
    gc.collect()
    tasks, threads = len(anyio.get_running_tasks()), threading.active_count()
    sockets = len(process.net_connections())
    tracemalloc.start()
    try:
        await enter_and_leave(embedded_kafka, topic, group, 2)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        await enter_and_leave(embedded_kafka, topic, group, times)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    def is_as_before() -> bool:
        return (
            len(anyio.get_running_tasks()) <= tasks
            and threading.active_count() <= threads
            and len(process.net_connections()) <= sockets
        )

    with anyio.move_on_after(10):  # what was closed is gone some turns of its loop later
        await until(is_as_before)
    assert len(anyio.get_running_tasks()) <= tasks
    assert threading.active_count() <= threads
    assert len(process.net_connections()) <= sockets
    assert after - before < 5_000 * times


# -- the former client's quickstart ------------------------------------------------------


@on_asyncio_alone
async def test_the_quickstart_of_the_former_client_runs_unchanged(
    embedded_kafka: EmbeddedKafka,
) -> None:
    bootstrap = embedded_kafka.bootstrap_servers
    topic = await create_topic(bootstrap, unique("orders"), 1)
    received = []

    import json

    from sdml.kafka_client.clients import KafkaListener
    from sdml.kafka_client.types import ParserSpec

    specs: list[ParserSpec[dict[str, Any]]] = [
        {"topics": [topic], "type": dict, "parser": lambda rec: json.loads(rec.value)}
    ]
    listener = KafkaListener(
        parsers=specs,
        auto_commit={"every": 100, "interval_s": 5.0},
        consumer_factory=lambda: AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id="listener", auto_offset_reset="latest"
        ),
    )
    await listener.start()
    stream = await listener.subscribe(dict)
    await produce(bootstrap, topic, ['{"id": 1}', '{"id": 2}'])
    async for item in stream:
        received.append(item)
        if item["id"] == 2:
            break
    await listener.stop()
    assert received == [{"id": 1}, {"id": 2}]
