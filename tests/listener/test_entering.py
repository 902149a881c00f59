"""Entering a listener: with and without a broker, and where a group begins."""

import anyio
import pytest

from sdml_kafka import BrokerUnreachable, ClientClosed
from sdml_kafka.testing.memory.broker import MemoryBroker
from tests.support.listener_on_twin import TEXTS, TOPIC, broker_with, fill, listener_on, take_last
from tests.support.virtual_time import in_virtual_time

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@in_virtual_time
async def test_entering_twice_is_an_error_and_the_first_one_goes_on() -> None:
    broker = broker_with("a")
    listener = listener_on(broker)
    async with listener:
        with pytest.raises((ClientClosed, RuntimeError), match=r"entered"):
            async with listener:
                pytest.fail("entered")
        assert await take_last(await listener.subscribe(str), 1) == ["a"]


@in_virtual_time
async def test_entering_with_no_broker_is_a_clear_error_in_time() -> None:
    broker = broker_with()
    broker.down()
    began = anyio.current_time()
    with pytest.raises(BrokerUnreachable):
        async with listener_on(broker, start_timeout=4.0):
            pytest.fail("entered")
    assert 3.0 < anyio.current_time() - began < 5.5


@in_virtual_time
async def test_a_broker_that_comes_within_the_start_timeout_is_waited_for() -> None:
    broker = broker_with("a")
    broker.fail_starts(BrokerUnreachable("refused"), times=5)
    async with listener_on(broker) as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["a"]
        assert listener.status().counters.restarts == 0


@in_virtual_time
async def test_a_member_without_partitions_is_ready_too() -> None:
    broker = broker_with(*"ab")
    async with listener_on(broker) as first:
        async with listener_on(broker) as second:
            assert {len(first.assigned_table()), len(second.assigned_table())} == {0, 1}
        assert await take_last(await first.subscribe(str), 2) == ["a", "b"]


@in_virtual_time
async def test_with_latest_what_comes_after_entering_arrives() -> None:
    broker = broker_with("before")
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        fill(broker, ["after"])
        assert await take_last(await listener.subscribe(str), 1) == ["after"]


@in_virtual_time
async def test_with_latest_what_comes_between_two_runs_arrives() -> None:
    broker = broker_with("before")
    async with listener_on(broker, auto_offset_reset="latest"):
        pass
    fill(broker, ["between"])
    async with listener_on(broker, auto_offset_reset="latest") as listener:
        assert await take_last(await listener.subscribe(str), 1) == ["between"]


@in_virtual_time
async def test_several_listeners_in_one_program_go_their_own_ways() -> None:
    broker = MemoryBroker({TOPIC: 1, "other": 1})
    fill(broker, "abc")
    fill(broker, "xyz", topic="other")
    others = {**TEXTS, "topics": ["other"]}
    async with (
        listener_on(broker) as first,
        listener_on(broker, parsers=[others], group="second") as second,  # type: ignore[list-item]
        listener_on(broker, group="third") as third,
    ):
        streams = [await each.subscribe(str) for each in (first, second, third)]
        seen = [await take_last(stream, 3) for stream in streams]
    assert seen == [["a", "b", "c"], ["x", "y", "z"], ["a", "b", "c"]]


def test_a_listener_may_be_made_where_no_event_loop_runs() -> None:
    broker = broker_with("a")
    listener = listener_on(broker)

    async def main() -> list[str]:
        async with listener:
            return await take_last(await listener.subscribe(str), 1)

    assert anyio.run(main) == ["a"]


@in_virtual_time
async def test_a_listener_goes_on_after_a_second_task_tried_to_enter_it_meanwhile() -> None:
    broker = broker_with(*"abc")
    listener = listener_on(broker)
    refused: list[Exception] = []

    async def enter_as_well() -> None:
        try:
            await listener.__aenter__()
        except ClientClosed as error:
            refused.append(error)

    async with anyio.create_task_group() as others:
        others.start_soon(enter_as_well)
        async with listener:
            assert len(refused) == 1
            assert await take_last(await listener.subscribe(str), 3) == [*"abc"]
