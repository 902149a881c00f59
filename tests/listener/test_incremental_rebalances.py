"""Rebalances that move only a part: all that stays with a listener goes on meanwhile."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from sdml_kafka import Delivery, KafkaListener, TopicPartition
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    TOPIC,
    fill,
    listener_on,
    loops,
    take_last,
)
from tests.support.log_lines import lines_of
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]

P1, P2, P3 = (TopicPartition(TOPIC, number) for number in (1, 2, 3))


def broker_of(partitions: int = 4, records: int = 0) -> MemoryBroker:
    broker = MemoryBroker({TOPIC: partitions}, rebalances="incremental")
    for number in range(partitions):
        fill(broker, (f"{number}-{each}" for each in range(records)), number)
    return broker


class Handler:
    """A handler that is held up in some partitions, and books what begins and ends."""

    def __init__(self, *held: TopicPartition) -> None:
        self.held = {each.partition for each in held}
        self.release = anyio.Event()
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.cut_off: list[str] = []

    async def __call__(self, value: str, delivery: Delivery[str]) -> None:
        self.begun.append(value)
        try:
            if int(value[0]) in self.held:
                await self.release.wait()
            else:
                await anyio.sleep(0.01)
        except anyio.get_cancelled_exc_class():
            self.cut_off.append(value)
            raise
        self.ended.append(value)

    def of(self, partition: TopicPartition) -> list[str]:
        return [each for each in self.ended if each.startswith(f"{partition.partition}-")]


@asynccontextmanager
async def joining(broker: MemoryBroker, **options: Any) -> AsyncGenerator[KafkaListener]:
    async with listener_on(broker, **options) as other:
        yield other


async def test_what_stays_is_delivered_and_committed_during_the_drain_of_the_rest() -> None:
    broker, handler = broker_of(records=3), Handler(P3)
    listener = processing_on(broker, auto_commit={"interval_s": 0.1})
    async with listener, processing(listener, handler, order="partition", concurrency=8):
        await until(lambda: len(handler.ended) == 9 and "3-0" in handler.begun)
        async with joining(broker) as other:
            # The drain of partition 3 goes on, so that all of this is within it.
            for number in range(3, 100):
                fill(broker, [f"{number % 2}-{number}"], number % 2)
                await anyio.sleep(0.01)
            await until(lambda: len(handler.of(P0)) + len(handler.of(P1)) > 50, 0.5)
            assert not other.status().partitions
            await until(lambda: (broker.committed(GROUP, P0) or 0) > 20, 0.3)
            assert listener.status().partitions.keys() == {P0, P1, P2, P3}
            assert listener.status().counters.rebalances == 1
            handler.release.set()
            await until(lambda: other.status().partitions.keys() == {P2, P3})
            assert listener.status().partitions.keys() == {P0, P1}
            assert broker.committed(GROUP, P3) == 1
            assert broker.committed(GROUP, P2) == 3
            assert listener.status().counters.late_finishes == 0
            assert not handler.cut_off
    assert len(handler.ended) == len(set(handler.ended))


async def test_a_handler_of_what_stays_outlasts_the_drain_and_is_not_cancelled() -> None:
    broker, handler = broker_of(records=1), Handler(P0, P3)
    listener = processing_on(broker, drain_timeout=1.0)
    async with listener, processing(listener, handler, order="key", concurrency=8):
        await until(lambda: len(handler.begun) == 4)
        async with joining(broker) as other:
            await until(lambda: other.status().partitions)
            assert handler.cut_off == ["3-0"]
            assert listener.status().partitions[P0].in_flight == 1
            handler.release.set()
            await until(lambda: "0-0" in handler.ended)
            assert handler.begun.count("0-0") == 1
            await until(lambda: broker.committed(GROUP, P0) == 1)
            assert await take_last(await other.subscribe(str), 1) == ["3-0"]


async def test_members_come_and_go_and_nothing_is_lost_or_repeated() -> None:
    broker, count = broker_of(3), 600
    seen: list[str] = []

    async def work(value: str, delivery: Delivery[str]) -> None:
        seen.append(value)
        await anyio.sleep(0.01)

    async def another() -> None:
        listener = processing_on(broker, auto_commit={"interval_s": 0.1})
        async with anyio.create_task_group() as tasks, listener:
            tasks.start_soon(listener.process, str, work)
            await anyio.sleep(0.7)

    async with (
        processing_on(broker, auto_commit={"interval_s": 0.1}) as first,
        processing(first, work),
    ):
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                fill(broker, [f"{number % 3}-{number}"], number % 3)
                if number % 100 == 50:
                    tasks.start_soon(another)
                await anyio.sleep(0.01)
        await until(lambda: len(seen) >= count)
        await until(
            lambda: (
                sum(broker.committed(GROUP, TopicPartition(TOPIC, n)) or 0 for n in range(3))
                == count
            )
        )
        assert first.status().counters.late_finishes == 0
    assert sorted(seen) == sorted(f"{number % 3}-{number}" for number in range(count))


async def test_a_member_that_is_expelled_commits_nothing_and_reads_all_anew() -> None:
    broker, handler = broker_of(2, records=2), Handler(P1)
    listener = processing_on(broker, auto_commit={"interval_s": 0.1})
    async with listener, processing(listener, handler, order="partition"):
        await until(lambda: broker.committed(GROUP, P0) == 2 and "1-0" in handler.begun)
        (name,) = broker.members(GROUP)
        broker.expel(name)
        await until(lambda: listener.status().counters.rebalances == 2)
        assert handler.cut_off == ["1-0"]
        handler.release.set()
        await until(lambda: broker.committed(GROUP, P1) == 2)
    assert handler.ended.count("1-0") == handler.ended.count("0-0") == 1


class Listening:
    """A rebalance listener whose partitions take a while to prepare."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls: list[tuple[str, set[int]]] = []

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.calls.append(("assigned", {each.partition for each in assigned}))
        await anyio.sleep(self.seconds)
        self.calls.append(("ready", {each.partition for each in assigned}))

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.calls.append(("revoked", {each.partition for each in revoked}))


