"""Seeking: where reading goes on, what is committed then, and what happens to records in hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from sdml_kafka import (
    ClientClosed,
    ConfigurationError,
    Delivery,
    OffsetBeyondEnd,
    SeekFailed,
    TopicPartition,
)
from tests.support.listener_on_twin import (
    GROUP,
    P0,
    P1,
    TOPIC,
    Gate,
    broker_with,
    fill,
    listener_on,
    loops,
)
from tests.support.processing_on_twin import processing, processing_on
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(30)]

TEN = [*map(str, range(10))]


@pytest.mark.parametrize(("to", "first"), [(3, 3), ("earliest", 0), (0, 0), (9, 9)])
async def test_reading_goes_on_at_the_offset_and_the_commit_follows_backwards(
    to: Any, first: int
) -> None:
    broker = broker_with(*TEN)
    async with (
        listener_on(broker, auto_commit={"interval_s": 60.0}) as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(10)
        await listener.commit()
        before = broker.committed(GROUP, P0)
        assert before is not None
        assert before >= 9
        loop.seen.clear()
        await listener.seek(P0, to)
        assert broker.committed(GROUP, P0) == first
        await loop.has_seen(10 - first)
        await anyio.sleep(5)
        assert loop.seen == TEN[first:]
    assert broker.committed(GROUP, P0) == 10


async def test_forwards_and_to_the_end_skip_what_waits() -> None:
    broker, gate = broker_with(*map(str, range(2000))), Gate()
    async with (
        listener_on(broker) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        gate.open()
        await listener.seek(TOPIC, 1990)
        await until(lambda: loop.seen[-1] == "1999")
        assert loop.seen[-10:] == [*map(str, range(1990, 2000))]
        await listener.seek(P0, "latest")
        fill(broker, ["new"])
        await until(lambda: loop.seen[-1] == "new")
        assert loop.seen.count("1999") == 1


async def test_a_datetime_is_the_first_record_that_is_as_late() -> None:
    broker = broker_with(partitions=1)
    for hour in range(5):
        fill(broker, [hour])
        await anyio.sleep(3600)
    at = datetime.fromtimestamp(broker.records(P0)[2].timestamp / 1000, UTC)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(5)
        await listener.seek(TOPIC, at + timedelta(seconds=1))
        await loop.has_seen(7)
        assert loop.seen[5:] == ["3", "4"]
        await listener.seek(TOPIC, datetime(2100, 1, 1, tzinfo=UTC))
        fill(broker, ["new"])
        await loop.has_seen(8)
        assert loop.seen[7:] == ["new"]


async def test_a_handler_and_its_repeat_do_not_run_at_once() -> None:
    broker, running, _most = broker_with(*TEN), set[str](), 0
    repeats, twice = 0, list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal repeats
        if value in running:
            twice.append(value)
        running.add(value)
        try:
            await anyio.sleep(1)
        finally:
            running.discard(value)
        repeats += 1

    listener = processing_on(broker, drain_timeout=3.0)
    async with listener, processing(listener, handle, order="none", concurrency=4):
        for _ in range(5):
            await anyio.sleep(0.5)
            await listener.seek(TOPIC, "earliest")
        await until(lambda: broker.committed(GROUP, P0) == 10)
        assert not twice
        assert repeats > 10


async def test_a_handler_that_goes_on_is_cut_off_and_the_record_comes_again() -> None:
    broker, begun = broker_with("a"), 0

    async def handle(value: str, delivery: Delivery[str]) -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            await listener.seek(TOPIC, 0)  # waits for this handler itself

    listener = processing_on(broker, drain_timeout=1.0)
    async with listener, processing(listener, handle):
        await until(lambda: broker.committed(GROUP, P0) == 1)
        assert begun == 2


async def test_a_record_in_a_loops_hands_finishes_late_and_is_not_committed() -> None:
    broker, gate = broker_with(*TEN), Gate()
    async with (
        listener_on(broker, drain_timeout=0.5) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        await listener.seek(P0, 5)
        assert broker.committed(GROUP, P0) == 5
        gate.open()
        await loop.has_seen(6)
        assert loop.seen == ["0", *TEN[5:]]
        await listener.seek(P0, 0)
        assert broker.committed(GROUP, P0) == 0
        assert listener.status().counters.late_finishes == 0


@pytest.mark.parametrize("to", [100, "earliest"])
async def test_a_seek_that_fails_repeats_nothing_that_is_in_hand(to: Any) -> None:
    broker = broker_with(*TEN)

    async def work(value: str) -> None:
        if value == "3":
            if to == "earliest":
                broker.down()
            with pytest.raises(SeekFailed):
                await listener.seek(P0, to)
            broker.up()
            await anyio.sleep(5.0)

    async with (
        listener_on(broker, drain_timeout=0.5, session_timeout_s=60.0) as listener,
        loops(await listener.subscribe(str), work=work) as (loop,),
    ):
        await loop.has_seen(10)
        await anyio.sleep(5.0)
        assert loop.seen == TEN
        assert listener.status().counters.late_finishes == 0


async def test_what_had_finished_ahead_comes_again_after_a_seek() -> None:
    broker, begun = broker_with(*TEN), list[str]()

    async def handle(value: str, delivery: Delivery[str]) -> None:
        begun.append(value)
        if value == "0" and begun.count("0") == 1:
            await anyio.sleep(2)

    listener = processing_on(broker)
    async with listener, processing(listener, handle, order="none", concurrency=4):
        await until(lambda: len(begun) == 10)
        await listener.seek(P0, 0)
        await until(lambda: len(begun) == 20)
    assert broker.committed(GROUP, P0) == 10


async def test_a_paused_partition_may_be_moved_and_stays_paused() -> None:
    broker = broker_with(*TEN)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(10)
        await listener.pause(P0)
        await listener.seek(P0, 7)
        await anyio.sleep(5)
        assert len(loop.seen) == 10
        await listener.resume(P0)
        await loop.has_seen(13)
        assert loop.seen[10:] == ["7", "8", "9"]


async def test_on_assignment_a_seek_comes_before_any_record() -> None:
    """So a program keeps its offsets in its own database."""
    broker, gate = broker_with(*TEN, partitions=2), Gate()
    fill(broker, TEN, partition=1)
    stored = {P0: 4, P1: 8}

    class Stored:
        async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
            for partition in assigned:
                await anyio.sleep(0.1)
                await listener.seek(partition, stored[partition])

        def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None: ...

    listener = listener_on(broker, rebalance_listener=Stored())
    gate.open()
    async with listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(8)
        await anyio.sleep(2)
        assert sorted(loop.seen) == sorted([*TEN[4:], *TEN[8:]])
        stored = {P0: 9, P1: 9}
        broker.rebalance(GROUP)
        await loop.has_seen(10)
        await anyio.sleep(2)
        assert loop.seen[8:] == ["9", "9"]


async def test_a_partition_of_another_member_is_a_clear_error() -> None:
    broker = broker_with(partitions=2)
    async with listener_on(broker) as listener, listener_on(broker) as other:
        await until(lambda: len(other.assigned_table()[TOPIC]) == 1)
        await until(lambda: len(listener.assigned_table()[TOPIC]) == 1)
        (number,) = other.assigned_table()[TOPIC]
        with pytest.raises(SeekFailed, match=f"partition {number} is not assigned"):
            await listener.seek(TopicPartition(TOPIC, number), 0)
        await listener.seek(TOPIC, 0)


async def test_a_seek_in_a_rebalance_fails_and_nothing_is_lost() -> None:
    broker, gate = broker_with(*TEN), Gate()
    async with (
        listener_on(broker) as listener,
        loops(await listener.subscribe(str), work=gate) as (loop,),
    ):
        await loop.has_seen(1)
        broker.rebalance(GROUP)
        await anyio.sleep(0.5)
        with pytest.raises(SeekFailed, match="revoked"):
            await listener.seek(P0, 5)
        gate.open()
        await loop.has_seen(10)
        assert loop.seen == TEN


async def test_without_a_broker_the_seek_fails_and_reading_goes_on_where_it_was() -> None:
    broker = broker_with(*TEN)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(10)
        broker.down()
        with pytest.raises(SeekFailed):
            await listener.seek(P0, "earliest")
        broker.up()
        fill(broker, ["new"])
        await loop.has_seen(11)
        assert loop.seen == [*TEN, "new"]


async def test_with_manual_commits_a_seek_commits_nothing() -> None:
    broker = broker_with(*TEN)
    async with (
        listener_on(broker, auto_commit_interval_s=None) as listener,
        loops(await listener.subscribe(str)) as (loop,),
    ):
        await loop.has_seen(10)
        await anyio.sleep(0.1)
        await listener.commit()
        await listener.pause(P0)
        await listener.seek(P0, 2)
        assert broker.committed(GROUP, P0) == 10
        await listener.commit()
        assert broker.committed(GROUP, P0) == 2


@pytest.mark.parametrize("to", [-1, True, "first", None, 1.5, datetime(2026, 1, 1)])
async def test_where_nothing_can_begin_is_a_configuration_error(to: Any) -> None:
    async with listener_on(broker_with()) as listener:
        with pytest.raises(ConfigurationError):
            await listener.seek(P0, to)


async def test_a_listener_that_does_not_run_cannot_seek() -> None:
    with pytest.raises(ClientClosed):
        await listener_on(broker_with()).seek(P0, 0)


@pytest.mark.parametrize("what", [P0, TOPIC])
async def test_beyond_the_end_of_a_log_nothing_is_moved(what: Any) -> None:
    broker = broker_with(*TEN, partitions=2)
    fill(broker, range(200), partition=1)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(210)
        with pytest.raises(OffsetBeyondEnd, match=r"'topic' partition 0 ends at 10.*offset 100"):
            await listener.seek(what, 100)
        fill(broker, ["new"])
        fill(broker, ["other"], partition=1)
        await loop.has_seen(212)
        assert {*loop.seen[210:]} == {"new", "other"}
        assert listener.status().counters.jumps == 0
        await listener.seek(P0, 11)


async def test_what_retention_has_deleted_is_read_from_the_beginning_which_is_a_jump() -> None:
    broker = broker_with(*TEN)
    async with listener_on(broker) as listener, loops(await listener.subscribe(str)) as (loop,):
        await loop.has_seen(10)
        broker.trim(P0, 5)
        await listener.seek(P0, 2)
        await loop.has_seen(15)
        assert loop.seen == TEN + TEN[5:]
        assert listener.status().counters.jumps == 1
