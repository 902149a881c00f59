"""What hooks see of streams: what is delivered, finished and committed, and the record in hand."""

import anyio
import pytest

from sdml_kafka import CommitFailed, Delivery, KafkaListener, TopicPartition, record_in_hand
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import GROUP, P0, TEXTS, broker_with, fill, take_last
from tests.support.seeing_hook import CURRENT, SeeingHook
from tests.support.virtual_time import in_virtual_time
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, in_virtual_time, pytest.mark.timeout(60)]


def listener_on(broker: MemoryBroker, hook: SeeingHook) -> KafkaListener:
    connect = broker.connect(GROUP, auto_offset_reset="earliest")
    return KafkaListener([TEXTS], transport=connect, hooks=[hook])


def broker_of(*values: str) -> MemoryBroker:
    broker = broker_with()
    fill(broker, list(values))
    return broker


async def test_what_is_delivered_finished_and_committed() -> None:
    hook, seen = SeeingHook(), list[str]()
    async with listener_on(broker_of("a", "b", "c"), hook) as listener:
        stream = await listener.subscribe(str)
        async for value in stream:
            seen.append(value)
            if len(seen) == 3:
                await listener.commit()
                break
    delivered = hook.of("delivered")
    assert [record.value for event in delivered for record in event.records] == [b"a", b"b", b"c"]
    assert {(event.partition, event.to) for event in delivered} == {(P0, ("str",))}
    assert {event.origin.group_id for event in delivered} == {GROUP}
    finished = hook.of("finished")
    assert sum(event.count for event in finished) == 2  # the last one was given back
    assert (finished[0].first_offset, finished[-1].last_offset) == (0, 2)
    committed = hook.of("committed")
    assert committed[-1].offsets == {P0: 2}
    assert committed[-1].seconds >= 0


async def test_a_commit_that_fails_and_the_next_one() -> None:
    hook, broker = SeeingHook(), broker_of("a", "b")
    async with listener_on(broker, hook) as listener:
        await take_last(await listener.subscribe(str), 2)
        broker.fail_commits(refusal := CommitFailed("ordered"))
        with pytest.raises(CommitFailed):
            await listener.commit()
        await listener.commit()
    (failed,) = hook.of("commit_failed")
    assert failed.origin.group_id == GROUP
    assert (failed.offsets, failed.error) == ({P0: 2}, refusal)
    assert failed.seconds >= 0
    assert hook.of("committed")[-1].offsets == {P0: 2}


async def test_the_record_in_hand_is_the_one_of_the_loop() -> None:
    hook, seen = SeeingHook(), list[bytes | None]()
    assert record_in_hand() is None
    async with listener_on(broker_of("a", "b"), hook) as listener:
        stream = await listener.subscribe(str)
        async for _ in stream:
            record = record_in_hand()
            assert record is not None
            seen.append(record.value)
            if len(seen) == 2:
                break
        assert record_in_hand() is None  # it was given back
    assert seen == [b"a", b"b"]


async def test_the_record_in_hand_is_gone_once_it_has_finished() -> None:
    hook = SeeingHook()
    async with listener_on(broker_of("a", "b"), hook) as listener:
        stream = await listener.subscribe(str)
        assert await anext(stream) == "a"
        go_on, results = anyio.Event(), list[object]()

        async def look_later() -> None:
            results.append(record_in_hand())
            await go_on.wait()
            results.append(record_in_hand())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(look_later)
            await anyio.wait_all_tasks_blocked()
            assert await anext(stream) == "b"
            go_on.set()
        first, later = results
        assert first is not None
        assert later is None


async def test_a_loop_that_breaks_off_gives_its_record_back() -> None:
    hook = SeeingHook()
    async with listener_on(broker_of("a"), hook) as listener:
        stream = await listener.subscribe(str)
        async for _ in stream:
            break
        async for value in stream:
            assert value == "a"
            break


async def test_a_delivery_that_is_entered_is_a_handling() -> None:
    hook, seen = SeeingHook(), list[str]()

    async def handle(delivery: Delivery[str]) -> None:
        async with delivery:
            seen.append(CURRENT.get())
            raise ValueError("no")

    listener = listener_on(broker_of("a"), hook)
    with pytest.raises(ValueError, match="no"):
        async with listener:
            stream = await listener.subscribe(str)
            async for delivery in stream.deliveries():
                await handle(delivery)
    assert seen == ["str 1"]
    ((handling, error),) = hook.handlings
    assert handling.records[0].value == b"a"
    assert isinstance(error, ValueError)


async def test_assignments_and_leaving() -> None:
    hook = SeeingHook()
    broker = broker_of("a")
    async with listener_on(broker, hook) as listener:
        stream = await listener.subscribe(str)
        await anext(stream)
        async with listener_on(broker, SeeingHook()) as other:
            other_stream = await other.subscribe(str)
            await until(lambda: len(hook.of("assigned")) >= 2)
            await other_stream.aclose()
    first, again, *_ = hook.of("assigned")
    assert first.seconds is None
    assert TopicPartition(*P0) in first.partitions
    assert again.seconds is not None
    drained = hook.of("drained")
    assert not drained[0].is_leaving
    assert drained[0].unfinished == 1


async def test_partitions_that_are_lost() -> None:
    hook, broker = SeeingHook(), broker_of("a")
    async with listener_on(broker, hook) as listener:
        stream = await listener.subscribe(str)
        await anext(stream)
        broker.down()
        await anyio.sleep(20.0)  # the session of the member times out
        broker.up()
        await until(lambda: len(hook.of("assigned")) == 2)
    (lost,) = hook.of("lost")
    assert (lost.partitions, lost.in_hand, lost.origin.group_id) == ({P0}, 1, GROUP)


async def test_a_broker_that_is_gone_and_back() -> None:
    hook = SeeingHook()
    broker = broker_of("a")
    async with listener_on(broker, hook):
        broker.down()
        await until(lambda: hook.of("broker_gone") != [], 60.0)
        broker.up()
        await until(lambda: hook.of("broker_back") != [], 60.0)
    assert hook.of("broker_back")[0].seconds >= 1.0


async def test_a_crash_and_a_restart() -> None:
    hook = SeeingHook()
    broker = broker_of("a")
    async with listener_on(broker, hook):
        broker.fail_next_poll(RuntimeError("broken"))
        await until(lambda: hook.of("actor_restarted") != [], 60.0)
    assert hook.of("actor_crashed")[0].path[-1] == "consumer-loop"