async def test_a_rebalance_listener_is_called_for_what_moves_alone() -> None:
    broker, listening = broker_of(), Listening()
    async with listener_on(broker, rebalance_listener=listening) as listener:
        async with joining(broker):
            await until(lambda: len(listener.status().partitions) == 2)
        await until(lambda: len(listening.calls) == 5)
    assert listening.calls == [
        ("assigned", {0, 1, 2, 3}),
        ("ready", {0, 1, 2, 3}),
        ("revoked", {2, 3}),
        ("assigned", {2, 3}),
        ("ready", {2, 3}),
    ]


async def test_what_comes_is_not_read_before_the_rebalance_listener_has_ended() -> None:
    """Nor does what is read already wait for that."""
    broker, listening, handler = broker_of(records=1), Listening(2.0), Handler()
    listener = processing_on(broker, rebalance_listener=listening)
    async with listener, processing(listener, handler):
        async with joining(broker) as other:
            await until(lambda: len(other.status().partitions) == 2)
        await until(lambda: ("assigned", {2, 3}) in listening.calls)
        fill(broker, ["0-1"], 0)
        fill(broker, ["2-1", "2-2"], 2)
        await until(lambda: "0-1" in handler.ended, 0.2)
        await anyio.sleep(1.5)
        assert "2-1" not in handler.begun
        assert ("ready", {2, 3}) not in listening.calls
        await until(lambda: handler.of(P2)[-2:] == ["2-1", "2-2"], 1.0)


async def test_what_is_revoked_while_it_is_prepared_is_prepared_first() -> None:
    broker, listening = broker_of(), Listening(0.5)
    async with listener_on(broker, rebalance_listener=listening) as listener:
        async with joining(broker):
            await until(lambda: len(listener.status().partitions) == 2)
        await until(lambda: ("assigned", {2, 3}) in listening.calls)
        async with joining(broker):
            await until(lambda: len(listener.status().partitions) == 2)
    assert listening.calls[2:6] == [
        ("revoked", {2, 3}),
        ("assigned", {2, 3}),
        ("ready", {2, 3}),
        ("revoked", {2, 3}),
    ]


async def test_start_from_moves_what_comes_and_leaves_the_rest() -> None:
    broker = broker_of(2, records=5)
    options: dict[str, Any] = {"start_from": {P1: 3}, "auto_commit": {"every": 1}}
    async with listener_on(broker) as first:
        await until(lambda: len(first.status().partitions) == 2)
        assert broker.committed(GROUP, P1) == 0
        async with listener_on(broker, **options, force=True) as second:
            await until(lambda: second.status().partitions.keys() == {P1})
            assert await take_last(await second.subscribe(str), 2) == ["1-3", "1-4"]
        assert await take_last(await first.subscribe(str), 5) == [f"0-{n}" for n in range(5)]


async def test_a_paused_partition_that_stays_stays_paused_and_loses_nothing() -> None:
    broker, handler = broker_of(records=3), Handler()
    listener = processing_on(broker)
    async with listener:
        await listener.pause(P0)
        async with processing(listener, handler):
            await until(lambda: len(handler.ended) == 9)
            async with joining(broker) as other:
                await until(lambda: len(other.status().partitions) == 2)
                assert not handler.of(P0)
                await listener.resume(P0)
                await until(lambda: handler.of(P0) == ["0-0", "0-1", "0-2"])
    assert len(handler.ended) == len(set(handler.ended))


async def test_a_seek_of_a_topic_while_a_part_is_revoked_fails_and_stops_nothing() -> None:
    broker, handler = broker_of(records=1), Handler(P3)
    listener = processing_on(broker)
    async with listener, processing(listener, handler, concurrency=8):
        await until(lambda: len(handler.begun) == 4)
        async with anyio.create_task_group() as tasks:
            errors: list[Exception] = []

            async def seek() -> None:
                try:
                    await listener.seek(TOPIC, 0)
                except Exception as error:
                    errors.append(error)

            tasks.start_soon(seek)  # which waits for the handler
            await anyio.sleep(0.1)
            async with joining(broker) as other:
                await anyio.sleep(0.1)
                handler.release.set()
                await until(lambda: len(other.status().partitions) == 2)
                fill(broker, ["0-1"], 0)
                fill(broker, ["1-1"], 1)
                await until(lambda: {"0-1", "1-1"} <= set(handler.ended))
        (error,) = errors
        assert "revoked" in str(error)


async def test_a_commit_that_is_under_way_while_a_part_moves_commits_the_rest() -> None:
    broker = broker_of(2, records=1)
    async with listener_on(broker, auto_commit={"every": 1000}) as listener:
        stream = await listener.subscribe(str)
        assert sorted(await take_last(stream, 2)) == ["0-0", "1-0"]
        broker.slow_down(commit_s=4.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.commit)
            await anyio.sleep(0.1)
            tasks.start_soon(_enter_and_leave, broker)
            await until(lambda: listener.status().partitions.keys() == {P0})
            broker.slow_down()
        assert broker.committed(GROUP, P0) == 1


async def _enter_and_leave(broker: MemoryBroker) -> None:
    async with listener_on(broker):
        await anyio.sleep(5.0)


async def test_the_log_says_what_moves(caplog: pytest.LogCaptureFixture) -> None:
    broker, lines = broker_of(2), lines_of(caplog)
    async with listener_on(broker) as first:
        async with listener_on(broker, group=GROUP):
            await until(lambda: len(first.status().partitions) == 1)
        await until(lambda: len(first.status().partitions) == 2)
        (name,) = broker.members(GROUP)
        broker.expel(name)
        await until(lambda: first.status().counters.rebalances == 3)
    said = [line for line in lines() if "rebalanced" in line or "joined" in line]
    assert said[:3] == [
        "INFO joined group 'group': this member reads 'topic' 0-1",
        "INFO joined group 'group': this member has no partition",
        "INFO group 'group' has rebalanced in 0.0 s: this member reads 'topic' 0 "
        "(gave up 'topic' 1)",
    ]
    assert "reads 'topic' 0-1 (gained 'topic' 1)" in said[-2]
    assert "reads 'topic' 0-1 (gained 'topic' 0-1)" in said[-1]


async def test_loops_over_streams_go_on_and_share_what_is_left() -> None:
    broker = broker_of(4, records=50)

    async def work(_: object) -> None:
        await anyio.sleep(0.02)

    async with listener_on(broker) as first:
        stream = await first.subscribe(str)
        async with loops(stream, stream, work=work) as running:
            await until(lambda: sum(len(each.seen) for each in running) > 30)
            async with listener_on(broker) as second:
                async with loops(await second.subscribe(str), work=work) as (other,):
                    await until(
                        lambda: (
                            first.status().counters.finished + second.status().counters.finished
                            == 200
                        )
                    )
                seen = [*other.seen, *(value for each in running for value in each.seen)]
                assert len(seen) == len(set(seen)) == 200
